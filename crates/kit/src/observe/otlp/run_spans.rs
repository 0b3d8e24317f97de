//! From the records of a run to spans: a pure function of them, so that a stored run gives the same spans.
//!
//! ```text
//! invoke_workflow TRACE         of a trace; or of a lone run of several attempts
//!   phase NAME                  if the caller has named one
//!     invoke_agent AGENT        an attempt; tokens and cost of all below under names of our own
//!       chat MODEL              a response of the model: here stand tokens and cost, and nowhere else
//!       execute_tool NAME
//!         invoke_agent SUB      a subagent
//! ```

use super::attempt::Attempt;
use super::names;
use super::span::{Span, cut};
use crate::trace_context::{OtelTraceId, Parent, SpanId, span_id, trace_id};
use belay_trace::{
    AttemptEnded, Event, Failure, FailureKind, Node, Record, RunResult, RunStarted, TraceEnd,
    TraceStart,
};
use jiff::Timestamp;
use serde_json::json;

/// What is said with every span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Prompts, answers, and what tools were told and have said.
    pub(crate) with_content: bool,
    /// The session of observers that the run's trace belongs to.
    pub(crate) session: Option<String>,
}

/// Makes the spans of one run.
#[derive(Clone, Debug)]
pub(crate) struct RunSpans {
    options: Options,
    run: String,
    /// The trace, if it is not the run's own.
    belay_trace: Option<String>,
    trace: OtelTraceId,
    parent: Option<SpanId>,
    sampled: bool,
    start: Timestamp,
    phase: Option<Span>,
    attempt: Option<Attempt>,
    /// What is above the responses and tools waits until it is known what the run came to.
    above: Vec<Span>,
    attempts: u32,
    /// The agent's own session, once an attempt with one has ended.
    session: Option<String>,
    /// Where the last attempt is among those above, and why it was not the last.
    before: Option<(SpanId, Option<FailureKind>)>,
    result: Option<RunResult>,
    last: Timestamp,
    done: Vec<Span>,
}

impl RunSpans {
    /// The spans of the run that this record is the first of, if it is.
    pub(crate) fn begin(record: &Record, options: Options) -> Option<Self> {
        let Event::RunStarted(started) = &record.event else { return None };
        let (belay_trace, inbound) = (own_trace(record, started), inbound(started));
        let of = belay_trace.as_deref().unwrap_or(&record.run);
        let parent = match &belay_trace {
            Some(trace) => Some(root_id(trace)),
            None => inbound.map(|parent| parent.span),
        };
        Some(Self {
            options,
            run: record.run.clone(),
            trace: inbound.map_or_else(|| trace_id(of), |parent| parent.trace),
            belay_trace,
            parent,
            sampled: inbound.is_none_or(|parent| parent.sampled),
            start: record.ts,
            phase: None,
            attempt: None,
            above: Vec::new(),
            attempts: 0,
            session: None,
            before: None,
            result: None,
            last: record.ts,
            done: Vec::new(),
        })
    }

    /// False if whoever has begun the trace wants nobody to record it.
    pub(crate) fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Takes the next record.
    pub(crate) fn push(&mut self, record: &Record) {
        self.last = record.ts;
        match &record.event {
            Event::Phase(phase) => {
                self.end_phase(record.ts, None);
                let seq = record.seq.to_string();
                let id = span_id(&["phase", &self.run, &seq]);
                let name = format!("phase {}", phase.phase_name);
                // Starting the agent is part of the first one.
                let start = if self.attempts == 0 { self.start } else { record.ts };
                let mut span = Span::new(self.trace, id, self.parent, name, start);
                span.set(names::KIND, "CHAIN");
                span.set(names::PHASE, &phase.phase_name);
                self.phase = Some(span);
            }
            Event::AttemptStarted(_) => {
                self.begin_attempt(record);
                self.of_attempt(record);
            }
            Event::AttemptEnded(ended) => self.end_attempt(record, ended),
            Event::Failover(failover) => self.go_on(failover.failure.kind),
            Event::Retry(retry) if retry.failure.is_some() => {
                let kind = retry.failure.as_ref().map(|failure| failure.kind);
                self.go_on(kind.unwrap_or(FailureKind::Unknown));
            }
            Event::Result(result) => {
                self.result = Some(result.clone());
                self.end_phase(record.ts, Some(result));
            }
            _ => self.of_attempt(record),
        }
    }

