//! From events to records, and to everybody who wants them: the journal first.

use crate::Client;
use crate::client::{Handler, Output};
use crate::journal::Journal;
use crate::observe::queue::ObserverHandle;
use belay_trace::{Event, LogDegraded, ObserverDropped, RawRef, Record, ToolId};
use jiff::Timestamp;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
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
    /// What observers lost when it was too late for an event.
    late_drops: Vec<String>,
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
            late_drops: Vec::new(),
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
    pub(super) async fn flush(&mut self) {
        if let Err(error) = self.journal.write(&self.batch) {
            self.log_degraded(&error);
        }
        let batch = std::mem::take(&mut self.batch);
        let batch = self.show_caller(batch).await;
        self.show_observers(&batch);
        for record in batch {
            // A caller who does not read has said so by dropping the run.
            let _ = self.records.send(record);
        }
    }

    /// Waits until the observers have seen everything, at most `patience` in all; returns their errors.
    pub(super) async fn flush_observers(&self, patience: Duration) -> Vec<String> {
        let deadline = tokio::time::Instant::now() + patience;
        let flushes: Vec<_> =
            self.observers.iter().map(|o| (o.name(), o.flush(&self.run_id))).collect();
        let mut errors = self.late_drops.clone();
        for (name, flushed) in flushes {
            match tokio::time::timeout_at(deadline, flushed).await {
                Ok(Ok(failed)) => errors.extend(failed),
                Ok(Err(_)) => errors.push(format!("{name}: its thread is gone")),
                Err(_) => errors.push(format!("{name}: still busy after {} s", patience.as_secs())),
            }
        }
        errors
    }

    /// Says that there is no journal any more; the result stays the last event.
    fn log_degraded(&mut self, error: &io::Error) {
        let message = format!("the journal cannot be written any more: {error}");
        let result = self.batch.pop_if(|record| matches!(record.event, Event::Result(_)));
        self.seq -= u64::from(result.is_some());
        self.event(Event::LogDegraded(LogDegraded { message }));
        if let Some(result) = result {
            self.batch.push(Record { seq: self.seq, ..result });
            self.seq += 1;
        }
    }

    /// Shows a batch to the caller's own handler and output, where they may take their time: on the
    /// runtime's threads they would keep the agent's pipes from being read, on whichever of them they run.
    async fn show_caller(&mut self, batch: Vec<Record>) -> Vec<Record> {
        if batch.is_empty() || (self.handler.is_none() && self.output.is_none()) {
            return batch;
        }
        let (mut handler, mut output) = (self.handler.take(), self.output.take());
        let shown = tokio::task::spawn_blocking(move || {
            for record in &batch {
                call_handler(&mut handler, record);
                write_output(&mut output, record);
            }
            (batch, handler, output)
        });
        // The runtime is being shut down, and this run with it.
        let Ok((batch, handler, output)) = shown.await else { return Vec::new() };
        (self.handler, self.output) = (handler, output);
        batch
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
            if batch.iter().any(|record| matches!(record.event, Event::Result(_))) {
                self.late_drops.push(format!("{observer}: {dropped} records dropped at the end"));
            } else {
                self.event(Event::ObserverDropped(ObserverDropped { observer, dropped }));
            }
        }
    }
}

/// A handler that panics poisons its lock, and is thereby off for every run of the client.
fn call_handler(handler: &mut Option<Handler>, record: &Record) {
    let Some(shared) = handler else { return };
    let call = AssertUnwindSafe(|| match shared.lock() {
        Ok(mut handler) => {
            handler(record);
            true
        }
        Err(_) => false,
    });
    if !catch_unwind(call).unwrap_or(false) {
        *handler = None;
    }
}

/// Writes the text of the main conversation; an output that panics is off like a handler that does.
fn write_output(output: &mut Option<Output>, record: &Record) {
    let Some(shared) = output else { return };
    let Event::Text(text) = &record.event else { return };
    if record.parent_tool_id.is_some() {
        return;
    }
    let write = AssertUnwindSafe(|| match shared.lock() {
        Ok(mut output) => {
            output.write_all(text.text.as_bytes()).and_then(|()| output.flush()).is_ok()
        }
        Err(_) => false,
    });
    if !catch_unwind(write).unwrap_or(false) {
        *output = None;
    }
}

/// The wall clock, in milliseconds: finer than any agent reports, and short to read.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
