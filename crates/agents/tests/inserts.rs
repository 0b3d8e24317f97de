//! What stands between, before and behind the lines of every recording: the events are the same, or the turn fails.
//!
//! The agent is silent behind each line for as long as a driver likes, so that what waits for a timer does not hang.

use crate::count::is_long;
use crate::recorded;
use crate::recorded::{Recording, Said};
use belay_agents::{Action, AttemptEnd, Exit, Input, Out};
use belay_trace::{Event, FailureKind};
use serde_json::Value;

const WORDS: &str = "npm warn deprecated: it's an old one";

/// What came of a stream.
struct Read {
    said: Vec<Said>,
    /// How much had been said behind each line.
    at: Vec<usize>,
    /// How many turns had ended before the process did.
    ends_before_exit: usize,
}

fn read(recording: &Recording, lines: &[Vec<u8>], exit: Exit) -> Read {
    let mut protocol = recording.agent.protocol(&recording.request, recording.transport);
    let (mut said, mut at) = (Vec::new(), Vec::new());
    let mut step = |input: Input<'_>, said: &mut Vec<Said>| {
        let mut out = Out::default();
        protocol.step(input, &mut out);
        let mut done = 0;
        while done < out.actions.len() {
            let actions = out.actions[done..].to_vec();
            done = out.actions.len();
            for (id, status, body) in recording.answers_to(&actions) {
                protocol.step(Input::Http { id, status, body: body.as_bytes() }, &mut out);
            }
            for action in actions {
                match action {
                    Action::Timer(timer, _) if !timer.awaits_end() => {
                        protocol.step(Input::Timer(timer), &mut out);
                    }
                    Action::Emit(emitted) => said.push(Said::Event(emitted)),
                    Action::TurnEnded(end) => said.push(Said::End(*end)),
                    _ => {}
                }
            }
        }
    };
    step(Input::Start, &mut said);
    for line in lines {
        step(recording.input(line), &mut said);
        at.push(said.len());
    }
    let ends_before_exit = recorded::ends(&said).len();
    step(Input::Exit(exit), &mut said);
    Read { said, at, ends_before_exit }
}

/// The events but for notices and for what is not known, each with the call above it, and the ends.
fn gist(said: &[Said]) -> Vec<Said> {
    let counts = |said: &&Said| match said {
        Said::Event(one) => !matches!(one.event, Event::Notice(_) | Event::Unknown(_)),
        Said::End(_) => true,
    };
    said.iter().filter(counts).cloned().collect()
}

fn difference(said: &[Said], whole: &[Said]) -> Option<String> {
    let (said, whole) = (gist(said), gist(whole));
    let at = said.iter().zip(&whole).position(|(one, other)| one != other);
    let at = at.or((said.len() != whole.len()).then(|| said.len().min(whole.len())))?;
    Some(format!("{:.400?} and not {:.400?}", said.get(at), whole.get(at)))
}

/// A recording, what comes of it, and the lines at which something is tried.
struct Case {
    recording: Recording,
    lines: Vec<Vec<u8>>,
    whole: Read,
    at: Vec<usize>,
}

fn cases() -> impl Iterator<Item = Case> {
    recorded::all().into_iter().map(|recording| {
        let lines: Vec<Vec<u8>> = recording.lines().iter().map(|line| line.to_vec()).collect();
        let whole = read(&recording, &lines, recording.exit);
        let step = if is_long() { 1 } else { (lines.len() / 6).max(1) };
        let is_end = |at: &usize| recording.verdict(&lines[*at]).is_some();
        let mut at: Vec<usize> = (0..lines.len()).step_by(step).collect();
        at.extend((0..lines.len()).filter(is_end).chain([lines.len() - 1]));
        at.sort_unstable();
        at.dedup();
        Case { recording, lines, whole, at }
    })
}

impl Case {
    /// What comes of the stream with other lines in the place of one.
    fn with(&self, at: usize, lines: &[&[u8]]) -> Read {
        let mut changed = self.lines.clone();
        changed.splice(at..=at, lines.iter().map(|line| line.to_vec()));
        read(&self.recording, &changed, self.recording.exit)
    }

