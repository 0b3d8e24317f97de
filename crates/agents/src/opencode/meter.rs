//! What OpenCode's steps have used.

use super::parts::Tokens;
use crate::Out;
use belay_trace::{Context, ContextSource, CostSource, Event, ToolId, Usage, UsageReport};

/// Adds steps up. A step's cost is computed by OpenCode from its own price table; a model that is not in it
/// costs 0, which is not the same as nothing.
#[derive(Debug, Default)]
pub(super) struct Meter {
    usage: Usage,
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

    /// A step has ended, perhaps one of a subagent.
    pub(super) fn step(
        &mut self,
        tokens: Option<Tokens>,
        cost: Option<f64>,
        under: Option<&ToolId>,
        out: &mut Out,
    ) {
        let Some(tokens) = tokens else { return };
        let used =
            [tokens.input, tokens.output, tokens.reasoning, tokens.cache.read, tokens.cache.write];
        let total = used.into_iter().fold(0, u64::saturating_add);
        if total == 0 {
            // A stream that was cut tells no tokens; what it has cost is not known.
            return;
        }
        let cost = cost.filter(|cost| *cost > 0.0);
        let step = Usage {
            input_tokens: Some(tokens.input),
            output_tokens: Some(tokens.output.saturating_add(tokens.reasoning)),
            cache_read_input_tokens: Some(tokens.cache.read),
            cache_creation_input_tokens: Some(tokens.cache.write),
            total_cost_usd: cost,
            // A subagent's steps are no turns of the run.
            num_turns: Some(u64::from(under.is_none())),
            reasoning_output_tokens: Some(tokens.reasoning),
            cost_source: cost.map_or(CostSource::Unknown, |_| CostSource::Reported),
            ..Usage::default()
        };
        self.usage.add(&step);
        out.event_under(under.cloned(), Event::Usage(UsageReport { usage: self.usage() }));
        let (used_tokens, source) = (total, ContextSource::Agent);
        let context = Context { used_tokens, window_tokens: None, source };
        out.event_under(under.cloned(), Event::Context(context));
    }
}
