//! What a caller wants to happen when an agent fails.

use super::rule::Rule;
use belay_trace::FailureKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What happens when an attempt fails: how often, how long and with whom the work goes on.
///
/// Which kinds of failure are tried again, and how, is a table ([`Rule::of_kind`]) of which each row can be
/// replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Policy {
    /// How many agent processes a run may start, in all.
    pub max_attempts: u32,
    /// How often one candidate may be tried again, whatever the kinds of its failures.
    pub max_retries: u32,
    /// What is done when an agent has reached a limit of its account.
    pub on_limit: OnLimit,
    /// How long a run may wait for a limit to end, in all.
    #[serde(with = "super::seconds")]
    pub wait_max: Duration,
    /// How long the date at which a limit ends keeps everybody from trying; then one run tries whether it has ended
    /// early, and again after as long.
    #[serde(with = "super::seconds")]
    pub trust_window: Duration,
    /// What is done when an agent has failed that may have changed something, and another one is next.
    pub on_effects: OnEffects,
    /// Rules in the place of the built-in ones.
    #[serde(rename = "on")]
    pub rules: BTreeMap<FailureKind, Rule>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_attempts: 6,
            max_retries: 2,
            on_limit: OnLimit::Failover,
            wait_max: Duration::ZERO,
            trust_window: TRUST_WINDOW,
            on_effects: OnEffects::Continue,
            rules: BTreeMap::new(),
        }
    }
}

impl Policy {
    /// Every failure ends the run: one attempt, as if there were no failover.
    pub fn single() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// Limits the number of agent processes of a run.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Limits how often one candidate is tried again.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// Says what is done at a limit of an account.
    #[must_use]
    pub fn on_limit(mut self, on_limit: OnLimit) -> Self {
        self.on_limit = on_limit;
        self
    }

    /// Limits how long a run waits for limits to end; the default is not to wait.
    #[must_use]
    pub fn wait_max(mut self, wait_max: Duration) -> Self {
        self.wait_max = wait_max;
        self
    }

    /// Says how long a limit's end is believed before one run tries whether it came early; the default is an hour.
    #[must_use]
    pub fn trust_window(mut self, trust_window: Duration) -> Self {
        self.trust_window = trust_window;
        self
    }

    /// Says what is done when the agent that failed may have changed something.
    #[must_use]
    pub fn on_effects(mut self, on_effects: OnEffects) -> Self {
        self.on_effects = on_effects;
        self
    }

    /// Replaces the rule for one kind of failure. What ends a run by the caller's own wish stays an end.
    #[must_use]
    pub fn on(mut self, kind: FailureKind, rule: Rule) -> Self {
        self.rules.insert(kind, rule);
        self
    }

    /// How long a run may wait: who says that it shall wait at limits, and not how long, means a working day's
    /// window.
    pub(crate) fn patience(&self) -> Duration {
        match self.on_limit {
            OnLimit::Wait if self.wait_max.is_zero() => WAIT_MAX,
            _ => self.wait_max,
        }
    }

    /// The rule for a kind of failure.
    pub fn rule(&self, kind: FailureKind) -> Rule {
        if Rule::is_final(kind) {
            return Rule::STOP;
        }
        self.rules.get(&kind).copied().unwrap_or(Rule::of_kind(kind))
    }
}

/// The windows of plans reset within five hours; the longer ones are nobody's wait.
const WAIT_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// One request an hour tells little to a provider and much to whoever waits.
const TRUST_WINDOW: Duration = Duration::from_secs(60 * 60);

/// Declares an enum of words that people type.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal: $($(#[$doc:meta])* $variant:ident = $word:literal),+) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// Every one, by the word for it.
            pub const ALL: &[(Self, &'static str)] = &[$((Self::$variant, $word)),+];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().find(|(_, known)| *known == word);
                found.map(|(value, _)| *value).ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|(_, word)| *word).collect();
                    format!("`{word}` is no {}: use {}", $what, words.join(", "))
                })
            }
        }
    };
}

words! {
    /// What is done when an agent has reached a limit of its account.
    OnLimit, "answer to a limit":
    /// The run ends, and says when the limit does.
    Fail = "fail",
    /// The run waits for the same agent.
    Wait = "wait",
    /// The next agent goes on; if there is none, the run waits as long as it may.
    #[default]
    Failover = "failover"
}

words! {
    /// What is done when an agent has failed that may have changed something.
    OnEffects, "answer to unfinished work":
    /// The next agent goes on with the work, in the same folder, with an account of what was done.
    #[default]
    Continue = "continue",
    /// The run ends; only the agent's own session may be gone on in.
    Stop = "stop"
}
