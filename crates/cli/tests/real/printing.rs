//! Programs that only print, as people have them: aider and mini-swe-agent, alone and on both sides of a failover.

use crate::bench::{marked, wait_until};
use assert_cmd::cargo::cargo_bin;
use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use belay_testkit::python;
use belay_testkit::real::{self, Sandbox, skipped};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TOKENS: Tokens =
    Tokens { input: 1009, output: 101, cache_read: 5003, cache_write: 0, reasoning: 0 };

/// A program of Python's against a model of its own, with Claude at hand against another one.
struct Stage {
    sandbox: Sandbox,
    server: ModelServer,
    /// Claude's model.
    _other: ModelServer,
    command: String,
    env: Vec<(String, String)>,
}

fn answer(text: &str) -> Script {
    Script::new().forever(Reply::text(text).usage(TOKENS))
}

impl Stage {
    fn aider(script: Script, other: Script, test: &str) -> Option<Self> {
        let arguments = "--yes-always --no-pretty --no-check-update --no-show-model-warnings \
                         --no-git --model openai/mock --message {prompt}";
        Self::new(python::AIDER, "aider", arguments, script, other, test)
    }

    fn mini(script: Script, other: Script, test: &str) -> Option<Self> {
        let arguments = "-y -m openai/mock -t {prompt} --exit-immediately -o {answer}";
        Self::new(python::MINI, "mini", arguments, script, other, test)
    }

    fn new(
        package: &str,
        name: &str,
        arguments: &str,
        script: Script,
        other: Script,
        test: &str,
    ) -> Option<Self> {
        let (Some(program), Some(claude)) = (python::program(package, name), real::claude()) else {
            skipped(package, test);
            return None;
        };
        let sandbox = Sandbox::new().unwrap();
        let (server, other) =
            (ModelServer::start(script).unwrap(), ModelServer::start(other).unwrap());
        let mut env = sandbox.env_for_claude(&other);
        let url = format!("{}/v1", server.url());
        let own = [
            ("OPENAI_API_KEY", "dummy"),
            ("OPENAI_API_BASE", &url),
            ("OPENAI_BASE_URL", &url),
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
            ("AIDER_ANALYTICS", "false"),
            ("MSWEA_CONFIGURED", "true"),
            ("MSWEA_COST_TRACKING", "ignore_errors"),
        ];
        env.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let bin: PathBuf = sandbox.home().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(claude.program, bin.join("claude")).unwrap();
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
        env.push(("PATH".to_owned(), path));
        let command = format!("cmd:{} {arguments}", program.display());
        Some(Self { sandbox, server, _other: other, command, env })
    }

    fn belay(&self, args: &[&str]) -> Command {
        belay_testkit::hear_signals();
        let mut belay = Command::new(cargo_bin("belay"));
        belay.args(["run", "--format", "jsonl", "--timeout", "120s"]).args(args);
        belay.arg("Change hello.py").env_clear().envs(self.env.iter().cloned());
        belay.current_dir(self.sandbox.project()).stdin(Stdio::null());
        belay.stdout(Stdio::piped()).stderr(Stdio::inherit());
        belay
    }

    /// Its events, its result and its exit code.
    fn run(&self, args: &[&str]) -> (Vec<Value>, Value, Option<i32>) {
        let output = self.belay(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let events: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let result = events.last().unwrap().clone();
        (events, result, output.status.code())
    }

    fn alone(&self) -> (Value, Option<i32>) {
        let (_, result, code) = self.run(&["-a", &self.command]);
        (result, code)
    }
}

const CLAUDE: &str = "claude:claude-sonnet-4-5-20250929";

mod every_way {
    use super::*;

    #[test]
    fn aider_answers_and_what_it_has_used_is_not_known() {
        let test = "printing::aider_answers";
        let Some(stage) = Stage::aider(answer("It is 42.\n\nTruly."), answer(""), test) else {
            return;
        };
        let (result, code) = stage.alone();
        assert_eq!(
            (code, &result["result"]),
            (Some(0), &"It is 42.\n\nTruly.".into()),
            "{result:#}"
        );
        for unknown in ["input_tokens", "output_tokens", "total_cost_usd", "num_turns"] {
            assert!(result["usage"][unknown].is_null(), "{unknown}: {result:#}");
        }
        assert_eq!(result["usage"]["cost_source"], "unknown");
    }

