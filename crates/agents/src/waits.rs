//! How long to wait, as far as an agent's own error text says so.

use crate::spoken_duration;
use belay_trace::{EvidenceSource, Failure, FailureKind};

/// What introduces the end of a limit; the words behind it are the hint.
const RESETS: [&str; 4] = ["resets ", "try again at ", "try again in ", "available again at "];

/// What introduces a pause.
const PAUSES: [&str; 4] = ["try again in ", "retry in ", "retry after ", "try again after "];

/// Adds what the words say to a failure that is a limit or a pause: the hint of a limit is left in words, because
/// a driver has neither a clock nor a zone; a length of time needs none.
pub(crate) fn with_words(mut failure: Failure, words: &str) -> Failure {
    match failure.kind {
        FailureKind::UsageLimit | FailureKind::Billing if failure.reset_hint.is_none() => {
            failure.reset_hint = hint(words);
        }
        FailureKind::RateLimited | FailureKind::Overloaded | FailureKind::ServerError
            if failure.retry_after_ms.is_none() =>
        {
            failure.retry_after_ms = pause(words);
        }
        _ => {}
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

/// "You've hit your 5-hour limit · resets 10:53am (UTC)" gives "10:53am (UTC)".
fn hint(words: &str) -> Option<String> {
    let (begin, lead) = first(words, &RESETS)?;
    let behind = &words[begin + lead.len()..];
    let line = behind.lines().next().unwrap_or_default();
    let end = line.find(" \u{b7}").unwrap_or(line.len());
    let hint = match line.to_ascii_lowercase().matches("resets ").count() {
        0 => &line[..end],
        // Of several limits each has its time, and its lead.
        _ => &words[begin..begin + lead.len() + line.len()],
    };
    Some(hint.trim().trim_end_matches('.').to_owned()).filter(|hint| !hint.is_empty())
}

/// "… Please try again in 1.2s. Visit …" gives 1200.
fn pause(words: &str) -> Option<u64> {
    let (begin, lead) = first(words, &PAUSES)?;
    let behind = &words[begin + lead.len()..];
    let sentence = behind.split(". ").next()?;
    let length = spoken_duration(sentence.lines().next()?)?;
    u64::try_from(length.as_millis()).ok()
}

/// Where the first of these stands, whatever its case.
fn first<'a>(words: &str, leads: &[&'a str]) -> Option<(usize, &'a str)> {
    let lower = words.to_ascii_lowercase();
    leads.iter().filter_map(|lead| Some((lower.find(lead)?, *lead))).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_what_stands_behind_the_words_for_a_reset() {
        for (words, want) in [
            ("You've hit your 5-hour limit · resets 10:53am (UTC)", Some("10:53am (UTC)")),
            ("5-hour limit reached \u{2219} resets 3pm", Some("3pm")),
            ("limit · resets 3pm (UTC) · /upgrade to Max", Some("3pm (UTC)")),
            (
                "limit · resets 3pm (UTC) · your weekly limit resets Nov 24, 9am (UTC)",
                Some("resets 3pm (UTC) · your weekly limit resets Nov 24, 9am (UTC)"),
            ),
            ("Upgrade to Pro or try again at 10:30 AM.", Some("10:30 AM")),
            ("Try again in ~42 min.", Some("~42 min")),
            ("Try again later.", None),
            ("resets ", None),
        ] {
            assert_eq!(hint(words).as_deref(), want, "{words}");
        }
    }

    #[test]
    fn a_pause_is_a_length_of_time_and_nothing_else() {
        assert_eq!(pause("Rate limit reached. Please try again in 1.2s."), Some(1200));
        assert_eq!(pause("Please try again in 6m0s. Visit the site."), Some(360_000));
        assert_eq!(pause("Please retry in 20s"), Some(20_000));
        assert_eq!(pause("Please try again in a while."), None);
        assert_eq!(pause("Please try again later."), None);
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
