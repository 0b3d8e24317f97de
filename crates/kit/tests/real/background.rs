//! Work that Claude runs on behind its turn: waited for, paid for, stopped, and resumed after.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, Stage, TOKENS, Way, counted, on, times};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belaykit::trace::{BackgroundTasks, CostSource};
use belaykit::{Background, Decision, Event, FailureKind, IdleLimits, Permissions, RunRequest};
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

const FIRST: &str = "I have started it.";
const FINAL: &str = "FINAL";

fn full() -> RunRequest {
    RunRequest::new("PROMPT").permissions(Permissions::Full)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn said(text: &str) -> Reply {
    Reply::text(text).usage(TOKENS)
}

/// The model starts a subagent in the background, which is what Claude does by default.
fn subagent(reply: Reply, description: &str, prompt: &str) -> Reply {
    let agent = "general-purpose";
    let input = json!({
        "description": description, "prompt": prompt, "subagent_type": agent, "run_in_background": true,
    });
    reply.tool("Task", input)
}

/// The model starts a command in the background.
fn command(reply: Reply, command: &str) -> Reply {
    let input = json!({ "command": command, "description": "build", "run_in_background": true });
    reply.tool("Bash", input)
}

/// A command that writes a line a second, so many.
fn ticks(n: u64) -> String {
    format!(
        "for i in $(seq {n}); do echo $i >> ticks; python3 -c 'import time; time.sleep(1)'; done"
    )
}

/// A subagent writes a file and reports, each after this time.
fn works(stage: &Stage, each: Duration) -> [Reply; 2] {
    let path = stage.path_for_model("made.txt");
    let write = Reply::new().write_file(path, "made\n").usage(TOKENS).delay(each);
    [write, said("SUB REPORT").delay(each)]
}

/// Starts a subagent that takes twice this time.
fn with_subagent(stage: &Stage, each: Duration) -> Script {
    Script::new()
        .when("SUB-PROMPT", works(stage, each))
        .reply(subagent(said("Start."), "review", "SUB-PROMPT"))
        .reply(said(FIRST))
}

/// Starts a command of so many seconds.
fn with_command(n: u64) -> Script {
    Script::new().reply(command(said("Start."), &ticks(n))).reply(said(FIRST))
}

fn ticked(stage: &Stage) -> usize {
    fs::read_to_string(stage.file("ticks")).unwrap_or_default().lines().count()
}

impl Played {
    fn warned(&self) -> Vec<&str> {
        let mut notices = self.notices();
        notices.retain(|(code, _)| *code == "background");
        notices.into_iter().map(|(_, words)| words).collect()
    }

    /// It came to its end by itself.
    #[track_caller]
    fn ended_by_itself(&self) {
        assert!(!self.attempt_ended().forced && self.attempt_ended().left.is_empty(), "{self:#?}");
        assert!(self.notices().iter().all(|(code, _)| *code != "lingers"), "{self:#?}");
    }

    /// The tokens are those of `n` responses; the cost is whole or, where Claude told none of its own, may be more.
    #[track_caller]
    fn used_at_least(&self, n: u64) {
        let (usage, want) = (&self.outcome().usage, times(TOKENS, n));
        let want = (want.input, want.output, want.cache_read, want.cache_write);
        assert_eq!(counted(usage), Some(want), "{self:#?}");
        // Sonnet 4.5: 3, 15, 0.3 and 3.75 dollars a million.
        let cost = (want.0 * 300 + want.1 * 1500 + want.2 * 30 + want.3 * 375) as f64 / 1e8;
        let told = usage.total_cost_usd.unwrap_or_else(|| panic!("no cost: {self:#?}"));
        assert!((told - cost).abs() < 1e-9, "{told} is not {cost}: {self:#?}");
    }
}

fn a_subagent_in_the_background_is_waited_for(stage: &Stage) {
    let script = with_subagent(stage, Duration::from_millis(500)).reply(said(FINAL));
    let played = stage.play(script, full());
    played.answered(FINAL);
    played.used(stage.way, 5);
    played.ended_by_itself();
    assert_eq!(fs::read_to_string(stage.file("made.txt")).unwrap(), "made\n");
}
on!(a_subagent_in_the_background_is_waited_for: claude, claude_print);

/// Longer than a process may live on that has nothing open.
fn a_subagent_of_25_seconds_is_waited_for(stage: &Stage) {
    let script = with_subagent(stage, Duration::from_millis(12_500)).reply(said(FINAL));
    let played = stage.play(script, full());
    played.answered(FINAL);
    played.used(stage.way, 5);
    played.ended_by_itself();
    assert!(stage.file("made.txt").exists());
}
on!(a_subagent_of_25_seconds_is_waited_for: claude; claude_print);

fn a_command_of_15_seconds_is_waited_for(stage: &Stage) {
    let played = stage.play(with_command(15).reply(said(FINAL)), full());
    played.answered(FINAL);
    played.used(stage.way, 3);
    played.ended_by_itself();
    assert_eq!(ticked(stage), 15);
}
on!(a_command_of_15_seconds_is_waited_for: claude; claude_print);

fn a_report_that_fails_is_the_failure_of_the_run(stage: &Stage) {
    let script = with_subagent(stage, Duration::from_millis(500)).forever(Reply::overloaded());
    let played = stage.play(script, full());
    played.failed(FailureKind::Overloaded);
    assert_eq!(played.outcome().text, FIRST);
    played.used(stage.way, 4);
}
on!(a_report_that_fails_is_the_failure_of_the_run: claude; claude_print);

/// A subagent that starts another one, one beside it, and a command that outlives the turns that report them.
fn many_tasks_are_waited_for_and_the_last_report_is_the_answer(stage: &Stage) {
    let start = subagent(subagent(said("Start."), "outer", "OUTER"), "other", "OTHER");
    let script = Script::new()
        .when("OUTER", [subagent(said("Go."), "inner", "INNER"), said("OUTER")])
        .when("INNER", said("INNER").delay(seconds(3)))
        .when("OTHER", said("OTHER").delay(seconds(1)))
        .reply(command(start, &ticks(8)))
        .forever(said("A turn."));
    let played = stage.play(script, full());
    played.answered("A turn.");
    let responses = played.requests.len() as u64;
    assert!((8..=10).contains(&responses), "{played:#?}");
    played.used(stage.way, responses);
    played.ended_by_itself();
    assert_eq!(ticked(stage), 8);
    let most = played.events().filter_map(|event| match event {
        Event::BackgroundTasks(BackgroundTasks { tasks, .. }) => Some(tasks.len()),
        _ => None,
    });
    assert!(most.max().unwrap() >= 3, "{played:#?}");
}
on!(many_tasks_are_waited_for_and_the_last_report_is_the_answer: claude; claude_print);

/// Interrupts the run when the wait has begun, and this file is there.
fn interrupted(stage: &Stage, script: Script, file: &str) -> Played {
    let (mut since, mut waits) = (None, false);
    let played = stage.play_with(script, full(), |record, run| {
        if let Event::BackgroundTasks(background) = &record.event {
            waits |= background.waiting;
        }
        if waits && since.is_none() {
            let began = Instant::now();
            while !stage.file(file).exists() && began.elapsed() < seconds(10) {
                std::thread::sleep(Duration::from_millis(10));
            }
            since = Some(Instant::now());
            run.interrupter().interrupt();
        }
    });
    let failure = played.failed(FailureKind::Interrupted).failure();
    assert_eq!(failure.message, "stopped at your request");
    let took = since.unwrap().elapsed();
    assert!(took < seconds(5), "it took {took:?}: {played:#?}");
    assert!(!played.attempt_ended().forced, "{played:#?}");
    assert_eq!(played.outcome().text, FIRST);
    played
}

fn an_interrupt_while_a_command_is_open_keeps_the_cost(stage: &Stage) {
    let played = interrupted(stage, with_command(300).forever(said("Never.")), "ticks");
    played.used(stage.way, 2);
    assert_eq!(played.requests.len(), 2);
}
on!(an_interrupt_while_a_command_is_open_keeps_the_cost: claude; claude_print);

/// Its subagent has had one response, which no result of Claude's tells of.
fn an_interrupt_while_a_subagent_is_open_keeps_the_cost(stage: &Stage) {
    let write = Reply::new().write_file(stage.path_for_model("made.txt"), "made\n").usage(TOKENS);
    let script = Script::new()
        .when("SUB-PROMPT", [write.delay(seconds(1)), said("Never.").stall()])
        .reply(subagent(said("Start."), "review", "SUB-PROMPT"))
        .reply(said(FIRST))
        .forever(said("Never."));
    let played = interrupted(stage, script, "made.txt");
    played.used_at_least(3);
    assert_ne!(played.outcome().usage.cost_source, CostSource::Reported);
    assert!(played.outcome().usage.partial);
    let resumed = stage.play(
        Script::new().reply(said("Good morning.")),
        full().resume(played.outcome().session_id.clone().unwrap()),
    );
    resumed.answered("Good morning.");
    resumed.used(stage.way, 1);
}
on!(an_interrupt_while_a_subagent_is_open_keeps_the_cost: claude; claude_print);

fn what_is_open_is_stopped_at_the_first_result_if_that_is_asked(stage: &Stage) {
    let never = Reply::text("Never.").stall();
    let start = || subagent(said("Start."), "review", "SUB-PROMPT");
    let script = Script::new().when("SUB-PROMPT", never).reply(start()).reply(said(FIRST));
    let began = Instant::now();
    let played = stage.play(script, full().background(Background::Stop));
    played.answered(FIRST);
    // What the subagent has asked its model, nobody has paid for by then.
    played.used_at_least(2);
    assert!(played.outcome().usage.partial, "{played:#?}");
    assert!(began.elapsed() < seconds(10), "{played:#?}");
    let [words] = played.warned()[..] else { panic!("{played:#?}") };
    assert!(words.starts_with("stopped the subagent `review`"), "{words}");

    let script = with_command(300).forever(said("Never."));
    let played = stage.play(script, full().background(Background::Stop));
    played.answered(FIRST);
    played.used(stage.way, 2);
    let [words] = played.warned()[..] else { panic!("{played:#?}") };
    assert!(words.starts_with("stopped the command `build`"), "{words}");
    assert!(!played.attempt_ended().forced, "{played:#?}");
}
on!(what_is_open_is_stopped_at_the_first_result_if_that_is_asked: claude; claude_print);

fn limit(limit: Duration) -> RunRequest {
    let mut idle = IdleLimits::default();
    idle.background = Some(limit);
    full().idle(idle)
}

fn a_command_at_its_limit_is_stopped_and_the_answer_stands(stage: &Stage) {
    let played = stage.play(with_command(300).forever(said("Never.")), limit(seconds(4)));
    played.answered(FIRST);
    played.used(stage.way, 2);
    let [warning, end] = played.warned()[..] else { panic!("{played:#?}") };
    assert!(warning.contains("`build`") && end.contains("`build`"), "{warning}; {end}");
    assert!((3..=8).contains(&ticked(stage)), "{}", ticked(stage));
}
on!(a_command_at_its_limit_is_stopped_and_the_answer_stands: claude; claude_print);

fn a_subagent_at_its_limit_has_stalled(stage: &Stage) {
    let script = Script::new()
        .when("SUB-PROMPT", Reply::text("Never.").stall())
        .reply(subagent(said("Start."), "review", "SUB-PROMPT"))
        .reply(said(FIRST))
        .forever(said("Never."));
    let played = stage.play(script, limit(seconds(4)));
    let failure = played.failed(FailureKind::Stalled).failure();
    assert!(failure.message.contains("`review`"), "{failure}");
    assert_eq!(played.outcome().text, FIRST);
    played.used_at_least(2);
    assert_eq!(played.warned().len(), 1, "{played:#?}");
}
on!(a_subagent_at_its_limit_has_stalled: claude; claude_print);

fn a_session_goes_on_after_work_in_the_background(stage: &Stage) {
    let script = with_subagent(stage, Duration::from_millis(300)).reply(said(FINAL));
    let played = stage.play(script, full());
    let session = played.answered(FINAL).session_id.clone().unwrap();
    let resumed = stage
        .play(Script::new().reply(said("More.")), RunRequest::new("And more.").resume(session));
    resumed.answered("More.");
    resumed.used(stage.way, 1);
    assert!(resumed.requests[0].body.to_string().contains("SUB REPORT"));
}
on!(a_session_goes_on_after_work_in_the_background: claude; claude_print);

/// Standard input is still open when Claude asks.
fn a_report_may_ask_for_a_permission(stage: &Stage) {
    let path = stage.path_for_model("asked.txt");
    let script = Script::new()
        .when("SUB-PROMPT", said("SUB REPORT").delay(seconds(1)))
        .reply(subagent(said("Start."), "review", "SUB-PROMPT"))
        .reply(said(FIRST))
        .reply(Reply::new().write_file(path, "asked\n").usage(TOKENS))
        .reply(said(FINAL));
    let server = ModelServer::start(script).unwrap();
    let client = stage.client(&server).on_permission(|_| Decision::Allow);
    let played = stage.play_on(&server, &client, "PROMPT", |_, _| {});
    played.answered(FINAL);
    played.used(Way::Claude, 5);
    assert_eq!(played.of_type("permission_request").len(), 1, "{played:#?}");
    assert_eq!(fs::read_to_string(stage.file("asked.txt")).unwrap(), "asked\n");
}
on!(a_report_may_ask_for_a_permission: claude);

fn the_limit_on_the_cost_counts_what_a_subagent_uses(stage: &Stage) {
    // Sonnet 4.5: 3, 15, 0.3 and 3.75 dollars a million.
    let of_one = 0.0087;
    let step = Reply::new().shell("python3 -c 'import time; time.sleep(1)'").usage(TOKENS);
    let script = Script::new()
        .when("SUB-PROMPT", vec![step; 30])
        .reply(subagent(said("Start."), "review", "SUB-PROMPT"))
        .reply(said(FIRST));
    let played = stage.play(script, full().max_cost_usd(4.5 * of_one));
    let error = played.failed(FailureKind::LimitReached);
    assert!(error.failure().message.contains("(max_cost)"), "{played:#?}");
    assert!(played.requests.len() <= 9, "{} requests", played.requests.len());
}
on!(the_limit_on_the_cost_counts_what_a_subagent_uses: claude, claude_print);
