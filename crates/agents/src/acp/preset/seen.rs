//! Agents that differ from the protocol in little. What each of them does is held by real runs
//! (`crates/cli/tests/real/presets.rs`).

use super::generic::{GENERIC_CAPABILITIES, PLAIN};
use super::own_mode::OwnMode;
use super::{Login, Modes, OwnWords, Preset, Rule, Usage};
use crate::acp::session_file;
use crate::{Capability, Care, Permissions};

/// What an agent that tells no tokens has used.
const UNTOLD: Usage = Usage {
    rule: Rule::Untold,
    input_has_cached: false,
    thoughts_apart: false,
    exact: false,
    total_decides: false,
};

const SEEN: Preset = Preset {
    // Each of them has settings by which it asks less.
    own_mode: OwnMode::Between(Permissions::Ask, Permissions::Full),
    own_words: OwnWords::UNMEASURED,
    capabilities: GENERIC_CAPABILITIES,
    usage: UNTOLD,
    ..PLAIN
};

const fn of(home: &'static str, files: &'static [&'static str]) -> Login {
    Login { home_env: "", home, files, ..PLAIN.login }
}

/// 3.0.65. Without the variables it asks for a login although there is one.
pub(in crate::acp) static CLINE: Preset = Preset {
    name: "cline --acp",
    program: "cline",
    args: &["--acp"],
    env: &["CLINE_API_KEY", "CLINE_PROVIDER", "CLINE_DIR"],
    login: Login { variables: &["CLINE_API_KEY"], ..of(".cline", &["data/secrets.json"]) },
    care: Care {
        install: "npm install -g cline",
        node: Some((22, 0)),
        log_in: "cline auth, and set CLINE_API_KEY and CLINE_PROVIDER",
        tried: Some(("3.0.65", "3.0.65")),
    },
    // It asks before it writes and before it runs in `act`, and has no mode between that and everything.
    modes: Modes { read_only: Some("plan"), ask: Some("act"), ..Modes::NONE },
    usage: Usage { exact: true, ..UNTOLD },
    session_file: Some(session_file::CLINE),
    capabilities: GENERIC_CAPABILITIES.without(&[Capability::PermitEdit]),
    ..SEEN
};

/// 1.16.0. It reads its settings from its file alone.
pub(in crate::acp) static OPENHANDS: Preset = Preset {
    name: "openhands acp",
    program: "openhands",
    args: &["acp"],
    login: of(".openhands", &["agent_settings.json"]),
    care: Care {
        install: "uv tool install openhands",
        node: None,
        log_in: "start openhands and set a model",
        tried: Some(("1.16.0", "1.16.0")),
    },
    // Its third mode leaves the choice to a model.
    modes: Modes { read_only: Some("always-ask"), ask: Some("always-ask"), ..Modes::NONE },
    capabilities: GENERIC_CAPABILITIES.without(&[Capability::PermitEdit]),
    ..SEEN
};

/// 0.10.48. Every failure is a refusal that names its status; no call has a result.
pub(in crate::acp) static FAST_AGENT: Preset = Preset {
    name: "fast-agent-acp",
    program: "fast-agent-acp",
    env: &[
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "GENERIC_API_KEY",
        "GENERIC_BASE_URL",
    ],
    care: Care {
        install: "uv tool install fast-agent-mcp",
        node: None,
        log_in: "fast-agent setup, or set a provider's key",
        tried: Some(("0.10.48", "0.10.48")),
    },
    own_words: OwnWords {
        refused_failures: &["I hit an internal error while calling the model: "],
        ..OwnWords::UNMEASURED
    },
    // It asks for nothing, and its one mode is called `agent`.
    own_mode: OwnMode::Between(Permissions::Full, Permissions::Full),
    capabilities: GENERIC_CAPABILITIES.without(&[
        Capability::PermitReadOnly,
        Capability::PermitAsk,
        Capability::PermitEdit,
    ]),
    ..SEEN
};

/// 1.30.0. Its figures are of the prompt, and contain cached tokens that it does not name.
pub(in crate::acp) static NANOCODER: Preset = Preset {
    name: "nanocoder --acp",
    program: "nanocoder",
    args: &["--acp"],
    care: Care {
        install: "npm install -g @nanocollective/nanocoder",
        node: Some((22, 0)),
        log_in: "write a provider into agents.config.json",
        tried: Some(("1.30.0", "1.30.0")),
    },
    modes: Modes {
        read_only: Some("plan"),
        ask: Some("normal"),
        edit: Some("auto-accept"),
        full: Some("yolo"),
        ..Modes::NONE
    },
    // It starts in `auto-accept`.
    own_mode: OwnMode::Between(Permissions::Edit, Permissions::Full),
    usage: Usage { rule: Rule::PerPrompt, input_has_cached: true, ..UNTOLD },
    ..SEEN
};

/// 0.215.0.
pub(in crate::acp) static DROID: Preset = Preset {
    name: "droid",
    program: "droid",
    args: &["exec", "--output-format", "acp"],
    env: &["FACTORY_API_KEY"],
    login: Login { variables: &["FACTORY_API_KEY"], ..of(".factory", &["auth.json"]) },
    care: Care {
        install: "npm install -g droid",
        node: None,
        log_in: "start droid, or set FACTORY_API_KEY",
        tried: Some(("0.215.0", "0.215.0")),
    },
    // Each of the others runs commands unasked that a model calls harmless.
    modes: Modes { read_only: Some("spec"), ask: Some("normal"), ..Modes::NONE },
    capabilities: GENERIC_CAPABILITIES.without(&[Capability::PermitEdit]),
    ..SEEN
};
