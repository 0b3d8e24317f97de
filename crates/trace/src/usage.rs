//! What a run used: tokens, turns, time and money.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Tokens, turns, time and money of an attempt or a run.
///
/// The first seven fields are the seed's, by name. What the agent did not say is `None` (null), never 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Usage {
    /// Input tokens that were neither read from nor written to the prompt cache, whatever the agent counts.
    pub input_tokens: Option<u64>,
    /// Output tokens, reasoning included.
    pub output_tokens: Option<u64>,
    /// Input tokens read from the prompt cache.
    pub cache_read_input_tokens: Option<u64>,
    /// Input tokens written to the prompt cache.
    pub cache_creation_input_tokens: Option<u64>,
    /// US dollars; see `cost_source` for who says so.
    pub total_cost_usd: Option<f64>,
    /// Turns as the agent counts them: model responses on the main thread, of which Claude Code's final figure
    /// can be one or two more than there were.
    pub num_turns: Option<u64>,
    /// Wall-clock milliseconds.
    pub duration_ms: Option<u64>,
    /// The part of `output_tokens` that was reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_output_tokens: Option<u64>,
    /// Where `total_cost_usd` comes from.
    pub cost_source: CostSource,
    /// The same figures for each model, by its full name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, ModelUsage>,
}

/// One model's part of a [`Usage`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ModelUsage {
    /// Input tokens outside the prompt cache.
    pub input_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Input tokens read from the prompt cache.
    pub cache_read_input_tokens: u64,
    /// Input tokens written to the prompt cache.
    pub cache_creation_input_tokens: u64,
    /// US dollars, if the agent knows this model's price.
    pub cost_usd: Option<f64>,
    /// The model's context window in tokens, as the agent reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
}

/// Where a cost figure comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CostSource {
    /// The agent reported it.
    Reported,
    /// Computed from tokens and a price table.
    Priced,
    /// A lower bound: part of the work has no known cost.
    Partial,
    /// Nobody knows; the cost is null.
    #[default]
    Unknown,
}

impl Usage {
    /// Adds another attempt's figures: the total of a run over all its attempts, failed ones included.
    ///
    /// A figure that only one side knows counts as that figure; a cost that only one side knows is
    /// [`CostSource::Partial`], unless the other side used nothing.
    pub fn add(&mut self, other: &Self) {
        let cost_source = match (self.is_unused(), other.is_unused()) {
            (true, _) => other.cost_source,
            (_, true) => self.cost_source,
            _ if self.cost_source == other.cost_source => self.cost_source,
            _ => match (self.total_cost_usd, other.total_cost_usd) {
                (Some(_), Some(_))
                    if ![self.cost_source, other.cost_source].contains(&CostSource::Partial) =>
                {
                    CostSource::Priced
                }
                _ => CostSource::Partial,
            },
        };
        self.cost_source = cost_source;
        for (mine, theirs) in [
            (&mut self.input_tokens, other.input_tokens),
            (&mut self.output_tokens, other.output_tokens),
            (&mut self.cache_read_input_tokens, other.cache_read_input_tokens),
            (&mut self.cache_creation_input_tokens, other.cache_creation_input_tokens),
            (&mut self.num_turns, other.num_turns),
            (&mut self.duration_ms, other.duration_ms),
            (&mut self.reasoning_output_tokens, other.reasoning_output_tokens),
        ] {
            *mine = sum(*mine, theirs, u64::saturating_add);
        }
        self.total_cost_usd = sum(self.total_cost_usd, other.total_cost_usd, add_costs);
        for (name, theirs) in &other.models {
            let mine = self.models.entry(name.clone()).or_default();
            mine.input_tokens = mine.input_tokens.saturating_add(theirs.input_tokens);
            mine.output_tokens = mine.output_tokens.saturating_add(theirs.output_tokens);
            mine.cache_read_input_tokens =
                mine.cache_read_input_tokens.saturating_add(theirs.cache_read_input_tokens);
            mine.cache_creation_input_tokens =
                mine.cache_creation_input_tokens.saturating_add(theirs.cache_creation_input_tokens);
            mine.cost_usd = sum(mine.cost_usd, theirs.cost_usd, add_costs);
            mine.context_window = theirs.context_window.or(mine.context_window);
        }
    }

    /// True if no token and no money is known to have been used.
    fn is_unused(&self) -> bool {
        let tokens = [
            self.input_tokens,
            self.output_tokens,
            self.cache_read_input_tokens,
            self.cache_creation_input_tokens,
        ];
        tokens.iter().all(|t| t.unwrap_or(0) == 0) && self.total_cost_usd.unwrap_or(0.0) == 0.0
    }
}

/// JSON has no infinity: an infinite cost would be written as null.
fn add_costs(a: f64, b: f64) -> f64 {
    (a + b).clamp(f64::MIN, f64::MAX)
}

fn sum<T>(a: Option<T>, b: Option<T>, add: impl Fn(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(add(a, b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, cost: Option<f64>, cost_source: CostSource) -> Usage {
        Usage { input_tokens: Some(input), total_cost_usd: cost, cost_source, ..Usage::default() }
    }

    #[test]
    fn unknown_figures_are_null_and_never_zero() {
        let json = serde_json::to_value(Usage::default()).unwrap();
        assert_eq!(json["input_tokens"], serde_json::Value::Null);
        assert_eq!(json["total_cost_usd"], serde_json::Value::Null);
        assert_eq!(json["cost_source"], "unknown");
    }

    #[test]
    fn a_sum_with_an_unpriced_attempt_is_partial() {
        let mut total = usage(10, Some(0.5), CostSource::Reported);
        total.add(&usage(5, None, CostSource::Unknown));
        assert_eq!(total, usage(15, Some(0.5), CostSource::Partial));
    }

    #[test]
    fn costs_beyond_all_measure_stay_a_number() {
        let mut total = usage(1, Some(f64::MAX), CostSource::Reported);
        total.add(&total.clone());
        assert_eq!(total.total_cost_usd, Some(f64::MAX));
    }

    #[test]
    fn an_attempt_that_used_nothing_does_not_blur_the_cost() {
        let mut total = usage(0, None, CostSource::Unknown);
        total.add(&usage(5, Some(0.25), CostSource::Reported));
        assert_eq!(total, usage(5, Some(0.25), CostSource::Reported));
    }
}
