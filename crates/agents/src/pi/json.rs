//! `pi -p --mode json`: the prompt in by standard input, a line an event, the end.

use super::classify;
use super::stream::{Meaning, Stream};
use super::wire::{Line, State};
use crate::framing::{Claim, Doubt, Objects, read_line};
use crate::protocol::{Exit, Input, Out, Protocol, TimerId};
use crate::stderr::StderrTail;
use crate::wire::decode;
use crate::{RunRequest, exit, lines};
use belay_trace::{Event, Failure, FailureKind, Level};

/// The state of one stream.
#[derive(Debug)]
pub(super) struct Printed {
    prompt: String,
    stream: Stream,
    turn_open: bool,
    interrupted: bool,
    seen_stdout: bool,
    stderr: StderrTail,
    doubt: Doubt,
    /// Why Pi gave up before it asked a model.
    told: Option<Failure>,
}

impl Printed {
    pub(super) fn new(request: &RunRequest) -> Self {
        Self {
            prompt: request.prompt.clone(),
            stream: Stream::default(),
            turn_open: true,
            interrupted: false,
            seen_stdout: false,
            stderr: StderrTail::default(),
            doubt: Doubt::default(),
            told: None,
        }
    }
}

impl Protocol for Printed {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => {
                out.stdin(self.prompt.clone().into_bytes());
                out.close_stdin();
            }
            Input::Stdout(line) => read_line(line, out, self),
            Input::Stderr(line) => {
                let told = classify::of_stderr(&belay_trace::plain(&lines::text(line)));
                self.told = self.told.take().or(told);
                self.stderr.line(line, out);
            }
            Input::Steer(_) => out.cannot("steer"),
            Input::Interrupt => {
                self.interrupted = true;
                self.stream.last_words.went_on();
                out.cannot("interrupt");
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

impl Objects for Printed {
    fn read(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let line = decode::<Line<'_>>(text)?;
        self.seen_stdout = true;
        self.line(&line, out)
    }

    fn claim(&self, text: &str) -> Claim {
        decode::<Line<'_>>(text)
            .map_or(Claim::Foreign, |line| self.stream.claim(&line, self.turn_open))
    }

    fn doubt(&mut self) -> &mut Doubt {
        &mut self.doubt
    }
}

impl Printed {
    fn line(&mut self, line: &Line<'_>, out: &mut Out) -> Option<()> {
        if line.kind == "response" {
            // A stream of the other mode, which is read here too.
            return self.response(line, out);
        }
        match self.stream.line(line, out)? {
            Meaning::Told => {}
            Meaning::Works => {
                if !self.turn_open {
                    self.turn_open = true;
                    self.stream.begin();
                }
            }
            // Its last words have counted as the end.
            Meaning::Settled if !self.turn_open => {
                let words = "the end of a turn that had ended";
                out.event(Event::notice(Level::Warn, "late", words));
            }
            Meaning::Settled => {
                self.turn_open = false;
                let mut end = self.stream.settled(line.aborted, out);
                if let Some(failure) = end.failure.as_mut().filter(|_| self.interrupted) {
                    failure.kind = FailureKind::Interrupted;
                }
                out.turn_ended(end);
            }
        }
        Some(())
    }

    fn response(&mut self, line: &Line<'_>, out: &mut Out) -> Option<()> {
        let state = line.data.and_then(|data| decode::<State>(data.get()));
        match state.filter(|state| state.model.is_some()) {
            Some(state) => self.stream.opened(state, out),
            None => out.event(Event::notice(Level::Debug, "answer", "an answer to somebody else")),
        }
        Some(())
    }

    fn timer(&mut self, id: TimerId, out: &mut Out) {
        if self.turn_open && self.stream.last_words.have_no_end(id, "pi", out) {
            self.turn_open = false;
            let end = self.stream.unsettled(out);
            out.turn_ended(end);
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

/// Why a turn failed whose process is gone. Pi exits with 0 whatever happened, so its words come first.
pub(super) fn exit_failure(
    exit: Exit,
    interrupted: bool,
    seen_stdout: bool,
    told: &mut Option<Failure>,
    stderr: &StderrTail,
) -> Failure {
    match told.take() {
        Some(told) if !interrupted && matches!(exit, Exit::Code(_)) => told,
        _ => exit::failure("pi", exit, interrupted, seen_stdout, stderr),
    }
}
