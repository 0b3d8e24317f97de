//! Updates that arrive after the answer to the prompt. They belong to the turn until the agent has been quiet.
//!
//! The protocol requires every update before the answer and has no message for work that is still open. Agents send
//! from several tasks at once, and some continue on their own; what they say then is part of a turn that is paid for.

use super::{Heard, Talk};
use crate::acp::meter::Answer;
use crate::acp::tools;
use crate::protocol::{Out, TimerId};
use agent_client_protocol_schema::v1::SessionUpdate;
use belay_trace::{Event, Failure, FailureKind, Level};
use std::collections::HashSet;
use std::time::Duration;

/// How long an agent must be quiet after its answer. None of the measured agents says anything about the turn after
/// its answer (`docs/agents/acp.md`), so this is for all others. Every run over ACP waits this long.
pub(super) const QUIET: Duration = Duration::from_millis(100);

/// The same for an agent that has continued: a model pauses between its words.
pub(super) const AWAKE_QUIET: Duration = Duration::from_secs(1);

/// A prompt that was answered, and whose end was not reported yet.
#[derive(Debug)]
pub(super) struct Answered {
    answer: Answer,
    /// The agent has continued, with words, thoughts or tools.
    is_awake: bool,
    /// The agent says that it is working.
    is_working: bool,
    /// Tools it has mentioned since.
    tools: HashSet<String>,
}

/// What a late update says about the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It is working.
    Work,
    /// It reports what was done.
    Report,
    /// It says nothing about the turn.
    Aside,
}

impl Sign {
    pub(super) fn of(update: &SessionUpdate) -> Self {
        match update {
            SessionUpdate::AgentMessageChunk(chunk) | SessionUpdate::AgentThoughtChunk(chunk)
                if tools::text_of(&chunk.content).is_empty() =>
            {
                Self::Report
            }
            SessionUpdate::AgentMessageChunk(_)
            | SessionUpdate::AgentThoughtChunk(_)
            | SessionUpdate::ToolCall(_)
            | SessionUpdate::ToolCallUpdate(_) => Self::Work,
            SessionUpdate::AvailableCommandsUpdate(_)
            | SessionUpdate::CurrentModeUpdate(_)
            | SessionUpdate::ConfigOptionUpdate(_)
            | SessionUpdate::SessionInfoUpdate(_)
            | SessionUpdate::UserMessageChunk(_) => Self::Aside,
            _ => Self::Report,
        }
    }
}

impl Talk {
    /// Takes the answer to the prompt. A turn that failed or was stopped waits for nothing more, and neither does the
    /// reader of a saved stream, which has no clock.
    pub(super) fn answered(&mut self, answer: Answer, out: &mut Out) {
        self.turn.answered();
        let has_failed = answer.stop_reason != "end_turn";
        if has_failed || self.interrupted || self.heard == Heard::Saved {
            return self.conclude(&answer, out);
        }
        self.answered =
            Some(Answered { answer, is_awake: false, is_working: false, tools: HashSet::new() });
        self.wait_for_quiet(out);
    }

    /// Notes an update; if the prompt was answered before, it is a late one.
    pub(super) fn heard_late(&mut self, sign: Sign, out: &mut Out) {
        let Some(answered) = self.answered.as_mut().filter(|_| sign != Sign::Aside) else { return };
        answered.is_awake |= sign == Sign::Work;
        self.wait_for_quiet(out);
    }

    /// Notes that the agent mentioned a tool.
    pub(super) fn tool_heard_late(&mut self, id: &str) {
        if let Some(answered) = &mut self.answered {
            answered.tools.insert(id.to_owned());
        }
    }

    /// Notes whether the agent says that it is working.
    pub(super) fn works(&mut self, is_working: bool, out: &mut Out) {
        let Some(answered) = &mut self.answered else { return };
        if answered.is_working != is_working {
            answered.is_working = is_working;
            answered.is_awake = true;
            self.wait_for_quiet(out);
        }
    }

    fn wait_for_quiet(&mut self, out: &mut Out) {
        let is_awake = self.answered.as_ref().is_some_and(|answered| answered.is_awake);
        let number = self.next_timer();
        self.quiet = Some(number);
        out.timer(TimerId(number), if is_awake { AWAKE_QUIET } else { QUIET });
    }

    /// Ends the turn of an agent that was quiet, unless something is open. Open work has the limits of any work.
    pub(super) fn was_quiet(&mut self, out: &mut Out) {
        let is_open = self.answered.as_ref().is_some_and(|answered| {
            answered.is_working || answered.tools.iter().any(|id| self.calls.is_open(id))
        });
        if !is_open {
            self.conclude_answered(out);
        }
    }

    /// Ends the turn if the prompt was answered; returns false if it was not.
    pub(super) fn conclude_answered(&mut self, out: &mut Out) -> bool {
        let Some(answered) = self.answered.take() else { return false };
        self.conclude(&answered.answer, out);
        true
    }

    /// Reports the tools that an agent began behind its answer and left open when it exited. The answer stands.
    pub(super) fn tell_unfinished(&self, out: &mut Out) {
        let Some(answered) = &self.answered else { return };
        for name in self.calls.open_among(&answered.tools) {
            let words =
                format!("{name} began behind the answer, and the agent exited before its end");
            out.event(Event::notice(Level::Warn, "unfinished_tool", words));
        }
    }

    /// Stops a turn whose prompt was answered: a complete answer stands, and work begun since is cut off. Returns false
    /// if the prompt was not answered.
    pub(super) fn stop_late(&mut self, out: &mut Out) -> bool {
        let Some(answered) = self.answered.take() else { return false };
        if answered.is_awake {
            self.send_cancel(out);
            let failure = Failure::new(FailureKind::Interrupted, "interrupted");
            self.end_turn(Some(failure), out);
        } else {
            self.conclude(&answered.answer, out);
        }
        true
    }

    /// Reports an update that arrived after the end of the turn; its words are in no answer.
    pub(super) fn too_late(update: &SessionUpdate, out: &mut Out) {
        let (level, words) = match update {
            SessionUpdate::AgentMessageChunk(chunk) => {
                (Level::Warn, tools::text_of(&chunk.content))
            }
            _ => (Level::Debug, "an update after the end of the turn".to_owned()),
        };
        out.event(Event::notice(level, "late", words));
    }
}
