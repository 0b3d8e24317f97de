//! One attempt: one agent process, from its start to the end of its turn and of itself.

use super::drain::Drain;
use super::private_files::{FileArgs, PrivateFiles};
use super::turn_limit::TurnLimit;
use super::{Caller, Command, Runner, sleep_until};
use crate::supervise::ladder::Rung;
use crate::supervise::{Output, Process};
use crate::{limits, program};
use belay_agents::{
    Action, AttemptEnd, Capability, Exit, Input, Line, LineSplitter, Out, Permissions, Protocol,
    StopPlan, Support, TimerId, Transport,
};
use belay_trace::{
    AttemptEnded, AttemptStarted, Decision, DecisionSource, Denial, Event, Failure, FailureKind,
    Interrupted, Level, OversizedLine, PermissionDecision, PermissionRequest, StopReason,
};
use rustix::process::Signal;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::PoisonError;
use tokio::time::Instant;

impl Runner {
    pub(super) async fn attempt(
        &mut self,
        transport: Transport,
        caller: &mut Caller,
    ) -> AttemptEnd {
        self.publisher.attempt(self.attempts, self.client.agent.name());
        match self.start(transport) {
            Ok((attempt, output)) => attempt.run(output, caller).await,
            Err(failure) => {
                let ended =
                    AttemptEnded { failure: Some(failure.clone()), ..AttemptEnded::default() };
                self.publisher.event(Event::AttemptEnded(ended));
                AttemptEnd::failed(failure)
            }
        }
    }

    fn start(
        &mut self,
        transport: Transport,
    ) -> Result<(Attempt<'_>, tokio::sync::mpsc::Receiver<Output>), Failure> {
        let launch = self.client.launch(&self.request, transport)?;
        for option in &launch.ignored {
            let words =
                format!("{} cannot honour {option}; it is left out", self.client.agent.name());
            self.publisher.event(Event::notice(Level::Warn, "option_ignored", words));
        }
        let program = program::resolve(&launch, self.client.program.as_deref(), &self.client.env)?;
        let temp = self.client.env.get("TMPDIR").map_or_else(|| "/tmp".into(), PathBuf::from);
        let files =
            PrivateFiles::write(&launch, self.publisher.journal.folder(), &temp, &self.run_id)
                .map_err(local_io("cannot write the files of the run"))?;
        let args = files.into_args(&launch, &self.client.leading_args);
        let env = self.client.env.for_agent(&launch.env);
        // Before the agent costs anything.
        self.publisher.open_input_log().map_err(local_io("cannot write the journal"))?;
        let started = Process::start(&program, &args.args, env, self.request.cwd.as_deref());
        let (process, output) = started.map_err(|error| {
            let (kind, why) = why_not_started(&error);
            let message = format!("cannot start {}: {error}{why}", program.display());
            Failure::new(kind, message)
        })?;

        let words = args.args.iter().map(|arg| arg.to_string_lossy().into_owned());
        let command =
            std::iter::once(program.to_string_lossy().into_owned()).chain(words).collect();
        self.publisher.event(Event::AttemptStarted(AttemptStarted {
            transport: transport.name().to_owned(),
            command,
            model: self.request.model.clone(),
            pid: process.id(),
        }));
        let limited = self.client.agent.capabilities(transport).support(Capability::MaxTurns);
        let turn_limit = self.request.max_turns.filter(|_| limited == Support::Belay);
        let attempt = Attempt {
            protocol: self.client.agent.protocol(&self.request, transport),
            plan: launch.stop,
            process,
            out: Out::default(),
            end: None,
            rung: None,
            linger: None,
            timers: Vec::new(),
            turn_limit: turn_limit.map(TurnLimit::new),
            over_limit: false,
            denials: Vec::new(),
            forced: false,
            began: Instant::now(),
            _files: args,
            runner: self,
        };
        Ok((attempt, output))
    }
}

/// What can happen while an agent runs.
enum Happening {
    Asked(Command),
    Exited(Exit),
    Due,
    Printed(Output),
}

