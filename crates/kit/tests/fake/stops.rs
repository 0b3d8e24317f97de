//! How runs end that do not end by themselves. The slow tests are here: two ladders climbed to the top.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{
    ANSWER, Seen, Stage, answer, finish_after, hanging, is_running, lines, patiently, pid, read_to,
    run, sessionless, wait_until, waiting,
};
use belay_testkit::fake_agent::{Exit, Grandchild, Pause, Play, Signal, Until, WaitForStdin};
use belay_testkit::recordings;
use belaykit::trace::{Interrupted, StopReason};
use belaykit::{Event, FailureKind, limits};
use rustix::process::{Pid, kill_process};
use std::time::{Duration, Instant};

const STUBBORN: [Signal; 2] = [Signal::Int, Signal::Term];

/// How Claude ends a turn that was interrupted in a tool.
fn interrupted_turn() -> Vec<String> {
    let mut lines = lines("claude-code", "s-multi-interrupt");
    sessionless(lines.drain(13..17))
}

/// Starts a run, waits for its session and interrupts it so many times.
async fn interrupt(stage: &Stage, times: u32) -> Seen {
    let mut run = stage.claude().start("p");
    let records = read_to(&mut run, "session_started").await;
    let interrupter = run.interrupter();
    (0..times).for_each(|_| interrupter.interrupt());
    let seen = finish_after(records, run).await;
    let reasons: Vec<_> = seen
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Interrupted(Interrupted { reason, .. }) => Some(*reason),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, [StopReason::User], "said once");
    assert!(!is_running(pid(&seen.records)));
    interrupter.interrupt();
    seen
}

