//! ACP agents that say something after their answer: some answer too early, others continue on their own.

use crate::fake_run::{Seen, Stage, executable, finish_after, read_to, run};
use belay_agents::{Acp, Replay, Transport};
use belay_testkit::fake_agent::Play;
use belaykit::trace::journal::input_file;
use belaykit::{Client, Event, FailureKind, Policy, RunRequest};
use std::time::Duration;

/// Speaks as much ACP as a prompt needs; `say`, `update`, `text` and `ends` are for what comes after it.
const AGENT: &str = r#"#!/bin/sh
PATH=/usr/bin:/bin
say() { printf '{"jsonrpc":"2.0",%s}\n' "$1"; }
update() { say "\"method\":\"session/update\",\"params\":{\"sessionId\":\"s1\",\"update\":{$1}}"; }
text() { update "\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":\"$1\"}"; }
used() { update '"sessionUpdate":"usage_update","used":7,"size":100'; }
ends() { say '"id":3,"result":{"stopReason":"end_turn"}'; }
while read -r line; do case $line in
*'"initialize"'*) say '"id":1,"result":{"protocolVersion":1}';;
*'"session/new"'*) say '"id":2,"result":{"sessionId":"s1"}';;
*'"session/prompt"'*) "#;

/// An agent that does this when it is prompted.
struct Place {
    stage: Stage,
}

impl Place {
    fn new(then: &str) -> Self {
        let stage = Stage::new("nothing", &Play::default());
        executable(&stage.path("agent"), &format!("{AGENT}{then};; esac; done\n"));
        Self { stage }
    }

    fn client(&self) -> Client {
        Client::new(Acp::command("agent"))
            .policy(Policy::single())
            .supervisor(crate::fake_run::supervisor())
            .env(self.stage.env())
            .state_dir(self.stage.path("state"))
    }

    async fn play(&self) -> Seen {
        run(&self.client(), "p").await
    }

    /// The run's inputs give the same answer once more.
    fn replays(&self, seen: &Seen) {
        let folder = self.stage.path("state").join("runs").join(&seen.records[0].run);
        let log = std::fs::read(folder.join(input_file(1))).expect("a journal");
        let request = RunRequest::new("p");
        let replay = Replay::of(&Acp::command("agent"), &request, Transport::Dialogue, &log);
        let ends: Vec<_> = replay.ended.iter().map(|end| end.answer.as_str()).collect();
        assert_eq!(ends, [seen.result().result.as_str()]);
    }
}

/// The milliseconds between the last event with this name and the one that ends the attempt.
fn rest(seen: &Seen, name: &str) -> i64 {
    let at = |name: &str| {
        let last = seen.records.iter().rfind(|record| record.event.type_name() == name);
        last.expect("it was told").ts.as_millisecond()
    };
    at("attempt_result") - at(name)
}

#[tokio::test]
async fn words_that_come_50_ms_after_the_answer_are_in_it() {
    let place = Place::new("text 'Half '; ends; sleep 0.05; text 'of it.'");
    let seen = place.play().await;
    assert_eq!(seen.answer(), "Half of it.");
    place.replays(&seen);
}

/// Found by reading: such words were heard when the turn was over.
#[tokio::test]
async fn late_words_that_are_held_for_their_secrets_are_in_the_answer() {
    let place = Place::new("text 'It begins with '; ends; sleep 0.05; text 'sk-ant-api03-ABCDEF'");
    let seen = place.play().await;
    assert!(seen.answer().starts_with("It begins with ") && seen.answer().len() > 16, "{seen:?}");
    place.replays(&seen);
}

#[tokio::test]
async fn an_agent_that_is_quiet_after_its_answer_costs_a_tenth_of_a_second() {
    let seen = Place::new("text 'All.'; ends").play().await;
    assert_eq!(seen.answer(), "All.");
    let rest = rest(&seen, "text");
    assert!((90..1000).contains(&rest), "{rest} ms");
}

