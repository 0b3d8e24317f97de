//! The real CLIs against the model server: what the server says is what they print.
//!
//! Each test returns at once, with a loud line, when its CLI is not installed.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

mod claude;
mod codex;
mod http;
mod installed;
mod opencode;
mod opencode_serve;
mod pi;
mod pi_rpc;
mod run;
mod talk;
