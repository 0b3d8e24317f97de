//! Times of day, with or without a day: "1:50pm (America/Buenos_Aires)", "Nov 24, 3pm", "Nov 24th, 2026 3:15 PM".
//!
//! Every word must be understood; words that are not make the whole unknown.

use super::zone;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use std::time::Duration;

/// A date without a year is meant to be near.
const NEAR: SignedDuration = SignedDuration::from_hours(62 * 24);

/// What was said, word by word.
#[derive(Debug, Default)]
struct Said {
    day: Option<RelativeDay>,
    weekday: Option<Weekday>,
    date: Option<Date>,
    month: Option<i8>,
    day_of_month: Option<i8>,
    year: Option<i16>,
    /// One reading, or two if nobody said which half of the day.
    times: Vec<Time>,
    is_midnight: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RelativeDay {
    Today,
    Tomorrow,
}

/// When a limit ends that is over by its own words: what is said to be over may take a moment.
const JUST_OVER: SignedDuration = SignedDuration::from_mins(1);

/// The point in time that the words name.
pub(super) fn point(
    words: &str,
    now: Timestamp,
    local: Option<&TimeZone>,
    window: Option<Duration>,
) -> Option<Timestamp> {
    let (words, named) = split_zone(words)?;
    let said = Said::read(words)?;
    let window = window.and_then(|window| SignedDuration::try_from(window).ok());
    let readings = |zone: &TimeZone| {
        let instant = |time: &Time| said.instant(*time, now, zone, named.is_some(), window);
        said.times.iter().map(instant).collect::<Option<Vec<Timestamp>>>()
    };
    match &named {
        Some(zone) => readings(zone)?.into_iter().max(),
        // A date of digits is as likely the provider's as ours.
        None if said.date.is_some() => {
            let zones = [local.cloned(), Some(TimeZone::UTC)];
            zones.iter().flatten().filter_map(readings).flatten().max()
        }
        None => readings(local?)?.into_iter().max(),
    }
}

/// Takes the zone off the end; `None` if there is one that nobody knows.
fn split_zone(words: &str) -> Option<(&str, Option<TimeZone>)> {
    if let Some(rest) = words.strip_suffix(')') {
        let (rest, name) = rest.rsplit_once('(')?;
        return Some((rest.trim_end(), Some(zone::named(name.trim())?)));
    }
    let words = words.strip_suffix(" time").or(words.strip_suffix(" Time")).unwrap_or(words);
    let Some((rest, last)) = words.rsplit_once(' ') else { return Some((words, None)) };
    let Some(zone) = zone::named(last) else { return Some((words, None)) };
    let rest = rest.trim_end();
    // Go prints both: "+0000 UTC".
    let offset = rest.rsplit_once(' ').filter(|(_, word)| word.starts_with(['+', '-']));
    match offset.and_then(|(rest, word)| Some((rest.trim_end(), zone::named(word)?))) {
        Some((rest, zone)) => Some((rest, Some(zone))),
        None => Some((rest, Some(zone))),
    }
}

impl Said {
    fn read(words: &str) -> Option<Self> {
        let words = words.to_ascii_lowercase().replace("a.m.", "am").replace("p.m.", "pm");
        let words = words.replace("a.m", "am").replace("p.m", "pm");
        let mut words: Vec<&str> = split(&words).collect();
        let mut said = Self::default();
        while !words.is_empty() {
            let taken = said.take(&words)?;
            words.drain(..taken);
        }
        let has_date = said.date.is_some() || said.month.is_some();
        let is_whole = said.month.is_some() == said.day_of_month.is_some()
            && (said.year.is_none() || said.month.is_some())
            && !(said.date.is_some() && said.month.is_some());
        let days = [has_date, said.day.is_some()];
        let is_one = days.into_iter().filter(|is| *is).count() <= 1;
        let has_day = has_date || said.day.is_some() || said.weekday.is_some();
        // The midnight of a day is its beginning to some and its end to others.
        let is_clear = !(said.is_midnight && has_day);
        // Machines that write such dates count to 24.
        if said.date.is_some() {
            said.times.truncate(1);
        }
        if said.times.is_empty() && has_day && said.day != Some(RelativeDay::Today) {
            said.times.push(Time::constant(0, 0, 59, 0));
        }
        (is_whole && is_one && is_clear && !said.times.is_empty()).then_some(said)
    }

