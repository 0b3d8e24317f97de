//! When a limit ends: from an agent's words to a point in time.
//!
//! Pure: the time that it is and the zone of the machine come in. The answer is right or it is unknown, and it is
//! never early, because whoever comes back too early is refused once more: of two readings the later one counts,
//! and of a minute without its seconds the last second. Agents cut the seconds off (Claude Code 2.1.329, Codex
//! 0.169.0), so that is exact within 60 seconds.

mod clock;
#[cfg(test)]
mod tests;
pub(crate) mod zone;

use belay_agents::reset_words::{self, Window};
use belay_agents::spoken_duration;
use belay_trace::{Evidence, EvidenceSource, Failure, FailureKind};
use jiff::fmt::rfc2822;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// No plan has a longer window; what is farther away is a mistake.
const HORIZON: SignedDuration = SignedDuration::from_hours(400 * 24);

/// A rate limit that lasts longer is a plan's.
const RATE_MAX: SignedDuration = SignedDuration::from_mins(5);

/// Completes what an agent has told of a limit's end, where it gave no point in time itself; and a limit that lasts for
/// long is a usage limit, whatever its provider calls it.
pub(crate) fn complete(
    failure: &mut Failure,
    now: Timestamp,
    local: impl FnOnce() -> Option<TimeZone>,
) {
    // A number that is no time.
    failure.resets_at = failure.resets_at.filter(|at| at.duration_since(now) <= HORIZON);
    match failure.resets_at {
        Some(_) => {
            failure.reset_source.get_or_insert(EvidenceSource::Field);
        }
        None => {
            let found = told(failure, now, local);
            (failure.resets_at, failure.reset_source) = found.unzip();
        }
    }
    if is_limit(failure.kind)
        && let Some(window) = window_of(failure)
    {
        let window = Evidence {
            source: EvidenceSource::Text,
            name: Failure::WINDOW.to_owned(),
            value: window.to_string(),
        };
        failure.evidence.push(window);
    }
    let lasts = |at: Timestamp| at.duration_since(now) > RATE_MAX;
    if failure.kind == FailureKind::RateLimited && failure.resets_at.is_some_and(lasts) {
        failure.kind = FailureKind::UsageLimit;
    }
}

/// The window that a limit is about.
fn window_of(failure: &Failure) -> Option<Window> {
    let said = failure.evidence.iter().map(|said| said.value.as_str());
    let said = said.chain([failure.message.as_str()]).collect::<Vec<_>>().join("\n");
    Window::named_in(&said)
}

/// When a limit ends by the agent's words, or by the pause that it asks for.
fn told(
    failure: &Failure,
    now: Timestamp,
    local: impl FnOnce() -> Option<TimeZone>,
) -> Option<(Timestamp, EvidenceSource)> {
    let window = window_of(failure).and_then(Window::hours);
    let hinted = |hint: &str| point(hint, now, local().as_ref(), window);
    let hinted = failure.reset_hint.as_deref().and_then(hinted);
    let hinted = hinted.map(|at| (at, EvidenceSource::Text));
    hinted.or_else(|| Some((after_a_while(failure, now)?, source_of_wait(failure))))
}

/// A limit that asks for a pause ends with it; other failures that do so may not.
fn after_a_while(failure: &Failure, now: Timestamp) -> Option<Timestamp> {
    let pause = failure.retry_after_ms.filter(|_| is_limit(failure.kind))?;
    let pause = SignedDuration::from_millis(i64::try_from(pause).ok()?);
    now.checked_add(pause).ok().filter(|at| is_plausible(*at, now))
}

fn is_limit(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::RateLimited | FailureKind::UsageLimit)
}

fn source_of_wait(failure: &Failure) -> EvidenceSource {
    let is_header = failure.evidence.iter().any(|found| found.name.starts_with("retry-after"));
    if is_header { EvidenceSource::Field } else { EvidenceSource::Text }
}

/// The point in time that the words name; `None` if they name none, or one that is over.
///
/// The words may be a whole message ("You've hit your limit · resets 1:50pm (America/Buenos_Aires)") or a driver's hint,
/// the passages of it. Without a zone of its own a time of day is one of `local`. No limit of a known window ends later
/// than the window is long.
pub(crate) fn point(
    words: &str,
    now: Timestamp,
    local: Option<&TimeZone>,
    window: Option<Duration>,
) -> Option<Timestamp> {
    // Newer ICU puts narrow spaces before AM and PM.
    let words = words.replace(['\u{202f}', '\u{a0}'], " ");
    let mut said = reset_words::passages(&words);
    if said.is_empty() {
        said.extend(words.split('\u{b7}').map(|passage| passage.trim().to_owned()));
    }
    // Of several limits the last one to end is the end.
    let ends = said.iter().map(|passage| one_point(passage, now, local, window));
    let ends: Option<Vec<Timestamp>> = ends.collect();
    ends?.into_iter().max()
}

fn one_point(
    said: &str,
    now: Timestamp,
    local: Option<&TimeZone>,
    window: Option<Duration>,
) -> Option<Timestamp> {
    let at = match spoken_duration(said) {
        Some(length) => now.checked_add(SignedDuration::try_from(length).ok()?).ok()?,
        None => match absolute(said) {
            Some(at) => at,
            None => clock::point(said, now, local, window)?,
        },
    };
    is_plausible(at, now).then_some(at)
}

fn is_plausible(at: Timestamp, now: Timestamp) -> bool {
    at >= now && at.duration_since(now) <= HORIZON
}

/// A point in time that needs neither a clock nor a zone: seconds or milliseconds since the epoch, RFC 3339, the
/// date of an HTTP header.
fn absolute(said: &str) -> Option<Timestamp> {
    let digits = said.bytes().all(|byte| byte.is_ascii_digit());
    match said.len() {
        10 if digits => return Timestamp::from_second(said.parse().ok()?).ok(),
        13 if digits => return Timestamp::from_millisecond(said.parse().ok()?).ok(),
        _ => {}
    }
    let zoned = || DateTimeParser::new().parse_zoned_with(zone::database(), said);
    let at = said.parse().ok().or_else(|| zoned().ok().map(|at| at.timestamp()));
    at.or_else(|| rfc2822::parse(said).ok().map(|at| at.timestamp()))
}
