//! The records of a run as they are written.

use crate::journal::EVENTS_FILE;
use crate::regular::open_regular;
use crate::{Record, StoredRun};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

/// Reads the stored lines of a run, one after the other, also while the run still writes them. A line that is
/// not complete yet is waited for, however long it gets.
#[derive(Debug)]
pub struct Tail {
    file: BufReader<File>,
    /// Where the long texts are.
    folder: PathBuf,
    /// The beginning of a line whose end is not written yet.
    pending: Vec<u8>,
}

impl Tail {
    /// Begins with the first record.
    ///
    /// # Errors
    /// When the journal cannot be opened.
    pub fn of(run: &StoredRun) -> io::Result<Self> {
        let file = open_regular(&run.folder().join(EVENTS_FILE))?;
        let folder = run.folder().to_owned();
        Ok(Self { file: BufReader::with_capacity(BLOCK, file), folder, pending: Vec::new() })
    }

    /// Begins with the last `n` of the records that are there; reads no more than these.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn of_last(run: &StoredRun, n: usize) -> io::Result<Self> {
        let mut tail = Self::of(run)?;
        let file = tail.file.get_mut();
        let begin = begin_of_last(file, n)?;
        tail.file.seek(SeekFrom::Start(begin))?;
        Ok(tail)
    }

    /// The next line without its line feed and with its long texts; `None` if there is no other for now.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.file.read_until(b'\n', &mut self.pending)?;
        if self.pending.pop_if(|byte| *byte == b'\n').is_none() {
            return Ok(None);
        }
        let line = std::mem::take(&mut self.pending);
        Ok(Some(self.whole(line)))
    }

    /// The line with the long texts that stand elsewhere.
    fn whole(&self, line: Vec<u8>) -> Vec<u8> {
        let refers = line.windows(BLOBS.len()).any(|window| window == BLOBS);
        let Some(mut record) = refers.then(|| Record::from_line(&line).ok()).flatten() else {
            return line;
        };
        record.restore(&self.folder);
        serde_json::to_vec(&record).unwrap_or(line)
    }

    /// How much there is of a line that has no end: at the end of a run, what a crash cut off.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }
}

/// The member of a line whose long texts stand elsewhere; it may also stand in a text.
const BLOBS: &[u8] = br#""blobs":["#;

/// How much is read at once.
const BLOCK: usize = 64 << 10;

/// Where the last `n` whole lines begin.
fn begin_of_last(file: &mut File, n: usize) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    // The line feed before the first of them, that is one more than there are lines.
    let mut wanted = n.saturating_add(1);
    let mut block = vec![0; BLOCK];
    while end > 0 {
        let len = usize::try_from(end).map_or(BLOCK, |end| end.min(BLOCK));
        let begin = end - len as u64;
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut block[..len])?;
        for at in (0..len).rev().filter(|at| block[*at] == b'\n') {
            wanted -= 1;
            if wanted == 0 {
                return Ok(begin + at as u64 + 1);
            }
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::journal::RUNS_DIR;
    use std::fs;
    use std::io::Write as _;
    use std::path::PathBuf;

    fn run_with(name: &str, text: &[u8]) -> (PathBuf, StoredRun) {
        let state = std::env::temp_dir().join(format!("belay-tail-{}-{name}", std::process::id()));
        let folder = state.join(RUNS_DIR).join("r");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(EVENTS_FILE), text).unwrap();
        let run = Store::new(&state).find("r").unwrap();
        (state, run)
    }

    fn lines(tail: &mut Tail) -> Vec<String> {
        let lines = std::iter::from_fn(|| tail.next_line().unwrap());
        lines.map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_read_when_its_end_has_come() {
        let (state, run) = run_with("grows", b"one\ntw");
        let mut tail = Tail::of(&run).unwrap();
        assert_eq!((lines(&mut tail), tail.pending_bytes()), (vec!["one".to_owned()], 2));
        let path = run.folder().join(EVENTS_FILE);
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        let long = "x".repeat(3 * BLOCK);
        file.write_all(long.as_bytes()).unwrap();
        assert_eq!(lines(&mut tail), [""; 0]);
        file.write_all(b"\nthree\n").unwrap();
        assert_eq!(lines(&mut tail), [format!("tw{long}"), "three".to_owned()]);
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn the_last_lines_are_found_from_the_end_whatever_their_length() {
        let long = "y".repeat(2 * BLOCK + 7);
        let (state, run) = run_with("last", format!("one\n{long}\nthree\nfour\ncut").as_bytes());
        let last = |n| lines(&mut Tail::of_last(&run, n).unwrap());
        assert_eq!(last(0), [""; 0]);
        assert_eq!(last(2), ["three", "four"]);
        assert_eq!(last(3)[0], long);
        assert_eq!((last(4).len(), last(9).len(), last(usize::MAX).len()), (4, 4, 4));
        fs::remove_dir_all(state).unwrap();
    }
}
