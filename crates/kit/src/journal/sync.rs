//! When what was written is made to survive a loss of power, without the run's loop waiting for the disk.

use crate::aside;
use crate::limits::SYNC_AFTER;
use belay_trace::{Event, Record};
use std::fs::File;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a loss of power may cost of a run's journal. The end of the program costs nothing of it in any case,
/// however it ends: what was shown was written before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// As much as the system keeps in memory: half a minute on Linux. For throwaway runs on slow disks.
    Relaxed,
    /// The last second of ordinary events. Those that a run is taken up again from (its start, attempts,
    /// sessions, its result) are on the disk as soon as the disk can.
    #[default]
    Normal,
    /// Nothing that anybody has seen: every batch of events is on the disk before it is shown. Each batch waits
    /// for the disk.
    Strict,
}

/// Makes files durable, as its [`Durability`] says.
#[derive(Debug)]
pub(super) struct Syncer {
    durability: Durability,
    files: Arc<Files>,
    /// The one who syncs while the run goes on.
    worker: Option<Worker>,
}

#[derive(Debug)]
struct Worker {
    progress: watch::Sender<Progress>,
    task: JoinHandle<()>,
}

/// How often something was written, and which of these times it was urgent.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    written: u64,
    urgent: u64,
}

/// What has to be synced.
struct Files {
    state: Mutex<State>,
    /// How a file is synced; tests have their own way.
    sync: SyncFile,
}

type SyncFile = Box<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

#[derive(Debug, Default)]
struct State {
    /// Files that are written to. One that nobody else holds any more is synced a last time.
    open: Vec<Arc<File>>,
    /// Files and folders to sync once.
    once: Vec<PathBuf>,
    failed: Option<io::Error>,
}

impl Syncer {
    /// Must be called within a tokio runtime.
    pub(super) fn start(durability: Durability) -> Self {
        Self::with(durability, File::sync_data)
    }

    fn with(
        durability: Durability,
        sync: impl Fn(&File) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let files = Arc::new(Files { state: Mutex::default(), sync: Box::new(sync) });
        let worker = (durability == Durability::Normal).then(|| {
            let (progress, seen) = watch::channel(Progress::default());
            let task = tokio::spawn(keep_durable(Arc::clone(&files), seen));
            Worker { progress, task }
        });
        Self { durability, files, worker }
    }

    /// From now on this file is written to.
    pub(super) fn add(&self, file: &Arc<File>) {
        if self.durability != Durability::Relaxed {
            self.files.lock().open.push(Arc::clone(file));
        }
    }

    /// This file is written, or this folder has a new entry.
    pub(super) fn add_once(&self, path: PathBuf) {
        if self.durability != Durability::Relaxed {
            self.files.lock().once.push(path);
        }
    }

    /// Takes note that these records were written, or inputs only.
    ///
    /// # Errors
    /// When something that was written before could not be synced.
    pub(super) fn written(&self, records: &[Record]) -> io::Result<()> {
        let Some(worker) = &self.worker else { return Ok(()) };
        if let Some(error) = self.files.lock().failed.take() {
            return Err(error);
        }
        worker.progress.send_modify(|progress| {
            progress.written += 1;
            if records.iter().any(is_urgent) {
                progress.urgent = progress.written;
            }
        });
        Ok(())
    }

    /// Waits until what is about to be shown is on the disk, if it has to be.
    pub(super) async fn before_showing(&self) -> io::Result<()> {
        match self.durability {
            Durability::Strict => self.files.sync_elsewhere().await,
            Durability::Normal | Durability::Relaxed => Ok(()),
        }
    }

    /// Waits until everything is on the disk.
    pub(super) async fn finish(self) -> io::Result<()> {
        if let Some(Worker { progress, task }) = self.worker {
            drop(progress);
            // A worker that is gone has left the work to us.
            let _ = task.await;
        }
        if let Some(error) = self.files.lock().failed.take() {
            return Err(error);
        }
        match self.durability {
            Durability::Relaxed => Ok(()),
            Durability::Normal | Durability::Strict => self.files.sync_elsewhere().await,
        }
    }
}

/// Syncs at once what is urgent and the rest within [`SYNC_AFTER`], all that has come meanwhile together.
async fn keep_durable(files: Arc<Files>, mut progress: watch::Receiver<Progress>) {
    let mut synced = 0;
    // Ends with the journal, which does what is left.
    while progress.wait_for(|progress| progress.written > synced).await.is_ok() {
        let urgent = progress.wait_for(|progress| progress.urgent > synced);
        if let Ok(Err(_)) = tokio::time::timeout(SYNC_AFTER, urgent).await {
            return;
        }
        let up_to = progress.borrow().written;
        if let Err(error) = files.sync_elsewhere().await {
            files.lock().failed = Some(error);
            return;
        }
        synced = up_to;
    }
}

/// What a run is taken up again from.
fn is_urgent(record: &Record) -> bool {
    matches!(
        record.event,
        Event::RunStarted(_)
            | Event::AttemptStarted(_)
            | Event::SessionStarted(_)
            | Event::Failover(_)
            | Event::AttemptEnded(_)
            | Event::Result(_)
    )
}

impl Files {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs on a thread where that may take its time.
    async fn sync_elsewhere(self: &Arc<Self>) -> io::Result<()> {
        let files = Arc::clone(self);
        let synced = aside::begin(move || files.sync()).await;
        synced.unwrap_or_else(|| Err(io::Error::other("the sync has failed badly")))
    }

    fn sync(&self) -> io::Result<()> {
        let (once, open) = {
            let mut state = self.lock();
            (mem::take(&mut state.once), state.open.clone())
        };
        // First what the lines of the events refer to.
        for path in once {
            match (self.sync)(&File::open(path)?) {
                // A file system that cannot sync a folder.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                synced => synced?,
            }
        }
        for file in open.iter().rev() {
            (self.sync)(file)?;
        }
        drop(open);
        self.lock().open.retain(|file| Arc::strong_count(file) > 1);
        Ok(())
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("state", &self.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
