//! Where agents that speak ACP differ, as data: one file each.

mod claude_agent_acp;
mod codex_acp;
mod copilot;
mod gemini;
mod generic;
mod goose;
mod hermes;
mod kilo;
mod opencode;
mod own_mode;
mod pi_acp;
mod qwen;
mod seen;
mod untried;
mod vibe;

pub(super) use gemini::GEMINI;
pub(super) use generic::GENERIC;
pub(super) use goose::GOOSE;
pub(super) use qwen::QWEN;

use super::own::SessionLog;
use super::printed::Printed;
use super::session_file::SessionFile;
use crate::failures::Table;
use crate::quiet;
use crate::{Capabilities, Care, Cloud, EnvPolicy, Permissions, RunRequest};

/// What would allow more than a request does: codex-acp.
pub(crate) const LOOSENS: &[&str] = &["INITIAL_AGENT_MODE"];

/// What Gemini CLI and Qwen Code set for their shells, and for themselves when they start themselves once more (from
/// their sources and their shells, 0.61.0 and 0.24.4).
pub(crate) const SESSION_MARKS: &[&str] = &[
    "GEMINI_CLI",
    "GEMINI_CLI_NO_RELAUNCH",
    "GEMINI_PTY_INFO",
    "QWEN_CODE",
    "QWEN_CODE_NO_RELAUNCH",
    "QWEN_CODE_SESSION_ID",
    "QWEN_CODE_PROMPT_ID",
    "QWEN_CODE_AGENT_ID",
    "QWEN_CODE_PROJECT_DIR",
    "QWEN_CODE_LAUNCHER_*",
    "QWEN_CODE_MESSAGING_*",
    "QWEN_CODE_PRIVATE_*",
    "QWEN_CODE_RELAUNCH_*",
];

/// All that belay knows of one agent beyond the protocol.
#[derive(Clone, Debug)]
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    pub(super) args: &'static [&'static str],
    /// The option that takes the model; without one it is set in the session.
    pub(super) model_flag: Option<&'static str>,
    /// The option that takes the first prompt of a person's session.
    pub(super) prompt_flag: Option<&'static str>,
    /// The option that adds a folder, of an agent that takes a comma for the end of one.
    pub(super) folder_flag: Option<&'static str>,
    /// How the agent is kept from what the user's own configuration allows beyond the mode.
    pub(super) policy: Option<Policy>,
    /// What takes the tools from the model that the user's own rules would let it use to write, for a run that only
    /// looks.
    pub(super) read_only_args: &'static [&'static str],
    /// What makes the agent keep a mode that is not its strictest in a folder that nobody has vouched for.
    pub(super) trust_flag: Option<&'static str>,
    /// What the agent itself reads from the environment.
    pub(super) env: &'static [&'static str],
    /// What the agent that it starts reads from there, or the agent that it is in another way.
    pub(super) inner_env: &'static [&'static str],
    /// What is set for it.
    pub(super) set: &'static [(&'static str, &'static str)],
    /// What is set for it where the environment does not hold it.
    pub(super) quiet: quiet::Switches,
    /// What it leaves among temporary files (see [`Launch::litter`](crate::Launch::litter)).
    pub(super) litter: &'static [&'static str],
    pub(super) login: Login,
    /// How it is installed and logged in to, and which versions were tried.
    pub(super) care: Care,
    /// Words of a failure by which a limit is that of one model alone.
    pub(super) model_limits: &'static [&'static str],
    pub(super) modes: Modes,
    /// What it may do in a run that does not say.
    pub(super) own_mode: own_mode::OwnMode,
    pub(super) usage: Usage,
    /// Where the agent itself writes down all that was used: better than what its stream tells.
    pub(super) session_file: Option<SessionFile>,
    /// The same, as a user has described it.
    pub(super) session_log: Option<&'static SessionLog>,
    pub(super) failures: &'static Table,
    /// What it prints in its one-shot mode, if belay reads it.
    pub(super) printed: Option<Printed>,
    pub(super) quirks: Quirks,
    /// How notifications begin that are known, and say nothing of the turn.
    pub(super) asides: &'static [&'static str],
    /// How texts begin that are the agent's household and none of the model's words.
    pub(super) household: &'static [&'static str],
    pub(super) own_words: OwnWords,
    /// The name of belay's own driver for the same agent, which knows more of it.
    pub(super) driver: Option<&'static str>,
    pub(super) capabilities: Capabilities,
}

