//! The conversation with Claude Code over stream-json.

use super::classify::{self, ApiError};
use super::servers::Servers;
use super::steering::Steering;
use super::usage::{self, Meter};
use super::wire::{
    Block, Content, ControlAnswer, ControlAsk, ControlRequest, ControlResponse, Head, Init,
    MessageLine, PermissionAnswer, RateLimitInfo, RateLimitLine, ResultLine, Say, StreamLine,
    System, UserMessage,
};
use super::{system, tools};
use crate::background::Background;
use crate::framing::{Claim, Doubt, Objects, read_line};
use crate::last_words::{self, LastWords};
use crate::news::News;
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol, TimerId};
use crate::stderr::StderrTail;
use crate::verdict::{By, Said, is_command};
use crate::wire::{decode, unsaid};
use crate::{Image, RunRequest, Session, Transport, exit};
use belay_trace::{
    Context, ContextSource, Decision, Denial, Event, Failure, Json, Level, PermissionRequest,
    Reasoning, SessionStarted, Text, TextRetracted, ToolCall, ToolCallDelta, ToolCallStart, ToolId,
    TurnStarted, UsageReport,
};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

/// Standard input is closed if no turn has begun by then.
const IDLE: TimerId = TimerId(1);

/// How long Claude may take to begin the turn that reports a task which has ended: 0.03 to 0.7 s (measured,
/// 2.1.329). A turn that begins later can ask for no permission.
const REPORT: Duration = Duration::from_secs(3);

/// The same where the turn that has just ended may have reported it.
const REPORTED: Duration = Duration::from_millis(100);

/// Standard input is closed then for calls that have not returned at the end of their turn.
const CALLS: TimerId = TimerId(2);

/// For so long they can ask for permissions; a Claude that is through ends after that, and one that works goes on.
const OPEN_CALL: Duration = Duration::from_secs(10);

/// How many errors of an answered turn are shown.
const ERRORS_SHOWN: usize = 5;

/// The state of one conversation.
pub(super) struct Claude {
    transport: Transport,
    prompt: String,
    images: Vec<Image>,
    meter: Meter,
    session_id: Option<String>,
    /// The session that was announced.
    announced: Option<String>,
    model: Option<String>,
    /// The last response on the main thread that was announced.
    last_message: Option<String>,
    /// Responses that are being written, by the tool call of their subagent.
    streams: HashMap<Option<ToolId>, Stream>,
    turn: Turn,
    /// Turns that are over, but for their results: over print they come when no subagent is left.
    held: VecDeque<Turn>,
    turns_ended: u32,
    /// How often a model or a filter has declined so far.
    safety_stops: u64,
    /// The id of the last result line.
    last_result: Option<String>,
    /// A turn has ended with an answer.
    has_answered: bool,
    background: Background,
    last_words: LastWords,
    interrupt: Interrupt,
    /// Lines of messages of this turn, by their hashes, and what else may be told again.
    said: Lines,
    news: News,
    /// Standard input is closed.
    is_closed: bool,
    /// A stop was asked for: no turn may begin any more.
    is_stopping: bool,
    steering: Steering,
    /// The names of the tools whose calls have not returned, by the ids of the calls.
    tool_names: HashMap<String, String>,
    /// Open permission requests: the tool's input, which an allowing answer repeats.
    asks: HashMap<String, Box<RawValue>>,
    servers: Servers,
    stderr: StderrTail,
    doubt: Doubt,
    seen_stdout: bool,
}

/// What is known of the turn that runs.
#[derive(Default)]
struct Turn {
    open: bool,
    /// Its init line has come, and no response behind it.
    has_init: bool,
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
    /// The model's last response has asked for a tool.
    wants_tool: bool,
    /// Why the model's last response ended.
    stop_reason: Option<String>,
    /// A tool was called behind the last words.
    is_silent_since: bool,
    /// Calls of the main thread that have not returned, by their ids, with the names of the tools.
    calls: BTreeMap<String, String>,
    /// A subagent has said something.
    has_delegated: bool,
}

