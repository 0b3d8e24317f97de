//! Claude Code's tools: what they can do, and what they returned.

use super::wire::{Block, ToolProgressLine};
use crate::news::News;
use crate::protocol::Out;
use crate::wire::{decode, flatten_content};
use belay_trace::{Event, Level, ToolId, ToolKind, ToolProgress, ToolResult};
use std::time::Duration;

/// The tools that change files or run programs, which could.
pub(super) const CHANGING: [&str; 6] =
    ["Edit", "Write", "NotebookEdit", "Bash", "PowerShell", "Monitor"];

/// The tools that ask in a run that may do nothing unasked: those, and what reaches the network.
pub(super) const ASKED: [&str; 8] =
    ["Edit", "Write", "NotebookEdit", "Bash", "PowerShell", "Monitor", "WebFetch", "WebSearch"];

/// What a tool can do, by the names of 2.1.x; a tool that is not known may do anything.
pub(super) fn kind(name: &str) -> ToolKind {
    match name {
        "Read" | "Glob" | "Grep" | "LS" | "NotebookRead" | "ToolSearch" | "TaskGet"
        | "TaskList" | "BashOutput" | "ListAgents" | "CronList" => ToolKind::Read,
        "Edit" | "MultiEdit" | "Write" | "NotebookEdit" => ToolKind::Edit,
        "Bash" | "PowerShell" | "Monitor" => ToolKind::Execute,
        "WebFetch" | "WebSearch" | "web_search" | "web_fetch" => ToolKind::Network,
        _ => ToolKind::Other,
    }
}

/// What a tool returned, which only its call names.
pub(super) fn result(block: Block<'_>, name: Option<String>) -> Event {
    let output = flatten_content(block.content);
    let tool_error = block.is_error.unwrap_or(false);
    Event::ToolResult(ToolResult {
        tool_id: block.tool_use_id.map(ToolId),
        name,
        // Claude writes the code of a failed command into the first line, and nowhere else.
        exit_code: if tool_error { exit_code(&output) } else { None },
        output,
        tool_error,
    })
}

/// A tool is still running: Claude says so every 30 s, also of one that hangs.
pub(super) fn progress(text: &str, news: &mut News, out: &mut Out) -> Option<()> {
    let line: ToolProgressLine = decode(text)?;
    let tool_id = line.parent_tool_use_id.or(line.tool_use_id).map(ToolId);
    if let Some(retry) = line.subagent_retry {
        let (attempt, max) = (retry.attempt, retry.max_retries);
        let words = format!("retry {attempt} of {max} of a subagent: {}", retry.error_category);
        out.event_under(tool_id.clone(), Event::notice(Level::Info, "subagent_retry", words));
    }
    let of = format!("output {tool_id:?}");
    let prints = !line.output.is_empty() && news.is_new(&of, &line.output);
    let elapsed = line.elapsed_time_seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
    out.event(Event::ToolProgress(ToolProgress {
        tool_id,
        name: line.tool_name,
        elapsed_ms: elapsed.and_then(|elapsed| u64::try_from(elapsed.as_millis()).ok()),
        heartbeat: line.heartbeat || !prints,
    }));
    Some(())
}

fn exit_code(output: &str) -> Option<i32> {
    let code = output.strip_prefix("Exit code ")?;
    code.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
