//! Reset times: the cases that agents print, those that they might, and a thousand more.

use super::{complete, point, zone};
use belay_trace::{EvidenceSource, Failure, FailureKind};
use fastrand::Rng;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use std::time::Duration;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn tz(name: &str) -> TimeZone {
    zone::database().get(name).unwrap()
}

/// A Saturday, 9:53 in the morning in Berlin and 5:53 in Buenos Aires.
const NOW: &str = "2026-11-21T08:53:25Z";

/// What the words come to for somebody in Berlin.
#[track_caller]
fn check(words: &str, want: &str) {
    let found = point(words, at(NOW), Some(&tz("Europe/Berlin")), None);
    assert_eq!(found.map(|at| at.to_string()).as_deref(), Some(want), "{words}");
}

#[track_caller]
fn unknown(words: &str) {
    assert_eq!(point(words, at(NOW), Some(&tz("Europe/Berlin")), None), None, "{words}");
}

#[test]
fn a_time_of_day_is_the_next_one_in_its_zone_or_in_ours() {
    check("1:50pm (America/Buenos_Aires)", "2026-11-21T16:50:59Z");
    check("3pm", "2026-11-21T14:00:59Z");
    check("10:30 AM", "2026-11-21T09:30:59Z");
    check("9:30 AM", "2026-11-22T08:30:59Z");
    check("12am (UTC)", "2026-11-22T00:00:59Z");
    check("12:15 pm (UTC)", "2026-11-21T12:15:59Z");
    check("3 p.m. (UTC)", "2026-11-21T15:00:59Z");
    check("15:00 UTC", "2026-11-21T15:00:59Z");
    check("15:00:30 UTC+2", "2026-11-21T13:00:30Z");
    check("midnight (UTC)", "2026-11-22T00:00:59Z");
    check("3\u{202f}PM", "2026-11-21T14:00:59Z");
}

#[test]
fn a_day_may_be_named_in_many_ways() {
    check("Nov 24, 3pm (UTC)", "2026-11-24T15:00:59Z");
    check("Nov 24 at 3 PM (UTC)", "2026-11-24T15:00:59Z");
    check("Nov 24th, 2026 3:15 PM", "2026-11-24T14:15:59Z");
    check("January 2, 3pm (UTC)", "2027-01-02T15:00:59Z");
    check("24 Nov 2026 15:15", "2026-11-24T14:15:59Z");
    check("tomorrow at 3pm (UTC)", "2026-11-22T15:00:59Z");
    check("today at 3pm (UTC)", "2026-11-21T15:00:59Z");
    check("Monday at 9am (UTC)", "2026-11-23T09:00:59Z");
    check("Tue, Nov 24, 3pm (UTC)", "2026-11-24T15:00:59Z");
    check("2026-11-24 15:00", "2026-11-24T15:00:59Z");
    check("2026-11-24T15:00", "2026-11-24T15:00:59Z");
}

#[test]
fn whole_sentences_are_read_from_where_they_come_to_the_point() {
    check(
        "You've hit your session limit · resets 1:50pm (America/Buenos_Aires)",
        "2026-11-21T16:50:59Z",
    );
    check("5-hour limit reached \u{2219} resets 3pm", "2026-11-21T14:00:59Z");
    check("Purchase more credits or try again at 10:30 AM.", "2026-11-21T09:30:59Z");
    check("resets Nov 24, 3pm", "2026-11-24T14:00:59Z");
    check("Rate limit reached. Please try again in 1.2s.", "2026-11-21T08:53:26.2Z");
    check("Try again in ~42 min.", "2026-11-21T09:36:24Z");
    check("resets in 3 hours", "2026-11-21T11:54:24Z");
    check("in 3 hours", "2026-11-21T11:54:24Z");
    check("resets at 3pm (UTC). Upgrade to Max for more.", "2026-11-21T15:00:59Z");
}

