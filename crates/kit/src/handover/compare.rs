//! What has changed in a folder since a snapshot of it.

use super::diff::{self, Side};
use super::git::{self, Git};
use super::object::Oid;
use super::patience::Patience;
use super::snapshot::{Content, FILE_BYTES_MAX, Known, Snapshot, is_blob};
use super::stat::{Kind, Time, is_gone};
use super::walk::{Found, Tree, Walked, look_at, shown, walk};
use crate::Environment;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::Arc;

/// How many changed files are shown with their changes, and how much of their new text is held for that.
const SHOWN_MAX: usize = 500;
const TEXT_BYTES_MAX: usize = 8 << 20;

/// How much is read to find out whether large files have only been touched.
const HASHED_BYTES_MAX: u64 = 512 << 20;

/// What a comparison finds.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// A letter as git has it (A, M, D), or a question mark, and the path.
    pub(super) files: Vec<(char, String)>,
    pub(super) diff: String,
    pub(super) unseen: Vec<String>,
    pub(super) has_ignored: bool,
}

/// Compares a folder with what it was like. An agent may have changed it since `began`, although the snapshot was not
/// complete by then.
pub(super) fn compare(
    before: &Snapshot,
    began: Option<Time>,
    env: &Environment,
    patience: &Patience,
) -> io::Result<Comparison> {
    let mut comparer = Comparer {
        before,
        began,
        seen: HashSet::new(),
        changes: BTreeMap::new(),
        held: 0,
        hashed: 0,
    };
    let mut walked = walk(&before.root, env, patience, &mut |found| comparer.see(found))?;
    comparer.rest(&mut walked, patience)?;
    let Comparer { changes, .. } = comparer;
    let name = |(path, change): (&Vec<u8>, &Change<'_>)| (change.letter, shown(path));
    let files = changes.iter().map(name).collect();
    let diff = differences(before, &changes, env, patience);
    let mut unseen = walked.unseen;
    unseen.extend(before.unseen.iter().cloned());
    unseen.sort();
    unseen.dedup();
    Ok(Comparison { files, diff, unseen, has_ignored: walked.has_ignored })
}

struct Comparer<'a> {
    before: &'a Snapshot,
    began: Option<Time>,
    seen: HashSet<&'a [u8]>,
    changes: BTreeMap<Vec<u8>, Change<'a>>,
    held: usize,
    hashed: u64,
}

/// A file that is not as it was.
struct Change<'a> {
    letter: char,
    before: Option<&'a Known>,
    /// What it is now, and its text if that is to be shown.
    after: Option<(Kind, Option<Vec<u8>>)>,
}

/// What becomes of a comparison of one file.
enum Result {
    Same,
    /// With the text, if it was read.
    Differs(Option<Vec<u8>>),
}

impl<'a> Comparer<'a> {
    fn see(&mut self, found: &Found<'_>) {
        let Some((path, known)) = self.before.files.get_key_value(found.path) else {
            // Whether it was there when the agent began is not known of a file that was not when it was looked for.
            let is_new = !self.before.missing.contains(found.path);
            self.add(if is_new { 'A' } else { '?' }, found, None, None);
            return;
        };
        self.seen.insert(path);
        if known.stat.is_some_and(|stat| self.is_uncertain(stat.changed)) {
            self.add('?', found, Some(known), None);
        } else if let Result::Differs(text) = self.differs(found, known) {
            self.add('M', found, Some(known), text);
        }
    }

    /// True for what may be the agent's own, although it was seen before anything else of it.
    fn is_uncertain(&self, changed: Time) -> bool {
        self.began.is_some_and(|began| changed >= began)
    }

    fn add(
        &mut self,
        letter: char,
        found: &Found<'_>,
        before: Option<&'a Known>,
        text: Option<Vec<u8>>,
    ) {
        let is_shown = letter != '?' && found.tree.is_some() && self.changes.len() < SHOWN_MAX;
        let text = match found.stat.kind {
            _ if !is_shown => None,
            Kind::Link => found.target().ok(),
            Kind::File | Kind::Executable if text.is_none() => {
                found.read(FILE_BYTES_MAX).ok().map(|(text, _)| text)
            }
            _ => text,
        };
        let text = text.filter(|text| self.held + text.len() <= TEXT_BYTES_MAX);
        self.held += text.as_ref().map_or(0, Vec::len);
        let after = Some((found.stat.kind, text));
        self.changes.insert(found.path.to_owned(), Change { letter, before, after });
    }

