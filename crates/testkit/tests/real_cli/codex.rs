//! Codex 0.169.0 against the model server.

use std::time::{Duration, SystemTime};

use belay_testkit::model_server::{ModelServer, Reply, Request, Script, Tokens};
use belay_testkit::real::{self, CodexPolicy, RealAgent, Sandbox, skip_unless_installed};
use serde_json::{Value, json};

use super::run::{Run, TOKENS};

struct Stage {
    agent: RealAgent,
    sandbox: Sandbox,
}

impl Stage {
    fn enter(test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::codex(), "codex", test)?;
        Some(Self { agent, sandbox: Sandbox::new().unwrap() })
    }

    fn run(&self, script: Script) -> Played {
        self.run_with(script, &[])
    }

    fn run_with(&self, script: Script, more: &[&str]) -> Played {
        let server = ModelServer::start(script).unwrap();
        let mut args = vec!["exec", "--json", "--skip-git-repo-check"];
        args.extend(more);
        args.push("PROMPT");
        let env = self.sandbox.env_for_codex(&server, CodexPolicy::FULL_ACCESS).unwrap();
        let run = Run::of(&self.agent.program, &args, &env, self.sandbox.project());
        Played { run, requests: server.requests(), exhausted: server.exhausted() }
    }
}

struct Played {
    run: Run,
    requests: Vec<Request>,
    exhausted: Vec<String>,
}

impl Played {
    #[track_caller]
    fn succeeded_with(&self, answer: &str) {
        let messages = self.items("agent_message");
        assert_eq!(
            messages.last().map(|item| &item["text"]),
            Some(&json!(answer)),
            "{:#?}",
            self.run
        );
        assert_eq!(self.run.of_type("turn.completed").len(), 1, "{:#?}", self.run);
        assert_eq!(self.run.exit_code, Some(0));
        assert_eq!(self.exhausted, [] as [&str; 0]);
    }

    /// The message of the failed turn begins so, and the last `error` line says the same.
    #[track_caller]
    fn failed_with(&self, message: &str) {
        let failed = self.run.of_type("turn.failed");
        assert_eq!(failed.len(), 1, "{:#?}", self.run);
        let said = failed[0]["error"]["message"].as_str().unwrap();
        assert!(said.starts_with(message), "{:#?}", self.run);
        assert_eq!(self.run.of_type("error").last().unwrap()["message"], said);
        assert_eq!(self.run.exit_code, Some(1));
    }

    /// The usage of the thread, counted back into the script's columns.
    fn usage(&self) -> Tokens {
        let usage = &self.run.of_type("turn.completed")[0]["usage"];
        let number = |key: &str| usage[key].as_u64().unwrap();
        let (cache_read, cache_write) =
            (number("cached_input_tokens"), number("cache_write_input_tokens"));
        Tokens {
            input: number("input_tokens") - cache_read - cache_write,
            output: number("output_tokens"),
            cache_read,
            cache_write,
            reasoning: number("reasoning_output_tokens"),
        }
    }

    /// The completed items of this type.
    fn items(&self, kind: &str) -> Vec<&Value> {
        let completed = self.run.of_type("item.completed").into_iter();
        completed.map(|line| &line["item"]).filter(|item| item["type"] == kind).collect()
    }

    fn errors(&self) -> Vec<&str> {
        let lines = self.run.of_type("error").into_iter();
        lines.map(|line| line["message"].as_str().unwrap()).collect()
    }
}

#[test]
fn text_and_its_tokens() {
    let Some(stage) = Stage::enter("codex::text_and_its_tokens") else { return };
    let played = stage.run(Script::new().reply(Reply::text("Hello there.").usage(TOKENS)));
    played.succeeded_with("Hello there.");
    assert_eq!(played.usage(), TOKENS);
    assert_eq!(played.requests.len(), 1);
}

