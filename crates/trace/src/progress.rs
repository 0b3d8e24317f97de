//! What shows that an agent gets on, as opposed to being alive.

use crate::Event;

impl Event {
    /// Returns whether the event shows that the agent gets on with its work.
    ///
    /// Idle limits are counted from such an event, unless it repeats what was said before. A sign of life is none: an agent prints heartbeats while a tool
    /// hangs, repeats its limits, notes what went wrong, and says things that belay does not know.
    #[must_use]
    pub fn is_progress(&self) -> bool {
        match self {
            Self::Text(chunk) => !chunk.text.is_empty(),
            Self::Reasoning(chunk) => !chunk.reasoning.is_empty(),
            Self::ToolCallDelta(delta) => !delta.args.is_empty(),
            Self::ToolProgress(progress) => !progress.heartbeat,
            Self::SessionStarted(_)
            | Self::TurnStarted(_)
            | Self::ToolCallStart(_)
            | Self::ToolCall(_)
            | Self::ToolResult(_)
            | Self::Plan(_)
            | Self::BackgroundTasks(_)
            | Self::Usage(_)
            | Self::Compaction(_)
            | Self::PermissionRequest(_)
            | Self::PermissionDenied(_) => true,
            // That something is tried again, or has to be said again, leads nowhere by itself.
            Self::Retry(_) | Self::TextRetracted(_) => false,
            // Figures of what has happened; what has happened has events of its own.
            Self::Context(_) | Self::RateLimit(_) => false,
            // Words of any sort, from programs of any sort.
            Self::Notice(_) | Self::Unknown(_) | Self::OversizedLine(_) => false,
            // What the caller or belay has done.
            Self::RunStarted(_)
            | Self::AttemptStarted(_)
            | Self::Phase(_)
            | Self::Waiting(_)
            | Self::PermissionDecision(_)
            | Self::Interrupted(_)
            | Self::Steered(_)
            | Self::AttemptResult(_)
            | Self::AttemptEnded(_)
            | Self::Failover(_)
            | Self::LogDegraded(_)
            | Self::ObserverDropped(_)
            | Self::Result(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Level, Text, ToolCallDelta, ToolProgress, Unknown};

    #[test]
    fn a_sign_of_life_is_no_progress() {
        let progress = |heartbeat| ToolProgress { heartbeat, ..ToolProgress::default() };
        assert!(Event::ToolProgress(progress(false)).is_progress());
        for event in [
            Event::ToolProgress(progress(true)),
            Event::Text(Text::default()),
            Event::ToolCallDelta(ToolCallDelta::default()),
            Event::Unknown(Unknown::default()),
            Event::notice(Level::Warn, "stdout", "still here"),
        ] {
            assert!(!event.is_progress(), "{event:?}");
        }
    }
}
