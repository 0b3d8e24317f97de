//! A program that is asked something, answers and ends: git, `--version`, a command that notifies.
//!
//! It never takes longer than it may, nor prints more than is read of it; what it has started ends with it.

use crate::limits::{KILLED_AGAIN, READ_BYTES, SWEEP_ANSWER};
use crate::{Exit, MARK, Pipes, Start, children, mark, tool_candidates, tree};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use crate::pair::{self, NotSupervised};
#[cfg(target_os = "linux")]
use crate::wire::{self, Order, Report};
#[cfg(target_os = "linux")]
use std::os::unix::net::UnixStream;

/// How much is read of each of its outputs, unless more is wanted.
const OUTPUT_MAX: usize = 1 << 20;

/// How long after its end its pipes are read on: what holds them then is gone, or cannot be ended.
const DRAIN: Duration = Duration::from_secs(1);

/// How often is looked whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// What to ask.
#[derive(Clone, Debug)]
pub struct Tool {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    stdin: Vec<u8>,
    time: Duration,
    output_max: usize,
    supervisor: Option<PathBuf>,
}

/// What to say to a program in answer to what it has printed so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing yet.
    Wait,
    /// This; it reads on.
    Say(Vec<u8>),
    /// Nothing more: it has said enough, and is ended.
    Enough,
}

/// Who says it.
type Answering<'a> = &'a mut dyn FnMut(&[u8]) -> Next;

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// How it ended; nothing, if it was killed, because its time was up, it had printed too much, or nobody wanted it.
    pub exit: Option<Exit>,
    /// What it printed, as far as that was read.
    pub stdout: Vec<u8>,
    /// What it printed to standard error, as far as that was read.
    pub stderr: Vec<u8>,
    /// It had more to print than is read of it.
    pub is_cut: bool,
}

impl Finished {
    /// Whether it ended with exit code 0, and all that it printed was read.
    pub fn is_success(&self) -> bool {
        self.exit == Some(Exit::Code(0)) && !self.is_cut
    }
}

