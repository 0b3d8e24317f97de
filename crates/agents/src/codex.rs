//! OpenAI Codex.
//!
//! A run speaks JSON-RPC with `codex app-server`: it alone tells the model, the usage of each response, the
//! context window and the class of an error, and it has an interrupt that keeps the bill. Where a version has
//! no app-server, `codex exec --json` is the second transport.
//! Measured on 0.169.0; facts and their source are in `docs/agents/codex.md`.

mod account;
mod app_server;
mod asides;
mod classify;
mod exec;
mod failures;
mod helpers;
mod items;
mod limits;
mod mcp;
mod meter;
mod mode;
mod retry;
mod rollout;
mod rpc;
mod sandbox;
mod silent;
mod turns;
mod witness;

pub(crate) use failures::FAILURES;

use crate::agent::{check_name, check_options};
use crate::session::is_id;
use crate::witness::Witnessed;
use crate::{
    Account, AccountPart, Agent, Capabilities, Capability, Care, EffectiveMode, Effort, EnvPolicy,
    Launch, Login, Permissions, Protocol, Response, RunRequest, Session, SessionFiles,
    SessionNotes, SettingsLogin, StopPlan, Support, Transport, Unsupported, UserConfig,
    settings_login,
};
use belay_trace::ToolCall;
use jiff::Timestamp;
use std::env::consts::{ARCH, OS};

/// OpenAI Codex, the CLI `codex`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codex {
    pub(crate) model: Option<String>,
}

impl Codex {
    pub(crate) const NAME: &'static str = "codex";

    /// Codex with its own default model.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses `model` unless a request names another.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    fn model_for(&self, request: &RunRequest) -> Result<Option<String>, Unsupported> {
        let Some(model) = request.model.as_ref().or(self.model.as_ref()) else { return Ok(None) };
        let model = model.strip_prefix("openai/").unwrap_or(model);
        check_name(Self::NAME, "model", model)?;
        Ok(Some(model.to_owned()))
    }
}

/// What Codex sets for its commands (from its source and its shell, 0.169.0), and what npm's launcher sets for Codex.
pub(crate) const SESSION_MARKS: &[&str] = &[
    "CODEX_SANDBOX*",
    "CODEX_THREAD_ID",
    "CODEX_SESSION_ID",
    "CODEX_TOOL_CALL_ID",
    "CODEX_CI",
    "CODEX_PERMISSION_PROFILE",
    "CODEX_VERSION",
    "CODEX_NETWORK_*",
    "CODEX_SNAPSHOT_*",
    "CODEX_INTERNAL_ORIGINATOR_OVERRIDE",
    "CODEX_MANAGED_*",
];

