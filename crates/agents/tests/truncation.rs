//! Streams that break off, and lines that are no messages at all.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests read recordings"
)]

#[path = "support/recorded.rs"]
mod recorded;

use belay_agents::Exit;
use belay_trace::Event;
use proptest::prelude::*;
use recorded::{Recording, Said, lines};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Up to this size a recording is cut at every byte; all of them at every byte take a quarter of a minute.
const BYTES_MAX: usize = 2_000;

/// A larger one is cut in steps of so many bytes, and around each line's end.
const STEP: usize = 7;

/// How far around a line's end a larger recording is cut.
const AROUND: usize = 2;

#[test]
fn a_cut_claude_stream_is_never_a_success_and_ends_its_turn_once() {
    check_all("claude-code/");
}

#[test]
fn a_cut_codex_stream_is_never_a_success_and_ends_its_turn_once() {
    check_all("codex/");
}

fn check_all(agent: &str) {
    for recording in recorded::all().iter().filter(|recording| recording.name.starts_with(agent)) {
        let landmarks = landmarks(recording);
        for cut in cuts(&recording.stdout) {
            check_cut(recording, &landmarks, cut);
        }
    }
}

/// A line that begins a turn or ends one.
struct Landmark {
    /// The line's last byte is the one before.
    end: usize,
    /// How the turn ended, or none if it begins here.
    verdict: Option<bool>,
}

fn landmarks(recording: &Recording) -> Vec<Landmark> {
    let mut end = 0;
    let mut landmarks = Vec::new();
    for line in recording.lines() {
        end += line.len();
        let verdict = recording.verdict(line);
        if verdict.is_some() || recording.begins_turn(line) {
            landmarks.push(Landmark { end, verdict });
        }
        end += 1;
    }
    landmarks
}

fn cuts(stream: &[u8]) -> BTreeSet<usize> {
    if stream.len() < BYTES_MAX {
        return (0..=stream.len()).collect();
    }
    let ends = stream.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let around = ends.flat_map(|end| end.saturating_sub(AROUND)..=end + AROUND);
    let cuts = around.chain((0..stream.len()).step_by(STEP));
    cuts.map(|cut| cut.min(stream.len())).collect()
}

fn check_cut(recording: &Recording, landmarks: &[Landmark], cut: usize) {
    let seen: Vec<_> = landmarks.iter().filter(|landmark| landmark.end <= cut).collect();
    let mut want: Vec<bool> = seen.iter().filter_map(|landmark| landmark.verdict).collect();
    let is_open = seen.last().is_none_or(|last| last.verdict.is_none());
    if is_open {
        want.push(false);
    }
    let ends = recorded::ends(&recording.said_of(&lines(&recording.stdout[..cut]), Exit::Code(0)));
    let succeeded: Vec<bool> = ends.iter().map(|end| end.failure.is_none()).collect();
    assert_eq!(succeeded, want, "{} cut at {cut}", recording.name);
}

#[test]
fn no_line_of_an_agent_makes_a_driver_stumble() {
    for recording in recorded::all() {
        let whole = recording.said();
        for garbage in garbage() {
            let mut lines = recording.lines();
            lines.insert(lines.len() / 2, &garbage);
            let said = without_garbage(recording.said_of(&lines, recording.exit));
            let name = &recording.name;
            assert_eq!(said, without_garbage(whole.clone()), "{name}: {garbage:.80?}");
        }
    }
}

