//! The recordings of real agents, and what a driver makes of them.

use belay_agents::{
    Action, Agent, AttemptEnd, Candidate, Emitted, Exit, HttpId, Input, Out, Permissions,
    RunRequest, StreamParser, Transport,
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
    /// What the agent printed, or the events of a server, one a line.
    pub(crate) stdout: Vec<u8>,
    /// The answers of a server.
    pub(crate) answers: Option<Vec<Answer>>,
    /// What it printed beside that, of an agent that says only there why it gives up.
    stderr: Vec<u8>,
    pub(crate) exit: Exit,
    is_acp: bool,
}

/// What a server answered to a request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    method: String,
    path: String,
    status: u16,
    body: String,
}

/// What a driver made of a stream, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    Event(Emitted),
    End(AttemptEnd),
}

/// Every recording of an agent that has printed something.
pub(crate) fn all() -> Vec<Recording> {
    every().filter(|recording| !recording.stdout.is_empty()).collect()
}

fn every() -> impl Iterator<Item = Recording> {
    VERSIONS.iter().copied().flat_map(of_version)
}

const VERSIONS: &[&str] = &[
    "claude-code/2.1.329",
    "codex/0.169.0",
    "pi/1.5.2",
    "docker-agent/1.32.3",
    "docker-agent/71f377e5",
    "opencode/1.18.33",
    "gemini/0.61.0",
    "qwen/0.24.4",
    "copilot/1.0.102",
    // Older ones, of which the name says so.
    "claude-code/2.1.240",
    "codex/0.150.0",
    "opencode/1.18.3",
    "gemini/0.57.0",
    "qwen/0.23.4",
    "copilot/1.0.88",
];

/// The versions that the tests are written for; what was recorded of others has its version in its name.
const NEWEST: usize = 9;

pub(crate) fn named(name: &str) -> Recording {
    every().find(|recording| recording.name == name).expect("the recording is there")
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
    let resumed =
        argv.iter().position(|arg| ["resume", "--resume", "--session", "-s"].contains(arg));
    let request = RunRequest::new("do it");
    let is_dialogue = ["app-server", "--input-format", "rpc", "serve", "--acp"]
        .iter()
        .any(|word| argv.contains(word));
    let is_acp = argv.contains(&"--acp");
    // Recorded so: the numbers of requests depend on it.
    let request = if is_acp { request.permissions(Permissions::Full) } else { request };
    let (agent, number) = version.split_once('/').unwrap();
    let folder_name = folder.file_name().unwrap().to_str().unwrap();
    // What is made by hand is the same for each version.
    let name = if folder_name == "constructed" { number } else { folder_name };
    let is_newest = VERSIONS[..NEWEST].contains(&version);
    let name = if is_newest { name.to_owned() } else { format!("{name}-of-{number}") };
    let exit = i32::try_from(meta["exit_code"].as_i64().unwrap()).unwrap();
    Recording {
        name: format!("{agent}/{name}"),
        agent: agent.parse::<Candidate>().unwrap().agent,
        request: match resumed.map(|at| argv[at + 1]) {
            Some(id) => request.resume(id),
            None => request,
        },
        stderr: match agent {
            "docker-agent" => fs::read(folder.join("stderr.txt")).unwrap_or_default(),
            _ => Vec::new(),
        },
        transport: if is_dialogue { Transport::Dialogue } else { Transport::Print },
        stdout: fs::read(folder.join("stdout.jsonl"))
            .or_else(|_| from_agent(&folder))
            .unwrap_or_else(|_| events(&folder)),
        answers: fs::read_to_string(folder.join("http.jsonl")).ok().map(|text| answers(&text)),
        is_acp,
        exit: if exit < 0 { Exit::Signal(-exit) } else { Exit::Code(exit) },
    }
}

/// What the agent said in a recorded dialogue.
fn from_agent(folder: &Path) -> std::io::Result<Vec<u8>> {
    let text = fs::read_to_string(folder.join("dialogue.jsonl"))?;
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines = lines.filter(|line| line["dir"] == "<-").map(|line| format!("{}\n", line["msg"]));
    Ok(lines.collect::<String>().into_bytes())
}

