//! Tool calls that an agent's stream does not show, told from the file of its session: while the turn goes on when a
//! response ends without a call, and once more before the end of the turn is told.

use super::Reader;
use crate::protocol::{Action, Emitted, Input, Out};
use crate::{framing, lines};
use belay_trace::{Event, FailureKind, PermissionDenied, ToolCall, ToolId, ToolKind, ToolResult};
use jiff::Timestamp;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};

/// How a driver finds such calls in the file of its agent's session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SilentReader {
    /// Keeps the lines about them: [`Agent::silent_calls`](crate::Agent::silent_calls).
    pub(crate) keep: fn(Timestamp, &mut dyn Iterator<Item = &[u8]>) -> Vec<u8>,
    /// Reads one of these lines.
    pub(crate) read: fn(&str) -> Vec<SilentLine>,
    /// True for a call of this kind that would have been in the stream, had it not come to this.
    pub(crate) is_told: fn(ToolKind, &str) -> bool,
}

#[derive(Debug)]
pub(crate) enum SilentLine {
    /// The model has called a tool.
    Called(ToolCall),
    /// What the model was told about a call, and whether the agent has denied it.
    Returned { result: ToolResult, denied: bool },
}

#[derive(Debug, Default)]
pub(super) struct SilentCalls {
    /// Calls of which it is not known yet what has come of them.
    open: HashMap<ToolId, ToolCall>,
    /// Those that were told from the file.
    told: HashSet<ToolId>,
    /// The stream has shown a call in the response that runs.
    is_called: bool,
}

impl SilentCalls {
    /// True if the file has told this call.
    pub(super) fn has_told(&self, id: &ToolId) -> bool {
        self.told.contains(id)
    }

    /// True if the file is to be read before this action is carried out: the end of a response in which the stream has
    /// shown no call, and the end of a turn that nobody has stopped.
    pub(super) fn asks_before(&mut self, action: &Action, input: Input<'_>) -> bool {
        match action {
            Action::TurnEnded(end) => {
                let is_stopped = end.failure.as_ref().is_some_and(|failure| {
                    matches!(failure.kind, FailureKind::Interrupted | FailureKind::LimitReached)
                });
                !is_stopped && !matches!(input, Input::Exit(_) | Input::SessionFile { .. })
            }
            action => self.leaves_a_hole(action),
        }
    }

    /// True for the end of a response in which the stream has shown no call.
    fn leaves_a_hole(&mut self, action: &Action) -> bool {
        let Action::Emit(Emitted { event, parent_tool_id: None }) = action else { return false };
        match event {
            Event::ToolCall(_) => self.is_called = true,
            Event::Usage(_) => return !std::mem::take(&mut self.is_called),
            _ => {}
        }
        false
    }

    /// Tells the calls that are in the file, and not among those that the stream has shown.
    pub(super) fn read(
        &mut self,
        reader: &Reader,
        silent: SilentReader,
        text: &[u8],
        shown: &mut HashSet<ToolId>,
        out: &mut Out,
    ) {
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let mut records = Vec::new();
            framing::decode_each(&lines::text(line), |record: &RawValue| {
                records.extend((silent.read)(record.get()));
            });
            for record in records {
                match record {
                    SilentLine::Called(call) => {
                        let id = call.tool_id.clone();
                        self.open.extend(id.map(|id| (id, call)));
                    }
                    SilentLine::Returned { result, denied } => {
                        let Some(id) = result.tool_id.clone() else { continue };
                        let Some(call) = self.open.remove(&id) else { continue };
                        let is_shown = reader.shares_ids && shown.contains(&id);
                        if !is_shown && (silent.is_told)(call.kind, &result.output) {
                            shown.insert(id);
                            self.tell(call, result, denied, out);
                        }
                    }
                }
            }
        }
    }

    fn tell(&mut self, call: ToolCall, result: ToolResult, denied: bool, out: &mut Out) {
        let (tool_id, name) = (call.tool_id.clone(), call.name.clone());
        self.told.extend(tool_id.clone());
        let reason = result.output.clone();
        out.event(Event::ToolCall(call));
        out.event(Event::ToolResult(result));
        if denied {
            let denied = PermissionDenied { tool_id, name, reason: Some(reason) };
            out.event(Event::PermissionDenied(denied));
        }
    }
}
