//! Claude Code.
//!
//! A run speaks stream-json both ways: the prompt goes in as a message, and standard input stays open for
//! interrupts and permission answers. The one-shot command reads the prompt from standard input as text.
//! Measured on 2.1.329; facts and their source are in `docs/agents/claude-code.md`.

mod account;
mod background;
mod classify;
mod failures;
mod limit;
pub(crate) mod mode;
mod protocol;
mod servers;
mod steering;
mod system;
mod tools;
mod transcript;
mod usage;
mod wire;
mod witness;

pub(crate) use failures::FAILURES;

use crate::agent::{check_name, check_options};
use crate::cloud::OF_CLAUDE;
use crate::quiet;
use crate::session::is_id;
use crate::witness::Witnessed;
use crate::{
    Account, AccountPart, Agent, Background, Capabilities, Capability, Care, EffectiveMode,
    EnvPolicy, FullNeeds, Launch, Login, Permissions, Protocol, Response, RunRequest, Session,
    SessionFiles, SettingsLogin, StopPlan, Support, Transport, Unsupported, UserConfig, mcp,
    settings_login,
};
use jiff::Timestamp;
use serde_json::json;

/// Claude Code, the CLI `claude`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claude {
    pub(crate) model: Option<String>,
}

impl Claude {
    pub(crate) const NAME: &'static str = "claude-code";

    /// Claude Code with its own default model.
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

/// What Claude Code sets for its shell, its hooks and its tool servers, and for itself when it starts itself once
/// more: an inner one that sees it takes itself for a part of the outer session (from its source and its shell,
/// 2.1.329).
pub(crate) const SESSION_MARKS: &[&str] = &[
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_CODE_SESSION_*",
    "CLAUDE_CODE_CHILD_*",
    "CLAUDE_CODE_EXECPATH",
    "CLAUDE_CODE_LAUNCHED_BY_SESSION_IDS",
    "CLAUDE_CODE_BRIDGE_*",
    "CLAUDE_CODE_MESSAGING_*",
    "CLAUDE_CODE_RELAUNCH_*",
    "CLAUDE_CODE_RESUME_INTERRUPTED_TURN*",
    "CLAUDE_CODE_RESUME_PROMPT",
    "CLAUDE_CODE_RESUME_REASON",
    "CLAUDE_CODE_TMUX_*",
    "CLAUDE_AGENT_SDK_VERSION",
    "CLAUDE_BG_*",
    "CLAUDE_BRIDGE_*",
    "CLAUDE_EFFORT",
    "CLAUDE_ENV_FILE",
    "CLAUDE_JOB_DIR",
    "CLAUDE_PID",
    "CLAUDE_PLUGIN_ROOT",
    "CLAUDE_PROJECT_DIR",
];

/// What would allow more than a request does (from its source, 2.1.329): the second makes every folder a trusted one.
/// `IS_SANDBOX` and `CLAUDE_CODE_BUBBLEWRAP` pass: they only say where Claude runs, and root needs one of them.
pub(crate) const LOOSENS: &[&str] =
    &["CLAUDE_CODE_EVEN_MORE_DANGEROUSLY_SKIP_PERMISSIONS", "CLAUDE_CODE_SANDBOXED"];

/// What Claude Code itself reads: it passes in a clean environment too.
pub(crate) const ENV: &[&str] = &[
    "ANTHROPIC_*",
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_*",
    "CLAUDE_CODE_SKIP_*",
    "CLAUDE_CODE_DISABLE_*",
    "CLAUDE_CODE_ENABLE_*",
    "CLAUDE_CODE_MAX_*",
    "CLAUDE_CODE_SUBAGENT_MODEL",
    "CLAUDE_CODE_API_KEY_HELPER_TTL_MS",
    "DISABLE_*",
    "API_TIMEOUT_MS",
    "BASH_DEFAULT_TIMEOUT_MS",
    "BASH_MAX_TIMEOUT_MS",
    "BASH_MAX_OUTPUT_LENGTH",
    "MAX_THINKING_TOKENS",
    "MCP_TIMEOUT",
    "MCP_TOOL_TIMEOUT",
    "IS_SANDBOX",
];

const CAPABILITIES: Capabilities = Capabilities::new(&[
    (Capability::StreamingDeltas, Support::Native),
    (Capability::SystemPrompt, Support::Native),
    (Capability::AppendSystemPrompt, Support::Native),
    (Capability::MaxTurns, Support::Native),
    (Capability::MaxCost, Support::Belay),
    (Capability::AgentRetries, Support::Native),
    (Capability::MaxOutputTokens, Support::Native),
    (Capability::AllowedTools, Support::Native),
    (Capability::DisallowedTools, Support::Native),
    (Capability::Effort, Support::Native),
    (Capability::PermitReadOnly, Support::Native),
    (Capability::PermitAsk, Support::Native),
    (Capability::PermitEdit, Support::Native),
    (Capability::AgentMode, Support::No),
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
    (Capability::ReportedWindow, Support::Native),
]);

/// A one-shot command listens to nobody, and reads words alone.
const CAPABILITIES_PRINT: Capabilities = CAPABILITIES.without(&[
    Capability::Images,
    Capability::NativeInterrupt,
    Capability::Steer,
    Capability::PermissionRequests,
]);

/// What says who pays, or that somebody else than Anthropic does.
pub(crate) const ACCOUNT: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_*",
];

