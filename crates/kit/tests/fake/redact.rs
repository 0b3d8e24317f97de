//! Secrets that an agent prints reach nobody: journals, traces, streams, observers, the agent that takes over.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{Stage, lines, play, run, supervisor};
use crate::secrets::{is_leaked, needles, pieces, planted};
#[allow(dead_code, reason = "a part is used here, the rest by the unit tests")]
use aho_corasick::AhoCorasick;
use belay_testkit::fake_agent::{Exit, FakeAgent, Pause, Play, Until, WaitForStdin};
use belay_testkit::recordings;
use belaykit::trace::journal::Frames;
use belaykit::{Claude, Client, Codex, Event, Redaction, RunRequest, TraceDir, Transport};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A value that no rule knows.
const OWN: &str = "swordfish-\"7\"-swordfish";

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn delta(id: usize, text: &str) -> String {
    json!({"type": "stream_event", "uuid": "u", "parent_tool_use_id": null,
        "event": {"type": "content_block_delta", "index": id, "delta": {"type": "text_delta", "text": text}}})
    .to_string()
}

fn tool_result(id: usize, text: &str) -> String {
    json!({"type": "user", "session_id": "s", "message": {"role": "user", "content":
        [{"type": "tool_result", "tool_use_id": format!("t{id}"), "content": text}]}})
    .to_string()
}

/// The texts of the raw pieces, put together, and everything else.
fn raw(log: &[u8]) -> String {
    let (mut text, mut rest) = (String::new(), String::new());
    for frame in Frames::new(log) {
        let line: Value = serde_json::from_slice(frame.bytes).unwrap_or_default();
        match line["event"]["delta"]["text"].as_str() {
            Some(piece) => text.push_str(piece),
            None => rest.push_str(&String::from_utf8_lossy(frame.bytes)),
        }
    }
    text + &rest
}

