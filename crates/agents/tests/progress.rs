//! Signs of life are no progress: what an agent prints that is empty, or that it has printed before.

use belay_agents::{
    Action, Agent, Claude, Codex, Copilot, DockerAgent, Input, OpenCode, Out, Pi, RunRequest,
    Transport,
};
use belay_trace::Event;
use serde_json::{Value, json};

/// Reads `opening`, then `line` three times, and says how often each time showed that the agent gets on.
fn reads(agent: &dyn Agent, way: Transport, opening: &[Value], line: &Value) -> Vec<usize> {
    let mut protocol = agent.protocol(&RunRequest::new("hi"), way);
    let mut out = Out::default();
    protocol.step(Input::Start, &mut out);
    for line in opening {
        protocol.step(Input::Stdout(line.to_string().as_bytes()), &mut out);
    }
    let mut signs = |_| {
        out.actions.clear();
        protocol.step(Input::Stdout(line.to_string().as_bytes()), &mut out);
        let gets_on = |action: &&Action| match action {
            Action::Progress(_) => true,
            // These are known again by whoever runs the driver.
            Action::Emit(emitted) => match &emitted.event {
                Event::ToolResult(_) | Event::ToolCall(_) | Event::Usage(_) | Event::Plan(_) => {
                    false
                }
                event => event.is_progress(),
            },
            _ => false,
        };
        out.actions.iter().filter(gets_on).count()
    };
    (0..3).map(&mut signs).collect()
}

/// No time, not even the first, shows any progress.
#[track_caller]
fn never(agent: &dyn Agent, way: Transport, opening: &[Value], lines: &[Value]) {
    for line in lines {
        assert_eq!(reads(agent, way, opening, line), [0; 3], "{line}");
    }
}

/// The first time alone does.
#[track_caller]
fn once(agent: &dyn Agent, way: Transport, opening: &[Value], lines: &[Value]) {
    for line in lines {
        let signs = reads(agent, way, opening, line);
        assert!(signs[0] > 0 && signs[1..] == [0; 2], "{line}: {signs:?}");
    }
}

fn claude_opening() -> Vec<Value> {
    vec![
        json!({"type": "system", "subtype": "init", "session_id": "s"}),
        stream(json!({"type": "message_start", "message": {"id": "m1"}})),
        json!({"type": "system", "subtype": "task_started", "session_id": "s", "task_id": "a",
            "task_type": "local_agent", "tool_use_id": "t", "is_backgrounded": true}),
    ]
}

fn stream(event: Value) -> Value {
    json!({"type": "stream_event", "session_id": "s", "event": event})
}

fn task(subtype: &str, id: &str, tool_id: Option<&str>) -> Value {
    json!({"type": "system", "subtype": subtype, "session_id": "s", "task_id": id,
        "tool_use_id": tool_id, "patch": {"status": "running"}, "status": "running",
        "usage": {"total_tokens": 7, "tool_uses": 1, "duration_ms": 50}})
}

#[test]
fn empty_pieces_and_unknown_tasks_of_claude_are_no_progress() {
    let delta =
        |delta: Value| stream(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    let lines = [
        delta(json!({"type": "text_delta", "text": ""})),
        delta(json!({"type": "thinking_delta", "thinking": ""})),
        delta(json!({"type": "signature_delta", "signature": ""})),
        delta(json!({"type": "something_new"})),
        stream(json!({"type": "ping"})),
        stream(json!({"type": "content_block_stop", "index": 0})),
        stream(json!({"type": "message_start", "message": {"id": "m1"}})),
        task("task_progress", "unknown", None),
        task("task_updated", "unknown", None),
        task("task_notification", "unknown", None),
        json!({"type": "tool_progress", "session_id": "s", "tool_use_id": "t", "heartbeat": true}),
    ];
    never(&Claude::new(), Transport::Dialogue, &claude_opening(), &lines);
}

#[test]
fn what_claude_says_again_is_no_progress() {
    let text = json!([{"type": "text", "text": "words"}]);
    let lines = [
        json!({"type": "assistant", "session_id": "s", "message": {"id": "m2", "content": text}}),
        stream(json!({"type": "message_start", "message": {"id": "m2"}})),
        stream(
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}),
        ),
        // Behind a response it may be the next turn's.
        json!({"type": "system", "subtype": "init", "session_id": "s"}),
        task("task_progress", "a", None),
        task("task_updated", "a", None),
        task("task_started", "b", Some("t")),
    ];
    once(&Claude::new(), Transport::Dialogue, &claude_opening(), &lines);
    // A response tells its end once: its figures stay as they are.
    let ended =
        stream(json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}}));
    let agent = Claude::new();
    let mut protocol = agent.protocol(&RunRequest::new("hi"), Transport::Dialogue);
    let mut out = Out::default();
    for line in claude_opening().iter().chain([&ended, &ended, &ended]) {
        protocol.step(Input::Stdout(line.to_string().as_bytes()), &mut out);
    }
    let turns = out.actions.iter().filter_map(|action| match action {
        Action::Emit(emitted) => match &emitted.event {
            Event::Usage(report) => report.usage.num_turns,
            _ => None,
        },
        _ => None,
    });
    assert_eq!(turns.collect::<Vec<_>>(), [1, 1, 1]);
}

