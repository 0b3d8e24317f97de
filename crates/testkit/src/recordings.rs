//! The recorded streams of the real agent CLIs that lie in the repository.
//!
//! Layout: `recordings/{agent}/{version}/{name}/` with `stdout.jsonl`, `dialogue.jsonl`, or
//! `sse.jsonl` and `http.jsonl`; `stderr.txt` and `meta.json`.

mod served;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use served::{Exchange, Served, ServedEvent};

/// One recorded run of a real agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The agent's folder name, for example `claude-code` or `pi`.
    pub agent: String,
    /// The version that was recorded.
    pub version: String,
    /// What was recorded, for example `b-shell`.
    pub name: String,
    /// The folder it lies in.
    pub dir: PathBuf,
    /// Everything the agent printed; for a dialogue, its messages one per line; for a server, its
    /// events one per line.
    pub stdout: Vec<u8>,
    /// Everything the agent printed on stderr.
    pub stderr: Vec<u8>,
    /// How it was made: argv, environment, exit code, times.
    pub meta: Value,
    /// Both directions, when the recording is of a dialogue.
    pub dialogue: Option<Vec<DialogueLine>>,
    /// Events and requests, when the recording is of a server.
    pub served: Option<Served>,
}

/// One message of a recorded dialogue.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DialogueLine {
    /// Who speaks.
    pub dir: Direction,
    /// When, in milliseconds since the start.
    #[serde(default, rename = "t")]
    pub at_ms: f64,
    /// The message itself.
    pub msg: Value,
}

/// Who speaks in a dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Direction {
    /// The client writes to the agent's stdin: `->`.
    #[serde(rename = "->")]
    ToAgent,
    /// The agent writes to its stdout: `<-`.
    #[serde(rename = "<-")]
    FromAgent,
}

impl Recording {
    /// The path of its `stdout.jsonl`, for a [`Play`](crate::fake_agent::Play).
    pub fn stdout_path(&self) -> PathBuf {
        self.dir.join("stdout.jsonl")
    }

    /// The path of its `dialogue.jsonl`, which exists when `dialogue` is there.
    pub fn dialogue_path(&self) -> PathBuf {
        self.dir.join("dialogue.jsonl")
    }

    /// Whether it was written by hand from the agent's source, because nobody could run the agent.
    pub fn is_synthetic(&self) -> bool {
        self.meta["synthetic"] == true
    }

    /// The code the agent exited with; `None` when a signal ended it.
    pub fn exit_code(&self) -> Option<i32> {
        // The recorder wrote a signal as a negative code.
        let code = self.meta["exit_code"].as_i64().filter(|code| *code >= 0)?;
        i32::try_from(code).ok()
    }

    /// When each line of stdout came, in milliseconds since the start.
    pub fn line_times_ms(&self) -> Vec<f64> {
        self.meta["line_times_ms"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .collect()
    }
}

/// The repository's `recordings` folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recordings")
}

/// Every recording of this agent, by version and then by name; none for an agent without a folder.
///
/// # Panics
///
/// When a recording cannot be read: the repository is broken, and no test should go on.
pub fn all(agent: &str) -> Vec<Recording> {
    let mut recordings = Vec::new();
    for version in folders(&root().join(agent)) {
        for dir in folders(&version) {
            let recording = load(&dir)
                .unwrap_or_else(|error| panic!("cannot read recording {}: {error}", dir.display()));
            recordings.push(recording);
        }
    }
    recordings
}

/// The recording with this name, in the newest version that has it.
///
/// # Panics
///
/// When there is none.
pub fn one(agent: &str, name: &str) -> Recording {
    let found = all(agent).into_iter().rfind(|recording| recording.name == name);
    found.unwrap_or_else(|| panic!("no recording {name} of {agent} below {}", root().display()))
}

/// Reads a dialogue file, one message per line.
pub fn read_dialogue(path: &Path) -> io::Result<Vec<DialogueLine>> {
    read_lines(path)
}

/// Reads a file of one JSON value per line. Only LF ends a line: agents print U+2028 as it is.
fn read_lines<T: DeserializeOwned>(path: &Path) -> io::Result<Vec<T>> {
    let text = fs::read_to_string(path)?;
    let lines = text.split('\n').filter(|line| !line.trim().is_empty());
    Ok(lines.map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn load(dir: &Path) -> io::Result<Recording> {
    let dialogue_path = dir.join("dialogue.jsonl");
    let dialogue = if dialogue_path.exists() { Some(read_dialogue(&dialogue_path)?) } else { None };
    let served = Served::load(dir)?;
    let stdout_path = dir.join("stdout.jsonl");
    let stdout = match (&dialogue, &served) {
        _ if stdout_path.exists() => fs::read(stdout_path)?,
        (Some(lines), _) => lines
            .iter()
            .filter(|line| line.dir == Direction::FromAgent)
            .flat_map(|line| format!("{}\n", line.msg).into_bytes())
            .collect(),
        (None, Some(served)) => served
            .events
            .iter()
            .flat_map(|event| format!("{}\n", event.data).into_bytes())
            .collect(),
        (None, None) => fs::read(stdout_path)?,
    };
    let version_dir = dir.parent().unwrap_or(dir);
    Ok(Recording {
        agent: name_of(version_dir.parent().unwrap_or(version_dir)),
        version: name_of(version_dir),
        name: name_of(dir),
        dir: dir.to_owned(),
        stdout,
        stderr: fs::read(dir.join("stderr.txt")).unwrap_or_default(),
        meta: serde_json::from_slice(&fs::read(dir.join("meta.json"))?)?,
        dialogue,
        served,
    })
}

/// The folders in a folder, sorted; none when it is not there.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn name_of(dir: &Path) -> String {
    dir.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
