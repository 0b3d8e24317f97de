//! Switches for what agents do beside their work: updating themselves, asking for feedback, sending telemetry. In a
//! scripted run nobody answers, and nobody has asked for it. Each is set only where the environment does not hold it.
//!
//! Sources and what has no switch: `docs/agents/quiet.md`.

/// Variables with the values that switch something off.
pub(crate) type Switches = &'static [(&'static str, &'static str)];

pub(crate) const CLAUDE: Switches = &[
    ("DISABLE_TELEMETRY", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    ("CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY", "1"),
];

pub(crate) const PI: Switches = &[("PI_SKIP_VERSION_CHECK", "1"), ("PI_TELEMETRY", "0")];

pub(crate) const DOCKER_AGENT: Switches = &[("TELEMETRY_ENABLED", "false")];

/// What ACP presets of these agents need beyond: belay's own drivers set it in every run.
#[cfg(feature = "acp")]
pub(crate) mod acp {
    use super::Switches;

    pub(crate) const CLAUDE: Switches = &[
        ("DISABLE_AUTOUPDATER", "1"),
        ("DISABLE_TELEMETRY", "1"),
        ("DISABLE_ERROR_REPORTING", "1"),
        ("CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY", "1"),
    ];

    pub(crate) const OPENCODE: Switches = &[("OPENCODE_DISABLE_AUTOUPDATE", "1")];

    pub(crate) const COPILOT: Switches = &[("COPILOT_AUTO_UPDATE", "false")];

    pub(crate) const QWEN: Switches = &[("QWEN_USAGE_STATISTICS_ENABLED", "false")];
}
