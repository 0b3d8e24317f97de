//! How OpenCode fails (1.18.33): the class of its error, the code in the provider's body, the status, its words.
//!
//! `APIError` and `UnknownError` decide nothing. `opencode run` hides that a model is unknown behind "Unexpected
//! server error"; its log names the class, and the error the line of the log.

use crate::failures::Pattern::Begins;
use crate::failures::{Row, Table, field, seen, synthetic, text};
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
    synthetic(&[text("message", Begins("ProviderModelNotFoundError"))], Kind::ModelUnavailable),
];
