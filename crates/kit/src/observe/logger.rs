//! The run as text for people: belaykit's logger, with real figures.

mod going_on;

use super::{Observer, ObserverError};
use anstyle::{AnsiColor, Style};
use belay_trace::{
    Context, ContextSource, CostSource, Decision, DecisionSource, Event, Level, Notice, Record,
    RunResult, SessionStarted, StopReason, ToolCall, ToolResult, Usage, visible, visible_line,
};
use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};

/// Writes each record as text: headers such as `[assistant:sonnet:claude-code]`, indented tool use and
/// results, a bar of context use, tokens, dollars and time. Each part can be switched off.
///
/// Every control character that an agent prints is made visible; the only escapes in the output are the
/// logger's own colours.
///
/// ```
/// use belaykit::{Claude, Client, Logger, Part};
///
/// let mut logger = Logger::new(std::io::stderr()).without(Part::Reasoning);
/// let client = Client::new(Claude::new()).on_event(move |record| logger.record(record));
/// ```
#[derive(Debug)]
pub struct Logger<W> {
    out: W,
    color: bool,
    off: Vec<Part>,
    window: Option<u64>,
    model: String,
    /// The message whose text was written last, and whether its line is complete.
    message: Option<(Option<String>, bool)>,
    mid_line: bool,
    last_context: Option<(u64, Option<u64>)>,
    failed: bool,
    /// There is an agent that could be stopped.
    has_agent: bool,
    /// Background tasks are waited for.
    waits: bool,
    /// The warnings that were shown of this run.
    warned: HashSet<(Option<String>, String)>,
}

/// How many different warnings are remembered.
const WARNINGS_MAX: usize = 1_000;

/// A part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// Sessions, phases, notices, retries, the agent's standard error.
    System,
    /// The headers of the model's responses.
    Assistant,
    /// The model's reasoning.
    Reasoning,
    /// Tool calls.
    ToolUse,
    /// What tools returned.
    ToolResult,
    /// The last line of a run.
    Result,
    /// Context use and tokens.
    Tokens,
    /// What stands below the headers: the text itself, and what tools printed.
    Content,
}

impl Part {
    /// Every part, with its name on the command line.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::System, "system"),
        (Self::Assistant, "assistant"),
        (Self::Reasoning, "reasoning"),
        (Self::ToolUse, "tool-use"),
        (Self::ToolResult, "tool-result"),
        (Self::Result, "result"),
        (Self::Tokens, "tokens"),
        (Self::Content, "content"),
    ];
}

/// How much of a tool's arguments is shown, in characters.
const ARGS_CHARS_MAX: usize = 200;
/// How much of a tool's output is shown, in characters.
const OUTPUT_CHARS_MAX: usize = 500;

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

impl<W: Write> Logger<W> {
    /// A logger without colour, with all parts.
    pub fn new(out: W) -> Self {
        Self {
            out,
            color: false,
            off: Vec::new(),
            window: None,
            model: String::new(),
            message: None,
            mid_line: false,
            last_context: None,
            failed: false,
            has_agent: false,
            waits: true,
            warned: HashSet::new(),
        }
    }

    /// Switches colour on; the caller knows whether `out` is a terminal.
    #[must_use]
    pub fn color(mut self, color: bool) -> Self {
        self.color = color;
        self
    }

    /// Switches a part off.
    #[must_use]
    pub fn without(mut self, part: Part) -> Self {
        self.off.push(part);
        self
    }

    /// The context window in tokens, for agents that do not report theirs.
    #[must_use]
    pub fn context_window(mut self, tokens: u64) -> Self {
        self.window = Some(tokens);
        self
    }

    /// Says whether the run waits for background tasks, as it does by default; one that stops them says so itself
    /// ([`Background::Stop`](crate::Background::Stop)).
    #[must_use]
    pub fn waits(mut self, waits: bool) -> Self {
        self.waits = waits;
        self
    }

    /// Writes a record. A writer that fails is not written to again.
    pub fn record(&mut self, record: &Record) {
        if !self.failed {
            self.failed = self.try_record(record).is_err();
        }
    }

