//! Pi, the coding agent of earendil-works.
//!
//! A run speaks with `pi --mode rpc`, which can be interrupted and steered; `pi -p --mode json` is the second
//! transport. Both print the same session events, and both exit with 0 whatever happens.
//! Measured on 1.5.2; facts and their source are in `docs/agents/pi.md`.

mod asides;
mod classify;
mod ending;
mod failures;
mod json;
mod mcp;
mod message;
mod meter;
mod rpc;
pub(crate) mod session_file;
mod stream;
mod tools;
mod wire;

pub(crate) use failures::FAILURES;

use crate::agent::{check_name, check_options};
use crate::mode::mode_argument;
use crate::quiet;
use crate::witness::Witnessed;
use crate::{
    Account, AccountPart, Agent, Capabilities, Capability, Care, EffectiveMode, EnvPolicy, Launch,
    Login, Permissions, Protocol, RunRequest, Session, SessionFiles, StopPlan, Support, Transport,
    Unsupported, UserConfig,
};
use std::borrow::Cow;

/// Pi, the CLI `pi`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pi {
    pub(crate) model: Option<String>,
}

impl Pi {
    pub(crate) const NAME: &'static str = "pi";

    /// Pi with its own default model.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses `model`, as `provider/model`, unless a request names another.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }
}

/// What Pi sets for all that it starts, and for its shell (from its source, 1.5.2).
pub(crate) const SESSION_MARKS: &[&str] = &[
    "PI_CODING_AGENT",
    "PI_SESSION_ID",
    "PI_SESSION_FILE",
    "PI_PROVIDER",
    "PI_MODEL",
    "PI_REASONING_LEVEL",
];

/// What Pi itself reads: it passes in a clean environment too. Of the providers' keys those that are a name each.
pub(crate) const ENV: &[&str] = &[
    "PI_CODING_AGENT_DIR",
    "PI_CODING_AGENT_SESSION_DIR",
    "PI_PACKAGE_DIR",
    "PI_OFFLINE",
    "PI_SKIP_VERSION_CHECK",
    "PI_TELEMETRY",
    "PI_CACHE_RETENTION",
    "PI_CODEMODE_MAX_WORKERS",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_OAUTH_TOKEN",
    "OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "DEEPSEEK_API_KEY",
    "GROQ_API_KEY",
    "CEREBRAS_API_KEY",
    "XAI_API_KEY",
    "OPENROUTER_API_KEY",
    "AI_GATEWAY_API_KEY",
    "MISTRAL_API_KEY",
    "OPENCODE_API_KEY",
];

const RPC: Capabilities = Capabilities::new(&[
    (Capability::StreamingDeltas, Support::Native),
    (Capability::SystemPrompt, Support::Native),
    (Capability::AppendSystemPrompt, Support::Native),
    (Capability::MaxTurns, Support::Belay),
    (Capability::MaxCost, Support::Belay),
    (Capability::AgentRetries, Support::Belay),
    (Capability::MaxOutputTokens, Support::No),
    (Capability::AllowedTools, Support::No),
    (Capability::DisallowedTools, Support::Native),
    (Capability::Effort, Support::Native),
    (Capability::PermitReadOnly, Support::Native),
    (Capability::PermitAsk, Support::No),
    (Capability::PermitEdit, Support::No),
    (Capability::McpServers, Support::Native),
    (Capability::AddDir, Support::No),
    (Capability::Images, Support::Native),
    (Capability::OutputSchema, Support::Belay),
    (Capability::Resume, Support::Native),
    (Capability::Continue, Support::Native),
    (Capability::Fork, Support::Native),
    (Capability::NativeInterrupt, Support::Native),
    (Capability::Steer, Support::Native),
    (Capability::PermissionRequests, Support::No),
    (Capability::ReportedUsage, Support::Native),
    (Capability::ReportedCost, Support::Native),
    (Capability::ReportedWindow, Support::Native),
]);

/// A one-shot command listens to nobody, and its stream does not tell the window.
const JSON: Capabilities =
    RPC.without(&[Capability::NativeInterrupt, Capability::Steer, Capability::ReportedWindow]);

/// The tools that change nothing, by Pi's own example of a read-only run. MCP tools would stay beside them.
const READ_ONLY: &str = "read,grep,find,ls";

/// What says who pays.
pub(crate) const ACCOUNT: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_OAUTH_TOKEN",
    "OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "DEEPSEEK_API_KEY",
    "GROQ_API_KEY",
    "CEREBRAS_API_KEY",
    "XAI_API_KEY",
    "OPENROUTER_API_KEY",
    "AI_GATEWAY_API_KEY",
    "MISTRAL_API_KEY",
    "OPENCODE_API_KEY",
];

