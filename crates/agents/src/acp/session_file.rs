//! What an agent behind ACP itself writes down about a session, where its stream does not tell what was used.

use super::witness;
use crate::session::{self, Response, SessionFiles, Tokens};
use crate::wire::lenient;
use crate::witness::Reader;
use crate::{copilot, pi};
use crate::{framing, lines};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Where the file is, and how it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionFile {
    pub(super) files: fn(&str) -> Option<SessionFiles>,
    pub(super) read: fn(Timestamp, &mut dyn Iterator<Item = &[u8]>) -> Vec<Response>,
    pub(super) witness: Reader,
}

/// Decodes the records of a file, whole lines or not.
fn each_record<T: DeserializeOwned>(
    lines: &mut dyn Iterator<Item = &[u8]>,
    mut each: impl FnMut(T),
) {
    lines.for_each(|line| framing::decode_each(&lines::text(line), &mut each));
}

/// `~/.gemini/tmp/PROJECT/chats/session-TIME-ID8.jsonl` (measured, 0.61.0).
pub(super) const GEMINI: SessionFile =
    SessionFile { files: files_of_gemini, read: read_gemini, witness: witness::GEMINI };

fn files_of_gemini(session_id: &str) -> Option<SessionFiles> {
    let short = session_id.get(..8).filter(|_| session::is_id(session_id))?;
    Some(SessionFiles {
        home_env: "",
        home: ".gemini",
        folder: "tmp",
        levels: 2,
        prefix: "session-",
        suffix: format!("{short}.jsonl"),
        beside: None,
    })
}

/// `~/.qwen/projects/FOLDER/chats/SESSION.jsonl` (measured, 0.24.4).
pub(super) const QWEN: SessionFile =
    SessionFile { files: files_of_qwen, read: read_qwen, witness: witness::QWEN };

fn files_of_qwen(session_id: &str) -> Option<SessionFiles> {
    session::is_id(session_id).then(|| SessionFiles {
        home_env: "QWEN_HOME",
        home: ".qwen",
        folder: "projects",
        levels: 2,
        prefix: "",
        suffix: format!("{session_id}.jsonl"),
        beside: None,
    })
}

/// The file of Copilot, which it writes in all of its ways.
pub(super) const COPILOT: SessionFile = SessionFile {
    files: copilot::session_file::files,
    read: copilot::session_file::read,
    witness: copilot::witness::READER,
};

/// The file of Pi.
pub(super) const PI: SessionFile = SessionFile {
    files: pi::session_file::files,
    read: read_pi,
    witness: pi::session_file::READER,
};

/// `~/.cline/data/sessions/SESSION/SESSION.messages.json`, one object over many lines, written anew with each message
/// (measured, 3.0.65).
pub(super) const CLINE: SessionFile = SessionFile {
    files: files_of_cline,
    read: read_cline,
    // It is no file of lines, so that nothing can be read of it while it grows.
    witness: Reader::of(|_| None),
};

fn files_of_cline(session_id: &str) -> Option<SessionFiles> {
    session::is_id(session_id).then(|| SessionFiles {
        home_env: "CLINE_DIR",
        home: ".cline",
        folder: "data/sessions",
        levels: 0,
        prefix: "",
        suffix: format!("{session_id}/{session_id}.messages.json"),
        beside: None,
    })
}

