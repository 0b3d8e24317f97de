//! Which agents there are, and what they are called.

#[cfg(feature = "acp")]
use crate::acp::{self, Acp};
use crate::failures::Table;
use crate::{Agent, Claude, Codex, Copilot, DockerAgent, OpenCode, Pi, Printing};
use crate::{claude, codex, copilot, docker_agent, opencode, pi, printing};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// An agent that belay knows.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// Other names that people type.
    pub aliases: &'static [&'static str],
    /// What follows the colon is no model, but a file or an image that says what is run.
    pub runs_a_file: bool,
    /// What its recorded messages look like, as [`Shapes`](crate::Shapes) writes them.
    pub shapes: Option<&'static str>,
    /// What its failures look like.
    pub failures: &'static Table,
    /// Makes one, with the given model as its default.
    pub make: fn(Option<String>) -> Arc<dyn Agent>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Every agent, one entry each.
pub const AGENTS: &[Entry] = &[
    Entry {
        name: Claude::NAME,
        aliases: &["claude"],
        runs_a_file: false,
        shapes: Some(include_str!("shapes/claude-code.txt")),
        failures: &claude::FAILURES,
        make: |model| Arc::new(Claude { model }),
    },
    Entry {
        name: Codex::NAME,
        aliases: &[],
        runs_a_file: false,
        shapes: Some(include_str!("shapes/codex.txt")),
        failures: &codex::FAILURES,
        make: |model| Arc::new(Codex { model }),
    },
    Entry {
        name: OpenCode::NAME,
        aliases: &[],
        runs_a_file: false,
        shapes: Some(include_str!("shapes/opencode.txt")),
        failures: &opencode::FAILURES,
        make: |model| Arc::new(OpenCode { model }),
    },
    Entry {
        name: Pi::NAME,
        aliases: &[],
        runs_a_file: false,
        shapes: Some(include_str!("shapes/pi.txt")),
        failures: &pi::FAILURES,
        make: |model| Arc::new(Pi { model }),
    },
    Entry {
        name: Copilot::NAME,
        aliases: &[],
        runs_a_file: false,
        shapes: Some(include_str!("shapes/copilot.txt")),
        failures: &copilot::FAILURES,
        make: |model| Arc::new(Copilot { model }),
    },
    Entry {
        name: DockerAgent::NAME,
        aliases: &["docker"],
        runs_a_file: true,
        shapes: None,
        failures: &docker_agent::FAILURES,
        make: |agent| Arc::new(DockerAgent { agent }),
    },
    #[cfg(feature = "acp")]
    Entry {
        name: "gemini",
        aliases: &["gemini-cli"],
        runs_a_file: false,
        shapes: Some(include_str!("shapes/gemini.txt")),
        failures: &acp::GEMINI,
        make: |model| Arc::new(Acp::gemini().with(model)),
    },
    #[cfg(feature = "acp")]
    Entry {
        name: "qwen",
        aliases: &["qwen-code"],
        runs_a_file: false,
        shapes: Some(include_str!("shapes/qwen.txt")),
        failures: &acp::QWEN,
        make: |model| Arc::new(Acp::qwen().with(model)),
    },
    #[cfg(feature = "acp")]
    Entry {
        name: "goose",
        aliases: &[],
        runs_a_file: false,
        shapes: None,
        failures: &acp::GOOSE,
        make: |model| Arc::new(Acp::goose().with(model)),
    },
    #[cfg(feature = "acp")]
    Entry {
        name: "acp",
        aliases: &[],
        runs_a_file: true,
        shapes: None,
        failures: &acp::ACP,
        make: |command| Arc::new(Acp::of(command)),
    },
    Entry {
        name: Printing::NAME,
        aliases: &[],
        runs_a_file: true,
        shapes: None,
        failures: &printing::FAILURES,
        make: |command| Arc::new(Printing::of(command)),
    },
];

/// An agent as it is written on a command line: `codex`, or `codex:gpt-5.5` with a model.
///
/// ```
/// use belay_agents::Candidate;
///
/// let candidate: Candidate = "claude:opus".parse()?;
/// assert_eq!((candidate.agent.name(), candidate.model.as_deref()), ("claude-code", Some("opus")));
/// # Ok::<(), belay_agents::UnknownAgent>(())
/// ```
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The agent, with the model as its default.
    pub agent: Arc<dyn Agent>,
    /// What stands after the first colon.
    pub model: Option<String>,
}

impl FromStr for Candidate {
    type Err = UnknownAgent;

    fn from_str(text: &str) -> Result<Self, UnknownAgent> {
        let (name, model) = match text.split_once(':') {
            Some((name, model)) => (name, Some(model.to_owned()).filter(|model| !model.is_empty())),
            None => (text, None),
        };
        let entry = AGENTS.iter().find(|entry| entry.name == name || entry.aliases.contains(&name));
        let entry = entry.ok_or_else(|| UnknownAgent { name: name.to_owned() })?;
        Ok(Self { agent: (entry.make)(model.clone()), model })
    }
}

/// No agent has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no agent `{}`: use {}", name.escape_debug(), known_names())]
pub struct UnknownAgent {
    /// What was asked for.
    pub name: String,
}

fn known_names() -> String {
    let names = AGENTS.iter().flat_map(|entry| entry.aliases.iter().chain([&entry.name]));
    names.copied().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_follows_the_first_colon() {
        let candidate: Candidate = "codex:openai/gpt:free".parse().unwrap();
        assert_eq!(candidate.model.as_deref(), Some("openai/gpt:free"));
    }

    #[test]
    fn an_unknown_agent_is_named_and_the_known_ones_are_listed() {
        let error = "clod".parse::<Candidate>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no agent `clod`: use claude, claude-code, codex, opencode, pi, copilot, docker, docker-agent, \
             gemini-cli, gemini, qwen-code, qwen, goose, acp, cmd"
        );
    }
}
