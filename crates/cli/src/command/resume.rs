//! `belay resume`

use super::run::Call;
use super::run::job::Job;
use super::run::options::Options;
use super::run::prompt::Prompt;
use super::run::session::{self, Branch, InUseFlags};
use super::show::account::Account;
use crate::config::candidate;
use crate::config::{Config, Wanted};
use crate::fail::Fail;
use crate::stored;
use crate::surroundings::environment;
use belay_trace::RunState;
use belaykit::{Candidate, handoff};
use clap::Args;

/// Go on with a run that was stopped, has failed, crashed or answered: in the same session of its agent.
///
/// Agent, model, folder, permissions, limits and who is told of it (`--notify`, `--otel`, `--freeplay`) are those of
/// the run; every flag that is given takes their place. How failures are met, and where the agent's program is, the configuration says. Without a PROMPT the agent is told that its turn was cut off, and to look at the work and go on; a run
/// that has answered needs one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay resume 4f3c2b1a
  belay resume latest \"Now write the tests.\"
  belay resume 4f3c2b1a --permit edit --max-turns 20")]
pub(crate) struct Resume {
    /// The run's id, a part of it that no other run has, or `latest`.
    pub(crate) run: String,

    #[command(flatten)]
    pub(crate) prompt: Prompt,

    /// Go on in a copy of the session; the session itself stays as it is.
    #[arg(long)]
    pub(crate) fork: bool,

    #[command(flatten)]
    pub(crate) in_use: InUseFlags,

    /// The agent, and after a colon its model; the session is the agent's own, so only the model can differ.
    #[arg(short, long, value_name = "AGENT[:MODEL]", value_parser = candidate)]
    pub(crate) agent: Option<Candidate>,

    #[command(flatten)]
    pub(crate) options: Options,
}

/// What an agent is told whose turn was cut off.
const GO_ON: &str = "Your last turn was stopped before it was done. Look at the state of the work first, \
    since what you did last may be half done or may not have taken effect, and then go on until the task is \
    done.";

impl Resume {
    pub(crate) fn run(mut self) -> Result<u8, Fail> {
        let store = stored::store(self.options.state_dir.clone())?;
        let run = stored::find(&store, &self.run)?;
        let account = Account::of(&store, &run)?;
        let when = self.in_use.when();
        // A run whose agent has said nothing is begun anew, as it was asked for.
        let session = match account.is_unspoken() && !self.fork {
            true => None,
            false => Some(session::of_run(&account, self.branch(), when)?),
        };
        let mut request = stored::request(&run)?;
        if request.permissions.is_none() {
            request.permissions = account.bound_to(&run);
        }
        let call = Call::read(run.folder());
        let folder = self.options.ask.cwd.as_deref().or(request.cwd.as_deref());
        let wanted =
            Wanted { flag: self.options.profile.as_deref(), noted: call.profile.as_deref() };
        let config = Config::load(wanted, folder)?;
        let candidate = config.with_model(session::agent_of(&account, self.agent.take())?);
        let asked = account.session_model().map(str::to_owned);
        // A command is no model.
        let command = candidate.agent.command();
        request.model = candidate.model.filter(|model| command != Some(model)).or(asked);
        let mut piped = None;
        request.prompt = match (self.prompt.named()?, account.how) {
            (Some(asked), _) => {
                piped = asked.piped;
                asked.prompt
            }
            // One that is at work has ended, perhaps with an answer, before its session is free.
            (None, how @ (RunState::Answered | RunState::Running)) => {
                let verb =
                    if how == RunState::Running { "is still at work" } else { "has answered" };
                return Err(Fail::usage(format!("run {} {verb}: what comes next?", account.short))
                    .hint(format_args!("belay resume {} \"PROMPT\"", account.short)));
            }
            (None, _) if !account.was_begun() || session.is_none() => {
                let asked = std::mem::take(&mut request.prompt);
                match account.is_forgotten() {
                    false => asked,
                    // Its agent knows nothing of what it has said and done.
                    true => {
                        let folder = request.cwd.as_deref();
                        let records = run.records().map_err(stored::unreadable)?;
                        let text = handoff(&asked, folder, &environment(), records);
                        self.options.task = Some(asked);
                        text
                    }
                }
            }
            (None, _) => {
                let asked =
                    call.task.clone().unwrap_or_else(|| std::mem::take(&mut request.prompt));
                self.options.task = Some(asked);
                GO_ON.to_owned()
            }
        };
        self.options.apply(&mut request);
        request.cwd = Some(self.options.ask.folder(request.cwd.as_deref())?);
        if !self.options.ask.extra_args.is_empty() {
            request.extra_args.clone_from(&self.options.ask.extra_args);
        }
        if let Some(what) = stored::redacted(&request) {
            return Err(Fail::usage(format!(
                "the journal of run {} holds {what} without the secrets in it",
                account.short
            ))
            .hint("give it again on the command line"));
        }
        // What belongs together stands in one trace.
        request.trace_id.get_or_insert_with(|| run.id().to_owned());
        if let Some(session) = session {
            request.session = self.branch().of(session);
        }
        request.when_in_use = when;
        call.fill(&mut self.options);
        config.fill_again(&mut self.options);
        Job { agents: vec![candidate.agent], request, piped, options: self.options }.carry_out()
    }

    fn branch(&self) -> Branch {
        if self.fork { Branch::Copy } else { Branch::Itself }
    }
}
