//! Replies in the words of OpenAI Responses.

use serde_json::{Value, json};

use super::ids::fresh;
use super::reply::{Part, Reply, StopReason, Tokens};
use super::sse::pieces;

mod tools;

/// The reply as the events of a stream, `response.created` to `response.completed`.
pub(crate) fn events(reply: &Reply, parts: &[Part], request: &Value) -> Vec<Value> {
    let finished = response(reply, parts, request);
    let mut created = finished.clone();
    created["status"] = "in_progress".into();
    created["output"] = json!([]);
    created["usage"] = Value::Null;
    created["incomplete_details"] = Value::Null;
    let mut events = vec![
        json!({ "type": "response.created", "response": created }),
        json!({ "type": "response.in_progress", "response": created }),
    ];
    for (index, item) in finished["output"].as_array().into_iter().flatten().enumerate() {
        item_events(index, item, reply.piece_chars, &mut events);
    }
    let last = if finished["status"] == "completed" {
        "response.completed"
    } else {
        "response.incomplete"
    };
    events.push(json!({ "type": last, "response": finished }));
    numbered(events)
}

/// The reply as one response, for a request that did not ask for a stream.
pub(crate) fn response(reply: &Reply, parts: &[Part], request: &Value) -> Value {
    let (status, incomplete) = match reply.stop_reason() {
        StopReason::EndTurn | StopReason::ToolUse => ("completed", Value::Null),
        StopReason::MaxTokens => ("incomplete", json!({ "reason": "max_output_tokens" })),
        StopReason::Refusal => ("incomplete", json!({ "reason": "content_filter" })),
    };
    let output: Vec<Value> = parts.iter().map(|part| item(part, request)).collect();
    json!({
        "id": fresh("resp"), "object": "response", "created_at": 1_795_250_000,
        "status": status, "model": request["model"], "output": output,
        "usage": usage(reply.tokens), "error": null, "incomplete_details": incomplete,
    })
}

fn usage(tokens: Tokens) -> Value {
    let input = tokens.input + tokens.cache_read + tokens.cache_write;
    json!({
        "input_tokens": input,
        "input_tokens_details": {
            "cached_tokens": tokens.cache_read, "cache_write_tokens": tokens.cache_write,
        },
        "output_tokens": tokens.output,
        "output_tokens_details": { "reasoning_tokens": tokens.reasoning },
        "total_tokens": input + tokens.output,
    })
}

fn item(part: &Part, request: &Value) -> Value {
    match part {
        Part::Thinking(text) => json!({
            "type": "reasoning", "id": fresh("rs"),
            "summary": [{ "type": "summary_text", "text": text }], "encrypted_content": "ZmFrZQ==",
        }),
        Part::Text(text) => json!({
            "type": "message", "id": fresh("msg"), "status": "completed", "role": "assistant",
            "content": [{ "type": "output_text", "text": text, "annotations": [] }],
        }),
        Part::Tool { name, input } => tools::call(name, input),
        Part::McpTool { server, tool, input } => tools::mcp(server, tool, input),
        Part::Shell(command) => tools::shell(command, request),
        Part::WriteFile { path, content } => tools::write_file(path, content, request),
    }
}

fn item_events(index: usize, item: &Value, chars: usize, events: &mut Vec<Value>) {
    let id = &item["id"];
    let mut push = |mut event: Value| {
        event["output_index"] = index.into();
        events.push(event);
    };
    let mut opened = item.clone();
    match item["type"].as_str() {
        Some("reasoning") => {
            opened["summary"] = json!([]);
            push(json!({ "type": "response.output_item.added", "item": opened }));
            let part = &item["summary"][0];
            let text = part["text"].as_str().unwrap_or_default();
            push(json!({
                "type": "response.reasoning_summary_part.added", "item_id": id, "summary_index": 0,
                "part": { "type": "summary_text", "text": "" },
            }));
            for piece in pieces(text, chars) {
                push(json!({
                    "type": "response.reasoning_summary_text.delta", "item_id": id,
                    "summary_index": 0, "delta": piece,
                }));
            }
            push(json!({
                "type": "response.reasoning_summary_text.done", "item_id": id, "summary_index": 0,
                "text": text,
            }));
            push(json!({
                "type": "response.reasoning_summary_part.done", "item_id": id, "summary_index": 0,
                "part": part,
            }));
        }
        Some("message") => {
            opened["content"] = json!([]);
            opened["status"] = "in_progress".into();
            push(json!({ "type": "response.output_item.added", "item": opened }));
            let part = &item["content"][0];
            let text = part["text"].as_str().unwrap_or_default();
            push(json!({
                "type": "response.content_part.added", "item_id": id, "content_index": 0,
                "part": { "type": "output_text", "text": "", "annotations": [] },
            }));
            for piece in pieces(text, chars) {
                push(json!({
                    "type": "response.output_text.delta", "item_id": id, "content_index": 0,
                    "delta": piece,
                }));
            }
            push(json!({
                "type": "response.output_text.done", "item_id": id, "content_index": 0,
                "text": text,
            }));
            push(json!({
                "type": "response.content_part.done", "item_id": id, "content_index": 0,
                "part": part,
            }));
        }
        Some("custom_tool_call") => {
            opened["input"] = "".into();
            push(json!({ "type": "response.output_item.added", "item": opened }));
            for piece in pieces(item["input"].as_str().unwrap_or_default(), chars) {
                push(json!({
                    "type": "response.custom_tool_call_input.delta", "item_id": id, "delta": piece,
                }));
            }
            push(json!({
                "type": "response.custom_tool_call_input.done", "item_id": id,
                "input": item["input"],
            }));
        }
        _ => {
            opened["arguments"] = "".into();
            push(json!({ "type": "response.output_item.added", "item": opened }));
            for piece in pieces(item["arguments"].as_str().unwrap_or_default(), chars) {
                push(json!({
                    "type": "response.function_call_arguments.delta", "item_id": id,
                    "delta": piece,
                }));
            }
            push(json!({
                "type": "response.function_call_arguments.done", "item_id": id,
                "arguments": item["arguments"],
            }));
        }
    }
    push(json!({ "type": "response.output_item.done", "item": item }));
}

/// Gives the events their sequence numbers, as the real stream does.
fn numbered(mut events: Vec<Value>) -> Vec<Value> {
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = number.into();
    }
    events
}
