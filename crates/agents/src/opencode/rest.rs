//! Whether a session has anything left to do.
//!
//! The server says when a session is idle, and an idle session may wake up on its own: a plugin prompts it, or a
//! background subagent finishes. Nothing announces that, so the server is asked whether the session is still idle.

use crate::protocol::{Out, TimerId};
use std::collections::HashSet;
use std::time::Duration;

/// How long a session must stay idle of which the server does not say so, because it has no such answer or is slow.
pub(super) const QUIET: Duration = Duration::from_millis(100);

/// The same after a sign of more work, and after a subagent has finished.
pub(super) const AWAKE_QUIET: Duration = Duration::from_secs(1);

/// The first number of the timers here; the driver has others below it.
const FIRST_TIMER: u32 = 100;

/// What is known about the run's own session.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// It has said that it has nothing to do.
    pub(super) is_idle: bool,
    /// It has shown a sign of more work since it first was idle.
    is_awake: bool,
    /// Messages of the model seen so far.
    known: HashSet<String>,
    /// Those that began in an idle session and are not complete.
    open: HashSet<String>,
    timers: u32,
    quiet: Option<TimerId>,
    /// The timer that runs beside the question to the server.
    asked_beside: Option<TimerId>,
}

impl Rest {
    /// Notes that the session is busy.
    pub(super) fn busy(&mut self) {
        if self.is_idle {
            self.works();
        }
    }

    /// Notes that the session has started on something it was told.
    pub(super) fn works(&mut self) {
        self.is_awake |= self.is_idle;
        (self.is_idle, self.quiet, self.asked_beside) = (false, None, None);
    }

    /// Notes that the session is idle. The server is asked about it, and the session is watched until it answers.
    pub(super) fn idle(&mut self, out: &mut Out) {
        self.is_idle = true;
        self.open.clear();
        self.watch(QUIET, out);
        self.asked_beside = self.quiet;
    }

    /// Returns true if a session that the server calls idle has shown no sign of more work since it was asked.
    pub(super) fn is_confirmed(&self) -> bool {
        self.is_idle && self.asked_beside.is_some() && self.asked_beside == self.quiet
    }

    /// Notes a message that was told when nobody heard it.
    pub(super) fn knows(&mut self, id: &str) {
        self.known.insert(id.to_owned());
    }

    /// Notes a message of the model.
    pub(super) fn message(&mut self, id: &str, is_whole: bool, out: &mut Out) {
        let is_new = self.known.insert(id.to_owned());
        if !self.is_idle {
            return;
        }
        if is_new && !is_whole {
            self.open.insert(id.to_owned());
        } else if is_whole && !self.open.remove(id) && !is_new {
            // The end of a message, repeated.
            return;
        }
        self.sign(out);
    }

    /// Notes a part of this message of the model.
    pub(super) fn part(&mut self, message: Option<&str>, out: &mut Out) {
        let is_new = message.is_none_or(|id| self.open.contains(id) || !self.known.contains(id));
        if self.is_idle && is_new {
            self.sign(out);
        }
    }

    /// Notes a sign that an idle session is working, or is about to.
    pub(super) fn sign(&mut self, out: &mut Out) {
        if self.is_idle {
            self.is_awake = true;
            self.watch(AWAKE_QUIET, out);
        }
    }

    fn watch(&mut self, time: Duration, out: &mut Out) {
        let timer = TimerId(FIRST_TIMER + self.timers);
        self.timers += 1;
        self.quiet = Some(timer);
        out.timer(timer, time);
    }

    /// Returns true if this is the timer of the last sign and nothing is open.
    pub(super) fn is_over(&self, timer: TimerId) -> bool {
        self.is_idle && self.quiet == Some(timer) && self.open.is_empty()
    }

    /// Returns true if the session is idle and has shown no sign of more work.
    pub(super) fn has_answered(&self) -> bool {
        self.is_idle && !self.is_awake
    }
}
