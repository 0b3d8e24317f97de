//! Docker Agent, formerly cagent: `docker-agent run --exec --json`, as 1.32.3 was recorded. What is newer is from its
//! source and says so.

mod asides;
mod classify;
mod exec;
mod failures;
mod last_error;
mod own_commands;
mod tools;
mod wire;

pub(crate) use failures::FAILURES;

use crate::agent::{check_name, check_options};
use crate::quiet;
use crate::{
    Account, Agent, Capabilities, Capability, Care, EffectiveMode, EnvPolicy, Launch, Permissions,
    Protocol, RunRequest, Session, StopPlan, Support, Transport, Unsupported, UserConfig,
};
use belay_trace::Failure;
use std::borrow::Cow;

/// Docker Agent, the CLI `docker-agent`.
///
/// It runs an agent that a file, an image or the program itself describes, model included. Another description is another
/// agent, with a provider, a key and a model of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerAgent {
    pub(crate) agent: Option<String>,
}

/// What is run, and with which model if not with its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Described<'a> {
    agent: &'a str,
    model: Option<&'a str>,
}

/// What the program runs that is given no file: an agent of its own.
const BUILT_IN: &str = "default";

/// Stands for a session that a run looks up. The program knows none of this name, so it never begins another one instead.
const LATEST: &str = "{belay-latest}";

impl DockerAgent {
    pub(crate) const NAME: &'static str = "docker-agent";

    /// Runs `agent`: a YAML file, an image, or `default` or `coder`, which are built in.
    pub fn new(agent: impl Into<String>) -> Self {
        Self { agent: Some(agent.into()) }
    }

    /// The agent, and the model that it is given. Where no agent was named, the model of the request names it.
    fn described<'a>(&'a self, model: Option<&'a str>) -> Described<'a> {
        let some = |text: Option<&'a str>| text.filter(|text| !text.is_empty());
        match (some(self.agent.as_deref()), some(model)) {
            (Some(agent), model) => {
                Described { agent, model: model.filter(|model| *model != agent) }
            }
            (None, Some(agent)) => Described { agent, model: None },
            (None, None) => Described { agent: BUILT_IN, model: None },
        }
    }
}

impl Described<'_> {
    fn check(self) -> Result<(), Unsupported> {
        let is_odd = |text: &str| text.starts_with('-') || text.chars().any(char::is_control);
        let is_file = |text: &str| [".yaml", ".yml"].iter().any(|end| text.ends_with(end));
        let hint = match self {
            Self { agent, .. } if is_odd(agent) => {
                "an agent's file or image does not begin with a dash"
            }
            Self { model: Some(model), .. } if is_odd(model) || is_file(model) => {
                "the agent is already named, so --model is the model it uses: provider/model, or a name from its \
                 file; to run another agent, use docker-agent:FILE"
            }
            _ => return Ok(()),
        };
        Err(Unsupported { agent: DockerAgent::NAME, option: "model", hint: Some(hint) })
    }
}

/// What it asks models with; what an agent's file names besides is handed over.
const ENV: &[&str] =
    &["OPENAI_*", "ANTHROPIC_*", "GOOGLE_*", "GEMINI_API_KEY", "TELEMETRY_ENABLED"];

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
    (Capability::Images, Support::Native),
    (Capability::OutputSchema, Support::Belay),
    (Capability::Resume, Support::Native),
    (Capability::Continue, Support::Belay),
    (Capability::Fork, Support::No),
    (Capability::NativeInterrupt, Support::No),
    (Capability::Steer, Support::No),
    (Capability::PermissionRequests, Support::No),
    (Capability::ReportedUsage, Support::Native),
    (Capability::ReportedCost, Support::Native),
    (Capability::ReportedWindow, Support::Native),
]);

/// What says who pays.
const ACCOUNT: &[&str] = &[
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "GOOGLE_API_KEY",
    "GEMINI_API_KEY",
];

