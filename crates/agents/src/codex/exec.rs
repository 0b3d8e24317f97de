//! `codex exec --json`: one line an item, no pieces, usage at the end.

use super::items::{Item, Items, Sort};
use super::{classify, retry};
use crate::framing::{Claim, Doubt, Objects, read_line};
use crate::news::News;
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol};
use crate::stderr::StderrTail;
use crate::wire::{decode, lenient};
use crate::{RunRequest, Session, exit};
use belay_trace::{
    Event, Failure, FailureKind, Level, Retry, SessionStarted, TurnStarted, Usage, UsageReport,
};
use serde::Deserialize;
use std::borrow::Cow;

/// The state of one stream.
#[derive(Debug)]
pub(super) struct Exec {
    prompt: String,
    /// The thread has a history: its cumulative usage says nothing about this run.
    resumed: bool,
    session_id: Option<String>,
    items: Items,
    turn_open: bool,
    turns_ended: u32,
    interrupted: bool,
    /// A tool has returned since the model last spoke, so its next words are a new response.
    tool_returned: bool,
    responded: bool,
    stderr: StderrTail,
    doubt: Doubt,
    seen_stdout: bool,
    /// The last state of each item.
    news: News,
}

#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    thread_id: Option<String>,
    #[serde(borrow, default)]
    item: Option<Item<'a>>,
    #[serde(default, deserialize_with = "lenient")]
    usage: Option<Tokens>,
    #[serde(default, deserialize_with = "lenient")]
    error: Option<LineError>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
struct LineError {
    #[serde(default)]
    message: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: u64,
    cached_input_tokens: u64,
    cache_write_input_tokens: u64,
    output_tokens: u64,
    reasoning_output_tokens: u64,
}

impl Exec {
    pub(super) fn new(request: &RunRequest) -> Self {
        Self {
            prompt: request.composed_prompt(),
            resumed: request.session != Session::New,
            session_id: None,
            items: Items::default(),
            turn_open: false,
            turns_ended: 0,
            interrupted: false,
            tool_returned: false,
            responded: false,
            stderr: StderrTail::default(),
            doubt: Doubt::default(),
            seen_stdout: false,
            news: News::default(),
        }
    }
}

impl Protocol for Exec {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => {
                out.stdin(self.prompt.clone().into_bytes());
                // With an open pipe Codex waits for its end, for ever.
                out.close_stdin();
            }
            Input::Stdout(line) => read_line(line, out, self),
            Input::Stderr(line) => self.stderr_line(line, out),
            Input::Steer(_) => out.cannot("steer"),
            Input::Interrupt => {
                self.interrupted = true;
                out.cannot("interrupt");
            }
            Input::Permission { .. }
            | Input::Timer(_)
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

impl Objects for Exec {
    fn read(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let line = decode::<Line<'_>>(text)?;
        self.seen_stdout = true;
        self.line(line, text, out)
    }

    fn claim(&self, text: &str) -> Claim {
        let Some(line) = decode::<Line<'_>>(text) else { return Claim::Foreign };
        match line.kind.as_ref() {
            // One process, one thread, one turn; only the first line names the thread.
            "thread.started" => Claim::message_if(self.session_id.is_none()),
            "turn.completed" | "turn.failed" => Claim::end_if(self.turn_open),
            _ => Claim::message_if(self.turns_ended == 0),
        }
    }

    fn doubt(&mut self) -> &mut Doubt {
        &mut self.doubt
    }
}

impl Exec {
    /// Codex says this on nearly every run; it means nothing.
    const HARMLESS: &'static [u8] = b"Reading additional input from stdin...";

    fn stderr_line(&mut self, line: &[u8], out: &mut Out) {
        if line.trim_ascii() != Self::HARMLESS
            && line.trim_ascii() != b"Reading prompt from stdin..."
        {
            self.stderr.line(line, out);
        }
    }

