//! Pi: where it lies, and how it gets there without `npm install`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::node::{self, first_line, run};
use super::{RealAgent, agent};

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

/// Installs the pinned Pi: the package is fetched and unpacked, and its launcher written last.
///
/// `npm install` cannot do it: two packages that 1.5.2 names are not in the registry. Its bundle
/// needs neither of them, and of the others only [`PACKAGES`].
pub(super) fn install(dir: &Path, version: &str) -> io::Result<()> {
    let (home, unpacked) = (dir.join(format!("pi-{version}")), dir.join("pi-unpacked"));
    for old in [&home, &unpacked] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    fs::create_dir_all(&unpacked)?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", "--pack-destination"]).arg(&unpacked);
    pack.arg(format!("@earendil-works/pi-coding-agent@{version}")).current_dir(&unpacked);
    let archive = first_line(pack, "npm pack")?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).current_dir(&unpacked);
    run(tar, "tar")?;
    fs::remove_file(unpacked.join(&archive))?;
    fs::rename(&unpacked, &home)?;
    node::write_launcher(dir, &launcher(dir), &home.join("package/dist/bundle/cli.js"))
}

/// In a folder of its own, so that it can be put on a PATH.
fn launcher(dir: &Path) -> PathBuf {
    dir.join("bin/pi")
}
