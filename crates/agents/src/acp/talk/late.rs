//! Behind the answer to the prompt: what still comes belongs to the turn, until the agent has been quiet.
//!
//! The protocol wants every update before the answer and has no word for work that is still open. Agents send from
//! several places at once, and some go on by themselves: what they say then is theirs and paid for.

use super::{Heard, Talk};
use crate::acp::meter::Answer;
use crate::acp::tools;
use crate::protocol::{Out, TimerId};
use agent_client_protocol_schema::v1::SessionUpdate;
use belay_trace::{Event, Failure, FailureKind, Level};
use std::collections::HashSet;
use std::time::Duration;

/// How long an agent must be quiet behind its answer. None of those measured says anything of the turn later than
/// its answer (`docs/agents/acp.md`), so this is for others; each run over ACP waits for it.
pub(super) const QUIET: Duration = Duration::from_millis(100);

/// The same for an agent that has gone on: a model pauses between its words.
pub(super) const AWAKE_QUIET: Duration = Duration::from_secs(1);

/// A prompt that is answered, and whose end is not told yet.
#[derive(Debug)]
pub(super) struct Answered {
    answer: Answer,
    /// The agent has gone on: with words, thoughts or tools.
    is_awake: bool,
    /// The agent says itself that it works.
    is_working: bool,
    /// Tools that it has spoken of since.
    tools: HashSet<String>,
}

/// What something that comes late says of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It goes on.
    Work,
    /// It tells of what was done.
    Report,
    /// It says nothing of the turn.
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
    /// The prompt is answered. A turn that has failed or was stopped waits for nothing more, and nor does a reader of
    /// what was saved, who has no clock.
    pub(super) fn answered(&mut self, answer: Answer, out: &mut Out) {
        let has_failed = answer.stop_reason != "end_turn";
        if has_failed || self.interrupted || self.heard == Heard::Saved {
            return self.conclude(&answer, out);
        }
        self.answered =
            Some(Answered { answer, is_awake: false, is_working: false, tools: HashSet::new() });
        self.wait_for_quiet(out);
    }

    /// The agent has said something; if the prompt is answered, that is late.
    pub(super) fn heard_late(&mut self, sign: Sign, out: &mut Out) {
        let Some(answered) = self.answered.as_mut().filter(|_| sign != Sign::Aside) else { return };
        answered.is_awake |= sign == Sign::Work;
        self.wait_for_quiet(out);
    }

    /// A tool was spoken of.
    pub(super) fn tool_heard_late(&mut self, id: &str) {
        if let Some(answered) = &mut self.answered {
            answered.tools.insert(id.to_owned());
        }
    }

    /// The agent says whether it works.
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

    /// The agent was quiet: the turn is over, unless something is open. What is open has the limits of any work.
    pub(super) fn was_quiet(&mut self, out: &mut Out) {
        let is_open = self.answered.as_ref().is_some_and(|answered| {
            answered.is_working || answered.tools.iter().any(|id| self.calls.is_open(id))
        });
        if !is_open {
            self.conclude_answered(out);
        }
    }

    /// Ends the turn of a prompt that is answered, if it is; false if it is not.
    pub(super) fn conclude_answered(&mut self, out: &mut Out) -> bool {
        let Some(answered) = self.answered.take() else { return false };
        self.conclude(&answered.answer, out);
        true
    }

    /// A stop: an answer that was whole stands, and what the agent has begun since is cut off. False if the prompt
    /// is not answered.
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

    /// Words behind the end of the turn are in no answer; they are told nevertheless.
    pub(super) fn too_late(update: &SessionUpdate, out: &mut Out) {
        let (level, words) = match update {
            SessionUpdate::AgentMessageChunk(chunk) => {
                (Level::Warn, tools::text_of(&chunk.content))
            }
            _ => (Level::Debug, "an update behind the end of the turn".to_owned()),
        };
        out.event(Event::notice(level, "late", words));
    }
}
