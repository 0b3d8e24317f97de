//! `belay steer`

use super::stop::not_heard;
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::stored::{self, StateDir};
use belay_trace::{ControlLine, RunState, exit_code};
use belaykit::control;
use clap::Args;
use std::io::{self, Write as _};

/// Say something to an agent while it works.
///
/// The agent takes it in when it can; one that cannot listen is said so in the run's own log, with the code
/// `steer`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay steer 4f3c2b1a \"Leave the tests as they are.\"
  belay logs 4f3c2b1a -f            see what comes of it")]
pub(crate) struct Steer {
    /// The run's id, a part of it that no other run has, or `latest`.
    run: String,

    /// What to say.
    text: String,

    #[command(flatten)]
    state_dir: StateDir,
}

impl Steer {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        if self.text.trim().is_empty() {
            return Err(Fail::usage("there is nothing to say").hint("belay steer RUN \"TEXT\""));
        }
        let store = self.state_dir.store()?;
        let run = stored::find(&store, &self.run)?;
        let short = stored::short_id(&store, run.id());
        let over = || {
            Fail::usage(format!("run {short} is not at work any more"))
                .hint(format_args!("go on with it: belay resume {short} \"…\""))
        };
        if run.overview().state != RunState::Running {
            return Err(over());
        }
        control::send(&run, &[ControlLine::Steer(self.text)]).map_err(|error| {
            let running = run.overview().state == RunState::Running;
            if running { not_heard(&short, &error) } else { over() }
        })?;
        closed_pipe_is_fine(writeln!(io::stdout(), "run {short} was told"))?;
        Ok(exit_code::ANSWERED)
    }
}
