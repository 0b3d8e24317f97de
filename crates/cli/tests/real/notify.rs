//! What people in Slack are told of real agents: a trace of three runs, with a storm of tools and a failover, an
//! interrupt, and an error. The Slack is a fake one that keeps to Slack's limits.

use assert_cmd::cargo::cargo_bin;
use belay_testkit::fake_slack::{FakeSlack, Posted, TOKEN};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belay_testkit::real::{self, CodexPolicy, RealAgent, Sandbox, skip_unless_installed};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The storm: so many responses of the model with so many calls each. An agent on a machine with other work to do needs
/// twenty seconds for the 500; those of a fake agent come in ten (`fake/notify.rs` of belaykit).
const TURNS: usize = 10;
const CALLS: usize = 50;
/// How long the model thinks before each: so that there are edits to be seen on any machine.
const PAUSE: Duration = Duration::from_millis(800);

/// One message a second, and an edit every three.
const PACE: Duration = Duration::from_secs(1);
const EDIT_PAUSE: Duration = Duration::from_secs(3);

/// In it are Slack's own marks, which shall mean nothing there.
const ANSWER: &str = "Done, <!channel> & <@U1>: all files are read.";

/// A real agent with a scripted model.
struct Party {
    name: &'static str,
    agent: &'static str,
    program: RealAgent,
    server: ModelServer,
}

impl Party {
    fn new(name: &'static str, script: Script, test: &str) -> Option<Self> {
        let (agent, program) = match name {
            "codex" => ("codex:gpt-5.5", real::codex()),
            _ => ("claude-code:claude-sonnet-4-5-20250929", real::claude()),
        };
        let program = skip_unless_installed(program, name, test)?;
        Some(Self { name, agent, program, server: ModelServer::start(script).unwrap() })
    }

    fn env(&self, sandbox: &Sandbox) -> Vec<(String, String)> {
        match self.name {
            "codex" => sandbox.env_for_codex(&self.server, CodexPolicy::FULL_ACCESS).unwrap(),
            _ => sandbox.env_for_claude(&self.server),
        }
    }
}

/// The model asks for many things at once, again and again, each of them another one.
fn storm(name: &str, sandbox: &Sandbox) -> Script {
    (0..TURNS).fold(Script::new(), |script, turn| {
        let reply = (0..CALLS).fold(Reply::new().delay(PAUSE), |reply, call| {
            let file = sandbox.project().join(format!("{turn}-{call}.txt"));
            fs::write(&file, format!("{turn} {call}\n")).unwrap();
            match name {
                "codex" => reply.shell(format!("cat {turn}-{call}.txt")),
                _ => reply.tool("Read", json!({ "file_path": file })),
            }
        });
        script.reply(reply)
    })
}

/// The project's folder, its agents, and the user's Slack.
struct Bench {
    sandbox: Sandbox,
    vars: Vec<(String, String)>,
    programs: Vec<String>,
}

impl Bench {
    fn new(sandbox: Sandbox, parties: [&Party; 2], slack: &FakeSlack) -> Self {
        belay_testkit::hear_signals();
        let mut vars: Vec<(String, String)> = Vec::new();
        for party in parties {
            let own = party.env(&sandbox);
            vars.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
            vars.extend(own);
        }
        let folder = sandbox.home().join(".config/belay");
        fs::create_dir_all(&folder).unwrap();
        let config = format!(
            "[notify.slack]\nbot_token_file = \"token\"\nchannel = \"#agents\"\napi_url = \"{}\"\n\
             notify_users = [\"U77\"]\nevents = [\"error\", \"result\", \"start\", \"tool_use\"]\n",
            slack.api_url()
        );
        for (name, text) in [("config.toml", config), ("token", TOKEN.to_owned())] {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let program = |it: &Party| format!("{}={}", it.name, it.program.program.display());
        Self { vars, programs: parties.map(program).into(), sandbox }
    }

    /// One phase of the trace, stopped by a SIGINT at its first tool if it shall be.
    fn run(&self, phase: &str, agents: &[&str], ends: Ends) {
        let mut command = Command::new(cargo_bin("belay"));
        command.args(["run", "--notify", "slack", "--trace", "hiveminer", "--phase", phase]);
        command.args(["--format", "jsonl", "--permit", "full", "--pass-env", "MOCK_KEY"]);
        for (flag, value) in agents.iter().map(|agent| ("-a", *agent)).chain(self.programs()) {
            command.args([flag, value]);
        }
        command.arg("Read all the files.").env_clear().envs(self.vars.iter().cloned());
        command.env("BELAY_MAX_RETRIES", "0").current_dir(self.sandbox.project());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut events = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if ends == Ends::Stopped && event["type"] == "tool_call" {
                let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
                kill_process(pid, Signal::INT).unwrap();
            }
            events.push(event);
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let code = match ends {
            Ends::Answers => 0,
            Ends::Stopped => 130,
            Ends::Fails => 78,
        };
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(!said.contains("slack"), "nothing is lost: {said}");
        let calls: Vec<_> = events.iter().filter(|event| event["type"] == "tool_call").collect();
        if let [first, .., last] = &calls[..] {
            println!("{phase}: {} calls from {} to {}", calls.len(), first["ts"], last["ts"]);
        }
    }

    fn programs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.programs.iter().map(|program| ("--program", program.as_str()))
    }
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Answers,
    Stopped,
    Fails,
}

