//! `belay run`

mod prompt;
mod show;
mod signals;
mod steer;

use self::show::{Screen, View};
use crate::fail::{Fail, closed_pipe_is_fine};
use crate::say::{say, warn};
use crate::surroundings::{self, Color};
use belay_trace::{exit_code, visible, visible_line};
use belaykit::{
    Candidate, Client, Durability, Effort, Error, IdleLimits, Logger, Outcome, Part, Permissions,
    RunRequest, TraceDir, Transport, shell_escape, trace::TraceId,
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::SignalKind;

/// Run an agent.
///
/// What the agent does is shown on standard error while it works; the answer goes to standard output. Ctrl-C
/// asks the agent to stop in its own words and keeps what was reached; again insists; a third time kills.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  belay run \"Why does the build fail?\"
  belay run -a codex:gpt-5.5 -C ~/project --permit edit -f task.md
  git diff | belay run -a claude:sonnet --append-system-prompt \"Review this diff.\" -
  belay run --format jsonl \"List the TODOs\" | jq 'select(.type==\"tool_call\")'")]
pub(crate) struct Run {
    /// The agent, and after a colon its model: claude, codex:gpt-5.5.
    #[arg(
        short,
        long,
        value_name = "AGENT[:MODEL]",
        default_value = "claude",
        env = "BELAY_AGENT"
    )]
    agent: Candidate,

    #[command(flatten)]
    prompt: prompt::Prompt,

    /// How the run is shown.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    format: Format,

    /// Leave a part out of the text format; can be given more than once. `assistant` is the headers of the
    /// answer, `content` the text below any header.
    #[arg(long, value_name = "PART", value_parser = parts(), help_heading = "Output")]
    hide: Vec<Part>,

    /// When to paint the text format.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    color: Color,

    /// The context window in tokens, for agents that do not report theirs.
    #[arg(long, value_name = "TOKENS", help_heading = "Output")]
    context_window: Option<u64>,

    /// Print what would be run, and run nothing.
    #[arg(long)]
    dry_run: bool,

    /// The model, in the agent's own naming.
    #[arg(short, long)]
    model: Option<String>,

    /// How hard the model thinks: low, medium, high, max.
    #[arg(long)]
    effort: Option<Effort>,

    /// Replace the agent's system prompt.
    #[arg(long, value_name = "TEXT")]
    system_prompt: Option<String>,

    /// Add to the agent's system prompt.
    #[arg(long, value_name = "TEXT")]
    append_system_prompt: Option<String>,

    /// Stop after this many model responses.
    #[arg(long, value_name = "N")]
    max_turns: Option<u32>,

    /// Limit each model response, in tokens.
    #[arg(long, value_name = "TOKENS")]
    max_output_tokens: Option<u32>,

    /// Stop the run when it has taken this long: 90s, 10m, 1h30m.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// Stop the run when the agent makes no progress for so long: 5m, or for each of what it waits for,
    /// model=15m,tool=30m,start=3m,retry=10m (the defaults), or off.
    #[arg(long, value_name = "TIME|WHAT=TIME,…")]
    idle_timeout: Option<IdleLimits>,

    /// Let what the agent has started and left running go on, such as a server; otherwise it is ended.
    #[arg(long)]
    leave_running: bool,

    /// Lines that are typed while the agent works are said to it, if it can listen.
    #[arg(long)]
    interactive_steer: bool,

    /// A tool that needs no permission, in the agent's rule language; can be given more than once.
    #[arg(long, value_name = "RULE")]
    allowed_tools: Vec<String>,

    /// A tool that the model is not offered; can be given more than once.
    #[arg(long, value_name = "RULE")]
    disallowed_tools: Vec<String>,

    /// What the agent may do: read-only, edit or full. Without it, the agent's own default; what an agent
    /// asks for beyond it is denied. `full` is for machines that may be lost.
    #[arg(long, value_name = "MODE")]
    permit: Option<Permissions>,

    /// Go on in this session of the agent.
    #[arg(long, value_name = "SESSION", group = "session", help_heading = "Session")]
    resume: Option<String>,

    /// Go on in the latest session of the working directory.
    #[arg(long = "continue", group = "session", help_heading = "Session")]
    continue_latest: bool,

    /// Go on in a copy of this session.
    #[arg(long, value_name = "SESSION", group = "session", help_heading = "Session")]
    fork: Option<String>,

    /// The agent's working directory.
    #[arg(short = 'C', long, value_name = "DIR")]
    cwd: Option<PathBuf>,

    /// Leave an option out that the agent lacks, with a notice, instead of failing.
    #[arg(long)]
    lenient: bool,

    /// The agent's program, instead of looking for it on the PATH.
    #[arg(long, value_name = "PATH", help_heading = "Surroundings")]
    program: Option<PathBuf>,

    /// Hand an environment variable to the agent, which sees only an allow-list; can be given more than once,
    /// and may end in `*`.
    #[arg(long, value_name = "NAME", help_heading = "Surroundings")]
    pass_env: Vec<String>,

    /// Talk with the agent in this way only.
    #[arg(long, value_enum, help_heading = "Surroundings")]
    transport: Option<TransportName>,

    /// The trace that the run belongs to; a new one by default.
    #[arg(long, value_name = "ID", help_heading = "Traces")]
    trace_id: Option<String>,

    /// The phase of the trace that begins with this run.
    #[arg(long, value_name = "NAME", help_heading = "Traces")]
    phase: Option<String>,

    /// Where traces are written.
    #[arg(long, value_name = "DIR", default_value = ".belay/traces", help_heading = "Traces")]
    trace_dir: PathBuf,

    /// Write no trace.
    #[arg(long, help_heading = "Traces")]
    no_trace: bool,

    /// Where the journal of the run is kept [default: $XDG_STATE_HOME/belay or ~/.local/state/belay].
    #[arg(long, value_name = "DIR", env = "BELAY_STATE_DIR", help_heading = "Traces")]
    state_dir: Option<PathBuf>,

    /// Keep no journal.
    #[arg(long, help_heading = "Traces")]
    no_journal: bool,

    /// What a loss of power may cost of the journal.
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL", help_heading = "Traces")]
    durability: DurabilityName,

    /// Further arguments for the agent, as they are.
    #[arg(last = true, value_name = "AGENT ARGS")]
    extra_args: Vec<String>,
}

