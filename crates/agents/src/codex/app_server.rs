//! The conversation with `codex app-server`: JSON-RPC, a line each.
//!
//! initialize → thread (start, resume or fork) → turn → the turn's end. Everything about a turn comes as
//! notifications, so a recorded session of several turns reads like a live one of one turn.

use super::helpers::Helpers;
use super::items::{Item, Items, SHELL, Sort};
use super::mcp::ServerStatus;
use super::meter::Meter;
use super::rpc::{
    About, ApprovalAsk, DeltaNote, Elicitation, ErrorNote, ItemNote, Limits, LimitsNote, Message,
    PlanNote, RerouteNote, Say, StatusNote, ThreadAnswer, ThreadList, ThreadNamed, ThreadNote,
    TokenNote, TokenUsage, TurnAnswer, TurnNote, WarningNote,
};
use super::turns::Turns;
use super::{asides, classify, effort_name, mcp, retry, sandbox};
use crate::framing::{Claim, Doubt, Objects, read_line};
use crate::last_words::{self, LastWords};
use crate::news::News;
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol, TimerId};
use crate::stderr::StderrTail;
use crate::steers::Steers;
use crate::wire::decode;
use crate::{Image, Permissions, RunRequest, Session, exit};
use belay_trace::{
    Context, ContextSource, Decision, Event, EvidenceSource, Failure, FailureKind, Json, Level,
    PermissionRequest, Plan, PlanItem, PlanStatus, Retry, SessionStarted, ToolId, ToolKind,
    TurnStarted, Usage, UsageReport,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// A request of ours whose answer has not come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Initialize,
    List,
    Thread,
    Turn,
    Steer,
    Interrupt,
}

/// How long the turn of a helper may take to end behind its answer, when nothing else is open: milliseconds (measured).
const HELPER_END: Duration = Duration::from_secs(5);

/// How a permission is asked for, which decides how the answer is worded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// A command or a change of files.
    Approval,
    /// The call of an MCP server's tool: a form to be filled in.
    Form,
}

/// The state of one conversation.
pub(super) struct AppServer {
    request: RunRequest,
    model: Option<String>,
    thread_id: Option<String>,
    turn: Option<Turn>,
    turns: Turns,
    /// How the run's turn has ended, while the thread is not done.
    completed: Option<TurnNote>,
    turns_ended: u32,
    /// The last state of what has states.
    news: News,
    last_words: LastWords,
    /// The end of the turn was awaited for nothing.
    is_partial: bool,
    helpers: Helpers,
    /// The process is gone, and with it all that was open.
    is_gone: bool,
    /// The turn is over but for its helpers, which are waited for.
    waited: bool,
    items: Items,
    meter: Meter,
    limits: Limits,
    interrupt: bool,
    interrupt_sent: bool,
    /// Words of the caller that came before there was a turn.
    steers: Vec<String>,
    /// Those that Codex has, and has not put into the conversation yet.
    waiting: Steers,
    /// The prompt is in the conversation.
    prompted: bool,
    /// A stop was asked for: nothing more is said to the turn.
    is_stopping: bool,
    /// Our requests without an answer, by their number.
    asked: HashMap<u32, Asked>,
    /// What the steers among them say.
    said: HashMap<u32, String>,
    requests: u32,
    /// Open permission requests: the id in the form that the server gave it, and what is asked.
    asks: HashMap<String, (Box<RawValue>, Ask)>,
    stderr: StderrTail,
    doubt: Doubt,
    initialized: bool,
}

/// The turn that runs.
struct Turn {
    id: String,
    failure: Option<Failure>,
    /// The model has begun a response whose usage has not been reported yet.
    responding: bool,
}

impl AppServer {
    pub(super) fn new(request: &RunRequest, model: Option<String>) -> Self {
        Self {
            request: request.clone(),
            model,
            thread_id: None,
            turn: None,
            turns: Turns::default(),
            completed: None,
            turns_ended: 0,
            news: News::default(),
            last_words: LastWords::default(),
            is_partial: false,
            helpers: Helpers::default(),
            is_gone: false,
            waited: false,
            items: Items::default(),
            meter: Meter::new(request.session != Session::New),
            limits: Limits::default(),
            interrupt: false,
            interrupt_sent: false,
            steers: Vec::new(),
            waiting: Steers::default(),
            prompted: false,
            is_stopping: false,
            asked: HashMap::new(),
            said: HashMap::new(),
            requests: 0,
            asks: HashMap::new(),
            stderr: StderrTail::default(),
            doubt: Doubt::default(),
            initialized: false,
        }
    }
}

