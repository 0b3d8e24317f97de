//! The terminals that belay runs for agents over ACP.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::fake_run::{
    Seen, Stage, executable, finish_after, is_running, read_to, run, wait_until,
};
use belay_agents::{Acp, Replay, Transport};
use belay_testkit::fake_agent::Play;
use belaykit::trace::journal::input_file;
use belaykit::{Client, Decision, Event, FailureKind, IdleLimits, Permissions, Policy, RunRequest};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SECRET: &str = "hunter2-hunter2-hunter2";

/// Speaks as much ACP as a prompt needs; `ask METHOD PARAMS` waits for its answer and notes it.
const AGENT: &str = r#"#!/bin/sh
PATH=/usr/bin:/bin
say() { printf '{"jsonrpc":"2.0",%s}\n' "$1"; }
ask() { say "\"id\":\"$1\",\"method\":\"terminal/$1\",\"params\":{\"sessionId\":\"s1\",$2}"; hear; }
hear() { read -r answer && printf '%s\n' "$answer" >> "$0.heard"; }
on() { ask "$1" '"terminalId":"terminal-1"'; }
update() { say "\"method\":\"session/update\",\"params\":{\"sessionId\":\"s1\",\"update\":{$1}}"; }
text() { update "\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":\"$1\"}"; }
ends() { text Done.; say '"id":'$prompt',"result":{"stopReason":"end_turn"}'; }
while read -r line; do case $line in
*'"initialize"'*) say '"id":1,"result":{"protocolVersion":1}';;
*'"session/new"'*) say '"id":2,"result":{"sessionId":"s1","modes":{"currentModeId":"default","availableModes":[{"id":"default","name":"Default"},{"id":"acceptEdits","name":"Accept edits"}]}}';;
*'"session/set_mode"'*) say '"id":3,"result":{}';;
*'"session/prompt"'*) prompt=${line##*'"id":'}; prompt=${prompt%%,*}; "#;

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
        let env = self.stage.env().into_iter().chain([("API_TOKEN".into(), SECRET.into())]);
        Client::new(Acp::command("agent"))
            .policy(Policy::single())
            .supervisor(crate::fake_run::supervisor())
            .env(env)
            .state_dir(self.stage.path("state"))
    }

    fn request(&self, permissions: Permissions) -> RunRequest {
        RunRequest::new("p").cwd(self.stage.dir.path()).permissions(permissions)
    }

    async fn play(&self, permissions: Permissions) -> Seen {
        run(&self.client(), self.request(permissions)).await
    }

    /// What the agent was answered.
    fn heard(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.stage.path("agent.heard")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn journal(&self, seen: &Seen) -> PathBuf {
        self.stage.path("state").join("runs").join(&seen.records[0].run)
    }
}

fn pid(path: &Path) -> u32 {
    wait_until("it has begun", || fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n')));
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

/// Everything that is written in a folder.
fn all_of(folder: &Path) -> Vec<u8> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { all_of(&path) } else { fs::read(path).unwrap() })
        .collect()
}

#[tokio::test]
async fn a_command_runs_to_its_end_and_the_journal_replays_it() {
    let place = Place::new(
        r#"
        update '"sessionUpdate":"tool_call","toolCallId":"c1","title":"t","kind":"execute","status":"in_progress"'
        ask create '"command":"pwd; echo $A; echo oops >&2; exit 3","env":[{"name":"A","value":"b"}]'
        update '"sessionUpdate":"tool_call_update","toolCallId":"c1","content":[{"type":"terminal","terminalId":"terminal-1"}]'
        on wait_for_exit; on output; on release
        update '"sessionUpdate":"tool_call_update","toolCallId":"c1","status":"completed"'
        ends"#,
    );
    let seen = place.play(Permissions::Full).await;
    assert_eq!(seen.answer(), "Done.");
    let heard = place.heard();
    assert_eq!(heard[0]["result"]["terminalId"], "terminal-1");
    assert_eq!(heard[1]["result"]["exitCode"], 3);
    let cwd = fs::canonicalize(place.stage.dir.path()).unwrap();
    let output = heard[2]["result"]["output"].as_str().unwrap();
    for line in [cwd.to_str().unwrap(), "b", "oops"] {
        assert!(output.lines().any(|printed| printed == line), "{output}");
    }
    let result = seen.records.iter().find_map(|record| match &record.event {
        Event::ToolResult(result) => Some(result),
        _ => None,
    });
    let result = result.unwrap();
    assert_eq!((result.output.as_str(), result.exit_code), (output, Some(3)));

    let log = fs::read(place.journal(&seen).join(input_file(1))).unwrap();
    let request = place.request(Permissions::Full);
    let replay = Replay::of(&Acp::command("agent"), &request, Transport::Dialogue, &log);
    assert_eq!(replay.unreadable, 0);
    let again = replay
        .events
        .iter()
        .any(|(_, emitted)| matches!(&emitted.event, Event::ToolResult(again) if again == result));
    assert!(again, "{replay:#?}");
}

