//! Every file of a folder that may be somebody's work, with what git has noted of it.
//!
//! Folders are opened one below the other, so that no link that takes a folder's place leads elsewhere.

use super::ignored::Rules;
use super::index::{Entry, Index};
use super::patience::Patience;
use super::repository::Repository;
use super::stat::{Kind, Stat, find, is_gone, open_file, open_folder, open_root, read_file};
use crate::Environment;
use rustix::fs::{Dir, FileType, readlinkat};
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

/// How many files that git does not track a folder may have: beyond it they cost more to look at than they help.
const FILES_MAX: usize = 50_000;

/// How many repositories in a repository are looked into.
const REPOSITORIES_MAX: usize = 500;

/// How deep folders are looked into: an open file is needed for each.
const DEPTH_MAX: usize = 100;

/// Folders that nobody hands over where git does not say what is ignored: what is built or installed.
const PASSED_OVER: [&str; 5] = ["node_modules", "target", ".venv", "__pycache__", ".belay"];

/// One work tree on the way.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) repository: Repository,
    pub(super) index: Index,
    /// Its top below the root of the walk, with a slash at the end; empty for the root itself.
    pub(super) prefix: Vec<u8>,
    /// Its number among all of the walk.
    pub(super) number: usize,
}

impl Tree {
    /// What git has noted of a path below the root of the walk.
    fn entry(&self, path: &[u8]) -> Option<&Entry> {
        self.index.get(path.strip_prefix(&self.prefix[..])?)
    }

    fn has_folder(&self, path: &[u8]) -> bool {
        path.strip_prefix(&self.prefix[..]).is_some_and(|path| self.index.has_folder(path))
    }
}

/// What a walk has seen besides files.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) trees: Vec<Arc<Tree>>,
    /// Paths, or what else was not looked at.
    pub(super) unseen: Vec<String>,
    /// Whether git ignores something.
    pub(super) has_ignored: bool,
}

/// A file, or whatever has a name and is no folder.
pub(super) struct Found<'a> {
    /// Below the root of the walk.
    pub(super) path: &'a [u8],
    pub(super) stat: Stat,
    pub(super) tree: Option<&'a Tree>,
    entry: Option<&'a Entry>,
    folder: &'a OwnedFd,
    name: &'a CStr,
}

impl<'a> Found<'a> {
    /// What git has noted of it, and whether that still holds.
    pub(super) fn noted(&self) -> Option<(&'a Entry, bool)> {
        let (tree, entry) = self.tree.zip(self.entry)?;
        Some((entry, tree.index.is_unchanged(entry, &self.stat)))
    }

    /// Its content, and what it was like when that was read.
    pub(super) fn read(&self, bytes_max: u64) -> io::Result<(Vec<u8>, Stat)> {
        read_file(&self.open()?, bytes_max)
    }

    pub(super) fn open(&self) -> io::Result<std::fs::File> {
        open_file(self.folder, self.name, self.stat.kind)
    }

    /// Where a link leads.
    pub(super) fn target(&self) -> io::Result<Vec<u8>> {
        Ok(readlinkat(self.folder, self.name, Vec::new())?.into_bytes())
    }
}

/// Looks at one path below a root, as a walk would.
pub(super) fn look_at<T>(
    root: &Path,
    path: &[u8],
    tree: Option<&Tree>,
    see: impl FnOnce(&Found<'_>) -> T,
) -> io::Result<T> {
    let (folder, name) = find(open_root(root)?, path)?;
    let stat = Stat::at(&folder, &name)?;
    let entry = tree.and_then(|tree| tree.entry(path));
    Ok(see(&Found { path, stat, tree, entry, folder: &folder, name: &name }))
}

/// A folder that is still to be looked at.
struct Folder {
    parent: Arc<OwnedFd>,
    name: CString,
    path: Vec<u8>,
    tree: Option<Arc<Tree>>,
    rules: Option<Arc<Rules>>,
    /// Only what is tracked counts.
    is_ignored: bool,
    depth: usize,
}

struct Walk<'a> {
    root: &'a Path,
    env: &'a Environment,
    patience: &'a Patience,
    folders: Vec<Folder>,
    seen: usize,
    untracked: usize,
    walked: Walked,
}

