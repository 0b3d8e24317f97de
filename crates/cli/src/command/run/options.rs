//! What `belay run` and the verbs that run again have in common: everything but the prompt and the session.

use super::given::Given;
use crate::fail::Fail;
use crate::say::warn;
use crate::surroundings::{self, Color};
use belaykit::{
    Agent, Client, Durability, Effort, IdleLimits, Part, Permissions, RunRequest, TraceDir,
    Transport,
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How an agent is asked, and how the run is shown and kept.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How the run is shown.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) format: Format,

    /// Leave a part out of the text format; can be given more than once. `assistant` is the headers of the
    /// answer, `content` the text below any header.
    #[arg(long, value_name = "PART", value_parser = parts(), help_heading = "Output")]
    pub(crate) hide: Vec<Part>,

    /// When to paint the text format.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) color: Color,

    /// The context window in tokens, for agents that do not report theirs.
    #[arg(long, value_name = "TOKENS", help_heading = "Output")]
    pub(crate) context_window: Option<u64>,

    /// Print what would be run, and run nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

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

    /// Stop after this many model responses.
    #[arg(long, value_name = "N")]
    pub(crate) max_turns: Option<u32>,

    /// Limit each model response, in tokens.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_output_tokens: Option<u32>,

    /// Stop the run when it has taken this long: 90s, 10m, 1h30m.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// Stop the run when the agent makes no progress for so long: 5m, or for each of what it waits for,
    /// model=15m,tool=30m,start=3m,retry=10m (the defaults), or off.
    #[arg(long, value_name = "TIME|WHAT=TIME,…")]
    pub(crate) idle_timeout: Option<IdleLimits>,

    /// Let what the agent has started and left running go on, such as a server; otherwise it is ended.
    #[arg(long)]
    pub(crate) leave_running: bool,

    /// Lines that are typed while the agent works are said to it, if it can listen.
    #[arg(long)]
    pub(crate) interactive_steer: bool,

    /// A tool that needs no permission, in the agent's rule language; can be given more than once.
    #[arg(long, value_name = "RULE")]
    pub(crate) allowed_tools: Vec<String>,

    /// A tool that the model is not offered; can be given more than once.
    #[arg(long, value_name = "RULE")]
    pub(crate) disallowed_tools: Vec<String>,

    /// What the agent may do: read-only, edit or full. Without it, the agent's own default; what an agent
    /// asks for beyond it is denied. `full` is for machines that may be lost.
    #[arg(long, value_name = "MODE")]
    pub(crate) permit: Option<Permissions>,

    /// The agent's working directory.
    #[arg(short = 'C', long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,

    /// Leave an option out that the agent lacks, with a notice, instead of failing.
    #[arg(long)]
    pub(crate) lenient: bool,

    /// The agent's program, instead of looking for it on the PATH.
    #[arg(long, value_name = "PATH", help_heading = "Surroundings")]
    pub(crate) program: Option<PathBuf>,

    /// Hand an environment variable to the agent, which sees only an allow-list; can be given more than once,
    /// and may end in `*`.
    #[arg(long, value_name = "NAME", help_heading = "Surroundings")]
    pub(crate) pass_env: Vec<String>,

    #[command(flatten)]
    pub(crate) given: Given,

    /// Talk with the agent in this way only.
    #[arg(long, value_enum, help_heading = "Surroundings")]
    pub(crate) transport: Option<TransportName>,

    /// The trace that the run belongs to; a new one by default.
    #[arg(long, value_name = "ID", help_heading = "Traces")]
    pub(crate) trace_id: Option<String>,

    /// The phase of the trace that begins with this run.
    #[arg(long, value_name = "NAME", help_heading = "Traces")]
    pub(crate) phase: Option<String>,

    /// Where traces are written [default: .belay/traces].
    #[arg(long, value_name = "DIR", help_heading = "Traces")]
    pub(crate) trace_dir: Option<PathBuf>,

    /// Write no trace.
    #[arg(long, help_heading = "Traces")]
    pub(crate) no_trace: bool,

    /// Where the journal of the run is kept [default: $XDG_STATE_HOME/belay or ~/.local/state/belay].
    #[arg(long, value_name = "DIR", env = "BELAY_STATE_DIR", help_heading = "Traces")]
    pub(crate) state_dir: Option<PathBuf>,

    /// Keep no journal.
    #[arg(long, help_heading = "Traces")]
    pub(crate) no_journal: bool,

    /// What a loss of power may cost of the journal.
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL", help_heading = "Traces")]
    pub(crate) durability: DurabilityName,

    /// Further arguments for the agent, as they are.
    #[arg(last = true, value_name = "AGENT ARGS")]
    pub(crate) extra_args: Vec<String>,
}

