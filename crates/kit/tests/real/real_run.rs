//! A run of a real agent through the library, and what must hold for every such run.
//!
//! [`Stage::play`] checks the promises that do not depend on the script, on each run of each test: records are
//! numbered without a gap and end with the one result, the journal holds exactly them, its inputs replay to
//! the same events, the outcome says what the result says, and no process of the run is left.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use belay_agents::{Acp, Emitted, Replay};
use belay_testkit::model_server::{ModelServer, Request, Script, Tokens};
use belay_testkit::real::{self, CodexPolicy, RealAgent, Sandbox, skip_unless_installed};
use belaykit::trace::journal::{EVENTS_FILE, Frames, InputKind, attempt_request_file, input_file};
use belaykit::trace::{AttemptEnded, CostSource, RunResult, Text, ToolCall, ToolId, ToolResult};
use belaykit::{
    Agent, Claude, Client, Codex, Copilot, Environment, Error, Event, FailureKind, OpenCode,
    Outcome, Pi, Policy, Record, Run, RunRequest, Transport, Usage,
};
use serde_json::Value;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The model that the tests ask Claude for: one whose price Claude knows.
pub(crate) const CLAUDE_MODEL: &str = "claude-sonnet-4-5-20250929";

/// The tokens of a reply: no two columns are alike.
pub(crate) const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 300, reasoning: 0 };

/// A run takes a second or two; one that takes this long hangs.
const RUN_MAX: Duration = Duration::from_secs(60);

/// A command that sleeps long enough to be stopped. Claude refuses a plain `sleep`.
pub(crate) const SLEEP: &str = "python3 -c 'import time; time.sleep(300)'";

/// An agent and how belay talks with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Claude Code over stream-json both ways.
    Claude,
    /// Claude Code, one shot.
    ClaudePrint,
    /// Codex over its app-server.
    Codex,
    /// `codex exec`.
    CodexExec,
    /// OpenCode's server.
    OpenCode,
    /// `opencode run`.
    OpenCodeRun,
    /// `pi --mode rpc`.
    Pi,
    /// `pi -p --mode json`.
    PiPrint,
    /// Gemini CLI over ACP.
    Gemini,
    /// Qwen Code over ACP.
    Qwen,
    /// `copilot --output-format=json`.
    Copilot,
}

impl Way {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "claude" => Self::Claude,
            "claude_print" => Self::ClaudePrint,
            "codex" => Self::Codex,
            "codex_exec" => Self::CodexExec,
            "opencode" => Self::OpenCode,
            "opencode_run" => Self::OpenCodeRun,
            "pi" => Self::Pi,
            "pi_print" => Self::PiPrint,
            "gemini" => Self::Gemini,
            "qwen" => Self::Qwen,
            "copilot" => Self::Copilot,
            _ => panic!("there is no way `{name}` to run an agent"),
        }
    }

    pub(crate) fn is_claude(self) -> bool {
        matches!(self, Self::Claude | Self::ClaudePrint)
    }

    pub(crate) fn is_codex(self) -> bool {
        matches!(self, Self::Codex | Self::CodexExec)
    }

    pub(crate) fn is_opencode(self) -> bool {
        matches!(self, Self::OpenCode | Self::OpenCodeRun)
    }

    pub(crate) fn is_pi(self) -> bool {
        matches!(self, Self::Pi | Self::PiPrint)
    }

    /// Agents that are spoken with over ACP.
    pub(crate) fn is_acp(self) -> bool {
        matches!(self, Self::Gemini | Self::Qwen)
    }

    pub(crate) fn transport(self) -> Transport {
        match self {
            Self::Claude | Self::Codex | Self::OpenCode | Self::Pi | Self::Gemini | Self::Qwen => {
                Transport::Dialogue
            }
            Self::ClaudePrint
            | Self::CodexExec
            | Self::OpenCodeRun
            | Self::PiPrint
            | Self::Copilot => Transport::Print,
        }
    }
}

