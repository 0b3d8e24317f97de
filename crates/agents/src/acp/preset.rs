//! Where agents that speak ACP differ, as data: one file each.

mod gemini;
mod generic;
mod goose;
mod qwen;

pub(super) use gemini::GEMINI;
pub(super) use generic::GENERIC;
pub(super) use goose::GOOSE;
pub(super) use qwen::QWEN;

use super::session_file::SessionFile;
use crate::failures::Table;
use crate::{Capabilities, Care, EnvPolicy, Permissions, RunRequest};

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
