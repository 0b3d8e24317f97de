//! `opencode run --format json`: one line a whole part, no deltas, and no line that says it is over.

use super::classify::{self, Error};
use super::meter::Meter;
use super::parts::{Part, Parts};
use crate::framing::{Claim, Doubt, Objects, read_line};
use crate::last_words::{self, LastWords};
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol};
use crate::stderr::StderrTail;
use crate::verdict::refusal;
use crate::wire::{decode, lenient};
use crate::{RunRequest, exit};
use belay_trace::{
    Event, EvidenceSource, Failure, FailureKind, Level, PermissionDenied, SessionStarted, Usage,
};
use serde::Deserialize;
use std::borrow::Cow;

/// How many lines of its log are kept for the end: an error is in one.
const LOG_LINES_MAX: usize = 100;

/// The state of one stream.
#[derive(Debug)]
pub(super) struct Run {
    prompt: String,
    session_id: Option<String>,
    parts: Parts,
    meter: Meter,
    /// A subagent has worked, of which this stream tells its answer and nothing else.
    delegated: bool,
    /// The last error behind which no step has ended well.
    error: Option<Error>,
    /// It was told as a retry.
    is_tried_again: bool,
    /// A step has ended well behind an error.
    has_recovered: bool,
    last_words: LastWords,
    /// What the log says of errors that the stream only refers to, by their reference.
    log: Vec<String>,
    /// It has denied a tool by itself.
    denied: bool,
    ended: bool,
    interrupted: bool,
    stderr: StderrTail,
    doubt: Doubt,
    seen_stdout: bool,
}

#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default, rename = "sessionID")]
    session_id: Cow<'a, str>,
    /// Milliseconds since 1970.
    #[serde(default, deserialize_with = "lenient")]
    timestamp: Option<u64>,
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
            parts: Parts::new(request).whole(),
            meter: Meter::default(),
            delegated: false,
            error: None,
            is_tried_again: false,
            has_recovered: false,
            last_words: LastWords::default(),
            log: Vec::new(),
            denied: false,
            ended: false,
            interrupted: false,
            stderr: StderrTail::default(),
            doubt: Doubt::default(),
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
            Input::Stdout(line) => read_line(line, out, self),
            Input::Stderr(line) => self.stderr(line, out),
            Input::Steer(_) => out.cannot("steer"),
            Input::Interrupt => {
                self.interrupted = true;
                self.last_words.went_on();
                out.cannot("interrupt");
            }
            Input::Timer(id) if self.last_words.have_no_end(id, "opencode", out) => {
                let usage = last_words::used(self.meter.usage());
                self.end(None, usage, out);
                out.finish();
            }
            Input::Exit(exit) => {
                self.stderr.ended(out);
                self.exit(exit, out);
            }
            _ => {}
        }
    }
}

impl Objects for Run {
    fn read(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let line = decode::<Line<'_>>(text)?;
        self.seen_stdout = true;
        self.last_words.went_on();
        self.line(line, out)?;
        self.await_end(out);
        Some(())
    }

    fn claim(&self, text: &str) -> Claim {
        let Some(line) = decode::<Line<'_>>(text) else { return Claim::Foreign };
        let is_ours = self.session_id.as_deref().is_none_or(|ours| ours == line.session_id);
        // The stream has no end of its own; this comes nearest.
        let is_stop = |part: &Part<'_>| part.reason.as_deref() == Some("stop");
        match line.part.as_ref().is_some_and(is_stop) {
            true => Claim::end_if(is_ours && self.parts.reason.as_deref() != Some("stop")),
            false => Claim::message_if(is_ours),
        }
    }

    fn doubt(&mut self) -> &mut Doubt {
        &mut self.doubt
    }
}

