//! MCP servers: given once with a request, and translated for each agent by its driver.

use crate::Unsupported;
use belay_trace::{Event, Level};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A server of tools that the agent may use besides its own (Model Context Protocol).
///
/// As JSON it has the form that MCP clients have in common: `{"command": "npx", "args": ["-y", "x"], "env":
/// {"TOKEN": "…"}}` or `{"type": "http", "url": "https://…", "headers": {"Authorization": "…"}}`. Values mean
/// themselves: no agent expands a variable in them.
///
/// ```
/// use belay_agents::{McpServer, RunRequest};
///
/// let docs = McpServer::command("npx", ["-y", "docs-mcp"]).env("DOCS_TOKEN", "t0k3n");
/// let request = RunRequest::new("Look it up.").mcp_server("docs", docs);
/// assert!(!format!("{request:?}").contains("t0k3n"), "values are kept out of what is shown");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Entry", into = "Entry")]
#[non_exhaustive]
pub enum McpServer {
    /// A program that the agent starts and speaks with over its standard input and output.
    #[non_exhaustive]
    Command {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Variables that it sees besides those that the agent passes on.
        env: BTreeMap<String, String>,
    },
    /// A server that is there already, over streamable HTTP.
    #[non_exhaustive]
    Http {
        /// Where it is.
        url: String,
        /// Headers of every request to it.
        headers: BTreeMap<String, String>,
    },
}

impl McpServer {
    /// A program with its arguments.
    pub fn command<T: Into<String>>(
        command: impl Into<String>,
        args: impl IntoIterator<Item = T>,
    ) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self::Command { command: command.into(), args, env: BTreeMap::new() }
    }

    /// The server with this URL.
    pub fn http(url: impl Into<String>) -> Self {
        Self::Http { url: url.into(), headers: BTreeMap::new() }
    }

    /// Sets a variable that the program sees; a server over HTTP has none.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Self::Command { env, .. } = &mut self {
            env.insert(name.into(), value.into());
        }
        self
    }

    /// Sets a header of every request to the server; a program has none.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Self::Http { headers, .. } = &mut self {
            headers.insert(name.into(), value.into());
        }
        self
    }

    /// Its variables or headers, of which any may be a secret.
    pub fn secrets(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Command { env, .. } => env,
            Self::Http { headers, .. } => headers,
        }
    }

    /// Every text of it that an agent could read as more than itself.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let (first, args): (&String, &[String]) = match self {
            Self::Command { command, args, .. } => (command, args),
            Self::Http { url, .. } => (url, &[]),
        };
        std::iter::once(first).chain(args).chain(self.secrets().values()).map(String::as_str)
    }
}

/// Variables and headers are secrets as often as not: only their names are shown.
impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.secrets().keys().collect();
        match self {
            Self::Command { command, args, .. } => f
                .debug_struct("Command")
                .field("command", command)
                .field("args", args)
                .field("env", &names)
                .finish(),
            Self::Http { url, .. } => {
                f.debug_struct("Http").field("url", url).field("headers", &names).finish()
            }
        }
    }
}

/// A server as it stands in a file.
#[derive(Default, Serialize, Deserialize)]
struct Entry {
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    args: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

impl From<McpServer> for Entry {
    fn from(server: McpServer) -> Self {
        match server {
            McpServer::Command { command, args, env } => {
                Self { command: Some(command), args, env, ..Self::default() }
            }
            McpServer::Http { url, headers } => {
                Self { kind: Some("http".to_owned()), url: Some(url), headers, ..Self::default() }
            }
        }
    }
}

impl TryFrom<Entry> for McpServer {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let Entry { kind, command, args, env, url, headers } = entry;
        match (kind.as_deref(), command, url) {
            (None | Some("stdio"), Some(command), None) => Ok(Self::Command { command, args, env }),
            (None | Some("http" | "streamable-http" | "streamable_http"), None, Some(url)) => {
                Ok(Self::Http { url, headers })
            }
            (Some("sse"), ..) => Err("the old SSE transport of MCP is spoken by few agents: many \
                such servers have a streamable HTTP address too, often at /mcp"
                .to_owned()),
            _ => {
                Err("a server has either a `command` (type stdio) or a `url` (type http)"
                    .to_owned())
            }
        }
    }
}

