//! How long to wait, as far as an agent's own error text says so.

use crate::reset_words;
use belay_trace::{EvidenceSource, Failure, FailureKind};

/// Adds what the words say to a failure that is a limit or a pause. What is no length of time is left in words, because
/// a driver has neither a clock nor a zone.
pub(crate) fn with_words(mut failure: Failure, words: &str) -> Failure {
    let passes = matches!(
        failure.kind,
        FailureKind::RateLimited | FailureKind::Overloaded | FailureKind::ServerError
    );
    let is_limit = matches!(
        failure.kind,
        FailureKind::UsageLimit | FailureKind::Billing | FailureKind::RateLimited
    );
    if passes && failure.retry_after_ms.is_none() {
        let pause = reset_words::pause(words);
        failure.retry_after_ms = pause.and_then(|pause| u64::try_from(pause.as_millis()).ok());
    }
    if is_limit && failure.retry_after_ms.is_none() && failure.reset_hint.is_none() {
        let passages = reset_words::passages(words);
        failure.reset_hint = Some(passages.join(" \u{b7} ")).filter(|hint| !hint.is_empty());
    }
    failure
}

/// Adds what a `retry-after` header says: seconds, or a date. `retry-after-ms` is more exact where it is given.
pub(crate) fn with_header(mut failure: Failure, name: &str, value: &str) -> Failure {
    let number = || value.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
    let unit = if name.ends_with("-ms") { 1.0 } else { 1000.0 };
    if let Some(number) = number() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is positive, and the cast saturates"
        )]
        let ms = (number * unit).ceil() as u64;
        failure.retry_after_ms = Some(ms);
    } else if let Ok(date) = jiff::fmt::rfc2822::parse(value.trim()) {
        failure.resets_at = Some(date.timestamp());
        failure.reset_source = Some(EvidenceSource::Field);
    } else {
        return failure;
    }
    failure.with(EvidenceSource::Field, name, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_a_hint_and_what_passes_a_pause() {
        let read = |kind, words| {
            let failure = with_words(Failure::new(kind, ""), words);
            (failure.reset_hint, failure.retry_after_ms)
        };
        let (limit, rate) = (FailureKind::UsageLimit, FailureKind::RateLimited);
        let hint = |words: &str| Some(words.to_owned());
        assert_eq!(read(limit, "limit · resets 3pm (UTC)"), (hint("3pm (UTC)"), None));
        assert_eq!(read(limit, "Try again in ~42 min."), (hint("in ~42 min"), None));
        assert_eq!(read(rate, "Try again in 1.2s."), (None, Some(1200)));
        assert_eq!(
            read(rate, "will reset at 2026-12-04 00:56:38"),
            (hint("2026-12-04 00:56:38"), None)
        );
        assert_eq!(read(FailureKind::Overloaded, "resets 3pm"), (None, None));
        let two = "resets 3pm (UTC) · your weekly limit resets Nov 24, 9am (UTC)";
        assert_eq!(read(limit, two).0, hint("3pm (UTC) · Nov 24, 9am (UTC)"));
    }

    #[test]
    fn a_header_has_seconds_or_a_date() {
        let read = |name, value| {
            let failure = with_header(Failure::new(FailureKind::RateLimited, ""), name, value);
            (failure.retry_after_ms, failure.resets_at.map(|at| at.as_second()))
        };
        assert_eq!(read("retry-after", "3600"), (Some(3_600_000), None));
        assert_eq!(read("retry-after", "1.5"), (Some(1500), None));
        assert_eq!(read("retry-after-ms", "250"), (Some(250), None));
        assert_eq!(
            read("retry-after", "Sat, 21 Nov 2026 10:53:25 GMT"),
            (None, Some(1_795_258_405))
        );
        assert_eq!(read("retry-after", "soon"), (None, None));
        assert_eq!(read("retry-after", "-1"), (None, None));
        assert_eq!(read("retry-after", "inf"), (None, None));
    }
}
