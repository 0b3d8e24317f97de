//! Adding an agent: one small module, and not a line anywhere else.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod toy;

use crate::fake_run::{Seen, executable, run, supervisor};
use belaykit::{Client, Event, FailureKind};
use tempfile::TempDir;
use toy::Toy;

/// Runs a program that calls itself the toy agent.
async fn run_toy(script: &str) -> Seen {
    let dir = TempDir::new().unwrap();
    executable(&dir.path().join("toy"), &format!("#!/bin/sh\n{script}\n"));
    let env = [("PATH".into(), dir.path().as_os_str().to_owned())];
    let client =
        Client::new(Toy).policy(belaykit::Policy::single()).supervisor(supervisor()).env(env);
    run(&client, "What is there?").await
}

#[tokio::test]
async fn a_toy_agent_in_one_small_module_runs_like_any_other() {
    let seen = run_toy(
        r#"
        read -r prompt
        echo '{"Text":{"text":"Let me look."}}'
        echo '{"Call":{"tool_id":"1","name":"Bash","args":{"command":"ls"},"kind":"execute"}}'
        echo "{\"Done\":{\"answer\":\"You asked: $prompt\",\"usage\":{\"input_tokens\":10,\"output_tokens\":5}}}"
        "#,
    )
    .await;
    assert_eq!(seen.answer(), "You asked: What is there?");
    let usage = &seen.outcome.as_ref().unwrap().usage;
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(10), Some(5)));
    let said = seen.records.iter().filter_map(|record| match &record.event {
        Event::Text(text) => Some(text.text.clone()),
        Event::ToolCall(call) => Some(format!("{} {}", call.name, call.args.get())),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), ["Let me look.", r#"Bash {"command":"ls"}"#]);
    assert!(seen.records.iter().skip(1).any(|record| record.agent == "toy"));
}

#[tokio::test]
async fn a_toy_agent_that_breaks_off_fails_and_loses_no_line() {
    let seen = run_toy(r#"echo '{"News":1}'; exit 3"#).await;
    assert_eq!(seen.failure().kind, FailureKind::Crashed);
    assert_eq!(seen.count("unknown"), 1);
}

#[test]
fn an_agent_needs_less_than_sixty_lines() {
    let lines = include_str!("toy_agent/toy.rs").lines().count();
    assert!(lines < 60, "the toy agent has {lines} lines");
}
