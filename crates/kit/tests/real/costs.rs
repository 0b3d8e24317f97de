//! What a real agent has used and cost, also where its stream does not tell it.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, SLEEP, Stage, TOKENS, Way, counted, on, times};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belaykit::trace::{ContextSource, CostSource, TraceId, read_file};
use belaykit::{Event, FailureKind, Permissions, Prices, RunRequest, TraceDir};
use std::process::Command;

fn full() -> RunRequest {
    RunRequest::new("PROMPT").permissions(Permissions::Full)
}

/// What so many replies of [`TOKENS`] cost at list prices.
fn list_price(way: Way, replies: u64) -> f64 {
    let tokens = times(TOKENS, replies);
    // Sonnet 4.5, and GPT 5.5, which has no price of its own for writing to the cache.
    let [input, output, cache_read, cache_write] = match way.is_claude() {
        true => [3.0, 15.0, 0.3, 3.75],
        false => [5.0, 30.0, 0.5, 5.0],
    };
    let parts = [
        (tokens.input, input),
        (tokens.output, output),
        (tokens.cache_read, cache_read),
        (tokens.cache_write, cache_write),
    ];
    parts.iter().map(|(count, usd)| *count as f64 * usd / 1e6).sum()
}

/// Kills the agent when it has had two responses and runs a tool of the second.
fn killed_in_a_tool(stage: &Stage, request: RunRequest) -> Played {
    let script = Script::new()
        .reply(Reply::text("I will look.").shell("echo hi").usage(TOKENS))
        .reply(Reply::text("I will sleep.").shell(SLEEP).usage(TOKENS))
        .forever(Reply::text("Never said."));
    let (mut pid, mut calls) = (None, 0);
    // Claude writes a line for each block: words and call.
    let lines = if stage.way.is_claude() { 4 } else { 2 };
    let played = stage.play_with(script, request, |record, _| match &record.event {
        Event::AttemptStarted(started) => pid = started.pid,
        Event::ToolCall(_) => {
            calls += 1;
            if calls == 2 {
                stage.wait_for_accounts(lines);
                let pid = pid.expect("the attempt has begun").to_string();
                assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            }
        }
        _ => {}
    });
    played.failed(FailureKind::Crashed);
    played
}

fn a_killed_turn_has_its_tokens_and_a_lower_bound_of_its_cost(stage: &Stage) {
    let played = killed_in_a_tool(stage, full());
    let tokens = times(TOKENS, 2);
    let usage = &played.outcome().usage;
    let want = (tokens.input, tokens.output, tokens.cache_read, tokens.cache_write);
    assert_eq!(counted(usage), Some(want), "{played:#?}");
    assert!(usage.partial, "{played:#?}");
    assert_eq!(usage.cost_source, CostSource::Partial);
    let cost = usage.total_cost_usd.unwrap();
    assert!((cost - list_price(stage.way, 2)).abs() < 1e-9, "{cost}: {played:#?}");
    assert_eq!(usage.models.len(), 1);
    assert!(usage.models.values().all(|part| part.cost_source == Some(CostSource::Partial)));
    // Every account of the attempt says the same.
    assert_eq!(played.attempt_ended().usage, *usage);
}
on!(a_killed_turn_has_its_tokens_and_a_lower_bound_of_its_cost: claude; claude_print, codex, codex_exec, copilot);

/// The responses of earlier runs are in the same file, and not in this bill.
fn a_killed_turn_of_a_resumed_session_pays_for_itself_only(stage: &Stage) {
    let script = Script::new().reply(Reply::text("Hello.").usage(times(TOKENS, 10)));
    let first = stage.play(script, full());
    let session = first.answered("Hello.").session_id.clone().unwrap();
    let script = Script::new()
        .reply(Reply::text("I will sleep.").shell(SLEEP).usage(TOKENS))
        .forever(Reply::text("Never said."));
    let lines = if stage.way.is_claude() { 3 } else { 2 };
    let mut pid = None;
    let played =
        stage.play_with(script, full().resume(&session), |record, _| match &record.event {
            Event::AttemptStarted(started) => pid = started.pid,
            Event::ToolCall(_) => {
                stage.wait_for_accounts(lines);
                let pid = pid.expect("the attempt has begun").to_string();
                assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            }
            _ => {}
        });
    let usage = &played.outcome().usage;
    let want = (TOKENS.input, TOKENS.output, TOKENS.cache_read, TOKENS.cache_write);
    assert_eq!(counted(usage), Some(want), "{played:#?}");
    assert!(usage.partial);
    let cost = usage.total_cost_usd.unwrap();
    assert!((cost - list_price(stage.way, 1)).abs() < 1e-9, "{cost}: {played:#?}");
}
on!(a_killed_turn_of_a_resumed_session_pays_for_itself_only: claude_print; codex_exec, copilot);

