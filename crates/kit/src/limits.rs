//! Every limit that belay puts on a queue, a buffer or a wait, with the reason for its size.

use std::time::Duration;

/// The longest line that is read whole. Codex prints 1 MiB of tool output in one line, up to six times that
/// when it is escaped; ten times more is room for what agents will print next year.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// How much is read from a pipe at once: what a pipe holds on Linux.
pub const READ_BYTES: usize = 64 << 10;

/// How many records wait for a slow observer: a few seconds of the busiest agent.
pub const OBSERVER_QUEUE_MAX: usize = 1024;

/// How many errors of one observer a run keeps: the first ones say what is wrong, the rest are counted.
pub const OBSERVER_ERRORS_MAX: usize = 10;

/// How long a run waits for its observers at its end.
pub const OBSERVER_FLUSH: Duration = Duration::from_secs(2);

/// How long an agent's own interrupt may take. Claude and Codex need less than 0.1 s; a loaded machine more.
pub const STOP_NATIVE: Duration = Duration::from_secs(5);

/// How long SIGINT may take. Claude needs up to 1.5 s to end its tools and print its result.
pub const STOP_SIGINT: Duration = Duration::from_secs(3);

/// How long SIGTERM may take.
pub const STOP_SIGTERM: Duration = Duration::from_secs(3);

/// How long an agent may live on after the end of its turn: it saves its session. Longer is a hang
/// (anthropics/claude-code#25629).
pub const LINGER: Duration = Duration::from_secs(10);

/// How long the pipes are waited for after the agent is gone: what was printed is in them already, and a program
/// that the agent left behind may hold them open for ever.
pub const DRAIN: Duration = Duration::from_secs(1);

/// How many more reads of the pipes are taken in after the agent is gone than were waiting then, if that takes
/// longer than [`DRAIN`]: sixteen empty the largest pipe that Linux gives to anybody, and a program left behind
/// could fill it for ever.
pub const DRAIN_READS_MAX: usize = 64;

/// How long an agent may take to say its version: a cold start from a slow disk takes seconds.
pub const VERSION: Duration = Duration::from_secs(10);

/// The longest line that a run listens to: a steering text of many pages.
pub const CONTROL_LINE_BYTES_MAX: usize = 1 << 20;

/// How long a run waits after each thing that it was told, and after each read: a flood of either then costs
/// it next to nothing, and nobody who types notices.
pub const CONTROL_PACE: Duration = Duration::from_millis(10);

/// How long somebody who speaks to a run waits for it to listen.
pub const CONTROL_PATIENCE: Duration = Duration::from_secs(5);
