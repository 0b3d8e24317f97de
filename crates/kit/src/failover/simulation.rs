//! Whole runs on a virtual clock, a hundred thousand of them: whatever fails, no promise is broken.

use super::*;
use fastrand::Rng;

const SEEDS: u64 = 100_000;

/// One run with random agents, a random policy and random failures.
struct Simulation {
    dice: Rng,
    policy: Policy,
    chain: Vec<Link>,
    time: Timestamp,
    deadline: Option<Timestamp>,
    budget: Option<f64>,
    open: Vec<Option<Open>>,
    /// What each attempt was: who, how it began, and what it may have changed.
    attempts: Vec<(usize, Start, Effects)>,
    costs: Vec<f64>,
    slept: Duration,
    waited: SignedDuration,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed);
        let agents = ["claude-code", "codex", "opencode"];
        let models = [None, Some("big"), Some("small")];
        let mut chain = Vec::new();
        for _ in 0..dice.usize(1..=4) {
            let link = Link {
                agent: agents[dice.usize(..agents.len())].to_owned(),
                model: models[dice.usize(..models.len())].map(str::to_owned),
                window: dice.bool().then(|| dice.u64(1..4) * 100_000),
                can_resume: dice.u8(..4) > 0,
            };
            chain.push(link);
        }
        let mut policy = Policy::default()
            .max_attempts(dice.u32(1..8))
            .max_retries(dice.u32(..4))
            .on_limit(OnLimit::ALL[dice.usize(..3)].0)
            .on_effects(OnEffects::ALL[dice.usize(..2)].0)
            .wait_max(Duration::from_secs([0, 60, 7200, 30_000][dice.usize(..4)]));
        if dice.u8(..4) == 0 {
            let kind = FailureKind::ALL[dice.usize(..FailureKind::ALL.len())];
            policy = policy.on(kind, "retry:9,model,agent,wait".parse().unwrap());
        }
        let time = Timestamp::from_second(1_800_000_000).unwrap();
        let deadline = (dice.u8(..4) == 0).then(|| time + Duration::from_secs(dice.u64(1..9000)));
        let budget = (dice.u8(..3) == 0).then(|| dice.f64() * 5.0);
        let open = vec![None; chain.len()];
        let (attempts, costs) = (Vec::new(), Vec::new());
        let (slept, waited) = (Duration::ZERO, SignedDuration::ZERO);
        Self { dice, policy, chain, time, deadline, budget, open, attempts, costs, slept, waited }
    }

    /// What other runs find out meanwhile.
    fn look(&mut self) -> Vec<Option<Open>> {
        for open in &mut self.open {
            *open = open.filter(|open| open.until > self.time);
            if open.is_none() && self.dice.u8(..8) == 0 {
                let until = self.time + Duration::from_secs(self.dice.u64(1..20_000));
                let kinds = [FailureKind::UsageLimit, FailureKind::Overloaded, FailureKind::Auth];
                let resets_at = self.dice.bool().then_some(until);
                *open = Some(Open { until, resets_at, kind: kinds[self.dice.usize(..3)] });
            }
        }
        self.open.clone()
    }

    fn run(mut self) {
        let mut state = State::new(self.policy.clone(), self.chain.clone());
        let (mut last, mut session): (Option<(Failure, Option<Timestamp>)>, Option<String>) =
            (None, None);
        for step in 0.. {
            assert!(step < 100, "a run must end");
            let open = self.look();
            let dice = self.dice.f64();
            let now = Now { time: self.time, open: &open, deadline: self.deadline, dice };
            let effects = self.attempts.last().map_or(Effects::None, |(_, _, effects)| *effects);
            let is_spent = self.budget.is_some_and(|max| self.costs.iter().sum::<f64>() >= max);
            let next = match &last {
                None => state.first(now),
                Some((failure, resets_at)) => {
                    let session = session.as_deref();
                    let ended = Ended {
                        failure,
                        resets_at: *resets_at,
                        session,
                        effects,
                        login_has_changed: false,
                        agent_has_retried: false,
                        was_silent: false,
                        has_worked: false,
                    };
                    state.next(&ended, is_spent, now)
                }
            };
            let (to, start) = match next {
                Next::GiveUp { .. } => return self.check(state),
                Next::Retry { after, start } => {
                    let asked = last.as_ref().and_then(|(failure, _)| failure.retry_after_ms);
                    assert!(after >= asked.map_or(Duration::ZERO, Duration::from_millis));
                    self.time += after;
                    self.slept += after;
                    (self.attempts.last().unwrap().0, start)
                }
                Next::Switch { to, start } => {
                    assert!(self.attempts.last().is_none_or(|(from, ..)| *from != to));
                    (to, start)
                }
                Next::Wait { until, to, start } => {
                    assert!(until > self.time && self.deadline.is_none_or(|end| until < end));
                    let reset = last.as_ref().and_then(|(_, reset)| *reset);
                    let own = self.attempts.last().is_some_and(|(from, ..)| *from == to);
                    if let (true, Some(reset)) = (own, reset) {
                        assert!(until > reset, "never early");
                    }
                    self.waited += until.duration_since(self.time);
                    self.time = until;
                    (to, start)
                }
            };
            assert!(!is_spent || self.attempts.is_empty(), "nothing is begun without money");
            let before = self.attempts.iter().map(|(.., effects)| *effects).max();
            if before.unwrap_or(Effects::None) >= Effects::Possible {
                assert_ne!(start, Start::Fresh, "nothing is done twice");
            }
            match start {
                Start::Resume => {
                    let (from, ..) = *self.attempts.last().unwrap();
                    assert!(session.is_some() && self.chain[to].can_resume);
                    assert_eq!(
                        self.chain[from].agent, self.chain[to].agent,
                        "a session is its agent's"
                    );
                }
                Start::Handover => assert_eq!(self.policy.on_effects, OnEffects::Continue),
                _ => {}
            }
            assert_eq!(state.current(), to);
            if self.dice.u8(..5) == 0 {
                self.attempt(to, start);
                return self.check(state);
            }
            self.attempt(to, start);
            last = Some(self.failure());
            session = self.dice.bool().then(|| "session".to_owned());
        }
    }

    fn attempt(&mut self, to: usize, start: Start) {
        let effects = [Effects::None, Effects::ReadOnly, Effects::Possible, Effects::Observed]
            [self.dice.usize(..4)];
        self.attempts.push((to, start, effects));
        self.costs.push(self.dice.f64());
        self.time += Duration::from_secs(self.dice.u64(1..600));
    }

    fn failure(&mut self) -> (Failure, Option<Timestamp>) {
        let kind = FailureKind::ALL[self.dice.usize(..FailureKind::ALL.len())];
        let mut failure = Failure::new(kind, "it failed");
        failure.retry_after_ms = (self.dice.u8(..4) == 0).then(|| self.dice.u64(..200_000));
        let reset = Duration::from_secs(self.dice.u64(..40_000));
        (failure, (self.dice.u8(..2) == 0).then(|| self.time + reset))
    }

    fn check(self, state: State) {
        let count = u32::try_from(self.attempts.len()).unwrap();
        assert!(count <= self.policy.max_attempts.max(1));
        assert_eq!(state.attempts, count);
        let last = self.costs.last().copied().unwrap_or_default();
        if let Some(max) = self.budget {
            assert!(self.costs.iter().sum::<f64>() <= max + last, "the budget and one attempt");
        }
        let patience = SignedDuration::try_from(self.policy.patience()).unwrap();
        assert!(self.waited <= patience + SignedDuration::from_mins(1) || self.waited.is_zero());
        assert!(self.slept <= INLINE_WAIT * count);
    }
}

