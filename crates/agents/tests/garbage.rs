//! Lines that are no messages at all, between lines that are.

use crate::count::{Count, Wrong, is_long};
use crate::recorded;
use crate::recorded::{Recording, Said};
use belay_agents::Exit;
use belay_trace::Event;
use proptest::prelude::*;
use std::sync::LazyLock;

#[test]
fn no_line_of_an_agent_makes_a_driver_stumble() {
    let mut count = Count::of("lines of garbage put between others");
    for recording in recorded::all() {
        let whole = without_garbage(recording.said());
        let lines = recording.lines();
        for garbage in garbage() {
            // Everywhere, or only once in the middle.
            let middle = lines.len() / 2;
            let places = if is_long() { 0..=lines.len() } else { middle..=middle };
            for at in places {
                let about = || format!("{}, line {at}: {garbage:.80?}", recording.name);
                count.case(about, || {
                    let mut lines = lines.clone();
                    lines.insert(at, &garbage);
                    wrong(&whole, &without_garbage(recording.said_of(&lines, recording.exit)))
                });
            }
        }
    }
    count.done();
}

/// What was said in spite of garbage, against what should have been said.
fn wrong(whole: &[Said], said: &[Said]) -> Wrong {
    let succeeded =
        |said: &[Said]| recorded::ends(said).iter().filter(|end| end.failure.is_none()).count();
    let kept = whole.iter().zip(said).take_while(|(one, other)| one == other).count();
    Wrong {
        false_successes: succeeded(said).saturating_sub(succeeded(whole)),
        lost: whole.len().max(said.len()) - kept,
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
    for name in [
        "claude-code/a-text",
        "codex/a-text",
        "codex/t-appserver",
        "opencode/a-text",
        "opencode/serve-a-text",
    ] {
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
