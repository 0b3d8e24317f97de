//! One request on its way: checked, started, shown, and what is said at its end.

use super::call::Call;
use super::options::{Format, Options};
use super::piped_input::PipedInput;
use super::show::{Screen, View};
use super::{signals, steer};
use crate::config::{in_shell, written};
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::runtime::block_on;
use crate::say::{say, warn};
use crate::stored;
use crate::surroundings::{columns, environment};
use crate::terminal;
use crate::view::{self, Look};
use belay_trace::journal::RUNS_DIR;
use belay_trace::{Store, exit_code, read_file, visible, visible_line};
use belaykit::trace::TraceId;
use belaykit::{
    Agent, Background, Client, Error, Event, FailureKind, Logger, Outcome, Permissions, RunRequest,
    Session, TraceDir, WhenInUse, shell_escape, shell_escape_path,
};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::SignalKind;

/// A request with all that is needed to carry it out.
#[derive(Debug)]
pub(crate) struct Job {
    /// Who is asked, and who takes over when he fails.
    pub(crate) agents: Vec<Arc<dyn Agent>>,
    pub(crate) request: RunRequest,
    /// What joins its prompt.
    pub(crate) piped: Option<PipedInput>,
    pub(crate) options: Options,
}

impl Job {
    /// Runs the agent and shows what it does; the number is the exit code.
    pub(crate) fn carry_out(mut self) -> Result<u8, Fail> {
        if self.options.interactive_steer {
            steer::check()?;
        }
        let client = self.options.client(&self.agents);
        if self.options.dry_run {
            if let Some(piped) = self.piped.take() {
                piped.join_to(&mut self.request.prompt)?;
            }
            return self.print_commands(&client);
        }
        // First the request, so that a mistake in it leaves no folder behind; then what those who watch need.
        client.check(&self.request).map_err(|error| with_hint(&error))?;
        if let Some(piped) = self.piped.take() {
            self.piped = piped.join_at_once(&mut self.request.prompt)?;
        }
        let client = self.options.watched(client)?;
        client.check(&self.request).map_err(|error| with_hint(&error))?;
        if self.request.permissions == Some(Permissions::Full) {
            warn("--permit full: the agent may do anything on this machine, unasked");
        }
        let piped = self.piped.take();
        let (outcome, stopped_by) = block_on(self.carry(&client, piped))??;
        let ended = match &outcome {
            Ok(outcome) => outcome,
            Err(error) => error.outcome(),
        };
        for error in &ended.observer_errors {
            warn(visible_line(error));
        }
        self.show_end(ended, outcome.is_ok())?;
        Ok(match &outcome {
            Ok(_) => exit_code::ANSWERED,
            Err(error) => self.failed(error, stopped_by),
        })
    }

    /// Carries the request to its outcome, and says which signal came if one did.
    async fn carry(
        &self,
        client: &Client,
        piped: Option<PipedInput>,
    ) -> Result<(Result<Outcome, Error>, Option<SignalKind>), Fail> {
        let request = self.request.clone();
        let mut run = match piped {
            None => client.start(request),
            Some(piped) => {
                let prompt = piped.later(request.prompt.clone())?;
                client.start_with_prompt(request, prompt)
            }
        };
        let interrupter = run.interrupter();
        let stopped_by = signals::obey(&interrupter)?;
        if self.options.interactive_steer {
            steer::listen(interrupter.clone())?;
        }
        let screen = Screen::open(self.view())
            .map_err(|error| Fail::local(format!("cannot show the run: {error}")))?;
        let redaction = self.options.redaction()?;
        let mut unknown = 0;
        let mut folder =
            self.options.journals().map(|state_dir| state_dir.join(RUNS_DIR).join(run.id()));
        let show = async {
            while let Some(record) = run.next_shared().await {
                // The run's folder is there with its first record.
                if let Some(folder) = folder.take() {
                    Call::of(&self.agents, &self.options).write(&folder, &redaction);
                }
                unknown += u64::from(matches!(record.event, Event::Unknown(_)));
                screen.show(record).await;
            }
            screen.close().await
        };
        // Who reads us may take his time; a signal when the run is over means that nobody waits for him.
        let shown = tokio::select! {
            shown = show => shown,
            () = signals::end_of_patience(stopped_by.clone(), interrupter) => Ok(()),
        };
        let outcome = run.outcome().await;
        closed_pipe_is_fine(shown)?;
        if unknown > 0 {
            warn(format_args!(
                "{unknown} messages of the agent are none that belay knows: `belay doctor --drift latest` lists them"
            ));
        }
        let by = *stopped_by.borrow();
        Ok((outcome, by))
    }

