//! What an agent starts and leaves behind, with a supervisor and without.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::fake_run::{
    ANSWER, Seen, Stage, answer, finish_after, hanging, is_running, read_to, run, wait_until,
};
use belay_testkit::fake_agent::{Grandchild, Pace, Play};
use belaykit::trace::{Containment, LeftProcess};
use belaykit::{Claude, Client, Event, FailureKind, IdleLimits, RunRequest};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::time::{Duration, Instant};

/// A program in a session of its own that would live for a minute.
fn leaving() -> Play {
    let grandchild = Grandchild { setsid: true, holds_stdout: false, seconds: 60 };
    Play { grandchild: Some(grandchild), ..answer() }
}

fn containment(seen: &Seen) -> Containment {
    let started = seen.records.iter().find_map(|record| match &record.event {
        Event::AttemptStarted(started) => started.containment,
        _ => None,
    });
    started.unwrap()
}

fn left(seen: &Seen) -> &[LeftProcess] {
    &seen.attempt_ended().left
}

/// The run has answered, and what its agent had left running was ended and named.
#[track_caller]
fn was_swept(seen: &Seen, stage: &Stage) {
    assert_eq!(seen.answer(), ANSWER);
    let pid = stage.agent.log().grandchild().unwrap();
    assert!(matches!(left(seen), [process] if process.pid == pid && process.killed), "{seen:#?}");
    wait_until("it is gone", || !is_running(pid));
}

#[tokio::test]
async fn what_an_agent_leaves_running_is_ended_and_named() {
    let stage = Stage::new("claude", &leaving());
    let seen = run(&stage.claude(), "p").await;
    assert_eq!(containment(&seen), Containment::Subreaper);
    was_swept(&seen, &stage);
}

#[tokio::test]
async fn without_a_supervisor_it_is_found_by_its_mark_and_the_record_says_how_weak_that_is() {
    let stage = Stage::new("claude", &leaving());
    let seen = run(&Client::new(Claude::new()).env(stage.env()), "p").await;
    assert_eq!(containment(&seen), Containment::ProcessGroup);
    was_swept(&seen, &stage);
}

#[tokio::test]
async fn a_server_that_is_to_go_on_goes_on_and_is_named() {
    for supervised in [true, false] {
        let stage = Stage::new("claude", &leaving());
        let client = match supervised {
            true => stage.claude(),
            false => Client::new(Claude::new()).env(stage.env()),
        };
        let seen = run(&client, RunRequest::new("p").leave_running(true)).await;
        assert_eq!(seen.answer(), ANSWER);
        let pid = stage.agent.log().grandchild().unwrap();
        assert!(matches!(left(&seen), [process] if process.pid == pid && !process.killed));
        assert!(is_running(pid));
        let raw = Pid::from_raw(pid.try_into().unwrap()).unwrap();
        kill_process(raw, Signal::KILL).unwrap();
    }
}

#[tokio::test]
async fn a_supervisor_that_is_none_is_done_without_and_that_is_said() {
    for supervisor in ["/nowhere/belay-supervisor", "/bin/true", "/bin/cat"] {
        let stage = Stage::new("claude", &answer());
        let seen = run(&stage.claude().supervisor(supervisor), "p").await;
        assert_eq!(seen.answer(), ANSWER);
        assert_eq!(containment(&seen), Containment::ProcessGroup);
        assert!(seen.notices("containment")[0].contains(supervisor), "{seen:#?}");
    }
}

#[tokio::test]
async fn a_killed_supervisor_costs_the_run_and_leaves_nothing_running() {
    let grandchild = Grandchild { setsid: true, holds_stdout: true, seconds: 60 };
    let stage = Stage::new("claude", &Play { grandchild: Some(grandchild), ..hanging() });
    let mut run = stage.claude().start("p");
    let records = read_to(&mut run, "session_started").await;
    let agent = crate::fake_run::pid(&records);
    kill_process(parent(agent), Signal::KILL).unwrap();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.failure().kind, FailureKind::Crashed, "{seen:#?}");
    assert_eq!(seen.notices("containment").len(), 1);
    let grandchild = stage.agent.log().grandchild().unwrap();
    wait_until("both are gone", || !is_running(agent) && !is_running(grandchild));
}

fn parent(pid: u32) -> Pid {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    Pid::from_raw(parent.trim().parse().unwrap()).unwrap()
}

#[tokio::test]
async fn an_agent_that_is_silent_is_warned_of_and_stopped() {
    let stage = Stage::new("claude", &hanging());
    let request = RunRequest::new("p").idle(IdleLimits::all(Duration::from_secs(3)));
    let seen = run(&stage.claude(), request).await;
    assert_eq!(seen.failure().kind, FailureKind::Stalled);
    assert_eq!(seen.failure().message, "no progress for 3 s while it waits for the model");
    assert_eq!(seen.notices("idle").len(), 1, "{seen:#?}");
    assert_eq!(seen.count("interrupted"), 1);
}

/// Everything that is printed while nothing happens: blank lines, words, what belay does not know, heartbeats.
fn noise() -> Vec<String> {
    let lines = [
        "",
        "still here",
        r#"{"type":"keep_alive"}"#,
        r#"{"type":"news","n":1}"#,
        r#"{"type":"stream_event","session_id":"s","event":{"type":"ping"}}"#,
        r#"{"type":"system","subtype":"thinking_tokens","estimated_tokens":9,"estimated_tokens_delta":1}"#,
        r#"{"type":"tool_progress","tool_use_id":"t1-heartbeat-0","tool_name":"Bash","parent_tool_use_id":"t1","elapsed_time_seconds":30,"heartbeat":true}"#,
    ];
    lines.into_iter().cycle().take(60).map(str::to_owned).collect()
}

