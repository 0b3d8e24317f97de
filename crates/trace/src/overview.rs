//! What a list of runs says of each: read from both ends of its journal, however long that is.

use crate::journal::EVENTS_FILE;
use crate::liveness;
use crate::regular::open_regular;
use crate::store::{RunState, StoredRun};
use crate::{AttemptResult, Event, Failure, FailureKind, Record, RunProcess, RunResult, Usage};
use jiff::Timestamp;
use serde::Deserialize;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

/// A run at a glance.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Overview {
    /// How it stands.
    pub state: RunState,
    /// It is at work and has no agent yet: it waits for a session that another run uses.
    pub queued: bool,
    /// Its journal cannot be read at its beginning or its end, so that what is here may be wrong.
    pub damaged: bool,
    /// The agent of its last attempt, or the first of its chain.
    pub agent: String,
    /// The model, as the agent names it, or else as it was asked for.
    pub model: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it said something last.
    pub last: Option<Timestamp>,
    /// The agent's session, if it stands at one of the ends.
    pub session_id: Option<String>,
    /// Where the agent worked.
    pub cwd: Option<String>,
    /// What it has used, as far as it stands at one of the ends.
    pub usage: Option<Usage>,
    /// The process that has begun it.
    pub process: Option<RunProcess>,
    /// Why it did not answer, if it has ended so.
    pub failure: Option<Failure>,
}

impl StoredRun {
    /// What is known of it without reading the whole journal; never fails, since a list has to show damaged
    /// runs too.
    pub fn overview(&self) -> Overview {
        let mut overview = Overview {
            state: RunState::Crashed,
            queued: false,
            damaged: false,
            agent: String::new(),
            model: None,
            started: self.begun(),
            last: None,
            session_id: None,
            cwd: None,
            usage: None,
            process: None,
            failure: None,
        };
        if overview.read(self).is_err() {
            overview.damaged = true;
        }
        overview
    }

    /// When it was made, by its id.
    pub fn begun(&self) -> Option<Timestamp> {
        begun(self.id())
    }
}

/// The time in a UUID of version 7: milliseconds in its first 48 bits. `None` for any other name, so that this
/// also says whether a folder's name is one that belay gives.
pub(crate) fn begun(id: &str) -> Option<Timestamp> {
    let mut parts = id.split('-');
    let mut hex = |len: usize| {
        let part = parts.next()?;
        let plain = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (part.len() == len && part.bytes().all(plain)).then_some(part)
    };
    let (high, low, version) = (hex(8)?, hex(4)?, hex(4)?);
    let rest = hex(4).is_some() && hex(12).is_some() && parts.next().is_none();
    if !rest || !version.starts_with('7') {
        return None;
    }
    let ms = i64::from_str_radix(&format!("{high}{low}"), 16).ok()?;
    Timestamp::from_millisecond(ms).ok()
}

/// The code of the notice by which a run says that it waits for its session.
pub const SESSION_QUEUE: &str = "session_queue";

/// How much of the beginning is read, and of the end at first.
const END_BYTES: u64 = 16 << 10;

/// What every record has, also one of a version to come.
#[derive(Deserialize)]
struct Line<'a> {
    ts: Timestamp,
    #[serde(borrow)]
    agent: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

impl Overview {
    fn read(&mut self, run: &StoredRun) -> io::Result<()> {
        let mut file = open_regular(&run.folder().join(EVENTS_FILE))?;
        // Before the journal is read: a run that ends meanwhile has its result in it.
        let held = liveness::held(&file);
        let len = file.metadata()?.len();
        let mut head = Vec::new();
        (&mut file).take(END_BYTES).read_to_end(&mut head)?;
        self.head(&head);
        let tail = last_lines(&mut file, len)?;
        let has_result = self.tail(&tail);
        if !has_result {
            let life = liveness::of(held, self.process.as_ref(), &file);
            self.state = RunState::without_end(life, self.state == RunState::Answered);
        }
        self.queued &= self.state == RunState::Running;
        Ok(())
    }

    fn head(&mut self, head: &[u8]) {
        let whole =
            head.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        for (n, line) in whole.enumerate() {
            let record = serde_json::from_slice::<Record>(line);
            // An event of a version to come is no damage, but the first one is as old as the format.
            self.damaged |=
                n == 0 && !matches!(&record, Ok(r) if matches!(r.event, Event::RunStarted(_)));
            if let Ok(record) = record {
                self.early(record);
            }
        }
    }

    fn early(&mut self, record: Record) {
        match record.event {
            Event::RunStarted(started) => {
                self.started = Some(record.ts);
                self.agent = started.agents.into_iter().next().unwrap_or_default();
                self.cwd = started.cwd;
                self.process = started.process;
            }
            Event::Notice(notice) if notice.code.as_deref() == Some(SESSION_QUEUE) => {
                self.queued = true;
            }
            Event::AttemptStarted(started) => {
                self.queued = false;
                self.model = started.model.or(self.model.take());
            }
            Event::SessionStarted(session) if record.parent_tool_id.is_none() => {
                self.model = session.model.or(self.model.take());
                self.session_id = Some(session.session_id);
            }
            _ => {}
        }
    }