#[tokio::test]
async fn a_tool_that_is_begun_after_the_answer_is_waited_for() {
    let call = |status: &str| {
        format!(
            r#"update '"sessionUpdate":"tool_call_update","toolCallId":"c1","title":"ls","kind":"execute","status":"{status}"'"#
        )
    };
    let (begins, is_over) = (call("in_progress"), call("completed"));
    let place = Place::new(&format!(
        "text 'Wait.'; ends; {begins}; sleep 1.5; {is_over}; sleep 0.3; text 'Done.'"
    ));
    let seen = place.play().await;
    assert_eq!(seen.answer(), "Done.");
    place.replays(&seen);
}

#[tokio::test]
async fn an_agent_that_goes_right_after_its_answer_has_answered() {
    for exit in ["exit 0", "exit 3", "kill -9 $$"] {
        let place = Place::new(&format!("text 'All.'; ends; {exit}"));
        let seen = place.play().await;
        assert_eq!(seen.answer(), "All.", "{exit}");
        place.replays(&seen);
    }
}

/// Runs an agent until it has told how full its context is, and stops it.
async fn stopped(then: &str) -> Seen {
    let place = Place::new(then);
    let mut run = place.client().start("p");
    let records = read_to(&mut run, "context").await;
    run.interrupter().interrupt();
    let seen = finish_after(records, run).await;
    place.replays(&seen);
    seen
}

#[tokio::test]
async fn a_stop_after_the_answer_ends_the_run_at_once() {
    let seen = stopped("text 'All.'; ends; while :; do used; sleep 0.05; done").await;
    assert_eq!(seen.answer(), "All.");
    let rest = rest(&seen, "interrupted");
    assert!(rest < 50, "{rest} ms");
}

#[tokio::test]
async fn a_stop_cuts_off_an_agent_that_goes_on_after_its_answer() {
    let seen = stopped("text 'One.'; ends; text ' And'; used; sleep 60").await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    assert_eq!(seen.result().result, "One. And");
}

#[tokio::test]
async fn an_agent_that_never_falls_quiet_has_the_limit_of_the_run() {
    let place = Place::new("text 'One.'; ends; while :; do text '.'; sleep 0.05; done");
    let request = RunRequest::new("p").timeout(Duration::from_millis(700));
    let seen = run(&place.client(), request).await;
    assert_eq!(seen.failure().kind, FailureKind::Deadline);
    assert!(seen.result().result.starts_with("One.."));
}

#[tokio::test]
async fn a_tool_that_never_ends_after_the_answer_has_the_limit_of_a_tool() {
    let call = r#"update '"sessionUpdate":"tool_call","toolCallId":"c1","title":"ls","kind":"execute","status":"in_progress"'"#;
    let place = Place::new(&format!("text 'One.'; ends; {call}; sleep 60"));
    let request = RunRequest::new("p").idle("tool=1s".parse().expect("a limit"));
    let seen = run(&place.client(), request).await;
    assert_eq!(seen.failure().kind, FailureKind::Stalled);
}

#[tokio::test]
async fn two_messages_in_a_row_are_two_and_the_last_is_the_answer() {
    let said = |id: &str, text: &str| {
        format!(
            r#"update '"sessionUpdate":"agent_message_chunk","messageId":"{id}","content":{{"type":"text","text":"{text}"}}'"#
        )
    };
    let (one, two) = (said("m1", "I checked the files."), said("m2", "There are two."));
    let seen = Place::new(&format!("{one}; {two}; ends")).play().await;
    assert_eq!(seen.answer(), "There are two.");
    let ids = seen.records.iter().filter_map(|record| match &record.event {
        Event::TurnStarted(turn) => turn.message_id.as_deref(),
        Event::Text(text) => text.message_id.as_deref(),
        _ => None,
    });
    assert_eq!(ids.collect::<Vec<_>>(), ["m1", "m1", "m2", "m2"]);
}
