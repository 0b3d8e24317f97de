//! What an agent prints, however it prints it, becomes the same events and exactly one result.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{ANSWER, Seen, Stage, answer, lines, play, run};
use belay_agents::{Agent, AttemptEnd, Exit as AgentExit, RunRequest, StreamParser, Transport};
use belay_testkit::fake_agent::{Exit, Garbage, Play, Signal, WaitForStdin};
use belay_testkit::recordings::{self, Direction, Recording};
use belaykit::trace::{CostSource, EvidenceSource, OversizedLine, Text};
use belaykit::{Claude, Client, Codex, Event, FailureKind, Record, Usage};
use std::time::Duration;

type Events = Vec<(Event, Option<belaykit::trace::ToolId>)>;

/// What the agent said: all events but those that belay makes itself.
fn said(records: &[Record]) -> Events {
    let own = [
        "run_started",
        "attempt_started",
        "permission_decision",
        "attempt_result",
        "attempt_ended",
        "result",
    ];
    let theirs = records.iter().filter(|record| !own.contains(&record.event.type_name()));
    theirs.map(|record| (record.event.clone(), record.parent_tool_id.clone())).collect()
}

/// What a parser makes of these lines.
fn parsed<'a>(
    agent: &dyn Agent,
    transport: Transport,
    lines: impl IntoIterator<Item = &'a [u8]>,
    exit: AgentExit,
) -> (Events, AttemptEnd) {
    let mut parser = StreamParser::new(agent, &RunRequest::new("p"), transport);
    let mut emitted = Vec::new();
    for line in lines {
        emitted.extend(parser.parse_bytes(line));
    }
    emitted.extend(parser.finish(exit));
    let events = emitted.into_iter().map(|e| (e.event, e.parent_tool_id)).collect();
    let mut ended = parser.take_ended().into_iter();
    let first = ended.next().unwrap();
    // What a run makes of several turns.
    let end = ended.fold(first, |mut end, next| {
        end.followed_by(next);
        end
    });
    (events, end)
}

#[track_caller]
fn assert_same(what: &str, seen: &Seen, (events, end): (Events, AttemptEnd)) {
    assert_eq!(said(&seen.records), events, "{what}");
    let result = seen.result();
    assert_eq!(result.result, end.answer, "{what}");
    let mut failure = result.failure.clone();
    // What the agent's words for the end of a limit come to today is belay's to say.
    if let Some(failure) = failure.as_mut().filter(|failure| failure.reset_hint.is_some()) {
        (failure.resets_at, failure.reset_source) = (None, None);
    }
    assert_eq!(failure, end.failure, "{what}");
    assert_eq!(result.session_id, end.session_id, "{what}");
    assert_eq!(result.structured, end.structured, "{what}");
    let mut usage = result.usage.clone();
    // belay measures the time when the agent does not report it.
    usage.duration_ms = end.usage.duration_ms.and(usage.duration_ms);
    assert_eq!(without_belays_part(usage), end.usage, "{what}");
}

/// A usage as the agent told it: without prices, and without what a run says of its parts.
fn without_belays_part(mut usage: Usage) -> Usage {
    if usage.cost_source != CostSource::Reported {
        let was_priced = usage.total_cost_usd.take().is_some();
        assert_eq!(was_priced, usage.cost_source != CostSource::Unknown);
        usage.cost_source = CostSource::Unknown;
        usage.models.clear();
    }
    for part in usage.models.values_mut() {
        assert_eq!(part.cost_source.take(), Some(CostSource::Reported));
    }
    usage.partial = false;
    usage
}

