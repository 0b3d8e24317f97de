//! What a request gives the model besides its prompt.

use super::given_file;
use belaykit::{Image, McpServer, RunRequest};
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser as _};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Servers of tools, images, and the shape of the answer.
#[derive(Debug, Args)]
pub(crate) struct Given {
    /// An MCP server whose tools the agent may use: a command, as a shell would take it apart, or a URL. Can be
    /// given more than once.
    #[arg(long, value_name = "NAME=COMMAND", value_parser = server)]
    mcp: Vec<(String, McpServer)>,

    /// A file of MCP servers, {"mcpServers": {…}}, in which ${NAME} stands for a variable of the environment; can
    /// be given more than once.
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(servers))]
    mcp_config: Vec<BTreeMap<String, McpServer>>,

    /// An image that goes with the prompt: PNG, JPEG, GIF or WebP; can be given more than once.
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,

    /// A file with the JSON Schema that the answer has to fit; the answer is then that JSON alone.
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(schema))]
    output_schema: Option<Value>,
}

impl Given {
    /// Puts what was given into the request; what was not given stays as it is there.
    pub(crate) fn apply(&self, request: &mut RunRequest) {
        let files = self.mcp_config.iter().flatten();
        let files = files.map(|(name, server)| (name.clone(), server.clone()));
        request.mcp_servers.extend(files.chain(self.mcp.iter().cloned()));
        if self.output_schema.is_some() {
            request.output_schema.clone_from(&self.output_schema);
        }
        // A prompt has images of its own: those of another are in the session already.
        request.images = self.image.iter().cloned().map(Image::from).collect();
    }
}

fn server(text: &str) -> Result<(String, McpServer), String> {
    let wanted = "write NAME=COMMAND or NAME=URL, such as docs='npx -y docs-mcp'";
    let (name, server) = text.split_once('=').ok_or(wanted)?;
    if server.starts_with("http://") || server.starts_with("https://") {
        return Ok((name.to_owned(), McpServer::http(server)));
    }
    let words = shell_words::split(server).map_err(|error| format!("{error} in the command"))?;
    let mut words = words.into_iter();
    let command = words.next().ok_or(wanted)?;
    Ok((name.to_owned(), McpServer::command(command, words)))
}

/// The form that MCP clients have in common.
#[derive(Deserialize)]
struct McpFile {
    #[serde(rename = "mcpServers")]
    servers: BTreeMap<String, McpServer>,
}

fn servers(path: PathBuf) -> Result<BTreeMap<String, McpServer>, String> {
    let variable = |name: &str| std::env::var(name).ok();
    let text = given_file::read_to_string(&path).map_err(|error| said(&path, error))?;
    let mut value = serde_json::from_str(&text).map_err(|error| said(&path, error))?;
    leave_out_disabled(&mut value);
    expand(&mut value, &variable).map_err(|error| said(&path, error))?;
    let file: McpFile = serde_json::from_value(value).map_err(|error| said(&path, error))?;
    Ok(file.servers)
}

/// Takes out the servers that their file switches off, `"disabled": true` or `"enabled": false`: nothing of them is read,
/// so that no variable need be set for them.
fn leave_out_disabled(file: &mut Value) {
    if let Some(servers) = file.get_mut("mcpServers").and_then(Value::as_object_mut) {
        servers.retain(|_, server| server["disabled"] != true && server["enabled"] != false);
    }
}

fn schema(path: PathBuf) -> Result<Value, String> {
    let text = given_file::read_to_string(&path).map_err(|error| said(&path, error))?;
    serde_json::from_str(&text).map_err(|error| said(&path, error))
}

fn said(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// Puts variables in the place of `${NAME}` and `${NAME:-default}` in every text.
fn expand(value: &mut Value, variable: &impl Fn(&str) -> Option<String>) -> Result<(), String> {
    match value {
        Value::String(text) => *text = expanded(text, variable)?,
        Value::Array(values) => {
            values.iter_mut().try_for_each(|value| expand(value, variable))?;
        }
        Value::Object(fields) => {
            fields.values_mut().try_for_each(|value| expand(value, variable))?;
        }
        _ => {}
    }
    Ok(())
}

fn expanded(text: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else { break };
        let (name, default) = name.split_once(":-").map_or((name, None), |(n, d)| (n, Some(d)));
        let found = variable(name).or_else(|| default.map(str::to_owned));
        whole.push_str(before);
        whole.push_str(&found.ok_or_else(|| format!("the variable {name} is not set"))?);
        rest = after;
    }
    whole.push_str(rest);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_command_or_a_url() {
        let want = McpServer::command("npx", ["-y", "a b"]);
        assert_eq!(server("docs=npx -y 'a b'").unwrap(), ("docs".to_owned(), want));
        assert_eq!(server("x=https://x/?a=b").unwrap().1, McpServer::http("https://x/?a=b"));
        for bad in ["npx", "docs=", "docs='npx"] {
            assert!(server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_no_empty_text() {
        let variable = |name: &str| (name == "TOKEN").then(|| "t}$".to_owned());
        let check = |text: &str| expanded(text, &variable);
        assert_eq!(check("Bearer ${TOKEN}!").unwrap(), "Bearer t}$!");
        assert_eq!(check("${NONE:-a b}$x${").unwrap(), "a b$x${");
        assert_eq!(check("${NONE}").unwrap_err(), "the variable NONE is not set");
    }
}
