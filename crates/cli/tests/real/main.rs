//! The program `belay` with the real agents, which talk with a scripted model server.
//!
//! One program for all: linking each would take longer than running it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "a test starts programs")]

mod answers;
mod any_agent;
mod bench;
mod deaths;
mod doctor;
mod notify;
mod presets;
mod printing;
mod runs;
mod stops;