    fn differs(&mut self, found: &Found<'_>, known: &Known) -> Result {
        let stat = &found.stat;
        let is_as_it_was = known.stat.as_ref() == Some(stat);
        if is_as_it_was && !known.is_fresh {
            return Result::Same;
        }
        let has_modes = found.tree.is_none_or(|tree| tree.repository.has_modes);
        let kind = match stat.kind {
            Kind::Executable if !has_modes && known.stat.is_none() => Kind::File,
            kind => kind,
        };
        if kind != known.kind {
            return Result::Differs(None);
        }
        let same = |is_same: bool, text| match is_same {
            true => Result::Same,
            false => Result::Differs(text),
        };
        match &known.content {
            Content::Blob(oid, _) => self.differs_from_blob(found, known, *oid),
            Content::Kept { bytes, .. } if stat.size != *bytes as u64 => Result::Differs(None),
            Content::Kept { at, bytes } => match found.read(FILE_BYTES_MAX) {
                Ok((text, _)) => {
                    let is_same = self.before.kept(*at, *bytes).is_ok_and(|kept| kept == text);
                    same(is_same, Some(text))
                }
                Err(_) => Result::Differs(None),
            },
            Content::Target(target) => same(found.target().is_ok_and(|now| now == *target), None),
            Content::Commit(_) => Result::Differs(None),
            Content::Unknown => same(is_as_it_was, None),
        }
    }

    fn differs_from_blob(&mut self, found: &Found<'_>, known: &Known, oid: Oid) -> Result {
        if found.noted().is_some_and(|(entry, holds)| holds && entry.oid == oid) {
            return Result::Same;
        }
        let Some(tree) = found.tree else { return Result::Differs(None) };
        if found.stat.kind == Kind::Link {
            let is_same = found.target().is_ok_and(|target| is_blob(&target, oid, tree));
            return if is_same { Result::Same } else { Result::Differs(None) };
        }
        let size = found.stat.size;
        if size > FILE_BYTES_MAX {
            let is_same_size = known.stat.is_none_or(|stat| stat.size == size);
            let is_same = is_same_size && self.hashed + size <= HASHED_BYTES_MAX && {
                self.hashed += size;
                let name = found.open().and_then(|file| tree.repository.hash.blob(size, file));
                name.is_ok_and(|name| name == oid)
            };
            return if is_same { Result::Same } else { Result::Differs(None) };
        }
        match found.read(FILE_BYTES_MAX) {
            Ok((text, _)) if is_blob(&text, oid, tree) => Result::Same,
            Ok((text, _)) => Result::Differs(Some(text)),
            Err(_) => Result::Differs(None),
        }
    }

    /// What the walk has not met: it is gone, is ignored by now, or cannot be looked at.
    fn rest(&mut self, walked: &mut Walked, patience: &Patience) -> io::Result<()> {
        let before = self.before;
        for (path, known) in &before.files {
            if self.seen.contains(&path[..]) {
                continue;
            }
            patience.check()?;
            let tree = walked.trees.iter().filter(|tree| path.starts_with(&tree.prefix));
            let tree = tree.max_by_key(|tree| tree.prefix.len()).map(|tree| &**tree);
            let looked = look_at(&before.root, path, tree, |found| match found.stat.kind {
                Kind::Folder => true,
                _ => {
                    self.see(found);
                    false
                }
            });
            match looked {
                Ok(false) => {}
                Ok(true) => self.folder(path, known, &walked.trees),
                Err(error) if is_gone(&error) => {
                    let is_left_out = known.stat.is_none()
                        && tree
                            .is_some_and(|tree| tree.index.leaves_out(&path[tree.prefix.len()..]));
                    if !is_left_out {
                        self.gone(path, known);
                    }
                }
                Err(_) => walked.unseen.push(shown(path)),
            }
        }
        for path in &before.missing {
            if !self.changes.contains_key(path) && self.may_have_been_removed(path) {
                let change = Change { letter: '?', before: None, after: None };
                self.changes.insert(path.clone(), change);
            }
        }
        Ok(())
    }

    fn gone(&mut self, path: &[u8], known: &'a Known) {
        self.changes
            .insert(path.to_owned(), Change { letter: 'D', before: Some(known), after: None });
    }

