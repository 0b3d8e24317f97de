//! Skipping a test whose agent is not installed, loudly.

use std::fs::OpenOptions;
use std::io::{self, Write};

use super::RealAgent;

/// The agent, or `None` with a loud line when it is not there, so that the test returns.
///
/// The line goes to stderr past the test harness, and to the file that `BELAY_SKIPPED_LOG` names.
///
/// # Panics
///
/// When `BELAY_REQUIRE_AGENTS=1`: a run that must not skip fails instead.
pub fn skip_unless_installed(
    agent: Option<RealAgent>,
    what: &str,
    test: &str,
) -> Option<RealAgent> {
    if agent.is_none() {
        skipped(what, test);
    }
    agent
}

/// Says loudly that a test is skipped because something that it needs is not installed.
///
/// # Panics
///
/// As [`skip_unless_installed`].
pub fn skipped(what: &str, test: &str) {
    let line = format!("SKIPPED {test}: {what} is not installed; run cargo xtask test\n");
    let required = std::env::var_os("BELAY_REQUIRE_AGENTS").is_some_and(|value| value == "1");
    assert!(!required, "BELAY_REQUIRE_AGENTS is set: {line}");
    // Written to the handle, since the harness swallows what a passing test prints.
    drop(io::stderr().write_all(line.as_bytes()));
    if let Some(path) = std::env::var_os("BELAY_SKIPPED_LOG") {
        let log = OpenOptions::new().create(true).append(true).open(path);
        let written = log.and_then(|mut log| log.write_all(line.as_bytes()));
        written.expect("the file of BELAY_SKIPPED_LOG can be written");
    }
}
