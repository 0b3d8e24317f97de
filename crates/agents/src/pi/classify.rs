//! Why a turn of Pi failed.
//!
//! Pi has no error class: `errorMessage` begins with the HTTP status, if there was one, and goes on with the
//! provider's own error object. The object's code decides, then the beginning of its message, then the status.

use crate::http_status;
use crate::wire::{decode, lenient};
use belay_trace::{EvidenceSource, Failure, FailureKind};
use serde::Deserialize;

/// The provider's error object, which some wrap in another one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    #[serde(deserialize_with = "lenient")]
    message: Option<String>,
    #[serde(rename = "type", deserialize_with = "lenient")]
    kind: Option<String>,
    #[serde(deserialize_with = "lenient")]
    code: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wrapped {
    #[serde(deserialize_with = "lenient")]
    error: Option<Body>,
}

/// The failure behind an `errorMessage`, and the provider's own word for why the response stopped.
pub(super) fn of_error(message: &str, raw_stop_reason: Option<&str>) -> Failure {
    let stop = raw_stop_reason.and_then(|reason| Some((reason, of_code(reason)?)));
    let status = status(message);
    let body = body(message);
    let code = [&body.code, &body.kind].into_iter().flatten();
    let code = code.filter_map(|code| Some((code.as_str(), of_code(code)?))).next();
    let words = body.message.as_deref().unwrap_or(message);
    let kind = [stop, code].into_iter().flatten().map(|(_, kind)| kind).next();
    let kind = kind.or_else(|| of_text(words)).or_else(|| status.and_then(http_status::kind));
    let mut failure = Failure::new(kind.unwrap_or(FailureKind::Unknown), message);
    if let Some((reason, _)) = stop {
        failure = failure.with(EvidenceSource::Field, "rawStopReason", reason);
    }
    if let Some((code, _)) = code {
        failure = failure.with(EvidenceSource::Field, "code", code);
    }
    if let Some(status) = status {
        failure = failure.with(EvidenceSource::Status, "errorMessage", status);
    }
    failure = failure.with(EvidenceSource::Text, "errorMessage", message);
    if failure.kind == FailureKind::UsageLimit {
        failure.reset_hint = reset_hint(words);
    }
    failure
}

/// "… usage limit (plus plan). Try again in ~42 min." gives "~42 min".
fn reset_hint(words: &str) -> Option<String> {
    let (_, hint) = words.split_once("Try again in ")?;
    Some(hint.trim_end().trim_end_matches('.').to_owned()).filter(|hint| !hint.is_empty())
}

/// The failure that a line on standard error tells, when Pi gives up before it asks a model.
pub(super) fn of_stderr(line: &str) -> Option<Failure> {
    let kind = STDERR.iter().find(|(text, _)| line.starts_with(text))?.1;
    Some(Failure::new(kind, line).with(EvidenceSource::Text, "stderr", line))
}

/// The HTTP status with which an error message begins.
pub(super) fn status(message: &str) -> Option<u16> {
    let (digits, rest) = message.split_at_checked(3)?;
    let ends = rest.is_empty() || rest.starts_with([':', ' ']);
    let status = digits.parse().ok().filter(|status| (400..600).contains(status));
    status.filter(|_| ends)
}

fn body(message: &str) -> Body {
    let begins = message.starts_with('{') || status(message).is_some();
    let Some(at) = message.find('{').filter(|_| begins) else { return Body::default() };
    let object = &message[at..];
    let inner = decode::<Wrapped>(object).and_then(|wrapped| wrapped.error);
    inner.or_else(|| decode(object)).unwrap_or_default()
}

/// The words of the providers, in `code` or in `type`.
fn of_code(code: &str) -> Option<FailureKind> {
    Some(match code {
        "insufficient_quota" | "billing_error" | "billing_hard_limit_reached" => {
            FailureKind::Billing
        }
        "context_length_exceeded" | "request_too_large" | "model_context_window_exceeded" => {
            FailureKind::ContextOverflow
        }
        "usage_limit_reached" | "GoUsageLimitError" | "FreeUsageLimitError" => {
            FailureKind::UsageLimit
        }
        "rate_limit_exceeded" | "rate_limit_error" => FailureKind::RateLimited,
        "overloaded_error" | "server_is_overloaded" => FailureKind::Overloaded,
        "invalid_api_key" | "authentication_error" | "permission_error" => FailureKind::Auth,
        "model_not_found" | "not_found_error" => FailureKind::ModelUnavailable,
        "content_filter" | "content_policy_violation" => FailureKind::Refused,
        "server_error" | "api_error" => FailureKind::ServerError,
        _ => return None,
    })
}

