//! Lines, and the pure functions.

use arbitrary::Unstructured;
use belay_agents::harness;
use belay_agents::{Agent, Claude, Codex, Exit, LineSplitter, RunRequest, StreamParser, Transport};
use belay_trace::{TraceId, Usage, visible, visible_json, visible_line};
use serde_json::Value;

/// The splitter against the obvious way to split, whatever pieces the stream comes in.
pub fn lines(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(max) = data.int_in_range(1..=64_usize) else { return };
    let Ok(cuts) = data.arbitrary::<[u8; 6]>() else { return };
    let stream = data.take_rest();
    let mut whole: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
    if whole.last().is_some_and(|line| line.is_empty()) {
        whole.pop();
    }
    let want: Vec<(&[u8], u64)> = whole
        .into_iter()
        .map(|line| (&line[..line.len().min(max)], line.len().saturating_sub(max) as u64))
        .collect();

    let mut splitter = LineSplitter::new(max);
    let mut lines = Vec::new();
    let mut rest = stream;
    for cut in cuts.into_iter().cycle() {
        let (piece, later) = rest.split_at(usize::from(cut).min(rest.len()));
        splitter.push(piece, |line| lines.push((line.bytes.to_vec(), line.cut)));
        rest = later;
        if rest.is_empty() || cuts.iter().all(|cut| *cut == 0) {
            break;
        }
    }
    splitter.push(rest, |line| lines.push((line.bytes.to_vec(), line.cut)));
    splitter.finish(|line| lines.push((line.bytes.to_vec(), line.cut)));
    let lines: Vec<(&[u8], u64)> =
        lines.iter().map(|(line, cut)| (line.as_slice(), *cut)).collect();
    assert_eq!(lines, want);
}

/// The seed's functions, and the ones that make text harmless.
pub fn harness(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let agents: [&dyn Agent; 2] = [&Claude::new(), &Codex::new()];
    for agent in agents {
        let mut parser = StreamParser::new(agent, &RunRequest::new("p"), Transport::Print);
        let mut emitted: Vec<_> =
            text.split_inclusive('\n').flat_map(|line| parser.parse_stream_line(line)).collect();
        emitted.extend(parser.finish(Exit::Code(0)));
        for event in emitted.iter().filter_map(|emitted| harness::event(agent, emitted)) {
            assert_eq!(serde_json::to_value(&event).expect("encodes")["type"], event.kind);
        }
        let mut total = Usage::default();
        let ended = parser.take_ended();
        assert!(!ended.is_empty(), "a stream has an end");
        for end in ended {
            let result = harness::result(&end);
            assert!(end.failure.is_none() || result.is_none(), "a turn that failed has none");
            assert!(result.is_none_or(|result| result.kind == "result"));
            total.add(&end.usage);
        }
        let json = serde_json::to_string(&total).expect("encodes");
        assert_eq!(serde_json::from_str::<Usage>(&json).expect("is read back"), total);
    }
    for line in text.lines() {
        let object = harness::parse_json(line);
        assert!(object.is_none() || may_begin_an_object(line), "only an object is one");
        if let Some(object) = &object {
            let usage = harness::extract_usage(object);
            assert!(usage.is_none() || object.contains_key("usage"));
            let usage = harness::extract_codex_usage(object);
            assert!(usage.is_none() || object.contains_key("usage"));
            let json = serde_json::to_string(object).expect("encodes");
            let shown = visible_json(&json);
            assert!(is_harmless(&shown) && serde_json::from_str::<Value>(&shown).is_ok());
        }
    }
    assert!(is_harmless(&visible(&text)));
    assert!(is_harmless(&visible_line(&text)) && !visible_line(&text).contains(['\n', '\t']));
    if let Ok(id) = TraceId::new(text.as_ref()) {
        let path = std::path::Path::new(id.as_str());
        assert_eq!(path.file_name(), Some(path.as_os_str()), "an id names one file");
    }
}

/// Blanks, control characters and escape sequences may stand before it.
fn may_begin_an_object(line: &str) -> bool {
    let before = line.split('{').next().unwrap_or_default();
    line.contains('{')
        && (before.contains(|c| matches!(c, '\x1b' | '\u{80}'..='\u{9f}'))
            || before.chars().all(|c| c.is_whitespace() || c.is_control()))
}

fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t')
}