    fn try_record(&mut self, record: &Record) -> io::Result<()> {
        let under = if record.parent_tool_id.is_some() { "  " } else { "" };
        self.has_agent |= matches!(record.event, Event::AttemptStarted(_));
        if matches!(record.event, Event::RunStarted(_)) {
            self.warned.clear();
        }
        match &record.event {
            Event::SessionStarted(session) => self.session(record, session)?,
            Event::Phase(phase) => {
                self.head(Part::System, under, "phase", BOLD, &visible_line(&phase.phase_name))?;
            }
            Event::TurnStarted(turn) => {
                if let Some(model) = &turn.model {
                    self.model.clone_from(model);
                }
                self.message = None;
            }
            Event::Text(text) => {
                self.text(record, under, text.message_id.as_ref(), &text.text, false)?;
            }
            Event::Reasoning(part) if self.shows(Part::Reasoning) => {
                self.text(record, under, part.message_id.as_ref(), &part.reasoning, true)?;
            }
            Event::TextRetracted(_) => {
                let words = "the text above is void: the agent tries again";
                self.head(Part::Assistant, under, "retracted", YELLOW, words)?;
            }
            Event::ToolCall(call) => self.tool_call(under, call)?,
            Event::ToolResult(result) => self.tool_result(under, result)?,
            Event::Context(context) if record.parent_tool_id.is_none() => self.context(context)?,
            Event::Retry(retry) => {
                self.head(Part::System, under, "retry", YELLOW, &going_on::retry(retry))?;
            }
            Event::RateLimit(limit) => {
                let windows = limit.windows.iter().map(|window| {
                    let used = window.used_percent.map(|percent| format!(" {percent:.0}%"));
                    let reset = window.resets_at.map(|at| format!(", resets {at}"));
                    // Without a share of it, what the agent calls its state.
                    let status = window.status.as_deref().filter(|_| used.is_none());
                    let used = used.or(status.map(|status| format!(" {}", visible_line(status))));
                    let (used, reset) = (used.unwrap_or_default(), reset.unwrap_or_default());
                    format!("{}{used}{reset}", visible_line(&window.name))
                });
                let style = if limit.rejected { RED } else { DIM };
                let windows = windows.collect::<Vec<_>>().join(" · ");
                self.head(Part::System, under, "limit", style, &windows)?;
            }
            Event::Compaction(compaction) => {
                let words = format!("{:?}", compaction.status).to_lowercase();
                self.head(Part::System, under, "compaction", DIM, &words)?;
            }
            Event::Plan(plan) => {
                let done = |item: &&belay_trace::PlanItem| {
                    item.status == belay_trace::PlanStatus::Completed
                };
                let words =
                    format!("{}/{} done", plan.items.iter().filter(done).count(), plan.items.len());
                self.head(Part::System, under, "plan", DIM, &words)?;
            }
            Event::BackgroundTasks(background) if background.waiting && self.waits => {
                let words = going_on::background(background);
                self.head(Part::System, under, "background", YELLOW, &words)?;
            }
            Event::PermissionRequest(request) => {
                let words = format!("{} asks for permission", visible_line(&request.name));
                self.head(Part::System, under, "permission", YELLOW, &words)?;
            }
            Event::PermissionDecision(decision) => {
                let (word, style) = match decision.decision {
                    Decision::Allow => ("allowed", GREEN),
                    Decision::Deny => ("denied", RED),
                };
                let by = match decision.by {
                    DecisionSource::Policy => "by the run's permissions",
                    DecisionSource::Caller => "by you",
                };
                self.head(Part::System, under, "permission", style, &format!("{word} {by}"))?;
            }
            Event::PermissionDenied(denied) => {
                let reason = denied.reason.as_deref().map(visible_line).unwrap_or_default();
                let words = format!(
                    "denied {}: {}",
                    visible_line(&denied.name),
                    cut(&reason, ARGS_CHARS_MAX)
                );
                self.head(Part::System, under, "permission", RED, &words)?;
            }
            Event::Steered(steered) => {
                let words = cut(&visible_line(&steered.text), OUTPUT_CHARS_MAX);
                let (style, words) = match (steered.delivered, &steered.reason) {
                    (true, _) => (CYAN, words),
                    (false, None) => (YELLOW, format!("not delivered: {words}")),
                    (false, Some(reason)) => {
                        (YELLOW, format!("not delivered ({}): {words}", visible_line(reason)))
                    }
                };
                self.head(Part::System, under, "steered", style, &words)?;
            }
            // The event above says the same, with the words.
            Event::Notice(notice) if notice.code.as_deref() == Some("steer") => {}
            Event::Interrupted(stop) => {
                let why = match (&stop.message, stop.reason) {
                    (Some(message), _) => Some(visible_line(message)),
                    (None, StopReason::Deadline) => Some("the time is up".into()),
                    _ => None,
                };
                let words = match (why, self.has_agent) {
                    (Some(why), true) => format!("{why}; stopping the agent"),
                    (Some(why), false) => why.into_owned(),
                    (None, true) => "stopping the agent (again: at once)".to_owned(),
                    (None, false) => "stopped before there was an agent".to_owned(),
                };
                self.head(Part::System, under, "interrupted", YELLOW, &words)?;
            }
            Event::AttemptEnded(ended) => {
                self.has_agent = false;
                // That what belongs to the agent has ended with it is no news.
                for process in ended.left.iter().filter(|left| !(left.helper && left.killed)) {
                    let word = if process.killed { "killed" } else { "still runs" };
                    let command = cut(&visible_line(&process.command), ARGS_CHARS_MAX);
                    let words = format!("{word}: {command} (process {})", process.pid);
                    self.head(Part::System, under, "left", YELLOW, &words)?;
                }
            }
            Event::Failover(failover) => {
                let words = going_on::failover(failover);
                self.head(Part::System, under, "failover", YELLOW, &words)?;
            }
            Event::Waiting(waiting) => {
                let words = going_on::waiting(waiting, record.ts);
                self.head(Part::System, under, "waiting", YELLOW, &words)?;
            }
            Event::Notice(notice) => self.notice(under, notice)?,
            Event::LogDegraded(log) => {
                self.head(Part::System, under, "journal", RED, &visible_line(&log.message))?;
            }
            Event::OversizedLine(line) => {
                let words = format!("a line of {} bytes was too long to be read", line.bytes);
                self.head(Part::System, under, "oversized", RED, &words)?;
            }
            Event::ObserverDropped(observer) => {
                let words = format!("{} missed {} events", observer.observer, observer.dropped);
                self.head(Part::System, under, "observer", YELLOW, &visible_line(&words))?;
            }
            Event::Unknown(unknown) => {
                let raw = visible_line(&unknown.line);
                self.head(Part::System, under, "unknown", DIM, &cut(&raw, ARGS_CHARS_MAX))?;
            }
            Event::Result(result) => self.result(result)?,
            _ => {}
        }
        self.out.flush()
    }

