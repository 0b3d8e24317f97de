//! `opencode serve`: HTTP for what we say, server-sent events for what it does.
//!
//! The turn is over when the session is idle and stays so. It says so once before the events of an aborted tool and
//! once after them. Where the events do not say how it stands, the server is asked (`serve/missed.rs`).

mod missed;

use super::asides::{is_aside, is_aside_of_session};
use super::classify::{self, Error};
use super::mcp;
use super::meter::Meter;
use super::parts::{Part, Parts};
use super::rest::Rest;
use super::subagents::Subagents;
use super::wire::{Info, Message, Properties, ServerEvent, SessionInfo};
use super::witness::{Question, Why, Witness};
use super::{session_rules, session_tools};
use crate::framing::{Claim, Doubt, Objects, read_line, without_escapes};
use crate::last_words::{self, LastWords};
use crate::protocol::{AttemptEnd, Exit, HttpId, Input, Out, Protocol, TimerId};
use crate::stderr::StderrTail;
use crate::steers::Steers;
use crate::verdict::{Said, refusal};
use crate::wire::decode;
use crate::{Effort, RunRequest, Session, exit};
use belay_trace::{
    Decision, Event, EvidenceSource, Failure, FailureKind, Json, Level, SessionStarted,
};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::time::Duration;

const EVENTS: HttpId = HttpId(0);
const SESSION: HttpId = HttpId(1);
const PROMPT: HttpId = HttpId(2);
const ABORT: HttpId = HttpId(3);
const REPLY: HttpId = HttpId(4);
const LIST: HttpId = HttpId(5);
const MESSAGES: HttpId = HttpId(6);
const STEER: HttpId = HttpId(7);
/// What has become of the servers of tools. (8 to 13 are the witness's.)
const MCP: HttpId = HttpId(14);

/// The events have ended, and are to be opened again.
const DEAF: TimerId = TimerId(0);
/// The session is idle, and words for it are on their way.
const IDLE: TimerId = TimerId(1);

/// How long words that were said to an idle session may take to begin its next turn.
const HEARD: Duration = Duration::from_secs(5);

/// The state of one conversation.
#[derive(Debug)]
pub(super) struct Serve {
    request: RunRequest,
    model: Option<(String, String)>,
    connected: bool,
    listening: bool,
    session_id: Option<String>,
    prompted: bool,
    /// Messages that are the user's own, or came with the copy of a session.
    not_ours: HashSet<String>,
    parts: Parts,
    meter: Meter,
    subagents: Subagents,
    model_used: Option<String>,
    failure: Option<Failure>,
    /// A step has begun behind it: OpenCode has tried again.
    is_tried_again: bool,
    /// Messages whose errors are no failures, for a step has ended well behind them.
    recovered: HashSet<String>,
    last_words: LastWords,
    /// What the turn has used is not all that was told.
    is_partial: bool,
    /// What the caller has said before there was a session.
    early_words: Vec<String>,
    /// How often the caller has said something that the session has not heard yet.
    unheard: u32,
    /// What of it is not in the conversation yet.
    waiting: Steers,
    /// The last part of the user's that was heard; nothing before the prompt.
    last_heard: Option<String>,
    rest: Rest,
    witness: Witness,
    /// Permissions that were asked for.
    asks: HashSet<String>,
    /// The last retry that was told.
    retry: Option<u64>,
    /// There is a clock: somebody hears the session while it lives.
    is_live: bool,
    /// A tool was denied. With it go all that are asked for at the same time, and the turn, too (1.18.33).
    denied: bool,
    /// Why there are no events at the moment.
    deaf: Option<Failure>,
    structured: Option<Json>,
    interrupted: bool,
    ended: bool,
    stderr: StderrTail,
    doubt: Doubt,
}

