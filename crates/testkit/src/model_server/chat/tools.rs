//! Tool calls as the asking agent wants them: it says so in the tools that it offers.

use serde_json::{Map, Value, json};

use super::super::ids::fresh;

/// What agents call their shell: OpenCode, Pi, Copilot, Kilo and Vibe; Docker Agent; Qwen; Droid; Cline; Nanocoder; Hermes
/// and OpenHands; fast-agent.
const SHELLS: [&str; 8] = [
    "bash",
    "shell",
    "run_shell_command",
    "Execute",
    "run_commands",
    "execute_bash",
    "terminal",
    "execute",
];
/// What agents call the tool that writes a file.
const WRITERS: [&str; 7] =
    ["write", "write_file", "create", "Create", "file_editor", "write_text_file", "apply_patch"];

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
    match tool.argument(&["command", "cmd", "commands"]) {
        "commands" => input.insert("commands".to_owned(), json!([command])),
        one => input.insert(one.to_owned(), command.into()),
    };
    tool.explain(&mut input);
    call(tool.name, &input.into())
}

/// A call that writes this file, over an old one if there is one.
pub(crate) fn write_file(path: &str, content: &str, request: &Value) -> Value {
    let tool = Offered::find(&WRITERS, request);
    let mut input = Map::new();
    if tool.takes("input") {
        let lines: String = content.lines().map(|line| format!("+{line}\n")).collect();
        let patch = format!("*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch");
        input.insert("input".to_owned(), patch.into());
    } else {
        let path_argument = tool.argument(&["path", "filePath", "file_path"]);
        let content_argument = tool.argument(&["content", "file_text"]);
        input.insert(path_argument.to_owned(), path.into());
        input.insert(content_argument.to_owned(), content.into());
    }
    // OpenHands has one tool for all that is done to files.
    if tool.takes("command") {
        input.insert("command".to_owned(), "create".into());
    }
    tool.explain(&mut input);
    call(tool.name, &input.into())
}

/// What some tools want to be told beside what they do: OpenCode; OpenHands; Droid.
const EXPLANATIONS: [(&str, &str); 5] = [
    ("description", "Run a command"),
    ("summary", "Do it"),
    ("security_risk", "LOW"),
    ("riskLevelReason", "It is harmless"),
    ("riskLevel", "low"),
];

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

    fn explain(&self, input: &mut Map<String, Value>) {
        for (name, value) in EXPLANATIONS.iter().filter(|(name, _)| self.takes(name)) {
            input.insert((*name).to_owned(), (*value).into());
        }
    }

    /// The one of these arguments that the tool takes; the first where it takes none of them.
    fn argument(&self, names: &[&'static str]) -> &'static str {
        names.iter().copied().find(|name| self.takes(name)).unwrap_or(names[0])
    }
}
