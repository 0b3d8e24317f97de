//! Lines whose fields are not what they used to be.

use crate::answers::{answers, dialect, is_of_its_line, success};
use crate::count::{Count, Wrong, is_long};
use crate::recorded;
use crate::recorded::Recording;
use crate::watch::Stated;
use belay_agents::{Action, Exit};
use serde_json::Value;

/// What a field may become.
const ODD: [&str; 10] = [
    "null",
    "true",
    "0",
    "-0",
    "-1",
    "1e308",
    "18446744073709551615",
    r#""x""#,
    "[]",
    r#"{"a":1,"a":[null]}"#,
];

/// Every so many fields one is changed, in the tests of each change.
const STEP: usize = 229;

/// An agent's update may change any field: the turn still ends as its last line says, and no other line is lost.
#[test]
fn a_field_of_another_shape_costs_no_event_of_another_line_and_no_end_of_a_turn() {
    let mut count = Count::of("fields of another shape");
    let mut number = 0;
    for recording in recorded::all() {
        let lines = recording.lines();
        let whole = answers(&recording, &lines);
        for (at, line) in lines.iter().enumerate().skip(usize::from(recording.handshake() > 0)) {
            let Ok(value) = serde_json::from_slice::<Value>(line) else { continue };
            for path in paths(&value, "") {
                for odd in ODD {
                    number += 1;
                    if !is_long() && number % STEP != 0 {
                        continue;
                    }
                    let about = || format!("{}, line {at}: {path} = {odd}", recording.name);
                    count.case(about, || {
                        let changed = with(&value, &path, odd);
                        let mut lines = lines.clone();
                        lines[at] = changed.as_bytes();
                        wrong(&recording, &whole, &lines, at, &path)
                    });
                }
            }
        }
    }
    count.done();
}

fn wrong(
    recording: &Recording,
    whole: &[Vec<Action>],
    lines: &[&[u8]],
    at: usize,
    path: &str,
) -> Wrong {
    let said = answers(recording, lines);
    let stated = Stated::read(dialect(recording), lines[at]);
    let ends: Vec<bool> = said[at].iter().filter_map(success).collect();
    let as_stated = match ends[..] {
        // OpenCode's idle session ends a failed turn only once it has stayed idle.
        [] => !stated.ends || !whole[at].iter().any(|action| success(action).is_some()),
        // It may count as failed because it no longer says that it has not.
        [success] => {
            let may_fail = path == "/is_error" || stated.needs_whole;
            stated.ends && (success == stated.success || may_fail && !success)
                || stated.may_refuse && !success
        }
        _ => false,
    };
    // Codex's answer to `thread/start`: without a session there is nothing more to come.
    // And over ACP a mode that is not offered is not done without.
    let is_sessionless = path.starts_with("/result/modes")
        || ["/result", "/result/thread", "/result/thread/id", "/result/sessionId"].contains(&path);
    // A turn of another thread is a subagent's, one of another id was asked for by another client, and a response to
    // a request that was never made ends nothing.
    let of_thread = [
        "/id",
        "/params/threadId",
        "/params/turn/id",
        "/session_id",
        "/properties",
        "/properties/sessionID",
    ];
    let is_anothers = of_thread.contains(&path) && ends.is_empty();
    let as_stated = as_stated || is_sessionless && ends == [false] || is_anothers;
    // What is said of an id cannot be found under another one.
    let is_id = path.to_ascii_lowercase().ends_with("id");
    let others = whole.iter().zip(&said).enumerate().filter(|(line, _)| *line > at && !is_id);
    let lost = others.filter(|(_, (w, s))| w.iter().any(is_of_its_line) && s.is_empty()).count();
    Wrong { false_successes: 0, lost: lost + usize::from(!as_stated) }
}

/// The fields of a line, as JSON pointers, down to the third level.
fn paths(value: &Value, at: &str) -> Vec<String> {
    let Value::Object(fields) = value else { return Vec::new() };
    let is_deep = at.matches('/').count() >= 2;
    let below = |(name, field): (&String, &Value)| {
        let path = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        let inner = if is_deep { Vec::new() } else { paths(field, &path) };
        [path].into_iter().chain(inner)
    };
    fields.iter().flat_map(below).collect()
}

