//! What others have found out about the candidates of a run, and what it finds out for them.

use super::chain::{Stopped, now, own_model, unknown};
use super::{Caller, Runner};
use crate::aside;
use crate::breaker::{
    Breakers, Claim, Consequence, Found, Key, Probe, Scope, State, Tripped, consequence,
    fingerprint, whose,
};
use crate::failover::{GivenUp, Next, Now, Open, State as Decider};
use crate::{Client, Environment, limits};
use belay_agents::{Account, Agent, RunRequest};
use belay_trace::{Event, EvidenceSource, Failure, FailureKind, Level, Waiting};
use jiff::Timestamp;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How soon the others look again whether the one that tries has found out.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long another run has to say that it is the one that tries, once it is.
const SETTLE: Duration = Duration::from_millis(20);

/// An account that has answered within this time has a login that works.
const LATELY: Duration = Duration::from_secs(5 * 60);

/// The breakers of one run. Without a state folder there are none, and all are closed.
#[derive(Debug)]
pub(super) struct Watch {
    breakers: Option<Breakers>,
    candidates: Vec<Candidate>,
    run_id: String,
    /// Who was passed over already, so that it is said once.
    told: Vec<bool>,
    /// The right to try that the current attempt has.
    probes: Vec<Probe>,
    /// How long a limit's end is believed.
    trust: Duration,
    /// The account with which it was begun, and when.
    account: String,
    began: Timestamp,
}

/// One candidate, as far as it meets breakers.
#[derive(Debug)]
struct Candidate {
    agent: Arc<dyn Agent>,
    model: String,
    account: Account,
    env: Arc<Environment>,
    /// What stands before the agent's own command.
    place: Vec<OsString>,
    /// Where it works.
    folder: PathBuf,
}

impl Candidate {
    fn fingerprint(&self) -> String {
        fingerprint(&*self.agent, &self.account, &self.env, &self.place, &self.folder)
    }

    fn whose(&self) -> String {
        whose(&self.account, &self.env, &self.place)
    }
}

/// Why a candidate cannot be begun with.
#[derive(Debug)]
pub(super) struct Shut {
    pub(super) tripped: Tripped,
    /// Another run is finding out whether it works again.
    pub(super) is_probed: bool,
}

impl Watch {
    pub(super) fn new(client: &Client, request: &RunRequest, run_id: &str) -> Self {
        let candidates = client.chain().enumerate().map(|(n, agent)| {
            let model = own_model(request, n).or(agent.model());
            let turn = client.turn(n);
            let program = turn.program.filter(|_| !turn.leading_args.is_empty());
            let place = program.map(OsString::from).into_iter().chain(turn.leading_args);
            Candidate {
                agent: agent.clone(),
                // It is stored.
                model: client.redaction.text(model.unwrap_or_default()).into_owned(),
                account: agent.account(model),
                env: turn.env,
                place: place.collect(),
                folder: request
                    .cwd
                    .clone()
                    .or_else(|| std::env::current_dir().ok())
                    .unwrap_or_default(),
            }
        });
        let candidates: Vec<_> = candidates.collect();
        Self {
            breakers: client.state_dir.as_ref().map(Breakers::new),
            told: vec![false; candidates.len()],
            candidates,
            run_id: run_id.to_owned(),
            probes: Vec::new(),
            trust: client.policy.trust_window,
            account: String::new(),
            began: Timestamp::MIN,
        }
    }

    /// Which candidates are known to be down.
    pub(super) fn look(&self) -> Vec<Option<Shut>> {
        let Some(breakers) = &self.breakers else {
            return self.candidates.iter().map(|_| None).collect();
        };
        let now = Timestamp::now();
        let shut = self.candidates.iter().map(|candidate| {
            let account = candidate.fingerprint();
            let keys = Key::all(candidate.agent.name(), &account, &candidate.model);
            let open = keys.iter().filter_map(|key| match breakers.look(key, now) {
                State::Open(tripped) => Some(tripped),
                State::Due(_) | State::Closed => None,
            });
            // What lasts longest is what counts.
            let tripped = open.max_by_key(|tripped| tripped.until)?;
            Some(Shut { tripped, is_probed: false })
        });
        shut.collect()
    }

    /// Begins with a candidate that is not known to be down: where it has to be tried whether it works again, this
    /// run must be the one that does.
    pub(super) async fn enter(&mut self, n: usize) -> Result<(), Shut> {
        self.begin(n);
        let (Some(breakers), candidate) = (&self.breakers, &self.candidates[n]) else {
            return Ok(());
        };
        let mut probes = Vec::new();
        for key in Key::all(candidate.agent.name(), &self.account, &candidate.model) {
            let mut claim = breakers.claim(&key, Timestamp::now());
            if matches!(claim, Claim::Stale) {
                tokio::time::sleep(SETTLE).await;
                claim = breakers.claim(&key, Timestamp::now());
            }
            match claim {
                Claim::Free | Claim::Stale => {}
                Claim::Probe(probe) => probes.push(probe),
                Claim::Open(tripped) => return Err(Shut { tripped, is_probed: false }),
                Claim::Taken(tripped) => return Err(Shut { tripped, is_probed: true }),
            }
        }
        self.probes = probes;
        Ok(())
    }

