//! Stored runs, sent when they are over.

use super::run_spans::{Options, RunSpans, root_of};
use super::settings::OtlpSettings;
use super::span::Span;
use super::{parcels, sender};
use crate::TraceContext;
use crate::trace_context::Parent;
use belay_trace::{Event, Node, Record};
use std::time::{Duration, Instant};

/// Sends traces that were stored: their spans are those that an [`Otlp`](super::Otlp) would have sent, with the same
/// ids.
///
/// ```no_run
/// use belaykit::{Environment, OtlpExport, OtlpSettings, trace::Store};
/// use std::time::Duration;
///
/// let environment = Environment::new(std::env::vars_os());
/// if let Some(settings) = OtlpSettings::new(Some("phoenix"), &environment)? {
///     let mut export = OtlpExport::new(settings);
///     export.run(Store::new("state").find("latest")?.records()?, None);
///     println!("{} spans", export.send(Duration::from_secs(60))?);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OtlpExport {
    settings: OtlpSettings,
    spans: Vec<Span>,
    /// Whom the runs stand under.
    parent: Option<Parent>,
}

impl OtlpExport {
    /// Nothing yet.
    pub fn new(settings: OtlpSettings) -> Self {
        Self { settings, spans: Vec::new(), parent: None }
    }

    /// Adds a run: its records, and its prompt for spans with [content](OtlpSettings::content). What begins with no
    /// run is none.
    pub fn run(&mut self, records: impl IntoIterator<Item = Record>, prompt: Option<&str>) {
        let mut spans: Option<RunSpans> = None;
        for record in records {
            if let Event::RunStarted(started) = &record.event {
                let parent = started.traceparent.as_deref().and_then(Parent::parse);
                self.parent = self.parent.or(parent);
                let with_content = self.settings.with_content;
                spans = RunSpans::begin(&record, Options { with_content, ..Options::default() });
            }
            if let Some(spans) = &mut spans {
                spans.push(&record);
                self.spans.append(&mut spans.take());
            }
        }
        if let Some(spans) = spans {
            self.spans.append(&mut spans.finish(prompt));
        }
    }

    /// Whom the root of a trace stands under if none of its runs is added: who is told of the environment.
    pub fn context(&mut self, context: &TraceContext) {
        self.parent = self.parent.or(context.parent());
    }

    /// Adds the root of a trace, after its runs.
    pub fn trace(&mut self, tree: &Node) {
        self.spans.push(root_of(tree, self.parent));
    }

    /// Sends all of it, and says how many spans that were.
    ///
    /// # Errors
    /// What did not arrive within `patience`, in words.
    pub fn send(self, patience: Duration) -> Result<usize, String> {
        let sender = sender(&self.settings);
        parcels(&self.spans, &self.settings).into_iter().for_each(|parcel| sender.send(parcel));
        sender.flush(Instant::now() + patience)?;
        Ok(self.spans.len())
    }
}
