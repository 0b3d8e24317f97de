//! Claude Code's accounting, trap by trap (`docs/agents/claude-code.md`).
//!
//! `usage` of a result leaves out subagents and aborted calls, `modelUsage` and `total_cost_usd` go on from
//! the runs before in a resumed session; only `model_usage_since_last_result` is exact.

use super::wire::{ModelTokens, ResultLine, Tokens};
use belay_trace::{CostSource, ModelUsage, Usage};
use std::collections::BTreeMap;

/// Counts what the responses of a conversation use.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// The session has a history that this process did not see.
    resumed: bool,
    /// Tokens of the responses of this turn, by message id; the only figures if the process dies.
    responses: BTreeMap<String, Tokens>,
    /// Responses of the main thread that have arrived.
    turns: u64,
    /// What the turns before have used.
    ended: Usage,
    /// A response told its final output count, which only a stream with partial messages has.
    output_known: bool,
    /// `modelUsage` at the end of the turn before.
    cumulative: BTreeMap<String, ModelTokens>,
}

impl Meter {
    pub(super) fn new(resumed: bool) -> Self {
        Self { resumed, ..Self::default() }
    }

    /// True for one that was not known.
    pub(super) fn response_began(&mut self, message_id: Option<&str>, tokens: Tokens) -> bool {
        let Some(id) = message_id else { return false };
        let is_new = !self.responses.contains_key(id);
        if is_new {
            self.responses.insert(id.to_owned(), tokens);
        }
        is_new
    }

    pub(super) fn response_ended(&mut self, message_id: Option<&str>, tokens: Tokens, main: bool) {
        if let Some(id) = message_id {
            self.responses.insert(id.to_owned(), tokens);
        }
        self.output_known = true;
        self.turns += u64::from(main);
    }

    /// A response of the main thread arrived whole, without pieces and without its final count.
    pub(super) fn response_arrived(&mut self) {
        self.turns += 1;
    }

    /// What all turns have used, this one as far as the stream has shown it. Money is only in the results.
    pub(super) fn since_the_start(&self) -> Usage {
        let mut usage = self.ended.clone();
        usage.add(&self.so_far());
        Usage {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cache_read_input_tokens: usage.cache_read_input_tokens,
            cache_creation_input_tokens: usage.cache_creation_input_tokens,
            num_turns: usage.num_turns,
            ..Usage::default()
        }
    }

    /// Responses were seen since the last result.
    pub(super) fn has_more(&self) -> bool {
        !self.responses.is_empty()
    }

    /// What this turn has used, as far as the stream has shown it. Money is only in the result.
    pub(super) fn so_far(&self) -> Usage {
        if self.responses.is_empty() {
            return Usage::default();
        }
        let sum = |field: fn(&Tokens) -> u64| Some(total(self.responses.values().map(field)));
        Usage {
            input_tokens: sum(|tokens| tokens.input_tokens),
            output_tokens: sum(|tokens| tokens.output_tokens).filter(|_| self.output_known),
            cache_read_input_tokens: sum(|tokens| tokens.cache_read_input_tokens),
            cache_creation_input_tokens: sum(|tokens| tokens.cache_creation_input_tokens),
            num_turns: Some(self.turns),
            ..Usage::default()
        }
    }

    /// The context window of `model`, once a result has named it.
    pub(super) fn window(&self, model: Option<&str>) -> Option<u64> {
        self.cumulative.get(model?)?.context_window
    }

    /// The exact usage of the turn that the result line ends.
    pub(super) fn turn_ended(&mut self, result: &ResultLine) -> Usage {
        let models = self.models_of_turn(result);
        let usage = match models {
            Some(models) => of_models(&models),
            None => self.without_models(result),
        };
        if let Some(cumulative) = &result.model_usage {
            self.cumulative.clone_from(cumulative);
        }
        // A stream of which only the end was seen: Claude's own count is the next best.
        let is_unseen = self.turns == 0 && usage.output_tokens.is_some_and(|tokens| tokens > 0);
        let turns = if is_unseen { result.num_turns } else { Some(self.turns) };
        self.responses.clear();
        (self.turns, self.output_known) = (0, false);
        let usage = Usage { num_turns: turns, duration_ms: result.duration_ms, ..usage };
        self.ended.add(&usage);
        usage
    }

    /// What a turn without a result has used, as far as the stream has shown it.
    pub(super) fn turn_lost(&mut self) -> Usage {
        let usage = self.so_far();
        self.responses.clear();
        (self.turns, self.output_known) = (0, false);
        self.ended.add(&usage);
        usage
    }

