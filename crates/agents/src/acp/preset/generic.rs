//! Any program that nobody has looked at.

use super::own_mode::OwnMode;
use super::{Login, Modes, OwnWords, Preset, Quirks, Rule, Usage};
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

pub(in crate::acp) static GENERIC: Preset =
    Preset { modes: Modes::BY_NAME, own_words: OwnWords::UNMEASURED, ..PLAIN };

/// What holds for an agent of which nothing else is known.
///
/// Most of what an agent can do is told when it runs; what is promised here is tried, and refused then.
pub(super) const PLAIN: Preset = Preset {
    name: "acp",
    program: "",
    args: &[],
    model_flag: None,
    prompt_flag: None,
    folder_flag: None,
    policy: None,
    read_only_args: &[],
    trust_flag: None,
    env: KEYS,
    inner_env: &[],
    set: &[],
    quiet: &[],
    litter: &[],
    login: Login { home_env: "", home: "", files: &[], variables: KEYS, clouds: &[] },
    care: Care::NONE,
    modes: Modes::NONE,
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
    failures: &failures::ACP,
    printed: None,
    quirks: Quirks::NONE,
    model_limits: &[],
    asides: &[],
    household: &[],
    own_words: OwnWords::NONE,
    driver: None,
    capabilities: GENERIC_CAPABILITIES,
};

/// Who knows nothing of an agent cannot say how large its window is. What it permits itself is asked of it when its
/// session opens, and refused where it has no mode of a name that is known.
pub(super) const GENERIC_CAPABILITIES: Capabilities =
    CONFINING.without(&[Capability::ReportedWindow]);

/// The same with modes for what a request permits, and with a window that is told.
pub(super) const CONFINING: Capabilities = Capabilities::new(&[
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
    (Capability::PermitReadOnly, Support::Native),
    (Capability::PermitAsk, Support::Native),
    (Capability::PermitEdit, Support::Native),
    (Capability::AgentMode, Support::Native),
    (Capability::McpServers, Support::Native),
    (Capability::AddDir, Support::No),
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
]);