/// A fork begins with a copy of what was said before.
fn a_killed_turn_of_a_fork_pays_for_itself_only(stage: &Stage) {
    let script = Script::new().reply(Reply::text("Hello.").usage(times(TOKENS, 10)));
    let first = stage.play(script, full());
    let session = first.answered("Hello.").session_id.clone().unwrap();
    let script = Script::new()
        .reply(Reply::text("I will sleep.").shell(SLEEP).usage(TOKENS))
        .forever(Reply::text("Never said."));
    let mut pid = None;
    let played = stage.play_with(script, full().fork(&session), |record, _| match &record.event {
        Event::AttemptStarted(started) => pid = started.pid,
        Event::ToolCall(_) => {
            stage.wait_for_lines(".claude/projects", "time.sleep(300)", 1);
            let pid = pid.expect("the attempt has begun").to_string();
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        }
        _ => {}
    });
    let want = (TOKENS.input, TOKENS.output, TOKENS.cache_read, TOKENS.cache_write);
    assert_eq!(counted(&played.outcome().usage), Some(want), "{played:#?}");
}
on!(a_killed_turn_of_a_fork_pays_for_itself_only: claude_print);

fn a_price_file_goes_before_the_list_and_nothing_before_the_agents_report(stage: &Stage) {
    let text = "[models.\"gpt-5.5\"]\ninput_usd_per_million = 1000\noutput_usd_per_million = 0\n\
                [models.\"claude-sonnet-4-5\"]\ninput_usd_per_million = 1000\noutput_usd_per_million = 0\n";
    let prices = Prices::bundled().with_toml(text, "prices.toml").unwrap();
    let server = ModelServer::start(Script::new().reply(Reply::text("Hi.").usage(TOKENS))).unwrap();
    let client = stage.client(&server).prices(prices);
    let played = stage.play_on(&server, &client, "PROMPT", |_, _| {});
    let usage = &played.answered("Hi.").usage;
    let cost = usage.total_cost_usd.unwrap();
    if stage.way.is_claude() {
        assert_eq!(usage.cost_source, CostSource::Reported);
        assert!((cost - played.claude_cost()).abs() < 1e-9);
    } else {
        let input = TOKENS.input + TOKENS.cache_read + TOKENS.cache_write;
        assert_eq!(usage.cost_source, CostSource::Priced);
        assert!((cost - input as f64 / 1000.0).abs() < 1e-9, "{cost}");
    }
}
on!(a_price_file_goes_before_the_list_and_nothing_before_the_agents_report: claude; codex, codex_exec);

fn without_prices_what_is_not_reported_stays_unknown(stage: &Stage) {
    let server = ModelServer::start(Script::new().reply(Reply::text("Hi.").usage(TOKENS))).unwrap();
    let client = stage.client(&server).prices(Prices::none());
    let played = stage.play_on(&server, &client, "PROMPT", |_, _| {});
    let usage = &played.answered("Hi.").usage;
    assert_eq!((usage.total_cost_usd, usage.cost_source), (None, CostSource::Unknown));
    assert_eq!(usage.input_tokens, Some(TOKENS.input));
}
on!(without_prices_what_is_not_reported_stays_unknown: codex);

fn a_window_that_the_agent_does_not_tell_is_that_of_the_price_file(stage: &Stage) {
    let text = "[models.\"lab/mock-model\"]\ncontext_window = 128000\n";
    let prices = Prices::bundled().with_toml(text, "prices.toml").unwrap();
    let server = ModelServer::start(Script::new().reply(Reply::text("Hi.").usage(TOKENS))).unwrap();
    let traces = stage.sandbox.home().join("traces");
    let client = stage.client(&server).prices(prices).observe(TraceDir::new(&traces).unwrap());
    let request = RunRequest::new("PROMPT").model("lab/mock-model").trace_id("the-trace");
    let played = stage.play_on(&server, &client, request, |_, _| {});
    played.answered("Hi.");
    let contexts = played.events().filter_map(|event| match event {
        Event::Context(context) => Some((context.window_tokens, context.source)),
        _ => None,
    });
    let contexts: Vec<_> = contexts.collect();
    assert_eq!(contexts, [(Some(128_000), ContextSource::Config)], "{played:#?}");
    let tree = read_file(&TraceDir::path(&traces, &TraceId::new("the-trace").unwrap())).unwrap();
    assert_eq!(tree.children[1].context_window, 128_000);
}
on!(a_window_that_the_agent_does_not_tell_is_that_of_the_price_file: opencode);
