//! How Copilot fails (1.0.102): its event names a class and a status, the failed request before it the provider's own
//! error. Copilot's class decides where it is more than `query`. What nobody has recorded stands in the types of its
//! events.

use crate::failures::Pattern::Begins;
use crate::failures::{NO_STATUS, Row, Table, any_field, field, seen, synthetic, text};
use belay_trace::FailureKind as Kind;

pub(crate) const FAILURES: Table = Table { agent: super::Copilot::NAME, rows: ROWS };

const ROWS: &[Row] = &[
    synthetic(&[any_field("user_weekly_rate_limited")], Kind::UsageLimit),
    synthetic(&[any_field("user_global_rate_limited")], Kind::UsageLimit),
    synthetic(&[any_field("user_model_rate_limited")], Kind::UsageLimit),
    synthetic(&[any_field("session_quota_exceeded")], Kind::LimitReached),
    synthetic(&[any_field("integration_rate_limited")], Kind::RateLimited),
    synthetic(&[field("errorType", "context_limit")], Kind::ContextOverflow),
    seen(&[field("errorType", "authentication")], Kind::Auth, "h-401"),
    synthetic(&[field("errorType", "authorization")], Kind::Auth),
    synthetic(&[field("errorType", "policy")], Kind::Auth),
    synthetic(&[field("errorType", "quota")], Kind::UsageLimit),
    synthetic(&[field("errorType", "rate_limit")], Kind::RateLimited),
    seen(&[field("failureKind", "transport"), NO_STATUS], Kind::Network, "broken-stream"),
    seen(&[text("message", Begins("No response was returned."))], Kind::Protocol, "empty"),
    synthetic(
        &[text(
            "own_words",
            Begins("The model returned no content because the response was blocked"),
        )],
        Kind::Refused,
    ),
    seen(
        &[text("stderr", Begins("Error: No authentication information found."))],
        Kind::Auth,
        "no-login",
    ),
    seen(
        &[text("stderr", Begins("Error: Classic Personal Access Tokens"))],
        Kind::Auth,
        "bad-token",
    ),
    seen(
        &[text("stderr", Begins("Error: No session, task, or name matched"))],
        Kind::InvalidRequest,
        "no-session",
    ),
    seen(
        &[text("stderr", Begins("BYOK providers require an explicit model."))],
        Kind::InvalidRequest,
        "no-model",
    ),
];
