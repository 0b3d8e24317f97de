//! The files of the breakers. Whoever reads takes no lock; whoever writes holds one for a moment, and gives up if
//! it is not to be had.

use super::entry::{Entry, Found, Key, State, Tripped};
use super::rules::Rule;
use super::{Breakers, Scope};
use crate::journal::files::{check_owner, private_dirs, private_file};
use crate::limits;
use belay_trace::lock;
use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Held by whoever writes.
const LOCK_FILE: &str = "lock";

/// Held by the one run that tries whether it works again.
const PROBE: &str = "probe";

/// Changed when an account answers, at most once in so long.
const ANSWERED: &str = "answered";
const ANSWER_NOTED: Duration = Duration::from_secs(30);

/// How often a lock is tried that somebody else holds.
const LOOK: Duration = Duration::from_millis(5);

/// The right to try. Dropped when the attempt has ended, or by the system, however it ends.
#[derive(Debug)]
pub(crate) struct Probe(#[expect(dead_code, reason = "holds a lock")] File);

/// What comes of asking for the right to try.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It works again, or nobody can tell.
    Free,
    /// This run is the one that tries.
    Probe(Probe),
    /// Others have found out meanwhile that it does not work.
    Open(Tripped),
    /// Another run is trying, and will know soon.
    Taken(Tripped),
    /// Another one has been trying for so long that it must be working, or has just begun.
    Stale,
}

impl Breakers {
    /// How a breaker stands.
    pub(crate) fn look(&self, key: &Key, now: Timestamp) -> State {
        self.read(key).map_or(State::Closed, |entry| entry.state(now))
    }

    /// Asks for the right to try one that is due.
    pub(crate) fn claim(&self, key: &Key, now: Timestamp) -> Claim {
        let State::Due(tripped) = self.look(key, now) else { return self.unclaimed(key, now) };
        // A store that cannot be written keeps nobody from his work.
        let Ok(file) = self.probe_file(key) else { return Claim::Free };
        // Where there are no locks, nor does it.
        let Ok(is_ours) = lock::try_exclusive(&file) else { return Claim::Free };
        if is_ours {
            // Whoever held it until now may have found out.
            return match self.look(key, now) {
                State::Due(_) => {
                    // Without it others go on sooner, or wait longer.
                    let _ = file.set_modified(SystemTime::now());
                    Claim::Probe(Probe(file))
                }
                State::Open(tripped) => Claim::Open(tripped),
                State::Closed => Claim::Free,
            };
        }
        let began = file.metadata().and_then(|data| data.modified());
        let since = began.ok().and_then(|began| began.elapsed().ok());
        match since {
            Some(since) if since < limits::BREAKER_PROBE => Claim::Taken(tripped),
            _ => Claim::Stale,
        }
    }

    fn unclaimed(&self, key: &Key, now: Timestamp) -> Claim {
        match self.look(key, now) {
            State::Open(tripped) => Claim::Open(tripped),
            State::Closed | State::Due(_) => Claim::Free,
        }
    }

    /// Notes a failure. Blocks for a moment; what cannot be noted is not known to others.
    pub(crate) fn fail(
        &self,
        key: Key,
        found: &Found,
        rule: Rule,
        now: Timestamp,
    ) -> io::Result<()> {
        private_dirs(&self.folder)?;
        check_owner(&self.folder)?;
        let _lock = self.lock()?;
        self.sweep();
        let entry = Entry::after_failure(self.read(&key), key, found, rule, now);
        self.write(&entry)
    }

    /// Notes that somebody's account has answered just now.
    pub(crate) fn note_answer(&self, whose: &str) -> io::Result<()> {
        if self.has_answered(whose, ANSWER_NOTED) {
            return Ok(());
        }
        private_dirs(&self.folder)?;
        check_owner(&self.folder)?;
        open_or_make(&self.path(whose, ANSWERED))?.set_modified(SystemTime::now())
    }

    /// True if somebody's account has answered within this time.
    pub(crate) fn has_answered(&self, whose: &str, within: Duration) -> bool {
        let noted =
            fs::symlink_metadata(self.path(whose, ANSWERED)).and_then(|data| data.modified());
        noted.ok().and_then(|at| at.elapsed().ok()).is_some_and(|age| age < within)
    }

