//! How Docker Agent fails, from its source: nobody has recorded it.
//!
//! The class of an error never reaches its JSON stream: the program prints the words on standard error and exits
//! with a code. Lines on standard error are evidence for no shared row, so belay guesses nothing from them.

use crate::failures::{Row, Table, field, synthetic};
use belay_trace::FailureKind as Kind;

pub(crate) const FAILURES: Table = Table { agent: super::DockerAgent::NAME, rows: ROWS };

const ROWS: &[Row] = &[
    synthetic(&[field("code", "rate_limited")], Kind::RateLimited),
    synthetic(&[field("code", "context_exceeded")], Kind::ContextOverflow),
    synthetic(&[field("code", "media_too_large")], Kind::InvalidRequest),
    synthetic(&[field("code", "hook_blocked")], Kind::PermissionDenied),
    synthetic(&[field("code", "loop_detected")], Kind::LimitReached),
    synthetic(&[field("reason", "canceled")], Kind::Interrupted),
    synthetic(&[field("reason", "hook_blocked")], Kind::PermissionDenied),
];
