//! From records to what people want to know of them.

use super::{Events, Kind, Notice, text};
use crate::limits::{NOTICE_BODY_MAX, NOTIFY_RUNS_MAX};
use belay_trace::{Event, FailureKind, Level, Record, RunResult, TraceStart, plain};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How long a title may be, and names in it.
const TITLE_MAX: usize = 140;
const NAME_MAX: usize = 60;

type Format = Box<dyn Fn(&RunResult) -> String + Send>;

/// What is known of the runs that are under way.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) events: Events,
    pub(crate) agent_name: Option<String>,
    pub(crate) format_error: Option<Format>,
    pub(crate) format_result: Option<Format>,
    runs: BTreeMap<String, Progress>,
    /// The names of traces, by their ids.
    traces: BTreeMap<String, String>,
}

#[derive(Default)]
struct Progress {
    trace: Option<String>,
    calls: u64,
    failed: u64,
    /// An error that the agent has told: it is not told twice if the run fails of it or goes on elsewhere.
    held: Option<Notice>,
}

impl Story {
    pub(crate) fn new(events: Events) -> Self {
        Self { events, ..Self::default() }
    }

    /// A trace begins.
    pub(crate) fn trace(&mut self, start: &TraceStart) {
        bound(&mut self.traces);
        let name = start.config.display_name.as_deref().unwrap_or(&start.config.name);
        self.traces.insert(start.trace_id.clone(), name.to_owned());
    }

    /// What there is to say now that this has happened, as far as it is wanted.
    pub(crate) fn notices(&mut self, record: &Record) -> impl Iterator<Item = Notice> + use<> {
        // Most records are pieces of text.
        if matches!(record.event, Event::Text(_) | Event::Reasoning(_) | Event::ToolCallDelta(_)) {
            return None.into_iter().chain(None);
        }
        let held = self.runs.get_mut(&record.run).and_then(|run| run.held.take());
        let new = self.notice(record);
        let (held, new) = match &record.event {
            Event::Notice(notice) if notice.level == Level::Error => {
                let before =
                    held.filter(|held| new.as_ref().is_none_or(|new| new.body != held.body));
                if let Some(run) = self.runs.get_mut(&record.run) {
                    run.held = new;
                }
                (before, None)
            }
            Event::AttemptEnded(_) => {
                if let Some(run) = self.runs.get_mut(&record.run) {
                    run.held = held;
                }
                (None, new)
            }
            Event::Failover(_) | Event::Waiting(_) => (None, new),
            Event::Result(result) if result.is_error => (None, new),
            _ => (held, new),
        };
        held.into_iter().chain(new)
    }

    fn notice(&mut self, record: &Record) -> Option<Notice> {
        if !self.runs.contains_key(&record.run) {
            bound(&mut self.runs);
        }
        let run = self.runs.entry(record.run.clone()).or_default();
        let on = self.events;
        let (kind, title, body, level) = match &record.event {
            Event::RunStarted(started) => {
                run.trace.clone_from(&started.trace_id);
                let chain = self.agent_name.clone().unwrap_or_else(|| started.agents.join(", "));
                let name = started.trace_id.as_ref().and_then(|id| self.traces.get(id));
                let of = name.map(|name| format!(" ({name})")).unwrap_or_default();
                let body = started.cwd.as_ref().map(|cwd| format!("in {cwd}"));
                let title = format!("{chain} begins{of}");
                (Kind::Start, title, body.unwrap_or_default(), Level::Info)
            }
            Event::Phase(phase) => {
                (Kind::Phase, format!("Phase: {}", phase.phase_name), String::new(), Level::Info)
            }
            Event::ToolCall(call) => {
                run.calls += 1;
                let args = text::line(call.args.get(), 200);
                let title = format!("{}, now {}", run.tools(), call.name);
                (Kind::ToolUse, title, args, Level::Info)
            }
            Event::ToolResult(result) => {
                run.failed += u64::from(result.tool_error);
                return None;
            }
            Event::Failover(failover) => {
                let title = format!("{} takes over from {}", failover.to, failover.from);
                (Kind::Trouble, title, failover.failure.to_string(), Level::Warn)
            }
            Event::Waiting(waiting) => {
                let title = format!("Waiting until {:.0}", waiting.until);
                (Kind::Trouble, title, waiting.reason.clone(), Level::Warn)
            }
            Event::Notice(notice) if notice.level == Level::Error => {
                let agent = self.agent_name.as_ref().unwrap_or(&record.agent);
                let title = format!("{agent} reports an error");
                (Kind::Trouble, title, notice.text.clone(), Level::Error)
            }
            Event::Result(result) => return self.end(record, result),
            _ => return None,
        };
        let wanted = match kind {
            Kind::Start | Kind::Phase => on.on_start,
            Kind::ToolUse => on.on_tool_use,
            Kind::Trouble | Kind::Error => on.on_error,
            Kind::Result => on.on_result,
            Kind::Test => true,
        };
        let trace = run.trace.clone();
        wanted.then(|| self.made(kind, level, &title, &body, String::new(), record, trace))
    }

