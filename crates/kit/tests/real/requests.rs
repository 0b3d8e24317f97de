//! What a request says reaches the model, and nothing of it can be seen from outside.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, Stage, Way, environ, on, processes_of};
use belay_testkit::model_server::{ModelServer, Reply, Request, Script};
use belaykit::{Effort, EnvMode, Environment, Event, RunRequest};
use serde_json::Value;
use std::fs;
use std::time::Duration;

fn answer() -> Script {
    Script::new().reply(Reply::text("Done."))
}

/// The user's own words in the request, as the model sees them: behind the time, which Copilot tells it.
fn prompt_of(request: &Request) -> String {
    let text = text_of(request);
    text.split_once("</current_datetime>\n\n").map_or(text.clone(), |(_, words)| words.to_owned())
}

fn text_of(request: &Request) -> String {
    let lists = ["messages", "input", "contents"];
    let messages = lists.iter().find_map(|list| request.body[*list].as_array());
    let user = messages.unwrap().iter().rfind(|message| message["role"] == "user").unwrap();
    match &user["content"] {
        Value::String(text) => text.clone(),
        Value::Null => {
            user["parts"].as_array().unwrap().last().unwrap()["text"].as_str().unwrap().to_owned()
        }
        content => {
            let last = content.as_array().unwrap().last().unwrap();
            last["text"].as_str().unwrap().to_owned()
        }
    }
}

fn check_prompt(stage: &Stage, prompt: &str) {
    let played = stage.play(answer(), prompt);
    played.answered("Done.");
    assert_eq!(prompt_of(&played.requests[0]), prompt);
}

