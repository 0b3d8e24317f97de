//! The inner supervisor: it starts the program, obeys its user, and ends everything that is left.

use super::{Supervisor, take};
use crate::limits::{ABANDONED_SIGINT, DEADLINE_GRACE, KILLED_AGAIN, LEFT_BEHIND};
use crate::tree;
use crate::wire::{self, Launch, Order, Report};
use rustix::process::{
    Pid, Signal, WaitStatus, getpid, getppid, kill_process, kill_process_group,
    set_child_subreaper, setsid,
};
use std::io::{self, BufRead as _, BufReader};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

pub(super) fn run() -> io::Result<()> {
    let socket = take(io::stdin(), rustix::stdio::dup2_stdin)?;
    let link = take(io::stdout(), rustix::stdio::dup2_stdout)?;
    let _ = setsid();
    let mut supervisor = Supervisor::new(socket)?;
    if let Err(error) = set_child_subreaper(Some(getpid())) {
        let message = format!("the system has no subreaper: {error}");
        supervisor.report(&Report::Unable { message });
        return Ok(());
    }
    let done = Inner::start(supervisor, link).map_or(Ok(()), |mut inner| inner.run());
    // One that was stopped would stand still for ever.
    if let Some(outer) = getppid() {
        let _ = kill_process(outer, Signal::CONT);
    }
    done
}

struct Inner {
    supervisor: Supervisor,
    orders: BufReader<UnixStream>,
    /// The other supervisor.
    link: UnixStream,
    /// The program, as long as it lives.
    program: Option<Pid>,
    sigint: bool,
    leave_running: bool,
    /// When the program is ended in any case.
    deadline: Option<Instant>,
    /// Since when everything is frozen.
    paused: Option<Instant>,
    has_swept: bool,
}

impl Inner {
    /// Hears what to start, and starts it; nothing, if there is nothing more to do.
    fn start(mut supervisor: Supervisor, link: UnixStream) -> Option<Self> {
        let pipes = wire::receive_pipes(&supervisor.socket).ok()?;
        let mut orders = BufReader::new(supervisor.socket.try_clone().ok()?);
        let mut line = String::new();
        orders.read_line(&mut line).ok()?;
        let launch: Launch = match serde_json::from_str(&line) {
            Ok(launch) => launch,
            // Its user was killed in the middle of it, or talks otherwise than we do.
            Err(error) => {
                supervisor.report(&Report::Unable { message: error.to_string() });
                return None;
            }
        };
        let program = match start(&launch, pipes) {
            Ok(program) => program,
            Err(error) => {
                let (errno, message) = (error.raw_os_error(), error.to_string());
                supervisor.report(&Report::NotStarted { errno, message });
                return None;
            }
        };
        supervisor.report(&Report::Started {
            pid: program.as_raw_nonzero().get().unsigned_abs(),
            supervisor: std::process::id(),
        });
        Some(Self {
            supervisor,
            orders,
            link,
            program: Some(program),
            sigint: launch.sigint,
            leave_running: launch.leave_running,
            deadline: launch.deadline.map(|time| Instant::now() + time + DEADLINE_GRACE),
            paused: None,
            has_swept: false,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            self.reap();
            if self.program.is_none() {
                self.sweep(self.leave_running);
                return Ok(());
            }
            // What was read with another order is heard before we wait.
            if self.orders.buffer().is_empty() {
                let deadline = self.deadline.filter(|_| self.paused.is_none());
                let (socket, link) = (self.orders.get_ref().as_fd(), self.link.as_fd());
                let seen = self.supervisor.watch.next(Some(socket), true, Some(link), deadline);
                if seen.told_to_end {
                    let why = "the supervisor of the agent was told to end (SIGTERM)";
                    return self.lost(why.to_owned());
                }
                if seen.second {
                    let why = "the outer supervisor of the agent was killed";
                    return self.lost(why.to_owned());
                }
                if deadline.is_some_and(|at| at <= Instant::now()) {
                    let why = "its user is stopped, and its time is up";
                    return self.lost(why.to_owned());
                }
                if !seen.first {
                    continue;
                }
            }
            match self.order() {
                Some(order) => self.obey(order),
                // Nobody is left to hear how it ends.
                None => {
                    self.end_program();
                    self.kill_all();
                    return Ok(());
                }
            }
            if self.has_swept {
                return Ok(());
            }
        }
    }

    /// The next order; none, if its user is gone. One that was cut off has nobody behind it any more.
    fn order(&mut self) -> Option<Order> {
        let mut line = String::new();
        self.orders.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Signal { signal, group } => {
                if let (Some(program), Some(signal)) =
                    (self.program, Signal::from_named_raw(signal))
                {
                    // A program that is gone needs no signal.
                    let _ = if group {
                        kill_process_group(program, signal)
                    } else {
                        kill_process(program, signal)
                    };
                    // What somebody has stopped hears none.
                    let _ = kill_process(program, Signal::CONT);
                }
            }
            Order::Kill => self.kill_all(),
            Order::Pause => {
                self.paused.get_or_insert_with(Instant::now);
                tree::signal(&tree::below(getpid()), Signal::STOP);
            }
            Order::Resume => {
                let pause = self.paused.take().map_or(Duration::ZERO, |since| since.elapsed());
                self.deadline = self.deadline.map(|at| at + pause);
                tree::signal(&tree::below(getpid()), Signal::CONT);
            }
            Order::Sweep { leave_running } => self.sweep(leave_running),
        }
    }

