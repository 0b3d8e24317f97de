//! MCP servers in OpenCode's words.

use crate::mcp::check;
use crate::{McpServer, OpenCode, RunRequest, Unsupported};
use serde_json::{Map, Value, json};

/// The piece of configuration that adds the servers to the user's own, if there are any.
pub(super) fn config(request: &RunRequest) -> Result<Option<String>, Unsupported> {
    if request.mcp_servers.is_empty() {
        return Ok(None);
    }
    // In its configuration OpenCode puts in variables and files.
    let expands = |text: &str| text.contains("{env:") || text.contains("{file:");
    check(OpenCode::NAME, &request.mcp_servers, expands)?;
    let servers = request.mcp_servers.iter().map(|(name, server)| {
        let server = match server {
            McpServer::Command { command, args, env } => {
                let command: Vec<_> = std::iter::once(command).chain(args).collect();
                json!({"type": "local", "command": command, "environment": env, "timeout": TIMEOUT_MS, "enabled": true})
            }
            McpServer::Http { url, headers } => {
                // It would ask a person at a browser for a login otherwise.
                json!({"type": "remote", "url": url, "headers": headers, "oauth": false, "timeout": TIMEOUT_MS, "enabled": true})
            }
        };
        (name.clone(), server)
    });
    Ok(Some(json!({"mcp": servers.collect::<Map<String, Value>>()}).to_string()))
}

/// A request to a server may take so long, a tool call too; OpenCode's own 5 seconds are too few for a busy machine.
const TIMEOUT_MS: u32 = 60_000;
