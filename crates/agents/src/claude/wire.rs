//! Claude Code's stream-json lines, named after its own words. Unknown fields are ignored.

use super::servers::{Server, Status};
use crate::verdict;
use crate::wire::{lenient, lenient_text};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What every line has; decoded first, because `type` is not always the first key.
#[derive(Debug, Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) subtype: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) session_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) parent_tool_use_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) uuid: Option<Cow<'a, str>>,
}

impl Head<'_> {
    /// True for a line that says how a turn or a task gets on, and false for news of the account and the like.
    pub(super) fn is_of_turn(&self) -> bool {
        match self.kind.as_ref() {
            "assistant" | "user" | "stream_event" | "tool_progress" | "control_request"
            | "result" => true,
            "system" => self.subtype.as_deref().is_some_and(|subtype| {
                matches!(subtype, "init" | "status" | "api_retry" | "background_tasks_changed")
                    || subtype.starts_with("task_")
            }),
            _ => false,
        }
    }
}

/// What becomes of a message that was written to standard input with an id.
#[derive(Debug, Deserialize)]
pub(super) struct Lifecycle<'a> {
    #[serde(borrow)]
    pub(super) command_uuid: Cow<'a, str>,
    /// `queued`, `started`, `completed`, `cancelled`.
    #[serde(borrow)]
    pub(super) state: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Init {
    pub(super) session_id: String,
    /// The id of the line itself.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) uuid: Option<String>,
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) claude_code_version: Option<String>,
    #[serde(default, rename = "permissionMode")]
    pub(super) permission_mode: Option<String>,
    #[serde(default)]
    pub(super) cwd: Option<String>,
    #[serde(default)]
    pub(super) tools: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) mcp_servers: Vec<Server>,
}

/// `system` lines other than init: the union of the fields that are read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct System {
    pub(super) attempt: Option<u64>,
    pub(super) max_retries: Option<u64>,
    pub(super) retry_delay_ms: Option<f64>,
    pub(super) error_status: Option<u16>,
    pub(super) error: Option<String>,
    pub(super) content: Option<String>,
    pub(super) level: Option<String>,
    pub(super) original_model: Option<String>,
    pub(super) fallback_model: Option<String>,
    pub(super) trigger: Option<String>,
    pub(super) message: Option<String>,
    pub(super) tool_name: Option<String>,
    pub(super) tool_use_id: Option<String>,
    pub(super) status: Option<String>,
    pub(super) compact_result: Option<String>,
    pub(super) compact_error: Option<String>,
    pub(super) description: Option<String>,
    pub(super) summary: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) last_tool_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) usage: Option<TaskUsage>,
    #[serde(deserialize_with = "lenient")]
    pub(super) task_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) task_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) parent_task_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) is_backgrounded: Option<bool>,
    /// Nothing to wait for: a watch of Claude's own.
    #[serde(deserialize_with = "lenient")]
    pub(super) ambient: bool,
    pub(super) patch: Option<TaskPatch>,
    #[serde(deserialize_with = "lenient")]
    pub(super) tasks: Option<Vec<ListedTask>>,
}

impl System {
    /// What the line says of its task, but for the time, which runs on also when the task hangs.
    pub(super) fn state(&self, subtype: &str) -> String {
        let (usage, patch) = (self.usage.unwrap_or_default(), self.patch.as_ref());
        let status = self.status.as_ref().or_else(|| patch?.status.as_ref());
        let did = (usage.total_tokens, usage.tool_uses, &self.last_tool_name, &self.summary);
        format!("{subtype} {status:?} {:?} {did:?}", patch.and_then(|p| p.is_backgrounded))
    }
}

/// What a task has used so far.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TaskUsage {
    #[serde(deserialize_with = "lenient")]
    pub(super) total_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) tool_uses: u64,
}

/// What has changed about a task.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TaskPatch {
    pub(super) status: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) is_backgrounded: Option<bool>,
}

/// A task in the list of those in the background.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListedTask {
    pub(super) task_id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) task_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) description: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) parent_task_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) ambient: bool,
    /// It works on another machine; Claude need not stay for it.
    #[serde(deserialize_with = "lenient")]
    pub(super) off_host: bool,
}

/// How many subagents there were.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SubagentStats {
    pub(super) spawned: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) killed: BTreeMap<String, u64>,
}

impl SubagentStats {
    /// How many have not ended.
    pub(super) fn open(&self) -> u64 {
        let killed = self.killed.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let ended = [self.completed, self.failed, killed].into_iter().fold(0, u64::saturating_add);
        self.spawned.saturating_sub(ended)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct MessageLine<'a> {
    #[serde(borrow)]
    pub(super) message: Message<'a>,
    /// The class of a failed API call, on the synthetic message that reports it.
    #[serde(default)]
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) api_error_status: Option<u16>,
    #[serde(default)]
    pub(super) api_error_type: Option<String>,
    #[serde(default)]
    pub(super) is_api_error_message: bool,
    #[serde(default, rename = "isReplay")]
    pub(super) is_replay: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) model: Option<String>,
    /// A string, or a list of blocks.
    #[serde(borrow)]
    pub(super) content: &'a RawValue,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) usage: Option<Tokens>,
    /// Why it ended; on a whole message of a version that knows it by then.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) stop_reason: Option<String>,
}

