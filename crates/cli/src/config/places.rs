//! Where the files are.

use std::env;
use std::path::{Path, PathBuf};

/// The file's name.
const FILE: &str = "config.toml";

/// What the search for files depends on.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The user's file, if there is a home.
    pub(crate) user: Option<PathBuf>,
    pub(crate) home: Option<PathBuf>,
    /// Where a project's file would be, nearest first.
    pub(crate) project: Vec<PathBuf>,
}

impl Places {
    /// The files for a run in `folder`, or else where we are.
    pub(crate) fn of(folder: Option<&Path>) -> Self {
        let absolute =
            |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let configs =
            absolute("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        Self {
            user: configs.map(|folder| folder.join("belay").join(FILE)),
            home,
            project: project_folders(folder).iter().map(|folder| project_file(folder)).collect(),
        }
    }

    /// Where a new file of the project belongs: at its root.
    pub(crate) fn new_project_file(&self) -> Option<&Path> {
        self.project.last().map(PathBuf::as_path)
    }
}

/// The file of a project.
fn project_file(folder: &Path) -> PathBuf {
    folder.join(".belay").join(FILE)
}

/// The folders in which a project's file may be: from here up to the root of the git repository. Without a
/// repository it is this folder alone: what lies above it may be anybody's. An empty `.git` is none: Codex's sandbox
/// leaves such folders in `/tmp`.
fn project_folders(folder: Option<&Path>) -> Vec<PathBuf> {
    let Some(folder) = folder.map(Path::to_owned).or_else(|| env::current_dir().ok()) else {
        return Vec::new();
    };
    let folder = folder.canonicalize().or_else(|_| std::path::absolute(&folder)).unwrap_or(folder);
    let root = folder.ancestors().position(|folder| is_repository(&folder.join(".git")));
    folder.ancestors().take(root.unwrap_or(0) + 1).map(Path::to_owned).collect()
}

/// True for git's own folder, and for the file that a worktree has in its place.
fn is_repository(git: &Path) -> bool {
    git.symlink_metadata().is_ok_and(|data| !data.is_dir() || git.join("HEAD").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_project_ends_at_the_root_of_its_repository() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let below = root.join("repo/a/b");
        fs::create_dir_all(&below).unwrap();
        fs::create_dir(root.join(".git")).unwrap();
        assert_eq!(project_folders(Some(&below)), vec![below.clone()], "an empty .git");
        // A worktree has a file there.
        fs::write(root.join("repo/.git"), "gitdir: elsewhere").unwrap();
        let want = [below.clone(), root.join("repo/a"), root.join("repo")];
        assert_eq!(project_folders(Some(&below)), want);
        std::os::unix::fs::symlink(&below, root.join("link")).unwrap();
        assert_eq!(project_folders(Some(&root.join("link"))), want);
        assert_eq!(project_folders(Some(Path::new("/no/such/folder"))).len(), 1);
    }
}
