//! The recordings of real agents, and what a driver makes of them.
#![allow(dead_code, reason = "each test needs a part of it")]

use belay_agents::{
    Agent, AttemptEnd, Candidate, Emitted, Exit, RunRequest, StreamParser, Transport,
};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One recorded stream.
pub(crate) struct Recording {
    /// The folder: `claude-code/a-text`.
    pub(crate) name: String,
    pub(crate) agent: Arc<dyn Agent>,
    pub(crate) request: RunRequest,
    pub(crate) transport: Transport,
    pub(crate) stdout: Vec<u8>,
    pub(crate) exit: Exit,
}

/// What a driver made of a stream, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    Event(Emitted),
    End(AttemptEnd),
}

/// Every recording of the agents that print lines.
pub(crate) fn all() -> Vec<Recording> {
    VERSIONS.iter().copied().flat_map(of_version).collect()
}

const VERSIONS: &[&str] = &[
    "claude-code/2.1.329",
    "codex/0.169.0",
    "pi/1.5.2",
    "docker-agent/1.32.3",
    "docker-agent/71f377e5",
];

pub(crate) fn named(name: &str) -> Recording {
    all().into_iter().find(|recording| recording.name == name).expect("the recording is there")
}

/// The messages of a recording with both directions: true if the client sent it.
pub(crate) fn dialogue() -> Vec<(bool, Value)> {
    let text = fs::read_to_string(root().join("codex/0.169.0/t-appserver/dialogue.jsonl")).unwrap();
    let message = |line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        (line["dir"] == "->", line["msg"].take())
    };
    text.lines().map(message).collect()
}

fn root() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "recordings"].iter().collect()
}

fn of_version(version: &str) -> Vec<Recording> {
    let entries = fs::read_dir(root().join(version)).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().map(|folder| read(version, folder)).collect()
}

fn read(version: &str, folder: PathBuf) -> Recording {
    let meta = fs::read_to_string(folder.join("meta.json")).unwrap();
    let meta: Value = serde_json::from_str(&meta).unwrap();
    let argv: Vec<&str> =
        meta["argv"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    let resumed = argv.iter().position(|arg| ["resume", "--resume", "--session"].contains(arg));
    let request = RunRequest::new("do it");
    let is_dialogue =
        ["app-server", "--input-format", "rpc"].iter().any(|word| argv.contains(word));
    let (agent, number) = version.split_once('/').unwrap();
    let folder_name = folder.file_name().unwrap().to_str().unwrap();
    // What is made by hand is the same for each version.
    let name = if folder_name == "constructed" { number } else { folder_name };
    let exit = i32::try_from(meta["exit_code"].as_i64().unwrap()).unwrap();
    Recording {
        name: format!("{agent}/{name}"),
        agent: agent.parse::<Candidate>().unwrap().agent,
        request: match resumed {
            Some(at) => request.resume(argv[at + 1]),
            None => request,
        },
        transport: if is_dialogue { Transport::Dialogue } else { Transport::Print },
        stdout: fs::read(folder.join("stdout.jsonl")).unwrap_or_else(|_| from_agent(&folder)),
        exit: if exit < 0 { Exit::Signal(-exit) } else { Exit::Code(exit) },
    }
}

/// What the agent said in a recorded dialogue.
fn from_agent(folder: &Path) -> Vec<u8> {
    let text = fs::read_to_string(folder.join("dialogue.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines = lines.filter(|line| line["dir"] == "<-").map(|line| format!("{}\n", line["msg"]));
    lines.collect::<String>().into_bytes()
}

impl Recording {
    pub(crate) fn lines(&self) -> Vec<&[u8]> {
        lines(&self.stdout)
    }

    /// The whole stream and its end, through the driver.
    pub(crate) fn said(&self) -> Vec<Said> {
        self.said_of(&self.lines(), self.exit)
    }

    /// Other lines in the place of the recorded ones.
    pub(crate) fn said_of(&self, lines: &[&[u8]], exit: Exit) -> Vec<Said> {
        let mut parser = StreamParser::new(&*self.agent, &self.request, self.transport);
        let mut said = Vec::new();
        for line in lines {
            said.extend(parser.parse_bytes(line).into_iter().map(Said::Event));
            said.extend(parser.take_ended().into_iter().map(Said::End));
        }
        said.extend(parser.finish(exit).into_iter().map(Said::Event));
        said.extend(parser.take_ended().into_iter().map(Said::End));
        said
    }

    pub(crate) fn events(&self) -> Vec<Emitted> {
        let event = |said| match said {
            Said::Event(event) => Some(event),
            Said::End(_) => None,
        };
        self.said().into_iter().filter_map(event).collect()
    }

    pub(crate) fn ends(&self) -> Vec<AttemptEnd> {
        ends(&self.said())
    }

    /// What the agent itself says of the turn that this line ends: true if it answered.
    pub(crate) fn verdict(&self, line: &[u8]) -> Option<bool> {
        let line: Value = serde_json::from_slice(line).ok()?;
        let kind = if line["method"].is_null() { &line["type"] } else { &line["method"] };
        match kind.as_str()? {
            "result" => Some(line["is_error"] == false),
            "turn.completed" => Some(true),
            "turn.failed" => Some(false),
            "turn/completed" => Some(line["params"]["turn"]["status"] == "completed"),
            // Whether the turn has answered stands in an earlier line, and no recording has both.
            "agent_settled" => Some(line["aborted"] == false && self.has_whole_response()),
            "stream_stopped" => Some(true),
            _ => None,
        }
    }

    /// True if a response of Pi has come to its end.
    fn has_whole_response(&self) -> bool {
        let is_whole = |line: &&[u8]| {
            let line: Value = serde_json::from_slice(line).unwrap();
            line["type"] == "message_end" && line["message"]["stopReason"] == "stop"
        };
        self.lines().iter().any(is_whole)
    }

    /// True if the line begins a turn.
    pub(crate) fn begins_turn(&self, line: &[u8]) -> bool {
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return false };
        line["subtype"] == "init"
            || line["type"] == "turn.started"
            || line["type"] == "agent_start"
            || line["type"] == "stream_started"
            || line["method"] == "turn/started"
    }
}

pub(crate) fn lines(stream: &[u8]) -> Vec<&[u8]> {
    let stream = stream.strip_suffix(b"\n").unwrap_or(stream);
    stream.split(|byte| *byte == b'\n').collect()
}

pub(crate) fn ends(said: &[Said]) -> Vec<AttemptEnd> {
    let end = |said: &Said| match said {
        Said::End(end) => Some(end.clone()),
        Said::Event(_) => None,
    };
    said.iter().filter_map(end).collect()
}