impl Protocol for AppServer {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => {
                let info = json!({"name": "belay", "title": "belay", "version": env!("CARGO_PKG_VERSION")});
                self.ask(Asked::Initialize, "initialize", json!({"clientInfo": info}), out);
            }
            Input::Stdout(line) => read_line(line, out, self),
            Input::Stderr(line) => self.stderr.line(line, out),
            Input::Steer(text) if self.is_stopping => {
                out.event(Event::not_steered(text, "the run is stopping"));
            }
            // Its turn is over, and helpers take no words of the caller's.
            Input::Steer(_) if self.turns_ended > 0 && self.turn.is_none() => out.cannot("steer"),
            Input::Steer(text) => {
                self.last_words.went_on();
                self.steers.push(text.to_owned());
                self.send_steers(out);
            }
            Input::Interrupt if self.completed.is_some() => self.end_completed(out),
            Input::Interrupt if self.waits_for_helpers() => self.end_helpers(out),
            Input::Interrupt => {
                (self.interrupt, self.is_stopping) = (true, true);
                self.last_words.went_on();
                self.send_interrupt(out);
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

impl Objects for AppServer {
    fn read(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let message: Message<'_> = decode(text)?;
        match (&message.method, message.id) {
            (Some(method), Some(id)) => self.server_request(method, id, message.params, out),
            (Some(method), None) => return self.notification(method, message.params, out),
            (None, Some(id)) => self.answer(id, &message, out),
            (None, None) => return None,
        }
        Some(())
    }

    fn claim(&self, text: &str) -> Claim {
        let Some(message) = decode::<Message<'_>>(text) else { return Claim::Foreign };
        let params = message.params.map_or("{}", RawValue::get);
        let about: About<'_> = decode(params).unwrap_or_default();
        let names_thread = about.thread_id.is_some();
        let is_ours = !self.is_of_another_thread(&about);
        match (message.method.as_deref(), message.id) {
            (Some(_), Some(_)) => Claim::message_if(is_ours && names_thread),
            (Some("turn/completed"), None) => {
                let turn = decode::<TurnNote>(params).map(|note| note.turn.id);
                let running = self.turn.as_ref().map(|turn| &turn.id);
                Claim::end_if(is_ours && running.is_some() && turn.as_ref() == running)
            }
            (Some(_), None) => Claim::message_if(is_ours),
            (None, Some(id)) => match self.asked_by(id) {
                Some(Asked::Steer | Asked::Interrupt) => Claim::Message,
                // A refusal is the end.
                Some(_) if message.error.is_some() => Claim::End,
                asked => Claim::message_if(asked.is_some()),
            },
            (None, None) => Claim::Foreign,
        }
    }

    fn doubt(&mut self) -> &mut Doubt {
        &mut self.doubt
    }
}

impl AppServer {
    /// The request of ours that is answered with this id.
    fn asked_by(&self, id: &RawValue) -> Option<Asked> {
        id.get().parse().ok().and_then(|number: u32| self.asked.get(&number)).copied()
    }

    fn ask(&mut self, asked: Asked, method: &'static str, params: Value, out: &mut Out) {
        self.requests += 1;
        self.asked.insert(self.requests, asked);
        out.stdin_line(&Say::Request { id: self.requests, method, params });
    }

    /// The answer to a request of ours; a stream recorded with another client has answers to others.
    fn answer(&mut self, id: &RawValue, message: &Message<'_>, out: &mut Out) {
        let number: Option<u32> = id.get().parse().ok();
        let steer = number.and_then(|number| self.said.remove(&number));
        let Some(asked) = number.and_then(|number| self.asked.remove(&number)) else {
            let words = format!("an answer to the request {} of somebody else", id.get());
            out.event(Event::notice(Level::Debug, "answer", words));
            return;
        };
        if let Some(error) = &message.error {
            if let Some(text) = steer {
                self.waiting.refused(&text, &error.message, out);
            }
            self.refused(asked, &error.message, out);
            return;
        }
        let result = message.result.map_or("null", RawValue::get);
        match asked {
            Asked::Initialize => {
                self.initialized = true;
                out.progress();
                out.stdin_line(&Say::Notify { method: "initialized" });
                self.open_thread(out);
            }
            Asked::List => match decode::<ThreadList>(result).map(|list| list.data) {
                Some(threads) => match threads.into_iter().next() {
                    Some(thread) => self.resume(&thread.id, out),
                    None => {
                        let words = "there is no session to continue";
                        self.fail(FailureKind::InvalidRequest, words, out);
                    }
                },
                None => self.fail(FailureKind::Protocol, "codex lists no sessions", out),
            },
            Asked::Thread => match decode(result) {
                Some(answer) => self.thread_opened(answer, out),
                None => self.fail(FailureKind::Protocol, "codex opened no session", out),
            },
            // Turns speak through notifications.
            Asked::Turn => {
                let answer: TurnAnswer = decode(result).unwrap_or_default();
                self.turns.asked_for(&answer.turn.id);
                if let Some(turn) = self.turn.as_mut().filter(|turn| turn.id.is_empty()) {
                    turn.id.clone_from(&answer.turn.id);
                }
                if self.turn.as_ref().is_some_and(|turn| self.turns.is_other(&turn.id)) {
                    let other = self.turn.take().map(|turn| turn.id).unwrap_or_default();
                    self.turns.started(&other);
                    self.items = Items::default();
                }
            }
            Asked::Steer | Asked::Interrupt => {}
        }
    }

    fn refused(&mut self, asked: Asked, message: &str, out: &mut Out) {
        match asked {
            Asked::Steer => out.event(Event::notice(Level::Warn, "steer", message)),
            Asked::Interrupt => {
                out.event(Event::notice(Level::Warn, "refused", message));
                out.cannot("interrupt");
            }
            Asked::Initialize | Asked::List | Asked::Thread | Asked::Turn => {
                let mut failure = classify::of_message(message);
                if failure.kind == FailureKind::Unknown {
                    failure.kind = FailureKind::InvalidRequest;
                }
                self.end_turn(Some(failure), None, out);
            }
        }
    }

    fn open_thread(&mut self, out: &mut Out) {
        match self.request.session.clone() {
            Session::New => {
                let params = Value::Object(self.thread_params());
                self.ask(Asked::Thread, "thread/start", params, out);
            }
            Session::Resume(thread) => self.resume(&thread, out),
            Session::Fork(thread) => self.with_thread("thread/fork", &thread, out),
            Session::Continue => {
                let sources = ["cli", "vscode", "exec", "appServer"];
                let mut params =
                    json!({"limit": 1, "sortKey": "updated_at", "sourceKinds": sources});
                if let Some(cwd) = &self.request.cwd {
                    params["cwd"] = cwd.to_string_lossy().into();
                }
                self.ask(Asked::List, "thread/list", params, out);
            }
        }
    }

    fn resume(&mut self, thread: &str, out: &mut Out) {
        self.with_thread("thread/resume", thread, out);
    }

    fn with_thread(&mut self, method: &'static str, thread: &str, out: &mut Out) {
        let mut params = self.thread_params();
        params.insert("threadId".to_owned(), thread.into());
        params.insert("excludeTurns".to_owned(), true.into());
        self.ask(Asked::Thread, method, Value::Object(params), out);
    }

    /// Only what was asked for: everything else is the user's own configuration.
    fn thread_params(&self) -> Map<String, Value> {
        let request = &self.request;
        let (sandbox, approval) = match request.permissions {
            None => (None, None),
            // On request: what lies beyond is asked for, and the run's policy answers.
            Some(Permissions::ReadOnly | Permissions::Ask) => {
                (Some("read-only"), Some("on-request"))
            }
            Some(Permissions::Edit) => (Some("workspace-write"), Some("on-request")),
            Some(Permissions::Full) => (Some("danger-full-access"), Some("never")),
        };
        // It is started there. A path that JSON cannot hold would name another folder.
        let cwd = request.cwd.as_ref().and_then(|cwd| cwd.to_str().map(str::to_owned));
        let fields = [
            ("cwd", cwd),
            ("approvalPolicy", approval.map(str::to_owned)),
            ("sandbox", sandbox.map(str::to_owned)),
            ("model", self.model.clone()),
            ("baseInstructions", request.system_prompt.clone()),
            ("developerInstructions", request.append_system_prompt.clone()),
        ];
        let given =
            fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
        let mut params: Map<String, Value> = given.collect();
        // `launch` has refused a folder that cannot be named.
        let mut config = sandbox::settings(request).unwrap_or_default();
        if !request.mcp_servers.is_empty() {
            config.insert("mcp_servers".to_owned(), mcp::settings(request));
        }
        if !config.is_empty() {
            params.insert("config".to_owned(), config.into());
        }
        params
    }

    fn thread_opened(&mut self, answer: ThreadAnswer, out: &mut Out) {
        self.thread_id = Some(answer.thread.id.clone());
        self.model = answer.model.clone().or(self.model.take());
        let sandbox = answer.sandbox.as_ref().and_then(|sandbox| sandbox.get("type")?.as_str());
        out.event(Event::SessionStarted(SessionStarted {
            session_id: answer.thread.id.clone(),
            model: answer.model,
            agent_version: answer.thread.cli_version,
            permission_mode: sandbox.map(str::to_owned),
            cwd: answer.cwd,
            tools: Vec::new(),
        }));
        if self.interrupt {
            self.fail(FailureKind::Interrupted, "interrupted before the turn began", out);
            return;
        }
        let mut input = vec![json!({"type": "text", "text": self.request.prompt})];
        let images = self.request.images.iter().filter_map(Image::data_url);
        input.extend(images.map(|(_, url)| json!({"type": "image", "url": url})));
        let mut params = json!({"threadId": answer.thread.id, "input": input});
        if let Some(effort) = self.request.effort {
            params["effort"] = effort_name(effort).into();
        }
        if let Some(schema) = self.request.native_schema() {
            params["outputSchema"] = schema.clone();
        }
        self.ask(Asked::Turn, "turn/start", params, out);
    }

    fn notification(
        &mut self,
        method: &str,
        params: Option<&RawValue>,
        out: &mut Out,
    ) -> Option<()> {
        let params = params.map_or("{}", RawValue::get);
        let about: About<'_> = decode(params).unwrap_or_default();
        if method == "thread/started"
            && let Some(note) = decode::<ThreadNote>(params)
        {
            self.helpers.opened(note, self.thread_id.as_deref());
            return Some(());
        }
        if let Some(thread) = about.thread_id.as_deref().filter(|id| self.helpers.know(id)) {
            let known = self.helpers.hear(thread, method, params, &self.meter.usage(), out);
            self.helpers_changed(out);
            return known;
        }
        if self.is_of_another_thread(&about) {
            let is_work = method.starts_with("item/") || method.starts_with("turn/");
            if is_work && self.is_new(method, params) {
                // A subagent works.
                out.progress();
            }
            if matches!(method, "turn/completed" | "item/completed" | "error") {
                let said = decode::<ItemNote<'_>>(params).and_then(|note| note.item.into_message());
                let words = match said {
                    Some(said) => format!("a subagent says: {said}"),
                    None => format!("{method} in the session of a subagent"),
                };
                out.event(Event::notice(Level::Debug, "subagent", words));
            }
            return Some(());
        }
        if let Some(turn) = about.turn_id.as_deref().filter(|turn| self.turns.is_other(turn))
            && let Some(known) = self.of_another_turn(method, turn, params, out)
        {
            return known;
        }
        if method == "error" || method.starts_with("item/") || method.starts_with("turn/") {
            self.last_words.went_on();
        }
        match method {
            "turn/started" => {
                let mut note: TurnNote = decode(params)?;
                if note.turn.id.is_empty() {
                    // It cannot be told from the run's own turn, and another one would never be seen to end.
                    if self.turn.is_some() {
                        return None;
                    }
                    note.turn.id = self.turns.own().unwrap_or_default().to_owned();
                }
                match self.turns.started(&note.turn.id) {
                    true => self.turn_started(note, out),
                    false => tell_of_another("a turn that this run has not asked for begins", out),
                }
            }
            "turn/completed" => {
                let note = decode(params).filter(|note| self.says_whose_it_is(note, params));
                let Some(note) = note else {
                    // Without an end belay would wait for one, and Codex for belay.
                    self.fail(FailureKind::Protocol, "codex ended the turn unreadably", out);
                    return None;
                };
                match self.turns.is_other(&note.turn.id) || self.has_no_turn_yet() {
                    true => self.other_completed(&note, out),
                    false => self.turn_completed(note, out),
                }
            }
            "item/started" => {
                let item = decode::<ItemNote<'_>>(params)?.item;
                if item.sort() == Sort::Unknown {
                    return None;
                }
                if self.is_new(&format!("{method} {}", item.id), params) {
                    out.progress();
                }
                self.respond(&item, out);
                self.items.started(&item, out);
                self.start_helpers(&item, out);
            }
            "item/completed" => {
                let item = decode::<ItemNote<'_>>(params)?.item;
                if item.sort() != Sort::Unknown
                    && self.is_new(&format!("{method} {}", item.id), params)
                {
                    out.progress();
                }
                self.respond(&item, out);
                if let Some(text) = item.words_of_user() {
                    self.heard(&text, out);
                }
                let is_known = self.items.completed(&item, out);
                self.start_helpers(&item, out);
                return is_known.then_some(());
            }
            "item/agentMessage/delta" => {
                let note: DeltaNote = decode(params)?;
                self.items.text_delta(&note.item_id, note.delta, out);
            }
            "item/reasoning/summaryTextDelta" | "item/reasoning/textDelta" => {
                let note: DeltaNote = decode(params)?;
                self.items.reasoning_delta(&note.item_id, note.delta, out);
            }
            "thread/tokenUsage/updated" => {
                let report = decode::<TokenNote>(params)?.token_usage;
                if let Some(turn) = &mut self.turn {
                    turn.responding = false;
                }
                self.tokens(&report, self.turn.is_some(), out);
                if self.items.has_answer() {
                    self.await_end(out);
                }
            }
            "thread/status/changed" => {
                // A thread that is idle has no turn that runs.
                let status = decode::<StatusNote>(params).map(|note| note.status.kind);
                if status.as_deref() == Some("idle") && self.items.has_last_words() {
                    self.await_end(out);
                }
            }
            "account/rateLimits/updated" => {
                self.limits = decode::<LimitsNote>(params)?.rate_limits;
                self.limits
                    .to_event()
                    .into_iter()
                    .for_each(|limit| out.event(Event::RateLimit(limit)));
            }
            "turn/plan/updated" => {
                let plan = decode::<PlanNote>(params)?.plan;
                let items = plan.into_iter().map(|step| PlanItem {
                    text: step.step,
                    status: match step.status.as_str() {
                        "completed" => PlanStatus::Completed,
                        "inProgress" => PlanStatus::InProgress,
                        _ => PlanStatus::Pending,
                    },
                });
                out.event(Event::Plan(Plan { items: items.collect() }));
            }
            "error" => self.error(decode(params)?, out),
            "warning" | "configWarning" | "deprecationNotice" | "guardianWarning" => {
                let note: WarningNote = decode(params)?;
                let words = note.message.or(note.summary).unwrap_or_default();
                out.event(Event::notice(Level::Warn, "warning", words));
            }
            "model/rerouted" => {
                let note: RerouteNote = decode(params)?;
                let words = format!("{} fell back to {}", note.from_model, note.to_model);
                out.event(Event::notice(Level::Warn, "model_fallback", words));
            }
            _ if asides::is_piece(method) => {
                if self.is_new(method, params) {
                    out.progress();
                }
            }
            "mcpServer/startupStatus/updated" => {
                if let Some(server) =
                    decode::<ServerStatus>(params).filter(ServerStatus::has_failed)
                {
                    out.event(server.event());
                }
            }
            _ if asides::is_aside(method) => {}
            _ => return None,
        }
        Some(())
    }

    /// Returns whether a notification says anything that the last one of its kind has not said: a piece that is not
    /// empty, or another state of the thing.
    fn is_new(&mut self, of: &str, params: &str) -> bool {
        #[derive(serde::Deserialize)]
        struct Piece<'a> {
            #[serde(borrow)]
            delta: std::borrow::Cow<'a, str>,
        }
        match decode::<Piece<'_>>(params) {
            Some(piece) => !piece.delta.is_empty(),
            None => self.news.is_new(of, params),
        }
    }