/// The tokens of one model response.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cache_read_input_tokens: u64,
    pub(super) cache_creation_input_tokens: u64,
}

/// A content block: the union of the fields of all kinds.
#[derive(Debug, Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) thinking: Option<String>,
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(borrow, default)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) tool_use_id: Option<String>,
    #[serde(borrow, default)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) is_error: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StreamLine<'a> {
    #[serde(borrow)]
    pub(super) event: StreamEvent<'a>,
    #[serde(default)]
    pub(super) abandoned_blocks: Option<serde::de::IgnoredAny>,
}

/// An event of the Messages API: the union of the fields of all kinds.
#[derive(Debug, Deserialize)]
pub(super) struct StreamEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(default)]
    pub(super) index: usize,
    #[serde(default)]
    pub(super) message: Option<StreamMessage>,
    #[serde(borrow, default)]
    pub(super) content_block: Option<Block<'a>>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) usage: Option<Tokens>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StreamMessage {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) usage: Option<Tokens>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) thinking: Option<String>,
    #[serde(default)]
    pub(super) partial_json: Option<String>,
    /// Of thoughts that are not shown.
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) signature: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient_text")]
    pub(super) stop_reason: Option<Cow<'a, str>>,
}

/// A tool is still running. The tool is the parent: the line's own id is that of the report.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToolProgressLine {
    #[serde(deserialize_with = "lenient")]
    pub(super) tool_use_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) parent_tool_use_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) tool_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) elapsed_time_seconds: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) heartbeat: bool,
    /// What the tool has printed. 2.1.329 leaves it out, so that its reports tell the time alone.
    #[serde(deserialize_with = "lenient")]
    pub(super) output: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) subagent_retry: Option<SubagentRetry>,
}

/// A request of a subagent has failed, and is made again.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SubagentRetry {
    #[serde(deserialize_with = "lenient")]
    pub(super) attempt: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) max_retries: u64,
    #[serde(deserialize_with = "lenient")]
    pub(super) error_category: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct RateLimitLine {
    pub(super) rate_limit_info: RateLimitInfo,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RateLimitInfo {
    pub(super) status: Option<String>,
    #[serde(rename = "resetsAt")]
    pub(super) resets_at: Option<f64>,
    #[serde(rename = "rateLimitType")]
    pub(super) rate_limit_type: Option<String>,
    pub(super) utilization: Option<f64>,
    #[serde(rename = "unifiedWindows")]
    pub(super) unified_windows: BTreeMap<String, Window>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Window {
    pub(super) utilization: Option<f64>,
    #[serde(rename = "resetsAt")]
    pub(super) resets_at: Option<f64>,
    pub(super) status: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ControlRequest<'a> {
    pub(super) request_id: String,
    #[serde(borrow)]
    pub(super) request: ControlBody<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ControlBody<'a> {
    #[serde(default)]
    pub(super) subtype: String,
    #[serde(default)]
    pub(super) tool_name: Option<String>,
    #[serde(borrow, default)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) tool_use_id: Option<String>,
    #[serde(default)]
    pub(super) decision_reason: Option<String>,
    #[serde(default)]
    pub(super) blocked_path: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ControlResponse {
    pub(super) response: ControlResponseBody,
}

#[derive(Debug, Deserialize)]
pub(super) struct ControlResponseBody {
    pub(super) subtype: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) request_id: String,
    #[serde(default)]
    pub(super) error: Option<String>,
    /// What was asked for; of the requests that belay makes only that for servers is answered with anything.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) response: Option<Status>,
}

/// The line that ends a turn. It is paid for: no field that has changed its shape may make it unreadable.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResultLine {
    #[serde(deserialize_with = "lenient")]
    pub(super) subtype: String,
    #[serde(deserialize_with = "no_success")]
    pub(super) is_error: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(super) result: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) errors: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) terminal_reason: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) api_error: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) api_error_status: Option<u16>,
    #[serde(deserialize_with = "lenient")]
    pub(super) api_error_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) usage: Option<Tokens>,
    #[serde(rename = "modelUsage", deserialize_with = "lenient")]
    pub(super) model_usage: Option<BTreeMap<String, ModelTokens>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) model_usage_since_last_result: Option<BTreeMap<String, ModelTokens>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) num_turns: Option<u64>,
    /// Why the last response ended.
    #[serde(deserialize_with = "lenient")]
    pub(super) stop_reason: Option<String>,
    /// How often a model or a filter has declined in this process.
    #[serde(deserialize_with = "lenient")]
    pub(super) safety_stops: u64,
    /// The command of Claude's own that the prompt was.
    #[serde(deserialize_with = "lenient")]
    pub(super) local_command: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) duration_ms: Option<u64>,
    pub(super) structured_output: Option<Box<RawValue>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) permission_denials: Vec<PermissionDenial>,
    #[serde(deserialize_with = "lenient")]
    pub(super) subagent_stats: Option<SubagentStats>,
    /// Messages that wait for a turn of their own.
    #[serde(deserialize_with = "lenient")]
    pub(super) queued_turn_count: u64,
}