    fn shows(&self, part: Part) -> bool {
        !self.off.contains(&part)
    }

    /// `[head] words` on a line of its own.
    fn head(
        &mut self,
        part: Part,
        indent: &str,
        head: &str,
        style: Style,
        words: &str,
    ) -> io::Result<()> {
        if !self.shows(part) {
            return Ok(());
        }
        self.end_line()?;
        let head = self.paint(style, &format!("[{head}]"));
        writeln!(self.out, "{indent}{head} {words}")
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.message = None;
        if std::mem::take(&mut self.mid_line) { writeln!(self.out) } else { Ok(()) }
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn session(&mut self, record: &Record, session: &SessionStarted) -> io::Result<()> {
        if let Some(model) = &session.model {
            self.model.clone_from(model);
        }
        let version =
            session.agent_version.as_ref().map(|version| format!("{} {version}", record.agent));
        let mode = session.permission_mode.as_ref().map(|mode| format!("permissions {mode}"));
        let words =
            [Some(format!("session {}", session.session_id)), session.model.clone(), version, mode];
        let words = words.into_iter().flatten().collect::<Vec<_>>().join(" · ");
        self.head(Part::System, "", "system", DIM, &visible_line(&words))
    }

    /// A piece of a message: the header once, then the text as it comes, indented.
    fn text(
        &mut self,
        record: &Record,
        under: &str,
        message_id: Option<&String>,
        text: &str,
        reasoning: bool,
    ) -> io::Result<()> {
        let message = (message_id.cloned(), reasoning);
        if self.message.as_ref() != Some(&message) {
            self.end_line()?;
            if self.shows(Part::Assistant) {
                let head = if reasoning { "reasoning" } else { "assistant" };
                let model = visible_line(short_model(&self.model)).into_owned();
                let model = if model.is_empty() { model } else { format!(":{model}") };
                let head = format!("[{head}{model}:{}]", record.agent);
                let style = if reasoning { DIM } else { CYAN };
                let head = self.paint(style, &head);
                writeln!(self.out, "{under}{head}")?;
            }
            self.message = Some(message);
        }
        if !self.shows(Part::Content) {
            return Ok(());
        }
        let text = visible(text);
        for (n, line) in text.split('\n').enumerate() {
            if n > 0 {
                writeln!(self.out)?;
                self.mid_line = false;
            }
            if !line.is_empty() {
                if !self.mid_line {
                    write!(self.out, "{under}  ")?;
                }
                let line = if reasoning { self.paint(DIM, line) } else { line.to_owned() };
                write!(self.out, "{line}")?;
                self.mid_line = true;
            }
        }
        Ok(())
    }

    fn tool_call(&mut self, under: &str, call: &ToolCall) -> io::Result<()> {
        let name = self.paint(BOLD, &visible_line(&call.name));
        let args = visible_line(call.args.get());
        let args =
            if self.shows(Part::Content) { cut(&args, ARGS_CHARS_MAX) } else { String::new() };
        let words = format!("{name} {args}");
        self.head(Part::ToolUse, &format!("{under}  "), "tool_use", CYAN, words.trim_end())
    }

    fn tool_result(&mut self, under: &str, result: &ToolResult) -> io::Result<()> {
        let indent = format!("{under}    ");
        let (style, verdict) = match (result.tool_error, result.exit_code) {
            (true, Some(code)) => (RED, format!("exit code {code} ")),
            (true, None) => (RED, "failed ".to_owned()),
            (false, _) => (DIM, String::new()),
        };
        let output = visible(result.output.trim_end());
        let output =
            if self.shows(Part::Content) { cut(&output, OUTPUT_CHARS_MAX) } else { String::new() };
        let output = output.replace('\n', &format!("\n{indent}  "));
        let words = format!("{verdict}{output}");
        self.head(Part::ToolResult, &indent, "tool_result", style, words.trim_end())
    }

    fn context(&mut self, context: &Context) -> io::Result<()> {
        // What was given goes before a list that may be wrong about this agent.
        let window = match context.source {
            ContextSource::Prices => self.window.or(context.window_tokens),
            ContextSource::Agent | ContextSource::Config => context.window_tokens.or(self.window),
        };
        let seen = (context.used_tokens, window);
        if !self.shows(Part::Tokens) || self.last_context.replace(seen) == Some(seen) {
            return Ok(());
        }
        self.end_line()?;
        let used = count(context.used_tokens);
        match window.filter(|window| *window > 0) {
            Some(window) => {
                let bar = self.thermobar(percent(context.used_tokens, window));
                writeln!(self.out, "  {bar} of context, {used} of {}", count(window))
            }
            None => {
                writeln!(self.out, "  {}", self.paint(DIM, &format!("{used} tokens in context")))
            }
        }
    }

    /// Twenty cells, yellow from 65 % and red from 85 %.
    fn thermobar(&self, percent: f64) -> String {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 20")]
        let filled = (percent / 5.0).round().clamp(0.0, 20.0) as usize;
        let style = match percent {
            85.0.. => RED,
            65.0.. => YELLOW,
            _ => GREEN,
        };
        let bar = format!("{}{}", "█".repeat(filled), "░".repeat(20 - filled));
        format!("{} {percent:.1}%", self.paint(style, &bar))
    }

    fn notice(&mut self, under: &str, notice: &Notice) -> io::Result<()> {
        let style = match notice.level {
            Level::Debug => return Ok(()),
            Level::Info => DIM,
            Level::Warn => {
                // Some agents repeat one with each request.
                let is_new = self.warned.len() >= WARNINGS_MAX
                    || self.warned.insert((notice.code.clone(), notice.text.clone()));
                if !is_new {
                    return Ok(());
                }
                YELLOW
            }
            Level::Error => RED,
        };
        let head = notice.code.as_deref().unwrap_or("notice");
        let text = visible_line(&notice.text);
        self.head(Part::System, under, &visible_line(head), style, &cut(&text, OUTPUT_CHARS_MAX))
    }

    fn result(&mut self, result: &RunResult) -> io::Result<()> {
        if !self.shows(Part::Result) {
            return self.end_line();
        }
        self.end_line()?;
        for denial in &result.denials {
            self.head(Part::Result, "", "denied", YELLOW, &visible_line(&denial.name))?;
        }
        if result.attempts.len() > 1 {
            for attempt in &result.attempts {
                let words = going_on::attempt(attempt);
                self.head(Part::Result, "", "attempt", DIM, &words)?;
            }
        }
        let figures = Figures(&result.usage).to_string();
        match &result.failure {
            None => self.head(Part::Result, "", "result", GREEN, &figures),
            Some(failure) => {
                let words = visible_line(&failure.to_string()).into_owned();
                self.head(Part::Result, "", "error", RED, &words)?;
                self.head(Part::Result, "", "result", RED, &figures)
            }
        }
    }
}

impl<W: Write + Send + 'static> Observer for Logger<W> {
    fn name(&self) -> &'static str {
        "logger"
    }

    fn on_record(&mut self, record: &Record) -> Result<(), ObserverError> {
        self.try_record(record).map_err(Into::into)
    }
}