impl Run {
    fn line(&mut self, line: Line<'_>, out: &mut Out) -> Option<()> {
        if self.session_id.is_none() && !line.session_id.is_empty() {
            let session_id = line.session_id.into_owned();
            self.session_id = Some(session_id.clone());
            out.event(Event::SessionStarted(SessionStarted { session_id, ..Default::default() }));
        }
        match line.kind.as_ref() {
            "step_start" | "text" | "reasoning" | "tool_use" | "step_finish" => {
                if line.kind == "step_start" {
                    self.tell_retry(out);
                }
                let part = line.part?;
                if let Some(at_ms) = line.timestamp.filter(|_| part.bounds_step()) {
                    self.meter.step_at(at_ms);
                }
                self.parts.part(part, &mut self.meter, out)?;
                self.delegated |= self.parts.delegated.take().is_some();
                if line.kind == "step_finish" && self.parts.reason.as_deref() == Some("stop") {
                    self.has_recovered |= self.error.take().is_some();
                }
                Some(())
            }
            "error" => {
                let error = line.error?;
                out.event(Event::notice(Level::Error, "error", error.failure().message));
                self.error = Some(error);
                self.is_tried_again = false;
                Some(())
            }
            _ => None,
        }
    }

    /// A step behind an error: OpenCode tries again what has failed.
    fn tell_retry(&mut self, out: &mut Out) {
        if let Some(error) = self.error.as_ref().filter(|_| !self.is_tried_again) {
            self.is_tried_again = true;
            out.event(error.retry());
        }
    }

    /// Of a stream without an end, the last step's is the last word; the process ends by itself then.
    fn await_end(&mut self, out: &mut Out) {
        let is_said = self.parts.reason.as_deref() == Some("stop") && self.error.is_none();
        if is_said && !self.ended && !self.interrupted {
            self.last_words.said(out);
        }
    }

    /// Beside its log, it says on standard error what it has denied by itself.
    fn stderr(&mut self, line: &[u8], out: &mut Out) {
        let text = String::from_utf8_lossy(line);
        let text = belay_trace::plain(&text);
        if text.contains(" ref=") && self.log.len() < LOG_LINES_MAX {
            self.log.push(text.clone().into_owned());
        }
        let denied = text
            .split_once("permission requested: ")
            .filter(|(_, rest)| rest.contains("; auto-rejecting"));
        if let Some((_, rest)) = denied {
            self.denied = true;
            let (name, what) = rest.split_once(' ').unwrap_or((rest, ""));
            let name = if name == "bash" { "Bash" } else { name }.to_owned();
            out.event(Event::PermissionDenied(PermissionDenied {
                tool_id: None,
                name,
                reason: Some(what.to_owned()),
            }));
            return;
        }
        self.stderr.line(line, out);
    }

    /// The stream has no end of its own: it is over when the process is, and an answer if its last step ended
    /// by `stop` and no error was told behind it.
    fn exit(&mut self, exit: Exit, out: &mut Out) {
        if self.ended {
            return;
        }
        let error = self.error.take().map(|error| classify::with_log(&error, &self.log));
        let failure = match (error, self.parts.reason.as_deref()) {
            _ if self.interrupted && exit != Exit::Code(0) => {
                Some(exit::failure("opencode", exit, true, self.seen_stdout, &self.stderr))
            }
            (Some(failure), _) => Some(failure),
            (None, Some(reason)) if let Some(refused) = refusal("reason", reason) => Some(refused),
            (None, Some("stop")) if exit == Exit::Code(0) => None,
            // v2 exits with 1 for an error that it has got over.
            (None, Some("stop")) if self.has_recovered && exit == Exit::Code(1) => None,
            (None, Some("tool-calls")) if self.denied => Some(classify::denied()),
            (None, Some("length")) if exit == Exit::Code(0) => {
                Some(
                    Failure::new(FailureKind::OutputLimit, "the answer was cut off at its limit")
                        .with(EvidenceSource::Field, "reason", "length"),
                )
            }
            _ => Some(self.doubt.explain(exit::failure(
                "opencode",
                exit,
                self.interrupted,
                self.seen_stdout,
                &self.stderr,
            ))),
        };
        if self.delegated {
            self.meter.unknown_use();
            let words =
                "`opencode run` does not tell what subagents have used; the usage is without them";
            out.event(Event::notice(Level::Warn, "usage_partial", words));
        }
        let usage = self.meter.usage();
        self.end(failure, usage, out);
    }

    fn end(&mut self, failure: Option<Failure>, usage: Usage, out: &mut Out) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let end = self.parts.said(failure).end(out);
        out.turn_ended(AttemptEnd { usage, session_id: self.session_id.clone(), ..end });
    }
}