impl ResultLine {
    /// True if the turn did not answer, by any sign that it did not: Claude contradicts itself both ways. A line that
    /// does not say so answers only with an answer, which must not be the words of an error: Claude prints both in
    /// the same field.
    pub(super) fn is_error(&self) -> bool {
        let api_error = self.api_error.is_some()
            || self.api_error_status.is_some_and(|status| status != 0)
            || self.api_error_type.is_some();
        let reason = self.terminal_reason.as_deref().unwrap_or("completed");
        let is_bad = self.subtype.starts_with("error")
            || FAILING.contains(&reason)
            || api_error
            || self.is_refused()
            || self.is_cut()
            || (self.result.is_none() && !self.errors.is_empty());
        let has_no_answer =
            || self.result.is_none() || !self.errors.is_empty() || reason != "completed";
        is_bad || self.is_error.unwrap_or_else(has_no_answer)
    }

    /// True if the answer was cut at the model's output limit.
    pub(super) fn is_cut(&self) -> bool {
        let reason = self.stop_reason.as_deref();
        reason.is_some_and(|reason| verdict::cut("stop_reason", reason).is_some())
    }

    /// True if its subtype is one that is known.
    pub(super) fn is_known(&self) -> bool {
        self.subtype == "success" || self.subtype.is_empty() || self.subtype.starts_with("error")
    }

    /// True if the model declined to answer.
    pub(super) fn is_refused(&self) -> bool {
        let reason = self.stop_reason.as_deref();
        reason.is_some_and(|reason| verdict::refusal("stop_reason", reason).is_some())
    }
}

/// Why a turn ended that has no answer, whatever else the line says (2.1.329). Any other reason is one for which
/// `is_error` is asked: a hook may end a turn that has answered.
const FAILING: &[&str] = &[
    "aborted_streaming",
    "aborted_tools",
    "api_error",
    "blocking_limit",
    "budget_exhausted",
    "dlp_denied",
    "image_error",
    "malformed_tool_use_exhausted",
    "max_turns",
    "model_error",
    "prompt_too_long",
    "rapid_refill_breaker",
    "refusal",
    "safety_monitor_blocked",
    "structured_output_retry_exhausted",
    "tool_deferred_unavailable",
    "turn_setup_failed",
];

/// Whatever is not plainly `false` is an error.
fn no_success<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?.get();
    Ok((raw != "null").then_some(raw != "false"))
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ModelTokens {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cache_read_input_tokens: u64,
    pub(super) cache_creation_input_tokens: u64,
    pub(super) thinking_tokens: Option<u64>,
    #[serde(rename = "costUSD")]
    pub(super) cost_usd: Option<f64>,
    pub(super) context_window: Option<u64>,
    pub(super) cost_basis: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PermissionDenial {
    pub(super) tool_name: String,
    pub(super) tool_use_id: Option<String>,
}

/// What belay writes.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Say<'a> {
    User {
        message: UserMessage<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        uuid: Option<&'a str>,
    },
    ControlRequest {
        request_id: &'a str,
        request: ControlAsk<'a>,
    },
    ControlResponse {
        response: ControlAnswer<'a>,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct UserMessage<'a> {
    pub(super) role: &'static str,
    pub(super) content: Content<'a>,
}

/// Words alone, or blocks.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Content<'a> {
    Words(&'a str),
    Blocks(&'a [serde_json::Value]),
}

#[derive(Debug, Serialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
pub(super) enum ControlAsk<'a> {
    Interrupt {
        /// What waits is dropped; otherwise it begins another turn as soon as this one has ended.
        cancel_queued: bool,
    },
    StopTask {
        task_id: &'a str,
    },
    McpStatus,
}

#[derive(Debug, Serialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
pub(super) enum ControlAnswer<'a> {
    Success { request_id: &'a str, response: PermissionAnswer<'a> },
    Error { request_id: &'a str, error: &'a str },
}

#[derive(Debug, Serialize)]
#[serde(tag = "behavior", rename_all = "snake_case")]
pub(super) enum PermissionAnswer<'a> {
    Allow {
        #[serde(rename = "updatedInput")]
        updated_input: &'a RawValue,
    },
    Deny {
        message: &'a str,
    },
}
