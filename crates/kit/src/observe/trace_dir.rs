//! Trace files: one tree a trace, in the seed's schema.

use super::{Observer, ObserverError};
use crate::journal::files::{check_owner, private_dirs, private_file};
use belay_trace::{Event, Fold, Node, ReadError, Record, TraceId, read_file};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

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
    /// When the folder cannot be made or written to, or others could put their files into it: better before an agent has done paid work than after.
    pub fn new(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        private_dirs(&dir)?;
        check_owner(&dir)?;
        let probe = dir.join(format!(".probe-{}", Uuid::now_v7()));
        private_file(&probe)?;
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
        // Held until the trace is written: another run, of another process perhaps, may be adding to it too.
        let folder = File::open(&self.dir)?;
        folder.lock()?;
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
        let Some((_, fold)) = self.runs.get_mut(&record.run) else {
            return match record.event {
                Event::Result(_) => {
                    Err("the run's beginning was dropped, so it has no trace".into())
                }
                _ => Ok(()),
            };
        };
        fold.push(record);
        if matches!(record.event, Event::Result(_))
            && let Some((id, fold)) = self.runs.remove(&record.run)
        {
            self.finish(&id, fold)?;
        }
        Ok(())
    }
}

/// Traces hold what was worked on; a `.belay` folder keeps itself out of commits, but for a configuration that
/// the project may have there.
fn keep_out_of_git(dir: &Path) -> io::Result<()> {
    let belay =
        dir.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == ".belay"));
    let Some(ignore) = belay.map(|folder| folder.join(".gitignore")) else { return Ok(()) };
    match private_file(&ignore) {
        Ok(mut file) => file.write_all(b"*\n!/config.toml\n"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes beside the file and renames, so that a reader sees the old tree or the new one.
fn write_whole(path: &Path, tree: &Node) -> io::Result<()> {
    let beside = path.with_extension(format!("json.{}", Uuid::now_v7()));
    let mut file = private_file(&beside)?;
    let mut text = serde_json::to_vec_pretty(tree)?;
    text.push(b'\n');
    let written = file.write_all(&text).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&beside, path)) {
        // Half a tree is nobody's.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
