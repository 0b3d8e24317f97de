//! One attempt: one agent process, from its start to the end of its turn and of itself.

mod background;
mod doubt;
mod flood;
mod gates;
mod limited;
mod steering;
mod stopping;
mod terminal;

use self::background::Background;
use self::doubt::{Doubt, SessionLook};
use self::flood::Flood;
use self::gates::{Asked, Gates, Pipe};
use self::stopping::Stop;
use super::account::{self, Account, Homes};
use super::account_watch::{self, AccountWatch};
use super::bill::Bill;
use super::drain::Drain;
use super::idle::{Alarm, IdleWatch};
use super::incoming::{self, Incoming};
use super::ladder::Rung;
use super::left::Helpers;
use super::novelty::Novelty;
use super::terminals::{Place, Report, Terminals};
use super::turn_limit::TurnLimit;
use super::{Caller, Command, Runner, sleep_until};
use crate::answer_file::AnswerFile;
use crate::http::Loopback;
use crate::private_files::{self, FileArgs, PrivateFiles};
use crate::redact::Passed;
use crate::temp_folder::TempFolder;
use crate::{RunRequest, aside, environment, interpreter, limits, program, reset, schema};
use belay_agents::{
    Action, AttemptEnd, Background as AtTurnEnd, Capabilities, Capability, Exit, FullNeeds, Input,
    Line, LineSplitter, Out, Permissions, Protocol, Response, StopPlan, Support, TellsTools,
    TimerId, Transport,
};
use belay_trace::{
    AttemptEnded, AttemptResult, AttemptStarted, Decision, DecisionSource, Denial, Event, Failure,
    FailureKind, Interrupted, LeftProcess, Level, OversizedLine, PermissionDecision,
    PermissionRequest, StopReason,
};
use belaykit_supervise::{self as supervise, Output, Process, Start, Supervisor};
use jiff::Timestamp;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::PoisonError;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

impl Runner {
    pub(super) async fn attempt(
        &mut self,
        transport: Transport,
        caller: &mut Caller,
    ) -> AttemptEnd {
        self.publisher.attempt(self.attempts, self.client.agent.name());
        let started = match caller.stopped_early() {
            None => match self.wait_for_program(transport, caller).await {
                Ok(()) => self.start(transport, caller).await,
                Err(failure) => Err(failure),
            },
            // Before the agent costs anything.
            Some(reason) => Err(self.stopped_early(reason)),
        };
        match started {
            Ok((attempt, output)) => attempt.run(output, caller).await,
            Err(failure) => {
                let ended =
                    AttemptEnded { failure: Some(failure.clone()), ..AttemptEnded::default() };
                self.publisher.event(Event::AttemptEnded(ended));
                AttemptEnd::failed(failure)
            }
        }
    }

    /// Waits until a program is there again that is being replaced: by its own updater, or by a package manager.
    async fn wait_for_program(
        &mut self,
        transport: Transport,
        caller: &mut Caller,
    ) -> Result<(), Failure> {
        let until = Instant::now() + limits::REPLACED;
        loop {
            let Some(failure) = self.program_is_gone(transport) else { return Ok(()) };
            if Instant::now() >= until {
                return Err(failure);
            }
            if let Err(stopped) = caller.rest(Instant::now() + limits::REPLACED_LOOK).await {
                return Err(self.stopped_early(stopped.reason()));
            }
        }
    }

    /// Why the program cannot be started now that has worked in this run.
    fn program_is_gone(&self, transport: Transport) -> Option<Failure> {
        if !self.chain.has_worked(self.client.agent.name()) {
            return None;
        }
        let launch = self.client.launch(&self.request, transport).ok()?;
        let program = program::resolve(&launch, self.client.program.as_deref(), &self.client.env);
        program.err().filter(|failure| failure.kind == FailureKind::NotInstalled)
    }

