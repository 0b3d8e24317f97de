//! The last words of an agent.

use crate::lines;
use crate::protocol::Out;
use belay_trace::{Event, EvidenceSource, Failure, Level, plain};

/// Reports each line that an agent prints on its standard error, and remembers the one that says most: the
/// first that calls itself an error, or else the last.
#[derive(Debug, Default)]
pub(crate) struct StderrTail {
    error: Option<String>,
    last: Option<String>,
    /// How many lines became events, and how many bytes they have.
    shown: usize,
    shown_bytes: usize,
    /// How many did not.
    more: u64,
}

/// How many lines become events: more than anybody reads, and less than a traceback through every library. A flood
/// stands in the log of inputs once, and not a second time in every list of events.
const SHOWN_LINES_MAX: usize = 100;

/// The same for long lines.
const SHOWN_BYTES_MAX: usize = 256 << 10;

/// Long enough for any message, short enough to keep in a failure.
const EVIDENCE_CHARS_MAX: usize = 2000;

impl StderrTail {
    pub(crate) fn line(&mut self, line: &[u8], out: &mut Out) {
        let text = lines::text(line);
        // Colors are for a terminal, and not its own.
        let text = plain(&text);
        let text = text.trim_end();
        if !text.is_empty() {
            let kept: String = text.chars().take(EVIDENCE_CHARS_MAX).collect();
            let is_error = ["error:", "Error:", "ERROR:"].iter().any(|word| text.starts_with(word));
            if is_error && self.error.is_none() {
                self.error = Some(kept.clone());
            }
            self.shown_bytes += text.len();
            let is_short = self.shown_bytes <= SHOWN_BYTES_MAX;
            if self.shown < SHOWN_LINES_MAX && is_short {
                self.shown += 1;
                out.event(Event::notice(Level::Info, "stderr", text));
            } else if self.shown == 0 {
                self.shown += 1;
                // It may be the only line.
                out.event(Event::notice(Level::Info, "stderr", kept.as_str()));
            } else {
                self.more += 1;
            }
            self.last = Some(kept);
        }
    }

    /// Says how many lines were not shown: nothing more will come.
    pub(crate) fn ended(&mut self, out: &mut Out) {
        let more = std::mem::take(&mut self.more);
        if more > 0 {
            let lines = if more == 1 { "line" } else { "lines" };
            let words =
                format!("and {more} more {lines} on standard error: the run's journal keeps them");
            out.event(Event::notice(Level::Warn, "stderr_flood", words));
        }
    }

    /// The line that says most, if there was one.
    pub(crate) fn words(&self) -> Option<&String> {
        self.error.as_ref().or(self.last.as_ref())
    }

    /// Adds that line to a failure.
    pub(crate) fn evidence(&self, failure: Failure) -> Failure {
        match self.words() {
            Some(text) => failure.with(EvidenceSource::Text, "stderr", text),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Action;

    #[test]
    fn colors_are_taken_out_and_an_error_is_found_behind_them() {
        let (mut tail, mut out) = (StderrTail::default(), Out::default());
        tail.line(b"\x1b[1m\x1b[31mError:\x1b[0m no login\x1b]0;title\x07", &mut out);
        tail.line(b"bye", &mut out);
        assert_eq!(tail.words().map(String::as_str), Some("Error: no login"));
    }

    #[test]
    fn a_flood_is_shown_once_and_its_last_line_is_known() {
        let (mut tail, mut out) = (StderrTail::default(), Out::default());
        for n in 0..10_000 {
            tail.line(format!("line {n:095}").as_bytes(), &mut out);
        }
        tail.ended(&mut out);
        tail.ended(&mut out);
        let codes: Vec<_> = out
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::Emit(emitted) => match &emitted.event {
                    Event::Notice(notice) => notice.code.as_deref(),
                    _ => None,
                },
                _ => None,
            })
            .collect();
        assert_eq!(codes.iter().filter(|code| **code == "stderr_flood").count(), 1);
        assert_eq!(codes.len(), SHOWN_LINES_MAX + 1);
        assert!(tail.words().is_some_and(|words| words.ends_with("9999")));
    }

    #[test]
    fn of_one_line_without_end_the_beginning_is_shown() {
        let (mut tail, mut out) = (StderrTail::default(), Out::default());
        tail.line(&vec![b'x'; 1 << 20], &mut out);
        let shown = out.actions.iter().map(|action| match action {
            Action::Emit(emitted) => match &emitted.event {
                Event::Notice(notice) => notice.text.len(),
                _ => 0,
            },
            _ => 0,
        });
        assert!(shown.sum::<usize>() < 3000);
    }
}
