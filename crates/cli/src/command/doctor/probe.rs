//! One small request of an agent, to see whether it answers.

use crate::fail::Fail;
use crate::say::say;
use belaykit::{Client, Policy, RunRequest};
use serde::Serialize;
use std::time::{Duration, Instant};

const PROMPT: &str = "Reply with the one word: ok";

/// Long enough for an agent's own retries.
const PATIENCE: Duration = Duration::from_secs(120);

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Probe {
    pub(super) answer: Option<String>,
    pub(super) failure: Option<belaykit::Failure>,
    pub(super) duration_ms: u64,
    pub(super) total_cost_usd: Option<f64>,
}

impl Probe {
    pub(super) fn failed(&self) -> bool {
        self.failure.is_some()
    }
}

/// Asks it in a folder of its own, where nothing is to be read or spoilt, and keeps no record.
pub(super) async fn ask(client: Client) -> Result<Probe, Fail> {
    let folder = tempfile::Builder::new().prefix("belay-probe-").tempdir().map_err(Fail::local)?;
    say(format_args!("asking {} for one word …", client.agent_name()));
    let request = RunRequest::new(PROMPT).cwd(folder.path()).timeout(PATIENCE);
    let began = Instant::now();
    let outcome = client.policy(Policy::single()).run(request).await;
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(match outcome {
        Ok(outcome) => Probe {
            answer: Some(outcome.text),
            failure: None,
            duration_ms,
            total_cost_usd: outcome.usage.total_cost_usd,
        },
        Err(error) => Probe {
            answer: None,
            failure: Some(error.failure().clone()),
            duration_ms,
            total_cost_usd: error.outcome().usage.total_cost_usd,
        },
    })
}
