//! The failures that stand in the tables: as a real agent printed them, or made up from their signs.

use crate::recorded;
use belay_agents::failures::{Pattern, Row, Seen, Table};
use belay_agents::{Candidate, Replay, RunRequest, Transport};
use belay_trace::journal::Frame;
use belay_trace::{Evidence, EvidenceSource, Failure};
use serde_json::{Value, json};
use std::fs;

/// A stream of inputs, as a journal holds them: their kinds and their texts.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) agent: &'static str,
    pub(crate) name: String,
    pub(crate) transport: Transport,
    pub(crate) inputs: Vec<(String, String)>,
}

/// The failures of real agents that were recorded for the tables, each cut to the lines that it needs.
pub(crate) fn recorded(agent: &'static str) -> Vec<Shown> {
    let root = format!("{}/../../recordings/{agent}", env!("CARGO_MANIFEST_DIR"));
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let files = entries.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.to_string_lossy().ends_with(".failures.jsonl"));
    let texts = files.map(|path| fs::read_to_string(path).unwrap()).collect::<String>();
    let shown = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        Shown {
            agent,
            name: line["name"].as_str().unwrap().to_owned(),
            transport: line["transport"].as_str().unwrap().parse().unwrap(),
            inputs: serde_json::from_value(line["inputs"].clone()).unwrap(),
        }
    };
    texts.lines().map(shown).collect()
}

impl Shown {
    /// What its driver makes of it.
    pub(crate) fn failure(&self) -> Failure {
        let mut log = Vec::new();
        for (kind, text) in &self.inputs {
            let kind = kind.parse().unwrap();
            Frame { kind, at_us: 0, bytes: text.as_bytes() }.write(&mut log);
        }
        let agent = self.agent.parse::<Candidate>().unwrap().agent;
        let replay = Replay::of(&*agent, &RunRequest::new("PROMPT"), self.transport, &log);
        assert_eq!(replay.unreadable, 0, "{self:?}");
        let end = replay.ended.into_iter().next_back();
        end.and_then(|end| end.failure).unwrap_or_else(|| panic!("no failure in {self:?}"))
    }
}

/// The failure that shows a row.
pub(crate) fn failure_of(table: &Table, row: &Row) -> Failure {
    match row.seen {
        Seen::Synthetic => made_up(table, row).failure(),
        Seen::Recorded(name) => {
            let shown = recorded(table.agent).into_iter().find(|shown| shown.name == name);
            let whole = || {
                let ends = recorded::named(&format!("{}/{name}", table.agent)).ends();
                ends.into_iter().next_back().unwrap().failure.unwrap()
            };
            shown.map_or_else(whole, |shown| shown.failure())
        }
    }
}

/// What the signs of a row say, and nothing else.
pub(crate) fn evidence_of(row: &Row) -> Vec<Evidence> {
    let signs = row.signs.iter();
    let said = signs.filter_map(|sign| {
        let (source, name) = (sign.source, sign.name.to_owned());
        Some(Evidence { source, name, value: example(sign.pattern)? })
    });
    said.collect()
}

/// What a sign of this pattern may say; nothing if it must not be there.
pub(crate) fn example(pattern: Pattern) -> Option<String> {
    match pattern {
        Pattern::Is(what) => Some(what.to_owned()),
        Pattern::Begins(begin) => Some(format!("{begin} and so on")),
        Pattern::BeginsAndHas(begin, part) => Some(format!("{begin}any` {part}")),
        Pattern::Has(part) | Pattern::Says(part) => Some(format!("Words {part}3pm")),
        Pattern::Among(from, _) => Some(from.to_string()),
        Pattern::Absent => None,
    }
}