/// The data of a server's events.
fn events(folder: &Path) -> Vec<u8> {
    let text = fs::read_to_string(folder.join("sse.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| format!("{}\n", line["data"])).collect::<String>().into_bytes()
}

fn answers(text: &str) -> Vec<Answer> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let answer = |line: Value| Answer {
        method: line["method"].as_str().unwrap().to_owned(),
        path: line["path"].as_str().unwrap().to_owned(),
        status: u16::try_from(line["status"].as_u64().unwrap()).unwrap(),
        body: line["response"].to_string(),
    };
    lines.map(answer).collect()
}

impl Recording {
    pub(crate) fn lines(&self) -> Vec<&[u8]> {
        lines(&self.stdout)
    }

    /// The whole stream and its end, through the driver.
    pub(crate) fn said(&self) -> Vec<Said> {
        self.said_of(&self.lines(), self.exit)
    }

    /// What the line of a recording is to its driver.
    pub(crate) fn input<'a>(&self, line: &'a [u8]) -> Input<'a> {
        match self.answers {
            Some(_) => Input::Sse(line),
            None => Input::Stdout(line),
        }
    }

    /// What the server answered to the requests among these actions.
    pub(crate) fn answers_to(&self, actions: &[Action]) -> Vec<(HttpId, u16, String)> {
        let asked = actions.iter().filter_map(|action| match action {
            Action::Http { id, method, path, .. } => Some((*id, *method, path)),
            _ => None,
        });
        let recorded = self.answers.iter().flatten();
        asked
            .map(|(id, method, path)| {
                let found =
                    recorded.clone().find(|one| (&*one.method, &one.path) == (method, path));
                // The recorder waited for each answer, and belay for the events of it.
                found.map_or((id, 204, String::new()), |one| (id, one.status, one.body.clone()))
            })
            .collect()
    }

    /// The same with what the agent prints beside its stream.
    fn said_with_stderr(&self, lines: &[&[u8]], exit: Exit) -> Vec<Said> {
        let mut protocol = self.agent.protocol(&self.request, self.transport);
        let mut out = Out::default();
        let inputs = lines.iter().map(|line| Input::Stdout(line));
        let stderr = self::lines(&self.stderr).into_iter().map(Input::Stderr);
        let inputs = [Input::Start].into_iter().chain(inputs).chain(stderr);
        inputs.chain([Input::Exit(exit)]).for_each(|input| protocol.step(input, &mut out));
        let said = out.actions.into_iter().filter_map(|action| match action {
            Action::Emit(emitted) => Some(Said::Event(emitted)),
            Action::TurnEnded(end) => Some(Said::End(*end)),
            _ => None,
        });
        said.collect()
    }

    /// The same with a server that answers.
    fn said_of_server(&self, lines: &[&[u8]], exit: Exit) -> Vec<Said> {
        let mut protocol = self.agent.protocol(&self.request, self.transport);
        let mut said = Vec::new();
        let mut step = |input: Input<'_>| {
            let mut out = Out::default();
            protocol.step(input, &mut out);
            for (id, status, body) in self.answers_to(&out.actions) {
                protocol.step(Input::Http { id, status, body: body.as_bytes() }, &mut out);
            }
            said.extend(out.actions.into_iter().filter_map(|action| match action {
                Action::Emit(emitted) => Some(Said::Event(emitted)),
                Action::TurnEnded(end) => Some(Said::End(*end)),
                _ => None,
            }));
        };
        step(Input::Start);
        lines.iter().for_each(|line| step(self.input(line)));
        step(Input::Exit(exit));
        said
    }

    /// Other lines in the place of the recorded ones.
    pub(crate) fn said_of(&self, lines: &[&[u8]], exit: Exit) -> Vec<Said> {
        if self.answers.is_some() {
            return self.said_of_server(lines, exit);
        }
        if !self.stderr.is_empty() {
            return self.said_with_stderr(lines, exit);
        }
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
        if line["jsonrpc"] == "2.0" && self.is_acp {
            let reason = line["result"]["stopReason"].as_str().map(|reason| reason == "end_turn");
            return reason.or((!line["error"].is_null()).then_some(false));
        }
        let kind = if line["method"].is_null() { &line["type"] } else { &line["method"] };
        match kind.as_str()? {
            "result" if !line["exitCode"].is_null() => {
                Some(line["exitCode"] == 0 && !self.stdout_has(r#""type":"abort""#))
            }
            "result" => Some(line["is_error"] == false),
            "turn.completed" => Some(true),
            "turn.failed" => Some(false),
            "turn/completed" => Some(line["params"]["turn"]["status"] == "completed"),
            // Whether the turn has answered stands in an earlier line, and no recording has both.
            "agent_settled" => Some(line["aborted"] == false && self.has_whole_response()),
            // The first session is the agent's own; the older version stops like this also when it is stopped.
            "stream_stopped" if line["session_id"] == self.first_session() => {
                Some(!self.is_stopped_in_tool())
            }
            // The first of two, if the turn was aborted.
            "session.idle" if line["id"] == self.first_idle() => {
                Some(self.stdout_has(r#""finish":"stop""#))
            }
            // It says nothing at its end: that its last step ended so is all there is, if it exits with 0.
            "step_finish" if line["part"]["reason"] == "stop" => Some(true),
            _ => None,
        }
    }

    /// True for the one stream without a line that ends it: that of `opencode run`.
    pub(crate) fn ends_with_its_process(&self) -> bool {
        self.agent.name() == "opencode" && self.transport == Transport::Print
    }

    /// So many bytes say that a server is there; no session is opened before them, and nothing is read.
    pub(crate) fn handshake(&self) -> usize {
        self.answers.as_ref().map_or(0, |_| self.lines()[0].len() + 1)
    }

    fn types(&self) -> Vec<Value> {
        let lines = self.lines().into_iter().map(serde_json::from_slice::<Value>);
        lines.flatten().collect()
    }

    fn first_session(&self) -> Value {
        let mut lines = self.types().into_iter();
        lines
            .find(|line| line["type"] == "stream_started")
            .map_or(Value::Null, |mut line| line["session_id"].take())
    }

    /// True if no response of the model stands behind the last tool.
    fn is_stopped_in_tool(&self) -> bool {
        let last = self
            .types()
            .into_iter()
            .rfind(|line| line["type"] == "token_usage" || line["type"] == "tool_call_response");
        last.is_some_and(|line| line["type"] == "tool_call_response")
    }

    fn stdout_has(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.stdout).contains(text)
    }

    /// The id of the event that says for the first time that the session is idle.
    fn first_idle(&self) -> Value {
        let lines = self.lines().into_iter().map(serde_json::from_slice::<Value>);
        let mut idle = lines.flatten().filter(|line| line["type"] == "session.idle");
        idle.next().map_or(Value::Null, |mut line| line["id"].take())
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
