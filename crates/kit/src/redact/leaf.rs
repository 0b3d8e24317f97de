//! Finds in an agent's line the strings that arrive in pieces, without decoding it.

use std::hash::{DefaultHasher, Hasher as _};
use std::ops::Range;

/// A string that may be a piece of a longer text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leaf {
    /// Its content in the line, as it is escaped there.
    pub(super) at: Range<usize>,
    /// Where it stands in lines of this form.
    pub(super) shape: u64,
    /// The text that it is a piece of: its place, and every id of the line.
    pub(super) key: u64,
}

/// What agents call pieces.
const PIECES: [&[u8]; 11] = [
    b"text",
    b"thinking",
    b"reasoning",
    b"partial_json",
    b"delta",
    b"content",
    b"arguments",
    b"args",
    b"chunk",
    b"output",
    b"partial",
];

#[derive(Clone, Copy)]
struct Level {
    is_object: bool,
    path: u64,
    index: u64,
}

fn hash(of: impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// True for a key whose value tells texts apart; that of the line itself differs in each line.
fn is_id(key: &[u8], depth: usize) -> bool {
    key == b"index"
        || key.ends_with(b"Index")
        || key.ends_with(b"_id")
        || key.ends_with(b"Id")
        || key.ends_with(b"ID")
        || key == b"id" && depth > 1
}

/// The pieces in a line; what is no JSON object has none.
pub(super) fn leaves(line: &[u8]) -> Vec<Leaf> {
    let (mut leaves, mut ids) = (Vec::new(), 0_u64);
    let mut levels: Vec<Level> = Vec::new();
    let mut key: Range<usize> = 0..0;
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b'"' => {
                let from = at + 1;
                let Some(to) = end_of_string(line, from) else { break };
                at = to + 1;
                let Some(level) = levels.last() else { break };
                let rest = &line[at..];
                let colon = rest.iter().position(|byte| !byte.is_ascii_whitespace());
                if level.is_object && colon.is_some_and(|n| rest[n] == b':') {
                    key = from..to;
                    at += colon.map_or(0, |n| n + 1);
                    continue;
                }
                let name = &line[key.clone()];
                if level.is_object && PIECES.contains(&name) {
                    let shape = hash((level.path, name));
                    leaves.push(Leaf { at: from..to, shape, key: 0 });
                } else if level.is_object && is_id(name, levels.len()) {
                    ids ^= hash((level.path, name, &line[from..to]));
                }
                continue;
            }
            open @ (b'{' | b'[') => {
                let path = match levels.last() {
                    None => 0,
                    Some(level) if level.is_object => hash((level.path, &line[key.clone()])),
                    Some(level) => hash((level.path, level.index)),
                };
                levels.push(Level { is_object: open == b'{', path, index: 0 });
            }
            b'}' | b']' => {
                levels.pop();
            }
            b',' => {
                if let Some(level) = levels.last_mut() {
                    level.index += 1;
                }
            }
            b'0'..=b'9' if levels.last().is_some_and(|level| level.is_object) => {
                let to = line[at..].iter().position(|byte| !byte.is_ascii_digit());
                let to = to.map_or(line.len(), |n| at + n);
                if is_id(&line[key.clone()], levels.len()) {
                    ids ^= hash((&line[key.clone()], &line[at..to]));
                }
                at = to;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    for leaf in &mut leaves {
        leaf.key = hash((leaf.shape, ids));
    }
    leaves
}

fn end_of_string(line: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr2(b'"', b'\\', &line[at..])?;
        if line[at] == b'"' {
            return Some(at);
        }
        at += 2;
        if at >= line.len() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<&str> {
        leaves(line.as_bytes()).into_iter().map(|leaf| &line[leaf.at]).collect()
    }

    #[test]
    fn pieces_are_found_as_they_are_escaped() {
        assert_eq!(texts(r#"{"type":"x","d": {"text" : "a\"b\\"},"id":"i"}"#), [r#"a\"b\\"#]);
        assert_eq!(texts(r#"{"c":[{"text":"a"},{"text":"b"}]}"#), ["a", "b"]);
        for line in
            ["", "words \"text\":\"a\"", r#"{"text":"a"#, r#"{"text":"a\"#, r#"{"name":"a"}"#]
        {
            assert_eq!(texts(line), [""; 0], "{line}");
        }
    }

    #[test]
    fn texts_of_two_messages_are_two() {
        let key = |line: &str| leaves(line.as_bytes()).remove(0).key;
        let line = |id: &str, uuid: &str| {
            format!(r#"{{"id":"{uuid}","p":{{"itemId":"{id}","delta":"x"}},"uuid":"{uuid}"}}"#)
        };
        assert_eq!(key(&line("a", "1")), key(&line("a", "2")));
        assert_ne!(key(&line("a", "1")), key(&line("b", "1")));
        let line = |index: u32| format!(r#"{{"e":{{"index":{index},"text":"x"}}}}"#);
        assert_eq!(key(&line(1)), key(&line(1)));
        assert_ne!(key(&line(0)), key(&line(1)));
    }
}
