//! Who begins when some are known to be down.

use super::*;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn time() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// Known to be down for so long, and whether somebody has told when it ends.
fn open(kind: FailureKind, time_left: SignedDuration, is_told: bool) -> Option<Open> {
    let until = time() + time_left;
    Some(Open { until, resets_at: is_told.then_some(until), kind })
}

/// What a run of two agents begins with.
#[track_caller]
fn check(policy: &Policy, open: [Option<Open>; 2], want: &str) {
    let link = |agent: &str| Link { agent: agent.to_owned(), ..Link::default() };
    let mut state = State::new(policy.clone(), vec![link("claude-code"), link("codex")]);
    let now = Now { time: time(), open: &open, deadline: None, dice: 0.0 };
    let next = match state.first(now) {
        Next::Switch { to, .. } => format!("begin with {to}"),
        Next::Wait { until, to, .. } => {
            format!("wait {:#} for {to}", until.duration_since(now.time))
        }
        Next::GiveUp { why, retry_at } => {
            format!("{why:?}, again in {:?}", retry_at.map(|at| at.duration_since(now.time)))
        }
        Next::Retry { .. } => unreachable!(),
    };
    assert_eq!(next, want);
}

#[test]
fn the_first_one_who_is_not_known_to_be_down_begins() {
    let policy = Policy::default();
    check(&policy, [None, None], "begin with 0");
    check(&policy, [open(FailureKind::UsageLimit, HOUR, true), None], "begin with 1");
    check(&policy, [open(FailureKind::Auth, HOUR, false), None], "begin with 1");
    check(&policy, [None, open(FailureKind::Auth, HOUR, false)], "begin with 0");
}

#[test]
fn only_limits_that_last_keep_a_run_from_beginning() {
    let policy = Policy::default();
    let limit = |hours| open(FailureKind::UsageLimit, HOUR * hours, true);
    check(&policy, [limit(2), limit(1)], "Dry, again in Some(1h)");
    let guess = open(FailureKind::UsageLimit, HOUR, false);
    check(&policy, [guess, guess], "Dry, again in None");
    check(&policy, [limit(2), open(FailureKind::Billing, HOUR, false)], "begin with 1");
    let seconds = |n| open(FailureKind::RateLimited, SignedDuration::from_secs(n), true);
    check(&policy, [seconds(90), seconds(5)], "begin with 1");
    check(&policy, [seconds(90), seconds(61)], "Dry, again in Some(1m 1s)");
    let patient = Policy::default().wait_max(Duration::from_secs(7200));
    check(&patient, [limit(2), limit(1)], "wait 1h 10s for 1");
}

#[test]
fn a_limit_that_is_known_is_answered_like_one_that_is_met() {
    let limited = [open(FailureKind::UsageLimit, HOUR, true), None];
    let policy = |on_limit| Policy::default().on_limit(on_limit);
    check(&policy(OnLimit::Fail), limited, "Rule, again in Some(1h)");
    check(&policy(OnLimit::Wait), limited, "wait 1h 10s for 0");
    let long = [open(FailureKind::UsageLimit, HOUR * 20, true), None];
    check(&policy(OnLimit::Wait), long, "Patience, again in Some(20h)");
    let unknown = [open(FailureKind::UsageLimit, HOUR, false), None];
    check(&policy(OnLimit::Wait), unknown, "wait 1m 10s for 0");
    let overloaded = [open(FailureKind::Overloaded, HOUR, false), None];
    check(&policy(OnLimit::Fail), overloaded, "begin with 1");
}
