//! What a fake agent does, as a test writes it and the binary reads it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything a fake agent does, in this order.
///
/// It ignores signals, starts its grandchild and its children, floods stderr, waits for stdin, plays
/// its source to stdout, lingers, and exits. The default prints nothing and exits with 0 at once.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Play {
    /// What goes to stdout.
    pub source: Source,
    /// What has to come on stdin before anything goes to stdout.
    pub wait_for_stdin: WaitForStdin,
    /// How fast the lines come.
    pub pace: Pace,
    /// The stream ends after so many bytes of stdout, in the middle of a line if need be.
    pub cut_at: Option<u64>,
    /// Where the stream stops and waits; a dialogue waits by itself and has none.
    pub pauses: Vec<Pause>,
    /// How many bytes go to stderr before the stream.
    pub stderr_flood: u64,
    /// How many bytes go to stderr beside the stream; the end waits for the last of them.
    pub stderr_beside: u64,
    /// What goes to stderr behind the stream, before the end: the words with which it gives up.
    pub last_words: Vec<String>,
    /// What stands between the lines of the stream and does not belong there.
    pub garbage: Vec<Garbage>,
    /// Signals that have no effect, from the start to the end.
    pub ignore: Vec<Signal>,
    /// How long it lives on after the stream, in milliseconds.
    pub linger_ms: u64,
    /// A process that outlives the agent.
    pub grandchild: Option<Grandchild>,
    /// More processes that it starts and does not wait for.
    pub children: Vec<Child>,
    /// What ends it wherever it is in its stream.
    pub stops: Vec<Stop>,
    /// How it ends.
    pub exit: Exit,
    /// Where it writes what it was given; `FakeAgent::new` sets it when it is not set.
    pub log: Option<PathBuf>,
}

/// What goes to stdout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// These lines, each with a newline after it.
    Lines(Vec<String>),
    /// This file, byte for byte.
    File(PathBuf),
    /// Both directions of a recorded dialogue.
    ///
    /// For each `->` line it waits for a line on stdin with the same method, or for a response if
    /// the recorded line is one. A notification it does not wait for is passed over; any other line
    /// ends the play with exit code 97 and a word on stderr. When stdin ends, the play ends. A
    /// response gets the id of the request that really came.
    Dialogue(PathBuf),
}

/// What has to come on stdin before the stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitForStdin {
    /// Nothing.
    #[default]
    No,
    /// One line, or the end.
    Line,
    /// The end.
    Eof,
}

/// How fast the lines come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// As fast as the reader takes them.
    #[default]
    None,
    /// This many milliseconds before each line but the first.
    FixedMs(u64),
    /// With the gaps between these times, which are `line_times_ms` of a recording's `meta.json`.
    RecordedMs(Vec<f64>),
}

/// A place where the stream stops until somebody interrupts or says something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// It stops after so many lines of the source.
    pub after_line: usize,
    /// What it waits for; one that came earlier counts, if no other pause has used it.
    pub until: Until,
    /// What it prints then.
    pub then: Vec<String>,
    /// Whether the rest of the source follows.
    pub resume: bool,
}

/// What ends a pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// This signal, which then has no other effect.
    Signal(Signal),
    /// A line on stdin that contains this text. The end of stdin ends the pause as well.
    StdinLine(String),
    /// The end of stdin.
    StdinEnd,
    /// A file at this path: so one test lets many agents go on at once.
    File(PathBuf),
}

/// Something on stdout that is not of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garbage {
    /// It comes after so many lines of the stream; 0 is before the first.
    pub after_line: usize,
    /// These bytes, as they are: a newline only if they have one.
    pub bytes: Vec<u8>,
}

/// A process the agent leaves behind; it sleeps and exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grandchild {
    /// Whether it runs in a session of its own, where a signal to the agent's group misses it.
    pub setsid: bool,
    /// Whether it keeps the agent's stdout open.
    pub holds_stdout: bool,
    /// How long it sleeps.
    pub seconds: u64,
}

/// A process that the agent starts and does not wait for; it sleeps and exits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Child {
    /// Stands in its command line, so that a test finds it among all processes.
    pub mark: String,
    /// Where it runs.
    pub place: Place,
    /// Whether SIGINT, SIGTERM and SIGHUP do nothing to it.
    pub stubborn: bool,
    /// Whether it keeps the agent's stdout open.
    pub holds_stdout: bool,
    /// Whether it is started without any environment, so that nothing in there gives it away.
    pub no_env: bool,
    /// How long it sleeps.
    pub seconds: u64,
}

/// Where a child of the agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the agent's process group, like a background command of a shell.
    #[default]
    Group,
    /// In a session of its own, like the commands of real agents' tools.
    OwnSession,
    /// In a session of its own and with a parent that is gone, like a daemon.
    Daemon,
}

/// What a fake agent does when it is stopped, at whatever moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// Any of these stops it. The end of stdin does so only if it is named.
    pub on: Vec<Until>,
    /// What it prints then; `"$id"` is the id of the message that came, if one did.
    pub then: Vec<String>,
    /// How it ends then, at once.
    pub exit: Exit,
}

/// How a fake agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal, sent to itself.
    Signal(Signal),
}

/// The signals a fake agent can ignore, wait for, or die of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// SIGHUP.
    Hup,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGABRT.
    Abrt,
    /// SIGKILL, which cannot be ignored.
    Kill,
    /// SIGSEGV.
    Segv,
    /// SIGTERM.
    Term,
}

impl Play {
    /// Prints these lines.
    pub fn lines<L: Into<String>>(lines: impl IntoIterator<Item = L>) -> Self {
        Self::of(Source::Lines(lines.into_iter().map(Into::into).collect()))
    }

    /// Prints this file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::of(Source::File(path.into()))
    }

    /// Plays the agent's side of this recorded dialogue.
    pub fn dialogue(path: impl Into<PathBuf>) -> Self {
        Self::of(Source::Dialogue(path.into()))
    }

    /// Sets how it ends.
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    fn of(source: Source) -> Self {
        Self { source, ..Self::default() }
    }
}

impl Default for Source {
    fn default() -> Self {
        Self::Lines(Vec::new())
    }
}

impl Default for Exit {
    fn default() -> Self {
        Self::Code(0)
    }
}
