//! Starts programs, each with everything that it starts: begun in one place, which knows how it all ends.
//!
//! Agents start their tools in sessions of their own, so killing an agent, or its process group, leaves them
//! running (measured for Claude Code, Codex and OpenCode). How surely they are ended depends on the [`Containment`]:
//!
//! - [`Subreaper`](Containment::Subreaper) (Linux): between this program and the one that is started stand two
//!   supervisors, small processes below which everything stays that it starts. They end all of it when it is over,
//!   and also when this program is killed, or one of them. A supervisor is the program `belay-supervisor` beside this
//!   one, or else this one started again, for which it calls [`init`] first in `main`.
//! - [`ProcessGroup`](Containment::ProcessGroup): it is a child of this program, which kills its group, what is
//!   below it and, on Linux, what has the run's `BELAY_RUN_ID` in its environment. What hides from all three lives
//!   on, and so does everything when this program is killed.
//!
//! macOS and Windows have no subreaper. Job objects and their like would take the place of `direct`; they are
//! neither written nor compiled here.
//!
//! Whatever belay starts is started here: agents by [`Process`], tools that answer and end by [`Tool`].

mod children;
mod direct;
mod limits;
#[cfg(target_os = "linux")]
mod pair;
#[cfg(target_os = "linux")]
mod supervised;
#[cfg(target_os = "linux")]
mod supervisor;
mod tool;
mod tree;
#[cfg(target_os = "linux")]
mod wire;

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub use self::children::{adopt_orphans, foreground, reap_orphans, restart_with, spawn_foreground};
use self::direct::Direct;
use self::limits::{KILLED_AGAIN, READ_BYTES, SWEEP};
#[cfg(target_os = "linux")]
use self::pair::{NotSupervised, Pair};
#[cfg(target_os = "linux")]
use self::supervised::Supervised;
pub use self::tool::{Finished, Next, Tool};

/// The variable that marks everything an agent starts with its run's id.
pub const MARK: &str = "BELAY_RUN_ID";

static INITIALIZED: AtomicBool = AtomicBool::new(false);

/// The supervisor that was given last, for tools that are given none: whoever looks at a folder for a client.
static GIVEN: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Lets this program be its own supervisor. Call it first in `main`.
///
/// In a process that was started as a supervisor it does that work and ends the process; otherwise it returns at
/// once. It may be called within a runtime (`#[tokio::main]`).
pub fn init() {
    #[cfg(target_os = "linux")]
    if let Some(done) = supervisor::run() {
        // Nobody reads our words; the code is for the other supervisor.
        std::process::exit(i32::from(done.is_err()));
    }
    INITIALIZED.store(true, Ordering::Relaxed);
}

/// How surely everything that is started is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containment {
    /// Supervisors stand above all of it and end it, also when their user is killed.
    Subreaper,
    /// The process group is killed, and what else is found; what hides lives on, and so does everything when this
    /// program is killed.
    ProcessGroup,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Code(-1),
        }
    }
}

/// A process that was there when what had started it was gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftProcess {
    /// Its process id.
    pub pid: u32,
    /// Its command line, or the beginning of it.
    pub command: String,
    /// True if it was killed; otherwise it still runs.
    pub killed: bool,
}

/// Supervisors that are started while what they are to start is still being prepared.
#[derive(Debug)]
pub struct Supervisor {
    #[cfg(target_os = "linux")]
    pair: Option<Pair>,
    /// What else can be tried.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is none"))]
    others: Vec<PathBuf>,
    /// Why there is none.
    why_not: Vec<String>,
}

impl Supervisor {
    /// Starts them: the program `given`, or else the one beside this program, or else this program itself.
    ///
    /// # Panics
    /// When it is called outside a tokio runtime.
    pub fn start(given: Option<&Path>) -> Self {
        let mut supervisor = Self {
            #[cfg(target_os = "linux")]
            pair: None,
            others: candidates(given),
            why_not: Vec::new(),
        };
        if let Some(given) = given {
            *GIVEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(given.to_owned());
        }
        supervisor.next();
        supervisor
    }

