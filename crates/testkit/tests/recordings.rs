//! The recordings in the repository can be read.

use belay_testkit::recordings::{self, Direction, Recording};

const AGENTS: [&str; 8] =
    ["claude-code", "codex", "opencode", "pi", "docker-agent", "gemini", "qwen", "copilot"];

fn every() -> impl Iterator<Item = Recording> {
    AGENTS.into_iter().flat_map(recordings::all)
}

#[test]
fn every_agent_has_recordings() {
    let counts = AGENTS.map(|agent| recordings::all(agent).len());
    assert_eq!(counts, [26, 16, 16, 15, 18, 9, 9, 10]);
    assert_eq!(recordings::all("nobody"), []);
}

#[test]
fn every_line_of_a_recording_is_json_and_has_its_time() {
    for recording in every() {
        let text = String::from_utf8(recording.stdout.clone()).unwrap();
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        for line in &lines {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        let times = recording.line_times_ms().len();
        // Where only the end was measured, or there was nothing to measure, no line has a time.
        let untimed = ["int-", "q-background-"].iter().any(|kind| recording.name.starts_with(kind))
            || recording.agent == "docker-agent";
        let elsewhere = recording.served.is_some() || recording.dialogue.is_some();
        assert!(
            times == lines.len() || (times == 0 && (untimed || elsewhere)),
            "{:?}",
            recording.dir
        );
    }
}

#[test]
fn every_recording_says_what_was_run() {
    for recording in every() {
        let argv = recording.meta["argv"].as_array();
        assert!(argv.is_some_and(|argv| argv.len() > 1), "{:?}", recording.dir);
        assert!(recording.meta["exit_code"].is_i64(), "{:?}", recording.dir);
        let version = recording.meta["version"].as_str();
        assert!(version.is_none_or(|version| version == recording.version), "{:?}", recording.dir);
    }
}

#[test]
fn a_recording_knows_how_it_ended() {
    assert_eq!(recordings::one("claude-code", "h-401").exit_code(), Some(1));
    assert_eq!(recordings::one("claude-code", "int-term").exit_code(), Some(143));
    assert_eq!(recordings::one("codex", "int-term").exit_code(), None);
    assert_eq!(recordings::one("opencode", "h-401").exit_code(), Some(1));
    assert_eq!(recordings::one("opencode", "int-int-pid").exit_code(), None);
    // The exit code of Pi says nothing.
    assert_eq!(recordings::one("pi", "h-401").exit_code(), Some(0));
}

#[test]
fn a_dialogue_has_both_directions() {
    let sides = |agent, name| {
        let dialogue = recordings::one(agent, name).dialogue.unwrap();
        let sent = dialogue.iter().filter(|line| line.dir == Direction::ToAgent).count();
        (sent, dialogue.len() - sent)
    };
    assert_eq!(sides("codex", "t-appserver"), (10, 68));
    assert_eq!(sides("pi", "rpc"), (6, 62));
    assert_eq!(recordings::one("codex", "a-text").dialogue, None);
}

#[test]
fn a_server_has_its_events_and_its_requests() {
    let recording = recordings::one("opencode", "serve-h-401");
    let served = recording.served.unwrap();
    assert_eq!(served.events[0].data["type"], "server.connected");
    let lines = recording.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    assert_eq!(lines.count(), served.events.len());
    let asked = served.exchanges.iter().map(|one| (&*one.method, one.path.as_str(), one.status));
    let prompt = asked.clone().find(|(method, path, _)| {
        *method == "POST" && path.starts_with("/session/") && path.ends_with("/message")
    });
    // A prompt that failed is a request that succeeded.
    assert_eq!(prompt.map(|(.., status)| status), Some(200));
    assert_eq!(recordings::one("opencode", "a-text").served, None);
}

#[test]
fn only_what_nobody_could_run_is_synthetic() {
    let synthetic: Vec<Recording> = every().filter(Recording::is_synthetic).collect();
    assert_eq!(synthetic.len(), 1);
    assert!(synthetic.iter().all(|recording| recording.agent == "docker-agent"));
}
