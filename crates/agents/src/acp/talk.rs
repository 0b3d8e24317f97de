//! The conversation: initialize → session → its settings → prompt → the prompt's answer.
//!
//! belay offers no file system and no terminal: the agent works with its own.

use super::classify;
use super::meter::{Answer, Meter, Tokens};
use super::options::{Hello, Listed, Opened};
use super::preset::Preset;
use super::rpc::{Message, RpcError, Say};
use super::tools::{self, Beside, Calls, Step};
use super::turn::Turn;
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol, TimerId};
use crate::stderr::StderrTail;
use crate::wire::{decode, lenient, read_line};
use crate::{Image, McpServer, Permissions, RunRequest, Session, exit};
use agent_client_protocol_schema::v1::{
    ContentChunk, PermissionOptionKind, PlanEntryStatus, RequestPermissionRequest,
    SessionNotification, SessionUpdate, ToolCallUpdate,
};
use belay_trace::{
    Decision, Event, EvidenceSource, Failure, FailureKind, Level, PermissionRequest, Plan,
    PlanItem, PlanStatus, SessionStarted, ToolId, UsageReport,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// Whether somebody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The agent runs.
    Live,
    /// A stream that was saved: of both directions the one that the agent spoke.
    Saved,
}

/// A request of ours whose answer has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Initialize,
    Authenticate,
    List,
    New,
    Load,
    Mode,
    Model,
    Prompt,
}

/// A permission that the agent waits for.
#[derive(Debug)]
struct Ask {
    id: Box<RawValue>,
    tool_id: ToolId,
    /// What may be answered, with its meaning.
    options: Vec<(String, PermissionOptionKind)>,
}

/// The state of one conversation.
#[derive(Debug)]
pub(super) struct Talk {
    preset: &'static Preset,
    request: RunRequest,
    model: Option<String>,
    heard: Heard,
    hello: Hello,
    session_id: Option<String>,
    /// What is still to be set before the prompt.
    settings: Vec<(Asked, &'static str, Value)>,
    settling: Option<u32>,
    /// The prompt was sent, and its answer has not come.
    prompting: bool,
    has_ended: bool,
    interrupted: bool,
    cancel_sent: bool,
    turn: Turn,
    calls: Calls,
    meter: Meter,
    asks: HashMap<String, Ask>,
    asked: HashMap<u32, Asked>,
    requests: u32,
    stderr: StderrTail,
    initialized: bool,
}

/// How long nothing of a history may come before it counts as told.
const HISTORY_QUIET: Duration = Duration::from_millis(250);

impl Talk {
    pub(super) fn new(
        preset: &'static Preset,
        request: &RunRequest,
        model: Option<String>,
        heard: Heard,
    ) -> Self {
        Self {
            preset,
            request: request.clone(),
            model,
            heard,
            hello: Hello::default(),
            session_id: None,
            settings: Vec::new(),
            settling: None,
            prompting: heard == Heard::Saved,
            has_ended: false,
            interrupted: false,
            cancel_sent: false,
            turn: Turn::default(),
            calls: Calls::new(preset.quirks, request),
            meter: Meter::new(preset, heard, request.session != Session::New),
            asks: HashMap::new(),
            asked: HashMap::new(),
            requests: 0,
            stderr: StderrTail::default(),
            initialized: false,
        }
    }
}

impl Protocol for Talk {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => {
                let info = json!({"name": "belay", "title": "belay", "version": env!("CARGO_PKG_VERSION")});
                let offers = json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false});
                let params =
                    json!({"protocolVersion": 1, "clientCapabilities": offers, "clientInfo": info});
                self.ask(Asked::Initialize, "initialize", params, out);
            }
            Input::Stdout(line) => read_line(line, out, |text, out| self.message(text, out)),
            Input::Stderr(line) => self.stderr.line(line, out),
            Input::Steer(_) => out.cannot("steer"),
            Input::Interrupt => {
                self.interrupted = true;
                self.send_cancel(out);
            }
            Input::Permission { id, answer } => self.permission(id, answer, out),
            Input::Timer(TimerId(number)) => {
                if self.settling == Some(number) {
                    self.settling = None;
                    self.prompt(out);
                }
            }
            Input::Http { .. } | Input::Sse(_) | Input::Session(_) => {}
            Input::Exit(exit) => self.exit(exit, out),
        }
    }
}

