//! What `belay doctor` finds: agents that are there, missing, broken, old or without a login, and the machine.

use crate::stored::Bench;
use belay_testkit::fake_agent::{FakeAgent, Play, WaitForStdin};
use belay_testkit::real::CLAUDE_VERSION;
use belay_testkit::recordings;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn script(bench: &Bench, name: &str, text: &str) {
    let path = bench.path("bin").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn claude_of_version(bench: &Bench, version: &str) {
    script(bench, "claude", &format!("#!/bin/sh\necho '{version} (Claude Code)'\n"));
}

fn doctor(bench: &Bench, args: &[&str]) -> (Option<i32>, Value) {
    let output = bench.belay(&[&["doctor", "--json"], args].concat()).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), report.unwrap_or_else(|error| panic!("{error}: {words}")))
}

/// The level and the words of a finding about an agent.
fn finding<'a>(report: &'a Value, agent: &str, about: &str) -> (&'a str, &'a str) {
    let agents = report["agents"].as_array().unwrap();
    let row = agents.iter().find(|row| row["agent"] == agent).unwrap();
    let all = row["findings"].as_array().unwrap();
    // The worst one.
    let found = ["problem", "warning", "note", "ok"]
        .iter()
        .find_map(|level| all.iter().find(|it| it["about"] == about && it["level"] == *level));
    let found = found.unwrap_or_else(|| panic!("nothing about {about} in {row}"));
    (found["level"].as_str().unwrap(), found["found"].as_str().unwrap())
}

#[test]
fn a_machine_without_agents_says_how_to_get_one() {
    let bench = Bench::new();
    let (code, report) = doctor(&bench, &[]);
    assert_eq!(code, Some(69));
    let agents = report["agents"].as_array().unwrap();
    assert!(agents.iter().all(|row| row["ready"] == false && row["is_there"] == false));
    assert_eq!(finding(&report, "claude-code", "program").0, "problem");
    let shown = crate::stored::stdout(&mut bench.belay(&["doctor"]));
    assert!(shown.contains("npm install -g @anthropic-ai/claude-code@latest"), "{shown}");
    assert!(!bench.path(".belay").exists(), "to look makes nothing");
}

#[test]
fn one_agent_that_is_there_and_logged_in_is_enough() {
    let bench = Bench::new();
    claude_of_version(&bench, CLAUDE_VERSION);
    let mut command = bench.belay(&["doctor", "--json"]);
    let output = command.env("ANTHROPIC_API_KEY", "sk-ant-planted").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("planted"), "a secret is nobody's business: {text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(finding(&report, "claude-code", "version").0, "ok");
    assert_eq!(finding(&report, "claude-code", "login"), ("ok", "by ANTHROPIC_API_KEY"));
    assert_eq!(report["machine"][0]["level"], "ok", "contained: {report:#}");
}

#[test]
fn an_old_version_and_one_that_is_too_new_are_told() {
    let bench = Bench::new();
    claude_of_version(&bench, "2.0.1");
    let (_, report) = doctor(&bench, &["claude"]);
    assert_eq!(report["agents"].as_array().unwrap().len(), 1);
    let (level, words) = finding(&report, "claude-code", "version");
    assert!(level == "warning" && words.contains("older"), "{words}");
    claude_of_version(&bench, "99.0.1");
    let (_, report) = doctor(&bench, &["claude"]);
    assert_eq!(finding(&report, "claude-code", "version").0, "note");
}

#[test]
fn a_program_that_does_not_run_is_a_problem_that_is_named() {
    let bench = Bench::new();
    script(&bench, "claude", "#!/usr/bin/env no-such-node\n");
    script(&bench, "codex", "#!/bin/sh\necho 'cannot find module' >&2\nexit 3\n");
    let (code, report) = doctor(&bench, &["claude", "codex"]);
    assert_eq!(code, Some(69), "none of them is ready");
    let (level, words) = finding(&report, "claude-code", "program");
    assert!(level == "problem" && words.contains("no-such-node"), "{words}");
    let (level, words) = finding(&report, "codex", "version");
    assert!(level == "problem" && words.contains("cannot find module"), "{words}");
    // One that works beside it: something is still to be mended.
    claude_of_version(&bench, CLAUDE_VERSION);
    assert_eq!(doctor(&bench, &["claude", "codex"]).0, Some(78));
}

#[test]
fn an_expired_login_is_told_and_its_file_stays_secret() {
    let bench = Bench::new();
    claude_of_version(&bench, CLAUDE_VERSION);
    let file = bench.path("home/.claude/.credentials.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let check = |text: &str, level: &str, words: &str| {
        fs::write(&file, text).unwrap();
        let (_, report) = doctor(&bench, &["claude"]);
        let found = finding(&report, "claude-code", "login");
        assert!(found.0 == level && found.1.contains(words), "{text}: {found:?}");
        assert!(!report.to_string().contains("planted"), "{report}");
    };
    let oauth = |more: &str| format!(r#"{{"claudeAiOauth":{{"accessToken":"planted"{more}}}}}"#);
    check(&oauth(r#","expiresAt":1700000000000"#), "warning", "expired on 2023-11-14");
    check(&oauth(r#","expiresAt":1700000000000,"refreshToken":"planted""#), "ok", "renewed");
    check(&oauth(r#","expiresAt":4000000000000"#), "ok", "until 2096");
    check("{}", "warning", "has no login");
    check("planted", "warning", "no login file");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let (_, report) = doctor(&bench, &["claude"]);
    assert_eq!(finding(&report, "claude-code", "login").0, "warning");
}

#[test]
fn a_state_folder_that_cannot_be_written_is_a_problem() {
    let bench = Bench::new();
    claude_of_version(&bench, CLAUDE_VERSION);
    fs::write(bench.path("file"), "").unwrap();
    let state = bench.path("file/state");
    let state = state.to_str().unwrap();
    let (code, report) = doctor(&bench, &["--state-dir", state, "--trace-dir", state]);
    assert_eq!(code, Some(78));
    for row in [1, 2] {
        let found = &report["machine"][row];
        assert_eq!(found["level"], "problem", "{found}");
        assert!(found["hint"].as_str().unwrap().contains("another folder"), "{found}");
    }
}

#[test]
fn a_probe_asks_for_one_word_and_says_what_came() {
    let bench = Bench::new();
    let play = |name: &str| Play {
        wait_for_stdin: WaitForStdin::Line,
        ..Play::file(recordings::one("claude-code", name).stdout_path())
    };
    let itself = bench.path("itself");
    fs::create_dir(&itself).unwrap();
    for (name, code, words) in [("a-text", 0, "answered `Hello!"), ("h-401", 78, "auth: ")] {
        let agent = FakeAgent::new(&itself, "claude", &play(name)).unwrap();
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo {CLAUDE_VERSION}; exit; fi\nexec {} \"$@\"\n",
            agent.program().display()
        );
        script(&bench, "claude", &text);
        let output = bench.belay(&["doctor", "claude", "--probe"]).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains(words), "{shown}");
        assert_eq!(output.status.code(), Some(code), "{shown}");
        assert!(bench.runs().is_empty(), "a probe is no run of the user's");
    }
}
