//! Which session of an agent is gone on in: said by the agent's own id of it, or by a run that was in it.

use crate::command::show::account::Account;
use crate::config::{candidate, in_shell};
use crate::fail::Fail;
use crate::stored;
use belay_trace::{RunState, visible_line};
use belaykit::{Candidate, Session, WhenInUse};
use clap::Args;
use std::path::PathBuf;

/// Which session of the agent the run goes on in.
#[derive(Clone, Debug, Args)]
pub(crate) struct SessionFlags {
    /// Go on in this session: a run's id (or a part of it, or `latest`), or the agent's id of the session.
    #[arg(long, value_name = "RUN|SESSION", group = "session", help_heading = "Session")]
    resume: Option<String>,

    /// Go on in the latest session of the working directory.
    #[arg(long = "continue", group = "session", help_heading = "Session")]
    continue_latest: bool,

    /// Go on in a copy of this session; the session itself stays as it is.
    #[arg(long, value_name = "RUN|SESSION", group = "session", help_heading = "Session")]
    fork: Option<String>,

    #[command(flatten)]
    in_use: InUseFlags,
}

/// What to do when another run uses the session.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct InUseFlags {
    /// Resume a session that is in use.
    #[arg(long, conflicts_with = "queue", help_heading = "Session")]
    force: bool,

    /// Wait until the session is free.
    #[arg(long, help_heading = "Session")]
    queue: bool,
}

impl InUseFlags {
    pub(crate) fn when(self) -> WhenInUse {
        match (self.force, self.queue) {
            (true, _) => WhenInUse::Force,
            (_, true) => WhenInUse::Queue,
            _ => WhenInUse::Refuse,
        }
    }
}

/// What stands where a secret was.
const REDACTED: &str = "[redacted:";

/// What was chosen.
#[derive(Debug)]
pub(crate) enum Chosen {
    /// A session of the agent, or a new one.
    Session(Session),
    /// The session of a run, or a copy of it.
    Run(String, Branch),
}

/// Whether a session is gone on in itself or in a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branch {
    Itself,
    Copy,
}

impl Branch {
    pub(crate) fn of(self, session: String) -> Session {
        match self {
            Self::Itself => Session::Resume(session),
            Self::Copy => Session::Fork(session),
        }
    }
}

impl SessionFlags {
    /// What to do when the session is in use.
    pub(crate) fn in_use(&self) -> InUseFlags {
        self.in_use
    }

    /// What was chosen. A name that no run has is the agent's own id of a session.
    pub(crate) fn chosen(self, state_dir: Option<PathBuf>) -> Result<Chosen, Fail> {
        let (named, branch) = match (self.resume, self.fork) {
            (Some(resume), _) => (resume, Branch::Itself),
            (None, Some(fork)) => (fork, Branch::Copy),
            (None, None) if self.continue_latest => return Ok(Chosen::Session(Session::Continue)),
            (None, None) if self.in_use.when() != WhenInUse::Refuse => {
                let flag = if self.in_use.force { "--force" } else { "--queue" };
                let words = format!("{flag} is for a session that is resumed");
                return Err(Fail::usage(words).hint("name it with --resume or --continue"));
            }
            (None, None) => return Ok(Chosen::Session(Session::New)),
        };
        let Ok(store) = stored::store(state_dir) else {
            return Ok(Chosen::Session(branch.of(named)));
        };
        match store.find(&named) {
            Err(error) if error.matches == 0 && named != "latest" => {
                Ok(Chosen::Session(branch.of(named)))
            }
            // What is wrong with a run that was meant is told by who looks for it.
            _ => Ok(Chosen::Run(named, branch)),
        }
    }
}

/// The session of a run. One that is still at work uses it itself; a copy of it can be made all the same.
pub(crate) fn of_run(account: &Account, branch: Branch, when: WhenInUse) -> Result<String, Fail> {
    let short = &account.short;
    let is_running = account.how == RunState::Running;
    if is_running && branch == Branch::Itself && when == WhenInUse::Refuse {
        return Err(Fail::in_use(format!("run {short} is still at work")).hint(format_args!(
            "follow it: belay logs {short} -f; speak to it: belay steer {short} \"…\"; stop it: belay stop {short}; \
             wait for it: --queue; resume a copy: --fork"
        )));
    }
    if let Some(words) = &account.lost
        && branch == Branch::Itself
        && when != WhenInUse::Force
    {
        return Err(Fail::in_use(format!("run {short} is {words}")).hint(format_args!(
            "look there: belay show {short}; resume a copy: --fork; if it is lost for sure: --force"
        )));
    }
    match &account.session_id {
        None if is_running => Err(Fail::in_use(format!("run {short} has no session yet"))
            .hint(format_args!("follow it: belay logs {short} -f; try again when it has begun"))),
        Some(session) if account.can_go_on() => Ok(session.clone()),
        _ => {
            let why = match account.is_forgotten() {
                true => "its agent keeps none",
                false => "it ended before its agent had said anything",
            };
            let agent = in_shell(&account.written);
            Err(Fail::usage(format!("run {short} has no session to go on in: {why}")).hint(
                format_args!(
                    "begin anew: belay run -a {} \"…\"; `belay show {short}` has the prompt",
                    visible_line(&agent)
                ),
            ))
        }
    }
}

/// The agent that the session of a run belongs to; the one that was named can differ from it in its model alone.
pub(crate) fn agent_of(account: &Account, named: Option<Candidate>) -> Result<Candidate, Fail> {
    let (theirs, short) = (visible_line(&account.agent), &account.short);
    match named {
        Some(named) if named.agent.name() == account.agent => Ok(named),
        Some(named) => {
            let agent = named.agent.name();
            Err(Fail::usage(format!(
                "the session of run {short} is {theirs}'s; {agent} cannot go on in it"
            ))
            .hint(format_args!("leave -a out, or begin anew: belay run -a {agent} \"…\"")))
        }
        None if account.written.contains(REDACTED) => Err(Fail::usage(format!(
            "the command of run {short} held a secret, which is not stored"
        ))
        .hint(format_args!("name it once more: -a '{theirs}:COMMAND'"))),
        None => candidate(&account.written)
            .map_err(|error| Fail::local(format!("run {short} cannot be resumed: {error}"))),
    }
}
