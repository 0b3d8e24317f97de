//! Pi's tools, by the names that they have on every agent, and what they return.

use super::wire::Structured;
use belay_trace::ToolKind;
use std::borrow::Cow;

/// The name of a tool for the caller; a shell is `Bash` on every agent.
pub(super) fn name(tool: &str) -> String {
    match tool {
        "bash" => "Bash".to_owned(),
        _ => tool.to_owned(),
    }
}

/// The agent's own name of a tool, from the one that callers have.
pub(super) fn own_name(name: &str) -> Cow<'_, str> {
    Cow::Borrowed(if name == "Bash" { "bash" } else { name })
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

/// What a tool printed. The model is given the end of a long output; a shell's result has all of it, or both
/// ends and the file with the rest.
pub(super) fn output(given: String, structured: Option<Structured>) -> String {
    let Some(Structured { output: Some(whole), full_output_path: path, .. }) = structured else {
        return given;
    };
    // What was not cut begins with the output; behind it stands what Pi has to say of it.
    if given.starts_with(&whole) {
        return given;
    }
    match path {
        Some(path) => format!("{whole}\n\n[Full output: {path}]"),
        None => whole,
    }
}