    /// True if the last of them is the run's result.
    fn tail(&mut self, tail: &[u8]) -> bool {
        let mut is_last = true;
        for line in tail.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let read = serde_json::from_slice::<Line<'_>>(line);
            self.damaged |= is_last && read.is_err();
            let Ok(read) = read else { return false };
            if is_last {
                self.last = Some(read.ts);
                if !read.agent.is_empty() {
                    self.agent = read.agent.into_owned();
                }
            }
            match &*read.kind {
                "result" if is_last => {
                    self.result(line);
                    return true;
                }
                "attempt_result" => {
                    if let Ok(attempt) = serde_json::from_slice::<AttemptResult>(line) {
                        self.attempt_result(attempt);
                        return false;
                    }
                }
                // The money stands in an earlier result of the attempt, if there is one.
                "usage" if self.usage.is_none() => {
                    if let Ok(Record {
                        event: Event::Usage(report), parent_tool_id: None, ..
                    }) = serde_json::from_slice(line)
                    {
                        self.usage = Some(report.usage);
                    }
                }
                "attempt_started" | "attempt_ended" if self.usage.is_some() => return false,
                _ => {}
            }
            is_last = false;
        }
        false
    }

    /// An answer that was given before belay was killed is an answer, unless the agent had gone on.
    fn attempt_result(&mut self, attempt: AttemptResult) {
        let is_last = self.usage.is_none() && !attempt.provisional;
        if is_last && attempt.failure.is_none() {
            self.state = RunState::Answered;
        }
        self.session_id = attempt.session_id.or(self.session_id.take());
        self.model = attempt.model.or(self.model.take());
        let mut usage = attempt.usage;
        if let Some(later) = self.usage.take() {
            usage.update(later);
        }
        self.usage = Some(usage);
    }

    fn result(&mut self, line: &[u8]) {
        match serde_json::from_slice::<RunResult>(line) {
            Ok(result) => {
                self.state = match &result.failure {
                    Some(failure) => RunState::Failed(failure.kind),
                    None => RunState::Answered,
                };
                self.session_id = result.session_id.or(self.session_id.take());
                self.model = result.model.or(self.model.take());
                self.usage = Some(result.usage);
                self.failure = result.failure;
            }
            // It has ended, in a way that only a later version knows.
            Err(_) => self.state = RunState::Failed(FailureKind::Unknown),
        }
    }
}

