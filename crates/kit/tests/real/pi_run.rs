//! A run of the real Pi.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use belay_testkit::model_server::{ModelServer, Request, Script};
use belay_testkit::real::{self, Sandbox, skip_unless_installed};
use belaykit::{Client, Error, Outcome, Pi, Record, RunRequest, Transport};
use std::time::Duration;

/// A run that is over.
pub(crate) struct PiRun {
    pub(crate) records: Vec<Record>,
    pub(crate) outcome: Result<Outcome, Error>,
    pub(crate) requests: Vec<Request>,
}

/// Runs the request on the real Pi, if there is one.
pub(crate) fn pi_run(
    test: &str,
    transport: Transport,
    script: Script,
    request: RunRequest,
) -> Option<PiRun> {
    let program = skip_unless_installed(real::pi(), "pi", test)?;
    let (sandbox, server) = (Sandbox::new().unwrap(), ModelServer::start(script).unwrap());
    let vars = sandbox.env_for_pi(&server).unwrap().into_iter();
    let client = Client::new(Pi::new().model("lab/mock-model"))
        .program(&program.program)
        .transport(transport)
        .supervisor(belay_testkit::fake_agent::supervisor())
        .env(vars.map(|(name, value)| (name.into(), value.into())))
        .state_dir(sandbox.home().join("belay-state"));
    let request = request.cwd(sandbox.project());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (records, outcome) = runtime.block_on(async {
        let mut run = client.start(request);
        let mut records = Vec::new();
        let all = async {
            while let Some(record) = run.next().await {
                records.push(record);
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all).await.expect("the run hangs");
        (records, run.outcome().await)
    });
    Some(PiRun { records, outcome, requests: server.requests() })
}
