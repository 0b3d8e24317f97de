//! The proving ground itself: the model server, the fake agent, the recordings.
//!
//! One program for all: linking each would take longer than running it.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

mod chat_completions;
#[path = "support/client.rs"]
mod client;
mod fake_agent;
mod fake_family;
mod gemini_api;
mod model_server;
mod recordings;
