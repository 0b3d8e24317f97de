//! What a program prints, line by line: shown as it comes, and an answer or a failure at its end.

use super::fields::Fields;
use super::{FAILURES, Form, words};
use crate::failures::evidence;
use crate::failures::told_as_answer;
use crate::protocol::{AttemptEnd, Exit, Input, Out, Protocol};
use crate::provider_error::{ProviderError, status_in};
use crate::stderr::StderrTail;
use crate::verdict::Said;
use crate::{exit, waits};
use belay_trace::{Event, EvidenceSource, Failure, FailureKind, Level, Retry, Text};
use serde_json::Value;

/// The state of one run.
#[derive(Debug)]
pub(super) struct Stream {
    form: Form,
    program: String,
    /// What it was asked, and whether that goes to standard input.
    prompt: String,
    is_fed: bool,
    /// The lines of the answer, each with its end.
    answer: String,
    /// The line that the answer stands behind was printed, or there is none.
    has_begun: bool,
    /// What stands behind a line that may have ended the answer, and the line itself.
    behind: Option<String>,
    /// What the program has said of a failure behind which it has not tried again.
    failed: Option<Words>,
    fields: Fields,
    /// What the answer file holds.
    file: Option<Value>,
    interrupted: bool,
    seen_stdout: bool,
    has_ended: bool,
    stderr: StderrTail,
    /// The last error on standard error, with what stands behind it.
    errors: Words,
}

/// Words that a program may have broken into lines anywhere.
#[derive(Clone, Debug, Default)]
struct Words {
    text: String,
    /// A blank line stands behind them.
    is_over: bool,
    /// How much of an answer was printed before them.
    at: usize,
}

/// Enough for any message.
const WORDS_BYTES_MAX: usize = 4_000;

impl Words {
    fn add(&mut self, line: &str) {
        if line.is_empty() {
            self.is_over |= !self.text.is_empty();
        } else if self.text.len() < WORDS_BYTES_MAX {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            self.text.push_str(line);
        }
    }
}

impl Stream {
    pub(super) fn new(form: Form, program: String, prompt: String, is_fed: bool) -> Self {
        Self {
            has_begun: form.answer_after.is_empty(),
            form,
            program,
            prompt,
            is_fed,
            answer: String::new(),
            behind: None,
            failed: None,
            fields: Fields::default(),
            file: None,
            interrupted: false,
            seen_stdout: false,
            has_ended: false,
            stderr: StderrTail::default(),
            errors: Words::default(),
        }
    }
}

impl Protocol for Stream {
    fn step(&mut self, input: Input<'_>, out: &mut Out) {
        match input {
            Input::Start => {
                if self.is_fed {
                    out.stdin(self.prompt.clone().into_bytes());
                }
                out.close_stdin();
            }
            Input::Stdout(line) => {
                self.seen_stdout = true;
                let line = words::shown(line);
                if !self.tells(line.trim_start(), out) {
                    self.line(&line, out);
                }
            }
            Input::Stderr(line) => {
                let shown = words::shown(line);
                if !self.tells(shown.trim_start(), out) {
                    if words::is_error(shown.trim()) {
                        self.errors = Words::default();
                    }
                    self.errors.add(shown.trim());
                    self.stderr.line(line, out);
                }
            }
            Input::Steer(_) => out.cannot("steer"),
            Input::Interrupt => {
                self.interrupted = true;
                out.cannot("interrupt");
            }
            Input::AnswerFile(bytes) => self.file(bytes),
            Input::Exit(exit) => self.exit(exit, out),
            Input::Permission { .. }
            | Input::Timer(_)
            | Input::Terminal { .. }
            | Input::Http { .. }
            | Input::Sse(_)
            | Input::Doubt(_)
            | Input::SessionFile { .. }
            | Input::SilentCalls(_)
            | Input::Session(_) => {}
        }
    }
}

