//! Docker Agent's tools, by the names that they have on every agent.

use super::wire::Definition;
use belay_trace::ToolKind;
use std::borrow::Cow;

/// The tool with which an agent hands a task to another one, whose events come in between.
pub(super) const TRANSFER: &str = "transfer_task";

/// The name of a tool for the caller; a shell is `Bash` on every agent.
pub(super) fn name(tool: &str) -> String {
    match tool {
        "shell" => "Bash".to_owned(),
        _ => tool.to_owned(),
    }
}

/// The agent's own name of a tool, from the one that callers have.
pub(super) fn own_name(name: &str) -> Cow<'_, str> {
    Cow::Borrowed(if name == "Bash" { "shell" } else { name })
}

/// What a tool can do.
pub(super) fn kind(tool: &str, definition: Option<&Definition>) -> ToolKind {
    let is_read_only = definition.is_some_and(|definition| definition.annotations.read_only_hint);
    match tool {
        "shell" => ToolKind::Execute,
        "write_file" | "edit_file" => ToolKind::Edit,
        "fetch" => ToolKind::Network,
        _ if is_read_only => ToolKind::Read,
        _ => ToolKind::Other,
    }
}
