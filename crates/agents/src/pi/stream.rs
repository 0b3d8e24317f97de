//! Pi's session events: the same in `--mode json` and `--mode rpc`.

use super::asides::is_aside;
use super::classify;
use super::ending::{Ending, failure};
use super::message::Message;
use super::meter::Meter;
use super::tools;
use super::wire::{self, Compacted, Line, State, ToolOutcome, Update};
use crate::Out;
use crate::framing::Claim;
use crate::last_words::{self, LastWords};
use crate::news::News;
use crate::protocol::AttemptEnd;
use crate::verdict::Said;
use crate::wire::{decode, flatten_content};
use belay_trace::{
    Compaction, CompactionStatus, Context, ContextSource, Event, Failure, Json, Level, Retry,
    SessionStarted, ToolCall, ToolId, ToolResult, TurnStarted, UsageReport,
};
use serde_json::value::RawValue;

/// What a line means for whoever reads the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The events say it all.
    Told,
    /// Pi works, for the first time or once more: it says so for each retry.
    Works,
    /// Pi has nothing more to do: the end of the turn.
    Settled,
}

/// The state of one stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) session_id: Option<String>,
    model: Option<String>,
    meter: Meter,
    /// What each tool that runs has returned when it was told last, and other things that may be told again.
    news: News,
    /// The message that is being written.
    message: Option<Message>,
    /// The last message of the turn that is whole.
    last: Option<Ending>,
    /// A message that broke off; if Pi tries again, it is void.
    broken: Option<Message>,
    /// A message that hit a limit; it is void if Pi shortens the context to write it once more.
    cut: Option<Message>,
    /// The last text of the turn, which counts if the turn fails.
    reached: String,
    /// The last response has called tools.
    called: bool,
    /// A tool was called in this turn.
    acted: bool,
    messages: u64,
    /// Pi shortens the context.
    is_compacting: bool,
    pub(super) last_words: LastWords,
}

impl Stream {
    /// Reads a line; `None` if it is of a kind that is not known.
    pub(super) fn line(&mut self, line: &Line<'_>, out: &mut Out) -> Option<Meaning> {
        let is_aside = is_aside(&line.kind);
        if !is_aside {
            self.last_words.went_on();
        }
        let meaning = self.read(line, out)?;
        let has_stopped = self.last.as_ref().is_some_and(Ending::is_stop);
        let is_said = has_stopped && self.message.is_none() && !self.is_compacting;
        if is_said && !is_aside && meaning == Meaning::Told {
            self.last_words.said(out);
        }
        Some(meaning)
    }

    fn read(&mut self, line: &Line<'_>, out: &mut Out) -> Option<Meaning> {
        match line.kind.as_ref() {
            "session" => self.session(line, out)?,
            "agent_start" => return Some(Meaning::Works),
            "agent_settled" => return Some(Meaning::Settled),
            "message_start" => self.message_started(&message(line)?, out),
            "message_update" => {
                let raw = line.assistant_message_event?.get();
                let update = decode::<Update<'_>>(raw)?;
                let is_new = match &update.delta {
                    Some(piece) => !piece.is_empty(),
                    None => self.news.is_new("message_update", raw),
                };
                self.written(None, out).update(update, out)?;
                if is_new {
                    out.progress();
                }
            }
            "message_end" => {
                let is_new = self.news.is_new("message_end", line.message?.get());
                if is_new || self.message.is_some() {
                    self.message_ended(message(line)?, out);
                }
            }
            "turn_end" if self.called => {
                // Once more behind the tools: whoever counts turns stops here, before the next request.
                self.called = false;
                self.report(out);
            }
            "tool_execution_start" => self.tool_started(line, out)?,
            "tool_execution_update" => {
                let so_far = line.partial_result.map_or("", RawValue::get);
                let id = line.tool_call_id.as_deref().unwrap_or_default();
                if self.news.is_new(id, so_far) {
                    out.progress_of(Some(ToolId::from(id)));
                }
            }
            "tool_execution_end" => tool_ended(line, out)?,
            "auto_retry_start" | "summarization_retry_scheduled" => self.retry(line, out),
            "auto_retry_end" => {
                if let Some(error) = &line.final_error {
                    out.event(Event::notice(Level::Warn, "retry_end", error.clone()));
                }
            }
            "compaction_start" => {
                self.is_compacting = true;
                let (status, message) = (CompactionStatus::Started, line.reason.clone());
                out.event(Event::Compaction(Compaction { status, message }));
            }
            "compaction_end" => self.compacted(line, out),
            "extension_error" => {
                let words = line.error.clone().unwrap_or_default();
                out.event(Event::notice(Level::Warn, "extension_error", words));
            }
            _ if is_aside(&line.kind) => {}
            _ => return None,
        }
        Some(Meaning::Told)
    }

