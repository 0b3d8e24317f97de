//! What a fake agent was given, one JSON line each, so that a test can look at what the runner did.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One line of a fake agent's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LogLine {
    /// It was started.
    Start {
        /// Its process id.
        pid: u32,
        /// Its arguments, without the program.
        argv: Vec<String>,
        /// Its environment, all of it.
        env: BTreeMap<String, String>,
        /// Its working folder.
        cwd: PathBuf,
    },
    /// It left this process behind.
    Grandchild {
        /// The process id.
        pid: u32,
    },
    /// A line came on stdin.
    Stdin {
        /// The line without its newline.
        line: String,
    },
    /// Stdin ended.
    StdinEnd,
    /// The stream is played; what follows is the lingering and the end.
    Played,
}

/// The log of a fake agent, over all its starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// The lines in the order they were written.
    pub lines: Vec<LogLine>,
}

impl Log {
    /// The arguments of its last start; empty when it was never started.
    pub fn argv(&self) -> Vec<String> {
        self.last_start().map(|(argv, ..)| argv.clone()).unwrap_or_default()
    }

    /// The environment of its last start.
    pub fn env(&self) -> BTreeMap<String, String> {
        self.last_start().map(|(_, env, _)| env.clone()).unwrap_or_default()
    }

    /// The working folder of its last start.
    pub fn cwd(&self) -> Option<PathBuf> {
        self.last_start().map(|(.., cwd)| cwd.clone())
    }

    /// How often it was started.
    pub fn starts(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line, LogLine::Start { .. })).count()
    }

    /// Every line it got on stdin.
    pub fn stdin(&self) -> Vec<&str> {
        let lines = self.lines.iter();
        lines
            .filter_map(|line| match line {
                LogLine::Stdin { line } => Some(line.as_str()),
                LogLine::Start { .. }
                | LogLine::Grandchild { .. }
                | LogLine::StdinEnd
                | LogLine::Played => None,
            })
            .collect()
    }

    /// Whether its stdin was closed.
    pub fn stdin_ended(&self) -> bool {
        self.lines.contains(&LogLine::StdinEnd)
    }

    /// The processes it has started, in order.
    pub fn children(&self) -> Vec<u32> {
        let lines = self.lines.iter();
        lines
            .filter_map(|line| match line {
                LogLine::Grandchild { pid } => Some(*pid),
                LogLine::Start { .. }
                | LogLine::Stdin { .. }
                | LogLine::StdinEnd
                | LogLine::Played => None,
            })
            .collect()
    }

    /// The process it left behind last.
    pub fn grandchild(&self) -> Option<u32> {
        self.lines.iter().rev().find_map(|line| match line {
            LogLine::Grandchild { pid } => Some(*pid),
            LogLine::Start { .. } | LogLine::Stdin { .. } | LogLine::StdinEnd | LogLine::Played => {
                None
            }
        })
    }

    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        // A line without its newline is still being written.
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = complete.lines().map(|line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{} is no log: {error}: {line}", path.display()))
        });
        Self { lines: lines.collect() }
    }

    fn last_start(&self) -> Option<(&Vec<String>, &BTreeMap<String, String>, &PathBuf)> {
        self.lines.iter().rev().find_map(|line| match line {
            LogLine::Start { argv, env, cwd, .. } => Some((argv, env, cwd)),
            LogLine::Grandchild { .. }
            | LogLine::Stdin { .. }
            | LogLine::StdinEnd
            | LogLine::Played => None,
        })
    }
}

/// The writing end, shared by the thread that reads stdin and the one that plays.
#[derive(Debug)]
pub(crate) struct LogWriter(Option<File>);

impl LogWriter {
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        Ok(Self(path.map(open).transpose()?))
    }

    /// Appends a line, whole in one write, so that a killed agent leaves no half of it.
    pub(crate) fn write(&self, line: &LogLine) {
        let Some(mut file) = self.0.as_ref() else { return };
        let mut text = serde_json::to_string(line).expect("a log line is always JSON");
        text.push('\n');
        file.write_all(text.as_bytes()).expect("the test keeps the log's folder until it is done");
    }
}
