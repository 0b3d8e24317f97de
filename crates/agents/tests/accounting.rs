//! The traps in what agents report of tokens and money, each with the numbers of a recording.

use crate::recorded;
use belay_agents::RunRequest;
use belay_trace::{CostSource, Event, Usage};

fn usages(name: &str) -> Vec<Usage> {
    recorded::named(name).ends().into_iter().map(|end| end.usage).collect()
}

fn usage(name: &str) -> Usage {
    let [usage] = <[Usage; 1]>::try_from(usages(name)).unwrap();
    usage
}

/// Input, output, read from the cache, written to the cache.
fn tokens(usage: &Usage) -> [Option<u64>; 4] {
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
    ]
}

#[track_caller]
fn check(usage: &Usage, want: [u64; 4], cost_usd: f64) {
    assert_eq!(tokens(usage), want.map(Some));
    let cost = usage.total_cost_usd.unwrap();
    assert!((cost - cost_usd).abs() < 1e-9 && cost.is_sign_positive(), "{cost}");
    assert_eq!(usage.cost_source, CostSource::Reported);
    let of_models: f64 = usage.models.values().filter_map(|model| model.cost_usd).sum();
    assert!((of_models - cost_usd).abs() < 1e-9, "{of_models}");
}

#[test]
fn a_resumed_claude_session_costs_only_what_this_run_added() {
    check(&usage("claude-code/p-resume-1"), [1000, 30, 9000, 300], 0.007275);
    // Its `total_cost_usd` says 0.012345.
    check(&usage("claude-code/p-resume-2"), [400, 33, 10000, 100], 0.005070);
}

#[test]
fn the_turns_of_one_claude_process_are_billed_one_by_one() {
    let turns = usages("claude-code/s-multi-interrupt");
    assert_eq!(turns.len(), 4);
    for turn in turns {
        // Its `total_cost_usd` grows to 0.0348.
        check(&turn, [1200, 85, 9000, 300], 0.0087);
    }
}

#[test]
fn claudes_subagents_are_part_of_the_bill() {
    // `usage` says 1700 and 92.
    check(&usage("claude-code/q-subagent"), [2500, 153, 24800, 660], 0.01971);
}

#[test]
fn a_dropped_response_of_claude_is_paid_for_too() {
    check(&usage("claude-code/l-drop-partial"), [2400, 99, 18000, 600], 0.016335);
}

#[test]
fn an_interrupted_claude_turn_keeps_its_bill() {
    check(&usage("claude-code/int-int1"), [1200, 85, 9000, 300], 0.0087);
}

#[test]
fn a_claude_turn_that_never_reached_the_model_costs_zero() {
    for name in ["claude-code/g-429-forever", "claude-code/h-401"] {
        check(&usage(name), [0; 4], 0.0);
    }
}

#[test]
fn a_killed_claude_leaves_its_input_known_and_its_output_and_cost_unknown() {
    let usage = usage("claude-code/int-term");
    // The stream has two lines of the one message, and 1 as its output so far.
    assert_eq!(tokens(&usage), [Some(1200), None, Some(9000), Some(300)]);
    assert_eq!((usage.total_cost_usd, usage.cost_source), (None, CostSource::Unknown));
    assert_eq!(usage.num_turns, Some(1));
}

#[test]
fn claudes_window_is_the_one_it_reports() {
    let windows = recorded::named("claude-code/a-text").events();
    let windows = windows.into_iter().filter_map(|emitted| match emitted.event {
        Event::Context(context) => Some(context.window_tokens),
        _ => None,
    });
    assert_eq!(windows.collect::<Vec<_>>(), [None, Some(200_000)]);
}

#[test]
fn codexs_input_does_not_include_its_cache() {
    // 31500 = 3600 + 27000 + 900.
    let usage = usage("codex/b-shell-codemode");
    assert_eq!(tokens(&usage), [3600, 255, 27000, 900].map(Some));
    assert_eq!((usage.total_cost_usd, usage.cost_source), (None, CostSource::Unknown));
}

#[test]
fn codexs_reasoning_is_part_of_its_output() {
    let usage = usage("codex/d-thinking");
    assert_eq!((usage.output_tokens, usage.reasoning_output_tokens), (Some(120), Some(90)));
}

#[test]
fn a_resumed_codex_exec_does_not_know_its_own_tokens() {
    assert_eq!(tokens(&usage("codex/p-resume-1")), [1000, 30, 9000, 300].map(Some));
    // The stream says 20800, the sum over both runs.
    assert_eq!(usage("codex/p-resume-2"), Usage::default());
    let mut fresh = recorded::named("codex/p-resume-2");
    fresh.request = RunRequest::new("second").continue_latest();
    assert_eq!(fresh.ends()[0].usage, Usage::default());
}

