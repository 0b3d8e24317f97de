//! Bytes to lines.

use memchr::memchr;
use std::borrow::Cow;

/// Splits a byte stream at LF, and at nothing else: agents print U+2028 and CR inside their lines.
///
/// A line of any length arrives whole up to `line_bytes_max`; of a longer one the beginning arrives, marked.
#[derive(Debug)]
pub struct LineSplitter {
    /// The beginning of the line that is not complete yet.
    pending: Vec<u8>,
    /// Bytes of the pending line that were thrown away.
    cut: u64,
    line_bytes_max: usize,
}

/// A line without its LF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line, or the beginning of one that was too long.
    pub bytes: &'a [u8],
    /// How many bytes are missing at its end.
    pub cut: u64,
}

impl LineSplitter {
    /// A splitter for lines of at most `line_bytes_max` bytes.
    pub fn new(line_bytes_max: usize) -> Self {
        Self { pending: Vec::new(), cut: 0, line_bytes_max }
    }

    /// Takes the next bytes of the stream and hands out each line that they complete.
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(Line<'_>)) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (head, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.pending.is_empty() && self.cut == 0 && head.len() <= self.line_bytes_max {
                line(Line { bytes: head, cut: 0 });
            } else {
                self.keep(head);
                self.flush(&mut line);
            }
            bytes = rest;
        }
        self.keep(bytes);
    }

    /// Hands out what follows the last LF, if anything does.
    pub fn finish(&mut self, mut line: impl FnMut(Line<'_>)) {
        if !self.pending.is_empty() || self.cut > 0 {
            self.flush(&mut line);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.line_bytes_max - self.pending.len();
        let kept = bytes.len().min(room);
        self.pending.extend_from_slice(&bytes[..kept]);
        self.cut += (bytes.len() - kept) as u64;
    }

    fn flush(&mut self, line: &mut impl FnMut(Line<'_>)) {
        line(Line { bytes: &self.pending, cut: self.cut });
        self.cut = 0;
        self.pending.clear();
        // One long line must not cost its memory for the rest of the run.
        self.pending.shrink_to(KEEP_BYTES);
    }
}

/// How much room a splitter keeps between lines: a pipe's worth.
const KEEP_BYTES: usize = 64 << 10;

/// A line as text: without the CR of a CRLF and without a byte order mark, what is not UTF-8 replaced by U+FFFD.
pub(crate) fn text(line: &[u8]) -> Cow<'_, str> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&[u8]], max: usize) -> Vec<(Vec<u8>, u64)> {
        let mut lines = Vec::new();
        let mut splitter = LineSplitter::new(max);
        for chunk in chunks {
            splitter.push(chunk, |line| lines.push((line.bytes.to_vec(), line.cut)));
        }
        splitter.finish(|line| lines.push((line.bytes.to_vec(), line.cut)));
        lines
    }

    #[test]
    fn a_last_line_needs_no_line_feed() {
        assert_eq!(split(&[b"a\n", b"b"], 9), [(b"a".to_vec(), 0), (b"b".to_vec(), 0)]);
        assert_eq!(split(&[b"a\n\n"], 9), [(b"a".to_vec(), 0), (b"".to_vec(), 0)]);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
        assert_eq!(split(&[b"abc", b"def\nok\n"], 4), [(b"abcd".to_vec(), 2), (b"ok".to_vec(), 0)]);
        assert_eq!(split(&[b"abcdef\nok\n"], 4), [(b"abcd".to_vec(), 2), (b"ok".to_vec(), 0)]);
    }

    proptest! {
        #[test]
        fn the_chunks_do_not_matter(
            stream in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            at in 0usize..200,
            max in 1usize..20,
        ) {
            let at = at.min(stream.len());
            let (head, tail) = stream.split_at(at);
            prop_assert_eq!(split(&[head, tail], max), split(&[&stream], max));
        }
    }
}
