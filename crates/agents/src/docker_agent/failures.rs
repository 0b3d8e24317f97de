//! How Docker Agent fails.
//!
//! The class of an error never reaches its JSON stream: the program prints the words on standard error, behind
//! `Error: `, and exits with a code. They are those of the SDKs that it asks models with; the status and the provider's
//! body are read out of them, and the address is left out.

use crate::failures::Pattern::Begins;
use crate::failures::{Row, Table, field, seen, synthetic, text};
use belay_trace::FailureKind as Kind;

pub(crate) const FAILURES: Table = Table { agent: super::DockerAgent::NAME, rows: ROWS };

const ROWS: &[Row] = &[
    // Of the newer version, from its source.
    synthetic(&[field("code", "rate_limited")], Kind::RateLimited),
    synthetic(&[field("code", "context_exceeded")], Kind::ContextOverflow),
    synthetic(&[field("code", "media_too_large")], Kind::InvalidRequest),
    synthetic(&[field("code", "hook_blocked")], Kind::PermissionDenied),
    synthetic(&[field("code", "loop_detected")], Kind::LimitReached),
    synthetic(&[field("reason", "canceled")], Kind::Interrupted),
    synthetic(&[field("reason", "hook_blocked")], Kind::PermissionDenied),
    // What the driver reads out of the words on standard error: the request had no answer.
    synthetic(&[field("answer", "none")], Kind::Network),
    seen(
        &[text("message", Begins("The following environment variables must be set"))],
        Kind::Auth,
        "h-nokey",
    ),
    synthetic(
        &[text("message", Begins("The conversation has exceeded the model's context window"))],
        Kind::ContextOverflow,
    ),
    synthetic(
        &[text("message", Begins("sorry, you first need to sign in Docker Desktop"))],
        Kind::Auth,
    ),
];
