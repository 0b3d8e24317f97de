//! The folder of the traces, held by its lock. Everything in it is reached through the opened folder and by plain
//! names: whoever swaps the folder or a file for a link meanwhile, such as an agent that may write to its project,
//! does not get belay to write elsewhere.

use crate::journal::files::{check_owner, private_dirs, private_file};
use belay_trace::{Node, RUNNING_DIR, RunProcess, RunningMark, TraceId, is_mark_held, lock};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// The lock that says that a run is at work; the system takes it away when we die.
#[derive(Debug)]
pub(in crate::observe) struct Mark(#[expect(dead_code, reason = "it is held, not used")] File);

/// The folder, while nobody else writes traces in it.
#[derive(Debug)]
pub(super) struct Locked(File);

/// What stands between a trace's name and the number of a file that is to become it.
const BESIDE: &str = ".json.";

/// How a file begins with which a folder was tried.
const PROBE: &str = ".probe-";

/// How a mark begins that is not locked yet.
const NEW_MARK: &str = ".new-";

/// How long is waited before the lock of a folder is tried again: writing a tree takes some milliseconds.
const LOOK: Duration = Duration::from_millis(2);

/// How often a mark is tried to be made while others remove its folder.
const MARK_TRIES: u32 = 1000;

/// How long the mark of a dead run is kept whose trace nobody writes or settles.
const MARK_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long such a file may be there: it takes less than a millisecond to make and to remove.
const PROBE_AGE: Duration = Duration::from_secs(60);

impl Locked {
    /// Waits for the lock. The folder must be `real` still, if that is known. On a disk without locks there is none to
    /// wait for: each file is replaced as a whole all the same.
    pub(super) fn new(dir: &Path, real: Option<&Path>) -> io::Result<Self> {
        let folder = open(dir, real)?;
        while let Ok(false) = lock::try_exclusive(&folder) {
            thread::sleep(LOOK);
        }
        reached(Step::Locked);
        Ok(Self(folder))
    }

    /// The lock, if nobody else has it.
    pub(super) fn try_new(dir: &Path, real: Option<&Path>) -> io::Result<Option<Self>> {
        let folder = open(dir, real)?;
        if let Ok(false) = lock::try_exclusive(&folder) {
            return Ok(None);
        }
        reached(Step::Locked);
        Ok(Some(Self(folder)))
    }

    /// Refuses a name that is a link: reading it would put into a trace what lies elsewhere.
    pub(super) fn check_plain(&self, name: &str) -> io::Result<()> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(data) if FileType::from_raw_mode(data.st_mode) == FileType::Symlink => {
                Err(io::Error::other("it is a link, and belay follows none"))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes beside the file and renames, so that a reader sees the old tree or the new one.
    pub(super) fn replace(&self, name: &str, tree: &Node) -> io::Result<()> {
        let beside = format!("{}{BESIDE}{}", name.trim_end_matches(".json"), Uuid::now_v7());
        let replaced = self.write(&beside, tree).and_then(|()| {
            rustix::fs::renameat(&self.0, beside.as_str(), &self.0, name).map_err(Into::into)
        });
        if let Err(error) = replaced {
            // Half a tree is nobody's.
            let _ = self.remove(&beside);
            return Err(error);
        }
        reached(Step::Renamed);
        self.0.sync_all()?;
        reached(Step::Synced);
        Ok(())
    }

    fn write(&self, name: &str, tree: &Node) -> io::Result<()> {
        let file = private_at(&self.0, name)?;
        reached(Step::Made);
        let mut out = BufWriter::with_capacity(WRITE_BYTES, Pieces(&file));
        serde_json::to_writer_pretty(&mut out, tree)?;
        out.write_all(b"\n")?;
        out.flush()?;
        drop(out);
        reached(Step::Written);
        // A name that leads to nothing after a loss of power would have cost the tree that was there.
        file.sync_all()?;
        reached(Step::Durable);
        Ok(())
    }

    /// Removes the mark of a run, and the folder of the marks with the last one. What cannot be removed is no lie:
    /// nobody holds it.
    pub(super) fn unmark(&self, run: &str) {
        if TraceId::new(run).is_ok()
            && let Ok(running) = self.running()
        {
            let _ = rustix::fs::unlinkat(&running, run, AtFlags::empty());
            let _ = rustix::fs::unlinkat(&self.0, RUNNING_DIR, AtFlags::REMOVEDIR);
        }
        reached(Step::Unmarked);
    }

    /// The runs that have a mark nobody holds, each with its trace: they were killed, or are about to be gone.
    pub(super) fn unheld(&self) -> Vec<(String, String)> {
        let Ok(running) = self.running() else { return Vec::new() };
        let Ok(entries) = Dir::read_from(&running) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let runs = names.filter(|name| TraceId::new(name.as_str()).is_ok());
        let runs = runs.filter_map(|run| unheld(&running, &run).map(|mark| (run, mark.trace)));
        runs.collect()
    }

    /// Removes what was being written when its writer was killed. Whoever writes now holds the lock, and that is us.
    pub(super) fn clean(&self) {
        self.clean_marks();
        let Ok(entries) = Dir::read_from(&self.0) else { return };
        for entry in entries.flatten() {
            if let Ok(name) = entry.file_name().to_str()
                && self.is_left_over(name)
            {
                let _ = self.remove(name);
            }
        }
    }

    /// Marks that were being made when their maker was killed, and those of runs that have no trace and that nobody
    /// has asked for in a long time.
    fn clean_marks(&self) {
        let Ok(running) = self.running() else { return };
        let Ok(entries) = Dir::read_from(&running) else { return };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().to_str() else { continue };
            let limit = if is_new_mark(name) { PROBE_AGE } else { MARK_AGE };
            let is_old = age(&running, name).is_some_and(|age| age > limit);
            if is_old && unheld(&running, name).is_some() {
                let _ = rustix::fs::unlinkat(&running, name, AtFlags::empty());
            }
        }
        let _ = rustix::fs::unlinkat(&self.0, RUNNING_DIR, AtFlags::REMOVEDIR);
    }

    fn is_left_over(&self, name: &str) -> bool {
        if let Some((_, number)) = name.rsplit_once(BESIDE) {
            return Uuid::try_parse(number).is_ok();
        }
        let Some(number) = name.strip_prefix(PROBE) else { return false };
        // Those who try a folder do so without the lock.
        Uuid::try_parse(number).is_ok() && age(&self.0, name).is_some_and(|age| age > PROBE_AGE)
    }

    fn running(&self) -> io::Result<File> {
        open_running(&self.0)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }
}

/// Notes that a run is at work. Takes no lock of the folder, since a run that has to wait for it, and ends before it
/// comes, is found by its mark.
pub(in crate::observe) fn mark(
    dir: &Path,
    real: Option<&Path>,
    run: &str,
    trace: &TraceId,
) -> io::Result<Mark> {
    let folder = open(dir, real)?;
    let mut tries = 0;
    loop {
        match rustix::fs::mkdirat(&folder, RUNNING_DIR, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        match open_running(&folder).and_then(|running| mark_in(&running, run, trace)) {
            // Whoever ends a run removes the folder when it is empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries < MARK_TRIES => {
                tries += 1;
            }
            marked => return marked,
        }
    }
}

/// Under its name the mark is there only when it is locked: one that nobody holds is that of a dead run.
fn mark_in(running: &File, run: &str, trace: &TraceId) -> io::Result<Mark> {
    rustix::fs::fchmod(running, Mode::RWXU)?;
    let beside = format!("{NEW_MARK}{}", Uuid::now_v7());
    let mut file = private_at(running, &beside)?;
    let locked = lock::try_exclusive(&file).is_ok_and(|is_ours| is_ours);
    let process = Some(RunProcess::this(locked));
    let mark = RunningMark { trace: trace.to_string(), pid: std::process::id(), process };
    let mut text = serde_json::to_vec(&mark)?;
    text.push(b'\n');
    file.write_all(&text)?;
    reached(Step::MarkMade);
    rustix::fs::renameat(running, beside.as_str(), running, run)?;
    reached(Step::Marked);
    Ok(Mark(file))
}

fn open_running(folder: &File) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    Ok(rustix::fs::openat(folder, RUNNING_DIR, flags, Mode::empty())?.into())
}