    /// Each model's part of this turn: as reported, or for older versions the growth of the cumulative
    /// figure. A resumed session began with a history that such a version does not tell.
    fn models_of_turn(&self, result: &ResultLine) -> Option<BTreeMap<String, ModelTokens>> {
        if let Some(exact) = &result.model_usage_since_last_result {
            return Some(exact.clone());
        }
        let first_of_resumed = self.resumed && self.cumulative.is_empty();
        let total = result.model_usage.as_ref().filter(|_| !first_of_resumed)?;
        let growth = total.iter().map(|(name, now)| {
            let before = self.cumulative.get(name).cloned().unwrap_or_default();
            (name.clone(), minus(now, &before))
        });
        Some(growth.collect())
    }

    /// The tokens of the main thread, and no money: better nothing than the sum of several runs.
    fn without_models(&self, result: &ResultLine) -> Usage {
        let Some(tokens) = result.usage else { return self.so_far() };
        Usage {
            input_tokens: Some(tokens.input_tokens),
            output_tokens: Some(tokens.output_tokens),
            cache_read_input_tokens: Some(tokens.cache_read_input_tokens),
            cache_creation_input_tokens: Some(tokens.cache_creation_input_tokens),
            ..Usage::default()
        }
    }
}

/// Tokens in the context after a response.
pub(super) fn context(tokens: Tokens) -> u64 {
    let cached = [tokens.cache_read_input_tokens, tokens.cache_creation_input_tokens];
    total([tokens.input_tokens, tokens.output_tokens].into_iter().chain(cached))
}

/// A sum that no agent can make overflow.
fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// JSON has no infinity.
fn finite(cost: f64) -> f64 {
    cost.clamp(f64::MIN, f64::MAX)
}

fn of_models(models: &BTreeMap<String, ModelTokens>) -> Usage {
    let sum = |field: fn(&ModelTokens) -> u64| Some(total(models.values().map(field)));
    let thinking: Option<Vec<u64>> = models.values().map(|model| model.thinking_tokens).collect();
    let thinking = thinking.map(|counts| total(counts.into_iter()));
    let (cost, cost_source) = cost(models);
    Usage {
        input_tokens: sum(|model| model.input_tokens),
        output_tokens: sum(|model| model.output_tokens),
        cache_read_input_tokens: sum(|model| model.cache_read_input_tokens),
        cache_creation_input_tokens: sum(|model| model.cache_creation_input_tokens),
        reasoning_output_tokens: thinking.filter(|_| !models.is_empty()),
        total_cost_usd: cost,
        cost_source,
        models: models.iter().map(|(name, model)| (name.clone(), model_usage(model))).collect(),
        ..Usage::default()
    }
}

/// The sum of what has a price. Claude prices a model that it does not know like its own best one and says
/// so in `costBasis`; such a figure is none.
fn cost(models: &BTreeMap<String, ModelTokens>) -> (Option<f64>, CostSource) {
    let known: Vec<f64> = models.values().filter_map(priced).collect();
    // Not `sum()`: of nothing it is -0.0, which people would see.
    let total = known.iter().fold(0.0, |total, cost| finite(total + cost));
    match known.len() {
        n if n == models.len() => (Some(total), CostSource::Reported),
        0 => (None, CostSource::Unknown),
        _ => (Some(total), CostSource::Partial),
    }
}

fn priced(model: &ModelTokens) -> Option<f64> {
    let is_list = model.cost_basis.as_deref().is_none_or(|basis| basis == "list");
    model.cost_usd.filter(|_| is_list)
}

fn model_usage(model: &ModelTokens) -> ModelUsage {
    ModelUsage {
        input_tokens: model.input_tokens,
        output_tokens: model.output_tokens,
        cache_read_input_tokens: model.cache_read_input_tokens,
        cache_creation_input_tokens: model.cache_creation_input_tokens,
        cost_usd: priced(model),
        context_window: model.context_window,
        ..ModelUsage::default()
    }
}

fn minus(now: &ModelTokens, before: &ModelTokens) -> ModelTokens {
    ModelTokens {
        input_tokens: now.input_tokens.saturating_sub(before.input_tokens),
        output_tokens: now.output_tokens.saturating_sub(before.output_tokens),
        cache_read_input_tokens: now
            .cache_read_input_tokens
            .saturating_sub(before.cache_read_input_tokens),
        cache_creation_input_tokens: now
            .cache_creation_input_tokens
            .saturating_sub(before.cache_creation_input_tokens),
        thinking_tokens: now
            .thinking_tokens
            .map(|tokens| tokens.saturating_sub(before.thinking_tokens.unwrap_or(0))),
        cost_usd: now.cost_usd.map(|cost| finite(cost - before.cost_usd.unwrap_or(0.0)).max(0.0)),
        ..now.clone()
    }
}
