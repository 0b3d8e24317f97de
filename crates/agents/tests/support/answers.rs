//! What drivers do on each line of a recording, under watch.

use crate::recorded::Recording;
use crate::watch::{Dialect, Watched};
use belay_agents::{Action, Input, TimerId};

/// What the driver of a recording does on each of these lines, and last at the end of the process.
pub(crate) fn answers(recording: &Recording, lines: &[&[u8]]) -> Vec<Vec<Action>> {
    let mut watched = Watched::new(dialect(recording), &recording.request);
    let mut step = |input: Input<'_>| {
        let mut actions = watched.step(input);
        for (id, status, body) in recording.answers_to(&actions) {
            actions.extend(watched.step(Input::Http { id, status, body: body.as_bytes() }));
        }
        // Nothing that was recorded comes late.
        for timer in actions.iter().filter_map(timer).collect::<Vec<_>>() {
            if watched.is_settled() {
                actions.extend(watched.step(Input::Timer(timer)));
            }
        }
        actions
    };
    step(Input::Start);
    let mut answers: Vec<_> = lines.iter().map(|line| step(recording.input(line))).collect();
    answers.push(step(Input::Exit(recording.exit)));
    answers
}

pub(crate) fn dialect(recording: &Recording) -> Dialect {
    Dialect::of(recording.agent.name(), recording.transport)
}

fn timer(action: &Action) -> Option<TimerId> {
    match action {
        Action::Timer(id, _) => Some(*id),
        _ => None,
    }
}

/// How a turn ended, if the action ends one.
pub(crate) fn success(action: &Action) -> Option<bool> {
    match action {
        Action::TurnEnded(end) => Some(end.failure.is_none()),
        _ => None,
    }
}

/// True for what one line says alone. Where a response or a turn begins, sums, what is open
/// and whether a line says anything new follow from several.
pub(crate) fn is_of_its_line(action: &Action) -> bool {
    let derived = ["turn_started", "usage", "context", "background_tasks"];
    match action {
        Action::Emit(emitted) => !derived.contains(&emitted.event.type_name()),
        Action::TurnOpened
        | Action::AskSilentCalls(_)
        | Action::Timer(..)
        | Action::Progress(_) => false,
        _ => true,
    }
}
