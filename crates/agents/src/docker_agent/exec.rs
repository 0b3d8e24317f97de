//! `docker-agent run --exec --json`: a line an event, of the agent and of those that it hands tasks to.

use super::asides::is_aside;
use super::classify::GaveUp;
use super::last_error::LastError;
use super::wire::{Definition, Line, Report, Tokens, ToolCall};
use super::{classify, own_commands, tools};
use crate::RunRequest;
use crate::framing::{Claim, Doubt, Objects, read_line};
use crate::lines;
use crate::news::News;
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol};
use crate::stderr::StderrTail;
use crate::verdict::{self, Said};
use crate::wire::decode;
use belay_trace::{
    Compaction, CompactionStatus, Context, ContextSource, CostSource, Denial, Event,
    EvidenceSource, Failure, FailureKind, Json, Level, ModelUsage, PermissionDenied, Reasoning,
    Retry, SessionStarted, Text, TextRetracted, ToolCallDelta, ToolCallStart, ToolId, ToolResult,
    TurnStarted, Usage, UsageReport, plain,
};
use serde_json::value::RawValue;
use std::collections::HashSet;

/// The state of one stream.
#[derive(Debug, Default)]
pub(super) struct Exec {
    prompt: String,
    /// The session of the agent that was started; others are those of agents that it hands tasks to.
    root: Option<String>,
    model: Option<String>,
    /// Why the last response ended.
    finish_reason: Option<String>,
    /// What may be told again.
    news: News,
    turn_ended: bool,
    /// The model is writing a response.
    responding: bool,
    responses: u64,
    /// The text of the root's last response, and whether no tool call comes behind it.
    answer: String,
    is_last: bool,
    /// The root has called a tool.
    acted: bool,
    /// A tool was called, and nothing has come of a model since.
    is_behind_tool: bool,
    /// The last call has returned.
    has_returned: bool,
    /// The next report without a response is that of a summary.
    is_summarized: bool,
    /// The text of the response that is being written, whoever writes it.
    said: String,
    usage: Usage,
    /// Calls that have begun to be written.
    begun: HashSet<String>,
    /// Open calls that hand a task over.
    transfers: Vec<ToolId>,
    /// The sessions that work on such tasks, and the calls behind them, innermost last.
    subs: Vec<(String, Option<ToolId>)>,
    denials: Vec<Denial>,
    failure: Option<Failure>,
    /// It is an error behind which the model may still be asked again.
    error: Tried,
    /// It has tried again what has failed, and gave up.
    has_retried: bool,
    interrupted: bool,
    seen_stdout: bool,
    stderr: StderrTail,
    /// Why it gives up.
    last_error: LastError,
    doubt: Doubt,
    /// What was done to the prompt so that the model reads all of it.
    kept: Option<String>,
}

impl Exec {
    pub(super) fn new(request: &RunRequest) -> Self {
        let own_commands::Kept { prompt, words: kept } =
            own_commands::keep(&request.composed_prompt());
        Self { prompt, kept, ..Self::default() }
    }
}

impl Protocol for Exec {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => {
                if let Some(words) = self.kept.take() {
                    out.event(Event::notice(Level::Info, "prompt_escaped", words));
                }
                out.stdin(self.prompt.clone().into_bytes());
                out.close_stdin();
            }
            Input::Stdout(line) => read_line(line, out, self),
            Input::Stderr(line) => {
                self.last_error.line(&plain(&lines::text(line)));
                self.stderr.line(line, out);
            }
            Input::Steer(_) => out.cannot("steer"),
            Input::Interrupt => {
                self.interrupted = true;
                out.cannot("interrupt");
            }
            Input::Permission { .. }
            | Input::Timer(_)
            | Input::Http { .. }
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

impl Objects for Exec {
    fn read(&mut self, text: &str, out: &mut Out) -> Option<()> {
        let line = decode::<Line<'_>>(text)?;
        self.seen_stdout = true;
        self.line(line, out)
    }

    fn claim(&self, text: &str) -> Claim {
        let Some(line) = decode::<Line<'_>>(text) else { return Claim::Foreign };
        let theirs = line.session_id.as_ref();
        let is_root = self.root.is_some() && self.root.as_ref() == theirs;
        let is_sub = |theirs: &String| self.subs.iter().any(|(sub, _)| sub == theirs);
        match line.kind.as_ref() {
            "stream_stopped" if is_root => Claim::end_if(!self.turn_ended),
            "stream_stopped" => Claim::message_if(theirs.is_some_and(is_sub)),
            // Begins the session, or that of a task that was handed over.
            "stream_started" => {
                let is_task = !self.transfers.is_empty();
                Claim::message_if(theirs.is_some() && (self.root.is_none() || is_root || is_task))
            }
            _ => Claim::message_if(self.root.is_none() || is_root || theirs.is_none_or(is_sub)),
        }
    }

