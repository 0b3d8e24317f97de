//! What is known of each agent's messages is what its recordings show.

use belay_agents::{AGENTS, Shapes};
use belay_trace::journal::{Frames, InputKind};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// All that an agent has said in its recordings of every version, over every transport.
fn recorded(agent: &str) -> Shapes {
    let mut shapes = Shapes::default();
    let mut said = |line: &str| shapes.add(line.as_bytes());
    for version in entries(&root().join("recordings").join(agent)) {
        if version.extension().is_some_and(|extension| extension == "jsonl") {
            for failure in lines(&version) {
                let inputs = failure["inputs"].as_array().into_iter().flatten();
                let theirs = inputs.filter(|it| it[0] == "stdout" || it[0] == "sse");
                theirs.filter_map(|input| input[1].as_str()).for_each(&mut said);
            }
        }
        for recording in entries(&version) {
            let lines = |name| lines(&recording.join(name));
            lines("stdout.jsonl").iter().for_each(|line| said(&line.to_string()));
            let theirs = lines("dialogue.jsonl").into_iter().filter(|line| line["dir"] == "<-");
            theirs.for_each(|line| said(&line["msg"].to_string()));
            for event in lines("sse.jsonl") {
                let event = event.get("data").unwrap_or(&event);
                said(&event.as_str().map_or_else(|| event.to_string(), str::to_owned));
            }
        }
    }
    // Lines of runs that have what no recording has, without their words.
    for line in lines(&seen_file(agent)) {
        said(&line.to_string());
    }
    shapes
}

fn seen_file(agent: &str) -> PathBuf {
    root().join("recordings/seen").join(format!("{agent}.jsonl"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// The lines of a file that are JSON; none of one that is not there.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn the_known_shapes_are_those_of_the_recordings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shapes");
    let mut seen = 0;
    for entry in AGENTS {
        let Some(known) = Shapes::of_agent(entry.name) else { continue };
        seen += 1;
        let recorded = recorded(entry.name);
        if known != recorded && std::env::var_os("BELAY_WRITE_DOCS").is_some() {
            fs::write(folder.join(format!("{}.txt", entry.name)), recorded.to_text()).unwrap();
            continue;
        }
        assert!(
            known == recorded,
            "shapes/{}.txt: write it with BELAY_WRITE_DOCS=1 cargo test -p belay-agents known_shapes",
            entry.name
        );
    }
    assert!(seen >= 4);
}

/// Words of people and vendors are cut: nothing of a shape is in them.
fn without_words(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > 40 => *text = text.chars().take(12).collect(),
        Value::Array(values) => values.iter_mut().for_each(without_words),
        Value::Object(object) => object.values_mut().for_each(without_words),
        _ => {}
    }
}

/// With `BELAY_LEARN`, the folder that `BELAY_SOAK_KEEP` has filled: what runs have shown and no recording has is
/// written to `recordings/seen`.
#[test]
fn what_runs_have_shown_is_learned() {
    let Some(folder) = std::env::var_os("BELAY_LEARN").map(PathBuf::from) else { return };
    for (kept, agent) in [("claude", "claude-code")]
        .into_iter()
        .chain(["codex", "opencode", "pi", "gemini", "qwen", "copilot"].map(|name| (name, name)))
    {
        let mut known = recorded(agent);
        let mut learned = String::new();
        for log in entries(&folder.join(kept)) {
            let bytes = fs::read(log).unwrap();
            for frame in Frames::new(&bytes) {
                let is_said = matches!(frame.kind, InputKind::Stdout | InputKind::Sse);
                if !is_said || known.news(frame.bytes).is_empty() {
                    continue;
                }
                let mut line: Value = serde_json::from_slice(frame.bytes).unwrap();
                without_words(&mut line);
                known.add(frame.bytes);
                learned.push_str(&line.to_string());
                learned.push('\n');
            }
        }
        if !learned.is_empty() {
            let file = seen_file(agent);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            let before = fs::read_to_string(&file).unwrap_or_default();
            fs::write(file, before + &learned).unwrap();
        }
    }
}
