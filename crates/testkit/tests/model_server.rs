//! The scripted model server, asked over plain sockets.

use crate::client;
use std::time::{Duration, Instant, SystemTime};

use belay_testkit::model_server::{ModelServer, Reply, Script, StopReason, Tokens};
use serde_json::{Value, json};

use crate::client::{ask, ask_until_closed, head, sse_events};

const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 300, reasoning: 40 };

fn claude_request(prompt: &str) -> Value {
    json!({ "model": "claude-x", "stream": true, "messages": [{ "role": "user", "content": prompt }] })
}

fn codex_request(prompt: &str) -> Value {
    let content = json!([{ "type": "input_text", "text": prompt }]);
    let message = json!({ "type": "message", "role": "user", "content": content });
    json!({ "model": "gpt-5.5", "stream": true, "tools": [], "input": [message] })
}

/// The text deltas of a stream, joined.
fn streamed_text(events: &[Value], kind: &str, field: &str) -> String {
    let deltas = events.iter().filter(|event| event["type"] == kind);
    deltas.map(|event| event.pointer(field).and_then(Value::as_str).unwrap()).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    let mut types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    types.dedup();
    types
}

#[test]
fn anthropic_streams_are_well_formed() {
    let reply = Reply::thinking("hm").and_text("I will run it, slowly.").shell("echo hi");
    let server = ModelServer::start(Script::new().reply(reply.usage(TOKENS))).unwrap();
    let answer = ask(&server, "/v1/messages?beta=true", &claude_request("go"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));

    let events = sse_events(&answer.body);
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    let mut want = vec!["message_start"];
    want.extend([block, block, block].concat());
    want.extend(["message_delta", "message_stop"]);
    assert_eq!(types(&events), want);
    assert_eq!(events[0]["message"]["model"], "claude-x");
    assert_eq!(
        streamed_text(&events, "content_block_delta", "/delta/type").matches("text_delta").count(),
        2
    );
    let input: String = events
        .iter()
        .filter_map(|event| event.pointer("/delta/partial_json").and_then(Value::as_str))
        .collect();
    let input: Value = serde_json::from_str(&input).unwrap();
    assert_eq!(input, json!({ "command": "echo hi", "description": "Run a command" }));

    let last = &events[events.len() - 2];
    assert_eq!(last["delta"]["stop_reason"], "tool_use");
    assert_eq!(last["usage"]["input_tokens"], 1200);
    assert_eq!(last["usage"]["output_tokens"], 85);
    assert_eq!(last["usage"]["cache_read_input_tokens"], 9000);
    assert_eq!(last["usage"]["cache_creation_input_tokens"], 300);
}

#[test]
fn anthropic_answers_whole_when_no_stream_is_asked_for() {
    let server = ModelServer::start(Script::new().reply(Reply::text("hello"))).unwrap();
    let mut request = claude_request("go");
    request["stream"] = false.into();
    let answer = ask(&server, "/v1/messages", &request);
    let message: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(message["content"], json!([{ "type": "text", "text": "hello" }]));
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(message["usage"]["input_tokens"], 100);
}

#[test]
fn responses_streams_are_well_formed() {
    let reply = Reply::thinking("hm").and_text("I will run it, slowly.").shell("echo hi");
    let reply = reply.write_file("a.txt", "one\ntwo").usage(TOKENS);
    let server = ModelServer::start(Script::new().reply(reply)).unwrap();
    let events = sse_events(&ask(&server, "/v1/responses", &codex_request("go")).body);

    assert_eq!(events.first().unwrap()["type"], "response.created");
    let numbers: Vec<u64> =
        events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..events.len() as u64));
    assert_eq!(
        streamed_text(&events, "response.output_text.delta", "/delta"),
        "I will run it, slowly."
    );

    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    let output = last["response"]["output"].as_array().unwrap();
    let kinds: Vec<&str> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call", "custom_tool_call"]);
    assert_eq!(output[2]["name"], "exec_command");
    assert_eq!(output[2]["arguments"], r#"{"cmd":"echo hi"}"#);
    assert_eq!(
        output[3]["input"],
        "*** Begin Patch\n*** Add File: a.txt\n+one\n+two\n*** End Patch\n"
    );
    assert_eq!(
        last["response"]["usage"],
        json!({
            "input_tokens": 10500,
            "input_tokens_details": { "cached_tokens": 9000, "cache_write_tokens": 300 },
            "output_tokens": 85,
            "output_tokens_details": { "reasoning_tokens": 40 },
            "total_tokens": 10585,
        })
    );
}