/// How a run is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What happens, as text on standard error; the answer on standard output.
    #[default]
    Text,
    /// Every event as a JSON line on standard output.
    Jsonl,
    /// The result as one JSON object on standard output.
    Json,
    /// The answer on standard output, and nothing else.
    Quiet,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TransportName {
    /// One shot: the prompt in, events out.
    Print,
    /// The agent's protocol, both ways.
    Dialogue,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum DurabilityName {
    /// What the system has not written yet: for throwaway runs on slow disks.
    Relaxed,
    /// The last second of events, never the result.
    #[default]
    Normal,
    /// Nothing that was shown: each batch of events waits for the disk.
    Strict,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    parsed.ok_or_else(|| "write a time such as 90s, 10m or 1h30m".to_owned())
}

/// The parts of the text format by their names.
fn parts() -> impl TypedValueParser<Value = Part> {
    let names = Part::ALL.map(|(_, name)| name);
    PossibleValuesParser::new(names).map(|name| {
        let found = Part::ALL.into_iter().find(|(_, known)| *known == name);
        found.map(|(part, _)| part).expect("the parser takes known names only")
    })
}

impl Run {
    pub(crate) fn run(self) -> Result<u8, Fail> {
        let (request, client) = self.prepare()?;
        if self.dry_run {
            return self.print_commands(&client, &request);
        }
        // First the request, so that a mistake in it leaves no folder behind; then what those who watch need.
        client.check(&request).map_err(|error| self.with_hint(&error))?;
        let client = self.watched(client)?;
        client.check(&request).map_err(|error| self.with_hint(&error))?;
        let (outcome, stopped_by) = runtime()?.block_on(self.carry(&client, request))?;
        let ended = match &outcome {
            Ok(outcome) => outcome,
            Err(error) => error.outcome(),
        };
        for error in &ended.observer_errors {
            warn(visible_line(error));
        }
        self.show_end(ended)?;
        Ok(match &outcome {
            Ok(_) => exit_code::ANSWERED,
            Err(error) => self.failed(error, stopped_by),
        })
    }

    /// Carries the request to its outcome, and says which signal came if one did.
    async fn carry(
        &self,
        client: &Client,
        request: RunRequest,
    ) -> Result<(Result<Outcome, Error>, Option<SignalKind>), Fail> {
        let mut run = client.start(request);
        let interrupter = run.interrupter();
        let stopped_by = signals::obey(&interrupter)?;
        if self.interactive_steer {
            steer::listen(run.interrupter())?;
        }
        let screen = Screen::open(self.view())
            .map_err(|error| Fail::local(format!("cannot show the run: {error}")))?;
        let show = async {
            while let Some(record) = run.next_shared().await {
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
        let by = *stopped_by.borrow();
        Ok((outcome, by))
    }

    fn prepare(&self) -> Result<(RunRequest, Client), Fail> {
        if self.interactive_steer {
            steer::check()?;
        }
        let (prompt, extra_args) = self.prompt.read(&self.extra_args)?;
        let mut request = RunRequest::new(prompt).extra_args(extra_args).lenient(self.lenient);
        request.model.clone_from(&self.model);
        request.system_prompt.clone_from(&self.system_prompt);
        request.append_system_prompt.clone_from(&self.append_system_prompt);
        request.max_turns = self.max_turns;
        request.max_output_tokens = self.max_output_tokens;
        request.timeout = self.timeout;
        request.idle = self.idle_timeout.unwrap_or_default();
        request.leave_running = self.leave_running;
        request.allowed_tools.clone_from(&self.allowed_tools);
        request.disallowed_tools.clone_from(&self.disallowed_tools);
        request.effort = self.effort;
        request.permissions = self.permit;
        request.trace_id.clone_from(&self.trace_id);
        request.phase.clone_from(&self.phase);
        request = match (&self.resume, self.continue_latest, &self.fork) {
            (Some(session), ..) => request.resume(session),
            (None, true, _) => request.continue_latest(),
            (None, false, Some(session)) => request.fork(session),
            (None, false, None) => request,
        };
        // Absolute, because the agent and belay must mean the same folder.
        let cwd = match &self.cwd {
            Some(cwd) => std::path::absolute(cwd),
            None => std::env::current_dir(),
        };
        let cwd = cwd
            .map_err(|error| Fail::usage(format!("cannot tell the working directory: {error}")))?;
        if !cwd.is_dir() {
            let what = if cwd.exists() { "is no directory" } else { "does not exist" };
            return Err(Fail::usage(format!("the working directory {} {what}", cwd.display()))
                .hint("make it, or choose another with -C"));
        }
        request.cwd = Some(cwd);

        let mut client = Client::of(self.agent.agent.clone())
            .environment(surroundings::environment(&self.pass_env));
        if let Some(program) = &self.program {
            client = client.program(program);
        }
        if let Some(transport) = self.transport {
            client = client.transport(match transport {
                TransportName::Print => Transport::Print,
                TransportName::Dialogue => Transport::Dialogue,
            });
        }
        Ok((request, client))
    }

    /// The client with its journal and its trace.
    fn watched(&self, mut client: Client) -> Result<Client, Fail> {
        if !self.no_journal {
            match surroundings::state_dir(self.state_dir.clone()) {
                Some(dir) => client = client.state_dir(dir).durability(self.durability()),
                None => warn("no HOME and no --state-dir: this run has no journal"),
            }
        }
        if !self.no_trace {
            let traces = TraceDir::new(&self.trace_dir).map_err(|error| {
                Fail::usage(format!("cannot write traces to {}: {error}", self.trace_dir.display()))
                    .hint("choose another folder with --trace-dir, or run with --no-trace")
            })?;
            client = client.observe(traces);
        }
        if self.permit == Some(Permissions::Full) {
            warn("--permit full: the agent may do anything on this machine, unasked");
        }
        Ok(client)
    }

    fn durability(&self) -> Durability {
        match self.durability {
            DurabilityName::Relaxed => Durability::Relaxed,
            DurabilityName::Normal => Durability::Normal,
            DurabilityName::Strict => Durability::Strict,
        }
    }

    fn view(&self) -> View {
        match self.format {
            Format::Text => {
                let logger = Logger::new(io::stderr()).color(self.color.paints(&io::stderr()));
                let logger = self.hide.iter().fold(logger, |logger, part| logger.without(*part));
                View::text(match self.context_window {
                    Some(tokens) => logger.context_window(tokens),
                    None => logger,
                })
            }
            format @ (Format::Jsonl | Format::Json) => View::json(format),
            Format::Quiet => View::quiet(),
        }
    }

    /// The answer, and where the trace is.
    fn show_end(&self, outcome: &Outcome) -> Result<(), Fail> {
        let stdout = io::stdout();
        // On a terminal the text format has shown the answer already, as it came.
        let shown =
            self.format == Format::Text && stdout.is_terminal() && io::stderr().is_terminal();
        let wanted = matches!(self.format, Format::Text | Format::Quiet);
        if wanted && !shown && !outcome.text.is_empty() {
            let text = if stdout.is_terminal() {
                visible(&outcome.text)
            } else {
                outcome.text.as_str().into()
            };
            let end = if text.ends_with('\n') { "" } else { "\n" };
            closed_pipe_is_fine(write!(io::stdout(), "{text}{end}"))?;
        }
        if self.format == Format::Text {
            // A session in which nothing was said is none to go on in.
            let spoken = outcome.usage.output_tokens != Some(0);
            if let Some(session) = outcome.session_id.as_ref().filter(|_| spoken) {
                say(format_args!("session: {}", self.resume_line(&outcome.agent, session)));
            }
            let id = self.trace_id.as_ref().unwrap_or(&outcome.run_id);
            let path = TraceId::new(id.clone()).map(|id| TraceDir::path(&self.trace_dir, &id));
            if let Some(path) = path.ok().filter(|path| !self.no_trace && path.exists()) {
                say(format_args!("trace: {}", path.display()));
            }
        }
        Ok(())
    }

    /// How to go on in a session, with what this run needed to find its agent and its folder.
    fn resume_line(&self, agent: &str, session: &str) -> String {
        let mut line = format!("belay run -a {agent}");
        let folders = [("-C", self.cwd.as_ref()), ("--program", self.program.as_ref())];
        let named =
            folders.into_iter().filter_map(|(flag, path)| Some((flag, path?.to_string_lossy())));
        let passed = self.pass_env.iter().map(|name| ("--pass-env", name.as_str().into()));
        for (flag, value) in named.chain(passed) {
            line.push_str(&format!(" {flag} {}", shell_escape(&value)));
        }
        format!("{line} --resume {} \"…\"", visible_line(session))
    }

    fn failed(&self, error: &Error, signal: Option<SignalKind>) -> u8 {
        // The text format has said it in its own place.
        if self.format != Format::Text {
            say(format_args!("error: {}", visible_line(&error.to_string())));
        }
        match (error.kind(), signal) {
            (belaykit::FailureKind::Interrupted, Some(signal)) => {
                u8::try_from(128 + signal.as_raw_value()).unwrap_or(exit_code::INTERRUPTED)
            }
            (kind, _) => exit_code::of_failure(kind),
        }
    }

    fn with_hint(&self, error: &Error) -> Fail {
        let fail = Fail::of_check(error);
        match error.kind() {
            belaykit::FailureKind::NotInstalled => {
                fail.hint("install it, or name its program with --program; `belay agents` shows what is found")
            }
            belaykit::FailureKind::NotExecutable => fail.hint("name another program with --program"),
            belaykit::FailureKind::LocalIo => {
                fail.hint("choose another folder with --state-dir, or run with --no-journal")
            }
            belaykit::FailureKind::InvalidRequest if error.unsupported_option().is_some() => {
                fail.hint("leave it out, or accept a notice with --lenient; see `belay agents --capabilities`")
            }
            _ => fail,
        }
    }

    fn print_commands(&self, client: &Client, request: &RunRequest) -> Result<u8, Fail> {
        let planned = client.plan(request).map_err(|error| self.with_hint(&error))?;
        let one_shot = self.agent.agent.print_command(request);
        let mut text =
            format!("# {} transport; the prompt goes in by standard input\n", planned.transport);
        for note in &planned.notes {
            text.push_str(&format!("# {note}\n"));
        }
        text.push_str(&planned.command);
        text.push_str("\n# the same as one shot\n");
        match one_shot {
            Ok(command) => text.push_str(&command),
            Err(error) => text.push_str(&format!("# not possible: {error}")),
        }
        closed_pipe_is_fine(writeln!(io::stdout(), "{text}"))?;
        Ok(exit_code::ANSWERED)
    }
}

/// The runtime of one run: one thread is enough for pipes.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Fail> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Fail::local(format!("cannot start: {error}")))
}
