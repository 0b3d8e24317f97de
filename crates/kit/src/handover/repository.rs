//! Where a git repository keeps what, found without git.

use super::index::Index;
use super::object::{HashKind, Oid};
use super::stat::{self, is_gone};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// How large a file may be that says where something is, or how it is set.
const SMALL_BYTES_MAX: u64 = 1 << 20;

/// How large the list of packed branches and tags may be: half a million of them.
const PACKED_BYTES_MAX: u64 = 64 << 20;

/// How large an index may be: 5 million files.
const INDEX_BYTES_MAX: u64 = 512 << 20;

/// A repository with a work tree.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    /// The top of the work tree.
    pub(super) top: PathBuf,
    /// What belongs to this work tree alone: its HEAD and its index.
    pub(super) dir: PathBuf,
    /// What all work trees share: objects, refs, the configuration.
    pub(super) common: PathBuf,
    pub(super) hash: HashKind,
    /// Whether the bit that makes a file executable says something here.
    pub(super) has_modes: bool,
    /// A file with ignore rules that the configuration names.
    pub(super) excludes: Option<PathBuf>,
}

impl Repository {
    /// The repository in whose work tree a folder lies.
    pub(super) fn around(folder: &Path) -> Option<Self> {
        folder.ancestors().find_map(Self::at)
    }

    /// The repository whose work tree begins at this folder.
    pub(super) fn at(top: &Path) -> Option<Self> {
        let git = top.join(".git");
        let kind = fs::metadata(&git).ok()?;
        let dir = if kind.is_dir() { git } else { named_in(&git, top, b"gitdir: ")? };
        let common = named_in(&dir.join("commondir"), &dir, b"").unwrap_or_else(|| dir.clone());
        if dir.join("HEAD").symlink_metadata().is_err() || !common.join("objects").is_dir() {
            return None;
        }
        let config = small_text(&common.join("config"));
        let value = |section, key| config_value(&config, section, key);
        if let Some(tree) = value("core", "worktree").filter(|_| dir == common) {
            // The work tree is elsewhere.
            let tree = dir.join(OsStr::from_bytes(tree.as_bytes()));
            if fs::canonicalize(tree).ok()? != fs::canonicalize(top).ok()? {
                return None;
            }
        }
        let hash = match value("extensions", "objectformat").as_deref() {
            Some("sha256") => HashKind::Sha256,
            _ => HashKind::Sha1,
        };
        let has_modes = value("core", "filemode").is_none_or(|value| value != "false");
        let excludes = value("core", "excludesfile").map(PathBuf::from);
        Some(Self { top: top.to_owned(), dir, common, hash, has_modes, excludes })
    }

    /// The commit that is checked out, or nothing before the first one.
    pub(super) fn head(&self) -> io::Result<Option<Oid>> {
        let unreadable = || io::Error::other("the commit that is checked out cannot be read");
        let mut text = self.pointer(&self.dir.join("HEAD"))?.ok_or_else(unreadable)?;
        // A branch may be another name of a branch.
        for _ in 0..5 {
            let Some(name) = text.strip_prefix("ref:").map(str::trim) else { break };
            if !name.starts_with("refs/") || name.split('/').any(|part| part == "..") {
                return Err(unreadable());
            }
            let own = self.pointer(&self.dir.join(name))?;
            let found = match own {
                Some(text) => Some(text),
                None => self.pointer(&self.common.join(name))?,
            };
            let Some(next) = found.map_or_else(|| self.packed(name), |text| Ok(Some(text)))? else {
                return Ok(None);
            };
            text = next;
        }
        Oid::from_hex(text.trim()).map(Some).ok_or_else(unreadable)
    }

    /// What a file says that names a commit or another such file, if it is there.
    fn pointer(&self, path: &Path) -> io::Result<Option<String>> {
        match stat::read(path, 4096) {
            Ok((text, _)) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
            // A folder has the place of a branch that is packed, if there are branches below its name.
            Err(error) if is_gone(&error) || path.is_dir() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The commit of a branch that has no file of its own.
    fn packed(&self, name: &str) -> io::Result<Option<String>> {
        let path = self.common.join("packed-refs");
        let (text, _) = match stat::read(&path, PACKED_BYTES_MAX) {
            Err(error) if is_gone(&error) => return Ok(None),
            read => read?,
        };
        let mut lines =
            text.split(|byte| *byte == b'\n').filter_map(|line| str::from_utf8(line).ok());
        let found = lines.find_map(|line| line.strip_suffix(name)?.strip_suffix(' '));
        Ok(found.map(str::to_owned))
    }

    /// What git has noted of the files; nothing where it cannot be read.
    pub(super) fn index(&self) -> Index {
        let Ok((bytes, stat)) = stat::read(&self.dir.join("index"), INDEX_BYTES_MAX) else {
            return Index::default();
        };
        let shared = |name: &Oid| {
            let path = self.dir.join(format!("sharedindex.{name}"));
            Some(stat::read(&path, INDEX_BYTES_MAX).ok()?.0)
        };
        Index::parse(&bytes, stat.modified, self.hash, shared).unwrap_or_default()
    }
}

/// The text of a small file, or nothing.
pub(super) fn small_text(path: &Path) -> String {
    let read = stat::read(path, SMALL_BYTES_MAX);
    read.map_or_else(|_| String::new(), |(bytes, _)| String::from_utf8_lossy(&bytes).into())
}

/// The folder that a file of one line names.
fn named_in(file: &Path, relative_to: &Path, before: &[u8]) -> Option<PathBuf> {
    let (line, _) = stat::read(file, SMALL_BYTES_MAX).ok()?;
    let path = line.strip_prefix(before)?.trim_ascii_end();
    let path = relative_to.join(OsStr::from_bytes(path));
    path.is_dir().then_some(path)
}

/// The last value of a key in a configuration file. Files that it includes are not read.
pub(super) fn config_value(config: &str, section: &str, key: &str) -> Option<String> {
    let (mut is_inside, mut found) = (false, None);
    for line in config.lines().map(str::trim) {
        let mut rest = line;
        if let Some((name, behind)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            is_inside = name.trim().eq_ignore_ascii_case(section);
            rest = behind.trim();
        }
        let (name, value) = rest.split_once('=').unwrap_or((rest, "true"));
        if is_inside && name.trim().eq_ignore_ascii_case(key) {
            found = Some(unquoted(value.trim()));
        }
    }
    found
}

/// A value without its quotes and the comment behind it.
fn unquoted(value: &str) -> String {
    let (mut text, mut is_quoted, mut is_escaped) = (String::new(), false, false);
    for char in value.chars() {
        match char {
            _ if is_escaped => {
                text.push(char);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '#' | ';' if !is_quoted => break,
            _ => text.push(char),
        }
    }
    text.trim_end().to_owned()
}
