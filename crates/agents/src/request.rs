//! What a caller asks of an agent.

use crate::{IdleLimits, Image, McpServer, Unsupported};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// A prompt and its options; the same for every agent.
///
/// What an agent can honour neither natively nor through belay is an [`Unsupported`](crate::Unsupported)
/// before anything starts, or with [`lenient`](Self::lenient) a notice.
///
/// ```
/// use belay_agents::{Effort, RunRequest};
///
/// let request = RunRequest::new("Reverse a string in Rust.").model("opus").effort(Effort::High).max_turns(3);
/// assert_eq!(request.max_turns, Some(3));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RunRequest {
    /// The prompt; it goes to the agent by standard input, never on the command line.
    pub prompt: String,
    /// Images that go with the prompt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// The model, in the agent's own naming.
    pub model: Option<String>,
    /// Replaces the agent's system prompt.
    pub system_prompt: Option<String>,
    /// Is added to the agent's system prompt.
    pub append_system_prompt: Option<String>,
    /// Stops after this many model responses.
    pub max_turns: Option<u32>,
    /// Stops the run when it has cost this much, in US dollars, all attempts together; kept by belay for every
    /// agent whose cost is known while it works.
    pub max_cost_usd: Option<f64>,
    /// How often the agent itself may try a request to its model again before the attempt is a failure; the
    /// agent's own default if not given. Kept by belay where the agent has no such option but tells its retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_retries: Option<u32>,
    /// Limits each model response, in tokens.
    pub max_output_tokens: Option<u32>,
    /// Stops the run when it has taken this long; kept by belay for every agent.
    pub timeout: Option<Duration>,
    /// Stops the run when the agent makes no progress for so long; kept by belay for every agent.
    pub idle: IdleLimits,
    /// What to do when the agent's turn is over and background tasks of it are still open.
    #[serde(skip_serializing_if = "Background::is_wait")]
    pub background: Background,
    /// Lets what the agent has started and left running go on after the run, instead of ending it.
    pub leave_running: bool,
    /// Tools that need no permission, in the agent's own rule language.
    pub allowed_tools: Vec<String>,
    /// Tools that the model is not offered, in the agent's own rule language.
    pub disallowed_tools: Vec<String>,
    /// Servers of further tools, by name; a tool of theirs is called `mcp__server__tool` on every agent. What
    /// [`permissions`](Self::permissions) allow is allowed to them too, but nothing with
    /// [`ReadOnly`](Permissions::ReadOnly), since nobody knows what they do.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mcp_servers: BTreeMap<String, McpServer>,
    /// The agent's working directory; must exist.
    #[serde(with = "belay_trace::stored_path::option")]
    pub cwd: Option<PathBuf>,
    /// Folders beside the working directory in which the agent may do what [`permissions`](Self::permissions) let it
    /// do there; each must exist. A relative one is below the working directory.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "belay_trace::stored_path::list")]
    pub add_dirs: Vec<PathBuf>,
    /// How hard the model thinks.
    pub effort: Option<Effort>,
    /// The shape of the answer, as a JSON Schema: the value is in the result's `structured`, and an answer of
    /// another shape is a failure. An agent that knows no schemas is told in the prompt; belay looks at the answer
    /// of each, and lets the model mend a wrong one once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Which session the run goes on in; a new one by default.
    pub session: Session,
    /// What to do when another run uses that session. No part of a stored request: it is asked for each time.
    #[serde(skip)]
    pub when_in_use: WhenInUse,
    /// What the agent may do; its own default if not given.
    pub permissions: Option<Permissions>,
    /// The agent's own mode, by its id; it must permit no more than [`permissions`](Self::permissions), where what it
    /// permits is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_mode: Option<String>,
    /// Further arguments for the agent, as they are.
    pub extra_args: Vec<String>,
    /// The trace that the run belongs to.
    pub trace_id: Option<String>,
    /// The phase of the trace that begins with this run.
    pub phase: Option<String>,
    /// Turns an option that the agent lacks into a notice instead of an error.
    pub lenient: bool,
}

/// An agent that compares paths letter by letter knows no `..`.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// Which session a run goes on in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Session {
    /// A new one.
    #[default]
    New,
    /// The one with this id.
    Resume(String),
    /// The latest one in the working directory.
    Continue,
    /// A copy of the one with this id, which itself stays as it is.
    Fork(String),
}

/// What becomes of background tasks (subagents and commands) that are open when the agent's turn is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Background {
    /// The run waits for them, and for the turns in which the agent reports them; the last one is the answer.
    #[default]
    Wait,
    /// They are ended and named in a warning; the answer stands as it is.
    Stop,
}