#[tokio::test]
async fn a_thousand_secrets_of_an_agent_are_in_no_sink() {
    let all = planted(1_000, 11);
    let a_text = lines("claude-code", "a-text");
    let mut said = vec![a_text[0].clone()];
    for (n, it) in all.iter().enumerate() {
        if n % 2 == 0 {
            said.extend(pieces(&it.text, n as u64).into_iter().map(|piece| delta(n, piece)));
            said.extend(pieces(OWN, n as u64).into_iter().map(|piece| delta(n, piece)));
        } else {
            said.push(tool_result(n, &format!("{} {OWN}", it.text)));
        }
    }
    said.push(a_text.last().unwrap().clone());
    let stage =
        Stage::new("claude", &Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(said) });
    let (state, traces) = (stage.path("state"), stage.path("traces"));
    let shown = Arc::new(Mutex::new(String::new()));
    let log = shown.clone();
    let env = stage.env().into_iter().chain([("MY_TOKEN".into(), OWN.into())]);
    let client = stage
        .claude()
        .env(env)
        .state_dir(&state)
        .observe(TraceDir::new(&traces).unwrap())
        .on_event(move |record| {
            log.lock().unwrap().push_str(&serde_json::to_string(record).unwrap());
        });
    let seen = run(&client, format!("use {} and {OWN}", all[0].text).as_str()).await;

    let spoken: String = seen
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Text(text) => Some(text.text.as_str()),
            _ => None,
        })
        .collect();
    let mut sinks =
        vec![("stream".to_owned(), spoken), ("handler".to_owned(), shown.lock().unwrap().clone())];
    for path in files(&state).into_iter().chain(files(&traces)) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_log = name.starts_with("input.");
        sinks.push((name, if is_log { raw(&bytes) } else { String::from_utf8(bytes).unwrap() }));
    }
    let names: Vec<_> = sinks.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["events.jsonl", "input.1.log", "request.json"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let (mut leaks, mut looks) = (Vec::new(), 0);
    let owned = all.iter().enumerate();
    let (owners, needles): (Vec<usize>, Vec<&str>) = owned
        .flat_map(|(n, it)| needles(&it.secret).into_iter().map(move |part| (n, part)))
        .unzip();
    let search = AhoCorasick::new(needles).unwrap();
    for (name, text) in &sinks {
        // When an account has answered is told by the time of an empty file.
        assert!(!text.is_empty() || name.ends_with(".answered"), "{name}");
        looks += all.len();
        let found = search.find_overlapping_iter(text);
        let found: BTreeSet<_> = found.map(|found| owners[found.pattern().as_usize()]).collect();
        leaks.extend(found.into_iter().map(|n| (name, all[n].rule, &all[n].text)));
        assert!(!text.contains("swordfish"), "the value of a variable is in {name}");
    }
    let recall = 100.0 * (looks - leaks.len()) as f64 / looks as f64;
    println!(
        "T26 sinks: {} of {looks} kept back in {} sinks, recall {recall:.2} %",
        looks - leaks.len(),
        sinks.len()
    );
    assert!(recall >= 99.5, "{leaks:#?}");

    // The agent has seen everything as it is.
    let heard = stage.agent.log().stdin().join("\n");
    assert!(heard.contains(&all[0].secret), "the prompt is the agent's");

    // What the driver has read is what is stored.
    let log = std::fs::read(
        files(&state).into_iter().find(|path| path.ends_with("input.1.log")).unwrap(),
    )
    .unwrap();
    let request = RunRequest::new("p");
    let replay = belay_agents::Replay::of(&Claude::new(), &request, Transport::Dialogue, &log);
    let replayed: Vec<_> = replay.events.into_iter().map(|(_, emitted)| emitted.event).collect();
    let had: Vec<_> = seen
        .records
        .iter()
        .filter(|record| record.raw.is_some())
        .map(|record| &record.event)
        .collect();
    assert_eq!(
        replayed
            .iter()
            .filter(|event| matches!(event, Event::Text(_) | Event::ToolResult(_)))
            .collect::<Vec<_>>(),
        had.into_iter()
            .filter(|event| matches!(event, Event::Text(_) | Event::ToolResult(_)))
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn who_wants_it_gets_everything_as_it_is() {
    let it = planted(5, 1).remove(4);
    let a_text = lines("claude-code", "a-text");
    let said = [a_text[0].clone(), tool_result(1, &it.text), a_text.last().unwrap().clone()];
    let stage =
        Stage::new("claude", &Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(said) });
    let state = stage.path("state");
    let client = stage.claude().state_dir(&state).redact(Redaction::off());
    run(&client, "p").await;
    let events = files(&state).into_iter().find(|path| path.ends_with("events.jsonl")).unwrap();
    assert!(std::fs::read_to_string(events).unwrap().contains(&it.secret));
}

#[tokio::test]
async fn an_agent_that_takes_over_is_told_no_secrets() {
    let it = planted(5, 2).remove(4);
    let mut said = lines("claude-code", "b-shell");
    let call = said.iter().rposition(|line| line.contains(r#""type":"tool_use""#)).unwrap();
    said.truncate(call + 1);
    said.push(delta(0, &format!("I have found {}", it.text)));
    let dies =
        Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(said).exit(Exit::Code(137)) };
    let stage = Stage::new("claude", &dies);
    let answers =
        Play { wait_for_stdin: WaitForStdin::Eof, ..play(&recordings::one("codex", "a-text")) };
    let codex = FakeAgent::new(stage.dir.path(), "codex", &answers).unwrap();
    let project = stage.path("project");
    std::fs::create_dir(&project).unwrap();
    let path = format!("{}:/usr/bin:/bin", stage.dir.path().display());
    let git = |args: &[&str]| {
        let done = std::process::Command::new("git")
            .args(["-c", "user.name=n", "-c", "user.email=e"])
            .args(args)
            .current_dir(&project)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "-q"]);
    std::fs::write(project.join("f"), "old\n").unwrap();
    git(&["add", "f"]);
    git(&["commit", "-q", "-m", "m"]);
    std::fs::write(project.join("f"), format!("{}\n", it.text)).unwrap();
    let client = Client::new(Claude::new())
        .or(Codex::new())
        .transport(Transport::Print)
        .supervisor(supervisor())
        .state_dir(stage.path("state"))
        .env([("PATH".into(), path.into()), ("TMPDIR".into(), stage.path("").into())]);
    let seen = run(&client, RunRequest::new("Do the task").cwd(&project)).await;
    let told = codex.log().stdin().join("\n");
    assert!(told.contains("Another agent (claude"), "{told}\n{:?}", seen.names());
    assert!(told.contains("[redacted:github-token]") && !is_leaked(&told, &it.secret), "{told}");
}

#[tokio::test]
async fn what_an_agent_may_run_is_what_it_has_asked_for() {
    let secret = planted(5, 3).remove(4).secret;
    let ask = json!({"type": "control_request", "request_id": "r1", "request": {"subtype": "can_use_tool",
        "tool_name": "Bash", "input": {"command": format!("curl -H 'x: {secret}'")}, "tool_use_id": "t1"}});
    let a_text = lines("claude-code", "a-text");
    let until = Until::StdinLine("control_response".to_owned());
    let then = vec![a_text.last().unwrap().clone()];
    let pause = Pause { after_line: 2, until, then, resume: true };
    let said = Play::lines([a_text[0].clone(), ask.to_string()]);
    let play = Play { wait_for_stdin: WaitForStdin::Line, pauses: vec![pause], ..said };
    let stage = Stage::new("claude", &play);
    let shown = Arc::new(Mutex::new(String::new()));
    let log = shown.clone();
    let client = stage.claude().on_permission(move |request| {
        log.lock().unwrap().push_str(request.args.get());
        belaykit::Decision::Allow
    });
    run(&client, "p").await;
    let shown = shown.lock().unwrap().clone();
    assert!(shown.contains("[redacted:github-token]") && !shown.contains(&secret), "{shown}");
    let heard = stage.agent.log().stdin().join("\n");
    assert!(heard.contains(&secret) && !heard.contains("[redacted"), "{heard}");
}
