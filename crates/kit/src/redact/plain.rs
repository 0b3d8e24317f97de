//! Text as its author wrote it: without escapes, colors and entities, and with the way back to the bytes it came from.
//!
//! Tools print one text in many spellings: as JSON, as JSON within JSON, with `\u` escapes, between color codes, as
//! HTML, percent-encoded in an address. Secrets are looked for in the plain text only.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

/// A text, decoded.
#[derive(Debug)]
pub(super) struct Plain<'a> {
    raw: &'a [u8],
    pub(super) text: Cow<'a, [u8]>,
    /// Percent signs are decoded as well.
    is_address: bool,
    /// The escapes, listed when something has been found.
    escapes: OnceCell<Vec<Escape>>,
    /// Where an escape begins that the raw text ends in the middle of; the length of the raw text if it does not.
    pub(super) unfinished: usize,
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
    /// A color or another command to a terminal, of this length.
    Command(usize),
    /// The text ends in the middle of an escape.
    Unfinished,
}

impl<'a> Plain<'a> {
    /// Decodes escapes of strings (nested ones too), HTML entities and terminal commands.
    pub(super) fn of(raw: &'a [u8]) -> Self {
        Self::decoded(raw, false)
    }

    /// Decodes percent signs as well; nothing if there are none to decode.
    pub(super) fn of_address(raw: &'a [u8]) -> Option<Self> {
        let mut rest = raw;
        while let Some(at) = memchr::memchr(b'%', rest) {
            rest = &rest[at + 1..];
            if percent(rest).is_some() {
                return Some(Self::decoded(raw, true));
            }
        }
        None
    }

    fn decoded(raw: &'a [u8], is_address: bool) -> Self {
        let mut text = Vec::new();
        let mut copied = 0;
        let unfinished = escapes(raw, is_address, |from, len, char| {
            text.extend_from_slice(&raw[copied..from]);
            if let Some(char) = char {
                text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
            copied = from + len;
        });
        let text = match copied {
            0 => raw[..unfinished].into(),
            _ => {
                text.extend_from_slice(&raw[copied..unfinished]);
                text.into()
            }
        };
        Self { raw, text, is_address, escapes: OnceCell::new(), unfinished }
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
            escapes(self.raw, self.is_address, |raw, raw_len, char| {
                let len = char.map_or(0, char::len_utf8);
                all.push(Escape { at: raw - shift, len, raw, raw_len });
                shift += raw_len - len;
            });
            all
        });
        let n = all.partition_point(|escape| escape.at <= at);
        n.checked_sub(1).map(|n| all[n])
    }
}

/// Tells of each escape where it is, how long, and what it means; and where one begins that is cut.
fn escapes(
    raw: &[u8],
    is_address: bool,
    mut found: impl FnMut(usize, usize, Option<char>),
) -> usize {
    let mut at = 0;
    loop {
        let rest = &raw[at..];
        let next = match is_address {
            false => memchr::memchr3(b'\\', 0x1b, b'&', rest),
            true => rest.iter().position(|byte| b"%\\\x1b&".contains(byte)),
        };
        let Some(n) = next else { return raw.len() };
        at += n;
        let unit = if is_address { address_unit(&raw[at..]) } else { unit(&raw[at..]) };
        match unit {
            Unit::Byte => at += 1,
            Unit::Escape(char, len) => {
                found(at, len, Some(char));
                at += len;
            }
            Unit::Command(len) => {
                found(at, len, None);
                at += len;
            }
            Unit::Unfinished => return at,
        }
    }
}

fn unit(rest: &[u8]) -> Unit {
    match rest[0] {
        b'\\' => escape(rest),
        0x1b => command(&rest[1..]).map_or(Unit::Unfinished, |len| match len {
            0 => Unit::Byte,
            len => Unit::Command(1 + len),
        }),
        b'&' => entity(rest),
        _ => Unit::Byte,
    }
}

fn address_unit(rest: &[u8]) -> Unit {
    match rest[0] {
        b'%' => percent(&rest[1..]).map_or(Unit::Byte, |char| Unit::Escape(char, 3)),
        _ => unit(rest),
    }
}