/// How messages begin: those of Pi itself as seen with 1.5.2, those of providers from Pi's own list of them.
const TEXTS: &[(&str, FailureKind)] = &[
    ("Connection error.", FailureKind::Network),
    ("Stream ended without finish_reason", FailureKind::Network),
    ("Provider finish_reason: content_filter", FailureKind::Refused),
    ("No API key found for", FailureKind::Auth),
    ("fetch failed", FailureKind::Network),
    ("terminated", FailureKind::Network),
    ("Request timed out", FailureKind::Network),
    ("prompt is too long", FailureKind::ContextOverflow),
    ("This model's maximum context length is", FailureKind::ContextOverflow),
    ("Your input exceeds the context window", FailureKind::ContextOverflow),
    ("Your credit balance is too low", FailureKind::Billing),
    ("You have hit your ChatGPT usage limit", FailureKind::UsageLimit),
    ("Monthly usage limit reached", FailureKind::UsageLimit),
];

fn of_text(words: &str) -> Option<FailureKind> {
    TEXTS.iter().find(|(text, _)| words.starts_with(text)).map(|(_, kind)| *kind)
}

/// What Pi prints when it gives up before it asks a model (1.5.2; each seen).
const STDERR: &[(&str, FailureKind)] = &[
    ("No API key found for", FailureKind::Auth),
    ("No session found matching", FailureKind::InvalidRequest),
    ("Session found in different project:", FailureKind::InvalidRequest),
    ("Error: Model \"", FailureKind::ModelUnavailable),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, want: FailureKind) {
        assert_eq!(of_error(message, None).kind, want, "{message}");
    }

    #[test]
    fn each_message_that_was_seen_has_its_kind() {
        let body = |code: &str| format!(r#"{{"message":"words","type":"x","code":"{code}"}}"#);
        check(&format!("429: {}", body("rate_limit_exceeded")), FailureKind::RateLimited);
        check(&format!("429: {}", body("insufficient_quota")), FailureKind::Billing);
        check(&format!("401: {}", body("invalid_api_key")), FailureKind::Auth);
        check(&format!("400: {}", body("context_length_exceeded")), FailureKind::ContextOverflow);
        check(&format!("503: {}", body("x")), FailureKind::Overloaded);
        check(&format!("402: {}", body("x")), FailureKind::Billing);
        check("Stream ended without finish_reason", FailureKind::Network);
        check("Connection error.: connect ECONNREFUSED 127.0.0.1:46803", FailureKind::Network);
    }

    #[test]
    fn a_wrapped_error_object_is_read_and_its_message_too() {
        check(
            r#"529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            FailureKind::Overloaded,
        );
        check(
            r#"400 {"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens"}}"#,
            FailureKind::ContextOverflow,
        );
    }

    #[test]
    fn a_used_up_plan_is_no_rate_limit_and_says_when_it_comes_back() {
        check(
            r#"429: {"message":"The usage limit has been reached.","code":"usage_limit_reached"}"#,
            FailureKind::UsageLimit,
        );
        let words = "You have hit your ChatGPT usage limit (plus plan). Try again in ~42 min.";
        let failure = of_error(words, None);
        assert_eq!(failure.kind, FailureKind::UsageLimit);
        assert_eq!(failure.reset_hint.as_deref(), Some("~42 min"));
    }

    #[test]
    fn a_number_that_is_no_status_and_words_in_the_middle_decide_nothing() {
        for message in ["4290 tests failed", "the log says 429: rate limit", "200: fine", "42", ""]
        {
            check(message, FailureKind::Unknown);
        }
        let failure = of_error("Provider finish_reason: content_filter", Some("content_filter"));
        assert_eq!(failure.kind, FailureKind::Refused);
        assert_eq!(failure.evidence[0].source, EvidenceSource::Field);
    }
}
