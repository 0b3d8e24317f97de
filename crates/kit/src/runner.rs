//! The one loop that owns a run's state; everybody else sends it messages.
//!
//! The way of an event: a pipe → a line → the journal → the driver's `step` → a record → the journal → the feeds
//! of the stream and of the caller's handler, and the observers. A run is one or more attempts and ends with exactly one
//! result, made here and nowhere else.

mod account;
mod account_watch;
mod attempt;
mod bill;
mod breakers;
mod chain;
mod completion;
mod drain;
mod handler;
mod held_back;
mod idle;
pub(crate) mod incoming;
mod ladder;
mod latest;
mod left;
mod novelty;
mod publish;
mod session;
mod slots;
mod terminals;
mod turn_limit;

use self::chain::Chain;
use self::completion::Completion;
pub(crate) use self::held_back::HeldBack;
use self::publish::Publisher;
use self::session::Awaited;
use self::slots::Slot;
use crate::client::check_request;
use crate::control::Control;
use crate::feed::Feed;
use crate::journal::Journal;
use crate::late_prompt::LatePrompt;
use crate::redact::Redactor;
use crate::schema::Schema;
use crate::session_lock::SessionLocks;
use crate::{Client, Error, Outcome, RunRequest, Session, images, limits};
use belay_agents::{AttemptEnd, Transport};
use belay_trace::stored_path;
use belay_trace::{
    Event, Failure, FailureKind, Level, Phase, RunResult, RunStarted, Start, StopReason, Usage,
};
use belaykit_supervise as supervise;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// What a caller tells a run.
#[derive(Debug)]
pub(crate) enum Command {
    /// Stop the agent; each repetition is less patient.
    Stop(StopReason),
    /// Say something to the running turn.
    Steer(String),
    /// Freeze the agent, and say when that is done.
    Pause(oneshot::Sender<()>),
    /// Let it go on.
    Resume,
}

/// What a run hears from its caller.
#[derive(Debug)]
struct Caller {
    commands: mpsc::UnboundedReceiver<Command>,
    /// What other processes say, if there is a journal to find the run by.
    control: Option<Control>,
    /// Ends when the caller has dropped the run.
    gone: oneshot::Receiver<()>,
    is_gone: bool,
    is_silent: bool,
    /// When the run's time is up, and that it stands still.
    deadline: Option<Instant>,
    is_paused: bool,
    /// Wishes that came before there was an agent.
    early: VecDeque<Command>,
    /// How often the attempt was asked to stop.
    stops: u32,
    /// The run itself was asked to stop: nothing more is begun.
    is_over: bool,
}

impl Caller {
    /// The next wish: the caller's, or that of his time limit. Never resolves when there can be none.
    async fn next(&mut self) -> Command {
        let command = self.wish().await;
        self.is_over |= matches!(command, Command::Stop(_));
        command
    }

    async fn wish(&mut self) -> Command {
        if let Some(command) = self.early.pop_front() {
            return command;
        }
        loop {
            tokio::select! {
                command = self.commands.recv(), if !self.is_silent => match command {
                    Some(command) => return command,
                    None => self.is_silent = true,
                },
                command = heard(&mut self.control) => return command,
                _ = &mut self.gone, if !self.is_gone => {
                    self.is_gone = true;
                    return Command::Stop(StopReason::Dropped);
                }
                () = sleep_until(self.deadline), if !self.is_paused => {
                    self.deadline = None;
                    return Command::Stop(StopReason::Deadline);
                }
            }
        }
    }

    /// The messages that no attempt has heard.
    fn unheard(&mut self) -> Vec<String> {
        while let Ok(command) = self.commands.try_recv() {
            self.early.push_back(command);
        }
        while let Some(command) = self.control.as_mut().and_then(Control::try_next) {
            self.early.push_back(command);
        }
        let steers = self.early.drain(..).filter_map(|command| match command {
            Command::Steer(text) => Some(text),
            _ => None,
        });
        steers.collect()
    }

