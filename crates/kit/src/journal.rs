//! Writes the journal of a run: inputs and records, on disk before anyone sees them.
//!
//! The format is `belay_trace::journal`'s. A journal that can no longer be written costs the run nothing but
//! the journal: it says so once and is silent from then on.

mod sync;

pub use self::sync::Durability;
use self::sync::Syncer;
use crate::feed::Stored;
use belay_agents::{Exit, Input, RunRequest};
use belay_trace::journal::{EVENTS_FILE, Frame, InputKind, REQUEST_FILE, RUNS_DIR, input_file};
use belay_trace::{Decision, Failure, FailureKind, RawRef, Record};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The journal of one run, or none.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    folder: PathBuf,
    events: Arc<File>,
    /// How much is in the file of the events.
    written: u64,
    input: Option<InputLog>,
    syncer: Syncer,
    /// Records that are not written yet.
    pending_events: Vec<u8>,
}

#[derive(Debug)]
struct InputLog {
    file: Arc<File>,
    began: Instant,
    /// How much is in the file.
    written: u64,
    /// Frames that are not written yet.
    pending: Vec<u8>,
}

impl Journal {
    /// Opens `STATE_DIR/runs/RUN_ID`, which nobody else can own: the folder must not exist.
    pub(crate) fn create(
        state_dir: &Path,
        run_id: &str,
        request: &RunRequest,
        durability: Durability,
    ) -> io::Result<Self> {
        let runs = state_dir.join(RUNS_DIR);
        private_dir(&runs, true)?;
        let folder = runs.join(run_id);
        private_dir(&folder, false)?;
        serde_json::to_writer(append(&folder.join(REQUEST_FILE))?, request)?;
        let events = Arc::new(append(&folder.join(EVENTS_FILE))?);
        // Says that the run is alive: the system takes the lock away when we die, however we die.
        events.lock()?;
        let syncer = Syncer::start(durability);
        syncer.add(&events);
        for path in [folder.join(REQUEST_FILE), folder.clone(), runs] {
            syncer.add_once(path);
        }
        let pending_events = Vec::new();
        Ok(Self {
            files: Some(Files { folder, events, written: 0, input: None, syncer, pending_events }),
        })
    }

    /// Says whether journals can be written here.
    pub(crate) fn check(state_dir: &Path) -> Result<(), Failure> {
        private_dir(&state_dir.join(RUNS_DIR), true)
            .map_err(|error| Self::failure(state_dir, &error))
    }

    /// A journal that cannot be begun.
    pub(crate) fn failure(state_dir: &Path, error: &io::Error) -> Failure {
        let message = format!("cannot write the journal in {}: {error}", state_dir.display());
        Failure::new(FailureKind::LocalIo, message)
    }

    /// The run's folder.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.files.as_ref().map(|files| files.folder.as_path())
    }

    /// Begins the input log of an attempt.
    pub(crate) fn attempt(&mut self, attempt: u32) -> io::Result<()> {
        self.try_with(|files| {
            let file = Arc::new(append(&files.folder.join(input_file(attempt)))?);
            files.syncer.add(&file);
            files.syncer.add_once(files.folder.clone());
            let log = InputLog { file, began: Instant::now(), written: 0, pending: Vec::new() };
            files.input = Some(log);
            Ok(())
        })?;
        Ok(())
    }

    /// Notes an input before the driver sees it. Returns where its bytes will stand.
    pub(crate) fn input(&mut self, input: Input<'_>) -> Option<RawRef> {
        let log = self.files.as_mut()?.input.as_mut()?;
        let at_us = u64::try_from(log.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let text;
        let (kind, bytes) = match input {
            Input::Start => (InputKind::Start, &b""[..]),
            Input::Stdout(line) => (InputKind::Stdout, line),
            Input::Stderr(line) => (InputKind::Stderr, line),
            Input::Steer(words) => (InputKind::Steer, words.as_bytes()),
            Input::Interrupt => (InputKind::Interrupt, &b""[..]),
            Input::Permission { id, answer } => {
                let answer = match answer {
                    Decision::Allow => "allow",
                    Decision::Deny => "deny",
                };
                text = format!("{answer} {id}");
                (InputKind::Permission, text.as_bytes())
            }
            Input::Timer(timer) => {
                text = timer.0.to_string();
                (InputKind::Timer, text.as_bytes())
            }
            Input::Exit(exit) => {
                text = match exit {
                    Exit::Code(code) => format!("code {code}"),
                    Exit::Signal(signal) => format!("signal {signal}"),
                };
                (InputKind::Exit, text.as_bytes())
            }
            _ => return None,
        };
        let begin = Frame { kind, at_us, bytes }.write(&mut log.pending);
        Some(RawRef { offset: log.written + begin, len: bytes.len() as u64 })
    }

    /// Writes a batch: first the inputs, then the records that were made of them. Says where the records stand,
    /// if there is a journal.
    pub(crate) fn write(&mut self, records: &[Record]) -> io::Result<Option<Stored>> {
        self.try_with(|files| {
            if let Some(log) = &mut files.input
                && !log.pending.is_empty()
            {
                (&*log.file).write_all(&log.pending)?;
                log.written += log.pending.len() as u64;
                log.pending.clear();
                log.pending.shrink_to(PENDING_BYTES_KEPT);
            }
            let from = files.written;
            let mut ends = Vec::with_capacity(records.len());
            for record in records {
                serde_json::to_writer(&mut files.pending_events, record)?;
                files.pending_events.push(b'\n');
                ends.push(from + files.pending_events.len() as u64);
            }
            (&*files.events).write_all(&files.pending_events)?;
            files.written += files.pending_events.len() as u64;
            files.pending_events.clear();
            files.pending_events.shrink_to(PENDING_BYTES_KEPT);
            files.syncer.written(records)?;
            Ok(Stored { events: Arc::clone(&files.events), from, ends })
        })
    }

    /// Waits until what was written is durable, if it has to be before anybody sees it.
    pub(crate) async fn before_showing(&mut self) -> io::Result<()> {
        let Some(files) = &self.files else { return Ok(()) };
        let synced = files.syncer.before_showing().await;
        if synced.is_err() {
            self.files = None;
        }
        synced
    }

    /// Waits until everything is durable, and lets go of the run.
    pub(crate) async fn close(self) -> io::Result<()> {
        match self.files {
            Some(files) => files.syncer.finish().await,
            None => Ok(()),
        }
    }

    /// Does something with the files; after an error there are none.
    fn try_with<T>(
        &mut self,
        act: impl FnOnce(&mut Files) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        let Some(files) = &mut self.files else { return Ok(None) };
        let done = act(files);
        if done.is_err() {
            self.files = None;
        }
        done.map(Some)
    }
}

/// How much room the buffers keep after one large batch.
const PENDING_BYTES_KEPT: usize = 256 << 10;

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create_new(true).read(true).append(true).mode(0o600).open(path)
}

/// Makes a folder that only its owner can enter.
pub(crate) fn private_dir(path: &Path, recursive: bool) -> io::Result<()> {
    DirBuilder::new().recursive(recursive).mode(0o700).create(path)
}
