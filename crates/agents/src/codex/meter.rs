//! A turn's tokens, from a thread's totals.

use super::rpc::{TokenUsage, Tokens};
use belay_trace::Usage;

/// Counts what a turn uses. Codex reports totals of the thread, so a turn's part is the growth since it began.
#[derive(Default)]
pub(super) struct Meter {
    /// The thread's total, as far as it is known; not at all for a resumed thread at first.
    total: Option<Tokens>,
    /// The total when the turn began.
    baseline: Option<Tokens>,
    responses: u64,
    window: Option<u64>,
}

impl Meter {
    pub(super) fn new(resumed: bool) -> Self {
        Self { total: (!resumed).then(Tokens::default), ..Self::default() }
    }

    pub(super) fn turn_started(&mut self) {
        self.baseline = self.total;
        self.responses = 0;
    }

    /// Takes a report; true if it means that a response of the running turn has ended.
    pub(super) fn report(&mut self, report: &TokenUsage, in_turn: bool) -> bool {
        // When the context overflows, Codex reports a full window and no tokens: a mark, not a sum (measured).
        if report.total.input_tokens == 0 && report.total.total_tokens > 0 {
            return false;
        }
        // Reports are repeated when the limits change, and a resumed thread tells its history.
        let is_response = in_turn && self.total != Some(report.total);
        if is_response {
            self.baseline.get_or_insert(report.total.minus(report.last));
            self.responses += 1;
            self.window = report.model_context_window.or(self.window);
        }
        self.total = Some(report.total);
        is_response
    }

    /// The model's context window, once a report has named it.
    pub(super) fn window(&self) -> Option<u64> {
        self.window
    }

    /// The turn's own tokens; unknown while no response has ended, and while a resumed thread has not told
    /// its total.
    pub(super) fn usage(&self) -> Usage {
        let (Some(total), Some(baseline), 1..) = (self.total, self.baseline, self.responses) else {
            return Usage::default();
        };
        let turn = total.minus(baseline);
        let cached = turn.cached_input_tokens.saturating_add(turn.cache_write_input_tokens);
        Usage {
            input_tokens: Some(turn.input_tokens.saturating_sub(cached)),
            output_tokens: Some(turn.output_tokens),
            cache_read_input_tokens: Some(turn.cached_input_tokens),
            cache_creation_input_tokens: Some(turn.cache_write_input_tokens),
            reasoning_output_tokens: Some(turn.reasoning_output_tokens),
            num_turns: Some(self.responses),
            ..Usage::default()
        }
    }
}
