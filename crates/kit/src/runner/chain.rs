//! From one candidate to the next: what `failover` has decided is done here.

use super::breakers::{Shut, Watch};
use super::{Caller, Command, Runner};
use crate::failover::{Ended, GivenUp, Link, Next, Now, Open, State};
use crate::handover;
use crate::limits;
use belay_agents::{Agent, AttemptEnd, Capability, RunRequest, Session, Support};
use belay_trace::{
    AttemptSummary, Effects, Event, Failover, Failure, FailureKind, Interrupted, Level, Retry,
    Start, StopReason, Usage, Waiting,
};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The chain of one run.
pub(super) struct Chain {
    /// The caller's client, whose turns the candidates take.
    client: crate::Client,
    agents: Vec<Arc<dyn Agent>>,
    pub(super) state: State,
    /// What other runs know of the candidates, and what it was at the last decision.
    pub(super) watch: Watch,
    pub(super) shut: Vec<Option<Shut>>,
    /// The request as the caller made it; the runner's own is that of the attempt.
    original: RunRequest,
    /// The attempts so far.
    pub(super) summaries: Vec<AttemptSummary>,
    /// What was seen of the work, for whoever takes over.
    work: handover::Work,
    /// What the working directory was like before.
    base: handover::Base,
    /// When a limit ends that stopped the run.
    pub(super) retry_at: Option<Timestamp>,
}

impl Chain {
    pub(super) fn new(client: &crate::Client, request: &RunRequest, run_id: &str) -> Self {
        let agents: Vec<_> = client.chain().cloned().collect();
        let links = agents.iter().enumerate().map(|(n, agent)| {
            let model = own_model(request, n).or(agent.model()).map(str::to_owned);
            let transport = agent.transports().first();
            let can_resume = transport.is_some_and(|transport| {
                agent.capabilities(*transport).support(Capability::Resume) != Support::No
            });
            Link { agent: agent.name().to_owned(), model, window: None, can_resume }
        });
        let state = State::new(client.policy.clone(), links.collect());
        Self {
            client: client.clone(),
            agents,
            state,
            watch: Watch::new(client, request, run_id),
            shut: Vec::new(),
            original: request.clone(),
            summaries: Vec::new(),
            work: handover::Work::default(),
            base: handover::Base::default(),
            retry_at: None,
        }
    }

    /// The request as it is when everything that it names was read.
    pub(super) fn request(&mut self, request: &RunRequest) {
        self.original = request.clone();
    }

    /// The candidates' names, in order.
    pub(super) fn names(&self) -> Vec<String> {
        (0..self.agents.len()).map(|n| self.name(n)).collect()
    }

    pub(super) fn name(&self, n: usize) -> String {
        let agent = &self.agents[n];
        match own_model(&self.original, n).or(agent.model()) {
            Some(model) => format!("{}:{model}", agent.name()),
            None => agent.name().to_owned(),
        }
    }

    /// An event of the current attempt.
    pub(super) fn see(&mut self, event: &Event) {
        self.work.see(event);
    }

    /// Waits until it is known what the folder was like.
    pub(super) async fn look(&mut self) {
        self.base.ready().await;
    }

    /// The agent works, and says later what it has done.
    pub(super) fn may_do_unseen(&mut self) {
        self.work.may_do_unseen();
    }

    /// What the current attempt may have changed so far.
    pub(super) fn effects(&self) -> Effects {
        self.work.effects()
    }
}

/// The model of the request is the first candidate's; the others have their own.
pub(super) fn own_model(request: &RunRequest, n: usize) -> Option<&str> {
    request.model.as_deref().filter(|_| n == 0)
}

/// Who was stopped while he waited.
pub(super) struct Stopped(StopReason);

/// What came of a decision.
enum Went {
    /// The attempt can begin.
    On,
    /// It is the end.
    End,
    /// The wait is over, and others know by now that the candidate still does not work.
    Down(Failure),
}

impl Runner {
    /// Carries the request to an end: by the first candidate, and by those after it when it fails.
    pub(super) async fn candidates(&mut self, caller: &mut Caller) -> AttemptEnd {
        if self.chain.agents.len() > 1 {
            self.chain.base = handover::Base::begin(self.request.cwd.as_deref());
        }
        let mut last = AttemptEnd::default();
        let mut next = self.decide(caller, State::first).await;
        loop {
            let went = match next {
                Ok(next) => self.go_on(next, &mut last, caller).await,
                Err(stopped) => Err(stopped),
            };
            match went {
                Ok(Went::On) => {}
                Ok(Went::End) => return last,
                Ok(Went::Down(failure)) => {
                    let session = last.session_id.as_deref();
                    next = self.after(&failure, session, caller).await;
                    continue;
                }
                Err(Stopped(reason)) => {
                    let message = None;
                    self.publisher.event(Event::Interrupted(Interrupted { reason, message }));
                    return stopped(last, reason);
                }
            }
            let end = self.transports(caller).await;
            self.chain.watch.note(self.chain.state.current(), end.failure.as_ref()).await;
            let Some(failure) = &end.failure else { return end };
            if caller.is_over {
                return end;
            }
            // Whatever has stopped the attempt has not stopped the run.
            caller.stops = 0;
            let session = end.session_id.as_deref().filter(|_| has_spoken(&end.usage));
            next = self.after(failure, session, caller).await;
            last = merge(last, end);
        }
    }