/// The end of the file: whole lines, at least one if there is one. What a crash cut off is left out.
fn last_lines(file: &mut File, len: u64) -> io::Result<Vec<u8>> {
    let mut wanted = END_BYTES;
    loop {
        let begin = len.saturating_sub(wanted);
        file.seek(SeekFrom::Start(begin))?;
        let mut tail = Vec::new();
        file.take(len - begin).read_to_end(&mut tail)?;
        let end = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        tail.truncate(end);
        // The first line may have begun before.
        let first = if begin == 0 {
            Some(0)
        } else {
            tail.iter().position(|byte| *byte == b'\n').map(|at| at + 1).filter(|at| *at < end)
        };
        if let Some(first) = first {
            tail.drain(..first);
            return Ok(tail);
        }
        wanted = wanted.saturating_mul(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::RUNS_DIR;
    use crate::{CostSource, RunStarted, SessionStarted, Store, Text, UsageReport};
    use std::fs;
    use std::path::PathBuf;

    fn of(name: &str, text: &str) -> Overview {
        let state: PathBuf =
            std::env::temp_dir().join(format!("belay-overview-{}-{name}", std::process::id()));
        let folder = state.join(RUNS_DIR).join("r");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(EVENTS_FILE), text).unwrap();
        let overview = Store::new(&state).find("r").unwrap().overview();
        fs::remove_dir_all(state).unwrap();
        overview
    }

    fn line(agent: &str, event: Event) -> String {
        let mut record = Record::new("r", event);
        agent.clone_into(&mut record.agent);
        serde_json::to_string(&record).unwrap() + "\n"
    }

    fn begin() -> String {
        let agents = vec!["codex".to_owned()];
        let session = SessionStarted { session_id: "s1".into(), ..Default::default() };
        line("", Event::RunStarted(RunStarted { agents, ..Default::default() }))
            + &line("codex", Event::SessionStarted(session))
    }

    fn filler() -> String {
        let text = |n| Text { text: format!("{n} {}", "x".repeat(90)), message_id: None };
        (0..1000).map(|n| line("codex", Event::Text(text(n)))).collect()
    }

    #[test]
    fn an_answer_survives_a_belay_that_is_killed_while_it_cleans_up() {
        let usage = Usage { input_tokens: Some(7), ..Usage::default() };
        let answer = AttemptResult { usage: usage.clone(), ..AttemptResult::default() };
        let seen = of("answer", &(begin() + &line("codex", Event::AttemptResult(answer.clone()))));
        assert_eq!((seen.state, seen.usage), (RunState::Answered, Some(usage)));

        let failure = Some(Failure::new(FailureKind::Overloaded, "busy"));
        let failed = AttemptResult { failure, ..answer };
        let seen = of("failed", &(begin() + &line("codex", Event::AttemptResult(failed))));
        assert_eq!(seen.state, RunState::Crashed);
    }

    #[test]
    fn a_run_that_waited_for_background_tasks_had_not_answered_and_keeps_its_cost() {
        let paid = Usage {
            input_tokens: Some(7),
            total_cost_usd: Some(0.5),
            cost_source: CostSource::Reported,
            ..Usage::default()
        };
        let first = AttemptResult { usage: paid.clone(), provisional: true, ..Default::default() };
        let waited = begin() + &line("claude-code", Event::AttemptResult(first));
        let seen = of("waited", &waited);
        assert_eq!((seen.state, seen.usage), (RunState::Crashed, Some(paid)));

        let usage = Usage { input_tokens: Some(9), ..Usage::default() };
        let report = line("claude-code", Event::Usage(UsageReport { usage }));
        let seen = of("resumed", &(waited + &report));
        let usage = seen.usage.unwrap();
        assert_eq!(seen.state, RunState::Crashed);
        assert_eq!((usage.input_tokens, usage.total_cost_usd), (Some(9), Some(0.5)));
        assert_eq!(usage.cost_source, CostSource::Partial);
    }

    #[test]
    fn both_ends_of_a_long_journal_say_it_all() {
        let usage = Usage { input_tokens: Some(7), ..Usage::default() };
        let long = "y".repeat(100_000);
        let result = RunResult { result: long, usage: usage.clone(), ..RunResult::default() };
        let seen = of("whole", &(begin() + &filler() + &line("codex", Event::Result(result))));
        assert_eq!((seen.state, seen.damaged), (RunState::Answered, false));
        assert_eq!((seen.agent.as_str(), seen.session_id.as_deref()), ("codex", Some("s1")));
        assert_eq!(seen.usage, Some(usage));
    }

    #[test]
    fn a_journal_that_stops_in_the_middle_of_a_line_is_that_of_a_crashed_run() {
        let usage = Usage { input_tokens: Some(9), ..Usage::default() };
        let report = line("codex", Event::Usage(UsageReport { usage: usage.clone() }));
        let seen = of("cut", &(begin() + &filler() + &report + "{\"v\":1,\"cut"));
        assert_eq!((seen.state, seen.damaged), (RunState::Crashed, false));
        assert_eq!((seen.session_id.as_deref(), seen.usage), (Some("s1"), Some(usage)));
        assert_eq!(of("empty", "").state, RunState::Crashed);
    }

    #[test]
    fn a_journal_whose_ends_are_no_records_is_damaged() {
        for text in [
            "garbage\n".to_owned(),
            format!("\0\0\0\n{}", begin()),
            begin() + "not json\n",
            begin() + &"z".repeat(100_000) + "\n",
        ] {
            let seen = of("damaged", &text);
            assert!(seen.damaged && seen.state == RunState::Crashed, "{}", &text[..20]);
        }
    }

    #[test]
    fn an_event_of_a_later_version_is_no_damage() {
        let later = line("codex", Event::TurnStarted(crate::TurnStarted::default()))
            .replace("turn_started", "sung");
        let seen = of("later", &(begin() + &later));
        assert_eq!((seen.damaged, seen.agent.as_str()), (false, "codex"));
        let result = line("codex", Event::Result(RunResult::default()))
            .replace("\"is_error\":false", "\"is_error\":\"sung\"");
        assert_eq!(of("later", &(begin() + &result)).state, RunState::Failed(FailureKind::Unknown));
    }

    #[test]
    fn an_id_tells_when_it_was_made_and_other_names_do_not() {
        let at = begun("01a1fded-c7f0-76d1-9a5c-f99e62216721").unwrap();
        assert_eq!(at.as_millisecond(), 0x01a1_fded_c7f0);
        for name in [
            "",
            "runs",
            "01a1fded-c7f0-46d1-9a5c-f99e62216721",
            "01A1FDED-c7f0-76d1-9a5c-f99e62216721",
            "01a1fded-c7f0-76d1-9a5c-f99e62216721-",
            "01a1fded-c7f0-76d1-9a5c-f99e6221672",
            "../a1fded-c7f0-76d1-9a5c-f99e62216721",
        ] {
            assert_eq!(begun(name), None, "{name}");
        }
    }
}
