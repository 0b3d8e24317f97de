//! A driver under watch: whatever it is fed, what must always hold is checked after each step.
//!
//! The tests of this crate and the fuzz targets (`fuzz/`) share it, so that both hold the same facts.
#![allow(dead_code, reason = "each user needs a part of it")]

use belay_agents::{
    Action, Agent, Claude, Codex, DockerAgent, Input, Out, Pi, Protocol, RunRequest, Transport,
};
use belay_trace::{Event, Record};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Whose words a driver reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    ClaudeDialogue,
    ClaudePrint,
    CodexAppServer,
    CodexExec,
    PiRpc,
    PiJson,
    DockerAgent,
}

impl Dialect {
    pub(crate) const ALL: [Self; 7] = [
        Self::ClaudeDialogue,
        Self::ClaudePrint,
        Self::CodexAppServer,
        Self::CodexExec,
        Self::PiRpc,
        Self::PiJson,
        Self::DockerAgent,
    ];

    pub(crate) fn agent(self) -> Box<dyn Agent> {
        match self {
            Self::ClaudeDialogue | Self::ClaudePrint => Box::new(Claude::new()),
            Self::CodexAppServer | Self::CodexExec => Box::new(Codex::new()),
            Self::PiRpc | Self::PiJson => Box::new(Pi::new()),
            Self::DockerAgent => Box::new(DockerAgent::new("agent.yaml")),
        }
    }

    pub(crate) fn transport(self) -> Transport {
        match self {
            Self::ClaudeDialogue | Self::CodexAppServer | Self::PiRpc => Transport::Dialogue,
            Self::ClaudePrint | Self::CodexExec | Self::PiJson | Self::DockerAgent => {
                Transport::Print
            }
        }
    }

    pub(crate) fn of(agent: &str, transport: Transport) -> Self {
        let fits =
            |dialect: &Self| dialect.agent().name() == agent && dialect.transport() == transport;
        Self::ALL.into_iter().find(fits).expect("every driver has a dialect")
    }
}

/// A driver and what is known about its turn from outside.
pub(crate) struct Watched {
    dialect: Dialect,
    protocol: Box<dyn Protocol>,
    /// A turn is open: none has ended yet, or a line has begun another one. `None` where only the driver knows.
    is_open: Option<bool>,
    /// The thread of Codex's app-server: turns of others are those of subagents.
    thread: Option<String>,
    /// Pi's last response was whole; its end of a turn does not say so.
    was_whole: bool,
}

impl Watched {
    pub(crate) fn new(dialect: Dialect, request: &RunRequest) -> Self {
        let protocol = dialect.agent().protocol(request, dialect.transport());
        Self { dialect, protocol, is_open: Some(true), thread: None, was_whole: false }
    }

    /// Takes one input and checks all that can be said about the answer.
    pub(crate) fn step(&mut self, input: Input<'_>) -> Vec<Action> {
        let mut out = Out::default();
        self.protocol.step(input, &mut out);
        let actions = out.actions;
        let ends: Vec<_> = actions.iter().filter_map(end).collect();
        match input {
            Input::Stdout(line) => {
                let stated = Stated::read(self.dialect, line);
                if let [end, more @ ..] = &ends[..] {
                    assert!(more.is_empty(), "a line ends a turn once");
                    assert!(
                        stated.ends || stated.may_refuse,
                        "a turn ended by a line that does not end one"
                    );
                    let is_success = end.failure.is_none();
                    let is_stated = stated.success && (self.was_whole || !stated.needs_whole);
                    assert!(!is_success || is_stated, "a success that the agent never stated");
                    self.is_open = Some(false);
                } else if stated.begins && !actions.iter().any(is_unknown) {
                    self.begin(stated.thread);
                }
                self.was_whole = stated.whole.unwrap_or(self.was_whole && ends.is_empty());
                let is_blank = String::from_utf8_lossy(line)
                    .trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
                    .is_empty();
                let is_told = !actions.is_empty() || stated.may_be_silent || is_blank;
                assert!(is_told, "a line vanished");
            }
            Input::Exit(_) => {
                let wanted = self.is_open.map_or(ends.len().min(1), usize::from);
                assert_eq!(ends.len(), wanted, "an exit ends the open turn");
                assert!(ends.iter().all(|end| end.failure.is_some()), "an exit is no success");
                self.is_open = Some(false);
            }
            _ => assert!(ends.is_empty(), "{input:?} is no end of a turn"),
        }
        actions.iter().for_each(|action| self.check(action));
        actions
    }

