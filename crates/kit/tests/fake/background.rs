//! What an agent runs on behind its turn: it is waited for, paid for and stopped.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{Seen, Stage, finish_after, lines, play, read_to, run};
use belay_testkit::fake_agent::{Exit, Pace, Pause, Play, Signal, Until, WaitForStdin};
use belay_testkit::recordings;
use belaykit::trace::{AttemptResult, CostSource};
use belaykit::{Background, Event, FailureKind, IdleLimits, Logger, RunRequest, Transport};
use std::time::Duration;

const SUBAGENT: &str = "q-background-subagent";
const FIRST: &str = "I have started a reviewer; I will report back.";
const FINAL: &str = "FINAL: the reviewer found two bugs.";

/// What a recorded Claude said up to the end of its first turn.
fn first_turn(name: &str) -> Vec<String> {
    let mut said = lines("claude-code", name);
    let end = said.iter().position(|line| line.contains("\"type\":\"result\"")).unwrap();
    said.truncate(end + 1);
    said
}

/// Claude ends its first turn and then lives on for a minute.
fn never_done(said: Vec<String>) -> Play {
    Play { wait_for_stdin: WaitForStdin::Line, linger_ms: 60_000, ..Play::lines(said) }
}

fn results(seen: &Seen) -> Vec<&AttemptResult> {
    let results = seen.records.iter().filter_map(|record| match &record.event {
        Event::AttemptResult(result) => Some(result),
        _ => None,
    });
    results.collect()
}

#[track_caller]
fn used(seen: &Seen, input: u64, output: u64, cost: f64) {
    assert_eq!(figures(seen, input, output, cost), (CostSource::Reported, false));
}

/// A response was cut off, and nobody says what it has cost.
#[track_caller]
fn used_at_least(seen: &Seen, input: u64, output: u64, cost: f64) {
    assert_eq!(figures(seen, input, output, cost), (CostSource::Partial, true));
    let parts = seen.result().usage.models.values();
    assert!(parts.into_iter().all(|part| part.cost_source == Some(CostSource::Partial)));
}

#[track_caller]
fn figures(seen: &Seen, input: u64, output: u64, cost: f64) -> (CostSource, bool) {
    let usage = &seen.result().usage;
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(input), Some(output)));
    assert!((usage.total_cost_usd.unwrap() - cost).abs() < 1e-9, "{usage:#?}");
    (usage.cost_source, usage.partial)
}

async fn recorded(name: &str, transport: Transport) -> Seen {
    let recording = recordings::one("claude-code", name);
    let exit = Exit::Code(recording.exit_code().unwrap());
    let stage = Stage::new("claude", &play(&recording).exit(exit));
    run(&stage.claude().transport(transport), "p").await
}

#[tokio::test]
async fn the_last_turn_is_the_answer_and_all_of_them_are_paid() {
    let seen = recorded(SUBAGENT, Transport::Dialogue).await;
    assert_eq!(seen.answer(), FINAL);
    used(&seen, 2650, 165, 0.02465);
    let told = results(&seen);
    let told: Vec<_> = told.iter().map(|r| (r.result.as_str(), r.provisional)).collect();
    assert_eq!(told, [(FIRST, true), (FINAL, false)]);
    assert_eq!(results(&seen)[0].usage.total_cost_usd, Some(0.01524));

    let seen = recorded("q-background-subagent-print", Transport::Print).await;
    assert_eq!(seen.answer(), FINAL);
    used(&seen, 2650, 165, 0.02465);

    let seen = recorded("q-background-command-print", Transport::Print).await;
    assert_eq!(seen.answer(), "FINAL");
    used(&seen, 621, 69, 0.003_864);

    let seen = recorded("q-background-many-print", Transport::Print).await;
    assert_eq!(seen.answer(), "THREE");
    used(&seen, 2849, 301, 0.017_416);
}

#[tokio::test]
async fn a_later_turn_that_fails_is_the_failure_and_the_first_words_are_kept() {
    for (name, transport) in
        [("q-background-529", Transport::Dialogue), ("q-background-529-print", Transport::Print)]
    {
        let seen = recorded(name, transport).await;
        assert_eq!(seen.failure().kind, FailureKind::Overloaded, "{name}");
        assert_eq!(seen.result().result, "I have started it.", "{name}");
        used(&seen, 621, 69, 0.003_864);
    }
}