#[test]
fn a_shell_command_runs_and_its_output_goes_back() {
    let Some(stage) = Stage::enter("codex::a_shell_command_runs") else { return };
    let call =
        Reply::text("I will run it.").shell("echo hi; sleep 0.2; echo oops >&2").usage(TOKENS);
    let played = stage.run(Script::new().reply(call).reply(Reply::text("Done.").usage(TOKENS)));
    played.succeeded_with("Done.");
    let commands = played.items("command_execution");
    assert_eq!(commands.len(), 1, "{:#?}", played.run);
    assert_eq!(commands[0]["aggregated_output"], "hi\noops\n");
    assert_eq!(commands[0]["exit_code"], 0);
    assert_eq!(played.usage().input, 2 * TOKENS.input);
}

#[test]
fn parallel_tools_have_a_result_each_even_when_one_fails() {
    let Some(stage) = Stage::enter("codex::parallel_tools") else { return };
    let calls = Reply::new().shell("echo fine").shell("exit 3");
    let played = stage.run(Script::new().reply(calls).reply(Reply::text("Done.")));
    played.succeeded_with("Done.");
    let commands = played.items("command_execution");
    let mut ends: Vec<(i64, &str)> = commands
        .iter()
        .map(|item| (item["exit_code"].as_i64().unwrap(), item["status"].as_str().unwrap()))
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, [(0, "completed"), (3, "failed")]);
}

#[test]
fn a_file_is_written() {
    let Some(stage) = Stage::enter("codex::a_file_is_written") else { return };
    let call = Reply::new().write_file("notes.txt", "one\ntwo\n");
    let played = stage.run(Script::new().reply(call).reply(Reply::text("Written.")));
    played.succeeded_with("Written.");
    let path = stage.sandbox.project().join("notes.txt");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    let changes = &played.items("file_change")[0]["changes"];
    assert_eq!(*changes, json!([{ "path": path, "kind": "add" }]));
}

#[test]
fn reasoning_is_an_item_of_its_own() {
    let Some(stage) = Stage::enter("codex::reasoning") else { return };
    let reply = Reply::thinking("First this, then that.").and_text("So: yes.");
    let tokens = Tokens { reasoning: 40, ..TOKENS };
    let script = Script::new().reply(reply.usage(tokens));
    let played = stage.run_with(script, &["-c", "model_reasoning_summary=auto"]);
    played.succeeded_with("So: yes.");
    assert_eq!(played.items("reasoning")[0]["text"], "First this, then that.");
    assert_eq!(played.usage(), tokens);
}

#[test]
fn models_in_code_mode_run_commands_and_write_files() {
    let Some(stage) = Stage::enter("codex::code_mode") else { return };
    let calls = Reply::new().shell("echo hi").write_file("notes.txt", "one\n");
    let script = Script::new().reply(calls).reply(Reply::text("Done."));
    let played = stage.run_with(script, &["--model", "gpt-6.1-sol"]);
    played.succeeded_with("Done.");
    assert_eq!(played.items("command_execution")[0]["aggregated_output"], "hi\n");
    let path = stage.sandbox.project().join("notes.txt");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "one\n");
}

#[test]
fn a_rate_limit_that_says_when_is_retried() {
    let Some(stage) = Stage::enter("codex::a_rate_limit_that_says_when") else { return };
    let limited = Reply::rate_limited().header("retry-after", "1");
    let script = Script::new().reply(limited).reply(Reply::text("At last."));
    let played = stage.run(script);
    played.succeeded_with("At last.");
    let retry = "Reconnecting... 1/1 (exceeded retry limit, last status: 429 Too Many Requests";
    assert_eq!(played.errors().len(), 1);
    assert!(played.errors()[0].starts_with(retry), "{:#?}", played.run);
}

#[test]
fn a_rate_limit_for_ever_fails() {
    let Some(stage) = Stage::enter("codex::a_rate_limit_for_ever_fails") else { return };
    let limited = Reply::rate_limited().header("retry-after", "1");
    let played = stage.run(Script::new().forever(limited));
    played.failed_with("exceeded retry limit, last status: 429 Too Many Requests");
    assert_eq!(played.requests.len(), 2);
}

#[test]
fn a_rate_limit_that_says_nothing_fails_at_once() {
    let Some(stage) = Stage::enter("codex::a_rate_limit_that_says_nothing") else { return };
    let played = stage.run(Script::new().forever(Reply::rate_limited()));
    played.failed_with("exceeded retry limit, last status: 429 Too Many Requests");
    assert_eq!(played.requests.len(), 1);
}

