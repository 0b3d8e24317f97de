//! Runs as Freeplay gets them, checked field by field by a Freeplay that takes nothing else.
#![cfg(feature = "freeplay")]
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{Stage, answer, patiently, play, run};
use belay_testkit::freeplay::FakeFreeplay;
use belay_testkit::receiver::{Answer, Receiver};
use belay_testkit::recordings;
use belaykit::{Environment, Freeplay, TraceConfig};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;

fn observer(url: &str) -> Freeplay {
    let vars =
        [("FREEPLAY_API_KEY", "key"), ("FREEPLAY_PROJECT_ID", "p1"), ("FREEPLAY_API_URL", url)];
    Freeplay::new(&Environment::new(vars.map(|(name, value)| (name.into(), value.into())))).unwrap()
}

#[tokio::test]
async fn a_session_with_a_trace_and_a_run_with_a_tool_is_there_parents_first() {
    let freeplay = FakeFreeplay::start("key", "p1", false).unwrap();
    let stage = Stage::new("claude", &play(&recordings::one("claude-code", "b-shell")));
    let client = stage.claude().observe(observer(&freeplay.url()));
    let session = client.start_session([("customer".to_owned(), json!("acme"))]);
    let config = TraceConfig::new("hiveminer-run").meta("round", 3).meta("tags", json!(["a"]));
    let trace = session.start_trace(config);
    let seen = run(&client, trace.phase("discovery").request("Find it")).await;
    assert_eq!(seen.outcome.as_ref().unwrap().observer_errors, [""; 0]);
    let (session_id, trace_id) = (session.id().to_owned(), trace.id().to_owned());
    patiently(trace.end()).await.unwrap();
    patiently(session.end()).await.unwrap();

    let state = freeplay.state();
    assert_eq!(state.refused, [""; 0]);
    assert_eq!(state.order, ["trace", "trace", "completion", "tool", "update"]);
    let top = &state.traces[&trace_id];
    assert_eq!((&top["session"], &top["output"]), (&json!(session_id), &json!("ended")));
    assert_eq!(top["custom_metadata"], json!({"round": 3, "tags": "[\"a\"]"}));
    let of = |parent: &str| -> (String, Value) {
        let found = state.traces.iter().find(|(_, trace)| trace["parent_id"] == parent);
        found.map(|(id, trace)| (id.clone(), trace.clone())).unwrap()
    };
    let (run_id, of_run) = of(&trace_id);
    assert_eq!((&of_run["name"], &of_run["input"]), (&json!("discovery"), &json!("Find it")));
    assert_eq!(of_run["output"], seen.answer());
    let (_, tool) = of(&run_id);
    assert_eq!((&tool["kind"], &tool["name"]), (&json!("tool"), &json!("Bash")));

    let completion = state.completions.values().next().unwrap();
    assert_eq!(completion["parent_id"], run_id);
    assert_eq!(completion["session"], session_id);
    assert_eq!(completion["session_info"]["custom_metadata"], json!({"customer": "acme"}));
    assert_eq!(completion["messages"][0], json!({"role": "user", "content": "Find it"}));
    assert_eq!(completion["messages"][1]["content"], seen.answer());
    let usage = &seen.result().usage;
    let input = usage.input_tokens.unwrap()
        + usage.cache_read_input_tokens.unwrap_or(0)
        + usage.cache_creation_input_tokens.unwrap_or(0);
    let tokens = json!({"prompt_tokens": input, "completion_tokens": usage.output_tokens});
    assert_eq!(completion["call_info"]["usage"], tokens);
    assert_eq!(completion["call_info"]["provider"], "anthropic");
    assert_eq!(completion["call_info"]["model"], json!(seen.result().model));
    assert_eq!(completion["custom_metadata"]["cost_usd"], json!(usage.total_cost_usd));
    assert_eq!(completion["custom_metadata"]["is_error"], json!(false));
}

#[tokio::test]
async fn what_is_sent_twice_because_an_answer_was_lost_is_there_once() {
    let freeplay = FakeFreeplay::start("key", "p1", true).unwrap();
    let stage = Stage::new("claude", &answer());
    let client = stage.claude().observe(observer(&freeplay.url()));
    run(&client, "p").await;
    // The trace of the run and its completion, twice each.
    freeplay.receiver().wait(|requests| requests.len() == 4);
    let state = freeplay.state();
    assert_eq!(state.refused, [""; 0]);
    assert_eq!((state.traces.len(), state.completions.len()), (1, 1));
}

/// T21, for Freeplay.
#[tokio::test]
async fn a_freeplay_that_fails_costs_a_run_two_seconds_at_most_and_what_is_lost_is_told() {
    let stage = Stage::new("claude", &answer());
    let alone = run(&stage.claude(), "p").await;
    let black_hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answers = [
        ("slow", Answer::status(201).pace(Duration::from_secs(1))),
        ("429", Answer::status(429).header("retry-after", "60")),
        ("500", Answer::status(500)),
        ("401", Answer::status(401)),
    ];
    let receivers =
        answers.map(|(name, answer)| (name, Receiver::start(move |_| answer.clone()).unwrap()));
    let mut services = vec![
        ("black hole", format!("http://{}", black_hole.local_addr().unwrap())),
        ("refused", format!("http://{refused}")),
    ];
    services.extend(receivers.iter().map(|(name, receiver)| (*name, receiver.url())));
    for (name, url) in services {
        let seen = run(&stage.claude().observe(observer(&url)), "p").await;
        assert_eq!(seen.names(), alone.names(), "{name}: no event is lost");
        let errors = seen.outcome.as_ref().unwrap().observer_errors.join("; ");
        assert!(errors.contains("1 runs") && errors.contains("1 completions"), "{name}: {errors}");
        println!("T21 freeplay {name}: {:?} instead of {:?}; {errors}", seen.took, alone.took);
        assert!(seen.took < alone.took + Duration::from_secs(4), "{name}: {:?}", seen.took);
    }
}

#[test]
fn what_freeplay_needs_is_said() {
    let error = Freeplay::new(&Environment::default()).unwrap_err();
    assert_eq!(error.to_string(), "Freeplay needs FREEPLAY_API_KEY in the environment");
}
