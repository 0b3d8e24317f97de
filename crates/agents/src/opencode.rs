//! OpenCode.
//!
//! A run talks with `opencode serve` on a port and with a password of its own: it tells text in pieces, retries
//! as they happen, and has an interrupt. `opencode run --format json` is the second transport: it prints whole
//! parts, nothing at its end, and hides its retries. Measured on 1.18.33; facts and their source are in `docs/agents/opencode.md`.

mod asides;
mod classify;
mod failures;
mod heard;
mod mcp;
mod meter;
pub(crate) mod mode;
mod parts;
mod rest;
mod run;
mod serve;
mod subagents;
mod wire;
mod witness;

pub(crate) use failures::FAILURES;

use crate::agent::{check_name, check_options};
use crate::{
    Account, AccountPart, Agent, Capabilities, Capability, Care, EffectiveMode, EnvPolicy, Launch,
    Login, Permissions, Protocol, RunRequest, Server, Session, StopPlan, Support, TellsTools,
    Transport, Unsupported, UserConfig,
};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::env::consts::{ARCH, OS};

/// OpenCode, the CLI `opencode`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenCode {
    pub(crate) model: Option<String>,
}

impl OpenCode {
    pub(crate) const NAME: &'static str = "opencode";

    /// OpenCode with its own default model.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses `model`, written `provider/model`, unless a request names another.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    fn model_for(&self, request: &RunRequest) -> Result<Option<String>, Unsupported> {
        let Some(model) = request.model.as_ref().or(self.model.as_ref()) else { return Ok(None) };
        check_name(Self::NAME, "model", model)?;
        if !model.contains('/') {
            let hint = "OpenCode names a model by its provider too: anthropic/claude-sonnet-4-5";
            return Err(Unsupported { agent: Self::NAME, option: "model", hint: Some(hint) });
        }
        Ok(Some(model.clone()))
    }
}

/// What OpenCode sets for all that it starts (from its source, 1.18.33), and what its terminal and its editor's
/// extension set for it.
pub(crate) const SESSION_MARKS: &[&str] = &[
    "OPENCODE",
    "OPENCODE_PID",
    "OPENCODE_TERMINAL",
    "OPENCODE_CLIENT",
    "OPENCODE_ROUTE",
    "OPENCODE_EDITOR_SSE_PORT",
    "OPENCODE_WORKSPACE_ID",
    // Of another server than the one that belay starts.
    "OPENCODE_SERVER_*",
];

/// What OpenCode and its providers read: it passes in a clean environment too.
pub(crate) const ENV: &[&str] = &[
    "OPENCODE_CONFIG",
    "OPENCODE_CONFIG_*",
    "OPENCODE_DISABLE_*",
    "OPENCODE_API_KEY",
    "OPENCODE_AUTH_CONTENT",
    "OPENCODE_MODELS_*",
    "OPENCODE_DB",
    "OPENCODE_PERMISSION",
    "ANTHROPIC_*",
    "OPENAI_*",
    "OPENROUTER_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_GENERATIVE_AI_API_KEY",
    "GROQ_API_KEY",
    "XAI_API_KEY",
    "DEEPSEEK_API_KEY",
    "MISTRAL_API_KEY",
];

const SERVE: Capabilities = Capabilities::new(&[
    (Capability::StreamingDeltas, Support::Native),
    (Capability::SystemPrompt, Support::Belay),
    (Capability::AppendSystemPrompt, Support::Native),
    (Capability::MaxTurns, Support::Belay),
    (Capability::MaxCost, Support::Belay),
    (Capability::AgentRetries, Support::Belay),
    (Capability::MaxOutputTokens, Support::No),
    (Capability::AllowedTools, Support::No),
    (Capability::DisallowedTools, Support::No),
    (Capability::Effort, Support::Native),
    (Capability::PermitReadOnly, Support::Native),
    (Capability::PermitAsk, Support::Native),
    (Capability::PermitEdit, Support::Native),
    (Capability::McpServers, Support::Native),
    (Capability::AddDir, Support::Native),
    (Capability::Images, Support::Native),
    (Capability::OutputSchema, Support::Native),
    (Capability::Resume, Support::Native),
    (Capability::Continue, Support::Native),
    (Capability::Fork, Support::Native),
    (Capability::NativeInterrupt, Support::Native),
    (Capability::Steer, Support::Native),
    (Capability::PermissionRequests, Support::Native),
    (Capability::ReportedUsage, Support::Native),
    (Capability::ReportedCost, Support::Native),
    (Capability::ReportedWindow, Support::No),
]);

