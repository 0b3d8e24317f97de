//! What an agent has open beside its turn, and how long that is waited for.
//!
//! An attempt ends when nothing is open: no turn and no background task. A task that never ends (a server) or no
//! longer gets on has a limit of its own.

use super::super::idle::short;
use belay_agents::Exit;
use belay_trace::{BackgroundTask, BackgroundTasks, Failure, FailureKind, TaskKind, ToolId};
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::Instant;

/// The open work of one attempt.
#[derive(Debug)]
pub(super) struct Background {
    limit: Option<Duration>,
    turn_is_open: bool,
    /// The agent says that its turn is over, also where its result is still to come.
    waiting: bool,
    tasks: Vec<Open>,
    /// There was a task.
    has_begun: bool,
    /// The last task has ended behind the turn, and the turn that reports it has not begun.
    owes_report: bool,
    /// A task that asks a model was not waited for to its end.
    has_cut_work: bool,
}

/// A task that is open.
#[derive(Debug)]
struct Open {
    task: BackgroundTask,
    /// When its limit began to count.
    since: Instant,
    warned: bool,
    /// It is waited for no longer.
    given_up: bool,
}

/// What the limit has to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Say this; the wait goes on.
    Warn(String),
    /// Say this; these commands are waited for no longer.
    GiveUp(String),
    /// A subagent does not get on: the attempt is a failure.
    Stalled(String),
}

