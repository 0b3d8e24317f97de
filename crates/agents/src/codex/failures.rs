//! How Codex fails (0.169.0).
//!
//! The app-server gives a class (`codexErrorInfo`) and some statuses; exec gives only words. The class of a
//! used-up plan does not tell a window from a balance, and its words do; that of a broken connection says less
//! than its status.

use crate::failures::Pattern::Begins;
use crate::failures::{NO_STATUS, Row, Table, field, seen, synthetic, text};
use belay_trace::FailureKind as Kind;

pub(crate) const FAILURES: Table = Table { agent: super::Codex::NAME, rows: ROWS };

const ROWS: &[Row] = &[
    // A balance; the class is that of a window.
    seen(&[text("message", Begins("Quota exceeded."))], Kind::Billing, "no-credit"),
    synthetic(&[text("message", Begins("To use Codex with your ChatGPT plan"))], Kind::Billing),
    seen(&[field("codexErrorInfo", "usageLimitExceeded")], Kind::UsageLimit, "usage-limit"),
    seen(&[field("codexErrorInfo", "contextWindowExceeded")], Kind::ContextOverflow, "context"),
    synthetic(&[field("codexErrorInfo", "sessionBudgetExceeded")], Kind::LimitReached),
    synthetic(&[field("codexErrorInfo", "rateLimitExceeded")], Kind::RateLimited),
    seen(&[field("codexErrorInfo", "serverOverloaded")], Kind::Overloaded, "overloaded"),
    synthetic(&[field("codexErrorInfo", "policyCapacityUnavailable")], Kind::Overloaded),
    synthetic(&[field("codexErrorInfo", "flexUnavailable")], Kind::Overloaded),
    seen(&[field("codexErrorInfo", "modelNotFound")], Kind::ModelUnavailable, "model"),
    synthetic(&[field("codexErrorInfo", "cyberPolicy")], Kind::Refused),
    synthetic(&[field("codexErrorInfo", "misalignmentPolicyViolation")], Kind::Refused),
    synthetic(&[field("codexErrorInfo", "tooManyDenials")], Kind::PermissionDenied),
    synthetic(&[field("codexErrorInfo", "sandboxError")], Kind::PermissionDenied),
    seen(&[field("codexErrorInfo", "internalServerError")], Kind::ServerError, "server-error"),
    synthetic(&[field("codexErrorInfo", "unauthorized")], Kind::Auth),
    synthetic(&[field("codexErrorInfo", "badRequest"), NO_STATUS], Kind::InvalidRequest),
    synthetic(&[field("codexErrorInfo", "httpConnectionFailed"), NO_STATUS], Kind::Network),
    synthetic(
        &[field("codexErrorInfo", "responseStreamConnectionFailed"), NO_STATUS],
        Kind::Network,
    ),
    synthetic(&[field("codexErrorInfo", "responseStreamDisconnected"), NO_STATUS], Kind::Network),
    synthetic(
        &[field("codexErrorInfo", "responseTooManyFailedAttempts"), NO_STATUS],
        Kind::Network,
    ),
    synthetic(&[text("message", Begins("budget reached"))], Kind::LimitReached),
    synthetic(&[text("message", Begins("Your access token could not be refreshed"))], Kind::Auth),
    synthetic(
        &[text("message", Begins("Your authentication session could not be refreshed"))],
        Kind::Auth,
    ),
    synthetic(&[text("message", Begins("Missing environment variable:"))], Kind::Auth),
    synthetic(
        &[text("message", Begins("Policy-restricted capacity is unavailable."))],
        Kind::Overloaded,
    ),
    synthetic(&[text("message", Begins("Flex capacity unavailable"))], Kind::Overloaded),
    // What a plain 500 becomes.
    seen(
        &[text("message", Begins("We're currently experiencing high demand"))],
        Kind::ServerError,
        "server-error-exec",
    ),
    seen(
        &[text("message", Begins("Codex ran out of room in the model's context window"))],
        Kind::ContextOverflow,
        "context-exec",
    ),
    // Before the broken stream: as what Codex reports them depends on where it gave up.
    seen(
        &[text("message", Begins("Incomplete response returned, reason: max_output_tokens"))],
        Kind::OutputLimit,
        "length-exec",
    ),
    synthetic(
        &[text("message", Begins("Incomplete response returned, reason: content_filter"))],
        Kind::Refused,
    ),
    synthetic(
        &[text(
            "message",
            Begins(
                "stream disconnected before completion: Incomplete response returned, reason: max_output_tokens",
            ),
        )],
        Kind::OutputLimit,
    ),
    synthetic(
        &[text(
            "message",
            Begins(
                "stream disconnected before completion: Incomplete response returned, reason: content_filter",
            ),
        )],
        Kind::Refused,
    ),
    synthetic(&[text("message", Begins("This request has been flagged"))], Kind::Refused),
    seen(
        &[text("message", Begins("stream disconnected before completion"))],
        Kind::Network,
        "broken-stream",
    ),
    synthetic(&[text("message", Begins("error sending request"))], Kind::Network),
    synthetic(&[text("message", Begins("no rollout found for thread id"))], Kind::InvalidRequest),
    // The body of a 400 that Codex has no words for.
    synthetic(&[text("message", Begins("{"))], Kind::InvalidRequest),
];
