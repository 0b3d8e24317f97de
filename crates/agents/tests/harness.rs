//! The events of rumpl/harness (1d956be), agent by agent: what its tests expect of a line is expected here, in our
//! words. Where belay differs, the test says so and `docs/harness.md` says why.

use crate::recorded;
use belay_agents::{Candidate, Exit, RunRequest, StreamParser, Transport, harness};

use serde_json::{Value, json};

/// What `belay parse --format harness` prints of these lines.
fn events(agent: &str, lines: &[Value]) -> Vec<Value> {
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    let text: Vec<&str> = text.iter().map(String::as_str).collect();
    events_of(agent, &text)
}

fn events_of(agent: &str, lines: &[&str]) -> Vec<Value> {
    let agent = agent.parse::<Candidate>().unwrap().agent;
    let transport = match lines.iter().any(|line| line.contains(r#""properties""#)) {
        true => Transport::Dialogue,
        false => Transport::Print,
    };
    let mut parser = StreamParser::new(agent.as_ref(), &RunRequest::new(""), transport);
    let mut seen = Vec::new();
    for at in 0..=lines.len() {
        let emitted = match lines.get(at) {
            Some(line) => parser.parse_stream_line(line),
            None => parser.finish(Exit::Code(0)),
        };
        seen.extend(emitted.iter().filter_map(|it| harness::event(agent.as_ref(), it)));
        seen.extend(parser.take_ended().iter().filter_map(harness::result));
    }
    seen.into_iter().map(|event| serde_json::to_value(event).unwrap()).collect()
}

fn check(agent: &str, lines: &[Value], want: &[Value]) {
    assert_eq!(events(agent, lines), want, "{agent}: {lines:#?}");
}

fn usage(counts: [u64; 4], cost: f64, turns: u64, ms: u64) -> Value {
    let [input, output, read, written] = counts;
    json!({
        "input_tokens": input, "output_tokens": output, "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written, "total_cost_usd": cost, "num_turns": turns, "duration_ms": ms,
    })
}

#[test]
fn what_is_no_json_or_unknown_gives_no_event() {
    for agent in ["claude-code", "codex", "opencode", "pi", "docker-agent"] {
        for line in ["not json", "", "{bad json", r#"{"type":"unknown_event"}"#] {
            assert_eq!(events_of(agent, &[line]), Vec::<Value>::new(), "{agent}: {line}");
        }
    }
}

fn claude_says(content: Value) -> Value {
    json!({"type": "assistant", "message": {"content": content}})
}

fn claude_streams(event: Value) -> Value {
    json!({"type": "stream_event", "event": event})
}

#[test]
fn claudes_words_and_calls_are_harnesss() {
    let call = |name: &str, input: Value| json!({"type": "tool_use", "name": name, "input": input});
    check(
        "claude-code",
        &[claude_says(json!([{"type": "text", "text": "Hello world"}]))],
        &[json!({"type": "text", "text": "Hello world"})],
    );
    check(
        "claude-code",
        &[json!({"type": "result", "result": "Final answer"})],
        &[json!({"type": "result", "result": "Final answer"})],
    );
    check(
        "claude-code",
        &[claude_says(json!([
            {"type": "text", "text": "I'll write the file."},
            call("Write", json!({"content": "roses", "file_path": "/tmp/poem.md"})),
            call("UnknownTool", json!({"foo": "bar"})),
        ]))],
        &[
            json!({"type": "text", "text": "I'll write the file."}),
            json!({"type": "tool_call", "name": "Write", "args": r#"{"content":"roses","file_path":"/tmp/poem.md"}"#}),
            json!({"type": "tool_call", "name": "UnknownTool", "args": r#"{"foo":"bar"}"#}),
        ],
    );
}

#[test]
fn claudes_result_of_a_tool_has_the_name_of_its_call() {
    check(
        "claude-code",
        &[
            claude_says(json!([
                {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {"command": "uname -a"}}
            ])),
            json!({"type": "user", "message": {"content": [
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "Darwin localhost 25.0.0"}
            ]}}),
        ],
        &[
            json!({"type": "tool_call", "tool_id": "toolu_2", "name": "Bash", "args": r#"{"command":"uname -a"}"#}),
            json!({"type": "tool_result", "tool_id": "toolu_2", "name": "Bash", "output": "Darwin localhost 25.0.0"}),
        ],
    );
}

#[test]
fn claudes_text_is_not_told_again_behind_its_pieces() {
    let piece = |text: &str| {
        claude_streams(json!({
            "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}
        }))
    };
    check(
        "claude-code",
        &[
            piece("Hello"),
            piece(" world"),
            claude_says(json!([{"type": "text", "text": "Hello world"}])),
        ],
        &[json!({"type": "text", "text": "Hello"}), json!({"type": "text", "text": " world"})],
    );
}

/// harness tells the call without arguments at the end of its block; here it comes with them.
#[test]
fn a_call_that_claude_streams_is_told_once_and_with_its_arguments() {
    let args = r#"{"command":"uname -a"}"#;
    let tool = json!({"type": "tool_use", "id": "toolu_1", "name": "Bash"});
    check(
        "claude-code",
        &[
            claude_streams(
                json!({"type": "content_block_start", "index": 1, "content_block": tool}),
            ),
            claude_streams(json!({
                "type": "content_block_delta", "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": args},
            })),
            claude_streams(json!({"type": "content_block_stop", "index": 1})),
            claude_says(json!([
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "uname -a"}}
            ])),
        ],
        &[
            json!({"type": "tool_call_start", "tool_id": "toolu_1", "name": "Bash"}),
            json!({"type": "tool_call_delta", "tool_id": "toolu_1", "name": "Bash", "args": args}),
            json!({"type": "tool_call", "tool_id": "toolu_1", "name": "Bash", "args": args}),
        ],
    );
}

#[test]
fn claudes_own_count_of_turns_is_kept() {
    let result = json!({
        "type": "result", "subtype": "success", "is_error": false, "result": "Done.", "num_turns": 4,
        "duration_ms": 70, "total_cost_usd": 0.5,
        "usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 4},
        "modelUsage": {"m": {
            "inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 3, "cacheCreationInputTokens": 4, "costUSD": 0.5
        }},
    });
    let words = json!([{"type": "text", "text": "Done."}]);
    check(
        "claude-code",
        &[claude_says(words), result],
        &[
            json!({"type": "text", "text": "Done."}),
            json!({"type": "result", "result": "Done.", "usage": usage([1, 2, 3, 4], 0.5, 4, 70)}),
        ],
    );
}

fn codex_item(kind: &str, item: Value) -> Value {
    json!({"type": kind, "item": item})
}

/// harness gives a result for each message and one more for the usage; here a turn has one.
#[test]
fn codexs_items_are_harnesss_and_its_turn_has_one_result() {
    let command = json!({"type": "command_execution", "id": "cmd-1", "command": "npm test"});
    let done = json!({
        "type": "command_execution", "id": "cmd-1", "command": "npm test", "aggregated_output": "ok\n", "exit_code": 0
    });
    check(
        "codex",
        &[
            codex_item("item.started", command),
            codex_item("item.completed", done),
            codex_item("item.completed", json!({"type": "agent_message", "text": "Hello world"})),
            json!({"type": "turn.completed", "usage": {
                "input_tokens": 8975, "cached_input_tokens": 0, "output_tokens": 14
            }}),
        ],
        &[
            json!({"type": "tool_call", "tool_id": "cmd-1", "name": "Bash", "args": "npm test"}),
            json!({"type": "tool_result", "tool_id": "cmd-1", "name": "Bash", "output": "ok\n"}),
            json!({"type": "text", "text": "Hello world"}),
            json!({"type": "result", "result": "Hello world", "usage": usage([8975, 14, 0, 0], 0.0, 0, 0)}),
        ],
    );
}

/// harness takes each for the exit of its command: no code, no status, an error of the item.
#[test]
fn a_command_of_codexs_that_failed_is_an_error() {
    for (end, is_error) in [
        (json!({"exit_code": 0}), false),
        (json!({"exit_code": 2}), true),
        (json!({"status": "failed"}), true),
        (json!({"status": "completed"}), false),
    ] {
        let mut item = json!({"type": "command_execution", "id": "c", "command": "x"});
        item.as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
        let seen = events("codex", &[codex_item("item.completed", item)]);
        let result = seen.iter().find(|event| event["type"] == "tool_result").unwrap();
        assert_eq!(result["tool_error"] == true, is_error, "{end}");
    }
}

#[test]
fn codexs_items_without_what_they_are_about_say_nothing() {
    for item in [
        json!({"type": "agent_message"}),
        json!({"type": "other_type", "text": "foo"}),
        json!({"type": "other_type", "command": "foo"}),
    ] {
        check("codex", &[codex_item("item.completed", item)], &[]);
    }
    check("codex", &[json!({"type": "turn.completed"})], &[]);
}

fn opencode_part(part: Value, time: Option<u64>) -> Value {
    json!({"type": "message.part.updated", "properties": {"part": part, "time": time}})
}

fn opencode_line(kind: &str, at: u64, part: Value) -> Value {
    json!({"type": kind, "timestamp": at, "part": part})
}

#[test]
fn opencodes_text_and_reasoning_are_told_when_they_are_whole() {
    let part = |kind: &str, text: &str, end: Option<u64>| {
        let time = json!({"end": end});
        opencode_part(json!({"type": kind, "text": text, "time": time}), None)
    };
    check("opencode", &[part("text", "partial", None)], &[]);
    check(
        "opencode",
        &[part("text", "Hello world", Some(1_234_567_890))],
        &[json!({"type": "text", "text": "Hello world"})],
    );
    check(
        "opencode",
        &[part("reasoning", "let me think", Some(1))],
        &[json!({"type": "reasoning", "reasoning": "let me think"})],
    );
    check(
        "opencode",
        &[opencode_line("text", 1, json!({"type": "text", "text": "Hello", "time": {"end": 1}}))],
        &[json!({"type": "text", "text": "Hello"})],
    );
}

#[test]
fn opencodes_pieces_are_not_told_again_with_the_whole() {
    let delta = |id: &str, delta: &str| json!({"type": "message.part.delta", "properties": {"partID": id, "field": "text", "delta": delta}});
    let empty =
        |id: &str, kind: &str| opencode_part(json!({"id": id, "type": kind, "text": ""}), None);
    check(
        "opencode",
        &[
            opencode_part(json!({"id": "step-1", "type": "step-start"}), Some(1000)),
            empty("reason-1", "reasoning"),
            delta("reason-1", "thinking..."),
            empty("text-1", "text"),
            delta("text-1", "Hello"),
            delta("text-1", " world"),
            opencode_part(
                json!({"id": "text-1", "type": "text", "text": "Hello world", "time": {"end": 1100}}),
                None,
            ),
        ],
        &[
            json!({"type": "reasoning", "reasoning": "thinking..."}),
            json!({"type": "text", "text": "Hello"}),
            json!({"type": "text", "text": " world"}),
        ],
    );
}

#[test]
fn opencodes_tools_have_their_own_names_and_are_told_when_they_run_and_when_they_have_ended() {
    let input = json!({"command": "pwd"});
    let tool = |name: &str, state: Value| json!({"type": "tool", "tool": name, "callID": "c", "state": state});
    let call = json!({"type": "tool_call", "tool_id": "c", "name": "bash", "args": r#"{"command":"pwd"}"#});
    let end = json!({"status": "completed", "input": input, "output": "/tmp"});
    let result = json!({"type": "tool_result", "tool_id": "c", "name": "bash", "output": "/tmp"});
    check(
        "opencode",
        &[opencode_part(tool("bash", end.clone()), None)],
        &[call.clone(), result.clone()],
    );
    check("opencode", &[opencode_line("tool_use", 1, tool("bash", end))], &[call.clone(), result]);
    // harness waits for the end of the call.
    let runs = json!({"status": "running", "input": input});
    check("opencode", &[opencode_part(tool("bash", runs), None)], &[call]);
    let failed = json!({"status": "error", "input": {"foo": "bar"}, "error": "no"});
    check(
        "opencode",
        &[opencode_part(tool("some_unknown_tool", failed), None)],
        &[
            json!({"type": "tool_call", "tool_id": "c", "name": "some_unknown_tool", "args": r#"{"foo":"bar"}"#}),
            json!({
                "type": "tool_result", "tool_id": "c", "name": "some_unknown_tool", "output": "no", "tool_error": true
            }),
        ],
    );
}

#[test]
fn opencodes_steps_are_added_up_with_the_time_from_the_first_to_the_last() {
    let finish = |at: u64, reason: &str, counts: [u64; 4], cost: f64| {
        let [input, output, write, read] = counts;
        opencode_line(
            "step_finish",
            at,
            json!({
                "type": "step-finish", "reason": reason, "cost": cost,
                "tokens": {"input": input, "output": output, "cache": {"write": write, "read": read}},
            }),
        )
    };
    let start = |at: u64| opencode_line("step_start", at, json!({"type": "step-start"}));
    let text = |text: &str| {
        opencode_line("text", 1, json!({"type": "text", "text": text, "time": {"end": 1}}))
    };
    check(
        "opencode",
        &[start(1000), text("Final answer"), finish(1100, "stop", [3, 12, 2, 5], 0.5)],
        &[
            json!({"type": "text", "text": "Final answer"}),
            json!({"type": "result", "result": "Final answer", "usage": usage([3, 12, 5, 2], 0.5, 1, 100)}),
        ],
    );
    check(
        "opencode",
        &[
            start(1000),
            finish(1100, "tool-calls", [1, 2, 3, 4], 0.25),
            start(1200),
            text("Done"),
            finish(1400, "stop", [5, 6, 7, 8], 0.5),
        ],
        &[
            json!({"type": "text", "text": "Done"}),
            json!({"type": "result", "result": "Done", "usage": usage([6, 8, 12, 10], 0.75, 2, 400)}),
        ],
    );
}

#[test]
fn pis_words_are_harnesss() {
    let update = |event: Value| json!({"type": "message_update", "assistantMessageEvent": event});
    check(
        "pi",
        &[update(json!({"type": "text_delta", "contentIndex": 0, "delta": "Hello world"}))],
        &[json!({"type": "text", "text": "Hello world"})],
    );
    check("pi", &[update(json!({"type": "text_start"}))], &[]);
    check("pi", &[json!({"type": "message_update"})], &[]);
    check("pi", &[json!({"type": "agent_end"})], &[]);
}

#[test]
fn docker_agents_words_and_calls_are_harnesss_with_the_ids_of_the_calls() {
    check(
        "docker-agent",
        &[json!({"type": "agent_choice", "content": "Hello world"})],
        &[json!({"type": "text", "text": "Hello world"})],
    );
    check("docker-agent", &[json!({"type": "agent_choice", "content": ""})], &[]);
    for (name, args) in [
        ("shell", r#"{"cmd": "ls -l"}"#),
        ("unknown_tool", r#"{"foo": "bar"}"#),
        ("read_file", r#"{"path": "/tmp/test.txt"}"#),
    ] {
        check(
            "docker-agent",
            &[json!({"type": "tool_call", "tool_call": {
                "id": "toolu_123", "type": "function", "function": {"name": name, "arguments": args}
            }})],
            &[json!({"type": "tool_call", "tool_id": "toolu_123", "name": name, "args": args})],
        );
    }
    check("docker-agent", &[json!({"type": "tool_call", "tool_call": {"id": "toolu_123"}})], &[]);
    check("docker-agent", &[json!({"type": "stream_stopped"})], &[]);
}

/// harness reports a failure as the error of its `Run`, and prints nothing of it.
#[test]
fn a_turn_that_failed_or_was_cut_has_no_result() {
    let mut failed = 0;
    for recording in recorded::all() {
        let ends = recording.ends();
        let results: Vec<_> = ends.iter().map(harness::result).collect();
        for (end, result) in ends.iter().zip(results) {
            assert_eq!(end.failure.is_none(), result.is_some(), "{}", recording.name);
            failed += usize::from(result.is_none());
        }
    }
    assert!(failed > 20, "{failed} failures");
}
