//! Why a turn of Docker Agent failed: what it has said of it, for the [table](super::failures) to decide on.

use super::failures::FAILURES;
use crate::failures::evidence;
use crate::stderr::StderrTail;
use crate::{Exit, exit, waits};
use belay_trace::{EvidenceSource, Failure, FailureKind};

/// The failure behind an `error` event.
pub(super) fn of_error(message: &str, code: Option<&str>) -> Failure {
    let code = code.map(|code| evidence(EvidenceSource::Field, "code", code));
    let text = evidence(EvidenceSource::Text, "error", message);
    let said = code.into_iter().chain([text]).collect();
    waits::with_words(FAILURES.failure(message, said), message)
}

/// The failure behind the reason for which a stream stopped; none if that is how an answer ends.
pub(super) fn of_reason(reason: Option<&str>) -> Option<Failure> {
    let reason = reason.filter(|reason| *reason != "normal")?;
    let said = vec![evidence(EvidenceSource::Field, "reason", reason)];
    Some(FAILURES.failure(format!("the stream stopped: {reason}"), said))
}

/// Why a turn failed whose process is gone: in its own words, if it had any.
pub(super) fn of_exit(exit: Exit, interrupted: bool, seen: bool, stderr: &StderrTail) -> Failure {
    let failure = exit::failure("docker-agent", exit, interrupted, seen, stderr);
    match (stderr.words(), failure.kind, exit) {
        (Some(words), FailureKind::Crashed, Exit::Code(_)) => {
            Failure { kind: FailureKind::Unknown, message: words.clone(), ..failure }
        }
        _ => failure,
    }
}
