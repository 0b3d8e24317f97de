//! All that is known of a run, from its request and its whole journal.

use super::super::runs::state::{lost_words, state_word};
use crate::command::run::Call;
use crate::fail::Fail;
use crate::figures;
use crate::stored::{self, unreadable};
use belay_trace::stored_path;
use belay_trace::{
    AttemptEnded, Event, Failure, Record, RunState, Store, StoredRun, Usage, visible, visible_line,
};
use belaykit::{Permissions, Session};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::fmt::Write as _;

/// A run, as `belay show --format json` prints it: the names are stable.
#[derive(Debug, Serialize)]
pub(crate) struct Account {
    pub(crate) run: String,
    pub(crate) short: String,
    pub(crate) state: &'static str,
    /// The machine that it was begun on.
    host: Option<String>,
    pub(crate) agent: String,
    /// The model that was asked for.
    model: Option<String>,
    /// The model that answered, as the agent names it.
    model_used: Option<String>,
    permissions: Option<String>,
    cwd: Option<String>,
    trace_id: Option<String>,
    prompt: Option<String>,
    pub(crate) session_id: Option<String>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    duration_ms: Option<u64>,
    attempts: Vec<Attempt>,
    events: u64,
    /// What is not whole in the journal of a run that has ended.
    damage: Option<String>,
    /// Tools that were called.
    tool_calls: u64,
    usage: Usage,
    failure: Option<Failure>,
    /// The answer, or what was reached of it.
    pub(crate) result: String,
    /// Goes on with the run, if anything can.
    resume: Option<String>,
    /// Where its files are.
    folder: String,
    /// The agent as a command line names it.
    #[serde(skip)]
    pub(crate) written: String,
    /// Where it is running or lost, in words, if it is.
    #[serde(skip)]
    pub(crate) lost: Option<String>,
    #[serde(skip)]
    pub(crate) how: RunState,
    /// Something was said in the session.
    #[serde(skip)]
    spoken: bool,
}

/// One agent process.
#[derive(Debug, Default, Serialize)]
struct Attempt {
    attempt: u32,
    agent: String,
    /// The model that was asked for.
    model: Option<String>,
    transport: String,
    pid: Option<u32>,
    command: Vec<String>,
    /// Whether its end was noted; if not, belay was gone before it.
    ended: bool,
    exit_code: Option<i32>,
    signal: Option<i32>,
    forced: bool,
    failure: Option<Failure>,
}

impl Account {
    /// What the agent of the session was held to, since it was not the first of its chain.
    pub(crate) fn bound_to(&self, run: &StoredRun) -> Option<Permissions> {
        let its = self.attempts.iter().rev().find(|attempt| attempt.agent == self.agent)?;
        stored::attempt_request(run, its.attempt)?.permissions
    }

    pub(crate) fn of(store: &Store, run: &StoredRun) -> Result<Self, Fail> {
        let overview = run.overview();
        let mut account = Self {
            run: run.id().to_owned(),
            short: stored::short_id(store, run.id()),
            state: state_word(&overview),
            host: overview.process.as_ref().map(|process| process.host.clone()),
            lost: (overview.state == RunState::Lost).then(|| lost_words(&overview)),
            agent: overview.agent,
            model: None,
            model_used: None,
            permissions: None,
            cwd: overview.cwd,
            trace_id: None,
            prompt: None,
            session_id: None,
            started: overview.started,
            ended: None,
            duration_ms: None,
            attempts: Vec::new(),
            events: 0,
            damage: None,
            tool_calls: 0,
            usage: Usage::default(),
            failure: overview.failure,
            result: String::new(),
            resume: None,
            folder: run.folder().display().to_string(),
            written: String::new(),
            how: overview.state,
            spoken: false,
        };
        let mut resumed = None;
        if let Ok(request) = stored::request(run) {
            if let Session::Resume(session) = &request.session {
                resumed = Some(session.clone());
            }
            account.model = request.model;
            account.permissions = request.permissions.map(|permissions| permissions.to_string());
            account.cwd =
                request.cwd.map(|cwd| stored_path::to_text(&cwd).into_owned()).or(account.cwd);
            account.trace_id = request.trace_id;
            account.prompt = Some(request.prompt);
        }
        let mut last = None;
        for record in run.records().map_err(unreadable)? {
            last = Some(record.ts);
            account.add(record);
        }
        let started = account.attempts.iter().rev().find(|attempt| attempt.agent == account.agent);
        let started = started.map_or(&[][..], |attempt| &attempt.command);
        account.written = Call::read(run.folder()).written(&account.agent, started);
        if let Some(session) = resumed.filter(|_| account.lacks_session()) {
            // Its agent has not been started: the run waits for this very session, or was stopped while it did.
            account.session_id = Some(session);
            account.spoken = true;
        }
        if account.how.is_over() {
            account.ended = last;
            let integrity = run.summary().map_err(unreadable)?.integrity;
            account.damage = (!integrity.is_whole()).then(|| integrity.to_string());
        }
        let until = account.ended.unwrap_or_else(Timestamp::now);
        account.duration_ms = account
            .started
            .and_then(|started| u64::try_from(until.duration_since(started).as_millis()).ok());
        if account.can_go_on() && account.how.is_over() {
            let prompt = if account.how == RunState::Answered { " \"…\"" } else { "" };
            account.resume = Some(format!("belay resume {}{prompt}", account.short));
        }
        Ok(account)
    }

