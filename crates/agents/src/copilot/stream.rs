//! `copilot --output-format=json`: a line an event, of the main agent and of those that it hands tasks to, and a
//! `result` at the end.

use super::asides::is_aside;
use super::classify::{self, FailedCall};
use super::message::Message;
use super::shell::Shell;
use super::tools;
use super::wire::{Data, Line, ToolError};
use crate::framing::{Claim, Doubt, Objects, read_line};
use crate::last_words::{self, LastWords};
use crate::mcp;
use crate::news::News;
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol};
use crate::stderr::StderrTail;
use crate::verdict::Said;
use crate::wire::decode;
use crate::{RunRequest, Session, exit, lines};
use belay_trace::{
    Compaction, CompactionStatus, Denial, Event, Failure, FailureKind, Json, Level,
    PermissionDenied, Retry, SessionStarted, ToolCall, ToolCallDelta, ToolCallStart, ToolId,
    ToolResult, TurnStarted, Usage,
};
use serde_json::value::RawValue;
use std::collections::HashMap;

/// A limit that lasts longer is not waited for by asking on.
const RETRY_MS_MAX: u64 = 60_000;

/// The state of one stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    prompt: String,
    session_id: Option<String>,
    told_session: bool,
    model: Option<String>,
    /// What each speaker is saying; the main one has no id.
    speakers: HashMap<Option<String>, Message>,
    /// The calls behind the helpers.
    tasks: HashMap<String, ToolId>,
    /// Calls under way: their names and what they print.
    calls: HashMap<String, (String, Shell)>,
    /// How far each tool and response was when it was told last.
    news: News,
    /// Responses of the main agent that have begun.
    turns: u64,
    /// The last text of the main agent, and the same if no tool call comes behind it.
    reached: String,
    words: String,
    /// The main agent has called a tool.
    acted: bool,
    /// A request that failed, and has not been made again with success.
    failed_call: Option<FailedCall>,
    failure: Option<Failure>,
    denials: Vec<Denial>,
    /// Servers of tools that did not start, which was told.
    failed_servers: Vec<String>,
    interrupted: bool,
    last_words: LastWords,
    /// The end was awaited for nothing.
    is_partial: bool,
    turn_ended: bool,
    seen_stdout: bool,
    stderr: StderrTail,
    doubt: Doubt,
    /// Why Copilot gave up before it asked a model.
    told: Option<Failure>,
}

impl Stream {
    pub(super) fn new(request: &RunRequest) -> Self {
        let session_id = match &request.session {
            Session::Resume(id) => Some(id.clone()),
            _ => None,
        };
        Self { prompt: request.composed_prompt(), session_id, ..Self::default() }
    }
}

impl Protocol for Stream {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Session(id) => self.session_id = Some(id.to_owned()),
            Input::Start => {
                out.stdin(self.prompt.clone().into_bytes());
                out.close_stdin();
            }
            Input::Stdout(line) => read_line(line, out, self),
            Input::Stderr(line) => {
                let told = classify::of_stderr(&belay_trace::plain(&lines::text(line)));
                self.told = self.told.take().or(told);
                self.stderr.line(line, out);
            }
            Input::Steer(_) => out.cannot("steer"),
            Input::Interrupt => {
                self.interrupted = true;
                self.last_words.went_on();
                out.cannot("interrupt");
            }
            Input::Timer(id) if self.last_words.have_no_end(id, "copilot", out) => {
                self.is_partial = true;
                let failure = self.failure.take();
                self.end(failure, out);
                out.finish();
            }
            Input::Permission { .. }
            | Input::Timer(_)
            | Input::Http { .. }
            | Input::Sse(_)
            | Input::Doubt(_)
            | Input::SessionFile { .. }
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

impl Objects for Stream {
    fn read(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let line = decode::<Line<'_>>(text)?;
        self.seen_stdout = true;
        self.line(line, out)
    }

