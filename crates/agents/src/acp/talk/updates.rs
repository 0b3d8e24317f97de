//! The prompt, what the agent tells while it works on it, and its answer.

use super::late::Sign;
use super::raw::{self, Raw};
use super::{ARGUMENTS_QUIET, Asked, Heard, Talk};
use crate::Image;
use crate::acp::meter::{Answer, Tokens};
use crate::acp::tools::Step;
use crate::acp::{classify, tools};
use crate::failures::told_as_answer::{self, Lead};
use crate::protocol::{Action, Out, TimerId};
use crate::provider_error::status_in;
use crate::verdict::is_command;
use crate::wire::{decode, lenient};
use agent_client_protocol_schema::v1::{
    ContentChunk, PlanEntryStatus, SessionNotification, SessionUpdate, ToolCallUpdate,
};
use belay_trace::{
    Event, EvidenceSource, Failure, FailureKind, Level, Plan, PlanItem, PlanStatus, Reasoning,
    Retry, Text, ToolId, UsageReport,
};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

impl Talk {
    pub(super) fn prompt(&mut self, out: &mut Out) {
        if self.interrupted {
            return self.fail(FailureKind::Interrupted, "interrupted before the turn began", out);
        }
        let mut prompt = vec![json!({"type": "text", "text": self.request.composed_prompt()})];
        let images = self.request.images.iter().filter_map(Image::base64);
        prompt.extend(
            images.map(|(mime, data)| json!({"type": "image", "mimeType": mime, "data": data})),
        );
        let params = json!({"sessionId": self.session_id, "prompt": prompt});
        self.prompting = true;
        self.ask(Asked::Prompt, "session/prompt", params, out);
    }

    pub(super) fn prompt_answered(&mut self, answer: Answer, out: &mut Out) {
        self.meter.answered(&answer);
        self.turn.model = answer.model().or(self.turn.model.take());
        if self.meter.has_news() {
            out.event(Event::Usage(UsageReport { usage: self.meter.so_far() }));
        }
        self.answered(answer, out);
    }

    /// Says what the turn comes to: all of it is heard.
    pub(super) fn conclude(&mut self, answer: &Answer, out: &mut Out) {
        let failure = self.failure_of(answer, out);
        self.end_turn(failure, out);
    }

    /// Why an answer to the prompt is none.
    fn failure_of(&self, answer: &Answer, out: &mut Out) -> Option<Failure> {
        let reason = answer.stop_reason.as_str();
        let by_reason =
            |failure: Failure| Some(failure.with(EvidenceSource::Field, "stopReason", reason));
        if self.cancel_sent {
            // Whatever the agent calls it: a turn that was cut off is no answer, and not its failure either.
            return by_reason(Failure::new(FailureKind::Interrupted, "interrupted"));
        }
        let own_words = self.own_words(answer, out);
        // Without a tool call it is a failure anyway; behind one, where silence is what becomes of a failure.
        let silence_fails = self.preset.quirks.silence_is_failure && !self.is_command();
        let gave_up = self.turn.is_silent() && self.calls.last_is_denied();
        match reason {
            "end_turn" if own_words.is_some() => own_words,
            "end_turn" if gave_up => {
                let words = "the agent gave up when a tool was not permitted";
                by_reason(Failure::new(FailureKind::PermissionDenied, words))
            }
            "end_turn"
                if self.preset.quirks.uncounted_is_failure
                    && answer.counts_nothing()
                    && !self.is_command() =>
            {
                let words = "the answer broke off: the agent counted no token of it";
                by_reason(Failure::new(FailureKind::Network, words))
            }
            "end_turn" if self.turn.is_silent() && silence_fails => {
                let words = "the turn ended without a word, as one that broke off does";
                by_reason(Failure::new(FailureKind::Protocol, words))
            }
            "end_turn" => None,
            "refusal" if self.is_told_failure(answer) => {
                Some(classify::of_own_words(self.preset.failures, &self.turn.answer(true)))
            }
            "cancelled" => by_reason(Failure::new(FailureKind::Interrupted, "interrupted")),
            "" => Some(Failure::new(FailureKind::Protocol, "the turn ended unreadably")),
            _ => Some(classify::of_stop(self.preset.failures, reason)),
        }
    }