    /// The model that the agent of the session was asked for, which in a chain is not always the request's.
    pub(crate) fn session_model(&self) -> Option<&str> {
        let last = self.attempts.last().filter(|last| last.agent == self.agent);
        last.map_or(self.model.as_deref(), |last| last.model.as_deref())
    }

    /// True if an agent was started for it; otherwise its prompt is still to be said.
    pub(crate) fn was_begun(&self) -> bool {
        !self.attempts.is_empty()
    }

    fn lacks_session(&self) -> bool {
        !self.was_begun() || (self.how == RunState::Running && self.session_id.is_none())
    }

    /// True if the run has ended before its agent had said anything.
    pub(crate) fn is_unspoken(&self) -> bool {
        let has_ended = !matches!(self.how, RunState::Running | RunState::Answered);
        has_ended && self.lost.is_none() && !self.can_go_on()
    }

    /// True if its agent has said something, and keeps no session to go on in.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.spoken && self.session_id.is_none()
    }

    /// True if there is a session in which something was said.
    pub(crate) fn can_go_on(&self) -> bool {
        self.session_id.is_some() && self.spoken
    }

    fn add(&mut self, record: Record) {
        self.events += 1;
        let main = record.parent_tool_id.is_none();
        match record.event {
            Event::AttemptStarted(started) => {
                // What was said before was said by an attempt that is void.
                self.result.clear();
                self.usage = Usage::default();
                self.attempts.push(Attempt {
                    attempt: record.attempt,
                    agent: record.agent,
                    model: started.model,
                    transport: started.transport,
                    pid: started.pid,
                    command: started.command,
                    ..Attempt::default()
                });
            }
            Event::AttemptEnded(ended) => self.attempt_ended(record.attempt, &record.agent, ended),
            Event::SessionStarted(session) if main => {
                self.session_id = Some(session.session_id);
                self.model_used = session.model.or(self.model_used.take());
            }
            Event::TurnStarted(_) => self.spoken = true,
            Event::Text(text) if main => {
                self.spoken = true;
                self.result.push_str(&text.text);
            }
            Event::TextRetracted(retracted) if main => {
                let kept = self.result.strip_suffix(&*retracted.text).map(str::len);
                self.result.truncate(kept.unwrap_or(self.result.len()));
            }
            Event::Reasoning(_) => self.spoken = true,
            Event::ToolCall(_) => {
                self.spoken = true;
                self.tool_calls += 1;
            }
            Event::Usage(report) if main => self.usage.update(report.usage),
            Event::AttemptResult(attempt) => {
                self.result = attempt.result;
                self.usage = attempt.usage;
            }
            Event::Result(result) => {
                self.result = result.result;
                self.usage = result.usage;
                self.session_id = result.session_id.or(self.session_id.take());
                self.model_used = result.model.or(self.model_used.take());
            }
            _ => {}
        }
    }

    fn attempt_ended(&mut self, number: u32, agent: &str, ended: AttemptEnded) {
        // An agent that could not be started has an end and no beginning.
        if self.attempts.last().is_none_or(|attempt| attempt.attempt != number) {
            let agent = agent.to_owned();
            self.attempts.push(Attempt { attempt: number, agent, ..Attempt::default() });
        }
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.ended = true;
            attempt.exit_code = ended.exit_code;
            attempt.signal = ended.signal;
            attempt.forced = ended.forced;
            attempt.failure = ended.failure;
        }
    }

    /// What was asked, for people.
    pub(crate) fn head(&self) -> String {
        let line = |text: &str| visible_line(text).into_owned();
        let mut text = format!("run        {} ({})\n", self.run, self.short);
        let model = self.model.as_ref().or(self.model_used.as_ref());
        let model = model.map(|model| format!(" · model {}", line(model))).unwrap_or_default();
        let permissions = self.permissions.as_ref();
        let permissions = permissions.map(|mode| format!(" · {mode} permissions"));
        let permissions = permissions.unwrap_or_default();
        let _ = writeln!(text, "agent      {}{model}{permissions}", line(&self.agent));
        if let Some(cwd) = &self.cwd {
            let _ = writeln!(text, "folder     {}", line(cwd));
        }
        if let Some(session) = &self.session_id {
            let _ = writeln!(text, "session    {}", line(session));
        }
        if let Some(started) = self.started {
            let age = figures::age(started, Timestamp::now());
            let _ = writeln!(text, "started    {started:.0} ({age} ago)");
        }
        let prompt = visible(self.prompt.as_deref().unwrap_or("(the request is lost)").trim());
        for (n, line) in prompt.lines().take(PROMPT_LINES_MAX).enumerate() {
            let head = if n == 0 { "prompt" } else { "" };
            let _ = writeln!(text, "{head:<10} {}", cut(line));
        }
        let more = prompt.lines().count().saturating_sub(PROMPT_LINES_MAX);
        if more > 0 {
            let _ = writeln!(text, "{:<10} … {more} more lines", "");
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// How it stands, for people.
    pub(crate) fn end(&self) -> String {
        let mut text = String::new();
        for attempt in &self.attempts {
            let _ = writeln!(text, "attempt {}  {}", attempt.attempt, attempt.words(self.how));
        }
        let took = self.duration_ms.and_then(|ms| i64::try_from(ms).ok());
        let took = took.map(|ms| figures::duration(SignedDuration::from_millis(ms)));
        let tokens = figures::tokens(&self.usage).map(|tokens| format!("{tokens} tokens"));
        let calls = match self.tool_calls {
            0 => None,
            1 => Some("1 tool call".to_owned()),
            n => Some(format!("{n} tool calls")),
        };
        let figures = [took, calls, tokens, figures::dollars(&self.usage)];
        let figures: Vec<_> = figures.into_iter().flatten().collect();
        let _ = writeln!(text, "run {}: {} · {}", self.short, self.state, figures.join(" · "));
        if let Some(failure) = self.failure.as_ref().filter(|f| f.message != f.kind.name()) {
            let _ = writeln!(text, "because: {}", visible_line(&failure.message));
        }
        if let Some(damage) = &self.damage {
            let _ = writeln!(text, "its journal is not whole: {damage}");
        }
        match (&self.resume, self.how) {
            (Some(resume), _) => {
                let _ = writeln!(text, "to go on: {resume}");
            }
            (None, RunState::Running) => {
                let short = &self.short;
                let _ = writeln!(text, "it is at work: belay logs {short} -f, belay stop {short}");
            }
            (None, RunState::Lost) => {
                let words = self.lost.as_deref().unwrap_or_default();
                let _ = writeln!(
                    text,
                    "it is {words}: if it is lost, belay resume {} --force",
                    self.short
                );
            }
            (None, _) => {}
        }
        if !self.result.is_empty() {
            let head = if self.how == RunState::Answered { "" } else { "reached so far:\n" };
            let _ = writeln!(text, "\n{head}{}", visible(self.result.trim_end()));
        }
        text
    }
}

impl Attempt {
    fn words(&self, how: RunState) -> String {
        let mut words = visible_line(&self.agent).into_owned();
        if !self.transport.is_empty() {
            let _ = write!(words, " over {}", self.transport);
        }
        if let Some(pid) = self.pid {
            let _ = write!(words, ", pid {pid}");
        }
        words.push_str(": ");
        words.push_str(&match (self.exit_code, self.signal, self.ended) {
            (Some(code), ..) => format!("exit code {code}"),
            (None, Some(signal), _) => format!("ended by signal {signal}"),
            (None, None, true) if self.pid.is_none() => "was not started".to_owned(),
            (None, None, true) => "ended".to_owned(),
            (None, None, false) if how == RunState::Running => "at work".to_owned(),
            (None, None, false) if how == RunState::Lost => "running or lost".to_owned(),
            (None, None, false) => "its end was not seen".to_owned(),
        });
        if self.forced {
            words.push_str(", forced by belay");
        }
        if let Some(failure) = &self.failure {
            let _ = write!(words, " ({})", failure.kind);
        }
        words
    }
}

/// As much of a prompt as tells which one it was.
const PROMPT_LINES_MAX: usize = 5;
const LINE_CHARS_MAX: usize = 200;

fn cut(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
