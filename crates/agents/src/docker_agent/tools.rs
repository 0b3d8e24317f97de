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

/// How a shell's command failed, with its exit code if it had one: the result says so in words alone.
pub(super) fn failed_command(tool: Option<&str>, output: &str) -> Option<Option<i32>> {
    let words =
        output.strip_prefix("Error executing command: ").filter(|_| tool == Some("shell"))?;
    let line = words.lines().next().unwrap_or_default();
    Some(line.strip_prefix("exit status ").and_then(|code| code.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_failed_says_so_in_words() {
        for (tool, output, want) in [
            ("shell", "Error executing command: exit status 3\nOutput: x", Some(Some(3))),
            ("shell", "Error executing command: signal: killed", Some(None)),
            ("shell", "it said: Error executing command: exit status 3", None),
            ("read_file", "Error executing command: exit status 3", None),
        ] {
            assert_eq!(failed_command(Some(tool), output), want, "{output}");
        }
    }
}