    fn doubt(&mut self) -> &mut Doubt {
        &mut self.doubt
    }
}

impl Exec {
    fn line(&mut self, line: Line<'_>, out: &mut Out) -> Option<()> {
        let parent = self.parent(line.session_id.as_deref());
        match line.kind.as_ref() {
            "agent_info" => self.model = self.model.take().or(line.model),
            "stream_started" => self.stream_started(line.session_id, out),
            "stream_stopped" => self.stream_stopped(&line, out),
            "agent_choice" => {
                let text = line.content?.into_owned();
                let message_id = Some(self.respond(parent.as_ref(), out));
                self.said.push_str(&text);
                if parent.is_none() {
                    self.answer.push_str(&text);
                    self.is_last |= !text.trim().is_empty();
                }
                out.event_under(parent, Event::Text(Text { text, message_id }));
            }
            "agent_choice_reasoning" => {
                let reasoning = line.content?.into_owned();
                let message_id = Some(self.respond(parent.as_ref(), out));
                out.event_under(parent, Event::Reasoning(Reasoning { reasoning, message_id }));
            }
            "partial_tool_call" => self.piece(line.tool_call?, parent, out),
            "tool_call" => self.call(line.tool_call?, line.tool_definition.as_ref(), parent, out),
            "tool_call_response" => self.returned(line, parent, out),
            // What a tool prints, and what is done before the first request.
            "tool_call_output"
            | "shell"
            | "mcp_init_started"
            | "mcp_init_finished"
            | "rag_indexing_started"
            | "rag_indexing_progress"
            | "rag_indexing_completed" => {
                let call = line.tool_call.as_ref().and_then(|call| call.id.as_ref());
                let of = (&line.tool_call_id, call);
                let state =
                    format!("{of:?} {:?} {:?} {:?}", line.content, line.status, line.message);
                if self.news.is_new(&line.kind, &state) {
                    out.progress();
                }
            }
            "tool_call_confirmation" => self.denied(line.tool_call?, parent, out),
            "token_usage" => self.used(line.usage?, parent, out),
            "session_compaction" => {
                self.is_summarized = true;
                compaction(&line, out);
            }
            "error" => {
                let message = line.error.unwrap_or_default();
                // What has gone wrong for a subagent, its caller reads and goes on.
                if parent.is_none() {
                    self.failure = Some(classify::of_error(&message, line.code.as_deref()));
                    self.error = Tried::Once;
                }
                out.event_under(parent, Event::notice(Level::Error, "error", message));
            }
            "max_iterations_reached" => {
                let max = line.max_iterations.unwrap_or_default();
                let words = format!("the agent has used all its {max} iterations");
                if parent.is_none() {
                    // With --yolo it goes on by itself: then this was no more than a notice.
                    self.failure = Some(Failure::new(FailureKind::LimitReached, words.clone()));
                    self.error = Tried::AtLimit;
                }
                out.event_under(parent, Event::notice(Level::Warn, "max_iterations", words));
            }
            "model_fallback" => {
                let part = |part: Option<String>| part.unwrap_or_default();
                let (from, to) = (part(line.failed_model), part(line.fallback_model));
                let words = format!("{from} fell back to {to}: {}", part(line.reason));
                self.retract(parent, out);
                out.event(Event::notice(Level::Warn, "model_fallback", words));
            }
            "warning" => {
                out.event(Event::notice(Level::Warn, "warning", line.message.unwrap_or_default()));
            }
            kind @ ("elicitation_request"
            | "authorization_event"
            | "hook_blocked"
            | "connection_lost") => {
                let words = line.message.unwrap_or_else(|| kind.to_owned());
                out.event(Event::notice(Level::Warn, "docker_agent", words));
            }
            kind if is_aside(kind) => {}
            _ => return None,
        }
        Some(())
    }

    /// The call of the agent that a line of this session belongs to; none for the root's own. One whose call is not
    /// known goes by the name of its session: it is not the root's either.
    fn parent(&self, session: Option<&str>) -> Option<ToolId> {
        let Some(session) = session else {
            return self.subs.last().and_then(|(_, call)| call.clone());
        };
        if self.root.as_deref().is_none_or(|root| root == session) {
            return None;
        }
        let sub = self.subs.iter().rev().find(|(sub, _)| sub == session);
        sub.and_then(|(_, call)| call.clone()).or_else(|| Some(ToolId::from(session)))
    }

