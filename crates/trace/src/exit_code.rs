//! The exit codes of the program `belay`: stable, documented in `docs/exit-codes.md`, never renumbered.

use crate::FailureKind;

/// The agent answered.
pub const ANSWERED: u8 = 0;
/// The agent failed.
pub const AGENT_FAILED: u8 = 1;
/// The command line, or the request, is wrong.
pub const USAGE: u8 = 2;
/// A time limit stopped the run.
pub const TIME_LIMIT: u8 = 3;
/// No such run or trace.
pub const NOT_FOUND: u8 = 4;
/// A permission was needed and not given.
pub const PERMISSION: u8 = 5;
/// A budget or turn limit was reached.
pub const LIMIT: u8 = 6;
/// No agent of the chain is available.
pub const UNAVAILABLE: u8 = 69;
/// Limited, or the session is in use: come back later.
pub const RETRY_LATER: u8 = 75;
/// A login or a configuration is needed.
pub const CONFIGURATION: u8 = 78;
/// Stopped by SIGHUP.
pub const HANGUP: u8 = 129;
/// Stopped by SIGINT.
pub const INTERRUPTED: u8 = 130;
/// Stopped by SIGTERM.
pub const TERMINATED: u8 = 143;

/// The code for a run that ended with a failure of this kind.
pub fn of_failure(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::RateLimited | FailureKind::UsageLimit | FailureKind::SessionInUse => {
            RETRY_LATER
        }
        FailureKind::Auth | FailureKind::Billing => CONFIGURATION,
        FailureKind::PermissionDenied => PERMISSION,
        FailureKind::LimitReached => LIMIT,
        FailureKind::Stalled | FailureKind::Deadline => TIME_LIMIT,
        FailureKind::NotInstalled
        | FailureKind::NotExecutable
        | FailureKind::VersionUnsupported => UNAVAILABLE,
        FailureKind::Interrupted => INTERRUPTED,
        FailureKind::Overloaded
        | FailureKind::ServerError
        | FailureKind::Network
        | FailureKind::ModelUnavailable
        | FailureKind::ContextOverflow
        | FailureKind::OutputLimit
        | FailureKind::Refused
        | FailureKind::InvalidRequest
        | FailureKind::Crashed
        | FailureKind::Protocol
        | FailureKind::LocalIo
        | FailureKind::Unknown => AGENT_FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_exits_with_0() {
        assert!(FailureKind::ALL.iter().all(|kind| of_failure(*kind) != ANSWERED));
    }
}
