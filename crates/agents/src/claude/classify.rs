//! Why a turn of Claude Code failed.
//!
//! In order: the protocol's own fields, the API's error class, the HTTP status, then the text of Claude's own
//! error message. Answers and tool output are never looked at. `subtype` and the exit code lie: a failed API
//! call says `"subtype":"success"`, and an interrupted process exits with 0 (measured, 2.1.329).

use super::wire::{RateLimitInfo, ResultLine};
use crate::http_status;
use belay_trace::{EvidenceSource, Failure, FailureKind};
use jiff::Timestamp;

/// The synthetic assistant message by which Claude reports a failed API call.
#[derive(Clone, Debug, Default)]
pub(super) struct ApiError {
    /// Claude's class: `rate_limit`, `authentication_failed`.
    pub(super) class: Option<String>,
    /// The API's own class: `overloaded_error`.
    pub(super) api_type: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) text: String,
}

/// The failure behind a result line with `is_error`.
pub(super) fn failure(
    result: &ResultLine,
    api_error: Option<&ApiError>,
    limit: Option<&RateLimitInfo>,
    interrupted: bool,
) -> Failure {
    let reason = result.terminal_reason.as_deref().unwrap_or_default();
    let error = ApiError {
        class: api_error.and_then(|error| error.class.clone()).or_else(|| result.api_error.clone()),
        api_type: result.api_error_type.clone().or_else(|| api_error?.api_type.clone()),
        status: result.api_error_status.or_else(|| api_error?.status),
        text: api_error.map(|error| error.text.clone()).unwrap_or_default(),
    };
    let kind = if let Some(kind) = of_terminal_reason(reason, &result.subtype) {
        kind
    } else if interrupted && error.class.is_none() {
        FailureKind::Interrupted
    } else if is_usage_limit(&error, limit) {
        FailureKind::UsageLimit
    } else {
        of_api_error(&error).unwrap_or_else(|| of_error_text(&result.errors))
    };

    let message = match kind {
        // Its errors are notes to Claude's own developers.
        FailureKind::Interrupted => "interrupted".to_owned(),
        _ => message(result, &error),
    };
    let mut failure = Failure::new(kind, message);
    for (name, value) in [
        ("terminal_reason", (!reason.is_empty()).then_some(reason)),
        ("error", error.class.as_deref()),
        ("api_error_type", error.api_type.as_deref()),
    ] {
        if let Some(value) = value {
            failure = failure.with(EvidenceSource::Field, name, value);
        }
    }
    if let Some(status) = error.status {
        failure = failure.with(EvidenceSource::Status, "api_error_status", status);
    }
    if let Some(text) = result.errors.first().filter(|_| failure.evidence.is_empty()) {
        failure = failure.with(EvidenceSource::Text, "errors", text);
    }
    if kind == FailureKind::UsageLimit {
        let rejected = limit.filter(|limit| is_rejected(limit));
        if let Some(window) = rejected.and_then(|limit| limit.rate_limit_type.as_deref()) {
            failure = failure.with(EvidenceSource::Field, "rateLimitType", window);
        }
        failure.resets_at = limit.filter(|limit| is_rejected(limit)).and_then(resets_at);
        failure.reset_hint = reset_hint(&error.text);
    }
    failure
}

/// True if the account's limit stops the work now.
pub(super) fn is_rejected(limit: &RateLimitInfo) -> bool {
    limit.status.as_deref() == Some("rejected")
}

/// Claude gives reset times in seconds since the epoch.
pub(super) fn timestamp(seconds: Option<f64>) -> Option<Timestamp> {
    let seconds = seconds.filter(|s| s.is_finite() && *s > 0.0)?;
    #[expect(clippy::cast_possible_truncation, reason = "a time out of range is no time stamp")]
    Timestamp::from_second(seconds as i64).ok()
}

fn resets_at(limit: &RateLimitInfo) -> Option<Timestamp> {
    timestamp(limit.resets_at)
}

fn of_terminal_reason(reason: &str, subtype: &str) -> Option<FailureKind> {
    Some(match (reason, subtype) {
        ("aborted_tools" | "aborted_streaming", _) => FailureKind::Interrupted,
        ("prompt_too_long", _) => FailureKind::ContextOverflow,
        ("max_turns" | "budget_exhausted", _) | (_, "error_max_turns" | "error_max_budget_usd") => {
            FailureKind::LimitReached
        }
        _ => return None,
    })
}

/// A plan's window is used up. With an API key the same thing arrives as a plain 429, which is a rate limit.
fn is_usage_limit(error: &ApiError, limit: Option<&RateLimitInfo>) -> bool {
    let limited = error.class.as_deref() == Some("rate_limit") || error.status == Some(429);
    limited && (limit.is_some_and(is_rejected) || reset_hint(&error.text).is_some())
}

/// "You've hit your 5-hour limit · resets 10:53am (UTC)" gives "10:53am (UTC)".
fn reset_hint(text: &str) -> Option<String> {
    let (_, hint) = text.split_once("resets ")?;
    let end = hint.find(['\n', '·']).unwrap_or(hint.len());
    Some(hint[..end].trim().to_owned()).filter(|hint| !hint.is_empty())
}

