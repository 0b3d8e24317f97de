//! MCP servers that a request gives, on the real agents: the model calls a tool, and reads what it returned.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::pi_run::pi_run;
use crate::real_run::{Played, Stage, Way, on};
use belay_testkit::mcp_server::{MEANING, MEANING_HEADER, McpHttpServer, mcp_server_binary};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belaykit::trace::{DecisionSource, Level};
use belaykit::{Decision, Event, McpServer, Permissions, RunRequest, Transport};
use serde_json::json;
use std::time::Duration;

const SECRET: &str = "s3cret-m3aning";

fn stdio() -> McpServer {
    let program = mcp_server_binary().unwrap();
    McpServer::command(program.to_string_lossy(), [""; 0]).env(MEANING, SECRET)
}

fn lookup() -> Reply {
    Reply::new().mcp_tool("dict", "lookup", json!({"word": "rope"}))
}

/// The model looks a word up and answers when it has been told.
fn script() -> Script {
    Script::new().reply(lookup()).reply(Reply::text("Looked up."))
}

fn request(server: McpServer) -> RunRequest {
    RunRequest::new("What is a rope?").mcp_server("dict", server)
}

/// The call, its result, and what the model was told.
#[track_caller]
fn was_looked_up(played: &Played) {
    played.answered("Looked up.");
    let calls = played.calls();
    assert_eq!(calls.len(), 1, "{played:#?}");
    assert_eq!(calls[0].name, "mcp__dict__lookup");
    // Over ACP Gemini does not tell what it calls a tool with.
    let args = calls[0].args.to_value();
    assert!(args == json!({"word": "rope"}) || args["title"].is_string(), "{args}");
    let result = played.result_of(calls[0].tool_id.as_ref());
    assert!(!result.tool_error, "{played:#?}");
    let want = format!("rope means {SECRET}");
    assert!(result.output.contains(&want), "{played:#?}");
    let told = played.requests.last().unwrap().body.to_string();
    assert!(told.contains(&want), "the model is not told: {told}");
}

/// OpenCode and Qwen ask their model without waiting for their servers. What OpenCode offers is settled by then, and the
/// call is `invalid`; Qwen looks for the tool when the model calls it, which no real one does at once.
fn looks_up(stage: &Stage, server: impl Fn() -> McpServer) {
    let tries = if stage.way.is_opencode() { 4 } else { 1 };
    let thinks = Duration::from_secs(if stage.way == Way::Qwen { 4 } else { 0 });
    for n in 1..=tries {
        let call = lookup().delay(thinks);
        let script = Script::new().reply(call).reply(Reply::text("Looked up."));
        let played = stage.play(script, request(server()));
        let too_early =
            played.calls().first().is_some_and(|call| call.args.get().contains("unavailable tool"));
        if n == tries || !too_early {
            return was_looked_up(&played);
        }
    }
}

fn the_model_calls_a_tool_of_a_given_server(stage: &Stage) {
    looks_up(stage, stdio);
}
on!(the_model_calls_a_tool_of_a_given_server: claude; claude_print, codex, codex_exec, opencode, opencode_run, gemini, qwen, copilot);

fn a_server_over_http_gets_its_headers(stage: &Stage) {
    let server = McpHttpServer::start().unwrap();
    looks_up(stage, || McpServer::http(server.url()).header(MEANING_HEADER, SECRET));
}
on!(a_server_over_http_gets_its_headers: claude; claude_print, codex, codex_exec, opencode, opencode_run, gemini, qwen, copilot);

/// An agent that would ask its user before such a call does not ask for one that the caller gave.
fn a_given_server_needs_no_permission_to_be_used(stage: &Stage) {
    let stage = if stage.way.is_codex() {
        stage.with_policy("on-request", "read-only")
    } else {
        stage.with_policy("never", "read-only")
    };
    let request = request(stdio()).permissions(Permissions::Edit);
    let played = stage.play(script(), request);
    was_looked_up(&played);
    assert!(played.of_type("permission_request").is_empty(), "{played:#?}");
}
on!(a_given_server_needs_no_permission_to_be_used: claude; codex, opencode, gemini, copilot);