    /// What comes after a failure.
    async fn after(
        &mut self,
        failure: &Failure,
        session: Option<&str>,
        caller: &mut Caller,
    ) -> Result<Next, Stopped> {
        let effects = self.chain.effects();
        let ended = Ended { failure, resets_at: failure.resets_at, session, effects };
        let is_spent = self.is_spent();
        self.decide(caller, |state, now| state.next(&ended, is_spent, now)).await
    }

    /// Does what was decided.
    async fn go_on(
        &mut self,
        next: Next,
        last: &mut AttemptEnd,
        caller: &mut Caller,
    ) -> Result<Went, Stopped> {
        let is_first = self.chain.summaries.is_empty();
        let current = self.chain.state.current();
        let start = match next {
            Next::Switch { to, start } if is_first => {
                // Those before it are known to be down.
                if to > 0 {
                    let failure = self.known_failure(0);
                    self.tell_failover(0, to, failure, start);
                }
                start
            }
            Next::Switch { to, start } => {
                let from = self.from();
                let failure = last.failure.clone().unwrap_or_else(unknown);
                self.tell_failover(from, to, failure, start);
                start
            }
            Next::Retry { after, start } => {
                let failure = last.failure.clone().unwrap_or_else(unknown);
                self.publisher.event(Event::Retry(Retry {
                    retry: Some(self.retries_of(current) + 1),
                    delay_ms: u64::try_from(after.as_millis()).ok(),
                    reason: failure.kind.to_string(),
                    failure: Some(failure),
                    ..Retry::default()
                }));
                self.publisher.flush().await;
                caller.rest(Instant::now() + after).await?;
                start
            }
            Next::Wait { until, to, start } => {
                let candidate = self.chain.name(to);
                let failure = last.failure.clone().or_else(|| Some(self.known_failure(to)));
                let reason = failure.as_ref().map_or("limit".to_owned(), |f| f.kind.to_string());
                let waiting = Waiting { until, reason, candidate: Some(candidate), failure };
                self.publisher.event(Event::Waiting(waiting));
                self.publisher.flush().await;
                caller.rest_until(until).await?;
                if let Some(failure) = self.still_down(to, caller).await? {
                    return Ok(Went::Down(failure));
                }
                let from = if is_first { to } else { self.from() };
                if from != to {
                    let failure = last.failure.clone().unwrap_or_else(unknown);
                    self.tell_failover(from, to, failure, start);
                }
                start
            }
            Next::GiveUp { why, retry_at } => {
                self.chain.retry_at = retry_at;
                if is_first {
                    last.failure = Some(self.soonest_failure());
                }
                self.tell_why(why);
                return Ok(Went::End);
            }
        };
        self.prepare(start, last).await;
        Ok(Went::On)
    }

    /// The request of the attempt that comes.
    async fn prepare(&mut self, start: Start, last: &AttemptEnd) {
        let to = self.chain.state.current();
        let from = self.chain.summaries.last().map(|_| self.from());
        let mut request = self.chain.original.clone();
        request.model = own_model(&self.chain.original, to).map(str::to_owned);
        self.client = self.chain.client.turn(to);
        request = self.client.own(&request);
        let kind = last.failure.as_ref().map_or(FailureKind::Unknown, |failure| failure.kind);
        match start {
            Start::Resume => {
                let session = last.session_id.clone().unwrap_or_default();
                request.session = Session::Resume(session);
                request.prompt = handover::go_on(kind);
            }
            Start::Handover => {
                let from = from.map_or_else(String::new, |from| self.chain.name(from));
                let task = &self.chain.original.prompt;
                let changes = self.chain.base.changes().await;
                let failure = last.failure.clone().unwrap_or_else(unknown);
                request.session = Session::New;
                request.prompt = self.chain.work.brief(
                    task,
                    &from,
                    &failure,
                    &changes,
                    &self.publisher.redactor,
                );
            }
            // A session that the caller named is the first agent's own.
            _ if self.chain.agents[to].name() != self.chain.agents[0].name()
                && request.session != Session::New =>
            {
                let words = format!(
                    "{} cannot go on in a session of {}; it begins a new one",
                    self.chain.agents[to].name(),
                    self.chain.agents[0].name()
                );
                self.publisher.event(Event::notice(Level::Warn, "session", words));
                request.session = Session::New;
            }
            _ => {}
        }
        if let Some(max) = request.max_turns {
            let had = self.usage.num_turns.unwrap_or(0);
            request.max_turns = Some(max.saturating_sub(u32::try_from(had).unwrap_or(max)).max(1));
        }
        self.start = start;
        self.request = request;
        self.chain.work.begin(self.chain.agents[to].name());
        // The journal has the request of the run; one that differs has to be there for a replay.
        if self.request != self.chain.original {
            self.publisher.journal.attempt_request(self.attempts + 1, &self.request);
        }
    }

