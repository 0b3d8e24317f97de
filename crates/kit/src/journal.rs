//! Writes the journal of a run: inputs and records, on disk before anyone sees them.
//!
//! The format is `belay_trace::journal`'s. A journal that cannot be written costs the run nothing but the journal: it
//! says so once, is tried again from time to time, and says what is missing.

mod blobs;
pub(crate) mod files;
mod inputs;
mod last_words;
mod sync;

use self::blobs::Blobs;
use self::files::{check_owner, private_dir, private_dirs, private_file};
use self::inputs::InputLog;
use self::last_words::LastWords;
pub use self::sync::Durability;
use self::sync::Syncer;
use crate::feed::Stored;
use crate::redact::Redactor;
use belay_agents::{Input, RunRequest};
use belay_trace::journal::{
    BLOBS_DIR, EVENTS_FILE, FIELD_BYTES_MAX, InputKind, REQUEST_FILE, RUNS_DIR,
    attempt_request_file, input_file,
};
use belay_trace::{BlobRef, Failure, FailureKind, RawRef, Record, RunProcess};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

/// The file of the events before it is locked; a folder with it is no run yet.
const UNBORN_FILE: &str = "events.new";

/// The journal of one run, or none.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    files: Option<Files>,
    /// What is not a driver's input yet goes through it.
    redactor: Redactor,
    /// Of a journal that is lost.
    last_words: Option<LastWords>,
    /// Why others cannot see by a lock that the run is alive.
    unlocked: Option<String>,
}

#[derive(Debug)]
struct Files {
    folder: Arc<Path>,
    events: Arc<File>,
    /// How much is in the file of the events.
    written: u64,
    /// How much of that anybody has seen.
    shown: u64,
    /// Records that are not written yet.
    pending: Vec<u8>,
    blobs: Blobs,
    input: Option<InputLog>,
    syncer: Syncer,
}

impl Journal {
    /// Makes `STATE_DIR/runs/RUN_ID`, which nobody else can own: the folder must not exist. No other process knows
    /// the run before [`Self::appear`].
    pub(crate) fn create(
        state_dir: &Path,
        run_id: &str,
        request: &RunRequest,
        durability: Durability,
        redactor: &Redactor,
    ) -> io::Result<Self> {
        let runs = runs_dir(state_dir)?;
        let folder: Arc<Path> = runs.join(run_id).into();
        private_dir(&folder)?;
        write_request(&folder.join(REQUEST_FILE), request, redactor)?;
        let events = Arc::new(private_file(&folder.join(UNBORN_FILE))?);
        // Says that the run is alive: the system takes the lock away when we die, however we die.
        let unlocked = lock(&events).err().map(|error| error.to_string());
        let syncer = Syncer::start(durability);
        syncer.add(&events);
        syncer.add_once(folder.join(REQUEST_FILE));
        syncer.add_once(runs);
        let blobs = Blobs::new(folder.join(BLOBS_DIR));
        let (written, pending, input) = (0, Vec::new(), None);
        let files = Files { folder, events, written, shown: 0, pending, blobs, input, syncer };
        let (redactor, last_words) = (redactor.clone(), None);
        Ok(Self { files: Some(files), redactor, last_words, unlocked })
    }

    /// Lets others see the run: from its first moment it is alive, and its folder is whole.
    pub(crate) fn appear(&self) -> io::Result<()> {
        let Some(files) = &self.files else { return Ok(()) };
        fs::rename(files.folder.join(UNBORN_FILE), files.folder.join(EVENTS_FILE))?;
        files.syncer.add_once(files.folder.to_path_buf());
        Ok(())
    }

    /// Says whether journals can be written here.
    pub(crate) fn check(state_dir: &Path) -> Result<(), Failure> {
        runs_dir(state_dir).map(drop).map_err(|error| Self::failure(state_dir, &error))
    }

    /// A journal that cannot be begun.
    pub(crate) fn failure(state_dir: &Path, error: &io::Error) -> Failure {
        let message = format!("cannot write the journal in {}: {error}", state_dir.display());
        Failure::new(FailureKind::LocalIo, message)
    }

    /// The process that holds the journal, if there is one.
    pub(crate) fn process(&self) -> Option<RunProcess> {
        self.files.as_ref().map(|_| RunProcess::this(self.unlocked.is_none()))
    }

