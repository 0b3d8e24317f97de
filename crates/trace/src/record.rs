//! An event with its place in a run: one JSON object a line.

use crate::{Event, ToolId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the record format. A reader accepts what it knows and ignores fields that it does not.
pub const VERSION: u32 = 1;

/// An [`Event`] with its envelope.
///
/// ```
/// use belay_trace::{Event, Phase, Record};
///
/// let event = Event::Phase(Phase { phase_name: "discovery".into() });
/// let mut record = Record::new("01a1fd39", event);
/// (record.seq, record.attempt, record.agent) = (7, 1, "codex".into());
/// let line = serde_json::to_string(&record)?;
/// assert!(line.contains(r#""seq":7"#) && line.contains(r#""type":"phase","phase_name":"discovery""#));
/// assert_eq!(serde_json::from_str::<Record>(&line)?, record);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// The version of this format, [`VERSION`].
    pub v: u32,
    /// The position in the run; without gaps, from 0.
    pub seq: u64,
    /// When belay saw it (wall clock, UTC).
    pub ts: Timestamp,
    /// The run.
    pub run: String,
    /// The attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// The agent of that attempt; empty before the first.
    pub agent: String,
    /// The tool call of the subagent that this belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_tool_id: Option<ToolId>,
    /// Where the agent's own line stands in the raw log of the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawRef>,
    /// The agent's own line, with its secrets taken out: for a program that asks for it and keeps no journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_line: Option<String>,
    /// Fields of which only the beginning stands here. Readers put them back, so there are some only in a stored
    /// line, or when a blob is missing or damaged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<BlobRef>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// A place in the raw log of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RawRef {
    /// The first byte.
    pub offset: u64,
    /// The number of bytes.
    pub len: u64,
    /// True if these bytes are not UTF-8: what is not has become U+FFFD in the event.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lossy: bool,
}

/// A field of an event that stands in a file of its own, `blobs/{sha256}` in the run's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BlobRef {
    /// The field; a step of a plan is `items.N.text`, a task `tasks.N.description`.
    pub field: String,
    /// The SHA-256 of its text, in hex: the name of the file.
    pub sha256: String,
    /// The size of its text.
    pub bytes: u64,
}

impl Record {
    /// An event at the beginning of a run; the one who numbers the events fills in the rest.
    pub fn new(run: impl Into<String>, event: Event) -> Self {
        Self {
            v: VERSION,
            seq: 0,
            ts: Timestamp::UNIX_EPOCH,
            run: run.into(),
            attempt: 0,
            agent: String::new(),
            parent_tool_id: None,
            raw: None,
            raw_line: None,
            blobs: Vec::new(),
            event,
        }
    }
}
