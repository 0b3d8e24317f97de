//! Qwen Code.

use super::own_mode::{OwnMode, Settings};
use super::{Login, Modes, OwnWords, Preset, Quirks, Rule, Usage};
use crate::acp::printed::Printed;
use crate::acp::{failures, session_file};
use crate::quiet;
use crate::{Capabilities, Capability, Care, Permissions, Support};

/// Measured on 0.24.4 (`docs/agents/qwen.md`).
pub(in crate::acp) static QWEN: Preset = Preset {
    name: "qwen",
    program: "qwen",
    args: &["--acp"],
    model_flag: Some("--model"),
    prompt_flag: Some("--prompt-interactive"),
    folder_flag: Some("--include-directories"),
    policy: None,
    // What `permissions.allow` names is written in plan mode too (measured).
    read_only_args: &["--exclude-tools=write_file,edit,notebook_edit"],
    trust_flag: None,
    env: &[
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "OPENAI_MODEL",
        "DASHSCOPE_API_KEY",
        "BAILIAN_CODING_PLAN_API_KEY",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_MODEL",
        "GEMINI_API_KEY",
        "QWEN_HOME",
    ],
    inner_env: &[],
    set: &[("QWEN_CODE_NO_RELAUNCH", "true")],
    quiet: quiet::acp::QWEN,
    litter: &[],
    login: Login {
        home_env: "",
        home: ".qwen",
        files: &["oauth_creds.json", "settings.json"],
        variables: &[
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "DASHSCOPE_API_KEY",
            "BAILIAN_CODING_PLAN_API_KEY",
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_BASE_URL",
            "GEMINI_API_KEY",
        ],
        clouds: &[],
    },
    model_limits: &[],
    // Its `auto-edit` writes everywhere (measured).
    care: Care {
        install: "npm install -g @qwen-code/qwen-code@latest",
        node: Some((22, 0)),
        log_in: "start qwen and choose a login, or set OPENAI_API_KEY and OPENAI_BASE_URL",
        tried: Some(("0.23.4", "0.24.4")),
    },
    modes: Modes {
        read_only: Some("plan"),
        ask: Some("default"),
        edit: None,
        full: Some("yolo"),
        ..Modes::NONE
    },
    // Its default lets a model judge what is harmless.
    own_mode: OwnMode::Settings(Settings {
        folder: ".qwen",
        variable: "QWEN_HOME",
        names_at: &["/tools/approvalMode"],
        allowed_at: &["/tools/allowed", "/permissions/allow"],
        names: &[
            ("plan", Permissions::ReadOnly, Permissions::Ask),
            ("default", Permissions::Ask, Permissions::Ask),
            ("auto-edit", Permissions::Edit, Permissions::Full),
            ("auto", Permissions::Ask, Permissions::Full),
            ("yolo", Permissions::Full, Permissions::Full),
        ],
        default: (Permissions::Ask, Permissions::Full),
    }),
    // What its classifier of risky commands and its memory have used stands in the file alone.
    usage: Usage {
        rule: Rule::EachResponse,
        input_has_cached: true,
        thoughts_apart: false,
        exact: false,
        total_decides: false,
    },
    session_file: Some(session_file::QWEN),
    session_log: None,
    failures: &failures::QWEN,
    printed: Some(Printed::Qwen),
    quirks: Quirks { lingers: true, raw_output_is_all: true, ..Quirks::NONE },
    asides: &["qwen/notify/"],
    household: &[],
    own_words: OwnWords::NONE,
    driver: None,
    capabilities: Capabilities::new(&[
        (Capability::StreamingDeltas, Support::Native),
        (Capability::SystemPrompt, Support::Belay),
        (Capability::AppendSystemPrompt, Support::Belay),
        (Capability::MaxTurns, Support::Belay),
        (Capability::MaxCost, Support::Belay),
        (Capability::AgentRetries, Support::No),
        (Capability::MaxOutputTokens, Support::No),
        (Capability::AllowedTools, Support::No),
        (Capability::DisallowedTools, Support::No),
        (Capability::Effort, Support::No),
        (Capability::PermitReadOnly, Support::Native),
        (Capability::PermitAsk, Support::Native),
        (Capability::PermitEdit, Support::No),
        (Capability::McpServers, Support::Native),
        (Capability::AddDir, Support::Native),
        (Capability::Images, Support::Native),
        (Capability::OutputSchema, Support::Belay),
        (Capability::Resume, Support::Native),
        (Capability::Continue, Support::Native),
        (Capability::Fork, Support::No),
        (Capability::NativeInterrupt, Support::Native),
        (Capability::Steer, Support::No),
        (Capability::PermissionRequests, Support::Native),
        (Capability::ReportedUsage, Support::Native),
        (Capability::ReportedCost, Support::No),
        (Capability::ReportedWindow, Support::Native),
    ]),
};
