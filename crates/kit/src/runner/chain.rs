//! From one candidate to the next: what `failover` has decided is done here.

mod rest;
mod tell;

pub(super) use self::rest::Stopped;
use self::rest::stopped;
use super::breakers::{Shut, Watch};
use super::idle::awaits_response;
use super::{Caller, Runner};
use crate::aside;
use crate::failover::{Ended, Link, Next, Now, Open, State};
use crate::handover;
use crate::mode_bound::ModeBound;
use belay_agents::{
    Agent, AttemptEnd, Capability, RunRequest, Session, Support, TellsTools, Transport,
};
use belay_trace::{
    AttemptSummary, Context, Effects, Event, Failure, FailureKind, Interrupted, Level, Retry,
    Start, Usage, Waiting,
};
use jiff::Timestamp;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long the configuration of agents may take to be read; their files may be on a disk that hangs.
const CONFIG_TIME_MAX: Duration = Duration::from_secs(5);

/// No request to a model that fails takes so long when it is made once (Gemini and Qwen say nothing of their retries).
const SILENT_RETRIES: Duration = Duration::from_secs(20);

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
    /// What the first candidate may do, which binds the others.
    bound: ModeBound,
    /// The attempts so far.
    pub(super) summaries: Vec<AttemptSummary>,
    /// What was seen of the work, for whoever takes over.
    work: handover::Work,
    /// What the working directory was like before, and what has become of it as far as somebody has looked.
    base: handover::Base,
    changes: Option<handover::Changes>,
    /// The context window of the current attempt's model, if its agent tells it.
    window: Option<u64>,
    /// What the agent has tried again by itself since it got on last, and when that was.
    own_retries: u32,
    got_on: Instant,
    /// It waits for a response of its model.
    awaits_response: bool,
    /// When a limit ends that stopped the run.
    pub(super) retry_at: Option<Timestamp>,
}

impl Chain {
    pub(super) fn new(client: &crate::Client, request: &RunRequest, run_id: &str) -> Self {
        let agents: Vec<_> = client.chain().cloned().collect();
        let links = agents.iter().enumerate().map(|(n, agent)| {
            let model = own_model(request, n).or(agent.model()).map(str::to_owned);
            let transport = agent.transports().first();
            let can_resume = agent.resume_caution().is_none()
                && transport.is_some_and(|transport| {
                    agent.capabilities(*transport).support(Capability::Resume) != Support::No
                });
            let identity = agent.identity(model.as_deref()).into_owned();
            Link { agent: identity, model, window: None, can_resume }
        });
        let state = State::new(client.policy.clone(), links.collect());
        Self {
            client: client.clone(),
            agents,
            state,
            watch: Watch::new(client, request, run_id),
            shut: Vec::new(),
            original: request.clone(),
            bound: ModeBound::default(),
            summaries: Vec::new(),
            work: handover::Work::default(),
            base: handover::Base::default(),
            changes: None,
            window: None,
            own_retries: 0,
            got_on: Instant::now(),
            awaits_response: false,
            retry_at: None,
        }
    }

    /// The request as it is when everything that it names was read.
    pub(super) fn request(&mut self, request: &RunRequest) {
        self.original = request.clone();
    }

    /// What the user has asked for is known now.
    pub(super) fn whole_prompt(&mut self, prompt: &str) {
        prompt.clone_into(&mut self.original.prompt);
    }

    /// Finds out what the candidates may do, and binds them to what the first one may.
    pub(super) async fn bind(&mut self, request: &RunRequest) -> Result<(), Failure> {
        if !ModeBound::is_needed(&self.client, request) {
            return Ok(());
        }
        let (client, request) = (self.client.clone(), request.clone());
        let looking = aside::begin(move || ModeBound::of(&client, &request));
        self.bound = match timeout(CONFIG_TIME_MAX, looking).await {
            Ok(Some(bound)) => bound?,
            Ok(None) | Err(_) => {
                let words = "what the agents of the chain may do could not be read from their configuration; \
                             say it with --permit";
                return Err(Failure::new(FailureKind::LocalIo, words));
            }
        };
        Ok(())
    }

