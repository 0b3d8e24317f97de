//! What a folder was like before a run, and what has become of it.
//!
//! In a git repository it is a tree object, made with an index of its own: neither the user's index nor a file of
//! his is touched, and what he had not committed is in it. Elsewhere, and where that would store too much, it is a
//! list of files with their sizes and times.

use crate::limits;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How many files a folder may have for its list to be made: beyond it the list costs more than it helps.
const FILES_MAX: usize = 50_000;

/// How much that git does not have yet may be stored for the tree.
const STORED_BYTES_MAX: u64 = 64 << 20;

/// How much of a diff is read.
const DIFF_BYTES_MAX: usize = 256 << 10;

/// Folders that nobody hands over: what is built or installed, and git's own.
const PASSED_OVER: [&str; 6] = [".git", "node_modules", "target", ".venv", "__pycache__", ".belay"];

/// The folder as it was when the run began, or will be known shortly.
#[derive(Debug, Default)]
pub(crate) struct Base {
    folder: Option<PathBuf>,
    taken: Option<Taken>,
}

#[derive(Debug)]
enum Taken {
    UnderWay(JoinHandle<Snapshot>),
    Done(Snapshot),
}

#[derive(Clone, Debug)]
enum Snapshot {
    /// The id of a tree object.
    Git {
        top: PathBuf,
        tree: String,
    },
    Files(BTreeMap<PathBuf, (u64, Option<SystemTime>)>),
    None(String),
}

/// What has changed since.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Changes {
    /// A letter as git has it (A, M, D) and the path below the folder; or why they are not known.
    pub(crate) files: Result<Vec<(char, String)>, String>,
    /// The diff, or its beginning; nothing outside of git.
    pub(crate) diff: String,
    /// Since when.
    pub(crate) since: &'static str,
}

/// The beginning of the run that looks.
const RUN: &str = "since the run began";

/// What nobody has looked at before.
const COMMIT: &str = "that are not committed";

impl Changes {
    pub(super) fn unknown(why: &str) -> Self {
        Self { files: Err(why.to_owned()), diff: String::new(), since: RUN }
    }
}

impl Base {
    /// Begins to look at the folder, on a thread of its own: an agent takes as long to start.
    pub(crate) fn begin(folder: Option<&Path>) -> Self {
        let Some(folder) = folder.map(Path::to_owned) else { return Self::default() };
        let looked_at = folder.clone();
        let task = tokio::task::spawn_blocking(move || snapshot(&looked_at));
        Self { folder: Some(folder), taken: Some(Taken::UnderWay(task)) }
    }

    /// Waits until the folder was looked at: before an agent may change it. One that takes too long is given up.
    pub(crate) async fn ready(&mut self) {
        if let Some(Taken::UnderWay(task)) = &mut self.taken {
            let before = match tokio::time::timeout(limits::LOOK, task).await {
                Ok(Ok(before)) => before,
                _ => Snapshot::None("the folder is too large to look at".to_owned()),
            };
            self.taken = Some(Taken::Done(before));
        }
    }

    /// What has changed since.
    pub(crate) async fn changes(&mut self) -> Changes {
        self.ready().await;
        let (Some(folder), Some(Taken::Done(before))) = (self.folder.clone(), &self.taken) else {
            return Changes::unknown("nobody looked at the folder before");
        };
        let before = before.clone();
        let compared = tokio::task::spawn_blocking(move || compare(&folder, &before));
        match tokio::time::timeout(limits::LOOK, compared).await {
            Ok(Ok(changes)) => changes,
            _ => Changes::unknown("the folder is too large to look at"),
        }
    }
}

/// What is in a folder and not in its last commit, for a run whose beginning nobody has seen.
pub(super) fn uncommitted(folder: &Path) -> Changes {
    let changes = git(folder, &["rev-parse", "--show-toplevel"]).and_then(|top| {
        let top = PathBuf::from(line(&top));
        // Before the first commit there is nothing.
        let head = git(&top, &["rev-parse", "--verify", "--quiet", "HEAD^{tree}"]);
        let head = head.map_or_else(|_| EMPTY_TREE.to_owned(), |head| line(&head));
        git_compare(&top, &head)
    });
    match changes {
        Ok(changes) => Changes { since: COMMIT, ..changes },
        Err(_) => Changes::unknown("the folder is no git repository"),
    }
}

/// git's name for a tree without files.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

fn snapshot(folder: &Path) -> Snapshot {
    if let Some(snapshot) = git_snapshot(folder) {
        return snapshot;
    }
    let mut files = BTreeMap::new();
    match list(folder, folder, &mut files) {
        Ok(()) => Snapshot::Files(files),
        Err(error) => Snapshot::None(error.to_string()),
    }
}

