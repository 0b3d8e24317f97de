//! One line, put together from the left to the right.

use crate::fit::fit;
use anstyle::Style;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr as _;

/// A line that knows how many columns it takes. What is put into it must be harmless already.
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    used: usize,
    paint: bool,
}

impl Line {
    pub(super) fn new(paint: bool) -> Self {
        Self { text: String::new(), used: 0, paint }
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.used = 0;
    }

    /// The line so far. It never ends in spaces.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Puts `text` at the end, as far as it reaches no further than the column `end`.
    pub(super) fn put(&mut self, style: Style, text: &str, end: usize) {
        let room = end.saturating_sub(self.used);
        if room == 0 || text.is_empty() {
            return;
        }
        let text = fit(text, room);
        self.used += text.width();
        if self.paint && style != Style::new() {
            // Writing to a string does not fail.
            let _ = write!(self.text, "{style}{text}{style:#}");
        } else {
            self.text.push_str(&text);
        }
    }

    /// The same, two columns behind what stands there.
    pub(super) fn put_apart(&mut self, style: Style, text: &str, end: usize) {
        // One letter and a mark of what is left out say nothing.
        if !text.is_empty() && self.used + GAP + 2 <= end {
            self.pad_to(self.used + GAP);
            self.put(style, text, end);
        }
    }

    /// Puts `text` so that it ends at the column `end`.
    pub(super) fn put_right(&mut self, style: Style, text: &str, end: usize) {
        if !text.is_empty() {
            self.pad_to(end.saturating_sub(text.width()));
            self.put(style, text, end);
        }
    }

    /// Goes on at the column `column`, or where the line is if it is further.
    pub(super) fn pad_to(&mut self, column: usize) {
        while self.used < column {
            self.text.push(' ');
            self.used += 1;
        }
    }

    /// How many columns it takes.
    pub(super) fn used(&self) -> usize {
        self.used
    }
}

/// What stands between two parts of a line.
pub(super) const GAP: usize = 2;
