//! Tool calls as the asking agent wants them: it says so in the tools that it offers.

use serde_json::{Map, Value, json};

use super::super::ids::fresh;

/// What agents call their shell: OpenCode, Pi and Copilot; Docker Agent; Qwen.
const SHELLS: [&str; 3] = ["bash", "shell", "run_shell_command"];
/// What agents call the tool that writes a file.
const WRITERS: [&str; 3] = ["write", "write_file", "create"];

/// A call of the tool with this name; a string as input is sent as it is, for broken arguments.
pub(crate) fn call(name: &str, input: &Value) -> Value {
    let arguments = input.as_str().map_or_else(|| input.to_string(), str::to_owned);
    json!({
        "id": fresh("call"), "type": "function",
        "function": { "name": name, "arguments": arguments },
    })
}

/// A call of a tool of an MCP server, by the name that Pi, OpenCode or Copilot gives it.
pub(crate) fn mcp(server: &str, tool: &str, input: &Value, request: &Value) -> Value {
    let names =
        [format!("mcp__{server}__{tool}"), format!("{server}_{tool}"), format!("{server}-{tool}")];
    let names = names.each_ref().map(String::as_str);
    call(Offered::find(&names, request).name, input)
}

/// A call that runs this command.
pub(crate) fn shell(command: &str, request: &Value) -> Value {
    let tool = Offered::find(&SHELLS, request);
    let mut input = Map::new();
    input.insert(tool.argument(&["command", "cmd"]).to_owned(), command.into());
    if tool.takes("description") {
        input.insert("description".to_owned(), "Run a command".into());
    }
    call(tool.name, &input.into())
}

/// A call that writes this file, over an old one if there is one.
pub(crate) fn write_file(path: &str, content: &str, request: &Value) -> Value {
    let tool = Offered::find(&WRITERS, request);
    let path_argument = tool.argument(&["path", "filePath", "file_path"]);
    let content_argument = tool.argument(&["content", "file_text"]);
    call(tool.name, &json!({ path_argument: path, content_argument: content }))
}

/// A tool as the request offers it.
struct Offered<'a> {
    name: &'a str,
    properties: Option<&'a Map<String, Value>>,
}

impl<'a> Offered<'a> {
    /// The first tool with one of these names; the first name where the request offers none.
    fn find(names: &[&'a str], request: &'a Value) -> Self {
        let tools = request["tools"].as_array().into_iter().flatten();
        let mut functions = tools.map(|tool| &tool["function"]);
        let found = functions.find_map(|function| {
            let name = function["name"].as_str().filter(|name| names.contains(name))?;
            Some(Self { name, properties: function["parameters"]["properties"].as_object() })
        });
        found.unwrap_or(Self { name: names[0], properties: None })
    }

    fn takes(&self, argument: &str) -> bool {
        self.properties.is_some_and(|properties| properties.contains_key(argument))
    }

    /// The one of these arguments that the tool takes; the first where it takes none of them.
    fn argument(&self, names: &[&'static str]) -> &'static str {
        names.iter().copied().find(|name| self.takes(name)).unwrap_or(names[0])
    }
}