    /// The failure of a turn that the agent ends as if it had been answered, in words of its own.
    fn own_words(&self, answer: &Answer, out: &mut Out) -> Option<Failure> {
        let known = self.preset.own_words;
        let like_failure = self.turn.last_alone().filter(|chunk| known.is_like_failure(chunk));
        let told = self.turn.answer(true);
        let (words, is_unsure) = match like_failure {
            _ if self.is_broken => (Some(self.turn.last_chunk().unwrap_or_default()), false),
            Some(_) if answer.is_counted() => (None, true),
            Some(chunk) => (Some(chunk), false),
            None if known.may_be_failures => match told_as_answer::lead(&told) {
                Some(Lead::Certain(sign)) if self.is_nothing_else(answer, sign) => {
                    (Some(told.as_str()), false)
                }
                lead => (None, lead.is_some()),
            },
            None => (None, false),
        };
        if is_unsure && answer.stop_reason == "end_turn" {
            let words = "its last words may be a failure: agents over ACP tell some as answers";
            out.event(Event::notice(Level::Warn, "maybe_failed", words));
        }
        words.map(|words| classify::of_own_words(self.preset.failures, words))
    }

    /// True if nothing of the turn speaks for an answer of the model's: no tool, no second message, no token that was
    /// counted, and no prompt that asks for the very words.
    fn is_nothing_else(&self, answer: &Answer, sign: &str) -> bool {
        self.turn.is_one_message()
            && !answer.is_counted()
            && self.meter.so_far().input_tokens.is_none()
            && !self.request.composed_prompt().contains(sign)
    }

    /// True if the agent calls a failure of its provider's a refusal, which nobody would try elsewhere.
    fn is_told_failure(&self, answer: &Answer) -> bool {
        let words = self.turn.answer(true);
        let mut leads = self.preset.own_words.refused_failures.iter();
        let sign = told_as_answer::named(&words);
        leads.any(|lead| words.starts_with(lead))
            || sign.is_some_and(|sign| self.is_nothing_else(answer, sign))
    }

    /// True for a prompt that the agent may carry out itself, without a model.
    pub(super) fn is_command(&self) -> bool {
        is_command(&self.request.composed_prompt())
    }

    pub(super) fn notification(
        &mut self,
        method: &str,
        params: &RawValue,
        out: &mut Out,
    ) -> Option<()> {
        if method == "_session/retrying" {
            return self.retries(params, out);
        }
        if method != "session/update" {
            let is_aside = self.preset.asides.iter().any(|begin| method.starts_with(begin));
            return is_aside.then_some(());
        }
        let note: SessionNotification = decode(params.get())?;
        let ours = self.session_id.as_deref();
        if ours.is_some_and(|ours| ours != note.session_id.0.as_ref()) {
            let words = "an update of another session";
            out.event(Event::notice(Level::Debug, "subagent", words));
            return Some(());
        }
        let sign = Sign::of(&note.update);
        if self.has_ended && self.heard == Heard::Live && sign != Sign::Aside {
            Self::too_late(&note.update, out);
            return Some(());
        }
        match raw::parent(params).filter(|_| self.prompting) {
            Some(parent) => self.of_subagent(&ToolId(parent), note.update, params, out)?,
            None => self.update(note.update, params, out)?,
        }
        self.heard_late(sign, out);
        Some(())
    }

    /// The agent tries a request to its model again: Vibe says so, for each one.
    fn retries(&self, params: &RawValue, out: &mut Out) -> Option<()> {
        #[derive(Deserialize)]
        struct Retrying {
            #[serde(default, deserialize_with = "lenient")]
            category: String,
            #[serde(default, deserialize_with = "lenient")]
            detail: String,
        }
        let Retrying { category, detail } = decode(params.get())?;
        let reason = if detail.is_empty() { category.replace('_', " ") } else { detail };
        let failure = classify::of_retry(self.preset.failures, &category, &reason);
        out.event(Event::Retry(Retry {
            status: status_in(&reason),
            kind: Some(failure.kind).filter(|kind| *kind != FailureKind::Unknown),
            reason,
            ..Retry::default()
        }));
        Some(())
    }

