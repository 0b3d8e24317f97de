//! Why a turn of Codex failed: what it has said of it, for the [table](super::failures) to decide on.

use super::failures::FAILURES;
use crate::failures::evidence;
use crate::provider_error::{ProviderError, status_in};
use crate::waits;
use belay_trace::{EvidenceSource, Failure, FailureKind};
use serde_json::Value;

/// The failure behind an error of the app-server.
pub(super) fn of_error(message: &str, info: Option<&Value>) -> Failure {
    let (class, status) = class_and_status(info);
    let class = class.map(|class| evidence(EvidenceSource::Field, "codexErrorInfo", class));
    let status = match status {
        Some(status) => Some(evidence(EvidenceSource::Status, "httpStatusCode", status)),
        None => status_in(message).map(|it| evidence(EvidenceSource::Status, "message", it)),
    };
    let text = evidence(EvidenceSource::Text, "message", message);
    let mut said: Vec<_> = class.into_iter().chain(status).chain([text]).collect();
    // The provider's body, which Codex hands on as it came where it has no words of its own.
    if let Some(body) = ProviderError::in_text(message) {
        said.extend(body.evidence("error.", &said));
    }
    let failure = waits::with_words(FAILURES.failure(message, said), message);
    match limited_model(message).filter(|_| failure.kind == FailureKind::UsageLimit) {
        Some(model) => failure.with(EvidenceSource::Text, "limited_model", model),
        None => failure,
    }
}

/// The failure behind the words of exec.
pub(super) fn of_message(message: &str) -> Failure {
    of_error(message, None)
}

/// What a request failed with that Codex tries again.
pub(super) fn of_retry(reason: &str, info: Option<&Value>) -> Option<FailureKind> {
    Some(of_error(reason, info).kind).filter(|kind| *kind != FailureKind::Unknown)
}

/// "You've hit your usage limit for gpt-5.5. Switch to another model now" is a limit of that model alone.
fn limited_model(message: &str) -> Option<&str> {
    let (_, behind) = message.split_once("hit your usage limit for ")?;
    let model = behind.split(". ").next()?.trim_end_matches('.');
    Some(model).filter(|model| !model.is_empty() && !model.contains(' '))
}

/// A class is a string, or an object with the class as its only key and perhaps an HTTP status inside.
fn class_and_status(info: Option<&Value>) -> (Option<String>, Option<u16>) {
    match info {
        Some(Value::String(class)) => (Some(class.clone()), None),
        Some(Value::Object(object)) => {
            let entry = object.iter().next();
            let status = entry.and_then(|(_, detail)| detail.get("httpStatusCode")?.as_u64());
            (entry.map(|(class, _)| class.clone()), status.and_then(|s| u16::try_from(s).ok()))
        }
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_recorded_text_has_its_kind() {
        for (text, want) in [
            ("exceeded retry limit, last status: 429 Too Many Requests", FailureKind::RateLimited),
            (
                "You\u{2019}ve hit your usage limit. Upgrade to Pro or try again at 10:30 AM.",
                FailureKind::UsageLimit,
            ),
            (
                "unexpected status 401 Unauthorized: Incorrect API key provided: dummy.",
                FailureKind::Auth,
            ),
            (
                "We\u{2019}re currently experiencing high demand, which may cause temporary errors.",
                FailureKind::ServerError,
            ),
            (
                "The model `gpt-5.5` does not exist or you do not have access to it.",
                FailureKind::ModelUnavailable,
            ),
        ] {
            assert_eq!(of_message(text).kind, want, "{text}");
        }
    }

    #[test]
    fn a_class_beats_the_words() {
        let failure = of_error("unexpected status 401", Some(&json!("contextWindowExceeded")));
        assert_eq!(failure.kind, FailureKind::ContextOverflow);
        let info = json!({"responseTooManyFailedAttempts": {"httpStatusCode": 429}});
        assert_eq!(of_error("?", Some(&info)).kind, FailureKind::RateLimited);
        let info = json!({"responseStreamDisconnected": {"httpStatusCode": null}});
        assert_eq!(of_error("?", Some(&info)).kind, FailureKind::Network);
    }

    #[test]
    fn an_empty_balance_is_no_window_that_resets() {
        let failure = of_error(
            "Quota exceeded. Check your plan and billing details.",
            Some(&json!("usageLimitExceeded")),
        );
        assert_eq!(failure.kind, FailureKind::Billing);
    }

    #[test]
    fn the_reset_is_kept_in_words() {
        let failure = of_message("You\u{2019}ve hit your usage limit. Or try again at 10:30 AM.");
        assert_eq!(failure.reset_hint.as_deref(), Some("10:30 AM"));
    }
}
