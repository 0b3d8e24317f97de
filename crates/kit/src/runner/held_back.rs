//! The variables that the agent at work does not see, and what is said of them.

use crate::{Client, environment};
use belay_agents::{EnvPolicy, HoldBack};
use belay_trace::{Event, EvidenceSource, Failure, Level};

/// By name, each with the reason.
#[derive(Debug, Default)]
pub(crate) struct HeldBack(Vec<(String, HoldBack)>);

/// The name of the evidence that a variable was held back that a failure speaks of.
pub(super) const HELD_BACK: &str = "env_held_back";

/// Agents end such a word with a quote, a full stop or a space.
fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl HeldBack {
    /// What an attempt of this client would hold back.
    pub(crate) fn of(client: &Client, policy: &EnvPolicy) -> Self {
        let held = client.env.held_back(policy);
        Self(held.iter().map(|(name, why)| (name.clone().into_owned(), *why)).collect())
    }

    /// Notes what an attempt of this client holds back; the event says it, unless the attempt before held back the same.
    pub(super) fn note(&mut self, client: &Client, policy: &EnvPolicy) -> Option<Event> {
        let held = client.env.held_back(policy);
        let now = Self::of(client, policy);
        let is_news = self.0 != now.0;
        *self = now;
        let words = environment::held_back_words(&held).filter(|_| is_news)?;
        let text = format!("{} does not see {words}", client.agent.name());
        Some(Event::notice(Level::Info, HELD_BACK, text))
    }

    /// Says of a failure that names such a variable that the variable was there, and was held back.
    pub(crate) fn explain(&self, failure: &mut Failure) {
        if failure.evidence.iter().any(|evidence| evidence.name == HELD_BACK) {
            return;
        }
        let words: Vec<_> = failure.message.split(|c| !is_part_of_name(c)).collect();
        // Every name of a user's is a word of somebody's: only one that looks like a variable is meant as one.
        let is_meant = |name: &str| name.len() > 2 && !name.bytes().any(|b| b.is_ascii_lowercase());
        let named = self.0.iter().filter(|(name, _)| is_meant(name) && words.contains(&&**name));
        let named: Vec<_> = named.cloned().collect();
        for (name, why) in named {
            let said = failure.message.trim_end_matches('.');
            failure.message = format!("{said}. {name} is set, and was held back: {why}");
            *failure = failure.clone().with(EvidenceSource::Field, HELD_BACK, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_trace::FailureKind;

    #[track_caller]
    fn check(message: &str, held: &[&str], want: &str) {
        let held = held.iter().map(|name| ((*name).to_owned(), HoldBack::NotListed)).collect();
        let held = HeldBack(held);
        let mut failure = Failure::new(FailureKind::Auth, message);
        held.explain(&mut failure);
        assert_eq!(failure.message, want);
        held.explain(&mut failure);
        assert_eq!(failure.message, want, "it is said once");
    }

    #[test]
    fn a_failure_that_names_a_variable_says_that_it_was_held_back() {
        check(
            "Missing environment variable: `MOCK_KEY`.",
            &["MOCK_KEY", "MOCK_KEY_2"],
            "Missing environment variable: `MOCK_KEY`. MOCK_KEY is set, and was held back: not on the list of a clean \
             environment",
        );
    }

    #[test]
    fn words_that_are_no_variables_say_nothing() {
        for (message, held) in [
            ("the model is overloaded", "model"),
            ("MOCK_KEYS is missing", "MOCK_KEY"),
            ("no such file", "MOCK_KEY"),
            ("an OS error", "OS"),
        ] {
            check(message, &[held], message);
        }
    }
}
