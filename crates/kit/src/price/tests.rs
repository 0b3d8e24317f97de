//! Prices as the providers' own pages give them, in dollars for a million tokens.

use super::*;

fn at(day: &str) -> Timestamp {
    format!("{day}T12:00:00Z").parse().unwrap()
}

fn response(model: &str, tokens: Tokens) -> Response {
    Response { model: Some(model.to_owned()), tokens, ..Response::default() }
}

fn tokens(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Tokens {
    Tokens { input, output, cache_read, cache_write, ..Tokens::default() }
}

#[track_caller]
fn check(prices: &Prices, response: &Response, day: &str, want: Option<f64>) {
    let price = prices.price(response, at(day));
    let is_same = match (price, want) {
        (Some(price), Some(want)) => (price - want).abs() < 1e-12,
        (price, want) => price == want,
    };
    assert!(is_same, "{price:?} is not {want:?}: {response:?}");
}

#[test]
fn a_response_of_sonnet_pays_for_what_it_reads_from_and_writes_to_the_cache() {
    let prices = Prices::bundled();
    let sonnet = response("claude-sonnet-4-5-20250929", tokens(1200, 85, 9000, 300));
    let want = (1200.0 * 3.0 + 85.0 * 15.0 + 9000.0 * 0.3 + 300.0 * 3.75) / 1e6;
    check(&prices, &sonnet, "2026-11-21", Some(want));

    let tokens = Tokens { cache_write_1h: 200, ..sonnet.tokens };
    let hour = (200.0 * 6.0 - 200.0 * 3.75) / 1e6;
    check(&prices, &Response { tokens, ..sonnet }, "2026-11-21", Some(want + hour));
}

#[test]
fn a_long_context_costs_more_for_every_token_of_the_response() {
    let prices = Prices::bundled();
    let short = response("claude-sonnet-4-5", tokens(10_000, 1000, 190_000, 0));
    let want = (10_000.0 * 3.0 + 1000.0 * 15.0 + 190_000.0 * 0.3) / 1e6;
    check(&prices, &short, "2025-12-01", Some(want));
    let long = response("claude-sonnet-4-5", tokens(10_001, 1000, 190_000, 0));
    let want = (10_001.0 * 6.0 + 1000.0 * 22.5 + 190_000.0 * 0.6) / 1e6;
    check(&prices, &long, "2025-12-01", Some(want));
}

#[test]
fn a_price_is_that_of_the_day() {
    let prices = Prices::bundled();
    let long = response("claude-sonnet-4-6", tokens(300_000, 0, 0, 0));
    check(&prices, &long, "2026-03-12", Some(1.8));
    check(&prices, &long, "2026-03-14", Some(0.9));
    let dated = Response { at: Some(at("2026-03-12")), ..long };
    check(&prices, &dated, "2026-03-14", Some(1.8));
}

#[test]
fn cached_input_of_gpt_is_cheaper_and_writing_the_cache_costs_what_input_does() {
    let prices = Prices::bundled();
    let gpt = response("gpt-5.5", tokens(1200, 85, 9000, 300));
    let want = (1500.0 * 5.0 + 85.0 * 30.0 + 9000.0 * 0.5) / 1e6;
    check(&prices, &gpt, "2026-11-21", Some(want));
    let long = response("gpt-5.5", tokens(272_001, 100, 0, 0));
    check(&prices, &long, "2026-11-21", Some((272_001.0 * 10.0 + 100.0 * 45.0) / 1e6));
    let old = response("gpt-5.1-codex", tokens(1000, 100, 1000, 0));
    let want = (1000.0 * 1.25 + 100.0 * 10.0 + 1000.0 * 0.125) / 1e6;
    check(&prices, &old, "2026-11-21", Some(want));
}

#[test]
fn a_tier_of_the_service_has_its_own_price() {
    let prices = Prices::bundled();
    let tier = |tier: &str| Response {
        service_tier: Some(tier.to_owned()),
        ..response("gpt-5.1", tokens(1_000_000, 0, 0, 0))
    };
    check(&prices, &tier("default"), "2026-11-21", Some(1.25));
    check(&prices, &tier("flex"), "2026-11-21", Some(0.625));
    check(&prices, &tier("priority"), "2026-11-21", Some(2.5));
}

#[test]
fn a_model_has_many_names() {
    let prices = Prices::bundled();
    for (name, want) in [
        ("opus", 4.0),
        ("opus[1m]", 4.0),
        ("claude-opus-5-5[1m]", 4.0),
        ("anthropic/claude-opus-5-5", 4.0),
        ("sonnet", 2.0),
        ("openai/gpt-5.1", 1.25),
        ("gpt-5.1-2031-01-01", 1.25),
        ("GPT-5.1", 1.25),
    ] {
        check(&prices, &response(name, tokens(1_000_000, 0, 0, 0)), "2026-11-21", Some(want));
    }
}

#[test]
fn what_nobody_knows_has_no_price_and_no_window() {
    for prices in [Prices::bundled(), Prices::none()] {
        for model in ["lab/mock-model", "my-private-model", "gpt-99", "lab/gpt-5.5", ""] {
            check(&prices, &response(model, tokens(1000, 10, 0, 0)), "2026-11-21", None);
            assert_eq!(prices.context_window(model), None, "{model}");
        }
        check(&prices, &Response::default(), "2026-11-21", None);
    }
    check(&Prices::none(), &response("gpt-5.5", tokens(1, 1, 1, 1)), "2026-11-21", None);
}

#[test]
fn counts_beyond_all_measure_are_no_panic() {
    let most = Tokens {
        input: u64::MAX,
        output: u64::MAX,
        cache_read: u64::MAX,
        cache_write: u64::MAX,
        cache_write_1h: u64::MAX,
        reasoning: u64::MAX,
    };
    let response = response("gpt-5.5", most);
    let _ = Prices::bundled().price(&response, at("2026-11-21"));
    let _ = Prices::bundled().price_of_sum(&response, at("2026-11-21"));
}

#[test]
fn a_sum_of_responses_is_exact_unless_one_of_them_may_have_been_long() {
    let prices = Prices::bundled();
    let sum = |model: &str, input| {
        prices.price_of_sum(&response(model, tokens(input, 0, 0, 0)), at("2026-11-21"))
    };
    assert_eq!(sum("gpt-5.5", 200_000), Some((1.0, true)));
    assert_eq!(sum("gpt-5.5", 400_000), Some((2.0, false)));
    assert_eq!(sum("gpt-5.1", 400_000), Some((0.5, true)));
    assert_eq!(sum("lab/mock-model", 400_000), None);
}

#[test]
fn a_window_is_in_the_price_data_unless_the_users_file_has_another() {
    let prices = Prices::bundled();
    assert_eq!(prices.context_window("gpt-5.1"), Some((400_000, ContextSource::Prices)));
    assert_eq!(prices.context_window("sonnet"), Some((1_000_000, ContextSource::Prices)));
    let own = prices.with_toml("[models.\"gpt-5.1\"]\ncontext_window = 7\n", "p").unwrap();
    assert_eq!(own.context_window("openai/gpt-5.1"), Some((400_000, ContextSource::Prices)));
    assert_eq!(own.context_window("gpt-5.1"), Some((7, ContextSource::Config)));
    // The window alone changes no price.
    check(&own, &response("gpt-5.1", tokens(1_000_000, 0, 0, 0)), "2026-11-21", Some(1.25));
}

#[test]
fn a_file_of_the_users_own_goes_before_all_others() {
    let text = r#"
        [models."lab/mock-model"]
        input_usd_per_million = 2.0
        output_usd_per_million = 8.0
        cache_read_usd_per_million = 0.5
        context_window = 128000

        [models."gpt-5.5"]
        input_usd_per_million = 0
        output_usd_per_million = 0

        [models.long]
        input_usd_per_million = 1
        output_usd_per_million = 1
        [[models.long.above]]
        input_tokens = 1000
        input_usd_per_million = 10
        output_usd_per_million = 10
    "#;
    for prices in [Prices::bundled(), Prices::none()] {
        let prices = prices.with_toml(text, "prices.toml").unwrap();
        let lab = response("lab/mock-model", tokens(1200, 85, 9000, 0));
        let want = (1200.0 * 2.0 + 85.0 * 8.0 + 9000.0 * 0.5) / 1e6;
        check(&prices, &lab, "2026-11-21", Some(want));
        let window = prices.context_window("lab/mock-model");
        assert_eq!(window, Some((128_000, ContextSource::Config)));
        // A price of nothing is a price.
        check(&prices, &response("gpt-5.5", tokens(9, 9, 9, 9)), "2026-11-21", Some(0.0));
        check(&prices, &response("long", tokens(1000, 0, 0, 0)), "2026-11-21", Some(0.001));
        check(&prices, &response("long", tokens(501, 0, 500, 0)), "2026-11-21", Some(0.01001));
        let many = prices.price_of_sum(&response("long", tokens(2000, 0, 0, 0)), at("2026-11-21"));
        assert_eq!(many, Some((0.002, false)));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.toml");
    let error = Prices::bundled().with_file(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read the prices in {}", path.display()));
    std::fs::write(&path, "[models.a]\ninput_usd_per_million = 1\noutput_usd_per_million = 2")
        .unwrap();
    let prices = Prices::none().with_file(&path).unwrap();
    check(&prices, &response("a", tokens(1_000_000, 0, 0, 0)), "2026-11-21", Some(1.0));
}