    /// How long the run may still take, if that is limited.
    fn time_left(&self) -> Option<Duration> {
        Some(self.deadline?.saturating_duration_since(Instant::now()))
    }

    /// Why the caller has said that there is nothing to begin, if he has.
    fn stopped_early(&mut self) -> Option<StopReason> {
        while let Ok(command) = self.commands.try_recv() {
            self.early.push_back(command);
        }
        let reason = self.early.iter().find_map(|command| match command {
            Command::Stop(reason) => Some(*reason),
            _ => None,
        });
        self.stops += u32::from(reason.is_some());
        self.is_over |= reason.is_some();
        reason
    }
}

/// What another process says; never resolves without a way to say it.
async fn heard(control: &mut Option<Control>) -> Command {
    match control {
        Some(control) => control.next().await,
        None => std::future::pending().await,
    }
}

/// Resolves at the given time, or never.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// One run.
pub(crate) struct Runner {
    client: Client,
    request: RunRequest,
    /// The whole prompt, while it is not there.
    late_prompt: Option<LatePrompt>,
    run_id: String,
    publisher: Publisher,
    chain: Chain,
    attempts: u32,
    /// How the current attempt has begun, and who had the last one.
    start: Start,
    last_candidate: usize,
    /// The place that the current attempt has among those of its agent.
    slot: Option<Slot>,
    /// What the run holds of sessions and folders, and what it has to wait for first.
    locks: Option<SessionLocks>,
    awaited: Option<Awaited>,
    /// A session that the agent has begun, and that is not noted yet.
    begun: Option<String>,
    /// What is to be said of a session without a lock.
    unlocked: Option<String>,
    /// The variables that the agent at work does not see.
    held_back: HeldBack,
    /// The shape that the answer has to have.
    schema: Option<Arc<Schema>>,
    /// Totals over all attempts.
    usage: Usage,
    /// What is known of the run's completion from its beginning.
    completion: Completion,
}

impl Runner {
    pub(crate) fn new(
        client: Client,
        request: RunRequest,
        run_id: String,
        stream: Feed,
        late_prompt: Option<LatePrompt>,
    ) -> Self {
        let redactor = Redactor::new(&client.redaction, &client.env, Some(&request));
        let publisher = Publisher::new(&client, run_id.clone(), stream, redactor);
        let chain = Chain::new(&client, &request, &run_id);
        let completion = Completion::begin(&client, &request, &run_id, &publisher.redactor);
        Self {
            client,
            request,
            late_prompt,
            run_id,
            publisher,
            chain,
            attempts: 0,
            start: Start::Fresh,
            last_candidate: 0,
            slot: None,
            locks: None,
            awaited: None,
            begun: None,
            unlocked: None,
            held_back: HeldBack::default(),
            schema: None,
            usage: Usage::default(),
            completion,
        }
    }

    /// Carries the request to its outcome.
    pub(crate) async fn run(
        mut self,
        commands: mpsc::UnboundedReceiver<Command>,
        gone: oneshot::Receiver<()>,
    ) -> Result<Outcome, Error> {
        let deadline = self.request.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut caller = Caller {
            commands,
            control: None,
            gone,
            is_gone: false,
            is_silent: false,
            deadline,
            is_paused: false,
            early: VecDeque::new(),
            stops: 0,
            is_over: false,
        };
        let ready = check_request(&self.request)
            .and_then(|()| images::load(&mut self.request))
            .and_then(|()| self.read_schema());
        let ready = match ready {
            Ok(()) => self.chain.bind(&self.request).await,
            wrong => wrong,
        };
        let ready = match ready {
            Ok(()) => self.latest_session().await,
            wrong => wrong,
        };
        // Before the journal: a session that is in use costs nothing, and leaves nothing behind.
        let ready = match ready {
            Ok(()) => self.claim_session().await,
            wrong => wrong,
        };
        let ready = ready.and_then(|()| self.open_journal(&mut caller.control));
        self.chain.request(&self.request);
        self.begin().await;
        let end = match ready {
            Ok(()) => match self.enter(&mut caller).await {
                Ok(()) => self.candidates(&mut caller).await,
                Err(end) => end,
            },
            Err(failure) => AttemptEnd::failed(failure),
        };
        for text in caller.unheard() {
            self.publisher.event(Event::not_steered(text, "the run has ended"));
        }
        self.close_control(caller.control.take());
        self.end(end).await
    }