impl Serve {
    pub(super) fn new(request: &RunRequest, model: Option<&str>) -> Self {
        let model = model.and_then(|model| model.split_once('/'));
        Self {
            request: request.clone(),
            model: model.map(|(provider, model)| (provider.to_owned(), model.to_owned())),
            connected: false,
            listening: false,
            session_id: None,
            prompted: false,
            not_ours: HashSet::new(),
            parts: Parts::new(request),
            meter: Meter::default(),
            subagents: Subagents::default(),
            model_used: None,
            failure: None,
            is_tried_again: false,
            recovered: HashSet::new(),
            last_words: LastWords::default(),
            is_partial: false,
            early_words: Vec::new(),
            unheard: 0,
            waiting: Steers::default(),
            last_heard: None,
            rest: Rest::default(),
            witness: Witness::default(),
            asks: HashSet::new(),
            retry: None,
            is_live: true,
            denied: false,
            deaf: None,
            structured: None,
            interrupted: false,
            ended: false,
            stderr: StderrTail::default(),
            doubt: Doubt::default(),
        }
    }
}

impl Serve {
    /// For a stream that was saved: it ends where the session was idle first.
    pub(super) fn saved() -> Self {
        Self { is_live: false, ..Self::new(&RunRequest::new(""), None) }
    }
}

impl Protocol for Serve {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Session(_) => {}
            Input::Start => out.close_stdin(),
            Input::Stdout(line) => self.stdout(line, out),
            Input::Stderr(line) => self.stderr.line(line, out),
            Input::Sse(data) => read_line(data, out, self),
            Input::Http { id, status, body } => self.http(id, status, body, out),
            Input::Interrupt => {
                self.last_words.went_on();
                self.interrupt(out);
            }
            Input::Permission { id, answer } => self.permission(id, answer, out),
            Input::Steer(words) => {
                self.last_words.went_on();
                self.steer(words, out);
            }
            Input::Timer(id) => self.timer(id, out),
            Input::Doubt(doubt) => self.doubted(doubt, out),
            Input::SessionFile { .. }
            | Input::SilentCalls(_)
            | Input::AnswerFile(_)
            | Input::Terminal { .. } => {}
            Input::Exit(exit) => {
                self.stderr.ended(out);
                self.exit(exit, out);
            }
        }
    }
}

impl Objects for Serve {
    fn read(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let event: ServerEvent<'_> = decode(text)?;
        let kind = event.kind.as_ref();
        if kind == "server.connected" && !self.connected {
            self.connected = true;
            out.progress();
            self.open_session(out);
        } else if kind == "server.connected" {
            self.events_are_back(out);
        } else if kind == "server.heartbeat" {
            self.heartbeat(out);
        } else if !is_aside(kind) {
            let properties = decode(event.properties.map_or("{}", RawValue::get))?;
            self.known_event(kind, properties, out)?;
        }
        Some(())
    }

    fn claim(&self, text: &str) -> Claim {
        let Some(event) = decode::<ServerEvent<'_>>(text) else { return Claim::Foreign };
        if is_aside(&event.kind) {
            return Claim::Message;
        }
        let properties = decode::<Properties<'_>>(event.properties.map_or("{}", RawValue::get));
        let session = properties.and_then(|properties| properties.session_id);
        let Some(session) = session.as_deref() else { return Claim::Foreign };
        let is_own = self.session_id.as_deref() == Some(session);
        match event.kind.as_ref() {
            "session.idle" if is_own => Claim::end_if(self.prompted && !self.ended),
            "session.created" => Claim::Message,
            _ => Claim::message_if(is_own || self.subagents.knows(session)),
        }
    }

    fn doubt(&mut self) -> &mut Doubt {
        &mut self.doubt
    }
}

impl Serve {
    fn stdout(&mut self, line: &[u8], out: &mut Out) {
        let text = String::from_utf8_lossy(line);
        let text = without_escapes(&text);
        let listens = text.find("opencode server listening on ").filter(|_| !self.listening);
        let words = text[..listens.unwrap_or(text.len())].trim_end();
        if !words.is_empty() {
            out.event(Event::notice(Level::Info, "stdout", words));
        }
        if listens.is_some() {
            self.listening = true;
            out.progress();
            out.open_sse(EVENTS, "/event");
        }
    }