    fn claim(&self, text: &str) -> Claim {
        let Some(line) = decode::<Line<'_>>(text) else { return Claim::Foreign };
        if line.kind != "result" {
            return Claim::message_if(!self.turn_ended);
        }
        // Nothing else names the session.
        let ours = self.session_id.as_ref();
        let is_ours = line.session_id.is_some_and(|theirs| ours.is_none_or(|ours| *ours == theirs));
        Claim::end_if(is_ours && !self.turn_ended)
    }

    fn doubt(&mut self) -> &mut Doubt {
        &mut self.doubt
    }
}

impl Stream {
    /// Reads a line; `None` if it is of a kind that is not known.
    fn line(&mut self, line: Line<'_>, out: &mut Out) -> Option<()> {
        let kind = line.kind.as_ref();
        // What runs in the background may still set the main agent to work.
        if !is_aside(kind) || kind == "session.background_tasks_changed" {
            self.last_words.went_on();
        }
        if kind == "assistant.idle"
            && line.agent_id.is_none()
            && !(self.turn_ended || self.interrupted)
        {
            self.last_words.said(out);
        }
        if kind == "result" {
            self.result(&line, out);
            return Some(());
        }
        let raw = line.data.map_or("", RawValue::get);
        let data = line.data.map(RawValue::get).map_or(Some(Data::default()), decode)?;
        let who = line.agent_id;
        let parent = who.as_ref().and_then(|id| self.tasks.get(id).cloned());
        match kind {
            "session.tools_updated" => {
                self.model = data.model.or(self.model.take());
                self.session_started(out);
            }
            "session.mcp_servers_loaded" => self.servers(data, out),
            "session.mcp_server_status_changed" => self.server_changed(data, out),
            "model.call_start" if who.is_none() && self.is_limited() => {
                // Its autopilot asks on at a limit, a paid request each time.
                let failure = self.failure.take();
                self.end(failure, out);
                out.finish();
            }
            "model.call_start" => self.turn_started(who, data.model, parent, out),
            "assistant.turn_start" | "assistant.message_start" | "model.call_finished" => {
                if self.news.is_new(kind, raw) {
                    out.progress();
                }
            }
            // How long the response is by now, and what a tool has printed or says of itself.
            "assistant.streaming_delta"
            | "tool.execution_partial_result"
            | "tool.execution_progress" => {
                let call = data.tool_call_id.clone().map(ToolId);
                let of = data.tool_call_id.or(who).unwrap_or_default();
                if self.news.is_new(&of, raw) {
                    out.progress_of(call);
                }
            }
            "assistant.message_delta" => {
                let (id, text) = (data.message_id, data.delta_content?);
                self.speaker(who).text(id, text, parent.as_ref(), out);
            }
            "assistant.reasoning_delta" => {
                let (id, reasoning) = (data.reasoning_id, data.delta_content?);
                self.speaker(who).reasoning(id, reasoning, parent.as_ref(), out);
            }
            "assistant.reasoning" => {
                let (id, reasoning) = (data.reasoning_id, data.content?);
                self.speaker(who).whole_reasoning(id, reasoning, parent.as_ref(), out);
            }
            "assistant.message" => self.message(who, data, parent.as_ref(), out)?,
            "assistant.tool_call_delta" => self.call_piece(who, data, parent, out)?,
            "tool.execution_start" => self.called(data, parent, out)?,
            "tool.shell_output" => {
                let piece = data.text?;
                let call = data.tool_call_id?;
                if !piece.is_empty() {
                    out.progress_of(Some(ToolId(call.clone())));
                }
                // What a command in the background prints after its call has returned is in the log alone.
                if let Some((_, shell)) = self.calls.get_mut(&call) {
                    shell.piece(&piece);
                }
            }
            "tool.execution_complete" => self.returned(data, parent, out)?,
            "model.call_failure" => self.failed_call = Some(FailedCall::of(data)),
            "assistant.turn_retry" => self.retry(who, data, parent.as_ref(), out),
            "session.error" => self.failed(who, data, parent, out),
            "session.warning" => {
                let code = data.warning_type.unwrap_or_else(|| "warning".to_owned());
                out.event(Event::notice(Level::Warn, &code, data.message.unwrap_or_default()));
            }
            "session.info" => {
                let code = data.info_type.unwrap_or_else(|| "info".to_owned());
                out.event(Event::notice(Level::Info, &code, data.message.unwrap_or_default()));
            }
            // It works on by itself no longer: at an error, or at the number of rounds that it may take.
            "session.autopilot_stopped" => {
                let why = data.reason.unwrap_or_default();
                out.event(Event::notice(Level::Info, "autopilot_stopped", why));
            }
            "session.compaction_start" | "session.compaction_complete" => {
                compaction(kind, data, out);
            }
            "subagent.started" => {
                let call = ToolId(data.tool_call_id?);
                if self.tasks.insert(who?, call.clone()) != Some(call) {
                    out.progress();
                }
            }
            "subagent.failed" => {
                let words: Option<String> = data.error.and_then(|error| decode(error.get()));
                let notice =
                    Event::notice(Level::Warn, "subagent_failed", words.unwrap_or_default());
                out.event_under(parent, notice);
            }
            "agent.interrupted" | "abort" => self.interrupted |= who.is_none(),
            _ if is_aside(kind) => {}
            _ => return None,
        }
        Some(())
    }

