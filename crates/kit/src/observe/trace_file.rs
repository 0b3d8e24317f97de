//! The files of traces, which any number of runs and processes write at once: each change is made under the lock
//! of the folder, and replaces the file whole.

#[cfg(test)]
mod crashes;
mod folder;

use self::folder::Locked;
pub(super) use self::folder::Mark;
use self::folder::{check, refuse_links};
use crate::redact::Redactor;
use crate::{Environment, Redaction};
use belay_trace::{
    Fold, Liveness, Node, RUNNING_DIR, ReadError, Store, TraceConfig, TraceEnd, TraceId,
    TraceStart, dead_runs,
};
use jiff::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The trace files in a folder: begins them, ends them, and puts in order what killed runs have left.
///
/// ```
/// use belaykit::{Environment, Redaction, TraceFiles};
///
/// # let dir = tempfile::tempdir()?;
/// let files = TraceFiles::at(dir.path().join("traces"));
/// let id = files.start("hiveminer-run", &Redaction::default(), &Environment::default())?;
/// // … runs with this trace id, in this process and in others …
/// let ended = files.end(&id, None)?;
/// assert_eq!(ended.tree.agent_name, "hiveminer-run");
/// assert!(files.end(&id, None).is_err(), "it has ended");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TraceFiles {
    dir: PathBuf,
    /// What the folder really is, once it was looked at: it may not become another one in mid-run.
    real: Option<PathBuf>,
    journals: Option<Store>,
}

/// A trace whose running phases are those at which somebody is at work.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settled {
    /// The tree, as it stands in the file now.
    pub tree: Node,
    /// The runs that were found to be dead, and whose parts now say how they ended, or that they were killed.
    pub dead: Vec<String>,
}

