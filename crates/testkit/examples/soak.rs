//! The newest versions of the real agents, for half an hour, in everything that README lists: `cargo xtask soak`.
//!
//! It prints what each of them said that belay does not know, and fails if that is anything, or if a run ended in
//! another way than it had to.

use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use belay_testkit::real::{self, CodexPolicy, RealAgent, Sandbox};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// No two columns are alike.
const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 300, reasoning: 0 };

/// A run takes seconds; one that takes this long hangs.
const RUN_MAX: Duration = Duration::from_secs(180);

/// One agent, as a user has it.
struct Agent {
    name: &'static str,
    /// As `-a` takes it.
    asked: &'static str,
    program: RealAgent,
}

impl Agent {
    fn env(&self, sandbox: &Sandbox, server: &ModelServer) -> Vec<(String, String)> {
        let env = match self.name {
            "claude" => Ok(sandbox.env_for_claude(server)),
            "codex" => sandbox.env_for_codex(server, CodexPolicy::FULL_ACCESS),
            "opencode" => sandbox.env_for_opencode(server),
            "pi" => sandbox.env_for_pi(server),
            "gemini" => sandbox.env_for_gemini(server),
            "qwen" => sandbox.env_for_qwen(server),
            _ => Ok(sandbox.env_for_copilot(server)),
        };
        let mut env = env.expect("a home can be written");
        if self.name == "codex" {
            // The key under a name that belay passes on unasked.
            let config = sandbox.home().join(".codex/config.toml");
            let text = fs::read_to_string(&config).expect("it was written");
            fs::write(&config, text.replace("MOCK_KEY", "OPENAI_API_KEY")).expect("it is ours");
            env.push(("OPENAI_API_KEY".to_owned(), "dummy".to_owned()));
        }
        env
    }
}

/// Something that a user does, and how it has to end.
struct Scene {
    name: &'static str,
    /// For the agent of this name.
    script: fn(&str) -> Script,
    /// Of `belay run`; `{mcp}` is an MCP server, `{image}` a picture.
    args: &'static [&'static str],
    piped: &'static str,
    /// How many seconds later it is interrupted.
    interrupted: Option<u64>,
    /// The exit codes that are right; 2 is a refusal by an agent that lacks the thing.
    codes: &'static [i32],
}

const PLAIN: Scene =
    Scene { name: "", script: answer, args: &[], piped: "", interrupted: None, codes: &[0] };

const SCENES: &[Scene] = &[
    Scene { name: "answer", ..PLAIN },
    Scene { name: "thinking", script: thinking, ..PLAIN },
    Scene { name: "shell", script: shell, args: &["--permit", "full"], ..PLAIN },
    Scene { name: "failing shell", script: failing, args: &["--permit", "full"], ..PLAIN },
    Scene { name: "long output", script: long_output, args: &["--permit", "full"], ..PLAIN },
    Scene { name: "edit", script: edit, args: &["--permit", "edit"], codes: &[0, 2], ..PLAIN },
    Scene {
        name: "denied",
        script: edit,
        args: &["--permit", "read-only"],
        codes: &[0, 5],
        ..PLAIN
    },
    Scene { name: "two tools", script: two_tools, args: &["--permit", "full"], ..PLAIN },
    Scene { name: "piped", piped: "+ a line\n", ..PLAIN },
    Scene {
        name: "schema",
        script: json,
        args: &["--output-schema", "{schema}"],
        codes: &[0, 2],
        ..PLAIN
    },
    Scene { name: "image", args: &["--image", "{image}"], codes: &[0, 2], ..PLAIN },
    Scene {
        name: "mcp",
        script: mcp,
        args: &["--permit", "full", "--mcp-config", "{mcp}"],
        codes: &[0, 2],
        ..PLAIN
    },
    Scene {
        name: "system prompt",
        args: &["--system-prompt", "Be brief."],
        codes: &[0, 2],
        ..PLAIN
    },
    Scene {
        name: "max turns",
        script: endless,
        args: &["--permit", "full", "--max-turns", "2"],
        codes: &[2, 6],
        ..PLAIN
    },
    Scene {
        name: "interrupt",
        script: sleep,
        args: &["--permit", "full"],
        interrupted: Some(6),
        codes: &[130],
        ..PLAIN
    },
    Scene { name: "429 once", script: limited_once, ..PLAIN },
    Scene { name: "429", script: limited, args: &["--timeout", "40s"], codes: &[3, 75], ..PLAIN },
    Scene {
        name: "401",
        script: unauthorized,
        args: &["--timeout", "40s"],
        codes: &[3, 78],
        ..PLAIN
    },
    Scene { name: "500", script: broken, args: &["--timeout", "40s"], codes: &[1, 3], ..PLAIN },
    Scene {
        name: "context",
        script: too_long,
        args: &["--timeout", "40s"],
        codes: &[0, 1, 3],
        ..PLAIN
    },
    Scene {
        name: "dropped",
        script: dropped,
        args: &["--timeout", "40s"],
        codes: &[0, 1, 3],
        ..PLAIN
    },
];

