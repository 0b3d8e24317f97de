//! Events that were lost, and what the server says of them when it is asked.

use super::super::wire::{Message, SessionInfo};
use super::super::witness::{Question, Sessions, Why, Work};
use super::{DEAF, EVENTS, Serve};
use crate::opencode::parts::Part;
use crate::opencode::wire::Properties;
use crate::protocol::Out;
use crate::wire::decode;
use crate::{Doubt, Standing};
use belay_trace::{Event, EvidenceSource, Failure, FailureKind, Level};
use serde_json::value::RawValue;
use std::time::Duration;

/// How long a server that cannot be heard is left alone between two questions to it.
const POLL: Duration = Duration::from_secs(2);

impl Serve {
    /// The stream of events has ended. The session may work on: it is opened again.
    pub(super) fn events_ended(&mut self, status: u16, text: &str, out: &mut Out) {
        if self.rest.has_answered() {
            // It was over, and only watched.
            return self.end(out);
        }
        let words = "opencode's stream of events has ended in mid-turn";
        if self.deaf.is_none() {
            let words = format!("{words}; opening it again");
            out.event(Event::notice(Level::Warn, "events_ended", words));
        }
        let failure =
            Failure::new(FailureKind::Protocol, words).with(EvidenceSource::Status, "http", status);
        self.deaf = Some(match text {
            "" => failure,
            text => failure.with(EvidenceSource::Text, "error", text),
        });
        match self.witness.reopen() {
            Some(Duration::ZERO) => out.open_sse(EVENTS, "/event"),
            Some(wait) => out.timer(DEAF, wait),
            // It may answer all the same.
            None => self.ask(Why::Gap, out),
        }
    }

    /// The events are heard again, and some of them were not.
    pub(super) fn events_are_back(&mut self, out: &mut Out) {
        self.deaf = None;
        if self.prompted && !self.ended {
            self.ask(Why::Gap, out);
        }
    }

    /// The server is alive. A session that has been silent since the last time may have ended unheard.
    pub(super) fn heartbeat(&mut self, out: &mut Out) {
        let is_open = self.prompted && self.is_live && !self.ended && !self.rest.is_idle;
        if is_open && self.witness.beat() {
            self.ask(Why::Heartbeat, out);
        }
    }

    /// No progress for as long as there may be none: the events may have fallen silent.
    pub(super) fn doubted(&mut self, doubt: Doubt, out: &mut Out) {
        if doubt == Doubt::Silent && self.prompted && !self.ended && self.is_live {
            self.witness.is_doubted = true;
            out.open_sse(EVENTS, "/event");
        }
    }

    pub(super) fn ask(&mut self, why: Why, out: &mut Out) {
        if let Some(session) = &self.session_id {
            if why == Why::Gap {
                self.witness.is_asked = true;
                self.parts.tear();
            }
            Question::Work(why).ask(session, out);
        }
    }

    pub(super) fn answered(&mut self, question: Question, text: &str, out: &mut Out) {
        match question {
            Question::Work(why) => self.work_told(why, text, out),
            Question::Messages if self.witness.is_asked => self.messages_told(text, out),
            Question::Totals if self.witness.is_asked => self.totals_told(text, out),
            Question::Asks => self.asks_told(text, out),
            Question::Messages | Question::Totals => {}
        }
    }

    fn work_told(&mut self, why: Why, text: &str, out: &mut Out) {
        let Some(session) = self.session_id.clone() else { return };
        let sessions = decode::<Sessions>(text);
        match (why, Work::of(&session, sessions.as_ref())) {
            (Why::Idle, Work::Idle) => {
                let is_done = self.unheard == 0 && !self.subagents.are_busy();
                if is_done && self.rest.is_confirmed() {
                    self.end(out);
                }
            }
            // It says again when it is idle.
            (Why::Idle, Work::Busy(_)) => self.rest.busy(),
            (Why::Heartbeat, Work::Idle) if !self.rest.is_idle => self.ask(Why::Gap, out),
            (Why::Idle, Work::Unknown) | (Why::Heartbeat, _) => {}
            (Why::Gap, Work::Unknown) => self.nothing_known(out),
            (Why::Gap, work) => {
                self.witness.is_idle = matches!(work, Work::Idle);
                let is_busy = |id: &str| matches!(Work::of(id, sessions.as_ref()), Work::Busy(_));
                self.subagents.all_work(is_busy);
                if let Work::Busy(status) = work {
                    self.rest.busy();
                    if status.kind == "retry" && status.attempt > self.retry {
                        self.retry = status.attempt;
                        out.event(status.retry());
                    }
                    Question::Asks.ask(&session, out);
                }
                Question::Messages.ask(&session, out);
            }
        }
    }

