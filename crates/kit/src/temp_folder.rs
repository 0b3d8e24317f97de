//! A temporary folder of its own for an agent that fills the common one with files that nobody removes.

use crate::journal::files::private_dir;
use belay_agents::Launch;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder, until this is dropped: then the agent's litter goes, and the folder with it if nothing else is there.
#[derive(Debug)]
pub(crate) struct TempFolder {
    folder: PathBuf,
    litter: &'static [&'static str],
    litter_folders: &'static [&'static str],
}

impl TempFolder {
    /// Makes a folder below `temp` for an agent that needs one; `name` is that of the attempt.
    ///
    /// # Errors
    /// When it cannot be made: the agent can do with the common one.
    pub(crate) fn of(launch: &Launch, temp: &Path, name: &str) -> io::Result<Option<Self>> {
        if launch.litter.is_empty() && !launch.private_temp {
            return Ok(None);
        }
        let folder = std::path::absolute(temp)?.join(format!("belay-{name}-tmp"));
        private_dir(&folder)?;
        let Launch { litter, litter_folders, .. } = *launch;
        Ok(Some(Self { folder, litter, litter_folders }))
    }

    /// The same for a run that can do with the common folder where the agent only leaves something behind.
    ///
    /// # Errors
    /// When it cannot be made for an agent that may write to it: the common folder is not the agent's.
    pub(crate) fn wanted(launch: &Launch, temp: &Path, name: &str) -> io::Result<Option<Self>> {
        match Self::of(launch, temp, name) {
            Err(_) if !launch.private_temp => Ok(None),
            made => made,
        }
    }

    /// The variable by which programs find it.
    pub(crate) fn variable(&self) -> (OsString, OsString) {
        ("TMPDIR".into(), self.folder.clone().into_os_string())
    }

    fn is_litter(&self, name: &OsStr) -> bool {
        let name = name.to_string_lossy();
        name.starts_with('.') && self.litter.iter().any(|end| name.ends_with(end))
    }
}

/// Removes the files of a folder that is the agent's own litter.
fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name();
            let is_named = |begin: &&str| name.to_string_lossy().starts_with(begin);
            if is_folder && self.litter_folders.iter().any(is_named) {
                clear(&entry.path());
            }
            // What cannot be removed, or has something in it, is not ours to remove.
            let _ = match is_folder {
                true => fs::remove_dir(entry.path()),
                false if self.is_litter(&entry.file_name()) => fs::remove_file(entry.path()),
                false => Ok(()),
            };
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn litter_goes_and_what_tools_have_written_stays() {
        let temp = tempfile::tempdir().unwrap();
        let mut launch = Launch::new("agent");
        assert!(TempFolder::of(&launch, temp.path(), "1").unwrap().is_none());
        launch.litter = &[".so"];
        let make = |name| TempFolder::of(&launch, temp.path(), name).unwrap().unwrap();
        let litter = |folder: &Path| {
            fs::write(folder.join(".bcfbc7dfb5dff3ff-00000000.so"), "").unwrap();
            fs::create_dir(folder.join("agent")).unwrap();
        };
        let clean = make("1");
        let folder = PathBuf::from(clean.variable().1);
        litter(&folder);
        drop(clean);
        assert!(!folder.exists());

        let used = make("2");
        let folder = PathBuf::from(used.variable().1);
        litter(&folder);
        fs::write(folder.join("report.so"), "the user's").unwrap();
        // Two runs are never in one folder, and nobody's link is followed.
        assert!(TempFolder::of(&launch, temp.path(), "2").is_err());
        drop(used);
        let left = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["report.so"]);
    }
}
