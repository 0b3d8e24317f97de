//! The lines of Copilot's stream: `{type, data, agentId?}`, and the `result` at its end.

use crate::wire::{lenient, lenient_text};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Any line.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) data: Option<&'a RawValue>,
    /// Which subagent says it; the main one has no id.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) agent_id: Option<String>,
    /// Of a `result`.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) session_id: Option<String>,
    /// Of a `result`; absent is no success.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) exit_code: Option<i64>,
    /// Of a `result`.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) usage: Bill,
}

/// What the run has cost in the currency of a Copilot plan.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Bill {
    #[serde(deserialize_with = "lenient")]
    pub(super) premium_requests: f64,
}

/// The `data` of all the lines that say something, in one: each has a few of the fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Data<'a> {
    #[serde(deserialize_with = "lenient")]
    pub(super) message_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) reasoning_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) model: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) delta_content: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) content: Option<String>,
    /// Of a tool's call.
    #[serde(deserialize_with = "lenient")]
    pub(super) tool_call_id: Option<String>,
    #[serde(borrow, deserialize_with = "lenient_text")]
    pub(super) tool_name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient_text")]
    pub(super) mcp_server_name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient_text")]
    pub(super) mcp_tool_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(deserialize_with = "lenient")]
    pub(super) input_delta: Option<String>,
    /// A piece of what a shell prints.
    #[serde(borrow, deserialize_with = "lenient_text")]
    pub(super) text: Option<Cow<'a, str>>,
    /// Of a tool's return; absent is no success.
    pub(super) success: bool,
    #[serde(deserialize_with = "lenient")]
    pub(super) result: Option<Returned>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(deserialize_with = "lenient")]
    pub(super) shell_execution: Option<ShellExecution>,
    /// Of a failure, and of what is worth knowing.
    #[serde(deserialize_with = "lenient")]
    pub(super) message: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) error_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) error_code: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) provider_error_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) status_code: Option<u16>,
    /// The provider's own words, or its error object as JSON text.
    #[serde(deserialize_with = "lenient")]
    pub(super) error_message: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) failure_kind: Option<String>,
    /// How often the request was tried again before it failed.
    #[serde(deserialize_with = "lenient")]
    pub(super) retry_attempt: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) reason: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) info_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) warning_type: Option<String>,
    /// Of the servers of tools.
    #[serde(deserialize_with = "lenient")]
    pub(super) servers: Vec<Server>,
    #[serde(deserialize_with = "lenient")]
    pub(super) server_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) status: Option<String>,
}

/// What a tool gives to the model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Returned {
    #[serde(deserialize_with = "lenient")]
    pub(super) content: String,
}

/// Why a tool has failed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToolError {
    #[serde(deserialize_with = "lenient")]
    pub(super) message: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) code: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShellExecution {
    pub(super) exit_code: i32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Server {
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) status: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) error: Option<String>,
}