    /// Begins with a candidate whatever is known of it.
    pub(super) fn begin(&mut self, n: usize) {
        self.probes.clear();
        (self.account, self.began) = (self.candidates[n].fingerprint(), Timestamp::now());
    }

    /// True if the login has changed since the attempt began: another process has renewed it, or somebody has logged in.
    pub(super) fn login_has_changed(&self, n: usize) -> bool {
        self.candidates[n].fingerprint() != self.account
    }

    /// Notes how an attempt has ended, for the others.
    pub(super) async fn note(&mut self, n: usize, failure: Option<&Failure>) {
        let probes = std::mem::take(&mut self.probes);
        let (Some(breakers), candidate) = (self.breakers.clone(), &self.candidates[n]) else {
            return;
        };
        let means = failure.map_or(Consequence::Works, |failure| consequence(failure.kind));
        // A login that has changed meanwhile, also by the agent's own doing, is the one that others will use; but
        // it is not what has failed to log in.
        let account = match failure {
            Some(failure) if failure.kind == FailureKind::Auth => self.account.clone(),
            _ => candidate.fingerprint(),
        };
        let (agent, model) = (candidate.agent.name().to_owned(), candidate.model.clone());
        let (began, now) = (self.began, Timestamp::now());
        let note: Box<dyn FnOnce() -> std::io::Result<()> + Send> = match (means, failure) {
            (Consequence::Works, _) => {
                let (keys, whose) = (Key::all(&agent, &account, &model), candidate.whose());
                let is_answer = failure.is_none();
                Box::new(move || {
                    if is_answer {
                        breakers.note_answer(&whose)?;
                    }
                    breakers.answered(&keys, began)
                })
            }
            (Consequence::Opens(mut rule), Some(failure)) => {
                // Two processes renew one login, and the loser is told that it has ended.
                if failure.kind == FailureKind::Auth
                    && breakers.has_answered(&candidate.whose(), LATELY)
                {
                    rule.cooldown = limits::BREAKER_LOGIN_RACE;
                }
                let is_of_model = failure.kind == FailureKind::UsageLimit
                    && candidate.account.is_of_model(failure);
                let scope = if is_of_model { Scope::Model } else { rule.scope };
                let found = Found {
                    kind: failure.kind,
                    resets_at: told(failure, now),
                    trust: self.trust,
                    agent: agent.clone(),
                    run: self.run_id.clone(),
                    pid: std::process::id(),
                };
                let key = Key::of(scope, &agent, &account, &model);
                Box::new(move || breakers.fail(key, &found, rule, now))
            }
            (Consequence::Nothing | Consequence::Opens(_), _) => return,
        };
        // What cannot be noted is not known to others, and costs this run nothing. The right to try ends only when
        // others can see what came of it.
        let noted = aside::begin(move || {
            let noted = note();
            drop(probes);
            noted
        });
        let _ = noted.await;
    }
}

