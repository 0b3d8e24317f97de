//! Text as its author wrote it: without escapes, colors, entities and characters that nobody sees, and with the way back
//! to the bytes it came from.
//!
//! Tools print one text in many spellings: as JSON, as JSON within JSON, with `\u` escapes, between color codes, as
//! HTML, percent-encoded in an address. Secrets are looked for in the plain text only.

use belay_trace::is_invisible;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

/// A text, decoded.
#[derive(Debug)]
pub(super) struct Plain<'a> {
    raw: &'a [u8],
    pub(super) text: Cow<'a, [u8]>,
    reading: Reading,
    /// A terminal command has taken in bytes that may be words: a title, the letter behind an escape.
    hides_words: bool,
    /// The escapes, listed when something has been found.
    escapes: OnceCell<Vec<Escape>>,
    /// Where an escape begins that the raw text ends in the middle of; the length of the raw text if it does not.
    pub(super) unfinished: usize,
}

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// As a terminal shows it.
    Shown,
    /// Percent signs are decoded as well.
    Address,
    /// What terminal commands take in is text.
    Whole,
}

/// An escape: so many bytes of the raw text are so many of the plain one. Between two, each byte is one.
#[derive(Clone, Copy, Debug)]
struct Escape {
    at: usize,
    len: usize,
    raw: usize,
    raw_len: usize,
}

/// What stands at a place of a raw text.
enum Unit {
    /// Bytes as they are.
    Byte,
    /// An escape: what it means, and its length.
    Escape(char, usize),
    /// A color, another command to a terminal, or a character that nobody sees, of this length.
    Unseen(usize),
    /// The same, and there are words in it.
    Hidden(usize),
    /// A carriage return that ends no line: what follows is written over the line, or behind it.
    Return,
    /// The text ends in the middle of an escape.
    Unfinished,
}

/// Fewer are no secret.
const HIDDEN_BYTES_MIN: usize = 7;

impl<'a> Plain<'a> {
    /// Decodes escapes of strings (nested ones too), HTML entities and terminal commands.
    pub(super) fn of(raw: &'a [u8]) -> Self {
        Self::decoded(raw, Reading::Shown)
    }

    /// Decodes the same, but takes what terminal commands hide for text; nothing if they hide none.
    pub(super) fn of_hidden(&self) -> Option<Self> {
        self.hides_words.then(|| Self::decoded(self.raw, Reading::Whole))
    }

    /// Decodes percent signs as well; nothing if there are none to decode.
    pub(super) fn of_address(raw: &'a [u8]) -> Option<Self> {
        let mut rest = raw;
        while let Some(at) = memchr::memchr(b'%', rest) {
            rest = &rest[at + 1..];
            if percent(rest).is_some() {
                return Some(Self::decoded(raw, Reading::Address));
            }
        }
        None
    }

