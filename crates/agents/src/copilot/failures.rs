//! How Copilot fails (1.0.102): its event names a class and a status, the failed request before it the provider's own
//! code. The code decides, then Copilot's class where it is more than `query`, then the status, then the beginning of
//! its words.
//!
//! What nobody has recorded stands in the types of its events, or is a provider's code that other agents have shown.

use crate::failures::Pattern::{Among, Begins};
use crate::failures::{
    NO_STATUS, Row, Sign, Table, any_field, field, seen, status, synthetic, text,
};
use belay_trace::{EvidenceSource, FailureKind as Kind};

pub(crate) const FAILURES: Table = Table { agent: super::Copilot::NAME, rows: ROWS };

const ROWS: &[Row] = &[
    seen(&[any_field("insufficient_quota")], Kind::Billing, "quota"),
    synthetic(&[any_field("billing_not_configured")], Kind::Billing),
    seen(&[any_field("billing_error")], Kind::Billing, "payment"),
    seen(&[any_field("context_length_exceeded")], Kind::ContextOverflow, "context"),
    synthetic(&[any_field("model_max_prompt_tokens_exceeded")], Kind::ContextOverflow),
    synthetic(&[any_field("user_weekly_rate_limited")], Kind::UsageLimit),
    synthetic(&[any_field("user_global_rate_limited")], Kind::UsageLimit),
    synthetic(&[any_field("user_model_rate_limited")], Kind::UsageLimit),
    synthetic(&[any_field("quota_exceeded")], Kind::UsageLimit),
    synthetic(&[any_field("session_quota_exceeded")], Kind::LimitReached),
    seen(&[any_field("rate_limit_exceeded")], Kind::RateLimited, "rate-limit"),
    synthetic(&[any_field("integration_rate_limited")], Kind::RateLimited),
    synthetic(&[any_field("rate_limit_error")], Kind::RateLimited),
    seen(&[any_field("server_is_overloaded")], Kind::Overloaded, "overloaded"),
    synthetic(&[any_field("model_overloaded")], Kind::Overloaded),
    synthetic(&[any_field("overloaded_error")], Kind::Overloaded),
    seen(&[any_field("model_not_found")], Kind::ModelUnavailable, "model"),
    synthetic(&[field("errorType", "context_limit")], Kind::ContextOverflow),
    seen(&[field("errorType", "authentication")], Kind::Auth, "h-401"),
    synthetic(&[field("errorType", "authorization")], Kind::Auth),
    synthetic(&[field("errorType", "policy")], Kind::Auth),
    synthetic(&[field("errorType", "quota")], Kind::UsageLimit),
    synthetic(&[field("errorType", "rate_limit")], Kind::RateLimited),
    synthetic(&[status(401, 401)], Kind::Auth),
    synthetic(&[status(403, 403)], Kind::Auth),
    synthetic(&[status(402, 402)], Kind::Billing),
    synthetic(&[status(404, 404)], Kind::ModelUnavailable),
    synthetic(&[status(413, 413)], Kind::ContextOverflow),
    synthetic(&[status(429, 429)], Kind::RateLimited),
    synthetic(&[status(503, 503)], Kind::Overloaded),
    synthetic(&[status(529, 529)], Kind::Overloaded),
    seen(&[status(500, 599)], Kind::ServerError, "server-error"),
    synthetic(&[CLIENT_ERROR], Kind::InvalidRequest),
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

const CLIENT_ERROR: Sign =
    Sign { source: EvidenceSource::Status, name: "", pattern: Among(400, 499) };