/// No line says that anything is open; an agent of another version, or one that was woken.
#[tokio::test]
async fn a_turn_that_begins_behind_the_end_of_another_is_part_of_the_attempt() {
    let init = r#"{"type":"system","subtype":"init","session_id":"s1","model":"m"}"#;
    let result = |text: &str, tokens: u64, cost: f64| {
        format!(
            r#"{{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"{text}","session_id":"s1","total_cost_usd":{cost},"modelUsage":{{"m":{{"inputTokens":{tokens},"outputTokens":{tokens},"costUSD":{cost}}}}}}}"#
        )
    };
    let said = |text: &str, id: &str| {
        format!(
            r#"{{"type":"assistant","parent_tool_use_id":null,"message":{{"id":"{id}","model":"m","content":[{{"type":"text","text":"{text}"}}],"usage":{{"input_tokens":3,"output_tokens":1}}}}}}"#
        )
    };
    let lines = [
        init.to_owned(),
        said("Started.", "m1"),
        result("Started.", 3, 0.12),
        init.to_owned(),
        said("FINAL", "m2"),
        result("FINAL", 9, 0.5),
    ];
    let pace = Pace::RecordedMs(vec![0.0, 10.0, 20.0, 1500.0, 1510.0, 1520.0]);
    let play = Play { wait_for_stdin: WaitForStdin::Line, pace, ..Play::lines(lines) };
    for transport in [Transport::Dialogue, Transport::Print] {
        let seen = run(&Stage::new("claude", &play).claude().transport(transport), "p").await;
        assert_eq!(seen.answer(), "FINAL");
        used(&seen, 9, 9, 0.5);
    }
}

