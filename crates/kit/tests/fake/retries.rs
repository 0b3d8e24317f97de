//! An agent's own retries: as long as they are worth waiting for, and no longer.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{ANSWER, lines, run};
use crate::two::{Two, attempts, codex_answers, failovers};
use belay_testkit::fake_agent::{Play, WaitForStdin};
use belaykit::trace::{EvidenceSource, Start};
use belaykit::{FailureKind, Policy};

/// Claude says that it tries again, so often and in so many milliseconds, and then sleeps.
fn retries(times: u32, delay_ms: u64) -> Play {
    let recorded = lines("claude-code", "g-429-forever");
    let retry = recorded.iter().find(|line| line.contains("api_retry")).unwrap();
    let mut lines = vec![recorded[0].clone()];
    for n in 1..=times {
        let line = retry.replace(r#""attempt":1"#, &format!(r#""attempt":{n}"#));
        lines.push(line.replace("1098", &delay_ms.to_string()));
    }
    Play { wait_for_stdin: WaitForStdin::Line, linger_ms: 60_000, ..Play::lines(lines) }
}

const THREE_DAYS_MS: u64 = 3 * 24 * 3600 * 1000;

#[tokio::test]
async fn an_agent_that_tries_again_and_again_is_taken_over_from() {
    let two = Two::new(&retries(3, 1000), &codex_answers());
    let seen = two.run().await;
    assert_eq!(seen.answer(), ANSWER);
    let limited = Some(FailureKind::RateLimited);
    let fresh = Start::Fresh;
    assert_eq!(attempts(&seen)[..1], [("claude-code", limited, fresh)]);
    assert_eq!(*attempts(&seen).last().unwrap(), ("codex", None, fresh));
    let failure = &failovers(&seen)[0].failure;
    assert_eq!(failure.evidence[0].source, EvidenceSource::Status);
    assert!(failure.message.contains("after 2 retries of its own"), "{}", failure.message);
}

#[tokio::test]
async fn two_retries_are_the_agents_own_affair_and_so_are_all_when_nobody_else_could_go_on() {
    let two = Two::new(&Play { linger_ms: 0, ..retries(2, 1000) }, &codex_answers());
    let seen = run(&two.client().policy(Policy::single()), two.request()).await;
    assert_eq!((seen.count("retry"), seen.count("interrupted")), (2, 0));

    let alone = crate::two::alone(&Play { linger_ms: 0, ..retries(5, 1000) });
    let seen = run(&alone.claude(), "Do the task").await;
    assert_eq!((seen.count("retry"), seen.count("interrupted")), (5, 0));
}

#[tokio::test]
async fn a_request_says_how_often_its_agent_may_try_again() {
    let alone = crate::two::alone(&retries(1, 1000));
    let request = belaykit::RunRequest::new("Do the task").agent_retries(0);
    let seen = run(&alone.claude(), request).await;
    assert_eq!(seen.failure().kind, FailureKind::RateLimited);
}

#[tokio::test]
async fn a_sleep_of_three_days_is_a_limit_that_ends_in_three_days() {
    let two = Two::new(&retries(1, THREE_DAYS_MS), &codex_answers());
    let seen = two.run().await;
    assert_eq!(seen.answer(), ANSWER);
    let failure = &failovers(&seen)[0].failure;
    assert_eq!(failure.kind, FailureKind::UsageLimit);
    let hours = (failure.resets_at.unwrap() - jiff::Timestamp::now()).get_seconds() / 3600;
    assert!((70..=72).contains(&hours), "{hours} hours");
    // The next run knows.
    let seen = two.run().await;
    assert_eq!(seen.result().attempts.len(), 1);
    assert_eq!(seen.result().attempts[0].agent, "codex");
}