#[test]
fn a_response_that_hit_the_output_limit_is_incomplete() {
    let reply = Reply::text("cut").stop(StopReason::MaxTokens);
    let server = ModelServer::start(Script::new().reply(reply)).unwrap();
    let events = sse_events(&ask(&server, "/v1/responses", &codex_request("go")).body);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["incomplete_details"]["reason"], "max_output_tokens");
}

#[test]
fn replies_come_in_order_and_an_exhausted_script_says_so() {
    let script = Script::new().reply(Reply::text("one")).reply(Reply::text("two"));
    let server = ModelServer::start(script).unwrap();
    let said = || {
        let answer = ask(&server, "/v1/messages", &claude_request("go"));
        (answer.status, answer.body)
    };
    assert!(said().1.contains("one"));
    assert_eq!(server.replies_left(), 1);
    assert!(said().1.contains("two"));
    assert_eq!(server.exhausted(), [] as [&str; 0]);
    let (status, body) = said();
    assert_eq!(status, 500);
    assert!(body.contains("the script is exhausted"), "{body}");
    assert_eq!(server.exhausted(), ["the script is exhausted: POST /v1/messages"]);
}

#[test]
fn forever_answers_when_the_queue_is_empty() {
    let script = Script::new().reply(Reply::text("first")).forever(Reply::text("again"));
    let server = ModelServer::start(script).unwrap();
    let said: Vec<bool> = (0..3)
        .map(|_| ask(&server, "/v1/messages", &claude_request("go")).body.contains("again"))
        .collect();
    assert_eq!(said, [false, true, true]);
    assert_eq!(server.exhausted(), [] as [&str; 0]);
}

#[test]
fn a_marker_in_the_opening_takes_replies_of_its_own_and_never_the_queue() {
    let script = Script::new()
        .reply(Reply::text("parent answer"))
        .when("SUB", [Reply::text("sub one"), Reply::text("sub two")]);
    let server = ModelServer::start(script).unwrap();
    let said = |request: &Value| ask(&server, "/v1/messages", request);
    assert!(said(&claude_request("SUB go")).body.contains("sub one"));
    let mut parent = claude_request("go");
    let quoted = json!({ "role": "assistant", "content": "I tell it: SUB" });
    parent["messages"].as_array_mut().unwrap().push(quoted);
    assert!(said(&parent).body.contains("parent answer"));
    assert!(said(&claude_request("SUB go")).body.contains("sub two"));
    assert_eq!(said(&claude_request("SUB go")).status, 500);
}

#[test]
fn failures_have_their_vendors_status_and_body() {
    #[track_caller]
    fn check(reply: Reply, claude: (u16, &str), codex: (u16, &str)) {
        let server = ModelServer::start(Script::new().forever(reply)).unwrap();
        let answer = ask(&server, "/v1/messages", &claude_request("go"));
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, body["error"]["type"].as_str().unwrap()), claude);
        let answer = ask(&server, "/v1/responses", &codex_request("go"));
        assert_eq!(answer.status, codex.0);
        assert!(answer.body.contains(codex.1), "{}", answer.body);
    }
    check(Reply::rate_limited(), (429, "rate_limit_error"), (429, "rate_limit_exceeded"));
    check(Reply::unauthorized(), (401, "authentication_error"), (401, "invalid_api_key"));
    check(Reply::overloaded(), (529, "overloaded_error"), (503, "server_is_overloaded"));
    check(Reply::server_error(), (500, "api_error"), (500, "server_error"));
    let too_long = (400, "context_length_exceeded");
    check(Reply::context_too_long(), (400, "invalid_request_error"), too_long);
    check(Reply::model_not_found(), (404, "not_found_error"), (404, "model_not_found"));
    check(Reply::no_credit(), (400, "invalid_request_error"), (429, "insufficient_quota"));
    check(Reply::payment_required(), (402, "billing_error"), (402, "insufficient_credits"));
    let limit = Reply::usage_limit(SystemTime::now() + Duration::from_secs(3600));
    check(limit, (429, "rate_limit_error"), (429, "usage_limit_reached"));
}

