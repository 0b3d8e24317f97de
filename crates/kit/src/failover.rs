//! What comes after a failure: a pure function of what is known, without clock, dice or files.
//!
//! [`State::next`] decides, the runner acts. The table of rules is in [`rule`], the caller's wishes in [`policy`].

#[cfg(test)]
mod once_more;
#[cfg(test)]
mod opened;
mod policy;
mod rule;
mod seconds;
#[cfg(test)]
mod simulation;

pub use self::policy::{OnEffects, OnLimit, Policy};
pub use self::rule::{BadRule, Rule};
use belay_trace::{Effects, Failure, FailureKind, Start};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A wait this short is part of a retry; a longer one is a wait, which has to be allowed.
const INLINE_WAIT: Duration = Duration::from_secs(60);

/// The longest pause before a retry that nobody has asked for.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// How often a run goes on anew because its conversation has become too long. More of it makes no progress.
const OVERFLOWS_MAX: u32 = 2;

/// How long a run waits for a limit of which nobody knows when it ends.
const GUESS: Duration = Duration::from_secs(60);
const GUESS_MAX: Duration = Duration::from_secs(30 * 60);

/// How long after a reset the run goes on, in seconds: a limit that is said to be over may take a moment, and a
/// hundred runs that wait for one reset must not come back in the same second.
const AFTER_RESET: (f64, f64) = (10.0, 60.0);

/// One agent and model of a chain, as far as a decision needs to know it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Link {
    /// The agent's identity.
    pub(crate) agent: String,
    pub(crate) model: Option<String>,
    /// The context window of the model in tokens, if it is known.
    pub(crate) window: Option<u64>,
    /// The agent can go on in a session.
    pub(crate) can_resume: bool,
}

/// Why a candidate is passed over: its breaker is open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Open {
    pub(crate) until: Timestamp,
    /// When its limit ends, if somebody knows: until then it is not tried, and then it can be waited for.
    pub(crate) resets_at: Option<Timestamp>,
    pub(crate) kind: FailureKind,
}

impl Open {
    /// True for a limit that is no moment's pause.
    fn lasts(self, now: Now<'_>) -> bool {
        let pause = SignedDuration::try_from(INLINE_WAIT).unwrap_or_default();
        match self.kind {
            FailureKind::UsageLimit => true,
            FailureKind::RateLimited => self.until.duration_since(now.time) > pause,
            _ => false,
        }
    }
}

/// How an attempt has ended that failed.
#[derive(Clone, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) failure: &'a Failure,
    /// When its limit ends, if it is known as a point in time.
    pub(crate) resets_at: Option<Timestamp>,
    /// The session in which something was said.
    pub(crate) session: Option<&'a str>,
    pub(crate) effects: Effects,
    /// The model had answered something before: its conversation has grown, and the prompt alone was not too large.
    pub(crate) has_worked: bool,
    /// The login is not the one any more with which the attempt began.
    pub(crate) login_has_changed: bool,
    /// The agent has tried it again by itself, and for nothing.
    pub(crate) agent_has_retried: bool,
    /// It has waited for a response without a word, as agents do that say nothing of their provider's limits.
    pub(crate) was_silent: bool,
}

/// What is known when a decision is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now<'a> {
    pub(crate) time: Timestamp,
    /// Which candidates are known not to work now, in the order of the chain.
    pub(crate) open: &'a [Option<Open>],
    /// When the run's own time is up.
    pub(crate) deadline: Option<Timestamp>,
    /// A throw of the dice, from 0 up to 1.
    pub(crate) dice: f64,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// The same candidate again, after a pause.
    Retry { after: Duration, start: Start },
    /// Another candidate.
    Switch { to: usize, start: Start },
    /// Nothing until this time, and then this candidate.
    Wait { until: Timestamp, to: usize, start: Start },
    /// The run ends with the failure that it has.
    GiveUp { why: GivenUp, retry_at: Option<Timestamp> },
}

/// Why nothing more is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// The failure is the answer.
    Rule,
    /// There were as many attempts as there may be.
    Attempts,
    /// The money is spent.
    Budget,
    /// The last agent may have changed something, and nobody else may go on with that.
    Effects,
    /// The limit lasts longer than may be waited.
    Patience,
    /// Nobody is left who could be tried.
    Dry,
}