/// What messages show now, but for who is mentioned.
fn lines(messages: &[&Posted]) -> Vec<String> {
    let lines = messages.iter().flat_map(|message| message.shown());
    lines.filter(|line| !line.starts_with("<@")).collect()
}

/// The same lines, of which one that is wanted may leave something out (`…`).
#[track_caller]
fn tells(messages: &[&Posted], want: &[&str]) {
    let lines = lines(messages);
    let matches = |line: &str, want: &str| {
        let (begin, rest) = want.split_once('…').unwrap_or((want, ""));
        let Some(left) = line.strip_prefix(begin) else { return false };
        rest.split('…').all(|part| left.contains(part)) && (want.contains('…') || left.is_empty())
    };
    let same = lines.len() == want.len();
    let all = lines.iter().zip(want).all(|(line, want)| matches(line, want));
    assert!(same && all, "{lines:#?} is not {want:#?}");
}

/// A run's messages: the first with all others below it, the last shown in the channel, to those who are mentioned.
#[track_caller]
fn is_a_thread(messages: &[&Posted]) {
    let [root, replies @ ..] = messages else { panic!("nobody was told") };
    assert_eq!(root.thread_ts, None);
    assert!(replies.iter().all(|message| message.thread_ts.as_ref() == Some(&root.ts)));
    let (end, before) = messages.split_last().unwrap();
    assert!(end.broadcast && before.iter().all(|message| !message.broadcast));
    let mentions = |message: &&Posted| message.body.to_string().contains("<@U77>");
    assert!(mentions(end) && !before.iter().any(mentions));
    // A message a second, edits among them; only who leaves does not wait.
    let edits = before.iter().flat_map(|message| message.edits.iter().map(|(at, _)| *at));
    let mut times: Vec<_> = before.iter().map(|message| message.at).chain(edits).collect();
    times.retain(|at| *at < end.at);
    times.sort_unstable();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= PACE), "{times:?}");
}

/// Two real agents in one trace, of three runs.
fn check(first: &'static str, second: &'static str, tool: &str, test: &str) {
    let slack = FakeSlack::start().unwrap();
    let sandbox = Sandbox::new().unwrap();
    let script = storm(first, &sandbox).forever(Reply::unauthorized());
    let Some(one) = Party::new(first, script, test) else { return };
    let script = Script::new()
        .reply(Reply::text(ANSWER))
        .reply(Reply::text("I wait.").shell("sleep 300"))
        .forever(Reply::unauthorized());
    let Some(two) = Party::new(second, script, test) else { return };
    let bench = Bench::new(sandbox, [&one, &two], &slack);

    bench.run("discovery", &[one.agent, two.agent], Ends::Answers);
    bench.run("extraction", &[two.agent], Ends::Stopped);
    bench.run("report", &[two.agent], Ends::Fails);

    // Each run is a thread, one after the other.
    let messages = slack.messages();
    let root = |message: &Posted| message.thread_ts.as_ref().unwrap_or(&message.ts).clone();
    let runs: Vec<Vec<&Posted>> =
        messages.chunk_by(|a, b| root(a) == root(b)).map(|run| run.iter().collect()).collect();
    let [storm, stopped, failed] = &runs[..] else { panic!("{messages:#?}") };
    let (a, b) = (one.agent, two.agent);
    let whose = format!("{second} ");
    tells(
        storm,
        &[
            &format!("{a}, {b} begins"),
            "in …/project",
            "Phase: discovery",
            &format!("… tool calls, now {tool}"),
            "{…}",
            &format!("{first} reports an error"),
            "…",
            &format!("{b} takes over from {a}"),
            "auth: …",
            &format!("{whose}has answered"),
            ANSWER,
            "$… · 500 tool calls · 2 attempts",
        ],
    );
    tells(
        stopped,
        &[
            &format!("{b} begins"),
            "in …/project",
            "Phase: extraction",
            &format!("{whose}was stopped"),
            "stopped at your request",
            "$… · 1 tool call…",
        ],
    );
    tells(
        failed,
        &[
            &format!("{b} begins"),
            "in …/project",
            "Phase: report",
            &format!("{whose}reports an error"),
            "…",
            &format!("{whose}has failed: auth"),
            "…",
            "… s…",
        ],
    );
    runs.iter().for_each(|run| is_a_thread(run));

    // The storm is one message, which is edited seldom.
    let is_of_tools = |message: &&&Posted| lines(&[message])[0].contains(" tool calls, now ");
    let of_tools: Vec<_> = storm.iter().filter(is_of_tools).collect();
    let [of_tools] = &of_tools[..] else { panic!("{storm:#?}") };
    let times: Vec<_> =
        [of_tools.at].into_iter().chain(of_tools.edits.iter().map(|(at, _)| *at)).collect();
    assert!(times.len() > 1, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= EDIT_PAUSE), "{times:?}");

    // Its words mention nobody, and Slack took whatever it was told, if not at once.
    assert!(!messages.iter().any(|message| message.body.to_string().contains("<!channel>")));
    assert!(slack.refused().iter().all(|refused| refused == "429"), "{:?}", slack.refused());
    println!("{test}: {} messages, {} edits", messages.len(), of_tools.edits.len());
}

#[test]
fn slack_is_told_of_a_storm_and_a_failover_of_claude_to_codex_and_of_its_stop_and_its_failure() {
    check("claude-code", "codex", "Read", "claude_to_codex");
}

#[test]
fn slack_is_told_of_a_storm_and_a_failover_of_codex_to_claude_and_of_its_stop_and_its_failure() {
    check("codex", "claude-code", "Bash", "codex_to_claude");
}
