//! `hermes acp`: Hermes.

use super::generic::{CONFINING, PLAIN};
use super::own_mode::OwnMode;
use super::{Login, OwnWords, Preset, Quirks, Rule, Usage};
use crate::{Capability, Care, Permissions};

/// Measured on 0.19.0 (`docs/agents/acp.md`).
pub(in crate::acp) static HERMES: Preset = Preset {
    name: "hermes acp",
    program: "hermes",
    args: &["acp"],
    login: Login {
        home_env: "HERMES_HOME",
        home: ".hermes",
        files: &["config.yaml", ".env"],
        variables: PLAIN.login.variables,
        clouds: &[],
    },
    care: Care {
        install: "uv tool install 'hermes-agent[acp]'",
        node: None,
        log_in: "hermes model",
        tried: Some(("0.19.0", "0.19.0")),
    },
    // It runs plain commands unasked in each of its modes, so that none of them keeps anything.
    own_mode: OwnMode::Between(Permissions::Full, Permissions::Full),
    usage: Usage {
        rule: Rule::SessionDifference,
        input_has_cached: true,
        thoughts_apart: false,
        exact: false,
        total_decides: false,
    },
    quirks: Quirks { command_in_title: Some("terminal: "), ..Quirks::NONE },
    // Every failure is an answer: one chunk, and nothing is counted.
    own_words: OwnWords {
        uncounted_failures: &["HTTP ", "API call failed after "],
        ..OwnWords::UNMEASURED
    },
    capabilities: CONFINING.without(&[
        Capability::PermitReadOnly,
        Capability::PermitAsk,
        Capability::PermitEdit,
        Capability::ReportedWindow,
    ]),
    ..PLAIN
};
