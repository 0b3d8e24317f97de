//! Git's index, read without git: which files are tracked, and what each was like when git last looked.
//!
//! Format: <https://git-scm.com/docs/index-format>, versions 2 to 4, split and sparse indexes included. Anything
//! that does not fit makes the whole index unreadable, and then every file counts as untracked.

use super::object::{HashKind, Oid};
use super::stat::{Kind, Stat, Time};
use std::collections::{HashMap, HashSet};

/// Limits how many entries an index may have: ten times the largest repositories known.
const ENTRIES_MAX: usize = 5_000_000;

/// Limits what all paths together weigh: one of version 4 may repeat a long beginning with every entry.
const PATHS_BYTES_MAX: usize = 512 << 20;

/// The files that git tracks in one work tree.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<Vec<u8>, Entry>,
    /// Every folder that holds a tracked file or submodule, and the submodules themselves.
    folders: HashSet<Vec<u8>>,
    /// Folders that a sparse index names as a whole, each with its trailing slash.
    sparse_folders: Vec<Vec<u8>>,
    /// When the index was written.
    written: Time,
}

/// What git has noted of one file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) oid: Oid,
    mode: u32,
    changed: (u32, u32),
    modified: (u32, u32),
    inode: u32,
    size: u32,
    /// Several versions wait for a merge to be finished.
    is_unmerged: bool,
    /// Outside of the sparse checkout: git does not expect the file in the folder.
    is_skipped: bool,
}

/// An entry with its path, which is empty where it replaces another's data.
type Named = (Vec<u8>, Entry);

const FOLDER: u32 = 0o040_000;
const SUBMODULE: u32 = 0o160_000;

impl Index {
    /// Reads an index that was written at the given time; `shared` finds the file that a split index builds on.
    pub(super) fn parse(
        bytes: &[u8],
        written: Time,
        hash: HashKind,
        shared: impl FnOnce(&Oid) -> Option<Vec<u8>>,
    ) -> Option<Self> {
        let Raw { mut entries, link } = raw(bytes, hash)?;
        if let Some(link) = link {
            entries = link.merge(raw(&shared(&link.shared)?, hash)?.entries, entries)?;
        }
        let mut index = Self { written, ..Self::default() };
        index.entries.reserve(entries.len());
        let mut folder = Vec::new();
        for (path, entry) in entries {
            index.insert(path, entry, &mut folder);
        }
        Some(index)
    }

    /// Takes in an entry; `last` is the folder of the one before, which is the same as often as not.
    fn insert(&mut self, path: Vec<u8>, entry: Entry, last: &mut Vec<u8>) {
        if entry.mode == FOLDER {
            self.sparse_folders.push(path);
            return;
        }
        let folder = match entry.mode {
            SUBMODULE => Some(&path[..]),
            _ => parent(&path),
        };
        if let Some(folder) = folder.filter(|folder| last != folder) {
            let mut above = Some(folder);
            // The folders above one that is known are known.
            while let Some(folder) = above.filter(|folder| !self.folders.contains(*folder)) {
                self.folders.insert(folder.to_owned());
                above = parent(folder);
            }
            folder.clone_into(last);
        }
        if entry.mode != SUBMODULE {
            self.entries.insert(path, entry);
        }
    }

    /// How many files are tracked.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Whether a folder holds something that is tracked.
    pub(super) fn has_folder(&self, path: &[u8]) -> bool {
        self.folders.contains(path)
    }

    /// The tracked files that should be in the folder.
    pub(super) fn expected(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().filter(|(_, entry)| !entry.is_skipped).map(|(path, _)| &path[..])
    }

    /// Whether a sparse checkout leaves the path out.
    pub(super) fn leaves_out(&self, path: &[u8]) -> bool {
        self.get(path).is_some_and(|entry| entry.is_skipped)
            || self.sparse_folders.iter().any(|folder| path.starts_with(folder))
    }

    /// Whether a file is as it was when git last looked: then its content is the entry's.
    pub(super) fn is_unchanged(&self, entry: &Entry, stat: &Stat) -> bool {
        let kind = match entry.mode {
            0o100_755 => Kind::Executable,
            0o120_000 => Kind::Link,
            _ => Kind::File,
        };
        // Git of some builds and other programs leave zeros where they do not look.
        let same_time = |noted: (u32, u32), time: Time| {
            noted == (0, 0) || low(time.0) == noted.0 && (noted.1 == 0 || low(time.1) == noted.1)
        };
        // A file that changed in the moment in which the index was written may look the same.
        let modified = (i64::from(entry.modified.0), i64::from(entry.modified.1));
        let is_racy = match modified.1 {
            0 => modified.0 >= self.written.0,
            _ => modified >= self.written,
        };
        !entry.is_unmerged
            && !is_racy
            && kind == stat.kind
            && entry.modified != (0, 0)
            && same_time(entry.modified, stat.modified)
            && same_time(entry.changed, stat.changed)
            && u64::from(entry.size) == stat.size & 0xffff_ffff
            && (entry.inode == 0 || u64::from(entry.inode) == stat.inode & 0xffff_ffff)
    }
}

fn low(number: i64) -> u32 {
    u32::try_from(number & 0xffff_ffff).unwrap_or_default()
}

