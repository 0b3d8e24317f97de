//! Pi's tools, by the names that they have on every agent.

use belay_trace::ToolKind;

/// The name of a tool for the caller; a shell is `Bash` on every agent.
pub(super) fn name(tool: &str) -> String {
    match tool {
        "bash" => "Bash".to_owned(),
        _ => tool.to_owned(),
    }
}

/// What a tool can do.
pub(super) fn kind(tool: &str) -> ToolKind {
    match tool {
        "read" | "grep" | "find" | "ls" => ToolKind::Read,
        "edit" | "write" => ToolKind::Edit,
        "bash" | "powershell" => ToolKind::Execute,
        _ => ToolKind::Other,
    }
}
