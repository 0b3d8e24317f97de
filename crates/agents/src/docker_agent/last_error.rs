//! The words with which the program gives up: the last thing on its standard error.

/// Collects them, line by line. What tools and servers print beside the protocol comes before.
#[derive(Debug, Default)]
pub(super) struct LastError {
    lines: Vec<String>,
    bytes: usize,
}

/// How much of the words is kept: a provider's body has a page or two.
const BYTES_MAX: usize = 16 << 10;

const LEAD: &str = "Error: ";

impl LastError {
    /// Takes a line of standard error, without colors.
    pub(super) fn line(&mut self, line: &str) {
        let words = match line.strip_prefix(LEAD) {
            Some(words) => {
                (self.lines, self.bytes) = (Vec::new(), 0);
                words
            }
            None if self.lines.is_empty() => return,
            None => line,
        };
        let room = BYTES_MAX.saturating_sub(self.bytes);
        if room > 0 {
            let kept = &words[..words.floor_char_boundary(room)];
            self.bytes += kept.len() + 1;
            self.lines.push(kept.to_owned());
        }
    }

    /// The words, if the program has said why it gives up.
    pub(super) fn words(&self) -> Option<String> {
        (!self.lines.is_empty()).then(|| self.lines.join("\n").trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(lines: &[&str]) -> Option<String> {
        let mut error = LastError::default();
        lines.iter().for_each(|line| error.line(line));
        error.words()
    }

    #[test]
    fn the_last_error_counts_with_all_its_lines() {
        assert_eq!(words(&["Welcome", ""]), None);
        let lines = ["Error: of a server", "Welcome", "Error: keys:", " - A", ""];
        assert_eq!(words(&lines).as_deref(), Some("keys:\n - A"));
    }

    #[test]
    fn a_body_without_end_is_cut() {
        let line = format!("Error: {}", "ü".repeat(BYTES_MAX));
        let flood = [line.as_str(), "more", "and more"];
        assert!(words(&flood).is_some_and(|words| words.len() <= BYTES_MAX));
    }
}