/// Makes a test of the function for each way that is named: `on!(the_fact: claude; codex_exec, pi);`.
///
/// `cargo xtask test` runs those in front of the semicolon: one way a fact, and each agent for the main facts (answer,
/// tools, usage, 401, 429, interrupt, kill). `cargo xtask test --all` also runs those behind it.
macro_rules! on {
    ($fact:ident: $($way:ident),+ $(; $($other:ident),+)?) => {
        mod $fact {
            $(
                #[test]
                fn $way() {
                    crate::real_run::check(module_path!(), stringify!($way), super::$fact);
                }
            )+
            $(
                mod every_way {
                    $(
                        #[test]
                        fn $other() {
                            let fact = super::super::$fact;
                            crate::real_run::check(module_path!(), stringify!($other), fact);
                        }
                    )+
                }
            )?
        }
    };
}
pub(crate) use on;

/// Holds a fact against an agent, unless it is not installed.
pub(crate) fn check(fact: &str, way: &str, holds: fn(&Stage)) {
    let test = format!("{fact}::{way}");
    real::again_if_it_fails(&test, || {
        if let Some(stage) = Stage::enter(Way::named(way), &test) {
            holds(&stage);
        }
    });
}

/// The model of the agents that speak Chat Completions; it costs 2, 8 and 0.5 dollars a million tokens.
const LAB_MODEL: &str = "lab/mock-model";

/// The model of Gemini CLI, whose price is in the list.
const GEMINI_MODEL: &str = "gemini-2.5-pro";

/// An installed agent and a home of its own.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) way: Way,
    pub(crate) program: RealAgent,
    pub(crate) sandbox: Sandbox,
    pub(crate) policy: CodexPolicy,
    /// The agent is spoken with over ACP, by this command.
    pub(crate) acp: Option<Acp>,
}

impl Stage {
    pub(crate) fn enter(way: Way, test: &str) -> Option<Self> {
        let program = if way.is_claude() {
            skip_unless_installed(real::claude(), "claude", test)?
        } else if way.is_codex() {
            skip_unless_installed(real::codex(), "codex", test)?
        } else if way.is_pi() {
            skip_unless_installed(real::pi(), "pi", test)?
        } else if way == Way::Gemini {
            skip_unless_installed(real::gemini(), "gemini", test)?
        } else if way == Way::Qwen {
            skip_unless_installed(real::qwen(), "qwen", test)?
        } else if way == Way::Copilot {
            skip_unless_installed(real::copilot(), "copilot", test)?
        } else {
            skip_unless_installed(real::opencode(), "opencode", test)?
        };
        let sandbox = Sandbox::new().unwrap();
        Some(Self { way, program, sandbox, policy: CodexPolicy::FULL_ACCESS, acp: None })
    }

    /// The same place with another `config.toml` for Codex.
    pub(crate) fn with_policy(&self, approval: &'static str, sandbox: &'static str) -> Self {
        let policy = CodexPolicy { approval, sandbox };
        let (program, home) = (self.program.clone(), Sandbox::new().unwrap());
        Self { way: self.way, program, sandbox: home, policy, acp: self.acp.clone() }
    }

    pub(crate) fn agent(&self) -> Arc<dyn Agent> {
        if let Some(agent) = &self.acp {
            return Arc::new(agent.clone());
        }
        match self.way {
            Way::Claude | Way::ClaudePrint => Arc::new(Claude::new().model(CLAUDE_MODEL)),
            Way::Codex | Way::CodexExec => Arc::new(Codex::new()),
            Way::OpenCode | Way::OpenCodeRun => Arc::new(OpenCode::new().model(LAB_MODEL)),
            Way::Pi | Way::PiPrint => Arc::new(Pi::new().model(LAB_MODEL)),
            Way::Gemini => Arc::new(Acp::gemini().model(GEMINI_MODEL)),
            Way::Qwen => Arc::new(Acp::qwen().model("mock-model")),
            Way::Copilot => Arc::new(Copilot::new().model("gpt-5.5")),
        }
    }