    /// The server does not say what the session does.
    fn nothing_known(&mut self, out: &mut Out) {
        self.witness.is_asked = false;
        self.testify(Standing::Unknown, out);
        if let Some(deaf) = self.deaf.take() {
            self.failure.get_or_insert(deaf);
            self.end(out);
        }
    }

    /// All that the session has said, of which a part was heard.
    fn messages_told(&mut self, text: &str, out: &mut Out) {
        let Some(session) = self.session_id.clone() else { return };
        let messages = self.witness.ours(text);
        let is_known = messages.is_some();
        let mut is_whole = false;
        for message in messages.into_iter().flatten() {
            is_whole = self.missed(message, out).unwrap_or(is_whole);
        }
        if self.witness.is_idle && (is_whole || self.failure.is_some()) {
            return Question::Totals.ask(&session, out);
        }
        self.witness.is_asked = false;
        let works = !self.witness.is_idle && is_known;
        self.testify(if works { Standing::Working } else { Standing::Unknown }, out);
        if self.deaf.is_some() {
            out.timer(DEAF, POLL);
        }
    }

    /// Tells what was not heard of a message; `None` for one of the user's, else whether it is whole.
    fn missed(&mut self, message: Message<'_>, out: &mut Out) -> Option<bool> {
        let parts: Vec<Part<'_>> =
            message.parts.iter().filter_map(|part| decode(part.get())).collect();
        if message.info.role == "user" {
            if self.not_ours.insert(message.info.id) {
                self.unheard = self.unheard.saturating_sub(1);
            }
            parts.iter().for_each(|part| self.taken(part, out));
            return None;
        }
        self.rest.knows(&message.info.id);
        for part in parts {
            self.parts.missed(part, &mut self.meter, out);
            if let Some(delegated) = self.parts.delegated.take() {
                self.subagents.delegated(delegated, &self.parts);
            }
        }
        let is_whole = message.info.is_whole() || message.info.finish.is_some();
        self.model_said(message.info);
        Some(is_whole)
    }

    /// The session was idle before it said what it has used: nothing comes after that.
    fn totals_told(&mut self, text: &str, out: &mut Out) {
        self.witness.is_asked = false;
        match decode::<SessionInfo>(text) {
            Some(session) => self.meter.complete(session.totals().beyond(self.witness.before), out),
            None => self.meter.unknown_use(),
        }
        if self.subagents.any() {
            // What they did in the gap, their own sessions know.
            self.meter.unknown_use();
        }
        let words = "opencode's events did not tell the end of the turn: its answer and figures are those that its \
                     server gives for the session";
        out.event(Event::notice(Level::Warn, "witness", words));
        self.deaf = None;
        self.testify(Standing::Ended, out);
        self.went_idle(out);
    }

    /// What the session waits for, and nobody may have heard.
    fn asks_told(&mut self, text: &str, out: &mut Out) {
        for ask in decode::<Vec<&RawValue>>(text).unwrap_or_default() {
            let Some(what) = decode::<Properties<'_>>(ask.get()) else { continue };
            let session = what.session_id.as_deref().unwrap_or_default();
            if self.session_id.as_deref() == Some(session) || self.subagents.knows(session) {
                self.common_event("permission.asked", what, out);
            }
        }
    }

    fn testify(&mut self, standing: Standing, out: &mut Out) {
        if std::mem::take(&mut self.witness.is_doubted) {
            out.testified(standing);
        }
    }
}
