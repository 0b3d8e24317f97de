//! The environment of a tool that a real agent runs, under belay and under the agent's own program.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Stage, Way, on};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belaykit::{Client, EnvMode, Environment, Event, Permissions, RunRequest};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a person has who builds, works on other machines and pays by a gateway.
const WORLD: [(&str, &str); 18] = [
    ("RUSTUP_HOME", "/opt/rustup"),
    ("CARGO_HOME", "/opt/cargo"),
    ("JAVA_HOME", "/opt/java"),
    ("GOPATH", "/opt/go"),
    ("VIRTUAL_ENV", "/opt/venv"),
    ("PYTHONPATH", "/opt/python"),
    ("NVM_DIR", "/opt/nvm"),
    ("LD_LIBRARY_PATH", "/opt/lib"),
    ("SSH_AUTH_SOCK", "/run/ssh-agent"),
    ("DOCKER_HOST", "unix:///run/docker"),
    ("AWS_PROFILE", "work"),
    ("AWS_REGION", "eu-central-1"),
    ("GOOGLE_CLOUD_PROJECT", "project"),
    ("DATABASE_URL", "postgres://localhost/db"),
    ("MY_GATEWAY_ROUTE", "blue"),
    ("BELAY_PROFILE_OF_MINE", "x"),
    ("AGENT", "smith"),
    ("NO_COLOR", "1"),
];

/// What an outer session of each agent leaves there.
const MARKS: [(&str, &str); 9] = [
    ("CLAUDECODE", "outer"),
    ("CLAUDE_CODE_ENTRYPOINT", "outer"),
    ("CLAUDE_PROJECT_DIR", "/outer"),
    ("CODEX_THREAD_ID", "outer"),
    ("OPENCODE_PID", "outer"),
    ("PI_SESSION_ID", "outer"),
    ("QWEN_CODE_SESSION_ID", "outer"),
    ("COPILOT_AGENT_SESSION_ID", "outer"),
    ("AI_AGENT", "outer"),
];

/// A secret of belay's own.
const OWN: (&str, &str) = ("MY_SLACK_ROUTE", "belongs-to-belay");

type Vars = BTreeMap<String, String>;

/// The agent's shell writes its environment down.
fn script(stage: &Stage) -> Script {
    let command = format!("env -0 > {}", stage.file("env").display());
    Script::new().reply(Reply::new().shell(command)).reply(Reply::text("Done."))
}

fn written(stage: &Stage) -> Vars {
    let bytes = fs::read(stage.file("env")).unwrap();
    fs::remove_file(stage.file("env")).unwrap();
    let entries = bytes.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    let pair = |entry: &[u8]| {
        let entry = String::from_utf8_lossy(entry);
        let (name, value) = entry.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    entries.map(pair).collect()
}

fn world(stage: &Stage, server: &ModelServer) -> Vec<(OsString, OsString)> {
    let os = |(name, value): (&str, &str)| (name.into(), value.into());
    let mut vars = stage.vars(server);
    vars.extend(WORLD.into_iter().chain(MARKS).chain([OWN]).map(os));
    vars
}

fn under_belay(stage: &Stage, mode: EnvMode) -> (Vars, Vec<String>) {
    let server = ModelServer::start(script(stage)).unwrap();
    let mut environment = Environment::new(world(stage, &server)).mode(mode);
    environment.hold_back(OWN.0, belaykit::HoldBack::Secret);
    if mode == EnvMode::Clean {
        environment.pass("MOCK_KEY");
    }
    let client: Client = stage.client(&server).environment(environment);
    let request = RunRequest::new("PROMPT").permissions(Permissions::Full);
    let played = stage.play_on(&server, &client, request, |_, _| {});
    played.answered("Done.");
    let notices = played.events().filter_map(|event| match event {
        Event::Notice(notice) if notice.code.as_deref() == Some("env_held_back") => {
            Some(notice.text.clone())
        }
        _ => None,
    });
    let notices = notices.collect();
    (written(stage), notices)
}

/// The agent's own program, called as its user would.
fn by_itself(stage: &Stage) -> Vars {
    let server = ModelServer::start(script(stage)).unwrap();
    let request = RunRequest::new("PROMPT").permissions(Permissions::Full);
    let agent = stage.agent();
    let name = agent.launch(&request, agent.transports()[0]).unwrap().program;
    let line = match stage.way {
        Way::Gemini => format!("exec {name} -m gemini-2.5-pro --yolo --skip-trust -p PROMPT"),
        Way::Qwen => format!("exec {name} --yolo -p PROMPT"),
        _ => agent.print_command(&request).unwrap(),
    };
    let bin = stage.sandbox.home().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let link = bin.join(&name);
    let _ = fs::remove_file(&link);
    symlink(&stage.program.program, &link).unwrap();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &line])
        .env_clear()
        .envs(world(stage, &server))
        .current_dir(stage.project());
    command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()));
    let said = stage.sandbox.home().join("said");
    let output = fs::File::create(&said).unwrap();
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    let mut child = command.spawn().unwrap();
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() && since.elapsed() < Duration::from_secs(180) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    child.wait().unwrap();
    let said = String::from_utf8_lossy(&fs::read(said).unwrap()).into_owned();
    assert!(stage.file("env").exists(), "{line}\n{said}");
    written(stage)
}

