//! The outer supervisor: it starts the inner one, and ends everything when that is killed.

use super::{INNER, NAME, Supervisor, take};
use crate::limits::ABANDONED;
use crate::tree;
use crate::wire::{self, Report};
use rustix::process::{Pid, Signal, WaitStatus, getpid, kill_process, set_child_subreaper, setsid};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Instant;

pub(super) fn run() -> io::Result<()> {
    let socket = take(io::stdin(), rustix::stdio::dup2_stdin)?;
    // Out of the terminal's reach: a Ctrl-C is the user's to pass on. Fails only for the leader of a group.
    let _ = setsid();
    let mut supervisor = Supervisor::new(socket)?;
    let begun = begin(&supervisor.socket);
    let (inner, link) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            supervisor.report(&Report::Unable { message: error.to_string() });
            return Ok(());
        }
    };
    let status = until_the_end(&mut supervisor, inner);
    drop(link);
    // It has done its work, and what it has left running is to go on.
    if status.and_then(WaitStatus::exit_status) == Some(0) {
        return Ok(());
    }
    // It may have been killed in the middle of a line.
    let _ = supervisor.socket.write_all(b"\n");
    supervisor.report(&Report::Lost { why: why(status) });
    supervisor.kill_all(None, |_, _| {});
    let found = std::mem::take(&mut supervisor.found);
    supervisor.report(&Report::Swept { found });
    Ok(())
}

fn begin(socket: &UnixStream) -> io::Result<(Pid, UnixStream)> {
    set_child_subreaper(Some(getpid()))
        .map_err(|error| io::Error::other(format!("the system has no subreaper: {error}")))?;
    if !tree::is_ours() {
        return Err(io::Error::other("/proc does not show the processes of this PID namespace"));
    }
    let (link, theirs) = UnixStream::pair()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0(NAME).args([wire::VERSION, INNER]);
    command.stdin(OwnedFd::from(socket.try_clone()?)).stdout(OwnedFd::from(theirs));
    let child = command.stderr(Stdio::null()).spawn()?;
    Ok((Pid::from_child(&child), link))
}

/// Waits for the end of the inner one: nothing else is to be done while that is at work.
fn until_the_end(supervisor: &mut Supervisor, inner: Pid) -> Option<WaitStatus> {
    let mut given_up: Option<Instant> = None;
    loop {
        let mut end = None;
        supervisor.reap(|pid, status| {
            if pid != inner {
                return;
            }
            if status.stopped() {
                // Nobody but us would ever continue it.
                let _ = kill_process(inner, Signal::CONT);
            } else if status.exited() || status.signaled() {
                end = Some(status);
            }
        });
        if end.is_some() {
            return end;
        }
        let socket = supervisor.socket.try_clone().ok();
        let socket = socket.as_ref().map(|socket| socket.as_fd());
        let is_open = given_up.is_none();
        let seen = supervisor.watch.next(socket.filter(|_| is_open), false, None, given_up);
        if seen.told_to_end {
            // It tells the user, and ends what is below.
            let _ = kill_process(inner, Signal::TERM);
        }
        if seen.first {
            given_up = Some(Instant::now() + ABANDONED);
        }
        if given_up.is_some_and(|at| at <= Instant::now()) {
            let _ = kill_process(inner, Signal::KILL);
        }
    }
}

fn why(status: Option<WaitStatus>) -> String {
    match status.and_then(WaitStatus::terminating_signal) {
        Some(signal) => format!("the supervisor of the agent was killed (signal {signal})"),
        None => "the supervisor of the agent failed".to_owned(),
    }
}
