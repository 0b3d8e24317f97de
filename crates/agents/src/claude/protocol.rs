//! The conversation with Claude Code over stream-json.

use super::classify::{self, ApiError};
use super::usage::{self, Meter};
use super::wire::{
    Block, Content, ControlAnswer, ControlAsk, ControlRequest, ControlResponse, Head, Init,
    MessageLine, PermissionAnswer, RateLimitInfo, RateLimitLine, ResultLine, Say, StreamLine,
    UserMessage,
};
use super::{system, tools};
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol};
use crate::stderr::StderrTail;
use crate::verdict::{By, Said, is_command};
use crate::wire::{decode, read_line, unsaid};
use crate::{Image, RunRequest, Session, Transport, exit};
use belay_trace::{
    Context, ContextSource, Decision, Denial, Event, Json, Level, PermissionRequest, Reasoning,
    SessionStarted, Text, TextRetracted, ToolCall, ToolCallDelta, ToolCallStart, ToolId,
    TurnStarted, UsageReport,
};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// The state of one conversation.
pub(super) struct Claude {
    transport: Transport,
    prompt: String,
    images: Vec<Image>,
    meter: Meter,
    session_id: Option<String>,
    model: Option<String>,
    /// The last response on the main thread that was announced.
    last_message: Option<String>,
    /// Responses that are being written, by the tool call of their subagent.
    streams: HashMap<Option<ToolId>, Stream>,
    turn: Turn,
    turns_ended: u32,
    interrupt: Interrupt,
    /// Open permission requests: the tool's input, which an allowing answer repeats.
    asks: HashMap<String, Box<RawValue>>,
    stderr: StderrTail,
    seen_stdout: bool,
}

/// What is known of the turn that runs.
#[derive(Default)]
struct Turn {
    open: bool,
    /// The text of the last response, in case that the turn ends without an answer.
    reached: String,
    api_error: Option<ApiError>,
    limit: Option<RateLimitInfo>,
    context_used: Option<u64>,
    denials: Vec<Denial>,
    /// A tool was called.
    acted: bool,
    /// A model has begun a response.
    responded: bool,
}

/// A response that arrives in pieces.
#[derive(Default)]
struct Stream {
    message_id: Option<String>,
    /// All text that was emitted of it.
    text: String,
    /// The text of the block that is being written; its whole line has not come yet.
    open_text: String,
    open_reasoning: String,
    /// Reasoning was emitted of it.
    reasoned: bool,
    /// Claude has given it up.
    abandoned: bool,
    /// The tool calls that are being written, by block index.
    tools: HashMap<usize, (ToolId, String)>,
}

impl Stream {
    /// True if it is void as soon as another response comes: Claude has given it up, or a piece was emitted
    /// whose whole line has not come.
    fn is_unfinished(&self) -> bool {
        self.abandoned || !self.open_text.is_empty() || !self.open_reasoning.is_empty()
    }
}

/// How far a wish to stop is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interrupt {
    No,
    /// It came before Claude had a turn to stop.
    Queued,
    Sent,
}

impl Claude {
    pub(super) fn new(request: &RunRequest, transport: Transport) -> Self {
        Self {
            transport,
            prompt: request.prompt.clone(),
            images: request.images.clone(),
            meter: Meter::new(request.session != Session::New),
            session_id: None,
            model: None,
            last_message: None,
            streams: HashMap::new(),
            turn: Turn::default(),
            turns_ended: 0,
            interrupt: Interrupt::No,
            asks: HashMap::new(),
            stderr: StderrTail::default(),
            seen_stdout: false,
        }
    }
}

impl Protocol for Claude {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => self.start(out),
            Input::Stdout(line) => self.stdout(line, out),
            Input::Stderr(line) => self.stderr.line(line, out),
            Input::Steer(text) => self.steer(text, out),
            Input::Interrupt => self.interrupt(out),
            Input::Permission { id, answer } => self.permission(id, answer, out),
            Input::Timer(_) | Input::Http { .. } | Input::Sse(_) | Input::Session(_) => {}
            Input::Exit(exit) => self.exit(exit, out),
        }
    }
}

