//! Pi 1.5.2 with `-p --mode json` against the model server.

use belay_testkit::model_server::{ModelServer, Reply, Request, Script, Tokens};
use belay_testkit::real::{self, RealAgent, Sandbox, skip_unless_installed};
use serde_json::{Value, json};

use super::run::{Run, TOKENS};

struct Stage {
    agent: RealAgent,
    sandbox: Sandbox,
}

struct Played {
    run: Run,
    requests: Vec<Request>,
    exhausted: Vec<String>,
}

impl Stage {
    fn enter(test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::pi(), "pi", test)?;
        Some(Self { agent, sandbox: Sandbox::new().unwrap() })
    }

    fn run(&self, script: Script) -> Played {
        self.run_with(script, &[], "PROMPT")
    }

    fn run_with(&self, script: Script, more: &[&str], prompt: &str) -> Played {
        let server = ModelServer::start(script).unwrap();
        let mut args = vec!["-p", "--mode", "json", "--offline", "--model", "lab/mock-model"];
        args.extend(more);
        let env = self.sandbox.env_for_pi(&server).unwrap();
        let run = Run::fed(&self.agent.program, &args, &env, self.sandbox.project(), prompt);
        Played { run, requests: server.requests(), exhausted: server.exhausted() }
    }
}

impl Played {
    #[track_caller]
    fn succeeded_with(&self, answer: &str) {
        let message = self.last_message();
        let text = message["content"].as_array().and_then(|content| content.last());
        assert_eq!(text, Some(&json!({ "type": "text", "text": answer })), "{:#?}", self.run);
        assert_eq!(message["stopReason"], "stop");
        self.settled();
        assert_eq!(self.exhausted, [] as [&str; 0]);
    }

    /// It says so in the last line, and nowhere else: the exit code is always 0.
    #[track_caller]
    fn settled(&self) {
        let last = self.run.lines.last();
        assert_eq!(last, Some(&json!({ "type": "agent_settled", "aborted": false })));
        assert_eq!(self.run.exit_code, Some(0), "{}", self.run.stderr);
    }

    fn last_message(&self) -> &Value {
        let mut ends = self.run.of_type("message_end").into_iter().map(|line| &line["message"]);
        ends.rfind(|message| message["role"] == "assistant").unwrap()
    }

