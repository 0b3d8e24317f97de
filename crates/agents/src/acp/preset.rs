//! Where agents that speak ACP differ, as data.

use super::failures;
use super::session_file::{self, SessionFile};
use crate::failures::Table;
use crate::{Capabilities, Capability, Care, EnvPolicy, Permissions, RunRequest, Support};

/// All that belay knows of one agent beyond the protocol.
#[derive(Debug)]
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    pub(super) args: &'static [&'static str],
    /// The option that takes the model; without one it is set in the session.
    pub(super) model_flag: Option<&'static str>,
    /// The option that takes the first prompt of a person's session.
    pub(super) prompt_flag: Option<&'static str>,
    /// What makes the agent keep a mode that is not its strictest in a folder that nobody has vouched for.
    pub(super) trust_flag: Option<&'static str>,
    /// What the agent itself reads from the environment.
    pub(super) env: &'static [&'static str],
    /// What is set for it.
    pub(super) set: &'static [(&'static str, &'static str)],
    pub(super) login: Login,
    /// How it is installed and logged in to, and which versions were tried.
    pub(super) care: Care,
    /// Words of a failure by which a limit is that of one model alone.
    pub(super) model_limits: &'static [&'static str],
    pub(super) modes: Modes,
    pub(super) usage: Usage,
    /// Where the agent itself writes down all that was used: better than what its stream tells.
    pub(super) session_file: Option<SessionFile>,
    pub(super) failures: &'static Table,
    pub(super) quirks: Quirks,
    /// How notifications begin that are known, and say nothing of the turn.
    pub(super) asides: &'static [&'static str],
    /// How texts begin that are the agent's household and none of the model's words.
    pub(super) household: &'static [&'static str],
    pub(super) capabilities: Capabilities,
}

/// Where a login is, below the user's home, and the variables that take its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Login {
    pub(super) home: &'static str,
    pub(super) files: &'static [&'static str],
    pub(super) variables: &'static [&'static str],
}

/// The agent's own modes for what a request permits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Modes {
    pub(super) read_only: Option<&'static str>,
    pub(super) edit: Option<&'static str>,
    pub(super) full: Option<&'static str>,
}

impl Modes {
    pub(super) fn of(self, permissions: Option<Permissions>) -> Option<&'static str> {
        match permissions? {
            Permissions::ReadOnly => self.read_only,
            Permissions::Edit => self.edit,
            Permissions::Full => self.full,
        }
    }
}

/// How the agent tells what a prompt has used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) rule: Rule,
    /// Its input tokens contain those that came from the cache.
    pub(super) input_has_cached: bool,
    /// Everything that is paid for is in it, and each token once.
    pub(super) exact: bool,
}

/// Where the figures stand, and what they are a sum of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// With the prompt's answer: what the prompt has used.
    PerPrompt,
    /// With the prompt's answer: what its last response has used. Nobody knows the others.
    #[allow(dead_code, reason = "a rule of an agent that has a driver of its own (opencode acp)")]
    LastStep,
    /// With the prompt's answer: what the session has used so far.
    #[allow(dead_code, reason = "a rule of an agent that has a driver of its own (copilot --acp)")]
    SessionDifference,
    /// With each response: what it has used.
    EachResponse,
    /// `_meta.quota` with the prompt's answer: what the prompt has used, without a word of cache and thoughts.
    Quota,
}

/// What an agent does otherwise than others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quirks {
    /// A call's id begins with the tool's name and two underscores, which is found nowhere else.
    pub(super) tool_name_in_id: bool,
    /// The history of a loaded session may still be coming when the session is open.
    pub(super) history_after_load: bool,
    /// A response that broke off is told as the end of the turn, with nothing said.
    pub(super) silence_is_failure: bool,
    /// So is one with something said; nothing was counted then.
    pub(super) uncounted_is_failure: bool,
    /// A call that was not permitted has no end.
    pub(super) denied_calls_stay_open: bool,
    /// Once it has run a command it does not end with its standard input for ten seconds.
    pub(super) lingers: bool,
    /// What is to be said to whoever goes on in a session.
    pub(super) resume_caution: Option<&'static str>,
}

impl Preset {
    pub(super) fn environment(&self) -> EnvPolicy {
        let mut env = EnvPolicy::with(self.env);
        env.set = self.set.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        env
    }