    fn stream_started(&mut self, session: Option<String>, out: &mut Out) {
        let Some(session) = session else {
            if self.root.is_none() {
                self.begin();
            }
            return;
        };
        match &self.root {
            Some(root) if *root != session => {
                self.subs.push((session, self.transfers.last().cloned()));
            }
            Some(_) => self.begin(),
            None => {
                self.root = Some(session.clone());
                self.begin();
                let (session_id, model) = (session, self.model.clone());
                out.event(Event::SessionStarted(SessionStarted {
                    session_id,
                    model,
                    ..Default::default()
                }));
            }
        }
    }

    /// A turn of the root begins, once more if one has ended.
    fn begin(&mut self) {
        if std::mem::take(&mut self.turn_ended) {
            (self.usage, self.responses) = (Usage::default(), 0);
            (self.failure, self.error, self.responding) = (None, Tried::No, false);
            (self.acted, self.is_last, self.is_behind_tool) = (false, false, false);
            self.answer.clear();
        }
    }

    fn stream_stopped(&mut self, line: &Line<'_>, out: &mut Out) {
        let session = line.session_id.as_deref();
        if let (Some(root), Some(session)) = (&self.root, session)
            && root != session
        {
            self.subs.retain(|(sub, _)| sub != session);
            return;
        }
        let goes_on = matches!(line.reason.as_deref(), Some("continue" | "steered"));
        if goes_on || self.turn_ended {
            return;
        }
        let failure = self.failure.take().or_else(|| classify::of_reason(line.reason.as_deref()));
        let finish = self.finish_reason.as_deref();
        let failure =
            failure.or_else(|| verdict::unfinished("finish_reason", finish.unwrap_or_default()));
        let failure = match failure {
            // The older version stops without a reason, also when it was told to.
            _ if self.interrupted => Some(Failure::new(FailureKind::Interrupted, "interrupted")),
            // No turn ends of itself where the model has not seen what its tools returned.
            None if line.reason.is_none() && self.is_behind_tool => {
                let words = "docker-agent was stopped while a tool was running";
                Some(Failure::new(FailureKind::Interrupted, words))
            }
            failure => failure,
        };
        self.end_turn(failure, out);
    }

    /// Says that a model responds, once for each response; gives the response's id.
    fn respond(&mut self, parent: Option<&ToolId>, out: &mut Out) -> String {
        self.is_behind_tool = false;
        if !self.responding {
            self.responding = true;
            self.responses += 1;
            self.said.clear();
            if parent.is_none() {
                self.answer.clear();
                self.goes_on(out);
            }
            out.event_under(
                parent.cloned(),
                Event::TurnStarted(TurnStarted {
                    message_id: Some(self.responses.to_string()),
                    model: self.model.clone().filter(|_| parent.is_none()),
                }),
            );
        }
        self.responses.to_string()
    }

    /// A response behind an error: the request was made again. One behind the limit of iterations: there are more.
    fn goes_on(&mut self, out: &mut Out) {
        match (self.error, &self.failure) {
            (Tried::Once, Some(failure)) => {
                self.error = Tried::Again;
                let reason = failure.message.clone();
                let kind = Some(failure.kind).filter(|kind| *kind != FailureKind::Unknown);
                out.event(Event::Retry(Retry { reason, kind, ..Retry::default() }));
            }
            (Tried::AtLimit, _) => (self.failure, self.error) = (None, Tried::No),
            _ => {}
        }
    }

    /// Another model begins the response anew.
    fn retract(&mut self, parent: Option<ToolId>, out: &mut Out) {
        if std::mem::take(&mut self.responding) {
            let (message_id, text) =
                (Some(self.responses.to_string()), std::mem::take(&mut self.said));
            if parent.is_none() {
                self.answer.clear();
            }
            out.event_under(parent, Event::TextRetracted(TextRetracted { message_id, text }));
        }
    }

