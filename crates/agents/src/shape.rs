//! What an agent's messages look like: which fields each kind of message has, so that a new one is noticed.
//!
//! What is known comes from the recordings, as one text file an agent (`shapes/NAME.txt`); a test holds them together.

use crate::AGENTS;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The kinds of messages of an agent, each with the paths of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shapes(BTreeMap<String, BTreeSet<String>>);

/// What was said that the known shapes do not have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum New {
    /// A kind of message.
    Message(String),
    /// A field of a kind of message that is known.
    Field {
        /// The kind of message.
        message: String,
        /// The path of the field.
        path: String,
    },
}

impl Shapes {
    /// What the recordings show of the agent with this name; `None` if there are none.
    pub fn of_agent(name: &str) -> Option<Self> {
        let file = AGENTS.iter().find(|entry| entry.name == name)?.shapes?;
        let lines = file.lines().filter_map(|line| line.split_once(": "));
        let fields = |paths: &str| paths.split(' ').map(str::to_owned).collect();
        Some(Self(lines.map(|(message, paths)| (message.to_owned(), fields(paths))).collect()))
    }

    /// Adds what a line shows; words that are not JSON show nothing.
    pub fn add(&mut self, line: &[u8]) {
        if let Some((message, paths)) = shape(line) {
            self.0.entry(message).or_default().extend(paths);
        }
    }

    /// What a line has that is not known.
    pub fn news(&self, line: &[u8]) -> Vec<New> {
        let Some((message, paths)) = shape(line) else { return Vec::new() };
        let Some(known) = self.0.get(&message) else { return vec![New::Message(message)] };
        let new = paths.into_iter().filter(|path| !known.contains(path));
        new.map(|path| New::Field { message: message.clone(), path }).collect()
    }

    /// One line a kind of message, as [`of_agent`](Self::of_agent) reads them.
    pub fn to_text(&self) -> String {
        let line = |(message, paths): (&String, &BTreeSet<String>)| {
            let paths: Vec<_> = paths.iter().map(String::as_str).collect();
            format!("{message}: {}\n", paths.join(" "))
        };
        self.0.iter().map(line).collect()
    }
}

/// Names below which anything can stand: what tools take and give, maps by names of models, files, servers.
const OPAQUE: [&str; 22] = [
    "parameters",
    "schema",
    "input",
    "args",
    "arguments",
    "output",
    "result",
    "toolResult",
    "tool_use_result",
    "modelUsage",
    "models",
    "metadata",
    "details",
    "structured_output",
    "structuredContent",
    "rawInput",
    "rawOutput",
    "state",
    "partial",
    "config",
    "providers",
    "env",
];

/// How deep fields are looked at.
const DEPTH_MAX: usize = 6;

/// The kind of a message and the paths of its fields; a part that has a type of its own has it in its path.
fn shape(line: &[u8]) -> Option<(String, BTreeSet<String>)> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let object = value.as_object()?;
    let words = ["type", "subtype", "method"].iter().filter_map(|key| object.get(*key)?.as_str());
    let words: Vec<_> = words.map(word).collect();
    let message = match (&words[..], object.contains_key("id")) {
        ([], true) => "response".to_owned(),
        ([], false) => "message".to_owned(),
        (words, _) => words.join("/"),
    };
    let mut paths = BTreeSet::new();
    fields(&value, "", 0, &mut paths);
    // So that a message without fields is one all the same.
    paths.insert("{}".to_owned());
    Some((message, paths))
}

fn fields(value: &Value, under: &str, depth: usize, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if depth < DEPTH_MAX => {
            // A map by names that somebody chose has no fields.
            if object.keys().any(|key| !is_name(key)) {
                return;
            }
            let own = object.get("type").and_then(Value::as_str).filter(|_| depth > 0);
            let under =
                own.map_or_else(|| under.to_owned(), |own| format!("{under}<{}>", word(own)));
            for (key, value) in object {
                let path = if under.is_empty() { key.clone() } else { format!("{under}.{key}") };
                if !OPAQUE.contains(&key.as_str()) {
                    fields(value, &path, depth + 1, paths);
                }
                paths.insert(path);
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| fields(item, &format!("{under}[]"), depth, paths));
        }
        _ => {}
    }
}

/// A type's name, or what stands in a file for something that cannot be one.
fn word(text: &str) -> &str {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    if !text.is_empty() && text.len() <= 60 && text.chars().all(fits) { text } else { "?" }
}

fn is_name(key: &str) -> bool {
    let begins = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$');
    let digits = key.chars().filter(char::is_ascii_digit).count();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    begins && key.len() <= 60 && digits <= 3 && key.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(lines: &[&str]) -> Shapes {
        let mut shapes = Shapes::default();
        lines.iter().for_each(|line| shapes.add(line.as_bytes()));
        shapes
    }

    #[test]
    fn a_new_field_and_a_new_kind_of_message_are_noticed() {
        let shapes = known(&[r#"{"type":"a","x":{"type":"t","y":1},"list":[{"type":"u","z":1}]}"#]);
        let news = |line: &str| shapes.news(line.as_bytes());
        assert_eq!(news(r#"{"type":"a","list":[]}"#), []);
        let field = |path: &str| New::Field { message: "a".into(), path: path.into() };
        assert_eq!(news(r#"{"type":"a","new":1}"#), [field("new")]);
        assert_eq!(news(r#"{"type":"a","x":{"type":"t","w":1}}"#), [field("x<t>.w")]);
        // A part of another type has other fields, and all of them are new.
        assert_eq!(news(r#"{"type":"a","x":{"type":"v"}}"#), [field("x<v>.type")]);
        assert_eq!(news(r#"{"type":"b"}"#), [New::Message("b".into())]);
        assert_eq!(news("no JSON"), []);
    }

    #[test]
    fn what_tools_take_and_maps_by_names_have_no_fields() {
        let shapes = known(&[r#"{"type":"a","input":{"x":1},"files":{"a.txt":1}}"#]);
        assert_eq!(shapes.news(br#"{"type":"a","input":{"y":1},"files":{"b/c":2}}"#), []);
    }

    #[test]
    fn shapes_are_read_as_they_are_written() {
        let shapes = known(&[r#"{"type":"a","x":1}"#, r#"{"id":1,"result":{}}"#, "{}"]);
        let read = |text: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(": "));
            let fields = |paths: &str| paths.split(' ').map(str::to_owned).collect();
            Shapes(lines.map(|(message, paths)| (message.to_owned(), fields(paths))).collect())
        };
        assert_eq!(read(&shapes.to_text()), shapes);
    }
}
