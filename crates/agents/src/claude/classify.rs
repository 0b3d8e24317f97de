//! Why a turn of Claude Code failed: what it has said of it, for the [table](super::failures) to decide on.
//! Answers and tool output are never looked at.

use super::failures::FAILURES;
use super::wire::{RateLimitInfo, ResultLine};
use crate::provider_error::ProviderError;
use crate::{failures, verdict, waits};
use belay_trace::EvidenceSource::{Field, Status, Text};
use belay_trace::{Evidence, Failure, FailureKind};
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
    let error = ApiError {
        class: api_error.and_then(|error| error.class.clone()).or_else(|| result.api_error.clone()),
        api_type: result.api_error_type.clone().or_else(|| api_error?.api_type.clone()),
        status: result.api_error_status.or_else(|| api_error?.status),
        text: api_error.map(|error| error.text.clone()).unwrap_or_default(),
    };
    let limit = limit.filter(|limit| is_rejected(limit));
    let evidence = evidence_of(result, &error, limit);
    let mut failure = FAILURES.failure(message(result, &error), evidence);
    // Without an error of the API it is what we have asked for.
    let asked = interrupted && error.class.is_none();
    if asked && !matches!(failure.kind, FailureKind::LimitReached | FailureKind::ContextOverflow) {
        failure.kind = FailureKind::Interrupted;
    }
    if failure.kind == FailureKind::Interrupted {
        // Its errors are notes to Claude's own developers.
        "interrupted".clone_into(&mut failure.message);
        return failure;
    }
    if matches!(failure.kind, FailureKind::UsageLimit | FailureKind::Billing) {
        failure.resets_at = limit.and_then(|limit| timestamp(limit.resets_at));
        failure.reset_source = failure.resets_at.map(|_| Field);
    }
    waits::with_words(failure, &error.text)
}

/// What a request failed with that Claude tries again.
pub(super) fn of_retry(class: Option<&str>, status: Option<u16>) -> Option<FailureKind> {
    let class = class.map(|class| failures::evidence(Field, "error", class));
    let status = status.map(|status| failures::evidence(Status, "api_error_status", status));
    FAILURES.kind(&class.into_iter().chain(status).collect::<Vec<_>>())
}

/// What Claude has said of it, strongest first.
fn evidence_of(
    result: &ResultLine,
    error: &ApiError,
    limit: Option<&RateLimitInfo>,
) -> Vec<Evidence> {
    let reason = result.terminal_reason.as_deref().unwrap_or_default();
    // Any other is "success", also when it is none.
    let subtype = Some(&*result.subtype).filter(|subtype| subtype.starts_with("error_max"));
    let text = Some(&*error.text).filter(|text| !text.is_empty());
    let errors = result.errors.first().filter(|_| !reason.starts_with("aborted"));
    let status = error.status.map(|status| status.to_string());
    let stop = result.stop_reason.as_deref();
    let stop = stop.filter(|_| result.is_refused() || result.is_cut());
    // Of this turn or one before it.
    let stops = (result.safety_stops > 0).then_some("some");
    let limit_type = limit.and_then(|limit| limit.rate_limit_type.as_deref());
    let said = [
        (Field, "terminal_reason", Some(reason).filter(|reason| !reason.is_empty())),
        (Field, "subtype", subtype),
        (Field, "stop_reason", stop),
        (Field, "api_error", result.api_error.as_deref()),
        (Field, "safety_stops", stops),
        (Field, "error", error.class.as_deref()),
        (Field, "api_error_type", error.api_type.as_deref()),
        (Field, "rate_limit", limit.and_then(|limit| limit.status.as_deref())),
        (Field, "rateLimitType", limit_type),
        (Status, "api_error_status", status.as_deref()),
        (Text, "message", text),
        (Text, "errors", errors.map(String::as_str)),
    ];
    let said = said.into_iter();
    let said =
        said.filter_map(|(source, name, value)| Some(failures::evidence(source, name, value?)));
    let mut said: Vec<_> = said.collect();
    // A body that Claude has no words for, as it came.
    if let Some(body) = ProviderError::in_text(&error.text) {
        said.extend(body.evidence("error.", &said));
    }
    said
}

/// True if the account's limit stops the work now.
pub(super) fn is_rejected(limit: &RateLimitInfo) -> bool {
    limit.status.as_deref() == Some("rejected")
}

/// Claude gives reset times in seconds since the epoch; proxies before it also in milliseconds.
pub(super) fn timestamp(number: Option<f64>) -> Option<Timestamp> {
    let number = number.filter(|number| number.is_finite() && *number > 0.0)?;
    let seconds = if number >= 1e12 { number / 1000.0 } else { number };
    #[expect(clippy::cast_possible_truncation, reason = "a time out of range is no time stamp")]
    Timestamp::from_second(seconds as i64).ok()
}

fn message(result: &ResultLine, error: &ApiError) -> String {
    if result.is_cut() && error.text.is_empty() && result.errors.is_empty() {
        // The words of the line are those of the answer.
        return verdict::CUT.to_owned();
    }
    let said = [
        Some(error.text.as_str()),
        result.result.as_deref(),
        result.errors.first().map(String::as_str),
    ];
    let said = said.into_iter().flatten().find(|text| !text.is_empty());
    let subtype = Some(&*result.subtype).filter(|subtype| subtype.starts_with("error"));
    let reason = result.terminal_reason.as_deref().filter(|reason| *reason != "completed");
    said.or(reason).or(subtype).unwrap_or("claude reported an error").to_owned()
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