const RUN: Capabilities = Capabilities::new(&[
    (Capability::StreamingDeltas, Support::No),
    (Capability::SystemPrompt, Support::Belay),
    (Capability::AppendSystemPrompt, Support::Belay),
    (Capability::MaxTurns, Support::Belay),
    (Capability::MaxCost, Support::Belay),
    (Capability::AgentRetries, Support::No),
    (Capability::MaxOutputTokens, Support::No),
    (Capability::AllowedTools, Support::No),
    (Capability::DisallowedTools, Support::No),
    (Capability::Effort, Support::Native),
    (Capability::PermitReadOnly, Support::Native),
    (Capability::PermitAsk, Support::Native),
    (Capability::PermitEdit, Support::Native),
    (Capability::McpServers, Support::Native),
    (Capability::AddDir, Support::Native),
    (Capability::Images, Support::Native),
    (Capability::OutputSchema, Support::Belay),
    (Capability::Resume, Support::Native),
    (Capability::Continue, Support::Native),
    (Capability::Fork, Support::Native),
    (Capability::NativeInterrupt, Support::No),
    (Capability::Steer, Support::No),
    (Capability::PermissionRequests, Support::No),
    (Capability::ReportedUsage, Support::Native),
    (Capability::ReportedCost, Support::Native),
    (Capability::ReportedWindow, Support::No),
]);

/// What says who pays: keys of providers, and configurations that may name others.
pub(crate) const ACCOUNT: &[&str] = &[
    "OPENCODE_CONFIG",
    "OPENCODE_CONFIG_*",
    "OPENCODE_API_KEY",
    "OPENCODE_AUTH_CONTENT",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENROUTER_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_GENERATIVE_AI_API_KEY",
    "GROQ_API_KEY",
    "XAI_API_KEY",
    "DEEPSEEK_API_KEY",
    "MISTRAL_API_KEY",
];

impl Agent for OpenCode {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    fn tells_tools(&self, transport: Transport) -> TellsTools {
        match transport {
            Transport::Print => TellsTools::Late,
            _ => TellsTools::AtOnce,
        }
    }

    /// What `run` prints says nothing of them.
    fn tells_retries(&self, transport: Transport) -> bool {
        transport != Transport::Print
    }

    fn account(&self, model: Option<&str>) -> Account {
        let file = &["opencode/auth.json"];
        let account = Account::in_file("XDG_DATA_HOME", ".local/share", file).variables(ACCOUNT);
        account.of_provider(model)
    }

    fn account_part(&self, account: &Account, _file: &str, content: &[u8]) -> Option<AccountPart> {
        crate::login::account_of_provider(account, content)
    }

    fn logins(&self, file: &[u8]) -> Option<Vec<Login>> {
        crate::login::by_provider(file)
    }

    fn care(&self) -> Care {
        Care {
            install: "npm install -g opencode-ai@latest",
            node: None,
            log_in: "opencode auth login, or set a provider's key",
            tried: Some(("1.18.3", "1.18.33")),
        }
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Dialogue, Transport::Print]
    }

    fn capabilities(&self, transport: Transport) -> Capabilities {
        match transport {
            Transport::Dialogue => SERVE,
            Transport::Print | Transport::Interactive => RUN,
        }
    }

    fn effective_mode(&self, config: &dyn UserConfig, args: &[String]) -> EffectiveMode {
        mode::effective(config, args)
    }

    fn launch(&self, request: &RunRequest, transport: Transport) -> Result<Launch, Unsupported> {
        let mut launch = Launch::new("opencode");
        launch.ignored = check_options(Self::NAME, self.capabilities(transport), request)?;
        launch.native = native_paths();
        launch.env = EnvPolicy::with(ENV);
        launch.litter = LITTER;
        launch.env.set.push(("OPENCODE_DISABLE_AUTOUPDATE", "1".to_owned()));
        if let Some(rules) = rules(request)? {
            launch.env.set.push(("OPENCODE_PERMISSION", rules));
        }
        if let Some(config) = mcp::config(request)? {
            launch.env.private.push(("OPENCODE_CONFIG_CONTENT".to_owned(), config));
        }
        // `run` dies of either signal at once, tells nothing, and leaves its tools running.
        let is_server = transport == Transport::Dialogue;
        launch.stop = StopPlan {
            native: is_server,
            sigint: false,
            sigterm: is_server,
            ..StopPlan::default()
        };
        let model = self.model_for(request)?;
        if let Session::Resume(id) | Session::Fork(id) = &request.session {
            check_name(Self::NAME, "session", id)?;
        }
        self.with_args(launch, request, transport, model.as_deref())
    }

    fn harness_tool<'a>(&self, name: &'a str) -> Cow<'a, str> {
        parts::own_name(name)
    }

    fn protocol(&self, request: &RunRequest, transport: Transport) -> Box<dyn Protocol> {
        match transport {
            Transport::Dialogue => {
                // `launch` has refused a bad name before.
                let model = self.model_for(request).unwrap_or_default();
                Box::new(serve::Serve::new(request, model.as_deref()))
            }
            Transport::Print | Transport::Interactive => Box::new(run::Run::new(request)),
        }
    }

    fn reader(&self, request: &RunRequest, transport: Transport) -> Box<dyn Protocol> {
        match transport {
            Transport::Dialogue => Box::new(heard::Heard::new()),
            Transport::Print | Transport::Interactive => self.protocol(request, transport),
        }
    }
}