/// What Codex itself reads: it passes in a clean environment too.
pub(crate) const ENV: &[&str] =
    &["OPENAI_*", "CODEX_HOME", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN", "CODEX_CA_CERTIFICATE"];

const APP_SERVER: Capabilities = Capabilities::new(&[
    (Capability::StreamingDeltas, Support::Native),
    (Capability::SystemPrompt, Support::Native),
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
    (Capability::ReportedCost, Support::No),
    (Capability::ReportedWindow, Support::Native),
]);

const EXEC: Capabilities = Capabilities::new(&[
    (Capability::StreamingDeltas, Support::No),
    (Capability::SystemPrompt, Support::Belay),
    (Capability::AppendSystemPrompt, Support::Belay),
    (Capability::MaxTurns, Support::Belay),
    (Capability::MaxCost, Support::Account),
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
    (Capability::NativeInterrupt, Support::No),
    (Capability::Steer, Support::No),
    (Capability::PermissionRequests, Support::No),
    (Capability::ReportedUsage, Support::Native),
    (Capability::ReportedCost, Support::No),
    (Capability::ReportedWindow, Support::No),
]);

/// What says who pays.
pub(crate) const ACCOUNT: &[&str] =
    &["OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN"];

/// "You've hit your usage limit for MODEL. Switch to another model now" (from its source).
const MODEL_LIMITS: &[&str] = &["usage limit for "];

/// The files that say who pays: the login, and the provider that may take its place.
const FILES: &[&str] = &["auth.json", "config.toml"];

impl Agent for Codex {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    fn account(&self, _model: Option<&str>) -> Account {
        let account = Account::in_file("CODEX_HOME", ".codex", FILES).variables(ACCOUNT);
        Account { model_limits: MODEL_LIMITS, ..account }
    }

    fn account_part(&self, _account: &Account, file: &str, content: &[u8]) -> Option<AccountPart> {
        match file {
            "config.toml" => settings_login::account_of_codex(content),
            _ => AccountPart::of_json(content, |name| name != "last_refresh"),
        }
    }

    fn logins(&self, file: &[u8]) -> Option<Vec<Login>> {
        account::logins(file)
    }

    fn settings_file(&self) -> Option<&'static str> {
        Some("config.toml")
    }

    fn settings_login(&self, file: &[u8]) -> Option<SettingsLogin> {
        settings_login::of_codex(file)
    }

    fn care(&self) -> Care {
        Care {
            install: "npm install -g @openai/codex@latest",
            node: None,
            log_in: "codex login, or set CODEX_API_KEY",
            tried: Some(("0.150.0", "0.171.0")),
        }
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Dialogue, Transport::Print]
    }

    fn capabilities(&self, transport: Transport) -> Capabilities {
        match transport {
            Transport::Dialogue => APP_SERVER,
            Transport::Print | Transport::Interactive => EXEC,
        }
    }

    fn effective_mode(&self, config: &dyn UserConfig, args: &[String]) -> EffectiveMode {
        mode::effective(config, args)
    }

    fn launch(&self, request: &RunRequest, transport: Transport) -> Result<Launch, Unsupported> {
        let mut launch = Launch::new("codex");
        launch.ignored = check_options(Self::NAME, self.capabilities(transport), request)?;
        launch.native = native_paths();
        launch.env = EnvPolicy::with(ENV);
        // On SIGTERM Codex dies and leaves its commands running; on SIGINT it ends them itself.
        launch.stop = StopPlan {
            native: transport == Transport::Dialogue,
            sigint: true,
            sigterm: false,
            ..StopPlan::default()
        };
        let model = self.model_for(request)?;
        mcp::sound(request)?;
        sandbox::own_temp(&mut launch, request);
        sandbox::settings(request)?;
        if let Session::Resume(id) = &request.session {
            check_name(Self::NAME, "resume", id)?;
        }
        if let Session::Fork(id) = &request.session {
            check_name(Self::NAME, "fork", id)?;
        }
        match transport {
            Transport::Dialogue => {
                launch.arg("app-server");
                launch.args.extend(request.extra_args.iter().cloned());
            }
            Transport::Print => print_args(&mut launch, request, model.as_deref())?,
            Transport::Interactive => interactive_args(&mut launch, request, model.as_deref())?,
        }
        Ok(launch)
    }

    fn session_files(&self, session_id: &str) -> Option<SessionFiles> {
        is_id(session_id).then(|| rollout::files(session_id))
    }

    fn read_session(
        &self,
        since: Timestamp,
        lines: &mut dyn Iterator<Item = &[u8]>,
    ) -> Vec<Response> {
        rollout::read(since, lines)
    }

    fn session_notes(
        &self,
        since: Timestamp,
        lines: &mut dyn Iterator<Item = &[u8]>,
    ) -> SessionNotes {
        rollout::notes(since, lines)
    }

    fn silent_calls(&self, since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<u8> {
        (silent::READER.keep)(since, lines)
    }

    fn protocol(&self, request: &RunRequest, transport: Transport) -> Box<dyn Protocol> {
        let (driver, reader): (Box<dyn Protocol>, _) = match transport {
            Transport::Dialogue => {
                // `launch` has refused a bad name before.
                let model = self.model_for(request).unwrap_or_default();
                (Box::new(app_server::AppServer::new(request, model)), witness::READER)
            }
            Transport::Print | Transport::Interactive => {
                (Box::new(exec::Exec::new(request)), witness::READER_OF_EXEC)
            }
        };
        Box::new(Witnessed::new(driver, reader, Self::NAME, request))
    }

    /// The seed gave a shell command as it is, not as an object.
    fn harness_args(&self, call: &ToolCall) -> String {
        let command =
            call.args.to_value().get("command").and_then(|c| c.as_str().map(str::to_owned));
        command.filter(|_| call.name == items::SHELL).unwrap_or_else(|| call.args.get().to_owned())
    }
}

