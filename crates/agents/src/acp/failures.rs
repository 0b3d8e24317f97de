//! How agents over ACP fail: the code and the words of a JSON-RPC error, the provider's error object where those
//! hold one, and the reason why a turn ended. One table an agent, for each has other words.

use crate::failures::Pattern::Begins;
use crate::failures::{NO_STATUS, Row, Table, field, seen, synthetic, text};
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
    synthetic(&[field("errorKind", "rate_limit")], Kind::RateLimited),
    synthetic(&[field("errorKind", "overloaded")], Kind::Overloaded),
    synthetic(&[field("errorKind", "max_output_tokens")], Kind::OutputLimit),
    // Mistral Vibe, by its own codes.
    synthetic(&[field("code", "-31001")], Kind::RateLimited),
    synthetic(&[field("code", "-31002")], Kind::Auth),
    synthetic(&[field("code", "-31004")], Kind::ContextOverflow),
    synthetic(&[field("code", "-31005")], Kind::Refused),
    synthetic(&[field("code", "-31008")], Kind::InvalidRequest),
    // Codex, by codex-acp.
    synthetic(&[field("codexErrorInfo", "usageLimitExceeded")], Kind::UsageLimit),
    synthetic(
        &[text("message", Begins("Codex ran out of room in the model's context window"))],
        Kind::ContextOverflow,
    ),
    synthetic(&[field("code", "-32602"), NO_STATUS], Kind::InvalidRequest),
    synthetic(&[field("code", "-32601"), NO_STATUS], Kind::VersionUnsupported),
];

const OF_GEMINI: &[Row] = &[
    synthetic(&[field("code", "-32000")], Kind::Auth),
    // It says so when the next prompt would not fit.
    synthetic(&[field("stopReason", "max_tokens")], Kind::ContextOverflow),
    synthetic(&[field("stopReason", "max_turn_requests")], Kind::LimitReached),
    synthetic(&[field("code", "-32602"), NO_STATUS], Kind::InvalidRequest),
    synthetic(&[field("code", "-32601"), NO_STATUS], Kind::VersionUnsupported),
];

const OF_QWEN: &[Row] = &[
    seen(&[field("code", "-32000")], Kind::Auth, "no-key"),
    synthetic(&[field("stopReason", "max_tokens")], Kind::OutputLimit),
    synthetic(&[field("stopReason", "max_turn_requests")], Kind::LimitReached),
    synthetic(&[text("message", Begins("terminated"))], Kind::Network),
    synthetic(
        &[text("message", Begins("Model stream ended with empty response text"))],
        Kind::Protocol,
    ),
    synthetic(&[field("code", "-32602"), NO_STATUS], Kind::InvalidRequest),
    synthetic(&[field("code", "-32601"), NO_STATUS], Kind::VersionUnsupported),
];
