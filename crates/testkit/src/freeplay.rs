//! A Freeplay on loopback, by its published API and its Python client 0.6.1: it takes nothing that is not as those
//! have it, wants whatever stands above to be there first, and takes what comes twice for one.

use crate::receiver::{Answer, Received, Receiver};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The service.
#[derive(Debug)]
pub struct FakeFreeplay {
    receiver: Receiver,
    state: Arc<Mutex<State>>,
}

/// What it has by now.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The traces by their ids, with their session under `session`.
    pub traces: BTreeMap<String, Value>,
    /// The completions by their ids, likewise.
    pub completions: BTreeMap<String, Value>,
    /// What it has refused, and why.
    pub refused: Vec<String>,
    /// The kinds of what was taken, in order.
    pub order: Vec<&'static str>,
}

impl FakeFreeplay {
    /// Starts one for this key and project. Of each request it takes, the answer to the first try is lost if
    /// `is_shaky`: the client hears of an error and tries again.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start(key: &str, project: &str, is_shaky: bool) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let theirs = Arc::clone(&state);
        let (login, root) = (format!("Bearer {key}"), format!("/api/v2/projects/{project}/"));
        let mut seen = Vec::new();
        let receiver = Receiver::start(move |request| {
            let mut state = theirs.lock().unwrap_or_else(PoisonError::into_inner);
            if request.header("authorization") != Some(&login) {
                return Answer::status(401);
            }
            match state.take(request, &root) {
                Ok((status, body)) => {
                    let is_first = !seen.contains(&(request.path.clone(), request.body.clone()));
                    seen.push((request.path.clone(), request.body.clone()));
                    if is_shaky && is_first {
                        Answer::status(503)
                    } else {
                        Answer::status(status).body(body)
                    }
                }
                Err(why) => {
                    state.refused.push(format!("{} {}: {why}", request.method, request.path));
                    Answer::status(400).body(why)
                }
            }
        })?;
        Ok(Self { receiver, state })
    }

    /// What goes into FREEPLAY_API_URL.
    pub fn url(&self) -> String {
        format!("{}/api", self.receiver.url())
    }

    /// What it has by now.
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The service underneath.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }
}

