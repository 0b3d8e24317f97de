//! `belay breaker`

use crate::command::run::Call;
use crate::fail::Fail;
use crate::figures;
use crate::page::Page;
use crate::say::say;
use crate::stored::{ShortIds, StateDir, unreadable};
use belay_trace::{StoredRun, exit_code, visible_line};
use belaykit::Candidate;
use belaykit::breaker::{Breakers, Tripped};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use std::io::{self, Write as _};

/// Show and forget what runs have found out about agents that are limited or down.
///
/// A run that meets a limit, an overloaded model or a failed login notes it, so that the other runs of this user
/// do not try the same until it is over (docs/failover.md).
#[derive(Debug, Args)]
pub(crate) struct Breaker {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Ls(Ls),
    Reset(Reset),
}

/// List what is known to be down: what, why, until when, and which run found out.
#[derive(Debug, Args)]
struct Ls {
    /// Print a JSON object a line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    state_dir: StateDir,
}

/// Forget what is known, so that the next run tries again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay breaker reset claude
  belay breaker reset codex:gpt-5.5
  belay breaker reset all")]
struct Reset {
    /// Of this agent, or of one model of it (codex:gpt-5.5), or all.
    #[arg(value_name = "AGENT|all", default_value = "all")]
    what: What,

    #[command(flatten)]
    state_dir: StateDir,
}

#[derive(Clone, Debug)]
enum What {
    All,
    Of(Candidate),
}

impl std::str::FromStr for What {
    type Err = crate::config::NoAgent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" { Ok(Self::All) } else { crate::config::candidate(text).map(Self::Of) }
    }
}

impl What {
    fn is(&self, tripped: &Tripped) -> bool {
        match self {
            Self::All => true,
            Self::Of(candidate) => {
                let agent = tripped.agent.as_deref() == Some(candidate.agent.name());
                agent && (candidate.model.is_none() || candidate.model == tripped.model)
            }
        }
    }
}

impl Breaker {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        match self.verb {
            Verb::Ls(ls) => ls.run(),
            Verb::Reset(reset) => reset.run(),
        }
    }
}

impl Ls {
    fn run(&self) -> Result<u8, Fail> {
        let store = self.state_dir.store()?;
        let now = Timestamp::now();
        let breakers = Breakers::new(self.state_dir.folder()?);
        let all = breakers.tripped(now).map_err(|error| failed(&error))?;
        let runs = store.runs().map_err(unreadable)?;
        let page = Page::new();
        let mut out = page.clone();
        if self.json {
            for tripped in &all {
                let _ = serde_json::to_writer(&mut out, tripped);
                let _ = writeln!(out);
            }
        } else {
            let _ = out.write_all(table(&all, &runs, now).as_bytes());
        }
        page.end()?;
        if all.is_empty() && !self.json {
            say("Nothing is known to be down.");
        }
        Ok(exit_code::ANSWERED)
    }
}

/// One line each: what, why, how much longer, and who says so.
fn table(all: &[Tripped], runs: &[StoredRun], now: Timestamp) -> String {
    let short = ShortIds::of(runs);
    let rows: Vec<[String; 4]> = all
        .iter()
        .map(|tripped| {
            let until = if tripped.is_due {
                "the next run tries".to_owned()
            } else {
                let left = figures::duration(tripped.until.duration_since(now));
                format!("{left} more, until {:.0}", tripped.until)
            };
            let age = figures::age(tripped.since, now);
            let by = format!("run {}, {age} ago", short.get(&tripped.run));
            [who(tripped, runs), tripped.kind.to_string(), until, by]
                .map(|cell| visible_line(&cell).into())
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths = [0, 1, 2].map(|column| width(column).unwrap_or(0));
    let line = |[who, why, until, by]: &[String; 4]| {
        format!("{who:<0$}  {why:<1$}  {until:<2$}  {by}\n", widths[0], widths[1], widths[2])
    };
    rows.iter().map(line).collect()
}

/// Whose it is; of an agent that is any command, the command as its run has noted it.
fn who(tripped: &Tripped, runs: &[StoredRun]) -> String {
    let run = runs.iter().find(|run| run.id() == tripped.run);
    match (run, &tripped.agent) {
        (Some(run), Some(agent)) => {
            let written = Call::read(run.folder()).written(agent, &[]);
            tripped.who().replacen(agent, &written, 1)
        }
        _ => tripped.who(),
    }
}

impl Reset {
    fn run(&self) -> Result<u8, Fail> {
        let breakers = Breakers::new(self.state_dir.folder()?);
        let forgotten = breakers.reset(|tripped| self.what.is(tripped));
        let page = Page::new();
        let _ = match forgotten.map_err(|error| failed(&error))? {
            0 => writeln!(&mut page.clone(), "there is nothing to forget"),
            1 => writeln!(&mut page.clone(), "1 breaker is closed again"),
            n => writeln!(&mut page.clone(), "{n} breakers are closed again"),
        };
        page.end()?;
        Ok(exit_code::ANSWERED)
    }
}

fn failed(error: &io::Error) -> Fail {
    Fail::local(format!("cannot read or change the breakers: {error}"))
        .hint("they are in the folder `breaker` of the state folder; removing it forgets them all")
}