    /// What is finished by now.
    pub(crate) fn take(&mut self) -> Vec<Span> {
        let mut done = std::mem::take(&mut self.done);
        done.iter_mut().for_each(|span| self.sign(span));
        done
    }

    /// Everything that is left of a run: it has ended, or it was killed.
    pub(crate) fn finish(mut self, prompt: Option<&str>) -> Vec<Span> {
        if self.result.is_none() {
            let failure = Failure::new(FailureKind::Crashed, "belay was killed in mid-run");
            let ended = AttemptEnded { failure: Some(failure.clone()), ..AttemptEnded::default() };
            if let Some(attempt) = self.attempt.take() {
                let span = attempt.end(&ended, self.last, &mut self.done);
                self.above.push(span);
            }
            let result = RunResult { failure: Some(failure), ..RunResult::default() };
            self.end_phase(self.last, Some(&result));
            self.result = Some(result);
        }
        self.put_root();
        if let Some(prompt) = prompt.filter(|_| self.options.with_content) {
            self.put_content(prompt);
        }
        let mut above = std::mem::take(&mut self.above);
        self.done.append(&mut above);
        self.take()
    }

    fn begin_attempt(&mut self, record: &Record) {
        self.attempts += 1;
        let parent = self.phase.as_ref().map(|phase| phase.id).or(self.parent);
        let mut span = Span::new(self.trace, [0; 8], parent, "", record.ts);
        if let Some((before, why)) = self.before.take() {
            span.link = Some(before);
            span.set_some(names::FAILOVER, why.map(FailureKind::name));
        }
        self.attempt = Some(Attempt::new(span, record, self.options.with_content));
    }

    fn of_attempt(&mut self, record: &Record) {
        if let Some(attempt) = &mut self.attempt {
            attempt.push(record, &mut self.done);
        }
    }

    /// One that could not even start is one all the same.
    fn end_attempt(&mut self, record: &Record, ended: &AttemptEnded) {
        if self.attempt.is_none() {
            self.begin_attempt(record);
        }
        let Some(attempt) = self.attempt.take() else { return };
        let session = attempt.session().map(str::to_owned).or_else(|| ended.session_id.clone());
        self.session = session.or_else(|| self.session.take());
        let mut span = attempt.end(ended, record.ts, &mut self.done);
        let done = self.take();
        self.done = done;
        self.sign(&mut span);
        self.before = Some((span.id, None));
        self.above.push(span);
    }

    fn go_on(&mut self, kind: FailureKind) {
        if let Some((_, why)) = &mut self.before {
            *why = Some(kind);
        }
    }

    fn end_phase(&mut self, at: Timestamp, result: Option<&RunResult>) {
        let Some(mut phase) = self.phase.take() else { return };
        phase.end = at;
        if let Some(result) = result {
            phase.fail(result.failure.as_ref());
            phase.totals(&result.usage);
        }
        self.above.push(phase);
    }

    /// Several attempts of a lone run need something that they stand under.
    fn put_root(&mut self) {
        let is_headless = |span: &&mut Span| span.parent == self.parent;
        let mut top: Vec<_> = self.above.iter_mut().filter(is_headless).collect();
        if self.belay_trace.is_some() || top.len() < 2 {
            return;
        }
        let id = span_id(&["run", &self.run]);
        top.iter_mut().for_each(|span| span.parent = Some(id));
        let mut root = workflow(self.trace, id, self.parent, "run", self.start);
        root.end = self.last;
        if let Some(result) = &self.result {
            root.fail(result.failure.as_ref());
            root.totals(&result.usage);
        }
        self.above.push(root);
    }

