//! From a tree to rows, in one pass. What a file says is taken as it is and yet may be anything: times that run
//! backwards, negative counts, costs that are no numbers.

use super::{Part, Row, State, Total};
use crate::{CostSource, Node, NodeStatus, NodeType};
use jiff::Timestamp;

/// The rows of a tree, the root first.
pub(super) fn rows(tree: &Node) -> Vec<Row<'_>> {
    let origin = origin(tree);
    let mut rows = vec![row(tree, None, 0, true, start(tree, origin, 0))];
    let mut open = vec![Open::of(tree, &rows[0], 0)];
    while let Some(parent) = open.last_mut() {
        let Some((child, rest)) = parent.children.split_first() else {
            close(&mut open, &mut rows);
            continue;
        };
        parent.children = rest;
        let start = start(child, origin, parent.cursor_ms);
        let index = rows.len();
        rows.push(row(child, Some(parent.index), open.len(), rest.is_empty(), start));
        push_attempts(&mut rows, child, index);
        open.push(Open::of(child, &rows[index], index));
    }
    rows
}

/// A node whose descendants are still to come.
struct Open<'a> {
    index: usize,
    children: &'a [Node],
    /// Where a child begins that does not say when it began: at the end of the one before.
    cursor_ms: i64,
    contexts: f64,
    known_contexts: u32,
}

impl<'a> Open<'a> {
    fn of(node: &'a Node, row: &Row<'_>, index: usize) -> Self {
        let cursor_ms = row.start_ms;
        Self { index, children: &node.children, cursor_ms, contexts: 0.0, known_contexts: 0 }
    }
}

/// All below the last open node has come: its figures are known, and go to its parent.
fn close(open: &mut Vec<Open<'_>>, rows: &mut [Row<'_>]) {
    let Some(done) = open.pop() else { return };
    let end = rows.len();
    let row = &mut rows[done.index];
    row.end = end;
    let average = (done.known_contexts > 0).then(|| done.contexts / f64::from(done.known_contexts));
    row.average = row.context.or(average);
    let (total, average, end_ms) = (row.total, row.average, row.end_ms);
    let Some(parent) = open.last_mut() else { return };
    parent.cursor_ms = end_ms;
    if let Some(average) = average {
        parent.contexts += average;
        parent.known_contexts = parent.known_contexts.saturating_add(1);
    }
    let row = &mut rows[parent.index];
    row.end_ms = row.end_ms.max(end_ms);
    row.total.add(&total);
}

fn row(node: &Node, parent: Option<usize>, depth: usize, is_last: bool, start_ms: i64) -> Row<'_> {
    let state = state(node);
    let context = context(node);
    Row {
        part: Part::Node(node),
        parent,
        depth,
        is_last,
        end: 0,
        state,
        total: own(node, state),
        context,
        average: context,
        start_ms,
        end_ms: start_ms.saturating_add(node.duration_ms.max(0)),
    }
}

/// The attempts of a phase stand before what they did.
fn push_attempts<'a>(rows: &mut Vec<Row<'a>>, node: &'a Node, parent: usize) {
    let (depth, start_ms) = (rows[parent].depth + 1, rows[parent].start_ms);
    let last = node.attempts.len().saturating_sub(1);
    for (n, attempt) in node.attempts.iter().enumerate() {
        rows.push(Row {
            part: Part::Attempt(attempt),
            parent: Some(parent),
            depth,
            is_last: n == last && node.children.is_empty(),
            end: rows.len() + 1,
            state: if attempt.kind.is_some() { State::Failed } else { State::Ended },
            total: Total::default(),
            context: None,
            average: None,
            start_ms,
            end_ms: start_ms,
        });
    }
}

/// The first moment that any node knows of.
fn origin(tree: &Node) -> Option<Timestamp> {
    let (mut first, mut todo) = (None, vec![tree]);
    while let Some(node) = todo.pop() {
        first = [first, node.start_time].into_iter().flatten().min();
        todo.extend(&node.children);
    }
    first
}

fn start(node: &Node, origin: Option<Timestamp>, otherwise_ms: i64) -> i64 {
    let (Some(start), Some(origin)) = (node.start_time, origin) else { return otherwise_ms };
    start.as_millisecond().saturating_sub(origin.as_millisecond())
}

/// How a node stands. The error of a boundary is the reason for what comes next, and no failure of its own.
fn state(node: &Node) -> State {
    match (&node.status, &node.node_type, node.error.as_str()) {
        (_, NodeType::Marker, _) => State::Ended,
        (Some(NodeStatus::Running), ..) => State::Running,
        (Some(NodeStatus::Interrupted), ..) => State::Interrupted,
        (Some(NodeStatus::Killed), ..) => State::Killed,
        (Some(NodeStatus::Failed), ..) => State::Failed,
        (_, NodeType::ToolCall, UNFINISHED) => State::Unfinished,
        (_, _, "") => State::Ended,
        _ => State::Failed,
    }
}

/// What a tool call says whose result was never seen.
const UNFINISHED: &str = "unfinished";

/// What the context held at the end; of other writers, who do not say, what went in.
fn context(node: &Node) -> Option<f64> {
    let used = if node.context_used > 0 { node.context_used } else { node.input_tokens };
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    let percent = || used.max(0) as f64 / node.context_window as f64 * 100.0;
    (node.context_window > 0).then(percent).map(|percent| percent.min(100.0))
}

fn own(node: &Node, state: State) -> Total {
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Total {
        cost_usd: if node.cost_usd.is_finite() { node.cost_usd } else { 0.0 },
        cost_is_partial: matches!(
            node.cost_source,
            Some(CostSource::Partial | CostSource::Unknown)
        ),
        input_tokens: count(node.input_tokens),
        cached_tokens: count(node.cache_read_tokens).saturating_add(count(node.cache_write_tokens)),
        output_tokens: count(node.output_tokens),
        calls: u64::from(node.node_type == NodeType::ToolCall),
        failed: u64::from(state == State::Failed),
        unfinished: u64::from(matches!(state, State::Unfinished | State::Killed)),
    }
}

impl Total {
    fn add(&mut self, other: &Self) {
        // Costs without measure stay numbers.
        self.cost_usd = (self.cost_usd + other.cost_usd).clamp(f64::MIN, f64::MAX);
        self.cost_is_partial |= other.cost_is_partial;
        for (mine, theirs) in [
            (&mut self.input_tokens, other.input_tokens),
            (&mut self.cached_tokens, other.cached_tokens),
            (&mut self.output_tokens, other.output_tokens),
            (&mut self.calls, other.calls),
            (&mut self.failed, other.failed),
            (&mut self.unfinished, other.unfinished),
        ] {
            *mine = mine.saturating_add(theirs);
        }
    }
}
