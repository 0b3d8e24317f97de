//! What is an answer and what is progress, on the real agents.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::real_run::{Played, Stage, Way, on};
use belay_testkit::mcp_server::{SILENT, mcp_server_binary};
use belay_testkit::model_server::{Reply, Script, StopReason};
use belaykit::trace::StopReason as Stopped;
use belaykit::{Event, FailureKind, IdleLimits, McpServer, Permissions, RunRequest};
use serde_json::json;
use std::time::Duration;

const HALF: &str = "Half of an answer";

fn a_model_that_says_nothing_has_not_answered(stage: &Stage) {
    let played = stage.play(Script::new().forever(Reply::new()), "PROMPT");
    played.failed(FailureKind::Protocol);
}
on!(a_model_that_says_nothing_has_not_answered: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

/// Gemini is left out: there silence is what becomes of a response that broke off.
fn silence_behind_tools_is_an_empty_answer_and_said(stage: &Stage) {
    let script = Script::new().reply(Reply::text("I look.").shell("echo hi")).forever(Reply::new());
    let played = stage.play(script, RunRequest::new("PROMPT").permissions(Permissions::Full));
    played.answered("");
    assert_eq!(codes(&played, "empty_answer"), 1, "{played:#?}");
    assert_eq!(played.of_type("attempt_started").len(), 1);
}
on!(silence_behind_tools_is_an_empty_answer_and_said: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, qwen, copilot);

fn codes(played: &Played, code: &str) -> usize {
    played.notices().into_iter().filter(|(known, _)| *known == code).count()
}

/// What came of the answer is kept. Gemini and Qwen end such a turn like any other, and write down nowhere how it ended;
/// `codex exec` tells no words before they are whole.
fn what_a_model_declines_is_refused(stage: &Stage) {
    let declined = Reply::text(HALF).stop(StopReason::Refusal);
    let played = stage.play(Script::new().forever(declined), "PROMPT");
    played.failed(FailureKind::Refused);
    assert_eq!(played.outcome().text, HALF, "{played:#?}");
}
on!(what_a_model_declines_is_refused: claude; claude_print, codex, opencode, opencode_run, pi, pi_print, copilot);

fn what_a_model_declines_at_once_is_refused(stage: &Stage) {
    let declined = Reply::new().stop(StopReason::Refusal);
    let played = stage.play(Script::new().forever(declined), "PROMPT");
    played.failed(FailureKind::Refused);
}
on!(what_a_model_declines_at_once_is_refused: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, copilot);

fn what_a_provider_flags_is_refused(stage: &Stage) {
    for code in ["invalid_prompt", "content_policy_violation"] {
        let played = stage.play(Script::new().forever(Reply::flagged(code)), "PROMPT");
        played.failed(FailureKind::Refused);
    }
}
on!(what_a_provider_flags_is_refused: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, qwen, copilot);

fn a_command_of_the_agents_own_asks_no_model(stage: &Stage) {
    let played = stage.play(Script::new(), "/cost");
    assert!(played.outcome.is_ok(), "{played:#?}");
    assert_eq!((codes(&played, "no_model"), played.requests.len()), (1, 0), "{played:#?}");
}
on!(a_command_of_the_agents_own_asks_no_model: claude; claude_print);

fn stalled_in_its_tool(played: &Played) {
    let error = played.failed(FailureKind::Stalled);
    assert!(error.failure().message.contains("while a tool runs"), "{error}");
    let stops: Vec<_> = played
        .events()
        .filter_map(|e| if let Event::Interrupted(stop) = e { Some(stop.reason) } else { None })
        .collect();
    assert_eq!(stops, [Stopped::Stalled], "{played:#?}");
}

/// Claude says every 30 s that the tool is still running.
fn a_heartbeat_does_not_hide_a_hang(stage: &Stage) {
    let script = Script::new().forever(Reply::new().shell("tail -f /dev/null"));
    let idle: IdleLimits = "tool=34s".parse().unwrap();
    let request = RunRequest::new("PROMPT").permissions(Permissions::Full).idle(idle);
    let played = stage.play(script, request);
    stalled_in_its_tool(&played);
    assert_eq!(played.of_type("tool_progress").len(), 1, "{played:#?}");
}
on!(a_heartbeat_does_not_hide_a_hang: claude; claude_print);

/// `opencode run` tells a call when it has returned, and so there the model's limit ends it.
fn a_server_that_never_answers_ends_at_the_tools_limit(stage: &Stage) {
    let idle: IdleLimits = "tool=4s".parse().unwrap();
    let program = mcp_server_binary().unwrap();
    // OpenCode and Qwen do not wait for their servers before the first request.
    let thinks =
        Duration::from_secs(if matches!(stage.way, Way::Qwen | Way::OpenCode) { 4 } else { 0 });
    for n in 1..=4 {
        let server = McpServer::command(program.to_string_lossy(), [""; 0]).env(SILENT, "1");
        let request = RunRequest::new("PROMPT").mcp_server("dict", server).idle(idle);
        let call = Reply::new().mcp_tool("dict", "lookup", json!({"word": "rope"})).delay(thinks);
        let played =
            stage.play(Script::new().reply(call).forever(Reply::text("Never said.")), request);
        let too_early =
            played.calls().first().is_some_and(|call| call.args.get().contains("unavailable tool"));
        if n == 4 || !too_early {
            assert_eq!(played.calls()[0].name, "mcp__dict__lookup");
            return stalled_in_its_tool(&played);
        }
    }
}
on!(a_server_that_never_answers_ends_at_the_tools_limit: claude; claude_print, codex, codex_exec, opencode, pi, gemini, qwen, copilot);
