//! Whoever watches runs.

pub(crate) mod logger;
pub(crate) mod queue;
pub(crate) mod trace_dir;

use belay_trace::Record;

/// What an observer could not do.
pub type ObserverError = Box<dyn std::error::Error + Send + Sync>;

/// Watches runs.
///
/// Each observer of a [`Client`](crate::Client) lives on a thread of its own behind a bounded queue, so a
/// slow one delays nobody and a failing one fails no run. The records of one run arrive in order. When the
/// queue is full, pieces of text are dropped first and then the oldest records; how many is reported as
/// [`Event::ObserverDropped`](belay_trace::Event::ObserverDropped).
pub trait Observer: Send + 'static {
    /// A short name for messages.
    fn name(&self) -> &str;

    /// Takes the next record.
    ///
    /// # Errors
    /// Whatever it could not do; the run goes on, and the words end up in
    /// [`Outcome::observer_errors`](crate::Outcome::observer_errors).
    fn on_record(&mut self, record: &Record) -> Result<(), ObserverError>;
}