#[tokio::test]
async fn claudes_own_interrupt_keeps_the_bill() {
    let until = Until::StdinLine(r#""subtype":"interrupt""#.into());
    let stage = Stage::new("claude", &waiting(until, interrupted_turn()).exit(Exit::Code(1)));
    let seen = interrupt(&stage, 1).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    assert_eq!(seen.result().usage.output_tokens, Some(85));
    assert_eq!(seen.attempt_ended().exit_code, Some(1));
    assert!(!seen.attempt_ended().forced);
    assert!(seen.took < limits::STOP_NATIVE, "{:?}", seen.took);
    let interrupts = stage.agent.log().stdin().iter().filter(|l| l.contains("interrupt")).count();
    assert_eq!(interrupts, 1);
}

#[tokio::test]
async fn codexs_own_interrupt_keeps_the_bill() {
    let path = recordings::one("codex", "t-appserver").dialogue_path();
    let dialogue = std::fs::read_to_string(path).unwrap();
    let all: Vec<&str> = dialogue.lines().collect();
    let at = |what: &str| all.iter().position(|line| line.contains(what)).unwrap();
    // The first turn up to its begin, then the end of the second, which was interrupted.
    let begun = at(r#""method": "turn/started""#) + 1;
    let stopped = at(r#""method": "turn/interrupt""#);
    let ended = stopped + at_from(&all[stopped..], r#""method": "turn/completed""#) + 1;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, [&all[..begun], &all[stopped..ended]].concat().join("\n")).unwrap();

    let stage = Stage::new("codex", &Play::dialogue(file.path()));
    let mut run = stage.codex().start("p");
    let records = read_to(&mut run, "session_started").await;
    run.interrupter().interrupt();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    assert!(!seen.attempt_ended().forced);
    assert_eq!(seen.attempt_ended().exit_code, Some(0));
}

fn at_from(lines: &[&str], what: &str) -> usize {
    lines.iter().position(|line| line.contains(what)).unwrap()
}

#[tokio::test]
async fn an_interrupt_before_the_session_stops_it_all_the_same() {
    let stage = Stage::new("claude", &hanging());
    let run = stage.claude().start("p");
    let interrupter = run.interrupter();
    (0..3).for_each(|_| interrupter.interrupt());
    let seen = finish_after(Vec::new(), run).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    assert_eq!(seen.count("interrupted"), 1);
}

#[tokio::test]
async fn an_answer_that_comes_although_it_was_interrupted_is_an_answer() {
    let until = Until::StdinLine(r#""subtype":"interrupt""#.into());
    let rest = lines("claude-code", "a-text").split_off(1);
    let stage = Stage::new("claude", &waiting(until, rest));
    let seen = interrupt(&stage, 1).await;
    assert_eq!(seen.answer(), ANSWER);
}

#[tokio::test]
async fn a_result_on_sigint_is_the_end_of_an_agent_without_an_interrupt() {
    let until = Until::Signal(Signal::Int);
    let stage = Stage::new("claude", &waiting(until, interrupted_turn()));
    let client = stage.claude().transport(belaykit::Transport::Print);
    let mut run = client.start("p");
    let records = read_to(&mut run, "session_started").await;
    run.interrupter().interrupt();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    assert_eq!(seen.result().usage.output_tokens, Some(85));
    assert!(seen.took < limits::STOP_SIGINT, "{:?}", seen.took);
}

#[tokio::test]
async fn a_second_interrupt_does_not_wait_for_the_first() {
    let stage = Stage::new("claude", &hanging());
    let seen = interrupt(&stage, 2).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    // SIGTERM would cost the bill of an agent that may yet answer SIGINT.
    assert_eq!(seen.attempt_ended().signal, Some(2));
    assert!(seen.took < Duration::from_secs(3), "{:?}", seen.took);
}

/// More than can be read while somebody waits who has asked three times.
#[tokio::test]
async fn a_flood_is_not_read_to_its_end_for_somebody_who_insists() {
    let init = lines("claude-code", "a-text").remove(0);
    let flood = format!(
        "trap '' INT TERM; read -r p; printf '%s\\n' '{init}'; exec yes '{{\"type\":\"x\"}}'"
    );
    let stage = Stage::script(&Play::default(), "claude", &flood);
    let seen = interrupt(&stage, 3).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    // How much is left depends on who was quicker; it is said once.
    assert!(seen.notices("unread").len() <= 1);
    assert!(seen.attempt_ended().forced);
}

#[tokio::test]
async fn a_third_interrupt_kills() {
    let stage = Stage::new("claude", &Play { ignore: STUBBORN.into(), ..hanging() });
    let seen = interrupt(&stage, 3).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    let ended = seen.attempt_ended();
    assert_eq!((ended.signal, ended.forced), (Some(9), true));
    assert!(seen.took < Duration::from_secs(3), "{:?}", seen.took);
}

#[tokio::test]
async fn an_agent_that_ignores_everything_is_killed_at_the_top_of_the_ladder() {
    let stage = Stage::new("claude", &Play { ignore: STUBBORN.into(), ..hanging() });
    let seen = interrupt(&stage, 1).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    let ended = seen.attempt_ended();
    assert_eq!((ended.signal, ended.forced), (Some(9), true));
    let ladder = limits::STOP_NATIVE + limits::STOP_SIGINT + limits::STOP_SIGTERM;
    assert!(seen.took >= ladder && seen.took < ladder + Duration::from_secs(3), "{:?}", seen.took);
}

#[tokio::test]
async fn a_paid_answer_is_kept_when_the_agent_lingers_after_it() {
    let play = Play { ignore: STUBBORN.into(), linger_ms: 60_000, ..answer() };
    let stage = Stage::new("claude", &play);
    let seen = run(&stage.claude(), "p").await;
    assert_eq!(seen.answer(), ANSWER);
    let ended = seen.attempt_ended();
    assert_eq!((ended.signal, ended.forced, &ended.failure), (Some(9), true, &None));
    assert_eq!(seen.notices("lingers").len(), 1);
    let bound = limits::LINGER + limits::STOP_INSISTED;
    assert!(seen.took >= bound && seen.took < bound + Duration::from_secs(3), "{:?}", seen.took);
}

#[tokio::test]
async fn an_interrupt_ends_the_wait_for_an_agent_that_lingers() {
    let stage = Stage::new("claude", &Play { linger_ms: 60_000, ..answer() });
    let mut run = stage.claude().start("p");
    let records = read_to(&mut run, "text").await;
    wait_until("the stream is played", || {
        stage.agent.log().lines.contains(&belay_testkit::fake_agent::LogLine::Played)
    });
    let interrupter = run.interrupter();
    (0..2).for_each(|_| interrupter.interrupt());
    let seen = finish_after(records, run).await;
    assert_eq!(seen.answer(), ANSWER);
    assert!(seen.took < Duration::from_secs(3), "{:?}", seen.took);
}

#[tokio::test]
async fn a_program_left_behind_that_holds_stdout_does_not_hold_the_run() {
    for setsid in [true, false] {
        let grandchild = Grandchild { setsid, holds_stdout: true, seconds: 60 };
        let stage = Stage::new("claude", &Play { grandchild: Some(grandchild), ..answer() });
        let seen = run(&stage.claude(), "p").await;
        let left = Pid::from_raw(stage.agent.log().grandchild().unwrap().try_into().unwrap());
        // The supervisor, when there is one, ends it; until then the test does.
        let _ = kill_process(left.unwrap(), rustix::process::Signal::KILL);
        assert_eq!(seen.answer(), ANSWER);
        assert!(seen.took < limits::DRAIN + Duration::from_secs(2), "{:?}", seen.took);
        assert!(!seen.attempt_ended().forced);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_run_stops_its_agent_in_its_own_words() {
    let until = Until::StdinLine(r#""subtype":"interrupt""#.into());
    let stage = Stage::new("claude", &waiting(until, interrupted_turn()));
    let mut run = stage.claude().start("p");
    let pid = pid(&read_to(&mut run, "session_started").await);
    assert!(is_running(pid));
    drop(run);
    wait_until("the agent is gone", || !is_running(pid));
    assert!(stage.agent.log().stdin().iter().any(|line| line.contains("interrupt")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_nobody_waits_for_any_longer_stops_its_agent() {
    let until = Until::StdinLine(r#""subtype":"interrupt""#.into());
    let stage = Stage::new("claude", &waiting(until, interrupted_turn()));
    let client = stage.claude();
    let outcome = client.run("p");
    let began = async {
        while stage.agent.log().stdin().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        outcome = outcome => panic!("nobody has stopped it yet: {outcome:?}"),
        () = patiently(began) => {}
    }
    wait_until("the agent was interrupted and is gone", || {
        let log = stage.agent.log();
        let belay_testkit::fake_agent::LogLine::Start { pid, .. } = log.lines[0] else {
            panic!("the log begins with the start")
        };
        !is_running(pid)
    });
}

#[test]
fn the_end_of_the_runtime_is_the_end_of_the_agent() {
    let stage = Stage::new("claude", &Play { ignore: STUBBORN.into(), ..hanging() });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (run, pid) = runtime.block_on(async {
        let mut run = stage.claude().start("p");
        let pid = pid(&read_to(&mut run, "session_started").await);
        (run, pid)
    });
    drop(runtime);
    wait_until("the agent is gone", || !is_running(pid));
    let after = tokio::runtime::Runtime::new().unwrap();
    let error = after.block_on(run.outcome()).unwrap_err();
    assert_eq!(error.kind(), FailureKind::LocalIo);
}

#[tokio::test]
async fn the_turn_limit_of_an_agent_without_one_is_kept_by_belay() {
    let stream = lines("codex", "b-shell");
    let usage_at = stream.len();
    let play = Play {
        wait_for_stdin: WaitForStdin::Eof,
        pauses: vec![Pause {
            after_line: usage_at - 1,
            until: Until::Signal(Signal::Int),
            then: Vec::new(),
            resume: false,
        }],
        ..Play::lines(stream)
    };
    let stage = Stage::new("codex", &play.exit(Exit::Code(1)));
    let began = Instant::now();
    let seen = run(&stage.codex_exec(), belaykit::RunRequest::new("p").max_turns(1)).await;
    assert_eq!(seen.failure().kind, FailureKind::LimitReached);
    assert_eq!(seen.count("interrupted"), 1);
    assert!(began.elapsed() < limits::STOP_SIGINT, "{:?}", began.elapsed());
}

/// What became of each message of the caller's.
fn steered(seen: &Seen) -> Vec<(&str, bool)> {
    let steered = seen.records.iter().filter_map(|record| match &record.event {
        Event::Steered(steered) => {
            assert_eq!(steered.delivered, steered.reason.is_none());
            Some((steered.text.as_str(), steered.delivered))
        }
        _ => None,
    });
    steered.collect()
}

#[tokio::test]
async fn a_message_that_comes_after_a_stop_is_refused() {
    let until = Until::StdinLine(r#""subtype":"interrupt""#.into());
    let stage = Stage::new("claude", &waiting(until, interrupted_turn()));
    let mut run = stage.claude().start("p");
    let records = read_to(&mut run, "session_started").await;
    run.steer("in time");
    run.interrupter().interrupt();
    run.steer("too late");
    let seen = finish_after(records, run).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    assert_eq!(steered(&seen), [("too late", false), ("in time", false)]);
    let log = stage.agent.log();
    let heard = |words: &str| log.stdin().iter().any(|line| line.contains(words));
    assert_eq!((heard("in time"), heard("too late")), (true, false));
}

#[tokio::test]
async fn a_message_to_an_agent_that_answers_is_told_once() {
    let rest = lines("claude-code", "a-text").split_off(1);
    let stage = Stage::new("claude", &waiting(Until::StdinLine("look left".into()), rest));
    let mut run = stage.claude().start("p");
    let records = read_to(&mut run, "session_started").await;
    run.steer("look left");
    let seen = finish_after(records, run).await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(steered(&seen), [("look left", true)]);
    assert_eq!(seen.notices("steer"), [""; 0]);
}

#[tokio::test]
async fn a_message_to_a_one_shot_agent_is_refused_with_one_warning() {
    let until = Until::Signal(Signal::Int);
    let stage = Stage::new("claude", &waiting(until, interrupted_turn()));
    let mut run = stage.claude().transport(belaykit::Transport::Print).start("p");
    let records = read_to(&mut run, "session_started").await;
    run.steer("look left");
    run.interrupter().interrupt();
    let seen = finish_after(records, run).await;
    assert_eq!(steered(&seen), [("look left", false)]);
    assert_eq!(seen.notices("steer"), ["claude-code cannot do this while it runs"]);
}

/// A Claude that knows no `cancel_queued`: behind the stopped turn it begins the next one, for what waited.
#[tokio::test]
async fn a_turn_that_begins_after_a_stop_is_ended_at_once() {
    let mut stopped = interrupted_turn();
    stopped.extend(lines("claude-code", "b-shell").into_iter().take(12));
    let until = Until::StdinLine(r#""subtype":"interrupt""#.into());
    let stage = Stage::new("claude", &Play { linger_ms: 60_000, ..waiting(until, stopped) });
    let mut run = stage.claude().start("p");
    let records = read_to(&mut run, "session_started").await;
    run.steer("and then");
    run.interrupter().interrupt();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    assert_eq!(steered(&seen), [("and then", false)]);
    assert!(seen.took < limits::STOP_INSISTED, "{:?}", seen.took);
}

#[tokio::test]
async fn a_message_to_a_run_that_is_over_before_it_is_heard_is_told_as_lost() {
    let stage = Stage::new("claude", &answer());
    let run = stage.claude().start("p");
    let interrupter = run.interrupter();
    interrupter.interrupt();
    interrupter.steer("never heard");
    let seen = finish_after(Vec::new(), run).await;
    assert_eq!(steered(&seen), [("never heard", false)]);
    assert_eq!(seen.names().last(), Some(&"result"));
}
