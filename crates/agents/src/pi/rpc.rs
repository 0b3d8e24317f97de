//! The conversation with `pi --mode rpc`: a JSON object a line, both ways.
//!
//! `get_state` tells the session and the model, `prompt` begins the turn, and its events are those of
//! `--mode json`. Pi ends when its standard input does.

use super::classify;
use super::json::exit_failure;
use super::stream::{Meaning, Stream};
use super::wire::{Accepted, Line, Message, State};
use crate::framing::{Claim, Doubt, Objects, read_line};
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol, TimerId};
use crate::stderr::StderrTail;
use crate::steers::Steers;
use crate::wire::{decode, flatten_content};
use crate::{RunRequest, Session, lines};
use belay_trace::{Event, Failure, FailureKind, Level};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A command of ours whose answer has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    State,
    Prompt,
    Steer,
    Clear,
    Abort,
}

/// The state of one conversation.
#[derive(Debug)]
pub(super) struct Rpc {
    request: RunRequest,
    stream: Stream,
    turn_open: bool,
    /// Pi works on the prompt: only now it hears an abort or a steer.
    works: bool,
    interrupted: bool,
    abort_sent: bool,
    /// A stop was asked for: nothing more is said to Pi.
    is_stopping: bool,
    /// Words of the caller that came before Pi worked.
    steers: Vec<String>,
    /// Those that Pi has, and has not put into the conversation yet.
    waiting: Steers,
    /// What the steers without an answer say, by their number.
    said: HashMap<u32, String>,
    /// The prompt is in the conversation.
    prompted: bool,
    /// Our commands without an answer, by their number.
    asked: HashMap<u32, Asked>,
    commands: u32,
    seen_stdout: bool,
    stderr: StderrTail,
    doubt: Doubt,
    /// Why Pi gave up before it asked a model.
    told: Option<Failure>,
}

impl Rpc {
    pub(super) fn new(request: &RunRequest) -> Self {
        Self {
            request: request.clone(),
            stream: Stream::default(),
            turn_open: true,
            works: false,
            interrupted: false,
            abort_sent: false,
            is_stopping: false,
            steers: Vec::new(),
            waiting: Steers::default(),
            said: HashMap::new(),
            prompted: false,
            asked: HashMap::new(),
            commands: 0,
            seen_stdout: false,
            stderr: StderrTail::default(),
            doubt: Doubt::default(),
            told: None,
        }
    }
}

impl Protocol for Rpc {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => self.ask(Asked::State, json!({"type": "get_state"}), out),
            Input::Stdout(line) => read_line(line, out, self),
            Input::Stderr(line) => {
                let told = classify::of_stderr(&belay_trace::plain(&lines::text(line)));
                self.told = self.told.take().or(told);
                self.stderr.line(line, out);
            }
            Input::Steer(_) if !self.turn_open => out.cannot("steer"),
            Input::Steer(text) if self.is_stopping => {
                out.event(Event::not_steered(text, "the run is stopping"));
            }
            Input::Steer(text) => {
                self.stream.last_words.went_on();
                self.steers.push(text.to_owned());
                self.send_steers(out);
            }
            Input::Interrupt => {
                (self.interrupted, self.is_stopping) = (true, true);
                self.stream.last_words.went_on();
                self.send_abort(out);
            }
            Input::Timer(id) => self.timer(id, out),
            Input::Permission { .. }
            | Input::Http { .. }
            | Input::Sse(_)
            | Input::Doubt(_)
            | Input::SessionFile { .. }
            | Input::SilentCalls(_)
            | Input::AnswerFile(_)
            | Input::Terminal { .. }
            | Input::Session(_) => {}
            Input::Exit(exit) => {
                self.stderr.ended(out);
                self.exit(exit, out);
            }
        }
    }
}

impl Objects for Rpc {
    fn read(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let line = decode::<Line<'_>>(text)?;
        self.seen_stdout = true;
        self.line(&line, out)
    }

    fn claim(&self, text: &str) -> Claim {
        let Some(line) = decode::<Line<'_>>(text) else { return Claim::Foreign };
        if line.kind != "response" {
            return self.stream.claim(&line, self.turn_open);
        }
        match self.asked_by(&line) {
            Some(Asked::State | Asked::Prompt) if line.success == Some(false) => Claim::End,
            asked => Claim::message_if(asked.is_some()),
        }
    }