    fn put_content(&mut self, prompt: &str) {
        let prompt = cut(prompt);
        let answer = self.result.as_ref().map_or("", |result| cut(&result.result));
        let answered = self.above.iter().rposition(|span| is_attempt(span) && span.error.is_none());
        for (n, span) in self.above.iter_mut().enumerate() {
            span.set(names::INPUT_VALUE, prompt);
            let message =
                |role, text| json!([{"role": role, "parts": [{"type": "text", "content": text}]}]);
            if is_attempt(span) {
                span.set(names::INPUT_MESSAGES, message("user", prompt).to_string());
            }
            if answer.is_empty() || is_attempt(span) && Some(n) != answered {
                continue;
            }
            span.set(names::OUTPUT_VALUE, answer);
            if is_attempt(span) {
                span.set(names::OUTPUT_MESSAGES, message("assistant", answer).to_string());
            }
        }
    }

    /// What stands on every span.
    fn sign(&self, span: &mut Span) {
        span.set(names::RUN, &self.run);
        span.set_some(names::TRACE, self.belay_trace.as_ref());
        // That of an attempt was known when it ended.
        if span.get(names::SESSION).is_none() {
            let of_agent = self.attempt.as_ref().and_then(Attempt::session);
            let session = self.options.session.as_deref().or(of_agent).or(self.session.as_deref());
            span.set_some(names::SESSION, session);
        }
    }
}

fn is_attempt(span: &Span) -> bool {
    span.get(names::ATTEMPT).is_some()
}

/// The trace that the run is part of, unless that is the run's own.
fn own_trace(record: &Record, started: &RunStarted) -> Option<String> {
    started.trace_id.clone().filter(|trace| *trace != record.run)
}

fn inbound(started: &RunStarted) -> Option<Parent> {
    Parent::parse(started.traceparent.as_deref()?)
}

fn root_id(trace: &str) -> SpanId {
    span_id(&["root", trace])
}

fn workflow(
    trace: OtelTraceId,
    id: SpanId,
    parent: Option<SpanId>,
    name: &str,
    start: Timestamp,
) -> Span {
    let mut span = Span::new(trace, id, parent, format!("invoke_workflow {name}"), start);
    span.set(names::KIND, "CHAIN");
    span.set(names::OPERATION, "invoke_workflow");
    span.set(names::WORKFLOW, name);
    span
}

/// The root of a trace that has ended.
pub(crate) fn root(start: &TraceStart, end: &TraceEnd, parent: Option<Parent>) -> Span {
    let mut span = root_of(&start.root(), parent);
    span.end = end.end_time;
    span.set_some(names::SESSION, start.session_id.as_ref());
    if let Some(error) = &end.error {
        span.set(names::ERROR, "_OTHER");
        span.error = Some(cut(error).to_owned());
    }
    span
}

/// The root of a stored trace.
pub(crate) fn root_of(tree: &Node, parent: Option<Parent>) -> Span {
    let trace = parent.map_or_else(|| trace_id(&tree.id), |parent| parent.trace);
    let start = tree.start_time.unwrap_or(Timestamp::UNIX_EPOCH);
    let above = parent.map(|parent| parent.span);
    let mut span = workflow(trace, root_id(&tree.id), above, &tree.agent_name, start);
    span.end = start + jiff::SignedDuration::from_millis(tree.duration_ms.max(0));
    span.set(names::TRACE, &tree.id);
    for (key, value) in &tree.attributes {
        let name = format!("belay.metadata.{key}");
        match value {
            serde_json::Value::String(text) => span.attributes.set(name, cut(text)),
            serde_json::Value::Bool(is) => span.attributes.set(name, *is),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(number) => span.attributes.set(name, number),
                None => span.attributes.set(name, number.as_f64().unwrap_or(0.0)),
            },
            other => span.attributes.set(name, cut(&other.to_string())),
        }
    }
    if !tree.error.is_empty() {
        span.set(names::ERROR, "_OTHER");
        span.error = Some(cut(&tree.error).to_owned());
    }
    span
}
