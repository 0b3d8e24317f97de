//! A driver under watch: whatever it is fed, what must always hold is checked after each step.
//!
//! The tests of this crate and the fuzz targets (`fuzz/`) share it, so that both hold the same facts.
#![allow(dead_code, reason = "each user needs a part of it")]

#[path = "stated.rs"]
mod stated;

use belay_agents::{
    Acp, Action, Agent, Claude, Codex, Copilot, DockerAgent, Exit, Input, OpenCode, Out, Pi,
    Printing, Protocol, RunRequest, TimerId, Transport,
};
use belay_trace::{Event, Record};
use serde_json::value::RawValue;

pub(crate) use stated::Stated;

/// Whose words a driver reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    ClaudeDialogue,
    ClaudePrint,
    CodexAppServer,
    CodexExec,
    PiRpc,
    PiJson,
    Copilot,
    DockerAgent,
    OpenCodeServe,
    OpenCodeRun,
    Gemini,
    Qwen,
    Acp,
    Printing,
}

impl Dialect {
    pub(crate) const ALL: [Self; 14] = [
        Self::ClaudeDialogue,
        Self::ClaudePrint,
        Self::CodexAppServer,
        Self::CodexExec,
        Self::PiRpc,
        Self::PiJson,
        Self::Copilot,
        Self::DockerAgent,
        Self::OpenCodeServe,
        Self::OpenCodeRun,
        Self::Gemini,
        Self::Qwen,
        Self::Acp,
        Self::Printing,
    ];

    pub(crate) fn agent(self) -> Box<dyn Agent> {
        match self {
            Self::ClaudeDialogue | Self::ClaudePrint => Box::new(Claude::new()),
            Self::CodexAppServer | Self::CodexExec => Box::new(Codex::new()),
            Self::PiRpc | Self::PiJson => Box::new(Pi::new()),
            Self::Copilot => Box::new(Copilot::new()),
            Self::DockerAgent => Box::new(DockerAgent::new("agent.yaml")),
            Self::OpenCodeServe | Self::OpenCodeRun => Box::new(OpenCode::new()),
            Self::Gemini => Box::new(Acp::gemini()),
            Self::Qwen => Box::new(Acp::qwen()),
            Self::Acp => Box::new(Acp::command("agent --acp")),
            // The one of which most lines mean something.
            Self::Printing => Box::new(Printing::command("aider --message {prompt}")),
        }
    }

