//! Claude Code's `system` lines: what it does besides talking with the model.

use super::classify;
use super::wire::System;
use crate::protocol::Out;
use crate::wire::decode;
use belay_trace::{Compaction, CompactionStatus, Event, Level, PermissionDenied, Retry, ToolId};

/// Reads the line; `None` if its kind is not known.
pub(super) fn read(subtype: &str, text: &str, out: &mut Out) -> Option<()> {
    tell(subtype, decode(text)?, out)
}

/// Tells what the line says; `None` if its kind is not known.
pub(super) fn tell(subtype: &str, line: System, out: &mut Out) -> Option<()> {
    match subtype {
        "api_retry" => out.event(Event::Retry(Retry {
            retry: line.attempt,
            retries_max: line.max_retries,
            delay_ms: line.retry_delay_ms.map(whole),
            until: None,
            status: line.error_status,
            kind: classify::of_retry(line.error.as_deref(), line.error_status),
            reason: line.error.unwrap_or_default(),
            ..Retry::default()
        })),
        "informational" => {
            let level =
                if line.level.as_deref() == Some("error") { Level::Error } else { Level::Info };
            out.event(Event::notice(level, "informational", line.content.unwrap_or_default()));
        }
        "model_fallback" | "model_refusal_fallback" => {
            let words = line.content.unwrap_or_else(|| {
                let name = |model: Option<String>| model.unwrap_or_else(|| "?".to_owned());
                let (from, to) = (name(line.original_model), name(line.fallback_model));
                format!("{from} fell back to {to} ({})", line.trigger.unwrap_or_default())
            });
            out.event(Event::notice(Level::Warn, subtype, words));
        }
        "model_refusal_no_fallback" => {
            let words = line.content.filter(|words| !words.is_empty());
            let words =
                words.unwrap_or_else(|| "the model refused, and no other is asked".to_owned());
            out.event(Event::notice(Level::Warn, subtype, words));
        }
        "permission_denied" => {
            let name = line.tool_name.unwrap_or_default();
            let tool_id = line.tool_use_id.map(ToolId);
            out.event(Event::PermissionDenied(PermissionDenied {
                tool_id,
                name,
                reason: line.message,
            }));
        }
        "status" => status(&line, out),
        "task_started" | "task_progress" | "task_updated" | "task_notification" => {
            let status = line.status.or_else(|| line.patch?.status);
            let words = line.summary.or(line.description).or(status).unwrap_or_default();
            let parent = line.tool_use_id.map(ToolId);
            out.event_under(parent, Event::notice(Level::Debug, subtype, words));
        }
        // A running estimate of what the usage will say exactly, and hints for Claude's own screen.
        "thinking_tokens" | "ui_invalidate" => {}
        _ => return None,
    }
    Some(())
}

fn status(line: &System, out: &mut Out) {
    let status = match (line.status.as_deref(), line.compact_result.as_deref()) {
        (_, Some("failed")) => CompactionStatus::Failed,
        (_, Some(_)) => CompactionStatus::Completed,
        (Some("compacting"), _) => CompactionStatus::Started,
        // "requesting": the turn events say the same.
        _ => return,
    };
    out.event(Event::Compaction(Compaction { status, message: line.compact_error.clone() }));
}

/// True if Claude begins to shorten its context.
pub(super) fn is_compacting(text: &str) -> bool {
    decode::<System>(text).is_some_and(|line| line.status.as_deref() == Some("compacting"))
}

/// A delay that Claude reports as a float.
fn whole(milliseconds: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and a negative delay is none"
    )]
    let whole = milliseconds.round() as u64;
    whole
}
