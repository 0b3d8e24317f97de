//! What runs find out about limits and failures for each other.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::waiting;
use crate::fake_run::{
    ANSWER, Seen, Stage, answer, finish_after, lines, play, read_to, run, sessionless, supervisor,
};
use belay_testkit::fake_agent::{Exit, FakeAgent, Play, Until, WaitForStdin};
use belay_testkit::recordings;
use belaykit::breaker::{Breakers, Scope, Tripped};
use belaykit::trace::{EvidenceSource, Failover};
use belaykit::{Claude, Client, Codex, Event, FailureKind, OnLimit, Policy, Transport};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A Claude, a home and a state folder.
struct Bench {
    stage: Stage,
}

impl Bench {
    fn new(claude: &Play) -> Self {
        let stage = Stage::new("claude", claude);
        fs::create_dir_all(stage.path("home/.claude")).unwrap();
        Self { stage }
    }

    /// Claude plays something else from now on.
    fn replace(&mut self, claude: &Play) {
        self.stage.agent = FakeAgent::new(self.stage.dir.path(), "claude", claude).unwrap();
    }

    fn client(&self) -> Client {
        let env =
            self.stage.env().into_iter().chain([("HOME".into(), self.stage.path("home").into())]);
        Client::new(Claude::new())
            .supervisor(supervisor())
            .state_dir(self.stage.path("state"))
            .policy(Policy::default().max_retries(0))
            .env(env)
    }

    /// The same with a Codex behind.
    fn chain(&self) -> Client {
        if !self.stage.path("codex").exists() {
            let play = play(&recordings::one("codex", "a-text"));
            let play = Play { wait_for_stdin: WaitForStdin::Eof, ..play };
            FakeAgent::new(self.stage.dir.path(), "codex", &play).unwrap();
        }
        self.client().or(Codex::new()).transport(Transport::Print)
    }

    fn starts(&self) -> usize {
        self.stage.agent.log().starts()
    }

    fn tripped(&self) -> Vec<Tripped> {
        Breakers::new(self.stage.path("state")).tripped(Timestamp::now()).unwrap()
    }

    fn file(&self) -> PathBuf {
        let files = fs::read_dir(self.stage.path("state/breaker")).unwrap().flatten();
        let mut files = files.map(|entry| entry.path());
        files.find(|path| path.extension().is_some_and(|end| end == "json")).unwrap()
    }

    /// As if it had been opened two hours ago, and were to be tried now.
    fn make_due(&self) {
        let mut entry: Value = serde_json::from_slice(&fs::read(self.file()).unwrap()).unwrap();
        let ago =
            |hours| Value::from((Timestamp::now() - SignedDuration::from_hours(hours)).to_string());
        let opened = &mut entry["opened"];
        (opened["since"], opened["until"], opened["resets_at"]) = (ago(2), ago(1), ago(1));
        entry["failures"] = json!([]);
        fs::write(self.file(), entry.to_string()).unwrap();
    }
}

fn soon() -> i64 {
    Timestamp::now().as_second() + 3600
}

/// The lines of a Claude that has used up a window.
fn rejected(window: &str, reset: i64) -> Vec<String> {
    let mut lines = lines("claude-code", "g-429-forever");
    let event = json!({
        "type": "rate_limit_event",
        "rate_limit_info": {"status": "rejected", "resetsAt": reset, "rateLimitType": window},
        "uuid": "u",
    });
    lines.insert(1, event.to_string());
    lines
}

fn limited(window: &str, reset: i64) -> Play {
    let play = Play::lines(rejected(window, reset)).exit(Exit::Code(1));
    Play { wait_for_stdin: WaitForStdin::Line, ..play }
}

fn failed(name: &str) -> Play {
    play(&recordings::one("claude-code", name)).exit(Exit::Code(1))
}

fn failovers(seen: &Seen) -> Vec<&Failover> {
    let failovers = seen.records.iter().filter_map(|record| match &record.event {
        Event::Failover(failover) => Some(failover),
        _ => None,
    });
    failovers.collect()
}

