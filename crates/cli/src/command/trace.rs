//! `belay trace`

mod end;
mod export;
mod ls;
mod otlp;
mod rm;
mod show;
mod start;

use super::run::Call;
use crate::config;
use crate::fail::Fail;
use crate::stored::{self, ShortIds};
use crate::surroundings;
use belay_trace::{
    NoSuchTrace, Node, ReadError, StoredTrace, TraceId, Traces, dead_runs, read_file,
};
use belaykit::TraceFiles;
use clap::{Args, Subcommand};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// Begin and end traces that several runs belong to, and look at them: what happened, as a tree with costs, tokens
/// and times.
///
/// A trace is one file, `.belay/traces/ID.json` (docs/trace-format.md). Each run has one of its own, unless it is told
/// to which it belongs: from any process, also at the same time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  id=$(belay trace start --name hiveminer-run)
  belay run --trace $id --phase subreddit-discovery \"Find subreddits about climbing.\"
  belay run --trace $id --phase thread-discovery \"Find threads in them.\"
  belay trace end $id
  belay trace show $id")]
pub(crate) struct Trace {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Start(start::Start),
    End(end::End),
    Ls(ls::Ls),
    Show(show::Show),
    Export(export::Export),
    Rm(rm::Rm),
}

impl Trace {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        match self.verb {
            Verb::Start(start) => start.run(),
            Verb::End(end) => end.run(),
            Verb::Ls(ls) => ls.run(),
            Verb::Show(show) => show.run(),
            Verb::Export(export) => export.run(),
            Verb::Rm(rm) => rm.run(),
        }
    }
}

/// Where traces are looked for.
#[derive(Debug, Args)]
pub(super) struct TraceDirFlag {
    /// Where the traces are [default: the configuration's `trace_dir`, or .belay/traces].
    #[arg(long, value_name = "DIR")]
    trace_dir: Option<PathBuf>,
}

impl TraceDirFlag {
    fn traces(&self) -> Traces {
        let dir = self.trace_dir.clone().or_else(config::trace_dir);
        Traces::new(dir.unwrap_or_else(|| PathBuf::from(crate::command::run::options::TRACE_DIR)))
    }

    /// The trace that a person means by its id.
    fn find(&self, id: &str) -> Result<StoredTrace, Fail> {
        let traces = self.traces();
        let found = traces.find(id).or_else(|error| match (&error, &self.trace_dir) {
            (NoSuchTrace::Unclear { matches: 0, .. }, None) => of_run(id).ok_or(error),
            _ => Err(error),
        });
        found.map_err(|error| {
            let hint = match &error {
                NoSuchTrace::Unclear { matches: 0, .. } if traces.all().is_ok_and(|all| all.is_empty()) => {
                    "there are no traces here yet: belay run \"…\"; others are named with --trace-dir"
                }
                NoSuchTrace::Unclear { matches: 0, .. } => {
                    "`belay trace ls --all` lists them; `latest` is the newest; a file is named with its path"
                }
                NoSuchTrace::Unclear { .. } => "give more of the id; `belay trace ls --all` lists them",
                _ => "choose another folder with --trace-dir",
            };
            Fail::not_found(with_cause(&error)).hint(hint)
        })
    }

    /// Marks runs of the trace that were killed, with all that their journals hold. Where that cannot be written, they
    /// are marked for this reader alone.
    fn settle(&self, trace: &StoredTrace) {
        let Some(dir) = trace.path().parent() else { return };
        let is_dead = read_file(trace.path()).is_ok_and(|tree| !dead_runs(dir, &tree).is_empty());
        let (true, Ok(id)) = (is_dead, TraceId::new(trace.id())) else { return };
        let mut files = TraceFiles::at(dir);
        if let Some(state_dir) = surroundings::state_dir(config::state_dir()) {
            files = files.journals(state_dir);
        }
        let _ = files.settle(&id);
    }

    /// The tree of a trace; of one that is here, what killed runs have left is put in order first.
    fn read(&self, trace: &str) -> Result<Node, Fail> {
        let read = match is_path(trace) {
            true => read_file(Path::new(trace)),
            false => {
                let found = self.find(trace)?;
                self.settle(&found);
                found.read()
            }
        };
        read.map_err(|error| match &error {
            ReadError::Io { error: cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
                Fail::not_found(with_cause(&error))
                    .hint("name a file that is there, or the id of a trace (`belay trace ls`)")
            }
            ReadError::Io { .. } => Fail::local(with_cause(&error)).hint("name another file"),
            _ => Fail::local(with_cause(&error))
                .hint("belay reads the traces that it and the Go program write"),
        })
    }
}

/// The trace of the run with this id, wherever it was written.
fn of_run(id: &str) -> Option<StoredTrace> {
    let run = stored::store(None).ok()?.find(id).ok()?;
    let dir = Call::read(run.folder()).trace_dir?;
    let trace = stored::request(&run).ok()?.trace_id;
    Traces::new(dir).find(trace.as_deref().unwrap_or(run.id())).ok()
}

/// True for what names a file, and no trace.
fn is_path(trace: &str) -> bool {
    trace.contains('/') || trace.ends_with(".json")
}

/// The names that traces have in a list: the end of an id that is random, and as much of it as no other trace has; a
/// name that somebody has given is whole.
#[derive(Debug)]
pub(super) struct Names(ShortIds);

impl Names {
    pub(super) fn of(traces: &[StoredTrace]) -> Self {
        Self(ShortIds::of_ids(traces.iter().map(StoredTrace::id)))
    }

    pub(super) fn get<'a>(&self, id: &'a str) -> &'a str {
        let is_random = id.len() == 36 && id.bytes().filter(|byte| *byte == b'-').count() == 4;
        if is_random { self.0.get(id) } else { id }
    }
}

/// An error with what it came from.
pub(super) fn with_cause(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
