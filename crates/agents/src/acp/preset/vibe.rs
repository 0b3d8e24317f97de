//! `vibe-acp`: Mistral Vibe.

use super::generic::{CONFINING, PLAIN};
use super::own_mode::OwnMode;
use super::{Login, Modes, Preset, Quirks, Rule, Usage};
use crate::{Capability, Care, Permissions, Support};

/// Measured on 3.0.2 (`docs/agents/acp.md`).
pub(in crate::acp) static VIBE: Preset = Preset {
    name: "vibe",
    program: "vibe-acp",
    env: &["MISTRAL_API_KEY", "VIBE_HOME", "OPENAI_API_KEY", "OPENROUTER_API_KEY"],
    login: Login {
        home_env: "VIBE_HOME",
        home: ".vibe",
        files: &["config.toml", ".env"],
        variables: &["MISTRAL_API_KEY"],
        clouds: &[],
    },
    care: Care {
        install: "uv tool install mistral-vibe",
        node: None,
        log_in: "start vibe, or set MISTRAL_API_KEY",
        tried: Some(("3.0.2", "3.0.2")),
    },
    modes: Modes {
        read_only: Some("ask"),
        ask: Some("ask"),
        edit: Some("accept-edits"),
        full: Some("auto-approve"),
        ..Modes::NONE
    },
    own_mode: OwnMode::Between(Permissions::Edit, Permissions::Full),
    // The title that it asks a model for is told nowhere.
    usage: Usage {
        rule: Rule::SessionDifference,
        input_has_cached: true,
        thoughts_apart: false,
        exact: false,
        total_decides: false,
    },
    // It tries for ever: 140 requests in 150 s.
    quirks: Quirks { tells_retries: true, ..Quirks::NONE },
    capabilities: CONFINING.with(&[(Capability::AgentRetries, Support::Belay)]),
    ..PLAIN
};
