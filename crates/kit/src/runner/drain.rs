//! How long the pipes of an agent that is gone are still read.

use crate::limits;
use std::time::Duration;
use tokio::time::Instant;

/// What the agent printed is read, however long the work on it takes: only waiting for more is limited,
/// and what a program that was left behind adds without end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    patience: Duration,
    reads_left: usize,
    /// Until then any number of reads is taken in.
    floods_from: Instant,
    /// When it is over, read or not: somebody insists.
    ends_at: Option<Instant>,
}

impl Drain {
    /// The agent is gone, and so many reads wait to be taken in.
    pub(super) fn begin(reads_waiting: usize) -> Self {
        Self {
            patience: limits::DRAIN,
            reads_left: reads_waiting + limits::DRAIN_READS_MAX,
            floods_from: Instant::now() + limits::DRAIN,
            ends_at: None,
        }
    }

    /// Keeps to the time that somebody has who has asked to stop this often: twice, or more.
    pub(super) fn hurry(&mut self, stops: u32) {
        let time = match stops {
            0 | 1 => return,
            2 => limits::DRAIN_INSISTED,
            _ => Duration::ZERO,
        };
        let end = Instant::now() + time;
        self.ends_at = Some(self.ends_at.map_or(end, |known| known.min(end)));
    }

    /// True when it was over before everything was read.
    pub(super) fn was_cut_short(&self) -> bool {
        self.ends_at.is_some_and(|end| Instant::now() >= end)
    }

    /// Takes note of something that came after a wait of this length; of a read if it was one.
    pub(super) fn waited(&mut self, waited: Duration, is_read: bool) {
        self.patience = self.patience.saturating_sub(waited);
        self.reads_left = self.reads_left.saturating_sub(usize::from(is_read));
    }

    /// When a wait that begins now has to end.
    pub(super) fn deadline(&self) -> Instant {
        let end = Instant::now() + self.patience;
        self.ends_at.map_or(end, |hurried| hurried.min(end))
    }

    /// True when nothing more is read.
    pub(super) fn is_over(&self) -> bool {
        self.was_cut_short()
            || self.patience.is_zero()
            || (self.reads_left == 0 && Instant::now() >= self.floods_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_insists_waits_for_nothing_that_was_printed() {
        let mut drain = Drain::begin(1_000_000);
        drain.hurry(1);
        tokio::time::advance(limits::DRAIN * 10).await;
        assert!(!drain.is_over());
        drain.hurry(2);
        assert!(!drain.is_over());
        tokio::time::advance(limits::DRAIN_INSISTED / 2).await;
        drain.hurry(2);
        tokio::time::advance(limits::DRAIN_INSISTED / 2).await;
        assert!(drain.is_over());

        let mut drain = Drain::begin(1_000_000);
        drain.hurry(3);
        assert!(drain.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_that_is_silent_is_given_up() {
        let mut drain = Drain::begin(0);
        drain.waited(limits::DRAIN / 2, true);
        assert!(!drain.is_over());
        drain.waited(limits::DRAIN / 2, false);
        assert!(drain.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_printed_is_read_however_long_that_takes() {
        let mut drain = Drain::begin(3);
        for _ in 0..3 {
            drain.waited(Duration::ZERO, true);
            tokio::time::advance(limits::DRAIN * 10).await;
            assert!(!drain.is_over());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_that_is_flooded_is_given_up() {
        let mut drain = Drain::begin(3);
        (0..3 + limits::DRAIN_READS_MAX).for_each(|_| drain.waited(Duration::ZERO, true));
        assert!(!drain.is_over());
        tokio::time::advance(limits::DRAIN).await;
        assert!(drain.is_over());
    }
}