    fn view(&self) -> View {
        let options = &self.options;
        match options.format() {
            Format::Text => {
                let color = options.color.unwrap_or_default();
                let logger = Logger::new(terminal::stderr())
                    .color(color.paints(terminal::stderr().handle()));
                let waits = self.request.background == Background::Wait;
                let logger = logger.waits(waits);
                let logger = options.hide.iter().fold(logger, |logger, part| logger.without(*part));
                View::text(match options.context_window {
                    Some(tokens) => logger.context_window(tokens),
                    None => logger,
                })
            }
            format @ (Format::Jsonl | Format::Json) => View::json(format),
            Format::Quiet => View::quiet(),
        }
    }

    /// The answer, how to go on, and where the trace is.
    fn show_end(&self, outcome: &Outcome, answered: bool) -> Result<(), Fail> {
        let format = self.options.format();
        let stdout = terminal::stdout();
        // On a terminal the text format has shown the answer already, as it came.
        let shown =
            format == Format::Text && stdout.is_terminal() && terminal::stderr().is_terminal();
        let wanted = matches!(format, Format::Text | Format::Quiet);
        // Asked for by its shape, the answer is the value, and not the words around it.
        let value = outcome.structured.as_ref().filter(|_| self.request.output_schema.is_some());
        let answer = value.map_or(outcome.text.as_str(), |value| value.get());
        if wanted && !shown && !answer.is_empty() {
            let text = if stdout.is_terminal() { visible(answer) } else { answer.into() };
            let end = if text.ends_with('\n') { "" } else { "\n" };
            closed_pipe_is_fine(write!(terminal::stdout(), "{text}{end}"))?;
        }
        if format == Format::Text {
            // A session in which nothing was said is none to go on in.
            let spoken = outcome.usage.output_tokens != Some(0);
            if let Some(session) = outcome.session_id.as_ref().filter(|_| spoken) {
                say(format_args!("to go on: {}", self.resume_line(outcome, session, answered)));
            } else if let Some(session) = self.awaited_session(outcome, answered) {
                say(format_args!("to go on: {}", self.resume_line(outcome, session, answered)));
            } else if !answered && self.options.journals().is_some() && !outcome.attempts.is_empty()
            {
                // The journal has the request.
                say(format_args!("to begin anew: {}", self.resume_line(outcome, "", answered)));
            }
            if let Some(path) = self.trace(outcome) {
                say(format_args!("trace: {}", path.display()));
            }
        }
        if self.options.tree {
            self.show_tree(outcome);
        }
        Ok(())
    }

    /// The session that the run has waited for, if it was stopped before its turn.
    fn awaited_session(&self, outcome: &Outcome, answered: bool) -> Option<&String> {
        let waits = self.request.when_in_use == WhenInUse::Queue;
        match &self.request.session {
            Session::Resume(id) if waits && !answered && outcome.attempts.is_empty() => Some(id),
            _ => None,
        }
    }

    /// The file of the run's trace, if there is one.
    fn trace(&self, outcome: &Outcome) -> Option<PathBuf> {
        let id = self.request.trace_id.as_ref().unwrap_or(&outcome.run_id);
        let path = TraceDir::path(&self.options.traces(), &TraceId::new(id.clone()).ok()?);
        Some(path).filter(|path| self.options.has_trace() && path.exists())
    }

    /// The trace as a tree. What keeps it from being drawn is said, and changes nothing of how the run ended.
    fn show_tree(&self, outcome: &Outcome) {
        let Some(path) = self.trace(outcome) else {
            return warn("--tree: this run has no trace");
        };
        match read_file(&path) {
            Ok(tree) => {
                let stderr = terminal::stderr();
                let paint = self.options.color.unwrap_or_default().paints(stderr.handle());
                let look = Look { width: columns(stderr.handle()), paint };
                // A terminal that is gone is no reason to fail.
                let _ = view::print(&tree, look, &mut io::BufWriter::new(stderr));
            }
            Err(error) => warn(format_args!("--tree: {}", visible_line(&error.to_string()))),
        }
    }

    /// How to go on in the session: by the run, which knows all that is needed, or without a journal by the
    /// session, with what this run needed to find its agent and its folder.
    fn resume_line(&self, outcome: &Outcome, session: &str, answered: bool) -> String {
        let options = &self.options;
        let mut line;
        if let Some(state_dir) = options.journals() {
            line = "belay resume".to_owned();
            // The environment still holds what it held.
            if let Some(given) = options.state_dir.as_ref().filter(|_| !stored::is_from_env()) {
                line.push_str(&format!(" --state-dir {}", shell_escape_path(given)));
            }
            line.push(' ');
            line.push_str(&stored::short_id(&Store::new(state_dir), &outcome.run_id));
            if answered {
                line.push_str(" \"…\"");
            }
            return line;
        }
        let agent = self.agents.iter().find(|agent| agent.name() == outcome.agent);
        let agent = agent.map_or_else(|| outcome.agent.clone(), |agent| written(agent.as_ref()));
        line = format!("belay run -a {}", in_shell(&visible_line(&agent)));
        let folder = options.ask.cwd.iter().map(|cwd| ("-C", shell_escape_path(cwd)));
        let programs = options.ask.program.iter();
        let own = programs
            .filter(|program| program.agent.as_ref().is_none_or(|agent| *agent == outcome.agent));
        let programs = own.map(|program| ("--program", shell_escape_path(&program.path)));
        let passed = options.ask.pass_env.iter().map(|name| ("--pass-env", shell_escape(name)));
        let mode = options.ask.env.iter().map(|mode| ("--env", mode.name().to_owned()));
        for (flag, value) in folder.chain(programs).chain(mode).chain(passed) {
            line.push_str(&format!(" {flag} {value}"));
        }
        format!("{line} --resume {} \"…\"", visible_line(session))
    }

