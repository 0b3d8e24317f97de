//! Why a turn of Docker Agent failed.
//!
//! The class of an error never reaches its JSON stream: the program prints the words on standard error and exits
//! with a code. Nobody has recorded those words, so belay guesses nothing from them.

use crate::stderr::StderrTail;
use crate::{Exit, exit};
use belay_trace::{EvidenceSource, Failure, FailureKind};

/// The failure behind an `error` event.
pub(super) fn of_error(message: &str, code: Option<&str>) -> Failure {
    let kind = match code.unwrap_or_default() {
        "rate_limited" => FailureKind::RateLimited,
        "context_exceeded" | "request_too_large" => FailureKind::ContextOverflow,
        "media_too_large" => FailureKind::InvalidRequest,
        "hook_blocked" => FailureKind::PermissionDenied,
        "loop_detected" => FailureKind::LimitReached,
        _ => FailureKind::Unknown,
    };
    let failure = Failure::new(kind, message);
    let failure = match code {
        Some(code) => failure.with(EvidenceSource::Field, "code", code),
        None => failure,
    };
    failure.with(EvidenceSource::Text, "error", message)
}

/// The failure behind the reason for which a stream stopped; none if that is how an answer ends.
pub(super) fn of_reason(reason: Option<&str>) -> Option<Failure> {
    let reason = reason.filter(|reason| *reason != "normal")?;
    let kind = match reason {
        "canceled" => FailureKind::Interrupted,
        "hook_blocked" => FailureKind::PermissionDenied,
        _ => FailureKind::Unknown,
    };
    let failure = Failure::new(kind, format!("the stream stopped: {reason}"));
    Some(failure.with(EvidenceSource::Field, "reason", reason))
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
