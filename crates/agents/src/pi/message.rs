//! The model's message while it is written.

use super::tools;
use super::wire::{Block, Update};
use crate::Out;
use crate::wire::unsaid;
use belay_trace::{Event, Reasoning, Text, TextRetracted, ToolCallDelta, ToolCallStart, ToolId};
use std::collections::BTreeMap;

/// A message and what was said of it so far. Pi gives it no id before its end; the time at which it began
/// serves as one.
#[derive(Debug, Default)]
pub(super) struct Message {
    id: String,
    blocks: BTreeMap<u64, Said>,
}

/// What was said of one block.
#[derive(Debug, Default)]
struct Said {
    text: String,
    reasoning: String,
    tool: Option<(ToolId, String)>,
}

impl Message {
    pub(super) fn new(id: String) -> Self {
        Self { id, blocks: BTreeMap::new() }
    }

    /// True if something was said that a reader would have to forget.
    pub(super) fn has_words(&self) -> bool {
        self.blocks.values().any(|said| !said.text.is_empty() || !said.reasoning.is_empty())
    }

    /// True if the model is known to have written anything at all.
    pub(super) fn has_begun(&self) -> bool {
        self.has_words() || self.blocks.values().any(|said| said.tool.is_some())
    }

    /// The text so far.
    pub(super) fn text(&self) -> String {
        self.blocks.values().map(|said| said.text.as_str()).collect()
    }

    /// Takes a piece; `None` if it is of a kind that is not known.
    pub(super) fn update(&mut self, update: Update<'_>, out: &mut Out) -> Option<()> {
        let index = update.content_index;
        match update.kind.as_ref() {
            "text_delta" => self.text_piece(index, update.delta?, out),
            "text_end" => self.whole_text(index, update.content?, out),
            "thinking_delta" => self.reasoning_piece(index, update.delta?, out),
            "thinking_end" => self.whole_reasoning(index, update.content?, out),
            "toolcall_start" => {
                let (tool_id, name) = (ToolId(update.id?), tools::name(&update.tool_name?));
                self.blocks.entry(index).or_default().tool = Some((tool_id.clone(), name.clone()));
                out.event(Event::ToolCallStart(ToolCallStart { tool_id: Some(tool_id), name }));
            }
            "toolcall_delta" => {
                let args = update.delta?;
                // A call whose beginning was unreadable has no name yet.
                let tool = self.blocks.get(&index).and_then(|said| said.tool.clone());
                let (tool_id, name) = tool.map(|(id, name)| (Some(id), name)).unwrap_or_default();
                // Each call begins with an empty piece.
                if !args.is_empty() {
                    out.event(Event::ToolCallDelta(ToolCallDelta { tool_id, name, args }));
                }
            }
            // Beginnings and ends whose words stand in other lines.
            "start" | "text_start" | "thinking_start" | "toolcall_end" | "done" | "error" => {}
            _ => return None,
        }
        Some(())
    }

    /// Takes the whole content at the message's end, of which most was said.
    pub(super) fn whole(&mut self, blocks: Vec<Block<'_>>, out: &mut Out) {
        for (index, block) in (0..).zip(blocks) {
            match (block.kind.as_deref(), block.text, block.thinking) {
                (Some("text"), Some(text), _) => self.whole_text(index, text, out),
                (Some("thinking"), _, Some(thinking)) => self.whole_reasoning(index, thinking, out),
                _ => {}
            }
        }
    }

    /// The message is void: it will be written again.
    pub(super) fn retract(self, out: &mut Out) {
        if self.has_words() {
            let text = self.text();
            out.event(Event::TextRetracted(TextRetracted { message_id: Some(self.id), text }));
        }
    }

    fn whole_text(&mut self, index: u64, text: String, out: &mut Out) {
        let said = self.blocks.get(&index).map_or("", |said| said.text.as_str());
        let rest = unsaid(text, said);
        self.text_piece(index, rest, out);
    }

    fn whole_reasoning(&mut self, index: u64, reasoning: String, out: &mut Out) {
        let said = self.blocks.get(&index).map_or("", |said| said.reasoning.as_str());
        let rest = unsaid(reasoning, said);
        self.reasoning_piece(index, rest, out);
    }

    fn text_piece(&mut self, index: u64, text: String, out: &mut Out) {
        if !text.is_empty() {
            self.blocks.entry(index).or_default().text.push_str(&text);
            out.event(Event::Text(Text { text, message_id: Some(self.id.clone()) }));
        }
    }

    fn reasoning_piece(&mut self, index: u64, reasoning: String, out: &mut Out) {
        if !reasoning.is_empty() {
            self.blocks.entry(index).or_default().reasoning.push_str(&reasoning);
            let message_id = Some(self.id.clone());
            out.event(Event::Reasoning(Reasoning { reasoning, message_id }));
        }
    }
}