#[tokio::test]
async fn neither_the_agent_nor_the_journal_hears_a_secret() {
    let place = Place::new(
        r#"ask create '"command":"echo start; echo $API_TOKEN; printf %s $API_TOKEN"'
        on wait_for_exit; on output; ends"#,
    );
    let seen = place.play(Permissions::Full).await;
    let output = place.heard()[2]["result"]["output"].as_str().unwrap().to_owned();
    assert!(output.starts_with("start\n") && !output.contains(SECRET), "{output}");
    let journal = all_of(&place.journal(&seen));
    assert!(memchr::memmem::find(&journal, b"start").is_some());
    assert!(memchr::memmem::find(&journal, SECRET.as_bytes()).is_none());
}

#[tokio::test]
async fn a_command_with_a_secret_runs_as_the_agent_has_written_it() {
    let place = Place::new(&format!(
        r#"ask create '"command":"/bin/sh","args":["-c","printf %s \"$1\" > told","-","{SECRET}"]'
        on wait_for_exit; ends"#
    ));
    let seen = place.play(Permissions::Full).await;
    assert_eq!(fs::read_to_string(place.stage.path("told")).unwrap(), SECRET);
    let journal = all_of(&place.journal(&seen));
    assert!(memchr::memmem::find(&journal, SECRET.as_bytes()).is_none());
}

#[tokio::test]
async fn under_edit_a_handler_decides_and_without_one_nothing_runs() {
    let then = r#"ask create '"command":"echo ran > ran"'; on wait_for_exit; ends"#;
    let place = Place::new(then);
    let seen = place.play(Permissions::Edit).await;
    assert_eq!(place.heard()[0]["error"]["message"], "the command was not permitted");
    assert!(!place.stage.path("ran").exists());
    assert_eq!(seen.count("permission_decision"), 1);

    let place = Place::new(then);
    let client =
        place.client().on_permission(|request| match request.args.get().contains("echo ran") {
            true => Decision::Allow,
            false => Decision::Deny,
        });
    let seen = run(&client, place.request(Permissions::Edit)).await;
    assert_eq!(seen.answer(), "Done.");
    assert!(place.stage.path("ran").exists());
}

#[tokio::test]
async fn what_the_agent_leaves_open_ends_with_it_and_is_named() {
    let place = Place::new(
        r#"ask create '"command":"/usr/bin/setsid /bin/sleep 600 & echo $! > pid; exec /bin/sleep 601"'
        while [ ! -s pid ]; do sleep 0.01; done; ends"#,
    );
    let seen = place.play(Permissions::Full).await;
    assert_eq!(seen.answer(), "Done.");
    assert!(seen.notices("terminal").iter().any(|words| words.starts_with("ended ")), "{seen:#?}");
    let pid = pid(&place.stage.path("pid"));
    wait_until("it is gone", || !is_running(pid));
}

#[tokio::test]
async fn a_stop_kills_what_runs() {
    let place = Place::new(
        r#"ask create '"command":"echo $$ > pid; exec /bin/sleep 600"'; on wait_for_exit
        read -r line; say '"id":'$prompt',"result":{"stopReason":"cancelled"}'"#,
    );
    let mut run = place.client().start(place.request(Permissions::Full));
    let records = read_to(&mut run, "notice").await;
    let pid = pid(&place.stage.path("pid"));
    run.interrupter().interrupt();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted, "{seen:#?}");
    assert!(!is_running(pid));
}

#[tokio::test]
async fn a_flood_costs_no_more_than_is_kept_and_is_not_in_the_journal() {
    let place = Place::new(
        r#"ask create '"command":"/usr/bin/yes 0123456789 | /usr/bin/head -c 3000000; echo end","outputByteLimit":1000'
        on wait_for_exit; on output; ends"#,
    );
    let seen = place.play(Permissions::Full).await;
    let result = &place.heard()[2]["result"];
    let output = result["output"].as_str().unwrap();
    assert!(output.len() <= 1000 && output.ends_with("end\n"), "{output}");
    assert_eq!(result["truncated"], true);
    assert!(all_of(&place.journal(&seen)).len() < 100_000);
}

#[tokio::test]
async fn a_command_that_prints_something_new_is_no_stall_and_a_silent_one_is() {
    for (body, stalls) in [("echo $n", false), (":", true)] {
        let place = Place::new(&format!(
            r#"ask create '"command":"n=0; while [ $n -lt 10 ]; do n=$((n+1)); {body}; /bin/sleep 0.5; done"'
            on wait_for_exit; ends"#
        ));
        let request =
            place.request(Permissions::Full).idle(IdleLimits::all(Duration::from_secs(3)));
        let seen = run(&place.client(), request).await;
        assert_eq!(seen.outcome.is_err(), stalls, "{seen:#?}");
    }
}
