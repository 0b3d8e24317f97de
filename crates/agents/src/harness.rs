//! The events of `rumpl/harness`, for programs that read them today.
//!
//! `belay parse --format harness` prints exactly these objects. Everything else in belay uses
//! [`belay_trace::Event`], which has the same field names and more of them. `docs/harness.md` lists what differs
//! from harness, and why.

use crate::wire::decode;
use crate::{Agent, AttemptEnd, Emitted, framing};
use belay_trace::{Event, Reasoning, RunResult, Text, Usage as BelayUsage};
use serde::Serialize;
use serde_json::{Map, Value};

/// harness's `Event`: a type, and the fields that this type fills.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HarnessEvent {
    /// One of `text`, `result`, `tool_call_start`, `tool_call_delta`, `tool_call`, `tool_result`, `reasoning`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// A chunk of the answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The final answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub result: String,
    /// What the run used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Pairs a call with its result.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tool_id: String,
    /// The tool.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The arguments, or a fragment of them, as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub args: String,
    /// What the tool printed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// True if the tool failed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tool_error: bool,
    /// A chunk of reasoning.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
}

/// harness's `Usage`: plain numbers, 0 for what is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Input tokens outside the prompt cache.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens read from the prompt cache.
    pub cache_read_input_tokens: u64,
    /// Input tokens written to the prompt cache.
    pub cache_creation_input_tokens: u64,
    /// US dollars.
    pub total_cost_usd: f64,
    /// Model responses.
    pub num_turns: u64,
    /// Milliseconds.
    pub duration_ms: u64,
}

impl From<&BelayUsage> for Usage {
    fn from(usage: &BelayUsage) -> Self {
        Self {
            input_tokens: usage.input_tokens.unwrap_or(0),
            output_tokens: usage.output_tokens.unwrap_or(0),
            cache_read_input_tokens: usage.cache_read_input_tokens.unwrap_or(0),
            cache_creation_input_tokens: usage.cache_creation_input_tokens.unwrap_or(0),
            total_cost_usd: usage.total_cost_usd.unwrap_or(0.0),
            num_turns: usage.num_turns.unwrap_or(0),
            duration_ms: usage.duration_ms.unwrap_or(0),
        }
    }
}

/// An event in harness's shape; `None` for events that harness does not have.
pub fn event(agent: &dyn Agent, emitted: &Emitted) -> Option<HarnessEvent> {
    let id = |id: &Option<belay_trace::ToolId>| id.clone().map(|id| id.0).unwrap_or_default();
    let name = |name: &str| agent.harness_tool(name).into_owned();
    let kind = emitted.event.type_name();
    Some(match &emitted.event {
        Event::Text(Text { text, .. }) | Event::Reasoning(Reasoning { reasoning: text, .. })
            if text.is_empty() =>
        {
            return None;
        }
        Event::ToolCall(call) if call.name.is_empty() => return None,
        Event::Text(text) => HarnessEvent { kind, text: text.text.clone(), ..Default::default() },
        Event::Reasoning(chunk) => {
            HarnessEvent { kind, reasoning: chunk.reasoning.clone(), ..Default::default() }
        }
        Event::ToolCallStart(start) => HarnessEvent {
            kind,
            tool_id: id(&start.tool_id),
            name: name(&start.name),
            ..Default::default()
        },
        Event::ToolCallDelta(delta) => HarnessEvent {
            kind,
            tool_id: id(&delta.tool_id),
            name: name(&delta.name),
            args: delta.args.clone(),
            ..Default::default()
        },
        Event::ToolCall(call) => HarnessEvent {
            kind,
            tool_id: id(&call.tool_id),
            name: name(&call.name),
            args: agent.harness_args(call),
            ..Default::default()
        },
        Event::ToolResult(result) => HarnessEvent {
            kind,
            tool_id: id(&result.tool_id),
            name: result.name.as_deref().map(name).unwrap_or_default(),
            output: result.output.clone(),
            tool_error: result.tool_error,
            ..Default::default()
        },
        _ => return None,
    })
}

