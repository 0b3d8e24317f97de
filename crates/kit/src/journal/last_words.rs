//! What is still told to a journal that could not be written any more: how the run ended.

use belay_trace::journal::FIELD_BYTES_MAX;
use belay_trace::{BlobRef, Event, Record};
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

/// The events of a journal that is lost.
///
/// A disk that is full may have room again when the run ends, if only that of the batch that did not fit. Without
/// its result the run would look as if belay had crashed.
#[derive(Debug)]
pub(super) struct LastWords {
    events: Arc<File>,
    /// How much of the file is whole lines.
    len: u64,
}

impl LastWords {
    /// Takes what is half written out of the file, which makes room.
    pub(super) fn of(events: Arc<File>, len: u64) -> Self {
        let words = Self { events, len };
        words.cut();
        words
    }

    /// Writes those of the records that say how the run stands, if there is room.
    pub(super) fn write(&mut self, records: &mut [Record]) {
        for record in records {
            let tells = matches!(
                record.event,
                Event::LogDegraded(_) | Event::AttemptEnded(_) | Event::Result(_)
            );
            // Whoever can do nothing about it has been told already.
            if tells && let Err(_lost) = self.line(record) {
                self.cut();
            }
        }
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
        assert_eq!((lines.len(), lines[0]), (2, "{}"));
        let stored = Record::from_line(lines[1].as_bytes()).unwrap();
        assert_eq!((stored.event.type_name(), stored.blobs.len()), ("result", 1));
    }
}
