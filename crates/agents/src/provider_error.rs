//! A provider's own error object, wherever an agent hands it on: as JSON, in the middle of its words, as text inside of
//! another one. And the HTTP status that an agent's words name.

mod go_sdk;

pub(crate) use self::go_sdk::{Answer, SdkError};

use crate::failures::evidence;
use belay_trace::Evidence;
use belay_trace::EvidenceSource::{Field, Status, Text};
use serde_json::{Map, Value};

/// How deep objects lie in objects: a gateway's, that of the gateway before it, the provider's.
const DEPTH_MAX: usize = 4;

/// How many braces of a text may begin an object.
const BRACES_MAX: usize = 8;

/// What a provider says of an error.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ProviderError {
    /// Its words; those of the innermost object that has some.
    pub(crate) message: Option<String>,
    /// Its codes and classes, by their names: `code`, `type`, `status`, `reason`, `quota`.
    fields: Vec<(&'static str, String)>,
    /// An HTTP status, where the object repeats it.
    status: Option<u64>,
}

impl ProviderError {
    /// The error that a text holds, if it holds one.
    pub(crate) fn in_text(text: &str) -> Option<Self> {
        let mut error = Self::default();
        error.read_text(text, 0).then_some(error)
    }

    /// What it shows, each field's name behind this prefix; nothing that is in `known`.
    pub(crate) fn evidence(&self, prefix: &str, known: &[Evidence]) -> Vec<Evidence> {
        let mut said: Vec<Evidence> = Vec::new();
        for (name, value) in &self.fields {
            let is_told = |other: &Evidence| other.source == Field && other.value == *value;
            if !known.iter().chain(&said).any(is_told) {
                said.push(evidence(Field, &format!("{prefix}{name}"), value));
            }
        }
        if let Some(status) = self.status
            && !known.iter().any(|other| other.source == Status)
        {
            said.push(evidence(Status, &format!("{prefix}code"), status));
        }
        let words = self.message.iter();
        let words = words.filter(|words| !known.iter().any(|other| other.value == **words));
        said.extend(words.map(|words| evidence(Text, &format!("{prefix}message"), words)));
        said
    }

    fn read_text(&mut self, text: &str, depth: usize) -> bool {
        if depth > DEPTH_MAX {
            return false;
        }
        let braces = text.match_indices('{').map(|(at, _)| at).take(BRACES_MAX);
        let mut values = braces.filter_map(|at| {
            let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
            values.next()?.ok()
        });
        values.next().is_some_and(|value| self.read(&value, depth))
    }

    fn read(&mut self, value: &Value, depth: usize) -> bool {
        match value {
            _ if depth > DEPTH_MAX => false,
            Value::Array(values) => values.first().is_some_and(|first| self.read(first, depth + 1)),
            Value::Object(object) => self.read_object(object, depth),
            _ => false,
        }
    }

    /// The inner one first: its codes say more than those of what passed it on.
    fn read_object(&mut self, object: &Map<String, Value>, depth: usize) -> bool {
        let mut is_error = false;
        for name in ["error", "detail", "innererror", "metadata", "raw", "message"] {
            is_error |= match object.get(name) {
                Some(Value::String(text)) => {
                    let is_nested = self.read_text(text, depth + 1);
                    if !is_nested && !text.is_empty() {
                        self.message.get_or_insert_with(|| text.clone());
                    }
                    true
                }
                Some(value) => self.read(value, depth + 1),
                None => false,
            };
        }
        for detail in object.get("details").and_then(Value::as_array).into_iter().flatten() {
            self.field("reason", &detail["reason"]);
            for violation in detail["violations"].as_array().into_iter().flatten() {
                self.field("quota", &violation["quotaId"]);
            }
        }
        for name in ["code", "type", "status"] {
            if let Some(value) = object.get(name) {
                is_error |= self.field(name, value);
            }
        }
        is_error
    }

