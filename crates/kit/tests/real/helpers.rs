//! Helpers that Codex starts (`spawn_agent`): waited for by the model, or not.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, Stage, TOKENS, Way, counted, on, times};
use belay_testkit::model_server::{Reply, Script};
use belaykit::{Background, FailureKind, Permissions, RunRequest};
use serde_json::json;
use std::fs;

const FINAL: &str = "FINAL";

/// Helpers are offered by default with newer models only.
fn request() -> RunRequest {
    let mut request = RunRequest::new("PROMPT").permissions(Permissions::Full);
    request.extra_args = ["-c", "features.multi_agent_v2=true"].map(Into::into).to_vec();
    request
}

fn said(text: &str) -> Reply {
    Reply::text(text).usage(TOKENS)
}

/// The model starts a helper that writes a file after some time, and says so.
fn with_helper() -> Script {
    let command = "python3 -c 'import time; time.sleep(2)'; echo made > made.txt";
    let spawn = json!({"message": "HELP", "task_name": "count"});
    Script::new()
        .for_helpers([Reply::new().shell(command).usage(TOKENS), said("I have made it.")])
        .reply(said("I ask a helper.").tool("spawn_agent", spawn))
}

impl Played {
    /// The tokens are those of `n` responses.
    #[track_caller]
    fn used_all_of(&self, n: u64) {
        let (usage, want) = (&self.outcome().usage, times(TOKENS, n));
        let want = (want.input, want.output, want.cache_read, want.cache_write);
        assert_eq!(counted(usage), Some(want), "{self:#?}");
        assert!(!usage.partial, "{self:#?}");
    }
}

fn made(stage: &Stage) -> bool {
    fs::read_to_string(stage.file("made.txt")).is_ok_and(|text| text == "made\n")
}

fn a_helper_that_the_model_waits_for_is_paid_for(stage: &Stage) {
    let wait = Reply::new().tool("wait_agent", json!({"timeout_ms": 60_000})).usage(TOKENS);
    let played = stage.play(with_helper().reply(wait).reply(said(FINAL)), request());
    played.answered(FINAL);
    played.used_all_of(5);
    assert!(made(stage));
}
on!(a_helper_that_the_model_waits_for_is_paid_for: codex, codex_exec);

fn a_helper_that_nobody_waits_for_is_waited_for_by_belay(stage: &Stage) {
    let played = stage.play(with_helper().reply(said(FINAL)), request());
    played.answered(FINAL);
    played.used_all_of(4);
    assert!(made(stage));
    let below = |name: &str| {
        let records = played.of_type(name);
        records.iter().filter(|record| record.parent_tool_id.is_some()).count()
    };
    assert_eq!((below("turn_started"), below("tool_call"), below("usage")), (2, 1, 2));
}
on!(a_helper_that_nobody_waits_for_is_waited_for_by_belay: codex);

fn a_helper_that_exec_ends_is_told_of_and_its_cost_a_lower_bound(stage: &Stage) {
    let played = stage.play(with_helper().reply(said(FINAL)), request());
    played.answered(FINAL);
    let usage = &played.outcome().usage;
    let (input, ..) = counted(usage).unwrap();
    assert!(usage.partial && input >= 2 * TOKENS.input, "{played:#?}");
    let told = played
        .notices()
        .iter()
        .any(|(code, words)| *code == "helper_cut" && words.contains("count"));
    assert!(told && !made(stage), "{played:#?}");
}
on!(a_helper_that_exec_ends_is_told_of_and_its_cost_a_lower_bound: codex_exec);

fn a_helper_is_stopped_where_background_work_is(stage: &Stage) {
    let request = request().background(Background::Stop);
    let played = stage.play(with_helper().reply(said(FINAL)), request);
    played.answered(FINAL);
    assert!(played.outcome().usage.partial && !made(stage), "{played:#?}");
    assert!(played.notices().iter().any(|(code, _)| *code == "background"), "{played:#?}");
    assert_eq!(stage.way, Way::Codex);
}
on!(a_helper_is_stopped_where_background_work_is: codex);

/// What a response of [`TOKENS`] costs with this model.
const OF_ONE: f64 = 0.014_55;

fn the_limit_on_the_cost_counts_what_a_helper_uses(stage: &Stage) {
    let step = Reply::new().shell("python3 -c 'import time; time.sleep(1)'").usage(TOKENS);
    let spawn = json!({"message": "HELP", "task_name": "count"});
    let wait = Reply::new().tool("wait_agent", json!({"timeout_ms": 60_000})).usage(TOKENS);
    let script = Script::new()
        .for_helpers(vec![step; 30])
        .reply(said("I ask a helper.").tool("spawn_agent", spawn))
        .reply(wait)
        .reply(said(FINAL));
    let played = stage.play(script, request().max_cost_usd(4.5 * OF_ONE));
    let error = played.failed(FailureKind::LimitReached);
    assert!(error.failure().message.contains("(max_cost)"), "{played:#?}");
    assert!(played.requests.len() <= 9, "{} requests", played.requests.len());
}
on!(the_limit_on_the_cost_counts_what_a_helper_uses: codex, codex_exec);
