//! What OpenCode's server says, in its own words; no more of it than the driver reads.

use super::classify::Error;
use super::parts::Part;
use crate::wire::{lenient, lenient_text};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Debug, Deserialize)]
pub(super) struct ServerEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) properties: Option<&'a RawValue>,
}

/// The union of the properties of the events that say something.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Properties<'a> {
    #[serde(borrow, rename = "sessionID", deserialize_with = "lenient_text")]
    pub(super) session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) part: Option<Part<'a>>,
    #[serde(borrow, rename = "partID", deserialize_with = "lenient_text")]
    pub(super) part_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "messageID", deserialize_with = "lenient_text")]
    pub(super) message_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient_text")]
    pub(super) delta: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) info: Info,
    #[serde(deserialize_with = "lenient")]
    pub(super) status: Status,
    #[serde(deserialize_with = "lenient")]
    pub(super) error: Option<Error>,
    // A permission request.
    #[serde(borrow, deserialize_with = "lenient_text")]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient_text")]
    pub(super) permission: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) metadata: Option<&'a RawValue>,
    #[serde(deserialize_with = "lenient")]
    pub(super) tool: Called,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Info {
    pub(super) id: String,
    pub(super) role: String,
    /// Of a session: the one whose model has set this one's to work. (Of a message: the one that it answers.)
    #[serde(rename = "parentID", deserialize_with = "lenient")]
    pub(super) parent_id: Option<String>,
    #[serde(rename = "modelID", deserialize_with = "lenient")]
    pub(super) model_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) error: Option<Error>,
    #[serde(deserialize_with = "lenient")]
    pub(super) finish: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) attempt: Option<u64>,
    pub(super) message: String,
    /// When it tries again, in milliseconds since 1970.
    #[serde(deserialize_with = "lenient")]
    pub(super) next: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Called {
    #[serde(rename = "callID")]
    pub(super) call_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SessionInfo {
    pub(super) id: String,
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) directory: Option<String>,
    /// Only a subagent's session has one.
    #[serde(default, rename = "parentID")]
    pub(super) parent_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) time: Times,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Times {
    pub(super) updated: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    #[serde(deserialize_with = "lenient")]
    pub(super) info: Info,
}
