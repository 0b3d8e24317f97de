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
        // It printed nothing but words on stderr: it did not run, or the command line did not please it.
        Exit::Code(code) if !seen_stdout => {
            let words = stderr
                .words()
                .cloned()
                .unwrap_or_else(|| format!("{program} exited with code {code}"));
            let kind = match code {
                126 | 127 => FailureKind::NotExecutable,
                _ if is_of_env(&words) => FailureKind::NotExecutable,
                _ => FailureKind::InvalidRequest,
            };
            Failure::new(kind, words)
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

/// Returns whether these are the words of `env` for an interpreter that is not there, whoever has passed them on.
fn is_of_env(words: &str) -> bool {
    let begins = words.starts_with("env: ") || words.starts_with("/usr/bin/env: ");
    begins && words.ends_with("No such file or directory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Out;

    #[track_caller]
    fn check(code: i32, line: &str, seen_stdout: bool, want: FailureKind) {
        let mut stderr = StderrTail::default();
        stderr.line(line.as_bytes(), &mut Out::default());
        let failure = failure("claude", Exit::Code(code), false, seen_stdout, &stderr);
        assert_eq!(failure.kind, want, "{code} {line}");
    }

    #[test]
    fn a_program_that_did_not_run_is_no_request_that_was_wrong() {
        let missing = "/usr/bin/env: 'node': No such file or directory";
        check(127, missing, false, FailureKind::NotExecutable);
        check(1, missing, false, FailureKind::NotExecutable);
        check(1, "env: node: No such file or directory", false, FailureKind::NotExecutable);
        check(127, "claude: line 3: node: not found", false, FailureKind::NotExecutable);
        check(126, "claude: node: Permission denied", false, FailureKind::NotExecutable);
        check(127, "", false, FailureKind::NotExecutable);
        check(1, "error: unknown option '--x'", false, FailureKind::InvalidRequest);
        check(1, "cannot open x: No such file or directory", false, FailureKind::InvalidRequest);
        check(127, missing, true, FailureKind::Crashed);
    }
}
