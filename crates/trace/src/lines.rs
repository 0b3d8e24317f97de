//! The lines of a stored run, and what is not whole among them.

use crate::Record;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

/// The longest line that is read: long texts stand elsewhere, so a longer one is none of ours.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// How much is read from the file at once.
const READ_BYTES: usize = 256 << 10;

/// What is not whole in the events of a run.
///
/// A crash leaves at most a last line that was cut off; anything else is damage done by somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Integrity {
    /// How many records there are.
    pub records: u64,
    /// How many numbers are missing between them.
    pub missing: u64,
    /// How many lines are no records.
    pub unreadable: u64,
    /// How much there is of a last line that was not written to its end.
    pub partial_bytes: u64,
}

impl Integrity {
    /// True when nothing is missing up to the last record.
    pub fn is_whole(&self) -> bool {
        let Self { records: _, missing, unreadable, partial_bytes } = *self;
        (missing, unreadable, partial_bytes) == (0, 0, 0)
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", self.records)?;
        if self.missing > 0 {
            write!(f, ", {} missing", self.missing)?;
        }
        if self.unreadable > 0 {
            write!(f, ", {} unreadable lines", self.unreadable)?;
        }
        if self.partial_bytes > 0 {
            write!(f, ", a last line that was cut off ({} bytes)", self.partial_bytes)?;
        }
        Ok(())
    }
}

/// What has to be known of every record; decoding the rest of a million takes seconds.
#[derive(Deserialize)]
struct Head<'a> {
    seq: u64,
    #[serde(borrow)]
    agent: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    blobs: Option<IgnoredAny>,
}

/// What a line that can be a record is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// It says how the run stands: its start, its session, its result.
    pub(crate) state: bool,
    /// There are long texts elsewhere.
    pub(crate) blobs: bool,
}

/// Reads the lines of a run's events, one after the other.
#[derive(Debug)]
pub(crate) struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
    /// The agent of the last record that had one.
    agent: String,
    next_seq: u64,
    integrity: Integrity,
}

impl Lines {
    pub(crate) fn new(file: File) -> Self {
        let file = BufReader::with_capacity(READ_BYTES, file);
        let (line, agent, integrity) = (Vec::new(), String::new(), Integrity::default());
        Self { file, line, agent, next_seq: 0, integrity }
    }

    /// Goes to the next line that can be a record. What is none is counted and passed over; what cannot be read
    /// from the disk ends it.
    pub(crate) fn advance(&mut self) -> Option<About> {
        loop {
            let is_whole_line = self.read_line().ok()?;
            if let Some(head) = head(&self.line) {
                let missing = head.seq.saturating_sub(self.next_seq);
                self.next_seq = head.seq.saturating_add(1);
                self.integrity.missing = self.integrity.missing.saturating_add(missing);
                self.integrity.records += 1;
                if !head.agent.is_empty() && head.agent != self.agent {
                    self.agent = head.agent.into_owned();
                }
                let state = matches!(
                    &*head.kind,
                    "run_started" | "session_started" | "attempt_result" | "result"
                );
                return Some(About { state, blobs: head.blobs.is_some() });
            }
            match is_whole_line {
                true => self.integrity.unreadable += 1,
                false => self.integrity.partial_bytes = self.line.len() as u64,
            }
        }
    }

    /// The line to which it went, without its line feed.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The record of that line, if it is one.
    pub(crate) fn record(&mut self, folder: &Path) -> Option<Record> {
        match Record::from_line(&self.line) {
            Ok(mut record) => {
                record.restore(folder);
                Some(record)
            }
            Err(_) => {
                // It looked like one.
                self.integrity.records -= 1;
                self.integrity.unreadable += 1;
                None
            }
        }
    }

    /// The agent of the last record that had one.
    pub(crate) fn agent(&self) -> &str {
        &self.agent
    }

    /// What was found; final when there are no more lines.
    pub(crate) fn integrity(&self) -> Integrity {
        self.integrity
    }

