//! Where traces are written.

use super::setting::{At, Origin, Which};
use super::value::Folder;
use crate::command::run::options::TRACE_DIR;
use std::path::{Path, PathBuf};

/// A folder for traces, by whose word it is.
#[derive(Clone, Debug)]
pub(crate) enum TracePlace {
    /// The user has named it.
    Users(PathBuf),
    /// It is in a project, on whose files no trust is put.
    Projects {
        /// Where the project is, or where we are.
        root: PathBuf,
        /// The way from there.
        below: PathBuf,
    },
}

impl Default for TracePlace {
    fn default() -> Self {
        Self::Projects { root: PathBuf::new(), below: TRACE_DIR.into() }
    }
}

impl TracePlace {
    /// What a file says.
    pub(crate) fn of(dir: &At<Folder>) -> Self {
        let path = dir.value.0.as_path();
        let Origin::File { which: Which::Project, path: file, .. } = &dir.origin else {
            return Self::Users(path.to_owned());
        };
        // The file is in the project's folder `.belay`.
        let root = file.parent().and_then(Path::parent).unwrap_or(Path::new(""));
        let below = path.strip_prefix(root).unwrap_or(path);
        Self::Projects { root: root.to_owned(), below: below.to_owned() }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> PathBuf {
        match self {
            Self::Users(dir) => dir.clone(),
            Self::Projects { root, below } => root.join(below),
        }
    }
}
