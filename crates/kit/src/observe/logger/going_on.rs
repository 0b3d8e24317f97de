//! The words for what comes after a failure: retries, failovers, waits, and the account of all attempts.

use super::{count_of_seconds, duration};
use belay_trace::{
    AttemptSummary, BackgroundTask, BackgroundTasks, Effects, Failover, Retry, Start, TaskKind,
    Waiting, visible_line,
};
use jiff::Timestamp;
use std::fmt::Write as _;

/// How many background tasks are named in a line.
const TASKS_SHOWN: usize = 5;

pub(super) fn retry(retry: &Retry) -> String {
    let mut words = match (retry.retry, retry.retries_max) {
        (Some(n), Some(max)) => format!("{n}/{max}"),
        (Some(n), None) => n.to_string(),
        _ => "again".to_owned(),
    };
    if let Some(ms) = retry.delay_ms {
        let _ = write!(words, " in {}", duration(ms));
    }
    if let Some(until) = retry.until {
        let _ = write!(words, " at {until:.0}");
    }
    if let Some(status) = retry.status {
        let _ = write!(words, " after {status}");
    }
    let reason = match &retry.failure {
        // belay's own: a new attempt.
        Some(failure) => failure.to_string(),
        None => match retry.kind {
            Some(kind) if retry.reason.is_empty() => kind.to_string(),
            Some(kind) if retry.reason != kind.name() => format!("{kind}: {}", retry.reason),
            _ => retry.reason.clone(),
        },
    };
    if !reason.is_empty() {
        let _ = write!(words, ": {}", visible_line(&reason));
    }
    words
}

pub(super) fn failover(failover: &Failover) -> String {
    let how = match failover.start {
        Start::Fresh => "",
        Start::Resume => " (in the same session)",
        _ => " (with an account of the work so far)",
    };
    let words = format!("{} → {}{how}: {}", failover.from, failover.to, failover.failure);
    visible_line(&words).into_owned()
}

pub(super) fn waiting(waiting: &Waiting, now: Timestamp) -> String {
    let whom = waiting.candidate.as_deref().unwrap_or("the agent");
    let left = waiting.until.duration_since(now).as_secs().max(0).unsigned_abs();
    let words = format!(
        "for {whom} until {:.0} ({}): {}; Ctrl-C ends it",
        waiting.until,
        count_of_seconds(left),
        waiting.reason
    );
    visible_line(&words).into_owned()
}

pub(super) fn background(background: &BackgroundTasks) -> String {
    let task = |task: &BackgroundTask| {
        let kind = match task.task_kind {
            TaskKind::Subagent => "subagent",
            TaskKind::Command => "command",
            _ => "task",
        };
        let name = if task.description.is_empty() { &task.task_id } else { &task.description };
        format!("{kind} {}", visible_line(name))
    };
    let mut words: Vec<_> = background.tasks.iter().take(TASKS_SHOWN).map(task).collect();
    let unnamed = background.tasks.len().saturating_sub(TASKS_SHOWN) as u64;
    let more = unnamed.saturating_add(background.more);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    format!("the turn is over; waiting for {}", words.join(", "))
}

/// One attempt of several in a line.
pub(super) fn attempt(attempt: &AttemptSummary) -> String {
    let mut words = format!("{}. {}", attempt.attempt, attempt.agent);
    if let Some(model) = &attempt.model {
        let _ = write!(words, ":{model}");
    }
    let _ = match attempt.kind {
        Some(kind) => write!(words, " {kind}"),
        None => write!(words, " answered"),
    };
    if let Some(ms) = attempt.duration_ms {
        let _ = write!(words, " after {}", duration(ms));
    }
    if let Some(usd) = attempt.total_cost_usd {
        let _ = write!(words, ", ${usd:.4}");
    }
    match attempt.effects {
        Effects::Possible | Effects::Observed if attempt.kind.is_some() => {
            words.push_str(", may have changed things");
        }
        _ => {}
    }
    visible_line(&words).into_owned()
}
