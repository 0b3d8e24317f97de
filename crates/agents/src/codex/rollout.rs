//! What Codex writes down about a session: `$CODEX_HOME/sessions/YYYY/MM/DD/rollout-TIME-SESSION.jsonl`.
//!
//! One record for each response that has ended, also of turns that were killed later (measured, 0.169.0).

use crate::session::{Response, SessionFiles, SessionNotes, Tokens, is_id};
use crate::wire::{decode, lenient};
use crate::{framing, lines};
use jiff::Timestamp;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

pub(super) fn files(session_id: &str) -> SessionFiles {
    SessionFiles {
        home_env: "CODEX_HOME",
        home: ".codex",
        folder: "sessions",
        levels: 3,
        prefix: "rollout-",
        suffix: format!("-{session_id}.jsonl"),
        beside: None,
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    timestamp: Option<Timestamp>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct TurnContext {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    service_tier: Option<String>,
}

#[derive(Deserialize)]
struct TaskStarted {
    #[serde(default)]
    model_context_window: Option<u64>,
}

#[derive(Deserialize)]
struct UsageRecord {
    usage: Counts,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: u64,
    cached_input_tokens: u64,
    cache_write_input_tokens: u64,
    output_tokens: u64,
    reasoning_output_tokens: u64,
}

pub(super) fn read(since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<Response> {
    let words =
        ["\"turn_context\"", "\"task_started\"", "\"token_usage_record\""].map(memmem::Finder::new);
    let mut turn = TurnContext { model: None, service_tier: None };
    let mut context_window = None;
    let mut responses = Vec::new();
    let mut record = |line: Line<'_>| match line.kind.as_ref() {
        "turn_context" => {
            if let Some(context) = decode(line.payload.get()) {
                turn = context;
            }
        }
        "event_msg" => {
            let started = decode::<TaskStarted>(line.payload.get());
            context_window = started.and_then(|task| task.model_context_window).or(context_window);
        }
        "token_usage_record" => {
            let at = line.timestamp.filter(|at| *at >= since);
            let record = decode::<UsageRecord>(line.payload.get());
            let (Some(at), Some(record)) = (at, record) else { return };
            responses.push(Response {
                at: Some(at),
                model: turn.model.clone(),
                tokens: record.usage.tokens(),
                context_window,
                service_tier: turn.service_tier.clone(),
                finish: None,
                is_helper: false,
            });
        }
        _ => {}
    };
    for line in lines.filter(|line| words.iter().any(|word| word.find(line).is_some())) {
        framing::decode_each(&lines::text(line), &mut record);
    }
    responses
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Note {
    #[serde(rename = "type")]
    kind: String,
    item: Activity,
}

/// What a helper has done; other items have none of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Activity {
    #[serde(rename = "type", deserialize_with = "lenient")]
    kind: String,
    #[serde(rename = "kind", deserialize_with = "lenient")]
    activity: String,
    #[serde(deserialize_with = "lenient")]
    agent_thread_id: String,
    #[serde(deserialize_with = "lenient")]
    agent_path: String,
}

/// The helpers that a thread has started, and whether its last turn is whole. A helper begins with a copy of its
/// parent's thread, the parent's turn cut off, and with a turn of its own behind it (measured, 0.169.0).
pub(super) fn notes(since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> SessionNotes {
    let words =
        ["\"task_started\"", "\"task_complete\"", "\"turn_aborted\"", "\"SubAgentActivity\""];
    let words = words.map(memmem::Finder::new);
    let mut notes = SessionNotes::default();
    let mut note = |line: Line<'_>| {
        let is_new = line.timestamp.is_some_and(|at| at >= since);
        let Some(note) = decode::<Note>(line.payload.get()).filter(|_| is_new) else { return };
        match (line.kind.as_ref(), note.kind.as_str()) {
            ("event_msg", "task_started" | "turn_aborted") => notes.is_cut = true,
            ("event_msg", "task_complete") => notes.is_cut = false,
            ("event_msg", "item_completed") => {
                let Activity { kind, activity, agent_thread_id: id, agent_path: name } = note.item;
                let is_start = kind == "SubAgentActivity" && activity == "started";
                if is_start && is_id(&id) && !notes.helpers.iter().any(|(known, _)| *known == id) {
                    notes.helpers.push((id, name));
                }
            }
            _ => {}
        }
    };
    for line in lines.filter(|line| words.iter().any(|word| word.find(line).is_some())) {
        framing::decode_each(&lines::text(line), &mut note);
    }
    notes
}

impl Counts {
    /// Codex counts what was cached as input, too.
    fn tokens(&self) -> Tokens {
        let cached = self.cached_input_tokens.saturating_add(self.cache_write_input_tokens);
        Tokens {
            input: self.input_tokens.saturating_sub(cached),
            output: self.output_tokens,
            cache_read: self.cached_input_tokens,
            cache_write: self.cache_write_input_tokens,
            cache_write_1h: 0,
            reasoning: self.reasoning_output_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(second: u32) -> String {
        format!(
            r#"{{"timestamp":"2026-11-21T16:54:{second:02}.317Z","ordinal":12,"type":"token_usage_record","payload":{{"thread_id":"t","usage":
            {{"input_tokens":10500,"cached_input_tokens":9000,"cache_write_input_tokens":300,"output_tokens":85,"reasoning_output_tokens":5,"total_tokens":10585}},
            "thread_token_usage":{{"input_tokens":21000}}}}}}"#
        )
        .replace('\n', "")
    }

    fn context(model: &str) -> String {
        format!(
            r#"{{"timestamp":"2026-11-21T16:54:00Z","type":"turn_context","payload":{{"turn_id":"1","model":"{model}"}}}}"#
        )
    }

    #[test]
    fn a_thread_tells_of_its_helpers_and_whether_its_turn_is_whole() {
        let line = |second: u32, payload: &str| {
            format!(
                r#"{{"timestamp":"2026-11-21T16:54:{second:02}Z","type":"event_msg","payload":{payload}}}"#
            )
        };
        let started = |id: &str| {
            format!(
                r#"{{"type":"item_completed","item":{{"type":"SubAgentActivity","kind":"started","agent_thread_id":"{id}","agent_path":"/root/count"}}}}"#
            )
        };
        let text = [
            line(1, &started("an-earlier-helper")),
            line(10, r#"{"type":"task_started"}"#),
            line(11, &started("01a22dda-24a5")),
            line(12, &started("01a22dda-24a5")),
            line(13, &started("../../etc")),
            line(14, &started("01a22dda-24a5").replace("started", "completed")),
        ];
        let since = "2026-11-21T16:54:05Z".parse().unwrap();
        let read = |text: &[String]| notes(since, &mut text.iter().map(|line| line.as_bytes()));
        let helpers = vec![("01a22dda-24a5".to_owned(), "/root/count".to_owned())];
        assert_eq!(read(&text), SessionNotes { helpers: helpers.clone(), is_cut: true });
        let ended = [&text[..], &[line(20, r#"{"type":"task_complete"}"#)]].concat();
        assert_eq!(read(&ended), SessionNotes { helpers, is_cut: false });
        let copied =
            [line(10, r#"{"type":"turn_aborted"}"#), line(11, r#"{"type":"task_started"}"#)];
        assert!(read(&copied).is_cut && !read(&[]).is_cut);
    }

    #[test]
    fn a_response_has_the_model_of_its_turn_and_those_of_earlier_turns_are_left_out() {
        let text = [
            context("gpt-5.1"),
            record(10),
            r#"{"timestamp":"2026-11-21T16:54:40Z","type":"event_msg","payload":{"type":"task_started","model_context_window":258400}}"#.to_owned(),
            context("gpt-5.5"),
            record(49),
            r#"{"type":"response_item","payload":{"text":"\"token_usage_record\""}}"#.to_owned(),
            record(50)[..90].to_owned(),
        ];
        let since = "2026-11-21T16:54:40Z".parse().unwrap();
        let want = Response {
            at: "2026-11-21T16:54:49.317Z".parse().ok(),
            model: Some("gpt-5.5".to_owned()),
            tokens: Tokens {
                input: 1200,
                output: 85,
                cache_read: 9000,
                cache_write: 300,
                cache_write_1h: 0,
                reasoning: 5,
            },
            context_window: Some(258_400),
            service_tier: None,
            finish: None,
            is_helper: false,
        };
        assert_eq!(read(since, &mut text.iter().map(|line| line.as_bytes())), [want]);
    }
}
