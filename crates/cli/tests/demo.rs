//! `belay demo`, the verbs that only print, and the whole help.

use crate::bench::Bench;
use insta::assert_snapshot;
use std::time::{Duration, Instant};

#[test]
fn the_demo_shows_a_run_without_any_agent_and_writes_a_trace() {
    let bench = Bench::new();
    let began = Instant::now();
    let output = bench.belay(&["demo"]).output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("REPLAY") && stderr.contains("[tool_use] Bash"), "{stderr}");
    assert!(stderr.contains("[failover] codex → claude-code: usage_limit"), "{stderr}");
    assert!(stderr.contains("[attempt] 2. claude-code answered"), "{stderr}");
    assert!(stdout.contains("2 tool calls") && stdout.contains("$0.0174"), "{stdout}");
    assert_eq!(stdout.matches("\n  belay ").count(), 5, "five next steps: {stdout}");
    let tree = stdout.split("\n\n").find(|part| part.contains("├── → codex ──")).unwrap();
    assert_eq!(tree.lines().count(), 8, "{tree}");
    for part in
        ["1. codex  usage_limit", "2. claude-code  answered", "⇢ claude-code  usage_limit: "]
    {
        assert!(tree.contains(part), "{tree}");
    }
    let traces = belay_trace::read_latest(&bench.project().join(".belay/traces")).unwrap();
    assert_eq!(traces.children[1].children.len(), 3, "a failover and two calls");
    assert!(!stderr.contains('\x1b') && !stdout.contains('\x1b'), "no colour without a terminal");
}

#[test]
fn agents_that_are_not_there_are_named() {
    assert_snapshot!(Bench::new().shown(&["agents"]), @r#"
    exit 0
    --- stdout
    claude-code  not found: `claude` is not on the PATH
                 also: claude; transports: dialogue, print
    codex        not found: `codex` is not on the PATH
                 transports: dialogue, print
    opencode     not found: `opencode` is not on the PATH
                 transports: dialogue, print
    pi           not found: `pi` is not on the PATH
                 transports: dialogue, print
    copilot      not found: `copilot` is not on the PATH
                 transports: print
    docker-agent not found: `docker-agent` is not on the PATH
                 also: docker; transports: print
    gemini       not found: `gemini` is not on the PATH
                 also: gemini-cli; transports: dialogue
    qwen         not found: `qwen` is not on the PATH
                 also: qwen-code; transports: dialogue
    goose        not found: `goose` is not on the PATH
                 transports: dialogue
    acp          not found: no program is named: write its command behind the colon
                 transports: dialogue
    cmd          not found: no program is named: write its command behind the colon
                 transports: print
    --- stderr
    "#);
}

#[test]
fn the_schemas_name_the_seeds_fields() {
    let bench = Bench::new();
    for (format, fields) in [
        ("event", vec!["seq", "tool_id", "phase_name", "total_cost_usd", "reasoning"]),
        ("result", vec!["result", "is_error", "usage", "failure"]),
        ("trace", vec!["node_type", "agent_name", "context_window"]),
    ] {
        let output = bench.belay(&["schema", format]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        for field in fields {
            assert!(text.contains(&format!("\"{field}\"")), "{format}: {field}");
        }
    }
}

#[test]
fn the_whole_help() {
    let bench = Bench::new();
    let mut help = String::new();
    for verb in [
        &[][..],
        &["run"],
        &["interactive"],
        &["handoff"],
        &["runs"],
        &["show"],
        &["logs"],
        &["stop"],
        &["steer"],
        &["resume"],
        &["replay"],
        &["trace"],
        &["trace", "start"],
        &["trace", "end"],
        &["trace", "ls"],
        &["trace", "show"],
        &["trace", "export"],
        &["trace", "rm"],
        &["prune"],
        &["parse"],
        &["agents"],
        &["breaker"],
        &["breaker", "ls"],
        &["breaker", "reset"],
        &["config"],
        &["config", "show"],
        &["config", "init"],
        &["config", "path"],
        &["config", "check"],
        &["notify"],
        &["notify", "test"],
        &["demo"],
        &["schema"],
        &["completions"],
    ] {
        let args: Vec<&str> = verb.iter().copied().chain(["--help"]).collect();
        help.push_str(&format!("$ belay {}\n{}\n", args.join(" "), bench.shown(&args)));
    }
    insta::assert_snapshot!("cli-reference", help);
}