impl Options {
    /// Puts what was given into the request; what was not given stays as it is there.
    pub(crate) fn apply(&self, request: &mut RunRequest) {
        over(&mut request.model, &self.model);
        over(&mut request.system_prompt, &self.system_prompt);
        over(&mut request.append_system_prompt, &self.append_system_prompt);
        over(&mut request.max_turns, &self.max_turns);
        over(&mut request.max_output_tokens, &self.max_output_tokens);
        over(&mut request.timeout, &self.timeout);
        request.idle = self.idle_timeout.unwrap_or(request.idle);
        request.leave_running |= self.leave_running;
        self.given.apply(request);
        over(&mut request.effort, &self.effort);
        over(&mut request.permissions, &self.permit);
        over(&mut request.trace_id, &self.trace_id);
        over(&mut request.phase, &self.phase);
        over_list(&mut request.allowed_tools, &self.allowed_tools);
        over_list(&mut request.disallowed_tools, &self.disallowed_tools);
        request.lenient |= self.lenient;
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

    /// A client for the agent, whom nobody watches yet.
    pub(crate) fn client(&self, agent: Arc<dyn Agent>) -> Client {
        let mut client = Client::of(agent).environment(surroundings::environment(&self.pass_env));
        if let Some(program) = &self.program {
            client = client.program(program);
        }
        if let Some(transport) = self.transport {
            client = client.transport(match transport {
                TransportName::Print => Transport::Print,
                TransportName::Dialogue => Transport::Dialogue,
            });
        }
        client
    }

    fn durability(&self) -> Durability {
        match self.durability {
            DurabilityName::Relaxed => Durability::Relaxed,
            DurabilityName::Normal => Durability::Normal,
            DurabilityName::Strict => Durability::Strict,
        }
    }

    /// The folder of the journals, if one is kept.
    pub(crate) fn journals(&self) -> Option<PathBuf> {
        if self.no_journal { None } else { surroundings::state_dir(self.state_dir.clone()) }
    }

    /// The folder of the traces, whether or not one is written.
    pub(crate) fn traces(&self) -> &Path {
        self.trace_dir.as_deref().unwrap_or(Path::new(TRACE_DIR))
    }

    /// The client with its journal and its trace.
    pub(crate) fn watched(&self, mut client: Client) -> Result<Client, Fail> {
        match self.journals() {
            Some(dir) => client = client.state_dir(dir).durability(self.durability()),
            None if self.no_journal => {}
            None => warn("no HOME and no --state-dir: this run has no journal"),
        }
        if !self.no_trace {
            let dir = self.traces();
            let traces = TraceDir::new(dir).map_err(|error| {
                Fail::usage(format!("cannot write traces to {}: {error}", dir.display()))
                    .hint("choose another folder with --trace-dir, or run with --no-trace")
            })?;
            client = client.observe(traces);
        }
        Ok(client)
    }
}

/// Where traces are written by default.
const TRACE_DIR: &str = ".belay/traces";

fn over<T: Clone>(value: &mut Option<T>, given: &Option<T>) {
    if given.is_some() {
        value.clone_from(given);
    }
}

fn over_list(values: &mut Vec<String>, given: &[String]) {
    if !given.is_empty() {
        *values = given.to_vec();
    }
}

/// How a run is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// What happens, as text on standard error; the answer on standard output.
    #[default]
    Text,
    /// Every event as a JSON line on standard output.
    Jsonl,
    /// The result as one JSON object on standard output.
    Json,
    /// The answer on standard output, and nothing else.
    Quiet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TransportName {
    /// One shot: the prompt in, events out.
    Print,
    /// The agent's protocol, both ways.
    Dialogue,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum DurabilityName {
    /// What the system has not written yet: for throwaway runs on slow disks.
    Relaxed,
    /// The last second of events, never the result.
    #[default]
    Normal,
    /// Nothing that was shown: each batch of events waits for the disk.
    Strict,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    parsed.ok_or_else(|| "write a time such as 90s, 10m or 1h30m".to_owned())
}

/// The parts of the text format by their names.
pub(crate) fn parts() -> impl TypedValueParser<Value = Part> {
    let names = Part::ALL.map(|(_, name)| name);
    PossibleValuesParser::new(names).map(|name| {
        let found = Part::ALL.into_iter().find(|(_, known)| *known == name);
        found.map(|(part, _)| part).expect("the parser takes known names only")
    })
}
