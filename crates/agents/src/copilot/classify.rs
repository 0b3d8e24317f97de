//! Why a turn of Copilot failed: what it has said of it, for the [table](super::failures) to decide on.

use super::failures::FAILURES;
use super::wire::Data;
use crate::failures::evidence;
use crate::provider_error::ProviderError;
use crate::waits;
use crate::wire::decode;
use belay_trace::{Evidence, EvidenceSource, Failure, FailureKind};

/// A request to a model that failed.
#[derive(Debug, Default)]
pub(super) struct FailedCall {
    pub(super) status: Option<u16>,
    /// How often it was tried again before.
    pub(super) retries: u64,
    /// The provider's words.
    words: String,
    code: Option<String>,
    class: Option<String>,
    failure_kind: Option<String>,
    /// The provider's error object.
    body: ProviderError,
}

impl FailedCall {
    pub(super) fn of(data: Data<'_>) -> Self {
        let text = data.error_message.unwrap_or_default();
        // JSON text, of an object or of mere words.
        let body = ProviderError::in_text(&text).unwrap_or_default();
        let words = body.message.clone().or_else(|| decode(&text)).unwrap_or(text);
        Self {
            status: data.status_code,
            retries: data.retry_attempt.unwrap_or_default(),
            words,
            code: data.error_code,
            class: data.error_type,
            failure_kind: data.failure_kind,
            body,
        }
    }

    fn said(&self) -> Vec<Evidence> {
        let status = self.status.map(|status| status.to_string());
        let class = self.class.as_ref().filter(|class| self.code.as_ref() != Some(class));
        let mut said = all(&[
            (EvidenceSource::Field, "code", self.code.as_ref()),
            (EvidenceSource::Field, "type", class),
            (EvidenceSource::Field, "failureKind", self.failure_kind.as_ref()),
            (EvidenceSource::Status, "statusCode", status.as_ref()),
            (EvidenceSource::Text, "errorMessage", Some(&self.words)),
        ]);
        said.extend(self.body.evidence("", &said));
        said
    }

    /// The words for a retry, and what kind of failure it would be.
    pub(super) fn reason(&self) -> (String, Option<FailureKind>) {
        (self.words.clone(), FAILURES.kind(&self.said()))
    }
}

/// The failure behind a `session.error`, and the request that failed before it.
pub(super) fn of_error(data: Data<'_>, call: Option<&FailedCall>) -> Failure {
    let message = data.message.unwrap_or_else(|| "copilot has failed".to_owned());
    let status = data.status_code.map(|status| status.to_string());
    let mut said = all(&[
        (EvidenceSource::Field, "errorCode", data.error_code.as_ref()),
        (EvidenceSource::Field, "errorType", data.error_type.as_ref()),
        (EvidenceSource::Field, "providerErrorType", data.provider_error_type.as_ref()),
        (EvidenceSource::Status, "statusCode", status.as_ref()),
        (EvidenceSource::Text, "message", Some(&message)),
    ]);
    for more in call.into_iter().flat_map(FailedCall::said) {
        if !said.iter().any(|known| known.name == more.name) {
            said.push(more);
        }
    }
    let words = call.map_or_else(String::new, |call| call.words.clone());
    let failure = FAILURES.failure(&message, said);
    waits::with_words(waits::with_words(failure, &words), &message)
}

/// The failure that Copilot tells in words of its own where an answer would stand (1.0.102). Only who knows that they
/// are not the model's may ask.
pub(super) fn of_own_words(words: &str) -> Option<Failure> {
    let said = vec![evidence(EvidenceSource::Text, "own_words", words)];
    Some(FAILURES.failure(words, said)).filter(|failure| failure.kind == FailureKind::Refused)
}

/// The failure that a line on standard error tells, when Copilot gives up before it asks a model.
pub(super) fn of_stderr(line: &str) -> Option<Failure> {
    let said = vec![evidence(EvidenceSource::Text, "stderr", line)];
    Some(FAILURES.failure(line, said)).filter(|failure| failure.kind != FailureKind::Unknown)
}

fn all(said: &[(EvidenceSource, &str, Option<&String>)]) -> Vec<Evidence> {
    let said = said.iter().filter_map(|(source, name, value)| {
        value.filter(|value| !value.is_empty()).map(|value| evidence(*source, name, value))
    });
    said.collect()
}
