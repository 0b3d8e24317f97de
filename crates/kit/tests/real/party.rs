//! Real agents, each with a scripted model of its own, in one chain and one home.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use belay_testkit::real::{self, CodexPolicy, RealAgent, Sandbox, skip_unless_installed};
use belaykit::trace::{AttemptSummary, Failover};
use belaykit::{
    Agent, Claude, Client, Codex, Copilot, Environment, Error, Event, OpenCode, Outcome, Pi,
    Policy, Record, RunRequest, TraceDir,
};
use std::sync::Arc;

/// What each response of a model costs.
pub(crate) const TOKENS: Tokens =
    Tokens { input: 1200, output: 85, cache_read: 9000, cache_write: 0, reasoning: 0 };

/// A real agent with a model of its own.
pub(crate) struct Party {
    pub(crate) name: &'static str,
    pub(crate) program: RealAgent,
    pub(crate) server: ModelServer,
}

/// How an agent fails.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fails {
    Unauthorized,
    RateLimited,
    Overloaded,
    Dropped,
}

impl Fails {
    /// What its model answers then.
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Unauthorized => Reply::unauthorized(),
            Self::RateLimited => Reply::rate_limited(),
            Self::Overloaded => Reply::overloaded(),
            Self::Dropped => Reply::text("I have begun to say some").drop_after(2),
        }
    }
}

fn program(name: &str) -> Option<RealAgent> {
    match name {
        "claude-code" => real::claude(),
        "codex" => real::codex(),
        "opencode" => real::opencode(),
        "copilot" => real::copilot(),
        _ => real::pi(),
    }
}

/// The agent with a model that says this; nobody if it is not installed.
pub(crate) fn party(name: &'static str, script: Script, test: &str) -> Option<Party> {
    let program = skip_unless_installed(program(name), name, test)?;
    Some(Party { name, program, server: ModelServer::start(script).unwrap() })
}

fn agent(name: &str) -> Arc<dyn Agent> {
    match name {
        "claude-code" => Arc::new(Claude::new().model("claude-sonnet-4-5-20250929")),
        "codex" => Arc::new(Codex::new()),
        "opencode" => Arc::new(OpenCode::new().model("lab/mock-model")),
        "copilot" => Arc::new(Copilot::new().model("mock-model")),
        _ => Arc::new(Pi::new().model("lab/mock-model")),
    }
}

/// One environment for both, in one home.
pub(crate) fn client(sandbox: &Sandbox, parties: &[&Party]) -> Client {
    let mut vars: Vec<(String, String)> = Vec::new();
    for party in parties {
        let own = match party.name {
            "claude-code" => sandbox.env_for_claude(&party.server),
            "codex" => sandbox.env_for_codex(&party.server, CodexPolicy::FULL_ACCESS).unwrap(),
            "opencode" => sandbox.env_for_opencode(&party.server).unwrap(),
            "copilot" => sandbox.env_for_copilot(&party.server),
            _ => sandbox.env_for_pi(&party.server).unwrap(),
        };
        vars.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
        vars.extend(own);
    }
    let vars = vars.into_iter().map(|(name, value)| (name.into(), value.into()));
    let mut environment = Environment::new(vars);
    environment.pass("MOCK_KEY");
    let [first, rest @ ..] = parties else { panic!("a chain has an agent") };
    let mut client = Client::of(agent(first.name));
    for party in rest {
        client = client.or_of(agent(party.name));
    }
    for party in parties {
        client = client.program_of(party.name, &party.program.program);
    }
    client
        .supervisor(belay_testkit::fake_agent::supervisor())
        .environment(environment)
        .state_dir(sandbox.home().join("belay-state"))
        .observe(TraceDir::new(sandbox.home().join("traces")).unwrap())
        .policy(Policy::default().max_retries(0))
}

/// What a run was seen to do.
pub(crate) struct Seen {
    pub(crate) records: Vec<Record>,
    pub(crate) outcome: Result<Outcome, Error>,
}

impl Seen {
    /// The one failover.
    pub(crate) fn failover(&self) -> &Failover {
        let mut failovers = self.records.iter().filter_map(|record| match &record.event {
            Event::Failover(failover) => Some(failover),
            _ => None,
        });
        let failover = failovers.next().expect("one failover");
        assert!(failovers.next().is_none());
        failover
    }

    /// The attempts, as the result has them.
    pub(crate) fn attempts(&self) -> &[AttemptSummary] {
        match &self.records.last().unwrap().event {
            Event::Result(result) => &result.attempts,
            other => panic!("{other:?}"),
        }
    }
}

/// Runs to the end.
pub(crate) fn run(client: &Client, request: RunRequest) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut run = client.start(request);
        let mut records = Vec::new();
        while let Some(record) = run.next().await {
            records.push(record);
        }
        Seen { outcome: run.outcome().await, records }
    })
}
