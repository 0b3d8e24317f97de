//! Installing the pinned CLIs with npm.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::{
    CLAUDE_VERSION, CODEX_VERSION, OPENCODE_VERSION, PI_VERSION, RealAgent, claude_in, codex_in,
    lean, node, opencode_in, pi,
};

/// Installs the pinned versions into the folder; does nothing when they are there already.
///
/// It takes about 2 GB and needs the npm registry.
pub fn install(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let missing = missing(dir);
    if missing.is_empty() {
        return Ok(());
    }
    if missing.iter().any(|name| !is_lean(name)) {
        install_packages(dir)?;
    }
    if missing.contains(&"pi") {
        pi::install(dir)?;
    }
    if missing.iter().any(|name| is_lean(name)) {
        lean::install(dir)?;
    }
    let missing = self::missing(dir);
    if missing.is_empty() {
        return Ok(());
    }
    let (dir, missing) = (dir.display(), missing.join(" and "));
    let why = format!("npm installed into {dir}, but the pinned {missing} do not run from there");
    Err(io::Error::other(why))
}

/// Installs what npm can install, all at once: it removes what an earlier call put there and this
/// one does not name.
fn install_packages(dir: &Path) -> io::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--prefix"]).arg(dir);
    // Exact versions: without one, npm on an old Node picks a Claude that is 132 releases behind.
    npm.arg(format!("@anthropic-ai/claude-code@{CLAUDE_VERSION}"));
    npm.arg(format!("@openai/codex@{CODEX_VERSION}"));
    npm.arg(format!("opencode-ai@{OPENCODE_VERSION}"));
    npm.args(node::package());
    npm.args(pi::PACKAGES.map(|(name, version)| format!("{name}@{version}")));
    let status = npm
        .current_dir(dir)
        .status()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run npm: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("npm install in {} failed: {status}", dir.display())))
}

/// The agents whose pinned version does not run from the folder.
fn missing(dir: &Path) -> Vec<&'static str> {
    let found: [(_, Option<RealAgent>, _); 4] = [
        ("claude", claude_in(dir), CLAUDE_VERSION),
        ("codex", codex_in(dir), CODEX_VERSION),
        ("opencode", opencode_in(dir), OPENCODE_VERSION),
        ("pi", pi::find(dir).filter(|_| pi::has_packages(dir)), PI_VERSION),
    ];
    let lean = lean::ALL.map(|agent| (agent.name, agent.find(dir), agent.version));
    let missing = found
        .into_iter()
        .chain(lean)
        .filter(|(_, agent, version)| agent.as_ref().is_none_or(|agent| agent.version != *version));
    missing.map(|(name, ..)| name).collect()
}

fn is_lean(name: &str) -> bool {
    lean::ALL.iter().any(|agent| agent.name == name)
}
