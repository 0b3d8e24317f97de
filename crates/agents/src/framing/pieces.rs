//! A line as a row of JSON objects and what is between them.

use super::escape;
use memchr::memchr3;

/// A part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole object, and no part of a larger one.
    Object,
    /// White space, and control characters that a terminal shows nothing of.
    Blank,
    /// An escape sequence.
    Escape,
    /// Anything else; what has begun as an object and is none, too.
    Words,
}

impl Piece {
    /// Its text in the line that it is of.
    pub(super) fn of<'a>(&self, line: &'a str) -> &'a str {
        &line[self.start..self.end]
    }
}

/// Takes a line apart, each byte into one piece, in a time that grows with its length and nothing else.
///
/// At each `{` it is tried whether an object begins there. Where that fails, no object begins either at any `{` that
/// the try took for the beginning of one inside and left open, so that these are not tried. What is tried still is in
/// the strings of a failed try, where the quotes change places: any byte is in two failed tries at most, and in one
/// that succeeds.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    line: &'a str,
    at: usize,
    /// The object behind the words that were handed out last.
    found: Option<Piece>,
    hopeless: Places,
    open: Open,
    /// How many bytes the tries have looked at.
    tried: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        let (hopeless, open) = (Places::default(), Open::default());
        Self { line, at: 0, found: None, hopeless, open, tried: 0 }
    }

    /// The object that begins here.
    fn object(&mut self, start: usize) -> Option<Piece> {
        // Most braces in words are none's beginning, as the next byte says.
        let may_be = matches!(
            self.line.as_bytes().get(start + 1)?,
            b'"' | b'}' | b' ' | b'\t' | b'\r' | b'\n'
        );
        if !may_be || self.hopeless.contains(start) {
            return None;
        }
        let mut object = Try { bytes: self.line.as_bytes(), at: start, open: &mut self.open };
        let is_whole = object.run().is_some();
        let end = object.at;
        self.tried += end - start;
        if is_whole {
            return Some(Piece { kind: Kind::Object, start, end });
        }
        self.open.objects.drain(..).for_each(|start| self.hopeless.insert(start));
        self.open.kinds.clear();
        None
    }

    /// The end of words of which the first are known: before an object, or an escape sequence.
    fn words(&mut self, mut end: usize) -> usize {
        let bytes = self.line.as_bytes();
        while let Some(next) = memchr3(b'{', 0x1b, 0xc2, &bytes[end..]) {
            end += next;
            if bytes[end] == b'{' {
                // Of several in a row, only the last can begin an object.
                end += bytes[end + 1..].iter().take_while(|byte| **byte == b'{').count();
                self.found = self.object(end);
            }
            if self.found.is_some() || escape::length(&self.line[end..]) > 0 {
                return end;
            }
            end += if bytes[end] == 0xc2 { 2 } else { 1 };
        }
        bytes.len()
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if let Some(object) = self.found.take() {
            self.at = object.end;
            return Some(object);
        }
        let start = self.at;
        let rest = &self.line[start..];
        let first = rest.chars().next()?;
        let (kind, end) = if is_blank(first) {
            let blank = rest.find(|c| !is_blank(c)).unwrap_or(rest.len());
            (Kind::Blank, start + blank)
        } else if let len @ 1.. = escape::length(rest) {
            (Kind::Escape, start + len)
        } else if let Some(object) = (first == '{').then(|| self.object(start)).flatten() {
            (Kind::Object, object.end)
        } else {
            (Kind::Words, self.words(start + first.len_utf8()))
        };
        self.at = end;
        Some(Piece { kind, start, end })
    }
}

pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}' || (c.is_ascii_control() && c != '\u{1b}')
}

/// Places in a line, as bits.
#[derive(Debug, Default)]
struct Places(Vec<u64>);

impl Places {
    fn insert(&mut self, at: usize) {
        if self.0.len() <= at / 64 {
            self.0.resize(at / 64 + 1, 0);
        }
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn contains(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|bits| bits & (1 << (at % 64)) != 0)
    }
}

/// The objects and lists that a try is in, outermost first.
#[derive(Debug, Default)]
struct Open {
    /// For each, true if it is an object.
    kinds: Vec<bool>,
    /// Where the objects begin.
    objects: Vec<usize>,
}

