//! One connection: read a request, ask the script, answer in the shape of the API that was asked.

use std::io;
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::failure::Answer;
use super::reply::{Fault, Outcome, Part, Reply, Verbatim};
use super::{Request, Shared, anthropic, chat, gemini, http, locked, responses, sse};

/// The APIs that this server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    Responses,
    /// OpenAI Chat Completions.
    Chat,
    /// Google's Gemini API.
    Gemini,
}

/// Answers one request and returns; the caller closes the connection.
pub(crate) fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(raw) = http::read(stream)? else { return Ok(()) };
    let request = Request {
        method: raw.method,
        path: raw.path,
        headers: raw.headers,
        body: body_value(&raw.body),
        at: shared.started.elapsed(),
    };
    if chat::title::is_asked_by(&request) {
        locked(&shared.titles).push(request.clone());
        return say(stream, shared, Api::Chat, &request, &chat::title::reply());
    }
    locked(&shared.requests).push(request.clone());
    if let Some(asked) = gemini::Asked::of(&request) {
        return match asked.method {
            "countTokens" => write_json(stream, 200, &[], &json!({ "totalTokens": 1000 })),
            _ => answer(stream, shared, Api::Gemini, &request),
        };
    }
    match (request.method.as_str(), request.route()) {
        ("POST", "/v1/messages") => answer(stream, shared, Api::Anthropic, &request),
        ("POST", "/v1/responses") => answer(stream, shared, Api::Responses, &request),
        ("POST", "/v1/chat/completions") => answer(stream, shared, Api::Chat, &request),
        ("POST", "/v1/messages/count_tokens") => {
            write_json(stream, 200, &[], &json!({ "input_tokens": 1000 }))
        }
        // The lists of models, empty: Codex reads `models`, the others `data`.
        ("GET", "/v1/models") => {
            write_json(stream, 200, &[], &json!({ "object": "list", "data": [], "models": [] }))
        }
        ("HEAD", _) => http::write_whole(stream, 200, &[], ""),
        ("GET", _) => write_json(stream, 200, &[], &json!({})),
        _ => write_json(stream, 404, &[], &json!({ "error": { "message": "no such endpoint" } })),
    }
}

fn answer(stream: &TcpStream, shared: &Shared, api: Api, request: &Request) -> io::Result<()> {
    let reply = locked(&shared.script).next(request);
    let Some(reply) = reply else {
        let what = format!("the script is exhausted: {} {}", request.method, request.path);
        locked(&shared.exhausted).push(what.clone());
        let error = json!({ "type": "error", "error": { "type": "api_error", "message": what } });
        return write_json(stream, 500, &[], &error);
    };
    say(stream, shared, api, request, &reply)
}

/// Sends the reply in the shape of the API that was asked.
fn say(
    stream: &TcpStream,
    shared: &Shared,
    api: Api,
    request: &Request,
    reply: &Reply,
) -> io::Result<()> {
    shared.pulse.sleep(reply.delay);
    if reply.fault == Some(Fault::Stall) {
        shared.pulse.wait_for_stop();
        return Ok(());
    }
    match &reply.outcome {
        Outcome::Failure(failure) => {
            let Answer { status, mut headers, body } =
                failure.answer(api, request, unix_s(SystemTime::now()));
            headers.extend(reply.headers.iter().cloned());
            write_json(stream, status, &headers, &body)
        }
        Outcome::Verbatim(Verbatim { status, content_type, body }) => {
            let mut headers = vec![("content-type".to_owned(), (*content_type).to_owned())];
            headers.extend(reply.headers.iter().cloned());
            let model = gemini::Asked::of(request).map(|asked| asked.model);
            let model = model.or(request.body["model"].as_str()).unwrap_or("unknown");
            http::write_whole(stream, *status, &headers, &body.replace("{model}", model))
        }
        Outcome::Parts(parts) if streams(request) => {
            stream_frames(stream, shared, reply, &frames(api, reply, parts, request))
        }
        Outcome::Parts(parts) => {
            let body = match api {
                Api::Anthropic => anthropic::message(reply, parts, &request.body),
                Api::Responses => responses::response(reply, parts, &request.body),
                Api::Chat => chat::completion(reply, parts, &request.body),
                Api::Gemini => gemini::response(reply, parts, asked(request), &request.body),
            };
            whole(stream, shared, reply, &body)
        }
    }
}

