//! Two fake agents in one chain.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::fake_run::{Seen, Stage, play, run, supervisor};
use belay_testkit::fake_agent::{Exit, FakeAgent, Play, WaitForStdin};
use belay_testkit::recordings;
use belaykit::trace::{AttemptSummary, Failover, Start};
use belaykit::{Claude, Client, Codex, Event, FailureKind, RunRequest, Transport};

/// Claude on a stage with Codex beside it, who prints as `codex exec` does.
pub(crate) struct Two {
    pub(crate) stage: Stage,
    pub(crate) codex: FakeAgent,
}

impl Two {
    pub(crate) fn new(claude: &Play, codex: &Play) -> Self {
        let stage = Stage::new("claude", claude);
        let codex = FakeAgent::new(stage.dir.path(), "codex", codex).unwrap();
        std::fs::create_dir(stage.path("project")).unwrap();
        Self { stage, codex }
    }

    pub(crate) fn client(&self) -> Client {
        self.surround(Client::new(Claude::new()).or(Codex::new()))
    }

    /// The same surroundings for another chain.
    pub(crate) fn surround(&self, chain: Client) -> Client {
        let path = format!("{}:/usr/bin:/bin", self.stage.dir.path().display());
        let env = [("PATH".into(), path.into()), ("TMPDIR".into(), self.stage.path("").into())];
        chain
            .transport(Transport::Print)
            .supervisor(supervisor())
            .state_dir(self.stage.path("state"))
            .env(env)
    }

    pub(crate) fn request(&self) -> RunRequest {
        RunRequest::new("Do the task").cwd(self.stage.path("project"))
    }

    pub(crate) async fn run(&self) -> Seen {
        run(&self.client(), self.request()).await
    }
}

pub(crate) fn recorded(agent: &str, name: &str) -> Play {
    let recording = recordings::one(agent, name);
    play(&recording).exit(Exit::Code(recording.exit_code().unwrap()))
}

/// Codex answers when it has read its prompt to the end.
pub(crate) fn codex_answers() -> Play {
    Play { wait_for_stdin: WaitForStdin::Eof, ..play(&recordings::one("codex", "a-text")) }
}

/// The failovers, in order.
pub(crate) fn failovers(seen: &Seen) -> Vec<&Failover> {
    let failovers = seen.records.iter().filter_map(|record| match &record.event {
        Event::Failover(failover) => Some(failover),
        _ => None,
    });
    failovers.collect()
}

/// The attempts, each with its end and its beginning.
pub(crate) fn attempts(seen: &Seen) -> Vec<(&str, Option<FailureKind>, Start)> {
    fn of(attempt: &AttemptSummary) -> (&str, Option<FailureKind>, Start) {
        (&attempt.agent, attempt.kind, attempt.start)
    }
    seen.result().attempts.iter().map(of).collect()
}

/// Claude without anybody beside it.
pub(crate) fn alone(claude: &Play) -> Stage {
    Stage::new("claude", claude)
}
