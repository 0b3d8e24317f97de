//! `belay doctor`

mod drift;
mod probe;
mod show;

use crate::config::{Config, Wanted};
use crate::config::{own_names, typed};
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::runtime::block_on;
use crate::say::without_secrets;
use crate::surroundings::{self, Color};
use crate::terminal;
use belay_trace::exit_code;
use belaykit::doctor::{self, Examined, Finding, Level, Places};
use belaykit::{AGENTS, Candidate, Client, RunRequest};
use clap::Args;
use serde::Serialize;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Look at what works on this machine: which agents are there, in which version, whether they look logged in, and
/// whether belay can do its part. Says what to do about each finding.
///
/// Nothing is asked of a model and no secret is read out, unless with --probe. Exit code 0 if an agent is ready and
/// nothing is broken, 69 if no agent is ready, 78 if something has to be mended.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay doctor
  belay doctor claude codex --probe
  belay doctor --drift latest
  belay doctor --json | jq '.agents[] | select(.ready) | .agent'")]
pub(crate) struct Doctor {
    /// Look at these agents alone.
    #[arg(value_name = "AGENT[:MODEL]", value_parser = typed)]
    agents: Vec<Candidate>,

    /// Ask each agent that is ready for one word. This is a real request, which costs a little.
    #[arg(long)]
    probe: bool,

    /// Instead, hold what an agent has said against belay's recordings of it, and list what is new: a run, a file with
    /// its events, or a file with the agent's own stream (then name the agent).
    #[arg(long, value_name = "RUN|FILE", conflicts_with = "probe")]
    drift: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Where journals are kept, which has to be writable [default: as `belay run` has it].
    #[arg(long, value_name = "DIR", env = "BELAY_STATE_DIR")]
    state_dir: Option<PathBuf>,

    /// Where traces are written, which has to be writable [default: .belay/traces].
    #[arg(long, value_name = "DIR", default_value = ".belay/traces", hide_default_value = true)]
    trace_dir: PathBuf,
}

/// All that was found.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    machine: Vec<Finding>,
    agents: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    examined: Examined,
    /// A run can start, as far as anybody knows.
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<probe::Probe>,
}

impl Doctor {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        if let Some(what) = &self.drift {
            return self.drift(what);
        }
        let config = Config::load(Wanted::default(), None)?;
        let report = block_on(self.examine(&config))??;
        let text = if self.json {
            serde_json::to_string_pretty(&report).map_err(Fail::local)? + "\n"
        } else {
            let out = terminal::stdout();
            show::text(&report, Color::Auto.paints(out.handle()), out.is_terminal())
        };
        closed_pipe_is_fine(terminal::stdout().write_all(without_secrets(&text).as_bytes()))?;
        Ok(report.exit_code())
    }

    fn drift(&self, what: &Path) -> Result<u8, Fail> {
        let agent = self.agents.first().map(|candidate| candidate.agent.name());
        let drifts = drift::of(what, agent, self.state_dir.clone())?;
        let text = match self.json {
            true => serde_json::to_string_pretty(&drifts).map_err(Fail::local)? + "\n",
            false => drift::text(&drifts),
        };
        closed_pipe_is_fine(terminal::stdout().write_all(without_secrets(&text).as_bytes()))?;
        Ok(exit_code::ANSWERED)
    }

    async fn examine(&self, config: &Config) -> Result<Report, Fail> {
        let env = surroundings::environment();
        let state_dir = self.state_dir.clone().or_else(crate::config::state_dir);
        let places = Places {
            state_dir: surroundings::state_dir(state_dir),
            trace_dir: Some(self.trace_dir.clone()),
            supervisor: None,
        };
        let machine = doctor::machine(&env, &places).await;
        let mut clients: Vec<Client> =
            self.agents.iter().map(|c| Client::of(c.agent.clone())).collect();
        if clients.is_empty() {
            let agents = AGENTS.iter().map(|entry| (entry.make)(None));
            // One that is whatever its command says cannot be looked for.
            let known = agents.filter(|agent| {
                let args = agent.interactive_args(&RunRequest::new(""));
                args.is_ok_and(|args| args.first().is_some_and(|program| !program.is_empty()))
            });
            let own = own_names().into_iter().filter_map(|name| typed(name).ok());
            clients = known.chain(own.map(|own| own.agent)).map(Client::of).collect();
        }
        // Each asks its program for its version, and some take a second to answer.
        let mut tasks = Vec::new();
        for client in clients {
            let name = client.agent_name().to_owned();
            let mut client = client.environment(config.environment());
            if let Some(own) = config.agents.get(name.as_str()) {
                client = own.apply(&name, client, true);
            }
            tasks.push((client.clone(), tokio::spawn(async move { client.examine().await })));
        }
        let mut agents = Vec::new();
        for (client, task) in tasks {
            let examined = task.await.map_err(Fail::local)?;
            let ready = examined.is_ready();
            let probe = if ready && self.probe { Some(probe::ask(client).await?) } else { None };
            agents.push(Row { examined, ready, probe });
        }
        Ok(Report { version: env!("CARGO_PKG_VERSION"), machine, agents })
    }
}

impl Row {
    fn is_broken(&self) -> bool {
        self.examined.is_there && !self.ready
            || self.probe.as_ref().is_some_and(probe::Probe::failed)
    }
}

impl Report {
    fn exit_code(&self) -> u8 {
        let broken = self.machine.iter().any(|finding| finding.level == Level::Problem)
            || self.agents.iter().any(Row::is_broken);
        if !self.agents.iter().any(|row| row.ready) {
            exit_code::UNAVAILABLE
        } else if broken {
            exit_code::CONFIGURATION
        } else {
            exit_code::ANSWERED
        }
    }
}
