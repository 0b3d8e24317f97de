//! Why a turn over ACP failed: what the agent has said of it, for its table to decide on.

use super::rpc::RpcError;
use crate::failures::{Table, evidence};
use crate::waits;
use belay_trace::{EvidenceSource, Failure, FailureKind};
use serde_json::Value;

/// The protocol's word for "log in first".
pub(super) const AUTH_REQUIRED: i64 = -32000;

/// The failure that a refused request shows.
pub(super) fn of_error(table: &Table, error: &RpcError) -> Failure {
    let (words, provider) = words(error);
    let mut said = vec![evidence(EvidenceSource::Field, "code", error.code)];
    if let Some(status) = status_of(error, &words) {
        said.push(evidence(EvidenceSource::Status, "code", status));
    }
    let of_provider = |name: &str| provider.as_ref()?.get(name)?.as_str().map(str::to_owned);
    for name in ["status", "code", "type"] {
        if let Some(value) = of_provider(name) {
            said.push(evidence(EvidenceSource::Field, &format!("error.{name}"), value));
        }
    }
    for name in ["errorName", "errorKind", "codexErrorInfo"] {
        if let Some(value) = error.data.get(name).and_then(Value::as_str) {
            said.push(evidence(EvidenceSource::Field, name, value));
        }
    }
    let message = of_provider("message").unwrap_or_else(|| words.clone());
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

/// The words that say most, and the provider's own error object if they hold one.
fn words(error: &RpcError) -> (String, Option<Value>) {
    let details = error.data.get("details").or_else(|| error.data.get("message"));
    let details = details.and_then(Value::as_str).or_else(|| error.data.as_str());
    let words = details.filter(|words| !words.is_empty()).unwrap_or(&error.message);
    let object = words.find('{').and_then(|at| first_object(&words[at..]));
    let inner = object.map(|object| match object.get("error") {
        Some(error) if error.is_object() => error.clone(),
        _ => object,
    });
    let words = words.strip_prefix("Internal error: ").unwrap_or(words);
    (words.to_owned(), inner)
}

/// The failure that an agent tells in words of its own where an answer would stand. Only who knows by other signs
/// that they are no answer may ask.
pub(super) fn of_own_words(table: &Table, words: &str) -> Failure {
    let words = words.trim();
    let mut said = vec![evidence(EvidenceSource::Text, "message", words)];
    // Copilot: one that it does not try again, and one that it gave up; Codex; Copilot again, of what it does not know.
    let leads = ["(HTTP ", "Last error: ", "last status: ", "unexpected status ", "Error: "];
    let number = |lead: &&str| words.split_once(lead)?.1.get(..3)?.parse::<u16>().ok();
    let is_status = |status: &u16| (400..600).contains(status);
    if let Some(status) = leads.iter().filter_map(number).find(is_status) {
        said.push(evidence(EvidenceSource::Status, "message", status));
    }
    let words =
        if words.is_empty() { "the turn failed, and the agent does not say why" } else { words };
    waits::with_words(table.failure(words, said), words)
}

/// The object with which a text begins, whatever follows.
fn first_object(text: &str) -> Option<Value> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    values.next()?.ok()
}

/// An HTTP status: Gemini's code is one, Qwen's words begin with one.
fn status_of(error: &RpcError, words: &str) -> Option<i64> {
    let is_status = |status: &i64| (400..600).contains(status);
    let lead = words.strip_prefix("[API Error: ").unwrap_or(words);
    let spoken = lead.split([' ', ':']).next().and_then(|word| word.parse().ok());
    Some(error.code).filter(is_status).or(spoken.filter(is_status))
}
