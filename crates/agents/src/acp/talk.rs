//! The conversation: initialize → session → its settings → prompt → the prompt's answer.
//!
//! belay offers no file system, and a terminal only where the agent may run commands: else it works with its own.

mod asking;
mod late;
mod opening;
mod raw;
mod terminals;
mod updates;

use self::late::Answered;
pub(super) use self::terminals::Terminals;
use super::meter::Meter;
use super::options::{Hello, PROTOCOL_VERSION};
use super::preset::{Preset, Rule};
use super::rpc::{Message, Say, SessionRef};
use super::tools::Calls;
use super::turn::Turn;
use crate::framing::{Claim, Doubt, Objects, read_line};
use crate::news::News;
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol, TimerId};
use crate::stderr::StderrTail;
use crate::verdict::{By, Said};
use crate::wire::decode;
use crate::{RunRequest, Session, exit};
use agent_client_protocol_schema::v1::PermissionOptionKind;
use belay_trace::{Failure, FailureKind, Json, ToolId};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// Whether somebody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The agent runs.
    Live,
    /// A stream that was saved: of both directions the one that the agent spoke.
    Saved,
}

/// A request of ours whose answer has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Initialize,
    Authenticate,
    List,
    New,
    Load,
    Mode,
    Model,
    Prompt,
}

/// A permission that the agent waits for.
#[derive(Debug)]
struct Ask {
    id: Box<RawValue>,
    tool_id: ToolId,
    /// What the call is given, if it runs a command.
    command: Option<Json>,
    /// What may be answered, with its meaning.
    options: Vec<(String, PermissionOptionKind)>,
}

/// The state of one conversation.
#[derive(Debug)]
pub(super) struct Talk {
    preset: &'static Preset,
    request: RunRequest,
    model: Option<String>,
    heard: Heard,
    hello: Hello,
    session_id: Option<String>,
    /// What is still to be set before the prompt.
    settings: Vec<(Asked, &'static str, Value)>,
    settling: Option<u32>,
    /// The timer after the last sign of a prompt that is answered.
    quiet: Option<u32>,
    /// The timer of calls whose arguments may still grow.
    growing: Option<u32>,
    timers: u32,
    /// The prompt was sent, and its turn is not over.
    prompting: bool,
    /// Its answer has come.
    answered: Option<Answered>,
    has_ended: bool,
    interrupted: bool,
    cancel_sent: bool,
    turn: Turn,
    calls: Calls,
    /// How far each call was when it was told last.
    news: News,
    meter: Meter,
    asks: HashMap<String, Ask>,
    terminals: Terminals,
    asked: HashMap<u32, Asked>,
    requests: u32,
    stderr: StderrTail,
    doubt: Doubt,
    initialized: bool,
    /// A text of its household that the agent has announced for the beginning of the session.
    greeting: Option<String>,
    /// The agent has said that the turn that runs has failed.
    is_broken: bool,
}

/// How long the arguments of a call that waits may stand still before they are taken for whole: some agents never say
/// that a call has begun. Longer than a model pauses while it writes them.
const ARGUMENTS_QUIET: Duration = Duration::from_secs(10);

/// How long nothing of a history may come before it counts as told.
const HISTORY_QUIET: Duration = Duration::from_millis(250);

impl Talk {
    pub(super) fn new(
        preset: &'static Preset,
        request: &RunRequest,
        model: Option<String>,
        heard: Heard,
    ) -> Self {
        Self {
            preset,
            request: request.clone(),
            model,
            heard,
            hello: Hello::default(),
            session_id: None,
            settings: Vec::new(),
            settling: None,
            quiet: None,
            growing: None,
            timers: 0,
            answered: None,
            prompting: heard == Heard::Saved,
            has_ended: false,
            interrupted: false,
            cancel_sent: false,
            turn: Turn::new(preset.usage.rule == Rule::EachResponse),
            calls: Calls::new(preset.quirks, request),
            news: News::default(),
            meter: Meter::new(preset, heard, request.session != Session::New),
            asks: HashMap::new(),
            terminals: Terminals::default(),
            asked: HashMap::new(),
            requests: 0,
            stderr: StderrTail::default(),
            doubt: Doubt::default(),
            initialized: false,
            greeting: None,
            is_broken: false,
        }
    }
}

impl Protocol for Talk {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => {
                let info = json!({"name": "belay", "title": "belay", "version": env!("CARGO_PKG_VERSION")});
                let offers = json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": self.offers_terminals()});
                let params = json!({"protocolVersion": PROTOCOL_VERSION, "clientCapabilities": offers, "clientInfo": info});
                self.ask(Asked::Initialize, "initialize", params, out);
            }
            Input::Stdout(line) => read_line(line, out, self),
            Input::Stderr(line) => self.stderr.line(line, out),
            Input::Steer(_) => out.cannot("steer"),
            Input::Interrupt if self.stop_late(out) => {}
            Input::Interrupt => {
                self.interrupted = true;
                self.send_cancel(out);
            }
            Input::Terminal { id, news } => self.terminal_news(id, news, out),
            Input::Permission { id, answer } => self.permission(id, answer, out),
            Input::Timer(TimerId(number)) => {
                if self.settling == Some(number) {
                    self.settling = None;
                    self.prompt(out);
                } else if self.growing == Some(number) {
                    self.growing = None;
                    self.calls.tell_waiting(out);
                } else if self.quiet == Some(number) {
                    self.was_quiet(out);
                } else if let Some(failure) = self.doubt.ran_out(TimerId(number))
                    && self.answered.is_none()
                    && !self.has_ended
                {
                    self.end_turn(Some(failure), out);
                }
            }
            Input::Http { .. }
            | Input::Sse(_)
            | Input::Doubt(_)
            | Input::SessionFile { .. }
            | Input::SilentCalls(_)
            | Input::AnswerFile(_)
            | Input::Session(_) => {}
            Input::Exit(exit) => {
                self.stderr.ended(out);
                self.exit(exit, out);
            }
        }
    }
}

