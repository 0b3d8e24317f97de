//! One agent process and everything that it starts: begun in one place, which knows how it all ends.
//!
//! Agents start their tools in sessions of their own, so killing an agent, or its process group, leaves them
//! running (measured for Claude Code, Codex and OpenCode). How surely they are ended depends on the
//! [`Containment`] that a run has, which is part of its record:
//!
//! - `subreaper` (Linux): between belay and the agent stands a supervisor, a small process below which
//!   everything stays that the agent starts. It ends all of it when the run is over, and also when your program
//!   is killed. The supervisor is your own program started again, for which it calls [`hook`] first in `main`,
//!   or another program that does, named with [`Client::supervisor`](crate::Client::supervisor): `belay`, or
//!   the tiny `belay-supervisor` of this package.
//! - `process_group`: the agent is a child of your program, which kills its group, what is below it and, on
//!   Linux, what has the run's `BELAY_RUN_ID` in its environment. What hides from all three lives on, and so
//!   does everything when your program is killed.
//!
//! macOS and Windows have no subreaper. Job objects and their like would take the place of `direct`; they are
//! neither written nor compiled here.

mod direct;
pub(crate) mod ladder;
#[cfg(target_os = "linux")]
mod supervised;
#[cfg(target_os = "linux")]
mod supervisor;
mod tree;
#[cfg(target_os = "linux")]
mod wire;

use belay_agents::{Exit, HttpId, StopPlan};
use belay_trace::{Containment, LeftProcess};
use rustix::process::Signal;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::direct::Direct;
#[cfg(target_os = "linux")]
use self::supervised::{NotSupervised, Supervised};
use crate::limits::{KILLED_AGAIN, READ_BYTES, SWEEP};

/// The name under which a program is started to be a supervisor; it also stands in the list of processes.
const SUPERVISOR_NAME: &str = "belay-supervisor";

/// The variable that marks everything an agent starts with its run's id.
pub(crate) const MARK: &str = "BELAY_RUN_ID";

static HOOKED: AtomicBool = AtomicBool::new(false);

/// Lets this program be its own supervisor. Call it first in `main`, before any thread or runtime is started.
///
/// In a program that was started as a supervisor it does that work and ends the process; otherwise it returns
/// at once. Without it, and without [`Client::supervisor`](crate::Client::supervisor), what an agent starts is
/// contained less surely, see [the module](self).
///
/// ```no_run
/// // fn main() {
/// belaykit::supervise::hook();
/// // … the program itself
/// ```
pub fn hook() {
    #[cfg(target_os = "linux")]
    if is_supervisor() {
        let done = supervisor::run();
        // Nobody reads our words; the code is for whoever looks with strace.
        std::process::exit(i32::from(done.is_err()));
    }
    HOOKED.store(true, Ordering::Relaxed);
}

/// True in a process that was started to be a supervisor.
fn is_supervisor() -> bool {
    std::env::args_os().next().is_some_and(|name| name == SUPERVISOR_NAME)
}

/// The program to start as supervisor, if there is one.
pub(crate) fn supervisor(given: Option<&Path>) -> Option<PathBuf> {
    // A program that was started as a supervisor and has no hook must not start itself again and again.
    if !cfg!(target_os = "linux") || is_supervisor() {
        return None;
    }
    // Also when the program's file has been replaced since it was started.
    let own = || HOOKED.load(Ordering::Relaxed).then(|| PathBuf::from("/proc/self/exe"));
    given.map(Path::to_owned).or_else(own)
}

/// What to start.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) program: &'a Path,
    pub(crate) args: &'a [OsString],
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: Option<&'a Path>,
    pub(crate) plan: StopPlan,
    pub(crate) run_id: &'a str,
    /// The program to put between us and the agent.
    pub(crate) supervisor: Option<PathBuf>,
}

/// A running agent process, its pipes drained from the first byte by tasks of their own.
#[derive(Debug)]
pub(crate) struct Process {
    hold: Hold,
    stdin: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// Why there is no supervisor although there should be one.
    pub(crate) unsupervised: Option<String>,
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
pub(crate) enum Output {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    /// One of the two pipes is at its end.
    End,
    /// The agent's server has answered, or why it has not: its status and body.
    Http(HttpId, u16, Vec<u8>),
    /// The agent's server has sent an event.
    Sse(Vec<u8>),
}

/// The agent's ends of its pipes.
#[derive(Debug)]
struct Pipes {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Process {
    /// Starts a program. What it prints goes to `inbox`, in order of arrival.
    pub(crate) async fn start(
        mut start: Start<'_>,
        inbox: mpsc::Sender<Output>,
    ) -> io::Result<Self> {
        start.env.push((MARK.into(), start.run_id.into()));
        let (stdin_theirs, stdin) = io::pipe()?;
        let (stdout, stdout_theirs) = io::pipe()?;
        let (stderr, stderr_theirs) = io::pipe()?;
        let pipes = Pipes {
            stdin: stdin_theirs.into(),
            stdout: stdout_theirs.into(),
            stderr: stderr_theirs.into(),
        };
        let stdin = pipe::Sender::from_owned_fd(stdin.into())?;
        let stdout = pipe::Receiver::from_owned_fd(stdout.into())?;
        let stderr = pipe::Receiver::from_owned_fd(stderr.into())?;
        let (hold, unsupervised) = Hold::start(&start, pipes).await?;

        tokio::spawn(drain(stdout, Output::Stdout, inbox.clone()));
        tokio::spawn(drain(stderr, Output::Stderr, inbox));
        let (sender, bytes) = mpsc::unbounded_channel();
        tokio::spawn(feed(stdin, bytes));
        Ok(Self { hold, stdin: Some(sender), unsupervised })
    }

