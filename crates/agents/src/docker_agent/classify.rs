//! Why a turn of Docker Agent failed: what it has said of it, for the [table](super::failures) to decide on.

use super::failures::FAILURES;
use super::last_error::LastError;
use crate::failures::evidence;
use crate::provider_error::{Answer, SdkError};
use crate::stderr::StderrTail;
use crate::{Exit, exit, waits};
use belay_trace::{EvidenceSource, Failure, FailureKind, plain};

/// A failure, and whether Docker Agent has tried again what has failed before it gave up.
#[derive(Debug)]
pub(super) struct GaveUp {
    pub(super) failure: Failure,
    pub(super) has_retried: bool,
}

/// The failure behind an `error` event.
pub(super) fn of_error(message: &str, code: Option<&str>) -> Failure {
    let error = SdkError::read(without_leads(message));
    let code = code.map(|code| evidence(EvidenceSource::Field, "code", code));
    let said = code.into_iter().chain(error.evidence()).collect();
    waits::with_words(FAILURES.failure(message, said), &error.words)
}

/// The failure behind the reason for which a stream stopped; none if that is how an answer ends.
pub(super) fn of_reason(reason: Option<&str>) -> Option<Failure> {
    let reason = reason.filter(|reason| *reason != "normal")?;
    let said = vec![evidence(EvidenceSource::Field, "reason", reason)];
    Some(FAILURES.failure(format!("the stream stopped: {reason}"), said))
}

/// Why a turn failed whose process is gone: by the words with which it gave up, if it had any. `seen` says that it
/// had begun.
pub(super) fn of_exit(
    exit: Exit,
    interrupted: bool,
    seen: bool,
    stderr: &StderrTail,
    error: &LastError,
) -> GaveUp {
    let failure = exit::failure("docker-agent", exit, interrupted, seen, stderr);
    let words = error.words().filter(|_| matches!(exit, Exit::Code(1..)) && !interrupted);
    let Some(words) = words else {
        let failure = match (stderr.words(), failure.kind, exit) {
            (Some(words), FailureKind::Crashed, Exit::Code(_)) => {
                Failure { kind: FailureKind::Unknown, message: words.clone(), ..failure }
            }
            _ => failure,
        };
        return GaveUp { failure, has_retried: false };
    };
    let gave_up = of_words(&words, seen);
    let evidence = gave_up.failure.evidence.into_iter().chain(failure.evidence).collect();
    GaveUp { failure: Failure { evidence, ..gave_up.failure }, ..gave_up }
}

/// Why the program does not take the agent's file, by what it has printed.
pub(super) fn of_trial(stderr: &str) -> Failure {
    let mut error = LastError::default();
    stderr.lines().for_each(|line| error.line(&plain(line)));
    match error.words() {
        Some(words) => of_words(&words, false).failure,
        None => {
            let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
            let words = last.unwrap_or("docker-agent says nothing");
            Failure::new(FailureKind::Unknown, words)
        }
    }
}

fn of_words(words: &str, seen: bool) -> GaveUp {
    if let Some(names) = words.strip_prefix(MISSING).map(names) {
        let list = names.join(", ");
        let said = vec![evidence(EvidenceSource::Text, "message", MISSING)];
        let mut failure = FAILURES.failure(format!("{MISSING}: {list}"), said);
        for name in names {
            failure = failure.with(EvidenceSource::Field, "missing_variable", name);
        }
        return GaveUp { failure, has_retried: false };
    }
    let error = SdkError::read(without_leads(words));
    let failure = FAILURES.failure(&error.words, error.evidence());
    let failure = waits::with_words(failure, &error.words);
    let failure = match (failure.kind, error.answer) {
        // It has not begun: what it was started with does not please it. Its words may quote a file of the user's.
        (_, Answer::Unknown) if !seen && !is_of_access(&failure) => {
            let message = words.lines().take(2).collect::<Vec<_>>().join(" ");
            Failure { kind: FailureKind::InvalidRequest, message, ..failure }
        }
        _ => failure,
    };
    let has_retried = error.is_retried
        || (error.answer == Answer::Status && error.status.is_some_and(is_tried_again));
    GaveUp { failure, has_retried }
}

/// A login that is missing, or a registry that cannot be reached: that is not wrong with the request.
fn is_of_access(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::Auth | FailureKind::Network)
}

/// What Docker Agent itself tries three times, with any provider.
fn is_tried_again(status: u16) -> bool {
    matches!(status, 408 | 500 | 502..=504 | 529)
}

/// What stands in front of an SDK's words.
fn without_leads(mut words: &str) -> &str {
    for lead in ["all models failed: ", "error receiving from stream: ", "model failed: "] {
        words = words.strip_prefix(lead).unwrap_or(words);
    }
    words
}

/// How it names the variables that its agent's file needs, one a line.
const MISSING: &str = "The following environment variables must be set";

fn names(rest: &str) -> Vec<String> {
    let lines = rest.trim_start_matches(':').trim_start().lines();
    let names = lines.map_while(|line| line.trim_start().strip_prefix("- "));
    names.map(|name| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &str, want: FailureKind, message: &str, has_retried: bool) {
        let gave_up = of_words(words, true);
        let found = (gave_up.failure.kind, gave_up.failure.message.as_str(), gave_up.has_retried);
        assert_eq!(found, (want, message, has_retried), "{words}");
    }

    #[test]
    fn missing_variables_are_named() {
        let words = "The following environment variables must be set:\n - LAB_KEY\n - B\n\nEither:\n - Set those";
        let gave_up = of_words(words, false);
        assert_eq!(gave_up.failure.kind, FailureKind::Auth);
        assert_eq!(
            gave_up.failure.message,
            "The following environment variables must be set: LAB_KEY, B"
        );
    }

    #[test]
    fn a_status_decides_and_says_whether_it_was_tried_again() {
        let begin = "all models failed: error receiving from stream: POST \"http://x/v1\": ";
        for (status, body, want, message, has_retried) in [
            (
                "429 Too Many Requests",
                r#" {"message":"slow","code":"x"}"#,
                FailureKind::RateLimited,
                "429 Too Many Requests: slow",
                true,
            ),
            ("401 Unauthorized", "", FailureKind::Auth, "401 Unauthorized", false),
            (
                "503 Service Unavailable",
                " ",
                FailureKind::Overloaded,
                "503 Service Unavailable",
                true,
            ),
        ] {
            check(&format!("{begin}{status}{body}"), want, message, has_retried);
        }
        check(
            "all models failed: Post \"http://x/v1\": dial tcp 1.2.3.4:9: connect: connection refused",
            FailureKind::Network,
            "dial tcp: connect: connection refused",
            true,
        );
        check(
            "all models failed: error receiving from stream: unexpected EOF",
            FailureKind::Network,
            "unexpected EOF",
            false,
        );
        check(
            "The conversation has exceeded the model's context window and automatic compaction is not enabled.",
            FailureKind::ContextOverflow,
            "The conversation has exceeded the model's context window and automatic compaction is not enabled.",
            false,
        );
    }

    #[test]
    fn a_file_that_does_not_parse_is_an_invalid_request_whatever_it_says() {
        let words = "parsing config file\n[1:1] rate limit exceeded\n>  1 | 429: too many requests";
        let failure = of_words(words, false).failure;
        assert_eq!(failure.kind, FailureKind::InvalidRequest);
        assert_eq!(failure.message, "parsing config file [1:1] rate limit exceeded");
        let words =
            "reading agent: Get \"https://hub.test/v2/\": dial tcp: lookup hub.test: no such host";
        assert_eq!(of_words(words, false).failure.kind, FailureKind::Network);
    }
}
