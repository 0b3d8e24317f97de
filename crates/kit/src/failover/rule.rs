//! What may be done about each kind of failure, as data.

use belay_trace::FailureKind;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// What may be done about a failure of one kind, in this order: try again, another model of the same agent, the
/// next agent, wait for the reset. Nothing of it means that the run stops.
///
/// ```
/// use belaykit::Rule;
///
/// let rule: Rule = "retry:3,agent".parse()?;
/// assert_eq!((rule.retries, rule.agent, rule.wait), (3, true, false));
/// assert_eq!("stop".parse(), Ok(Rule::STOP));
/// # Ok::<(), belaykit::BadRule>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How often the same candidate is tried again.
    pub retries: u32,
    /// Another model of the same agent may go on.
    pub model: bool,
    /// Another agent may go on.
    pub agent: bool,
    /// The run may wait until the agent says that it works again.
    pub wait: bool,
}

impl Rule {
    /// Nothing is done: the run ends.
    pub const STOP: Self = Self { retries: 0, model: false, agent: false, wait: false };

    const fn of(retries: u32, model: bool, agent: bool, wait: bool) -> Self {
        Self { retries, model, agent, wait }
    }

    /// What is done if nobody says otherwise.
    ///
    /// A failure that the work itself has caused, or the caller, is an answer: nothing is tried in its place.
    pub const fn of_kind(kind: FailureKind) -> Self {
        match kind {
            FailureKind::RateLimited => Self::of(2, true, true, true),
            FailureKind::UsageLimit => Self::of(0, true, true, true),
            FailureKind::Overloaded | FailureKind::ServerError => Self::of(2, true, true, false),
            FailureKind::Network => Self::of(3, false, true, false),
            FailureKind::Auth | FailureKind::Billing => Self::of(0, false, true, false),
            FailureKind::ModelUnavailable => Self::of(0, true, true, false),
            FailureKind::ContextOverflow => Self::of(0, true, true, false),
            FailureKind::OutputLimit => Self::of(1, true, true, false),
            FailureKind::Stalled => Self::of(1, true, true, false),
            FailureKind::Crashed | FailureKind::Protocol | FailureKind::Unknown => {
                Self::of(1, true, true, false)
            }
            FailureKind::InvalidRequest
            | FailureKind::NotInstalled
            | FailureKind::NotExecutable
            | FailureKind::VersionUnsupported => Self::of(0, false, true, false),
            // What the caller has decided, what this machine cannot do, and what is an answer.
            _ => Self::STOP,
        }
    }

    /// What belongs to no policy: the caller's own wish, and what would fail the same way everywhere.
    pub(crate) fn is_final(kind: FailureKind) -> bool {
        matches!(
            kind,
            FailureKind::Interrupted
                | FailureKind::Deadline
                | FailureKind::SessionInUse
                | FailureKind::LocalIo
                | FailureKind::LimitReached
        )
    }
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no step of a rule: use retry, retry:N, model, agent, wait, or stop alone")]
pub struct BadRule(String);

impl FromStr for Rule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let mut rule = Self::STOP;
        if text.trim() == "stop" {
            return Ok(rule);
        }
        for step in text.split(',').map(str::trim) {
            match step.split_once(':').unwrap_or((step, "")) {
                ("retry", "") => rule.retries = 1,
                ("retry", times) => {
                    rule.retries = times.parse().map_err(|_| BadRule(step.to_owned()))?;
                }
                ("model", "") => rule.model = true,
                ("agent", "") => rule.agent = true,
                ("wait", "") => rule.wait = true,
                _ => return Err(BadRule(step.to_owned())),
            }
        }
        Ok(rule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let retry = (self.retries > 0).then(|| format!("retry:{}", self.retries));
        let steps = [(self.model, "model"), (self.agent, "agent"), (self.wait, "wait")];
        let steps = steps.into_iter().filter(|(may, _)| *may).map(|(_, name)| name.to_owned());
        let steps: Vec<String> = retry.into_iter().chain(steps).collect();
        f.write_str(if steps.is_empty() { "stop" } else { "" })?;
        f.write_str(&steps.join(","))
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_as_it_is_written() {
        for kind in FailureKind::ALL {
            let rule = Rule::of_kind(kind);
            assert_eq!(rule.to_string().parse(), Ok(rule), "{kind}");
        }
        for bad in ["", "retry:x", "agent,stop", "model:2", "retry:-1"] {
            assert!(bad.parse::<Rule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_caller_has_decided_is_never_tried_again() {
        for kind in FailureKind::ALL.into_iter().filter(|kind| Rule::is_final(*kind)) {
            assert_eq!(Rule::of_kind(kind), Rule::STOP, "{kind}");
        }
    }
}
