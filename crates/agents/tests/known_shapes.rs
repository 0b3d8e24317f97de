//! What is known of each agent's messages is what its recordings show.

use belay_agents::{AGENTS, Shapes};
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
    shapes
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
