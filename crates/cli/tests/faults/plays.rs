//! Agents that work until they are stopped, and what they say then.

use belay_testkit::fake_agent::{Exit, Pace, Play, Signal, Stop, Until, WaitForStdin};
use belay_testkit::recordings;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// How long an agent lives that nobody stops: longer than any test.
const FOR_EVER_MS: u64 = 300_000;

/// Milliseconds between two lines, so that a random moment can fall between any two.
const PACE_MS: u64 = 15;

/// The exit code of an agent that was stopped and had its last words.
pub(crate) const STOPPED: i32 = 1;

/// Who is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Claude Code, both ways.
    Claude,
    /// `codex exec`.
    CodexExec,
    /// `codex app-server`.
    CodexServer,
}

impl Who {
    pub(crate) const ALL: [Self; 3] = [Self::Claude, Self::CodexExec, Self::CodexServer];

    /// The name under which it is placed.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::CodexExec | Self::CodexServer => "codex",
        }
    }

    /// How `belay run` is told to use it.
    pub(crate) fn args(self) -> &'static [&'static str] {
        match self {
            Self::Claude => &["-a", "claude"],
            Self::CodexExec => &["-a", "codex", "--transport", "print"],
            Self::CodexServer => &["-a", "codex", "--transport", "dialogue"],
        }
    }

    /// What it reports of its use when it is stopped in its own words.
    pub(crate) fn output_tokens(self) -> Option<u64> {
        match self {
            Self::Claude => Some(85),
            Self::CodexExec => None,
            Self::CodexServer => Some(255),
        }
    }

    /// Works without end; stops as the real one does.
    pub(crate) fn busy(self, folder: &Path) -> Play {
        let play = match self {
            Self::Claude => busy_claude(),
            Self::CodexExec => busy_codex_exec(),
            Self::CodexServer => busy_codex_server(folder),
        };
        Play { pace: Pace::FixedMs(PACE_MS), linger_ms: FOR_EVER_MS, ..play }
    }

    /// Works without end and hears nothing.
    pub(crate) fn deaf(self, folder: &Path) -> Play {
        Play {
            stops: Vec::new(),
            ignore: vec![Signal::Int, Signal::Term, Signal::Hup],
            ..self.busy(folder)
        }
    }
}

fn busy_claude() -> Play {
    let mut lines = lines("claude-code", "int-int1");
    let last_words = lines.split_off(3);
    Play {
        wait_for_stdin: WaitForStdin::Line,
        stops: vec![stop(INTERRUPT, last_words)],
        ..Play::lines(lines)
    }
}

/// How Claude is asked to stop.
const INTERRUPT: &str = r#""subtype":"interrupt""#;

fn busy_codex_exec() -> Play {
    let on = vec![Until::Signal(Signal::Int)];
    let stops = vec![Stop { on, then: Vec::new(), exit: Exit::Code(STOPPED) }];
    let lines = lines("codex", "int-int1");
    Play { wait_for_stdin: WaitForStdin::Eof, stops, ..Play::lines(lines) }
}

/// The first turn's beginning, the second turn's work, and its end when it is interrupted.
fn busy_codex_server(folder: &Path) -> Play {
    let text = fs::read_to_string(recordings::one("codex", "t-appserver").dialogue_path()).unwrap();
    let (first, second) =
        ("01a1fd4d-45b2-7393-90de-9f214587f122", "01a1fd4d-462e-7d93-a650-1edb59b1efb5");
    let text = text.replace(second, first);
    let all: Vec<&str> = text.lines().collect();
    let at = |from: usize, what: &str| {
        from + all[from..].iter().position(|line| line.contains(what)).unwrap()
    };
    let begun = at(0, r#""method": "turn/started""#) + 1;
    let works = at(at(begun, r#""text": "sleep""#), r#""method": "item/started""#);
    let steered = at(works, r#""method": "turn/steer""#);
    let stopped = at(works, r#""method": "turn/interrupt""#) + 1;
    let ended = at(stopped, r#""method": "turn/completed""#) + 1;
    let path = folder.join("dialogue.jsonl");
    fs::write(&path, [&all[..begun], &all[works..steered]].concat().join("\n")).unwrap();
    let last_words = all[stopped..ended].iter().map(|line| {
        let mut message = serde_json::from_str::<Value>(line).unwrap()["msg"].take();
        if message.get("result").is_some() {
            message["id"] = "$id".into();
        }
        message.to_string()
    });
    // Nobody is there any more.
    let left = Stop { on: vec![Until::StdinEnd], ..Stop::default() };
    let stops = vec![stop("turn/interrupt", last_words.collect()), left];
    Play { stops, ..Play::dialogue(path) }
}

/// Stops on this message and on SIGINT, with these last words.
fn stop(message: &str, then: Vec<String>) -> Stop {
    let on = vec![Until::StdinLine(message.into()), Until::Signal(Signal::Int)];
    Stop { on, then, exit: Exit::Code(STOPPED) }
}

/// Claude plays a recording when the prompt has come.
pub(crate) fn recorded(name: &str) -> Play {
    let path: PathBuf = recordings::one("claude-code", name).stdout_path();
    Play { wait_for_stdin: WaitForStdin::Line, ..Play::file(path) }
}

/// Claude prints these lines when the prompt has come.
pub(crate) fn says(lines: impl IntoIterator<Item = String>) -> Play {
    Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(lines) }
}

/// The lines of a recording.
pub(crate) fn lines(agent: &str, name: &str) -> Vec<String> {
    let stdout = recordings::one(agent, name).stdout;
    String::from_utf8(stdout).unwrap().lines().map(str::to_owned).collect()
}
