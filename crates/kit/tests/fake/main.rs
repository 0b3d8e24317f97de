//! Runs of the fake agent, which plays recordings: what belay does with every line, end and death of an agent.
//!
//! One program for all: each would link the whole library, 100 MB and some seconds.
#![allow(clippy::disallowed_methods, reason = "a test starts programs")]

mod background;
mod breaker;
mod containment;
mod control;
mod docker_agent;
mod failover;
mod fake_run;
mod freeplay;
mod journal;
mod late;
mod notify;
mod observers;
mod oteltap;
mod otlp;
mod programs;
mod redact;
mod requests;
mod resets;
mod retries;
#[path = "../support/secrets.rs"]
mod secrets;
mod session_lock;
mod slots;
mod stops;
mod streams;
mod terminals;
mod tools;
mod toy_agent;
mod traces;
mod two;
mod ways;
mod witness;
