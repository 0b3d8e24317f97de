//! Why a turn over ACP failed: what the agent has said of it, for its table to decide on.

use super::rpc::RpcError;
use crate::failures::{Table, evidence};
use crate::provider_error::{ProviderError, status_in};
use crate::waits;
use belay_trace::{EvidenceSource, Failure, FailureKind};
use serde_json::Value;

/// The protocol's word for "log in first".
pub(super) const AUTH_REQUIRED: i64 = -32000;

/// The failure that a refused request shows.
pub(super) fn of_error(table: &Table, error: &RpcError) -> Failure {
    let words = words(error);
    let provider = ProviderError::in_text(&words).unwrap_or_default();
    let mut said = vec![evidence(EvidenceSource::Field, "code", error.code)];
    if let Some(status) = status_of(error, &words) {
        said.push(evidence(EvidenceSource::Status, "code", status));
    }
    for name in ["errorName", "errorKind", "codexErrorInfo"] {
        if let Some(value) = error.data.get(name).and_then(Value::as_str) {
            said.push(evidence(EvidenceSource::Field, name, value));
        }
    }
    let message = provider.message.clone().unwrap_or_else(|| words.clone());
    said.extend(provider.evidence("error.", &said));
    said.retain(|said| said.source != EvidenceSource::Text);
    said.push(evidence(EvidenceSource::Text, "message", &message));
    if message != words {
        said.push(evidence(EvidenceSource::Text, "whole", &words));
    }
    waits::with_words(table.failure(message, said), &words)
}

/// The failure that an end of the turn shows which is no answer.
pub(super) fn of_stop(table: &Table, reason: &str) -> Failure {
    let said = vec![evidence(EvidenceSource::Field, "stopReason", reason)];
    let words = match reason {
        "max_tokens" => "the answer was cut off at its token limit".to_owned(),
        "max_turn_requests" => "the agent's own limit of responses was reached".to_owned(),
        "refusal" => "the model refused".to_owned(),
        _ => format!("the turn ended as `{reason}`"),
    };
    let failure = table.failure(words, said);
    match failure.kind {
        FailureKind::Unknown => Failure { kind: FailureKind::Protocol, ..failure },
        _ => failure,
    }
}

/// The words that say most.
fn words(error: &RpcError) -> String {
    let details = error.data.get("details").or_else(|| error.data.get("message"));
    let details = details.and_then(Value::as_str).or_else(|| error.data.as_str());
    let words = details.filter(|words| !words.is_empty()).unwrap_or(&error.message);
    words.strip_prefix("Internal error: ").unwrap_or(words).to_owned()
}

/// The failure that an agent tells in words of its own where an answer would stand. Only who knows by other signs
/// that they are no answer may ask.
pub(super) fn of_own_words(table: &Table, words: &str) -> Failure {
    let words = words.trim();
    let mut said = vec![evidence(EvidenceSource::Text, "message", words)];
    if let Some(status) = status_in(words.strip_prefix("Error: ").unwrap_or(words)) {
        said.push(evidence(EvidenceSource::Status, "message", status));
    }
    if let Some(provider) = ProviderError::in_text(words) {
        said.extend(provider.evidence("error.", &said));
    }
    let words =
        if words.is_empty() { "the turn failed, and the agent does not say why" } else { words };
    waits::with_words(table.failure(words, said), words)
}

/// The failure that a retry of the agent's own would be: by the agent's class of it, and by its words.
pub(super) fn of_retry(table: &Table, category: &str, words: &str) -> Failure {
    let mut said = vec![evidence(EvidenceSource::Field, "category", category)];
    if let Some(status) = status_in(words) {
        said.push(evidence(EvidenceSource::Status, "detail", status));
    }
    said.push(evidence(EvidenceSource::Text, "detail", words));
    table.failure(words, said)
}

/// An HTTP status: Gemini's code is one, Qwen's words begin with one.
fn status_of(error: &RpcError, words: &str) -> Option<i64> {
    let code = Some(error.code).filter(|code| (400..600).contains(code));
    code.or_else(|| status_in(words).map(i64::from))
}