/// Where a login is, below the user's home, and the variables that take its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Login {
    /// The variable that names the folder instead.
    pub(super) home_env: &'static str,
    pub(super) home: &'static str,
    pub(super) files: &'static [&'static str],
    pub(super) variables: &'static [&'static str],
    /// Clouds that a switch among the variables sends requests to.
    pub(super) clouds: &'static [Cloud],
}

/// A file of rules that stand above the user's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// The option that takes the file.
    pub(super) flag: &'static str,
    pub(super) file: &'static str,
    pub(super) text: fn(Permissions) -> Option<String>,
}

/// The agent's own modes for what a request permits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Modes {
    pub(super) read_only: Option<&'static str>,
    pub(super) ask: Option<&'static str>,
    pub(super) edit: Option<&'static str>,
    pub(super) full: Option<&'static str>,
    /// Where none is measured, the one is taken whose name says it.
    pub(super) by_name: bool,
}

impl Modes {
    pub(super) const NONE: Self =
        Self { read_only: None, ask: None, edit: None, full: None, by_name: false };

    pub(super) const BY_NAME: Self = Self { by_name: true, ..Self::NONE };

    pub(super) fn of(self, permissions: Option<Permissions>) -> Option<&'static str> {
        match permissions? {
            Permissions::ReadOnly => self.read_only,
            Permissions::Ask => self.ask,
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
    /// Its output tokens leave out the thoughts, which it tells apart.
    pub(super) thoughts_apart: bool,
    /// Everything that is paid for is in it, and each token once.
    pub(super) exact: bool,
    /// Nobody has measured what its figures contain: their total decides, where it can.
    pub(super) total_decides: bool,
}

/// Where the figures stand, and what they are a sum of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// With the prompt's answer: what the prompt has used.
    PerPrompt,
    /// With the prompt's answer, of an agent that nobody has measured: what the prompt has used, or the session. In a
    /// new session both are the same.
    Unmeasured,
    /// With the prompt's answer: what its last response has used. Nobody knows the others.
    LastStep,
    /// With the prompt's answer: what the session has used so far.
    SessionDifference,
    /// With each response: what it has used.
    EachResponse,
    /// `_meta.quota` with the prompt's answer: what the prompt has used, without a word of cache and thoughts.
    Quota,
    /// Nowhere.
    Untold,
}

/// How an agent says something of its own where the model's words are: in whole chunks that its source makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnWords {
    /// How chunks begin and end that say that a response is asked for once more: what came of it before is void.
    pub(super) retries: &'static [(&'static str, &'static str)],
    /// Whole chunks that say nothing of the answer.
    pub(super) asides: &'static [&'static str],
    /// How a last chunk begins that is the failure of the turn, if the turn has used nothing: an answer would have.
    pub(super) uncounted_failures: &'static [&'static str],
    /// How the words of a refusal begin that is a failure of the agent's, and none of the model's.
    pub(super) refused_failures: &'static [&'static str],
    /// The model's messages have ids, and chunks without one after them are the agent's own.
    pub(super) have_no_id: bool,
    /// Nobody has measured whether the agent tells a failure as if the model had said it.
    pub(super) may_be_failures: bool,
}

impl OwnWords {
    pub(super) const NONE: Self = Self {
        retries: &[],
        asides: &[],
        uncounted_failures: &[],
        refused_failures: &[],
        have_no_id: false,
        may_be_failures: false,
    };

    /// Those of an agent that nobody has looked at.
    pub(super) const UNMEASURED: Self = Self { may_be_failures: true, ..Self::NONE };

    pub(super) fn is_retry(self, chunk: &str) -> bool {
        let fits = |(begin, end): &(&str, &str)| {
            chunk.strip_prefix(begin).is_some_and(|rest| rest.ends_with(end))
        };
        self.retries.iter().any(fits)
    }

    /// True for a chunk with which the turn has failed, if it stands alone behind all else and nothing was used.
    pub(super) fn is_like_failure(self, chunk: &str) -> bool {
        self.uncounted_failures.iter().any(|begin| chunk.starts_with(begin))
    }
}

