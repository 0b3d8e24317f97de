//! Showing a run while it happens, on a thread of its own: a reader of our output who stops reading slows
//! neither the agent nor a Ctrl-C. What waits for him stays in the journal, for only a little is taken from the
//! run before it is shown.

mod trouble;

use self::trouble::Trouble;
use super::options::Format;
use crate::say::warn;
use crate::terminal::{self, Shown};
use belay_trace::{Event, Level, Record, visible_json, visible_line};
use belaykit::Logger;
use jiff::Timestamp;
use std::io::{self, BufWriter, Stderr, Stdout, Write as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How much may wait to be shown, in KiB: enough for a screen that is busy for a moment, little beside what the
/// run itself keeps for a slow reader.
const WAITING_KIB_MAX: u32 = 1024;

/// How often a countdown is looked at: often enough for every second, and for what comes meanwhile.
const TICK: Duration = Duration::from_millis(200);

/// The thread that shows records, in order.
pub(super) struct Screen {
    records: UnboundedSender<Waiting>,
    /// What bounds the channel: by size, since a record may be a few bytes or a whole file.
    room: Arc<Semaphore>,
    done: oneshot::Receiver<io::Result<()>>,
}

/// A record that waits to be shown, and the room that it takes until then.
type Waiting = (Arc<Record>, OwnedSemaphorePermit);

impl Screen {
    /// Starts to show what comes.
    pub(super) fn open(mut view: View) -> io::Result<Self> {
        let (records, mut incoming) = mpsc::unbounded_channel();
        let (finished, done) = oneshot::channel();
        let room = Arc::new(Semaphore::new(WAITING_KIB_MAX as usize));
        thread::Builder::new().name("belay-screen".to_owned()).spawn(move || {
            view.show(&mut incoming);
            // A program that waits no longer has been told to end.
            let _ = finished.send(view.failed.map_or(Ok(()), Err));
        })?;
        Ok(Self { records, room, done })
    }

    /// Shows a record when those before it are shown; waits while there is no room for it.
    pub(super) async fn show(&self, record: Arc<Record>) {
        let kib = u32::try_from(record.weight() / 1024).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(kib.clamp(1, WAITING_KIB_MAX)).await;
        // The semaphore is never closed, and the thread lives as long as we hold the sender.
        if let Ok(room) = room {
            let _ = self.records.send((record, room));
        }
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
    /// When a wait ends of which a person sees how long it still takes.
    countdown: Option<Timestamp>,
    trouble: Trouble,
}

enum Look {
    Text(Logger<Shown<Stderr>>),
    /// Every record, or the result alone; nothing once it cannot be written.
    Json {
        format: Format,
        out: Option<BufWriter<Shown<Stdout>>>,
    },
    Quiet,
}

impl View {
    pub(super) fn text(logger: Logger<Shown<Stderr>>) -> Self {
        Self::of(Look::Text(logger))
    }

    pub(super) fn json(format: Format) -> Self {
        let out = Some(BufWriter::new(terminal::stdout()));
        Self::of(Look::Json { format, out })
    }

    pub(super) fn quiet() -> Self {
        Self::of(Look::Quiet)
    }

    fn of(look: Look) -> Self {
        Self { look, failed: None, countdown: None, trouble: Trouble::default() }
    }

    fn show(&mut self, incoming: &mut UnboundedReceiver<Waiting>) {
        loop {
            let (record, _room) = match incoming.try_recv() {
                Ok(waiting) => waiting,
                Err(TryRecvError::Disconnected) => return self.flush(),
                Err(TryRecvError::Empty) => {
                    // What has come is shown before we wait for more.
                    self.flush();
                    if let Some(until) = self.countdown.take() {
                        count_down(until, incoming);
                        continue;
                    }
                    match incoming.blocking_recv() {
                        Some(waiting) => waiting,
                        None => return,
                    }
                }
            };
            self.record(&record);
        }
    }

    fn record(&mut self, record: &Record) {
        // The text format shows each of them.
        if !matches!(self.look, Look::Text(_))
            && let Some(words) = self.trouble.hear(record)
        {
            warn(words);
        }
        match &mut self.look {
            Look::Text(logger) => {
                logger.record(record);
                self.countdown = match &record.event {
                    Event::Waiting(waiting) if terminal::stderr().is_terminal() => {
                        Some(waiting.until)
                    }
                    _ => None,
                };
            }
            Look::Json { format, .. } => {
                let format = *format;
                if format == Format::Jsonl || matches!(record.event, Event::Result(_)) {
                    self.write(|out| write_line(out, record));
                }
                tell_people(format, record);
            }
            Look::Quiet => tell_people(Format::Quiet, record),
        }
    }

    fn flush(&mut self) {
        self.write(|out| out.flush());
    }

    /// Writes to standard output until that fails once; the agent's work goes on all the same.
    fn write(&mut self, write: impl FnOnce(&mut BufWriter<Shown<Stdout>>) -> io::Result<()>) {
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

/// Shows how long a wait still takes, by the clock on the wall, until something comes or the time is there.
fn count_down(until: Timestamp, incoming: &UnboundedReceiver<Waiting>) {
    while incoming.is_empty() && !incoming.is_closed() {
        let left = until.duration_since(Timestamp::now()).as_secs();
        if left <= 0 {
            break;
        }
        let (hours, minutes, seconds) = (left / 3600, left / 60 % 60, left % 60);
        terminal::rewrite_line(format_args!("  {hours}:{minutes:02}:{seconds:02} left"));
        thread::sleep(TICK);
    }
    terminal::rewrite_line("");
}

fn write_line(out: &mut BufWriter<Shown<Stdout>>, record: &Record) -> io::Result<()> {
    if out.get_ref().is_terminal() {
        // JSON escapes the C0 controls; a terminal obeys others too.
        let text = serde_json::to_string(record)?;
        return writeln!(out, "{}", visible_json(&text));
    }
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}

/// Notices that a person has to see in any format: for whom the run waits, with whom it shares something,
/// and what its result says beside the answer.
const URGENT: [&str; 7] = [
    "session_queue",
    "session_in_use",
    "session_lock",
    "shared_folder",
    "maybe_failed",
    "refused_request",
    "agent_mode",
];

/// The formats for programs still tell people what they must know: that the journal is lost, and what was left
/// out unless it stands in the output.
fn tell_people(format: Format, record: &Record) {
    match &record.event {
        Event::LogDegraded(log) => warn(visible_line(&log.message)),
        Event::Notice(notice)
            if notice.code.as_deref().is_some_and(|code| URGENT.contains(&code)) =>
        {
            warn(visible_line(&notice.text));
        }
        Event::Notice(notice)
            if format != Format::Jsonl
                && notice.level == Level::Warn
                && notice.code.as_deref() == Some("option_ignored") =>
        {
            warn(visible_line(&notice.text));
        }
        _ => {}
    }
}