impl Tool {
    /// Runs `program`, an absolute path, for as long as `time`; with no environment, no argument and no input.
    pub fn new(program: &Path, time: Duration) -> Self {
        Self {
            program: program.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            stdin: Vec::new(),
            time,
            output_max: OUTPUT_MAX,
            supervisor: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds variables to its environment.
    #[must_use]
    pub fn env(
        mut self,
        env: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Self {
        self.env.extend(env.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Sets the folder it works in; that of this program, if none is set.
    #[must_use]
    pub fn cwd(mut self, cwd: &Path) -> Self {
        self.cwd = Some(cwd.to_owned());
        self
    }

    /// Sets what it reads.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sets how many bytes of each of its outputs are read; with more, it is killed. 1 MiB, if none are set.
    #[must_use]
    pub fn output_max(mut self, bytes: usize) -> Self {
        self.output_max = bytes;
        self
    }

    /// Sets the program of its supervisors, see [`Supervisor::start`](crate::Supervisor::start).
    #[must_use]
    pub fn supervisor(mut self, program: Option<&Path>) -> Self {
        self.supervisor = program.map(Path::to_owned);
        self
    }

    /// Runs it and waits for its end.
    ///
    /// # Errors
    /// The system's, if it cannot be started.
    pub fn run(self) -> io::Result<Finished> {
        self.run_while(|| true)
    }

    /// As [`run`](Self::run), as long as it is wanted; this is asked 20 times a second.
    ///
    /// # Errors
    /// The system's, if it cannot be started.
    pub fn run_while(self, is_wanted: impl FnMut() -> bool) -> io::Result<Finished> {
        self.run_with(is_wanted, None)
    }

    /// As [`run_while`](Self::run_while); what it prints is answered by `next`, which is given all of it each time.
    fn run_with(
        self,
        is_wanted: impl FnMut() -> bool,
        next: Option<Answering<'_>>,
    ) -> io::Result<Finished> {
        let until = Instant::now() + self.time;
        let (pipes, [stdin, stdout, stderr]) = Pipes::new()?;
        let hold = Hold::start(&self, pipes)?;
        for end in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
        }
        Ok(Asking {
            hold,
            stdin: Some(stdin.into()).filter(|_| !self.stdin.is_empty()),
            unsaid: self.stdin,
            stdout: Reading { pipe: Some(stdout.into()), bytes: Vec::new() },
            stderr: Reading { pipe: Some(stderr.into()), bytes: Vec::new() },
            max: self.output_max,
            is_cut: false,
        }
        .run(until, is_wanted, next))
    }

    /// As [`run`](Self::run), on a thread that nobody waits for at the end of the program.
    ///
    /// # Errors
    /// The system's, if it cannot be started.
    pub async fn finished(self) -> io::Result<Finished> {
        self.on_a_thread(None::<fn(&[u8]) -> Next>).await
    }

    /// As [`finished`](Self::finished), of a program that is talked with: `next` is given all that it has printed
    /// whenever that has become more, and says what comes. Its input stays open until [`Next::Enough`].
    ///
    /// # Errors
    /// The system's, if it cannot be started.
    pub async fn talked_with(
        self,
        next: impl FnMut(&[u8]) -> Next + Send + 'static,
    ) -> io::Result<Finished> {
        self.on_a_thread(Some(next)).await
    }

    async fn on_a_thread(
        self,
        mut next: Option<impl FnMut(&[u8]) -> Next + Send + 'static>,
    ) -> io::Result<Finished> {
        let (sender, finished) = tokio::sync::oneshot::channel();
        thread::Builder::new().name("belay-tool".to_owned()).spawn(move || {
            // Nobody wants it any more when the other end is dropped.
            let mut sender = Some(sender);
            let is_wanted = || sender.as_ref().is_some_and(|sender| !sender.is_closed());
            let next = next.as_mut().map(|next| next as Answering<'_>);
            let finished = self.run_with(is_wanted, next);
            if let Some(sender) = sender.take() {
                let _ = sender.send(finished);
            }
        })?;
        finished.await.unwrap_or_else(|_| Err(io::Error::other("its thread is gone")))
    }

    fn start_with<'a>(&'a self, run_id: &'a str) -> Start<'a> {
        Start {
            program: &self.program,
            args: &self.args,
            env: self.env.clone(),
            cwd: self.cwd.as_deref(),
            sigint: false,
            leave_running: false,
            deadline: Some(self.time),
            run_id,
        }
    }
}

/// One of its outputs.
struct Reading {
    pipe: Option<File>,
    bytes: Vec<u8>,
}

impl Reading {
    /// Reads what is there; false if there is more than is read.
    fn read(&mut self, max: usize) -> bool {
        let mut piece = [0; READ_BYTES];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut piece) {
                Ok(0) => self.pipe = None,
                Ok(n) => {
                    let room = max - self.bytes.len();
                    self.bytes.extend_from_slice(&piece[..n.min(room)]);
                    if n > room {
                        return false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.pipe = None,
            }
        }
        true
    }
}

/// A tool at work.
struct Asking {
    hold: Hold,
    stdin: Option<File>,
    unsaid: Vec<u8>,
    stdout: Reading,
    stderr: Reading,
    max: usize,
    is_cut: bool,
}

impl Asking {
    fn run(
        mut self,
        until: Instant,
        mut is_wanted: impl FnMut() -> bool,
        mut next: Option<Answering<'_>>,
    ) -> Finished {
        let mut exit = None;
        let mut drained = None;
        let mut heard = 0;
        loop {
            self.wait(until);
            self.write(next.is_some());
            if let Some(next) = &mut next
                && self.stdout.bytes.len() > heard
            {
                heard = self.stdout.bytes.len();
                match next(&self.stdout.bytes) {
                    Next::Wait => {}
                    Next::Say(bytes) => self.unsaid.extend(bytes),
                    Next::Enough => break,
                }
            }
            self.is_cut |= !self.stdout.read(self.max) | !self.stderr.read(self.max);
            if exit.is_none() {
                exit = self.hold.exit();
                drained = exit.map(|_| Instant::now() + DRAIN);
            }
            let is_read = self.stdout.pipe.is_none() && self.stderr.pipe.is_none();
            let now = Instant::now();
            match drained {
                Some(until) if is_read || now >= until => break,
                None if self.is_cut || now >= until || !is_wanted() => break,
                _ => {}
            }
        }
        self.hold.end();
        Finished { exit, stdout: self.stdout.bytes, stderr: self.stderr.bytes, is_cut: self.is_cut }
    }

    /// Waits until it says something, ends, or reads, but not long.
    fn wait(&self, until: Instant) {
        let mut fds = Vec::new();
        fds.extend(self.hold.signs().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let outputs = [&self.stdout, &self.stderr].into_iter().filter_map(|of| of.pipe.as_ref());
        fds.extend(outputs.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let stdin = self.stdin.as_ref().filter(|_| !self.unsaid.is_empty());
        fds.extend(stdin.map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        let patience = until.saturating_duration_since(Instant::now()).min(self.hold.patience());
        let _ = poll(&mut fds, Timespec::try_from(patience).ok().as_ref());
    }

    fn write(&mut self, stays_open: bool) {
        while let Some(pipe) = &mut self.stdin {
            if self.unsaid.is_empty() && stays_open {
                return;
            }
            match pipe.write(&self.unsaid) {
                Ok(n) => {
                    self.unsaid.drain(..n);
                    if self.unsaid.is_empty() && !stays_open {
                        self.stdin = None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It does not read what it is told.
                Err(_) => self.stdin = None,
            }
        }
    }
}

/// How it is held.
enum Hold {
    #[cfg(target_os = "linux")]
    Supervised(Supervised),
    Direct(Direct),
}

impl Hold {
    fn start(tool: &Tool, pipes: Pipes) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let run_id = format!("tool-{}-{number}", std::process::id());
        let mut start = tool.start_with(&run_id);
        start.env.push((MARK.into(), run_id.clone().into()));
        #[cfg(target_os = "linux")]
        for program in tool_candidates(tool.supervisor.as_deref()) {
            match Supervised::start(&program, &start, &pipes) {
                Ok(supervised) => return Ok(Self::Supervised(supervised)),
                Err(NotSupervised::Program(error)) => return Err(error),
                // The next one; what cannot be supervised is held as well as can be.
                Err(NotSupervised::Supervisor(_)) => {}
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = tool_candidates(None);
        Ok(Self::Direct(Direct::start(&start, pipes)?))
    }

    /// What to wait for besides the pipes.
    fn signs(&self) -> impl Iterator<Item = std::os::fd::BorrowedFd<'_>> {
        let sign = match self {
            #[cfg(target_os = "linux")]
            Self::Supervised(supervised) => Some(supervised.socket.as_fd()),
            Self::Direct(_) => None,
        };
        sign.into_iter()
    }

    /// How long may be waited for what makes no sign.
    fn patience(&self) -> Duration {
        match self {
            #[cfg(target_os = "linux")]
            Self::Supervised(_) => LOOK,
            Self::Direct(_) => KILLED_AGAIN,
        }
    }

    fn exit(&mut self) -> Option<Exit> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Supervised(supervised) => supervised.exit(),
            Self::Direct(direct) => direct.exit(),
        }
    }

    /// Ends it, and what it has started.
    fn end(self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Supervised(supervised) => supervised.end(),
            Self::Direct(direct) => direct.end(),
        }
    }
}

/// Below supervisors.
#[cfg(target_os = "linux")]
struct Supervised {
    outer: Child,
    socket: UnixStream,
    unread: Vec<u8>,
    exit: Option<Exit>,
    is_over: bool,
}

#[cfg(target_os = "linux")]
impl Supervised {
    fn start(program: &Path, start: &Start<'_>, pipes: &Pipes) -> Result<Self, NotSupervised> {
        let begin = || {
            let (mut command, mut socket) = pair::command(program)?;
            let outer = children::spawn_blocking(&mut command)?;
            drop(command);
            socket.set_read_timeout(Some(crate::limits::START))?;
            let pipes = [pipes.stdin.as_fd(), pipes.stdout.as_fd(), pipes.stderr.as_fd()];
            wire::send_pipes(&socket, pipes)?;
            socket.write_all(&pair::launch(start))?;
            let (is_over, exit, unread) = (false, None, Vec::new());
            Ok(Self { outer, socket, unread, exit, is_over })
        };
        let mut supervised = begin().map_err(NotSupervised::Supervisor)?;
        let report = supervised.next_report(true);
        if let Err(error) = pair::started(report) {
            supervised.end();
            return Err(error);
        }
        let ready = supervised.socket.set_nonblocking(true);
        ready.map_err(NotSupervised::Supervisor)?;
        Ok(supervised)
    }

    /// The next report that is there, or, if it `blocks`, that will come.
    fn next_report(&mut self, blocks: bool) -> Option<Report> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                // One that was killed may have said half a word.
                match serde_json::from_slice(&line) {
                    Ok(report) => return Some(report),
                    Err(_) => continue,
                }
            }
            let mut piece = [0; 4096];
            match self.socket.read(&mut piece) {
                Ok(0) => {
                    self.is_over = true;
                    return None;
                }
                Ok(n) => self.unread.extend_from_slice(&piece[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !blocks => return None,
                Err(_) => {
                    self.is_over = true;
                    return None;
                }
            }
        }
    }

    fn exit(&mut self) -> Option<Exit> {
        while let Some(report) = self.next_report(false) {
            self.exit = self.exit.or(report.exit());
            self.is_over |= matches!(report, Report::Swept { .. });
        }
        // Its supervisors were killed, and so is it, or will be.
        self.exit.or_else(|| self.is_over.then_some(Exit::Signal(Signal::KILL.as_raw())))
    }

    fn end(mut self) {
        let until = Instant::now() + SWEEP_ANSWER;
        if self.exit.is_none() {
            let _ = self.socket.write_all(&wire::line(&Order::Kill));
        }
        while !self.is_over && Instant::now() < until {
            let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
            let patience = until.saturating_duration_since(Instant::now());
            let _ = poll(&mut fds, Timespec::try_from(patience).ok().as_ref());
            self.exit();
        }
        drop(self.socket);
        let id = Pid::from_child(&self.outer);
        while !matches!(self.outer.try_wait(), Ok(Some(_)) | Err(_)) {
            if Instant::now() >= until {
                let _ = self.outer.kill();
            }
            thread::sleep(Duration::from_millis(1));
        }
        children::forget(Some(id));
    }
}

/// As a child of our own.
struct Direct {
    child: Child,
    group: Pid,
    mark: String,
    exit: Option<Exit>,
}

impl Direct {
    fn start(start: &Start<'_>, pipes: Pipes) -> io::Result<Self> {
        let child = children::spawn_blocking(&mut start.command(pipes))?;
        let group = Pid::from_child(&child);
        Ok(Self { child, group, mark: mark(start.run_id), exit: None })
    }

    fn exit(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            self.exit = match self.child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(status.into()),
                // Somebody else has waited for our child; it is gone all the same.
                Err(_) => Some(Exit::Code(-1)),
            };
            if self.exit.is_some() {
                children::forget(Some(self.group));
                tree::signal(&tree::marked(&self.mark), Signal::KILL);
            }
        }
        self.exit
    }

    fn end(mut self) {
        if self.exit().is_some() {
            return;
        }
        let below = tree::below(self.group);
        let _ = kill_process_group(self.group, Signal::KILL);
        tree::signal(&below, Signal::KILL);
        let until = Instant::now() + SWEEP_ANSWER;
        while self.exit().is_none() && Instant::now() < until {
            thread::sleep(KILLED_AGAIN);
        }
    }
}