impl Runner {
    /// Decides by what others know, and takes a candidate only if no other run is trying just now whether he works
    /// again; if there is nobody else, that one's result is waited for.
    pub(super) async fn decide(
        &mut self,
        caller: &mut Caller,
        decide: impl Fn(&mut Decider, Now<'_>) -> Next,
    ) -> Result<Next, Stopped> {
        let patience = Instant::now() + limits::BREAKER_PROBE;
        let (mut shut, mut told) = (self.chain.watch.look(), false);
        loop {
            let open: Vec<_> = shut.iter().map(|shut| shut.as_ref().map(Shut::open)).collect();
            let mut state = self.chain.state.clone();
            let next = decide(&mut state, now(caller, &open));
            match &next {
                Next::Switch { to, .. } if shut[*to].is_none() => {
                    if let Err(found) = self.chain.watch.enter(*to).await {
                        shut[*to] = Some(found);
                        continue;
                    }
                    self.tell_passed_over(*to, &shut);
                }
                Next::Switch { to, .. } | Next::Wait { to, .. } => self.chain.watch.begin(*to),
                Next::Retry { .. } => self.chain.watch.begin(state.current()),
                Next::GiveUp { why: GivenUp::Dry, .. } if Instant::now() < patience => {
                    // What would be if those who are being tried did work?
                    let hoped: Vec<_> = shut
                        .iter()
                        .zip(open)
                        .map(|(shut, open)| {
                            open.filter(|_| !shut.as_ref().is_some_and(|s| s.is_probed))
                        })
                        .collect();
                    let then = decide(&mut self.chain.state.clone(), now(caller, &hoped));
                    if let Next::Switch { to, .. } = then {
                        if !std::mem::replace(&mut told, true) {
                            self.tell_waiting(to, shut[to].as_ref()).await;
                        }
                        caller.rest(Instant::now() + LOOK_AGAIN).await?;
                        shut = self.chain.watch.look();
                        continue;
                    }
                }
                Next::GiveUp { .. } => {}
            }
            self.chain.state = state;
            self.chain.shut = shut;
            return Ok(next);
        }
    }

    /// After a wait for a candidate: why he does not work yet, if others have found that out meanwhile.
    pub(super) async fn still_down(
        &mut self,
        to: usize,
        caller: &mut Caller,
    ) -> Result<Option<Failure>, Stopped> {
        let patience = Instant::now() + limits::BREAKER_PROBE;
        loop {
            match self.chain.watch.enter(to).await {
                Ok(()) => return Ok(None),
                Err(shut) if shut.is_probed && Instant::now() < patience => {
                    caller.rest(Instant::now() + LOOK_AGAIN).await?;
                }
                Err(shut) => {
                    let failure = shut.failure();
                    self.chain.shut[to] = Some(shut);
                    return Ok(Some(failure));
                }
            }
        }
    }

    /// Why a candidate was not begun with.
    pub(super) fn known_failure(&self, n: usize) -> Failure {
        let shut = self.chain.shut.get(n).and_then(Option::as_ref);
        shut.map_or_else(unknown, Shut::failure)
    }

    /// The same of the one who works again first.
    pub(super) fn soonest_failure(&self) -> Failure {
        let shut = self.chain.shut.iter().flatten();
        let soonest = shut.min_by_key(|shut| shut.tripped.resets_at.unwrap_or(Timestamp::MAX));
        soonest.map_or_else(unknown, Shut::failure)
    }

    /// Says once who was passed over on the way to another one, and why. The first of all is told by a failover.
    fn tell_passed_over(&mut self, to: usize, shut: &[Option<Shut>]) {
        let first = usize::from(self.chain.summaries.is_empty());
        for (n, shut) in shut.iter().enumerate().take(to).skip(first) {
            let Some(shut) = shut else { continue };
            if !self.chain.watch.told[n] && shut.tripped.run != self.run_id {
                self.chain.watch.told[n] = true;
                let words =
                    format!("{} is passed over: {}", self.chain.name(n), shut.failure().message);
                self.publisher.event(Event::notice(Level::Warn, "breaker", words));
            }
        }
    }

    async fn tell_waiting(&mut self, to: usize, shut: Option<&Shut>) {
        let failure = shut.map(Shut::failure);
        let reason =
            failure.as_ref().map_or("limit".to_owned(), |failure| failure.kind.to_string());
        let until = Timestamp::now().checked_add(limits::BREAKER_PROBE).unwrap_or(Timestamp::MAX);
        let candidate = Some(self.chain.name(to));
        self.publisher.event(Event::Waiting(Waiting { until, reason, candidate, failure }));
        self.publisher.flush().await;
    }
}

/// When a failure is over, by the words of the agent or its provider.
fn told(failure: &Failure, now: Timestamp) -> Option<Timestamp> {
    let after = failure.retry_after_ms.map(Duration::from_millis);
    let after = after.and_then(|after| now.checked_add(after).ok());
    failure.resets_at.max(after)
}

impl Shut {
    /// As far as a decision needs to know it.
    pub(super) fn open(&self) -> Open {
        let Tripped { kind, until, resets_at, .. } = self.tripped;
        let soon = || Timestamp::now().checked_add(LOOK_AGAIN).unwrap_or(until);
        match self.is_probed {
            false => Open { until, resets_at, kind },
            true => Open { until: soon(), resets_at: resets_at.map(|_| soon()), kind },
        }
    }

    /// The failure that somebody else has found out.
    pub(super) fn failure(&self) -> Failure {
        let tripped = &self.tripped;
        let (kind, who) = (tripped.kind, tripped.who());
        let until = if tripped.is_due {
            "and another run is trying whether it works again".to_owned()
        } else {
            match tripped.resets_at.filter(|reset| *reset > tripped.until) {
                // One run tries before that whether the limit has ended early.
                Some(reset) => format!("until {reset:.0}"),
                None => format!("until {:.0}", tripped.until),
            }
        };
        let message =
            format!("{who} is known to be down ({kind}) {until}: run {} found out", tripped.run);
        let value = format!(
            "{} of {who} since {:.0}, by run {}",
            tripped.scope, tripped.since, tripped.run
        );
        let failure = Failure::new(kind, message).with(EvidenceSource::Field, "breaker", value);
        let resets_at = tripped.resets_at;
        Failure { resets_at, reset_source: resets_at.map(|_| EvidenceSource::Field), ..failure }
    }
}
