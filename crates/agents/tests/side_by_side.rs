//! One scenario on all agents: some text, one shell command, the answer. What differs is seen at a glance.

use crate::recorded;
use crate::recorded::Said;
use belay_agents::{AttemptEnd, Emitted};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The columns, and the recordings of which they show the first turn.
const STREAMS: [(&str, &str); 9] = [
    // Without --include-partial-messages, with which belay runs it and it tells its usage on the way.
    ("claude", "claude-code/b-shell"),
    // It asks for the command and is refused; no other dialogue of it was recorded.
    ("codex app", "codex/t-appserver"),
    ("codex exec", "codex/b-shell"),
    ("oc serve", "opencode/serve-b-shell"),
    ("oc run", "opencode/b-shell"),
    ("pi rpc", "pi/rpc"),
    ("pi json", "pi/b-shell"),
    ("copilot", "copilot/b-shell"),
    ("docker", "docker-agent/71f377e5"),
];

/// Values that are the same whatever was asked; of all others only the names are shown.
const SHOWN: [&str; 7] =
    ["name", "kind", "exit_code", "tool_error", "source", "cost_source", "is_error"];

/// Events that come whenever an agent has counted, and stand below the others.
const FIGURES: [&str; 2] = ["usage", "context"];

#[test]
fn one_scenario_of_all_agents_side_by_side() {
    let turns = STREAMS.map(|(_, recording)| first_turn(recording));
    let mut text = String::new();
    table(&mut text, &turns);
    details(&mut text, &turns);
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("side-by-side", text);
    });
}

/// What every agent must say of it, over every transport.
#[test]
fn every_agent_tells_the_session_the_text_the_tool_its_return_and_the_answer() {
    for (name, recording) in STREAMS {
        let said = first_turn(recording);
        let names: Vec<&str> = said.iter().map(|(name, _)| name.as_str()).collect();
        for must in ["session_started", "turn_started", "text", "tool_call", "tool_result"] {
            assert!(names.contains(&must), "{name} has no {must}: {names:?}");
        }
        let call = &said.iter().find(|(name, _)| name == "tool_call").unwrap().1;
        assert_eq!((&call["name"], &call["kind"]), (&json!("Bash"), &json!("execute")), "{name}");
        let end = &said.last().unwrap().1;
        assert_eq!((&end["is_error"], &end["session_id"]), (&json!(false), &json!("…")), "{name}");
        if name == "copilot" {
            // It tells that in its session's file alone.
            continue;
        }
        let usage = &end["usage"];
        assert!(usage["input_tokens"] == "…" && usage["output_tokens"] == "…", "{name}: {usage}");
    }
}

/// The events of a turn by their names, with all that is particular taken out; pieces of one text are one.
fn first_turn(recording: &str) -> Vec<(String, Value)> {
    let mut events: Vec<(String, Value)> = Vec::new();
    for said in recorded::named(recording).said() {
        let (name, fields) = match &said {
            Said::Event(emitted) => event(emitted),
            Said::End(end) => ("result".to_owned(), result(end)),
        };
        let is_end = matches!(said, Said::End(_));
        let is_piece = ["text", "reasoning", "tool_call_delta"].contains(&name.as_str());
        if !is_piece || events.last().is_none_or(|(last, _)| *last != name) {
            events.push((name, fields));
        }
        if is_end {
            break;
        }
    }
    events
}

fn event(emitted: &Emitted) -> (String, Value) {
    let mut fields = serde_json::to_value(&emitted.event).unwrap();
    fields.as_object_mut().unwrap().shift_remove("type");
    normalise(&mut fields);
    (emitted.event.type_name().to_owned(), fields)
}

fn result(end: &AttemptEnd) -> Value {
    let mut fields = json!({
        "result": end.answer,
        "is_error": end.failure.is_some(),
        "usage": end.usage,
        "session_id": end.session_id,
        "model": end.model,
    });
    normalise(&mut fields);
    fields
}

/// Keeps what is known and not what it is.
fn normalise(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            for (name, field) in fields.iter_mut() {
                // The models of a bill go by their own names.
                if name == "models" {
                    *field = json!("…");
                } else if !SHOWN.contains(&name.as_str()) || field.is_object() {
                    normalise(field);
                }
            }
        }
        other => *other = json!("…"),
    }
}

/// Rows are events in the order in which they come, columns are agents; a dot where one has the event there.
fn table(text: &mut String, turns: &[Vec<(String, Value)>]) {
    let mut rows: Vec<(String, BTreeSet<usize>)> = Vec::new();
    for (column, turn) in turns.iter().enumerate() {
        let names = turn.iter().map(|(name, _)| name.as_str());
        let names: Vec<&str> = names.filter(|name| !FIGURES.contains(name)).collect();
        rows = merged(rows, &names, column);
    }
    let heads = STREAMS.map(|(name, _)| name);
    let line = |first: &str, cells: [&str; 9]| {
        let cells = cells.map(|cell| format!("{cell:<11}")).concat();
        format!("{first:<17}{cells}").trim_end().to_owned()
    };
    writeln!(text, "{}", line("", heads)).unwrap();
    for (name, columns) in rows {
        let dots: Vec<&str> =
            (0..STREAMS.len()).map(|at| if columns.contains(&at) { "•" } else { "" }).collect();
        writeln!(text, "{}", line(&name, dots.try_into().unwrap())).unwrap();
    }
    for name in FIGURES {
        let times = |at: usize| turns[at].iter().filter(|(own, _)| own == name).count();
        let counts: Vec<String> = (0..STREAMS.len()).map(|at| format!("{}×", times(at))).collect();
        let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
        writeln!(text, "{}", line(name, counts.try_into().unwrap())).unwrap();
    }
}

/// The rows with one more column: what both have in common, in order, shares a row.
fn merged(
    rows: Vec<(String, BTreeSet<usize>)>,
    names: &[&str],
    column: usize,
) -> Vec<(String, BTreeSet<usize>)> {
    // The longest common part of what comes from each place on.
    let mut common = vec![vec![0; names.len() + 1]; rows.len() + 1];
    for row in (0..rows.len()).rev() {
        for at in (0..names.len()).rev() {
            common[row][at] = if rows[row].0 == names[at] {
                common[row + 1][at + 1] + 1
            } else {
                common[row + 1][at].max(common[row][at + 1])
            };
        }
    }
    let (mut merged, mut at) = (Vec::new(), 0);
    for (row, (name, mut columns)) in rows.into_iter().enumerate() {
        while at < names.len() && name != names[at] && common[row][at] == common[row][at + 1] {
            merged.push((names[at].to_owned(), BTreeSet::from([column])));
            at += 1;
        }
        if names.get(at) == Some(&name.as_str()) {
            columns.insert(column);
            at += 1;
        }
        merged.push((name, columns));
    }
    merged.extend(names[at..].iter().map(|name| ((*name).to_owned(), BTreeSet::from([column]))));
    merged
}

/// For each kind of event, what each agent tells in it.
fn details(text: &mut String, turns: &[Vec<(String, Value)>]) {
    let names: BTreeSet<&str> = turns.iter().flatten().map(|(name, _)| name.as_str()).collect();
    for name in names {
        writeln!(text, "\n{name}").unwrap();
        for ((stream, _), turn) in STREAMS.iter().zip(turns) {
            let told: BTreeSet<String> = turn
                .iter()
                .filter(|(own, _)| own == name)
                .map(|(_, fields)| fields.to_string())
                .collect();
            for fields in told {
                let fields = fields.replace(r#":"…""#, "").replace('"', "");
                writeln!(text, "  {stream:<12}{fields}").unwrap();
            }
        }
    }
}
