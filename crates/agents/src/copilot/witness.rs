//! What Copilot's session file says of a turn: the events of its stream, without the pieces (measured, 1.0.102).

use super::tools;
use super::wire::Data;
use crate::wire::{decode, lenient};
use crate::witness::{Line, Reader, Statement};
use belay_trace::{Json, ToolCall, ToolId, ToolResult};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

pub(crate) const READER: Reader = Reader { ends_well: &["turn_end"], ..Reader::of(read) };

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default, deserialize_with = "lenient")]
    timestamp: Option<Timestamp>,
    #[serde(default, rename = "agentId", deserialize_with = "lenient")]
    agent_id: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default)]
    parent_tool_call_id: Option<String>,
    #[serde(default)]
    message_id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    content: String,
    #[serde(default)]
    tool_call_id: Option<String>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(default)]
    success: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    result: Returned,
    #[serde(default, deserialize_with = "lenient")]
    shell_execution: Shell,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Returned {
    content: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Shell {
    exit_code: Option<i32>,
}

fn read(line: &str) -> Option<Line> {
    let line: Written<'_> = decode(line)?;
    let told: Told<'_> = decode(line.data.get())?;
    let is_subagent = line.agent_id.is_some() || told.parent_tool_call_id.is_some();
    let said = match line.kind.as_ref() {
        "session.start" => told.session_id.map(Statement::Session).into_iter().collect(),
        _ if is_subagent => vec![Statement::Progress],
        "user.message" | "abort" | "session.error" => vec![Statement::Open],
        "assistant.message" => {
            let mut said: Vec<_> = told.model.map(Statement::Model).into_iter().collect();
            if !told.content.is_empty() {
                said.push(Statement::Text { message_id: told.message_id, text: told.content });
            }
            said
        }
        "tool.execution_start" => {
            let name = decode::<Data<'_>>(line.data.get()).and_then(|data| tools::name(&data))?;
            vec![Statement::Call(ToolCall {
                tool_id: told.tool_call_id.map(ToolId),
                kind: tools::kind(&name),
                name,
                args: told.arguments.map(Json::from_raw).unwrap_or_default(),
            })]
        }
        "tool.execution_complete" => vec![Statement::Returned(ToolResult {
            tool_id: told.tool_call_id.map(ToolId),
            name: None,
            output: told.result.content,
            tool_error: told.success == Some(false),
            exit_code: told.shell_execution.exit_code,
        })],
        // Each step has one, also one that called a tool.
        "assistant.turn_end" => vec![Statement::StepEnded("assistant", "turn_end".to_owned())],
        _ => Vec::new(),
    };
    Some(Line { at: line.timestamp, said })
}