impl State {
    fn take(&mut self, request: &Received, root: &str) -> Result<(u16, String), String> {
        let path = request.path.strip_prefix(root).ok_or("no such project")?;
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| "no JSON")?;
        let body = body.as_object().ok_or("no object")?;
        let parts: Vec<_> = path.split('/').collect();
        match (request.method.as_str(), &parts[..]) {
            ("POST", ["sessions", session, "completions"]) => self.completion(session, body),
            ("POST", ["sessions", session, "traces", "id", trace]) => {
                self.trace(session, trace, body)
            }
            ("PATCH", ["sessions", _, "traces", "id", trace]) => self.update(trace, body),
            _ => Err("no such endpoint".to_owned()),
        }
    }

    fn trace(
        &mut self,
        session: &str,
        id: &str,
        body: &Map<String, Value>,
    ) -> Result<(u16, String), String> {
        uuid(session)?;
        uuid(id)?;
        known(
            body,
            &[
                "input",
                "output",
                "agent_name",
                "name",
                "kind",
                "parent_id",
                "start_time",
                "end_time",
                "custom_metadata",
                "eval_results",
            ],
        )?;
        for needed in ["input", "output"] {
            body.get(needed).filter(|value| !value.is_null()).ok_or(format!("no {needed}"))?;
        }
        let kind = match text(body, "kind")?.unwrap_or("agent") {
            "agent" => "trace",
            "tool" => "tool",
            other => return Err(format!("kind {other}")),
        };
        for at in ["start_time", "end_time"] {
            let time = text(body, at)?;
            let is_iso = |time: &str| time.ends_with('Z') && time.as_bytes().get(10) == Some(&b'T');
            time.is_none_or(is_iso).then_some(()).ok_or(format!("{at} is not ISO 8601"))?;
        }
        metadata(body.get("custom_metadata"))?;
        self.parent(body)?;
        put(&mut self.traces, id, session, body)?;
        self.order.push(kind);
        Ok((201, String::new()))
    }

    fn update(&mut self, id: &str, body: &Map<String, Value>) -> Result<(u16, String), String> {
        known(body, &["output", "metadata", "feedback", "eval_results"])?;
        metadata(body.get("metadata"))?;
        let trace = self.traces.get_mut(id).ok_or("no such trace")?;
        for (name, value) in body {
            trace[name] = value.clone();
        }
        self.order.push("update");
        Ok((200, String::new()))
    }

    fn completion(
        &mut self,
        session: &str,
        body: &Map<String, Value>,
    ) -> Result<(u16, String), String> {
        uuid(session)?;
        known(
            body,
            &[
                "messages",
                "inputs",
                "prompt_info",
                "call_info",
                "session_info",
                "custom_metadata",
                "parent_id",
                "trace_info",
                "completion_id",
                "tool_schema",
                "output_schema",
                "eval_results",
                "response_info",
                "test_run_info",
                "media_inputs",
            ],
        )?;
        let messages = body.get("messages").and_then(Value::as_array).ok_or("no messages")?;
        for message in messages {
            let message = message.as_object().ok_or("a message is none")?;
            text(message, "role")?.ok_or("no role")?;
            text(message, "content")?.ok_or("no content")?;
        }
        let last = messages.last().ok_or("no message")?;
        (last["role"] == "assistant").then_some(()).ok_or("the last message is the response")?;
        if let Some(info) = body.get("call_info") {
            let info = info.as_object().ok_or("call_info is none")?;
            known(
                info,
                &[
                    "provider",
                    "model",
                    "start_time",
                    "end_time",
                    "llm_parameters",
                    "provider_info",
                    "api_style",
                    "usage",
                ],
            )?;
            let (start, end) = (info["start_time"].as_f64(), info["end_time"].as_f64());
            let is_sound = start.is_some_and(|start| start > 1e9 && end >= Some(start));
            is_sound.then_some(()).ok_or("times of calls are seconds since 1970")?;
            if let Some(usage) = info.get("usage") {
                let usage = usage.as_object().ok_or("usage is none")?;
                known(usage, &["prompt_tokens", "completion_tokens"])?;
                let all = usage.values().all(Value::is_u64) && usage.len() == 2;
                all.then_some(()).ok_or("tokens are two numbers")?;
            }
        }
        metadata(body.get("session_info").and_then(|info| info.get("custom_metadata")))?;
        metadata(body.get("custom_metadata"))?;
        self.parent(body)?;
        let id = text(body, "completion_id")?.ok_or("without an id a retry makes two of one")?;
        let id = id.to_owned();
        uuid(&id)?;
        put(&mut self.completions, &id, session, body)?;
        self.order.push("completion");
        Ok((201, format!(r#"{{"completion_id":"{id}"}}"#)))
    }

    fn parent(&self, body: &Map<String, Value>) -> Result<(), String> {
        let Some(parent) = text(body, "parent_id")? else { return Ok(()) };
        self.traces
            .contains_key(parent)
            .then_some(())
            .ok_or("the parent is not there yet".to_owned())
    }
}

/// The same thing twice is one; something else under its name is a mistake.
fn put(
    all: &mut BTreeMap<String, Value>,
    id: &str,
    session: &str,
    body: &Map<String, Value>,
) -> Result<(), String> {
    let mut body = body.clone();
    body.insert("session".to_owned(), session.into());
    let body = Value::Object(body);
    match all.insert(id.to_owned(), body.clone()) {
        Some(before) if before != body => Err("another one has this id".to_owned()),
        _ => Ok(()),
    }
}

fn known(body: &Map<String, Value>, names: &[&str]) -> Result<(), String> {
    let unknown = body.keys().find(|name| !names.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| Err(format!("no such field: {name}")))
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match body.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(format!("{name} is no text")),
    }
}

/// Texts, numbers and truth values, one level deep.
fn metadata(value: Option<&Value>) -> Result<(), String> {
    let Some(value) = value else { return Ok(()) };
    let flat = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let is_flat = value.as_object().is_some_and(|all| all.values().all(flat));
    is_flat.then_some(()).ok_or(format!("metadata is not flat: {value}"))
}

fn uuid(id: &str) -> Result<(), String> {
    let parts: Vec<_> = id.split('-').map(str::len).collect();
    let is_hex = id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    (parts == [8, 4, 4, 4, 12] && is_hex).then_some(()).ok_or(format!("{id} is no UUID"))
}