    /// Starts the next ones.
    #[cfg(target_os = "linux")]
    fn next(&mut self) {
        while self.pair.is_none() && !self.others.is_empty() {
            let program = self.others.remove(0);
            match Pair::start(&program) {
                Ok(pair) => self.pair = Some(pair),
                Err(error) => self.why_not.push(format!("{}: {error}", program.display())),
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn next(&mut self) {}

    /// Why there is none.
    fn why(&self) -> String {
        if !self.why_not.is_empty() {
            return self.why_not.join("; ");
        }
        match cfg!(target_os = "linux") {
            true => "the program does not call belaykit::init() first in main".to_owned(),
            false => "this system has no subreaper".to_owned(),
        }
    }
}

/// How surely what is started now will be ended, as far as that is known before.
pub fn expected(given: Option<&Path>) -> Containment {
    let can = !candidates(given).is_empty() && tree::is_ours();
    if can { Containment::Subreaper } else { Containment::ProcessGroup }
}

/// Says once, on standard error, that what is started here is held less surely than it could be.
fn warn_once(why: &str) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        // Standard error that is closed has nobody who would read it.
        let _ = writeln!(
            io::stderr(),
            "belaykit: what an agent starts may outlive it, and all of it this program: {why}"
        );
    });
}

/// The programs that can be supervisors of a tool.
fn tool_candidates(given: Option<&Path>) -> Vec<PathBuf> {
    let mut all = candidates(given);
    if all.is_empty() {
        all.extend(GIVEN.lock().unwrap_or_else(PoisonError::into_inner).clone());
    }
    all
}

/// The programs that can be supervisors here, the best first.
fn candidates(given: Option<&Path>) -> Vec<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        // A program that was started as a supervisor and has no `init` must not start itself again and again.
        if supervisor::is_one() {
            return Vec::new();
        }
        if let Some(given) = given {
            return vec![given.to_owned()];
        }
        let beside = std::env::current_exe().ok().map(|exe| exe.with_file_name(supervisor::NAME));
        let beside = beside.filter(|program| program.is_file());
        // Also when the program's file has been replaced since it was started.
        let own = || INITIALIZED.load(Ordering::Relaxed).then(|| PathBuf::from("/proc/self/exe"));
        beside.into_iter().chain(own()).collect()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = given;
        Vec::new()
    }
}

/// What to start.
#[derive(Debug)]
pub struct Start<'a> {
    /// The program, as an absolute path.
    pub program: &'a Path,
    /// Its arguments.
    pub args: &'a [OsString],
    /// Its environment; nothing is added to it but the mark.
    pub env: Vec<(OsString, OsString)>,
    /// The folder it works in; that of this program, if there is none.
    pub cwd: Option<&'a Path>,
    /// SIGINT lets it end what it has started, and perhaps report: it comes before the kill.
    pub sigint: bool,
    /// What it leaves running is to go on.
    pub leave_running: bool,
    /// When supervisors end it although nobody has told them to: this program may be stopped and keep no time.
    pub deadline: Option<Duration>,
    /// What its environment is marked with.
    pub run_id: &'a str,
}

impl Start<'_> {
    /// The command of a child of our own, in a process group of its own: a Ctrl-C at the terminal goes to this program,
    /// which passes it on in its own way.
    fn command(&self, pipes: Pipes) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(cwd) = self.cwd {
            command.current_dir(cwd);
        }
        command.process_group(0);
        command.stdin(pipes.stdin).stdout(pipes.stdout).stderr(pipes.stderr);
        command
    }
}

/// A running program, its pipes drained from the first byte by tasks of their own.
#[derive(Debug)]
pub struct Process {
    hold: Hold,
    stdin: Option<mpsc::UnboundedSender<Vec<u8>>>,
    why_unsupervised: Option<String>,
}

/// How we hold the process.
#[derive(Debug)]
enum Hold {
    #[cfg(target_os = "linux")]
    Supervised(Supervised),
    Direct(Direct),
}

/// Something that came out of the process.
#[derive(Debug)]
pub enum Output {
    /// A piece of its standard output.
    Stdout(Vec<u8>),
    /// A piece of its standard error.
    Stderr(Vec<u8>),
    /// Standard output is at its end.
    StdoutEnd,
    /// Standard error is at its end.
    StderrEnd,
}

