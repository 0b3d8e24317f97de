//! The terminals of an attempt: commands that belay runs because its agent lets its client run them.
//!
//! Each of them is a program below supervisors of its own, watched by a task. The task keeps what is printed, without
//! its secrets, until the driver asks for it: a command that prints without end costs no more than what is kept.

mod command;
mod printed;

use self::printed::Printed;
use crate::limits;
use crate::redact::{Passed, Redactor};
use crate::runner::{incoming, sleep_until};
use belay_agents::{TerminalCommand, TerminalId, TerminalNews, TerminalOrder};
use belaykit_supervise::{self as supervise, LeftProcess, Output, Process, Start, Supervisor};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// All terminals of one attempt.
#[derive(Debug)]
pub(super) struct Terminals {
    place: Arc<Place>,
    known: HashMap<TerminalId, Terminal>,
    tasks: JoinSet<Vec<LeftProcess>>,
    sender: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
    left: Vec<LeftProcess>,
}

/// Where commands run.
#[derive(Debug)]
pub(super) struct Place {
    /// The agent's environment.
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) run_id: String,
    pub(super) supervisor: Option<PathBuf>,
    /// What a command leaves running is to go on. The command itself ends with the attempt in any case.
    pub(super) leave_running: bool,
    pub(super) redactor: Redactor,
}

#[derive(Debug)]
struct Terminal {
    /// What is to be started; none if that is not known to the last byte.
    command: Option<TerminalCommand>,
    /// The command as it may be shown.
    shown: String,
    orders: Option<mpsc::UnboundedSender<Order>>,
    is_running: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Read,
    Kill,
    Pause,
    Resume,
}

/// What a task has to say.
#[derive(Debug)]
pub(super) struct Report(TerminalId, Told);

/// What has become of a command.
#[derive(Debug)]
enum Told {
    Started,
    NotStarted(String),
    /// It has printed something that it did not print just before.
    GotOn,
    Output {
        text: String,
        has_gap: bool,
    },
    Ended(supervise::Exit),
}

impl Report {
    /// What the driver is to hear.
    pub(super) fn news(&self) -> Option<(TerminalId, TerminalNews<'_>)> {
        let news = match &self.1 {
            Told::GotOn => return None,
            Told::Started => TerminalNews::Started,
            Told::NotStarted(why) => TerminalNews::NotStarted(why),
            Told::Output { text, has_gap } => TerminalNews::Output { text, has_gap: *has_gap },
            Told::Ended(exit) => TerminalNews::Ended(incoming::exit(*exit)),
        };
        Some((self.0, news))
    }
}

impl Terminals {
    pub(super) fn new(place: Place) -> Self {
        let (sender, reports) = mpsc::channel(limits::TERMINAL_REPORTS_MAX);
        let (known, tasks, left) = (HashMap::new(), JoinSet::new(), Vec::new());
        Self { place: Arc::new(place), known, tasks, sender, reports, left }
    }

    /// Does what the driver wants. `passed` is the agent's line that it reads, if that was redacted: what is run is
    /// what the agent has written.
    pub(super) fn order(
        &mut self,
        id: TerminalId,
        order: TerminalOrder,
        passed: Option<&Passed>,
        deadline: Option<Instant>,
    ) {
        match order {
            TerminalOrder::Prepare(params) => self.prepare(id, &params, passed),
            TerminalOrder::Start => self.start(id, deadline),
            TerminalOrder::Read => self.tell(id, Order::Read),
            TerminalOrder::Kill => self.tell(id, Order::Kill),
            TerminalOrder::Release => {
                self.tell(id, Order::Kill);
                self.known.remove(&id);
            }
        }
    }

    fn prepare(&mut self, id: TerminalId, params: &str, passed: Option<&Passed>) {
        let shown = TerminalCommand::read(params).map_or_else(String::new, |read| read.to_string());
        let original = match passed.filter(|passed| passed.is_changed()) {
            None => Some(params),
            Some(passed) => passed
                .original(params.as_bytes())
                .and_then(|original| std::str::from_utf8(original).ok()),
        };
        let command = original.and_then(TerminalCommand::read);
        self.known.insert(id, Terminal { command, shown, orders: None, is_running: false });
    }

    fn start(&mut self, id: TerminalId, deadline: Option<Instant>) {
        while let Some(done) = self.tasks.try_join_next() {
            self.left.extend(done.unwrap_or_default());
        }
        let Some(terminal) = self.known.get_mut(&id) else { return };
        let (orders, inbox) = mpsc::unbounded_channel();
        terminal.orders = Some(orders);
        terminal.is_running = true;
        let task = Task {
            id,
            place: Arc::clone(&self.place),
            orders: inbox,
            reports: self.sender.clone(),
            deadline,
        };
        self.tasks.spawn(task.run(terminal.command.take()));
    }

    fn tell(&self, id: TerminalId, order: Order) {
        let orders = self.known.get(&id).and_then(|terminal| terminal.orders.as_ref());
        if let Some(orders) = orders {
            // A command that has ended has said all it had to say.
            let _ = orders.send(order);
        }
    }

    fn tell_all(&self, order: Order) {
        self.known.keys().for_each(|id| self.tell(*id, order));
    }

    /// What is told next; never resolves while nothing is.
    pub(super) async fn next(&mut self) -> Report {
        let report = self.reports.recv().await;
        let report = report.expect("this end of the channel has a sender too");
        if let (id, Told::Ended(_) | Told::NotStarted(_)) = (report.0, &report.1)
            && let Some(terminal) = self.known.get_mut(&id)
        {
            terminal.is_running = false;
        }
        report
    }

