//! A trace as the JSON of Chrome's tracing, which Perfetto opens.
//!
//! Every node is a complete event (`X`), every boundary an instant (`i`), and the context's tokens and the cost so
//! far are counters (`C`). Times are microseconds since the beginning of the trace. Events of one thread must stand
//! inside each other or apart, so what happened at the same time is put on threads of its own.

mod lanes;

use self::lanes::lanes;
use belay_trace::view::{Row, State, View};
use belay_trace::{Node, NodeType};
use serde_json::{Value, json};
use std::io::{self, Write};

/// The process that all events belong to.
const PID: u32 = 1;

/// Writes a trace.
///
/// # Errors
/// When `out` cannot be written.
pub(crate) fn write(tree: &Node, out: &mut impl Write) -> io::Result<()> {
    let view = View::of(tree);
    let lanes = lanes(&view);
    write!(out, "{{\"displayTimeUnit\":\"ms\",\"otherData\":")?;
    serde_json::to_writer(&mut *out, &json!({ "trace": tree.id, "start_time": tree.start_time }))?;
    writeln!(out, ",\"traceEvents\":[")?;
    let name = json!({ "name": view.root().name() });
    serde_json::to_writer(&mut *out, &metadata("process_name", 0, name))?;
    let last = lanes.iter().map(|lane| lane.thread).max().unwrap_or(0);
    for thread in 0..=last {
        let name = if thread == 0 { "trace".to_owned() } else { format!("beside it, {thread}") };
        event(out, &metadata("thread_name", thread, json!({ "name": name })))?;
        event(out, &metadata("thread_sort_index", thread, json!({ "sort_index": thread })))?;
    }
    for (row, lane) in view.rows().iter().zip(&lanes) {
        let Some(node) = row.node() else { continue };
        let mut json = json!({
            "name": row.name(),
            "cat": type_name(&node.node_type),
            "pid": PID,
            "tid": lane.thread,
            "ts": micros(lane.start_ms),
            "args": args(row, node),
        });
        if node.node_type == NodeType::Marker {
            json["ph"] = "i".into();
            json["s"] = "t".into();
        } else {
            json["ph"] = "X".into();
            json["dur"] = micros(lane.end_ms.saturating_sub(lane.start_ms)).into();
        }
        event(out, &json)?;
    }
    counters(&view, out)?;
    writeln!(out, "\n]}}")
}

fn event(out: &mut impl Write, event: &Value) -> io::Result<()> {
    out.write_all(b",\n")?;
    Ok(serde_json::to_writer(out, event)?)
}

fn metadata(name: &str, thread: usize, args: Value) -> Value {
    json!({ "ph": "M", "name": name, "pid": PID, "tid": thread, "ts": 0, "args": args })
}

/// What the contexts held and what all had cost, at the end of each node that says so.
fn counters(view: &View<'_>, out: &mut impl Write) -> io::Result<()> {
    let nodes = view.rows().iter().filter_map(|row| Some((row.end_ms, row.node()?)));
    let mut told: Vec<(i64, &Node)> =
        nodes.filter(|(_, node)| node.context_used > 0 || node.cost_usd != 0.0).collect();
    told.sort_by_key(|(at_ms, _)| *at_ms);
    let mut cost = 0.0;
    for (at_ms, node) in told {
        let counter = |name: &str, args: Value| json!({ "ph": "C", "name": name, "pid": PID, "tid": 0, "ts": micros(at_ms), "args": args });
        if node.context_used > 0 {
            event(out, &counter("context tokens", json!({ "used": node.context_used })))?;
        }
        if node.cost_usd != 0.0 {
            cost = f64::clamp(cost + node.cost_usd, f64::MIN, f64::MAX);
            event(out, &counter("cost (USD)", json!({ "so far": cost })))?;
        }
    }
    Ok(())
}

fn args(row: &Row<'_>, node: &Node) -> Value {
    let mut args = serde_json::Map::new();
    let mut put = |name: &str, value: Value| {
        args.insert(name.to_owned(), value);
    };
    put("id", node.id.clone().into());
    for (name, text) in [
        ("model", &node.model),
        ("run", &node.run),
        ("tool_call_id", &node.tool_call_id),
        ("error", &node.error),
    ] {
        if !text.is_empty() {
            put(name, text.clone().into());
        }
    }
    if row.total.cost_usd != 0.0 || node.cost_source.is_some() {
        put("total_cost_usd", row.total.cost_usd.into());
        put("cost_is_partial", row.total.cost_is_partial.into());
    }
    if row.total.tokens_in() > 0 || row.total.output_tokens > 0 {
        put("total_input_tokens", row.total.input_tokens.into());
        put("total_cached_tokens", row.total.cached_tokens.into());
        put("total_output_tokens", row.total.output_tokens.into());
    }
    if let Some(percent) = row.context {
        put("context_percent", percent.into());
    }
    if row.state != State::Ended {
        put("state", row.state.name().into());
    }
    if !node.attempts.is_empty() {
        put("attempts", serde_json::to_value(&node.attempts).unwrap_or_default());
    }
    Value::Object(args)
}

/// `phase`, `tool_call` and so on, as in trace files.
pub(super) fn type_name(node_type: &NodeType) -> String {
    let name = serde_json::to_value(node_type).ok();
    name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn micros(ms: i64) -> i64 {
    ms.saturating_mul(1000)
}

#[cfg(test)]
mod tests;