    async fn start(
        &mut self,
        transport: Transport,
        caller: &mut Caller,
    ) -> Result<(Attempt<'_>, mpsc::Receiver<Incoming>), Failure> {
        // One that is told its prompt over a protocol gets ready before it is whole.
        let is_early = transport == Transport::Dialogue && self.late_prompt.is_some();
        if !is_early {
            self.whole_prompt(caller).await?;
        }
        // It gets ready while the rest is prepared.
        let mut supervisor = Supervisor::start(self.client.supervisor.as_deref());
        let capabilities = self.client.agent.capabilities(transport);
        let mut request = self.asked(capabilities).into_owned();
        let launch = self.client.launch(&request, transport)?;
        for option in &launch.ignored {
            let words =
                format!("{} cannot honour {option}; it is left out", self.client.agent.name());
            self.publisher.event(Event::notice(Level::Warn, "option_ignored", words));
        }
        let program = program::resolve(&launch, self.client.program.as_deref(), &self.client.env)?;
        let temp = self.client.env.get("TMPDIR").map_or_else(|| "/tmp".into(), PathBuf::from);
        let name = format!("{}-{}", self.run_id, self.attempts);
        let place = private_files::place(self.client.state_dir.as_deref(), &temp);
        let files = PrivateFiles::write(&launch, &place, &name)
            .map_err(local_io("cannot write the files of the run"))?;
        let mut args = files.into_args(&launch, &self.client.leading_args);
        let session = launch.new_session.map(|flag| (flag, Uuid::new_v4().to_string()));
        if let Some((flag, id)) = &session {
            args.args.push(format!("{flag}={id}").into());
        }
        let mut env = self.client.env.for_agent(&launch.env);
        environment::move_to(&mut env, self.request.cwd.as_deref());
        interpreter::supply(&program, self.client.program.as_deref(), &mut env)?;
        let temp_folder = TempFolder::wanted(&launch, &temp, &name)
            .map_err(local_io("cannot make a folder for temporary files"))?;
        if let Some(folder) = &temp_folder {
            let (name, path) = folder.variable();
            env.retain(|(known, _)| *known != name);
            env.push((name, path));
        }
        let cwd = self.request.cwd.as_deref();
        let answer_file = AnswerFile::of(&launch, &mut args, cwd);
        if let Some(context) = &self.client.trace_context {
            let trace = self.request.trace_id.as_deref().unwrap_or(&self.run_id);
            context.tell(&mut env, trace, &self.run_id, self.attempts);
        }
        let terminals = Terminals::new(Place {
            env: env.clone(),
            cwd: self.request.cwd.clone(),
            run_id: self.run_id.clone(),
            supervisor: self.client.supervisor.clone(),
            leave_running: self.request.leave_running,
            redactor: self.publisher.redactor.clone(),
        });
        let (inbox, output) = mpsc::channel(limits::READS_MAX);
        let server = match launch.server {
            None => None,
            Some(server) => Some(
                Loopback::choose(server, &mut args.args, &mut env, &inbox)
                    .map_err(local_io("cannot find a free port on 127.0.0.1"))?,
            ),
        };
        let (homes, bill) = (Homes::of(&env), self.bill(transport));
        let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
        let helpers = Helpers::new(&program, path, &self.request.mcp_servers);
        // Before the agent costs anything.
        self.publisher.open_input_log().map_err(local_io("cannot write the journal"))?;
        check_arguments(&args.args)?;
        let until = Instant::now() + limits::REPLACED;
        let mut process = loop {
            let start = Start {
                program: &program,
                args: &args.args,
                env: env.clone(),
                cwd: self.request.cwd.as_deref(),
                sigint: launch.stop.sigint,
                leave_running: self.request.leave_running,
                deadline: caller.time_left(),
                run_id: &self.run_id,
            };
            let error = match Process::start(start, supervisor, inbox.clone()).await {
                Ok(process) => break process,
                Err(error) => error,
            };
            // Somebody is still writing it.
            let is_busy = error.kind() == io::ErrorKind::ExecutableFileBusy;
            if !is_busy || Instant::now() >= until {
                let (kind, why) = why_not_started(&error);
                let message = format!("cannot start {}: {error}{why}", program.display());
                return Err(Failure::new(kind, message));
            }
            if let Err(stopped) = caller.rest(Instant::now() + limits::REPLACED_LOOK).await {
                return Err(self.stopped_early(stopped.reason()));
            }
            supervisor = Supervisor::start(self.client.supervisor.as_deref());
        };
        drop(inbox);

        if let Some(locks) = &mut self.locks {
            locks.works_with(&process.family());
        }
        let words = args.args.iter().map(|arg| arg.to_string_lossy().into_owned());
        let command =
            std::iter::once(program.to_string_lossy().into_owned()).chain(words).collect();
        self.publisher.event(Event::AttemptStarted(AttemptStarted {
            transport: transport.name().to_owned(),
            command,
            model: self.chain.model(&self.request),
            pid: process.id(),
            containment: Some(incoming::containment(&process)),
        }));
        // Not before there is an agent: of a request that cannot be run nothing else is to be said.
        if let Some(event) = self.held_back.note(&self.client, &launch.env) {
            self.publisher.event(event);
        }
        if let Some(words) = self.unlocked.take() {
            self.publisher.event(Event::notice(Level::Warn, "session_lock", words));
        }
        if let Some(why) = process.why_unsupervised() {
            let words = format!("no supervisor ({why}): what the agent starts may outlive it");
            self.publisher.event(Event::notice(Level::Warn, "containment", words));
        }
        if is_early {
            if let Err(failure) = self.whole_prompt(caller).await {
                process.kill();
                process.sweep(false).await;
                return Err(failure);
            }
            request = self.asked(capabilities).into_owned();
        }
        let account_watch = self.account_watch(capabilities, &homes, bill.began());
        let began = Instant::now();
        let gates = Gates::new(&self.publisher.redactor);
        let attempt = Attempt {
            protocol: self.client.agent.protocol(&request, transport),
            plan: launch.stop,
            process,
            helpers,
            terminals,
            ends_at: caller.deadline,
            server,
            out: Out::default(),
            new_session: session.map(|(_, id)| id),
            end: None,
            has_result: false,
            background: Background::new(self.request.idle.background),
            stop: None,
            linger: None,
            has_lingered: false,
            budget_is_blind: false,
            tells_tools: self.client.agent.tells_tools(transport),
            timers: Vec::new(),
            turn_limit: self.turn_limit(capabilities),
            account_watch,
            doubt: None,
            session_look: SessionLook::default(),
            silent_calls: SessionLook::default(),
            held_end: None,
            was_told_ended: false,
            idle: IdleWatch::new(
                self.request.idle,
                request.agent_retries,
                self.client.agent.tells_retries(transport),
                began,
            ),
            novelty: Novelty::default(),
            has_spoken: false,
            paused: None,
            alarm: None,
            denials: Vec::new(),
            steers: Vec::new(),
            shared_session: None,
            bill,
            homes,
            gates,
            passed: None,
            asked: HashMap::new(),
            forced: false,
            flood: Flood::default(),
            silent: None,
            began,
            answer_file,
            _files: args,
            _temp_folder: temp_folder,
            runner: self,
        };
        Ok((attempt, output))
    }

