//! The journals on disk: which runs there are, and what is known of each.

use crate::journal::{EVENTS_FILE, RUNS_DIR};
use crate::lines::{Integrity, Lines};
use crate::liveness::{self, Liveness};
use crate::regular::open_regular;
use crate::{Event, FailureKind, Record, RunProcess, RunResult, TraceId};
use jiff::Timestamp;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::iter;
use std::path::{Path, PathBuf};

/// The runs whose journals lie in a state folder.
///
/// ```
/// use belay_trace::Store;
///
/// let store = Store::new(std::env::temp_dir().join("no-such-state"));
/// assert!(store.runs()?.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    runs: PathBuf,
}

/// One run's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRun {
    id: String,
    folder: PathBuf,
}

/// What is known of a run without reading on.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// The run.
    pub id: String,
    /// When it began.
    pub started: Option<Timestamp>,
    /// The agent of its last attempt, or the first of its chain.
    pub agent: String,
    /// The agent's session, once it was known.
    pub session_id: Option<String>,
    /// Where the agent worked.
    pub cwd: Option<String>,
    /// How it stands.
    pub state: RunState,
    /// The process that has begun it.
    pub process: Option<RunProcess>,
    /// The result, if there is one.
    pub result: Option<RunResult>,
    /// What is not whole in its journal.
    pub integrity: Integrity,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It is still at work.
    Running,
    /// It has answered.
    Answered,
    /// It has ended without an answer.
    Failed(FailureKind),
    /// It has no result, and nobody works on it: belay was killed.
    Crashed,
    /// It has no result, and was begun on another machine: whether it is still at work, only that one knows.
    Lost,
}

/// No run, or more than one, has such an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", match matches { 0 => format!("there is no run `{}`", id.escape_debug()), n => format!("{n} runs begin or end with `{}`", id.escape_debug()) })]
pub struct NoSuchRun {
    /// What was looked for.
    pub id: String,
    /// How many runs it could mean.
    pub matches: usize,
}

impl Store {
    /// The runs below a state folder.
    pub fn new(state_dir: impl AsRef<Path>) -> Self {
        Self { runs: state_dir.as_ref().join(RUNS_DIR) }
    }

    /// The folder of the runs' folders.
    pub fn folder(&self) -> &Path {
        &self.runs
    }

