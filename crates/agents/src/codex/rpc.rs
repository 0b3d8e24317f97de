//! The app-server's JSON-RPC, as far as belay speaks it. Field names are Codex's own.

use crate::wire::{lenient, lenient_text};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A message from the server: a notification, a request, or the answer to one of ours.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) error: Option<RpcError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RpcError {
    #[serde(default)]
    pub(super) message: String,
}

/// Only the thread's id is needed: what else has changed its shape must not keep a run from its session.
#[derive(Debug, Deserialize)]
pub(super) struct ThreadAnswer {
    pub(super) thread: Thread,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) model: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) sandbox: Option<Value>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) cwd: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Thread {
    pub(super) id: String,
    #[serde(default, rename = "cliVersion", deserialize_with = "lenient")]
    pub(super) cli_version: Option<String>,
}

/// Which thread and which of its turns a notification is about.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct About<'a> {
    #[serde(borrow, deserialize_with = "lenient_text")]
    pub(super) thread_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient_text")]
    pub(super) turn_id: Option<Cow<'a, str>>,
}

/// The answer to `turn/start`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TurnAnswer {
    #[serde(deserialize_with = "lenient")]
    pub(super) turn: TurnId,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TurnId {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
}

/// Whether a thread is named at all, whatever has become of its name.
#[derive(Debug, Deserialize)]
pub(super) struct ThreadNamed<'a> {
    #[serde(borrow, default, rename = "threadId")]
    pub(super) thread_id: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ThreadList {
    pub(super) data: Vec<Thread>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TurnNote {
    #[serde(default, rename = "threadId", deserialize_with = "lenient")]
    pub(super) thread_id: Option<String>,
    pub(super) turn: Turn,
}

#[derive(Debug, Deserialize)]
pub(super) struct ThreadNote {
    pub(super) thread: OpenedThread,
}

/// A thread that was opened; that of a helper has a parent.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OpenedThread {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) parent_thread_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) model: Option<String>,
}

/// A piece of what an item's end repeats.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PieceNote {
    #[serde(deserialize_with = "lenient")]
    pub(super) item_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StatusNote {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) status: ThreadStatus,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ThreadStatus {
    /// `idle`, `active`, `systemError`, `notLoaded`.
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub(super) kind: String,
}

/// The end of a turn is paid for: no field that has changed its shape may make it unreadable.
#[derive(Debug, Deserialize)]
pub(super) struct Turn {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) id: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) status: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) error: Option<TurnError>,
    #[serde(default, rename = "durationMs", deserialize_with = "lenient")]
    pub(super) duration_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TurnError {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) message: String,
    #[serde(default, rename = "codexErrorInfo", deserialize_with = "lenient")]
    pub(super) codex_error_info: Option<Value>,
    #[serde(default, rename = "additionalDetails", deserialize_with = "lenient")]
    pub(super) additional_details: Option<String>,
}

impl TurnError {
    /// Returns true if nothing in it can be read.
    pub(super) fn is_blank(&self) -> bool {
        self.message.is_empty()
            && self.codex_error_info.is_none()
            && self.additional_details.is_none()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorNote {
    pub(super) error: TurnError,
    #[serde(default, rename = "willRetry")]
    pub(super) will_retry: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct ItemNote<'a> {
    #[serde(borrow)]
    pub(super) item: super::items::Item<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DeltaNote {
    #[serde(rename = "itemId")]
    pub(super) item_id: String,
    pub(super) delta: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct TokenNote {
    #[serde(rename = "tokenUsage")]
    pub(super) token_usage: TokenUsage,
}

#[derive(Debug, Deserialize)]
pub(super) struct TokenUsage {
    pub(super) total: Tokens,
    pub(super) last: Tokens,
    #[serde(default, rename = "modelContextWindow")]
    pub(super) model_context_window: Option<u64>,
}

/// Codex's counts: input includes what was read from and written to the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Tokens {
    pub(super) total_tokens: u64,
    pub(super) input_tokens: u64,
    pub(super) cached_input_tokens: u64,
    pub(super) cache_write_input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) reasoning_output_tokens: u64,
}

impl Tokens {
    pub(super) fn minus(self, before: Self) -> Self {
        Self {
            total_tokens: self.total_tokens.saturating_sub(before.total_tokens),
            input_tokens: self.input_tokens.saturating_sub(before.input_tokens),
            cached_input_tokens: self
                .cached_input_tokens
                .saturating_sub(before.cached_input_tokens),
            cache_write_input_tokens: self
                .cache_write_input_tokens
                .saturating_sub(before.cache_write_input_tokens),
            output_tokens: self.output_tokens.saturating_sub(before.output_tokens),
            reasoning_output_tokens: self
                .reasoning_output_tokens
                .saturating_sub(before.reasoning_output_tokens),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct LimitsNote {
    #[serde(rename = "rateLimits")]
    pub(super) rate_limits: Limits,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Limits {
    /// Whose limit it is, if it is not everybody's: that of a model.
    #[serde(deserialize_with = "lenient")]
    pub(super) limit_name: Option<String>,
    pub(super) primary: Option<Window>,
    pub(super) secondary: Option<Window>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Window {
    pub(super) used_percent: Option<f64>,
    pub(super) resets_at: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PlanNote {
    pub(super) plan: Vec<PlanStep>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PlanStep {
    pub(super) step: String,
    #[serde(default)]
    pub(super) status: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct WarningNote {
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) summary: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RerouteNote {
    #[serde(default, rename = "fromModel")]
    pub(super) from_model: String,
    #[serde(default, rename = "toModel")]
    pub(super) to_model: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ApprovalAsk {
    #[serde(default, rename = "itemId")]
    pub(super) item_id: Option<String>,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) command: Option<Value>,
    #[serde(default)]
    pub(super) cwd: Option<String>,
}

/// A form of an MCP server.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Elicitation<'a> {
    #[serde(rename = "serverName", deserialize_with = "lenient")]
    pub(super) server: String,
    #[serde(borrow, rename = "_meta")]
    pub(super) meta: Option<ElicitationMeta<'a>>,
}

/// What Codex says of a form of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ElicitationMeta<'a> {
    #[serde(rename = "codex_approval_kind", deserialize_with = "lenient")]
    pub(super) kind: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) tool_name: String,
    #[serde(borrow)]
    pub(super) tool_params: Option<&'a RawValue>,
}

/// What belay writes: requests, one notification, and answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Say<'a> {
    Request { id: u32, method: &'static str, params: Value },
    Notify { method: &'static str },
    Answer { id: &'a RawValue, result: Value },
    Refuse { id: &'a RawValue, error: Value },
}