    /// Why there is no lock on the journal, if there is none.
    pub(crate) fn unlocked(&self) -> Option<String> {
        let why = self.unlocked.as_ref()?;
        let folder = self.folder()?.display();
        Some(format!(
            "no lock in {folder} ({why}): on another machine nobody sees whether this run lives"
        ))
    }

    /// The run's folder.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.files.as_ref().map(|files| &*files.folder)
    }

    /// Notes the run's request anew, which is whole only now; as a whole, so that a reader finds the one or the other.
    pub(crate) fn request(&mut self, request: &RunRequest) {
        let redactor = self.redactor.clone();
        let noted = self.try_with(|files| {
            let (path, beside) =
                (files.folder.join(REQUEST_FILE), files.folder.join(NEW_REQUEST_FILE));
            write_request(&beside, request, &redactor)?;
            fs::rename(beside, path)
        });
        // Without it a replay is told less; no run needs it.
        let _ = noted;
    }

    /// Notes the request of an attempt that differs from the run's. A journal without it costs a replay, no run.
    pub(crate) fn attempt_request(&mut self, attempt: u32, request: &RunRequest) {
        let redactor = self.redactor.clone();
        let noted = self.try_with(|files| {
            write_request(&files.folder.join(attempt_request_file(attempt)), request, &redactor)
        });
        let _ = noted;
    }

    /// Begins the input log of an attempt.
    pub(crate) fn attempt(&mut self, attempt: u32) -> io::Result<()> {
        self.try_with(|files| {
            let log = InputLog::create(&files.folder.join(input_file(attempt)))?;
            files.syncer.add(log.file());
            files.syncer.add_once(files.folder.to_path_buf());
            files.input = Some(log);
            Ok(())
        })?;
        Ok(())
    }

    /// Notes an input before the driver sees it. Returns where its bytes will stand.
    ///
    /// What the agent says has been redacted before; the words of the caller are for the agent as they are.
    pub(crate) fn input(&mut self, input: Input<'_>) -> Option<RawRef> {
        if let Input::Steer(words) = input {
            let words = self.redactor.text(words);
            return self.files.as_mut()?.input.as_mut()?.input(Input::Steer(&words));
        }
        self.files.as_mut()?.input.as_mut()?.input(input)
    }

    /// Notes the beginning of a line that is too long for a driver.
    pub(crate) fn oversized(&mut self, beginning: &[u8]) -> Option<RawRef> {
        let log = self.files.as_mut()?.input.as_mut()?;
        Some(log.frame(InputKind::Oversized, &self.redactor.bytes(beginning)))
    }

    /// Writes a batch: first the inputs, then the records that were made of them. Says where the records stand,
    /// if there is a journal.
    pub(crate) fn write(&mut self, records: &mut [Record]) -> io::Result<Option<Stored>> {
        if let Some(last_words) = &mut self.last_words {
            last_words.write(records);
        }
        self.try_with(|files| {
            if let Some(log) = &mut files.input {
                log.write()?;
            }
            files.write(records)
        })
    }

    /// Has to be called before anybody sees what was written: waits until it is durable, if it has to be.
    pub(crate) async fn before_showing(&mut self) -> io::Result<()> {
        let Some(files) = &mut self.files else { return Ok(()) };
        let synced = files.syncer.before_showing().await;
        match synced {
            Ok(()) => files.shown = files.written,
            Err(_) => self.give_up(),
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
            self.give_up();
        }
        done.map(Some)
    }

    fn give_up(&mut self) {
        if let Some(files) = self.files.take() {
            files.input.into_iter().for_each(InputLog::cut);
            self.last_words = Some(LastWords::of(files.events, files.shown));
        }
    }
}

impl Files {
    fn write(&mut self, records: &mut [Record]) -> io::Result<Stored> {
        let from = self.written;
        let mut ends = Vec::with_capacity(records.len());
        for record in &mut *records {
            self.line(record)?;
            ends.push(from + self.pending.len() as u64);
        }
        if !records.is_empty() {
            (&*self.events).write_all(&self.pending)?;
            self.written += self.pending.len() as u64;
            self.pending.clear();
            self.pending.shrink_to(PENDING_BYTES_KEPT);
            if self.events.metadata()?.nlink() == 0 {
                // Writing goes on without an error, into a file that nobody will ever see.
                return Err(io::Error::new(io::ErrorKind::NotFound, "its folder was deleted"));
            }
        }
        self.syncer.written(records)?;
        let (events, folder) = (Arc::clone(&self.events), Arc::clone(&self.folder));
        Ok(Stored { events, folder, from, ends })
    }

