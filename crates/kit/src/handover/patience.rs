//! How long a look may take, and whether anybody still waits for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Until when a look may take, and whether its result is still wanted.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    until: Instant,
    is_abandoned: Arc<AtomicBool>,
}

impl Patience {
    pub(super) fn new(time: Duration) -> Self {
        Self { until: Instant::now() + time, is_abandoned: Arc::default() }
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

    /// Ends the look, and the program that runs for it.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }
}
