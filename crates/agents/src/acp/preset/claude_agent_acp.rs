//! `claude-agent-acp`: Claude Code behind ACP, by the agent SDK.

use super::generic::{CONFINING, PLAIN};
use super::own_mode::OwnMode;
use super::{Login, Modes, Preset, Rule, Usage};
use crate::quiet;
use crate::{Capability, Care, claude};

/// Measured on 0.100.0 with Claude Code 2.1.329 (`docs/agents/acp.md`).
pub(in crate::acp) static CLAUDE_AGENT_ACP: Preset = Preset {
    name: "claude-agent-acp",
    program: "claude-agent-acp",
    // The Claude Code that it starts, if not the one of its package.
    env: &["CLAUDE_CODE_EXECUTABLE", "CLAUDE_MODEL_CONFIG"],
    inner_env: claude::ENV,
    quiet: quiet::acp::CLAUDE,
    login: Login {
        home_env: "CLAUDE_CONFIG_DIR",
        home: ".claude",
        files: &[".credentials.json"],
        variables: claude::ACCOUNT,
        clouds: crate::cloud::OF_CLAUDE,
    },
    care: Care {
        install: "npm install -g @agentclientprotocol/claude-agent-acp@latest",
        node: Some((22, 0)),
        log_in: "start claude and type /login, or set ANTHROPIC_API_KEY",
        tried: Some(("0.100.0", "0.100.0")),
    },
    // The user's own allow rules reach into its `plan`, and there is no way to take tools away.
    modes: Modes {
        read_only: None,
        ask: None,
        edit: Some("acceptEdits"),
        full: None,
        ..Modes::NONE
    },
    own_mode: OwnMode::Of(claude::mode::effective),
    // Right for the prompt itself; the title that it asks a model for is told nowhere.
    usage: Usage {
        rule: Rule::PerPrompt,
        input_has_cached: false,
        thoughts_apart: false,
        exact: false,
        total_decides: false,
    },
    asides: &["_auth/status_update"],
    driver: Some("claude"),
    capabilities: CONFINING.without(&[Capability::PermitReadOnly, Capability::PermitAsk]),
    ..PLAIN
};