    /// The end of an attempt that was stopped before its agent was told anything.
    pub(super) fn stopped_early(&mut self, reason: StopReason) -> Failure {
        self.publisher.event(Event::Interrupted(Interrupted { reason, message: None }));
        let kind = match reason {
            StopReason::Deadline => FailureKind::Deadline,
            _ => FailureKind::Interrupted,
        };
        Failure::new(kind, "stopped before the agent was asked")
    }

    /// The request as the agent is told it.
    fn asked(&self, capabilities: Capabilities) -> Cow<'_, RunRequest> {
        let mut request =
            schema::asked(&self.request, capabilities.support(Capability::OutputSchema));
        if self.chain.has_others() && capabilities.support(Capability::AgentRetries) != Support::No
        {
            request.to_mut().agent_retries.get_or_insert(limits::AGENT_RETRIES);
        }
        request
    }

    fn bill(&self, transport: Transport) -> Bill {
        let (client, capabilities) = (&self.client, self.client.agent.capabilities(transport));
        let tells = |what| capabilities.support(what) != Support::No;
        let tells_window = tells(Capability::ReportedWindow);
        let tells_all = tells_window && tells(Capability::ReportedCost);
        let bill = Bill::new(client.prices.clone(), self.request.model.clone(), tells_window);
        if tells_all { bill } else { bill.with_list() }
    }
}

/// Says what an agent needs that refuses to be allowed everything.
fn explain_refusal(failure: &mut Failure, needs: Option<FullNeeds>) {
    let remedy = needs
        .filter(|needs| failure.message.contains(needs.refusal))
        .map(|needs| format!("{}={}", needs.variable, needs.value));
    if let Some(remedy) = remedy.filter(|remedy| !failure.message.contains(remedy)) {
        let said = failure.message.trim_end_matches('.');
        failure.message = format!("{said}; in a sandbox, such as a container, set {remedy}");
    }
}

/// What can happen while an agent runs.
enum Happening {
    Asked(Command),
    Exited(supervise::Exit),
    Due,
    Heard(Incoming),
    /// Of a terminal.
    Told(Report),
    Accounted(Vec<Response>),
    /// The files of the session have gained this.
    Written(Vec<u8>),
    /// Lines of calls that the stream does not show.
    FoundCalls(Vec<u8>),
}

