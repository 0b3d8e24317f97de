//! What is wrong in a file, with the place and the way out.

use crate::fail::Fail;
use belay_trace::visible_line;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use unicode_width::UnicodeWidthStr as _;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Mistake {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A file that cannot be used, with all that is wrong in it.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    pub(super) path: Arc<Path>,
    pub(super) text: String,
    /// In the order of the file; never empty.
    pub(super) mistakes: Vec<Mistake>,
    /// The file itself is the mistake.
    pub(super) unreadable: bool,
}

impl Wrong {
    /// A file that could not be read.
    pub(super) fn unreadable(path: &Path, why: String, hint: &str) -> Self {
        let mistakes = vec![Mistake::new(0..0, why).hint(hint)];
        Self { path: path.into(), text: String::new(), mistakes, unreadable: true }
    }

    /// The first mistake, in one line.
    pub(crate) fn first(&self) -> String {
        self.mistakes.first().map_or_else(String::new, |mistake| self.headline(mistake))
    }

    /// Every mistake with its line.
    pub(crate) fn all(&self) -> Vec<Fail> {
        self.mistakes.iter().map(|mistake| self.fail(mistake)).collect()
    }

    fn headline(&self, mistake: &Mistake) -> String {
        let path = self.path.display();
        if self.unreadable {
            return mistake.message.clone();
        }
        let place = Place::of(&self.text, mistake.span.start);
        format!("{path}:{}:{}: {}", place.line, place.column, mistake.message)
    }

    fn fail(&self, mistake: &Mistake) -> Fail {
        let mut fail = Fail::configuration(self.headline(mistake));
        if !self.unreadable {
            fail = fail.excerpt(excerpt(&self.text, &mistake.span));
        }
        match &mistake.hint {
            Some(hint) => fail.hint(hint),
            None => fail,
        }
    }
}

impl From<Box<Wrong>> for Fail {
    /// The first mistake, and how many more there are.
    fn from(wrong: Box<Wrong>) -> Self {
        let Some(first) = wrong.mistakes.first() else { return Self::configuration("?") };
        let fail = wrong.fail(first);
        match wrong.mistakes.len() - 1 {
            0 => fail,
            n => fail.also(format_args!("there is more: {n}; see `belay config check`")),
        }
    }
}

/// A place as people and editors count: both from 1, the column in characters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    pub(super) fn of(text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// A line that is longer than a screen says nothing by being shown whole.
const SHOWN_MAX: usize = 100;

/// The line with the mistake, and a mark below it.
fn excerpt(text: &str, span: &Range<usize>) -> String {
    let at = span.start.min(text.len());
    let begin = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    let line = text.get(begin..).unwrap_or_default().lines().next().unwrap_or_default();
    let shown: String = line.chars().take(SHOWN_MAX).collect();
    let number = Place::of(text, at).line.to_string();
    let margin = " ".repeat(number.len());
    let mut excerpt = format!("{margin} |\n{number} | {}\n", visible(&shown));
    let width = |range: Range<usize>| visible(line.get(range).unwrap_or_default()).width();
    let before = width(0..at - begin);
    if before <= SHOWN_MAX {
        let end = span.end.min(begin + line.len()).max(at);
        let marks = width(at - begin..end - begin).clamp(1, SHOWN_MAX);
        let _ = write!(excerpt, "{margin} | {}{}", " ".repeat(before), "^".repeat(marks));
    }
    excerpt
}

/// Harmless on a terminal, and a tab as wide as it counts.
fn visible(text: &str) -> String {
    visible_line(&text.replace('\t', " ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, span: Range<usize>, want: &str) {
        assert_eq!(excerpt(text, &span), want);
    }

    #[test]
    fn the_mark_stands_below_the_mistake() {
        check("a = 1\nbc = 2\n", 6..8, "  |\n2 | bc = 2\n  | ^^");
        check("a = 1", 5..5, "  |\n1 | a = 1\n  |      ^");
        check("", 0..0, "  |\n1 | \n  | ^");
        check("a = \"x\ny\"", 4..9, "  |\n1 | a = \"x\n  |     ^^");
    }

    #[test]
    fn wide_and_harmful_characters_move_no_mark() {
        check("\t\"ä漢\" = x", 10..11, "  |\n1 |  \"ä漢\" = x\n  |         ^");
        check("\u{1b}[31m = 1", 6..7, "  |\n1 | \\u{1b}[31m = 1\n  |            ^");
    }

    #[test]
    fn of_a_long_line_the_beginning_is_shown() {
        let text = format!("a = \"{}\" x", "y".repeat(500));
        let shown = excerpt(&text, &(text.len() - 1..text.len()));
        assert!(shown.lines().count() == 2 && shown.len() < 120, "{shown}");
    }

    #[test]
    fn a_column_counts_characters() {
        assert_eq!(Place::of("a\n ä x", 6), Place { line: 2, column: 4 });
    }
}
