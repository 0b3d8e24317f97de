//! `belay parse`: every recording, in both formats.

use crate::bench::Bench;
use belay_testkit::recordings::{self, Recording};
use insta::assert_snapshot;
use serde_json::Value;
use std::io::Write as _;
use std::process::Stdio;

fn parse(agent: &str, stream: &[u8], options: &[&str]) -> Vec<Value> {
    let bench = Bench::new();
    let mut command = bench.belay(&["parse", "--agent", agent]);
    let mut child =
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = stream.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const AGENTS: [&str; 5] = ["claude-code", "codex", "opencode", "pi", "docker-agent"];

/// How many turns a stream ends, by the agents' own words; a stream without an end is one turn.
fn turns(recording: &Recording) -> usize {
    let text = String::from_utf8_lossy(&recording.stdout).into_owned();
    // A session that is handed a task by another one ends in the middle of the turn.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let handed: Vec<Value> = lines
        .clone()
        .filter(|line| line["type"] == "sub_session_completed")
        .map(|mut line| line["sub_session"]["id"].take())
        .collect();
    let ends = lines.filter(|line| !handed.contains(&line["session_id"])).filter(|line| {
        let word = line["type"].as_str().or(line["method"].as_str()).unwrap_or_default();
        const ENDS: [&str; 6] = [
            "result",
            "turn.completed",
            "turn.failed",
            "turn/completed",
            "agent_settled",
            "stream_stopped",
        ];
        ENDS.contains(&word)
    });
    // OpenCode has no word for the end of a turn in one mode, and says twice in the other that it is idle.
    ends.count().max(1)
}

#[test]
fn every_recording_gives_one_result_a_turn_and_nothing_unknown() {
    for agent in AGENTS {
        for recording in recordings::all(agent) {
            let events = parse(agent, &recording.stdout, &[]);
            let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
            assert_eq!(count("result"), turns(&recording), "{agent}/{}", recording.name);
            assert_eq!(count("unknown"), 0, "{agent}/{}", recording.name);
            let seqs = events.iter().map(|event| event["seq"].as_u64().unwrap());
            assert!(seqs.eq(0..events.len() as u64), "{agent}/{}", recording.name);
        }
    }
}

/// harness's shapes hold all that harness has: the same words, tools, answers and figures; no result of a failure.
#[test]
fn every_recording_says_the_same_in_the_harness_format() {
    const SEEDS: [&str; 7] = [
        "text",
        "reasoning",
        "tool_call_start",
        "tool_call_delta",
        "tool_call",
        "tool_result",
        "result",
    ];
    for agent in AGENTS {
        for recording in recordings::all(agent) {
            let own = parse(agent, &recording.stdout, &[]);
            let seeds = parse(agent, &recording.stdout, &["--format", "harness"]);
            let of_seed = |event: &&Value| {
                SEEDS.contains(&event["type"].as_str().unwrap())
                    && event["is_error"] != true
                    && (event["text"] != "" && event["reasoning"] != "")
            };
            let own: Vec<&Value> = own.iter().filter(of_seed).collect();
            assert_eq!(own.len(), seeds.len(), "{agent}/{}", recording.name);
            for (own, seed) in own.into_iter().zip(&seeds) {
                for field in ["type", "text", "reasoning", "tool_id", "output"] {
                    // The seed leaves out what is empty.
                    let said = &own[field];
                    let is_empty = said.as_str().is_none_or(str::is_empty);
                    let same = if is_empty { seed[field].is_null() } else { *said == seed[field] };
                    assert!(same, "{agent}/{}: {own} {seed}", recording.name);
                }
                if let Some(used) = own["usage"]["input_tokens"].as_u64() {
                    assert_eq!(seed["usage"]["input_tokens"], used, "{agent}/{}", recording.name);
                }
            }
        }
    }
}

/// What a person has saved with curl, and what a program has taken the `data:` off.
#[test]
fn the_events_of_a_server_are_read_with_their_field_names_and_without() {
    for name in ["serve-a-text", "serve-b-shell", "serve-h-401", "serve-r-sleep-abort"] {
        let stdout = recordings::one("opencode", name).stdout;
        let lines = stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let saved: Vec<u8> = lines.flat_map(|line| [b"data: ", line, b"\n\n"].concat()).collect();
        let mut bare = parse("opencode", &stdout, &[]);
        let mut saved = parse("opencode", &saved, &[]);
        for event in bare.iter_mut().chain(&mut saved) {
            event.as_object_mut().unwrap().remove("ts");
        }
        assert_eq!(bare, saved, "{name}");
        let cut = &stdout[..stdout.len() / 2];
        let result = parse("opencode", cut, &[]).pop().unwrap();
        assert_eq!((&result["type"], &result["is_error"]), (&"result".into(), &true.into()));
    }
}

#[test]
fn an_exit_code_of_0_makes_no_success_of_a_stream_without_an_end() {
    for (agent, name) in [
        ("claude-code", "int-term"),
        ("codex", "int-int1"),
        ("codex", "int-term"),
        ("pi", "int-term-pid"),
        ("opencode", "int-int-pid"),
    ] {
        let recording = recordings::one(agent, name);
        let events = parse(agent, &recording.stdout, &[]);
        let result = events.last().unwrap();
        assert_eq!(
            (result["is_error"].as_bool(), &result["failure"]["kind"]),
            (Some(true), &"protocol".into())
        );
    }
}

#[test]
fn the_harness_format_is_the_seeds_own() {
    let recording = recordings::one("codex", "b-shell");
    let events = parse("codex", &recording.stdout, &["--format", "harness"]);
    let lines: Vec<_> = events.iter().map(ToString::to_string).collect();
    assert_snapshot!(lines.join("\n"), @r#"
    {"type":"text","text":"I will run a command."}
    {"type":"tool_call","tool_id":"item_1","name":"Bash","args":"/bin/bash -lc 'echo hello-from-shell; echo to-stderr >&2'"}
    {"type":"tool_result","tool_id":"item_1","name":"Bash","output":"hello-from-shell\nto-stderr\n"}
    {"type":"text","text":"The command printed hello-from-shell."}
    {"type":"result","result":"The command printed hello-from-shell.","usage":{"input_tokens":1350,"output_tokens":85,"cache_read_input_tokens":19500,"cache_creation_input_tokens":480,"total_cost_usd":0.0,"num_turns":0,"duration_ms":0}}
    "#);
    let recording = recordings::one("claude-code", "b-shell");
    let events = parse("claude", &recording.stdout, &["--format", "harness"]);
    let lines: Vec<_> = events.iter().map(ToString::to_string).collect();
    assert_snapshot!(lines.join("\n"), @r#"
    {"type":"text","text":"I will run a command."}
    {"type":"tool_call","tool_id":"toolu_0150ecffbebb014d51ab348301","name":"Bash","args":"{\"command\":\"echo hello-from-shell; echo to-stderr >&2\",\"description\":\"run a command\"}"}
    {"type":"tool_result","tool_id":"toolu_0150ecffbebb014d51ab348301","name":"Bash","output":"hello-from-shell\nto-stderr"}
    {"type":"text","text":"The command printed hello-from-shell."}
    {"type":"result","result":"The command printed hello-from-shell.","usage":{"input_tokens":1350,"output_tokens":85,"cache_read_input_tokens":19500,"cache_creation_input_tokens":480,"total_cost_usd":0.012975,"num_turns":2,"duration_ms":208}}
    "#);
}

/// The seed reported no tool call of Pi at all, and of Docker Agent neither reasoning nor a tool's return.
#[test]
fn the_harness_format_has_the_tools_of_pi_opencode_and_docker_agent() {
    let lines = |agent: &str, name: &str| {
        let recording = recordings::one(agent, name);
        let events = parse(agent, &recording.stdout, &["--format", "harness"]);
        let text = events.into_iter().filter(|event| event["type"] != "text");
        text.map(|event| event.to_string()).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(lines("pi", "b-shell"), @r#"
    {"type":"tool_call_start","tool_id":"call_lab_1_0","name":"bash"}
    {"type":"tool_call_delta","tool_id":"call_lab_1_0","name":"bash","args":"{\"command\": \"echo lab-out; echo lab-err >&2\"}"}
    {"type":"tool_call","tool_id":"call_lab_1_0","name":"bash","args":"{\"command\":\"echo lab-out; echo lab-err >&2\"}"}
    {"type":"tool_result","tool_id":"call_lab_1_0","name":"bash","output":"lab-out\nlab-err\n"}
    {"type":"result","result":"The command printed lab-out.","usage":{"input_tokens":1200,"output_tokens":70,"cache_read_input_tokens":1000,"cache_creation_input_tokens":0,"total_cost_usd":0.00346,"num_turns":2,"duration_ms":0}}
    "#);
    let run = lines("opencode", "b-shell");
    // Two runs, each of which took its time.
    let figures = |text: &str| text.rsplit_once(",\"duration_ms\"").unwrap().0.to_owned();
    let served = figures(&lines("opencode", "serve-b-shell"));
    assert_eq!(figures(&run).replace("call_lab_2", "call_lab_1"), served);
    assert_snapshot!(run, @r#"
    {"type":"tool_call","tool_id":"call_lab_2_0","name":"bash","args":"{\"command\":\"echo lab-out; echo lab-err >&2\"}"}
    {"type":"tool_result","tool_id":"call_lab_2_0","name":"bash","output":"lab-out\nlab-err\n"}
    {"type":"result","result":"The command printed lab-out.","usage":{"input_tokens":1200,"output_tokens":70,"cache_read_input_tokens":1000,"cache_creation_input_tokens":0,"total_cost_usd":0.00346,"num_turns":2,"duration_ms":1478}}
    "#);
    assert_snapshot!(lines("docker-agent", "constructed"), @r#"
    {"type":"reasoning","reasoning":"Thinking."}
    {"type":"tool_call_start","tool_id":"call_1","name":"shell"}
    {"type":"tool_call_delta","tool_id":"call_1","name":"shell","args":"{\"cmd\":\"echo lab-out\"}"}
    {"type":"tool_call","tool_id":"call_1","name":"shell","args":"{\"cmd\":\"echo lab-out\"}"}
    {"type":"tool_result","tool_id":"call_1","name":"shell","output":"lab-out\n"}
    {"type":"result","result":"Done.","usage":{"input_tokens":1000,"output_tokens":70,"cache_read_input_tokens":1200,"cache_creation_input_tokens":0,"total_cost_usd":0.0040999999999999995,"num_turns":2,"duration_ms":0}}
    "#);
}

#[test]
fn a_stream_that_was_cut_has_no_result_in_the_harness_format() {
    for (agent, name) in [("claude-code", "b-shell"), ("codex", "b-shell"), ("pi", "b-shell")] {
        let stdout = recordings::one(agent, name).stdout;
        let lines: Vec<&[u8]> = stdout.split_inclusive(|byte| *byte == b'\n').collect();
        let events = parse(agent, &lines[..lines.len() / 2].concat(), &["--format", "harness"]);
        assert!(events.iter().all(|event| event["type"] != "result"), "{agent}: {events:#?}");
    }
}

#[test]
fn what_gemini_and_qwen_print_is_read() {
    for (agent, version) in [("gemini", "gemini-0.61.0"), ("qwen", "qwen-0.24.4")] {
        let path = recordings::root().join("printed").join(version).join("b-shell/stdout.jsonl");
        let stdout = std::fs::read(path).unwrap();
        let events = parse(agent, &stdout, &[]);
        assert_eq!(events.last().unwrap()["result"], "The command printed lab-out.", "{agent}");
        assert!(events.iter().all(|event| event["type"] != "unknown"), "{agent}");
    }
}

#[test]
fn garbage_between_the_lines_loses_nothing() {
    let recording = recordings::one("claude-code", "b-shell");
    let plain = parse("claude", &recording.stdout, &[]);
    let mut noisy = Vec::new();
    for line in recording.stdout.split_inclusive(|byte| *byte == b'\n') {
        noisy.extend_from_slice(b"npm warn \xff\x00\r\n{\"half\":\nnull\n[1]\n");
        noisy.extend_from_slice(line);
    }
    let kinds = |events: &[Value]| -> Vec<String> {
        let known = events
            .iter()
            .filter(|event| !["notice", "unknown"].contains(&event["type"].as_str().unwrap()));
        known.map(|event| event["type"].to_string()).collect()
    };
    assert_eq!(kinds(&parse("claude", &noisy, &[])), kinds(&plain));
}

#[test]
fn a_resumed_thread_of_codex_exec_claims_no_tokens() {
    let recording = recordings::one("codex", "p-resume-2");
    let events = parse("codex", &recording.stdout, &["--resumed"]);
    assert_eq!(events.last().unwrap()["usage"]["input_tokens"], Value::Null);
}