#[tokio::test]
async fn a_later_turn_that_is_lost_makes_the_cost_a_lower_bound() {
    let all = lines("claude-code", SUBAGENT);
    let begun = all.iter().rposition(|line| line.contains(r#""subtype":"init""#)).unwrap();
    assert!(begun > first_turn(SUBAGENT).len());
    for exit in [Exit::Code(0), Exit::Signal(Signal::Kill)] {
        let play = Play::lines(all[..=begun].to_vec()).exit(exit);
        let play = Play { wait_for_stdin: WaitForStdin::Line, ..play };
        let stage = Stage::new("claude", &play);
        let seen = run(&stage.claude(), "p").await;
        assert!(seen.result().is_error);
        let usage = &seen.result().usage;
        assert_eq!((usage.cost_source, usage.partial), (CostSource::Partial, true));
    }
}

/// Longer than a process may linger that has nothing open.
#[tokio::test]
async fn an_open_task_is_waited_for_and_shown_once() {
    let recording = recordings::one("claude-code", SUBAGENT);
    let count = recording.stdout.iter().filter(|byte| **byte == b'\n').count();
    let end = first_turn(SUBAGENT).len();
    let times = (0..count).map(|line| if line < end { 0.0 } else { 11_000.0 }).collect();
    let play = Play { pace: Pace::RecordedMs(times), ..play(&recording) };
    let seen = run(&Stage::new("claude", &play).claude(), "p").await;
    assert_eq!(seen.answer(), FINAL);
    assert!(seen.took > Duration::from_secs(11));
    assert!(seen.notices("lingers").is_empty());
    assert!(!seen.attempt_ended().forced);
    let waits = seen.records.iter().filter(
        |record| matches!(&record.event, Event::BackgroundTasks(background) if background.waiting),
    );
    assert_eq!(waits.count(), 1);
}

#[tokio::test]
async fn what_is_open_is_stopped_at_the_first_result_if_that_is_asked() {
    for (name, text, words) in [
        (SUBAGENT, FIRST, "stopped the subagent `review`"),
        ("q-background-command-print", "I have started it.", "stopped the command `build`"),
    ] {
        let stage = Stage::new("claude", &never_done(first_turn(name)));
        let request = RunRequest::new("p").background(Background::Stop);
        let seen = run(&stage.claude(), request).await;
        assert_eq!(seen.answer(), text);
        assert!(seen.took < Duration::from_secs(5), "{:?}", seen.took);
        let [notice] = seen.notices("background")[..] else { panic!("{:#?}", seen.records) };
        assert!(notice.starts_with(words), "{notice}");
        assert_eq!(results(&seen).len(), 1);
        assert_eq!(seen.result().usage.partial, name == SUBAGENT, "a command asks no model");
        let mut shown = Vec::new();
        let mut logger = Logger::new(&mut shown).waits(false);
        seen.records.iter().for_each(|record| logger.record(record));
        drop(logger);
        assert!(
            !String::from_utf8(shown).unwrap().contains("waiting for"),
            "nothing is waited for"
        );
    }
}

/// The recorded lines up to the end of the task, and the turn that reports it.
fn to_the_report() -> (Vec<String>, Vec<String>) {
    let mut said = lines("claude-code", SUBAGENT);
    let at = said.iter().rposition(|line| line.contains("\"subtype\":\"init\"")).unwrap();
    let report = said.split_off(at);
    (said, report)
}

/// Hooks, or a busy machine, may hold a report back for longer than an agent may linger that has nothing to do.
#[tokio::test]
async fn a_report_that_comes_late_is_waited_for() {
    let (said, report) = to_the_report();
    let times = (0..said.len()).map(|_| 0.0).chain(report.iter().map(|_| 12_000.0)).collect();
    let all = [said, report].concat();
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(all) };
    let play = Play { pace: Pace::RecordedMs(times), ..play };
    let seen = run(&Stage::new("claude", &play).claude(), "p").await;
    assert_eq!(seen.answer(), FINAL);
    assert!(seen.took > Duration::from_secs(12), "{:?}", seen.took);
    assert!(seen.notices("lingers").is_empty() && !seen.attempt_ended().forced);
}

#[tokio::test]
async fn an_interrupt_before_the_report_has_cut_it_off() {
    let stage = Stage::new("claude", &never_done(to_the_report().0));
    let mut run = stage.claude().start("p");
    let mut records = read_to(&mut run, "attempt_result").await;
    loop {
        records.extend(read_to(&mut run, "background_tasks").await);
        let Event::BackgroundTasks(told) = &records.last().unwrap().event else { unreachable!() };
        if told.tasks.is_empty() {
            break;
        }
    }
    run.interrupter().interrupt();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    assert_eq!(seen.result().result, FIRST);
    // What the subagent has used since, no result has told.
    assert!(seen.result().usage.partial);
}

/// Claude says that its turn is over, and works on in a call of it.
#[tokio::test]
async fn a_call_that_outlives_its_turn_is_waited_for() {
    let line = |what: &str| format!(r#"{{"session_id":"s1",{what}}}"#);
    let said = |id: &str, block: &str| {
        line(&format!(
            r#""type":"assistant","message":{{"id":"{id}","model":"m","content":[{block}]}}"#
        ))
    };
    let result = |words: &str| {
        line(&format!(
            r#""type":"result","subtype":"success","is_error":false,"result":"{words}","num_turns":1"#
        ))
    };
    let init = line(r#""type":"system","subtype":"init","model":"m""#);
    let call = r#"{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"make"}}"#;
    let returned = line(
        r#""type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":"ok"}]}"#,
    );
    let before = [init, said("m1", call), result("Started.")];
    let words = r#"{"type":"text","text":"Done."}"#;
    let behind = [returned, said("m2", words), result("Done.")];
    let times = before.iter().map(|_| 0.0).chain(behind.iter().map(|_| 12_000.0)).collect();
    let all = [before, behind].concat();
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(all) };
    let play = Play { pace: Pace::RecordedMs(times), ..play };
    for transport in [Transport::Dialogue, Transport::Print] {
        let seen = run(&Stage::new("claude", &play).claude().transport(transport), "p").await;
        assert_eq!(seen.answer(), "Done.", "{transport}");
        assert!(!seen.attempt_ended().forced);
    }
}

fn limit(limit: Duration) -> RunRequest {
    let mut idle = IdleLimits::default();
    idle.background = Some(limit);
    RunRequest::new("p").idle(idle)
}

#[tokio::test]
async fn a_command_at_its_limit_is_stopped_and_the_answer_stands() {
    let stage = Stage::new("claude", &never_done(first_turn("q-background-command-print")));
    let seen = run(&stage.claude(), limit(Duration::from_millis(1500))).await;
    assert_eq!(seen.answer(), "I have started it.");
    assert!(seen.took < Duration::from_secs(6), "{:?}", seen.took);
    let [warning, end] = seen.notices("background")[..] else { panic!("{:#?}", seen.records) };
    assert!(warning.contains("`build`") && warning.contains("it is stopped in"), "{warning}");
    assert!(end.contains("`build`") && end.contains("no longer"), "{end}");
}

#[tokio::test]
async fn a_subagent_at_its_limit_has_stalled() {
    let stage = Stage::new("claude", &never_done(first_turn(SUBAGENT)));
    let seen = run(&stage.claude(), limit(Duration::from_millis(1500))).await;
    let failure = seen.failure();
    assert_eq!(failure.kind, FailureKind::Stalled, "{failure}");
    assert!(failure.message.contains("`review`"), "{failure}");
    assert_eq!(seen.result().result, FIRST);
    used_at_least(&seen, 1700, 92, 0.01524);
    assert_eq!(seen.notices("background").len(), 1);
}

#[tokio::test]
async fn an_agent_that_dies_before_its_subagent_is_done_has_crashed() {
    let dies = Play::lines(first_turn(SUBAGENT)).exit(Exit::Signal(Signal::Kill));
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..dies };
    let seen = run(&Stage::new("claude", &play).claude(), "p").await;
    assert_eq!(seen.failure().kind, FailureKind::Crashed);
    assert_eq!(seen.result().result, FIRST);
    let told: Vec<_> = results(&seen).iter().map(|result| result.provisional).collect();
    assert_eq!(told, [true, false]);
    used_at_least(&seen, 1700, 92, 0.01524);

    let dies = Play::lines(first_turn("q-background-command-print"));
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..dies };
    let seen = run(&Stage::new("claude", &play).claude(), "p").await;
    assert_eq!(seen.answer(), "I have started it.");
    assert!(!seen.result().usage.partial, "a command asks no model");
    assert_eq!(seen.notices("background").len(), 1);
}

