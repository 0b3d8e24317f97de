//! A stall that is not believed yet: the stream is silent, and the agent's other witness is asked first.

use super::Attempt;
use crate::limits;
use crate::runner::account::{self, ReadSoFar};
use crate::runner::idle::Alarm;
use belay_agents::{Agent, AttemptEnd, Doubt as Why, Input, Standing};
use belay_trace::FailureKind;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// An alarm that waits for what the witness says.
#[derive(Debug)]
pub(super) struct Doubt {
    alarm: Alarm,
    /// The last progress before it.
    since: Instant,
    /// When the witness is waited for no longer.
    pub(super) until: Instant,
    /// The driver has asked something.
    pub(super) is_asked: bool,
}

impl Doubt {
    /// A pause of this length does not count.
    pub(super) fn shift(&mut self, pause: Duration) {
        self.since += pause;
        self.until += pause;
    }
}

/// What is read of the files of the agent's session.
#[derive(Debug, Default)]
pub(super) struct SessionLook {
    read: ReadSoFar,
    look: Option<JoinHandle<(Vec<u8>, ReadSoFar)>>,
}

impl SessionLook {
    pub(super) fn is_looking(&self) -> bool {
        self.look.is_some()
    }

    /// The lines that the files have gained, once they were asked for. May be dropped and called again.
    pub(super) async fn news(&mut self) -> Vec<u8> {
        let Some(look) = &mut self.look else { return pending().await };
        let (lines, read) = look.await.unwrap_or_else(|_| (Vec::new(), self.read.clone()));
        (self.look, self.read) = (None, read);
        lines
    }
}

impl Attempt<'_> {
    /// Reads what the files of the session have gained.
    pub(super) fn ask_session(&mut self, session_id: String) {
        let (agent, homes) = (self.runner.client.agent.clone(), self.homes.clone());
        let read = self.session_look.read.clone();
        let news = account::news(agent, homes, session_id, read, |_, text| text);
        self.session_look.look = Some(tokio::spawn(news));
    }

    /// Searches what the file of the session has gained for calls that the stream has not shown. A search that is under
    /// way is begun anew: the file may have gained more.
    pub(super) fn ask_silent_calls(&mut self, session_id: String) {
        let (agent, homes) = (Arc::clone(&self.runner.client.agent), self.homes.clone());
        let (read, since) = (self.silent_calls.read.clone(), self.bill.began());
        let calls = move |agent: &dyn Agent, text: Vec<u8>| {
            agent.silent_calls(since, &mut text.split(|byte| *byte == b'\n'))
        };
        let news = account::news(agent, homes, session_id, read, calls);
        self.silent_calls.look = Some(tokio::spawn(news));
    }

    /// The file of the session has these lines of such calls, redacted like all that an agent says.
    pub(super) fn calls_found(&mut self, lines: &[u8]) {
        let lines = self.runner.publisher.redactor.bytes(lines).into_owned();
        self.input(Input::SilentCalls(&lines));
        self.tell_held_end();
    }

    /// True for the end of a turn of which the file may tell more. What was stopped is over at once.
    pub(super) fn awaits_calls(&self, end: &AttemptEnd, input: Input<'_>) -> bool {
        let is_stopped = self.is_stopping()
            || end.failure.as_ref().is_some_and(|failure| {
                matches!(failure.kind, FailureKind::Interrupted | FailureKind::LimitReached)
            });
        self.silent_calls.is_looking() && !is_stopped && !matches!(input, Input::Exit(_))
    }

    /// The turn is over, and all that its stream has left out was told.
    pub(super) fn tell_held_end(&mut self) {
        if let Some(end) = self.held_end.take() {
            self.bill.turn_ended(&end, false);
            self.turn_ended(end);
            self.keep_open();
        }
    }

    /// Waits for a search that the end of the process has overtaken.
    pub(super) async fn hear_silent_calls(&mut self) {
        if self.silent_calls.look.is_some() && !self.is_stopping() {
            let lines = self.silent_calls.news().await;
            self.calls_found(&lines);
        }
        self.tell_held_end();
    }

    /// The files of the session have said this, redacted like all that an agent says.
    pub(super) fn session_read(&mut self, lines: &[u8]) {
        let lines = self.runner.publisher.redactor.bytes(lines).into_owned();
        self.input(Input::SessionFile { since: self.bill.began(), lines: &lines });
    }

    /// The process is gone with a turn open: what it has written down is heard before that is a failure.
    pub(super) async fn hear_the_session(&mut self) {
        let is_open = self.end.is_none() || self.background.works();
        if !is_open || self.is_stopping() {
            return;
        }
        self.input(Input::Doubt(Why::Gone));
        if self.session_look.look.is_some() {
            let lines = self.session_look.news().await;
            self.session_read(&lines);
        }
    }

    /// Asks the agent's other witness whether the alarm of the idle watch is true.
    pub(super) fn doubt(&mut self, alarm: Alarm, now: Instant) {
        let (since, until) = (self.idle.since(), now + limits::WITNESS);
        self.doubt = Some(Doubt { alarm, since, until, is_asked: false });
        self.input(Input::Doubt(Why::Silent));
        if self.doubt.as_ref().is_some_and(|doubt| !doubt.is_asked) {
            self.believe(None);
        }
    }

    /// The witness has said how the turn stands.
    pub(super) fn testified(&mut self, standing: Standing) {
        if standing == Standing::Ended && self.doubt.is_some() && !self.was_told_ended {
            // The rest of its end is under way. Where it does not come, that counts once.
            self.was_told_ended = true;
            self.idle.progress(Instant::now());
        }
        self.believe(Some(standing));
    }

    /// All was asked that can be: without news, the alarm is true.
    pub(super) fn believe(&mut self, standing: Option<Standing>) {
        let Some(doubt) = self.doubt.take() else { return };
        let got_on = self.idle.since() != doubt.since;
        if got_on || self.stop.is_some() || !self.background.works() {
            return;
        }
        let agent = self.runner.client.agent.name();
        self.alarm.get_or_insert(match doubt.alarm {
            Alarm::Stop(reason, words) if !self.idle.is_starting() => {
                let more = match standing {
                    Some(Standing::Working) => {
                        format!("; {agent} says nothing new of the session elsewhere")
                    }
                    Some(_) => String::new(),
                    None => format!("; {agent} has no other record that could be asked"),
                };
                Alarm::Stop(reason, words + &more)
            }
            alarm => alarm,
        });
    }
}
