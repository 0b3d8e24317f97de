//! What works on this machine, and what to do about what does not: looked at from outside, without a request to
//! any model and without a look at any secret.

mod agent;
#[cfg(feature = "acp")]
mod inspect;
mod login;
mod machine;

pub use self::machine::{Places, machine};
use serde::Serialize;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at: `program`, `login`, `git`.
    pub about: &'static str,
    /// What was found, in words.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth to know.
    Note,
    /// Something will not work, or not for long.
    Warning,
    /// Nothing works until it is mended.
    Problem,
}

impl Finding {
    fn new(level: Level, about: &'static str, found: impl Into<String>) -> Self {
        Self { level, about, found: found.into(), hint: None }
    }

    fn ok(about: &'static str, found: impl Into<String>) -> Self {
        Self::new(Level::Ok, about, found)
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self
    }
}

/// What was found out about one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Examined {
    /// The agent.
    pub agent: String,
    /// It is on this machine.
    pub is_there: bool,
    /// What was looked at, in order.
    pub findings: Vec<Finding>,
}

impl Examined {
    /// True if nothing is known that would keep a run from starting.
    pub fn is_ready(&self) -> bool {
        self.is_there && self.findings.iter().all(|finding| finding.level < Level::Problem)
    }
}
