//! Whether somebody is still at work on what a file tells of: a journal, or the mark of a trace.
//!
//! Its writer holds a lock on it, which is the whole answer on one machine. Where locks fail, or are kept to each
//! machine (NFS, FUSE, the home of a cluster), the file also says which process on which machine writes it.

use crate::{RunProcess, lock};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::OnceLock;

/// Whether somebody is still at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Its process lives.
    AtWork,
    /// Its process is gone.
    Gone,
    /// It was begun on another machine, and only that one knows.
    Unknown,
}

impl RunProcess {
    /// This process, which holds what it writes, or could not get a lock on it.
    pub fn this(locked: bool) -> Self {
        static THIS: OnceLock<RunProcess> = OnceLock::new();
        let this = THIS.get_or_init(|| {
            let pid = std::process::id();
            Self {
                host: system("hostname"),
                boot_id: system("random/boot_id"),
                pid,
                start: start_of(pid).unwrap_or_default(),
                locked: false,
            }
        });
        Self { locked, ..this.clone() }
    }

    /// True for a process of this machine since it was started; also where that is not known.
    pub fn is_here(&self) -> bool {
        let here = Self::this(false);
        self.host.is_empty() || self.host == here.host || self.is_of_this_kernel(&here)
    }

    /// True for a process that this system can see, or could have seen.
    fn is_of_this_kernel(&self, here: &Self) -> bool {
        !here.boot_id.is_empty() && self.boot_id == here.boot_id
    }

    /// Its id, if it lives in this system.
    pub fn pid_here(&self) -> Option<u32> {
        let here = Self::this(false);
        let is_same = self.host == here.host && self.is_of_this_kernel(&here);
        Some(self.pid).filter(|pid| is_same && start_of(*pid) == Some(self.start))
    }

    /// True if the process lives and has this very file open.
    fn has_open(&self, file: &File) -> bool {
        if start_of(self.pid) != Some(self.start) {
            return false;
        }
        let (Ok(fds), Ok(wanted)) =
            (fs::read_dir(format!("/proc/{}/fd", self.pid)), file.metadata())
        else {
            // It hides what it has.
            return true;
        };
        let id = |data: &fs::Metadata| (data.dev(), data.ino());
        let wanted = id(&wanted);
        let handles = fds.flatten().filter_map(|fd| fs::metadata(fd.path()).ok());
        let handles = handles.filter(|data| id(data) == wanted).count();
        // This one is its own, if it looks at itself.
        handles > usize::from(self.pid == std::process::id())
    }
}

/// Whether the writer of a file is still at work, who has said of himself what he is.
pub(crate) fn of(held: Option<bool>, by: Option<&RunProcess>, file: &File) -> Liveness {
    judge(held, by, &RunProcess::this(false), |by| by.has_open(file))
}

/// The same as a pure function of what is known: whether the lock is held, if that can be told.
fn judge(
    held: Option<bool>,
    by: Option<&RunProcess>,
    here: &RunProcess,
    is_there: impl FnOnce(&RunProcess) -> bool,
) -> Liveness {
    if held == Some(true) {
        return Liveness::AtWork;
    }
    let Some(by) = by.filter(|by| !by.host.is_empty() && !here.host.is_empty()) else {
        return Liveness::Gone;
    };
    match (by.host == here.host, by.is_of_this_kernel(here)) {
        (true, true) if is_there(by) => Liveness::AtWork,
        // Its machine was started again since.
        (true, _) => Liveness::Gone,
        // A container, or another name of this machine: its locks are this kernel's.
        (false, true) if by.locked && held == Some(false) => Liveness::Gone,
        (false, _) => Liveness::Unknown,
    }
}

/// What this system says of itself; nothing where there is no `/proc`.
fn system(name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    text.trim().to_owned()
}

/// When a process was started, in ticks since the machine was; `None` if it is gone, or dead and not yet taken in.
fn start_of(pid: u32) -> Option<u64> {
    let stat: io::Result<String> = fs::read_to_string(format!("/proc/{pid}/stat"));
    let stat = stat.ok()?;
    // The name is in brackets, and can hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X" | "x");
    fields.nth(18)?.parse().ok().filter(|_| !is_dead)
}

/// Whether the lock of a file is held, where that can be told.
pub(crate) fn held(file: &File) -> Option<bool> {
    lock::is_held(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(host: &str, boot_id: &str, locked: bool) -> RunProcess {
        let (host, boot_id) = (host.to_owned(), boot_id.to_owned());
        RunProcess { host, boot_id, pid: 7, start: 9, locked }
    }

    #[test]
    fn only_its_own_machine_can_tell_that_a_run_is_gone() {
        use Liveness::{AtWork, Gone, Unknown};
        let here = process("a", "boot-1", true);
        let rows = [
            // Held, its process, whether that is there, and what follows.
            (Some(true), process("b", "boot-2", true), false, AtWork),
            (Some(false), process("a", "boot-1", true), false, Gone),
            (None, process("a", "boot-1", false), false, Gone),
            // Locks that each machine keeps to itself, or that there are none of.
            (Some(false), process("a", "boot-1", true), true, AtWork),
            (None, process("a", "boot-1", false), true, AtWork),
            // Started again.
            (Some(false), process("a", "boot-0", true), true, Gone),
            (Some(false), process("b", "boot-2", true), true, Unknown),
            (None, process("b", "boot-2", false), true, Unknown),
            // A container of this machine.
            (Some(false), process("b", "boot-1", true), true, Gone),
            (Some(false), process("b", "boot-1", false), true, Unknown),
        ];
        for (held, by, is_there, want) in rows {
            assert_eq!(judge(held, Some(&by), &here, |_| is_there), want, "{held:?} {by:?}");
        }
        // A journal of an earlier version, and a system that says nothing of itself.
        assert_eq!(judge(Some(false), None, &here, |_| true), Gone);
        let nobody = process("", "", true);
        assert_eq!(judge(Some(false), Some(&here), &nobody, |_| true), Gone);
    }

    #[test]
    fn a_process_is_known_by_its_start_and_by_what_it_has_open() {
        let path = std::env::temp_dir().join(format!("belay-alive-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let this = RunProcess::this(true);
        assert!(this.is_here() && !this.has_open(&file), "the handle that asks does not count");
        let _second = File::open(&path).unwrap();
        assert!(this.has_open(&file));
        assert!(!RunProcess { start: this.start + 1, ..this.clone() }.has_open(&file));
        // The first process of the machine, or of this container, has other files.
        let first = RunProcess { pid: 1, start: start_of(1).unwrap(), ..this };
        if fs::read_dir("/proc/1/fd").is_ok() {
            assert!(!first.has_open(&file));
        }
        fs::remove_file(path).unwrap();
    }
}
