//! Replies in the words of OpenAI Chat Completions, which most other providers speak as well.

use serde_json::{Value, json};

use super::ids::fresh;
use super::reply::{Part, Reply, StopReason, Tokens};
use super::sse::pieces;

pub(crate) mod title;
mod tools;

/// The reply as the chunks of a stream, without the `[DONE]` that ends it.
///
/// The usage comes in a chunk of its own at the end, when the request asked for it.
pub(crate) fn chunks(reply: &Reply, parts: &[Part], request: &Value) -> Vec<Value> {
    let chars = reply.piece_chars;
    let message = message(parts, request);
    let mut deltas = vec![json!({ "role": "assistant", "content": "" })];
    for (field, text) in spoken(&message) {
        deltas.extend(pieces(text, chars).iter().map(|piece| json!({ field: piece })));
    }
    for (index, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let mut opened = call.clone();
        opened["index"] = index.into();
        opened["function"]["arguments"] = "".into();
        deltas.push(json!({ "tool_calls": [opened] }));
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        deltas.extend(pieces(arguments, chars).iter().map(|piece| {
            let function = json!({ "arguments": piece });
            json!({ "tool_calls": [{ "index": index, "function": function }] })
        }));
    }
    let shell = shell("chat.completion.chunk", request);
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = shell.clone();
        chunk["choices"] = choices;
        chunk["usage"] = usage;
        chunk
    };
    let choice = |delta: Value, finish: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        chunk(json!([choice]), Value::Null)
    };
    let mut chunks: Vec<Value> =
        deltas.into_iter().map(|delta| choice(delta, Value::Null)).collect();
    chunks.push(choice(json!({}), finish_reason(reply.stop_reason()).into()));
    if request["stream_options"]["include_usage"] == true {
        chunks.push(chunk(json!([]), usage(reply.tokens)));
    }
    chunks
}

/// The reply as one completion, for a request that did not ask for a stream.
pub(crate) fn completion(reply: &Reply, parts: &[Part], request: &Value) -> Value {
    let mut completion = shell("chat.completion", request);
    completion["choices"] = json!([{
        "index": 0, "message": message(parts, request), "logprobs": null,
        "finish_reason": finish_reason(reply.stop_reason()),
    }]);
    completion["usage"] = usage(reply.tokens);
    completion
}

fn shell(object: &str, request: &Value) -> Value {
    json!({
        "id": fresh("chatcmpl"), "object": object, "created": 1_795_250_000,
        "model": request["model"], "system_fingerprint": null,
    })
}

/// The whole message. One message has one reasoning and one content, so several parts are joined.
fn message(parts: &[Part], request: &Value) -> Value {
    let (mut reasoning, mut content, mut calls) = (String::new(), String::new(), Vec::new());
    for part in parts {
        match part {
            Part::Thinking(text) => reasoning.push_str(text),
            Part::Text(text) => content.push_str(text),
            Part::Tool { name, input } => calls.push(tools::call(name, input)),
            Part::McpTool { server, tool, input } => {
                calls.push(tools::mcp(server, tool, input, request));
            }
            Part::Shell(command) => calls.push(tools::shell(command, request)),
            Part::WriteFile { path, content } => {
                calls.push(tools::write_file(path, content, request));
            }
        }
    }
    let mut message = json!({ "role": "assistant", "content": content, "refusal": null });
    if !reasoning.is_empty() {
        message["reasoning_content"] = reasoning.into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message
}

/// What is streamed as text, in the order that providers send it.
fn spoken(message: &Value) -> impl Iterator<Item = (&'static str, &str)> {
    let fields = ["reasoning_content", "content"].into_iter();
    fields.filter_map(|field| message[field].as_str().map(|text| (field, text)))
}

fn usage(tokens: Tokens) -> Value {
    let prompt = tokens.input + tokens.cache_read + tokens.cache_write;
    let mut details = json!({ "cached_tokens": tokens.cache_read });
    // Not OpenAI's: providers that count cache writes add this field, the others leave it out.
    if tokens.cache_write > 0 {
        details["cache_write_tokens"] = tokens.cache_write.into();
    }
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": tokens.output,
        "total_tokens": prompt + tokens.output,
        "prompt_tokens_details": details,
        "completion_tokens_details": { "reasoning_tokens": tokens.reasoning },
    })
}

fn finish_reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::EndTurn => "stop",
        StopReason::ToolUse => "tool_calls",
        StopReason::MaxTokens => "length",
        StopReason::Refusal => "content_filter",
    }
}