    #[track_caller]
    fn is_same(&self, at: usize, lines: &[&[u8]]) {
        let differs = difference(&self.with(at, lines).said, &self.whole.said);
        let name = &self.recording.name;
        let shown = String::from_utf8_lossy(lines[0]);
        assert_eq!(differs, None, "{name}, line {at}: {shown:.200}");
    }
}

#[test]
fn words_and_escapes_at_any_line_change_no_event_but_notices() {
    let mut tried = 0;
    for case in cases() {
        for &at in &case.at {
            let line = case.lines[at].as_slice();
            let words = WORDS.as_bytes();
            let escapes = b"\x1b]0;title\x07\x1b[?2004h".as_slice();
            case.is_same(at, &[words, line]);
            case.is_same(at, &[line, words]);
            case.is_same(at, &[&[words, b" ", line].concat()]);
            case.is_same(at, &[&[line, b" ", words].concat()]);
            case.is_same(at, &[escapes, line]);
            case.is_same(at, &[&[escapes, line, escapes].concat()]);
            tried += 6;
        }
    }
    println!("{tried} streams with words or escapes");
}

#[test]
fn words_on_both_sides_change_nothing_or_fail_the_turn() {
    let (mut tried, mut failed) = (0, 0);
    for case in cases() {
        let mut refused = 0;
        for &at in &case.at {
            tried += 1;
            let line = [b"words ", case.lines[at].as_slice(), b" words"].concat();
            let read = case.with(at, &[&line]);
            if difference(&read.said, &case.whole.said).is_none() {
                continue;
            }
            refused += 1;
            case.is_failure(&read, at);
        }
        let ends = case.lines.iter().filter(|line| case.recording.verdict(line).is_some()).count();
        assert!(refused <= ends, "{}: {refused} lines and {ends} ends", case.recording.name);
        failed += refused;
    }
    assert!(failed > 50, "{failed}");
    println!("{tried} streams with words around a line, {failed} of them not believed");
}

/// Lines whose words go around the end and the line before it, too.
#[test]
fn objects_beside_an_end_that_is_not_believed_are_read() {
    for case in cases() {
        let Some(at) = case.lines.iter().position(|line| case.recording.verdict(line).is_some())
        else {
            continue;
        };
        if at == 0 {
            continue;
        }
        let (before, end) = (&case.lines[at - 1], &case.lines[at]);
        let line = [b"words ".as_slice(), before, end, b" words"].concat();
        let mut lines = case.lines.clone();
        lines.splice(at - 1..=at, [line]);
        let together = read(&case.recording, &lines, case.recording.exit);
        let line = [b"words ".as_slice(), end, b" words"].concat();
        let apart = case.with(at, &[&line]);
        let events = |read: &Read| {
            let is_event = |said: &Said| matches!(said, Said::Event(_));
            gist(&read.said).into_iter().filter(is_event).collect::<Vec<_>>()
        };
        assert_eq!(events(&together), events(&apart), "{}", case.recording.name);
        let (ends, want) = (recorded::ends(&together.said), recorded::ends(&apart.said));
        let gist =
            |end: &AttemptEnd| (end.answer.clone(), end.failure.as_ref().map(|one| one.kind));
        let name = &case.recording.name;
        assert_eq!(
            ends.iter().map(gist).collect::<Vec<_>>(),
            want.iter().map(gist).collect::<Vec<_>>(),
            "{name}"
        );
    }
}

impl Case {
    /// Where something is not believed, the turn fails and shows it, and nothing waits for an exit.
    #[track_caller]
    fn is_failure(&self, read: &Read, at: usize) {
        let name = &self.recording.name;
        let (ends, whole) = (recorded::ends(&read.said), recorded::ends(&self.whole.said));
        let is_known = |end: &AttemptEnd| whole.iter().any(|one| one.answer == end.answer);
        let invented = ends.iter().find(|end| end.failure.is_none() && !is_known(end));
        assert_eq!(invented, None, "{name}, line {at}");
        let failure = ends.iter().find_map(|end| end.failure.as_ref()).expect(name);
        let has_failed = whole.iter().any(|end| end.failure.is_some());
        let is_shown = failure.message.contains("stands between words");
        assert!(
            has_failed || (is_shown && failure.kind == FailureKind::Protocol),
            "{name}, line {at}: {failure:?}"
        );
        if self.whole.ends_before_exit > 0 && self.exits_only_when_told() {
            assert!(read.ends_before_exit > 0, "{name}, line {at} hangs");
        }
    }

