//! Docker Agent, formerly cagent.
//!
//! Written from its source alone: its program could not be had, so nothing here was seen to work, and the
//! streams in `recordings/docker-agent` are made by hand. `docs/agents/docker-agent.md` says what that means.

mod classify;
mod exec;
mod failures;
mod tools;
mod wire;

pub(crate) use failures::FAILURES;

use crate::agent::{check_name, check_options};
use crate::quiet;
use crate::{
    Account, Agent, Capabilities, Capability, Care, EnvPolicy, Launch, Permissions, Protocol,
    RunRequest, Session, StopPlan, Support, Transport, Unsupported,
};
use std::borrow::Cow;

/// Docker Agent, the CLI `docker-agent`.
///
/// It runs an agent that somebody has described in a file or an image, model included: that description stands
/// in the place where other agents have their model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerAgent {
    pub(crate) agent: Option<String>,
}

impl DockerAgent {
    pub(crate) const NAME: &'static str = "docker-agent";

    /// Runs `agent`, a YAML file or an image.
    pub fn new(agent: impl Into<String>) -> Self {
        Self { agent: Some(agent.into()) }
    }

    /// The agent's file or image, if there is one; only a person who types the prompt can do without.
    fn agent_for<'a>(
        &'a self,
        request: &'a RunRequest,
        transport: Transport,
    ) -> Result<Option<&'a str>, Unsupported> {
        let agent = request.model.as_deref().or(self.agent.as_deref());
        let agent = agent.filter(|agent| !agent.is_empty());
        let hint = match agent {
            None if transport != Transport::Interactive
                || !request.composed_prompt().is_empty() =>
            {
                "name the agent's file or image, as in docker-agent:agent.yaml"
            }
            Some(agent) if agent.starts_with('-') || agent.chars().any(char::is_control) => {
                "an agent's file or image does not begin with a dash"
            }
            _ => return Ok(agent),
        };
        Err(Unsupported { agent: Self::NAME, option: "model", hint: Some(hint) })
    }
}

/// What its source is seen to read; what an agent's file names is handed over.
const ENV: &[&str] = &["OPENAI_*", "ANTHROPIC_*", "TELEMETRY_ENABLED"];

const EXEC: Capabilities = Capabilities::new(&[
    (Capability::StreamingDeltas, Support::Native),
    (Capability::SystemPrompt, Support::Belay),
    (Capability::AppendSystemPrompt, Support::Belay),
    (Capability::MaxTurns, Support::Belay),
    (Capability::MaxCost, Support::Belay),
    (Capability::AgentRetries, Support::No),
    (Capability::MaxOutputTokens, Support::No),
    (Capability::AllowedTools, Support::No),
    (Capability::DisallowedTools, Support::No),
    (Capability::Effort, Support::No),
    (Capability::PermitReadOnly, Support::No),
    (Capability::PermitAsk, Support::No),
    (Capability::PermitEdit, Support::No),
    (Capability::McpServers, Support::No),
    (Capability::AddDir, Support::No),
    (Capability::Images, Support::No),
    (Capability::OutputSchema, Support::Belay),
    (Capability::Resume, Support::Native),
    (Capability::Continue, Support::No),
    (Capability::Fork, Support::No),
    (Capability::NativeInterrupt, Support::No),
    (Capability::Steer, Support::No),
    (Capability::PermissionRequests, Support::No),
    (Capability::ReportedUsage, Support::Native),
    (Capability::ReportedCost, Support::Native),
    (Capability::ReportedWindow, Support::Native),
]);

/// What says who pays.
const ACCOUNT: &[&str] =
    &["OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"];

impl Agent for DockerAgent {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn model(&self) -> Option<&str> {
        self.agent.as_deref()
    }

    /// The description of the agent says which provider it uses, and with which key.
    fn account(&self, model: Option<&str>) -> Account {
        let part = model.or(self.agent.as_deref()).map(str::to_owned);
        Account { part, ..Account::default().variables(ACCOUNT) }
    }