/// Variables that are a login by themselves.
const LOGINS: &[&str] = &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];

/// Windows of a plan that hold one model (`rateLimitType`); the others hold all of them.
const MODEL_LIMITS: &[&str] = &["seven_day_opus", "seven_day_sonnet"];

impl Agent for Claude {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    fn account(&self, _model: Option<&str>) -> Account {
        let files = &[".credentials.json", "settings.json", ".claude.json", "../.claude.json"];
        let account = Account::in_file("CLAUDE_CONFIG_DIR", ".claude", files).variables(ACCOUNT);
        Account { model_limits: MODEL_LIMITS, clouds: OF_CLAUDE, ..account }
    }

    fn account_part(&self, _account: &Account, file: &str, content: &[u8]) -> Option<AccountPart> {
        match file {
            // Logins of MCP servers stand beside it.
            ".credentials.json" => AccountPart::of_json(content, |name| name == "claudeAiOauth"),
            "settings.json" => settings_login::account_of_claude(content, ACCOUNT, OF_CLAUDE),
            // Who has logged in at Anthropic's console.
            _ => AccountPart::of_json(content, |name| {
                matches!(name, "primaryApiKey" | "oauthAccount")
            }),
        }
    }

    fn logins(&self, file: &[u8]) -> Option<Vec<Login>> {
        account::logins(file)
    }

