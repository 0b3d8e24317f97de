//! A process that is gone while its turn was open.

use crate::protocol::Exit;
use crate::stderr::StderrTail;
use belay_trace::{EvidenceSource, Failure, FailureKind};

/// Why a turn failed whose process ended before the turn did; the exit code does not make it a success.
pub(crate) fn failure(
    program: &str,
    exit: Exit,
    interrupted: bool,
    seen_stdout: bool,
    stderr: &StderrTail,
) -> Failure {
    let failure = match exit {
        _ if interrupted => Failure::new(FailureKind::Interrupted, "interrupted"),
        Exit::Signal(signal) => {
            Failure::new(FailureKind::Crashed, format!("{program} was ended by signal {signal}"))
        }
        Exit::Code(0) => {
            Failure::new(FailureKind::Protocol, format!("{program} ended without a result"))
        }
        // It printed nothing but words on stderr: the command line did not please it.
        Exit::Code(code) if !seen_stdout => {
            let words = stderr
                .words()
                .cloned()
                .unwrap_or_else(|| format!("{program} exited with code {code}"));
            Failure::new(FailureKind::InvalidRequest, words)
        }
        Exit::Code(code) => Failure::new(
            FailureKind::Crashed,
            format!("{program} exited with code {code} and without a result"),
        ),
    };
    let failure = match exit {
        Exit::Code(code) => failure.with(EvidenceSource::Exit, "code", code),
        Exit::Signal(signal) => failure.with(EvidenceSource::Exit, "signal", signal),
    };
    stderr.evidence(failure)
}
