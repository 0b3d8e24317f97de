//! Counting cases and what goes wrong in them: the figures of `docs/reliability.md`.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The full number of cases, which takes minutes, and not only those that every change is tested with.
pub(crate) fn is_long() -> bool {
    std::env::var_os("BELAY_LONG").is_some()
}

/// What went wrong in one case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Turns that count as answered, and the agent never said so.
    pub(crate) false_successes: usize,
    /// Events that other lines than the broken one should have given, and ends that they should have made.
    pub(crate) lost: usize,
}

/// Cases of one kind.
#[derive(Debug)]
pub(crate) struct Count {
    name: &'static str,
    cases: usize,
    panics: usize,
    wrong: Wrong,
    examples: Vec<String>,
}

/// So many cases that went wrong are shown.
const EXAMPLES_MAX: usize = 60;

impl Count {
    pub(crate) fn of(name: &'static str) -> Self {
        Self { name, cases: 0, panics: 0, wrong: Wrong::default(), examples: Vec::new() }
    }

    /// Runs one case; `about` says which one it is.
    pub(crate) fn case(&mut self, about: impl Fn() -> String, case: impl FnOnce() -> Wrong) {
        self.cases += 1;
        let wrong = catch_unwind(AssertUnwindSafe(case));
        if !matches!(wrong, Ok(Wrong { false_successes: 0, lost: 0 }))
            && self.examples.len() < EXAMPLES_MAX
        {
            self.examples.push(about());
        }
        match wrong {
            Ok(wrong) => {
                self.wrong.false_successes += wrong.false_successes;
                self.wrong.lost += wrong.lost;
            }
            Err(_) => self.panics += 1,
        }
    }

    /// Prints the figures, which `--nocapture` shows, and fails the test if something went wrong.
    pub(crate) fn done(self) {
        let Wrong { false_successes, lost } = self.wrong;
        let Self { name, cases, panics, examples, .. } = self;
        println!(
            "{name}: {cases} cases, {panics} panics, {false_successes} false successes, {lost} events lost"
        );
        assert!(examples.is_empty(), "{name}: {examples:#?}");
    }
}