    /// Begins to wait for the end of the turn: its last words are said.
    fn await_end(&mut self, out: &mut Out) {
        let is_open = self.turn.is_some() && self.completed.is_none();
        let is_quiet =
            !self.turns.is_other_open() && !self.helpers.are_open() && self.asks.is_empty();
        if is_open && is_quiet && !self.interrupt {
            self.last_words.said(out);
        }
    }

    /// Helpers that the run's own thread has started.
    fn start_helpers(&mut self, item: &Item<'_>, out: &mut Out) {
        if let Some(thread) = self.thread_id.clone() {
            self.helpers.started_by(item, &thread, out);
        }
    }

    /// The run's own turn is over, and helpers go on.
    fn waits_for_helpers(&self) -> bool {
        self.turns_ended > 0 && self.turn.is_none() && self.helpers.are_open()
    }

    /// Ends the attempt with the last of the helpers that were waited for. No turn of the run's own reports them.
    fn helpers_changed(&mut self, out: &mut Out) {
        if !self.waited || self.turn.is_some() {
            return;
        }
        if !self.helpers.are_open() {
            self.waited = false;
            self.report_helpers(false, out);
            out.close_stdin();
        } else if self.helpers.have_answered() {
            self.last_words.said_for(HELPER_END, out);
        } else {
            self.last_words.went_on();
        }
    }