fn a_prompt_is_never_taken_for_an_option(stage: &Stage) {
    for prompt in ["-x --version", "--help", "-"] {
        check_prompt(stage, prompt);
    }
}
on!(a_prompt_is_never_taken_for_an_option: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

fn a_prompt_arrives_character_by_character(stage: &Stage) {
    check_prompt(
        stage,
        "Grüße, 日本語, 🦀, \u{2028} \"quotes\" \\n $HOME `id` 'x'\nsecond line\ttab",
    );
}
on!(a_prompt_arrives_character_by_character: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, copilot);

fn a_prompt_of_a_megabyte_works(stage: &Stage) {
    let prompt = format!("BEGIN {} END", "0123456789abcde ".repeat(60_000));
    assert!(prompt.len() > 900_000);
    check_prompt(stage, &prompt);
}
on!(a_prompt_of_a_megabyte_works: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, copilot);

fn neither_prompt_nor_system_prompt_is_on_a_command_line(stage: &Stage) {
    let delay = Duration::from_millis(600);
    let script = Script::new().reply(Reply::text("Done.").delay(delay));
    let server = ModelServer::start(script).unwrap();
    let client = stage.client(&server);
    let home = stage.sandbox.home().to_owned();
    let watcher = std::thread::spawn(move || {
        let mut lines = Vec::new();
        for _ in 0..40 {
            lines.extend(processes_of(&home).into_iter().map(|(_, line)| line));
            std::thread::sleep(Duration::from_millis(20));
        }
        lines
    });
    let request = RunRequest::new("SECRET-PROMPT").append_system_prompt("SECRET-SYSTEM");
    let played = stage.play_on(&server, &client, request, |_, _| {});
    played.answered("Done.");
    let lines = watcher.join().unwrap();
    assert!(!lines.is_empty(), "the agent was seen");
    assert!(lines.iter().all(|line| !line.contains("SECRET")), "{lines:#?}");
    let Event::AttemptStarted(started) = &played.of_type("attempt_started")[0].event else {
        unreachable!()
    };
    assert!(started.command.iter().all(|arg| !arg.contains("SECRET")));
}
on!(neither_prompt_nor_system_prompt_is_on_a_command_line: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

/// Everything but the conversation: the system prompt and its kin.
fn body(played: &Played) -> String {
    played.requests[0].body.to_string()
}

fn a_system_prompt_replaces_the_agents_own(stage: &Stage) {
    let without = stage.play(answer(), "PROMPT");
    let played =
        stage.play(answer(), RunRequest::new("PROMPT").system_prompt("You are a SYSTEM-MARK."));
    played.answered("Done.");
    assert!(body(&played).contains("SYSTEM-MARK"));
    let own = match stage.way {
        Way::Claude | Way::ClaudePrint => "You are an agent working with the user",
        Way::Pi | Way::PiPrint => "You are a coding assistant running inside pi",
        _ => "You are Codex",
    };
    assert!(body(&without).contains(own), "{}", body(&without));
    // Exec has no way to replace it; there the words stand before the prompt.
    assert_eq!(body(&played).contains(own), stage.way == Way::CodexExec);
    // A private file, gone with the run.
    let left = fs::read_dir(&played.folder).unwrap().flatten();
    let mut left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, ["events.jsonl", "input.1.log", "request.json"]);
}
on!(a_system_prompt_replaces_the_agents_own: claude; claude_print, codex, codex_exec, pi, pi_print);

fn an_appended_system_prompt_is_added(stage: &Stage) {
    let request = RunRequest::new("PROMPT").append_system_prompt("Always APPEND-MARK.");
    let played = stage.play(answer(), request);
    played.answered("Done.");
    assert!(body(&played).contains("Always APPEND-MARK."));
}
on!(an_appended_system_prompt_is_added: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, copilot);

fn the_effort_arrives(stage: &Stage) {
    for (effort, claude, codex) in
        [(Effort::Low, "low", "low"), (Effort::High, "high", "high"), (Effort::Max, "max", "xhigh")]
    {
        // Claude sends an effort to models that know it only.
        let model = match stage.way {
            Way::Claude | Way::ClaudePrint => "claude-opus-5-5",
            Way::Pi | Way::PiPrint => "lab/mock-model",
            _ => "gpt-5.5",
        };
        let played = stage.play(answer(), RunRequest::new("PROMPT").model(model).effort(effort));
        played.answered("Done.");
        let body = &played.requests[0].body;
        let (sent, want) = match stage.way {
            Way::Claude | Way::ClaudePrint => (&body["output_config"]["effort"], claude),
            // Pi takes the nearest level that the model has.
            Way::Pi | Way::PiPrint => {
                (&body["reasoning_effort"], if effort == Effort::Max { "high" } else { claude })
            }
            _ => (&body["reasoning"]["effort"], codex),
        };
        assert_eq!(*sent, want, "{effort}");
        assert_eq!(body["model"], model.trim_start_matches("lab/"));
    }
}
on!(the_effort_arrives: claude; codex, codex_exec, pi, pi_print);

fn the_output_limit_arrives(stage: &Stage) {
    let played = stage.play(answer(), RunRequest::new("PROMPT").max_output_tokens(1234));
    played.answered("Done.");
    assert_eq!(played.requests[0].body["max_tokens"], 1234);
}
on!(the_output_limit_arrives: claude; claude_print);

fn a_disallowed_tool_is_not_offered(stage: &Stage) {
    let tools = |played: &Played| {
        let tools = played.requests[0].body["tools"].as_array().unwrap().iter();
        let names = tools.map(|tool| tool["name"].as_str().or(tool["function"]["name"].as_str()));
        names.flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    let [bash, write] = match stage.way {
        Way::Copilot => ["bash", "view"],
        _ if stage.way.is_pi() => ["bash", "write"],
        _ => ["Bash", "Write"],
    };
    let all = tools(&stage.play(answer(), "PROMPT"));
    assert!(all.iter().any(|tool| tool == bash) && all.iter().any(|tool| tool == write));
    let request = RunRequest::new("PROMPT").disallowed_tools([bash, write]);
    let played = stage.play(answer(), request);
    played.answered("Done.");
    let rest = tools(&played);
    assert!(!rest.is_empty());
    assert!(!rest.iter().any(|tool| tool == bash || tool == write), "{rest:?}");
}
on!(a_disallowed_tool_is_not_offered: claude; claude_print, pi, pi_print, copilot);

fn an_allowed_tool_needs_no_permission(stage: &Stage) {
    let touch = format!("touch {}", stage.file("touched").display());
    let script = Script::new().reply(Reply::new().shell(touch)).reply(Reply::text("Done."));
    let request = RunRequest::new("PROMPT").allowed_tools([match stage.way {
        Way::Copilot => "shell(touch:*)",
        _ => "Bash(touch *)",
    }]);
    let played = stage.play(script, request);
    played.answered("Done.");
    assert!(stage.file("touched").exists(), "{played:#?}");
    assert!(played.of_type("permission_request").is_empty());
}
on!(an_allowed_tool_needs_no_permission: claude; claude_print, copilot);

fn a_clean_environment_has_only_what_an_agent_needs(stage: &Stage) {
    let script = Script::new().reply(Reply::text("Done.").delay(Duration::from_millis(100)));
    let server = ModelServer::start(script).unwrap();
    let mut vars = stage.vars(&server);
    for name in [
        "AWS_SECRET_ACCESS_KEY",
        "NODE_OPTIONS",
        "LD_PRELOAD",
        "GITHUB_TOKEN",
        "CLAUDECODE",
        "CLAUDE_CODE_ENTRYPOINT",
        "CODEX_SANDBOX",
    ] {
        vars.push((name.into(), "HELD-BACK".into()));
    }
    let others = match stage.way {
        Way::Claude | Way::ClaudePrint => "OPENAI_API_KEY",
        Way::Codex | Way::CodexExec => "ANTHROPIC_API_KEY",
        // OpenCode knows them all.
        Way::OpenCode | Way::OpenCodeRun => "CODEX_API_KEY",
        // Pi speaks with every provider; what an outer Pi tells its tools is not for it.
        Way::Pi | Way::PiPrint => "PI_SESSION_ID",
        Way::Gemini | Way::Qwen => "CODEX_API_KEY",
        Way::Copilot => "COPILOT_ALLOW_ALL",
    };
    vars.push((others.into(), "HELD-BACK".into()));
    let (mut pid, mut seen) = (None, Vec::new());
    let mut environment = Environment::new(vars).mode(EnvMode::Clean);
    // The key of the provider that Codex is configured for.
    environment.pass("MOCK_KEY");
    let client = stage.client(&server).environment(environment);
    let played = stage.play_on(&server, &client, "PROMPT", |record, _| {
        if let Event::AttemptStarted(started) = &record.event {
            pid = started.pid;
        }
        // Before the agent has said something, the process may not be the agent yet.
        if let (Some(pid), Event::SessionStarted(_)) = (pid, &record.event) {
            seen = environ(pid);
        }
    });
    played.answered("Done.");
    assert!(seen.iter().any(|var| var.starts_with("HOME=")), "{seen:?}");
    assert!(!seen.iter().any(|var| var.contains("HELD-BACK")), "{seen:?}");
}
on!(a_clean_environment_has_only_what_an_agent_needs: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);
