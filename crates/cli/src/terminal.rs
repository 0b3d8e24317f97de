//! The way to standard output and standard error. What goes to a terminal passes a filter there: whatever a model, a
//! tool or a file has in it, nothing but belay's own colors is obeyed. A pipe or a file gets every byte as it is.

#![expect(clippy::disallowed_methods, reason = "this is the one place that opens them")]

use belay_trace::visible;
use std::fmt::Display;
use std::io::{self, IsTerminal, Stderr, Stdout, StdoutLock, Write};

/// Standard output.
pub(crate) fn stdout() -> Shown<Stdout> {
    Shown::new(io::stdout())
}

/// Standard output, held.
pub(crate) fn stdout_locked() -> Shown<StdoutLock<'static>> {
    Shown::new(io::stdout().lock())
}

/// Standard error.
pub(crate) fn stderr() -> Shown<Stderr> {
    Shown::new(io::stderr())
}

/// Puts words of belay's own in the place of the line that stands on standard error.
pub(crate) fn rewrite_line(words: impl Display) {
    let mut stderr = io::stderr();
    // A terminal that is gone is no reason to fail.
    let _ = write!(stderr, "\r{words}\x1b[K").and_then(|()| stderr.flush());
}

/// A stream; what a terminal would obey is made visible on its way.
#[derive(Debug)]
pub(crate) struct Shown<W: Write> {
    inner: W,
    filter: Option<Filter>,
}

impl<W: Write + IsTerminal> Shown<W> {
    fn new(inner: W) -> Self {
        let filter = inner.is_terminal().then(Filter::default);
        Self { inner, filter }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.filter.is_some()
    }

    /// The stream itself, to ask what it is.
    pub(crate) fn handle(&self) -> &W {
        &self.inner
    }
}

impl<W: Write> Write for Shown<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.filter {
            None => self.inner.write(bytes),
            Some(filter) => {
                let text = filter.pass(bytes);
                self.inner.write_all(text.as_bytes())?;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> Drop for Shown<W> {
    fn drop(&mut self) {
        if let Some(filter) = &mut self.filter {
            // A terminal that is gone needs nothing more.
            let _ = self.inner.write_all(filter.end().as_bytes());
        }
    }
}

/// What was written and is not yet known to be harmless: a letter or a color that is cut by the end of a write.
#[derive(Debug, Default)]
struct Filter {
    held: Vec<u8>,
}

/// The beginning of a color, and of every other order to a terminal.
const ESCAPE: char = '\u{1b}';

/// No color of ours is longer.
const COLOR_BYTES_MAX: usize = 16;

/// What comes next behind an escape.
enum Order {
    /// A color of ours, of so many bytes.
    Color(usize),
    /// Perhaps one: its end is not there yet.
    Unfinished,
    Other,
}

impl Filter {
    /// The part of what was written so far that can be shown.
    fn pass(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let (text, rest) = decode(&held);
        let (shown, unfinished) = shown(&text);
        let mut keep = unfinished.as_bytes().to_vec();
        keep.extend_from_slice(rest);
        self.held = keep;
        shown
    }

    /// What is held, when nothing more comes.
    fn end(&mut self) -> String {
        visible(&String::from_utf8_lossy(&std::mem::take(&mut self.held))).into_owned()
    }
}

/// The text, and the beginning of a letter whose end is not there.
fn decode(bytes: &[u8]) -> (String, &[u8]) {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                return (text, &[]);
            }
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                text.push_str(std::str::from_utf8(valid).unwrap_or_default());
                let Some(len) = error.error_len() else { return (text, after) };
                text.push(char::REPLACEMENT_CHARACTER);
                rest = &after[len..];
            }
        }
    }
}

/// The text with colors as they are and everything else visible, and what is left for later.
fn shown(text: &str) -> (String, &str) {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(ESCAPE) {
        shown.push_str(&visible(&rest[..at]));
        rest = &rest[at..];
        let len = match order(rest) {
            Order::Color(len) => {
                shown.push_str(&rest[..len]);
                len
            }
            Order::Unfinished => return (shown, rest),
            Order::Other => {
                shown.push_str(&visible(&rest[..1]));
                1
            }
        };
        rest = &rest[len..];
    }
    shown.push_str(&visible(rest));
    (shown, "")
}

fn order(text: &str) -> Order {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else {
        return if text.len() == 1 { Order::Unfinished } else { Order::Other };
    };
    let len = parameters.bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
    if len > COLOR_BYTES_MAX {
        return Order::Other;
    }
    let (parameters, end) = parameters.split_at(len);
    match end.bytes().next() {
        None => Order::Unfinished,
        Some(b'm') if parameters.split(';').all(is_ours) => {
            Order::Color(text.len() - end.len() + 1)
        }
        Some(_) => Order::Other,
    }
}

/// True for a parameter of a color that hides nothing: bold, dim, italic, underlined, the sixteen colors and their ends.
fn is_ours(parameter: &str) -> bool {
    match parameter.parse::<u8>() {
        Ok(n) => matches!(n, 0..=4 | 22..=24 | 30..=37 | 39 | 90..=97),
        Err(_) => parameter.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_at_once(text: &[u8]) -> String {
        let mut filter = Filter::default();
        filter.pass(text) + &filter.end()
    }

    #[test]
    fn colors_pass_and_every_other_order_is_visible() {
        for (text, want) in [
            ("\u{1b}[1;31mred\u{1b}[0m\u{1b}[m", "\u{1b}[1;31mred\u{1b}[0m\u{1b}[m"),
            ("\u{1b}[8mhidden", "\\u{1b}[8mhidden"),
            ("\u{1b}[2Jcleared", "\\u{1b}[2Jcleared"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{1b}c\u{9b}31m\u{7f}", "\\u{1b}c\\u{9b}31m\\u{7f}"),
            ("over\rwritten", "over\\rwritten"),
            ("\u{202e}txt\u{2066}", "\\u{202e}txt\\u{2066}"),
            ("a\tb\nü 🦀", "a\tb\nü 🦀"),
            ("\u{1b}[31", "\\u{1b}[31"),
            ("\u{1b}[99999999999999999999m", "\\u{1b}[99999999999999999999m"),
            ("\u{1b}\u{1b}[0m", "\\u{1b}\u{1b}[0m"),
        ] {
            assert_eq!(all_at_once(text.as_bytes()), want, "{text:?}");
        }
        assert_eq!(all_at_once(b"\xff\xc3("), "\u{fffd}\u{fffd}(");
        assert_eq!(all_at_once(b"cut \xf0\x9f\xa6"), "cut \u{fffd}");
    }

    #[test]
    fn it_does_not_matter_where_a_write_is_cut() {
        let text =
            "\u{1b}[1;31mred\u{1b}[0m ü🦀 \u{1b}]0;t\u{7} \u{1b}[8m \u{202e} \u{1b}[2J\u{1b}"
                .as_bytes();
        let want = all_at_once(text);
        for cut in 0..=text.len() {
            for second in cut..=text.len() {
                let mut filter = Filter::default();
                let pieces = [&text[..cut], &text[cut..second], &text[second..]];
                let mut seen: String = pieces.iter().map(|piece| filter.pass(piece)).collect();
                seen.push_str(&filter.end());
                assert_eq!(seen, want, "{cut} {second}");
            }
        }
    }
}