    /// A turn has begun, if it is no subagent's.
    fn begin(&mut self, thread: Option<String>) {
        if self.thread.is_none() {
            self.thread = thread;
            self.is_open = Some(true);
        } else if self.thread == thread {
            self.is_open = Some(true);
        } else if self.is_open == Some(false) {
            self.is_open = None;
        }
    }

    fn check(&mut self, action: &Action) {
        match action {
            Action::Emit(emitted) => {
                if let Event::SessionStarted(session) = &emitted.event
                    && self.dialect == Dialect::CodexAppServer
                {
                    self.thread = Some(session.session_id.clone());
                }
                let mut record = Record::new("r", emitted.event.clone());
                record.parent_tool_id.clone_from(&emitted.parent_tool_id);
                let line = serde_json::to_string(&record).expect("an event encodes");
                assert!(!line.contains('\n'), "a record is one line");
                let read: Record = serde_json::from_str(&line).expect("a record is read back");
                assert_eq!(read, record, "a record is read back as it was written");
            }
            Action::Stdin(bytes) if self.dialect.transport() == Transport::Dialogue => {
                let (last, line) = bytes.split_last().expect("a message has words");
                assert!(*last == b'\n' && !line.contains(&b'\n'), "a message is one line");
                serde_json::from_slice::<&RawValue>(line).expect("a message is JSON");
            }
            _ => {}
        }
    }
}

fn end(action: &Action) -> Option<&belay_agents::AttemptEnd> {
    match action {
        Action::TurnEnded(end) => Some(end),
        _ => None,
    }
}

fn is_unknown(action: &Action) -> bool {
    matches!(action, Action::Emit(emitted) if matches!(emitted.event, Event::Unknown(_)))
}

/// What a line states, read apart from the drivers and by looking at as little as possible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stated {
    /// It begins a turn.
    pub(crate) begins: bool,
    /// The thread of that turn, if turns have one.
    thread: Option<String>,
    /// It says that the turn has ended.
    pub(crate) ends: bool,
    /// It ends a turn if it refuses what belay has asked for.
    may_refuse: bool,
    /// It says that the turn has answered.
    pub(crate) success: bool,
    /// It says so only if the last response was whole.
    pub(crate) needs_whole: bool,
    /// It ends a response, and whether that is whole.
    whole: Option<bool>,
    /// It is of a known kind that can have nothing to say.
    pub(crate) may_be_silent: bool,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    subtype: Option<&'a RawValue>,
    #[serde(borrow, default)]
    is_error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    aborted: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    session_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "stopReason")]
    stop_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, default, rename = "threadId")]
    thread_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    turn: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TurnStatus<'a> {
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
}

