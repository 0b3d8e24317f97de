//! `belay run`

mod call;
mod given;
pub(crate) mod job;
pub(crate) mod options;
pub(crate) mod prompt;
mod show;
mod signals;
mod steer;

pub(crate) use self::call::Call;
use self::job::Job;
use self::options::Options;
use crate::fail::Fail;
use belaykit::{Candidate, RunRequest};
use clap::Args;

/// Run an agent.
///
/// What the agent does is shown on standard error while it works; the answer goes to standard output. Ctrl-C
/// asks the agent to stop in its own words and keeps what was reached; again insists; a third time kills.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay run \"Why does the build fail?\"
  belay run -a codex:gpt-5.5 -C ~/project --permit edit -f task.md
  git diff | belay run -a claude:sonnet --append-system-prompt \"Review this diff.\" -
  belay run --format jsonl \"List the TODOs\" | jq 'select(.type==\"tool_call\")'")]
pub(crate) struct Run {
    /// The agent, and after a colon its model: claude, codex:gpt-5.5.
    #[arg(
        short,
        long,
        value_name = "AGENT[:MODEL]",
        default_value = "claude",
        env = "BELAY_AGENT"
    )]
    agent: Candidate,

    #[command(flatten)]
    prompt: prompt::Prompt,

    #[command(flatten)]
    session: SessionFlags,

    #[command(flatten)]
    options: Options,
}

/// Which session of the agent the run goes on in.
#[derive(Debug, Args)]
struct SessionFlags {
    /// Go on in this session of the agent.
    #[arg(long, value_name = "SESSION", group = "session", help_heading = "Session")]
    resume: Option<String>,

    /// Go on in the latest session of the working directory.
    #[arg(long = "continue", group = "session", help_heading = "Session")]
    continue_latest: bool,

    /// Go on in a copy of this session.
    #[arg(long, value_name = "SESSION", group = "session", help_heading = "Session")]
    fork: Option<String>,
}

impl Run {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let (prompt, extra_args) = self.prompt.read(&self.options.extra_args)?;
        let mut request = RunRequest::new(prompt).extra_args(extra_args);
        self.options.apply(&mut request);
        request.cwd = Some(self.options.folder(None)?);
        let SessionFlags { resume, continue_latest, fork } = self.session;
        request = match (resume, continue_latest, fork) {
            (Some(session), ..) => request.resume(session),
            (None, true, _) => request.continue_latest(),
            (None, false, Some(session)) => request.fork(session),
            (None, false, None) => request,
        };
        Job { agent: self.agent.agent, request, options: self.options }.carry_out()
    }
}

/// The runtime of one run: one thread is enough for pipes.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Fail> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Fail::local(format!("cannot start: {error}")))
}