/// A usage in one line: `turns=2 time=1.2s tokens=1.4K in + 85 out, 19.5K cached, cost=$0.0130`.
struct Figures<'a>(&'a Usage);

impl fmt::Display for Figures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usage = self.0;
        let known = |tokens: Option<u64>| tokens.map_or_else(|| "?".to_owned(), count);
        if let Some(turns) = usage.num_turns {
            write!(f, "turns={turns} ")?;
        }
        if let Some(ms) = usage.duration_ms {
            write!(f, "time={} ", duration(ms))?;
        }
        write!(f, "tokens={} in + {} out", known(usage.input_tokens), known(usage.output_tokens))?;
        let cached = [usage.cache_read_input_tokens, usage.cache_creation_input_tokens];
        let cached: u64 = cached.into_iter().flatten().sum();
        if cached > 0 {
            write!(f, " + {} cached", count(cached))?;
        }
        let (mark, source) = match usage.cost_source {
            CostSource::Partial => ("≥", ""),
            CostSource::Priced => ("", " (list price)"),
            CostSource::Reported | CostSource::Unknown => ("", ""),
        };
        match usage.total_cost_usd {
            Some(usd) => write!(f, " cost={mark}${usd:.4}{source}"),
            None => f.write_str(" cost=unknown"),
        }
    }
}

