//! Trace files: one tree a trace, in the seed's schema.

use super::{Observer, ObserverError};
use crate::journal::private_dir;
use belay_trace::{Event, Fold, Node, ReadError, Record, TraceId, read_file};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Writes the tree of each run to `DIR/{trace-id}.json` when the run ends.
///
/// The file is named after the request's trace id, or else after the run. A run whose trace exists already is
/// added to it. Files are written whole and then renamed, with mode 0600, in a folder with mode 0700.
#[derive(Debug)]
pub struct TraceDir {
    dir: PathBuf,
    runs: HashMap<String, (TraceId, Fold)>,
}

impl TraceDir {
    /// Writes to `dir`, usually `.belay/traces`, which is made if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be made or written to: better before an agent has done paid work than after.
    pub fn new(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        private_dir(&dir, true)?;
        let probe = dir.join(format!(".probe-{}", std::process::id()));
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe)?;
        fs::remove_file(&probe)?;
        keep_out_of_git(&dir)?;
        Ok(Self { dir, runs: HashMap::new() })
    }

    /// Where the trace with this id is written.
    pub fn path(dir: &Path, id: &TraceId) -> PathBuf {
        dir.join(format!("{id}.json"))
    }

    fn finish(&self, id: &TraceId, fold: Fold) -> Result<(), ObserverError> {
        let path = Self::path(&self.dir, id);
        let tree = match read_file(&path) {
            Ok(earlier) => fold.into_tree_after(earlier),
            Err(ReadError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                fold.tree().clone()
            }
            // Something else is there: it is not ours to overwrite.
            Err(error) => return Err(error.into()),
        };
        write_whole(&path, &tree)
            .map_err(|error| format!("cannot write the trace {}: {error}", path.display()).into())
    }
}

impl Observer for TraceDir {
    fn name(&self) -> &'static str {
        "trace"
    }

    fn on_record(&mut self, record: &Record) -> Result<(), ObserverError> {
        if let Event::RunStarted(started) = &record.event {
            let id = TraceId::new(started.trace_id.as_ref().unwrap_or(&record.run).clone())?;
            let fold = Fold::new(id.as_str());
            self.runs.insert(record.run.clone(), (id, fold));
        }
        let Some((_, fold)) = self.runs.get_mut(&record.run) else { return Ok(()) };
        fold.push(record);
        if matches!(record.event, Event::Result(_))
            && let Some((id, fold)) = self.runs.remove(&record.run)
        {
            self.finish(&id, fold)?;
        }
        Ok(())
    }
}

/// Traces hold what was worked on; a `.belay` folder keeps itself out of commits.
fn keep_out_of_git(dir: &Path) -> io::Result<()> {
    let belay =
        dir.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == ".belay"));
    let Some(ignore) = belay.map(|folder| folder.join(".gitignore")) else { return Ok(()) };
    match OpenOptions::new().write(true).create_new(true).open(ignore) {
        Ok(mut file) => file.write_all(b"*\n"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes beside the file and renames, so that a reader sees the old tree or the new one.
fn write_whole(path: &Path, tree: &Node) -> io::Result<()> {
    let beside = path.with_extension(format!("json.{}", std::process::id()));
    // Left over from a process that had our id and died.
    if beside.exists() {
        fs::remove_file(&beside)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let mut text = serde_json::to_vec_pretty(tree)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
