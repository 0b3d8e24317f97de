//! Text in columns: as much of it as fits, and painted if there is colour.

use anstyle::Style;
use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// As much of the text as takes so many columns.
pub(crate) fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    // A byte takes a column at most.
    if text.len() <= columns || text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let mut left = columns.saturating_sub(1);
    let taken = text.chars().take_while(|c| {
        let width = c.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    });
    let mut taken: String = taken.collect();
    // Some characters are wider in company than alone.
    while taken.width() >= columns.max(1) {
        taken.pop();
    }
    taken.push('…');
    Cow::Owned(taken)
}

/// The text in a style, or as it is.
pub(crate) fn painted(paint: bool, style: Style, text: &str) -> String {
    if paint { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_no_more_columns_than_it_has() {
        for (text, columns, want) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("日本語です", 5, "日本…"),
            ("日本語です", 4, "日…"),
            ("é\u{301}xyz", 3, "é\u{301}x…"),
            ("❤️❤️❤️", 4, "❤️❤…"),
            ("x", 0, "…"),
        ] {
            assert_eq!(fit(text, columns), want, "{text}");
        }
    }
}