    fn report_helpers(&self, is_partial: bool, out: &mut Out) {
        let usage = self.helpers.unreported();
        let usage = if is_partial { last_words::used(usage) } else { usage };
        let (session_id, model) = (self.thread_id.clone(), self.model.clone());
        out.turn_ended(AttemptEnd { usage, session_id, model, ..AttemptEnd::default() });
    }

    /// Stops helpers whose parent's turn is over.
    fn end_helpers(&mut self, out: &mut Out) {
        self.is_stopping = true;
        for (thread, turn) in self.helpers.open_turns() {
            let params = json!({"threadId": thread, "turnId": turn});
            self.ask(Asked::Interrupt, "turn/interrupt", params, out);
        }
        out.close_stdin();
    }

    fn timer(&mut self, id: TimerId, out: &mut Out) {
        if let Some(failure) = self.doubt.ran_out(id) {
            if self.is_open() {
                self.end_turn(Some(failure), None, out);
            }
        } else if self.waited && self.last_words.is_over(id) {
            let words = "a helper of codex has said its last words and never that its turn is over; what it has \
                         used may be more than is known";
            out.event(Event::notice(Level::Warn, "no_end", words));
            self.waited = false;
            self.helpers.give_up(out);
            self.report_helpers(true, out);
            out.close_stdin();
        } else if self.turn.is_some() && self.last_words.have_no_end(id, "codex", out) {
            let failure = self.turn.take().and_then(|turn| turn.failure);
            self.is_partial = true;
            self.end_turn(failure, None, out);
            out.finish();
        }
    }

