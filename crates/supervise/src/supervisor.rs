//! The supervisors: two small processes between a program and its user, which outlive both long enough to clean up.
//!
//! The outer one starts the inner one, and that starts the program. Both are subreapers: whatever the program
//! starts, in whatever session, is below both for ever. Both hold an end of the user's socket; when its other end
//! closes, the user is gone, and the inner one ends all that is below it. A second socket is between the two: when
//! either is killed, the other ends everything. A supervisor that is stopped is continued by the other.
//!
//! What is below them is found by way of `/proc`, frozen, looked at again, and killed, until nothing is left.

mod inner;
mod outer;
mod watch;

use crate::limits::{KILLED_AGAIN, REPORT, SWEEP};
use crate::wire::{self, Report};
use crate::{LeftProcess, limits, tree};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, wait};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use self::watch::Watch;

/// The name under which both are started; it also stands in the list of processes.
pub(crate) const NAME: &str = "belay-supervisor";

/// What the inner one is called beside it.
pub(crate) const INNER: &str = "inner";

/// What the outer one is called.
pub(crate) const OUTER: &str = "outer";

/// Does a supervisor's work, if this process was started for that, and says how it went.
pub(crate) fn run() -> Option<io::Result<()>> {
    let mut args = std::env::args_os();
    if args.next()? != NAME || args.next()? != wire::VERSION {
        return None;
    }
    match args.next()?.to_str()? {
        OUTER => Some(outer::run()),
        INNER => Some(inner::run()),
        _ => None,
    }
}

/// True in a process that was started as a supervisor, of whatever version.
pub(crate) fn is_one() -> bool {
    let mut args = std::env::args_os();
    args.next().is_some_and(|name| name == NAME) && args.any(|word| word == OUTER || word == INNER)
}

/// Takes a standard stream that is a socket; `/dev/null` stands in its place afterwards.
fn take(stream: impl AsFd, put: fn(OwnedFd) -> rustix::io::Result<()>) -> io::Result<UnixStream> {
    let socket = UnixStream::from(stream.as_fd().try_clone_to_owned()?);
    put(File::options().read(true).write(true).open("/dev/null")?.into())?;
    Ok(socket)
}

/// What both can do: report, and end what is below.
struct Supervisor {
    socket: UnixStream,
    watch: Watch,
    /// What was killed besides the program.
    found: Vec<LeftProcess>,
}

impl Supervisor {
    fn new(socket: UnixStream) -> io::Result<Self> {
        // A user that is stopped does not read.
        socket.set_write_timeout(Some(REPORT))?;
        Ok(Self { socket, watch: Watch::new()?, found: Vec::new() })
    }

    /// Tells the user. If it is gone, the socket says so elsewhere.
    fn report(&mut self, report: &Report) {
        let _ = self.socket.write_all(&wire::line(report));
    }

    /// Takes in whoever has died or was stopped; `false` if there is no child at all.
    fn reap(&self, mut each: impl FnMut(Pid, WaitStatus)) -> bool {
        loop {
            match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Ok(Some((pid, status))) => each(pid, status),
                Ok(None) | Err(Errno::INTR) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Kills everything below us; `program` is not among what was left behind.
    fn kill_all(&mut self, program: Option<Pid>, mut each: impl FnMut(Pid, WaitStatus)) {
        let patience = Instant::now() + SWEEP;
        while self.reap(&mut each) {
            let first_look = tree::below(getpid());
            // Frozen, so that nothing is started while we look again.
            tree::signal(&first_look, Signal::STOP);
            let pids = tree::below(getpid());
            for pid in pids.iter().filter(|pid| Some(**pid) != program) {
                self.note(*pid, true);
            }
            tree::signal(&pids, Signal::KILL);
            if Instant::now() >= patience {
                // What no kill can end, such as a process that hangs in the kernel.
                let alive = tree::below(getpid());
                for process in &mut self.found {
                    let is_it =
                        |pid: &Pid| pid.as_raw_nonzero().get().unsigned_abs() == process.pid;
                    process.killed = !alive.iter().any(is_it);
                }
                return;
            }
            self.watch.some_child(KILLED_AGAIN);
        }
    }

    /// Names what was found, as much of it as anybody reads.
    fn note(&mut self, pid: Pid, killed: bool) {
        let raw = pid.as_raw_nonzero().get().unsigned_abs();
        let is_known = self.found.iter().any(|known| known.pid == raw);
        if !is_known && self.found.len() < limits::LEFT_MAX {
            self.found.push(tree::describe(pid, killed));
        }
    }
}
