//! What an OTLP exporter has sent, decoded by the messages of the standard and by nothing of belay's.

use crate::receiver::Received;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use prost::Message as _;
use std::collections::BTreeMap;
use std::io::Read as _;

/// A span with what a test asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace, in hex.
    pub trace: String,
    /// The span, in hex.
    pub id: String,
    /// What it stands under, in hex; empty if nothing.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// 1 is internal, 3 a client's.
    pub kind: i32,
    /// In nanoseconds.
    pub start: u64,
    /// In nanoseconds.
    pub end: u64,
    /// The attributes as text.
    pub attributes: BTreeMap<String, String>,
    /// The spans that it is linked with, in hex.
    pub links: Vec<String>,
    /// The names of its events.
    pub events: Vec<String>,
    /// The message of an error, if the status is one.
    pub error: Option<String>,
}

impl Span {
    /// An attribute as text; empty if it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// An attribute as a number; 0 if it is not there.
    pub fn number(&self, name: &str) -> f64 {
        self.get(name).parse().unwrap_or(0.0)
    }
}

/// All spans of these requests, in the order they came.
///
/// # Panics
/// When something that was sent as spans is none.
pub fn spans(requests: &[Received]) -> Vec<Span> {
    let mut spans = Vec::new();
    for request in requests.iter().filter(|request| request.path.ends_with("/v1/traces")) {
        for resource in trace_request(request).resource_spans {
            for scope in resource.scope_spans {
                spans.extend(scope.spans.into_iter().map(span));
            }
        }
    }
    spans
}

/// One request of spans.
///
/// # Panics
/// When it is none.
pub fn trace_request(request: &Received) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(&*unzipped(request)).expect("a request of spans")
}

/// All metrics of these requests.
///
/// # Panics
/// When something that was sent as metrics is none.
pub fn metrics(requests: &[Received]) -> Vec<Metric> {
    let requests = requests.iter().filter(|request| request.path.ends_with("/v1/metrics"));
    let decoded = requests.map(|request| {
        ExportMetricsServiceRequest::decode(&*unzipped(request)).expect("a request of metrics")
    });
    let resources = decoded.flat_map(|request| request.resource_metrics);
    resources.flat_map(|it| it.scope_metrics).flat_map(|it| it.metrics).collect()
}

/// What a backend answers that takes some of the spans only.
pub fn partial_success(rejected_spans: i64, error_message: &str) -> Vec<u8> {
    let error_message = error_message.to_owned();
    let partial_success = Some(ExportTracePartialSuccess { rejected_spans, error_message });
    ExportTraceServiceResponse { partial_success }.encode_to_vec()
}

/// The spans as an indented tree of names, siblings by what they are and then by their begin; a link is `~`, an error `!`.
pub fn tree(spans: &[Span]) -> String {
    let mut lines = String::new();
    let is_known = |id: &str| spans.iter().any(|span| span.id == id);
    let mut tops: Vec<_> = spans.iter().filter(|span| !is_known(&span.parent)).collect();
    tops.sort_by_key(|span| (span.start, span.end));
    tops.iter().for_each(|span| branch(spans, span, 0, &mut lines));
    lines
}

fn branch(all: &[Span], span: &Span, depth: usize, lines: &mut String) {
    let link = if span.links.is_empty() { "" } else { " ~" };
    let error = if span.error.is_some() { " !" } else { "" };
    let kind = span.get("error.type");
    lines.push_str(&format!("{}{}{link}{error}{kind}\n", "  ".repeat(depth), span.name));
    let mut children: Vec<_> = all.iter().filter(|child| child.parent == span.id).collect();
    // What agents of tests do they do within a millisecond.
    let what = |child: &Span| child.name.split(' ').next().map(str::to_owned);
    children.sort_by_key(|child| (what(child), child.start, child.end));
    children.iter().for_each(|child| branch(all, child, depth + 1, lines));
}

fn span(span: opentelemetry_proto::tonic::trace::v1::Span) -> Span {
    let status = span.status.filter(|status| status.code == 2);
    Span {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        kind: span.kind,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        attributes: span.attributes.iter().map(text).collect(),
        links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
        events: span.events.into_iter().map(|event| event.name).collect(),
        error: status.map(|status| status.message),
    }
}

fn text(attribute: &KeyValue) -> (String, String) {
    let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
    let value = match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        other => format!("{other:?}"),
    };
    (attribute.key.clone(), value)
}

fn unzipped(request: &Received) -> Vec<u8> {
    if request.header("content-encoding") != Some("gzip") {
        return request.body.clone();
    }
    let mut bytes = Vec::new();
    let mut gzip = flate2::read::GzDecoder::new(&*request.body);
    gzip.read_to_end(&mut bytes).expect("zipped as it says");
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
