//! What Claude Code's tools can do.

use belay_trace::ToolKind;

/// The tools that change files.
pub(super) const EDITING: [&str; 3] = ["Edit", "Write", "NotebookEdit"];

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