    /// A journal that cannot be written is an error before the agent costs anything. A run that others cannot speak
    /// to goes on without; who tries is told.
    fn open_journal(&mut self, control: &mut Option<Control>) -> Result<(), Failure> {
        let Some(state_dir) = &self.client.state_dir else { return Ok(()) };
        let durability = self.client.durability;
        let redactor = &self.publisher.redactor;
        let journal = Journal::create(state_dir, &self.run_id, &self.request, durability, redactor);
        let failed = |error: &_| Journal::failure(state_dir, error);
        let journal = journal.map_err(|error| failed(&error))?;
        *control = journal.folder().and_then(|folder| Control::open(folder).ok());
        journal.appear().map_err(|error| failed(&error))?;
        self.publisher.journal = journal;
        Ok(())
    }

    /// Nobody can speak to the run any more.
    fn close_control(&mut self, control: Option<Control>) {
        let ignored = control.map_or(0, |control| control.ignored());
        if ignored > 0 {
            let words =
                format!("{ignored} lines in the run's control pipe said nothing that it knows");
            self.publisher.event(Event::notice(Level::Warn, "control", words));
        }
    }

    /// Waits until the prompt is whole.
    async fn whole_prompt(&mut self, caller: &mut Caller) -> Result<(), Failure> {
        let Some(late) = self.late_prompt.take() else { return Ok(()) };
        let prompt = match caller.meanwhile(late.0).await {
            Ok(read) => read.map_err(|words| Failure::new(FailureKind::InvalidRequest, words))?,
            Err(stopped) => return Err(self.stopped_early(stopped.reason())),
        };
        self.completion.asked_for(&prompt, &self.publisher.redactor);
        self.chain.whole_prompt(&prompt);
        self.request.prompt = prompt;
        self.publisher.journal.request(&self.request);
        Ok(())
    }

    async fn begin(&mut self) {
        self.publisher.event(Event::RunStarted(RunStarted {
            belay_version: env!("CARGO_PKG_VERSION").to_owned(),
            agents: self.chain.names(),
            cwd: self.request.cwd.as_deref().map(|cwd| stored_path::to_text(cwd).into_owned()),
            trace_id: self.request.trace_id.clone(),
            traceparent: self
                .client
                .trace_context
                .as_ref()
                .and_then(|context| context.traceparent()),
            process: self.publisher.journal.process(),
            containment: Some(incoming::level(supervise::expected(
                self.client.supervisor.as_deref(),
            ))),
        }));
        if let Some(words) = self.publisher.journal.unlocked() {
            self.publisher.event(Event::notice(Level::Warn, "journal_lock", words));
        }
        if let Some(phase_name) = self.request.phase.clone() {
            self.publisher.event(Event::Phase(Phase { phase_name }));
        }
        self.publisher.flush().await;
    }

    /// Tries the agent's transports, best first; the next one only when the version lacks the one before.
    async fn transports(&mut self, caller: &mut Caller) -> AttemptEnd {
        let mut transports = self.client.transports().into_iter().peekable();
        loop {
            let transport = transports.next().expect("an agent has at least one transport");
            self.attempts += 1;
            let end = self.attempt(transport, caller).await;
            self.note_attempt(&end);
            let lacking =
                end.failure.as_ref().filter(|f| f.kind == FailureKind::VersionUnsupported);
            match (lacking, transports.peek()) {
                (Some(failure), Some(next)) if caller.stops == 0 => {
                    let words = format!(
                        "this version does not speak the {transport} transport ({}); trying {next}",
                        failure.message
                    );
                    self.publisher.event(Event::notice(Level::Warn, "transport_fallback", words));
                }
                _ => return self.fitting(transport, end, caller).await,
            }
        }
    }

