//! Words for people, on standard error. A terminal that is gone, or a full disk behind it, is no reason to
//! fail: what was to be done is done all the same.

use crate::terminal;
use belaykit::Redaction;
use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write as _;

/// A line on standard error.
pub(crate) fn say(line: impl Display) {
    let line = line.to_string();
    let _ = writeln!(terminal::stderr(), "{}", without_secrets(&line));
}

/// What is said of the user's own settings and words: a key may stand in any of them.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    Redaction::default().text(text)
}

/// A line that begins with `warning:`.
pub(crate) fn warn(line: impl Display) {
    say(format_args!("warning: {line}"));
}
