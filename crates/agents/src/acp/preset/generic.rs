//! Any program that nobody has looked at.

use super::{Login, Modes, Preset, Quirks, Rule, Usage};
use crate::acp::failures;
use crate::{Capabilities, Capability, Care, Support};

/// Providers whose keys agents of every sort read; for a program that nobody knows.
const KEYS: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "OPENROUTER_API_KEY",
];

/// Most of what an agent can do is told when it runs; what is promised here is tried, and refused then.
pub(in crate::acp) static GENERIC: Preset = Preset {
    name: "acp",
    program: "",
    args: &[],
    model_flag: None,
    prompt_flag: None,
    trust_flag: None,
    env: KEYS,
    set: &[],
    login: Login { home: "", files: &[], variables: KEYS },
    care: Care::NONE,
    modes: Modes { read_only: None, edit: None, full: None },
    usage: Usage { rule: Rule::PerPrompt, input_has_cached: false, exact: false },
    session_file: None,
    failures: &failures::ACP,
    quirks: Quirks {
        tool_name_in_id: false,
        history_after_load: false,
        silence_is_failure: false,
        uncounted_is_failure: false,
        denied_calls_stay_open: false,
        lingers: false,
        resume_caution: None,
    },
    model_limits: &[],
    asides: &[],
    household: &[],
    capabilities: GENERIC_CAPABILITIES,
};

pub(super) const GENERIC_CAPABILITIES: Capabilities = Capabilities::new(&[
    (Capability::StreamingDeltas, Support::Native),
    (Capability::SystemPrompt, Support::Belay),
    (Capability::AppendSystemPrompt, Support::Belay),
    (Capability::MaxTurns, Support::No),
    (Capability::MaxCost, Support::No),
    (Capability::AgentRetries, Support::No),
    (Capability::MaxOutputTokens, Support::No),
    (Capability::AllowedTools, Support::No),
    (Capability::DisallowedTools, Support::No),
    (Capability::Effort, Support::No),
    (Capability::PermitReadOnly, Support::No),
    (Capability::PermitEdit, Support::No),
    (Capability::McpServers, Support::Native),
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
    (Capability::ReportedWindow, Support::No),
]);
