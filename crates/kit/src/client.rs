//! Who runs requests: an agent, its surroundings, and those who watch.

use crate::error::UNSUPPORTED;
use crate::failover::Policy;
use crate::feed::feed;
use crate::journal::{Durability, Journal};
use crate::late_prompt::LatePrompt;
use crate::mode_bound::ModeBound;
use crate::observe::queue::ObserverHandle;
use crate::runner::{Command, Runner};
use crate::schema::Schema;
use crate::traces::Sessions;
use crate::{
    Environment, Error, Observer, Outcome, Prices, Redaction, Run, TraceContext, images,
    interpreter, program, session_lock,
};
use belay_agents::{Agent, Launch, RunRequest, Session, Transport, Unsupported, WhenInUse};
use belay_trace::{
    Decision, EvidenceSource, Failure, FailureKind, PermissionRequest, Record, TraceId,
};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Runs requests on an agent. Cheap to clone; one client serves any number of runs at once.
///
/// Every method that configures a client takes and returns it, so that one run can differ from the others:
/// `client.clone().on_event(…).run(request)`.
///
/// Its agents see the environment of this process, as under their own programs; [`env`](Self::env) and
/// [`environment`](Self::environment) give them another one. The library itself keeps to no variable and no home folder
/// of its own accord: a folder for journals comes in with [`state_dir`](Self::state_dir). Without it there is no
/// journal, and a crash of your program loses the record of its runs.
#[derive(Clone)]
pub struct Client {
    pub(crate) agent: Arc<dyn Agent>,
    /// Who takes over when the agent fails, in order.
    backups: Vec<Arc<dyn Agent>>,
    /// The agent that the whole chain is held to, if it is not the first one.
    yardstick: Option<Arc<dyn Agent>>,
    pub(crate) policy: Policy,
    pub(crate) program: Option<PathBuf>,
    /// Programs of agents by their names.
    programs: BTreeMap<String, PathBuf>,
    /// Arguments and environment variables of agents by their names.
    args: BTreeMap<String, Vec<String>>,
    passed: BTreeMap<String, Vec<String>>,
    /// How many runs of an agent may be at work at once.
    concurrent: BTreeMap<String, u32>,
    pub(crate) leading_args: Vec<OsString>,
    pub(crate) env: Arc<Environment>,
    pub(crate) supervisor: Option<PathBuf>,
    pub(crate) state_dir: Option<PathBuf>,
    lock_dir: Option<PathBuf>,
    pub(crate) durability: Durability,
    pub(crate) raw_lines: bool,
    pub(crate) transport: Option<Transport>,
    pub(crate) prices: Prices,
    pub(crate) on_event: Option<Handler>,
    pub(crate) output: Option<Output>,
    pub(crate) on_permission: Option<PermissionHandler>,
    pub(crate) observers: Vec<ObserverHandle>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) redaction: Redaction,
    pub(crate) trace_context: Option<Arc<TraceContext>>,
}