    /// Understands the first words, and says how many; `None` if it does not.
    fn take(&mut self, words: &[&str]) -> Option<usize> {
        let word = words[0];
        let next = words.get(1).copied().unwrap_or_default();
        match word {
            "at" | "on" | "the" | "of" | "next" => return Some(1),
            "today" => return set(&mut self.day, RelativeDay::Today),
            "tomorrow" => return set(&mut self.day, RelativeDay::Tomorrow),
            "noon" => return self.set_times(vec![Time::constant(12, 0, 59, 0)]),
            "midnight" => {
                self.is_midnight = true;
                return self.set_times(vec![Time::constant(0, 0, 59, 0)]);
            }
            _ => {}
        }
        if let Some(month) = month(word) {
            return set(&mut self.month, month);
        }
        if let Some(weekday) = weekday(word) {
            return set(&mut self.weekday, weekday);
        }
        if word.len() == 10 && word.contains('-') {
            return set(&mut self.date, word.parse().ok()?);
        }
        let half = match next {
            "am" | "pm" => Some(next),
            _ => None,
        };
        let (digits, suffix) =
            word.split_at(word.find(|c: char| c.is_alphabetic()).unwrap_or(word.len()));
        match (suffix, half) {
            ("am" | "pm", _) => return self.set_times(vec![twelve_hours(digits, suffix == "pm")?]),
            ("", Some(half)) if is_clock(digits) => {
                self.set_times(vec![twelve_hours(digits, half == "pm")?])?;
                return Some(2);
            }
            ("", None) if digits.contains(':') => return self.set_times(unmarked(digits)?),
            _ => {}
        }
        let number: i16 = digits.parse().ok()?;
        match suffix {
            "" | "st" | "nd" | "rd" | "th" if digits.len() <= 2 => {
                set(&mut self.day_of_month, i8::try_from(number).ok()?)
            }
            "" if digits.len() == 4 => set(&mut self.year, number),
            _ => None,
        }
    }

    fn set_times(&mut self, times: Vec<Time>) -> Option<usize> {
        if !self.times.is_empty() {
            return None;
        }
        self.times = times;
        Some(1)
    }

