//! Codex's helpers (`spawn_agent`): threads of their own on the same connection, which a turn has started.
//!
//! The parent's thread tells which call has started a helper (`subAgentActivity`, or `collabAgentToolCall` of older
//! versions); everything else comes as notifications of the helper's own thread, tokens included, and its turn goes
//! on when the parent's is over (measured, 0.169.0).

use super::items::{Item, Items, Sort};
use super::meter::Meter;
use super::rpc::{DeltaNote, ErrorNote, ItemNote, PieceNote, ThreadNote, TokenNote, TurnNote};
use super::{asides, classify, retry};
use crate::background::Background;
use crate::protocol::{Action, Out};
use crate::wire::decode;
use belay_trace::{
    BackgroundTask, Context, ContextSource, Event, Level, Retry, TaskKind, ToolId, ToolProgress,
    TurnStarted, Usage,
};

/// How many helpers are known: more than Codex runs at once, and a bound for a stream that is forged.
const HELPERS_MAX: usize = 1000;

/// The helpers of one conversation.
#[derive(Default)]
pub(super) struct Helpers {
    list: Vec<Helper>,
    background: Background,
    /// What was in the report of a turn already.
    reported: Usage,
}

/// One of them.
#[derive(Default)]
struct Helper {
    thread: String,
    /// The call that has started it; its thread, until that is known.
    call: Option<ToolId>,
    name: String,
    model: Option<String>,
    /// The thread that has started it, if that is a helper too.
    parent: Option<String>,
    /// It was started by a turn of this run, as far as anyone has said.
    is_ours: bool,
    items: Items,
    meter: Meter,
    /// Its turn that runs.
    turn: Option<String>,
    is_responding: bool,
}

impl Helpers {
    /// A call of the parent's thread has started a helper, or several, if the item says so.
    pub(super) fn started_by(&mut self, item: &Item<'_>, parent: &str, out: &mut Out) {
        for thread in item.started_threads() {
            let Some(helper) = self.helper(thread) else { return };
            helper.call = Some(ToolId::from(item.id.as_ref()));
            helper.name = item.helper_name().unwrap_or_default();
            helper.model = item.helper_model().or(helper.model.take());
            let (is_new, thread) =
                (!std::mem::replace(&mut helper.is_ours, true), thread.to_owned());
            self.set_parent(&thread, parent);
            if is_new {
                // Its turn is about to begin.
                self.open(&thread, out);
            }
        }
        // Of one whose turn runs, its own thread says the end.
        let ended = item.ended_thread().filter(|thread| {
            let is_it = |helper: &&Helper| helper.thread == *thread;
            self.list.iter().find(is_it).is_some_and(|helper| helper.turn.is_none())
        });
        if let Some(thread) = ended {
            self.close(thread, out);
        }
    }

    /// A thread was opened, perhaps one of a helper: that has a thread of this run above it.
    pub(super) fn opened(&mut self, note: ThreadNote, own: Option<&str>) {
        let Some(parent) = note.thread.parent_thread_id else { return };
        if own != Some(parent.as_str()) && !self.know(&parent) {
            return;
        }
        let Some(helper) = self.helper(&note.thread.id) else { return };
        helper.is_ours = true;
        helper.model = note.thread.model.or(helper.model.take());
        self.set_parent(&note.thread.id, &parent);
    }

    /// Reads what a thread of a helper says; `None` if this version does not know it. `sum` adds what the run's own
    /// thread has used.
    pub(super) fn hear(
        &mut self,
        thread: &str,
        method: &str,
        params: &str,
        sum: &Usage,
        out: &mut Out,
    ) -> Option<()> {
        let from = out.actions.len();
        let known = self.read(thread, method, params, sum, out);
        let call = self.helper(thread).and_then(|helper| helper.call.clone());
        let call = call.unwrap_or_else(|| ToolId::from(thread));
        for action in out.actions.iter_mut().skip(from) {
            if let Action::Emit(emitted) = action
                && !matches!(emitted.event, Event::BackgroundTasks(_))
            {
                emitted.parent_tool_id.get_or_insert_with(|| call.clone());
            }
        }
        known
    }

