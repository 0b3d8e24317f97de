//! Max turns for agents that have no such option.

use belay_trace::Event;

/// Counts model responses and says when the agent is about to ask for one too many.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnLimit {
    max: u32,
    started: u64,
    /// The model has called a tool since its last response was counted, so it will want to go on.
    goes_on: bool,
    /// The stream does not tell where a response ends: the agent's own account is counted.
    by_account: bool,
    /// There were as many responses as there may be.
    is_full: bool,
}

impl TurnLimit {
    pub(super) fn new(max: u32) -> Self {
        Self { max, started: 0, goes_on: false, by_account: false, is_full: false }
    }

    /// For an agent whose account is to be counted, and not what its stream looks like.
    pub(super) fn by_account(self) -> Self {
        Self { by_account: true, ..self }
    }

    /// True when so many responses in the agent's account are too many.
    pub(super) fn is_reached_by(&mut self, responses: usize) -> bool {
        self.is_full = responses as u64 >= u64::from(self.max);
        responses as u64 > u64::from(self.max)
    }

    /// True when the run is over the limit, or will be with the agent's next request.
    pub(super) fn is_reached_with(&mut self, event: &Event) -> bool {
        let max = u64::from(self.max);
        match event {
            // A tool of the last response, of whose result the agent would ask. Qwen calls it after it has told what
            // the response used.
            Event::ToolCall(_) | Event::ToolResult(_) if self.is_full => true,
            _ if self.by_account => false,
            Event::TurnStarted(_) => {
                self.goes_on = false;
                self.started += 1;
                self.started > max
            }
            Event::ToolCall(_) => {
                self.goes_on = true;
                false
            }
            Event::Usage(report) => {
                self.is_full = report.usage.num_turns.is_some_and(|turns| turns >= max);
                std::mem::take(&mut self.goes_on) && self.is_full
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

    #[test]
    fn a_tool_that_is_called_after_the_usage_of_its_response_belongs_to_that_one() {
        let turn = || Event::TurnStarted(TurnStarted::default());
        let call = || Event::ToolCall(ToolCall::default());
        let mut limit = TurnLimit::new(2);
        let answer = [turn(), usage(1), call(), turn(), usage(2)];
        assert!(!answer.iter().any(|event| limit.is_reached_with(event)));
        assert!(limit.is_reached_with(&call()));
    }

    #[test]
    fn by_account_a_tool_of_the_last_response_is_the_breach_and_its_look_is_none() {
        let turn = || Event::TurnStarted(TurnStarted::default());
        let call = || Event::ToolCall(ToolCall::default());
        let mut limit = TurnLimit::new(2).by_account();
        // Two calls of one response look like two responses.
        assert!(![turn(), call(), turn(), call()].iter().any(|e| limit.is_reached_with(e)));
        assert!(!limit.is_reached_by(1) && !limit.is_reached_with(&call()));
        assert!(!limit.is_reached_by(2) && !limit.is_reached_with(&usage(2)));
        assert!(limit.is_reached_with(&call()) && limit.is_reached_by(3));
    }
}
