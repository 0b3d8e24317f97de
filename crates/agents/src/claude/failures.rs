//! How Claude Code fails (2.1.329).
//!
//! `subtype` and the exit code lie: a failed API call says `"subtype":"success"`, and an interrupted process exits
//! with 0. `error` is Claude's own class, `api_error_type` the API's, `rate_limit` what its last event about the
//! account's windows said.

use crate::failures::Pattern::{Begins, Has};
use crate::failures::{NO_STATUS, Row, Table, field, seen, status, synthetic, text};
use belay_trace::FailureKind as Kind;

pub(crate) const FAILURES: Table = Table { agent: super::Claude::NAME, rows: ROWS };

const ROWS: &[Row] = &[
    seen(&[field("terminal_reason", "aborted_tools")], Kind::Interrupted, "int-int1"),
    synthetic(&[field("terminal_reason", "aborted_streaming")], Kind::Interrupted),
    // An invalid request to the API; Claude knows better.
    seen(&[field("terminal_reason", "prompt_too_long")], Kind::ContextOverflow, "context"),
    seen(&[field("terminal_reason", "max_turns")], Kind::LimitReached, "m-maxturns"),
    synthetic(&[field("terminal_reason", "budget_exhausted")], Kind::LimitReached),
    synthetic(&[field("subtype", "error_max_turns")], Kind::LimitReached),
    synthetic(&[field("subtype", "error_max_budget_usd")], Kind::LimitReached),
    // A plan's window is used up. With an API key the same thing arrives as a plain 429, which is a rate limit.
    seen(
        &[field("rate_limit", "rejected"), field("error", "rate_limit")],
        Kind::UsageLimit,
        "usage-limit",
    ),
    synthetic(&[field("rate_limit", "rejected"), status(429, 429)], Kind::UsageLimit),
    // What the API says, in its own words: they may have anything in them.
    seen(
        &[field("error", "rate_limit"), text("message", Begins("API Error"))],
        Kind::RateLimited,
        "rate-limit",
    ),
    synthetic(&[field("error", "rate_limit"), text("message", Has("resets "))], Kind::UsageLimit),
    synthetic(
        &[field("error", "rate_limit"), text("message", Begins("You've hit your"))],
        Kind::UsageLimit,
    ),
    synthetic(
        &[field("error", "rate_limit"), text("message", Begins("You've reached your"))],
        Kind::UsageLimit,
    ),
    synthetic(
        &[field("error", "rate_limit"), text("message", Begins("You're out of"))],
        Kind::Billing,
    ),
    synthetic(
        &[field("error", "rate_limit"), text("message", Begins("Your org is out of"))],
        Kind::Billing,
    ),
    // The API's class where Claude's own is coarser: it calls an overloaded provider a server error.
    seen(&[field("api_error_type", "overloaded_error")], Kind::Overloaded, "overloaded"),
    synthetic(&[field("error", "rate_limit")], Kind::RateLimited),
    synthetic(&[field("error", "overloaded")], Kind::Overloaded),
    seen(&[field("error", "authentication_failed")], Kind::Auth, "key"),
    synthetic(&[field("error", "oauth_org_not_allowed")], Kind::Auth),
    synthetic(&[field("error", "account_on_hold")], Kind::Auth),
    synthetic(&[field("error", "verification_required")], Kind::Auth),
    synthetic(&[field("api_error", "org_disabled_credential")], Kind::Auth),
    synthetic(&[field("api_error", "safety_monitor_blocked")], Kind::Refused),
    synthetic(&[field("api_error", "dlp_request_denied")], Kind::Refused),
    // A filter of the API's stopped the answer, which it tells as a request that was wrong.
    synthetic(&[field("safety_stops", "some"), status(400, 400)], Kind::Refused),
    seen(&[field("error", "max_output_tokens")], Kind::OutputLimit, "length"),
    // Without a status no answer came at all.
    seen(&[field("error", "server_error"), NO_STATUS], Kind::Network, "refused-connection"),
    synthetic(
        &[text("errors", Begins("No conversation found with session ID"))],
        Kind::InvalidRequest,
    ),
    synthetic(
        &[text("errors", Begins("Error: --resume requires a valid session ID"))],
        Kind::InvalidRequest,
    ),
];
