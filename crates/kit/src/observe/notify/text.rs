//! Text of a limited length.

use belay_trace::plain;

/// The beginning of a text, with a mark if there was more. Lengths are those of UTF-16, which no service counts
/// higher; a character is never cut.
pub(crate) fn cut(text: &str, units_max: usize) -> String {
    match fitting(text, units_max) {
        end if end == text.len() => text.to_owned(),
        _ => format!("{}…", &text[..fitting(text, units_max.saturating_sub(1))]),
    }
}

/// How many bytes of a text fit into so many units.
pub(crate) fn fitting(text: &str, units_max: usize) -> usize {
    let mut units = 0;
    for (at, character) in text.char_indices() {
        units += character.len_utf16();
        if units > units_max {
            return at;
        }
    }
    text.len()
}

/// One line of it.
pub(crate) fn line(text: &str, units_max: usize) -> String {
    let text = plain(text);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    cut(&words.join(" "), units_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("ä🦀🦀", 5), "ä🦀🦀");
        assert_eq!(cut("ä🦀🦀", 4), "ä🦀…");
        assert_eq!(cut("🦀", 1), "…");
        assert_eq!(line(" a\n\tb\u{1b}[0m ", 20), "a b");
    }
}
