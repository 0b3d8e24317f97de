//! From events to records, and to everybody who wants them: the journal first.

use super::handler;
use crate::Client;
use crate::feed::{Feed, Stored};
use crate::journal::Journal;
use crate::limits;
use crate::observe::queue::{ObserverHandle, Told};
use crate::redact::Redactor;
use crate::traces;
use belay_agents::Input;
use belay_trace::{
    CompletionRecord, Event, Level, LogDegraded, Notice, ObserverDropped, RawRef, Record, ToolId,
    Warning,
};
use jiff::Timestamp;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The codes of notices that a result is not to be read without: an answer that may be a failure, an agent whose request
/// to belay was refused, one that does more unasked than was asked for.
const IN_RESULT: [&str; 3] = ["maybe_failed", "refused_request", "agent_mode"];

/// Numbers the events of a run and hands them out in batches.
pub(super) struct Publisher {
    pub(super) journal: Journal,
    pub(super) redactor: Redactor,
    run_id: String,
    seq: u64,
    attempt: u32,
    agent: String,
    batch: Vec<Record>,
    /// Records carry the agent's lines, where no journal has them.
    keeps_lines: bool,
    /// The agent's line that is being read, if records carry it.
    line: Option<String>,
    /// The stream, and the caller's own handler.
    feeds: Vec<Feed>,
    /// Resolves when the caller's handler has seen everything.
    handler_done: Option<oneshot::Receiver<()>>,
    observers: Vec<ObserverHandle>,
    /// The notices that the result repeats.
    warnings: Vec<Warning>,
    /// What those who watch have lost when it was too late, or too early, for an event.
    losses: Vec<String>,
}

impl Publisher {
    pub(super) fn new(client: &Client, run_id: String, stream: Feed, redactor: Redactor) -> Self {
        let (mut feeds, mut handler_done, mut losses) = (vec![stream], None, Vec::new());
        match handler::start(client) {
            Ok(Some((feed, done))) => {
                feeds.push(feed);
                handler_done = Some(done);
            }
            Ok(None) => {}
            Err(error) => losses.push(format!("the handler cannot be called: {error}")),
        }
        Self {
            journal: Journal::default(),
            redactor,
            run_id,
            seq: 0,
            attempt: 0,
            agent: String::new(),
            batch: Vec::new(),
            keeps_lines: client.raw_lines,
            line: None,
            feeds,
            handler_done,
            observers: client.observers.clone(),
            warnings: Vec::new(),
            losses,
        }
    }

    /// What follows belongs to this attempt.
    pub(super) fn attempt(&mut self, attempt: u32, agent: &str) {
        self.attempt = attempt;
        agent.clone_into(&mut self.agent);
    }

    /// Begins the input log of the attempt. The first one must be there before the agent costs anything; a later
    /// one is not worth the run.
    pub(super) fn open_input_log(&mut self) -> io::Result<()> {
        match self.journal.attempt(self.attempt) {
            Err(error) if self.attempt > 1 => {
                self.log_degraded(&error);
                Ok(())
            }
            opened => opened,
        }
    }

    /// Adds belay's own event to the batch.
    pub(super) fn event(&mut self, event: Event) {
        let line = self.line.take();
        self.event_from(None, None, event);
        self.line = line;
    }

    /// What the agent's next events come from; the journal, if there is one, has noted it.
    pub(super) fn input(&mut self, input: Input<'_>) -> Option<RawRef> {
        let raw = self.journal.input(input);
        let line = match input {
            Input::Stdout(line) | Input::Stderr(line) | Input::Sse(line) => Some(line),
            _ => None,
        };
        let line = line.filter(|_| self.keeps_lines && raw.is_none());
        self.line = line.map(|line| String::from_utf8_lossy(line).into_owned());
        raw
    }

    /// The input was read.
    pub(super) fn input_read(&mut self) {
        self.line = None;
    }

