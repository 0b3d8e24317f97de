//! State folders that several machines share, and disks whose locks fail, hang or hold for one machine alone.

use crate::stored::{Bench, hanging, objects, stdout, wait_for, with_claude};
use belay_testkit::fake_agent::Play;
use belay_testkit::recordings;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A run that belay was killed in.
fn killed() -> Bench {
    let bench = hanging();
    let mut belay = bench.start_run(&["task"]);
    kill_process(Pid::from_child(&belay), Signal::KILL).unwrap();
    belay.wait().unwrap();
    bench.end_agent();
    bench
}

/// Changes what the run says of its process.
fn moved(bench: &Bench, fields: &[(&str, &str)]) {
    let path = bench.newest_run().join("events.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let mut first: Value = serde_json::from_str(first).unwrap();
    assert!(first["process"]["locked"].as_bool().unwrap() && first["process"]["pid"].is_u64());
    for (field, value) in fields {
        first["process"][field] = (*value).into();
    }
    fs::write(&path, format!("{first}\n{rest}")).unwrap();
}

/// What was said on both streams, and the exit code.
fn said(bench: &Bench, args: &[&str]) -> (i32, String) {
    let output = bench.belay(args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn a_run_of_another_machine_is_running_or_lost_there_and_never_crashed() {
    let bench = killed();
    assert!(said(&bench, &["runs"]).1.contains("crashed"));
    moved(&bench, &[("host", "elsewhere"), ("boot_id", "another")]);
    let lost = "running or lost on elsewhere";
    for (args, want) in [
        (&["runs"][..], 0),
        (&["show", "latest"], 0),
        (&["resume", "latest"], 75),
        (&["resume", "latest", "go on"], 75),
        (&["run", "--resume", "latest", "go on"], 75),
        (&["stop", "latest"], 1),
        (&["steer", "latest", "hello"], 4),
        (&["prune", "--older-than", "0s"], 0),
    ] {
        let (code, said) = said(&bench, args);
        assert!(said.contains(lost) && !said.contains("crashed"), "{args:?}: {said}");
        assert_eq!(code, want, "{args:?}: {said}");
    }
    let json = stdout(&mut bench.belay(&["runs", "--json"]));
    let runs = objects(&json);
    assert_eq!((&runs[0]["state"], &runs[0]["host"]), (&"lost".into(), &"elsewhere".into()));
    // Who knows that the machine is gone says so.
    let (_, forced) = said(&bench, &["resume", "latest", "--force", "--dry-run"]);
    assert!(!forced.contains(lost), "{forced}");
    assert_eq!(said(&bench, &["prune", "--older-than", "0s", "--state", "lost"]).0, 0);
    assert_eq!(bench.runs().len(), 0);
}

#[test]
fn a_run_before_its_machine_was_started_again_has_crashed() {
    let bench = killed();
    moved(&bench, &[("boot_id", "another")]);
    let (_, said) = said(&bench, &["runs"]);
    assert!(said.contains("crashed") && !said.contains("lost"), "{said}");
}

/// A world whose locks are spoiled for belay.
struct Spoiled {
    bench: Bench,
    library: String,
}

impl Spoiled {
    fn new(bench: Bench) -> Self {
        let library = bench.path("flock.so").display().to_string();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/flock.c");
        let args = ["-O1", "-shared", "-fPIC", "-o", &library, source];
        assert!(Command::new("cc").args(args).status().unwrap().success());
        Self { bench, library }
    }

    fn belay(&self, mode: &str, args: &[&str]) -> Command {
        let mut command = self.bench.belay(args);
        command.env("LD_PRELOAD", &self.library).env("FLOCK", mode);
        command
    }
}

#[test]
fn a_run_goes_on_without_locks_that_fail_or_hang_and_says_so() {
    for mode in ["enolck", "hang"] {
        let text = recordings::one("claude-code", "a-text").stdout_path();
        let world = Spoiled::new(with_claude(&Play::file(text)));
        let began = Instant::now();
        let output = world.belay(mode, &["run", "--format", "jsonl", "p"]).output().unwrap();
        let events = objects(&String::from_utf8(output.stdout).unwrap());
        let is_warned = events.iter().any(|event| event["code"] == "journal_lock");
        let result = events.last().unwrap();
        assert!(is_warned && result["type"] == "result", "{mode}: {result}");
        assert_eq!((output.status.code(), &result["is_error"]), (Some(0), &false.into()), "{mode}");
        assert_eq!(events[0]["process"]["locked"], false);
        assert!(began.elapsed() < Duration::from_secs(10), "{mode}: {:?}", began.elapsed());
        assert!(said(&world.bench, &["runs"]).1.contains("answered"), "{mode}");
    }
}

#[test]
fn a_signal_is_heard_where_locks_hang() {
    let world = Spoiled::new(hanging());
    let args = ["run", "--format", "quiet", "task"];
    let mut command = world.belay("hang", &args);
    let mut belay = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the run", || world.bench.runs().len() == 1);
    let events = world.bench.newest_run().join("events.jsonl");
    let called = || fs::read_to_string(&events).is_ok_and(|text| text.contains("\"tool_call\""));
    wait_for("the tool", called);
    kill_process(Pid::from_child(&belay), Signal::INT).unwrap();
    assert_eq!(belay.wait().unwrap().code(), Some(130));
}

#[test]
fn a_second_user_is_refused_where_each_machine_keeps_its_own_locks() {
    let world = Spoiled::new(hanging());
    let mut first = world.bench.start_run(&["task"]);
    // What another process of this machine sees, to which each lock is free.
    let (mut runs, mut resume) =
        (world.belay("local", &["runs"]), world.belay("local", &["resume", "latest", "go on"]));
    let listed = stdout(&mut runs);
    assert!(listed.contains("running") && !listed.contains("crashed"), "{listed}");
    assert_eq!(resume.output().unwrap().status.code(), Some(75));
    stdout(&mut world.bench.belay(&["stop", "latest"]));
    first.wait().unwrap();
}