    /// The tools it ran: whether they failed, and the exit code.
    fn tools(&self) -> Vec<(bool, Option<i64>)> {
        let ends = self.run.of_type("tool_execution_end").into_iter().map(|end| {
            let code = end["result"]["structuredContent"]["exit_code"].as_i64();
            (end["isError"].as_bool().unwrap(), code)
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_unstable();
        ends
    }

    fn session(&self) -> &str {
        assert_eq!(self.run.lines[0]["type"], "session");
        self.run.lines[0]["id"].as_str().unwrap()
    }
}

#[test]
fn text_and_its_tokens_and_its_cost() {
    let Some(stage) = Stage::enter("pi::text_and_its_tokens") else { return };
    let played = stage.run(Script::new().reply(Reply::text("Hello there.").usage(TOKENS)));
    played.succeeded_with("Hello there.");
    let message = played.last_message();
    assert_eq!(message["model"], "mock-model");
    let usage = &message["usage"];
    let counted = ["input", "output", "cacheRead", "cacheWrite", "totalTokens"]
        .map(|column| usage[column].as_u64().unwrap());
    assert_eq!(counted, [1200, 85, 9000, 300, 10585]);
    let cost = (1200.0 * 2.0 + 85.0 * 8.0 + 9000.0 * 0.5) / 1e6;
    assert!((usage["cost"]["total"].as_f64().unwrap() - cost).abs() < 1e-9, "{usage}");
    assert_eq!(played.requests.len(), 1);
}

#[test]
fn a_shell_command_runs_and_its_output_goes_back() {
    let Some(stage) = Stage::enter("pi::a_shell_command_runs") else { return };
    let call = Reply::text("I will run it.").shell("echo hi; echo oops >&2");
    let played = stage.run(Script::new().reply(call).reply(Reply::text("Done.")));
    played.succeeded_with("Done.");
    assert_eq!(played.tools(), [(false, Some(0))]);
    let end = played.run.of_type("tool_execution_end")[0];
    assert_eq!(end["result"]["structuredContent"]["output"], "hi\noops\n");
    let results = played.requests[1].body["messages"].as_array().unwrap();
    assert_eq!(results.last().unwrap()["role"], "tool");
}

#[test]
fn parallel_tools_have_a_result_each_even_when_one_fails() {
    let Some(stage) = Stage::enter("pi::parallel_tools") else { return };
    let read = json!({ "path": "/no/such/file" });
    let calls = Reply::new().shell("echo fine").shell("exit 3").tool("read", read);
    let played = stage.run(Script::new().reply(calls).reply(Reply::text("Done.")));
    played.succeeded_with("Done.");
    assert_eq!(played.tools(), [(false, Some(0)), (true, None), (true, Some(3))]);
}

#[test]
fn a_file_is_written() {
    let Some(stage) = Stage::enter("pi::a_file_is_written") else { return };
    let call = Reply::new().write_file("notes.txt", "one\ntwo\n");
    let played = stage.run(Script::new().reply(call).reply(Reply::text("Written.")));
    played.succeeded_with("Written.");
    let written = std::fs::read_to_string(stage.sandbox.project().join("notes.txt")).unwrap();
    assert_eq!(written, "one\ntwo\n");
}

#[test]
fn reasoning_is_streamed_and_is_in_the_output_tokens() {
    let Some(stage) = Stage::enter("pi::reasoning") else { return };
    let reply = Reply::thinking("First this, then that.").and_text("So: yes.");
    let reply = reply.usage(Tokens { reasoning: 40, ..TOKENS });
    let played = stage.run(Script::new().reply(reply));
    played.succeeded_with("So: yes.");
    let deltas = played.run.of_type("message_update").into_iter();
    let deltas = deltas.map(|line| &line["assistantMessageEvent"]);
    let thought = deltas.filter(|event| event["type"] == "thinking_delta");
    let thought: String = thought.map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(thought, "First this, then that.");
    let usage = &played.last_message()["usage"];
    assert_eq!((&usage["output"], &usage["reasoning"]), (&json!(85), &json!(40)));
}

#[test]
fn a_prompt_on_stdin_arrives_as_it_is() {
    let Some(stage) = Stage::enter("pi::a_prompt_on_stdin") else { return };
    let prompt = "--not a flag, \"quoted\"\nand @file $HOME `x`";
    let played = stage.run_with(Script::new().reply(Reply::text("Yes.")), &[], prompt);
    played.succeeded_with("Yes.");
    let messages = played.requests[0].body["messages"].as_array().unwrap();
    assert_eq!(messages.last().unwrap()["content"][0]["text"], prompt);
}

#[test]
fn a_wrong_key_fails_at_once_and_exits_with_0() {
    let Some(stage) = Stage::enter("pi::a_wrong_key_fails") else { return };
    let played = stage.run(Script::new().forever(Reply::unauthorized()));
    let message = played.last_message();
    assert_eq!(message["stopReason"], "error");
    let said = message["errorMessage"].as_str().unwrap();
    assert!(said.starts_with("401: ") && said.contains("invalid_api_key"), "{said}");
    played.settled();
    assert_eq!(played.requests.len(), 1);
}

#[test]
fn a_rate_limit_is_retried_and_told() {
    let Some(stage) = Stage::enter("pi::a_rate_limit") else { return };
    let limited = Reply::rate_limited().header("retry-after", "30");
    let played = stage.run(Script::new().reply(limited).reply(Reply::text("At last.")));
    played.succeeded_with("At last.");
    let start = played.run.of_type("auto_retry_start")[0];
    assert_eq!((&start["attempt"], &start["maxAttempts"]), (&json!(1), &json!(3)));
    // It does not heed the header.
    assert_eq!(start["delayMs"], 2000);
    assert!(start["errorMessage"].as_str().unwrap().starts_with("429: "), "{start}");
    assert_eq!(played.run.of_type("auto_retry_end")[0]["success"], true);
    let ends = played.run.of_type("agent_end");
    let retries: Vec<&Value> = ends.iter().map(|end| &end["willRetry"]).collect();
    assert_eq!(retries, [&json!(true), &json!(false)]);
    assert_eq!(played.requests.len(), 2);
}

#[test]
fn a_session_goes_on_where_it_was() {
    let Some(stage) = Stage::enter("pi::a_session_goes_on") else { return };
    let first = stage.run(Script::new().reply(Reply::text("First.")));
    first.succeeded_with("First.");
    let script = Script::new().reply(Reply::text("Second."));
    let second = stage.run_with(script, &["--session", first.session()], "AGAIN");
    second.succeeded_with("Second.");
    assert_eq!(second.session(), first.session());
    let messages = second.requests[0].body["messages"].to_string();
    assert!(messages.contains("PROMPT") && messages.contains("First."), "{messages}");
}

#[test]
fn a_session_can_have_an_id_of_ours() {
    let Some(stage) = Stage::enter("pi::an_id_of_ours") else { return };
    let id = "01a1fd72-c172-7441-a36e-764d912b2199";
    let script = Script::new().reply(Reply::text("Yes."));
    let played = stage.run_with(script, &["--session-id", id], "PROMPT");
    played.succeeded_with("Yes.");
    assert_eq!(played.session(), id);
}
