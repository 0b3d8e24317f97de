//! What of an update is wanted as it was written.

use crate::acp::tools::Beside;
use crate::news::News;
use crate::wire::{decode, lenient};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The parts of a call that are wanted as they were written, of an update or of a request for a permission.
#[derive(Default, Deserialize)]
pub(super) struct Raw<'a> {
    #[serde(borrow, default)]
    update: Option<RawCall<'a>>,
    #[serde(borrow, default, rename = "toolCall")]
    tool_call: Option<RawCall<'a>>,
}

#[derive(Default, Deserialize)]
struct RawCall<'a> {
    #[serde(borrow, default, rename = "rawInput")]
    input: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "rawOutput")]
    raw_output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    title: Option<&'a RawValue>,
    #[serde(default, rename = "_meta", deserialize_with = "lenient")]
    meta: CallMeta,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CallMeta {
    #[serde(deserialize_with = "lenient")]
    tool_name: Option<String>,
    /// What a command has printed since the last update, of agents that take every client for one with terminals.
    #[serde(
        rename = "terminal_output",
        alias = "terminal_output_delta",
        deserialize_with = "lenient"
    )]
    output: Option<Printed>,
    #[serde(rename = "terminal_exit", deserialize_with = "lenient")]
    exit: Option<Ended>,
}

#[derive(Default, Deserialize)]
struct Printed {
    #[serde(default, deserialize_with = "lenient")]
    data: String,
}

#[derive(Default, Deserialize)]
struct Ended {
    #[serde(default, deserialize_with = "lenient")]
    exit_code: Option<i32>,
}

/// What an update about the session says of the turn that runs: codex-acp tells so that it has failed, and ends it
/// like any other.
pub(super) fn is_broken(params: &RawValue) -> Option<bool> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Status {
        #[serde(rename = "type")]
        kind: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OfCodex {
        thread_status: Status,
    }
    #[derive(Deserialize)]
    struct Meta {
        codex: OfCodex,
    }
    #[derive(Deserialize)]
    struct Update {
        #[serde(rename = "_meta")]
        meta: Meta,
    }
    #[derive(Deserialize)]
    struct Params {
        update: Update,
    }
    let params: Params = decode(params.get())?;
    match params.update.meta.codex.thread_status.kind.as_str() {
        "systemError" => Some(true),
        "active" => Some(false),
        _ => None,
    }
}

impl<'a> Raw<'a> {
    pub(super) fn read(params: &'a RawValue) -> Self {
        decode(params.get()).unwrap_or_default()
    }

    /// Returns whether the update shows that its call has got on: it says something that it did not say last time.
    pub(super) fn is_new(&self, id: &str, news: &mut News) -> bool {
        let Some(call) = &self.update else { return false };
        // A command may print the same thing twice.
        let prints = call.meta.output.as_ref().is_some_and(|output| !output.data.is_empty());
        let parts = [call.status, call.title, call.input, call.content, call.raw_output];
        let state = parts.map(|part| part.map_or("", RawValue::get)).join("\n");
        news.is_new(id, &state) || prints
    }

    pub(super) fn for_call(&self) -> Beside<'_> {
        let call = self.update.as_ref().or(self.tool_call.as_ref());
        Beside {
            input: call.and_then(|call| call.input),
            tool_name: call.and_then(|call| call.meta.tool_name.as_deref()),
            printed: call.and_then(|call| Some(call.meta.output.as_ref()?.data.as_str())),
            exit_code: call.and_then(|call| call.meta.exit.as_ref()?.exit_code),
        }
    }
}
