//! Changes of files as a text that people and models know from git.

use super::stat::Kind;
use similar::TextDiff;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How much of a diff is made: the account of the work has room for less.
const BYTES_MAX: usize = 256 << 10;

/// How long two texts are compared to find the smallest difference; a larger one is right as well.
const PATIENCE: Duration = Duration::from_millis(200);

/// One state of a file.
pub(super) struct Side {
    pub(super) kind: Kind,
    /// Its text, or nothing if that is not known.
    pub(super) text: Option<Vec<u8>>,
}

/// A diff that grows file by file.
#[derive(Default)]
pub(super) struct Diff {
    text: String,
}

impl Diff {
    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= BYTES_MAX
    }

    /// Adds a file: what it was and what it is, as far as it was and is there.
    pub(super) fn file(&mut self, path: &[u8], old: Option<Side>, new: Option<Side>) {
        let path = String::from_utf8_lossy(path).replace(['\n', '\r'], "?");
        let _ = writeln!(self.text, "diff --git a/{path} b/{path}");
        let mode = |side: &Option<Side>| side.as_ref().map(|side| mode(side.kind));
        match (mode(&old), mode(&new)) {
            (None, Some(mode)) => self.line(&format!("new file mode {mode}")),
            (Some(mode), None) => self.line(&format!("deleted file mode {mode}")),
            (Some(old), Some(new)) if old != new => {
                self.line(&format!("old mode {old}\nnew mode {new}"));
            }
            _ => {}
        }
        let name = |side: &Option<Side>, letter| match side {
            Some(_) => format!("{letter}/{path}"),
            None => "/dev/null".to_owned(),
        };
        let (old_name, new_name) = (name(&old, 'a'), name(&new, 'b'));
        let text = |side: Option<Side>| side.map_or_else(|| Some(Vec::new()), |side| side.text);
        let (Some(old), Some(new)) = (text(old), text(new)) else {
            return self.line("[belay does not have both texts of this file]");
        };
        if [&old, &new].iter().any(|text| text.iter().take(8000).any(|byte| *byte == 0)) {
            return self.line("Binary files differ");
        }
        if old == new {
            return;
        }
        let until = Instant::now() + PATIENCE;
        let (old, new) = (String::from_utf8_lossy(&old), String::from_utf8_lossy(&new));
        let lines = TextDiff::configure().deadline(until).diff_lines(&*old, &*new);
        let mut hunks = lines.unified_diff();
        let _ = write!(self.text, "{}", hunks.header(&old_name, &new_name));
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{line}");
    }

    pub(super) fn finish(mut self) -> String {
        self.text.truncate(self.text.floor_char_boundary(BYTES_MAX));
        self.text
    }
}

/// A file's kind as git writes it.
fn mode(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "100644",
        Kind::Executable => "100755",
        Kind::Link => "120000",
        Kind::Folder => "160000",
        Kind::Other => "010000",
    }
}
