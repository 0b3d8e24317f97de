//! The real agent CLIs: where they are, how they are installed, and a home to run them in.

mod again;
mod everyone;
mod install;
mod lean;
mod newest;
mod node;
mod pi;
mod presets;
mod sandbox;
mod skip;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use again::again_if_it_fails;
pub use everyone::{EVERYONE, Everyone};
pub use install::{Pins, install};
pub use newest::{install_newest, newest_dir};
pub use presets::PresetAgent;
pub use sandbox::{CodexPolicy, Sandbox};
pub use skip::{skip_unless_installed, skipped};

/// The version of Claude Code that the tests are written for.
pub const CLAUDE_VERSION: &str = "2.1.329";

/// The version of Codex that the tests are written for.
pub const CODEX_VERSION: &str = "0.169.0";

/// The version of OpenCode that the tests are written for.
pub const OPENCODE_VERSION: &str = "1.18.33";

/// The version of Pi that the tests are written for.
pub const PI_VERSION: &str = "1.5.2";

/// The version of Gemini CLI that the tests are written for.
pub const GEMINI_VERSION: &str = "0.61.0";

/// The version of Qwen Code that the tests are written for.
pub const QWEN_VERSION: &str = "0.24.4";

/// The version of GitHub Copilot that the tests are written for.
pub const COPILOT_VERSION: &str = "1.0.102";

/// An installed agent CLI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealAgent {
    /// The native binary, not npm's wrapper, which would survive a kill of its child or die alone;
    /// for those in JavaScript, which have none, a launcher that becomes their process.
    pub program: PathBuf,
    /// What it answers to `--version`, the number only.
    pub version: String,
}

/// The folder that the CLIs are installed in: `BELAY_AGENTS_DIR`, else `target/agents`.
pub fn dir() -> PathBuf {
    match std::env::var_os("BELAY_AGENTS_DIR") {
        Some(dir) => dir.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/agents"),
    }
}

/// The installed Claude Code, of whatever version it is; `None` when there is none that runs.
pub fn claude() -> Option<RealAgent> {
    claude_in(&dir())
}

/// The installed Codex, of whatever version it is; `None` when there is none that runs.
pub fn codex() -> Option<RealAgent> {
    codex_in(&dir())
}

/// The installed OpenCode, of whatever version it is; `None` when there is none that runs.
pub fn opencode() -> Option<RealAgent> {
    opencode_in(&dir())
}

/// The installed Pi, of whatever version it is; `None` when there is none that runs.
///
/// Its program is called `pi` and lies in a folder of its own, which can be put on a PATH.
pub fn pi() -> Option<RealAgent> {
    pi::find(&dir())
}

/// The installed Gemini CLI, of whatever version it is; `None` when there is none.
pub fn gemini() -> Option<RealAgent> {
    lean::GEMINI.find(&dir())
}

/// The installed Qwen Code, of whatever version it is; `None` when there is none.
pub fn qwen() -> Option<RealAgent> {
    lean::QWEN.find(&dir())
}

/// The installed GitHub Copilot, of whatever version it is; `None` when there is none.
pub fn copilot() -> Option<RealAgent> {
    lean::COPILOT.find(&dir())
}

/// The installed adapter through which Claude Code speaks ACP; `CLAUDE_CODE_EXECUTABLE` names the one that it starts.
pub fn claude_agent_acp() -> Option<RealAgent> {
    lean::CLAUDE_AGENT_ACP.find(&dir())
}

/// The installed adapter through which Codex speaks ACP; `CODEX_PATH` names the one that it starts.
pub fn codex_acp() -> Option<RealAgent> {
    lean::CODEX_ACP.find(&dir())
}

/// The installed adapter through which Pi speaks ACP; `PI_ACP_PI_COMMAND` names the one that it starts.
pub fn pi_acp() -> Option<RealAgent> {
    lean::PI_ACP.find(&dir())
}

fn claude_in(dir: &Path) -> Option<RealAgent> {
    let scope = dir.join("node_modules/@anthropic-ai");
    // The same name on every system. The package's install script puts the native binary there;
    // where npm was told to run no scripts, only the platform's own package has it.
    let placed = agent(scope.join("claude-code/bin/claude.exe"));
    let name = format!("claude{}", std::env::consts::EXE_SUFFIX);
    placed.or_else(|| entries(&scope).into_iter().find_map(|package| agent(package.join(&name))))
}

fn codex_in(dir: &Path) -> Option<RealAgent> {
    // node_modules/@openai/codex-{platform}/vendor/{target triple}/bin/codex
    let packages = entries(&dir.join("node_modules/@openai")).into_iter();
    let vendors = packages.map(|package| package.join("vendor"));
    let mut triples = vendors.flat_map(|vendor| entries(&vendor));
    let name = format!("bin/codex{}", std::env::consts::EXE_SUFFIX);
    triples.find_map(|triple| agent(triple.join(&name)))
}

fn opencode_in(dir: &Path) -> Option<RealAgent> {
    let modules = dir.join("node_modules");
    // The same name on every system. The package's install script moves the native binary there,
    // out of the platform's own package, which is where it is when npm was told to run no scripts.
    let placed = agent(modules.join("opencode-ai/bin/opencode.exe"));
    // The plain binary before the one for old processors: it is the faster one, where it runs.
    let mut packages = entries(&modules);
    packages.sort();
    packages.retain(|package| package.file_name().is_some_and(is_opencode_platform));
    let name = format!("bin/opencode{}", std::env::consts::EXE_SUFFIX);
    placed.or_else(|| packages.into_iter().find_map(|package| agent(package.join(&name))))
}

fn is_opencode_platform(package: &OsStr) -> bool {
    let name = package.to_string_lossy();
    name.starts_with("opencode-") && name != "opencode-ai"
}

/// The agent at this path, if it answers.
fn agent(program: PathBuf) -> Option<RealAgent> {
    let program = fs::canonicalize(program).ok()?;
    let version = version_of(&program).ok()?;
    Some(RealAgent { program, version })
}

fn version_of(program: &Path) -> io::Result<String> {
    // A home of its own even for this: some CLIs write to it before they print a word.
    let home = tempfile::tempdir()?;
    let mut command = Command::new(program);
    command.arg("--version").env_clear().env("HOME", home.path()).current_dir(home.path());
    let output = command.stdin(Stdio::null()).output()?;
    // "2.1.329 (Claude Code)", "codex-cli 0.169.0", and the number alone.
    let text = String::from_utf8_lossy(&output.stdout);
    let number =
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    number.map(str::to_owned).ok_or_else(|| io::Error::other("it prints no version"))
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
