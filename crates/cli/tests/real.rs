//! The program with the real agents: an answer with a tool, and a Ctrl-C in the middle of one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use assert_cmd::cargo::cargo_bin;
use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use belay_testkit::real::{self, CodexPolicy, RealAgent, Sandbox, skip_unless_installed};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 300, reasoning: 0 };

/// An agent with a model and a home of its own.
struct Bench {
    server: ModelServer,
    sandbox: Sandbox,
    program: PathBuf,
    vars: Vec<(String, String)>,
    args: Vec<&'static str>,
}

impl Bench {
    fn claude(script: Script, test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::claude(), "claude", test)?;
        let (server, sandbox) = (ModelServer::start(script).unwrap(), Sandbox::new().unwrap());
        let vars = sandbox.env_for_claude(&server);
        let args = vec!["-a", "claude:claude-sonnet-4-5-20250929", "--permit", "full"];
        Some(Self::new(agent, server, sandbox, vars, args))
    }

    fn codex(script: Script, test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::codex(), "codex", test)?;
        let (server, sandbox) = (ModelServer::start(script).unwrap(), Sandbox::new().unwrap());
        let vars = sandbox.env_for_codex(&server, CodexPolicy::FULL_ACCESS).unwrap();
        let args = vec!["-a", "codex", "--pass-env", "MOCK_KEY"];
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

    fn belay(&self) -> Command {
        let mut command = Command::new(cargo_bin("belay"));
        command.arg("run").args(&self.args).arg("--program").arg(&self.program);
        command.args(["--format", "jsonl", "Do the task"]);
        command.env_clear().envs(self.vars.iter().cloned()).current_dir(self.sandbox.project());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command
    }

    /// Runs the program, calls `on_event` for every event, and gives the last one and the exit code.
    fn run(&self, mut on_event: impl FnMut(&Value, u32)) -> (Value, Option<i32>) {
        let mut child = self.belay().spawn().unwrap();
        let mut last = Value::Null;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            last = serde_json::from_str(&line.unwrap()).unwrap();
            on_event(&last, child.id());
        }
        (last, child.wait().unwrap().code())
    }
}

fn working() -> Script {
    Script::new()
        .reply(Reply::text("I will run it.").shell("echo from-the-shell").usage(TOKENS))
        .reply(Reply::text("It said so.").usage(TOKENS))
}

#[test]
fn both_agents_answer_with_a_tool_and_the_tokens_of_the_model() {
    let test = "both_agents_answer_with_a_tool_and_the_tokens_of_the_model";
    for bench in
        [Bench::claude(working(), test), Bench::codex(working(), test)].into_iter().flatten()
    {
        let mut outputs = Vec::new();
        let (result, code) = bench.run(|event, _| {
            if event["type"] == "tool_result" {
                outputs.push(event["output"].as_str().unwrap().trim_end().to_owned());
            }
        });
        assert_eq!((code, result["result"].as_str()), (Some(0), Some("It said so.")));
        assert_eq!(outputs, ["from-the-shell"]);
        let tokens = |name: &str| result["usage"][name].as_u64();
        assert_eq!((tokens("input_tokens"), tokens("output_tokens")), (Some(2400), Some(170)));
        assert_eq!(tokens("cache_read_input_tokens"), Some(18_000));
        assert_eq!(bench.server.requests().iter().filter(|r| r.method == "POST").count(), 2);
        let traces = bench.sandbox.project().join(".belay/traces");
        let tree = belay_trace::read_latest(&traces).unwrap();
        assert_eq!(tree.children[1].children[0].agent_name, "Bash");
    }
}

#[test]
fn ctrl_c_in_the_middle_of_a_tool_keeps_the_bill_and_leaves_nothing_running() {
    let test = "ctrl_c_in_the_middle_of_a_tool_keeps_the_bill_and_leaves_nothing_running";
    let marker = format!("belay-marker-{}", std::process::id());
    let sleeping = || {
        let command = format!("python3 -c 'import time; time.sleep(300)' {marker}");
        Script::new().reply(Reply::text("Sleeping.").shell(&command).usage(TOKENS))
    };
    for bench in
        [Bench::claude(sleeping(), test), Bench::codex(sleeping(), test)].into_iter().flatten()
    {
        let (result, code) = bench.run(|event, pid| {
            if event["type"] == "tool_call" {
                wait_until("the tool was never started", || is_running(&marker));
                let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                kill_process(pid, Signal::INT).unwrap();
            }
        });
        assert_eq!(code, Some(130), "{result}");
        assert_eq!(result["failure"]["kind"], "interrupted");
        assert_eq!(result["result"], "Sleeping.");
        assert_eq!(result["usage"]["output_tokens"], 85, "{result}");
        wait_until("the tool outlived the run", || !is_running(&marker));
    }
}

/// True if a process has the marker in its arguments.
fn is_running(marker: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|cmdline| String::from_utf8_lossy(&cmdline).contains(marker))
}

fn wait_until(otherwise: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_true() {
        assert!(Instant::now() < deadline, "{otherwise}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