    pub(crate) fn vars(&self, server: &ModelServer) -> Vec<(OsString, OsString)> {
        let vars = match self.way {
            Way::Claude | Way::ClaudePrint => self.sandbox.env_for_claude(server),
            Way::Codex | Way::CodexExec => self.sandbox.env_for_codex(server, self.policy).unwrap(),
            Way::OpenCode | Way::OpenCodeRun => self.opencode_vars(server),
            Way::Pi | Way::PiPrint => self.sandbox.env_for_pi(server).unwrap(),
            Way::Gemini => self.sandbox.env_for_gemini(server).unwrap(),
            Way::Qwen => self.sandbox.env_for_qwen(server).unwrap(),
            Way::Copilot => self.sandbox.env_for_copilot(server),
        };
        vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// Where Codex would ask, OpenCode asks for its shell.
    fn opencode_vars(&self, server: &ModelServer) -> Vec<(String, String)> {
        let mut vars = self.sandbox.env_for_opencode(server).unwrap();
        if self.policy.approval == "on-request" {
            let asks = r#"{"bash":"ask"}"#;
            vars.push(("OPENCODE_PERMISSION".to_owned(), asks.to_owned()));
        }
        vars
    }

    /// A client for the agent, with a journal.
    pub(crate) fn client(&self, server: &ModelServer) -> Client {
        self.client_with(self.vars(server))
    }

    pub(crate) fn client_with(&self, vars: Vec<(OsString, OsString)>) -> Client {
        let client = Client::of(self.agent())
            .policy(Policy::single())
            .program(&self.program.program)
            .supervisor(belay_testkit::fake_agent::supervisor())
            .environment(Environment::new(vars))
            .state_dir(self.state_dir());
        // The richer way is what a client tries first; only the other has to be asked for.
        match self.way.transport() {
            _ if self.acp.is_some() => client,
            Transport::Dialogue => client,
            transport => client.transport(transport),
        }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.sandbox.home().join("belay-state")
    }

    pub(crate) fn project(&self) -> &Path {
        self.sandbox.project()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.project().join(name)
    }

    /// What the model's tool for writing a file is given as its path.
    pub(crate) fn path_for_model(&self, name: &str) -> String {
        match self.way.is_codex() {
            true => name.to_owned(),
            false => self.file(name).to_string_lossy().into_owned(),
        }
    }

    /// Runs the request to its end.
    pub(crate) fn play(&self, script: Script, request: impl Into<RunRequest>) -> Played {
        self.play_with(script, request, |_, _| {})
    }

    /// Runs the request to its end; `watch` sees each record and may speak to the run.
    pub(crate) fn play_with(
        &self,
        script: Script,
        request: impl Into<RunRequest>,
        watch: impl FnMut(&Record, &Run),
    ) -> Played {
        let server = ModelServer::start(script).unwrap();
        let client = self.client(&server);
        self.play_on(&server, &client, request, watch)
    }

    /// Runs the request with a client of the caller's own making.
    pub(crate) fn play_on(
        &self,
        server: &ModelServer,
        client: &Client,
        request: impl Into<RunRequest>,
        mut watch: impl FnMut(&Record, &Run),
    ) -> Played {
        let mut request = request.into();
        request.cwd.get_or_insert_with(|| self.project().to_owned());
        let (id, records, outcome) = block_on(async {
            let mut run = client.start(request.clone());
            let mut records = Vec::new();
            while let Some(record) = run.next().await {
                watch(&record, &run);
                records.push(record);
            }
            (run.id().to_owned(), records, run.outcome().await)
        });
        self.over(server, &request, &id, records, outcome)
    }

    /// Checks a run that is over.
    pub(crate) fn over(
        &self,
        server: &ModelServer,
        request: &RunRequest,
        id: &str,
        records: Vec<Record>,
        outcome: Result<Outcome, Error>,
    ) -> Played {
        let folder = self.state_dir().join("runs").join(id);
        let (requests, exhausted) = (server.requests(), server.exhausted());
        let played = Played { records, outcome, requests, exhausted, folder };
        played.keeps_the_promises();
        played.replays(&*self.agent(), request);
        assert_eq!(self.processes_left(), [] as [String; 0], "{played:#?}");
        played
    }

    /// Waits until so many responses stand in the agent's own account of its session.
    pub(crate) fn wait_for_accounts(&self, responses: usize) {
        let (folder, word) = match self.way {
            Way::Copilot => (".copilot/session-state", "session.usage_record"),
            _ if self.way.is_codex() => (".codex/sessions", "token_usage_record"),
            _ => (".claude/projects", r#""output_tokens":"#),
        };
        self.wait_for_lines(folder, word, responses);
    }

    /// Waits until so many lines of the files below a folder have this word.
    pub(crate) fn wait_for_lines(&self, folder: &str, word: &str, lines: usize) {
        let since = Instant::now();
        while lines_below(&self.sandbox.home().join(folder), word) < lines {
            assert!(since.elapsed() < Duration::from_secs(10), "the agent writes nothing down");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The command lines of processes that live in this home, after some patience.
    pub(crate) fn processes_left(&self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(3);
        loop {
            let left: Vec<_> = self.processes().into_iter().map(|(_, line)| line).collect();
            if left.is_empty() || Instant::now() > deadline {
                return left;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The processes that have this home in their environment, with their command lines.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        processes_of(self.sandbox.home())
    }
}

/// How many lines of the files below a folder have this word.
fn lines_below(folder: &Path, word: &str) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let lines = entries.map(|entry| match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
        true => lines_below(&entry.path(), word),
        false => {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            text.lines().filter(|line| line.contains(word)).count()
        }
    });
    lines.sum()
}

/// The processes that have this home in their environment, with their command lines.
pub(crate) fn processes_of(home: &Path) -> Vec<(u32, String)> {
    let home = format!("HOME={}", home.display());
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = folders.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let ours = pids.filter(|pid| environ(*pid).contains(&home));
    ours.map(|pid| (pid, command_line(pid))).collect()
}

/// The environment of a process; empty when it is gone.
pub(crate) fn environ(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes.split(|b| *b == 0).map(|var| String::from_utf8_lossy(var).into_owned()).collect()
}

fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Drives a run on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(RUN_MAX, future).await.expect("the run hangs") })
}

/// A run that is over.
pub(crate) struct Played {
    pub(crate) records: Vec<Record>,
    pub(crate) outcome: Result<Outcome, Error>,
    pub(crate) requests: Vec<Request>,
    pub(crate) exhausted: Vec<String>,
    /// The run's journal.
    pub(crate) folder: PathBuf,
}

/// A failing test shows the run as it stands in its journal, one event a line, and what ended it last. Cut: of a tool
/// that prints megabytes a log of CI would keep nothing else, not even the name of the test.
impl fmt::Debug for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        writeln!(f, "{} requests; {}", self.requests.len(), self.folder.display())?;
        let later = self.records.len().saturating_sub(SHOWN);
        if later > 0 {
            writeln!(f, "the last {SHOWN} of {} events:", self.records.len())?;
        }
        for record in &self.records[later..] {
            writeln!(f, "{:.400}", serde_json::to_string(record).unwrap())?;
        }
        match &self.outcome {
            Ok(outcome) => writeln!(f, "answered {:.400}", outcome.text),
            Err(error) => writeln!(f, "failed: {error:.400}"),
        }
    }
}

