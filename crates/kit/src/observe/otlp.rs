//! Runs and traces as those of OpenTelemetry, sent over HTTP.

mod attempt;
mod encode;
mod export;
mod metrics;
mod names;
mod presets;
mod responses;
mod run_spans;
mod settings;
mod span;
#[cfg(test)]
mod tests;

pub use self::export::OtlpExport;
pub use self::settings::{BadOtlp, OtlpSettings};

use self::metrics::Metrics;
use self::run_spans::{Options, RunSpans};
use self::settings::Target;
use self::span::Span;
use super::sender::{Manners, Parcel, Sender};
use super::{Observer, ObserverError};
use crate::limits::{OTLP_BATCH_MAX, OTLP_DELAY};
use crate::trace_context::Parent;
use belay_trace::{CompletionRecord, Event, Record, TraceEnd, TraceStart};
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Makes spans and metrics of runs and sends them to a backend that speaks OTLP.
///
/// Tools are told of when they return; an attempt and the model's responses in it when the attempt is over, because
/// only then it is known what they cost. How they stand in each other, and how they are named: `docs/otel.md`.
///
/// A backend that is slow or gone costs a run no more than every observer does; how many spans did not arrive stands
/// in [`Outcome::observer_errors`](crate::Outcome::observer_errors). They can be sent later, of the journal:
/// [`OtlpExport`].
///
/// Give the client a [trace context](crate::Client::trace_context) as well, so that the agents' own spans join in.
///
/// ```
/// use belaykit::{Claude, Client, Environment, Otlp, OtlpSettings, TraceContext};
///
/// let environment = Environment::new(std::env::vars_os());
/// let mut client = Client::new(Claude::new()).trace_context(TraceContext::of(&environment));
/// if let Some(settings) = OtlpSettings::new(Some("phoenix"), &environment)? {
///     client = client.observe(Otlp::new(settings));
/// }
/// # Ok::<(), belaykit::BadOtlp>(())
/// ```
pub struct Otlp {
    settings: OtlpSettings,
    sender: Sender,
    runs: HashMap<String, RunSpans>,
    /// Traces of this program that have not ended, with whom they stand under.
    traces: HashMap<String, (TraceStart, Option<Parent>)>,
    batch: Vec<Span>,
    /// Since when something waits.
    since: Option<Instant>,
    metrics: Metrics,
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Otlp {
    /// An observer that sends to where the settings say.
    pub fn new(settings: OtlpSettings) -> Self {
        Self {
            sender: sender(&settings),
            runs: HashMap::new(),
            traces: HashMap::new(),
            batch: Vec::new(),
            since: None,
            metrics: Metrics::new(Timestamp::now(), settings.sums),
            settings,
        }
    }

    /// Holds finished spans until there are enough for a request.
    fn add(&mut self, spans: Vec<Span>) {
        if spans.is_empty() {
            return;
        }
        spans.iter().for_each(|span| self.metrics.add(span));
        self.since.get_or_insert_with(Instant::now);
        self.batch.extend(spans);
        if self.batch.len() >= OTLP_BATCH_MAX {
            self.ship();
        }
    }

    fn ship(&mut self) {
        self.since = None;
        let spans = std::mem::take(&mut self.batch);
        for parcel in parcels(&spans, &self.settings) {
            self.sender.send(parcel);
        }
    }

    fn ship_metrics(&mut self) {
        let Some(target) = self.settings.metrics.clone() else { return };
        if let Some(body) = self.metrics.take(Timestamp::now(), &self.settings.resource) {
            self.sender.send(parcel(
                &target,
                &body,
                self.settings.is_gzip(),
                1,
                "reports of metrics",
            ));
        }
    }
}

impl Observer for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn on_record(&mut self, record: &Record) -> Result<(), ObserverError> {
        if let Event::RunStarted(started) = &record.event {
            let known = started.trace_id.as_ref().and_then(|trace| self.traces.get_mut(trace));
            let mut options =
                Options { with_content: self.settings.with_content, ..Options::default() };
            if let Some((start, parent)) = known {
                options.session.clone_from(&start.session_id);
                *parent = started.traceparent.as_deref().and_then(Parent::parse).or(*parent);
            }
            if let Some(spans) = RunSpans::begin(record, options) {
                self.runs.insert(record.run.clone(), spans);
            }
        }
        let Some(run) = self.runs.get_mut(&record.run) else { return Ok(()) };
        run.push(record);
        if run.is_sampled() {
            let done = run.take();
            self.add(done);
        }
        Ok(())
    }

