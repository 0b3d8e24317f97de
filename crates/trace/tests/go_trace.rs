//! Files that the Go program writes are read, and mean what they mean there.

use belay_trace::view::{View, WARN_PERCENT};
use belay_trace::{NodeType, read_file};
use std::path::Path;

#[test]
fn a_trace_of_the_go_program_is_read_with_its_totals_and_its_times() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go-trace/trace.json");
    let tree = read_file(&path).unwrap();
    let types: Vec<_> = tree.children.iter().map(|node| node.node_type.clone()).collect();
    use NodeType::{Marker, Phase};
    assert_eq!(types, [Marker, Phase, Marker, Phase]);
    let view = View::of(&tree);
    let total = view.root().total;
    assert!((total.cost_usd - 0.0441).abs() < 1e-9 && !total.cost_is_partial);
    assert_eq!((total.input_tokens, total.output_tokens), (225_520, 1_462));
    assert_eq!(view.warnings(WARN_PERCENT), (1, 2));
    let times: Vec<_> = view.children(0).map(|row| (row.start_ms, row.end_ms)).collect();
    assert_eq!(times, [(0, 0), (0, 9_100), (9_100, 9_100), (9_100, 15_400)]);
}
