//! Why each recorded run failed, and how the driver knows.

use crate::recorded;
use belay_agents::{Action, AttemptEnd, Exit, Input, Out};
use belay_trace::{Evidence, EvidenceSource, Failure, FailureKind};

fn failure(name: &str) -> Failure {
    recorded::named(name).ends().pop().unwrap().failure.unwrap()
}

#[track_caller]
fn check(name: &str, kind: FailureKind, evidence: &[(EvidenceSource, &str, &str)]) {
    let failure = failure(name);
    let found: Vec<_> = failure
        .evidence
        .iter()
        .map(|found| (found.source, found.name.as_str(), found.value.as_str()))
        .collect();
    assert_eq!((failure.kind, found.as_slice()), (kind, evidence), "{name}");
}

/// The same for what is shown among other things.
#[track_caller]
fn shows(name: &str, kind: FailureKind, evidence: &[(EvidenceSource, &str, &str)]) {
    let failure = failure(name);
    assert_eq!(failure.kind, kind, "{name}");
    for (source, what, value) in evidence {
        let is_it = |found: &Evidence| {
            (found.source, &*found.name) == (*source, *what) && found.value.starts_with(value)
        };
        assert!(failure.evidence.iter().any(is_it), "{name}: no {what} = {value} in {failure:#?}");
    }
}

#[test]
fn claude_names_the_class_and_the_status_and_says_it_in_words() {
    use EvidenceSource::{Field, Status, Text};
    shows(
        "claude-code/g-429-forever",
        FailureKind::RateLimited,
        &[
            (Field, "terminal_reason", "api_error"),
            (Field, "error", "rate_limit"),
            (Field, "api_error_type", "rate_limit_error"),
            (Status, "api_error_status", "429"),
            (Text, "message", "API Error: Request rejected (429)"),
        ],
    );
    shows(
        "claude-code/h-401",
        FailureKind::Auth,
        &[
            (Field, "terminal_reason", "api_error"),
            (Field, "error", "authentication_failed"),
            (Field, "api_error_type", "authentication_error"),
            (Status, "api_error_status", "401"),
            (Text, "message", "Invalid API key"),
        ],
    );
    shows(
        "claude-code/m-maxturns",
        FailureKind::LimitReached,
        &[
            (Field, "terminal_reason", "max_turns"),
            (Text, "errors", "Reached maximum number of turns"),
        ],
    );
}

#[test]
fn codex_exec_has_only_words() {
    for (name, kind, status, begins) in [
        (
            "codex/g-429-forever",
            FailureKind::RateLimited,
            Some("429"),
            "exceeded retry limit, last status: 429",
        ),
        ("codex/h-401", FailureKind::Auth, Some("401"), "unexpected status 401 Unauthorized"),
        (
            "codex/k-usage-limit",
            FailureKind::UsageLimit,
            None,
            "You\u{2019}ve hit your usage limit.",
        ),
    ] {
        let failure = failure(name);
        assert_eq!(failure.kind, kind, "{name}");
        assert!(failure.message.starts_with(begins), "{}", failure.message);
        let status = status.map(|status| (EvidenceSource::Status, "message", status));
        let text = (EvidenceSource::Text, "message", failure.message.as_str());
        check(name, kind, &status.into_iter().chain([text]).collect::<Vec<_>>());
    }
}

#[test]
fn a_used_up_window_tells_its_reset_in_words_over_exec_and_as_a_time_over_the_app_server() {
    let exec = failure("codex/k-usage-limit");
    assert_eq!((exec.resets_at, exec.reset_hint.as_deref()), (None, Some("10:30 AM")));
    let app_server = failure("codex/t-appserver");
    assert_eq!(app_server.kind, FailureKind::UsageLimit);
    assert_eq!(app_server.resets_at.unwrap().to_string(), "2026-11-21T10:51:03Z");
    assert_eq!(app_server.reset_hint.as_deref(), Some("10:51 AM"));
    let first = &app_server.evidence[0];
    assert_eq!((first.source, first.value.as_str()), (EvidenceSource::Field, "usageLimitExceeded"));
}

#[test]
fn an_interrupt_is_no_success_although_claude_exits_with_0() {
    let recording = recorded::named("claude-code/int-int1");
    assert_eq!(recording.exit, Exit::Code(0));
    check(
        "claude-code/int-int1",
        FailureKind::Interrupted,
        &[(EvidenceSource::Field, "terminal_reason", "aborted_tools")],
    );
    assert_eq!(failure("claude-code/int-int1").message, "interrupted");
    let turns = recorded::named("claude-code/s-multi-interrupt").ends();
    let kinds: Vec<_> = turns.into_iter().map(|end| end.failure.map(|f| f.kind)).collect();
    assert_eq!(kinds, [None, None, Some(FailureKind::Interrupted), None]);
    let turns = recorded::named("codex/t-appserver").ends();
    let interrupted = turns[1].failure.as_ref().unwrap();
    assert_eq!(interrupted.kind, FailureKind::Interrupted);
}

