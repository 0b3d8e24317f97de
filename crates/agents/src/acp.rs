//! Any agent that speaks the Agent Client Protocol (ACP): Gemini CLI, Qwen Code, Goose, and whatever
//! `-a 'acp:COMMAND ARGS'` names.
//!
//! The conversation is the same for all of them; where they differ is data, one [`Preset`](preset::Preset) each.
//! Facts and their source are in `docs/agents/acp.md`, `gemini.md` and `qwen.md`.

mod classify;
mod diff;
mod failures;
mod inspection;
mod meter;
mod mode_names;
mod options;
mod own;
mod preset;
mod printed;
mod rpc;
mod session_file;
mod silent;
mod talk;
mod tools;
mod turn;
mod witness;

pub use inspection::{Heard, Inspection, Learned, Readiness};

pub(crate) use failures::{ACP, GEMINI, GOOSE, QWEN};
pub(crate) use preset::{LOOSENS, SESSION_MARKS};

pub use own::{AcpForm, ModesForm, SessionLogForm, UsageForm, UsageOf};

use crate::agent::{check_name, check_options};
use crate::mcp;
use crate::witness::Witnessed;
use crate::{
    Account, AccountPart, Agent, Capabilities, Care, EffectiveMode, Launch, Permissions, Protocol,
    Response, RunRequest, Session, SessionFiles, StopPlan, TellsTools, Transport, Unsupported,
    UserConfig,
};
use jiff::Timestamp;
use preset::Preset;
use std::borrow::Cow;

/// An agent behind the Agent Client Protocol.
#[derive(Clone, Debug)]
pub struct Acp {
    preset: &'static Preset,
    /// The command, for an agent without a preset.
    command: Option<String>,
    model: Option<String>,
    name: Option<&'static str>,
}

impl Acp {
    /// The agent that this command starts; it is taken apart as a shell would, and no shell is run.
    ///
    /// ```
    /// use belay_agents::{Acp, Agent, RunRequest, Transport};
    ///
    /// let agent = Acp::command("my-agent --acp --profile 'for work'");
    /// let launch = agent.launch(&RunRequest::new("Hi."), Transport::Dialogue)?;
    /// assert_eq!(launch.args, ["--acp", "--profile", "for work"]);
    /// # Ok::<(), belay_agents::Unsupported>(())
    /// ```
    pub fn command(command: impl Into<String>) -> Self {
        Self::of(Some(command.into()))
    }

    /// Knows this of it, in place of what is known of the program.
    #[must_use]
    pub fn form(mut self, form: AcpForm) -> Self {
        self.preset = form.preset();
        self
    }

    /// Gives the agent of a command a name of its own, by which records and limits know it.
    #[must_use]
    pub fn called(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Gemini CLI.
    pub fn gemini() -> Self {
        Self::preset(&preset::GEMINI)
    }

    /// Qwen Code.
    pub fn qwen() -> Self {
        Self::preset(&preset::QWEN)
    }

    /// Goose. Nobody has tried it with belay yet.
    pub fn goose() -> Self {
        Self::preset(&preset::GOOSE)
    }

    /// Uses `model` unless a request names another.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    pub(crate) fn with(mut self, model: Option<String>) -> Self {
        self.model = model;
        self
    }

    /// What stands behind `acp:`. Some programs are known.
    pub(crate) fn of(command: Option<String>) -> Self {
        let words = command.as_deref().and_then(|command| shell_words::split(command).ok());
        let preset = preset::of_command(&words.unwrap_or_default());
        Self { preset, command, model: None, name: None }
    }

    fn preset(preset: &'static Preset) -> Self {
        Self { preset, command: None, model: None, name: None }
    }

    fn unsupported(&self, option: &'static str, hint: &'static str) -> Unsupported {
        Unsupported { agent: self.name(), option, hint: Some(hint) }
    }

    /// The program and its arguments.
    fn words(&self) -> Result<Vec<String>, Unsupported> {
        let Some(command) = &self.command else {
            let words = std::iter::once(&self.preset.program).chain(self.preset.args);
            return Ok(words.map(|word| (*word).to_owned()).collect());
        };
        let words = shell_words::split(command)
            .map_err(|_| self.unsupported("command", "a quote in it has no end"))?;
        match words.first() {
            Some(program) if !program.is_empty() => Ok(words),
            _ => Err(self.no_command()),
        }
    }