/// The family of a model: `claude-opus-4-6` is `opus`; what has no known family stays as it is.
fn short_model(model: &str) -> &str {
    let families = ["opus", "sonnet", "haiku"];
    families.into_iter().find(|family| model.contains(family)).unwrap_or(model)
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a bar of twenty cells")]
fn percent(used: u64, window: u64) -> f64 {
    used as f64 / window as f64 * 100.0
}

/// 1234 is `1.2K`.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn count(tokens: u64) -> String {
    match tokens {
        0..1_000 => tokens.to_string(),
        1_000..1_000_000 => format!("{:.1}K", tokens as f64 / 1e3),
        _ => format!("{:.1}M", tokens as f64 / 1e6),
    }
}

/// 1234 ms is `1.2s`.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{:.1}s", ms as f64 / 1e3),
        _ => format!("{:.1}m", ms as f64 / 6e4),
    }
}

/// A time to wait: `2h 5m`, `5m 3s`, `12s`.
pub(crate) fn count_of_seconds(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m {seconds}s"),
        _ => format!("{hours}h {minutes}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_agents::{Claude, RunRequest, StreamParser, Transport};
    use belay_testkit::recordings;

    fn log(events: Vec<Event>, logger: impl FnOnce(Logger<Vec<u8>>) -> Logger<Vec<u8>>) -> String {
        let mut logger = logger(Logger::new(Vec::new()));
        for event in events {
            let mut record = Record::new("run", event);
            record.agent = "claude-code".into();
            logger.record(&record);
        }
        String::from_utf8(logger.out).unwrap()
    }

    fn recorded(name: &str) -> Vec<Event> {
        let recording = recordings::one("claude-code", name);
        let mut parser = StreamParser::new(&Claude::new(), &RunRequest::new("p"), Transport::Print);
        let mut events = Vec::new();
        for line in recording.stdout.split(|byte| *byte == b'\n') {
            events.extend(parser.parse_bytes(line).into_iter().map(|emitted| emitted.event));
            events.extend(parser.take_ended().into_iter().map(|end| {
                let (failure, usage) = (end.failure, end.usage);
                let is_error = failure.is_some();
                Event::Result(RunResult {
                    result: end.answer,
                    is_error,
                    usage,
                    failure,
                    ..Default::default()
                })
            }));
        }
        events
    }

    #[test]
    fn a_recorded_run_reads_like_a_log() {
        assert_eq!(
            log(recorded("b-shell"), |logger| logger),
            r#"[system] session f02836fc-b63c-427e-a1f7-63fa3474878b · claude-sonnet-4-5-20250929 · claude-code 2.1.329 · permissions bypassPermissions
  10.5K tokens in context
[assistant:sonnet:claude-code]
  I will run a command.
  [tool_use] Bash {"command":"echo hello-from-shell; echo to-stderr >&2","description":"run a command"}
    [tool_result] hello-from-shell
      to-stderr
  10.8K tokens in context
[assistant:sonnet:claude-code]
  The command printed hello-from-shell.
  █░░░░░░░░░░░░░░░░░░░ 5.4% of context, 10.8K of 200.0K
[result] turns=2 time=208ms tokens=1.4K in + 85 out + 20.0K cached cost=$0.0130
"#
        );
    }

    #[test]
    fn each_part_can_be_switched_off() {
        let none =
            |logger: Logger<_>| Part::ALL.iter().fold(logger, |l, (part, _)| l.without(*part));
        assert_eq!(log(recorded("b-shell"), none), "");
    }

    #[test]
    fn an_agent_cannot_control_the_terminal() {
        let hostile = "\x1b]0;title\x07\x1b[2J\u{202e}\r";
        let text = Event::Text(belay_trace::Text { text: hostile.into(), message_id: None });
        let call = ToolCall { name: hostile.into(), ..ToolCall::default() };
        let result = ToolResult { output: hostile.into(), ..ToolResult::default() };
        let events = vec![
            text,
            Event::ToolCall(call),
            Event::ToolResult(result),
            Event::notice(Level::Error, hostile, hostile),
        ];
        let shown = log(events, |logger| logger);
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }

    #[test]
    fn colour_is_the_loggers_own_and_only_when_asked_for() {
        let plain = log(recorded("b-shell"), |logger| logger);
        let painted = log(recorded("b-shell"), |logger| logger.color(true));
        assert!(!plain.contains('\x1b') && painted.contains('\x1b'));
    }
}