fn note(method: &str, mut params: Value) -> Value {
    (params["threadId"], params["turnId"]) = ("s".into(), "t".into());
    json!({"method": method, "params": params})
}

#[test]
fn empty_and_repeated_notes_of_codex_are_no_progress() {
    let codex = Codex::new();
    let opening = [
        json!({"id": 1, "result": {}}),
        json!({"id": 2, "result": {"thread": {"id": "s"}}}),
        json!({"method": "turn/started", "params": {"threadId": "s",
            "turn": {"id": "t", "status": "inProgress"}}}),
    ];
    let empty = ["commandExecution/outputDelta", "fileChange/outputDelta", "agentMessage/delta"];
    let empty =
        empty.map(|kind| note(&format!("item/{kind}"), json!({"itemId": "c", "delta": ""})));
    never(&codex, Transport::Dialogue, &opening, &empty);
    never(&codex, Transport::Dialogue, &opening, &opening[2..]);
    let call = json!({"id": "c", "type": "commandExecution", "command": "ls", "cwd": "/"});
    let words = json!({"id": "w", "type": "agentMessage", "text": "words"});
    let lines = [
        note("item/started", json!({"item": call})),
        note("item/completed", json!({"item": words})),
        note("turn/diff/updated", json!({"diff": "+a"})),
    ];
    once(&codex, Transport::Dialogue, &opening, &lines);

    let opening =
        [json!({"type": "thread.started", "thread_id": "s"}), json!({"type": "turn.started"})];
    never(&codex, Transport::Print, &opening, &opening[1..]);
    let call = json!({"id": "c", "type": "command_execution", "command": "ls"});
    let words = json!({"id": "w", "type": "agent_message", "text": "words"});
    let lines = [
        json!({"type": "item.started", "item": call}),
        json!({"type": "item.completed", "item": words}),
    ];
    once(&codex, Transport::Print, &opening, &lines);
}

#[test]
fn empty_and_repeated_lines_of_the_others_are_no_progress() {
    let update = |kind: &str, delta: &str| {
        json!({"type": "message_update", "assistantMessageEvent":
            {"type": kind, "contentIndex": 0, "delta": delta}})
    };
    let begun = json!({"type": "message_start", "message": {"role": "assistant", "timestamp": 1}});
    let opening = [json!({"type": "agent_start"}), begun];
    let lines = [update("text_delta", ""), update("thinking_delta", "")];
    never(&Pi::new(), Transport::Print, &opening, &lines);
    let ended = json!({"type": "message_end", "message": {"role": "assistant", "timestamp": 1,
        "content": [{"type": "text", "text": "words"}], "stopReason": "stop"}});
    once(&Pi::new(), Transport::Print, &opening, &[ended]);

    let data = |kind: &str, data: Value| json!({"type": kind, "data": data});
    let lines = [data("assistant.message_delta", json!({"messageId": "m", "deltaContent": ""}))];
    never(&Copilot::new(), Transport::Print, &[], &lines);
    let lines = [
        data("assistant.turn_start", json!({"turnId": "0"})),
        data("assistant.message", json!({"messageId": "m", "content": "words"})),
    ];
    once(&Copilot::new(), Transport::Print, &[], &lines);

    let line = |kind: &str, mut more: Value| {
        (more["type"], more["session_id"]) = (kind.into(), "s".into());
        more
    };
    let opening =
        [line("stream_started", json!({})), line("agent_choice", json!({"content": "a"}))];
    let docker = DockerAgent::new("agent.yaml");
    let empty = [line("agent_choice", json!({"content": ""}))];
    never(&docker, Transport::Print, &opening, &empty);
    let lines = [
        line("tool_call_output", json!({"tool_call_id": "c", "content": "x"})),
        line("mcp_init_started", json!({})),
    ];
    once(&docker, Transport::Print, &opening, &lines);

    let part = |state: Value| {
        json!({"type": "tool_use", "sessionID": "s", "part": {"id": "p", "type": "tool",
            "messageID": "m", "tool": "bash", "callID": "c", "state": state}})
    };
    let done = json!({"status": "completed", "input": {}, "output": "ok"});
    let again = json!({"status": "completed", "input": {}, "output": "ok", "time": {"start": 1}});
    once(&OpenCode::new(), Transport::Print, &[], &[part(done.clone())]);
    never(&OpenCode::new(), Transport::Print, &[part(done)], &[part(again)]);
}
