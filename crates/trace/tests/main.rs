//! The formats, from outside: round trips, strange bytes, and traces that Go has written.
//!
//! One program for all: linking each would take longer than running it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bytes;
mod go_trace;
mod roundtrip;