    fn failed(&self, error: &Error, signal: Option<SignalKind>) -> u8 {
        // The text format has said it in its own place.
        if self.options.format() != Format::Text {
            say(format_args!("error: {}", visible_line(&error.to_string())));
        }
        let evidence = error.failure().evidence.iter();
        for held in evidence.filter(|evidence| evidence.name == "env_held_back") {
            let name = visible_line(&held.value);
            say(format_args!(
                "hint: --pass-env {name} lets the agent see it (docs/environment.md)"
            ));
        }
        // Nothing was tried: a word of another run was enough.
        if error.failure().evidence.iter().any(|evidence| evidence.name == "breaker") {
            let waits = match error.kind() {
                FailureKind::UsageLimit | FailureKind::RateLimited => {
                    "; --on-limit wait waits for it"
                }
                _ => "",
            };
            say(format_args!(
                "hint: `belay breaker reset` forgets what other runs have found out{waits}"
            ));
        }
        let is_full = error.kind() == FailureKind::LocalIo && error.outcome().attempts.is_empty();
        if is_full && self.options.journals().is_some() {
            say(format_args!("hint: {NO_ROOM}"));
        }
        if error.kind() == FailureKind::SessionInUse {
            say(format_args!("hint: {IN_USE}"));
        }
        match (error.kind(), signal) {
            (FailureKind::Interrupted, Some(signal)) => {
                u8::try_from(128 + signal.as_raw_value()).unwrap_or(exit_code::INTERRUPTED)
            }
            // Whatever came last: there is a time to come back at.
            (FailureKind::Interrupted | FailureKind::Deadline, _) => {
                exit_code::of_failure(error.kind())
            }
            _ if error.outcome().retry_at.is_some() => exit_code::RETRY_LATER,
            (kind, _) => exit_code::of_failure(kind),
        }
    }

    fn print_commands(&self, client: &Client) -> Result<u8, Fail> {
        let plans = client.plan_chain(&self.request).map_err(|error| with_hint(&error))?;
        let mut text = String::new();
        for (n, plan) in plans.iter().enumerate() {
            if plans.len() > 1 {
                let model = plan.model.iter().map(|model| format!(":{model}")).collect::<String>();
                let lead = if n > 0 { "\n" } else { "" };
                let of = plans.len();
                text.push_str(&format!("{lead}# {} of {of}: {}{model}\n", n + 1, plan.agent));
            }
            let transport = plan.transport;
            text.push_str(&format!(
                "# {transport} transport; the prompt goes in by standard input\n"
            ));
            plan.notes.iter().for_each(|note| text.push_str(&format!("# {note}\n")));
            text.push_str(&format!("{}\n# the same as one shot\n", plan.command));
            match &plan.one_shot {
                Ok(command) => text.push_str(&format!("{command}\n")),
                Err(error) => text.push_str(&format!("# not possible: {error}\n")),
            }
        }
        let text = self.options.redaction()?.text_of(&text, &environment());
        closed_pipe_is_fine(write!(terminal::stdout(), "{text}"))?;
        Ok(exit_code::ANSWERED)
    }
}

pub(crate) fn with_hint(error: &Error) -> Fail {
    let fail = Fail::of_check(error);
    match error.kind() {
        FailureKind::NotInstalled => fail.hint(
            "install it, or name its program with --program; `belay agents` shows what is found",
        ),
        FailureKind::NotExecutable => fail.hint("name another program with --program"),
        FailureKind::LocalIo => {
            fail.hint("choose another folder with --state-dir, or run with --no-journal")
        }
        FailureKind::InvalidRequest if error.unsupported_option().is_some() => fail.hint(
            "leave it out, or accept a notice with --lenient; see `belay agents --capabilities`",
        ),
        FailureKind::SessionInUse => fail.hint(IN_USE),
        _ => fail,
    }
}

/// What to do about a journal that cannot be written.
const NO_ROOM: &str =
    "make room there, choose another folder with --state-dir, or run with --no-journal";

/// What to do about a session that another run uses.
const IN_USE: &str = "wait until it is free with --queue, resume a copy with `--fork SESSION` instead of `--resume`, or resume it all the same with \
    --force";
