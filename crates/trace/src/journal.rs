//! The journal of a run: what came in, byte for byte, and what belay made of it.
//!
//! A run's folder holds `events.jsonl`, one [`Record`](crate::Record) a line, and for each attempt
//! `input.N.log`: every input of the driver with its arrival time. Replaying the inputs through the same
//! driver gives the same events, so the inputs are the truth and the events are derived from it.
//!
//! An input is one frame: a line of ASCII (`KIND MICROSECONDS LENGTH`), then LENGTH bytes verbatim, then a
//! line feed. The file can be read with `less` and searched with `grep`, and no byte of the agent is escaped.
//!
//! A text of more than 256 KiB in an event stands in a file of its own, `blobs/{SHA-256}`, once for the same text;
//! its line has the beginning, and in [`Record::blobs`](crate::Record::blobs) where the rest is.

use std::fmt;
use std::str::FromStr;

/// The folder of all runs, in the state folder.
pub const RUNS_DIR: &str = "runs";

/// The file of a run's records.
pub const EVENTS_FILE: &str = "events.jsonl";

/// The file of the request, from which a run's drivers can be made again.
pub const REQUEST_FILE: &str = "request.json";

/// The folder of the long texts of a run, in its folder.
pub const BLOBS_DIR: &str = "blobs";

/// The longest text that stands in a line of the events: what `less` and `grep` still handle well.
pub const FIELD_BYTES_MAX: usize = 256 << 10;
/// The pipe through which others speak to a run while it lasts: a [`ControlLine`](crate::ControlLine) a line.
pub const CONTROL_FILE: &str = "control";

/// The name of the file with the request of an attempt, where it differs from that of the run.
pub fn attempt_request_file(attempt: u32) -> String {
    format!("request.{attempt}.json")
}

/// The file of an attempt's inputs.
pub fn input_file(attempt: u32) -> String {
    format!("input.{attempt}.log")
}

/// What an input of a driver was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputKind {
    /// The id that the agent was told to give its new session.
    Session,
    /// The attempt begins.
    Start,
    /// A line from the agent's standard output, without its line feed.
    Stdout,
    /// A line from the agent's standard error, without its line feed.
    Stderr,
    /// The caller spoke to the running agent.
    Steer,
    /// The caller asked the agent to stop.
    Interrupt,
    /// A permission request was answered: `allow ID` or `deny ID`.
    Permission,
    /// A timer of the driver fired: its number.
    Timer,
    /// Of a terminal that the agent has of belay: `ID NEWS`, a line feed, what it has printed.
    Terminal,
    /// The agent's server has answered: `ID STATUS`, a line feed, the body. Status 0 is no answer.
    Http,
    /// The data of a server-sent event.
    Sse,
    /// The stream did not show how the turn stands: `silent`, or `gone` with the process.
    Doubt,
    /// What the files of the agent's session have gained: when the attempt began, a line feed, the lines.
    SessionFile,
    /// Lines of the session's file about tool calls that the stream does not show.
    SilentCalls,
    /// The file that has the answer, of an agent that writes it to one.
    AnswerFile,
    /// The process ended: `code N` or `signal N`.
    Exit,
    /// The beginning of a line that was too long; the driver has not seen it.
    Oversized,
}

impl InputKind {
    const NAMES: [(Self, &'static str); 17] = [
        (Self::Session, "session"),
        (Self::Start, "start"),
        (Self::Stdout, "stdout"),
        (Self::Stderr, "stderr"),
        (Self::Steer, "steer"),
        (Self::Interrupt, "interrupt"),
        (Self::Permission, "permission"),
        (Self::Timer, "timer"),
        (Self::Terminal, "terminal"),
        (Self::Http, "http"),
        (Self::Sse, "sse"),
        (Self::Doubt, "doubt"),
        (Self::SessionFile, "session_file"),
        (Self::SilentCalls, "silent_calls"),
        (Self::AnswerFile, "answer_file"),
        (Self::Exit, "exit"),
        (Self::Oversized, "oversized"),
    ];
}

impl fmt::Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for InputKind {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::NAMES.iter().find(|(_, n)| *n == name).map(|(kind, _)| *kind).ok_or(())
    }
}

/// One input with its arrival time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it was.
    pub kind: InputKind,
    /// Microseconds since the attempt began.
    pub at_us: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Frame<'_> {
    /// The line before the bytes.
    pub fn head(&self) -> String {
        format!("{} {} {}\n", self.kind, self.at_us, self.bytes.len())
    }

    /// Appends the frame to `log` and returns where its bytes begin.
    pub fn write(&self, log: &mut Vec<u8>) -> u64 {
        log.extend_from_slice(self.head().as_bytes());
        let begin = log.len() as u64;
        log.extend_from_slice(self.bytes);
        log.push(b'\n');
        begin
    }
}

/// Reads the frames of a log; a frame that a crash cut off ends the reading, see [`Frames::rest`].
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// Reads `log` from its beginning.
    pub fn new(log: &'a [u8]) -> Self {
        Self { rest: log }
    }

    /// What was not read: empty after the last frame of a log that is whole.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let end_of_head = self.rest.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(&self.rest[..end_of_head]).ok()?;
        let mut words = head.split(' ');
        let kind = words.next()?.parse().ok()?;
        let at_us = words.next()?.parse().ok()?;
        let len: usize = words.next()?.parse().ok()?;
        let body = &self.rest[end_of_head + 1..];
        if body.get(len) != Some(&b'\n') {
            return None;
        }
        self.rest = &body[len + 1..];
        Some(Frame { kind, at_us, bytes: &body[..len] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Vec<u8> {
        let mut log = Vec::new();
        Frame { kind: InputKind::Start, at_us: 0, bytes: b"" }.write(&mut log);
        Frame { kind: InputKind::Stdout, at_us: 12, bytes: b"a\nb\0\xff" }.write(&mut log);
        Frame { kind: InputKind::Exit, at_us: 99, bytes: b"code 0" }.write(&mut log);
        log
    }

    #[test]
    fn frames_come_back_as_they_were_written() {
        let log = log();
        let mut frames = Frames::new(&log);
        let kinds: Vec<_> = frames.by_ref().map(|f| (f.kind, f.at_us, f.bytes.to_vec())).collect();
        assert_eq!(
            kinds,
            [
                (InputKind::Start, 0, b"".to_vec()),
                (InputKind::Stdout, 12, b"a\nb\0\xff".to_vec()),
                (InputKind::Exit, 99, b"code 0".to_vec()),
            ]
        );
        assert_eq!(frames.rest(), b"");
    }

    #[test]
    fn a_log_cut_anywhere_gives_its_whole_frames_and_the_rest() {
        let log = log();
        for cut in 0..log.len() {
            let mut frames = Frames::new(&log[..cut]);
            let whole = frames.by_ref().count();
            assert!(whole < 3 && frames.rest().len() <= cut);
        }
    }
}
