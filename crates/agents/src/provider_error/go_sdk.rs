//! How the Go SDKs of OpenAI, Anthropic and Google word a request that failed, and what Go says of one without an answer.
//!
//! OpenAI and Anthropic: `POST "https://host/path": 429 Too Many Requests {…}`. Google: `Error 429, Message: …, Status:
//! RESOURCE_EXHAUSTED, Details: […]`. Go's own client: `Post "https://host/path": dial tcp …`. The address is the user's:
//! nothing in it is evidence.

use super::{ProviderError, status_at, status_in};
use crate::failures::evidence;
use belay_trace::Evidence;
use belay_trace::EvidenceSource::{Field, Status, Text};

/// A failed request, read from the words of an SDK.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SdkError {
    /// The HTTP status, if there was an answer.
    pub(crate) status: Option<u16>,
    /// What came instead of one.
    pub(crate) answer: Answer,
    /// The SDK tries such a failure again by itself, without a word.
    pub(crate) is_retried: bool,
    /// What it says, for people, without an address.
    pub(crate) words: String,
    said: Vec<Evidence>,
}

/// What came back from the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A status, and perhaps a body.
    Status,
    /// Nothing: the request itself failed.
    Nothing,
    /// It is not a failed request at all, or one in words of another kind.
    #[default]
    Unknown,
}

impl SdkError {
    /// Reads the words of an error. Any text is one; what is not known of it is left open.
    pub(crate) fn read(text: &str) -> Self {
        if let Some(tail) = behind_address(text) {
            return match status_at(tail) {
                Some(status) => Self::with_body(status, tail),
                None => Self::unanswered(tail),
            };
        }
        if let Some(error) = Self::of_google(text) {
            return error;
        }
        let body = ProviderError::in_text(text).unwrap_or_default();
        let words = body.message.clone().unwrap_or_else(|| first_line(text).to_owned());
        let mut said = body.evidence("", &[]);
        let status = status_in(first_line(text));
        if let Some(status) = status
            && !said.iter().any(|known| known.source == Status)
        {
            said.push(evidence(Status, "error", status));
        }
        if body.message.is_none() {
            said.push(evidence(Text, "message", &words));
        }
        let answer = if status.is_some() { Answer::Status } else { Answer::Unknown };
        Self { status, answer, is_retried: false, words, said }
    }

    /// What it shows.
    pub(crate) fn evidence(&self) -> Vec<Evidence> {
        self.said.clone()
    }

    /// `429 Too Many Requests {…}`.
    fn with_body(status: u16, tail: &str) -> Self {
        let begins = tail.find(['{', '[', '<', '\n']).unwrap_or(tail.len());
        let line = without_request_id(tail[..begins].trim());
        let body = ProviderError::in_text(&tail[begins..]).unwrap_or_default();
        let words = match &body.message {
            Some(message) => format!("{line}: {message}"),
            None => line.to_owned(),
        };
        let mut said = vec![evidence(Status, "error", status)];
        said.extend(body.evidence("", &said));
        let is_retried = matches!(status, 408 | 409 | 429 | 500..);
        Self { status: Some(status), answer: Answer::Status, is_retried, words, said }
    }

    fn unanswered(tail: &str) -> Self {
        let words = without_hosts(first_line(tail));
        let said = vec![evidence(Field, "answer", "none")];
        Self { status: None, answer: Answer::Nothing, is_retried: true, words, said }
    }

    /// `Error 429, Message: …, Status: …, Details: […]`.
    fn of_google(text: &str) -> Option<Self> {
        let (_, begun) = text.split_once("Error ")?;
        let status = status_at(begun)?;
        let rest = begun.get(3..)?.strip_prefix(", Message: ")?;
        // The message comes from the provider, and may have anything in it.
        let (message, class, details) =
            rest.match_indices(", Status: ").find_map(|(at, lead)| {
                let (class, details) = rest[at + lead.len()..].split_once(", Details: ")?;
                (!class.contains(',')).then_some((&rest[..at], class, details))
            })?;
        let nested = ProviderError::in_text(message);
        let mut said = vec![evidence(Status, "error", status)];
        if is_code(class) {
            said.push(evidence(Field, "status", class));
        }
        for (name, lead) in [("reason", "reason:"), ("quota", "quotaId:")] {
            for (at, _) in details.match_indices(lead) {
                let value = &details[at + lead.len()..];
                let end = value.find([' ', ']']).unwrap_or(value.len());
                said.push(evidence(Field, name, &value[..end]));
            }
        }
        let words = match &nested {
            Some(body) => {
                said.extend(body.evidence("", &said));
                body.message.clone().unwrap_or_default()
            }
            None => {
                let words = message.split('<').next().unwrap_or_default().trim();
                if !words.is_empty() {
                    said.push(evidence(Text, "message", words));
                }
                words.to_owned()
            }
        };
        let words = match words.as_str() {
            "" if class.starts_with(&status.to_string()) => class.to_owned(),
            "" => format!("{status} {class}"),
            words => format!("{status}: {words}"),
        };
        // Google's SDK tries nothing again.
        Some(Self { status: Some(status), answer: Answer::Status, is_retried: false, words, said })
    }
}

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