    /// Every run, newest first: run ids sort by time. Nothing outside the folder is looked at: links are no runs,
    /// nor are folders whose names could not be run ids.
    ///
    /// # Errors
    /// When the folder cannot be read; one that does not exist has no runs.
    pub fn runs(&self) -> io::Result<Vec<StoredRun>> {
        let entries = match fs::read_dir(&self.runs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut runs = Vec::new();
        for entry in entries {
            let entry = entry?;
            // A name that could not be one of ours, and a link, which may lead anywhere, are no runs.
            let id = entry.file_name().into_string().ok().filter(|id| is_run_id(id));
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let events = fs::symlink_metadata(entry.path().join(EVENTS_FILE));
            if let Some(id) = id
                && is_dir
                && events.is_ok_and(|events| events.is_file())
            {
                runs.push(StoredRun { id, folder: entry.path() });
            }
        }
        runs.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(runs)
    }

    /// The run with this id or, if only one begins or ends so, with such an id; `latest` is the newest.
    ///
    /// # Errors
    /// [`NoSuchRun`] if none or several could be meant, also when the folder cannot be read.
    pub fn find(&self, id: &str) -> Result<StoredRun, NoSuchRun> {
        let mut runs = self.runs().unwrap_or_default();
        match id {
            "" => runs.clear(),
            "latest" => runs.truncate(1),
            _ => runs.retain(|run| run.id.starts_with(id) || run.id.ends_with(id)),
        }
        let matches = runs.len();
        match runs.pop() {
            Some(run) if matches == 1 => Ok(run),
            _ => Err(NoSuchRun { id: id.to_owned(), matches }),
        }
    }
}

/// True for a plain name: what a trace may be named after.
fn is_run_id(id: &str) -> bool {
    TraceId::new(id).is_ok()
}

impl StoredRun {
    pub(crate) fn at(id: &str, folder: PathBuf) -> Self {
        Self { id: id.to_owned(), folder }
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its records so far, one after the other, with their long texts. A line that a crash cut off, or that is no
    /// record, is passed over; [`RunSummary::integrity`] counts them.
    ///
    /// # Errors
    /// When the journal cannot be opened.
    pub fn records(&self) -> io::Result<impl Iterator<Item = Record> + use<>> {
        let (mut lines, folder) = (self.lines()?, self.folder.clone());
        Ok(iter::from_fn(move || {
            loop {
                lines.advance()?;
                if let Some(record) = lines.record(&folder) {
                    return Some(record);
                }
            }
        }))
    }

    /// Writes its records so far to `out`, a JSON object a line, as they are stored but with their long texts.
    ///
    /// # Errors
    /// When the journal cannot be opened, or `out` does not take it.
    pub fn write_events(&self, mut out: impl Write) -> io::Result<()> {
        let mut lines = self.lines()?;
        while let Some(about) = lines.advance() {
            if !about.blobs {
                out.write_all(lines.line())?;
            } else if let Some(record) = lines.record(&self.folder) {
                serde_json::to_writer(&mut out, &record)?;
            } else {
                continue;
            }
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// What is known of it.
    ///
    /// # Errors
    /// When the journal cannot be opened.
    pub fn summary(&self) -> io::Result<RunSummary> {
        let mut summary = RunSummary {
            id: self.id.clone(),
            started: None,
            agent: String::new(),
            session_id: None,
            cwd: None,
            state: RunState::Crashed,
            process: None,
            result: None,
            integrity: Integrity::default(),
        };
        let mut lines = self.lines()?;
        let mut has_ended = false;
        while let Some(about) = lines.advance() {
            if (about.state || summary.started.is_none())
                && let Some(record) = lines.record(&self.folder)
            {
                has_ended = matches!(record.event, Event::Result(_));
                summary.add(record);
            }
        }
        if !lines.agent().is_empty() {
            lines.agent().clone_into(&mut summary.agent);
        }
        summary.integrity = lines.integrity();
        summary.state = match &summary.result {
            Some(RunResult { failure: Some(failure), .. }) => RunState::Failed(failure.kind),
            _ if has_ended => RunState::Answered,
            answer => {
                let events = open_regular(&self.folder.join(EVENTS_FILE))?;
                let held = liveness::held(&events);
                let life = liveness::of(held, summary.process.as_ref(), &events);
                RunState::without_end(life, answer.is_some())
            }
        };
        Ok(summary)
    }

    fn lines(&self) -> io::Result<Lines> {
        Ok(Lines::new(open_regular(&self.folder.join(EVENTS_FILE))?))
    }

    /// Whether its process lives. It holds a lock on its events, which the system takes away when it dies.
    ///
    /// # Errors
    /// When the journal cannot be opened.
    pub fn liveness(&self) -> io::Result<Liveness> {
        let events = open_regular(&self.folder.join(EVENTS_FILE))?;
        let held = liveness::held(&events);
        let mut first = Vec::new();
        BufReader::new((&events).take(FIRST_BYTES_MAX)).read_until(b'\n', &mut first)?;
        let record = serde_json::from_slice::<Record>(&first).ok();
        let process = record.and_then(|record| match record.event {
            Event::RunStarted(started) => started.process,
            _ => None,
        });
        Ok(liveness::of(held, process.as_ref(), &events))
    }
}

/// How long the first line of a journal may be: the agents of a chain, a folder, and some numbers.
const FIRST_BYTES_MAX: u64 = 64 << 10;

impl RunState {
    /// How a run stands whose journal has no end; it may have answered before that.
    pub(crate) fn without_end(life: Liveness, has_answered: bool) -> Self {
        match life {
            Liveness::AtWork => Self::Running,
            _ if has_answered => Self::Answered,
            Liveness::Gone => Self::Crashed,
            Liveness::Unknown => Self::Lost,
        }
    }

    /// True for a run that has ended, as far as is known here.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Running | Self::Lost)
    }
}

impl RunSummary {
    fn add(&mut self, record: Record) {
        self.started.get_or_insert(record.ts);
        match record.event {
            Event::RunStarted(started) => {
                self.agent = started.agents.into_iter().next().unwrap_or_default();
                self.cwd = started.cwd;
                self.process = started.process;
            }
            Event::SessionStarted(session) => self.session_id = Some(session.session_id),
            // An answer that was given before belay was killed is an answer.
            // One that still waited for background tasks had not.
            Event::AttemptResult(attempt) if attempt.provisional => self.result = None,
            Event::AttemptResult(attempt) if attempt.failure.is_none() => {
                self.result = Some(RunResult {
                    result: attempt.result,
                    usage: attempt.usage,
                    session_id: attempt.session_id,
                    model: attempt.model,
                    ..RunResult::default()
                });
            }
            Event::Result(result) => self.result = Some(result),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, RunStarted};

    /// A state folder with runs, each with the given lines.
    fn state(runs: &[(&str, &[String])]) -> (PathBuf, Store) {
        let state =
            std::env::temp_dir().join(format!("belay-store-{}-{}", std::process::id(), runs[0].0));
        for (id, lines) in runs {
            let folder = state.join(RUNS_DIR).join(id);
            fs::create_dir_all(&folder).unwrap();
            let mut file = fs::File::create(folder.join(EVENTS_FILE)).unwrap();
            lines.iter().for_each(|line| writeln!(file, "{line}").unwrap());
        }
        let store = Store::new(&state);
        (state, store)
    }

    fn line(event: Event) -> String {
        serde_json::to_string(&Record::new("r", event)).unwrap()
    }

    fn started() -> String {
        line(Event::RunStarted(RunStarted { agents: vec!["codex".into()], ..Default::default() }))
    }

    #[test]
    fn a_run_without_a_result_is_running_while_somebody_holds_it_and_has_crashed_after() {
        let (state, store) = state(&[("a1", &[started(), r#"{"v":1,"cut"#.to_owned()])]);
        let run = store.find("a1").unwrap();
        let held = fs::File::open(run.folder().join(EVENTS_FILE)).unwrap();
        held.lock().unwrap();
        assert_eq!(run.summary().unwrap().state, RunState::Running);
        drop(held);
        let summary = run.summary().unwrap();
        assert_eq!((summary.state, summary.agent.as_str()), (RunState::Crashed, "codex"));
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn a_result_says_how_the_run_ended() {
        let failure = Some(Failure::new(FailureKind::Auth, "no key"));
        let failed = RunResult { is_error: true, failure, ..RunResult::default() };
        let (state, store) = state(&[
            ("b1", &[started(), line(Event::Result(RunResult::default()))]),
            ("b2", &[started(), line(Event::Result(failed))]),
        ]);
        let states: Vec<_> =
            store.runs().unwrap().iter().map(|run| run.summary().unwrap().state).collect();
        assert_eq!(states, [RunState::Failed(FailureKind::Auth), RunState::Answered]);
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn a_run_is_found_by_a_part_of_its_id_that_no_other_has() {
        let (state, store) = state(&[("c1-x", &[started()]), ("c2-y", &[started()])]);
        assert_eq!(store.find("c1").unwrap().id(), "c1-x");
        assert_eq!(store.find("-y").unwrap().id(), "c2-y");
        assert_eq!(store.find("latest").unwrap().id(), "c2-y");
        assert_eq!(store.find("c").unwrap_err().matches, 2);
        assert_eq!(store.find("../c1-x").unwrap_err().to_string(), "there is no run `../c1-x`");
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn links_and_odd_names_are_no_runs() {
        let (state, store) = state(&[("d1", &[started()]), (".hidden", &[started()])]);
        let runs = state.join(RUNS_DIR);
        std::os::unix::fs::symlink(runs.join("d1"), runs.join("d2")).unwrap();
        fs::create_dir(runs.join("d3")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", runs.join("d3").join(EVENTS_FILE)).unwrap();
        let ids: Vec<_> = store.runs().unwrap().into_iter().map(|run| run.id).collect();
        assert_eq!(ids, ["d1"]);
        for id in ["../runs/d1", "/", ".", "d1/", ".hidden"] {
            assert!(store.find(id).is_err(), "{id}");
        }
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn a_damaged_journal_tells_what_it_can_and_what_is_missing() {
        let lines = [started(), "\u{0}garbage".to_owned(), r#"{"v":1,"cut"#.to_owned()];
        let (state, store) = state(&[("e1", &lines)]);
        let summary = store.find("e1").unwrap().summary().unwrap();
        assert_eq!((summary.state, summary.agent.as_str()), (RunState::Crashed, "codex"));
        assert_eq!((summary.integrity.records, summary.integrity.unreadable), (1, 2));
        let mut out = Vec::new();
        store.find("e1").unwrap().write_events(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), started() + "\n");
        fs::remove_dir_all(state).unwrap();
    }
}
