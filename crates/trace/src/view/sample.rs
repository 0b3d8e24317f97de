//! A trace with something of everything, for tests and pictures.

use crate::{AttemptSummary, CostSource, FailureKind, Node, NodeType, Start};
use jiff::{SignedDuration, Timestamp};

/// A hand-made trace: three phases, two of them at the same time, a failover, a retry, subagents, errors, an
/// unknown cost and full contexts. It is the same at every call.
pub fn sample_tree() -> Node {
    let mut root = node(NodeType::Trace, "hiveminer-run", "hiveminer-run", 0, 192_400);
    root.children = discovery();
    root.children.extend(review());
    root.children.extend(writing());
    root
}

fn discovery() -> Vec<Node> {
    let limit = "usage_limit: You've hit your usage limit; resets 1:50pm";
    let mut phase = Node {
        cost_usd: 0.3121,
        input_tokens: 2_412,
        output_tokens: 3_941,
        context_window: 200_000,
        cost_source: Some(CostSource::Reported),
        cache_read_tokens: 96_200,
        cache_write_tokens: 18_644,
        context_used: 131_480,
        model: "claude-opus-4-6".into(),
        attempts: vec![
            attempt(1, "codex", Some("gpt-5.5"), Some(FailureKind::UsageLimit), 4_210, 0.0),
            attempt(2, "claude-code", Some("claude-opus-4-6"), None, 73_890, 0.3121),
        ],
        ..node(NodeType::Phase, "1f0c2a7e", "discovery", 0, 81_300)
    };
    let mut task = call("5b7d10aa", "Task", 14_000, 38_500, "");
    task.children = vec![
        call("c01d9e42", "Grep", 16_100, 420, ""),
        call("c01d9e43", "Read", 17_050, 38, ""),
        Node {
            input_tokens: 41_200,
            output_tokens: 1_020,
            context_window: 200_000,
            model: "claude-haiku-4-5-20251001".into(),
            ..node(NodeType::Other("agent".into()), "c01d9e44", "explore", 18_000, 30_700)
        },
    ];
    phase.children = vec![
        boundary("77aa01b3", "⇢ claude-code", 4_300, limit),
        call("90e4c1d2", "Bash", 6_900, 1_240, ""),
        task,
        boundary("4d5e6f70", "⟲ again", 54_000, "overloaded: 529 Overloaded"),
        call("e8a9b001", "mcp__reddit__search_subreddits", 58_400, 9_310, ""),
        call("e8a9b002", "Bash", 70_100, 2_075, "exit code 4"),
    ];
    vec![boundary("0b1c2d3e", "→ discovery", 0, ""), phase]
}

fn review() -> Vec<Node> {
    let mut phase = Node {
        input_tokens: 9_120,
        output_tokens: 640,
        context_window: 272_000,
        cost_source: Some(CostSource::Unknown),
        context_used: 58_900,
        model: "gpt-5.5".into(),
        ..node(NodeType::Phase, "2a1d3b8f", "review", 81_300, 64_200)
    };
    phase.children = vec![
        call("aa10bb20", "Bash", 84_000, 12_300, ""),
        call("aa10bb21", "Bash", 99_700, 41_000, ""),
    ];
    vec![boundary("1b2c3d4f", "→ review", 81_300, ""), phase]
}

fn writing() -> Vec<Node> {
    let mut phase = Node {
        cost_usd: 0.1854,
        input_tokens: 1_203,
        output_tokens: 5_872,
        context_window: 200_000,
        cost_source: Some(CostSource::Priced),
        cache_read_tokens: 160_020,
        context_used: 171_300,
        model: "claude-sonnet-4-5-20250929".into(),
        error: "interrupted: stopped by the user".into(),
        ..node(NodeType::Phase, "3c4e5f60", "writing", 92_000, 100_400)
    };
    phase.children = vec![
        call("dd00ee01", "Read", 95_200, 21, ""),
        call("dd00ee02", "Edit", 121_700, 310, ""),
        call("dd00ee03", "研究ノートを書く📝", 140_000, 12_600, ""),
        call("dd00ee04", "Bash", 171_000, 0, "unfinished"),
    ];
    vec![boundary("2c3d4e5f", "→ writing", 92_000, ""), phase]
}

fn node(node_type: NodeType, id: &str, name: &str, start_ms: i64, duration_ms: i64) -> Node {
    let begin = Timestamp::constant(1_795_250_000, 0);
    Node {
        id: id.into(),
        node_type,
        agent_name: name.into(),
        duration_ms,
        start_time: begin.checked_add(SignedDuration::from_millis(start_ms)).ok(),
        ..Node::default()
    }
}

fn call(id: &str, name: &str, start_ms: i64, duration_ms: i64, error: &str) -> Node {
    Node { error: error.into(), ..node(NodeType::ToolCall, id, name, start_ms, duration_ms) }
}

fn boundary(id: &str, name: &str, start_ms: i64, error: &str) -> Node {
    Node { error: error.into(), ..node(NodeType::Marker, id, name, start_ms, 0) }
}

fn attempt(
    attempt: u32,
    agent: &str,
    model: Option<&str>,
    kind: Option<FailureKind>,
    duration_ms: u64,
    cost: f64,
) -> AttemptSummary {
    AttemptSummary {
        attempt,
        agent: agent.into(),
        model: model.map(str::to_owned),
        kind,
        total_cost_usd: Some(cost),
        cost_source: CostSource::Reported,
        duration_ms: Some(duration_ms),
        start: Start::Fresh,
        ..AttemptSummary::default()
    }
}
