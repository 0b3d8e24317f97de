//! What Claude Code's session file says of a turn: the same blocks as its stream, each with why its response ended
//! (measured, 2.1.329).

use super::tools;
use super::wire::Block;
use crate::wire::{decode, lenient};
use crate::witness::{Line, Reader, Statement};
use belay_trace::{Event, Json, ToolCall, ToolId};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

pub(super) const READER: Reader = Reader {
    ends_well: &["end_turn", "stop_sequence"],
    cut_off: &["max_tokens", "model_context_window_exceeded"],
    ..Reader::of(read)
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default, deserialize_with = "lenient")]
    timestamp: Option<Timestamp>,
    session_id: String,
    #[serde(default, deserialize_with = "lenient")]
    is_sidechain: bool,
    /// Words of Claude Code's own, which no user has said.
    #[serde(default, deserialize_with = "lenient")]
    is_meta: bool,
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// What Claude says in the model's place, about an error or an interrupt.
const SYNTHETIC: &str = "<synthetic>";

fn read(line: &str) -> Option<Line> {
    let line: Written<'_> = decode(line)?;
    let mut said = vec![Statement::Session(line.session_id)];
    let message = line.message;
    match line.kind.as_ref() {
        _ if line.is_sidechain => said.push(Statement::Progress),
        "assistant" if message.model.as_deref() == Some(SYNTHETIC) => said.push(Statement::Open),
        "assistant" => {
            said.extend(message.model.map(Statement::Model));
            for block in decode::<Vec<Block<'_>>>(message.content.get())? {
                said.extend(stated(block, message.id.as_deref()));
            }
            // It stands on each block of the response; what follows takes it back.
            let goes_on = |why: &String| matches!(why.as_str(), "tool_use" | "pause_turn");
            if let Some(why) = message.stop_reason.filter(|why| !goes_on(why)) {
                said.push(Statement::Ended("stop_reason", why));
            }
        }
        "user" if !line.is_meta => {
            said.push(Statement::Open);
            let blocks = decode::<Vec<Block<'_>>>(message.content.get()).unwrap_or_default();
            for block in blocks.into_iter().filter(|block| block.kind == "tool_result") {
                if let Event::ToolResult(result) = tools::result(block, None) {
                    said.push(Statement::Returned(result));
                }
            }
        }
        _ => return None,
    }
    Some(Line { at: line.timestamp, said })
}

fn stated(block: Block<'_>, message_id: Option<&str>) -> Option<Statement> {
    Some(match block.kind.as_ref() {
        "text" => {
            let message_id = message_id.map(str::to_owned);
            Statement::Text { message_id, text: block.text? }
        }
        "tool_use" => {
            let name = block.name.unwrap_or_default();
            Statement::Call(ToolCall {
                tool_id: block.id.map(ToolId),
                kind: tools::kind(&name),
                name,
                args: block.input.map(Json::from_raw).unwrap_or_default(),
            })
        }
        _ => Statement::Progress,
    })
}
