//! The fault table: one agent, one fault, and what a caller is told. The seeds hang, lie or lose in every row.

use crate::faults::plays::{Who, lines, recorded, says};
use crate::faults::scene::{Scene, wait_until};
use belay_testkit::fake_agent::{Exit, LogLine, Play};
use belay_testkit::figures::figure;
use belay_testkit::recordings;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// How often it was started.
fn starts(agent: &belay_testkit::fake_agent::FakeAgent) -> usize {
    agent.log().starts()
}

#[test]
fn two_hundred_kilobytes_on_standard_error_block_nothing() {
    let (scene, _) = Scene::claude(&Play { stderr_flood: 200_000, ..recorded("a-text") });
    let ended = scene.run(&[]);
    assert_eq!(ended.kind(), "answered");
    // The first of it as events, and all of it in the log of inputs.
    let shown: usize = ended.notices("stderr").iter().map(|text| text.len() + 1).sum();
    assert!((7_000..200_000).contains(&shown), "{shown}");
    assert_eq!((ended.notices("stderr_flood").len(), ended.notices("stderr_cut").len()), (1, 0));
    figure("1", "200 kB on stderr", "answered, every line kept in the journal");
}

#[test]
fn a_line_may_be_as_long_as_it_likes() {
    for (kilobytes, name) in [(80, "one 80 kB line"), (2048, "one 2 MB line")] {
        let words = "The command printed hello-from-shell.";
        let long = "long ".repeat(kilobytes * 1024 / 5);
        let stream = lines("claude-code", "b-shell").into_iter();
        let (scene, _) = Scene::claude(&says(stream.map(|line| line.replace(words, &long))));
        let ended = scene.run(&[]);
        assert_eq!((ended.kind(), ended.result()["result"].as_str()), ("answered", Some(&*long)));
        figure("1", name, "answered, whole");
    }
}

#[test]
fn an_exit_with_0_and_without_a_result_is_no_success() {
    let mut stream = lines("claude-code", "b-shell");
    stream.pop();
    let (scene, _) = Scene::claude(&says(stream));
    let ended = scene.run(&[]);
    assert_eq!((ended.kind(), ended.code()), ("protocol", Some(1)));
    figure("1", "exit 0 without result event", "failure `protocol`");
}

#[test]
fn half_a_line_and_an_exit_with_0_is_no_success() {
    let recording = recordings::one("claude-code", "b-shell");
    let last = recording.stdout.iter().rposition(|byte| *byte == b'{').unwrap();
    let (scene, _) = Scene::claude(&Play { cut_at: Some(last as u64), ..recorded("b-shell") });
    let ended = scene.run(&[]);
    assert_eq!((ended.kind(), ended.code()), ("protocol", Some(1)));
    figure("1", "half a JSON line then exit 0", "failure `protocol`");
}

#[test]
fn a_used_up_plan_says_so_with_its_reset_and_keeps_the_cost() {
    let mut stream = lines("claude-code", "k-ratelimit-event");
    let mut result: Value = serde_json::from_str(&stream.pop().unwrap()).unwrap();
    result["is_error"] = true.into();
    result["api_error_status"] = 429.into();
    result["terminal_reason"] = "api_error".into();
    let words = "You've hit your session limit \u{b7} resets 1:50pm (America/Buenos_Aires)";
    result["result"] = words.into();
    let rejected = stream.pop().unwrap().replace("allowed_warning", "rejected");
    let mut said: Value = serde_json::from_str(&lines("claude-code", "g-429-forever")[3]).unwrap();
    said["message"]["content"][0]["text"] = words.into();
    // It is told in the session of the other recording.
    said.as_object_mut().unwrap().remove("session_id");
    stream.extend([rejected, said.to_string(), result.to_string()]);
    let (scene, _) = Scene::claude(&says(stream).exit(Exit::Code(1)));
    let ended = scene.run(&[]);
    assert_eq!((ended.kind(), ended.code()), ("usage_limit", Some(75)));
    let (failure, usage) = (&ended.result()["failure"], &ended.result()["usage"]);
    assert_eq!(failure["resets_at"], "2026-11-21T10:53:25Z");
    assert_eq!(failure["reset_hint"], "1:50pm (America/Buenos_Aires)");
    assert_eq!((&usage["total_cost_usd"], &usage["output_tokens"]), (&json!(0.0087), &json!(85)));
    figure("1", "usage limit (rc 1)", "`usage_limit`, reset time, cost kept, exit code 75");
}

#[test]
fn codex_says_in_words_when_its_plan_is_used_up() {
    let scene = Scene::new();
    let stream = recordings::one("codex", "k-usage-limit");
    scene.bench.agent("codex", &Play::file(stream.stdout_path()).exit(Exit::Code(1)));
    let ended = scene.run(Who::CodexExec.args());
    assert_eq!((ended.kind(), ended.code()), ("usage_limit", Some(75)));
    assert_eq!(ended.result()["failure"]["reset_hint"], "10:30 AM");
}

