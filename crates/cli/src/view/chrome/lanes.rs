//! Which thread an event is drawn on.

use belay_trace::NodeType;
use belay_trace::view::{Row, View};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Where an event is drawn, and its times, which lie within those of its parent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lane {
    pub(super) thread: usize,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    /// When the last child on the same thread has ended.
    cursor_ms: i64,
}

/// A place for each row: on the thread of its parent if nothing else is there at the time, and otherwise on one that
/// is free from then on.
pub(super) fn lanes(view: &View<'_>) -> Vec<Lane> {
    let rows = view.rows();
    let mut lanes = vec![Lane::default(); rows.len()];
    let root = view.root();
    lanes[0] = Lane {
        thread: 0,
        start_ms: root.start_ms,
        end_ms: root.end_ms.max(root.start_ms),
        cursor_ms: root.start_ms,
    };
    // Each thread but the first with the time from which on it is free, the earliest on top.
    let mut free: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    let mut todo = children(view, 0);
    while let Some(index) = todo.pop() {
        let (row, parent) = (&rows[index], rows[index].parent.unwrap_or(0));
        let within = lanes[parent];
        let start_ms = row.start_ms.clamp(within.start_ms, within.end_ms);
        let end_ms = row.end_ms.clamp(start_ms, within.end_ms);
        let thread = if is_instant(row) {
            within.thread
        } else if within.cursor_ms <= start_ms {
            lanes[parent].cursor_ms = end_ms;
            within.thread
        } else {
            let earliest = free.peek().filter(|Reverse((from, _))| *from <= start_ms).copied();
            let thread = match earliest {
                Some(Reverse((_, thread))) => {
                    free.pop();
                    thread
                }
                None => free.len() + 1,
            };
            free.push(Reverse((end_ms, thread)));
            thread
        };
        lanes[index] = Lane { thread, start_ms, end_ms, cursor_ms: start_ms };
        todo.extend(children(view, index));
    }
    lanes
}

/// True for what takes no room on a thread.
fn is_instant(row: &Row<'_>) -> bool {
    row.node().is_none_or(|node| node.node_type == NodeType::Marker)
}

/// The rows below one, the last to begin first: the one that is taken next stands at the end.
fn children(view: &View<'_>, index: usize) -> Vec<usize> {
    let rows = view.rows();
    let (mut children, mut next) = (Vec::new(), index + 1);
    while next < rows[index].end {
        children.push(next);
        next = rows[next].end;
    }
    children.sort_by_key(|child| Reverse(rows[*child].start_ms));
    children
}