/// A stream made up of the signs of a row.
fn made_up(table: &Table, row: &Row) -> Shown {
    let said = |source: EvidenceSource, name: &str| {
        let signs = row.signs.iter().filter(|sign| sign.source == source);
        let mut signs = signs.filter(|sign| sign.name == name || sign.name.is_empty());
        signs.find_map(|sign| example(sign.pattern))
    };
    let field = |name: &str| said(EvidenceSource::Field, name);
    let named = |name: &str| row.signs.iter().any(|sign| sign.name == name);
    let text = |name: &str| said(EvidenceSource::Text, name);
    let status = said(EvidenceSource::Status, "").map(|status| status.parse::<u16>().unwrap());
    let (transport, inputs) = match table.agent {
        "claude-code" => {
            let limit = field("rate_limit").map(
                |limit| json!({"type": "rate_limit_event", "rate_limit_info": {"status": limit}}),
            );
            let words = text("message");
            let error = (field("error").is_some() || words.is_some()).then(|| {
                let content = json!([{"type": "text", "text": words.unwrap_or_default()}]);
                json!({"type": "assistant", "is_api_error_message": true, "error": field("error"),
                    "message": {"id": "m", "model": "<synthetic>", "content": content}})
            });
            let subtype = field("subtype").unwrap_or_else(|| "success".to_owned());
            let stops = field("safety_stops").map_or(0, |_| 1);
            let result = json!({"type": "result", "subtype": subtype, "is_error": true,
                "safety_stops": stops, "api_error": field("api_error"),
                "terminal_reason": field("terminal_reason"), "api_error_status": status,
                "api_error_type": field("api_error_type"), "errors": text("errors").as_slice()});
            let lines = limit.into_iter().chain(error).chain([result]);
            (Transport::Print, lines.map(stdout).collect())
        }
        "codex" if field("codexErrorInfo").is_none() && status.is_none() => {
            let line = json!({"type": "turn.failed", "error": {"message": text("message")}});
            (Transport::Print, vec![stdout(json!({"type": "turn.started"})), stdout(line)])
        }
        "codex" => {
            let class = field("codexErrorInfo").unwrap_or_else(|| "other".to_owned());
            let info = match status {
                None => json!(class),
                Some(status) => json!({class: {"httpStatusCode": status}}),
            };
            let error = json!({"message": text("message").unwrap_or("words".into()),
                "codexErrorInfo": info});
            // The rest of the dialogue is a real one.
            let real = recorded("codex").into_iter().find(|shown| shown.name == "server-error");
            let lines = real.unwrap().inputs.into_iter().map(|(kind, line)| {
                let Ok(mut line) = serde_json::from_str::<Value>(&line) else {
                    return (kind, line);
                };
                if line["method"] == "turn/completed" {
                    line["params"]["turn"]["error"] = error.clone();
                }
                (kind, if line["method"] == "error" { "{}".to_owned() } else { line.to_string() })
            });
            (Transport::Dialogue, lines.filter(|(_, line)| line != "{}").collect())
        }
        "opencode" => {
            let name = field("error.name").filter(|_| named("error.name"));
            let name = name.unwrap_or_else(|| "UnknownError".to_owned());
            let body = json!({"error": {"code": field("error.code")}});
            let data = json!({"message": text("message").unwrap_or("words".into()),
                "statusCode": status, "responseBody": body.to_string(), "ref": "r1"});
            let line = json!({"type": "error", "sessionID": "s",
                "error": {"name": name, "data": data}});
            let log = text("log").map(|log| format!(r#"ERROR ref=r1 error="{log}""#));
            let log = log.map(|line| ("stderr".to_owned(), line));
            (Transport::Print, [stdout(line)].into_iter().chain(log).chain([exit(1)]).collect())
        }
        "pi" => match text("stderr") {
            Some(line) => (Transport::Print, vec![("stderr".to_owned(), line), exit(1)]),
            None => {
                let object = || field("code").map(|code| json!({"code": code}).to_string());
                let words = text("message").or_else(object).unwrap_or("words".into());
                let words = status.map_or(words.clone(), |status| format!("{status}: {words}"));
                let message = json!({"role": "assistant", "content": [], "stopReason": "error",
                    "errorMessage": words});
                let lines = [
                    json!({"type": "agent_start"}),
                    json!({"type": "message_end", "message": message}),
                    json!({"type": "agent_settled", "aborted": false}),
                ];
                (Transport::Print, lines.map(stdout).to_vec())
            }
        },
        "copilot" => match text("stderr") {
            Some(line) => (Transport::Print, vec![("stderr".to_owned(), line), exit(1)]),
            None if text("own_words").is_some() => {
                let message = json!({"type": "assistant.message",
                    "data": {"messageId": "m", "content": text("own_words")}});
                let result = json!({"type": "result", "sessionId": "s", "exitCode": 0});
                (Transport::Print, [message, result].map(stdout).to_vec())
            }
            None => {
                let call = json!({"type": "model.call_failure", "data": {"statusCode": status,
                    "errorCode": field("code"), "failureKind": field("failureKind"),
                    "errorMessage": json!({"message": "words"}).to_string()}});
                let class = field("errorType").unwrap_or("query".into());
                let error = json!({"type": "session.error", "data": {"errorType": class,
                    "message": text("message").unwrap_or("words".into()), "statusCode": status}});
                let result = json!({"type": "result", "sessionId": "s", "exitCode": 1});
                (Transport::Print, [call, error, result].map(stdout).to_vec())
            }
        },
        "docker-agent" => {
            let started = json!({"type": "stream_started", "session_id": "s"});
            let error = field("code").map(
                |code| json!({"type": "error", "session_id": "s", "error": "words", "code": code}),
            );
            let stopped =
                json!({"type": "stream_stopped", "session_id": "s", "reason": field("reason")});
            let gives_up = text("message").or_else(|| {
                field("answer").map(|_| "Post \"http://127.0.0.1:9/v1\": dial tcp: no".to_owned())
            });
            let mut inputs: Vec<_> = [started].into_iter().chain(error).map(stdout).collect();
            match gives_up {
                // It says so beside its stream.
                Some(words) => {
                    inputs.push(("stderr".to_owned(), format!("Error: {words}")));
                    inputs.push(("exit".to_owned(), "code 1".to_owned()));
                }
                None => inputs.push(stdout(stopped)),
            }
            (Transport::Print, inputs)
        }
        "acp" | "gemini" | "qwen" | "goose" => {
            let answer =
                |id: u32, result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
            let opened =
                [answer(1, json!({"protocolVersion": 1})), answer(2, json!({"sessionId": "s"}))];
            let end = match field("stopReason") {
                Some(reason) => answer(3, json!({"stopReason": reason})),
                None => {
                    let code = field("code").and_then(|code| code.parse::<i64>().ok());
                    let words = text("message").unwrap_or("words".to_owned());
                    let words = match (status, code) {
                        (Some(status), _) if table.agent != "gemini" => format!("{status} {words}"),
                        _ => words,
                    };
                    let code = code.or(status.filter(|_| table.agent == "gemini").map(i64::from));
                    let data = json!({"details": words, "errorName": field("errorName"),
                        "errorKind": field("errorKind"), "codexErrorInfo": field("codexErrorInfo")});
                    let error = json!({"code": code.unwrap_or(-32603), "message": "Internal error", "data": data});
                    json!({"jsonrpc": "2.0", "id": 3, "error": error})
                }
            };
            let lines = opened.into_iter().chain([end]);
            (Transport::Dialogue, lines.map(stdout).collect())
        }
        other => panic!("nobody knows how {other} fails"),
    };
    let begun = std::iter::once(("start".to_owned(), String::new()));
    let inputs = begun.chain(inputs).collect();
    Shown { agent: table.agent, name: format!("{:?}", row.signs), transport, inputs }
}

fn stdout(line: Value) -> (String, String) {
    ("stdout".to_owned(), line.to_string())
}

fn exit(code: i32) -> (String, String) {
    ("exit".to_owned(), format!("code {code}"))
}