async fn check_recording(agent: &dyn Agent, transport: Transport, recording: Recording) {
    // The recorder wrote a death by a signal as no code.
    let (exit, agent_exit) = match recording.exit_code() {
        Some(code) => (Exit::Code(code), AgentExit::Code(code)),
        None => (Exit::Signal(Signal::Term), AgentExit::Signal(15)),
    };
    let program = agent.launch(&RunRequest::new("p"), transport).unwrap().program;
    let stage = Stage::new(&program, &play(&recording).exit(exit));
    let client = if program == "claude" { stage.claude() } else { stage.codex() };
    let seen = run(&client.transport(transport), "p").await;
    let stream = recording.stdout.strip_suffix(b"\n").unwrap_or(&recording.stdout);
    let lines = stream.split(|byte| *byte == b'\n');
    assert_same(&recording.name, &seen, parsed(agent, transport, lines, agent_exit));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_claude_stream_gives_its_events_and_one_result() {
    for recording in recordings::all("claude-code") {
        check_recording(&Claude::new(), Transport::Dialogue, recording).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_codex_stream_gives_its_events_and_one_result() {
    for recording in recordings::all("codex").into_iter().filter(|r| r.dialogue.is_none()) {
        check_recording(&Codex::new(), Transport::Print, recording).await;
    }
}

#[tokio::test]
async fn a_recorded_codex_dialogue_gives_the_events_of_its_first_turn() {
    let recording = recordings::one("codex", "t-appserver");
    let stage = Stage::new("codex", &Play::dialogue(recording.dialogue_path()));
    let seen = run(&stage.codex(), "run it").await;

    let mut turn = Vec::new();
    for line in recording.dialogue.unwrap() {
        if line.dir == Direction::FromAgent {
            turn.push(line.msg.to_string());
            if line.msg["method"] == "turn/completed" {
                break;
            }
        }
    }
    let turn = turn.iter().map(String::as_bytes);
    let want = parsed(&Codex::new(), Transport::Dialogue, turn, AgentExit::Code(0));
    assert_same("t-appserver", &seen, want);
    assert_eq!(seen.answer(), "Approved and done.");
    assert_eq!((seen.count("permission_request"), seen.count("permission_decision")), (1, 1));
    assert_eq!(stage.agent.log().starts(), 1);
    assert!(stage.agent.log().stdin_ended());
}

#[tokio::test]
async fn ten_megabytes_on_stderr_before_the_stream_cost_nothing() {
    let stage = Stage::new("claude", &Play { stderr_flood: 10_000_000, ..answer() });
    let seen = run(&stage.claude(), "p").await;
    assert_eq!(seen.answer(), ANSWER);
    let shown: usize = seen.notices("stderr").iter().map(|text| text.len()).sum();
    assert!((7_000..300_000).contains(&shown), "{shown}");
    assert_eq!((seen.notices("stderr_flood").len(), seen.notices("stderr_cut").len()), (1, 1));
}

#[tokio::test]
async fn ten_megabytes_on_stderr_beside_the_stream_cost_nothing() {
    let flood = "head -c 10000000 /dev/zero | tr '\\0' '!' >&2 & \"$0.agent\"; wait";
    let stage = Stage::script(&answer(), "claude", flood);
    let seen = run(&stage.claude(), "p").await;
    assert_eq!(seen.answer(), ANSWER);
    // One line, of which the beginning is kept.
    assert_eq!(seen.notices("stderr").iter().map(|text| text.len()).sum::<usize>(), 4096);
    assert_eq!(seen.notices("stderr_cut").len(), 1);
}

#[tokio::test]
async fn the_last_words_on_stderr_are_evidence_of_a_failure() {
    let script = "head -c 1000000 /dev/zero | tr '\\0' '\\n' >&2; echo 'out of cheese' >&2; exit 3";
    let stage = Stage::script(&Play::default(), "claude", script);
    let seen = run(&stage.claude(), "p").await;
    let failure = seen.failure();
    assert_eq!((failure.kind, &*failure.message), (FailureKind::InvalidRequest, "out of cheese"));
    let evidence: Vec<_> =
        failure.evidence.iter().map(|e| (e.source, &*e.name, &*e.value)).collect();
    assert_eq!(
        evidence,
        [(EvidenceSource::Exit, "code", "3"), (EvidenceSource::Text, "stderr", "out of cheese")]
    );
    assert_eq!(seen.attempt_ended().exit_code, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lines_arrive_whole_and_one_beyond_the_limit_is_said_and_passed_over() {
    let mut stream = lines("claude-code", "a-text");
    let message = stream.remove(1);
    let (mib, ten_mib) = (1 << 20, 10 << 20);
    for (at, len) in [(1, mib), (2, ten_mib)] {
        let id = format!("msg_{at}");
        let long = message.replace(ANSWER, &"x".repeat(len));
        stream.insert(at, long.replace("msg_010d7f42ffcfa04835b166c394", &id));
    }
    stream.insert(3, "x".repeat(65 << 20));
    stream.insert(4, message);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, stream.join("\n")).unwrap();
    let stage = Stage::new("claude", &Play::file(file.path()));
    let seen = run(&stage.claude(), "p").await;
    assert_eq!(seen.answer(), ANSWER);
    let texts: Vec<_> = seen
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Text(Text { text, .. }) => Some(text.len()),
            _ => None,
        })
        .collect();
    assert_eq!(texts, [mib, ten_mib, ANSWER.len()]);
    let oversized: Vec<_> = seen
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::OversizedLine(OversizedLine { bytes }) => Some(*bytes),
            _ => None,
        })
        .collect();
    assert_eq!(oversized, [65 << 20]);
}