/// What an agent does otherwise than others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quirks {
    /// A call's id begins with the tool's name and two underscores, which is found nowhere else.
    pub(super) tool_name_in_id: bool,
    /// The history of a loaded session may still be coming when the session is open.
    pub(super) history_after_load: bool,
    /// A response that broke off is told as the end of the turn, with nothing said.
    pub(super) silence_is_failure: bool,
    /// So is one with something said; nothing was counted then.
    pub(super) uncounted_is_failure: bool,
    /// The title of a command is the command, behind this; no agent but a measured one is believed so.
    pub(super) command_in_title: Option<&'static str>,
    /// A raw output that is empty is one; what is shown beside it is for people.
    pub(super) raw_output_is_all: bool,
    /// A call that was not permitted has no end.
    pub(super) denied_calls_stay_open: bool,
    /// Once it has run a command it does not end with its standard input for ten seconds.
    pub(super) lingers: bool,
    /// The exit code that it tells of a command is 0 or 1, whatever it was.
    pub(super) guesses_exit_codes: bool,
    /// Each request that it makes again is told (`_session/retrying`).
    pub(super) tells_retries: bool,
    /// Its modes are how long it thinks, and permit nothing.
    pub(super) modes_are_of_thinking: bool,
    /// What is to be said to whoever goes on in a session.
    pub(super) resume_caution: Option<&'static str>,
}

impl Quirks {
    /// As the protocol has it.
    pub(super) const NONE: Self = Self {
        tool_name_in_id: false,
        history_after_load: false,
        silence_is_failure: false,
        uncounted_is_failure: false,
        command_in_title: None,
        raw_output_is_all: false,
        denied_calls_stay_open: false,
        lingers: false,
        guesses_exit_codes: false,
        tells_retries: false,
        modes_are_of_thinking: false,
        resume_caution: None,
    };
}

/// The one that is made for the program of a command: by the name of its file, and by the argument that makes it
/// speak ACP where it is also something else. What is not known is like any.
pub(super) fn of_command(words: &[String]) -> &'static Preset {
    let Some((program, args)) = words.split_first() else { return &GENERIC };
    // A package that npm fetches and runs is named as its program is.
    let (program, args) = match name_of(program) {
        "npx" | "bunx" => match args.iter().position(|arg| !arg.starts_with('-')) {
            Some(at) => (args[at].as_str(), &args[at + 1..]),
            None => return &GENERIC,
        },
        _ => (program.as_str(), args),
    };
    let speaks = |word: &str| args.iter().any(|arg| arg == word);
    match name_of(program) {
        "claude-agent-acp" => &claude_agent_acp::CLAUDE_AGENT_ACP,
        "codex-acp" => &codex_acp::CODEX_ACP,
        "pi-acp" => &pi_acp::PI_ACP,
        "opencode" if speaks("acp") => &opencode::OPENCODE,
        "copilot" if speaks("--acp") => &copilot::COPILOT,
        "gemini" if speaks("--acp") => &GEMINI,
        "qwen" if speaks("--acp") => &QWEN,
        "goose" if speaks("acp") => &GOOSE,
        "vibe-acp" => &vibe::VIBE,
        "hermes-acp" => &hermes::HERMES,
        "hermes" if speaks("acp") => &hermes::HERMES,
        "kilo" | "kilocode" if speaks("acp") => &kilo::KILO,
        "cline" if speaks("--acp") => &seen::CLINE,
        "openhands" if speaks("acp") => &seen::OPENHANDS,
        "fast-agent-acp" => &seen::FAST_AGENT,
        "nanocoder" if speaks("--acp") => &seen::NANOCODER,
        "droid" if speaks("acp") => &seen::DROID,
        "auggie" if speaks("--acp") => &untried::AUGGIE,
        "cursor-agent" if speaks("acp") => &untried::CURSOR,
        "kimi" if speaks("acp") || speaks("--acp") => &untried::KIMI,
        "kiro-cli" if speaks("acp") => &untried::KIRO,
        "junie" if speaks("--acp") || speaks("--acp=true") => &untried::JUNIE,
        "grok" if speaks("--acp") || speaks("acp") => &untried::GROK,
        _ => &GENERIC,
    }
}

/// The name of a program or of a package: without its folder or its scope, and without its version.
fn name_of(program: &str) -> &str {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    name.strip_suffix(".exe").unwrap_or(name)
}

impl Preset {
    pub(super) fn environment(&self) -> EnvPolicy {
        let mut env = EnvPolicy::with(self.env);
        env.allow.extend(self.inner_env);
        env.clouds = self.login.clouds;
        env.quiet = self.quiet;
        env.set = self.set.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        env
    }

    /// The flag, for a request that needs the agent's trust: for more than its strictest mode, and for servers of
    /// tools.
    pub(super) fn trust_for(&self, request: &RunRequest) -> Option<&'static str> {
        let trusts = match request.permissions {
            Some(Permissions::Edit | Permissions::Full) => true,
            None => !request.mcp_servers.is_empty(),
            Some(Permissions::ReadOnly | Permissions::Ask) => false,
        };
        self.trust_flag.filter(|_| trusts)
    }
}
