//! `belay trace end`

use super::otlp;
use super::start::trace_files;
use crate::fail::Fail;
use crate::figures;
use crate::say::say;
use crate::stored::StateDir;
use belay_trace::{CostSource, Node, NodeStatus, NodeType, TraceId, exit_code, visible_line};
use belaykit::{Environment, Redaction, Settled, TraceFileError, TraceFiles};
use clap::Args;
use jiff::SignedDuration;
use std::path::PathBuf;

/// End a trace, and say in one line what it came to.
///
/// Runs that were killed are marked so, with everything that their journals hold. Runs that are still at work go on,
/// and later ones may be added all the same (`belay run --trace ID`); but a trace ends once.
#[derive(Debug, Args)]
pub(super) struct End {
    /// The trace's id, as `belay trace start` has printed it.
    #[arg(value_name = "ID")]
    id: String,

    /// What went wrong: the trace has failed.
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,

    /// Where traces are written [default: the configuration's `trace_dir`, or .belay/traces].
    #[arg(long, value_name = "DIR")]
    trace_dir: Option<PathBuf>,

    #[command(flatten)]
    state_dir: StateDir,

    /// Send the root of its spans to where its runs have sent theirs (`belay run --otel`).
    #[arg(long, value_name = "PRESET|ADDRESS")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "")]
    otel: Option<String>,
}

impl End {
    pub(super) fn run(self) -> Result<u8, Fail> {
        let id = TraceId::new(self.id).map_err(Fail::not_found)?;
        let mut files = trace_files(self.trace_dir)?;
        // Without a home there are no journals, and what was killed is marked and not made whole.
        if let Ok(folder) = self.state_dir.folder() {
            files = files.journals(folder);
        }
        let redaction = Redaction::default();
        let environment = Environment::new(std::env::vars_os());
        let error = self.error.map(|error| redaction.text_of(&error, &environment));
        let ended = files.end(&id, error).map_err(|error| failed(error, &files))?;
        otlp::send_root(&ended.tree, self.otel);
        say(visible_line(&format!("trace {id}: {}", summary(&ended))));
        Ok(exit_code::ANSWERED)
    }
}

fn failed(error: TraceFileError, files: &TraceFiles) -> Fail {
    match &error {
        TraceFileError::NotThere { .. } => Fail::not_found(error)
            .hint("`belay trace start` begins one; --trace-dir names another folder"),
        TraceFileError::Ended { id } => {
            let path = files.path(id);
            Fail::not_found(error).hint(format_args!("it is in {}", path.display()))
        }
        _ => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            Fail::local(format!("{error}{}", cause.unwrap_or_default()))
        }
    }
}

/// `ended, 3 phases (1 killed), 12.4s, $0.0130`.
fn summary(settled: &Settled) -> String {
    let tree = &settled.tree;
    let phases: Vec<&Node> =
        tree.children.iter().filter(|node| node.node_type == NodeType::Phase).collect();
    let how = match &tree.status {
        Some(NodeStatus::Failed) => "failed",
        _ => "ended",
    };
    let with = |status: NodeStatus| {
        phases.iter().filter(|phase| phase.status.as_ref() == Some(&status)).count()
    };
    let states = [
        (with(NodeStatus::Failed), "failed"),
        (with(NodeStatus::Interrupted), "interrupted"),
        (with(NodeStatus::Killed), "killed"),
        (with(NodeStatus::Running), "still running"),
    ];
    let states = states.iter().filter(|(n, _)| *n > 0).map(|(n, how)| format!("{n} {how}"));
    let states = states.collect::<Vec<_>>().join(", ");
    let states = if states.is_empty() { states } else { format!(" ({states})") };
    let plural = if phases.len() == 1 { "phase" } else { "phases" };
    let time = figures::duration(SignedDuration::from_millis(tree.duration_ms));
    let usd = phases.iter().fold(0.0, |sum, phase| sum + phase.cost_usd);
    let is_all = phases.iter().all(|phase| match (&phase.cost_source, &phase.status) {
        (Some(CostSource::Partial | CostSource::Unknown), _) => false,
        // Nobody knows what came after it was last heard of.
        (_, Some(NodeStatus::Running | NodeStatus::Killed)) => false,
        _ => true,
    });
    let mark = if is_all { "" } else { "≥" };
    format!("{how}, {} {plural}{states}, {time}, {mark}${usd:.4}", phases.len())
}
