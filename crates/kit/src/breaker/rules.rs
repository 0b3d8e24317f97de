//! What each kind of failure means for the runs of others, as data.

use super::Scope;
use belay_trace::FailureKind::{self, *};
use std::time::Duration;

/// What the end of an attempt means for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// Nothing: it is this run's own affair.
    Nothing,
    /// The agent has worked; what it ran into is no fault of its account.
    Works,
    /// Others need not try.
    Opens(Rule),
}

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) scope: Scope,
    /// How many such failures within [`WITHIN`] open it. Of the machine they are of as many agents: the network is
    /// not down because one provider's is.
    pub(crate) after: usize,
    pub(crate) cooldown: Duration,
    /// Each opening without an answer in between lasts once more as long.
    pub(crate) grows: bool,
}

/// How close together failures are that count as one trouble.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

const fn opens(scope: Scope, after: usize, seconds: u64, grows: bool) -> Consequence {
    Consequence::Opens(Rule { scope, after, cooldown: Duration::from_secs(seconds), grows })
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Every kind. What the agent or its provider says of the time goes before the cooldown, if it is longer.
const TABLE: &[(FailureKind, Consequence)] = &[
    (RateLimited, opens(Scope::Model, 1, 5, true)),
    // Of the model if the limit is, and until its reset if that is known: windows last for hours.
    (UsageLimit, opens(Scope::Account, 1, 15 * MINUTE, true)),
    (Overloaded, opens(Scope::Model, 1, 30, true)),
    (ServerError, opens(Scope::Model, 3, 30, true)),
    (Network, opens(Scope::Machine, 2, 5, false)),
    // A new login is another fingerprint, and so another breaker.
    (Auth, opens(Scope::Account, 1, HOUR, false)),
    (Billing, opens(Scope::Account, 1, HOUR, false)),
    (ModelUnavailable, opens(Scope::Model, 1, 24 * HOUR, false)),
    (Stalled, opens(Scope::Model, 1, MINUTE, true)),
    (Crashed, opens(Scope::Model, 2, MINUTE, true)),
    (Unknown, opens(Scope::Model, 3, MINUTE, true)),
    // Answers of a kind: the model was there.
    (ContextOverflow, Consequence::Works),
    (OutputLimit, Consequence::Works),
    (Refused, Consequence::Works),
    (PermissionDenied, Consequence::Works),
    (LimitReached, Consequence::Works),
    // The next request, or the next version of the agent, may be a better one.
    (InvalidRequest, Consequence::Nothing),
    (Protocol, Consequence::Nothing),
    // That a program is missing is found out faster than it is read here.
    (NotInstalled, Consequence::Nothing),
    (NotExecutable, Consequence::Nothing),
    (VersionUnsupported, Consequence::Nothing),
    // The caller's wish, and this machine's trouble.
    (Interrupted, Consequence::Nothing),
    (Deadline, Consequence::Nothing),
    (SessionInUse, Consequence::Nothing),
    (LocalIo, Consequence::Nothing),
];

/// What a failure of this kind means for others.
pub(crate) fn consequence(kind: FailureKind) -> Consequence {
    let row = TABLE.iter().find(|(known, _)| *known == kind);
    row.map_or(Consequence::Nothing, |(_, consequence)| *consequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_one_row() {
        for kind in FailureKind::ALL {
            assert_eq!(TABLE.iter().filter(|(known, _)| *known == kind).count(), 1, "{kind}");
        }
        assert_eq!(TABLE.len(), FailureKind::ALL.len());
    }

    /// As `docs/failover.md` has it.
    #[test]
    fn the_documented_table_is_this_one() {
        let doc = std::fs::read_to_string(
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/failover.md"),
        );
        let doc = doc.unwrap();
        for (kind, consequence) in TABLE {
            let row = format!("| `{kind}` | {} |", words(*consequence));
            assert!(doc.contains(&row), "docs/failover.md lacks: {row}");
        }
    }

    fn words(consequence: Consequence) -> String {
        let Consequence::Opens(rule) = consequence else {
            let works = consequence == Consequence::Works;
            return format!("{} | – | –", if works { "closes, like an answer" } else { "nothing" });
        };
        let when = match (rule.after, rule.scope) {
            (1, _) => "at once".to_owned(),
            (n, Scope::Machine) => format!("{n} agents within 60 s"),
            (n, _) => format!("{n} within 60 s"),
        };
        let seconds = rule.cooldown.as_secs();
        let time = match seconds {
            HOUR.. => format!("{} h", seconds / HOUR),
            MINUTE.. => format!("{} min", seconds / MINUTE),
            _ => format!("{seconds} s"),
        };
        let times = if rule.grows { " × n" } else { "" };
        format!("{} | {when} | {time}{times}", rule.scope)
    }
}
