//! GitHub Copilot, by its own stream of events.
//!
//! It also speaks ACP, over which its failures look like answers. Its one-shot mode tells failures with their class
//! and status; what the models used stands in its session's file alone.
//! Measured on 1.0.102; facts and their source are in `docs/agents/copilot.md`.

mod asides;
mod classify;
mod failures;
mod mcp;
mod message;
pub(crate) mod session_file;
mod shell;
mod stream;
mod tools;
mod wire;
pub(crate) mod witness;

pub(crate) use failures::FAILURES;

use crate::agent::{check_name, check_options};
use crate::mode::mode_argument;
use crate::witness::Witnessed;
use crate::{
    Account, AccountPart, Agent, Capabilities, Capability, Care, EffectiveMode, EnvPolicy, Launch,
    Permissions, Protocol, Response, RunRequest, Session, SessionFiles, StopPlan, Support,
    Transport, Unsupported, UserConfig,
};
use jiff::Timestamp;
use std::borrow::Cow;
use std::env::consts::{ARCH, OS};

/// GitHub Copilot, the CLI `copilot`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copilot {
    pub(crate) model: Option<String>,
}

impl Copilot {
    pub(crate) const NAME: &'static str = "copilot";

    /// Copilot with its own default model.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses `model` unless a request names another.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }
}

/// What Copilot sets for all that it starts (from its source, 1.0.102).
pub(crate) const SESSION_MARKS: &[&str] = &[
    "COPILOT_CLI",
    "COPILOT_AGENT_SESSION_ID",
    "COPILOT_LOADER_PID",
    "COPILOT_DETACHED_*",
    "COPILOT_RUN_APP",
    "COPILOT_SUPERVISED",
];

/// What Copilot itself reads: it passes in a clean environment too. `GH_TOKEN` and `GITHUB_TOKEN`, which it takes for
/// a login too, open more than Copilot and are not on the list.
pub(crate) const ENV: &[&str] = &["COPILOT_*", "GH_HOST"];

/// What would allow more than the request does: commands and files unasked, and programs that a repository names
/// (from its source, 1.0.102).
pub(crate) const LOOSENS: &[&str] =
    &["COPILOT_ALLOW_ALL", "COPILOT_ASSISTED_APPROVAL", "GITHUB_COPILOT_PROMPT_MODE_*"];

const JSON: Capabilities = Capabilities::new(&[
    (Capability::StreamingDeltas, Support::Native),
    (Capability::SystemPrompt, Support::Belay),
    (Capability::AppendSystemPrompt, Support::Belay),
    (Capability::MaxTurns, Support::Belay),
    (Capability::MaxCost, Support::Account),
    (Capability::AgentRetries, Support::Belay),
    (Capability::MaxOutputTokens, Support::No),
    (Capability::AllowedTools, Support::Native),
    (Capability::DisallowedTools, Support::Native),
    (Capability::Effort, Support::Native),
    (Capability::PermitReadOnly, Support::Native),
    (Capability::PermitAsk, Support::Native),
    (Capability::PermitEdit, Support::Native),
    (Capability::McpServers, Support::Native),
    (Capability::AddDir, Support::Native),
    (Capability::Images, Support::Native),
    (Capability::OutputSchema, Support::Belay),
    (Capability::Resume, Support::Native),
    // It would take the latest session of any folder.
    (Capability::Continue, Support::No),
    (Capability::Fork, Support::No),
    (Capability::NativeInterrupt, Support::No),
    (Capability::Steer, Support::No),
    (Capability::PermissionRequests, Support::No),
    (Capability::ReportedUsage, Support::Native),
    (Capability::ReportedCost, Support::No),
    (Capability::ReportedWindow, Support::No),
]);

/// What says who pays.
pub(crate) const ACCOUNT: &[&str] = &["COPILOT_GITHUB_TOKEN", "COPILOT_PROVIDER_*", "GH_HOST"];

/// "user_model_rate_limited": a limit of one model alone (from the types of its events).
const MODEL_LIMITS: &[&str] = &["user_model_rate_limited"];

impl Agent for Copilot {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    fn account(&self, _model: Option<&str>) -> Account {
        let account = Account::in_file("COPILOT_HOME", ".copilot", &["config.json"]);
        Account { model_limits: MODEL_LIMITS, ..account.variables(ACCOUNT) }
    }

    /// What else stands in it: trusted folders, the model, hints that were shown.
    fn account_part(&self, _account: &Account, _file: &str, content: &[u8]) -> Option<AccountPart> {
        AccountPart::of_json(content, |name| {
            let name = name.to_ascii_lowercase();
            ["token", "user", "host", "auth"].iter().any(|word| name.contains(word))
        })
    }