/// The state of one attempt.
struct Attempt<'a> {
    runner: &'a mut Runner,
    protocol: Box<dyn Protocol>,
    plan: StopPlan,
    process: Process,
    helpers: Helpers,
    /// The commands that belay runs for the agent.
    terminals: Terminals,
    /// When the run is to be over.
    ends_at: Option<Instant>,
    /// The server that the agent is.
    server: Option<Loopback>,
    out: Out,
    /// What the agent was told to call its new session.
    new_session: Option<String>,
    /// How the turns ended that have.
    end: Option<AttemptEnd>,
    /// That was told.
    has_result: bool,
    /// What else is open: the attempt has not ended before it has.
    background: Background,
    stop: Option<Stop>,
    /// When a process that lives on with nothing open is a hang.
    linger: Option<Instant>,
    /// It was one.
    has_lingered: bool,
    /// When its tools are told.
    tells_tools: TellsTools,
    /// Nobody knows the price, and that was said.
    budget_is_blind: bool,
    timers: Vec<(Instant, TimerId)>,
    turn_limit: Option<TurnLimit>,
    /// For limits that the stream says nothing about.
    account_watch: Option<AccountWatch>,
    idle: IdleWatch,
    novelty: Novelty,
    /// What the idle watch says, and the agent's other witness was not heard on yet.
    doubt: Option<Doubt>,
    session_look: SessionLook,
    /// What is read of them for calls that the stream does not show.
    silent_calls: SessionLook,
    /// The end of a turn that waits for them.
    held_end: Option<AttemptEnd>,
    /// The witness has said that the turn is over, which counts as progress once.
    was_told_ended: bool,
    /// The agent has printed a line.
    has_spoken: bool,
    /// Since when everything stands still.
    paused: Option<Instant>,
    /// What our own limits have to say about what was just read.
    alarm: Option<Alarm>,
    denials: Vec<Denial>,
    /// Messages of the caller's whose fate is not known yet.
    steers: Vec<String>,
    /// Which other run uses the session.
    shared_session: Option<String>,
    bill: Bill,
    /// Where the agent keeps its own account of what it uses.
    homes: Homes,
    gates: Gates,
    /// What the line that the driver reads was before it was redacted, if it was.
    passed: Option<Passed>,
    /// The arguments of tools that the agent asks for, redacted and as it wrote them.
    asked: HashMap<String, Asked>,
    forced: bool,
    /// What the agent prints to standard error.
    flood: Flood,
    /// When it is ended, because nothing more can be heard of it.
    silent: Option<Instant>,
    began: Instant,
    /// Where the answer is, if it is not printed.
    answer_file: Option<AnswerFile>,
    _files: FileArgs,
    _temp_folder: Option<TempFolder>,
}

