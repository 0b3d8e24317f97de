//! Waiting that ends at once when the server is dropped.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A stop flag one can sleep on.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Pulse {
    /// Tells every sleeper that the server goes away.
    pub(crate) fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Whether the server goes away.
    pub(crate) fn stopped(&self) -> bool {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps for this long, or until the server goes away.
    pub(crate) fn sleep(&self, duration: Duration) {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(stopped, duration, |stopped| !*stopped));
    }

    /// Sleeps until the server goes away.
    pub(crate) fn wait_for_stop(&self) {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(stopped, |stopped| !*stopped));
    }
}
