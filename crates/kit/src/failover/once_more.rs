//! Who is tried once more: with a new login, in a new conversation, and not behind an agent's own retries.

use super::*;

fn time() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A chain in which the first agent has begun.
fn begun(agents: &[&str], policy: Policy) -> State {
    let link = |agent: &&str| Link { agent: (*agent).to_owned(), ..Link::default() };
    let mut state = State::new(policy, agents.iter().map(link).collect());
    state.first(now());
    state
}

fn now() -> Now<'static> {
    Now { time: time(), open: &[], deadline: None, dice: 0.0 }
}

fn ended(failure: &Failure) -> Ended<'_> {
    Ended {
        failure,
        resets_at: None,
        session: None,
        effects: Effects::None,
        has_worked: false,
        login_has_changed: false,
        agent_has_retried: false,
        was_silent: false,
    }
}

fn words(next: &Next) -> String {
    match next {
        Next::Retry { start, .. } => format!("retry {start:?}"),
        Next::Switch { to, start } => format!("{to} {start:?}"),
        Next::Wait { until, to, .. } => format!("wait {:#} for {to}", until.duration_since(time())),
        Next::GiveUp { why, .. } => format!("{why:?}"),
    }
}

#[test]
fn a_login_that_has_changed_meanwhile_is_tried_once_more() {
    let failure = Failure::new(FailureKind::Auth, "expired");
    let renewed = Ended { login_has_changed: true, ..ended(&failure) };
    let mut state = begun(&["claude-code", "codex"], Policy::default());
    assert_eq!(words(&state.next(&renewed, false, now())), "retry Fresh");
    assert_eq!(words(&state.next(&renewed, false, now())), "1 Fresh");
    let mut state = begun(&["claude-code"], Policy::default());
    assert_eq!(words(&state.next(&ended(&failure), false, now())), "Dry");
}

#[test]
fn no_round_of_the_run_comes_behind_an_agents_own_retries() {
    for (kind, want) in [
        (FailureKind::Overloaded, "1 Fresh"),
        (FailureKind::ServerError, "1 Fresh"),
        (FailureKind::Network, "1 Fresh"),
        (FailureKind::RateLimited, "1 Fresh"),
        // Nobody retries that by himself.
        (FailureKind::Crashed, "retry Fresh"),
    ] {
        let failure = Failure::new(kind, "down");
        let mut state = begun(&["claude-code", "codex"], Policy::default());
        let tried = Ended { agent_has_retried: true, ..ended(&failure) };
        assert_eq!(words(&state.next(&tried, false, now())), want, "{kind}");
        let mut state = begun(&["claude-code", "codex"], Policy::default());
        assert_eq!(words(&state.next(&ended(&failure), false, now())), "retry Fresh", "{kind}");
    }
}

#[test]
fn a_conversation_that_has_become_too_long_begins_anew_twice() {
    let failure = Failure::new(FailureKind::ContextOverflow, "too long");
    let grown = Ended { has_worked: true, effects: Effects::Possible, ..ended(&failure) };
    let mut state = begun(&["claude-code", "codex"], Policy::default());
    assert_eq!(words(&state.next(&grown, false, now())), "1 Handover");
    assert_eq!(words(&state.next(&grown, false, now())), "1 Handover", "with itself");
    assert_eq!(words(&state.next(&grown, false, now())), "Dry");
    let mut state = begun(&["claude-code"], Policy::default().on_effects(OnEffects::Stop));
    assert_eq!(words(&state.next(&grown, false, now())), "Effects");
    // A prompt that is too large by itself needs a larger window.
    let mut state = begun(&["claude-code", "codex"], Policy::default());
    state.windows(&[Some(200_000), Some(100_000)]);
    assert_eq!(words(&state.next(&ended(&failure), false, now())), "Dry");
    assert!(state.is_too_small(1));
}

#[test]
fn a_limit_without_a_known_end_is_waited_for_longer_and_longer() {
    let failure = Failure::new(FailureKind::UsageLimit, "used up");
    let mut state = begun(&["claude-code"], Policy::default().on_limit(OnLimit::Wait));
    let waits: Vec<_> =
        (0..3).map(|_| words(&state.next(&ended(&failure), false, now()))).collect();
    assert_eq!(waits, ["wait 1m 10s for 0", "wait 2m 10s for 0", "wait 4m 10s for 0"]);
    let patience = Duration::from_secs(30);
    let policy = Policy::default().on_limit(OnLimit::Wait).wait_max(patience);
    let mut state = begun(&["claude-code"], policy);
    let later =
        Ended { resets_at: time().checked_add(Duration::from_secs(3600)).ok(), ..ended(&failure) };
    assert_eq!(words(&state.next(&later, false, now())), "Patience");
}