    fn read_schema(&mut self) -> Result<(), Failure> {
        self.schema = Schema::of(&self.request)?.map(Arc::new);
        Ok(())
    }

    /// Looks whether the answer fits the schema, if there is one; the model may mend it once, in the same session.
    async fn fitting(
        &mut self,
        transport: Transport,
        mut end: AttemptEnd,
        caller: &mut Caller,
    ) -> AttemptEnd {
        let Some(schema) = self.schema.clone() else { return end };
        for can_mend in [true, false] {
            if end.failure.is_some() {
                return end;
            }
            let misfit = match schema.judge(&end) {
                Ok(value) => {
                    if end.answer.trim().is_empty() {
                        value.get().clone_into(&mut end.answer);
                    }
                    end.structured = Some(value);
                    return end;
                }
                Err(misfit) => misfit,
            };
            let keeps_sessions = self.client.agent.resume_caution().is_none();
            let can_mend = can_mend && keeps_sessions && caller.stops == 0;
            let session = end.session_id.clone().filter(|_| can_mend);
            let Some(session) = session else {
                end.structured = None;
                end.failure = Some(misfit.failure());
                return end;
            };
            let words = format!("the answer does not fit the output schema: {}", misfit.words());
            self.publisher.event(Event::notice(Level::Warn, "schema_repair", words));
            self.attempts += 1;
            self.request.prompt = schema.repair(&misfit);
            self.request.images.clear();
            self.request.session = Session::Resume(session);
            self.publisher.journal.attempt_request(self.attempts, &self.request);
            let before = std::mem::take(&mut end.denials);
            end = self.attempt(transport, caller).await;
            end.denials.splice(0..0, before);
            self.note_attempt(&end);
        }
        end
    }

    /// Takes out what a driver or belay itself has put together to a secret: the caller gets what the journal gets.
    fn redact(&self, end: &mut AttemptEnd) {
        let redactor = &self.publisher.redactor;
        if let Cow::Owned(answer) = redactor.text(&end.answer) {
            end.answer = answer;
        }
        if let Some(Ok(failure)) = end.failure.as_ref().and_then(|it| redactor.json(it)) {
            end.failure = Some(failure);
        }
        if let Some(Ok(value)) = end.structured.as_ref().and_then(|it| redactor.json(it)) {
            end.structured = Some(value);
        }
    }

    /// Makes the one result, and waits for those who watch.
    async fn end(mut self, mut end: AttemptEnd) -> Result<Outcome, Error> {
        self.redact(&mut end);
        self.publisher.event(Event::Result(RunResult {
            result: end.answer.clone(),
            is_error: end.failure.is_some(),
            usage: self.usage.clone(),
            failure: end.failure.clone(),
            session_id: end.session_id.clone(),
            model: end.model.clone(),
            structured: end.structured.clone(),
            denials: end.denials.clone(),
            warnings: self.publisher.warnings(),
            retry_at: self.chain.retry_at,
            attempts: self.chain.summaries.clone(),
        }));
        self.publisher.flush().await;
        // Durable before the caller is told that the run is over, whatever those who watch do.
        self.publisher.close_journal().await;
        self.leave().await;
        self.publisher.close().await;
        let agent = self.client.agent.name();
        self.publisher.complete(self.completion.end(&end, &self.usage, agent));
        let observer_errors = self.publisher.flush_observers(limits::OBSERVER_FLUSH).await;

        let outcome = Outcome {
            run_id: self.run_id,
            text: end.answer,
            usage: self.usage,
            agent: self.client.agent.name().to_owned(),
            model: end.model,
            session_id: end.session_id,
            structured: end.structured,
            denials: end.denials,
            warnings: self.publisher.warnings(),
            observer_errors,
            retry_at: self.chain.retry_at,
            attempts: self.chain.summaries,
        };
        match end.failure {
            None => Ok(outcome),
            Some(failure) => Err(Error::new(failure, outcome)),
        }
    }
}