impl Turn {
    /// True if Claude has done something in it.
    fn has_begun(&self) -> bool {
        self.open && (self.responded || self.acted || self.api_error.is_some())
    }
}

/// The lines of the messages of a turn, by their hashes.
#[derive(Default)]
struct Lines(HashSet<u64>);

impl Lines {
    fn is_new(&mut self, line: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        self.0.insert(hasher.finish())
    }
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
    /// A response of this id came right before.
    is_again: bool,
    /// How many tokens it has in the end was told.
    has_ended: bool,
    /// The blocks that have begun, by their indexes.
    blocks: HashSet<usize>,
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
            announced: None,
            model: None,
            last_message: None,
            streams: HashMap::new(),
            turn: Turn::default(),
            held: VecDeque::new(),
            turns_ended: 0,
            safety_stops: 0,
            last_result: None,
            has_answered: false,
            background: Background::default(),
            last_words: LastWords::default(),
            interrupt: Interrupt::No,
            said: Lines::default(),
            news: News::default(),
            is_closed: false,
            is_stopping: false,
            steering: Steering::default(),
            tool_names: HashMap::new(),
            asks: HashMap::new(),
            servers: Servers::default(),
            stderr: StderrTail::default(),
            doubt: Doubt::default(),
            seen_stdout: false,
        }
    }
}

impl Protocol for Claude {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => self.start(out),
            Input::Stdout(line) => read_line(line, out, self),
            Input::Stderr(line) => self.stderr.line(line, out),
            Input::Steer(text) => {
                self.last_words.went_on();
                self.steer(text, out);
            }
            Input::Interrupt => {
                self.last_words.went_on();
                self.interrupt(out);
            }
            Input::Permission { id, answer } => self.permission(id, answer, out),
            Input::Timer(id) => self.timer(id, out),
            Input::Http { .. }
            | Input::Sse(_)
            | Input::Doubt(_)
            | Input::SessionFile { .. }
            | Input::SilentCalls(_)
            | Input::AnswerFile(_)
            | Input::Terminal { .. }
            | Input::Session(_) => {}
            Input::Exit(exit) => {
                self.stderr.ended(out);
                self.exit(exit, out);
            }
        }
    }
}

impl Objects for Claude {
    fn read(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let head: Head<'_> = decode(text)?;
        self.seen_stdout = true;
        if self.is_of_another_session(&head) {
            return None;
        }
        if self.session_id.is_none() {
            self.session_id = head.session_id.as_deref().map(str::to_owned);
        }
        let parent = head.parent_tool_use_id.as_deref().map(ToolId::from);
        let is_of_turn = head.is_of_turn();
        if is_of_turn {
            self.last_words.went_on();
            self.turn.has_delegated |= parent.is_some();
        }
        self.line(&head, parent, text, out)?;
        if is_of_turn {
            self.await_result(out);
        }
        Some(())
    }

    fn claim(&self, text: &str) -> Claim {
        let Some(head) = decode::<Head<'_>>(text) else { return Claim::Foreign };
        // Claude names the session on each line but those of a dialogue (2.1.329); what begins or ends a turn must.
        let is_ours = match (&self.session_id, &head.session_id) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (Some(_), None) => !matches!(head.kind.as_ref(), "system" | "result"),
            (None, _) => matches!(head.kind.as_ref(), "system" | "control_response"),
        };
        match head.kind.as_ref() {
            "result" => {
                let is_open = self.turn.open || !self.held.is_empty();
                Claim::end_if(is_ours && is_open && !self.is_repeated(&head))
            }
            _ => Claim::message_if(is_ours),
        }
    }

    fn doubt(&mut self) -> &mut Doubt {
        &mut self.doubt
    }
}