/// The program's ends of its pipes.
#[derive(Debug)]
pub(crate) struct Pipes {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Pipes {
    /// Three pipes: the program's ends, and ours of its input, output and errors.
    fn new() -> io::Result<(Self, [OwnedFd; 3])> {
        let (stdin_theirs, stdin) = io::pipe()?;
        let (stdout, stdout_theirs) = io::pipe()?;
        let (stderr, stderr_theirs) = io::pipe()?;
        let theirs = Self {
            stdin: stdin_theirs.into(),
            stdout: stdout_theirs.into(),
            stderr: stderr_theirs.into(),
        };
        Ok((theirs, [stdin.into(), stdout.into(), stderr.into()]))
    }
}

impl Process {
    /// Starts a program. What it prints goes to `inbox`, in order of arrival.
    ///
    /// # Errors
    /// The system's, if the program cannot be started. A supervisor that cannot be started is no error, see
    /// [`why_unsupervised`](Self::why_unsupervised).
    pub async fn start<T: From<Output> + Send + 'static>(
        mut start: Start<'_>,
        supervisor: Supervisor,
        inbox: mpsc::Sender<T>,
    ) -> io::Result<Self> {
        start.env.push((MARK.into(), start.run_id.into()));
        let (pipes, [stdin, stdout, stderr]) = Pipes::new()?;
        let stdin = pipe::Sender::from_owned_fd(stdin)?;
        let stdout = pipe::Receiver::from_owned_fd(stdout)?;
        let stderr = pipe::Receiver::from_owned_fd(stderr)?;
        let (hold, why_unsupervised) = Hold::start(&start, supervisor, pipes).await?;

        tokio::spawn(drain(stdout, Output::Stdout, Output::StdoutEnd, inbox.clone()));
        tokio::spawn(drain(stderr, Output::Stderr, Output::StderrEnd, inbox));
        let (sender, bytes) = mpsc::unbounded_channel();
        tokio::spawn(feed(stdin, bytes));
        Ok(Self { hold, stdin: Some(sender), why_unsupervised })
    }

    /// Why there is no supervisor, if there is none.
    pub fn why_unsupervised(&self) -> Option<&str> {
        self.why_unsupervised.as_deref()
    }

    /// The program's process id.
    pub fn id(&self) -> Option<u32> {
        let program = match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => Some(supervised.program),
            Hold::Direct(direct) => direct.agent,
        };
        program.map(raw)
    }

    /// The processes that may live on when this one is killed: the program, and the supervisors that then end it.
    pub fn family(&self) -> Vec<u32> {
        let mut family: Vec<u32> = self.id().into_iter().collect();
        #[cfg(target_os = "linux")]
        if let Hold::Supervised(supervised) = &self.hold {
            family.extend(supervised.ids().map(raw));
        }
        family
    }

    /// How surely everything that the program starts is ended.
    pub fn containment(&self) -> Containment {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(_) => Containment::Subreaper,
            Hold::Direct(_) => Containment::ProcessGroup,
        }
    }

    /// Writes to the program's standard input, behind everything that was written before.
    pub fn write(&self, bytes: Vec<u8>) {
        if let Some(stdin) = &self.stdin {
            // One that has closed its input is about to say why.
            let _ = stdin.send(bytes);
        }
    }

    /// Closes the program's standard input when all is written.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for the process to end. Can be called again after it was cancelled.
    pub async fn wait(&mut self) -> Exit {
        match &mut self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.wait().await,
            Hold::Direct(direct) => direct.wait().await,
        }
    }

    /// Sends a signal to the agent alone: its tools are its own to end. Or to its whole process group.
    pub fn signal(&self, signal: Signal, group: bool) {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => {
                supervised.order(wire::Order::Signal { signal: signal.as_raw(), group });
            }
            Hold::Direct(direct) => direct.signal(signal, group),
        }
    }

    /// Kills the agent and all that it has started.
    pub fn kill(&self) {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.order(wire::Order::Kill),
            Hold::Direct(direct) => direct.kill(),
        }
    }

    /// Freezes the agent and all that it has started.
    pub fn pause(&self) {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.order(wire::Order::Pause),
            Hold::Direct(direct) => direct.signal_all(Signal::STOP),
        }
    }

    /// Lets them go on.
    pub fn resume(&self) {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.order(wire::Order::Resume),
            Hold::Direct(direct) => direct.signal_all(Signal::CONT),
        }
    }

    /// Begins to end what an agent that is gone left behind, as soon as that can be done.
    pub fn begin_sweep(&self, leave_running: bool) {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.order(wire::Order::Sweep { leave_running }),
            // What the agent itself has printed is read first.
            Hold::Direct(_) => {}
        }
    }

    /// Waits until what was left behind is ended, or lists what goes on.
    pub async fn sweep(&mut self, leave_running: bool) -> Vec<LeftProcess> {
        match &mut self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.sweep(leave_running).await,
            Hold::Direct(direct) => direct.sweep(leave_running).await,
        }
    }

    /// Why a supervisor was lost while the program ran, if one was.
    pub fn lost_supervisor(&self) -> Option<&str> {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.lost.as_deref(),
            Hold::Direct(_) => None,
        }
    }
}