fn parent(path: &[u8]) -> Option<&[u8]> {
    path.iter().rposition(|byte| *byte == b'/').map(|slash| &path[..slash])
}

struct Raw {
    entries: Vec<Named>,
    link: Option<Link>,
}

/// What a split index says about the shared one.
struct Link {
    shared: Oid,
    deleted: Vec<usize>,
    replaced: Vec<usize>,
}

impl Link {
    fn merge(&self, shared: Vec<Named>, own: Vec<Named>) -> Option<Vec<Named>> {
        let mut own = own.into_iter();
        let mut shared: Vec<Option<Named>> = shared.into_iter().map(Some).collect();
        for position in &self.replaced {
            let (_, entry) = own.next()?;
            shared.get_mut(*position)?.as_mut()?.1 = entry;
        }
        for position in &self.deleted {
            *shared.get_mut(*position)? = None;
        }
        Some(shared.into_iter().flatten().chain(own).collect())
    }
}

fn raw(bytes: &[u8], hash: HashKind) -> Option<Raw> {
    let mut bytes = Bytes(bytes);
    let ("DIRC", version @ 2..=4) = (str::from_utf8(bytes.take(4)?).ok()?, bytes.number()?) else {
        return None;
    };
    let count = usize::try_from(bytes.number()?).ok().filter(|count| *count <= ENTRIES_MAX)?;
    let mut entries: Vec<Named> = Vec::new();
    let (mut path, mut room) = (Vec::new(), PATHS_BYTES_MAX);
    for _ in 0..count {
        let entry = bytes.entry(version, hash, &mut path)?;
        room = room.checked_sub(path.len())?;
        entries.push((path.clone(), entry));
    }
    let mut link = None;
    while bytes.0.len() > hash.bytes() {
        let (name, size) = (bytes.take(4)?, usize::try_from(bytes.number()?).ok()?);
        let mut data = Bytes(bytes.take(size)?);
        if name == b"link" {
            let shared = Oid::new(data.take(hash.bytes())?)?;
            let (deleted, replaced) = match data.0 {
                [] => (Vec::new(), Vec::new()),
                _ => (data.bitmap()?, data.bitmap()?),
            };
            link = Some(Link { shared, deleted, replaced });
        }
    }
    // Without a shared index all zeros stand for it.
    Some(Raw { entries, link: link.filter(|link| !link.shared.is_zero()) })
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    /// Reads the next entry, and its path over that of the one before.
    fn entry(&mut self, version: u32, hash: HashKind, path: &mut Vec<u8>) -> Option<Entry> {
        let began = self.0.len();
        let changed = (self.number()?, self.number()?);
        let modified = (self.number()?, self.number()?);
        let (_device, inode, mode) = (self.number()?, self.number()?, self.number()?);
        let (_user, _group, size) = (self.number()?, self.number()?, self.number()?);
        let oid = Oid::new(self.take(hash.bytes())?)?;
        let flags = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        let has_more = flags & 0x4000 != 0;
        let more = match has_more {
            true => u16::from_be_bytes(self.take(2)?.try_into().ok()?),
            false => 0,
        };
        if version == 4 {
            let kept = path.len().checked_sub(self.offset()?)?;
            path.truncate(kept);
        } else {
            path.clear();
        }
        let end = self.0.iter().position(|byte| *byte == 0)?;
        path.extend_from_slice(self.take(end)?);
        // Version 4 ends a path with one zero, the others fill up to a multiple of eight.
        let padding = match version {
            4 => 1,
            _ => 8 - (began - self.0.len()) % 8,
        };
        self.take(padding)?;
        Some(Entry {
            oid,
            mode,
            changed,
            modified,
            inode,
            size,
            is_unmerged: flags & 0x3000 != 0,
            is_skipped: more & 0x4000 != 0,
        })
    }

    /// A number as git packs offsets.
    fn offset(&mut self) -> Option<usize> {
        let mut byte = self.take(1)?[0];
        let mut value = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.take(1)?[0];
            value =
                value.checked_add(1)?.checked_mul(0x80)?.checked_add(usize::from(byte & 0x7f))?;
        }
        Some(value)
    }

    /// The numbers of the set bits in a bitmap in EWAH form.
    fn bitmap(&mut self) -> Option<Vec<usize>> {
        let bits = usize::try_from(self.number()?).ok().filter(|bits| *bits <= ENTRIES_MAX)?;
        let mut words = self.number()?;
        let (mut position, mut set) = (0_usize, Vec::new());
        while words > 0 {
            let marker = self.long()?;
            let (run, literals) = ((marker >> 1) & 0xffff_ffff, u32::try_from(marker >> 33).ok()?);
            words = words.checked_sub(1)?.checked_sub(literals)?;
            let end = position.saturating_add(usize::try_from(run).ok()?.saturating_mul(64));
            if marker & 1 == 1 {
                set.extend(position.min(bits)..end.min(bits));
            }
            position = end;
            for _ in 0..literals {
                let word = self.long()?;
                set.extend(
                    (0..64)
                        .filter(|bit| word >> bit & 1 == 1)
                        .map(|bit| position.saturating_add(bit)),
                );
                position = position.saturating_add(64);
            }
        }
        self.number()?;
        Some(set)
    }
}
