//! What the session files of Gemini CLI and Qwen Code say of a turn.

use super::silent;
use crate::wire::{decode, lenient};
use crate::witness::{Line, Reader, Statement};
use belay_trace::{Json, ToolCall, ToolId, ToolKind, ToolResult};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Gemini CLI writes down a call when it has returned, so no line of its file shows that a turn is over (measured,
/// 0.61.0).
pub(super) const GEMINI: Reader =
    Reader { silent: Some(silent::GEMINI), ..Reader::of(read_gemini) };

/// Qwen Code ends a turn with a checkpoint (measured, 0.24.4).
pub(super) const QWEN: Reader =
    Reader { ends_well: &["branch_checkpoint"], ..Reader::of(read_qwen) };

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeminiLine<'a> {
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient")]
    content: String,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow, default)]
    tool_calls: Vec<GeminiCall<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeminiCall<'a> {
    id: String,
    name: String,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
    #[serde(default)]
    status: String,
    #[serde(default, deserialize_with = "lenient")]
    result_display: String,
}

fn read_gemini(line: &str) -> Option<Line> {
    let line: GeminiLine<'_> = decode(line)?;
    let mut said: Vec<_> = line.session_id.map(Statement::Session).into_iter().collect();
    if line.kind == "gemini" {
        said.extend(line.model.map(Statement::Model));
        if !line.content.is_empty() {
            said.push(Statement::Text { message_id: line.id, text: line.content });
        }
        for call in line.tool_calls {
            let tool_id = Some(ToolId(call.id));
            said.push(called(tool_id.clone(), call.name, call.args));
            said.push(Statement::Returned(ToolResult {
                tool_id,
                name: None,
                output: call.result_display,
                tool_error: call.status != "success",
                exit_code: None,
            }));
        }
    }
    Some(Line { at: line.timestamp, said })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QwenLine<'a> {
    session_id: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    subtype: String,
    #[serde(default)]
    uuid: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    timestamp: Option<Timestamp>,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow, default)]
    message: Option<QwenMessage<'a>>,
    #[serde(default, deserialize_with = "lenient")]
    tool_call_result: QwenResult,
}

#[derive(Deserialize)]
struct QwenMessage<'a> {
    #[serde(borrow, default)]
    parts: Vec<QwenPart<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QwenPart<'a> {
    #[serde(default)]
    text: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    thought: bool,
    #[serde(borrow, default)]
    function_call: Option<QwenCall<'a>>,
}

#[derive(Deserialize)]
struct QwenCall<'a> {
    id: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct QwenResult {
    call_id: Option<String>,
    status: String,
    #[serde(deserialize_with = "lenient")]
    result_display: QwenDisplay,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct QwenDisplay {
    text: String,
    exit_code: Option<i32>,
}

fn read_qwen(line: &str) -> Option<Line> {
    let line: QwenLine<'_> = decode(line)?;
    let mut said = vec![Statement::Session(line.session_id)];
    match (line.kind.as_str(), line.subtype.as_str()) {
        ("user", _) => said.push(Statement::Open),
        ("assistant", _) => {
            said.extend(line.model.map(Statement::Model));
            for part in line.message.into_iter().flat_map(|message| message.parts) {
                match (part.text, part.function_call) {
                    (Some(_), _) if part.thought => said.push(Statement::Progress),
                    (Some(text), _) => {
                        said.push(Statement::Text { message_id: line.uuid.clone(), text });
                    }
                    (None, Some(call)) => {
                        said.push(called(call.id.map(ToolId), call.name, call.args));
                    }
                    (None, None) => {}
                }
            }
        }
        ("tool_result", _) => {
            let QwenResult { call_id, status, result_display } = line.tool_call_result;
            said.push(Statement::Returned(ToolResult {
                tool_id: call_id.map(ToolId),
                name: None,
                output: result_display.text,
                tool_error: status != "success",
                exit_code: result_display.exit_code,
            }));
        }
        ("system", "branch_checkpoint") => {
            said.push(Statement::StepEnded("subtype", line.subtype));
        }
        _ => {}
    }
    Some(Line { at: line.timestamp, said })
}

fn called(tool_id: Option<ToolId>, tool: String, args: Option<&RawValue>) -> Statement {
    let (name, kind) = sort(tool);
    let args = args.map(Json::from_raw).unwrap_or_default();
    Statement::Call(ToolCall { tool_id, name, kind, args })
}

/// A tool's name as belay has it, and what it can do.
pub(super) fn sort(tool: String) -> (String, ToolKind) {
    match tool.as_str() {
        "run_shell_command" => ("Bash".to_owned(), ToolKind::Execute),
        "write_file" | "replace" | "edit" => (tool, ToolKind::Edit),
        "read_file"
        | "read_many_files"
        | "list_directory"
        | "glob"
        | "search_file_content"
        | "grep_search" => (tool, ToolKind::Read),
        _ => (tool, ToolKind::Other),
    }
}
