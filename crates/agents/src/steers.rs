//! What the caller has said to a running turn and the agent has not taken in yet.

use crate::Out;
use belay_trace::Event;
use std::collections::VecDeque;

/// Messages that an agent has received, in order, for agents that repeat a message when they take it in.
#[derive(Debug, Default)]
pub(crate) struct Steers(VecDeque<String>);

impl Steers {
    /// The agent was given the message.
    pub(crate) fn sent(&mut self, text: &str) {
        self.0.push_back(text.to_owned());
    }

    /// The agent has taken a message into its conversation, and repeats it.
    pub(crate) fn taken(&mut self, repeated: &str, out: &mut Out) {
        // What the agent repeats has been redacted, and may differ from what it was given: the oldest then.
        let at = self.0.iter().position(|text| text == repeated).unwrap_or(0);
        if let Some(text) = self.0.remove(at) {
            out.event(Event::steered(text));
        }
    }

    /// The agent refuses the message.
    pub(crate) fn refused(&mut self, text: &str, reason: &str, out: &mut Out) {
        if let Some(at) = self.0.iter().position(|waiting| waiting == text) {
            self.0.remove(at);
        }
        out.event(Event::not_steered(text, reason));
    }

    /// True if nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
