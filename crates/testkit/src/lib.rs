//! The proving ground of belay: everything its tests need to meet agents without paying for a model.
//!
//! - [`model_server`]: a scripted model server on loopback that speaks Anthropic Messages, OpenAI
//!   Responses and Chat Completions, so that the *real* CLIs run offline and do what the script says.
//! - [`black_hole`]: an address that drops who wants to connect.
//! - [`fake_agent`]: a program that plays a recorded stream and breaks it in every way a process
//!   can break.
//! - [`fake_slack`]: a Slack that enforces its limits, and a service that fails as told.
//! - [`figures`]: what tests measure, for the page that publishes it.
//! - [`freeplay`]: a Freeplay that takes nothing that is not as its documents have it.
//! - [`mcp_server`]: a server of one tool, which real agents call.
//! - [`python`]: what tests use of Python's.
//! - [`otlp`]: what an OTLP exporter has sent, decoded.
//! - [`receiver`]: a service on loopback that keeps what it is sent, and answers well or badly.
//! - [`real`]: finds and installs the real CLIs, and gives each run a home of its own.
//! - [`recordings`]: the recorded streams of the real CLIs that lie in the repository.
//!
//! This crate appears in dev-dependencies only and is never published.
#![forbid(unsafe_code)]

pub mod black_hole;
pub mod fake_agent;
pub mod fake_slack;
pub mod figures;
pub mod freeplay;
mod hearing;
pub mod mcp_server;
pub mod model_server;
pub mod otlp;
pub mod python;
pub mod real;
pub mod receiver;
pub mod recordings;

pub use crate::hearing::hear_signals;