/// The reply as the server-sent events of a stream.
fn frames(api: Api, reply: &Reply, parts: &[Part], request: &Request) -> Vec<String> {
    let body = &request.body;
    match api {
        Api::Anthropic => anthropic::events(reply, parts, body).iter().map(sse::frame).collect(),
        Api::Responses => responses::events(reply, parts, body).iter().map(sse::frame).collect(),
        Api::Chat => {
            let chunks = chat::chunks(reply, parts, body);
            chunks.iter().map(sse::data).chain([sse::DONE.to_owned()]).collect()
        }
        // This stream has no word for its end.
        Api::Gemini => gemini::chunks(reply, parts, asked(request), body)
            .iter()
            .map(sse::escaped_data)
            .collect(),
    }
}

/// Gemini's path says what the others' body does.
fn streams(request: &Request) -> bool {
    request.body["stream"] == true || gemini::Asked::of(request).is_some_and(gemini::Asked::streams)
}

fn asked(request: &Request) -> gemini::Asked<'_> {
    gemini::Asked::of(request).unwrap_or(gemini::Asked { model: "unknown", method: "" })
}

fn stream_frames(
    stream: &TcpStream,
    shared: &Shared,
    reply: &Reply,
    frames: &[String],
) -> io::Result<()> {
    let mut headers = vec![
        ("content-type".to_owned(), "text/event-stream; charset=utf-8".to_owned()),
        ("cache-control".to_owned(), "no-cache".to_owned()),
    ];
    headers.extend(reply.headers.iter().cloned());
    http::write_chunked_head(stream, 200, &headers)?;
    let (sent, then) = match reply.fault {
        Some(Fault::DropAfter(n)) => (n, After::Drop),
        Some(Fault::EndAfter(n)) => (n, After::End),
        Some(Fault::StallAfter(n)) => (n, After::Stall),
        Some(Fault::Stall) | None => (frames.len(), After::End),
    };
    for (index, frame) in frames.iter().take(sent).enumerate() {
        if index > 0 {
            shared.pulse.sleep(reply.chunk_delay);
        }
        if shared.pulse.stopped() {
            return Ok(());
        }
        http::write_chunk(stream, frame)?;
    }
    match then {
        // Without the last chunk the client knows that it was cut off.
        After::Drop => Ok(()),
        After::Stall => {
            shared.pulse.wait_for_stop();
            Ok(())
        }
        After::End => http::write_chunk(stream, ""),
    }
}

/// What follows the events of a stream.
enum After {
    End,
    Drop,
    Stall,
}

fn whole(stream: &TcpStream, shared: &Shared, reply: &Reply, body: &Value) -> io::Result<()> {
    match reply.fault {
        Some(Fault::DropAfter(_)) => {
            http::write_half(stream, &json_headers(reply), &body.to_string())
        }
        Some(Fault::StallAfter(_) | Fault::Stall) => {
            shared.pulse.wait_for_stop();
            Ok(())
        }
        Some(Fault::EndAfter(_)) | None => write_json(stream, 200, &reply.headers, body),
    }
}

fn write_json(
    stream: &TcpStream,
    status: u16,
    headers: &[(String, String)],
    body: &Value,
) -> io::Result<()> {
    let mut all = vec![("content-type".to_owned(), "application/json".to_owned())];
    all.extend(headers.iter().cloned());
    http::write_whole(stream, status, &all, &body.to_string())
}

fn json_headers(reply: &Reply) -> Vec<(String, String)> {
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    headers.extend(reply.headers.iter().cloned());
    headers
}

fn body_value(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}

pub(crate) fn unix_s(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