#[test]
fn a_hundred_thousand_runs_break_no_promise() {
    (0..SEEDS).for_each(|seed| Simulation::new(seed).run());
}

/// The table of the defaults, for one agent with a second one behind it.
#[test]
fn each_kind_of_failure_has_its_answer() {
    let time = Timestamp::from_second(1_800_000_000).unwrap();
    let now = Now { time, open: &[], deadline: None, dice: 0.5 };
    let link = |agent: &str| Link { agent: agent.to_owned(), can_resume: true, ..Link::default() };
    let mut table = String::new();
    for kind in FailureKind::ALL {
        let mut words = Vec::new();
        for effects in [Effects::None, Effects::Possible] {
            let mut state = State::new(Policy::default(), vec![link("claude-code"), link("codex")]);
            state.first(now);
            let failure = Failure::new(kind, "it failed");
            let session = Some("session");
            let ended = Ended {
                failure: &failure,
                resets_at: None,
                session,
                effects,
                login_has_changed: false,
                agent_has_retried: false,
                was_silent: false,
                has_worked: false,
            };
            words.push(match state.next(&ended, false, now) {
                Next::Retry { start, .. } => format!("retry {start:?}"),
                Next::Switch { start, .. } => format!("next agent {start:?}"),
                Next::Wait { .. } => "wait".to_owned(),
                Next::GiveUp { .. } => "end".to_owned(),
            });
        }
        table.push_str(&format!("{:<20} {:<18} {}\n", kind.name(), words[0], words[1]));
    }
    insta::assert_snapshot!(table, @r#"
    rate_limited         retry Fresh        retry Resume
    usage_limit          next agent Fresh   next agent Handover
    overloaded           retry Fresh        retry Resume
    server_error         retry Fresh        retry Resume
    network              retry Fresh        retry Resume
    auth                 next agent Fresh   next agent Handover
    billing              next agent Fresh   next agent Handover
    model_unavailable    next agent Fresh   next agent Handover
    context_overflow     next agent Fresh   next agent Handover
    output_limit         retry Fresh        retry Resume
    refused              end                end
    permission_denied    end                end
    limit_reached        end                end
    invalid_request      next agent Fresh   next agent Handover
    stalled              retry Fresh        retry Resume
    crashed              retry Fresh        retry Resume
    protocol             retry Fresh        retry Resume
    not_installed        next agent Fresh   next agent Handover
    not_executable       next agent Fresh   next agent Handover
    version_unsupported  next agent Fresh   next agent Handover
    interrupted          end                end
    deadline             end                end
    session_in_use       end                end
    local_io             end                end
    unknown              retry Fresh        retry Resume
    "#);
}
