//! OpenCode 1.18.33 with `run --format json` against the model server.

use belay_testkit::model_server::{ModelServer, Reply, Request, Script, Tokens};
use belay_testkit::real::{self, RealAgent, Sandbox, skip_unless_installed};
use serde_json::{Value, json};

use super::run::Run;

/// No two columns are alike. It does not count cache writes on this API.
const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 0, reasoning: 0 };

struct Stage {
    agent: RealAgent,
    sandbox: Sandbox,
}

struct Played {
    run: Run,
    requests: Vec<Request>,
    titles: usize,
    exhausted: Vec<String>,
}

impl Stage {
    fn enter(test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::opencode(), "opencode", test)?;
        Some(Self { agent, sandbox: Sandbox::new().unwrap() })
    }

    fn run(&self, script: Script) -> Played {
        self.run_with(script, &[], "PROMPT")
    }

    fn run_with(&self, script: Script, more: &[&str], prompt: &str) -> Played {
        let server = ModelServer::start(script).unwrap();
        let mut args = vec!["run", "--format", "json", "--auto", "--thinking"];
        args.extend(more);
        let env = self.sandbox.env_for_opencode(&server).unwrap();
        let run = Run::fed(&self.agent.program, &args, &env, self.sandbox.project(), prompt);
        let titles = server.titles().len();
        Played { run, requests: server.requests(), titles, exhausted: server.exhausted() }
    }
}

impl Played {
    #[track_caller]
    fn succeeded_with(&self, answer: &str) {
        let text = self.parts("text").last().map(|part| &part["text"]);
        assert_eq!(text, Some(&json!(answer)), "{:#?}", self.run);
        let finish = self.parts("step_finish").last().map(|part| &part["reason"]);
        assert_eq!(finish, Some(&json!("stop")), "{:#?}", self.run);
        assert_eq!(self.run.exit_code, Some(0));
        assert_eq!(self.exhausted, [] as [&str; 0]);
    }

    fn parts(&self, kind: &str) -> Vec<&Value> {
        self.run.of_type(kind).into_iter().map(|line| &line["part"]).collect()
    }

    /// The tools it ran: status, and the exit code where there is one.
    fn tools(&self) -> Vec<(&str, Option<i64>)> {
        let states = self.parts("tool_use").into_iter().map(|part| &part["state"]);
        let ends = states
            .map(|state| (state["status"].as_str().unwrap(), state["metadata"]["exit"].as_i64()));
        let mut ends: Vec<_> = ends.collect();
        ends.sort_unstable();
        ends
    }

    fn session(&self) -> &str {
        self.run.lines[0]["sessionID"].as_str().unwrap()
    }
}

/// What the user said last in this request.
fn last_prompt(request: &Request) -> &Value {
    let messages = request.body["messages"].as_array().unwrap();
    &messages.iter().rfind(|message| message["role"] == "user").unwrap()["content"]
}

#[test]
fn text_and_its_tokens_and_its_cost() {
    let Some(stage) = Stage::enter("opencode::text_and_its_tokens") else { return };
    let played = stage.run(Script::new().reply(Reply::text("Hello there.").usage(TOKENS)));
    played.succeeded_with("Hello there.");
    let types: Vec<&Value> = played.run.lines.iter().map(|line| &line["type"]).collect();
    assert_eq!(types, ["step_start", "text", "step_finish"]);
    let finish = played.parts("step_finish")[0];
    let cache = json!({ "read": 9000, "write": 0 });
    let tokens =
        json!({ "total": 10285, "input": 1200, "output": 85, "reasoning": 0, "cache": cache });
    assert_eq!(finish["tokens"], tokens);
    let cost = (1200.0 * 2.0 + 85.0 * 8.0 + 9000.0 * 0.5) / 1e6;
    assert!((finish["cost"].as_f64().unwrap() - cost).abs() < 1e-9, "{finish}");
    // Its request for a title is beside the conversation, and not in what it counts.
    assert_eq!((played.requests.len(), played.titles), (1, 1));
}

#[test]
fn a_shell_command_runs_and_its_output_goes_back() {
    let Some(stage) = Stage::enter("opencode::a_shell_command_runs") else { return };
    let call = Reply::text("I will run it.").shell("echo hi; echo oops >&2");
    let played = stage.run(Script::new().reply(call).reply(Reply::text("Done.")));
    played.succeeded_with("Done.");
    assert_eq!(played.tools(), [("completed", Some(0))]);
    assert_eq!(played.parts("tool_use")[0]["state"]["output"], "hi\noops\n");
    let results = played.requests[1].body["messages"].as_array().unwrap();
    assert_eq!(results.last().unwrap()["role"], "tool");
}

