//! What Gemini CLI and Qwen Code print in their one-shot mode (`--output-format stream-json`), for a stream that
//! somebody saved: a run talks with both over ACP. Facts are in `docs/agents/gemini.md` and `qwen.md`.

mod gemini;
mod qwen;

use super::classify;
use super::rpc::RpcError;
use crate::exit;
use crate::failures::Table;
use crate::framing::{Claim, Doubt, Objects, read_line};
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol};
use crate::stderr::StderrTail;
use crate::verdict::Said;
use crate::wire::decode;
use belay_trace::{
    Event, Failure, Json, ToolCall, ToolId, ToolKind, ToolResult, TurnStarted, Usage,
};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;

/// Whose stream it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Printed {
    Gemini,
    Qwen,
}

impl Printed {
    /// The reader of a saved stream.
    pub(super) fn reader(self, name: &'static str, table: &'static Table) -> Box<dyn Protocol> {
        let (by, doubt, stderr) = (self, Doubt::default(), StderrTail::default());
        Box::new(Reader {
            by,
            name,
            table,
            turn: Turn::default(),
            doubt,
            stderr,
            seen_stdout: false,
        })
    }
}

#[derive(Debug)]
struct Reader {
    by: Printed,
    name: &'static str,
    table: &'static Table,
    turn: Turn,
    doubt: Doubt,
    stderr: StderrTail,
    seen_stdout: bool,
}

/// What is known of the one turn of the stream.
#[derive(Debug, Default)]
struct Turn {
    session_id: Option<String>,
    model: Option<String>,
    /// The words behind the last tool call, and those before it.
    words: String,
    before: String,
    acted: bool,
    /// A response is being told.
    responds: bool,
    responses: u64,
    /// What the responses have told of their use, for a stream without an end.
    usage: Usage,
    /// The names of the tools that have not returned, by the ids of their calls.
    open_calls: HashMap<String, String>,
    /// What was told in pieces of the block that is not whole yet, by the call of the subagent that says it.
    pieces: HashMap<Option<ToolId>, Pieces>,
    /// The call that the model writes.
    writing: Option<(ToolId, String)>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Pieces {
    text: String,
    reasoning: String,
}

/// The kind of a line.
#[derive(Debug, Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

impl Protocol for Reader {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Stdout(line) => read_line(line, out, self),
            Input::Stderr(line) => self.stderr.line(line, out),
            Input::Exit(exit) => {
                self.stderr.ended(out);
                self.exit(exit, out);
            }
            // Nobody answers for a stream that was saved.
            _ => {}
        }
    }
}

impl Objects for Reader {
    fn read(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let kind = decode::<Head<'_>>(text)?.kind;
        let end = match self.by {
            Printed::Gemini => gemini::read(&mut self.turn, &kind, text, self.table, out)?,
            Printed::Qwen => qwen::read(&mut self.turn, &kind, text, self.table, out)?,
        };
        self.seen_stdout = true;
        if let Some(end) = end {
            self.end(end, out);
        }
        Some(())
    }

    fn claim(&self, text: &str) -> Claim {
        let Some(head) = decode::<Head<'_>>(text) else { return Claim::Foreign };
        match head.kind.as_ref() {
            "result" => Claim::end_if(self.turn.session_id.is_some() && !self.turn.ended),
            "init" | "system" => Claim::message_if(self.turn.session_id.is_none()),
            _ => Claim::message_if(self.turn.session_id.is_some() && !self.turn.ended),
        }
    }

    fn doubt(&mut self) -> &mut Doubt {
        &mut self.doubt
    }
}

/// How the stream says that its turn ended.
#[derive(Debug, Default)]
struct End {
    failure: Option<Failure>,
    /// The answer, if the end repeats it.
    answer: Option<String>,
    usage: Usage,
    reported_turns: Option<u64>,
}

