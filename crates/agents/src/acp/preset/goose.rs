//! Goose.

use super::generic::GENERIC_CAPABILITIES;
use super::own_mode::OwnMode;
use super::{Login, Modes, OwnWords, Preset, Quirks, Rule, Usage};
use crate::Care;
use crate::acp::failures;

/// Nobody has tried it: the command is the one of its documentation.
pub(in crate::acp) static GOOSE: Preset = Preset {
    name: "goose",
    program: "goose",
    args: &["acp"],
    model_flag: None,
    prompt_flag: None,
    folder_flag: None,
    policy: None,
    read_only_args: &[],
    trust_flag: None,
    env: &[
        "GOOSE_PROVIDER",
        "GOOSE_MODEL",
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "GOOGLE_API_KEY",
        "OPENROUTER_API_KEY",
    ],
    inner_env: &[],
    set: &[],
    quiet: &[],
    litter: &[],
    login: Login {
        home_env: "",
        home: ".config/goose",
        files: &["config.yaml", "secrets.yaml"],
        variables: &[
            "GOOSE_PROVIDER",
            "ANTHROPIC_API_KEY",
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "GOOGLE_API_KEY",
            "OPENROUTER_API_KEY",
        ],
        clouds: &[],
    },
    model_limits: &[],
    care: Care {
        install: "see https://block.github.io/goose",
        node: None,
        log_in: "goose configure",
        tried: None,
    },
    modes: Modes::BY_NAME,
    own_mode: OwnMode::Unknown,
    usage: Usage {
        rule: Rule::Unmeasured,
        input_has_cached: false,
        thoughts_apart: false,
        exact: false,
        total_decides: true,
    },
    session_file: None,
    session_log: None,
    failures: &failures::GOOSE,
    printed: None,
    quirks: Quirks::NONE,
    asides: &[],
    household: &[],
    own_words: OwnWords::UNMEASURED,
    driver: None,
    capabilities: GENERIC_CAPABILITIES,
};
