//! `copilot --acp`: GitHub Copilot behind ACP.

use super::generic::{CONFINING, PLAIN};
use super::own_mode::OwnMode;
use super::{Login, OwnWords, Preset, Rule, Usage};
use crate::acp::session_file;
use crate::quiet;
use crate::{Capability, Care, Permissions, copilot};

/// Measured on 1.0.102 (`docs/agents/acp.md`).
pub(in crate::acp) static COPILOT: Preset = Preset {
    name: "copilot --acp",
    program: "copilot",
    args: &["--acp"],
    env: &[],
    inner_env: copilot::ENV,
    quiet: quiet::acp::COPILOT,
    login: Login {
        home_env: "COPILOT_HOME",
        home: ".copilot",
        files: &["config.json"],
        variables: copilot::ACCOUNT,
        clouds: &[],
    },
    care: Care {
        install: "npm install -g @github/copilot@latest",
        node: None,
        log_in: "copilot login, or set COPILOT_GITHUB_TOKEN",
        tried: Some(("1.0.102", "1.0.102")),
    },
    usage: Usage {
        rule: Rule::SessionDifference,
        input_has_cached: true,
        thoughts_apart: false,
        exact: true,
        total_decides: false,
    },
    session_file: Some(session_file::COPILOT),
    // Every failure is an answer: whole chunks of its own, and the end of the turn. One of a turn that used nothing
    // is known by that; of one that did, by nothing but words, which may be those of an answer.
    own_words: OwnWords {
        retries: &[
            ("Info: Request failed due to a transient API error. Retrying...", ""),
            ("Info: Response was interrupted due to a server error. Retrying...", ""),
        ],
        uncounted_failures: &["Error: "],
        ..OwnWords::NONE
    },
    driver: Some("copilot"),
    capabilities: CONFINING.without(&[
        Capability::PermitReadOnly,
        Capability::PermitAsk,
        Capability::PermitEdit,
    ]),
    own_mode: OwnMode::Between(Permissions::Ask, Permissions::Full),
    ..PLAIN
};
