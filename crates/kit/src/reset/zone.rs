//! Time zones by their names, from tables that are part of the program: a machine may have none.

use belay_trace::read_regular;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::OnceLock;

/// The tables that belay was built with.
pub(super) fn database() -> &'static TimeZoneDatabase {
    static BUNDLED: OnceLock<TimeZoneDatabase> = OnceLock::new();
    BUNDLED.get_or_init(TimeZoneDatabase::bundled)
}

/// Short names, and what they mean to whoever says them latest in the day: `EST` is also said in summer, and elsewhere.
/// `IST` means three zones that are hours apart, and is not here.
const SHORT: &[(&str, &str)] = &[
    ("pst", "Etc/GMT+8"),
    ("mst", "Etc/GMT+7"),
    ("cst", "Etc/GMT+6"),
    ("est", "Etc/GMT+5"),
    ("pdt", "America/Los_Angeles"),
    ("pt", "America/Los_Angeles"),
    ("pacific", "America/Los_Angeles"),
    ("mdt", "America/Denver"),
    ("cdt", "America/Chicago"),
    ("ct", "America/Chicago"),
    ("edt", "America/New_York"),
    ("et", "America/New_York"),
    ("eastern", "America/New_York"),
    ("cet", "Etc/GMT-1"),
    ("cest", "Europe/Berlin"),
    ("bst", "Europe/London"),
    ("jst", "Asia/Tokyo"),
    ("kst", "Asia/Seoul"),
    ("sgt", "Asia/Singapore"),
];

/// The zone with this name in an agent's words: `UTC`, `UTC+2`, `America/New_York`, `PST`.
pub(super) fn named(name: &str) -> Option<TimeZone> {
    if name.contains('/') {
        return database().get(name).ok();
    }
    if name.eq_ignore_ascii_case("z") {
        return Some(TimeZone::UTC);
    }
    if let Some((_, zone)) = SHORT.iter().find(|(short, _)| name.eq_ignore_ascii_case(short)) {
        return database().get(zone).ok();
    }
    let (head, rest) = name.split_at_checked(3)?;
    if head.eq_ignore_ascii_case("utc") || head.eq_ignore_ascii_case("gmt") {
        return if rest.is_empty() { Some(TimeZone::UTC) } else { offset(rest) };
    }
    offset(name)
}

/// `+2`, `-03:00`, `+0530`.
fn offset(words: &str) -> Option<TimeZone> {
    let (sign, rest) = match words.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-" | "\u{2212}", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match (rest.split_once(':'), rest.len()) {
        (Some(parts), _) => parts,
        (None, 4) => rest.split_at_checked(2)?,
        (None, _) => (rest, "0"),
    };
    let is_number = |part: &str| part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(hours) || !is_number(minutes) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    let seconds = sign * (hours * 3600 + minutes * 60);
    Offset::from_seconds(seconds).ok().map(|offset| offset.to_time_zone())
}

/// The zone in which an agent with this `TZ` tells the time; that of the machine without one. `None` if nobody
/// knows.
pub(crate) fn local(tz: Option<&OsStr>) -> Option<TimeZone> {
    let Some(tz) = tz else { return of_the_machine() };
    let tz = tz.to_str()?;
    let tz = tz.strip_prefix(':').unwrap_or(tz);
    if tz.is_empty() {
        return Some(TimeZone::UTC);
    }
    if Path::new(tz).is_absolute() {
        return TimeZone::tzif("", &read_regular(Path::new(tz)).ok()?).ok();
    }
    database().get(tz).or_else(|_| TimeZone::posix(tz)).ok()
}

#[cfg(unix)]
fn of_the_machine() -> Option<TimeZone> {
    match read_regular(Path::new("/etc/localtime")) {
        Ok(table) => TimeZone::tzif("", &table).ok(),
        // As in many a container; everybody's clock shows UTC then.
        Err(_) => Some(TimeZone::UTC),
    }
}

#[cfg(not(unix))]
fn of_the_machine() -> Option<TimeZone> {
    TimeZone::try_system().ok()
}
