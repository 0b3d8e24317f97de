//! Figures as people read them: ages, durations, tokens, dollars, bytes.

use belay_trace::{CostSource, Usage};
use jiff::{SignedDuration, Timestamp};

/// `5s`, `12m`, `3h`, `9d`.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `350ms`, `4.2s`, `12m05s`, `3h07m`.
pub(crate) fn duration(time: SignedDuration) -> String {
    let ms = time.as_millis().max(0);
    let seconds = ms / 1000;
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{seconds}.{}s", ms % 1000 / 100),
        60_000..3_600_000 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// What went in, cached tokens included, and what came out: `21.4K/85`.
pub(crate) fn tokens(usage: &Usage) -> Option<String> {
    let into =
        [usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens];
    let known = into.iter().chain([&usage.output_tokens]).any(Option::is_some);
    let into = into.into_iter().flatten().fold(0, u64::saturating_add);
    known.then(|| format!("{}/{}", count(into), count(usage.output_tokens.unwrap_or(0))))
}

/// `$0.0130`, or `≥$0.0130` if that is not all.
pub(crate) fn dollars(usage: &Usage) -> Option<String> {
    let mark = if usage.cost_source == CostSource::Partial { "≥" } else { "" };
    usage.total_cost_usd.map(|usd| format!("{mark}${usd:.4}"))
}

/// 1234 is `1.2K`.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(crate) fn count(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.1}K", n as f64 / 1e3),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}

/// `512 bytes`, `1.2 MB`.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(crate) fn bytes(n: u64) -> String {
    match n {
        1 => "1 byte".to_owned(),
        0..1_000 => format!("{n} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    }
}

/// `1 run`, `3 runs`.
pub(crate) fn runs(n: usize) -> String {
    if n == 1 { "1 run".to_owned() } else { format!("{n} runs") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_one_unit() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (seconds, want) in [(0, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (200_000, "2d")] {
            assert_eq!(age(at(0), at(seconds)), want);
        }
        assert_eq!(age(at(10), at(0)), "0s");
    }

    #[test]
    fn a_duration_has_two_figures_of_use() {
        for (ms, want) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_990, "1.9s"),
            (60_000, "1m00s"),
            (725_000, "12m05s"),
            (11_220_000, "3h07m"),
        ] {
            assert_eq!(duration(SignedDuration::from_millis(ms)), want);
        }
    }

    #[test]
    fn tokens_that_nobody_knows_are_no_zero() {
        assert_eq!(tokens(&Usage::default()), None);
        let usage = Usage {
            input_tokens: Some(1400),
            cache_read_input_tokens: Some(20_000),
            output_tokens: Some(85),
            ..Usage::default()
        };
        assert_eq!(tokens(&usage).as_deref(), Some("21.4K/85"));
    }
}
