//! What a folder is like at one moment, enough to say later what was changed and how.
//!
//! What git has stored is named; of what it has not, the text is kept, in a file that has no name and goes with this
//! process. Nothing is written into the repository.

use super::git::{self, Git};
use super::object::Oid;
use super::patience::Patience;
use super::repository::Repository;
use super::stat::{self, Kind, Stat, Time};
use super::temp_folder;
use super::walk::{Found, Tree, Walked, walk};
use crate::Environment;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use uuid::Uuid;

/// How large a file may be whose text is of interest: nobody reads the diff of a larger one.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

/// How much text is kept that git does not have, and how much is read to find out whether it has.
const KEPT_BYTES_MAX: u64 = 64 << 20;
const READ_BYTES_MAX: u64 = 256 << 20;

/// A folder at one moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// The top of the work tree, or the folder itself.
    pub(super) root: PathBuf,
    pub(super) files: HashMap<Vec<u8>, Known>,
    /// Those whose objects are named, and their tops below the root.
    pub(super) repositories: Vec<Repository>,
    /// Tracked files that were not there. Kept only if an agent was at work by then.
    pub(super) missing: HashSet<Vec<u8>>,
    pub(super) unseen: Vec<String>,
    kept: Option<File>,
}

/// A file as it was.
#[derive(Debug)]
pub(super) struct Known {
    /// What the file system said; nothing if it is known from a commit.
    pub(super) stat: Option<Stat>,
    pub(super) kind: Kind,
    pub(super) content: Content,
    /// It had changed so shortly before that another change may look the same.
    pub(super) is_fresh: bool,
}

#[derive(Debug)]
pub(super) enum Content {
    /// An object of a repository, by its number.
    Blob(Oid, usize),
    /// A part of the file of kept texts.
    Kept {
        at: u64,
        bytes: usize,
    },
    /// Where a link leads.
    Target(Vec<u8>),
    /// The commit of a submodule.
    Commit(Oid),
    Unknown,
}

impl Snapshot {
    /// Looks at a folder, or at the repository it lies in. `began` is set as soon as an agent may be changing it.
    pub(super) fn take(
        folder: &Path,
        env: &Environment,
        patience: &Patience,
        began: &OnceLock<Time>,
    ) -> io::Result<Self> {
        let (root, _) = root(folder)?;
        let kept = Kept { temp: temp_folder(env), file: None, bytes: 0 };
        let mut taker = Taker { kept, read: 0, files: HashMap::new() };
        let walked = walk(&root, env, patience, &mut |found| taker.see(found))?;
        let mut missing = HashSet::new();
        if began.get().is_some() {
            for tree in &walked.trees {
                let paths = tree.index.expected().map(|path| [&tree.prefix[..], path].concat());
                missing.extend(paths.filter(|path| !taker.files.contains_key(path)));
            }
        }
        let repositories = walked.trees.iter().map(|tree| tree.repository.clone()).collect();
        let Taker { kept, files, .. } = taker;
        let unseen = walked.unseen;
        Ok(Self { root, files, repositories, missing, unseen, kept: kept.file })
    }

    /// What is committed of the repository that a folder lies in, and of those in it.
    pub(super) fn committed(
        folder: &Path,
        env: &Environment,
        patience: &Patience,
    ) -> io::Result<Self> {
        let (root, repository) = root(folder)?;
        let none = || io::Error::other("the folder is no git repository");
        let repository = repository.ok_or_else(none)?;
        let program = git::program(env, Some(&root));
        let program = program.ok_or_else(|| io::Error::other("git is not installed"))?;
        let Walked { trees, unseen, .. } = walk(&root, env, patience, &mut |_| {})?;
        let mut snapshot = Self { root, unseen, ..Self::default() };
        // A walk begins with the repository itself.
        debug_assert!(trees.first().is_some_and(|tree| tree.repository.top == repository.top));
        for tree in &trees {
            patience.check()?;
            snapshot.commit(tree, &program, env, patience)?;
            snapshot.repositories.push(tree.repository.clone());
        }
        Ok(snapshot)
    }

