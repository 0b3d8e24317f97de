//! Every recorded stream through its driver.

use crate::recorded;
use crate::recorded::Said;
use belay_agents::AttemptEnd;
use belay_trace::Event;
use serde_json::{Value, json};
use std::collections::HashMap;

#[test]
fn nothing_that_a_recorded_agent_prints_is_unknown() {
    for recording in recorded::all() {
        for emitted in recording.events() {
            let words = match &emitted.event {
                Event::Unknown(line) => &line.line,
                Event::Notice(notice) if notice.code.as_deref() == Some("unknown_block") => {
                    &notice.text
                }
                _ => continue,
            };
            panic!("{}: {words}", recording.name);
        }
    }
}

#[test]
fn each_turn_ends_once_and_succeeds_only_if_the_agent_says_so() {
    for recording in recorded::all() {
        let verdicts = recording.lines().into_iter().filter_map(|line| recording.verdict(line));
        let mut want: Vec<bool> = verdicts.collect();
        if want.is_empty() {
            // The process was ended in mid-turn.
            want.push(false);
        }
        let succeeded: Vec<bool> =
            recording.ends().iter().map(|end| end.failure.is_none()).collect();
        assert_eq!(succeeded, want, "{}", recording.name);
    }
}

#[test]
fn every_tool_result_has_its_call_and_every_call_but_an_aborted_one_its_result() {
    for recording in recorded::all() {
        let mut open = HashMap::new();
        for emitted in recording.events() {
            match emitted.event {
                Event::ToolCall(call) => {
                    let twice = open.insert(call.tool_id.unwrap(), call.name);
                    assert_eq!(twice, None, "{}", recording.name);
                }
                // Docker Agent shows no call that it rejects, and says what it has returned.
                Event::PermissionDenied(denied) if recording.agent.name() == "docker-agent" => {
                    open.insert(denied.tool_id.unwrap(), denied.name);
                }
                Event::ToolResult(result) => {
                    let call = open.remove(&result.tool_id.unwrap());
                    assert!(call.is_some(), "{}: a result without a call", recording.name);
                }
                _ => {}
            }
        }
        let aborted = match recording.name.as_str() {
            // Codex says nothing more after a signal or an interrupt.
            "codex/int-int1" | "codex/int-term" | "codex/t-appserver" => 1,
            // Nor does Pi after a signal.
            "pi/int-term-pid" => 1,
            // And Copilot says only that the turn was aborted.
            "copilot/int-int1" => 1,
            _ => 0,
        };
        assert_eq!(open.len(), aborted, "{}: {open:?}", recording.name);
    }
}

/// The text of each message is what its whole line says, whether or not it came in pieces before.
#[test]
fn no_text_is_lost_and_none_comes_twice() {
    // Docker Agent prints no whole message, and over ACP there is none.
    let pieces_only = ["docker-agent/", "gemini/", "qwen/"];
    let all = recorded::all().into_iter();
    let all = all.filter(|one| !pieces_only.iter().any(|agent| one.name.starts_with(agent)));
    for recording in all {
        let mut said: Vec<(Option<String>, String)> = Vec::new();
        for emitted in recording.events() {
            match emitted.event {
                Event::Text(text) => match said.last_mut() {
                    Some((id, whole)) if *id == text.message_id => whole.push_str(&text.text),
                    _ => said.push((text.message_id, text.text)),
                },
                Event::TextRetracted(void) => {
                    let (id, whole) = said.pop().unwrap();
                    assert_eq!((id, whole), (void.message_id, void.text), "{}", recording.name);
                }
                _ => {}
            }
        }
        let said: Vec<String> = said.into_iter().map(|(_, text)| text).collect();
        let whole: Vec<String> = recording.lines().into_iter().flat_map(whole_texts).collect();
        assert_eq!(said, whole, "{}", recording.name);
    }
}

/// The texts in those lines that hold a whole message or block.
fn whole_texts(line: &[u8]) -> Vec<String> {
    let line: Value = serde_json::from_slice(line).unwrap();
    let text = |block: &Value| block["text"].as_str().map(str::to_owned);
    let item = match line["method"].as_str() {
        Some("item/completed") => &line["params"]["item"],
        _ if line["type"] == "item.completed" => &line["item"],
        // A response of Pi that broke off comes again.
        _ if line["type"] == "message_end" && line["message"]["stopReason"] != "error" => {
            let is_answer = line["message"]["role"] == "assistant";
            let blocks = line["message"]["content"].as_array().filter(|_| is_answer);
            let text: String = blocks.into_iter().flatten().filter_map(text).collect();
            return Some(text).filter(|text| !text.is_empty()).into_iter().collect();
        }
        _ if line["type"] == "assistant.message" => {
            let text = line["data"]["content"].as_str().map(str::to_owned);
            return text.filter(|text| !text.is_empty()).into_iter().collect();
        }
        _ if line["type"] == "text" => &line["part"],
        // The user's own words have no time.
        _ if line["type"] == "message.part.updated"
            && !line["properties"]["part"]["time"]["end"].is_null() =>
        {
            &line["properties"]["part"]
        }
        _ if line["type"] == "assistant" && line["error"].is_null() => {
            let blocks = line["message"]["content"].as_array().unwrap();
            return blocks.iter().filter_map(text).collect();
        }
        _ => return Vec::new(),
    };
    let is_message =
        ["agentMessage", "agent_message", "text"].map(Value::from).contains(&item["type"]);
    text(item).filter(|_| is_message).into_iter().collect()
}

#[test]
fn the_events_of_each_recording_are_as_reviewed() {
    for recording in recorded::all() {
        let lines: Vec<String> = recording.said().iter().map(compact).collect();
        let name = recording.name.replace('/', "-");
        insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!(name, lines.join("\n"));
        });
    }
}

/// One line for an event or the end of a turn; long texts are cut, and the length says by how much.
fn compact(said: &Said) -> String {
    match said {
        Said::Event(emitted) => {
            let mut fields = serde_json::to_value(&emitted.event).unwrap();
            fields.as_object_mut().unwrap().shift_remove("type");
            if let Some(tools) = fields.get_mut("tools") {
                *tools = json!(tools.as_array().unwrap().len());
            }
            shorten(&mut fields);
            let under = emitted.parent_tool_id.as_ref().map(|id| format!(" under {}", id.0));
            format!("{}{} {fields}", emitted.event.type_name(), under.unwrap_or_default())
        }
        Said::End(end) => compact_end(end),
    }
}

fn compact_end(end: &AttemptEnd) -> String {
    let mut fields = json!({
        "answer": end.answer,
        "failure": end.failure,
        "usage": end.usage,
        "session_id": end.session_id,
        "model": end.model,
        "structured": end.structured,
        "denials": end.denials,
    });
    shorten(&mut fields);
    format!("TURN ENDED {fields}")
}

fn shorten(value: &mut Value) {
    const CHARS_MAX: usize = 160;
    match value {
        Value::String(text) if text.chars().count() > CHARS_MAX => {
            let head: String = text.chars().take(CHARS_MAX).collect();
            *text = format!("{head}… ({} characters)", text.chars().count());
        }
        Value::Array(values) => values.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}
