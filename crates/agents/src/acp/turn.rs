//! What the model says in one turn, message by message.
//!
//! A message ends where its agent says so: by another `messageId`, or by the end of a response. Where an agent says
//! neither, what comes after a tool is another message. Until the next tool returns, the words of an earlier id are
//! added to its message, so interleaved messages are whole, and the last one that began is the answer.

use crate::Out;
use belay_trace::{Event, Reasoning, Text, TextRetracted, TurnStarted};

/// The turn that runs.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// The model is in the middle of a message.
    responding: bool,
    responses: u64,
    /// The agent's own id of the message, if its words have one.
    text_id: Option<String>,
    /// The same of its thoughts: some agents count these apart.
    thought_id: Option<String>,
    /// What the message has said so far.
    text: String,
    /// A tool has returned since its last word: what another response says with its id is not added to it.
    is_sealed: bool,
    /// The messages before it that have words, back to the last tool.
    earlier: Vec<Message>,
    /// The last words before those.
    reached: String,
    /// The answer when the agent said that the turn was over.
    stood: String,
    /// The model has said something since the last tool.
    has_said: bool,
    /// What was said last.
    last: String,
    /// It is all that the message has said.
    is_alone: bool,
    /// A tool was called.
    pub(super) acted: bool,
    /// One was called since the last word, and nothing says that the same response goes on.
    called: bool,
    /// The agent says itself where each response ends.
    pub(super) ends_are_told: bool,
    pub(super) model: Option<String>,
}

/// A message that another one came behind.
#[derive(Debug)]
struct Message {
    id: Option<String>,
    text: String,
}

impl Turn {
    /// The turn of an agent that says itself where each response ends, or does not.
    pub(super) fn new(ends_are_told: bool) -> Self {
        Self { ends_are_told, ..Self::default() }
    }

    /// True if the model has done anything in it.
    pub(super) fn has_begun(&self) -> bool {
        self.responding || self.acted || self.has_said
    }

    /// Takes words of the message with this id, if the agent gives ids.
    pub(super) fn text(&mut self, text: String, id: Option<&str>, out: &mut Out) {
        if text.is_empty() {
            return;
        }
        if let Some(id) = id
            && let Some(message) = self.earlier_message(id)
        {
            message.text.push_str(&text);
            self.has_said = true;
            out.event(Event::Text(Text { text, message_id: Some(id.to_owned()) }));
            return;
        }
        let had_no_id = self.text_id.is_none() && !self.text.is_empty();
        self.end_by_call(id);
        if id.is_some() && (differ(id, self.text_id.as_deref()) || had_no_id) {
            self.response_ended();
        }
        self.respond(id, out);
        self.text_id = id.map(str::to_owned).or(self.text_id.take());
        let message_id = Some(self.message_id(self.text_id.as_deref()));
        (self.is_alone, self.last) = (self.text.is_empty(), text.clone());
        self.text.push_str(&text);
        (self.has_said, self.is_sealed) = (true, false);
        out.event(Event::Text(Text { text, message_id }));
    }

    /// Takes thoughts of the message with this id, if the agent gives ids.
    pub(super) fn reasoning(&mut self, reasoning: String, id: Option<&str>, out: &mut Out) {
        if reasoning.is_empty() {
            return;
        }
        self.end_by_call(id);
        if differ(id, self.thought_id.as_deref().or(self.text_id.as_deref())) {
            self.response_ended();
        }
        self.respond(id, out);
        self.thought_id = id.map(str::to_owned).or(self.thought_id.take());
        let message_id = Some(self.message_id(self.thought_id.as_deref()));
        out.event(Event::Reasoning(Reasoning { reasoning, message_id }));
    }

    /// True if the agent has given the message's words an id.
    pub(super) fn has_id(&self) -> bool {
        self.responding && self.text_id.is_some()
    }

    /// Words of the agent's own, which are none of the message's.
    pub(super) fn own_words(&mut self, words: String) {
        (self.is_alone, self.last) = (false, words);
    }

    /// A tool is called, which is part of a response too.
    pub(super) fn calls(&mut self, out: &mut Out) {
        (self.acted, self.has_said) = (true, false);
        self.respond(None, out);
        self.called = true;
    }

