//! The vocabulary: everything that can happen in a run.
//!
//! The names are the seeds' where they had one: `text`, `reasoning`, `tool_call_start`, `tool_call_delta`,
//! `tool_call`, `tool_result` and `result` with their JSON field names, `phase` with `phase_name`.
//! `ARCHITECTURE.md` has the table of what each agent prints for each event.

use crate::{AttemptSummary, Effects, Failure, FailureKind, Json, Start, ToolId, Usage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Declares the event structs with what all of them share.
macro_rules! event_types {
    ($($(#[$meta:meta])* pub $kind:ident $name:ident $body:tt)*) => {$(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        $(#[$meta])*
        pub $kind $name $body
    )*};
}

/// One thing that happened in a run.
///
/// Exactly one [`Event::Result`] ends every run, also after an interrupt, a kill or a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The run begins; always the first event.
    RunStarted(RunStarted),
    /// An agent process was started.
    AttemptStarted(AttemptStarted),
    /// The agent opened or resumed a session.
    SessionStarted(SessionStarted),
    /// The model begins a response.
    TurnStarted(TurnStarted),
    /// The caller named the part of the work that follows.
    Phase(Phase),
    /// A chunk of the answer.
    Text(Text),
    /// A chunk of the model's reasoning.
    Reasoning(Reasoning),
    /// Text that was already emitted is void: the agent dropped that response and tries again.
    TextRetracted(TextRetracted),
    /// The model begins to write a tool call.
    ToolCallStart(ToolCallStart),
    /// A fragment of a tool call's arguments.
    ToolCallDelta(ToolCallDelta),
    /// A tool is invoked.
    ToolCall(ToolCall),
    /// A tool is still running.
    ToolProgress(ToolProgress),
    /// A tool has returned.
    ToolResult(ToolResult),
    /// The agent's list of what it intends to do.
    Plan(Plan),
    /// What the agent runs beside its turns; comes whenever that changes.
    BackgroundTasks(BackgroundTasks),
    /// What the attempt has used so far.
    Usage(UsageReport),
    /// How full the model's context is.
    Context(Context),
    /// The agent shortens its own context.
    Compaction(Compaction),
    /// The state of the account's limits.
    RateLimit(RateLimit),
    /// A failed request is tried again, by the agent itself or, with a new attempt, by belay.
    Retry(Retry),
    /// belay waits before it goes on.
    Waiting(Waiting),
    /// The agent asks whether it may use a tool.
    PermissionRequest(PermissionRequest),
    /// What the agent was answered.
    PermissionDecision(PermissionDecision),
    /// The agent denied itself a tool, by its own rules.
    PermissionDenied(PermissionDenied),
    /// The caller sent a message to the running agent.
    Steered(Steered),
    /// The run was asked to stop.
    Interrupted(Interrupted),
    /// The agent has said what the attempt comes to; cleaning up comes after it and cannot lose it.
    AttemptResult(AttemptResult),
    /// One attempt is over.
    AttemptEnded(AttemptEnded),
    /// The run moves on to another agent or model.
    Failover(Failover),
    /// Something worth knowing that is none of the other events.
    Notice(Notice),
    /// The journal could not be written; the run goes on without it.
    LogDegraded(LogDegraded),
    /// A line was too long to be read; its beginning is in the raw log.
    OversizedLine(OversizedLine),
    /// An observer was too slow, and events were dropped for it alone.
    ObserverDropped(ObserverDropped),
    /// The agent printed something that this version of belay does not know.
    Unknown(Unknown),
    /// The end: exactly one a run, and the last event.
    Result(RunResult),
}

event_types! {
/// The run begins.
#[derive(Default)]
pub struct RunStarted {
    /// The version of belay that runs it.
    pub belay_version: String,
    /// The agents of the chain, in order.
    pub agents: Vec<String>,
    /// The agent's working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The trace that the run belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The span of somebody else's, as in W3C's Trace Context, under which the run stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The process that works on the run: others ask whether it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<RunProcess>,
    /// How surely everything that its agents start will be ended; each attempt says it once more when it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<Containment>,
}

/// The process that works on a run, so that whoever sees its journal, on this machine or on another one, can tell
/// whether it lives.
#[derive(Default, Eq)]
pub struct RunProcess {
    /// The name of its machine; empty where that is not known.
    pub host: String,
    /// The number that the machine's kernel has given itself when it was started.
    pub boot_id: String,
    /// The process id.
    pub pid: u32,
    /// When it was started, in ticks since its machine was: process ids come again.
    pub start: u64,
    /// It holds a lock on what it writes.
    pub locked: bool,
}

/// An agent process was started.
#[derive(Default)]
pub struct AttemptStarted {
    /// How belay talks with it: `print` or `dialogue`.
    pub transport: String,
    /// The command line, program first. The prompt is never in it.
    pub command: Vec<String>,
    /// The model that was asked for, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The process id of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How surely everything that the agent starts is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<Containment>,
}

/// How surely everything that an agent starts is ended.
#[derive(Copy, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Containment {
    /// A supervisor stands above all of it and ends it, also when belay is killed.
    Subreaper,
    /// belay kills the agent's process group and what else it finds; what hides lives on, and so does
    /// everything when belay is killed.
    ProcessGroup,
}

/// The agent opened or resumed a session.
#[derive(Default)]
pub struct SessionStarted {
    /// The agent's own id, good for resuming.
    pub session_id: String,
    /// The model, as the agent names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The version of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// The agent's permission mode, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<String>,
    /// The agent's working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The tools that the model is offered, if the agent lists them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
}

/// The model begins a response.
#[derive(Default)]
pub struct TurnStarted {
    /// The agent's id of the response, the same as in its text events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The model that responds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// The caller named the part of the work that follows.
#[derive(Default)]
pub struct Phase {
    /// For example `subreddit-discovery`.
    pub phase_name: String,
}

/// A chunk of the answer; chunks with the same `message_id` belong together.
#[derive(Default)]
pub struct Text {
    /// The chunk.
    pub text: String,
    /// The agent's id of the response that the chunk is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

/// A chunk of the model's reasoning.
#[derive(Default)]
pub struct Reasoning {
    /// The chunk.
    pub reasoning: String,
    /// The agent's id of the response that the chunk is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

/// Text that was already emitted is void.
#[derive(Default)]
pub struct TextRetracted {
    /// Discard all text and reasoning with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The text to discard, for readers that keep no ids.
    pub text: String,
}

/// The model begins to write a tool call.
#[derive(Default)]
pub struct ToolCallStart {
    /// Pairs with the call and its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<ToolId>,
    /// The tool.
    pub name: String,
}

/// A fragment of a tool call's arguments.
#[derive(Default)]
pub struct ToolCallDelta {
    /// Pairs with the call and its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<ToolId>,
    /// The tool.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A piece of JSON text; only all pieces together are JSON.
    pub args: String,
}

/// A tool is invoked.
#[derive(Default)]
pub struct ToolCall {
    /// Pairs with [`ToolResult::tool_id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<ToolId>,
    /// The agent's name for the tool; a shell is `Bash` on every agent, an MCP tool `mcp__server__tool`.
    pub name: String,
    /// The arguments.
    pub args: Json,
    /// What the tool can do.
    pub kind: ToolKind,
}

/// What a tool can do, as far as belay knows it.
#[derive(Copy, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// Looks, and changes nothing.
    Read,
    /// Changes files.
    Edit,
    /// Runs programs.
    Execute,
    /// Talks to the network.
    Network,
    /// Anything else; treat it as able to change things.
    #[default]
    Other,
}

/// A tool is still running, the agent says.
#[derive(Default)]
pub struct ToolProgress {
    /// Pairs with [`ToolCall::tool_id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<ToolId>,
    /// The tool, if the agent repeats it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long it has run so far, in milliseconds, if the agent says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
    /// True if this says nothing of the tool but that it has not returned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heartbeat: bool,
}

/// A tool has returned.
#[derive(Default)]
pub struct ToolResult {
    /// Pairs with [`ToolCall::tool_id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<ToolId>,
    /// The tool, as in [`ToolCall::name`]; missing if its call was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the tool printed.
    pub output: String,
    /// True if the tool failed or was not run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tool_error: bool,
    /// The exit code, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// The agent's list of what it intends to do.
#[derive(Default)]
pub struct Plan {
    /// The steps, in order; each plan replaces the one before.
    pub items: Vec<PlanItem>,
}

/// One step of a [`Plan`].
#[derive(Default)]
pub struct PlanItem {
    /// The step in words.
    pub text: String,
    /// How far it is.
    pub status: PlanStatus,
}

/// How far a step is.
#[derive(Copy, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    /// Not begun.
    #[default]
    Pending,
    /// Being worked on.
    InProgress,
    /// Done.
    Completed,
}

/// What the agent runs beside its turns; each list replaces the one before.
#[derive(Default)]
pub struct BackgroundTasks {
    /// The tasks that are open now, oldest first: a hundred of them at most.
    pub tasks: Vec<BackgroundTask>,
    /// How many are open besides.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
    /// True if the agent's turn is over and it waits for these tasks alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waiting: bool,
}

/// A subagent or command that an agent runs on after its turn.
#[derive(Default, Eq)]
pub struct BackgroundTask {
    /// The agent's id of the task.
    pub task_id: String,
    /// What runs.
    #[serde(default)]
    pub task_kind: TaskKind,
    /// The agent's words for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The tool call that started it; events of a subagent have it as their `parent_tool_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<ToolId>,
    /// The task that started it, if the main thread did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_task_id: Option<String>,
}

/// What a [`BackgroundTask`] is.
#[derive(Copy, Eq, Default)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskKind {
    /// An agent of the agent's own, whose report the answer depends on.
    Subagent,
    /// A shell command, or a watch over something; it may be meant never to end.
    Command,
    /// Anything else.
    #[default]
    Other,
}

/// What the attempt has used so far; each report replaces the one before.
#[derive(Default)]
pub struct UsageReport {
    /// Totals since the attempt began.
    pub usage: Usage,
}

/// How full the model's context is.
pub struct Context {
    /// Tokens in the context after the last response.
    pub used_tokens: u64,
    /// The size of the context window in tokens, if anybody knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_tokens: Option<u64>,
    /// Who says so.
    pub source: ContextSource,
}

/// Who says how large a context window is.
#[derive(Copy, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum ContextSource {
    /// The agent.
    #[default]
    Agent,
    /// The configuration.
    Config,
    /// The price data.
    Prices,
}

/// The agent shortens its own context.
pub struct Compaction {
    /// How far it is.
    pub status: CompactionStatus,
    /// What the agent says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How far a compaction is.
#[derive(Copy, Eq)]
#[serde(rename_all = "snake_case")]
pub enum CompactionStatus {
    /// It has begun.
    Started,
    /// The context is shorter now.
    Completed,
    /// It failed; the context is as it was.
    Failed,
}

/// The state of the account's limits.
#[derive(Default)]
pub struct RateLimit {
    /// True if the limit stops the work now.
    pub rejected: bool,
    /// The windows, as the agent reports them.
    pub windows: Vec<RateLimitWindow>,
}

/// One window of a limit.
#[derive(Default)]
pub struct RateLimitWindow {
    /// The agent's name for it: `five_hour`, `primary`.
    pub name: String,
    /// How much of it is used, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_percent: Option<f64>,
    /// When it starts anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// The agent's word for its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// The agent itself tries a failed request again.
#[derive(Default)]
pub struct Retry {
    /// Which try comes next, from 1, if the agent counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<u64>,
    /// How many there may be, if the agent says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries_max: Option<u64>,
    /// How long the agent sleeps first, in milliseconds, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Until when it sleeps, if it says that instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The HTTP status of the failed request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The agent's word or sentence for what failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What kind of failure that would be if it were not tried again, if the agent's own fields or words say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<FailureKind>,
    /// Why the attempt failed, if it is belay that tries again, with a new attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// belay waits before it goes on.
pub struct Waiting {
    /// Until when.
    pub until: Timestamp,
    /// What for.
    pub reason: String,
    /// The candidate that is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
    /// What made it necessary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// The agent asks whether it may use a tool.
#[derive(Default)]
pub struct PermissionRequest {
    /// Pairs with [`PermissionDecision::permission_id`].
    pub permission_id: String,
    /// The tool call it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<ToolId>,
    /// The tool.
    pub name: String,
    /// The arguments.
    #[serde(default)]
    pub args: Json,
    /// What the tool can do.
    pub kind: ToolKind,
    /// Why the agent asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the agent was answered.
pub struct PermissionDecision {
    /// Pairs with [`PermissionRequest::permission_id`].
    pub permission_id: String,
    /// The answer.
    pub decision: Decision,
    /// Who answered.
    pub by: DecisionSource,
}

/// An answer to a permission request.
#[derive(Copy, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// This once.
    Allow,
    /// No; the agent may go on without.
    Deny,
}

/// Who answered a permission request.
#[derive(Copy, Eq)]
#[serde(rename_all = "snake_case")]
pub enum DecisionSource {
    /// The request's own policy, at once, because nobody else is there.
    Policy,
    /// The caller's handler.
    Caller,
}

/// The agent denied itself a tool, by its own rules.
#[derive(Default)]
pub struct PermissionDenied {
    /// The tool call it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<ToolId>,
    /// The tool.
    pub name: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The caller sent a message to the running agent: one event per message, as soon as its fate is known.
#[derive(Default)]
pub struct Steered {
    /// The message.
    pub text: String,
    /// True if the agent has taken the message into its conversation, so that the next model request has it; an
    /// agent that does not say so has at least received it. False if the model never sees it in this run.
    pub delivered: bool,
    /// Why it was not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The run was asked to stop.
pub struct Interrupted {
    /// Why.
    pub reason: StopReason,
    /// Why in words, if there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Why a run was asked to stop.
#[derive(Copy, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// Somebody said so: Ctrl-C, or the library's interrupter.
    User,
    /// belay itself was told to end (SIGTERM, SIGHUP).
    Shutdown,
    /// The caller no longer listens.
    Dropped,
    /// The turn limit.
    TurnLimit,
    /// The run's time is up.
    Deadline,
    /// The run's money is spent.
    Budget,
    /// The agent has been silent for too long.
    Stalled,
    /// The agent repeats itself without end.
    Loop,
    /// Another run uses the session that the agent has resumed.
    SessionInUse,
}

/// What an attempt comes to, in the agent's words; if belay is killed now, this is the run's result.
///
/// An agent whose turn was not the last one has a further result, which replaces this one.
#[derive(Default)]
pub struct AttemptResult {
    /// The answer, or what was reached of it.
    pub result: String,
    /// What the attempt used.
    pub usage: Usage,
    /// Why it did not answer, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The agent's session, good for resuming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The model that answered, as the agent names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// True if background tasks were still open: what was used is paid for, but the work is not done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provisional: bool,
}

/// One attempt is over.
#[derive(Default)]
pub struct AttemptEnded {
    /// What it used.
    pub usage: Usage,
    /// Why it did not answer, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The agent's session, good for resuming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The exit code of the process, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended the process, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// True if belay had to end the process.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// True if something that the agent left behind held its output open, which was waited for no longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pipes_held_open: bool,
    /// What the agent had started and left running.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<LeftProcess>,
    /// What the attempt may have changed; nothing if it is not there.
    #[serde(default, skip_serializing_if = "Effects::is_none")]
    pub effects: Effects,
}

/// A process that was there when its agent was gone.
#[derive(Default, Eq)]
pub struct LeftProcess {
    /// Its process id.
    pub pid: u32,
    /// Its command line, or the beginning of it.
    pub command: String,
    /// True if belay killed it; otherwise it still runs.
    pub killed: bool,
    /// True if it is a part of the agent: a second process of its program, or an MCP server of the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub helper: bool,
}

/// The run moves on to another agent or model.
pub struct Failover {
    /// The candidate that gave up.
    pub from: String,
    /// The candidate that takes over.
    pub to: String,
    /// Why.
    pub failure: Failure,
    /// What the attempts so far may have changed.
    #[serde(default)]
    pub effects: Effects,
    /// How the candidate begins.
    #[serde(default)]
    pub start: Start,
}

/// Something worth knowing that is none of the other events.
#[derive(Default)]
pub struct Notice {
    /// How much it matters.
    pub level: Level,
    /// A stable name for programs, if there is one: `model_fallback`, `option_ignored`, `stderr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The words for people.
    pub text: String,
}

/// How much a [`Notice`] matters.
#[derive(Copy, Eq, PartialOrd, Ord, Default)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For whoever looks closely.
    Debug,
    /// Good to know.
    #[default]
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something failed.
    Error,
}

/// The journal could not be written.
#[derive(Default)]
pub struct LogDegraded {
    /// What failed.
    pub message: String,
}

/// A line was too long to be read.
#[derive(Default)]
pub struct OversizedLine {
    /// Its length in bytes.
    pub bytes: u64,
}

/// An observer was too slow.
#[derive(Default)]
pub struct ObserverDropped {
    /// Which one.
    pub observer: String,
    /// How many records it did not see.
    pub dropped: u64,
}

/// The agent printed something that this version of belay does not know.
#[derive(Default)]
pub struct Unknown {
    /// The line as it came. (`raw` in the envelope is the line's place in the journal.)
    pub line: String,
}

/// The end of a run.
#[derive(Default)]
pub struct RunResult {
    /// The answer; what was reached of it if the run failed.
    pub result: String,
    /// True if the run did not answer.
    pub is_error: bool,
    /// Totals over all attempts.
    pub usage: Usage,
    /// Why the run did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The session to resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The model that answered, as the agent names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The value that the agent checked against a schema, if it was given one (`-- --json-schema …`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Json>,
    /// The tools that were denied on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Denial>,
    /// What puts the answer in doubt, or has kept the agent from its work; each is a notice of the run too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// When a limit ends that stopped the run, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// The attempts, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptSummary>,
}

/// A notice that a result is not to be read without.
#[derive(Default, Eq)]
pub struct Warning {
    /// What sort of thing, such as `maybe_failed`; as in [`Notice::code`].
    pub code: String,
    /// What it is, in words.
    pub text: String,
}

/// A tool that was denied.
#[derive(Default)]
pub struct Denial {
    /// The tool call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<ToolId>,
    /// The tool.
    pub name: String,
}
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Event {
    /// The type name as it stands in JSON.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::RunStarted(_) => "run_started",
            Self::AttemptStarted(_) => "attempt_started",
            Self::SessionStarted(_) => "session_started",
            Self::TurnStarted(_) => "turn_started",
            Self::Phase(_) => "phase",
            Self::Text(_) => "text",
            Self::Reasoning(_) => "reasoning",
            Self::TextRetracted(_) => "text_retracted",
            Self::ToolCallStart(_) => "tool_call_start",
            Self::ToolCallDelta(_) => "tool_call_delta",
            Self::ToolCall(_) => "tool_call",
            Self::ToolProgress(_) => "tool_progress",
            Self::ToolResult(_) => "tool_result",
            Self::Plan(_) => "plan",
            Self::BackgroundTasks(_) => "background_tasks",
            Self::Usage(_) => "usage",
            Self::Context(_) => "context",
            Self::Compaction(_) => "compaction",
            Self::RateLimit(_) => "rate_limit",
            Self::Retry(_) => "retry",
            Self::Waiting(_) => "waiting",
            Self::PermissionRequest(_) => "permission_request",
            Self::PermissionDecision(_) => "permission_decision",
            Self::PermissionDenied(_) => "permission_denied",
            Self::Steered(_) => "steered",
            Self::Interrupted(_) => "interrupted",
            Self::AttemptResult(_) => "attempt_result",
            Self::AttemptEnded(_) => "attempt_ended",
            Self::Failover(_) => "failover",
            Self::Notice(_) => "notice",
            Self::LogDegraded(_) => "log_degraded",
            Self::OversizedLine(_) => "oversized_line",
            Self::ObserverDropped(_) => "observer_dropped",
            Self::Unknown(_) => "unknown",
            Self::Result(_) => "result",
        }
    }

    /// The event as the agent's driver made it: without the context window that belay has put in for an agent
    /// that does not tell it.
    #[must_use]
    pub fn of_driver(mut self) -> Self {
        if let Self::Context(context) = &mut self
            && context.source != ContextSource::Agent
        {
            (context.window_tokens, context.source) = (None, ContextSource::Agent);
        }
        self
    }

    /// A notice.
    pub fn notice(level: Level, code: &str, text: impl Into<String>) -> Self {
        Self::Notice(Notice { level, code: Some(code.to_owned()), text: text.into() })
    }

    /// A message of the caller's that the agent has.
    pub fn steered(text: impl Into<String>) -> Self {
        Self::Steered(Steered { text: text.into(), delivered: true, reason: None })
    }

    /// A message of the caller's that the agent does not get.
    pub fn not_steered(text: impl Into<String>, reason: impl Into<String>) -> Self {
        let reason = Some(reason.into());
        Self::Steered(Steered { text: text.into(), delivered: false, reason })
    }

    /// A line of the agent's that its driver does not know.
    pub fn unknown(line: &[u8]) -> Self {
        Self::Unknown(Unknown { line: String::from_utf8_lossy(line).into_owned() })
    }
}
