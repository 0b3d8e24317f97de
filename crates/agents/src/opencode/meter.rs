//! What OpenCode's steps have used.

use super::parts::Tokens;
use crate::Out;
use belay_trace::{Context, ContextSource, CostSource, Event, ToolId, Usage, UsageReport};

/// Adds steps up. A step's cost is computed by OpenCode from its own price table; a model that is not in it
/// costs 0, which is not the same as nothing.
#[derive(Debug, Default)]
pub(super) struct Meter {
    usage: Usage,
    /// The part of it that the run's own session has used.
    own: Totals,
    /// When the first step of the run's own session began, in milliseconds since 1970.
    began_ms: Option<u64>,
}

/// What a session has used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) tokens: Tokens,
    pub(super) cost: f64,
}

impl Totals {
    fn add(&mut self, tokens: Tokens, cost: f64) {
        let sum = |a: u64, b: u64| a.saturating_add(b);
        self.tokens = self.tokens.each(tokens, sum);
        self.cost += cost;
    }

    /// What is beyond `other`.
    pub(super) fn beyond(self, other: Self) -> Self {
        let tokens = self.tokens.each(other.tokens, u64::saturating_sub);
        Self { tokens, cost: (self.cost - other.cost).max(0.0) }
    }
}

impl Meter {
    /// Something was used of which nothing is known.
    pub(super) fn unknown_use(&mut self) {
        if self.usage.total_cost_usd.is_some() {
            self.usage.cost_source = CostSource::Partial;
        }
    }

    /// What was used so far; nothing known before the first step has ended.
    pub(super) fn usage(&self) -> Usage {
        self.usage.clone()
    }

    /// A step of the run's own session has begun or ended then, in milliseconds since 1970.
    pub(super) fn step_at(&mut self, at_ms: u64) {
        let began = *self.began_ms.get_or_insert(at_ms);
        self.usage.duration_ms = at_ms.checked_sub(began).filter(|took| *took > 0);
    }

    /// A step has ended, perhaps one of a subagent.
    pub(super) fn step(
        &mut self,
        tokens: Option<Tokens>,
        cost: Option<f64>,
        under: Option<&ToolId>,
        out: &mut Out,
    ) {
        let Some(tokens) = tokens else { return };
        let total = tokens.total();
        if total == 0 {
            // A stream that was cut tells no tokens; what it has cost is not known.
            return;
        }
        let cost = cost.filter(|cost| *cost > 0.0);
        if under.is_none() {
            self.own.add(tokens, cost.unwrap_or_default());
        }
        self.add(tokens, cost, u64::from(under.is_none()), under, out);
        let (used_tokens, source) = (total, ContextSource::Agent);
        let context = Context { used_tokens, window_tokens: None, source };
        out.event_under(under.cloned(), Event::Context(context));
    }

    /// Adds what the run's own session has used and no step has told.
    pub(super) fn complete(&mut self, used: Totals, out: &mut Out) {
        let missed = used.beyond(self.own);
        if missed.tokens.total() > 0 {
            self.own.add(missed.tokens, missed.cost);
            // A sum of the server's is a float, and has the noise of one.
            let cost = Some(missed.cost).filter(|cost| *cost > 1e-9);
            let is_only = self.usage.num_turns.is_none();
            self.add(missed.tokens, cost, u64::from(is_only), None, out);
        }
    }

    fn add(
        &mut self,
        tokens: Tokens,
        cost: Option<f64>,
        turns: u64,
        under: Option<&ToolId>,
        out: &mut Out,
    ) {
        // A subagent's steps are no turns of the run.
        let step = Usage {
            input_tokens: Some(tokens.input),
            output_tokens: Some(tokens.output.saturating_add(tokens.reasoning)),
            cache_read_input_tokens: Some(tokens.cache.read),
            cache_creation_input_tokens: Some(tokens.cache.write),
            total_cost_usd: cost,
            num_turns: Some(turns),
            reasoning_output_tokens: Some(tokens.reasoning),
            cost_source: cost.map_or(CostSource::Unknown, |_| CostSource::Reported),
            ..Usage::default()
        };
        self.usage.add(&step);
        out.event_under(under.cloned(), Event::Usage(UsageReport { usage: self.usage() }));
    }
}