    /// A folder is where a file or a submodule was.
    fn folder(&mut self, path: &[u8], known: &'a Known, trees: &[Arc<Tree>]) {
        if !matches!(known.content, Content::Commit(_)) {
            return self.gone(path, known);
        }
        // One that is not checked out is as it should be.
        let is_checked_out = trees.iter().any(|tree| tree.prefix.strip_suffix(b"/") == Some(path));
        if is_checked_out {
            let change = Change { letter: 'M', before: None, after: None };
            self.changes.insert(path.to_owned(), change);
        }
    }

    /// Whether something was removed from the folder of a file after the agent had begun.
    fn may_have_been_removed(&self, path: &[u8]) -> bool {
        let mut folder = path;
        while let Some(slash) = folder.iter().rposition(|byte| *byte == b'/') {
            folder = &folder[..slash];
            let changed = look_at(&self.before.root, folder, None, |found| found.stat.changed);
            if let Ok(changed) = changed {
                return self.is_uncertain(changed);
            }
        }
        let root = look_at(&self.before.root, b".", None, |found| found.stat.changed);
        root.is_ok_and(|changed| self.is_uncertain(changed))
    }
}

/// The changes as a diff, or its beginning.
fn differences(
    before: &Snapshot,
    changes: &BTreeMap<Vec<u8>, Change<'_>>,
    env: &Environment,
    patience: &Patience,
) -> String {
    let shown = || changes.iter().filter(|(_, change)| change.letter != '?').take(SHOWN_MAX);
    let mut wanted: HashMap<usize, Vec<Oid>> = HashMap::new();
    for (_, change) in shown() {
        if let Some(Known { content: Content::Blob(oid, repository), .. }) = change.before {
            wanted.entry(*repository).or_default().push(*oid);
        }
    }
    let mut blobs = HashMap::new();
    if !wanted.is_empty()
        && let Some(program) = git::program(env, Some(&before.root))
    {
        for (number, names) in wanted {
            let Some(repository) = before.repositories.get(number) else { continue };
            // Without git the names of the files are all there is.
            let read = patience.check().and_then(|()| {
                Git::over(&program, repository, env, patience)?.blobs(&names, FILE_BYTES_MAX)
            });
            blobs.extend(read.unwrap_or_default());
        }
    }
    let mut diff = diff::Diff::default();
    for (path, change) in shown() {
        if diff.is_full() || patience.check().is_err() {
            break;
        }
        let (old, new) = (change.before, change.after.as_ref());
        let new_text = new.and_then(|(_, text)| text.clone());
        let old_text = old.and_then(|known| old_text(before, known, &blobs, new_text.as_deref()));
        if old_text.is_none() && new_text.is_none() {
            continue;
        }
        let old = old.map(|known| Side { kind: known.kind, text: old_text });
        let new = new.map(|(kind, _)| Side { kind: *kind, text: new_text });
        diff.file(path, old, new);
    }
    diff.finish()
}
/// What a file contained, as it stood in the folder.
fn old_text(
    before: &Snapshot,
    known: &Known,
    blobs: &HashMap<Oid, Vec<u8>>,
    new: Option<&[u8]>,
) -> Option<Vec<u8>> {
    match &known.content {
        Content::Kept { at, bytes } => before.kept(*at, *bytes).ok(),
        Content::Target(target) => Some(target.clone()),
        Content::Blob(oid, _) => {
            let blob = blobs.get(oid)?;
            let is_stored_elsewhere = blob.starts_with(b"version https://git-lfs.github.com/spec/");
            let has_returns = |text: &[u8]| text.windows(2).any(|pair| pair == b"\r\n");
            match &known.stat {
                Some(stat) if stat.size == blob.len() as u64 => Some(blob.clone()),
                // A filter of the user's made it what it was in the folder. The ends of lines are the common case.
                Some(stat) => {
                    Some(with_returns(blob)).filter(|text| text.len() as u64 == stat.size)
                }
                None if is_stored_elsewhere => None,
                None if new.is_some_and(has_returns) && !has_returns(blob) => {
                    Some(with_returns(blob))
                }
                None => Some(blob.clone()),
            }
        }
        Content::Commit(_) | Content::Unknown => None,
    }
}

/// A text with the ends of lines that it has on Windows.
fn with_returns(text: &[u8]) -> Vec<u8> {
    let mut returned = Vec::with_capacity(text.len() + text.len() / 32);
    for byte in text {
        if *byte == b'\n' {
            returned.push(b'\r');
        }
        returned.push(*byte);
    }
    returned
}
