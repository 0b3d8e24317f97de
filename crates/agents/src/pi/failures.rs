//! How Pi fails (1.5.2): its one message begins with the HTTP status, if there was one, and goes on with the
//! provider's own error object. The object's code or type decides, then the beginning of its message, then the
//! status. The provider's word for why it stopped (`rawStopReason`) is of the same sort.
//!
//! The words are those of Pi itself, and of providers from Pi's own list of them.

use crate::failures::Pattern::Begins;
use crate::failures::{Row, Table, any_field, field, seen, status, synthetic, text};
use belay_trace::FailureKind as Kind;

pub(crate) const FAILURES: Table = Table { agent: super::Pi::NAME, rows: ROWS };

const ROWS: &[Row] = &[
    seen(&[field("stopReason", "length")], Kind::OutputLimit, "length"),
    seen(&[any_field("insufficient_quota")], Kind::Billing, "no-credit"),
    synthetic(&[any_field("billing_error")], Kind::Billing),
    synthetic(&[any_field("billing_hard_limit_reached")], Kind::Billing),
    seen(&[any_field("context_length_exceeded")], Kind::ContextOverflow, "context"),
    synthetic(&[any_field("request_too_large")], Kind::ContextOverflow),
    synthetic(&[any_field("model_context_window_exceeded")], Kind::ContextOverflow),
    synthetic(&[any_field("usage_limit_reached")], Kind::UsageLimit),
    synthetic(&[any_field("GoUsageLimitError")], Kind::UsageLimit),
    synthetic(&[any_field("FreeUsageLimitError")], Kind::UsageLimit),
    seen(&[any_field("rate_limit_exceeded")], Kind::RateLimited, "rate-limit"),
    synthetic(&[any_field("rate_limit_error")], Kind::RateLimited),
    synthetic(&[any_field("overloaded_error")], Kind::Overloaded),
    seen(&[any_field("server_is_overloaded")], Kind::Overloaded, "overloaded"),
    seen(&[any_field("invalid_api_key")], Kind::Auth, "key"),
    synthetic(&[any_field("authentication_error")], Kind::Auth),
    synthetic(&[any_field("permission_error")], Kind::Auth),
    seen(&[any_field("model_not_found")], Kind::ModelUnavailable, "model"),
    synthetic(&[any_field("not_found_error")], Kind::ModelUnavailable),
    seen(&[any_field("server_error")], Kind::ServerError, "server-error"),
    synthetic(&[any_field("api_error")], Kind::ServerError),
    seen(&[text("message", Begins("Connection error."))], Kind::Network, "refused-connection"),
    synthetic(&[text("message", Begins("Stream ended without finish_reason"))], Kind::Network),
    synthetic(&[text("message", Begins("fetch failed"))], Kind::Network),
    seen(&[text("message", Begins("terminated"))], Kind::Network, "broken-stream"),
    synthetic(&[text("message", Begins("Request timed out"))], Kind::Network),
    synthetic(&[text("message", Begins("Provider finish_reason: content_filter"))], Kind::Refused),
    synthetic(&[text("message", Begins("No API key found for"))], Kind::Auth),
    synthetic(&[text("message", Begins("prompt is too long"))], Kind::ContextOverflow),
    synthetic(
        &[text("message", Begins("This model's maximum context length is"))],
        Kind::ContextOverflow,
    ),
    synthetic(
        &[text("message", Begins("Your input exceeds the context window"))],
        Kind::ContextOverflow,
    ),
    synthetic(&[text("message", Begins("Your credit balance is too low"))], Kind::Billing),
    synthetic(
        &[text("message", Begins("You have hit your ChatGPT usage limit"))],
        Kind::UsageLimit,
    ),
    synthetic(&[text("message", Begins("Monthly usage limit reached"))], Kind::UsageLimit),
    synthetic(&[status(401, 401)], Kind::Auth),
    synthetic(&[status(403, 403)], Kind::Auth),
    seen(&[status(402, 402)], Kind::Billing, "payment"),
    synthetic(&[status(404, 404)], Kind::ModelUnavailable),
    synthetic(&[status(429, 429)], Kind::RateLimited),
    synthetic(&[status(503, 503)], Kind::Overloaded),
    synthetic(&[status(529, 529)], Kind::Overloaded),
    synthetic(&[status(400, 499)], Kind::InvalidRequest),
    synthetic(&[status(500, 599)], Kind::ServerError),
    // What it prints when it gives up before it asks a model.
    synthetic(&[text("stderr", Begins("No API key found for"))], Kind::Auth),
    synthetic(&[text("stderr", Begins("No session found matching"))], Kind::InvalidRequest),
    synthetic(
        &[text("stderr", Begins("Session found in different project:"))],
        Kind::InvalidRequest,
    ),
    seen(&[text("stderr", Begins("Error: Model \""))], Kind::ModelUnavailable, "no-such-model"),
];