/// The state of one attempt.
struct Attempt<'a> {
    runner: &'a mut Runner,
    protocol: Box<dyn Protocol>,
    plan: StopPlan,
    process: Process,
    out: Out,
    /// How the turn ended, once it has.
    end: Option<AttemptEnd>,
    /// The rung of the stop ladder, and when to climb.
    rung: Option<(Rung, Option<Instant>)>,
    /// When a process that lives on after its turn is a hang.
    linger: Option<Instant>,
    timers: Vec<(Instant, TimerId)>,
    turn_limit: Option<TurnLimit>,
    over_limit: bool,
    denials: Vec<Denial>,
    forced: bool,
    began: Instant,
    _files: FileArgs,
}

impl Attempt<'_> {
    async fn run(
        mut self,
        mut output: tokio::sync::mpsc::Receiver<Output>,
        caller: &mut Caller,
    ) -> AttemptEnd {
        let mut stdout = LineSplitter::new(limits::LINE_BYTES_MAX);
        let mut stderr = LineSplitter::new(limits::LINE_BYTES_MAX);
        let mut pipes_open = 2;
        let mut exited: Option<(Exit, Drain)> = None;

        self.input(Input::Start);
        if caller.stops > 0 {
            self.stop(caller);
        }
        self.runner.publisher.flush().await;

        // Everything that can happen, one thing at a time.
        while exited.is_none_or(|(_, drain)| pipes_open > 0 && !drain.is_over()) {
            let waiting = Instant::now();
            let deadline = self.deadline(exited.map(|(_, drain)| drain.deadline()));
            let happening = tokio::select! {
                // Wishes first, and the end of the process before the limits that it makes void.
                biased;
                command = caller.next() => Happening::Asked(command),
                exit = self.process.wait(), if exited.is_none() => Happening::Exited(exit),
                () = sleep_until(deadline) => Happening::Due,
                Some(printed) = output.recv(), if pipes_open > 0 => Happening::Printed(printed),
            };
            if let Some((_, drain)) = &mut exited {
                drain.waited(waiting.elapsed(), matches!(happening, Happening::Printed(_)));
                // What is gone does not linger, also if its result is read only now.
                self.linger = None;
            }
            match happening {
                Happening::Asked(Command::Stop(reason)) => {
                    caller.stop(reason);
                    self.stop(caller);
                }
                Happening::Asked(Command::Steer(text)) => self.input(Input::Steer(&text)),
                Happening::Exited(exit) => {
                    exited = Some((exit, Drain::begin(output.len())));
                    // Nothing is left to hurry.
                    self.rung = self.rung.map(|(rung, _)| (rung, None));
                }
                Happening::Due => self.on_time(),
                Happening::Printed(Output::Stdout(bytes)) => {
                    stdout.push(&bytes, |line| self.line(line, Input::Stdout(line.bytes)));
                }
                Happening::Printed(Output::Stderr(bytes)) => {
                    stderr.push(&bytes, |line| self.line(line, Input::Stderr(line.bytes)));
                }
                Happening::Printed(Output::End) => pipes_open -= 1,
            }
            if self.over_limit && caller.stops == 0 {
                caller.stop(StopReason::TurnLimit);
                self.stop(caller);
            }
            self.runner.publisher.flush().await;
        }

        stdout.finish(|line| self.line(line, Input::Stdout(line.bytes)));
        stderr.finish(|line| self.line(line, Input::Stderr(line.bytes)));
        let exit = exited.map_or(Exit::Code(-1), |(exit, _)| exit);
        self.input(Input::Exit(exit));
        if self.rung.is_some() {
            // What the agent left in its group would go on with work that was stopped.
            self.process.kill();
        }
        self.finish(exit, caller)
    }

    /// A line from one of the pipes: an input of the driver, if it is whole.
    fn line(&mut self, line: Line<'_>, input: Input<'_>) {
        if line.cut > 0 {
            let bytes = line.bytes.len() as u64 + line.cut;
            let publisher = &mut self.runner.publisher;
            let raw = publisher.journal.oversized(line.bytes);
            publisher.event_from(raw, None, Event::OversizedLine(OversizedLine { bytes }));
        } else {
            self.input(input);
        }
    }

    /// Feeds the driver, journal first, and does what it wants done.
    fn input(&mut self, input: Input<'_>) {
        let raw = self.runner.publisher.journal.input(input);
        self.protocol.step(input, &mut self.out);
        let mut asked = Vec::new();
        for action in std::mem::take(&mut self.out.actions) {
            match action {
                Action::Emit(emitted) => {
                    if let Some(limit) = &mut self.turn_limit
                        && emitted.parent_tool_id.is_none()
                    {
                        self.over_limit |= limit.is_reached_with(&emitted.event);
                    }
                    if let Event::PermissionRequest(request) = &emitted.event {
                        asked.push(request.clone());
                    }
                    self.runner.publisher.event_from(raw, emitted.parent_tool_id, emitted.event);
                }
                Action::Stdin(bytes) => self.process.write(bytes),
                Action::CloseStdin => self.process.close_stdin(),
                Action::Timer(id, after) => self.timers.push((Instant::now() + after, id)),
                Action::TurnEnded(end) => self.turn_ended(*end),
                Action::Cannot(what) => self.cannot(what),
                _ => {}
            }
        }
        for request in asked {
            self.answer(&request);
        }
    }

    fn turn_ended(&mut self, end: AttemptEnd) {
        // An attempt is one turn; what the agent does after it is nobody's wish.
        if self.end.is_none() {
            self.end = Some(end);
            self.linger = Some(Instant::now() + limits::LINGER);
        }
    }

    fn cannot(&mut self, what: &str) {
        match what {
            // The first rung is no rung for this agent, or not any more.
            "interrupt" if matches!(self.rung, Some((Rung::Native, _))) => self.climb(),
            "interrupt" => {}
            _ => {
                let agent = self.runner.client.agent.name();
                let words = format!("{agent} cannot do this while it runs");
                self.runner.publisher.event(Event::notice(Level::Warn, what, words));
            }
        }
    }

    /// Answers a permission request at once: a run has nobody who could be kept waiting.
    fn answer(&mut self, request: &PermissionRequest) {
        let by_policy = match self.runner.request.permissions {
            Some(Permissions::Full) => Decision::Allow,
            _ => Decision::Deny,
        };
        let by_caller = self.runner.client.on_permission.as_ref().map(|handler| {
            let mut handler = handler.lock().unwrap_or_else(PoisonError::into_inner);
            // A handler that panics has not allowed anything.
            catch_unwind(AssertUnwindSafe(|| handler(request))).unwrap_or(Decision::Deny)
        });
        let (decision, by) = match by_caller {
            Some(decision) => (decision, DecisionSource::Caller),
            None => (by_policy, DecisionSource::Policy),
        };
        if decision == Decision::Deny {
            let (tool_id, name) = (request.tool_id.clone(), request.name.clone());
            self.denials.push(Denial { tool_id, name });
        }
        let permission_id = request.permission_id.clone();
        let event = PermissionDecision { permission_id, decision, by };
        self.runner.publisher.event(Event::PermissionDecision(event));
        self.input(Input::Permission { id: &request.permission_id, answer: decision });
    }

    /// Begins to stop the agent, or insists.
    fn stop(&mut self, caller: &Caller) {
        if caller.stops == 1 {
            let reason = caller.reason.unwrap_or(StopReason::User);
            self.runner.publisher.event(Event::Interrupted(Interrupted { reason }));
        }
        let first = Rung::first(self.plan, caller.stops);
        let rung = self.rung.map_or(first, |(rung, _)| rung.max(first));
        let begins = self.rung.is_none();
        self.take(rung);
        // The driver hears of it in any case: how the turn ended is its to say.
        if begins {
            self.input(Input::Interrupt);
        }
    }

    fn climb(&mut self) {
        if let Some((rung, _)) = self.rung {
            self.take(rung.next(self.plan));
        }
    }

    fn take(&mut self, rung: Rung) {
        self.rung = Some((rung, rung.patience().map(|patience| Instant::now() + patience)));
        match rung {
            Rung::Native => {}
            Rung::Sigint => self.process.signal(Signal::INT),
            Rung::Sigterm => self.process.signal(Signal::TERM),
            Rung::Kill => {
                self.forced = true;
                self.process.kill();
            }
        }
    }

    /// The next moment at which something is due.
    fn deadline(&self, drained: Option<Instant>) -> Option<Instant> {
        let climb = self.rung.and_then(|(_, at)| at);
        let timers = self.timers.iter().map(|(at, _)| *at);
        timers.chain(climb).chain(self.linger).chain(drained).min()
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if self.rung.is_some_and(|(_, at)| at.is_some_and(|at| at <= now)) {
            self.climb();
        }
        if self.linger.is_some_and(|at| at <= now) {
            self.linger = None;
            let words = "the agent lives on after its turn; ending it";
            self.runner.publisher.event(Event::notice(Level::Warn, "lingers", words));
            if self.rung.is_none() {
                self.forced = true;
                self.take(Rung::first(self.plan, 2));
            }
        }
        let (due, later) = self.timers.iter().partition(|(at, _)| *at <= now);
        self.timers = later;
        let due: Vec<(Instant, TimerId)> = due;
        for (_, id) in due {
            self.input(Input::Timer(id));
        }
    }

    fn finish(mut self, exit: Exit, caller: &Caller) -> AttemptEnd {
        let mut end = self.end.take().unwrap_or_else(|| {
            let message = "the agent ended without saying how its turn ended";
            AttemptEnd::failed(Failure::new(FailureKind::Protocol, message))
        });
        // The agent knows only that it was stopped; why is ours to say.
        if let Some(failure) = &mut end.failure
            && failure.kind == FailureKind::Interrupted
        {
            match caller.reason {
                Some(StopReason::TurnLimit) => {
                    let turns = self.runner.request.max_turns.unwrap_or(0);
                    failure.kind = FailureKind::LimitReached;
                    failure.message = format!("stopped after {turns} turns (max_turns)");
                }
                Some(StopReason::Deadline) => {
                    let limit = self.runner.request.timeout.unwrap_or_default();
                    failure.kind = FailureKind::Deadline;
                    failure.message = format!("stopped after {limit:?} (timeout)");
                }
                _ => {}
            }
        }
        for denial in self.denials {
            if !end.denials.contains(&denial) {
                end.denials.push(denial);
            }
        }
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        end.usage.duration_ms.get_or_insert(elapsed);
        let (exit_code, signal) = match exit {
            Exit::Code(code) => (Some(code), None),
            Exit::Signal(signal) => (None, Some(signal)),
        };
        self.runner.publisher.event(Event::AttemptEnded(AttemptEnded {
            usage: end.usage.clone(),
            failure: end.failure.clone(),
            session_id: end.session_id.clone(),
            exit_code,
            signal,
            forced: self.forced,
        }));
        end
    }
}

/// What it means that a program which was found does not start, and in words.
fn why_not_started(error: &io::Error) -> (FailureKind, &'static str) {
    match error.kind() {
        // The program is there, so it is its interpreter that is not.
        io::ErrorKind::NotFound => {
            (FailureKind::NotExecutable, "; the interpreter in its first line is missing")
        }
        io::ErrorKind::PermissionDenied => (FailureKind::NotExecutable, ""),
        // A NUL, or more arguments than the system takes.
        io::ErrorKind::InvalidInput | io::ErrorKind::ArgumentListTooLong => {
            (FailureKind::InvalidRequest, "")
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            (FailureKind::NotExecutable, "; it is no program for this machine")
        }
        _ => (FailureKind::LocalIo, ""),
    }
}

fn local_io(what: &str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::new(FailureKind::LocalIo, format!("{what}: {error}"))
}
