//! `belay steer`

use super::runs::state::lost_words;
use super::stop::not_heard;
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::say::say;
use crate::stored::{self, StateDir, unreadable};
use crate::terminal;
use belay_trace::{ControlLine, Event, Record, RunState, Steered, Tail, exit_code, visible_line};
use belaykit::control;
use clap::Args;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

/// Send a message to a running agent.
///
/// The agent takes it in when it can, often only when its running tools are done. What has become of it is in the
/// run's log, as a `steered` event; if that is known within two seconds, it is said here, and a message that was not
/// delivered is exit code 1.
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

/// How long the verb waits for the run to say what has become of the message.
const SOON: Duration = Duration::from_secs(2);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);

impl Steer {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        if self.text.trim().is_empty() {
            return Err(Fail::usage("there is nothing to say").hint("belay steer RUN \"TEXT\""));
        }
        let store = self.state_dir.store()?;
        let run = stored::find(&store, &self.run)?;
        let short = stored::short_id(&store, run.id());
        let over = || {
            Fail::not_found(format!("run {short} is not running any more"))
                .hint(format_args!("go on with it: belay resume {short} \"…\""))
        };
        let overview = run.overview();
        match overview.state {
            RunState::Running => {}
            RunState::Lost => {
                let words = format!("run {short} is {}", lost_words(&overview));
                return Err(Fail::not_found(words).hint("speak to it on that machine"));
            }
            _ => return Err(over()),
        }
        let mut tail = Tail::of(&run).map_err(unreadable)?;
        // What stands there already is of other messages.
        while tail.next_line().map_err(unreadable)?.is_some() {}
        control::send(&run, &[ControlLine::Steer(self.text.clone())]).map_err(|error| {
            let running = run.overview().state == RunState::Running;
            if running { not_heard(&short, &error) } else { over() }
        })?;
        match self.fate(&mut tail) {
            Some(Steered { delivered: false, reason, .. }) => {
                let reason = reason.unwrap_or_else(|| "the agent did not take it".to_owned());
                let reason = visible_line(&reason);
                return Err(Fail::local(format!("the message was not delivered: {reason}"))
                    .hint(format_args!("`belay show {short}` says how the run stands")));
            }
            Some(_) => {}
            None if overview.queued => say(format_args!(
                "run {short} waits for its session and has no agent yet: the agent is told when it has started; \
                 `belay logs {short} -f` says when"
            )),
            None => say(format_args!(
                "the agent has not taken it in yet; `belay logs {short} -f` says when it does"
            )),
        }
        closed_pipe_is_fine(writeln!(terminal::stdout(), "run {short} was told"))?;
        Ok(exit_code::ANSWERED)
    }

    /// What the run says that has become of the message, if it says so soon.
    fn fate(&self, tail: &mut Tail) -> Option<Steered> {
        let began = Instant::now();
        loop {
            while let Ok(Some(line)) = tail.next_line() {
                match Record::from_line(&line).map(|record| record.event) {
                    Ok(Event::Steered(steered)) if self.is_mine(&steered.text) => {
                        return Some(steered);
                    }
                    Ok(Event::Result(_)) => return None,
                    _ => {}
                }
            }
            if began.elapsed() > SOON {
                return None;
            }
            thread::sleep(LOOK);
        }
    }

    /// True if it is this message; secrets are taken out of it in the log, and long ones are cut.
    fn is_mine(&self, text: &str) -> bool {
        text == self.text
            || text.contains("[redacted")
            || text.len() < self.text.len() && self.text.starts_with(text)
    }
}
