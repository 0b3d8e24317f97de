//! The words in which agents and providers say when a limit ends: one grammar for every driver, and for whoever has a
//! clock to read them by.
//!
//! A passage is what stands behind words that announce it ("resets", "try again", "regain access"), up to the end of
//! its sentence. Passages that cannot be a time ("try again later") are none.

use crate::spoken_duration;
use std::fmt;
use std::time::Duration;

/// What announces a time. The flag says that a word such as "at" has to follow: "reset your password" announces none.
const LEADS: &[(&str, bool)] = &[
    ("resets", false),
    ("reset", true),
    ("will reset", false),
    ("reset time", true),
    ("resetting", true),
    ("resets_at", true),
    ("reset_at", true),
    ("reset_time", true),
    ("try again", false),
    ("retry", true),
    ("retrying", true),
    ("retry-after", false),
    ("retry_after", false),
    ("retrydelay", false),
    ("wait", false),
    ("available", true),
    ("available again", false),
    ("regain access", false),
    ("access again", true),
    ("access will be restored", false),
    ("restored", true),
    ("renews", false),
    ("renew", false),
    ("renewed", true),
    ("refreshes", false),
    ("refresh", false),
    ("refreshed", true),
    ("replenishes", false),
    ("replenished", true),
    ("lifted", true),
    ("resumes", false),
    ("resume", true),
    ("come back", false),
    ("until", false),
];

/// What may stand between the announcement and the time.
const BETWEEN: &[&str] =
    &["at", "on", "after", "by", "until", "for", "again", "is", "the", "next", "around", ":", "="];

/// What begins the next thought: the provider's advice.
const ADVICE: &[&str] = &[
    " or upgrade",
    " or purchase",
    " or buy",
    " or switch",
    " or add",
    " or contact",
    " or use",
    " or visit",
    " or enable",
    " or wait",
    " or try",
    " to continue",
    " to keep",
    " if you",
    " unless",
    " when ",
    " before ",
    " please ",
    " \u{2013} ",
    " \u{2014} ",
    " - ",
    "; ",
];

/// What parts several limits of one message.
const PARTS: &[char] = &['\n', '\u{b7}', '\u{2219}', '\u{2022}', '|'];

/// The passages that say when a limit ends, in their order.
///
/// ```
/// use belay_agents::reset_words::passages;
///
/// assert_eq!(passages("5-hour limit reached · resets 3pm (UTC)"), ["3pm (UTC)"]);
/// assert_eq!(passages("Your quota will reset after 15h57m40s."), ["15h57m40s"]);
/// assert!(passages("Try again later.").is_empty());
/// ```
pub fn passages(words: &str) -> Vec<String> {
    let words = words.replace(['\u{202f}', '\u{a0}'], " ");
    let mut found = Vec::new();
    for (n, part) in words.split(PARTS).enumerate() {
        // "usage limit reached|1796030400"
        if n > 0 && is_epoch(part.trim()) {
            found.push(part.trim().to_owned());
        }
        let mut rest = part;
        while let Some(behind) = behind_lead(rest) {
            let passage = end(behind);
            if looks_like_time(passage) {
                found.push(passage.to_owned());
            }
            rest = behind;
        }
    }
    found
}

/// The first length of time among them.
pub fn pause(words: &str) -> Option<Duration> {
    passages(words).iter().find_map(|passage| spoken_duration(passage))
}

/// The window of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// So many hours; no such limit ends later than that from now.
    Hours(u64),
    /// A day, a week or a month, by their names.
    Long(&'static str),
}