    /// The events are heard from now on, so nothing of the session can be missed.
    fn open_session(&self, out: &mut Out) {
        match &self.request.session {
            // Without a title it would ask the model for one.
            Session::New => {
                let mut body = json!({ "title": self.title() });
                if let Some(rules) = session_rules(&self.request) {
                    body["permission"] = rules;
                }
                out.post(SESSION, "/session", &body);
            }
            Session::Resume(id) => out.get(SESSION, format!("/session/{id}")),
            Session::Fork(id) => out.post(SESSION, format!("/session/{id}/fork"), &json!({})),
            Session::Continue => out.get(LIST, "/session"),
        }
    }

    fn title(&self) -> String {
        let line = self.request.prompt.lines().find(|line| !line.trim().is_empty());
        line.unwrap_or("belay").trim().chars().take(TITLE_CHARS).collect()
    }

    fn http(&mut self, id: HttpId, status: u16, body: &[u8], out: &mut Out) {
        let text = String::from_utf8_lossy(body);
        let is_ok = (200..300).contains(&status);
        match id {
            LIST => {
                let sessions = decode::<Vec<SessionInfo>>(&text).filter(|_| is_ok);
                let own = sessions.unwrap_or_default().into_iter();
                let own = own.filter(|session| session.parent_id.is_none());
                match own.max_by(|a, b| a.time.updated.total_cmp(&b.time.updated)) {
                    Some(session) => self.session(session, out),
                    None => self.refused("there is no session to continue", status, &text, out),
                }
            }
            SESSION => match decode::<SessionInfo>(&text).filter(|_| is_ok) {
                Some(session) => self.session(session, out),
                None => self.refused("the session cannot be opened", status, &text, out),
            },
            MESSAGES => {
                out.progress();
                let messages = decode::<Vec<Message<'_>>>(&text).unwrap_or_default();
                self.not_ours.extend(messages.into_iter().map(|message| message.info.id));
                self.prompt(out);
            }
            // Its events have shown that the turn has begun, whatever became of the answer.
            PROMPT if status == 0 && self.witness.has_heard() => {}
            PROMPT if !is_ok && !self.ended => self.prompt_answered(status, &text, out),
            EVENTS if !self.ended => self.events_ended(status, &text, out),
            _ if let Some(question) = Question::of(id) => {
                let text = if is_ok { &*text } else { "" };
                if !self.ended {
                    self.answered(question, text, out);
                }
            }
            STEER if !is_ok && !self.ended => {
                let words = format!(
                    "what was said to the session is lost: opencode answers {status}: {text}"
                );
                out.event(Event::notice(Level::Warn, "steer", words));
                self.heard(out);
            }
            MCP if is_ok => mcp::tell_not_started(&text, out),
            // It came behind the abort, and the session would go on with it.
            STEER if self.interrupted && !self.ended => self.abort(out),
            ABORT | REPLY if !is_ok && !self.ended => {
                let words = format!("opencode answers {status}: {text}");
                out.event(Event::notice(Level::Warn, "http", words));
            }
            _ => {}
        }
    }

    fn session(&mut self, session: SessionInfo, out: &mut Out) {
        self.session_id = Some(session.id.clone());
        let is_new = matches!(self.request.session, Session::New | Session::Fork(_));
        self.witness.opened(&session, is_new);
        // A saved stream that names no session is read all the same.
        if !session.id.is_empty() {
            out.event(Event::SessionStarted(SessionStarted {
                session_id: session.id,
                model: self.model.as_ref().map(|(_, model)| model.clone()),
                agent_version: session.version,
                cwd: session.directory,
                ..SessionStarted::default()
            }));
        }
        match (&self.session_id, &self.request.session) {
            _ if self.interrupted => self.end(out),
            // Each message of the copy is told as if it were new.
            (Some(id), Session::Fork(_)) => out.get(MESSAGES, format!("/session/{id}/message")),
            _ => self.prompt(out),
        }
    }

