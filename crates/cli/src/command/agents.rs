//! `belay agents`

use crate::config::{Config, Wanted, candidate, own_names};
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::runtime::block_on;
use crate::say::without_secrets;
use crate::terminal;
use belay_trace::visible_line;
use belaykit::{AGENTS, Capabilities, Client, Support, Transport};
use clap::Args;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

/// Show the agents: which are here, where, which version, and what belay can do with them.
#[derive(Debug, Args)]
pub(crate) struct Agents {
    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Show what each agent can honour, natively or through belay.
    #[arg(long)]
    capabilities: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    aliases: &'static [&'static str],
    /// Where its program is, if it was found.
    path: Option<PathBuf>,
    version: Option<String>,
    /// Why it cannot be run.
    problem: Option<String>,
    transports: Vec<TransportRow>,
}

#[derive(Debug, Serialize)]
struct TransportRow {
    transport: Transport,
    capabilities: Capabilities,
}

impl Agents {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let config = Config::load(Wanted::default(), None)?;
        let rows = block_on(rows(&config))?;
        let text = match (self.json, self.capabilities) {
            (true, _) => serde_json::to_string_pretty(&rows).map_err(Fail::local)? + "\n",
            (false, true) => capabilities(&rows),
            (false, false) => table(&rows),
        };
        closed_pipe_is_fine(terminal::stdout().write_all(without_secrets(&text).as_bytes()))?;
        Ok(0)
    }
}

async fn rows(config: &Config) -> Vec<Row> {
    let mut rows = Vec::new();
    let known = AGENTS.iter().map(|entry| (entry.name, entry.aliases, (entry.make)(None)));
    let own = own_names().into_iter().filter_map(|name| {
        let none: &[&str] = &[];
        Some((name, none, candidate(name).ok()?.agent))
    });
    for (name, aliases, agent) in known.chain(own) {
        let transports = agent.transports().iter().map(|transport| TransportRow {
            transport: *transport,
            capabilities: agent.capabilities(*transport),
        });
        let transports = transports.collect();
        let mut client = Client::of(agent).environment(config.environment());
        if let Some(own) = config.agents.get(name) {
            client = own.apply(name, client, true);
        }
        let (path, version, problem) = match client.installed().await {
            Ok(found) => (Some(found.path), found.version, None),
            Err(error) => (None, None, Some(error.failure().message.clone())),
        };
        rows.push(Row { name, aliases, path, version, problem, transports });
    }
    rows
}

fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let transports: Vec<_> = row.transports.iter().map(|row| row.transport.name()).collect();
        let found = match (&row.path, &row.problem) {
            (Some(path), _) => {
                let version = row.version.as_deref().unwrap_or("version unknown");
                format!("{:<26} {}", visible_line(version), visible_line(&path.to_string_lossy()))
            }
            (None, problem) => format!("not found: {}", problem.as_deref().unwrap_or("?")),
        };
        let _ = writeln!(text, "{:<12} {found}", row.name);
        let aliases = row.aliases.join(", ");
        let aliases = if aliases.is_empty() { String::new() } else { format!("also: {aliases}; ") };
        let _ = writeln!(text, "{:<12} {aliases}transports: {}", "", transports.join(", "));
    }
    text
}

fn capabilities(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        for transport in &row.transports {
            let _ = writeln!(text, "{} over {}", row.name, transport.transport);
            for (capability, support) in transport.capabilities.rows() {
                let name = serde_json::to_value(capability).unwrap_or_default();
                let support = match support {
                    Support::Native => "native",
                    Support::Belay => "by belay",
                    Support::Account => "by account",
                    Support::No => "-",
                };
                let _ = writeln!(text, "  {:<22} {support}", name.as_str().unwrap_or_default());
            }
        }
    }
    text
}
