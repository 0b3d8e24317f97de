//! What a registry has of an agent, and how its program is found in what was installed.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::node;
use crate::python;

/// A package of npm's or of Python's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Package {
    /// A native program.
    Native { name: String, program: &'static str },
    /// A script for Node.
    Script { name: &'static str, script: &'static str, program: &'static str },
    /// A program of Python 3, with the oldest minor version that it runs on.
    Python { name: &'static str, program: &'static str, at_least: u32 },
}

impl Package {
    pub(super) fn program(&self, folder: &Path) -> PathBuf {
        match self {
            Self::Native { name, program } => {
                folder.join("node_modules").join(name).join("bin").join(program)
            }
            Self::Script { program, .. } | Self::Python { program, .. } => {
                folder.join("bin").join(program)
            }
        }
    }

    /// Installs it into this folder; `agents` is where Node is, if the machine's own is too old.
    pub(super) fn install(&self, agents: &Path, folder: &Path, version: &str) -> io::Result<()> {
        match self {
            Self::Native { name, .. } => npm(folder, &format!("{name}@{version}")),
            Self::Script { name, script, .. } => {
                npm(folder, &format!("{name}@{version}"))?;
                let script = folder.join("node_modules").join(name).join(script);
                node::write_launcher(agents, &self.program(folder), &script)
            }
            Self::Python { name, at_least, .. } => {
                let python = python::at_least(*at_least).ok_or_else(|| {
                    io::Error::other(format!("there is no Python 3.{at_least} or later"))
                })?;
                python::make(&python, folder, &format!("{name}=={version}"))
            }
        }
    }
}

fn npm(folder: &Path, package: &str) -> io::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--prefix"]);
    npm.args([folder.as_os_str(), OsStr::new(package)]);
    node::run(npm, "npm install")
}
