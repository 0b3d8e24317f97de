//! Which turn a message is about: the run's own, or another turn of the same thread.
//!
//! Every notification of Codex names its turn. A turn that the run has not asked for was started by another client or
//! by Codex itself. It is shown and counted, but it is neither the run's answer nor its end, and the run is not over
//! while that turn is running.

use super::items::{Item, Items, Sort};

/// The turns of the thread.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The turn the run has asked for, once its id is known.
    ours: Option<String>,
    others: Vec<Other>,
}

/// A turn the run has not asked for.
#[derive(Debug, Default)]
pub(super) struct Other {
    id: String,
    pub(super) items: Items,
    is_open: bool,
    is_responding: bool,
}

impl Turns {
    /// Takes the id of the turn that the run's request started.
    pub(super) fn asked_for(&mut self, id: &str) {
        if !id.is_empty() {
            self.others.retain(|other| other.id != id);
            self.ours = Some(id.to_owned());
        }
    }

    /// Returns the id of the run's own turn, if it is known.
    pub(super) fn own(&self) -> Option<&str> {
        self.ours.as_deref()
    }

    /// Notes that a turn started. Returns true if it is the run's own: the one it asked for, or else the first one.
    pub(super) fn started(&mut self, id: &str) -> bool {
        if id.is_empty() {
            return true;
        }
        let is_ours = self.ours.get_or_insert_with(|| id.to_owned()) == id;
        if !is_ours {
            self.other(id).is_open = true;
        }
        is_ours
    }

    /// Returns true for a turn that is not the run's own.
    pub(super) fn is_other(&self, id: &str) -> bool {
        !id.is_empty() && self.ours.as_deref().is_some_and(|ours| ours != id)
    }

    /// Returns the state of another turn.
    pub(super) fn other(&mut self, id: &str) -> &mut Other {
        let at = self.others.iter().position(|other| other.id == id).unwrap_or_else(|| {
            self.others.push(Other { id: id.to_owned(), ..Other::default() });
            self.others.len() - 1
        });
        &mut self.others[at]
    }

    /// Returns true while another turn is running.
    pub(super) fn is_other_open(&self) -> bool {
        self.others.iter().any(|other| other.is_open)
    }

    /// Notes that another turn is over.
    pub(super) fn other_ended(&mut self, id: &str) {
        self.other(id).is_open = false;
    }

    /// Forgets the run's turn, which is over: a saved stream may hold another one.
    pub(super) fn ended(&mut self) {
        self.ours = None;
        self.others.clear();
    }
}

impl Other {
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Returns true if a response begins with this item.
    pub(super) fn responds(&mut self, item: &Item<'_>) -> bool {
        let is_of_model = matches!(item.sort(), Sort::Words | Sort::Tool);
        is_of_model && !std::mem::replace(&mut self.is_responding, true)
    }

    pub(super) fn response_ended(&mut self) {
        self.is_responding = false;
    }
}