    /// The flag, for a request that needs the agent's trust: for more than its strictest mode, and for servers of
    /// tools.
    pub(super) fn trust_for(&self, request: &RunRequest) -> Option<&'static str> {
        let trusts = match request.permissions {
            Some(Permissions::Edit | Permissions::Full) => true,
            None => !request.mcp_servers.is_empty(),
            Some(Permissions::ReadOnly) => false,
        };
        self.trust_flag.filter(|_| trusts)
    }
}

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
pub(super) static GENERIC: Preset = Preset {
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

const GENERIC_CAPABILITIES: Capabilities = Capabilities::new(&[
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

/// Measured on 0.61.0 (`docs/agents/gemini.md`).
pub(super) static GEMINI: Preset = Preset {
    name: "gemini",
    program: "gemini",
    args: &["--acp"],
    model_flag: Some("--model"),
    prompt_flag: Some("--prompt-interactive"),
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
    set: &[("GEMINI_CLI_NO_RELAUNCH", "true"), ("GEMINI_PTY_INFO", "child_process")],
    login: Login {
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
    },
    model_limits: &["on this model"],
    care: Care {
        install: "npm install -g @google/gemini-cli@latest",
        log_in: "start gemini and choose a login, or set GEMINI_API_KEY",
        tried: Some(("0.57.0", "0.61.0")),
    },
    modes: Modes { read_only: Some("plan"), edit: Some("autoEdit"), full: Some("yolo") },
    usage: Usage { rule: Rule::Quota, input_has_cached: true, exact: false },
    session_file: Some(session_file::GEMINI),
    failures: &failures::GEMINI,
    quirks: Quirks {
        tool_name_in_id: true,
        history_after_load: true,
        silence_is_failure: true,
        uncounted_is_failure: true,
        denied_calls_stay_open: true,
        lingers: false,
        resume_caution: Some(
            "Gemini 0.61.0 forgets a session that is gone on with in its first minute, and deletes one that is gone on with twice",
        ),
    },
    asides: &[],
    household: &["[MODE_UPDATE] "],
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
        (Capability::PermitEdit, Support::Native),
        (Capability::McpServers, Support::Native),
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

/// Measured on 0.24.4 (`docs/agents/qwen.md`).
pub(super) static QWEN: Preset = Preset {
    name: "qwen",
    program: "qwen",
    args: &["--acp"],
    model_flag: Some("--model"),
    prompt_flag: Some("--prompt-interactive"),
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
    set: &[("QWEN_CODE_NO_RELAUNCH", "true")],
    login: Login {
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
    },
    model_limits: &[],
    // Its `auto-edit` writes everywhere (measured).
    care: Care {
        install: "npm install -g @qwen-code/qwen-code@latest",
        log_in: "start qwen and choose a login, or set OPENAI_API_KEY and OPENAI_BASE_URL",
        tried: Some(("0.23.4", "0.24.4")),
    },
    modes: Modes { read_only: Some("plan"), edit: None, full: Some("yolo") },
    // What its classifier of risky commands and its memory have used stands in the file alone.
    usage: Usage { rule: Rule::EachResponse, input_has_cached: true, exact: false },
    session_file: Some(session_file::QWEN),
    failures: &failures::QWEN,
    quirks: Quirks {
        tool_name_in_id: false,
        history_after_load: false,
        silence_is_failure: false,
        uncounted_is_failure: false,
        denied_calls_stay_open: false,
        lingers: true,
        resume_caution: None,
    },
    asides: &["qwen/notify/"],
    household: &[],
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
        (Capability::ReportedWindow, Support::Native),
    ]),
};

/// Nobody has tried it: the command is the one of its documentation.
pub(super) static GOOSE: Preset = Preset {
    name: "goose",
    program: "goose",
    args: &["acp"],
    model_flag: None,
    prompt_flag: None,
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
    set: &[],
    login: Login {
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
    },
    model_limits: &[],
    care: Care {
        install: "see https://block.github.io/goose",
        log_in: "goose configure",
        tried: None,
    },
    modes: Modes { read_only: None, edit: None, full: None },
    usage: Usage { rule: Rule::PerPrompt, input_has_cached: false, exact: false },
    session_file: None,
    failures: &failures::GOOSE,
    quirks: Quirks {
        tool_name_in_id: false,
        history_after_load: false,
        silence_is_failure: false,
        uncounted_is_failure: false,
        denied_calls_stay_open: false,
        lingers: false,
        resume_caution: None,
    },
    asides: &[],
    household: &[],
    capabilities: GENERIC_CAPABILITIES,
};