    /// Takes in whoever has died: the program, or an orphan that was left to us.
    fn reap(&mut self) -> bool {
        let (program, mut end) = (self.program, None);
        let has_children =
            self.supervisor.reap(|pid, status| note_end(&mut end, program, pid, status));
        self.told_end(end);
        has_children
    }

    fn kill_all(&mut self) {
        let (program, mut end) = (self.program, None);
        self.supervisor.kill_all(program, |pid, status| note_end(&mut end, program, pid, status));
        self.told_end(end);
    }

    fn told_end(&mut self, end: Option<WaitStatus>) {
        let Some(status) = end else { return };
        self.program = None;
        let report = match (status.exit_status(), status.terminating_signal()) {
            (_, Some(signal)) => Report::ExitSignal(signal),
            (code, None) => Report::ExitCode(code.unwrap_or(-1)),
        };
        self.supervisor.report(&report);
    }

    /// Ends what the program left behind, or says that it goes on.
    fn sweep(&mut self, leave_running: bool) {
        // What ends with the program is given the time to do so.
        let patience = Instant::now() + LEFT_BEHIND;
        while self.reap() && Instant::now() < patience {
            self.supervisor.watch.some_child(KILLED_AGAIN);
        }
        if leave_running {
            for pid in tree::below(getpid()) {
                self.supervisor.note(pid, false);
            }
        } else {
            self.kill_all();
        }
        let found = std::mem::take(&mut self.supervisor.found);
        self.supervisor.report(&Report::Swept { found });
        self.has_swept = true;
    }

    /// Only one of three is left to end all: its user is told why.
    fn lost(&mut self, why: String) -> io::Result<()> {
        self.supervisor.report(&Report::Lost { why });
        self.end_program();
        self.sweep(false);
        Ok(())
    }

    /// Lets the program end by itself, if it can.
    fn end_program(&mut self) {
        let patience = Instant::now() + ABANDONED_SIGINT;
        if let Some(program) = self.program.filter(|_| self.sigint) {
            let _ = kill_process(program, Signal::CONT);
            let _ = kill_process(program, Signal::INT);
            while self.program.is_some() && Instant::now() < patience {
                self.supervisor.watch.some_child(KILLED_AGAIN);
                self.reap();
            }
        }
    }
}

fn note_end(end: &mut Option<WaitStatus>, program: Option<Pid>, pid: Pid, status: WaitStatus) {
    if Some(pid) == program && (status.exited() || status.signaled()) {
        *end = Some(status);
    }
}

/// Starts the program in a process group of its own. Our copies of its pipes are closed with the command.
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
