//! `codex-acp`: Codex behind ACP, by its app-server.

use super::generic::{CONFINING, PLAIN};
use super::{Login, Modes, OwnWords, Preset, Rule, Usage};
use crate::{Care, codex};

/// Measured on 2.6.0 with Codex 0.169.0 (`docs/agents/acp.md`).
pub(in crate::acp) static CODEX_ACP: Preset = Preset {
    name: "codex-acp",
    program: "codex-acp",
    // The Codex that it starts, if not the one of its package; and what it starts it with.
    env: &["CODEX_PATH", "CODEX_CONFIG", "MODEL_PROVIDER", "DEFAULT_AUTH_REQUEST", "NO_BROWSER"],
    inner_env: codex::ENV,
    // Its first mode, whatever the request says.
    login: Login {
        home_env: "CODEX_HOME",
        home: ".codex",
        files: &["auth.json"],
        variables: codex::ACCOUNT,
        clouds: &[],
    },
    care: Care {
        install: "npm install -g @agentclientprotocol/codex-acp@latest",
        node: Some((20, 0)),
        log_in: "codex login, or set CODEX_API_KEY",
        tried: Some(("2.6.0", "2.6.0")),
    },
    modes: Modes {
        read_only: Some("read-only"),
        ask: Some("read-only"),
        edit: Some("workspace-write"),
        full: Some("agent-full-access"),
        ..Modes::NONE
    },
    // Right for the prompt itself; the title that it asks a model for is told nowhere.
    usage: Usage {
        rule: Rule::PerPrompt,
        input_has_cached: false,
        thoughts_apart: false,
        exact: false,
        total_decides: false,
    },
    asides: &["_auth/status_update"],
    // Warnings, and what it says of a failure.
    own_words: OwnWords { have_no_id: true, ..OwnWords::NONE },
    driver: Some("codex"),
    capabilities: CONFINING,
    ..PLAIN
};
