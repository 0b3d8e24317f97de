//! MCP servers for Pi: it reads them from files of the user's and the project's, and takes them from extensions.
//! So they come as an extension of the run's own. (1.5.2)

use crate::mcp::check;
use crate::{Launch, McpServer, Permissions, Pi, RunRequest, Unsupported};
use serde_json::{Map, Value, json};

pub(super) fn bind(launch: &mut Launch, request: &RunRequest) -> Result<(), Unsupported> {
    if request.mcp_servers.is_empty() {
        return Ok(());
    }
    if request.permissions == Some(Permissions::ReadOnly) {
        let hint =
            "pi asks nobody before it calls a server's tool, so a run that may only look has none";
        return Err(Unsupported { agent: Pi::NAME, option: "mcp_servers", hint: Some(hint) });
    }
    // It puts in variables, and what a command prints.
    check(Pi::NAME, &request.mcp_servers, |text| {
        text.contains('$') || text.starts_with(['!', '~'])
    })?;
    let servers = request.mcp_servers.iter().map(|(name, server)| {
        // Otherwise the model has to search for the tools, or to write programs that call them.
        let server = match server {
            McpServer::Command { command, args, env } => {
                json!({"command": command, "args": args, "env": env, "exposure": "direct"})
            }
            McpServer::Http { url, headers } => {
                json!({"url": url, "headers": headers, "exposure": "direct"})
            }
        };
        (name.clone(), server)
    });
    let servers = Value::Object(servers.collect::<Map<_, _>>());
    let script = format!(
        "export default function (pi) {{\n  const servers = {servers};\n  \
         for (const name of Object.keys(servers)) pi.registerMcpServer(name, servers[name]);\n}}\n"
    );
    launch.pair_private("--extension", "mcp.mjs", script);
    Ok(())
}
