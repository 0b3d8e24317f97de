//! Answers of a wanted shape, on the real agents.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::pi_run::pi_run;
use crate::real_run::{Played, Stage, Way, on};
use belay_testkit::model_server::{Reply, Script};
use belaykit::{FailureKind, Outcome, RunRequest, Transport};
use serde_json::{Value, json};

const VALUE: &str = r#"{"colour":"red","count":3}"#;

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": { "colour": { "type": "string" }, "count": { "type": "integer" } },
        "required": ["colour", "count"],
        "additionalProperties": false,
    })
}

fn request() -> RunRequest {
    RunRequest::new("What is it?").output_schema(schema())
}

/// The model gives this value in the way that the agent wants it.
fn giving(way: Way, script: Script, value: &str) -> Script {
    let tool = || Reply::new().tool("StructuredOutput", serde_json::from_str(value).unwrap());
    match way {
        Way::Claude | Way::ClaudePrint => script.reply(tool()).reply(Reply::text("Given.")),
        Way::OpenCode => script.reply(tool()),
        Way::Codex | Way::CodexExec => script.reply(Reply::text(value)),
        Way::OpenCodeRun | Way::Pi | Way::PiPrint | Way::Gemini | Way::Qwen | Way::Copilot => {
            script.reply(Reply::text(format!("Here:\n```json\n{value}\n```")))
        }
    }
}

#[track_caller]
fn is_value(outcome: &Outcome) {
    let value: Value = serde_json::from_str(VALUE).unwrap();
    assert_eq!(outcome.structured.as_ref().unwrap().to_value(), value);
}

fn attempts(played: &Played) -> usize {
    played.of_type("attempt_started").len()
}

fn the_answer_has_the_wanted_shape(stage: &Stage) {
    let played = stage.play(giving(stage.way, Script::new(), VALUE), request());
    is_value(played.outcome.as_ref().unwrap_or_else(|error| panic!("{error}: {played:#?}")));
    assert_eq!(attempts(&played), 1, "{played:#?}");
    assert_eq!(played.exhausted, [] as [&str; 0]);
    assert_eq!(played.result().structured, played.outcome().structured);
    // The agent, or else the prompt, has told the model.
    assert!(played.requests[0].body.to_string().contains("additionalProperties"));
    let prompted = played.requests[0].body.to_string().contains("fits this JSON Schema");
    assert_eq!(prompted, matches!(stage.way, Way::OpenCodeRun | Way::Copilot) || stage.way.is_pi());
}
on!(the_answer_has_the_wanted_shape: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, copilot);

fn an_answer_of_another_shape_is_mended_once(stage: &Stage) {
    let wrong = Reply::text(r#"{"colour":"red","count":"three"}"#);
    let wrong = match stage.way.is_claude() {
        // Claude itself asks once more for the tool to be called.
        true => Script::new().reply(wrong.clone()).reply(wrong),
        false => Script::new().reply(wrong),
    };
    let played = stage.play(giving(stage.way, wrong, VALUE), request());
    let outcome = played.outcome.as_ref().unwrap_or_else(|error| panic!("{error}: {played:#?}"));
    is_value(outcome);
    assert_eq!(attempts(&played), 2, "{played:#?}");
    let told = played.requests.iter().any(|request| {
        let body = request.body.to_string();
        body.contains("/count:") && body.contains("What is it?")
    });
    assert!(told, "in the same session, with what is wrong: {:#?}", played.requests);
    let (code, words) =
        played.notices().into_iter().find(|(code, _)| *code == "schema_repair").unwrap();
    assert!(words.contains("is not of type"), "{code} {words}");
    // Every request is paid for. What a resumed turn has used `codex exec` does not tell.
    if stage.way == Way::CodexExec {
        return;
    }
    let requests = u64::try_from(played.requests.len()).unwrap();
    assert_eq!(outcome.usage.output_tokens, Some(10 * requests), "{played:#?}");
}
on!(an_answer_of_another_shape_is_mended_once: claude; codex, codex_exec, opencode_run, pi, copilot);

fn an_answer_that_stays_so_is_a_failure_and_is_kept(stage: &Stage) {
    let played = stage.play(Script::new().forever(Reply::text("I would rather not.")), request());
    let error = played.failed(FailureKind::OutputLimit);
    assert!(error.to_string().contains("there is no JSON in the answer"), "{error}");
    assert_eq!((error.outcome().text.as_str(), attempts(&played)), ("I would rather not.", 2));
    assert_eq!(error.outcome().structured, None);
}
on!(an_answer_that_stays_so_is_a_failure_and_is_kept: claude; codex, opencode_run);

/// OpenCode knows it before belay does.
fn an_agent_that_gets_no_value_from_its_model_says_so(stage: &Stage) {
    let played = stage.play(Script::new().forever(Reply::text("I would rather not.")), request());
    let error = played.failed(FailureKind::OutputLimit);
    assert_eq!(error.outcome().text, "I would rather not.", "{played:#?}");
}
on!(an_agent_that_gets_no_value_from_its_model_says_so: opencode);

/// Providers take objects alone; what else there is, the prompt says.
fn a_shape_that_agents_do_not_take_is_belays(stage: &Stage) {
    let list = json!({"type": "array", "items": {"type": "integer"}});
    let request = RunRequest::new("Count.").output_schema(list);
    let played = stage.play(Script::new().reply(Reply::text("So: [1, 2].")), request);
    let outcome = played.answered("So: [1, 2].");
    assert_eq!(outcome.structured.as_ref().unwrap().to_value(), json!([1, 2]));
}
on!(a_shape_that_agents_do_not_take_is_belays: claude; codex, opencode);

#[test]
fn pi_gives_an_answer_of_the_wanted_shape() {
    let test = "pi_gives_an_answer_of_the_wanted_shape";
    for transport in [Transport::Dialogue, Transport::Print] {
        let script = Script::new().reply(Reply::text("Red!")).reply(Reply::text(VALUE));
        let Some(run) = pi_run(test, transport, script, request()) else { return };
        is_value(&run.outcome.unwrap());
        let told = run.requests[1].body.to_string();
        assert!(told.contains("What is it?") && told.contains("there is no JSON in the answer"));
    }
}