impl Background {
    fn is_wait(&self) -> bool {
        *self == Self::Wait
    }
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "wait",
            Self::Stop => "stop",
        })
    }
}

/// A text that says neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write wait or stop")]
pub struct BackgroundParseError;

impl FromStr for Background {
    type Err = BackgroundParseError;

    fn from_str(text: &str) -> Result<Self, BackgroundParseError> {
        match text {
            "wait" => Ok(Self::Wait),
            "stop" => Ok(Self::Stop),
            _ => Err(BackgroundParseError),
        }
    }
}

/// What a run does that would resume a session which another run uses. Two agents in one session overwrite each
/// other's turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenInUse {
    /// It fails with [`FailureKind::SessionInUse`](belay_trace::FailureKind::SessionInUse), before anything is
    /// started.
    #[default]
    Refuse,
    /// It waits until the session is free, in the order of those who wait.
    Queue,
    /// It resumes the session all the same.
    Force,
}

/// How hard the model thinks; an agent without the very level is asked for its nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effort {
    /// Least.
    Low,
    /// Middle.
    Medium,
    /// Much.
    High,
    /// The most that the agent has.
    Max,
}

impl Effort {
    /// The levels, least first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Max];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Max => "max",
        }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Effort {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|effort| effort.name() == name);
        found.ok_or_else(|| format!("`{name}` is no effort: use low, medium, high or max"))
    }
}

/// What an agent may do without being asked further; the strictest mode is the least.
///
/// A permission that the agent asks for beyond this is denied at once, with an event, unless the caller
/// answers permission requests itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Permissions {
    /// Look, and change nothing.
    ReadOnly,
    /// Ask before anything but looking. Without a handler for permissions everything that is asked for is denied.
    Ask,
    /// Change files in the working directory.
    Edit,
    /// Anything, unasked. Only for machines that may be lost.
    Full,
}

impl Permissions {
    /// The modes, strictest first.
    pub const ALL: [Self; 4] = [Self::ReadOnly, Self::Ask, Self::Edit, Self::Full];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Ask => "ask",
            Self::Edit => "edit",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Permissions {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|permissions| permissions.name() == name);
        found.ok_or_else(|| {
            format!("`{name}` is no permission mode: use read-only, ask, edit or full")
        })
    }
}