impl Played {
    /// The outcome of a run that answered so, with a script that was long enough.
    #[track_caller]
    pub(crate) fn answered(&self, answer: &str) -> &Outcome {
        let outcome = self.outcome.as_ref().unwrap_or_else(|error| panic!("{error}: {self:#?}"));
        assert!(outcome.text == answer, "not {answer:.400}: {self:#?}");
        assert_eq!(self.exhausted, [] as [&str; 0], "{self:#?}");
        outcome
    }

    /// The error of a run that failed so.
    #[track_caller]
    pub(crate) fn failed(&self, kind: FailureKind) -> &Error {
        let error = self.outcome.as_ref().expect_err("the run has answered");
        assert_eq!(error.kind(), kind, "{self:#?}");
        error
    }

    /// What there is whether or not the run answered.
    pub(crate) fn outcome(&self) -> &Outcome {
        self.outcome.as_ref().unwrap_or_else(|error| error.outcome())
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.records.iter().map(|record| &record.event)
    }

    pub(crate) fn of_type(&self, name: &str) -> Vec<&Record> {
        self.records.iter().filter(|record| record.event.type_name() == name).collect()
    }

    /// Lines that belay did not understand, but for one that the agent's own exit has cut: Qwen goes while it still
    /// prints the half of a megabyte of its commands.
    fn not_understood(&self) -> Vec<&Record> {
        let told = self.of_type("attempt_result").first().map(|record| record.seq);
        let is_cut = |record: &Record| match &record.event {
            Event::Unknown(unknown) => {
                told.is_some_and(|told| record.seq > told)
                    && serde_json::from_str::<Value>(&unknown.line).is_err()
            }
            _ => false,
        };
        let mut unknown = self.of_type("unknown");
        unknown.pop_if(|last| is_cut(last));
        unknown
    }

