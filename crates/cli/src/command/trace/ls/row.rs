//! One trace in a list, as cells and as JSON.

use super::with_cause;
use crate::figures;
use belay_trace::view::{State, View, WARN_PERCENT, dollars, duration, tokens};
use belay_trace::{Node, NodeType, StoredTrace, visible_line};
use jiff::Timestamp;
use serde_json::{Value, json};

#[derive(Debug)]
pub(super) struct Row {
    id: String,
    short: String,
    path: String,
    written: Option<Timestamp>,
    /// What is known of it, or why nothing is.
    seen: Result<Seen, String>,
}

/// A trace at a glance.
#[derive(Debug)]
struct Seen {
    name: String,
    started: Option<Timestamp>,
    duration_ms: i64,
    total: belay_trace::view::Total,
    phases: Vec<String>,
    /// Contexts that were filled beyond the threshold, and those that are known.
    warnings: (usize, usize),
    state: &'static str,
}

impl Row {
    pub(super) fn of(trace: &StoredTrace, short: &str) -> Self {
        Self {
            id: trace.id().to_owned(),
            short: short.to_owned(),
            path: trace.path().display().to_string(),
            written: Timestamp::try_from(trace.written()).ok(),
            seen: trace.read().map(|tree| Seen::of(&tree)).map_err(|error| with_cause(&error)),
        }
    }

    pub(super) fn state(&self) -> &'static str {
        self.seen.as_ref().map_or("broken", |seen| seen.state)
    }

    pub(super) fn is_warned(&self) -> bool {
        self.seen.as_ref().is_ok_and(|seen| seen.warnings.0 > 0)
    }

    pub(super) fn cells(&self, now: Timestamp) -> [String; 8] {
        let dash = || "-".to_owned();
        let short = visible_line(&self.short).into_owned();
        let age = |since: Option<Timestamp>| since.map_or_else(dash, |at| figures::age(at, now));
        let seen = match &self.seen {
            Ok(seen) => seen,
            Err(why) => {
                let (age, why) = (age(self.written), visible_line(why).into_owned());
                return [short, self.state().to_owned(), dash(), dash(), dash(), age, dash(), why];
            }
        };
        let (into, out) = (seen.total.tokens_in(), seen.total.output_tokens);
        let context = match seen.warnings {
            (_, 0) => dash(),
            (0, known) => format!("0/{known}"),
            (warned, known) => format!("{warned}/{known} ⚠"),
        };
        let mut phases = seen.phases.join(", ");
        if seen.name != self.id {
            phases = format!("{}: {phases}", seen.name);
        }
        [
            short,
            self.state().to_owned(),
            dollars(&seen.total),
            if into + out > 0 { format!("{}/{}", tokens(into), tokens(out)) } else { dash() },
            duration(seen.duration_ms),
            age(seen.started.or(self.written)),
            context,
            visible_line(&phases).into_owned(),
        ]
    }

    pub(super) fn to_json(&self) -> Value {
        let mut json = json!({
            "trace": self.id,
            "short": self.short,
            "path": self.path,
            "written": self.written,
            "state": self.state(),
        });
        let more = match &self.seen {
            Ok(seen) => json!({
                "name": seen.name,
                "started": seen.started,
                "duration_ms": seen.duration_ms,
                "cost_usd": seen.total.cost_usd,
                "cost_is_partial": seen.total.cost_is_partial,
                "input_tokens": seen.total.input_tokens,
                "cached_tokens": seen.total.cached_tokens,
                "output_tokens": seen.total.output_tokens,
                "tool_calls": seen.total.calls,
                "failed": seen.total.failed,
                "unfinished": seen.total.unfinished,
                "contexts_warned": seen.warnings.0,
                "contexts_known": seen.warnings.1,
                "phases": seen.phases,
            }),
            Err(why) => json!({ "error": why }),
        };
        if let (Value::Object(json), Value::Object(more)) = (&mut json, more) {
            json.extend(more);
        }
        json
    }
}

impl Seen {
    fn of(tree: &Node) -> Self {
        let view = View::of(tree);
        let root = view.root();
        let parts = view
            .children(0)
            .filter(|row| row.node().is_some_and(|node| node.node_type != NodeType::Marker));
        // A tool that has failed was the agent's to deal with; a phase that has failed was not.
        let states: Vec<State> = parts.clone().map(|row| row.state).chain([root.state]).collect();
        let worst =
            [State::Running, State::Killed, State::Failed, State::Interrupted, State::Unfinished];
        let state = worst.into_iter().find(|state| states.contains(state)).unwrap_or_default();
        Self {
            name: root.name().to_owned(),
            started: tree.start_time,
            duration_ms: root.duration_ms().unwrap_or(0),
            total: root.total,
            phases: parts.map(|row| row.name().to_owned()).collect(),
            warnings: view.warnings(WARN_PERCENT),
            state: state.name(),
        }
    }
}
