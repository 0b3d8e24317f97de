//! Why a turn of Codex failed.
//!
//! The app-server gives an error class (`codexErrorInfo`); exec gives only words, which are matched from
//! their beginning, in the agent's own error fields and nowhere else.

use crate::http_status;
use belay_trace::{EvidenceSource, Failure, FailureKind};
use serde_json::Value;

/// The failure behind an error of the app-server.
pub(super) fn of_error(message: &str, info: Option<&Value>) -> Failure {
    let (class, status) = class_and_status(info);
    let by_class = class.as_deref().and_then(of_class);
    let by_status = status.and_then(http_status::kind);
    // The class of a connection failure says less than its status; the class of a used-up plan does not tell
    // a window from a balance, and its words do.
    let kind = match (by_class, by_status) {
        (Some(FailureKind::UsageLimit), _) if of_text(message) == Some(FailureKind::Billing) => {
            FailureKind::Billing
        }
        (Some(FailureKind::Network), Some(kind)) => kind,
        (Some(kind), _) | (None, Some(kind)) => kind,
        (None, None) => of_text(message).unwrap_or(FailureKind::Unknown),
    };
    let mut failure = Failure::new(kind, message);
    if let Some(class) = class {
        failure = failure.with(EvidenceSource::Field, "codexErrorInfo", class);
    }
    if let Some(status) = status {
        failure = failure.with(EvidenceSource::Status, "httpStatusCode", status);
    }
    with_text(failure, message)
}

/// The failure behind the words of exec.
pub(super) fn of_message(message: &str) -> Failure {
    with_text(Failure::new(of_text(message).unwrap_or(FailureKind::Unknown), message), message)
}

fn with_text(failure: Failure, message: &str) -> Failure {
    let hint = if failure.kind == FailureKind::UsageLimit { reset_hint(message) } else { None };
    Failure { reset_hint: hint, ..failure.with(EvidenceSource::Text, "message", message) }
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

fn of_class(class: &str) -> Option<FailureKind> {
    Some(match class {
        "contextWindowExceeded" => FailureKind::ContextOverflow,
        "sessionBudgetExceeded" => FailureKind::LimitReached,
        "usageLimitExceeded" => FailureKind::UsageLimit,
        "rateLimitExceeded" => FailureKind::RateLimited,
        "serverOverloaded" | "policyCapacityUnavailable" | "flexUnavailable" => {
            FailureKind::Overloaded
        }
        "modelNotFound" => FailureKind::ModelUnavailable,
        "cyberPolicy" | "misalignmentPolicyViolation" => FailureKind::Refused,
        "tooManyDenials" | "sandboxError" => FailureKind::PermissionDenied,
        "internalServerError" => FailureKind::ServerError,
        "unauthorized" => FailureKind::Auth,
        "badRequest" => FailureKind::InvalidRequest,
        "httpConnectionFailed"
        | "responseStreamConnectionFailed"
        | "responseStreamDisconnected"
        | "responseTooManyFailedAttempts" => FailureKind::Network,
        _ => return None,
    })
}

/// How Codex's messages begin (0.169.0; each seen, but for those marked).
const TEXTS: &[(&str, FailureKind)] = &[
    ("You've hit your usage limit", FailureKind::UsageLimit),
    ("Quota exceeded.", FailureKind::Billing),
    ("Your workspace is out of credits", FailureKind::Billing), // from its source
    ("You hit your spend cap", FailureKind::Billing),           // from its source
    ("exceeded retry limit, last status: 429", FailureKind::RateLimited),
    ("rate limit exceeded", FailureKind::RateLimited),
    ("unexpected status 401", FailureKind::Auth),
    ("unexpected status 403", FailureKind::Auth),
    ("Your access token could not be refreshed", FailureKind::Auth),
    ("Missing environment variable:", FailureKind::Auth),
    ("unexpected status 404", FailureKind::ModelUnavailable),
    ("unexpected status 429", FailureKind::RateLimited),
    ("unexpected status 503", FailureKind::Overloaded),
    ("unexpected status 5", FailureKind::ServerError),
    ("unexpected status 4", FailureKind::InvalidRequest),
    ("exceeded retry limit, last status: 401", FailureKind::Auth),
    ("exceeded retry limit, last status: 5", FailureKind::ServerError),
    ("Selected model is at capacity.", FailureKind::Overloaded),
    ("We're currently experiencing high demand", FailureKind::ServerError),
    ("Codex ran out of room in the model's context window", FailureKind::ContextOverflow),
    ("Incomplete response returned, reason: max_output_tokens", FailureKind::OutputLimit),
    ("Incomplete response returned, reason: content_filter", FailureKind::Refused),
    ("stream disconnected before completion", FailureKind::Network),
    ("error sending request", FailureKind::Network),
    ("no rollout found for thread id", FailureKind::InvalidRequest),
    // The body of a 400 that Codex has no words for.
    ("{", FailureKind::InvalidRequest),
];

fn of_text(message: &str) -> Option<FailureKind> {
    // Codex writes typographic apostrophes.
    let message = message.replace('\u{2019}', "'");
    let begins = |text: &str| message.starts_with(text);
    if begins("The model `") && message.contains("does not exist") {
        return Some(FailureKind::ModelUnavailable);
    }
    TEXTS.iter().find(|(text, _)| begins(text)).map(|(_, kind)| *kind)
}

/// "… or try again at 10:30 AM." gives "10:30 AM".
fn reset_hint(message: &str) -> Option<String> {
    let (_, hint) = message.split_once("try again at ")?;
    Some(hint.trim_end().trim_end_matches('.').to_owned()).filter(|hint| !hint.is_empty())
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
            ("the log says: exceeded retry limit, last status: 429", FailureKind::Unknown),
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
