//! The times between two attempts, in which nothing runs and the caller is heard all the same.

use super::super::{Caller, Command};
use crate::limits;
use belay_agents::AttemptEnd;
use belay_trace::{Failure, FailureKind, StopReason};
use jiff::Timestamp;
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

/// Who was stopped while he waited.
pub(in crate::runner) struct Stopped(pub(super) StopReason);

impl Stopped {
    pub(in crate::runner) fn reason(&self) -> StopReason {
        self.0
    }

    /// The end of a run that was stopped before its first attempt.
    pub(in crate::runner) fn end(self) -> AttemptEnd {
        stopped(AttemptEnd::default(), self.0)
    }
}

/// A run that was stopped between two attempts.
pub(super) fn stopped(mut last: AttemptEnd, reason: StopReason) -> AttemptEnd {
    let (kind, why) = match reason {
        StopReason::Deadline => (FailureKind::Deadline, "the time was up"),
        _ => (FailureKind::Interrupted, "the run was stopped"),
    };
    let message = match &last.failure {
        Some(failure) => format!("{why} while it waited to go on after: {}", failure.message),
        None => format!("{why} while it waited"),
    };
    last.failure = Some(Failure::new(kind, message));
    last
}

impl Caller {
    /// Waits, and listens meanwhile.
    pub(in crate::runner) async fn rest(&mut self, until: Instant) -> Result<(), Stopped> {
        self.meanwhile(tokio::time::sleep_until(until)).await
    }

    /// Waits for something, which is given up when the run is stopped or its time is up.
    pub(in crate::runner) async fn meanwhile<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Stopped> {
        let mut work = pin!(work);
        // What is said meanwhile is for the next attempt.
        let mut kept = Vec::new();
        let rested = loop {
            let command = tokio::select! {
                biased;
                command = self.next() => command,
                done = &mut work => break Ok(done),
            };
            match command {
                Command::Stop(reason) => {
                    self.stops += 1;
                    break Err(Stopped(reason));
                }
                Command::Pause(done) => {
                    // Nothing runs; who has asked may have gone.
                    let _ = done.send(());
                }
                Command::Steer(text) => kept.push(Command::Steer(text)),
                Command::Resume => {}
            }
        };
        self.early.extend(kept);
        rested
    }

    /// Waits for a time of day, which a machine that was asleep may have passed.
    pub(super) async fn rest_until(&mut self, until: Timestamp) -> Result<(), Stopped> {
        loop {
            let left = Duration::try_from(until.duration_since(Timestamp::now()));
            let Some(left) = left.ok().filter(|left| !left.is_zero()) else { return Ok(()) };
            self.rest(Instant::now() + left.min(limits::WALL_CLOCK)).await?;
        }
    }
}
