//! `~/.copilot/session-state/SESSION/events.jsonl`: the only place where Copilot says what its models have used, one
//! record a response, of subagents too (measured, 1.0.102).

use crate::session::{self, Response, SessionFiles, Tokens};
use crate::wire::{decode, lenient};
use jiff::Timestamp;
use serde::Deserialize;

pub(super) fn files(session_id: &str) -> Option<SessionFiles> {
    session::is_id(session_id).then(|| SessionFiles {
        home_env: "COPILOT_HOME",
        home: ".copilot",
        folder: "session-state",
        levels: 0,
        prefix: "",
        suffix: format!("{session_id}/events.jsonl"),
        beside: None,
    })
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    timestamp: Timestamp,
    data: Record,
}

#[derive(Deserialize)]
struct Record {
    usage: Used,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    #[serde(default, deserialize_with = "lenient")]
    model: Option<String>,
    /// With those from the cache, and those that went into it.
    #[serde(default, deserialize_with = "lenient")]
    input_tokens: u64,
    #[serde(default, deserialize_with = "lenient")]
    output_tokens: u64,
    #[serde(default, deserialize_with = "lenient")]
    cache_read_tokens: u64,
    #[serde(default, deserialize_with = "lenient")]
    cache_write_tokens: u64,
    #[serde(default, deserialize_with = "lenient")]
    reasoning_tokens: u64,
}

/// The responses since `since`.
pub(super) fn read(since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<Response> {
    let read = |line: &[u8]| {
        let line: Line = decode(str::from_utf8(line).ok()?)?;
        let is_new = line.kind == "session.usage_record" && line.timestamp >= since;
        is_new.then(|| line.data.usage.response(line.timestamp))
    };
    lines.filter_map(read).collect()
}

impl Used {
    fn response(self, at: Timestamp) -> Response {
        let cached = self.cache_read_tokens.saturating_add(self.cache_write_tokens);
        let tokens = Tokens {
            input: self.input_tokens.saturating_sub(cached),
            output: self.output_tokens,
            cache_read: self.cache_read_tokens,
            cache_write: self.cache_write_tokens,
            cache_write_1h: 0,
            reasoning: self.reasoning_tokens,
        };
        Response { at: Some(at), model: self.model, tokens, ..Response::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_since_the_run_began_are_its_responses() {
        let record = |at: &str, model: &str| {
            format!(
                r#"{{"type":"session.usage_record","timestamp":"{at}","data":{{"usage":{{"model":"{model}","inputTokens":10500,
                "outputTokens":85,"cacheReadTokens":9000,"cacheWriteTokens":300,"reasoningTokens":7,"cost":0.0}}}}}}"#
            )
        };
        let lines = [
            record("2026-11-22T00:01:38Z", "old"),
            record("2026-11-22T00:01:39.560Z", "gpt-5.4"),
            r#"{"type":"session.shutdown","timestamp":"2026-11-22T00:01:40Z","data":{}}"#
                .to_owned(),
            "{\"type\":\"session.usage_rec".to_owned(),
        ];
        let mut lines = lines.iter().map(|line| line.as_bytes());
        let responses = read("2026-11-22T00:01:39Z".parse().unwrap(), &mut lines);
        assert_eq!(responses.len(), 1);
        assert_eq!(responses[0].model.as_deref(), Some("gpt-5.4"));
        let want = Tokens {
            input: 1200,
            output: 85,
            cache_read: 9000,
            cache_write: 300,
            cache_write_1h: 0,
            reasoning: 7,
        };
        assert_eq!(responses[0].tokens, want);
    }

    #[test]
    fn an_id_that_is_no_id_is_no_path() {
        assert!(files("../../etc").is_none() && files("").is_none());
        assert_eq!(files("0cb916db-26aa").unwrap().suffix, "0cb916db-26aa/events.jsonl");
    }
}
