//! Which session, and which folder: names that two runs share if they use the same one.

use crate::Client;
use crate::breaker::{hash, home};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Where an agent keeps its sessions, as its environment names it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// What takes the place of the home where that is not known.
    agent: String,
    home: Option<PathBuf>,
    /// What stands before the agent's own command line: in a container there is another home.
    before: Vec<OsString>,
}

/// The same as names of files: made once, with a look at the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// The place of each candidate of the run.
    pub(super) places: Vec<String>,
    /// The working directory, without links.
    pub(super) folder: String,
    /// The work tree of git that it belongs to.
    pub(super) tree: Option<String>,
}

impl Place {
    /// The place of the agent whose turn it is.
    pub(super) fn of(client: &Client) -> Self {
        let account = client.agent.account(None);
        let mut agent = client.agent.name().to_owned();
        let home = home(&account, &client.env);
        if home.is_none() {
            // The command of an agent that belay knows nothing of, and the user's own home.
            agent.push_str(&account.part.unwrap_or_default());
            agent.push_str(&client.env.get("HOME").unwrap_or_default().to_string_lossy());
        }
        Self { agent, home, before: client.leading_args.clone() }
    }

    fn name(&self) -> String {
        let home = self.home.as_deref().map(real);
        let mut parts = vec![match &home {
            // An agent over ACP has the sessions of the agent itself.
            Some(home) => home.as_os_str().as_bytes(),
            None => self.agent.as_bytes(),
        }];
        parts.extend(self.before.iter().map(|word| word.as_bytes()));
        hash(parts)
    }
}

impl Names {
    /// Looks where the places and the folder really are.
    pub(super) fn look(places: &[Place], cwd: &Path) -> Self {
        let folder = real(cwd);
        let tree = work_tree(&folder);
        Self {
            places: places.iter().map(Place::name).collect(),
            folder: folder.to_string_lossy().into_owned(),
            tree: tree.map(|tree| tree.to_string_lossy().into_owned()),
        }
    }

    /// The name of a session of the agent at this place.
    pub(super) fn session(place: &str, id: &str) -> String {
        // However its letters are written.
        let id = Uuid::parse_str(id).map_or_else(|_| id.to_owned(), |id| id.to_string());
        hash([b"session", place.as_bytes(), id.as_bytes()])
    }

    /// The name of what the latest session of the folder is.
    pub(super) fn latest(&self, place: &str) -> String {
        hash([b"latest", place.as_bytes(), self.folder.as_bytes()])
    }

    /// True if what is done in one folder may change files of the other.
    pub(super) fn overlaps(&self, folder: &str, tree: Option<&str>) -> bool {
        let (ours, theirs) = (Path::new(&self.folder), Path::new(folder));
        ours.starts_with(theirs)
            || theirs.starts_with(ours)
            || (tree.is_some() && self.tree.as_deref() == tree)
    }
}

/// The path without links, or as it is if it cannot be followed.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The work tree of git above a folder. An empty `.git` makes none.
fn work_tree(folder: &Path) -> Option<PathBuf> {
    let is_tree = |above: &&Path| {
        let git = above.join(".git");
        git.is_file() || git.join("HEAD").is_file()
    };
    folder.ancestors().find(is_tree).map(Path::to_owned)
}
