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

use belay_agents::spoken_duration;
use belay_trace::{EvidenceSource, Failure, FailureKind};
use jiff::fmt::rfc2822;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// No plan has a longer window; what is farther away is a mistake.
const HORIZON: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Completes what an agent has told of a limit's end, where it gave no point in time itself.
pub(crate) fn complete(
    failure: &mut Failure,
    now: Timestamp,
    local: impl FnOnce() -> Option<TimeZone>,
) {
    if failure.resets_at.is_some() {
        failure.reset_source.get_or_insert(EvidenceSource::Field);
        return;
    }
    let hinted = failure.reset_hint.as_deref().and_then(|h| point(h, now, local().as_ref()));
    let found = hinted.map(|at| (at, EvidenceSource::Text));
    let found = found.or_else(|| Some((after_a_while(failure, now)?, source_of_wait(failure))));
    if let Some((at, source)) = found {
        (failure.resets_at, failure.reset_source) = (Some(at), Some(source));
    }
}

/// A limit that asks for a pause ends with it; other failures that do so may not.
fn after_a_while(failure: &Failure, now: Timestamp) -> Option<Timestamp> {
    let is_limit = matches!(failure.kind, FailureKind::RateLimited | FailureKind::UsageLimit);
    let pause = failure.retry_after_ms.filter(|_| is_limit)?;
    let pause = SignedDuration::from_millis(i64::try_from(pause).ok()?);
    now.checked_add(pause).ok().filter(|at| is_plausible(*at, now))
}

fn source_of_wait(failure: &Failure) -> EvidenceSource {
    let is_header = failure.evidence.iter().any(|found| found.name.starts_with("retry-after"));
    if is_header { EvidenceSource::Field } else { EvidenceSource::Text }
}

/// The point in time that the words name; `None` if they name none, or one that is over.
///
/// The words may be the whole sentence ("You've hit your limit · resets 1:50pm (America/Buenos_Aires)") or what
/// stands behind "resets" in it. Without a zone of its own a time of day is one of `local`.
pub(crate) fn point(words: &str, now: Timestamp, local: Option<&TimeZone>) -> Option<Timestamp> {
    // Newer ICU puts narrow spaces before AM and PM.
    let words = words.replace(['\u{202f}', '\u{a0}'], " ");
    let parts = || words.split(['\n', '·', '∙', '|']);
    let mut said: Vec<&str> = parts().filter_map(behind_lead).collect();
    if said.is_empty() {
        // A driver's hint begins behind such words.
        said.extend(parts().next().map(end_of_sentence));
    }
    // Of several limits the last one to end is the end.
    let ends: Option<Vec<Timestamp>> = said.into_iter().map(|s| one_point(s, now, local)).collect();
    ends?.into_iter().max()
}

fn one_point(said: &str, now: Timestamp, local: Option<&TimeZone>) -> Option<Timestamp> {
    let said = said.trim().trim_end_matches(['.', ',', ';', '!', ' ']);
    let at = match spoken_duration(said) {
        Some(length) => now.checked_add(SignedDuration::try_from(length).ok()?).ok()?,
        None => match absolute(said) {
            Some(at) => at,
            None => clock::point(said, now, local)?,
        },
    };
    is_plausible(at, now).then_some(at)
}

fn is_plausible(at: Timestamp, now: Timestamp) -> bool {
    at >= now && at.duration_since(now) <= HORIZON
}

/// How sentences about limits come to the point.
const LEADS: [&str; 7] =
    ["resets", "reset at", "try again", "retry after", "retry in", "available again", "available"];

/// What stands behind the words that announce a time.
fn behind_lead(part: &str) -> Option<&str> {
    let lower = part.to_ascii_lowercase();
    let behind = LEADS.iter().filter_map(|lead| {
        let at = lower.find(&format!("{lead} "))?;
        let begins = !lower[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        begins.then_some(at + lead.len() + 1)
    });
    let mut rest = part[behind.min()?..].trim_start();
    for word in ["at ", "on ", "after "] {
        if rest.get(..word.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(word)) {
            rest = rest[word.len()..].trim_start();
        }
    }
    Some(end_of_sentence(rest))
}

/// Cuts off the next sentence: "3pm. Upgrade …".
fn end_of_sentence(rest: &str) -> &str {
    let ends = rest.match_indices(". ").map(|(at, _)| at);
    // "3 p.m. (UTC)" goes on.
    let mut ends = ends.filter(|at| !rest[..*at].to_ascii_lowercase().ends_with(".m"));
    ends.next().map_or(rest, |at| &rest[..at])
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