/// Lines that mean nothing to any driver.
fn garbage() -> Vec<Vec<u8>> {
    let nested = |open: &str, close: &str| {
        let (open, close) = (open.repeat(10_000), close.repeat(10_000));
        format!(r#"{{"type":"brand_new","method":"brand/new","deep":{open}1{close}}}"#)
    };
    let mut garbage: Vec<Vec<u8>> = [
        "null",
        "1",
        "[1]",
        "\"text\"",
        "{}",
        "[]",
        "npm warn deprecated",
        // An array that would pass for an object whose fields come in order.
        r#"["result"]"#,
        r#"["turn.completed"]"#,
        r#"["result",null,"s1",null]"#,
        r#"[null,"turn/completed",{"threadId":"t","turn":{"id":"u","status":"completed"}}]"#,
        r#"{"type":null}"#,
        r#"{"type":"brand_new"}"#,
        r#"{"method":"brand/new","params":[1]}"#,
        r#"{"type":"result""#,
        "\u{feff}{\"type\":\"brand_new\"}",
        "{\"type\":\"brand\u{2028}new\"}\r",
        r#"{"type":"brand_new","text":"\ud800"}"#,
        r#"{"type":"\ud800"}"#,
        "{\"type\":\"result\",\"nul\":\"\0\"}",
        "\r",
        "   ",
    ]
    .into_iter()
    .map(|line| line.as_bytes().to_vec())
    .collect();
    garbage.push(b"{\"type\":\"brand_new\xff\xfe\"}".to_vec());
    garbage.push(b"\xff\x00\x1b[31m".to_vec());
    garbage.push(nested("[", "]").into_bytes());
    garbage.push(nested(r#"{"a":"#, "}").into_bytes());
    garbage.push("[".repeat(10_000).into_bytes());
    garbage.push("{\"a\":".repeat(10_000).into_bytes());
    garbage
}

/// What was said of real lines: without notices about words and without unknown lines.
fn without_garbage(mut said: Vec<Said>) -> Vec<Said> {
    said.retain(|said| match said {
        Said::Event(emitted) => match &emitted.event {
            Event::Unknown(_) => false,
            Event::Notice(notice) => notice.code.as_deref() != Some("stdout"),
            _ => true,
        },
        Said::End(_) => true,
    });
    said
}

#[test]
fn each_line_of_garbage_leaves_a_trace() {
    for name in ["claude-code/a-text", "codex/a-text", "codex/t-appserver"] {
        let recording = recorded::named(name);
        for line in garbage().iter().filter(|line| !line.trim_ascii().is_empty()) {
            let said = recording.said_of(&[line], Exit::Code(0));
            let traces = said.len() - without_garbage(said.clone()).len();
            assert_eq!(traces, 1, "{name}: {line:.80?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn garbage_between_the_lines_costs_no_event(
        which in any::<prop::sample::Index>(),
        inserts in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any_line()),
            0..6,
        ),
    ) {
        static RECORDINGS: LazyLock<Vec<Recording>> = LazyLock::new(recorded::all);
        let recording = which.get(&RECORDINGS[..]);
        let mut lines: Vec<Vec<u8>> = recording.lines().iter().map(|line| line.to_vec()).collect();
        for (at, cut, mut line) in inserts {
            if line.is_empty() {
                // The beginning of a real line.
                let real = cut.get(&recording.lines()).to_vec();
                line = real[..cut.index(real.len())].to_vec();
            }
            let at = at.index(lines.len() + 1);
            lines.insert(at, line);
        }
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let said = without_garbage(recording.said_of(&lines, recording.exit));
        prop_assert_eq!(said, without_garbage(recording.said()));
    }
}

/// Bytes without a line feed, half of them like JSON.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    let json =
        prop::collection::vec(prop::sample::select(b"{}[]\",:\\ud8ntruefals0.-e".to_vec()), 0..40);
    prop_oneof![bytes, json]
        .prop_map(|line: Vec<u8>| line.into_iter().filter(|byte| *byte != b'\n').collect())
}

#[test]
fn half_an_emoji_costs_only_itself() {
    let text = |text: &str| format!(r#"[{{"type":"text","text":"{text}"}}]"#);
    for (written, read) in [
        (r"a\ud83d", "a\u{fffd}"),
        (r"\ude00b\ud83d\ude00", "\u{fffd}b\u{1f600}"),
        (r"C:\\ud83d", r"C:\ud83d"),
    ] {
        let line =
            format!(r#"{{"type":"assistant","message":{{"id":"m","content":{}}}}}"#, text(written));
        let said = recorded::named("claude-code/a-text").said_of(&[line.as_bytes()], Exit::Code(0));
        let texts = said.iter().filter_map(|said| match said {
            Said::Event(emitted) => match &emitted.event {
                Event::Text(text) => Some(text.text.as_str()),
                _ => None,
            },
            Said::End(_) => None,
        });
        assert_eq!(texts.collect::<Vec<_>>(), [read]);
    }
}

#[test]
fn control_characters_and_odd_spaces_inside_a_text_stay_as_they_are() {
    let item = "{\"id\":\"i\",\"type\":\"agent_message\",\"text\":\"a\u{2028}b\\r\\u0000\u{202e}\\u001b[1m\"}";
    let line = format!("\u{feff}{{\"type\":\"item.completed\",\"item\":{item}}}\r");
    let said = recorded::named("codex/a-text").said_of(&[line.as_bytes()], Exit::Code(0));
    let Said::Event(emitted) = &said[1] else { panic!("{said:?}") };
    let Event::Text(text) = &emitted.event else { panic!("{said:?}") };
    assert_eq!(text.text, "a\u{2028}b\r\0\u{202e}\u{1b}[1m");
}

/// A field that has changed its shape costs that field, not the turn that was paid for.
#[test]
fn a_result_line_is_read_whatever_has_become_of_its_details() {
    let claude = recorded::named("claude-code/a-text");
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for field in [
        r#""usage":7"#,
        r#""modelUsage":{"m":{"inputTokens":null}}"#,
        r#""errors":null"#,
        r#""errors":[{"code":1}]"#,
        r#""num_turns":1.5"#,
        r#""duration_ms":"soon""#,
        r#""permission_denials":[null]"#,
        r#""api_error_status":"none""#,
        &format!(r#""structured_output":{deep}"#),
    ] {
        let line = format!(r#"{{{field},"type":"result","is_error":false,"result":"done"}}"#);
        let [end] = &recorded::ends(&claude.said_of(&[line.as_bytes()], Exit::Code(0)))[..] else {
            panic!("one end: {line:.80}")
        };
        assert_eq!((end.answer.as_str(), &end.failure), ("done", &None), "{line:.80}");
    }
    let codex = recorded::named("codex/a-text");
    for (line, success) in [
        (r#"{"type":"turn.completed","usage":{"input_tokens":null}}"#, true),
        (r#"{"type":"turn.completed"}"#, true),
        (r#"{"type":"turn.failed","error":"words"}"#, false),
        (r#"{"type":"turn.failed"}"#, false),
    ] {
        let [end] = &recorded::ends(&codex.said_of(&[line.as_bytes()], Exit::Code(0)))[..] else {
            panic!("one end: {line}")
        };
        assert_eq!((end.failure.is_none(), end.usage.input_tokens), (success, None), "{line}");
    }
}

#[test]
fn a_result_line_that_does_not_say_whether_it_failed_needs_an_answer() {
    let claude = recorded::named("claude-code/a-text");
    for (line, success) in [
        (r#"{"type":"result","result":"done"}"#, true),
        (r#"{"type":"result","subtype":"success","result":"done"}"#, true),
        (r#"{"type":"result"}"#, false),
        (r#"{"type":"result","subtype":"error_during_execution","result":"x"}"#, false),
        (r#"{"type":"result","is_error":"no","result":"done"}"#, false),
    ] {
        let ends = recorded::ends(&claude.said_of(&[line.as_bytes()], Exit::Code(0)));
        assert_eq!(
            ends.iter().map(|end| end.failure.is_none()).collect::<Vec<_>>(),
            [success],
            "{line}"
        );
    }
}
