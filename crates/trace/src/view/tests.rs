use super::*;
use crate::{CostSource, NodeType};
use jiff::Timestamp;

fn leaf(name: &str, cost_usd: f64, used: i64) -> Node {
    Node {
        agent_name: name.into(),
        duration_ms: 100,
        cost_usd,
        input_tokens: used,
        output_tokens: 1,
        context_window: 100,
        ..Node::default()
    }
}

fn parent(children: Vec<Node>) -> Node {
    Node { children, ..Node::default() }
}

#[test]
fn rows_stand_as_a_tree_is_printed_and_know_their_place() {
    let tree = parent(vec![parent(vec![leaf("a", 0.0, 0), leaf("b", 0.0, 0)]), leaf("c", 0.0, 0)]);
    let view = View::of(&tree);
    let places: Vec<_> =
        view.rows().iter().map(|row| (row.depth, row.parent, row.is_last, row.end)).collect();
    assert_eq!(
        places,
        [
            (0, None, true, 5),
            (1, Some(0), false, 4),
            (2, Some(1), false, 3),
            (2, Some(1), true, 4),
            (1, Some(0), true, 5),
        ]
    );
    assert_eq!(view.children(0).map(|row| row.end).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(view.children(4).count() + view.children(99).count(), 0);
}

#[test]
fn figures_of_a_row_hold_all_that_stands_below_it() {
    let mut tree = parent(vec![parent(vec![leaf("a", 0.25, 70), leaf("b", 0.5, 10)])]);
    tree.cost_usd = 1.0;
    tree.cache_read_tokens = 7;
    let total = View::of(&tree).root().total;
    assert_eq!((total.cost_usd, total.cost_is_partial), (1.75, false));
    assert_eq!((total.input_tokens, total.cached_tokens, total.output_tokens), (80, 7, 2));
    assert_eq!(total.tokens_in(), 87);
}

#[test]
fn a_cost_that_nobody_knows_makes_every_total_above_it_a_lower_bound() {
    for (source, partial) in [
        (None, false),
        (Some(CostSource::Reported), false),
        (Some(CostSource::Priced), false),
        (Some(CostSource::Partial), true),
        (Some(CostSource::Unknown), true),
    ] {
        let unknown = Node { cost_source: source, ..leaf("a", 0.0, 0) };
        let tree = parent(vec![parent(vec![unknown]), leaf("b", 0.5, 0)]);
        let view = View::of(&tree);
        let partials: Vec<_> = view.rows().iter().map(|row| row.total.cost_is_partial).collect();
        assert_eq!(partials, [partial, partial, partial, false], "{source:?}");
    }
}

#[test]
fn contexts_are_averaged_up_where_a_node_has_none_of_its_own() {
    let tree = parent(vec![
        parent(vec![leaf("a", 0.0, 70), leaf("b", 0.0, 10)]),
        leaf("c", 0.0, 500),
        Node::default(),
    ]);
    let view = View::of(&tree);
    assert_eq!(view.child_contexts(0), [40.0, 100.0]);
    assert_eq!(view.child_contexts(1), [70.0, 10.0]);
    assert_eq!((view.root().context, view.root().average), (None, Some(70.0)));
    assert_eq!(view.warnings(WARN_PERCENT), (2, 3));
    assert_eq!(view.rows().iter().filter(|row| row.is_warned()).count(), 3);
}

#[test]
fn a_parent_with_a_context_of_its_own_is_not_counted_beside_those_below_it() {
    let mut tree = parent(vec![leaf("a", 0.0, 90), leaf("b", 0.0, 10)]);
    (tree.context_window, tree.context_used) = (100, 95);
    assert_eq!(View::of(&tree).warnings(60.0), (1, 2));
    tree.children.clear();
    assert_eq!(View::of(&tree).warnings(60.0), (1, 1));
}

#[test]
fn what_the_context_held_goes_before_what_went_in() {
    let node = Node { context_used: 20, ..leaf("a", 0.0, 90) };
    assert_eq!(View::of(&node).root().context, Some(20.0));
    let unknown = Node { context_window: 0, ..node };
    assert_eq!(View::of(&unknown).root().context, None);
}

#[test]
fn children_that_do_not_say_when_they_began_are_laid_end_to_end() {
    let tree = parent(vec![
        leaf("a", 0.0, 0),
        parent(vec![leaf("b", 0.0, 0), leaf("c", 0.0, 0)]),
        leaf("d", 0.0, 0),
    ]);
    let view = View::of(&tree);
    let times: Vec<_> = view.rows().iter().map(|row| (row.start_ms, row.end_ms)).collect();
    assert_eq!(times, [(0, 400), (0, 100), (100, 300), (100, 200), (200, 300), (300, 400)]);
    assert_eq!(view.root().duration_ms(), Some(400));
}

#[test]
fn times_are_counted_from_the_first_that_is_known() {
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    let mut tree = parent(vec![leaf("late", 0.0, 0), leaf("early", 0.0, 0)]);
    tree.start_time = at(100);
    tree.children[0].start_time = at(103);
    tree.children[1].start_time = at(99);
    let view = View::of(&tree);
    let times: Vec<_> = view.rows().iter().map(|row| (row.start_ms, row.end_ms)).collect();
    assert_eq!(times, [(1000, 4100), (4000, 4100), (0, 100)]);
    assert_eq!(view.span_ms(), 4100);
}

#[test]
fn figures_beyond_all_measure_stay_figures() {
    let hostile = Node {
        duration_ms: i64::MAX,
        cost_usd: f64::MAX,
        input_tokens: i64::MAX,
        output_tokens: i64::MIN,
        cache_read_tokens: i64::MAX,
        context_window: 1,
        start_time: Some(Timestamp::MAX),
        ..Node::default()
    };
    let low = Node {
        start_time: Some(Timestamp::MIN),
        cost_usd: f64::NAN,
        duration_ms: -1,
        ..hostile.clone()
    };
    let mut tree = parent(vec![hostile.clone(), hostile, low]);
    tree.cost_usd = f64::NEG_INFINITY;
    let view = View::of(&tree);
    assert_eq!(view.root().total.cost_usd, f64::MAX);
    assert_eq!(view.root().total.output_tokens, 0);
    assert_eq!((view.span_ms(), view.root().average), (i64::MAX, Some(100.0)));
    assert!(dollars(&view.root().total).len() < 12);
    assert!(duration(view.span_ms()).len() < 8 && tokens(u64::MAX).len() < 8);
}

#[test]
fn a_node_stands_as_its_error_says() {
    for (node_type, error, want) in [
        (NodeType::Phase, "", State::Ended),
        (NodeType::Phase, "crashed: x", State::Failed),
        (NodeType::ToolCall, "exit code 1", State::Failed),
        (NodeType::ToolCall, "unfinished", State::Unfinished),
        (NodeType::Phase, "unfinished", State::Failed),
        (NodeType::Marker, "usage_limit: x", State::Ended),
    ] {
        let node = Node { node_type, error: error.into(), ..Node::default() };
        assert_eq!(View::of(&node).root().state, want, "{node:?}");
    }
    let total = View::of(&sample_tree()).root().total;
    assert_eq!((total.calls, total.failed, total.unfinished), (12, 2, 1));
}

#[test]
fn the_attempts_of_a_phase_stand_before_what_they_did() {
    let tree = sample_tree();
    let view = View::of(&tree);
    let at = view.rows().iter().position(|row| row.name() == "discovery").unwrap();
    let names: Vec<_> = view.children(at).map(Row::name).collect();
    assert_eq!(names[..3], ["codex", "claude-code", "⇢ claude-code"]);
    let codex = view.children(at).next().unwrap();
    assert_eq!((codex.state, codex.total), (State::Failed, Total::default()));
}

#[test]
fn a_tree_of_any_depth_is_made_without_recursion() {
    let mut tree = leaf("deepest", 0.5, 90);
    for _ in 0..200_000 {
        tree = parent(vec![tree]);
    }
    {
        let view = View::of(&tree);
        assert_eq!((view.rows().len(), view.root().total.cost_usd), (200_001, 0.5));
        assert_eq!(view.warnings(60.0), (1, 1));
    }
    // Dropping it as it is would recurse.
    while let Some(child) = tree.children.pop() {
        tree = child;
    }
}

#[test]
fn models_are_named_by_their_family_where_the_name_has_one() {
    for (model, want) in [
        ("claude-opus-4-6", "opus"),
        ("claude-sonnet-4-5-20250929", "sonnet"),
        ("claude-haiku-4-5-20251001", "haiku"),
        ("claude-3-5-sonnet-20241022", "sonnet"),
        ("claude-opus-4-6[1m]", "opus"),
        ("anthropic/claude-opus-4.6", "opus"),
        ("gpt-5.5", "gpt-5.5"),
        ("gpt-5.5-codex", "gpt-5.5-codex"),
        ("opus", "opus"),
        ("claude-", "claude-"),
        ("claude-4", "claude-4"),
        ("", ""),
    ] {
        assert_eq!(short_model(model), want, "{model}");
    }
}

#[test]
fn figures_have_the_seeds_forms() {
    for (n, want) in
        [(0, "0"), (999, "999"), (1_234, "1.2K"), (999_999, "1.0M"), (3_400_000, "3.4M")]
    {
        assert_eq!(tokens(n), want);
    }
    for (ms, want) in
        [(-5, "0ms"), (12, "12ms"), (3_400, "3.4s"), (59_999, "1.0m"), (336_000, "5.6m")]
    {
        assert_eq!(duration(ms), want);
    }
    let cost = |cost_usd, cost_is_partial| {
        dollars(&Total { cost_usd, cost_is_partial, ..Total::default() })
    };
    assert_eq!(
        [cost(0.013, false), cost(0.12, true), cost(0.0, true), cost(0.0, false)],
        ["$0.0130", "≥$0.1200", "$?", "$0.0000"]
    );
    assert_eq!(short_id("01a1fded-c7f0-76d1-9a5c-f99e62216721"), "62216721");
    assert_eq!((short_id("1f0c2a7e"), short_id("日本語日本語")), ("1f0c2a7e", "日本語日本語"));
}
