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
