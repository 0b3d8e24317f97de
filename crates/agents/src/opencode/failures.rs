//! How OpenCode fails (1.18.33): the class of its error, the code in the provider's body, the status, its words.
//!
//! `APIError` and `UnknownError` decide nothing. `opencode run` hides that a model is unknown behind "Unexpected
//! server error"; its log names the class, and the error the line of the log.

use crate::failures::Pattern::Begins;
use crate::failures::{Row, Table, any_field, field, seen, status, synthetic, text};
use belay_trace::FailureKind as Kind;

pub(crate) const FAILURES: Table = Table { agent: super::OpenCode::NAME, rows: ROWS };

const ROWS: &[Row] = &[
    synthetic(&[text("log", Begins("ProviderModelNotFoundError"))], Kind::ModelUnavailable),
    synthetic(&[text("log", Begins("ProviderAuthError"))], Kind::Auth),
    seen(&[field("error.name", "ContextOverflowError")], Kind::ContextOverflow, "context"),
    synthetic(&[field("error.name", "MessageOutputLengthError")], Kind::OutputLimit),
    synthetic(&[field("error.name", "StructuredOutputError")], Kind::OutputLimit),
    synthetic(&[field("error.name", "ContentFilterError")], Kind::Refused),
    synthetic(&[field("error.name", "ProviderAuthError")], Kind::Auth),
    synthetic(&[field("error.name", "ProviderModelNotFoundError")], Kind::ModelUnavailable),
    seen(&[field("error.name", "MessageAbortedError")], Kind::Interrupted, "serve-r-sleep-abort"),
    // The codes of providers, and of OpenCode's own.
    synthetic(&[any_field("insufficient_quota")], Kind::Billing),
    synthetic(&[any_field("billing_error")], Kind::Billing),
    synthetic(&[any_field("context_length_exceeded")], Kind::ContextOverflow),
    seen(&[any_field("model_not_found")], Kind::ModelUnavailable, "model"),
    synthetic(&[any_field("GoUsageLimitError")], Kind::UsageLimit),
    synthetic(&[any_field("FreeUsageLimitError")], Kind::UsageLimit),
    synthetic(&[any_field("usage_limit_reached")], Kind::UsageLimit),
    synthetic(&[any_field("overloaded_error")], Kind::Overloaded),
    synthetic(&[any_field("server_is_overloaded")], Kind::Overloaded),
    // A status that many things have.
    synthetic(
        &[status(429, 429), text("message", Begins("Monthly usage limit reached"))],
        Kind::UsageLimit,
    ),
    seen(&[status(401, 401)], Kind::Auth, "key"),
    synthetic(&[status(403, 403)], Kind::Auth),
    synthetic(&[status(402, 402)], Kind::Billing),
    synthetic(&[status(404, 404)], Kind::ModelUnavailable),
    synthetic(&[status(429, 429)], Kind::RateLimited),
    synthetic(&[status(503, 503)], Kind::Overloaded),
    synthetic(&[status(524, 524)], Kind::Overloaded),
    synthetic(&[status(529, 529)], Kind::Overloaded),
    synthetic(&[status(400, 499)], Kind::InvalidRequest),
    synthetic(&[status(500, 599)], Kind::ServerError),
    synthetic(&[text("message", Begins("Model not found"))], Kind::ModelUnavailable),
    synthetic(&[text("message", Begins("ProviderModelNotFoundError"))], Kind::ModelUnavailable),
    synthetic(&[text("message", Begins("Monthly usage limit reached"))], Kind::UsageLimit),
    synthetic(&[text("message", Begins("Provider is overloaded"))], Kind::Overloaded),
    synthetic(&[text("message", Begins("Too Many Requests"))], Kind::RateLimited),
    synthetic(&[text("message", Begins("Rate Limited"))], Kind::RateLimited),
    synthetic(&[text("message", Begins("Cannot connect to API"))], Kind::Network),
    synthetic(&[text("message", Begins("fetch failed"))], Kind::Network),
    synthetic(&[text("message", Begins("Unable to connect"))], Kind::Network),
];
