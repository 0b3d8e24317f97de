//! Installing the pinned CLIs with npm.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::{CLAUDE_VERSION, CODEX_VERSION, claude_in, codex_in};

/// Installs the pinned versions into the folder; does nothing when they are there already.
///
/// It takes about 750 MB and needs the npm registry.
pub fn install(dir: &Path) -> io::Result<()> {
    if is_installed(dir) {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--prefix"]).arg(dir);
    // Exact versions: without one, npm on an old Node picks a Claude that is 132 releases behind.
    npm.arg(format!("@anthropic-ai/claude-code@{CLAUDE_VERSION}"));
    npm.arg(format!("@openai/codex@{CODEX_VERSION}"));
    let status = npm
        .current_dir(dir)
        .status()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run npm: {error}")))?;
    if !status.success() {
        return Err(io::Error::other(format!("npm install in {} failed: {status}", dir.display())));
    }
    if !is_installed(dir) {
        let why = format!(
            "npm installed into {}, but claude {CLAUDE_VERSION} and codex {CODEX_VERSION} do not \
             run from there",
            dir.display()
        );
        return Err(io::Error::other(why));
    }
    Ok(())
}

fn is_installed(dir: &Path) -> bool {
    claude_in(dir).is_some_and(|agent| agent.version == CLAUDE_VERSION)
        && codex_in(dir).is_some_and(|agent| agent.version == CODEX_VERSION)
}
