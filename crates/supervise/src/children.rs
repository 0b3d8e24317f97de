//! The children of this process: what it has started itself, and orphans that were left to it.
//!
//! Orphans come to a process that is a subreaper, as the program `belay` makes itself, or the first one of a
//! container: when both supervisors of an agent are killed, what was below them is below us.

use crate::tree;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, set_child_subreaper, waitid, waitpid,
};
use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The ids of what we have started and not waited for.
static OURS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

static ADOPTS: AtomicBool = AtomicBool::new(false);

fn ours() -> MutexGuard<'static, BTreeSet<u32>> {
    // Nothing that holds it can panic half-way.
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child of this process, which is no orphan as long as somebody has this.
#[derive(Debug)]
pub(crate) struct OwnChild {
    child: tokio::process::Child,
    id: Option<Pid>,
}

impl OwnChild {
    /// Its process id, also when it has ended.
    pub(crate) fn id(&self) -> Option<Pid> {
        self.id
    }

    /// True until it has been waited for: its id may be another's then.
    pub(crate) fn is_ours(&self) -> bool {
        self.child.id().is_some()
    }

    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    pub(crate) fn start_kill(&mut self) {
        // One that has ended needs no kill.
        let _ = self.child.start_kill();
    }
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        forget(self.id);
    }
}

/// Starts a program. Nobody looks for orphans meanwhile, who would take it for one.
pub(crate) fn spawn(command: Command) -> io::Result<OwnChild> {
    let mut command = tokio::process::Command::from(command);
    let mut ours = ours();
    let child = command.spawn()?;
    ours.extend(child.id());
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    Ok(OwnChild { child, id })
}

/// As [`spawn`], for who has no runtime.
pub(crate) fn spawn_blocking(command: &mut Command) -> io::Result<Child> {
    let mut ours = ours();
    let child = command.spawn()?;
    ours.insert(child.id());
    Ok(child)
}

/// Puts this program, with the same arguments and one variable more, in the place of this process. Returns only if that
/// fails.
pub fn restart_with(name: &str, value: &str) -> io::Error {
    let mut args = std::env::args_os();
    let own = std::env::current_exe().ok().filter(|program| program.is_file());
    // Also when the program's file has been replaced since it was started.
    let mut command = Command::new(own.unwrap_or_else(|| "/proc/self/exe".into()));
    command.arg0(args.next().unwrap_or_default()).args(args).env(name, value).exec()
}

/// A program that gets this one's terminal, for a person.
pub fn foreground(program: &Path) -> Command {
    Command::new(program)
}

/// Starts what [`foreground`] has made; who waits for it by its id has it as long as this program lives.
///
/// # Errors
/// The system's.
pub fn spawn_foreground(command: &mut Command) -> io::Result<Child> {
    spawn_blocking(command)
}

/// A child was waited for: its id may be another's by now.
pub(crate) fn forget(pid: Option<Pid>) {
    ours().retain(|known| Some(*known) != pid.map(raw));
}

/// Makes this process the one that orphans of its agents come to.
///
/// For a program that starts nothing but by way of this crate: whatever else is below it counts as an orphan, and is
/// reaped by [`reap_orphans`] and ended when the supervisors of an agent were killed.
pub fn adopt_orphans() {
    // A system without it has weaker containment, which is said where it shows.
    let _ = set_child_subreaper(Some(getpid()));
    ADOPTS.store(true, Ordering::Relaxed);
}

/// Takes in orphans that have died. To be called when a child has died (SIGCHLD).
pub fn reap_orphans() {
    if !ADOPTS.load(Ordering::Relaxed) {
        return;
    }
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let ours = ours();
    // One of our own that is dead stands before the others until it is waited for, so each is asked by itself.
    if !matches!(waitid(WaitId::All, options), Ok(Some(_))) {
        return;
    }
    for orphan in tree::children(getpid()).into_iter().filter(|pid| !ours.contains(&raw(*pid))) {
        let _ = waitpid(Some(orphan), WaitOptions::NOHANG);
    }
}

/// Kills the orphans that are below this process, and all that is below them.
pub(crate) fn kill_orphans() {
    if !ADOPTS.load(Ordering::Relaxed) {
        return;
    }
    let ours = ours();
    let orphans = || tree::children(getpid()).into_iter().filter(|pid| !ours.contains(&raw(*pid)));
    for signal in [Signal::STOP, Signal::KILL] {
        for orphan in orphans() {
            let below = tree::below(orphan);
            tree::signal(&[orphan], signal);
            tree::signal(&below, signal);
        }
    }
}

fn raw(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}
