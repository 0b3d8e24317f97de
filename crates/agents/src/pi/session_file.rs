//! What Pi writes down about a session: `~/.pi/agent/sessions/FOLDER/TIME_SESSION.jsonl`, each message when it is whole
//! (measured, 1.5.2).

use super::tools;
use crate::session::{self, SessionFiles};
use crate::wire::{decode, flatten_content, lenient};
use crate::witness::{Line, Reader, Statement};
use belay_trace::{CostSource, Json, ToolCall, ToolId, ToolResult, Usage};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

pub(crate) fn files(session_id: &str) -> Option<SessionFiles> {
    session::is_id(session_id).then(|| SessionFiles {
        home_env: "PI_CODING_AGENT_DIR",
        home: ".pi/agent",
        folder: "sessions",
        levels: 1,
        // The century of its time.
        prefix: "20",
        suffix: format!("_{session_id}.jsonl"),
        beside: None,
    })
}

pub(crate) const READER: Reader =
    Reader { ends_well: &["stop"], cut_off: &["length"], ..Reader::of(read) };

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default, deserialize_with = "lenient")]
    timestamp: Option<Timestamp>,
    #[serde(default)]
    id: Option<String>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(default)]
    role: String,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    usage: Used,
    #[serde(default)]
    tool_call_id: Option<String>,
    #[serde(default)]
    is_error: bool,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Used {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    #[serde(deserialize_with = "lenient")]
    reasoning: u64,
    #[serde(deserialize_with = "lenient")]
    cost: Cost,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cost {
    total: f64,
}

fn read(line: &str) -> Option<Line> {
    let line: Written<'_> = decode(line)?;
    let said = match (line.kind.as_ref(), line.message) {
        ("session", _) => line.id.map(Statement::Session).into_iter().collect(),
        ("message", Some(message)) => stated(message, line.id.as_deref()),
        _ => Vec::new(),
    };
    Some(Line { at: line.timestamp, said })
}

fn stated(message: Message<'_>, id: Option<&str>) -> Vec<Statement> {
    match message.role.as_str() {
        "user" => vec![Statement::Open],
        "toolResult" => vec![Statement::Returned(ToolResult {
            tool_id: message.tool_call_id.map(ToolId),
            name: None,
            output: flatten_content(message.content),
            tool_error: message.is_error,
            exit_code: None,
        })],
        "assistant" => {
            let mut said: Vec<_> = message.model.map(Statement::Model).into_iter().collect();
            said.extend(message.usage.usage().map(Statement::Used));
            let blocks =
                message.content.and_then(|content| decode::<Vec<Block<'_>>>(content.get()));
            for block in blocks.unwrap_or_default() {
                said.push(match block.kind.as_ref() {
                    "text" => Statement::Text {
                        message_id: id.map(str::to_owned),
                        text: block.text.unwrap_or_default(),
                    },
                    "toolCall" => {
                        let tool = block.name.unwrap_or_default();
                        Statement::Call(ToolCall {
                            tool_id: block.id.map(ToolId),
                            name: tools::name(&tool),
                            kind: tools::kind(&tool),
                            args: block.arguments.map(Json::from_raw).unwrap_or_default(),
                        })
                    }
                    _ => Statement::Progress,
                });
            }
            said.push(match message.stop_reason {
                Some(why) if matches!(why.as_str(), "stop" | "length") => {
                    Statement::Ended("stopReason", why)
                }
                _ => Statement::Open,
            });
            said
        }
        _ => Vec::new(),
    }
}

impl Used {
    fn usage(self) -> Option<Usage> {
        let total = self.input + self.output + self.cache_read + self.cache_write;
        let cost = Some(self.cost.total).filter(|cost| *cost > 0.0);
        (total > 0).then(|| Usage {
            input_tokens: Some(self.input),
            output_tokens: Some(self.output),
            cache_read_input_tokens: Some(self.cache_read),
            cache_creation_input_tokens: Some(self.cache_write),
            reasoning_output_tokens: Some(self.reasoning),
            total_cost_usd: cost,
            cost_source: cost.map_or(CostSource::Unknown, |_| CostSource::Reported),
            num_turns: Some(1),
            ..Usage::default()
        })
    }
}
