//! How Pi fails (1.5.2): its one message begins with the HTTP status, if there was one, and goes on with the
//! provider's own error object. The provider's word for why it stopped is `rawStopReason`.

use crate::failures::Pattern::Begins;
use crate::failures::{Row, Table, field, seen, synthetic, text};
use belay_trace::FailureKind as Kind;

pub(crate) const FAILURES: Table = Table { agent: super::Pi::NAME, rows: ROWS };

const ROWS: &[Row] = &[
    seen(&[field("stopReason", "length")], Kind::OutputLimit, "length"),
    seen(&[text("message", Begins("terminated"))], Kind::Network, "broken-stream"),
    synthetic(&[text("message", Begins("Provider finish_reason: content_filter"))], Kind::Refused),
    // What it prints when it gives up before it asks a model.
    synthetic(&[text("stderr", Begins("No API key found for"))], Kind::Auth),
    synthetic(&[text("stderr", Begins("No session found matching"))], Kind::InvalidRequest),
    synthetic(
        &[text("stderr", Begins("Session found in different project:"))],
        Kind::InvalidRequest,
    ),
    seen(&[text("stderr", Begins("Error: Model \""))], Kind::ModelUnavailable, "no-such-model"),
];