    /// Adds a record's line to those that are to be written; its long texts are written before it.
    fn line(&mut self, record: &mut Record) -> io::Result<()> {
        if record.weight() <= FIELD_BYTES_MAX {
            serde_json::to_writer(&mut self.pending, record)?;
        } else {
            let long = record.take_long_fields(FIELD_BYTES_MAX);
            let mut stored = Ok(());
            for field in &long {
                stored = self.blob(field.text()).map(|sha256| {
                    let (field, bytes) = (field.name().to_owned(), field.text().len() as u64);
                    record.blobs.push(BlobRef { field, sha256, bytes });
                });
                if stored.is_err() {
                    break;
                }
            }
            let line = stored.and_then(|()| Ok(serde_json::to_writer(&mut self.pending, record)?));
            // Whoever sees the record sees it whole, also when the disk does not want it.
            record.blobs.clear();
            record.put_back(long);
            line?;
        }
        self.pending.push(b'\n');
        Ok(())
    }

    fn blob(&mut self, text: &str) -> io::Result<String> {
        let blob = self.blobs.store(text)?;
        if let Some(path) = blob.new {
            self.syncer.add_once(path);
            self.syncer.add_once(self.blobs.folder().to_path_buf());
            self.syncer.add_once(self.folder.to_path_buf());
        }
        Ok(blob.sha256)
    }
}

/// Takes the lock of a new file, of which nobody else knows.
fn lock(events: &File) -> io::Result<()> {
    match belay_trace::lock::try_exclusive(events)? {
        true => Ok(()),
        false => Err(io::Error::other("another process holds it")),
    }
}

/// A request that takes the place of the run's when it is written.
const NEW_REQUEST_FILE: &str = "request.json.new";

/// How much room the buffer keeps after one large batch.
const PENDING_BYTES_KEPT: usize = 256 << 10;

/// Writes a request without its secrets; the agent gets it as it is.
fn write_request(path: &Path, request: &RunRequest, redactor: &Redactor) -> io::Result<()> {
    let json = serde_json::to_vec(request)?;
    private_file(path)?.write_all(&redactor.bytes(&json))
}

/// The folder of all runs, made if it does not exist; nobody else can have put something there.
fn runs_dir(state_dir: &Path) -> io::Result<std::path::PathBuf> {
    let runs = state_dir.join(RUNS_DIR);
    private_dirs(&runs)?;
    check_owner(state_dir)?;
    check_owner(&runs)?;
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_input_log_that_cannot_be_begun_is_an_error_and_the_end_of_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let (request, off) = (RunRequest::new("p"), Redactor::default());
        let mut journal =
            Journal::create(dir.path(), "r", &request, Durability::default(), &off).unwrap();
        fs::create_dir(dir.path().join("runs/r/input.1.log")).unwrap();
        assert!(journal.attempt(1).is_err());
        assert!(journal.input(Input::Start).is_none() && journal.folder().is_none());
    }

    #[tokio::test]
    async fn a_run_is_not_seen_before_it_is_alive() {
        let dir = tempfile::tempdir().unwrap();
        let (request, off) = (RunRequest::new("p"), Redactor::default());
        let store = belay_trace::Store::new(dir.path());
        let journal =
            Journal::create(dir.path(), "r", &request, Durability::default(), &off).unwrap();
        assert_eq!(store.runs().unwrap(), []);
        journal.appear().unwrap();
        assert_eq!(store.find("r").unwrap().overview().state, belay_trace::RunState::Running);
    }

    #[tokio::test]
    async fn a_run_id_has_one_journal() {
        let dir = tempfile::tempdir().unwrap();
        let (request, off) = (RunRequest::new("p"), Redactor::default());
        let create = || Journal::create(dir.path(), "r", &request, Durability::default(), &off);
        let first = create().unwrap();
        assert_eq!(create().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        drop(first);
        assert_eq!(create().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
