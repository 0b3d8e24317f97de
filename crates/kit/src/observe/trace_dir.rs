//! Trace files: one tree a trace, in the seed's schema, there from the begin of its first run.

use super::trace_file::{Mark, TraceFiles};
use super::{Observer, ObserverError};
use crate::limits::{TRACE_PAUSE, TRACE_SHARE};
use belay_trace::{Event, Fold, Record, TraceEnd, TraceId, TraceStart};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Writes the tree of each run to `DIR/{trace-id}.json` while it is being made.
///
/// The file is named after the request's trace id, or else after the run. A run whose trace exists already is
/// added to it. The file is there from the begin of the run, with the phase that is open; it is written again at
/// phases and attempts, and otherwise every two seconds if something has happened, as long as that takes no more than
/// a twentieth of the time. Files are written whole and then renamed, with mode 0600, in a folder with mode 0700.
///
/// When the process is killed, what is written so far stays, and the next one who writes to the trace or
/// [settles](TraceFiles::settle) it says so there: with everything that happened, if the [journals](Self::journals)
/// are at hand.
#[derive(Debug)]
pub struct TraceDir {
    files: TraceFiles,
    runs: HashMap<String, Live>,
}

/// A run whose tree is being made.
#[derive(Debug)]
struct Live {
    id: TraceId,
    fold: Fold,
    /// There is something that is not in the file.
    changed: Changed,
    /// Says that the run is at work; there is none if it could not be made.
    mark: Option<Mark>,
    /// Something of it is in the file.
    is_begun: bool,
    /// When the file may be written again; at once if it never was.
    pace: Option<Pace>,
    next_seq: u64,
    /// How many records did not come: the queue before us was full.
    missed: u64,
}

/// What has happened since the file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Changed {
    Nothing,
    /// Something that can wait a moment.
    Some,
    /// A phase or an attempt began or ended.
    Boundary,
}

/// How often a file is written.
#[derive(Clone, Copy, Debug)]
struct Pace {
    written: Instant,
    /// How long it took, a millisecond at least: who is quick need not write at each chance either.
    took: Duration,
}

impl Pace {
    /// When what has changed may be written.
    fn due(self, changed: Changed) -> Option<Instant> {
        let rest = self.took.saturating_mul(TRACE_SHARE);
        let pause = match changed {
            Changed::Nothing => return None,
            Changed::Some => rest.max(TRACE_PAUSE),
            Changed::Boundary => rest,
        };
        self.written.checked_add(pause)
    }

    fn since(began: Instant) -> Self {
        let written = Instant::now();
        Self { written, took: written.duration_since(began).max(Duration::from_millis(1)) }
    }
}

impl TraceDir {
    /// Writes to `dir`, usually `.belay/traces`, which is made if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be made or written to, or others could put their files into it: better before an agent has done paid work than after.
    pub fn new(dir: impl Into<PathBuf>) -> io::Result<Self> {
        Ok(Self { files: TraceFiles::at(dir).open()?, runs: HashMap::new() })
    }

    /// Writes to a folder of a project, which somebody else may have written: no link is followed below `root`.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when a part of the way from `root` to the folder is a link.
    pub fn in_project(root: impl AsRef<Path>, below: impl AsRef<Path>) -> io::Result<Self> {
        let files = TraceFiles::open_below(root.as_ref(), below.as_ref())?;
        Ok(Self { files, runs: HashMap::new() })
    }

    /// Where the journals of the runs are, the client's [`state_dir`](crate::Client::state_dir). Then the tree of a run
    /// that was killed, or whose records came faster than they could be taken in, is made from its journal.
    #[must_use]
    pub fn journals(mut self, state_dir: impl AsRef<Path>) -> Self {
        self.files = self.files.journals(state_dir);
        self
    }

    /// Where the trace with this id is written.
    pub fn path(dir: &Path, id: &TraceId) -> PathBuf {
        dir.join(format!("{id}.json"))
    }