/// What has happened so far, as far as it decides what comes.
#[derive(Clone, Debug)]
pub(crate) struct State {
    policy: Policy,
    chain: Vec<Link>,
    current: usize,
    /// Who has had his turn, and may not have another one but by waiting.
    tried: Vec<bool>,
    retries: Vec<u32>,
    /// Who was tried once more with another login.
    logged_in_anew: Vec<bool>,
    /// When each one's own limit ends, if it has run into one.
    resets: Vec<Option<Timestamp>>,
    attempts: u32,
    /// The most that any attempt may have done.
    effects: Effects,
    waited: SignedDuration,
    /// How often that was for a limit of which nobody knows when it ends.
    guesses: u32,
    /// How often a conversation that had become too long was begun anew.
    overflows: u32,
    /// The one time that an open breaker was passed by.
    has_forced: bool,
}

impl State {
    pub(crate) fn new(policy: Policy, chain: Vec<Link>) -> Self {
        let count = chain.len();
        Self {
            policy,
            chain,
            current: 0,
            tried: vec![false; count],
            retries: vec![0; count],
            logged_in_anew: vec![false; count],
            resets: vec![None; count],
            attempts: 0,
            effects: Effects::None,
            waited: SignedDuration::ZERO,
            guesses: 0,
            overflows: 0,
            has_forced: false,
        }
    }

    /// What is known of the candidates' context windows, in tokens.
    pub(crate) fn windows(&mut self, windows: &[Option<u64>]) {
        for (link, window) in self.chain.iter_mut().zip(windows) {
            link.window = link.window.or(*window);
        }
    }

    /// The candidate whose turn it is.
    pub(crate) fn current(&self) -> usize {
        self.current
    }

    /// Who begins: the first that is not known to be down, whoever comes back soonest if all are, as long as that
    /// may be waited for, or else the first, because nobody knows better than to try.
    pub(crate) fn first(&mut self, now: Now<'_>) -> Next {
        let open = |n: usize| now.open.get(n).copied().flatten();
        // A limit that is known is answered like one that was met.
        if open(0).is_some_and(|open| open.lasts(now)) && self.policy.on_limit != OnLimit::Failover
        {
            let reset = self.reset(0, now).unwrap_or_else(|| self.guess(now));
            let reset = Some(reset).filter(|_| self.policy.on_limit == OnLimit::Wait);
            let wait = reset.and_then(|reset| self.wait_for(0, reset, None, now));
            return match wait {
                Some(wait) => self.take(wait, now),
                None => {
                    let waits = self.policy.on_limit == OnLimit::Wait;
                    let why = if waits { GivenUp::Patience } else { GivenUp::Rule };
                    Next::GiveUp { why, retry_at: self.reset(0, now) }
                }
            };
        }
        if let Some(to) = (0..self.chain.len()).find(|n| open(*n).is_none()) {
            return self.take(Next::Switch { to, start: Start::Fresh }, now);
        }
        if let Some(wait) = self.wait(None, now) {
            return self.take(wait, now);
        }
        match self.least_bad(now) {
            Some(to) => self.take(Next::Switch { to, start: Start::Fresh }, now),
            None => Next::GiveUp { why: GivenUp::Dry, retry_at: self.retry_at(now) },
        }
    }

    /// What comes after an attempt that has failed. `is_spent` says that the budget is.
    pub(crate) fn next(&mut self, ended: &Ended<'_>, is_spent: bool, now: Now<'_>) -> Next {
        self.effects = self.effects.max(ended.effects);
        self.resets[self.current] = ended.resets_at;
        let next = self.decide(ended, is_spent, now);
        self.logged_in_anew[self.current] |= ended.login_has_changed;
        self.overflows += u32::from(ended.failure.kind == FailureKind::ContextOverflow);
        self.take(next, now)
    }

