//! The commands of this repository's developers: `cargo xtask test` is all that CI runs.

mod fuzz;
mod phoenix;
mod reliability;

use belay_testkit::{python, real};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "\
cargo xtask test     everything: format, lints, real agents installed, all tests and doctests, fuzz, docs
cargo xtask agents   install the pinned real agents into target/agents (needs Node and npm)
cargo xtask bench    the cost of belay as ratios: parsing, and a whole run against its bare pipe
cargo xtask fuzz     every fuzz target for --seconds N (10), or only the named TARGETs
cargo xtask phoenix  two real agents in one trace, seen in a real Phoenix (needs Python; 850 MB)
cargo xtask reliability [--long]
                     the fault tests in a release build, and their figures as docs/reliability.md has them";

/// Long enough for a fuzz target to find what a change has just broken, short enough for every change.
const FUZZ_SECONDS: u32 = 10;

/// Of some 700 tests with real agents a handful lose a race on a busy machine; more of them is a fault of ours.
const FLAKES_MAX: usize = 20;

fn main() -> ExitCode {
    let verb = env::args().nth(1);
    let done = match verb.as_deref() {
        Some("test") => test(),
        Some("agents") => agents(),
        Some("bench") => bench(),
        Some("phoenix") => phoenix::run(),
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

/// Everything that must be green before a change lands.
fn test() -> Result<(), String> {
    cargo("fmt --all --check", [])?;
    cargo("fmt --manifest-path fuzz/Cargo.toml --check", [])?;
    cargo("clippy --workspace --all-targets -- -D warnings", [])?;
    agents()?;
    // Cargo does not build the programs of a dev-dependency on its own: fake-agent is one.
    cargo("build --package belay-testkit --bins", [])?;
    let skipped = target().join("skipped.log");
    // A log of an earlier run would be taken for this one's.
    let flaky = target().join("flaky.log");
    for log in [&skipped, &flaky] {
        let _ = fs::remove_file(log);
    }
    let env = [
        ("BELAY_REQUIRE_AGENTS", OsStr::new("1")),
        ("BELAY_SKIPPED_LOG", skipped.as_os_str()),
        ("BELAY_FLAKY_LOG", flaky.as_os_str()),
        // Agents wait for their own retries for a part of the time, and two cores idle meanwhile.
        ("RUST_TEST_THREADS", OsStr::new("3")),
    ];
    // One failure says little of a machine on which it happens; all of them say which part of it is other.
    cargo("test --workspace --no-fail-fast -- --include-ignored", env)?;
    if let Ok(skipped) = fs::read_to_string(&skipped) {
        return Err(format!("tests were skipped:\n{skipped}"));
    }
    if let Ok(flaky) = fs::read_to_string(&flaky) {
        eprintln!("xtask: tests with real agents that did not pass at once:\n{flaky}");
        let failures = flaky.lines().count();
        if failures > FLAKES_MAX {
            return Err(format!("{failures} failures are no bad luck: look for the cause"));
        }
    }
    fuzz::run(FUZZ_SECONDS, &[])?;
    cargo("doc --workspace --no-deps", [("RUSTDOCFLAGS", OsStr::new("-D warnings"))])
}

/// Installs the agents that the tests run.
fn agents() -> Result<(), String> {
    let dir = real::dir();
    eprintln!("xtask: real agents in {}", dir.display());
    real::install(&dir).map_err(|error| format!("cannot install the real agents: {error}"))?;
    // Its test says loudly that it is not there.
    if let Err(error) = python::install(python::OTELTAP) {
        eprintln!("xtask: SKIPPED {}: {error}", python::OTELTAP);
    }
    Ok(())
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
    fuzz::run(seconds, &targets)
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