    /// Subagents have threads of their own on the same connection; the end of theirs is not the end of ours.
    fn is_of_another_thread(&self, about: &About<'_>) -> bool {
        matches!((&self.thread_id, &about.thread_id), (Some(ours), Some(theirs)) if ours != theirs)
    }

    /// True if a turn's end says whose it is: one of a thread that cannot be read is that of the turn that runs.
    fn says_whose_it_is(&self, note: &TurnNote, params: &str) -> bool {
        let is_running = || self.turn.as_ref().is_some_and(|turn| turn.id == note.turn.id);
        let names_turn_alone = || !names_a_thread(params) && !note.turn.id.is_empty();
        note.thread_id.is_some() || is_running() || names_turn_alone()
    }

    /// True while the run's own turn cannot be over: it has not begun.
    fn has_no_turn_yet(&self) -> bool {
        let is_on_its_way = |asked: &Asked| matches!(asked, Asked::Thread | Asked::Turn);
        self.turn.is_none() && self.asked.values().any(is_on_its_way)
    }

    /// What is said of a turn that the run has not asked for; `None` if it means the same in any turn.
    fn of_another_turn(
        &mut self,
        method: &str,
        turn: &str,
        params: &str,
        out: &mut Out,
    ) -> Option<Option<()>> {
        let is_item = matches!(method, "item/started" | "item/completed");
        let is_new = is_item && self.is_new(&format!("{method} of {turn}"), params);
        let other = self.turns.other(turn);
        match method {
            "item/started" | "item/completed" => {
                let Some(ItemNote { item }) = decode(params) else { return Some(None) };
                if item.sort() == Sort::Unknown {
                    return Some(None);
                }
                if is_new {
                    // Items of users and of compactions have no event of their own.
                    out.progress();
                }
                if other.responds(&item) {
                    let model = self.model.clone();
                    out.event(Event::TurnStarted(TurnStarted { message_id: None, model }));
                }
                match method {
                    "item/started" => other.items.started(&item, out),
                    _ => return Some(other.items.completed(&item, out).then_some(())),
                }
            }
            "item/agentMessage/delta" => {
                let Some(note) = decode::<DeltaNote>(params) else { return Some(None) };
                other.items.text_delta(&note.item_id, note.delta, out);
            }
            "item/reasoning/summaryTextDelta" | "item/reasoning/textDelta" => {
                let Some(note) = decode::<DeltaNote>(params) else { return Some(None) };
                other.items.reasoning_delta(&note.item_id, note.delta, out);
            }
            "thread/tokenUsage/updated" => {
                let Some(note) = decode::<TokenNote>(params) else { return Some(None) };
                other.response_ended();
                let is_open = other.is_open();
                self.tokens(&note.token_usage, is_open, out);
            }
            "error" => {
                let Some(note) = decode::<ErrorNote>(params) else { return Some(None) };
                if note.will_retry {
                    other.items.retract(out);
                    other.response_ended();
                }
                tell_of_another(&note.error.message, out);
            }
            _ => return None,
        }
        Some(Some(()))
    }

