//! What the file system says about a file, and reading what is there without being caught by what is no file.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds and nanoseconds since 1970.
pub(super) type Time = (i64, i64);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    File,
    Executable,
    Link,
    Folder,
    /// A pipe, a socket, a device.
    Other,
}

/// What tells whether a file has changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stat {
    pub(super) kind: Kind,
    pub(super) size: u64,
    pub(super) inode: u64,
    pub(super) modified: Time,
    pub(super) changed: Time,
}

impl Stat {
    /// Of what a name stands for in an open folder; a link is not followed.
    pub(super) fn at(folder: impl AsFd, name: &CStr) -> io::Result<Self> {
        Ok(Self::from(&statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }
}

impl From<&rustix::fs::Stat> for Stat {
    fn from(stat: &rustix::fs::Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if stat.st_mode & 0o100 != 0 => Kind::Executable,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            FileType::Directory => Kind::Folder,
            _ => Kind::Other,
        };
        Self {
            kind,
            size: int(stat.st_size),
            inode: int(stat.st_ino),
            modified: (int(stat.st_mtime), int(stat.st_mtime_nsec)),
            changed: (int(stat.st_ctime), int(stat.st_ctime_nsec)),
        }
    }
}

/// A field whose type depends on the machine.
fn int<T: TryInto<U>, U: Default>(field: T) -> U {
    field.try_into().unwrap_or_default()
}

/// The present time, as far back as the system's stamps on files may be behind it.
pub(super) fn now() -> Time {
    /// A stamp is as old as the last tick of the system, of which there are 100 a second or more.
    const TICK_NS: i64 = 20_000_000;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, ns) = (int(now.as_secs()), i64::from(now.subsec_nanos()));
    if ns < TICK_NS { (seconds - 1, ns + 1_000_000_000 - TICK_NS) } else { (seconds, ns - TICK_NS) }
}

/// Opens a folder in another one. Nothing but a folder is opened, and no link is followed.
pub(super) fn open_folder(folder: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::empty())?)
}

/// Opens the root of a walk.
pub(super) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Opens a regular file in a folder, which was of this kind a moment ago. A pipe or device in its place is neither
/// waited for nor touched.
pub(super) fn open_file(folder: impl AsFd, name: &CStr, kind: Kind) -> io::Result<File> {
    let is_regular = |kind| matches!(kind, Kind::File | Kind::Executable);
    // A device can be woken by being opened.
    if !is_regular(kind) {
        return Err(not_regular());
    }
    // It may have been replaced since.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::empty())?;
    match is_regular(Stat::from(&fstat(&file)?).kind) {
        true => Ok(File::from(file)),
        false => Err(not_regular()),
    }
}

/// Reads one of git's own files, which may be behind a link.
pub(super) fn read(path: &Path, bytes_max: u64) -> io::Result<(Vec<u8>, Stat)> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(not_regular());
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(not_regular());
    }
    read_file(&file, bytes_max)
}

/// Reads a file whole, and says what it was like behind the last byte.
pub(super) fn read_file(file: &File, bytes_max: u64) -> io::Result<(Vec<u8>, Stat)> {
    // With room for all of it and the end, it is read at once.
    let size = file.metadata().map_or(0, |data| data.len()).min(bytes_max);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 64);
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok((bytes, Stat::from(&fstat(file)?)))
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// The open folder that holds a path below a root, and the last name of the path.
pub(super) fn find(root: impl AsFd, path: &[u8]) -> io::Result<(OwnedFd, CString)> {
    let mut folder = root.as_fd().try_clone_to_owned()?;
    let mut names = path.split(|byte| *byte == b'/').peekable();
    loop {
        let name = CString::new(names.next().unwrap_or_default())?;
        if names.peek().is_none() {
            return Ok((folder, name));
        }
        folder = open_folder(&folder, &name)?;
    }
}

/// Whether nothing is there, or no folder on the way to it.
pub(super) fn is_gone(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}