    /// Who had the last attempt.
    fn from(&self) -> usize {
        self.last_candidate
    }

    fn retries_of(&self, candidate: usize) -> u64 {
        let name = self.chain.agents[candidate].name();
        let tries = self.chain.summaries.iter().rev().take_while(|had| had.agent == name);
        (tries.count() as u64).saturating_sub(1)
    }

    fn tell_failover(&mut self, from: usize, to: usize, failure: Failure, start: Start) {
        let effects = self.chain.work.effects_of_all();
        let (from, to) = (self.chain.name(from), self.chain.name(to));
        self.publisher.event(Event::Failover(Failover { from, to, failure, effects, start }));
    }

    /// Says why nothing more is tried, if there was something to try.
    fn tell_why(&mut self, why: GivenUp) {
        let words = match why {
            GivenUp::Attempts if self.chain.summaries.len() > 1 => {
                format!("no more is tried after {} attempts", self.chain.summaries.len())
            }
            GivenUp::Dry if self.chain.agents.len() > 1 => {
                "no agent of the chain is left".to_owned()
            }
            GivenUp::Effects => {
                "the agent may have changed something; nobody else goes on with that".to_owned()
            }
            _ => return,
        };
        self.publisher.event(Event::notice(Level::Info, "failover", words));
    }

    /// The run's money, or its turns, are spent.
    fn is_spent(&self) -> bool {
        let original = &self.chain.original;
        let cost = self.usage.total_cost_usd.unwrap_or(0.0);
        let turns = self.usage.num_turns.unwrap_or(0);
        original.max_cost_usd.is_some_and(|max| cost >= max)
            || original.max_turns.is_some_and(|max| turns >= u64::from(max))
    }

    /// Adds an attempt to the account of the run.
    pub(super) fn note_attempt(&mut self, end: &AttemptEnd) {
        self.last_candidate = self.chain.state.current();
        self.usage.add(&end.usage);
        self.chain.summaries.push(AttemptSummary {
            attempt: self.attempts,
            agent: self.client.agent.name().to_owned(),
            model: self.request.model.clone().or(self.client.agent.model().map(str::to_owned)),
            kind: end.failure.as_ref().map(|failure| failure.kind),
            total_cost_usd: end.usage.total_cost_usd,
            cost_source: end.usage.cost_source,
            duration_ms: end.usage.duration_ms,
            session_id: end.session_id.clone(),
            effects: self.chain.effects(),
            start: self.start,
        });
    }
}

pub(super) fn unknown() -> Failure {
    Failure::new(FailureKind::Unknown, "nobody knows why")
}

fn has_spoken(usage: &Usage) -> bool {
    usage.output_tokens != Some(0)
}

/// What is kept of the attempts before when a later one has less to show.
fn merge(before: AttemptEnd, mut end: AttemptEnd) -> AttemptEnd {
    if end.answer.is_empty() {
        end.answer = before.answer;
    }
    end.session_id = end.session_id.or(before.session_id);
    end.denials.splice(..0, before.denials);
    end
}

/// A run that was stopped between two attempts.
fn stopped(mut last: AttemptEnd, reason: StopReason) -> AttemptEnd {
    let (kind, why) = match reason {
        StopReason::Deadline => (FailureKind::Deadline, "the time was up"),
        _ => (FailureKind::Interrupted, "the run was stopped"),
    };
    let message = match &last.failure {
        Some(failure) => format!("{why} while it waited to go on after: {}", failure.message),
        None => format!("{why} while it waited"),
    };
    last.failure = Some(Failure::new(kind, message));
    last
}

pub(super) fn now<'a>(caller: &Caller, open: &'a [Option<Open>]) -> Now<'a> {
    let time = Timestamp::now();
    let left = caller.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let deadline = left.and_then(|left| time.checked_add(left).ok());
    Now { time, open, deadline, dice: fastrand::f64() }
}

impl Caller {
    /// Waits, and listens meanwhile.
    pub(super) async fn rest(&mut self, until: Instant) -> Result<(), Stopped> {
        loop {
            let command = tokio::select! {
                biased;
                command = self.next() => command,
                () = tokio::time::sleep_until(until) => return Ok(()),
            };
            match command {
                Command::Stop(reason) => {
                    self.stops += 1;
                    return Err(Stopped(reason));
                }
                Command::Pause(done) => {
                    // Nothing runs; who has asked may have gone.
                    let _ = done.send(());
                }
                Command::Steer(_) | Command::Resume => {}
            }
        }
    }

    /// Waits for a time of day, which a machine that was asleep may have passed.
    async fn rest_until(&mut self, until: Timestamp) -> Result<(), Stopped> {
        loop {
            let left = Duration::try_from(until.duration_since(Timestamp::now()));
            let Some(left) = left.ok().filter(|left| !left.is_zero()) else { return Ok(()) };
            self.rest(Instant::now() + left.min(limits::WALL_CLOCK)).await?;
        }
    }
}