    fn other_completed(&mut self, note: &TurnNote, out: &mut Out) {
        let words = format!(
            "a turn that this run has not asked for has ended as `{}`",
            note.turn.status.as_str()
        );
        tell_of_another(&words, out);
        self.turns.other_ended(&note.turn.id);
        self.end_if_done(out);
    }

    /// Ends the run's turn, if it is completed and no other one goes on.
    fn end_if_done(&mut self, out: &mut Out) {
        if !self.turns.is_other_open() {
            self.end_completed(out);
        }
    }

    fn turn_started(&mut self, note: TurnNote, out: &mut Out) {
        self.thread_id = self.thread_id.take().or(note.thread_id);
        if self.turn.as_ref().is_none_or(|turn| turn.id != note.turn.id) {
            out.progress();
        }
        self.helpers.turn_began(out);
        self.meter.turn_started();
        self.turn = Some(Turn { id: note.turn.id, failure: None, responding: false });
        if self.interrupt {
            self.send_interrupt(out);
        } else {
            self.send_steers(out);
        }
    }

    fn turn_completed(&mut self, note: TurnNote, out: &mut Out) {
        if self.turns_ended > 0 && self.turn.is_none() {
            // Told again, or of a turn that is none of ours: the answer stands as it is.
            out.event(Event::notice(Level::Warn, "late", "the end of a turn that had ended"));
            return;
        }
        self.completed = Some(note);
        self.end_if_done(out);
    }

    fn end_completed(&mut self, out: &mut Out) {
        let Some(note) = self.completed.take() else { return };
        let earlier = self.turn.take().and_then(|turn| turn.failure);
        let failure = match (note.turn.status.as_str(), note.turn.error) {
            ("completed", Some(error)) if error.is_blank() => None,
            // It cannot both have failed and be completed.
            ("completed", Some(error)) => {
                Some(self.failure(&error.message, error.codex_error_info.as_ref()))
            }
            ("completed", None) => None,
            ("interrupted", _) => Some(Failure::new(FailureKind::Interrupted, "interrupted").with(
                EvidenceSource::Field,
                "status",
                "interrupted",
            )),
            (_, Some(error)) => Some(self.failure(&error.message, error.codex_error_info.as_ref())),
            (status, None) => Some(earlier.unwrap_or_else(|| {
                Failure::new(FailureKind::Unknown, format!("the turn ended as `{status}`"))
            })),
        };
        self.end_turn(failure, note.turn.duration_ms, out);
    }