#[test]
fn a_wrong_key_fails() {
    let Some(stage) = Stage::enter("codex::a_wrong_key_fails") else { return };
    let played = stage.run(Script::new().forever(Reply::unauthorized()));
    played.failed_with("unexpected status 401 Unauthorized");
    assert_eq!(played.requests.len(), 2);
}

#[test]
fn an_overloaded_service_fails() {
    let Some(stage) = Stage::enter("codex::an_overloaded_service_fails") else { return };
    let played = stage.run(Script::new().forever(Reply::overloaded()));
    played.failed_with("Selected model is at capacity. Please try a different model.");
    assert_eq!(played.requests.len(), 2);
}

#[test]
fn a_broken_service_fails() {
    let Some(stage) = Stage::enter("codex::a_broken_service_fails") else { return };
    let played = stage.run(Script::new().forever(Reply::server_error()));
    played.failed_with("We’re currently experiencing high demand");
    assert_eq!(played.requests.len(), 4);
}

#[test]
fn a_context_that_is_too_long_fails() {
    let Some(stage) = Stage::enter("codex::a_context_that_is_too_long") else { return };
    let played = stage.run(Script::new().forever(Reply::context_too_long()));
    played.failed_with("Codex ran out of room in the model's context window.");
    assert_eq!(played.requests.len(), 1);
}

#[test]
fn an_unknown_model_fails() {
    let Some(stage) = Stage::enter("codex::an_unknown_model_fails") else { return };
    let played = stage.run(Script::new().forever(Reply::model_not_found()));
    played.failed_with("The model `gpt-5.5` does not exist");
    assert_eq!(played.requests.len(), 1);
}

#[test]
fn an_empty_account_fails() {
    let Some(stage) = Stage::enter("codex::an_empty_account_fails") else { return };
    let played = stage.run(Script::new().forever(Reply::no_credit()));
    played.failed_with("Quota exceeded. Check your plan and billing details.");
    assert_eq!(played.requests.len(), 1);
}

#[test]
fn a_used_up_window_fails_and_says_until_when() {
    let Some(stage) = Stage::enter("codex::a_used_up_window_fails") else { return };
    let resets_at = SystemTime::now() + Duration::from_secs(7200);
    let played = stage.run(Script::new().forever(Reply::usage_limit(resets_at)));
    played.failed_with("You’ve hit your usage limit.");
    assert_eq!(played.requests.len(), 1);
    assert!(played.errors()[0].contains("try again at "), "{:#?}", played.run);
}

#[test]
fn a_stream_that_is_cut_is_tried_again() {
    let Some(stage) = Stage::enter("codex::a_stream_that_is_cut") else { return };
    let cut = Reply::text("This is cut in the middle of the text.").drop_after(5);
    let played = stage.run(Script::new().reply(cut).reply(Reply::text("Whole.")));
    played.succeeded_with("Whole.");
    assert!(played.errors()[0].starts_with("Reconnecting... 1/1"), "{:#?}", played.run);
}

#[test]
fn streams_that_are_always_cut_fail() {
    let Some(stage) = Stage::enter("codex::streams_that_are_always_cut") else { return };
    let played = stage.run(Script::new().forever(Reply::text("cut").drop_after(3)));
    played.failed_with("stream disconnected before completion");
    assert_eq!(played.requests.len(), 2);
}

#[test]
fn an_interrupt_ends_a_stalled_stream_without_a_word() {
    let Some(stage) = Stage::enter("codex::an_interrupt") else { return };
    let server =
        ModelServer::start(Script::new().forever(Reply::text("x").stall_after(2))).unwrap();
    let env = stage.sandbox.env_for_codex(&server, CodexPolicy::FULL_ACCESS).unwrap();
    let args = ["exec", "--json", "--skip-git-repo-check", "PROMPT"];
    let (program, project) = (&stage.agent.program, stage.sandbox.project());
    let run = Run::interrupted(program, &args, &env, project, Some(&server));
    let types: Vec<&Value> = run.lines.iter().map(|line| &line["type"]).collect();
    assert_eq!(types, ["thread.started", "turn.started"]);
    assert_eq!(run.exit_code, Some(1));
}
