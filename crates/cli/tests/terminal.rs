//! Nothing that an agent, a file or a caller has written is obeyed by a terminal: every verb on one, with hostile text
//! in every field.

use crate::stored::{Bench, with_claude};
use belay_testkit::fake_agent::{Play, WaitForStdin};
use belay_testkit::recordings;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::process::{Command, Stdio};

/// A title, a cleared screen, hidden text, a writing direction, an 8-bit control, a rewritten line, a deletion.
const HOSTILE: &str =
    "\u{1b}]0;pwned\u{7}\u{1b}[2J\u{1b}[8mhidden\u{202e}\u{9b}31m\rover\u{7f}\u{1b}[31mred\u{200b}";

/// Fields whose words the driver itself has to read.
const OWN: [&str; 14] = [
    "type",
    "subtype",
    "session_id",
    "uuid",
    "id",
    "role",
    "stop_reason",
    "parent_tool_use_id",
    "tool_use_id",
    "permissionMode",
    "apiKeySource",
    "request_id",
    "signature",
    "media_type",
];

fn poison(value: &mut Value, key: &str) {
    match value {
        Value::String(text) if !OWN.contains(&key) => text.push_str(HOSTILE),
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, key)),
        Value::Object(fields) => fields.iter_mut().for_each(|(key, field)| poison(field, key)),
        _ => {}
    }
}

/// A Claude whose every word is hostile.
fn hostile(recording: &str) -> Play {
    Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(hostile_lines(recording)) }
}

fn hostile_lines(recording: &str) -> Vec<String> {
    let stdout = String::from_utf8(recordings::one("claude-code", recording).stdout).unwrap();
    let lines = stdout.lines().map(|line| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        poison(&mut value, "");
        value.to_string()
    });
    lines.collect()
}

/// What a terminal gets of a command.
fn on_terminal(bench: &Bench, args: &[&str]) -> String {
    on_terminal_with(bench.belay(args), Stdio::null())
}

fn on_terminal_with(mut command: Command, stdin: Stdio) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = || OpenOptions::new().read(true).write(true).open(&name).unwrap();
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    command.stdin(stdin).stdout(theirs()).stderr(theirs());
    let mut child = command.spawn().unwrap();
    drop(command);
    let reader = std::thread::spawn(move || {
        let (mut ours, mut seen) = (File::from(ours), Vec::new());
        // A terminal whose last user is gone is an error.
        let _ = ours.read_to_end(&mut seen);
        seen
    });
    child.wait().unwrap();
    String::from_utf8(reader.join().unwrap()).unwrap()
}

#[track_caller]
fn is_harmless(shown: &str, args: &[&str]) {
    // What is left when belay's own colors are out, and the terminal's own line ends.
    let mut rest = String::new();
    let mut pieces = shown.split("\u{1b}[");
    rest.push_str(pieces.next().unwrap());
    for piece in pieces {
        let end = piece.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap();
        let (color, text) = piece.split_at(end);
        assert!(text.starts_with('m'), "{args:?} gives an order: {piece:?}");
        let hides = color.split(';').any(|n| matches!(n, "5" | "6" | "7" | "8" | "38" | "48"));
        assert!(!hides, "{args:?} hides words: {piece:?}");
        rest.push_str(&text[1..]);
    }
    let rest = rest.replace("\r\n", "\n");
    let bad = rest.chars().find(|c| {
        c.is_control() && *c != '\n' && *c != '\t'
            || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    });
    assert_eq!(bad, None, "{args:?}: {rest:?}");
}

#[test]
fn no_verb_lets_hostile_text_give_orders_to_a_terminal() {
    let bench = with_claude(&hostile("b-shell"));
    let config = bench.path("home").join(".config/belay");
    fs::create_dir_all(&config).unwrap();
    // TOML takes no control characters as they are.
    let text = serde_json::to_string(HOSTILE).unwrap().replace('\u{7f}', "\\u007f");
    fs::write(config.join("config.toml"), format!("append_system_prompt = {text}\n")).unwrap();
    for format in ["text", "jsonl", "json", "quiet"] {
        let args =
            ["run", "--format", format, "--tree", "--phase", HOSTILE, "--model", "opus", HOSTILE];
        let shown = on_terminal(&bench, &args);
        assert!(shown.contains("pwned"), "{format}: it was there: {shown:?}");
        is_harmless(&shown, &args);
    }
    let id = bench.newest_run().file_name().unwrap().to_str().unwrap().to_owned();
    let file = bench.path("stream.jsonl");
    fs::write(&file, recordings::one("claude-code", "b-shell").stdout).unwrap();
    for args in [
        &["runs"][..],
        &["runs", "--json"],
        &["show", &id],
        &["show", &id, "--format", "json"],
        &["logs", &id],
        &["logs", &id, "--format", "jsonl"],
        &["logs", &id, "--raw"],
        &["trace", "ls"],
        &["trace", "ls", "--format", "json"],
        &["trace", "show", &id],
        &["trace", "show", &id, "--format", "json"],
        &["trace", "export", &id, "--format", "json"],
        &["trace", "export", &id, "--format", "csv"],
        &["trace", "export", &id, "--format", "mermaid"],
        &["handoff", &id],
        &["replay", &id],
        &["config", "show"],
        &["config", "show", "--json"],
        &["config", "check"],
        &["doctor"],
        &["doctor", "--drift", &id],
        &["agents"],
        &["breaker", "ls"],
        &["show", HOSTILE],
        &["trace", "show", HOSTILE],
        &["run", "-a", HOSTILE, "go"],
        &["run", "--permit", HOSTILE, "go"],
        &["run", "--profile", HOSTILE, "go"],
        &["run", "-C", HOSTILE, "go"],
        &["run", "-f", HOSTILE],
        &["run", "--dry-run", "--system-prompt", HOSTILE, HOSTILE],
        &["resume", HOSTILE],
        &["stop", HOSTILE],
        &["steer", &id, HOSTILE],
        &["notify", "test", HOSTILE],
        &["schema", HOSTILE],
        &[HOSTILE],
    ] {
        is_harmless(&on_terminal(&bench, args), args);
    }
}

#[test]
fn a_stream_that_is_parsed_onto_a_terminal_is_harmless() {
    let bench = with_claude(&hostile("b-shell"));
    let file = bench.path("stream.jsonl");
    let lines = hostile_lines("b-shell");
    fs::write(&file, lines.join("\n") + HOSTILE).unwrap();
    for args in [&["parse", "-a", "claude"][..], &["parse", "-a", "claude", "--format", "harness"]]
    {
        let stdin = File::open(&file).unwrap();
        let shown = on_terminal_with(bench.belay(args), stdin.into());
        assert!(shown.contains("pwned"), "{shown:?}");
        is_harmless(&shown, args);
    }
}