#[tokio::test]
async fn an_interrupt_during_the_wait_ends_the_run_with_its_cost() {
    let said = first_turn(SUBAGENT);
    let done =
        Pause { after_line: said.len(), until: Until::StdinEnd, then: Vec::new(), resume: false };
    let play = Play {
        wait_for_stdin: WaitForStdin::Line,
        pauses: vec![done],
        ..Play::lines(said.clone())
    };
    // One that hears, and one that is deaf to all but SIGINT.
    for play in [play, never_done(said)] {
        let stage = Stage::new("claude", &play);
        let mut run = stage.claude().start("p");
        let mut records = read_to(&mut run, "attempt_result").await;
        run.interrupter().interrupt();
        records.extend(read_to(&mut run, "interrupted").await);
        let seen = finish_after(records, run).await;
        assert_eq!(seen.failure().kind, FailureKind::Interrupted);
        assert_eq!(seen.result().result, FIRST);
        used_at_least(&seen, 1700, 92, 0.01524);
        assert!(seen.took < Duration::from_secs(9), "{:?}", seen.took);
    }
}

#[tokio::test]
async fn the_time_of_a_run_is_up_during_the_wait_too() {
    let stage = Stage::new("claude", &never_done(first_turn(SUBAGENT)));
    let request = RunRequest::new("p").timeout(Duration::from_secs(1));
    let seen = run(&stage.claude(), request).await;
    assert_eq!(seen.failure().kind, FailureKind::Deadline);
    used_at_least(&seen, 1700, 92, 0.01524);
}

#[tokio::test]
async fn a_message_reaches_an_agent_whose_task_is_open() {
    let (first, all) = (first_turn(SUBAGENT), lines("claude-code", SUBAGENT));
    let pause = Pause {
        after_line: first.len(),
        until: Until::StdinLine("look left".into()),
        then: all[first.len()..].to_vec(),
        resume: false,
    };
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(first) };
    let stage = Stage::new("claude", &Play { pauses: vec![pause], ..play });
    let mut run = stage.claude().start("p");
    let records = read_to(&mut run, "attempt_result").await;
    run.steer("look left");
    let seen = finish_after(records, run).await;
    assert_eq!(seen.answer(), FINAL);
    let steered = seen.records.iter().find_map(|record| match &record.event {
        Event::Steered(steered) => Some((steered.text.as_str(), steered.delivered)),
        _ => None,
    });
    assert_eq!(steered, Some(("look left", true)));
}

/// A call that is on its way when the stop comes is of the turn that is stopped, and no new one.
#[tokio::test]
async fn a_stop_in_a_later_turn_leaves_it_the_time_to_report() {
    let init = r#"{"type":"system","subtype":"init","session_id":"s1","model":"m"}"#;
    let result = |end: &str, tokens: u64, cost: f64| {
        format!(
            r#"{{"type":"result",{end},"num_turns":1,"session_id":"s1","total_cost_usd":{cost},"modelUsage":{{"m":{{"inputTokens":{tokens},"outputTokens":{tokens},"costUSD":{cost}}}}}}}"#
        )
    };
    let said = |block: &str, id: &str| {
        format!(
            r#"{{"type":"assistant","parent_tool_use_id":null,"message":{{"id":"{id}","model":"m","content":[{block}],"usage":{{"input_tokens":3,"output_tokens":1}}}}}}"#
        )
    };
    let text = |words: &str| format!(r#"{{"type":"text","text":"{words}"}}"#);
    let lines = [
        init.to_owned(),
        said(&text("Started."), "m1"),
        result(r#""subtype":"success","is_error":false,"result":"Started.""#, 3, 0.12),
        init.to_owned(),
        said(&text("More."), "m2"),
    ];
    let call = r#"{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"ls"}}"#;
    let pause = Pause {
        after_line: 5,
        until: Until::StdinLine(r#""subtype":"interrupt""#.into()),
        then: vec![
            said(call, "m2"),
            result(r#""subtype":"error_during_execution","is_error":true"#, 9, 0.5),
        ],
        resume: false,
    };
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(lines) };
    let play = Play { pauses: vec![pause], ..play }.exit(Exit::Code(1));
    let stage = Stage::new("claude", &play);
    let mut run = stage.claude().start("p");
    let mut records = read_to(&mut run, "attempt_result").await;
    records.extend(read_to(&mut run, "text").await);
    run.interrupter().interrupt();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    assert_eq!(seen.attempt_ended().exit_code, Some(1), "it ended by itself");
    used(&seen, 9, 9, 0.5);
}