    /// A failure; that of a used-up window knows when the window resets.
    fn failure(&self, message: &str, info: Option<&Value>) -> Failure {
        let mut failure = classify::of_error(message, info);
        if failure.kind == FailureKind::UsageLimit {
            failure.resets_at = self.limits.reset();
            failure.reset_source = failure.resets_at.map(|_| EvidenceSource::Field);
            if let Some(name) = &self.limits.limit_name {
                failure = failure.with(EvidenceSource::Field, "limitName", name);
            }
        }
        failure
    }

    /// Says that the model responds, once for each response.
    fn respond(&mut self, item: &Item<'_>, out: &mut Out) {
        if let Some(turn) = &mut self.turn
            && !turn.responding
            && matches!(item.sort(), Sort::Words | Sort::Tool)
        {
            turn.responding = true;
            out.event(Event::TurnStarted(TurnStarted {
                message_id: None,
                model: self.model.clone(),
            }));
        }
    }

    fn tokens(&mut self, report: &TokenUsage, in_turn: bool, out: &mut Out) {
        if !self.meter.report(report, in_turn) {
            return;
        }
        out.event(Event::Usage(UsageReport { usage: self.usage() }));
        out.event(Event::Context(Context {
            used_tokens: report.last.total_tokens,
            window_tokens: self.meter.window(),
            source: ContextSource::Agent,
        }));
    }

    fn error(&mut self, note: ErrorNote, out: &mut Out) {
        let message = note.error.message;
        if note.will_retry {
            self.items.retract(out);
            if let Some(turn) = &mut self.turn {
                turn.responding = false;
            }
            let retry = retry::of_message(&message).unwrap_or_default();
            let reason = [retry.reason, note.error.additional_details.unwrap_or_default(), message];
            let reason = reason.into_iter().find(|words| !words.is_empty()).unwrap_or_default();
            let kind = classify::of_retry(&reason, note.error.codex_error_info.as_ref());
            out.event(Event::Retry(Retry { reason, kind, ..retry }));
            return;
        }
        let failure = self.failure(&message, note.error.codex_error_info.as_ref());
        out.event(Event::notice(Level::Error, "error", message));
        if let Some(turn) = &mut self.turn {
            turn.failure = Some(failure);
        }
    }

    fn server_request(
        &mut self,
        method: &str,
        id: &RawValue,
        params: Option<&RawValue>,
        out: &mut Out,
    ) {
        self.last_words.went_on();
        if method == "mcpServer/elicitation/request" {
            return self.elicitation(id, params, out);
        }
        let tool = match method {
            "item/commandExecution/requestApproval" => Some((SHELL, ToolKind::Execute)),
            "item/fileChange/requestApproval" => Some(("apply_patch", ToolKind::Edit)),
            _ => None,
        };
        let approval = params.and_then(|params| decode::<ApprovalAsk>(params.get()));
        // Whatever is asked gets an answer: Codex waits for one.
        let (Some((name, kind)), Some(approval)) = (tool, approval) else {
            let error = json!({"code": -32601, "message": "belay does not offer this"});
            out.stdin_line(&Say::Refuse { id, error });
            let words = format!("refused the request `{method}`");
            out.event(Event::notice(Level::Warn, "refused_request", words));
            return;
        };
        let permission_id = id.get().trim_matches('"').to_owned();
        self.asks.insert(permission_id.clone(), (id.to_owned(), Ask::Approval));
        let about: About<'_> = params.and_then(|params| decode(params.get())).unwrap_or_default();
        let of_helper = about.thread_id.as_deref().and_then(|thread| self.helpers.call_of(thread));
        out.event_under(
            of_helper,
            Event::PermissionRequest(PermissionRequest {
                permission_id,
                tool_id: approval.item_id.map(ToolId),
                name: name.to_owned(),
                args: match approval.command {
                    Some(command) => Json::from(json!({"command": command, "cwd": approval.cwd})),
                    None => Json::default(),
                },
                kind,
                reason: approval.reason,
            }),
        );
    }

    /// A form of an MCP server: Codex asks with one for the call of a tool, and a server for whatever it likes.
    fn elicitation(&mut self, id: &RawValue, params: Option<&RawValue>, out: &mut Out) {
        let form: Elicitation<'_> =
            params.and_then(|params| decode(params.get())).unwrap_or_default();
        let call = form.meta.filter(|meta| meta.kind == "mcp_tool_call");
        let Some(call) = call else {
            let result = json!({"action": "decline"});
            out.stdin_line(&Say::Answer { id, result });
            let words = format!("declined a question of the MCP server {}", form.server);
            out.event(Event::notice(Level::Warn, "refused_request", words));
            return;
        };
        let permission_id = id.get().trim_matches('"').to_owned();
        self.asks.insert(permission_id.clone(), (id.to_owned(), Ask::Form));
        let name = format!("mcp__{}__{}", form.server, call.tool_name);
        out.event(Event::PermissionRequest(PermissionRequest {
            permission_id,
            tool_id: self.items.open_call(&name),
            name,
            args: call.tool_params.map(Json::from_raw).unwrap_or_default(),
            kind: ToolKind::Other,
            reason: None,
        }));
    }

