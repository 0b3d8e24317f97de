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
    /// The tokens are estimated or not all of them: the agent did not live to say what its last response used.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
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
    /// US dollars, if anybody knows this model's price.
    pub cost_usd: Option<f64>,
    /// Where `cost_usd` comes from; a run says it of each part. What only an agent has said leaves it out, and
    /// then it is as reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_source: Option<CostSource>,
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
    /// Computed from tokens and list prices: what the tokens cost who pays by token, whatever the contract.
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
    /// [`CostSource::Partial`], unless the other side used nothing. A sum is as good as its weakest part.
    pub fn add(&mut self, other: &Self) {
        let cost_source = match (self.is_unused(), other.is_unused()) {
            (true, _) => other.cost_source,
            (_, true) => self.cost_source,
            _ => self.cost_source.with(other.cost_source),
        };
        self.partial |= other.partial;
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
            let Some(mine) = self.models.get_mut(name) else {
                self.models.insert(name.clone(), theirs.clone());
                continue;
            };
            mine.input_tokens = mine.input_tokens.saturating_add(theirs.input_tokens);
            mine.output_tokens = mine.output_tokens.saturating_add(theirs.output_tokens);
            mine.cache_read_input_tokens =
                mine.cache_read_input_tokens.saturating_add(theirs.cache_read_input_tokens);
            mine.cache_creation_input_tokens =
                mine.cache_creation_input_tokens.saturating_add(theirs.cache_creation_input_tokens);
            mine.add_cost(theirs);
            mine.context_window = theirs.context_window.or(mine.context_window);
        }
    }

    /// What these figures have beyond earlier ones of the same sum.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let beyond = |now: Option<u64>, before: Option<u64>| {
            now.map(|now| now.saturating_sub(before.unwrap_or_default()))
        };
        let cost = |now: Option<f64>, before: Option<f64>| {
            now.map(|now| (now - before.unwrap_or_default()).max(0.0))
        };
        let mut models = self.models.clone();
        for (name, part) in &mut models {
            let Some(before) = earlier.models.get(name) else { continue };
            for (mine, theirs) in [
                (&mut part.input_tokens, before.input_tokens),
                (&mut part.output_tokens, before.output_tokens),
                (&mut part.cache_read_input_tokens, before.cache_read_input_tokens),
                (&mut part.cache_creation_input_tokens, before.cache_creation_input_tokens),
            ] {
                *mine = mine.saturating_sub(theirs);
            }
            part.cost_usd = cost(part.cost_usd, before.cost_usd);
        }
        Self {
            input_tokens: beyond(self.input_tokens, earlier.input_tokens),
            output_tokens: beyond(self.output_tokens, earlier.output_tokens),
            cache_read_input_tokens: beyond(
                self.cache_read_input_tokens,
                earlier.cache_read_input_tokens,
            ),
            cache_creation_input_tokens: beyond(
                self.cache_creation_input_tokens,
                earlier.cache_creation_input_tokens,
            ),
            total_cost_usd: cost(self.total_cost_usd, earlier.total_cost_usd),
            num_turns: beyond(self.num_turns, earlier.num_turns),
            duration_ms: self.duration_ms,
            reasoning_output_tokens: beyond(
                self.reasoning_output_tokens,
                earlier.reasoning_output_tokens,
            ),
            cost_source: self.cost_source,
            partial: self.partial,
            models,
        }
    }

    /// Takes a later report of the same attempt. One that says nothing of money leaves what an earlier turn has
    /// cost, as a lower bound.
    pub fn update(&mut self, report: Self) {
        let known = std::mem::replace(self, report);
        if self.total_cost_usd.is_none() && known.total_cost_usd.is_some() {
            self.total_cost_usd = known.total_cost_usd;
            self.cost_source = CostSource::Partial;
        }
    }

    /// True if no token and no money was used, as far as anybody can tell.
    fn is_unused(&self) -> bool {
        if self.partial {
            return false;
        }
        let tokens = [
            self.input_tokens,
            self.output_tokens,
            self.cache_read_input_tokens,
            self.cache_creation_input_tokens,
        ];
        tokens.iter().all(|t| t.unwrap_or(0) == 0) && self.total_cost_usd.unwrap_or(0.0) == 0.0
    }
}

