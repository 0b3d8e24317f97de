//! What of an agent's events shows that it gets on: what it has not said before.
//!
//! Any event of [`Event::is_progress`] can be a repetition: an agent that hangs in a loop of its own prints the same
//! state, the same call or a result that belongs to no call again and again. That is a sign of life, and no more.

use crate::limits;
use belay_trace::{Event, ToolId};
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher as _};
use std::mem::{Discriminant, discriminant};

/// What an agent has said so far, as far as a repetition can be known by it.
#[derive(Debug, Default)]
pub(super) struct Novelty {
    /// Calls, responses and permission requests that were told, by their hashes.
    seen: HashSet<u64>,
    /// The ids of all calls, and of those that have not returned.
    calls: HashSet<ToolId>,
    open: HashSet<ToolId>,
    /// The last state of each thing that has states.
    last: HashMap<Discriminant<Event>, u64>,
}

impl Novelty {
    /// Returns whether the event shows that the agent gets on.
    pub(super) fn is_progress(&mut self, event: &Event) -> bool {
        event.is_progress() && self.is_new(event)
    }

    /// True if a call with this id was told.
    pub(super) fn knows(&self, id: &ToolId) -> bool {
        self.calls.contains(id)
    }

    fn is_new(&mut self, event: &Event) -> bool {
        match event {
            // Pieces: two that are the same say two things.
            Event::Text(_) | Event::Reasoning(_) | Event::ToolCallDelta(_) => true,
            Event::ToolProgress(progress) => {
                progress.tool_id.as_ref().is_none_or(|id| self.open.contains(id))
            }
            Event::ToolCall(call) => {
                let Some(id) = &call.tool_id else { return true };
                let is_new = self.is_unseen(event);
                self.calls.insert(id.clone());
                if is_new {
                    self.open.insert(id.clone());
                }
                is_new
            }
            Event::ToolResult(result) => {
                result.tool_id.as_ref().is_none_or(|id| self.open.remove(id))
            }
            Event::ToolCallStart(start) => {
                self.calls.extend(start.tool_id.clone());
                start.tool_id.is_none() || self.is_unseen(event)
            }
            Event::TurnStarted(turn) => turn.message_id.is_none() || self.is_unseen(event),
            Event::PermissionRequest(_) => self.is_unseen(event),
            _ => {
                let now = hash(event);
                self.last.insert(discriminant(event), now) != Some(now)
            }
        }
    }

    fn is_unseen(&mut self, event: &Event) -> bool {
        if self.seen.len() >= limits::SEEN_MAX {
            self.seen.clear();
            self.calls.clone_from(&self.open);
        }
        self.seen.insert(hash(event))
    }
}

fn hash(event: &Event) -> u64 {
    struct Into(DefaultHasher);
    impl fmt::Write for Into {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut hasher = Into(DefaultHasher::new());
    // Nothing of it can fail.
    let _ = write!(hasher, "{event:?}");
    hasher.0.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_trace::{
        Compaction, CompactionStatus, PermissionRequest, Plan, SessionStarted, Text, ToolCall,
        ToolCallDelta, ToolCallStart, ToolProgress, ToolResult, TurnStarted, Usage, UsageReport,
    };

    #[track_caller]
    fn check(told: &[(Event, bool)]) {
        let mut novelty = Novelty::default();
        for (at, (event, want)) in told.iter().enumerate() {
            assert_eq!(novelty.is_progress(event), *want, "{at}: {event:?}");
        }
    }

    fn result(id: &str) -> Event {
        Event::ToolResult(ToolResult { tool_id: Some(id.into()), ..ToolResult::default() })
    }

    fn call(id: &str) -> Event {
        Event::ToolCall(ToolCall { tool_id: Some(id.into()), ..ToolCall::default() })
    }

    #[test]
    fn a_result_counts_once_and_only_for_an_open_call() {
        let progress = Event::ToolProgress(ToolProgress {
            tool_id: Some("a".into()),
            ..ToolProgress::default()
        });
        check(&[
            (result("a"), false),
            (progress.clone(), false),
            (call("a"), true),
            (call("a"), false),
            (progress, true),
            (result("a"), true),
            (result("a"), false),
            (call("a"), false),
            (result("a"), false),
        ]);
    }

    #[test]
    fn what_is_told_again_is_no_progress() {
        let usage = |tokens| {
            let usage = Usage { input_tokens: Some(tokens), ..Usage::default() };
            Event::Usage(UsageReport { usage })
        };
        let turn =
            |id: &str| Event::TurnStarted(TurnStarted { message_id: Some(id.into()), model: None });
        let compaction = |status| Event::Compaction(Compaction { status, message: None });
        for event in [
            Event::SessionStarted(SessionStarted::default()),
            Event::Plan(Plan::default()),
            Event::PermissionRequest(PermissionRequest::default()),
            Event::ToolCallStart(ToolCallStart {
                tool_id: Some("a".into()),
                ..ToolCallStart::default()
            }),
        ] {
            check(&[(event.clone(), true), (event, false)]);
        }
        check(&[(usage(1), true), (usage(1), false), (usage(2), true)]);
        check(&[(turn("a"), true), (turn("b"), true), (turn("a"), false)]);
        let (started, completed) = (CompactionStatus::Started, CompactionStatus::Completed);
        check(&[
            (compaction(started), true),
            (compaction(started), false),
            (compaction(completed), true),
            (compaction(started), true),
        ]);
    }

    #[test]
    fn the_same_piece_twice_is_two_pieces_and_an_empty_one_is_none() {
        let text = |text: &str| Event::Text(Text { text: text.into(), message_id: None });
        check(&[(text("a"), true), (text("a"), true), (text(""), false)]);
        check(&[(Event::ToolCallDelta(ToolCallDelta::default()), false)]);
    }
}