impl Claude {
    fn start(&self, out: &mut Out) {
        match self.transport {
            Transport::Dialogue => self.say_prompt(out),
            Transport::Print => {
                out.stdin(self.prompt.clone().into_bytes());
                out.close_stdin();
            }
            Transport::Interactive => {}
        }
    }

    fn say_prompt(&self, out: &mut Out) {
        let images = self.images.iter().filter_map(Image::base64).map(|(media_type, data)| {
            let source = json!({"type": "base64", "media_type": media_type, "data": data});
            json!({"type": "image", "source": source})
        });
        let mut blocks: Vec<_> = images.collect();
        if blocks.is_empty() {
            return self.say_user(&self.prompt, out);
        }
        blocks.push(json!({"type": "text", "text": self.prompt}));
        let message = UserMessage { role: "user", content: Content::Blocks(&blocks) };
        out.stdin_line(&Say::User { message });
    }

    fn say_user(&self, words: &str, out: &mut Out) {
        let content = Content::Words(words);
        out.stdin_line(&Say::User { message: UserMessage { role: "user", content } });
    }

    /// A message to a turn that runs is in its very next model request.
    fn steer(&self, text: &str, out: &mut Out) {
        if self.transport == Transport::Dialogue {
            self.say_user(text, out);
        } else {
            out.cannot("steer");
        }
    }

    fn interrupt(&mut self, out: &mut Out) {
        if self.transport != Transport::Dialogue {
            self.interrupt = Interrupt::Sent;
            out.cannot("interrupt");
        } else if self.turn.open {
            self.send_interrupt(out);
        } else {
            self.interrupt = Interrupt::Queued;
        }
    }

    fn send_interrupt(&mut self, out: &mut Out) {
        self.interrupt = Interrupt::Sent;
        let (request_id, request) = ("belay-interrupt", ControlAsk::Interrupt);
        out.stdin_line(&Say::ControlRequest { request_id, request });
    }

    fn permission(&mut self, id: &str, answer: Decision, out: &mut Out) {
        let Some(input) = self.asks.remove(id) else { return };
        let response = match answer {
            Decision::Allow => PermissionAnswer::Allow { updated_input: &input },
            Decision::Deny => {
                PermissionAnswer::Deny { message: "This tool call is not permitted in this run." }
            }
        };
        let response = ControlAnswer::Success { request_id: id, response };
        out.stdin_line(&Say::ControlResponse { response });
    }

    fn stdout(&mut self, line: &[u8], out: &mut Out) {
        read_line(line, out, |text, out| self.object(text, out));
    }

    fn object(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let head: Head<'_> = decode(text)?;
        self.seen_stdout = true;
        if self.session_id.is_none() {
            self.session_id = head.session_id.as_deref().map(str::to_owned);
        }
        let parent = head.parent_tool_use_id.as_deref().map(ToolId::from);
        match (head.kind.as_ref(), head.subtype.as_deref()) {
            ("system", Some("init")) => self.init(text, out),
            ("system", Some("api_retry")) => {
                self.retract_abandoned(out);
                system::read("api_retry", text, out)
            }
            ("system", Some(subtype)) => {
                if subtype.starts_with("task_") {
                    // A subagent has done something, or a command in the background has ended.
                    out.progress();
                }
                system::read(subtype, text, out)
            }
            ("assistant", _) => self.assistant(text, parent, out),
            ("user", _) => self.user(text, parent, out),
            ("stream_event", _) => self.stream_event(text, parent, out),
            ("tool_progress", _) => tools::progress(text, out),
            ("rate_limit_event", _) => self.rate_limit(text, out),
            ("control_request", _) => self.control_request(text, out),
            ("control_response", _) => control_response(text, out),
            ("conversation_reset", _) => {
                // A command of the user's; the init line behind it has the new session.
                out.event(Event::notice(
                    Level::Debug,
                    "conversation_reset",
                    "the conversation begins anew",
                ));
                Some(())
            }
            ("control_cancel_request" | "keep_alive", _) => Some(()),
            ("result", _) => self.result(text, out),
            _ => None,
        }
    }

