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
    for tries in 1.. {
        let Err(failure) = catch_unwind(AssertUnwindSafe(&body)) else { return };
        if tries == TRIES_MAX || std::env::var_os("BELAY_NO_FLAKES").is_some() {
            resume_unwind(failure);
        }
        let line = format!("FLAKY {test} has failed; once more from the beginning\n");
        // Written to the handle, since the harness swallows what a passing test prints.
        drop(io::stderr().write_all(line.as_bytes()));
        if let Some(path) = std::env::var_os("BELAY_FLAKY_LOG") {
            let log = OpenOptions::new().create(true).append(true).open(path);
            let written = log.and_then(|mut log| log.write_all(line.as_bytes()));
            written.expect("the file of BELAY_FLAKY_LOG can be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_fails_once_is_run_again_and_what_always_fails_has_failed() {
        let tries = Cell::new(0);
        let run = |fails: u32| {
            tries.set(0);
            catch_unwind(AssertUnwindSafe(|| {
                again_if_it_fails("a test of the tests", || {
                    tries.set(tries.get() + 1);
                    assert!(tries.get() > fails, "this failure is meant");
                });
            }))
        };
        assert!(run(1).is_ok() && tries.get() == 2);
        assert!(run(9).is_err() && tries.get() == TRIES_MAX);
    }
}