    fn decide(&self, ended: &Ended<'_>, is_spent: bool, now: Now<'_>) -> Next {
        let kind = ended.failure.kind;
        let rule = self.policy.rule(kind);
        // What is no more than a moment's pause is no limit that anybody would be asked about.
        let is_long = is_limit(kind) && self.pause(ended, now) > INLINE_WAIT;
        let give_up = |why| Next::GiveUp { why, retry_at: self.retry_at(now) };
        if rule == Rule::STOP {
            return give_up(GivenUp::Rule);
        }
        if self.attempts >= self.policy.max_attempts {
            return give_up(GivenUp::Attempts);
        }
        if is_spent {
            return give_up(GivenUp::Budget);
        }
        let is_limited = is_long || kind == FailureKind::UsageLimit;
        match self.policy.on_limit {
            OnLimit::Fail if is_limited => return give_up(GivenUp::Rule),
            OnLimit::Wait if is_limited && rule.wait => {
                let reset = ended.resets_at.unwrap_or_else(|| self.guess(now));
                let wait = self.wait_for(self.current, reset, Some(ended), now);
                return wait.unwrap_or_else(|| give_up(GivenUp::Patience));
            }
            _ => {}
        }
        if let Some(anew) = self.anew(ended, rule, now) {
            return match self.policy.on_effects {
                OnEffects::Stop => give_up(GivenUp::Effects),
                OnEffects::Continue => anew,
            };
        }
        if let Some(retry) = self.retry(ended, rule, now) {
            return retry;
        }
        let others: Vec<usize> = self.others(kind, rule).collect();
        let is_closed = |n: &&usize| now.open.get(**n).copied().flatten().is_none();
        let to = others.iter().find(is_closed).copied();
        let forced = || self.least_bad(now).filter(|n| others.contains(n));
        if let Some(to) = to.or_else(forced) {
            let start = self.start(to, Some(ended));
            if start == Start::Handover && self.policy.on_effects == OnEffects::Stop {
                return give_up(GivenUp::Effects);
            }
            return Next::Switch { to, start };
        }
        let wait = if rule.wait { self.wait(Some(ended), now) } else { None };
        wait.unwrap_or_else(|| give_up(GivenUp::Dry))
    }

    /// The same candidate again, if the rule lets it and nothing would be done twice.
    fn retry(&self, ended: &Ended<'_>, rule: Rule, now: Now<'_>) -> Option<Next> {
        let had = self.retries[self.current];
        let start = self.start(self.current, Some(ended));
        let is_new_login = ended.failure.kind == FailureKind::Auth
            && ended.login_has_changed
            && !self.logged_in_anew[self.current];
        if is_new_login && start != Start::Handover {
            return Some(Next::Retry { after: Duration::ZERO, start });
        }
        // Rounds of the agent and of the run would multiply.
        if ended.agent_has_retried && passes(ended.failure.kind) {
            return None;
        }
        if ended.was_silent && self.chain.len() > 1 {
            return None;
        }
        if had >= rule.retries.min(self.policy.max_retries) || start == Start::Handover {
            return None;
        }
        let after = self.pause(ended, now);
        (after <= INLINE_WAIT).then_some(Next::Retry { after, start })
    }

