//! Replies in the words of Anthropic Messages.

use serde_json::{Value, json};

use super::ids::fresh;
use super::reply::{Part, Reply, StopReason, Tokens};
use super::sse::pieces;

/// What Claude Code accepts as the signature of a thinking block: any base64.
const SIGNATURE: &str = "ZmFrZXNpZ25hdHVyZQ==";

/// The reply as the events of a stream, `message_start` to `message_stop`.
pub(crate) fn events(reply: &Reply, parts: &[Part], request: &Value) -> Vec<Value> {
    let mut start = shell(request);
    // The real API knows one output token when it starts, and tells the count at the end.
    start["usage"] = usage(Tokens { output: 1, reasoning: 0, ..reply.tokens });
    let mut events = vec![json!({ "type": "message_start", "message": start })];
    for (index, part) in parts.iter().enumerate() {
        let block = block(part);
        let deltas = deltas(&block, reply.piece_chars);
        events.push(json!({
            "type": "content_block_start", "index": index, "content_block": empty(&block),
        }));
        events.extend(
            deltas.into_iter().map(
                |delta| json!({ "type": "content_block_delta", "index": index, "delta": delta }),
            ),
        );
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    events.push(json!({
        "type": "message_delta",
        "delta": { "stop_reason": stop_reason(reply.stop_reason()), "stop_sequence": null },
        "usage": usage(reply.tokens),
    }));
    events.push(json!({ "type": "message_stop" }));
    events
}

/// The reply as one message, for a request that did not ask for a stream.
pub(crate) fn message(reply: &Reply, parts: &[Part], request: &Value) -> Value {
    let mut message = shell(request);
    message["content"] = parts.iter().map(block).collect();
    message["stop_reason"] = stop_reason(reply.stop_reason()).into();
    message["usage"] = usage(reply.tokens);
    message
}

fn shell(request: &Value) -> Value {
    json!({
        "id": fresh("msg"), "type": "message", "role": "assistant", "model": request["model"],
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": null,
    })
}

fn usage(tokens: Tokens) -> Value {
    json!({
        "input_tokens": tokens.input,
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write, "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": tokens.output,
        "output_tokens_details": { "thinking_tokens": tokens.reasoning },
        "service_tier": "standard",
    })
}

fn stop_reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::EndTurn => "end_turn",
        StopReason::ToolUse => "tool_use",
        StopReason::MaxTokens => "max_tokens",
        StopReason::Refusal => "refusal",
    }
}

fn block(part: &Part) -> Value {
    match part {
        Part::Thinking(text) => {
            json!({ "type": "thinking", "thinking": text, "signature": SIGNATURE })
        }
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Tool { name, input } => tool_use(name, input.clone()),
        Part::McpTool { server, tool, input } => {
            tool_use(&format!("mcp__{server}__{tool}"), input.clone())
        }
        Part::Shell(command) => {
            tool_use("Bash", json!({ "command": command, "description": "Run a command" }))
        }
        Part::WriteFile { path, content } => {
            tool_use("Write", json!({ "file_path": path, "content": content }))
        }
    }
}

fn tool_use(name: &str, input: Value) -> Value {
    json!({ "type": "tool_use", "id": fresh("toolu"), "name": name, "input": input })
}

/// The block as it starts: its deltas fill in the rest.
fn empty(block: &Value) -> Value {
    let mut empty = block.clone();
    match block["type"].as_str() {
        Some("thinking") => {
            empty["thinking"] = "".into();
            empty["signature"] = "".into();
        }
        Some("text") => empty["text"] = "".into(),
        _ => empty["input"] = json!({}),
    }
    empty
}

fn deltas(block: &Value, chars: usize) -> Vec<Value> {
    match block["type"].as_str() {
        Some("thinking") => {
            let text = block["thinking"].as_str().unwrap_or_default();
            let mut deltas: Vec<Value> = pieces(text, chars)
                .iter()
                .map(|piece| json!({ "type": "thinking_delta", "thinking": piece }))
                .collect();
            deltas.push(json!({ "type": "signature_delta", "signature": block["signature"] }));
            deltas
        }
        Some("text") => pieces(block["text"].as_str().unwrap_or_default(), chars)
            .iter()
            .map(|piece| json!({ "type": "text_delta", "text": piece }))
            .collect(),
        _ => pieces(&block["input"].to_string(), chars)
            .iter()
            .map(|piece| json!({ "type": "input_json_delta", "partial_json": piece }))
            .collect(),
    }
}
