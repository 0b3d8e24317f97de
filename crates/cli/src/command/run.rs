//! `belay run`

pub(crate) mod ask;
mod call;
mod given;
mod given_file;
pub(crate) mod job;
pub(crate) mod options;
pub(crate) mod otel;
mod piped_input;
pub(crate) mod policy;
pub(crate) mod prompt;
pub(crate) mod session;
mod show;
mod signals;
mod steer;

pub(crate) use self::call::Call;
use self::job::Job;
use self::options::Options;
use self::prompt::Prompt;
use self::session::{Branch, Chosen, SessionFlags};
use super::resume::Resume;
use crate::config::typed;
use crate::config::{Config, Wanted};
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
  belay run -a claude:opus -a codex --permit edit \"Fix the failing test.\"
  git diff | belay run -a claude:sonnet \"Review this diff.\"
  belay run --format jsonl \"List the TODOs\" | jq 'select(.type==\"tool_call\")'")]
pub(crate) struct Run {
    /// The agent, and after a colon its model: claude, codex:gpt-5.5. Given more than once, each one takes over
    /// from the one before when that fails [default: $BELAY_AGENT, or the configuration's
    /// `chain`, or claude].
    #[arg(short, long, value_name = "AGENT[:MODEL]", value_parser = typed)]
    agent: Vec<Candidate>,

    #[command(flatten)]
    prompt: Prompt,

    #[command(flatten)]
    session: SessionFlags,

    #[command(flatten)]
    options: Options,
}

impl Run {
    pub(crate) fn run(mut self) -> Result<u8, Fail> {
        // First of all: with a mistake in a file nothing begins.
        let wanted = Wanted { flag: self.options.profile.as_deref(), noted: None };
        let config = Config::load(wanted, self.options.ask.cwd.as_deref())?;
        let (asked, extra_args) = self.prompt.read(&self.options.ask.extra_args)?;
        let state_dir = self.options.state_dir.clone();
        let in_use = self.session.in_use();
        let session = match self.session.chosen(state_dir)? {
            Chosen::Session(session) => session,
            Chosen::Run(run, branch) => {
                let mut options = self.options;
                options.ask.extra_args = extra_args;
                let (prompt, fork) = (Prompt::known(asked), branch == Branch::Copy);
                let mut agents = self.agent.into_iter();
                let agent = agents.next();
                if agents.next().is_some() {
                    return Err(Fail::usage("a session belongs to one agent; -a names several")
                        .hint("name one, or leave -a out"));
                }
                return Resume { run, prompt, fork, in_use, agent, options }.run();
            }
        };
        config.fill(&mut self.options);
        let mut request = RunRequest::new(asked.prompt).extra_args(extra_args);
        self.options.apply(&mut request);
        request.cwd = Some(self.options.ask.folder(None)?);
        request.session = session;
        request.when_in_use = in_use.when();
        let whence = if self.agent.is_empty() { "the configuration" } else { "-a" };
        self.options.ask.yardstick = config.yardstick().filter(|_| self.agent.is_empty());
        let candidates = config.chain(self.agent)?;
        if candidates.len() > 1 && request.model.is_some() {
            return Err(Fail::usage(format!("--model is for one agent; {whence} names several"))
                .hint("write each model after its agent: -a claude:opus -a codex:gpt-5.5"));
        }
        if let [alone] = &candidates[..] {
            // So that the run is shown with it, and gone on with.
            request.model = request.model.or_else(|| alone.agent.model().map(str::to_owned));
        }
        let agents = candidates.into_iter().map(|candidate| candidate.agent).collect();
        Job { agents, request, piped: asked.piped, options: self.options }.carry_out()
    }
}
