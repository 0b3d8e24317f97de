//! How Codex fails (0.169.0).
//!
//! The app-server gives a class (`codexErrorInfo`) and some statuses; exec gives only words. The class of a
//! used-up plan does not tell a window from a balance, and its words do; that of a broken connection says less
//! than its status.

use crate::failures::Pattern::{Begins, BeginsAndHas};
use crate::failures::{Row, Table, field, seen, status, synthetic, text};
use belay_trace::FailureKind as Kind;

pub(crate) const FAILURES: Table = Table { agent: super::Codex::NAME, rows: ROWS };

const ROWS: &[Row] = &[
    seen(
        &[
            field("codexErrorInfo", "usageLimitExceeded"),
            text("message", Begins("Quota exceeded.")),
        ],
        Kind::Billing,
        "no-credit",
    ),
    synthetic(
        &[
            field("codexErrorInfo", "usageLimitExceeded"),
            text("message", Begins("Your workspace is out of credits")),
        ],
        Kind::Billing,
    ),
    synthetic(
        &[
            field("codexErrorInfo", "usageLimitExceeded"),
            text("message", Begins("You hit your spend cap")),
        ],
        Kind::Billing,
    ),
    synthetic(
        &[
            field("codexErrorInfo", "usageLimitExceeded"),
            text("message", Begins("To use Codex with your ChatGPT plan")),
        ],
        Kind::Billing,
    ),
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
    synthetic(&[field("codexErrorInfo", "badRequest")], Kind::InvalidRequest),
    seen(&[status(401, 401)], Kind::Auth, "key"),
    synthetic(&[status(403, 403)], Kind::Auth),
    synthetic(&[status(402, 402)], Kind::Billing),
    synthetic(&[status(404, 404)], Kind::ModelUnavailable),
    seen(&[status(429, 429)], Kind::RateLimited, "rate-limit"),
    synthetic(&[status(503, 503)], Kind::Overloaded),
    synthetic(&[status(400, 499)], Kind::InvalidRequest),
    synthetic(&[status(500, 599)], Kind::ServerError),
    synthetic(&[field("codexErrorInfo", "httpConnectionFailed")], Kind::Network),
    synthetic(&[field("codexErrorInfo", "responseStreamConnectionFailed")], Kind::Network),
    synthetic(&[field("codexErrorInfo", "responseStreamDisconnected")], Kind::Network),
    synthetic(&[field("codexErrorInfo", "responseTooManyFailedAttempts")], Kind::Network),
    seen(
        &[text("message", Begins("You've hit your usage limit"))],
        Kind::UsageLimit,
        "usage-limit-exec",
    ),
    seen(&[text("message", Begins("Quota exceeded."))], Kind::Billing, "no-credit-exec"),
    synthetic(&[text("message", Begins("Your workspace is out of credits"))], Kind::Billing),
    synthetic(&[text("message", Begins("You hit your spend cap"))], Kind::Billing),
    synthetic(&[text("message", Begins("To use Codex with your ChatGPT plan"))], Kind::Billing),
    synthetic(&[text("message", Begins("budget reached"))], Kind::LimitReached),
    seen(
        &[text("message", Begins("exceeded retry limit, last status: 429"))],
        Kind::RateLimited,
        "rate-limit-exec",
    ),
    synthetic(&[text("message", Begins("rate limit exceeded"))], Kind::RateLimited),
    synthetic(
        &[text("message", Begins("stream disconnected before completion: Rate limit reached"))],
        Kind::RateLimited,
    ),
    synthetic(
        &[text("message", Begins("stream disconnected before completion: rate limit exceeded"))],
        Kind::RateLimited,
    ),
    seen(&[text("message", Begins("unexpected status 401"))], Kind::Auth, "key-exec"),
    synthetic(&[text("message", Begins("unexpected status 403"))], Kind::Auth),
    synthetic(&[text("message", Begins("exceeded retry limit, last status: 401"))], Kind::Auth),
    synthetic(&[text("message", Begins("Your access token could not be refreshed"))], Kind::Auth),
    synthetic(
        &[text("message", Begins("Your authentication session could not be refreshed"))],
        Kind::Auth,
    ),
    synthetic(&[text("message", Begins("Missing environment variable:"))], Kind::Auth),
    synthetic(&[text("message", Begins("unexpected status 402"))], Kind::Billing),
    synthetic(&[text("message", Begins("unexpected status 404"))], Kind::ModelUnavailable),
    seen(
        &[text("message", BeginsAndHas("The model `", "does not exist"))],
        Kind::ModelUnavailable,
        "model-exec",
    ),
    synthetic(&[text("message", Begins("unexpected status 429"))], Kind::RateLimited),
    synthetic(&[text("message", Begins("unexpected status 503"))], Kind::Overloaded),
    synthetic(
        &[text("message", Begins("exceeded retry limit, last status: 503"))],
        Kind::Overloaded,
    ),
    seen(
        &[text("message", Begins("Selected model is at capacity."))],
        Kind::Overloaded,
        "overloaded-exec",
    ),
    synthetic(
        &[text("message", Begins("Policy-restricted capacity is unavailable."))],
        Kind::Overloaded,
    ),
    synthetic(&[text("message", Begins("Flex capacity unavailable"))], Kind::Overloaded),
    synthetic(&[text("message", Begins("unexpected status 5"))], Kind::ServerError),
    synthetic(&[text("message", Begins("unexpected status 4"))], Kind::InvalidRequest),
    synthetic(
        &[text("message", Begins("exceeded retry limit, last status: 5"))],
        Kind::ServerError,
    ),
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
