//! Whether a session has anything left to do.
//!
//! The server says that it is idle, and it may wake up by itself: a plugin speaks to it, or a subagent in the
//! background comes to its end. Nothing announces that, so a session that is idle is watched for a moment.

use crate::protocol::{Out, TimerId};
use std::collections::HashSet;
use std::time::Duration;

/// How long a session must stay idle. None of those measured wakes up by itself (`docs/agents/opencode.md`), so
/// this is for plugins; each run waits for it.
pub(super) const QUIET: Duration = Duration::from_millis(100);

/// The same for one that has shown a sign of more, and for one whose subagent has just come to its end.
pub(super) const AWAKE_QUIET: Duration = Duration::from_secs(1);

/// The first number of the timers here; the driver has others below it.
const FIRST_TIMER: u32 = 100;

/// What is known of the run's own session.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// It has said that it has nothing to do.
    pub(super) is_idle: bool,
    /// It has shown a sign of more since it was idle first.
    is_awake: bool,
    /// The model's messages that were heard of.
    known: HashSet<String>,
    /// Those that have begun in an idle session, and are not whole.
    open: HashSet<String>,
    timers: u32,
    quiet: Option<TimerId>,
}

impl Rest {
    /// The session is busy.
    pub(super) fn busy(&mut self) {
        if self.is_idle {
            self.works();
        }
    }

    /// The session has begun with something that it was told.
    pub(super) fn works(&mut self) {
        self.is_awake |= self.is_idle;
        (self.is_idle, self.quiet) = (false, None);
    }

    /// The session is idle.
    pub(super) fn idle(&mut self, out: &mut Out) {
        self.is_idle = true;
        self.open.clear();
        self.watch(QUIET, out);
    }

    /// The model's message is told.
    pub(super) fn message(&mut self, id: &str, is_whole: bool, out: &mut Out) {
        let is_new = self.known.insert(id.to_owned());
        if !self.is_idle {
            return;
        }
        if is_new && !is_whole {
            self.open.insert(id.to_owned());
        } else if is_whole && !self.open.remove(id) && !is_new {
            // An end that is told again.
            return;
        }
        self.sign(out);
    }

    /// Something was said or done in this message of the model's.
    pub(super) fn part(&mut self, message: Option<&str>, out: &mut Out) {
        let is_new = message.is_none_or(|id| self.open.contains(id) || !self.known.contains(id));
        if self.is_idle && is_new {
            self.sign(out);
        }
    }

    /// Something has shown that an idle session goes on, or is about to.
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

    /// True if this is the timer behind the last sign, and nothing is open.
    pub(super) fn is_over(&self, timer: TimerId) -> bool {
        self.is_idle && self.quiet == Some(timer) && self.open.is_empty()
    }

    /// True if the session was idle and has shown no sign since.
    pub(super) fn has_answered(&self) -> bool {
        self.is_idle && !self.is_awake
    }
}
