//! One kind of coding agent.

use crate::shell_escape;
use crate::{
    Account, AccountPart, Capabilities, Capability, EffectiveMode, Launch, Login, Protocol,
    Response, RunRequest, Session, SessionFiles, SessionNotes, SettingsLogin, Support, UserConfig,
};
use belay_trace::{Event, Failure, FailureKind, ToolCall};
use jiff::Timestamp;
use std::borrow::Cow;
use std::fmt;

/// When an agent tells of a tool that it uses: whether it is known what it has done when it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellsTools {
    /// Before the tool begins.
    #[default]
    AtOnce,
    /// When the tool is through: what was under way when the agent died is not known.
    Late,
    /// Perhaps never: one that has spoken may have worked as well, and its folder is looked at.
    Perhaps,
}

impl TellsTools {
    /// True if an agent that says this may be at work, although it has told of no tool.
    pub fn may_work_behind(self, event: &Event) -> bool {
        match self {
            Self::AtOnce => false,
            Self::Late => matches!(event, Event::TurnStarted(_)),
            Self::Perhaps => matches!(event, Event::Text(_) | Event::Reasoning(_)),
        }
    }
}

/// One kind of coding agent: how to start it and how to talk with it.
///
/// Implementations are plain data, shared by any number of concurrent runs: the state of a conversation lives
/// in the [`Protocol`] that they hand out. Three methods are required; a new agent is one file with them, one
/// line in the registry and one folder of recordings (`docs/adding-an-agent.md`).
pub trait Agent: fmt::Debug + Send + Sync {
    /// The stable, lower-case name: `claude-code`.
    fn name(&self) -> &'static str;

