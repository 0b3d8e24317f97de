//! `opencode serve`: HTTP for what we say, server-sent events for what it does.
//!
//! The turn is over when the session is idle, which it says once before the events of an aborted tool and once
//! after them.

use super::classify::Error;
use super::parts::{Part, Parts};
use crate::protocol::{AttemptEnd, Exit, HttpId, Input, Out, Protocol};
use crate::stderr::StderrTail;
use crate::wire::{decode, lenient, lenient_text};
use crate::{Effort, RunRequest, Session, exit};
use belay_trace::{
    Decision, Event, EvidenceSource, Failure, FailureKind, Json, Level, PermissionRequest, Retry,
    SessionStarted, ToolId, ToolKind, Unknown,
};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;

const EVENTS: HttpId = HttpId(0);
const SESSION: HttpId = HttpId(1);
const PROMPT: HttpId = HttpId(2);
const ABORT: HttpId = HttpId(3);
const REPLY: HttpId = HttpId(4);
const LIST: HttpId = HttpId(5);
const MESSAGES: HttpId = HttpId(6);

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
    model_used: Option<String>,
    failure: Option<Failure>,
    structured: Option<Json>,
    interrupted: bool,
    ended: bool,
    stderr: StderrTail,
}

#[derive(Debug, Deserialize)]
struct ServerEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    properties: Option<&'a RawValue>,
}

/// The union of the properties of the events that say something.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Properties<'a> {
    #[serde(borrow, rename = "sessionID", deserialize_with = "lenient_text")]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    part: Option<Part<'a>>,
    #[serde(borrow, rename = "partID", deserialize_with = "lenient_text")]
    part_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "messageID", deserialize_with = "lenient_text")]
    message_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient_text")]
    delta: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "lenient")]
    info: Info,
    #[serde(deserialize_with = "lenient")]
    status: Status,
    #[serde(deserialize_with = "lenient")]
    error: Option<Error>,
    // A permission request.
    #[serde(borrow, deserialize_with = "lenient_text")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient_text")]
    permission: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(deserialize_with = "lenient")]
    tool: Called,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Info {
    id: String,
    role: String,
    #[serde(rename = "modelID", deserialize_with = "lenient")]
    model_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    error: Option<Error>,
    #[serde(deserialize_with = "lenient")]
    finish: Option<String>,
    #[serde(deserialize_with = "lenient")]
    structured: Option<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(rename = "type")]
    kind: String,
    attempt: Option<u64>,
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Called {
    #[serde(rename = "callID")]
    call_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SessionInfo {
    id: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    directory: Option<String>,
    /// Only a subagent's session has one.
    #[serde(default, rename = "parentID")]
    parent_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    time: Times,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Times {
    updated: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    #[serde(deserialize_with = "lenient")]
    info: Info,
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
            model_used: None,
            failure: None,
            structured: None,
            interrupted: false,
            ended: false,
            stderr: StderrTail::default(),
        }
    }
}

impl Protocol for Serve {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => out.close_stdin(),
            Input::Stdout(line) => self.stdout(line, out),
            Input::Stderr(line) => self.stderr.line(line, out),
            Input::Sse(data) => self.event(data, out),
            Input::Http { id, status, body } => self.http(id, status, body, out),
            Input::Interrupt => self.interrupt(out),
            Input::Permission { id, answer } => self.permission(id, answer, out),
            Input::Steer(_) => out.cannot("steer"),
            Input::Timer(_) => {}
            Input::Exit(exit) => self.exit(exit, out),
        }
    }
}

impl Serve {
    fn stdout(&mut self, line: &[u8], out: &mut Out) {
        let text = String::from_utf8_lossy(line);
        if text.starts_with("opencode server listening on ") && !self.listening {
            self.listening = true;
            out.open_sse(EVENTS, "/event");
        } else if !text.trim().is_empty() {
            out.event(Event::notice(Level::Info, "stdout", text.trim_end()));
        }
    }

