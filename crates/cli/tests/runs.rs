//! `belay runs` and `belay show`: runs as things that can be looked at afterwards.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/bench.rs"]
mod bench;

use belay_testkit::fake_agent::{Play, WaitForStdin};
use belay_testkit::recordings;
use bench::Bench;
use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn with_claude(play: Play) -> Bench {
    let bench = Bench::new();
    bench.agent("claude", &Play { wait_for_stdin: WaitForStdin::Line, ..play });
    bench
}

fn recorded(name: &str) -> Bench {
    with_claude(Play::file(recordings::one("claude-code", name).stdout_path()))
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn a_run_is_listed_and_shown_again_as_it_was() {
    let bench = recorded("b-shell");
    let shown = bench.shown(&["run", "look"]);
    let runs = stdout(&mut bench.belay(&["runs"]));
    assert_eq!(runs.lines().count(), 1);
    assert!(runs.contains("  answered         claude-code    $0.0130 "), "{runs}");

    let again = stdout(&mut bench.belay(&["show"]));
    let log = again.split("\nrun ").next().unwrap().trim();
    assert!(shown.contains(log), "{again}\n---\n{shown}");
    assert!(again.ends_with("\nThe command printed hello-from-shell.\n"), "{again}");

    let id = runs.split(' ').next().unwrap();
    let events = stdout(&mut bench.belay(&["show", id, "--format", "jsonl"]));
    assert!(events.lines().all(|line| line.contains(id)) && events.contains(r#""type":"result""#));
    let listed: serde_json::Value =
        serde_json::from_str(&stdout(&mut bench.belay(&["runs", "--json"]))).unwrap();
    assert_eq!((listed["run"].as_str(), listed["state"].as_str()), (Some(id), Some("answered")));
}

#[test]
fn a_replay_gives_the_same_events_and_says_when_it_does_not() {
    let bench = recorded("f-partial");
    bench.belay(&["run", "look"]).output().unwrap();
    let events = stdout(&mut bench.belay(&["show", "--format", "jsonl"]));
    let from_agent: Vec<&str> = events.lines().filter(|line| line.contains(r#""raw":"#)).collect();
    let output = bench.belay(&["replay"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let replayed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(replayed.lines().collect::<Vec<_>>(), from_agent);

    // Something else was stored than what the driver makes of the inputs now.
    let runs = bench.path("home/.local/state/belay/runs");
    let run = std::fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    let changed = events.replacen("Listing files now", "Something else", 1);
    std::fs::write(run.join("events.jsonl"), changed).unwrap();
    let output = bench.belay(&["replay", "--quiet"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("attempt 1 reads differently now"), "{words}");
}

#[test]
fn a_run_whose_belay_was_killed_has_crashed_and_can_be_read() {
    let lines = recordings::one("claude-code", "int-int1").stdout;
    let lines = String::from_utf8(lines).unwrap();
    let lines: Vec<String> = lines.lines().take(3).map(str::to_owned).collect();
    let bench = with_claude(Play { linger_ms: 60_000, ..Play::lines(lines) });
    let mut command = bench.belay(&["run", "--format", "jsonl", "sleep"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();

    let runs = || stdout(&mut bench.belay(&["runs"]));
    let deadline = Instant::now() + Duration::from_secs(20);
    while !stdout(&mut bench.belay(&["show", "--format", "jsonl"])).contains("tool_call\"") {
        assert!(Instant::now() < deadline, "{}", runs());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(runs().contains("  running "), "{}", runs());
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    assert!(runs().contains("  crashed "), "{}", runs());
    let shown = stdout(&mut bench.belay(&["show"]));
    assert!(
        shown.contains("[tool_use] Bash")
            && shown.contains("to go on: belay run -a claude-code --resume")
    );
    // The agent that the kill left behind is ours to end: nothing else here knows of it yet.
    end_agent(&bench);
}

fn end_agent(bench: &Bench) {
    let events = stdout(&mut bench.belay(&["show", "--format", "jsonl"]));
    let started = events.lines().find(|line| line.contains("attempt_started")).unwrap();
    let started: serde_json::Value = serde_json::from_str(started).unwrap();
    let pid = i32::try_from(started["pid"].as_i64().unwrap()).unwrap();
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

#[test]
fn a_run_that_does_not_exist() {
    let bench = recorded("a-text");
    assert_snapshot!(bench.shown(&["show", "01a1fd39"]), @r#"
    exit 4
    --- stdout
    --- stderr
    error: there is no run `01a1fd39`
    hint: `belay runs` lists them; `belay show latest` is the newest
    "#);
    assert_snapshot!(bench.shown(&["runs"]), @r#"
    exit 0
    --- stdout
    --- stderr
    There are no runs yet: belay run "…"
    "#);
}
