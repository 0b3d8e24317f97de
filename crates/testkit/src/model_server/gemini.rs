//! Replies in the words of Google's Gemini API: `generateContent`, and `streamGenerateContent` as events.

use serde_json::{Value, json};

use super::Request;
use super::ids::fresh;
use super::reply::{Part, Reply, StopReason, Tokens};
use super::sse::pieces;

mod tools;

/// What is asked for, which here stands in the path: `/v1beta/models/{model}:{method}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    pub(crate) model: &'a str,
    pub(crate) method: &'a str,
}

impl<'a> Asked<'a> {
    /// Reads the path; `None` if it is of another API.
    pub(crate) fn of(request: &'a Request) -> Option<Self> {
        let route = request.route();
        let (_, named) = route.split_once("/models/").filter(|_| request.method == "POST")?;
        let (model, method) = named.split_once(':')?;
        Some(Self { model, method })
    }

    pub(crate) fn streams(self) -> bool {
        self.method == "streamGenerateContent"
    }
}

/// The reply as the chunks of a stream; the last one says why it ended and what it used.
pub(crate) fn chunks(reply: &Reply, parts: &[Part], asked: Asked<'_>, body: &Value) -> Vec<Value> {
    let spoken = spoken(parts, body);
    let cut = |part: Value| match part["text"].as_str() {
        Some(text) => pieces(text, reply.piece_chars)
            .into_iter()
            .map(|piece| {
                let mut part = part.clone();
                part["text"] = piece.into();
                part
            })
            .collect(),
        None => vec![part],
    };
    let mut chunks: Vec<Value> = spoken
        .into_iter()
        .flat_map(cut)
        .map(|part| chunk(json!([part]), Value::Null, asked.model))
        .collect();
    let mut last = chunk(json!([{ "text": "" }]), finish_reason(reply).into(), asked.model);
    last["usageMetadata"] = usage(reply.tokens);
    chunks.push(last);
    chunks
}

/// The reply as one response, for a request that did not ask for a stream.
pub(crate) fn response(reply: &Reply, parts: &[Part], asked: Asked<'_>, body: &Value) -> Value {
    let mut whole = chunk(spoken(parts, body).into(), finish_reason(reply).into(), asked.model);
    whole["usageMetadata"] = usage(reply.tokens);
    whole
}

fn chunk(parts: Value, finish: Value, model: &str) -> Value {
    let mut candidate = json!({ "content": { "role": "model", "parts": parts }, "index": 0 });
    if !finish.is_null() {
        candidate["finishReason"] = finish;
    }
    json!({ "candidates": [candidate], "modelVersion": model, "responseId": fresh("resp") })
}

fn spoken(parts: &[Part], body: &Value) -> Vec<Value> {
    let spoken = parts.iter().map(|part| match part {
        Part::Thinking(text) => json!({ "text": text, "thought": true }),
        Part::Text(text) => json!({ "text": text }),
        Part::Tool { name, input } => tools::call(name, input),
        Part::McpTool { server, tool, input } => tools::mcp(server, tool, input, body),
        Part::Shell(command) => tools::shell(command),
        Part::WriteFile { path, content } => tools::write_file(path, content),
    });
    spoken.collect()
}

/// The prompt's count includes what was cached, and the candidates' excludes the thoughts.
fn usage(tokens: Tokens) -> Value {
    let prompt = tokens.input + tokens.cache_read + tokens.cache_write;
    json!({
        "promptTokenCount": prompt,
        "cachedContentTokenCount": tokens.cache_read,
        "candidatesTokenCount": tokens.output - tokens.reasoning,
        "thoughtsTokenCount": tokens.reasoning,
        "totalTokenCount": prompt + tokens.output,
    })
}

/// A call of a tool is an ordinary end of a response here.
fn finish_reason(reply: &Reply) -> &'static str {
    match reply.stop_reason() {
        StopReason::EndTurn | StopReason::ToolUse => "STOP",
        StopReason::MaxTokens => "MAX_TOKENS",
        StopReason::Refusal => "SAFETY",
    }
}
