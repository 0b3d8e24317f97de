//! `--redact`, `--no-redact`, and what a stored request without its secrets can be used for.

use crate::stored::{Bench, with_claude};
use belay_testkit::fake_agent::Play;
use belay_testkit::recordings;
use std::fs;
use std::process::Output;

fn answering() -> Bench {
    with_claude(&Play::file(recordings::one("claude-code", "a-text").stdout_path()))
}

fn run(bench: &Bench, args: &[&str]) -> Output {
    bench.belay(&[&["run"], args].concat()).output().unwrap()
}

fn request(bench: &Bench) -> String {
    fs::read_to_string(bench.newest_run().join("request.json")).unwrap()
}

#[test]
fn what_is_taken_out_is_the_callers_choice() {
    let bench = answering();
    let key = format!("ghp_{}", "0123456789abcdefghijABCDEFGHIJ456789");
    let prompt = format!("of CUST-123456 with {key}");

    assert_eq!(run(&bench, &[&prompt]).status.code(), Some(0));
    assert!(request(&bench).contains("of CUST-123456 with [redacted:github-token]"));

    let output = run(&bench, &["--redact", "CUST-[0-9]{6}", &prompt]);
    assert_eq!(output.status.code(), Some(0));
    assert!(request(&bench).contains("of [redacted:pattern] with [redacted:github-token]"));

    let output = run(&bench, &["--no-redact", &prompt]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("secrets are not redacted"), "{words}");
    assert!(request(&bench).contains(&prompt));

    let output = run(&bench, &["--redact", "(", "p"]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("cannot look for --redact"), "{words}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_request_that_lost_a_secret_is_not_used_once_more() {
    let bench = answering();
    let key = format!("use ghp_{}", "0123456789abcdefghijABCDEFGHIJ456789");
    run(&bench, &["--append-system-prompt", &key, "task"]);
    let output = bench.belay(&["resume", "latest", "go on"]).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("holds its system prompt without the secrets in it"), "{words}");
    assert_eq!(output.status.code(), Some(2));
    let again = ["resume", "latest", "--append-system-prompt", &key, "go on"];
    assert_eq!(bench.belay(&again).output().unwrap().status.code(), Some(0));
}

/// A token and a password that nobody has.
fn secrets() -> (String, &'static str) {
    (format!("ghp_{}", "7HqLmX2bVtRz9KpWc4YdNf8sJg3aEu6QoTiB"), "correct-h0rse")
}

#[test]
fn how_a_run_was_called_is_stored_and_shown_without_secrets() {
    let bench = answering();
    let (token, password) = secrets();
    let otel = format!("--otel=http://ci:{password}@127.0.0.1:9/v1/traces?api_key={token}");
    assert_eq!(run(&bench, &[&otel, "task"]).status.code(), Some(0));
    let call = fs::read_to_string(bench.newest_run().join("call.json")).unwrap();
    assert!(call.contains("127.0.0.1:9"), "{call}");
    assert!(!call.contains(&token) && !call.contains(password), "{call}");

    let output = bench.belay(&["resume", "latest", "go on"]).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("--otel held a secret"), "{words}");

    let prompt = format!("use {token}");
    for args in [
        &["run", "--dry-run", "--append-system-prompt", &prompt, "task"][..],
        &["interactive", "--dry-run", "claude", &prompt],
    ] {
        let output = bench.belay(args).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("[redacted:github-token]") && !shown.contains(&token), "{shown}");
    }
}

#[test]
fn a_handoff_of_a_run_that_kept_its_secrets_has_none() {
    let bench = answering();
    let (token, _) = secrets();
    run(&bench, &["--no-redact", &format!("task with {token}")]);
    assert!(request(&bench).contains(&token));
    let output = bench.belay(&["handoff", "latest"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("[redacted:github-token]") && !text.contains(&token), "{text}");
}

#[test]
fn a_stream_is_parsed_without_its_secrets_also_those_in_pieces() {
    let bench = answering();
    let (token, _) = secrets();
    let delta = |text: &str| {
        serde_json::json!({"type": "stream_event", "session_id": "s", "parent_tool_use_id": null, "uuid": "u",
            "event": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}})
        .to_string()
    };
    let lines: Vec<_> =
        token.as_bytes().chunks(4).map(|it| delta(std::str::from_utf8(it).unwrap())).collect();
    let stream = lines.join("\n") + "\n";
    let parse = |options: &[&str]| {
        let mut command = bench.belay(&[&["parse", "-a", "claude"], options].concat());
        let mut child = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), stream.as_bytes()).unwrap();
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let text = output.lines().filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            Some(line["text"].as_str()?.to_owned())
        });
        text.collect::<String>()
    };
    let shown = parse(&[]);
    assert!(shown.contains("[redacted:github-token]") && !shown.contains(&token[8..]), "{shown}");
    assert!(parse(&["--no-redact"]).contains(&token), "everything is there to who asks for it");
}