impl Stream {
    /// Reads a line that the form has a meaning for; false for one that is like any.
    fn tells(&mut self, line: &str, out: &mut Out) -> bool {
        self.fields.line(&self.form, line);
        if Form::begins(&self.form.retries, line) {
            self.retry(line, out);
            return true;
        }
        if Form::begins(&self.form.failures, line) {
            out.event(Event::notice(Level::Error, "error", line));
            let at = self.answer.len();
            self.failed = Some(Words { text: line.to_owned(), is_over: false, at });
            return true;
        }
        // Behind the first word of the answer it is one of its lines.
        let is_before = !self.has_begun || self.answer.is_empty();
        if is_before && Form::begins(&self.form.answer_after, line) {
            // What came before was no part of it.
            self.has_begun = true;
            self.answer.clear();
            out.event(Event::notice(Level::Info, "stdout", line));
            return true;
        }
        if Form::begins(&self.form.answer_before, line) {
            self.end_answer(line, out);
            return true;
        }
        if Form::begins(&self.form.asides, line) {
            out.event(Event::notice(Level::Info, "stdout", line));
            return true;
        }
        // The rest of a message that was broken into lines.
        if let Some(failed) = self.failed.as_mut().filter(|failed| !failed.is_over) {
            failed.add(line);
            if !line.is_empty() {
                out.event(Event::notice(Level::Error, "error", line));
            }
            return true;
        }
        false
    }

    /// The answer ends here, unless another line ends it later: then this one is a line of it.
    fn end_answer(&mut self, line: &str, out: &mut Out) {
        if let Some(held) = self.behind.take() {
            held.lines().for_each(|line| self.words(line, out));
        }
        // A program that says so behind a failure has got over it, or has only spoken of one.
        if let Some(failed) = self.failed.take() {
            self.answer.insert_str(failed.at.min(self.answer.len()), &(failed.text + "\n"));
        }
        self.behind = Some(format!("{line}\n"));
    }

    fn line(&mut self, line: &str, out: &mut Out) {
        match &mut self.behind {
            Some(behind) => {
                behind.push_str(line);
                behind.push('\n');
            }
            None => self.words(line, out),
        }
    }

    /// A line of the answer.
    fn words(&mut self, line: &str, out: &mut Out) {
        if self.answer.is_empty() && line.is_empty() {
            return;
        }
        self.answer.push_str(line);
        self.answer.push('\n');
        if !self.has_begun {
            out.event(Event::notice(Level::Info, "stdout", line));
            return;
        }
        let text = Text { text: format!("{line}\n"), message_id: None };
        out.event(Event::Text(text));
    }

    /// The program tries again by itself.
    fn retry(&mut self, line: &str, out: &mut Out) {
        let failed = self.failed.take().map(|failed| failed.text);
        let reason = failed.unwrap_or_else(|| line.to_owned());
        let failure = waits::with_words(of_words(&reason, Vec::new()), line);
        let kind = Some(failure.kind).filter(|kind| *kind != FailureKind::Unknown);
        let delay_ms = failure.retry_after_ms.or_else(|| words::pause_ms(line));
        out.event(Event::Retry(Retry { reason, kind, delay_ms, ..Retry::default() }));
    }

    fn file(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let value = match serde_json::from_str::<Value>(&text) {
            Ok(value) if self.form.answer.is_some() => value,
            _ => Value::String(text.into_owned()),
        };
        self.fields.file(&self.form, &value);
        self.file = Some(value);
    }

    /// The answer: from the file, if it has one, or what was printed.
    fn take_answer(&mut self) -> String {
        let file = self.file.as_ref().map(|file| match &self.form.answer {
            Some(pointer) => file.pointer(pointer).and_then(Value::as_str).unwrap_or_default(),
            None => file.as_str().unwrap_or_default(),
        });
        match file {
            Some(answer) => answer.trim_end().to_owned(),
            None if self.form.answer_file.is_some() => String::new(),
            None => std::mem::take(&mut self.answer).trim_end().to_owned(),
        }
    }