fn of_api_error(error: &ApiError) -> Option<FailureKind> {
    of_api_type(error.api_type.as_deref(), error.class.as_deref())
        .or_else(|| of_class(error.class.as_deref()?, error.status))
        .or_else(|| http_status::kind(error.status?))
}

/// The API's class where Claude's own is coarser: it calls an overloaded provider a server error.
fn of_api_type(api_type: Option<&str>, class: Option<&str>) -> Option<FailureKind> {
    match (api_type?, class) {
        ("overloaded_error", _) => Some(FailureKind::Overloaded),
        ("billing_error", _) => Some(FailureKind::Billing),
        _ => None,
    }
}

fn of_class(class: &str, status: Option<u16>) -> Option<FailureKind> {
    Some(match class {
        "rate_limit" => FailureKind::RateLimited,
        "overloaded" => FailureKind::Overloaded,
        "authentication_failed"
        | "oauth_org_not_allowed"
        | "account_on_hold"
        | "verification_required" => FailureKind::Auth,
        "billing_error" => FailureKind::Billing,
        "model_not_found" => FailureKind::ModelUnavailable,
        "max_output_tokens" => FailureKind::OutputLimit,
        "invalid_request" => FailureKind::InvalidRequest,
        "server_error" if status == Some(529) => FailureKind::Overloaded,
        // Without a status no answer came at all.
        "server_error" if status.is_none() => FailureKind::Network,
        "server_error" => FailureKind::ServerError,
        _ => return None,
    })
}

fn of_error_text(errors: &[String]) -> FailureKind {
    match errors.first() {
        Some(error)
            if error.starts_with("No conversation found with session ID")
                || error.starts_with("Error: --resume requires a valid session ID") =>
        {
            FailureKind::InvalidRequest
        }
        _ => FailureKind::Unknown,
    }
}

fn message(result: &ResultLine, error: &ApiError) -> String {
    let said = [
        Some(error.text.as_str()),
        result.result.as_deref(),
        result.errors.first().map(String::as_str),
    ];
    let said = said.into_iter().flatten().find(|text| !text.is_empty());
    said.or(result.terminal_reason.as_deref()).unwrap_or("claude reported an error").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(class: &str, status: Option<u16>, api_type: &str, want: FailureKind) {
        let error = ApiError {
            class: Some(class.to_owned()).filter(|c| !c.is_empty()),
            api_type: Some(api_type.to_owned()).filter(|t| !t.is_empty()),
            status,
            text: "words".into(),
        };
        let result =
            ResultLine { is_error: Some(true), subtype: "success".into(), ..ResultLine::default() };
        let failure = failure(&result, Some(&error), None, false);
        assert_eq!(failure.kind, want);
        assert_eq!(failure.message, "words");
    }

    #[test]
    fn each_recorded_error_class_has_its_kind() {
        check("rate_limit", Some(429), "rate_limit_error", FailureKind::RateLimited);
        check("server_error", Some(529), "overloaded_error", FailureKind::Overloaded);
        check("server_error", Some(500), "api_error", FailureKind::ServerError);
        check("server_error", None, "", FailureKind::Network);
        check("authentication_failed", Some(401), "authentication_error", FailureKind::Auth);
        check("authentication_failed", None, "", FailureKind::Auth);
        check("billing_error", Some(400), "invalid_request_error", FailureKind::Billing);
        check("model_not_found", Some(404), "not_found_error", FailureKind::ModelUnavailable);
        check("max_output_tokens", None, "", FailureKind::OutputLimit);
        check("unknown", Some(400), "", FailureKind::InvalidRequest);
        check("something_new", None, "", FailureKind::Unknown);
    }

    #[test]
    fn a_used_up_window_keeps_its_reset_in_words_and_as_a_time() {
        let error = ApiError {
            class: Some("rate_limit".into()),
            status: Some(429),
            text: "You've hit your 5-hour limit · resets 10:53am (UTC)".into(),
            api_type: None,
        };
        let limit = RateLimitInfo {
            status: Some("rejected".into()),
            resets_at: Some(1_795_258_405.0),
            ..RateLimitInfo::default()
        };
        let failure = failure(&ResultLine::default(), Some(&error), Some(&limit), false);
        assert_eq!(failure.kind, FailureKind::UsageLimit);
        assert_eq!(failure.reset_hint.as_deref(), Some("10:53am (UTC)"));
        assert_eq!(failure.resets_at, Timestamp::from_second(1_795_258_405).ok());
    }

    #[test]
    fn a_prompt_that_is_too_long_is_no_invalid_request() {
        let result = ResultLine {
            terminal_reason: Some("prompt_too_long".into()),
            api_error_status: Some(400),
            ..ResultLine::default()
        };
        let error = ApiError { class: Some("invalid_request".into()), ..ApiError::default() };
        assert_eq!(failure(&result, Some(&error), None, false).kind, FailureKind::ContextOverflow);
    }
}
