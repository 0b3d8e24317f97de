//! One of the agents in a home of its own, and what a run of it tells.

use assert_cmd::cargo::cargo_bin;
use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use belay_testkit::real::{self, PresetAgent, Sandbox, skipped};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What each reply of the model is said to have used.
pub(super) const TOKENS: Tokens =
    Tokens { input: 1009, output: 101, cache_read: 5003, cache_write: 0, reasoning: 11 };

const CLAUDE: &str = "claude:claude-sonnet-4-5-20250929";

const PROMPT: &str = "Change hello.py";

/// An installed agent with a home.
pub(super) struct Place {
    pub(super) agent: PresetAgent,
    sandbox: Sandbox,
    command: String,
}

/// What a run has told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) events: Vec<Value>,
    pub(super) result: Value,
    pub(super) code: Option<i32>,
    pub(super) took: Duration,
    /// How often the model was asked.
    pub(super) requests: usize,
    /// The last request holds the first prompt, and the answer to it.
    pub(super) knows_the_first: bool,
    /// What the model has told that was used, titles and all.
    served: Tokens,
}

impl Place {
    pub(super) fn enter(agent: PresetAgent, test: &str) -> Option<Self> {
        let Some(command) = agent.command() else {
            skipped(agent.name(), test);
            return None;
        };
        let sandbox = Sandbox::new().unwrap();
        Some(Self { agent, sandbox, command: format!("acp:{command}") })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.sandbox.project().join(name)
    }

    pub(super) fn home(&self) -> String {
        self.sandbox.home().display().to_string()
    }

    pub(super) fn number(&self) -> u32 {
        let at = PresetAgent::ALL.iter().position(|agent| *agent == self.agent);
        at.and_then(|at| u32::try_from(at).ok()).unwrap_or_default()
    }

    /// A file with a price of the model.
    pub(super) fn prices(&self) -> String {
        let path = self.sandbox.home().join("prices.toml");
        let columns = "input_usd_per_million = 2.0\noutput_usd_per_million = 8.0\n\
                       cache_read_usd_per_million = 0.5\n";
        let names =
            ["mock-model", "gpt-4o", "lab/mock-model", "generic.mock-model", "openai/mock-model"];
        let models = names.map(|name| format!("[models.\"{name}\"]\n{columns}"));
        std::fs::write(&path, models.concat()).unwrap();
        path.display().to_string()
    }

    /// `belay run` with these arguments, its agent at this server or at one that is gone.
    pub(super) fn belay(&self, server: Option<&ModelServer>, args: &[&str]) -> Command {
        let gone = server.is_none().then(|| ModelServer::start(Script::new()).unwrap());
        let own = self.sandbox.env_for_preset(self.agent, server.or(gone.as_ref()).unwrap());
        belay_testkit::hear_signals();
        let mut belay = Command::new(cargo_bin("belay"));
        belay.args(["run", "--format", "jsonl", "--timeout", "150s", "-a", &self.command]);
        belay.args(args).arg(PROMPT).env_clear().envs(own.unwrap());
        belay.current_dir(self.sandbox.project()).stdin(Stdio::null());
        belay.stdout(Stdio::piped()).stderr(Stdio::null());
        belay
    }

    pub(super) fn run(&self, script: Script, args: &[&str]) -> Told {
        self.run_at(&ModelServer::start(script).unwrap(), args)
    }

    pub(super) fn run_at(&self, server: &ModelServer, args: &[&str]) -> Told {
        let before = (server.requests().len(), server.titles().len());
        told(self.belay(Some(server), args), Some((server, before)))
    }

    /// The same with Claude behind it; without a script the agent's model is not to be reached.
    pub(super) fn hands_over(&self, script: Option<Script>) -> Told {
        let server = script.map(|script| ModelServer::start(script).unwrap());
        let answer = Script::new().forever(Reply::text("Claude did it."));
        let of_claude = ModelServer::start(answer).unwrap();
        let bin = self.sandbox.home().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let claude = real::claude().expect("Claude is installed with the other agents");
        let _ = std::os::unix::fs::symlink(claude.program, bin.join("claude"));
        // The agent's own tries take long enough.
        let args = ["-a", CLAUDE, "--permit", "full", "--max-retries", "0"];
        let mut belay = self.belay(server.as_ref(), &args);
        let own = self.sandbox.env_for_claude(&of_claude);
        belay.envs(own.into_iter().filter(|(name, _)| name != "PATH"));
        belay.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()));
        told(belay, server.as_ref().map(|server| (server, (0, 0))))
    }
}

