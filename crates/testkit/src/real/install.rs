//! Installing the pinned CLIs with npm.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::{
    CLAUDE_VERSION, CODEX_VERSION, OPENCODE_VERSION, PI_VERSION, RealAgent, claude_in, codex_in,
    lean, newest, node, opencode_in, pi,
};

/// The versions of the agents that two folders have different ones of.
#[derive(Debug, Clone, Copy)]
pub struct Pins {
    /// Claude Code.
    pub claude: &'static str,
    /// Codex.
    pub codex: &'static str,
    /// OpenCode.
    pub opencode: &'static str,
    /// Pi.
    pub pi: &'static str,
}

impl Pins {
    /// Those that the tests are written for.
    pub(super) const TESTS: Self = Self {
        claude: CLAUDE_VERSION,
        codex: CODEX_VERSION,
        opencode: OPENCODE_VERSION,
        pi: PI_VERSION,
    };

    /// Those of this folder.
    pub fn of(dir: &Path) -> Self {
        if newest::is_newest(dir) { newest::PINS } else { Self::TESTS }
    }
}

/// Installs the pinned versions into the folder; does nothing when they are there already.
///
/// It takes about 2 GB and needs the npm registry.
pub fn install(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let (pins, missing) = (Pins::of(dir), missing(dir));
    if missing.is_empty() {
        return Ok(());
    }
    if newest::is_newest(dir) {
        install_packages(dir, &newer_packages(pins))?;
        pi::install(dir, pins.pi)?;
        newest::link_the_rest(dir)?;
        return has_all(dir);
    }
    if missing.iter().any(|name| !is_lean(name)) {
        install_packages(dir, &packages(pins))?;
    }
    if missing.contains(&"pi") {
        pi::install(dir, pins.pi)?;
    }
    if missing.iter().any(|name| is_lean(name)) {
        lean::install(dir)?;
    }
    has_all(dir)
}

fn has_all(dir: &Path) -> io::Result<()> {
    let missing = missing(dir);
    if missing.is_empty() {
        return Ok(());
    }
    let (dir, missing) = (dir.display(), missing.join(" and "));
    let why = format!("npm installed into {dir}, but the pinned {missing} do not run from there");
    Err(io::Error::other(why))
}

/// Installs what npm can install, all at once: it removes what an earlier call put there and this
/// one does not name.
fn install_packages(dir: &Path, packages: &[String]) -> io::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--prefix"]).arg(dir);
    npm.args(packages);
    let status = npm
        .current_dir(dir)
        .status()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run npm: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("npm install in {} failed: {status}", dir.display())))
}

fn packages(pins: Pins) -> Vec<String> {
    let mut packages = newer_packages(pins);
    packages.push(format!("opencode-ai@{}", pins.opencode));
    packages.extend(node::package());
    packages.extend(pi::PACKAGES.map(|(name, version)| format!("{name}@{version}")));
    packages
}

/// Exact versions: without one, npm on an old Node picks a Claude that is 132 releases behind.
fn newer_packages(pins: Pins) -> Vec<String> {
    vec![
        format!("@anthropic-ai/claude-code@{}", pins.claude),
        format!("@openai/codex@{}", pins.codex),
    ]
}

/// The agents whose pinned version does not run from the folder.
fn missing(dir: &Path) -> Vec<&'static str> {
    let pins = Pins::of(dir);
    let found: [(_, Option<RealAgent>, _); 4] = [
        ("claude", claude_in(dir), pins.claude),
        ("codex", codex_in(dir), pins.codex),
        ("opencode", opencode_in(dir), pins.opencode),
        ("pi", pi::find(dir).filter(|_| pi::has_packages(dir)), pins.pi),
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