/// Why a trace file could not be begun, ended or put in order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceFileError {
    /// There is no such trace.
    #[error("there is no trace {id} in {}", dir.display())]
    NotThere {
        /// Which one.
        id: TraceId,
        /// Where.
        dir: PathBuf,
    },
    /// Its end was written before.
    #[error("the trace {id} has ended already")]
    Ended {
        /// Which one.
        id: TraceId,
    },
    /// The file cannot be read, or is no trace.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file or its folder cannot be used.
    #[error("cannot write the trace {}: {error}", path.display())]
    Write {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl TraceFiles {
    /// The traces in `dir`, usually `.belay/traces`. Makes and checks nothing yet.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), real: None, journals: None }
    }

    /// The traces in a folder of a project, which somebody else may have written: no link is followed below `root`.
    ///
    /// # Errors
    /// When a part of the way from `root` to the folder is a link.
    pub fn in_project(root: impl AsRef<Path>, below: impl AsRef<Path>) -> io::Result<Self> {
        // And what the folder itself holds.
        refuse_links(root.as_ref(), &below.as_ref().join(RUNNING_DIR))?;
        Ok(Self::at(root.as_ref().join(below)))
    }

    /// Where the journals of the runs are, the client's [`state_dir`](crate::Client::state_dir): what a killed run
    /// has not written to its trace stands there.
    #[must_use]
    pub fn journals(mut self, state_dir: impl AsRef<Path>) -> Self {
        self.journals = Some(Store::new(state_dir));
        self
    }

    /// Makes the folder if need be, and looks whether traces can be written there: better before an agent has done
    /// paid work than after. From now on it is that folder and no other, whatever leads there.
    pub(super) fn open(mut self) -> io::Result<Self> {
        check(&self.dir)?;
        self.real = Some(std::fs::canonicalize(&self.dir)?);
        Ok(self)
    }

    /// The same for a folder below another one, on whose way there may be no link.
    pub(super) fn open_below(root: &Path, below: &Path) -> io::Result<Self> {
        let files = Self::in_project(root, below)?.open()?;
        // A link that was put there meanwhile.
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        let real = files.real.as_deref();
        if real != Some(&std::fs::canonicalize(root)?.join(below)) {
            return Err(io::Error::other(format!(
                "{} leads elsewhere by now",
                files.dir.display()
            )));
        }
        Ok(files)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of a trace.
    pub fn path(&self, id: &TraceId) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    /// Begins a trace, with an id that no other has. Runs that are given it add to it, from any process.
    ///
    /// # Errors
    /// [`TraceFileError::Write`] if the folder cannot be made or written to.
    pub fn start(
        &self,
        config: impl Into<TraceConfig>,
        redaction: &Redaction,
        environment: &Environment,
    ) -> Result<TraceId, TraceFileError> {
        let write = |error| TraceFileError::Write { path: self.dir.clone(), error };
        check(&self.dir).map_err(write)?;
        let redactor = Redactor::new(redaction, environment, None);
        let (id, start) = trace_start(config.into(), None, &redactor);
        self.begin(&start)?;
        Ok(id)
    }

    /// Writes the end of a trace, with an error if it has one, and puts it in order as [`settle`](Self::settle)
    /// does. A trace that its runs have made, without [`start`](Self::start), is ended as well. Runs that are at work
    /// go on, and so may others that come: they add to it.
    ///
    /// # Errors
    /// [`TraceFileError`] if there is no such trace, it has ended already, or the file cannot be read or written.
    pub fn end(&self, id: &TraceId, error: Option<String>) -> Result<Settled, TraceFileError> {
        self.change(id, |tree, _| {
            if !tree.is_open() {
                return Err(TraceFileError::Ended { id: id.clone() });
            }
            tree.end(now(), error);
            Ok(())
        })
    }

    /// Looks whether the runs that the trace shows at work are, and writes of those whose process has died how they
    /// have ended: from their journals if they are at hand (see [`journals`](Self::journals)), so that everything
    /// that anybody was shown is in the tree, and otherwise as killed. Writes nothing if there are none.
    ///
    /// # Errors
    /// [`TraceFileError`] if there is no such trace, or the file cannot be read or written.
    pub fn settle(&self, id: &TraceId) -> Result<Settled, TraceFileError> {
        self.change(id, |_, _| Ok(()))
    }

    /// Begins the file of a trace. Whoever comes second, after a run with its id, names it.
    pub(super) fn begin(&self, start: &TraceStart) -> Result<(), TraceFileError> {
        let Ok(id) = TraceId::new(start.trace_id.as_str()) else { return Ok(()) };
        let locked = self.lock()?;
        locked.clean();
        let mut root = start.root();
        if let Some(earlier) = self.read(&locked, &id)? {
            root.children = earlier.children;
        }
        self.write(&locked, &id, &root)
    }

    pub(super) fn end_of(&self, end: &TraceEnd) -> Result<(), TraceFileError> {
        let Ok(id) = TraceId::new(end.trace_id.as_str()) else { return Ok(()) };
        self.change(&id, |tree, _| {
            tree.end(end.end_time, end.error.clone());
            Ok(())
        })
        .map(drop)
    }

    /// Says that a run is at work. Until it is ended, or its process dies, nobody else writes its part.
    pub(super) fn mark(&self, id: &TraceId, run: &str) -> Result<Mark, TraceFileError> {
        folder::mark(&self.dir, self.real.as_deref(), run, id)
            .map_err(|error| self.cannot_write(id, error))
    }

    /// Writes what there is of a run for the first time.
    pub(super) fn begin_run(&self, id: &TraceId, part: &Node) -> Result<(), TraceFileError> {
        let locked = self.lock()?;
        locked.clean();
        self.put(&locked, id, part.clone())
    }

    /// Writes what there is of a run by now, unless somebody else is writing: then there is another time.
    pub(super) fn update_run(&self, id: &TraceId, part: &Node) -> Result<bool, TraceFileError> {
        let locked = Locked::try_new(&self.dir, self.real.as_deref());
        let Some(locked) = locked.map_err(|error| self.cannot_write(id, error))? else {
            return Ok(false);
        };
        self.put(&locked, id, part.clone()).map(|()| true)
    }

    /// Writes the whole of a run, which nobody is at work on any more.
    pub(super) fn end_run(
        &self,
        id: &TraceId,
        part: Node,
        mark: Option<Mark>,
    ) -> Result<(), TraceFileError> {
        let locked = self.lock()?;
        let run = part.run.clone();
        let put = self.put(&locked, id, part);
        if mark.is_some() {
            locked.unmark(&run);
        }
        put
    }

    /// The part of a run, made from its journal; nothing if there is none.
    pub(super) fn journaled(&self, id: &TraceId, run: &str) -> Option<Node> {
        let stored = self.journals.as_ref()?.find(run).ok().filter(|stored| stored.id() == run)?;
        let mut fold = Fold::new(id.as_str());
        stored.records().ok()?.for_each(|record| fold.push(&record));
        Some(fold.into_tree()).filter(|part| part.run == run)
    }

    fn put(&self, locked: &Locked, id: &TraceId, part: Node) -> Result<(), TraceFileError> {
        let Some(mut tree) = self.read(locked, id)? else { return self.write(locked, id, &part) };
        let buried = self.bury(locked, id, &mut tree, &part.run);
        tree.put_run(&part.run.clone(), part);
        self.write(locked, id, &tree)?;
        buried.unmark(locked);
        Ok(())
    }

    fn change(
        &self,
        id: &TraceId,
        change: impl FnOnce(&mut Node, &[String]) -> Result<(), TraceFileError>,
    ) -> Result<Settled, TraceFileError> {
        let not_there = || TraceFileError::NotThere { id: id.clone(), dir: self.dir.clone() };
        let locked = match self.lock() {
            Err(TraceFileError::Write { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                return Err(not_there());
            }
            locked => locked?,
        };
        let before = self.read(&locked, id)?;
        // A run that was killed before it had its turn to write has left its mark, and its journal.
        let first = || {
            let mut unheld = locked.unheld().into_iter().filter(|(_, trace)| trace == id.as_str());
            unheld.find_map(|(run, _)| self.journaled(id, &run).filter(|_| !self.is_at_work(&run)))
        };
        let mut tree = before.clone().or_else(first).ok_or_else(not_there)?;
        let buried = self.bury(&locked, id, &mut tree, "");
        change(&mut tree, &buried.dead)?;
        if before.as_ref() != Some(&tree) {
            locked.clean();
            self.write(&locked, id, &tree)?;
        }
        buried.unmark(&locked);
        Ok(Settled { tree, dead: buried.dead })
    }

    /// Puts into the tree how dead runs have ended. No run can end or begin meanwhile: both take the lock.
    fn bury(&self, locked: &Locked, id: &TraceId, tree: &mut Node, own: &str) -> Buried {
        let mut dead = dead_runs(&self.dir, tree);
        for (run, trace) in locked.unheld() {
            // Killed just before its tree was written, or just after: the one is not there, the other has ended.
            if trace == id.as_str() && !dead.contains(&run) {
                dead.push(run);
            }
        }
        // A folder of journals that is at hand knows better than a mark that somebody has removed.
        dead.retain(|run| run != own && !self.is_at_work(run));
        let marked = dead.clone();
        dead.retain(|run| {
            let is_there = tree.children.iter().any(|child| child.run == *run);
            let has_ended = is_there && !tree.running().contains(&run.as_str());
            let part = if has_ended { None } else { self.journaled(id, run) };
            if let Some(part) = part {
                tree.put_run(run, part);
            }
            tree.kill_run(run);
            !has_ended && tree.children.iter().any(|child| child.run == *run)
        });
        Buried { dead, marked }
    }

    fn is_at_work(&self, run: &str) -> bool {
        let stored = self.journals.as_ref().and_then(|journals| journals.find(run).ok());
        let stored = stored.filter(|stored| stored.id() == run);
        let liveness = stored.and_then(|stored| stored.liveness().ok());
        liveness.is_some_and(|liveness| liveness != Liveness::Gone)
    }

    fn lock(&self) -> Result<Locked, TraceFileError> {
        Locked::new(&self.dir, self.real.as_deref())
            .map_err(|error| TraceFileError::Write { path: self.dir.clone(), error })
    }

    /// Something else that is there is not ours to overwrite.
    fn read(&self, locked: &Locked, id: &TraceId) -> Result<Option<Node>, TraceFileError> {
        let path = self.path(id);
        locked.check_plain(&format!("{id}.json")).map_err(|error| self.cannot_write(id, error))?;
        match belay_trace::read_file(&path) {
            Ok(tree) => Ok(Some(tree)),
            Err(ReadError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&self, locked: &Locked, id: &TraceId, tree: &Node) -> Result<(), TraceFileError> {
        locked.replace(&format!("{id}.json"), tree).map_err(|error| self.cannot_write(id, error))
    }

    fn cannot_write(&self, id: &TraceId, error: io::Error) -> TraceFileError {
        TraceFileError::Write { path: self.path(id), error }
    }
}

/// The dead runs whose ends were put into a tree that is not written yet.
#[must_use]
struct Buried {
    /// Those that the file did not know to have ended.
    dead: Vec<String>,
    /// All of them.
    marked: Vec<String>,
}

impl Buried {
    /// Removes their marks. Only when the tree is in the file: we may die on the way, and by their marks they are found.
    fn unmark(&self, locked: &Locked) {
        self.marked.iter().for_each(|run| locked.unmark(run));
    }
}

/// What is said of a new trace, without secrets.
pub(crate) fn trace_start(
    config: TraceConfig,
    session_id: Option<String>,
    redactor: &Redactor,
) -> (TraceId, TraceStart) {
    let uuid = Uuid::now_v7().to_string();
    let id = TraceId::new(uuid.clone()).expect("a UUID is letters, digits and dashes");
    let config = match redactor.json(&config) {
        None => config,
        Some(Ok(clean)) => clean,
        Some(Err(())) => TraceConfig::default(),
    };
    (id, TraceStart { trace_id: uuid, session_id, config, start_time: now() })
}

/// The wall clock, in milliseconds, as in every record.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