fn is_new_mark(name: &str) -> bool {
    name.strip_prefix(NEW_MARK).is_some_and(|number| Uuid::try_parse(number).is_ok())
}

/// How long ago something was made or written.
fn age(folder: &File, name: &str) -> Option<Duration> {
    let data = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let secs = u64::try_from(data.st_mtime).ok()?;
    (SystemTime::UNIX_EPOCH + Duration::from_secs(secs)).elapsed().ok()
}

/// What stands in a mark, if it is one and nobody holds it.
fn unheld(running: &File, run: &str) -> Option<RunningMark> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::RDONLY;
    let file = File::from(rustix::fs::openat(running, run, flags, Mode::empty()).ok()?);
    let is_file = file.metadata().is_ok_and(|data| data.is_file());
    let mark = is_file.then(|| RunningMark::read(&file))?;
    (!is_mark_held(&file, &mark)).then_some(mark)
}

/// Opens the folder, and looks whether it is the one that it was: an agent may have put a link in its place.
fn open(dir: &Path, real: Option<&Path>) -> io::Result<File> {
    let folder = File::open(real.unwrap_or(dir))?;
    if let Some(real) = real {
        let (ours, there) = (folder.metadata()?, fs::metadata(real)?);
        let is_same = (ours.dev(), ours.ino()) == (there.dev(), there.ino());
        if !is_same || fs::canonicalize(real)? != real || fs::canonicalize(dir)? != real {
            return Err(io::Error::other(format!("{} leads elsewhere by now", dir.display())));
        }
        check_owner(real)?;
    }
    Ok(folder)
}

