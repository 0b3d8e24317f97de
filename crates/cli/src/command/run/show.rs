//! Showing a run while it happens, on a thread of its own: a reader of our output who stops reading slows
//! neither the agent nor a Ctrl-C.

use super::Format;
use belay_trace::{Event, Level, Record, visible_line};
use belaykit::Logger;
use std::io::{self, BufWriter, Stderr, Stdout, Write as _};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use tokio::sync::oneshot;

/// The thread that shows records, in order.
pub(super) struct Screen {
    records: Sender<Record>,
    /// Resolves when everything is shown.
    pub(super) done: oneshot::Receiver<()>,
}

impl Screen {
    /// Starts to show what comes.
    pub(super) fn open(mut view: View) -> io::Result<Self> {
        let (records, incoming) = mpsc::channel();
        let (finished, done) = oneshot::channel();
        thread::Builder::new().name("belay-screen".to_owned()).spawn(move || {
            view.show(&incoming);
            // A program that waits no longer has been told to end.
            let _ = finished.send(());
        })?;
        Ok(Self { records, done })
    }

    /// Shows a record when those before it are shown.
    pub(super) fn show(&self, record: Record) {
        // The thread lives as long as we hold the sender.
        let _ = self.records.send(record);
    }

    /// Says that nothing more will come; gives what resolves when all is shown.
    pub(super) fn close(self) -> oneshot::Receiver<()> {
        self.done
    }
}

/// What a run looks like.
pub(super) enum View {
    Text(Logger<Stderr>),
    /// Every record, or the result alone, as JSON; nothing once nobody reads any more.
    Json {
        format: Format,
        out: Option<BufWriter<Stdout>>,
    },
    Quiet,
}

impl View {
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
        match self {
            Self::Text(logger) => logger.record(record),
            Self::Json { format, out } => {
                let wanted = *format == Format::Jsonl || matches!(record.event, Event::Result(_));
                if wanted && out.as_mut().is_some_and(|out| write_line(out, record).is_err()) {
                    // A reader that is gone has seen enough; the agent's work goes on.
                    *out = None;
                }
                if *format == Format::Json {
                    warn(record);
                }
            }
            Self::Quiet => warn(record),
        }
    }

    fn flush(&mut self) {
        if let Self::Json { out, .. } = self
            && out.as_mut().is_some_and(|out| out.flush().is_err())
        {
            *out = None;
        }
    }
}

fn write_line(out: &mut BufWriter<Stdout>, record: &Record) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}

/// The formats for programs still tell people what was left out.
fn warn(record: &Record) {
    if let Event::Notice(notice) = &record.event
        && notice.level == Level::Warn
        && notice.code.as_deref() == Some("option_ignored")
    {
        eprintln!("warning: {}", visible_line(&notice.text));
    }
}
