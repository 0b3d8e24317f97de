//! Two supervisors that have been started and wait for what they are to start.

use crate::supervisor::{NAME, OUTER};
use crate::wire::{self, Launch, Report};
use crate::{Pipes, Start, children};
use rustix::process::Pid;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a program does not run below supervisors.
#[derive(Debug)]
pub(crate) enum NotSupervised {
    /// The program itself could not be started.
    Program(io::Error),
    /// There are no supervisors.
    Supervisor(io::Error),
}

/// What is said to a supervisor that is to be started: the command, and our end of its socket.
pub(crate) fn command(program: &Path) -> io::Result<(Command, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(program);
    command.arg0(NAME).args([wire::VERSION, OUTER]).stdin(OwnedFd::from(theirs));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok((command, ours))
}

/// The first line to a supervisor.
pub(crate) fn launch(start: &Start<'_>) -> Vec<u8> {
    wire::line(&Launch {
        program: start.program.into(),
        args: start.args.to_vec(),
        env: start.env.clone(),
        cwd: start.cwd.map(Into::into),
        sigint: start.sigint,
        leave_running: start.leave_running,
        deadline: start.deadline,
    })
}

/// The ids of the program and of the inner supervisor, from its first report.
pub(crate) fn started(report: Option<Report>) -> Result<(Pid, Pid), NotSupervised> {
    let pid = |raw: u32| i32::try_from(raw).ok().and_then(Pid::from_raw);
    let words = match report {
        Some(Report::Started { pid: program, supervisor }) => {
            match pid(program).zip(pid(supervisor)) {
                Some(pids) => return Ok(pids),
                None => "it reports no process".to_owned(),
            }
        }
        Some(Report::NotStarted { errno, message }) => {
            return Err(NotSupervised::Program(match errno {
                Some(errno) => io::Error::from_raw_os_error(errno),
                None => io::Error::new(io::ErrorKind::InvalidInput, message),
            }));
        }
        Some(Report::Unable { message }) => message,
        Some(_) => "its first report is another".to_owned(),
        None => "it is not a supervisor of this version".to_owned(),
    };
    Err(NotSupervised::Supervisor(io::Error::other(words)))
}

/// Supervisors of a program with a runtime.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) program: PathBuf,
    pub(crate) outer: children::OwnChild,
    pub(crate) socket: UnixStream,
}

impl Pair {
    pub(crate) fn start(program: &Path) -> io::Result<Self> {
        let (command, socket) = command(program)?;
        let outer = children::spawn(command)?;
        Ok(Self { program: program.to_owned(), outer, socket })
    }

    /// Hands over the pipes; they are read when the supervisors are ready.
    pub(crate) fn send(&self, pipes: &Pipes) -> io::Result<()> {
        let pipes = [pipes.stdin.as_fd(), pipes.stdout.as_fd(), pipes.stderr.as_fd()];
        wire::send_pipes(&self.socket, pipes)
    }
}
