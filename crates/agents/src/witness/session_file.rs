//! The witness of an agent that keeps a file of each session: a driver, and beside it what the file tells.
//!
//! What the stream has told is remembered by its tool calls and words. A line of the file that says more is told as an
//! event; should the stream say it later after all, it is left out there. So nothing is told twice, and it does not
//! matter which of both is first.

use super::silent_calls::{SilentCalls, SilentReader};
use super::{Doubt, Standing};
use crate::protocol::{Action, AttemptEnd, Emitted, Input, Out, Protocol};
use crate::verdict::{Said, refusal};
use crate::{RunRequest, Session, framing, lines};
use belay_trace::{
    Event, EvidenceSource, Failure, FailureKind, Level, Text, ToolCall, ToolId, ToolResult, Usage,
};
use jiff::Timestamp;
use serde_json::value::RawValue;
use std::collections::HashSet;

/// What one line of a session's file says of the agent's own turn.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// When it was written down.
    pub(crate) at: Option<Timestamp>,
    pub(crate) said: Vec<Statement>,
}

#[derive(Debug)]
pub(crate) enum Statement {
    /// The session that the file is of.
    Session(String),
    /// Words of the model, whole.
    Text { message_id: Option<String>, text: String },
    /// The model calls a tool.
    Call(ToolCall),
    /// A tool has returned.
    Returned(ToolResult),
    /// The work gets on in a way that no event tells, as that of a subagent.
    Progress,
    /// The model that answers.
    Model(String),
    /// The turn is over by its last words, if nothing follows; with the agent's word for why.
    Ended(&'static str, String),
    /// The same for an agent that says so behind each step: over if no tool was called behind the last words.
    StepEnded(&'static str, String),
    /// What a response has used, of an agent that tells it with what it costs.
    Used(Usage),
    /// The turn is not over, whatever was said before: it goes on, or was broken off.
    Open,
}

/// How a driver reads the files of its agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    /// Reads one line; nothing of one that says nothing.
    pub(crate) read: fn(&str) -> Option<Line>,
    /// How the turn ended well, in the agent's words.
    pub(crate) ends_well: &'static [&'static str],
    /// How it ended at the limit of its output.
    pub(crate) cut_off: &'static [&'static str],
    /// The calls have the same ids as in the stream; else they are the same by their order.
    pub(crate) shares_ids: bool,
    /// How to read of calls that the stream does not show, where there are such.
    pub(crate) silent: Option<SilentReader>,
}

impl Reader {
    /// A file in which the calls have the same ids as in the stream, and which tells no turn's end.
    pub(crate) const fn of(read: fn(&str) -> Option<Line>) -> Self {
        Self { read, ends_well: &[], cut_off: &[], shares_ids: true, silent: None }
    }
}

/// A driver whose agent keeps files of its sessions.
pub(crate) struct Witnessed {
    driver: Box<dyn Protocol>,
    reader: Reader,
    agent: &'static str,
    session_id: Option<String>,
    model: Option<String>,
    /// A turn is open, by the stream; and how many words there were when it was opened.
    is_open: bool,
    opened_at: usize,
    told: Told,
    file: File,
    silent: SilentCalls,
    doubt: Option<Doubt>,
    /// The file has ended the turn, of whose end the stream has said nothing yet.
    has_ended: bool,
    /// What the file has said that the turn has used, until the stream's own figures come.
    counted: Usage,
}

/// What was told so far, whoever has told it first.
#[derive(Debug, Default)]
struct Told {
    calls: HashSet<ToolId>,
    returned: HashSet<ToolId>,
    /// How many calls the stream has told.
    calls_of_stream: usize,
    results_of_stream: usize,
    /// All words of the turn, up to a length that no turn has.
    words: String,
    is_overfull: bool,
    /// Where the words of the last response begin.
    response_at: usize,
    /// Words that the file has told first, and the stream may still tell.
    ahead: String,
    /// The file has told something first.
    by_file: bool,
}