    /// The turn has failed at a limit that no retry of seconds outlasts.
    fn is_limited(&self) -> bool {
        let failure = self.failure.as_ref().filter(|_| !self.turn_ended && !self.interrupted);
        failure.is_some_and(|failure| match failure.kind {
            FailureKind::UsageLimit | FailureKind::Billing => true,
            FailureKind::RateLimited => {
                failure.retry_after_ms.is_some_and(|wait| wait > RETRY_MS_MAX)
            }
            _ => false,
        })
    }

    fn speaker(&mut self, who: Option<String>) -> &mut Message {
        self.speakers.entry(who).or_default()
    }

    /// Says in which session the run is, as soon as that is known.
    fn session_started(&mut self, out: &mut Out) {
        let Some(session_id) = self.session_id.clone().filter(|_| !self.told_session) else {
            return;
        };
        self.told_session = true;
        let model = self.model.clone();
        out.event(Event::SessionStarted(SessionStarted {
            session_id,
            model,
            ..Default::default()
        }));
    }

    fn turn_started(
        &mut self,
        who: Option<String>,
        model: Option<String>,
        parent: Option<ToolId>,
        out: &mut Out,
    ) {
        let is_main = who.is_none();
        if is_main {
            self.model = model.clone().or(self.model.take());
            self.session_started(out);
        }
        let speaker = self.speaker(who);
        // The same response, tried again.
        if std::mem::take(speaker).again {
            return;
        }
        self.turns += u64::from(is_main);
        let turn = TurnStarted { message_id: None, model };
        out.event_under(parent, Event::TurnStarted(turn));
    }

    /// A whole message: what was not said of it in pieces is said now.
    fn message(
        &mut self,
        who: Option<String>,
        data: Data<'_>,
        parent: Option<&ToolId>,
        out: &mut Out,
    ) -> Option<()> {
        let text = data.content?;
        if who.is_none() {
            (self.failed_call, self.failure) = (None, None);
            let of_model = self.speaker(None).has_begun(data.message_id.as_deref());
            // A model's words come in pieces before they come whole.
            if !of_model && let Some(refused) = classify::of_own_words(&text) {
                out.event(Event::notice(Level::Error, "error", text));
                self.failure = Some(refused);
                return Some(());
            }
            if !text.is_empty() {
                self.reached.clone_from(&text);
            }
            self.words.clone_from(&text);
        }
        self.speaker(who).whole_text(data.message_id, text, parent, out);
        Some(())
    }