    fn prompt(&mut self, out: &mut Out) {
        let mut words = vec![self.request.prompt.clone()];
        words.append(&mut self.early_words);
        self.prompted = true;
        self.say(PROMPT, &words, out);
        out.get(MCP, "/mcp");
    }

    /// Says something to the session: the prompt, or more while it is busy, which its next request takes along.
    fn say(&self, id: HttpId, words: &[String], out: &mut Out) {
        let Some(session) = &self.session_id else { return };
        let mut parts: Vec<_> =
            words.iter().map(|text| json!({ "type": "text", "text": text })).collect();
        if id == PROMPT {
            parts.extend(self.request.images.iter().filter_map(|image| {
                let (mime, url) = image.data_url()?;
                Some(json!({ "type": "file", "mime": mime, "filename": image.name(), "url": url }))
            }));
        }
        let mut body = json!({ "parts": parts });
        if self.request.session != Session::New || session_rules(&self.request).is_none() {
            body["tools"] = session_tools(&self.request);
        }
        if let Some(schema) = self.request.native_schema() {
            body["format"] = json!({ "type": "json_schema", "schema": schema });
        }
        if let Some((provider, model)) = &self.model {
            body["model"] = json!({ "providerID": provider, "modelID": model });
        }
        let system = [&self.request.system_prompt, &self.request.append_system_prompt];
        let system: Vec<_> = system.into_iter().flatten().map(String::as_str).collect();
        if !system.is_empty() {
            body["system"] = json!(system.join("\n\n"));
        }
        if let Some(effort) = self.request.effort.map(Effort::name) {
            body["variant"] = json!(effort);
        }
        out.post(id, format!("/session/{session}/prompt_async"), &body);
    }

    fn steer(&mut self, words: &str, out: &mut Out) {
        if self.ended {
            out.cannot("steer");
            return;
        }
        if self.interrupted {
            out.event(Event::not_steered(words, "the run is stopping"));
            return;
        }
        self.waiting.sent(words);
        if self.prompted {
            self.unheard += 1;
            self.say(STEER, &[words.to_owned()], out);
        } else {
            self.early_words.push(words.to_owned());
        }
    }

    /// The session has taken in what was said to it, or never will.
    fn heard(&mut self, out: &mut Out) {
        self.unheard = self.unheard.saturating_sub(1);
        if self.rest.is_idle && self.unheard == 0 {
            self.went_idle(out);
        }
    }

    /// The session has nothing to do, and says so.
    fn went_idle(&mut self, out: &mut Out) {
        self.rest.is_idle = true;
        if self.unheard > 0 && self.failure.is_none() && !self.interrupted {
            // It was busy when that was said, and goes on.
            out.timer(IDLE, HEARD);
        } else if self.prompted && (self.interrupted || self.failure.is_some() || !self.is_live) {
            self.end(out);
        } else if self.prompted {
            self.rest.idle(out);
            self.ask(Why::Idle, out);
        }
    }

    fn timer(&mut self, id: TimerId, out: &mut Out) {
        if let Some(failure) = self.doubt.ran_out(id).filter(|_| !self.rest.has_answered()) {
            self.failure = Some(failure);
            return self.end(out);
        }
        if self.last_words.have_no_end(id, "opencode", out) {
            self.is_partial = true;
            self.end(out);
        } else if id == DEAF && self.deaf.is_some() {
            out.open_sse(EVENTS, "/event");
        } else if id == IDLE && self.rest.is_idle && self.unheard > 0 {
            self.unheard = 0;
            self.end(out);
        } else if self.rest.is_over(id) && !self.subagents.are_busy() {
            self.end(out);
        }
    }

    /// Nothing but an error is of interest: the turn has begun, or it has not.
    fn prompt_answered(&mut self, status: u16, text: &str, out: &mut Out) {
        let failure = match status {
            0 => Failure::new(FailureKind::Protocol, format!("opencode did not answer: {text}")),
            _ => {
                let error = decode::<Error>(text).unwrap_or_default();
                error.failure().with(EvidenceSource::Status, "http", status)
            }
        };
        self.failure.get_or_insert(failure);
        self.end(out);
    }