impl Hold {
    /// The surest hold that is to be had, and why it is not a surer one.
    #[cfg(target_os = "linux")]
    async fn start(
        start: &Start<'_>,
        mut supervisor: Supervisor,
        pipes: Pipes,
    ) -> io::Result<(Self, Option<String>)> {
        while let Some(pair) = supervisor.pair.take() {
            let name = pair.program.clone();
            match Supervised::start(pair, start, &pipes).await {
                Ok(supervised) => return Ok((Self::Supervised(supervised), None)),
                Err(NotSupervised::Program(error)) => return Err(error),
                Err(NotSupervised::Supervisor(error)) => {
                    supervisor.why_not.push(format!("{}: {error}", name.display()));
                    supervisor.next();
                }
            }
        }
        let why = supervisor.why();
        warn_once(&why);
        Ok((Self::Direct(Direct::start(start, pipes)?), Some(why)))
    }

    #[cfg(not(target_os = "linux"))]
    async fn start(
        start: &Start<'_>,
        supervisor: Supervisor,
        pipes: Pipes,
    ) -> io::Result<(Self, Option<String>)> {
        Ok((Self::Direct(Direct::start(start, pipes)?), Some(supervisor.why())))
    }
}

fn raw(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

/// The entry of the environment by which everything of a run is known.
fn mark(run_id: &str) -> String {
    format!("{MARK}={run_id}")
}

/// Kills all that carries the mark, and names it.
async fn kill_marked(mark: &str) -> Vec<LeftProcess> {
    let mut killed: Vec<LeftProcess> = Vec::new();
    let patience = Instant::now() + SWEEP;
    // What is started while we look is found the next time.
    loop {
        let pids = tree::marked(mark);
        if pids.is_empty() || Instant::now() >= patience {
            return killed;
        }
        for process in pids.iter().map(|pid| tree::describe(*pid, true)) {
            if !killed.iter().any(|known| known.pid == process.pid) {
                killed.push(process);
            }
        }
        tree::signal(&pids, Signal::KILL);
        tokio::time::sleep(KILLED_AGAIN).await;
    }
}

/// Reads a pipe to its end. It waits for nobody but who takes what comes, who himself waits for nobody.
async fn drain<T: From<Output>>(
    mut pipe: impl AsyncRead + Unpin,
    wrap: fn(Vec<u8>) -> Output,
    end: Output,
    inbox: mpsc::Sender<T>,
) {
    let mut buffer = vec![0; READ_BYTES];
    // A pipe that cannot be read is at its end.
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        if inbox.send(wrap(buffer[..n].to_vec()).into()).await.is_err() {
            return;
        }
    }
    let _ = inbox.send(end.into()).await;
}

/// Writes to the agent's input until nobody has anything more to say, or it no longer listens.
async fn feed(mut stdin: pipe::Sender, mut bytes: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(bytes) = bytes.recv().await {
        if stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}