    fn call_piece(
        &mut self,
        who: Option<String>,
        data: Data<'_>,
        parent: Option<ToolId>,
        out: &mut Out,
    ) -> Option<()> {
        let name = tools::name(&data)?;
        let (id, args) = (data.tool_call_id?, data.input_delta?);
        let tool_id = Some(ToolId(id.clone()));
        if self.speaker(who).begun.insert(id) {
            let start = ToolCallStart { tool_id: tool_id.clone(), name: name.clone() };
            out.event_under(parent.clone(), Event::ToolCallStart(start));
        }
        if !args.is_empty() {
            out.event_under(parent, Event::ToolCallDelta(ToolCallDelta { tool_id, name, args }));
        }
        Some(())
    }

    fn called(&mut self, data: Data<'_>, parent: Option<ToolId>, out: &mut Out) -> Option<()> {
        let name = tools::name(&data)?;
        let id = data.tool_call_id?;
        if parent.is_none() {
            self.acted = true;
            self.words.clear();
        }
        self.calls.insert(id.clone(), (name.clone(), Shell::default()));
        let call = ToolCall {
            tool_id: Some(ToolId(id)),
            kind: tools::kind(&name),
            name,
            args: data.arguments.map(Json::from_raw).unwrap_or_default(),
        };
        out.event_under(parent, Event::ToolCall(call));
        Some(())
    }

    fn returned(&mut self, data: Data<'_>, parent: Option<ToolId>, out: &mut Out) -> Option<()> {
        let id = data.tool_call_id?;
        let (name, shell) = self.calls.remove(&id).unzip();
        let shell = shell.unwrap_or_default();
        let tool_id = Some(ToolId(id));
        let exit_code = data.shell_execution.map(|shell| shell.exit_code);
        let output = match data.error.and_then(|error| decode::<ToolError>(error.get())) {
            Some(error) if !data.success => {
                if error.code == "denied" {
                    self.denied(tool_id.clone(), name.clone(), &error.message, parent.clone(), out);
                }
                error.message
            }
            _ => shell.output(data.result.unwrap_or_default().content),
        };
        let failed = !data.success || exit_code.is_some_and(|code| code != 0);
        let result = ToolResult { tool_id, name, output, tool_error: failed, exit_code };
        out.event_under(parent, Event::ToolResult(result));
        Some(())
    }

    fn denied(
        &mut self,
        tool_id: Option<ToolId>,
        name: Option<String>,
        why: &str,
        parent: Option<ToolId>,
        out: &mut Out,
    ) {
        let name = name.unwrap_or_default();
        self.denials.push(Denial { tool_id: tool_id.clone(), name: name.clone() });
        let denied = PermissionDenied { tool_id, name, reason: Some(why.to_owned()) };
        out.event_under(parent, Event::PermissionDenied(denied));
    }

    /// The request is made again, after a pause of which Copilot says nothing.
    fn retry(
        &mut self,
        who: Option<String>,
        data: Data<'_>,
        parent: Option<&ToolId>,
        out: &mut Out,
    ) {
        self.speaker(who).retract(parent, out);
        let call = self.failed_call.as_ref();
        let (words, kind) = call.map(FailedCall::reason).unwrap_or_default();
        let reason = if words.is_empty() { data.reason.unwrap_or_default() } else { words };
        let retry = Retry {
            retry: call.map(|call| call.retries + 1),
            status: call.and_then(|call| call.status),
            reason,
            kind,
            ..Retry::default()
        };
        out.event_under(parent.cloned(), Event::Retry(retry));
    }

    fn failed(
        &mut self,
        who: Option<String>,
        data: Data<'_>,
        parent: Option<ToolId>,
        out: &mut Out,
    ) {
        let failure = classify::of_error(data, self.failed_call.as_ref());
        let notice = Event::notice(Level::Error, "error", failure.message.clone());
        out.event_under(parent, notice);
        // A helper's failure is a matter of the call behind it.
        if who.is_none() {
            self.failure = Some(failure);
        }
    }

