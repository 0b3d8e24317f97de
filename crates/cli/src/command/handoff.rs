//! `belay handoff`

use super::runs::state::lost_words;
use crate::config::candidate;
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::say::{say, warn};
use crate::stored::{self, StateDir, unreadable};
use crate::surroundings::environment;
use crate::terminal;
use belay_trace::{RunState, visible_line};
use belaykit::{Candidate, Redaction, handoff, shell_escape_path};
use clap::Args;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// Write down a run's unfinished work for another agent: its task, why it stopped, what it changed and ran.
///
/// The account is the prompt of the agent that goes on. What an agent has printed stands in it as information,
/// marked as such, and not as orders.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay handoff latest --to codex -o handoff.md
  belay handoff 4f3c2b1a | belay run -a codex --permit edit -")]
pub(crate) struct Handoff {
    /// The run's id, a part of it that no other run has, or `latest`.
    #[arg(default_value = "latest")]
    run: String,

    /// Whom it is for; says how to begin.
    #[arg(long, value_name = "AGENT[:MODEL]", value_parser = candidate)]
    to: Option<Candidate>,

    /// Write to a new file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    state_dir: StateDir,
}

impl Handoff {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let run = self.state_dir.find(&self.run)?;
        let overview = run.overview();
        match overview.state {
            RunState::Running => {
                return Err(Fail::usage(format!("run {} is still at work", run.id()))
                    .hint("stop it first: belay stop"));
            }
            RunState::Lost => {
                let words = format!("run {} is {}", run.id(), lost_words(&overview));
                warn(format_args!("{words}: what it does from here on is not in the handoff"));
            }
            _ => {}
        }
        let request = stored::request(&run)?;
        let records = run.records().map_err(unreadable)?;
        let environment = environment();
        let text = handoff(&request.prompt, request.cwd.as_deref(), &environment, records);
        // The task as well: a run with `--no-redact` has stored it as it was.
        let text = Redaction::default().text_of(&text, &environment);
        let Some(path) = &self.output else {
            closed_pipe_is_fine(terminal::stdout().write_all(text.as_bytes()))?;
            return Ok(0);
        };
        // It quotes a session, which is nobody else's business.
        let opened = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
        opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
            Fail::usage(format!("cannot write {}: {error}", path.display()))
                .hint("name a file that does not exist yet")
        })?;
        let agent = self.to.as_ref().map_or("AGENT".to_owned(), |to| match &to.model {
            Some(model) => format!("{}:{model}", to.agent.name()),
            None => to.agent.name().to_owned(),
        });
        let folder = request.cwd.map(|cwd| format!(" -C {}", shell_escape_path(&cwd)));
        let file = shell_escape_path(path);
        say(format_args!(
            "to go on: belay run -a {}{} -f {file}",
            visible_line(&agent),
            folder.unwrap_or_default()
        ));
        Ok(0)
    }
}
