//! What an HTTP status of a provider means, whatever the agent.

use belay_trace::FailureKind;

/// The kind of failure that a status stands for; `None` if it stands for none.
pub(crate) fn kind(status: u16) -> Option<FailureKind> {
    Some(match status {
        401 | 403 => FailureKind::Auth,
        402 => FailureKind::Billing,
        404 => FailureKind::ModelUnavailable,
        429 => FailureKind::RateLimited,
        // 529 is Anthropic's own for the same thing.
        503 | 529 => FailureKind::Overloaded,
        400..=499 => FailureKind::InvalidRequest,
        500..=599 => FailureKind::ServerError,
        _ => return None,
    })
}