#[derive(Deserialize)]
struct ClineFile {
    messages: Vec<ClineMessage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClineMessage {
    /// In milliseconds since 1970.
    #[serde(default, deserialize_with = "lenient")]
    ts: i64,
    #[serde(default, deserialize_with = "lenient")]
    model_info: ClineModel,
    /// Of the model's messages alone.
    #[serde(default, deserialize_with = "lenient")]
    metrics: Option<ClineTokens>,
}

#[derive(Default, Deserialize)]
struct ClineModel {
    #[serde(default, deserialize_with = "lenient")]
    id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClineTokens {
    /// With those from the cache, and those that went into it.
    #[serde(deserialize_with = "lenient")]
    input_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    output_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    cache_read_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    cache_write_tokens: u64,
}

fn read_cline(since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<Response> {
    let text = lines.collect::<Vec<_>>().join(&b'\n');
    let Ok(file) = serde_json::from_slice::<ClineFile>(&text) else { return Vec::new() };
    let responses = file.messages.into_iter().filter_map(|message| {
        let (at, used) = (Timestamp::from_millisecond(message.ts).ok()?, message.metrics?);
        let cached = used.cache_read_tokens.saturating_add(used.cache_write_tokens);
        let tokens = Tokens {
            input: used.input_tokens.saturating_sub(cached),
            output: used.output_tokens,
            cache_read: used.cache_read_tokens,
            cache_write: used.cache_write_tokens,
            ..Tokens::default()
        };
        (at >= since && tokens.total() > 0).then(|| Response {
            at: Some(at),
            model: message.model_info.id,
            tokens,
            ..Response::default()
        })
    });
    responses.collect()
}

/// Pi writes down each message; those of the model have what they used.
#[derive(Deserialize)]
struct PiLine {
    timestamp: Timestamp,
    message: PiMessage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PiMessage {
    #[serde(default, deserialize_with = "lenient")]
    provider: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    model: Option<String>,
    usage: PiTokens,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PiTokens {
    #[serde(deserialize_with = "lenient")]
    input: u64,
    /// With the thoughts.
    #[serde(deserialize_with = "lenient")]
    output: u64,
    #[serde(deserialize_with = "lenient")]
    cache_read: u64,
    #[serde(deserialize_with = "lenient")]
    cache_write: u64,
    #[serde(deserialize_with = "lenient")]
    reasoning: u64,
}

fn read_pi(since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<Response> {
    let mut responses = Vec::new();
    let read = |PiLine { timestamp, message }| {
        let PiTokens { input, output, cache_read, cache_write, reasoning } = message.usage;
        let tokens =
            Tokens { input, output, cache_read, cache_write, reasoning, ..Tokens::default() };
        let model = message.model.map(|model| match message.provider {
            Some(provider) => format!("{provider}/{model}"),
            None => model,
        });
        // A response that failed is there too, and has used nothing.
        (timestamp >= since && tokens.total() > 0).then(|| Response {
            at: Some(timestamp),
            model,
            tokens,
            ..Response::default()
        })
    };
    each_record(lines, |line| responses.extend(read(line)));
    responses
}

/// Qwen writes down each answer of a model, of helpers too, as an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QwenLine {
    timestamp: Timestamp,
    system_payload: QwenPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QwenPayload {
    ui_event: QwenAnswer,
}

#[derive(Deserialize)]
struct QwenAnswer {
    #[serde(rename = "event.name")]
    name: String,
    #[serde(default, deserialize_with = "lenient")]
    model: Option<String>,
    /// With those from the cache.
    #[serde(default, deserialize_with = "lenient")]
    input_token_count: u64,
    /// With the thoughts.
    #[serde(default, deserialize_with = "lenient")]
    output_token_count: u64,
    #[serde(default, deserialize_with = "lenient")]
    cached_content_token_count: u64,
    #[serde(default, deserialize_with = "lenient")]
    thoughts_token_count: u64,
}

fn read_qwen(since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<Response> {
    let mut responses = Vec::new();
    let read = |line: QwenLine| {
        let answer = line.system_payload.ui_event;
        let is_answer = answer.name == "qwen-code.api_response" && line.timestamp >= since;
        let cached = answer.cached_content_token_count;
        is_answer.then(|| Response {
            at: Some(line.timestamp),
            model: answer.model,
            tokens: Tokens {
                input: answer.input_token_count.saturating_sub(cached),
                output: answer.output_token_count,
                cache_read: cached,
                reasoning: answer.thoughts_token_count,
                ..Tokens::default()
            },
            ..Response::default()
        })
    };
    each_record(lines, |line| responses.extend(read(line)));
    responses
}

/// A line of Gemini's file: a message of the model has its tokens. A message that grows comes again.
#[derive(Deserialize)]
struct Line {
    #[serde(default, deserialize_with = "lenient")]
    id: String,
    #[serde(rename = "type")]
    kind: String,
    timestamp: Timestamp,
    #[serde(default, deserialize_with = "lenient")]
    model: Option<String>,
    tokens: GeminiTokens,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GeminiTokens {
    /// With those from the cache.
    #[serde(deserialize_with = "lenient")]
    input: u64,
    /// Without the thoughts.
    #[serde(deserialize_with = "lenient")]
    output: u64,
    #[serde(deserialize_with = "lenient")]
    cached: u64,
    #[serde(deserialize_with = "lenient")]
    thoughts: u64,
}

fn read_gemini(since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<Response> {
    let mut responses: Vec<(String, Response)> = Vec::new();
    each_record(lines, |line: Line| {
        if line.kind != "gemini" || line.timestamp < since {
            return;
        }
        let GeminiTokens { input, output, cached, thoughts } = line.tokens;
        let tokens = Tokens {
            input: input.saturating_sub(cached),
            output: output.saturating_add(thoughts),
            cache_read: cached,
            reasoning: thoughts,
            ..Tokens::default()
        };
        let response =
            Response { at: Some(line.timestamp), model: line.model, tokens, ..Response::default() };
        match responses.iter_mut().find(|(id, _)| *id == line.id) {
            Some((_, known)) => *known = response,
            None => responses.push((line.id, response)),
        }
    });
    responses.into_iter().map(|(_, response)| response).collect()
}