    fn piece(&mut self, call: ToolCall, parent: Option<ToolId>, out: &mut Out) {
        self.respond(parent.as_ref(), out);
        let (name, args) = (tools::name(&call.function.name), call.function.arguments);
        if let Some(id) = &call.id
            && self.begun.insert(id.clone())
        {
            let start = ToolCallStart { tool_id: Some(ToolId(id.clone())), name: name.clone() };
            out.event_under(parent.clone(), Event::ToolCallStart(start));
        }
        if !args.is_empty() {
            let tool_id = call.id.map(ToolId);
            out.event_under(parent, Event::ToolCallDelta(ToolCallDelta { tool_id, name, args }));
        }
    }

    fn call(
        &mut self,
        call: ToolCall,
        definition: Option<&Definition>,
        parent: Option<ToolId>,
        out: &mut Out,
    ) {
        if parent.is_none() {
            (self.acted, self.is_last) = (true, false);
            self.goes_on(out);
        }
        (self.is_behind_tool, self.has_returned) = (true, false);
        let function = &call.function;
        let tool_id = call.id.map(ToolId);
        if function.name == tools::TRANSFER {
            self.transfers.extend(tool_id.clone());
        }
        let args = match decode::<&RawValue>(&function.arguments) {
            Some(args) => Json::from_raw(args),
            None => Json::from(serde_json::Value::from(function.arguments.as_str())),
        };
        out.event_under(
            parent,
            Event::ToolCall(belay_trace::ToolCall {
                tool_id,
                name: tools::name(&function.name),
                args,
                kind: tools::kind(&function.name, definition),
            }),
        );
    }

    fn returned(&mut self, line: Line<'_>, parent: Option<ToolId>, out: &mut Out) {
        let (of_call, of_name) = line.tool_call.map(|call| (call.id, call.function.name)).unzip();
        let of_call = of_call.flatten();
        let tool_id = line.tool_call_id.or(of_call).map(ToolId);
        // Whoever worked on a task is done when it is handed back.
        let of_task = tool_id.as_ref().filter(|id| self.transfers.contains(id));
        let parent = if of_task.is_some() {
            self.transfers.retain(|id| Some(id) != tool_id.as_ref());
            self.subs.retain(|(_, call)| *call != tool_id);
            self.parent(None)
        } else {
            parent
        };
        (self.is_behind_tool, self.has_returned) = (true, true);
        let result = line.result.unwrap_or_default();
        let name = line.tool_definition.and_then(|definition| definition.name);
        let output = line.response.or(result.output).unwrap_or_default();
        let failed = tools::failed_command(name.as_deref().or(of_name.as_deref()), &output);
        out.event_under(
            parent,
            Event::ToolResult(ToolResult {
                tool_id,
                name: name.as_deref().map(tools::name),
                tool_error: result.is_error || failed.is_some(),
                exit_code: failed.flatten(),
                output,
            }),
        );
    }

    /// In JSON mode there is nobody to confirm a call: Docker Agent rejects it at once.
    fn denied(&mut self, call: ToolCall, parent: Option<ToolId>, out: &mut Out) {
        let (tool_id, name) = (call.id.map(ToolId), tools::name(&call.function.name));
        self.denials.push(Denial { tool_id: tool_id.clone(), name: name.clone() });
        let reason = Some("docker-agent rejects in JSON mode what needs a confirmation".to_owned());
        out.event_under(
            parent,
            Event::PermissionDenied(PermissionDenied { tool_id, name, reason }),
        );
    }

    fn used(&mut self, report: Report, parent: Option<ToolId>, out: &mut Out) {
        if !self.news.is_new("token_usage", &format!("{report:?}")) && !self.responding {
            // Told again.
            return;
        }
        if let Some(used_tokens) = report.context_length.filter(|_| parent.is_none()) {
            out.event(Event::Context(Context {
                used_tokens,
                window_tokens: report.context_limit.filter(|limit| *limit > 0),
                source: ContextSource::Agent,
            }));
        }
        let Some(tokens) = report.last_message else {
            // A resumed session tells the figures of all before, and then begins. Behind that it is a response, or the
            // summary of a conversation, and nobody says what it has used.
            if self.root.is_some() && !self.turn_ended {
                self.responding = false;
                self.is_behind_tool &= std::mem::take(&mut self.is_summarized);
                self.usage.partial = true;
                out.event(Event::Usage(UsageReport { usage: self.usage.clone() }));
            }
            return;
        };
        (self.responding, self.is_behind_tool) = (false, false);
        if parent.is_none() && self.error == Tried::Again {
            // It ended well behind its error.
            (self.failure, self.error) = (None, Tried::No);
        }
        self.usage.add(&usage(&tokens, report.context_limit, parent.is_none()));
        if parent.is_none() {
            self.finish_reason = tokens.finish_reason.clone();
            let full = self.model.take().filter(|full| is_full_name(full, tokens.model.as_ref()));
            self.model = full.or(tokens.model);
        }
        out.event(Event::Usage(UsageReport { usage: self.usage.clone() }));
    }

