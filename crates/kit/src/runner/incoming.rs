//! What comes out of an agent's process and its server, and what is said of both in events.

use belay_agents::{Exit, HttpId};
use belay_trace::Containment;
use belaykit_supervise::{self as supervise, Output, Process};

/// Something that an agent has said.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// On its standard output or error.
    Printed(Output),
    /// Its server has answered, or why it has not: its status and body.
    Http(HttpId, u16, Vec<u8>),
    /// Its server has sent an event.
    Sse(Vec<u8>),
}

impl From<Output> for Incoming {
    fn from(output: Output) -> Self {
        Self::Printed(output)
    }
}

/// How a process ended, as its driver hears it.
pub(super) fn exit(exit: supervise::Exit) -> Exit {
    match exit {
        supervise::Exit::Code(code) => Exit::Code(code),
        supervise::Exit::Signal(signal) => Exit::Signal(signal),
    }
}

/// How surely everything that a process starts is ended, as its events say it.
pub(super) fn containment(process: &Process) -> Containment {
    level(process.containment())
}

/// The same, of no process.
pub(super) fn level(containment: supervise::Containment) -> Containment {
    match containment {
        supervise::Containment::Subreaper => Containment::Subreaper,
        supervise::Containment::ProcessGroup => Containment::ProcessGroup,
    }
}
