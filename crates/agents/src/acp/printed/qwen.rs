//! Qwen's lines: those of Claude Code, but for a reply that is told in several messages, of which only the last has
//! figures, and input tokens that hold those from the cache.

use super::{End, Turn, failure, shown_name};
use crate::failures::Table;
use crate::protocol::Out;
use crate::wire::{decode, flatten_content, lenient, unsaid};
use belay_trace::{
    Event, Json, Level, Reasoning, SessionStarted, Text, ToolCallDelta, ToolCallStart, ToolId,
    Usage, UsageReport,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The union of the fields of all lines.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    subtype: String,
    session_id: Option<String>,
    model: Option<String>,
    qwen_code_version: Option<String>,
    cwd: Option<String>,
    parent_tool_use_id: Option<String>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    event: Option<StreamEvent<'a>>,
    is_error: bool,
    #[serde(deserialize_with = "lenient")]
    result: Option<String>,
    #[serde(deserialize_with = "lenient")]
    error: Option<Problem>,
    #[serde(deserialize_with = "lenient")]
    usage: Option<Tokens>,
    num_turns: Option<u64>,
    duration_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(deserialize_with = "lenient")]
    usage: Option<Tokens>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    text: String,
    thinking: String,
    id: Option<String>,
    name: String,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    tool_use_id: Option<String>,
    is_error: bool,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
    #[serde(deserialize_with = "lenient")]
    delta: Delta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    message: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_input_tokens: u64,
}

impl Tokens {
    fn usage(self) -> Usage {
        Usage {
            input_tokens: Some(self.input_tokens.saturating_sub(self.cache_read_input_tokens)),
            output_tokens: Some(self.output_tokens),
            cache_read_input_tokens: Some(self.cache_read_input_tokens),
            ..Usage::default()
        }
    }
}

/// Reads a line; `None` if its kind is not known.
pub(super) fn read(
    turn: &mut Turn,
    kind: &str,
    text: &str,
    table: &'static Table,
    out: &mut Out,
) -> Option<Option<End>> {
    let line: Line<'_> = decode(text)?;
    let parent = line.parent_tool_use_id.map(ToolId);
    match (kind, line.subtype.as_str()) {
        ("system", "init") => {
            let session_id = line.session_id?;
            (turn.session_id, turn.model) = (Some(session_id.clone()), line.model.clone());
            out.event(Event::SessionStarted(SessionStarted {
                session_id,
                model: line.model,
                agent_version: line.qwen_code_version,
                cwd: line.cwd,
                ..SessionStarted::default()
            }));
        }
        ("system", subtype) => out.event(Event::notice(Level::Info, "system", subtype)),
        ("stream_event", _) => piece(turn, line.event?, parent, out),
        ("assistant", _) => message(turn, line.message?, parent, out)?,
        ("user", _) => {
            for block in blocks(line.message?.content)? {
                if block.tool_use_id.is_some() {
                    let output = flatten_content(block.content);
                    turn.returned(block.tool_use_id, output, block.is_error, parent.clone(), out);
                }
            }
        }
        ("result", _) => {
            let told = line.usage.map(Tokens::usage).unwrap_or_default();
            let usage =
                Usage { num_turns: Some(turn.responses), duration_ms: line.duration_ms, ..told };
            out.event(Event::Usage(UsageReport { usage: usage.clone() }));
            let words = line.error.map_or_else(|| line.subtype.clone(), |error| error.message);
            let failure = line.is_error.then(|| failure(table, words));
            let (answer, reported_turns) = (line.result, line.num_turns);
            return Some(Some(End { failure, answer, usage, reported_turns }));
        }
        _ => return None,
    }
    Some(None)
}

fn blocks(content: Option<&RawValue>) -> Option<Vec<Block<'_>>> {
    let content = content?.get();
    // The words of a user are a text.
    if content.starts_with('"') { Some(Vec::new()) } else { decode(content) }
}

fn piece(turn: &mut Turn, event: StreamEvent<'_>, parent: Option<ToolId>, out: &mut Out) {
    match event.kind.as_ref() {
        "message_start" => {
            let message = event.message.unwrap_or_default();
            turn.model = message.model.or(turn.model.take());
            turn.respond(message.id, parent.as_ref(), out);
        }
        "content_block_start" => {
            let block = event.content_block.unwrap_or_default();
            turn.pieces.insert(parent.clone(), super::Pieces::default());
            if let Some(id) = block.id {
                let name = shown_name(&block.name).to_owned();
                turn.writing = Some((ToolId(id), name));
                let (tool_id, name) = turn.writing.clone().unzip();
                let start = ToolCallStart { tool_id, name: name.unwrap_or_default() };
                out.event_under(parent, Event::ToolCallStart(start));
            }
        }
        "content_block_delta" => {
            let pieces = turn.pieces.entry(parent.clone()).or_default();
            if let Some(text) = event.delta.text {
                pieces.text.push_str(&text);
                turn.say(&text, parent.as_ref());
                out.event_under(parent, Event::Text(Text { text, message_id: None }));
            } else if let Some(reasoning) = event.delta.thinking {
                pieces.reasoning.push_str(&reasoning);
                out.event_under(
                    parent,
                    Event::Reasoning(Reasoning { reasoning, message_id: None }),
                );
            } else if let (Some(args), Some((id, name))) = (event.delta.partial_json, &turn.writing)
            {
                let delta = ToolCallDelta { tool_id: Some(id.clone()), name: name.clone(), args };
                out.event_under(parent, Event::ToolCallDelta(delta));
            }
        }
        // `message_stop` has no figures; `goal_state` is the agent's own.
        _ => {}
    }
}

/// A whole message. Of one that came in pieces, only what they have not said is new.
fn message(
    turn: &mut Turn,
    message: Message<'_>,
    parent: Option<ToolId>,
    out: &mut Out,
) -> Option<()> {
    turn.model = message.model.or(turn.model.take());
    turn.respond(message.id, parent.as_ref(), out);
    for block in blocks(message.content)? {
        let said = turn.pieces.remove(&parent).unwrap_or_default();
        match block.kind.as_ref() {
            "text" => {
                let text = unsaid(block.text, &said.text);
                turn.say(&text, parent.as_ref());
                if !text.is_empty() {
                    out.event_under(parent.clone(), Event::Text(Text { text, message_id: None }));
                }
            }
            "thinking" => {
                let reasoning = unsaid(block.thinking, &said.reasoning);
                if !reasoning.is_empty() {
                    let event = Event::Reasoning(Reasoning { reasoning, message_id: None });
                    out.event_under(parent.clone(), event);
                }
            }
            "tool_use" => {
                let args = block.input.map(Json::from_raw).unwrap_or_default();
                turn.call(block.id, &block.name, args, parent.clone(), out);
            }
            kind => {
                let words = format!("content block `{kind}`");
                out.event_under(parent.clone(), Event::notice(Level::Warn, "unknown_block", words));
            }
        }
    }
    if let Some(tokens) = message.usage.filter(|tokens| tokens.output_tokens > 0) {
        turn.usage.add(&tokens.usage());
        out.event_under(parent, Event::Usage(UsageReport { usage: turn.counted() }));
    }
    Some(())
}