/// What the file has said so far.
#[derive(Debug, Default)]
struct File {
    is_read: bool,
    session: Option<String>,
    /// How much of the words that were told the file has said, too.
    words_at: usize,
    calls: usize,
    returned: usize,
    /// The words of the last message, if no tool was called behind them, and those before.
    words: String,
    message: Option<String>,
    reached: String,
    acted: bool,
    ended: Option<(&'static str, String)>,
    usage: Usage,
}

/// No turn has so many words; beyond it, what the file says is not compared.
const WORDS_BYTES_MAX: usize = 8 << 20;

impl Witnessed {
    pub(crate) fn new(
        driver: Box<dyn Protocol>,
        reader: Reader,
        agent: &'static str,
        request: &RunRequest,
    ) -> Self {
        let session_id = match &request.session {
            Session::Resume(id) => Some(id.clone()),
            Session::New | Session::Continue | Session::Fork(_) => None,
        };
        Self {
            driver,
            reader,
            agent,
            session_id,
            model: None,
            is_open: true,
            opened_at: 0,
            told: Told::default(),
            file: File::default(),
            silent: SilentCalls::default(),
            doubt: None,
            has_ended: false,
            counted: Usage::default(),
        }
    }
}

impl Protocol for Witnessed {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Doubt(doubt) => self.doubted(doubt, out),
            Input::SessionFile { since, lines } => self.file_read(since, lines, out),
            Input::SilentCalls(lines) => self.silent_calls(lines, out),
            // The file has told the end that is awaited.
            Input::Timer(id) if self.has_ended && id.awaits_end() => {}
            _ => {
                if let Input::Session(id) = input {
                    self.session_id = Some(id.to_owned());
                }
                let before = out.actions.len();
                self.driver.step(input, out);
                let mut got_on = false;
                for action in out.actions.split_off(before) {
                    match self.kept(action, input) {
                        Some(action) => {
                            if self.begins_another(&action) {
                                self.opened();
                                out.turn_opened();
                            }
                            self.pass(action, input, out);
                        }
                        None => got_on = !matches!(input, Input::Exit(_)),
                    }
                }
                for action in &out.actions[before..] {
                    self.heard(action);
                }
                if got_on {
                    out.progress();
                }
            }
        }
    }
}

impl Witnessed {
    /// Passes on what the stream tells. Where it may have left calls out, the file is asked for them first.
    fn pass(&mut self, action: Action, input: Input<'_>, out: &mut Out) {
        let session = self.session_id.as_deref().filter(|_| self.reader.silent.is_some());
        if let Some(session) = session
            && self.silent.asks_before(&action, input)
        {
            out.ask_silent_calls(session);
        }
        out.actions.push(action);
    }

    /// Tells the calls that the stream does not show.
    fn silent_calls(&mut self, lines: &[u8], out: &mut Out) {
        let Some(silent) = self.reader.silent else { return };
        let before = out.actions.len();
        self.silent.read(&self.reader, silent, lines, &mut self.told.calls, out);
        for action in &out.actions[before..] {
            if let Action::Emit(Emitted { event: Event::ToolResult(result), .. }) = action {
                self.told.returned.extend(result.tool_id.clone());
                self.told.by_file = true;
            }
        }
    }

    /// Remembers what the stream has told.
    fn heard(&mut self, action: &Action) {
        let emitted = match action {
            Action::Emit(emitted) => emitted,
            Action::TurnEnded(_) => {
                (self.is_open, self.has_ended) = (false, false);
                self.counted = Usage::default();
                return;
            }
            Action::TurnOpened => return self.opened(),
            _ => return,
        };
        match &emitted.event {
            Event::ToolCall(call) => {
                self.told.calls.extend(call.tool_id.clone());
                self.told.calls_of_stream += usize::from(emitted.parent_tool_id.is_none());
            }
            Event::ToolResult(result) => {
                self.told.returned.extend(result.tool_id.clone());
                self.told.results_of_stream += usize::from(emitted.parent_tool_id.is_none());
            }
            _ if emitted.parent_tool_id.is_some() => {}
            Event::Text(text) => self.told.say(&text.text),
            Event::SessionStarted(session) => {
                self.session_id = Some(session.session_id.clone());
                self.model = session.model.clone().or(self.model.take());
            }
            Event::TurnStarted(turn) => {
                self.model = turn.model.clone().or(self.model.take());
                self.told.response_at = self.told.words.len();
            }
            Event::TextRetracted(_) => self.told.words.truncate(self.told.response_at),
            _ => {}
        }
    }

    fn opened(&mut self) {
        (self.is_open, self.has_ended) = (true, false);
        self.opened_at = self.told.words.len();
    }

    /// True for what is in no turn but one behind that which the file has ended.
    fn begins_another(&self, action: &Action) -> bool {
        let Action::Emit(Emitted { event, parent_tool_id: None }) = action else { return false };
        let is_new = match event {
            Event::ToolCall(_) => true,
            Event::Text(text) => !text.text.trim().is_empty(),
            _ => false,
        };
        self.has_ended && is_new
    }

