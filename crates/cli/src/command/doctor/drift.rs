//! What an agent says that belay's recordings of it do not have: a newer version drifts away from what was tried.

use crate::fail::Fail;
use crate::stored::{self, unreadable};
use belay_agents::{New, Shapes};
use belay_trace::journal::{Frames, InputKind, input_file};
use belay_trace::read_regular;
use belay_trace::{Event, Record, StoredRun, visible_line};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What one version of one agent has said.
#[derive(Debug, Default, Serialize)]
pub(super) struct Drift {
    agent: String,
    version: Option<String>,
    /// How many messages were looked at.
    messages: u64,
    /// How many of them belay shows as `unknown` events.
    unknown_events: u64,
    new: Vec<Row>,
    #[serde(skip)]
    counts: BTreeMap<New, u64>,
}

#[derive(Debug, Serialize)]
struct Row {
    message: String,
    /// The field; none if the whole kind of message is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    times: u64,
}

/// Looks at a stored run, or at a file: the stream of an agent, or the events of `belay run --format jsonl`.
pub(super) fn of(
    what: &Path,
    agent: Option<&str>,
    state_dir: Option<PathBuf>,
) -> Result<Vec<Drift>, Fail> {
    match fs::read(what) {
        Ok(bytes) => of_file(what, &bytes, agent),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let store = stored::store(state_dir)?;
            let run = stored::find(&store, &what.to_string_lossy())?;
            of_run(&run)
        }
        Err(error) => Err(Fail::usage(format!("cannot read {}: {error}", what.display()))),
    }
}

fn of_run(run: &StoredRun) -> Result<Vec<Drift>, Fail> {
    let mut attempts: BTreeMap<u32, Drift> = BTreeMap::new();
    for record in run.records().map_err(unreadable)?.filter(|record| record.attempt > 0) {
        let drift = attempts.entry(record.attempt).or_default();
        drift.agent.clone_from(&record.agent);
        drift.event(&record);
    }
    for (attempt, drift) in &mut attempts {
        let Some(shapes) = Shapes::of_agent(&drift.agent) else { continue };
        // An attempt that could not be started has none.
        let Ok(log) = read_regular(&run.folder().join(input_file(*attempt))) else { continue };
        let frames = Frames::new(&log);
        let said = frames.filter(|it| matches!(it.kind, InputKind::Stdout | InputKind::Sse));
        said.for_each(|frame| drift.line(&shapes, frame.bytes));
    }
    Ok(joined(attempts.into_values()))
}

fn of_file(path: &Path, bytes: &[u8], agent: Option<&str>) -> Result<Vec<Drift>, Fail> {
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).peekable();
    let is_ours = lines.peek().is_some_and(|line| serde_json::from_slice::<Record>(line).is_ok());
    if is_ours {
        let mut attempts: BTreeMap<(String, u32), Drift> = BTreeMap::new();
        for record in lines.filter_map(|line| serde_json::from_slice::<Record>(line).ok()) {
            let drift = attempts.entry((record.run.clone(), record.attempt)).or_default();
            drift.agent.clone_from(&record.agent);
            drift.messages += 1;
            drift.event(&record);
        }
        return Ok(joined(attempts.into_values().filter(|drift| !drift.agent.is_empty())));
    }
    let Some(agent) = agent else {
        return Err(Fail::usage(format!("whose stream is {}?", path.display()))
            .hint(format_args!("belay doctor claude --drift {}", path.display())));
    };
    let shapes = Shapes::of_agent(agent).ok_or_else(|| {
        Fail::usage(format!("there are no recordings of {agent} to hold it against"))
    })?;
    let mut drift = Drift { agent: agent.to_owned(), ..Drift::default() };
    lines.for_each(|line| drift.line(&shapes, line));
    Ok(joined([drift]))
}

/// One for each version of each agent.
fn joined(drifts: impl IntoIterator<Item = Drift>) -> Vec<Drift> {
    let mut all: BTreeMap<(String, Option<String>), Drift> = BTreeMap::new();
    for drift in drifts {
        let own = all.entry((drift.agent.clone(), drift.version.clone())).or_default();
        (own.agent, own.version) = (drift.agent, drift.version);
        own.messages += drift.messages;
        own.unknown_events += drift.unknown_events;
        for (new, times) in drift.counts {
            *own.counts.entry(new).or_default() += times;
        }
    }
    let rows = |mut drift: Drift| {
        let counts = std::mem::take(&mut drift.counts).into_iter();
        drift.new = counts.map(|(new, times)| row(new, times)).collect();
        drift
    };
    all.into_values().map(rows).collect()
}

fn row(new: New, times: u64) -> Row {
    match new {
        New::Message(message) => Row { message, field: None, times },
        New::Field { message, path } => Row { message, field: Some(path), times },
    }
}

impl Drift {
    fn event(&mut self, record: &Record) {
        match &record.event {
            Event::SessionStarted(session) => self.version.clone_from(&session.agent_version),
            Event::Unknown(_) => self.unknown_events += 1,
            _ => {}
        }
    }

    fn line(&mut self, shapes: &Shapes, line: &[u8]) {
        self.messages += 1;
        for new in shapes.news(line) {
            *self.counts.entry(new).or_default() += 1;
        }
    }
}

/// What people read.
pub(super) fn text(drifts: &[Drift]) -> String {
    let mut text = String::new();
    for drift in drifts {
        let version = drift.version.as_deref().unwrap_or("of unknown version");
        let (agent, version) = (visible_line(&drift.agent), visible_line(version));
        let _ = writeln!(
            text,
            "{agent} {version}: {} messages, {} unknown events, {} things that no recording has",
            drift.messages,
            drift.unknown_events,
            drift.new.len()
        );
        for row in &drift.new {
            let message = visible_line(&row.message);
            let what = match &row.field {
                None => format!("message {message}"),
                Some(field) => format!("field   {message}: {}", visible_line(field)),
            };
            let _ = writeln!(text, "  {what}  ({} times)", row.times);
        }
    }
    text
}