    #[test]
    fn aider_edits_a_file() {
        let edit = "I change it.\n\nhello.py\n```\nprint('b')\n```\n";
        let Some(stage) = Stage::aider(answer(edit), answer(""), "printing::aider_edits") else {
            return;
        };
        let file = stage.sandbox.project().join("hello.py");
        std::fs::write(&file, "print('a')\n").unwrap();
        let command = format!("{} --edit-format whole hello.py", stage.command);
        let (_, result, code) = stage.run(&["-a", &command]);
        assert_eq!(code, Some(0), "{result:#}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "print('b')\n", "{result:#}");
    }

    #[test]
    fn mini_answers_from_its_file_behind_a_tool() {
        let finish = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT; echo It is 42.";
        let call = |command: &str| {
            Reply::text("I go on.").tool("bash", json!({ "command": command })).usage(TOKENS)
        };
        let script = Script::new().reply(call("echo made > made.txt")).forever(call(finish));
        let Some(stage) = Stage::mini(script, answer(""), "printing::mini_answers") else { return };
        let (result, code) = stage.alone();
        assert_eq!((code, &result["result"]), (Some(0), &"It is 42.".into()), "{result:#}");
        assert!(stage.sandbox.project().join("made.txt").exists());
        assert!(result["usage"]["input_tokens"].is_null(), "{result:#}");
    }

    /// A refusal for ever: its kind alone, and the next agent behind it within a minute.
    fn refused(
        reply: Reply,
        kind: &str,
        code: i32,
        stage: impl Fn(Script, Script) -> Option<Stage>,
    ) {
        let Some(alone) = stage(Script::new().forever(reply.clone()), answer("")) else { return };
        if kind == "auth" {
            let (result, seen) = alone.alone();
            assert_eq!(
                (&result["failure"]["kind"], seen),
                (&kind.into(), Some(code)),
                "{result:#}"
            );
        }
        let Some(stage) = stage(Script::new().forever(reply), answer("Claude did it.")) else {
            return;
        };
        let began = Instant::now();
        let (events, result, seen) = stage.run(&["-a", &stage.command, "-a", CLAUDE]);
        assert_eq!((seen, &result["result"]), (Some(0), &"Claude did it.".into()), "{result:#}");
        let failovers: Vec<_> = events.iter().filter(|event| event["type"] == "failover").collect();
        assert_eq!(failovers.len(), 1, "{events:#?}");
        assert_eq!(failovers[0]["failure"]["kind"], kind, "{:#}", failovers[0]);
        assert!(began.elapsed() < Duration::from_secs(90), "{:?}", began.elapsed());
        // Claude may do no more than an agent may of which nothing is known.
        assert!(events.iter().any(|event| event["code"] == "permit_bound"), "{events:#?}");
    }

    #[test]
    fn aider_without_a_login_hands_over() {
        refused(Reply::unauthorized(), "auth", 78, |script, other| {
            Stage::aider(script, other, "printing::aider_401")
        });
    }

    #[test]
    fn aider_at_a_limit_hands_over() {
        refused(Reply::rate_limited(), "rate_limited", 75, |script, other| {
            Stage::aider(script, other, "printing::aider_429")
        });
    }

    #[test]
    fn aider_at_a_broken_provider_hands_over() {
        refused(Reply::server_error(), "server_error", 1, |script, other| {
            Stage::aider(script, other, "printing::aider_500")
        });
    }

    #[test]
    fn mini_without_a_login_hands_over() {
        refused(Reply::unauthorized(), "auth", 78, |script, other| {
            Stage::mini(script, other, "printing::mini_401")
        });
    }

    #[test]
    fn mini_at_a_limit_hands_over() {
        refused(Reply::rate_limited(), "rate_limited", 75, |script, other| {
            Stage::mini(script, other, "printing::mini_429")
        });
    }

    #[test]
    fn aider_takes_over_from_a_claude_that_may_do_anything_and_from_no_other() {
        let overloaded = || Script::new().forever(Reply::rate_limited());
        let test = "printing::aider_takes_over";
        let Some(stage) = Stage::aider(answer("aider did it."), overloaded(), test) else { return };
        let chain = ["-a", CLAUDE, "-a", &stage.command];
        let (_, result, code) = stage.run(&[&chain[..], &["--permit", "full"]].concat());
        assert_eq!((code, &result["result"]), (Some(0), &"aider did it.".into()), "{result:#}");
        let asked = stage.server.requests().len();
        let refused = stage.belay(&chain).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("cmd"), "{said}");
        assert_eq!(stage.server.requests().len(), asked, "nothing is started");
    }

    /// The run under a signal while the model does not answer.
    fn signaled(stage: &Stage, signal: Signal) -> Option<i32> {
        let mut child = stage.belay(&["-a", &stage.command]).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let started = lines.find_map(|line| {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            event["pid"].as_u64().filter(|_| event["type"] == "attempt_started")
        });
        assert!(started.is_some());
        wait_until("it never asked", || !stage.server.requests().is_empty());
        kill_process(pid, signal).unwrap();
        lines.for_each(drop);
        let code = child.wait().unwrap().code();
        let home = stage.sandbox.home().display().to_string();
        wait_until("something is left", || {
            marked(&home).iter().all(|pid| *pid == std::process::id())
        });
        code
    }

    #[test]
    fn a_ctrl_c_and_a_kill_leave_nothing() {
        let silent = || Script::new().forever(Reply::text("never").stall());
        let test = "printing::signals";
        for make in [Stage::aider, Stage::mini] {
            let Some(stage) = make(silent(), answer(""), test) else { return };
            assert_eq!(signaled(&stage, Signal::INT), Some(130));
            let Some(stage) = make(silent(), answer(""), test) else { return };
            assert_eq!(signaled(&stage, Signal::KILL), None);
        }
    }
}