#[tokio::test]
async fn what_one_run_has_found_out_spares_the_next_and_is_told() {
    let reset = soon();
    let bench = Bench::new(&limited("five_hour", reset));
    let first = run(&bench.chain(), "p").await;
    assert_eq!((first.answer(), first.count("attempt_started")), (ANSWER, 2));
    let second = run(&bench.chain(), "p").await;
    assert_eq!((second.answer(), second.count("attempt_started")), (ANSWER, 1));
    assert_eq!(bench.starts(), 1);
    let [failover] = failovers(&second)[..] else { panic!("one failover") };
    assert_eq!((&*failover.from, &*failover.to), ("claude-code", "codex"));
    let failure = &failover.failure;
    assert_eq!(failure.kind, FailureKind::UsageLimit);
    assert_eq!(failure.resets_at.map(|at| at.as_second()), Some(reset));
    let [evidence] = &failure.evidence[..] else { panic!("one evidence") };
    assert_eq!((evidence.source, &*evidence.name), (EvidenceSource::Field, "breaker"));
    assert!(evidence.value.contains(&first.records[0].run), "{evidence:?}");
    let [tripped] = &bench.tripped()[..] else { panic!("one is open") };
    assert_eq!((tripped.scope, tripped.who().as_str()), (Scope::Account, "claude-code"));
}

#[tokio::test]
async fn a_chain_that_is_limited_as_a_whole_ends_before_anything_starts_and_says_when_to_come_back()
{
    let reset = soon();
    let bench = Bench::new(&limited("five_hour", reset));
    run(&bench.client(), "p").await;
    let seen = run(&bench.client(), "p").await;
    assert_eq!((seen.count("attempt_started"), bench.starts()), (0, 1));
    assert_eq!(seen.failure().kind, FailureKind::UsageLimit);
    assert_eq!(seen.result().retry_at.map(|at| at.as_second()), Some(reset));
    assert_eq!(seen.failure().evidence[0].name, "breaker");
    // With patience the same is a wait.
    let patient = Policy::default().on_limit(OnLimit::Wait).wait_max(Duration::from_secs(7200));
    let mut waits = bench.client().policy(patient).start("p");
    let records = read_to(&mut waits, "waiting").await;
    let Event::Waiting(waiting) = &records.last().unwrap().event else { unreachable!() };
    assert!(waiting.until.as_second() > reset && waiting.reason == "usage_limit", "{waiting:?}");
    assert_eq!(waiting.failure.as_ref().unwrap().evidence[0].name, "breaker");
    waits.interrupter().interrupt();
    finish_after(records, waits).await;
    assert_eq!(bench.starts(), 1);
}

#[tokio::test]
async fn without_a_state_folder_every_run_finds_out_by_itself() {
    let bench = Bench::new(&limited("five_hour", soon()));
    let client = Client::new(Claude::new()).supervisor(supervisor()).env(bench.stage.env());
    run(&client, "p").await;
    run(&client, "p").await;
    assert_eq!(bench.starts(), 2);
}

