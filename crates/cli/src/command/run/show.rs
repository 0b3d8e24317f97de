//! Showing a run while it happens, on a thread of its own: a reader of our output who stops reading slows
//! neither the agent nor a Ctrl-C.

use super::options::Format;
use crate::say::warn;
use belay_trace::{Event, Level, Record, visible_json, visible_line};
use belaykit::Logger;
use std::io::{self, BufWriter, IsTerminal as _, Stderr, Stdout, Write as _};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use tokio::sync::oneshot;

/// The thread that shows records, in order.
pub(super) struct Screen {
    records: Sender<Record>,
    done: oneshot::Receiver<io::Result<()>>,
}

impl Screen {
    /// Starts to show what comes.
    pub(super) fn open(mut view: View) -> io::Result<Self> {
        let (records, incoming) = mpsc::channel();
        let (finished, done) = oneshot::channel();
        thread::Builder::new().name("belay-screen".to_owned()).spawn(move || {
            view.show(&incoming);
            // A program that waits no longer has been told to end.
            let _ = finished.send(view.failed.map_or(Ok(()), Err));
        })?;
        Ok(Self { records, done })
    }

    /// Shows a record when those before it are shown.
    pub(super) fn show(&self, record: Record) {
        // The thread lives as long as we hold the sender.
        let _ = self.records.send(record);
    }

    /// Says that nothing more will come, and waits until all is shown.
    pub(super) async fn close(self) -> io::Result<()> {
        drop(self.records);
        self.done.await.unwrap_or_else(|_| Err(io::Error::other("the screen is gone")))
    }
}

/// What a run looks like.
pub(super) struct View {
    look: Look,
    /// Why nothing can be written any more. A reader that is gone is no failure: he has seen enough.
    failed: Option<io::Error>,
}

enum Look {
    Text(Logger<Stderr>),
    /// Every record, or the result alone; nothing once it cannot be written.
    Json {
        format: Format,
        out: Option<BufWriter<Stdout>>,
    },
    Quiet,
}

impl View {
    pub(super) fn text(logger: Logger<Stderr>) -> Self {
        Self { look: Look::Text(logger), failed: None }
    }

    pub(super) fn json(format: Format) -> Self {
        let out = Some(BufWriter::new(io::stdout()));
        Self { look: Look::Json { format, out }, failed: None }
    }

    pub(super) fn quiet() -> Self {
        Self { look: Look::Quiet, failed: None }
    }

    fn show(&mut self, incoming: &Receiver<Record>) {
        loop {
            let record = match incoming.try_recv() {
                Ok(record) => record,
                Err(TryRecvError::Disconnected) => return self.flush(),
                Err(TryRecvError::Empty) => {
                    // What has come is shown before we wait for more.
                    self.flush();
                    match incoming.recv() {
                        Ok(record) => record,
                        Err(mpsc::RecvError) => return,
                    }
                }
            };
            self.record(&record);
        }
    }

    fn record(&mut self, record: &Record) {
        match &mut self.look {
            Look::Text(logger) => logger.record(record),
            Look::Json { format, .. } => {
                let format = *format;
                if format == Format::Jsonl || matches!(record.event, Event::Result(_)) {
                    self.write(|out| write_line(out, record));
                }
                if format == Format::Json {
                    tell_what_was_left_out(record);
                }
            }
            Look::Quiet => tell_what_was_left_out(record),
        }
    }

    fn flush(&mut self) {
        self.write(|out| out.flush());
    }

    /// Writes to standard output until that fails once; the agent's work goes on all the same.
    fn write(&mut self, write: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>) {
        let Look::Json { out, .. } = &mut self.look else { return };
        let Some(Err(error)) = out.as_mut().map(write) else { return };
        if let Some(buffer) = out.take() {
            // What it still holds would be tried again.
            let _ = buffer.into_parts();
        }
        if error.kind() != io::ErrorKind::BrokenPipe {
            self.failed = Some(error);
        }
    }
}

fn write_line(out: &mut BufWriter<Stdout>, record: &Record) -> io::Result<()> {
    if out.get_ref().is_terminal() {
        // JSON escapes the C0 controls; a terminal obeys others too.
        let text = serde_json::to_string(record)?;
        return writeln!(out, "{}", visible_json(&text));
    }
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}

/// The formats for programs still tell people what was left out.
fn tell_what_was_left_out(record: &Record) {
    if let Event::Notice(notice) = &record.event
        && notice.level == Level::Warn
        && notice.code.as_deref() == Some("option_ignored")
    {
        warn(visible_line(&notice.text));
    }
}
