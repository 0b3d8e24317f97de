//! Gemini's lines: words in pieces, calls whole, and a result with the figures of the whole run.

use super::{End, Turn, failure};
use crate::failures::Table;
use crate::protocol::Out;
use crate::wire::{decode, lenient};
use belay_trace::{Event, Json, Level, ModelUsage, SessionStarted, Text, Usage, UsageReport};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The union of the fields of all lines.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    session_id: Option<String>,
    model: Option<String>,
    role: String,
    #[serde(deserialize_with = "lenient")]
    content: String,
    tool_name: String,
    tool_id: Option<String>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    #[serde(deserialize_with = "lenient")]
    output: String,
    status: String,
    severity: String,
    message: String,
    #[serde(deserialize_with = "lenient")]
    error: Option<Problem>,
    #[serde(deserialize_with = "lenient")]
    stats: Option<Stats>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stats {
    #[serde(flatten)]
    tokens: Tokens,
    duration_ms: Option<u64>,
    models: BTreeMap<String, Tokens>,
}

/// `input_tokens` holds those from the cache, which `input` leaves out; thoughts are in the total alone.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    total_tokens: u64,
    input_tokens: u64,
    output_tokens: u64,
    cached: u64,
}

impl Tokens {
    fn thoughts(self) -> u64 {
        self.total_tokens.saturating_sub(self.input_tokens).saturating_sub(self.output_tokens)
    }

    fn uncached(self) -> u64 {
        self.input_tokens.saturating_sub(self.cached)
    }

    fn output(self) -> u64 {
        self.output_tokens.saturating_add(self.thoughts())
    }
}

/// Reads a line; `None` if its kind is not known.
pub(super) fn read(
    turn: &mut Turn,
    kind: &str,
    text: &str,
    table: &'static Table,
    out: &mut Out,
) -> Option<Option<End>> {
    let line: Line<'_> = decode(text)?;
    match kind {
        "init" => {
            let session_id = line.session_id?;
            (turn.session_id, turn.model) = (Some(session_id.clone()), line.model.clone());
            let model = line.model;
            out.event(Event::SessionStarted(SessionStarted {
                session_id,
                model,
                ..Default::default()
            }));
        }
        "message" if line.role == "assistant" => {
            turn.respond(None, None, out);
            turn.say(&line.content, None);
            if !line.content.is_empty() {
                out.event(Event::Text(Text { text: line.content, message_id: None }));
            }
        }
        // The prompt.
        "message" => {}
        "tool_use" => {
            turn.respond(None, None, out);
            let args = line.parameters.map(Json::from_raw).unwrap_or_default();
            turn.call(line.tool_id, &line.tool_name, args, None, out);
        }
        "tool_result" => {
            let failed = line.status == "error";
            let words = line.error.map(|error| error.message).filter(|_| line.output.is_empty());
            turn.returned(line.tool_id, words.unwrap_or(line.output), failed, None, out);
        }
        "error" => {
            let level = if line.severity == "warning" { Level::Warn } else { Level::Error };
            out.event(Event::notice(level, "error", line.message));
        }
        "result" => {
            let usage = line.stats.map(|stats| used(stats, turn.responses)).unwrap_or_default();
            out.event(Event::Usage(UsageReport { usage: usage.clone() }));
            let failed = line.status != "success";
            let words =
                line.error.map(|error| error.message).unwrap_or_else(|| line.status.clone());
            let failure = failed.then(|| failure(table, words));
            return Some(Some(End { failure, usage, ..End::default() }));
        }
        _ => return None,
    }
    Some(None)
}

fn used(stats: Stats, responses: u64) -> Usage {
    let tokens = stats.tokens;
    let of_model = |tokens: Tokens| ModelUsage {
        input_tokens: tokens.uncached(),
        output_tokens: tokens.output(),
        cache_read_input_tokens: tokens.cached,
        ..ModelUsage::default()
    };
    Usage {
        input_tokens: Some(tokens.uncached()),
        output_tokens: Some(tokens.output()),
        cache_read_input_tokens: Some(tokens.cached),
        reasoning_output_tokens: Some(tokens.thoughts()),
        num_turns: Some(responses),
        duration_ms: stats.duration_ms,
        models: stats.models.into_iter().map(|(name, tokens)| (name, of_model(tokens))).collect(),
        ..Usage::default()
    }
}