/// How much of a tree is written at once; the whole text of a large one need not be in memory.
const WRITE_BYTES: usize = if cfg!(test) { 64 } else { 64 << 10 };

/// A file that is written in pieces, after each of which we may be killed.
struct Pieces<'a>(&'a File);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        reached(Step::WrittenSome);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Makes a file in an open folder that nobody else can read; what is there already is not touched.
fn private_at(folder: &File, name: &str) -> io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags | OFlags::WRONLY, mode)?;
    // The umask may have taken more away than the others' rights.
    rustix::fs::fchmod(&file, mode)?;
    Ok(file.into())
}

/// Refuses a way from one folder to another on which there is a link.
pub(in crate::observe) fn refuse_links(root: &Path, below: &Path) -> io::Result<()> {
    let mut folder = root.to_owned();
    for part in below.components() {
        folder.push(part);
        match fs::symlink_metadata(&folder) {
            Ok(data) if data.is_symlink() => {
                return Err(io::Error::other(format!(
                    "{} is a link, and belay follows none in a project",
                    folder.display()
                )));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the folder if it does not exist, and refuses one that cannot be written to, or into which others could put
/// their files.
pub(in crate::observe) fn check(dir: &Path) -> io::Result<()> {
    private_dirs(dir)?;
    check_owner(dir)?;
    let probe = dir.join(format!("{PROBE}{}", Uuid::now_v7()));
    private_file(&probe)?;
    fs::remove_file(&probe)?;
    keep_out_of_git(dir)
}

/// Traces hold what was worked on; a `.belay` folder keeps itself out of commits, but for a configuration that
/// the project may have there.
fn keep_out_of_git(dir: &Path) -> io::Result<()> {
    let belay =
        dir.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == ".belay"));
    let Some(ignore) = belay.map(|folder| folder.join(".gitignore")) else { return Ok(()) };
    match private_file(&ignore) {
        Ok(mut file) => file.write_all(b"*\n!/config.toml\n"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The steps of a write, at each of which we may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Locked,
    MarkMade,
    Marked,
    Made,
    WrittenSome,
    Written,
    Durable,
    Renamed,
    Synced,
    Unmarked,
}

#[cfg(not(test))]
fn reached(_: Step) {}

#[cfg(test)]
use super::crashes::reached;