    fn care(&self) -> Care {
        Care {
            install: "npm install -g @github/copilot@latest",
            node: None,
            log_in: "copilot login, or set COPILOT_GITHUB_TOKEN",
            tried: Some(("1.0.88", "1.0.102")),
        }
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Print]
    }

    fn capabilities(&self, _transport: Transport) -> Capabilities {
        JSON
    }

    fn effective_mode(&self, _config: &dyn UserConfig, args: &[String]) -> EffectiveMode {
        match mode_argument(args, &["--allow-*", "--deny-*", "--yolo", "--autopilot"]) {
            Some(arg) => EffectiveMode::of_argument(arg),
            // What the user once allowed for a folder is kept in a file whose form is not known.
            None => {
                EffectiveMode::between(Permissions::Ask, Permissions::Full, "copilot's default")
            }
        }
    }

    fn launch(&self, request: &RunRequest, transport: Transport) -> Result<Launch, Unsupported> {
        let mut launch = Launch::new("copilot");
        launch.ignored = check_options(Self::NAME, JSON, request)?;
        launch.native = native_paths();
        launch.env = EnvPolicy::with(ENV);
        // The native program ends its commands on either.
        launch.stop =
            StopPlan { native: false, sigint: true, sigterm: true, ..StopPlan::default() };
        let prompt = request.composed_prompt();
        if transport == Transport::Interactive {
            self.options(&mut launch, request)?;
            launch.args.extend(request.extra_args.iter().cloned());
            if !prompt.is_empty() {
                launch.bind("--interactive", &prompt);
            }
            return Ok(launch);
        }
        ["--output-format=json", "--no-color", "--no-ask-user", "--no-auto-update"]
            .iter()
            .for_each(|arg| launch.arg(*arg));
        self.options(&mut launch, request)?;
        for image in &request.images {
            launch.bind("--attachment", image.argument(Self::NAME, &[])?);
        }
        launch.args.extend(request.extra_args.iter().cloned());
        if request.session == Session::New {
            launch.new_session = Some("--session-id");
        }
        launch.stdin = prompt;
        Ok(launch)
    }

    fn harness_tool<'a>(&self, name: &'a str) -> Cow<'a, str> {
        tools::own_name(name)
    }

    fn protocol(&self, request: &RunRequest, _transport: Transport) -> Box<dyn Protocol> {
        let driver = Box::new(stream::Stream::new(request));
        Box::new(Witnessed::new(driver, witness::READER, Self::NAME, request))
    }

    fn session_files(&self, session_id: &str) -> Option<SessionFiles> {
        session_file::files(session_id)
    }

    fn read_session(
        &self,
        since: Timestamp,
        lines: &mut dyn Iterator<Item = &[u8]>,
    ) -> Vec<Response> {
        session_file::read(since, lines)
    }
}

impl Copilot {
    fn options(&self, launch: &mut Launch, request: &RunRequest) -> Result<(), Unsupported> {
        if let Some(model) = request.model.as_ref().or(self.model.as_ref()) {
            check_name(Self::NAME, "model", model)?;
            launch.bind("--model", model);
        }
        if let Some(effort) = request.effort {
            launch.bind("--reasoning-effort", effort.name());
        }
        permissions(launch, request);
        for folder in request.folder_arguments(Self::NAME, &[])? {
            launch.bind("--add-dir", &folder);
        }
        mcp::bind(launch, request)?;
        request.allowed_tools.iter().for_each(|tool| launch.bind("--allow-tool", tool));
        request.disallowed_tools.iter().for_each(|tool| launch.bind("--excluded-tools", tool));
        match &request.session {
            // The last two it lacks.
            Session::New | Session::Continue | Session::Fork(_) => {}
            Session::Resume(id) => {
                check_name(Self::NAME, "resume", id)?;
                launch.bind("--resume", id);
            }
        }
        Ok(())
    }
}

/// What is not allowed is denied at once, since nobody can be asked.
fn permissions(launch: &mut Launch, request: &RunRequest) {
    match request.permissions {
        None => {}
        // A denial stands above whatever the user's own settings allow; no one can be asked.
        Some(Permissions::ReadOnly | Permissions::Ask) => {
            launch.bind("--deny-tool", "shell");
            launch.bind("--deny-tool", "write");
        }
        Some(Permissions::Edit) => {
            launch.bind("--allow-tool", "write");
            launch.bind("--deny-tool", "shell");
            launch.arg("--disallow-temp-dir");
        }
        Some(Permissions::Full) => launch.arg("--allow-all"),
    }
}

