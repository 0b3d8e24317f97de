//! Max turns for agents that have no such option.

use belay_trace::Event;

/// Counts model responses and says when the agent is about to ask for one too many.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnLimit {
    max: u32,
    started: u64,
    /// The model has called a tool since its last response was counted, so it will want to go on.
    goes_on: bool,
}

impl TurnLimit {
    pub(super) fn new(max: u32) -> Self {
        Self { max, started: 0, goes_on: false }
    }

    /// True when the run is over the limit, or will be with the agent's next request.
    pub(super) fn is_reached_with(&mut self, event: &Event) -> bool {
        let max = u64::from(self.max);
        match event {
            Event::TurnStarted(_) => {
                self.started += 1;
                self.started > max
            }
            Event::ToolCall(_) => {
                self.goes_on = true;
                false
            }
            Event::Usage(report) => {
                let went_on = std::mem::take(&mut self.goes_on);
                went_on && report.usage.num_turns.is_some_and(|turns| turns >= max)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_trace::{ToolCall, TurnStarted, Usage, UsageReport};

    fn usage(turns: u64) -> Event {
        let usage = Usage { num_turns: Some(turns), ..Usage::default() };
        Event::Usage(UsageReport { usage })
    }

    fn check(events: &[Event]) -> bool {
        let mut limit = TurnLimit::new(1);
        events.iter().any(|event| limit.is_reached_with(event))
    }

    #[test]
    fn an_answer_within_the_limit_is_no_breach() {
        assert!(!check(&[Event::TurnStarted(TurnStarted::default()), usage(1)]));
    }

    #[test]
    fn a_tool_call_in_the_last_turn_is_a_breach_before_the_next_request() {
        let turn = Event::TurnStarted(TurnStarted::default());
        assert!(check(&[turn, Event::ToolCall(ToolCall::default()), usage(1)]));
    }

    #[test]
    fn without_usage_the_next_response_is_the_breach() {
        let turn = || Event::TurnStarted(TurnStarted::default());
        assert!(check(&[turn(), Event::ToolCall(ToolCall::default()), turn()]));
    }
}
