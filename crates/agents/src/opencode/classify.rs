//! Why a turn of OpenCode failed: the class, status and code of its error, and nothing of its answers.

use crate::http_status;
use crate::wire::lenient;
use belay_trace::{EvidenceSource, Failure, FailureKind};
use serde::Deserialize;

/// An error of OpenCode 1.18.33: `{name, data}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Error {
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    #[serde(deserialize_with = "lenient")]
    data: Data,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data {
    #[serde(deserialize_with = "lenient")]
    message: String,
    /// Under which its log has more to say.
    #[serde(rename = "ref", deserialize_with = "lenient")]
    reference: Option<String>,
    #[serde(rename = "statusCode", deserialize_with = "lenient")]
    status: Option<u16>,
    #[serde(rename = "responseBody", deserialize_with = "lenient")]
    body: Option<String>,
}

/// The provider's own error, in the body that OpenCode passes on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    #[serde(deserialize_with = "lenient")]
    error: BodyError,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BodyError {
    #[serde(deserialize_with = "lenient")]
    code: Option<String>,
    #[serde(rename = "type", deserialize_with = "lenient")]
    class: Option<String>,
}

impl Error {
    /// The failure that it stands for.
    pub(super) fn failure(&self) -> Failure {
        let body: Body = self
            .data
            .body
            .as_deref()
            .and_then(|body| serde_json::from_str(body).ok())
            .unwrap_or_default();
        let code = [body.error.code.as_deref(), body.error.class.as_deref()];
        let by_code = code.into_iter().flatten().find_map(of_code);
        let kind = of_name(&self.name)
            .or(by_code)
            .or_else(|| self.data.status.and_then(http_status::kind))
            .or_else(|| of_text(&self.data.message))
            .unwrap_or(FailureKind::Unknown);
        let message =
            if self.data.message.is_empty() { self.name.as_str() } else { &self.data.message };
        let mut failure = Failure::new(kind, message);
        if !self.name.is_empty() {
            failure = failure.with(EvidenceSource::Field, "error.name", &self.name);
        }
        // Where only the words decide, they are the evidence.
        if of_name(&self.name).is_none() && of_text(&self.data.message).is_some() {
            failure = failure.with(EvidenceSource::Text, "message", &self.data.message);
        }
        if let Some(status) = self.data.status {
            failure = failure.with(EvidenceSource::Status, "statusCode", status);
        }
        if let Some(code) = body.error.code {
            failure = failure.with(EvidenceSource::Field, "error.code", code);
        }
        failure
    }
}

/// The failure of an error that says nothing itself and stands in the log: `opencode run` hides that a model is
/// unknown behind "Unexpected server error".
pub(super) fn with_log(error: &Error, log: &[String]) -> Failure {
    let failure = error.failure();
    let Some(reference) = &error.data.reference else { return failure };
    let is_it = |line: &&String| line.split(' ').any(|word| word == format!("ref={reference}"));
    let cause = log.iter().find(is_it).and_then(|line| line.split_once(" error=\""));
    let Some((_, cause)) = cause else { return failure };
    let cause = cause.split('"').next().unwrap_or_default();
    let class = cause.split(':').next().unwrap_or_default();
    let known = failure
        .evidence
        .into_iter()
        .fold(Failure::new(of_name(class).unwrap_or(failure.kind), cause), |failure, e| {
            failure.with(e.source, &e.name, e.value)
        });
    known.with(EvidenceSource::Text, "log", cause)
}

/// A turn that ended with the denial of a tool.
pub(super) fn denied() -> Failure {
    let words = "opencode ended its turn when a tool was denied";
    Failure::new(FailureKind::PermissionDenied, words).with(
        EvidenceSource::Field,
        "finish",
        "tool-calls",
    )
}

/// What a class alone decides; `APIError` and `UnknownError` decide nothing.
fn of_name(name: &str) -> Option<FailureKind> {
    Some(match name {
        "ContextOverflowError" => FailureKind::ContextOverflow,
        "MessageOutputLengthError" | "StructuredOutputError" => FailureKind::OutputLimit,
        "ContentFilterError" => FailureKind::Refused,
        "ProviderAuthError" => FailureKind::Auth,
        "ProviderModelNotFoundError" => FailureKind::ModelUnavailable,
        "MessageAbortedError" => FailureKind::Interrupted,
        _ => return None,
    })
}

/// The codes of OpenAI-compatible providers, and of OpenCode's own.
fn of_code(code: &str) -> Option<FailureKind> {
    Some(match code {
        "insufficient_quota" => FailureKind::Billing,
        "context_length_exceeded" => FailureKind::ContextOverflow,
        "model_not_found" => FailureKind::ModelUnavailable,
        "GoUsageLimitError" | "FreeUsageLimitError" => FailureKind::UsageLimit,
        _ => return None,
    })
}

/// How the words of errors without a class begin.
fn of_text(message: &str) -> Option<FailureKind> {
    let begins = |text: &str| message.starts_with(text);
    if begins("Model not found") || begins("ProviderModelNotFoundError") {
        Some(FailureKind::ModelUnavailable)
    } else if begins("Cannot connect to API")
        || begins("fetch failed")
        || begins("Unable to connect")
    {
        Some(FailureKind::Network)
    } else {
        None
    }
}
