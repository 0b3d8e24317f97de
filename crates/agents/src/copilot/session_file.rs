//! `~/.copilot/session-state/SESSION/events.jsonl`: the only place where Copilot says what its models have used, one
//! record a response, of subagents too (measured, 1.0.102). Older versions (measured, 1.0.88) write there only the sums
//! of the session, whenever it is left in order.

use crate::session::{self, Response, SessionFiles, Tokens};
use crate::wire::lenient;
use crate::{framing, lines};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

pub(crate) fn files(session_id: &str) -> Option<SessionFiles> {
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
#[serde(rename_all = "camelCase")]
struct Record {
    /// Of a `session.usage_record`.
    #[serde(default, deserialize_with = "lenient")]
    usage: Option<Used>,
    /// Of a `session.shutdown`: what each model has used in the session so far.
    #[serde(default, deserialize_with = "lenient")]
    model_metrics: BTreeMap<String, Metrics>,
}

#[derive(Deserialize)]
struct Metrics {
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
    #[serde(default, deserialize_with = "lenient")]
    finish_reason: Option<String>,
}

/// The responses since `since`; where only sums are told, what each model has used since then as one.
pub(crate) fn read(since: Timestamp, lines: &mut dyn Iterator<Item = &[u8]>) -> Vec<Response> {
    let (mut responses, mut before, mut sums) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut ended = None;
    let mut record = |line: Line| {
        let is_new = line.timestamp >= since;
        match (line.kind.as_str(), line.data.usage) {
            ("session.usage_record", Some(used)) if is_new => {
                responses.push(used.response(line.timestamp));
            }
            ("session.shutdown", _) => {
                let known = if is_new { &mut sums } else { &mut before };
                *known = line.data.model_metrics;
                ended = is_new.then_some(line.timestamp).or(ended);
            }
            _ => {}
        }
    };
    lines.for_each(|line| framing::decode_each(&lines::text(line), &mut record));
    if let (true, Some(at)) = (responses.is_empty(), ended) {
        responses.extend(sums.into_iter().map(|(model, metrics)| {
            let earlier = before.remove(&model).map(|metrics| metrics.usage.tokens());
            let tokens = metrics.usage.tokens().beyond(earlier.unwrap_or_default());
            Response { at: Some(at), model: Some(model), tokens, ..Response::default() }
        }));
        responses.retain(|response| response.tokens.total() > 0);
    }
    responses
}

impl Used {
    fn response(self, at: Timestamp) -> Response {
        let tokens = self.tokens();
        let (model, finish) = (self.model, self.finish_reason);
        Response { at: Some(at), model, tokens, finish, ..Response::default() }
    }

    fn tokens(&self) -> Tokens {
        let cached = self.cache_read_tokens.saturating_add(self.cache_write_tokens);
        Tokens {
            input: self.input_tokens.saturating_sub(cached),
            output: self.output_tokens,
            cache_read: self.cache_read_tokens,
            cache_write: self.cache_write_tokens,
            cache_write_1h: 0,
            reasoning: self.reasoning_tokens,
        }
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
                "outputTokens":85,"cacheReadTokens":9000,"cacheWriteTokens":300,"reasoningTokens":7,"cost":0.0,
                "finishReason":"content_filter"}}}}}}"#
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
        let refused = responses[0].unfinished().map(|failure| failure.kind);
        assert_eq!(refused, Some(belay_trace::FailureKind::Refused));
    }

    #[test]
    fn where_there_are_sums_alone_the_run_has_used_what_is_new_in_them() {
        let sum = |at: &str, input: u64, output: u64| {
            format!(
                r#"{{"type":"session.shutdown","timestamp":"{at}","data":{{"modelMetrics":{{"gpt-5.4":{{"requests":{{"count":2}},
                "usage":{{"inputTokens":{input},"outputTokens":{output},"cacheReadTokens":0,"cacheWriteTokens":0}}}}}}}}}}"#
            )
        };
        let lines =
            [sum("2026-11-22T00:01:38Z", 21_000, 170), sum("2026-11-22T00:01:42Z", 31_500, 255)];
        let read = |since: &str| {
            let mut lines = lines.iter().map(|line| line.as_bytes());
            let responses = read(since.parse().unwrap(), &mut lines);
            responses.iter().map(|one| (one.tokens.input, one.tokens.output)).collect::<Vec<_>>()
        };
        assert_eq!(read("2026-11-22T00:01:40Z"), [(10_500, 85)]);
        assert_eq!(read("2026-11-22T00:00:00Z"), [(31_500, 255)]);
        assert_eq!(read("2026-11-22T00:02:00Z"), []);
    }

    #[test]
    fn an_id_that_is_no_id_is_no_path() {
        assert!(files("../../etc").is_none() && files("").is_none());
        assert_eq!(files("0cb916db-26aa").unwrap().suffix, "0cb916db-26aa/events.jsonl");
    }
}