/// What providers and agents write, as it stands in public reports and their own source, and what it comes to.
const SAID: &[(&str, &str)] = &[
    // Claude Code.
    ("Claude AI usage limit reached|1795258405", "2026-11-21T10:53:25Z"),
    (
        "Claude usage limit reached. Your limit will reset at 3pm (Europe/Berlin).",
        "2026-11-21T14:00:59Z",
    ),
    ("Claude Max usage limit reached. Your limit will reset at 12am.", "2026-11-21T23:00:59Z"),
    ("You've hit your limit · resets 1:50pm (America/Buenos_Aires)", "2026-11-21T16:50:59Z"),
    ("You've hit your weekly limit · resets Nov 24, 3pm (UTC)", "2026-11-24T15:00:59Z"),
    ("You've hit your Opus limit · resets Monday at 9am (UTC)", "2026-11-23T09:00:59Z"),
    ("5-hour limit reached \u{2219} resets 3pm", "2026-11-21T14:00:59Z"),
    ("Weekly limit reached ∙ resets Nov 25 at 5am", "2026-11-25T04:00:59Z"),
    ("limit reached · resets tomorrow at 9am (UTC) · /upgrade to Max", "2026-11-22T09:00:59Z"),
    (
        "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
        "2026-12-01T00:00:59Z",
    ),
    ("You will regain access on 2026-12-01.", "2026-12-01T00:00:59Z"),
    (
        "Your organization's limit was reached; access will be restored on 2026-12-01 at 00:00 UTC",
        "2026-12-01T00:00:59Z",
    ),
    ("Session limit reached. Resets in 2h 15m.", "2026-11-21T11:09:24Z"),
    ("Usage limit reached (resets 11:30 PM UTC)", "2026-11-21T23:30:59Z"),
    ("Usage limit reached. Try again after 3pm.", "2026-11-21T14:00:59Z"),
    // Codex and OpenAI.
    (
        "You've hit your usage limit. Upgrade to Pro or try again at 10:30 AM.",
        "2026-11-21T09:30:59Z",
    ),
    (
        "You've hit your usage limit. Try again in 4 days 3 hours 12 minutes.",
        "2026-11-25T12:06:24Z",
    ),
    ("Purchase more credits or try again at Nov 24th, 2026 3:15 PM.", "2026-11-24T14:15:59Z"),
    ("You've hit your usage limit. Try again in less than a minute.", "2026-11-21T08:54:25Z"),
    (
        "Rate limit reached for gpt-6. Please try again in 1.2s. Visit the site to learn more.",
        "2026-11-21T08:53:26.2Z",
    ),
    ("Rate limit reached. Please try again in 6m0s.", "2026-11-21T08:59:25Z"),
    ("Rate limit reached. Please try again in 1h12m3.5s.", "2026-11-21T10:05:28.5Z"),
    ("Rate limit reached. Please try again in 350ms.", "2026-11-21T08:53:25.35Z"),
    ("Usage limit resets in 3 days", "2026-11-24T08:54:24Z"),
    ("Your quota resets at 2026-11-24T15:00:00Z", "2026-11-24T15:00:00Z"),
    ("limit exceeded, resets_at: 1795258405", "2026-11-21T10:53:25Z"),
    // Gemini and Google.
    (
        "You have exhausted your capacity on this model. Your quota will reset after 15h57m40s.",
        "2026-11-22T00:51:05Z",
    ),
    ("Quota exceeded. Please retry in 34.074824224s.", "2026-11-21T08:53:59.075Z"),
    ("Please retry in 20s", "2026-11-21T08:53:45Z"),
    ("{\"retryDelay\": \"34s\"}", "2026-11-21T08:53:59Z"),
    ("Daily quota reached. Resets at midnight Pacific Time.", "2026-11-22T08:00:59Z"),
    ("Your daily limit resets at 12:00 AM PT", "2026-11-22T08:00:59Z"),
    ("Quota will reset at 2026-11-22T07:00:00Z.", "2026-11-22T07:00:00Z"),
    ("Access resets at 5:29 PM.", "2026-11-21T16:29:59Z"),
    // Z.ai, Kimi, MiniMax, Qwen.
    (
        "Weekly/Monthly Limit Exhausted. Your limit will reset at 2026-12-04 00:56:38",
        "2026-12-04T00:56:38Z",
    ),
    (
        "Usage limit reached for 5 hour. Your limit will reset at 2026-11-21 12:00:00",
        "2026-11-21T12:00:00Z",
    ),
    ("Your limit will reset in 3 hours.", "2026-11-21T11:54:24Z"),
    ("Your account reached its limit, please try again after 1 seconds", "2026-11-21T08:53:26Z"),
    (
        "You've reached your quota for this billing cycle. It will be refreshed on 2026-12-01.",
        "2026-12-01T00:00:59Z",
    ),
    (
        "usage limit exceeded, 5-hour usage limit reached for Token Plan, resets at 2026-11-21T13:00:00+00:00",
        "2026-11-21T13:00:00Z",
    ),
    (
        "Free allocated quota exceeded. Quota renews on Dec 1, 2026 at 00:00 UTC",
        "2026-12-01T00:00:59Z",
    ),
    // Copilot and GitHub.
    ("You've hit your weekly rate limit. Please try again in 58 hours.", "2026-11-23T18:54:24Z"),
    (
        "You have exceeded your premium request allowance. Your allowance resets on December 1, 2026 at 12:00 AM UTC.",
        "2026-12-01T00:00:59Z",
    ),
    (
        "Sorry, you have been rate-limited. Please wait 42 minutes before trying again.",
        "2026-11-21T09:36:24Z",
    ),
    ("Please wait a moment and try again in 2h39m52s", "2026-11-21T11:33:17Z"),
    ("Limit will reset Nov 30", "2026-11-29T23:00:59Z"),
    ("You have reached your session limit. Please wait until 3:00 PM UTC", "2026-11-21T15:00:59Z"),
    // OpenRouter, Groq, Mistral, xAI, DeepSeek, proxies.
    ("Rate limit exceeded: free-models-per-day. Resets at 1795305600000", "2026-11-22T00:00:00Z"),
    (
        "Rate limit reached on tokens per day. Please try again in 7m12.5s. Need more tokens?",
        "2026-11-21T09:00:37.5Z",
    ),
    ("Too many requests; retry after 30 seconds", "2026-11-21T08:53:55Z"),
    ("Too many requests. Retry after: 120 seconds", "2026-11-21T08:55:25Z"),
    ("Rate limited. Retrying after 5 minutes", "2026-11-21T08:59:24Z"),
    ("quota will be replenished in 90 minutes", "2026-11-21T10:24:24Z"),
    ("Your credits renew on 1 December 2026 at 00:00 UTC", "2026-12-01T00:00:59Z"),
    ("Your credits refresh tomorrow at 8am (UTC)", "2026-11-22T08:00:59Z"),
    ("Blocked until 2026-11-22 10:00:00 +0000 UTC", "2026-11-22T10:00:00Z"),
    ("Cooling down until 2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
    ("Service resumes at 14:00 UTC", "2026-11-21T14:00:59Z"),
    ("Model available again at 14:00 UTC", "2026-11-21T14:00:59Z"),
    ("The model will be available again in 10 minutes", "2026-11-21T09:04:24Z"),
    ("Access will be available on Nov 24 at 3 PM UTC", "2026-11-24T15:00:59Z"),
    ("Come back at 6pm (UTC)", "2026-11-21T18:00:59Z"),
    ("Come back in about 3 hours", "2026-11-21T12:53:25Z"),
    ("Key limit exceeded (daily limit). It resets at 00:00 UTC", "2026-11-22T00:00:59Z"),
    ("Budget exceeded. Budget reset at: 2026-12-01 00:00:00+00:00", "2026-12-01T00:00:00Z"),
    ("No deployments available. Try again in 60 seconds", "2026-11-21T08:54:25Z"),
    // Times of day and days in other forms.
    ("resets 3 p.m. (UTC)", "2026-11-21T15:00:59Z"),
    ("resets 15:00", "2026-11-21T14:00:59Z"),
    ("resets at 15:00:30 UTC+2", "2026-11-21T13:00:30Z"),
    ("resets at 3pm EST", "2026-11-21T20:00:59Z"),
    ("resets at 9am PST", "2026-11-21T17:00:59Z"),
    ("resets at 18:00 CET", "2026-11-21T17:00:59Z"),
    ("resets noon (UTC)", "2026-11-21T12:00:59Z"),
    ("resets tomorrow", "2026-11-21T23:00:59Z"),
    ("resets on Monday", "2026-11-22T23:00:59Z"),
    ("resets next Monday at 9:00 AM UTC", "2026-11-23T09:00:59Z"),
    ("resets Tue, Nov 24, 3pm (UTC)", "2026-11-24T15:00:59Z"),
    ("resets on the 24th of November at 3pm (UTC)", "2026-11-24T15:00:59Z"),
    ("resets Sat, 21 Nov 2026 09:13:34 GMT", "2026-11-21T09:13:34Z"),
    ("resets at 3pm (in 5 hours)", "2026-11-21T14:00:59Z"),
    ("resets in 02:15:00", "2026-11-21T11:08:25Z"),
    ("resets in 1 day, 3 hours and 12 minutes", "2026-11-22T12:06:24Z"),
    ("resets in an hour", "2026-11-21T09:54:24Z"),
    ("resets 2 hours from now", "2026-11-21T10:54:24Z"),
    ("resets in ~42 min or upgrade to Pro", "2026-11-21T09:36:24Z"),
    ("resets at 3pm (UTC) \u{2014} upgrade to continue", "2026-11-21T15:00:59Z"),
];

#[test]
fn what_providers_say_is_read_rightly() {
    assert!(SAID.len() >= 80, "{}", SAID.len());
    let mut wrong = Vec::new();
    for (words, want) in SAID {
        let found = point(words, at(NOW), Some(&tz("Europe/Berlin")), None);
        let found = found.map(|at| at.to_string()).unwrap_or_default();
        if found != *want {
            wrong.push(format!("{words}: {found:?}, not {want:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), SAID.len());
}

#[test]
fn a_time_that_has_just_passed_is_now_where_the_window_cannot_reach_the_next_one() {
    let window = Some(Duration::from_secs(5 * 3600));
    let check = |words: &str, want: &str| {
        let found = point(words, at(NOW), Some(&tz("Europe/Berlin")), window);
        assert_eq!(found.map(|at| at.to_string()).as_deref(), Some(want), "{words}");
    };
    // It is 9:53 in Berlin and 8:53 in London.
    let over = "2026-11-21T08:54:25Z";
    check("resets 9:50am (Europe/Berlin)", over);
    check("resets 9:41am", over);
    check("resets 5am", over);
    check("resets 8:53am (UTC)", "2026-11-21T08:53:59Z");
    check("resets 2pm", "2026-11-21T13:00:59Z");
    check("resets 10:30 AM", "2026-11-21T09:30:59Z");
    // Nobody knows what that means.
    assert_eq!(point("resets 8pm", at(NOW), Some(&tz("Europe/Berlin")), window), None);
    // A day that is named counts.
    check("resets Nov 24, 3pm (UTC)", "2026-11-24T15:00:59Z");
}

#[test]
fn of_two_limits_the_later_one_counts() {
    let words = "resets 3pm (UTC) · your weekly limit resets Nov 24, 9am (UTC)";
    check(words, "2026-11-24T09:00:59Z");
    unknown("resets 3pm (UTC) · your weekly limit resets Nov 24, 9am (Mars/Olympus)");
}

#[test]
fn points_in_time_are_taken_as_they_are() {
    check("1795258405", "2026-11-21T10:53:25Z");
    check("1795258405123", "2026-11-21T10:53:25.123Z");
    check("2026-11-24T15:00:00Z", "2026-11-24T15:00:00Z");
    check("2026-11-24T15:00:00-03:00", "2026-11-24T18:00:00Z");
    check("2026-11-24T15:00:00+01:00[Europe/Berlin]", "2026-11-24T14:00:00Z");
    check("Sat, 21 Nov 2026 09:13:34 GMT", "2026-11-21T09:13:34Z");
}

#[test]
fn half_a_day_that_is_not_named_may_be_the_second() {
    check("9:30 (UTC)", "2026-11-21T21:30:59Z");
    check("09:30 (UTC)", "2026-11-21T09:30:59Z");
    check("Nov 24 9:30 (UTC)", "2026-11-24T21:30:59Z");
}

#[test]
fn what_is_over_or_is_no_time_is_unknown() {
    for words in [
        "",
        "soon",
        "later today",
        "3",
        "42",
        "13pm",
        "0am",
        "25:00",
        "3:7pm",
        "3pm (Mars/Olympus)",
        "3pm or so",
        "Nov 31, 3pm",
        "Nov 20, 3pm",
        "Nov 20, 2026, 3pm",
        "Mon, Nov 24, 3pm",
        "today at 3am",
        "tomorrow at midnight",
        "2026-11-20T15:00:00Z",
        "1695258405",
        "9999999999999",
        "17952584051",
        "a few minutes",
        "in 99999 days",
        "3pm 4pm",
        "every day at 3pm",
        "3pm (UTC) and 4pm (UTC)",
        "\u{1f600}",
        ")",
        "()",
        "3pm ()",
        "(UTC)",
    ] {
        unknown(words);
    }
    assert_eq!(point("3pm", at(NOW), None, None), None, "nobody knows the zone");
}

#[test]
fn hours_that_come_twice_or_never_are_the_later_reading() {
    let berlin = tz("Europe/Berlin");
    // On 2026-10-25 the clock goes from 3:00 back to 2:00.
    let now = at("2026-10-24T22:00:00Z");
    assert_eq!(point("2:30 AM", now, Some(&berlin), None), Some(at("2026-10-25T01:30:59Z")));
    let between = at("2026-10-25T00:45:00Z");
    assert_eq!(point("2:30 AM", between, Some(&berlin), None), Some(at("2026-10-25T01:30:59Z")));
    // On 2027-03-28 it goes from 2:00 to 3:00.
    let now = at("2027-03-27T23:00:00Z");
    assert_eq!(point("2:30 AM", now, Some(&berlin), None), Some(at("2027-03-28T01:30:59Z")));
}

#[test]
fn the_minute_that_it_is_may_be_meant_for_tomorrow_by_who_names_no_day_for_24_hours() {
    let now = at("2026-11-21T10:30:20Z");
    assert_eq!(point("10:30am (UTC)", now, None, None), Some(at("2026-11-22T10:30:59Z")));
    assert_eq!(
        point("10:30 AM", now, Some(&TimeZone::UTC), None),
        Some(at("2026-11-21T10:30:59Z"))
    );
}

#[test]
fn zones_come_from_tables_of_our_own() {
    for name in ["America/Buenos_Aires", "Asia/Kolkata", "Europe/Kyiv", "Etc/GMT+3"] {
        assert!(zone::named(name).is_some(), "{name}");
    }
    let name =
        |tz: &str| zone::local(Some(tz.as_ref())).map(|zone| zone.to_offset(at(NOW)).seconds());
    assert_eq!(name("America/New_York"), Some(-5 * 3600));
    assert_eq!(name(":Asia/Tokyo"), Some(9 * 3600));
    assert_eq!(name("EST5EDT,M3.2.0,M11.1.0"), Some(-5 * 3600));
    assert_eq!(name(""), Some(0));
    assert_eq!(name("Mars/Olympus"), None);
    assert_eq!(name("/no/such/file"), None);
}

#[test]
fn a_failure_is_completed_with_what_it_lacks_and_no_more() {
    let berlin = || Some(tz("Europe/Berlin"));
    let done = |mut failure: Failure| {
        complete(&mut failure, at(NOW), berlin);
        (failure.resets_at.map(|at| at.to_string()), failure.reset_source)
    };
    let new = |kind| Failure::new(kind, "words");
    let hint = Some("3pm".to_owned());
    let hinted = Failure { reset_hint: hint.clone(), ..new(FailureKind::UsageLimit) };
    let told = ("2026-11-21T14:00:59Z".to_owned(), EvidenceSource::Text);
    assert_eq!(done(hinted.clone()), (Some(told.0), Some(told.1)));
    // The agent's own field is better than its words.
    let both = Failure { resets_at: Some(at("2026-11-21T14:00:07Z")), ..hinted };
    let field = Some(EvidenceSource::Field);
    assert_eq!(done(both), (Some("2026-11-21T14:00:07Z".to_owned()), field));
    let pause = Failure { retry_after_ms: Some(90_000), ..new(FailureKind::RateLimited) };
    let after = Some("2026-11-21T08:54:55Z".to_owned());
    assert_eq!(done(pause.clone()), (after.clone(), Some(EvidenceSource::Text)));
    let pause = pause.with(EvidenceSource::Field, "retry-after", 90);
    assert_eq!(done(pause), (after, field));
    let other = Failure { retry_after_ms: Some(90_000), ..new(FailureKind::ServerError) };
    assert_eq!(done(other), (None, None));
    let odd = Failure { reset_hint: Some("soon".into()), ..new(FailureKind::UsageLimit) };
    assert_eq!(done(odd), (None, None));
    assert_eq!(done(new(FailureKind::UsageLimit)), (None, None));
}

#[test]
fn a_rate_limit_that_lasts_is_a_usage_limit_and_an_absurd_time_is_none() {
    let done = |mut failure: Failure| {
        complete(&mut failure, at(NOW), || Some(tz("Europe/Berlin")));
        (failure.kind, failure.resets_at.map(|at| at.to_string()))
    };
    let (rate, limit) = (FailureKind::RateLimited, FailureKind::UsageLimit);
    let paused = |ms| Failure { retry_after_ms: Some(ms), ..Failure::new(rate, "words") };
    assert_eq!(done(paused(300_000)), (rate, Some("2026-11-21T08:58:25Z".to_owned())));
    assert_eq!(done(paused(301_000)), (limit, Some("2026-11-21T08:58:26Z".to_owned())));
    let hinted =
        |hint: &str| Failure { reset_hint: Some(hint.to_owned()), ..Failure::new(rate, "words") };
    let told = Some("2026-12-04T00:56:38Z".to_owned());
    assert_eq!(done(hinted("2026-12-04 00:56:38")), (limit, told));
    assert_eq!(done(hinted("soon")), (rate, None));
    let absurd = Timestamp::from_second(99_999_999_999).unwrap();
    let typed = Failure { resets_at: Some(absurd), ..hinted("3pm") };
    assert_eq!(done(typed), (limit, Some("2026-11-21T14:00:59Z".to_owned())));
    let session =
        Failure { message: "You've hit your session limit".to_owned(), ..hinted("9:41am") };
    assert_eq!(done(session), (rate, Some("2026-11-21T08:54:25Z".to_owned())));
}

/// How an agent tells a limit's end.
#[derive(Clone, Copy, Debug)]
enum Style {
    Claude,
    Codex,
    CodexIn,
    EpochS,
    EpochMs,
    Iso,
    IsoOffset,
    HttpDate,
    Seconds,
}

const STYLES: [Style; 9] = [
    Style::Claude,
    Style::Codex,
    Style::CodexIn,
    Style::EpochS,
    Style::EpochMs,
    Style::Iso,
    Style::IsoOffset,
    Style::HttpDate,
    Style::Seconds,
];

impl Style {
    /// The words of the agent, as its own source makes them.
    fn tell(self, end: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
        let (local, today) = (end.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
        let wait = end.duration_since(now);
        match self {
            // `toLocaleString("en-US")`: a day beyond 24 hours, a year if it is another, no minutes if there are none.
            Self::Claude => {
                let clock = if local.minute() == 0 { "%-I%P" } else { "%-I:%M%P" };
                let day = match (wait.as_secs() > 86_400, local.year() == today.year()) {
                    (false, _) => "",
                    (true, true) => "%b %-d, ",
                    (true, false) => "%b %-d, %Y, ",
                };
                let told = local.strftime(&format!("{day}{clock}")).to_string();
                format!("You've hit your limit · resets {told} ({})", zone.iana_name().unwrap())
            }
            // `format_retry_timestamp`: a day if it is not today.
            Self::Codex => {
                let day =
                    if local.date() == today.date() { String::new() } else { codex_day(&local) };
                format!("Or try again at {day}{}.", local.strftime("%-I:%M %p"))
            }
            Self::CodexIn => {
                let minutes = wait.as_secs() / 60;
                let parts = [
                    (minutes / 1440, "day"),
                    (minutes / 60 % 24, "hour"),
                    (minutes % 60, "minute"),
                ];
                let parts = parts.iter().filter(|(n, _)| *n > 0);
                let parts: Vec<_> = parts
                    .map(|(n, unit)| format!("{n} {unit}{}", if *n > 1 { "s" } else { "" }))
                    .collect();
                match parts.is_empty() {
                    true => "Try again in less than a minute.".to_owned(),
                    false => format!("Try again in {}.", parts.join(" ")),
                }
            }
            Self::EpochS => end.as_second().to_string(),
            Self::EpochMs => end.as_millisecond().to_string(),
            Self::Iso => end.to_string(),
            Self::IsoOffset => local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            Self::HttpDate => {
                end.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
            }
            Self::Seconds => format!("Please try again in {}s.", wait.as_secs()),
        }
    }
}

fn codex_day(local: &Zoned) -> String {
    let day = local.day();
    let suffix = match (day, day % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    local.strftime(&format!("%b %-d{suffix}, %Y ")).to_string()
}

const ZONES: [&str; 20] = [
    "UTC",
    "America/New_York",
    "America/Los_Angeles",
    "America/Buenos_Aires",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Pacific/Auckland",
    "Pacific/Apia",
    "Antarctica/Troll",
];

/// A moment that is any, or one close to where a zone's clock jumps, or one just before a midnight.
fn some_now(dice: &mut Rng, zone: &TimeZone) -> Timestamp {
    let any = at("2026-01-01T00:00:00Z") + SignedDuration::from_secs(dice.i64(0..3 * 365 * 86_400));
    let near = SignedDuration::from_secs(dice.i64(-30 * 3600..6 * 3600));
    match dice.u8(..4) {
        0 => zone.following(any).next().map_or(any, |jump| jump.timestamp() + near),
        1 => {
            let midnight = any.to_zoned(zone.clone()).end_of_day().unwrap().timestamp();
            Timestamp::from_second(midnight.as_second()).unwrap()
                - SignedDuration::from_secs(dice.i64(0..120))
        }
        _ => any,
    }
}

/// Other ends, at about the same time, for which the agent would have said the same words.
fn others(style: Style, end: Timestamp, now: Timestamp, zone: &TimeZone) -> Vec<Timestamp> {
    let words = style.tell(end, now, zone);
    let half_hours = (-52..=52).filter(|n| *n != 0);
    // The first second of that minute may be within 24 hours when the second of the end is not.
    let first = end.as_second() - end.as_second().rem_euclid(60);
    let first = Timestamp::from_second(first).unwrap();
    let ends = half_hours.map(|n: i64| first + SignedDuration::from_mins(n * 30));
    ends.filter(|other| *other > now && style.tell(*other, now, zone) == words).collect()
}

#[test]
fn a_thousand_ends_are_told_and_each_is_right_or_later_if_the_words_mean_two() {
    let mut dice = Rng::with_seed(7);
    let (mut exact, mut late, mut worst) = (0, 0, 0);
    for n in 0..1000 {
        let zone = tz(dice.choice(ZONES).unwrap());
        let style = STYLES[n % STYLES.len()];
        let now = some_now(&mut dice, &zone);
        let longest = match dice.u8(..3) {
            0 => 300,
            1 => 30 * 3600,
            _ => 9 * 86_400,
        };
        let end = now + SignedDuration::from_secs(dice.i64(1..longest));
        let words = style.tell(end, now, &zone);
        let case = format!("{words:?} at {} for {end}", now.to_zoned(zone.clone()));
        let found =
            point(&words, now, Some(&zone), None).unwrap_or_else(|| panic!("unknown: {case}"));
        let off = found.duration_since(end).as_secs();
        assert!(off >= 0, "{off} s early: {case}");
        let latest = others(style, end, now, &zone).into_iter().max();
        if off <= 60 {
            exact += 1;
            worst = worst.max(off);
        } else {
            let latest = latest.unwrap_or_else(|| panic!("{off} s late: {case}"));
            assert!(found.duration_since(latest).as_secs() <= 60, "{off} s late: {case}");
            late += 1;
        }
    }
    println!(
        "1000 reset times: {exact} exact (worst {worst} s late), {late} of two readings, 0 early"
    );
    assert!(late < 30, "{late} of 1000 mean two times");
}

#[test]
fn a_thousand_ends_that_are_over_or_broken_are_unknown() {
    let mut dice = Rng::with_seed(11);
    for n in 0..1000 {
        let zone = tz(dice.choice(ZONES).unwrap());
        let now = some_now(&mut dice, &zone);
        let wait = SignedDuration::from_secs(dice.i64(90..9 * 86_400));
        let words = match n % 4 {
            // Over, with a day to tell.
            0 => dice
                .choice([Style::EpochS, Style::EpochMs, Style::Iso, Style::HttpDate])
                .unwrap()
                .tell(now - wait, now, &zone),
            1 => {
                let over = (now - wait - SignedDuration::from_hours(24)).to_zoned(zone.clone());
                format!("try again at {}{}", codex_day(&over), over.strftime("%-I:%M %p"))
            }
            2 => {
                let told = Style::Claude.tell(now + wait, now, &zone);
                format!("{}({}/Nowhere)", told.rsplit_once('(').unwrap().0, dice.alphabetic())
            }
            // A word too many somewhere behind the lead.
            _ => {
                let told = Style::Codex.tell(now + wait, now, &zone);
                let told = told.trim_start_matches("Or try again at ").trim_end_matches('.');
                let mut parts: Vec<&str> = told.split(' ').collect();
                parts.insert(dice.usize(..=parts.len()), "perhaps");
                format!("try again at {}", parts.join(" "))
            }
        };
        assert_eq!(point(&words, now, Some(&zone), None), None, "{words} at {now}");
    }
}

#[test]
fn no_words_make_it_panic() {
    let pieces = [
        "resets",
        "at",
        "in",
        "3",
        "pm",
        "am",
        ":",
        "(",
        ")",
        "UTC",
        "Nov",
        "24",
        ",",
        " ",
        "\u{e9}",
        "·",
        ".",
        "-",
        "+",
        "9999999999",
        "T",
        "99",
        "/",
        "~",
        "a",
        "min",
        "Z",
        "\u{1f600}",
        "Feb",
        "29",
    ];
    let mut dice = Rng::with_seed(13);
    for _ in 0..100_000 {
        let words: String = (0..dice.usize(..9)).map(|_| dice.choice(pieces).unwrap()).collect();
        let found = point(&words, at(NOW), Some(&tz("Europe/Berlin")), None);
        assert!(found.is_none_or(|found| found >= at(NOW)), "{words}");
    }
}
