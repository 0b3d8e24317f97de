//! A whole attempt as one text: the agent's lines, and between them, marked by `!`, what else happens.
//!
//! Such a text can be read, cut and changed byte by byte, which makes recordings the seeds of the fuzz targets
//! and what a fuzzer finds a test that a person can read:
//!
//! ```text
//! !resume ID | !continue       before anything else: the request's session
//! !steer WORDS | !interrupt    the caller speaks
//! !allow ID | !deny ID         the caller answers a permission request
//! !timer N | !stderr WORDS
//! !code N | !signal N          the end; without one the process exits with 0
//! ```

use crate::watch::{Dialect, Watched};
use belay_agents::{Action, Exit, Input, Replay, RunRequest, TimerId};
use belay_trace::Decision;
use belay_trace::journal::{Frame, InputKind};

/// Plays the script to a driver that is watched, once more to another one, and from a journal to a third:
/// all must do the same.
pub(crate) fn play(dialect: Dialect, script: &[u8]) {
    let lines: Vec<&[u8]> = script.split(|byte| *byte == b'\n').collect();
    let (request, lines) = request(&lines);
    let mut twins = [Watched::new(dialect, &request), Watched::new(dialect, &request)];
    let (mut log, mut emitted, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    let inputs = lines.iter().map(|line| Line::read(line));
    for (number, line) in std::iter::once(Line::Start).chain(inputs).chain([Line::EXIT]).enumerate()
    {
        let input = line.input();
        line.frame(number as u64).write(&mut log);
        let [actions, again] = twins.each_mut().map(|twin| twin.step(input));
        assert_eq!(actions, again, "the same inputs give the same actions");
        for action in actions {
            match action {
                Action::Emit(event) => emitted.push((number, event)),
                Action::TurnEnded(end) => ended.push(*end),
                _ => {}
            }
        }
        if matches!(input, Input::Exit(_)) {
            break;
        }
    }
    assert!(!ended.is_empty(), "an attempt has an end");
    let replay = Replay::of(&*dialect.agent(), &request, dialect.transport(), &log);
    assert_eq!(replay, Replay { events: emitted, ended, unreadable: 0 }, "a replay is exact");
}

/// The request and the lines after it.
fn request<'a>(lines: &'a [&'a [u8]]) -> (RunRequest, &'a [&'a [u8]]) {
    let request = RunRequest::new("do it");
    match lines {
        [first, rest @ ..] if *first == b"!continue" => (request.continue_latest(), rest),
        [first, rest @ ..] if first.starts_with(b"!resume ") => {
            (request.resume(String::from_utf8_lossy(&first[8..])), rest)
        }
        _ => (request, lines),
    }
}

/// One input of a script, owned.
enum Line {
    Start,
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Steer(String),
    Interrupt,
    Permission(Decision, String),
    Timer(u32),
    Exit(Exit),
}

impl Line {
    const EXIT: Self = Self::Exit(Exit::Code(0));

    fn read(line: &[u8]) -> Self {
        Self::command(line).unwrap_or_else(|| Self::Stdout(line.to_vec()))
    }

    fn command(line: &[u8]) -> Option<Self> {
        let line = line.strip_prefix(b"!")?;
        let text = String::from_utf8_lossy(line);
        let (command, words) = text.split_once(' ').unwrap_or((&text, ""));
        Some(match command {
            "stderr" => Self::Stderr(line.get(7..).unwrap_or_default().to_vec()),
            "steer" => Self::Steer(words.to_owned()),
            "interrupt" => Self::Interrupt,
            "allow" => Self::Permission(Decision::Allow, words.to_owned()),
            "deny" => Self::Permission(Decision::Deny, words.to_owned()),
            "timer" => Self::Timer(words.parse().ok()?),
            "code" => Self::Exit(Exit::Code(words.parse().ok()?)),
            "signal" => Self::Exit(Exit::Signal(words.parse().ok()?)),
            _ => return None,
        })
    }

    fn input(&self) -> Input<'_> {
        match self {
            Self::Start => Input::Start,
            Self::Stdout(line) => Input::Stdout(line),
            Self::Stderr(line) => Input::Stderr(line),
            Self::Steer(words) => Input::Steer(words),
            Self::Interrupt => Input::Interrupt,
            Self::Permission(answer, id) => Input::Permission { id, answer: *answer },
            Self::Timer(id) => Input::Timer(TimerId(*id)),
            Self::Exit(exit) => Input::Exit(*exit),
        }
    }

    /// The input as the journal of a run keeps it.
    fn frame(&self, at_us: u64) -> OwnedFrame {
        let (kind, bytes) = match self {
            Self::Start => (InputKind::Start, Vec::new()),
            Self::Stdout(line) => (InputKind::Stdout, line.clone()),
            Self::Stderr(line) => (InputKind::Stderr, line.clone()),
            Self::Steer(words) => (InputKind::Steer, words.clone().into_bytes()),
            Self::Interrupt => (InputKind::Interrupt, Vec::new()),
            Self::Permission(Decision::Allow, id) => {
                (InputKind::Permission, format!("allow {id}").into_bytes())
            }
            Self::Permission(Decision::Deny, id) => {
                (InputKind::Permission, format!("deny {id}").into_bytes())
            }
            Self::Timer(id) => (InputKind::Timer, id.to_string().into_bytes()),
            Self::Exit(Exit::Code(code)) => (InputKind::Exit, format!("code {code}").into_bytes()),
            Self::Exit(Exit::Signal(signal)) => {
                (InputKind::Exit, format!("signal {signal}").into_bytes())
            }
        };
        OwnedFrame { kind, at_us, bytes }
    }
}

struct OwnedFrame {
    kind: InputKind,
    at_us: u64,
    bytes: Vec<u8>,
}

impl OwnedFrame {
    fn write(&self, log: &mut Vec<u8>) {
        Frame { kind: self.kind, at_us: self.at_us, bytes: &self.bytes }.write(log);
    }
}
