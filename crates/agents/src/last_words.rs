//! The wait for an end that does not come: the agent has said its last words, has nothing open, and owes nothing but
//! the word that its turn is over.
//!
//! A lost line or a hook that hangs looks like this (anthropics/claude-code#17248, #39700). To call it a stall would
//! throw an answer away that was paid for, and run the request again.

use crate::protocol::{Out, TimerId};
use belay_trace::{CostSource, Event, Level, Usage};
use std::ops::Range;
use std::time::Duration;

/// How long the end of a turn may come behind its last words. Agents need less than a second for it (measured); a
/// slow disk or a hook of the user's needs some.
const PATIENCE: Duration = Duration::from_secs(60);

/// The numbers of these timers: drivers have their own below them, and [`Doubt`](crate::framing::Doubt) above.
const TIMERS: Range<u32> = 1 << 20..1 << 31;

/// The wait of one conversation.
#[derive(Debug, Default)]
pub(crate) struct LastWords {
    timers: u32,
    /// The timer that counts; those before it are void.
    waiting: Option<TimerId>,
}

impl LastWords {
    /// The last words are said: the end is awaited from now on.
    pub(crate) fn said(&mut self, out: &mut Out) {
        self.said_for(PATIENCE, out);
    }

    /// The same for this long.
    pub(crate) fn said_for(&mut self, patience: Duration, out: &mut Out) {
        let timer = TimerId(TIMERS.start + self.timers % (TIMERS.end - TIMERS.start));
        self.timers += 1;
        self.waiting = Some(timer);
        out.timer(timer, patience);
    }

    /// They were not the last, or the end has come.
    pub(crate) fn went_on(&mut self) {
        self.waiting = None;
    }

    /// True if this timer ends the wait.
    pub(crate) fn is_over(&mut self, timer: TimerId) -> bool {
        self.waiting.take_if(|waiting| *waiting == timer).is_some()
    }

    /// True if this timer ends the wait. Says so, for then the turn counts as answered.
    pub(crate) fn have_no_end(&mut self, timer: TimerId, agent: &str, out: &mut Out) -> bool {
        let is_over = self.is_over(timer);
        if is_over {
            let words = format!(
                "{agent} has said its last words and never that its turn is over; they count as its answer, and \
                 what it has used may be more than is known"
            );
            out.event(Event::notice(Level::Warn, "no_end", words));
        }
        is_over
    }
}

/// What a turn without an end has used: as much as was told, and perhaps more.
pub(crate) fn used(usage: Usage) -> Usage {
    let cost_source = match usage.total_cost_usd {
        Some(_) => CostSource::Partial,
        None => usage.cost_source,
    };
    Usage { partial: true, cost_source, ..usage }
}

impl TimerId {
    /// True for the wait for the end of a turn behind its last words. Where less silence than that is allowed, it may
    /// run out earlier: the turn then counts as answered, and not as stalled.
    pub fn awaits_end(self) -> bool {
        TIMERS.contains(&self.0)
    }
}
