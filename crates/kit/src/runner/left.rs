//! What an agent has left behind when it is gone, and what of it is the agent's own.

use belay_agents::McpServer;
use belay_trace::LeftProcess;
use belaykit_supervise as supervise;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What the processes of an agent are known by that no tool of its has started.
#[derive(Debug, Default)]
pub(super) struct Helpers {
    /// The agent's program.
    program: PathBuf,
    /// Where its other programs lie; nothing where anybody's lie.
    folder: Option<PathBuf>,
    /// The command lines of its MCP servers.
    servers: Vec<String>,
}

impl Helpers {
    pub(super) fn new(
        program: &Path,
        path: Option<&OsStr>,
        servers: &BTreeMap<String, McpServer>,
    ) -> Self {
        let folder = program.parent().filter(|folder| {
            !path.is_some_and(|path| std::env::split_paths(path).any(|entry| entry == *folder))
        });
        let line = |server: &McpServer| match server {
            McpServer::Command { command, args, .. } => {
                let words = std::iter::once(command).chain(args).map(String::as_str);
                Some(words.collect::<Vec<_>>().join(" "))
            }
            _ => None,
        };
        Self {
            program: program.to_owned(),
            folder: folder.map(Path::to_owned),
            servers: servers.values().filter_map(line).collect(),
        }
    }

    /// What was left behind, as events name it.
    pub(super) fn among(&self, left: Vec<supervise::LeftProcess>) -> Vec<LeftProcess> {
        let process = |process: supervise::LeftProcess| LeftProcess {
            helper: self.has(&process.command),
            pid: process.pid,
            command: process.command,
            killed: process.killed,
        };
        left.into_iter().map(process).collect()
    }

    fn has(&self, command: &str) -> bool {
        // A program, or an interpreter with its script.
        let mut words = command.split(' ').take(2).map(Path::new);
        let is_own = words.any(|word| {
            word == self.program
                || self.folder.as_ref().is_some_and(|folder| word.starts_with(folder))
        });
        is_own || self.servers.iter().any(|server| command.contains(server.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_of_the_agent_and_its_servers_are_helpers_and_what_a_tool_starts_is_not() {
        let servers = [("db".to_owned(), McpServer::command("npx", ["db-mcp", "--ro"]))].into();
        let program = Path::new("/opt/agent/bin/agent");
        let helpers = Helpers::new(program, Some(OsStr::new("/usr/bin:/bin")), &servers);
        for (command, is_helper) in [
            ("/opt/agent/bin/agent --worker", true),
            ("node /opt/agent/bin/worker.js", true),
            ("sh /usr/bin/npx db-mcp --ro", true),
            ("sleep 600", false),
            ("sh -c cat /opt/agent/bin/agent", false),
            ("npx db-mcp", false),
        ] {
            assert_eq!(helpers.has(command), is_helper, "{command}");
        }
        // Beside everybody's programs nothing is told by its folder.
        let helpers =
            Helpers::new(Path::new("/usr/bin/agent"), Some(OsStr::new("/usr/bin")), &[].into());
        assert!(helpers.has("/usr/bin/agent x") && !helpers.has("/usr/bin/sleep 600"));
    }
}
