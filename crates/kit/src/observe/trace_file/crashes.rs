//! A writer that is killed at each step of its way, and what is there then (T18).

use super::folder::Step;
use super::*;
use belay_trace::journal::{EVENTS_FILE, RUNS_DIR};
use belay_trace::{Event, NodeStatus, NodeType, Phase, Record, RunResult, RunStarted, read_file};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// At which step the writer is killed, and where it writes; only the process that is to be killed has them.
const AT: &str = "BELAY_TEST_KILLED_AT";
const DIR: &str = "BELAY_TEST_TRACES";

static STEPS: AtomicUsize = AtomicUsize::new(0);

/// Ends the process as `kill -9` does, if it is its turn.
pub(super) fn reached(_: Step) {
    let Ok(at) = std::env::var(AT) else { return };
    if STEPS.fetch_add(1, Ordering::Relaxed).to_string() == at {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .unwrap();
    }
}

fn id() -> TraceId {
    TraceId::new("hive").unwrap()
}

/// A run's tree with a phase and so many calls.
fn part(run: &str, calls: usize, status: Option<NodeStatus>) -> Node {
    let call = Node { node_type: NodeType::ToolCall, ..Node::default() };
    let phase = Node {
        node_type: NodeType::Phase,
        run: run.to_owned(),
        agent_name: run.to_owned(),
        start_time: Some(now()),
        status: status.clone(),
        children: vec![call; calls],
        ..Node::default()
    };
    Node {
        id: "hive".into(),
        run: run.to_owned(),
        status,
        children: vec![phase],
        ..Node::default()
    }
}

/// A run from its begin to its end.
fn write(files: &TraceFiles, run: &str) {
    let running = Some(NodeStatus::Running);
    let mark = files.mark(&id(), run).unwrap();
    files.begin_run(&id(), &part(run, 0, running.clone())).unwrap();
    // Between its fork and its exec a child of another test holds our lock too.
    while !files.update_run(&id(), &part(run, 1, running.clone())).unwrap() {}
    files.end_run(&id(), part(run, 2, None), Some(mark)).unwrap();
}

/// What is in the folder beside the trace.
fn besides(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "hive.json").collect()
}

/// Runs this test again in a process of its own, which is killed at the step; false if it came to its end before.
fn is_killed_at(step: usize, test: &str, dir: &Path) -> bool {
    #[allow(clippy::disallowed_methods, reason = "a test starts itself")]
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test]).env(AT, step.to_string()).env(DIR, dir);
    !again.output().unwrap().status.success()
}

#[test]
fn a_writer_that_is_killed_anywhere_tears_no_trace_and_leaves_nothing_lying_about() {
    const TEST: &str = "observe::trace_file::crashes::a_writer_that_is_killed_anywhere_tears_no_trace_and_leaves_nothing_lying_about";
    if let Some(dir) = std::env::var_os(DIR) {
        return write(&TraceFiles::at(Path::new(&dir)), "second");
    }
    let (mut killed, mut torn) = (0, 0);
    for step in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let files = TraceFiles::at(dir.path());
        write(&files, "first");
        if !is_killed_at(step, TEST, dir.path()) {
            break;
        }
        killed += 1;
        // What a reader sees, before anybody has put it in order.
        let tree = read_file(&files.path(&id()));
        torn += usize::from(tree.is_err());
        let tree = tree.unwrap();
        assert_eq!(tree.children[0].children.len(), 2, "the first run is whole, killed at {step}");
        if let Some(second) = tree.children.get(1) {
            let calls = second.children.len();
            assert_eq!(second.is_running(), calls < 2, "killed at {step}");
        }
        let settled = files.settle(&id()).unwrap();
        let unfinished = tree.children.get(1).is_some_and(Node::is_running);
        assert_eq!(settled.dead.len(), usize::from(unfinished), "killed at {step}");
        if unfinished {
            assert_eq!(settled.tree.children[1].status, Some(NodeStatus::Killed));
        }
        write(&files, "third");
        let tree = read_file(&files.path(&id())).unwrap();
        assert!(tree.running().is_empty() && tree.children.len() >= 2);
        // A mark that was not even locked is removed when it is old enough to be nobody's.
        let left = besides(dir.path());
        assert!(left.is_empty() || left == [".running"] && step == 0, "killed at {step}: {left:?}");
    }
    assert!(killed >= 20, "every step of begin, update and end: {killed}");
    belay_testkit::figures::figure("T18", "a writer killed at each of its steps", killed);
    belay_testkit::figures::figure("T18", "traces unreadable or torn after it", torn);
}

/// A run that was killed before its turn to write: its mark and its journal are all there is of it.
fn die_unwritten(files: &TraceFiles, state: &Path, run: &str) {
    let started = RunStarted { trace_id: Some("hive".into()), ..RunStarted::default() };
    let events = [
        Event::RunStarted(started),
        Event::Phase(Phase { phase_name: run.to_owned() }),
        Event::Result(RunResult::default()),
    ];
    let numbered = events.into_iter().zip(0..);
    let records = numbered.map(|(event, seq)| Record { seq, ..Record::new(run, event) });
    let lines: String =
        records.map(|record| serde_json::to_string(&record).unwrap() + "\n").collect();
    let folder = state.join(RUNS_DIR).join(run);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(EVENTS_FILE), lines).unwrap();
    drop(files.mark(&id(), run).unwrap());
}

#[test]
fn a_dead_run_is_not_lost_when_the_next_writer_is_killed_too() {
    const TEST: &str =
        "observe::trace_file::crashes::a_dead_run_is_not_lost_when_the_next_writer_is_killed_too";
    const DEAD: &str = "01a1fded-c7f0-76d1-9a5c-f99e62216721";
    if let Some(dir) = std::env::var_os(DIR) {
        let dir = Path::new(&dir);
        let files = TraceFiles::at(dir.join("traces")).journals(dir.join("state"));
        return write(&files, "second");
    }
    let mut killed = 0;
    for step in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let (traces, state) = (dir.path().join("traces"), dir.path().join("state"));
        fs::create_dir(&traces).unwrap();
        let files = TraceFiles::at(&traces).journals(&state);
        write(&files, "first");
        die_unwritten(&files, &state, DEAD);
        if !is_killed_at(step, TEST, dir.path()) {
            break;
        }
        killed += 1;
        let tree = files.settle(&id()).unwrap().tree;
        let phases = tree.children.iter().filter(|child| child.node_type == NodeType::Phase);
        let found = phases.filter(|phase| phase.run == DEAD).count();
        assert_eq!(found, 1, "killed at {step}: {tree:#?}");
    }
    assert!(killed >= 20, "every step of begin, update and end: {killed}");
}