fn print_args(
    launch: &mut Launch,
    request: &RunRequest,
    model: Option<&str>,
) -> Result<(), Unsupported> {
    launch.arg("exec");
    launch.arg("--json");
    launch.arg("--skip-git-repo-check");
    if let Some(model) = model {
        launch.bind("--model", model);
    }
    // Without it exec shows no reasoning at all.
    launch.bind("--config", "model_reasoning_summary=auto");
    bind_effort_and_permissions(launch, request)?;
    mcp::bind(launch, request)?;
    bind_images(launch, request)?;
    if let Some(schema) = request.native_schema() {
        launch.bind_private("--output-schema", OUTPUT_SCHEMA, schema.to_string(), None);
    }
    launch.args.extend(request.extra_args.iter().cloned());
    match &request.session {
        Session::New => {}
        Session::Continue => ["resume", "--last"].iter().for_each(|arg| launch.arg(*arg)),
        Session::Resume(id) => ["resume", id].iter().for_each(|arg| launch.arg(*arg)),
        Session::Fork(id) => ["fork", id].iter().for_each(|arg| launch.arg(*arg)),
    }
    launch.arg("-");
    launch.stdin = request.composed_prompt();
    Ok(())
}

fn interactive_args(
    launch: &mut Launch,
    request: &RunRequest,
    model: Option<&str>,
) -> Result<(), Unsupported> {
    if let Some(model) = model {
        launch.bind("--model", model);
    }
    bind_effort_and_permissions(launch, request)?;
    mcp::bind(launch, request)?;
    bind_images(launch, request)?;
    launch.args.extend(request.extra_args.iter().cloned());
    match &request.session {
        Session::New => {}
        Session::Continue => ["resume", "--last"].iter().for_each(|arg| launch.arg(*arg)),
        Session::Resume(id) => ["resume", id].iter().for_each(|arg| launch.arg(*arg)),
        Session::Fork(id) => ["fork", id].iter().for_each(|arg| launch.arg(*arg)),
    }
    let prompt = request.composed_prompt();
    if !prompt.is_empty() {
        launch.arg("--");
        launch.arg(prompt);
    }
    Ok(())
}

fn bind_effort_and_permissions(
    launch: &mut Launch,
    request: &RunRequest,
) -> Result<(), Unsupported> {
    if let Some(effort) = request.effort {
        launch.bind("--config", &format!("model_reasoning_effort={}", effort_name(effort)));
    }
    match request.permissions {
        None => {}
        // Nobody can be asked in this transport; what the sandbox refuses stays refused.
        Some(Permissions::ReadOnly | Permissions::Ask) => launch.bind("--sandbox", "read-only"),
        Some(Permissions::Edit) => launch.bind("--sandbox", "workspace-write"),
        Some(Permissions::Full) => launch.arg("--dangerously-bypass-approvals-and-sandbox"),
    }
    sandbox::bind(launch, request)
}

/// Codex takes several in one argument, between commas.
fn bind_images(launch: &mut Launch, request: &RunRequest) -> Result<(), Unsupported> {
    for image in &request.images {
        launch.bind("--image", image.argument(Codex::NAME, &[','])?);
    }
    Ok(())
}

/// Codex takes no schema but in a file.
const OUTPUT_SCHEMA: &str = "output-schema.json";

/// Codex's word for the most that it has.
fn effort_name(effort: Effort) -> &'static str {
    match effort {
        Effort::Max => "xhigh",
        Effort::Low | Effort::Medium | Effort::High => effort.name(),
    }
}

