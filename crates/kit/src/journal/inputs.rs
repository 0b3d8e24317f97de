//! The inputs of one attempt, byte for byte.

use crate::journal::files::private_file;
use belay_agents::{Exit, Input};
use belay_trace::journal::{Frame, InputKind};
use belay_trace::{Decision, RawRef};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The input log of an attempt.
#[derive(Debug)]
pub(super) struct InputLog {
    file: Arc<File>,
    began: Instant,
    /// How much is in the file, or would be.
    written: u64,
    /// Frames that are not written yet.
    pending: Vec<u8>,
    /// Why a frame could not be written at once.
    failed: Option<io::Error>,
}

/// Frames of this size are written as they are: a copy of them would be a second one in memory.
const LARGE_BYTES: usize = 64 << 10;

impl InputLog {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = Arc::new(private_file(path)?);
        Ok(Self { file, began: Instant::now(), written: 0, pending: Vec::new(), failed: None })
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Notes an input before the driver sees it. Returns where its bytes stand.
    pub(super) fn input(&mut self, input: Input<'_>) -> Option<RawRef> {
        let (text, answer);
        let (kind, bytes) = match input {
            Input::Session(id) => (InputKind::Session, id.as_bytes()),
            Input::Start => (InputKind::Start, &b""[..]),
            Input::Stdout(line) => (InputKind::Stdout, line),
            Input::Stderr(line) => (InputKind::Stderr, line),
            Input::Steer(words) => (InputKind::Steer, words.as_bytes()),
            Input::Interrupt => (InputKind::Interrupt, &b""[..]),
            Input::Permission { id, answer } => {
                let answer = match answer {
                    Decision::Allow => "allow",
                    Decision::Deny => "deny",
                };
                text = format!("{answer} {id}");
                (InputKind::Permission, text.as_bytes())
            }
            Input::Timer(timer) => {
                text = timer.0.to_string();
                (InputKind::Timer, text.as_bytes())
            }
            Input::Terminal { id, news } => {
                let (head, printed) = news.to_frame();
                text = format!("{} {head}\n{printed}", id.0);
                (InputKind::Terminal, text.as_bytes())
            }
            Input::Http { id, status, body } => {
                answer = [format!("{} {status}\n", id.0).as_bytes(), body].concat();
                (InputKind::Http, answer.as_slice())
            }
            Input::Sse(data) => (InputKind::Sse, data),
            Input::Doubt(doubt) => (InputKind::Doubt, doubt.name().as_bytes()),
            Input::SessionFile { since, lines } => {
                answer = [format!("{since}\n").as_bytes(), lines].concat();
                (InputKind::SessionFile, answer.as_slice())
            }
            Input::SilentCalls(lines) => (InputKind::SilentCalls, lines),
            Input::AnswerFile(text) => (InputKind::AnswerFile, text),
            Input::Exit(exit) => {
                text = match exit {
                    Exit::Code(code) => format!("code {code}"),
                    Exit::Signal(signal) => format!("signal {signal}"),
                };
                (InputKind::Exit, text.as_bytes())
            }
            _ => return None,
        };
        Some(self.frame(kind, bytes))
    }

    /// Notes something that came in, and returns where its bytes stand.
    pub(super) fn frame(&mut self, kind: InputKind, bytes: &[u8]) -> RawRef {
        let at_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let frame = Frame { kind, at_us, bytes };
        let offset = if bytes.len() < LARGE_BYTES {
            self.written + frame.write(&mut self.pending)
        } else {
            self.pending.extend_from_slice(frame.head().as_bytes());
            let begin = self.written + self.pending.len() as u64;
            // Told with the batch that this frame is part of.
            if let Err(error) = self.write_large(bytes) {
                self.failed.get_or_insert(error);
            }
            begin
        };
        let lossy = std::str::from_utf8(bytes).is_err();
        RawRef { offset, len: bytes.len() as u64, lossy }
    }

    fn write_large(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_pending()?;
        (&*self.file).write_all(bytes)?;
        self.written += bytes.len() as u64;
        self.pending.push(b'\n');
        Ok(())
    }

    /// Writes what is not in the file yet.
    pub(super) fn write(&mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.write_pending(),
        }
    }

    /// Takes what is half written out of the file: a disk that is full has room again for the end of the run.
    pub(super) fn cut(self) {
        let _ = self.file.set_len(self.written);
    }

    fn write_pending(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            (&*self.file).write_all(&self.pending)?;
            self.written += self.pending.len() as u64;
            self.pending.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_trace::journal::Frames;

    #[test]
    fn frames_of_every_size_stand_in_order_where_it_was_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("input.1.log");
        let mut log = InputLog::create(&path).unwrap();
        let sizes = [0, 1, LARGE_BYTES - 1, LARGE_BYTES, 3 * LARGE_BYTES, 7, LARGE_BYTES, 9];
        let places: Vec<_> =
            sizes.iter().map(|size| log.frame(InputKind::Stdout, &vec![b'x'; *size])).collect();
        log.write().unwrap();
        let bytes = std::fs::read(path).unwrap();
        let mut frames = Frames::new(&bytes);
        assert!(frames.by_ref().map(|frame| frame.bytes.len()).eq(sizes));
        assert_eq!(frames.rest(), b"");
        for (place, size) in places.iter().zip(sizes) {
            let from = usize::try_from(place.offset).unwrap();
            assert_eq!((place.len, place.lossy), (size as u64, false));
            assert!(bytes[from..from + size].iter().all(|byte| *byte == b'x'));
            assert_eq!((bytes[from - 1], bytes[from + size]), (b'\n', b'\n'));
        }
    }

    #[test]
    fn a_line_that_is_no_utf_8_is_marked() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = InputLog::create(&dir.path().join("input.1.log")).unwrap();
        assert!(log.input(Input::Stdout(b"a\xff")).unwrap().lossy);
        assert!(!log.input(Input::Stderr("ä\0\r".as_bytes())).unwrap().lossy);
    }
}
