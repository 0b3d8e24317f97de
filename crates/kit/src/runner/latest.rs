//! The latest session of a folder, for an agent that does not know it itself: by the runs that belay has kept.

use super::Runner;
use crate::{aside, limits};
use belay_agents::{Capability, Session, Support};
use belay_trace::{Event, Failure, FailureKind, Store, StoredRun, stored_path};
use std::path::PathBuf;
use tokio::time::timeout;

/// Whose session is looked for, and where.
#[derive(Clone, Debug)]
struct Wanted {
    state_dir: PathBuf,
    /// The agent's name, and what a run calls it.
    agent: String,
    named: String,
    cwd: Option<String>,
}

impl Runner {
    /// Finds the session that the run goes on in, where the agent leaves that to belay.
    pub(super) async fn latest_session(&mut self) -> Result<(), Failure> {
        let agent = &self.client.agent;
        let is_ours = agent.transports().iter().all(|transport| {
            agent.capabilities(*transport).support(Capability::Continue) == Support::Belay
        });
        if self.request.session != Session::Continue || !is_ours {
            return Ok(());
        }
        let named = self.chain.name(0);
        let unknown = |why: &str| {
            let message = format!("{named} has no session to continue: {why}");
            Failure::new(FailureKind::InvalidRequest, message)
        };
        let Some(state_dir) = self.client.state_dir.clone() else {
            return Err(unknown("without a state folder, belay has no record of earlier runs"));
        };
        let cwd = self.request.cwd.as_deref();
        let wanted = Wanted {
            state_dir,
            agent: agent.name().to_owned(),
            named: named.clone(),
            cwd: cwd.map(|cwd| stored_path::to_text(cwd).into_owned()),
        };
        let looking = aside::begin(move || latest(&wanted));
        match timeout(limits::LATEST_LOOK, looking).await {
            Ok(Some(Some(session))) => {
                self.request.session = Session::Resume(session);
                Ok(())
            }
            Ok(Some(None)) => Err(unknown("no earlier run in this folder got an answer")),
            Ok(None) | Err(_) => Err(unknown("the record of earlier runs could not be read")),
        }
    }
}

/// The session of the newest run that the agent has answered in.
fn latest(wanted: &Wanted) -> Option<String> {
    let runs = Store::new(&wanted.state_dir).runs().ok()?;
    runs.iter().take(limits::LATEST_RUNS_MAX).find_map(|run| session_of(run, wanted))
}

fn session_of(run: &StoredRun, wanted: &Wanted) -> Option<String> {
    let overview = run.overview();
    let has_answered =
        overview.usage.is_some_and(|usage| usage.output_tokens.is_some_and(|tokens| tokens > 0));
    if overview.agent != wanted.agent || overview.cwd != wanted.cwd || !has_answered {
        return None;
    }
    // Of a chain with two of them, nobody can tell whose session it is.
    let Event::RunStarted(begun) = run.records().ok()?.next()?.event else { return None };
    let is_theirs = |name: &&String| name.split(':').next() == Some(wanted.agent.as_str());
    let theirs: Vec<_> = begun.agents.iter().filter(is_theirs).collect();
    (theirs == [&wanted.named]).then_some(overview.session_id).flatten()
}