/// The reading of one object. It goes as deep as the line is long, and so does serde where it passes values on.
struct Try<'a> {
    bytes: &'a [u8],
    at: usize,
    open: &'a mut Open,
}

/// What may come next.
#[derive(Clone, Copy)]
enum Next {
    Value,
    FirstItem,
    FirstKey,
    Key,
    Colon,
    CommaOrEnd,
}

impl Try<'_> {
    /// Reads to the object's end, or to where it is none.
    fn run(&mut self) -> Option<()> {
        let mut next = Next::Value;
        loop {
            self.blanks();
            let byte = *self.bytes.get(self.at)?;
            next = match (next, byte) {
                (Next::Value | Next::FirstItem, b'{') => {
                    self.open.kinds.push(true);
                    self.open.objects.push(self.at);
                    self.at += 1;
                    Next::FirstKey
                }
                (Next::Value | Next::FirstItem, b'[') => {
                    self.open.kinds.push(false);
                    self.at += 1;
                    Next::FirstItem
                }
                (Next::FirstKey | Next::Key, b'"') => {
                    self.string()?;
                    Next::Colon
                }
                (Next::Colon, b':') => {
                    self.at += 1;
                    Next::Value
                }
                (Next::CommaOrEnd, b',') => {
                    self.at += 1;
                    if *self.open.kinds.last()? { Next::Key } else { Next::Value }
                }
                (Next::CommaOrEnd | Next::FirstKey, b'}')
                    if self.open.kinds.last() == Some(&true) =>
                {
                    self.open.objects.pop();
                    self.close();
                    if self.open.kinds.is_empty() {
                        return Some(());
                    }
                    Next::CommaOrEnd
                }
                (Next::CommaOrEnd | Next::FirstItem, b']')
                    if self.open.kinds.last() == Some(&false) =>
                {
                    self.close();
                    Next::CommaOrEnd
                }
                (Next::Value | Next::FirstItem, _) => {
                    self.scalar(byte)?;
                    Next::CommaOrEnd
                }
                _ => return None,
            };
        }
    }

    fn close(&mut self) {
        self.open.kinds.pop();
        self.at += 1;
    }

    fn blanks(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn scalar(&mut self, first: u8) -> Option<()> {
        match first {
            b'"' => self.string(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let is_there = self.bytes[self.at..].starts_with(word);
        is_there.then(|| self.at += word.len())
    }

    fn string(&mut self) -> Option<()> {
        loop {
            self.at += 1;
            let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
            match self.bytes.get(self.at..)?.iter().position(is_special) {
                Some(plain) => self.at += plain,
                None => {
                    self.at = self.bytes.len();
                    return None;
                }
            }
            match self.bytes[self.at] {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    /// Goes to the last byte of an escape.
    fn escape(&mut self) -> Option<()> {
        self.at += 1;
        match self.bytes.get(self.at)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.bytes.get(self.at + 1..self.at + 5)?;
                let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
                is_hex.then(|| self.at += 4)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<()> {
        self.skip(|byte| byte == b'-', 1);
        match self.bytes.get(self.at)? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.skip(|byte| byte == b'.', 1) {
            self.digits()?;
        }
        if self.skip(|byte| matches!(byte, b'e' | b'E'), 1) {
            self.skip(|byte| matches!(byte, b'+' | b'-'), 1);
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        self.skip(|byte| byte.is_ascii_digit(), usize::MAX).then_some(())
    }

    /// Goes over bytes of a kind, so many at most; true if there was one.
    fn skip(&mut self, is: impl Fn(u8) -> bool, max: usize) -> bool {
        let count = self.bytes[self.at..].iter().take(max).take_while(|byte| is(**byte)).count();
        self.at += count;
        count > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    fn objects(line: &str) -> Vec<&str> {
        let objects = Pieces::of(line).filter(|piece| piece.kind == Kind::Object);
        objects.map(|object| object.of(line)).collect()
    }

    /// The same, tried at each `{` by serde.
    fn objects_of_serde(line: &str) -> Vec<&str> {
        let (mut found, mut at) = (Vec::new(), 0);
        while let Some(next) = line[at..].find('{') {
            at += next;
            let mut values =
                serde_json::Deserializer::from_str(&line[at..]).into_iter::<&RawValue>();
            match values.next() {
                Some(Ok(object)) => {
                    found.push(object.get());
                    at += object.get().len();
                }
                _ => at += 1,
            }
        }
        found
    }

    #[test]
    fn objects_are_found_between_words() {
        for (line, want) in [
            (r#"{"a":1}"#, vec![r#"{"a":1}"#]),
            (r#"Debugger attached.{"a":1}"#, vec![r#"{"a":1}"#]),
            (r#"{"a":1}{"b":[{}]} x"#, vec![r#"{"a":1}"#, r#"{"b":[{}]}"#]),
            (r#"{"a": "{"b":1}"#, vec![r#"{"b":1}"#]),
            (r#"{"a":{"b":1}"#, vec![r#"{"b":1}"#]),
            (r#"{"a":{"b":1},{"c":2}"#, vec![r#"{"b":1}"#, r#"{"c":2}"#]),
            (r#"{{{"a":1}"#, vec![r#"{"a":1}"#]),
            (r#"[{"a":1}"#, vec![r#"{"a":1}"#]),
            (r#"{"a":"\"{}"}"#, vec![r#"{"a":"\"{}"}"#]),
            (r#""{\"a\":1}""#, vec![]),
            (r#"{"a":01}{"a":1.}{"a":-}{"a":1e}{"a":tru}{"a":1,}{,}"#, vec![]),
            (
                r#"{"a":[-0.5e+3,true,false,null,"\u00e9\/"]}"#,
                vec![r#"{"a":[-0.5e+3,true,false,null,"\u00e9\/"]}"#],
            ),
            ("\x1b]0;{\"a\":1}\x07{}", vec!["{}"]),
        ] {
            assert_eq!(objects(line), want, "{line}");
        }
    }

    #[test]
    fn every_byte_is_in_one_piece() {
        let line = "\x1b[?2004h é\u{9b}0mwords {\"a\":1}\t{\"b\": é ©\x1b";
        let mut at = 0;
        for piece in Pieces::of(line) {
            assert_eq!(piece.start, at);
            assert!(piece.end > at);
            at = piece.end;
        }
        assert_eq!(at, line.len());
    }

    /// Lines on which a try at each `{` would take the square of their length.
    #[test]
    fn the_work_grows_with_the_length_alone() {
        let len = 1 << 20;
        let repeated = |part: &str| part.repeat(len / part.len());
        let lines = [
            repeated("{"),
            repeated(r#"{"a":"#),
            repeated(r#"{"a":["#),
            repeated(r#"{"":"#),
            repeated(r#"{"{":"{","#),
            repeated(r#"{":"#),
            repeated(r#"{":1,"#),
            repeated(r#"{"a":"{"#),
            repeated(r#"{"a":1} "#),
            repeated(r#"{"a":{}} {"#),
            repeated(r#"{"\"#),
            format!(r#"{{"a":[{}"#, repeated("{},")),
            format!("{}{}", r#"{"a":["#.repeat(1000), repeated("1,")),
            format!("{}{}", r#"{"{","#.repeat(1000), repeated("x")),
            repeated("\x1b]"),
            repeated("\u{9d}"),
            repeated("\x1b[{"),
            repeated("\x1b\x1bP"),
        ];
        for line in lines {
            let mut pieces = Pieces::of(&line);
            let count = pieces.by_ref().count();
            assert!(count <= line.len(), "{line:.20}");
            assert!(pieces.tried <= 3 * line.len(), "{line:.20}: {} bytes tried", pieces.tried);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn each_object_is_found_that_serde_finds(
            line in proptest::collection::vec(
                proptest::sample::select(vec![
                    "{", "}", "[", "]", "\"", ":", ",", "1", "a", "\\", " ", "é", "true", "-", ".5", "e3", "\"a\":",
                    "{}", "{\"a\":", "{\"a\":{", "\"{", "\u{1}", "u00e9",
                ]),
                0..60,
            ),
        ) {
            let line = line.concat();
            prop_assert_eq!(objects(&line), objects_of_serde(&line));
            let mut pieces = Pieces::of(&line);
            let parts: String = pieces.by_ref().map(|piece| piece.of(&line)).collect();
            prop_assert!(pieces.tried <= 3 * line.len() + 3);
            prop_assert_eq!(parts, line);
        }
    }
}
