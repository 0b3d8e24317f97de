//! A terminal of belay's: a command that an agent lets its client run instead of running it itself.
//!
//! A driver orders ([`TerminalOrder`]), whoever runs the driver starts the command and tells what becomes of it
//! ([`TerminalNews`]).

use crate::launch::shell_word;
use crate::protocol::Exit;
use crate::wire::{decode, lenient};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::path::PathBuf;

/// How much of its output is kept at most, and if the agent names no limit: as much as of any tool's.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// A terminal of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TerminalId(pub u32);

/// What a driver wants of a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalOrder {
    /// Get ready to start this: the parameters of the agent's request as they came, for
    /// [`TerminalCommand::read`]. What the driver has read may be redacted, and what is started must not be.
    Prepare(String),
    /// Start it, and feed [`TerminalNews::Started`] or [`TerminalNews::NotStarted`].
    Start,
    /// Feed [`TerminalNews::Output`] with what was printed since the last time, also if that is nothing.
    Read,
    /// Kill it, with all that it has started; its end is told as any other.
    Kill,
    /// Forget it; it is killed if it runs.
    Release,
}

/// What becomes of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalNews<'a> {
    /// The command runs.
    Started,
    /// It cannot be started, and why.
    NotStarted(&'a str),
    /// What it has printed since the last time, without secrets.
    Output {
        /// Whole lines, but for the last one of all.
        text: &'a str,
        /// More was printed before it than is kept.
        has_gap: bool,
    },
    /// It has ended, and all it has printed was fed.
    Ended(Exit),
}

/// A command that a terminal is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TerminalCommand {
    /// A program, or without arguments a line for a shell.
    pub command: String,
    /// The arguments of the program.
    #[serde(default, deserialize_with = "or_default")]
    pub args: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    env: Vec<Variable>,
    /// The folder it works in; that of the run, if there is none.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    #[serde(default, deserialize_with = "lenient")]
    output_byte_limit: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Variable {
    name: String,
    value: String,
}

/// A field that may be null. One that cannot be read is no less of the command: without it something else would run.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl TerminalCommand {
    /// Reads the parameters of a request; none, if they name no command, or a part of it cannot be read.
    pub fn read(params: &str) -> Option<Self> {
        decode::<Self>(params).filter(|read| !read.command.trim().is_empty())
    }

    /// The variables that are added to the agent's environment, or replaced in it.
    pub fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|variable| (variable.name.as_str(), variable.value.as_str()))
    }

    /// How many bytes of its output are kept: the last ones.
    pub fn kept_bytes(&self) -> usize {
        let asked = self.output_byte_limit.and_then(|bytes| usize::try_from(bytes).ok());
        asked.map_or(KEPT_BYTES_MAX, |bytes| bytes.min(KEPT_BYTES_MAX))
    }

    /// The line that a shell is to run, if it is one and no program's name.
    pub fn shell_line(&self) -> Option<&str> {
        let is_name = |c: char| c.is_alphanumeric() || "_-./+@:,%".contains(c);
        let is_line = self.args.is_empty() && !self.command.chars().all(is_name);
        is_line.then_some(self.command.as_str())
    }
}

/// As a person would type it.
impl fmt::Display for TerminalCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.command)?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", shell_word(arg)))
    }
}

/// The last part of a text, cut between two characters. Returns whether something was cut off.
pub fn keep_last_bytes(text: &mut String, bytes_max: usize) -> bool {
    let Some(over) = text.len().checked_sub(bytes_max).filter(|over| *over > 0) else {
        return false;
    };
    let from = (over..=text.len()).find(|at| text.is_char_boundary(*at));
    text.drain(..from.unwrap_or(text.len()));
    true
}

impl<'a> TerminalNews<'a> {
    /// The first line of its frame in a journal, behind the number of the terminal, and the text behind that line.
    pub fn to_frame(self) -> (String, &'a str) {
        match self {
            Self::Started => ("started".to_owned(), ""),
            Self::NotStarted(why) => ("not_started".to_owned(), why),
            Self::Output { text, has_gap: false } => ("output".to_owned(), text),
            Self::Output { text, has_gap: true } => ("output_after_gap".to_owned(), text),
            Self::Ended(Exit::Code(code)) => (format!("code {code}"), ""),
            Self::Ended(Exit::Signal(signal)) => (format!("signal {signal}"), ""),
        }
    }

    /// Reads what [`to_frame`](Self::to_frame) has made.
    pub fn from_frame(head: &str, text: &'a str) -> Option<Self> {
        let (word, number) = head.split_once(' ').unwrap_or((head, ""));
        Some(match word {
            "started" => Self::Started,
            "not_started" => Self::NotStarted(text),
            "output" => Self::Output { text, has_gap: false },
            "output_after_gap" => Self::Output { text, has_gap: true },
            "code" => Self::Ended(Exit::Code(number.parse().ok()?)),
            "signal" => Self::Ended(Exit::Signal(number.parse().ok()?)),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_with_more_than_a_name_is_for_a_shell() {
        let is_line = |params: &str| TerminalCommand::read(params).unwrap().shell_line().is_some();
        assert!(is_line(r#"{"command":"npm test"}"#));
        assert!(is_line(r#"{"command":"ls;pwd","args":[]}"#));
        assert!(!is_line(r#"{"command":"ls"}"#));
        assert!(!is_line(r#"{"command":"./gradlew"}"#));
        assert!(!is_line(r#"{"command":"/opt/my tools/x","args":["a"]}"#));
        for unreadable in [
            r#"{"command":" "}"#,
            r#"{"command":"rm","args":"-r x"}"#,
            r#"{"command":"x","env":[{"name":"A"}]}"#,
            r#"{"command":"x","cwd":7}"#,
        ] {
            assert_eq!(TerminalCommand::read(unreadable), None);
        }
        assert!(TerminalCommand::read(r#"{"command":"x","args":null,"cwd":null}"#).is_some());
    }

    #[test]
    fn what_is_kept_begins_with_a_whole_character() {
        let mut text = "aäöü".to_owned();
        assert!(keep_last_bytes(&mut text, 5));
        assert_eq!(text, "öü");
        assert!(!keep_last_bytes(&mut text, 4));
        assert!(keep_last_bytes(&mut text, 0));
        assert_eq!(text, "");
    }

    #[test]
    fn news_come_back_from_a_journal() {
        for news in [
            TerminalNews::Started,
            TerminalNews::NotStarted("why\nnot"),
            TerminalNews::Output { text: "a\nb", has_gap: false },
            TerminalNews::Output { text: "", has_gap: true },
            TerminalNews::Ended(Exit::Code(-1)),
            TerminalNews::Ended(Exit::Signal(9)),
        ] {
            let (head, text) = news.to_frame();
            assert_eq!(TerminalNews::from_frame(&head, text), Some(news));
        }
    }
}
