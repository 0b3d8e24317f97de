//! The user's end of a supervised program.

use crate::children::OwnChild;
use crate::limits::{START, SWEEP_ANSWER};
use crate::pair::{self, NotSupervised, Pair};
use crate::wire::{self, Order, Report};
use crate::{Exit, LeftProcess, Pipes, Start, children, mark, tree};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// A program below two supervisors. Dropping it closes the socket, and they end the program.
#[derive(Debug)]
pub(crate) struct Supervised {
    pub(crate) program: Pid,
    outer: Option<Pid>,
    inner: Pid,
    orders: mpsc::UnboundedSender<Order>,
    reports: mpsc::UnboundedReceiver<Report>,
    exit: Option<Exit>,
    mark: String,
    /// Why there is no supervisor any more, while the program ran.
    pub(crate) lost: Option<String>,
    /// What was swept with the program's end, before anybody has asked.
    swept: Option<Vec<LeftProcess>>,
}

impl Supervised {
    /// Starts the program below these supervisors, with these ends of its pipes.
    pub(crate) async fn start(
        pair: Pair,
        start: &Start<'_>,
        pipes: &Pipes,
    ) -> Result<Self, NotSupervised> {
        let begun = timeout(START, begin(pair, start, pipes)).await;
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it does not answer");
        let (child, (lines, orders_out), report) =
            begun.map_err(late).flatten().map_err(NotSupervised::Supervisor)?;
        let (program, inner) = pair::started(report)?;
        let outer = child.id();

        let (orders, orders_in) = mpsc::unbounded_channel();
        tokio::spawn(tell(orders_out, orders_in));
        let (sender, reports) = mpsc::unbounded_channel();
        tokio::spawn(Listening { lines, outer: child, outer_id: outer, inner, sender }.run());
        let mark = mark(start.run_id);
        Ok(Self {
            program,
            outer,
            inner,
            orders,
            reports,
            exit: None,
            mark,
            lost: None,
            swept: None,
        })
    }

    /// The ids of the supervisors.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Pid> {
        self.outer.into_iter().chain([self.inner])
    }

    /// Gives an order. Supervisors that are gone are noticed by [`wait`](Self::wait).
    pub(crate) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// Waits for the program to end. Can be called again after it was cancelled.
    pub(crate) async fn wait(&mut self) -> Exit {
        while self.exit.is_none() {
            match self.reports.recv().await {
                Some(Report::Lost { why }) => self.lost = Some(why),
                Some(Report::Swept { found }) => {
                    // The program's end was never told: who would have told it was killed.
                    self.swept = Some(found);
                    self.exit = Some(Exit::Code(-1));
                }
                Some(report) => self.exit = report.exit(),
                None => {
                    self.be_lost();
                    self.exit = Some(Exit::Code(-1));
                }
            }
        }
        self.exit.unwrap_or(Exit::Code(-1))
    }

    /// Waits for the report on what the program left behind.
    pub(crate) async fn sweep(&mut self, leave_running: bool) -> Vec<LeftProcess> {
        // Until the supervisors are gone as well.
        let swept = timeout(SWEEP_ANSWER, async {
            while let Some(report) = self.reports.recv().await {
                match report {
                    Report::Swept { found } => self.swept = Some(found),
                    Report::Lost { why } => self.lost = Some(why),
                    _ => {}
                }
            }
        });
        let is_over = swept.await.is_ok();
        match self.swept.take() {
            Some(found) => found,
            // Both were killed.
            None if is_over && !leave_running => {
                self.be_lost();
                crate::kill_marked(&self.mark).await
            }
            None => Vec::new(),
        }
    }

    /// Both supervisors were killed, or do nothing any more: what they would have done, as far as it can be done
    /// from here.
    fn be_lost(&mut self) {
        let why = || "the supervisors of the agent were killed".to_owned();
        self.lost.get_or_insert_with(why);
        for signal in [Signal::STOP, Signal::KILL] {
            let below = tree::below(self.program);
            // The group of a process that is gone has no other members, or they are its own.
            let _ = kill_process_group(self.program, signal);
            tree::signal(&below, signal);
        }
        children::kill_orphans();
    }
}

type Ends = (Lines<BufReader<OwnedReadHalf>>, OwnedWriteHalf);

