//! How the last response of a turn ended, and what the turn comes to by that.

use super::classify;
use crate::verdict::refusal;
use belay_trace::{EvidenceSource, Failure, FailureKind};

/// How a message ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) text: String,
    pub(super) stop_reason: Option<String>,
    pub(super) raw_stop_reason: Option<String>,
    pub(super) error: Option<String>,
}

impl Ending {
    /// True if the model has said all that it wanted to say.
    pub(super) fn is_stop(&self) -> bool {
        self.stop_reason.as_deref() == Some("stop")
    }
}

/// Why a turn that has settled has failed, if Pi says that it has.
pub(super) fn failure(aborted: Option<bool>, last: Option<&Ending>) -> Option<Failure> {
    let interrupted = |name: &str, value: &str| {
        let failure = Failure::new(FailureKind::Interrupted, "interrupted");
        failure.with(EvidenceSource::Field, name, value)
    };
    if aborted == Some(true) {
        return Some(interrupted("aborted", "true"));
    }
    let Some(last) = last else {
        return Some(Failure::new(FailureKind::Protocol, "pi settled without a response"));
    };
    let reason = last.stop_reason.as_deref().unwrap_or_default();
    let message = last.error.as_deref();
    let raw = last.raw_stop_reason.as_deref().unwrap_or_default();
    match reason {
        "stop" | "length" if let Some(refused) = refusal("rawStopReason", raw) => Some(refused),
        "stop" => None,
        "aborted" => Some(interrupted("stopReason", reason)),
        "error" => {
            let message = message.unwrap_or("the response failed");
            Some(classify::of_error(message, last.raw_stop_reason.as_deref()))
        }
        "length" => Some(classify::of_length(reason)),
        _ => {
            let words = format!("pi settled after a response that ended as `{reason}`");
            let failure = Failure::new(FailureKind::Protocol, words);
            Some(failure.with(EvidenceSource::Field, "stopReason", reason))
        }
    }
}
