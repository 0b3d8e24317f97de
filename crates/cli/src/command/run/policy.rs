//! What happens when an agent fails, as flags.

use belaykit::{FailureKind, OnEffects, OnLimit, Policy, Rule};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::time::Duration;

/// How the work goes on when an agent fails.
#[derive(Debug, Args)]
#[command(next_help_heading = "When an agent fails")]
pub(crate) struct PolicyFlags {
    /// How many agent processes the run may start in all [default: 6].
    #[arg(long, value_name = "N", env = "BELAY_MAX_ATTEMPTS", hide_env_values = true)]
    pub(crate) max_attempts: Option<u32>,

    /// How often one agent may be tried again [default: 2].
    #[arg(long, value_name = "N")]
    pub(crate) max_retries: Option<u32>,

    /// How often an agent itself may try a request to its model again before it has failed [default: 2 when
    /// another agent could go on, or else the agent's own].
    #[arg(long, value_name = "N")]
    pub(crate) agent_retries: Option<u32>,

    /// What to do when an agent has reached a limit of its account: fail, wait for it, or failover to the next
    /// one [default: failover].
    #[arg(long, value_name = "WHAT", value_parser = words(OnLimit::ALL))]
    pub(crate) on_limit: Option<OnLimit>,

    /// How long to wait for limits to end, in all [default: not at all, or 6h with --on-limit wait].
    #[arg(long, value_name = "TIME", value_parser = super::options::duration)]
    pub(crate) wait_max: Option<Duration>,

    /// How long the date at which a limit ends is believed before one run tries whether it came early [default: 1h].
    #[arg(long, value_name = "TIME", value_parser = super::options::duration)]
    pub(crate) trust_window: Option<Duration>,

    /// What to do when the agent that failed may have changed something: the next one continues with an
    /// account of what was done, or the run stops [default: continue].
    #[arg(long, value_name = "WHAT", value_parser = words(OnEffects::ALL))]
    pub(crate) on_effects: Option<OnEffects>,

    /// Another rule for one kind of failure: overloaded=retry:5,agent or refused=agent; the steps are retry:N,
    /// model, agent and wait, or stop alone. Can be given more than once.
    #[arg(long = "on", value_name = "KIND=STEPS", value_parser = rule)]
    pub(crate) rules: Vec<(FailureKind, Rule)>,
}

impl PolicyFlags {
    /// Puts what was given into the policy; what was not given stays as it is there.
    pub(crate) fn apply(&self, mut policy: Policy) -> Policy {
        policy.max_attempts = self.max_attempts.unwrap_or(policy.max_attempts);
        policy.max_retries = self.max_retries.unwrap_or(policy.max_retries);
        policy.on_limit = self.on_limit.unwrap_or(policy.on_limit);
        policy.wait_max = self.wait_max.unwrap_or(policy.wait_max);
        policy.trust_window = self.trust_window.unwrap_or(policy.trust_window);
        policy.on_effects = self.on_effects.unwrap_or(policy.on_effects);
        self.rules.iter().fold(policy, |policy, (kind, rule)| policy.on(*kind, *rule))
    }
}

/// Words that stand for values.
fn words<T>(all: &'static [(T, &'static str)]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.iter().map(|(_, word)| *word)).map(|word| {
        let found = all.iter().find(|(_, known)| *known == word);
        found.map(|(value, _)| *value).expect("the parser takes known words only")
    })
}

fn rule(text: &str) -> Result<(FailureKind, Rule), String> {
    let (kind, rule) =
        text.split_once('=').ok_or("write KIND=STEPS, such as overloaded=retry:5")?;
    let found = FailureKind::ALL.into_iter().find(|known| known.name() == kind);
    let kind = found.ok_or_else(|| {
        let kinds: Vec<_> = FailureKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("`{kind}` is no kind of failure: use {}", kinds.join(", "))
    })?;
    Ok((kind, rule.parse().map_err(|error: belaykit::BadRule| error.to_string())?))
}
