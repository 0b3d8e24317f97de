//! What an agent runs on behind its turns: subagents, and commands. One mechanism for every driver, which tells what
//! begins and ends in its own protocol.

use crate::protocol::Out;
use belay_trace::{BackgroundTask, BackgroundTasks, Event};

/// How many tasks are known at once: more than a machine can run, and few enough to tell again at each change.
const TASKS_MAX: usize = 1000;

/// The tasks of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Background {
    /// Those that have begun and not ended, in the order of their beginnings.
    pub(crate) tasks: Vec<Known>,
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
}

impl Background {
    /// A task works, which may be new and may be in the list already. Nothing waits for it but the end of the run.
    pub(crate) fn works(&mut self, task: BackgroundTask) {
        self.has_told_tasks = true;
        let Some(known) = self.known(&task.task_id) else { return };
        *known = Known { task, is_background: Some(true) };
    }

    /// A task has ended.
    pub(crate) fn ended(&mut self, id: &str) {
        let at = self.tasks.iter().position(|known| known.task.task_id == id);
        if let Some(known) = at.map(|at| self.tasks.remove(at)) {
            self.has_ended |= known.is_background != Some(false);
        }
    }

    /// A turn has begun.
    pub(crate) fn turn_began(&mut self) {
        (self.has_ended, self.waiting) = (false, false);
    }

    /// The turn is over; what its calls waited for is, too.
    pub(crate) fn turn_ended(&mut self) {
        self.tasks.retain(|known| known.is_background != Some(false));
        self.tasks.iter_mut().for_each(|known| known.is_background = Some(true));
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
        self.open().next().is_some()
    }

    /// A task has ended since the last turn began.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Tells what is open, if that has changed.
    pub(crate) fn tell(&mut self, out: &mut Out) {
        let tasks: Vec<_> = self.open().cloned().collect();
        let waiting = self.waiting && !tasks.is_empty();
        let now = BackgroundTasks { tasks, waiting };
        if now != self.told {
            self.told.clone_from(&now);
            out.event(Event::BackgroundTasks(now));
        }
    }

    /// The tasks that are open in the background.
    pub(crate) fn open(&self) -> impl Iterator<Item = &BackgroundTask> {
        let open = self.tasks.iter().filter(|known| known.is_background == Some(true));
        open.map(|known| &known.task)
    }

    /// The task with this id, which may be new; `None` if there are too many.
    pub(crate) fn known(&mut self, id: &str) -> Option<&mut Known> {
        let at = self.tasks.iter().position(|known| known.task.task_id == id);
        let at = at.unwrap_or(self.tasks.len());
        if at == self.tasks.len() && at < TASKS_MAX {
            let task = BackgroundTask { task_id: id.to_owned(), ..BackgroundTask::default() };
            self.tasks.push(Known { task, is_background: None });
        }
        self.tasks.get_mut(at)
    }
}
