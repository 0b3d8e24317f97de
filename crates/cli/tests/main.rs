//! The program `belay` with the fake agent, which plays recordings: every verb, and the fault table.
//!
//! One program for all: linking each would take longer than running it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "a test starts programs")]

mod acp;
mod bad_input;
#[path = "support/bench.rs"]
mod bench;
mod breaker;
mod chain;
mod config;
mod demo;
mod docs;
mod doctor;
mod drift;
mod environment;
#[cfg(target_os = "linux")]
mod faults;
mod folders;
mod given;
mod hosts;
mod interactive;
mod journal;
mod logs;
mod notify;
mod otel;
mod parse;
mod piped_input;
mod printing;
mod prune;
mod redact;
mod resume;
mod run;
mod runs;
mod session_lock;
mod steer;
mod stop;
#[path = "support/stored.rs"]
mod stored;
#[path = "support/svg.rs"]
mod svg;
mod terminal;
mod trace;
mod trace_docs;
mod trace_view;
