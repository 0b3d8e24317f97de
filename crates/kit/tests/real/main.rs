//! Runs of the real agents, which talk with a scripted model server. A missing one is SKIPPED, loudly.
//!
//! One program for all: each would link the whole library, 100 MB and some seconds.
#![allow(clippy::disallowed_methods, reason = "a test starts programs")]

mod acp_chain;
mod acp_others;
mod answers;
mod any_agent;
mod asks;
mod background;
mod bytes;
mod costs;
mod environment;
mod failover;
mod failures;
mod helpers;
mod images;
mod journal;
mod mcp;
mod otel;
mod party;
mod permissions;
mod pi;
mod pi_run;
mod real_run;
mod refusals;
mod requests;
mod schema;
mod secrets;
mod sessions;
mod stops;
mod tools;
mod traces;
mod verdicts;
mod witness;