    fn exits_only_when_told(&self) -> bool {
        self.recording.transport == belay_agents::Transport::Dialogue
    }
}

#[test]
fn a_line_of_another_session_changes_no_event_and_ends_nothing() {
    let mut tried = 0;
    for case in cases() {
        let opened = |said: &Said| matches!(said, Said::Event(one) if matches!(one.event, Event::SessionStarted(_)));
        if case.recording.agent.name() == "docker-agent" {
            // Its other sessions are those of agents that work for it, and are told under a call.
            continue;
        }
        let Some(opened) = case.whole.said.iter().position(opened) else { continue };
        for &at in &case.at {
            // The session has to be open before the line, and not over.
            let before = at.checked_sub(1).map_or(0, |before| case.whole.at[before]);
            if before <= opened {
                continue;
            }
            let line = &case.lines[at];
            // The limits of an account are those of all its sessions, and Claude's init line begins a session.
            let is_of_any =
                |known: &str| String::from_utf8_lossy(line).contains(&format!("\"{known}\""));
            if is_of_any("rate_limit_event") || is_of_any("init") {
                continue;
            }
            let Some(other) = of_another_session(line) else { continue };
            case.is_same_but_asked_twice(at, &[other.as_bytes(), line]);
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
    println!("{tried} streams with a line of another session");
}

impl Case {
    /// What another session asks for is answered, so it is told; nothing else changes.
    #[track_caller]
    fn is_same_but_asked_twice(&self, at: usize, lines: &[&[u8]]) {
        let asks = |said: &Said| matches!(said, Said::Event(one) if matches!(one.event, Event::PermissionRequest(_)));
        let mut said = self.with(at, lines).said;
        let before = at.checked_sub(1).map_or(0, |before| self.whole.at[before]);
        let asked = self.whole.said[before..self.whole.at[at]].iter().filter(|said| asks(said));
        for one in asked {
            let place = said.iter().position(|said| said == one).expect(&self.recording.name);
            said.remove(place);
        }
        let name = &self.recording.name;
        assert_eq!(difference(&said, &self.whole.said), None, "{name}, line {at}");
    }
}

/// The line with another session in it, if it names one.
fn of_another_session(line: &[u8]) -> Option<String> {
    fn replace(value: &mut Value) -> bool {
        const KEYS: [&str; 4] = ["session_id", "sessionID", "sessionId", "threadId"];
        match value {
            Value::Object(object) => {
                let mut any = false;
                for (key, value) in object {
                    if KEYS.contains(&key.as_str()) && value.is_string() {
                        *value = "another".into();
                        any = true;
                    } else {
                        any |= replace(value);
                    }
                }
                any
            }
            Value::Array(items) => items.iter_mut().fold(false, |any, item| replace(item) | any),
            _ => false,
        }
    }
    let mut value: Value = serde_json::from_slice(line).ok()?;
    replace(&mut value).then(|| value.to_string())
}

#[test]
fn a_repeated_line_ends_no_turn_twice_and_makes_no_success() {
    let mut tried = 0;
    for case in cases() {
        let whole = recorded::ends(&case.whole.said);
        for &at in &case.at {
            let line = case.lines[at].as_slice();
            let read = case.with(at, &[line, line]);
            let ends = recorded::ends(&read.said);
            let name = &case.recording.name;
            let failed = |ends: &[AttemptEnd]| {
                ends.iter().map(|end| end.failure.as_ref().map(|one| one.kind)).collect::<Vec<_>>()
            };
            let line = String::from_utf8_lossy(line);
            assert_eq!(failed(&ends), failed(&whole), "{name}, line {at}: {line:.300}");
            if case.recording.verdict(line.as_bytes()).is_some() {
                assert_eq!(ends, whole, "{name}, line {at}: {line:.300}");
            }
            tried += 1;
        }
    }
    println!("{tried} streams with a line twice");
}