    fn decoded(raw: &'a [u8], reading: Reading) -> Self {
        let mut text = Vec::new();
        let (mut copied, mut hides_words) = (0, false);
        let unfinished = escapes(raw, reading, |from, unit| {
            if let Unit::Return = unit {
                hides_words = true;
                return;
            }
            text.extend_from_slice(&raw[copied..from]);
            if let Unit::Escape(char, _) = unit {
                text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
            hides_words |= matches!(unit, Unit::Hidden(_) | Unit::Escape('\r', _));
            copied = from + unit.len();
        });
        let text = match copied {
            0 => raw[..unfinished].into(),
            _ => {
                text.extend_from_slice(&raw[copied..unfinished]);
                text.into()
            }
        };
        // A command that is cut may have taken in words too.
        let hides_words = hides_words || raw.len() - unfinished > HIDDEN_BYTES_MIN;
        Self { raw, text, reading, hides_words, escapes: OnceCell::new(), unfinished }
    }

    /// The raw bytes of a part of the plain text: whole escapes.
    pub(super) fn raw(&self, at: &Range<usize>) -> Range<usize> {
        let from = self.raw_start(at.start);
        if at.is_empty() {
            return from..from;
        }
        let to = match self.escape(at.end - 1) {
            None => at.end,
            Some(it) if at.end - 1 < it.at + it.len => it.raw + it.raw_len,
            Some(it) => it.raw + it.raw_len + (at.end - it.at - it.len),
        };
        from..to
    }

    /// Where a byte of the plain text begins in the raw one.
    pub(super) fn raw_start(&self, at: usize) -> usize {
        if at >= self.text.len() {
            return self.unfinished;
        }
        match self.escape(at) {
            None => at,
            Some(it) if at < it.at + it.len => it.raw,
            Some(it) => it.raw + it.raw_len + (at - it.at - it.len),
        }
    }

    /// The last escape that begins here or before.
    fn escape(&self, at: usize) -> Option<Escape> {
        let all = self.escapes.get_or_init(|| {
            let (mut all, mut shift) = (Vec::new(), 0);
            escapes(self.raw, self.reading, |raw, unit| {
                if let Unit::Return = unit {
                    return;
                }
                let raw_len = unit.len();
                let len = if let Unit::Escape(char, _) = unit { char.len_utf8() } else { 0 };
                all.push(Escape { at: raw - shift, len, raw, raw_len });
                shift += raw_len - len;
            });
            all
        });
        let n = all.partition_point(|escape| escape.at <= at);
        n.checked_sub(1).map(|n| all[n])
    }
}

impl Unit {
    /// How many bytes it takes.
    fn len(&self) -> usize {
        match self {
            Self::Byte | Self::Return => 1,
            Self::Escape(_, len) | Self::Unseen(len) | Self::Hidden(len) => *len,
            Self::Unfinished => 0,
        }
    }

    /// The same behind so many bytes that belong to it.
    fn behind(self, before: usize) -> Self {
        match self {
            Self::Escape(char, len) => Self::Escape(char, before + len),
            Self::Unseen(len) => Self::Unseen(before + len),
            Self::Hidden(len) => Self::Hidden(before + len),
            other => other,
        }
    }