impl Window {
    /// The window that the words are about; `None` if they name none, or several.
    pub fn named_in(words: &str) -> Option<Self> {
        const LONG: [(&str, &str); 9] = [
            ("weekly", "weekly"),
            ("per week", "weekly"),
            ("seven_day", "weekly"),
            ("7-day", "weekly"),
            ("monthly", "monthly"),
            ("per month", "monthly"),
            ("daily", "daily"),
            ("per day", "daily"),
            ("per-day", "daily"),
        ];
        // Claude calls its five hours a session.
        const SESSION: [&str; 4] = ["session limit", "five_hour", "five-hour", "five hour"];
        let words = words.to_ascii_lowercase();
        let hours =
            ["-hour", " hour limit", "-hr", "h limit", "h window"].iter().find_map(|unit| {
                let at = words.find(unit)?;
                let digits = words[..at].rsplit(|c: char| !c.is_ascii_digit()).next()?;
                digits.parse().ok().filter(|hours| (1..=24).contains(hours))
            });
        let hours = hours.or_else(|| SESSION.iter().any(|it| words.contains(it)).then_some(5));
        let mut long = LONG.iter().filter(|(word, _)| words.contains(word)).map(|(_, name)| *name);
        match (hours, long.next()) {
            (Some(hours), None) => Some(Self::Hours(hours)),
            (None, Some(name)) => long.all(|other| other == name).then_some(Self::Long(name)),
            _ => None,
        }
    }

    /// How long it is, if it is a matter of hours.
    pub fn hours(self) -> Option<Duration> {
        match self {
            Self::Hours(hours) => Some(Duration::from_secs(hours * 3600)),
            Self::Long(_) => None,
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hours(hours) => write!(f, "{hours}-hour"),
            Self::Long(name) => f.write_str(name),
        }
    }
}