    fn doubt(&mut self) -> &mut Doubt {
        &mut self.doubt
    }
}

impl Rpc {
    /// The command of ours that the line answers.
    fn asked_by(&self, line: &Line<'_>) -> Option<Asked> {
        let number: Option<u32> = line.id.as_ref().and_then(|id| id.parse().ok());
        number.and_then(|number| self.asked.get(&number)).copied()
    }

    fn line(&mut self, line: &Line<'_>, out: &mut Out) -> Option<()> {
        match line.kind.as_ref() {
            "response" => {
                self.response(line, out);
                return Some(());
            }
            "extension_ui_request" => return dialog(line, out),
            _ => {}
        }
        self.heard(line, out);
        match self.stream.line(line, out)? {
            Meaning::Told => {}
            Meaning::Works => {
                if !self.turn_open {
                    self.turn_open = true;
                    self.stream.begin();
                }
                self.works = true;
                if self.interrupted {
                    self.send_abort(out);
                } else {
                    self.send_steers(out);
                }
            }
            // Its last words have counted as the end.
            Meaning::Settled if !self.turn_open => {
                let words = "the end of a turn that had ended";
                out.event(Event::notice(Level::Warn, "late", words));
            }
            Meaning::Settled => {
                let end = self.stream.settled(line.aborted, out);
                self.end_turn(end, out);
            }
        }
        Some(())
    }

    fn ask(&mut self, asked: Asked, mut command: Value, out: &mut Out) {
        self.commands += 1;
        self.asked.insert(self.commands, asked);
        command["id"] = self.commands.to_string().into();
        out.stdin_line(&command);
    }

    /// The answer to a command of ours; a stream recorded with another client has answers to others.
    fn response(&mut self, line: &Line<'_>, out: &mut Out) {
        let number: Option<u32> = line.id.as_ref().and_then(|id| id.parse().ok());
        let steer = number.and_then(|number| self.said.remove(&number));
        let Some(asked) = number.and_then(|number| self.asked.remove(&number)) else {
            let id = line.id.as_deref().unwrap_or("without a number");
            let words = format!("an answer to the command {id} of somebody else");
            out.event(Event::notice(Level::Debug, "answer", words));
            return;
        };
        let refused = line.success == Some(false);
        let error = line.error.as_deref().unwrap_or("pi refused the command");
        match asked {
            Asked::State if !refused => {
                let state = line.data.and_then(|data| decode::<State>(data.get()));
                self.opened(state.unwrap_or_default(), out);
            }
            Asked::Prompt if !refused => {
                let accepted = line.data.and_then(|data| decode::<Accepted>(data.get()));
                let disposition = accepted.unwrap_or_default().disposition;
                if disposition.as_deref() == Some("handled") && !self.works {
                    let words = "an extension of pi took the prompt, and no model was asked";
                    self.fail(Failure::new(FailureKind::InvalidRequest, words), out);
                }
            }
            Asked::State | Asked::Prompt => {
                let mut failure = classify::of_error(error, None);
                if failure.kind == FailureKind::Unknown {
                    failure.kind = FailureKind::InvalidRequest;
                }
                self.fail(failure, out);
            }
            // It came behind the stop: Pi answers commands in no order (measured).
            Asked::Steer if !refused && self.abort_sent => self.say_abort(out),
            Asked::Steer | Asked::Clear | Asked::Abort if !refused => {}
            Asked::Steer => {
                out.event(Event::notice(Level::Warn, "steer", error));
                self.waiting.refused(&steer.unwrap_or_default(), error, out);
            }
            Asked::Clear => out.event(Event::notice(Level::Warn, "refused", error)),
            Asked::Abort => {
                out.event(Event::notice(Level::Warn, "refused", error));
                out.cannot("interrupt");
            }
        }
    }

    fn opened(&mut self, state: State, out: &mut Out) {
        let has_history = state.message_count != Some(0);
        self.stream.opened(state, out);
        if self.interrupted {
            let words = "interrupted before the turn began";
            self.fail(Failure::new(FailureKind::Interrupted, words), out);
        } else if self.request.session == Session::Continue && !has_history {
            // Pi has opened a new one instead.
            let words = "there is no session to continue";
            self.fail(Failure::new(FailureKind::InvalidRequest, words), out);
        } else {
            let mut prompt = json!({"type": "prompt", "message": self.request.prompt});
            let images = self.request.images.iter().filter_map(crate::Image::base64);
            let images: Vec<_> = images
                .map(|(mime, data)| json!({"type": "image", "data": data, "mimeType": mime}))
                .collect();
            if !images.is_empty() {
                prompt["images"] = images.into();
            }
            self.ask(Asked::Prompt, prompt, out);
        }
    }

