//! The spans of one attempt: the agent's own, its model's responses, its tools, and its subagents.

use super::super::provider::provider;
use super::names;
use super::responses::Responses;
use super::span::{Attributes, Span, cut};
use crate::trace_context::{SpanId, attempt_id, span_id};
use belay_trace::{
    AttemptEnded, CompactionStatus, Event, Record, SessionStarted, ToolCall, ToolId, ToolResult,
    TurnStarted,
};
use jiff::Timestamp;
use std::collections::HashMap;

/// An attempt at work.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    span: Span,
    run: String,
    attempt: u32,
    /// The one that was asked for, until the agent says which one it has.
    model: Option<String>,
    session: Option<String>,
    responses: Responses,
    tools: HashMap<ToolId, Tool>,
    /// Tools that have no id are not paired with their results: they are over when the next thing happens.
    nameless: Option<Span>,
    with_content: bool,
}

#[derive(Clone, Debug)]
struct Tool {
    /// None when it has returned.
    span: Option<Span>,
    /// The agent that it is, if it is one.
    agent: Option<Span>,
    id: SpanId,
    agent_id: SpanId,
    agent_name: String,
}

impl Attempt {
    pub(super) fn new(span: Span, record: &Record, with_content: bool) -> Self {
        let (mut span, run) = (span, record.run.clone());
        span.id = attempt_id(&run, record.attempt);
        span.name = format!("invoke_agent {}", record.agent);
        span.set(names::KIND, "AGENT");
        span.set(names::OPERATION, "invoke_agent");
        span.set(names::AGENT, &record.agent);
        span.set(names::ATTEMPT, i64::from(record.attempt));
        Self {
            span,
            run,
            attempt: record.attempt,
            model: None,
            session: None,
            responses: Responses::default(),
            tools: HashMap::new(),
            nameless: None,
            with_content,
        }
    }

    /// The agent's own session, once it is known.
    pub(super) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Takes what has happened; what is finished goes to `done`.
    pub(super) fn push(&mut self, record: &Record, done: &mut Vec<Span>) {
        let (of, at) = (record.parent_tool_id.as_ref(), record.ts);
        if let Some(mut span) = self.nameless.take() {
            span.end = at;
            done.push(span);
        }
        match &record.event {
            Event::AttemptStarted(started) => {
                self.responses.ask(None, at);
                if let Some(model) = &started.model {
                    self.span.set(names::REQUEST_MODEL, model);
                    self.runs(model);
                }
            }
            Event::SessionStarted(session) => {
                self.responses.ask(of, at);
                self.opened(session);
            }
            Event::TurnStarted(turn) => self.begin_response(record, turn),
            Event::Text(text) => {
                self.responses.touch(of, at);
                self.say(of, &text.text, false);
            }
            Event::Reasoning(reasoning) => {
                self.responses.touch(of, at);
                self.say(of, &reasoning.reasoning, true);
            }
            Event::TextRetracted(_) => self.responses.retract(of),
            Event::ToolCallStart(_) | Event::ToolCallDelta(_) => self.responses.touch(of, at),
            Event::ToolCall(call) => {
                self.responses.touch(of, at);
                if let Some(id) = &call.tool_id {
                    self.responses.ask(Some(id), at);
                }
                self.begin_tool(record, call);
            }
            Event::ToolResult(result) => {
                self.responses.over(of);
                self.responses.ask(of, at);
                self.end_tool(result, at, done);
            }
            Event::Usage(report) => {
                self.responses.touch(of, at);
                self.responses.sum(of, &report.usage);
            }
            Event::Context(context) => self.responses.context(of, context),
            other => {
                // What else the model is given, or waits for.
                if matches!(
                    other,
                    Event::Steered(_) | Event::Compaction(_) | Event::BackgroundTasks(_)
                ) {
                    self.responses.ask(of, at);
                }
                self.note(at, other);
            }
        }
    }

