//! What Claude Code runs on behind its turns: subagents by default, commands on request.
//!
//! Claude tells it twice: `background_tasks_changed` has the whole list and replaces what was known, the `task_*`
//! lines tell each task's beginning, progress and end. The list counts where there is one; older versions have the
//! lines alone. Facts and their source are in `docs/agents/claude-code.md`.

use super::wire::{ListedTask, SubagentStats, System};
use crate::background::Background;
use belay_trace::{TaskKind, ToolId};
use std::collections::HashSet;

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
        line.task_id.as_ref().is_some_and(|id| self.has(id))
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
        self.has_ended |= self.retain(|known| {
            known.is_background != Some(true)
                || known.is_call
                || ids.contains(known.task.task_id.as_str())
        });
        for task in list {
            let Some(known) = self.known(&task.task_id) else { return };
            known.task.task_kind = kind(task.task_type.as_deref());
            known.task.description.clone_from(&task.description);
            known.task.parent_task_id.clone_from(&task.parent_task_id);
            self.place(&task.task_id, Some(true));
        }
    }

    /// The turn is over. The counts of its result stand for versions that tell of no tasks.
    pub(super) fn result_came(&mut self, stats: Option<&SubagentStats>) {
        if let (Some(stats), false) = (stats, self.has_told_tasks) {
            self.retain(|_| false);
            let count = stats.open();
            if let Some(known) = (count > 0).then(|| self.known("subagents")).flatten() {
                known.task.task_kind = TaskKind::Subagent;
                known.task.description = format!("{count} in the background");
                self.place("subagents", Some(true));
            }
        }
        self.turn_ended();
    }

    /// The ids of the open tasks that are no subagents.
    pub(super) fn others(&self) -> Vec<String> {
        let others = self.open().filter(|task| task.task_kind != TaskKind::Subagent);
        others.map(|task| task.task_id.clone()).collect()
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