    /// Takes in what is checked out in one work tree.
    fn commit(
        &mut self,
        tree: &Tree,
        program: &Path,
        env: &Environment,
        patience: &Patience,
    ) -> io::Result<()> {
        let Some(head) = tree.repository.head()? else { return Ok(()) };
        let git = Git::over(program, &tree.repository, env, patience)?;
        if let Some(known) = tree.prefix.strip_suffix(b"/").and_then(|top| self.files.get_mut(top))
        {
            // The commit of a submodule that is checked out is the one that should be.
            if matches!(known.content, Content::Commit(should) if should == head) {
                self.files.remove(&tree.prefix[..tree.prefix.len() - 1]);
            }
        }
        for file in git.files(&head)? {
            let (kind, content) = match file.mode {
                0o160_000 => (Kind::Folder, Content::Commit(file.oid)),
                0o120_000 => (Kind::Link, Content::Blob(file.oid, tree.number)),
                0o100_755 if tree.repository.has_modes => {
                    (Kind::Executable, Content::Blob(file.oid, tree.number))
                }
                _ => (Kind::File, Content::Blob(file.oid, tree.number)),
            };
            let path = [&tree.prefix[..], &file.path].concat();
            self.files.insert(path, Known { stat: None, kind, content, is_fresh: false });
        }
        Ok(())
    }

    /// A text that was kept.
    pub(super) fn kept(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let file = self.kept.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut text = vec![0; bytes];
        file.read_exact_at(&mut text, at)?;
        Ok(text)
    }
}

/// Where to look, and the repository whose work tree it is.
fn root(folder: &Path) -> io::Result<(PathBuf, Option<Repository>)> {
    let folder = fs::canonicalize(folder)?;
    let repository = Repository::around(&folder);
    let root = repository.as_ref().map_or(folder, |repository| repository.top.clone());
    Ok((root, repository))
}

/// Looks at one file after the other.
struct Taker {
    files: HashMap<Vec<u8>, Known>,
    kept: Kept,
    read: u64,
}

impl Taker {
    fn see(&mut self, found: &Found<'_>) {
        if let Some(tree) = found.tree.filter(|_| self.files.is_empty()) {
            self.files.reserve(tree.index.len());
        }
        let mut stat = found.stat;
        let content = match (stat.kind, found.tree) {
            (Kind::Link, _) => found.target().map_or(Content::Unknown, Content::Target),
            (Kind::File | Kind::Executable, Some(tree)) => self.text(found, tree, &mut stat),
            _ => Content::Unknown,
        };
        let is_fresh = stat.changed >= stat::now();
        let known = Known { stat: Some(stat), kind: stat.kind, content, is_fresh };
        self.files.insert(found.path.to_owned(), known);
    }

    fn text(&mut self, found: &Found<'_>, tree: &Tree, stat: &mut Stat) -> Content {
        let noted = found.noted();
        if let Some((entry, true)) = noted {
            return Content::Blob(entry.oid, tree.number);
        }
        if stat.size > FILE_BYTES_MAX || self.read + stat.size > READ_BYTES_MAX {
            return Content::Unknown;
        }
        let Ok((bytes, read)) = found.read(FILE_BYTES_MAX) else { return Content::Unknown };
        self.read += bytes.len() as u64;
        *stat = read;
        if let Some((entry, _)) = noted
            && is_blob(&bytes, entry.oid, tree)
        {
            return Content::Blob(entry.oid, tree.number);
        }
        self.kept.keep(&bytes).unwrap_or(Content::Unknown)
    }
}

/// Whether a text is that of a blob, also if it was checked out with other ends of lines.
pub(super) fn is_blob(bytes: &[u8], oid: Oid, tree: &Tree) -> bool {
    let is = |bytes: &[u8]| {
        tree.repository.hash.blob(bytes.len() as u64, bytes).is_ok_and(|name| name == oid)
    };
    is(bytes) || bytes.contains(&b'\r') && is(&without_returns(bytes))
}

/// A text with its ends of lines as git stores them.
fn without_returns(bytes: &[u8]) -> Vec<u8> {
    let is_end = |at: usize| bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n');
    (0..bytes.len()).filter(|at| !is_end(*at)).map(|at| bytes[at]).collect()
}

/// The texts that git does not have.
struct Kept {
    temp: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl Kept {
    fn keep(&mut self, text: &[u8]) -> io::Result<Content> {
        if self.bytes + text.len() as u64 > KEPT_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(nameless(&self.temp)?),
        };
        let at = self.bytes;
        file.write_all_at(text, at)?;
        self.bytes += text.len() as u64;
        Ok(Content::Kept { at, bytes: text.len() })
    }
}

/// A file that no one else can open, and that is gone when this process is.
fn nameless(temp: &Path) -> io::Result<File> {
    let path = temp.join(format!("belay-kept-{}", Uuid::now_v7()));
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    // Before anything is in it.
    fs::remove_file(path)?;
    Ok(file)
}
