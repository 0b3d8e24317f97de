//! `belay runs`

mod row;
pub(crate) mod state;
mod table;

use self::row::Row;
use self::state::StateFilter;
use crate::config::candidate;
use crate::fail::Fail;
use crate::figures;
use crate::page::Page;
use crate::say::say;
use crate::stored::{ShortIds, StateDir, unreadable};
use crate::surroundings::{Color, width};
use crate::terminal;
use belay_trace::{Overview, RunState, StoredRun, exit_code};
use belaykit::Candidate;
use clap::Args;
use std::io::Write as _;

/// List the runs of this user, newest first: state, agent, cost, tokens, time, age, folder, prompt.
///
/// The id is the end of the run's own id, as much of it as no other run has; every verb that takes a RUN takes
/// it. Cost and tokens of a run that is at work, or has crashed, are what was known last.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay runs
  belay runs --state running
  belay runs --state crashed --all
  belay runs --agent codex --json | jq -s 'map(.usage.output_tokens) | add'")]
pub(crate) struct Runs {
    /// Show at most so many.
    #[arg(short, value_name = "N", default_value_t = 20)]
    n: usize,

    /// Show all of them.
    #[arg(long, conflicts_with = "n")]
    all: bool,

    /// Those that stand so: running, waiting (for a session), answered, failed, crashed, lost, damaged, or a kind of failure such as
    /// interrupted or rate_limited; can be given more than once.
    #[arg(long, value_name = "STATE")]
    state: Vec<StateFilter>,

    /// Those of this agent.
    #[arg(long, value_name = "AGENT", value_parser = candidate)]
    agent: Option<Candidate>,

    /// Print a JSON object a line.
    #[arg(long)]
    json: bool,

    /// When to paint.
    #[arg(long, value_enum, default_value_t)]
    color: Color,

    #[command(flatten)]
    state_dir: StateDir,
}

impl Runs {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let runs = self.state_dir.store()?.runs().map_err(unreadable)?;
        let short = ShortIds::of(&runs);
        let (page, terminal) = (Page::new(), terminal::stdout().is_terminal());
        let mut out = page.clone();
        let max = if self.all { usize::MAX } else { self.n };
        let mut rows = Vec::new();
        let mut looked_at = 0;
        for run in runs.iter().take_while(|_| page.is_read()) {
            if rows.len() >= max {
                break;
            }
            looked_at += 1;
            let overview = run.overview();
            if !self.wants(&overview) {
                continue;
            }
            let row = Row::of(run, short.get(run.id()), overview);
            if self.json {
                let _ = writeln!(out, "{}", row.to_json());
            }
            rows.push(row);
        }
        if !self.json {
            let width = width(terminal::stdout().handle());
            let _ = out.write_all(
                table::of(&rows, width, self.color.paints(terminal::stdout().handle())).as_bytes(),
            );
        }
        page.end()?;
        if !self.json {
            self.tell(&runs, &rows, looked_at, terminal);
        }
        Ok(exit_code::ANSWERED)
    }

    fn wants(&self, overview: &Overview) -> bool {
        let state = self.state.is_empty() || self.state.iter().any(|state| state.takes(overview));
        let agent = self.agent.as_ref().is_none_or(|wanted| wanted.agent.name() == overview.agent);
        state && agent
    }

    /// What a person may want to know beside the list.
    fn tell(&self, runs: &[StoredRun], rows: &[Row], looked_at: usize, terminal: bool) {
        let filtered = !self.state.is_empty() || self.agent.is_some();
        if runs.is_empty() {
            say("There are no runs yet: belay run \"…\"");
        } else if rows.is_empty() {
            say("No run is like that.");
        } else if terminal {
            let crashed = rows.iter().map(|row| (row, &row.overview));
            let mut crashed =
                crashed.filter(|(_, seen)| seen.state == RunState::Crashed && !seen.damaged);
            if let Some((row, overview)) = crashed.next() {
                let verb = if overview.session_id.is_some() { "resume" } else { "show" };
                say(format_args!("run {0} has crashed: belay {verb} {0}", row.short));
            }
            let more = runs.len() - looked_at;
            if more > 0 {
                let what = if filtered { "looked at" } else { "shown" };
                say(format_args!(
                    "older and not {what}: {} (belay runs --all)",
                    figures::runs(more)
                ));
            }
        }
    }
}