    fn settings_file(&self) -> Option<&'static str> {
        Some("settings.json")
    }

    fn settings_login(&self, file: &[u8]) -> Option<SettingsLogin> {
        settings_login::of_claude(file, LOGINS)
    }

    /// "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons", and exit 1
    /// (measured, 2.1.329).
    fn full_needs(&self) -> Option<FullNeeds> {
        Some(FullNeeds { variable: "IS_SANDBOX", value: "1", refusal: "root/sudo privileges" })
    }

    fn care(&self) -> Care {
        Care {
            install: "npm install -g @anthropic-ai/claude-code@latest",
            node: None,
            log_in: "start claude and type /login, or set ANTHROPIC_API_KEY",
            tried: Some(("2.1.240", "2.1.332")),
        }
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Dialogue, Transport::Print]
    }

    fn capabilities(&self, transport: Transport) -> Capabilities {
        match transport {
            Transport::Dialogue => CAPABILITIES,
            Transport::Print | Transport::Interactive => CAPABILITIES_PRINT,
        }
    }

    fn effective_mode(&self, config: &dyn UserConfig, args: &[String]) -> EffectiveMode {
        mode::effective(config, args)
    }

    fn launch(&self, request: &RunRequest, transport: Transport) -> Result<Launch, Unsupported> {
        let mut launch = Launch::new("claude");
        launch.ignored = check_options(Self::NAME, self.capabilities(transport), request)?;
        launch.env = EnvPolicy { clouds: OF_CLAUDE, ..EnvPolicy::with(ENV) };
        // Never SIGTERM before SIGINT: on SIGTERM Claude exits without its result, and the bill is lost.
        launch.stop = StopPlan {
            native: transport == Transport::Dialogue,
            sigint: true,
            sigterm: true,
            ..StopPlan::default()
        };
        if transport != Transport::Interactive {
            launch.env.quiet = quiet::CLAUDE;
        }
        match transport {
            Transport::Dialogue => {
                launch.arg("--print");
                launch.bind("--input-format", "stream-json");
                launch.bind("--output-format", "stream-json");
                launch.arg("--verbose");
                launch.arg("--include-partial-messages");
                launch.bind("--permission-prompt-tool", "stdio");
                // An update in mid-run pulls the program away (anthropics/claude-code#86129).
                launch.env.set.push(("DISABLE_AUTOUPDATER", "1".to_owned()));
            }
            Transport::Print => {
                launch.arg("--print");
                launch.bind("--output-format", "stream-json");
                launch.arg("--verbose");
                launch.arg("--include-partial-messages");
                launch.stdin.clone_from(&request.prompt);
            }
            Transport::Interactive => {}
        }
        if transport != Transport::Interactive {
            // Claude's own limit on the wait for background tasks (10 minutes by default, 0 is none) knows no
            // progress, so ours stands in its place. Over print, where no result comes before subagents have
            // ended, it is what ends them.
            let stops = transport == Transport::Print && request.background == Background::Stop;
            let ceiling_ms = if stops { "1" } else { "0" };
            launch.env.run.push(("CLAUDE_CODE_PRINT_BG_WAIT_CEILING_MS", ceiling_ms.to_owned()));
        }
        self.bind_options(request, transport, &mut launch)?;
        launch.args.extend(request.extra_args.iter().cloned());
        if transport == Transport::Interactive && !request.prompt.is_empty() {
            launch.arg("--");
            launch.arg(&request.prompt);
        }
        Ok(launch)
    }

    fn session_files(&self, session_id: &str) -> Option<SessionFiles> {
        is_id(session_id).then(|| transcript::files(session_id))
    }

    fn read_session(
        &self,
        since: Timestamp,
        lines: &mut dyn Iterator<Item = &[u8]>,
    ) -> Vec<Response> {
        transcript::read(since, lines)
    }

    fn protocol(&self, request: &RunRequest, transport: Transport) -> Box<dyn Protocol> {
        let driver = Box::new(protocol::Claude::new(request, transport));
        Box::new(Witnessed::new(driver, witness::READER, Self::NAME, request))
    }
}

