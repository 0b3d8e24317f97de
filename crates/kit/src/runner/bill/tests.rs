use super::*;
use belay_agents::AttemptEnd;
use belay_trace::{
    Failure, FailureKind, SessionStarted, ToolCall, ToolResult, TurnStarted, UsageReport,
};

fn usage(input: u64, output: u64, cache_read: u64) -> Usage {
    Usage {
        input_tokens: Some(input),
        output_tokens: Some(output),
        cache_read_input_tokens: Some(cache_read),
        cache_creation_input_tokens: Some(0),
        ..Usage::default()
    }
}

fn bill(model: Option<&str>) -> Bill {
    let mut bill = Bill::new(Prices::bundled(), model.map(str::to_owned), false);
    bill.began = "2026-11-21T12:00:00Z".parse().unwrap();
    bill
}

/// A bill of responses, by what each of them has used.
fn bill_of(model: &str, responses: &[Usage]) -> (Bill, AttemptEnd) {
    let mut bill = bill(None);
    let model = Some(model.to_owned());
    let session = SessionStarted { model: model.clone(), ..SessionStarted::default() };
    bill.event(&mut Event::SessionStarted(session), None);
    let mut sum = Usage::default();
    for response in responses {
        bill.event(&mut Event::TurnStarted(TurnStarted::default()), None);
        sum.add(response);
        bill.event(&mut Event::Usage(UsageReport { usage: sum.clone() }), None);
    }
    let mut end = AttemptEnd::default();
    (end.usage, end.model) = (sum, model);
    (bill, end)
}

fn killed(mut end: AttemptEnd) -> AttemptEnd {
    end.failure = Some(Failure::new(FailureKind::Crashed, "killed"));
    end
}

#[track_caller]
fn settled(bill: &Bill, mut end: AttemptEnd, account: Vec<Response>) -> Usage {
    bill.settle(&mut end, account);
    end.usage
}

#[track_caller]
fn check_cost(usage: &Usage, want: f64, source: CostSource) {
    let cost = usage.total_cost_usd.unwrap();
    assert!((cost - want).abs() < 1e-12, "{cost} is not {want}");
    assert_eq!(usage.cost_source, source);
    let of_models: f64 = usage.models.values().filter_map(|part| part.cost_usd).sum();
    assert!((of_models - want).abs() < 1e-12, "{of_models}");
}

#[test]
fn each_response_is_priced_by_its_own_length() {
    // Together they are long; none of them is.
    let (bill, end) = bill_of("gpt-5.5", &[usage(1000, 10, 200_000), usage(2000, 20, 200_000)]);
    let usage = settled(&bill, end, Vec::new());
    check_cost(&usage, (3000.0 * 5.0 + 30.0 * 30.0 + 400_000.0 * 0.5) / 1e6, CostSource::Priced);
    let part = &usage.models["gpt-5.5"];
    assert_eq!((part.input_tokens, part.cache_read_input_tokens), (3000, 400_000));
    assert_eq!((part.source(), usage.partial), (CostSource::Priced, false));
}

#[test]
fn a_sum_whose_responses_nobody_knows_is_a_lower_bound_if_one_may_have_been_long() {
    let mut end = AttemptEnd::default();
    end.usage = usage(400_000, 0, 0);
    check_cost(&settled(&bill(Some("gpt-5.5")), end.clone(), Vec::new()), 2.0, CostSource::Partial);
    check_cost(&settled(&bill(Some("gpt-5.1")), end, Vec::new()), 0.5, CostSource::Priced);
}

#[test]
fn what_the_agent_reports_goes_before_any_price() {
    let (bill, mut end) = bill_of("gpt-5.5", &[usage(1000, 10, 0)]);
    (end.usage.total_cost_usd, end.usage.cost_source) = (Some(7.0), CostSource::Reported);
    let end = killed(end);
    assert!(!bill.wants_account(&end));
    let usage = settled(&bill, end.clone(), Vec::new());
    assert_eq!(usage, end.usage);
}

