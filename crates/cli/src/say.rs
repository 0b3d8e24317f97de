//! Words for people, on standard error. A terminal that is gone, or a full disk behind it, is no reason to
//! fail: what was to be done is done all the same.

use crate::terminal;
use std::fmt::Display;
use std::io::Write as _;

/// A line on standard error.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(terminal::stderr(), "{line}");
}

/// A line that begins with `warning:`.
pub(crate) fn warn(line: impl Display) {
    say(format_args!("warning: {line}"));
}