/// The run goes on without it, and says so.
fn a_server_that_does_not_start_is_a_warning_with_its_name_and_reason(stage: &Stage) {
    let server = McpServer::command("/nowhere/dict", [""; 0]);
    let script = Script::new().reply(Reply::text("Hello."));
    let played = stage.play(script, request(server));
    played.answered("Hello.");
    let warnings: Vec<_> = played
        .events()
        .filter_map(|event| match event {
            Event::Notice(notice)
                if notice.code.as_deref() == Some("mcp_server") && notice.level == Level::Warn =>
            {
                Some(notice.text.as_str())
            }
            _ => None,
        })
        .collect();
    assert_eq!(warnings.len(), 1, "{played:#?}");
    assert!(warnings[0].starts_with("the MCP server dict did not start: "), "{warnings:?}");
    // `claude -p` has the name alone.
    let has_reason = !warnings[0].contains("does not say why");
    assert_eq!(has_reason, stage.way != Way::ClaudePrint, "{warnings:?}");
}
on!(a_server_that_does_not_start_is_a_warning_with_its_name_and_reason: claude; claude_print, codex, opencode, copilot);

/// Nobody knows what a server's tool does: a run that may only look is denied it, at once and with an event.
fn a_run_that_may_only_look_is_denied_the_tools_of_servers(stage: &Stage) {
    let request = request(stdio()).permissions(Permissions::ReadOnly);
    let played = stage.play(script(), request);
    let decisions: Vec<_> = played
        .events()
        .filter_map(|e| match e {
            Event::PermissionDecision(decision) => Some((decision.decision, decision.by)),
            _ => None,
        })
        .collect();
    assert_eq!(decisions, [(Decision::Deny, DecisionSource::Policy)], "{played:#?}");
    assert_eq!(played.outcome().denials[0].name, "mcp__dict__lookup", "{played:#?}");
    for request in &played.requests {
        assert!(!request.body.to_string().contains(SECRET), "the tool was called");
    }
}
on!(a_run_that_may_only_look_is_denied_the_tools_of_servers: claude; codex, opencode);

/// The agent's own process and everything it is called with.
fn what_may_be_a_secret_is_on_no_command_line(stage: &Stage) {
    let server = ModelServer::start(script()).unwrap();
    let client = stage.client(&server);
    let mut lines = Vec::new();
    let played = stage.play_on(&server, &client, request(stdio()), |record, _| {
        if let Event::ToolCall(_) = &record.event {
            lines.extend(stage.processes().into_iter().map(|(_, line)| line));
        }
    });
    was_looked_up(&played);
    assert!(!lines.is_empty(), "the agent was seen");
    assert!(lines.iter().all(|line| !line.contains(SECRET)), "{lines:#?}");
    let Event::AttemptStarted(started) = &played.of_type("attempt_started")[0].event else {
        unreachable!()
    };
    assert!(started.command.iter().all(|arg| !arg.contains(SECRET)));
    let plan = client.plan(&request(stdio())).unwrap();
    assert!(!plan.command.contains(SECRET), "{plan:?}");
    assert!(stage.agent().print_command(&request(stdio())).is_err());
}
on!(what_may_be_a_secret_is_on_no_command_line: claude; codex, codex_exec, opencode, copilot);

/// Pi takes servers from its user's files, and from an extension: that is how belay gives it one.
#[test]
fn pi_calls_a_tool_of_a_given_server() {
    let test = "pi_calls_a_tool_of_a_given_server";
    let http = McpHttpServer::start().unwrap();
    let http = McpServer::http(http.url()).header(MEANING_HEADER, SECRET);
    for server in [stdio(), http] {
        let Some(run) = pi_run(test, Transport::Dialogue, script(), request(server)) else {
            return;
        };
        assert_eq!(run.outcome.unwrap().text, "Looked up.");
        let calls: Vec<_> = run
            .records
            .iter()
            .filter_map(|record| match &record.event {
                Event::ToolCall(call) => Some(call.name.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(calls, ["mcp__dict__lookup"]);
        let told = run.requests.last().unwrap().body.to_string();
        assert!(told.contains(&format!("rope means {SECRET}")), "{told}");
    }
}