    fn no_command(&self) -> Unsupported {
        self.unsupported("command", "write it behind the colon, as in 'acp:my-agent --acp'")
    }

    fn interactive(&self, mut launch: Launch, request: &RunRequest) -> Result<Launch, Unsupported> {
        let prompt = request.composed_prompt();
        // How `belay agents` looks for the program: with nothing to say.
        let is_bare = prompt.is_empty() && self.command.is_none();
        match self.preset.prompt_flag.filter(|_| self.command.is_none()) {
            _ if is_bare => {}
            Some(flag) => launch.bind(flag, &prompt),
            None => {
                let hint = "belay does not know how to start it for a person; start it yourself";
                return Err(self.unsupported("interactive", hint));
            }
        }
        Ok(launch)
    }
}

impl Agent for Acp {
    fn inspection(&self) -> Option<Inspection> {
        self.command.is_some().then(Inspection::default)
    }

    /// A command is `acp` whatever its program is: what is known of a program may grow, and a name is in journals.
    fn name(&self) -> &'static str {
        match self.command {
            Some(_) => self.name.unwrap_or(preset::GENERIC.name),
            None => self.preset.name,
        }
    }

    /// Another command is another agent.
    fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    fn tells_tools(&self, _transport: Transport) -> TellsTools {
        match self.preset.own_words.may_be_failures {
            true => TellsTools::Perhaps,
            false => TellsTools::AtOnce,
        }
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Dialogue]
    }

    /// The protocol has no word for a request that is made again; an agent may have one of its own.
    fn tells_retries(&self, _transport: Transport) -> bool {
        self.preset.quirks.tells_retries
    }

    fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whose limits an unknown program meets is known only by its command.
    fn account(&self, _model: Option<&str>) -> Account {
        let login = self.preset.login;
        let account =
            Account::in_file(login.home_env, login.home, login.files).variables(login.variables);
        let (part, model_limits) = (self.command.clone(), self.preset.model_limits);
        Account { part, model_limits, clouds: login.clouds, ..account }
    }

    /// Adapters of another agent have its files.
    fn account_part(&self, _account: &Account, file: &str, content: &[u8]) -> Option<AccountPart> {
        match file {
            ".credentials.json" => AccountPart::of_json(content, |name| name == "claudeAiOauth"),
            "auth.json" => AccountPart::of_json(content, |name| name != "last_refresh"),
            // Qwen's: which login it uses, and its variables.
            "settings.json" => AccountPart::of_json(content, |name| {
                matches!(name, "security" | "env" | "selectedAuthType" | "modelProviders")
            }),
            _ => None,
        }
    }

    fn logins(&self, file: &[u8]) -> Option<Vec<crate::Login>> {
        crate::login::oauth(file)
    }

    fn resume_caution(&self) -> Option<&'static str> {
        self.preset.quirks.resume_caution
    }

    fn care(&self) -> Care {
        self.preset.care
    }

    fn capabilities(&self, _transport: Transport) -> Capabilities {
        self.preset.capabilities
    }

    fn effective_mode(&self, config: &dyn UserConfig, args: &[String]) -> EffectiveMode {
        let words = self.words().unwrap_or_default();
        let args: Vec<_> = words.into_iter().skip(1).chain(args.iter().cloned()).collect();
        self.preset.own_mode.effective(config, &args)
    }

    fn launch(&self, request: &RunRequest, transport: Transport) -> Result<Launch, Unsupported> {
        let preset = self.preset;
        let ignored = check_options(self.name(), preset.capabilities, request)?;
        let mut words = self.words()?.into_iter();
        let mut launch = Launch::new(&words.next().unwrap_or_default());
        launch.litter = preset.litter;
        launch.ignored = ignored;
        launch.env = preset.environment();
        // Measured over ACP: their own cancel ends a running command. Signals leave it running, for it lives in a
        // session of its own.
        launch.stop =
            StopPlan { native: true, sigint: false, sigterm: true, ..StopPlan::default() };
        let model = request.model.as_deref().or(self.model.as_deref());
        if let Some(model) = model {
            check_name(self.name(), "model", model)?;
        }
        if transport == Transport::Dialogue {
            launch.args.extend(words);
        }
        if let (Some(flag), Some(model)) = (preset.model_flag, model) {
            launch.bind(flag, model);
        }
        if let Some(flag) = preset.folder_flag {
            for folder in request.folder_arguments(self.name(), &[','])? {
                launch.bind(flag, &folder);
            }
        }
        if let Session::Resume(id) = &request.session {
            check_name(self.name(), "resume", id)?;
        }
        self.check_permissions(request)?;
        if request.permissions == Some(Permissions::ReadOnly) {
            preset.read_only_args.iter().for_each(|arg| launch.arg(*arg));
        }
        if let (Some(policy), Some(mode)) = (preset.policy, request.permissions)
            && let Some(text) = (policy.text)(mode)
        {
            launch.bind_private(policy.flag, policy.file, text, None);
        }
        mcp::check(self.name(), &request.mcp_servers, |_| false)?;
        if transport == Transport::Dialogue {
            launch.args.extend(preset.trust_for(request).map(str::to_owned));
        }
        launch.args.extend(request.extra_args.iter().cloned());
        match transport {
            Transport::Dialogue => Ok(launch),
            Transport::Interactive => {
                launch.env.quiet = &[];
                self.interactive(launch, request)
            }
            Transport::Print => {
                let hint =
                    "over ACP there is only the dialogue, which no single command line can hold";
                Err(self.unsupported("transport", hint))
            }
        }
    }

    fn protocol(&self, request: &RunRequest, _transport: Transport) -> Box<dyn Protocol> {
        let model = request.model.as_ref().or(self.model.as_ref()).cloned();
        let driver = Box::new(talk::Talk::new(self.preset, request, model, talk::Heard::Live));
        match self.preset.session_file {
            Some(file) => Box::new(Witnessed::new(driver, file.witness, self.name(), request)),
            None => driver,
        }
    }

    fn reader(&self, request: &RunRequest, transport: Transport) -> Box<dyn Protocol> {
        let printed = self.preset.printed.filter(|_| transport == Transport::Print);
        if let Some(printed) = printed {
            return printed.reader(self.preset.name, self.preset.failures);
        }
        Box::new(talk::Talk::new(self.preset, request, None, talk::Heard::Saved))
    }

    fn harness_tool<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let is_shell = self.preset.printed.is_some() && name == "Bash";
        Cow::Borrowed(if is_shell { "run_shell_command" } else { name })
    }

    fn silent_calls(&self, since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<u8> {
        let silent = self.preset.session_file.and_then(|file| file.witness.silent);
        silent.map(|silent| (silent.keep)(since, lines)).unwrap_or_default()
    }

    fn session_files(&self, session_id: &str) -> Option<SessionFiles> {
        match self.preset.session_log {
            Some(log) => log.files(session_id),
            None => (self.preset.session_file?.files)(session_id),
        }
    }

    fn read_session(
        &self,
        since: Timestamp,
        lines: &mut dyn Iterator<Item = &[u8]>,
    ) -> Vec<Response> {
        match (self.preset.session_log, self.preset.session_file) {
            (Some(log), _) => log.read(since, lines),
            (None, Some(file)) => (file.read)(since, lines),
            (None, None) => Vec::new(),
        }
    }
}

impl Acp {
    /// A mode that nobody would keep is refused, also by a lenient request.
    fn check_permissions(&self, request: &RunRequest) -> Result<(), Unsupported> {
        let modes = self.preset.modes;
        let kept = match request.permissions {
            // It is chosen when the agent has said which it has.
            _ if modes.by_name => true,
            None | Some(Permissions::Full) => true,
            Some(Permissions::ReadOnly) => modes.read_only.is_some(),
            Some(Permissions::Ask) => modes.ask.is_some(),
            Some(Permissions::Edit) => modes.edit.is_some(),
        };
        if kept {
            return Ok(());
        }
        let hint = match (modes.read_only, self.preset.driver) {
            (Some(_), _) => {
                "it has no mode that edits inside the working directory alone: use read-only or full"
            }
            (None, Some("claude")) => {
                "its plan mode lets through what the user has allowed: use -a claude"
            }
            (None, Some("opencode")) => "use -a opencode, which keeps them",
            (None, Some("pi")) => "use -a pi, which keeps read-only",
            (None, Some("copilot")) => "use -a copilot, which keeps them",
            (None, _) => "it does not keep that mode: use full, or no mode and answer what it asks",
        };
        Err(self.unsupported("permissions", hint))
    }
}