    fn known_event(&mut self, kind: &str, what: Properties<'_>, out: &mut Out) -> Option<()> {
        let is_ours = what.session_id.as_deref().unwrap_or_default()
            == self.session_id.as_deref().unwrap_or_default();
        if !is_ours && kind == "permission.asked" {
            // belay has started the server: whatever it asks, it asks this run, and waits for the answer.
            return self.common_event(kind, what, out);
        }
        if !is_ours {
            // The session of a subagent, or one of another time.
            return self.subagent_event(kind, what, out);
        }
        if kind.starts_with("message.") && !self.prompted {
            // Of a session that was copied; its tokens are in no total of ours.
            return Some(());
        }
        if !is_aside_of_session(kind) {
            self.last_words.went_on();
        }
        if self.prompted {
            self.witness.heard();
        }
        match kind {
            "message.updated" => {
                if what.info.role == "user" {
                    if self.not_ours.insert(what.info.id) {
                        if self.unheard > 0 {
                            self.rest.works();
                        }
                        self.rest.sign(out);
                        self.heard(out);
                    }
                } else {
                    let is_whole = what.info.is_whole() && what.info.error.is_none();
                    let is_last = is_whole && what.info.finish.as_deref() == Some("stop");
                    self.rest.message(&what.info.id, what.info.is_whole(), out);
                    self.model_said(what.info);
                    if is_last {
                        self.await_end(out);
                    }
                }
            }
            "session.error" => {
                let failure = what.error.as_ref()?.failure();
                self.fails(failure);
                return self.common_event(kind, what, out);
            }
            "session.idle" => self.went_idle(out),
            "session.status" => {
                if matches!(what.status.kind.as_str(), "busy" | "retry") {
                    self.rest.busy();
                }
                return self.common_event(kind, what, out);
            }
            "message.part.updated" | "message.part.delta" => {
                let of_part = what.part.as_ref().and_then(|part| part.message_id.as_deref());
                let message = of_part.or(what.message_id.as_deref());
                if !message.is_some_and(|id| self.not_ours.contains(id)) {
                    self.rest.part(message, out);
                }
                if let Some(part) = &what.part {
                    self.taken(part, out);
                    self.recover(part, out);
                }
                return self.common_event(kind, what, out);
            }
            _ => return self.common_event(kind, what, out),
        }
        Some(())
    }

    /// The session has failed, as far as is known by now.
    fn fails(&mut self, failure: Failure) {
        if self.failure.is_none() {
            self.is_tried_again = false;
            self.failure = Some(failure);
        }
    }

    /// A step behind a failure: OpenCode has tried again, and where that ends well, the failure was none.
    fn recover(&mut self, part: &Part<'_>, out: &mut Out) {
        let Some(failure) = self.failure.as_ref().filter(|_| !self.parts.has_had(&part.id)) else {
            return;
        };
        match part.kind.as_ref() {
            "step-start" if !self.is_tried_again => {
                self.is_tried_again = true;
                out.event(classify::tried_again(failure));
            }
            "step-finish" if self.is_tried_again && part.reason.as_deref() == Some("stop") => {
                self.failure = None;
            }
            _ => {}
        }
    }

    /// The model has said its last words; the session is idle at once, and says so.
    fn await_end(&mut self, out: &mut Out) {
        let is_quiet = self.unheard == 0 && !self.subagents.are_busy() && self.failure.is_none();
        if is_quiet && self.is_live && !self.rest.is_idle && !self.interrupted && !self.ended {
            self.last_words.said(out);
        }
    }

    /// What a message of the model's says of itself.
    fn model_said(&mut self, info: Info) {
        self.model_used = info.model_id.or(self.model_used.take());
        self.parts.reason = info.finish.or(self.parts.reason.take());
        self.structured = info.structured.map(Json::from).or(self.structured.take());
        if let Some(error) = info.error
            && self.recovered.insert(info.id)
        {
            self.fails(error.failure());
        }
    }