impl RunRequest {
    /// A request with the agent's own defaults.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), ..Self::default() }
    }

    /// Adds an image to the prompt: the file at this path, or an [`Image`] that has its content already.
    #[must_use]
    pub fn image(mut self, image: impl Into<Image>) -> Self {
        self.images.push(image.into());
        self
    }

    /// Sets the model.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Replaces the agent's system prompt.
    #[must_use]
    pub fn system_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.system_prompt = Some(prompt.into());
        self
    }

    /// Adds to the agent's system prompt.
    #[must_use]
    pub fn append_system_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.append_system_prompt = Some(prompt.into());
        self
    }

    /// Stops after `turns` model responses.
    #[must_use]
    pub fn max_turns(mut self, turns: u32) -> Self {
        self.max_turns = Some(turns);
        self
    }

    /// Limits how often the agent itself tries a request to its model again.
    #[must_use]
    pub fn agent_retries(mut self, retries: u32) -> Self {
        self.agent_retries = Some(retries);
        self
    }

    /// Stops the run when it has cost this many US dollars.
    #[must_use]
    pub fn max_cost_usd(mut self, usd: f64) -> Self {
        self.max_cost_usd = Some(usd);
        self
    }

    /// Limits each model response to `tokens`.
    #[must_use]
    pub fn max_output_tokens(mut self, tokens: u32) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// Stops the run when it has taken this long.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the limits on silence.
    #[must_use]
    pub fn idle(mut self, idle: IdleLimits) -> Self {
        self.idle = idle;
        self
    }

    /// Waits for background tasks, or ends them.
    #[must_use]
    pub fn background(mut self, background: Background) -> Self {
        self.background = background;
        self
    }

    /// Lets what the agent leaves running go on.
    #[must_use]
    pub fn leave_running(mut self, leave: bool) -> Self {
        self.leave_running = leave;
        self
    }

    /// Adds tools that need no permission.
    #[must_use]
    pub fn allowed_tools<T: Into<String>>(mut self, tools: impl IntoIterator<Item = T>) -> Self {
        self.allowed_tools.extend(tools.into_iter().map(Into::into));
        self
    }

    /// Adds tools that the model is not offered.
    #[must_use]
    pub fn disallowed_tools<T: Into<String>>(mut self, tools: impl IntoIterator<Item = T>) -> Self {
        self.disallowed_tools.extend(tools.into_iter().map(Into::into));
        self
    }

    /// Adds a server of further tools, or replaces the one with this name.
    #[must_use]
    pub fn mcp_server(mut self, name: impl Into<String>, server: McpServer) -> Self {
        self.mcp_servers.insert(name.into(), server);
        self
    }

    /// Sets the agent's working directory.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    /// Sets the agent's own mode, by its id.
    #[must_use]
    pub fn agent_mode(mut self, id: impl Into<String>) -> Self {
        self.agent_mode = Some(id.into());
        self
    }

    /// Adds a folder in which the agent may work beside its working directory.
    #[must_use]
    pub fn add_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.add_dirs.push(folder.into());
        self
    }

    /// Sets how hard the model thinks.
    #[must_use]
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = Some(effort);
        self
    }

    /// Sets the shape of the answer.
    #[must_use]
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output_schema = Some(schema);
        self
    }

    /// Goes on in the session with this id.
    #[must_use]
    pub fn resume(mut self, session_id: impl Into<String>) -> Self {
        self.session = Session::Resume(session_id.into());
        self
    }

    /// Goes on in the latest session of the working directory.
    #[must_use]
    pub fn continue_latest(mut self) -> Self {
        self.session = Session::Continue;
        self
    }

    /// Goes on in a copy of the session with this id.
    #[must_use]
    pub fn fork(mut self, session_id: impl Into<String>) -> Self {
        self.session = Session::Fork(session_id.into());
        self
    }

    /// Sets what to do when another run uses the session.
    #[must_use]
    pub fn when_in_use(mut self, when: WhenInUse) -> Self {
        self.when_in_use = when;
        self
    }

    /// Sets what the agent may do.
    #[must_use]
    pub fn permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = Some(permissions);
        self
    }

    /// Adds arguments for the agent, as they are.
    #[must_use]
    pub fn extra_args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.extra_args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets the trace that the run belongs to.
    #[must_use]
    pub fn trace_id(mut self, id: impl Into<String>) -> Self {
        self.trace_id = Some(id.into());
        self
    }

    /// Begins a phase of the trace with this run.
    #[must_use]
    pub fn phase(mut self, name: impl Into<String>) -> Self {
        self.phase = Some(name.into());
        self
    }

    /// Turns an option that the agent lacks into a notice instead of an error.
    #[must_use]
    pub fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }
}

impl RunRequest {
    /// The schema of the answer, if an agent with an option for it takes it: only objects can be the input of a
    /// tool, which is what providers make of it.
    pub fn native_schema(&self) -> Option<&Value> {
        self.output_schema.as_ref().filter(|schema| schema["type"] == "object")
    }

    /// The added folders as absolute paths without `..`, as far as the working directory is known.
    pub fn added_folders(&self) -> impl Iterator<Item = PathBuf> {
        let absolute = |folder: &PathBuf| match &self.cwd {
            Some(cwd) => without_dots(&cwd.join(folder)),
            None => folder.clone(),
        };
        self.add_dirs.iter().map(absolute)
    }

    /// The added folders as arguments; `separators` are what the agent takes for more than a name.
    pub(crate) fn folder_arguments(
        &self,
        agent: &'static str,
        separators: &[char],
    ) -> Result<Vec<String>, Unsupported> {
        let unsupported = |hint| Unsupported { agent, option: "add_dirs", hint: Some(hint) };
        let argument = |folder: PathBuf| {
            let Ok(folder) = folder.into_os_string().into_string() else {
                return Err(unsupported("the path of an added folder has to be UTF-8"));
            };
            match folder.contains(separators) {
                true => Err(unsupported(
                    "it takes a comma or a pattern's *, ? and [ in the path of a folder for more than a name",
                )),
                false => Ok(folder),
            }
        };
        self.added_folders().map(argument).collect()
    }

    /// The prompt for an agent that has no option for a system prompt: that stands before the prompt.
    pub(crate) fn composed_prompt(&self) -> String {
        let parts = [&self.system_prompt, &self.append_system_prompt];
        let system = parts.into_iter().flatten().map(String::as_str);
        let prompt = Some(self.prompt.as_str()).filter(|prompt| !prompt.is_empty());
        system.chain(prompt).collect::<Vec<_>>().join("\n\n")
    }
}

impl From<&str> for RunRequest {
    fn from(prompt: &str) -> Self {
        Self::new(prompt)
    }
}

impl From<String> for RunRequest {
    fn from(prompt: String) -> Self {
        Self::new(prompt)
    }
}
