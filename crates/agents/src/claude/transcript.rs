//! What Claude Code writes down about a session: `~/.claude/projects/FOLDER/SESSION.jsonl`.
//!
//! One line for each block of a response, each with the response's final tokens (measured, 2.1.329).

use crate::session::{Response, SessionFiles, Tokens};
use crate::wire::lenient;
use crate::{framing, lines};
use jiff::Timestamp;
use memchr::memmem;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;

pub(super) fn files(session_id: &str) -> SessionFiles {
    SessionFiles {
        home_env: "CLAUDE_CONFIG_DIR",
        home: ".claude",
        folder: "projects",
        levels: 1,
        prefix: "",
        suffix: format!("{session_id}.jsonl"),
        beside: Some(format!("{session_id}/subagents")),
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    timestamp: Option<Timestamp>,
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    id: String,
    #[serde(default)]
    model: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    usage: Option<Counts>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_input_tokens: u64,
    cache_creation_input_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    cache_creation: CacheCreation,
    #[serde(deserialize_with = "lenient")]
    output_tokens_details: OutputDetails,
    #[serde(deserialize_with = "lenient")]
    service_tier: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_1h_input_tokens: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: u64,
}

pub(super) fn read(since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<Response> {
    let mut responses: Vec<Response> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    // The whole prompt is in the file, too; most of it need not be decoded.
    let spoken = memmem::Finder::new("\"assistant\"");
    let mut record = |line: Line<'_>| {
        let Some((id, response)) = response(since, line) else { return };
        match known.get(&id) {
            Some(n) => {
                let tokens = responses[*n].tokens.or_more(response.tokens);
                responses[*n] = Response { tokens, ..response };
            }
            None => {
                known.insert(id, responses.len());
                responses.push(response);
            }
        }
    };
    for line in lines.filter(|line| spoken.find(line).is_some()) {
        framing::decode_each(&lines::text(line), &mut record);
    }
    responses
}

fn response(since: Timestamp, line: Line<'_>) -> Option<(String, Response)> {
    // What Claude says in the model's place, about an error or an interrupt, has used nothing.
    let is_response = line.kind == "assistant" && line.message.model.as_deref() != Some(SYNTHETIC);
    // A line of an earlier turn always has its time.
    if !is_response || line.timestamp.is_some_and(|at| at < since) {
        return None;
    }
    let counts = line.message.usage?;
    let tokens = Tokens {
        input: counts.input_tokens,
        output: counts.output_tokens,
        cache_read: counts.cache_read_input_tokens,
        cache_write: counts.cache_creation_input_tokens,
        cache_write_1h: counts.cache_creation.ephemeral_1h_input_tokens,
        reasoning: counts.output_tokens_details.thinking_tokens,
    };
    let service_tier = counts.service_tier;
    Some((
        line.message.id,
        Response {
            at: line.timestamp,
            model: line.message.model,
            tokens,
            context_window: None,
            service_tier,
            finish: None,
            is_helper: false,
        },
    ))
}

const SYNTHETIC: &str = "<synthetic>";

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: u32, id: &str, model: &str, output: u64) -> String {
        format!(
            r#"{{"parentUuid":null,"message":{{"model":"{model}","id":"{id}","type":"message","role":"assistant","content":[],
            "usage":{{"input_tokens":1200,"cache_creation_input_tokens":300,"cache_read_input_tokens":9000,"output_tokens":{output},
            "output_tokens_details":{{"thinking_tokens":7}},"service_tier":"standard",
            "cache_creation":{{"ephemeral_1h_input_tokens":200,"ephemeral_5m_input_tokens":100}},"iterations":[]}}}},
            "type":"assistant","timestamp":"2026-11-21T16:54:{second:02}.651Z","sessionId":"s"}}"#
        )
        .replace('\n', "")
    }

    #[test]
    fn a_response_counts_once_and_only_since_the_turn_began() {
        let text = [
            line(10, "msg_0", "claude-opus-5-5", 99),
            line(44, "msg_1", "claude-opus-5-5", 1),
            line(45, "msg_1", "claude-opus-5-5", 85),
            line(46, "msg_2", SYNTHETIC, 0),
            r#"{"type":"user","message":{"role":"user","content":"\"assistant\""},"timestamp":"2026-11-21T16:54:47Z"}"#.to_owned(),
            r#"{"type":"assistant","message":{"id":"msg_3","usage":"#.to_owned(),
        ];
        let since = "2026-11-21T16:54:40Z".parse().unwrap();
        let tokens = Tokens {
            input: 1200,
            output: 85,
            cache_read: 9000,
            cache_write: 300,
            cache_write_1h: 200,
            reasoning: 7,
        };
        let want = Response {
            at: "2026-11-21T16:54:45.651Z".parse().ok(),
            model: Some("claude-opus-5-5".to_owned()),
            tokens,
            context_window: None,
            service_tier: Some("standard".to_owned()),
            finish: None,
            is_helper: false,
        };
        assert_eq!(read(since, &mut text.iter().map(|line| line.as_bytes())), [want]);
    }
}
