//! `belay replay`

use super::runs::{store, unreadable};
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::say::warn;
use belay_agents::{Candidate, Emitted, Replay as Replayed, RunRequest, Transport};
use belay_trace::journal::{REQUEST_FILE, input_file};
use belay_trace::{Event, Record, StoredRun, exit_code};
use clap::Args;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Feed a run's inputs to its driver again: the same events, without an agent and without cost.
///
/// Prints the driver's events as they come out now. Exits with 1 and says where, if they differ from those
/// that were stored when the run took place: then the driver has changed since.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The run's id, a part of it that no other run has, or `latest`.
    #[arg(default_value = "latest")]
    run: String,

    /// Print nothing but differences.
    #[arg(short, long)]
    quiet: bool,

    /// Where the journals are [default: $XDG_STATE_HOME/belay or ~/.local/state/belay].
    #[arg(long, value_name = "DIR", env = "BELAY_STATE_DIR")]
    state_dir: Option<PathBuf>,
}

impl Replay {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let run = store(self.state_dir)?.find(&self.run).map_err(|error| {
            Fail::not_found(error)
                .hint("`belay runs` lists them; `belay show latest` is the newest")
        })?;
        let request = request(&run)?;
        let records: Vec<Record> = run.records().map_err(unreadable)?.collect();
        let mut text = Vec::new();
        let mut difference = None;
        for started in records.iter().filter(|r| matches!(r.event, Event::AttemptStarted(_))) {
            let stored: Vec<&Record> = records
                .iter()
                .filter(|r| r.attempt == started.attempt && is_of_driver(r))
                .collect();
            let replayed = attempt(&run, &request, started)?;
            for (n, (_, emitted)) in replayed.events.iter().enumerate() {
                let stored = stored.get(n);
                if difference.is_none() && !stored.is_some_and(|stored| is_same(stored, emitted)) {
                    difference = Some((started.attempt, n, stored.map(|stored| stored.seq)));
                }
                let record = again(started, stored.copied(), emitted);
                serde_json::to_writer(&mut text, &record).map_err(Fail::local)?;
                text.push(b'\n');
            }
            if difference.is_none() && stored.len() > replayed.events.len() {
                let n = replayed.events.len();
                difference = Some((started.attempt, n, Some(stored[n].seq)));
            }
        }
        if !self.quiet {
            closed_pipe_is_fine(io::stdout().write_all(&text))?;
        }
        match difference {
            None => Ok(exit_code::ANSWERED),
            Some((attempt, n, seq)) => {
                let seq = seq.map_or_else(|| "past the end".to_owned(), |seq| format!("seq {seq}"));
                let message = format!(
                    "attempt {attempt} reads differently now: event {n} of the driver, stored at {seq}"
                );
                Err(Fail::local(message))
            }
        }
    }
}

fn request(run: &StoredRun) -> Result<RunRequest, Fail> {
    let text = fs::read(run.folder().join(REQUEST_FILE)).map_err(unreadable)?;
    serde_json::from_slice(&text)
        .map_err(|error| Fail::local(format!("cannot read the request of {}: {error}", run.id())))
}

fn attempt(run: &StoredRun, request: &RunRequest, started: &Record) -> Result<Replayed, Fail> {
    let Event::AttemptStarted(attempt) = &started.event else { return Ok(Replayed::default()) };
    let candidate: Candidate = started.agent.parse().map_err(Fail::local)?;
    let transport: Transport = attempt.transport.parse().map_err(Fail::local)?;
    let log = fs::read(run.folder().join(input_file(started.attempt))).map_err(unreadable)?;
    let replayed = Replayed::of(candidate.agent.as_ref(), request, transport, &log);
    if replayed.unreadable > 0 {
        let (inputs, attempt) = (replayed.unreadable, started.attempt);
        warn(format_args!("{inputs} inputs of attempt {attempt} cannot be read"));
    }
    Ok(replayed)
}

/// True for an event that the driver made of a line.
fn is_of_driver(record: &Record) -> bool {
    record.raw.is_some() && !matches!(record.event, Event::OversizedLine(_))
}

fn is_same(stored: &Record, now: &Emitted) -> bool {
    stored.event == now.event && stored.parent_tool_id == now.parent_tool_id
}

/// The event in the place that it had, with what it says now.
fn again(started: &Record, stored: Option<&Record>, now: &Emitted) -> Record {
    let mut record = stored.unwrap_or(started).clone();
    record.event = now.event.clone();
    record.parent_tool_id.clone_from(&now.parent_tool_id);
    record
}
