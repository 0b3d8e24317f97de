//! The real CLIs against the model server: what the server says is what they print.
//!
//! Each test returns at once, with a loud line, when its CLI is not installed.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

#[path = "real_cli/claude.rs"]
mod claude;
#[path = "real_cli/codex.rs"]
mod codex;
#[path = "real_cli/http.rs"]
mod http;
#[path = "real_cli/installed.rs"]
mod installed;
#[path = "real_cli/opencode.rs"]
mod opencode;
#[path = "real_cli/opencode_serve.rs"]
mod opencode_serve;
#[path = "real_cli/pi.rs"]
mod pi;
#[path = "real_cli/pi_rpc.rs"]
mod pi_rpc;
#[path = "real_cli/run.rs"]
mod run;
#[path = "real_cli/talk.rs"]
mod talk;
