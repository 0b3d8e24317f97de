//! The one place that starts git, and what it is asked: what a commit holds, and what an object contains.
//!
//! No file of a repository can make git start anything here. It never sees the repository's configuration, its
//! hooks, its attributes, its refs or its work tree: it runs in an empty repository of its own, in a private folder,
//! which shares the objects and nothing else. What a partial clone lacks is missing then, and not fetched.

use super::object::{HashKind, Oid};
use super::patience::Patience;
use super::repository::Repository;
use super::temp_folder;
use crate::journal::files::private_dir;
use crate::{Environment, limits};
use belaykit_supervise::{Exit, Tool};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// How much of git's output is taken: the files of a commit with a million of them.
const OUTPUT_BYTES_MAX: usize = 256 << 20;

/// How much of blobs is read at once: more than a diff that anybody reads has.
const BLOBS_BYTES_MAX: u64 = 32 << 20;

/// The program, and where it runs.
#[derive(Debug)]
pub(super) struct Git<'a> {
    patience: &'a Patience,
    program: PathBuf,
    folder: PathBuf,
    vars: Vec<(&'static str, OsString)>,
}

/// The path of git, from those folders of `PATH` that are absolute and not in the folder that is looked at: what an
/// agent has written there is not started.
pub(crate) fn program(env: &Environment, folder: Option<&Path>) -> Option<PathBuf> {
    let folder = folder.and_then(|folder| fs::canonicalize(folder).ok());
    let is_outside = |path: &Path| match (fs::canonicalize(path), &folder) {
        (Ok(real), Some(folder)) => !real.starts_with(folder),
        (Ok(_), None) => true,
        (Err(_), _) => false,
    };
    let folders = std::env::split_paths(env.get("PATH")?);
    let folders = std::env::join_paths(folders.filter(|path| path.is_absolute())).ok();
    let mut found = which::which_in_all("git", folders, "/").ok()?;
    // Neither the program nor the folder of PATH that it, or a link to it, is in.
    found.find(|path| is_outside(path) && path.parent().is_some_and(is_outside))
}

/// A file of a commit.
pub(super) struct Committed {
    pub(super) path: Vec<u8>,
    pub(super) mode: u32,
    pub(super) oid: Oid,
}

impl<'a> Git<'a> {
    /// git over the objects of a repository.
    pub(super) fn over(
        program: &Path,
        repository: &Repository,
        env: &Environment,
        patience: &'a Patience,
    ) -> io::Result<Self> {
        let folder = temp_folder(env).join(format!("belay-git-{}", Uuid::now_v7()));
        private_dir(&folder)?;
        let git = Self {
            vars: vec![
                ("GIT_DIR", folder.clone().into()),
                ("GIT_OBJECT_DIRECTORY", repository.common.join("objects").into()),
                ("HOME", folder.clone().into()),
                ("XDG_CONFIG_HOME", folder.clone().into()),
                ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
                ("GIT_CONFIG_SYSTEM", "/dev/null".into()),
                ("GIT_CONFIG_NOSYSTEM", "1".into()),
                ("GIT_ATTR_NOSYSTEM", "1".into()),
                ("GIT_NO_REPLACE_OBJECTS", "1".into()),
                // Should it think of fetching all the same, over nothing at all.
                ("GIT_NO_LAZY_FETCH", "1".into()),
                ("GIT_ALLOW_PROTOCOL", OsString::new()),
                ("GIT_TERMINAL_PROMPT", "0".into()),
                ("GIT_OPTIONAL_LOCKS", "0".into()),
                ("LC_ALL", "C".into()),
                ("PATH", "/usr/bin:/bin".into()),
            ],
            program: program.to_owned(),
            folder,
            patience,
        };
        git.make(repository)?;
        Ok(git)
    }

    fn make(&self, repository: &Repository) -> io::Result<()> {
        let config = match repository.hash {
            HashKind::Sha1 => "[core]\nrepositoryformatversion = 0\nbare = true\n",
            HashKind::Sha256 => {
                "[core]\nrepositoryformatversion = 1\nbare = true\n[extensions]\nobjectformat = sha256\n"
            }
        };
        fs::write(self.folder.join("config"), config)?;
        fs::write(self.folder.join("HEAD"), "ref: refs/heads/none\n")?;
        private_dir(&self.folder.join("refs"))?;
        // git would wait for a pipe here.
        let alternates = repository.common.join("objects/info/alternates");
        match fs::metadata(alternates) {
            Ok(data) if !data.is_file() => Err(io::Error::other("the objects cannot be read")),
            _ => Ok(()),
        }
    }

    fn run(&self, args: &[&str], input: &str) -> io::Result<Vec<u8>> {
        self.patience.check()?;
        let tool = Tool::new(&self.program, limits::GIT).args(args).cwd(&self.folder);
        let vars = self.vars.iter().map(|(name, value)| (*name, value));
        let tool = tool.env(vars).stdin(input).output_max(OUTPUT_BYTES_MAX);
        let done = tool.run_while(|| self.patience.check().is_ok())?;
        match done.exit {
            Some(Exit::Code(0)) if !done.is_cut => Ok(done.stdout),
            None => Err(io::Error::new(io::ErrorKind::TimedOut, "git took too long")),
            _ => Err(io::Error::other("git failed")),
        }
    }

    /// The files of a commit.
    pub(super) fn files(&self, commit: &Oid) -> io::Result<Vec<Committed>> {
        let listed = self.run(&["ls-tree", "-r", "-z", "--full-tree", &commit.to_string()], "")?;
        let file = |line: &[u8]| {
            let tab = line.iter().position(|byte| *byte == b'\t')?;
            let mut words = str::from_utf8(&line[..tab]).ok()?.split(' ');
            let mode = u32::from_str_radix(words.next()?, 8).ok()?;
            let oid = Oid::from_hex(words.nth(1)?)?;
            Some(Committed { path: line[tab + 1..].to_owned(), mode, oid })
        };
        Ok(listed.split(|byte| *byte == 0).filter_map(file).collect())
    }

    /// The contents of blobs, of those that are there and not too large.
    pub(super) fn blobs(&self, names: &[Oid], bytes_max: u64) -> io::Result<HashMap<Oid, Vec<u8>>> {
        let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
        let sizes = self.run(&["cat-file", "--batch-check=%(objectname) %(objectsize)"], &lines)?;
        let mut wanted = String::new();
        let mut room = BLOBS_BYTES_MAX;
        for line in String::from_utf8_lossy(&sizes).lines() {
            let Some((name, size)) = line.split_once(' ') else { continue };
            // Instead of its size git says of one that it does not have that it is missing.
            if let Some(size) = size.parse().ok().filter(|size: &u64| *size <= bytes_max.min(room))
            {
                room -= size;
                wanted.extend([name, "\n"]);
            }
        }
        let mut blobs = HashMap::new();
        if wanted.is_empty() {
            return Ok(blobs);
        }
        let printed = self.run(&["cat-file", "--batch=%(objectname) %(objectsize)"], &wanted)?;
        let mut rest = &printed[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = str::from_utf8(&rest[..end]).ok().and_then(|line| line.split_once(' '));
            let parsed =
                line.and_then(|(name, size)| Some((Oid::from_hex(name)?, size.parse().ok()?)));
            let Some((name, size)) = parsed else { break };
            let Some((content, behind)) = rest[end + 1..].split_at_checked(size) else { break };
            blobs.insert(name, content.to_owned());
            // A line's end behind the content.
            rest = behind.get(1..).unwrap_or_default();
        }
        Ok(blobs)
    }
}

impl Drop for Git<'_> {
    fn drop(&mut self) {
        // No link is followed.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
