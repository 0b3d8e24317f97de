//! The events of `opencode serve` as somebody saved them: what a driver hears that nobody answers.
//!
//! Which session is meant, a live driver knows from its own requests; here the first message of a user tells.

use super::serve::Serve;
use crate::framing::{Claim, Doubt, Objects, read_line};
use crate::protocol::{Action, HttpId, Input, Out, Protocol};
use crate::wire::{decode, lenient, lenient_text};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The state of one saved stream, which may hold several turns.
#[derive(Debug)]
pub(super) struct Heard {
    /// The turn that is open, or the one before.
    turn: Serve,
    /// What the turn asks for its session; `None` once it has one.
    asks: Option<HttpId>,
    /// What the server has told of its sessions.
    sessions: HashMap<String, String>,
    /// Sessions of subagents, which begin no turns.
    subagents: HashSet<String>,
    /// What users have said; each message is told several times.
    said: HashSet<String>,
    ended: bool,
}

#[derive(Debug, Deserialize)]
struct Saved<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "lenient_properties")]
    properties: Properties<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Properties<'a> {
    #[serde(borrow, rename = "sessionID", deserialize_with = "lenient_text")]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
}

fn lenient_properties<'de, D>(deserializer: D) -> Result<Properties<'de>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let raw = <&'de RawValue>::deserialize(deserializer)?;
    Ok(decode(raw.get()).unwrap_or_default())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Info {
    #[serde(deserialize_with = "lenient")]
    id: String,
    #[serde(deserialize_with = "lenient")]
    role: String,
    /// Of a session, that of the agent that has set a subagent to work; of an answer, the question.
    #[serde(rename = "parentID", deserialize_with = "lenient")]
    parent_id: Option<String>,
}

impl Heard {
    pub(super) fn new() -> Self {
        let (turn, asks) = connected();
        Self {
            turn,
            asks,
            sessions: HashMap::new(),
            subagents: HashSet::new(),
            said: HashSet::new(),
            ended: false,
        }
    }
}

