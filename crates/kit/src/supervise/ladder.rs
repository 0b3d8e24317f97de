//! The stop ladder: from the agent's own interrupt to the kill, each rung with its time.
//!
//! How an agent is stopped decides whether the bill is kept: Claude reports its cost on its own interrupt and
//! on SIGINT, and not on SIGTERM; Codex reports its usage on its own interrupt only (measured).

use crate::limits::{STOP_NATIVE, STOP_SIGINT, STOP_SIGTERM};
use belay_agents::StopPlan;
use std::time::Duration;

/// What to do to an agent that is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rung {
    /// Its own interrupt.
    Native,
    /// SIGINT to the agent.
    Sigint,
    /// SIGTERM to the agent.
    Sigterm,
    /// SIGKILL to the agent, its process group and all that is below it.
    Kill,
}

impl Rung {
    /// The rung for the `asked`th wish to stop, from 1.
    pub(crate) fn first(plan: StopPlan, asked: u32) -> Self {
        match asked {
            0 | 1 => Self::Native.if_it_helps(plan),
            2 => Self::Sigterm.if_it_helps(plan),
            _ => Self::Kill,
        }
    }

    /// The rung after this one that helps the agent.
    pub(crate) fn next(self, plan: StopPlan) -> Self {
        match self {
            Self::Native => Self::Sigint.if_it_helps(plan),
            Self::Sigint => Self::Sigterm.if_it_helps(plan),
            Self::Sigterm | Self::Kill => Self::Kill,
        }
    }

    /// How long to wait on this rung for the agent to end.
    pub(crate) fn patience(self) -> Option<Duration> {
        match self {
            Self::Native => Some(STOP_NATIVE),
            Self::Sigint => Some(STOP_SIGINT),
            Self::Sigterm => Some(STOP_SIGTERM),
            Self::Kill => None,
        }
    }

    fn if_it_helps(self, plan: StopPlan) -> Self {
        let helps = match self {
            Self::Native => plan.native,
            Self::Sigint => plan.sigint,
            Self::Sigterm => plan.sigterm,
            Self::Kill => true,
        };
        if helps { self } else { self.next(plan) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_agents::{Agent, Claude, Codex, Transport};

    fn plan(agent: &dyn Agent, transport: Transport) -> StopPlan {
        agent.launch(&"p".into(), transport).unwrap().stop
    }

    #[test]
    fn claude_is_never_sent_sigterm_before_sigint() {
        let plan = plan(&Claude::new(), Transport::Dialogue);
        let first = Rung::first(plan, 1);
        assert_eq!(
            [first, first.next(plan), first.next(plan).next(plan)],
            [Rung::Native, Rung::Sigint, Rung::Sigterm]
        );
    }

    #[test]
    fn codex_is_never_sent_sigterm_because_its_commands_would_live_on() {
        let plan = plan(&Codex::new(), Transport::Print);
        let first = Rung::first(plan, 1);
        assert_eq!([first, first.next(plan)], [Rung::Sigint, Rung::Kill]);
        assert_eq!(Rung::first(plan, 2), Rung::Kill);
    }

    #[test]
    fn a_third_wish_kills() {
        assert_eq!(Rung::first(plan(&Claude::new(), Transport::Dialogue), 3), Rung::Kill);
    }
}
