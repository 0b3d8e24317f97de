//! The ten lines of `examples/any_agent.rs` with every real agent, of which only the name is changed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use belay_testkit::real::{EVERYONE, Everyone};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 300, reasoning: 0 };

/// The program, which `cargo test` has built; where it built this file alone, it is built here.
fn program() -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let program = deps.parent().unwrap().with_file_name("examples").join("any_agent");
    if !program.exists() {
        let build = ["build", "--quiet", "--package", "belaykit", "--example", "any_agent"];
        assert!(Command::new(env!("CARGO")).args(build).status().unwrap().success());
    }
    program
}

#[test]
fn ten_lines_ask_every_agent_and_only_its_name_is_changed() {
    let test = "ten_lines_ask_every_agent_and_only_its_name_is_changed";
    let program = program();
    for name in EVERYONE {
        let script = Script::new().reply(Reply::text("It is 42.").usage(TOKENS));
        let server = ModelServer::start(script).unwrap();
        let Some(Everyone { sandbox, env }) = Everyone::enter(&server, test) else { return };
        let mut asking = Command::new(&program);
        asking.args([name, "What is 6 times 7?"]).env_clear().envs(env);
        asking.current_dir(sandbox.project()).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = asking.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let [answer, used] = said.lines().collect::<Vec<_>>()[..] else { panic!("{name}: {said}") };
        assert_eq!((answer, output.status.code()), ("It is 42.", Some(0)), "{name}");
        assert!(used.starts_with("Some(85) tokens, "), "{name}: {used}");
        // Codex reports no money.
        let cost = used.split("Some(").nth(2).and_then(|rest| rest.split(')').next());
        let is_paid = cost.is_some_and(|cost| cost.parse::<f64>().unwrap() > 0.0);
        assert!(is_paid || name == "codex", "{name}: {used}");
    }
}

#[test]
fn the_program_has_ten_lines() {
    let text = include_str!("../../examples/any_agent.rs");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("//!"));
    // What it uses is not counted.
    assert_eq!(lines.filter(|line| !line.starts_with("use ")).count(), 10);
}
