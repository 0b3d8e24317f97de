//! Several agents on one command line, and unfinished work handed to another one.

use crate::stored::{Bench, claude, hanging, id, stdout, with_claude};
use belay_testkit::fake_agent::{Exit, Play, WaitForStdin};
use belay_testkit::recordings;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// A recording, played when the prompt has come to its end.
fn recorded(agent: &str, name: &str) -> Play {
    let recording = recordings::one(agent, name);
    let play = Play::file(recording.stdout_path()).exit(Exit::Code(recording.exit_code().unwrap()));
    Play { wait_for_stdin: WaitForStdin::Line, ..play }
}

/// Claude without a login, and a Codex as `exec` prints.
fn bench(codex: &str) -> Bench {
    let bench = with_claude(&recorded("claude-code", "h-401"));
    bench.agent("codex", &recorded("codex", codex));
    bench
}

/// The program with two agents, as often as they like.
fn run(bench: &Bench, args: &[&str]) -> (Option<i32>, Value, String) {
    let chain = ["run", "-a", "claude", "-a", "codex", "--transport", "print", "--format", "json"];
    let mut command = bench.belay(&[&chain[..], args, &["Do it"]].concat());
    let output = command.env_remove("BELAY_MAX_ATTEMPTS").output().unwrap();
    let result = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), result, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_next_agent_on_the_command_line_takes_over() {
    let (code, result, _) = run(&bench("a-text"), &[]);
    assert_eq!(code, Some(0), "{result:#}");
    let attempts = result["attempts"].as_array().unwrap();
    let of = |attempt: &Value| (attempt["agent"].clone(), attempt["kind"].clone());
    assert_eq!(of(&attempts[0]), ("claude-code".into(), "auth".into()));
    assert_eq!(of(&attempts[1]), ("codex".into(), Value::Null));
}

#[test]
fn who_goes_on_with_a_backups_session_goes_on_with_its_model() {
    let bench = bench("a-text");
    let chain = ["run", "-a", "claude:opus", "-a", "codex:gpt-5.1", "--transport", "print", "go"];
    let mut first = bench.belay(&chain);
    assert!(first.env_remove("BELAY_MAX_ATTEMPTS").output().unwrap().status.success());
    let output = bench.belay(&["resume", "latest", "--dry-run", "And now?"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("--model=gpt-5.1") && !shown.contains("opus"), "{shown}");
}

#[test]
fn a_chain_that_runs_dry_exits_with_what_its_last_agent_failed_of() {
    let (code, result, _) = run(&bench("h-401"), &[]);
    assert_eq!((code, result["failure"]["kind"].as_str()), (Some(78), Some("auth")));
    let nobody = Bench::new();
    assert_eq!(run(&nobody, &[]).0, Some(69));
    let one = bench("a-text");
    fs::remove_file(one.path("bin/claude")).unwrap();
    assert_eq!(run(&one, &[]).0, Some(0), "one of two is enough");
}

#[test]
fn rules_can_be_replaced_and_bad_ones_say_what_there_is() {
    let (code, result, _) = run(&bench("a-text"), &["--on", "auth=stop"]);
    assert_eq!((code, result["attempts"].as_array().unwrap().len()), (Some(78), 1));
    for (args, words) in [
        (
            ["--on", "auth=sleep"],
            "`sleep` is no step of a rule: use retry, retry:N, model, agent, wait",
        ),
        (["--on", "tired=agent"], "`tired` is no kind of failure: use rate_limited, usage_limit"),
        (["--max-cost", "0"], "write an amount such as 0.50 or 5"),
        (["--model", "opus"], "--model is for one agent; -a names several"),
    ] {
        let (code, _, stderr) = run(&bench("a-text"), &args);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
}

#[test]
fn every_attempt_of_a_chain_replays() {
    let bench = bench("a-text");
    run(&bench, &[]);
    let shown = bench.shown(&["replay", "latest", "--quiet"]);
    assert!(shown.starts_with("exit 0\n"), "{shown}");
}

#[test]
fn unfinished_work_is_written_down_for_another_agent() {
    let bench = hanging();
    let git = |args: &[&str]| {
        let git =
            std::process::Command::new("git").current_dir(bench.project()).args(args).output();
        assert!(git.unwrap().status.success());
    };
    git(&["init", "-q"]);
    let mut run = bench.start_run(&["Write the report"]);
    let shown = bench.shown(&["handoff"]);
    assert!(shown.contains("is still at work"), "{shown}");
    fs::write(bench.project().join("report.md"), "half of it\n").unwrap();
    stdout(&mut bench.belay(&["stop", "latest"]));
    run.wait().unwrap();
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    let mut handoff = bench.belay(&["handoff", &short]);
    let brief = stdout(handoff.env("PATH", "/usr/bin:/bin"));
    for words in [
        "Write the report\n",
        "Another agent (claude-code)",
        "interrupted",
        "A report.md",
        "+half of it",
    ] {
        assert!(brief.contains(words), "{words}: {brief}");
    }
    let mut handoff = bench.belay(&["handoff", &short, "--to", "codex", "-o", "handoff.md"]);
    let output = handoff.env("PATH", "/usr/bin:/bin").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("to go on: belay run -a codex -C '"), "{stderr}");
    let file = bench.project().join("handoff.md");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = bench.shown(&["handoff", &short, "-o", "handoff.md"]);
    assert!(
        again.starts_with("exit 2\n") && again.contains("name a file that does not exist"),
        "{again}"
    );
    // And another agent goes on with it.
    claude(&bench, &recorded("claude-code", "a-text"));
    let shown = bench.shown(&["run", "-f", "handoff.md"]);
    assert!(shown.starts_with("exit 0\n"), "{shown}");
}
