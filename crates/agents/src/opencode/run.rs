//! `opencode run --format json`: one line a whole part, no deltas, and no line that says it is over.

use super::classify::Error;
use super::parts::{Part, Parts};
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol};
use crate::stderr::StderrTail;
use crate::wire::{decode, read_line};
use crate::{RunRequest, exit};
use belay_trace::{Event, EvidenceSource, Failure, FailureKind, Level, SessionStarted};
use serde::Deserialize;
use std::borrow::Cow;

/// The state of one stream.
#[derive(Debug)]
pub(super) struct Run {
    prompt: String,
    session_id: Option<String>,
    parts: Parts,
    error: Option<Failure>,
    ended: bool,
    interrupted: bool,
    stderr: StderrTail,
    seen_stdout: bool,
}

#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, rename = "sessionID")]
    session_id: Cow<'a, str>,
    #[serde(borrow, default)]
    part: Option<Part<'a>>,
    #[serde(default)]
    error: Option<Error>,
}

impl Run {
    pub(super) fn new(request: &RunRequest) -> Self {
        Self {
            prompt: request.composed_prompt(),
            session_id: None,
            parts: Parts::new(request),
            error: None,
            ended: false,
            interrupted: false,
            stderr: StderrTail::default(),
            seen_stdout: false,
        }
    }
}

impl Protocol for Run {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => {
                out.stdin(self.prompt.clone().into_bytes());
                // It reads its input to the end before it begins.
                out.close_stdin();
            }
            Input::Stdout(line) => read_line(line, out, |text, out| {
                let line = decode::<Line<'_>>(text)?;
                self.seen_stdout = true;
                self.line(line, out)
            }),
            Input::Stderr(line) => self.stderr.line(line, out),
            Input::Steer(_) => out.cannot("steer"),
            Input::Interrupt => {
                self.interrupted = true;
                out.cannot("interrupt");
            }
            Input::Exit(exit) => self.exit(exit, out),
            _ => {}
        }
    }
}

impl Run {
    fn line(&mut self, line: Line<'_>, out: &mut Out) -> Option<()> {
        if self.session_id.is_none() {
            let session_id = line.session_id.into_owned();
            self.session_id = Some(session_id.clone());
            out.event(Event::SessionStarted(SessionStarted { session_id, ..Default::default() }));
        }
        match line.kind.as_ref() {
            "step_start" | "text" | "reasoning" | "tool_use" | "step_finish" => {
                self.parts.part(line.part?, out)
            }
            "error" => {
                let failure = line.error?.failure();
                out.event(Event::notice(Level::Error, "error", failure.message.clone()));
                self.error = Some(failure);
                Some(())
            }
            _ => None,
        }
    }

    /// The stream has no end of its own: it is over when the process is, and an answer if its last step ended
    /// by `stop` and no error was told.
    fn exit(&mut self, exit: Exit, out: &mut Out) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let failure =
            match (self.error.take(), self.parts.reason.as_deref()) {
                _ if self.interrupted && exit != Exit::Code(0) => {
                    Some(exit::failure("opencode", exit, true, self.seen_stdout, &self.stderr))
                }
                (Some(failure), _) => Some(failure),
                (None, Some("stop")) if exit == Exit::Code(0) => None,
                (None, Some("length")) if exit == Exit::Code(0) => Some(
                    Failure::new(FailureKind::OutputLimit, "the answer was cut off at its limit")
                        .with(EvidenceSource::Field, "reason", "length"),
                ),
                _ => Some(exit::failure(
                    "opencode",
                    exit,
                    self.interrupted,
                    self.seen_stdout,
                    &self.stderr,
                )),
            };
        out.turn_ended(AttemptEnd {
            answer: self.parts.answer(),
            failure,
            usage: self.parts.meter.usage(),
            session_id: self.session_id.clone(),
            ..AttemptEnd::default()
        });
    }
}
