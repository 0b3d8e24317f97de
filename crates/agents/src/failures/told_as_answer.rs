//! A failure that an agent tells as if the model had said it: words that begin as no model begins an answer.
//!
//! Of an agent that nobody has measured the words are all there is. So what is certain is narrow, the forms in which APIs
//! and their SDKs say a status or the class of an error, and everything else stays an answer: one that is right must not
//! be paid for twice.

use crate::provider_error::status_at;

/// How sure it is that words are a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lead<'a> {
    /// They begin with this, a status or a class of errors, in a form that only programs use.
    Certain(&'a str),
    /// They begin as a failure does, and as an answer may.
    Likely,
}

/// What stands in front of a status: agents, SDKs, HTTP clients.
const STATUS_LEADS: [&str; 8] = [
    "HTTP ",
    "Error code: ",
    "API Error: ",
    "[API Error: ",
    "status code ",
    "Request failed with status code ",
    "unexpected status ",
    "",
];

/// Packages whose classes of errors stand in front of their words.
const PACKAGES: [&str; 4] = ["litellm.", "openai.", "anthropic.", "google.genai.errors."];

/// The classes of the SDKs that no program of a user's is likely to have.
const CLASSES: [&str; 11] = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "ContextWindowExceededError",
    "InternalServerError",
    "OverloadedError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServiceUnavailableError",
    "UnprocessableEntityError",
];

/// How failures begin for people.
const LIKELY: [&str; 13] = [
    "error:",
    "error ",
    "**error",
    "internal error",
    "api error",
    "[api error",
    "api call failed",
    "request failed",
    "authentication failed",
    "incorrect api key",
    "invalid api key",
    "rate limit reached",
    "rate limit exceeded",
];

/// Returns how these words begin, if it is as a failure does.
pub(crate) fn lead(words: &str) -> Option<Lead<'_>> {
    let words = words.trim_start();
    let bare = without_preamble(words);
    if let Some(certain) = status(bare).or_else(|| class(bare)) {
        return Some(Lead::Certain(certain));
    }
    let begin: String = words.chars().take(40).collect();
    let begin = begin.to_lowercase();
    LIKELY.iter().any(|lead| begin.starts_with(lead)).then_some(Lead::Likely)
}

/// Returns the status or the class that a text names anywhere in a form that only programs use: for words that are known
/// to be no answer.
#[cfg(any(feature = "acp", test))]
pub(crate) fn named(words: &str) -> Option<&str> {
    let marked = ["(status=", "HTTP ", "Error code: ", "status code "];
    let behind = marked.iter().filter_map(|mark| Some(words.split_once(mark)?.1));
    let status = behind.filter(|rest| status_at(rest).is_some()).map(|rest| &rest[..3]).next();
    let class = || words.split_whitespace().find_map(class);
    status.or_else(class)
}

/// What stands in front of the lead itself: a word for people, and how often it was tried.
fn without_preamble(words: &str) -> &str {
    let words = ["**Error:**", "Error:", "error:"]
        .iter()
        .find_map(|lead| words.strip_prefix(lead))
        .map_or(words, str::trim_start);
    let Some(rest) = words.strip_prefix("API call failed after ") else { return words };
    rest.split_once(": ").map_or(words, |(_, rest)| rest)
}

/// The status that the text begins with, behind a lead and in front of what the API says.
fn status(words: &str) -> Option<&str> {
    STATUS_LEADS.iter().find_map(|lead| {
        let rest = words.strip_prefix(lead)?;
        status_at(rest)?;
        let behind = &rest[3..];
        // A bare number begins many sentences.
        let ends: &[&str] = match *lead {
            "" => &[" {", ": {"],
            _ => &[":", " -", " {", ")", "]", "."],
        };
        let is_alone = !lead.is_empty() && behind.trim().is_empty();
        (is_alone || ends.iter().any(|end| behind.starts_with(end))).then(|| &rest[..3])
    })
}

/// The class of an SDK that the text begins with.
fn class(words: &str) -> Option<&str> {
    let (name, _) = words.split_once(':')?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'));
    if !is_name {
        return None;
    }
    let in_package = PACKAGES.iter().any(|package| {
        let class = name.strip_prefix(package);
        class.is_some_and(|class| class.starts_with(|c: char| c.is_ascii_uppercase()))
    });
    (in_package || CLASSES.contains(&name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_or_a_class_of_an_sdk_in_front_is_certain() {
        for (words, want) in [
            ("HTTP 401: Incorrect API key provided", "401"),
            ("\n\nHTTP 500", "500"),
            ("API call failed after 3 retries: HTTP 429: slow down", "429"),
            ("Error code: 429 - {'error': {}}", "429"),
            ("**Error:** Error code: 401 - no", "401"),
            ("Request failed with status code 503", "503"),
            ("401 {\"type\":\"error\"}", "401"),
            ("API Error: 529 {\"type\":\"error\"}", "529"),
            ("litellm.AuthenticationError: AuthenticationError: no", "litellm.AuthenticationError"),
            ("RateLimitError: slow down", "RateLimitError"),
        ] {
            assert_eq!(lead(words), Some(Lead::Certain(want)), "{words}");
        }
    }

    #[test]
    fn a_word_for_people_is_likely_and_an_answer_is_neither() {
        for words in [
            "Error: no such file",
            "**Error:** Authentication failed",
            "API call failed after 3 retries: Connection error.",
            "Rate limit reached for m",
        ] {
            assert_eq!(lead(words), Some(Lead::Likely), "{words}");
        }
        for words in [
            "HTTP 401 means that the caller is not known.",
            "HTTP 200: fine",
            "401 tests passed",
            "429: the number of files",
            "TypeError: x is not a function",
            "Errors are values.",
            "The log says HTTP 401: no",
            "",
        ] {
            assert_eq!(lead(words), None, "{words}");
        }
    }

    #[test]
    fn words_that_are_no_answer_name_their_status_anywhere() {
        let of = "internal error calling the model (status=429): Rate limit";
        assert_eq!(named(of), Some("429"));
        assert_eq!(named("Sorry: litellm.RateLimitError: no"), Some("litellm.RateLimitError"));
        assert_eq!(named("I cannot help with room 404."), None);
    }
}
