//! A bench on which `belay` is run, stopped and killed, and the processes that it leaves.

use crate::bench::Bench;
use crate::faults::process_table::{Process, pid, processes};
use belay_testkit::fake_agent::{Child, FakeAgent, Place, Play};
use belay_trace::{Record, Store, StoredRun};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{BufRead as _, BufReader};
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Whatever takes longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// How often we look whether something is so.
const LOOK: Duration = Duration::from_millis(2);

/// A bench whose processes can be told from all others of the machine.
pub(crate) struct Scene {
    pub(crate) bench: Bench,
    root: String,
    mark: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        belay_testkit::hear_signals();
        let bench = Bench::new();
        let root = bench.project().parent().unwrap().to_string_lossy().into_owned();
        Self { bench, root, mark: format!("belay-mark-{:016x}", random()) }
    }

    /// A scene with a Claude.
    pub(crate) fn claude(play: &Play) -> (Self, FakeAgent) {
        let scene = Self::new();
        let agent = scene.bench.agent("claude", play);
        (scene, agent)
    }

    /// A child for an agent of this scene, which sleeps far longer than any test takes.
    pub(crate) fn child(&self, place: Place) -> Child {
        Child { mark: self.mark.clone(), place, seconds: 300, ..Child::default() }
    }

    /// A child of every kind: in the background, in a session of its own, a daemon, and deaf.
    pub(crate) fn family(&self) -> Vec<Child> {
        let stubborn = Child { stubborn: true, ..self.child(Place::Group) };
        let places = [Place::Group, Place::OwnSession, Place::Daemon];
        places.map(|place| self.child(place)).into_iter().chain([stubborn]).collect()
    }

    /// Starts `belay run --format jsonl` with these arguments and a prompt.
    pub(crate) fn start(&self, args: &[&str]) -> Belay {
        Belay::start(self.bench.belay(&[&["run", "--format", "jsonl"], args, &["p"]].concat()))
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.start(args).end()
    }

    /// All that lives of the agents of this scene, their children and supervisors.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let ours = |process: &Process| {
            let cwd = fs::read_link(format!("/proc/{}/cwd", process.pid)).unwrap_or_default();
            process.command.contains(&self.root)
                || process.command.contains(&self.mark)
                || cwd.starts_with(&self.root)
        };
        processes().into_iter().filter(ours).collect()
    }

    /// How long it takes until nothing of the scene lives, if that is to be seen.
    pub(crate) fn emptied_after(&self, patience: Duration) -> Result<Duration, Vec<Process>> {
        let began = Instant::now();
        loop {
            let alive = self.processes();
            if alive.is_empty() {
                return Ok(began.elapsed());
            }
            if began.elapsed() > patience {
                return Err(alive);
            }
            thread::sleep(LOOK);
        }
    }

    /// The journal of the newest run, if there is one.
    pub(crate) fn journal(&self) -> Option<StoredRun> {
        Store::new(self.bench.path("home/.local/state/belay")).find("latest").ok()
    }

    /// The records of the newest run.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.journal().map_or_else(Vec::new, |run| run.records().unwrap().collect())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Whatever a test has found or missed, it leaves nothing behind.
        for process in self.processes().into_iter().filter(|p| p.pid != process::id()) {
            let _ = kill_process(pid(process.pid), Signal::KILL);
        }
    }
}

/// A line of standard output and when it came.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Instant,
    pub(crate) event: Value,
}

impl Line {
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.event["type"] == kind
    }
}

/// A `belay` that runs, its standard output read as it comes.
pub(crate) struct Belay {
    child: process::Child,
    began: Instant,
    lines: Arc<Mutex<Vec<Line>>>,
    reader: Option<JoinHandle<()>>,
    end: Option<(ExitStatus, Instant)>,
}

/// What was seen of a `belay` that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) began: Instant,
    pub(crate) at: Instant,
    pub(crate) lines: Vec<Line>,
}

impl Belay {
    pub(crate) fn start(mut command: Command) -> Self {
        let began = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // A line that a kill has cut off was not shown.
                let Ok(event) = serde_json::from_str(&line) else { break };
                seen.lock().unwrap().push(Line { at: Instant::now(), event });
            }
        });
        Self { child, began, lines, reader: Some(reader), end: None }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, and says whether there was somebody to get it.
    pub(crate) fn signal(&mut self, signal: Signal) -> bool {
        let is_there = !self.has_ended_within(Duration::ZERO);
        if is_there {
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
        is_there
    }

    /// Waits so long for the end, and says whether it has come.
    pub(crate) fn has_ended_within(&mut self, time: Duration) -> bool {
        let waiting = Instant::now();
        while self.end.is_none() {
            let status = self.child.try_wait().unwrap();
            self.end = status.map(|status| (status, Instant::now()));
            if waiting.elapsed() >= time {
                break;
            }
            thread::sleep(LOOK);
        }
        self.end.is_some()
    }

    /// Waits until a line of this type has come.
    #[track_caller]
    pub(crate) fn wait_for(&self, kind: &str) {
        wait_until(kind, || self.lines.lock().unwrap().iter().any(|line| line.is(kind)));
    }

    /// Waits for the end, in a time that is no hang.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        if !self.has_ended_within(PATIENCE) {
            panic!("belay hangs; it has said {:#?}", self.lines.lock().unwrap());
        }
        let (status, at) = self.end.unwrap();
        self.reader.take().unwrap().join().unwrap();
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        Ended { status, began: self.began, at, lines }
    }
}

impl Drop for Belay {
    fn drop(&mut self) {
        // A test has failed; the agents go with the scene.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The events of this type.
    pub(crate) fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.is(kind))
    }

    /// The one event of this type.
    #[track_caller]
    pub(crate) fn one(&self, kind: &str) -> &Line {
        let found: Vec<_> = self.lines.iter().filter(|line| line.is(kind)).collect();
        assert_eq!(found.len(), 1, "{kind} in {:#?}", self.lines);
        found[0]
    }

    /// The result, which is there once and comes last.
    #[track_caller]
    pub(crate) fn result(&self) -> &Value {
        let result = self.one("result");
        assert!(self.lines.last().unwrap().is("result"));
        &result.event
    }

    /// The kind of the failure, or `answered`.
    #[track_caller]
    pub(crate) fn kind(&self) -> &str {
        let result = self.result();
        assert_eq!(result["is_error"] == false, self.code() == Some(0), "{result}");
        assert_eq!(result["is_error"] == true, result["failure"].is_object(), "{result}");
        result["failure"]["kind"].as_str().unwrap_or("answered")
    }

    /// The texts of the notices with this code.
    pub(crate) fn notices(&self, code: &str) -> Vec<&str> {
        let notices = self.all("notice").filter(|line| line.event["code"] == code);
        notices.map(|line| line.event["text"].as_str().unwrap()).collect()
    }

    pub(crate) fn took(&self) -> Duration {
        self.at - self.began
    }
}

/// Polls until it is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(LOOK);
    }
}

/// Does something for every case, so many at a time: most of the time they wait.
pub(crate) fn at_once<T: Send, R: Send>(
    width: usize,
    cases: impl IntoIterator<Item = T>,
    act: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let cases: Vec<T> = cases.into_iter().collect();
    let (cases, done) = (Mutex::new(cases.into_iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..width {
            scope.spawn(|| {
                loop {
                    let Some(case) = cases.lock().unwrap().next() else { return };
                    let result = act(case);
                    done.lock().unwrap().push(result);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

/// A random number; which one does not matter.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A random moment within the given time.
pub(crate) fn moment(within: Duration) -> Duration {
    within.mul_f64(random() as f64 / u64::MAX as f64)
}
