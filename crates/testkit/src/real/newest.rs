//! The newest versions of the agents that change weekly, beside the pinned ones: a folder that can be
//! named by `BELAY_AGENTS_DIR`, in which every other agent is a link to the pinned one.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::install::{self, Pins};

/// The newest ones that the npm registry has and the tests have run.
pub(super) const PINS: Pins =
    Pins { claude: "2.1.332", codex: "0.171.0", pi: "1.6.0", ..Pins::TESTS };

/// Its name within the folder of the pinned ones.
const FOLDER: &str = "newest";

/// Where they are, beside the pinned ones in this folder.
pub fn newest_dir(pinned: &Path) -> PathBuf {
    pinned.join(FOLDER)
}

pub(super) fn is_newest(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name == FOLDER)
}

/// The folder of the pinned ones, whether this is it or that of the newest ones in it.
pub(super) fn pinned_dir(dir: &Path) -> &Path {
    dir.parent().filter(|_| is_newest(dir)).unwrap_or(dir)
}

/// Installs the newest versions beside the pinned ones, which must be there; does nothing when they are there already.
///
/// It takes about 700 MB and needs the npm registry.
pub fn install_newest(pinned: &Path) -> io::Result<()> {
    let dir = newest_dir(pinned);
    fs::create_dir_all(dir.join("bin"))?;
    fs::create_dir_all(dir.join("node_modules"))?;
    install::install(&dir)
}

/// Links what is not newer: the folders of packages and the launchers that the newest ones do not have themselves.
pub(super) fn link_the_rest(dir: &Path) -> io::Result<()> {
    let pinned =
        dir.parent().ok_or_else(|| io::Error::other("the newest agents lie beside no others"))?;
    link(&pinned.join("lean"), &dir.join("lean"))?;
    for folder in ["node_modules", "bin"] {
        for entry in fs::read_dir(pinned.join(folder))? {
            let entry = entry?;
            link(&entry.path(), &dir.join(folder).join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    match symlink(fs::canonicalize(from)?, to) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
