//! The agent's own lines, from the inputs of a run's attempts.

use belay_trace::StoredRun;
use belay_trace::journal::{Frames, InputKind, input_file};
use belay_trace::open_regular;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

/// Reads standard output as the agents of a run wrote it, attempt after attempt, also while they do.
#[derive(Debug)]
pub(super) struct RawLines {
    folder: PathBuf,
    /// The attempt that is read now, from 1.
    attempt: u32,
    file: Option<File>,
    /// Inputs that are not read yet, the last of which may lack its end.
    pending: Vec<u8>,
    /// How many of the lines that are there at first are wanted.
    last: Option<usize>,
}

/// How much is read at once.
const CHUNK_BYTES: u64 = 1 << 20;

impl RawLines {
    /// The lines of all attempts, or the last `last` of those that are there.
    pub(super) fn of(run: &StoredRun, last: Option<usize>) -> Self {
        let folder = run.folder().to_owned();
        Self { folder, attempt: 1, file: None, pending: Vec::new(), last }
    }

    /// Hands out each line that has come since; stops when that returns false.
    pub(super) fn print(&mut self, mut print: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
        let Some(max) = self.last.take() else { return self.read(&mut print) };
        let mut kept = VecDeque::new();
        self.read(&mut |line: &[u8]| {
            kept.push_back(line.to_vec());
            if kept.len() > max {
                kept.pop_front();
            }
            true
        })?;
        kept.iter().all(|line| print(line));
        Ok(())
    }

    /// How much there is of an input that has no end.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    fn read(&mut self, print: &mut impl FnMut(&[u8]) -> bool) -> io::Result<()> {
        loop {
            // Asked before we read: nothing is added to an attempt when the next one has begun.
            let next = self.folder.join(input_file(self.attempt + 1)).exists();
            if self.file.is_none() {
                match open_regular(&self.folder.join(input_file(self.attempt))) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    file => self.file = Some(file?),
                }
            }
            let Some(file) = &mut self.file else { return Ok(()) };
            while file.take(CHUNK_BYTES).read_to_end(&mut self.pending)? > 0 {
                let mut frames = Frames::new(&self.pending);
                let stdout = frames.by_ref().filter(|frame| frame.kind == InputKind::Stdout);
                for frame in stdout {
                    if !print(frame.bytes) {
                        return Ok(());
                    }
                }
                let read = self.pending.len() - frames.rest().len();
                self.pending.drain(..read);
            }
            if !next {
                return Ok(());
            }
            self.attempt += 1;
            self.file = None;
            self.pending.clear();
        }
    }
}