    fn permission(&mut self, id: &str, answer: Decision, out: &mut Out) {
        let Some((id, ask)) = self.asks.remove(id) else { return };
        let word = match answer {
            Decision::Allow => "accept",
            Decision::Deny => "decline",
        };
        let result = match ask {
            Ask::Approval => json!({"decision": word}),
            Ask::Form => json!({"action": word}),
        };
        out.stdin_line(&Say::Answer { id: &id, result });
    }

    fn send_steers(&mut self, out: &mut Out) {
        let (Some(thread), Some(turn)) = (&self.thread_id, &self.turn) else { return };
        let (thread, turn) = (thread.clone(), turn.id.clone());
        for text in std::mem::take(&mut self.steers) {
            let input = json!([{"type": "text", "text": text}]);
            let params = json!({"threadId": thread, "expectedTurnId": turn, "input": input});
            self.waiting.sent(&text);
            self.ask(Asked::Steer, "turn/steer", params, out);
            self.said.insert(self.requests, text);
        }
    }

    /// Codex has put words of the user into the conversation: the prompt first.
    fn heard(&mut self, text: &str, out: &mut Out) {
        if std::mem::replace(&mut self.prompted, true) {
            self.waiting.taken(text, out);
        }
    }

    fn send_interrupt(&mut self, out: &mut Out) {
        if let (Some(thread), Some(turn), false) =
            (&self.thread_id, &self.turn, self.interrupt_sent)
        {
            let params = json!({"threadId": thread, "turnId": turn.id});
            self.interrupt_sent = true;
            self.ask(Asked::Interrupt, "turn/interrupt", params, out);
        }
    }

    /// Ends an attempt that has no turn yet, or never will.
    fn fail(&mut self, kind: FailureKind, message: &str, out: &mut Out) {
        self.end_turn(Some(Failure::new(kind, message)), None, out);
    }

    fn end_turn(&mut self, failure: Option<Failure>, duration_ms: Option<u64>, out: &mut Out) {
        (self.turn, self.completed) = (None, None);
        self.last_words.went_on();
        self.turns.ended();
        self.turns_ended += 1;
        (self.interrupt, self.interrupt_sent) = (false, false);
        let end = self.items.said(failure).end(out);
        let usage = Usage { duration_ms, ..self.usage_of_turn() };
        self.waited = end.failure.is_none()
            && self.helpers.are_open()
            && !(self.is_gone || self.is_partial || self.is_stopping);
        // What a helper has begun and not reported is lost with it.
        self.is_partial |= self.helpers.are_open() && !self.waited;
        self.helpers.turn_ended(out);
        if self.waited && self.helpers.have_answered() {
            self.last_words.said_for(HELPER_END, out);
        }
        out.turn_ended(AttemptEnd {
            usage: if std::mem::take(&mut self.is_partial) {
                last_words::used(usage)
            } else {
                usage
            },
            session_id: self.thread_id.clone(),
            model: self.model.clone(),
            ..end
        });
        if !self.waited {
            out.close_stdin();
        }
    }

    /// What the run's own thread and its helpers have used.
    fn usage(&self) -> Usage {
        let mut usage = self.meter.usage();
        usage.add(&self.helpers.usage());
        usage
    }

    /// The same, but for what was reported with a turn before.
    fn usage_of_turn(&self) -> Usage {
        let mut usage = self.meter.usage();
        usage.add(&self.helpers.unreported());
        usage
    }

    /// True while the end of a turn is to come.
    fn is_open(&self) -> bool {
        self.completed.is_none() && (self.turns_ended == 0 || self.turn.is_some())
    }

    fn exit(&mut self, exit: Exit, out: &mut Out) {
        self.is_gone = true;
        if self.completed.is_some() {
            return self.end_completed(out);
        }
        if std::mem::take(&mut self.waited) {
            return self.report_helpers(true, out);
        }
        if !self.is_open() {
            return;
        }
        let failure = exit::failure("codex", exit, self.interrupt, self.initialized, &self.stderr);
        let mut failure = self.doubt.explain(failure);
        let own_fault = !self.request.extra_args.is_empty();
        if !self.initialized && failure.kind == FailureKind::InvalidRequest && !own_fault {
            // It never spoke the protocol: an older Codex that takes `app-server` for something else.
            failure.kind = FailureKind::VersionUnsupported;
        }
        self.end_turn(Some(failure), None, out);
    }
}

fn names_a_thread(params: &str) -> bool {
    decode::<ThreadNamed<'_>>(params).is_some_and(|params| params.thread_id.is_some())
}

fn tell_of_another(words: &str, out: &mut Out) {
    out.event(Event::notice(Level::Warn, "another_turn", words));
}
