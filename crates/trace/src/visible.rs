//! Making what an agent printed harmless on a terminal.

use anstream::adapter::strip_str;
use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with every character that could control a terminal, or reorder what it shows, as a visible escape.
///
/// Line feeds and tabs stay. Escaped are the C0 and C1 controls, DEL, the bidirectional controls, and
/// invisible format characters: a tool's output can neither move the cursor, set a window's title, write to
/// the clipboard, nor show a command that differs from the one that was run.
///
/// ```
/// use belay_trace::visible;
///
/// assert_eq!(visible("a\x1b[31mb\rc"), r"a\u{1b}[31mb\rc");
/// assert_eq!(visible("two\nlines"), "two\nlines");
/// ```
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\r' => shown.push_str("\\r"),
            c if is_invisible(c) => {
                let _ = write!(shown, "{}", c.escape_unicode());
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// The text on one line: [`visible`], with line feeds and tabs as escapes too.
pub fn visible_line(text: &str) -> Cow<'_, str> {
    match visible(text) {
        shown if !shown.contains(['\n', '\t']) => shown,
        shown => Cow::Owned(shown.replace('\n', "\\n").replace('\t', "\\t")),
    }
}

/// A JSON text with the characters that [`visible`] escapes as JSON's own escapes: the same value, harmless on
/// a terminal.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_invisible) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_invisible(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// The text without terminal escapes (colors, titles, cursor movements) and without the characters that [`visible`]
/// escapes, carriage returns as line feeds: for whoever reads it as text, such as a model or a program that notifies people.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let text = strip_str(text).to_string().replace("\r\n", "\n").replace('\r', "\n");
    Cow::Owned(text.chars().filter(|c| !is_invisible(*c)).collect())
}

/// True of a character that shows nothing, and may control a terminal or reorder what it shows: what [`visible`] escapes.
/// Line feeds and tabs are none.
pub fn is_invisible(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        c if c.is_control() => true,
        // Line and paragraph separators.
        '\u{2028}' | '\u{2029}' => true,
        // Marks, embeddings, overrides and isolates of writing direction.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            true
        }
        // Zero width, word joiner and invisible operators, byte order mark, soft hyphen. Not the joiner
        // U+200D: emoji are made with it.
        '\u{ad}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{2060}'..='\u{2064}'
        | '\u{206a}'..='\u{206f}'
        | '\u{feff}' => true,
        // Interlinear annotations and tags.
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_gone_from_plain_text() {
        for (text, want) in [
            ("\u{1b}[1;31merror:\u{1b}[0m no", "error: no"),
            ("\u{1b}]0;title\u{7}words", "words"),
            ("\u{1b}]8;;https://x.test\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("a\tb\nc", "a\tb\nc"),
            ("\u{202e}evil\u{200b} \u{7f}ü", "evil ü"),
            ("10 %\r100 %\r\ndone", "10 %\n100 %\ndone"),
        ] {
            assert_eq!(plain(text), want, "{text:?}");
        }
    }

    #[test]
    fn every_control_character_becomes_visible() {
        for c in (0..=0x10_ffff_u32).filter_map(char::from_u32).filter(|c| c.is_control()) {
            let shown = visible(&c.to_string()).into_owned();
            let harmless = shown.chars().all(|c| !c.is_control() || c == '\n' || c == '\t');
            assert!(harmless, "U+{:04X}", c as u32);
        }
    }

    #[test]
    fn hostile_sequences_are_shown_and_not_obeyed() {
        for hostile in [
            "\x1b]52;c;ZXZpbA==\x07",
            "\x1b]8;;http://x\x1b\\",
            "\u{9b}31m",
            "\u{202e}evil",
            "\u{e0041}",
        ] {
            assert!(!visible(hostile).contains(hostile.chars().next().unwrap()), "{hostile:?}");
        }
    }

    #[test]
    fn json_keeps_its_value() {
        let json = serde_json::to_string("a\u{9b}2J\u{202e}\u{e0041}\u{7f}").unwrap();
        let shown = visible_json(&json);
        assert!(shown.is_ascii(), "{shown}");
        assert_eq!(
            serde_json::from_str::<String>(&shown).unwrap(),
            "a\u{9b}2J\u{202e}\u{e0041}\u{7f}"
        );
    }

    #[test]
    fn ordinary_text_is_not_copied() {
        assert!(matches!(visible("naïve 日本語 👩‍👩‍👧\n\tok"), Cow::Borrowed(_)));
    }
}
