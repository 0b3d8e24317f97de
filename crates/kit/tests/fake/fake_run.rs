//! Runs against the fake agent: placing it, running it to its end, and what is true of every run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use belay_testkit::fake_agent::{FakeAgent, Pause, Play, Until, WaitForStdin};
use belay_testkit::recordings::{self, Recording};
use belaykit::{
    Claude, Client, Codex, Error, Event, Outcome, Policy, Record, Run, RunRequest, Transport,
};
use serde_json::Value;
use std::ffi::OsString;
use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The text of the recordings `a-text`.
pub(crate) const ANSWER: &str = "Hello! This is a plain answer from the scripted model.";

/// As in `belay` itself: the agents of these tests are contained.
pub(crate) use belay_testkit::fake_agent::supervisor;

/// No test waits longer than this for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a fake agent in it, and nothing else on its PATH.
pub(crate) struct Stage {
    pub(crate) dir: TempDir,
    pub(crate) agent: FakeAgent,
}

impl Stage {
    pub(crate) fn new(name: &str, play: &Play) -> Self {
        let dir = TempDir::new().unwrap();
        let agent = FakeAgent::new(dir.path(), name, play).unwrap();
        Self { dir, agent }
    }

    /// A client of the Claude that stands here.
    pub(crate) fn claude(&self) -> Client {
        Client::new(Claude::new()).policy(Policy::single()).supervisor(supervisor()).env(self.env())
    }

    /// A client of the Codex that stands here.
    pub(crate) fn codex(&self) -> Client {
        Client::new(Codex::new()).policy(Policy::single()).supervisor(supervisor()).env(self.env())
    }

    /// A client of the Codex that stands here, one shot.
    pub(crate) fn codex_exec(&self) -> Client {
        self.codex().transport(Transport::Print)
    }