    /// Notes that an attempt has answered that began then. Blocks for a moment if there is something to close.
    pub(crate) fn answered(&self, keys: &[Key], began: Timestamp) -> io::Result<()> {
        let closed = |key: &&Key| self.read(key).is_some_and(|entry| entry.is_closed_by(began));
        let keys: Vec<_> = keys.iter().filter(closed).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let _lock = self.lock()?;
        // It may have been opened anew before the lock was ours.
        keys.into_iter().filter(closed).try_for_each(|key| self.forget(&key.stem()))
    }

    /// All that can be read.
    pub(super) fn entries(&self) -> io::Result<Vec<Entry>> {
        let listed = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        };
        let names = listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let stems = names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned));
        Ok(stems.filter_map(|stem| self.read_file(&stem)).collect())
    }

    pub(super) fn remove(
        &self,
        wants: impl Fn(&Tripped) -> bool,
        now: Timestamp,
    ) -> io::Result<usize> {
        let wanted = |entry: &Entry| entry.tripped(now).is_some_and(|tripped| wants(&tripped));
        let wanted: Vec<_> = self.entries()?.into_iter().filter(wanted).collect();
        if !wanted.is_empty() {
            let _lock = self.lock()?;
            wanted.iter().try_for_each(|entry| self.forget(&entry.key.stem()))?;
        }
        Ok(wanted.len())
    }

    fn path(&self, stem: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{stem}.{extension}"))
    }

    fn read(&self, key: &Key) -> Option<Entry> {
        self.read_file(&key.stem())
    }

    /// What stands in a file, if this user's belay has put it there.
    fn read_file(&self, stem: &str) -> Option<Entry> {
        let text = read_own(&self.path(stem, "json"))?;
        serde_json::from_slice::<Entry>(&text).ok().filter(|entry| entry.is_of(stem))
    }

    /// Readers see the old one or the new one, and never a part.
    fn write(&self, entry: &Entry) -> io::Result<()> {
        let stem = entry.key.stem();
        let (path, new) = (self.path(&stem, "json"), self.path(&stem, "tmp"));
        forget(&new)?;
        private_file(&new)?.write_all(&serde_json::to_vec(entry)?)?;
        fs::rename(new, path)
    }

    fn forget(&self, stem: &str) -> io::Result<()> {
        forget(&self.path(stem, "json"))?;
        forget(&self.path(stem, PROBE))
    }

    fn lock(&self) -> io::Result<File> {
        let file = open_or_make(&self.folder.join(LOCK_FILE))?;
        let began = Instant::now();
        // Each file is replaced as a whole: where there are no locks, one of two changes at the same moment is lost.
        while let Ok(false) = lock::try_exclusive(&file) {
            if began.elapsed() > limits::BREAKER_LOCK {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            thread::sleep(LOOK);
        }
        Ok(file)
    }

    fn probe_file(&self, key: &Key) -> io::Result<File> {
        open_or_make(&self.path(&key.stem(), PROBE))
    }

    /// Removes what nobody would read any more. Whoever cannot see it all removes what he sees.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let is_lock = entry.file_name() == LOCK_FILE;
            let age = entry.metadata().and_then(|data| data.modified());
            let age = age.ok().and_then(|modified| modified.elapsed().ok());
            if !is_lock && age.is_some_and(|age| age > limits::BREAKER_EXPIRES) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Key {
    /// The breakers that a candidate meets, the widest first.
    pub(crate) fn all(agent: &str, account: &str, model: &str) -> [Self; 3] {
        let of = |scope| Self::of(scope, agent, account, model);
        [Scope::Machine, Scope::Account, Scope::Model].map(of)
    }

    /// The breaker of one scope.
    pub(crate) fn of(scope: Scope, agent: &str, account: &str, model: &str) -> Self {
        let upto = |needed: Scope, text: &str| {
            if scope >= needed { text.to_owned() } else { String::new() }
        };
        Self {
            scope,
            agent: upto(Scope::Account, agent),
            account: upto(Scope::Account, account),
            model: upto(Scope::Model, model),
        }
    }
}

/// The content of a small file of our own; nothing if it is anything else.
fn read_own(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let data = file.metadata().ok()?;
    let own = data.uid() == rustix::process::geteuid().as_raw();
    if !own || !data.is_file() || data.len() > limits::BREAKER_BYTES_MAX {
        return None;
    }
    let mut text = Vec::new();
    file.take(limits::BREAKER_BYTES_MAX).read_to_end(&mut text).ok()?;
    Some(text)
}

/// A file to be locked, which is never written.
fn open_or_make(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match private_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
        }
        made => made,
    }
}

/// Removes a file; what is gone needs no removing.
fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
