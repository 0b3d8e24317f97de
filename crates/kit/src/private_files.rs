//! Files for the agent to read, for text that must not stand on the command line.
//!
//! They may hold secrets, and a belay that is killed removes nothing. So each launch has a folder of its own, beside
//! which a lock says that its belay lives; whoever comes next removes the folders whose lock no one holds.

use crate::journal::files::{check_owner, private_dir, private_dirs, private_file};
use belay_agents::Launch;
use belay_trace::lock;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The private files of a launch, on disk until this is dropped.
#[derive(Debug)]
pub(crate) struct PrivateFiles {
    paths: Vec<PathBuf>,
    folder: Option<Held>,
}

/// A folder, and the lock that says that it is in use.
#[derive(Debug)]
struct Held {
    folder: PathBuf,
    lock: PathBuf,
    /// Closed last: it is the lock.
    _file: File,
}

/// The arguments of a launch with the files' paths in place.
#[derive(Debug)]
pub(crate) struct FileArgs {
    pub(crate) args: Vec<OsString>,
    files: PrivateFiles,
}

/// Where such files are below a state folder.
const FOLDER: &str = "private";

/// How the lock of a folder ends.
const LOCK: &str = "lock";

/// How often another name is tried for a lock that somebody has swept away before it was taken.
const TRIES: usize = 10;

/// The folder for the private files of all launches: in the state folder, or else in that for temporary files.
pub(crate) fn place(state_dir: Option<&Path>, temp: &Path) -> PathBuf {
    match state_dir {
        Some(dir) => dir.join(FOLDER),
        None => temp.join(format!("belay-private-{}", rustix::process::geteuid().as_raw())),
    }
}

/// Removes what runs have left that were killed: the files that their agents read, such as the configuration of MCP
/// servers with its secrets. Every run does so first; a program that only looks at runs may do it too.
pub fn remove_left_private_files(state_dir: Option<&Path>, temp: &Path) {
    sweep(&place(state_dir, temp));
}

/// Removes the folders of the dead. What cannot be removed is left to the next.
fn sweep(place: &Path) {
    let is_folder = fs::symlink_metadata(place).is_ok_and(|data| data.is_dir());
    if !is_folder || check_owner(place).is_err() {
        return;
    }
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension() == Some(OsStr::new(LOCK)) && is_left(&path) {
            // The lock goes last: without it nobody would know that the folder is left.
            if remove(&path.with_extension("")) {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// True for a lock that no one holds. One that cannot be asked for stays.
fn is_left(path: &Path) -> bool {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path);
    opened.is_ok_and(|file| lock::try_exclusive(&file).is_ok_and(|is_ours| is_ours))
}

/// Removes a folder; true if it is gone.
fn remove(folder: &Path) -> bool {
    match fs::remove_dir_all(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

impl Held {
    /// Makes a folder that is held from its first moment.
    fn make(place: &Path, name: &str) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            let folder = place.join(format!("{name}-{tries}"));
            let lock = folder.with_extension(LOCK);
            let file = private_file(&lock)?;
            // On a disk without locks nobody can tell the living from the dead, and nobody removes anything.
            let is_ours = lock::try_exclusive(&file).unwrap_or(true);
            if !(is_ours && is_same(&file, &lock)) && tries < TRIES {
                tries += 1;
                continue;
            }
            private_dir(&folder)?;
            return Ok(Self { folder, lock, _file: file });
        }
    }
}

/// True if the name still stands for the file.
fn is_same(file: &File, path: &Path) -> bool {
    let there = fs::symlink_metadata(path);
    let ours = file.metadata();
    there.is_ok_and(|there| {
        ours.is_ok_and(|ours| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
    })
}

impl Drop for Held {
    fn drop(&mut self) {
        if remove(&self.folder) {
            let _ = fs::remove_file(&self.lock);
        }
    }
}

impl PrivateFiles {
    /// Writes them into a folder of their own in this [`place`]; `name` is that of the attempt.
    pub(crate) fn write(launch: &Launch, place: &Path, name: &str) -> io::Result<Self> {
        sweep(place);
        let mut files = Self { paths: Vec::new(), folder: None };
        let is_answered_there = launch.answer_file.as_deref() == Some(Launch::ANSWER);
        if launch.files.is_empty() && !is_answered_there {
            return Ok(files);
        }
        // The agent reads them from its own working directory.
        let place = std::path::absolute(place)?;
        private_dirs(&place)?;
        check_owner(&place)?;
        let held = Held::make(&place, name)?;
        let folder = held.folder.clone();
        files.folder = Some(held);
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
        FileArgs { args, files: self }
    }
}

impl FileArgs {
    /// The folder of the launch, if it has one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.files.folder.as_ref().map(|held| held.folder.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch() -> Launch {
        let mut launch = Launch::new("agent");
        launch.bind("--config", "x");
        launch
    }

    #[test]
    fn what_the_dead_have_left_is_removed_and_what_the_living_hold_is_not() {
        let temp = tempfile::tempdir().unwrap();
        let place = place(Some(temp.path()), Path::new("/tmp"));
        private_dirs(&place).unwrap();
        let living = Held::make(&place, "living").unwrap();
        fs::write(living.folder.join("mcp.json"), "secret").unwrap();
        // A process that was killed holds nothing any more.
        let (folder, lock) = (place.join("dead"), place.join("dead.lock"));
        private_dir(&folder).unwrap();
        fs::write(folder.join("mcp.json"), "secret").unwrap();
        private_file(&lock).unwrap();
        remove_left_private_files(Some(temp.path()), Path::new("/tmp"));
        assert!(!folder.exists() && !lock.exists());
        assert!(living.folder.join("mcp.json").exists());
        drop(living);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_the_place_is_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let other = temp.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("a.lock"), "").unwrap();
        fs::create_dir(other.join("a")).unwrap();
        std::os::unix::fs::symlink(&other, temp.path().join(FOLDER)).unwrap();
        remove_left_private_files(Some(temp.path()), Path::new("/tmp"));
        assert!(other.join("a").exists());
        assert!(PrivateFiles::write(&launch(), &temp.path().join(FOLDER), "x").is_ok(), "no files");
    }
}