    fn start_trace(&mut self, start: &TraceStart) -> Result<(), ObserverError> {
        self.traces.insert(start.trace_id.clone(), (start.clone(), None));
        Ok(())
    }

    fn end_trace(&mut self, end: &TraceEnd) -> Result<(), ObserverError> {
        let Some((start, parent)) = self.traces.remove(&end.trace_id) else { return Ok(()) };
        if parent.is_none_or(|parent| parent.sampled) {
            self.add(vec![run_spans::root(&start, end, parent)]);
        }
        Ok(())
    }

    fn record_completion(&mut self, completion: &CompletionRecord) -> Result<(), ObserverError> {
        let Some(run) = self.runs.remove(&completion.run) else { return Ok(()) };
        if run.is_sampled() {
            self.add(run.finish(Some(&completion.prompt)));
        }
        Ok(())
    }

    fn flush(&mut self, deadline: Instant) -> Result<(), ObserverError> {
        self.ship();
        self.ship_metrics();
        Ok(self.sender.flush(deadline)?)
    }

    fn wake_at(&self) -> Option<Instant> {
        Some(self.since? + OTLP_DELAY)
    }

    fn on_wake(&mut self) -> Result<(), ObserverError> {
        self.ship();
        Ok(())
    }
}

fn sender(settings: &OtlpSettings) -> Sender {
    let passes = |status| matches!(status, 429 | 502 | 503 | 504);
    Sender::start(
        "otlp",
        settings.http.clone(),
        Manners { timeout: settings.timeout, passes, refused, error_words },
    )
}

/// The requests that bring these spans.
fn parcels(spans: &[Span], settings: &OtlpSettings) -> Vec<Parcel> {
    let Some(target) = &settings.traces else { return Vec::new() };
    let batches = spans.chunks(OTLP_BATCH_MAX).map(|spans| {
        let body = encode::traces(spans, &settings.resource, encode::VERSION);
        parcel(target, &body, settings.is_gzip(), spans.len(), SPANS)
    });
    batches.collect()
}

const SPANS: &str = "spans";

fn parcel(target: &Target, body: &[u8], gzip: bool, count: usize, what: &'static str) -> Parcel {
    let mut headers = target.headers.to_vec();
    headers.push(("content-type".to_owned(), "application/x-protobuf".to_owned()));
    let body = if gzip { encode::gzip(body) } else { body.to_vec() };
    if gzip {
        headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
    }
    Parcel {
        url: Arc::clone(&target.url),
        headers: headers.into(),
        body,
        is_patch: false,
        count,
        what,
    }
}

/// What a backend says that it did not take of a request which it took. Those that answer in JSON or not at all have
/// nothing to say.
fn refused(parcel: &Parcel, body: &[u8]) -> Option<String> {
    if parcel.what != SPANS {
        return None;
    }
    let partial = ExportTraceServiceResponse::decode(body).ok()?.partial_success?;
    let refused = usize::try_from(partial.rejected_spans).unwrap_or(0);
    let why = partial.error_message;
    match (refused, why.is_empty()) {
        (0, true) => None,
        (0, false) => Some(format!("the backend took them and warns: {why}")),
        _ => Some(format!("the backend did not take {refused} of them: {why}")),
    }
}

/// What the standard wants as the body of an error: google.rpc.Status.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn error_words(body: &[u8]) -> Option<String> {
    Status::decode(body).ok().map(|status| status.message).filter(|message| !message.is_empty())
}