    /// What a subagent says and does in the session of its parent: none of it is the answer.
    fn of_subagent(
        &mut self,
        parent: &ToolId,
        update: SessionUpdate,
        params: &RawValue,
        out: &mut Out,
    ) -> Option<()> {
        let mut said = Out::default();
        match update {
            SessionUpdate::AgentMessageChunk(chunk) => {
                let (text, message_id) =
                    (tools::text_of(&chunk.content), message_id(&chunk, params));
                if !text.is_empty() {
                    said.event(Event::Text(Text { text, message_id }));
                }
            }
            SessionUpdate::AgentThoughtChunk(chunk) => {
                let (reasoning, message_id) =
                    (tools::text_of(&chunk.content), message_id(&chunk, params));
                if !reasoning.is_empty() {
                    said.event(Event::Reasoning(Reasoning { reasoning, message_id }));
                }
            }
            SessionUpdate::ToolCall(call) => self.subagent_tool(&call.into(), params, &mut said),
            SessionUpdate::ToolCallUpdate(update) => self.subagent_tool(&update, params, &mut said),
            other => return self.update(other, params, out),
        }
        for action in said.actions {
            if let Action::Emit(emitted) = action {
                out.event_under(Some(parent.clone()), emitted.event);
            }
        }
        Some(())
    }

    fn subagent_tool(&mut self, update: &ToolCallUpdate, params: &RawValue, out: &mut Out) {
        self.tool_heard_late(&update.tool_call_id.0);
        let beside = Raw::read(params);
        self.calls.update(update, beside.for_call().with(&self.terminals), out);
    }

    fn update(&mut self, update: SessionUpdate, params: &RawValue, out: &mut Out) -> Option<()> {
        match update {
            SessionUpdate::AvailableCommandsUpdate(_)
            | SessionUpdate::CurrentModeUpdate(_)
            | SessionUpdate::ConfigOptionUpdate(_)
            | SessionUpdate::UserMessageChunk(_) => {}
            SessionUpdate::SessionInfoUpdate(_) => {
                if let Some(is_broken) = raw::is_broken(params) {
                    self.is_broken = is_broken && self.prompting;
                }
                if let Some(is_working) = raw::is_working(params) {
                    self.works(is_working, out);
                }
            }
            SessionUpdate::UsageUpdate(update) => {
                let cost = update.cost.filter(|cost| cost.currency == "USD");
                if let Some(cost) = cost {
                    self.meter.session_cost(cost.amount);
                }
                self.meter.window = Some(update.size).filter(|size| *size > 0);
                // Said when the session was opened, it may come behind the prompt.
                if !self.turn.has_begun()
                    && let Some(base) = raw::session_tokens(params)
                {
                    self.meter.session_base(base);
                }
                if self.prompting {
                    out.event(Event::Context(belay_trace::Context {
                        used_tokens: update.used,
                        window_tokens: self.meter.window,
                        source: belay_trace::ContextSource::Agent,
                    }));
                }
            }
            SessionUpdate::AgentMessageChunk(chunk) if self.is_greeting(&chunk) => {
                let text = tools::text_of(&chunk.content);
                out.event(Event::notice(Level::Debug, "household", text));
            }
            // Before the prompt it is the history of the session, or the agent's household.
            _ if !self.prompting => {
                out.event(Event::notice(Level::Debug, "history", "an update before the prompt"));
                if self.news.is_new("history", params.get()) {
                    out.progress();
                }
                if self.settling.is_some() {
                    self.wait_for_history(out);
                }
            }
            SessionUpdate::AgentMessageChunk(chunk) => self.chunk(&chunk, params, out),
            SessionUpdate::AgentThoughtChunk(chunk) => {
                self.end_denied(out);
                let id = message_id(&chunk, params);
                self.turn.reasoning(tools::text_of(&chunk.content), id.as_deref(), out);
            }
            SessionUpdate::ToolCall(call) => self.tool(&call.into(), params, out),
            SessionUpdate::ToolCallUpdate(update) => self.tool(&update, params, out),
            SessionUpdate::Plan(plan) => {
                let items = plan.entries.into_iter().map(|entry| PlanItem {
                    text: entry.content,
                    status: match entry.status {
                        PlanEntryStatus::InProgress => PlanStatus::InProgress,
                        PlanEntryStatus::Completed => PlanStatus::Completed,
                        _ => PlanStatus::Pending,
                    },
                });
                out.event(Event::Plan(Plan { items: items.collect() }));
            }
            // Nothing that belay has not asked for is of a known meaning.
            _ => return None,
        }
        Some(())
    }

