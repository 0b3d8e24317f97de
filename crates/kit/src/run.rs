//! A run as its caller sees it.

use crate::Error;
use crate::feed::FeedReader;
use crate::runner::Command;
use belay_trace::{AttemptSummary, Denial, Failure, Json, Record, StopReason, Usage, Warning};
use futures_core::Stream;
use jiff::Timestamp;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};

/// What a run leaves behind.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The run's id, unique on earth.
    pub run_id: String,
    /// The answer; what was reached of it if the run failed.
    pub text: String,
    /// Totals over all attempts, failed ones included.
    pub usage: Usage,
    /// The agent that answered, or failed last.
    pub agent: String,
    /// The model, as the agent names it.
    pub model: Option<String>,
    /// The agent's session, good for [`RunRequest::resume`](crate::RunRequest::resume).
    pub session_id: Option<String>,
    /// The value that the agent checked against a schema, if it was given one (`-- --json-schema …`).
    pub structured: Option<Json>,
    /// Tools that were denied on the way.
    pub denials: Vec<Denial>,
    /// What puts the answer in doubt, or has kept the agent from its work.
    pub warnings: Vec<Warning>,
    /// When a limit ends that stopped the run, if it is known.
    pub retry_at: Option<Timestamp>,
    /// The attempts, in order.
    pub attempts: Vec<AttemptSummary>,
    /// What observers could not do: a trace that could not be written. The run itself is not touched by it.
    pub observer_errors: Vec<String>,
}

/// A running agent: a stream of [`Record`]s that ends with an [`Event::Result`](belay_trace::Event::Result).
///
/// Records arrive in order and without loss, however slowly they are read. A reader that falls behind never
/// slows the agent: what waits for it is read back from the journal, or stays in memory if the client has no
/// [`state_dir`](crate::Client::state_dir). Dropping a `Run` stops the agent.
#[derive(Debug)]
#[must_use = "a run is stopped when it is dropped"]
pub struct Run {
    pub(crate) id: String,
    pub(crate) records: FeedReader,
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) finished: oneshot::Receiver<Result<Outcome, Error>>,
    /// The runner stops the agent when this is dropped.
    pub(crate) _alive: oneshot::Sender<()>,
}

impl Run {
    /// The run's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The next record, or `None` after [`Event::Result`](belay_trace::Event::Result).
    pub async fn next(&mut self) -> Option<Record> {
        self.next_shared().await.map(Arc::unwrap_or_clone)
    }

    /// Like [`next`](Self::next), without a copy of a record that others look at as well: one may hold a whole file.
    pub async fn next_shared(&mut self) -> Option<Arc<Record>> {
        std::future::poll_fn(|cx| self.records.poll_next(cx)).await
    }

    /// Waits for the end and returns the outcome. What was not read is lost to the reader; the client's own
    /// [`on_event`](crate::Client::on_event) and [`output`](crate::Client::output) have seen everything.
    ///
    /// # Errors
    /// [`Error`] if the run did not answer; it holds the outcome all the same.
    pub async fn outcome(mut self) -> Result<Outcome, Error> {
        drop(self.records);
        match (&mut self.finished).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let message = "the async runtime was shut down before the run ended";
                let failure = Failure::new(belay_trace::FailureKind::LocalIo, message);
                Err(Error::new(failure, Outcome { run_id: self.id, ..Outcome::default() }))
            }
        }
    }

    /// A handle that stops, pauses and steers this run from elsewhere.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter { commands: self.commands.clone() }
    }

    /// Sends a message to the running turn. What becomes of it is an
    /// [`Event::Steered`](belay_trace::Event::Steered): an agent that cannot listen, or a stop that came first, is
    /// `delivered: false` with the reason.
    pub fn steer(&self, text: impl Into<String>) {
        // A run that is over has nobody to listen.
        let _ = self.commands.send(Command::Steer(text.into()));
    }
}

impl Stream for Run {
    type Item = Record;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Record>> {
        self.records.poll_next(cx).map(|record| record.map(Arc::unwrap_or_clone))
    }
}

/// Stops, pauses and steers a [`Run`] from anywhere; cheap to clone.
#[derive(Clone, Debug)]
pub struct Interrupter {
    commands: mpsc::UnboundedSender<Command>,
}

impl Interrupter {
    /// Asks the agent to stop, in its own words first. A second call insists, a third kills.
    /// Does nothing once the run is over.
    pub fn interrupt(&self) {
        self.stop(StopReason::User);
    }

    /// Like [`Run::steer`].
    pub fn steer(&self, text: impl Into<String>) {
        let _ = self.commands.send(Command::Steer(text.into()));
    }

    /// Freezes the agent and all that it has started, and resolves when that is done. No limit of the run
    /// counts the time until [`resume`](Self::resume); a wish to stop resumes first.
    pub async fn pause(&self) {
        let (done, paused) = oneshot::channel();
        let _ = self.commands.send(Command::Pause(done));
        // A run that is over has nothing to freeze.
        let _ = paused.await;
    }

    /// Lets a paused run go on.
    pub fn resume(&self) {
        let _ = self.commands.send(Command::Resume);
    }

    /// True when the run is over: its outcome is known and nothing is left to stop, though a slow reader may not
    /// have read it all.
    pub fn is_over(&self) -> bool {
        self.commands.is_closed()
    }

    /// Like [`interrupt`](Self::interrupt), with another reason in the [`Event::Interrupted`](belay_trace::Event::Interrupted).
    pub fn stop(&self, reason: StopReason) {
        let _ = self.commands.send(Command::Stop(reason));
    }
}
