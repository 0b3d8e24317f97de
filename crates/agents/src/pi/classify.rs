//! Why a turn of Pi failed: what it has said of it, for the [table](super::failures) to decide on.

use super::failures::FAILURES;
use crate::failures::evidence;
use crate::provider_error::{ProviderError, status_at};
use crate::waits;
use belay_trace::{EvidenceSource, Failure, FailureKind};

/// The failure behind an `errorMessage`, and the provider's own word for why the response stopped.
pub(super) fn of_error(message: &str, raw_stop_reason: Option<&str>) -> Failure {
    let status = status(message).map(|status| status.to_string());
    let body = body(message);
    let words = body.message.clone().unwrap_or_else(|| message.to_owned());
    let said = [
        (EvidenceSource::Field, "rawStopReason", raw_stop_reason),
        (EvidenceSource::Status, "errorMessage", status.as_deref()),
        (EvidenceSource::Text, "errorMessage", Some(message).filter(|whole| *whole != words)),
    ];
    let said = said.into_iter();
    let said = said.filter_map(|(source, name, value)| Some(evidence(source, name, value?)));
    let mut said: Vec<_> = said.collect();
    said.extend(body.evidence("", &said));
    if words == message {
        said.push(evidence(EvidenceSource::Text, "message", message));
    }
    waits::with_words(FAILURES.failure(message, said), &words)
}

/// What a request failed with that Pi tries again.
pub(super) fn of_retry(message: &str) -> Option<FailureKind> {
    Some(of_error(message, None).kind).filter(|kind| *kind != FailureKind::Unknown)
}

/// The failure of a response that was cut off.
pub(super) fn of_length(stop_reason: &str) -> Failure {
    let said = vec![evidence(EvidenceSource::Field, "stopReason", stop_reason)];
    FAILURES.failure("the answer was cut off at its token limit", said)
}

/// The failure that a line on standard error tells, when Pi gives up before it asks a model.
pub(super) fn of_stderr(line: &str) -> Option<Failure> {
    let said = vec![evidence(EvidenceSource::Text, "stderr", line)];
    Some(FAILURES.failure(line, said)).filter(|failure| failure.kind != FailureKind::Unknown)
}

/// The HTTP status with which an error message begins.
pub(super) fn status(message: &str) -> Option<u16> {
    let rest = message.get(3..)?;
    status_at(message).filter(|_| rest.is_empty() || rest.starts_with([':', ' ']))
}

/// The provider's error object, which stands behind the status or alone.
fn body(message: &str) -> ProviderError {
    let begins = message.starts_with(['{', '[']) || status(message).is_some();
    let object = begins.then(|| ProviderError::in_text(message)).flatten();
    object.unwrap_or_default()
}

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
        assert_eq!(failure.reset_hint.as_deref(), Some("in ~42 min"));
    }

    #[test]
    fn a_number_that_is_no_status_and_words_in_the_middle_decide_nothing() {
        for message in ["4290 tests failed", "the log says 429", "200: fine", "42", ""] {
            check(message, FailureKind::Unknown);
        }
        let failure = of_error("Provider finish_reason: content_filter", Some("content_filter"));
        assert_eq!(failure.kind, FailureKind::Refused);
        assert_eq!(failure.evidence[0].source, EvidenceSource::Field);
    }
}