    /// True once, for the text that was announced.
    fn is_greeting(&mut self, chunk: &ContentChunk) -> bool {
        let text = tools::text_of(&chunk.content);
        self.greeting.take_if(|greeting| *greeting == text).is_some()
    }

    fn chunk(&mut self, chunk: &ContentChunk, params: &RawValue, out: &mut Out) {
        #[derive(Deserialize)]
        struct Params {
            update: Update,
        }
        #[derive(Deserialize)]
        struct Update {
            #[serde(default, rename = "_meta", deserialize_with = "lenient")]
            meta: Meta,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Meta {
            #[serde(deserialize_with = "lenient")]
            usage: Option<Tokens>,
        }
        self.end_denied(out);
        let text = tools::text_of(&chunk.content);
        let is_aside = self.preset.own_words.asides.contains(&text.as_str());
        if is_aside || self.preset.household.iter().any(|begin| text.starts_with(begin)) {
            out.event(Event::notice(Level::Debug, "household", text));
            return;
        }
        if self.preset.own_words.is_retry(&text) {
            self.turn.response_broke_off(out);
            out.event(Event::notice(Level::Info, "retry", text));
            return;
        }
        let id = message_id(chunk, params);
        if id.is_none() && self.preset.own_words.have_no_id && self.turn.has_id() {
            self.turn.own_words(text.clone());
            out.event(Event::notice(Level::Warn, "agent", text.trim_end()));
            return;
        }
        self.turn.text(text, id.as_deref(), out);
        let usage = chunk.meta.as_ref().filter(|meta| meta.contains_key("usage"));
        let usage = usage.and_then(|_| decode::<Params>(params.get())?.update.meta.usage);
        let Some(tokens) = usage else { return };
        if self.meter.response(&tokens) {
            self.turn.response_ended();
            out.event(Event::Usage(UsageReport { usage: self.meter.so_far() }));
            if let Some(context) = self.meter.context(&tokens) {
                out.event(Event::Context(context));
            }
        }
    }

    fn tool(&mut self, update: &ToolCallUpdate, params: &RawValue, out: &mut Out) {
        let beside = Raw::read(params);
        if !self.calls.knows(&update.tool_call_id.0) {
            self.end_denied(out);
            self.turn.calls(out);
        }
        self.tool_heard_late(&update.tool_call_id.0);
        let id = &update.tool_call_id.0;
        let is_over = self.calls.knows(id) && !self.calls.is_open(id);
        if !is_over && beside.is_new(id, &mut self.news) {
            // The model writes the call, or the tool prints something.
            out.progress();
        }
        let step = self.calls.update(update, beside.for_call().with(&self.terminals), out);
        if self.heard == Heard::Live && self.calls.has_waiting() {
            let number = self.next_timer();
            self.growing = Some(number);
            out.timer(TimerId(number), ARGUMENTS_QUIET);
        }
        if step == Step::Ended {
            self.turn.tool_ended();
            if !self.turn.ends_are_told {
                self.turn.response_ended();
            }
        }
    }

    pub(super) fn end_denied(&mut self, out: &mut Out) {
        if self.calls.end_denied(out) && !self.turn.ends_are_told {
            self.turn.response_ended();
        }
    }
}

/// The id of a chunk's message. The protocol says that it is a text; a number tells messages apart as well.
fn message_id(chunk: &ContentChunk, params: &RawValue) -> Option<String> {
    match &chunk.message_id {
        Some(id) => Some(id.0.to_string()),
        None => raw::message_number(params),
    }
    .filter(|id| !id.is_empty())
}
