//! Docker Agent's events, named after its own words, in the spellings of both versions that were read.

use crate::wire::{lenient, lenient_text};
use serde::Deserialize;
use std::borrow::Cow;

/// A line: the union of the fields of all kinds. No field that has changed its shape may cost its line.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) session_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) model: Option<String>,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) content: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) tool_call: Option<ToolCall>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) tool_definition: Option<Definition>,
    /// In the newer version, in the place of `tool_call.id`.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) tool_call_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) response: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) result: Option<Outcome>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) usage: Option<Report>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) error: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) code: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) message: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) outcome: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) failed_model: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) fallback_model: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) max_iterations: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToolCall {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) function: Function,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Function {
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    /// JSON as a text, or a piece of it.
    #[serde(deserialize_with = "lenient")]
    pub(super) arguments: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Definition {
    #[serde(deserialize_with = "lenient")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) annotations: Annotations,
}

/// The hints of the Model Context Protocol.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Annotations {
    #[serde(deserialize_with = "lenient")]
    pub(super) read_only_hint: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Outcome {
    #[serde(deserialize_with = "lenient")]
    pub(super) output: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) is_error: bool,
}

/// `input_tokens` and `cost` here are those of the last request and of the whole session: neither is this run's.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Report {
    #[serde(deserialize_with = "lenient")]
    pub(super) context_length: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) context_limit: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) last_message: Option<Tokens>,
}

/// The tokens and the money of one response. Input is without what was read from the cache.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    #[serde(deserialize_with = "lenient")]
    pub(super) input_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) output_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) cached_input_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) cached_write_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) reasoning_tokens: Option<u64>,
    /// Without a name for JSON in the source, so it is written as it is called there.
    #[serde(rename = "Cost", alias = "cost", deserialize_with = "lenient")]
    pub(super) cost: Option<f64>,
    #[serde(rename = "Model", alias = "model", deserialize_with = "lenient")]
    pub(super) model: Option<String>,
    /// Why the response ended; the newer version says it.
    #[serde(deserialize_with = "lenient")]
    pub(super) finish_reason: Option<String>,
}