    /// How long to wait before a retry: as long as was asked for, and at least a while that grows.
    fn pause(&self, ended: &Ended<'_>, now: Now<'_>) -> Duration {
        let had = self.retries[self.current];
        let backoff = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(had.min(16)));
        let backoff = backoff.min(BACKOFF_MAX).mul_f64(now.dice.clamp(0.0, 1.0));
        let asked = ended.failure.retry_after_ms.map(Duration::from_millis);
        let reset = ended
            .resets_at
            .map(|reset| Duration::try_from(reset.duration_since(now.time)).unwrap_or_default());
        asked.into_iter().chain(reset).fold(backoff, Duration::max)
    }

    /// Who could go on, in the order of the chain.
    fn others(&self, kind: FailureKind, rule: Rule) -> impl Iterator<Item = usize> {
        let failed = &self.chain[self.current];
        (0..self.chain.len()).filter(move |n| {
            let other = &self.chain[*n];
            let may = if other.agent == failed.agent { rule.model } else { rule.agent };
            let fits = kind != FailureKind::ContextOverflow || !self.is_too_small(*n);
            *n != self.current && !self.tried[*n] && may && fits
        })
    }

    /// True if what has not fitted the current candidate's window does not fit this one's either.
    pub(crate) fn is_too_small(&self, n: usize) -> bool {
        matches!((self.chain[n].window, self.chain[self.current].window), (Some(other), Some(failed)) if other <= failed)
    }

    /// A conversation that has become too long goes on in a new one, with an account of what was done: with the next
    /// candidate, or with the same one.
    fn anew(&self, ended: &Ended<'_>, rule: Rule, now: Now<'_>) -> Option<Next> {
        let is_overflow = ended.failure.kind == FailureKind::ContextOverflow && ended.has_worked;
        if !is_overflow || self.overflows >= OVERFLOWS_MAX {
            return None;
        }
        let failed = &self.chain[self.current];
        let other = (0..self.chain.len()).find(|n| {
            let other = &self.chain[*n];
            let may = if other.agent == failed.agent { rule.model } else { rule.agent };
            let is_closed = now.open.get(*n).copied().flatten().is_none();
            *n != self.current && !self.tried[*n] && may && is_closed
        });
        Some(Next::Switch { to: other.unwrap_or(self.current), start: Start::Handover })
    }

    /// How a candidate would begin.
    fn start(&self, to: usize, ended: Option<&Ended<'_>>) -> Start {
        if self.effects.max(ended.map_or(Effects::None, |ended| ended.effects)) < Effects::Possible
        {
            return Start::Fresh;
        }
        let same_agent = self.chain[to].agent == self.chain[self.current].agent;
        let session = ended.and_then(|ended| ended.session);
        if same_agent && session.is_some() && self.chain[to].can_resume {
            Start::Resume
        } else {
            Start::Handover
        }
    }

    /// The wait for whoever works again soonest.
    fn wait(&self, ended: Option<&Ended<'_>>, now: Now<'_>) -> Option<Next> {
        let resets = (0..self.chain.len()).filter_map(|n| Some((n, self.reset(n, now)?)));
        let (to, reset) = resets.min_by_key(|(_, reset)| *reset)?;
        self.wait_for(to, reset, ended, now)
    }

    /// When a limit may have ended of which nobody has said when it does: soon at first, and then later and later.
    fn guess(&self, now: Now<'_>) -> Timestamp {
        let after = GUESS.saturating_mul(2_u32.saturating_pow(self.guesses.min(16))).min(GUESS_MAX);
        now.time.checked_add(after).unwrap_or(Timestamp::MAX)
    }

    /// When a candidate works again, if its limit is why it does not.
    fn reset(&self, n: usize, now: Now<'_>) -> Option<Timestamp> {
        let open = now.open.get(n).copied().flatten();
        let known = open.filter(|open| is_limit(open.kind)).and_then(|open| open.resets_at);
        self.resets[n].max(known)
    }

    /// When the first one works again, if a limit is why any of them does not.
    fn retry_at(&self, now: Now<'_>) -> Option<Timestamp> {
        (0..self.chain.len()).filter_map(|n| self.reset(n, now)).min()
    }

    fn wait_for(
        &self,
        to: usize,
        reset: Timestamp,
        ended: Option<&Ended<'_>>,
        now: Now<'_>,
    ) -> Option<Next> {
        let (from, upto) = AFTER_RESET;
        let after = Duration::from_secs_f64(from + (upto - from) * now.dice.clamp(0.0, 1.0));
        let until = reset.max(now.time).checked_add(after).ok()?;
        let wait = until.duration_since(now.time);
        let patience = self.policy.patience();
        let may = SignedDuration::try_from(patience).unwrap_or(SignedDuration::MAX);
        let in_time = now.deadline.is_none_or(|deadline| until < deadline);
        let start = self.start(to, ended);
        let may_start = start != Start::Handover || self.policy.on_effects == OnEffects::Continue;
        // The moment after the reset is ours to add, and no reason to give up.
        let may = may.saturating_add(SignedDuration::from_secs(upto as i64));
        let allowed = !patience.is_zero() && self.waited.saturating_add(wait) <= may;
        (allowed && in_time && may_start).then_some(Next::Wait { until, to, start })
    }

    /// Everybody is known to be down: then the one that comes back first is tried all the same, once. A store of bad
    /// news must not be what stops the work: a login may have been mended where nobody sees it. Only a limit that
    /// lasts is sure to be one still.
    fn least_bad(&self, now: Now<'_>) -> Option<usize> {
        let untried = (0..self.chain.len()).filter(|n| !self.tried[*n]);
        let opens: Option<Vec<(usize, Open)>> =
            untried.map(|n| Some((n, now.open.get(n).copied().flatten()?))).collect();
        let passing = opens?.into_iter().filter(|(_, open)| !open.lasts(now));
        let soonest = passing.min_by_key(|(_, open)| open.until);
        soonest.map(|(n, _)| n).filter(|_| !self.has_forced)
    }

    /// Notes what was decided.
    fn take(&mut self, next: Next, now: Now<'_>) -> Next {
        match &next {
            Next::Retry { .. } => self.retries[self.current] += 1,
            Next::Switch { to, .. } => {
                self.has_forced |= now.open.get(*to).copied().flatten().is_some();
                self.current = *to;
            }
            Next::Wait { until, to, .. } => {
                self.guesses += u32::from(self.resets[*to].is_none());
                self.waited = self.waited.saturating_add(until.duration_since(now.time));
                self.current = *to;
                self.retries[*to] = 0;
            }
            Next::GiveUp { .. } => return next,
        }
        self.tried[self.current] = true;
        self.attempts += 1;
        next
    }
}

/// What agents try again by themselves.
fn passes(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::RateLimited
            | FailureKind::Overloaded
            | FailureKind::ServerError
            | FailureKind::Network
    )
}

/// A limit of an account, which ends by itself.
fn is_limit(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::RateLimited | FailureKind::UsageLimit)
}
