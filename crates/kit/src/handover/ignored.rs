//! Which files git ignores, by rules that are read and applied in this process.

use super::repository::{Repository, config_value, small_text};
use super::stat::{Stat, open_file, read_file};
use crate::Environment;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::ffi::{CStr, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How large a file of rules may be, and how many rules of it are kept: people write a hundred.
const BYTES_MAX: u64 = 256 << 10;
const RULES_MAX: usize = 2000;

/// The rules of one file, before those of the folders above it.
#[derive(Debug)]
pub(super) struct Rules {
    own: Gitignore,
    above: Option<Arc<Self>>,
}

impl Rules {
    /// The rules that hold in a whole repository: the user's, and its own that are not committed. `top` is the path
    /// of the repository's top below the root of the walk.
    pub(super) fn of(repository: &Repository, top: &[u8], env: &Environment) -> Arc<Self> {
        let user = match repository.excludes.clone().or_else(|| user_excludes(env)) {
            Some(path) => small_text(&home_expanded(path, env)),
            None => String::new(),
        };
        let user = Self::new(top, &user, None);
        let exclude = small_text(&repository.common.join("info/exclude"));
        Self::new(top, &exclude, Some(user))
    }

    /// The rules of a folder, with those of its own `.gitignore`.
    pub(super) fn with_file(
        self: &Arc<Self>,
        folder: impl AsFd,
        name: &CStr,
        path: &[u8],
    ) -> Arc<Self> {
        let read = Stat::at(&folder, name)
            .and_then(|stat| open_file(&folder, name, stat.kind))
            .and_then(|file| read_file(&file, BYTES_MAX));
        match read {
            Ok((bytes, _)) => {
                Self::new(path, &String::from_utf8_lossy(&bytes), Some(Arc::clone(self)))
            }
            Err(_) => Arc::clone(self),
        }
    }

    fn new(folder: &[u8], text: &str, above: Option<Arc<Self>>) -> Arc<Self> {
        let mut builder = GitignoreBuilder::new(rooted(folder));
        for line in text.trim_start_matches('\u{feff}').lines().take(RULES_MAX) {
            // A rule that cannot be read ignores nothing, as with git.
            let _ = builder.add_line(None, line);
        }
        let own = builder.build().unwrap_or_else(|_| Gitignore::empty());
        Arc::new(Self { own, above })
    }

    /// Whether the rules ignore a path: the last file that has a word on it decides.
    pub(super) fn ignore(&self, path: &[u8], is_folder: bool) -> bool {
        let path = rooted(path);
        let mut rules = Some(self);
        while let Some(Self { own, above }) = rules {
            match own.matched(&path, is_folder) {
                Match::None => rules = above.as_deref(),
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        false
    }
}

/// The path below the root of the walk as one that begins there, which is what the rules are matched with.
fn rooted(path: &[u8]) -> PathBuf {
    Path::new("/").join(OsStr::from_bytes(path))
}

/// The file of rules that the user has for all repositories.
fn user_excludes(env: &Environment) -> Option<PathBuf> {
    let home = env.get("HOME").map(PathBuf::from);
    let config = env.get("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let config = config.or_else(|| Some(home.as_ref()?.join(".config")));
    let files = [
        home.map(|home| home.join(".gitconfig")),
        config.as_ref().map(|dir| dir.join("git/config")),
    ];
    let mut named = files.into_iter().flatten().filter_map(|file| {
        config_value(&small_text(&file), "core", "excludesfile").map(PathBuf::from)
    });
    named.next().or_else(|| Some(config?.join("git/ignore")))
}

fn home_expanded(path: PathBuf, env: &Environment) -> PathBuf {
    match (path.strip_prefix("~"), env.get("HOME")) {
        (Ok(below), Some(home)) => Path::new(home).join(below),
        _ => path,
    }
}