#[tokio::test]
async fn garbage_between_the_lines_is_reported_and_the_answer_arrives() {
    let garbage = vec![
        Garbage { after_line: 0, bytes: b"npm warn deprecated\n".to_vec() },
        Garbage { after_line: 1, bytes: b"\xff\xfe\0\n{\"type\":\"news\"}\r\n\n[1]\n{\n".to_vec() },
        Garbage { after_line: 3, bytes: b"bye".to_vec() },
    ];
    let stage = Stage::new("claude", &Play { garbage, ..answer() });
    let seen = run(&stage.claude(), "p").await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(seen.notices("stdout"), ["npm warn deprecated", "\u{fffd}\u{fffd}\0", "[1]", "bye"]);
    assert_eq!(seen.count("unknown"), 2);
}

#[tokio::test]
async fn an_agent_that_says_nothing_and_exits_with_0_has_not_answered() {
    let stage = Stage::new("claude", &Play::default());
    let seen = run(&stage.claude(), "p").await;
    assert_eq!(seen.failure().kind, FailureKind::Protocol);
    let names = ["run_started", "attempt_started", "attempt_result", "attempt_ended", "result"];
    assert_eq!(seen.names(), names);
}

async fn check_cut(client: &Client, what: &str, want: FailureKind) {
    let seen = run(client, "p").await;
    assert_eq!(seen.failure().kind, want, "{what}");
    assert_eq!(seen.attempt_ended().failure.as_ref(), Some(seen.failure()), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_its_end_is_never_a_success() {
    let ways = [
        (Exit::Code(0), FailureKind::Protocol, FailureKind::Protocol),
        (Exit::Code(1), FailureKind::InvalidRequest, FailureKind::Crashed),
        (Exit::Signal(Signal::Segv), FailureKind::Crashed, FailureKind::Crashed),
    ];
    for (agent, name) in
        [("claude-code", "a-text"), ("claude-code", "f-partial"), ("codex", "b-shell")]
    {
        let recording = recordings::one(agent, name);
        let bytes = &recording.stdout;
        let result = bytes[..bytes.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
        let first = bytes.iter().position(|b| *b == b'\n').unwrap();
        // Without the last brace there is no result; without the last line feed there is one.
        let cuts =
            [1, first / 2, first, first + 1, result / 2, result, result + 1, bytes.len() - 2];
        for cut in cuts {
            for (exit, silent, spoken) in ways {
                let cut_play = Play { cut_at: Some(cut as u64), ..play(&recording) };
                let program = if agent == "codex" { "codex" } else { "claude" };
                let stage = Stage::new(program, &cut_play.exit(exit));
                let client = if program == "codex" { stage.codex_exec() } else { stage.claude() };
                let want = if cut < first { silent } else { spoken };
                check_cut(&client, &format!("{name} cut at {cut}, {exit:?}"), want).await;
            }
        }
    }
}

#[tokio::test]
async fn an_answer_without_its_last_line_feed_is_an_answer() {
    let recording = recordings::one("claude-code", "a-text");
    let cut_at = Some(recording.stdout.len() as u64 - 1);
    let stage = Stage::new("claude", &Play { cut_at, ..play(&recording) });
    assert_eq!(run(&stage.claude(), "p").await.answer(), ANSWER);
}

#[tokio::test]
async fn a_paid_answer_survives_a_lying_exit_code() {
    for exit in [Exit::Code(1), Exit::Signal(Signal::Segv)] {
        let stage = Stage::new("claude", &answer().exit(exit));
        let seen = run(&stage.claude(), "p").await;
        assert_eq!(seen.answer(), ANSWER);
        let ended = seen.attempt_ended();
        let want = match exit {
            Exit::Code(code) => (Some(code), None, false),
            Exit::Signal(_) => (None, Some(11), false),
        };
        assert_eq!((ended.exit_code, ended.signal, ended.forced), want);
    }
}

/// The second of the two lines that end a turn is behind the final result, whatever it says.
#[tokio::test]
async fn words_around_the_lines_of_a_wrapped_agent_cost_neither_answer_nor_result() {
    let script =
        r#"printf '\033]0;agent: ready\007\033[?2004hDebugger attached.'; exec "$0.agent" "$@""#;
    let plain = run(&Stage::new("claude", &answer()).claude(), "p").await;
    let seen = run(&Stage::script(&answer(), "claude", script).claude(), "p").await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(seen.notices("stdout"), ["Debugger attached."]);
    let mut names = seen.names();
    names.retain(|name| *name != "notice");
    let mut want = plain.names();
    want.retain(|name| *name != "notice");
    assert_eq!(names, want);

    let mut spoiled = lines("claude-code", "a-text");
    let end = spoiled.pop().unwrap();
    let forged = end.replace(ANSWER, "forged");
    spoiled.push(format!("it prints \"{forged}\""));
    spoiled.push(format!("words {end}{forged}"));
    spoiled.push(format!("words {forged}"));
    let play = Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(spoiled) };
    let seen = run(&Stage::new("claude", &play).claude(), "p").await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(seen.count("attempt_result"), 1);
}

/// Nothing more can be heard of it, whatever it does.
#[tokio::test]
async fn an_agent_that_closes_its_output_and_lives_on_is_ended_soon() {
    let init = lines("claude-code", "a-text").remove(0);
    let script = format!("read -r p; printf '%s\\n' '{init}'; exec >&-; sleep 60");
    let stage = Stage::script(&Play::default(), "claude", &script);
    let seen = run(&stage.claude(), "p").await;
    assert_eq!(seen.failure().kind, FailureKind::Protocol, "{:?}", seen.failure());
    assert!(seen.failure().message.contains("closed its standard output"), "{:?}", seen.failure());
    assert!(seen.took < Duration::from_secs(30), "{:?}", seen.took);
}

/// belaykit's `RawJSON`, for a program that asks for it.
#[tokio::test]
async fn a_record_carries_its_agents_line_where_no_journal_has_it() {
    let stage = Stage::new("claude", &answer());
    let state = tempfile::tempdir().unwrap();
    for (client, carries) in [
        (stage.claude().raw_lines(), true),
        (stage.claude(), false),
        (stage.claude().raw_lines().state_dir(state.path()), false),
    ] {
        let records = run(&client, "p").await.records;
        let lines: Vec<_> = records.iter().filter_map(|record| record.raw_line.as_ref()).collect();
        assert_eq!(!lines.is_empty(), carries);
        for record in &records {
            assert!(record.raw.is_none() || record.raw_line.is_none());
            if let Some(line) = &record.raw_line {
                assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
                let own = matches!(record.event, Event::RunStarted(_) | Event::Result(_));
                assert!(!own, "belay's own event has none: {record:?}");
            }
        }
        let text = records.iter().find(|record| matches!(record.event, Event::Text(_))).unwrap();
        assert_eq!(text.raw_line.is_some(), carries);
    }
}