impl Claude {
    fn line(
        &mut self,
        head: &Head<'_>,
        parent: Option<ToolId>,
        text: &str,
        out: &mut Out,
    ) -> Option<()> {
        match (head.kind.as_ref(), head.subtype.as_deref()) {
            ("system", Some("init")) => self.init(text, out),
            ("system", Some("background_tasks_changed")) => self.task_list(text, out),
            (
                "system",
                Some(
                    subtype @ ("task_started" | "task_progress" | "task_updated"
                    | "task_notification"),
                ),
            ) => self.task(subtype, text, out),
            ("system", Some("api_retry")) => {
                self.retract_abandoned(out);
                system::read("api_retry", text, out)
            }
            ("system", Some(subtype)) => {
                system::read(subtype, text, out)?;
                if subtype == "status" && system::is_compacting(text) {
                    self.compacts(out);
                }
                Some(())
            }
            // Printed again; each line of Claude's has an id of its own.
            ("assistant", _) if !self.said.is_new(text) => Some(()),
            ("assistant", _) => self.assistant(text, parent, out),
            ("user", _) => self.user(text, parent, out),
            ("stream_event", _) => self.stream_event(text, parent, out),
            ("tool_progress", _) => tools::progress(text, &mut self.news, out),
            ("rate_limit_event", _) => self.rate_limit(text, out),
            ("control_request", _) => self.control_request(text, out),
            ("control_response", _) => self.control_response(text, out),
            ("command_lifecycle", _) => {
                self.steering.lifecycle(&decode(text)?, out);
                Some(())
            }
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
            ("result", _) if self.is_stray(head) => {
                out.event(Event::notice(
                    Level::Warn,
                    "late",
                    "a result that ends no turn of this run is not counted",
                ));
                Some(())
            }
            ("result", _) => {
                self.last_result = head.uuid.as_deref().map(str::to_owned);
                self.result(text, out)
            }
            _ => None,
        }
    }

    /// True for what another session says, such as that of a Claude which this one has started. Only an init line
    /// begins a session, and what comes before it may name the new one already.
    fn is_of_another_session(&self, head: &Head<'_>) -> bool {
        let (Some(ours), Some(theirs)) = (&self.session_id, &head.session_id) else { return false };
        let of_turn = match head.kind.as_ref() {
            "system" => head.subtype.as_deref().is_some_and(|subtype| {
                let is_of_turn =
                    ["api_retry", "background_tasks_changed", "permission_denied", "status"];
                is_of_turn.contains(&subtype) || subtype.starts_with("task_")
            }),
            "assistant" | "user" | "stream_event" | "tool_progress" | "result" => true,
            _ => false,
        };
        of_turn && ours != theirs
    }

    /// True for a result that ends no turn: one that is printed again, or a subagent's.
    fn is_stray(&self, head: &Head<'_>) -> bool {
        let ends_a_turn = self.turns_ended == 0 || self.turn.open || !self.held.is_empty();
        head.parent_tool_use_id.is_some() || !ends_a_turn || self.is_repeated(head)
    }