    /// True if the candidate's agent is the one whose turn it is.
    fn is_same_agent(&self, n: usize) -> bool {
        self.identity(n) == self.identity(self.state.current())
    }

    /// What describes the candidate's agent, if it is a part of its identity.
    fn described(&self, n: usize) -> Option<&str> {
        let (agent, identity) = (&self.agents[n], self.identity(n));
        let is_its = |model: &&str| identity.ends_with(model.trim_start_matches("./"));
        agent.model().filter(|_| identity != agent.name()).filter(is_its)
    }

    fn identity(&self, n: usize) -> Cow<'_, str> {
        let agent = &self.agents[n];
        agent.identity(own_model(&self.original, n).or(agent.model()))
    }

    /// True if an agent has been at work in this run.
    pub(super) fn has_worked(&self, agent: &str) -> bool {
        let started = |had: &AttemptSummary| {
            !matches!(had.kind, Some(FailureKind::NotInstalled | FailureKind::NotExecutable))
        };
        self.summaries.iter().any(|had| had.agent == agent && started(had))
    }

    /// True if another candidate could go on.
    pub(super) fn has_others(&self) -> bool {
        self.agents.len() > 1
    }

    /// The candidates' names, in order.
    pub(super) fn names(&self) -> Vec<String> {
        (0..self.agents.len()).map(|n| self.name(n)).collect()
    }

    pub(super) fn name(&self, n: usize) -> String {
        let agent = &self.agents[n];
        match self.described(n).or(own_model(&self.original, n)).or(agent.model()) {
            Some(model) => format!("{}:{model}", agent.name()),
            None => agent.name().to_owned(),
        }
    }

    /// The model that is asked for.
    pub(super) fn model(&self, request: &RunRequest) -> Option<String> {
        let own = self.agents[self.state.current()].model();
        // What describes an agent goes before a model beside it: a run that is resumed needs it.
        let described = self.described(self.state.current());
        described.or(request.model.as_deref()).or(own).map(str::to_owned)
    }

    /// An event of the current attempt.
    pub(super) fn see(&mut self, event: &Event) {
        if let Event::Context(Context { window_tokens: Some(window), .. }) = event {
            self.window = Some(*window);
        }
        match event {
            Event::Retry(retry) if retry.failure.is_none() => self.own_retries += 1,
            Event::Text(_)
            | Event::Reasoning(_)
            | Event::ToolCall(_)
            | Event::ToolResult(_)
            | Event::Usage(_) => (self.own_retries, self.got_on) = (0, Instant::now()),
            _ => {}
        }
        self.awaits_response = awaits_response(event).unwrap_or(self.awaits_response);
        self.work.see(event);
    }

    /// True if the agent has tried again by itself what has failed. Some do so in silence.
    fn agent_has_retried(&self) -> bool {
        self.own_retries > 0 || self.got_on.elapsed() > SILENT_RETRIES
    }

    /// True if an agent that says nothing of its retries has waited for a response until it was stopped.
    fn was_silent(&self, failure: &Failure) -> bool {
        let agent = &self.agents[self.state.current()];
        let tells = agent.transports().iter().any(|transport| agent.tells_retries(*transport));
        failure.kind == FailureKind::Stalled && self.awaits_response && !tells
    }

    /// Waits until it is known what the folder was like.
    pub(super) async fn look(&mut self) {
        self.base.ready().await;
    }

    /// The agent works, and says later what it has done.
    pub(super) fn may_do_unseen(&mut self) {
        self.work.may_do_unseen();
    }

    /// The attempt is over. One that has said nothing may have worked all the same, unless it could not begin.
    pub(super) fn ended(&mut self, tells: TellsTools, failure: Option<&Failure>) {
        let has_begun = failure.is_some_and(|failure| !is_refusal(failure.kind));
        if tells == TellsTools::Perhaps && has_begun {
            self.work.may_do_unseen();
        }
    }

    /// What the current attempt may have changed so far.
    pub(super) fn effects(&self) -> Effects {
        self.work.effects()
    }

    /// Whether what the candidate may have done is seen by looking at the folder alone.
    fn works_unseen(&self, n: usize) -> bool {
        let agent = &self.agents[n];
        let tells = |transport: &Transport| agent.tells_tools(*transport);
        agent.transports().iter().any(|transport| tells(transport) == TellsTools::Perhaps)
    }

    /// True if it has to be known what the folder was like: another candidate may go on with changed work, or the same
    /// one after changes that it has not told of.
    fn needs_base(&self) -> bool {
        self.has_others() || self.works_unseen(0)
    }

    /// Looks whether an attempt that may have changed something has.
    async fn look_again(&mut self) {
        let is_open =
            self.works_unseen(self.state.current()) || self.work.effects() == Effects::Possible;
        if self.needs_base() && is_open {
            let changes = self.base.changes().await;
            let before = self.changes.replace(changes.clone());
            if changes.is_certain() && before.is_none_or(|before| before != changes) {
                self.work.has_changed_something();
            }
        }
        if let Some(last) = self.summaries.last_mut() {
            last.effects = self.work.effects();
        }
    }

    /// Time has passed in which anybody may have worked in the folder.
    async fn look_after_a_wait(&mut self) {
        if self.changes.is_some() {
            self.changes = Some(self.base.changes().await);
        }
    }

    /// Finds out how large the windows of the candidates are: when one was too small.
    async fn measure(&mut self, failed_model: Option<&str>) {
        let current = self.state.current();
        let models: Vec<Option<String>> = (0..self.agents.len())
            .map(|n| {
                let own = own_model(&self.original, n).or(self.agents[n].model());
                let own = if n == current { failed_model.or(own) } else { own };
                own.map(str::to_owned)
            })
            .collect();
        let prices = self.client.prices.clone();
        let listed = aside::begin(move || {
            let window = |model: String| Some(prices.context_window(&model)?.0);
            models.into_iter().map(|model| model.and_then(window)).collect()
        });
        let mut windows: Vec<Option<u64>> = listed.await.unwrap_or_default();
        if let Some(window) = windows.get_mut(current) {
            *window = self.window.or(*window);
        }
        self.state.windows(&windows);
    }
}

