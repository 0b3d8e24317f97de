//! `pi-acp`: Pi behind ACP, by its RPC mode.

use super::generic::{CONFINING, PLAIN};
use super::own_mode::OwnMode;
use super::{Login, OwnWords, Preset, Quirks, Rule, Usage};
use crate::acp::session_file;
use crate::quiet;
use crate::{Capability, Care, Permissions, pi};

/// Measured on 0.0.34 with Pi 1.5.2 (`docs/agents/acp.md`).
pub(in crate::acp) static PI_ACP: Preset = Preset {
    name: "pi-acp",
    program: "pi-acp",
    // The Pi that it starts, if not the one on the PATH.
    env: &["PI_ACP_PI_COMMAND", "PI_ACP_ENABLE_EMBEDDED_CONTEXT"],
    inner_env: pi::ENV,
    quiet: quiet::PI,
    login: Login {
        home_env: "PI_CODING_AGENT_DIR",
        home: ".pi/agent",
        files: &["auth.json"],
        variables: pi::ACCOUNT,
        clouds: &[],
    },
    care: Care {
        install: "npm install -g pi-acp@latest",
        node: Some((22, 19)),
        log_in: "start pi and type /login, or set a provider's key",
        tried: Some(("0.0.34", "0.0.34")),
    },
    usage: Usage {
        rule: Rule::Untold,
        input_has_cached: false,
        thoughts_apart: false,
        exact: true,
        total_decides: false,
    },
    session_file: Some(session_file::PI),
    quirks: Quirks {
        // A failure is told as the end of the turn, with nothing said.
        silence_is_failure: true,
        guesses_exit_codes: true,
        modes_are_of_thinking: true,
        ..Quirks::NONE
    },
    // From its source (`formatAutoRetryMessage`). That a retry is over is said behind its response, whole or not.
    own_words: OwnWords {
        retries: &[("Retrying (attempt ", "s)..."), ("Retrying...", "")],
        asides: &["Retry finished, resuming."],
        ..OwnWords::NONE
    },
    driver: Some("pi"),
    // It takes servers of tools and does nothing with them.
    capabilities: CONFINING.without(&[
        Capability::PermitReadOnly,
        Capability::PermitAsk,
        Capability::PermitEdit,
        Capability::McpServers,
    ]),
    own_mode: OwnMode::Between(Permissions::Full, Permissions::Full),
    ..PLAIN
};
