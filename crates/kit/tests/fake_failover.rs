//! What comes after a failure, with agents that fail as they are told.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

#[path = "support/fake_run.rs"]
mod fake_run;

use belay_testkit::fake_agent::{Exit, FakeAgent, Pause, Play, Until, WaitForStdin};
use belay_testkit::recordings;
use belaykit::trace::{AttemptSummary, Effects, Failover, Start, StopReason};
use belaykit::{Claude, Client, Codex, Event, FailureKind, OnEffects, OnLimit, Policy, RunRequest};
use belaykit::{Rule, Transport};
use fake_run::{ANSWER, SUPERVISOR, Seen, Stage, finish_after, lines, pid, play, read_to, run};
use rustix::process::{Pid, Signal, kill_process};
use std::process::Command;
use std::time::Duration;

/// Claude on a stage with Codex beside it, who prints as `codex exec` does.
struct Two {
    stage: Stage,
    codex: FakeAgent,
}

impl Two {
    fn new(claude: &Play, codex: &Play) -> Self {
        let stage = Stage::new("claude", claude);
        let codex = FakeAgent::new(stage.dir.path(), "codex", codex).unwrap();
        std::fs::create_dir(stage.path("project")).unwrap();
        Self { stage, codex }
    }

    fn client(&self) -> Client {
        let path = format!("{}:/usr/bin:/bin", self.stage.dir.path().display());
        let env = [("PATH".into(), path.into()), ("TMPDIR".into(), self.stage.path("").into())];
        Client::new(Claude::new())
            .or(Codex::new())
            .transport(Transport::Print)
            .supervisor(SUPERVISOR)
            .state_dir(self.stage.path("state"))
            .env(env)
    }

    fn request(&self) -> RunRequest {
        RunRequest::new("Do the task").cwd(self.stage.path("project"))
    }

    async fn run(&self) -> Seen {
        run(&self.client(), self.request()).await
    }
}

fn recorded(agent: &str, name: &str) -> Play {
    let recording = recordings::one(agent, name);
    play(&recording).exit(Exit::Code(recording.exit_code().unwrap()))
}

/// Codex answers when it has read its prompt to the end.
fn codex_answers() -> Play {
    Play { wait_for_stdin: WaitForStdin::Eof, ..play(&recordings::one("codex", "a-text")) }
}

