//! How many tokens the responses took, how long they lasted, and what they cost: sums since the observer began, or
//! since they were told last, made of the spans.

use super::encode::{VERSION, nanos, resource, scope, text};
use super::names;
use super::span::{Span, Value};
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use prost::Message as _;
use std::collections::BTreeMap;

/// The bounds that the conventions advise.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
const SECONDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// All that was measured so far.
#[derive(Debug)]
pub(super) struct Metrics {
    sums: Sums,
    start: Timestamp,
    tokens: BTreeMap<Labels, Measured>,
    seconds: BTreeMap<Labels, Measured>,
    dollars: BTreeMap<Labels, f64>,
    has_news: bool,
}

/// Since when sums are told: what OpenTelemetry calls temporality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    /// Since the observer began.
    OfAll,
    /// Since they were told last, which some backends want (Datadog).
    OfWhatIsNew,
}

/// What a figure is of: names and values, sorted.
type Labels = Vec<(&'static str, String)>;

#[derive(Debug, Default)]
struct Measured {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    buckets: Vec<u64>,
}

impl Metrics {
    pub(super) fn new(start: Timestamp, sums: Sums) -> Self {
        let (tokens, seconds) = (BTreeMap::new(), BTreeMap::new());
        Self { sums, start, tokens, seconds, dollars: BTreeMap::new(), has_news: false }
    }

    /// Takes what a finished span has to say; responses have.
    pub(super) fn add(&mut self, span: &Span) {
        if span.get(names::OPERATION) != Some(&Value::Text("chat".to_owned())) {
            return;
        }
        self.has_news = true;
        let labels = labels(span);
        for (kind, name) in [("input", names::INPUT_TOKENS), ("output", names::OUTPUT_TOKENS)] {
            if let Some(Value::Int(tokens)) = span.get(name) {
                let mut labels = labels.clone();
                labels.push((names::TOKEN_TYPE, kind.to_owned()));
                #[expect(clippy::cast_precision_loss, reason = "a histogram is of floats")]
                self.tokens.entry(labels).or_default().add(*tokens as f64, &TOKENS);
            }
        }
        if let Some(Value::Float(dollars)) = span.get(names::COST) {
            *self.dollars.entry(labels.clone()).or_default() += dollars;
        }
        // How long all responses together took is no measure of one.
        if span.get(names::SYNTHETIC).is_none() {
            let seconds = span.end.duration_since(span.start).as_secs_f64();
            self.seconds.entry(labels).or_default().add(seconds.max(0.0), &SECONDS);
        }
    }

    /// The request that brings all of it, if there is something new.
    pub(super) fn take(&mut self, now: Timestamp, of: &[(String, String)]) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.has_news) {
            return None;
        }
        let temporality = match self.sums {
            Sums::OfAll => AggregationTemporality::Cumulative,
            Sums::OfWhatIsNew => AggregationTemporality::Delta,
        };
        let histogram =
            |name: &str, unit: &str, all: &BTreeMap<Labels, Measured>, bounds: &[f64]| {
                let points =
                    all.iter().map(|(labels, it)| it.encode(labels, bounds, self.start, now));
                let data = Histogram {
                    data_points: points.collect(),
                    aggregation_temporality: temporality.into(),
                };
                metric(name, unit, Data::Histogram(data))
            };
        let points = self.dollars.iter().map(|(labels, dollars)| NumberDataPoint {
            attributes: encode(labels),
            start_time_unix_nano: nanos(self.start),
            time_unix_nano: nanos(now),
            value: Some(Number::AsDouble(*dollars)),
            ..NumberDataPoint::default()
        });
        let cost = Sum {
            data_points: points.collect(),
            aggregation_temporality: temporality.into(),
            is_monotonic: true,
        };
        let metrics = vec![
            histogram(names::TOKEN_METRIC, "{token}", &self.tokens, &TOKENS),
            histogram(names::DURATION_METRIC, "s", &self.seconds, &SECONDS),
            metric(names::COST_METRIC, "{USD}", Data::Sum(cost)),
        ];
        if self.sums == Sums::OfWhatIsNew {
            *self = Self::new(now, self.sums);
        }
        let scope_metrics = ScopeMetrics {
            scope: Some(scope(VERSION)),
            metrics,
            schema_url: names::SCHEMA_URL.to_owned(),
        };
        let resource_metrics = ResourceMetrics {
            resource: Some(resource(of)),
            scope_metrics: vec![scope_metrics],
            schema_url: names::SCHEMA_URL.to_owned(),
        };
        let request = ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] };
        Some(request.encode_to_vec())
    }
}

impl Measured {
    fn add(&mut self, value: f64, bounds: &[f64]) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; bounds.len() + 1];
            (self.min, self.max) = (value, value);
        }
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        self.buckets[bucket] += 1;
        self.count += 1;
        self.sum += value;
        (self.min, self.max) = (self.min.min(value), self.max.max(value));
    }

    fn encode(
        &self,
        labels: &Labels,
        bounds: &[f64],
        start: Timestamp,
        now: Timestamp,
    ) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: encode(labels),
            start_time_unix_nano: nanos(start),
            time_unix_nano: nanos(now),
            count: self.count,
            sum: Some(self.sum),
            min: Some(self.min),
            max: Some(self.max),
            bucket_counts: self.buckets.clone(),
            explicit_bounds: bounds.to_vec(),
            ..HistogramDataPoint::default()
        }
    }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    let (name, unit) = (name.to_owned(), unit.to_owned());
    Metric { name, unit, data: Some(data), ..Metric::default() }
}

fn encode(labels: &Labels) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| text(name, value)).collect()
}

fn labels(span: &Span) -> Labels {
    let wanted = [names::OPERATION, names::PROVIDER, names::REQUEST_MODEL, names::RESPONSE_MODEL];
    let known = wanted.into_iter().filter_map(|name| match span.get(name) {
        Some(Value::Text(text)) => Some((name, text.clone())),
        _ => None,
    });
    known.collect()
}
