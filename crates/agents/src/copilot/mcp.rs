//! MCP servers for Copilot: a file beside those of the user and the project, and a rule for each of them.

use crate::mcp::check;
use crate::{Copilot, Launch, McpServer, Permissions, RunRequest, Unsupported};
use serde_json::{Map, Value, json};

pub(super) fn bind(launch: &mut Launch, request: &RunRequest) -> Result<(), Unsupported> {
    let servers = &request.mcp_servers;
    if servers.is_empty() {
        return Ok(());
    }
    // It puts in variables.
    check(Copilot::NAME, servers, |text| text.contains('$'))?;
    let server = |(name, server): (&String, &McpServer)| {
        let server = match server {
            McpServer::Command { command, args, env } => {
                json!({"type": "local", "command": command, "args": args, "env": env, "tools": ["*"]})
            }
            McpServer::Http { url, headers } => {
                json!({"type": "http", "url": url, "headers": headers, "tools": ["*"]})
            }
        };
        (name.clone(), server)
    };
    let config =
        json!({ "mcpServers": servers.iter().map(server).collect::<Map<String, Value>>() });
    launch.bind_private_at("--additional-mcp-config", "mcp.json", config.to_string());
    for name in servers.keys() {
        match request.permissions {
            Some(Permissions::ReadOnly) => launch.bind("--deny-tool", name),
            Some(Permissions::Ask | Permissions::Edit) | None => launch.bind("--allow-tool", name),
            Some(Permissions::Full) => {}
        }
    }
    Ok(())
}
