//! What OpenCode's server says, in its own words; no more of it than the driver reads.

use super::classify::{self, Error};
use super::meter::Totals;
use super::parts::{Part, Tokens};
use crate::wire::{lenient, lenient_text};
use belay_trace::{Event, Json, PermissionRequest, Retry, ToolId, ToolKind};
use jiff::Timestamp;
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
    /// When it happened, in milliseconds since 1970.
    #[serde(deserialize_with = "lenient")]
    pub(super) time: Option<u64>,
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
    #[serde(deserialize_with = "lenient")]
    pub(super) structured: Option<serde_json::Value>,
    #[serde(deserialize_with = "lenient")]
    time: MessageTimes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MessageTimes {
    created: f64,
    completed: Option<f64>,
}

impl Info {
    /// True for a message of the model's that nothing is added to any more.
    pub(super) fn is_whole(&self) -> bool {
        self.time.completed.is_some() || self.error.is_some()
    }

    /// When it was begun, in milliseconds since 1970.
    pub(super) fn created(&self) -> f64 {
        self.time.created
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
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
    #[serde(default, deserialize_with = "lenient")]
    cost: f64,
    #[serde(default, deserialize_with = "lenient")]
    tokens: Tokens,
}

impl SessionInfo {
    /// What the session has used so far, without its subagents.
    pub(super) fn totals(&self) -> Totals {
        Totals { tokens: self.tokens, cost: self.cost }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Times {
    pub(super) updated: f64,
}

/// A message with all its parts, as far as it has got.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(deserialize_with = "lenient")]
    pub(super) info: Info,
    #[serde(borrow)]
    pub(super) parts: Vec<&'a RawValue>,
}

impl Status {
    /// The model's request failed, and OpenCode tries it again then.
    pub(super) fn retry(self) -> Event {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a time in milliseconds, or beyond all time"
        )]
        let until = self.next.and_then(|next| Timestamp::from_millisecond(next as i64).ok());
        Event::Retry(Retry {
            retry: self.attempt,
            kind: classify::of_retry(&self.message),
            reason: self.message,
            until,
            ..Retry::default()
        })
    }
}

impl Properties<'_> {
    /// The model wants something for which OpenCode asks; `name_of` knows the names of tools.
    pub(super) fn asked(&self, name_of: impl Fn(&str) -> String) -> Option<Event> {
        let permission = self.permission.as_deref().unwrap_or_default();
        let (name, kind) = match permission {
            "bash" => ("Bash", ToolKind::Execute),
            "edit" => ("edit", ToolKind::Edit),
            "webfetch" => ("webfetch", ToolKind::Network),
            other => (other, ToolKind::Other),
        };
        Some(Event::PermissionRequest(PermissionRequest {
            permission_id: self.id.as_deref()?.to_owned(),
            tool_id: self.tool.call_id.as_deref().map(ToolId::from),
            name: name_of(name),
            args: self.metadata.map(Json::from_raw).unwrap_or_default(),
            kind,
            reason: None,
        }))
    }
}