impl Objects for Talk {
    fn read(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let message: Message<'_> = decode(text)?;
        match (&message.method, message.id) {
            (Some(method), Some(id)) => self.agent_request(method, id, message.params, out),
            (Some(method), None) => return self.notification(method, message.params?, out),
            (None, Some(id)) => self.answer(id, &message, out),
            (None, None) => return None,
        }
        Some(())
    }

    fn claim(&self, text: &str) -> Claim {
        let Some(message) = decode::<Message<'_>>(text) else { return Claim::Foreign };
        if message.method.is_none() {
            return match message.id.and_then(|id| self.asked_by(id, &message)) {
                // In a saved stream nothing else tells of a prompt.
                Some(Asked::Prompt) => Claim::end_if(!self.has_ended || self.turn.has_begun()),
                // A refusal is the end.
                Some(_) if message.error.is_some() => Claim::End,
                asked => Claim::message_if(asked.is_some()),
            };
        }
        let params = message.params.map_or("{}", RawValue::get);
        let theirs = decode::<SessionRef<'_>>(params).and_then(|params| params.session_id);
        Claim::message_if(match (&self.session_id, theirs) {
            (Some(ours), Some(theirs)) => *ours == theirs,
            // Before it has one, and what an agent tells beside it.
            (None, _) => true,
            (Some(_), None) => message.id.is_none(),
        })
    }

    fn doubt(&mut self) -> &mut Doubt {
        &mut self.doubt
    }
}

impl Talk {
    fn ask(&mut self, asked: Asked, method: &'static str, params: Value, out: &mut Out) {
        self.requests += 1;
        self.asked.insert(self.requests, asked);
        out.stdin_line(&Say::request(self.requests, method, params));
    }

    /// A number that no timer has had.
    fn next_timer(&mut self) -> u32 {
        self.timers += 1;
        self.timers
    }

    /// Ends an attempt that has no turn yet, or never will.
    fn fail(&mut self, kind: FailureKind, message: &str, out: &mut Out) {
        self.end_turn(Some(Failure::new(kind, message)), out);
    }

    fn end_turn(&mut self, failure: Option<Failure>, out: &mut Out) {
        self.has_ended = true;
        (self.interrupted, self.cancel_sent, self.is_broken) = (false, false, false);
        self.quiet = None;
        self.prompting = self.heard == Heard::Saved;
        self.calls.turn_ended(out);
        self.asks.clear();
        let text = self.turn.answer(failure.is_none());
        let has_used = self.meter.so_far().input_tokens.is_some_and(|tokens| tokens > 0);
        let no_model = self.is_command() && !self.turn.acted && !has_used;
        let said = Said {
            failure,
            words: text.clone(),
            reached: text,
            acted: self.turn.acted,
            by: if no_model { By::Agent } else { By::Model },
            ..Said::default()
        };
        let end = said.end(out);
        out.turn_ended(AttemptEnd {
            usage: self.meter.usage(),
            session_id: self.session_id.clone(),
            model: self.turn.model.clone(),
            ..end
        });
        let model = self.turn.model.clone();
        self.turn.begin();
        self.turn.model = model;
        self.meter.begin();
        out.close_stdin();
        if self.preset.quirks.lingers {
            out.finish();
        }
    }

    fn exit(&mut self, exit: Exit, out: &mut Out) {
        self.tell_unfinished(out);
        if self.has_ended || self.conclude_answered(out) {
            return;
        }
        let name = match self.preset.program {
            "" => self.preset.name,
            program => program,
        };
        let failure = exit::failure(name, exit, self.interrupted, self.initialized, &self.stderr);
        let failure = self.doubt.explain(failure);
        self.end_turn(Some(failure), out);
    }
}
