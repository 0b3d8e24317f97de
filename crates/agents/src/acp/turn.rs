//! What the model says in one turn, response by response.

use crate::Out;
use belay_trace::{Event, Reasoning, Text, TextRetracted, TurnStarted};

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
    /// The model has said something since the last tool.
    has_said: bool,
    /// What was said last.
    last: String,
    /// It is all that the response has said.
    is_alone: bool,
    /// A tool was called.
    pub(super) acted: bool,
    pub(super) model: Option<String>,
}

impl Turn {
    /// True if the model has done anything in it.
    pub(super) fn has_begun(&self) -> bool {
        self.responding || self.acted || self.has_said
    }

    pub(super) fn text(&mut self, text: String, out: &mut Out) {
        if text.is_empty() {
            return;
        }
        let message_id = Some(self.respond(out));
        (self.is_alone, self.last) = (self.text.is_empty(), text.clone());
        self.text.push_str(&text);
        self.has_said = true;
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
        (self.acted, self.has_said) = (true, false);
        self.respond(out);
    }

    /// A tool has returned; words are wanted now.
    pub(super) fn tool_ended(&mut self) {
        self.has_said = false;
    }

    /// What comes next is of another response.
    pub(super) fn response_ended(&mut self) {
        self.responding = false;
    }

    /// What was said of the response is void: it is asked for once more.
    pub(super) fn response_broke_off(&mut self, out: &mut Out) {
        let text = std::mem::take(&mut self.text);
        if self.responding && !text.is_empty() {
            let message_id = Some(self.responses.to_string());
            out.event(Event::TextRetracted(TextRetracted { text, message_id }));
        }
        (self.responding, self.has_said) = (false, false);
    }

    /// The last chunk, if nothing came behind it.
    pub(super) fn last_chunk(&self) -> Option<&str> {
        self.has_said.then_some(self.last.as_str())
    }

    /// The same, if nothing else was said in its response.
    pub(super) fn last_alone(&self) -> Option<&str> {
        self.last_chunk().filter(|_| self.is_alone)
    }

    /// True if the model has had no last word.
    pub(super) fn is_silent(&self) -> bool {
        !self.has_said
    }

    /// The answer: what the last response has said, and without an answer what was reached.
    pub(super) fn answer(&mut self, answered: bool) -> String {
        let (text, reached) = (std::mem::take(&mut self.text), std::mem::take(&mut self.reached));
        match answered {
            true if self.has_said => text,
            true => String::new(),
            false if text.is_empty() => reached,
            false => text,
        }
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