fn usage(reply: Reply) -> Reply {
    reply.usage(TOKENS)
}

fn done() -> Reply {
    usage(Reply::text("It is **42**.\n\n```\ndone\n```"))
}

fn answer(_: &str) -> Script {
    Script::new().forever(done())
}

fn after(first: Reply) -> Script {
    Script::new().reply(usage(first)).forever(done())
}

fn thinking(_: &str) -> Script {
    after_text(Reply::thinking("I think.").and_text("It is 42."))
}

fn after_text(reply: Reply) -> Script {
    Script::new().forever(usage(reply))
}

fn shell(_: &str) -> Script {
    after(Reply::new().shell("echo one; echo two >&2; ls"))
}

fn failing(_: &str) -> Script {
    after(Reply::text("I try.").shell("echo no; exit 3"))
}

fn long_output(_: &str) -> Script {
    after(Reply::new().shell("seq 1 20000"))
}

fn edit(_: &str) -> Script {
    Script::new()
        .reply(usage(Reply::new().write_file("made.txt", "one\n")))
        .reply(usage(Reply::new().write_file("made.txt", "one\ntwo\n")))
        .forever(done())
}

fn two_tools(_: &str) -> Script {
    after(Reply::new().shell("echo one").shell("echo two"))
}

/// Some take the value by a tool of their own.
fn json(agent: &str) -> Script {
    let value = serde_json::json!({ "n": 42 });
    match agent {
        "claude" | "opencode" => after(Reply::new().tool("StructuredOutput", value)),
        _ => after_text(Reply::text(value.to_string())),
    }
}

fn mcp(_: &str) -> Script {
    after(Reply::new().mcp_tool("things", "lookup", serde_json::json!({ "word": "hello" })))
}

fn endless(_: &str) -> Script {
    Script::new().forever(usage(Reply::new().shell("true")))
}

fn sleep(_: &str) -> Script {
    after(Reply::new().shell("python3 -c 'import time; time.sleep(300)'"))
}

fn limited_once(_: &str) -> Script {
    after(Reply::rate_limited())
}

fn limited(_: &str) -> Script {
    Script::new().forever(Reply::rate_limited())
}

fn unauthorized(_: &str) -> Script {
    Script::new().forever(Reply::unauthorized())
}

fn broken(_: &str) -> Script {
    Script::new().forever(Reply::server_error())
}

fn too_long(_: &str) -> Script {
    Script::new().forever(Reply::context_too_long())
}

fn dropped(_: &str) -> Script {
    Script::new().reply(usage(Reply::text("It is a long answer.").drop_after(4))).forever(done())
}

/// What was seen of one agent.
#[derive(Default)]
struct Seen {
    runs: u64,
    messages: u64,
    unknown: u64,
    /// What no recording has, and in which scenes.
    new: BTreeMap<String, Vec<&'static str>>,
    wrong: Vec<String>,
}

fn main() -> ExitCode {
    let minutes = std::env::args().nth(1).and_then(|given| given.parse().ok()).unwrap_or(30);
    let only = std::env::args().nth(2);
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let mut agents = agents();
    agents.retain(|agent| only.as_deref().is_none_or(|only| only == agent.name));
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let mut round = 0;
    while round == 0 || Instant::now() < until {
        round += 1;
        for scene in SCENES {
            for agent in &agents {
                if round > 1 && Instant::now() >= until {
                    break;
                }
                let name = format!("{} {}", agent.name, agent.program.version);
                play(agent, scene, seen.entry(name).or_default());
            }
        }
        eprintln!("soak: round {round} is over");
    }
    report(&seen)
}

fn agents() -> Vec<Agent> {
    let all = [
        ("claude", "claude:claude-sonnet-4-5-20250929", real::claude()),
        ("codex", "codex", real::codex()),
        ("opencode", "opencode", real::opencode()),
        ("pi", "pi:lab/mock-model", real::pi()),
        ("gemini", "gemini:gemini-2.5-pro", real::gemini()),
        ("qwen", "qwen:mock-model", real::qwen()),
        ("copilot", "copilot:gpt-5.5", real::copilot()),
    ];
    let installed = all.into_iter().map(|(name, asked, program)| Agent {
        name,
        asked,
        program: program.unwrap_or_else(|| panic!("{name} is not installed: cargo xtask agents")),
    });
    installed.collect()
}

/// The program under test, beside this one.
fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a program knows where it is");
    own.ancestors().nth(2).expect("it lies in a folder of cargo's").join(name)
}

