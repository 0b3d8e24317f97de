//! What is new in what an agent says: told at a run's end, and listed by `belay doctor --drift`.

use crate::stored::{Bench, with_claude};
use belay_testkit::fake_agent::Play;
use belay_testkit::recordings;
use serde_json::Value;
use std::fs;

/// A Claude of tomorrow: a message of a kind that nobody knows, and a new field in each message.
fn tomorrow() -> Vec<String> {
    let text = String::from_utf8(recordings::one("claude-code", "a-text").stdout).unwrap();
    let mut lines: Vec<String> =
        text.lines().map(|line| line.replacen('{', r#"{"brand_new":1,"#, 1)).collect();
    lines.insert(1, r#"{"type":"telepathy","thought":"hm"}"#.to_owned());
    lines
}

fn drift(bench: &Bench, args: &[&str]) -> Value {
    let output = bench.belay(&[&["doctor", "--json"], args].concat()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{words}"));
    report[0].clone()
}

fn is_told(drift: &Value) {
    assert_eq!(drift["agent"], "claude-code");
    let new = drift["new"].as_array().unwrap();
    let has = |message: &str, field: Option<&str>| {
        new.iter().any(|row| row["message"] == message && row["field"].as_str() == field)
    };
    assert!(has("telepathy", None), "{drift:#}");
    assert!(has("system/init", Some("brand_new")), "{drift:#}");
    let known = new.iter().all(|row| row["field"] == "brand_new" || row["message"] == "telepathy");
    assert!(known, "what the recordings have is not new: {drift:#}");
}

#[test]
fn a_version_that_has_drifted_away_is_told_by_run_by_stream_and_by_events() {
    let bench = with_claude(&Play::lines(tomorrow()));
    let output =
        bench.belay(&["run", "--transport", "print", "--format", "jsonl", "hi"]).output().unwrap();
    assert!(output.status.success());
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("1 messages of the agent are none that belay knows"), "{words}");

    let of_run = drift(&bench, &["--drift", "latest"]);
    is_told(&of_run);
    assert_eq!((&of_run["version"], &of_run["unknown_events"]), (&"2.1.329".into(), &1.into()));

    fs::write(bench.project().join("stream.jsonl"), tomorrow().join("\n")).unwrap();
    is_told(&drift(&bench, &["claude", "--drift", "stream.jsonl"]));

    fs::write(bench.project().join("events.jsonl"), &output.stdout).unwrap();
    let of_events = drift(&bench, &["--drift", "events.jsonl"]);
    assert_eq!(of_events["unknown_events"], 1);
}

#[test]
fn a_version_that_was_recorded_has_nothing_new() {
    let bench = Bench::new();
    for (agent, name) in [("claude-code", "b-shell"), ("codex", "b-shell"), ("pi", "b-shell")] {
        let file = recordings::one(agent, name).stdout_path();
        let drift = drift(&bench, &[agent, "--drift", file.to_str().unwrap()]);
        assert_eq!(drift["new"], Value::Array(Vec::new()), "{agent}");
        assert!(drift["messages"].as_u64().unwrap() > 2);
    }
}

#[test]
fn what_cannot_be_looked_at_is_said() {
    let bench = Bench::new();
    fs::write(bench.project().join("x.jsonl"), "{}\n").unwrap();
    let shown = bench.shown(&["doctor", "--drift", "x.jsonl"]);
    assert!(shown.contains("belay doctor claude --drift x.jsonl"), "{shown}");
    let shown = bench.shown(&["doctor", "--drift", "nothing"]);
    assert!(shown.contains("exit 4") && shown.contains("nothing"), "{shown}");
    let shown = bench.shown(&["doctor", "docker", "--drift", "x.jsonl"]);
    assert!(shown.contains("no recordings of docker-agent"), "{shown}");
}
