//! An agent that asks for a permission when nobody is there gets its answer at once, from the policy.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Stage, on};
use belay_testkit::model_server::{Reply, Script};
use belaykit::trace::DecisionSource;
use belaykit::{Decision, Event, RunRequest};
use serde_json::json;

/// A file outside the project.
fn an_ask_for_what_lies_outside_is_denied_at_once(stage: &Stage) {
    let outside = stage.sandbox.home().join("outside.txt");
    let path = outside.to_string_lossy().into_owned();
    let call = match stage.way.is_codex() {
        true => {
            let command = format!("echo hi > {path}");
            let (permissions, why) = ("require_escalated", "the file is outside");
            let input =
                json!({"cmd": command, "sandbox_permissions": permissions, "justification": why});
            Reply::new().tool("exec_command", input)
        }
        false => Reply::new().write_file(path, "hi"),
    };
    let stage = &stage.with_policy("on-request", "read-only");
    let script = Script::new().reply(call).reply(Reply::text("I may not."));
    let played = stage.play(script, RunRequest::new("PROMPT"));
    played.answered("I may not.");
    assert_eq!(played.of_type("permission_request").len(), 1, "{played:#?}");
    let decided = played.events().find_map(|event| match event {
        Event::PermissionDecision(decision) => Some((decision.decision, decision.by)),
        _ => None,
    });
    assert_eq!(decided, Some((Decision::Deny, DecisionSource::Policy)));
    assert_eq!(played.outcome.as_ref().unwrap().denials.len(), 1, "{played:#?}");
    assert!(!outside.exists());
}
on!(an_ask_for_what_lies_outside_is_denied_at_once: claude; codex, opencode);
