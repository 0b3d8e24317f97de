//! What Claude Code runs on behind its turns: subagents by default, commands on request.
//!
//! Claude tells it twice: `background_tasks_changed` has the whole list and replaces what was known, the `task_*`
//! lines tell each task's beginning, progress and end. The list counts where there is one; older versions have the
//! lines alone. Facts and their source are in `docs/agents/claude-code.md`.

use super::wire::{ListedTask, SubagentStats, System};
use crate::protocol::Out;
use belay_trace::{BackgroundTask, BackgroundTasks, Event, TaskKind, ToolId};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How many tasks are known at once: more than a machine can run.
const TASKS_MAX: usize = 10_000;

/// How many of them are told at each change, and the others as a number: more than anybody looks at, and few enough
/// to tell again and again.
const TOLD_MAX: usize = 100;

/// The tasks of one conversation.
#[derive(Debug, Default)]
pub(super) struct Background {
    /// Those that have begun and not ended, in the order of their beginnings.
    tasks: BTreeMap<u64, Known>,
    /// Their places in it, by their ids.
    places: HashMap<String, u64>,
    /// How many of them are in the background.
    open: usize,
    /// How many have begun.
    begun: u64,
    /// A task was told of, so that the counts of the result say nothing new.
    has_told_tasks: bool,
    /// A task has ended since the last turn began: Claude is about to take a turn for it.
    has_ended: bool,
    /// The turn is over, and these tasks alone are waited for.
    waiting: bool,
    /// What was emitted last.
    told: BackgroundTasks,
}

#[derive(Debug)]
struct Known {
    task: BackgroundTask,
    /// In the background, or in the foreground, where the call that started it waits; not every version says so.
    is_background: Option<bool>,
    /// It is a call that has outlived its turn, of which no list knows.
    is_call: bool,
}

impl Background {
    /// A task has begun.
    pub(super) fn started(&mut self, line: &System) {
        let Some(id) = line.task_id.as_ref().filter(|_| !line.ambient) else { return };
        self.has_told_tasks = true;
        let Some(known) = self.known(id) else { return };
        known.task.task_kind = kind(line.task_type.as_deref());
        known.task.description = line.description.clone().unwrap_or_default();
        known.task.tool_id = line.tool_use_id.clone().map(ToolId);
        known.task.parent_task_id.clone_from(&line.parent_task_id);
        // The list may have named it before.
        let is_background = known.is_background.filter(|is| *is).or(line.is_backgrounded);
        self.place(id, is_background);
    }

    /// True if the task of this line is known.
    pub(super) fn knows(&self, line: &System) -> bool {
        line.task_id.as_ref().is_some_and(|id| self.places.contains_key(id))
    }

    /// Something about a task has changed.
    pub(super) fn updated(&mut self, line: &System) {
        let (Some(id), Some(patch)) = (&line.task_id, &line.patch) else { return };
        if matches!(patch.status.as_deref(), Some("completed" | "failed" | "killed" | "stopped")) {
            self.ended(id);
        } else if patch.is_backgrounded.is_some() {
            self.place(id, patch.is_backgrounded);
        }
    }

    /// A task has ended, and Claude is told.
    pub(super) fn notified(&mut self, line: &System) {
        if let Some(id) = &line.task_id {
            self.ended(id);
        }
    }

    /// The whole list.
    pub(super) fn listed(&mut self, list: &[ListedTask]) {
        self.has_told_tasks = true;
        // A watch of Claude's own is nothing to wait for, nor is what runs on another machine.
        let list: Vec<_> = list.iter().filter(|task| !task.ambient && !task.off_host).collect();
        let ids: HashSet<&str> = list.iter().map(|task| task.task_id.as_str()).collect();
        let before = self.tasks.len();
        self.retain(|known| {
            known.is_background != Some(true)
                || known.is_call
                || ids.contains(known.task.task_id.as_str())
        });
        self.has_ended |= self.tasks.len() < before;
        for task in list {
            let Some(known) = self.known(&task.task_id) else { return };
            known.task.task_kind = kind(task.task_type.as_deref());
            known.task.description.clone_from(&task.description);
            known.task.parent_task_id.clone_from(&task.parent_task_id);
            self.place(&task.task_id, Some(true));
        }
    }