/// What stands behind `METHOD "ADDRESS": `.
fn behind_address(text: &str) -> Option<&str> {
    text.match_indices(" \"http").find_map(|(at, _)| {
        let method = text[..at].rsplit(|c: char| !c.is_ascii_alphabetic()).next()?;
        let (_, tail) = text[at + 2..].split_once("\": ")?;
        METHODS.iter().any(|known| method.eq_ignore_ascii_case(known)).then_some(tail)
    })
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim()
}

/// `429 Too Many Requests (Request-ID: req_1)`.
fn without_request_id(line: &str) -> &str {
    line.split_once(" (Request-ID").map_or(line, |(line, _)| line)
}

/// The words of Go's network errors without the addresses in them: `dial tcp 10.0.0.1:443: connect: refused`.
fn without_hosts(words: &str) -> String {
    let parts = words.split(": ").map(|part| {
        let is_network = ["dial ", "read ", "write ", "lookup ", "proxyconnect "]
            .iter()
            .any(|lead| part.starts_with(lead));
        match part.split_once(' ') {
            Some((verb, rest)) if is_network => {
                let network = rest.split(' ').next().filter(|word| word.starts_with("tcp"));
                network.map_or_else(|| verb.to_owned(), |network| format!("{verb} {network}"))
            }
            _ => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join(": ")
}

/// `RESOURCE_EXHAUSTED`; where there was no body, the SDK puts the status line in its place.
fn is_code(class: &str) -> bool {
    !class.is_empty() && class.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, words: &str, want: &[&str]) {
        let error = SdkError::read(text);
        let said = error.evidence();
        let said: Vec<_> =
            said.iter().map(|said| format!("{}={}", said.name, said.value)).collect();
        assert_eq!(
            (error.words.as_str(), said),
            (words, want.iter().map(|s| s.to_string()).collect())
        );
    }

    #[test]
    fn each_sdk_words_a_status_and_a_body_in_its_own_way() {
        check(
            r#"POST "https://api.x.test/v1/chat/completions": 429 Too Many Requests {"message":"slow","type":"tokens","code":"rate_limit_exceeded"}"#,
            "429 Too Many Requests: slow",
            &["error=429", "code=rate_limit_exceeded", "type=tokens", "message=slow"],
        );
        check(
            r#"POST "https://api.x.test/v1/messages": 529 Status 529 (Request-ID: req_1) {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            "529 Status 529: Overloaded",
            &["error=529", "type=overloaded_error", "message=Overloaded"],
        );
        check(
            "Error 400, Message: API key not valid, Status: INVALID_ARGUMENT, Details: [map[@type:t domain:d reason:API_KEY_INVALID]]",
            "400: API key not valid",
            &[
                "error=400",
                "status=INVALID_ARGUMENT",
                "reason=API_KEY_INVALID",
                "message=API key not valid",
            ],
        );
        check(
            "Error 502, Message: <html>no</html>, Status: 502 Bad Gateway, Details: []",
            "502 Bad Gateway",
            &["error=502"],
        );
    }

    #[test]
    fn an_address_is_no_evidence_and_is_not_repeated() {
        check(
            r#"POST "https://rate-limit.overloaded.test/unauthorized": 502 Bad Gateway "#,
            "502 Bad Gateway",
            &["error=502"],
        );
        for (tail, words) in [
            (
                "dial tcp 10.0.0.1:443: connect: connection refused",
                "dial tcp: connect: connection refused",
            ),
            (
                "dial tcp: lookup overloaded.test on 127.0.0.53:53: no such host",
                "dial tcp: lookup: no such host",
            ),
            (
                "read tcp 10.0.0.1:5->10.0.0.2:443: read: connection reset by peer",
                "read tcp: read: connection reset by peer",
            ),
            ("EOF", "EOF"),
        ] {
            check(&format!("Post \"https://429.test\": {tail}"), words, &["answer=none"]);
        }
    }

    #[test]
    fn other_words_are_kept_as_they_are() {
        check("unexpected EOF", "unexpected EOF", &["message=unexpected EOF"]);
        check(
            r#"received error while streaming: {"type":"error","error":{"type":"api_error","message":"m"}}"#,
            "m",
            &["type=api_error", "message=m"],
        );
        check("a \"quoted\" word", "a \"quoted\" word", &["message=a \"quoted\" word"]);
        let agent = "cannot load \"https://x.test/agent.yaml\": 404 Not Found";
        check(agent, agent, &[&format!("message={agent}")]);
    }
}