impl Stated {
    pub(crate) fn read(dialect: Dialect, line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line);
        // Half a surrogate pair is no text for serde; whatever stands in its place is no word of a protocol.
        let text =
            text.trim_start_matches('\u{feff}').replace(r"\ud", r"\uf").replace(r"\uD", r"\uF");
        if !text.trim_start().starts_with('{') {
            return Self::default();
        }
        let Ok(line) = serde_json::from_str::<Line<'_>>(&text) else { return Self::default() };
        match dialect {
            Dialect::ClaudeDialogue | Dialect::ClaudePrint => Self::of_claude(&line),
            Dialect::CodexExec => Self::of_exec(&line),
            Dialect::CodexAppServer => Self::of_app_server(&line),
            Dialect::PiRpc | Dialect::PiJson => Self::of_pi(dialect, &line),
            Dialect::DockerAgent => Self::of_docker_agent(&line),
        }
    }

    fn of_claude(line: &Line<'_>) -> Self {
        let (kind, subtype) = (text(line.kind), text(line.subtype));
        let is_error = line.is_error.map(RawValue::get).filter(|value| *value != "null");
        let answers = text(line.result).is_some()
            && !subtype.as_deref().is_some_and(|subtype| subtype.starts_with("error"));
        let is_result = kind.as_deref() == Some("result");
        Self {
            begins: kind.as_deref() == Some("system") && subtype.as_deref() == Some("init"),
            thread: None,
            ends: is_result,
            may_refuse: false,
            success: is_result && is_error.map_or(answers, |value| value == "false"),
            needs_whole: false,
            whole: None,
            may_be_silent: match kind.as_deref() {
                Some("system") => matches!(
                    subtype.as_deref(),
                    Some("init" | "status" | "thinking_tokens" | "ui_invalidate")
                ),
                Some(kind) => [
                    "assistant",
                    "user",
                    "stream_event",
                    "control_response",
                    "control_cancel_request",
                    "keep_alive",
                ]
                .contains(&kind),
                None => false,
            },
        }
    }

    fn of_exec(line: &Line<'_>) -> Self {
        let kind = text(line.kind).unwrap_or_default();
        Self {
            begins: kind == "turn.started",
            thread: None,
            ends: ["turn.completed", "turn.failed"].contains(&kind.as_str()),
            may_refuse: false,
            success: kind == "turn.completed",
            needs_whole: false,
            whole: None,
            may_be_silent: kind == "turn.started" || kind.starts_with("item."),
        }
    }

    fn of_app_server(line: &Line<'_>) -> Self {
        let has_id = line.id.is_some_and(|id| id.get() != "null");
        let Some(method) = text(line.method) else {
            return Self { may_refuse: has_id, may_be_silent: has_id, ..Self::default() };
        };
        let params = line.params.and_then(|params| parse::<Params<'_>>(params.get()));
        let turn = params.as_ref().and_then(|params| params.turn);
        let status = turn.and_then(|turn| text(parse::<TurnStatus<'_>>(turn.get())?.status));
        let is_end = method == "turn/completed" && !has_id;
        // The household of the server, and what a subagent does in a thread of its own.
        let thread = params.and_then(|params| params.thread_id);
        let is_aside = thread.is_some() || ASIDES.iter().any(|prefix| method.starts_with(prefix));
        Self {
            begins: method == "turn/started" && !has_id,
            thread: text(thread),
            ends: is_end,
            may_refuse: false,
            success: is_end && status.as_deref() == Some("completed"),
            needs_whole: false,
            whole: None,
            may_be_silent: is_aside && !has_id,
        }
    }
}

impl Stated {
    fn of_pi(dialect: Dialect, line: &Line<'_>) -> Self {
        let kind = text(line.kind).unwrap_or_default();
        let is_end = kind == "agent_settled";
        let is_answer = kind == "response";
        let message = line.message.and_then(|message| parse::<Message<'_>>(message.get()));
        let is_response = kind == "message_end"
            && message
                .as_ref()
                .is_some_and(|message| text(message.role).as_deref() == Some("assistant"));
        let reason = message.and_then(|message| text(message.stop_reason));
        Self {
            begins: kind == "agent_start",
            thread: None,
            ends: is_end,
            may_refuse: is_answer && dialect == Dialect::PiRpc,
            success: is_end && line.aborted.is_none_or(|aborted| aborted.get() != "true"),
            needs_whole: true,
            whole: is_response.then(|| reason.as_deref() == Some("stop")),
            may_be_silent: is_answer || PI_ASIDES.contains(&kind.as_str()),
        }
    }
}

impl Stated {
    fn of_docker_agent(line: &Line<'_>) -> Self {
        let kind = text(line.kind).unwrap_or_default();
        let reason = text(line.reason);
        let goes_on = matches!(reason.as_deref(), Some("continue" | "steered"));
        let is_end = kind == "stream_stopped" && !goes_on;
        Self {
            begins: kind == "stream_started",
            thread: text(line.session_id),
            ends: is_end,
            may_refuse: false,
            success: is_end && reason.is_none_or(|reason| reason == "normal"),
            needs_whole: false,
            whole: None,
            may_be_silent: DOCKER_AGENT_ASIDES.contains(&kind.as_str()),
        }
    }
}

const DOCKER_AGENT_ASIDES: &[&str] = &[
    "agent_info",
    "stream_started",
    "stream_stopped",
    "partial_tool_call",
    "token_usage",
    "user_message",
    "team_info",
    "toolset_info",
    "agent_switching",
    "tool_call_output",
    "shell",
    "session_title",
    "session_summary",
    "session_plan_updated",
    "mcp_init_started",
    "mcp_init_finished",
    "rag_indexing_started",
    "rag_indexing_progress",
    "rag_indexing_completed",
    "runtime_paused",
    "hook_started",
    "hook_finished",
    "message_added",
    "sub_session_completed",
    "connection_restored",
];

const PI_ASIDES: &[&str] = &[
    "agent_start",
    "agent_end",
    "turn_start",
    "turn_end",
    "message_start",
    "message_update",
    "message_end",
    "tool_execution_update",
    "auto_retry_end",
    "queue_update",
    "entry_appended",
    "session_info_changed",
    "thinking_level_changed",
    "summarization_retry_attempt_start",
    "summarization_retry_finished",
    "extension_ui_request",
];

const ASIDES: &[&str] = &[
    "turn/started",
    "turn/diff/",
    "turn/moderation",
    "item/",
    "thread/",
    "account/",
    "serverRequest/",
    "model/verification",
    "skills/",
    "project/",
    "app/list/",
    "remoteControl/",
    "mcpServer/",
    "hook/",
    "fs/",
];

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn text(value: Option<&RawValue>) -> Option<String> {
    parse(value?.get())
}