    /// A run begins: its trace is there from now on.
    fn begin(&mut self, run: &str, id: TraceId) {
        let fold = Fold::new(id.as_str());
        // What keeps it from being made keeps the file from being written, and is said at the end.
        let mark = self.files.mark(&id, run).ok();
        let (changed, next_seq, missed) = (Changed::Nothing, 0, 0);
        let live = Live { id, fold, changed, mark, pace: None, is_begun: false, next_seq, missed };
        self.runs.insert(run.to_owned(), live);
    }

    /// The run is over: its whole tree, from the journal if not all of it came here.
    fn finish(&mut self, run: &str) -> Result<(), ObserverError> {
        let Some(live) = self.runs.remove(run) else { return Ok(()) };
        let told = (live.missed > 0).then(|| self.files.journaled(&live.id, run));
        let (part, is_whole) = match told {
            None => (live.fold.into_tree(), true),
            Some(Some(part)) => (part, true),
            Some(None) => (live.fold.into_tree(), false),
        };
        self.files.end_run(&live.id, part, live.mark)?;
        if is_whole {
            return Ok(());
        }
        Err(format!(
            "{} records came too fast for the trace {} and are not in it",
            live.missed, live.id
        )
        .into())
    }
}

impl Live {
    fn take(&mut self, record: &Record) {
        self.missed += record.seq.saturating_sub(self.next_seq);
        self.next_seq = record.seq.saturating_add(1);
        self.fold.push(record);
        self.changed = self.changed.max(change(&record.event));
    }

    /// When what has changed may be written.
    fn due(&self) -> Option<Instant> {
        match self.pace {
            Some(pace) => pace.due(self.changed),
            None => (self.changed > Changed::Nothing).then(Instant::now),
        }
    }

    /// Writes what there is, if it is time. What cannot be written now is written at the end, or said then.
    fn write(&mut self, files: &TraceFiles) {
        if self.due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        let began = Instant::now();
        let part = self.fold.tree();
        let mut is_busy = false;
        match self.is_begun {
            false => self.is_begun = files.begin_run(&self.id, part).is_ok(),
            true => is_busy = matches!(files.update_run(&self.id, part), Ok(false)),
        }
        self.pace = Some(Pace::since(began));
        // Where somebody else is writing there will be another moment.
        if !is_busy {
            self.changed = Changed::Nothing;
        }
    }
}

/// What an event means for the file.
fn change(event: &Event) -> Changed {
    match event {
        // What follows at once says in which phase.
        Event::RunStarted(_) => Changed::Nothing,
        Event::Phase(_)
        | Event::AttemptStarted(_)
        | Event::AttemptEnded(_)
        | Event::Failover(_)
        | Event::Waiting(_)
        | Event::Result(_) => Changed::Boundary,
        Event::SessionStarted(_)
        | Event::Context(_)
        | Event::Usage(_)
        | Event::ToolCall(_)
        | Event::ToolResult(_)
        | Event::Steered(_)
        | Event::Retry(_) => Changed::Some,
        // Nothing of it stands in the tree.
        _ => Changed::Nothing,
    }
}