    /// Words of the user's are in the conversation: the prompt first.
    fn taken(&mut self, part: &Part<'_>, out: &mut Out) {
        let of = part.message_id.as_deref().unwrap_or_default();
        let is_told = self.last_heard.as_deref() == Some(&*part.id);
        if part.kind != "text" || part.synthetic || is_told || !self.not_ours.contains(of) {
            return;
        }
        if self.last_heard.replace(part.id.to_string()).is_some() {
            self.waiting.taken(part.text.as_deref().unwrap_or_default(), out);
        }
    }

    /// What the session of a subagent does; how it ends, the call says that has begun it.
    fn subagent_event(&mut self, kind: &str, what: Properties<'_>, out: &mut Out) -> Option<()> {
        let session = what.session_id.as_deref()?.to_owned();
        if kind == "session.created" {
            let parent = what.info.parent_id.as_deref();
            if parent.is_some_and(|id| {
                self.session_id.as_deref() == Some(id) || self.subagents.knows(id)
            }) {
                self.subagents.created(session, &self.parts);
            }
            return Some(());
        }
        if !self.subagents.knows(&session) {
            return Some(());
        }
        match kind {
            "message.updated" if what.info.role == "user" => {
                self.not_ours.insert(what.info.id);
                Some(())
            }
            "session.idle" => {
                self.subagent_works(&session, false, out);
                Some(())
            }
            "session.status" => {
                let is_busy = matches!(what.status.kind.as_str(), "busy" | "retry");
                self.subagent_works(&session, is_busy, out);
                self.common_event(kind, what, out)
            }
            "session.deleted" => {
                self.subagent_works(&session, false, out);
                self.common_event(kind, what, out)
            }
            "message.updated" => Some(()),
            _ => self.common_event(kind, what, out),
        }
    }

    /// A subagent works, or is through: its words may set an idle session to work.
    fn subagent_works(&mut self, session: &str, is_busy: bool, out: &mut Out) {
        let were_busy = self.subagents.are_busy();
        self.subagents.works(session, is_busy);
        if were_busy && !self.subagents.are_busy() {
            self.rest.sign(out);
        }
    }

    /// What means the same in the run's own session and in that of a subagent.
    fn common_event(&mut self, kind: &str, what: Properties<'_>, out: &mut Out) -> Option<()> {
        let session = what.session_id.as_deref().unwrap_or_default();
        let parts = self.subagents.parts_of(session).unwrap_or(&mut self.parts);
        let under = parts.under.clone();
        match kind {
            "message.part.updated" => {
                let at_ms = what.time;
                let part = what.part?;
                let of = part.message_id.as_deref().unwrap_or_default();
                if !self.not_ours.contains(of) {
                    if let Some(at_ms) = at_ms.filter(|_| under.is_none() && part.bounds_step()) {
                        self.meter.step_at(at_ms);
                    }
                    parts.part(part, &mut self.meter, out)?;
                    if let Some(delegated) = parts.delegated.take() {
                        self.subagents.delegated(delegated, &self.parts);
                    }
                }
            }
            "message.part.delta" => {
                let (part, delta) = (what.part_id?, what.delta?);
                if !what.message_id.as_deref().is_some_and(|id| self.not_ours.contains(id)) {
                    parts.delta(&part, what.message_id.as_deref(), &delta, out);
                }
            }
            "session.status" if what.status.kind == "retry" => {
                if under.is_none() {
                    self.retry = what.status.attempt;
                }
                out.event_under(under, what.status.retry());
            }
            "session.status" => {}
            "session.error" => {
                let failure = what.error?.failure();
                if failure.kind != FailureKind::Interrupted {
                    let notice = Event::notice(Level::Error, "error", failure.message);
                    out.event_under(under, notice);
                }
            }
            "permission.asked" => {
                let asked = what.asked(|name| parts.name(name))?;
                if self.asks.insert(what.id.unwrap_or_default().into_owned()) {
                    out.event_under(under, asked);
                }
            }
            _ if is_aside_of_session(kind) => {}
            _ => return None,
        }
        Some(())
    }

