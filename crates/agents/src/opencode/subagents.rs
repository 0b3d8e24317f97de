//! The sessions of OpenCode's subagents, and the calls that have begun them.

use super::parts::{Delegated, Parts};
use belay_trace::ToolId;
use std::collections::{HashMap, HashSet};

/// The subagents of one run, by their sessions.
#[derive(Debug, Default)]
pub(super) struct Subagents {
    parts: HashMap<String, Parts>,
    /// Those that are at work.
    busy: HashSet<String>,
}

impl Subagents {
    pub(super) fn knows(&self, session: &str) -> bool {
        self.parts.contains_key(session)
    }

    /// A subagent's session says whether it has something to do.
    pub(super) fn works(&mut self, session: &str, is_busy: bool) {
        if is_busy {
            self.busy.insert(session.to_owned());
        } else {
            self.busy.remove(session);
        }
    }

    /// The server says of each whether it has something to do.
    pub(super) fn all_work(&mut self, is_busy: impl Fn(&str) -> bool) {
        self.busy = self.parts.keys().filter(|session| is_busy(session)).cloned().collect();
    }

    /// True if there are any.
    pub(super) fn any(&self) -> bool {
        !self.parts.is_empty()
    }

    /// True if one of them is at work.
    pub(super) fn are_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// What a subagent's session has said; `None` if the session is no subagent's of this run.
    pub(super) fn parts_of(&mut self, session: &str) -> Option<&mut Parts> {
        self.parts.get_mut(session)
    }

    /// A session was opened for a subagent; until its call is known, it goes by its own name.
    pub(super) fn created(&mut self, session: String, main: &Parts) {
        let call = ToolId::from(session.as_str());
        self.parts.entry(session).or_insert_with(|| main.of_subagent(call));
    }

    /// A call has set a subagent to work, perhaps one that has worked before.
    pub(super) fn delegated(&mut self, (session, call): Delegated, main: &Parts) {
        let parts = self.parts.entry(session).or_insert_with(|| main.of_subagent(call.clone()));
        parts.under = Some(call);
    }
}