impl Observer for TraceDir {
    fn name(&self) -> &'static str {
        "trace"
    }

    fn on_record(&mut self, record: &Record) -> Result<(), ObserverError> {
        if let Event::RunStarted(started) = &record.event {
            let id = TraceId::new(started.trace_id.as_ref().unwrap_or(&record.run).clone())?;
            self.begin(&record.run, id);
        }
        let Some(live) = self.runs.get_mut(&record.run) else { return Ok(()) };
        live.take(record);
        if matches!(record.event, Event::Result(_)) {
            return self.finish(&record.run);
        }
        live.write(&self.files);
        Ok(())
    }

    fn start_trace(&mut self, start: &TraceStart) -> Result<(), ObserverError> {
        Ok(self.files.begin(start)?)
    }

    fn end_trace(&mut self, end: &TraceEnd) -> Result<(), ObserverError> {
        Ok(self.files.end_of(end)?)
    }

    fn wake_at(&self) -> Option<Instant> {
        self.runs.values().filter_map(Live::due).min()
    }

    fn on_wake(&mut self) -> Result<(), ObserverError> {
        self.runs.values_mut().for_each(|live| live.write(&self.files));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_trace::journal::{EVENTS_FILE, RUNS_DIR};
    use belay_trace::{Phase, RunResult, RunStarted, ToolCall, read_file};
    use std::fs;

    const RUN: &str = "01a1fded-c7f0-76d1-9a5c-f99e62216721";

    /// A run with so many tool calls.
    fn records(calls: usize) -> Vec<Record> {
        let call = || Event::ToolCall(ToolCall { name: "Bash".into(), ..ToolCall::default() });
        let started = RunStarted { trace_id: Some("hive".into()), ..RunStarted::default() };
        let head = [Event::RunStarted(started), Event::Phase(Phase { phase_name: "one".into() })];
        let calls = (0..calls).map(|_| call());
        let all = head.into_iter().chain(calls).chain([Event::Result(RunResult::default())]);
        let numbered = all.zip(0..).map(|(event, seq)| Record { seq, ..Record::new(RUN, event) });
        numbered.collect()
    }

    fn journal(state: &Path, records: &[Record]) {
        let folder = state.join(RUNS_DIR).join(RUN);
        fs::create_dir_all(&folder).unwrap();
        let lines = records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n");
        fs::write(folder.join(EVENTS_FILE), lines.collect::<String>()).unwrap();
    }

    #[test]
    fn a_run_of_which_records_were_dropped_is_made_whole_from_its_journal_or_says_that_it_is_not() {
        for has_journal in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let (dir, state) = (root.path().join("traces"), root.path().join("state"));
            let all = records(10);
            if has_journal {
                journal(&state, &all);
            }
            let mut traces = TraceDir::new(&dir).unwrap().journals(&state);
            let come = all.iter().filter(|record| record.seq < 5 || record.seq > 8);
            let errors: Vec<String> = come
                .filter_map(|record| traces.on_record(record).err())
                .map(|error| error.to_string())
                .collect();
            let tree = read_file(&dir.join("hive.json")).unwrap();
            let calls = tree.children[1].children.len();
            match has_journal {
                true => assert_eq!((calls, errors), (10, vec![])),
                false => {
                    let words = "4 records came too fast for the trace hive and are not in it";
                    assert_eq!((calls, errors), (6, vec![words.to_owned()]));
                }
            }
        }
    }

    #[test]
    fn a_file_is_left_alone_for_two_seconds_and_twenty_times_as_long_as_it_takes_to_write() {
        let pace = |took| Pace { written: Instant::now(), took: Duration::from_millis(took) };
        let pause = |pace: Pace, changed| pace.due(changed).map(|due| due - pace.written);
        let (quick, slow) = (pace(5), pace(1000));
        assert_eq!(pause(quick, Changed::Nothing), None);
        assert_eq!(pause(quick, Changed::Some), Some(Duration::from_secs(2)));
        assert_eq!(pause(quick, Changed::Boundary), Some(Duration::from_millis(100)));
        assert_eq!(pause(slow, Changed::Some), Some(Duration::from_secs(20)));
        assert_eq!(pause(slow, Changed::Boundary), Some(Duration::from_secs(20)));
    }

    #[test]
    fn a_folder_that_leads_elsewhere_by_now_is_written_to_no_more() {
        let root = tempfile::tempdir().unwrap();
        let (dir, other) = (root.path().join("traces"), root.path().join("other"));
        fs::create_dir(&other).unwrap();
        for swap in ["the folder", "what is above it"] {
            let (dir, moved) = match swap {
                "the folder" => (dir.clone(), dir.clone()),
                _ => (root.path().join("above/traces"), root.path().join("above")),
            };
            fs::create_dir_all(other.join("traces")).unwrap();
            let mut traces = TraceDir::new(&dir).unwrap();
            fs::rename(&moved, root.path().join(format!("was {swap}"))).unwrap();
            std::os::unix::fs::symlink(&other, &moved).unwrap();
            let all = records(1);
            let errors: Vec<_> = all.iter().filter_map(|r| traces.on_record(r).err()).collect();
            assert_eq!(errors.len(), 1, "{swap}: {errors:?}");
            assert!(errors[0].to_string().contains("leads elsewhere by now"), "{errors:?}");
            assert_eq!(fs::read_dir(other.join("traces")).unwrap().count(), 0);
            assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
        }
    }
}
