//! A recorded run of an agent that is a server: OpenCode's `serve`.

use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::read_lines;

/// What a server said and what it was asked. Both count time from the same start.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// The data of its server-sent events, in order.
    pub events: Vec<ServedEvent>,
    /// The requests to it, in the order of their answers.
    pub exchanges: Vec<Exchange>,
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ServedEvent {
    /// When it came, in milliseconds since the start.
    #[serde(rename = "t")]
    pub at_ms: f64,
    /// What follows `data: `.
    pub data: Value,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Exchange {
    /// When the answer was there, in milliseconds since the start.
    #[serde(rename = "t")]
    pub answered_at_ms: f64,
    /// How long it took, in milliseconds.
    #[serde(rename = "took")]
    pub took_ms: f64,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// What was sent; null for nothing.
    pub body: Value,
    /// The status of the answer: OpenCode says 200 also to a prompt that failed.
    pub status: u16,
    /// The body of the answer.
    pub response: Value,
}

impl Served {
    /// The server's recording in this folder; `None` when it holds none.
    pub(super) fn load(dir: &Path) -> io::Result<Option<Self>> {
        let events = dir.join("sse.jsonl");
        if !events.exists() {
            return Ok(None);
        }
        let exchanges = read_lines(&dir.join("http.jsonl"))?;
        Ok(Some(Self { events: read_lines(&events)?, exchanges }))
    }
}
