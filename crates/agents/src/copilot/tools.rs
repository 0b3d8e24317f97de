//! Copilot's tools, by the names that they have on every agent.

use super::wire::Data;
use belay_trace::ToolKind;
use std::borrow::Cow;

/// The name of a tool for the caller; a shell is `Bash` on every agent, an MCP tool `mcp__server__tool`.
pub(super) fn name(data: &Data<'_>) -> Option<String> {
    let tool = data.tool_name.as_deref()?;
    Some(match (data.mcp_server_name.as_deref(), data.mcp_tool_name.as_deref(), tool) {
        (Some(server), Some(tool), _) => format!("mcp__{server}__{tool}"),
        (_, _, "bash") => "Bash".to_owned(),
        _ => tool.to_owned(),
    })
}

/// The agent's own name of a tool, from the one that callers have.
pub(super) fn own_name(name: &str) -> Cow<'_, str> {
    Cow::Borrowed(if name == "Bash" { "bash" } else { name })
}

/// What a tool can do.
pub(super) fn kind(tool: &str) -> ToolKind {
    match tool {
        "view" | "grep" | "glob" | "read_bash" | "list_bash" | "report_intent" => ToolKind::Read,
        "create" | "edit" | "str_replace_editor" | "apply_patch" => ToolKind::Edit,
        "Bash" | "write_bash" | "stop_bash" | "powershell" => ToolKind::Execute,
        "web_fetch" | "web_search" => ToolKind::Network,
        _ => ToolKind::Other,
    }
}
