//! A file that the user names. It may be a pipe that another program fills, as `<(…)` of a shell is.

use crate::byte_order_mark::without_mark;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// How long a named pipe may have no writer, in seconds: one that is about to come is there at once.
const WRITER_SECONDS: i64 = 5;

/// Reads it whole.
///
/// # Errors
/// The system's, and `TimedOut` for a named pipe that nothing is written to.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    // A pipe without a name (`/dev/fd/63`) has, or had, its writer.
    if file.metadata()?.file_type().is_fifo() && fs::canonicalize(path).is_ok() {
        bytes.extend(wait_for_writer(&mut file)?);
    }
    fcntl_setfl(&file, fcntl_getfl(&file)?.difference(OFlags::NONBLOCK))?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// As [`read`], of text; without the byte order mark before it.
///
/// # Errors
/// As [`read`], and `InvalidData` for what is not UTF-8.
pub(super) fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(without_mark(read(path)?))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Opens it without waiting for a writer.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

/// Waits until somebody has a named pipe open for writing; the byte that may have been read to find out.
fn wait_for_writer(pipe: &mut File) -> io::Result<Option<u8>> {
    let patience = Timespec { tv_sec: WRITER_SECONDS, tv_nsec: 0 };
    if poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&patience))? > 0 {
        return Ok(None);
    }
    let mut byte = [0];
    match pipe.read(&mut byte) {
        Ok(1..) => Ok(Some(byte[0])),
        // Somebody has it open, and is slow.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
        Ok(0) => Err(io::Error::new(io::ErrorKind::TimedOut, "nothing writes to this pipe")),
    }
}
