//! The program with a real agent, a scripted model and a home of its own.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and may panic")]

use assert_cmd::cargo::cargo_bin;
use belay_testkit::model_server::{ModelServer, Script, Tokens};
use belay_testkit::real::{self, CodexPolicy, RealAgent, Sandbox, skip_unless_installed};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What each reply of the model is said to have used.
pub(crate) const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 300, reasoning: 0 };

/// An agent with a model and a home of its own.
pub(crate) struct Bench {
    pub(crate) server: ModelServer,
    pub(crate) sandbox: Sandbox,
    program: PathBuf,
    vars: Vec<(String, String)>,
    args: Vec<&'static str>,
}

impl Bench {
    pub(crate) fn claude(script: Script, test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::claude(), "claude", test)?;
        let (server, sandbox) = (ModelServer::start(script).unwrap(), Sandbox::new().unwrap());
        let vars = sandbox.env_for_claude(&server);
        let args = vec!["-a", "claude:claude-sonnet-4-5-20250929", "--permit", "full"];
        Some(Self::new(agent, server, sandbox, vars, args))
    }

    pub(crate) fn codex(script: Script, test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::codex(), "codex", test)?;
        let (server, sandbox) = (ModelServer::start(script).unwrap(), Sandbox::new().unwrap());
        let vars = sandbox.env_for_codex(&server, CodexPolicy::FULL_ACCESS).unwrap();
        let args = vec!["-a", "codex", "--pass-env", "MOCK_KEY"];
        Some(Self::new(agent, server, sandbox, vars, args))
    }

    pub(crate) fn pi(script: Script, test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::pi(), "pi", test)?;
        let (server, sandbox) = (ModelServer::start(script).unwrap(), Sandbox::new().unwrap());
        let vars = sandbox.env_for_pi(&server).unwrap();
        let args = vec!["-a", "pi:lab/mock-model", "--permit", "full"];
        Some(Self::new(agent, server, sandbox, vars, args))
    }

    pub(crate) fn opencode(script: Script, test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::opencode(), "opencode", test)?;
        let (server, sandbox) = (ModelServer::start(script).unwrap(), Sandbox::new().unwrap());
        let vars = sandbox.env_for_opencode(&server).unwrap();
        let args = vec!["-a", "opencode:lab/mock-model", "--permit", "full"];
        Some(Self::new(agent, server, sandbox, vars, args))
    }

    fn new(
        agent: RealAgent,
        server: ModelServer,
        sandbox: Sandbox,
        vars: Vec<(String, String)>,
        args: Vec<&'static str>,
    ) -> Self {
        Self { server, sandbox, program: agent.program, vars, args }
    }

    /// `belay run` with these arguments, as a command whose output is read.
    pub(crate) fn belay(&self, args: &[&str]) -> Command {
        belay_testkit::hear_signals();
        let mut command = Command::new(cargo_bin("belay"));
        command.arg("run").args(&self.args).arg("--program").arg(&self.program);
        command.args(["--format", "jsonl"]).args(args).arg("Do the task");
        command
            .env_clear()
            .envs(self.vars.iter().cloned())
            .env("BELAY_MAX_ATTEMPTS", "1")
            .current_dir(self.sandbox.project());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command
    }

    /// Another verb of `belay`, as the same user.
    pub(crate) fn verb(&self, args: &[&str]) -> Command {
        let mut command = Command::new(cargo_bin("belay"));
        command.args(args).env_clear().envs(self.vars.iter().cloned());
        command.stdin(Stdio::null()).current_dir(self.sandbox.project());
        command
    }

    /// Runs the program, calls `on_event` for every event, and gives the last one and the exit code.
    pub(crate) fn run(
        &self,
        args: &[&str],
        mut on_event: impl FnMut(&Value, u32),
    ) -> (Value, Option<i32>) {
        let mut child = self.belay(args).spawn().unwrap();
        let mut last = Value::Null;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            last = serde_json::from_str(&line.unwrap()).unwrap();
            on_event(&last, child.id());
        }
        (last, child.wait().unwrap().code())
    }
}

/// The processes that have the marker in their arguments.
pub(crate) fn marked(marker: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let marked = processes.filter(|process| {
        let cmdline = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&cmdline).contains(marker)
    });
    marked.filter_map(|process| process.file_name().to_str()?.parse().ok()).collect()
}

pub(crate) fn wait_until(otherwise: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_true() {
        assert!(Instant::now() < deadline, "{otherwise}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
