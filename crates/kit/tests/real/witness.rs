//! Real agents whose stream does not tell how their turn ended: the other witness is asked, and nothing runs twice.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, Stage, TOKENS, on};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belaykit::{IdleLimits, Permissions, Policy, RunRequest};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

/// The events are lost while this runs.
const DEPLOY: &str = "touch cut; python3 -c 'import time; time.sleep(2)'; echo x >> deployed";

fn deployed() -> Script {
    let deploy = Reply::text("I deploy.").shell(DEPLOY).usage(TOKENS);
    Script::new().reply(deploy).reply(Reply::text("Deployed version 7.").usage(TOKENS))
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a deployment behind a proxy that loses the events of the server.
fn behind_proxy(stage: &Stage, mode: &str, request: RunRequest) -> Played {
    let program = stage.program.program.to_string_lossy();
    let proxy = include_str!("events_cut.py");
    let proxy = proxy.replace("@PROGRAM@", &program).replace("@MODE@", mode);
    let path = stage.sandbox.home().join("opencode");
    executable(&path, &proxy);
    let server = ModelServer::start(deployed()).unwrap();
    let client = stage.client(&server).program(path);
    stage.play_on(&server, &client, request, |_, _| {})
}

#[track_caller]
fn has_deployed_once(stage: &Stage, played: &Played) {
    let outcome = played.answered("Deployed version 7.");
    assert_eq!(fs::read_to_string(stage.file("deployed")).unwrap(), "x\n");
    assert_eq!(played.requests.len(), 2, "{played:#?}");
    let counts =
        ["tool_call", "tool_result", "turn_started"].map(|name| played.of_type(name).len());
    assert_eq!(counts, [1, 1, 2], "{played:#?}");
    assert_eq!(played.said(), "I deploy.Deployed version 7.");
    assert_eq!(outcome.usage.output_tokens, Some(2 * TOKENS.output));
    assert_eq!(outcome.usage.num_turns, Some(2));
}

fn events_that_are_cut_in_a_tool_are_opened_again(stage: &Stage) {
    let request = RunRequest::new("PROMPT").permissions(Permissions::Full);
    let played = behind_proxy(stage, "cut", request);
    has_deployed_once(stage, &played);
    assert!(played.notices().iter().any(|(code, _)| *code == "events_ended"), "{played:#?}");
}
on!(events_that_are_cut_in_a_tool_are_opened_again: opencode);

fn events_that_fall_silent_in_a_tool_are_doubted(stage: &Stage) {
    let mut idle = IdleLimits::default();
    idle.tool = Some(Duration::from_secs(12));
    let request = RunRequest::new("PROMPT").permissions(Permissions::Full).idle(idle);
    has_deployed_once(stage, &behind_proxy(stage, "silent", request));
}
on!(events_that_fall_silent_in_a_tool_are_doubted: opencode);

/// Runs a deployment behind a relay that loses the end of what the agent prints, its answer included.
fn behind_relay(stage: &Stage, mode: &str, script: Script) -> Played {
    let program = stage.program.program.to_string_lossy();
    let relay = include_str!("relay.py");
    let relay = relay.replace("@PROGRAM@", &program).replace("@MODE@", mode);
    let path = stage.sandbox.home().join("relay");
    executable(&path, &relay.replace("@WORD@", "Deployed"));
    let server =
        ModelServer::start(script.forever(Reply::text("Once more").usage(TOKENS))).unwrap();
    let client = stage.client(&server).policy(Policy::default()).program(path);
    let mut idle = IdleLimits::default();
    (idle.model, idle.tool) = (Some(Duration::from_secs(30)), Some(Duration::from_secs(30)));
    let request = RunRequest::new("PROMPT").permissions(Permissions::Full).idle(idle);
    stage.play_on(&server, &client, request, |_, _| {})
}

/// The model deploys once, and says so.
fn deploys() -> Script {
    let deploy = Reply::text("I deploy.").shell("echo x >> deployed").usage(TOKENS);
    Script::new().reply(deploy).reply(Reply::text("Deployed").usage(TOKENS))
}

#[track_caller]
fn has_answered_from_its_file(stage: &Stage, played: &Played) {
    played.answered("Deployed");
    assert_eq!(fs::read_to_string(stage.file("deployed")).unwrap(), "x\n");
    assert_eq!((played.requests.len(), played.of_type("attempt_started").len()), (2, 1));
    let counts =
        ["tool_call", "tool_result", "attempt_result"].map(|name| played.of_type(name).len());
    assert_eq!(counts, [1, 1, 1], "{played:#?}");
    assert_eq!(played.said(), "I deploy.Deployed");
    let usage = &played.outcome().usage;
    assert_eq!(usage.output_tokens, Some(2 * TOKENS.output), "{played:#?}");
    assert!(!usage.partial, "{played:#?}");
    assert!(played.notices().iter().any(|(code, _)| *code == "witness"), "{played:#?}");
}

fn an_agent_that_is_killed_before_its_answer_is_seen_has_answered(stage: &Stage) {
    has_answered_from_its_file(stage, &behind_relay(stage, "killed", deploys()));
}
on!(an_agent_that_is_killed_before_its_answer_is_seen_has_answered: claude, codex, pi, qwen, copilot; claude_print, codex_exec, pi_print);

fn an_answer_that_the_stream_loses_is_no_stall(stage: &Stage) {
    has_answered_from_its_file(stage, &behind_relay(stage, "silent", deploys()));
}
on!(an_answer_that_the_stream_loses_is_no_stall: claude; claude_print, codex, codex_exec, pi, pi_print, qwen, copilot);

/// The first turn was reported with its cost; the second one, and what the subagent has used, stand in the files alone.
fn a_report_that_the_stream_loses_is_paid_for(stage: &Stage) {
    let input = serde_json::json!({
        "description": "deploy", "prompt": "SUB-PROMPT", "subagent_type": "general-purpose",
        "run_in_background": true,
    });
    let script = Script::new()
        .when("SUB-PROMPT", Reply::text("SUB REPORT").usage(TOKENS).delay(Duration::from_secs(1)))
        .reply(Reply::text("I delegate.").tool("Task", input).usage(TOKENS))
        .reply(Reply::text("It is under way.").usage(TOKENS))
        .reply(Reply::text("Deployed").usage(TOKENS));
    let played = behind_relay(stage, "killed", script);
    let outcome = played.answered("Deployed");
    assert_eq!((played.requests.len(), played.of_type("attempt_started").len()), (4, 1));
    assert_eq!(outcome.usage.output_tokens, Some(4 * TOKENS.output), "{played:#?}");
    let cost = outcome.usage.total_cost_usd.unwrap();
    assert!((cost - 4.0 * 0.0087).abs() < 1e-9, "{cost}: {played:#?}");
}
on!(a_report_that_the_stream_loses_is_paid_for: claude; claude_print);

/// Keeps what an agent has printed and written down, for `recordings/`.
fn a_session_is_recorded(stage: &Stage) {
    let Some(to) = std::env::var_os("BELAY_RECORD") else { return };
    let request = RunRequest::new("PROMPT").permissions(Permissions::Full);
    let shell = Reply::text("I look.").shell("echo hi").usage(TOKENS);
    let played =
        stage.play(Script::new().reply(shell).reply(Reply::text("Done.").usage(TOKENS)), request);
    played.answered("Done.");
    let to = std::path::PathBuf::from(to).join(format!("{:?}", stage.way));
    fs::create_dir_all(&to).unwrap();
    let home = stage.sandbox.home();
    let copy = std::process::Command::new("cp").arg("-r").arg(home).arg(&to).status().unwrap();
    assert!(copy.success());
}
on!(a_session_is_recorded: claude, codex, pi, gemini, qwen, copilot);
