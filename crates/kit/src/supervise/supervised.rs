//! belay's end of a supervised agent.

use super::wire::{self, Launch, Order, Report};
use super::{Pipes, Start, mark, tree};
use crate::limits::{SUPERVISOR_START, SWEEP_ANSWER};
use belay_agents::Exit;
use belay_trace::LeftProcess;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as BlockingStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// An agent below a supervisor. Dropping it closes the socket, and the supervisor stops the agent.
#[derive(Debug)]
pub(super) struct Supervised {
    pub(super) agent: Pid,
    supervisor: Child,
    orders: mpsc::UnboundedSender<Order>,
    reports: mpsc::UnboundedReceiver<Report>,
    exit: Option<Exit>,
    mark: String,
    /// The supervisor was killed while the agent ran.
    pub(super) is_lost: bool,
}

/// Why an agent does not run below a supervisor.
pub(super) enum NotSupervised {
    /// The agent's own program could not be started.
    Agent(io::Error),
    /// There is no supervisor.
    Supervisor(io::Error),
}

impl Supervised {
    /// Starts `supervisor`, and the agent below it with these ends of its pipes.
    pub(super) async fn start(
        supervisor: &Path,
        start: &Start<'_>,
        pipes: &Pipes,
    ) -> Result<Self, NotSupervised> {
        let begun = timeout(SUPERVISOR_START, begin(supervisor, start, pipes)).await;
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it does not answer");
        let (child, (mut lines, orders_out), report) =
            begun.map_err(late).flatten().map_err(NotSupervised::Supervisor)?;
        let agent = match report {
            Report::Started { pid } => i32::try_from(pid).ok().and_then(Pid::from_raw),
            Report::NotStarted { errno, message } => {
                let error = match errno {
                    Some(errno) => io::Error::from_raw_os_error(errno),
                    None => io::Error::new(io::ErrorKind::InvalidInput, message),
                };
                return Err(NotSupervised::Agent(error));
            }
            Report::Unable { message } => {
                return Err(NotSupervised::Supervisor(io::Error::other(message)));
            }
            _ => None,
        };
        let agent = agent
            .ok_or_else(|| NotSupervised::Supervisor(io::Error::other("it talks nonsense")))?;

        let (orders, orders_in) = mpsc::unbounded_channel();
        tokio::spawn(tell(orders_out, orders_in));
        let (sender, reports) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(report)) = next(&mut lines).await {
                if sender.send(report).is_err() {
                    return;
                }
            }
        });
        let mark = mark(start.run_id);
        Ok(Self { agent, supervisor: child, orders, reports, exit: None, mark, is_lost: false })
    }

    /// The supervisor's process id.
    pub(super) fn id(&self) -> Option<u32> {
        self.supervisor.id()
    }

    /// Gives an order. A supervisor that is gone is noticed by [`wait`](Self::wait).
    pub(super) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// Waits for the agent to end. Can be called again after it was cancelled.
    pub(super) async fn wait(&mut self) -> Exit {
        while self.exit.is_none() {
            match self.reports.recv().await {
                Some(report) => self.exit = report.exit(),
                None => {
                    self.is_lost = true;
                    self.kill_without_supervisor();
                    self.exit = Some(Exit::Code(-1));
                }
            }
        }
        self.exit.unwrap_or(Exit::Code(-1))
    }

    /// Waits for the report on what the agent left behind.
    pub(super) async fn sweep(&mut self, leave_running: bool) -> Vec<LeftProcess> {
        let swept = timeout(SWEEP_ANSWER, async {
            loop {
                match self.reports.recv().await {
                    Some(Report::Swept { found }) => return found,
                    Some(_) => {}
                    None if self.is_lost => return Vec::new(),
                    None => {
                        self.is_lost = true;
                        return Vec::new();
                    }
                }
            }
        });
        let found = swept.await.unwrap_or_default();
        if self.is_lost && !leave_running {
            return super::kill_marked(&self.mark).await;
        }
        // It has said its last word; what is left is to take it in.
        let _ = timeout(SWEEP_ANSWER, self.supervisor.wait()).await;
        found
    }

    /// The supervisor was killed: what it would have done, as far as it can be done from here.
    fn kill_without_supervisor(&self) {
        let below = tree::below(self.agent);
        // The group of a process that is gone has no other members, or they are its own.
        let _ = kill_process_group(self.agent, Signal::KILL);
        tree::signal(&below, Signal::KILL);
    }
}

type Ends = (BufReader<OwnedReadHalf>, OwnedWriteHalf);

/// Starts the supervisor, tells it what to start, and waits for its first report.
async fn begin(
    program: &Path,
    start: &Start<'_>,
    pipes: &Pipes,
) -> io::Result<(Child, Ends, Report)> {
    let (ours, theirs) = BlockingStream::pair()?;
    let mut command = std::process::Command::new(program);
    command.arg0(super::SUPERVISOR_NAME).stdin(OwnedFd::from(theirs));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = Command::from(command).spawn()?;
    wire::send_pipes(&ours, [pipes.stdin.as_fd(), pipes.stdout.as_fd(), pipes.stderr.as_fd()])?;
    ours.set_nonblocking(true)?;
    let (reports, mut orders) = UnixStream::from_std(ours)?.into_split();
    let launch = Launch {
        program: start.program.into(),
        args: start.args.to_vec(),
        env: start.env.clone(),
        cwd: start.cwd.map(Into::into),
        sigint: start.plan.sigint,
    };
    orders.write_all(&wire::line(&launch)).await?;
    let mut reports = BufReader::new(reports);
    let report = next(&mut reports).await?;
    let report = report.ok_or_else(|| io::Error::other("it is no supervisor"))?;
    Ok((child, (reports, orders), report))
}

async fn next(reports: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Report>> {
    let mut line = String::new();
    if reports.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}

/// Passes orders on until nobody has any more; then the socket closes.
async fn tell(mut socket: OwnedWriteHalf, mut orders: mpsc::UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        if socket.write_all(&wire::line(&order)).await.is_err() {
            return;
        }
    }
}