impl Talk {
    fn message(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let message: Message<'_> = decode(text)?;
        match (&message.method, message.id) {
            (Some(method), Some(id)) => self.agent_request(method, id, message.params, out),
            (Some(method), None) => return self.notification(method, message.params?, out),
            (None, Some(id)) => self.answer(id, &message, out),
            (None, None) => return None,
        }
        Some(())
    }

    fn ask(&mut self, asked: Asked, method: &'static str, params: Value, out: &mut Out) {
        self.requests += 1;
        self.asked.insert(self.requests, asked);
        out.stdin_line(&Say::request(self.requests, method, params));
    }

    /// The answer to a request of ours; a stream recorded with another client has answers to others.
    fn answer(&mut self, id: &RawValue, message: &Message<'_>, out: &mut Out) {
        let number = id.get().parse().ok();
        let ours = number.and_then(|number: u32| self.asked.remove(&number));
        let result = message.result.map_or("null", RawValue::get);
        let Some(asked) = ours.or_else(|| self.recognised(message)) else {
            let words = format!("an answer to the request {} of somebody else", id.get());
            out.event(Event::notice(Level::Debug, "answer", words));
            return;
        };
        if let Some(error) = &message.error {
            return self.refused(asked, error, out);
        }
        match asked {
            Asked::Initialize => {
                self.initialized = true;
                self.hello = decode(result).unwrap_or_default();
                if self.heard == Heard::Live {
                    self.open_session(out);
                }
            }
            Asked::Authenticate => self.new_session(out),
            Asked::List => self.listed(&decode(result).unwrap_or_default(), out),
            Asked::New => {
                let opened: Opened = decode(result).unwrap_or_default();
                match opened.session_id.clone() {
                    Some(session_id) => self.opened(session_id, &opened, out),
                    None => self.fail(FailureKind::Protocol, "the agent opened no session", out),
                }
            }
            Asked::Load => {
                let opened: Opened = decode(result).unwrap_or_default();
                if let Some(session_id) = self.session_id.clone() {
                    self.opened(session_id, &opened, out);
                }
            }
            Asked::Mode | Asked::Model => self.set_next(out),
            Asked::Prompt => self.prompt_answered(&decode(result).unwrap_or_default(), out),
        }
    }

    /// In a saved stream the questions are missing: an answer is known by what is in it.
    fn recognised(&self, message: &Message<'_>) -> Option<Asked> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Any<'a> {
            #[serde(borrow, default)]
            protocol_version: Option<&'a RawValue>,
            #[serde(borrow, default)]
            session_id: Option<&'a RawValue>,
            #[serde(borrow, default)]
            stop_reason: Option<&'a RawValue>,
        }
        if self.heard == Heard::Live {
            return None;
        }
        if message.error.is_some() {
            return Some(if self.session_id.is_some() { Asked::Prompt } else { Asked::New });
        }
        let any: Any<'_> = decode(message.result?.get())?;
        match (any.protocol_version, any.session_id, any.stop_reason) {
            (Some(_), _, _) => Some(Asked::Initialize),
            (_, Some(_), _) => Some(Asked::New),
            (_, _, Some(_)) => Some(Asked::Prompt),
            _ => None,
        }
    }

    fn refused(&mut self, asked: Asked, error: &RpcError, out: &mut Out) {
        let mut failure = classify::of_error(self.preset.failures, error);
        match asked {
            Asked::New if error.code == classify::AUTH_REQUIRED && self.authenticate(out) => return,
            Asked::New | Asked::Load if error.code == classify::AUTH_REQUIRED => {
                failure.message = self.how_to_log_in(&failure.message);
            }
            // Without a session there was no request to a model: what was asked for is not to be had.
            Asked::Initialize
            | Asked::List
            | Asked::New
            | Asked::Load
            | Asked::Mode
            | Asked::Model
                if failure.kind == FailureKind::Unknown
                    || !matches!(failure.kind, FailureKind::Auth) =>
            {
                failure.kind = FailureKind::InvalidRequest;
            }
            Asked::Prompt if self.cancel_sent => {
                failure = Failure::new(FailureKind::Interrupted, "interrupted");
            }
            _ => {}
        }
        self.end_turn(Some(failure), out);
    }