    pub(crate) fn env(&self) -> [(OsString, OsString); 2] {
        let dir = || self.dir.path().as_os_str().to_owned();
        [("PATH".into(), dir()), ("TMPDIR".into(), dir())]
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program that does something else first; `$0.agent` is the fake agent.
    pub(crate) fn script(play: &Play, name: &str, script: &str) -> Self {
        let stage = Self::new(&format!("{name}.agent"), play);
        executable(&stage.path(name), &format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n"));
        stage
    }
}

pub(crate) fn executable(path: &Path, text: &str) {
    // Not fs::write on the file itself: a fork in another thread could inherit the open file, and starting
    // it would fail with "text file busy".
    let beside = path.with_extension("text");
    std::fs::write(&beside, text).unwrap();
    let copied = std::process::Command::new("cp").arg(&beside).arg(path).status().unwrap();
    assert!(copied.success());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A recording that begins when the prompt has come.
pub(crate) fn play(recording: &Recording) -> Play {
    Play { wait_for_stdin: WaitForStdin::Line, ..Play::file(recording.stdout_path()) }
}

/// Claude answers with one message.
pub(crate) fn answer() -> Play {
    play(&recordings::one("claude-code", "a-text"))
}

/// The lines of a recording.
pub(crate) fn lines(agent: &str, name: &str) -> Vec<String> {
    let stdout = recordings::one(agent, name).stdout;
    String::from_utf8(stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Claude begins, waits for something, and then prints these lines.
pub(crate) fn waiting(until: Until, then: Vec<String>) -> Play {
    let init = lines("claude-code", "a-text").remove(0);
    let pause = Pause { after_line: 1, until, then, resume: true };
    Play { wait_for_stdin: WaitForStdin::Line, pauses: vec![pause], ..Play::lines([init]) }
}

/// Claude begins and then does nothing for a minute.
pub(crate) fn hanging() -> Play {
    let init = lines("claude-code", "a-text").remove(0);
    Play { wait_for_stdin: WaitForStdin::Line, linger_ms: 60_000, ..Play::lines([init]) }
}

/// What a run was seen to do.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) records: Vec<Record>,
    pub(crate) outcome: Result<Outcome, Error>,
    pub(crate) took: Duration,
}

impl Seen {
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.records.iter().map(|record| record.event.type_name()).collect()
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.names().into_iter().filter(|n| *n == name).count()
    }

    /// The texts of all notices with this code.
    pub(crate) fn notices(&self, code: &str) -> Vec<&str> {
        let notices = self.records.iter().filter_map(|record| match &record.event {
            Event::Notice(notice) if notice.code.as_deref() == Some(code) => Some(&*notice.text),
            _ => None,
        });
        notices.collect()
    }

    pub(crate) fn attempt_ended(&self) -> &belaykit::trace::AttemptEnded {
        let ended = self.records.iter().rev().find_map(|record| match &record.event {
            Event::AttemptEnded(ended) => Some(ended),
            _ => None,
        });
        ended.unwrap()
    }

    pub(crate) fn result(&self) -> &belaykit::trace::RunResult {
        match &self.records.last().unwrap().event {
            Event::Result(result) => result,
            other => panic!("the last event is {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn failure(&self) -> &belaykit::Failure {
        self.outcome.as_ref().expect_err("the run must not answer").failure()
    }

    #[track_caller]
    pub(crate) fn answer(&self) -> &str {
        &self.outcome.as_ref().expect("the run answers").text
    }
}

/// Starts a run and reads it to its end.
pub(crate) async fn run(client: &Client, request: impl Into<RunRequest>) -> Seen {
    finish(client.start(request)).await
}

/// Reads a run to its end and checks what is true of every run.
pub(crate) async fn finish(run: Run) -> Seen {
    finish_after(Vec::new(), run).await
}

/// Like [`finish`], for a run of which some records were read.
pub(crate) async fn finish_after(mut records: Vec<Record>, mut run: Run) -> Seen {
    let began = Instant::now();
    let id = run.id().to_owned();
    let outcome = patiently(async {
        while let Some(record) = run.next().await {
            records.push(record);
        }
        run.outcome().await
    });
    let seen = Seen { outcome: outcome.await, records, took: began.elapsed() };
    check(&seen, &id);
    seen
}

/// Lines of one recording as they can follow another's, whose session they do not name.
pub(crate) fn sessionless(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let without = |line: String| {
        let mut line: Value = serde_json::from_str(&line).unwrap();
        line.as_object_mut().unwrap().remove("session_id");
        line.to_string()
    };
    lines.into_iter().map(without).collect()
}

/// Reads a run up to the first event with this name.
pub(crate) async fn read_to(run: &mut Run, name: &str) -> Vec<Record> {
    patiently(async {
        let mut records = Vec::new();
        loop {
            let record = run.next().await.unwrap_or_else(|| panic!("no {name} in {records:?}"));
            records.push(record);
            if records.last().unwrap().event.type_name() == name {
                return records;
            }
        }
    })
    .await
}

/// Fails when something takes too long.
pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("this must end")
}

/// Polls until it is so.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// True while a process runs; one that nobody has reaped yet does not.
pub(crate) fn is_running(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'),
        Err(_) => false,
    }
}

pub(crate) fn pid(records: &[Record]) -> u32 {
    let started = records.iter().find_map(|record| match &record.event {
        Event::AttemptStarted(started) => started.pid,
        _ => None,
    });
    started.unwrap()
}

#[track_caller]
fn check(seen: &Seen, id: &str) {
    let seqs: Vec<u64> = seen.records.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, (0..seen.records.len() as u64).collect::<Vec<_>>());
    assert!(seen.records.iter().all(|record| record.run == id && record.v == 1));
    assert_eq!(seen.names().first(), Some(&"run_started"));
    assert_eq!((seen.count("result"), seen.count("run_started")), (1, 1));
    let result = seen.result();
    let (failure, outcome) = match &seen.outcome {
        Ok(outcome) => (None, outcome),
        Err(error) => (Some(error.failure().clone()), error.outcome()),
    };
    assert_eq!(result.is_error, failure.is_some());
    assert_eq!(result.failure, failure);
    assert_eq!(result.result, outcome.text);
    assert_eq!(result.usage, outcome.usage);
    assert_eq!(result.session_id, outcome.session_id);
    assert_eq!(outcome.run_id, id);
}
