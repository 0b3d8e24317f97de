//! A test with a real agent once more when it has failed: some of them lose a race with themselves on a busy machine.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How often a test may run. What fails twice and passes then is no race of one in a hundred; what fails thrice is ours.
const TRIES_MAX: u32 = 3;

/// Runs a test with a real agent, again from the beginning when it fails, and says so loudly.
///
/// The line goes to stderr past the test harness, and to the file that `BELAY_FLAKY_LOG` names: `cargo xtask test` shows
/// them, and fails if there are many. Only for tests with real agents: nothing else may fail once.
///
/// # Panics
///
/// With the last failure, if none of the tries has passed.
pub fn again_if_it_fails(test: &str, body: impl Fn()) {
    let tries = if std::env::var_os("BELAY_NO_FLAKES").is_some() { 1 } else { TRIES_MAX };
    tried(tries, body, || {
        let line = format!("FLAKY {test} has failed; once more from the beginning\n");
        // Written to the handle, since the harness swallows what a passing test prints.
        drop(io::stderr().write_all(line.as_bytes()));
        if let Some(path) = std::env::var_os("BELAY_FLAKY_LOG") {
            let log = OpenOptions::new().create(true).append(true).open(path);
            let written = log.and_then(|mut log| log.write_all(line.as_bytes()));
            written.expect("the file of BELAY_FLAKY_LOG can be written");
        }
    });
}

fn tried(tries: u32, body: impl Fn(), has_failed: impl Fn()) {
    for number in 1..=tries {
        let Err(failure) = catch_unwind(AssertUnwindSafe(&body)) else { return };
        if number == tries {
            resume_unwind(failure);
        }
        has_failed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_fails_once_is_run_again_and_what_always_fails_has_failed() {
        let (tries, told) = (Cell::new(0), Cell::new(0));
        let run = |fails: u32| {
            tries.set(0);
            told.set(0);
            let body = || {
                tries.set(tries.get() + 1);
                assert!(tries.get() > fails, "this failure is meant");
            };
            catch_unwind(AssertUnwindSafe(|| tried(3, body, || told.set(told.get() + 1))))
        };
        assert!(run(1).is_ok() && (tries.get(), told.get()) == (2, 1));
        assert!(run(9).is_err() && (tries.get(), told.get()) == (3, 2));
    }
}