fn compare(folder: &Path, before: &Snapshot) -> Changes {
    match before {
        Snapshot::None(why) => Changes::unknown(why),
        Snapshot::Git { top, tree } => {
            git_compare(top, tree).unwrap_or_else(|error| Changes::unknown(&error.to_string()))
        }
        Snapshot::Files(before) => {
            let mut now = BTreeMap::new();
            if let Err(error) = list(folder, folder, &mut now) {
                return Changes::unknown(&error.to_string());
            }
            let name = |path: &PathBuf| path.to_string_lossy().into_owned();
            let gone = before.keys().filter(|path| !now.contains_key(*path));
            let gone = gone.map(|path| ('D', name(path)));
            let there = now.iter().filter_map(|(path, state)| match before.get(path) {
                None => Some(('A', name(path))),
                Some(had) if had != state => Some(('M', name(path))),
                Some(_) => None,
            });
            let mut files: Vec<_> = there.chain(gone).collect();
            files.sort_by(|(_, a), (_, b)| a.cmp(b));
            Changes { files: Ok(files), diff: String::new(), since: RUN }
        }
    }
}

/// Every file below a folder, with its size and time. Links are not followed.
fn list(
    top: &Path,
    folder: &Path,
    files: &mut BTreeMap<PathBuf, (u64, Option<SystemTime>)>,
) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // A folder that may not be read is nobody's work.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                if !PASSED_OVER.iter().any(|passed| name == OsStr::new(passed)) {
                    folders.push(entry.path());
                }
                continue;
            }
            if files.len() == FILES_MAX {
                return Err(io::Error::other(format!(
                    "the folder has more than {FILES_MAX} files"
                )));
            }
            let path = entry.path();
            let path = path.strip_prefix(top).unwrap_or(&path).to_owned();
            files.insert(path, (meta.len(), meta.modified().ok()));
        }
    }
    Ok(())
}

fn git_snapshot(folder: &Path) -> Option<Snapshot> {
    let top = git(folder, &["rev-parse", "--show-toplevel"]).ok()?;
    let top = PathBuf::from(line(&top));
    is_small(&top)?;
    let tree = write_tree(&top).ok()?;
    Some(Snapshot::Git { top, tree })
}

/// What git would have to store is little. Build products that nobody ignores can be gigabytes.
fn is_small(top: &Path) -> Option<()> {
    let status = git(top, &["status", "--porcelain", "-z", "--untracked-files=all"]).ok()?;
    let entries = status.split(|byte| *byte == 0).filter(|entry| entry.len() > 3);
    let mut bytes = 0;
    for (n, entry) in entries.enumerate() {
        let path = top.join(String::from_utf8_lossy(&entry[3..]).as_ref());
        bytes += fs::symlink_metadata(path).map_or(0, |meta| meta.len());
        if n > FILES_MAX || bytes > STORED_BYTES_MAX {
            return None;
        }
    }
    Some(())
}

/// The folder as a tree object, by way of an index that nobody else uses.
fn write_tree(top: &Path) -> io::Result<String> {
    let dir = git(top, &["rev-parse", "--absolute-git-dir"])?;
    let dir = PathBuf::from(line(&dir));
    let index = dir.join(format!("belay-index-{}", Uuid::now_v7()));
    // The user's index knows which files are as they were; without it every file is read.
    if dir.join("index").exists() {
        fs::copy(dir.join("index"), &index)?;
    }
    let tree = with_index(top, &index, &["add", "--all"])
        .and_then(|_| with_index(top, &index, &["write-tree"]));
    let _ = fs::remove_file(&index);
    Ok(line(&tree?))
}

fn git_compare(top: &Path, before: &str) -> io::Result<Changes> {
    let now = write_tree(top)?;
    let names = git(top, &["diff", "--no-renames", "--name-status", "-z", before, &now])?;
    let mut words = names.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let mut files = Vec::new();
    while let (Some(letter), Some(path)) = (words.next(), words.next()) {
        files.push((letter.chars().next().unwrap_or('M'), path.into_owned()));
    }
    let mut diff =
        git(top, &["diff", "--no-renames", "--no-color", "--no-ext-diff", before, &now])?;
    diff.truncate(DIFF_BYTES_MAX);
    let diff = String::from_utf8_lossy(&diff).into_owned();
    Ok(Changes { files: Ok(files), diff, since: RUN })
}

fn git(folder: &Path, args: &[&str]) -> io::Result<Vec<u8>> {
    output(command(folder).args(args))
}

fn with_index(folder: &Path, index: &Path, args: &[&str]) -> io::Result<Vec<u8>> {
    output(command(folder).env("GIT_INDEX_FILE", index).args(args))
}

/// git, with nothing in it that a repository could make it start.
fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder);
    command.args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]);
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn output(command: &mut Command) -> io::Result<Vec<u8>> {
    let output = command.output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(io::Error::other("git could not look at the folder"))
    }
}

fn line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches(['\n', '\r']).to_owned()
}
