//! How long a look may take, and what of it goes on outside of this process.

use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Until when a look may take, whether its result is still wanted, and the program that runs for it.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    pub(super) until: Instant,
    is_abandoned: Arc<AtomicBool>,
    /// The group of the program; it is not taken in while it stands here, so its number is no one else's.
    group: Arc<Mutex<Option<Pid>>>,
}

impl Patience {
    pub(super) fn new(time: Duration) -> Self {
        let until = Instant::now() + time;
        Self { until, is_abandoned: Arc::default(), group: Arc::default() }
    }

    /// # Errors
    /// When the time is up or no one waits any more.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.is_abandoned.load(Ordering::Relaxed) || Instant::now() > self.until {
            true => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the folder takes too long to look at"))
            }
            false => Ok(()),
        }
    }

    /// Ends the look, and its program at once.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
        self.kill();
    }

    /// Starts the program, which leads a group of its own.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut group = self.group();
        // Whoever abandons it from here on waits for the lock, and finds the program.
        self.check()?;
        let child = command.spawn()?;
        *group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(child)
    }

    /// Takes the program in if it has ended.
    pub(super) fn ended(&self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let mut group = self.group();
        let status = child.try_wait()?;
        if status.is_some() {
            *group = None;
        }
        Ok(status)
    }

    /// Kills the program and what it has started.
    pub(super) fn kill(&self) {
        if let Some(group) = *self.group() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    fn group(&self) -> MutexGuard<'_, Option<Pid>> {
        // Nothing that holds it can panic half-way.
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