    /// Keeps a code; an HTTP status in its place is one.
    fn field(&mut self, name: &'static str, value: &Value) -> bool {
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        match (number, value) {
            (Some(number), _) if is_error_status(number) => {
                self.status.get_or_insert(number);
                true
            }
            // Any object of an API has a type; that of the outermost error says nothing.
            (_, Value::String(text)) if !text.is_empty() && text != "error" => {
                self.fields.push((name, text.clone()));
                true
            }
            _ => false,
        }
    }
}

fn is_error_status(number: u64) -> bool {
    (400..600).contains(&number)
}

/// What stands in front of an HTTP status in the words of agents and SDKs.
const LEADS: [&str; 8] = [
    "unexpected status ",
    "last status: ",
    "(HTTP ",
    "HTTP ",
    "Error code: ",
    "status code ",
    "(status=",
    // The AWS SDKs.
    "StatusCode: ",
];

/// The HTTP status that these words begin with, or name behind one of the usual leads.
pub(crate) fn status_in(words: &str) -> Option<u16> {
    let lead = words.strip_prefix("[API Error: ").unwrap_or(words);
    let named = LEADS.iter().filter_map(|lead| Some(words.split_once(lead)?.1));
    std::iter::once(lead).chain(named).find_map(status_at)
}

/// The HTTP status with which a text begins; a number that goes on is none.
pub(crate) fn status_at(text: &str) -> Option<u16> {
    let (digits, rest) = text.split_at_checked(3)?;
    let status = digits.parse().ok().filter(|status| is_error_status(u64::from(*status)));
    status.filter(|_| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &[&str]) {
        let said = ProviderError::in_text(text).map(|error| error.evidence("", &[]));
        let said = said.unwrap_or_default();
        let said: Vec<_> =
            said.iter().map(|said| format!("{}={}", said.name, said.value)).collect();
        assert_eq!(said, want, "{text}");
    }

    #[test]
    fn an_error_is_found_in_every_shape_of_a_body() {
        check(
            r#"{"error":{"message":"no","type":"t","code":"c","param":null}}"#,
            &["code=c", "type=t", "message=no"],
        );
        check(r#"{"detail":"not here"}"#, &["message=not here"]);
        check(
            r#"{"code":"prose","error":"Your team has none"}"#,
            &["code=prose", "message=Your team has none"],
        );
        check(r#"429: {"message":"slow","code":"1302"}"#, &["code=1302", "message=slow"]);
        check(r#"oh {no} {"error":{"message":"m","code":429}} [x]"#, &["code=429", "message=m"]);
        check(
            r#"{"type":"error","status":400,"error":{"type":"invalid_request_error","message":"m"}}"#,
            &["type=invalid_request_error", "code=400", "message=m"],
        );
    }

    #[test]
    fn the_innermost_words_are_the_providers() {
        check(
            r#"{"error":{"message":"{\"error\":{\"message\":\"inner\",\"code\":\"deep\"}}\n","type":"error"}}"#,
            &["code=deep", "message=inner"],
        );
        check(
            r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"busy upstream"}}}"#,
            &["code=429", "message=busy upstream"],
        );
        check(
            r#"[{"error":{"code":400,"message":"expired","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"},{"violations":[{"quotaId":"PerDay"}]}]}}]"#,
            &[
                "reason=API_KEY_INVALID",
                "quota=PerDay",
                "status=INVALID_ARGUMENT",
                "code=400",
                "message=expired",
            ],
        );
    }

    #[test]
    fn what_is_no_error_says_nothing() {
        for text in ["", "no", "{", "{}", r#"{"a":1}"#, "{\"error\"", &"{\"error\":".repeat(1000)] {
            check(text, &[]);
        }
    }

    #[test]
    fn a_status_is_named_or_stands_at_the_beginning() {
        for (words, want) in [
            ("429: slow down", Some(429)),
            ("400 {\"type\":\"error\"}", Some(400)),
            ("[API Error: 401 no]", Some(401)),
            ("unexpected status 403 Forbidden: no", Some(403)),
            ("exceeded retry limit, last status: 503", Some(503)),
            ("Error code: 401 - {'error': {}}", Some(401)),
            ("4290 tests failed", None),
            ("200: fine", None),
            ("the log says 429", None),
            ("42", None),
        ] {
            assert_eq!(status_in(words), want, "{words}");
        }
    }
}