/// Tells the supervisors what to start, and waits for their first report.
async fn begin(
    pair: Pair,
    start: &Start<'_>,
    pipes: &Pipes,
) -> io::Result<(OwnChild, Ends, Option<Report>)> {
    pair.send(pipes)?;
    pair.socket.set_nonblocking(true)?;
    let (reports, mut orders) = UnixStream::from_std(pair.socket)?.into_split();
    orders.write_all(&pair::launch(start)).await?;
    let mut reports = BufReader::new(reports).lines();
    let report = next(&mut reports).await?;
    Ok((pair.outer, (reports, orders), report))
}

/// The next report; none when both supervisors are gone.
async fn next(reports: &mut Lines<BufReader<OwnedReadHalf>>) -> io::Result<Option<Report>> {
    while let Some(line) = reports.next_line().await? {
        // One that was killed may have said half a word.
        if let Ok(report) = serde_json::from_str(&line) {
            return Ok(Some(report));
        }
    }
    Ok(None)
}

/// Passes orders on until nobody has any more; then the socket closes.
async fn tell(mut socket: OwnedWriteHalf, mut orders: mpsc::UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        if socket.write_all(&wire::line(&order)).await.is_err() {
            return;
        }
    }
}

/// Hears what the supervisors report, and whether they live.
struct Listening {
    lines: Lines<BufReader<OwnedReadHalf>>,
    outer: OwnChild,
    outer_id: Option<Pid>,
    inner: Pid,
    sender: mpsc::UnboundedSender<Report>,
}

impl Listening {
    async fn run(mut self) {
        let inner = pidfd_open(self.inner, PidfdFlags::NONBLOCK).ok();
        #[expect(deprecated, reason = "an OwnedFd is what it was unsound without")]
        let inner = inner.and_then(|fd| AsyncFd::new(fd).ok());
        // When one of them is gone, how long the other may take to end all.
        let mut until: Option<Instant> = None;
        let mut outer_lives = true;
        loop {
            tokio::select! {
                biased;
                report = next(&mut self.lines) => {
                    let Ok(Some(report)) = report else { break };
                    let is_last = matches!(report, Report::Swept { .. });
                    if self.sender.send(report).is_err() || is_last {
                        break;
                    }
                }
                _ = self.outer.wait(), if outer_lives => {
                    outer_lives = false;
                    // Nobody else would ever continue one that is stopped.
                    let _ = kill_process(self.inner, Signal::CONT);
                    until.get_or_insert_with(|| Instant::now() + SWEEP_ANSWER);
                }
                () = ended(inner.as_ref()), if until.is_none() => {
                    if let Some(outer) = self.outer_id.filter(|_| outer_lives) {
                        let _ = kill_process(outer, Signal::CONT);
                    }
                    until = Some(Instant::now() + SWEEP_ANSWER);
                }
                () = at(until), if until.is_some() => {
                    self.kill(inner.as_ref(), outer_lives);
                    break;
                }
            }
        }
        // It has said its last word; what is left is to take it in.
        if timeout(SWEEP_ANSWER, self.outer.wait()).await.is_err() {
            self.outer.start_kill();
            let _ = self.outer.wait().await;
        }
        // The supervisors are gone.
        drop(self.sender);
    }
}

impl Listening {
    /// Does the work of supervisors that do nothing any more.
    fn kill(&mut self, inner: Option<&AsyncFd<OwnedFd>>, outer_lives: bool) {
        let lives = |fd: &&AsyncFd<OwnedFd>| pidfd_send_signal(fd, Signal::CONT).is_ok();
        let inner = inner.filter(lives);
        let roots: Vec<Pid> = self
            .outer_id
            .filter(|_| outer_lives)
            .into_iter()
            .chain(inner.map(|_| self.inner))
            .collect();
        for signal in [Signal::STOP, Signal::KILL] {
            for root in &roots {
                tree::signal(&tree::below(*root), signal);
            }
        }
        if let Some(inner) = inner {
            let _ = pidfd_send_signal(inner, Signal::KILL);
        }
        if outer_lives {
            self.outer.start_kill();
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Resolves when the process is gone; never, if the system cannot tell.
async fn ended(process: Option<&AsyncFd<OwnedFd>>) {
    match process {
        Some(process) => drop(process.readable().await),
        None => std::future::pending().await,
    }
}
