//! The model server's Chat Completions, asked over plain sockets.

use std::time::{Duration, SystemTime};

use belay_testkit::model_server::{ModelServer, Reply, Script, StopReason, Tokens};
use serde_json::{Value, json};

use crate::client::{Answer, ask, ask_until_closed};

const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 0, reasoning: 40 };

/// A request as OpenCode 1.18.33 sends it, and one as Pi 1.5.2 does: their tools differ.
fn opencode_request(prompt: &str) -> Value {
    let tools = [tool("bash", &["command", "timeout"]), tool("write", &["content", "filePath"])];
    request(prompt, &tools)
}

fn pi_request(prompt: &str) -> Value {
    request(prompt, &[tool("bash", &["command"]), tool("write", &["path", "content"])])
}

fn request(prompt: &str, tools: &[Value]) -> Value {
    json!({
        "model": "mock-model", "stream": true, "stream_options": { "include_usage": true },
        "messages": [{ "role": "system", "content": "rules" }, { "role": "user", "content": prompt }],
        "tools": tools,
    })
}

fn tool(name: &str, arguments: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        arguments.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    let parameters = json!({ "type": "object", "properties": properties });
    json!({ "type": "function", "function": { "name": name, "parameters": parameters } })
}

fn title_request() -> Value {
    json!({
        "model": "mock-model", "stream": true, "reasoning_effort": "low",
        "messages": [
            { "role": "system", "content": "You are a title generator. You output ONLY a thread title." },
            { "role": "user", "content": "Generate a title for this conversation:\n" },
            { "role": "user", "content": "go" },
        ],
    })
}

fn complete(server: &ModelServer, request: &Value) -> Answer {
    ask(server, "/v1/chat/completions", request)
}

/// The chunks of a stream, which must end with `[DONE]`.
fn chunks(answer: &Answer) -> Vec<Value> {
    let body = answer.body.strip_suffix("data: [DONE]\n\n").expect("a stream ends with [DONE]");
    let frames = body.split_terminator("\n\n");
    frames
        .map(|frame| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

/// What the deltas say in this field, joined.
fn said(chunks: &[Value], pointer: &str) -> String {
    let deltas = chunks.iter().filter_map(|chunk| chunk.pointer("/choices/0/delta"));
    deltas.filter_map(|delta| delta.pointer(pointer).and_then(Value::as_str)).collect()
}

/// The calls as a client puts them together: name and arguments, by index.
fn calls(chunks: &[Value]) -> Vec<(String, Value)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for chunk in chunks {
        let deltas = chunk.pointer("/choices/0/delta/tool_calls").and_then(Value::as_array);
        for call in deltas.into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if let Some(name) = call["function"]["name"].as_str() {
                assert_eq!(index, calls.len(), "calls open in order");
                assert!(call["id"].as_str().is_some_and(|id| id.starts_with("call_")));
                calls.push((name.to_owned(), String::new()));
            }
            calls[index].1.push_str(call["function"]["arguments"].as_str().unwrap());
        }
    }
    calls
        .into_iter()
        .map(|(name, arguments)| (name, serde_json::from_str(&arguments).unwrap()))
        .collect()
}

#[test]
fn a_stream_is_well_formed() {
    let reply = Reply::thinking("First this, then that.").and_text("I will run it, slowly.");
    let reply = reply.shell("echo hi").write_file("/tmp/a", "one").usage(TOKENS);
    let server = ModelServer::start(Script::new().reply(reply)).unwrap();
    let answer = complete(&server, &opencode_request("go"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));

    let chunks = chunks(&answer);
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
    assert_eq!(said(&chunks, "/role"), "assistant");
    assert_eq!(said(&chunks, "/reasoning_content"), "First this, then that.");
    assert_eq!(said(&chunks, "/content"), "I will run it, slowly.");
    assert_eq!(
        calls(&chunks),
        [
            ("bash".to_owned(), json!({ "command": "echo hi" })),
            ("write".to_owned(), json!({ "filePath": "/tmp/a", "content": "one" })),
        ]
    );
    let [.., finish, usage] = &chunks[..] else { panic!("{chunks:?}") };
    assert_eq!(finish["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(
        usage["usage"],
        json!({
            "prompt_tokens": 10200, "completion_tokens": 85, "total_tokens": 10285,
            "prompt_tokens_details": { "cached_tokens": 9000 },
            "completion_tokens_details": { "reasoning_tokens": 40 },
        })
    );
}

#[test]
fn a_request_that_asks_for_no_usage_gets_none() {
    let server = ModelServer::start(Script::new().reply(Reply::text("hello"))).unwrap();
    let mut request = opencode_request("go");
    request["stream_options"] = Value::Null;
    let chunks = chunks(&complete(&server, &request));
    assert!(chunks.iter().all(|chunk| chunk["usage"].is_null()), "{chunks:?}");
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "stop");
}

