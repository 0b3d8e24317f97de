//! How a run stands, in one word.

use belay_trace::{FailureKind, Overview, RunState, visible_line};
use std::str::FromStr;

/// The word for a run in a list.
pub(crate) fn state_word(overview: &Overview) -> &'static str {
    match overview {
        Overview { damaged: true, .. } => DAMAGED,
        Overview { queued: true, .. } => WAITING,
        _ => word(overview.state),
    }
}

/// The word for a state.
pub(crate) fn word(state: RunState) -> &'static str {
    match state {
        RunState::Running => "running",
        RunState::Answered => "answered",
        RunState::Failed(kind) => kind.name(),
        RunState::Crashed => "crashed",
        RunState::Lost => "lost",
    }
}

/// At work, and without an agent: it waits for a session.
const WAITING: &str = "waiting";

/// What is known here of a run that was begun on another machine and has no end.
pub(crate) fn lost_words(overview: &Overview) -> String {
    let host = overview.process.as_ref().map_or("another machine", |process| &process.host);
    format!("running or lost on {}", visible_line(host))
}

const DAMAGED: &str = "damaged";
const FAILED: &str = "failed";

/// The runs that stand in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateFilter {
    Damaged,
    Waiting,
    /// With whatever kind of failure.
    Failed,
    State(RunState),
}

impl StateFilter {
    pub(crate) fn takes(self, overview: &Overview) -> bool {
        match self {
            Self::Damaged => overview.damaged,
            Self::Failed => !overview.damaged && matches!(overview.state, RunState::Failed(_)),
            Self::Waiting => overview.queued,
            Self::State(state) => !overview.damaged && !overview.queued && overview.state == state,
        }
    }
}

impl FromStr for StateFilter {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        // `crashed` is also what an agent can do: of a run it says that belay itself is gone.
        let states = [RunState::Running, RunState::Answered, RunState::Crashed, RunState::Lost];
        let kinds = FailureKind::ALL.map(RunState::Failed);
        let state = states.into_iter().chain(kinds).find(|state| word(*state) == name);
        match (name, state) {
            (DAMAGED, _) => Ok(Self::Damaged),
            (WAITING, _) => Ok(Self::Waiting),
            (FAILED, _) => Ok(Self::Failed),
            (_, Some(state)) => Ok(Self::State(state)),
            (_, None) => Err(
                "use running, waiting, answered, failed, crashed, lost, damaged, or a kind of failure such as interrupted"
                    .to_owned(),
            ),
        }
    }
}