/// Where npm puts the native program, beside the loader that its `copilot` is.
fn native_paths() -> Vec<String> {
    let package = match (OS, ARCH) {
        ("linux", "x86_64") => "copilot-linux-x64",
        ("linux", "aarch64") => "copilot-linux-arm64",
        ("macos", "x86_64") => "copilot-darwin-x64",
        ("macos", "aarch64") => "copilot-darwin-arm64",
        _ => return Vec::new(),
    };
    vec![format!("../{package}/copilot"), format!("node_modules/@github/{package}/copilot")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HoldBack;
    use crate::{Effort, McpServer};
    use serde_json::Value;

    #[track_caller]
    fn check(request: RunRequest, want: &str) {
        let launch = Copilot::new().launch(&request, Transport::Print).unwrap();
        let args = launch.args.join(" ");
        let rest =
            args.strip_prefix("--output-format=json --no-color --no-ask-user --no-auto-update");
        assert_eq!(rest.unwrap().trim_start(), want);
    }

    #[test]
    fn every_option_is_bound_to_its_flag_and_the_prompt_is_none() {
        let request = RunRequest::new("-x --help").model("gpt-5.4").effort(Effort::Max);
        let request = request.allowed_tools(["shell(git:*)"]).disallowed_tools(["web_fetch"]);
        check(
            request.resume("0cb916db").extra_args(["--disable-builtin-mcps"]),
            "--model=gpt-5.4 --reasoning-effort=max --allow-tool=shell(git:*) --excluded-tools=web_fetch \
             --resume=0cb916db --disable-builtin-mcps",
        );
        assert_eq!(
            Copilot::new().print_command(&"it's fine".into()).unwrap(),
            r"printf %s 'it'\''s fine' | copilot --output-format=json --no-color --no-ask-user --no-auto-update"
        );
    }

    #[test]
    fn a_permission_is_never_laxer_than_asked() {
        let with = |permissions| RunRequest::new("p").permissions(permissions);
        check(with(Permissions::ReadOnly), "--deny-tool=shell --deny-tool=write");
        check(with(Permissions::Edit), "--allow-tool=write --deny-tool=shell --disallow-temp-dir");
        check(with(Permissions::Full), "--allow-all");
        let launch = Copilot::new().launch(&"p".into(), Transport::Print).unwrap();
        for name in ["COPILOT_ALLOW_ALL", "GITHUB_COPILOT_PROMPT_MODE_REPO_HOOKS"] {
            assert_eq!(launch.env.holds_back(name, "true"), Some(HoldBack::Permissions), "{name}");
        }
        assert_eq!(launch.env.holds_back("GITHUB_TOKEN", "t"), None);
        assert!(launch.env.is_listed("COPILOT_HOME") && !launch.env.is_listed("GITHUB_TOKEN"));
    }

    #[test]
    fn servers_of_tools_go_in_by_a_private_file_and_keep_to_the_permissions() {
        let docs = McpServer::command("docs", ["-v"]).env("TOKEN", "t0k3n");
        let request = RunRequest::new("p").mcp_server("docs", docs);
        let launch = |permissions| {
            let request = request.clone().permissions(permissions);
            Copilot::new().launch(&request, Transport::Print).unwrap()
        };
        let edit = launch(Permissions::Edit);
        let config: Value = serde_json::from_str(&edit.files[0].content).unwrap();
        assert_eq!(config["mcpServers"]["docs"]["env"]["TOKEN"], "t0k3n");
        assert!(!edit.args.join(" ").contains("t0k3n") && edit.has_secrets());
        assert!(edit.args.contains(&"--allow-tool=docs".to_owned()));
        assert!(launch(Permissions::ReadOnly).args.contains(&"--deny-tool=docs".to_owned()));
        let error = Copilot::new().print_command(&request).unwrap_err();
        assert_eq!(error.option, "mcp_servers");
    }

    #[test]
    fn names_that_are_no_names_are_refused_and_so_is_what_it_lacks() {
        let error = |request: RunRequest| {
            Copilot::new().launch(&request, Transport::Print).unwrap_err().option
        };
        assert_eq!(error(RunRequest::new("p").model("--yolo")), "model");
        assert_eq!(error(RunRequest::new("p").resume("-c")), "resume");
        assert_eq!(error(RunRequest::new("p").fork("0cb916db")), "fork");
        assert_eq!(error(RunRequest::new("p").continue_latest()), "continue");
        assert_eq!(error(RunRequest::new("p").max_output_tokens(9)), "max_output_tokens");
    }

    #[test]
    fn interactive_args_bind_the_prompt() {
        let args = Copilot::new().model("gpt-5.4").interactive_args(&"-v".into()).unwrap();
        assert_eq!(args, ["copilot", "--model=gpt-5.4", "--interactive=-v"]);
    }
}
