//! What agents tell of the end of a limit, and of how long to wait.

use crate::shown;
use crate::shown::Shown;
use belay_agents::Transport;
use belay_trace::{EvidenceSource, Failure, FailureKind};
use serde_json::{Value, json};

fn failure(agent: &'static str, lines: &[Value]) -> Failure {
    let begun = ("start".to_owned(), String::new());
    let lines = lines.iter().map(|line| ("stdout".to_owned(), line.to_string()));
    let over = ("exit".to_owned(), "code 1".to_owned());
    let inputs = std::iter::once(begun).chain(lines).chain([over]).collect();
    Shown { agent, name: String::new(), transport: Transport::Print, inputs }.failure()
}

fn evidence<'a>(failure: &'a Failure, name: &str) -> Option<&'a str> {
    failure.evidence.iter().find(|found| found.name == name).map(|found| found.value.as_str())
}

fn resets_at(failure: &Failure) -> Option<i64> {
    failure.resets_at.map(|at| at.as_second())
}

#[test]
fn a_window_of_one_model_is_named_and_one_that_is_open_does_not_hide_it() {
    let event = |status: &str, window: &str, resets_at: u64| {
        json!({"type": "rate_limit_event", "rate_limit_info":
            {"status": status, "rateLimitType": window, "resetsAt": resets_at}})
    };
    let words = "You've hit your Opus limit \u{b7} resets Nov 24, 9am (UTC)";
    let error = json!({"type": "assistant", "is_api_error_message": true, "error": "rate_limit",
        "message": {"id": "m", "content": [{"type": "text", "text": words}]}});
    let result = json!({"type": "result", "subtype": "success", "is_error": true,
        "api_error_status": 429});
    let used_up = event("rejected", "seven_day_opus", 1_795_510_800);
    let open = event("allowed", "five_hour", 1_795_258_405);
    let told = failure("claude-code", &[used_up, open, error.clone(), result.clone()]);
    assert_eq!(told.kind, FailureKind::UsageLimit);
    assert_eq!(evidence(&told, "rateLimitType"), Some("seven_day_opus"));
    assert_eq!(resets_at(&told), Some(1_795_510_800));
    assert_eq!(told.reset_source, Some(EvidenceSource::Field));
    assert_eq!(told.reset_hint.as_deref(), Some("Nov 24, 9am (UTC)"));
    // A window that opens again is no limit any more; the words are what is left.
    let was = event("rejected", "five_hour", 1_795_258_405);
    let is = event("allowed", "five_hour", 1_795_258_405);
    let told = failure("claude-code", &[was, is, error, result]);
    assert_eq!((told.kind, resets_at(&told)), (FailureKind::UsageLimit, None));
    assert!(told.reset_hint.is_some());
}

fn codex(message: &str) -> Failure {
    let failed = json!({"type": "turn.failed", "error": {"message": message}});
    failure("codex", &[json!({"type": "turn.started"}), failed])
}

#[test]
fn codex_exec_tells_pauses_and_limits_of_a_model_in_words() {
    let told = codex("rate limit exceeded: too many tokens. Please try again in 1.2s.");
    assert_eq!((told.kind, told.retry_after_ms), (FailureKind::RateLimited, Some(1200)));
    let told = codex(
        "You\u{2019}ve hit your usage limit for gpt-5.5. Switch to another model now, or try again at Nov 24th, 2026 3:15 PM.",
    );
    assert_eq!(told.kind, FailureKind::UsageLimit);
    assert_eq!(evidence(&told, "limited_model"), Some("gpt-5.5"));
    assert_eq!(told.reset_hint.as_deref(), Some("Nov 24th, 2026 3:15 PM"));
    assert_eq!(
        evidence(&codex("You've hit your usage limit. Try again later."), "limited_model"),
        None
    );
}

#[test]
fn codex_app_server_tells_whose_limit_it_is() {
    let recorded = shown::recorded("codex").into_iter();
    let mut limited = recorded.clone().find(|shown| shown.name == "usage-limit").unwrap();
    for (_, line) in &mut limited.inputs {
        *line = line.replace(r#""limitName":null"#, r#""limitName":"GPT-5.5 Codex""#);
    }
    let told = limited.failure();
    assert_eq!(evidence(&told, "limitName"), Some("GPT-5.5 Codex"));
    assert_eq!(told.reset_source, Some(EvidenceSource::Field));
}

#[test]
fn opencode_passes_on_what_the_provider_asks_for() {
    let told = |headers: Value, body: Value| {
        let data = json!({"message": "Too Many Requests", "statusCode": 429,
            "responseHeaders": headers, "responseBody": body.to_string()});
        let error = json!({"name": "APIError", "data": data});
        failure("opencode", &[json!({"type": "error", "sessionID": "s", "error": error})])
    };
    let failure = told(json!({"Retry-After": "3600"}), json!({}));
    assert_eq!((failure.kind, failure.retry_after_ms), (FailureKind::RateLimited, Some(3_600_000)));
    assert_eq!(evidence(&failure, "retry-after"), Some("3600"));
    let failure = told(json!({"retry-after": "9", "retry-after-ms": "8500"}), json!({}));
    assert_eq!(failure.retry_after_ms, Some(8500));
    let failure = told(json!({"retry-after": "Sat, 21 Nov 2026 10:53:25 GMT"}), json!({}));
    assert_eq!((resets_at(&failure), failure.retry_after_ms), (Some(1_795_258_405), None));
    let used_up = json!({"error": {"type": "usage_limit_reached", "resets_at": 1_795_258_405}});
    let failure = told(json!({}), used_up);
    assert_eq!((failure.kind, resets_at(&failure)), (FailureKind::UsageLimit, Some(1_795_258_405)));
    // What is no header and no time costs nothing.
    for odd in [json!(null), json!([]), json!({"retry-after": {}}), json!({"retry-after": "soon"})]
    {
        let failure = told(odd, json!({"error": {"resets_at": "soon", "type": 7}}));
        assert_eq!((failure.kind, failure.retry_after_ms), (FailureKind::RateLimited, None));
    }
}

#[test]
fn pi_tells_pauses_and_resets_in_words() {
    let told = |message: &str| {
        let message = json!({"role": "assistant", "content": [], "stopReason": "error",
            "errorMessage": message});
        failure(
            "pi",
            &[
                json!({"type": "agent_start"}),
                json!({"type": "message_end", "message": message}),
                json!({"type": "agent_settled", "aborted": false}),
            ],
        )
    };
    let body = json!({"code": "rate_limit_exceeded", "message": "Please try again in 6m0s."});
    assert_eq!(told(&format!("429: {body}")).retry_after_ms, Some(360_000));
    let limit = told("You have hit your ChatGPT usage limit (plus plan). Try again in ~42 min.");
    assert_eq!(limit.kind, FailureKind::UsageLimit);
    assert_eq!(limit.reset_hint.as_deref(), Some("in ~42 min"));
}

#[test]
fn copilots_autopilot_is_ended_when_it_asks_on_at_a_limit() {
    let error = json!({"type": "session.error", "data": {"errorType": "rate_limit", "statusCode": 429,
        "message": "429 You have exceeded your premium request allowance. Please try again in 3 hours"}});
    let start = json!({"type": "model.call_start", "data": {"turnId": "0", "model": "m"}});
    let answer =
        json!({"type": "assistant.message", "data": {"messageId": "2", "content": "I go on."}});
    let result = json!({"type": "result", "sessionId": "s", "exitCode": 0});
    let told = failure("copilot", &[start.clone(), error, start, answer, result]);
    assert_eq!(told.kind, FailureKind::UsageLimit);
}
