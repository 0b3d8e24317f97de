//! How an attempt is stopped, paused and kept to its limits: wishes, rungs of the ladder, and what is due.

use super::super::Caller;
use super::Attempt;
use super::background::Verdict;
use crate::limits;
use crate::runner::idle::Alarm;
use crate::runner::ladder::{Haste, Rung};
use belay_agents::{Input, RunRequest, Standing, TimerId};
use belay_trace::{Event, Failure, FailureKind, Interrupted, Level, StopReason};
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::Instant;

/// A stop that is under way.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    /// What for; nothing, if the turn is over and the process alone lives on.
    pub(super) reason: Option<StopReason>,
    /// Why, if that is more than the reason.
    pub(super) words: Option<String>,
    /// What it is a failure of, if the agent has said so before.
    pub(super) failure: Option<Failure>,
    pub(super) rung: Rung,
    /// How often it was taken.
    pub(super) taken: u32,
    pub(super) haste: Haste,
    /// When to climb; never any more once the process is gone.
    pub(super) climb: Option<Instant>,
    /// Background tasks were open when it began: whatever the agent has said before, it was not done.
    pub(super) cuts: bool,
    /// No turn is left that it is for: whatever begins now is nobody's wish.
    pub(super) is_last_turn_over: bool,
}

impl Attempt<'_> {
    /// Begins to stop the agent, or insists.
    pub(super) fn asked_to_stop(
        &mut self,
        caller: &mut Caller,
        reason: StopReason,
        words: Option<String>,
    ) {
        caller.stops += 1;
        // What is frozen hears nothing.
        self.resume(caller);
        if caller.stops == 1 {
            let message = words.clone();
            self.runner.publisher.event(Event::Interrupted(Interrupted { reason, message }));
        }
        let Some(stop) = &mut self.stop else {
            return self.begin_to_stop(reason, words);
        };
        stop.haste = if caller.stops > 1 { Haste::Insisted } else { stop.haste };
        let rung = if caller.stops > 2 { Rung::Kill } else { stop.rung.insist(self.plan) };
        self.take(rung);
    }

    fn begin_to_stop(&mut self, reason: StopReason, words: Option<String>) {
        // An agent that has said nothing has nothing to report, and may not hear a signal yet.
        let rung = if self.has_spoken { Rung::first(self.plan) } else { Rung::Kill };
        let haste = Haste::of(reason);
        let cuts = self.background.has_tasks() || self.background.owes_report();
        self.background.stops();
        let is_last_turn_over = self.end.is_some() && !self.background.works();
        let (reason, failure, climb) = (Some(reason), None, None);
        let stop =
            Stop { reason, words, failure, rung, taken: 0, haste, climb, cuts, is_last_turn_over };
        self.stop = Some(stop);
        self.take(rung);
        // The driver hears of it in any case: how the turn ended is its to say.
        self.input(Input::Interrupt);
    }

    /// Ends a process of which nothing more is wanted, such as a server whose turn is over.
    pub(super) fn finish_process(&mut self) {
        (self.linger, self.has_lingered) = (None, true);
        let rung = Rung::after_the_result(self.plan);
        let stop = self.stop.get_or_insert(Stop {
            reason: None,
            words: None,
            failure: None,
            rung: Rung::Native,
            taken: 0,
            haste: Haste::Insisted,
            climb: None,
            cuts: false,
            is_last_turn_over: true,
        });
        stop.haste = Haste::Insisted;
        if stop.rung < rung {
            self.take(rung);
        }
    }

    /// Ends a process that stays for background tasks which nobody waits for any longer. It has said all it had to
    /// say, but for its session, which it saves on SIGINT.
    pub(super) fn end_leftovers(&mut self) {
        if self.stop.is_some() {
            return;
        }
        self.has_lingered = true;
        let rung = Rung::Native.insist(self.plan);
        self.stop = Some(Stop {
            reason: None,
            words: None,
            failure: None,
            rung,
            taken: 0,
            haste: Haste::Patient,
            climb: None,
            cuts: false,
            is_last_turn_over: true,
        });
        self.take(rung);
    }

    /// After a stop was requested, the first turn that ends is the last: what else the agent begins, such as a turn
    /// for a message that waited, is ended before it can do anything.
    pub(super) fn end_what_begins_after_a_stop(&mut self, event: &Event) {
        let begins = matches!(event, Event::TurnStarted(_) | Event::ToolCall(_));
        let is_over = self.stop.as_ref().is_some_and(|stop| stop.is_last_turn_over);
        if begins && is_over && self.is_stopping() {
            // What it has asked of the model by now, nobody will report.
            self.bill.was_cut();
            self.bill.was_lost();
            self.finish_process();
        }
    }

    /// True if a stop was requested: by the caller, or by a limit.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.reason.is_some())
    }

    pub(super) fn rung(&self) -> Option<Rung> {
        self.stop.as_ref().map(|stop| stop.rung)
    }

    pub(super) fn climb(&mut self) {
        let Some(stop) = &self.stop else { return };
        let is_owed = stop.rung == Rung::Sigint && stop.taken <= self.plan.more_sigints;
        let rung = if is_owed { Rung::Sigint } else { stop.rung.next(self.plan, stop.haste) };
        self.take(rung);
    }

    /// Standard output is closed: how long an agent may live of which nothing more can be heard. A server is heard
    /// elsewhere, and one that is to end is ended anyway.
    pub(super) fn silent_since_now(&self) -> Option<Instant> {
        let is_heard = self.server.is_some() || self.stop.is_some() || self.end.is_some();
        (!is_heard).then(|| Instant::now() + limits::STDOUT_CLOSED)
    }

    fn take(&mut self, rung: Rung) {
        if let Some(stop) = &mut self.stop {
            stop.taken = if stop.rung == rung { stop.taken + 1 } else { 1 };
            stop.rung = rung;
            let is_first_of_many = rung == Rung::Sigint && stop.taken <= self.plan.more_sigints;
            let patience = rung.patience(stop.haste);
            let patience =
                if is_first_of_many { patience.min(limits::SIGINT_AGAIN) } else { patience };
            stop.climb = Some(Instant::now() + patience);
        }
        match rung {
            Rung::Native => {}
            Rung::Sigint => self.process.signal(Signal::INT, false),
            Rung::Sigterm => self.process.signal(Signal::TERM, true),
            Rung::Kill => {
                self.forced = true;
                self.process.kill();
                self.terminals.kill();
            }
        }
    }

    /// True if not even a kill has ended the process, and it is waited for no longer.
    pub(super) fn give_up(&mut self) -> bool {
        let killed = self.stop.as_ref().is_some_and(|stop| {
            stop.rung == Rung::Kill && stop.climb.is_some_and(|at| at <= Instant::now())
        });
        if killed {
            let words = "the agent is killed and does not end; going on without it";
            self.runner.publisher.event(Event::notice(Level::Error, "unkillable", words));
            self.gone();
        }
        killed
    }

    pub(super) fn pause(&mut self, caller: &mut Caller) {
        caller.is_paused = true;
        if self.paused.is_none() {
            self.paused = Some(Instant::now());
            self.process.pause();
            self.terminals.pause();
        }
    }

    /// Goes on after a pause, which counts for no limit.
    pub(super) fn resume(&mut self, caller: &mut Caller) {
        caller.is_paused = false;
        let Some(paused) = self.paused.take() else { return };
        let pause = paused.elapsed();
        self.process.resume();
        self.terminals.resume();
        self.shift(pause);
        caller.deadline = caller.deadline.map(|at| at + pause);
        self.ends_at = caller.deadline;
    }

    /// Puts off all that is due by a time that does not count.
    pub(super) fn shift(&mut self, time: Duration) {
        self.idle.shift(time);
        self.background.shift(time);
        self.doubt.iter_mut().for_each(|doubt| doubt.shift(time));
        let climb = self.stop.as_mut().and_then(|stop| stop.climb.as_mut());
        let timers = self.timers.iter_mut().map(|(at, _)| at);
        timers
            .chain(climb)
            .chain(self.linger.as_mut())
            .chain(self.silent.as_mut())
            .for_each(|at| *at += time);
    }

    /// The next moment at which something is due.
    pub(super) fn deadline(&self, drained: Option<Instant>) -> Option<Instant> {
        if self.paused.is_some() {
            return None;
        }
        // A stop is under way, or nothing is open: the agent owes us nothing but its end.
        let idle = match (&self.stop, drained) {
            (None, None) if let Some(doubt) = &self.doubt => Some(doubt.until),
            (None, None) if self.background.works() => self.idle.deadline(),
            (None, None) => self.background.deadline(),
            _ => None,
        };
        let climb = self.stop.as_ref().and_then(|stop| stop.climb);
        let timers = self.timers.iter().map(|(at, _)| *at);
        timers
            .chain(climb)
            .chain(self.linger)
            .chain(self.silent)
            .chain(idle)
            .chain(drained)
            .chain(self.gates.deadline())
            .min()
    }

    /// Does what is due; `has_unread` if the agent has said something that was not read yet.
    pub(super) fn on_time(&mut self, has_unread: bool) {
        let now = Instant::now();
        if self.gates.deadline().is_some_and(|at| at <= now) {
            self.open_gates(true);
        }
        if self.stop.as_ref().is_some_and(|stop| stop.climb.is_some_and(|at| at <= now)) {
            self.climb();
        }
        if self.linger.is_some_and(|at| at <= now) {
            self.linger = None;
            let words = "the agent lives on after its turn; ending it";
            self.runner.publisher.event(Event::notice(Level::Warn, "lingers", words));
            self.forced |= self.stop.is_none();
            self.finish_process();
        }
        // What has come before a timer ran out, the driver hears first: what is held, and what is not read yet.
        let unread = has_unread.then_some(now + limits::UNREAD);
        if let Some(later) = self.gates.deadline().max(unread) {
            let due = self.timers.iter_mut().filter(|(at, _)| *at <= now);
            due.for_each(|(at, _)| *at = later);
        }
        let (due, later) = self.timers.iter().partition(|(at, _)| *at <= now);
        self.timers = later;
        let due: Vec<(Instant, TimerId)> = due;
        for (_, id) in due {
            self.input(Input::Timer(id));
        }
        // Behind the timers: one of them may end the turn. An alarm that is already raised is not taken back.
        if self.alarm.is_some() {
            return;
        }
        if self.stop.is_none() && self.background.works() {
            self.watch_turn(now);
        } else if self.stop.is_none() {
            self.watch_background(now);
        }
        if self.silent.is_some_and(|at| at <= now) {
            self.silent = None;
            let message = "the agent has closed its standard output and does not end";
            self.alarm = Some(Alarm::Fail(Failure::new(FailureKind::Protocol, message)));
        }
    }
}