    /// True for the last result, printed again: the turn that is open now has one of its own.
    fn is_repeated(&self, head: &Head<'_>) -> bool {
        head.uuid.is_some() && head.uuid.as_deref() == self.last_result.as_deref()
    }

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
            return say_user(&self.prompt, None, out);
        }
        blocks.push(json!({"type": "text", "text": self.prompt}));
        let message = UserMessage { role: "user", content: Content::Blocks(&blocks) };
        out.stdin_line(&Say::User { message, uuid: None });
    }

    /// A message to a turn that runs is in its very next model request.
    fn steer(&mut self, text: &str, out: &mut Out) {
        if self.transport != Transport::Dialogue {
            out.cannot("steer");
        } else if self.is_stopping {
            out.event(Event::not_steered(text, STOPPING));
        } else {
            let uuid = self.steering.send(text);
            say_user(text, uuid.as_deref(), out);
        }
    }

    fn interrupt(&mut self, out: &mut Out) {
        self.is_stopping = true;
        if self.transport != Transport::Dialogue {
            self.interrupt = Interrupt::Sent;
            out.cannot("interrupt");
        } else if self.turn.open {
            self.send_interrupt(out);
        } else if self.is_closed {
            out.cannot("interrupt");
        } else if self.turns_ended > 0 {
            self.end_background(out);
        } else {
            self.interrupt = Interrupt::Queued;
        }
    }

    /// Ends what runs behind a turn that is over, or is about to be reported; Claude then has nothing left to stay for.
    fn end_background(&mut self, out: &mut Out) {
        // An interrupt ends subagents alone, and without a turn that would report them (measured, 2.1.329).
        self.send_interrupt(out);
        for task_id in &self.background.others() {
            let (request_id, request) = ("belay-stop-task", ControlAsk::StopTask { task_id });
            out.stdin_line(&Say::ControlRequest { request_id, request });
        }
        self.close_stdin(out);
    }

    fn send_interrupt(&mut self, out: &mut Out) {
        self.interrupt = Interrupt::Sent;
        let (request_id, request) =
            ("belay-interrupt", ControlAsk::Interrupt { cancel_queued: true });
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

    /// Each turn begins with an init line; the session is announced when it is new.
    fn init(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let init: Init = decode(text)?;
        let begins_another = self.transport == Transport::Print
            && self.turn.has_begun()
            && self.background.has_begun();
        if begins_another {
            self.held.push_back(std::mem::take(&mut self.turn));
        }
        if !std::mem::replace(&mut self.turn.has_init, true) {
            out.progress();
        }
        self.open_turn(out);
        if self.announced.as_ref() != Some(&init.session_id) {
            self.announced = Some(init.session_id.clone());
            out.event(Event::SessionStarted(SessionStarted {
                session_id: init.session_id.clone(),
                model: init.model.clone(),
                agent_version: init.claude_code_version,
                permission_mode: init.permission_mode,
                cwd: init.cwd,
                tools: init.tools,
            }));
        }
        self.servers.init(init.mcp_servers, self.can_ask(), out);
        self.session_id = Some(init.session_id);
        self.model = init.model;
        self.steering.init(init.uuid.as_deref());
        if self.interrupt == Interrupt::Queued {
            self.send_interrupt(out);
        } else if self.is_stopping && self.turns_ended > 0 {
            // A version that does not drop what waits with an interrupt: this turn is nobody's wish.
            self.send_interrupt(out);
            out.finish();
        }
        Some(())
    }

    /// A prompt that shortens the context does so before its turn has an init line, and may take a minute for it.
    fn compacts(&mut self, out: &mut Out) {
        (self.turn.open, self.turn.stop_reason) = (true, None);
        if self.interrupt == Interrupt::Queued {
            self.send_interrupt(out);
        }
    }

    fn open_turn(&mut self, out: &mut Out) {
        if !self.turn.open && self.turns_ended > 0 {
            out.turn_opened();
        }
        self.turn.open = true;
        self.background.turn_began();
        self.background.tell(out);
    }

    /// What Claude does behind its turns, task by task.
    fn task(&mut self, subtype: &str, text: &str, out: &mut Out) -> Option<()> {
        let line: System = decode(text)?;
        let was_known = self.background.knows(&line);
        match subtype {
            "task_started" => self.background.started(&line),
            "task_updated" => self.background.updated(&line),
            "task_notification" => self.background.notified(&line),
            _ => {}
        }
        let is_known = was_known || self.background.knows(&line);
        // A subagent has done something, or a command in the background has ended.
        if self.news.is_new(&format!("task {:?}", line.task_id), &line.state(subtype)) {
            match line.tool_use_id.clone().map(ToolId) {
                None if !is_known => {}
                tool_id => out.progress_of(tool_id),
            }
        }
        system::tell(subtype, line, out)?;
        self.background_changed(out);
        Some(())
    }

    /// The same, all of it at once.
    fn task_list(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let line: System = decode(text)?;
        self.background.listed(&line.tasks?);
        self.background_changed(out);
        Some(())
    }

    fn background_changed(&mut self, out: &mut Out) {
        let was_waiting = self.background.is_waiting();
        self.background.tell(out);
        // The turn that reports the last one is still to come.
        if was_waiting && !self.background.is_waiting() && !self.turn.open {
            self.close_stdin_after(REPORT, out);
        }
    }

    fn close_stdin_after(&self, time: Duration, out: &mut Out) {
        if self.transport == Transport::Dialogue {
            out.timer(IDLE, time);
        }
    }

    fn timer(&mut self, id: TimerId, out: &mut Out) {
        if let Some(failure) = self.doubt.ran_out(id).filter(|_| self.turn.open) {
            self.break_off(failure, out);
            return self.close_stdin(out);
        }
        if self.last_words.have_no_end(id, "claude", out) {
            return self.answer_without_result(out);
        }
        let is_over = match id {
            IDLE => !self.background.is_open(),
            CALLS => self.background.has_only_calls(),
            _ => false,
        };
        if is_over && !self.turn.open {
            self.close_stdin(out);
        }
    }

    fn close_stdin(&mut self, out: &mut Out) {
        if self.transport == Transport::Dialogue && !std::mem::replace(&mut self.is_closed, true) {
            out.close_stdin();
        }
    }

    /// Begins to wait for the result, once nothing else is open. What subagents do, a version that tells of no tasks
    /// says nothing of.
    fn await_result(&mut self, out: &mut Out) {
        let is_said = self.turn.open && self.turn.stop_reason.as_deref() == Some("end_turn");
        let is_hidden = self.turn.has_delegated && !self.background.has_begun();
        let is_quiet = !self.background.is_open() && self.asks.is_empty() && !is_hidden;
        if is_said && is_quiet && self.interrupt == Interrupt::No {
            self.last_words.said(out);
        }
    }

    /// Ends a turn whose last words are said, and whose result does not come. Nothing tells what it has cost.
    fn answer_without_result(&mut self, out: &mut Out) {
        self.held.clear();
        let turn = std::mem::take(&mut self.turn);
        let said = Said {
            words: if turn.is_silent_since { String::new() } else { turn.reached.clone() },
            reached: turn.reached,
            acted: turn.acted || self.has_answered,
            ended: turn.stop_reason.map(|reason| ("stop_reason", reason)),
            ..Said::default()
        };
        let end = said.end(out);
        self.has_answered |= end.failure.is_none();
        self.background.result_came(None);
        self.background.tell(out);
        let usage = last_words::used(self.meter.turn_lost());
        self.end_turn(AttemptEnd { usage, denials: turn.denials, ..end }, out);
        out.finish();
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
            let model = line.message.model.clone();
            let is_new = self.announce(id.clone(), line.message.model, &parent, out);
            if let Some(tokens) = line.message.usage {
                // Repeated on every line of the message; its output count is only a beginning.
                let is_first = self.meter.response_began(id.as_deref(), tokens);
                if is_first && parent.is_some() {
                    self.tell_response(id.clone(), model, &parent, out);
                }
            }
            if is_new {
                self.meter.response_arrived();
                line.message.usage.into_iter().for_each(|t| self.context(usage::context(t), out));
            }
        }
        for block in blocks {
            self.block(block, id.as_ref(), &parent, streamed, out);
        }
        if parent.is_none() && line.message.stop_reason.is_some() {
            self.turn.stop_reason = line.message.stop_reason;
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
                    self.turn.is_silent_since &= new.trim().is_empty();
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
                self.turn.is_silent_since |= parent.is_none();
                let name = block.name.unwrap_or_default();
                if let Some(id) = &block.id {
                    self.tool_names.insert(id.clone(), name.clone());
                    if parent.is_none() {
                        self.turn.calls.insert(id.clone(), name.clone());
                    }
                }
                let call = ToolCall {
                    tool_id: block.id.map(ToolId),
                    kind: tools::kind(&name),
                    name,
                    args: block.input.map(Json::from_raw).unwrap_or_default(),
                };
                out.event_under(parent.clone(), Event::ToolCall(call));
            }
            _ if block.tool_use_id.is_some() => {
                let name = self.returned(block.tool_use_id.as_deref(), out);
                out.event_under(parent.clone(), tools::result(block, name));
            }
            _ => {
                let words = format!("content block `{}`", block.kind);
                out.event_under(parent.clone(), Event::notice(Level::Warn, "unknown_block", words));
            }
        }
    }

    fn user(&mut self, text: &str, parent: Option<ToolId>, out: &mut Out) -> Option<()> {
        let line: MessageLine<'_> = decode(text)?;
        if parent.is_none() {
            // The model reads it, and responds.
            self.turn.stop_reason = None;
        }
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
                let name = self.returned(block.tool_use_id.as_deref(), out);
                tools::result(block, name)
            } else {
                // Words that Claude itself puts into the conversation, or a subagent's prompt.
                Event::notice(Level::Debug, "user_message", block.text.unwrap_or_default())
            };
            out.event_under(parent.clone(), event);
        }
        Some(())
    }

    /// A tool has returned, in its turn or behind it. Returns its name, if its call was seen.
    fn returned(&mut self, id: Option<&str>, out: &mut Out) -> Option<String> {
        let id = id?;
        if self.turn.calls.remove(id).is_none() && self.background.call_returned(id) {
            self.background_changed(out);
        }
        self.tool_names.remove(id)
    }

    /// The turn is over by Claude's word, and a call of it has not returned. Of 2.1.329 no such turn is known but those
    /// that give a reason (aborted, deferred, denied). A Claude that is through ends with its standard input; for one
    /// that lives on, the call is waited for like a command in the background.
    fn wait_for_calls(&mut self, calls: BTreeMap<String, String>, out: &mut Out) {
        let mut is_any_open = false;
        for (id, name) in calls {
            is_any_open |= self.background.call_stays(&id, &name);
        }
        if is_any_open {
            out.timer(CALLS, OPEN_CALL);
        }
    }

    fn stream_event(&mut self, text: &str, parent: Option<ToolId>, out: &mut Out) -> Option<()> {
        let line: StreamLine<'_> = decode(text)?;
        let event = line.event;
        match event.kind.as_ref() {
            "message_start" => {
                self.retract(&parent, out);
                let message = event.message?;
                let of = format!("response {parent:?}");
                let is_new = self.news.is_new(&of, message.id.as_deref().unwrap_or_default());
                if is_new {
                    out.progress_of(parent.clone());
                }
                let message_id = message.id.clone();
                let stream = Stream { message_id, is_again: !is_new, ..Stream::default() };
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
                if stream.blocks.insert(event.index) && !stream.is_again {
                    // Its content may be nothing that a caller reads.
                    out.progress_of(parent.clone());
                }
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
                            self.turn.is_silent_since &= text.trim().is_empty();
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
                    _ => {
                        if delta.signature.is_some_and(|signature| !signature.is_empty()) {
                            out.progress_of(parent);
                        }
                    }
                }
            }
            "message_delta" => {
                if parent.is_none() {
                    let reason = event.delta.and_then(|delta| delta.stop_reason);
                    self.turn.wants_tool = reason.as_deref() == Some("tool_use");
                    self.turn.stop_reason = reason.map(|reason| reason.to_string());
                }
                let tokens = event.usage?;
                let stream = self.streams.get_mut(&parent);
                let message_id = stream.as_ref().and_then(|stream| stream.message_id.clone());
                // A response tells its end more than once if it is told again.
                let is_first = stream.is_none_or(|stream| {
                    !std::mem::replace(&mut stream.has_ended, true) && !stream.is_again
                });
                let is_counted = parent.is_none() && is_first;
                self.meter.response_ended(message_id.as_deref(), tokens, is_counted);
                if parent.is_none() {
                    self.context(usage::context(tokens), out);
                }
                self.tell_usage(out);
            }
            "message_stop" => {
                if parent.is_none() && self.transport == Transport::Print && !self.turn.wants_tool {
                    // Over print its result comes only when no subagent is left.
                    self.background.turn_waits();
                    self.background.tell(out);
                }
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
            self.open_turn(out);
            self.turn.has_init = false;
            self.turn.reached.clear();
            self.turn.stop_reason = None;
            out.event(Event::TurnStarted(TurnStarted { message_id, model }));
            self.servers.response_began(self.can_ask(), out);
        }
        is_new
    }

    fn tell_usage(&self, out: &mut Out) {
        self.tell_usage_under(None, out);
    }

    fn tell_usage_under(&self, parent: Option<ToolId>, out: &mut Out) {
        let usage = self.meter.since_the_start();
        out.event_under(parent, Event::Usage(UsageReport { usage }));
    }

    /// A response of a subagent's, of which no pieces come: what it has used so far counts before its turn has ended.
    fn tell_response(
        &self,
        message_id: Option<String>,
        model: Option<String>,
        parent: &Option<ToolId>,
        out: &mut Out,
    ) {
        let began = Event::TurnStarted(TurnStarted { message_id, model });
        out.event_under(parent.clone(), began);
        self.tell_usage_under(parent.clone(), out);
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

    fn control_response(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let response = decode::<ControlResponse>(text)?.response;
        if !self.servers.answered(&response.request_id, response.response, out)
            && response.subtype == "error"
        {
            let words = response.error;
            let words = words.unwrap_or_else(|| "claude refused a control request".to_owned());
            out.event(Event::notice(Level::Warn, "control_response", words));
        }
        Some(())
    }

    /// True while Claude answers what it is asked.
    fn can_ask(&self) -> bool {
        self.transport == Transport::Dialogue && !self.is_closed
    }

    fn result(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let mut line: ResultLine = decode(text)?;
        let turn = match self.held.pop_front() {
            Some(turn) => turn,
            None => std::mem::take(&mut self.turn),
        };
        let usage = self.meter.turn_ended(&line);
        if let (Some(used_tokens), window @ Some(_)) =
            (turn.context_used, self.meter.window(self.model.as_deref()))
        {
            let source = ContextSource::Agent;
            out.event(Event::Context(Context { used_tokens, window_tokens: window, source }));
        }
        let interrupted = self.interrupt == Interrupt::Sent;
        line.stop_reason = line.stop_reason.or(turn.stop_reason);
        let api_error = turn.api_error.as_ref().or(self.turn.api_error.as_ref());
        // `/compact` that was interrupted ends as a success without an answer (measured, 2.1.329).
        let is_silent = line.result.as_deref().is_none_or(|words| words.trim().is_empty())
            && line.structured_output.is_none();
        let failure = (line.is_error() || interrupted && is_silent)
            .then(|| classify::failure(&line, api_error, turn.limit.as_ref(), interrupted));
        if failure.is_none() {
            self.doubts(&line, out);
        }
        let mut denials = turn.denials;
        denials.extend(line.permission_denials.into_iter().map(|denial| Denial {
            tool_id: denial.tool_use_id.map(ToolId),
            name: denial.tool_name,
        }));
        let no_model = !turn.responded
            && (line.local_command.is_some()
                || (line.num_turns == Some(0) && is_command(&self.prompt)));
        let result = line.result.filter(|_| failure.is_none());
        let spoken = Some(&turn.reached).filter(|_| !turn.is_silent_since);
        let words = result.filter(|result| !result.trim().is_empty());
        let said = Said {
            failure,
            words: words.or_else(|| spoken.cloned()).unwrap_or_default(),
            reached: turn.reached,
            structured: line.structured_output.as_deref().map(Json::from_raw),
            // A turn that only takes note of a task adds nothing to the answer before it, and takes nothing away.
            acted: turn.acted || self.has_answered,
            ended: line.stop_reason.map(|reason| ("stop_reason", reason)),
            by: if no_model { By::Agent } else { By::Model },
        };
        let end = said.end(out);
        let has_failed = end.failure.is_some();
        self.has_answered |= !has_failed;
        let is_last = self.held.is_empty() && !self.turn.open;
        if is_last {
            self.background.result_came(line.subagent_stats.as_ref());
            let is_complete = line.terminal_reason.as_deref().is_none_or(|why| why == "completed");
            if !has_failed && !interrupted && is_complete {
                let mut calls = turn.calls;
                calls.retain(|id, _| {
                    denials.iter().all(|d| d.tool_id.as_ref().is_none_or(|t| t.0 != *id))
                });
                self.wait_for_calls(calls, out);
            }
            self.background.tell(out);
        }
        let reported_turns = line.num_turns;
        self.end_turn(AttemptEnd { usage, reported_turns, denials, ..end }, out);
        if !is_last {
            // Its result is still to come.
            out.turn_opened();
        }
        if has_failed && self.steering.has_waiting() {
            // Interrupted, at its limit, failed: what waits would begin another turn at once.
            out.finish();
        }
        if !is_last || self.transport != Transport::Dialogue {
            return Some(());
        }
        // Until nothing is open, Claude can ask and be told.
        match (self.background.is_open(), self.background.has_ended() || line.queued_turn_count > 0)
        {
            (true, _) if interrupted => self.end_background(out),
            (true, _) => {}
            (false, true) if !interrupted => self.close_stdin_after(REPORTED, out),
            (false, _) => self.close_stdin(out),
        }
        Some(())
    }

    /// Says what Claude says of an answered turn that does not go with an answer.
    fn doubts(&mut self, line: &ResultLine, out: &mut Out) {
        let mut warn = |code, words: String| out.event(Event::notice(Level::Warn, code, words));
        if !line.is_known() {
            let words = format!("claude ended the turn as `{}`, which is not known", line.subtype);
            warn("unknown_subtype", words);
        }
        if !line.errors.is_empty() {
            let errors = line.errors.iter().take(ERRORS_SHOWN).map(String::as_str);
            let mut words = errors.collect::<Vec<_>>().join("; ");
            if let Some(more) = line.errors.len().checked_sub(ERRORS_SHOWN).filter(|more| *more > 0)
            {
                words.push_str(&format!("; {more} more"));
            }
            warn("result_errors", format!("claude answered, and reported errors: {words}"));
        }
        if line.safety_stops > self.safety_stops {
            let words = "a model or a filter declined a response on the way to this answer";
            warn("safety_stops", words.to_owned());
        }
        self.safety_stops = self.safety_stops.max(line.safety_stops);
    }

    fn end_turn(&mut self, end: AttemptEnd, out: &mut Out) {
        self.servers.tell(out);
        self.turns_ended += 1;
        self.said = Lines::default();
        self.interrupt = Interrupt::No;
        // An interrupted response stays as far as it came; the next turn does not void it.
        self.streams.remove(&None);
        let (session_id, model) = (self.session_id.clone(), self.model.clone());
        out.turn_ended(AttemptEnd { session_id, model, ..end });
    }

    /// The process is gone. A turn that had no result line did not answer, whatever the exit code says.
    fn exit(&mut self, exit: Exit, out: &mut Out) {
        if !self.is_stopping {
            self.steering.end(out);
        }
        if self.turns_ended > 0 && !self.turn.open && self.held.is_empty() {
            // What subagents have used since the last result is in none.
            if self.meter.has_more() {
                self.tell_usage(out);
            }
            return;
        }
        let interrupted = self.interrupt != Interrupt::No;
        let failure = exit::failure("claude", exit, interrupted, self.seen_stdout, &self.stderr);
        let failure = self.doubt.explain(failure);
        self.break_off(failure, out);
    }

    /// Ends the turn without a result.
    fn break_off(&mut self, failure: Failure, out: &mut Out) {
        let turn = std::mem::take(&mut self.turn);
        let usage = self.meter.so_far();
        let end = Said::failed(failure, turn.reached).end(out);
        self.end_turn(AttemptEnd { usage, ..end }, out);
    }
}

/// Why a message is not passed on.
const STOPPING: &str = "the run is stopping";

fn say_user(words: &str, uuid: Option<&str>, out: &mut Out) {
    let content = Content::Words(words);
    out.stdin_line(&Say::User { message: UserMessage { role: "user", content }, uuid });
}