    fn end(&mut self, record: &Record, result: &RunResult) -> Option<Notice> {
        let run = self.runs.remove(&record.run).unwrap_or_default();
        let agent = self.agent_name.as_deref().unwrap_or(&record.agent);
        let agent = if agent.is_empty() { "The run" } else { agent };
        let (kind, wanted) = match result.is_error {
            true => (Kind::Error, self.events.on_error),
            false => (Kind::Result, self.events.on_result),
        };
        if !wanted {
            return None;
        }
        let failure = result.failure.as_ref();
        let (level, title) = match failure.map(|failure| failure.kind) {
            _ if !result.is_error => (Level::Info, format!("{agent} has answered")),
            Some(FailureKind::Interrupted) => (Level::Warn, format!("{agent} was stopped")),
            Some(kind) => (Level::Error, format!("{agent} has failed: {kind}")),
            None => (Level::Error, format!("{agent} has failed")),
        };
        let body = match (kind, &self.format_error, &self.format_result) {
            (Kind::Error, Some(format), _) | (Kind::Result, _, Some(format)) => format(result),
            (Kind::Error, ..) => failure.map(|failure| failure.message.clone()).unwrap_or_default(),
            _ => result.result.clone(),
        };
        let footer = footer(result, &run);
        Some(self.made(kind, level, &title, &body, footer, record, run.trace))
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a notice, in their order")]
    fn made(
        &self,
        event: Kind,
        level: Level,
        title: &str,
        body: &str,
        footer: String,
        record: &Record,
        trace: Option<String>,
    ) -> Notice {
        let agent = self.agent_name.as_deref().unwrap_or(&record.agent);
        Notice {
            event,
            level,
            title: text::line(title, TITLE_MAX),
            body: text::cut(plain(body).trim(), NOTICE_BODY_MAX),
            footer,
            agent: text::line(agent, NAME_MAX),
            run: record.run.clone(),
            trace,
        }
    }
}

impl Progress {
    fn tools(&self) -> String {
        let calls = match self.calls {
            1 => "1 tool call".to_owned(),
            n => format!("{n} tool calls"),
        };
        if self.failed == 0 { calls } else { format!("{calls} ({} failed)", self.failed) }
    }
}

/// What it took.
fn footer(result: &RunResult, run: &Progress) -> String {
    let mut parts = Vec::new();
    let usage = &result.usage;
    parts.extend(usage.total_cost_usd.map(|usd| format!("${usd:.4}")));
    parts.extend(usage.duration_ms.map(|ms| format!("{:.1} s", ms as f64 / 1000.0)));
    if let (Some(input), Some(output)) = (usage.input_tokens, usage.output_tokens) {
        parts.push(format!("{input} tokens in, {output} out"));
    }
    if run.calls > 0 {
        parts.push(run.tools());
    }
    if result.attempts.len() > 1 {
        parts.push(format!("{} attempts", result.attempts.len()));
    }
    let mut footer = parts.join(" · ");
    if let Some(at) = result.retry_at {
        let _ = write!(footer, "\ncome back at {at:.0}");
    }
    footer
}

/// Forgets what is oldest, since a program may run for months: ids sort by time.
fn bound<V>(map: &mut BTreeMap<String, V>) {
    while map.len() >= NOTIFY_RUNS_MAX {
        map.pop_first();
    }
}