    /// What a line is to this stream. No line names the session but the first one, which opens it.
    pub(super) fn claim(&self, line: &Line<'_>, turn_open: bool) -> Claim {
        match line.kind.as_ref() {
            "agent_settled" => Claim::end_if(turn_open),
            "session" => Claim::message_if(self.session_id.is_none()),
            _ => Claim::Message,
        }
    }

    /// A turn begins, and what it uses is counted from here.
    pub(super) fn begin(&mut self) {
        self.meter.turn_started();
        (self.message, self.last, self.broken, self.cut) = (None, None, None, None);
        self.reached.clear();
        (self.called, self.acted, self.is_compacting) = (false, false, false);
        self.last_words.went_on();
    }

    /// What the process says of itself when it is asked.
    pub(super) fn opened(&mut self, state: State, out: &mut Out) {
        let Some(session_id) = state.session_id else { return };
        let model = state.model.unwrap_or_default();
        self.meter.window = model.context_window;
        self.model = match (model.provider, model.id) {
            (Some(provider), Some(id)) => Some(format!("{provider}/{id}")),
            (_, id) => id,
        };
        self.session_id = Some(session_id.clone());
        let model = self.model.clone();
        out.event(Event::SessionStarted(SessionStarted {
            session_id,
            model,
            ..Default::default()
        }));
    }

    /// The end of the turn, once Pi has settled.
    pub(super) fn settled(&mut self, aborted: Option<bool>, out: &mut Out) -> AttemptEnd {
        let failure = failure(aborted, self.last.as_ref());
        self.end(failure, out)
    }

    /// The end of a turn whose last words are said, and behind which Pi does not settle.
    pub(super) fn unsettled(&mut self, out: &mut Out) -> AttemptEnd {
        let end = self.settled(None, out);
        AttemptEnd { usage: last_words::used(end.usage), ..end }
    }

    /// The end of the turn; without a failure, the last message is the answer.
    pub(super) fn end(&mut self, failure: Option<Failure>, out: &mut Out) -> AttemptEnd {
        let unfinished = self.message.take().map(|message| message.text());
        let reached = std::mem::take(&mut self.reached);
        let (words, reason) =
            self.last.take().map(|last| (last.text, last.stop_reason)).unwrap_or_default();
        let said = Said {
            failure,
            words,
            ended: reason.map(|reason| ("stopReason", reason)),
            reached: unfinished.filter(|text| !text.is_empty()).unwrap_or(reached),
            acted: self.acted,
            ..Said::default()
        };
        let end = said.end(out);
        let usage = self.meter.usage();
        self.begin();
        AttemptEnd { usage, session_id: self.session_id.clone(), model: self.model.clone(), ..end }
    }

    fn session(&mut self, line: &Line<'_>, out: &mut Out) -> Option<()> {
        let session_id = line.id.clone()?.into_owned();
        self.session_id = Some(session_id.clone());
        let cwd = line.cwd.clone();
        out.event(Event::SessionStarted(SessionStarted { session_id, cwd, ..Default::default() }));
        Some(())
    }

    fn message_started(&mut self, message: &wire::Message<'_>, out: &mut Out) {
        let failed = matches!(message.stop_reason.as_deref(), Some("error" | "aborted"));
        // A request that failed at once has no response.
        if message.role.as_deref() == Some("assistant") && !failed {
            self.message = None;
            self.written(Some(message), out);
        }
    }

    /// The message that is being written, which begins now if it has not.
    fn written(&mut self, begun: Option<&wire::Message<'_>>, out: &mut Out) -> &mut Message {
        if self.message.is_none() {
            self.retract(out);
            (self.called, self.cut) = (false, None);
            self.messages += 1;
            let number = begun.and_then(|begun| begun.timestamp).unwrap_or(self.messages);
            self.model = begun.and_then(wire::Message::full_model).or(self.model.take());
            out.event(Event::TurnStarted(TurnStarted {
                message_id: Some(number.to_string()),
                model: self.model.clone(),
            }));
            self.message = Some(Message::new(number.to_string()));
        }
        self.message.get_or_insert_default()
    }

    fn message_ended(&mut self, ended: wire::Message<'_>, out: &mut Out) {
        match ended.role.as_deref() {
            Some("assistant") => self.response_ended(ended, out),
            // What the caller and the tools have said is known from elsewhere.
            Some("system" | "user") | None => {}
            Some("toolResult") => {
                if let Some(tokens) = &ended.usage {
                    self.meter.aside(tokens, None);
                }
            }
            Some(role) => {
                let words = format!("{role}: {}", flatten_content(ended.content));
                out.event(Event::notice(Level::Debug, "message", words));
            }
        }
    }