    fn care(&self) -> Care {
        Care {
            install: "see https://github.com/docker/docker-agent",
            node: None,
            log_in: "set a provider's key",
            tried: None,
        }
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Print]
    }

    fn capabilities(&self, _transport: Transport) -> Capabilities {
        EXEC
    }

    fn launch(&self, request: &RunRequest, transport: Transport) -> Result<Launch, Unsupported> {
        let mut launch = Launch::new("docker-agent");
        launch.ignored = check_options(Self::NAME, EXEC, request)?;
        launch.env = EnvPolicy::with(ENV);
        if transport != Transport::Interactive {
            launch.env.quiet = quiet::DOCKER_AGENT;
        }
        // Not measured: the gentle rungs first, and the last one ends whatever is left.
        launch.stop =
            StopPlan { native: false, sigint: true, sigterm: true, ..StopPlan::default() };
        let agent = self.agent_for(request, transport)?;
        launch.arg("run");
        if transport != Transport::Interactive {
            ["--exec", "--json"].iter().for_each(|arg| launch.arg(*arg));
        }
        permissions(&mut launch, request)?;
        if let Session::Resume(id) = &request.session {
            check_name(Self::NAME, "resume", id)?;
            launch.bind("--session", id);
        }
        launch.args.extend(request.extra_args.iter().cloned());
        let prompt = request.composed_prompt();
        let is_one_shot = transport != Transport::Interactive;
        if !is_one_shot && !prompt.is_empty() {
            launch.arg("--");
        }
        launch.args.extend(agent.map(str::to_owned));
        if is_one_shot {
            launch.arg("-");
            launch.stdin = prompt;
        } else if !prompt.is_empty() {
            launch.arg(prompt);
        }
        Ok(launch)
    }

    fn harness_tool<'a>(&self, name: &'a str) -> Cow<'a, str> {
        tools::own_name(name)
    }

    fn protocol(&self, request: &RunRequest, _transport: Transport) -> Box<dyn Protocol> {
        Box::new(exec::Exec::new(request))
    }
}

/// What may be done stands in the agent's file, which can allow more than was asked for.
fn permissions(launch: &mut Launch, request: &RunRequest) -> Result<(), Unsupported> {
    match request.permissions {
        None => Ok(()),
        Some(Permissions::Full) => {
            launch.arg("--yolo");
            Ok(())
        }
        Some(Permissions::ReadOnly | Permissions::Ask | Permissions::Edit) => {
            let hint =
                "what docker-agent may do stands in the agent's file: write it there, or use full";
            let agent = DockerAgent::NAME;
            Err(Unsupported { agent, option: "permissions", hint: Some(hint) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(request: RunRequest, transport: Transport) -> Result<Launch, Unsupported> {
        DockerAgent::new("./agent.yaml").launch(&request, transport)
    }

    #[test]
    fn the_prompt_goes_in_by_standard_input_and_tools_are_confirmed_only_when_that_is_written() {
        let request = RunRequest::new("it's fine").system_prompt("Be brief.").resume("s1");
        let printed = launch(request.clone(), Transport::Print).unwrap();
        assert_eq!(printed.args.join(" "), "run --exec --json --session=s1 ./agent.yaml -");
        assert_eq!(printed.stdin, "Be brief.\n\nit's fine");
        let full = launch(request.permissions(Permissions::Full), Transport::Print).unwrap();
        assert!(full.args.contains(&"--yolo".to_owned()));
        assert_eq!(
            DockerAgent::new("a.yaml").print_command(&"it's fine".into()).unwrap(),
            r"printf %s 'it'\''s fine' | docker-agent run --exec --json a.yaml -"
        );
    }

    #[test]
    fn what_it_cannot_keep_is_refused() {
        let error = |request: RunRequest| launch(request, Transport::Print).unwrap_err().option;
        assert_eq!(error(RunRequest::new("p").permissions(Permissions::ReadOnly)), "permissions");
        assert_eq!(
            error(RunRequest::new("p").permissions(Permissions::Edit).lenient(true)),
            "permissions"
        );
        assert_eq!(error(RunRequest::new("p").model("--yolo")), "model");
        assert_eq!(error(RunRequest::new("p").continue_latest()), "continue");
        assert_eq!(error(RunRequest::new("p").resume("-x")), "resume");
        let error = DockerAgent::default().launch(&"p".into(), Transport::Print).unwrap_err();
        assert!(error.to_string().ends_with("as in docker-agent:agent.yaml"), "{error}");
    }

    #[test]
    fn interactive_args_end_with_the_prompt() {
        let args =
            |prompt: &str| DockerAgent::new("a.yaml").interactive_args(&prompt.into()).unwrap();
        assert_eq!(args("-v"), ["docker-agent", "run", "--", "a.yaml", "-v"]);
        assert_eq!(args(""), ["docker-agent", "run", "a.yaml"]);
        // How `belay agents` looks for the program.
        let bare = DockerAgent::default().interactive_args(&"".into()).unwrap();
        assert_eq!(bare, ["docker-agent", "run"]);
    }
}