    /// The attempt is over: its own span, which is last to be finished, and before it everything else.
    pub(super) fn end(mut self, ended: &AttemptEnded, at: Timestamp, done: &mut Vec<Span>) -> Span {
        done.extend(self.nameless.take());
        let mut tools: Vec<_> = self.tools.drain().map(|(_, tool)| tool).collect();
        tools.sort_by_key(|tool| tool.id);
        for tool in tools {
            for mut span in [tool.agent, tool.span].into_iter().flatten() {
                span.end = at;
                span.set(names::ERROR, "unfinished");
                span.error = Some("the agent was gone before it returned".to_owned());
                done.push(span);
            }
        }
        if let Some(session) = &ended.session_id {
            self.span.set(names::CONVERSATION, session);
        }
        let number = self.attempt.to_string();
        self.span.end = at;
        self.span.fail(ended.failure.as_ref());
        self.span.set_some(names::EXIT_CODE, ended.exit_code.map(i64::from));
        self.span.totals(&ended.usage);
        let mut stand_in =
            self.response(self.span.start, &["response", &self.run, &number, "all"], None);
        stand_in.end = at;
        done.extend(std::mem::take(&mut self.responses).end(&ended.usage, stand_in));
        self.span
    }

    fn runs(&mut self, model: &str) {
        self.model = Some(model.to_owned());
        self.span.set_some(names::PROVIDER, provider(model));
    }

    fn opened(&mut self, session: &SessionStarted) {
        self.span.set(names::CONVERSATION, &session.session_id);
        self.session = Some(session.session_id.clone());
        self.span.set_some(names::AGENT_VERSION, session.agent_version.as_ref());
        if let Some(model) = &session.model {
            self.span.set(names::RESPONSE_MODEL, model);
            self.runs(model);
        }
    }

    fn say(&mut self, of: Option<&ToolId>, text: &str, is_reasoning: bool) {
        if self.with_content {
            self.responses.say(of, text, is_reasoning);
        }
    }

    fn begin_response(&mut self, record: &Record, turn: &TurnStarted) {
        let of = record.parent_tool_id.as_ref();
        let seq = record.seq.to_string();
        let mut span =
            self.response(record.ts, &["response", &self.run, &seq], turn.model.as_deref());
        span.parent = Some(self.place(of, record.ts));
        span.set_some(names::RESPONSE_ID, turn.message_id.as_ref());
        self.responses.begin(span, of);
    }

    fn response(&self, start: Timestamp, id: &[&str], model: Option<&str>) -> Span {
        let asked = self.span.get(names::REQUEST_MODEL).cloned();
        let model = model.or(self.model.as_deref());
        let name = model.map_or_else(|| "chat".to_owned(), |model| format!("chat {model}"));
        let mut span = Span::new(self.span.trace, span_id(id), Some(self.span.id), name, start);
        span.is_client = true;
        span.set(names::KIND, "LLM");
        span.set(names::OPERATION, "chat");
        span.set_some(names::PROVIDER, model.and_then(provider));
        span.set_some(names::REQUEST_MODEL, asked.or_else(|| model.map(Into::into)));
        span.set_some(names::RESPONSE_MODEL, model);
        span.set_some(names::CONVERSATION, self.session.as_ref());
        span
    }

    fn begin_tool(&mut self, record: &Record, call: &ToolCall) {
        let seq = record.seq.to_string();
        let id = span_id(&["tool", &self.run, &seq]);
        let parent = self.place(record.parent_tool_id.as_ref(), record.ts);
        let name = format!("execute_tool {}", call.name);
        let mut span = Span::new(self.span.trace, id, Some(parent), name, record.ts);
        span.set(names::KIND, "TOOL");
        span.set(names::OPERATION, "execute_tool");
        span.set(names::TOOL, &call.name);
        span.set(names::TOOL_TYPE, "function");
        span.set_some(names::TOOL_CALL, call.tool_id.as_ref().map(|id| &id.0));
        // `mcp__server__tool` on every agent.
        let mcp = call.name.strip_prefix("mcp__").and_then(|name| name.split_once("__"));
        if let Some((server, _)) = mcp {
            span.set(names::MCP_METHOD, "tools/call");
            span.set(names::MCP_SERVER, server);
        }
        if self.with_content {
            span.set(names::TOOL_ARGUMENTS, cut(call.args.get()));
            span.set(names::INPUT_VALUE, cut(call.args.get()));
        }
        let Some(tool_id) = call.tool_id.clone() else {
            self.nameless = Some(span);
            return;
        };
        let agent_id = span_id(&["subagent", &self.run, &seq]);
        let agent_name = call.args.to_value()["subagent_type"].as_str().map(str::to_owned);
        let agent_name = agent_name.unwrap_or_else(|| call.name.clone());
        let tool = Tool { span: Some(span), agent: None, id, agent_id, agent_name };
        self.tools.insert(tool_id, tool);
    }

