//! What a program and its supervisors say to each other: a JSON object a line over a socket, and before the first
//! line one byte that carries the three pipes of what is to be started.

use crate::{Exit, LeftProcess};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The version of all this, an argument of both supervisors: one that was installed later may be another.
pub(crate) const VERSION: &str = "1";

/// What to start, in the user's first line. Names and arguments need not be UTF-8.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: Option<OsString>,
    /// SIGINT lets the program end its tools, so it comes before the kill also when its user is gone.
    pub(crate) sigint: bool,
    /// What goes on when the program is gone goes on for good.
    pub(crate) leave_running: bool,
    /// When the program is ended in any case: its user may have been stopped, and keeps no time then.
    pub(crate) deadline: Option<Duration>,
}

/// What the user wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Send this signal to the program, or to its process group.
    Signal { signal: i32, group: bool },
    /// Kill the program and all that is below it.
    Kill,
    /// Freeze the program and all that is below it.
    Pause,
    /// Let them go on.
    Resume,
    /// End what the program left behind, unless that is to go on, and report, also if the program is not gone.
    Sweep { leave_running: bool },
}

/// What a supervisor has seen or done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The program runs, below this inner supervisor.
    Started { pid: u32, supervisor: u32 },
    /// The program could not be started; `errno` is the system's word for why.
    /// Without one, the arguments are none that a program can have.
    NotStarted { errno: Option<i32>, message: String },
    /// The supervisors cannot do their work here.
    Unable { message: String },
    /// The program ended with this code.
    ExitCode(i32),
    /// The program was ended by this signal.
    ExitSignal(i32),
    /// One of the supervisors was killed or told to end; the other ends all that is below it.
    Lost { why: String },
    /// What was found below the program when it was gone; the last report.
    Swept { found: Vec<LeftProcess> },
}

impl Report {
    /// How the program ended, if that is what it says.
    pub(crate) fn exit(&self) -> Option<Exit> {
        match self {
            Self::ExitCode(code) => Some(Exit::Code(*code)),
            Self::ExitSignal(signal) => Some(Exit::Signal(*signal)),
            _ => None,
        }
    }
}

/// A message as a line.
pub(crate) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("our own messages encode");
    line.push(b'\n');
    line
}

/// Sends the program's ends of its pipes: input, output, errors.
pub(crate) fn send_pipes(socket: impl AsFd, pipes: [BorrowedFd<'_>; 3]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&pipes));
    sendmsg(socket, &[IoSlice::new(b"\n")], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Receives what [`send_pipes`] sent.
pub(crate) fn receive_pipes(socket: impl AsFd) -> io::Result<[OwnedFd; 3]> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
    let mut pipes = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            pipes.extend(fds);
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("the pipes did not fit"));
    }
    pipes.try_into().map_err(|_| io::Error::other("the socket carried no pipes"))
}