    /// The text events of the main thread.
    pub(crate) fn texts(&self) -> Vec<&Text> {
        let main = self.records.iter().filter(|record| record.parent_tool_id.is_none());
        main.filter_map(
            |record| if let Event::Text(text) = &record.event { Some(text) } else { None },
        )
        .collect()
    }

    /// What a reader of the text events has in front of them.
    pub(crate) fn said(&self) -> String {
        self.texts().iter().map(|text| text.text.as_str()).collect()
    }

    pub(crate) fn reasoning(&self) -> String {
        self.events()
            .filter_map(
                |e| if let Event::Reasoning(r) = e { Some(r.reasoning.as_str()) } else { None },
            )
            .collect()
    }

    pub(crate) fn calls(&self) -> Vec<&ToolCall> {
        self.events()
            .filter_map(|e| if let Event::ToolCall(c) = e { Some(c) } else { None })
            .collect()
    }

    #[track_caller]
    pub(crate) fn result_of(&self, id: Option<&ToolId>) -> &ToolResult {
        let results = self.events().filter_map(|e| match e {
            Event::ToolResult(result) if result.tool_id.as_ref() == id => Some(result),
            _ => None,
        });
        let results: Vec<_> = results.collect();
        assert_eq!(results.len(), 1, "a call has one result: {self:#?}");
        results[0]
    }