/// Backslashes, any number of them, and what they stand before: texts within texts have more of them.
fn escape(rest: &[u8]) -> Unit {
    match escape_of(rest) {
        // None of them is looked at again.
        (Unit::Byte, slashes) if slashes > 1 => Unit::Escape('\\', slashes),
        (unit, _) => unit,
    }
}

/// The escape, and how many backslashes it begins with.
fn escape_of(rest: &[u8]) -> (Unit, usize) {
    let Some(slashes) = rest.iter().position(|byte| *byte != b'\\') else {
        return (Unit::Unfinished, rest.len());
    };
    if !slashes.is_power_of_two() && matches!(rest[slashes], b'n' | b'r' | b't') {
        // A text within texts doubles them; what is left over is one of the text's own.
        let own = 1 << slashes.ilog2();
        return (Unit::Escape('\\', own), slashes);
    }
    let after = &rest[slashes + 1..];
    let known = |char| Unit::Escape(char, slashes + 1);
    let unit = match rest[slashes] {
        b'n' => known('\n'),
        b'r' => known('\r'),
        b't' => known('\t'),
        quote @ (b'"' | b'/' | b'\'' | b'`') => known(char::from(quote)),
        b'u' => code(after, slashes + 1, 4),
        b'x' => code(after, slashes + 1, 2),
        b'0' if after.starts_with(b"33") => escape_command(&after[2..], slashes + 3),
        b'e' if after.starts_with(b"[") => escape_command(after, slashes + 1),
        _ => Unit::Byte,
    };
    (unit, slashes)
}

/// The character of so many hexadecimal digits.
fn code(after: &[u8], before: usize, count: usize) -> Unit {
    let Some(digits) = after.get(..count) else {
        let is_cut = after.iter().all(u8::is_ascii_hexdigit);
        return if is_cut { Unit::Unfinished } else { Unit::Byte };
    };
    let code = std::str::from_utf8(digits).ok().and_then(|it| u32::from_str_radix(it, 16).ok());
    match code {
        Some(0x1b) => escape_command(&after[count..], before + count),
        Some(code) => Unit::Escape(char::from_u32(code).unwrap_or('?'), before + count),
        None => Unit::Byte,
    }
}

fn escape_command(after: &[u8], before: usize) -> Unit {
    command(after).map_or(Unit::Unfinished, |len| match len {
        0 => Unit::Byte,
        len => Unit::Command(before + len),
    })
}

/// A longer one is none.
const COMMAND_BYTES_MAX: usize = 512;

/// The length of a terminal command behind its escape, 0 if it is none; nothing if it is cut.
fn command(after: &[u8]) -> Option<usize> {
    match after.first()? {
        b'[' => {
            let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b';' | b'?');
            ends(&after[1..], is_part).map(|end| end.map_or(0, |end| end + 2))
        }
        b']' => {
            // What ends it may be escaped itself.
            let is_part = |byte: &u8| !matches!(byte, 0x07 | b'\n' | 0x1b | b'\\');
            ends(after, is_part).map(|end| match end {
                Some(end) if after[end] == b'\\' => end,
                end => end.map_or(0, |end| end + 1),
            })
        }
        b'(' | b')' => (after.len() > 1).then_some(2),
        _ => Some(0),
    }
}

/// Where a command's parts end, or that they are too many; nothing if the text is cut.
fn ends(after: &[u8], is_part: impl Fn(&u8) -> bool) -> Option<Option<usize>> {
    let end = after.iter().take(COMMAND_BYTES_MAX).position(|byte| !is_part(byte));
    (end.is_some() || after.len() >= COMMAND_BYTES_MAX).then_some(end)
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
        Some(char) => Unit::Escape(char, end + 3),
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
    fn an_escape_that_is_cut_is_no_text_yet() {
        for cut in ["\\", "\\\\", "\\u00", "\\x", "\u{1b}[3", "\u{1b}"] {
            let raw = format!("abc{cut}");
            let plain = Plain::of(raw.as_bytes());
            assert_eq!((&*plain.text, plain.unfinished), (&b"abc"[..], 3), "{cut:?}");
        }
    }
}
