//! Quotes in words.

/// Which quotes are open behind the words that were read.
///
/// Open is an odd number of double quotes without a backslash before them; an odd number of backticks; a single quote
/// that does not stand behind a letter or digit, up to the next that does not stand before one; typographic quotes
/// (“, «) that were not closed. Each kind is counted for itself: where they are mixed, more is open rather than less.
#[derive(Debug, Default)]
pub(super) struct Quotes {
    double: bool,
    backtick: bool,
    single: bool,
    typographic: usize,
}

impl Quotes {
    /// Reads the next words of the line.
    pub(super) fn read(&mut self, words: &str) {
        let (mut before, mut is_escaped) = (' ', false);
        let mut chars = words.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if !is_escaped => self.double = !self.double,
                '`' => self.backtick = !self.backtick,
                '\'' if self.single => {
                    self.single = chars.peek().is_some_and(|next| next.is_alphanumeric());
                }
                '\'' => self.single = !before.is_alphanumeric(),
                '“' | '„' | '«' => self.typographic += 1,
                '”' | '»' => self.typographic = self.typographic.saturating_sub(1),
                _ => {}
            }
            is_escaped = c == '\\' && !is_escaped;
            before = c;
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.double || self.backtick || self.single || self.typographic > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_open_until_it_is_closed() {
        for (words, want) in [
            ("", false),
            ("Debugger attached.", false),
            ("it prints \"", true),
            ("it prints \"\"", false),
            (r#""a \" b"#, true),
            (r#""a \\" b"#, false),
            (r#"{"a": ""#, true),
            (r#"{"a": 1"#, false),
            ("`", true),
            ("```", true),
            ("`a` b", false),
            ("it's", false),
            ("the dogs'", false),
            ("echo '", true),
            ("echo ('", true),
            ("echo 'it's", true),
            ("echo 'a' b", false),
            ("he said “", true),
            ("he said “a” and «b»", false),
        ] {
            let mut quotes = Quotes::default();
            quotes.read(words);
            assert_eq!(quotes.is_open(), want, "{words}");
        }
    }
}
