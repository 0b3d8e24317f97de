//! The commands of this repository's developers: `cargo xtask test` is all that CI runs.

mod attack;
mod fuzz;
mod matrix;
mod phoenix;
mod reliability;
mod tiers;

use crate::fuzz::Course;
use belay_testkit::real::PresetAgent;
use belay_testkit::{python, real};
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "\
cargo xtask test [NAME]
                     what CI runs: format, lints, all tests without agents, every fact on one real agent, every
                     agent on the main facts, fuzz targets, docs; with a NAME only the tests that have it in theirs
cargo xtask test --all [NAME]
                     every real agent in every way, full counts, long fuzzing, the newest agents, a real Phoenix
cargo xtask test --newest [NAME]
                     the main facts on the newest versions of the agents, instead of the pinned ones
cargo xtask agents [--newest]
                     install the pinned real agents into target/agents (needs Node and npm); the newest ones of
                     those that change weekly into target/agents/newest
cargo xtask bench    the cost of belay as ratios: parsing, and a whole run against its bare pipe
cargo xtask fuzz     every fuzz target for --seconds N (10), or only the named TARGETs
cargo xtask attack   git, pipes, floods, kills and stops in every order, on the fake agent and on real ones
cargo xtask soak [MINUTES] [AGENT]
                     the newest agents in everything that README lists, for 30 minutes: what of it belay does not know
cargo xtask phoenix  two real agents in one trace, seen in a real Phoenix (needs Python; 850 MB)
cargo xtask matrix   the eight agents that are known by a preset over ACP alone, and what they show as
                     docs/agents/acp.md has it (needs Node, npm and Python 3.12 and 3.13; 2.5 GB)
cargo xtask reliability [--long]
                     the fault tests in a release build, and their figures as docs/reliability.md has them";

/// Long enough for a fuzz target to find what a change has just broken, short enough for every change.
const FUZZ_SECONDS: u32 = 10;

fn main() -> ExitCode {
    let verb = env::args().nth(1);
    let done = match verb.as_deref() {
        Some("test") => tiers::test(env::args().skip(2)),
        Some("agents") if env::args().any(|arg| arg == "--newest") => newest_agents().map(drop),
        Some("agents") => agents(),
        Some("bench") => bench(),
        Some("attack") => attack::run(),
        Some("soak") => soak(env::args().skip(2)),
        Some("phoenix") => phoenix::run(),
        Some("matrix") => matrix::run(),
        Some("fuzz") => fuzz(env::args().skip(2)),
        Some("reliability") => reliability::run(env::args().any(|arg| arg == "--long")),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Installs the agents that the tests run.
fn agents() -> Result<(), String> {
    let dir = real::dir();
    eprintln!("xtask: real agents in {}", dir.display());
    real::install(&dir).map_err(|error| format!("cannot install the real agents: {error}"))?;
    install_presets(&PresetAgent::FEW)?;
    // Its test says loudly that it is not there.
    if let Err(error) = python::install(python::OTELTAP) {
        eprintln!("xtask: SKIPPED {}: {error}", python::OTELTAP);
    }
    Ok(())
}

/// Installs the agents that are known by a preset alone, and names each that cannot be installed here.
fn install_presets(agents: &[PresetAgent]) -> Result<(), String> {
    let failures: Vec<_> = agents
        .iter()
        .filter_map(|agent| {
            let error = agent.install().err()?;
            Some(format!("cannot install {} {}: {error}", agent.name(), agent.version()))
        })
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Installs the newest agents beside the pinned ones, and says where.
fn newest_agents() -> Result<PathBuf, String> {
    agents()?;
    let pinned = real::dir();
    eprintln!("xtask: the newest agents in {}", real::newest_dir(&pinned).display());
    real::install_newest(&pinned)
        .map_err(|error| format!("cannot install the newest agents: {error}"))?;
    Ok(real::newest_dir(&pinned))
}

fn fuzz(mut args: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut seconds, mut targets) = (FUZZ_SECONDS, Vec::new());
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            let given = args.next().and_then(|given| given.parse().ok());
            seconds = given.ok_or("--seconds needs a number")?;
        } else {
            targets.push(arg);
        }
    }
    fuzz::run(seconds, Course::Random, &targets)
}

fn soak(args: impl Iterator<Item = String>) -> Result<(), String> {
    let newest = newest_agents()?;
    // The profile of the tests: what is built here is not built twice.
    cargo("build --workspace --bins", [])?;
    let args: Vec<String> = args.collect();
    let soak = format!("run --package belay-testkit --example soak -- {}", args.join(" "));
    cargo(&soak, [("BELAY_AGENTS_DIR", newest.as_os_str())])
}

fn bench() -> Result<(), String> {
    cargo("build --release --package belay-cli --package belay-testkit", [])?;
    cargo("run --release --package belay-testkit --example cost", [])
}

fn cargo<const N: usize>(args: &str, env: [(&str, &OsStr); N]) -> Result<(), String> {
    eprintln!("xtask: cargo {args}");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status =
        Command::new(cargo).args(args.split_whitespace()).envs(env).current_dir(root()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo {args} failed: {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}

fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask stands in the workspace").to_owned()
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