    /// What tells this agent from the others of a chain: candidates of one identity are one agent with other models.
    ///
    /// The name, with the command if it is any program's; or with what describes the agent elsewhere, which has a
    /// provider and a login of its own: `docker-agent:agent.yaml`. `model` is the one that the request asks for.
    fn identity(&self, _model: Option<&str>) -> Cow<'_, str> {
        match self.command() {
            Some(command) => Cow::Owned(format!("{}:{command}", self.name())),
            None => Cow::Borrowed(self.name()),
        }
    }

    /// The command that it starts, if that was chosen and not its name: of `acp:COMMAND` and `cmd:COMMAND`.
    fn command(&self) -> Option<&str> {
        None
    }

    /// How belay can talk with the agent, best first. The next one is tried when the agent's version lacks
    /// the one before.
    fn transports(&self) -> &'static [Transport];

    /// The model that a request is for which names none, if the caller has chosen one.
    fn model(&self) -> Option<&str> {
        None
    }

    /// Whose limits a run with this model meets: where the agent's login is, and what takes its place.
    ///
    /// Without it, all runs of the agent with the same environment count as one account.
    fn account(&self, _model: Option<&str>) -> Account {
        Account::default()
    }

    /// When the agent tells of a tool that it uses.
    fn tells_tools(&self, _transport: Transport) -> TellsTools {
        TellsTools::AtOnce
    }

    /// True if the agent says that a request to its model has failed and is made again. One that does not can be silent
    /// for as long as its provider tells it to wait.
    fn tells_retries(&self, _transport: Transport) -> bool {
        true
    }

    /// The arguments with which the agent's program checks what it is given to run, without asking a model; `None` if it
    /// has nothing to check.
    fn trial_args(&self) -> Option<Vec<String>> {
        None
    }

    /// Why such a check has failed, from what the program printed on its standard error.
    fn trial_failure(&self, stderr: &[u8]) -> Failure {
        let words = String::from_utf8_lossy(stderr).trim().to_owned();
        Failure::new(FailureKind::Unknown, words)
    }

    /// What the agent can honour.
    fn capabilities(&self, transport: Transport) -> Capabilities;

    /// What the agent may do in a run without [`RunRequest::permissions`], with these further arguments: by its own
    /// default, and by the user's configuration of it.
    fn effective_mode(&self, _config: &dyn UserConfig, _args: &[String]) -> EffectiveMode {
        EffectiveMode::unknown("an agent whose default belay does not know")
    }

    /// How to start the agent for `request`.
    ///
    /// # Errors
    /// [`Unsupported`] if it cannot serve the request, and the request is not lenient about it.
    fn launch(&self, request: &RunRequest, transport: Transport) -> Result<Launch, Unsupported>;

    /// A fresh conversation for one attempt.
    fn protocol(&self, request: &RunRequest, transport: Transport) -> Box<dyn Protocol>;

    /// Where the agent itself writes down what a session uses, for a turn whose stream did not tell it to the end;
    /// `None` if it does not, or in a form that belay cannot read.
    fn session_files(&self, _session_id: &str) -> Option<SessionFiles> {
        None
    }

    /// What the responses since `since` have used, from the lines of the session's files.
    fn read_session(
        &self,
        _since: Timestamp,
        _lines: &mut dyn Iterator<Item = &[u8]>,
    ) -> Vec<Response> {
        Vec::new()
    }

    /// What the lines of a session's file say since `since` beside its responses.
    fn session_notes(
        &self,
        _since: Timestamp,
        _lines: &mut dyn Iterator<Item = &[u8]>,
    ) -> SessionNotes {
        SessionNotes::default()
    }

    /// The lines of a session's file that tell of tool calls which the agent's stream does not show, as far as the
    /// lines themselves say so: those that a driver gets with [`Input::SilentCalls`](crate::Input::SilentCalls).
    fn silent_calls(&self, _since: Timestamp, _lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<u8> {
        Vec::new()
    }

    /// What the login file of the agent's [`account`](Self::account) says of its logins, without a secret; `None` if
    /// it is no such file, or the agent's files are not known.
    fn logins(&self, _file: &[u8]) -> Option<Vec<Login>> {
        None
    }

    /// The part of one of the account's files that says who pays and whether the login works; `None` if that is all of it.
    fn account_part(
        &self,
        _account: &Account,
        _file: &str,
        _content: &[u8],
    ) -> Option<AccountPart> {
        None
    }

    /// The file of the agent's settings, in the folder of its own files: a login may stand there as well.
    fn settings_file(&self) -> Option<&'static str> {
        None
    }

    /// What that file says of a login.
    fn settings_login(&self, _file: &[u8]) -> Option<SettingsLogin> {
        None
    }

    /// What to say to whoever goes on in a session of this agent; then no run does so unasked.
    fn resume_caution(&self) -> Option<&'static str> {
        None
    }

    /// What root has to say in the environment before the agent takes [`Permissions::Full`](crate::Permissions::Full)
    /// from it.
    fn full_needs(&self) -> Option<FullNeeds> {
        None
    }

    /// How a person logs in, and which versions were tried: what to say to somebody for whom it does not work.
    fn care(&self) -> Care {
        Care::default()
    }

    /// A short conversation in which the agent says what it is and can do, of one of which nothing else is known.
    #[cfg(feature = "acp")]
    fn inspection(&self) -> Option<crate::Inspection> {
        None
    }

    /// The same for a stream that somebody saved: it is fed as lines of standard output, and nobody answers.
    ///
    /// Only an agent that waits for answers before it listens has another one.
    fn reader(&self, request: &RunRequest, transport: Transport) -> Box<dyn Protocol> {
        self.protocol(request, transport)
    }

    /// The arguments of a tool call as harness prints them.
    fn harness_args(&self, call: &ToolCall) -> String {
        call.args.get().to_owned()
    }

    /// The name of a tool as harness prints it: the agent's own, from the one in belay's events.
    fn harness_tool<'a>(&self, name: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(name)
    }

    /// The one-shot command as one line for `sh -c`, with the prompt on standard input.
    ///
    /// # Errors
    /// [`Unsupported`] if the agent cannot serve the request.
    fn print_command(&self, request: &RunRequest) -> Result<String, Unsupported> {
        let launch = self.launch(request, Transport::Print)?;
        if launch.has_secrets() {
            let (option, hint) = match request.mcp_servers.is_empty() {
                true => ("output_schema", "it goes in by a file, which only a run can write"),
                false => ("mcp_servers", SECRET),
            };
            return Err(Unsupported { agent: self.name(), option, hint: Some(hint) });
        }
        Ok(format!("printf %s {} | {}", shell_escape(&launch.stdin), launch.to_shell()))
    }

    /// The argument list, program first, for a person at a terminal. The prompt is part of it: there is no
    /// other way to hand it to a terminal program.
    ///
    /// # Errors
    /// [`Unsupported`] if the agent cannot serve the request.
    fn interactive_args(&self, request: &RunRequest) -> Result<Vec<String>, Unsupported> {
        let launch = self.launch(request, Transport::Interactive)?;
        Ok(std::iter::once(launch.program).chain(launch.args).collect())
    }
}

const SECRET: &str =
    "a value that may be a secret must not stand on a command line; only a run can hand it over";

/// A variable with the value that it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FullNeeds {
    /// Its name.
    pub variable: &'static str,
    /// Its value.
    pub value: &'static str,
    /// The agent's words for the lack of it.
    pub refusal: &'static str,
}

/// What a person needs who takes care of an agent on a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Care {
    /// The command that installs it, where Node is new enough.
    pub install: &'static str,
    /// The oldest Node that its newest tried version runs on, if it runs on Node: major and minor version.
    pub node: Option<(u64, u64)>,
    /// How to log in.
    pub log_in: &'static str,
    /// The oldest and the newest version that belay was tried with.
    pub tried: Option<(&'static str, &'static str)>,
}

