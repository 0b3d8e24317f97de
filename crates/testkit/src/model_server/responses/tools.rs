//! Tool calls as Codex wants them, which depends on the tools it offered with the request.

use serde_json::{Value, json};

use super::super::ids::fresh;

/// How a request wants its commands and patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer {
    /// `exec_command` with a line, and `apply_patch` as a free-form tool: gpt-5.5 in Codex 0.169.
    UnifiedExec,
    /// One JavaScript program per call of the free-form tool `exec`: gpt-5.6 and later.
    CodeMode,
}

/// A call of the tool with this name; a string as input makes it a call of a free-form tool.
pub(crate) fn call(name: &str, input: &Value) -> Value {
    match input {
        Value::String(input) => json!({
            "type": "custom_tool_call", "id": fresh("ctc"), "call_id": fresh("call"),
            "status": "completed", "name": name, "input": input,
        }),
        _ => {
            let mut call = json!({
                "type": "function_call", "id": fresh("fc"), "call_id": fresh("call"),
                "status": "completed", "name": name, "arguments": input.to_string(),
            });
            // The tools for helpers are in a namespace of their own. (0.169)
            if matches!(name, "spawn_agent" | "wait_agent") {
                call["namespace"] = "collaboration".into();
            }
            call
        }
    }
}

/// A call of a tool of an MCP server: Codex offers each server as a namespace. (0.169)
pub(crate) fn mcp(server: &str, tool: &str, input: &Value) -> Value {
    let mut call = call(tool, input);
    call["namespace"] = format!("mcp__{server}").into();
    call
}

/// A call that runs this command.
pub(crate) fn shell(command: &str, request: &Value) -> Value {
    match offer(request) {
        Offer::UnifiedExec => call("exec_command", &json!({ "cmd": command })),
        Offer::CodeMode => {
            let arguments = json!({ "cmd": command });
            let program =
                format!("const r = await tools.exec_command({arguments}); text(r.output);");
            call("exec", &program.into())
        }
    }
}

/// A call that writes this file, over an old one if there is one.
pub(crate) fn write_file(path: &str, content: &str, request: &Value) -> Value {
    let lines: String = content.lines().map(|line| format!("+{line}\n")).collect();
    let patch = format!("*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch\n");
    match offer(request) {
        Offer::UnifiedExec => call("apply_patch", &patch.into()),
        Offer::CodeMode => {
            let argument = Value::from(patch);
            let program = format!("const r = await tools.apply_patch({argument}); text(r);");
            call("exec", &program.into())
        }
    }
}

fn offer(request: &Value) -> Offer {
    let extra = request["input"].as_array().into_iter().flatten();
    let extra = extra.filter(|item| item["type"] == "additional_tools").map(|item| &item["tools"]);
    let code_mode = std::iter::once(&request["tools"])
        .chain(extra)
        .filter_map(Value::as_array)
        .flatten()
        .any(|tool| tool["type"] == "custom" && tool["name"] == "exec");
    if code_mode { Offer::CodeMode } else { Offer::UnifiedExec }
}