    /// What the stream says, without what the file has told first.
    fn kept(&mut self, action: Action, input: Input<'_>) -> Option<Action> {
        match action {
            Action::TurnEnded(end) if self.has_ended && is_no_news(&end, input) => None,
            Action::TurnEnded(end) => {
                Some(Action::TurnEnded(Box::new(self.completed(*end, input))))
            }
            action if !self.told.by_file && !self.has_ended => Some(action),
            Action::Emit(Emitted { event: Event::Text(text), parent_tool_id: None }) => {
                let rest = self.told.beyond_the_file(text.text)?;
                let event = Event::Text(Text { text: rest, ..text });
                Some(Action::Emit(Emitted { event, parent_tool_id: None }))
            }
            Action::Emit(emitted) => {
                let (known, id) = match &emitted.event {
                    Event::ToolCall(call) => (&self.told.calls, &call.tool_id),
                    Event::ToolCallStart(call) => (&self.told.calls, &call.tool_id),
                    Event::ToolCallDelta(call) => (&self.told.calls, &call.tool_id),
                    Event::ToolResult(result) => (&self.told.returned, &result.tool_id),
                    _ => return Some(Action::Emit(emitted)),
                };
                let is_told = id.as_ref().is_some_and(|id| known.contains(id));
                (!is_told).then_some(Action::Emit(emitted))
            }
            action => Some(action),
        }
    }

    /// The end that the stream has told, with what the file alone knows, and without what the file has told already.
    fn completed(&self, end: AttemptEnd, input: Input<'_>) -> AttemptEnd {
        let is_lost = matches!(input, Input::Exit(_)) && end.failure.is_some();
        let reached = self.file.words.trim();
        let usage = end.usage.since(&self.counted);
        match is_lost && self.told.by_file && !reached.is_empty() {
            true => AttemptEnd { answer: reached.to_owned(), usage, ..end },
            false => AttemptEnd { usage, ..end },
        }
    }

    fn doubted(&mut self, doubt: Doubt, out: &mut Out) {
        let session = self.session_id.clone().filter(|_| self.is_open);
        match session {
            Some(session) => {
                self.doubt = Some(doubt);
                out.ask_session(&session);
            }
            None => out.testified(Standing::Unknown),
        }
    }

    /// Tells what the file has, and the stream has not.
    fn file_read(&mut self, since: Timestamp, text: &[u8], out: &mut Out) {
        let is_first = !std::mem::replace(&mut self.file.is_read, true);
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            // A record may stand behind a torn one.
            let mut records = Vec::new();
            framing::decode_each(&lines::text(line), |record: &RawValue| {
                records.extend((self.reader.read)(record.get()));
            });
            records.into_iter().for_each(|line| self.line(line, since, is_first, out));
        }
        self.testify(out);
    }

    fn line(&mut self, line: Line, since: Timestamp, is_first: bool, out: &mut Out) {
        // A line of an earlier turn always has its time.
        let is_ours = line.at.is_none_or(|at| at >= since);
        for statement in line.said {
            match statement {
                Statement::Session(id) => {
                    self.file.session.get_or_insert(id);
                }
                _ if !is_ours || self.is_of_another() => {}
                Statement::Progress if is_first => {}
                statement => self.stated(statement, out),
            }
        }
    }

    /// Says how the turn stands by all that was read.
    fn testify(&mut self, out: &mut Out) {
        let Some(doubt) = self.doubt.take() else { return };
        // What ended an earlier turn of the same run does not end this one.
        let is_of_turn = self.opened_at == 0 || self.file.words_at > self.opened_at;
        let has_ended =
            self.file.ended.is_some() && is_of_turn && self.is_open && !self.is_of_another();
        if has_ended {
            self.end(out);
        } else if doubt == Doubt::Gone && self.told.by_file {
            let words = format!(
                "{}'s session file tells more of the turn than its stream did, and not that it has ended",
                self.agent
            );
            out.event(Event::notice(Level::Warn, "witness", words));
        }
        let is_known = self.file.session.is_some() && !self.is_of_another();
        out.testified(match has_ended {
            true => Standing::Ended,
            false if is_known => Standing::Working,
            false => Standing::Unknown,
        });
    }

    /// A file that says it is another session's has nothing to say of this one.
    fn is_of_another(&self) -> bool {
        self.file.session.is_some() && self.file.session != self.session_id
    }

    fn stated(&mut self, statement: Statement, out: &mut Out) {
        match statement {
            Statement::Session(_) => {}
            Statement::Progress => out.progress(),
            Statement::Model(model) => self.model = Some(model),
            Statement::Open => self.file.ended = None,
            Statement::Ended(name, why) => self.file.ended = Some((name, why)),
            Statement::StepEnded(name, why) => {
                self.file.ended = (!self.file.words.trim().is_empty()).then_some((name, why));
            }
            Statement::Used(usage) => self.file.usage.add(&usage),
            Statement::Text { message_id, text } => {
                self.file.ended = None;
                if self.file.message != message_id {
                    // The answer is the last message.
                    self.file.words.clear();
                    self.file.message.clone_from(&message_id);
                }
                self.file.words.push_str(&text);
                let rest = self.told.rest_of(&text, &mut self.file.words_at);
                if let Some(text) = rest.filter(|text| !text.is_empty()) {
                    self.told.by_file = true;
                    self.told.say(&text);
                    self.told.ahead.push_str(&text);
                    self.file.words_at = self.told.words.len();
                    out.event(Event::Text(Text { text, message_id }));
                }
            }
            Statement::Call(call) => {
                self.file.ended = None;
                self.file.acted = true;
                if !self.file.words.is_empty() {
                    self.file.reached = std::mem::take(&mut self.file.words);
                }
                let told = call.tool_id.as_ref().is_some_and(|id| self.silent.has_told(id));
                if told {
                    return;
                }
                let by_order = self.file.calls < self.told.calls_of_stream;
                self.file.calls += 1;
                let Some(id) = call.tool_id.clone() else { return };
                let is_new = self.told.calls.insert(id);
                if is_new && (self.reader.shares_ids || !by_order) {
                    self.told.by_file = true;
                    out.event(Event::ToolCall(call));
                }
            }
            Statement::Returned(result) => {
                self.file.ended = None;
                let told = result.tool_id.as_ref().is_some_and(|id| self.silent.has_told(id));
                if told {
                    return;
                }
                let by_order = self.file.returned < self.told.results_of_stream;
                self.file.returned += 1;
                let Some(id) = result.tool_id.clone() else { return };
                let is_new = self.told.returned.insert(id);
                if is_new && (self.reader.shares_ids || !by_order) {
                    self.told.by_file = true;
                    out.event(Event::ToolResult(result));
                }
            }
        }
    }

    /// Ends the turn as the file tells it.
    fn end(&mut self, out: &mut Out) {
        let Some((name, why)) = self.file.ended.clone() else { return };
        let agent = self.agent;
        let words = format!(
            "{agent}'s stream did not tell the end of the turn: its answer and figures are those of its session file"
        );
        out.event(Event::notice(Level::Warn, "witness", words));
        let is = |list: &[&str]| list.contains(&why.as_str());
        let failure = if is(self.reader.ends_well) {
            None
        } else if is(self.reader.cut_off) {
            let words = "the answer was cut off at its limit";
            Some(Failure::new(FailureKind::OutputLimit, words))
        } else {
            let words = format!("the session file says that the turn ended with {why}");
            refusal(name, &why).or(Some(Failure::new(FailureKind::Unknown, words)))
        };
        let failure = failure.map(|failure| failure.with(EvidenceSource::Field, name, &why));
        let words = self.file.words.clone();
        let reached = if words.is_empty() { self.file.reached.clone() } else { words.clone() };
        let acted = self.file.acted || !self.told.calls.is_empty();
        let said =
            Said { failure, words, reached, acted, ended: Some((name, why)), ..Said::default() };
        let end = said.end(out);
        (self.has_ended, self.is_open) = (true, false);
        self.counted = self.file.usage.clone();
        out.turn_ended(AttemptEnd {
            session_id: self.session_id.clone(),
            model: self.model.clone(),
            usage: self.file.usage.clone(),
            ..end
        });
    }
}

