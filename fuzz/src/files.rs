//! What belay reads from disk: journals, records, trace trees.

use belay_agents::{Agent, Claude, Codex, DockerAgent, Pi, Replay, RunRequest, Transport};
use belay_trace::journal::{EVENTS_FILE, Frame, Frames, RUNS_DIR};
use belay_trace::view::{View, WARN_PERCENT, dollars, duration, short_model, tokens};
use belay_trace::{Fold, Node, Record, Store, read_file};
use std::fs;
use std::path::PathBuf;

/// An attempt's inputs: whatever lies in the file, its whole frames are read and the rest is known.
pub fn journal(log: &[u8]) {
    let mut reader = Frames::new(log);
    let frames: Vec<Frame<'_>> = reader.by_ref().collect();
    assert!(log.ends_with(reader.rest()), "the rest is the end of the log");

    let mut again = Vec::new();
    for frame in &frames {
        let begin = usize::try_from(frame.write(&mut again)).expect("a log fits into memory");
        assert_eq!(&again[begin..begin + frame.bytes.len()], frame.bytes);
    }
    let mut reader = Frames::new(&again);
    assert_eq!(reader.by_ref().collect::<Vec<_>>(), frames, "what is written is read");
    assert!(reader.rest().is_empty());

    let cut = log.len() / 2;
    let of_half: Vec<Frame<'_>> = Frames::new(&log[..cut]).collect();
    assert!(frames.starts_with(&of_half), "a log that is cut has the frames before the cut");

    let agents: [&dyn Agent; 4] =
        [&Claude::new(), &Codex::new(), &Pi::new(), &DockerAgent::new("agent.yaml")];
    for agent in agents {
        for transport in [Transport::Dialogue, Transport::Print] {
            let replay = Replay::of(agent, &RunRequest::new("p"), transport, log);
            assert!(replay.events.iter().all(|(number, _)| *number < frames.len()));
            assert!(replay.unreadable <= frames.len() + 1);
        }
    }
}

/// A run's records: each line that is a record is read and written again, and the tree of all of them can be
/// written and read.
pub fn records(events: &[u8]) {
    let read = |line: &[u8]| serde_json::from_slice::<Record>(line).ok();
    let records: Vec<Record> = events.split(|byte| *byte == b'\n').filter_map(read).collect();
    let mut fold = Fold::new("t");
    for record in &records {
        let line = serde_json::to_string(record).expect("a record encodes");
        assert!(!line.contains('\n'), "a record is one line");
        assert_eq!(serde_json::from_str::<Record>(&line).expect("is read back"), *record);
        fold.push(record);
    }
    check_tree(fold.tree());
    let mut trace = fold.tree().clone();
    trace.put_run("another", fold.tree().clone());
    trace
        .running()
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .iter()
        .for_each(|run| trace.kill_run(run));
    check_tree(&trace);

    let state = scratch("state");
    let folder = state.join(RUNS_DIR).join("r");
    fs::create_dir_all(&folder).expect("the scratch folder is writable");
    fs::write(folder.join(EVENTS_FILE), events).expect("the scratch folder is writable");
    let run = Store::new(&state).find("latest").expect("the run is there");
    let stored: Vec<Record> = run.records().expect("the journal opens").collect();
    // An object with a key of serde_json's own is kept as text by the store alone.
    if !events.windows(11).any(|part| part == b"$serde_json") {
        assert_eq!(stored, records, "the store reads what is there");
    }
    run.summary().expect("the journal opens");
}

/// A trace file: what is read can be written and read again, and seen as every viewer sees it.
pub fn trace_file(bytes: &[u8]) {
    let path = scratch("trace.json");
    fs::write(&path, bytes).expect("the scratch folder is writable");
    if let Ok(tree) = read_file(&path) {
        check_tree(&tree);
        check_view(&tree);
    }
}

/// The rows of a tree: each stands inside its parent, and every figure can be shown.
fn check_view(tree: &Node) {
    let view = View::of(tree);
    let rows = view.rows();
    let (warned, known) = view.warnings(WARN_PERCENT);
    assert!(warned <= known && known <= rows.len());
    for (index, row) in rows.iter().enumerate() {
        assert!(index < row.end && row.end <= rows.len());
        assert_eq!(row.parent.is_none(), index == 0);
        if let Some(parent) = row.parent {
            let above = &rows[parent];
            assert!(parent < index && row.end <= above.end && row.depth == above.depth + 1);
            assert!(row.end_ms <= above.end_ms);
            assert_eq!(row.is_last, row.end == above.end);
        }
        assert!(row.average.is_none_or(|percent| (0.0..=100.0).contains(&percent)));
        assert!(row.total.cost_usd.is_finite());
        let shown = [
            dollars(&row.total),
            duration(row.duration_ms().unwrap_or(0)),
            tokens(row.total.tokens_in()),
        ];
        assert!(shown.iter().all(|text| text.chars().count() <= 12), "{shown:?}");
        assert!(
            short_model(row.model().unwrap_or_default()).len() <= row.model().map_or(0, str::len)
        );
        assert!(view.child_contexts(index).len() <= rows.len());
    }
}

fn check_tree(tree: &Node) {
    let json = serde_json::to_vec(tree).expect("a tree encodes");
    let read: Node = serde_json::from_slice(&json).expect("a tree is read back");
    assert_eq!(read, *tree, "a tree is read back as it was written");
}

/// A place for one file of this process.
fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("belay-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    folder.join(name)
}
