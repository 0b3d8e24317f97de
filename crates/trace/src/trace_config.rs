//! What is said of sessions and traces when they begin and end.

use crate::{Node, NodeStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a trace is called, and what its owner wants to find it by.
///
/// ```
/// use belay_trace::TraceConfig;
///
/// let config = TraceConfig::new("hiveminer-run").meta("customer", "acme").meta("round", 3);
/// assert_eq!(config.metadata["round"], 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceConfig {
    /// Its name.
    pub name: String,
    /// What people call it, if that is not its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Whatever else there is to say; observability services take texts, numbers and truth values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
}

impl TraceConfig {
    /// A trace with this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets what people call it.
    #[must_use]
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Adds something to say of it.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}

impl From<&str> for TraceConfig {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// A set of traces that belong together begins: what Freeplay and Langfuse call a session. An agent's session is
/// something else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionStart {
    /// Its id, a UUIDv7.
    pub session_id: String,
    /// What its owner says of it.
    pub metadata: BTreeMap<String, Value>,
    /// When it began.
    pub start_time: Timestamp,
}

/// A trace begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceStart {
    /// Its id, a UUIDv7 that no other trace has.
    pub trace_id: String,
    /// The session that it belongs to.
    pub session_id: Option<String>,
    /// What its owner says of it.
    #[serde(flatten)]
    pub config: TraceConfig,
    /// When it began.
    pub start_time: Timestamp,
}

impl TraceStart {
    /// The root of the trace, as its file begins.
    pub fn root(&self) -> Node {
        let TraceConfig { name, display_name, metadata } = self.config.clone();
        Node {
            id: self.trace_id.clone(),
            agent_name: if name.is_empty() { self.trace_id.clone() } else { name },
            display_name: display_name.unwrap_or_default(),
            attributes: metadata,
            start_time: Some(self.start_time),
            status: Some(NodeStatus::Running),
            ..Node::default()
        }
    }
}

/// A trace ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceEnd {
    /// Its id.
    pub trace_id: String,
    /// When it ended.
    pub end_time: Timestamp,
    /// What went wrong, if something did.
    pub error: Option<String>,
}
