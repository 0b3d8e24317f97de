//! `belay runs`

use crate::fail::{Fail, closed_pipe_is_fine};
use crate::say::say;
use crate::surroundings;
use belay_trace::{RunState, RunSummary, Store, visible_line};
use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// List the runs of this user, newest first: state, agent, cost, age.
#[derive(Debug, Args)]
pub(crate) struct Runs {
    /// Show at most so many.
    #[arg(short, long, value_name = "N", default_value_t = 20)]
    n: usize,

    /// Print a JSON object a line.
    #[arg(long)]
    json: bool,

    /// Where the journals are [default: $XDG_STATE_HOME/belay or ~/.local/state/belay].
    #[arg(long, value_name = "DIR", env = "BELAY_STATE_DIR")]
    state_dir: Option<PathBuf>,
}

impl Runs {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let runs = store(self.state_dir)?.runs().map_err(unreadable)?;
        let mut text = String::new();
        for run in runs.iter().take(self.n) {
            let summary = run.summary().map_err(unreadable)?;
            let line = if self.json { object(&summary).to_string() } else { row(&summary) };
            let _ = writeln!(text, "{line}");
        }
        if runs.is_empty() && !self.json {
            say("There are no runs yet: belay run \"…\"");
        }
        closed_pipe_is_fine(io::stdout().write_all(text.as_bytes()))?;
        Ok(0)
    }
}

/// The journals of this user.
pub(crate) fn store(given: Option<PathBuf>) -> Result<Store, Fail> {
    let dir = surroundings::state_dir(given);
    let dir = dir.ok_or_else(|| {
        Fail::usage("there is no HOME to look for journals in")
            .hint("name the folder with --state-dir")
    })?;
    Ok(Store::new(dir))
}

pub(crate) fn unreadable(error: io::Error) -> Fail {
    Fail::local(format!("cannot read the journals: {error}"))
}

/// How a run stands, in one word.
pub(crate) fn state_word(state: RunState) -> &'static str {
    match state {
        RunState::Running => "running",
        RunState::Answered => "answered",
        RunState::Failed(kind) => kind.name(),
        RunState::Crashed => "crashed",
    }
}

fn row(summary: &RunSummary) -> String {
    let cost = summary.result.as_ref().and_then(|result| result.usage.total_cost_usd);
    let cost = cost.map_or_else(|| "-".to_owned(), |usd| format!("${usd:.4}"));
    let age = summary.started.map_or_else(|| "?".to_owned(), |at| age(at, Timestamp::now()));
    let (state, agent) = (state_word(summary.state), visible_line(&summary.agent));
    format!("{}  {state:<16} {agent:<12} {cost:>9}  {age:>4} ago", summary.id)
}

fn object(summary: &RunSummary) -> serde_json::Value {
    json!({
        "run": summary.id,
        "state": state_word(summary.state),
        "agent": summary.agent,
        "started": summary.started,
        "session_id": summary.session_id,
        "cwd": summary.cwd,
        "usage": summary.result.as_ref().map(|result| &result.usage),
    })
}

/// `5s`, `12m`, `3h`, `9d`.
fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_one_unit() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (seconds, want) in [(0, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (200_000, "2d")] {
            assert_eq!(age(at(0), at(seconds)), want);
        }
        assert_eq!(age(at(10), at(0)), "0s");
    }
}