    fn result(&mut self, line: &Line<'_>, out: &mut Out) {
        if let Some(id) = &line.session_id {
            self.session_id = Some(id.clone());
        }
        self.session_started(out);
        if line.usage.premium_requests > 0.0 {
            let words = format!("{} premium requests", line.usage.premium_requests);
            out.event(Event::notice(Level::Info, "premium_requests", words));
        }
        let failure = match (line.exit_code, self.failure.take()) {
            _ if self.interrupted => Some(Failure::new(FailureKind::Interrupted, "interrupted")),
            (_, Some(failure)) => Some(failure),
            (Some(0), None) => None,
            (code, None) => {
                let code = code.map_or_else(|| "no code".to_owned(), |code| format!("code {code}"));
                Some(Failure::new(FailureKind::Unknown, format!("copilot ended with {code}")))
            }
        };
        self.end(failure, out);
    }

    fn exit(&mut self, exit: Exit, out: &mut Out) {
        if self.turn_ended {
            return;
        }
        let failure = match self.told.take().or(self.failure.take()) {
            Some(told) if !self.interrupted && matches!(exit, Exit::Code(_)) => told,
            _ => exit::failure("copilot", exit, self.interrupted, self.seen_stdout, &self.stderr),
        };
        let failure = self.doubt.explain(failure);
        self.end(Some(failure), out);
    }

    fn end(&mut self, failure: Option<Failure>, out: &mut Out) {
        // A second result would be of nothing.
        if std::mem::replace(&mut self.turn_ended, true) {
            return;
        }
        let unfinished = self.speakers.get(&None).map(Message::so_far).unwrap_or_default();
        let reached = std::mem::take(&mut self.reached);
        let said = Said {
            failure,
            words: std::mem::take(&mut self.words),
            reached: if unfinished.is_empty() { reached } else { unfinished.to_owned() },
            acted: self.acted,
            ..Said::default()
        };
        let end = said.end(out);
        let usage = Usage { num_turns: Some(self.turns), ..Usage::default() };
        out.turn_ended(AttemptEnd {
            usage: if self.is_partial { last_words::used(usage) } else { usage },
            session_id: self.session_id.clone(),
            model: self.model.clone(),
            denials: std::mem::take(&mut self.denials),
            ..end
        });
    }

    fn servers(&mut self, data: Data<'_>, out: &mut Out) {
        for server in data.servers.into_iter().filter(|server| server.status == "failed") {
            self.server_failed(server.name, &server.error.unwrap_or_default(), out);
        }
    }

    fn server_changed(&mut self, data: Data<'_>, out: &mut Out) {
        let (name, status) =
            (data.server_name.unwrap_or_default(), data.status.unwrap_or_default());
        let why = data.error.and_then(|error| decode::<String>(error.get())).unwrap_or_default();
        if status == "failed" {
            return self.server_failed(name, &why, out);
        }
        let words = format!("the MCP server {name} is {status}: {why}");
        out.event(Event::notice(Level::Debug, "mcp_server", words.trim_end_matches(": ")));
    }

    /// Copilot tells it when it happens, and again in its list of all of them.
    fn server_failed(&mut self, name: String, why: &str, out: &mut Out) {
        if !self.failed_servers.contains(&name) {
            out.event(mcp::not_started(&name, why));
            self.failed_servers.push(name);
        }
    }
}

fn compaction(kind: &str, data: Data<'_>, out: &mut Out) {
    let status = match kind {
        "session.compaction_start" => CompactionStatus::Started,
        _ if data.success => CompactionStatus::Completed,
        _ => CompactionStatus::Failed,
    };
    let message = data.error.and_then(|error| decode(error.get()));
    out.event(Event::Compaction(Compaction { status, message }));
}
