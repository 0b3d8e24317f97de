//! `cargo xtask test`: what CI runs, one agent or area of it, or (`--all`) everything there is.

use crate::fuzz::Course;
use crate::{
    FUZZ_SECONDS, agents, cargo, fuzz, install_presets, newest_agents, phoenix, reliability, target,
};
use belay_testkit::real::PresetAgent;
use belay_testkit::{python, real};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Of some 250 tests with real agents a handful lose a race on a busy machine; more of them is a fault of ours.
const FLAKES_MAX: usize = 10;

/// As [`FLAKES_MAX`], of some 850.
const FLAKES_OF_ALL_MAX: usize = 20;

/// How long each fuzz target runs in `--all`: long enough to find what a mutation reaches in two steps.
const LONG_FUZZ_SECONDS: u32 = 60;

/// The modules of the tests that run in `--all` alone (the macro `on!` in `crates/kit/tests/real/real_run.rs`).
const EVERY_WAY: &str = "every_way::";

/// What to run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Selection {
    /// Every agent in every way, and full counts.
    all: bool,
    /// The newest agents instead of the pinned ones.
    newest: bool,
    /// Only tests that have this in their names.
    name: Option<String>,
}

impl Selection {
    fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut selection = Self::default();
        for arg in args {
            match arg.as_str() {
                "--all" => selection.all = true,
                "--newest" => selection.newest = true,
                flag if flag.starts_with('-') => {
                    return Err(format!(
                        "cargo xtask test has no option {flag}; there are --all and --newest"
                    ));
                }
                _ if selection.name.is_some() => {
                    return Err("cargo xtask test takes one NAME".to_owned());
                }
                _ => selection.name = Some(arg),
            }
        }
        Ok(selection)
    }
}

/// Steps that have run: how long each took, and what went wrong.
#[derive(Default)]
struct Steps {
    times: Vec<(String, Duration)>,
    failures: Vec<String>,
}

impl Steps {
    fn run(&mut self, name: &str, step: impl FnOnce() -> Result<(), String>) {
        let began = Instant::now();
        if let Err(failure) = step() {
            eprintln!("xtask: FAILED {name}: {failure}");
            self.failures.push(format!("{name}: {failure}"));
        }
        self.times.push((name.to_owned(), began.elapsed()));
    }

    fn finish(self) -> Result<(), String> {
        for (name, time) in &self.times {
            eprintln!("xtask: {:>5} s  {name}", time.as_secs());
        }
        let total: Duration = self.times.iter().map(|(_, time)| *time).sum();
        eprintln!("xtask: {:>5} s  in all", total.as_secs());
        if self.failures.is_empty() { Ok(()) } else { Err(self.failures.join("\n")) }
    }
}

/// Runs the tests that the arguments select.
pub(crate) fn test(args: impl Iterator<Item = String>) -> Result<(), String> {
    let selection = Selection::parse(args)?;
    let mut steps = Steps::default();
    if selection.newest {
        let mut dir = None;
        steps.run("agents", || newest_agents().map(|newest| dir = Some(newest)));
        if let Some(dir) = dir {
            steps.run("tests with the newest agents", || with_agents(&selection, &dir));
        }
        return steps.finish();
    }
    if selection.name.is_some() {
        steps.run("agents", || install(selection.all));
        steps.run("tests without agents", || without_agents(&selection));
        steps.run("tests with real agents", || with_agents(&selection, &real::dir()));
        return steps.finish();
    }
    // npm waits for the network while the compiler does not.
    let all = selection.all;
    let installing = thread::spawn(move || install(all));
    steps.run("format", || {
        cargo("fmt --all --check", [])?;
        cargo("fmt --manifest-path fuzz/Cargo.toml --check", [])
    });
    steps.run("lints", || {
        cargo("clippy --workspace --all-targets -- -D warnings", [])?;
        // `--all-targets` leaves out what plain `cargo test` leaves out.
        cargo("clippy --workspace --test real --test real_cli -- -D warnings", [])
    });
    steps
        .run("agents", || installing.join().map_err(|_| "the installation panicked".to_owned())?);
    // Nothing that follows says anything about code that does not pass these.
    if !steps.failures.is_empty() {
        return steps.finish();
    }
    steps.run("tests without agents", || without_agents(&selection));
    steps.run("tests with real agents", || with_agents(&selection, &real::dir()));
    let (seconds, course) = match selection.all {
        true => (LONG_FUZZ_SECONDS, Course::Random),
        false => (FUZZ_SECONDS, Course::Fixed),
    };
    steps.run("fuzz targets", || fuzz::run(seconds, course, &[]));
    steps.run("docs", || {
        cargo("doc --workspace --no-deps", [("RUSTDOCFLAGS", OsStr::new("-D warnings"))])
    });
    if selection.all {
        steps.run("drivers, full counts", || {
            let long = [("BELAY_LONG", OsStr::new("1"))];
            cargo("test --release --package belay-agents --test drivers", long)
        });
        steps.run("faults, full counts", || reliability::run(true));
        let main_facts = Selection::default();
        steps.run("tests with the newest agents", || with_agents(&main_facts, &newest_agents()?));
        steps.run("a real Phoenix", phoenix::run);
    }
    steps.finish()
}

