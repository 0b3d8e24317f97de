//! What is still told to a journal that could not be written: all of it as soon as that can be done again, with a mark
//! where something is missing, and in any case how the run ended.

use belay_trace::journal::FIELD_BYTES_MAX;
use belay_trace::{BlobRef, Event, LogDegraded, Record};
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a disk is left alone that could not be written.
const RETRY: Duration = Duration::from_secs(5);

/// The events of a journal that could not be written.
///
/// A disk that is full may have room again in a minute, or when the run ends, if only that of the batch that did not
/// fit. Without its result the run would look as if belay had crashed. The inputs of the attempt are lost: what is
/// written from here on can be read, and not replayed.
#[derive(Debug)]
pub(super) struct LastWords {
    events: Arc<File>,
    /// How much of the file is whole lines.
    len: u64,
    /// The number of the first event that is missing, and how many are.
    missing: Option<(u64, u64)>,
    /// When the next event is tried; at once, when the last one could be written.
    retry: Instant,
}

impl LastWords {
    /// Takes what is half written out of the file, which makes room.
    pub(super) fn of(events: Arc<File>, len: u64) -> Self {
        let words = Self { events, len, missing: None, retry: Instant::now() + RETRY };
        words.cut();
        words
    }

    /// Writes the records if the disk may take them again, and tries those that say how the run stands in any case.
    pub(super) fn write(&mut self, records: &mut [Record]) {
        for record in records {
            let tells = matches!(
                record.event,
                Event::LogDegraded(_) | Event::AttemptEnded(_) | Event::Result(_)
            );
            let now = Instant::now();
            let is_tried = tells || now >= self.retry;
            // Whoever can do nothing about it has been told already.
            if !is_tried || self.mark(record).and_then(|()| self.line(record)).is_err() {
                let (_, count) = self.missing.get_or_insert((record.seq, 0));
                *count += 1;
                if is_tried {
                    self.cut();
                    self.retry = now + RETRY;
                }
            }
        }
    }

    /// Says what is missing before this record, in the place of the first one that is.
    fn mark(&mut self, before: &Record) -> io::Result<()> {
        let Some((seq, count)) = self.missing else { return Ok(()) };
        let message =
            format!("the journal could not be written for a while: {count} events are missing");
        let event = Event::LogDegraded(LogDegraded { message });
        self.line(&mut Record {
            seq,
            event,
            raw: None,
            raw_line: None,
            blobs: Vec::new(),
            ..before.clone()
        })?;
        self.missing = None;
        Ok(())
    }

    fn line(&mut self, record: &mut Record) -> io::Result<()> {
        let long = record.take_long_fields(FIELD_BYTES_MAX);
        for field in &long {
            // No file holds it; the reader sees that the text is not whole.
            let (field, bytes) = (field.name().to_owned(), field.text().len() as u64);
            record.blobs.push(BlobRef { field, sha256: String::new(), bytes });
        }
        let line = serde_json::to_vec(record);
        record.blobs.clear();
        record.put_back(long);
        let mut line = line?;
        line.push(b'\n');
        (&*self.events).write_all(&line)?;
        self.len += line.len() as u64;
        Ok(())
    }

    fn cut(&self) {
        // A file that cannot be cut has a last line that readers pass over.
        let _ = self.events.set_len(self.len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::files::private_file;
    use belay_trace::{Level, RunResult};

    #[test]
    fn the_end_of_the_run_follows_the_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let file = Arc::new(private_file(&path).unwrap());
        (&*file).write_all(b"{}\n{\"half").unwrap();
        let mut words = LastWords::of(file, 3);
        let result = RunResult { result: "x".repeat(FIELD_BYTES_MAX + 1), ..RunResult::default() };
        let events = [Event::notice(Level::Info, "n", "n"), Event::Result(result)];
        let mut records = events.map(|event| Record::new("r", event));
        let before = records.clone();
        words.write(&mut records);
        assert_eq!(records, before);
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (3, "{}"));
        assert!(lines[1].contains("1 events are missing"), "{}", lines[1]);
        let stored = Record::from_line(lines[2].as_bytes()).unwrap();
        assert_eq!((stored.event.type_name(), stored.blobs.len()), ("result", 1));
    }

    #[test]
    fn a_disk_that_takes_events_again_gets_them_behind_a_mark() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut words = LastWords::of(Arc::new(private_file(&path).unwrap()), 0);
        let record = |seq| Record { seq, ..Record::new("r", Event::notice(Level::Info, "n", "n")) };
        words.write(&mut [record(3), record(4)]);
        words.retry = Instant::now();
        words.write(&mut [record(5), record(6)]);
        let text = std::fs::read_to_string(path).unwrap();
        let stored: Vec<_> =
            text.lines().map(|line| Record::from_line(line.as_bytes()).unwrap()).collect();
        let seqs: Vec<_> =
            stored.iter().map(|record| (record.seq, record.event.type_name())).collect();
        assert_eq!(seqs, [(3, "log_degraded"), (5, "notice"), (6, "notice")]);
    }
}