#[test]
fn a_failed_codex_exec_has_unknown_tokens_and_not_zero() {
    for name in ["g-429-forever", "h-401", "k-usage-limit", "int-int1", "int-term"] {
        assert_eq!(usage(&format!("codex/{name}")), Usage::default(), "{name}");
    }
}

#[test]
fn the_app_server_counts_each_turn_for_itself() {
    let turns = usages("codex/t-appserver");
    let turn = |responses: u64| [1200, 85, 9000, 300].map(|n| Some(n * responses));
    // The last turn was refused before any response: what it used, if anything, nobody said.
    let want = [turn(2), turn(1), turn(1), [None; 4]];
    assert_eq!(turns.iter().map(tokens).collect::<Vec<_>>(), want);
    let responses: Vec<_> = turns.iter().map(|turn| turn.num_turns).collect();
    assert_eq!(responses, [Some(2), Some(1), Some(1), None]);
}

#[test]
fn pis_responses_are_added_up_and_their_input_does_not_include_the_cache() {
    // `agent_end` and the seed's reading of it stop at the last response: 200, 30, 0.00114.
    check(&usage("pi/b-shell"), [1200, 70, 1000, 0], 0.00346);
    check(&usage("pi/c-tools"), [2400, 150, 600, 0], 0.0063);
    assert_eq!(usage("pi/d-reason").reasoning_output_tokens, Some(60));
}

/// `get_session_stats` says 1800, 90, 200 and 0.00442 after the first turn, 2600, 140, 400 and 0.00652 after both.
#[test]
fn the_turns_of_one_pi_process_add_up_to_what_it_says_of_its_session() {
    let turns = usages("pi/rpc");
    check(&turns[0], [1800, 90, 200, 0], 0.00442);
    check(&turns[1], [800, 50, 200, 0], 0.0021);
}

#[test]
fn a_resumed_pi_session_costs_only_what_this_run_added() {
    check(&usage("pi/p-resume-1"), [800, 50, 200, 0], 0.0021);
    check(&usage("pi/p-resume-2"), [800, 50, 200, 0], 0.0021);
}

#[test]
fn a_response_of_pi_that_broke_off_makes_the_bill_a_lower_bound() {
    let usage = usage("pi/l-drop-partial");
    assert_eq!(tokens(&usage), [800, 50, 200, 0].map(Some));
    assert_eq!((usage.cost_source, usage.num_turns), (CostSource::Partial, Some(2)));
}

#[test]
fn a_pi_turn_that_never_reached_the_model_costs_zero() {
    for name in ["pi/h-401", "pi/i-context", "pi/k-quota", "pi/g-503-forever"] {
        check(&usage(name), [0; 4], 0.0);
    }
}

#[test]
fn a_killed_pi_keeps_the_bill_of_what_was_answered() {
    check(&usage("pi/int-term-pid"), [800, 50, 200, 0], 0.0021);
}

#[test]
fn docker_agents_responses_are_added_up_and_not_its_last_request_or_its_session() {
    // Its last report says 1200 input tokens, and the session's cost.
    check(&usage("docker-agent/71f377e5"), [1000, 70, 1200, 0], 0.0041);
    assert_eq!(usage("docker-agent/71f377e5").num_turns, Some(2));
}

#[test]
fn opencodes_steps_are_added_up_over_both_transports() {
    for (name, want, cost_usd) in [
        ("opencode/b-shell", [1200, 70, 1000, 0], 0.00346),
        ("opencode/serve-b-shell", [1200, 70, 1000, 0], 0.00346),
        ("opencode/c-tools", [2400, 150, 600, 0], 0.0063),
        // A resumed session costs only what this run added.
        ("opencode/p-resume-2", [800, 50, 200, 0], 0.0021),
    ] {
        let usage = usage(name);
        assert_eq!(tokens(&usage), want.map(Some), "{name}");
        assert_eq!(usage.cost_source, CostSource::Reported, "{name}");
        assert!((usage.total_cost_usd.unwrap() - cost_usd).abs() < 1e-9, "{name}: {usage:?}");
    }
}

#[test]
fn opencodes_reasoning_is_part_of_our_output_and_not_of_its_own() {
    for name in ["opencode/d-reason", "opencode/serve-d-reason"] {
        let usage = usage(name);
        // It says 20 and 60.
        assert_eq!((usage.output_tokens, usage.reasoning_output_tokens), (Some(80), Some(60)));
    }
}

#[test]
fn an_opencode_turn_without_a_whole_step_has_unknown_tokens_and_not_zero() {
    for name in ["h-401", "serve-h-401", "int-int-pid", "serve-r-sleep-abort"] {
        assert_eq!(usage(&format!("opencode/{name}")), Usage::default(), "{name}");
    }
}
