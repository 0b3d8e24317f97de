//! `belay replay`

use super::run::Call;
use crate::config::candidate;
use crate::fail::Fail;
use crate::page::Page;
use crate::say::{say, warn};
use crate::stored::{self, StateDir, unreadable};
use crate::surroundings::environment;
use belay_agents::{Emitted, Replay as Replayed, RunRequest, Transport};
use belay_trace::journal::input_file;
use belay_trace::read_regular;
use belay_trace::{AttemptStarted, Event, Record, StoredRun, Tail, exit_code};
use belaykit::{Redaction, shell_escape};
use clap::Args;
use std::borrow::Cow;
use std::io::Write as _;

/// Feed a run's inputs to its driver again: the same events, without an agent and without cost.
///
/// Prints the driver's events as they come out now, byte for byte as they were stored. Exits with 1 and says
/// where, if they differ from what was stored when the run took place: then the driver has changed since. Of a
/// run that crashed, also what was not stored any more is printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay replay
  belay replay 4f3c2b1a --quiet && echo \"as it was\"")]
pub(crate) struct Replay {
    /// The run's id, a part of it that no other run has, or `latest`.
    #[arg(default_value = "latest")]
    run: String,

    /// Print nothing but differences.
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    state_dir: StateDir,
}

impl Replay {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let run = self.state_dir.find(&self.run)?;
        let request = stored::request(&run)?;
        let journal = Journal::read(&run)?;
        let gate = Redaction::default().lines(&environment());
        let mut page = Page::new();
        let (mut difference, mut recovered) = (None, 0);
        for attempt in &journal.attempts {
            let events = replayed(&run, &request, attempt)?;
            for (n, event) in events.iter().enumerate() {
                let stored = attempt.lines.get(n);
                let mut line = again(attempt, stored, event)?;
                // A driver may put together what no line showed. What is stored in plain was to be stored so.
                if stored.is_none_or(|stored| stored.line != line)
                    && let Cow::Owned(clean) = gate.whole(&line)
                {
                    line = clean;
                }
                match stored {
                    Some(stored) if stored.line == line => {}
                    // What came in is written before what was made of it.
                    None if journal.is_cut => recovered += 1,
                    stored => _ = difference.get_or_insert((attempt.number, n, stored)),
                }
                if !self.quiet {
                    let _ = page.write_all(&line).and_then(|()| page.write_all(b"\n"));
                }
            }
            if let Some(stored) = attempt.lines.get(events.len()) {
                difference.get_or_insert((attempt.number, events.len(), Some(stored)));
            }
        }
        page.end()?;
        if recovered > 0 {
            say(format_args!(
                "{recovered} of these events are not in the journal, which ends before"
            ));
        }
        let Some((attempt, n, stored)) = difference else { return Ok(exit_code::ANSWERED) };
        let place = stored.map_or_else(
            || "past the end".to_owned(),
            |stored| format!("at seq {}", stored.record.seq),
        );
        Err(Fail::local(format!(
            "attempt {attempt} reads differently now: event {n} of the driver, stored {place}"
        ))
        .hint("the driver has changed since, or the journal has"))
    }
}

/// What a run has stored of its drivers' events.
struct Journal {
    attempts: Vec<Attempt>,
    /// It ends before the run did: by a crash, or by a full disk.
    is_cut: bool,
}

struct Attempt {
    number: u32,
    started: AttemptStarted,
    record: Record,
    lines: Vec<Stored>,
}

struct Stored {
    line: Vec<u8>,
    record: Record,
}

impl Journal {
    fn read(run: &StoredRun) -> Result<Self, Fail> {
        let mut journal = Self { attempts: Vec::new(), is_cut: true };
        let mut tail = Tail::of(run).map_err(unreadable)?;
        let mut damaged = 0;
        while let Some(line) = tail.next_line().map_err(unreadable)? {
            let Ok(record) = Record::from_line(&line) else {
                damaged += 1;
                continue;
            };
            match &record.event {
                Event::AttemptStarted(started) => journal.attempts.push(Attempt {
                    number: record.attempt,
                    started: started.clone(),
                    record,
                    lines: Vec::new(),
                }),
                Event::LogDegraded(_) => return Ok(journal),
                Event::Result(_) => journal.is_cut = false,
                _ => {
                    // The driver's events know the line that they come from; the others are belay's own.
                    if let Some(attempt) = journal.attempts.last_mut()
                        && is_of_driver(&record)
                    {
                        attempt.lines.push(Stored { line, record });
                    }
                }
            }
        }
        if damaged > 0 {
            warn(format_args!("{damaged} lines of the journal are no records and are left out"));
        }
        Ok(journal)
    }
}

/// True for an event that the driver made of a line.
fn is_of_driver(record: &Record) -> bool {
    record.raw.is_some() && !matches!(record.event, Event::OversizedLine(_))
}

/// The events of an attempt's driver as they come out now.
fn replayed(
    run: &StoredRun,
    request: &RunRequest,
    attempt: &Attempt,
) -> Result<Vec<Emitted>, Fail> {
    // How some are read depends on their command, which a run of a library's has not noted as it was written.
    let (name, started) = (attempt.record.agent.as_str(), &attempt.started.command);
    let agent = match Call::read(run.folder()).written(name, started) {
        written if written == name && matches!(name, "acp" | "cmd") => {
            let words = started.iter().map(|word| shell_escape(word));
            format!("{name}:{}", words.collect::<Vec<_>>().join(" "))
        }
        written => written,
    };
    let candidate = candidate(&agent).map_err(|error| {
        Fail::local(error).hint(format_args!(
            "attempt {} was read as {name}: an agent of your own has to stand in your configuration file",
            attempt.number
        ))
    })?;
    let transport: Transport = attempt.started.transport.parse().map_err(Fail::local)?;
    let log = read_regular(&run.folder().join(input_file(attempt.number))).map_err(unreadable)?;
    let own = stored::attempt_request(run, attempt.number);
    let request = own.as_ref().unwrap_or(request);
    let replayed = Replayed::of(candidate.agent.as_ref(), request, transport, &log);
    if replayed.unreadable > 0 {
        let (inputs, attempt) = (replayed.unreadable, attempt.number);
        warn(format_args!(
            "{inputs} inputs of attempt {attempt} cannot be read: cut off, or unknown"
        ));
    }
    Ok(replayed.events.into_iter().map(|(_, emitted)| emitted).collect())
}

/// The event in the place that it had, with what it says now; one that was not stored follows the last.
fn again(attempt: &Attempt, stored: Option<&Stored>, now: &Emitted) -> Result<Vec<u8>, Fail> {
    let last = attempt.lines.last().map_or(&attempt.record, |stored| &stored.record);
    let mut record = stored.map_or(last, |stored| &stored.record).clone();
    if stored.is_none() {
        record.raw = None;
    }
    // What belay has added to an event is no part of what the driver makes.
    if record.event.clone().of_driver() != now.event {
        record.event = now.event.clone();
    }
    record.parent_tool_id.clone_from(&now.parent_tool_id);
    serde_json::to_vec(&record).map_err(Fail::local)
}
