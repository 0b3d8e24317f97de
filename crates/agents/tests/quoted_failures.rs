//! An answer, or the output of a tool, may have the words of any failure in it: of the agent itself, of any other,
//! a whole line of a stream. None of it is a failure, a retry or a limit.

use crate::recorded::{Recording, Said};
use crate::{recorded, shown};
use belay_agents::failures::{Row, providers};
use belay_agents::{AGENTS, Exit};
use belay_trace::{Event, EvidenceSource};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Recordings of runs that answer, one with words alone and one with a tool for each way to talk with an agent.
const ANSWERS: [&str; 9] = [
    "claude-code/a-text",
    "claude-code/f-partial",
    "codex/a-text",
    "opencode/a-text",
    "opencode/serve-a-text",
    "pi/a-text",
    "copilot/a-text",
    "docker-agent/a-text",
    "docker-agent/71f377e5",
];

const TOOLS: [&str; 11] = [
    "claude-code/b-shell",
    "claude-code/f-partial",
    "codex/b-shell",
    "codex/b-shell-codemode",
    "opencode/b-shell",
    "opencode/serve-b-shell",
    "pi/b-shell",
    "pi/c-tools",
    "copilot/q-subagent",
    "docker-agent/b-shell",
    "docker-agent/71f377e5",
];

/// A good turn of Codex's app-server: the first one of its recording, of which the command has printed something.
fn app_server() -> Recording {
    let mut recording = recorded::named("codex/t-appserver");
    let mut stdout = Vec::new();
    for line in recording.lines() {
        let mut line: Value = serde_json::from_slice(line).unwrap();
        let item = &mut line["params"]["item"];
        if item["type"] == "commandExecution" && item["status"] != "inProgress" {
            item["status"] = "completed".into();
            item["aggregatedOutput"] = "approved-run, twice".into();
            item["exitCode"] = 0.into();
        }
        stdout.extend(format!("{line}\n").into_bytes());
        if line["method"] == "turn/completed" {
            break;
        }
    }
    recording.stdout = stdout;
    recording.exit = Exit::Code(0);
    recording
}

fn recordings(names: &[&str]) -> Vec<Recording> {
    let named = names.iter().map(|name| recorded::named(name));
    named.chain([app_server()]).collect()
}

/// The texts that a row asks for, as somebody might say them.
fn texts(row: &Row) -> Vec<String> {
    let texts = row.signs.iter().filter(|sign| sign.source == EvidenceSource::Text);
    texts.filter_map(|sign| shown::example(sign.pattern)).collect()
}

/// Every text of every table, every message and every line by which a recorded agent has told a failure.
fn quotes() -> BTreeSet<String> {
    let shared = [providers::REFUSING_WORDS, providers::WORDS, providers::VAGUE_WORDS];
    let mut quotes: BTreeSet<_> = shared.into_iter().flatten().flat_map(texts).collect();
    for table in AGENTS.iter().map(|entry| entry.failures) {
        quotes.extend(table.rows.iter().flat_map(texts));
        for shown in shown::recorded(table.agent) {
            quotes.insert(shown.failure().message);
            // The lines themselves, as somebody has them in a log.
            let told = shown.inputs.iter().filter(|(_, line)| {
                ["rror", "rate_limit", "retry"].iter().any(|word| line.contains(word))
            });
            quotes.extend(told.map(|(_, line)| line.clone()).filter(|line| line.len() < 3000));
        }
    }
    quotes.extend(
        [
            "You've hit your session limit \u{b7} resets 1:50pm (America/Buenos_Aires)",
            "5-hour limit reached \u{2219} resets 3pm",
            "You're out of extra usage \u{b7} resets 11:30am (Asia/Colombo)",
            "You\u{2019}ve hit your usage limit. Upgrade to Pro or try again at 10:30 AM.",
            "rate limit exceeded: too many tokens. Please try again in 1.2s.",
            "Reconnecting... 1/5 (exceeded retry limit, last status: 429 Too Many Requests)",
            "Error: 429 Too Many Requests\nretry-after: 3600",
            "error: Invalid API key \u{b7} Please run /login",
            "API Error: Repeated 529 Overloaded errors",
        ]
        .map(str::to_owned),
    );
    quotes
}

/// The recording with other words in the place of some, wherever the agent tells them: whole or in pieces.
fn with(recording: &Recording, words: &str, quote: &str) -> Vec<Vec<u8>> {
    let mut told = false;
    let lines = recording.lines().into_iter().map(|line| {
        let Ok(mut value) = serde_json::from_slice::<Value>(line) else { return line.to_vec() };
        let is_piece = is_piece(&value, words);
        replace(&mut value, words, quote, is_piece, &mut told);
        value.to_string().into_bytes()
    });
    lines.collect()
}

