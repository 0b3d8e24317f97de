//! The last words of an agent.

use crate::lines;
use crate::protocol::Out;
use belay_trace::{Event, EvidenceSource, Failure, Level};

/// Reports each line that an agent prints on its standard error, and remembers the last one.
#[derive(Debug, Default)]
pub(crate) struct StderrTail {
    last: Option<String>,
}

/// Long enough for any message, short enough to keep in a failure.
const EVIDENCE_CHARS_MAX: usize = 2000;

impl StderrTail {
    pub(crate) fn line(&mut self, line: &[u8], out: &mut Out) {
        let text = lines::text(line);
        let text = text.trim_end();
        if !text.is_empty() {
            self.last = Some(text.chars().take(EVIDENCE_CHARS_MAX).collect());
            out.event(Event::notice(Level::Info, "stderr", text));
        }
    }

    /// The last line, if there was one.
    pub(crate) fn last(&self) -> Option<String> {
        self.last.clone()
    }

    /// Adds the last line to a failure.
    pub(crate) fn evidence(&self, failure: Failure) -> Failure {
        match &self.last {
            Some(text) => failure.with(EvidenceSource::Text, "stderr", text),
            None => failure,
        }
    }
}
