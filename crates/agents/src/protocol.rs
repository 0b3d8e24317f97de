//! The conversation with one agent process, as a state machine without I/O.

use crate::terminal::{TerminalId, TerminalNews, TerminalOrder};
use crate::witness::{Doubt, Standing};
use belay_trace::{Decision, Denial, Event, Failure, FailureKind, Json, ToolId, Usage};
use jiff::Timestamp;
use std::time::Duration;

/// The conversation with one running agent process, or the reading of one recorded stream.
///
/// A protocol is fed every input in the order of arrival and answers with [`Action`]s. The same inputs always
/// give the same actions, which is what makes replay and recorded tests exact.
///
/// It reports the end of each turn exactly once ([`Action::TurnEnded`]); when [`Input::Exit`] finds a turn
/// open, it ends it as a failure. Nothing an agent prints can make it panic.
pub trait Protocol: Send {
    /// Takes one input.
    fn step(&mut self, input: Input<'_>, out: &mut Out);
}

/// What a [`Protocol`] is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The id that the agent was told to give its new session; comes before the start, and only if the launch asks
    /// for it ([`Launch::new_session`](crate::Launch::new_session)).
    Session(&'a str),
    /// The process is running.
    Start,
    /// A line from its standard output, without its LF.
    Stdout(&'a [u8]),
    /// A line from its standard error, without its LF.
    Stderr(&'a [u8]),
    /// The caller says something to the running turn.
    Steer(&'a str),
    /// The caller wants the turn to stop. May come before the agent has a session.
    Interrupt,
    /// The answer to an [`Event::PermissionRequest`].
    Permission {
        /// Its `permission_id`.
        id: &'a str,
        /// The answer.
        answer: Decision,
    },
    /// Something has become of a terminal that the protocol has ordered.
    Terminal {
        /// Which one.
        id: TerminalId,
        /// What.
        news: TerminalNews<'a>,
    },
    /// A timer that the protocol asked for has run out.
    Timer(TimerId),
    /// The answer to an [`Action::Http`], or the end of an [`Action::OpenSse`].
    Http {
        /// Which one it answers.
        id: HttpId,
        /// The status; 0 if there was no answer, and the body says why.
        status: u16,
        /// The body.
        body: &'a [u8],
    },
    /// The data of one server-sent event.
    Sse(&'a [u8]),
    /// The stream does not show how the turn stands: the agent's other witness is to be asked. Answered with
    /// [`Action::Http`] or [`Action::AskSession`] and at last [`Action::Testified`], or with nothing by a driver whose
    /// agent has no other witness.
    Doubt(Doubt),
    /// The answer to an [`Action::AskSession`]: the lines that the session's files have gained since they were read
    /// last, whole ones only; none if there is no such file.
    SessionFile {
        /// When the attempt began: lines that were written before are those of earlier turns.
        since: Timestamp,
        /// The lines.
        lines: &'a [u8],
    },
    /// The answer to an [`Action::AskSilentCalls`]: what [`Agent::silent_calls`](crate::Agent::silent_calls) has kept
    /// of the lines that the session's file has gained since this was asked last.
    SilentCalls(&'a [u8]),
    /// The file that has the answer ([`Launch::answer_file`](crate::Launch::answer_file)), as the process has left it;
    /// comes before the exit, and not if there is none that the attempt has written.
    AnswerFile(&'a [u8]),
    /// The process has ended, and all it printed was fed.
    Exit(Exit),
}

/// A timer of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId(pub u32);

/// A request of a protocol to its agent's own server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HttpId(pub u32);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// What a [`Protocol`] wants done.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every action is an event, and lives for one step"
)]
pub enum Action {
    /// Something happened.
    Emit(Emitted),
    /// Write this to the agent's standard input.
    Stdin(Vec<u8>),
    /// Close the agent's standard input.
    CloseStdin,
    /// Feed [`Input::Timer`] later.
    Timer(TimerId, Duration),
    /// Send a request to the server that the agent is, and feed [`Input::Http`] with the answer.
    Http {
        /// Names the answer.
        id: HttpId,
        /// `GET` or `POST`.
        method: &'static str,
        /// The path, and what follows it.
        path: String,
        /// JSON, if there is a body.
        body: Option<Vec<u8>>,
    },
    /// Read server-sent events from this path: [`Input::Sse`] for each, [`Input::Http`] when they end. Those that were
    /// read before are read no longer, and their end is not told.
    OpenSse(HttpId, String),
    /// Run a command for the agent, as ordered.
    Terminal {
        /// Names it in what is told of it.
        id: TerminalId,
        /// What to do.
        order: TerminalOrder,
    },
    /// Read what is new in the files of this session ([`Agent::session_files`](crate::Agent::session_files)), and feed
    /// [`Input::SessionFile`].
    AskSession(String),
    /// Look in the file of this session for tool calls that the stream does not show, and feed
    /// [`Input::SilentCalls`]. The end of a turn that comes behind it is carried out when that was fed.
    AskSilentCalls(String),
    /// All that an [`Input::Doubt`] has led to was asked, and this is how the turn stands. What is new in it was told
    /// before, by events and as progress.
    Testified(Standing),
    /// The turn is over. What else the agent has open (a task in the background, a turn that reports it) ends with
    /// a turn of its own.
    TurnEnded(Box<AttemptEnd>),
    /// The agent has begun a further turn by itself.
    TurnOpened,
    /// Nothing more is wanted of the process: end it.
    Finish,
    /// The agent gets on in a way that no event tells: a tool prints what its result will repeat, or a session opens
    /// step by step. Events that show it are known by [`Event::is_progress`]; whatever else comes in is a sign of
    /// life, and no progress. Of a subagent's work it names the tool call that started it.
    Progress(Option<ToolId>),
    /// The agent has no words for the last input (an interrupt, a steer).
    Cannot(&'static str),
}

/// An event as a protocol knows it: the envelope is added by whoever runs the protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Emitted {
    /// What happened.
    pub event: Event,
    /// The tool call of the subagent that it belongs to.
    pub parent_tool_id: Option<ToolId>,
}

/// How a turn ended.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AttemptEnd {
    /// The answer, or what was reached of it.
    pub answer: String,
    /// Why there is no answer. `None` is success, and only the agent's protocol can say so.
    pub failure: Option<Failure>,
    /// What the turn used.
    pub usage: Usage,
    /// The agent's own count of turns, where it has one: it need not be that of the model's responses, which is
    /// [`Usage::num_turns`].
    pub reported_turns: Option<u64>,
    /// The agent's session, good for resuming.
    pub session_id: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// The value that the agent checked against the request's schema.
    pub structured: Option<Json>,
    /// Tools that were denied on the way.
    pub denials: Vec<Denial>,
    /// The agent has tried again by itself what has failed, and did not say so.
    pub has_retried: bool,
}

impl AttemptEnd {
    /// An answer, and what it has used.
    pub fn answered(answer: impl Into<String>, usage: Usage) -> Self {
        Self { answer: answer.into(), usage, ..Self::default() }
    }

    /// Adds the turn that came next in the same attempt. The last words are the answer, the last turn decides
    /// whether it is one, and all of them have used what they have used.
    pub fn followed_by(&mut self, next: Self) {
        if !next.answer.trim().is_empty() {
            self.answer = next.answer;
        }
        // Of a turn that was stopped nothing comes that could make up for it.
        let was_stopped = |failure: &Failure| {
            matches!(failure.kind, FailureKind::Interrupted | FailureKind::LimitReached)
        };
        self.failure = next.failure.or(self.failure.take().filter(was_stopped));
        self.usage.add(&next.usage);
        let turns = [self.reported_turns, next.reported_turns];
        self.reported_turns = turns.into_iter().flatten().reduce(u64::saturating_add);
        self.session_id = next.session_id.or(self.session_id.take());
        self.model = next.model.or(self.model.take());
        self.structured = next.structured.or(self.structured.take());
        self.has_retried = next.has_retried;
        for denial in next.denials {
            if !self.denials.contains(&denial) {
                self.denials.push(denial);
            }
        }
    }

    /// An end without an answer and without any use.
    pub fn failed(failure: Failure) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }
}

/// Collects the [`Action`]s of one step, in order.
#[derive(Debug, Default)]
pub struct Out {
    /// What was collected; the caller drains it.
    pub actions: Vec<Action>,
}

impl Out {
    /// Something happened.
    pub fn event(&mut self, event: Event) {
        self.event_under(None, event);
    }

    pub(crate) fn event_under(&mut self, parent_tool_id: Option<ToolId>, event: Event) {
        self.actions.push(Action::Emit(Emitted { event, parent_tool_id }));
    }

    pub(crate) fn stdin_line(&mut self, line: &impl serde::Serialize) {
        let mut bytes = serde_json::to_vec(line).expect("our own messages encode");
        bytes.push(b'\n');
        self.actions.push(Action::Stdin(bytes));
    }

    /// Writes to the agent's standard input.
    pub fn stdin(&mut self, bytes: Vec<u8>) {
        self.actions.push(Action::Stdin(bytes));
    }

    /// Closes the agent's standard input.
    pub fn close_stdin(&mut self) {
        self.actions.push(Action::CloseStdin);
    }

    pub(crate) fn get(&mut self, id: HttpId, path: impl Into<String>) {
        self.actions.push(Action::Http { id, method: "GET", path: path.into(), body: None });
    }

    pub(crate) fn post(
        &mut self,
        id: HttpId,
        path: impl Into<String>,
        body: &impl serde::Serialize,
    ) {
        let body = Some(serde_json::to_vec(body).expect("our own messages encode"));
        self.actions.push(Action::Http { id, method: "POST", path: path.into(), body });
    }

    pub(crate) fn open_sse(&mut self, id: HttpId, path: impl Into<String>) {
        self.actions.push(Action::OpenSse(id, path.into()));
    }

    pub(crate) fn timer(&mut self, id: TimerId, after: Duration) {
        self.actions.push(Action::Timer(id, after));
    }

    /// The agent gets on, and no event says so.
    pub fn progress(&mut self) {
        self.actions.push(Action::Progress(None));
    }

    /// A subagent that this call has started gets on, and no event says so.
    pub(crate) fn progress_of(&mut self, tool_id: Option<ToolId>) {
        self.actions.push(Action::Progress(tool_id));
    }

    pub(crate) fn finish(&mut self) {
        self.actions.push(Action::Finish);
    }

    /// A further turn has begun.
    pub fn turn_opened(&mut self) {
        self.actions.push(Action::TurnOpened);
    }

    /// The turn is over: once a turn.
    pub fn turn_ended(&mut self, end: AttemptEnd) {
        self.actions.push(Action::TurnEnded(Box::new(end)));
    }

    /// The session's own files are to be read.
    pub fn ask_session(&mut self, session_id: &str) {
        self.actions.push(Action::AskSession(session_id.to_owned()));
    }

    /// The session's file is to be searched for calls that the stream does not show.
    pub fn ask_silent_calls(&mut self, session_id: &str) {
        self.actions.push(Action::AskSilentCalls(session_id.to_owned()));
    }

    /// All was asked: once for each doubt.
    pub fn testified(&mut self, standing: Standing) {
        self.actions.push(Action::Testified(standing));
    }

    /// The agent has no words for the input.
    pub fn cannot(&mut self, what: &'static str) {
        self.actions.push(Action::Cannot(what));
    }
}