    /// Uses a way to log in that needs nobody; false if there is none, or if it was tried.
    fn authenticate(&mut self, out: &mut Out) -> bool {
        let method =
            self.hello.auth_methods.iter().position(|method| {
                method.kind.as_deref() == Some("env_var") && !method.id.is_empty()
            });
        let Some(at) = method.filter(|_| self.heard == Heard::Live) else { return false };
        // A second refusal must not begin it again.
        let method = self.hello.auth_methods.swap_remove(at);
        self.ask(Asked::Authenticate, "authenticate", json!({"methodId": method.id}), out);
        true
    }

    fn how_to_log_in(&self, message: &str) -> String {
        let ways = self.hello.auth_methods.iter().map(|method| match method.name.as_str() {
            "" => method.id.as_str(),
            name => name,
        });
        let ways = ways.collect::<Vec<_>>().join(", ");
        let end = if ways.is_empty() { String::new() } else { format!("; it offers: {ways}") };
        format!("{message} (log in with {} itself{end})", self.preset.name)
    }

    fn open_session(&mut self, out: &mut Out) {
        if self.interrupted {
            return self.fail(FailureKind::Interrupted, "interrupted before the turn began", out);
        }
        let http = self.request.mcp_servers.values().any(|s| matches!(s, McpServer::Http { .. }));
        let capabilities = &self.hello.agent_capabilities;
        if http && !capabilities.mcp_capabilities.http {
            let words = "this agent takes no MCP server over HTTP";
            return self.fail(FailureKind::InvalidRequest, words, out);
        }
        if !self.request.images.is_empty() && !capabilities.prompt_capabilities.image {
            return self.fail(FailureKind::InvalidRequest, "this agent takes no images", out);
        }
        match self.request.session.clone() {
            Session::New => self.new_session(out),
            Session::Resume(id) => self.load(id, out),
            Session::Continue if capabilities.session_capabilities.list.is_some() => {
                let params = json!({"cwd": self.cwd()});
                self.ask(Asked::List, "session/list", params, out);
            }
            Session::Continue | Session::Fork(_) => {
                let words = "this agent does not list its sessions: name the one to go on in";
                self.fail(FailureKind::InvalidRequest, words, out);
            }
        }
    }

    fn new_session(&mut self, out: &mut Out) {
        let params = json!({"cwd": self.cwd(), "mcpServers": self.servers()});
        self.ask(Asked::New, "session/new", params, out);
    }

    fn listed(&mut self, listed: &Listed, out: &mut Out) {
        let sessions = listed.sessions.iter().filter(|session| !session.session_id.is_empty());
        // Times of one form, so that their order is that of their letters.
        let latest = sessions.max_by_key(|session| session.updated_at.clone());
        match latest.map(|session| session.session_id.clone()) {
            Some(id) => self.load(id, out),
            None => {
                self.fail(FailureKind::InvalidRequest, "there is no session to continue", out);
            }
        }
    }

    /// Opens a session that is there already; rather without its history, which is known.
    fn load(&mut self, session_id: String, out: &mut Out) {
        let capabilities = &self.hello.agent_capabilities;
        let method = if capabilities.session_capabilities.resume.is_some() {
            "session/resume"
        } else if capabilities.load_session {
            "session/load"
        } else {
            let words = "this agent cannot go on in a session";
            return self.fail(FailureKind::InvalidRequest, words, out);
        };
        let params =
            json!({"sessionId": session_id, "cwd": self.cwd(), "mcpServers": self.servers()});
        self.session_id = Some(session_id);
        self.ask(Asked::Load, method, params, out);
    }