#[test]
fn an_answer_comes_whole_when_no_stream_is_asked_for() {
    let reply = Reply::thinking("hm").and_text("hello").shell("true");
    let reply = reply.usage(Tokens { cache_write: 300, ..TOKENS }).stop(StopReason::MaxTokens);
    let server = ModelServer::start(Script::new().reply(reply)).unwrap();
    let mut request = pi_request("go");
    request["stream"] = false.into();
    let completion: Value = serde_json::from_str(&complete(&server, &request).body).unwrap();
    assert_eq!(completion["object"], "chat.completion");
    let choice = &completion["choices"][0];
    assert_eq!(choice["finish_reason"], "length");
    assert_eq!(choice["message"]["content"], "hello");
    assert_eq!(choice["message"]["reasoning_content"], "hm");
    let function = &choice["message"]["tool_calls"][0]["function"];
    assert_eq!(*function, json!({ "name": "bash", "arguments": r#"{"command":"true"}"# }));
    assert_eq!(completion["usage"]["prompt_tokens"], 10500);
    assert_eq!(completion["usage"]["prompt_tokens_details"]["cache_write_tokens"], 300);
}

#[test]
fn tools_are_called_as_the_request_offers_them() {
    #[track_caller]
    fn check(tools: &[Value], want: [(&str, Value); 2]) {
        let reply = Reply::new().shell("ls").write_file("a", "b");
        let server = ModelServer::start(Script::new().reply(reply)).unwrap();
        let chunks = chunks(&complete(&server, &request("go", tools)));
        assert_eq!(calls(&chunks), want.map(|(name, input)| (name.to_owned(), input)));
    }
    let write = json!({ "path": "a", "content": "b" });
    let pi = [tool("bash", &["command"]), tool("write", &["path", "content"])];
    check(&pi, [("bash", json!({ "command": "ls" })), ("write", write.clone())]);
    check(
        &[tool("bash", &["command", "description"]), tool("write", &["filePath", "content"])],
        [
            ("bash", json!({ "command": "ls", "description": "Run a command" })),
            ("write", json!({ "filePath": "a", "content": "b" })),
        ],
    );
    let docker = [tool("shell", &["cmd", "cwd"]), tool("write_file", &["path", "content"])];
    check(&docker, [("shell", json!({ "cmd": "ls" })), ("write_file", write.clone())]);
    check(&[], [("bash", json!({ "command": "ls" })), ("write", write)]);
}

#[test]
fn a_title_takes_no_reply_and_is_counted_apart() {
    let server = ModelServer::start(Script::new().reply(Reply::text("kept"))).unwrap();
    let title = chunks(&complete(&server, &title_request()));
    assert_eq!(said(&title, "/content"), "Scripted title");
    assert_eq!(server.replies_left(), 1);
    assert_eq!((server.requests().len(), server.titles().len()), (0, 1));
    // The same words from one who offers tools are a conversation.
    let mut conversation = title_request();
    conversation["tools"] = json!([tool("bash", &["command"])]);
    assert_eq!(said(&chunks(&complete(&server, &conversation)), "/content"), "kept");
    assert_eq!((server.requests().len(), server.titles().len()), (1, 1));
}

#[test]
fn a_title_is_given_even_by_a_service_that_fails() {
    let server = ModelServer::start(Script::new().forever(Reply::rate_limited())).unwrap();
    assert_eq!(complete(&server, &title_request()).status, 200);
    assert_eq!(complete(&server, &opencode_request("go")).status, 429);
}

#[test]
fn failures_have_the_bodies_that_providers_send() {
    #[track_caller]
    fn check(reply: Reply, status: u16, kind: &str, code: Value) {
        let server = ModelServer::start(Script::new().forever(reply)).unwrap();
        let answer = complete(&server, &opencode_request("go"));
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &body["error"]["type"]), (status, &json!(kind)), "{body}");
        assert_eq!(body["error"]["code"], code);
        assert!(body["error"]["message"].as_str().is_some_and(|message| message.len() > 20));
    }
    check(Reply::rate_limited(), 429, "tokens", "rate_limit_exceeded".into());
    check(Reply::unauthorized(), 401, "invalid_request_error", "invalid_api_key".into());
    check(Reply::overloaded(), 503, "service_unavailable_error", "server_is_overloaded".into());
    check(Reply::server_error(), 500, "server_error", Value::Null);
    let too_long = "context_length_exceeded".into();
    check(Reply::context_too_long(), 400, "invalid_request_error", too_long);
    check(Reply::model_not_found(), 404, "invalid_request_error", "model_not_found".into());
    check(Reply::no_credit(), 429, "insufficient_quota", "insufficient_quota".into());
    check(Reply::payment_required(), 402, "insufficient_credits", "insufficient_credits".into());
    let limit = Reply::usage_limit(SystemTime::now() + Duration::from_secs(3600));
    check(limit, 429, "usage_limit_reached", "usage_limit_reached".into());
}

#[test]
fn a_limit_says_how_long_to_wait_when_the_script_does() {
    let script = Script::new()
        .reply(Reply::rate_limited())
        .reply(Reply::rate_limited().header("retry-after", "2"))
        .reply(Reply::usage_limit(SystemTime::now() + Duration::from_secs(3600)));
    let server = ModelServer::start(script).unwrap();
    let wait = || {
        let answer = complete(&server, &opencode_request("go"));
        answer.header("retry-after").map(|seconds| seconds.parse::<u64>().unwrap())
    };
    assert_eq!(wait(), None);
    assert_eq!(wait(), Some(2));
    assert!(wait().is_some_and(|seconds| (3590..=3600).contains(&seconds)));
}

#[test]
fn a_drop_cuts_the_stream_before_its_finish() {
    let reply = Reply::text("This is cut in the middle of the text.").drop_after(2);
    let server = ModelServer::start(Script::new().reply(reply)).unwrap();
    let raw = ask_until_closed(&server, "/v1/chat/completions", &opencode_request("go"));
    assert!(raw.contains("This is cut in the m"), "{raw}");
    assert!(!raw.contains("stop") && !raw.contains("[DONE]"), "{raw}");
    assert!(!raw.ends_with("0\r\n\r\n"), "the end of a chunked body was sent: {raw}");
}
