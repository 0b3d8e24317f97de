//! From a path to a document, or to what is wrong with it.

use super::document::Document;
use super::mistake::{Mistake, Wrong};
use super::places::Places;
use super::setting::Which;
use crate::byte_order_mark::without_mark;
use crate::say::warn;
use belay_trace::{read_regular, visible_line};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use toml::de::DeTable;

/// The longest file: a thousand times what anybody writes by hand.
const BYTES_MAX: u64 = 1 << 20;

/// A file while it is read.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(super) which: Which,
    pub(super) path: Arc<Path>,
    /// Where relative paths begin.
    pub(super) folder: PathBuf,
    pub(super) home: Option<&'a Path>,
    pub(super) user: Option<&'a Path>,
    pub(super) text: &'a str,
}

impl Reading<'_> {
    /// For values that stand in no file.
    pub(super) fn of_nothing() -> Self {
        Self {
            which: Which::User,
            path: Path::new("").into(),
            folder: PathBuf::new(),
            home: None,
            user: None,
            text: "",
        }
    }

    pub(super) fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1
    }

    /// The user's own file, to be named to people.
    pub(super) fn user_file(&self) -> String {
        self.user
            .map_or_else(|| "~/.config/belay/config.toml".into(), |path| path.display().to_string())
    }
}

/// The user's file, if there is one.
pub(super) fn user() -> Result<Option<Document>, Box<Wrong>> {
    Ok(file(Which::User, &Places::of(None))?.map(|(_, document)| document))
}

/// The file that is the user's, or the project's, if there is one.
pub(super) fn file(
    which: Which,
    places: &Places,
) -> Result<Option<(PathBuf, Document)>, Box<Wrong>> {
    let candidates = match which {
        Which::User => places.user.as_slice(),
        Which::Project => &places.project,
    };
    for path in candidates {
        if which == Which::Project && is_link(path) {
            static WARN: Once = Once::new();
            WARN.call_once(|| {
                warn(format_args!(
                    "{} is a link or lies behind one, and is not read: belay follows no links in a project",
                    visible_line(&path.to_string_lossy())
                ));
            });
            continue;
        }
        let text = match text(which, path) {
            Ok(text) => text,
            Err(error) if is_not_there(&error) => continue,
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                let hint = "mend it, or take it away";
                return Err(Box::new(Wrong::unreadable(path, message, hint)));
            }
        };
        let document = document(which, path, &text, places)?;
        return Ok(Some((path.clone(), document)));
    }
    Ok(None)
}

/// True for a project's file that is a link, or whose folder is one.
fn is_link(path: &Path) -> bool {
    let link = |path: &Path| path.symlink_metadata().is_ok_and(|data| data.is_symlink());
    link(path) || path.parent().is_some_and(link)
}

/// Reads the text of a file.
pub(super) fn document(
    which: Which,
    path: &Path,
    text: &str,
    places: &Places,
) -> Result<Document, Box<Wrong>> {
    let beside = path.parent().unwrap_or(path);
    // A project's file is in its folder `.belay`.
    let folder = match which {
        Which::User => beside,
        Which::Project => beside.parent().unwrap_or(beside),
    };
    let reading = Reading {
        which,
        path: path.into(),
        folder: folder.to_owned(),
        home: places.home.as_deref(),
        user: places.user.as_deref(),
        text,
    };
    let wrong = |mut mistakes: Vec<Mistake>| {
        mistakes.sort_by_key(|mistake| mistake.span.start);
        let (path, text) = (reading.path.clone(), text.to_owned());
        Box::new(Wrong { path, text, mistakes, unreadable: false })
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mistakes = errors
            .iter()
            .map(|error| Mistake::new(error.span().unwrap_or(0..0), error.message().to_owned()));
        return Err(wrong(mistakes.collect()));
    }
    let (document, mistakes) = Document::of(table.get_ref(), &reading);
    if mistakes.is_empty() { Ok(document) } else { Err(wrong(mistakes)) }
}

pub(super) fn text(which: Which, path: &Path) -> io::Result<String> {
    let data = fs::metadata(path)?;
    let refused = |why: &str| io::Error::new(ErrorKind::InvalidData, why.to_owned());
    if !data.is_file() {
        // Whoever reads a pipe may wait for ever.
        return Err(refused("it is no file"));
    }
    if data.len() > BYTES_MAX {
        return Err(refused("it is longer than any configuration"));
    }
    if which == Which::User && is_writable_by_others(&data) {
        // It names programs that are run.
        return Err(refused("other users can write to it; `chmod o-w` it"));
    }
    let folder = path.parent().and_then(|folder| fs::metadata(folder).ok());
    if which == Which::User && folder.is_some_and(|folder| is_open_to_others(&folder)) {
        // Somebody could put another file in its place.
        return Err(refused("other users can write to its folder; `chmod o-w` that"));
    }
    let bytes = without_mark(read_regular(path)?);
    String::from_utf8(bytes).map_err(|error| {
        refused(&format!("it is not UTF-8 (byte {})", error.utf8_error().valid_up_to()))
    })
}

fn is_writable_by_others(data: &Metadata) -> bool {
    data.mode() & 0o002 != 0
}

/// True for a folder in which others may replace files that are not theirs.
fn is_open_to_others(folder: &Metadata) -> bool {
    const STICKY: u32 = 0o1000;
    is_writable_by_others(folder) && folder.mode() & STICKY == 0
}

fn is_not_there(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