/// The end of a turn in harness's shape; `None` for a turn that failed or was cut off, which harness reports as the
/// error of its `Run`.
///
/// `num_turns` is the agent's own count where it has one, as in harness.
pub fn result(end: &AttemptEnd) -> Option<HarnessEvent> {
    let mut event = answered(&end.answer, end.failure.is_none(), &end.usage)?;
    if let (Some(usage), Some(turns)) = (&mut event.usage, end.reported_turns) {
        usage.num_turns = turns;
    }
    Some(event)
}

/// The end of a run in harness's shape; `None` for a run that failed.
pub fn run_result(run: &RunResult) -> Option<HarnessEvent> {
    answered(&run.result, run.failure.is_none(), &run.usage)
}

fn answered(answer: &str, is_answered: bool, usage: &BelayUsage) -> Option<HarnessEvent> {
    // As in harness: none without both counts.
    let is_told = usage.input_tokens.is_some() && usage.output_tokens.is_some();
    let used = is_told.then(|| Usage::from(usage));
    let event = HarnessEvent {
        kind: "result",
        result: answer.to_owned(),
        usage: used,
        ..Default::default()
    };
    is_answered.then_some(event)
}

/// Decodes a line that holds a JSON object; `None` for anything else. Escape sequences around it count for nothing.
///
/// ```
/// use belay_agents::harness::parse_json;
///
/// assert!(parse_json(r#"{"a":1}"#).is_some());
/// assert!(parse_json("\x1b]0;title\x07{\"a\":1}").is_some());
/// assert!(parse_json("[1]").is_none() && parse_json("npm warn").is_none());
/// ```
pub fn parse_json(line: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(line).ok().or_else(|| decode(framing::only_object(line)?))
}

/// Reads usage in Claude's shape: `{"usage":{"input_tokens":…,"output_tokens":…},"total_cost_usd":…}`.
///
/// `None` when one of these two token counts is missing; what else is missing counts 0.
pub fn extract_usage(object: &Map<String, Value>) -> Option<Usage> {
    let usage = object.get("usage")?;
    Some(Usage {
        input_tokens: required(usage, "input_tokens")?,
        output_tokens: required(usage, "output_tokens")?,
        cache_read_input_tokens: optional(usage, "cache_read_input_tokens"),
        cache_creation_input_tokens: optional(usage, "cache_creation_input_tokens"),
        total_cost_usd: object.get("total_cost_usd").and_then(Value::as_f64).unwrap_or(0.0),
        num_turns: object.get("num_turns").and_then(Value::as_u64).unwrap_or(0),
        duration_ms: object.get("duration_ms").and_then(Value::as_u64).unwrap_or(0),
    })
}

/// Reads usage in Codex's shape: `{"usage":{"input_tokens":…,"cached_input_tokens":…,"output_tokens":…}}`.
///
/// Codex counts cached tokens as input; here they are taken out, as everywhere in belay. `None` when the
/// input or output count is missing.
pub fn extract_codex_usage(object: &Map<String, Value>) -> Option<Usage> {
    let usage = object.get("usage")?;
    let cache_read = optional(usage, "cached_input_tokens");
    let cache_write = optional(usage, "cache_write_input_tokens");
    let input = required(usage, "input_tokens")?;
    Some(Usage {
        input_tokens: input.saturating_sub(cache_read).saturating_sub(cache_write),
        output_tokens: required(usage, "output_tokens")?,
        cache_read_input_tokens: cache_read,
        cache_creation_input_tokens: cache_write,
        ..Usage::default()
    })
}

/// Reads usage in Pi's shape: `{"usage":{"input":…,"output":…,"cacheRead":…,"cost":{"total":…}}}` in a line
/// of its stream, in the line's `message`, or in each of its `messages`, which are added up.
///
/// A line with `messages` covers a whole run but for what Pi has retried; a response that failed counts as it is
/// reported. `None` when no message of the model has both an input and an output count.
pub fn extract_pi_usage(object: &Map<String, Value>) -> Option<Usage> {
    let messages = object.get("messages").and_then(Value::as_array);
    let of_model = |message: &&Value| message.get("role").is_none_or(|role| role == "assistant");
    let usages: Vec<&Value> = match (messages, object.get("message")) {
        (Some(messages), _) => messages.iter().filter(of_model).collect(),
        (None, Some(message)) => Some(message).filter(of_model).into_iter().collect(),
        (None, None) => return pi_usage(object.get("usage")?),
    };
    let usages = usages.into_iter().filter_map(|message| pi_usage(message.get("usage")?));
    usages.reduce(|sum, usage| Usage {
        input_tokens: sum.input_tokens.saturating_add(usage.input_tokens),
        output_tokens: sum.output_tokens.saturating_add(usage.output_tokens),
        cache_read_input_tokens: sum
            .cache_read_input_tokens
            .saturating_add(usage.cache_read_input_tokens),
        cache_creation_input_tokens: sum
            .cache_creation_input_tokens
            .saturating_add(usage.cache_creation_input_tokens),
        total_cost_usd: sum.total_cost_usd + usage.total_cost_usd,
        ..sum
    })
}

