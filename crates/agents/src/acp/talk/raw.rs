//! What of an update is wanted as it was written.

use crate::acp::meter::Tokens;
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

/// What an update about the session says of whether the agent works: codex-acp and pi-acp tell so.
pub(super) fn is_working(params: &RawValue) -> Option<bool> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Params {
        update: Update,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Update {
        #[serde(rename = "_meta", deserialize_with = "lenient")]
        meta: Meta,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Meta {
        #[serde(deserialize_with = "lenient")]
        codex: OfCodex,
        #[serde(deserialize_with = "lenient")]
        pi_acp: OfPi,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct OfCodex {
        thread_status: Status,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Status {
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct OfPi {
        running: Option<bool>,
    }
    let meta = decode::<Params>(params.get())?.update.meta;
    let of_codex = meta.codex.thread_status.kind.map(|kind| kind == "active");
    of_codex.or(meta.pi_acp.running)
}

/// The call of the subagent that an update belongs to: Claude's adapter tells its subagents in the same session.
pub(super) fn parent(params: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Params {
        update: Update,
    }
    #[derive(Deserialize)]
    struct Update {
        #[serde(rename = "_meta")]
        meta: Meta,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        claude_code: OfClaude,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OfClaude {
        parent_tool_use_id: String,
    }
    // Every chunk comes here, and nearly none is of a subagent.
    let text = params.get();
    memchr::memmem::find(text.as_bytes(), b"\"parentToolUseId\"")?;
    Some(decode::<Params>(text)?.update.meta.claude_code.parent_tool_use_id)
}

/// What the session has used so far, where an update of its usage says so.
pub(super) fn session_tokens(params: &RawValue) -> Option<Tokens> {
    #[derive(Deserialize)]
    struct Params {
        update: Update,
    }
    #[derive(Deserialize)]
    struct Update {
        #[serde(rename = "_meta")]
        meta: Tokens,
    }
    let tokens = decode::<Params>(params.get())?.update.meta;
    tokens.are_told().then_some(tokens)
}

/// The id of a chunk's message, if it is a number.
pub(super) fn message_number(params: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Params {
        update: Update,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Update {
        message_id: serde_json::Number,
    }
    // Nearly no agent has one, and every chunk comes here.
    let text = params.get();
    memchr::memmem::find(text.as_bytes(), b"\"messageId\"")?;
    Some(decode::<Params>(text)?.update.message_id.to_string())
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
            status: call.and_then(|call| call.status),
            terminals: None,
        }
    }
}
