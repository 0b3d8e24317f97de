//! Escape sequences of terminals (ECMA-48): titles, colors, bracketed paste.

use memchr::memchr2;
use std::borrow::Cow;

/// The length of the escape sequence with which `text` begins; 0 if it begins with none.
///
/// One that breaks off is as long as it could be one. None goes over an object's beginning or a quote.
pub(super) fn length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (introducer, body) = match bytes {
        [ESC, kind @ (b'[' | b']' | b'P' | b'X' | b'^' | b'_'), ..] => (*kind, 2),
        [ESC, ..] => return 1 + short(&bytes[1..]),
        // The same in one character.
        [C1, 0x9b, ..] => (b'[', 2),
        [C1, 0x9d, ..] => (b']', 2),
        [C1, 0x90 | 0x98 | 0x9e | 0x9f, ..] => (b'P', 2),
        [C1, 0x9c, ..] => return 2,
        _ => return 0,
    };
    let rest = &bytes[body..];
    body + if introducer == b'[' { control(rest) } else { string(rest) }
}

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// The first byte of the control characters U+0080 to U+009F in UTF-8.
const C1: u8 = 0xc2;

/// Where the next sequence may begin.
pub(super) fn find(bytes: &[u8]) -> Option<usize> {
    memchr2(ESC, C1, bytes)
}

/// How many of them a sequence may have: without a limit, many that have no end would be searched to the line's end.
const DOUBLED_MAX: usize = 16;

/// Behind ESC: intermediate bytes and a final one (`ESC ( B`, `ESC =`).
fn short(rest: &[u8]) -> usize {
    let between = rest.iter().take_while(|byte| is_between(**byte)).count();
    between + usize::from(rest.get(between).is_some_and(|byte| is_final(*byte, 0x30)))
}

/// Behind CSI: parameters, intermediate bytes, a final one (`ESC [ ? 2004 h`).
fn control(rest: &[u8]) -> usize {
    let is_parameter = |byte| matches!(byte, 0x30..=0x3f) || is_between(byte);
    let mut at = rest.iter().take_while(|byte| is_parameter(**byte)).count();
    if let [b'"', b'p' | b'q', ..] = rest[at..] {
        // The two with a quote, which set the level of a terminal and protect characters.
        at += 1;
    }
    at + usize::from(rest.get(at).is_some_and(|byte| is_final(*byte, 0x40)))
}

/// Quotes are left to the words, should the sequence be cut there.
fn is_between(byte: u8) -> bool {
    matches!(byte, 0x20..=0x2f) && !matches!(byte, b'"' | b'\'')
}

fn is_final(byte: u8, first: u8) -> bool {
    (first..=0x7e).contains(&byte) && !matches!(byte, b'{' | b'`')
}

/// Behind OSC, DCS and their like: all up to BEL or ST. Nothing if it has no end, for then it is words.
fn string(rest: &[u8]) -> usize {
    let (mut at, mut doubled) = (0, 0);
    while let Some(next) = rest[at..].iter().position(|byte| matches!(*byte, BEL | ESC | C1)) {
        at += next;
        at += match rest[at..] {
            [BEL, ..] => return at + 1,
            [ESC, b'\\', ..] | [C1, 0x9c, ..] => return at + 2,
            // tmux passes a sequence through with each ESC twice.
            [ESC, ESC, ..] if doubled < DOUBLED_MAX => {
                doubled += 1;
                2
            }
            // Another sequence begins: this one was cut.
            [ESC, ..] | [C1, 0x90 | 0x98 | 0x9b | 0x9d | 0x9e | 0x9f, ..] => return 0,
            _ => 1,
        };
    }
    0
}

/// The text without escape sequences.
pub(crate) fn without_escapes(text: &str) -> Cow<'_, str> {
    let mut shown = Cow::Borrowed("");
    let (mut from, mut at) = (0, 0);
    while let Some(next) = find(&text.as_bytes()[at..]) {
        at += next;
        let len = length(&text[at..]);
        if len > 0 {
            shown += &text[from..at];
            from = at + len;
        }
        at += len.max(1);
    }
    shown += &text[from..];
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_end_where_a_terminal_ends_them() {
        for (text, want) in [
            ("\x1b]0;agent: ready\x07{", "\x1b]0;agent: ready\x07"),
            ("\x1b]0;ready\x1b\\{", "\x1b]0;ready\x1b\\"),
            ("\u{9d}0;ready\u{9c}{", "\u{9d}0;ready\u{9c}"),
            ("\x1b]0;{\"a\":1}\x07x", "\x1b]0;{\"a\":1}\x07"),
            ("\x1b[?2004h{", "\x1b[?2004h"),
            ("\x1b[1;31mred", "\x1b[1;31m"),
            ("\u{9b}0mx", "\u{9b}0m"),
            ("\x1b(B{", "\x1b(B"),
            ("\x1b={", "\x1b="),
            ("\x1bPtmux;\x1b\x1b]0;t\x07\x1b\\{", "\x1bPtmux;\x1b\x1b]0;t\x07"),
            // Cut off: no object is a part of them.
            ("\x1b{", "\x1b"),
            ("\x1b[{", "\x1b["),
            ("\x1b[?20{", "\x1b[?20"),
            ("\x1b[\"a\"", "\x1b["),
            ("\x1b[62;1\"p", "\x1b[62;1\"p"),
            ("\x1b]0;ready{\"a\":1}", "\x1b]"),
            ("\x1b]0;ready{\"a\":1}\x1b]0;x\x07", "\x1b]"),
            ("\x1b", "\x1b"),
            ("é", ""),
            ("\u{a9}", ""),
            ("{", ""),
        ] {
            assert_eq!(&text[..length(text)], want, "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_has_no_escape_sequences() {
        for (text, want) in [
            ("plain", "plain"),
            ("\x1b[31mred\x1b[0m é\u{9b}0m ©", "red é ©"),
            ("\x1b]0;title\x07", ""),
            ("\x1b]0;cut", "0;cut"),
        ] {
            assert_eq!(without_escapes(text), want, "{text:?}");
        }
        assert!(matches!(without_escapes("plain é"), Cow::Borrowed(_)));
    }
}