#[test]
fn a_part_that_the_agent_has_no_price_for_is_priced_and_the_sum_says_so() {
    let part =
        |cost_usd, input_tokens| ModelUsage { input_tokens, cost_usd, ..ModelUsage::default() };
    let mut end = AttemptEnd::default();
    end.usage = usage(1_000_100, 0, 0);
    end.usage.models.insert("gpt-5.1".to_owned(), part(None, 1_000_000));
    end.usage.models.insert("other".to_owned(), part(Some(0.5), 100));
    (end.usage.total_cost_usd, end.usage.cost_source) = (Some(0.5), CostSource::Partial);
    let usage = settled(&bill(None), end.clone(), Vec::new());
    check_cost(&usage, 1.75, CostSource::Priced);
    assert_eq!(usage.models["other"].cost_source, Some(CostSource::Reported));

    end.usage.models.insert("unknown".to_owned(), part(None, 5));
    check_cost(&settled(&bill(None), end, Vec::new()), 1.75, CostSource::Partial);
}

#[test]
fn a_model_that_nobody_knows_costs_nobody_knows_what() {
    let (bill, end) = bill_of("lab/mock-model", &[usage(1000, 10, 0)]);
    let usage = settled(&bill, end, Vec::new());
    assert_eq!((usage.total_cost_usd, usage.cost_source), (None, CostSource::Unknown));
    let part = &usage.models["lab/mock-model"];
    assert_eq!((part.input_tokens, part.cost_usd), (1000, None));
    assert_eq!(part.cost_source, Some(CostSource::Unknown));
}

#[test]
fn a_turn_that_was_killed_is_a_lower_bound() {
    let (bill, end) = bill_of("gpt-5.1", &[usage(1_000_000, 0, 0)]);
    let end = killed(end);
    assert!(bill.wants_account(&end));
    let usage = settled(&bill, end, Vec::new());
    check_cost(&usage, 1.25, CostSource::Partial);
    assert!(usage.partial);
    assert_eq!(usage.models["gpt-5.1"].cost_source, Some(CostSource::Partial));
}

#[test]
fn an_attempt_that_never_began_to_answer_is_no_lower_bound() {
    let usage = settled(&bill(Some("gpt-5.1")), killed(AttemptEnd::default()), Vec::new());
    assert_eq!(usage, Usage::default());
}

#[test]
fn an_account_completes_what_the_stream_did_not_tell() {
    let mut bill = bill(None);
    bill.event(&mut Event::TurnStarted(TurnStarted::default()), None);
    let tokens = Tokens { input: 1_000_000, output: 5, ..Tokens::default() };
    let model = Some("gpt-5.1".to_owned());
    let account = vec![Response { model: model.clone(), tokens, ..Response::default() }; 2];
    for (end, source) in [
        (AttemptEnd::default(), CostSource::Priced),
        (killed(AttemptEnd::default()), CostSource::Partial),
    ] {
        let mut end = end;
        assert!(bill.wants_account(&end));
        bill.settle(&mut end, account.clone());
        check_cost(&end.usage, 2.5 + 10.0 * 10.0 / 1e6, source);
        assert_eq!((end.usage.input_tokens, end.usage.num_turns), (Some(2_000_000), Some(2)));
        assert_eq!(end.usage.partial, source == CostSource::Partial);
        assert_eq!(end.model, model);
    }
}

#[test]
fn what_the_stream_has_told_beyond_the_account_is_kept() {
    // The response that was cut is not in the account, but its input was told.
    let (bill, mut end) = bill_of("gpt-5.1", &[usage(1_000_000, 50, 0)]);
    end.usage.add(&usage(1_000_000, 1, 0));
    let tokens = Tokens { input: 1_000_000, output: 50, ..Tokens::default() };
    let model = Some("gpt-5.1".to_owned());
    let account = vec![Response { model, tokens, ..Response::default() }];
    let usage = settled(&bill, killed(end), account);
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(2_000_000), Some(51)));
    check_cost(&usage, 2.5 + 51.0 * 10.0 / 1e6, CostSource::Partial);
}