/// Plays a beginning, and then noise for half a minute.
fn noisy(beginning: &[&str]) -> Play {
    let lines: Vec<String> =
        beginning.iter().map(|line| (*line).to_owned()).chain(noise()).collect();
    let at = (0..lines.len()).map(|n| 500.0 * n.saturating_sub(beginning.len()) as f64);
    let pace = Pace::RecordedMs(at.collect());
    Play { pace, linger_ms: 60_000, ..Play::lines(lines) }
}

const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s"}"#;

#[tokio::test]
async fn noise_is_no_progress_in_any_phase() {
    let call = r#"{"type":"assistant","session_id":"s","message":{"id":"m","model":"x","content":[{"type":"tool_use","id":"t1","name":"Bash","input":{}}]}}"#;
    let limit = Duration::from_secs(3);
    for (beginning, limits, words) in [
        (&[][..], "start=3s", "since it was started"),
        (&[INIT][..], "model=3s", "while it waits for the model"),
        (&[INIT, call][..], "tool=3s", "while a tool runs"),
    ] {
        let stage = Stage::new("claude", &noisy(beginning));
        let request = RunRequest::new("p").idle(limits.parse().unwrap());
        let since = Instant::now();
        let seen = run(&stage.claude(), request).await;
        assert_eq!(seen.failure().kind, FailureKind::Stalled, "{seen:#?}");
        assert_eq!(seen.failure().message, format!("no progress for 3 s {words}"));
        assert!(since.elapsed() >= limit, "{words}");
    }
}

/// What a Claude prints that hangs in a loop of its own: empty pieces, its state once more, results of no call.
#[tokio::test]
async fn what_is_empty_or_said_again_is_no_progress() {
    let call = r#"{"type":"assistant","session_id":"s","message":{"id":"m","model":"x","content":[{"type":"tool_use","id":"t1","name":"Bash","input":{}}]}}"#;
    let again = [
        INIT,
        call,
        r#"{"type":"stream_event","session_id":"s","event":{"type":"message_start","message":{"id":"m"}}}"#,
        r#"{"type":"stream_event","session_id":"s","event":{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}}"#,
        r#"{"type":"stream_event","session_id":"s","event":{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}}"#,
        r#"{"type":"stream_event","session_id":"s","event":{"type":"message_delta","delta":{},"usage":{"output_tokens":7}}}"#,
        r#"{"type":"user","session_id":"s","message":{"content":[{"type":"tool_result","tool_use_id":"t9","content":"x"}]}}"#,
        r#"{"type":"system","subtype":"task_progress","session_id":"s","task_id":"x","tool_use_id":"t9","usage":{"total_tokens":1}}"#,
        r#"{"type":"system","subtype":"status","status":"compacting","session_id":"s"}"#,
    ];
    let lines: Vec<String> = again.into_iter().cycle().take(400).map(str::to_owned).collect();
    let pace = Pace::RecordedMs((0..lines.len()).map(|n| 50.0 * n as f64).collect());
    let stage = Stage::new("claude", &Play { pace, linger_ms: 60_000, ..Play::lines(lines) });
    let request = RunRequest::new("p").idle(IdleLimits::all(Duration::from_secs(3)));
    let seen = run(&stage.claude(), request).await;
    assert_eq!(seen.failure().kind, FailureKind::Stalled, "{:?}", seen.failure());
    assert!(seen.took < Duration::from_secs(10), "{:?}", seen.took);
}

/// Claude streams the pieces of a thought that it does not tell: no words, and yet progress.
#[tokio::test]
async fn a_response_without_words_is_progress() {
    let piece = r#"{"type":"stream_event","session_id":"s","event":{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}}"#;
    let mut lines = vec![INIT.to_owned()];
    lines.extend(std::iter::repeat_n(piece.to_owned(), 10));
    lines.push(r#"{"type":"result","subtype":"success","is_error":false,"num_turns":1,"session_id":"s","result":"yes"}"#.to_owned());
    let pace = Pace::RecordedMs((0..lines.len()).map(|n| 500.0 * n as f64).collect());
    let stage = Stage::new("claude", &Play { pace, ..Play::lines(lines) });
    let request = RunRequest::new("p").idle("model=3s".parse().unwrap());
    let seen = run(&stage.claude(), request).await;
    assert_eq!(seen.answer(), "yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_freezes_the_agent_and_counts_for_no_limit() {
    let stage = Stage::new("claude", &hanging());
    let limits = IdleLimits::all(Duration::from_secs(2));
    let request = RunRequest::new("p").idle(limits).timeout(Duration::from_secs(4));
    let mut run = stage.claude().start(request);
    let records = read_to(&mut run, "session_started").await;
    let agent = crate::fake_run::pid(&records);
    run.interrupter().pause().await;
    let state = || fs::read_to_string(format!("/proc/{agent}/stat")).unwrap();
    wait_until("it is frozen", || state().contains(") T "));
    // Longer than both limits.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(state().contains(") T "));
    run.interrupter().resume();
    wait_until("it goes on", || !state().contains(") T "));
    let seen = finish_after(records, run).await;
    // The shorter limit is reached first, as if nothing had been.
    assert_eq!(seen.failure().kind, FailureKind::Stalled, "{seen:#?}");
    assert_eq!(seen.failure().message, "no progress for 2 s while it waits for the model");
}