impl Agent for DockerAgent {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn identity(&self, model: Option<&str>) -> Cow<'_, str> {
        let agent = self.agent.as_deref().or(model).filter(|agent| !agent.is_empty());
        match agent {
            Some(agent) => Cow::Owned(format!("{}:{}", Self::NAME, plain_path(agent))),
            None => Cow::Borrowed(Self::NAME),
        }
    }

    fn model(&self) -> Option<&str> {
        self.agent.as_deref()
    }

    /// The description of the agent says which provider it uses, and with which key.
    fn account(&self, model: Option<&str>) -> Account {
        let Described { agent, model } = self.described(model);
        let agent = plain_path(agent);
        let provider = model.and_then(|model| model.rsplit('=').next()?.split_once('/'));
        let part = match provider {
            Some((provider, _)) => format!("{agent} {provider}"),
            None => agent.to_owned(),
        };
        Account {
            part: Some(part),
            described_in: Some(agent.to_owned()),
            ..Account::default().variables(ACCOUNT)
        }
    }

    fn effective_mode(&self, _config: &dyn UserConfig, args: &[String]) -> EffectiveMode {
        match args.iter().find(|arg| *arg == "--yolo" || arg.starts_with("--yolo=")) {
            Some(arg) => EffectiveMode::of_argument(arg),
            None => EffectiveMode::unknown(
                "the permissions in the agent's file; without --yolo, calls that need confirmation are rejected",
            ),
        }
    }

    fn care(&self) -> Care {
        Care {
            install: "see https://github.com/docker/docker-agent",
            node: None,
            log_in: "set the key that the agent's file names",
            tried: Some(("1.32.3", "1.32.3")),
        }
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Print]
    }

    fn capabilities(&self, _transport: Transport) -> Capabilities {
        EXEC
    }

    fn tells_retries(&self, _transport: Transport) -> bool {
        false
    }

    fn trial_args(&self) -> Option<Vec<String>> {
        // Without a file there is nothing of the user's to check.
        let agent = self.agent.as_deref()?;
        self.described(None).check().ok()?;
        let args = ["run", "--exec", "--dry-run", agent];
        Some(args.map(str::to_owned).to_vec())
    }

    fn trial_failure(&self, stderr: &[u8]) -> Failure {
        classify::of_trial(&String::from_utf8_lossy(stderr))
    }

    fn launch(&self, request: &RunRequest, transport: Transport) -> Result<Launch, Unsupported> {
        let mut launch = Launch::new("docker-agent");
        launch.ignored = check_options(Self::NAME, EXEC, request).map_err(explained)?;
        launch.env = EnvPolicy::with(ENV);
        let is_one_shot = transport != Transport::Interactive;
        if is_one_shot {
            launch.env.quiet = quiet::DOCKER_AGENT;
        }
        // Either signal ends it in 0.1 s, with its command, `stream_stopped` and exit code 0.
        launch.stop =
            StopPlan { native: false, sigint: true, sigterm: true, ..StopPlan::default() };
        let described = self.described(request.model.as_deref());
        described.check()?;
        launch.arg("run");
        if is_one_shot {
            ["--exec", "--json"].iter().for_each(|arg| launch.arg(*arg));
        }
        permissions(&mut launch, request)?;
        match &request.session {
            Session::Resume(id) => {
                check_name(Self::NAME, "resume", id)?;
                launch.bind("--session", id);
            }
            Session::Continue if !is_one_shot => {
                let hint = Some(
                    "name the session with --resume: the program does not know the latest of a folder",
                );
                return Err(Unsupported { agent: Self::NAME, option: "continue", hint });
            }
            Session::Continue => launch.bind("--session", LATEST),
            Session::New | Session::Fork(_) => {}
        }
        if let Some(model) = described.model {
            launch.bind("--model", model);
        }
        image(&mut launch, request)?;
        launch.args.extend(request.extra_args.iter().cloned());
        let prompt = own_commands::keep(&request.composed_prompt()).prompt;
        let is_named = self.agent.is_some() || request.model.is_some();
        if !is_one_shot && !prompt.is_empty() {
            launch.arg("--");
        }
        if is_one_shot || is_named || !prompt.is_empty() {
            launch.arg(described.agent);
        }
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

/// `./agent.yaml` is `agent.yaml`.
fn plain_path(agent: &str) -> &str {
    agent.strip_prefix("./").unwrap_or(agent)
}

/// Why it cannot do something that other agents can.
fn explained(error: Unsupported) -> Unsupported {
    let hint = match error.option {
        "fork" => Some("it cannot copy a session; --resume continues the session itself"),
        _ => error.hint,
    };
    Unsupported { hint, ..error }
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

/// It takes one image.
fn image(launch: &mut Launch, request: &RunRequest) -> Result<(), Unsupported> {
    match &request.images[..] {
        [] => {}
        [image] => launch.bind("--attach", image.argument(DockerAgent::NAME, &[])?),
        [image, ..] if request.lenient => {
            launch.bind("--attach", image.argument(DockerAgent::NAME, &[])?);
            launch.ignored.push("images");
        }
        _ => {
            let hint = Some("docker-agent takes one image per prompt");
            return Err(Unsupported { agent: DockerAgent::NAME, option: "images", hint });
        }
    }
    Ok(())
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
        assert_eq!(error(RunRequest::new("p").model("two.yaml")), "model");
        assert_eq!(error(RunRequest::new("p").resume("-x")), "resume");
        assert_eq!(error(RunRequest::new("p").image("a.png").image("b.png")), "images");
        let typed = launch(RunRequest::new("p").continue_latest(), Transport::Interactive);
        assert_eq!(typed.unwrap_err().option, "continue");
        let error = launch(RunRequest::new("p").fork("s1"), Transport::Print).unwrap_err();
        assert!(error.to_string().contains("it cannot copy a session"), "{error}");
        let odd = DockerAgent::new("--yolo").launch(&"p".into(), Transport::Print);
        assert_eq!(odd.unwrap_err().option, "model");
    }

    #[test]
    fn the_agent_is_a_file_or_built_in_and_a_model_stands_beside_it() {
        let args = |agent: DockerAgent, request: RunRequest| {
            agent.launch(&request, Transport::Print).unwrap().args.join(" ")
        };
        let p = || RunRequest::new("p");
        let bare = DockerAgent::default;
        assert_eq!(args(bare(), p()), "run --exec --json default -");
        assert_eq!(args(bare(), p().model("a.yaml")), "run --exec --json a.yaml -");
        assert_eq!(args(DockerAgent::new("coder"), p()), "run --exec --json coder -");
        let one = || DockerAgent::new("one.yaml");
        assert_eq!(args(one(), p().model("one.yaml")), "run --exec --json one.yaml -");
        for model in ["openai/gpt-4o", "root=openai/gpt-4o", "m2"] {
            let want = format!("run --exec --json --model={model} one.yaml -");
            assert_eq!(args(one(), p().model(model)), want);
        }
        let image = args(one(), p().image("/a b.png"));
        assert_eq!(image, "run --exec --json --attach=/a b.png one.yaml -");
        // No session is begun in the place of one that a run has to look up.
        let latest = args(one(), p().continue_latest());
        assert_eq!(latest, "run --exec --json --session={belay-latest} one.yaml -");
    }

    #[test]
    fn another_file_is_another_agent_with_another_account() {
        let of = |agent: &str, model| {
            let agent = DockerAgent::new(agent);
            (agent.identity(model).into_owned(), agent.account(model).part)
        };
        assert_eq!(of("./one.yaml", None), of("one.yaml", None));
        assert_ne!(of("one.yaml", None), of("two.yaml", None));
        // Another model of the same agent, which may be paid for elsewhere.
        let (name, part) = of("one.yaml", Some("openai/gpt-4o"));
        assert_eq!(
            (name.as_str(), part.as_deref()),
            ("docker-agent:one.yaml", Some("one.yaml openai"))
        );
        assert_eq!(DockerAgent::default().identity(None), "docker-agent");
    }

    #[test]
    fn a_prompt_has_no_command_of_the_program() {
        let text = "look at /attach key.pem";
        let printed = launch(text.into(), Transport::Print).unwrap();
        assert_eq!(printed.stdin, "look at /attach\tkey.pem");
        let typed = launch(text.into(), Transport::Interactive).unwrap();
        assert_eq!(typed.args.last().unwrap(), "look at /attach\tkey.pem");
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
