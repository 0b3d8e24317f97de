//! Speaking to a run of another process, through a named pipe in the run's folder.
//!
//! The one who runs the run makes the pipe and reads it; whoever may write into the folder, its owner alone, can
//! speak. What is no [`ControlLine`] is passed over and counted; nothing that is written can take the run's
//! memory or its time.

use crate::limits::{CONTROL_LINE_BYTES_MAX, CONTROL_PACE, CONTROL_PATIENCE, READ_BYTES};
use crate::runner::Command;
use belay_agents::{Line, LineSplitter};
use belay_trace::journal::CONTROL_FILE;
use belay_trace::{ControlLine, StopReason, StoredRun, lock};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Says something to a run that may be anybody's: another process's, or this one's.
///
/// That it was written does not mean that it was heard: the run says in its journal what it makes of it.
///
/// # Errors
/// [`NotHeard`] if there is nobody to listen.
pub fn send(run: &StoredRun, lines: &[ControlLine]) -> Result<(), NotHeard> {
    let mut text = String::from("\n");
    for line in lines {
        text.push_str(&format!("{line}\n"));
        if text.len() > CONTROL_LINE_BYTES_MAX {
            return Err(NotHeard::TooLong);
        }
    }
    write(&run.folder().join(CONTROL_FILE), text.as_bytes())
}

/// Why a run cannot be spoken to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotHeard {
    /// It has no pipe: it is over, or it was started by a version or on a file system that makes none.
    #[error("it has no pipe to be spoken to through")]
    NoPipe,
    /// Its pipe has no reader: whoever ran it is gone.
    #[error("nobody listens any more")]
    Gone,
    /// Its pipe is full, and nobody empties it: whoever runs it is suspended.
    #[error("whoever runs it does not listen; is it suspended?")]
    Busy,
    /// More was to be said than a run listens to.
    #[error("that is longer than a run listens to ({} kB)", CONTROL_LINE_BYTES_MAX / 1000)]
    TooLong,
    /// The pipe cannot be written.
    #[error("its pipe cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// Never waits for a reader, and never writes to anything but a pipe.
fn write(path: &Path, text: &[u8]) -> Result<(), NotHeard> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOENT => NotHeard::NoPipe,
        Errno::NXIO => NotHeard::Gone,
        error => NotHeard::Io(error.into()),
    })?;
    let kind = rustix::fs::fstat(&fd).map_err(io::Error::from)?.st_mode;
    if FileType::from_raw_mode(kind) != FileType::Fifo {
        return Err(NotHeard::NoPipe);
    }
    // A long text goes in piece by piece, and another writer must not come between.
    let (mut file, mut rest) = (File::from(fd), text);
    let locked = patiently(|| match lock::try_exclusive(&file) {
        Ok(false) => Err(Errno::AGAIN),
        // Without locks, what is shorter than a page comes whole all the same.
        Ok(true) | Err(_) => Ok(()),
    });
    locked.map_err(not_heard)?;
    while !rest.is_empty() {
        let written = patiently(|| match file.write(rest) {
            Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
            Ok(n) => Ok(n),
        });
        rest = &rest[written.map_err(not_heard)?..];
    }
    Ok(())
}

fn not_heard(error: Errno) -> NotHeard {
    match error {
        Errno::AGAIN => NotHeard::Busy,
        Errno::PIPE => NotHeard::Gone,
        error => NotHeard::Io(error.into()),
    }
}

/// Tries again while the other side is busy, but not for ever.
fn patiently<T>(mut act: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    let began = Instant::now();
    loop {
        match act() {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if began.elapsed() < CONTROL_PATIENCE => thread::sleep(CONTROL_PACE),
            done => return done,
        }
    }
}

/// The run's side of the pipe; it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    commands: mpsc::Receiver<Command>,
    ignored: Arc<AtomicU64>,
    reader: AbortHandle,
    path: PathBuf,
}

impl Control {
    /// Makes the pipe in the run's folder and listens.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(CONTROL_FILE);
        let receiver = make(&path)?;
        // One at a time: what is not taken in yet waits in the pipe.
        let (heard, commands) = mpsc::channel(1);
        let ignored = Arc::<AtomicU64>::default();
        let reader = tokio::spawn(listen(receiver, heard, Arc::clone(&ignored))).abort_handle();
        Ok(Self { commands, ignored, reader, path })
    }

    /// The next wish of somebody else. Never resolves when there can be none; nothing is lost when the wait is
    /// given up.
    pub(crate) async fn next(&mut self) -> Command {
        match self.commands.recv().await {
            Some(command) => command,
            None => std::future::pending().await,
        }
    }

    /// A wish that was read and that nobody has heard.
    pub(crate) fn try_next(&mut self) -> Option<Command> {
        self.commands.try_recv().ok()
    }

    /// How many lines said nothing that a run knows.
    pub(crate) fn ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.reader.abort();
        // One that is gone needs no removing; one that stays has no reader.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Open for writing too, so that the pipe never ends when a writer goes.
#[cfg(target_os = "linux")]
fn make(path: &Path) -> io::Result<pipe::Receiver> {
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, mode, 0)?;
    pipe::OpenOptions::new().read_write(true).open_receiver(path)
}

#[cfg(not(target_os = "linux"))]
fn make(_: &Path) -> io::Result<pipe::Receiver> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Reads the pipe, on a task of its own and no faster than a person types: whoever floods it slows nobody.
async fn listen(pipe: pipe::Receiver, heard: mpsc::Sender<Command>, ignored: Arc<AtomicU64>) {
    let mut lines = LineSplitter::new(CONTROL_LINE_BYTES_MAX);
    let mut chunk = vec![0; READ_BYTES];
    while pipe.readable().await.is_ok() {
        let n = match pipe.try_read(&mut chunk) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        let mut commands = Vec::new();
        lines.push(&chunk[..n], |line| match command(line) {
            Some(command) => commands.push(command),
            None if line.bytes.is_empty() => {}
            None => _ = ignored.fetch_add(1, Ordering::Relaxed),
        });
        for command in commands {
            if heard.send(command).await.is_err() {
                return;
            }
            tokio::time::sleep(CONTROL_PACE).await;
        }
        tokio::time::sleep(CONTROL_PACE).await;
    }
}

fn command(line: Line<'_>) -> Option<Command> {
    let text = std::str::from_utf8(line.bytes).ok().filter(|_| line.cut == 0)?;
    match text.parse().ok()? {
        ControlLine::Stop => Some(Command::Stop(StopReason::User)),
        ControlLine::Steer(words) => Some(Command::Steer(words)),
        _ => None,
    }
}
