//! The recordings in the repository can be read.

use belay_testkit::recordings::{self, Direction};

#[test]
fn both_agents_have_recordings() {
    assert_eq!(recordings::all("claude-code").len(), 18);
    assert_eq!(recordings::all("codex").len(), 14);
    assert_eq!(recordings::all("nobody"), []);
}

#[test]
fn every_line_of_a_recording_is_json_and_has_its_time() {
    for recording in ["claude-code", "codex"].into_iter().flat_map(recordings::all) {
        let text = String::from_utf8(recording.stdout.clone()).unwrap();
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        assert_eq!(text.lines().count(), recording.line_times_ms().len(), "{recording:?}");
    }
}

#[test]
fn a_recording_knows_how_it_ended() {
    assert_eq!(recordings::one("claude-code", "h-401").exit_code(), Some(1));
    assert_eq!(recordings::one("claude-code", "int-term").exit_code(), Some(143));
    assert_eq!(recordings::one("codex", "int-term").exit_code(), None);
}

#[test]
fn a_dialogue_has_both_directions() {
    let dialogue = recordings::one("codex", "t-appserver").dialogue.unwrap();
    let sent = dialogue.iter().filter(|line| line.dir == Direction::ToAgent).count();
    assert_eq!((sent, dialogue.len() - sent), (10, 68));
    assert_eq!(recordings::one("codex", "a-text").dialogue, None);
}
