//! Tool calls that Codex's stream does not show: it has no item for a command that its policy rejects before it
//! starts, for a patch that it does not accept, nor over the app-server for a command that ends in its sandbox at once
//! (measured, 0.169.0). Its rollout file has each call and what the model was told.

use super::witness;
use crate::wire::decode;
use crate::witness::{SilentLine, SilentReader, Statement};
use crate::{framing, lines};
use belay_trace::ToolKind;
use jiff::Timestamp;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;

pub(super) const READER: SilentReader = SilentReader { keep: lines, read, is_told };

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    timestamp: Option<Timestamp>,
    #[serde(borrow)]
    payload: Payload<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Payload<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    call_id: Option<String>,
    #[serde(borrow)]
    item: Option<Item<'a>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
}

/// The records of calls, and of what came of them, that have no item beside them. Those of the last turn only: a fork
/// begins with a copy of another session. A version that writes no items down says nothing.
fn lines(since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<u8> {
    let words = ["\"function_call", "\"custom_tool_call", "\"item_completed\"", "\"task_started\""];
    let words = words.map(memmem::Finder::new);
    let mut kept: Vec<(String, String)> = Vec::new();
    let mut shown = HashSet::new();
    let (mut begins, mut has_items) = (false, false);
    let mut note = |record: &RawValue| {
        let Some(line) = decode::<Written<'_>>(record.get()) else { return };
        if line.timestamp.is_none_or(|at| at < since) {
            return;
        }
        match (line.kind.as_ref(), line.payload.kind.as_ref()) {
            ("event_msg", "task_started") => {
                (begins, has_items) = (true, false);
                kept.clear();
            }
            ("event_msg", "item_completed") => {
                has_items = true;
                shown.extend(line.payload.item.map(|item| item.id.into_owned()));
            }
            (
                "response_item",
                "function_call"
                | "custom_tool_call"
                | "function_call_output"
                | "custom_tool_call_output",
            ) => {
                let id = line.payload.call_id;
                kept.extend(id.map(|id| (id, record.get().to_owned())));
            }
            _ => {}
        }
    };
    for line in lines.filter(|line| words.iter().any(|word| word.find(line).is_some())) {
        framing::decode_each(&lines::text(line), &mut note);
    }
    if begins && !has_items {
        return Vec::new();
    }
    let silent = kept.into_iter().filter(|(id, _)| !shown.contains(id));
    silent.flat_map(|(_, record)| (record + "\n").into_bytes()).collect()
}

/// Reads one of them.
fn read(record: &str) -> Vec<SilentLine> {
    let said = witness::read(record).map(|line| line.said);
    said.into_iter().flatten().filter_map(silent_line).collect()
}

fn silent_line(statement: Statement) -> Option<SilentLine> {
    Some(match statement {
        Statement::Call(call) => SilentLine::Called(call),
        Statement::Returned(mut result) => {
            // A command that has run says how it ended.
            let has_run = result.exit_code.is_some();
            result.tool_error |= !has_run;
            let denied = !has_run && is_denial(&result.output);
            SilentLine::Returned { result, denied }
        }
        _ => return None,
    })
}

/// What is always shown as an item when it has run, or is refused in words: anything else without an item is a tool
/// that has none.
fn is_told(kind: ToolKind, output: &str) -> bool {
    let has_items = matches!(kind, ToolKind::Execute | ToolKind::Edit);
    let still_runs = output.contains("Process running with session ID");
    (has_items && !still_runs) || output.starts_with("unsupported call") || is_denial(output)
}

/// How Codex words a decision against a call (0.169.0).
const DENIALS: &[&str] = &[
    "rejected by ",
    "reject command",
    "patch rejected",
    "rejected: ",
    "blocked by policy",
    "forbidden by ",
    "approval required by policy",
    "rejected due to unacceptable risk",
    "review denied the action",
];

fn is_denial(output: &str) -> bool {
    DENIALS.iter().any(|words| output.contains(words))
}

#[cfg(test)]
mod tests {
    use crate::Agent as _;
    use crate::{Action, Codex, Emitted, Input, Out, RunRequest, Transport};
    use belay_trace::Event;

    fn line(second: u32, kind: &str, payload: &str) -> String {
        format!(
            r#"{{"timestamp":"2026-12-01T01:48:{second:02}.993Z","type":"{kind}","payload":{payload}}}"#
        )
    }

    fn begins(second: u32) -> [String; 2] {
        let user = r#"{"type":"item_completed","item":{"type":"UserMessage","id":"u"}}"#;
        [line(second, "event_msg", r#"{"type":"task_started"}"#), line(second, "event_msg", user)]
    }

    fn called(second: u32, id: &str, command: &str) -> String {
        let payload = format!(
            r#"{{"type":"function_call","name":"exec_command","arguments":"{{\"cmd\":\"{command}\"}}","call_id":"{id}"}}"#
        );
        line(second, "response_item", &payload)
    }

    fn returned(second: u32, id: &str, output: &str) -> String {
        let payload =
            format!(r#"{{"type":"function_call_output","call_id":"{id}","output":"{output}"}}"#);
        line(second, "response_item", &payload)
    }

    fn item(second: u32, id: &str) -> String {
        let payload = format!(
            r#"{{"type":"item_completed","item":{{"type":"CommandExecution","id":"{id}"}}}}"#
        );
        line(second, "event_msg", &payload)
    }

    const RAN: &str =
        "Chunk ID: 1\\nProcess exited with code 1\\nOutput:\\nRead-only file system\\n";
    const REJECTED: &str = "approval policy is Never; reject command — you cannot ask";

    /// What is told of a file, by a driver whose stream has shown the item `shown`.
    fn told(transport: Transport, file: &[String], shown: Option<&str>) -> Vec<Event> {
        let since = "2026-12-01T01:48:10Z".parse().unwrap();
        let agent = Codex::new();
        let kept = agent.silent_calls(since, &mut file.iter().map(|line| line.as_bytes()));
        let mut driver = agent.protocol(&RunRequest::new("p"), transport);
        let mut out = Out::default();
        driver.step(Input::Session("thread"), &mut out);
        if let Some(id) = shown {
            let item = format!(
                r#"{{"method":"item/started","params":{{"threadId":"t","item":{{"type":"commandExecution","id":"{id}","command":"c","status":"inProgress"}}}}}}"#
            );
            driver.step(Input::Stdout(item.as_bytes()), &mut out);
        }
        out.actions.clear();
        driver.step(Input::SilentCalls(&kept), &mut out);
        let events = out.actions.into_iter().filter_map(|action| match action {
            Action::Emit(Emitted { event, .. }) => Some(event),
            _ => None,
        });
        events.collect()
    }

    #[track_caller]
    fn check(transport: Transport, file: &[String], shown: Option<&str>, want: &[&str]) {
        let told = told(transport, file, shown);
        let names: Vec<_> = told.iter().map(Event::type_name).collect();
        assert_eq!(names, want, "{told:?}");
    }

    const DENIED: [&str; 3] = ["tool_call", "tool_result", "permission_denied"];

    #[test]
    fn a_call_without_an_item_is_told_with_what_the_model_was_told() {
        let file = [
            &begins(11)[..],
            &[called(12, "a", "ls"), item(13, "a"), returned(13, "a", RAN)],
            &[called(14, "b", "touch /x"), returned(14, "b", REJECTED)],
        ]
        .concat();
        for transport in [Transport::Print, Transport::Dialogue] {
            check(transport, &file, None, &DENIED);
            let Event::ToolResult(result) = &told(transport, &file, None)[1] else { panic!() };
            assert!(result.tool_error && result.output.starts_with("approval policy is Never"));
        }
        // A command that has run in the sandbox is denied by nobody.
        let file = [&begins(11)[..], &[called(12, "a", "ls"), returned(13, "a", RAN)]].concat();
        check(Transport::Dialogue, &file, None, &DENIED[..2]);
    }

    #[test]
    fn what_the_stream_shows_or_another_turn_did_is_not_told() {
        let denied = [called(14, "b", "touch /x"), returned(14, "b", REJECTED)];
        let file = [&begins(11)[..], &denied].concat();
        check(Transport::Dialogue, &file, Some("b"), &[]);
        // A copy of another session, of a fork.
        check(Transport::Print, &[&denied[..], &begins(15)].concat(), None, &[]);
        // An earlier turn.
        let old = [called(4, "b", "touch /x"), returned(4, "b", REJECTED)];
        check(Transport::Print, &[&begins(3)[..], &old].concat(), None, &[]);
        // A version that writes no items down.
        check(Transport::Print, &[&begins(11)[..1], &denied].concat(), None, &[]);
        // A command that runs on, and a tool that has no items.
        let runs = returned(14, "b", "Process running with session ID 7");
        let file = [&begins(11)[..], &[called(14, "b", "sleep 99"), runs]].concat();
        check(Transport::Print, &file, None, &[]);
        let other = called(14, "b", "x").replace("exec_command", "view_image");
        let file = [&begins(11)[..], &[other, returned(14, "b", "seen")]].concat();
        check(Transport::Print, &file, None, &[]);
    }
}
