//! Our own model of a span.

use super::names;
use crate::limits::{OTLP_EVENTS_MAX, OTLP_TEXT_BYTES_MAX};
use crate::trace_context::{OtelTraceId, SpanId};
use belay_trace::{CostSource, Failure, FailureKind, Usage};
use jiff::Timestamp;
use std::borrow::Cow;

/// A span, finished or at work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub(super) trace: OtelTraceId,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) name: String,
    /// It stands for a request to somebody else.
    pub(super) is_client: bool,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) attributes: Attributes,
    pub(super) events: Vec<SpanEvent>,
    pub(super) events_dropped: u32,
    /// Another span of the same trace that this one has to do with.
    pub(super) link: Option<SpanId>,
    /// What went wrong.
    pub(super) error: Option<String>,
}

/// Something that happened within a span.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SpanEvent {
    pub(super) at: Timestamp,
    pub(super) name: &'static str,
    pub(super) attributes: Attributes,
}

/// What is said of a span, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Attributes(pub(super) Vec<(Cow<'static, str>, Value)>);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl Span {
    pub(super) fn new(
        trace: OtelTraceId,
        id: SpanId,
        parent: Option<SpanId>,
        name: impl Into<String>,
        start: Timestamp,
    ) -> Self {
        Self {
            trace,
            id,
            parent,
            name: name.into(),
            is_client: false,
            start,
            end: start,
            attributes: Attributes::default(),
            events: Vec::new(),
            events_dropped: 0,
            link: None,
            error: None,
        }
    }

    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.set(name, value);
    }

    pub(super) fn set_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.attributes.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(super) fn event(&mut self, at: Timestamp, name: &'static str, attributes: Attributes) {
        if self.events.len() < OTLP_EVENTS_MAX {
            self.events.push(SpanEvent { at, name, attributes });
        } else {
            self.events_dropped += 1;
        }
    }

    /// Says that it failed, if it did.
    pub(super) fn fail(&mut self, failure: Option<&Failure>) {
        let Some(failure) = failure else { return };
        self.set(names::ERROR, failure.kind.name());
        if failure.kind == FailureKind::Interrupted {
            self.set(names::INTERRUPTED, true);
        }
        self.error = Some(cut(&failure.message).to_owned());
    }

    /// The figures of everything below it, under names that nobody adds to those of the responses.
    pub(super) fn totals(&mut self, usage: &Usage) {
        self.set_some(names::TOTAL_INPUT, input(usage).map(int));
        self.set_some(names::TOTAL_OUTPUT, usage.output_tokens.map(int));
        self.set_some(names::TOTAL_CACHE_READ, usage.cache_read_input_tokens.map(int));
        self.set_some(names::TOTAL_CACHE_WRITE, usage.cache_creation_input_tokens.map(int));
        self.set_some(names::TOTAL_COST, usage.total_cost_usd);
        self.set(names::COST_SOURCE, source(usage.cost_source));
        self.set_some(names::TURNS, usage.num_turns.map(int));
    }
}

impl Attributes {
    /// The last one that is set under a name holds.
    pub(super) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }
}

/// All input tokens, those of the cache included, as the conventions count them.
pub(super) fn input(usage: &Usage) -> Option<u64> {
    let parts =
        [usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens];
    parts.into_iter().flatten().reduce(u64::saturating_add)
}

pub(super) fn source(source: CostSource) -> &'static str {
    match source {
        CostSource::Reported => "reported",
        CostSource::Priced => "priced",
        CostSource::Partial => "partial",
        CostSource::Unknown => "unknown",
    }
}

pub(super) fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// As much of a text as one attribute may hold.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(OTLP_TEXT_BYTES_MAX)]
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Bool(is)
    }
}
