//! The data that belay puts on the wire and on disk: events, usage, failures, trace trees and the journal.
//!
//! This crate starts no process, opens no socket and knows no agent by name. Whoever only reads what belay
//! wrote (a viewer, a script, a test) needs this crate and no other.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod attempts;
mod blob;
mod completion;
mod control;
mod event;
pub mod exit_code;
mod failure;
mod fold;
mod folders;
mod ids;
pub mod journal;
mod json;
mod lines;
mod liveness;
pub mod lock;
mod long;
mod node;
mod overview;
mod parts;
mod progress;
mod read;
mod record;
mod regular;
mod running;
mod store;
pub mod stored_path;
mod tail;
mod trace_config;
mod traces;
mod usage;
pub mod view;
mod visible;

pub use crate::attempts::{AttemptSummary, Effects, Start};
pub use crate::completion::CompletionRecord;
pub use crate::control::{ControlLine, NoControlLine};
pub use crate::event::{
    AttemptEnded, AttemptResult, AttemptStarted, BackgroundTask, BackgroundTasks, Compaction,
    CompactionStatus, Containment, Context, ContextSource, Decision, DecisionSource, Denial, Event,
    Failover, Interrupted, LeftProcess, Level, LogDegraded, Notice, ObserverDropped, OversizedLine,
    PermissionDecision, PermissionDenied, PermissionRequest, Phase, Plan, PlanItem, PlanStatus,
    RateLimit, RateLimitWindow, Reasoning, Retry, RunProcess, RunResult, RunStarted,
    SessionStarted, Steered, StopReason, TaskKind, Text, TextRetracted, ToolCall, ToolCallDelta,
    ToolCallStart, ToolKind, ToolProgress, ToolResult, TurnStarted, Unknown, UsageReport, Waiting,
    Warning,
};
pub use crate::failure::{Evidence, EvidenceSource, Failure, FailureKind};
pub use crate::fold::Fold;
pub use crate::ids::{BadId, ToolId, TraceId};
pub use crate::json::Json;
pub use crate::lines::Integrity;
pub use crate::liveness::Liveness;
pub use crate::long::LongField;
pub use crate::node::{Node, NodeStatus, NodeType};
pub use crate::overview::{Overview, SESSION_QUEUE};
pub use crate::read::{Excess, ReadError, read_file, read_latest};
pub use crate::record::{BlobRef, RawRef, Record, VERSION};
pub use crate::regular::{open_regular, read_regular};
pub use crate::running::{
    RUNNING_DIR, RunningMark, dead_runs, is_at_work, is_mark_held, running_file,
};
pub use crate::store::{NoSuchRun, RunState, RunSummary, Store, StoredRun};
pub use crate::tail::Tail;
pub use crate::trace_config::{SessionStart, TraceConfig, TraceEnd, TraceStart};
pub use crate::traces::{NoSuchTrace, StoredTrace, Traces};
pub use crate::usage::{CostSource, ModelUsage, Usage};
pub use crate::visible::{is_invisible, plain, visible, visible_json, visible_line};
