//! `belay trace start` and `end`, and what stands in a trace that several processes write, when all goes well and
//! when one is killed.

use crate::bench::{Bench, show};
use belay_testkit::fake_agent::{Pause, Play, Signal as Until, Until as When, WaitForStdin};
use belay_testkit::recordings;
use belay_trace::{Node, NodeStatus, NodeType, RUNNING_DIR, dead_runs, read_file};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A bench with a Claude that calls a tool and answers, and one that waits for ever for what its tool returns.
fn bench() -> Bench {
    let bench = Bench::new();
    let recording = recordings::one("claude-code", "b-shell");
    let answering = Play::file(recording.stdout_path());
    bench.agent("claude", &Play { wait_for_stdin: WaitForStdin::Line, ..answering.clone() });
    let text = String::from_utf8(recording.stdout).unwrap();
    let call = text.lines().position(|line| line.contains(r#""type":"tool_use""#)).unwrap();
    let pause = Pause {
        after_line: call + 1,
        until: When::Signal(Until::Term),
        then: vec![],
        resume: false,
    };
    let stuck = Play { wait_for_stdin: WaitForStdin::Line, pauses: vec![pause], ..answering };
    bench.agent("stuck", &stuck);
    bench
}

fn start(bench: &Bench, args: &[&str]) -> String {
    let output = bench.belay(&[&["trace", "start"], args].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", show(&output, bench));
    assert!(output.stderr.is_empty());
    let id = String::from_utf8(output.stdout).unwrap();
    id.strip_suffix('\n').unwrap().to_owned()
}

fn run(bench: &Bench, trace: &str, phase: &str) -> Command {
    let args = ["run", "--format", "jsonl", "--trace", trace, "--phase", phase, "go"];
    let mut command = bench.belay(&args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn answered(bench: &Bench, mut command: Command) {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", show(&output, bench));
    assert!(output.stderr.is_empty(), "{}", show(&output, bench));
}

/// A run that has called a tool which never returns.
fn stuck(bench: &Bench, trace: &str, phase: &str) -> Child {
    let mut command = run(bench, trace, phase);
    command.args(["--program", bench.path("bin/stuck").to_str().unwrap()]);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(r#""type":"tool_call","#) {
        line.clear();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "it has ended");
    }
    // Those who watch may be a moment behind.
    let began = Instant::now();
    while tree(bench, trace).running().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", tree(bench, trace));
        std::thread::sleep(Duration::from_millis(5));
    }
    // So that it has a reader as long as it lives.
    child.stdout = Some(stdout.into_inner());
    child
}

fn file(bench: &Bench, trace: &str) -> PathBuf {
    bench.project().join(format!(".belay/traces/{trace}.json"))
}

fn tree(bench: &Bench, trace: &str) -> Node {
    read_file(&file(bench, trace)).unwrap()
}

/// The phases with how they stand, and the calls in them.
fn shown(tree: &Node) -> Vec<String> {
    let of = |node: &Node| match &node.status {
        Some(status) => format!("{} {status:?}", node.agent_name),
        None => node.agent_name.clone(),
    };
    let phases = tree.children.iter().filter(|node| node.node_type == NodeType::Phase);
    let phases = phases.map(|phase| {
        let calls: Vec<_> = phase.children.iter().map(of).collect();
        format!("{}: {}", of(phase), calls.join(", "))
    });
    phases.collect()
}

fn kill(child: &mut Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
    child.wait().unwrap();
}

fn end(bench: &Bench, args: &[&str]) -> String {
    bench.shown(&[&["trace", "end"], args].concat())
}

#[test]
fn a_pipeline_of_three_processes_of_which_one_is_killed_is_one_readable_trace() {
    let bench = bench();
    let id = start(&bench, &["--name", "hiveminer-run", "--meta", "customer=acme"]);
    answered(&bench, run(&bench, &id, "discovery"));
    let mut child = stuck(&bench, &id, "reading");
    kill(&mut child, Signal::KILL);

    // The kill has left a tree that says that somebody is at work, and nobody is.
    let left = tree(&bench, &id);
    assert_eq!(left.running().len(), 1);
    assert_eq!(dead_runs(&bench.project().join(".belay/traces"), &left), left.running());

    // Whoever writes next puts it in order.
    answered(&bench, run(&bench, &id, "writing"));
    let ended = tree(&bench, &id);
    let want = ["discovery: Bash", "reading Killed: Bash Killed", "writing: Bash"];
    assert_eq!(shown(&ended), want);
    let killed = &ended.children[3];
    assert_eq!(killed.error, "killed before its end was written");
    assert_eq!(killed.children[0].error, "unfinished");
    assert_eq!(
        (ended.agent_name.as_str(), &ended.status),
        ("hiveminer-run", &Some(NodeStatus::Running))
    );
    assert_eq!(ended.attributes["customer"], "acme");
    assert!(!bench.project().join(".belay/traces").join(RUNNING_DIR).exists());

    let said = end(&bench, &[&id]);
    assert!(
        said.starts_with(&format!(
            "exit 0\n--- stdout\n--- stderr\ntrace {id}: ended, 3 phases (1 killed), "
        )),
        "{said}"
    );
    // What the killed run has cost nobody knows.
    assert!(said.trim_end().ends_with("≥$0.0260"), "{said}");
    assert_eq!(tree(&bench, &id).status, None);
    assert_eq!(
        end(&bench, &[&id]).replace(&id, "ID"),
        "exit 4\n--- stdout\n--- stderr\nerror: the trace ID has ended already\n\
         hint: it is in .belay/traces/ID.json\n"
    );
}

#[test]
fn a_killed_run_is_marked_at_the_end_of_its_trace_also_without_a_journal() {
    let bench = bench();
    let id = start(&bench, &[]);
    let mut child = stuck(&bench, &id, "reading");
    kill(&mut child, Signal::KILL);
    let elsewhere = bench.path("elsewhere");
    let said = end(&bench, &[&id, "--state-dir", elsewhere.to_str().unwrap()]);
    assert!(said.contains("1 phase (1 killed)"), "{said}");
    // What was written of it before it was killed is there, and no more.
    let phase = &tree(&bench, &id).children[1];
    assert_eq!((&*phase.agent_name, &phase.status), ("reading", &Some(NodeStatus::Killed)));
}

#[test]
fn a_run_that_never_had_its_turn_to_write_is_in_its_trace_all_the_same() {
    let bench = bench();
    let id = start(&bench, &[]);
    // Somebody else writes traces all the time.
    let folder = std::fs::File::open(bench.project().join(".belay/traces")).unwrap();
    folder.lock().unwrap();
    for trace in [&*id, "own"] {
        let output = run(&bench, trace, "waiting").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", show(&output, &bench));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr, "warning: trace: still busy after 2 s\n");
    }
    drop(folder);
    for trace in [&*id, "own"] {
        assert!(end(&bench, &[trace]).contains("ended, 1 phase, "), "{trace}");
        assert_eq!(shown(&tree(&bench, trace)), ["waiting: Bash"]);
    }
    assert!(!bench.project().join(".belay/traces").join(RUNNING_DIR).exists());
}

#[test]
fn two_phases_at_work_at_once_stand_in_one_trace() {
    let bench = bench();
    let id = start(&bench, &["--name", "both"]);
    let both = ["left", "right"].map(|phase| run(&bench, &id, phase).spawn().unwrap());
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", show(&output, &bench));
    }
    let mut phases = shown(&tree(&bench, &id));
    phases.sort();
    assert_eq!(phases, ["left: Bash", "right: Bash"]);
}

#[test]
fn a_trace_can_be_looked_at_and_ended_while_a_run_is_at_work() {
    let bench = bench();
    let id = start(&bench, &[]);
    let mut child = stuck(&bench, &id, "long");
    let began = Instant::now();
    while shown(&tree(&bench, &id)) != ["long Running: Bash Running"] {
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", tree(&bench, &id));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(dead_runs(&bench.project().join(".belay/traces"), &tree(&bench, &id)), [""; 0]);
    let said = end(&bench, &[&id, "--error", "too slow"]);
    assert!(said.contains("failed, 1 phase (1 still running)"), "{said}");
    kill(&mut child, Signal::INT);
    let ended = tree(&bench, &id);
    assert_eq!((ended.error.as_str(), &ended.status), ("too slow", &Some(NodeStatus::Failed)));
    assert_eq!(shown(&ended), ["long Interrupted: Bash Interrupted"]);
    // A run that is added to it later does not open it again.
    answered(&bench, run(&bench, &id, "after"));
    let later = tree(&bench, &id);
    assert_eq!((later.status, later.children.len()), (ended.status, 4));
    assert!(later.duration_ms >= ended.duration_ms);
}

#[test]
fn a_trace_of_a_run_alone_can_be_ended_once_and_what_is_no_trace_cannot() {
    let bench = bench();
    answered(&bench, run(&bench, "mine", "one"));
    assert_eq!(tree(&bench, "mine").status, None);
    assert!(end(&bench, &["mine"]).starts_with("exit 0"));
    assert!(end(&bench, &["mine"]).starts_with("exit 4"));
    assert_eq!(
        end(&bench, &["none"]),
        "exit 4\n--- stdout\n--- stderr\nerror: there is no trace none in .belay/traces\n\
         hint: `belay trace start` begins one; --trace-dir names another folder\n"
    );
    assert!(end(&bench, &["../mine"]).starts_with("exit 4"));
    std::fs::write(file(&bench, "notes"), "my notes").unwrap();
    let said = end(&bench, &["notes"]);
    assert!(said.starts_with("exit 1") && said.contains("is not a trace tree"), "{said}");
    assert_eq!(std::fs::read_to_string(file(&bench, "notes")).unwrap(), "my notes");
}

#[test]
fn the_name_of_a_trace_holds_no_secret() {
    let bench = bench();
    let mut command = bench.belay(&["trace", "start", "--name", "of hunter2hunter2"]);
    let output = command.env("HIVE_PASSWORD", "hunter2hunter2").output().unwrap();
    let id = String::from_utf8(output.stdout).unwrap();
    assert_eq!(tree(&bench, id.trim_end()).agent_name, "of [redacted:HIVE_PASSWORD]");
}

#[test]
fn nothing_is_written_through_a_link_in_the_folder_of_the_traces() {
    let bench = bench();
    let id = start(&bench, &[]);
    let elsewhere = bench.path("elsewhere.json");
    std::fs::copy(file(&bench, &id), &elsewhere).unwrap();
    let before = std::fs::read(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, file(&bench, "linked")).unwrap();
    let output = run(&bench, "linked", "one").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", show(&output, &bench));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("it is a link, and belay follows none"), "{stderr}");
    assert!(std::fs::symlink_metadata(file(&bench, "linked")).unwrap().is_symlink());
    assert_eq!(std::fs::read(&elsewhere).unwrap(), before);
}
