//! `cargo xtask attack`: what was tried to make belay leave a process behind, hang, or start what a repository wants
//! to be started, in full counts. CI runs the same with small ones, as tests among the others.

use crate::{agents, cargo};
use belay_testkit::figures::LONG;
use std::ffi::OsStr;

/// The tests, by who is attacked: the arguments of `cargo test`.
const ATTACKS: &[(&str, &str)] = &[
    ("the look at a repository", "test --release --package belaykit --lib handover::"),
    ("tools", "test --release --workspace --test fake -- tools:: programs:: containment::"),
    (
        "runs of the fake agent",
        "test --release --workspace --test program -- faults::deaths:: faults::killed:: faults::stops:: faults::pause:: \
         faults::namespaces:: faults::ends:: faults::held::",
    ),
    ("real agents", "test --release --workspace --test real -- deaths:: stops::"),
];

pub(crate) fn run() -> Result<(), String> {
    agents()?;
    // Programs of users are among the examples, which no test target builds by itself.
    cargo("build --release --workspace --bins --examples", [])?;
    let mut failures = Vec::new();
    for (name, args) in ATTACKS {
        eprintln!("xtask: attack on {name}");
        if let Err(failure) = cargo(args, [(LONG, OsStr::new("1"))]) {
            eprintln!("xtask: FAILED attack on {name}: {failure}");
            failures.push(failure);
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}
