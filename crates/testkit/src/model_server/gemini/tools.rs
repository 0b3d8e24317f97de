//! Tool calls as Gemini CLI wants them (0.61).

use serde_json::{Value, json};

use super::super::ids::fresh;

/// A call of the tool with this name.
pub(crate) fn call(name: &str, input: &Value) -> Value {
    json!({ "functionCall": { "id": fresh("call"), "name": name, "args": input } })
}

/// A call of a tool of an MCP server, by the name that it is offered under.
pub(crate) fn mcp(server: &str, tool: &str, input: &Value, request: &Value) -> Value {
    let names = [
        format!("mcp_{server}_{tool}"),
        format!("mcp__{server}__{tool}"),
        format!("{server}__{tool}"),
    ];
    let offered = request["tools"].as_array().into_iter().flatten();
    let mut offered = offered
        .flat_map(|tools| tools["functionDeclarations"].as_array().into_iter().flatten())
        .filter_map(|function| function["name"].as_str());
    let name = offered.find(|name| names.iter().any(|known| known == name));
    call(name.unwrap_or(tool), input)
}

/// A call that runs this command.
pub(crate) fn shell(command: &str) -> Value {
    call("run_shell_command", &json!({ "command": command, "description": "Run a command" }))
}

/// A call that writes this file, over an old one if there is one.
pub(crate) fn write_file(path: &str, content: &str) -> Value {
    call("write_file", &json!({ "file_path": path, "content": content }))
}