#[tokio::test]
async fn a_new_login_is_tried_at_once() {
    let bench = Bench::new(&limited("five_hour", soon()));
    run(&bench.client(), "p").await;
    let login = bench.stage.path("home/.claude/.credentials.json");
    // A server of tools has a login there, too.
    fs::write(&login, r#"{"mcpOAuth":{}}"#).unwrap();
    run(&bench.client(), "p").await;
    assert_eq!((bench.starts(), bench.tripped().len()), (1, 1));
    fs::write(&login, r#"{"claudeAiOauth":{"accessToken":"new"}}"#).unwrap();
    run(&bench.client(), "p").await;
    assert_eq!((bench.starts(), bench.tripped().len()), (2, 2));
    run(&bench.client(), "p").await;
    assert_eq!(bench.starts(), 2);
}

#[tokio::test]
async fn a_limit_of_one_model_leaves_the_others_alone() {
    let bench = Bench::new(&limited("seven_day_opus", soon()));
    run(&bench.client(), belaykit::RunRequest::new("p").model("opus")).await;
    let [tripped] = &bench.tripped()[..] else { panic!("one is open") };
    assert_eq!((tripped.scope, tripped.who().as_str()), (Scope::Model, "claude-code:opus"));
    run(&bench.client(), belaykit::RunRequest::new("p").model("opus")).await;
    assert_eq!(bench.starts(), 1);
    run(&bench.client(), belaykit::RunRequest::new("p").model("sonnet")).await;
    assert_eq!(bench.starts(), 2);
}

#[tokio::test]
async fn whoever_has_no_other_agent_tries_again_what_may_have_been_mended() {
    let mut bench = Bench::new(&failed("h-401"));
    let seen = run(&bench.client(), "p").await;
    assert_eq!(seen.failure().kind, FailureKind::Auth);
    assert_eq!(bench.tripped()[0].kind, FailureKind::Auth);
    // With another agent the login is not tried again.
    let seen = run(&bench.chain(), "p").await;
    assert_eq!((seen.answer(), bench.starts()), (ANSWER, 1));
    assert_eq!(failovers(&seen)[0].failure.kind, FailureKind::Auth);
    bench.replace(&answer());
    let seen = run(&bench.client(), "p").await;
    assert_eq!(seen.answer(), ANSWER);
    // An answer closes what was open.
    assert_eq!(bench.tripped(), []);
}

/// A first run tries, a second one comes meanwhile; returns what both came to.
async fn two_after_the_reset(bench: &Bench) -> (Seen, Seen) {
    bench.make_due();
    let mut first = bench.client().start("p");
    let first_records = read_to(&mut first, "session_started").await;
    let mut second = bench.client().start("p");
    let mut second_records = read_to(&mut second, "waiting").await;
    let Event::Waiting(waiting) = &second_records.last().unwrap().event else { unreachable!() };
    assert_eq!(waiting.reason, "usage_limit");
    let before = bench.starts();
    first.interrupter().steer("go on");
    let first = finish_after(first_records, first).await;
    assert_eq!(bench.starts(), before, "one tries, the other one waits for what comes of it");
    if first.outcome.is_ok() {
        second_records.extend(read_to(&mut second, "session_started").await);
        second.interrupter().steer("go on");
    }
    (first, finish_after(second_records, second).await)
}

#[tokio::test]
async fn after_the_reset_one_run_tries_and_the_others_go_on_when_it_works() {
    let mut bench = Bench::new(&limited("five_hour", soon()));
    run(&bench.client(), "p").await;
    let rest = lines("claude-code", "a-text").split_off(1);
    bench.replace(&waiting(Until::StdinLine("go on".into()), rest));
    let (first, second) = two_after_the_reset(&bench).await;
    assert_eq!((first.answer(), second.answer()), (ANSWER, ANSWER));
    assert_eq!(bench.tripped(), []);
}

#[tokio::test]
async fn after_the_reset_one_run_tries_and_the_others_are_spared_when_it_does_not_work() {
    let mut bench = Bench::new(&limited("five_hour", soon()));
    run(&bench.client(), "p").await;
    let reset = soon();
    let rest = sessionless(rejected("five_hour", reset).split_off(1));
    let play = waiting(Until::StdinLine("go on".into()), rest).exit(Exit::Code(1));
    bench.replace(&play);
    let (first, second) = two_after_the_reset(&bench).await;
    assert_eq!(first.failure().kind, FailureKind::UsageLimit);
    assert_eq!(second.failure().kind, FailureKind::UsageLimit);
    assert_eq!(second.count("attempt_started"), 0);
    assert_eq!(second.result().retry_at.map(|at| at.as_second()), Some(reset));
    assert_eq!(bench.tripped()[0].ejections, 1, "after an hour it is a new trouble");
}