/// Claude calls a shell and dies while it runs.
fn dies_in_a_tool() -> Play {
    let mut lines = lines("claude-code", "b-shell");
    let call = lines.iter().rposition(|line| line.contains(r#""type":"tool_use""#)).unwrap();
    lines.truncate(call + 1);
    let play = Play::lines(lines).exit(Exit::Code(137));
    Play { wait_for_stdin: WaitForStdin::Line, ..play }
}

fn failovers(seen: &Seen) -> Vec<&Failover> {
    let failovers = seen.records.iter().filter_map(|record| match &record.event {
        Event::Failover(failover) => Some(failover),
        _ => None,
    });
    failovers.collect()
}

fn attempts(seen: &Seen) -> Vec<(&str, Option<FailureKind>, Start)> {
    fn of(attempt: &AttemptSummary) -> (&str, Option<FailureKind>, Start) {
        (&attempt.agent, attempt.kind, attempt.start)
    }
    seen.result().attempts.iter().map(of).collect()
}

#[tokio::test]
async fn the_next_agent_answers_when_the_first_one_has_no_login() {
    let two = Two::new(&recorded("claude-code", "h-401"), &codex_answers());
    let seen = two.run().await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(
        attempts(&seen),
        [("claude-code", Some(FailureKind::Auth), Start::Fresh), ("codex", None, Start::Fresh)]
    );
    let [failover] = failovers(&seen)[..] else { panic!("one failover") };
    assert_eq!((&*failover.from, &*failover.to), ("claude-code", "codex"));
    assert_eq!((failover.failure.kind, failover.effects), (FailureKind::Auth, Effects::None));
    assert!(!failover.failure.evidence.is_empty(), "{failover:?}");
    let outcome = seen.outcome.as_ref().unwrap();
    assert_eq!(outcome.agent, "codex");
    // Nothing was done yet: the task goes on as it is.
    assert_eq!(two.codex.log().stdin().join("\n").trim(), "Do the task");
}

#[tokio::test]
async fn work_that_was_begun_is_handed_over_and_never_begun_again() {
    let two = Two::new(&Play { linger_ms: 60_000, ..dies_in_a_tool() }, &codex_answers());
    let project = two.stage.path("project");
    for args in [&["init", "-q"][..], &["add", "-A"]] {
        assert!(Command::new("git").current_dir(&project).args(args).status().unwrap().success());
    }
    std::fs::write(project.join("mine.txt"), "not committed\n").unwrap();
    let client = two.client().policy(Policy::default().max_retries(0));
    let mut run = client.start(two.request());
    let records = read_to(&mut run, "tool_call").await;
    // What the agent's tool did.
    std::fs::write(project.join("made by claude.txt"), "half\n").unwrap();
    std::fs::write(project.join("mine.txt"), "changed\n").unwrap();
    let agent = Pid::from_raw(pid(&records).try_into().unwrap()).unwrap();
    kill_process(agent, Signal::KILL).unwrap();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.answer(), ANSWER);
    let [failover] = failovers(&seen)[..] else { panic!("one failover") };
    assert_eq!((failover.effects, failover.start), (Effects::Possible, Start::Handover));
    let brief = two.codex.log().stdin().join("\n");
    for words in [
        "Do the task\n",
        "A made by claude.txt",
        "M mine.txt",
        "-not committed\n+changed",
        "UNDER WAY when it stopped",
    ] {
        assert!(brief.contains(words), "{words}: {brief}");
    }
    let index = Command::new("git").current_dir(&project).args(["status", "-s"]).output().unwrap();
    assert_eq!(
        String::from_utf8(index.stdout).unwrap(),
        "?? \"made by claude.txt\"\n?? mine.txt\n",
        "the user's index is as it was"
    );
}

#[tokio::test]
async fn an_agent_that_died_goes_on_in_its_own_session_first() {
    let two = Two::new(&dies_in_a_tool(), &codex_answers());
    let seen = run(&two.client().policy(Policy::default().max_retries(1)), two.request()).await;
    let starts: Vec<_> =
        attempts(&seen).into_iter().map(|(agent, _, start)| (agent, start)).collect();
    assert_eq!(
        starts,
        [("claude-code", Start::Fresh), ("claude-code", Start::Resume), ("codex", Start::Handover)]
    );
    assert_eq!(seen.count("retry"), 1);
    let argv = two.stage.agent.log().argv().join(" ");
    assert!(argv.contains("--resume="), "{argv}");
    // Outside of git the account has no diff, and says so.
    let brief = two.codex.log().stdin().join("\n");
    assert!(brief.contains("There are no changes since the run began."), "{brief}");
}

#[tokio::test]
async fn nobody_else_goes_on_with_work_if_the_caller_says_so() {
    let two = Two::new(&dies_in_a_tool(), &codex_answers());
    let policy = Policy::default().max_retries(0).on_effects(OnEffects::Stop);
    let seen = run(&two.client().policy(policy), two.request()).await;
    assert_eq!(seen.count("attempt_started"), 1);
    assert_eq!(seen.count("failover"), 0);
    assert_eq!(seen.notices("failover").len(), 1);
    assert!(seen.outcome.is_err());
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_passed_over() {
    let two = Two::new(&codex_answers(), &codex_answers());
    std::fs::remove_file(two.stage.path("claude")).unwrap();
    let seen = two.run().await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(failovers(&seen)[0].failure.kind, FailureKind::NotInstalled);
    assert!(two.client().check(&two.request()).is_ok());
    std::fs::remove_file(two.stage.path("codex")).unwrap();
    assert_eq!(two.client().check(&two.request()).unwrap_err().kind(), FailureKind::NotInstalled);
}

#[tokio::test]
async fn a_chain_that_runs_dry_says_so_and_keeps_every_attempt() {
    let two = Two::new(&recorded("claude-code", "h-401"), &recorded("codex", "k-usage-limit"));
    let seen = two.run().await;
    assert_eq!(seen.failure().kind, FailureKind::UsageLimit);
    assert_eq!(seen.result().attempts.len(), 2);
    assert_eq!(seen.notices("failover"), ["no agent of the chain is left"]);
    let journal = two.stage.path("state/runs").join(&seen.records[0].run);
    assert!(!journal.join("request.2.json").exists() || journal.join("request.json").exists());
}

#[tokio::test]
async fn a_caller_can_ask_for_an_end_at_a_limit() {
    let two = Two::new(&recorded("claude-code", "h-401"), &codex_answers());
    let policy = Policy::default().on(FailureKind::Auth, Rule::STOP);
    let seen = run(&two.client().policy(policy), two.request()).await;
    assert_eq!((seen.failure().kind, seen.count("attempt_started")), (FailureKind::Auth, 1));
}

/// Claude has used up its window, which opens again at `reset`.
fn limited(reset: i64) -> Play {
    let mut lines = lines("claude-code", "g-429-forever");
    let info = format!(
        r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":{reset},"rateLimitType":"five_hour"}},"uuid":"u","session_id":"s"}}"#
    );
    lines.insert(1, info);
    let play = Play::lines(lines).exit(Exit::Code(1));
    Play { wait_for_stdin: WaitForStdin::Line, ..play }
}

#[tokio::test]
async fn a_wait_for_a_limit_can_be_ended() {
    let soon = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64 + 3600;
    let two = Two::new(&limited(soon), &codex_answers());
    let policy = Policy::default().on_limit(OnLimit::Wait).wait_max(Duration::from_secs(7200));
    let mut run = two.client().policy(policy).start(two.request());
    let records = read_to(&mut run, "waiting").await;
    let Event::Waiting(waiting) = &records.last().unwrap().event else { unreachable!() };
    let late = waiting.until.as_second() - soon;
    assert!((10..=61).contains(&late), "after the reset, and not at once: {late} s");
    assert_eq!(waiting.candidate.as_deref(), Some("claude-code"));
    run.interrupter().interrupt();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    assert!(seen.failure().message.contains("while it waited"), "{:?}", seen.failure());
    let stopped = seen.records.iter().any(|record| {
        matches!(&record.event, Event::Interrupted(event) if event.reason == StopReason::User)
    });
    assert!(stopped);
}

#[tokio::test]
async fn without_patience_a_limit_is_an_end_that_says_when_to_come_back() {
    let soon = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64 + 3600;
    let two = Two::new(&limited(soon), &recorded("codex", "h-401"));
    let seen =
        run(&two.client().policy(Policy::default().on_limit(OnLimit::Fail)), two.request()).await;
    assert_eq!(seen.count("attempt_started"), 1);
    assert_eq!(seen.result().retry_at.map(|at| at.as_second()), Some(soon));
    // The next one may not help, but the limit, which is known by now, is still what to wait for.
    let seen = two.run().await;
    assert_eq!(seen.count("attempt_started"), 1);
    assert_eq!(seen.failure().kind, FailureKind::Auth);
    assert_eq!(seen.result().retry_at.map(|at| at.as_second()), Some(soon));
}

#[tokio::test]
async fn the_runs_own_time_is_never_waited_away() {
    let soon = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64 + 3600;
    let two = Two::new(&limited(soon), &codex_answers());
    let policy = Policy::default().on_limit(OnLimit::Wait);
    let request = two.request().timeout(Duration::from_secs(600));
    let seen = run(&two.client().policy(policy), request).await;
    assert_eq!(seen.count("waiting"), 0);
    assert_eq!(seen.failure().kind, FailureKind::UsageLimit);
    assert!(seen.result().retry_at.is_some());
}

/// Claude has its first response behind it, and goes on until it is interrupted.
fn spends() -> Play {
    let spent = lines("claude-code", "f-partial");
    let paid = spent.iter().position(|line| line.contains(r#""message_delta""#)).unwrap();
    let mut ends = lines("claude-code", "s-multi-interrupt");
    let ends = ends.drain(13..17).collect();
    let until = Until::StdinLine(r#""subtype":"interrupt""#.into());
    let pause = Pause { after_line: paid + 1, until, then: ends, resume: false };
    let play = Play::lines(spent[..=paid].to_vec()).exit(Exit::Code(1));
    Play { wait_for_stdin: WaitForStdin::Line, pauses: vec![pause], ..play }
}

#[tokio::test]
async fn a_run_that_has_cost_what_it_may_is_stopped_in_mid_turn_and_nobody_takes_over() {
    let two = Two::new(&spends(), &codex_answers());
    let client = two.client().transport(Transport::Dialogue);
    let seen = run(&client, two.request().max_cost_usd(0.001)).await;
    assert_eq!(seen.failure().kind, FailureKind::LimitReached);
    assert!(seen.failure().message.contains("of $0.001 (max_cost)"), "{:?}", seen.failure());
    assert_eq!((seen.count("attempt_started"), seen.count("failover")), (1, 0));
    let cost = seen.result().usage.total_cost_usd.unwrap();
    assert!(cost > 0.001, "{cost}");
}