impl Claude {
    fn bind_options(
        &self,
        request: &RunRequest,
        transport: Transport,
        launch: &mut Launch,
    ) -> Result<(), Unsupported> {
        if let Some(model) = request.model.as_ref().or(self.model.as_ref()) {
            // A provider prefix belongs to the names of multi-provider agents; Claude does not know it.
            let model = model.strip_prefix("anthropic/").unwrap_or(model);
            check_name(Self::NAME, "model", model)?;
            launch.bind("--model", model);
        }
        if let Some(prompt) = &request.system_prompt {
            launch.bind_file("--system-prompt", "system-prompt.txt", prompt);
        }
        if let Some(prompt) = &request.append_system_prompt {
            launch.bind_file("--append-system-prompt", "append-system-prompt.txt", prompt);
        }
        if let Some(turns) = request.max_turns.filter(|_| transport != Transport::Interactive) {
            launch.bind("--max-turns", &turns.to_string());
        }
        if let Some(retries) = request.agent_retries {
            launch.env.set.push(("CLAUDE_CODE_MAX_RETRIES", retries.to_string()));
        }
        if let Some(tokens) = request.max_output_tokens {
            launch.env.set.push(("CLAUDE_CODE_MAX_OUTPUT_TOKENS", tokens.to_string()));
        }
        if let Some(effort) = request.effort {
            launch.bind("--effort", effort.name());
        }
        for rule in &request.allowed_tools {
            check_rule("allowed_tools", rule)?;
            launch.bind("--allowedTools", rule);
        }
        for rule in &request.disallowed_tools {
            check_rule("disallowed_tools", rule)?;
            launch.bind("--disallowedTools", rule);
        }
        self.bind_mcp(request, transport, launch)?;
        if let Some(schema) =
            request.native_schema().filter(|_| transport != Transport::Interactive)
        {
            launch.bind("--json-schema", &schema.to_string());
        }
        match &request.session {
            Session::New => {}
            Session::Continue => launch.arg("--continue"),
            Session::Resume(id) => {
                check_name(Self::NAME, "resume", id)?;
                launch.bind("--resume", id);
            }
            Session::Fork(id) => {
                check_name(Self::NAME, "fork", id)?;
                launch.bind("--resume", id);
                launch.arg("--fork-session");
            }
        }
        for folder in request.folder_arguments(Self::NAME, &[])? {
            launch.bind("--add-dir", &folder);
        }
        match request.permissions {
            None => {}
            Some(Permissions::ReadOnly) => {
                launch.bind("--permission-mode", "plan");
                // The user's own allow rules reach into plan mode (measured, 2.1.329), so what they could
                // allow must not be there at all.
                for tool in tools::CHANGING {
                    launch.bind("--disallowedTools", tool);
                }
            }
            Some(Permissions::Ask) => {
                launch.bind("--permission-mode", "default");
                // A rule that asks stands above the user's own rules that allow.
                let settings = json!({"permissions": {"ask": tools::ASKED}});
                launch.bind("--settings", &settings.to_string());
            }
            Some(Permissions::Edit) => launch.bind("--permission-mode", "acceptEdits"),
            Some(Permissions::Full) => launch.arg("--dangerously-skip-permissions"),
        }
        Ok(())
    }

    fn bind_mcp(
        &self,
        request: &RunRequest,
        transport: Transport,
        launch: &mut Launch,
    ) -> Result<(), Unsupported> {
        let servers = &request.mcp_servers;
        if servers.is_empty() {
            return Ok(());
        }
        // Claude puts variables in (`${NAME}`).
        mcp::check(Self::NAME, servers, |text| text.contains("${"))?;
        let config = json!({ "mcpServers": servers }).to_string();
        if servers.values().all(|server| server.secrets().is_empty()) {
            launch.bind_private("--mcp-config", "mcp.json", config.clone(), Some(config));
        } else {
            launch.bind_private("--mcp-config", "mcp.json", config, None);
        }
        // A server that the caller gives is one whose tools may be called, unless the run may only look.
        if transport != Transport::Interactive && request.permissions != Some(Permissions::ReadOnly)
        {
            servers.keys().for_each(|name| launch.bind("--allowedTools", &format!("mcp__{name}")));
        }
        Ok(())
    }
}