pub(crate) type Handler = Arc<Mutex<dyn FnMut(&Record) + Send>>;
pub(crate) type Output = Arc<Mutex<dyn Write + Send>>;
pub(crate) type PermissionHandler = Arc<Mutex<dyn FnMut(&PermissionRequest) -> Decision + Send>>;

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("agent", &self.agent)
            .field("program", &self.program)
            .field("env", &self.env)
            .field("state_dir", &self.state_dir)
            .field("observers", &self.observers.len())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client for one agent, with the environment of this process: see [`env`](Self::env).
    pub fn new(agent: impl Agent + 'static) -> Self {
        Self::of(Arc::new(agent))
    }

    /// Like [`new`](Self::new), for an agent that is shared already.
    pub fn of(agent: Arc<dyn Agent>) -> Self {
        Self {
            agent,
            backups: Vec::new(),
            yardstick: None,
            policy: Policy::default(),
            program: None,
            programs: BTreeMap::new(),
            args: BTreeMap::new(),
            passed: BTreeMap::new(),
            concurrent: BTreeMap::new(),
            leading_args: Vec::new(),
            env: Arc::new(Environment::inherit()),
            supervisor: None,
            state_dir: None,
            lock_dir: None,
            durability: Durability::default(),
            raw_lines: false,
            transport: None,
            prices: Prices::bundled(),
            on_event: None,
            output: None,
            on_permission: None,
            observers: Vec::new(),
            sessions: Arc::default(),
            redaction: Redaction::default(),
            trace_context: None,
        }
    }

    /// The agent that takes over when those before it fail; each one has its own model.
    ///
    /// Which failures it takes over from, and how, is the [`policy`](Self::policy)'s. The request's model is
    /// the first agent's.
    #[must_use]
    pub fn or(self, agent: impl Agent + 'static) -> Self {
        self.or_of(Arc::new(agent))
    }

    /// Like [`or`](Self::or), for an agent that is shared already.
    #[must_use]
    pub fn or_of(mut self, agent: Arc<dyn Agent>) -> Self {
        self.backups.push(agent);
        self
    }

    /// Holds every agent of the chain, the first one too, to what this agent may do in a run that does not say; for a
    /// chain that somebody else has named. A request's own permissions go before it.
    #[must_use]
    pub fn held_to(mut self, agent: Arc<dyn Agent>) -> Self {
        self.yardstick = Some(agent);
        self
    }

    /// What happens when an agent fails.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The environment in which the agent's program is looked for, and which the agent sees, but for what is held back
    /// ([`HoldBack`](crate::HoldBack)); without it, that of this process.
    #[must_use]
    pub fn env(self, vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.environment(Environment::new(vars))
    }

    /// Like [`env`](Self::env), also with a list of what agents see, and with variables passed on and held back by name.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.env = Arc::new(environment);
        self
    }

    /// The agent's program, instead of looking for it on the PATH; of several agents the first one's.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Like [`program`](Self::program), for the agents of this name in the chain.
    #[must_use]
    pub fn program_of(mut self, agent: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.programs.insert(agent.into(), path.into());
        self
    }

    /// Arguments for the agents of this name in the chain, before those of the request.
    #[must_use]
    pub fn args_of<T: Into<String>>(
        mut self,
        agent: impl Into<String>,
        args: impl IntoIterator<Item = T>,
    ) -> Self {
        self.args.insert(agent.into(), args.into_iter().map(Into::into).collect());
        self
    }

    /// Hands environment variables to the agents of this name in the chain, and to no other; see
    /// [`Environment::pass`].
    #[must_use]
    pub fn pass_env_of<T: Into<String>>(
        mut self,
        agent: impl Into<String>,
        names: impl IntoIterator<Item = T>,
    ) -> Self {
        self.passed.insert(agent.into(), names.into_iter().map(Into::into).collect());
        self
    }

    /// Lets no more runs of the agents of this name be at work at once than `max`, at least one, counting those of all
    /// processes with the same [`state_dir`](Self::state_dir); the others wait, and can be stopped meanwhile.
    #[must_use]
    pub fn max_concurrent_of(mut self, agent: impl Into<String>, max: u32) -> Self {
        self.concurrent.insert(agent.into(), max.max(1));
        self
    }

    /// How many runs of an agent may be at work at once.
    pub(crate) fn max_concurrent(&self, agent: &str) -> Option<u32> {
        self.concurrent.get(agent).copied()
    }

    /// Arguments before the agent's own, for programs that were given and start the agent:
    /// `docker exec -i sandbox claude` is the program `docker` with four leading arguments.
    #[must_use]
    pub fn leading_args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.leading_args = args.into_iter().map(Into::into).collect();
        self
    }

    /// The program that ends all that an agent has started, also when this program is killed: `belay`,
    /// `belay-supervisor`, or another that calls [`init`](crate::init). A program that calls it itself, or has
    /// `belay-supervisor` beside it, needs none.
    #[must_use]
    pub fn supervisor(mut self, program: impl Into<PathBuf>) -> Self {
        self.supervisor = Some(program.into());
        self
    }

    /// Where the journals of runs are kept: inputs and records of each run, in `runs/RUN-ID`.
    ///
    /// A journal that can no longer be written costs no run. (A limit on the size of files kills a program that
    /// has not switched SIGXFSZ off; that is your program's to do.)
    #[must_use]
    pub fn state_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(dir.into());
        self
    }

    /// Where it is kept which sessions are in use, for runs without a [`state_dir`](Self::state_dir), whose folder it is
    /// otherwise. All programs that share sessions should name the same: `belay` uses its own state folder.
    #[must_use]
    pub fn lock_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.lock_dir = Some(dir.into());
        self
    }

    /// The folder of the locks, if there is one.
    pub(crate) fn locks(&self) -> Option<&Path> {
        self.lock_dir.as_deref().or(self.state_dir.as_deref())
    }

    /// What a loss of power may cost of the journals; without a [`state_dir`](Self::state_dir) it means nothing.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Lets each record of an agent's carry the line that it comes from, secrets taken out
    /// ([`Record::raw_line`](belay_trace::Record::raw_line)). With a [`state_dir`](Self::state_dir) it means nothing: the
    /// journal has the lines, and [`Record::raw`](belay_trace::Record::raw) says where.
    #[must_use]
    pub fn raw_lines(mut self) -> Self {
        self.raw_lines = true;
        self
    }

    /// Talks with the agent in this way only, instead of the best way that its version has.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// What tokens cost, where the agent does not report it: list prices, unless this says otherwise. What an agent
    /// reports always goes before them.
    #[must_use]
    pub fn prices(mut self, prices: Prices) -> Self {
        self.prices = prices;
        self
    }

    /// What is taken out of journals, traces, events, handovers and outcomes: unless this says otherwise, the values of
    /// secret variables and whatever looks like a well-known key or token. The agent sees everything as it is.
    #[must_use]
    pub fn redact(mut self, redaction: Redaction) -> Self {
        self.redaction = redaction;
        self
    }

    /// Where the runs stand in a trace of OpenTelemetry's, and that their agents are told: for programs with an
    /// observer that makes such traces. Usually [`TraceContext::of`] the environment.
    #[must_use]
    pub fn trace_context(mut self, context: TraceContext) -> Self {
        self.trace_context = Some(Arc::new(context));
        self
    }

    /// Calls `handler` for every record: in order, without loss, on a thread of its own where it may block. The
    /// agent and the run go on meanwhile, and so do wishes to stop it; what waits for the handler stays in the
    /// journal, or in memory if there is none. The run's [`outcome`](Run::outcome) comes when the handler has seen
    /// everything. Replaces the handler that was set before. A handler that panics is not called again, nor by another run
    /// of this client.
    #[must_use]
    pub fn on_event(mut self, handler: impl FnMut(&Record) + Send + 'static) -> Self {
        self.on_event = Some(Arc::new(Mutex::new(handler)));
        self
    }

    /// Writes the answer's text to `output` as it arrives, on the thread of the handler. A writer that fails is not written to again.
    #[must_use]
    pub fn output(mut self, output: impl Write + Send + 'static) -> Self {
        self.output = Some(Arc::new(Mutex::new(output)));
        self
    }

    /// Answers the agent's permission requests. Without it, what lies beyond the request's
    /// [`Permissions`](crate::Permissions) is denied at once.
    #[must_use]
    pub fn on_permission(
        mut self,
        handler: impl FnMut(&PermissionRequest) -> Decision + Send + 'static,
    ) -> Self {
        self.on_permission = Some(Arc::new(Mutex::new(handler)));
        self
    }

    /// Lets `observer` watch every run of this client and of clones made from now on. Call it once for each of
    /// several: none of them waits for another.
    #[must_use]
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observers.push(ObserverHandle::start(observer));
        self
    }

    /// Starts a run. Must be called within a tokio runtime, on which the run then lives.
    ///
    /// What is wrong with the request comes as the run's result, before anything starts; to know it first,
    /// call [`check`](Self::check).
    ///
    /// # Panics
    /// When it is called outside a tokio runtime.
    pub fn start(&self, request: impl Into<RunRequest>) -> Run {
        self.begin(request.into(), None)
    }

    /// Starts a run whose prompt is still being read: the agent gets ready meanwhile, and is told the `prompt` when
    /// it is whole. Until then that of the request stands for it. An error is words about why there is no prompt: it
    /// ends the run as an invalid request.
    ///
    /// # Panics
    /// When it is called outside a tokio runtime.
    pub fn start_with_prompt(
        &self,
        request: impl Into<RunRequest>,
        prompt: impl Future<Output = Result<String, String>> + Send + 'static,
    ) -> Run {
        self.begin(request.into(), Some(LatePrompt(Box::pin(prompt))))
    }

    fn begin(&self, request: RunRequest, prompt: Option<LatePrompt>) -> Run {
        let id = Uuid::now_v7().to_string();
        let (stream, records) = feed();
        let (commands, commands_out) = mpsc::unbounded_channel::<Command>();
        let (finish, finished) = oneshot::channel();
        let (alive, gone) = oneshot::channel();
        let runner = Runner::new(self.clone(), request, id.clone(), stream, prompt);
        tokio::spawn(async move {
            let outcome = runner.run(commands_out, gone).await;
            // A caller who has dropped the run does not want it.
            let _ = finish.send(outcome);
        });
        Run { id, records, commands, finished, _alive: alive }
    }

    /// Starts a run and waits for its outcome.
    ///
    /// # Errors
    /// [`Error`] if the run did not answer; it holds the outcome all the same.
    ///
    /// # Panics
    /// When it is called outside a tokio runtime.
    pub async fn run(&self, request: impl Into<RunRequest>) -> Result<Outcome, Error> {
        self.start(request).outcome().await
    }

    /// Says whether a run of `request` could start: the request is sound, the agent can honour it and is
    /// installed, a journal can be written, and the session is not in use.
    ///
    /// # Errors
    /// [`Error`] with the first thing that is wrong.
    pub fn check(&self, request: &RunRequest) -> Result<(), Error> {
        let loaded =
            images::load(&mut request.clone()).and_then(|()| Schema::of(request).map(drop));
        loaded.map_err(|failure| self.error(failure))?;
        let mut missing = None;
        let mut found = false;
        let bound = ModeBound::of(self, request).map_err(|failure| self.error(failure))?;
        for n in 0..self.chain().count() {
            let turn = self.turn(n);
            match turn.check_one(&bound.apply(request, n), n) {
                Ok(()) => found = true,
                // Another one may be there.
                Err(failure) if is_missing(failure.kind) => {
                    missing = missing.or_else(|| Some(turn.error(failure)));
                }
                Err(failure) => return Err(turn.error(failure)),
            }
        }
        if let Some(missing) = missing.filter(|_| !found) {
            return Err(missing);
        }
        let journal = self.state_dir.as_deref().map_or(Ok(()), Journal::check);
        journal.map_err(|failure| self.error(failure))?;
        if request.when_in_use == WhenInUse::Refuse {
            session_lock::check(self, request).map_err(|failure| self.error(failure))?;
        }
        Ok(())
    }

    /// Says whether the agent whose turn it is could serve the request.
    fn check_one(&self, request: &RunRequest, turn: usize) -> Result<(), Failure> {
        check_request(request)?;
        let request = self.own_at(request, turn);
        let launch = self.launch(&request, self.transports()[0])?;
        program::resolve(&launch, self.program.as_deref(), &self.env).map(drop)
    }

    /// The name of the first agent.
    pub fn agent_name(&self) -> &'static str {
        self.agent.name()
    }

    /// The agents, in order.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &Arc<dyn Agent>> {
        std::iter::once(&self.agent).chain(&self.backups)
    }

    /// The client of the agent that the chain is held to, and the number of the first candidate that is.
    pub(crate) fn yardstick(&self) -> (Self, usize) {
        match self.yardstick.clone() {
            Some(agent) => (Self { agent, backups: Vec::new(), ..self.clone() }.turn(0), 0),
            None => (self.turn(0), 1),
        }
    }

    /// The client of one agent of the chain.
    pub(crate) fn turn(&self, n: usize) -> Self {
        let mut turn = self.clone();
        let Some(agent) = self.chain().nth(n).cloned() else { return turn };
        if let Some(program) = self.programs.get(agent.name()) {
            turn.program = Some(program.clone());
        } else if agent.name() != self.agent.name() {
            (turn.program, turn.leading_args) = (None, Vec::new());
        }
        if let Some(names) = self.passed.get(agent.name()) {
            let mut env = Environment::clone(&self.env);
            names.iter().for_each(|name| env.pass(name));
            turn.env = Arc::new(env);
        }
        turn.agent = agent;
        turn
    }

    /// The request as the agent gets it whose turn it is.
    pub(crate) fn own(&self, request: &RunRequest) -> RunRequest {
        let mut request = request.clone();
        if let Some(args) = self.args.get(self.agent.name()) {
            request.extra_args.splice(0..0, args.iter().cloned());
        }
        request
    }

    /// The same at its place in the chain: a model and a session are the first agent's.
    fn own_at(&self, request: &RunRequest, turn: usize) -> RunRequest {
        let mut own = self.own(request);
        if turn > 0 {
            (own.model, own.session) = (None, Session::New);
        }
        own
    }

    /// What a run of `request` would start first; starts nothing and looks for no program.
    ///
    /// # Errors
    /// [`Error`] if the request is not sound or the agent cannot honour it.
    pub fn plan(&self, request: &RunRequest) -> Result<Plan, Error> {
        self.turn(0).plan_one(request, 0)
    }

    /// What a run of `request` would start, agent by agent of the chain.
    ///
    /// # Errors
    /// [`Error`] of the first agent that cannot honour the request, or if it is not sound.
    pub fn plan_chain(&self, request: &RunRequest) -> Result<Vec<Plan>, Error> {
        let bound = ModeBound::of(self, request).map_err(|failure| self.error(failure))?;
        let plans = (0..self.chain().count()).map(|n| {
            let turn = self.turn(n);
            turn.plan_one(&bound.apply(request, n), n)
        });
        plans.collect()
    }

    fn plan_one(&self, request: &RunRequest, turn: usize) -> Result<Plan, Error> {
        let transport = self.transports()[0];
        let request = self.own_at(request, turn);
        let launch = check_request(&request).and_then(|()| self.launch(&request, transport));
        let launch = launch.map_err(|failure| self.error(failure))?;
        let left_out = launch.ignored.iter().map(|option| format!("{option} is left out"));
        let files =
            launch.files.iter().map(|file| format!("{} goes in as a private file", file.name));
        let notes = left_out.chain(files).collect();
        let model = request.model.as_deref().or(self.agent.model()).map(str::to_owned);
        Ok(Plan {
            agent: self.agent.name().to_owned(),
            model,
            transport,
            command: launch.to_shell(),
            one_shot: self.agent.print_command(&request),
            notes,
        })
    }

    /// Finds the agent's program and asks it for its version.
    ///
    /// # Errors
    /// [`Error`] if the program is not there or cannot be executed.
    ///
    /// # Panics
    /// When it is called outside a tokio runtime.
    pub async fn installed(&self) -> Result<Installed, Error> {
        let turn = self.turn(0);
        let is_any = turn.agent.command().is_some();
        // The one way to start every agent that needs nothing of a request.
        let transport = match turn.agent.transports() {
            [first, ..] if is_any => *first,
            _ => Transport::Interactive,
        };
        let launch = turn.launch(&RunRequest::new(""), transport);
        let found = launch.and_then(|launch| {
            let path = program::resolve(&launch, turn.program.as_deref(), &turn.env)?;
            let mut env = turn.env.for_agent(&launch.env);
            interpreter::supply(&path, turn.program.as_deref(), &mut env)?;
            Ok((path, env))
        });
        let (path, env) = found.map_err(|failure| self.error(failure))?;
        // What `--version` means to a program of any kind, nobody knows.
        let version = match is_any {
            true => None,
            false => {
                let supervisor = self.supervisor.as_deref();
                program::version(&path, &self.leading_args, env, supervisor).await.ok()
            }
        };
        Ok(Installed { path, version })
    }

    pub(crate) fn error(&self, failure: Failure) -> Error {
        let agent = self.agent.name().to_owned();
        Error::new(failure, Outcome { agent, ..Outcome::default() })
    }

    /// How to talk with the agent, best way first.
    pub(crate) fn transports(&self) -> Vec<Transport> {
        self.transport.map_or_else(|| self.agent.transports().to_vec(), |transport| vec![transport])
    }

    pub(crate) fn launch(
        &self,
        request: &RunRequest,
        transport: Transport,
    ) -> Result<Launch, Failure> {
        let launch = self.agent.launch(request, transport);
        launch.map_err(|error| {
            let failure = Failure::new(FailureKind::InvalidRequest, error.to_string());
            match error.hint {
                // The option is known; its value is wrong, and the message says so.
                Some(_) => failure,
                None => failure.with(EvidenceSource::Field, UNSUPPORTED, error.option),
            }
        })
    }
}

