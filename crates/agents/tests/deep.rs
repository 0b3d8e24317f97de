//! Lines that are deep or long beyond all use: each becomes its event, and the lines after it theirs.

use crate::answers::{answers, is_of_its_line};
use crate::recorded::Recording;
use crate::{answers, count, recorded};
use belay_agents::Action;
use belay_trace::{Event, Fold, Node, Record};

/// The nesting that issue reports of other tools speak of, and their stacks did not survive.
const DEPTH: usize = 10_000;

/// The length of a long line: ten megabytes, and one in the tests of each change.
fn long_line() -> usize {
    if count::is_long() { 10 << 20 } else { 1 << 20 }
}

fn nested(open: &str, close: &str) -> String {
    format!("{}1{}", open.repeat(DEPTH), close.repeat(DEPTH))
}

/// Feeds the lines and then the recording; gives the events of the lines.
///
/// The recording must say what it says without them, and all of it must make a tree that can be read.
fn events_before(recording: &Recording, odd: &[&str]) -> Vec<Event> {
    let lines: Vec<&[u8]> =
        odd.iter().map(|line| line.as_bytes()).chain(recording.lines()).collect();
    let answers = answers(recording, &lines);
    let (of_odd, of_recording) = answers.split_at(odd.len());
    let own = |answers: &[Vec<Action>]| -> Vec<Action> {
        let own = answers.iter().flatten().filter(|action| is_of_its_line(action));
        own.cloned().map(without_count).collect()
    };
    assert_eq!(own(of_recording), own(&answers::answers(recording, &recording.lines())));
    let mut fold = Fold::new("t");
    for emitted in answers.iter().flatten().filter_map(emitted) {
        let mut record = Record::new("r", emitted.event.clone());
        record.parent_tool_id.clone_from(&emitted.parent_tool_id);
        fold.push(&record);
    }
    let tree = serde_json::to_string(fold.tree()).unwrap();
    assert_eq!(serde_json::from_str::<Node>(&tree).unwrap(), *fold.tree());
    of_odd.iter().flatten().filter_map(emitted).map(|emitted| emitted.event.clone()).collect()
}

/// A line that is a response of its own counts as one.
fn without_count(mut action: Action) -> Action {
    if let Action::TurnEnded(end) = &mut action {
        end.usage.num_turns = None;
    }
    action
}

fn emitted(action: &Action) -> Option<&belay_agents::Emitted> {
    match action {
        Action::Emit(emitted) => Some(emitted),
        _ => None,
    }
}

#[track_caller]
fn check(recording: &str, line: &str, want: &[&str]) {
    let events = events_before(&recorded::named(recording), &[line]);
    let types: Vec<&str> = events.iter().map(Event::type_name).collect();
    assert_eq!(types, want, "{line:.80}");
}

