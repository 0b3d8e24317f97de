//! What `belay run` and the verbs that run again have in common: everything but the prompt and the session.

use super::ask::{Ask, over};
use super::given::Given;
use super::otel::OtelFlags;
use super::policy::PolicyFlags;
use crate::config::TracePlace;
use crate::fail::Fail;
use crate::notify::NotifyFlags;
use crate::say::warn;
use crate::surroundings::{self, Color};
use belaykit::{
    Agent, Background, BadPrices, Client, Durability, IdleLimits, Part, Policy, Prices, Redaction,
    RunRequest, TraceDir, Transport,
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How an agent is asked, and how the run is shown and kept.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What the run is about, where its prompt does not say it.
    #[arg(skip)]
    pub(crate) task: Option<String>,

    /// How the run is shown [default: text].
    #[arg(long, value_enum, help_heading = "Output")]
    pub(crate) format: Option<Format>,

    /// Leave a part out of the text format; can be given more than once. `assistant` is the headers of the
    /// answer, `content` the text below any header.
    #[arg(long, value_name = "PART", value_parser = parts(), help_heading = "Output")]
    pub(crate) hide: Vec<Part>,

    /// When to paint the text format [default: auto].
    #[arg(long, value_enum, help_heading = "Output")]
    pub(crate) color: Option<Color>,

    /// Draw the trace as a tree on standard error when the run has ended (`belay trace show`).
    #[arg(long, conflicts_with = "no_trace", help_heading = "Output")]
    pub(crate) tree: bool,

    /// The context window in tokens, for agents that do not report theirs.
    #[arg(long, value_name = "TOKENS", help_heading = "Output")]
    pub(crate) context_window: Option<u64>,

    /// Print what would be run, and run nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// The profile of the configuration (`belay config show`) that fills in what is not given here
    /// [default: $BELAY_PROFILE, or the configuration's `default_profile`].
    #[arg(short = 'P', long, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    #[command(flatten)]
    pub(crate) ask: Ask,

    #[command(flatten)]
    pub(crate) policy: PolicyFlags,

    /// Stop after this many model responses.
    #[arg(long, value_name = "N")]
    pub(crate) max_turns: Option<u32>,

    /// Stop the run when it has cost so many US dollars, all agents together.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    pub(crate) max_cost: Option<f64>,

    /// Limit each model response, in tokens.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_output_tokens: Option<u32>,

    /// Stop the run when it has taken this long: 90s, 10m, 1h30m.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// Stop the run when the agent makes no progress for so long: 5m, or for each of what it waits for,
    /// model=15m,tool=30m,start=3m,retry=10m,background=10m (the defaults), or off.
    #[arg(long, value_name = "TIME|WHAT=TIME,…")]
    pub(crate) idle_timeout: Option<IdleLimits>,

    /// Wait for subagents and commands that the agent runs on after its turn, or stop them: wait, stop
    /// [default: wait].
    #[arg(long, value_name = "WHAT")]
    pub(crate) background: Option<Background>,

    /// Let what the agent has started and left running go on, such as a server; otherwise it is ended.
    #[arg(long)]
    pub(crate) leave_running: bool,

    /// Lines that are typed while the agent works are said to it, if it can listen.
    #[arg(long)]
    pub(crate) interactive_steer: bool,

    /// A TOML file with prices of models, which go before list prices; what an agent reports goes before both.
    #[arg(long, value_name = "FILE", help_heading = "Surroundings")]
    pub(crate) price_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) given: Given,

    /// Talk with the agent in this way only.
    #[arg(long, value_enum, help_heading = "Surroundings")]
    pub(crate) transport: Option<TransportName>,

    /// The trace that the run belongs to (`belay trace start`). One that does not exist begins with the run, and
    /// one that was ended takes it in all the same [default: one of its own].
    #[arg(long, value_name = "ID", alias = "trace-id", help_heading = "Traces")]
    pub(crate) trace: Option<String>,

    /// The phase of the trace that begins with this run.
    #[arg(long, value_name = "NAME", help_heading = "Traces")]
    pub(crate) phase: Option<String>,

    /// Where traces are written [default: .belay/traces].
    #[arg(long, value_name = "DIR", help_heading = "Traces")]
    pub(crate) trace_dir: Option<PathBuf>,

    /// Write no trace.
    #[arg(long, value_name = "BOOL", help_heading = "Traces")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) no_trace: Option<bool>,

    /// Where the journal of the run is kept [default: the configuration's `state_dir`, or $XDG_STATE_HOME/belay or
    /// ~/.local/state/belay].
    #[arg(long, value_name = "DIR", env = "BELAY_STATE_DIR", help_heading = "Traces")]
    pub(crate) state_dir: Option<PathBuf>,

    /// Where journals are if none of these is given.
    #[arg(skip)]
    pub(crate) configured_state_dir: Option<PathBuf>,

    /// Where traces are written if the user names no folder.
    #[arg(skip)]
    pub(crate) project_traces: TracePlace,

    /// Keep no journal.
    #[arg(long, help_heading = "Traces")]
    pub(crate) no_journal: bool,

    /// What a loss of power may cost of the journal [default: normal].
    #[arg(long, value_enum, value_name = "LEVEL", help_heading = "Traces")]
    pub(crate) durability: Option<DurabilityName>,

    #[command(flatten)]
    pub(crate) notify: NotifyFlags,

    /// Take out what this regular expression matches too, everywhere.
    #[arg(long, value_name = "PATTERN", help_heading = "Traces")]
    pub(crate) redact: Vec<String>,

    /// Let journals, traces, events and the answer hold secrets as the agent prints them.
    #[arg(long, conflicts_with = "redact", help_heading = "Traces")]
    pub(crate) no_redact: bool,

    #[command(flatten)]
    pub(crate) otel: OtelFlags,
}

