//! MCP servers in Codex's words: settings of a thread, or `-c` of `codex exec`.

use crate::mcp::{check, not_started};
use crate::wire::lenient;
use crate::{Codex, Launch, McpServer, Permissions, RunRequest, Unsupported};
use belay_trace::Event;
use serde::Deserialize;
use serde_json::{Value, json};

/// The servers as the setting `mcp_servers` has them; secrets and all.
pub(super) fn settings(request: &RunRequest) -> Value {
    let servers = request.mcp_servers.iter().map(|(name, server)| {
        let mut setting = match server {
            McpServer::Command { command, args, env } => {
                json!({"command": command, "args": args, "env": env})
            }
            McpServer::Http { url, headers } => json!({"url": url, "http_headers": headers}),
        };
        if let Some(mode) = approval(request) {
            setting["default_tools_approval_mode"] = mode.into();
        }
        (name.clone(), setting)
    });
    Value::Object(servers.collect())
}

/// A server that the caller gives is one whose tools may be called, unless the run may only look. Codex by itself
/// cancels what it would have to ask for (0.169).
fn approval(request: &RunRequest) -> Option<&'static str> {
    (request.permissions != Some(Permissions::ReadOnly)).then_some("approve")
}

/// Adds the servers to a command line. What may be a secret goes by way of Codex's environment.
pub(super) fn bind(launch: &mut Launch, request: &RunRequest) -> Result<(), Unsupported> {
    for (number, (name, server)) in request.mcp_servers.iter().enumerate() {
        let mut set = |key: &str, value: Value| {
            // A JSON text or list of texts is one of TOML too.
            launch.bind("--config", &format!("mcp_servers.{name}.{key}={value}"));
        };
        match server {
            McpServer::Command { command, args, env } => {
                set("command", json!(command));
                set("args", json!(args));
                if !env.is_empty() {
                    set("env_vars", json!(env.keys().collect::<Vec<_>>()));
                }
                for (name, value) in env {
                    let other = launch.env.private.iter().find(|(known, _)| known == name);
                    let is_taken = other.is_some_and(|(_, known)| known != value);
                    if is_taken || launch.env.is_listed(name) {
                        let hint = "`codex exec` hands variables on under their own names: one that Codex reads \
                                    itself, or with two values, needs the dialogue transport";
                        let option = "mcp_servers";
                        return Err(Unsupported { agent: Codex::NAME, option, hint: Some(hint) });
                    }
                    launch.env.private.push((name.clone(), value.clone()));
                }
            }
            McpServer::Http { url, headers } => {
                set("url", json!(url));
                let named = headers.iter().enumerate().map(|(at, (header, value))| {
                    (header, format!("BELAY_MCP_HEADER_{number}_{at}"), value)
                });
                let named: Vec<_> = named.collect();
                for (header, variable, _) in &named {
                    set(&format!("env_http_headers.{header}"), json!(variable));
                }
                let private =
                    named.into_iter().map(|(_, variable, value)| (variable, value.clone()));
                launch.env.private.extend(private);
            }
        }
        if let Some(mode) = approval(request) {
            launch.bind(
                "--config",
                &format!("mcp_servers.{name}.default_tools_approval_mode={mode}"),
            );
        }
    }
    Ok(())
}

/// Codex takes every value as it is.
pub(super) fn sound(request: &RunRequest) -> Result<(), Unsupported> {
    check(Codex::NAME, &request.mcp_servers, |_| false)
}

/// What the app-server says of a server that it starts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServerStatus {
    name: String,
    #[serde(deserialize_with = "lenient")]
    status: String,
    #[serde(deserialize_with = "lenient")]
    error: Option<String>,
}

impl ServerStatus {
    pub(super) fn has_failed(&self) -> bool {
        self.status == "failed"
    }

    /// Says so, without Codex's own lead-in, which repeats the name.
    pub(super) fn event(self) -> Event {
        let error = self.error.unwrap_or_default();
        let lead = format!("MCP client for `{}` failed to start: ", self.name);
        let why = error.strip_prefix(&lead).unwrap_or(&error);
        let why = why.strip_prefix("MCP startup failed: ").unwrap_or(why);
        not_started(&self.name, why)
    }
}