    fn read(
        &mut self,
        thread: &str,
        method: &str,
        params: &str,
        sum: &Usage,
        out: &mut Out,
    ) -> Option<()> {
        let helper = self.helper(thread)?;
        match method {
            "turn/started" => {
                let note: TurnNote = decode(params)?;
                out.progress();
                helper.turn = Some(note.turn.id);
                if helper.is_ours {
                    self.open(thread, out);
                }
            }
            "turn/completed" => {
                out.progress();
                (helper.turn, helper.is_responding) = (None, false);
                if let Some(error) = decode::<TurnNote>(params).and_then(|note| note.turn.error) {
                    out.event(Event::notice(Level::Warn, "subagent_failed", error.message));
                }
                self.close(thread, out);
            }
            "item/started" | "item/completed" => {
                let item = decode::<ItemNote<'_>>(params)?.item;
                if item.sort() == Sort::Unknown {
                    return None;
                }
                out.progress();
                helper.responds(&item, out);
                match method {
                    "item/started" => helper.items.started(&item, out),
                    _ => {
                        helper.items.completed(&item, out);
                    }
                }
                self.started_by(&item, thread, out);
            }
            "item/agentMessage/delta" => {
                let note: DeltaNote = decode(params)?;
                helper.items.text_delta(&note.item_id, note.delta, out);
            }
            "item/reasoning/summaryTextDelta" | "item/reasoning/textDelta" => {
                let note: DeltaNote = decode(params)?;
                helper.items.reasoning_delta(&note.item_id, note.delta, out);
            }
            "thread/tokenUsage/updated" => {
                let report = decode::<TokenNote>(params)?.token_usage;
                helper.is_responding = false;
                if helper.meter.report(&report, true) {
                    let (used_tokens, window_tokens) =
                        (report.last.total_tokens, helper.meter.window());
                    let mut usage = sum.clone();
                    usage.add(&self.usage());
                    out.event(Event::Usage(belay_trace::UsageReport { usage }));
                    let source = ContextSource::Agent;
                    out.event(Event::Context(Context { used_tokens, window_tokens, source }));
                }
            }
            "error" => {
                let ErrorNote { error, will_retry } = decode(params)?;
                if will_retry {
                    helper.items.retract(out);
                    helper.is_responding = false;
                    let retry = retry::of_message(&error.message).unwrap_or_default();
                    let kind = classify::of_retry(&error.message, error.codex_error_info.as_ref());
                    out.event(Event::Retry(Retry { reason: error.message, kind, ..retry }));
                } else {
                    out.event(Event::notice(Level::Error, "error", error.message));
                }
            }
            "thread/closed" => self.close(thread, out),
            _ if asides::is_piece(method) => {
                // Nothing else shows that a helper gets on whose command takes long.
                let tool_id = decode::<PieceNote>(params)?.item_id.map(ToolId);
                out.event(Event::ToolProgress(ToolProgress { tool_id, ..ToolProgress::default() }));
            }
            _ => {}
        }
        Some(())
    }

    /// True if the thread is one of a helper's.
    pub(super) fn know(&self, thread: &str) -> bool {
        self.list.iter().any(|helper| helper.thread == thread && helper.is_ours)
    }

    /// The call that has started the helper of this thread.
    pub(super) fn call_of(&self, thread: &str) -> Option<ToolId> {
        self.list.iter().find(|helper| helper.thread == thread)?.call.clone()
    }

    /// Helpers are at work.
    pub(super) fn are_open(&self) -> bool {
        self.background.is_open()
    }

    /// All that are at work have given their answers: what is left is the end of their turns.
    pub(super) fn have_answered(&self) -> bool {
        let mut open = self.background.open();
        open.all(|task| {
            let helper = self.list.iter().find(|helper| helper.thread == task.task_id);
            helper.is_some_and(|helper| helper.items.has_answer())
        })
    }

    /// None of them is waited for any longer.
    pub(super) fn give_up(&mut self, out: &mut Out) {
        for helper in &self.list {
            self.background.ended(&helper.thread);
        }
        self.background.tell(out);
    }

    /// The turns that are open, by thread and id: what has to be interrupted.
    pub(super) fn open_turns(&self) -> Vec<(String, String)> {
        let open = self.list.iter().filter(|helper| helper.is_ours);
        open.filter_map(|helper| Some((helper.thread.clone(), helper.turn.clone()?))).collect()
    }

    /// A turn of the run begins.
    pub(super) fn turn_began(&mut self, out: &mut Out) {
        self.background.turn_began();
        self.background.tell(out);
    }

    /// The run's own turn is over; what they have used so far is in its report.
    pub(super) fn turn_ended(&mut self, out: &mut Out) {
        self.background.turn_ended();
        self.background.tell(out);
        self.reported = self.usage();
    }

    /// What all of them have used. Their responses are no turns of the run.
    pub(super) fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for helper in &self.list {
            sum.add(&Usage { num_turns: None, ..helper.meter.usage() });
        }
        sum
    }

    /// What they have used since the last turn was reported.
    pub(super) fn unreported(&self) -> Usage {
        self.usage().since(&self.reported)
    }

    fn set_parent(&mut self, thread: &str, parent: &str) {
        let parent = self.know(parent).then(|| parent.to_owned());
        if let Some(helper) = self.helper(thread) {
            helper.parent = parent;
        }
    }

    fn open(&mut self, thread: &str, out: &mut Out) {
        let Some(helper) = self.helper(thread) else { return };
        let task = BackgroundTask {
            task_id: helper.thread.clone(),
            task_kind: TaskKind::Subagent,
            description: helper.name.clone(),
            tool_id: Some(helper.call.clone().unwrap_or_else(|| ToolId::from(thread))),
            parent_task_id: helper.parent.clone(),
        };
        self.background.works(task);
        self.background.tell(out);
    }

    fn close(&mut self, thread: &str, out: &mut Out) {
        self.background.ended(thread);
        self.background.tell(out);
    }

    /// The helper of this thread, which may be new; `None` if there are too many.
    fn helper(&mut self, thread: &str) -> Option<&mut Helper> {
        let at = self.list.iter().position(|helper| helper.thread == thread);
        let at = at.unwrap_or(self.list.len());
        if at == self.list.len() && at < HELPERS_MAX {
            let (thread, meter) = (thread.to_owned(), Meter::new(true));
            self.list.push(Helper { thread, meter, ..Helper::default() });
        }
        self.list.get_mut(at)
    }
}

impl Helper {
    /// Says that its model responds, once for each response.
    fn responds(&mut self, item: &Item<'_>, out: &mut Out) {
        let is_of_model = matches!(item.sort(), Sort::Words | Sort::Tool);
        if is_of_model && !std::mem::replace(&mut self.is_responding, true) {
            let model = self.model.clone();
            out.event(Event::TurnStarted(TurnStarted { message_id: None, model }));
        }
    }
}