/// What a run would start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The agent.
    pub agent: String,
    /// The model that it would be asked for, if the request or the candidate names one.
    pub model: Option<String>,
    /// How belay would talk with the agent.
    pub transport: Transport,
    /// The command line, safe to pass to `sh -c`; the prompt is not part of it.
    pub command: String,
    /// The same as one shot with the prompt, safe to pass to `sh -c`, or why there is none.
    pub one_shot: Result<String, Unsupported>,
    /// What a run does differently: options that are left out, text that goes in as a private file.
    pub notes: Vec<String>,
}

/// An agent that is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Installed {
    /// The file that would be started.
    pub path: PathBuf,
    /// What it says of its version, if it says anything within a few seconds.
    pub version: Option<String>,
}

/// There is no such agent here, and another one may do.
fn is_missing(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::NotInstalled | FailureKind::NotExecutable | FailureKind::VersionUnsupported
    )
}

/// What is wrong with a request whatever the agent.
pub(crate) fn check_request(request: &RunRequest) -> Result<(), Failure> {
    let invalid = |message: String| Failure::new(FailureKind::InvalidRequest, message);
    if request.prompt.trim().is_empty() {
        return Err(invalid("the prompt is empty".to_owned()));
    }
    check_surroundings(request)?;
    if request.max_turns == Some(0) {
        return Err(invalid(
            "max_turns is 0: an agent needs at least one turn to answer".to_owned(),
        ));
    }
    if request.max_cost_usd.is_some_and(|usd| !usd.is_finite() || usd <= 0.0) {
        return Err(invalid(
            "max_cost_usd is not more than 0: an agent costs something".to_owned(),
        ));
    }
    if request.timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(invalid("timeout is 0: an agent needs time to answer".to_owned()));
    }
    if let Some(id) = &request.trace_id {
        TraceId::new(id.clone()).map_err(|error| invalid(error.to_string()))?;
    }
    Ok(())
}

/// What is wrong with the place where an agent is to work.
pub(crate) fn check_surroundings(request: &RunRequest) -> Result<(), Failure> {
    let missing = |what: &str, folder: &Path| {
        let what = format!("the {what} {} does not exist or is no folder", folder.display());
        Err(Failure::new(FailureKind::InvalidRequest, what))
    };
    if let Some(cwd) = request.cwd.as_deref().filter(|cwd| !cwd.is_dir()) {
        return missing("working directory", cwd);
    }
    match request.added_folders().find(|folder| !folder.is_dir()) {
        Some(folder) => missing("added folder", &folder),
        None => Ok(()),
    }
}
