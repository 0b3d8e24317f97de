//! Reading trace files: ours, and those of the Go program.
//!
//! A file may come from anybody. It is read twice: the first time nothing is built, and what is no JSON, or more
//! than a tree can be, ends there; the second time the tree is built, under the same limits.

mod guard;

pub use self::guard::Excess;

use self::guard::Guard;
use crate::{Node, Traces};
use serde::de::IgnoredAny;
use serde_json::error::Category;
use std::fs::{self, File};
use std::io::{self, BufReader, Seek as _};
use std::path::{Path, PathBuf};

/// The largest trace file that is read: a tree of a million nodes is about 200 MB.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Reads one trace tree.
///
/// A directory, a pipe, a device or a link is no trace file, and is refused. Fields that nobody knows are skipped; a file
/// in which a field stands twice is refused.
///
/// # Errors
/// When the file cannot be read, is larger than 256 MiB, holds more than two million objects or a text of more than
/// 16 MiB, nests deeper than 128 levels (63 nodes), or does not hold a tree; with the line and column where that was
/// found.
pub fn read_file(path: &Path) -> Result<Node, ReadError> {
    let mut file = open(path)?;
    let checked = read::<IgnoredAny>(&file);
    checked
        .and_then(|_| {
            file.rewind().map_err(Stop::Io)?;
            read::<Node>(&file)
        })
        .map_err(|stop| {
            let path = path.to_owned();
            match stop {
                Stop::Io(error) => ReadError::Io { path, error },
                Stop::Json(error) => ReadError::Json { path, error },
                Stop::Excess(excess) => ReadError::Excess { path, excess },
            }
        })
}

/// Reads the trace tree that was written last in `dir`.
///
/// # Errors
/// When the folder cannot be read, holds no trace, or the newest one is no tree.
pub fn read_latest(dir: &Path) -> Result<Node, ReadError> {
    let io = |error| ReadError::Io { path: dir.to_owned(), error };
    if let Err(error) = fs::read_dir(dir) {
        return Err(io(error));
    }
    let newest = Traces::new(dir).all().map_err(io)?.into_iter().next();
    let newest = newest.ok_or_else(|| ReadError::NoTrace { dir: dir.to_owned() })?;
    read_file(newest.path())
}

/// Opens a regular file of a size that can be read.
fn open(path: &Path) -> Result<File, ReadError> {
    let io = |error| ReadError::Io { path: path.to_owned(), error };
    // Before it is opened, since opening a pipe waits for a writer.
    let found = fs::symlink_metadata(path).map_err(io)?;
    let what = found.file_type();
    if !what.is_file() {
        let what = if what.is_symlink() {
            "a link"
        } else if what.is_dir() {
            "a directory"
        } else {
            "no regular file"
        };
        return Err(ReadError::NoFile { path: path.to_owned(), what });
    }
    let file = File::open(path).map_err(io)?;
    let opened = file.metadata().map_err(io)?;
    if !opened.is_file() {
        return Err(ReadError::NoFile { path: path.to_owned(), what: "no regular file" });
    }
    if opened.len() > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge { path: path.to_owned() });
    }
    Ok(file)
}

/// Why a file was read no further.
enum Stop {
    Io(io::Error),
    Json(serde_json::Error),
    Excess(Excess),
}

fn read<'de, T: serde::Deserialize<'de>>(file: &File) -> Result<T, Stop> {
    // A file may grow while it is read.
    let guarded = Guard::new(io::Read::take(file, FILE_BYTES_MAX));
    let mut input =
        serde_json::Deserializer::from_reader(BufReader::with_capacity(64 << 10, guarded));
    let read = T::deserialize(&mut input).and_then(|read| input.end().map(|()| read));
    read.map_err(|error| match error.classify() {
        Category::Io => {
            let error = io::Error::from(error);
            match error.downcast::<Excess>() {
                Ok(excess) => Stop::Excess(excess),
                Err(error) => Stop::Io(error),
            }
        }
        Category::Syntax | Category::Data | Category::Eof => Stop::Json(error),
    })
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
    /// It is something else than a file, and was not opened.
    #[error("{} is {what}, and no trace file", path.display())]
    NoFile {
        /// Which one.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The file does not hold a trace tree.
    #[error("{} is not a trace tree", path.display())]
    Json {
        /// Which one.
        path: PathBuf,
        /// Why, and where.
        #[source]
        error: serde_json::Error,
    },
    /// The file is larger than any trace that belay writes.
    #[error("{} is larger than 256 MiB", path.display())]
    TooLarge {
        /// Which one.
        path: PathBuf,
    },
    /// The file holds more than any trace that belay writes.
    #[error("{} is not a trace tree", path.display())]
    Excess {
        /// Which one.
        path: PathBuf,
        /// Of what, and where.
        #[source]
        excess: Excess,
    },
    /// The folder holds no trace.
    #[error("there is no trace in {}", dir.display())]
    NoTrace {
        /// Which one.
        dir: PathBuf,
    },
}
