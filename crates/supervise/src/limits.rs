//! Every limit of this crate, with a sentence why this number.

use std::time::Duration;

/// How much is read from a pipe at once: what a pipe holds on Linux.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// How long a supervisor may take to start a program: a cold start from a slow disk takes seconds.
pub(crate) const START: Duration = Duration::from_secs(10);

/// How long the supervisor lets an agent end by SIGINT when its user is gone: two seconds are the most that a
/// machine has to bear then.
pub(crate) const ABANDONED_SIGINT: Duration = Duration::from_secs(1);

/// How long what a program left behind may take to end by itself: helpers of an agent notice that it is gone
/// within some milliseconds.
pub(crate) const LEFT_BEHIND: Duration = Duration::from_millis(100);

/// How long processes are killed that come again and again.
pub(crate) const SWEEP: Duration = Duration::from_secs(1);

/// How long killed processes are given to be gone before we look again.
pub(crate) const KILLED_AGAIN: Duration = Duration::from_millis(5);

/// How long a supervisor may take to clean up: its own limits, and as much again for a loaded machine.
pub(crate) const SWEEP_ANSWER: Duration = Duration::from_secs(3);

/// How long the one supervisor waits for the other to end when the program that started both is gone:
/// [`ABANDONED_SIGINT`] and [`SWEEP`], and as much again for a loaded machine.
pub(crate) const ABANDONED: Duration = Duration::from_secs(4);

/// How long after the deadline of its launch a supervisor ends the program: a user that is alive needs 13 s for all
/// steps of an escalation, and is not to be preempted.
pub(crate) const DEADLINE_GRACE: Duration = Duration::from_secs(15);

/// How long a supervisor waits for a user that does not read: what it has to say is little.
pub(crate) const REPORT: Duration = Duration::from_secs(1);

/// How many of the processes that were left behind are named.
pub(crate) const LEFT_MAX: usize = 200;