    /// The events are heard from now on, so nothing of the session can be missed.
    fn open_session(&self, out: &mut Out) {
        match &self.request.session {
            // Without a title it would ask the model for one.
            Session::New => out.post(SESSION, "/session", &json!({ "title": self.title() })),
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
                let messages = decode::<Vec<Message>>(&text).unwrap_or_default();
                self.not_ours.extend(messages.into_iter().map(|message| message.info.id));
                self.prompt(out);
            }
            PROMPT if !is_ok && !self.ended => self.prompt_answered(status, &text, out),
            EVENTS if !self.ended => {
                let words = format!("the events of opencode have ended (status {status}): {text}");
                out.event(Event::notice(Level::Warn, "events_ended", words));
            }
            ABORT | REPLY if !is_ok && !self.ended => {
                let words = format!("opencode answers {status}: {text}");
                out.event(Event::notice(Level::Warn, "http", words));
            }
            _ => {}
        }
    }

    fn session(&mut self, session: SessionInfo, out: &mut Out) {
        self.session_id = Some(session.id.clone());
        out.event(Event::SessionStarted(SessionStarted {
            session_id: session.id,
            model: self.model.as_ref().map(|(_, model)| model.clone()),
            agent_version: session.version,
            cwd: session.directory,
            ..SessionStarted::default()
        }));
        match (&self.session_id, &self.request.session) {
            _ if self.interrupted => self.end(out),
            // Each message of the copy is told as if it were new.
            (Some(id), Session::Fork(_)) => out.get(MESSAGES, format!("/session/{id}/message")),
            _ => self.prompt(out),
        }
    }

    fn prompt(&mut self, out: &mut Out) {
        let Some(id) = &self.session_id else { return };
        // Nobody is there to answer a question of the model's, and it would wait for ever.
        let mut parts = vec![json!({ "type": "text", "text": self.request.prompt })];
        parts.extend(self.request.images.iter().filter_map(|image| {
            let (mime, url) = image.data_url()?;
            Some(json!({ "type": "file", "mime": mime, "filename": image.name(), "url": url }))
        }));
        let mut body = json!({
            "parts": parts,
            "tools": { "question": false },
        });
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
        self.prompted = true;
        out.post(PROMPT, format!("/session/{id}/prompt_async"), &body);
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

    fn event(&mut self, data: &[u8], out: &mut Out) {
        let text = String::from_utf8_lossy(data);
        let Some(event) = decode::<ServerEvent<'_>>(&text) else {
            return out.event(Event::Unknown(Unknown { line: text.into_owned() }));
        };
        let kind = event.kind.as_ref();
        if kind == "server.connected" && !self.connected {
            self.connected = true;
            return self.open_session(out);
        }
        if is_aside(kind) {
            // That the server is alive is no progress.
            return out.no_progress();
        }
        let properties = event.properties.map_or("{}", RawValue::get);
        let known = decode::<Properties<'_>>(properties)
            .and_then(|properties| self.known_event(kind, properties, out));
        if known.is_none() {
            out.event(Event::Unknown(Unknown { line: text.into_owned() }));
        }
    }

    fn known_event(&mut self, kind: &str, what: Properties<'_>, out: &mut Out) -> Option<()> {
        let is_ours = what.session_id.as_deref() == self.session_id.as_deref();
        // A subagent's session, or one of another time; its tokens are in no total of ours.
        let is_copied = kind.starts_with("message.") && !self.prompted;
        if !is_ours || is_copied {
            return Some(());
        }
        match kind {
            "message.updated" => {
                if what.info.role == "user" {
                    self.not_ours.insert(what.info.id);
                } else {
                    self.model_used = what.info.model_id.or(self.model_used.take());
                    self.parts.reason = what.info.finish.or(self.parts.reason.take());
                    self.structured =
                        what.info.structured.map(Json::from).or(self.structured.take());
                    if let Some(error) = what.info.error {
                        self.failure.get_or_insert(error.failure());
                    }
                }
            }
            "message.part.updated" => {
                let part = what.part?;
                let of = part.message_id.as_deref().unwrap_or_default();
                if !self.not_ours.contains(of) {
                    self.parts.part(part, out)?;
                }
            }
            "message.part.delta" => {
                let (part, delta) = (what.part_id?, what.delta?);
                if !what.message_id.as_deref().is_some_and(|id| self.not_ours.contains(id)) {
                    self.parts.delta(&part, what.message_id.as_deref(), &delta, out);
                }
            }
            "session.status" if what.status.kind == "retry" => {
                out.event(Event::Retry(Retry {
                    retry: what.status.attempt,
                    reason: what.status.message,
                    ..Retry::default()
                }));
            }
            "session.status" => {}
            "session.error" => {
                let failure = what.error?.failure();
                if failure.kind != FailureKind::Interrupted {
                    out.event(Event::notice(Level::Error, "error", failure.message.clone()));
                }
                self.failure.get_or_insert(failure);
            }
            "session.idle" => {
                if self.prompted {
                    self.end(out);
                }
            }
            "permission.asked" => self.asked(&what, out)?,
            "permission.replied"
            | "session.created"
            | "session.updated"
            | "session.diff"
            | "session.compacted"
            | "todo.updated"
            | "message.removed"
            | "message.part.removed"
            | "command.executed"
            | "file.edited"
            | "file.watcher.updated" => {}
            _ => return None,
        }
        Some(())
    }

    fn asked(&self, what: &Properties<'_>, out: &mut Out) -> Option<()> {
        let permission = what.permission.as_deref().unwrap_or_default();
        let (name, kind) = match permission {
            "bash" => ("Bash", ToolKind::Execute),
            "edit" => ("edit", ToolKind::Edit),
            "webfetch" => ("webfetch", ToolKind::Network),
            other => (other, ToolKind::Other),
        };
        out.event(Event::PermissionRequest(PermissionRequest {
            permission_id: what.id.as_deref()?.to_owned(),
            tool_id: what.tool.call_id.as_deref().map(ToolId::from),
            name: self.parts.name(name),
            args: what.metadata.map(Json::from_raw).unwrap_or_default(),
            kind,
            reason: None,
        }));
        Some(())
    }

    fn permission(&self, id: &str, answer: Decision, out: &mut Out) {
        let reply = match answer {
            Decision::Allow => json!({ "reply": "once" }),
            // Without words to the model OpenCode ends the turn, in the middle and with no answer.
            Decision::Deny => json!({ "reply": "reject", "message": DENIED }),
        };
        out.post(REPLY, format!("/permission/{id}/reply"), &reply);
    }

    fn interrupt(&mut self, out: &mut Out) {
        self.interrupted = true;
        match &self.session_id {
            Some(id) if !self.ended => out.post(ABORT, format!("/session/{id}/abort"), &json!({})),
            // It will be, and is not even prompted then.
            _ => {}
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
        let failure = match (self.failure.take(), self.parts.reason.as_deref()) {
            _ if self.interrupted => Some(Failure::new(FailureKind::Interrupted, "interrupted")),
            (Some(failure), _) => Some(failure),
            (None, Some("stop")) => None,
            // The value is the input of a tool that ends the turn.
            (None, _) if self.structured.is_some() => None,
            (None, Some("length")) => {
                Some(
                    Failure::new(FailureKind::OutputLimit, "the answer was cut off at its limit")
                        .with(EvidenceSource::Field, "finish", "length"),
                )
            }
            (None, reason) => {
                let words = "opencode ended its turn without an answer";
                let failure = Failure::new(FailureKind::Protocol, words);
                Some(failure.with(EvidenceSource::Field, "finish", reason.unwrap_or("none")))
            }
        };
        self.turn_ended(failure, out);
        out.finish();
    }

    fn turn_ended(&self, failure: Option<Failure>, out: &mut Out) {
        out.turn_ended(AttemptEnd {
            answer: self.parts.answer(),
            failure,
            usage: self.parts.meter.usage(),
            session_id: self.session_id.clone(),
            model: self.model_used.clone(),
            structured: self.structured.clone(),
            ..AttemptEnd::default()
        });
    }

    fn exit(&mut self, exit: Exit, out: &mut Out) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let failure =
            exit::failure("opencode", exit, self.interrupted, self.connected, &self.stderr);
        self.turn_ended(Some(failure), out);
    }
}

/// What the model is told.
const DENIED: &str = "This tool call is not permitted in this run.";

/// As long as the titles that OpenCode makes itself.
const TITLE_CHARS: usize = 50;

/// Events about the server and its plugins, which say nothing about the run. (1.18.33)
fn is_aside(kind: &str) -> bool {
    const ASIDES: &[&str] = &[
        "server.connected",
        "server.heartbeat",
        "server.instance.disposed",
        "plugin.added",
        "catalog.updated",
        "reference.updated",
        "integration.updated",
        "installation.updated",
        "installation.update-available",
        "project.updated",
        "lsp.client.diagnostics",
        "lsp.updated",
        "mcp.tools.changed",
        "vcs.branch.updated",
    ];
    ASIDES.contains(&kind)
}