impl Care {
    /// The command that installs it, beside this Node or none. One that is too old is no hindrance: npm puts a newer one
    /// in front of it.
    pub fn install_line(&self, node: Option<(u64, u64)>) -> String {
        let needed = self.node.filter(|needed| node.is_none_or(|node| node < *needed));
        match (needed, self.install.strip_prefix("npm install -g ")) {
            (Some((major, _)), Some(package)) => format!("npm install -g node@{major} {package}"),
            _ => self.install.to_owned(),
        }
    }
}

#[cfg(feature = "acp")]
impl Care {
    /// Nothing is known.
    pub(crate) const NONE: Self = Self { install: "", node: None, log_in: "", tried: None };
}

/// How an agent is talked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Transport {
    /// One shot: the prompt in, one JSON object a line out, the end. Works from any shell.
    Print,
    /// The agent's richest protocol, both ways: what a run uses.
    Dialogue,
    /// A person at a terminal.
    Interactive,
}

impl Transport {
    /// The name in events and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Print => "print",
            Self::Dialogue => "dialogue",
            Self::Interactive => "interactive",
        }
    }
}

impl std::str::FromStr for Transport {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::Print, Self::Dialogue, Self::Interactive];
        let found = all.into_iter().find(|transport| transport.name() == name);
        found.ok_or_else(|| format!("there is no transport `{name}`"))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The agent cannot serve a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{agent} cannot honour {}", hint.map_or_else(|| (*option).to_owned(), |hint| format!("this {option}: {hint}")))]
pub struct Unsupported {
    /// The agent.
    pub agent: &'static str,
    /// The option, by its name in [`RunRequest`].
    pub option: &'static str,
    /// What to do instead.
    pub hint: Option<&'static str>,
}

/// Checks a request's options against what the agent can honour: the first that nobody honours is an error,
/// or all of them are collected if the request is lenient.
pub(crate) fn check_options(
    agent: &'static str,
    capabilities: Capabilities,
    request: &RunRequest,
) -> Result<Vec<&'static str>, Unsupported> {
    let asked = [
        (Capability::SystemPrompt, "system_prompt", request.system_prompt.is_some()),
        (
            Capability::AppendSystemPrompt,
            "append_system_prompt",
            request.append_system_prompt.is_some(),
        ),
        (Capability::MaxTurns, "max_turns", request.max_turns.is_some()),
        (Capability::MaxCost, "max_cost_usd", request.max_cost_usd.is_some()),
        (Capability::AgentRetries, "agent_retries", request.agent_retries.is_some()),
        (Capability::MaxOutputTokens, "max_output_tokens", request.max_output_tokens.is_some()),
        (Capability::AllowedTools, "allowed_tools", !request.allowed_tools.is_empty()),
        (Capability::DisallowedTools, "disallowed_tools", !request.disallowed_tools.is_empty()),
        (Capability::Effort, "effort", request.effort.is_some()),
        (Capability::OutputSchema, "output_schema", request.output_schema.is_some()),
        (Capability::Images, "images", !request.images.is_empty()),
        (Capability::McpServers, "mcp_servers", !request.mcp_servers.is_empty()),
        (Capability::AddDir, "add_dirs", !request.add_dirs.is_empty()),
        (Capability::AgentMode, "agent_mode", request.agent_mode.is_some()),
    ];
    // Where a session goes on is no matter of taste: a lenient request must not start a new one instead.
    let session = match request.session {
        Session::New => None,
        Session::Resume(_) => Some((Capability::Resume, "resume")),
        Session::Continue => Some((Capability::Continue, "continue")),
        Session::Fork(_) => Some((Capability::Fork, "fork")),
    };
    let unsupported = |option| Unsupported { agent, option, hint: None };
    if let Some((capability, option)) = session
        && capabilities.support(capability) == Support::No
    {
        return Err(unsupported(option));
    }
    let missing = asked
        .into_iter()
        .filter(|(capability, _, asked)| *asked && capabilities.support(*capability) == Support::No)
        .map(|(_, option, _)| option);
    if request.lenient {
        return Ok(missing.collect());
    }
    match missing.into_iter().next() {
        Some(option) => Err(unsupported(option)),
        None => Ok(Vec::new()),
    }
}

/// Checks a model name or session id, which becomes part of an argument.
///
/// # Errors
/// [`Unsupported`] if it holds anything but the characters that such names have.
pub(crate) fn check_name(
    agent: &'static str,
    option: &'static str,
    name: &str,
) -> Result<(), Unsupported> {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.:/@[]-".contains(&b);
    if first && name.len() <= NAME_BYTES_MAX && name.bytes().all(allowed) {
        return Ok(());
    }
    let hint = "a name has letters, digits and _ . : / @ [ ] -, and begins with a letter or digit";
    Err(Unsupported { agent, option, hint: Some(hint) })
}

/// No agent's model name or session id comes near this length.
const NAME_BYTES_MAX: usize = 200;