    fn send_steers(&mut self, out: &mut Out) {
        if self.works {
            for text in std::mem::take(&mut self.steers) {
                self.ask(Asked::Steer, json!({"type": "steer", "message": text}), out);
                self.waiting.sent(&text);
                self.said.insert(self.commands, text);
            }
        }
    }

    /// Before Pi works an abort is answered and forgotten (measured), so it waits.
    fn send_abort(&mut self, out: &mut Out) {
        if self.works && !self.abort_sent {
            self.abort_sent = true;
            self.say_abort(out);
        }
    }

    fn say_abort(&mut self, out: &mut Out) {
        // Words that still wait would begin another run behind the abort.
        self.ask(Asked::Clear, json!({"type": "clear_queue"}), out);
        self.ask(Asked::Abort, json!({"type": "abort"}), out);
    }

    /// Pi has put words of the user into the conversation: the prompt first.
    fn heard(&mut self, line: &Line<'_>, out: &mut Out) {
        if line.kind == "message_end"
            && let Some(text) = words_of_user(line)
            && std::mem::replace(&mut self.prompted, true)
        {
            self.waiting.taken(&text, out);
        }
    }

    /// Ends an attempt whose turn will never begin; a recorded stream may have been another client's.
    fn fail(&mut self, failure: Failure, out: &mut Out) {
        if self.turn_open {
            let end = self.stream.end(Some(failure), out);
            self.end_turn(end, out);
        }
    }

    fn end_turn(&mut self, end: AttemptEnd, out: &mut Out) {
        (self.turn_open, self.works) = (false, false);
        (self.interrupted, self.abort_sent) = (false, false);
        // Words that Pi has not taken by now are taken by nobody.
        let unheard = self.asked.values().any(|asked| *asked == Asked::Steer);
        if unheard || !std::mem::take(&mut self.steers).is_empty() {
            out.cannot("steer");
        }
        out.turn_ended(end);
        out.close_stdin();
        if self.is_stopping && !self.waiting.is_empty() {
            // What Pi may have taken up behind the abort would begin another run.
            out.finish();
        }
    }

    fn timer(&mut self, id: TimerId, out: &mut Out) {
        if let Some(failure) = self.doubt.ran_out(id) {
            self.fail(failure, out);
        } else if self.turn_open && self.stream.last_words.have_no_end(id, "pi", out) {
            let end = self.stream.unsettled(out);
            self.end_turn(end, out);
            out.finish();
        }
    }

    fn exit(&mut self, exit: Exit, out: &mut Out) {
        if !self.turn_open {
            return;
        }
        self.turn_open = false;
        let failure =
            exit_failure(exit, self.interrupted, self.seen_stdout, &mut self.told, &self.stderr);
        let end = self.stream.end(Some(self.doubt.explain(failure)), out);
        out.turn_ended(end);
    }
}

/// What the user says, in a message that is whole.
fn words_of_user(line: &Line<'_>) -> Option<String> {
    let message: Message<'_> = decode(line.message?.get())?;
    (message.role.as_deref() == Some("user")).then(|| flatten_content(message.content))
}

/// An extension asks something that only a person could answer; Pi would wait for the answer.
fn dialog(line: &Line<'_>, out: &mut Out) -> Option<()> {
    let method = line.method.as_deref()?;
    let title = line.title.as_deref().unwrap_or_default();
    match method {
        "setStatus" | "setWidget" | "setTitle" | "set_editor_text" => {}
        "notify" => {
            let words = line.message.and_then(|words| decode::<String>(words.get()));
            let level = match line.notify_type.as_deref() {
                Some("error") => Level::Error,
                Some("warning") => Level::Warn,
                _ => Level::Info,
            };
            out.event(Event::notice(level, "extension", words.unwrap_or_default()));
        }
        _ => {
            let id: &str = line.id.as_deref()?;
            out.stdin_line(&json!({"type": "extension_ui_response", "id": id, "cancelled": true}));
            let words = format!("nobody is there to answer the {method} of an extension: {title}");
            out.event(Event::notice(Level::Warn, "refused_request", words));
        }
    }
    Some(())
}
