//! A piece of a run's events as they stand in the journal.

use crate::limits::{FEED_PIECE_BYTES, READ_BYTES};
use belay_trace::Record;
use memchr::{memchr, memrchr};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// Where a batch of records stands in the journal.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) events: Arc<File>,
    /// The run's folder, where long texts stand.
    pub(crate) folder: Arc<Path>,
    /// Where the batch begins.
    pub(crate) from: u64,
    /// Where each of its lines ends.
    pub(crate) ends: Vec<u64>,
}

impl Stored {
    /// The line of one record.
    pub(crate) fn piece(&self, n: usize) -> Piece {
        let from = if n == 0 { self.from } else { self.ends[n - 1] };
        let (events, folder) = (Arc::clone(&self.events), Arc::clone(&self.folder));
        Piece { events, folder, from, to: self.ends[n] }
    }
}

/// Lines of `events.jsonl`, from the first byte of one to the last of another.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    events: Arc<File>,
    folder: Arc<Path>,
    from: u64,
    to: u64,
}

/// What was read of a piece.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Records, and words for what could not be read.
    pub(crate) records: VecDeque<Result<Record, String>>,
    pub(crate) rest: Option<Piece>,
}

impl Piece {
    /// Adds what follows directly; says whether it does.
    pub(crate) fn extend(&mut self, next: &Self) -> bool {
        let follows = self.to == next.from;
        if follows {
            self.to = next.to;
        }
        follows
    }

    /// Reads the first records, as many as may be in memory at once. Blocks.
    pub(crate) fn load(mut self) -> Loaded {
        let mut records = VecDeque::new();
        let lines = match self.read_lines() {
            Ok(lines) => lines,
            Err(error) => {
                let bytes = self.to - self.from;
                let words = format!("{bytes} bytes of the journal cannot be read again: {error}");
                records.push_back(Err(words));
                return Loaded { records, rest: None };
            }
        };
        let (mut lines, mut weight) = (&lines[..], 0);
        while let Some(end) = memchr(b'\n', lines)
            && weight < FEED_PIECE_BYTES
        {
            let mut record = Record::from_line(&lines[..end]);
            if let Ok(record) = &mut record {
                record.restore(&self.folder);
            }
            let record = record
                .map_err(|error| format!("a record of the journal cannot be read again: {error}"));
            weight += record.as_ref().map_or(0, Record::weight);
            records.push_back(record);
            lines = &lines[end + 1..];
            self.from += end as u64 + 1;
        }
        let rest = (self.from < self.to).then_some(self);
        Loaded { records, rest }
    }

    /// At least one whole line.
    fn read_lines(&self) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.to - self.from).unwrap_or(usize::MAX);
        let mut bytes = vec![0; READ_BYTES.min(len)];
        loop {
            self.events.read_exact_at(&mut bytes, self.from)?;
            if let Some(end) = memrchr(b'\n', &bytes) {
                bytes.truncate(end + 1);
                return Ok(bytes);
            }
            if bytes.len() == len {
                // The last line of a piece ends in a line feed, so this is not what was written.
                return Err(io::ErrorKind::InvalidData.into());
            }
            bytes.resize(bytes.len().saturating_mul(2).min(len), 0);
        }
    }
}