impl Background {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            turn_is_open: true,
            waiting: false,
            tasks: Vec::new(),
            has_begun: false,
            owes_report: false,
            has_cut_work: false,
        }
    }

    /// The agent has told what is open now.
    pub(super) fn told(&mut self, told: &BackgroundTasks, now: Instant) {
        self.has_begun |= !told.tasks.is_empty();
        let has_none = told.tasks.is_empty() && told.more == 0;
        self.owes_report |= self.has_tasks() && has_none && !self.turn_is_open;
        let mut before = std::mem::take(&mut self.tasks);
        let others = (told.more > 0).then(|| BackgroundTask {
            description: format!("{} more", told.more),
            ..BackgroundTask::default()
        });
        for task in told.tasks.iter().chain(&others) {
            let known = before.iter().position(|open| open.task.task_id == task.task_id);
            self.tasks.push(match known {
                Some(at) => Open { task: task.clone(), ..before.swap_remove(at) },
                None => Open { task: task.clone(), since: now, warned: false, given_up: false },
            });
        }
        if told.waiting && !self.waiting {
            self.waits_from(now);
        }
        self.waiting = told.waiting;
    }

    pub(super) fn turn_opened(&mut self) {
        (self.turn_is_open, self.owes_report) = (true, false);
    }

    pub(super) fn turn_ended(&mut self, now: Instant) {
        self.turn_is_open = false;
        self.waits_from(now);
    }

    /// The limit of a command counts from the last words of the agent.
    fn waits_from(&mut self, now: Instant) {
        for open in self.tasks.iter_mut().filter(|open| open.is_command()) {
            (open.since, open.warned) = (now, false);
        }
    }

    /// A subagent has done something: the one of this tool call, and those above it. One that is in no list works
    /// for one of them.
    pub(super) fn progress(&mut self, tool_id: &ToolId, now: Instant) {
        let of_call = |open: &Open| open.task.tool_id.as_ref() == Some(tool_id);
        let Some(mut at) = self.tasks.iter().position(of_call) else {
            self.tasks.iter_mut().for_each(|open| open.got_on(now));
            return;
        };
        // No chain is longer than the list.
        for _ in 0..self.tasks.len() {
            self.tasks[at].got_on(now);
            let parent = self.tasks[at].task.parent_task_id.clone();
            let above = |open: &Open| Some(&open.task.task_id) == parent.as_ref();
            match self.tasks.iter().position(above) {
                Some(above) => at = above,
                None => break,
            }
        }
    }

    /// True if a turn runs, as far as anybody can tell.
    pub(super) fn works(&self) -> bool {
        self.turn_is_open && !self.waiting
    }

    /// True if there is something that the attempt waits for.
    pub(super) fn is_busy(&self) -> bool {
        self.turn_is_open || self.has_tasks()
    }

    /// True if there has been a task.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// True if tasks are waited for.
    pub(super) fn has_tasks(&self) -> bool {
        self.waited_for().next().is_some()
    }

    /// True if the agent is about to report a task that has ended.
    pub(super) fn owes_report(&self) -> bool {
        self.owes_report
    }

    /// Waits for no task any longer; `None` if there was none.
    pub(super) fn give_up(&mut self) -> Option<String> {
        let names = names(self.waited_for().map(|open| &open.task))?;
        self.stops();
        self.tasks.iter_mut().for_each(|open| open.given_up = true);
        Some(names)
    }

    /// Whatever is open is about to be stopped.
    pub(super) fn stops(&mut self) {
        let cuts_work = self.waited_for().any(|open| !open.is_command());
        self.has_cut_work |= cuts_work;
    }

    /// True if a subagent, or what else asks a model, was cut off: what its last response has used is in no report.
    pub(super) fn has_cut_work(&self) -> bool {
        self.has_cut_work
    }

    /// True if a task is open that is waited for no longer.
    pub(super) fn has_given_up(&self) -> bool {
        self.tasks.iter().any(|open| open.given_up)
    }

    /// True if the agent has left a task undone.
    pub(super) fn was_cut(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// A pause of this length does not count.
    pub(super) fn shift(&mut self, pause: Duration) {
        self.tasks.iter_mut().for_each(|open| open.since += pause);
    }

    /// When to ask next, if ever.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let limit = self.limit.filter(|_| !self.works())?;
        self.waited_for().map(|open| open.since + open.next(limit)).min()
    }

    /// What there is to say now.
    pub(super) fn check(&mut self, now: Instant) -> Option<Verdict> {
        let limit = self.limit.filter(|_| !self.works())?;
        let is_due = |open: &&mut Open| !open.given_up && now >= open.since + open.next(limit);
        let open = self.tasks.iter_mut().find(is_due)?;
        let (name, time) = (name(&open.task), short(now - open.since));
        let how = match open.is_command() {
            true => format!("{name} still runs {time} after the agent's turn"),
            false => format!("{name} has shown no progress for {time}"),
        };
        if now < open.since + limit {
            open.warned = true;
            let left = short(open.since + limit - now);
            return Some(Verdict::Warn(format!("{how}; it is stopped in {left}")));
        }
        open.given_up = open.is_command();
        Some(match open.given_up {
            true => Verdict::GiveUp(format!("{how}; it is waited for no longer")),
            false => Verdict::Stalled(how),
        })
    }

    /// Why the attempt is a failure if its agent ends like this now. Of a command that is cut off, the answer does
    /// not depend.
    pub(super) fn cut_off(&self, agent: &str, exit: Exit) -> Option<Failure> {
        let unfinished = self.waited_for().filter(|open| !open.is_command());
        let names = names(unfinished.map(|open| &open.task))?;
        let kind = match exit {
            Exit::Code(0) => FailureKind::Protocol,
            _ => FailureKind::Crashed,
        };
        Some(Failure::new(kind, format!("{agent} ended while {names} had not")))
    }

    fn waited_for(&self) -> impl Iterator<Item = &Open> {
        self.tasks.iter().filter(|open| !open.given_up)
    }
}

impl Open {
    fn is_command(&self) -> bool {
        self.task.task_kind == TaskKind::Command
    }

    fn got_on(&mut self, now: Instant) {
        if !self.is_command() {
            (self.since, self.warned) = (now, false);
        }
    }

    /// After which time there is something to say.
    fn next(&self, limit: Duration) -> Duration {
        if self.warned { limit } else { limit / 3 }
    }
}

/// The tasks in words.
fn names<'a>(tasks: impl Iterator<Item = &'a BackgroundTask>) -> Option<String> {
    let mut words = String::new();
    for task in tasks {
        let comma = if words.is_empty() { "" } else { ", " };
        let _ = write!(words, "{comma}{}", name(task));
    }
    Some(words).filter(|words| !words.is_empty())
}

fn name(task: &BackgroundTask) -> String {
    let kind = match task.task_kind {
        TaskKind::Subagent => "the subagent",
        TaskKind::Command => "the command",
        _ => "the task",
    };
    let words = if task.description.is_empty() { &task.task_id } else { &task.description };
    format!("{kind} `{words}`")
}

#[cfg(test)]
mod tests;