impl Attempt<'_> {
    async fn run(
        mut self,
        mut output: mpsc::Receiver<Incoming>,
        caller: &mut Caller,
    ) -> AttemptEnd {
        let mut stdout = LineSplitter::new(limits::LINE_BYTES_MAX);
        let mut stderr = LineSplitter::new(limits::LINE_BYTES_MAX);
        let mut pipes_open = 2;
        let mut exited: Option<(Exit, Drain)> = None;

        // Nothing happens before the prompt.
        self.runner.chain.look().await;
        if self.runner.request.max_cost_usd.is_some() {
            self.bill.ready().await;
        }
        if let Some(id) = self.new_session.take() {
            self.input(Input::Session(&id));
        }
        self.input(Input::Start);
        self.runner.note_session().await;
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
                report = self.terminals.next(), if exited.is_none() => Happening::Told(report),
                Some(printed) = output.recv(), if pipes_open > 0 => Happening::Heard(printed),
                responses = account_watch::more(&mut self.account_watch) => Happening::Accounted(responses),
                lines = self.session_look.news() => Happening::Written(lines),
                lines = self.silent_calls.news() => Happening::FoundCalls(lines),
            };
            if let Some((_, drain)) = &mut exited {
                drain.waited(waiting.elapsed(), matches!(happening, Happening::Heard(_)));
                drain.hurry(caller.stops);
                // What is gone does not linger, also if its result is read only now.
                self.linger = None;
                self.silent = None;
            }
            match happening {
                Happening::Asked(Command::Stop(reason)) => self.asked_to_stop(caller, reason, None),
                Happening::Asked(Command::Steer(text)) => self.steer(text),
                Happening::Asked(Command::Pause(done)) => {
                    self.pause(caller);
                    // Who has asked may have gone.
                    let _ = done.send(());
                }
                Happening::Asked(Command::Resume) => self.resume(caller),
                Happening::Exited(exit) => {
                    exited = Some((incoming::exit(exit), Drain::begin(output.len())));
                    self.gone();
                }
                // belay itself stood still (SIGSTOP, a machine that slept): what the agent said meanwhile is
                // still to be read.
                Happening::Due if deadline.is_some_and(|at| at.elapsed() > limits::LATE) => {
                    self.shift(waiting.elapsed());
                }
                Happening::Due if self.give_up() => {
                    exited = Some((Exit::Code(-1), Drain::begin(output.len())));
                }
                Happening::Due => self.on_time(pipes_open > 0 && !output.is_empty()),
                Happening::Told(report) => self.told(&report),
                Happening::Accounted(responses) => self.accounted(responses),
                Happening::Written(lines) => self.session_read(&lines),
                Happening::FoundCalls(lines) => self.calls_found(&lines),
                Happening::Heard(Incoming::Printed(Output::Stdout(bytes))) => {
                    stdout.push(&bytes, |line| self.line(line, Pipe::Stdout));
                }
                Happening::Heard(Incoming::Printed(Output::Stderr(bytes))) => {
                    stderr.push(&bytes, |line| self.line(line, Pipe::Stderr));
                }
                Happening::Heard(Incoming::Printed(Output::StdoutEnd)) => {
                    pipes_open -= 1;
                    self.silent = self.silent_since_now();
                }
                Happening::Heard(Incoming::Printed(Output::StderrEnd)) => pipes_open -= 1,
                Happening::Heard(Incoming::Http(id, status, body)) => {
                    let body = self.runner.publisher.redactor.bytes(&body).into_owned();
                    self.input(Input::Http { id, status, body: &body });
                }
                Happening::Heard(Incoming::Sse(data)) => {
                    self.has_spoken = true;
                    self.gated(Pipe::Sse, &data);
                }
            }
            match self.alarm.take() {
                Some(Alarm::Stop(reason, words)) if caller.stops == 0 => {
                    self.asked_to_stop(caller, reason, Some(words));
                }
                Some(Alarm::Fail(failure)) if caller.stops == 0 => {
                    let words = failure.message.clone();
                    let reason = match failure.kind {
                        FailureKind::SessionInUse => StopReason::SessionInUse,
                        _ => StopReason::Stalled,
                    };
                    self.asked_to_stop(caller, reason, Some(words));
                    if let Some(stop) = &mut self.stop {
                        stop.failure = Some(failure);
                    }
                }
                Some(Alarm::Warn(words)) => {
                    self.runner.publisher.event(Event::notice(Level::Warn, "idle", words));
                }
                _ => {}
            }
            self.runner.note_session().await;
            self.runner.publisher.flush().await;
        }

        stdout.finish(|line| self.line(line, Pipe::Stdout));
        stderr.finish(|line| self.line(line, Pipe::Stderr));
        self.end_flood();
        self.open_gates(false);
        if exited.is_some_and(|(_, drain)| drain.was_cut_short()) && pipes_open > 0 {
            let words = "a stop was asked for again: what the agent has printed last was not read";
            self.runner.publisher.event(Event::notice(Level::Warn, "unread", words));
        }
        let exit = exited.map_or(Exit::Code(-1), |(exit, _)| exit);
        self.hear_silent_calls().await;
        self.hear_the_session().await;
        self.hear_the_answer_file().await;
        self.input(Input::Exit(exit));
        self.lose_steers();
        self.leave_background(exit);
        self.give_result();
        self.runner.note_session().await;
        // Paid for and on disk, before anything is cleaned up.
        self.runner.publisher.flush().await;
        let leave_running = self.runner.request.leave_running;
        let (mut left, in_terminals) =
            tokio::join!(self.process.sweep(leave_running), self.terminals.end());
        left.extend(in_terminals);
        let left = self.helpers.among(left);
        self.settle().await;
        self.finish(exit, left, pipes_open > 0)
    }

    /// What the agent has written in the place of an answer on its standard output.
    async fn hear_the_answer_file(&mut self) {
        let Some(file) = self.answer_file.take() else { return };
        let of_thread = file.clone();
        let reading = aside::begin(move || of_thread.read());
        let read = tokio::time::timeout(limits::ANSWER_FILE, reading).await;
        match read {
            Ok(Some(Ok(Some(bytes)))) => {
                let bytes = self.runner.publisher.redactor.bytes(&bytes).into_owned();
                self.input(Input::AnswerFile(&bytes));
            }
            Ok(Some(Ok(None))) => {}
            Ok(Some(Err(error))) => self.answer_file_unread(&error.to_string()),
            Ok(None) | Err(_) => self.answer_file_unread("it cannot be read in time"),
        }
    }

    fn answer_file_unread(&mut self, why: &str) {
        let words = format!("the answer file is left out: {why}");
        self.runner.publisher.event(Event::notice(Level::Warn, "answer_file", words));
    }

    /// The process is gone.
    fn gone(&mut self) {
        // Nothing is left to hurry.
        if let Some(stop) = &mut self.stop {
            stop.climb = None;
        }
        if let Some(why) = self.process.lost_supervisor() {
            let words = format!("{why}; the agent and all that it had started were ended");
            self.runner.publisher.event(Event::notice(Level::Warn, "containment", words));
        }
        self.process.begin_sweep(self.runner.request.leave_running);
        self.end_terminals();
    }

    /// A line from one of the pipes: an input of the driver, if it is whole.
    fn line(&mut self, line: Line<'_>, pipe: Pipe) {
        if line.cut > 0 {
            let bytes = line.bytes.len() as u64 + line.cut;
            let publisher = &mut self.runner.publisher;
            let raw = publisher.journal.oversized(line.bytes);
            publisher.event_from(raw, None, Event::OversizedLine(OversizedLine { bytes }));
        } else if pipe != Pipe::Stderr || self.flood.admits(line.bytes) {
            self.gated(pipe, line.bytes);
        }
        self.has_spoken |= pipe == Pipe::Stdout;
    }

    /// Feeds the driver, journal first, and does what it wants done.
    fn input(&mut self, input: Input<'_>) {
        let raw = self.runner.publisher.input(input);
        self.protocol.step(input, &mut self.out);
        let now = Instant::now();
        let (mut asked, mut got_on) = (Vec::new(), Vec::new());
        let mut is_refused = false;
        for action in std::mem::take(&mut self.out.actions) {
            match action {
                // The agent is in a session that another run uses: it is told nothing that begins a turn.
                Action::Stdin(_) | Action::Http { .. } if is_refused => {}
                Action::Emit(mut emitted) => {
                    self.note_steered(&emitted.event);
                    self.end_what_begins_after_a_stop(&emitted.event);
                    if let Event::SessionStarted(session) = &emitted.event
                        && emitted.parent_tool_id.is_none()
                        && let Some(failure) = self.runner.session_known(&session.session_id)
                    {
                        is_refused = true;
                        self.shared_session = Some(failure.message.clone());
                        self.alarm = Some(Alarm::Fail(failure));
                    }
                    self.bill.event(&mut emitted.event, emitted.parent_tool_id.as_ref());
                    let gets_on = self.novelty.is_progress(&emitted.event);
                    let at = (now, Timestamp::now());
                    if let Some(alarm) = self.idle.event(&emitted.event, gets_on, at) {
                        self.alarm.get_or_insert(alarm);
                    }
                    self.keep_to_the_limits(&emitted.event, emitted.parent_tool_id.is_none());
                    if let Event::PermissionRequest(request) = &emitted.event {
                        self.note_asked(request);
                        asked.push(request.clone());
                    }
                    if let (Event::PermissionDenied(denied), Input::SilentCalls(_)) =
                        (&emitted.event, input)
                    {
                        let (tool_id, name) = (denied.tool_id.clone(), denied.name.clone());
                        self.denials.push(Denial { tool_id, name });
                    }
                    if let Event::BackgroundTasks(told) = &emitted.event {
                        self.background.told(told, now);
                    }
                    if gets_on {
                        got_on.extend(emitted.parent_tool_id.clone());
                    }
                    self.runner.chain.see(&emitted.event);
                    if self.tells_tools.may_work_behind(&emitted.event) {
                        self.runner.chain.may_do_unseen();
                    }
                    self.runner.publisher.event_from(raw, emitted.parent_tool_id, emitted.event);
                }
                Action::Stdin(bytes) => {
                    let bytes = self.as_asked(input, bytes);
                    self.process.write(bytes);
                }
                Action::CloseStdin => self.process.close_stdin(),
                Action::Timer(id, after) => {
                    let at = Instant::now() + after;
                    // Behind its last words an agent owes an end: no stall, where less silence is allowed.
                    let stall = self.idle.stalls_at().filter(|_| id.awaits_end());
                    self.timers.push((stall.map_or(at, |stall| at.min(stall)), id));
                }
                Action::TurnEnded(end) if self.awaits_calls(&end, input) => {
                    self.tell_held_end();
                    self.held_end = Some(*end);
                }
                Action::TurnEnded(_) if self.is_beside_the_answer(input) => {
                    let words = "the agent began something after its answer and did not finish it";
                    self.runner.publisher.event(Event::notice(Level::Warn, "late", words));
                }
                Action::TurnEnded(end) => {
                    if is_lost(&end, input) {
                        self.bill.was_lost();
                    }
                    self.bill.turn_ended(&end, matches!(input, Input::SessionFile { .. }));
                    self.turn_ended(*end);
                }
                Action::TurnOpened => {
                    self.tell_held_end();
                    self.background.turn_opened();
                }
                Action::Http { id, method, path, body } => {
                    self.doubt.iter_mut().for_each(|doubt| doubt.is_asked = true);
                    if let Some(server) = &self.server {
                        server.call(id, method, &path, body);
                    }
                }
                Action::OpenSse(id, path) => {
                    self.doubt.iter_mut().for_each(|doubt| doubt.is_asked = true);
                    if let Some(server) = &self.server {
                        server.listen(id, &path);
                    }
                }
                Action::Finish => self.finish_process(),
                // Of a call that nobody has made it is none.
                Action::Progress(of) if of.as_ref().is_none_or(|id| self.novelty.knows(id)) => {
                    self.idle.progress(now);
                    got_on.extend(of);
                }
                Action::Progress(_) => {}
                Action::Terminal { id, order } => self.terminal(id, order),
                Action::AskSession(session_id) => {
                    self.doubt.iter_mut().for_each(|doubt| doubt.is_asked = true);
                    self.ask_session(session_id);
                }
                Action::AskSilentCalls(session_id) => self.ask_silent_calls(session_id),
                Action::Testified(standing) => self.testified(standing),
                Action::Cannot(what) => self.cannot(what, input),
                _ => {}
            }
        }
        self.runner.publisher.input_read();
        got_on.iter().for_each(|tool_id| self.background.progress(tool_id, now));
        self.keep_open();
        for request in asked {
            self.answer(&request);
        }
    }

    /// An attempt may have several turns: an agent reports by itself what it has run in the background.
    fn turn_ended(&mut self, end: AttemptEnd) {
        match &mut self.end {
            Some(before) => before.followed_by(end),
            None => self.end = Some(end),
        }
        self.has_result = false;
        if let Some(stop) = &mut self.stop {
            stop.is_last_turn_over = true;
        }
        self.background.turn_ended(Instant::now());
        if self.background.has_tasks() {
            self.keep_to_the_reported_budget();
        }
        self.give_result();
    }

    /// True for the end of a turn that its agent left unfinished when it ended well, behind an answer for which nothing
    /// was open: no task was still to be reported, and no message to be answered.
    fn is_beside_the_answer(&self, input: Input<'_>) -> bool {
        let answered = self.end.as_ref().is_some_and(|end| end.failure.is_none());
        matches!(input, Input::Exit(Exit::Code(0)))
            && answered
            && self.stop.is_none()
            && self.steers.is_empty()
            && !self.background.has_begun()
    }

    /// Lets the process live on while something is open, and after that for as long as it takes to save a session.
    fn keep_open(&mut self) {
        if self.runner.request.background == AtTurnEnd::Stop
            && !self.background.works()
            && let Some(names) = self.background.give_up()
        {
            let words = format!("stopped {names}, open after the agent's turn (--background stop)");
            self.runner.publisher.event(Event::notice(Level::Warn, "background", words));
        }
        let is_done = self.end.is_some() && !self.background.is_busy();
        if is_done && self.background.has_given_up() {
            self.end_leftovers();
        }
        self.linger = match self.linger {
            _ if !is_done => None,
            None if !self.has_lingered => {
                let owes_report = self.background.owes_report();
                let time = if owes_report { limits::REPORT } else { limits::LINGER };
                Some(Instant::now() + time)
            }
            linger => linger,
        };
    }

    /// The agent is gone, and what it had open with it.
    fn leave_background(&mut self, exit: Exit) {
        let cuts = self.stop.as_ref().is_some_and(|stop| stop.cuts);
        let failure = if cuts {
            Some(Failure::new(FailureKind::Interrupted, "interrupted"))
        } else {
            self.background.cut_off(self.runner.client.agent.name(), exit)
        };
        if cuts || self.background.was_cut() {
            self.bill.was_cut();
        }
        let given_up = self.background.give_up();
        if self.background.has_cut_work() {
            self.bill.was_lost();
        }
        if let Some(names) = given_up.filter(|_| failure.is_none()) {
            let agent = self.runner.client.agent.name();
            let words = format!("{agent} ended while {names} still ran");
            self.runner.publisher.event(Event::notice(Level::Warn, "background", words));
        }
        if let (Some(end), Some(failure)) = (&mut self.end, failure)
            && end.failure.is_none()
        {
            end.failure = Some(failure);
            self.has_result = false;
        }
    }

    /// Says what the attempt comes to, once for each turn that has ended.
    fn give_result(&mut self) {
        if self.has_result {
            return;
        }
        self.has_result = true;
        let end = self.end.get_or_insert_with(|| {
            let message = "the agent ended without saying how its turn ended";
            AttemptEnd::failed(Failure::new(FailureKind::Protocol, message))
        });
        // Its exit says only that we have ended it.
        if let (Some(failure), Some(why)) = (&mut end.failure, self.process.lost_supervisor())
            && failure.kind == FailureKind::Crashed
        {
            failure.message = format!("{why}; the agent was ended with all that it had started");
        }
        // The agent knows only that it was stopped; why is ours to say.
        if let (Some(failure), Some(stop)) = (&mut end.failure, &self.stop)
            && failure.kind == FailureKind::Interrupted
        {
            stop.explain(failure, &self.runner.request);
        }
        if let Some(failure) = &mut end.failure {
            self.runner.held_back.explain(failure);
            explain_refusal(failure, self.runner.client.agent.full_needs());
            let env = &self.runner.client.env;
            reset::complete(failure, Timestamp::now(), || reset::zone::local(env.get("TZ")));
        }
        for denial in self.denials.drain(..) {
            if !end.denials.contains(&denial) {
                end.denials.push(denial);
            }
        }
        // The agent was faster than its stop, and both runs have said something in the session.
        if let (None, Some(words)) = (&end.failure, self.shared_session.take()) {
            self.runner.publisher.event(Event::notice(Level::Warn, "session_in_use", words));
        }
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        end.usage.duration_ms.get_or_insert(elapsed);
        let result = AttemptResult {
            result: end.answer.clone(),
            usage: self.bill.preview(end),
            failure: end.failure.clone(),
            session_id: end.session_id.clone(),
            model: end.model.clone(),
            provisional: self.background.has_tasks(),
        };
        self.runner.publisher.event(Event::AttemptResult(result));
    }

    /// Completes what the attempt has used and cost, when the agent can write no more about it.
    async fn settle(&mut self) {
        let Some(end) = &mut self.end else { return };
        let account = match end.session_id.clone().filter(|_| self.bill.wants_account(end)) {
            None => Account::default(),
            Some(session_id) => {
                let (agent, homes) = (self.runner.client.agent.clone(), self.homes.clone());
                account::read(agent, homes, &session_id, self.bill.began()).await
            }
        };
        let Account { responses: account, cut } = account;
        if !cut.is_empty() {
            let (agent, names) = (self.runner.client.agent.name(), cut.join(", "));
            let words = format!(
                "{agent} has ended its helper {names}, for which it did not wait; what was used is a lower bound"
            );
            self.runner.publisher.event(Event::notice(Level::Warn, "helper_cut", words));
            end.usage.partial = true;
        }
        // A stream that hides how its last response ended has told the half of an answer as the whole.
        let unfinished = account.last().and_then(Response::unfinished);
        end.failure = end.failure.take().or(unfinished);
        if let Some(context) = self.bill.context(&account) {
            self.runner.publisher.event(Event::Context(context));
        }
        self.bill.prepare(end).await;
        self.bill.settle(end, account);
    }

    fn cannot(&mut self, what: &str, input: Input<'_>) {
        match what {
            // The first rung is no rung for this agent, or not any more.
            "interrupt" if self.rung() == Some(Rung::Native) => self.climb(),
            "interrupt" => {}
            _ => {
                let agent = self.runner.client.agent.name();
                let words = format!("{agent} cannot do this while it runs");
                if let Input::Steer(text) = input {
                    self.lose_steer(text, &words);
                }
                self.runner.publisher.event(Event::notice(Level::Warn, what, words));
            }
        }
    }

    /// Answers a permission request at once: a run has nobody who could be kept waiting.
    fn answer(&mut self, request: &PermissionRequest) {
        let is_stopping = self.stop.is_some();
        let by_policy = match self.runner.request.permissions {
            Some(Permissions::Full) if !is_stopping => Decision::Allow,
            _ => Decision::Deny,
        };
        // Behind a stop nothing more is begun, and nobody is asked.
        let handler = self.runner.client.on_permission.as_ref().filter(|_| !is_stopping);
        let by_caller = handler.map(|handler| {
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

    fn finish(mut self, exit: Exit, left: Vec<LeftProcess>, pipes_held_open: bool) -> AttemptEnd {
        let end = self.end.take().unwrap_or_default();
        self.runner.chain.ended(self.tells_tools, end.failure.as_ref());
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
            pipes_held_open,
            left,
            effects: self.runner.chain.effects(),
        }));
        end
    }
}

