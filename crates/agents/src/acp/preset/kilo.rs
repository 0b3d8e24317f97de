//! `kilo acp`: Kilo, which is OpenCode by another name.

use super::generic::{CONFINING, PLAIN};
use super::{Login, Preset, Quirks, Rule, Usage};
use crate::{Capability, Care};

/// Measured on 7.7.7 and 7.7.9 (`docs/agents/acp.md`).
pub(in crate::acp) static KILO: Preset = Preset {
    name: "kilo acp",
    program: "kilo",
    args: &["acp"],
    login: Login {
        home_env: "XDG_DATA_HOME",
        home: ".local/share",
        files: &["kilo/auth.json"],
        variables: PLAIN.login.variables,
        clouds: &[],
    },
    care: Care {
        install: "npm install -g @kilocode/cli",
        node: None,
        log_in: "kilo auth login, or set a provider's key",
        tried: Some(("7.7.7", "7.7.9")),
    },
    usage: Usage {
        rule: Rule::LastStep,
        input_has_cached: false,
        thoughts_apart: true,
        exact: false,
        total_decides: false,
    },
    quirks: Quirks { raw_output_is_all: true, ..Quirks::NONE },
    capabilities: CONFINING.without(&[
        Capability::PermitReadOnly,
        Capability::PermitAsk,
        Capability::PermitEdit,
    ]),
    ..PLAIN
};
