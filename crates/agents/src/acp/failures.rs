//! How agents over ACP fail: the code and the words of a JSON-RPC error, the provider's error object where those
//! hold one, and the reason why a turn ended. One table an agent, for each has other words.

use crate::failures::Pattern::{Begins, BeginsAndHas, Has};
use crate::failures::{Row, Table, field, seen, status, synthetic, text};
use belay_trace::FailureKind as Kind;

/// Agents that nobody has looked at: the protocol's own words, and HTTP where it shines through.
pub(crate) const ACP: Table = Table { agent: "acp", rows: GENERIC };

/// As little is known of it.
pub(crate) const GOOSE: Table = Table { agent: "goose", rows: GENERIC };

/// Gemini CLI 0.61.0: the code is the HTTP status, but for a model that is not there.
pub(crate) const GEMINI: Table = Table { agent: "gemini", rows: OF_GEMINI };

/// Qwen Code 0.24.4: one code for all, and details that begin with the HTTP status.
pub(crate) const QWEN: Table = Table { agent: "qwen", rows: OF_QWEN };

const GENERIC: &[Row] = &[
    synthetic(&[field("code", "-32000")], Kind::Auth),
    synthetic(&[field("stopReason", "max_tokens")], Kind::OutputLimit),
    synthetic(&[field("stopReason", "max_turn_requests")], Kind::LimitReached),
    // OpenCode.
    synthetic(&[field("errorName", "ContextOverflowError")], Kind::ContextOverflow),
    synthetic(&[field("errorName", "ProviderAuthError")], Kind::Auth),
    synthetic(&[field("errorName", "MessageOutputLengthError")], Kind::OutputLimit),
    // Claude, by claude-agent-acp.
    synthetic(&[field("errorKind", "authentication_failed")], Kind::Auth),
    synthetic(&[field("errorKind", "billing_error")], Kind::Billing),
    synthetic(&[field("errorKind", "rate_limit")], Kind::RateLimited),
    synthetic(&[field("errorKind", "overloaded")], Kind::Overloaded),
    synthetic(&[field("errorKind", "server_error")], Kind::ServerError),
    synthetic(&[field("errorKind", "model_not_found")], Kind::ModelUnavailable),
    synthetic(&[field("errorKind", "max_output_tokens")], Kind::OutputLimit),
    synthetic(&[text("message", Begins("Prompt is too long"))], Kind::ContextOverflow),
    synthetic(&[field("errorKind", "invalid_request")], Kind::InvalidRequest),
    // The words of OpenAI's API, which Copilot hands on.
    synthetic(&[text("message", Has("maximum context length"))], Kind::ContextOverflow),
    // Codex, by codex-acp.
    synthetic(&[field("codexErrorInfo", "usageLimitExceeded")], Kind::UsageLimit),
    synthetic(
        &[text("message", Begins("Codex ran out of room in the model's context window"))],
        Kind::ContextOverflow,
    ),
    synthetic(&[status(401, 401)], Kind::Auth),
    synthetic(&[status(402, 402)], Kind::Billing),
    synthetic(&[status(403, 403)], Kind::Auth),
    synthetic(&[status(404, 404)], Kind::ModelUnavailable),
    synthetic(&[status(429, 429)], Kind::RateLimited),
    synthetic(&[status(503, 503)], Kind::Overloaded),
    synthetic(&[status(529, 529)], Kind::Overloaded),
    synthetic(&[status(400, 499)], Kind::InvalidRequest),
    synthetic(&[status(500, 599)], Kind::ServerError),
    synthetic(&[field("code", "-32602")], Kind::InvalidRequest),
    synthetic(&[field("code", "-32601")], Kind::VersionUnsupported),
];

const OF_GEMINI: &[Row] = &[
    synthetic(&[field("code", "-32000")], Kind::Auth),
    // It says so when the next prompt would not fit.
    synthetic(&[field("stopReason", "max_tokens")], Kind::ContextOverflow),
    synthetic(&[field("stopReason", "max_turn_requests")], Kind::LimitReached),
    synthetic(&[text("message", Begins("API key not valid"))], Kind::Auth),
    // Its code is 500 then.
    seen(
        &[text("message", BeginsAndHas("models/", "is not found"))],
        Kind::ModelUnavailable,
        "model",
    ),
    seen(&[text("message", Begins("The input token count"))], Kind::ContextOverflow, "context"),
    seen(&[status(401, 401)], Kind::Auth, "key"),
    seen(&[status(402, 402)], Kind::Billing, "payment"),
    synthetic(&[status(403, 403)], Kind::Auth),
    synthetic(&[status(404, 404)], Kind::ModelUnavailable),
    seen(
        &[text("message", Begins("You have exhausted your daily quota"))],
        Kind::UsageLimit,
        "no-credit",
    ),
    synthetic(&[status(429, 429)], Kind::RateLimited),
    synthetic(&[status(503, 503)], Kind::Overloaded),
    synthetic(&[status(400, 499)], Kind::InvalidRequest),
    synthetic(&[status(500, 599)], Kind::ServerError),
    synthetic(&[field("code", "-32602")], Kind::InvalidRequest),
    synthetic(&[field("code", "-32601")], Kind::VersionUnsupported),
];

const OF_QWEN: &[Row] = &[
    seen(&[field("code", "-32000")], Kind::Auth, "no-key"),
    synthetic(&[field("stopReason", "max_tokens")], Kind::OutputLimit),
    synthetic(&[field("stopReason", "max_turn_requests")], Kind::LimitReached),
    synthetic(
        &[text("message", Has("This model's maximum context length"))],
        Kind::ContextOverflow,
    ),
    synthetic(&[text("message", Has("insufficient_quota"))], Kind::Billing),
    synthetic(&[text("message", Begins("terminated"))], Kind::Network),
    synthetic(
        &[text("message", Begins("Model stream ended with empty response text"))],
        Kind::Protocol,
    ),
    seen(&[status(401, 401)], Kind::Auth, "key"),
    seen(&[status(402, 402)], Kind::Billing, "payment"),
    synthetic(&[status(403, 403)], Kind::Auth),
    seen(&[status(404, 404)], Kind::ModelUnavailable, "model"),
    synthetic(&[status(429, 429)], Kind::RateLimited),
    synthetic(&[status(503, 503)], Kind::Overloaded),
    synthetic(&[status(400, 499)], Kind::InvalidRequest),
    synthetic(&[status(500, 599)], Kind::ServerError),
    synthetic(&[field("code", "-32602")], Kind::InvalidRequest),
    synthetic(&[field("code", "-32601")], Kind::VersionUnsupported),
];