#[test]
fn headers_of_a_reply_are_sent() {
    let reply = Reply::rate_limited().header("retry-after", "1");
    let server = ModelServer::start(Script::new().reply(reply)).unwrap();
    let answer = ask(&server, "/v1/messages", &claude_request("go"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[test]
fn a_drop_cuts_the_stream_before_its_end() {
    let server =
        ModelServer::start(Script::new().reply(Reply::text("never").drop_after(2))).unwrap();
    let raw = ask_until_closed(&server, "/v1/messages", &claude_request("go"));
    assert!(raw.contains("content_block_start"), "{raw}");
    assert!(!raw.contains("content_block_delta"), "{raw}");
    assert!(!raw.ends_with("0\r\n\r\n"), "the end of a chunked body was sent: {raw}");
}

#[test]
fn probes_are_answered_and_take_no_reply() {
    let server = ModelServer::start(Script::new().reply(Reply::text("kept"))).unwrap();
    assert_eq!(head(&server, "/"), 200);
    assert_eq!(
        ask(&server, "/v1/messages/count_tokens", &json!({})).body,
        r#"{"input_tokens":1000}"#
    );
    assert_eq!(server.replies_left(), 1);
    let seen: Vec<String> =
        server.requests().iter().map(|r| format!("{} {}", r.method, r.route())).collect();
    assert_eq!(seen, ["HEAD /", "POST /v1/messages/count_tokens"]);
}

#[test]
fn requests_are_kept_with_headers_and_body() {
    let server = ModelServer::start(Script::new().forever(Reply::text("x"))).unwrap();
    let body = claude_request("go");
    ask(&server, "/v1/messages?beta=true", &body);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].path, "/v1/messages?beta=true");
    assert_eq!(requests[0].body, body);
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
}

#[test]
fn dropping_the_server_ends_a_stalled_stream_at_once() {
    for reply in [Reply::text("x").stall(), Reply::text("x").stall_after(1)] {
        let server = ModelServer::start(Script::new().reply(reply)).unwrap();
        let stream = client::send(&server, "POST", "/v1/messages", &claude_request("go"));
        while server.requests().is_empty() {
            std::thread::yield_now();
        }
        let before = Instant::now();
        drop(server);
        assert!(before.elapsed() < Duration::from_secs(2));
        client::read_to_end(&stream);
    }
}

#[test]
fn dropping_the_server_ends_a_slow_stream_at_once() {
    let reply = Reply::text("x".repeat(1000)).chunk_delay(Duration::from_secs(60));
    let server = ModelServer::start(Script::new().reply(reply)).unwrap();
    let stream = client::send(&server, "POST", "/v1/responses", &codex_request("go"));
    while server.requests().is_empty() {
        std::thread::yield_now();
    }
    let before = Instant::now();
    drop(server);
    assert!(before.elapsed() < Duration::from_secs(2));
    client::read_to_end(&stream);
}

#[test]
fn dropping_the_server_ends_a_client_that_says_nothing() {
    let server = ModelServer::start(Script::new()).unwrap();
    let stream = client::connect(&server);
    let before = Instant::now();
    drop(server);
    assert!(before.elapsed() < Duration::from_secs(2));
    client::read_to_end(&stream);
}