/// Runs it; the server was asked this often before, and for this many titles.
fn told(mut belay: Command, server: Option<(&ModelServer, (usize, usize))>) -> Told {
    let began = Instant::now();
    let output = belay.output().unwrap();
    let took = began.elapsed();
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let result = events.last().cloned().unwrap_or_default();
    let requests = server.map(|(server, (before, _))| server.requests().split_off(before));
    // Some ask which models there are.
    let requests: Vec<_> = requests
        .into_iter()
        .flatten()
        .filter(|request| request.path.contains("completions"))
        .collect();
    let titles = server.map(|(server, (_, before))| server.titles().len() - before);
    let titles = titles.unwrap_or_default();
    let last = requests.last().map(|request| request.body.to_string()).unwrap_or_default();
    let knows_the_first = last.matches(PROMPT).count() > 1 && last.contains("Fine.");
    let (asked, titles) = (requests.len() as u64, titles as u64);
    let served = Tokens {
        input: asked * TOKENS.input + titles * 7,
        output: asked * TOKENS.output + titles * 3,
        cache_read: asked * TOKENS.cache_read,
        ..Tokens::default()
    };
    let code = output.status.code();
    Told { events, result, code, took, requests: requests.len(), knows_the_first, served }
}

impl Told {
    pub(super) fn answer(&self) -> &str {
        // Hermes begins what follows a tool with two empty lines.
        self.result["result"].as_str().unwrap_or_default().trim()
    }

    fn of_type(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["type"] == kind).collect()
    }

    /// What is told of a command that printed `one` and ended with 3.
    pub(super) fn tool(&self) -> String {
        let calls = self.of_type("tool_call");
        assert_eq!(calls.len(), 1, "{self:#?}");
        let id = &calls[0]["tool_id"];
        let results = self.of_type("tool_result");
        let result = results.iter().find(|result| result["tool_id"] == *id);
        let mut told = Vec::new();
        if calls[0]["args"].to_string().contains("echo one") {
            told.push("command".to_owned());
        }
        if let Some(result) = result {
            if result["output"].as_str().is_some_and(|output| output.contains("one")) {
                told.push("output".to_owned());
            }
            if let Some(code) = result["exit_code"].as_i64() {
                told.push(format!("exit code {code}"));
            } else if result["tool_error"] == true {
                told.push("failed".to_owned());
            }
        }
        if told.is_empty() { "nothing but the call".to_owned() } else { told.join(", ") }
    }

    /// How what is told of the tokens stands to what the model has told.
    pub(super) fn usage(&self) -> String {
        let usage = &self.result["usage"];
        let count = |name: &str| usage[name].as_u64();
        let Some(input) = count("input_tokens") else { return "not told".to_owned() };
        let output = count("output_tokens").unwrap_or_default();
        let cached = count("cache_read_input_tokens").unwrap_or_default();
        let Tokens { input: i, output: o, cache_read: c, .. } = self.served;
        let partial = usage["partial"] == true;
        let is_all = (input, output, cached) == (i, o, c);
        let in_all = (input + cached, output) == (i + c, o);
        let lower = input + cached <= i + c && output <= o;
        match (is_all, partial, in_all, lower) {
            (true, false, ..) => "exact",
            (true, true, ..) => "right, marked partial",
            (_, true, true, _) => "right sum, marked partial",
            (_, true, _, true) => "a part, marked so",
            _ => "WRONG",
        }
        .to_owned()
    }

    pub(super) fn cost(&self) -> String {
        let usage = &self.result["usage"];
        let source = usage["cost_source"].as_str().unwrap_or("unknown");
        let Some(cost) = usage["total_cost_usd"].as_f64() else { return "not known".to_owned() };
        let Tokens { input, output, cache_read, .. } = self.served;
        let want = (input as f64 * 2.0 + output as f64 * 8.0 + cache_read as f64 * 0.5) / 1e6;
        let is = if (cost - want).abs() < 1e-6 {
            "right"
        } else if cost < want {
            "a lower bound"
        } else {
            "WRONG"
        };
        format!("{source}, {is}")
    }
}