    /// A call of the turn that has just ended has not returned. True if that is all that is known of it.
    pub(super) fn call_stays(&mut self, id: &str, name: &str) -> bool {
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
    pub(super) fn call_returned(&mut self, id: &str) -> bool {
        let known = self.places.get(id).and_then(|place| self.tasks.get(place));
        known.is_some_and(|known| known.is_call) && self.ended(id)
    }

    /// Nothing is open but calls of turns that are over.
    pub(super) fn has_only_calls(&self) -> bool {
        self.tasks.values().all(|known| known.is_call || known.is_background != Some(true))
    }

    /// A turn has begun.
    pub(super) fn turn_began(&mut self) {
        (self.has_ended, self.waiting) = (false, false);
    }

    /// The turn is over; what its calls waited for is, too. The counts of the result stand for versions that tell
    /// of no tasks.
    pub(super) fn turn_ended(&mut self, stats: Option<&SubagentStats>) {
        self.retain(|known| known.is_background != Some(false));
        self.tasks.values_mut().for_each(|known| known.is_background = Some(true));
        self.open = self.tasks.len();
        if let (Some(stats), false) = (stats, self.has_told_tasks) {
            self.retain(|_| false);
            let count = stats.open();
            if let Some(known) = (count > 0).then(|| self.known("subagents")).flatten() {
                known.task.task_kind = TaskKind::Subagent;
                known.task.description = format!("{count} in the background");
                self.place("subagents", Some(true));
            }
        }
        self.waiting = self.is_open();
    }

    /// The turn is over as far as the model is concerned; its result comes when the tasks have ended.
    pub(super) fn turn_waits(&mut self) {
        self.waiting = self.is_open();
    }

    /// The turn is over, and tasks are waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.told.waiting
    }

    /// There was a task.
    pub(super) fn has_begun(&self) -> bool {
        self.has_told_tasks
    }

    /// Something is open in the background.
    pub(super) fn is_open(&self) -> bool {
        self.open > 0
    }

    /// A task has ended since the last turn began.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The ids of the open tasks that are no subagents.
    pub(super) fn others(&self) -> Vec<String> {
        let others = self.open().filter(|task| task.task_kind != TaskKind::Subagent);
        others.map(|task| task.task_id.clone()).collect()
    }

    /// Tells what is open, if that has changed.
    pub(super) fn tell(&mut self, out: &mut Out) {
        let tasks: Vec<_> = self.open().take(TOLD_MAX).cloned().collect();
        let more = (self.open - tasks.len()) as u64;
        let waiting = self.waiting && !tasks.is_empty();
        let now = BackgroundTasks { tasks, more, waiting };
        if now != self.told {
            self.told.clone_from(&now);
            out.event(Event::BackgroundTasks(now));
        }
    }

    fn open(&self) -> impl Iterator<Item = &BackgroundTask> {
        let open = self.tasks.values().filter(|known| known.is_background == Some(true));
        open.map(|known| &known.task)
    }

    /// The task with this id, which may be new; `None` if there are too many.
    fn known(&mut self, id: &str) -> Option<&mut Known> {
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
    fn place(&mut self, id: &str, is_background: Option<bool>) {
        let place = self.places.get(id);
        let Some(known) = place.and_then(|place| self.tasks.get_mut(place)) else { return };
        let before = std::mem::replace(&mut known.is_background, is_background);
        self.open += usize::from(is_background == Some(true));
        self.open -= usize::from(before == Some(true));
    }

    fn ended(&mut self, id: &str) -> bool {
        let known = self.places.remove(id).and_then(|place| self.tasks.remove(&place));
        if let Some(known) = &known {
            self.open -= usize::from(known.is_background == Some(true));
            self.has_ended |= known.is_background != Some(false);
        }
        known.is_some()
    }

    fn retain(&mut self, keep: impl Fn(&Known) -> bool) {
        let (places, open) = (&mut self.places, &mut self.open);
        self.tasks.retain(|_, known| {
            let is_kept = keep(known);
            if !is_kept {
                places.remove(&known.task.task_id);
                *open -= usize::from(known.is_background == Some(true));
            }
            is_kept
        });
    }
}

/// What a task is, by Claude's word for it (the types of 2.1.329).
fn kind(task_type: Option<&str>) -> TaskKind {
    match task_type {
        // A version that does not say it has subagents alone.
        None | Some("local_agent" | "remote_agent" | "in_process_teammate" | "local_workflow") => {
            TaskKind::Subagent
        }
        Some("local_bash" | "monitor_ws" | "monitor_mcp") => TaskKind::Command,
        Some(_) => TaskKind::Other,
    }
}
