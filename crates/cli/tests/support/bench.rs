//! A folder with fake agents on a PATH of its own, in which the built program is run like a user runs it.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and may panic")]

use assert_cmd::cargo::cargo_bin;
use belay_testkit::fake_agent::{FakeAgent, Play};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A home, a project folder and a PATH.
pub(crate) struct Bench {
    root: TempDir,
}

impl Bench {
    /// A bench without any agent.
    pub(crate) fn new() -> Self {
        belay_testkit::hear_signals();
        let root = tempfile::tempdir().unwrap();
        for folder in ["bin", "home", "project"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root }
    }

    /// Puts a fake agent on the PATH.
    pub(crate) fn agent(&self, name: &str, play: &Play) -> FakeAgent {
        FakeAgent::new(&self.root.path().join("bin"), name, play).unwrap()
    }

    /// The folder in which the program runs.
    pub(crate) fn project(&self) -> PathBuf {
        self.path("project")
    }

    /// A path on the bench.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(relative)
    }

    /// The program with arguments, in an environment that holds the bench and nothing else.
    pub(crate) fn belay(&self, args: &[&str]) -> Command {
        let mut command = Command::new(cargo_bin("belay"));
        command.args(args).current_dir(self.project()).env_clear();
        command.env("PATH", self.path("bin")).env("HOME", self.path("home"));
        // One failure is one failure; the tests of what comes after it say so.
        command.env("BELAY_MAX_ATTEMPTS", "1");
        command.stdin(std::process::Stdio::null());
        command
    }

    /// Runs the program and shows what a user saw: exit code, standard output, standard error.
    pub(crate) fn shown(&self, args: &[&str]) -> String {
        show(&self.belay(args).output().unwrap(), self)
    }
}

/// Exit code and both streams in one text, with the bench's own path as `BENCH`.
pub(crate) fn show(output: &Output, bench: &Bench) -> String {
    let root = bench.root.path().to_string_lossy().into_owned();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&root, "BENCH");
    let code =
        output.status.code().map_or_else(|| output.status.to_string(), |code| code.to_string());
    format!("exit {code}\n--- stdout\n{}--- stderr\n{}", text(&output.stdout), text(&output.stderr))
}