    fn instant(
        &self,
        time: Time,
        now: Timestamp,
        zone: &TimeZone,
        is_zone_named: bool,
        window: Option<SignedDuration>,
    ) -> Option<Timestamp> {
        let today = zone.to_datetime(now).date();
        let on = |date: Date| later(date.to_datetime(time), zone).filter(|at| *at >= now);
        let fits = |date: &Date| self.weekday.is_none_or(|weekday| date.weekday() == weekday);
        let near = |at: &Timestamp| at.duration_since(now) <= NEAR;
        if let Some(date) = self.date {
            return on(date).filter(|_| fits(&date));
        }
        if let (Some(month), Some(day)) = (self.month, self.day_of_month) {
            if let Some(year) = self.year {
                let date = Date::new(year, month, day).ok().filter(fits)?;
                return on(date);
            }
            let years = [today.year(), today.year().checked_add(1)?];
            let dates = years.into_iter().filter_map(|year| Date::new(year, month, day).ok());
            return dates.filter(fits).filter_map(on).find(near);
        }
        match self.day {
            Some(RelativeDay::Today) => return on(today).filter(|_| fits(&today)),
            Some(RelativeDay::Tomorrow) => {
                let date = today.tomorrow().ok().filter(fits)?;
                return on(date);
            }
            None => {}
        }
        if let Some(window) = window.filter(|_| self.weekday.is_none()) {
            return within(window, time, today, now, zone);
        }
        let days = (0..=8).filter_map(|n: i64| today.checked_add(n.days()).ok());
        let mut at = days.filter(fits).filter_map(on);
        let first = at.next()?;
        // Claude names the zone, and the day only beyond 24 hours: one time of day may come twice until then.
        let tomorrow = now.checked_add(SignedDuration::from_secs(86_400 + 59)).ok()?;
        let second = at.next().filter(|at| *at <= tomorrow);
        Some(second.filter(|_| is_zone_named && self.weekday.is_none()).unwrap_or(first))
    }
}

/// A time of day at which a window of this length ends. One that the window cannot reach has just passed: a message that
/// was slow, a clock that is ahead.
fn within(
    window: SignedDuration,
    time: Time,
    today: Date,
    now: Timestamp,
    zone: &TimeZone,
) -> Option<Timestamp> {
    let days = (-1..=1).filter_map(|n: i64| today.checked_add(n.days()).ok());
    let ends: Vec<_> = days.filter_map(|date| later(date.to_datetime(time), zone)).collect();
    let last = now.checked_add(window).ok()?.checked_add(SignedDuration::from_mins(1)).ok()?;
    let reached = ends.iter().filter(|at| **at >= now && **at <= last).max().copied();
    let over = || {
        let passed = ends.iter().filter(|at| **at < now).max()?;
        (now.duration_since(*passed) <= window).then(|| now.checked_add(JUST_OVER).ok()).flatten()
    };
    reached.or_else(over)
}

/// Of an hour that comes twice the second; of one that is left out, what the clock shows instead.
fn later(at: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(at).later().ok()
}

fn set<T>(slot: &mut Option<T>, value: T) -> Option<usize> {
    slot.is_none().then(|| {
        *slot = Some(value);
        1
    })
}

/// Words between spaces and commas; the `T` of an ISO date parts as well.
fn split(words: &str) -> impl Iterator<Item = &str> {
    let parts = words.split([' ', ',']).flat_map(|word| match word.split_once('t') {
        Some((date, time)) if date.len() == 10 && date.contains('-') => [date, time],
        _ => [word, ""],
    });
    parts.filter(|word| !word.is_empty())
}

fn is_clock(digits: &str) -> bool {
    digits.contains(':') || digits.len() <= 2
}

/// "3", "10:30", "10:30:05" in the first or the second half of the day.
fn twelve_hours(digits: &str, is_second_half: bool) -> Option<Time> {
    let (hour, minute, second) = parts(digits)?;
    let hour = (1..=12).contains(&hour).then_some(hour % 12)?;
    Time::new(hour + if is_second_half { 12 } else { 0 }, minute, second, 0).ok()
}

/// A time that does not say which half of the day: "15:00" and "09:30" need not, "9:30" may be either.
fn unmarked(digits: &str) -> Option<Vec<Time>> {
    let (hour, minute, second) = parts(digits)?;
    let first = Time::new(hour, minute, second, 0).ok()?;
    let is_clear = hour == 0 || hour > 12 || digits.starts_with('0');
    let other = Time::new(if hour == 12 { 0 } else { hour + 12 }, minute, second, 0);
    Some(match other {
        Ok(other) if !is_clear => vec![first, other],
        _ => vec![first],
    })
}

/// Hour, minute and second; of a minute that was not told to the second, the last one.
fn parts(digits: &str) -> Option<(i8, i8, i8)> {
    let mut parts = digits.split(':');
    let number = |part: &str| {
        let is_number = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<i8>().ok().filter(|_| is_number)
    };
    let hour = number(parts.next()?)?;
    let minute = parts.next().map_or(Some(0), |part| number(part).filter(|_| part.len() == 2))?;
    let second = parts.next().map_or(Some(59), |part| number(part).filter(|_| part.len() == 2))?;
    parts.next().is_none().then_some((hour, minute, second))
}

fn month(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let n = MONTHS.iter().position(|name| is_short_for(word, name))?;
    i8::try_from(n + 1).ok()
}

fn weekday(word: &str) -> Option<Weekday> {
    const DAYS: [(&str, Weekday); 7] = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    DAYS.iter().find(|(name, _)| is_short_for(word, name)).map(|(_, day)| *day)
}

/// "nov", "nov.", "sept", "november".
fn is_short_for(word: &str, name: &str) -> bool {
    let word = word.trim_end_matches('.');
    word == name || (matches!(word.len(), 3 | 4) && name.starts_with(word))
}
