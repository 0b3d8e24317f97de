//! Gemini CLI.

use super::own_mode::{OwnMode, Settings};
use super::{Login, Modes, OwnWords, Policy, Preset, Quirks, Rule, Usage};
use crate::acp::printed::Printed;
use crate::acp::{failures, session_file};
use crate::{Capabilities, Capability, Care, Permissions, Support};

/// A tool that the user's settings allow (`tools.allowed`) runs in every mode, in `plan` too (measured, 0.61.0). Rules of
/// an administrator stand above it.
const POLICY: Policy = Policy { flag: "--admin-policy", file: "policy.toml", text: policy };

fn policy(mode: Permissions) -> Option<String> {
    let (tools, decision) = match mode {
        Permissions::ReadOnly => (CHANGING, "deny"),
        Permissions::Ask => (CHANGING, "ask_user"),
        // Files are left to its own mode, which keeps them in the folder.
        Permissions::Edit => (&CHANGING[2..], "ask_user"),
        Permissions::Full => return None,
    };
    Some(format!("[[rule]]\ntoolName = {tools:?}\ndecision = \"{decision}\"\npriority = 999\n"))
}

const CHANGING: &[&str] = &["write_file", "replace", "run_shell_command", "web_fetch"];

/// Measured on 0.61.0 (`docs/agents/gemini.md`).
pub(in crate::acp) static GEMINI: Preset = Preset {
    name: "gemini",
    program: "gemini",
    args: &["--acp"],
    model_flag: Some("--model"),
    prompt_flag: Some("--prompt-interactive"),
    folder_flag: Some("--include-directories"),
    policy: Some(POLICY),
    read_only_args: &[],
    trust_flag: Some("--skip-trust"),
    env: &[
        "GEMINI_API_KEY",
        "GEMINI_MODEL",
        "GEMINI_CLI_TRUST_WORKSPACE",
        "GOOGLE_API_KEY",
        "GOOGLE_CLOUD_PROJECT",
        "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_GENAI_USE_VERTEXAI",
        "GOOGLE_GENAI_USE_GCA",
        "GOOGLE_GEMINI_BASE_URL",
        "GOOGLE_VERTEX_BASE_URL",
    ],
    // It starts itself once more for more memory: a parent that hears no signal.
    // With a terminal for its commands, their output is a picture of that and never told over ACP.
    inner_env: &[],
    set: &[("GEMINI_CLI_NO_RELAUNCH", "true"), ("GEMINI_PTY_INFO", "child_process")],
    quiet: &[],
    litter: &[],
    login: Login {
        home_env: "",
        home: ".gemini",
        files: &["oauth_creds.json", "google_accounts.json"],
        variables: &[
            "GEMINI_API_KEY",
            "GOOGLE_API_KEY",
            "GOOGLE_CLOUD_PROJECT",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_GENAI_USE_VERTEXAI",
            "GOOGLE_GENAI_USE_GCA",
            "GOOGLE_GEMINI_BASE_URL",
            "GOOGLE_VERTEX_BASE_URL",
        ],
        clouds: &[],
    },
    model_limits: &["on this model"],
    care: Care {
        install: "npm install -g @google/gemini-cli@latest",
        node: Some((20, 0)),
        log_in: "start gemini and choose a login, or set GEMINI_API_KEY",
        tried: Some(("0.57.0", "0.61.0")),
    },
    modes: Modes {
        read_only: Some("plan"),
        ask: Some("default"),
        edit: Some("autoEdit"),
        full: Some("yolo"),
        ..Modes::NONE
    },
    own_mode: OwnMode::Settings(Settings {
        folder: ".gemini",
        variable: "",
        names_at: &["/general/defaultApprovalMode", "/tools/approvalMode"],
        allowed_at: &["/tools/allowed", "/allowedTools"],
        names: &[
            ("plan", Permissions::ReadOnly, Permissions::Ask),
            ("default", Permissions::Ask, Permissions::Ask),
            ("auto_edit", Permissions::Edit, Permissions::Edit),
            ("yolo", Permissions::Full, Permissions::Full),
        ],
        default: (Permissions::Ask, Permissions::Ask),
    }),
    usage: Usage {
        rule: Rule::Quota,
        input_has_cached: true,
        thoughts_apart: false,
        exact: false,
        total_decides: false,
    },
    session_file: Some(session_file::GEMINI),
    session_log: None,
    failures: &failures::GEMINI,
    printed: Some(Printed::Gemini),
    quirks: Quirks {
        command_in_title: Some(""),
        tool_name_in_id: true,
        history_after_load: true,
        silence_is_failure: true,
        uncounted_is_failure: true,
        denied_calls_stay_open: true,
        resume_caution: Some(
            "Gemini 0.61.0 forgets a session that is gone on with in its first minute, and deletes one that is gone on with twice",
        ),
        ..Quirks::NONE
    },
    asides: &[],
    household: &["[MODE_UPDATE] "],
    own_words: OwnWords::NONE,
    driver: None,
    capabilities: Capabilities::new(&[
        (Capability::StreamingDeltas, Support::Native),
        (Capability::SystemPrompt, Support::Belay),
        (Capability::AppendSystemPrompt, Support::Belay),
        (Capability::MaxTurns, Support::Account),
        (Capability::MaxCost, Support::Account),
        (Capability::AgentRetries, Support::No),
        (Capability::MaxOutputTokens, Support::No),
        (Capability::AllowedTools, Support::No),
        (Capability::DisallowedTools, Support::No),
        (Capability::Effort, Support::No),
        (Capability::PermitReadOnly, Support::Native),
        (Capability::PermitAsk, Support::Native),
        (Capability::PermitEdit, Support::Native),
        (Capability::McpServers, Support::Native),
        (Capability::AddDir, Support::Native),
        (Capability::Images, Support::Native),
        (Capability::OutputSchema, Support::Belay),
        (Capability::Resume, Support::Native),
        (Capability::Continue, Support::No),
        (Capability::Fork, Support::No),
        (Capability::NativeInterrupt, Support::Native),
        (Capability::Steer, Support::No),
        (Capability::PermissionRequests, Support::Native),
        (Capability::ReportedUsage, Support::Native),
        (Capability::ReportedCost, Support::No),
        (Capability::ReportedWindow, Support::No),
    ]),
};
