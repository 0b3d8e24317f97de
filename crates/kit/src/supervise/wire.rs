//! What belay and its supervisor say to each other: a JSON object a line over a socket, and before the first
//! line one byte that carries the agent's three pipes.

use belay_agents::Exit;
use belay_trace::LeftProcess;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What to start, in belay's first line. Names and arguments need not be UTF-8.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) cwd: Option<OsString>,
    /// SIGINT lets the agent end its tools, so it comes before the kill also when belay is gone.
    pub(super) sigint: bool,
}

/// What belay wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Send this signal to the agent, or to its process group.
    Signal { signal: i32, group: bool },
    /// Kill the agent and all that is below it.
    Kill,
    /// Freeze the agent and all that is below it.
    Pause,
    /// Let them go on.
    Resume,
    /// The agent is gone: end what it left behind, unless that is to go on, and report.
    Sweep { leave_running: bool },
}

/// What the supervisor has seen or done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The agent runs.
    Started { pid: u32 },
    /// The agent's program could not be started; `errno` is the system's word for why.
    /// Without one, the arguments are none that a program can have.
    NotStarted { errno: Option<i32>, message: String },
    /// The supervisor cannot do its work here.
    Unable { message: String },
    /// The agent ended with this code.
    ExitCode(i32),
    /// The agent was ended by this signal.
    ExitSignal(i32),
    /// What was found below the agent when it was gone; the last report.
    Swept { found: Vec<LeftProcess> },
}

impl Report {
    /// How the agent ended, if that is what it says.
    pub(super) fn exit(&self) -> Option<Exit> {
        match self {
            Self::ExitCode(code) => Some(Exit::Code(*code)),
            Self::ExitSignal(signal) => Some(Exit::Signal(*signal)),
            _ => None,
        }
    }
}

/// A message as a line.
pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("our own messages encode");
    line.push(b'\n');
    line
}

/// Sends the agent's ends of its pipes: input, output, errors.
pub(super) fn send_pipes(socket: impl AsFd, pipes: [BorrowedFd<'_>; 3]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&pipes));
    sendmsg(socket, &[IoSlice::new(b"\n")], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Receives what [`send_pipes`] sent.
pub(super) fn receive_pipes(socket: impl AsFd) -> io::Result<[OwnedFd; 3]> {
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