/// What stands behind the first announcement.
fn behind_lead(part: &str) -> Option<&str> {
    let lower = part.to_ascii_lowercase();
    let mut ends = LEADS.iter().filter_map(|(lead, is_strict)| {
        let at = lower.match_indices(lead).map(|(at, _)| at).find(|at| {
            let begins = !lower[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let behind = &lower[at + lead.len()..];
            begins && (!is_strict || between(behind).1) && !behind.starts_with(is_word)
        })?;
        Some((at, at + lead.len()))
    });
    let first = ends.by_ref().min_by_key(|(at, end)| (*at, usize::MAX - *end))?;
    let behind = &part[first.1..];
    Some(&behind[between(behind).0..])
}

/// How far the words go that lead over to the time, and whether there are any.
fn between(behind: &str) -> (usize, bool) {
    let mut rest = behind;
    let mut has_some = false;
    loop {
        rest = rest.trim_start_matches([' ', '"', '\'', ',']);
        let lower = rest.get(..12).unwrap_or(rest).to_ascii_lowercase();
        let taken = BETWEEN.iter().find(|word| {
            lower.strip_prefix(**word).is_some_and(|behind| {
                word.starts_with(|c: char| !is_word(c)) || !behind.starts_with(is_word)
            })
        });
        let Some(word) = taken else { break };
        has_some = true;
        rest = &rest[word.len()..];
    }
    // Of "in" it depends whether digits are a length or a time of day.
    has_some |= rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("in "));
    (behind.len() - rest.len(), has_some)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Cuts off what follows the time.
fn end(passage: &str) -> &str {
    // "3 p.m. (UTC)" goes on.
    let sentence = passage.match_indices(". ").map(|(at, _)| at);
    let mut sentence = sentence.filter(|at| !passage[..*at].to_ascii_lowercase().ends_with(".m"));
    let lower = passage.to_ascii_lowercase();
    let ends = ADVICE.iter().filter_map(|advice| lower.find(advice)).chain(sentence.next());
    let mut passage = passage[..ends.min().unwrap_or(passage.len())].trim();
    loop {
        let before = passage;
        passage = passage.trim_end_matches(['.', ',', ';', '!', ' ', '"', '\'', '}', ']']);
        if passage.ends_with(')') && !passage.contains('(') {
            passage = &passage[..passage.len() - 1];
        }
        if let Some((time, aside)) =
            passage.strip_suffix(')').and_then(|open| open.rsplit_once('('))
            && is_aside(aside)
        {
            passage = time;
        }
        for word in [" from now", " later", " more"] {
            passage = passage.strip_suffix(word).unwrap_or(passage);
        }
        if passage == before {
            return passage;
        }
    }
}

/// True for what says the same in other words, "(in 2 hours)", and false for a zone.
fn is_aside(words: &str) -> bool {
    ["in ", "at ", "~", "about ", "local time", "your time"]
        .iter()
        .any(|begin| words.trim().to_ascii_lowercase().starts_with(begin))
}

/// True for what may be a time. It need not be one.
fn looks_like_time(passage: &str) -> bool {
    const WORDS: [&str; 6] = ["today", "tomorrow", "noon", "midnight", "an", "a"];
    const DAYS: [&str; 19] = [
        "mon", "tue", "wed", "thu", "fri", "sat", "sun", "jan", "feb", "mar", "apr", "may", "jun",
        "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let lower = passage.to_ascii_lowercase();
    let mut rest = lower.strip_prefix("in ").unwrap_or(&lower).trim_start();
    for about in ["about ", "around ", "approximately ", "less than ", "~"] {
        rest = rest.strip_prefix(about).unwrap_or(rest).trim_start();
    }
    let word = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    match word {
        // "a few minutes", "a moment"
        "a" | "an" => spoken_duration(passage).is_some(),
        _ if word.starts_with(|c: char| c.is_ascii_digit()) => true,
        _ => {
            WORDS.contains(&word) || DAYS.iter().any(|day| word.starts_with(day) && word.len() < 10)
        }
    }
}

fn is_epoch(part: &str) -> bool {
    matches!(part.len(), 10 | 13) && part.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &str, want: &[&str]) {
        assert_eq!(passages(words), want, "{words}");
    }

    #[test]
    fn a_passage_is_what_stands_behind_the_announcement() {
        check("You've hit your 5-hour limit · resets 10:53am (UTC)", &["10:53am (UTC)"]);
        check("5-hour limit reached \u{2219} resets 3pm", &["3pm"]);
        check("limit · resets 3pm (UTC) · /upgrade to Max", &["3pm (UTC)"]);
        check("Upgrade to Pro or try again at 10:30 AM.", &["10:30 AM"]);
        check("Try again in ~42 min.", &["in ~42 min"]);
        check("Your limit will reset at 2026-12-04 00:56:38", &["2026-12-04 00:56:38"]);
        check("Your quota will reset after 15h57m40s.", &["15h57m40s"]);
        check("You will regain access on 2026-12-01 at 00:00 UTC.", &["2026-12-01 at 00:00 UTC"]);
        check("Claude AI usage limit reached|1796030400", &["1796030400"]);
        check("(resets 3pm UTC)", &["3pm UTC"]);
        check("resets at 3pm (in 2 hours)", &["3pm"]);
        check("Please wait 5 minutes before you try again.", &["5 minutes"]);
        check("try again in 3 hours or upgrade to Pro", &["in 3 hours"]);
        check(
            "limit · resets 3pm (UTC) · your weekly limit resets Nov 24, 9am (UTC)",
            &["3pm (UTC)", "Nov 24, 9am (UTC)"],
        );
    }

    #[test]
    fn what_can_be_no_time_is_no_passage() {
        for words in [
            "Try again later.",
            "Please try again in a while.",
            "Please try again in a few minutes.",
            "resets ",
            "reset your password at https://example.com",
            "Please retry your request",
            "the model is available to paying customers",
            "wait for the next release",
        ] {
            check(words, &[]);
        }
    }

    #[test]
    fn a_pause_is_a_length_of_time_and_nothing_else() {
        let ms = |words| pause(words).map(|pause| pause.as_millis());
        assert_eq!(ms("Rate limit reached. Please try again in 1.2s."), Some(1200));
        assert_eq!(ms("Please try again in 6m0s. Visit the site."), Some(360_000));
        assert_eq!(ms("Please retry in 20s"), Some(20_000));
        assert_eq!(ms("Please try again after 3pm."), None);
        assert_eq!(ms("Please try again later, or in 20 s."), None);
    }

    #[test]
    fn a_window_is_named_once() {
        let named = |words| Window::named_in(words).map(|window| window.to_string());
        let check = |words, want: &str| assert_eq!(named(words).as_deref(), Some(want), "{words}");
        check("You've hit your session limit · resets 4am", "5-hour");
        check("5-hour limit reached", "5-hour");
        check("3-hour usage limit", "3-hour");
        check("five_hour", "5-hour");
        check("You've hit your weekly limit", "weekly");
        check("seven_day\nyour weekly limit", "weekly");
        check("Rate limit exceeded: free-models-per-day", "daily");
        assert_eq!(named("5-hour limit, and the weekly limit"), None);
        assert_eq!(named("Weekly/Monthly Limit Exhausted"), None);
        assert_eq!(named("You've hit your limit"), None);
    }
}
