//! The model server's Gemini API, asked over plain sockets.

use crate::client::ask;
use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use serde_json::{Value, json};

const STREAM: &str = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse";

fn request() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "go"}]}]})
}

fn chunks(body: &str) -> Vec<Value> {
    let frames = body.split_terminator("\n\n").map(|frame| frame.strip_prefix("data: ").unwrap());
    frames.map(|frame| serde_json::from_str(frame).unwrap()).collect()
}

#[test]
fn a_stream_has_thoughts_words_and_calls_and_ends_with_its_tokens() {
    let tokens =
        Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 0, reasoning: 40 };
    let reply = Reply::thinking("Hm.").and_text("I will look: \u{2028}.").shell("ls").usage(tokens);
    let server = ModelServer::start(Script::new().reply(reply)).unwrap();
    let answer = ask(&server, STREAM, &request());
    assert!(!answer.body.contains('\u{2028}'), "Google escapes what its clients would split at");
    let chunks = chunks(&answer.body);
    let parts = |chunk: &Value| chunk["candidates"][0]["content"]["parts"][0].clone();
    assert_eq!(parts(&chunks[0]), json!({"text": "Hm.", "thought": true}));
    assert_eq!(parts(&chunks[1]), json!({"text": "I will look: \u{2028}."}));
    let call = parts(&chunks[2])["functionCall"].clone();
    assert_eq!(
        (&call["name"], &call["args"]["command"]),
        (&json!("run_shell_command"), &json!("ls"))
    );
    let last = chunks.last().unwrap();
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(
        last["usageMetadata"],
        json!({
            "promptTokenCount": 10200, "cachedContentTokenCount": 9000, "candidatesTokenCount": 45,
            "thoughtsTokenCount": 40, "totalTokenCount": 10285,
        })
    );
}

#[test]
fn what_is_not_streamed_comes_whole_and_a_failure_in_googles_words() {
    let script = Script::new().reply(Reply::text("Whole.")).reply(Reply::no_credit());
    let server = ModelServer::start(script).unwrap();
    let path = "/v1beta/models/gemini-2.5-pro:generateContent";
    let whole: Value = serde_json::from_str(&ask(&server, path, &request()).body).unwrap();
    assert_eq!(whole["candidates"][0]["content"]["parts"], json!([{"text": "Whole."}]));
    assert_eq!(whole["modelVersion"], "gemini-2.5-pro");
    let failed = ask(&server, STREAM, &request());
    assert_eq!(failed.status, 429);
    let error: Value = serde_json::from_str(&failed.body).unwrap();
    assert_eq!(error["error"]["status"], "RESOURCE_EXHAUSTED");
    let quota = error["error"]["details"][0]["violations"][0]["quotaId"].as_str().unwrap();
    assert!(quota.contains("PerDay"), "{quota}");
}
