//! `belay resume`

use super::run::Call;
use super::run::job::Job;
use super::run::options::Options;
use super::run::prompt::Prompt;
use super::show::account::Account;
use crate::fail::Fail;
use crate::stored;
use belay_trace::{RunState, visible_line};
use belaykit::{Agent, Candidate, RunRequest};
use clap::Args;
use std::sync::Arc;

/// Go on with a run that was stopped, has failed, crashed or answered: in the same session of its agent.
///
/// Agent, model, folder, permissions and limits are those of the run; every flag that is given takes their
/// place. Without a PROMPT the agent is told that its turn was cut off, and to look at the work and go on; a run
/// that has answered needs one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay resume 4f3c2b1a
  belay resume latest \"Now write the tests.\"
  belay resume 4f3c2b1a --permit edit --max-turns 20")]
pub(crate) struct Resume {
    /// The run's id, a part of it that no other run has, or `latest`.
    run: String,

    #[command(flatten)]
    prompt: Prompt,

    /// The agent, and after a colon its model; the session is the agent's own, so only the model can differ.
    #[arg(short, long, value_name = "AGENT[:MODEL]")]
    agent: Option<Candidate>,

    #[command(flatten)]
    options: Options,
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
        let session = session(&account)?;
        let mut request = stored::request(&run)?;
        let agent = self.agent(&account, &mut request)?;
        request.prompt = match (self.prompt.named()?, account.how) {
            (Some(prompt), _) => prompt,
            (None, RunState::Answered) => {
                return Err(Fail::usage(format!(
                    "run {} has answered: what comes next?",
                    account.short
                ))
                .hint(format_args!("belay resume {} \"PROMPT\"", account.short)));
            }
            (None, _) => GO_ON.to_owned(),
        };
        self.options.apply(&mut request);
        request.cwd = Some(self.options.folder(request.cwd.as_deref())?);
        if !self.options.extra_args.is_empty() {
            request.extra_args.clone_from(&self.options.extra_args);
        }
        // What belongs together stands in one trace.
        request.trace_id.get_or_insert_with(|| run.id().to_owned());
        request = request.resume(session);
        Call::read(run.folder()).fill(&mut self.options);
        Job { agent, request, options: self.options }.carry_out()
    }

    /// The agent that the session belongs to.
    fn agent(&self, account: &Account, request: &mut RunRequest) -> Result<Arc<dyn Agent>, Fail> {
        let Some(given) = &self.agent else {
            let known: Result<Candidate, _> = account.agent.parse();
            return known.map(|known| known.agent).map_err(|error| {
                Fail::local(format!("run {} cannot be resumed: {error}", account.short))
            });
        };
        if given.agent.name() != account.agent {
            let (theirs, short) = (visible_line(&account.agent), &account.short);
            return Err(Fail::usage(format!(
                "the session of run {short} is {theirs}'s; {} cannot go on in it",
                given.agent.name()
            ))
            .hint(format_args!(
                "leave -a out, or begin anew: belay run -a {} \"…\"",
                given.agent.name()
            )));
        }
        if given.model.is_some() {
            request.model.clone_from(&given.model);
        }
        Ok(given.agent.clone())
    }
}

/// The session to go on in.
fn session(account: &Account) -> Result<String, Fail> {
    let short = &account.short;
    if account.how == RunState::Running {
        return Err(Fail::usage(format!("run {short} is still at work")).hint(format_args!(
            "follow it: belay logs {short} -f; speak to it: belay steer {short} \"…\"; stop it: belay stop {short}"
        )));
    }
    match &account.session_id {
        Some(session) if account.can_go_on() => Ok(session.clone()),
        _ => Err(Fail::usage(format!(
            "run {short} has no session to go on in: it ended before its agent had said anything"
        ))
        .hint(format_args!(
            "begin anew: belay run -a {} \"…\"; `belay show {short}` has the prompt",
            visible_line(&account.agent)
        ))),
    }
}
