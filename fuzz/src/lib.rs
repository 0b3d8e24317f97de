//! What the fuzz targets check: not only that nothing panics, but what must hold for every input.
#![forbid(unsafe_code)]

#[path = "../../crates/agents/tests/support/script.rs"]
mod script;
#[path = "../../crates/agents/tests/support/watch.rs"]
mod watch;

mod files;
mod mutate;
mod words;

pub use crate::files::{journal, records, trace_file};
pub use crate::mutate::mutate;
pub use crate::words::{harness, lines};

use watch::Dialect;

/// A script for Claude Code's dialogue.
pub fn claude_dialogue(script: &[u8]) {
    script::play(Dialect::ClaudeDialogue, script);
}

/// A script for Claude Code's one-shot stream.
pub fn claude_print(script: &[u8]) {
    script::play(Dialect::ClaudePrint, script);
}

/// A script for Codex's app-server.
pub fn codex_app_server(script: &[u8]) {
    script::play(Dialect::CodexAppServer, script);
}

/// A script for `codex exec --json`.
pub fn codex_exec(script: &[u8]) {
    script::play(Dialect::CodexExec, script);
}

/// A script for Pi's `--mode rpc`.
pub fn pi_rpc(script: &[u8]) {
    script::play(Dialect::PiRpc, script);
}

/// A script for Pi's `--mode json`.
pub fn pi_json(script: &[u8]) {
    script::play(Dialect::PiJson, script);
}

/// A script for Docker Agent's `--exec --json`.
pub fn docker_agent(script: &[u8]) {
    script::play(Dialect::DockerAgent, script);
}

/// A script for GitHub Copilot's stream of events.
pub fn copilot(script: &[u8]) {
    script::play(Dialect::Copilot, script);
}

/// A script for Gemini CLI over ACP.
pub fn gemini(script: &[u8]) {
    script::play(Dialect::Gemini, script);
}

/// A script for Qwen Code over ACP.
pub fn qwen(script: &[u8]) {
    script::play(Dialect::Qwen, script);
}

/// A script for any agent over ACP.
pub fn acp(script: &[u8]) {
    script::play(Dialect::Acp, script);
}

/// A script for a program that only prints.
pub fn printing(script: &[u8]) {
    script::play(Dialect::Printing, script);
}
