//! A session has one user, over processes: refused, forced, waited for, and free when its user dies.

use crate::stored::{Bench, claude, hanging, hangs, id, stdout, wait_for, with_claude};
use belay_testkit::fake_agent::{Pace, Pause, Play, Until};
use belay_testkit::recordings;
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

/// The session of the recording that hangs.
const SESSION: &str = "c9d9b6d7-3b6d-4d63-9f70-41bfd8b74e0d";

const HINT: &str = "hint: wait until it is free with --queue, resume a copy with `--fork SESSION` instead of `--resume`, or resume it \
    all the same with --force";

/// A Claude of that session that answers, a line each so many milliseconds.
fn slow(pace_ms: u64) -> Play {
    let recording = recordings::one("claude-code", "a-text");
    let text = String::from_utf8(recording.stdout).unwrap();
    let lines = text.lines().map(|line| line.replace(&recording_session(&text), SESSION));
    Play { pace: Pace::FixedMs(pace_ms), ..Play::lines(lines.collect::<Vec<_>>()) }
}

fn recording_session(text: &str) -> String {
    let init: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    init["session_id"].as_str().unwrap().to_owned()
}

/// A run that was stopped, whose session can be resumed.
fn stopped() -> Bench {
    let bench = hanging();
    let mut run = bench.start_run(&["task"]);
    stdout(&mut bench.belay(&["stop", "latest"]));
    run.wait().unwrap();
    bench
}

