//! MCP servers in OpenCode's words.

use crate::mcp::{check, not_started};
use crate::wire::{decode, lenient};
use crate::{McpServer, OpenCode, Out, RunRequest, Unsupported};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

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

/// Tells which servers did not start, from the answer to `GET /mcp`: the user's own among them.
pub(super) fn tell_not_started(answer: &str, out: &mut Out) {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Status {
        status: String,
        #[serde(deserialize_with = "lenient")]
        error: Option<String>,
    }
    let servers: BTreeMap<String, Status> = decode(answer).unwrap_or_default();
    for (name, Status { status, error }) in servers {
        if matches!(status.as_str(), "failed" | "needs_auth" | "needs_client_registration") {
            out.event(not_started(&name, &error.unwrap_or(status)));
        }
    }
}