    /// The agent's process id.
    pub(crate) fn id(&self) -> Option<u32> {
        let agent = match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => Some(supervised.agent),
            Hold::Direct(direct) => direct.agent,
        };
        agent.map(|agent| agent.as_raw_nonzero().get().unsigned_abs())
    }

    /// The processes that may live on when this one is killed: the agent, and the supervisor that then ends it.
    pub(crate) fn family(&self) -> Vec<u32> {
        let supervisor = match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.id(),
            Hold::Direct(_) => None,
        };
        self.id().into_iter().chain(supervisor).collect()
    }

    /// How surely everything that the agent starts is ended.
    pub(crate) fn containment(&self) -> Containment {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(_) => Containment::Subreaper,
            Hold::Direct(_) => Containment::ProcessGroup,
        }
    }

    /// Writes to the agent's standard input, behind everything that was written before.
    pub(crate) fn write(&self, bytes: Vec<u8>) {
        if let Some(stdin) = &self.stdin {
            // An agent that has closed its input is about to say why.
            let _ = stdin.send(bytes);
        }
    }

    /// Closes the agent's standard input when all is written.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for the process to end. Can be called again after it was cancelled.
    pub(crate) async fn wait(&mut self) -> Exit {
        match &mut self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.wait().await,
            Hold::Direct(direct) => direct.wait().await,
        }
    }

    /// Sends a signal to the agent alone: its tools are its own to end. Or to its whole process group.
    pub(crate) fn signal(&self, signal: Signal, group: bool) {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => {
                supervised.order(wire::Order::Signal { signal: signal.as_raw(), group });
            }
            Hold::Direct(direct) => direct.signal(signal, group),
        }
    }

    /// Kills the agent and all that it has started.
    pub(crate) fn kill(&self) {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.order(wire::Order::Kill),
            Hold::Direct(direct) => direct.kill(),
        }
    }

    /// Freezes the agent and all that it has started.
    pub(crate) fn pause(&self) {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.order(wire::Order::Pause),
            Hold::Direct(direct) => direct.signal_all(Signal::STOP),
        }
    }

    /// Lets them go on.
    pub(crate) fn resume(&self) {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.order(wire::Order::Resume),
            Hold::Direct(direct) => direct.signal_all(Signal::CONT),
        }
    }

    /// Begins to end what an agent that is gone left behind, as soon as that can be done.
    pub(crate) fn begin_sweep(&self, leave_running: bool) {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.order(wire::Order::Sweep { leave_running }),
            // What the agent itself has printed is read first.
            Hold::Direct(_) => {}
        }
    }

    /// Waits until what was left behind is ended, or lists what goes on.
    pub(crate) async fn sweep(&mut self, leave_running: bool) -> Vec<LeftProcess> {
        match &mut self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.sweep(leave_running).await,
            Hold::Direct(direct) => direct.sweep(leave_running).await,
        }
    }

    /// True if the supervisor was killed while the agent ran.
    pub(crate) fn has_lost_its_supervisor(&self) -> bool {
        match &self.hold {
            #[cfg(target_os = "linux")]
            Hold::Supervised(supervised) => supervised.is_lost,
            Hold::Direct(_) => false,
        }
    }
}

impl Hold {
    /// The surest hold that is to be had, and why it is not a surer one.
    #[cfg(target_os = "linux")]
    async fn start(start: &Start<'_>, pipes: Pipes) -> io::Result<(Self, Option<String>)> {
        let mut unsupervised = None;
        if let Some(supervisor) = &start.supervisor {
            match Supervised::start(supervisor, start, &pipes).await {
                Ok(supervised) => return Ok((Self::Supervised(supervised), None)),
                Err(NotSupervised::Agent(error)) => return Err(error),
                Err(NotSupervised::Supervisor(error)) => {
                    unsupervised = Some(format!("{}: {error}", supervisor.display()));
                }
            }
        }
        Ok((Self::Direct(Direct::start(start, pipes)?), unsupervised))
    }

    #[cfg(not(target_os = "linux"))]
    async fn start(start: &Start<'_>, pipes: Pipes) -> io::Result<(Self, Option<String>)> {
        Ok((Self::Direct(Direct::start(start, pipes)?), None))
    }
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

/// Reads a pipe to its end. It waits for nobody but the loop of the run, which itself waits for nobody.
async fn drain(
    mut pipe: impl AsyncRead + Unpin,
    wrap: fn(Vec<u8>) -> Output,
    inbox: mpsc::Sender<Output>,
) {
    let mut buffer = vec![0; READ_BYTES];
    // A pipe that cannot be read is at its end.
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        if inbox.send(wrap(buffer[..n].to_vec())).await.is_err() {
            return;
        }
    }
    let _ = inbox.send(Output::End).await;
}

/// Writes to the agent's input until nobody has anything more to say, or it no longer listens.
async fn feed(mut stdin: pipe::Sender, mut bytes: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(bytes) = bytes.recv().await {
        if stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}
