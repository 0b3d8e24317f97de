//! What a turn used, from its messages.

use super::wire::Tokens;
use belay_trace::{CostSource, ModelUsage, Usage};
use std::collections::BTreeMap;

/// Adds up what Pi reports with each response. A line at the end with the sum, as other agents have, Pi lacks.
#[derive(Debug, Default)]
pub(super) struct Meter {
    total: Usage,
    /// A response broke off before its tokens were told, so the sum is too low.
    incomplete: bool,
    pub(super) window: Option<u64>,
}

impl Meter {
    pub(super) fn turn_started(&mut self) {
        (self.total, self.incomplete) = (Usage::default(), false);
    }

    /// Takes the report of a response. One that wrote something and reports nothing is not known.
    pub(super) fn response(&mut self, model: Option<String>, tokens: Option<&Tokens>, wrote: bool) {
        let counted = u64::from(wrote);
        self.total.num_turns = Some(self.total.num_turns.unwrap_or(0).saturating_add(counted));
        match tokens.filter(|tokens| !wrote || tokens.total_tokens > 0 || tokens.output > 0) {
            Some(tokens) => self.total.add(&self.usage_of(model, tokens)),
            None => self.incomplete |= wrote,
        }
    }

    /// Takes what was used beside the responses: a summary by the model, models of unknown name that a tool has
    /// asked.
    pub(super) fn aside(&mut self, tokens: &Tokens, model: Option<String>) {
        self.total.add(&self.usage_of(model, tokens));
    }

    /// The sum; unknown if nothing is known of the only responses that there were.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = self.total.clone();
        if self.incomplete && usage.total_cost_usd.is_some() {
            usage.cost_source = CostSource::Partial;
        }
        usage
    }

    fn usage_of(&self, model: Option<String>, tokens: &Tokens) -> Usage {
        let cost = tokens.cost.as_ref().and_then(|cost| cost.total);
        // A negative zero would be read back as another number.
        let cost = cost.map(|cost| cost + 0.0);
        let part = ModelUsage {
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            cache_read_input_tokens: tokens.cache_read,
            cache_creation_input_tokens: tokens.cache_write,
            cost_usd: cost,
            context_window: self.window,
            ..ModelUsage::default()
        };
        Usage {
            input_tokens: Some(tokens.input),
            output_tokens: Some(tokens.output),
            cache_read_input_tokens: Some(tokens.cache_read),
            cache_creation_input_tokens: Some(tokens.cache_write),
            reasoning_output_tokens: tokens.reasoning,
            total_cost_usd: cost,
            cost_source: if cost.is_some() { CostSource::Reported } else { CostSource::Unknown },
            models: model.map(|model| (model, part)).into_iter().collect::<BTreeMap<_, _>>(),
            ..Usage::default()
        }
    }
}
