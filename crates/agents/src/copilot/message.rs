//! What one speaker, the main agent or one of its helpers, is saying.

use crate::Out;
use crate::wire::unsaid;
use belay_trace::{Event, Reasoning, Text, TextRetracted, ToolId};
use std::collections::HashSet;

/// The response that is being written.
#[derive(Debug, Default)]
pub(super) struct Message {
    id: Option<String>,
    text: String,
    reasoning_id: Option<String>,
    reasoning: String,
    /// Calls of tools that have begun to be written.
    pub(super) begun: HashSet<String>,
    /// It broke off, and the same request is made again.
    pub(super) again: bool,
}

impl Message {
    /// A piece of text of the message with this id.
    pub(super) fn text(
        &mut self,
        id: Option<String>,
        text: String,
        parent: Option<&ToolId>,
        out: &mut Out,
    ) {
        if self.id != id {
            (self.id, self.text) = (id, String::new());
        }
        if !text.is_empty() {
            self.text.push_str(&text);
            let message_id = self.id.clone();
            out.event_under(parent.cloned(), Event::Text(Text { text, message_id }));
        }
    }

    /// The whole text, of which most was said.
    pub(super) fn whole_text(
        &mut self,
        id: Option<String>,
        text: String,
        parent: Option<&ToolId>,
        out: &mut Out,
    ) {
        let said = if self.id == id { self.text.as_str() } else { "" };
        let rest = unsaid(text, said);
        self.text(id, rest, parent, out);
    }

    /// A piece of reasoning. It has an id of its own, and no message has begun yet.
    pub(super) fn reasoning(
        &mut self,
        id: Option<String>,
        reasoning: String,
        parent: Option<&ToolId>,
        out: &mut Out,
    ) {
        if self.reasoning_id != id {
            (self.reasoning_id, self.reasoning) = (id, String::new());
        }
        if !reasoning.is_empty() {
            self.reasoning.push_str(&reasoning);
            let message_id = self.reasoning_id.clone();
            let event = Event::Reasoning(Reasoning { reasoning, message_id });
            out.event_under(parent.cloned(), event);
        }
    }

    /// The whole reasoning, of which most was said.
    pub(super) fn whole_reasoning(
        &mut self,
        id: Option<String>,
        reasoning: String,
        parent: Option<&ToolId>,
        out: &mut Out,
    ) {
        let said = if self.reasoning_id == id { self.reasoning.as_str() } else { "" };
        let rest = unsaid(reasoning, said);
        self.reasoning(id, rest, parent, out);
    }

    /// What was said is void: the same request is made again.
    pub(super) fn retract(&mut self, parent: Option<&ToolId>, out: &mut Out) {
        let said = std::mem::take(self);
        let mut void = |message_id, text| {
            let event = Event::TextRetracted(TextRetracted { message_id, text });
            out.event_under(parent.cloned(), event);
        };
        if !said.text.is_empty() {
            void(said.id, said.text);
        }
        // It has an id of its own.
        if !said.reasoning.is_empty() {
            void(said.reasoning_id, String::new());
        }
        self.again = true;
    }

    /// True if pieces of the message with this id have come.
    pub(super) fn has_begun(&self, id: Option<&str>) -> bool {
        self.id.as_deref() == id && !self.text.is_empty()
    }

    /// The text so far.
    pub(super) fn so_far(&self) -> &str {
        &self.text
    }
}
