//! Why a turn of OpenCode failed: what it has said of it, for the [table](super::failures) to decide on.

use super::failures::FAILURES;
use crate::failures::evidence;
use crate::provider_error::{ProviderError, status_in};
use crate::waits;
use crate::wire::lenient;
use belay_trace::EvidenceSource::{Field, Status, Text};
use belay_trace::{Event, Evidence, Failure, FailureKind, Retry};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

/// An error of OpenCode 1.18.33: `{name, data}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Error {
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    #[serde(deserialize_with = "lenient")]
    data: Data,
}

/// What a request failed with that OpenCode tries again, of which it gives the words alone.
pub(super) fn of_retry(message: &str) -> Option<FailureKind> {
    FAILURES.kind(&with_body(vec![evidence(Text, "message", message)], message))
}

/// OpenCode goes on behind a failure: it has tried again, and did not say so.
pub(super) fn tried_again(failure: &Failure) -> Event {
    let reason = failure.message.clone();
    let kind = Some(failure.kind).filter(|kind| *kind != FailureKind::Unknown);
    Event::Retry(Retry { reason, kind, ..Retry::default() })
}

/// Adds what the provider's own error object says, if the text holds one, and the status that its words name.
fn with_body(mut said: Vec<Evidence>, text: &str) -> Vec<Evidence> {
    if let Some(error) = ProviderError::in_text(text) {
        said.extend(error.evidence("error.", &said));
    }
    if !said.iter().any(|said| said.source == Status) {
        said.extend(status_in(text).map(|status| evidence(Status, "message", status)));
    }
    said
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
    #[serde(rename = "responseHeaders", deserialize_with = "lenient")]
    headers: Map<String, Value>,
}

/// When a used-up plan comes back, in the body that OpenCode passes on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    #[serde(deserialize_with = "lenient")]
    error: BodyError,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BodyError {
    /// In seconds since 1970.
    #[serde(deserialize_with = "lenient")]
    resets_at: Option<i64>,
}

impl Error {
    /// What it was, once OpenCode has tried again.
    pub(super) fn retry(&self) -> Event {
        tried_again(&self.failure())
    }

    /// The failure that it stands for.
    pub(super) fn failure(&self) -> Failure {
        self.failure_with(None)
    }

    fn failure_with(&self, log: Option<&str>) -> Failure {
        let body = self.data.body.as_deref().unwrap_or_default();
        let words = self.data.message.as_str();
        let message = match (log, words) {
            (Some(log), _) => log,
            (None, "") => self.name.as_str(),
            (None, words) => words,
        };
        let status = self.data.status.map(|status| status.to_string());
        let said = [
            (Field, "error.name", Some(self.name.as_str())),
            (Status, "statusCode", status.as_deref()),
            (Text, "message", Some(words)),
            (Text, "log", log),
        ];
        let said: Vec<Evidence> = said
            .into_iter()
            .filter_map(|(source, name, value)| Some((source, name, value?)))
            .filter(|(_, _, value)| !value.is_empty())
            .map(|(source, name, value)| evidence(source, name, value))
            .collect();
        let said = with_body(said, if body.is_empty() { words } else { body });
        let mut failure = self.with_wait(FAILURES.failure(message, said));
        let body: Body = serde_json::from_str(body).unwrap_or_default();
        let resets_at = body.error.resets_at.and_then(|s| Timestamp::from_second(s).ok());
        if failure.kind == FailureKind::UsageLimit && resets_at.is_some() {
            (failure.resets_at, failure.reset_source) = (resets_at, Some(Field));
        }
        waits::with_words(failure, words)
    }

    /// What the provider's headers ask for.
    fn with_wait(&self, failure: Failure) -> Failure {
        let header = |name: &str| {
            let found = self.data.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.and_then(|(_, value)| value.as_str())
        };
        let asked = ["retry-after-ms", "retry-after"];
        let found = asked.into_iter().find_map(|name| Some((name, header(name)?)));
        match found {
            Some((name, value)) => waits::with_header(failure, name, value),
            None => failure,
        }
    }
}

/// The failure of an error that says nothing itself and stands in the log: `opencode run` hides that a model is
/// unknown behind "Unexpected server error".
pub(super) fn with_log(error: &Error, log: &[String]) -> Failure {
    let Some(reference) = &error.data.reference else { return error.failure() };
    let is_it = |line: &&String| line.split(' ').any(|word| word == format!("ref={reference}"));
    let cause = log.iter().find(is_it).and_then(|line| line.split_once(" error=\""));
    let cause = cause.map(|(_, cause)| cause.split('"').next().unwrap_or_default());
    error.failure_with(cause)
}

/// A turn that ended with the denial of a tool.
pub(super) fn denied() -> Failure {
    let words = "opencode ended its turn when a tool was denied";
    Failure::new(FailureKind::PermissionDenied, words).with(Field, "finish", "tool-calls")
}