#[test]
fn a_window_is_put_in_where_the_agent_tells_none() {
    let context =
        |window_tokens, source| Event::Context(Context { used_tokens: 5, window_tokens, source });
    let check = |bill: &mut Bill, given: Option<u64>, want, source| {
        let mut event = context(given, ContextSource::Agent);
        bill.event(&mut event, None);
        assert_eq!(event, context(want, source));
        assert_eq!(event.of_driver(), context(given, ContextSource::Agent));
    };
    let mut bill = bill(Some("gpt-5.1"));
    check(&mut bill, Some(7), Some(7), ContextSource::Agent);
    check(&mut bill, None, Some(400_000), ContextSource::Prices);
    // An agent that tells its window itself has not told it yet.
    bill.tells_window = true;
    bill.window = None;
    check(&mut bill, None, None, ContextSource::Agent);
    bill.prices = Prices::none().with_toml("[models.x]\ncontext_window = 9", "p").unwrap();
    let session = SessionStarted { model: Some("x".to_owned()), ..SessionStarted::default() };
    bill.event(&mut Event::SessionStarted(session), None);
    check(&mut bill, None, Some(9), ContextSource::Config);
}

#[test]
fn how_full_the_context_was_is_in_the_account_of_an_agent_that_does_not_tell() {
    let tokens = Tokens { input: 100, output: 5, cache_read: 1000, ..Tokens::default() };
    let model = Some("gpt-5.1".to_owned());
    let account = [Response { model, tokens, ..Response::default() }];
    let mut bill = bill(None);
    assert_eq!(bill.context(&[]), None);
    let (source, window_tokens) = (ContextSource::Prices, Some(400_000));
    let want = Context { used_tokens: 1105, window_tokens, source };
    assert_eq!(bill.context(&account), Some(want.clone()));
    let told = [Response { context_window: Some(7), ..account[0].clone() }];
    let source = ContextSource::Agent;
    assert_eq!(
        bill.context(&told),
        Some(Context { window_tokens: Some(7), source, ..want.clone() })
    );
    bill.event(&mut Event::Context(want), None);
    assert_eq!(bill.context(&account), None);
}

#[test]
fn a_model_is_looked_up_by_the_name_that_was_asked_for_if_the_agent_shortens_it() {
    let text = "[models.\"lab/m\"]\ninput_usd_per_million = 1\noutput_usd_per_million = 1";
    let check = |asked: &str, want| {
        let mut bill = bill(Some(asked));
        bill.prices = Prices::none().with_toml(text, "p").unwrap();
        let mut end = AttemptEnd::default();
        (end.model, end.usage) = (Some("m".to_owned()), usage(1_000_000, 0, 0));
        let usage = settled(&bill, end, Vec::new());
        assert_eq!(usage.total_cost_usd, want, "{asked}");
        assert!(usage.models.contains_key("m"));
    };
    check("lab/m", Some(1.0));
    check("other/m", None);
    check("m", None);
}

#[test]
fn a_response_that_was_told_is_not_lost_while_its_tools_run() {
    let call = || ToolCall { tool_id: Some(ToolId::from("t")), ..ToolCall::default() };
    let begun = || {
        let (mut bill, _) = bill_of("gpt-5.1", &[usage(1000, 10, 0)]);
        bill.event(&mut Event::ToolCall(call()), None);
        bill
    };
    let mut waiting = begun();
    waiting.was_lost();
    assert!(!waiting.is_lower_bound);
    // The model has been asked for the next one, or may have been.
    let mut asked = begun();
    let result = ToolResult { tool_id: Some(ToolId::from("t")), ..ToolResult::default() };
    asked.event(&mut Event::ToolResult(result), None);
    asked.was_lost();
    assert!(asked.is_lower_bound);
    let mut with_helper = begun();
    with_helper.event(&mut Event::TurnStarted(TurnStarted::default()), Some(&ToolId::from("t")));
    with_helper.was_lost();
    assert!(with_helper.is_lower_bound);
}