fn start(bench: &Bench, args: &[&str]) -> Child {
    bench.belay(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child) -> (Option<i32>, String) {
    let output: Output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The start and the end of each attempt that was made, in order.
fn attempts(bench: &Bench) -> Vec<(Timestamp, Timestamp)> {
    let mut attempts: Vec<_> = bench
        .runs()
        .iter()
        .filter_map(|run| {
            let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
            let at = |name: &str| {
                let found = events.lines().find(|line| line.contains(name))?;
                let event: Value = serde_json::from_str(found).unwrap();
                Some(event["ts"].as_str().unwrap().parse().unwrap())
            };
            Some((at("\"attempt_started\"")?, at("\"attempt_ended\"")?))
        })
        .collect();
    attempts.sort();
    attempts
}

/// The files of locks that are there.
fn locks(bench: &Bench) -> Vec<String> {
    let folder = bench.path("home/.local/state/belay/locks");
    let folders = fs::read_dir(folder).into_iter().flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path().display().to_string()).collect()
}

#[test]
fn of_twenty_resumes_at_once_one_starts_and_the_others_are_refused_with_a_hint() {
    for args in [&["resume", "latest"][..], &["run", "--resume", SESSION], &["run", "--continue"]] {
        let bench = stopped();
        let run = bench.newest_run().file_name().unwrap().to_str().unwrap().to_owned();
        claude(&bench, &hangs());
        // By its name: what `latest` means changes with the first that starts.
        let args: Vec<&str> =
            args.iter().map(|arg| if *arg == "latest" { run.as_str() } else { arg }).collect();
        let args = [&args[..], &["Go on."]].concat();
        let mut belays: Vec<Child> = (0..20).map(|_| start(&bench, &args)).collect();
        let deadline = Instant::now() + Duration::from_secs(60);
        let runs = |belays: &mut Vec<Child>| {
            belays.iter_mut().map(|belay| belay.try_wait().unwrap().is_none()).collect::<Vec<_>>()
        };
        while runs(&mut belays).into_iter().filter(|runs| *runs).count() > 1 {
            assert!(Instant::now() < deadline, "more than one goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
        let winner = runs(&mut belays).into_iter().position(|runs| runs);
        let winner = belays.remove(winner.expect("one has started"));
        for belay in belays {
            let (code, said) = ended(belay);
            assert_eq!(code, Some(75), "{said}");
            assert!(said.contains("is in use by run ") && said.contains("pid "), "{said}");
            assert!(said.contains(HINT), "{said}");
        }
        signal(&winner, Signal::INT);
        assert_eq!(ended(winner).0, Some(130));
        assert_eq!(attempts(&bench).len(), 2, "the first run, and one that goes on");
        assert_eq!(locks(&bench), [""; 0]);
    }
}

#[test]
fn a_run_at_work_is_not_resumed_unless_it_is_forced() {
    let bench = hanging();
    let mut first = bench.start_run(&["task"]);
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    let refused = bench.belay(&["resume", "latest", "Go on."]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(75), "{said}");
    assert!(said.contains("is still at work") && said.contains("--queue"), "{said}");
    claude(&bench, &slow(0));
    let forced = bench.belay(&["resume", &short, "--force", "Go on."]).output().unwrap();
    let said = String::from_utf8(forced.stderr).unwrap();
    assert_eq!(forced.status.code(), Some(0), "{said}");
    assert!(said.contains("[session_in_use] session c9d9b6d7"), "{said}");
    let copied = bench.belay(&["resume", &short, "--fork", "Go on."]).output().unwrap();
    assert_eq!(copied.status.code(), Some(0));
    // Without a journal it is in use all the same.
    let hidden = bench.belay(&["run", "--no-journal", "--resume", SESSION, "Go on."]);
    let hidden = { hidden }.output().unwrap();
    assert_eq!(hidden.status.code(), Some(75), "{}", String::from_utf8_lossy(&hidden.stderr));
    signal(&first, Signal::INT);
    first.wait().unwrap();
}

#[test]
fn five_in_the_queue_have_their_turns_one_after_the_other() {
    let bench = hanging();
    let mut first = bench.start_run(&["task"]);
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    claude(&bench, &slow(50));
    let mut queued: Vec<Child> = Vec::new();
    for n in 0..5 {
        queued.push(start(&bench, &["resume", &short, "--queue", "Go on."]));
        wait_for("the queue", || bench.runs().len() == n + 2);
    }
    std::thread::sleep(Duration::from_millis(300));
    signal(&first, Signal::INT);
    first.wait().unwrap();
    for belay in queued {
        let (code, said) = ended(belay);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("[session_queue] waiting for session c9d9b6d7"), "{said}");
    }
    let attempts = attempts(&bench);
    assert_eq!(attempts.len(), 6);
    assert!(attempts.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{attempts:?}");
    assert_eq!(locks(&bench), [""; 0]);
}

#[test]
fn who_is_killed_gives_the_session_back_and_his_agent_is_waited_for() {
    for _ in 0..3 {
        let bench = hanging();
        // It ends a while after its SIGINT.
        let late = Play { linger_ms: 600, ..hangs() };
        let until = Until::Signal(belay_testkit::fake_agent::Signal::Int);
        let pauses =
            late.pauses.iter().map(|pause| Pause { until: until.clone(), ..pause.clone() });
        let late = Play { pauses: pauses.collect(), ..late };
        claude(&bench, &late);
        let mut first = bench.start_run(&["task"]);
        let events = fs::read_to_string(bench.newest_run().join("events.jsonl")).unwrap();
        let started = events.lines().find(|line| line.contains("attempt_started")).unwrap();
        let started: Value = serde_json::from_str(started).unwrap();
        let agent = started["pid"].as_u64().unwrap();
        claude(&bench, &slow(0));
        signal(&first, Signal::KILL);
        first.wait().unwrap();
        let began = Instant::now();
        let output = bench.belay(&["resume", "latest", "Go on."]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let alive = fs::read_to_string(format!("/proc/{agent}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'));
        assert!(!alive, "the first agent");
    }
}

#[test]
fn a_user_that_stands_still_is_waited_for_until_a_signal_or_a_limit() {
    let bench = hanging();
    let mut first = bench.start_run(&["task"]);
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    signal(&first, Signal::STOP);
    let refused =
        bench.belay(&["run", "--resume", SESSION, "--no-journal", "Go on."]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(75), "{said}");
    assert!(said.contains(", stopped, since "), "{said}");

    let mut queued = start(&bench, &["resume", &short, "--queue", "--format", "json", "Go on."]);
    let mut stderr = queued.stderr.take().unwrap();
    let mut said = [0; 24];
    stderr.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"warning: waiting for ses");
    let began = Instant::now();
    signal(&queued, Signal::INT);
    let output = queued.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["failure"]["kind"], "interrupted");

    let args = ["resume", &short, "--queue", "--timeout", "1s", "Go on."];
    let limited = bench.belay(&args).output().unwrap();
    assert_eq!(limited.status.code(), Some(3));
    assert_eq!(attempts(&bench).len(), 0, "nothing has ended but what waited");
    // A run that waits can be stopped like any other.
    let waits = start(&bench, &["resume", &short, "--queue", "Go on."]);
    let waiting = waits.id();
    wait_for("the third in the queue", || bench.runs().len() == 4);
    stdout(&mut bench.belay(&["stop", "latest"]));
    assert_eq!(ended(waits).0, Some(130), "{waiting}");
    signal(&first, Signal::CONT);
    signal(&first, Signal::INT);
    first.wait().unwrap();
    assert_eq!(locks(&bench), [""; 0]);
}

#[test]
fn a_run_in_the_queue_has_no_agent_and_can_be_resumed_when_it_was_stopped() {
    let bench = hanging();
    let mut first = bench.start_run(&["task"]);
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    let waits = start(&bench, &["resume", &short, "--queue", "Look left."]);
    let state = |word: &str| {
        !stdout(&mut bench.belay(&["runs", "--state", word, "--json"])).trim().is_empty()
    };
    wait_for("a run that waits", || state("waiting"));
    let told = bench.belay(&["steer", "latest", "Look right."]).output().unwrap();
    let said = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.status.code(), Some(0), "{said}");
    assert!(said.contains("waits for its session and has no agent yet"), "{said}");
    stdout(&mut bench.belay(&["stop", "latest"]));
    let (code, said) = ended(waits);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("stopped before there was an agent"), "{said}");
    assert!(!said.contains("stopping the agent"), "{said}");
    assert!(said.contains("not delivered (the run has ended): Look right."), "{said}");
    assert!(said.contains("to go on: belay resume "), "{said}");
    assert!(!state("waiting"));

    signal(&first, Signal::INT);
    first.wait().unwrap();
    claude(&bench, &slow(0));
    let line = said.lines().find_map(|line| line.split("belay resume ").nth(1)).unwrap();
    let resumed = bench.belay(&["resume", line.trim()]).output().unwrap();
    assert_eq!(resumed.status.code(), Some(0), "{resumed:?}");
    let request = fs::read_to_string(bench.newest_run().join("request.json")).unwrap();
    assert!(request.contains("Look left."), "its own prompt was never said: {request}");
}

/// What is said to a run that waits reaches its agent.
#[test]
fn a_message_to_a_run_in_the_queue_is_told_when_its_agent_has_started() {
    let bench = hanging();
    let mut first = bench.start_run(&["task"]);
    let short = id(&stdout(&mut bench.belay(&["runs"])));
    let waits = start(&bench, &["resume", &short, "--queue", "Look left."]);
    wait_for("a run that waits", || {
        !stdout(&mut bench.belay(&["runs", "--state", "waiting", "--json"])).trim().is_empty()
    });
    stdout(&mut bench.belay(&["steer", "latest", "Look right."]));
    claude(&bench, &slow(50));
    signal(&first, Signal::INT);
    first.wait().unwrap();
    let (code, said) = ended(waits);
    assert_eq!(code, Some(0), "{said}");
    let input = fs::read_to_string(bench.newest_run().join("input.1.log")).unwrap();
    assert!(input.contains("\nsteer ") && input.contains("Look right."), "{input}");
}

#[test]
fn the_flags_are_for_a_session_that_is_resumed() {
    let bench = with_claude(&slow(0));
    for flag in ["--force", "--queue"] {
        let shown = bench.shown(&["run", flag, "hi"]);
        let want = format!(
            "exit 2\n--- stdout\n--- stderr\nerror: {flag} is for a session that is resumed\n\
             hint: name it with --resume or --continue\n"
        );
        assert_eq!(shown, want);
    }
    let both = bench.belay(&["run", "--resume", "x", "--force", "--queue", "hi"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn the_second_run_that_may_edit_a_folder_says_so_in_one_line() {
    let bench = hanging();
    let mut first = bench.start_run(&["--permit", "edit", "task"]);
    let run = bench.newest_run().file_name().unwrap().to_str().unwrap().to_owned();
    claude(&bench, &slow(0));
    for (args, told) in [
        (&["--permit", "edit"][..], 1),
        (&["--permit", "edit", "--format", "quiet"], 1),
        (&["--permit", "read-only"], 0),
        (&["--permit", "edit", "-C", "../home"], 0),
    ] {
        let output = bench.belay(&[&["run"], args, &["hi"]].concat()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let lines = said.lines().filter(|line| line.contains("may edit the same files"));
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines.len(), told, "{args:?}: {said}");
        assert!(lines.iter().all(|line| line.contains(&run)), "{said}");
    }
    signal(&first, Signal::INT);
    first.wait().unwrap();
    assert!(Path::new(&bench.path("home")).exists());
}