#[test]
fn what_is_nested_ten_thousand_deep_is_kept_in_every_field_that_is_passed_on() {
    for deep in [nested("[", "]"), nested(r#"{"a":"#, "}")] {
        let claude = |kind: &str, block: &str| {
            format!(r#"{{"type":"{kind}","message":{{"id":"m","content":[{block}]}}}}"#)
        };
        let block = format!(r#"{{"type":"tool_use","id":"i","name":"Bash","input":{deep}}}"#);
        check("claude-code/b-shell", &claude("assistant", &block), &["turn_started", "tool_call"]);
        let block = format!(r#"{{"type":"tool_result","tool_use_id":"i","content":{deep}}}"#);
        check("claude-code/b-shell", &claude("user", &block), &["tool_result"]);
        let ask = format!(
            r#"{{"type":"control_request","request_id":"r","request":{{"subtype":"can_use_tool","tool_name":"Bash","input":{deep}}}}}"#
        );
        check("claude-code/s-perm-allow", &ask, &["permission_request"]);
        let unknown = format!(r#"{{"type":"news","deep":{deep}}}"#);
        check("claude-code/b-shell", &unknown, &["unknown"]);
        check("codex/b-shell", &unknown, &["unknown"]);
        check("opencode/b-shell", &unknown, &["unknown"]);
        check("opencode/serve-b-shell", &unknown, &["unknown"]);

        for field in ["arguments", "result"] {
            let item = format!(
                r#"{{"type":"mcp_tool_call","id":"i","server":"s","tool":"t","{field}":{deep}}}"#
            );
            check(
                "codex/b-shell",
                &format!(r#"{{"type":"item.completed","item":{item}}}"#),
                &["turn_started", "tool_call", "tool_result"],
            );
            check(
                "codex/t-appserver",
                &format!(r#"{{"method":"item/completed","params":{{"item":{item}}}}}"#),
                &["tool_call", "tool_result"],
            );
        }
        let item = format!(r#"{{"type":"file_change","id":"i","changes":{deep}}}"#);
        check(
            "codex/b-shell",
            &format!(r#"{{"type":"item.completed","item":{item}}}"#),
            &["turn_started", "tool_call", "tool_result"],
        );
        let info = format!(r#"{{"message":"m","codexErrorInfo":{deep}}}"#);
        check(
            "codex/t-appserver",
            &format!(r#"{{"method":"error","params":{{"error":{info}}}}}"#),
            &["notice"],
        );
        // What is asked cannot be shown, so it is refused.
        let ask = format!(
            r#"{{"method":"item/commandExecution/requestApproval","id":7,"params":{{"command":{deep}}}}}"#
        );
        check("codex/t-appserver", &ask, &["notice"]);
    }
}

#[test]
fn an_answer_nested_ten_thousand_deep_is_kept_as_text() {
    let deep = nested("[", "]");
    let line = format!(r#"{{"type":"result","result":"r","structured_output":{deep}}}"#);
    let answers = answers(&recorded::named("claude-code/r-schema"), &[line.as_bytes()]);
    let Action::TurnEnded(end) = &answers[0][0] else { panic!("an end") };
    let structured = end.structured.as_ref().unwrap().to_value();
    assert_eq!((end.answer.as_str(), structured.as_str()), ("r", Some(deep.as_str())));
}

#[test]
fn megabytes_in_one_line_are_one_event() {
    let long = "0123456789abcdef".repeat(long_line() / 16);
    let text = |events: &[Event]| match events {
        [.., Event::Text(text)] => text.text.len(),
        [Event::ToolResult(result)] => result.output.len(),
        [Event::Notice(notice)] => notice.text.len(),
        [Event::Unknown(unknown)] => unknown.line.len(),
        _ => panic!("{events:.200?}"),
    };
    let message = |kind: &str, block: &str| {
        format!(r#"{{"type":"{kind}","message":{{"id":"m","content":[{block}]}}}}"#)
    };
    let said = message("assistant", &format!(r#"{{"type":"text","text":"{long}"}}"#));
    let returned = message(
        "user",
        &format!(r#"{{"type":"tool_result","tool_use_id":"i","content":"{long}"}}"#),
    );
    let claude = recorded::named("claude-code/a-text");
    let codex = recorded::named("codex/a-text");
    let item = format!(
        r#"{{"type":"item.completed","item":{{"type":"agent_message","id":"i","text":"{long}"}}}}"#
    );
    let cut = format!(r#"{{"type":"result","result":"{long}"#);
    for (recording, line, len) in [
        (&claude, said.as_str(), long.len()),
        (&claude, &returned, long.len()),
        (&claude, &long, long.len()),
        (&claude, &cut, cut.len()),
        (&codex, &item, long.len()),
        (&codex, &long, long.len()),
    ] {
        assert_eq!(text(&events_before(recording, &[line])), len, "{line:.80}");
    }
}

#[test]
fn megabytes_of_brackets_are_one_event() {
    for (brackets, want) in [
        ("[".repeat(long_line()), "notice"),
        (r#"{"type":"#.repeat(long_line() / 8), "unknown"),
        (format!(r#"{{"type":"result","x":{}"#, "[".repeat(long_line())), "unknown"),
    ] {
        for recording in ["claude-code/a-text", "codex/a-text"] {
            let events = events_before(&recorded::named(recording), &[&brackets]);
            let types: Vec<&str> = events.iter().map(Event::type_name).collect();
            assert_eq!(types, [want], "{recording}: {brackets:.80}");
        }
    }
}
