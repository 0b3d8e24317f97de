//! When a limit ends, as a run tells it: the agent's words, read in the zone that the agent lives in.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{Stage, play, run};
use belay_testkit::fake_agent::Exit;
use belay_testkit::recordings;
use belaykit::trace::EvidenceSource;
use belaykit::{Event, Failure, FailureKind};

/// Codex has hit its limit "or try again at 10:30 AM", and lives in this zone.
async fn limited(tz: &str) -> Failure {
    let recording = recordings::one("codex", "k-usage-limit");
    let play = play(&recording).exit(Exit::Code(recording.exit_code().unwrap()));
    let stage = Stage::new("codex", &play);
    let vars = stage.env().into_iter().chain([("TZ".into(), tz.into())]);
    let seen = run(&stage.codex_exec().env(vars), "Do the task").await;
    let failure = seen.failure().clone();
    assert_eq!(failure.kind, FailureKind::UsageLimit);
    assert_eq!(failure.reset_hint.as_deref(), Some("10:30 AM"));
    // It is told at once, and everywhere alike.
    let told = seen.records.iter().find_map(|record| match &record.event {
        Event::AttemptResult(result) => result.failure.clone(),
        _ => None,
    });
    assert_eq!(told, Some(failure.clone()));
    assert_eq!(seen.attempt_ended().failure, Some(failure.clone()));
    failure
}

#[tokio::test]
async fn a_time_of_day_is_one_of_the_zone_in_which_the_agent_lives() {
    // Half an hour and three quarters beside everybody else's clock.
    for (tz, of_the_day) in [("UTC", 10 * 3600 + 1859), ("Asia/Kathmandu", 4 * 3600 + 45 * 60 + 59)]
    {
        let failure = limited(tz).await;
        let resets_at = failure.resets_at.expect("the time is known").as_second();
        assert_eq!(resets_at.rem_euclid(86_400), of_the_day, "{tz}: {failure:#?}");
        assert_eq!(failure.reset_source, Some(EvidenceSource::Text));
        let ahead = resets_at - jiff::Timestamp::now().as_second();
        assert!((-60..=86_400).contains(&ahead), "{tz}: {failure:#?}");
    }
}

#[tokio::test]
async fn a_time_of_day_in_a_zone_that_nobody_knows_stays_words() {
    let failure = limited("Mars/Olympus").await;
    assert_eq!((failure.resets_at, failure.reset_source), (None, None));
}