    fn response_ended(&mut self, ended: wire::Message<'_>, out: &mut Out) {
        let blocks = ended.content.and_then(|content| decode(content.get())).unwrap_or_default();
        let failed = matches!(ended.stop_reason.as_deref(), Some("error" | "aborted"));
        if self.message.is_none() && !failed {
            self.written(Some(&ended), out);
        }
        let mut message = self.message.take().unwrap_or_default();
        message.whole(blocks, out);
        self.model = ended.full_model().or(self.model.take());
        let wrote = !failed || message.has_begun();
        self.meter.response(self.model.clone(), ended.usage.as_ref(), wrote);
        self.report(out);
        if let Some(tokens) = ended.usage.as_ref().filter(|tokens| tokens.total_tokens > 0) {
            out.event(Event::Context(Context {
                used_tokens: tokens.total_tokens,
                window_tokens: self.meter.window,
                source: ContextSource::Agent,
            }));
        }
        let text = message.text();
        if !text.is_empty() {
            self.reached.clone_from(&text);
        }
        match ended.stop_reason.as_deref() {
            Some("error") => self.broken = Some(message),
            Some("length") => self.cut = Some(message),
            _ => {}
        }
        self.last = Some(Ending {
            text,
            stop_reason: ended.stop_reason,
            raw_stop_reason: ended.raw_stop_reason,
            error: ended.error_message,
        });
    }

    /// Says what the turn has used so far, if anything is known.
    fn report(&self, out: &mut Out) {
        let usage = self.meter.usage();
        if usage.input_tokens.is_some() {
            out.event(Event::Usage(UsageReport { usage }));
        }
    }

    fn tool_started(&mut self, line: &Line<'_>, out: &mut Out) -> Option<()> {
        let tool = line.tool_name.as_deref()?;
        (self.called, self.acted) = (true, true);
        out.event(Event::ToolCall(ToolCall {
            tool_id: Some(ToolId(line.tool_call_id.clone()?.into_owned())),
            name: tools::name(tool),
            args: line.args.map(Json::from_raw).unwrap_or_default(),
            kind: tools::kind(tool),
        }));
        Some(())
    }

    fn retry(&mut self, line: &Line<'_>, out: &mut Out) {
        self.retract(out);
        let reason = line.error_message.clone().unwrap_or_default();
        out.event(Event::Retry(Retry {
            retry: line.attempt,
            retries_max: line.max_attempts,
            // A negative or endless delay is none.
            delay_ms: line.delay_ms.map(|delay| delay as u64),
            until: None,
            status: classify::status(&reason),
            kind: classify::of_retry(&reason),
            reason,
            ..Retry::default()
        }));
    }

    /// What was said of a response that broke off is void, for it comes again.
    fn retract(&mut self, out: &mut Out) {
        if let Some(message) = self.broken.take() {
            self.reached.clear();
            message.retract(out);
        }
    }

    fn compacted(&mut self, line: &Line<'_>, out: &mut Out) {
        self.is_compacting = false;
        let compacted = line.result.and_then(|result| decode::<Compacted>(result.get()));
        let (status, message) = match (&compacted, &line.error_message) {
            (Some(_), _) => (CompactionStatus::Completed, line.reason.clone()),
            (None, Some(error)) => (CompactionStatus::Failed, Some(error.clone())),
            (None, None) => (CompactionStatus::Failed, line.reason.clone()),
        };
        out.event(Event::Compaction(Compaction { status, message }));
        if let Some(tokens) = compacted.and_then(|compacted| compacted.usage) {
            self.meter.aside(&tokens, self.model.clone());
            self.report(out);
        }
        if line.will_retry {
            self.broken = self.broken.take().or(self.cut.take());
            self.retract(out);
        }
    }
}

fn message<'a>(line: &Line<'a>) -> Option<wire::Message<'a>> {
    decode(line.message?.get())
}

fn tool_ended(line: &Line<'_>, out: &mut Out) -> Option<()> {
    let outcome = line.result.map(RawValue::get).and_then(decode::<ToolOutcome<'_>>);
    let outcome = outcome.unwrap_or_default();
    let structured = outcome.structured_content;
    out.event(Event::ToolResult(ToolResult {
        tool_id: Some(ToolId(line.tool_call_id.clone()?.into_owned())),
        name: line.tool_name.as_deref().map(tools::name),
        exit_code: structured.as_ref().and_then(|content| content.exit_code),
        output: tools::output(flatten_content(outcome.content), structured),
        tool_error: line.is_error,
    }));
    Some(())
}