    fn end_turn(&mut self, failure: Option<Failure>, out: &mut Out) {
        self.turn_ended = true;
        let reached = std::mem::take(&mut self.answer);
        let words = if self.is_last { reached.clone() } else { String::new() };
        let said = Said { failure, words, reached, acted: self.acted, ..Said::default() };
        let end = said.end(out);
        out.turn_ended(AttemptEnd {
            usage: self.usage.clone(),
            session_id: self.root.clone(),
            model: self.model.clone(),
            denials: std::mem::take(&mut self.denials),
            has_retried: self.has_retried,
            ..end
        });
    }

    /// True if its tools have returned, and their results went to no model.
    fn is_at_limit(&self) -> bool {
        self.is_behind_tool && self.has_returned && !self.interrupted
    }

    fn exit(&mut self, exit: Exit, out: &mut Out) {
        if self.turn_ended {
            return;
        }
        let gave_up = match self.failure.take() {
            Some(failure) => GaveUp { failure, has_retried: false },
            // At its limit of iterations it ends without a word, unless somebody at a terminal lets it go on.
            None if exit == Exit::Code(0) && self.is_at_limit() => {
                let words = "the agent reached the iteration limit of its file (max_iterations)";
                let failure = Failure::new(FailureKind::LimitReached, words).with(
                    EvidenceSource::Exit,
                    "code",
                    0,
                );
                GaveUp { failure, has_retried: false }
            }
            None => {
                let (stderr, error) = (&self.stderr, &self.last_error);
                classify::of_exit(exit, self.interrupted, self.seen_stdout, stderr, error)
            }
        };
        self.has_retried = gave_up.has_retried;
        let failure = self.doubt.explain(gave_up.failure);
        self.end_turn(Some(failure), out);
    }
}

/// How far the request is whose error was told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tried {
    #[default]
    No,
    Once,
    /// The model has begun another response behind it.
    Again,
    /// It is the limit of the agent's iterations, behind which it may go on.
    AtLimit,
}

/// `openai/gpt-4o` is the full name of `gpt-4o`.
fn is_full_name(full: &str, model: Option<&String>) -> bool {
    model.is_none_or(|model| full.rsplit('/').next() == Some(model))
}

fn usage(tokens: &Tokens, context_window: Option<u64>, is_root: bool) -> Usage {
    let sum = [
        tokens.input_tokens,
        tokens.output_tokens,
        tokens.cached_input_tokens,
        tokens.cached_write_tokens,
    ];
    // Where it has no price, it says 0. A negative zero would be read back as another number.
    let is_known = |cost: &f64| *cost > 0.0 || sum.iter().all(|tokens| *tokens == 0);
    let cost = tokens.cost.map(|cost| cost + 0.0).filter(is_known);
    let part = ModelUsage {
        input_tokens: tokens.input_tokens,
        output_tokens: tokens.output_tokens,
        cache_read_input_tokens: tokens.cached_input_tokens,
        cache_creation_input_tokens: tokens.cached_write_tokens,
        cost_usd: cost,
        context_window: context_window.filter(|limit| *limit > 0),
        ..ModelUsage::default()
    };
    Usage {
        input_tokens: Some(tokens.input_tokens),
        output_tokens: Some(tokens.output_tokens),
        cache_read_input_tokens: Some(tokens.cached_input_tokens),
        cache_creation_input_tokens: Some(tokens.cached_write_tokens),
        reasoning_output_tokens: tokens.reasoning_tokens,
        total_cost_usd: cost,
        num_turns: Some(u64::from(is_root)),
        cost_source: if cost.is_some() { CostSource::Reported } else { CostSource::Unknown },
        models: tokens.model.clone().map(|model| (model, part)).into_iter().collect(),
        ..Usage::default()
    }
}

fn compaction(line: &Line<'_>, out: &mut Out) {
    let status = match (line.status.as_deref(), line.outcome.as_deref()) {
        (_, Some("failed" | "error")) | (Some("failed"), _) => CompactionStatus::Failed,
        (Some("completed"), _) | (_, Some(_)) => CompactionStatus::Completed,
        _ => CompactionStatus::Started,
    };
    out.event(Event::Compaction(Compaction { status, message: line.outcome.clone() }));
}