/// A turn that has heard its server and asks it for a session.
fn connected() -> (Serve, Option<HttpId>) {
    let mut turn = Serve::saved();
    let mut out = Out::default();
    turn.step(Input::Start, &mut out);
    turn.step(Input::Sse(br#"{"type":"server.connected"}"#), &mut out);
    let asks = out.actions.iter().find_map(|action| match action {
        Action::Http { id, .. } => Some(*id),
        _ => None,
    });
    (turn, asks)
}

impl Protocol for Heard {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        let before = out.actions.len();
        match input {
            Input::Stdout(line) => {
                let Some(data) = data(line) else { return };
                read_line(data, out, self);
            }
            Input::Start => {}
            other => self.turn.step(other, out),
        }
        let mut new = out.actions.iter().skip(before);
        self.ended |= new.any(|action| matches!(action, Action::TurnEnded(_)));
    }
}

impl Objects for Heard {
    fn read(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let saved = decode::<Saved<'_>>(text)?;
        self.event(&saved, out);
        self.turn.step(Input::Sse(text.as_bytes()), out);
        Some(())
    }

    fn claim(&self, text: &str) -> Claim {
        let claim = self.turn.claim(text);
        let Some(saved) = decode::<Saved<'_>>(text) else { return claim };
        // Between two turns, a message or the news of a session may begin the next.
        let is_between = self.ended || self.asks.is_some();
        let begins = ["message.", "session."].iter().any(|kind| saved.kind.starts_with(kind))
            && saved.kind != "session.idle";
        match claim {
            Claim::Foreign => {
                Claim::message_if(is_between && begins && saved.properties.session_id.is_some())
            }
            claim => claim,
        }
    }

    fn doubt(&mut self) -> &mut Doubt {
        self.turn.doubt()
    }
}

/// What a line of server-sent events says, or of a file that has their data alone; `None` for all beside it.
fn data(line: &[u8]) -> Option<&[u8]> {
    const OTHERS: [&[u8]; 4] = [b":", b"event:", b"id:", b"retry:"];
    if OTHERS.iter().any(|field| line.starts_with(field)) {
        return None;
    }
    Some(line.strip_prefix(b"data:").unwrap_or(line))
}

impl Heard {
    /// Learns what sessions there are, and opens a turn where a user, or a stream cut before that, begins one.
    fn event(&mut self, event: &Saved<'_>, out: &mut Out) {
        let raw = event.properties.info.map_or("{}", RawValue::get);
        let info: Info = decode(raw).unwrap_or_default();
        if event.kind.starts_with("session.") && !info.id.is_empty() {
            if info.parent_id.is_some() {
                self.subagents.insert(info.id);
            } else {
                self.sessions.insert(info.id, raw.to_owned());
            }
            return;
        }
        let session = event.properties.session_id.as_deref().unwrap_or_default();
        if !event.kind.starts_with("message.") || self.subagents.contains(session) {
            return;
        }
        // A stream that was saved from the middle of a turn has the question only behind the answer.
        self.said.extend(info.parent_id);
        let is_said = info.role == "user" && self.said.insert(info.id);
        if self.ended && is_said {
            (self.turn, self.asks) = connected();
            self.ended = false;
        }
        if let Some(id) = self.asks.take() {
            let known = self.sessions.get(session).cloned();
            let body = known.unwrap_or_else(|| json!({ "id": session }).to_string());
            self.turn.step(Input::Http { id, status: 200, body: body.as_bytes() }, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{OpenCode, RunRequest, StreamParser, Transport};
    use belay_trace::Event;

    /// The sessions and the answers of the turns in a stream.
    fn read(lines: &[&str]) -> (Vec<String>, Vec<(String, bool)>) {
        let request = RunRequest::new("");
        let mut parser = StreamParser::new(&OpenCode::new(), &request, Transport::Dialogue);
        let events = lines.iter().flat_map(|line| parser.parse_stream_line(line));
        let sessions = events.filter_map(|emitted| match emitted.event {
            Event::SessionStarted(session) => Some(session.session_id),
            Event::Unknown(unknown) => panic!("{}", unknown.line),
            _ => None,
        });
        let sessions = sessions.collect();
        parser.finish(crate::Exit::Code(0));
        let ends = parser.take_ended().into_iter();
        (sessions, ends.map(|end| (end.answer, end.failure.is_none())).collect())
    }

    fn turn(session: &str, message: &str, answer: &str) -> [String; 5] {
        let event = |kind: &str, properties: &str| {
            format!(
                r#"data: {{"type":"{kind}","properties":{{"sessionID":"{session}",{properties}}}}}"#
            )
        };
        let asked = event(
            "message.updated",
            &format!(r#""info":{{"id":"{message}","role":"user","sessionID":"{session}"}}"#),
        );
        let part = format!(
            r#""part":{{"id":"p{message}","messageID":"a{message}","type":"text","text":"{answer}","time":{{"end":1}}}}"#
        );
        let done = format!(
            r#""info":{{"id":"a{message}","role":"assistant","parentID":"{message}","finish":"stop"}}"#
        );
        let idle = event("session.idle", r#""x":1"#);
        let said = event("message.part.updated", &part);
        [asked.clone(), said, event("message.updated", &done), idle, asked]
    }

    #[test]
    fn a_saved_stream_may_hold_several_turns_and_the_sessions_of_subagents() {
        let child = r#"data: {"type":"session.created","properties":{"sessionID":"c","info":{"id":"c","parentID":"s"}}}"#;
        let of_child = turn("c", "m9", "from below");
        let turns = [turn("s", "m1", "one"), turn("s", "m2", "two")].concat();
        let mut lines = vec![": a comment", "event: message", "", child];
        lines.extend(of_child.iter().map(String::as_str));
        lines.extend(turns.iter().map(String::as_str));
        let (sessions, ends) = read(&lines);
        assert_eq!(sessions, ["s", "s"]);
        assert_eq!(ends, [("one".to_owned(), true), ("two".to_owned(), true)]);
    }

    #[test]
    fn a_stream_that_was_saved_from_the_middle_of_a_turn_is_read_from_there() {
        let lines = turn("s", "m1", "end of it");
        let lines: Vec<&str> = lines[1..].iter().map(String::as_str).collect();
        let (sessions, ends) = read(&lines);
        assert_eq!((sessions.len(), ends), (1, vec![("end of it".to_owned(), true)]));
    }
}
