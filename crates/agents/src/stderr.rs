//! The last words of an agent.

use crate::lines;
use crate::protocol::Out;
use belay_trace::{Event, EvidenceSource, Failure, Level};

/// Reports each line that an agent prints on its standard error, and remembers the one that says most: the
/// first that calls itself an error, or else the last.
#[derive(Debug, Default)]
pub(crate) struct StderrTail {
    error: Option<String>,
    last: Option<String>,
}

/// Long enough for any message, short enough to keep in a failure.
const EVIDENCE_CHARS_MAX: usize = 2000;

impl StderrTail {
    pub(crate) fn line(&mut self, line: &[u8], out: &mut Out) {
        let text = lines::text(line);
        let text = text.trim_end();
        if !text.is_empty() {
            let kept: String = text.chars().take(EVIDENCE_CHARS_MAX).collect();
            let is_error = ["error:", "Error:", "ERROR:"].iter().any(|word| text.starts_with(word));
            if is_error && self.error.is_none() {
                self.error = Some(kept.clone());
            }
            self.last = Some(kept);
            out.event(Event::notice(Level::Info, "stderr", text));
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
