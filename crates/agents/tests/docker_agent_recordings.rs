//! The recorded streams of Docker Agent 1.32.3: each with its answer, its kind of failure, and the tokens that the server
//! has told.

use crate::recorded::{self, Recording};
use belay_agents::AttemptEnd;
use belay_trace::{CostSource, FailureKind, Usage};
use serde_json::Value;

/// Each of them: the words of its answer, or the kind of its failure.
const ALL: [(&str, Result<&str, FailureKind>); 17] = [
    ("a-text", Ok("Hello from the lab. It answers in several pieces.")),
    ("b-shell", Ok("Done: one and two.")),
    ("c-tools", Ok("Three calls.")),
    ("c-write", Ok("Written.")),
    ("d-reason", Ok("Thought.")),
    ("e-deny", Ok("I was not allowed.")),
    ("f-sub", Ok("The helper said 42.")),
    ("g-429-forever", Err(FailureKind::RateLimited)),
    ("g-429-once", Ok("After a pause.")),
    ("h-401", Err(FailureKind::Auth)),
    ("h-nokey", Err(FailureKind::Auth)),
    ("int-int-pid", Err(FailureKind::Interrupted)),
    ("int-term-group", Err(FailureKind::Interrupted)),
    ("m-max-iter-noyolo", Err(FailureKind::LimitReached)),
    ("p-resume-1", Ok("Remember 7919.")),
    ("p-resume-2", Ok("It was 7919.")),
    ("u-anthropic", Ok("Done.")),
];

fn recording(name: &str) -> Recording {
    recorded::named(&format!("docker-agent/{name}"))
}

fn end(name: &str) -> AttemptEnd {
    let [end] = <[AttemptEnd; 1]>::try_from(recording(name).ends()).unwrap();
    end
}

/// The sums over all models: input, output, read from the cache, written to it.
fn told_by_the_server(name: &str) -> [u64; 4] {
    let path = format!(
        "{}/../../recordings/docker-agent/1.32.3/{name}/meta.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let meta: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let models: Vec<&Value> = meta["told_by_the_server"].as_object().unwrap().values().collect();
    ["input", "output", "cache_read", "cache_write"]
        .map(|what| models.iter().map(|model| model[what].as_u64().unwrap()).sum())
}

fn tokens(usage: &Usage) -> [u64; 4] {
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
    ]
    .map(Option::unwrap_or_default)
}

#[test]
fn each_has_its_answer_or_its_kind_and_the_tokens_that_the_server_told() {
    for (name, want) in ALL {
        let end = end(name);
        match (&end.failure, want) {
            (None, Ok(answer)) => assert_eq!(end.answer, answer, "{name}"),
            (Some(failure), Err(kind)) => assert_eq!(failure.kind, kind, "{name}: {failure:?}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
        assert_eq!(tokens(&end.usage), told_by_the_server(name), "{name}");
        // It had no price for any of these models, and wrote 0.
        assert_eq!(
            (end.usage.total_cost_usd, end.usage.cost_source),
            (None, CostSource::Unknown),
            "{name}"
        );
        assert!(!end.usage.partial, "{name}");
    }
    let folder = format!("{}/../../recordings/docker-agent/1.32.3", env!("CARGO_MANIFEST_DIR"));
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), ALL.len());
}

#[test]
fn each_model_of_a_run_has_its_own_tokens() {
    let usage = end("f-sub").usage;
    let models: Vec<_> =
        usage.models.iter().map(|(name, part)| (name.as_str(), part.input_tokens)).collect();
    assert_eq!(models, [("mock-model", 2070), ("mock-model-2", 2060)]);
}

#[test]
fn a_failure_says_what_the_provider_said_and_not_where() {
    let failure = |name| end(name).failure.unwrap();
    let limited = failure("g-429-forever");
    assert_eq!(
        limited.message,
        "429 Too Many Requests: Rate limit reached for mock-model. Please try again in 2s."
    );
    assert_eq!(limited.retry_after_ms, Some(2000));
    assert!(end("g-429-forever").has_retried && !end("h-401").has_retried);
    assert_eq!(
        failure("h-nokey").message,
        "The following environment variables must be set: LAB_KEY"
    );
}