    /// The code and the words of the notices.
    pub(crate) fn notices(&self) -> Vec<(&str, &str)> {
        self.events()
            .filter_map(|e| match e {
                Event::Notice(n) => Some((n.code.as_deref().unwrap_or(""), n.text.as_str())),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn result(&self) -> &RunResult {
        match self.records.last().map(|record| &record.event) {
            Some(Event::Result(result)) => result,
            _ => panic!("the run does not end with its result: {self:#?}"),
        }
    }

    pub(crate) fn attempt_ended(&self) -> &AttemptEnded {
        let ended = self.events().filter_map(|e| match e {
            Event::AttemptEnded(ended) => Some(ended),
            _ => None,
        });
        ended.last().expect("an attempt has an end")
    }

    /// The agent's own lines, from the journal of the first attempt.
    pub(crate) fn agent_lines(&self) -> Vec<Value> {
        let log = fs::read(self.folder.join(input_file(1))).unwrap();
        let stdout = Frames::new(&log).filter(|frame| frame.kind == InputKind::Stdout);
        stdout.filter_map(|frame| serde_json::from_slice(frame.bytes).ok()).collect()
    }

    /// What Claude itself says that its turns have cost.
    #[track_caller]
    pub(crate) fn claude_cost(&self) -> f64 {
        let lines = self.agent_lines();
        let results = lines.iter().filter(|line| line["type"] == "result");
        let models = results.flat_map(|result| {
            result["model_usage_since_last_result"].as_object().unwrap().values()
        });
        models.map(|model| model["costUSD"].as_f64().unwrap()).sum()
    }

    /// The tokens are `n` replies of [`TOKENS`], and the cost is whose it should be.
    #[track_caller]
    pub(crate) fn used(&self, way: Way, n: u64) {
        let tokens = TOKENS;
        self.used_tokens(way, &times(tokens, n));
    }

    #[track_caller]
    pub(crate) fn used_tokens(&self, way: Way, tokens: &Tokens) {
        let usage = &self.outcome().usage;
        // These providers know no writing to a cache: such tokens are input.
        let tokens = &match way.is_opencode() || way.is_acp() {
            true => Tokens { input: tokens.input + tokens.cache_write, cache_write: 0, ..*tokens },
            false => *tokens,
        };
        assert_eq!(
            counted(usage),
            Some((tokens.input, tokens.output, tokens.cache_read, tokens.cache_write)),
            "{self:#?}"
        );
        if way.is_claude() {
            assert_eq!(usage.cost_source, CostSource::Reported);
            let (cost, reported) = (usage.total_cost_usd.unwrap(), self.claude_cost());
            assert!((cost - reported).abs() < 1e-9 && cost > 0.0, "{cost} is not {reported}");
        } else if way.is_opencode() || way.is_pi() {
            assert_eq!(usage.cost_source, CostSource::Reported);
            let (input, output) = (tokens.input as f64, tokens.output as f64);
            let want = (input * 2.0 + output * 8.0 + tokens.cache_read as f64 * 0.5) / 1e6;
            assert!((usage.total_cost_usd.unwrap() - want).abs() < 1e-9, "{usage:?}");
        } else if way == Way::Gemini {
            let source = if usage.partial { CostSource::Partial } else { CostSource::Priced };
            assert_eq!(usage.cost_source, source, "{usage:?}");
            assert!(usage.total_cost_usd.unwrap() > 0.0);
        } else if way == Way::Qwen {
            // Nobody knows what this model costs.
            assert_eq!((usage.total_cost_usd, usage.cost_source), (None, CostSource::Unknown));
        } else {
            // Codex and Copilot report none; `gpt-5.5` costs 5, 30 and 0.5 dollars, and writing to the cache what input does.
            let input = (tokens.input + tokens.cache_write) as f64;
            let (output, cached) = (tokens.output as f64, tokens.cache_read as f64);
            let want = (input * 5.0 + output * 30.0 + cached * 0.5) / 1e6;
            let cost = usage.total_cost_usd.unwrap_or_else(|| panic!("no cost: {self:#?}"));
            assert!((cost - want).abs() < 1e-9, "{cost} is not {want}: {self:#?}");
            let source = if usage.partial { CostSource::Partial } else { CostSource::Priced };
            assert_eq!(usage.cost_source, source);
            assert_eq!(usage.models["gpt-5.5"].cost_source, Some(source));
        }
    }

    /// What holds for every run.
    fn keeps_the_promises(&self) {
        let seqs: Vec<_> = self.records.iter().map(|record| record.seq).collect();
        let gapless: Vec<_> = (0..self.records.len() as u64).collect();
        assert_eq!(seqs, gapless);
        assert_eq!(self.records[0].event.type_name(), "run_started");
        assert_eq!(self.of_type("result").len(), 1, "{self:#?}");
        assert_eq!(self.not_understood(), [] as [&Record; 0], "{self:#?}");
        // A healthy agent says all of its turn before it ends it, and nothing of another one.
        if self.outcome.is_ok() {
            let strange = ["late", "another_turn"].map(Some);
            let late = self.of_type("notice").into_iter().filter(|record| match &record.event {
                Event::Notice(notice) => strange.contains(&notice.code.as_deref()),
                _ => false,
            });
            let words: Vec<_> = late.collect();
            assert_eq!(words, [] as [&Record; 0], "{self:#?}");
        }
        let stamps: Vec<_> = self.records.iter().map(|record| record.ts).collect();
        assert!(stamps.is_sorted(), "time runs backwards: {self:#?}");

        let (result, outcome) = (self.result(), self.outcome());
        assert_eq!(result.is_error, self.outcome.is_err());
        assert_eq!(result.failure.as_ref(), self.outcome.as_ref().err().map(Error::failure));
        assert_eq!(result.result, outcome.text);
        assert_eq!(result.usage, outcome.usage);
        assert_eq!(result.session_id, outcome.session_id);
        assert_eq!(result.denials, outcome.denials);
        assert_eq!(outcome.observer_errors, [] as [&str; 0]);

        let events = fs::read_to_string(self.folder.join(EVENTS_FILE)).unwrap();
        let read = |line: &str| {
            let mut record = Record::from_line(line.as_bytes()).unwrap();
            record.restore(&self.folder);
            record
        };
        let journal: Vec<Record> = events.lines().map(read).collect();
        assert_eq!(journal, self.records);
    }

    /// The journal's inputs, fed to a fresh driver, give the very events that the run had.
    fn replays(&self, agent: &dyn Agent, request: &RunRequest) {
        for started in self.of_type("attempt_started") {
            let Event::AttemptStarted(attempt) = &started.event else { unreachable!() };
            let transport = attempt.transport.parse().unwrap();
            let log = fs::read(self.folder.join(input_file(started.attempt))).unwrap();
            // An attempt may have a request of its own.
            let own = fs::read(self.folder.join(attempt_request_file(started.attempt))).ok();
            let own = own.map(|text| serde_json::from_slice::<RunRequest>(&text).unwrap());
            let replay = Replay::of(agent, own.as_ref().unwrap_or(request), transport, &log);
            assert_eq!(replay.unreadable, 0, "the log of inputs is whole");
            let inputs: Vec<_> = Frames::new(&log).map(|frame| frame.bytes).collect();
            let mine = |record: &&Record| record.attempt == started.attempt && record.raw.is_some();
            let recorded: Vec<_> = self.records.iter().filter(mine).collect();
            let envelope = |r: &&Record| (r.event.clone().of_driver(), r.parent_tool_id.clone());
            let recorded_events: Vec<_> = recorded.iter().map(envelope).collect();
            let envelope = |(_, e): &(usize, Emitted)| (e.event.clone(), e.parent_tool_id.clone());
            assert_eq!(replay.events.iter().map(envelope).collect::<Vec<_>>(), recorded_events);
            for (record, (number, _)) in recorded.iter().zip(&replay.events) {
                let bytes = inputs[*number];
                let raw = record.raw.unwrap();
                let (from, len) = (raw.offset as usize, raw.len as usize);
                assert_eq!(&log[from..from + len], bytes, "the raw reference of {record:?}");
            }
        }
    }
}

pub(crate) fn times(tokens: Tokens, n: u64) -> Tokens {
    Tokens {
        input: tokens.input * n,
        output: tokens.output * n,
        cache_read: tokens.cache_read * n,
        cache_write: tokens.cache_write * n,
        reasoning: tokens.reasoning * n,
    }
}

/// Input, output, cache read, cache write; `None` when one is not known.
pub(crate) fn counted(usage: &Usage) -> Option<(u64, u64, u64, u64)> {
    Some((
        usage.input_tokens?,
        usage.output_tokens?,
        usage.cache_read_input_tokens?,
        usage.cache_creation_input_tokens?,
    ))
}