    fn exit(&mut self, exit: Exit, out: &mut Out) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let behind = self.behind.take().unwrap_or_default();
        for line in behind.lines().filter(|line| !line.is_empty()) {
            out.event(Event::notice(Level::Info, "stdout", line));
        }
        let printed = self.answer.trim_end().to_owned();
        let answer = self.take_answer();
        self.stderr.ended(out);
        let failure = self.failure(exit, &answer, &printed);
        if failure.is_none() {
            tell_doubt(&answer, out);
        }
        let reached = if answer.is_empty() { printed } else { answer.clone() };
        let end = Said { failure, words: answer, reached, ..Said::default() }.end(out);
        out.turn_ended(AttemptEnd {
            usage: self.fields.usage(),
            session_id: self.fields.session(),
            ..end
        });
    }

    fn failure(&self, exit: Exit, answer: &str, printed: &str) -> Option<Failure> {
        let code = match exit {
            Exit::Code(code) => code,
            Exit::Signal(_) => {
                let seen = self.seen_stdout;
                return Some(exit::failure(
                    &self.program,
                    exit,
                    self.interrupted,
                    seen,
                    &self.stderr,
                ));
            }
        };
        if self.interrupted {
            return Some(Failure::new(FailureKind::Interrupted, "interrupted"));
        }
        let said = vec![evidence(EvidenceSource::Exit, "code", code)];
        if let Some(failed) = &self.failed {
            return Some(of_words(&failed.text, said));
        }
        if code == 0 {
            let is_missing = answer.is_empty() && self.form.answer_file.is_some();
            let words = "the program has not written its answer file";
            return is_missing.then(|| Failure::new(FailureKind::Protocol, words));
        }
        // It did not run.
        let of_exit = exit::failure(&self.program, exit, false, self.seen_stdout, &self.stderr);
        if of_exit.kind == FailureKind::NotExecutable {
            return Some(of_exit);
        }
        let last = printed.rsplit("\n\n").next().unwrap_or_default();
        let words = match self.errors.text.is_empty() {
            true => error_in(last).unwrap_or_default(),
            false => &self.errors.text,
        };
        if words.is_empty() {
            // What is an answer as far as it goes says nothing of why it goes no further.
            let reached = last.lines().next_back();
            let message = reached.map(|last| format!("{}: {last}", of_exit.message));
            return Some(Failure { message: message.unwrap_or(of_exit.message), ..of_exit });
        }
        let failure = of_words(words, said);
        Some(match failure.kind {
            FailureKind::Unknown => Failure { kind: FailureKind::Crashed, ..failure },
            _ => failure,
        })
    }
}

/// Says it when an answer reads like a failure. Of a program that has ended well it stays an answer: one that is right must
/// not be paid for twice, and an entry can name the leads that mean failure.
fn tell_doubt(answer: &str, out: &mut Out) {
    if told_as_answer::lead(answer).is_some() {
        let begin: String = answer.lines().next().unwrap_or_default().chars().take(80).collect();
        let words = format!("the answer reads like a failure: {begin}");
        out.event(Event::notice(Level::Warn, "maybe_failed", words));
    }
}

/// An error at the end of what was printed: from the line on that begins as errors do.
fn error_in(paragraph: &str) -> Option<&str> {
    let mut from = 0;
    for line in paragraph.split_inclusive('\n') {
        if words::is_error(line.trim()) || told_as_answer::lead(line.trim()).is_some() {
            return Some(&paragraph[from..]);
        }
        from += line.len();
    }
    None
}

/// The failure that a program tells in these words.
fn of_words(words: &str, mut said: Vec<belay_trace::Evidence>) -> Failure {
    let provider = ProviderError::in_text(words);
    let lead = words.strip_prefix("Error: ").unwrap_or(words);
    if let Some(status) = status_in(lead) {
        said.push(evidence(EvidenceSource::Status, "message", status));
    }
    let message = provider.as_ref().and_then(|provider| provider.message.clone());
    if let Some(provider) = provider {
        said.extend(provider.evidence("error.", &said));
    }
    said.retain(|said| said.source != EvidenceSource::Text);
    said.push(evidence(EvidenceSource::Text, "message", words));
    let message = message.unwrap_or_else(|| words.chars().take(MESSAGE_CHARS_MAX).collect());
    waits::with_words(FAILURES.failure(message, said), words)
}

/// More than anybody reads of a traceback.
const MESSAGE_CHARS_MAX: usize = 600;