#[test]
fn pi_exits_with_0_and_its_message_begins_with_the_status() {
    for (name, kind, code, status) in [
        ("pi/h-401", FailureKind::Auth, Some("invalid_api_key"), "401"),
        ("pi/i-context", FailureKind::ContextOverflow, Some("context_length_exceeded"), "400"),
        ("pi/k-quota", FailureKind::Billing, Some("insufficient_quota"), "429"),
        ("pi/g-503-forever", FailureKind::Overloaded, Some("server_error"), "503"),
    ] {
        assert_eq!(recorded::named(name).exit, Exit::Code(0), "{name}");
        let message = failure(name).message;
        // One provider's code is another's type.
        let field = if code == Some("server_error") { "type" } else { "code" };
        let code = code.map(|code| (EvidenceSource::Field, field, code));
        let rest = [
            (EvidenceSource::Status, "errorMessage", status),
            (EvidenceSource::Text, "errorMessage", &*message),
        ];
        shows(name, kind, &code.into_iter().chain(rest).collect::<Vec<_>>());
    }
    let stop = [(EvidenceSource::Field, "stopReason", "length")];
    check("pi/j-length", FailureKind::OutputLimit, &stop);
    let aborted = [(EvidenceSource::Field, "aborted", "true")];
    check("pi/rpc", FailureKind::Interrupted, &aborted);
}

#[test]
fn opencode_names_the_class_the_status_and_the_code() {
    use EvidenceSource::{Field, Status, Text};
    for name in ["opencode/h-401", "opencode/serve-h-401"] {
        shows(
            name,
            FailureKind::Auth,
            &[
                (Field, "error.name", "APIError"),
                (Status, "statusCode", "401"),
                (Field, "error.code", "invalid_api_key"),
                (Text, "message", "Incorrect API key provided"),
            ],
        );
    }
    // Somebody else's abort is one, too.
    let aborted = [(Field, "error.name", "MessageAbortedError")];
    shows("opencode/serve-r-sleep-abort", FailureKind::Interrupted, &aborted);
}

#[test]
fn an_agent_that_somebody_else_ended_has_crashed() {
    use EvidenceSource::Exit;
    for (name, evidence) in [
        ("claude-code/int-term", (Exit, "code", "143")),
        ("codex/int-int1", (Exit, "code", "1")),
        ("codex/int-term", (Exit, "signal", "15")),
        ("pi/int-term-pid", (Exit, "code", "143")),
        ("opencode/int-int-pid", (Exit, "signal", "2")),
    ] {
        check(name, FailureKind::Crashed, &[evidence]);
    }
}

#[test]
fn an_agent_that_we_ended_was_interrupted_whatever_its_exit_code() {
    for name in [
        "claude-code/int-term",
        "codex/int-int1",
        "codex/int-term",
        "pi/int-term-pid",
        "opencode/int-int-pid",
    ] {
        let recording = recorded::named(name);
        let mut protocol = recording.agent.protocol(&recording.request, recording.transport);
        let mut out = Out::default();
        protocol.step(Input::Start, &mut out);
        for line in recording.lines() {
            protocol.step(Input::Stdout(line), &mut out);
        }
        protocol.step(Input::Interrupt, &mut out);
        protocol.step(Input::Exit(recording.exit), &mut out);
        assert!(out.actions.contains(&Action::Cannot("interrupt")), "{name}");
        let end = only_end(out);
        assert_eq!(end.failure.unwrap().kind, FailureKind::Interrupted, "{name}");
        assert_eq!(end.answer, "Sleeping.");
    }
}

#[test]
fn the_last_words_on_stderr_explain_a_command_line_that_did_not_please() {
    for name in [
        "claude-code/a-text",
        "codex/a-text",
        "pi/a-text",
        "pi/rpc",
        "opencode/a-text",
        "opencode/serve-a-text",
    ] {
        let recording = recorded::named(name);
        let mut protocol = recording.agent.protocol(&recording.request, recording.transport);
        let mut out = Out::default();
        protocol.step(Input::Start, &mut out);
        protocol.step(Input::Stderr(b"error: unknown option '--frob'\r"), &mut out);
        protocol.step(Input::Exit(Exit::Code(1)), &mut out);
        let failure = only_end(out).failure.unwrap();
        assert_eq!(failure.kind, FailureKind::InvalidRequest, "{name}");
        assert_eq!(failure.message, "error: unknown option '--frob'");
    }
}

fn only_end(out: Out) -> AttemptEnd {
    let ends = out.actions.into_iter().filter_map(|action| match action {
        Action::TurnEnded(end) => Some(*end),
        _ => None,
    });
    let [end] = <[AttemptEnd; 1]>::try_from(ends.collect::<Vec<_>>()).unwrap();
    end
}
