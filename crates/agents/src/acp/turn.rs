//! What the model says in one turn, response by response.

use crate::Out;
use belay_trace::{Event, Reasoning, Text, TurnStarted};

/// The turn that runs.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// The model is in the middle of a response.
    responding: bool,
    responses: u64,
    /// What the response has said so far.
    text: String,
    /// The last words of a response before it.
    reached: String,
    /// A tool was called.
    pub(super) acted: bool,
    pub(super) model: Option<String>,
}

impl Turn {
    pub(super) fn text(&mut self, text: String, out: &mut Out) {
        if text.is_empty() {
            return;
        }
        let message_id = Some(self.respond(out));
        self.text.push_str(&text);
        out.event(Event::Text(Text { text, message_id }));
    }

    pub(super) fn reasoning(&mut self, reasoning: String, out: &mut Out) {
        if reasoning.is_empty() {
            return;
        }
        let message_id = Some(self.respond(out));
        out.event(Event::Reasoning(Reasoning { reasoning, message_id }));
    }

    /// A tool is called, which is part of a response too.
    pub(super) fn calls(&mut self, out: &mut Out) {
        self.acted = true;
        self.respond(out);
    }

    /// What comes next is of another response.
    pub(super) fn response_ended(&mut self) {
        self.responding = false;
    }

    /// True if the last response has said nothing.
    pub(super) fn is_silent(&self) -> bool {
        self.text.is_empty() || !self.responding && self.responses == 0
    }

    /// The answer: what the last response has said, and without an answer what was reached.
    pub(super) fn answer(&mut self, answered: bool) -> String {
        let (text, reached) = (std::mem::take(&mut self.text), std::mem::take(&mut self.reached));
        if answered || !text.is_empty() { text } else { reached }
    }

    /// The next turn begins.
    pub(super) fn begin(&mut self) {
        let (responses, model) = (self.responses, self.model.take());
        *self = Self { responses, model, ..Self::default() };
    }

    fn respond(&mut self, out: &mut Out) -> String {
        if !self.responding {
            self.responding = true;
            self.responses += 1;
            let text = std::mem::take(&mut self.text);
            if !text.is_empty() {
                self.reached = text;
            }
            out.event(Event::TurnStarted(TurnStarted {
                message_id: Some(self.responses.to_string()),
                model: self.model.clone(),
            }));
        }
        self.responses.to_string()
    }
}
