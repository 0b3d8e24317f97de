//! What a run says of its chain, and the account that it keeps of its attempts.

use super::super::Runner;
use crate::failover::GivenUp;
use crate::observe::logger::count_of_seconds;
use belay_agents::AttemptEnd;
use belay_trace::{AttemptSummary, Event, Failover, Failure, FailureKind, Level, Start};
use jiff::Timestamp;
use std::time::Duration;

impl Runner {
    /// Who had the last attempt.
    pub(super) fn from(&self) -> usize {
        self.last_candidate
    }

    pub(super) fn retries_of(&self, candidate: usize) -> u64 {
        let name = self.chain.agents[candidate].name();
        let tries = self.chain.summaries.iter().rev().take_while(|had| had.agent == name);
        (tries.count() as u64).saturating_sub(1)
    }

    pub(super) fn tell_failover(&mut self, from: usize, to: usize, failure: Failure, start: Start) {
        let effects = self.chain.work.effects_of_all();
        let (from, to) = (self.chain.name(from), self.chain.name(to));
        self.publisher.event(Event::Failover(Failover { from, to, failure, effects, start }));
    }

    /// Says why nothing more is tried, if there was something to try.
    pub(super) fn tell_why(&mut self, why: GivenUp, failure: Option<&Failure>) {
        let is_overflow = failure.is_some_and(|it| it.kind == FailureKind::ContextOverflow);
        let words = match why {
            GivenUp::Dry if is_overflow => match self.too_small() {
                names if names.is_empty() => return,
                names => format!(
                    "the prompt is too large for {names} as well, by the sizes of their windows"
                ),
            },
            GivenUp::Attempts if self.chain.summaries.len() > 1 => {
                format!("no more is tried after {} attempts", self.chain.summaries.len())
            }
            GivenUp::Patience => self.why_not_waited(),
            GivenUp::Dry if self.chain.agents.len() > 1 => {
                "no agent of the chain is left".to_owned()
            }
            GivenUp::Effects => {
                "the agent may have changed something; nobody else goes on with that".to_owned()
            }
            _ => return,
        };
        self.publisher.event(Event::notice(Level::Info, "failover", words));
    }

    /// The candidates that were not tried because their windows are no larger.
    fn too_small(&self) -> String {
        let (state, current) = (&self.chain.state, self.chain.state.current());
        let all = 0..self.chain.agents.len();
        let small = all.filter(|n| *n != current && state.is_too_small(*n));
        small.map(|n| self.chain.name(n)).collect::<Vec<_>>().join(", ")
    }

    /// Why a limit is not waited for that was to be.
    fn why_not_waited(&self) -> String {
        let patience = self.chain.client.policy.patience();
        let longest = count_of_seconds(patience.as_secs());
        let Some(at) = self.chain.retry_at else {
            return format!("not waited for any longer: a run waits {longest} in all");
        };
        let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
        match self.chain.original.timeout {
            Some(_) if wait < patience => {
                format!(
                    "not waited for: the limit ends at {at:.0}, and the run's own time is over before"
                )
            }
            _ => format!(
                "not waited for: the limit ends at {at:.0}, and a run waits {longest} in all (--wait-max)"
            ),
        }
    }

    /// The run's money, or its turns, are spent.
    pub(super) fn is_spent(&self) -> bool {
        let original = &self.chain.original;
        let cost = self.usage.total_cost_usd.unwrap_or(0.0);
        let turns = self.usage.num_turns.unwrap_or(0);
        original.max_cost_usd.is_some_and(|max| cost >= max)
            || original.max_turns.is_some_and(|max| turns >= u64::from(max))
    }

    /// Adds an attempt to the account of the run.
    pub(in crate::runner) fn note_attempt(&mut self, end: &AttemptEnd) {
        self.last_candidate = self.chain.state.current();
        self.usage.add(&end.usage);
        self.chain.summaries.push(AttemptSummary {
            attempt: self.attempts,
            agent: self.client.agent.name().to_owned(),
            model: self.chain.model(&self.request),
            kind: end.failure.as_ref().map(|failure| failure.kind),
            total_cost_usd: end.usage.total_cost_usd,
            cost_source: end.usage.cost_source,
            duration_ms: end.usage.duration_ms,
            session_id: end.session_id.clone(),
            effects: self.chain.effects(),
            start: self.start,
        });
    }
}
