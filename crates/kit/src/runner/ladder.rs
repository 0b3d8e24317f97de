//! The stop ladder: from the agent's own interrupt to the kill, each rung with its time.
//!
//! How an agent is stopped decides whether the bill is kept: Claude reports its cost on its own interrupt and
//! on SIGINT, and not on SIGTERM; Codex reports its usage on its own interrupt only (measured).
//!
//! | who wants it | interrupt | SIGINT | SIGTERM | kill |
//! |---|---|---|---|---|
//! | first Ctrl-C, a limit | 5 s | 3 s | 3 s | 2 s |
//! | SIGTERM or SIGHUP to belay, a dropped run | 2 s | 2 s | 2 s | 2 s |
//! | second Ctrl-C | - | 1 s, if it was not tried yet | 1 s, else | 2 s |
//! | third Ctrl-C | - | - | - | 2 s |
//!
//! A rung that does not help an agent is left out.

use crate::limits::{
    STOP_INSISTED, STOP_KILL, STOP_NATIVE, STOP_SHUTDOWN, STOP_SIGINT, STOP_SIGTERM,
};
use belay_agents::StopPlan;
use belay_trace::StopReason;
use std::time::Duration;

/// What to do to an agent that is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rung {
    /// Its own interrupt.
    Native,
    /// SIGINT to the agent.
    Sigint,
    /// SIGTERM to the agent and its process group.
    Sigterm,
    /// SIGKILL to the agent, its process group and all that is below it.
    Kill,
}

/// How much time there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Haste {
    /// Somebody waits for what the agent still has to say.
    Patient,
    /// Somebody waits for belay to end.
    Brisk,
    /// Somebody has asked twice.
    Insisted,
}

impl Haste {
    /// How much time there is for a stop with this reason.
    pub(crate) fn of(reason: StopReason) -> Self {
        match reason {
            StopReason::Shutdown | StopReason::Dropped => Self::Brisk,
            _ => Self::Patient,
        }
    }
}

impl Rung {
    /// The first rung.
    pub(crate) fn first(plan: StopPlan) -> Self {
        Self::Native.if_it_helps(plan)
    }

    /// The rung after this one that helps the agent; nothing but the kill for somebody who has asked twice and
    /// was obliged once.
    pub(crate) fn next(self, plan: StopPlan, haste: Haste) -> Self {
        match self {
            _ if haste == Haste::Insisted => Self::Kill,
            Self::Native => Self::Sigint.if_it_helps(plan),
            Self::Sigint => Self::Sigterm.if_it_helps(plan),
            Self::Sigterm | Self::Kill => Self::Kill,
        }
    }

    /// The rung for somebody who asks again. SIGTERM costs Claude's bill, so never before SIGINT.
    pub(crate) fn insist(self, plan: StopPlan) -> Self {
        match self {
            Self::Native => Self::Sigint.if_it_helps(plan),
            Self::Sigint => Self::Sigterm.if_it_helps(plan),
            Self::Sigterm | Self::Kill => Self::Kill,
        }
    }

    /// The rung for an agent that has said all it had to say.
    pub(crate) fn after_the_result(plan: StopPlan) -> Self {
        Self::Sigterm.if_it_helps(plan)
    }

    /// How long to wait on this rung for the agent to end.
    pub(crate) fn patience(self, haste: Haste) -> Duration {
        match (self, haste) {
            (Self::Kill, _) => STOP_KILL,
            (_, Haste::Insisted) => STOP_INSISTED,
            (_, Haste::Brisk) => STOP_SHUTDOWN,
            (Self::Native, Haste::Patient) => STOP_NATIVE,
            (Self::Sigint, Haste::Patient) => STOP_SIGINT,
            (Self::Sigterm, Haste::Patient) => STOP_SIGTERM,
        }
    }

    fn if_it_helps(self, plan: StopPlan) -> Self {
        match self {
            Self::Native if !plan.native => Self::Sigint.if_it_helps(plan),
            Self::Sigint if !plan.sigint => Self::Sigterm.if_it_helps(plan),
            Self::Sigterm if !plan.sigterm => Self::Kill,
            helps => helps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_agents::{Agent, Claude, Codex, Transport};

    fn plan(agent: &dyn Agent, transport: Transport) -> StopPlan {
        agent.launch(&"p".into(), transport).unwrap().stop
    }

    /// The rungs that an agent is led over, and how long that takes if none of them helps.
    fn climb(plan: StopPlan, haste: Haste) -> (Vec<Rung>, Duration) {
        let mut rungs = vec![Rung::first(plan)];
        while let Some(rung) = rungs.last().filter(|rung| **rung != Rung::Kill) {
            rungs.push(rung.next(plan, haste));
        }
        let time = rungs.iter().map(|rung| rung.patience(haste)).sum();
        (rungs, time)
    }

    #[test]
    fn claude_is_never_sent_sigterm_before_sigint() {
        let plan = plan(&Claude::new(), Transport::Dialogue);
        let (rungs, _) = climb(plan, Haste::Patient);
        assert_eq!(rungs, [Rung::Native, Rung::Sigint, Rung::Sigterm, Rung::Kill]);
        assert_eq!(Rung::Native.insist(plan), Rung::Sigint);
        assert_eq!(Rung::Sigint.insist(plan), Rung::Sigterm);
    }

    #[test]
    fn codex_is_never_sent_sigterm_because_its_commands_would_live_on() {
        let plan = plan(&Codex::new(), Transport::Print);
        assert_eq!(climb(plan, Haste::Patient).0, [Rung::Sigint, Rung::Kill]);
        assert_eq!(Rung::Sigint.insist(plan), Rung::Kill);
    }

    #[test]
    fn who_asks_twice_is_obliged_once_more_and_then_it_is_killed() {
        let plan = plan(&Claude::new(), Transport::Dialogue);
        let rung = Rung::first(plan).insist(plan);
        assert_eq!(rung.next(plan, Haste::Insisted), Rung::Kill);
        let worst = rung.patience(Haste::Insisted) + Rung::Kill.patience(Haste::Insisted);
        assert_eq!(worst, Duration::from_secs(3));
    }

    #[test]
    fn a_shutdown_is_over_before_docker_kills() {
        let (_, time) = climb(plan(&Claude::new(), Transport::Dialogue), Haste::Brisk);
        assert!(time < Duration::from_secs(10), "{time:?}");
    }
}