/// A library of 5 MB or more that it unpacks at each start and never removes (measured, 1.18.33;
/// anomalyco/opencode#28089).
pub(crate) const LITTER: &[&str] = &[".so", ".dylib", ".node"];

impl OpenCode {
    fn with_args(
        &self,
        mut launch: Launch,
        request: &RunRequest,
        transport: Transport,
        model: Option<&str>,
    ) -> Result<Launch, Unsupported> {
        if transport == Transport::Dialogue {
            launch.server =
                Some(Server { password_env: "OPENCODE_SERVER_PASSWORD", user: "opencode" });
            ["serve", "--hostname=127.0.0.1"].iter().for_each(|arg| launch.arg(*arg));
            launch.bind("--port", Server::PORT);
            launch.args.extend(request.extra_args.iter().cloned());
            return Ok(launch);
        }
        let is_person = transport == Transport::Interactive;
        if !is_person {
            launch.arg("run");
            // It takes what follows for another file, unless that is a flag.
            for image in &request.images {
                launch.bind("--file", image.argument(Self::NAME, &[])?);
            }
            // The log is where it says why it waits, and why it failed.
            let how = ["--format=json", "--thinking", "--print-logs", "--log-level=ERROR"];
            how.iter().for_each(|arg| launch.arg(*arg));
        }
        if let Some(model) = model {
            launch.bind("--model", model);
        }
        if let Some(effort) = request.effort.filter(|_| !is_person) {
            launch.bind("--variant", effort.name());
        }
        if request.permissions == Some(Permissions::Full) {
            launch.arg("--auto");
        }
        match &request.session {
            Session::New => {}
            Session::Continue => launch.arg("--continue"),
            Session::Resume(id) => launch.bind("--session", id),
            Session::Fork(id) => {
                launch.bind("--session", id);
                launch.arg("--fork");
            }
        }
        launch.args.extend(request.extra_args.iter().cloned());
        let prompt = request.composed_prompt();
        if is_person && !prompt.is_empty() {
            launch.bind("--prompt", &prompt);
        } else {
            launch.stdin = prompt;
        }
        Ok(launch)
    }
}

/// What OpenCode may do, in its own rules; what is beyond them is denied.
fn rules(request: &RunRequest) -> Result<Option<String>, Unsupported> {
    let folders = request.folder_arguments(OpenCode::NAME, &['*', '?', '['])?;
    let (edit, beyond) = match request.permissions {
        Some(Permissions::ReadOnly) => ("deny", "deny"),
        Some(Permissions::Ask) => ("ask", "ask"),
        Some(Permissions::Edit) => ("allow", "deny"),
        None if !folders.is_empty() => {
            let rules = json!({"external_directory": added(None, &folders)});
            return Ok(Some(rules.to_string()));
        }
        None | Some(Permissions::Full) => return Ok(None),
    };
    let mut rules = json!({
        "edit": edit, "bash": beyond, "webfetch": beyond,
        "external_directory": added(Some(beyond), &folders),
    });
    if request.permissions == Some(Permissions::ReadOnly) {
        for name in request.mcp_servers.keys() {
            rules[format!("{name}_*")] = "ask".into();
        }
    }
    Ok(Some(rules.to_string()))
}

