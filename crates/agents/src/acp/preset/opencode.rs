//! `opencode acp`: OpenCode behind ACP.

use super::generic::{CONFINING, PLAIN};
use super::own_mode::OwnMode;
use super::{Login, Preset, Quirks, Rule, Usage};
use crate::quiet;
use crate::{Capability, Care, opencode};

/// Measured on 1.18.33 (`docs/agents/acp.md`).
pub(in crate::acp) static OPENCODE: Preset = Preset {
    name: "opencode acp",
    program: "opencode",
    args: &["acp"],
    env: &[],
    inner_env: opencode::ENV,
    quiet: quiet::acp::OPENCODE,
    litter: opencode::LITTER,
    login: Login {
        home_env: "XDG_DATA_HOME",
        home: ".local/share",
        files: &["opencode/auth.json"],
        variables: opencode::ACCOUNT,
        clouds: &[],
    },
    care: Care {
        install: "npm install -g opencode-ai@latest",
        node: None,
        log_in: "opencode auth login, or set a provider's key",
        tried: Some(("1.18.33", "1.18.33")),
    },
    // And the title that it asks a model for is told nowhere.
    usage: Usage {
        rule: Rule::LastStep,
        input_has_cached: false,
        thoughts_apart: true,
        exact: false,
        total_decides: false,
    },
    quirks: Quirks { raw_output_is_all: true, ..Quirks::NONE },
    driver: Some("opencode"),
    capabilities: CONFINING.without(&[
        Capability::PermitReadOnly,
        Capability::PermitAsk,
        Capability::PermitEdit,
    ]),
    own_mode: OwnMode::Of(opencode::mode::effective),
    ..PLAIN
};