/// The model of the request is the first candidate's; the others have their own.
pub(super) fn own_model(request: &RunRequest, n: usize) -> Option<&str> {
    request.model.as_deref().filter(|_| n == 0)
}

/// What an attempt that has failed had done.
#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    /// Its model had answered something.
    has_worked: bool,
    /// The agent had tried again by itself, in silence.
    has_retried: bool,
}

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
        if self.chain.needs_base() {
            self.chain.base = handover::Base::begin(self.request.cwd.as_deref(), &self.client.env);
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
                    // The session is that of whoever had the last attempt.
                    let theirs = self.chain.is_same_agent(self.from());
                    let session = last.session_id.as_deref().filter(|_| theirs);
                    let tried = Tried::default();
                    next = self.after(&failure, session, tried, caller).await;
                    continue;
                }
                Err(Stopped(reason)) => {
                    let message = None;
                    self.publisher.event(Event::Interrupted(Interrupted { reason, message }));
                    return stopped(last, reason);
                }
            }
            let is_same_agent = self.chain.is_same_agent(self.from());
            let end = self.transports(caller).await;
            self.slot = None;
            self.chain.watch.note(self.chain.state.current(), end.failure.as_ref()).await;
            let Some(failure) = &end.failure else { return end };
            if caller.is_over {
                return end;
            }
            // Whatever has stopped the attempt has not stopped the run.
            caller.stops = 0;
            let looked = caller.meanwhile(self.chain.look_again()).await;
            if failure.kind == FailureKind::ContextOverflow && self.chain.has_others() {
                self.chain.measure(end.model.as_deref()).await;
            }
            let session = end.session_id.as_deref().filter(|_| has_spoken(&end.usage));
            next = match looked {
                Ok(()) => {
                    let has_worked = end.usage.output_tokens.is_some_and(|tokens| tokens > 0);
                    let tried = Tried { has_worked, has_retried: end.has_retried };
                    self.after(failure, session, tried, caller).await
                }
                Err(stopped) => Err(stopped),
            };
            if !is_same_agent {
                last.session_id = None;
            }
            last = merge(last, end);
        }
    }

    /// What comes after a failure.
    async fn after(
        &mut self,
        failure: &Failure,
        session: Option<&str>,
        tried: Tried,
        caller: &mut Caller,
    ) -> Result<Next, Stopped> {
        let effects = self.chain.effects();
        let login_has_changed = failure.kind == FailureKind::Auth
            && self.chain.watch.login_has_changed(self.chain.state.current());
        let resets_at = failure.resets_at;
        let agent_has_retried = tried.has_retried || self.chain.agent_has_retried();
        let was_silent = self.chain.was_silent(failure);
        let ended = Ended {
            failure,
            resets_at,
            session,
            effects,
            has_worked: tried.has_worked,
            login_has_changed,
            agent_has_retried,
            was_silent,
        };
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
                caller.meanwhile(self.chain.look_after_a_wait()).await?;
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
                self.tell_why(why, last.failure.as_ref());
                return Ok(Went::End);
            }
        };
        self.prepare(start, last, caller).await?;
        self.queue_up(caller).await?;
        Ok(Went::On)
    }

    /// The request of the attempt that comes.
    async fn prepare(
        &mut self,
        start: Start,
        last: &AttemptEnd,
        caller: &mut Caller,
    ) -> Result<(), Stopped> {
        let to = self.chain.state.current();
        let from = self.chain.summaries.last().map(|_| self.from());
        let mut request = self.chain.original.clone();
        request.model = own_model(&self.chain.original, to).map(str::to_owned);
        self.client = self.chain.client.turn(to);
        request = self.client.own(&request);
        if let Some(mode) = self.chain.bound.mode(to) {
            request.permissions = Some(mode);
            let words = self.chain.bound.words(self.client.agent_name(), mode);
            self.publisher.event(Event::notice(Level::Info, "permit_bound", words));
        }
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
                let changes = match self.chain.changes.clone() {
                    Some(changes) => changes,
                    None => caller.meanwhile(self.chain.base.changes()).await?,
                };
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
        if let (Some(caution), Session::Resume(_)) =
            (self.chain.agents[to].resume_caution(), &request.session)
        {
            self.publisher.event(Event::notice(Level::Warn, "resume", caution));
        }
        self.start = start;
        self.request = request;
        self.chain.work.begin(self.chain.agents[to].name());
        self.chain.window = None;
        (self.chain.own_retries, self.chain.got_on) = (0, Instant::now());
        self.chain.awaits_response = false;
        // The journal has the request of the run; one that differs has to be there for a replay.
        if self.request != self.chain.original {
            self.publisher.journal.attempt_request(self.attempts + 1, &self.request);
        }
        Ok(())
    }
}

/// True for a failure with which an agent has not even begun, unless it has said something.
fn is_refusal(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::RateLimited
            | FailureKind::UsageLimit
            | FailureKind::Overloaded
            | FailureKind::ServerError
            | FailureKind::Network
            | FailureKind::Auth
            | FailureKind::Billing
            | FailureKind::ModelUnavailable
            | FailureKind::InvalidRequest
            | FailureKind::NotInstalled
            | FailureKind::NotExecutable
            | FailureKind::VersionUnsupported
            | FailureKind::SessionInUse
            | FailureKind::LocalIo
    )
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

pub(super) fn now<'a>(caller: &Caller, open: &'a [Option<Open>]) -> Now<'a> {
    let time = Timestamp::now();
    let left = caller.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let deadline = left.and_then(|left| time.checked_add(left).ok());
    Now { time, open, deadline, dice: fastrand::f64() }
}
