//! The end of a turn that is not believed.
//!
//! It may be quoted, and then the turn continues; or words have come to stand around the real one, and then nothing
//! comes anymore, and an agent that waits for its next prompt never exits. Whether the agent gets on tells them apart.

use crate::protocol::{Action, Out, TimerId};
use belay_trace::{EvidenceSource, Failure, FailureKind};
use std::time::Duration;

/// How long an agent may be silent behind an end that is not believed. A model that was asked answers sooner, and a
/// wrong guess costs the rest of the turn; it is far below any idle limit.
const QUIET: Duration = Duration::from_secs(10);

/// Above all timers that drivers number themselves.
const FIRST_TIMER: u32 = 1 << 31;

/// Enough to recognize the line.
const SHOWN_CHARS_MAX: usize = 500;

/// The last end of a turn that was not believed, as long as nothing has come of the turn since.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    line: Option<String>,
    timers: u32,
}

impl Doubt {
    /// Notes that the end on this line is not believed, and asks for a timer.
    pub(super) fn raise(&mut self, line: &str, out: &mut Out) {
        self.line = Some(line.trim().chars().take(SHOWN_CHARS_MAX).collect());
        self.timers += 1;
        out.timer(TimerId(FIRST_TIMER + self.timers), QUIET);
    }

    /// Forgets the end if one of these actions shows that the turn continues, or that it is over.
    pub(super) fn hear(&mut self, actions: &[Action]) {
        let settles = |action: &Action| match action {
            Action::Emit(emitted) => emitted.event.is_progress(),
            Action::Progress(_) | Action::TurnOpened | Action::TurnEnded(_) => true,
            _ => false,
        };
        if self.line.is_some() && actions.iter().any(settles) {
            self.line = None;
        }
    }

    /// Returns the failure of a turn whose agent was silent since the end, if this is its timer.
    pub(crate) fn ran_out(&mut self, timer: TimerId) -> Option<Failure> {
        let is_last = timer.0 == FIRST_TIMER + self.timers;
        self.line.take_if(|_| is_last).map(|line| failure(&line))
    }

    /// Adds the end to the failure of a process that exited without one.
    pub(crate) fn explain(&mut self, of_exit: Failure) -> Failure {
        if of_exit.kind != FailureKind::Protocol {
            return of_exit;
        }
        let Some(line) = self.line.take() else { return of_exit };
        let mut failure = failure(&line);
        failure.evidence.extend(of_exit.evidence);
        failure
    }
}

fn failure(line: &str) -> Failure {
    let words = format!("the end of the turn stands between words, where it may be quoted: {line}");
    Failure::new(FailureKind::Protocol, words).with(EvidenceSource::Text, "stdout", line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_trace::{Event, Level, Text};

    fn raised() -> (Doubt, TimerId) {
        let (mut doubt, mut out) = (Doubt::default(), Out::default());
        doubt.raise("words {} words", &mut out);
        let [Action::Timer(timer, QUIET)] = out.actions[..] else { panic!("{:?}", out.actions) };
        (doubt, timer)
    }

    fn hear(doubt: &mut Doubt, event: Event) {
        let mut out = Out::default();
        out.event(event);
        doubt.hear(&out.actions);
    }

    #[test]
    fn silence_behind_a_doubted_end_is_a_failure_that_shows_it() {
        let (mut doubt, timer) = raised();
        hear(&mut doubt, Event::notice(Level::Info, "stderr", "ping"));
        assert_eq!(doubt.ran_out(TimerId(timer.0 + 1)), None);
        let failure = doubt.ran_out(timer).unwrap();
        assert_eq!(failure.kind, FailureKind::Protocol);
        assert!(failure.message.ends_with(": words {} words"), "{}", failure.message);
        assert_eq!(doubt.ran_out(timer), None);
    }

    #[test]
    fn a_turn_that_continues_settles_the_doubt() {
        let (mut doubt, timer) = raised();
        hear(&mut doubt, Event::Text(Text { text: "more".into(), message_id: None }));
        assert_eq!(doubt.ran_out(timer), None);
        // A later one has a timer of its own.
        let mut out = Out::default();
        doubt.raise("once more {} words", &mut out);
        assert_eq!(doubt.ran_out(timer), None);
        assert!(doubt.ran_out(TimerId(timer.0 + 1)).is_some());
    }

    #[test]
    fn only_an_exit_without_an_end_is_explained_by_it() {
        let (mut doubt, _) = raised();
        let crashed = Failure::new(FailureKind::Crashed, "crashed");
        assert_eq!(doubt.explain(crashed.clone()), crashed);
        let ended = Failure::new(FailureKind::Protocol, "ended without a result");
        assert!(doubt.explain(ended.clone()).message.contains("words {} words"));
        assert_eq!(doubt.explain(ended.clone()), ended);
    }
}