/// Tells that a server did not start, and why: the words are the same for all agents.
pub(crate) fn not_started(name: &str, why: &str) -> Event {
    let why = match why.trim() {
        "" | "failed" => "the agent does not say why",
        "needs-auth" | "needs_auth" => "it asks for a login",
        "needs_client_registration" => "it asks for a client that is registered with it",
        why => why,
    };
    Event::notice(Level::Warn, "mcp_server", format!("the MCP server {name} did not start: {why}"))
}

/// The servers of a request, by name.
pub(crate) type Servers = BTreeMap<String, McpServer>;

/// Checks the servers: names become part of tool names, keys and arguments.
///
/// `expands` tells whether the agent would take a text for more than it says.
///
/// # Errors
/// [`Unsupported`] for the first thing that is wrong.
pub(crate) fn check(
    agent: &'static str,
    servers: &Servers,
    expands: fn(&str) -> bool,
) -> Result<(), Unsupported> {
    for (name, server) in servers {
        let hint = if !is_name(name) {
            "a server's name has letters, digits, - and single _, at most 64, and begins with a letter or digit"
        } else if !is_sound(server) {
            "a server has a command, or a URL that begins with http:// or https://; a variable has a name without \
             `=`, a header one of letters, digits and -, and neither a line break in it"
        } else if server.texts().any(expands) {
            "the agent would put something else in the place of a `$`, `{…}` or `!` in the server's values"
        } else {
            continue;
        };
        return Err(Unsupported { agent, option: "mcp_servers", hint: Some(hint) });
    }
    Ok(())
}

/// Two underscores part the server from the tool in the name of a tool.
fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(allowed)
        && !name.contains("__")
        && !name.ends_with('_')
}

/// Names of tools, which hold that of their server, may have as many at the strictest provider.
const NAME_BYTES_MAX: usize = 64;

fn is_sound(server: &McpServer) -> bool {
    let is_text = |text: &str| !text.contains('\0');
    match server {
        McpServer::Command { command, args, env } => {
            let is_var = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
            !command.trim().is_empty()
                && is_text(command)
                && args.iter().all(|arg| is_text(arg))
                && env.iter().all(|(name, value)| is_var(name) && is_text(value))
        }
        McpServer::Http { url, headers } => {
            let is_header = |name: &str| {
                !name.is_empty()
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            };
            let is_value = |value: &str| !value.contains(['\0', '\r', '\n']);
            (url.starts_with("http://") || url.starts_with("https://"))
                && !url.contains(|c: char| c.is_whitespace() || c.is_control())
                && headers.iter().all(|(name, value)| is_header(name) && is_value(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<McpServer, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn the_common_form_is_read_and_written_back() {
        for json in [
            r#"{"command":"npx","args":["-y","x"],"env":{"TOKEN":"t"}}"#,
            r#"{"command":"srv"}"#,
            r#"{"type":"http","url":"https://x/mcp","headers":{"A":"b"}}"#,
        ] {
            assert_eq!(serde_json::to_string(&read(json).unwrap()).unwrap(), json);
        }
        assert_eq!(read(r#"{"url":"http://x"}"#).unwrap(), McpServer::http("http://x"));
    }

    #[test]
    fn a_server_of_no_kind_is_refused_in_words() {
        assert!(read(r#"{"type":"sse","url":"http://x"}"#).unwrap_err().contains("streamable"));
        for json in ["{}", r#"{"command":"a","url":"b"}"#, r#"{"type":"http","command":"a"}"#] {
            assert!(read(json).unwrap_err().contains("either a `command`"), "{json}");
        }
    }

    #[test]
    fn what_is_no_name_or_would_be_read_as_something_else_is_refused() {
        let check = |name: &str, server: McpServer| {
            check("a", &[(name.to_owned(), server)].into(), |text| text.contains("${"))
        };
        let plain = || McpServer::command("srv", ["--x"]);
        for name in ["docs", "my-docs", "a_b", "0"] {
            check(name, plain()).unwrap();
        }
        for name in ["", "a b", "a__b", "a.b", "-x", "_x", "x_", "a\"", &"x".repeat(65)] {
            assert!(check(name, plain()).is_err(), "{name}");
        }
        for server in [
            McpServer::command(" ", [""; 0]),
            McpServer::command("a", ["\0"]),
            plain().env("", "x"),
            plain().env("A=B", "x"),
            plain().env("A", "${HOME}"),
            McpServer::http("ftp://x"),
            McpServer::http("http://x y"),
            McpServer::http("http://x").header("A:", "b"),
            McpServer::http("http://x").header("A", "b\r\nC: d"),
        ] {
            assert!(check("x", server.clone()).is_err(), "{server:?}");
        }
    }
}
