//! Pi's session events, named after its own words. Unknown fields are ignored.

use crate::wire::{lenient, lenient_text};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A line: the union of the fields of all kinds.
///
/// The end of a turn is paid for: no field that has changed its shape may make a line unreadable.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    /// The session of a header; the request that a response is for.
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) cwd: Option<String>,
    #[serde(borrow, default)]
    pub(super) message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) assistant_message_event: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) tool_call_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) tool_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) args: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) result: Option<&'a RawValue>,
    /// What a tool that runs has returned so far.
    #[serde(borrow, default)]
    pub(super) partial_result: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) is_error: bool,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) aborted: Option<bool>,
    /// Behind a compaction: the turn goes on with another response in place of the last.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) will_retry: bool,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) attempt: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) max_attempts: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) delay_ms: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) error_message: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) final_error: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) success: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) error: Option<String>,
    #[serde(borrow, default)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) method: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) title: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) notify_type: Option<String>,
}

/// A message of any role.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message<'a> {
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) provider: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) model: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) usage: Option<Tokens>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) stop_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) raw_stop_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) error_message: Option<String>,
    /// Milliseconds; the nearest that a message has to an id while it is written.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) timestamp: Option<u64>,
}

impl Message<'_> {
    /// The model in the form that `--model` takes.
    pub(super) fn full_model(&self) -> Option<String> {
        let model = self.model.as_ref()?;
        Some(match &self.provider {
            Some(provider) => format!("{provider}/{model}"),
            None => model.clone(),
        })
    }
}

/// A part of a message's content, of any kind.
#[derive(Debug, Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, default, rename = "type", deserialize_with = "lenient_text")]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) text: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) thinking: Option<String>,
}

/// What has been added to the message that is being written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Update<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) content_index: u64,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) delta: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) content: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) id: Option<String>,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) tool_name: Option<Cow<'a, str>>,
}

/// The tokens and the money of one model response. Input is what was neither read from nor written to the cache.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Tokens {
    #[serde(deserialize_with = "lenient")]
    pub(super) input: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) output: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) cache_read: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) cache_write: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) reasoning: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) total_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) cost: Option<Cost>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cost {
    #[serde(deserialize_with = "lenient")]
    pub(super) total: Option<f64>,
}

/// What a tool has returned.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolOutcome<'a> {
    #[serde(borrow, default)]
    pub(super) content: Option<&'a RawValue>,
    /// An object for a shell; other tools have other shapes here.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) structured_content: Option<Structured>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Structured {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) exit_code: Option<i32>,
    /// What a shell printed: up to 1 MiB, where the model is given the last 50 kB.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) output: Option<String>,
    /// The file with all of it, if that was more.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) full_output_path: Option<String>,
}

/// The result of a compaction.
#[derive(Debug, Deserialize)]
pub(super) struct Compacted {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) usage: Option<Tokens>,
}

/// The answer to `get_state`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct State {
    #[serde(deserialize_with = "lenient")]
    pub(super) session_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) model: Option<Model>,
    #[serde(deserialize_with = "lenient")]
    pub(super) message_count: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Model {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) provider: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) context_window: Option<u64>,
}

/// The answer to `prompt`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Accepted {
    #[serde(deserialize_with = "lenient")]
    pub(super) disposition: Option<String>,
}
