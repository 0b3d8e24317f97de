//! Real agents whose stream does not tell how their turn ended: the other witness is asked, and nothing runs twice.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, Stage, TOKENS, on};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belaykit::{IdleLimits, Permissions, RunRequest};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

/// The events are lost while this runs.
const DEPLOY: &str = "touch cut; python3 -c 'import time; time.sleep(2)'; echo x >> deployed";

fn deployed() -> Script {
    let deploy = Reply::text("I deploy.").shell(DEPLOY).usage(TOKENS);
    Script::new().reply(deploy).reply(Reply::text("Deployed version 7.").usage(TOKENS))
}

/// Runs a deployment behind a proxy that loses the events of the server.
fn behind_proxy(stage: &Stage, mode: &str, request: RunRequest) -> Played {
    let program = stage.program.program.to_string_lossy();
    let proxy = include_str!("events_cut.py");
    let proxy = proxy.replace("@PROGRAM@", &program).replace("@MODE@", mode);
    let path = stage.sandbox.home().join("opencode");
    fs::write(&path, proxy).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
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