fn play(agent: &Agent, scene: &Scene, seen: &mut Seen) {
    let server = ModelServer::start((scene.script)(agent.name)).expect("a port is free");
    let sandbox = Sandbox::new().expect("a home can be made");
    let env = agent.env(&sandbox, &server);
    let mut belay = Command::new(beside("belay"));
    belay.env_clear().envs(env.iter().cloned()).current_dir(sandbox.project());
    belay.args(["run", "-a", agent.asked, "--program"]).arg(&agent.program.program);
    belay.args(["--format", "jsonl"]);
    belay.args(scene.args.iter().map(|arg| filled(arg, &sandbox)));
    belay.arg("What is 6 times 7?");
    let stdin = if scene.piped.is_empty() { Stdio::null() } else { Stdio::piped() };
    belay.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = belay.spawn().expect("belay is built: cargo build --bins");
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(scene.piped.as_bytes()).expect("belay reads it");
    }
    let code = wait(&mut child, scene.interrupted.map(Duration::from_secs));
    seen.runs += 1;
    if !code.is_some_and(|code| scene.codes.contains(&code)) {
        let mut said = String::new();
        let _ = child.stderr.take().expect("it is a pipe").read_to_string(&mut said);
        let last = said.lines().rev().take(3).collect::<Vec<_>>().join(" | ");
        seen.wrong.push(format!("{}: exit {code:?}: {last}", scene.name));
    }
    if code == Some(2) {
        return;
    }
    if let Some(folder) = std::env::var_os("BELAY_SOAK_KEEP") {
        keep(&sandbox, &PathBuf::from(folder).join(agent.name), seen.runs);
    }
    let mut doctor = Command::new(beside("belay"));
    doctor.env_clear().envs(env).current_dir(sandbox.project()).stdin(Stdio::null());
    let output = doctor.args(["doctor", "--drift", "latest", "--json"]).output();
    let output = output.expect("belay is there");
    let drifts: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    for drift in drifts.as_array().into_iter().flatten() {
        seen.messages += drift["messages"].as_u64().unwrap_or_default();
        seen.unknown += drift["unknown_events"].as_u64().unwrap_or_default();
        for new in drift["new"].as_array().into_iter().flatten() {
            let field = new["field"].as_str().map(|field| format!(": {field}")).unwrap_or_default();
            let what = format!("{}{field}", new["message"].as_str().unwrap_or_default());
            let scenes = seen.new.entry(what).or_default();
            if !scenes.contains(&scene.name) {
                scenes.push(scene.name);
            }
        }
    }
}

/// Keeps what the agent has said in its runs, for `BELAY_LEARN` in the tests of `belay-agents`.
fn keep(sandbox: &Sandbox, folder: &Path, number: u64) {
    fs::create_dir_all(folder).expect("the folder can be made");
    let runs = sandbox.home().join(".local/state/belay/runs");
    for run in fs::read_dir(runs).into_iter().flatten().flatten() {
        for file in fs::read_dir(run.path()).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with("input.") {
                let kept = folder.join(format!("{number}.{name}"));
                fs::copy(file.path(), kept).expect("it can be copied");
            }
        }
    }
}

fn filled(arg: &str, sandbox: &Sandbox) -> String {
    let path = sandbox.home().join(arg.trim_matches(['{', '}']));
    match arg {
        "{mcp}" => {
            let server = serde_json::json!({ "command": beside("mcp-server") });
            let config = serde_json::json!({ "mcpServers": { "things": server } });
            fs::write(&path, config.to_string()).expect("it is ours");
        }
        "{image}" => {
            let path = path.with_extension("png");
            fs::write(&path, PNG).expect("it is ours");
            return path.display().to_string();
        }
        "{schema}" => {
            let schema = serde_json::json!({
                "type": "object",
                "properties": { "n": { "type": "integer" } },
                "required": ["n"],
                "additionalProperties": false,
            });
            fs::write(&path, schema.to_string()).expect("it is ours");
        }
        _ => return arg.to_owned(),
    }
    path.display().to_string()
}

/// One black pixel.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 0x0a, b'I', b'D', b'A', b'T',
    0x78, 0x9c, 0x63, 0x60, 0, 0, 0, 2, 0, 1, 0x48, 0xaf, 0xa4, 0x71, 0, 0, 0, 0, b'I', b'E', b'N',
    b'D', 0xae, 0x42, 0x60, 0x82,
];

/// The exit code; none for a run that hangs, which is killed.
fn wait(child: &mut Child, interrupted: Option<Duration>) -> Option<i32> {
    let began = Instant::now();
    let mut interrupt = interrupted;
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status.code();
        }
        if interrupt.is_some_and(|after| began.elapsed() > after) {
            interrupt = None;
            let _ = kill_process(Pid::from_child(child), Signal::INT);
        }
        if began.elapsed() > RUN_MAX {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn report(seen: &BTreeMap<String, Seen>) -> ExitCode {
    let mut is_right = true;
    for (agent, seen) in seen {
        println!(
            "{agent}: {} runs, {} messages, {} unknown events, {} things that no recording has, {} wrong ends",
            seen.runs,
            seen.messages,
            seen.unknown,
            seen.new.len(),
            seen.wrong.len()
        );
        for (what, scenes) in &seen.new {
            println!("  new: {what} ({})", scenes.join(", "));
        }
        for wrong in &seen.wrong {
            println!("  wrong: {wrong}");
        }
        is_right &= seen.unknown == 0 && seen.wrong.is_empty();
    }
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