/// The rules of a new session whose mode asks, which no prompt can say: they stand above the user's configuration too.
/// A prompt that switches tools off takes their place.
fn session_rules(request: &RunRequest) -> Option<Value> {
    if request.permissions != Some(Permissions::Ask) {
        return None;
    }
    let rule = |permission: &str, pattern: &str, action: &str| json!({"permission": permission, "pattern": pattern, "action": action});
    let mut rules = vec![rule("question", "*", "deny")];
    for permission in ["edit", "bash", "webfetch", "external_directory"] {
        rules.push(rule(permission, "*", "ask"));
    }
    // `launch` has refused a folder that cannot be named.
    for folder in request.folder_arguments(OpenCode::NAME, &['*', '?', '[']).unwrap_or_default() {
        rules.push(rule("external_directory", &format!("{folder}/*"), "allow"));
    }
    Some(rules.into())
}

/// The tools that each prompt switches off or on, which stands above any rule of the user's configuration, also those of
/// an agent of its own (`agent.build.permission`), which stand above `OPENCODE_PERMISSION` (measured, 1.18.33).
fn session_tools(request: &RunRequest) -> Value {
    // Nobody is there to answer a question of the model's, and it would wait for ever.
    let mut tools = json!({"question": false});
    let off: &[&str] = match request.permissions {
        Some(Permissions::ReadOnly) => &["edit", "bash", "webfetch", "external_directory"],
        // A rule for all folders outside would take the added ones along.
        Some(Permissions::Edit) if request.add_dirs.is_empty() => {
            &["bash", "webfetch", "external_directory"]
        }
        Some(Permissions::Edit) => &["bash", "webfetch"],
        None | Some(Permissions::Ask | Permissions::Full) => &[],
    };
    off.iter().for_each(|name| tools[*name] = false.into());
    tools
}

/// Rules for folders outside of the working directory: the added ones, and `beyond` for the others. The last one that
/// fits holds, and OpenCode's own default for the others is to ask.
fn added(beyond: Option<&str>, folders: &[String]) -> Value {
    if let (Some(beyond), []) = (beyond, folders) {
        return beyond.into();
    }
    let others = beyond.map(|beyond| ("*".to_owned(), beyond.into()));
    let added = folders.iter().map(|folder| {
        let folder = folder.trim_end_matches('/');
        (format!("{folder}/*"), Value::from("allow"))
    });
    Value::Object(others.into_iter().chain(added).collect())
}

/// Where npm puts the native program, from the real path of the launcher `opencode-ai/bin/opencode`.
fn native_paths() -> Vec<String> {
    let package = match (OS, ARCH) {
        ("linux", "x86_64") => "opencode-linux-x64",
        ("linux", "aarch64") => "opencode-linux-arm64",
        ("macos", "x86_64") => "opencode-darwin-x64",
        ("macos", "aarch64") => "opencode-darwin-arm64",
        _ => return Vec::new(),
    };
    vec![format!("../../{package}/bin/opencode"), format!("../node_modules/{package}/bin/opencode")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn args(request: RunRequest) -> String {
        OpenCode::new().launch(&request, Transport::Print).unwrap().args.join(" ")
    }

    #[test]
    fn the_prompt_is_read_from_the_input_and_values_are_bound() {
        let request = RunRequest::new("-x --help").model("lab/m").resume("ses_1");
        let want = "run --format=json --thinking --print-logs --log-level=ERROR --model=lab/m --session=ses_1";
        assert_eq!(args(request), want);
        assert_eq!(
            OpenCode::new().print_command(&"it's".into()).unwrap(),
            "printf %s 'it'\\''s' | OPENCODE_DISABLE_AUTOUPDATE=1 opencode run --format=json --thinking --print-logs --log-level=ERROR"
        );
    }

    #[test]
    fn only_full_permissions_approve_by_themselves() {
        for (permissions, auto) in
            [(Permissions::ReadOnly, false), (Permissions::Edit, false), (Permissions::Full, true)]
        {
            let args = args(RunRequest::new("p").permissions(permissions));
            assert_eq!(args.contains("--auto"), auto, "{args}");
        }
    }

    #[test]
    fn a_model_without_its_provider_is_refused_with_the_way_to_write_it() {
        let error = OpenCode::new()
            .launch(&RunRequest::new("p").model("gpt-5"), Transport::Print)
            .unwrap_err();
        assert!(error.to_string().contains("anthropic/claude"), "{error}");
    }
}
