//! What an agent runs on behind its turns: subagents, and commands. One mechanism for every driver, which tells what
//! begins and ends in its own protocol.

use crate::protocol::Out;
use belay_trace::{BackgroundTask, BackgroundTasks, Event, TaskKind, ToolId};
use std::collections::{BTreeMap, HashMap};

/// How many tasks are known at once: more than a machine can run.
const TASKS_MAX: usize = 10_000;

/// How many of them are told at each change, and the others as a number: more than anybody looks at, and few enough
/// to tell again and again.
const TOLD_MAX: usize = 100;

/// The tasks of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Background {
    /// Those that have begun and not ended, in the order of their beginnings.
    tasks: BTreeMap<u64, Known>,
    /// Their places in it, by their ids.
    places: HashMap<String, u64>,
    /// How many of them are in the background.
    open: usize,
    /// How many have begun.
    begun: u64,
    /// A task was told of.
    pub(crate) has_told_tasks: bool,
    /// A task has ended since the last turn began: the agent may be about to take a turn for it.
    pub(crate) has_ended: bool,
    /// The turn is over, and these tasks alone are waited for.
    waiting: bool,
    /// What was emitted last.
    told: BackgroundTasks,
}

/// A task that has begun and not ended.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) task: BackgroundTask,
    /// In the background, or in the foreground, where the call that started it waits; not every version says so.
    pub(crate) is_background: Option<bool>,
    /// It is a call that has outlived its turn, of which no list knows.
    pub(crate) is_call: bool,
}

impl Background {
    /// A task works, which may be new and may be in the list already. Nothing waits for it but the end of the run.
    pub(crate) fn works(&mut self, task: BackgroundTask) {
        self.has_told_tasks = true;
        let id = task.task_id.clone();
        let Some(known) = self.known(&id) else { return };
        known.task = task;
        self.place(&id, Some(true));
    }

    /// A task has ended. True if it was known.
    pub(crate) fn ended(&mut self, id: &str) -> bool {
        let known = self.places.remove(id).and_then(|place| self.tasks.remove(&place));
        if let Some(known) = &known {
            self.open -= usize::from(known.is_background == Some(true));
            self.has_ended |= known.is_background != Some(false);
        }
        known.is_some()
    }

    /// A call of the turn that has just ended has not returned. True if that is all that is known of it.
    pub(crate) fn call_stays(&mut self, id: &str, name: &str) -> bool {
        let is_of_task = |known: &Known| known.task.tool_id.as_ref().is_some_and(|of| of.0 == id);
        if self.tasks.values().any(is_of_task) {
            return false;
        }
        let Some(known) = self.known(id) else { return false };
        known.task.task_kind = TaskKind::Command;
        known.task.description = name.to_owned();
        known.task.tool_id = Some(ToolId::from(id));
        known.is_call = true;
        self.place(id, Some(true));
        self.waiting = true;
        true
    }

    /// A call has returned. True if it has outlived its turn.
    pub(crate) fn call_returned(&mut self, id: &str) -> bool {
        let known = self.places.get(id).and_then(|place| self.tasks.get(place));
        known.is_some_and(|known| known.is_call) && self.ended(id)
    }

    /// Nothing is open but calls of turns that are over.
    pub(crate) fn has_only_calls(&self) -> bool {
        self.tasks.values().all(|known| known.is_call || known.is_background != Some(true))
    }

    /// A turn has begun.
    pub(crate) fn turn_began(&mut self) {
        (self.has_ended, self.waiting) = (false, false);
    }

    /// The turn is over; what its calls waited for is, too.
    pub(crate) fn turn_ended(&mut self) {
        self.retain(|known| known.is_background != Some(false));
        self.tasks.values_mut().for_each(|known| known.is_background = Some(true));
        self.open = self.tasks.len();
        self.waiting = self.is_open();
    }

    /// The turn is over as far as the model is concerned; its result comes when the tasks have ended.
    pub(crate) fn turn_waits(&mut self) {
        self.waiting = self.is_open();
    }

    /// The turn is over, and tasks are waited for.
    pub(crate) fn is_waiting(&self) -> bool {
        self.told.waiting
    }

    /// There was a task.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_told_tasks
    }

    /// Something is open in the background.
    pub(crate) fn is_open(&self) -> bool {
        self.open > 0
    }

    /// A task has ended since the last turn began.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Tells what is open, if that has changed.
    pub(crate) fn tell(&mut self, out: &mut Out) {
        let tasks: Vec<_> = self.open().take(TOLD_MAX).cloned().collect();
        let more = (self.open - tasks.len()) as u64;
        let waiting = self.waiting && !tasks.is_empty();
        let now = BackgroundTasks { tasks, more, waiting };
        if now != self.told {
            self.told.clone_from(&now);
            out.event(Event::BackgroundTasks(now));
        }
    }

    /// The tasks that are open in the background.
    pub(crate) fn open(&self) -> impl Iterator<Item = &BackgroundTask> {
        let open = self.tasks.values().filter(|known| known.is_background == Some(true));
        open.map(|known| &known.task)
    }

    /// True if the task with this id has begun and not ended.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }

    /// The task with this id, which may be new; `None` if there are too many. `place` alone says where it runs.
    pub(crate) fn known(&mut self, id: &str) -> Option<&mut Known> {
        let known = self.places.get(id).copied();
        if known.is_none() && self.tasks.len() >= TASKS_MAX {
            return None;
        }
        let place = known.unwrap_or_else(|| {
            self.begun += 1;
            self.places.insert(id.to_owned(), self.begun);
            let task = BackgroundTask { task_id: id.to_owned(), ..BackgroundTask::default() };
            let new = Known { task, is_background: None, is_call: false };
            self.tasks.insert(self.begun, new);
            self.begun
        });
        self.tasks.get_mut(&place)
    }

    /// Says whether a known task is in the background.
    pub(crate) fn place(&mut self, id: &str, is_background: Option<bool>) {
        let place = self.places.get(id);
        let Some(known) = place.and_then(|place| self.tasks.get_mut(place)) else { return };
        let before = std::mem::replace(&mut known.is_background, is_background);
        self.open += usize::from(is_background == Some(true));
        self.open -= usize::from(before == Some(true));
    }

    /// Forgets the other tasks. True if there were some.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Known) -> bool) -> bool {
        let before = self.tasks.len();
        let (places, open) = (&mut self.places, &mut self.open);
        self.tasks.retain(|_, known| {
            let is_kept = keep(known);
            if !is_kept {
                places.remove(&known.task.task_id);
                *open -= usize::from(known.is_background == Some(true));
            }
            is_kept
        });
        self.tasks.len() < before
    }
}