/// What belay itself puts there, and `GIT_PAGER`, which Qwen sets for a shell without a terminal alone: over ACP it has
/// none.
fn set_by_belay(way: Way) -> &'static [&'static str] {
    match way {
        Way::Claude | Way::ClaudePrint => &[
            "BELAY_RUN_ID",
            "CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY",
            "CLAUDE_CODE_PRINT_BG_WAIT_CEILING_MS",
            "DISABLE_ERROR_REPORTING",
            "DISABLE_TELEMETRY",
        ],
        Way::OpenCode | Way::OpenCodeRun => &["BELAY_RUN_ID", "OPENCODE_SERVER_PASSWORD"],
        Way::Gemini => &["BELAY_RUN_ID", "GEMINI_CLI_NO_RELAUNCH", "GEMINI_PTY_INFO"],
        Way::Qwen => {
            &["BELAY_RUN_ID", "QWEN_CODE_NO_RELAUNCH", "QWEN_USAGE_STATISTICS_ENABLED", "GIT_PAGER"]
        }
        _ => &["BELAY_RUN_ID"],
    }
}

/// What OpenCode sets where it is called by its user: its flags for its log, and npm's name where it looks for packages.
fn set_by_itself(way: Way) -> &'static [&'static str] {
    match way {
        Way::OpenCode | Way::OpenCodeRun => {
            &["OPENCODE_LOG_LEVEL", "OPENCODE_PRINT_LOGS", "npm_config_user_agent"]
        }
        _ => &[],
    }
}

fn a_tool_sees_what_it_sees_without_belay(stage: &Stage) {
    let own = by_itself(stage);
    let (under, notices) = under_belay(stage, EnvMode::Inherit);
    // Every variable of the person's, by its value; what an agent keeps from its tools itself, it keeps from them here.
    let mut different = Vec::new();
    for (name, value) in WORLD {
        let (own, under) = (own.get(name), under.get(name));
        if own != under {
            different.push((name, value, own.cloned(), under.cloned()));
        }
    }
    assert_eq!(different, []);
    // What is held back is not there, and is there without belay, but for what the agent sets anew or keeps itself.
    let mut passed_by_itself = 0;
    for (name, value) in MARKS.into_iter().chain([OWN]) {
        assert_ne!(under.get(name).map(String::as_str), Some(value), "{name}");
        assert!(notices.concat().contains(name), "{name}: {notices:?}");
        passed_by_itself += usize::from(own.get(name).map(String::as_str) == Some(value));
    }
    assert!(passed_by_itself > 4, "{own:#?}");
    assert!(!notices.concat().contains(OWN.1), "{notices:?}");
    // Nothing else is more, and nothing else is less.
    let inputs: BTreeSet<_> = MARKS.into_iter().chain([OWN]).map(|(name, _)| name).collect();
    let beyond = |one: &Vars, other: &Vars| -> BTreeSet<String> {
        let names = one.keys().filter(|name| !other.contains_key(*name));
        names.filter(|name| !inputs.contains(name.as_str())).cloned().collect()
    };
    let without = |names: BTreeSet<String>, known: &[&str]| -> Vec<String> {
        names.into_iter().filter(|name| !known.contains(&name.as_str())).collect()
    };
    let more = without(beyond(&under, &own), set_by_belay(stage.way));
    let less = without(beyond(&own, &under), set_by_itself(stage.way));
    assert_eq!((more, less), (Vec::new(), Vec::new()));
}
on!(a_tool_sees_what_it_sees_without_belay: claude, codex, opencode, pi, gemini, qwen, copilot; claude_print, codex_exec, opencode_run, pi_print);

fn in_a_clean_environment_a_tool_sees_nothing_of_it(stage: &Stage) {
    let (under, notices) = under_belay(stage, EnvMode::Clean);
    let listed = stage.agent().launch(&RunRequest::new("p"), stage.way.transport()).unwrap().env;
    let notices = notices.concat();
    for (name, value) in WORLD {
        // What the agent itself sets for its tools is another's.
        let is_there = under.get(name).map(String::as_str) == Some(value);
        assert!(listed.is_listed(name) || !is_there, "{name}");
        assert!(listed.is_listed(name) || notices.contains(name), "{name}: {notices}");
    }
    for (name, value) in MARKS.into_iter().chain([OWN]) {
        assert_ne!(under.get(name).map(String::as_str), Some(value), "{name}");
        assert!(notices.contains(name), "{name}: {notices}");
    }
}
on!(in_a_clean_environment_a_tool_sees_nothing_of_it: claude; codex, opencode, pi, gemini, qwen, copilot);