/// Claude reads a list of rules in one argument, so a comma outside parentheses would smuggle in a second.
fn check_rule(option: &'static str, rule: &str) -> Result<(), Unsupported> {
    let mut depth = 0_i32;
    for c in rule.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' | ' ' if depth == 0 => depth = i32::MIN,
            _ => {}
        }
        if depth < 0 {
            break;
        }
    }
    if depth == 0 && !rule.is_empty() {
        return Ok(());
    }
    let hint = Some("one rule each, such as `Read` or `Bash(git log *)`");
    Err(Unsupported { agent: Claude::NAME, option, hint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effort, HoldBack};

    #[track_caller]
    fn check(request: RunRequest, transport: Transport, want: &str) {
        let launch = Claude::new().launch(&request, transport).unwrap();
        assert_eq!(launch.args.join(" "), want);
    }

    #[test]
    fn a_run_speaks_stream_json_both_ways_and_never_has_the_prompt_in_its_arguments() {
        check(
            RunRequest::new("-x --help").model("anthropic/opus"),
            Transport::Dialogue,
            "--print --input-format=stream-json --output-format=stream-json --verbose \
             --include-partial-messages --permission-prompt-tool=stdio --model=opus",
        );
    }

    #[test]
    fn every_option_becomes_a_bound_flag() {
        let request = RunRequest::new("p")
            .max_turns(3)
            .effort(Effort::Max)
            .allowed_tools(["Read", "Bash(git log *)"])
            .disallowed_tools(["WebFetch"])
            .fork("0000-11")
            .permissions(Permissions::Edit)
            .extra_args(["--add-dir", "/x"]);
        check(
            request,
            Transport::Print,
            "--print --output-format=stream-json --verbose --include-partial-messages --max-turns=3 --effort=max \
             --allowedTools=Read --allowedTools=Bash(git log *) --disallowedTools=WebFetch \
             --resume=0000-11 --fork-session --permission-mode=acceptEdits --add-dir /x",
        );
    }

    #[test]
    fn nothing_is_bypassed_unless_the_caller_wrote_it() {
        for permissions in [None, Some(Permissions::ReadOnly), Some(Permissions::Edit)] {
            let request = RunRequest { permissions, ..RunRequest::new("p") };
            for transport in [Transport::Print, Transport::Dialogue, Transport::Interactive] {
                let launch = Claude::new().launch(&request, transport).unwrap();
                assert!(!launch.args.iter().any(|arg| arg.contains("skip-permissions")));
            }
        }
    }

    #[test]
    fn values_that_would_be_read_as_something_else_are_refused() {
        for request in [
            RunRequest::new("p").model("--dangerously-skip-permissions"),
            RunRequest::new("p").resume("-x"),
            RunRequest::new("p").resume(""),
            RunRequest::new("p").allowed_tools(["Read,Bash"]),
            RunRequest::new("p").allowed_tools(["Read Bash"]),
            RunRequest::new("p").disallowed_tools([""]),
        ] {
            assert!(Claude::new().launch(&request, Transport::Dialogue).is_err(), "{request:?}");
        }
    }

    #[test]
    fn the_system_prompt_is_a_private_file_for_a_run_and_inline_for_a_person() {
        let request = RunRequest::new("p").system_prompt("be brief");
        let launch = Claude::new().launch(&request, Transport::Dialogue).unwrap();
        assert_eq!(launch.files[0].content, "be brief");
        assert_eq!(
            launch.args.last().unwrap(),
            "--system-prompt-file={belay-file:system-prompt.txt}"
        );
        let line = Claude::new().print_command(&request).unwrap();
        assert!(line.ends_with("'--system-prompt=be brief'"), "{line}");
    }

    #[test]
    fn an_outer_session_and_a_loose_one_are_not_inherited_and_a_login_is() {
        let launch = Claude::new().launch(&RunRequest::new("p"), Transport::Dialogue).unwrap();
        let reason = |name| launch.env.holds_back(name, "1");
        for name in ["CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT"] {
            assert_eq!(reason(name), Some(HoldBack::OuterSession), "{name}");
        }
        assert_eq!(reason("CLAUDE_CODE_SANDBOXED"), Some(HoldBack::Permissions));
        for name in ["ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "IS_SANDBOX"] {
            assert_eq!(reason(name), None, "{name}");
            assert!(launch.env.is_listed(name), "{name}");
        }
        assert!(!launch.env.is_listed("OPENAI_API_KEY"));
    }
}
