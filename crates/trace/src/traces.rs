//! The traces in a folder: which there are, and which one is meant.

use crate::{Node, ReadError, TraceId, dead_runs, read_file};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The trace files in a folder, usually `.belay/traces`.
///
/// ```
/// use belay_trace::Traces;
///
/// let traces = Traces::new(std::env::temp_dir().join("no-such-traces"));
/// assert!(traces.all()?.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Traces {
    dir: PathBuf,
}

/// A trace that lies in a folder. Nothing of it has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTrace {
    id: TraceId,
    path: PathBuf,
    written: SystemTime,
}

/// No trace, or more than one, has such an id.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoSuchTrace {
    /// None or several could be meant.
    #[error("{}", match matches { 0 => format!("there is no trace `{}` in {}", id.escape_debug(), dir.display()), n => format!("{n} traces in {} begin or end with `{}`", dir.display(), id.escape_debug()) })]
    Unclear {
        /// What was looked for.
        id: String,
        /// Where.
        dir: PathBuf,
        /// How many it could mean.
        matches: usize,
    },
    /// The folder cannot be read.
    #[error("cannot read {}", dir.display())]
    Io {
        /// Which one.
        dir: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl Traces {
    /// The traces in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every trace, the one that was written last first. A link is none, nor is a file whose name belay would not
    /// give.
    ///
    /// # Errors
    /// When the folder cannot be read; one that does not exist has no traces.
    pub fn all(&self) -> io::Result<Vec<StoredTrace>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut traces = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let Some(Ok(id)) = stem.map(TraceId::new) else { continue };
            // What is gone already was removed meanwhile. The data of the entry itself: a link is no file.
            let Ok(data) = entry.metadata() else { continue };
            if data.is_file() {
                let written = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                traces.push(StoredTrace { id, path: entry.path(), written });
            }
        }
        traces.sort_by(|a, b| b.written.cmp(&a.written).then_with(|| b.path.cmp(&a.path)));
        Ok(traces)
    }

    /// The trace with this id or, if only one begins or ends so, with such an id; `latest` is the one that was
    /// written last, unless one is called so.
    ///
    /// # Errors
    /// [`NoSuchTrace`] if none or several could be meant, or the folder cannot be read.
    pub fn find(&self, id: &str) -> Result<StoredTrace, NoSuchTrace> {
        let io = |error| NoSuchTrace::Io { dir: self.dir.clone(), error };
        let mut traces = self.all().map_err(io)?;
        if let Some(at) = traces.iter().position(|trace| trace.id.as_str() == id) {
            return Ok(traces.swap_remove(at));
        }
        match id {
            "" => traces.clear(),
            "latest" => traces.truncate(1),
            _ => traces.retain(|trace| {
                let of_trace = trace.id.as_str();
                of_trace.starts_with(id) || of_trace.ends_with(id)
            }),
        }
        let matches = traces.len();
        match traces.pop() {
            Some(trace) if matches == 1 => Ok(trace),
            _ => Err(NoSuchTrace::Unclear { id: id.to_owned(), dir: self.dir.clone(), matches }),
        }
    }
}

impl StoredTrace {
    /// Its tree, in which runs that nobody works on any more are marked as killed.
    ///
    /// # Errors
    /// As [`read_file`].
    pub fn read(&self) -> Result<Node, ReadError> {
        let mut tree = read_file(&self.path)?;
        let dead = self.path.parent().map(|dir| dead_runs(dir, &tree)).unwrap_or_default();
        if !dead.is_empty() {
            // A run may have ended in between.
            tree = read_file(&self.path)?;
            dead.iter().for_each(|run| tree.kill_run(run));
        }
        Ok(tree)
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.id.as_str()
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When it was last written.
    pub fn written(&self) -> SystemTime {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, files: &[&str]) -> Self {
            let dir =
                std::env::temp_dir().join(format!("belay-traces-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            for (n, name) in files.iter().enumerate() {
                let file = File::create(dir.join(name)).unwrap();
                let written = SystemTime::UNIX_EPOCH + Duration::from_secs(n as u64);
                file.set_modified(written).unwrap();
            }
            Self(dir)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn only_files_with_names_of_traces_are_traces() {
        let names =
            ["a.json", "b.json", "..json", "a b.json", ".x.json", "c.txt", "d.json.01a1fded"];
        let folder = Folder::new("names", &names);
        fs::create_dir(folder.0.join("folder.json")).unwrap();
        std::os::unix::fs::symlink(folder.0.join("a.json"), folder.0.join("link.json")).unwrap();
        let traces = Traces::new(&folder.0);
        let all = traces.all().unwrap();
        assert_eq!(all.iter().map(StoredTrace::id).collect::<Vec<_>>(), ["b", "a"], "newest first");
        for id in ["link", "folder", "../a", "a.json", "", "x"] {
            assert!(traces.find(id).is_err(), "{id}");
        }
    }

    #[test]
    fn a_trace_is_found_by_as_much_of_its_id_as_no_other_has() {
        let folder = Folder::new("find", &["run-1.json", "run-2.json", "run.json"]);
        let traces = Traces::new(&folder.0);
        let found = |id: &str| traces.find(id).map(|trace| trace.id().to_owned());
        assert_eq!(found("run-1").unwrap(), "run-1");
        assert_eq!(found("2").unwrap(), "run-2");
        assert_eq!(found("run").unwrap(), "run", "the whole id goes first");
        assert_eq!(found("latest").unwrap(), "run");
        assert!(matches!(found("run-"), Err(NoSuchTrace::Unclear { matches: 2, .. })));
        assert!(matches!(found("x"), Err(NoSuchTrace::Unclear { matches: 0, .. })));
    }
}