#[test]
fn a_prompt_of_200_kilobytes_arrives_and_stands_in_no_command_line() {
    for who in Who::ALL {
        let scene = Scene::new();
        let agent = scene.bench.agent(who.program(), &who.busy(&scene.bench.path("")));
        let prompt = "needle-in-argv ".repeat(200 * 1024 / 15);
        fs::write(scene.bench.project().join("task.md"), &prompt).unwrap();
        let args = [&["run", "--format", "jsonl", "-f", "task.md"], who.args()].concat();
        let mut belay = crate::faults::scene::Belay::start(scene.bench.belay(&args));
        belay.wait_for("tool_call");
        let has_prompt = |line: &LogLine| matches!(line, LogLine::Stdin { line } if line.matches("needle-in-argv").count() > 13_000);
        assert!(agent.log().lines.iter().any(has_prompt), "{who:?}");
        for process in scene.processes() {
            assert!(!process.command.contains("needle-in-argv"), "{who:?}: {}", process.command);
            let environ = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&environ).contains("needle-in-argv"), "{who:?}");
        }
        belay.signal(Signal::INT);
        assert_eq!(belay.end().kind(), "interrupted");
    }
    figure(
        "1",
        "prompt \u{2265} 131072 bytes",
        "arrives by stdin, in no `/proc/*/cmdline` or `environ`",
    );
}

#[test]
fn a_trace_id_that_leaves_its_folder_is_refused_before_anything_starts() {
    let (scene, agent) = Scene::claude(&recorded("a-text"));
    for id in ["../../escaped", "/tmp/escaped", "..", "a/b", "-rf", ""] {
        let id = format!("--trace-id={id}");
        let shown = scene.bench.shown(&["run", &id, "p"]);
        assert!(shown.starts_with("exit 2\n"), "{id}: {shown}");
    }
    assert_eq!(starts(&agent), 0);
    assert!(!scene.bench.path("escaped.json").exists());
    assert!(!scene.bench.path("project/.belay").exists(), "a mistake leaves no folder behind");
    figure("1", "trace id `../../escaped`", "refused (exit 2), nothing written, no agent started");
}

#[test]
fn a_trace_folder_that_cannot_be_written_is_an_error_before_the_agent_costs_anything() {
    let (scene, agent) = Scene::claude(&recorded("a-text"));
    let file = scene.bench.path("a-file");
    fs::write(&file, "").unwrap();
    for dir in [file.join("traces"), "/proc/belay-traces".into()] {
        let shown = scene.bench.shown(&["run", "--trace-dir", &dir.to_string_lossy(), "p"]);
        assert!(shown.starts_with("exit 2\n") && shown.contains("cannot write traces"), "{shown}");
        assert!(shown.contains("--no-trace"), "the way out: {shown}");
    }
    assert_eq!(starts(&agent), 0);
    let ended = scene.run(&["--no-trace"]);
    assert_eq!(ended.kind(), "answered");
    figure("1", "trace dir unwritable", "refused (exit 2) before the agent starts");
}

#[test]
fn all_that_a_run_writes_is_its_owners_alone_whatever_the_umask() {
    let (scene, _) = Scene::claude(&recorded("b-shell"));
    let belay = scene.bench.belay(&[]);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"umask 000; exec "$0" run --system-prompt brief p"#]);
    shell.arg(belay.get_program()).current_dir(scene.bench.project()).env_clear();
    shell.env("PATH", scene.bench.path("bin")).env("HOME", scene.bench.path("home"));
    let output = shell.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut files, mut folders) = (0, 0);
    // Folders above ours are the user's own affair.
    for root in ["project/.belay/traces", "home/.local/state/belay/runs"] {
        walk(&scene.bench.path(root), &mut |path, is_folder| {
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if is_folder { 0o700 } else { 0o600 }, "{}", path.display());
            *(if is_folder { &mut folders } else { &mut files }) += 1;
        });
    }
    assert!(files >= 4 && folders >= 3, "{files} files, {folders} folders");
    figure("1", "file modes", "files 0600, folders 0700, also with umask 000");
}

fn walk(path: &Path, see: &mut impl FnMut(&Path, bool)) {
    see(path, path.is_dir());
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| walk(&entry.unwrap().path(), see));
    }
}

#[test]
fn nothing_is_bypassed_unless_the_caller_wrote_it() {
    let bypasses = ["--dangerously", "--yolo", "bypassPermissions", "danger-full-access"];
    let bypassed = |who: Who, args: &[&str]| {
        let scene = Scene::new();
        let play = who.busy(&scene.bench.path(""));
        let agent = scene.bench.agent(who.program(), &play);
        let mut belay = scene.start(&[who.args(), args].concat());
        belay.wait_for("tool_call");
        wait_until("it was told", || !agent.log().stdin().is_empty());
        belay.signal(Signal::INT);
        belay.end();
        let log = agent.log();
        let told = log.argv().join(" ") + &log.stdin().join(" ");
        bypasses.iter().any(|bypass| told.contains(bypass))
    };
    for who in Who::ALL {
        for args in [&[][..], &["--permit", "read-only"], &["--permit", "edit"]] {
            assert!(!bypassed(who, args), "{who:?} {args:?}");
        }
        assert!(bypassed(who, &["--permit", "full"]), "{who:?}: the test must be able to fail");
    }
    figure("1", "permissions", "the agent's default; a bypass only with `--permit full`");
}