    fn line(&mut self, line: Line<'_>, text: &str, out: &mut Out) -> Option<()> {
        match line.kind.as_ref() {
            "thread.started" => {
                let session_id = line.thread_id?;
                if self.session_id.as_ref().is_some_and(|ours| *ours != session_id) {
                    let words = format!("another session has begun: {session_id}");
                    out.event(Event::notice(Level::Debug, "subagent", words));
                    return Some(());
                }
                self.session_id = Some(session_id.clone());
                out.event(Event::SessionStarted(SessionStarted {
                    session_id,
                    ..Default::default()
                }));
            }
            "turn.started" => {
                if !std::mem::replace(&mut self.turn_open, true) {
                    out.progress();
                }
            }
            "item.started" | "item.updated" => {
                let item = line.item?;
                if item.sort() == Sort::Unknown {
                    return None;
                }
                if self.news.is_new(&item.id, text) {
                    out.progress();
                }
                self.respond(item.sort(), out);
                self.items.started(&item, out);
                if item.kind == "todo_list" {
                    self.items.completed(&item, out);
                }
            }
            "item.completed" => {
                let item = line.item?;
                self.respond(item.sort(), out);
                self.tool_returned |= item.sort() == Sort::Tool;
                return self.items.completed(&item, out).then_some(());
            }
            "error" => self.error(line.message?, out),
            "turn.completed" | "turn.failed" if self.turns_ended > 0 && !self.turn_open => {
                out.event(Event::notice(Level::Warn, "late", "the end of a turn that had ended"));
            }
            "turn.completed" => self.completed(line.usage, out),
            "turn.failed" => {
                let words = line.error.map(|error| error.message);
                let words = words.as_deref().unwrap_or("the turn failed");
                let mut failure = classify::of_message(words);
                if self.interrupted {
                    failure.kind = FailureKind::Interrupted;
                }
                // Codex prints no usage for a failed turn.
                self.end_turn(Some(failure), Usage::default(), out);
            }
            _ => return None,
        }
        Some(())
    }

    /// Announces a response. Exec does not say where one begins: words after a tool's return are a new one.
    fn respond(&mut self, sort: Sort, out: &mut Out) {
        let new = match sort {
            Sort::Words => !self.responded || self.tool_returned,
            Sort::Tool => !self.responded,
            Sort::Aside | Sort::Unknown => false,
        };
        if new {
            self.responded = true;
            self.tool_returned = false;
            out.event(Event::TurnStarted(TurnStarted::default()));
        }
    }

    /// An error line is progress or repeats itself in `turn.failed`; only that one ends the turn.
    fn error(&self, message: String, out: &mut Out) {
        match retry::of_message(&message) {
            Some(retry) => {
                let kind = classify::of_retry(&retry.reason, None);
                out.event(Event::Retry(Retry { kind, ..retry }));
            }
            None => out.event(Event::notice(Level::Error, "error", message)),
        }
    }

    fn completed(&mut self, tokens: Option<Tokens>, out: &mut Out) {
        // Cumulative over the thread, and this process knows only its own part of it.
        let usage = if self.resumed {
            let words = "codex exec reports only the sum over a resumed thread, which says nothing of this run";
            out.event(Event::notice(Level::Warn, "usage_unknown", words));
            Usage::default()
        } else {
            tokens.map(usage).unwrap_or_default()
        };
        out.event(Event::Usage(UsageReport { usage: usage.clone() }));
        self.end_turn(None, usage, out);
    }

    fn end_turn(&mut self, failure: Option<Failure>, usage: Usage, out: &mut Out) {
        self.turn_open = false;
        self.turns_ended += 1;
        let end = self.items.said(failure).end(out);
        out.turn_ended(AttemptEnd { usage, session_id: self.session_id.clone(), ..end });
    }

    fn exit(&mut self, exit: Exit, out: &mut Out) {
        if self.turns_ended > 0 && !self.turn_open {
            return;
        }
        let failure =
            exit::failure("codex", exit, self.interrupted, self.seen_stdout, &self.stderr);
        let failure = self.doubt.explain(failure);
        self.end_turn(Some(failure), Usage::default(), out);
    }
}

fn usage(tokens: Tokens) -> Usage {
    let cached = tokens.cached_input_tokens.saturating_add(tokens.cache_write_input_tokens);
    Usage {
        input_tokens: Some(tokens.input_tokens.saturating_sub(cached)),
        output_tokens: Some(tokens.output_tokens),
        cache_read_input_tokens: Some(tokens.cached_input_tokens),
        cache_creation_input_tokens: Some(tokens.cache_write_input_tokens),
        reasoning_output_tokens: Some(tokens.reasoning_output_tokens),
        ..Usage::default()
    }
}