impl CostSource {
    /// The source of the sum of two costs: the weaker one. A known cost and an unknown one are a lower bound.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Reported, Self::Reported) => Self::Reported,
            (Self::Unknown, Self::Unknown) => Self::Unknown,
            (Self::Partial | Self::Unknown, _) | (_, Self::Partial | Self::Unknown) => {
                Self::Partial
            }
            (Self::Reported | Self::Priced, Self::Reported | Self::Priced) => Self::Priced,
        }
    }
}

impl ModelUsage {
    /// Where the cost comes from, also where nobody has said so.
    pub fn source(&self) -> CostSource {
        let said = self.cost_source.or(self.cost_usd.map(|_| CostSource::Reported));
        said.unwrap_or_default()
    }

    fn add_cost(&mut self, other: &Self) {
        if self.cost_source.is_some() || other.cost_source.is_some() {
            self.cost_source = Some(self.source().with(other.source()));
        } else if self.cost_usd.is_some() != other.cost_usd.is_some() {
            self.cost_source = Some(CostSource::Partial);
        }
        self.cost_usd = sum(self.cost_usd, other.cost_usd, add_costs);
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
    fn what_was_counted_is_not_counted_again() {
        let (one, two) =
            (usage(3, Some(0.5), CostSource::Reported), usage(5, Some(0.25), CostSource::Reported));
        let mut sum = one.clone();
        sum.add(&two);
        assert_eq!(sum.since(&one), two);
        assert_eq!(sum.since(&Usage::default()), sum);
        assert_eq!(one.since(&sum), usage(0, Some(0.0), CostSource::Reported));
    }

    #[test]
    fn unknown_figures_are_null_and_never_zero() {
        let json = serde_json::to_value(Usage::default()).unwrap();
        assert_eq!(json["input_tokens"], serde_json::Value::Null);
        assert_eq!(json["total_cost_usd"], serde_json::Value::Null);
        assert_eq!(json["cost_source"], "unknown");
    }

    #[test]
    fn a_later_report_without_money_keeps_what_is_paid_as_a_lower_bound() {
        let mut so_far = usage(10, Some(0.5), CostSource::Reported);
        so_far.update(usage(30, None, CostSource::Unknown));
        assert_eq!(so_far, usage(30, Some(0.5), CostSource::Partial));
        so_far.update(usage(40, Some(0.75), CostSource::Reported));
        assert_eq!(so_far, usage(40, Some(0.75), CostSource::Reported));
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
    fn a_sum_is_as_good_as_its_weakest_part() {
        use CostSource::{Partial, Priced, Reported, Unknown};
        for (a, b, want) in [
            (Reported, Reported, Reported),
            (Reported, Priced, Priced),
            (Priced, Partial, Partial),
            (Reported, Partial, Partial),
            (Partial, Unknown, Partial),
            (Unknown, Priced, Partial),
            (Unknown, Unknown, Unknown),
        ] {
            assert_eq!((a.with(b), b.with(a)), (want, want), "{a:?} with {b:?}");
        }
    }

    #[test]
    fn an_attempt_that_used_nobody_knows_what_makes_the_cost_partial() {
        let mut total = Usage { partial: true, ..Usage::default() };
        total.add(&usage(5, Some(0.25), CostSource::Reported));
        let want = usage(5, Some(0.25), CostSource::Partial);
        assert_eq!(total, Usage { partial: true, ..want });
    }

    #[test]
    fn the_parts_of_models_say_their_sources_too() {
        let part = |cost_usd, cost_source| {
            let part = ModelUsage { cost_usd, cost_source, ..ModelUsage::default() };
            Usage {
                models: [("m".to_owned(), part)].into(),
                ..usage(1, cost_usd, CostSource::Unknown)
            }
        };
        let mut total = part(Some(0.5), None);
        total.add(&part(Some(0.5), Some(CostSource::Priced)));
        assert_eq!(total.models, part(Some(1.0), Some(CostSource::Priced)).models);
        total.add(&part(None, Some(CostSource::Unknown)));
        assert_eq!(total.models, part(Some(1.0), Some(CostSource::Partial)).models);
    }

    #[test]
    fn an_attempt_that_used_nothing_does_not_blur_the_cost() {
        let mut total = usage(0, None, CostSource::Unknown);
        total.add(&usage(5, Some(0.25), CostSource::Reported));
        assert_eq!(total, usage(5, Some(0.25), CostSource::Reported));
    }
}
