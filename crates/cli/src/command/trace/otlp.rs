//! Stored traces as OpenTelemetry's, sent when they are over.

use crate::command::run::otel::OtelFlags;
use crate::config::{Config, Wanted};
use crate::fail::Fail;
use crate::say::{say, warn};
use crate::stored::{self, StateDir};
use crate::surroundings;
use belay_trace::{Node, visible_line};
use belaykit::{OtlpExport, TraceContext};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long somebody who asks for an export waits for it: as long as a service that is busy may be.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the end of a trace waits, as the end of a run does.
const PATIENCE_AT_END: Duration = Duration::from_secs(2);

/// Sends a whole trace, of the journals of its runs.
pub(super) fn send(
    tree: &Node,
    to: Option<&str>,
    with_content: bool,
    state_dir: &StateDir,
) -> Result<(), Fail> {
    let mut otel = OtelFlags { otel: to.map(str::to_owned), ..OtelFlags::default() };
    if to == Some("") {
        let mut configured = OtelFlags::default();
        Config::load(Wanted { flag: None, noted: None }, None)?.fill_otel(&mut configured);
        // To switch it off for runs is not to forbid it.
        if configured.configured.to.as_deref().is_some_and(|to| to != "off") {
            otel = configured;
        }
    }
    otel.otel_content = Some(with_content);
    let Some(settings) = otel.settings()? else {
        return Err(Fail::usage("a variable of OpenTelemetry's switches it off")
            .hint("look at OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER"));
    };
    let (store, runs) = (state_dir.store()?, runs(tree));
    let (mut export, mut sent) = (OtlpExport::new(settings), 0);
    for id in &runs {
        let Ok(run) = store.find(id) else {
            warn(visible_line(&format!(
                "run {id} has no journal any more: its spans are not sent"
            )));
            continue;
        };
        let records = run.records().map_err(stored::unreadable)?;
        let prompt = stored::request(&run).ok().map(|request| request.prompt);
        export.run(records, prompt.as_deref());
        sent += 1;
    }
    if sent == 0 {
        return Err(Fail::not_found(format!("no run of the trace {} has a journal", tree.id))
            .hint("--state-dir names the folder of the journals"));
    }
    if !runs.contains(tree.id.as_str()) {
        export.trace(tree);
    }
    let spans = export.send(PATIENCE).map_err(Fail::local)?;
    say(format!("{spans} spans of {sent} {}", if sent == 1 { "run" } else { "runs" }));
    Ok(())
}

/// Sends what no run of the trace has sent. What goes wrong is said, and does not make the trace any less ended.
pub(super) fn send_root(tree: &Node, to: Option<String>) {
    let sent = || -> Result<(), Fail> {
        let mut otel = OtelFlags { otel: to, ..OtelFlags::default() };
        Config::load(Wanted { flag: None, noted: None }, None)?.fill_otel(&mut otel);
        let Some(settings) = otel.settings()? else { return Ok(()) };
        let mut export = OtlpExport::new(settings);
        export.context(&TraceContext::of(&surroundings::environment()));
        export.trace(tree);
        export.send(PATIENCE_AT_END).map(drop).map_err(Fail::local)
    };
    if let Err(error) = sent() {
        let words = format!("the root of the trace was not sent: {}", error.message());
        warn(visible_line(&words));
    }
}

/// The runs that the trace has parts of.
fn runs(tree: &Node) -> BTreeSet<&str> {
    let all = std::iter::once(tree).chain(&tree.children).map(|node| node.run.as_str());
    all.filter(|run| !run.is_empty()).collect()
}