/// True if the line tells a piece of a text, with the rest in other lines.
fn is_piece(line: &Value, words: &str) -> bool {
    let event = &line["event"]["delta"]["text"];
    let pieces = [
        &line["assistantMessageEvent"]["delta"],
        &line["properties"]["delta"],
        &line["params"]["delta"],
        &line["data"]["deltaContent"],
        if line["type"] == "agent_choice" { &line["content"] } else { &Value::Null },
        event,
    ];
    let mut pieces = pieces.into_iter().filter_map(Value::as_str);
    pieces.any(|piece| !piece.is_empty() && words.contains(piece))
}

fn replace(value: &mut Value, words: &str, quote: &str, is_piece: bool, told: &mut bool) {
    match value {
        Value::String(text) if text.contains(words) => *text = text.replace(words, quote),
        Value::String(_) => {}
        Value::Array(items) => {
            items.iter_mut().for_each(|item| replace(item, words, quote, is_piece, told));
        }
        Value::Object(fields) => {
            for (name, item) in fields.iter_mut() {
                let is_text = matches!(&**name, "delta" | "deltaContent" | "content" | "text");
                match item {
                    Value::String(text)
                        if is_piece && is_text && !text.is_empty() && words.contains(&**text) =>
                    {
                        // All of it in the first piece.
                        *text = if *told { String::new() } else { quote.to_owned() };
                        *told = true;
                    }
                    _ => replace(item, words, quote, is_piece, told),
                }
            }
        }
        _ => {}
    }
}

/// How often each sort of event is told that a failover, a wait or a breaker would listen to.
fn alarms(said: &[Said]) -> BTreeMap<&'static str, usize> {
    let mut alarms = BTreeMap::new();
    for said in said {
        if let Said::Event(emitted) = said
            && matches!(
                emitted.event,
                Event::Retry(_)
                    | Event::RateLimit(_)
                    | Event::TextRetracted(_)
                    | Event::PermissionDenied(_)
                    | Event::Interrupted(_)
                    | Event::Notice(_)
                    | Event::Unknown(_)
            )
        {
            *alarms.entry(emitted.event.type_name()).or_default() += 1;
        }
    }
    alarms
}

#[test]
fn an_answer_may_quote_every_failure_and_none_is_one() {
    let mut streams = 0;
    for recording in recordings(&ANSWERS) {
        let name = &recording.name;
        let said = recording.said();
        let words = recorded::ends(&said).pop().unwrap().answer;
        assert!(words.len() > 3, "{name}: {words}");
        for quote in quotes() {
            let lines = with(&recording, &words, &quote);
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            let quoted = recording.said_of(&lines, recording.exit);
            let ends = recorded::ends(&quoted);
            assert_eq!(ends.len(), recorded::ends(&said).len(), "{name}: {quote}");
            let end = ends.last().unwrap();
            assert_eq!((&end.failure, &end.answer), (&None, &quote), "{name}");
            assert_eq!(alarms(&quoted), alarms(&said), "{name}: {quote}");
            streams += 1;
        }
    }
    println!("{streams} streams whose answers quote a failure: 0 failures, 0 retries, 0 limits");
    assert!(streams >= 500, "{streams}");
}

#[test]
fn the_output_of_a_tool_may_quote_every_failure_and_none_is_one() {
    let mut streams = 0;
    for recording in recordings(&TOOLS) {
        let name = &recording.name;
        let said = recording.said();
        let words = said.iter().find_map(output).unwrap_or_else(|| panic!("no tool in {name}"));
        let answers: Vec<String> =
            recorded::ends(&said).into_iter().map(|end| end.answer).collect();
        for quote in quotes() {
            let lines = with(&recording, words.trim_end(), &quote);
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            let quoted = recording.said_of(&lines, recording.exit);
            let outputs: Vec<String> = quoted.iter().filter_map(output).collect();
            assert!(
                outputs.iter().any(|out| out.contains(quote.trim_end())),
                "{name}: {quote}: {outputs:?}"
            );
            let ends = recorded::ends(&quoted);
            assert!(ends.iter().all(|end| end.failure.is_none()), "{name}: {quote}: {ends:#?}");
            let told: Vec<String> = ends.into_iter().map(|end| end.answer).collect();
            assert_eq!(told, answers, "{name}: {quote}");
            assert_eq!(alarms(&quoted), alarms(&said), "{name}: {quote}");
            streams += 1;
        }
    }
    println!("{streams} streams whose tools quote a failure: 0 failures, 0 retries, 0 limits");
    assert!(streams >= 500, "{streams}");
}

fn output(said: &Said) -> Option<String> {
    let Said::Event(emitted) = said else { return None };
    let Event::ToolResult(result) = &emitted.event else { return None };
    Some(result.output.clone()).filter(|output| output.trim().len() > 3)
}