#[test]
fn parallel_tools_have_a_result_each_even_when_one_fails() {
    let Some(stage) = Stage::enter("opencode::parallel_tools") else { return };
    let read = json!({ "filePath": "/no/such/file" });
    let calls = Reply::new().shell("echo fine").shell("exit 3").tool("read", read);
    let played = stage.run(Script::new().reply(calls).reply(Reply::text("Done.")));
    played.succeeded_with("Done.");
    // A command that fails is a tool that works.
    let want = [("completed", Some(0)), ("completed", Some(3)), ("error", None)];
    assert_eq!(played.tools(), want, "{:#?}", played.run);
}

#[test]
fn a_file_is_written() {
    let Some(stage) = Stage::enter("opencode::a_file_is_written") else { return };
    let path = stage.sandbox.project().join("notes.txt");
    let call = Reply::new().write_file(path.to_str().unwrap(), "one\ntwo\n");
    let played = stage.run(Script::new().reply(call).reply(Reply::text("Written.")));
    played.succeeded_with("Written.");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n");
}

#[test]
fn reasoning_is_a_part_of_its_own_and_is_not_in_the_output_tokens() {
    let Some(stage) = Stage::enter("opencode::reasoning") else { return };
    let reply = Reply::thinking("First this, then that.").and_text("So: yes.");
    let reply = reply.usage(Tokens { reasoning: 40, ..TOKENS });
    let played = stage.run(Script::new().reply(reply));
    played.succeeded_with("So: yes.");
    assert_eq!(played.parts("reasoning")[0]["text"], "First this, then that.");
    let tokens = &played.parts("step_finish")[0]["tokens"];
    assert_eq!((&tokens["output"], &tokens["reasoning"]), (&json!(45), &json!(40)));
}

#[test]
fn a_prompt_on_stdin_arrives_as_it_is() {
    let Some(stage) = Stage::enter("opencode::a_prompt_on_stdin") else { return };
    let prompt = "--not a flag, \"quoted\"\nand @file $HOME `x`";
    let played = stage.run_with(Script::new().reply(Reply::text("Yes.")), &[], prompt);
    played.succeeded_with("Yes.");
    assert_eq!(last_prompt(&played.requests[0]), prompt);
}

#[test]
fn a_wrong_key_fails_at_once() {
    let Some(stage) = Stage::enter("opencode::a_wrong_key_fails") else { return };
    let played = stage.run(Script::new().forever(Reply::unauthorized()));
    let errors = played.run.of_type("error");
    assert_eq!(errors.len(), 1, "{:#?}", played.run);
    assert_eq!(errors[0]["error"]["name"], "APIError");
    assert_eq!(errors[0]["error"]["data"]["statusCode"], 401);
    assert_eq!(errors[0]["error"]["data"]["isRetryable"], false);
    assert_eq!((played.run.exit_code, played.requests.len()), (Some(1), 1));
}

#[test]
fn an_empty_account_fails_at_once_where_it_is_a_402() {
    let Some(stage) = Stage::enter("opencode::an_empty_account") else { return };
    let played = stage.run(Script::new().forever(Reply::payment_required()));
    assert_eq!(played.run.of_type("error")[0]["error"]["data"]["statusCode"], 402);
    assert_eq!((played.run.exit_code, played.requests.len()), (Some(1), 1));
}

#[test]
fn a_rate_limit_is_waited_for_without_a_word() {
    let Some(stage) = Stage::enter("opencode::a_rate_limit") else { return };
    let limited = Reply::rate_limited().header("retry-after", "1");
    let played = stage.run(Script::new().reply(limited).reply(Reply::text("At last.")));
    played.succeeded_with("At last.");
    let types: Vec<&Value> = played.run.lines.iter().map(|line| &line["type"]).collect();
    assert_eq!(types, ["step_start", "text", "step_finish"]);
    assert_eq!(played.requests.len(), 2);
}

#[test]
fn a_session_goes_on_where_it_was() {
    let Some(stage) = Stage::enter("opencode::a_session_goes_on") else { return };
    let first = stage.run(Script::new().reply(Reply::text("First.")));
    first.succeeded_with("First.");
    let script = Script::new().reply(Reply::text("Second."));
    let second = stage.run_with(script, &["--session", first.session()], "AGAIN");
    second.succeeded_with("Second.");
    assert_eq!(second.session(), first.session());
    let messages = second.requests[0].body["messages"].to_string();
    assert!(messages.contains("PROMPT") && messages.contains("First."), "{messages}");
    // The session has its title already.
    assert_eq!(second.titles, 0);
}
