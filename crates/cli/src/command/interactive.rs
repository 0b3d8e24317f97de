//! `belay interactive`

mod terminal;

use self::terminal::Terminal;
use super::run::ask::Ask;
use super::run::job;
use super::run::session::{self, Chosen, SessionFlags};
use super::show::account::Account;
use crate::config::typed;
use crate::config::{Config, Wanted};
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::runtime::block_on;
use crate::say::warn;
use crate::stored::{self, StateDir};
use crate::surroundings::environment;
use belay_trace::visible_line;
use belaykit::{
    Candidate, Client, Error, FailureKind, Permissions, Redaction, RunRequest, Transport, WhenInUse,
};
use clap::Args;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

/// Open an agent's own terminal program, with the same flags for every agent.
///
/// The session is yours: belay counts and keeps nothing of it, ends with its exit code, and leaves the terminal
/// as it was, also when the agent dies in the middle of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay interactive codex
  belay interactive claude:opus -C ~/project \"Why does the build fail?\"
  belay interactive claude --resume 4f3c2b1a
  belay interactive --dry-run opencode")]
pub(crate) struct Interactive {
    /// The agent, and after a colon its model: claude, codex:gpt-5.5 [default: $BELAY_AGENT, or the first of the
    /// configuration's `chain`, or claude].
    #[arg(value_name = "AGENT[:MODEL]", value_parser = typed)]
    agent: Option<Candidate>,

    /// What to say first. Other users of this machine can see it in the list of processes.
    #[arg(value_name = "PROMPT")]
    prompt: Option<String>,

    #[command(flatten)]
    session: SessionFlags,

    #[command(flatten)]
    ask: Ask,

    #[command(flatten)]
    state_dir: StateDir,

    /// Print the command, and run nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Interactive {
    pub(crate) fn run(mut self) -> Result<u8, Fail> {
        let config = Config::load(Wanted::default(), self.ask.cwd.as_deref())?;
        config.surround(&mut self.ask);
        let mut request = RunRequest::new(self.prompt.clone().unwrap_or_default());
        request.extra_args.clone_from(&self.ask.extra_args);
        self.ask.apply(&mut request);
        let (mut named, mut cwd) = (self.agent, None);
        let when = self.session.in_use().when();
        request.session = match self.session.chosen(self.state_dir.named())? {
            Chosen::Session(session) => session,
            Chosen::Run(run, branch) => {
                let store = self.state_dir.store()?;
                let run = stored::find(&store, &run)?;
                let account = Account::of(&store, &run)?;
                named = Some(session::agent_of(&account, named)?);
                cwd = stored::request(&run)?.cwd;
                branch.of(session::of_run(&account, branch, when)?)
            }
        };
        let mut chain = config.chain(named.into_iter().collect())?.into_iter();
        let agent = chain.next().expect("a chain has an agent").agent;
        request.cwd = Some(self.ask.folder(cwd.as_deref())?);
        request.when_in_use = when;
        let mut client = self.ask.client(std::slice::from_ref(&agent));
        if let Ok(folder) = self.state_dir.folder() {
            client = client.lock_dir(folder);
        }
        if self.dry_run {
            let own = self.ask.agents.get(agent.name()).and_then(|own| own.args.as_ref());
            request.extra_args.splice(0..0, own.iter().flat_map(|args| args.value.0.clone()));
            let launch = agent.launch(&request, Transport::Interactive);
            let launch = launch.map_err(Fail::usage)?;
            let line = Redaction::default().text_of(&launch.to_shell(), &environment());
            closed_pipe_is_fine(writeln!(crate::terminal::stdout(), "{line}"))?;
            return Ok(0);
        }
        if when == WhenInUse::Queue {
            // Whoever waits has to have a terminal in the end.
            Terminal::remember()?;
        }
        let mut interactive = prepare(&client, &request).map_err(|error| job::with_hint(&error))?;
        let terminal = Terminal::remember()?;
        interactive.warnings.iter().for_each(|words| warn(visible_line(words)));
        if request.permissions == Some(Permissions::Full) {
            warn("--permit full: the agent may do anything on this machine, unasked");
        }
        let code = block_on(terminal.lend(&mut interactive))??;
        drop(interactive);
        Ok(code)
    }
}

/// Prepares the agent's program. Whoever wants to wait for the session does, until a Ctrl-C ends the program.
fn prepare(client: &Client, request: &RunRequest) -> Result<belaykit::Interactive, Error> {
    let mut told = String::new();
    loop {
        let error = match client.interactive(request) {
            Err(error)
                if error.kind() == FailureKind::SessionInUse
                    && request.when_in_use == WhenInUse::Queue =>
            {
                error
            }
            prepared => return prepared,
        };
        if told != error.failure().message {
            told.clone_from(&error.failure().message);
            warn(format_args!("waiting: {}; Ctrl-C ends the wait", visible_line(&told)));
        }
        thread::sleep(LOOK);
    }
}

/// How often is looked whether a session is free.
const LOOK: Duration = Duration::from_millis(200);
