//! From events to records, and to everybody who wants them: the journal first.

use crate::Client;
use crate::client::{Handler, Output};
use crate::journal::Journal;
use crate::observe::queue::ObserverHandle;
use belay_trace::{Event, LogDegraded, ObserverDropped, RawRef, Record, ToolId};
use jiff::Timestamp;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Numbers the events of a run and hands them out in batches.
pub(super) struct Publisher {
    pub(super) journal: Journal,
    run_id: String,
    seq: u64,
    attempt: u32,
    agent: String,
    batch: Vec<Record>,
    handler: Option<Handler>,
    output: Option<Output>,
    observers: Vec<ObserverHandle>,
    records: mpsc::UnboundedSender<Record>,
}

impl Publisher {
    pub(super) fn new(
        client: &Client,
        run_id: String,
        records: mpsc::UnboundedSender<Record>,
    ) -> Self {
        Self {
            journal: Journal::default(),
            run_id,
            seq: 0,
            attempt: 0,
            agent: String::new(),
            batch: Vec::new(),
            handler: client.on_event.clone(),
            output: client.output.clone(),
            observers: client.observers.clone(),
            records,
        }
    }

    /// What follows belongs to this attempt.
    pub(super) fn attempt(&mut self, attempt: u32, agent: &str) {
        self.attempt = attempt;
        agent.clone_into(&mut self.agent);
    }

    /// Adds belay's own event to the batch.
    pub(super) fn event(&mut self, event: Event) {
        self.event_from(None, None, event);
    }

    /// Adds an event that an agent's line gave rise to.
    pub(super) fn event_from(
        &mut self,
        raw: Option<RawRef>,
        parent_tool_id: Option<ToolId>,
        event: Event,
    ) {
        let mut record = Record::new(self.run_id.clone(), event);
        record.seq = self.seq;
        record.ts = now();
        record.attempt = self.attempt;
        record.agent.clone_from(&self.agent);
        record.parent_tool_id = parent_tool_id;
        record.raw = raw;
        self.seq += 1;
        self.batch.push(record);
    }

    /// Writes the batch to the journal, and then shows it to everybody.
    pub(super) fn flush(&mut self) {
        if let Err(error) = self.journal.write(&self.batch) {
            let message = format!("the journal cannot be written any more: {error}");
            self.event(Event::LogDegraded(LogDegraded { message }));
        }
        let batch = std::mem::take(&mut self.batch);
        for record in &batch {
            self.call_handler(record);
            self.write_output(record);
        }
        self.show_observers(&batch);
        for record in batch {
            // A caller who does not read has said so by dropping the run.
            let _ = self.records.send(record);
        }
    }

    /// Waits until the observers have seen everything, at most `patience` in all; returns their errors.
    pub(super) async fn flush_observers(&self, patience: Duration) -> Vec<String> {
        let deadline = tokio::time::Instant::now() + patience;
        let flushes: Vec<_> = self.observers.iter().map(|o| (o.name(), o.flush())).collect();
        let mut errors = Vec::new();
        for (name, flushed) in flushes {
            match tokio::time::timeout_at(deadline, flushed).await {
                Ok(Ok(failed)) => errors.extend(failed),
                Ok(Err(_)) => errors.push(format!("{name}: its thread is gone")),
                Err(_) => errors.push(format!("{name}: still busy after {} s", patience.as_secs())),
            }
        }
        errors
    }

    fn call_handler(&mut self, record: &Record) {
        let Some(handler) = &self.handler else { return };
        let mut handler = handler.lock().unwrap_or_else(PoisonError::into_inner);
        let called = catch_unwind(AssertUnwindSafe(|| handler(record)));
        drop(handler);
        if called.is_err() {
            self.handler = None;
        }
    }

    fn write_output(&mut self, record: &Record) {
        let Some(output) = &self.output else { return };
        let Event::Text(text) = &record.event else { return };
        if record.parent_tool_id.is_some() {
            return;
        }
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        let written = output.write_all(text.text.as_bytes()).and_then(|()| output.flush());
        drop(output);
        if written.is_err() {
            self.output = None;
        }
    }

    fn show_observers(&mut self, batch: &[Record]) {
        if self.observers.is_empty() {
            return;
        }
        let shared: Vec<_> = batch.iter().cloned().map(Arc::new).collect();
        let dropped: Vec<_> =
            self.observers.iter().map(|o| (o.name().to_owned(), o.push(&shared))).collect();
        for (observer, dropped) in dropped.into_iter().filter(|(_, dropped)| *dropped > 0) {
            // Seen with the next batch; the result stays the last event.
            if !batch.iter().any(|record| matches!(record.event, Event::Result(_))) {
                self.event(Event::ObserverDropped(ObserverDropped { observer, dropped }));
            }
        }
    }
}

/// The wall clock, in milliseconds: finer than any agent reports, and short to read.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