    /// Each turn begins with an init line; the session is announced when it is new.
    fn init(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let init: Init = decode(text)?;
        self.turn.open = true;
        out.progress();
        if self.turns_ended == 0 || self.session_id.as_ref() != Some(&init.session_id) {
            out.event(Event::SessionStarted(SessionStarted {
                session_id: init.session_id.clone(),
                model: init.model.clone(),
                agent_version: init.claude_code_version,
                permission_mode: init.permission_mode,
                cwd: init.cwd,
                tools: init.tools,
            }));
        }
        self.session_id = Some(init.session_id);
        self.model = init.model;
        if self.interrupt == Interrupt::Queued {
            self.send_interrupt(out);
        }
        Some(())
    }

    fn assistant(&mut self, text: &str, parent: Option<ToolId>, out: &mut Out) -> Option<()> {
        let line: MessageLine<'_> = decode(text)?;
        let blocks: Vec<Block<'_>> = decode(line.message.content.get())?;
        if line.is_api_error_message || line.error.is_some() {
            let said = blocks.iter().filter_map(|block| block.text.as_deref());
            let text = said.collect::<Vec<_>>().join("\n");
            out.event_under(parent, Event::notice(Level::Error, "api_error", text.as_str()));
            self.turn.api_error = Some(ApiError {
                class: line.error,
                api_type: line.api_error_type,
                status: line.api_error_status,
                text,
            });
            return Some(());
        }
        let id = line.message.id;
        let streamed = self.streams.get(&parent).is_some_and(|stream| stream.message_id == id);
        if !streamed {
            self.retract(&parent, out);
            let is_new = self.announce(id.clone(), line.message.model, &parent, out);
            if let Some(tokens) = line.message.usage {
                // Repeated on every line of the message; its output count is only a beginning.
                self.meter.response_began(id.as_deref(), tokens);
            }
            if is_new {
                self.meter.response_arrived();
                line.message.usage.into_iter().for_each(|t| self.context(usage::context(t), out));
            }
        }
        for block in blocks {
            self.block(block, id.as_ref(), &parent, streamed, out);
        }
        Some(())
    }

