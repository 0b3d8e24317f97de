//! Whoever watches runs.

#[cfg(feature = "webhook")]
mod discord;
#[cfg(feature = "webhook")]
mod exec;
#[cfg(feature = "freeplay")]
pub(crate) mod freeplay;
#[cfg(feature = "http")]
#[allow(dead_code, reason = "each observer that is built in uses its part")]
pub(crate) mod http;
pub(crate) mod logger;
#[cfg(any(feature = "slack", feature = "webhook"))]
pub(crate) mod notify;
#[cfg(feature = "webhook")]
mod ntfy;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
#[cfg(any(feature = "otlp", feature = "freeplay"))]
mod provider;
pub(crate) mod queue;
#[cfg(any(feature = "otlp", feature = "freeplay"))]
pub(crate) mod sender;
#[cfg(feature = "slack")]
pub(crate) mod slack;
pub(crate) mod trace_dir;
pub(crate) mod trace_file;
#[cfg(feature = "webhook")]
mod webhook;

use belay_trace::{CompletionRecord, Record, SessionStart, TraceEnd, TraceStart};
use std::time::Instant;

/// What an observer could not do.
pub type ObserverError = Box<dyn std::error::Error + Send + Sync>;

/// Watches runs, traces and sessions; takes of them what it wants, and nothing else has to be written.
///
/// Each observer of a [`Client`](crate::Client) lives on a thread of its own behind a bounded queue, so a
/// slow one delays nobody and a failing one fails no run. To have several, call
/// [`observe`](crate::Client::observe) several times. What is told of one run arrives in order: its records, then its
/// completion. When the queue is full (1024 records or 8 MiB), pieces of text are dropped first and then the oldest
/// records, but never the begin of a run, its result, its completion, or what is said of traces and sessions; how
/// many is reported as [`Event::ObserverDropped`](belay_trace::Event::ObserverDropped). An observer that panics is
/// switched off, and each run says so.
///
/// How long it takes for one thing is its own affair; a run waits no more than two seconds at its end for all its
/// observers together. What an error says ends up in [`Outcome::observer_errors`](crate::Outcome::observer_errors) of
/// the run, or comes back from [`Trace::end`](crate::Trace::end); nothing else happens.
///
/// ```
/// use belaykit::{Observer, ObserverError, trace::CompletionRecord};
///
/// /// Keeps the bill.
/// struct Bill(f64);
///
/// impl Observer for Bill {
///     fn name(&self) -> &str {
///         "bill"
///     }
///
///     fn record_completion(&mut self, completion: &CompletionRecord) -> Result<(), ObserverError> {
///         self.0 += completion.cost_usd.unwrap_or(0.0);
///         Ok(())
///     }
/// }
/// ```
pub trait Observer: Send + 'static {
    /// A short name for messages.
    fn name(&self) -> &str;

    /// Takes the next record of a run.
    ///
    /// # Errors
    /// Whatever it could not do.
    fn on_record(&mut self, record: &Record) -> Result<(), ObserverError> {
        let _ = record;
        Ok(())
    }

    /// A session of traces begins.
    ///
    /// # Errors
    /// Whatever it could not do.
    fn start_session(&mut self, start: &SessionStart) -> Result<(), ObserverError> {
        let _ = start;
        Ok(())
    }

    /// A trace begins, before its runs.
    ///
    /// # Errors
    /// Whatever it could not do.
    fn start_trace(&mut self, start: &TraceStart) -> Result<(), ObserverError> {
        let _ = start;
        Ok(())
    }

    /// A trace ends. One that is never ended stays open.
    ///
    /// # Errors
    /// Whatever it could not do.
    fn end_trace(&mut self, end: &TraceEnd) -> Result<(), ObserverError> {
        let _ = end;
        Ok(())
    }

    /// What a run came to: once a run, after its last record and before its outcome is given.
    ///
    /// # Errors
    /// Whatever it could not do.
    fn record_completion(&mut self, completion: &CompletionRecord) -> Result<(), ObserverError> {
        let _ = completion;
        Ok(())
    }

    /// Sends on what it still holds, at the end of each run, trace and session. Whoever waits does so until
    /// `deadline`, which may have passed when the observer was slow.
    ///
    /// # Errors
    /// Whatever it could not do.
    fn flush(&mut self, deadline: Instant) -> Result<(), ObserverError> {
        let _ = deadline;
        Ok(())
    }

    /// When it wants to be woken although nothing is told; it is asked after each thing that it was told.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// The time has come that [`wake_at`](Self::wake_at) has named.
    ///
    /// # Errors
    /// Whatever it could not do; it is said at the end of the next run.
    fn on_wake(&mut self) -> Result<(), ObserverError> {
        Ok(())
    }
}