    fn permission(&mut self, id: &str, answer: Decision, out: &mut Out) {
        let body = match answer {
            Decision::Allow => json!({ "reply": "once" }),
            // Without a reason it ends the whole turn; with one, the model reads it and goes on.
            Decision::Deny => json!({ "reply": "reject", "message": "It is not permitted." }),
        };
        self.denied |= answer == Decision::Deny;
        out.post(REPLY, format!("/permission/{id}/reply"), &body);
    }

    fn interrupt(&mut self, out: &mut Out) {
        let is_over = self.unheard == 0 && self.rest.has_answered() && !self.subagents.are_busy();
        if is_over && self.prompted && !self.ended {
            // An answer that was whole stands.
            return self.end(out);
        }
        self.interrupted = true;
        if self.ended {
            return;
        }
        self.abort(out);
        if self.session_id.is_some() && self.rest.is_idle && self.prompted {
            // No other word that it is idle will come.
            self.end(out);
        }
    }

    fn abort(&self, out: &mut Out) {
        // Without a session it is not even prompted when it has one.
        if let Some(id) = &self.session_id {
            out.post(ABORT, format!("/session/{id}/abort"), &json!({}));
        }
    }

    fn refused(&mut self, what: &str, status: u16, text: &str, out: &mut Out) {
        let message = format!("{what}: opencode answers {status}");
        let failure = Failure::new(FailureKind::InvalidRequest, message)
            .with(EvidenceSource::Status, "http", status)
            .with(EvidenceSource::Text, "body", text);
        self.failure = Some(failure);
        self.end(out);
    }

    fn end(&mut self, out: &mut Out) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let failure = self.verdict();
        self.turn_ended(failure, out);
        out.finish();
    }

    /// Why the turn is no answer.
    fn verdict(&mut self) -> Option<Failure> {
        match (self.failure.take(), self.parts.reason.as_deref()) {
            _ if self.interrupted => Some(Failure::new(FailureKind::Interrupted, "interrupted")),
            (Some(failure), _) => Some(failure),
            (None, Some(reason)) if let Some(refused) = refusal("finish", reason) => Some(refused),
            (None, Some("stop")) => None,
            // The value is the input of a tool that ends the turn.
            (None, _) if self.structured.is_some() => None,
            (None, Some("length")) => {
                Some(
                    Failure::new(FailureKind::OutputLimit, "the answer was cut off at its limit")
                        .with(EvidenceSource::Field, "finish", "length"),
                )
            }
            (None, Some("tool-calls")) if self.denied => Some(classify::denied()),
            (None, reason) => {
                let words = "opencode ended its turn without an answer";
                let failure = Failure::new(FailureKind::Protocol, words);
                Some(failure.with(EvidenceSource::Field, "finish", reason.unwrap_or("none")))
            }
        }
    }

    fn turn_ended(&self, failure: Option<Failure>, out: &mut Out) {
        let said = self.parts.said(failure);
        let end = Said { structured: self.structured.clone(), ..said }.end(out);
        let usage = self.meter.usage();
        out.turn_ended(AttemptEnd {
            usage: if self.is_partial { last_words::used(usage) } else { usage },
            session_id: self.session_id.clone(),
            model: self.model_used.clone(),
            ..end
        });
    }

    fn exit(&mut self, exit: Exit, out: &mut Out) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let failure = match self.rest.has_answered() {
            true => self.verdict(),
            false => {
                let (connected, stderr) = (self.connected, &self.stderr);
                let failure = exit::failure("opencode", exit, self.interrupted, connected, stderr);
                Some(self.doubt.explain(failure))
            }
        };
        self.turn_ended(failure, out);
    }
}

/// As long as the titles that OpenCode makes itself.
const TITLE_CHARS: usize = 50;
