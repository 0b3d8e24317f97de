//! The supervisor: a process between belay and one agent that outlives both long enough to clean up.
//!
//! It is a subreaper: whatever the agent starts, in whatever session, is below it for ever. It holds one end of
//! a socket; when the other end closes, belay is gone, and it stops the agent and ends all that is below.
//! What is below it is found by walking `/proc`, frozen, looked at again, and killed, until nothing is left.

use super::tree;
use super::wire::{self, Launch, Order, Report};
use crate::limits::{ABANDONED_SIGINT, KILLED_AGAIN, LEFT_BEHIND, SWEEP};
use belay_trace::LeftProcess;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper,
    setsid, wait,
};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as BlockingStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{Instant, timeout};

/// Does the supervisor's work and returns when nothing is left to do.
pub(super) fn run() -> io::Result<()> {
    let socket = BlockingStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // The agent must not get it as an input of its own.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    // Out of the terminal's reach: a Ctrl-C is belay's to pass on. Fails only for the leader of a group.
    let _ = setsid();
    let pipes = wire::receive_pipes(&socket)?;
    let mut lines = BufReader::new(socket.try_clone()?);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let launch: Launch = serde_json::from_str(&line)?;
    debug_assert!(lines.buffer().is_empty(), "belay waits for our first report");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise(socket, &launch, pipes))
}

async fn supervise(socket: BlockingStream, launch: &Launch, pipes: [OwnedFd; 3]) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let (orders, reports) = UnixStream::from_std(socket)?.into_split();
    let mut orders = tokio::io::BufReader::new(orders).lines();
    let children = signal(SignalKind::child())?;
    let mut told_to_end = signal(SignalKind::terminate())?;
    // Whoever means the agent asks belay.
    let _deaf = [signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?];

    let mut supervisor =
        Supervisor { agent: None, sigint: launch.sigint, children, reports, found: Vec::new() };
    if let Err(error) = set_child_subreaper(Some(getpid())) {
        let message = format!("the system has no subreaper: {error}");
        return supervisor.report(&Report::Unable { message }).await;
    }
    match start(launch, pipes) {
        Ok(agent) => {
            // belay was killed meanwhile: nobody else knows of the agent.
            if supervisor.started(agent).await.is_err() {
                return supervisor.abandoned().await;
            }
        }
        Err(error) => {
            let (errno, message) = (error.raw_os_error(), error.to_string());
            return supervisor.report(&Report::NotStarted { errno, message }).await;
        }
    }
    loop {
        tokio::select! {
            line = orders.next_line() => {
                // An order that was cut off has nobody behind it any more, like none at all.
                let line = line.ok().flatten();
                let order = line.and_then(|line| serde_json::from_str(&line).ok());
                match order {
                    Some(order) => {
                        if supervisor.obey(order).await? {
                            return Ok(());
                        }
                    }
                    None => return supervisor.abandoned().await,
                }
            },
            _ = supervisor.children.recv() => supervisor.reap().await,
            _ = told_to_end.recv() => return supervisor.abandoned().await,
        }
    }
}

/// Starts the agent in a process group of its own. Our copies of its pipes are closed with the command.
fn start(launch: &Launch, [stdin, stdout, stderr]: [OwnedFd; 3]) -> io::Result<Pid> {
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.args)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)));
    if let Some(cwd) = &launch.cwd {
        command.current_dir(cwd);
    }
    command.process_group(0).stdin(stdin).stdout(stdout).stderr(stderr);
    command.spawn().map(|child| Pid::from_child(&child))
}

struct Supervisor {
    /// The agent, as long as it lives.
    agent: Option<Pid>,
    sigint: bool,
    children: Signals,
    reports: OwnedWriteHalf,
    /// What was killed besides the agent.
    found: Vec<LeftProcess>,
}

impl Supervisor {
    async fn started(&mut self, agent: Pid) -> io::Result<()> {
        self.agent = Some(agent);
        self.report(&Report::Started { pid: agent.as_raw_nonzero().get().unsigned_abs() }).await
    }

