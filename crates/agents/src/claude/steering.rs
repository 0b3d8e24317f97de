//! What the caller says to a running turn: Claude tells of each message that has an id when it takes it in, and when
//! it drops it (`command_lifecycle`).

use super::wire::Lifecycle;
use crate::Out;
use belay_trace::Event;

/// Messages that Claude has received and not taken in yet.
#[derive(Debug, Default)]
pub(super) struct Steering {
    /// An id that no other process of Claude's has: that of its first line.
    seed: Option<u128>,
    /// How many messages have an id of ours.
    count: u128,
    waiting: Vec<Steer>,
}

#[derive(Debug)]
struct Steer {
    text: String,
    id: Option<String>,
    /// Claude has it, and says what becomes of it.
    is_told: bool,
}

impl Steering {
    /// Learns what ids can be made of.
    pub(super) fn init(&mut self, line_id: Option<&str>) {
        let parse = |id: &str| u128::from_str_radix(&id.replace('-', ""), 16).ok();
        self.seed = self.seed.or(line_id.and_then(parse));
    }

    /// The id of the next message. A driver knows neither a clock nor chance, and Claude takes an id that its
    /// session knows for a repetition: so it is made of one that Claude itself has drawn.
    pub(super) fn send(&mut self, text: &str) -> Option<String> {
        let id = self.seed.map(|seed| {
            self.count += 1;
            id_of(seed.wrapping_add(self.count))
        });
        self.waiting.push(Steer { text: text.to_owned(), id: id.clone(), is_told: false });
        id
    }

    /// Takes what Claude says of a message.
    pub(super) fn lifecycle(&mut self, line: &Lifecycle<'_>, out: &mut Out) {
        let is_it = |steer: &Steer| steer.id.as_deref() == Some(&*line.command_uuid);
        let Some(at) = self.waiting.iter().position(is_it) else { return };
        match &*line.state {
            "started" | "completed" => out.event(Event::steered(self.waiting.remove(at).text)),
            "cancelled" | "discarded" => {
                let reason = "the agent was stopped before it took the message in";
                out.event(Event::not_steered(self.waiting.remove(at).text, reason));
            }
            _ => self.waiting[at].is_told = true,
        }
    }

    /// True if a message waits that could begin another turn.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Claude is gone, and was not stopped: what it has never spoken of it has read, in a version that tells nothing.
    pub(super) fn end(&mut self, out: &mut Out) {
        for steer in self.waiting.drain(..).filter(|steer| !steer.is_told) {
            out.event(Event::steered(steer.text));
        }
    }
}

/// In the usual form, `8-4-4-4-12`.
fn id_of(number: u128) -> String {
    let hex = format!("{number:032x}");
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}
