//! Whose turn it is: the run's own, or another one of the same thread.
//!
//! Codex carries out one turn of a thread at a time and names it in all that it says of it. Another than the run's
//! is one that somebody else has begun, or Codex itself. It is shown and paid for; it is neither the run's answer nor
//! its end, and the run is not over while it goes on.

use super::items::{Item, Items, Sort};

/// The turns of the thread.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The turn that the run has asked for, once its id is known.
    ours: Option<String>,
    others: Vec<Other>,
}

/// A turn that the run has not asked for.
#[derive(Debug, Default)]
pub(super) struct Other {
    id: String,
    pub(super) items: Items,
    is_open: bool,
    is_responding: bool,
}

impl Turns {
    /// The server says which turn the run's request has begun.
    pub(super) fn asked_for(&mut self, id: &str) {
        if !id.is_empty() {
            self.others.retain(|other| other.id != id);
            self.ours = Some(id.to_owned());
        }
    }

    /// A turn begins; true if it is the run's own: the one that it has asked for, or the first that is heard of.
    pub(super) fn started(&mut self, id: &str) -> bool {
        let is_ours = self.ours.get_or_insert_with(|| id.to_owned()) == id;
        if !is_ours {
            self.other(id).is_open = true;
        }
        is_ours
    }

    /// True for a turn that is not the run's own.
    pub(super) fn is_other(&self, id: &str) -> bool {
        !id.is_empty() && self.ours.as_deref().is_some_and(|ours| ours != id)
    }

    /// Another turn, as far as it was heard of.
    pub(super) fn other(&mut self, id: &str) -> &mut Other {
        let at = self.others.iter().position(|other| other.id == id).unwrap_or_else(|| {
            self.others.push(Other { id: id.to_owned(), ..Other::default() });
            self.others.len() - 1
        });
        &mut self.others[at]
    }

    /// True while another turn goes on.
    pub(super) fn is_other_open(&self) -> bool {
        self.others.iter().any(|other| other.is_open)
    }

    /// Another turn is over.
    pub(super) fn other_ended(&mut self, id: &str) {
        self.other(id).is_open = false;
    }

    /// The run's turn is over, and the next one, of a stream that was saved, is not known yet.
    pub(super) fn ended(&mut self) {
        self.ours = None;
        self.others.clear();
    }
}

impl Other {
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// True if a response begins with this item.
    pub(super) fn responds(&mut self, item: &Item<'_>) -> bool {
        let is_of_model = matches!(item.sort(), Sort::Words | Sort::Tool);
        is_of_model && !std::mem::replace(&mut self.is_responding, true)
    }

    pub(super) fn response_ended(&mut self) {
        self.is_responding = false;
    }
}