    /// Adds an event that an agent's line gave rise to.
    pub(super) fn event_from(
        &mut self,
        raw: Option<RawRef>,
        parent_tool_id: Option<ToolId>,
        mut event: Event,
    ) {
        // Before anybody sees it: the journal, the feeds and the observers take it from the batch.
        self.redactor.event(&mut event);
        self.note_warning(&event);
        let mut record = Record::new(self.run_id.clone(), event);
        record.seq = self.seq;
        record.ts = now();
        record.attempt = self.attempt;
        record.agent.clone_from(&self.agent);
        record.parent_tool_id = parent_tool_id;
        record.raw = raw;
        record.raw_line.clone_from(&self.line);
        self.seq += 1;
        self.batch.push(record);
    }

    /// What the result has to say beside the answer.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        self.warnings.clone()
    }

    fn note_warning(&mut self, event: &Event) {
        let Event::Notice(Notice { level: Level::Warn, code: Some(code), text }) = event else {
            return;
        };
        if !IN_RESULT.contains(&code.as_str()) || self.warnings.len() >= limits::RESULT_WARNINGS_MAX
        {
            return;
        }
        let warning = Warning { code: code.clone(), text: text.clone() };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Writes the batch to the journal, and then shows it to everybody.
    pub(super) async fn flush(&mut self) {
        let stored = match self.store().await {
            Ok(stored) => stored,
            Err(error) => {
                self.log_degraded(&error);
                // What is left of the journal may still take this.
                self.journal.write(&mut self.batch).unwrap_or_default()
            }
        };
        if self.batch.is_empty() {
            return;
        }
        let batch: Vec<_> = self.batch.drain(..).map(Arc::new).collect();
        self.feeds.iter().for_each(|feed| feed.push(&batch, stored.as_ref()));
        self.show_observers(&batch);
    }

    /// Writes the batch to the journal; says where it stands there.
    async fn store(&mut self) -> io::Result<Option<Stored>> {
        let stored = self.journal.write(&mut self.batch)?;
        if !self.batch.is_empty() {
            self.journal.before_showing().await?;
        }
        Ok(stored)
    }

    /// Says that nothing more will come, and waits until the caller's own handler has seen everything.
    pub(super) async fn close(&mut self) {
        self.feeds.clear();
        if let Some(done) = self.handler_done.take() {
            // It ends in any case: what it calls is caught when it panics.
            let _ = done.await;
        }
    }

    /// Waits until the journal is durable. It is too late for an event: what fails is a loss of those who watch.
    pub(super) async fn close_journal(&mut self) {
        if let Err(error) = std::mem::take(&mut self.journal).close().await {
            self.losses.push(format!("the journal may not survive a loss of power: {error}"));
        }
    }

    /// Tells the observers what the run came to. It is too late for an event: what they lose for it is said at the end.
    pub(super) fn complete(&mut self, completion: CompletionRecord) {
        let told = Arc::new(Told::Completion(Box::new(completion)));
        for observer in &self.observers {
            let dropped = observer.tell(&told);
            if dropped > 0 {
                self.losses
                    .push(format!("{}: {dropped} records dropped at the end", observer.name()));
            }
        }
    }

    /// Waits until the observers have seen everything, at most `patience` in all; returns their errors.
    pub(super) async fn flush_observers(&self, patience: Duration) -> Vec<String> {
        let mut errors = self.losses.clone();
        errors.extend(traces::flush(&self.observers, &self.run_id, patience).await);
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

    fn show_observers(&mut self, batch: &[Arc<Record>]) {
        let dropped: Vec<_> =
            self.observers.iter().map(|o| (o.name().to_owned(), o.push(batch))).collect();
        for (observer, dropped) in dropped.into_iter().filter(|(_, dropped)| *dropped > 0) {
            // Seen with the next batch; the result stays the last event.
            if batch.iter().any(|record| matches!(record.event, Event::Result(_))) {
                self.losses.push(format!("{observer}: {dropped} records dropped at the end"));
            } else {
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