    async fn report(&mut self, report: &Report) -> io::Result<()> {
        self.reports.write_all(&wire::line(report)).await
    }

    /// True when that was the last order.
    async fn obey(&mut self, order: Order) -> io::Result<bool> {
        match order {
            Order::Signal { signal, group } => {
                if let (Some(agent), Some(signal)) = (self.agent, Signal::from_named_raw(signal)) {
                    // An agent that is gone needs no signal.
                    let _ = if group {
                        kill_process_group(agent, signal)
                    } else {
                        kill_process(agent, signal)
                    };
                }
            }
            Order::Kill => self.kill_all().await,
            Order::Pause => tree::signal(&tree::below(getpid()), Signal::STOP),
            Order::Resume => tree::signal(&tree::below(getpid()), Signal::CONT),
            Order::Sweep { leave_running } => {
                self.sweep(leave_running).await;
                let found = std::mem::take(&mut self.found);
                self.report(&Report::Swept { found }).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes in whoever has died: the agent, or an orphan that was left to us.
    async fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if self.agent != Some(pid) {
                continue;
            }
            self.agent = None;
            let report = match (status.exit_status(), status.terminating_signal()) {
                (_, Some(signal)) => Report::ExitSignal(signal),
                (code, None) => Report::ExitCode(code.unwrap_or(-1)),
            };
            // If belay is gone, the next order says so.
            let _ = self.report(&report).await;
        }
    }

    /// Ends what the agent left behind, or says that it goes on.
    async fn sweep(&mut self, leave_running: bool) {
        // What ends with the agent is given the time to do so.
        let patience = Instant::now() + LEFT_BEHIND;
        while !tree::below(getpid()).is_empty() && Instant::now() < patience {
            self.some_child_died(KILLED_AGAIN).await;
        }
        if leave_running {
            let left = tree::below(getpid());
            self.found.extend(left.into_iter().map(|pid| tree::describe(pid, false)));
        } else {
            self.kill_all().await;
        }
    }

    /// Kills everything below us, the agent too.
    async fn kill_all(&mut self) {
        let patience = Instant::now() + SWEEP;
        loop {
            let first_look = tree::below(getpid());
            // Frozen, so that nothing is started while we look again.
            tree::signal(&first_look, Signal::STOP);
            let pids = tree::below(getpid());
            let strangers = pids.iter().filter(|pid| Some(**pid) != self.agent);
            for process in strangers.map(|pid| tree::describe(*pid, true)) {
                if !self.found.iter().any(|known| known.pid == process.pid) {
                    self.found.push(process);
                }
            }
            tree::signal(&pids, Signal::KILL);
            self.reap().await;
            if pids.is_empty() && first_look.is_empty() {
                return;
            }
            if Instant::now() >= patience {
                // What no kill can end, such as a process that hangs in the kernel.
                let alive = tree::below(getpid());
                for process in &mut self.found {
                    let is_it =
                        |pid: &Pid| pid.as_raw_nonzero().get().unsigned_abs() == process.pid;
                    process.killed = !alive.iter().any(is_it);
                }
                return;
            }
            self.some_child_died(KILLED_AGAIN).await;
        }
    }

    async fn some_child_died(&mut self, patience: Duration) {
        let _ = timeout(patience, self.children.recv()).await;
        self.reap().await;
    }

    /// belay is gone: nobody is left to hear how it ends.
    async fn abandoned(&mut self) -> io::Result<()> {
        let patience = Instant::now() + ABANDONED_SIGINT;
        if let Some(agent) = self.agent
            && self.sigint
        {
            let _ = kill_process(agent, Signal::CONT);
            let _ = kill_process(agent, Signal::INT);
            while self.agent.is_some() && Instant::now() < patience {
                self.some_child_died(KILLED_AGAIN).await;
            }
        }
        self.kill_all().await;
        Ok(())
    }
}