/// What the tests run; for `--all` also the programs that only print, and all that are known by a preset over ACP alone.
fn install(all: bool) -> Result<(), String> {
    agents()?;
    if all {
        install_presets(&PresetAgent::ALL)?;
    }
    let mut packages = [python::AIDER, python::MINI].into_iter().filter(|_| all);
    packages.try_for_each(|it| python::install(it).map_err(|error| format!("{it}: {error}")))
}

/// The tests that need Rust alone, and the doctests.
fn without_agents(selection: &Selection) -> Result<(), String> {
    let name = selection.name.as_deref().unwrap_or_default();
    // One failure says little of a machine on which it happens; all of them say which part of it is other.
    let ignored = if selection.all { "-- --include-ignored" } else { "" };
    // What was installed for them is there: none may be skipped.
    let env = [("BELAY_REQUIRE_AGENTS", OsStr::new("1"))];
    cargo(&format!("test --workspace --no-fail-fast {name} {ignored}"), env)
}

/// The tests with real agents, which are all installed: none may be skipped.
fn with_agents(selection: &Selection, agents: &Path) -> Result<(), String> {
    let (skipped, flaky) = (target().join("skipped.log"), target().join("flaky.log"));
    // A log of an earlier run would be taken for this one's.
    for log in [&skipped, &flaky] {
        let _ = fs::remove_file(log);
    }
    let env = [
        ("BELAY_REQUIRE_AGENTS", OsStr::new("1")),
        ("BELAY_AGENTS_DIR", agents.as_os_str()),
        ("BELAY_SKIPPED_LOG", skipped.as_os_str()),
        ("BELAY_FLAKY_LOG", flaky.as_os_str()),
        // Agents wait for their own retries for a part of the time, and two cores idle meanwhile.
        ("RUST_TEST_THREADS", OsStr::new("3")),
    ];
    let name = selection.name.as_deref().unwrap_or_default();
    let skip = if selection.all { String::new() } else { format!("--skip {EVERY_WAY}") };
    let tests =
        format!("test --workspace --no-fail-fast --test real --test real_cli {name} -- {skip}");
    cargo(&tests, env)?;
    if let Ok(skipped) = fs::read_to_string(&skipped) {
        return Err(format!("tests were skipped:\n{skipped}"));
    }
    let Ok(flaky) = fs::read_to_string(&flaky) else { return Ok(()) };
    eprintln!("xtask: tests with real agents that did not pass at once:\n{flaky}");
    let (failures, max) =
        (flaky.lines().count(), if selection.all { FLAKES_OF_ALL_MAX } else { FLAKES_MAX });
    if failures > max {
        return Err(format!("{failures} failures are no bad luck: look for the cause"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Selection, String> {
        Selection::parse(args.iter().map(|arg| (*arg).to_owned()))
    }

    #[test]
    fn a_name_and_all_select_tests() {
        let select = |all, name: Option<&str>| {
            Ok(Selection { all, newest: false, name: name.map(str::to_owned) })
        };
        assert_eq!(parse(&[]), select(false, None));
        assert_eq!(parse(&["codex", "--all"]), select(true, Some("codex")));
        assert!(parse(&["--everything"]).is_err_and(|error| error.contains("--everything")));
        assert!(parse(&["codex", "claude"]).is_err());
    }

    #[test]
    fn a_failed_step_fails_the_whole_and_later_ones_still_run() {
        let mut steps = Steps::default();
        steps.run("one", || Err("broke".to_owned()));
        steps.run("two", || Ok(()));
        assert_eq!(steps.times.len(), 2);
        assert_eq!(steps.finish(), Err("one: broke".to_owned()));
    }
}