impl Options {
    /// Puts what was given into the request; what was not given stays as it is there.
    pub(crate) fn apply(&self, request: &mut RunRequest) {
        self.ask.apply(request);
        over(&mut request.agent_retries, &self.policy.agent_retries);
        over(&mut request.max_turns, &self.max_turns);
        over(&mut request.max_output_tokens, &self.max_output_tokens);
        over(&mut request.max_cost_usd, &self.max_cost);
        over(&mut request.timeout, &self.timeout);
        request.idle = self.idle_timeout.unwrap_or(request.idle);
        request.background = self.background.unwrap_or(request.background);
        request.leave_running |= self.leave_running;
        self.given.apply(request);
        over(&mut request.trace_id, &self.trace);
        over(&mut request.phase, &self.phase);
    }

    /// A client for the agents, whom nobody watches yet.
    pub(crate) fn client(&self, agents: &[Arc<dyn Agent>]) -> Client {
        let mut ask_env = self.ask.env_config.clone();
        ask_env.secrets.extend(self.otel.secrets().into_iter().map(str::to_owned));
        let client = self.ask.client_in(agents, &ask_env);
        let client = client.policy(self.policy.apply(Policy::default()));
        match self.transport {
            Some(TransportName::Print) => client.transport(Transport::Print),
            Some(TransportName::Dialogue) => client.transport(Transport::Dialogue),
            None => client,
        }
    }

    /// What is redacted in all that is kept and shown.
    pub(crate) fn redaction(&self) -> Result<Redaction, Fail> {
        if self.no_redact {
            return Ok(Redaction::off());
        }
        self.redact.iter().try_fold(Redaction::default(), |redaction, pattern| {
            redaction.pattern(pattern).map_err(|error| {
                Fail::usage(format!("cannot look for --redact {pattern:?}: {error}"))
                    .hint("write a regular expression, such as --redact 'CUST-[0-9]{6}'")
            })
        })
    }

    fn durability(&self) -> Durability {
        match self.durability.unwrap_or_default() {
            DurabilityName::Relaxed => Durability::Relaxed,
            DurabilityName::Normal => Durability::Normal,
            DurabilityName::Strict => Durability::Strict,
        }
    }

    /// The folder of the journals, if one is kept.
    pub(crate) fn journals(&self) -> Option<PathBuf> {
        if self.no_journal { None } else { self.state_folder() }
    }

    /// belay's own folder, whether or not a journal is kept.
    fn state_folder(&self) -> Option<PathBuf> {
        let dir = self.state_dir.as_ref().or(self.configured_state_dir.as_ref());
        surroundings::state_dir(dir.cloned())
    }

    /// The folder of the traces, whether or not one is written.
    pub(crate) fn traces(&self) -> PathBuf {
        self.trace_dir.clone().unwrap_or_else(|| self.project_traces.folder())
    }

