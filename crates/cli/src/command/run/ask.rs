//! What is asked of an agent, whether it runs by itself or with a person at its terminal.

use crate::config::keys::Own;
use crate::fail::Fail;
use crate::surroundings::EnvConfig;
use belaykit::{Agent, Client, Effort, EnvMode, Permissions, RunRequest};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// How an agent is asked, and in which surroundings.
#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// The model, in the agent's own naming.
    #[arg(short, long)]
    pub(crate) model: Option<String>,

    /// How hard the model thinks: low, medium, high, max.
    #[arg(long)]
    pub(crate) effort: Option<Effort>,

    /// Replace the agent's system prompt.
    #[arg(long, value_name = "TEXT")]
    pub(crate) system_prompt: Option<String>,

    /// Add to the agent's system prompt.
    #[arg(long, value_name = "TEXT")]
    pub(crate) append_system_prompt: Option<String>,

    /// A tool that needs no permission, in the agent's rule language; can be given more than once.
    #[arg(long, value_name = "RULE")]
    pub(crate) allowed_tools: Vec<String>,

    /// A tool that the model is not offered; can be given more than once.
    #[arg(long, value_name = "RULE")]
    pub(crate) disallowed_tools: Vec<String>,

    /// What the agent may do: read-only, ask, edit or full (full: on disposable machines only). What it asks for beyond
    /// that is denied. Without it the agent's own default holds, and the first agent's binds the others of a chain.
    #[arg(long, value_name = "MODE")]
    pub(crate) permit: Option<Permissions>,

    /// The agent's own mode, by its id.
    #[arg(long, value_name = "ID")]
    pub(crate) agent_mode: Option<String>,

    /// The agent's working directory.
    #[arg(short = 'C', long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,

    /// A folder beside the working directory in which the agent may work (repeatable).
    #[arg(long, value_name = "DIR")]
    pub(crate) add_dir: Vec<PathBuf>,

    /// Leave an option out that the agent lacks, with a notice, instead of failing.
    #[arg(long, value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) lenient: Option<bool>,

    /// An agent's program, instead of looking for it on the PATH; with the agent's name before it
    /// (codex=PATH) for one of several. Can be given more than once.
    #[arg(long, value_name = "[AGENT=]PATH", help_heading = "Surroundings")]
    pub(crate) program: Vec<Program>,

    /// How much of your environment the agent sees: inherit, all but what is held back, or clean, a list
    /// (docs/environment.md) [default: inherit].
    #[arg(long, value_name = "MODE", help_heading = "Surroundings")]
    pub(crate) env: Option<EnvMode>,

    /// An environment variable that the agent sees although it would be held back (repeatable); may end in `*`.
    #[arg(long, value_name = "NAME", help_heading = "Surroundings")]
    pub(crate) pass_env: Vec<String>,

    /// Further arguments for the agent, as they are.
    #[arg(last = true, value_name = "AGENT ARGS")]
    pub(crate) extra_args: Vec<String>,

    /// The agent that a project's own chain is held to.
    #[arg(skip)]
    pub(crate) yardstick: Option<Arc<dyn Agent>>,

    /// What the configuration says of agents, by their names.
    #[arg(skip)]
    pub(crate) agents: BTreeMap<String, Own>,

    /// And of their environment.
    #[arg(skip)]
    pub(crate) env_config: EnvConfig,
}

impl Ask {
    /// Puts what was given into the request; what was not given stays as it is there.
    pub(crate) fn apply(&self, request: &mut RunRequest) {
        over(&mut request.model, &self.model);
        over(&mut request.system_prompt, &self.system_prompt);
        over(&mut request.append_system_prompt, &self.append_system_prompt);
        over(&mut request.effort, &self.effort);
        over(&mut request.permissions, &self.permit);
        over(&mut request.agent_mode, &self.agent_mode);
        over_list(&mut request.allowed_tools, &self.allowed_tools);
        over_list(&mut request.disallowed_tools, &self.disallowed_tools);
        if !self.add_dir.is_empty() {
            // Relative to where belay is started, as -C is; what does not exist is told before the run starts.
            let absolute = |dir: &PathBuf| {
                let resolved = std::fs::canonicalize(dir).or_else(|_| std::path::absolute(dir));
                resolved.unwrap_or_else(|_| dir.clone())
            };
            request.add_dirs = self.add_dir.iter().map(absolute).collect();
        }
        request.lenient = self.lenient.unwrap_or(request.lenient);
    }

    /// The agent's working directory: the one that was given, or else `other`, or else ours. Absolute, because
    /// the agent and belay must mean the same folder.
    pub(crate) fn folder(&self, other: Option<&Path>) -> Result<PathBuf, Fail> {
        let cwd = match self.cwd.as_deref().or(other) {
            Some(cwd) => std::path::absolute(cwd),
            None => std::env::current_dir(),
        };
        let cwd = cwd
            .map_err(|error| Fail::usage(format!("cannot tell the working directory: {error}")))?;
        if !cwd.is_dir() {
            let what = if cwd.exists() { "is no directory" } else { "does not exist" };
            return Err(Fail::usage(format!("the working directory {} {what}", cwd.display()))
                .hint("make it, or choose another with -C"));
        }
        Ok(cwd)
    }

    /// A client for a chain of agents, whom nobody watches yet.
    pub(crate) fn client(&self, agents: &[Arc<dyn Agent>]) -> Client {
        self.client_in(agents, &self.env_config)
    }

    /// The same, where more is said of the environment.
    pub(crate) fn client_in(&self, agents: &[Arc<dyn Agent>], env: &EnvConfig) -> Client {
        let (first, backups) = agents.split_first().expect("a chain has an agent");
        let client = backups.iter().cloned().fold(Client::of(first.clone()), Client::or_of);
        let client = self.yardstick.iter().cloned().fold(client, Client::held_to);
        let mode = self.env.unwrap_or_default();
        let client = client.environment(env.environment(mode, &self.pass_env));
        let is_given = self.program.iter().any(|program| program.agent.is_none());
        let client = self.agents.iter().fold(client, |client, (name, own)| {
            // A program without a name is the first agent's, whatever the configuration says.
            own.apply(name, client, !is_given || name != first.name())
        });
        self.program.iter().fold(client, |client, program| match &program.agent {
            Some(agent) => client.program_of(agent, &program.path),
            None => client.program(&program.path),
        })
    }
}

/// Where an agent's program is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Program {
    /// Whose; that of the first agent if it is not said.
    pub(crate) agent: Option<String>,
    #[serde(with = "belay_trace::stored_path")]
    pub(crate) path: PathBuf,
}

impl FromStr for Program {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        // A path may have a `=` in it.
        let named = text.split_once('=').and_then(|(name, path)| {
            let agent = crate::config::candidate(name).ok()?.agent.name().to_owned();
            Some(Self { agent: Some(agent), path: path.into() })
        });
        Ok(named.unwrap_or_else(|| Self { agent: None, path: text.into() }))
    }
}

/// What was given takes the place of what was there.
pub(crate) fn over<T: Clone>(value: &mut Option<T>, given: &Option<T>) {
    if given.is_some() {
        value.clone_from(given);
    }
}

fn over_list(values: &mut Vec<String>, given: &[String]) {
    if !given.is_empty() {
        *values = given.to_vec();
    }
}