    fn end_tool(&mut self, result: &ToolResult, at: Timestamp, done: &mut Vec<Span>) {
        let Some(tool) = result.tool_id.as_ref().and_then(|id| self.tools.get_mut(id)) else {
            return;
        };
        if let Some(mut agent) = tool.agent.take() {
            agent.end = at;
            done.push(agent);
        }
        let Some(mut span) = tool.span.take() else { return };
        span.end = at;
        if result.tool_error {
            span.set(names::ERROR, "tool_error");
            span.set_some(names::EXIT_CODE, result.exit_code.map(i64::from));
            span.error = Some(match result.exit_code {
                Some(code) => format!("exit code {code}"),
                None => "the tool failed".to_owned(),
            });
        }
        if self.with_content {
            span.set(names::TOOL_OUTPUT, cut(&result.output));
            span.set(names::OUTPUT_VALUE, cut(&result.output));
        }
        done.push(span);
    }

    /// What something stands under: the agent, or the subagent that is this tool call. A subagent begins when it is
    /// first heard of.
    fn place(&mut self, of: Option<&ToolId>, at: Timestamp) -> SpanId {
        let Some(tool) = of.and_then(|id| self.tools.get_mut(id)) else { return self.span.id };
        if tool.agent.is_none() && tool.span.is_some() {
            let name = format!("invoke_agent {}", tool.agent_name);
            let mut span = Span::new(self.span.trace, tool.agent_id, Some(tool.id), name, at);
            span.set(names::KIND, "AGENT");
            span.set(names::OPERATION, "invoke_agent");
            span.set(names::AGENT, &tool.agent_name);
            tool.agent = Some(span);
        }
        // What a subagent in the background does after its tool has returned.
        if tool.agent.is_none() { tool.id } else { tool.agent_id }
    }

    /// What is no span of its own.
    fn note(&mut self, at: Timestamp, event: &Event) {
        let none = Attributes::default;
        let (name, attributes) = match event {
            Event::Retry(retry) => {
                let kind = retry.kind.map_or("_OTHER", |kind| kind.name());
                let status = retry.status.map(i64::from);
                let attributes = none().with(names::ERROR, kind);
                let attributes = match status {
                    Some(status) => attributes.with("http.response.status_code", status),
                    None => attributes,
                };
                ("belay.retry", attributes)
            }
            Event::RateLimit(limit) if limit.rejected => ("belay.rate_limit", none()),
            Event::Compaction(it) if it.status == CompactionStatus::Completed => {
                ("belay.compaction", none())
            }
            Event::PermissionRequest(it) => {
                ("belay.permission", none().with(names::TOOL, &it.name))
            }
            Event::PermissionDenied(it) => {
                ("belay.permission_denied", none().with(names::TOOL, &it.name))
            }
            // The words of the caller are content.
            Event::Steered(it) => {
                let attributes = none().with(names::DELIVERED, it.delivered);
                let attributes = match self.with_content {
                    true => attributes.with(names::INPUT_VALUE, cut(&it.text)),
                    false => attributes,
                };
                ("belay.steered", attributes)
            }
            Event::Interrupted(_) => ("belay.interrupted", none()),
            Event::ObserverDropped(_) => ("belay.observer_dropped", none()),
            Event::LogDegraded(_) => ("belay.log_degraded", none()),
            _ => return,
        };
        self.span.event(at, name, attributes);
    }
}
