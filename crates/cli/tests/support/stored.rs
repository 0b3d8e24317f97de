//! A bench with runs on it: some that answer, some that hang until they are stopped.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and may panic")]

pub(crate) use crate::bench::Bench;
use belay_testkit::fake_agent::{FakeAgent, Pause, Play, Until, WaitForStdin};
use belay_testkit::recordings;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A bench whose Claude plays this when the prompt has come.
pub(crate) fn with_claude(play: &Play) -> Bench {
    let bench = Bench::new();
    claude(&bench, play);
    bench
}

pub(crate) fn claude(bench: &Bench, play: &Play) -> FakeAgent {
    let log = Some(bench.path("agent.log"));
    let play = Play { wait_for_stdin: WaitForStdin::Line, log, ..play.clone() };
    bench.agent("claude", &play)
}

/// Claude calls a tool and waits until it is interrupted, which it survives with its bill.
pub(crate) fn hangs() -> Play {
    let recording = recordings::one("claude-code", "int-int1");
    let text = String::from_utf8(recording.stdout).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (before, after) = lines.split_at(3);
    let until = Until::StdinLine("interrupt".into());
    let pauses = vec![Pause { after_line: 3, until, then: after.to_vec(), resume: false }];
    Play { pauses, ..Play::lines(before.to_vec()) }
}

/// A bench whose Claude hangs.
pub(crate) fn hanging() -> Bench {
    with_claude(&hangs())
}

impl Bench {
    /// Starts the program and shows nothing of it.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.belay(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Starts a run and waits until its tool is called.
    pub(crate) fn start_run(&self, args: &[&str]) -> Child {
        let before = self.runs().len();
        let child = self.start(&[&["run"], args].concat());
        wait_for("the run", || self.runs().len() > before);
        let events = self.newest_run().join("events.jsonl");
        let called =
            || fs::read_to_string(&events).is_ok_and(|text| text.contains("\"tool_call\""));
        wait_for("the tool", called);
        child
    }

    /// The folders of the runs, oldest first.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.path("home/.local/state/belay/runs"));
        let mut folders: Vec<_> =
            folders.into_iter().flatten().map(|run| run.unwrap().path()).collect();
        folders.sort();
        folders
    }

    pub(crate) fn newest_run(&self) -> PathBuf {
        self.runs().pop().unwrap()
    }

    /// The folder of the one run.
    pub(crate) fn run_folder(&self) -> PathBuf {
        assert_eq!(self.runs().len(), 1);
        self.newest_run()
    }

    /// Ends the agent of the newest run, which outlives a belay that was killed.
    pub(crate) fn end_agent(&self) {
        let events = fs::read_to_string(self.newest_run().join("events.jsonl")).unwrap();
        let started = events.lines().find(|line| line.contains("attempt_started")).unwrap();
        let started: Value = serde_json::from_str(started).unwrap();
        let pid = i32::try_from(started["pid"].as_i64().unwrap()).unwrap();
        let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
    }
}

/// The id at the beginning of a line of `belay runs`.
pub(crate) fn id(runs: &str) -> String {
    runs.split(' ').next().unwrap().to_owned()
}

pub(crate) fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

pub(crate) fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_there() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
