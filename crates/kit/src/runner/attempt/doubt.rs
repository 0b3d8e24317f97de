//! A stall that is not believed yet: the stream is silent, and the agent's other witness is asked first.

use super::Attempt;
use crate::limits;
use crate::runner::idle::Alarm;
use belay_agents::{Doubt as Why, Input, Standing};
use std::time::Duration;
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

impl Attempt<'_> {
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
            Alarm::Stop(reason, words) => {
                let more = match standing {
                    Some(Standing::Working) => {
                        format!("{agent} says that the session is at work, and nothing new of it")
                    }
                    Some(_) => format!("{agent} does not say elsewhere how the session stands"),
                    None => format!("{agent} has no other record that could be asked"),
                };
                Alarm::Stop(reason, format!("{words}; {more}"))
            }
            alarm => alarm,
        });
    }
}