    fn cwd(&self) -> String {
        let cwd = self.request.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned());
        cwd.unwrap_or_else(|| ".".to_owned())
    }

    fn servers(&self) -> Vec<Value> {
        let pairs = |pairs: &std::collections::BTreeMap<String, String>| {
            let pair = |(name, value)| json!({"name": name, "value": value});
            pairs.iter().map(pair).collect::<Vec<_>>()
        };
        let servers = self.request.mcp_servers.iter().map(|(name, server)| match server {
            McpServer::Command { command, args, env } => {
                json!({"name": name, "command": command, "args": args, "env": pairs(env)})
            }
            McpServer::Http { url, headers } => {
                json!({"type": "http", "name": name, "url": url, "headers": pairs(headers)})
            }
        });
        servers.collect()
    }

    fn opened(&mut self, session_id: String, opened: &Opened, out: &mut Out) {
        self.session_id = Some(session_id.clone());
        self.meter.window = opened.window();
        self.turn.model = opened.model();
        let mode = self.preset.modes.of(self.request.permissions);
        let agent = self.hello.agent_info.as_ref();
        out.event(Event::SessionStarted(SessionStarted {
            session_id: session_id.clone(),
            model: self.turn.model.clone(),
            agent_version: agent.map(|agent| agent.version.clone()),
            permission_mode: mode.map(str::to_owned).or(opened.modes.current_mode_id.clone()),
            cwd: self.request.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned()),
            tools: Vec::new(),
        }));
        if self.heard == Heard::Saved {
            return;
        }
        if self.interrupted {
            return self.fail(FailureKind::Interrupted, "interrupted before the turn began", out);
        }
        if let Some(mode) = mode {
            if !opened.modes.available_modes.iter().any(|known| known.id == mode) {
                let words = format!("the agent does not offer the mode `{mode}`");
                return self.fail(FailureKind::InvalidRequest, &words, out);
            }
            let params = json!({"sessionId": session_id, "modeId": mode});
            self.settings.push((Asked::Mode, "session/set_mode", params));
        }
        let model = self.model.clone().filter(|_| self.preset.model_flag.is_none());
        if let Some(model) = model {
            let setting = match opened.model_option() {
                Some(option) => {
                    let params =
                        json!({"sessionId": session_id, "configId": option.id, "value": model});
                    Some(("session/set_config_option", params))
                }
                None => opened.has_models().then(|| {
                    ("session/set_model", json!({"sessionId": session_id, "modelId": model}))
                }),
            };
            let Some((method, params)) = setting else {
                let words = "this agent offers no choice of model: set it where the agent keeps it";
                return self.fail(FailureKind::InvalidRequest, words, out);
            };
            self.turn.model = Some(model);
            self.settings.push((Asked::Model, method, params));
        }
        self.settings.reverse();
        self.set_next(out);
    }

    /// Sets what is still to be set, and then speaks.
    fn set_next(&mut self, out: &mut Out) {
        if self.has_ended {
            return;
        }
        if let Some((asked, method, params)) = self.settings.pop() {
            return self.ask(asked, method, params, out);
        }
        if self.preset.quirks.history_after_load && self.request.session != Session::New {
            return self.wait_for_history(out);
        }
        self.prompt(out);
    }

    /// Nothing says when such a history is told: what comes after the prompt would be taken for its answer.
    fn wait_for_history(&mut self, out: &mut Out) {
        let number = self.settling.unwrap_or(0) + 1;
        self.settling = Some(number);
        out.timer(TimerId(number), HISTORY_QUIET);
    }

    fn prompt(&mut self, out: &mut Out) {
        if self.interrupted {
            return self.fail(FailureKind::Interrupted, "interrupted before the turn began", out);
        }
        let mut prompt = vec![json!({"type": "text", "text": self.request.composed_prompt()})];
        let images = self.request.images.iter().filter_map(Image::base64);
        prompt.extend(
            images.map(|(mime, data)| json!({"type": "image", "mimeType": mime, "data": data})),
        );
        let params = json!({"sessionId": self.session_id, "prompt": prompt});
        self.prompting = true;
        self.ask(Asked::Prompt, "session/prompt", params, out);
    }

    fn prompt_answered(&mut self, answer: &Answer, out: &mut Out) {
        self.meter.answered(answer);
        self.turn.model = answer.model().or(self.turn.model.take());
        if self.meter.has_news() {
            out.event(Event::Usage(UsageReport { usage: self.meter.so_far() }));
        }
        let reason = answer.stop_reason.as_str();
        let by_reason =
            |failure: Failure| Some(failure.with(EvidenceSource::Field, "stopReason", reason));
        let silence_fails = self.preset.quirks.silence_is_failure || !self.turn.acted;
        let gave_up = self.turn.is_silent() && self.calls.last_is_denied();
        let failure = match reason {
            "end_turn" if gave_up => {
                let words = "the agent gave up when a tool was not permitted";
                by_reason(Failure::new(FailureKind::PermissionDenied, words))
            }
            "end_turn"
                if self.preset.quirks.uncounted_is_failure
                    && answer.counts_nothing()
                    && !self.is_command() =>
            {
                let words = "the answer broke off: the agent counted no token of it";
                by_reason(Failure::new(FailureKind::Network, words))
            }
            "end_turn" if self.turn.is_silent() && silence_fails => {
                let words = "the model answered with no word, or its answer broke off";
                by_reason(Failure::new(FailureKind::Protocol, words))
            }
            "end_turn" => None,
            "cancelled" => by_reason(Failure::new(FailureKind::Interrupted, "interrupted")),
            "" => Some(Failure::new(FailureKind::Protocol, "the turn ended unreadably")),
            _ => Some(classify::of_stop(self.preset.failures, reason)),
        };
        self.end_turn(failure, out);
    }

    /// True for a prompt that the agent may carry out itself, without a model.
    fn is_command(&self) -> bool {
        self.request.composed_prompt().trim_start().starts_with(['/', '$'])
    }

    fn notification(&mut self, method: &str, params: &RawValue, out: &mut Out) -> Option<()> {
        if method != "session/update" {
            let is_aside = self.preset.asides.iter().any(|begin| method.starts_with(begin));
            return is_aside.then_some(());
        }
        let note: SessionNotification = decode(params.get())?;
        let ours = self.session_id.as_deref();
        if ours.is_some_and(|ours| ours != note.session_id.0.as_ref()) {
            let words = "an update of another session";
            out.event(Event::notice(Level::Debug, "subagent", words));
            return Some(());
        }
        match note.update {
            SessionUpdate::AvailableCommandsUpdate(_)
            | SessionUpdate::CurrentModeUpdate(_)
            | SessionUpdate::ConfigOptionUpdate(_)
            | SessionUpdate::SessionInfoUpdate(_)
            | SessionUpdate::UserMessageChunk(_) => {}
            SessionUpdate::UsageUpdate(update) => {
                let cost = update.cost.filter(|cost| cost.currency == "USD");
                if let Some(cost) = cost {
                    self.meter.session_cost(cost.amount);
                }
                self.meter.window = Some(update.size).filter(|size| *size > 0);
                if self.prompting {
                    out.event(Event::Context(belay_trace::Context {
                        used_tokens: update.used,
                        window_tokens: self.meter.window,
                        source: belay_trace::ContextSource::Agent,
                    }));
                }
            }
            // Before the prompt it is the history of the session, or the agent's household.
            _ if !self.prompting => {
                out.event(Event::notice(Level::Debug, "history", "an update before the prompt"));
                if self.settling.is_some() {
                    self.wait_for_history(out);
                }
            }
            SessionUpdate::AgentMessageChunk(chunk) => self.chunk(&chunk, params, out),
            SessionUpdate::AgentThoughtChunk(chunk) => {
                self.end_denied(out);
                self.turn.reasoning(tools::text_of(&chunk.content), out);
            }
            SessionUpdate::ToolCall(call) => self.tool(&call.into(), params, out),
            SessionUpdate::ToolCallUpdate(update) => self.tool(&update, params, out),
            SessionUpdate::Plan(plan) => {
                let items = plan.entries.into_iter().map(|entry| PlanItem {
                    text: entry.content,
                    status: match entry.status {
                        PlanEntryStatus::InProgress => PlanStatus::InProgress,
                        PlanEntryStatus::Completed => PlanStatus::Completed,
                        _ => PlanStatus::Pending,
                    },
                });
                out.event(Event::Plan(Plan { items: items.collect() }));
            }
            // Nothing that belay has not asked for is of a known meaning.
            _ => return None,
        }
        Some(())
    }

    fn chunk(&mut self, chunk: &ContentChunk, params: &RawValue, out: &mut Out) {
        #[derive(Deserialize)]
        struct Params {
            update: Update,
        }
        #[derive(Deserialize)]
        struct Update {
            #[serde(default, rename = "_meta", deserialize_with = "lenient")]
            meta: Meta,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Meta {
            #[serde(deserialize_with = "lenient")]
            usage: Option<Tokens>,
        }
        self.end_denied(out);
        let text = tools::text_of(&chunk.content);
        if self.preset.household.iter().any(|begin| text.starts_with(begin)) {
            out.event(Event::notice(Level::Debug, "household", text));
            return;
        }
        self.turn.text(text, out);
        let usage = chunk.meta.as_ref().filter(|meta| meta.contains_key("usage"));
        let usage = usage.and_then(|_| decode::<Params>(params.get())?.update.meta.usage);
        let Some(tokens) = usage else { return };
        if self.meter.response(&tokens) {
            self.turn.response_ended();
            out.event(Event::Usage(UsageReport { usage: self.meter.so_far() }));
            if let Some(context) = self.meter.context(&tokens) {
                out.event(Event::Context(context));
            }
        }
    }

    fn tool(&mut self, update: &ToolCallUpdate, params: &RawValue, out: &mut Out) {
        let beside = Raw::read(params);
        if !self.calls.knows(&update.tool_call_id.0) {
            self.end_denied(out);
            self.turn.calls(out);
        }
        let step = self.calls.update(update, beside.for_call(), out);
        if step == Step::Ended {
            self.turn.tool_ended();
            if !self.responses_are_told() {
                self.turn.response_ended();
            }
        }
    }

    /// True if the agent says itself where a response ends.
    fn responses_are_told(&self) -> bool {
        self.preset.usage.rule == super::preset::Rule::EachResponse
    }

    fn end_denied(&mut self, out: &mut Out) {
        if self.calls.end_denied(out) && !self.responses_are_told() {
            self.turn.response_ended();
        }
    }

    fn agent_request(
        &mut self,
        method: &str,
        id: &RawValue,
        params: Option<&RawValue>,
        out: &mut Out,
    ) {
        let asked = params.filter(|_| method == "session/request_permission");
        let asked = asked
            .and_then(|params| Some((params, decode::<RequestPermissionRequest>(params.get())?)));
        // Whatever is asked gets an answer: the agent waits for one.
        let Some((params, asked)) = asked else {
            out.stdin_line(&Say::no_such_method(id));
            let level = match method.starts_with("session/") || method.starts_with("fs/") {
                true => Level::Warn,
                // An agent's own extension, which it can do without.
                false => Level::Debug,
            };
            let words = format!("refused the request `{method}`");
            out.event(Event::notice(level, "refused_request", words));
            return;
        };
        if !self.calls.knows(&asked.tool_call.tool_call_id.0) {
            self.end_denied(out);
            self.turn.calls(out);
        }
        let raw = Raw::read(params);
        let tool = self.calls.ask(&asked.tool_call, raw.for_call(), out);
        let options = asked.options.into_iter();
        let options = options.map(|option| (option.option_id.0.to_string(), option.kind));
        let permission_id = id.get().trim_matches('"').to_owned();
        let ask =
            Ask { id: id.to_owned(), tool_id: tool.tool_id.clone(), options: options.collect() };
        self.asks.insert(permission_id.clone(), ask);
        if self.cancel_sent {
            return self.cancel_asks(out);
        }
        // A server that the caller gives is one whose tools may be called, unless the run may only look.
        if tool.is_of_request && self.request.permissions != Some(Permissions::ReadOnly) {
            return self.permission(&permission_id, Decision::Allow, out);
        }
        out.event(Event::PermissionRequest(PermissionRequest {
            permission_id,
            tool_id: Some(tool.tool_id),
            name: tool.name,
            args: tool.args,
            kind: tool.kind,
            reason: None,
        }));
    }

    fn permission(&mut self, id: &str, answer: Decision, out: &mut Out) {
        let Some(ask) = self.asks.remove(id) else { return };
        let option = |wanted: PermissionOptionKind| {
            let found = ask.options.iter().find(|(_, kind)| *kind == wanted);
            found.map(|(id, _)| id.clone())
        };
        let chosen = match answer {
            Decision::Allow => option(PermissionOptionKind::AllowOnce).or_else(|| {
                // For ever is more than once: only who has allowed everything has allowed that.
                let full = self.request.permissions == Some(Permissions::Full);
                option(PermissionOptionKind::AllowAlways).filter(|_| full)
            }),
            Decision::Deny => option(PermissionOptionKind::RejectOnce)
                .or_else(|| option(PermissionOptionKind::RejectAlways)),
        };
        if answer == Decision::Deny || chosen.is_none() {
            self.calls.denied(&ask.tool_id);
        }
        let outcome = match chosen {
            Some(option) => json!({"outcome": "selected", "optionId": option}),
            None => json!({"outcome": "cancelled"}),
        };
        out.stdin_line(&Say::answer(&ask.id, json!({"outcome": outcome})));
    }

    fn send_cancel(&mut self, out: &mut Out) {
        let Some(session_id) = self.session_id.as_ref().filter(|_| self.prompting) else { return };
        if !self.cancel_sent {
            self.cancel_sent = true;
            let params = json!({"sessionId": session_id});
            out.stdin_line(&Say::notify("session/cancel", params));
            self.cancel_asks(out);
        }
    }

    fn cancel_asks(&mut self, out: &mut Out) {
        for (_, ask) in self.asks.drain() {
            let result = json!({"outcome": {"outcome": "cancelled"}});
            out.stdin_line(&Say::answer(&ask.id, result));
        }
    }

    /// Ends an attempt that has no turn yet, or never will.
    fn fail(&mut self, kind: FailureKind, message: &str, out: &mut Out) {
        self.end_turn(Some(Failure::new(kind, message)), out);
    }

    fn end_turn(&mut self, failure: Option<Failure>, out: &mut Out) {
        self.has_ended = true;
        (self.interrupted, self.cancel_sent) = (false, false);
        self.prompting = self.heard == Heard::Saved;
        self.calls.turn_ended(out);
        self.asks.clear();
        let answer = self.turn.answer(failure.is_none());
        out.turn_ended(AttemptEnd {
            answer,
            failure,
            usage: self.meter.usage(),
            session_id: self.session_id.clone(),
            model: self.turn.model.clone(),
            ..AttemptEnd::default()
        });
        let model = self.turn.model.clone();
        self.turn.begin();
        self.turn.model = model;
        self.meter.begin();
        out.close_stdin();
        if self.preset.quirks.lingers {
            out.finish();
        }
    }

    fn exit(&mut self, exit: Exit, out: &mut Out) {
        if self.has_ended {
            return;
        }
        let name = match self.preset.program {
            "" => self.preset.name,
            program => program,
        };
        let failure = exit::failure(name, exit, self.interrupted, self.initialized, &self.stderr);
        self.end_turn(Some(failure), out);
    }
}

/// The parts of a call that are wanted as they were written, of an update or of a request for a permission.
#[derive(Default, Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    update: Option<RawCall<'a>>,
    #[serde(borrow, default, rename = "toolCall")]
    tool_call: Option<RawCall<'a>>,
}

#[derive(Default, Deserialize)]
struct RawCall<'a> {
    #[serde(borrow, default, rename = "rawInput")]
    input: Option<&'a RawValue>,
    #[serde(default, rename = "_meta", deserialize_with = "lenient")]
    meta: CallMeta,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CallMeta {
    #[serde(deserialize_with = "lenient")]
    tool_name: Option<String>,
}

impl<'a> Raw<'a> {
    fn read(params: &'a RawValue) -> Self {
        decode(params.get()).unwrap_or_default()
    }

    fn for_call(&self) -> Beside<'_> {
        let call = self.update.as_ref().or(self.tool_call.as_ref());
        Beside {
            input: call.and_then(|call| call.input),
            tool_name: call.and_then(|call| call.meta.tool_name.as_deref()),
        }
    }
}