    /// Reads a line without its line feed; says whether it had one. The end is an error.
    fn read_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let mut file = self.file.by_ref().take(LINE_BYTES_MAX);
        let n = file.read_until(b'\n', &mut self.line)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.line.pop_if(|byte| *byte == b'\n').is_some() {
            return Ok(true);
        }
        if n as u64 == LINE_BYTES_MAX {
            // What is left of it must not be taken for a line of its own.
            self.line = Vec::new();
            self.file.skip_until(b'\n')?;
            return Ok(true);
        }
        Ok(false)
    }
}

/// The head of a line that is text and looks like a record.
fn head(line: &[u8]) -> Option<Head<'_>> {
    // Without this check serde would take a list for an object whose fields come in order.
    let text = std::str::from_utf8(line).ok()?;
    let text = text.trim_ascii_start().starts_with('{').then_some(text)?;
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Level};
    use std::fs;

    /// What is read of these bytes: the numbers of the records, and what is not whole.
    fn read(bytes: &[u8]) -> (Vec<u64>, Integrity) {
        let name = format!("belay-lines-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, bytes).unwrap();
        let mut lines = Lines::new(File::open(&path).unwrap());
        let mut seqs = Vec::new();
        while lines.advance().is_some() {
            seqs.extend(lines.record(Path::new("/nowhere")).map(|record| record.seq));
        }
        fs::remove_file(path).unwrap();
        (seqs, lines.integrity())
    }

    fn lines(seqs: &[u64]) -> Vec<u8> {
        let line = |seq: &u64| {
            let event = Event::notice(Level::Info, "n", "ä{\"x\":\u{2028}");
            let record = Record { seq: *seq, agent: "codex".into(), ..Record::new("r", event) };
            serde_json::to_string(&record).unwrap() + "\n"
        };
        seqs.iter().map(line).collect::<String>().into_bytes()
    }

    #[test]
    fn a_whole_journal_is_whole() {
        let (seqs, integrity) = read(&lines(&[0, 1, 2]));
        assert_eq!(seqs, [0, 1, 2]);
        assert!(integrity.is_whole());
        assert_eq!(integrity.to_string(), "3 records");
    }

    #[test]
    fn a_journal_that_is_cut_anywhere_gives_its_whole_lines_and_counts_the_rest() {
        let whole = lines(&[0, 1, 2]);
        for cut in 0..whole.len() {
            let (seqs, integrity) = read(&whole[..cut]);
            // A line that lacks nothing but its line feed is one.
            let ends = |at: &usize| whole[*at] == b'\n' && *at <= cut;
            let want = (0..whole.len()).filter(ends).count();
            assert_eq!(seqs, (0..want as u64).collect::<Vec<_>>(), "cut at {cut}");
            let rest = whole[..cut].rsplit(|byte| *byte == b'\n').next().unwrap().len() as u64;
            let partial = if whole[cut] == b'\n' { 0 } else { rest };
            let found = (integrity.partial_bytes, integrity.missing, integrity.unreadable);
            assert_eq!(found, (partial, 0, 0), "cut at {cut}");
        }
    }

    #[test]
    fn garbage_gaps_and_bytes_that_are_no_text_are_counted_and_the_rest_is_read() {
        let mut journal = lines(&[0, 1]);
        journal.extend(b"\xff\xfe\n\n[1]\n{}\n{\"seq\":3}\nnull\n");
        journal.extend(lines(&[7, u64::MAX, 8]));
        journal.extend(br#"{"v":1,"seq":9,"ts":"now","agent":"","type":"phase"}"#);
        journal.push(b'\n');
        let (seqs, integrity) = read(&journal);
        assert_eq!(seqs, [0, 1, 7, u64::MAX, 8]);
        assert_eq!((integrity.records, integrity.unreadable), (5, 7));
        assert!(integrity.missing >= 5 && !integrity.is_whole());
        assert!(integrity.to_string().ends_with("missing, 7 unreadable lines"), "{integrity}");
    }

    #[test]
    fn a_byte_that_is_changed_costs_at_most_the_lines_beside_it() {
        let whole = lines(&[0, 1, 2, 3]);
        for at in 0..whole.len() {
            for byte in [0, b'\n', b'"', b'{', b'}', 0xff] {
                let mut journal = whole.clone();
                journal[at] = byte;
                let (seqs, _) = read(&journal);
                assert!(seqs.len() >= 2, "{byte} at {at}: {seqs:?}");
            }
        }
    }
}
