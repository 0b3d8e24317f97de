//! What OpenCode's server says of a session when it is asked: the other witness of a turn whose events were cut, or
//! fell silent.
//!
//! Three questions in this order, so that no answer is older than the one before: does the session work, which messages
//! does it have, what has it used. An answer that the session is idle holds only with a message of the model's that is
//! whole.

use super::meter::Totals;
use super::wire::{Message, SessionInfo, Status};
use crate::Out;
use crate::protocol::HttpId;
use crate::wire::decode;
use std::collections::HashMap;
use std::time::Duration;

/// Why the server is asked whether the session works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The session has said that it is idle: whether it stays so.
    Idle,
    /// Nothing but heartbeats has come for a while.
    Heartbeat,
    /// Events were lost, or may have been.
    Gap,
}

/// A question to the server, as its answer is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Work(Why),
    /// The messages of the session.
    Messages,
    /// The session and what it has used.
    Totals,
    /// The permissions that are waited for.
    Asks,
}

impl Question {
    const ALL: [(Self, HttpId); 6] = [
        (Self::Work(Why::Idle), HttpId(8)),
        (Self::Work(Why::Heartbeat), HttpId(9)),
        (Self::Work(Why::Gap), HttpId(10)),
        (Self::Messages, HttpId(11)),
        (Self::Totals, HttpId(12)),
        (Self::Asks, HttpId(13)),
    ];

    /// The one that is answered by this name, if any.
    pub(super) fn of(id: HttpId) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, name)| *name == id).map(|(question, _)| question)
    }

    /// Asks it of this session.
    pub(super) fn ask(self, session: &str, out: &mut Out) {
        let path = match self {
            Self::Work(_) => "/session/status".to_owned(),
            Self::Messages => format!("/session/{session}/message"),
            Self::Totals => format!("/session/{session}"),
            Self::Asks => "/permission".to_owned(),
        };
        let named = Self::ALL.into_iter().find(|(question, _)| *question == self);
        if let Some((_, id)) = named {
            out.get(id, path);
        }
    }
}

/// What the server has said so far of a session whose events were lost.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// What was lost is being asked for.
    pub(super) is_asked: bool,
    /// The server says that the session has nothing to do.
    pub(super) is_idle: bool,
    /// Whoever runs the driver waits for how the turn stands.
    pub(super) is_doubted: bool,
    /// What the session had used, and when it was changed last, before it was prompted.
    pub(super) before: Totals,
    opened_at: f64,
    /// How often in a row the events were opened again, and nothing of the session was heard by them.
    reopened: usize,
    /// Nothing of the session has been heard since the last heartbeat.
    is_quiet: bool,
    has_heard: bool,
}

/// What the server says that a session does.
#[derive(Debug)]
pub(super) enum Work {
    Busy(Status),
    Idle,
    /// It has no answer that belay can read.
    Unknown,
}

/// What each session does, by the server; only those that do something are named.
pub(super) type Sessions = HashMap<String, Status>;

impl Work {
    pub(super) fn of(session: &str, sessions: Option<&Sessions>) -> Self {
        match sessions.map(|sessions| sessions.get(session)) {
            None => Self::Unknown,
            Some(Some(status)) if status.kind != "idle" => Self::Busy(status.clone()),
            Some(_) => Self::Idle,
        }
    }
}

impl Witness {
    /// Notes a session that was opened, and what it holds that is of earlier turns.
    pub(super) fn opened(&mut self, session: &SessionInfo, is_new: bool) {
        if !is_new {
            (self.before, self.opened_at) = (session.totals(), session.time.updated);
        }
    }

    /// Notes an event of the session.
    pub(super) fn heard(&mut self) {
        (self.has_heard, self.reopened, self.is_quiet) = (true, 0, false);
    }

    /// True if an event of the session has come since it was prompted.
    pub(super) fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// Notes a heartbeat; true if there was nothing else since the last one.
    pub(super) fn beat(&mut self) -> bool {
        std::mem::replace(&mut self.is_quiet, true)
    }

    /// How long to wait before the events are opened again; `None` if that was tried often enough.
    pub(super) fn reopen(&mut self) -> Option<Duration> {
        let wait = REOPEN.get(self.reopened);
        self.reopened += 1;
        wait.copied()
    }

    /// The messages of this run's turn.
    pub(super) fn ours<'a>(&self, body: &'a str) -> Option<Vec<Message<'a>>> {
        let mut messages = decode::<Vec<Message<'a>>>(body)?;
        if self.opened_at > 0.0 {
            messages.retain(|message| message.info.created() > self.opened_at);
        }
        Some(messages)
    }
}

/// How long is waited before each further try to hear a server whose events have ended.
const REOPEN: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
];
