//! Whose money an agent spends: what tells one account from another, without a look at it.

use crate::Cloud;
use belay_trace::Failure;
use serde_json::Value;
use std::collections::BTreeMap;

/// Where an agent keeps its login, and which variables take its place. Whoever has a file system and an
/// environment looks there, and makes a fingerprint of what is found: two runs with the same one share an account,
/// and so its limits.
///
/// Nothing of it is a secret by itself; what the variables hold is, and goes nowhere but into a hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// The variable that names the folder of the agent's own files; nothing if there is none.
    pub home_env: &'static str,
    /// That folder below `HOME`, where the variable is not set.
    pub home: &'static str,
    /// The files in it that say who pays or hold a login, the login's own first;
    /// [`Agent::account_part`](crate::Agent::account_part) says which part of them does.
    pub files: &'static [&'static str],
    /// The variables that say who pays, or where the requests go: keys, tokens, other providers. A trailing `*`
    /// stands for any ending.
    pub variables: &'static [&'static str],
    /// The clouds that a switch among the variables sends requests to: what goes with it says who pays then.
    pub clouds: &'static [Cloud],
    /// The part of the login that a model belongs to, where one login holds accounts of several providers.
    pub part: Option<String>,
    /// The file that describes the agent, with its provider and the variables that hold its keys: a path, from the folder
    /// in which the agent works. Where there is no such file, it is a name, and nothing is read.
    pub described_in: Option<String>,
    /// Words in the evidence of a failure by which the agent says that a limit is that of one model alone.
    pub model_limits: &'static [&'static str],
}

impl Account {
    /// A login in one file, in this folder or below `HOME`.
    pub fn in_file(
        home_env: &'static str,
        home: &'static str,
        file: &'static [&'static str],
    ) -> Self {
        Self { home_env, home, files: file, ..Self::default() }
    }

    /// Adds the variables that say who pays.
    #[must_use]
    pub fn variables(mut self, variables: &'static [&'static str]) -> Self {
        self.variables = variables;
        self
    }

    /// Says that a model named `provider/model` is paid for with the account of its provider.
    #[must_use]
    pub fn of_provider(mut self, model: Option<&str>) -> Self {
        let provider = model.and_then(|model| model.split_once('/')).map(|(name, _)| name);
        self.part = provider.map(str::to_owned);
        self
    }

    /// True if the limit that a failure is about is that of one model, so that another one may still be used.
    pub fn is_of_model(&self, failure: &Failure) -> bool {
        let values = failure.evidence.iter().map(|evidence| &evidence.value);
        values.into_iter().any(|value| self.model_limits.iter().any(|words| value.contains(words)))
    }
}

/// The part of a file that says who pays, and whether the login works. All else in it may change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountPart {
    /// That part, in some form of its own.
    pub content: Vec<u8>,
    /// The variables that it names, or whose meaning it switches on; a trailing `*` stands for any ending.
    pub variables: Vec<String>,
}

impl AccountPart {
    /// These members of a JSON object; `None` if the file is none.
    pub(crate) fn of_json(file: &[u8], is_wanted: impl Fn(&str) -> bool) -> Option<Self> {
        let object: BTreeMap<String, Value> = serde_json::from_slice(file).ok()?;
        let wanted: BTreeMap<_, _> =
            object.into_iter().filter(|(name, _)| is_wanted(name)).collect();
        let content = (!wanted.is_empty()).then(|| serde_json::to_vec(&wanted));
        Some(Self { content: content.transpose().ok()?.unwrap_or_default(), variables: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AGENTS, Claude, Codex};
    use crate::{Agent as _, OpenCode, Pi};
    use belay_trace::{EvidenceSource, FailureKind};

    #[test]
    fn each_provider_of_a_login_is_an_account_of_its_own() {
        for agent in [&OpenCode::new() as &dyn crate::Agent, &Pi::new()] {
            let of = |model| agent.account(model);
            assert_eq!(of(Some("anthropic/a")), of(Some("anthropic/b")));
            assert_ne!(of(Some("anthropic/a")), of(Some("openai/a")));
        }
        assert_eq!(Claude::new().account(Some("opus")), Claude::new().account(None));
    }

    #[test]
    fn a_limit_of_one_model_is_told_from_one_of_the_account() {
        let of = |name: &str, value: &str| {
            Failure::new(FailureKind::UsageLimit, "used up").with(
                EvidenceSource::Field,
                name,
                value,
            )
        };
        let claude = Claude::new().account(None);
        assert!(claude.is_of_model(&of("rateLimitType", "seven_day_opus")));
        assert!(!claude.is_of_model(&of("rateLimitType", "seven_day")));
        let codex = Codex::new().account(None);
        assert!(
            codex.is_of_model(&of("message", "You've hit your usage limit for GPT-5.5. Switch"))
        );
        assert!(!codex.is_of_model(&of("message", "You've hit your usage limit. Try again")));
    }

    #[test]
    fn an_agent_sees_the_variables_that_tell_its_account() {
        for entry in AGENTS {
            let agent = (entry.make)(Some("a/b".to_owned()));
            let request = crate::RunRequest::new("p");
            let launch = agent.launch(&request, agent.transports()[0]).unwrap();
            let account = agent.account(None);
            for name in account.variables.iter().chain([&account.home_env]) {
                let name = name.replace('*', "X");
                assert!(name.is_empty() || launch.env.is_listed(&name), "{}: {name}", agent.name());
            }
        }
    }
}