    /// A character that is written in so many bytes.
    fn of_char(char: char, len: usize) -> Self {
        if is_unseen(char) { Self::Unseen(len) } else { Self::Escape(char, len) }
    }
}

/// Nobody sees it, and it ends no line. The joiners of emoji are among them: no secret has one.
fn is_unseen(char: char) -> bool {
    let is_joiner = matches!(char, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
    char != '\r' && (is_joiner || is_invisible(char))
}

/// Bytes that an escape, or a character that nobody sees, begins with.
const STARTS: [bool; 256] = {
    let mut starts = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        starts[byte] = !matches!(byte as u8, b'\n' | b'\t');
        byte += 1;
    }
    // In UTF-8: C1 controls, the Arabic letter mark, U+180E, general punctuation, the byte order mark and variation
    // selectors, tags.
    let more = [b'\\', b'&', 0x7f, 0xc2, 0xd8, 0xe1, 0xe2, 0xef, 0xf3];
    let mut n = 0;
    while n < more.len() {
        starts[more[n] as usize] = true;
        n += 1;
    }
    starts
};

/// Tells of each escape where it is and what it means; and where one begins that is cut.
fn escapes(raw: &[u8], reading: Reading, mut found: impl FnMut(usize, &Unit)) -> usize {
    let is_address = reading == Reading::Address;
    let is_start = |byte: &u8| STARTS[usize::from(*byte)] || is_address && *byte == b'%';
    let mut at = 0;
    while let Some(n) = raw[at..].iter().position(is_start) {
        at += n;
        let unit = unit(&raw[at..], reading);
        match unit {
            Unit::Unfinished => return at,
            Unit::Byte => {}
            _ => found(at, &unit),
        }
        at += unit.len();
    }
    raw.len()
}

fn unit(rest: &[u8], reading: Reading) -> Unit {
    match rest[0] {
        b'\\' => escape(rest, reading),
        b'%' => percent(&rest[1..]).map_or(Unit::Byte, |char| Unit::Escape(char, 3)),
        0x1b => command(&rest[1..], 1, reading).behind(1),
        b'&' => entity(rest),
        b'\r' if rest.get(1).is_none_or(|next| *next == b'\n') => Unit::Byte,
        b'\r' if reading == Reading::Whole => Unit::Unseen(1),
        b'\r' => Unit::Return,
        0..0x20 | 0x7f => Unit::Unseen(1),
        _ => character(rest, reading),
    }
}

/// A character of several bytes that may be one that nobody sees.
fn character(rest: &[u8], reading: Reading) -> Unit {
    let len = match rest[0] {
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    let Some(bytes) = rest.get(..len) else {
        let is_cut = rest[1..].iter().all(|byte| matches!(byte, 0x80..0xc0));
        return if is_cut { Unit::Unfinished } else { Unit::Byte };
    };
    let char = str::from_utf8(bytes).ok().and_then(|it| it.chars().next());
    match char.filter(|char| is_unseen(*char)) {
        None => Unit::Byte,
        Some(char) => c1(char, &rest[len..], 1, reading).behind(len),
    }
}

/// Behind a character that nobody sees: the command that it begins, if it does.
fn c1(char: char, after: &[u8], slashes: usize, reading: Reading) -> Unit {
    match char {
        '\u{9b}' => command_of(b'[', after, slashes, reading),
        '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => command_of(b']', after, slashes, reading),
        _ => Unit::Unseen(0),
    }
}

/// Backslashes, any number of them, and what they stand before: texts within texts have more of them.
fn escape(rest: &[u8], reading: Reading) -> Unit {
    match escape_of(rest, reading) {
        // None of them is looked at again.
        (Unit::Byte, slashes) if slashes > 1 => Unit::Escape('\\', slashes),
        (unit, _) => unit,
    }
}

/// The escape, and how many backslashes it begins with.
fn escape_of(rest: &[u8], reading: Reading) -> (Unit, usize) {
    let Some(slashes) = rest.iter().position(|byte| *byte != b'\\') else {
        return (Unit::Unfinished, rest.len());
    };
    if !slashes.is_power_of_two() && matches!(rest[slashes], b'n' | b'r' | b't' | b'b' | b'f') {
        // A text within texts doubles them; what is left over is one of the text's own.
        let own = 1 << slashes.ilog2();
        return (Unit::Escape('\\', own), slashes);
    }
    let after = &rest[slashes + 1..];
    let known = |char| Unit::Escape(char, slashes + 1);
    let unit = match rest[slashes] {
        b'n' => known('\n'),
        b'r' if reading == Reading::Whole && !begins_line(after) => Unit::Unseen(slashes + 1),
        b'r' => known('\r'),
        b't' => known('\t'),
        quote @ (b'"' | b'/' | b'\'' | b'`') => known(char::from(quote)),
        b'b' | b'f' => Unit::Unseen(slashes + 1),
        b'u' => code(after, slashes, 4, reading).behind(slashes + 1),
        b'x' => code(after, slashes, 2, reading).behind(slashes + 1),
        b'0' if after.starts_with(b"33") => {
            command(&after[2..], 2 * slashes, reading).behind(slashes + 3)
        }
        b'e' if after.starts_with(b"[") => command(after, 2 * slashes, reading).behind(slashes + 1),
        _ => Unit::Byte,
    };
    (unit, slashes)
}

/// True if the other half of an end of a line follows, or nothing.
fn begins_line(after: &[u8]) -> bool {
    after.iter().find(|byte| **byte != b'\\').is_none_or(|byte| matches!(byte, b'n' | b'"'))
}

/// The character of so many hexadecimal digits, behind so many backslashes and a letter.
fn code(after: &[u8], slashes: usize, count: usize, reading: Reading) -> Unit {
    let Some(digits) = after.get(..count) else {
        let is_cut = after.iter().all(u8::is_ascii_hexdigit);
        return if is_cut { Unit::Unfinished } else { Unit::Byte };
    };
    let Some(code) = hexadecimal(digits) else { return Unit::Byte };
    let rest = &after[count..];
    match (code, char::from_u32(code)) {
        (0x1b, _) => command(rest, 2 * slashes, reading).behind(count),
        // A tag, which nobody sees, is written in two halves.
        (0xdb40, _) if is_second_half(rest, slashes) => Unit::Unseen(count + slashes + 5),
        (_, Some(char)) if is_unseen(char) => c1(char, rest, 2 * slashes, reading).behind(count),
        (_, char) => Unit::Escape(char.unwrap_or('?'), count),
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let digits = str::from_utf8(digits).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// True if the second half of a character follows that JSON writes in two.
fn is_second_half(rest: &[u8], slashes: usize) -> bool {
    let is_written = rest.len() >= slashes + 5
        && rest[..slashes].iter().all(|byte| *byte == b'\\')
        && rest[slashes] == b'u';
    let code = is_written.then(|| hexadecimal(&rest[slashes + 1..slashes + 5])).flatten();
    code.is_some_and(|code| matches!(code, 0xdc00..0xe000))
}

/// A longer one is none.
const COMMAND_BYTES_MAX: usize = 512;

/// A terminal command behind its escape character. A backslash that ends a string is written with so many.
fn command(after: &[u8], slashes: usize, reading: Reading) -> Unit {
    let Some(first) = after.first() else { return Unit::Unfinished };
    match first {
        b'[' | b']' => command_of(*first, &after[1..], slashes, reading).behind(1),
        b'P' | b'X' | b'^' | b'_' => command_of(b']', &after[1..], slashes, reading).behind(1),
        b'\\' => {
            let written = after.iter().take(slashes).take_while(|byte| **byte == b'\\').count();
            Unit::Unseen(written)
        }
        _ if reading == Reading::Whole => Unit::Unseen(0),
        // A set of characters.
        b' '..=b'/' => match after.get(1) {
            None => Unit::Unfinished,
            Some(b'0'..=b'~') => Unit::Hidden(2),
            Some(_) => Unit::Hidden(1),
        },
        b'0'..=b'~' => Unit::Hidden(1),
        _ => Unit::Unseen(0),
    }
}

/// The parts of a command behind how it begins: `[` or `]`.
fn command_of(introducer: u8, after: &[u8], slashes: usize, reading: Reading) -> Unit {
    if reading == Reading::Whole {
        return Unit::Unseen(0);
    }
    let is_part = |byte: &u8| match introducer {
        b'[' => matches!(byte, b' '..=b'?'),
        // What ends it may be escaped itself.
        _ => !matches!(byte, 0x07 | b'\n' | 0x1b | b'\\'),
    };
    let Some(end) = after.iter().take(COMMAND_BYTES_MAX).position(|byte| !is_part(byte)) else {
        let is_cut = after.len() < COMMAND_BYTES_MAX;
        return if is_cut { Unit::Unfinished } else { Unit::Hidden(0) };
    };
    match (introducer, after[end]) {
        // Colors and erasing take in no word, nor does what is private.
        (b'[', b'm' | b'K' | b'J' | b'H') => Unit::Unseen(end + 1),
        (b'[', b'@'..=b'~') if after[0] == b'?' => Unit::Unseen(end + 1),
        (b'[', b'@'..=b'~') => Unit::Hidden(end + 1),
        (_, 0x07) => Unit::Hidden(end + 1),
        (b']', 0x1b) => match after.get(end + 1) {
            None => Unit::Unfinished,
            Some(b'\\') => Unit::Hidden(end + 1 + slashes.min(1)),
            Some(_) => Unit::Hidden(end),
        },
        _ => Unit::Hidden(end),
    }
}

fn entity(rest: &[u8]) -> Unit {
    const NAMED: [(&[u8], char); 6] = [
        (b"&quot;", '"'),
        (b"&amp;", '&'),
        (b"&lt;", '<'),
        (b"&gt;", '>'),
        (b"&apos;", '\''),
        (b"&nbsp;", ' '),
    ];
    if let Some((name, char)) = NAMED.iter().find(|(name, _)| rest.starts_with(name)) {
        return Unit::Escape(*char, name.len());
    }
    let is_cut = rest.len() < 8
        && rest[1..].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'#');
    if is_cut && (rest.starts_with(b"&#") || NAMED.iter().any(|(name, _)| name.starts_with(rest))) {
        return Unit::Unfinished;
    }
    let Some(number) = rest.strip_prefix(b"&#") else { return Unit::Byte };
    let Some(end) = number.iter().take(8).position(|byte| *byte == b';') else { return Unit::Byte };
    let Ok(digits) = std::str::from_utf8(&number[..end]) else { return Unit::Byte };
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    match code.ok().and_then(char::from_u32) {
        Some(char) => Unit::of_char(char, end + 3),
        None => Unit::Byte,
    }
}

/// The character of two hexadecimal digits behind a percent sign, if it is a visible one or a space.
fn percent(after: &[u8]) -> Option<char> {
    let digits = std::str::from_utf8(after.get(..2)?).ok()?;
    let code = u8::from_str_radix(digits, 16).ok()?;
    matches!(code, b' '..=b'~' | b'\n' | b'\r').then(|| char::from(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(raw: &str) -> String {
        String::from_utf8(Plain::of(raw.as_bytes()).text.into_owned()).unwrap()
    }

    #[test]
    fn every_spelling_is_the_same_text() {
        for raw in [
            r#"a\n"b"#,
            r#"a\\n\\\"b"#,
            r#"\u0061\u000a\u0022b"#,
            "a\n&quot;b",
            "a&#10;&#x22;b",
            "\u{1b}[31ma\u{1b}[0m\n\"b",
            r#"\u001b[1;31ma\u001b[m\n\"b"#,
            r#"\033[1ma\x1b[0m\n\"b"#,
            "\u{0}a\u{7}\u{8}\n\u{7f}\"\u{200b}\u{feff}\u{200d}b\u{e0041}",
            r#"a\u0000\b\f\n\u200b\"\udb40\udc41\u007fb&#8203;"#,
            r#"a\\u0008\\b\\n\\\"b"#,
            "a\u{1b}(B\n\u{1b}7\"\u{1b}[4:3mb\u{1b}[1 q",
            "a\u{9b}31m\n\u{90}q words\u{1b}\\\"\u{9d}0;title\u{7}b",
            "\u{1b}]0;title\u{7}a\n\u{1b}]8;;https://x.test\u{1b}\\\"b\u{1b}_x\u{1b}\\",
            r#"a\u001b]8;;https://x.test\u001b\\\n\u001bP1\u001b\\\"\u009b1mb"#,
        ] {
            assert_eq!(plain(raw), "a\n\"b", "{raw}");
        }
        let address = Plain::of_address(b"a%0A%22b").unwrap();
        assert_eq!(&*address.text, b"a\n\"b");
        assert!(Plain::of_address(b"100 % of %d, %zz").is_none());
    }

    #[test]
    fn a_part_of_the_plain_text_is_whole_escapes_of_the_raw_one() {
        let raw = r#"x\\n\u0067hp_\"y"#;
        let plain = Plain::of(raw.as_bytes());
        assert_eq!(&*plain.text, b"x\nghp_\"y");
        assert_eq!(&raw[plain.raw(&(2..6))], r"\u0067hp_");
        assert_eq!(&raw[plain.raw(&(1..2))], r"\\n");
        assert_eq!(&raw[plain.raw(&(6..8))], r#"\"y"#);
        assert_eq!(plain.raw_start(8), raw.len());
    }

    #[test]
    fn what_commands_hide_is_read_as_text_too() {
        for raw in [
            "\u{1b}]0;a title\u{7}",
            "\u{9d}0;a title",
            "\u{1b}_a title",
            r"\u001b]0;a title\u0007",
        ] {
            let plain = Plain::of(raw.as_bytes());
            let hidden = plain.of_hidden().unwrap();
            let text = str::from_utf8(&hidden.text).unwrap();
            assert!(text.ends_with("a title"), "{raw:?}: {text:?}");
        }
        for raw in [
            "\u{1b}[31mred\u{1b}[0m",
            "\u{1b}[?25hshown",
            "a\u{8}b\u{200b}",
            "caf\u{e9} \u{2014} &amp;",
        ] {
            assert!(Plain::of(raw.as_bytes()).of_hidden().is_none(), "{raw:?}");
        }
    }

    #[test]
    fn an_escape_that_is_cut_is_no_text_yet() {
        for cut in ["\\", "\\\\", "\\u00", "\\x", "\u{1b}[3", "\u{1b}", "\u{1b}]0;t"] {
            let raw = format!("abc{cut}");
            let plain = Plain::of(raw.as_bytes());
            assert_eq!((&*plain.text, plain.unfinished), (&b"abc"[..], 3), "{cut:?}");
        }
    }
}