/// Shows every file below a root; in a repository those that are tracked or not ignored.
pub(super) fn walk(
    root: &Path,
    env: &Environment,
    patience: &Patience,
    see: &mut dyn FnMut(&Found<'_>),
) -> io::Result<Walked> {
    let parent = Arc::new(open_root(root)?);
    let first = Folder {
        parent,
        name: c".".to_owned(),
        path: Vec::new(),
        tree: None,
        rules: None,
        is_ignored: false,
        depth: 0,
    };
    let walked = Walked::default();
    let mut walk =
        Walk { root, env, patience, folders: vec![first], seen: 0, untracked: 0, walked };
    while let Some(folder) = walk.folders.pop() {
        patience.check()?;
        walk.folder(folder, see)?;
    }
    Ok(walk.walked)
}

impl Walk<'_> {
    fn folder(&mut self, mut folder: Folder, see: &mut dyn FnMut(&Found<'_>)) -> io::Result<()> {
        let opened = open_folder(&folder.parent, &folder.name)
            .and_then(|open| Ok((Dir::read_from(&open)?, open)));
        let (entries, open) = match opened {
            Ok((entries, open)) => (entries, Arc::new(open)),
            // It is gone, or is something else by now.
            Err(error) if is_gone(&error) => return Ok(()),
            Err(_) => {
                self.walked.unseen.push(shown(&folder.path));
                return Ok(());
            }
        };
        let entries: Vec<(CString, FileType)> = entries
            .flatten()
            .map(|entry| (entry.file_name().to_owned(), entry.file_type()))
            .collect();
        let has = |name: &CStr| entries.iter().any(|(entry, _)| **entry == *name);
        if has(c".git") {
            self.enter(&mut folder);
        }
        if has(c".gitignore")
            && let Some(rules) = &folder.rules
        {
            folder.rules = Some(rules.with_file(&open, c".gitignore", &folder.path));
        }
        for (name, kind) in &entries {
            if !matches!(name.to_bytes(), b"." | b".." | b".git") {
                self.entry(&folder, &open, name, *kind, see)?;
            }
        }
        Ok(())
    }

    /// Goes into the repository whose work tree begins at a folder, if one does.
    fn enter(&mut self, folder: &mut Folder) {
        let top = self.root.join(OsStr::from_bytes(&folder.path));
        let Some(repository) = Repository::at(&top) else { return };
        let number = self.walked.trees.len();
        if number == REPOSITORIES_MAX {
            self.walked.unseen.push(format!("{} (as a repository)", shown(&folder.path)));
            return;
        }
        let mut prefix = folder.path.clone();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let index = repository.index();
        folder.rules = Some(Rules::of(&repository, &folder.path, self.env));
        folder.is_ignored = false;
        let tree = Arc::new(Tree { repository, index, prefix, number });
        self.walked.trees.push(Arc::clone(&tree));
        folder.tree = Some(tree);
    }

    fn entry(
        &mut self,
        folder: &Folder,
        open: &Arc<OwnedFd>,
        name: &CStr,
        kind: FileType,
        see: &mut dyn FnMut(&Found<'_>),
    ) -> io::Result<()> {
        let mut path = folder.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        let mut stat = None;
        if !matches!(kind, FileType::Directory) {
            let Ok(seen) = Stat::at(open, name) else { return Ok(()) };
            stat = Some(seen).filter(|stat| stat.kind != Kind::Folder);
        }
        let tree = folder.tree.as_deref();
        let entry = tree.filter(|_| stat.is_some()).and_then(|tree| tree.entry(&path));
        let is_tracked =
            entry.is_some() || stat.is_none() && tree.is_some_and(|tree| tree.has_folder(&path));
        let is_ignored = folder.is_ignored
            || !is_tracked
                && folder.rules.as_ref().is_some_and(|rules| rules.ignore(&path, stat.is_none()));
        if is_ignored && !is_tracked {
            // What belay keeps there itself is no one's work.
            self.walked.has_ignored |= name.to_bytes() != b".belay";
            return Ok(());
        }
        let Some(stat) = stat else {
            let is_passed_over = folder.tree.is_none()
                && PASSED_OVER.iter().any(|passed| name.to_bytes() == passed.as_bytes());
            if is_passed_over || folder.depth == DEPTH_MAX {
                self.walked.unseen.push(shown(&path));
                return Ok(());
            }
            // What is below an ignored folder is ignored unless it is tracked.
            let is_ignored = folder.is_ignored
                || folder.rules.as_ref().is_some_and(|rules| rules.ignore(&path, true));
            self.folders.push(Folder {
                parent: Arc::clone(open),
                name: name.to_owned(),
                path,
                tree: folder.tree.clone(),
                rules: folder.rules.clone(),
                is_ignored,
                depth: folder.depth + 1,
            });
            return Ok(());
        };
        if !is_tracked {
            self.untracked += 1;
        }
        if self.untracked > FILES_MAX {
            let whose = if folder.tree.is_some() { " that git does not track" } else { "" };
            let why = format!("the folder has more than {FILES_MAX} files{whose}");
            return Err(io::Error::other(why));
        }
        // A folder alone may hold a hundred thousand.
        self.seen += 1;
        if self.seen.is_multiple_of(256) {
            self.patience.check()?;
        }
        see(&Found { path: &path, stat, tree, entry, folder: open, name });
        Ok(())
    }
}

/// A path as people read it.
pub(super) fn shown(path: &[u8]) -> String {
    match path {
        [] => "the folder itself".to_owned(),
        _ => String::from_utf8_lossy(path).into_owned(),
    }
}
