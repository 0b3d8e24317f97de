use super::*;
use belay_trace::view::sample_tree;
use insta::assert_snapshot;

fn drawn(tree: &Node, width: usize) -> String {
    draw(tree, Look { width, paint: false })
}

fn draw(tree: &Node, look: Look) -> String {
    let mut out = Vec::new();
    print(tree, look, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_sample_at_60_columns() {
    assert_snapshot!(drawn(&sample_tree(), 60), @r"
    hiveminer-run  1/3 ⚠                  3.2m  ≥$0.4975   58%
    ├── → discovery ────────────────────────────────────────────
    ├── discovery  opus                   1.4m   $0.3121   66% ⚠
    │   ├── 1. codex:gpt-…  usage_limit   4.2s   $0.0000
    │   ├── 2. claude-code:o…  answered   1.2m   $0.3121
    │   ├── ⇢ claude-code  usage_limit: You've hit your usage l…
    │   ├── Bash                          1.2s
    │   ├── Task                         38.5s             21%
    │   │   ├── Grep                     420ms
    │   │   ├── Read                      38ms
    │   │   └── explore  haiku           30.7s             21%
    │   ├── ⟲ again  overloaded: 529 Overloaded
    │   ├── mcp__reddit__search_subred…   9.3s
    │   └── Bash  ✗ exit code 4           2.1s
    ├── → review ───────────────────────────────────────────────
    ├── review  gpt-5.5                   1.1m        $?   22%
    │   ├── Bash                         12.3s
    │   └── Bash                         41.0s
    ├── → writing ──────────────────────────────────────────────
    └── writing  sonnet                   1.7m   $0.1854   86% ⚠
        │ ✗ interrupted: stopped by the user
        ├── Read                          21ms
        ├── Edit                         310ms
        ├── 研究ノートを書く📝           12.6s
        └── Bash  unfinished
    ");
}

#[test]
fn the_sample_at_100_columns() {
    assert_snapshot!(drawn(&sample_tree(), 100), @r"
    hiveminer-run  1/3 ⚠                     3.2m  ≥$0.4975  ↑328.8K ↓11.5K  ▅▂▆         58%    ━━━━━━━━
    ├── → discovery ──────────────────────────────────────────────────────────────────────────
    ├── 1f0c2a7e  discovery  opus            1.4m   $0.3121   ↑158.5K ↓5.0K  ██████░░░░  66% ⚠  ━━━━
    │   ├── 1. codex:gpt-5.5  usage_limit    4.2s   $0.0000
    │   ├── 2. claude-code:opus  answered    1.2m   $0.3121
    │   ├── ⇢ claude-code  usage_limit: You've hit your usage limit; resets 1:50pm              ┊
    │   ├── 90e4c1d2  Bash                   1.2s                                               ━
    │   ├── 5b7d10aa  Task                  38.5s              ↑41.2K ↓1.0K  ▂           21%    ━━━
    │   │   ├── c01d9e42  Grep              420ms                                               ━
    │   │   ├── c01d9e43  Read               38ms                                               ━
    │   │   └── c01d9e44  explore  haiku    30.7s              ↑41.2K ↓1.0K  ██░░░░░░░░  21%    ━━━
    │   ├── ⟲ again  overloaded: 529 Overloaded                                                   ┊
    │   ├── e8a9b001  mcp__reddit__search…   9.3s                                                 ━
    │   └── e8a9b002  Bash  ✗ exit code 4    2.1s                                                 ━━
    ├── → review ─────────────────────────────────────────────────────────────────────────────
    ├── 2a1d3b8f  review  gpt-5.5            1.1m        $?      ↑9.1K ↓640  ██░░░░░░░░  22%       ━━━━
    │   ├── aa10bb20  Bash                  12.3s                                                  ━━
    │   └── aa10bb21  Bash                  41.0s                                                   ━━
    ├── → writing ────────────────────────────────────────────────────────────────────────────
    └── 3c4e5f60  writing  sonnet            1.7m   $0.1854   ↑161.2K ↓5.9K  ████████░░  86% ⚠     ━━━━━
        │ ✗ interrupted: stopped by the user
        ├── dd00ee01  Read                   21ms                                                  ━
        ├── dd00ee02  Edit                  310ms                                                    ━
        ├── dd00ee03  研究ノートを書く📝    12.6s                                                    ━━
        └── dd00ee04  Bash  unfinished                                                                 ━
    ");
}

#[test]
fn the_sample_at_200_columns() {
    assert_snapshot!(drawn(&sample_tree(), 200), @r"
    hiveminer-run  1/3 ⚠                               3.2m  ≥$0.4975  ↑328.8K ↓11.5K  ▅▂▆         58%    ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
    ├── → discovery ────────────────────────────────────────────────────────────────────────────────────
    ├── 1f0c2a7e  discovery  opus                      1.4m   $0.3121   ↑158.5K ↓5.0K  ██████░░░░  66% ⚠  ━━━━━━━━━━━━━━━━━━━━━━━━━━
    │   ├── 1. codex:gpt-5.5  usage_limit              4.2s   $0.0000
    │   ├── 2. claude-code:opus  answered              1.2m   $0.3121
    │   ├── ⇢ claude-code  usage_limit: You've hit your usage limit; resets 1:50pm                         ┊
    │   ├── 90e4c1d2  Bash                             1.2s                                                 ━
    │   ├── 5b7d10aa  Task                            38.5s              ↑41.2K ↓1.0K  ▂           21%        ━━━━━━━━━━━━━
    │   │   ├── c01d9e42  Grep                        420ms                                                    ━
    │   │   ├── c01d9e43  Read                         38ms                                                    ━
    │   │   └── c01d9e44  explore  haiku              30.7s              ↑41.2K ↓1.0K  ██░░░░░░░░  21%         ━━━━━━━━━━━
    │   ├── ⟲ again  overloaded: 529 Overloaded                                                                           ┊
    │   ├── e8a9b001  mcp__reddit__search_subreddits   9.3s                                                                 ━━━━
    │   └── e8a9b002  Bash  ✗ exit code 4              2.1s                                                                    ━━
    ├── → review ───────────────────────────────────────────────────────────────────────────────────────
    ├── 2a1d3b8f  review  gpt-5.5                      1.1m        $?      ↑9.1K ↓640  ██░░░░░░░░  22%                             ━━━━━━━━━━━━━━━━━━━━━
    │   ├── aa10bb20  Bash                            12.3s                                                                         ━━━━━
    │   └── aa10bb21  Bash                            41.0s                                                                              ━━━━━━━━━━━━━
    ├── → writing ──────────────────────────────────────────────────────────────────────────────────────
    └── 3c4e5f60  writing  sonnet                      1.7m   $0.1854   ↑161.2K ↓5.9K  ████████░░  86% ⚠                              ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        │ ✗ interrupted: stopped by the user
        ├── dd00ee01  Read                             21ms                                                                            ━
        ├── dd00ee02  Edit                            310ms                                                                                    ━━
        ├── dd00ee03  研究ノートを書く📝              12.6s                                                                                          ━━━━━
        └── dd00ee04  Bash  unfinished                                                                                                                         ━
    ");
}

/// A trace as the seed's program writes it: nothing but its ten fields.
#[test]
fn a_trace_of_the_go_program_is_drawn_as_its_own_viewer_does() {
    let leaf = |id: &str, input_tokens| Node {
        id: id.into(),
        node_type: NodeType::ToolCall,
        agent_name: "extract".into(),
        model: "claude-haiku-4-5-20251001".into(),
        duration_ms: 1_200,
        cost_usd: 0.0021,
        input_tokens,
        output_tokens: 310,
        context_window: 200_000,
        ..Node::default()
    };
    let agent = Node {
        id: "b1".into(),
        node_type: NodeType::Other("agent".into()),
        agent_name: "deepsearch-extraction".into(),
        children: vec![leaf("c1", 20_000), leaf("c2", 130_000), leaf("c3", 190_000)],
        ..Node::default()
    };
    let tree = Node { id: "a1".into(), children: vec![agent], ..Node::default() };
    assert_snapshot!(drawn(&tree, 100), @r"
    a1  session  2/3 ⚠                   3.6s  $0.0063  ↑340.0K ↓930  ▄           57%    ━━━━━━━━━━━━━━━
    └── b1  deepsearch-extraction        3.6s  $0.0063  ↑340.0K ↓930  ▁▅▇         57%    ━━━━━━━━━━━━━━━
        ├── c1  extract  haiku           1.2s  $0.0021   ↑20.0K ↓310  █░░░░░░░░░  10%    ━━━━━
        ├── c2  extract  haiku           1.2s  $0.0021  ↑130.0K ↓310  ██████░░░░  65% ⚠       ━━━━━
        └── c3  extract  haiku           1.2s  $0.0021  ↑190.0K ↓310  █████████░  95% ⚠            ━━━━━
    ");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut tree = sample_tree();
    tree.agent_name = "日本語 👩‍👩‍👧 ".repeat(40);
    tree.children[1].error = "e\u{301}❤️ ".repeat(200);
    for _ in 0..40 {
        tree = Node {
            id: "deep".into(),
            agent_name: "deep".into(),
            children: vec![tree],
            ..Node::default()
        };
    }
    for width in (1..240).step_by(5) {
        for line in drawn(&tree, width).lines() {
            assert!(line.width() <= width, "{} > {width}: {line}", line.width());
            assert!(width < 30 || line == line.trim_end(), "{width}: {line:?}");
        }
    }
}

/// S14 of the test plan.
#[test]
fn nothing_in_a_trace_reaches_the_terminal() {
    let hostile = "\x1b[31mred \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\ \x1b]52;c;ZXZpbA==\x07 \u{9b}2J\u{90}q \u{202e}live\u{2066} \r\n\ttab\u{7f}\0";
    let mut tree = sample_tree();
    let mut todo = vec![&mut tree];
    while let Some(node) = todo.pop() {
        for text in [&mut node.id, &mut node.agent_name, &mut node.model] {
            *text = hostile.into();
        }
        if !node.error.is_empty() {
            node.error = hostile.into();
        }
        for attempt in &mut node.attempts {
            (attempt.agent, attempt.model) = (hostile.into(), Some(hostile.into()));
        }
        todo.extend(&mut node.children);
    }
    let lines = View::of(&tree).rows().len() + 1;
    for width in [20, 60, 100, 1000] {
        let plain = drawn(&tree, width);
        assert_eq!(plain.lines().count(), lines, "a line break in a name is none");
        let harmless = |text: &str| {
            text.chars().all(|c| c == '\n' || visible_line(&c.to_string()).len() == c.len_utf8())
        };
        assert!(harmless(&plain), "{plain:?}");
        let painted = draw(&tree, Look { width, paint: true });
        let mut own = String::new();
        for (n, part) in painted.split('\x1b').enumerate() {
            // Only styles of our own begin with an escape.
            let style = part.split_once('m').filter(|(style, _)| {
                style.starts_with('[')
                    && style[1..].bytes().all(|b| b.is_ascii_digit() || b == b';')
            });
            own.push_str(if n == 0 { part } else { style.unwrap().1 });
        }
        assert_eq!(own, plain, "colour changes nothing but the colour");
    }
}
