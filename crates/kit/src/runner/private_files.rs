//! Files for the agent to read, for text that must not stand on the command line.

use crate::journal::files::{private_dir, private_file};
use belay_agents::Launch;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The private files of a launch, on disk until this is dropped.
#[derive(Debug)]
pub(crate) struct PrivateFiles {
    paths: Vec<PathBuf>,
    folder: Option<PathBuf>,
}

/// The arguments of a launch with the files' paths in place.
#[derive(Debug)]
pub(crate) struct FileArgs {
    pub(crate) args: Vec<OsString>,
    _files: PrivateFiles,
}

impl PrivateFiles {
    /// Writes them into the run's folder, or without one into a folder of their own below `temp`.
    pub(crate) fn write(
        launch: &Launch,
        run: Option<&Path>,
        temp: &Path,
        run_id: &str,
    ) -> io::Result<Self> {
        let mut files = Self { paths: Vec::new(), folder: None };
        if launch.files.is_empty() {
            return Ok(files);
        }
        // The agent reads them from its own working directory.
        let folder = match run {
            Some(folder) => std::path::absolute(folder)?,
            None => {
                let folder = std::path::absolute(temp)?.join(format!("belay-{run_id}"));
                private_dir(&folder)?;
                files.folder = Some(folder.clone());
                folder
            }
        };
        for file in &launch.files {
            let path = folder.join(file.name);
            let mut opened = private_file(&path)?;
            files.paths.push(path);
            opened.write_all(file.content.as_bytes())?;
        }
        Ok(files)
    }

    pub(crate) fn into_args(self, launch: &Launch, leading: &[OsString]) -> FileArgs {
        let place = |arg: &String| {
            let files = launch.files.iter().zip(&self.paths);
            files.fold(OsString::from(arg), |arg, (file, path)| {
                let text = arg.to_string_lossy();
                match text.split_once(&file.placeholder()) {
                    Some((head, tail)) => {
                        let mut placed = OsString::from(head);
                        placed.push(path);
                        placed.push(tail);
                        placed
                    }
                    None => arg,
                }
            })
        };
        let args = leading.iter().cloned().chain(launch.args.iter().map(place)).collect();
        FileArgs { args, _files: self }
    }
}

impl Drop for PrivateFiles {
    fn drop(&mut self) {
        for path in &self.paths {
            // A file that is gone already needs no removing.
            let _ = std::fs::remove_file(path);
        }
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir(folder);
        }
    }
}
