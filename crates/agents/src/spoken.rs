//! Lengths of time as agents and providers say them: "1.2s", "6m0s", "3 hours 12 minutes", "~42 min".

use std::time::Duration;

/// The units and their names, longest first: a shorter one never comes before a longer one.
const UNITS: [(u64, &[&str]); 6] = [
    (7 * 86_400_000, &["w", "week", "weeks"]),
    (86_400_000, &["d", "day", "days"]),
    (3_600_000, &["h", "hr", "hrs", "hour", "hours"]),
    (MINUTE_MS, &["m", "min", "mins", "minute", "minutes"]),
    (1000, &["s", "sec", "secs", "second", "seconds"]),
    (1, &["ms", "msec", "millisecond", "milliseconds"]),
];

const MINUTE_MS: u64 = 60_000;

/// What is left out behind whole minutes: Codex and Pi count seconds and do not say them.
const UNSAID_MS: u64 = 59_000;

/// No limit lasts longer; what does is a mistake.
const LONGEST_MS: u64 = 400 * 86_400_000;

/// The length of time that these words name, and no less: nobody who waits for so long comes too early.
///
/// `None` if they name none, or if anything else stands among them. Seconds are taken as they are said. Whole
/// minutes and what is longer may hide up to 59 seconds; what is said to be about so long, one unit more.
///
/// ```
/// use belay_agents::spoken_duration;
/// use std::time::Duration;
///
/// assert_eq!(spoken_duration("1.2s"), Some(Duration::from_millis(1200)));
/// assert_eq!(spoken_duration("in 6m0s"), Some(Duration::from_secs(360)));
/// assert_eq!(spoken_duration("3 hours"), Some(Duration::from_secs(3 * 3600 + 59)));
/// assert_eq!(spoken_duration("a few minutes"), None);
/// ```
pub fn spoken_duration(words: &str) -> Option<Duration> {
    let words = words.trim().trim_end_matches(['.', ',', ';', '!']).to_ascii_lowercase();
    if let Some(digits) = words.strip_prefix("in ").and_then(digits) {
        return Some(digits);
    }
    let words = words.strip_prefix("in ").unwrap_or(&words).trim_start();
    let at_most = words.strip_prefix("less than ");
    let about = ["about ", "around ", "approximately ", "~"];
    let about = about.iter().find_map(|word| words.strip_prefix(word));
    let (mut ms, mut smallest) = (0_u64, u64::MAX);
    let mut rest = about.or(at_most).unwrap_or(words);
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
        if rest.is_empty() {
            break;
        }
        let (amount, behind) = amount(rest)?;
        let behind = behind.trim_start();
        let (name, behind) = split(behind, |c| c.is_ascii_alphabetic());
        let unit = UNITS.iter().find(|(_, names)| names.contains(&name))?.0;
        if unit >= smallest {
            return None;
        }
        smallest = unit;
        ms = ms.checked_add(amount.of(unit)?)?;
        rest = behind;
    }
    let unsaid = match smallest {
        u64::MAX => return None,
        _ if at_most.is_some() => 0,
        _ if about.is_some() && smallest > MINUTE_MS => smallest,
        MINUTE_MS.. => UNSAID_MS,
        _ => 0,
    };
    let ms = ms.checked_add(unsaid).filter(|ms| *ms <= LONGEST_MS)?;
    Some(Duration::from_millis(ms))
}

/// A number as it was written: `1.25` is 125 parts of a hundred.
struct Amount {
    parts: u64,
    of: u64,
}

impl Amount {
    /// So many milliseconds, rounded up.
    fn of(&self, unit: u64) -> Option<u64> {
        Some(self.parts.checked_mul(unit)?.div_ceil(self.of))
    }
}

fn amount(words: &str) -> Option<(Amount, &str)> {
    for article in ["an ", "a ", "one "] {
        if let Some(rest) = words.strip_prefix(article) {
            return Some((Amount { parts: 1, of: 1 }, rest));
        }
    }
    let (digits, rest) = split(words, |c| c.is_ascii_digit());
    let behind_point = rest.starts_with('.');
    let (fraction, rest) =
        split(rest.strip_prefix('.').unwrap_or(rest), |c| behind_point && c.is_ascii_digit());
    if behind_point && fraction.is_empty() {
        return None;
    }
    // Finer than anybody can wait.
    let fraction = &fraction[..fraction.len().min(6)];
    let parts = format!("{digits}{fraction}").parse().ok().filter(|_| !digits.is_empty())?;
    let of = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some((Amount { parts, of }, rest))
}

/// "02:15:00": hours, minutes and seconds. Without the last it may be either.
fn digits(words: &str) -> Option<Duration> {
    let parts: Vec<&str> = words.split(':').collect();
    let [hours, minutes, seconds] = parts[..] else { return None };
    let number = |part: &str| part.parse::<u64>().ok().filter(|_| part.len() <= 3);
    let (hours, minutes, seconds) = (number(hours)?, number(minutes)?, number(seconds)?);
    let is_clock = minutes < 60 && seconds < 60;
    is_clock.then(|| Duration::from_secs(hours * 3600 + minutes * 60 + seconds))
}

fn split(words: &str, is_part: impl Fn(char) -> bool) -> (&str, &str) {
    words.split_at(words.find(|c| !is_part(c)).unwrap_or(words.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &str, ms: u64) {
        assert_eq!(spoken_duration(words), Some(Duration::from_millis(ms)), "{words}");
    }

    #[test]
    fn seconds_are_taken_as_they_are_said() {
        check("1.2s", 1200);
        check("in 20 seconds.", 20_000);
        check("350ms", 350);
        check("6m0s", 360_000);
        check("1h12m3.5s", 4_323_500);
        check("0.0001s", 1);
        check("in 02:15:00", 8_100_000);
    }

    #[test]
    fn whole_minutes_may_hide_some_seconds() {
        check("42 min", 42 * 60_000 + 59_000);
        check("~42 min", 42 * 60_000 + 59_000);
        check("1 day 3 hours", 27 * 3_600_000 + 59_000);
        check("4 days, 3 hours and 12 minutes", (99 * 60 + 12) * 60_000 + 59_000);
        check("an hour", 3_600_000 + 59_000);
        check("about 3 hours", 4 * 3_600_000);
        check("less than a minute", 60_000);
    }

    #[test]
    fn what_is_no_length_of_time_is_none() {
        for words in [
            "",
            "in",
            "3",
            "hours",
            "3 parsecs",
            "a few minutes",
            "3pm",
            "5m 3h",
            "2 h 2 h",
            "-3 h",
            "99999 weeks",
            "99999999999999999999 s",
            "3 hours (UTC)",
            "1..2s",
            "\u{e9}",
            "1.s.",
        ] {
            assert_eq!(spoken_duration(words), None, "{words}");
        }
    }
}
