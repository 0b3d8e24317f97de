//! What the caller says to the agent while it works, and what becomes of it: one event per message.

use super::Attempt;
use belay_agents::Input;
use belay_trace::Event;

impl Attempt<'_> {
    /// Passes a message on, unless it would begin something new behind a stop or behind the answer.
    pub(super) fn steer(&mut self, text: String) {
        let has_ended = self.end.is_some() && !self.background.is_busy();
        let reason = match (self.is_stopping(), has_ended) {
            (true, _) => "the run is stopping",
            (false, true) => "the agent has ended its turn",
            (false, false) => {
                self.steers.push(text.clone());
                return self.input(Input::Steer(&text));
            }
        };
        self.runner.publisher.event(Event::not_steered(text, reason));
    }

    /// The driver says what has become of a message.
    pub(super) fn note_steered(&mut self, event: &Event) {
        if let Event::Steered(steered) = event {
            self.forget_steer(&steered.text);
        }
    }

    /// The agent cannot be told.
    pub(super) fn lose_steer(&mut self, text: &str, reason: &str) {
        if self.forget_steer(text) {
            self.runner.publisher.event(Event::not_steered(text, reason));
        }
    }

    /// The agent is gone: what it has not taken in by now it never will.
    pub(super) fn lose_steers(&mut self) {
        let reason = match self.is_stopping() {
            true => "the agent was stopped before it took the message in",
            false => "the agent ended before it took the message in",
        };
        for text in std::mem::take(&mut self.steers) {
            self.runner.publisher.event(Event::not_steered(text, reason));
        }
    }

    fn forget_steer(&mut self, text: &str) -> bool {
        let at = self.steers.iter().position(|waiting| waiting == text);
        at.map(|at| self.steers.remove(at)).is_some()
    }
}