impl Agent for Pi {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    fn account(&self, model: Option<&str>) -> Account {
        let account =
            Account::in_file("PI_CODING_AGENT_DIR", ".pi/agent", &["auth.json", "models.json"]);
        account.variables(ACCOUNT).of_provider(model)
    }

    fn account_part(&self, account: &Account, file: &str, content: &[u8]) -> Option<AccountPart> {
        match file {
            "auth.json" => crate::login::account_of_provider(account, content),
            // Providers of the user's own, with their addresses and keys.
            _ => AccountPart::of_json(content, |name| name == "providers"),
        }
    }

    fn logins(&self, file: &[u8]) -> Option<Vec<Login>> {
        crate::login::by_provider(file)
    }

    fn care(&self) -> Care {
        Care {
            install: "npm install -g @earendil-works/pi-coding-agent@latest",
            node: Some((22, 19)),
            log_in: "start pi and type /login, or set a provider's key",
            tried: Some(("1.5.2", "1.6.0")),
        }
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Dialogue, Transport::Print]
    }

    fn capabilities(&self, transport: Transport) -> Capabilities {
        match transport {
            Transport::Dialogue => RPC,
            Transport::Print | Transport::Interactive => JSON,
        }
    }

    fn effective_mode(&self, _config: &dyn UserConfig, args: &[String]) -> EffectiveMode {
        match mode_argument(args, &["--tools", "-t", "--no-*", "-nt", "-nbt", "--exclude-tools"]) {
            Some(arg) => EffectiveMode::of_argument(arg),
            None => EffectiveMode::known(Permissions::Full, "pi asks no one and has no sandbox"),
        }
    }

    fn launch(&self, request: &RunRequest, transport: Transport) -> Result<Launch, Unsupported> {
        let mut launch = Launch::new("pi");
        launch.ignored = check_options(Self::NAME, self.capabilities(transport), request)?;
        launch.env = EnvPolicy::with(ENV);
        if transport != Transport::Interactive {
            launch.env.quiet = quiet::PI;
        }
        // On SIGINT Pi dies and leaves its commands running; on SIGTERM it ends them itself.
        launch.stop = StopPlan {
            native: transport == Transport::Dialogue,
            sigint: false,
            sigterm: true,
            ..StopPlan::default()
        };
        match transport {
            Transport::Dialogue => ["--mode", "rpc"].iter().for_each(|arg| launch.arg(*arg)),
            Transport::Print => {
                ["-p", "--mode", "json"].iter().for_each(|arg| launch.arg(*arg));
                launch.stdin.clone_from(&request.prompt);
            }
            Transport::Interactive => {}
        }
        self.options(&mut launch, request, transport)?;
        launch.args.extend(request.extra_args.iter().cloned());
        for image in request.images.iter().filter(|_| transport != Transport::Dialogue) {
            launch.arg(format!("@{}", image.argument(Self::NAME, &[])?));
        }
        if transport == Transport::Interactive && !request.prompt.is_empty() {
            // Even behind `--`, a word that begins with an @ is a file to Pi.
            let space = if request.prompt.starts_with('@') { " " } else { "" };
            launch.arg("--");
            launch.arg(format!("{space}{}", request.prompt));
        }
        Ok(launch)
    }

    fn harness_tool<'a>(&self, name: &'a str) -> Cow<'a, str> {
        tools::own_name(name)
    }

    fn protocol(&self, request: &RunRequest, transport: Transport) -> Box<dyn Protocol> {
        let driver: Box<dyn Protocol> = match transport {
            Transport::Dialogue => Box::new(rpc::Rpc::new(request)),
            Transport::Print | Transport::Interactive => Box::new(json::Printed::new(request)),
        };
        Box::new(Witnessed::new(driver, session_file::READER, Self::NAME, request))
    }

    fn session_files(&self, session_id: &str) -> Option<SessionFiles> {
        session_file::files(session_id)
    }
}

impl Pi {
    /// Pi takes a value as the next argument, whatever it begins with; `--flag=value` it ignores (1.5.2).
    fn options(
        &self,
        launch: &mut Launch,
        request: &RunRequest,
        transport: Transport,
    ) -> Result<(), Unsupported> {
        if let Some(model) = request.model.as_ref().or(self.model.as_ref()) {
            check_name(Self::NAME, "model", model)?;
            launch.pair("--model", model);
        }
        if let Some(effort) = request.effort {
            launch.pair("--thinking", effort.name());
        }
        let texts = [
            ("--system-prompt", "system-prompt.txt", &request.system_prompt),
            ("--append-system-prompt", "append-system-prompt.txt", &request.append_system_prompt),
        ];
        for (flag, name, text) in texts {
            match text {
                Some(text) if transport == Transport::Interactive => launch.pair(flag, text),
                // Pi reads the file if the value is the path of one.
                Some(text) => launch.pair_file(flag, name, text),
                None => {}
            }
        }
        permissions(launch, request)?;
        mcp::bind(launch, request)?;
        if !request.disallowed_tools.is_empty() {
            launch.pair("--exclude-tools", &request.disallowed_tools.join(","));
        }
        match &request.session {
            Session::New => {}
            Session::Continue => launch.arg("--continue"),
            Session::Resume(id) => {
                check_name(Self::NAME, "resume", id)?;
                launch.pair("--session", id);
            }
            Session::Fork(id) => {
                check_name(Self::NAME, "fork", id)?;
                launch.pair("--fork", id);
            }
        }
        Ok(())
    }
}

