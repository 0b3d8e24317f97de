//! A run of each real agent as a thing: stopped from another terminal, resumed, followed, replayed.

use assert_cmd::cargo::cargo_bin;
use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use belay_testkit::real::{self, CodexPolicy, Sandbox, skip_unless_installed};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 300, reasoning: 0 };

/// An agent with a model and a home of its own.
struct Bench {
    server: ModelServer,
    sandbox: Sandbox,
    vars: Vec<(String, String)>,
    run: Vec<String>,
}

impl Bench {
    fn claude(script: Script, test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::claude(), "claude", test)?;
        let (server, sandbox) = (ModelServer::start(script).unwrap(), Sandbox::new().unwrap());
        let vars = sandbox.env_for_claude(&server);
        let args = ["-a", "claude:claude-sonnet-4-5-20250929", "--permit", "full"];
        Some(Self::new(agent.program, server, sandbox, vars, &args))
    }

    fn codex(script: Script, test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::codex(), "codex", test)?;
        let (server, sandbox) = (ModelServer::start(script).unwrap(), Sandbox::new().unwrap());
        let vars = sandbox.env_for_codex(&server, CodexPolicy::FULL_ACCESS).unwrap();
        let args = ["-a", "codex", "--pass-env", "MOCK_KEY"];
        Some(Self::new(agent.program, server, sandbox, vars, &args))
    }

    fn pi(script: Script, test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::pi(), "pi", test)?;
        let (server, sandbox) = (ModelServer::start(script).unwrap(), Sandbox::new().unwrap());
        let vars = sandbox.env_for_pi(&server).unwrap();
        let args = ["-a", "pi:lab/mock-model", "--permit", "full"];
        Some(Self::new(agent.program, server, sandbox, vars, &args))
    }

    fn opencode(script: Script, test: &str) -> Option<Self> {
        let agent = skip_unless_installed(real::opencode(), "opencode", test)?;
        let (server, sandbox) = (ModelServer::start(script).unwrap(), Sandbox::new().unwrap());
        let vars = sandbox.env_for_opencode(&server).unwrap();
        let args = ["-a", "opencode:lab/mock-model", "--permit", "full"];
        Some(Self::new(agent.program, server, sandbox, vars, &args))
    }

    fn new(
        program: PathBuf,
        server: ModelServer,
        sandbox: Sandbox,
        vars: Vec<(String, String)>,
        args: &[&str],
    ) -> Self {
        let program = program.to_str().unwrap();
        let begin = ["run", "--program", program];
        let run = begin.iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        Self { server, sandbox, vars, run }
    }

    fn belay(&self, args: &[&str]) -> Command {
        let mut command = Command::new(cargo_bin("belay"));
        command.args(args).env_clear().envs(self.vars.iter().cloned());
        command.current_dir(self.sandbox.project()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Command {
        let all: Vec<&str> =
            self.run.iter().map(String::as_str).chain(args.iter().copied()).collect();
        self.belay(&all)
    }

    fn says(&self, args: &[&str]) -> String {
        let output = self.belay(args).stderr(Stdio::inherit()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn account(&self) -> Value {
        serde_json::from_str(&self.says(&["show", "--format", "json"])).unwrap()
    }

    /// The newest run replays to the very lines of its journal.
    fn replays(&self) {
        let account = self.account();
        let events = PathBuf::from(account["folder"].as_str().unwrap()).join("events.jsonl");
        let events = fs::read_to_string(events).unwrap();
        let stored: Vec<&str> = events.lines().filter(|line| line.contains(r#""raw":"#)).collect();
        let replayed = self.says(&["replay"]);
        assert!(stored.len() > 3);
        assert_eq!(replayed.lines().collect::<Vec<_>>(), stored);
    }
}

fn script() -> Script {
    let sleep = "python3 -c 'import time; time.sleep(300)'";
    Script::new()
        .reply(Reply::text("Sleeping.").shell(sleep).usage(TOKENS))
        .reply(Reply::text("I went on.").usage(TOKENS))
}

#[test]
fn a_run_is_stopped_from_outside_resumed_with_what_it_had_and_replayed() {
    let test = "a_run_is_stopped_from_outside_resumed_with_what_it_had_and_replayed";
    let benches =
        [Bench::claude(script(), test), Bench::codex(script(), test), Bench::pi(script(), test)];
    for bench in benches.into_iter().flatten() {
        let mut command = bench.run(&["Do the task"]);
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !bench
            .belay(&["logs"])
            .output()
            .is_ok_and(|logs| String::from_utf8_lossy(&logs.stdout).contains("[tool_use]"))
        {
            assert!(Instant::now() < deadline, "the tool was never called");
            std::thread::sleep(Duration::from_millis(50));
        }
        let stopped = bench.says(&["stop", "latest"]);
        assert!(stopped.contains(" has ended: interrupted"), "{stopped}");
        assert_eq!(run.wait().unwrap().code(), Some(130));
        bench.replays();
        let first = bench.account();
        assert_eq!(first["usage"]["output_tokens"], 85, "the bill is kept");

        // With nothing but its name: model, permissions, program and variables are those of the run.
        assert_eq!(bench.says(&["resume", "latest"]), "I went on.\n");
        bench.replays();
        let second = bench.account();
        for name in ["session_id", "model", "permissions", "cwd"] {
            assert_eq!(first[name], second[name], "{name}");
        }
        let asked =
            bench.server.requests().into_iter().rfind(|request| request.method == "POST").unwrap();
        let asked = asked.body.to_string();
        assert!(asked.contains("Do the task") && asked.contains("Your last turn was stopped"));
    }
}

/// A first turn, and then turns that take a while.
fn slow_turns() -> Script {
    let slow = || Reply::text("Later.").delay(Duration::from_secs(3)).usage(TOKENS);
    (0..12).fold(Script::new().reply(Reply::text("First.").usage(TOKENS)), |script, _| {
        script.reply(slow())
    })
}

#[test]
fn of_two_real_agents_in_one_session_one_is_refused_and_the_queue_loses_no_turn() {
    let test = "of_two_real_agents_in_one_session_one_is_refused_and_the_queue_loses_no_turn";
    let benches = [Bench::claude, Bench::codex, Bench::opencode, Bench::pi];
    for bench in benches.into_iter().filter_map(|bench| bench(slow_turns(), test)) {
        let start = |args: &[String]| {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let mut command = bench.belay(&args);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let words =
            |args: &[&str]| -> Vec<String> { args.iter().map(|arg| (*arg).to_owned()).collect() };
        let first = bench.run(&["--format", "quiet", "FIRST-PROMPT"]).output().unwrap();
        assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stderr));
        let id = bench.account()["run"].as_str().unwrap().to_owned();
        let asked = || {
            let posts =
                bench.server.requests().into_iter().filter(|request| request.method == "POST");
            posts.count()
        };
        let ended = |child: std::process::Child| {
            let output = child.wait_with_output().unwrap();
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        // Two at once, by the run and by the folder.
        let by_run = |prompt: &str| words(&["resume", &id, prompt]);
        let by_folder = |prompt: &str| [bench.run.clone(), words(&["--continue", prompt])].concat();
        for (args, other) in [
            (by_run("SECOND-PROMPT"), by_run("LOST-PROMPT")),
            (by_folder("THIRD-PROMPT"), by_folder("LOST-PROMPT")),
            (by_run("FOURTH-PROMPT"), by_folder("LOST-PROMPT")),
        ] {
            let before = asked();
            let one = start(&args);
            let deadline = Instant::now() + Duration::from_secs(60);
            while asked() == before {
                assert!(Instant::now() < deadline, "the model was never asked");
                std::thread::sleep(Duration::from_millis(20));
            }
            let (code, said) = ended(start(&other));
            assert_eq!(code, Some(75), "{said}");
            assert!(said.contains("is in use by run "), "{said}");
            let (code, said) = ended(one);
            assert_eq!(code, Some(0), "{said}");
        }
        // Three in the queue: each has what was said before it.
        let queued: Vec<_> = ["QUEUE-A", "QUEUE-B", "QUEUE-C"]
            .iter()
            .map(|prompt| {
                let child = start(&words(&["resume", &id, "--queue", prompt]));
                std::thread::sleep(Duration::from_millis(700));
                child
            })
            .collect();
        for child in queued {
            let (code, said) = ended(child);
            assert_eq!(code, Some(0), "{said}");
        }
        let last = bench.server.requests().into_iter().rfind(|request| request.method == "POST");
        let last = last.unwrap().body.to_string();
        for prompt in ["FIRST", "SECOND", "THIRD", "FOURTH"] {
            assert!(last.contains(&format!("{prompt}-PROMPT")), "{prompt} is lost: {last}");
        }
        let at =
            |prompt: &str| last.find(prompt).unwrap_or_else(|| panic!("{prompt} is lost: {last}"));
        assert!(at("QUEUE-A") < at("QUEUE-B") && at("QUEUE-B") < at("QUEUE-C"));
        assert!(!last.contains("LOST-PROMPT"));
    }
}
