//! Standard error without end: as much of it as anybody can use is kept, and its last lines are heard.

use super::{Attempt, Pipe};
use crate::limits::{STDERR_BYTES_MAX, STDERR_LAST_LINES, STDERR_SHORT_BYTES_MAX};
use belay_trace::{Event, Level};
use std::collections::VecDeque;

/// How long one of the last lines may be.
const LAST_LINE_BYTES: usize = 4096;

/// What a line has besides its bytes in the log of inputs.
const FRAME_BYTES: u64 = 28;

/// What was let through, and what was held back.
#[derive(Debug, Default)]
pub(super) struct Flood {
    bytes: u64,
    /// What they take in the log of inputs.
    stored: u64,
    cut: u64,
    last: VecDeque<Vec<u8>>,
}

impl Flood {
    /// Whether a line is heard now.
    pub(super) fn admits(&mut self, line: &[u8]) -> bool {
        self.bytes += line.len() as u64 + 1;
        self.stored += line.len() as u64 + FRAME_BYTES;
        // Short lines take more on the disk than they are long. What was cut once stays cut: no holes.
        let is_short = self.stored > self.bytes + self.bytes / 10;
        let max = if is_short { STDERR_SHORT_BYTES_MAX } else { STDERR_BYTES_MAX };
        if self.last.is_empty() && self.stored <= max {
            return true;
        }
        if self.last.len() == STDERR_LAST_LINES
            && let Some(first) = self.last.pop_front()
        {
            self.cut += first.len() as u64 + 1;
        }
        let kept = &line[..line.len().min(LAST_LINE_BYTES)];
        self.cut += (line.len() - kept.len()) as u64;
        self.last.push_back(kept.to_vec());
        false
    }
}

impl Attempt<'_> {
    /// Hears the last lines of a flood.
    pub(super) fn end_flood(&mut self) {
        let flood = std::mem::take(&mut self.flood);
        if flood.cut > 0 {
            let words = format!("{} bytes of standard error were not kept", flood.cut);
            self.runner.publisher.event(Event::notice(Level::Warn, "stderr_cut", words));
        }
        for line in flood.last {
            self.gated(Pipe::Stderr, &line);
        }
    }
}