impl Attempt<'_> {
    /// Keeps a turn to its limit, and doubts that it is silent.
    fn watch_turn(&mut self, now: Instant) {
        match &self.doubt {
            Some(doubt) if doubt.until <= now => self.believe(Some(Standing::Unknown)),
            Some(_) => {}
            None => match self.idle.check(now) {
                Some(alarm @ (Alarm::Warn(_) | Alarm::Stop(StopReason::Stalled, _))) => {
                    self.doubt(alarm, now);
                }
                alarm => self.alarm = alarm,
            },
        }
    }

    /// Keeps background tasks to their limit.
    fn watch_background(&mut self, now: Instant) {
        let words = match self.background.check(now) {
            None => return,
            Some(Verdict::Stalled(words)) => {
                self.alarm = Some(Alarm::Stop(StopReason::Stalled, words));
                return;
            }
            Some(Verdict::Warn(words) | Verdict::GiveUp(words)) => words,
        };
        self.runner.publisher.event(Event::notice(Level::Warn, "background", words));
        self.keep_open();
    }
}

impl Stop {
    /// Says why a run was stopped, of which the agent says only that it was.
    pub(super) fn explain(&self, failure: &mut Failure, request: &RunRequest) {
        if let Some(known) = &self.failure {
            failure.clone_from(known);
            return;
        }
        let kind = match self.reason {
            Some(StopReason::TurnLimit | StopReason::Budget) => FailureKind::LimitReached,
            Some(StopReason::Deadline) => FailureKind::Deadline,
            Some(StopReason::Stalled | StopReason::Loop) => FailureKind::Stalled,
            _ => {
                // A driver may know more.
                let says_nothing = failure.message == failure.kind.name();
                if let Some(words) = self.reason.and_then(by_whom).filter(|_| says_nothing) {
                    words.clone_into(&mut failure.message);
                }
                return;
            }
        };
        failure.kind = kind;
        failure.message = match &self.words {
            Some(words) => words.clone(),
            None => format!("stopped after {:?} (timeout)", request.timeout.unwrap_or_default()),
        };
    }
}

/// Who has ended a run that was interrupted.
fn by_whom(reason: StopReason) -> Option<&'static str> {
    Some(match reason {
        StopReason::User => "stopped at your request",
        StopReason::Shutdown => "stopped by a signal that ends programs",
        StopReason::Dropped => "its caller has gone",
        _ => return None,
    })
}