/// The line with `odd` in the place of one field.
fn with(value: &Value, path: &str, odd: &str) -> String {
    let mut value = value.clone();
    *value.pointer_mut(path).unwrap() = "belay-odd".into();
    value.to_string().replace(r#""belay-odd""#, odd)
}

/// A field that has changed its shape costs that field, not the turn that was paid for.
#[test]
fn a_result_line_is_read_whatever_has_become_of_its_details() {
    let claude = recorded::named("claude-code/a-text");
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for field in [
        r#""usage":7"#,
        r#""session_id":7"#,
        r#""subtype":["success"]"#,
        r#""parent_tool_use_id":{}"#,
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
        let words =
            br#"{"type":"item.completed","item":{"id":"i","type":"agent_message","text":"Yes."}}"#;
        let said = codex.said_of(&[words, line.as_bytes()], Exit::Code(0));
        let [end] = &recorded::ends(&said)[..] else { panic!("one end: {line}") };
        assert_eq!((end.failure.is_none(), end.usage.input_tokens), (success, None), "{line}");
    }
}

/// Found by changing every field: a turn's end that could not be read left belay and Codex waiting for each other.
#[test]
fn the_app_servers_end_of_a_turn_is_one_whatever_has_become_of_its_details() {
    let server = recorded::named("codex/t-appserver");
    let begin = br#"{"method":"turn/started","params":{"threadId":"t","turn":{"id":"u"}}}"#;
    for (params, is_success) in [
        (r#"{"threadId":"t","turn":{"id":7,"status":"completed"}}"#, true),
        (r#"{"threadId":"t","turn":{"id":"u","status":"completed","durationMs":1.5}}"#, true),
        (r#"{"threadId":7,"turn":{"id":"u","status":"completed"}}"#, true),
        (r#"{"threadId":"t","turn":{"id":"u","status":"completed","error":[]}}"#, true),
        (
            r#"{"threadId":"t","turn":{"id":"u","status":"completed","error":{"message":"x"}}}"#,
            false,
        ),
        (r#"{"threadId":7,"turn":{"id":"other","status":"completed"}}"#, false),
        (r#"{"threadId":"t","turn":{"id":"u","status":7}}"#, false),
        (r#"{"threadId":"t","turn":{"id":"u","status":"failed","error":{"message":7}}}"#, false),
        (r#"{"threadId":"t","turn":"u"}"#, false),
        ("null", false),
    ] {
        let words = br#"{"method":"item/completed","params":{"threadId":"t","item":{"id":"i","type":"agentMessage","text":"Yes."}}}"#;
        let line = format!(r#"{{"method":"turn/completed","params":{params}}}"#);
        let ends = answers(&server, &[begin, words, line.as_bytes()])[2]
            .iter()
            .filter_map(success)
            .collect::<Vec<_>>();
        assert_eq!(ends, [is_success], "{params}");
    }
}

/// Its own id was taken for that of another turn, which kept the run open.
#[test]
fn a_turn_of_codex_that_starts_unreadably_ends_like_any_other() {
    let server = recorded::named("codex/t-appserver");
    let asked = br#"{"id":3,"result":{"turn":{"id":"u"}}}"#;
    let words = br#"{"method":"item/completed","params":{"threadId":"t","turnId":"u","item":{"id":"i","type":"agentMessage","text":"Yes."}}}"#;
    let end = br#"{"method":"turn/completed","params":{"threadId":"t","turn":{"id":"u","status":"completed"}}}"#;
    let opened: [&[u8]; 2] =
        [br#"{"id":1,"result":{}}"#, br#"{"id":2,"result":{"thread":{"id":"t"}}}"#];
    for turn in ["null", "7", "[]", "{}", r#"{"id":7}"#, r#"{"id":""}"#] {
        let begin =
            format!(r#"{{"method":"turn/started","params":{{"threadId":"t","turn":{turn}}}}}"#);
        let running = br#"{"method":"turn/started","params":{"threadId":"t","turn":{"id":"u"}}}"#;
        let starts: [&[&[u8]]; 3] = [
            &[asked, begin.as_bytes()],
            &[begin.as_bytes(), asked],
            &[asked, running, begin.as_bytes()],
        ];
        for start in starts {
            let lines = [&opened, start, &[words, end]].concat();
            let ends: Vec<_> =
                answers(&server, &lines)[lines.len() - 1].iter().filter_map(success).collect();
            assert_eq!(ends, [true], "{turn}");
        }
    }
}

#[test]
fn codexs_session_opens_whatever_has_become_of_its_details() {
    let server = recorded::named("codex/t-appserver");
    for detail in ["7", "[]", r#"{"a":1,"a":[null]}"#] {
        let thread = format!(r#"{{"id":"t","cliVersion":{detail}}}"#);
        let opened = format!(
            r#"{{"id":2,"result":{{"thread":{thread},"model":{detail},"cwd":{detail},"sandbox":{detail}}}}}"#
        );
        let answers = answers(&server, &[br#"{"id":1,"result":{}}"#, opened.as_bytes()]);
        let [Action::Emit(emitted), Action::Stdin(_)] = &answers[1][..] else {
            panic!("{detail}: {:?}", answers[1])
        };
        assert_eq!(emitted.event.type_name(), "session_started");
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
        (
            r#"{"type":"result","subtype":"success","result":"x","terminal_reason":"completed"}"#,
            true,
        ),
        // What an API error looks like (recorded as h-401), without the one field that tells.
        (
            r#"{"type":"result","subtype":"success","result":"x","terminal_reason":"api_error"}"#,
            false,
        ),
        (r#"{"type":"result","subtype":"success","result":"x","api_error_status":401}"#, false),
        (r#"{"type":"result","subtype":"success","result":"x","errors":["x"]}"#, false),
    ] {
        let ends = recorded::ends(&claude.said_of(&[line.as_bytes()], Exit::Code(0)));
        assert_eq!(
            ends.iter().map(|end| end.failure.is_none()).collect::<Vec<_>>(),
            [success],
            "{line}"
        );
    }
}
