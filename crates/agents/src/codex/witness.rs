//! What Codex's rollout file says of a turn: words and calls as they go to the model, and a line that ends the turn
//! (measured, 0.169.0).

use super::items::SHELL;
use super::silent;
use crate::wire::{decode, flatten_content};
use crate::witness::{Line, Reader, Statement};
use belay_trace::{Json, ToolCall, ToolId, ToolKind, ToolResult};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Over the app-server.
pub(super) const READER: Reader =
    Reader { ends_well: &["completed"], silent: Some(silent::READER), ..Reader::of(read) };

/// Over `exec`, whose calls have numbers of their own.
pub(super) const READER_OF_EXEC: Reader = Reader { shares_ids: false, ..READER };

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    timestamp: Option<Timestamp>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// The union of the payloads that say something.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    role: Option<String>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    call_id: Option<String>,
    /// JSON in a text.
    #[serde(default)]
    arguments: Option<String>,
    #[serde(default)]
    input: Option<String>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Calls that are no tool's, or that the stream does not tell as one.
const ASIDES: &[&str] = &["update_plan", "write_stdin", "spawn_agent", "wait_agent", "wait"];

pub(super) fn read(line: &str) -> Option<Line> {
    let line: Written<'_> = decode(line)?;
    let payload: Payload<'_> = decode(line.payload.get())?;
    let said = match (line.kind.as_ref(), payload.kind.as_ref()) {
        ("session_meta", _) => payload.id.map(Statement::Session),
        ("turn_context", _) => payload.model.map(Statement::Model),
        ("response_item", "message") if payload.role.as_deref() == Some("assistant") => {
            Some(Statement::Text { message_id: payload.id, text: flatten_content(payload.content) })
        }
        ("response_item", "reasoning") => Some(Statement::Progress),
        ("response_item", "function_call" | "custom_tool_call") => called(payload),
        ("response_item", "function_call_output" | "custom_tool_call_output") => returned(payload),
        ("event_msg", "task_started" | "turn_aborted") => Some(Statement::Open),
        ("event_msg", "task_complete") => {
            // A turn that has failed is for the stream to tell, which knows why.
            let has_failed = payload.error.is_some_and(|error| error.get() != "null");
            let ended = || Statement::Ended("task_complete", "completed".to_owned());
            Some(if has_failed { Statement::Open } else { ended() })
        }
        _ => None,
    };
    Some(Line { at: line.timestamp, said: said.into_iter().collect() })
}

fn called(payload: Payload<'_>) -> Option<Statement> {
    let name = payload.name?;
    if ASIDES.contains(&name.as_str()) {
        return Some(Statement::Progress);
    }
    let args = match (payload.arguments, payload.input) {
        (Some(args), _) => Json::parse(args).unwrap_or_default(),
        (None, Some(input)) => serde_json::json!({ "input": input }).into(),
        (None, None) => Json::default(),
    };
    let (name, kind) = match name.as_str() {
        "exec_command" | "shell" | "shell_command" | "local_shell" => {
            (SHELL.to_owned(), ToolKind::Execute)
        }
        "apply_patch" => (name, ToolKind::Edit),
        _ => (name, ToolKind::Other),
    };
    let tool_id = payload.call_id.map(ToolId);
    Some(Statement::Call(ToolCall { tool_id, name, args, kind }))
}

fn returned(payload: Payload<'_>) -> Option<Statement> {
    let output = flatten_content(payload.output);
    let code = output.split("exited with code ").nth(1);
    let code = code.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    Some(Statement::Returned(ToolResult {
        tool_id: Some(ToolId(payload.call_id?)),
        name: None,
        tool_error: code.is_some_and(|code: i32| code != 0),
        exit_code: code,
        output,
    }))
}
