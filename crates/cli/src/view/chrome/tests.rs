use super::*;
use belay_trace::view::sample_tree;
use std::collections::BTreeMap;

fn events(tree: &Node) -> Vec<Value> {
    let mut out = Vec::new();
    write(tree, &mut out).unwrap();
    let trace: Value = serde_json::from_slice(&out).unwrap();
    trace["traceEvents"].as_array().unwrap().clone()
}

/// What the trace event format asks for, and that events of a thread stand inside each other or apart.
fn check(events: &[Value]) {
    let mut threads: BTreeMap<u64, Vec<(i64, i64)>> = BTreeMap::new();
    for event in events {
        assert!(event["name"].is_string() && event["pid"] == 1, "{event}");
        let (tid, ts) = (event["tid"].as_u64().unwrap(), event["ts"].as_i64().unwrap());
        match event["ph"].as_str().unwrap() {
            "M" => assert!(event["args"].is_object()),
            "i" => assert_eq!(event["s"], "t"),
            "C" => assert!(event["args"].as_object().unwrap().values().all(Value::is_number)),
            "X" => {
                let dur = event["dur"].as_i64().unwrap();
                assert!(dur >= 0, "{event}");
                threads.entry(tid).or_default().push((ts, ts.saturating_add(dur)));
            }
            other => panic!("{other}"),
        }
    }
    for (tid, mut spans) in threads {
        // As a viewer reads them: by beginning, the longer one first.
        spans.sort_by_key(|(start, end)| (*start, -end));
        let mut open: Vec<i64> = Vec::new();
        for (start, end) in spans {
            open.retain(|until| *until > start);
            assert!(open.last().is_none_or(|until| end <= *until), "{start}..{end} on {tid}");
            open.push(end);
        }
    }
}

fn one<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().find(|event| event["name"] == name).unwrap()
}

#[test]
fn the_sample_is_a_trace_that_perfetto_can_open() {
    let events = events(&sample_tree());
    check(&events);
    let review = one(&events, "review");
    assert_eq!((&review["ts"], &review["dur"]), (&81_300_000.into(), &64_200_000.into()));
    assert_eq!(one(&events, "discovery")["args"]["total_cost_usd"], 0.3121);
    assert_eq!(one(&events, "⇢ claude-code")["ph"], "i");
    let threads = |name| one(&events, name)["tid"].clone();
    assert_eq!(threads("discovery"), threads("review"), "one after the other");
    assert_ne!(threads("review"), threads("writing"), "at the same time");
    let costs: Vec<_> = events.iter().filter(|event| event["name"] == "cost (USD)").collect();
    let last = costs.last().unwrap()["args"]["so far"].as_f64().unwrap();
    assert!((last - 0.4975).abs() < 1e-9);
}

#[test]
fn whatever_the_times_are_events_stand_inside_each_other_or_apart() {
    // A simple generator of odd trees, the same at every run.
    let mut dice = 1_u64;
    let mut roll = |below: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) % below
    };
    for _ in 0..200 {
        let mut tree = sample_tree();
        let mut todo = vec![&mut tree];
        while let Some(node) = todo.pop() {
            node.duration_ms = i64::try_from(roll(50_000)).unwrap() - 100;
            if roll(3) == 0 {
                node.start_time = None;
            } else if roll(3) == 0 {
                node.start_time = jiff::Timestamp::from_millisecond(
                    1_795_250_000_000 + i64::try_from(roll(99_999)).unwrap(),
                )
                .ok();
            }
            todo.extend(&mut node.children);
        }
        check(&events(&tree));
    }
}

#[test]
fn figures_beyond_all_measure_are_still_json() {
    let mut tree = sample_tree();
    tree.duration_ms = i64::MAX;
    tree.cost_usd = f64::MAX;
    tree.children[1].cost_usd = f64::MAX;
    tree.children[1].start_time = Some(jiff::Timestamp::MIN);
    check(&events(&tree));
}
