//! Keeping an attempt to what its request limits: turns and money, by the stream or by the agent's own account.

use super::Attempt;
use crate::runner::Runner;
use crate::runner::account::Homes;
use crate::runner::account_watch::AccountWatch;
use crate::runner::bill::Bill;
use crate::runner::idle::Alarm;
use crate::runner::turn_limit::TurnLimit;
use belay_agents::{Capabilities, Capability, Response, RunRequest, Support};
use belay_trace::{Event, Level, StopReason, Usage};
use jiff::Timestamp;

impl Runner {
    /// The limit on turns, if it is belay that keeps it.
    pub(super) fn turn_limit(&self, capabilities: Capabilities) -> Option<TurnLimit> {
        let limit = self.request.max_turns.map(TurnLimit::new);
        match capabilities.support(Capability::MaxTurns) {
            Support::Belay => limit,
            Support::Account => limit.map(TurnLimit::by_account),
            Support::Native | Support::No => None,
        }
    }

    /// What looks at the agent's own account, if a limit depends on it.
    pub(super) fn account_watch(
        &self,
        capabilities: Capabilities,
        homes: &Homes,
        since: Timestamp,
    ) -> Option<AccountWatch> {
        let limits = [
            (self.request.max_cost_usd.is_some(), Capability::MaxCost),
            (self.request.max_turns.is_some(), Capability::MaxTurns),
        ];
        let mut limits = limits.into_iter();
        limits
            .any(|(is_set, what)| is_set && capabilities.support(what) == Support::Account)
            .then(|| AccountWatch::new(self.client.agent.clone(), homes.clone(), since))
    }
}

impl Attempt<'_> {
    /// Takes note of an event and stops the agent when it is one too many.
    pub(super) fn keep_to_the_limits(&mut self, event: &Event, is_main: bool) {
        if let Some(limit) = &mut self.turn_limit
            && is_main
            && limit.is_reached_with(event)
        {
            self.alarm.get_or_insert(too_many_turns(&self.runner.request));
        }
        match (&mut self.account_watch, event) {
            // It knows the model and the cache where the stream of such an agent does not.
            (Some(watch), _) => watch.event(event),
            (None, Event::Usage(report)) => {
                self.keep_to_the_budget(|bill| bill.so_far(&report.usage, Vec::new()));
            }
            (None, _) => {}
        }
    }

    /// What the agent has written down so far, held against the limits.
    pub(super) fn accounted(&mut self, responses: Vec<Response>) {
        if let Some(limit) = &mut self.turn_limit
            && limit.is_reached_by(responses.iter().filter(|one| !one.is_helper).count())
        {
            self.alarm.get_or_insert(too_many_turns(&self.runner.request));
        }
        self.keep_to_the_budget(|bill| bill.so_far(&Usage::default(), responses));
    }

    /// What the agent itself says the attempt has cost, at the end of a turn behind which it may work on.
    pub(super) fn keep_to_the_reported_budget(&mut self) {
        let reported = self.end.as_ref().map(|end| end.usage.clone());
        if let Some(usage) = reported.filter(|usage| usage.total_cost_usd.is_some()) {
            self.keep_to_the_budget(|_| usage);
        }
    }

    /// Stops the agent when the run has cost what it may: the attempts before, and this one so far.
    fn keep_to_the_budget(&mut self, used: impl FnOnce(&Bill) -> Usage) {
        let Some(max) = self.runner.request.max_cost_usd else { return };
        let Some(cost) = used(&self.bill).total_cost_usd else {
            if !std::mem::replace(&mut self.budget_is_blind, true) {
                let words =
                    "nobody knows what this model costs: the limit on the cost cannot be kept";
                self.runner.publisher.event(Event::notice(Level::Warn, "max_cost", words));
            }
            return;
        };
        let cost = cost + self.runner.usage.total_cost_usd.unwrap_or(0.0);
        if cost >= max {
            let words = format!("stopped at ${cost:.4} of ${max} (max_cost)");
            self.alarm.get_or_insert(Alarm::Stop(StopReason::Budget, words));
        }
    }
}

fn too_many_turns(request: &RunRequest) -> Alarm {
    let turns = request.max_turns.unwrap_or(0);
    Alarm::Stop(StopReason::TurnLimit, format!("stopped after {turns} turns (max_turns)"))
}
