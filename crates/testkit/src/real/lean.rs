//! Gemini CLI, Qwen Code, GitHub Copilot and the adapters through which Claude Code, Codex and Pi speak ACP: installed without the optional native parts that
//! nothing here needs (key rings, audio, image libraries, second copies of the agents), in a folder of their own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{COPILOT_VERSION, GEMINI_VERSION, QWEN_VERSION, RealAgent, node};

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lean {
    /// What it is called by.
    pub(super) name: &'static str,
    /// The version that the tests are written for.
    pub(super) version: &'static str,
    package: fn() -> String,
    /// What the package holds: a script for Node, or a native program.
    entry: Entry,
}

#[derive(Debug, Clone, Copy)]
enum Entry {
    Script(&'static str),
    Program(&'static str),
}

pub(super) const GEMINI: Lean = Lean {
    name: "gemini",
    version: GEMINI_VERSION,
    package: || "@google/gemini-cli".to_owned(),
    entry: Entry::Script("bundle/gemini.js"),
};

pub(super) const QWEN: Lean = Lean {
    name: "qwen",
    version: QWEN_VERSION,
    package: || "@qwen-code/qwen-code".to_owned(),
    entry: Entry::Script("cli-entry.js"),
};

/// The native program: npm's loader would survive it, and it the loader.
pub(super) const COPILOT: Lean = Lean {
    name: "copilot",
    version: COPILOT_VERSION,
    package: || format!("@github/copilot-{}", node::platform()),
    entry: Entry::Program("copilot"),
};

pub(super) const CLAUDE_AGENT_ACP: Lean = Lean {
    name: "claude-agent-acp",
    version: "0.100.0",
    package: || "@agentclientprotocol/claude-agent-acp".to_owned(),
    entry: Entry::Script("dist/index.js"),
};

pub(super) const CODEX_ACP: Lean = Lean {
    name: "codex-acp",
    version: "2.6.0",
    package: || "@agentclientprotocol/codex-acp".to_owned(),
    entry: Entry::Script("dist/index.js"),
};

pub(super) const PI_ACP: Lean = Lean {
    name: "pi-acp",
    version: "0.0.34",
    package: || "pi-acp".to_owned(),
    entry: Entry::Script("dist/index.js"),
};

/// The terminals that Qwen names.
const TERMINAL_VERSION: &str = "1.2.0-beta.10";

pub(super) const ALL: [Lean; 6] = [GEMINI, QWEN, COPILOT, CLAUDE_AGENT_ACP, CODEX_ACP, PI_ACP];

impl Lean {
    /// The installed one, of whatever version it is.
    ///
    /// The version is that of the package: each of them needs a second or more to say its own.
    pub(super) fn find(self, dir: &Path) -> Option<RealAgent> {
        let package = self.folder(dir);
        let text = fs::read_to_string(package.join("package.json")).ok()?;
        let description: Value = serde_json::from_str(&text).ok()?;
        let program = match self.entry {
            Entry::Script(_) => self.launcher(dir),
            Entry::Program(name) => package.join(name),
        };
        let program = fs::canonicalize(program).ok()?;
        Some(RealAgent { program, version: description["version"].as_str()?.to_owned() })
    }

    fn folder(self, dir: &Path) -> PathBuf {
        prefix(dir).join("node_modules").join((self.package)())
    }

    /// In a folder of its own, so that it can be put on a PATH.
    fn launcher(self, dir: &Path) -> PathBuf {
        dir.join("bin").join(self.name)
    }
}

/// Installs the pinned versions of all of them; it takes about 500 MB.
pub(super) fn install(dir: &Path) -> io::Result<()> {
    let prefix = prefix(dir);
    fs::create_dir_all(&prefix)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--no-save"]);
    // No script of theirs does more than to look for the optional parts.
    npm.args(["--omit=optional", "--ignore-scripts", "--prefix"]).arg(&prefix);
    npm.args(ALL.map(|agent| format!("{}@{}", (agent.package)(), agent.version)));
    // The one optional part that is needed: without terminals, Qwen loses the output of a short command.
    let terminal = |name: &str| format!("@lydell/node-pty{name}@{TERMINAL_VERSION}");
    npm.args([terminal(""), terminal(&format!("-{}", node::platform()))]);
    node::run(npm, "npm install")?;
    for agent in ALL {
        if let Entry::Script(script) = agent.entry {
            let script = agent.folder(dir).join(script);
            node::write_launcher(dir, &agent.launcher(dir), &script)?;
        }
    }
    unpack_copilot(dir)
}

/// Where Copilot keeps what it has unpacked of itself.
pub(super) fn copilot_cache(dir: &Path) -> PathBuf {
    prefix(dir).join("copilot-cache")
}

/// Lets Copilot unpack itself once, before many start at the same time.
fn unpack_copilot(dir: &Path) -> io::Result<()> {
    let home = tempfile::tempdir()?;
    let mut copilot = Command::new(COPILOT.folder(dir).join("copilot"));
    copilot.arg("--version").env_clear().env("HOME", home.path()).current_dir(home.path());
    copilot.env("XDG_CACHE_HOME", copilot_cache(dir)).env("COPILOT_OFFLINE", "true");
    node::run(copilot, "copilot --version")
}

fn prefix(dir: &Path) -> PathBuf {
    dir.join("lean")
}