    /// What comes behind a call is of another response, also where no end of the call is told.
    fn end_by_call(&mut self, id: Option<&str>) {
        if std::mem::take(&mut self.called) && id.is_none() && !self.ends_are_told {
            (self.responding, self.is_sealed) = (false, true);
        }
    }

    /// True if the turn had nothing but the words of one message.
    pub(super) fn is_one_message(&self) -> bool {
        !self.acted && self.earlier.is_empty() && self.reached.is_empty()
    }

    /// A tool has returned; words are wanted now.
    pub(super) fn tool_ended(&mut self) {
        (self.has_said, self.is_sealed, self.called) = (false, true, false);
        if let Some(last) = self.earlier.pop() {
            self.reached = last.text;
        }
        self.earlier.clear();
    }

    /// The agent says that the turn is over. What comes behind that may add to the answer, and takes nothing from it.
    pub(super) fn answered(&mut self) {
        self.stood = self.last_words().to_owned();
    }

    /// What comes next is of another message.
    pub(super) fn response_ended(&mut self) {
        self.responding = false;
    }

    /// What was said of the response is void: it is asked for once more.
    pub(super) fn response_broke_off(&mut self, out: &mut Out) {
        let text = std::mem::take(&mut self.text);
        if self.responding && !text.is_empty() {
            let message_id = Some(self.message_id(self.text_id.as_deref()));
            out.event(Event::TextRetracted(TextRetracted { text, message_id }));
        }
        (self.responding, self.has_said) = (false, false);
    }

    /// The last chunk, if nothing came after it.
    pub(super) fn last_chunk(&self) -> Option<&str> {
        self.has_said.then_some(self.last.as_str())
    }

    /// The same, if nothing else was said in its message.
    pub(super) fn last_alone(&self) -> Option<&str> {
        self.last_chunk().filter(|_| self.is_alone)
    }

    /// True if the model has had no last word.
    pub(super) fn is_silent(&self) -> bool {
        !self.has_said && self.stood.is_empty()
    }

    /// The answer: what the last message has said, and without an answer what was reached.
    pub(super) fn answer(&self, answered: bool) -> String {
        let words = match self.last_words() {
            words if answered || !words.trim().is_empty() => words,
            _ if !self.text.trim().is_empty() => &self.text,
            _ => self.earlier.last().map_or(&self.reached, |message| &message.text),
        };
        if words.trim().is_empty() { self.stood.clone() } else { words.to_owned() }
    }

    /// What the last message has said that has words. Nothing, if a tool came behind it.
    fn last_words(&self) -> &str {
        let earlier = self.earlier.last().filter(|_| self.text.trim().is_empty());
        match earlier {
            _ if !self.has_said => "",
            // Thoughts may be all that there is of the message that began behind it.
            Some(message) => &message.text,
            None => &self.text,
        }
    }

    /// The message with this id, if another one came behind it.
    fn earlier_message(&mut self, id: &str) -> Option<&mut Message> {
        if self.responding && self.text_id.as_deref() == Some(id) {
            return None;
        }
        self.earlier.iter_mut().rfind(|message| message.id.as_deref() == Some(id))
    }

    /// The next turn begins.
    pub(super) fn begin(&mut self) {
        let (responses, model) = (self.responses, self.model.take());
        *self = Self { responses, model, ..Self::new(self.ends_are_told) };
    }

    /// Begins a message, if none has begun.
    fn respond(&mut self, id: Option<&str>, out: &mut Out) {
        if self.responding {
            return;
        }
        self.responding = true;
        self.responses += 1;
        let (id_before, text) = (self.text_id.take(), std::mem::take(&mut self.text));
        self.thought_id = None;
        match std::mem::take(&mut self.is_sealed) {
            _ if text.trim().is_empty() => {}
            true => self.reached = text,
            false => self.earlier.push(Message { id: id_before, text }),
        }
        out.event(Event::TurnStarted(TurnStarted {
            message_id: Some(self.message_id(id)),
            model: self.model.clone(),
        }));
    }

    /// The agent's own id, or a number of ours.
    fn message_id(&self, id: Option<&str>) -> String {
        id.map_or_else(|| self.responses.to_string(), str::to_owned)
    }
}

/// True if both are ids, and not the same.
fn differ(id: Option<&str>, known: Option<&str>) -> bool {
    id.zip(known).is_some_and(|(id, known)| id != known)
}