    pub(crate) fn transport(self) -> Transport {
        match self {
            Self::ClaudeDialogue
            | Self::CodexAppServer
            | Self::PiRpc
            | Self::OpenCodeServe
            | Self::Gemini
            | Self::Qwen
            | Self::Acp => Transport::Dialogue,
            Self::ClaudePrint
            | Self::CodexExec
            | Self::PiJson
            | Self::Copilot
            | Self::DockerAgent
            | Self::OpenCodeRun
            | Self::Printing => Transport::Print,
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
    /// How many have begun and not ended.
    turns: usize,
    /// The thread of Codex's app-server: turns of others are those of subagents.
    thread: Option<String>,
    /// Pi's last response was whole; its end of a turn does not say so.
    was_whole: bool,
    /// The agent has stated a success, and the driver still listens for what comes after it.
    is_settled: bool,
    /// A turn has ended.
    has_ended: bool,
    /// The timer that waits for an end behind last words, if one was asked for.
    awaits_end: Option<TimerId>,
    /// OpenCode has told an error: a version that gets over it exits with 1.
    has_erred: bool,
    /// The turn is over, and helpers are waited for, whose end adds what they have used and no answer.
    waits: bool,
    /// An end was stated that the driver has not told yet.
    is_held: bool,
}

impl Watched {
    pub(crate) fn new(dialect: Dialect, request: &RunRequest) -> Self {
        let protocol = dialect.agent().protocol(request, dialect.transport());
        Self {
            dialect,
            protocol,
            is_open: Some(true),
            turns: 0,
            thread: None,
            was_whole: false,
            is_settled: false,
            has_ended: false,
            awaits_end: None,
            has_erred: false,
            waits: false,
            is_held: false,
        }
    }

    /// Takes one input and checks all that can be said about the answer.
    pub(crate) fn step(&mut self, input: Input<'_>) -> Vec<Action> {
        let mut out = Out::default();
        self.protocol.step(input, &mut out);
        let actions = out.actions;
        let mut ends: Vec<_> = actions.iter().filter_map(end).collect();
        if self.waits && self.dialect == Dialect::CodexAppServer && ends.len() == 1 {
            let is_sum = ends[0].answer.is_empty() && ends[0].failure.is_none();
            ends.retain(|_| !is_sum);
        }
        match input {
            // Its lines are those of its answer, and only its exit ends a turn.
            Input::Stdout(_) if self.dialect == Dialect::Printing => {
                assert!(ends.is_empty(), "a line ends no turn");
            }
            Input::Stdout(line) | Input::Sse(line) if is_mixed(line) => {
                self.check_mixed(line, &actions);
            }
            Input::Stdout(line) | Input::Sse(line) => {
                let stated = Stated::read(self.dialect, line);
                if let [end, more @ ..] = &ends[..] {
                    assert!(more.is_empty(), "a line ends a turn once");
                    assert!(
                        stated.ends || stated.may_refuse,
                        "a turn ended by a line that does not end one"
                    );
                    let is_success = end.failure.is_none();
                    let is_stated = stated.success && (self.was_whole || !stated.needs_whole);
                    // No word is an answer too, behind tool calls.
                    let is_silent = stated.success && end.answer.trim().is_empty();
                    let is_stated = is_stated || self.is_settled || is_silent;
                    assert!(!is_success || is_stated, "a success that the agent never stated");
                    self.turns = self.turns.saturating_sub(1);
                    // Claude holds results back over print while subagents work on, and then prints several.
                    let may_hold = self.dialect == Dialect::ClaudePrint && self.turns > 0;
                    self.is_open = if may_hold { None } else { Some(false) };
                    self.is_settled = false;
                } else if stated.begins && !actions.iter().any(is_unknown) {
                    self.turns += 1;
                    self.begin(stated.thread);
                }
                if actions.iter().any(|action| matches!(action, Action::TurnOpened)) {
                    // The agent goes on by itself, which not every line says that does.
                    self.is_open = Some(true);
                } else if self.dialect == Dialect::CodexAppServer && self.has_ended {
                    // Whose turn begins or ends then, the driver alone knows: from the answer to its own request.
                    self.is_open = self.is_open.filter(|_| !stated.begins && !stated.ends);
                }
                self.has_ended |= !ends.is_empty();
                self.hold(usize::from(stated.ends), ends.len());
                if ends.is_empty() && stated.success && (self.was_whole || !stated.needs_whole) {
                    self.is_settled = true;
                }
                self.was_whole = stated.whole.unwrap_or(self.was_whole && ends.is_empty());
                let is_told = !actions.is_empty() || stated.may_be_silent || is_blank(line);
                assert!(is_told, "a line vanished: {:.400}", String::from_utf8_lossy(line));
            }
            Input::Exit(_) => {
                let wanted = self.is_open.map_or(ends.len().min(1), usize::from);
                assert_eq!(ends.len(), wanted, "an exit ends the open turn");
                // `opencode run` prints no end: it is over when it is gone.
                let may_succeed = self.dialect == Dialect::OpenCodeRun
                    && self.was_whole
                    && (input == Input::Exit(Exit::Code(0))
                        || self.has_erred && input == Input::Exit(Exit::Code(1)));
                let may_succeed = may_succeed
                    || self.dialect == Dialect::Printing && input == Input::Exit(Exit::Code(0));
                let has_failed = ends.iter().all(|end| end.failure.is_some());
                assert!(has_failed || may_succeed || self.is_settled, "an exit is no success");
                (self.is_open, self.is_settled) = (Some(false), false);
            }
            // A server may refuse a request, or be gone.
            Input::Http { .. } => {
                let has_failed = ends.iter().all(|end| end.failure.is_some());
                assert!(has_failed || self.is_settled, "an answer is no success");
                self.is_open = self.is_open.map(|is_open| is_open && ends.is_empty());
            }
            // The agent was quiet for long enough, or whoever waits for that has stopped the run.
            Input::Timer(_) | Input::Interrupt if self.is_settled || self.is_held => {
                assert!(ends.len() <= 1, "a turn ends once");
                let has_failed = ends.iter().all(|end| end.failure.is_some());
                assert!(has_failed || self.is_settled, "a success that the agent never stated");
                self.is_held &= ends.is_empty();
                if !ends.is_empty() {
                    (self.is_open, self.is_settled) = (Some(false), false);
                }
            }
            // Its last words were said, and no end has come.
            Input::Timer(id) if self.awaits_end == Some(id) => {
                assert!(ends.len() <= 1, "a turn ends once");
                if !ends.is_empty() {
                    (self.is_open, self.is_settled) = (Some(false), false);
                    self.has_ended = true;
                }
            }
            _ => assert!(ends.is_empty(), "{input:?} is no end of a turn"),
        }
        for action in &actions {
            match action {
                Action::Timer(id, _) if id.awaits_end() => self.awaits_end = Some(*id),
                Action::Emit(emitted) => {
                    if let Event::BackgroundTasks(told) = &emitted.event {
                        self.waits = told.waiting || self.waits && told.tasks.is_empty();
                    }
                    self.has_erred |= matches!(&emitted.event, Event::Notice(notice) if notice.code.as_deref() == Some("error"));
                }
                _ => {}
            }
        }
        actions.iter().for_each(|action| self.check(action));
        actions
    }

    /// True if the agent has stated a success, and the driver still listens.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// A line with more than one object, or with words: how much of it the driver believes, it alone knows.
    fn check_mixed(&mut self, line: &[u8], actions: &[Action]) {
        let stated = Stated::read_mixed(self.dialect, line);
        let count = |is: fn(&Stated) -> bool| stated.iter().filter(|one| is(one)).count();
        let ends: Vec<_> = actions.iter().filter_map(end).collect();
        assert!(
            ends.len() <= count(|one| one.ends || one.may_refuse),
            "a turn ended by a line that does not end one"
        );
        let successes = ends.iter().filter(|end| end.failure.is_none()).count();
        assert!(successes <= count(|one| one.success), "a success that the agent never stated");
        self.was_whole |= stated.iter().any(|one| one.whole == Some(true));
        if self.thread.is_none() {
            self.thread = stated.iter().find_map(|one| one.thread.clone());
        }
        let stated_successes = count(|one| one.success && !one.needs_whole)
            + if self.was_whole { count(|one| one.success && one.needs_whole) } else { 0 };
        // The driver may hold back a success while another turn is running, as on a line of its own.
        self.is_settled = stated_successes > ends.len() || self.is_settled && ends.is_empty();
        let is_opened = actions.iter().any(|action| matches!(action, Action::TurnOpened));
        self.has_ended |= !ends.is_empty();
        self.hold(count(|one| one.ends), ends.len());
        if is_opened || !ends.is_empty() || count(|one| one.ends || one.begins) > 0 {
            self.is_open = None;
        }
        let is_silent = !stated.is_empty() && stated.iter().all(|one| one.may_be_silent);
        let is_told = !actions.is_empty() || is_silent || is_blank(line);
        assert!(is_told, "a line vanished: {:.400}", String::from_utf8_lossy(line));
    }

    /// The driver of the app-server holds an end back while another turn is running.
    fn hold(&mut self, stated: usize, told: usize) {
        let is_held = stated > told || self.is_held && told == 0;
        self.is_held = is_held && self.dialect == Dialect::CodexAppServer;
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

/// True for a line that has an object in it and is more than that.
fn is_mixed(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let is_object = text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok();
    text.contains('{') && !is_object
}

fn is_blank(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').is_empty()
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