    /// The commands that run, for people.
    pub(super) fn running(&self) -> Vec<&str> {
        let running = self.known.values().filter(|terminal| terminal.is_running);
        running.map(|terminal| terminal.shown.as_str()).collect()
    }

    pub(super) fn pause(&self) {
        self.tell_all(Order::Pause);
    }

    pub(super) fn resume(&self) {
        self.tell_all(Order::Resume);
    }

    pub(super) fn kill(&self) {
        self.tell_all(Order::Kill);
    }

    /// Ends all commands and what they have started; returns what they had left behind.
    pub(super) async fn end(&mut self) -> Vec<LeftProcess> {
        self.kill();
        // Nobody listens any more, and nobody is waited for who would.
        self.reports.close();
        self.known.clear();
        let ended = async {
            while let Some(done) = self.tasks.join_next().await {
                self.left.extend(done.unwrap_or_default());
            }
        };
        // What is dropped then is ended by its supervisors.
        let _ = timeout(limits::TERMINALS_END, ended).await;
        std::mem::take(&mut self.left)
    }
}

/// The task that watches one command.
struct Task {
    id: TerminalId,
    place: Arc<Place>,
    orders: mpsc::UnboundedReceiver<Order>,
    reports: mpsc::Sender<Report>,
    deadline: Option<Instant>,
}

impl Task {
    async fn run(mut self, command: Option<TerminalCommand>) -> Vec<LeftProcess> {
        let (inbox, output) = mpsc::channel(limits::READS_MAX);
        let Some(command) = command else {
            let why = "a secret in it was taken out before it was known for a command";
            self.report(Told::NotStarted(why.to_owned())).await;
            return Vec::new();
        };
        match self.start(&command, inbox).await {
            Ok(process) => {
                self.report(Told::Started).await;
                self.watch(process, output, command.kept_bytes()).await
            }
            Err(why) => {
                self.report(Told::NotStarted(why)).await;
                Vec::new()
            }
        }
    }

    async fn start(
        &self,
        command: &TerminalCommand,
        inbox: mpsc::Sender<Output>,
    ) -> Result<Process, String> {
        let place = &self.place;
        let env = command::environment(command, &place.env);
        let cwd = command.cwd.as_deref().or(place.cwd.as_deref());
        let (program, args) = command::resolve(command, &env, cwd)?;
        // Its own mark: what one command leaves behind is no other's, nor the agent's.
        let run_id = format!("{}-terminal-{}", place.run_id, self.id.0);
        let start = Start {
            program: &program,
            args: &args,
            env,
            cwd,
            sigint: false,
            leave_running: place.leave_running,
            deadline: self.deadline.map(|at| at.saturating_duration_since(Instant::now())),
            run_id: &run_id,
        };
        let supervisor = Supervisor::start(place.supervisor.as_deref());
        let process = Process::start(start, supervisor, inbox).await;
        let mut process =
            process.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        // Nobody types anything.
        process.close_stdin();
        Ok(process)
    }

    async fn watch(
        &mut self,
        mut process: Process,
        mut output: mpsc::Receiver<Output>,
        kept_bytes: usize,
    ) -> Vec<LeftProcess> {
        let mut printed = Printed::new(&self.place.redactor, kept_bytes);
        let mut exited: Option<(supervise::Exit, Instant)> = None;
        let mut pipes_open = 2;
        let (mut is_wanted, mut is_killed) = (true, false);
        while exited.is_none_or(|(_, until)| pipes_open > 0 && Instant::now() < until) {
            let until = exited.map(|(_, until)| until).into_iter().chain(printed.deadline()).min();
            tokio::select! {
                biased;
                order = self.orders.recv(), if is_wanted => match order {
                    Some(Order::Read) => self.tell(&mut printed).await,
                    Some(Order::Pause) => process.pause(),
                    Some(Order::Resume) => process.resume(),
                    Some(Order::Kill) => {
                        is_killed = true;
                        process.kill();
                    }
                    None => {
                        (is_wanted, is_killed) = (false, true);
                        process.kill();
                    }
                },
                exit = process.wait(), if exited.is_none() => {
                    exited = Some((exit, Instant::now() + limits::DRAIN));
                    process.begin_sweep(self.place.leave_running);
                }
                Some(piece) = output.recv(), if pipes_open > 0 => {
                    pipes_open -= usize::from(matches!(piece, Output::StdoutEnd | Output::StderrEnd));
                    // A flood that is still in the pipe would hold up whoever has stopped the command.
                    if is_killed {
                        printed.skip(&piece);
                    } else if printed.take(piece) {
                        self.report(Told::GotOn).await;
                    }
                }
                () = sleep_until(until) => printed.late(),
            }
        }
        printed.finish();
        self.tell(&mut printed).await;
        let exit = exited.map_or(supervise::Exit::Code(-1), |(exit, _)| exit);
        self.report(Told::Ended(exit)).await;
        process.sweep(self.place.leave_running).await
    }

    async fn tell(&self, printed: &mut Printed) {
        let (text, has_gap) = printed.read();
        self.report(Told::Output { text, has_gap }).await;
    }

    async fn report(&self, told: Told) {
        // The attempt may be over.
        let _ = self.reports.send(Report(self.id, told)).await;
    }
}