    /// One whole content block. Of a streamed one, only what the pieces have not said yet is new.
    fn block(
        &mut self,
        block: Block<'_>,
        message_id: Option<&String>,
        parent: &Option<ToolId>,
        streamed: bool,
        out: &mut Out,
    ) {
        let message_id = message_id.cloned();
        match block.kind.as_ref() {
            "text" => {
                let text = block.text.unwrap_or_default();
                let stream = self.streams.get_mut(parent).filter(|_| streamed);
                let said = stream.map(|s| std::mem::take(&mut s.open_text)).unwrap_or_default();
                let new = unsaid(text, &said);
                if parent.is_none() {
                    self.turn.reached.push_str(&new);
                }
                if !new.is_empty() {
                    out.event_under(parent.clone(), Event::Text(Text { text: new, message_id }));
                }
            }
            "thinking" => {
                let thinking = block.thinking.unwrap_or_default();
                let stream = self.streams.get_mut(parent).filter(|_| streamed);
                let said =
                    stream.map(|s| std::mem::take(&mut s.open_reasoning)).unwrap_or_default();
                let new = unsaid(thinking, &said);
                if !new.is_empty() {
                    let event = Event::Reasoning(Reasoning { reasoning: new, message_id });
                    out.event_under(parent.clone(), event);
                }
            }
            // Its content is encrypted; there is nothing to show.
            "redacted_thinking" => out.progress(),
            "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                self.turn.acted = true;
                let name = block.name.unwrap_or_default();
                let call = ToolCall {
                    tool_id: block.id.map(ToolId),
                    kind: tools::kind(&name),
                    name,
                    args: block.input.map(Json::from_raw).unwrap_or_default(),
                };
                out.event_under(parent.clone(), Event::ToolCall(call));
            }
            _ if block.tool_use_id.is_some() => {
                out.event_under(parent.clone(), tools::result(block));
            }
            _ => {
                let words = format!("content block `{}`", block.kind);
                out.event_under(parent.clone(), Event::notice(Level::Warn, "unknown_block", words));
            }
        }
    }

    fn user(&self, text: &str, parent: Option<ToolId>, out: &mut Out) -> Option<()> {
        let line: MessageLine<'_> = decode(text)?;
        if line.is_replay {
            // Our own words, repeated.
            return Some(());
        }
        let Some(blocks) = decode::<Vec<Block<'_>>>(line.message.content.get()) else {
            let words: String = decode(line.message.content.get())?;
            out.event_under(parent, Event::notice(Level::Debug, "user_message", words));
            return Some(());
        };
        for block in blocks {
            let event = if block.tool_use_id.is_some() {
                tools::result(block)
            } else {
                // Words that Claude itself puts into the conversation, or a subagent's prompt.
                Event::notice(Level::Debug, "user_message", block.text.unwrap_or_default())
            };
            out.event_under(parent.clone(), event);
        }
        Some(())
    }

    fn stream_event(&mut self, text: &str, parent: Option<ToolId>, out: &mut Out) -> Option<()> {
        let line: StreamLine<'_> = decode(text)?;
        let event = line.event;
        if matches!(event.kind.as_ref(), "message_start" | "message_stop")
            || event.kind.starts_with("content_block_")
        {
            // A piece of a response, with words of its own or without. A ping is none.
            out.progress();
        }
        match event.kind.as_ref() {
            "message_start" => {
                self.retract(&parent, out);
                let message = event.message?;
                let stream = Stream { message_id: message.id.clone(), ..Stream::default() };
                self.streams.insert(parent.clone(), stream);
                if let Some(tokens) = message.usage {
                    self.meter.response_began(message.id.as_deref(), tokens);
                }
                self.announce(message.id, message.model, &parent, out);
            }
            "content_block_start" => {
                let block = event.content_block?;
                let stream = self.streams.entry(parent.clone()).or_default();
                stream.open_text.clear();
                stream.open_reasoning.clear();
                if let (Some(id), Some(name)) = (block.id, block.name) {
                    self.turn.acted = true;
                    let tool_id = ToolId(id);
                    stream.tools.insert(event.index, (tool_id.clone(), name.clone()));
                    let start = ToolCallStart { tool_id: Some(tool_id), name };
                    out.event_under(parent, Event::ToolCallStart(start));
                }
            }
            "content_block_delta" => {
                let delta = event.delta?;
                let stream = self.streams.entry(parent.clone()).or_default();
                let message_id = stream.message_id.clone();
                match (delta.kind.as_deref()?, delta.text, delta.thinking, delta.partial_json) {
                    ("text_delta", Some(text), ..) => {
                        stream.open_text.push_str(&text);
                        stream.text.push_str(&text);
                        if parent.is_none() {
                            self.turn.reached.push_str(&text);
                        }
                        out.event_under(parent, Event::Text(Text { text, message_id }));
                    }
                    ("thinking_delta", _, Some(reasoning), _) => {
                        stream.open_reasoning.push_str(&reasoning);
                        stream.reasoned = true;
                        out.event_under(
                            parent,
                            Event::Reasoning(Reasoning { reasoning, message_id }),
                        );
                    }
                    ("input_json_delta", _, _, Some(args)) => {
                        let (tool_id, name) = stream.tools.get(&event.index).cloned()?;
                        let delta = ToolCallDelta { tool_id: Some(tool_id), name, args };
                        out.event_under(parent, Event::ToolCallDelta(delta));
                    }
                    // Signatures and citations: nothing that a caller reads.
                    _ => {}
                }
            }
            "message_delta" => {
                let tokens = event.usage?;
                let message_id = self.streams.get(&parent).and_then(|s| s.message_id.clone());
                self.meter.response_ended(message_id.as_deref(), tokens, parent.is_none());
                if parent.is_none() {
                    self.context(usage::context(tokens), out);
                }
                let usage = self.meter.so_far();
                out.event(Event::Usage(UsageReport { usage }));
            }
            "message_stop" => {
                // Dropped, to come again; or interrupted, and then it stays as far as it came.
                let stream =
                    self.streams.get_mut(&parent).filter(|_| line.abandoned_blocks.is_some());
                match stream {
                    Some(stream) => stream.abandoned = true,
                    None => drop(self.streams.remove(&parent)),
                }
            }
            "content_block_stop" | "ping" => {}
            _ => return None,
        }
        Some(())
    }

    /// Says that a response of the main thread begins, once; true if it does.
    fn announce(
        &mut self,
        message_id: Option<String>,
        model: Option<String>,
        parent: &Option<ToolId>,
        out: &mut Out,
    ) -> bool {
        // What Claude says in the place of a model, it signs like this.
        self.turn.responded |= model.as_deref() != Some("<synthetic>");
        let is_new = parent.is_none() && (message_id.is_none() || self.last_message != message_id);
        if is_new {
            self.last_message.clone_from(&message_id);
            self.turn.reached.clear();
            out.event(Event::TurnStarted(TurnStarted { message_id, model }));
        }
        is_new
    }

    fn context(&mut self, used_tokens: u64, out: &mut Out) {
        self.turn.context_used = Some(used_tokens);
        let window_tokens = self.meter.window(self.model.as_deref());
        let source = ContextSource::Agent;
        out.event(Event::Context(Context { used_tokens, window_tokens, source }));
    }

    /// A response of which a piece was never confirmed by its whole line was dropped.
    fn retract(&mut self, parent: &Option<ToolId>, out: &mut Out) {
        if self.streams.get(parent).is_some_and(Stream::is_unfinished) {
            self.retract_all(parent, out);
            self.streams.remove(parent);
        }
    }

    /// Every response that Claude has given up comes again.
    fn retract_abandoned(&mut self, out: &mut Out) {
        let abandoned = self.streams.iter().filter(|(_, stream)| stream.abandoned);
        let parents: Vec<_> = abandoned.map(|(parent, _)| parent.clone()).collect();
        parents.iter().for_each(|parent| self.retract(parent, out));
    }

    fn retract_all(&mut self, parent: &Option<ToolId>, out: &mut Out) {
        let Some(stream) = self.streams.get_mut(parent) else { return };
        let (message_id, text) = (stream.message_id.clone(), std::mem::take(&mut stream.text));
        stream.open_text.clear();
        stream.open_reasoning.clear();
        if parent.is_none() {
            self.turn.reached.clear();
        }
        if std::mem::take(&mut stream.reasoned) || !text.is_empty() {
            out.event_under(
                parent.clone(),
                Event::TextRetracted(TextRetracted { message_id, text }),
            );
        }
    }

    fn rate_limit(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let info = decode::<RateLimitLine>(text)?.rate_limit_info;
        out.event(Event::RateLimit(info.to_event()));
        // A window that is open does not open the one that is used up.
        let other = self.turn.limit.as_ref().filter(|last| classify::is_rejected(last));
        let other = other.is_some_and(|last| last.rate_limit_type != info.rate_limit_type);
        if !other || classify::is_rejected(&info) {
            self.turn.limit = Some(info);
        }
        Some(())
    }

    fn control_request(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let ControlRequest { request_id, request } = decode(text)?;
        if request.subtype != "can_use_tool" {
            let error = "belay does not offer this";
            let response = ControlAnswer::Error { request_id: &request_id, error };
            out.stdin_line(&Say::ControlResponse { response });
            let words = format!("refused the control request `{}`", request.subtype);
            out.event(Event::notice(Level::Debug, "control_request", words));
            return Some(());
        }
        let name = request.tool_name.unwrap_or_default();
        let input = request.input.unwrap_or(RawValue::NULL);
        self.asks.insert(request_id.clone(), input.to_owned());
        out.event(Event::PermissionRequest(PermissionRequest {
            permission_id: request_id,
            tool_id: request.tool_use_id.map(ToolId),
            kind: tools::kind(&name),
            name,
            args: Json::from_raw(input),
            reason: request.decision_reason.or(request.blocked_path),
        }));
        Some(())
    }

    fn result(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let line: ResultLine = decode(text)?;
        let turn = std::mem::take(&mut self.turn);
        let usage = self.meter.turn_ended(&line);
        if let (Some(used_tokens), window @ Some(_)) =
            (turn.context_used, self.meter.window(self.model.as_deref()))
        {
            let source = ContextSource::Agent;
            out.event(Event::Context(Context { used_tokens, window_tokens: window, source }));
        }
        let interrupted = self.interrupt == Interrupt::Sent;
        let failure = line.is_error().then(|| {
            classify::failure(&line, turn.api_error.as_ref(), turn.limit.as_ref(), interrupted)
        });
        let mut denials = turn.denials;
        denials.extend(line.permission_denials.into_iter().map(|denial| Denial {
            tool_id: denial.tool_use_id.map(ToolId),
            name: denial.tool_name,
        }));
        let no_model = !turn.responded
            && (line.local_command.is_some()
                || (line.num_turns == Some(0) && is_command(&self.prompt)));
        let result = line.result.filter(|_| failure.is_none());
        let said = Said {
            failure,
            words: result.filter(|result| !result.is_empty()).unwrap_or(turn.reached.clone()),
            reached: turn.reached,
            structured: line.structured_output.as_deref().map(Json::from_raw),
            acted: turn.acted,
            ended: line.stop_reason.map(|reason| ("stop_reason", reason)),
            by: if no_model { By::Agent } else { By::Model },
        };
        let end = said.end(out);
        self.end_turn(AttemptEnd { usage, denials, ..end }, out);
        Some(())
    }

    fn end_turn(&mut self, end: AttemptEnd, out: &mut Out) {
        self.turns_ended += 1;
        self.interrupt = Interrupt::No;
        // An interrupted response stays as far as it came; the next turn does not void it.
        self.streams.remove(&None);
        let (session_id, model) = (self.session_id.clone(), self.model.clone());
        out.turn_ended(AttemptEnd { session_id, model, ..end });
        if self.transport == Transport::Dialogue {
            out.close_stdin();
        }
    }

    /// The process is gone. A turn that had no result line did not answer, whatever the exit code says.
    fn exit(&mut self, exit: Exit, out: &mut Out) {
        if self.turns_ended > 0 && !self.turn.open {
            return;
        }
        let interrupted = self.interrupt != Interrupt::No;
        let failure = exit::failure("claude", exit, interrupted, self.seen_stdout, &self.stderr);
        let turn = std::mem::take(&mut self.turn);
        let usage = self.meter.so_far();
        let end = Said::failed(failure, turn.reached).end(out);
        self.end_turn(AttemptEnd { usage, ..end }, out);
    }
}

fn control_response(text: &str, out: &mut Out) -> Option<()> {
    let response = decode::<ControlResponse>(text)?.response;
    if response.subtype == "error" {
        let words = response.error.unwrap_or_else(|| "claude refused a control request".to_owned());
        out.event(Event::notice(Level::Warn, "control_response", words));
    }
    Some(())
}
