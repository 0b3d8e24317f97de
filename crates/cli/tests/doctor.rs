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

/// The finding about a login, its hint included, where the environment has these.
fn login_with(bench: &Bench, vars: &[(&str, &str)]) -> (String, String) {
    let mut command = bench.belay(&["doctor", "--json", "claude"]);
    let output = command.envs(vars.iter().copied()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("planted"), "a secret is nobody's business: {text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let findings = report["agents"][0]["findings"].as_array().unwrap();
    let login = findings.iter().find(|it| it["about"] == "login").unwrap();
    let text = |key: &str| login[key].as_str().unwrap_or_default().to_owned();
    (text("level"), format!("{} / {}", text("found"), text("hint")))
}

#[test]
fn a_switch_to_a_cloud_is_a_login_with_all_that_it_needs() {
    let bench = Bench::new();
    claude_of_version(&bench, CLAUDE_VERSION);
    let bedrock = ("CLAUDE_CODE_USE_BEDROCK", "1");
    let vertex = ("CLAUDE_CODE_USE_VERTEX", "1");
    let foundry = ("CLAUDE_CODE_USE_FOUNDRY", "true");
    let region = ("AWS_REGION", "us-east-1");
    for (vars, level, words) in [
        (
            &[bedrock, region, ("AWS_PROFILE", "planted")][..],
            "ok",
            "Amazon Bedrock, by CLAUDE_CODE_USE_BEDROCK / ",
        ),
        (&[bedrock, region, ("AWS_BEARER_TOKEN_BEDROCK", "planted")], "ok", "Amazon Bedrock"),
        (
            &[bedrock, ("AWS_PROFILE", "planted")],
            "warning",
            "CLAUDE_CODE_USE_BEDROCK needs a region: one of AWS_REGION, AWS_DEFAULT_REGION",
        ),
        (
            &[bedrock, region, ("AWS_ACCESS_KEY_ID", "planted")],
            "note",
            "needs a login: one of AWS_BEARER_TOKEN_BEDROCK, AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, AWS_PROFILE",
        ),
        (&[vertex, ("CLOUD_ML_REGION", "x")], "warning", "CLAUDE_CODE_USE_VERTEX needs a project"),
        (
            &[
                vertex,
                ("CLOUD_ML_REGION", "x"),
                ("ANTHROPIC_VERTEX_PROJECT_ID", "p"),
                ("GOOGLE_APPLICATION_CREDENTIALS", "/planted.json"),
            ],
            "ok",
            "Google Vertex AI, by CLAUDE_CODE_USE_VERTEX",
        ),
        (
            &[foundry],
            "warning",
            "CLAUDE_CODE_USE_FOUNDRY needs a resource: one of ANTHROPIC_FOUNDRY_RESOURCE",
        ),
        (
            &[
                foundry,
                ("ANTHROPIC_FOUNDRY_RESOURCE", "r"),
                ("ANTHROPIC_FOUNDRY_API_KEY", "planted"),
            ],
            "ok",
            "Microsoft Foundry",
        ),
        (&[("CLAUDE_CODE_USE_BEDROCK", "0")], "warning", "none found"),
        (&[("CLAUDE_CODE_USE_POWERSHELL_TOOL", "1")], "warning", "none found"),
    ] {
        let (found, said) = login_with(&bench, vars);
        assert_eq!(found, level, "{vars:?}: {said}");
        assert!(said.contains(words), "{vars:?}: {said}");
    }
    // A file of the cloud's own may say it as well.
    fs::create_dir_all(bench.path("home/.aws")).unwrap();
    fs::write(bench.path("home/.aws/config"), "[default]\n").unwrap();
    assert_eq!(login_with(&bench, &[bedrock]).0, "ok");
}

#[test]
fn what_an_agent_does_not_see_is_named() {
    let bench = Bench::new();
    claude_of_version(&bench, CLAUDE_VERSION);
    let (_, report) = doctor(&bench, &["claude"]);
    let findings = report["agents"][0]["findings"].as_array().unwrap();
    assert!(findings.iter().all(|it| it["about"] != "environment"), "{report:#}");
    let mut command = bench.belay(&["doctor", "--json", "claude"]);
    let vars = [("CLAUDECODE", "1"), ("BELAY_WEBHOOK_SECRET", "planted"), ("JAVA_HOME", "/j")];
    let output = command.envs(vars).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (level, words) = finding(&report, "claude-code", "environment");
    let want = "it does not see BELAY_WEBHOOK_SECRET (secrets of belay's own); CLAUDECODE (marks of an outer agent session)";
    assert_eq!((level, words), ("note", want));
}

#[test]
fn root_is_told_what_claude_needs_for_everything() {
    let bench = Bench::new();
    claude_of_version(&bench, CLAUDE_VERSION);
    let about_root = |value: &str| {
        let mut command = bench.belay(&["doctor", "--json", "claude"]);
        let output = command.env("IS_SANDBOX", value).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["agents"][0]["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|it| it["about"] == "root").map(|it| it["found"].clone())
    };
    assert_eq!(about_root("1"), None);
    let is_root = rustix::process::geteuid().is_root();
    let want = "as root it refuses --permit full without IS_SANDBOX=1";
    assert_eq!(about_root(""), is_root.then(|| want.into()));
}

#[test]
fn a_gateway_in_an_agents_settings_is_a_login() {
    let bench = Bench::new();
    claude_of_version(&bench, CLAUDE_VERSION);
    script(&bench, "codex", "#!/bin/sh\necho codex-cli 0.169.0\n");
    for folder in ["home/.claude", "home/.codex"] {
        fs::create_dir_all(bench.path(folder)).unwrap();
    }
    let gateway = r#"{"env":{"ANTHROPIC_BASE_URL":"http://x","ANTHROPIC_AUTH_TOKEN":"planted"}}"#;
    fs::write(bench.path("home/.claude/settings.json"), gateway).unwrap();
    let config = "model_provider = \"mock\"\n[model_providers.mock]\nenv_key = \"MOCK_KEY\"\n";
    fs::write(bench.path("home/.codex/config.toml"), config).unwrap();
    let look = |key: Option<&str>, configuration: &str| {
        fs::create_dir_all(bench.path("home/.config/belay")).unwrap();
        fs::write(bench.path("home/.config/belay/config.toml"), configuration).unwrap();
        let mut command = bench.belay(&["doctor", "--json", "claude", "codex"]);
        let output = command.envs(key.map(|key| ("MOCK_KEY", key))).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("planted"), "a secret is nobody's business: {text}");
        let report: Value = serde_json::from_str(&text).unwrap();
        let (level, words) = finding(&report, "claude-code", "login");
        assert_eq!(level, "ok", "{words}");
        assert!(words.starts_with("by env.ANTHROPIC_AUTH_TOKEN in "), "{words}");
        let (level, words) = finding(&report, "codex", "login");
        (level.to_owned(), words.to_owned())
    };
    let (level, words) = look(Some("planted"), "");
    assert!(level == "ok" && words.starts_with("by MOCK_KEY, which "), "{words}");
    let (level, words) = look(None, "");
    assert!(level == "warning" && words.ends_with(" names MOCK_KEY, which is not set"), "{words}");
    let (level, words) = look(Some("planted"), "env.mode = \"clean\"\n");
    assert!(
        level == "warning" && words.contains("MOCK_KEY, which the agent does not see"),
        "{words}"
    );
}