fn pi_usage(usage: &Value) -> Option<Usage> {
    Some(Usage {
        input_tokens: required(usage, "input")?,
        output_tokens: required(usage, "output")?,
        cache_read_input_tokens: optional(usage, "cacheRead"),
        cache_creation_input_tokens: optional(usage, "cacheWrite"),
        total_cost_usd: usage.pointer("/cost/total").and_then(Value::as_f64).unwrap_or(0.0),
        ..Usage::default()
    })
}

fn required(usage: &Value, field: &str) -> Option<u64> {
    usage.get(field)?.as_u64()
}

fn optional(usage: &Value, field: &str) -> u64 {
    required(usage, field).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_without_its_required_fields_is_none() {
        for text in [
            r"{}",
            r#"{"usage":null}"#,
            r#"{"usage":{"input_tokens":1}}"#,
            r#"{"usage":{"input_tokens":-1,"output_tokens":2}}"#,
        ] {
            let object = parse_json(text).unwrap();
            let usages = (extract_usage(&object), extract_codex_usage(&object));
            assert_eq!(usages, (None, None), "{text}");
            assert_eq!(extract_pi_usage(&object), None, "{text}");
        }
    }

    #[test]
    fn claudes_usage_is_read_with_its_money_and_time() {
        let line = r#"{"usage":{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":3},"total_cost_usd":0.5,"duration_ms":7}"#;
        let want = Usage {
            input_tokens: 1,
            output_tokens: 2,
            cache_read_input_tokens: 3,
            total_cost_usd: 0.5,
            duration_ms: 7,
            ..Usage::default()
        };
        assert_eq!(extract_usage(&parse_json(line).unwrap()), Some(want));
    }

    #[test]
    fn codexs_cached_tokens_are_no_input() {
        let line = r#"{"usage":{"input_tokens":10500,"cached_input_tokens":9000,"cache_write_input_tokens":300,"output_tokens":85}}"#;
        let usage = extract_codex_usage(&parse_json(line).unwrap()).unwrap();
        assert_eq!((usage.input_tokens, usage.cache_read_input_tokens), (1200, 9000));
    }

    /// harness takes the last message alone, and not what was written to the cache.
    #[test]
    fn pis_usage_is_the_sum_over_the_messages_of_the_model() {
        let message = |input: u64| {
            format!(
                r#"{{"role":"assistant","usage":{{"input":{input},"output":5,"cacheRead":3,"cacheWrite":2,"cost":{{"total":0.25}}}}}}"#
            )
        };
        let (first, last) = (message(1000), message(200));
        let usage = |line: &str| extract_pi_usage(&parse_json(line).unwrap());
        let want = Usage {
            input_tokens: 1200,
            output_tokens: 10,
            cache_read_input_tokens: 6,
            cache_creation_input_tokens: 4,
            total_cost_usd: 0.5,
            ..Usage::default()
        };
        let user = r#"{"role":"user"}"#;
        assert_eq!(usage(&format!(r#"{{"messages":[{user},{first},{last}]}}"#)), Some(want));
        let one = Usage {
            input_tokens: 200,
            output_tokens: 5,
            cache_read_input_tokens: 3,
            cache_creation_input_tokens: 2,
            total_cost_usd: 0.25,
            ..want
        };
        assert_eq!(usage(&format!(r#"{{"type":"message_end","message":{last}}}"#)), Some(one));
        assert_eq!(usage(&last), Some(one));
        assert_eq!(usage(&format!(r#"{{"messages":[{user}]}}"#)), None);
    }
}
