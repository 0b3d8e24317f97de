//! A trace as CSV: a row a node, parents before their children.

use super::chrome::type_name;
use belay_trace::Node;
use belay_trace::view::View;
use std::borrow::Cow;
use std::io::{self, Write};

/// The columns. Their names and their order stay; new ones come at the end. `docs/traces.md` says what they hold.
pub(crate) const HEADER: [&str; 29] = [
    "id",
    "parent_id",
    "depth",
    "node_type",
    "name",
    "model",
    "state",
    "start_time",
    "start_ms",
    "duration_ms",
    "cost_usd",
    "cost_source",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "total_cost_usd",
    "total_cost_is_partial",
    "total_input_tokens",
    "total_cached_tokens",
    "total_output_tokens",
    "context_used",
    "context_window",
    "context_percent",
    "attempts",
    "run",
    "tool_call_id",
    "error",
    "trace",
];

/// Writes a trace.
///
/// # Errors
/// When `out` cannot be written.
pub(crate) fn write(tree: &Node, out: &mut impl Write) -> io::Result<()> {
    let view = View::of(tree);
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(HEADER)?;
    for row in view.rows() {
        let Some(node) = row.node() else { continue };
        let parent = row.parent.and_then(|parent| view.rows()[parent].node());
        let source = node.cost_source.and_then(|source| serde_json::to_value(source).ok());
        let source = source.as_ref().and_then(|source| source.as_str()).unwrap_or_default();
        let known = |n: i64| if n == 0 { String::new() } else { n.to_string() };
        let record: [Cow<'_, str>; HEADER.len()] = [
            harmless(&node.id),
            harmless(parent.map_or("", |parent| &parent.id)),
            row.depth.to_string().into(),
            harmless(&type_name(&node.node_type)).into_owned().into(),
            harmless(row.name()),
            harmless(&node.model),
            row.state.name().into(),
            node.start_time.map_or_else(String::new, |at| at.to_string()).into(),
            row.start_ms.to_string().into(),
            row.duration_ms().map_or_else(String::new, |ms| ms.to_string()).into(),
            node.cost_usd.to_string().into(),
            source.to_owned().into(),
            node.input_tokens.to_string().into(),
            node.output_tokens.to_string().into(),
            node.cache_read_tokens.to_string().into(),
            node.cache_write_tokens.to_string().into(),
            row.total.cost_usd.to_string().into(),
            row.total.cost_is_partial.to_string().into(),
            row.total.input_tokens.to_string().into(),
            row.total.cached_tokens.to_string().into(),
            row.total.output_tokens.to_string().into(),
            known(node.context_used).into(),
            known(node.context_window).into(),
            row.context.map_or_else(String::new, |percent| format!("{percent:.1}")).into(),
            node.attempts.len().max(1).to_string().into(),
            harmless(&node.run),
            harmless(&node.tool_call_id),
            harmless(&node.error),
            harmless(&tree.id),
        ];
        csv.write_record(record.iter().map(|cell| cell.as_bytes()))?;
    }
    csv.flush()
}

/// A text that no spreadsheet takes for a formula: those that begin like one have an apostrophe before them.
fn harmless(text: &str) -> Cow<'_, str> {
    match text.bytes().next() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n') => Cow::Owned(format!("'{text}")),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_trace::view::sample_tree;

    fn read(tree: &Node) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        write(tree, &mut out).unwrap();
        let mut reader = csv::Reader::from_reader(&*out);
        assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), HEADER);
        let cells = |record: csv::StringRecord| record.iter().map(str::to_owned).collect();
        reader.records().map(|record| cells(record.unwrap())).collect()
    }

    #[test]
    fn a_node_is_a_row_with_its_own_figures_and_its_totals() {
        let rows = read(&sample_tree());
        assert_eq!(rows.len(), 22, "attempts are none");
        let column = |name: &str| HEADER.iter().position(|head| *head == name).unwrap();
        let cell = |row: usize, name: &str| rows[row][column(name)].as_str();
        assert_eq!((cell(0, "depth"), cell(0, "total_cost_usd")), ("0", "0.4975"));
        assert_eq!((cell(0, "cost_usd"), cell(0, "total_cost_is_partial")), ("0", "true"));
        assert_eq!((cell(2, "name"), cell(2, "parent_id")), ("discovery", "hiveminer-run"));
        assert_eq!((cell(2, "attempts"), cell(2, "context_percent")), ("2", "65.7"));
        let states: Vec<_> = rows.iter().map(|row| row[column("state")].as_str()).collect();
        assert_eq!(states.iter().filter(|state| **state == "failed").count(), 2);
        assert_eq!(states.last(), Some(&"unfinished"));
    }

    #[test]
    fn no_text_is_taken_for_a_formula_and_none_breaks_its_row() {
        let mut tree = sample_tree();
        for (child, name) in
            tree.children.iter_mut().zip(["=1+1", "+1", "-1", "@x", "\tx", "a,\"b\"\r\nc"])
        {
            child.agent_name = name.into();
        }
        tree.id = "=cmd".into();
        let rows = read(&tree);
        let column = HEADER.iter().position(|head| *head == "name").unwrap();
        let names: Vec<_> =
            rows.iter().filter(|row| row[2] == "1").map(|row| &*row[column]).collect();
        assert_eq!(names, ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "a,\"b\"\r\nc"]);
        assert!(rows.iter().all(|row| row[HEADER.len() - 1] == "'=cmd"));
    }
}
