//! Small files that are held by a lock, which the system takes away when their process dies, however it dies.
//!
//! What was put in their place (a FIFO, a link, a folder, another user's file) is an error and waited for by nobody.

use crate::journal::files::{check_owner, private_dirs, private_file};
use crate::limits;
use belay_trace::lock;
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use uuid::Uuid;

/// How often a file may be replaced under our hands before that is an error.
const REPLACED_MAX: u32 = 1000;

/// A file that this process holds.
#[derive(Debug)]
pub(super) struct Held {
    file: File,
    path: PathBuf,
}

/// What comes of trying to hold a file.
#[derive(Debug)]
pub(super) enum Take {
    /// It is ours; with what the last holder left in it, who has died.
    Held(Held, Vec<u8>),
    /// Another holds it; with what stands in it.
    Busy(Vec<u8>),
}

impl Held {
    /// Tries to hold the file at `path`, which is made if it does not exist. Does not wait.
    pub(super) fn take(path: &Path) -> io::Result<Take> {
        for _ in 0..REPLACED_MAX {
            let file = match open_or_make(path) {
                // Removed between the two.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened?,
            };
            match lock::try_exclusive(&file)? {
                // Whoever held it may have removed it when done: then it is nobody's lock any more.
                true if !is_at(&file, path) => {}
                true => {
                    let text = read(&file);
                    return Ok(Take::Held(Self { file, path: path.to_owned() }, text));
                }
                false => return Ok(Take::Busy(read(&file))),
            }
        }
        Err(io::Error::other("it is replaced again and again"))
    }

    /// Puts a new file at `path`, held before anyone can see it, in the place of one that we may hold already.
    pub(super) fn put(path: &Path, text: &[u8]) -> io::Result<Self> {
        let new = path.with_added_extension(format!("{}.new", Uuid::new_v4().simple()));
        let made = private_file(&new).and_then(|mut file| {
            lock::try_exclusive(&file)?;
            file.write_all(text)?;
            fs::rename(&new, path)?;
            Ok(Self { file, path: path.to_owned() })
        });
        if made.is_err() {
            let _ = fs::remove_file(&new);
        }
        made
    }

    /// Another handle, to write with. The lock is that of both.
    pub(super) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Removes the file, and with it the lock.
    pub(super) fn remove(self) {
        if is_at(&self.file, &self.path) {
            // What stays is swept up when it is old.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Says in a file who holds it. On a disk that is full the lock is as good without.
pub(super) fn write(mut file: &File, text: &[u8]) {
    let emptied = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
    let _ = emptied.and_then(|_| file.write_all(text));
}

/// Makes the folder of such files, in which no other user may put anything.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    private_dirs(folder)?;
    check_owner(folder)
}

/// A file that somebody has left here.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) text: Vec<u8>,
    file: File,
    path: PathBuf,
}

impl Found {
    /// The file at `path`, if there is one that can be read.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_owned();
        let file = open(path).ok()?;
        let text = read(&file);
        Some(Self { name, text, file, path: path.to_owned() })
    }

    /// Whether a process holds it, if that can be found out.
    pub(super) fn is_held(&self) -> Option<bool> {
        lock::is_held(&self.file)
    }

    /// Removes what a killed run has left long ago.
    pub(super) fn remove_old(self) {
        let modified = self.file.metadata().and_then(|data| data.modified());
        let age = modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age > limits::LOCK_EXPIRES) && self.is_held() == Some(false) {
            self.remove();
        }
    }

    /// Removes one that nobody holds.
    pub(super) fn remove(self) {
        if is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The files in a folder, as far as they can be read; a folder that does not exist has none.
pub(super) fn list(folder: &Path) -> impl Iterator<Item = Found> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.take(limits::LOCK_ENTRIES_MAX).filter_map(|entry| Found::at(&entry.path()))
}

/// Removes what killed runs have left long ago.
pub(super) fn sweep(folder: &Path) {
    list(folder).for_each(Found::remove_old);
}

fn open_or_make(path: &Path) -> io::Result<File> {
    match private_file(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => open(path),
        made => made,
    }
}

/// Opens a file of this user's own: through no link, and waiting for no pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let data = file.metadata()?;
    if !data.is_file() {
        return Err(io::Error::other(format!("{} is not a regular file", path.display())));
    }
    if data.uid() != rustix::process::geteuid().as_raw() {
        let message = format!("{} belongs to another user", path.display());
        return Err(io::Error::new(ErrorKind::PermissionDenied, message));
    }
    Ok(file)
}

fn read(mut file: &File) -> Vec<u8> {
    let mut text = Vec::new();
    let from = file.seek(SeekFrom::Start(0));
    let _ = from.and_then(|_| file.take(limits::LOCK_BYTES_MAX).read_to_end(&mut text));
    text
}

/// True if this is still the file that stands there.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}