impl Reader {
    fn end(&mut self, end: End, out: &mut Out) {
        let turn = &mut self.turn;
        if std::mem::replace(&mut turn.ended, true) {
            return;
        }
        let words = end.answer.filter(|answer| !answer.trim().is_empty());
        let words = words.unwrap_or_else(|| std::mem::take(&mut turn.words));
        let reached =
            if words.trim().is_empty() { std::mem::take(&mut turn.before) } else { words.clone() };
        let said =
            Said { failure: end.failure, words, reached, acted: turn.acted, ..Said::default() };
        let (session_id, model) = (turn.session_id.clone(), turn.model.clone());
        let (usage, reported_turns) = (end.usage, end.reported_turns);
        let end = said.end(out);
        out.turn_ended(AttemptEnd { usage, reported_turns, session_id, model, ..end });
    }

    fn exit(&mut self, exit: Exit, out: &mut Out) {
        let failure = exit::failure(self.name, exit, false, self.seen_stdout, &self.stderr);
        let failure = self.doubt.explain(failure);
        let usage = Usage { partial: true, ..self.turn.counted() };
        let usage = if self.turn.responses == 0 { Usage::default() } else { usage };
        self.end(End { failure: Some(failure), usage, ..End::default() }, out);
    }
}

impl Turn {
    /// The model says or does something, perhaps in a further response.
    fn respond(&mut self, message_id: Option<String>, parent: Option<&ToolId>, out: &mut Out) {
        if parent.is_some() || std::mem::replace(&mut self.responds, true) {
            return;
        }
        self.responses += 1;
        let model = self.model.clone();
        out.event(Event::TurnStarted(TurnStarted { message_id, model }));
    }

    fn say(&mut self, text: &str, parent: Option<&ToolId>) {
        if parent.is_none() {
            self.words.push_str(text);
        }
    }

    fn call(
        &mut self,
        id: Option<String>,
        name: &str,
        args: Json,
        parent: Option<ToolId>,
        out: &mut Out,
    ) {
        let kind = kind(name);
        let name = shown_name(name).to_owned();
        if let Some(id) = &id {
            self.open_calls.insert(id.clone(), name.clone());
        }
        if parent.is_none() {
            (self.acted, self.before) = (true, std::mem::take(&mut self.words));
        }
        let call = ToolCall { tool_id: id.map(ToolId), name, args, kind };
        out.event_under(parent, Event::ToolCall(call));
    }

    fn returned(
        &mut self,
        id: Option<String>,
        output: String,
        tool_error: bool,
        parent: Option<ToolId>,
        out: &mut Out,
    ) {
        self.responds &= parent.is_some();
        let name = id.as_ref().and_then(|id| self.open_calls.remove(id));
        let result =
            ToolResult { tool_id: id.map(ToolId), name, output, tool_error, exit_code: None };
        out.event_under(parent, Event::ToolResult(result));
    }

    /// What was told of the turn's use, with its responses.
    fn counted(&self) -> Usage {
        Usage { num_turns: Some(self.responses), ..self.usage.clone() }
    }
}

/// The failure that is told in the agent's words, which may hold the provider's own error object.
fn failure(table: &'static Table, words: String) -> Failure {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Outer {
        error: Inner,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        code: i64,
    }
    let object = words.find('{').map(|at| serde_json::Deserializer::from_str(&words[at..]));
    let object = object.and_then(|text| text.into_iter::<Outer>().next()?.ok());
    let code = object.map(|outer| outer.error.code).unwrap_or_default();
    classify::of_error(table, &RpcError { code, message: words, data: Value::Null })
}

/// A shell is `Bash` on every agent.
fn shown_name(tool: &str) -> &str {
    if tool == "run_shell_command" { "Bash" } else { tool }
}

/// What a tool can do. (Gemini 0.61.0, Qwen 0.24.4)
fn kind(tool: &str) -> ToolKind {
    match tool {
        "read_file"
        | "read_many_files"
        | "list_directory"
        | "glob"
        | "search_file_content"
        | "grep_search" => ToolKind::Read,
        "write_file" | "replace" | "edit" | "notebook_edit" => ToolKind::Edit,
        "run_shell_command" => ToolKind::Execute,
        "web_fetch" | "google_web_search" | "web_search" => ToolKind::Network,
        _ => ToolKind::Other,
    }
}