/// True for a turn that its agent did not live to end: what its last response has used, nobody has said.
fn is_lost(end: &AttemptEnd, input: Input<'_>) -> bool {
    let kind = end.failure.as_ref().map(|failure| failure.kind);
    matches!(input, Input::Exit(_))
        && matches!(
            kind,
            Some(FailureKind::Crashed | FailureKind::Protocol | FailureKind::Interrupted)
        )
}

/// What it means that a program which was found does not start, and in words.
/// No system takes a longer one: the kernel's limit on Linux, and more than that of others for all together.
const ARGUMENT_BYTES_MAX: usize = 128 << 10;

/// One argument that is too long would be told by the system without a name.
fn check_arguments(args: &[OsString]) -> Result<(), Failure> {
    let Some(n) = args.iter().position(|arg| arg.len() >= ARGUMENT_BYTES_MAX) else {
        return Ok(());
    };
    let text = args[n].to_string_lossy();
    let flag = text.split('=').next().filter(|flag| flag.starts_with('-') && flag.len() < 64);
    let before = n.checked_sub(1).map(|n| args[n].to_string_lossy());
    let before = before.as_deref().filter(|flag| flag.starts_with('-') && flag.len() < 64);
    let name = flag.or(before).unwrap_or("an argument");
    let message = format!(
        "{name} has {} kB, and the system takes no argument of more than {} kB; make it shorter, or put it into a \
         file that the prompt names",
        args[n].len() / 1000,
        ARGUMENT_BYTES_MAX / 1000
    );
    Err(Failure::new(FailureKind::InvalidRequest, message))
}

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
        io::ErrorKind::ExecutableFileBusy => (FailureKind::NotExecutable, "; it is being replaced"),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            (FailureKind::NotExecutable, "; it is no program for this machine")
        }
        _ => (FailureKind::LocalIo, ""),
    }
}

fn local_io(what: &str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::new(FailureKind::LocalIo, format!("{what}: {error}"))
}