/// Where npm puts the native program, from the real path of the launcher `@openai/codex/bin/codex.js`.
fn native_paths() -> Vec<String> {
    let (package, triple) = match (OS, ARCH) {
        ("linux", "x86_64") => ("codex-linux-x64", "x86_64-unknown-linux-musl"),
        ("linux", "aarch64") => ("codex-linux-arm64", "aarch64-unknown-linux-musl"),
        ("macos", "x86_64") => ("codex-darwin-x64", "x86_64-apple-darwin"),
        ("macos", "aarch64") => ("codex-darwin-arm64", "aarch64-apple-darwin"),
        _ => return Vec::new(),
    };
    let vendor = format!("vendor/{triple}/bin/codex");
    vec![
        format!("../../{package}/{vendor}"),
        format!("../node_modules/@openai/{package}/{vendor}"),
        format!("../{vendor}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: RunRequest, transport: Transport, want: &str) {
        let launch = Codex::new().launch(&request, transport).unwrap();
        assert_eq!(launch.args.join(" "), want);
    }

    #[test]
    fn a_run_has_nothing_of_the_request_in_its_arguments() {
        let request = RunRequest::new("-x --help").model("gpt-5.5").effort(Effort::High);
        check(request.extra_args(["-c", "a=1"]), Transport::Dialogue, "app-server -c a=1");
    }

    #[test]
    fn the_one_shot_command_reads_the_prompt_from_its_input() {
        let request =
            RunRequest::new("p").model("openai/gpt-5.5").effort(Effort::Max).resume("01a1");
        check(
            request.permissions(Permissions::ReadOnly),
            Transport::Print,
            "exec --json --skip-git-repo-check --model=gpt-5.5 --config=model_reasoning_summary=auto \
             --config=model_reasoning_effort=xhigh --sandbox=read-only resume 01a1 -",
        );
    }

    #[test]
    fn print_command_quotes_the_prompt_and_composes_the_system_prompt() {
        let request = RunRequest::new("it's fine").system_prompt("Be brief.");
        assert_eq!(
            Codex::new().print_command(&request).unwrap(),
            "printf %s 'Be brief.\n\nit'\\''s fine' | codex exec --json --skip-git-repo-check \
             --config=model_reasoning_summary=auto -"
        );
    }

    #[test]
    fn edit_is_the_folders_of_the_run_and_a_temporary_one_of_its_own() {
        let request = RunRequest::new("p").cwd("/work").add_dir("/a b").add_dir("../work/./lib");
        check(
            request.clone().permissions(Permissions::Edit),
            Transport::Print,
            "exec --json --skip-git-repo-check --config=model_reasoning_summary=auto --sandbox=workspace-write \
             --config=sandbox_workspace_write={exclude_slash_tmp=true,exclude_tmpdir_env_var=false,\
             network_access=false,writable_roots=[\"/a b\",\"/work/lib\"]} -",
        );
        check(
            request,
            Transport::Print,
            "exec --json --skip-git-repo-check --config=model_reasoning_summary=auto --add-dir=/a b \
             --add-dir=/work/lib -",
        );
        for transport in [Transport::Print, Transport::Dialogue] {
            let launch = |mode| {
                Codex::new().launch(&RunRequest::new("p").permissions(mode), transport).unwrap()
            };
            assert!(launch(Permissions::Edit).private_temp);
            assert!(!launch(Permissions::Full).private_temp);
        }
    }

    #[test]
    fn options_that_nobody_honours_are_errors_before_anything_starts() {
        let error = |request: RunRequest| {
            Codex::new().launch(&request, Transport::Dialogue).unwrap_err().option
        };
        assert_eq!(error(RunRequest::new("p").max_output_tokens(9)), "max_output_tokens");
        assert_eq!(error(RunRequest::new("p").allowed_tools(["Read"])), "allowed_tools");
        assert_eq!(error(RunRequest::new("p").resume("--last")), "resume");
        let lenient = RunRequest::new("p").allowed_tools(["Read"]).lenient(true);
        let launch = Codex::new().launch(&lenient, Transport::Dialogue).unwrap();
        assert_eq!(launch.ignored, ["allowed_tools"]);
    }

    #[test]
    fn interactive_args_begin_with_the_program_and_end_with_the_prompt() {
        let args = Codex::new().model("gpt-5.5").interactive_args(&"-v".into()).unwrap();
        assert_eq!(args, ["codex", "--model=gpt-5.5", "--", "-v"]);
    }
}
