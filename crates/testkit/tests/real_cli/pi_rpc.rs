//! Pi 1.5.2 with `--mode rpc` against the model server: the commands that its driver gives.

use belay_testkit::model_server::{ModelServer, Reply, Script};
use belay_testkit::real::{self, Sandbox, skip_unless_installed};
use serde_json::{Value, json};

use super::talk::Talk;

/// A running Pi; its home goes when it is dropped.
struct Stage {
    talk: Talk,
    model: ModelServer,
    _sandbox: Sandbox,
}

impl Stage {
    fn enter(test: &str, script: Script) -> Option<Self> {
        let agent = skip_unless_installed(real::pi(), "pi", test)?;
        let (sandbox, model) = (Sandbox::new().unwrap(), ModelServer::start(script).unwrap());
        let env = sandbox.env_for_pi(&model).unwrap();
        let args = ["--mode", "rpc", "--offline", "--model", "lab/mock-model"];
        let talk = Talk::start(&agent.program, &args, &env, sandbox.project());
        Some(Self { talk, model, _sandbox: sandbox })
    }

    /// Gives a command and returns its response.
    #[track_caller]
    fn ask(&mut self, command: Value) -> Value {
        self.talk.say(&command);
        let id = command["id"].clone();
        let mut heard = self.talk.hear(|line| line["type"] == "response" && line["id"] == id);
        heard.pop().unwrap()
    }

    fn prompt(&mut self, text: &str) {
        let answer = self.ask(json!({ "id": "p", "type": "prompt", "message": text }));
        assert_eq!(answer["success"], true, "{answer}");
        assert_eq!(answer["data"], json!({ "disposition": "started" }));
    }
}

fn is(kind: &'static str) -> impl Fn(&Value) -> bool {
    move |line| line["type"] == kind
}

#[test]
fn a_prompt_is_answered_and_settles() {
    let script = Script::new().reply(Reply::text("Hello there."));
    let Some(mut stage) = Stage::enter("pi_rpc::a_prompt", script) else { return };
    let state = stage.ask(json!({ "id": "s", "type": "get_state" }));
    assert!(state["data"]["sessionId"].is_string(), "{state}");
    stage.prompt("PROMPT");
    let heard = stage.talk.hear(is("agent_settled"));
    let deltas = heard.iter().map(|line| &line["assistantMessageEvent"]);
    let said = deltas.filter(|event| event["type"] == "text_delta");
    let said: String = said.map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(said, "Hello there.");
    let stats = stage.ask(json!({ "id": "t", "type": "get_session_stats" }));
    assert_eq!(stats["data"]["tokens"]["total"], 110);
    assert_eq!(stage.talk.end().code(), Some(0));
}

#[test]
fn what_is_started_is_pi_itself() {
    let Some(mut stage) = Stage::enter("pi_rpc::what_is_started", Script::new()) else { return };
    // Once it answers, the launcher has become it.
    stage.ask(json!({ "id": "s", "type": "get_state" }));
    let program = std::fs::read_link(format!("/proc/{}/exe", stage.talk.pid())).unwrap();
    assert!(program.ends_with("node"), "{}", program.display());
}

#[test]
fn a_word_while_it_works_reaches_the_model_after_the_tool() {
    let script = Script::new().reply(Reply::new().shell("sleep 1")).reply(Reply::text("Steered."));
    let Some(mut stage) = Stage::enter("pi_rpc::a_word_while_it_works", script) else { return };
    stage.prompt("PROMPT");
    stage.talk.hear(is("tool_execution_start"));
    let refused = stage.ask(json!({ "id": "q", "type": "prompt", "message": "no" }));
    assert_eq!(refused["success"], false);
    let taken = stage.ask(json!({ "id": "r", "type": "steer", "message": "TURN LEFT" }));
    assert_eq!(taken["data"], json!({ "disposition": "queued" }));
    stage.talk.hear(is("agent_settled"));
    let messages = stage.model.requests()[1].body["messages"].as_array().unwrap().clone();
    assert_eq!(messages.last().unwrap()["content"][0]["text"], "TURN LEFT");
}

#[test]
fn an_abort_ends_the_command_and_the_session_goes_on() {
    let script = Script::new().reply(Reply::new().shell("sleep 300")).reply(Reply::text("Here."));
    let Some(mut stage) = Stage::enter("pi_rpc::an_abort", script) else { return };
    stage.prompt("PROMPT");
    stage.talk.hear(is("tool_execution_start"));
    stage.talk.say(&json!({ "id": "a", "type": "abort" }));
    let heard = stage.talk.hear(is("agent_settled"));
    assert_eq!(heard.last().unwrap()["aborted"], true);
    let end = heard.iter().find(|line| line["type"] == "tool_execution_end").unwrap();
    assert_eq!(end["result"]["content"][0]["text"], "Command aborted");
    // The answer to the abort comes after the end of what it aborted.
    let answer = stage.talk.hear(|line| line["id"] == "a");
    assert_eq!(answer.last().unwrap()["success"], true);
    stage.prompt("AGAIN");
    let heard = stage.talk.hear(is("agent_settled"));
    assert_eq!(heard.last().unwrap()["aborted"], false);
}

#[test]
fn a_retry_can_be_given_up() {
    let script = Script::new().forever(Reply::rate_limited());
    let Some(mut stage) = Stage::enter("pi_rpc::a_retry_can_be_given_up", script) else { return };
    stage.prompt("PROMPT");
    stage.talk.hear(is("auto_retry_start"));
    stage.talk.say(&json!({ "id": "x", "type": "abort_retry" }));
    let heard = stage.talk.hear(is("agent_settled"));
    let end = heard.iter().find(|line| line["type"] == "auto_retry_end").unwrap();
    assert_eq!((&end["success"], &end["finalError"]), (&json!(false), &json!("Retry cancelled")));
    assert_eq!(stage.model.requests().len(), 1);
}

#[test]
fn a_command_it_does_not_know_is_an_answer() {
    let Some(mut stage) = Stage::enter("pi_rpc::a_command", Script::new()) else { return };
    let answer = stage.ask(json!({ "id": "n", "type": "nonsense" }));
    assert_eq!(answer["error"], "Unknown command: nonsense");
}