    /// Opens the folder of the traces. One that the user has named has to do; where that of the project cannot be
    /// written, or leads elsewhere, the trace goes to belay's own folder.
    fn open_traces(&mut self) -> Result<Option<TraceDir>, Fail> {
        if let Some(dir) = &self.trace_dir {
            let cannot = |error| {
                Fail::usage(format!("cannot write traces to {}: {error}", dir.display()))
                    .hint("choose another folder with --trace-dir, or run with --no-trace")
            };
            return TraceDir::new(dir).map(Some).map_err(cannot);
        }
        let folder = self.project_traces.folder();
        let opened = match &self.project_traces {
            TracePlace::Users(dir) => TraceDir::new(dir),
            TracePlace::Projects { root, below } => TraceDir::in_project(root, below),
        };
        let error = match opened {
            Ok(traces) => return Ok(Some(traces)),
            Err(error) => error,
        };
        let shown = folder.display();
        let instead = self.state_folder().map(|folder| folder.join(STATE_TRACES));
        let opened = instead.map(|dir| (TraceDir::new(&dir), dir));
        match opened {
            Some((Ok(traces), dir)) => {
                warn(format_args!(
                    "cannot write traces to {shown}: {error}; this run's trace is in {}",
                    dir.display()
                ));
                self.trace_dir = Some(dir);
                Ok(Some(traces))
            }
            _ => {
                warn(format_args!("cannot write traces to {shown}: {error}; this run has none"));
                self.no_trace = Some(true);
                Ok(None)
            }
        }
    }

    /// How the run is shown.
    pub(crate) fn format(&self) -> Format {
        self.format.unwrap_or_default()
    }

    /// True if a trace is written.
    pub(crate) fn has_trace(&self) -> bool {
        !self.no_trace.unwrap_or(false)
    }

    /// The client with its prices, its journal, its trace, and those who are told elsewhere.
    pub(crate) fn watched(&mut self, mut client: Client) -> Result<Client, Fail> {
        if let Some(path) = &self.price_file {
            client = client.prices(prices(path)?);
        }
        match self.journals() {
            Some(dir) => client = client.state_dir(dir).durability(self.durability()),
            // The session is in use all the same.
            None if self.no_journal => {
                if let Some(dir) = self.state_folder() {
                    client = client.lock_dir(dir);
                }
            }
            None => warn("no HOME and no --state-dir: this run has no journal"),
        }
        if self.no_redact {
            warn("secrets are not redacted: the journal and the trace hold what the agent prints");
        }
        client = client.redact(self.redaction()?);
        let traces = if self.has_trace() { self.open_traces()? } else { None };
        if let Some(traces) = traces {
            client = client.observe(match self.journals() {
                Some(state_dir) => traces.journals(state_dir),
                None => traces,
            });
        }
        self.otel.watch(self.notify.watch(client)?)
    }
}

fn prices(path: &Path) -> Result<Prices, Fail> {
    Prices::bundled().with_file(path).map_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let hint = match error {
            BadPrices::Wrong { .. } => {
                "a model is [models.\"NAME\"] with input_usd_per_million and output_usd_per_million"
            }
            _ => "name another file with --price-file",
        };
        Fail::usage(format!("{error}{cause}")).hint(hint)
    })
}

/// Where traces are written by default.
pub(crate) const TRACE_DIR: &str = ".belay/traces";

/// Where they go in belay's own folder, if they cannot be written there.
pub(crate) const STATE_TRACES: &str = "traces";

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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityName {
    /// What the system has not written yet: for throwaway runs on slow disks.
    Relaxed,
    /// The last second of events, never the result.
    #[default]
    Normal,
    /// Nothing that was shown: each batch of events waits for the disk.
    Strict,
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    parsed.ok_or_else(|| "write a time such as 90s, 10m or 1h30m".to_owned())
}

pub(crate) fn dollars(text: &str) -> Result<f64, String> {
    let parsed = text.trim_start_matches('$').parse().ok();
    let positive = parsed.filter(|usd: &f64| usd.is_finite() && *usd > 0.0);
    positive.ok_or_else(|| "write an amount such as 0.50 or 5".to_owned())
}

/// The parts of the text format by their names.
pub(crate) fn parts() -> impl TypedValueParser<Value = Part> {
    let names = Part::ALL.map(|(_, name)| name);
    PossibleValuesParser::new(names).map(|name| {
        let found = Part::ALL.into_iter().find(|(_, known)| *known == name);
        found.map(|(part, _)| part).expect("the parser takes known names only")
    })
}
