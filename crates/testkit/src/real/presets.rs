//! The agents that belay knows from runs over ACP alone: how each is installed, in a folder of its own.

mod homes;
mod package;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use package::Package;

use super::{newest, node};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresetAgent {
    /// Kilo.
    Kilo,
    /// Cline.
    Cline,
    /// Factory's Droid.
    Droid,
    /// Nanocoder.
    Nanocoder,
    /// Mistral Vibe.
    Vibe,
    /// Hermes.
    Hermes,
    /// fast-agent.
    FastAgent,
    /// OpenHands.
    OpenHands,
}

impl PresetAgent {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Kilo,
        Self::Cline,
        Self::Droid,
        Self::Nanocoder,
        Self::Vibe,
        Self::Hermes,
        Self::FastAgent,
        Self::OpenHands,
    ];

    /// Those that every run of the tests has: one native program each, 12 s and 380 MB together.
    pub const FEW: [Self; 2] = [Self::Kilo, Self::Cline];

    /// What it is called by, and its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kilo => "kilo",
            Self::Cline => "cline",
            Self::Droid => "droid",
            Self::Nanocoder => "nanocoder",
            Self::Vibe => "vibe",
            Self::Hermes => "hermes",
            Self::FastAgent => "fast_agent",
            Self::OpenHands => "openhands",
        }
    }

    /// The version that the tests are written for.
    pub fn version(self) -> &'static str {
        match self {
            Self::Kilo => "7.7.9",
            Self::Cline => "3.0.65",
            Self::Droid => "0.215.0",
            Self::Nanocoder => "1.30.0",
            Self::Vibe => "3.0.2",
            Self::Hermes => "0.19.0",
            Self::FastAgent => "0.10.48",
            Self::OpenHands => "1.16.0",
        }
    }

    /// The command that speaks ACP; `None` when this version is not installed.
    pub fn command(self) -> Option<String> {
        let folder = self.folder(&super::dir());
        let installed = fs::read_to_string(folder.join(INSTALLED)).ok()?;
        let program = (installed == self.version()).then(|| self.package().program(&folder))?;
        let args = match self {
            Self::Kilo | Self::Hermes | Self::OpenHands => " acp",
            Self::Cline | Self::Nanocoder => " --acp",
            Self::Droid => " exec --output-format acp",
            Self::Vibe => "",
            // It takes its model from nowhere else, and offers no shell unless it is asked to.
            Self::FastAgent => " -x --model generic.mock-model",
        };
        Some(format!("{}{args}", program.display()))
    }

    /// Installs it, unless it is there already.
    ///
    /// # Errors
    ///
    /// Why it cannot be installed here: no network, or no Python that it runs on.
    pub fn install(self) -> io::Result<()> {
        if self.command().is_some() {
            return Ok(());
        }
        let dir = super::dir();
        let (agents, folder) = (newest::pinned_dir(&dir), self.folder(&dir));
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&folder)?,
        }
        self.package().install(agents, &folder, self.version())?;
        fs::write(folder.join(INSTALLED), self.version())
    }

    fn folder(self, dir: &Path) -> PathBuf {
        newest::pinned_dir(dir).join("acp").join(self.name())
    }

    fn package(self) -> Package {
        // The platform's own package is the program alone; what npm's wrapper adds is the choice among platforms.
        let native = |scope: &str, program| Package::Native {
            name: format!("{scope}/cli-{}", node::platform()),
            program,
        };
        let python = |name, program, at_least| Package::Python { name, program, at_least };
        match self {
            Self::Kilo => native("@kilocode", "kilo"),
            Self::Cline => native("@cline", "cline"),
            Self::Droid => native("@factory", "droid"),
            Self::Nanocoder => Package::Script {
                name: "@nanocollective/nanocoder",
                script: "dist/cli.js",
                program: "nanocoder",
            },
            Self::Vibe => python("mistral-vibe", "vibe-acp", 12),
            Self::Hermes => python("hermes-agent[acp]", "hermes", 12),
            Self::FastAgent => python("fast-agent-mcp", "fast-agent-acp", 13),
            Self::OpenHands => python("openhands", "openhands", 12),
        }
    }
}

/// The file that names the version which was installed to the end.
const INSTALLED: &str = "installed";