/// Pi asks nobody and confines nothing: it can only be offered fewer tools.
fn permissions(launch: &mut Launch, request: &RunRequest) -> Result<(), Unsupported> {
    match request.permissions {
        None | Some(Permissions::Full) => Ok(()),
        Some(Permissions::ReadOnly) => {
            launch.pair("--tools", READ_ONLY);
            launch.arg("--no-mcp");
            Ok(())
        }
        Some(Permissions::Ask) => {
            let hint = "pi asks no one before it acts: use read-only or full";
            Err(Unsupported { agent: Pi::NAME, option: "permissions", hint: Some(hint) })
        }
        Some(Permissions::Edit) => {
            let hint = "pi cannot keep edits inside the working directory: use read-only or full";
            Err(Unsupported { agent: Pi::NAME, option: "permissions", hint: Some(hint) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Effort;

    fn launch(request: RunRequest, transport: Transport) -> Launch {
        Pi::new().launch(&request, transport).unwrap()
    }

    #[track_caller]
    fn check(request: RunRequest, transport: Transport, want: &str) {
        assert_eq!(launch(request, transport).args.join(" "), want);
    }

    #[test]
    fn a_run_takes_its_options_as_pairs_and_its_prompt_as_a_command() {
        let request = RunRequest::new("-x --help").model("lab/mock").effort(Effort::Max);
        let request =
            request.disallowed_tools(["bash", "mcp__*"]).resume("01a1").extra_args(["-nc"]);
        check(
            request,
            Transport::Dialogue,
            "--mode rpc --model lab/mock --thinking max --exclude-tools bash,mcp__* --session 01a1 -nc",
        );
    }

    #[test]
    fn a_system_prompt_goes_in_by_a_private_file_and_stands_in_a_shell_line() {
        let request = RunRequest::new("it's fine").system_prompt("Be brief.");
        let launch = launch(request.clone(), Transport::Dialogue);
        assert_eq!(
            launch.args,
            ["--mode", "rpc", "--system-prompt", &launch.files[0].placeholder()]
        );
        assert_eq!(launch.files[0].content, "Be brief.");
        assert_eq!(
            Pi::new().print_command(&request).unwrap(),
            r"printf %s 'it'\''s fine' | pi -p --mode json --system-prompt 'Be brief.'"
        );
    }

    #[test]
    fn a_permission_is_never_laxer_than_asked() {
        let with = |permissions| RunRequest::new("p").permissions(permissions);
        check(
            with(Permissions::ReadOnly),
            Transport::Print,
            "-p --mode json --tools read,grep,find,ls --no-mcp",
        );
        for lenient in [true, false] {
            let request = with(Permissions::Edit).lenient(lenient);
            let error = Pi::new().launch(&request, Transport::Dialogue).unwrap_err();
            assert!(error.to_string().contains("use read-only or full"), "{error}");
        }
        check(with(Permissions::Full), Transport::Dialogue, "--mode rpc");
    }

    #[test]
    fn names_that_are_no_names_are_refused() {
        let error = |request: RunRequest| {
            Pi::new().launch(&request, Transport::Dialogue).unwrap_err().option
        };
        assert_eq!(error(RunRequest::new("p").model("--api-key")), "model");
        assert_eq!(error(RunRequest::new("p").resume("-c")), "resume");
        assert_eq!(error(RunRequest::new("p").fork("$(id)")), "fork");
        assert_eq!(error(RunRequest::new("p").allowed_tools(["read"])), "allowed_tools");
    }

    #[test]
    fn interactive_args_end_with_the_prompt_which_is_never_a_file() {
        let args =
            |prompt: &str| Pi::new().model("lab/m").interactive_args(&prompt.into()).unwrap();
        assert_eq!(args("-v"), ["pi", "--model", "lab/m", "--", "-v"]);
        assert_eq!(args("@secrets"), ["pi", "--model", "lab/m", "--", " @secrets"]);
    }
}
