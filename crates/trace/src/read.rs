//! Reading trace files: ours, and those of the Go program.

use crate::Node;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The largest trace file that is read: a tree of a million nodes is about 200 MB.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Reads one trace tree.
///
/// # Errors
/// When the file cannot be read, is larger than 256 MiB, or does not hold a tree.
pub fn read_file(path: &Path) -> Result<Node, ReadError> {
    let io = |error| ReadError::Io { path: path.to_owned(), error };
    let file = File::open(path).map_err(io)?;
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(io)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge { path: path.to_owned() });
    }
    serde_json::from_slice(&text).map_err(|error| ReadError::Json { path: path.to_owned(), error })
}

/// Reads the trace tree that was written last in `dir`.
///
/// # Errors
/// When the folder cannot be read, holds no `.json` file, or the newest one is no tree.
pub fn read_latest(dir: &Path) -> Result<Node, ReadError> {
    let io = |error| ReadError::Io { path: dir.to_owned(), error };
    let mut newest = None;
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let written = entry.metadata().and_then(|data| data.modified()).map_err(io)?;
            newest = newest.max(Some((written, path)));
        }
    }
    let (_, path) = newest.ok_or_else(|| ReadError::NoTrace { dir: dir.to_owned() })?;
    read_file(&path)
}

/// Why a trace could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file or folder could not be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The file does not hold a trace tree.
    #[error("{} is not a trace tree", path.display())]
    Json {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        error: serde_json::Error,
    },
    /// The file is larger than any trace that belay writes.
    #[error("{} is larger than 256 MiB", path.display())]
    TooLarge {
        /// Which one.
        path: PathBuf,
    },
    /// The folder holds no trace.
    #[error("there is no trace in {}", dir.display())]
    NoTrace {
        /// Which one.
        dir: PathBuf,
    },
}