/// True for an end of the turn that the file has ended which says nothing more of it: the process is gone, was told to
/// go, or has not said how it ended.
fn is_no_news(end: &AttemptEnd, input: Input<'_>) -> bool {
    match &end.failure {
        Some(failure) => {
            failure.kind == FailureKind::Interrupted || !matches!(input, Input::Stdout(_))
        }
        None => matches!(input, Input::Exit(_)),
    }
}

impl Told {
    fn say(&mut self, text: &str) {
        if self.words.len() + text.len() > WORDS_BYTES_MAX {
            self.is_overfull = true;
        } else {
            self.words.push_str(text);
        }
    }

    /// What of words in the file was not told; `None` if all was, or nobody knows. Moves on behind what was.
    fn rest_of(&self, text: &str, at: &mut usize) -> Option<String> {
        if self.is_overfull {
            return None;
        }
        let said = self.words.get(*at..).unwrap_or_default();
        let (begin, text) = (said.len() - said.trim_start().len(), text.trim_end());
        let (said, text) = (&said[begin..], text.trim_start());
        if let Some(found) = said.find(text) {
            *at += begin + found + text.len();
            return None;
        }
        match text.strip_prefix(said) {
            // The stream broke off in the middle of them.
            Some(rest) => Some(rest.to_owned()),
            None => Some(text.to_owned()),
        }
    }

    /// Words of the stream without what the file has told first; `None` if that is all of them.
    fn beyond_the_file(&mut self, text: String) -> Option<String> {
        if self.ahead.is_empty() {
            return Some(text);
        }
        if let Some(rest) = self.ahead.strip_prefix(text.as_str()) {
            self.ahead = rest.to_owned();
            return None;
        }
        match text.strip_prefix(self.ahead.as_str()) {
            Some(rest) => {
                let rest = rest.to_owned();
                self.ahead.clear();
                Some(rest).filter(|rest| !rest.is_empty())
            }
            None => Some(text),
        }
    }
}
