//! Real agents in one trace: two phases, one failover, and figures that are those of the results.

use crate::party::{Fails, TOKENS, client, party};
use belay_testkit::model_server::{Reply, Script};
use belay_testkit::real::Sandbox;
use belaykit::trace::view::View;
use belaykit::trace::{Node, NodeType, TraceConfig, read_file};
use belaykit::{Error, Outcome, Permissions, Policy};
use serde_json::{Value, json};
use std::fs;

/// The seed's `trace.Node`, written by hand from its plan: ten fields, of which three may be left out, and whatever
/// else a reader of Go ignores.
fn seeds_schema() -> Value {
    let fields = json!({
        "id": {"type": "string", "minLength": 1},
        "node_type": {"enum": ["trace", "phase", "marker", "tool_call"]},
        "agent_name": {"type": "string"},
        "model": {"type": "string", "minLength": 1},
        "duration_ms": {"type": "integer", "minimum": 0},
        "cost_usd": {"type": "number", "minimum": 0},
        "input_tokens": {"type": "integer", "minimum": 0},
        "output_tokens": {"type": "integer", "minimum": 0},
        "context_window": {"type": "integer", "minimum": 1},
        "children": {"type": "array", "minItems": 1, "items": {"$ref": "#"}}
    });
    json!({
        "type": "object",
        "properties": fields,
        "required": ["id", "node_type", "agent_name", "duration_ms", "cost_usd", "input_tokens", "output_tokens"]
    })
}

fn outcome(result: &Result<Outcome, Error>) -> &Outcome {
    result.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn two_phases_and_a_failover_of_claude_and_codex_are_one_trace_whose_totals_are_the_results() {
    let test =
        "two_phases_and_a_failover_of_claude_and_codex_are_one_trace_whose_totals_are_the_results";
    let sandbox = Sandbox::new().unwrap();
    // The first phase is Claude's; in the second one it is limited, and Codex takes over.
    let script = Script::new()
        .reply(Reply::text("I will look.").shell("echo subreddits").usage(TOKENS))
        .reply(Reply::text("Two subreddits.").usage(TOKENS))
        .forever(Fails::RateLimited.reply());
    let Some(first) = party("claude-code", script, test) else { return };
    let script = Script::new()
        .reply(Reply::text("Now the threads.").shell("echo threads").usage(TOKENS))
        .reply(Reply::text("Three threads.").usage(TOKENS));
    let Some(second) = party("codex", script, test) else { return };
    let client = client(&sandbox, &[&first, &second]).policy(Policy::default().max_retries(0));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (id, outcomes) = runtime.block_on(async {
        let trace = client.start_trace(TraceConfig::new("hiveminer-run"));
        let id = trace.id().to_owned();
        let mut outcomes = Vec::new();
        for phase in ["subreddit-discovery", "thread-discovery"] {
            let request = trace.phase(phase).request("Find them.").cwd(sandbox.project());
            outcomes.push(client.run(request.permissions(Permissions::Full)).await);
        }
        trace.end().await.unwrap();
        (id, outcomes)
    });
    let outcomes: Vec<&Outcome> = outcomes.iter().map(outcome).collect();
    assert_eq!(outcomes[0].text, "Two subreddits.");
    assert_eq!((&*outcomes[1].text, &*outcomes[1].agent), ("Three threads.", "codex"));

    let path = sandbox.home().join("traces").join(format!("{id}.json"));
    let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&seeds_schema()).unwrap();
    let wrong: Vec<String> = schema.iter_errors(&file).map(|error| error.to_string()).collect();
    assert_eq!(wrong, Vec::<String>::new());
    assert!(!schema.is_valid(&json!({"id": "x", "node_type": "phase"})), "the schema refuses");

    let tree = read_file(&path).unwrap();
    assert_eq!((tree.agent_name.as_str(), &tree.status), ("hiveminer-run", &None));
    let named = |node: &Node| (node.node_type.clone(), node.agent_name.clone());
    let phases: Vec<_> = tree.children.iter().map(named).collect();
    assert_eq!(
        phases,
        [
            (NodeType::Marker, "→ subreddit-discovery".to_owned()),
            (NodeType::Phase, "subreddit-discovery".to_owned()),
            (NodeType::Marker, "→ thread-discovery".to_owned()),
            (NodeType::Phase, "thread-discovery".to_owned()),
        ]
    );
    let agents: Vec<_> = tree.children[3].attempts.iter().map(|it| it.agent.as_str()).collect();
    assert_eq!(agents, ["claude-code", "codex"]);

    // What stands in the tree adds up to what the runs said.
    let total = View::of(&tree).root().total;
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(|outcome| of(outcome)).sum::<u64>();
    assert_eq!(total.output_tokens, sum(|it| it.usage.output_tokens.unwrap_or(0)));
    assert_eq!(total.output_tokens, 4 * TOKENS.output);
    assert_eq!(total.input_tokens, sum(|it| it.usage.input_tokens.unwrap_or(0)));
    let cached = |it: &Outcome| {
        it.usage.cache_read_input_tokens.unwrap_or(0)
            + it.usage.cache_creation_input_tokens.unwrap_or(0)
    };
    assert_eq!(total.cached_tokens, sum(cached));
    let cost: f64 = outcomes.iter().filter_map(|it| it.usage.total_cost_usd).sum();
    assert!((total.cost_usd - cost).abs() < 1e-9 && cost > 0.0, "{} {cost}", total.cost_usd);
    assert_eq!(total.calls, 2);
}
