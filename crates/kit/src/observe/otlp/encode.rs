//! Spans as the bytes of OTLP.

use super::names;
use super::span::{Attributes, Span, Value};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as ProtoSpan, Status};
use prost::Message as _;
use std::io::Write as _;

/// The version of belay that made them.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The request that brings these spans.
pub(super) fn traces(spans: &[Span], resource: &[(String, String)], version: &str) -> Vec<u8> {
    let scope_spans = ScopeSpans {
        scope: Some(scope(version)),
        spans: spans.iter().map(span).collect(),
        schema_url: names::SCHEMA_URL.to_owned(),
    };
    let resource_spans = ResourceSpans {
        resource: Some(self::resource(resource)),
        scope_spans: vec![scope_spans],
        schema_url: names::SCHEMA_URL.to_owned(),
    };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec()
}

/// The same bytes, smaller.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    // Memory takes everything.
    let written = gzip.write_all(bytes).and_then(|()| gzip.finish());
    written.unwrap_or_default()
}

pub(super) fn scope(version: &str) -> InstrumentationScope {
    InstrumentationScope {
        name: names::SCOPE.to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    }
}

pub(super) fn resource(resource: &[(String, String)]) -> Resource {
    let attributes = resource.iter().map(|(name, value)| text(name, value)).collect();
    Resource { attributes, ..Resource::default() }
}

pub(super) fn text(name: &str, value: &str) -> KeyValue {
    key_value(name, AnyKind::StringValue(value.to_owned()))
}

/// In nanoseconds; what is before 1970 is its begin.
pub(super) fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or(0)
}

fn span(span: &Span) -> ProtoSpan {
    let link = |id: &[u8; 8]| Link {
        trace_id: span.trace.to_vec(),
        span_id: id.to_vec(),
        ..Link::default()
    };
    ProtoSpan {
        trace_id: span.trace.to_vec(),
        span_id: span.id.to_vec(),
        parent_span_id: span.parent.map(|id| id.to_vec()).unwrap_or_default(),
        name: span.name.clone(),
        kind: if span.is_client { SpanKind::Client } else { SpanKind::Internal }.into(),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end.max(span.start)),
        attributes: attributes(&span.attributes),
        events: span.events.iter().map(event).collect(),
        dropped_events_count: span.events_dropped,
        links: span.link.iter().map(link).collect(),
        status: span
            .error
            .as_ref()
            .map(|message| Status { message: message.clone(), code: StatusCode::Error.into() }),
        ..ProtoSpan::default()
    }
}

fn event(event: &super::span::SpanEvent) -> Event {
    Event {
        time_unix_nano: nanos(event.at),
        name: event.name.to_owned(),
        attributes: attributes(&event.attributes),
        ..Event::default()
    }
}

fn attributes(attributes: &Attributes) -> Vec<KeyValue> {
    let encode = |value: &Value| match value {
        Value::Text(text) => AnyKind::StringValue(text.clone()),
        Value::Int(number) => AnyKind::IntValue(*number),
        Value::Float(number) => AnyKind::DoubleValue(*number),
        Value::Bool(is) => AnyKind::BoolValue(*is),
    };
    attributes.0.iter().map(|(name, value)| key_value(name, encode(value))).collect()
}

fn key_value(name: &str, value: AnyKind) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}
