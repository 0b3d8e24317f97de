//! Limits of what a JSON parser is given: so that neither a tree nor the parser's own notes grow without measure.

use std::fmt;
use std::io::{self, Read};

/// The most objects of a file: nodes, attempts, and what stands in them. A node takes some 300 bytes of memory, and
/// in a file as little as three.
const OBJECTS_MAX: u64 = 2_000_000;

/// The most values of any sort; a node of belay's has about ten.
const VALUES_MAX: u64 = 24_000_000;

/// The deepest nesting. The JSON reader has the same limit, but not for what it skips.
const DEPTH_MAX: u32 = 128;

/// The longest text, or name of a field. What an agent said at most is kept in journals, and not in traces.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// More than a trace file may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    what: &'static str,
    line: u64,
    column: u64,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.what, self.line, self.column)
    }
}

impl std::error::Error for Excess {}

/// Bytes of JSON on their way to a parser; reading fails where there is more than there may be. Whether it is JSON is
/// the parser's business.
#[derive(Debug)]
pub(super) struct Guard<R> {
    input: R,
    place: Place,
    objects: u64,
    values: u64,
    depth: u32,
    line: u64,
    column: u64,
    /// The bytes of the text so far.
    text: u64,
}

/// Where in the text the guard is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Structure,
    Text,
    Escape,
}

impl<R> Guard<R> {
    pub(super) fn new(input: R) -> Self {
        let place = Place::Structure;
        Self { input, place, objects: 0, values: 0, depth: 0, line: 1, column: 0, text: 0 }
    }

    fn look(&mut self, bytes: &[u8]) -> Result<(), Excess> {
        for byte in bytes {
            self.column += 1;
            match (self.place, byte) {
                (Place::Structure, b'"') => {
                    self.place = Place::Text;
                    self.text = 0;
                }
                (Place::Structure, b'\n') => {
                    self.line += 1;
                    self.column = 0;
                }
                (Place::Structure, b'{' | b'[' | b',') => {
                    self.values += 1;
                    self.objects += u64::from(*byte == b'{');
                    self.depth += u32::from(*byte != b',');
                    self.check()?;
                }
                (Place::Structure, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                (Place::Structure, _) => {}
                (Place::Text, b'"') => self.place = Place::Structure,
                (Place::Text, _) => {
                    if *byte == b'\\' {
                        self.place = Place::Escape;
                    }
                    self.text += 1;
                    if self.text > TEXT_BYTES_MAX {
                        return Err(self.excess("a text of more than 16 MiB"));
                    }
                }
                (Place::Escape, _) => self.place = Place::Text,
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Excess> {
        match () {
            () if self.depth > DEPTH_MAX => Err(self.excess("more than 128 levels")),
            () if self.objects > OBJECTS_MAX => Err(self.excess("more than two million nodes")),
            () if self.values > VALUES_MAX => Err(self.excess("more than 24 million values")),
            () => Ok(()),
        }
    }

    fn excess(&self, what: &'static str) -> Excess {
        Excess { what, line: self.line, column: self.column }
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.look(&buffer[..read]).map_err(io::Error::other)?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excess(text: &str) -> Option<String> {
        // In pieces, so that nothing depends on where they end.
        let mut guard = Guard::new(io::empty());
        text.as_bytes().chunks(7).find_map(|bytes| guard.look(bytes).err()).map(|e| e.to_string())
    }

    #[test]
    fn what_stands_in_a_text_is_no_structure() {
        let text = format!(r#"{{"a":"{}\"[[","b":1}}"#, "[{,".repeat(10_000));
        assert_eq!(excess(&text), None);
    }

    #[test]
    fn what_is_too_much_is_said_with_its_place() {
        assert_eq!(excess(&"[".repeat(128)), None);
        let want = "more than 128 levels at line 2 column 125";
        assert_eq!(excess(&format!("[[[[\n{}", "[".repeat(125))).as_deref(), Some(want));
        let want = "more than two million nodes at line 1 column 6000002";
        assert_eq!(excess(&format!("[{}", "{},".repeat(2_000_001))).as_deref(), Some(want));
        let want = "more than 24 million values at line 1 column 48000001";
        assert_eq!(excess(&format!("[{}", "0,".repeat(24_000_001))).as_deref(), Some(want));
        let want = "a text of more than 16 MiB at line 1 column 16777218";
        assert_eq!(excess(&format!("\"{}", "x".repeat(17 << 20))).as_deref(), Some(want));
    }
}
