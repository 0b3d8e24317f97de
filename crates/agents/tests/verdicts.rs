//! What counts as an answer, the same for every driver, each in the words of its own protocol.

use belay_agents::{
    Acp, Agent, AttemptEnd, Claude, Codex, Copilot, DockerAgent, Exit, OpenCode, Pi, RunRequest,
    StreamParser, Transport,
};
use belay_trace::{Event, FailureKind, Level};
use serde_json::{Value, json};

/// What happens in a turn.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    /// The model says this.
    Words(&'static str),
    /// The model calls a tool, which returns.
    Tool,
    /// The agent says that the turn is over, and that all is well.
    Done,
    /// The model, or a filter, has declined.
    Declined,
    /// The provider has refused the request with this code.
    Flagged(&'static str),
    /// One field says that all is well, and another that it is not.
    Contradiction,
}
use Part::{Contradiction, Declined, Done, Flagged, Tool, Words};

/// One way to talk with an agent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Claude,
    CodexAppServer,
    CodexExec,
    OpenCodeServe,
    OpenCodeRun,
    PiRpc,
    PiJson,
    Copilot,
    DockerAgent,
    Acp,
    Gemini,
    Qwen,
}

const WAYS: [Way; 12] = [
    Way::Claude,
    Way::CodexAppServer,
    Way::CodexExec,
    Way::OpenCodeServe,
    Way::OpenCodeRun,
    Way::PiRpc,
    Way::PiJson,
    Way::Copilot,
    Way::DockerAgent,
    Way::Acp,
    Way::Gemini,
    Way::Qwen,
];

impl Way {
    fn agent(self) -> Box<dyn Agent> {
        match self {
            Self::Claude => Box::new(Claude::new()),
            Self::CodexAppServer | Self::CodexExec => Box::new(Codex::new()),
            Self::OpenCodeServe | Self::OpenCodeRun => Box::new(OpenCode::new()),
            Self::PiRpc | Self::PiJson => Box::new(Pi::new()),
            Self::Copilot => Box::new(Copilot::new()),
            Self::DockerAgent => Box::new(DockerAgent::new("agent.yaml")),
            Self::Acp => Box::new(Acp::command("an-agent")),
            Self::Gemini => Box::new(Acp::gemini()),
            Self::Qwen => Box::new(Acp::qwen()),
        }
    }

    fn transport(self) -> Transport {
        match self {
            Self::CodexAppServer
            | Self::OpenCodeServe
            | Self::PiRpc
            | Self::Acp
            | Self::Gemini
            | Self::Qwen => Transport::Dialogue,
            Self::Claude
            | Self::CodexExec
            | Self::OpenCodeRun
            | Self::PiJson
            | Self::Copilot
            | Self::DockerAgent => Transport::Print,
        }
    }

    /// What the agent prints before the first word.
    fn opening(self) -> Vec<Value> {
        match self {
            Self::Claude => vec![json!({"type": "system", "subtype": "init", "session_id": "s"})],
            Self::CodexAppServer => vec![
                json!({"id": 1, "result": {}}),
                note(
                    "turn/started",
                    json!({"threadId": "s", "turn": {"id": "t", "status": "inProgress"}}),
                ),
            ],
            Self::CodexExec => vec![
                json!({"type": "thread.started", "thread_id": "s"}),
                json!({"type": "turn.started"}),
            ],
            Self::OpenCodeServe => vec![sse(
                "message.updated",
                json!({"info": {"id": "m0", "role": "user", "sessionID": "s"}}),
            )],
            Self::OpenCodeRun => Vec::new(),
            Self::PiRpc | Self::PiJson => vec![json!({"type": "agent_start"})],
            Self::Copilot => vec![json!({"type": "session.tools_updated", "data": {"model": "m"}})],
            Self::DockerAgent => vec![json!({"type": "stream_started", "session_id": "s"})],
            Self::Acp | Self::Gemini | Self::Qwen => vec![
                json!({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": 1}}),
                json!({"jsonrpc": "2.0", "id": 2, "result": {"sessionId": "s"}}),
            ],
        }
    }

    /// What the agent prints for a part; `n` makes ids, `last` are the words behind the last tool.
    fn lines(self, part: Part, n: usize, last: &str) -> Vec<Value> {
        match self {
            Self::Claude => claude(part, n, last),
            Self::CodexAppServer => app_server(part, n),
            Self::CodexExec => exec(part, n),
            Self::OpenCodeServe => serve(part, n),
            Self::OpenCodeRun => opencode_run(part, n),
            Self::PiRpc | Self::PiJson => pi(part, n, last),
            Self::Copilot => copilot(part, n),
            Self::DockerAgent => docker(part, n),
            Self::Acp | Self::Gemini | Self::Qwen => acp(part, n),
        }
    }
}

fn note(method: &str, params: Value) -> Value {
    json!({"method": method, "params": params})
}

fn sse(kind: &str, mut properties: Value) -> Value {
    properties["sessionID"] = "s".into();
    json!({"type": kind, "properties": properties})
}

fn claude(part: Part, n: usize, last: &str) -> Vec<Value> {
    let message = |block: Value| {
        json!({"type": "assistant", "session_id": "s",
            "message": {"id": format!("m{n}"), "model": "claude-opus-5", "content": [block]}})
    };
    let result = |more: Value| {
        let mut line = json!({"type": "result", "subtype": "success", "is_error": false,
            "num_turns": 1, "terminal_reason": "completed", "session_id": "s", "result": last});
        more.as_object().unwrap().iter().for_each(|(name, value)| line[name] = value.clone());
        line
    };
    match part {
        Words(text) => vec![message(json!({"type": "text", "text": text}))],
        Tool => vec![
            message(
                json!({"type": "tool_use", "id": format!("t{n}"), "name": "Bash", "input": {}}),
            ),
            json!({"type": "user", "message": {"role": "user", "content":
                [{"type": "tool_result", "tool_use_id": format!("t{n}"), "content": "ok"}]}}),
            // Another response, without a word.
            message(json!({"type": "thinking", "thinking": ""})),
        ],
        Done => vec![result(json!({}))],
        Declined => vec![result(json!({"stop_reason": "refusal"}))],
        Flagged(_) => vec![
            json!({"type": "assistant", "is_api_error_message": true, "error": "unknown",
                "message": {"id": "e", "model": "<synthetic>", "content": [{"type": "text",
                    "text": "API Error: 400 Output blocked by content filtering policy"}]}}),
            result(
                json!({"is_error": true, "terminal_reason": "api_error", "api_error_status": 400,
                "api_error_type": "invalid_request_error", "safety_stops": 1}),
            ),
        ],
        Contradiction => {
            vec![json!({"type": "result", "subtype": "error_during_execution", "is_error": false,
                "num_turns": 3, "session_id": "s"})]
        }
    }
}

fn app_server(part: Part, n: usize) -> Vec<Value> {
    let item = |stage: &str, item: Value| note(stage, json!({"threadId": "s", "item": item}));
    let completed =
        |turn: Value| vec![note("turn/completed", json!({"threadId": "s", "turn": turn}))];
    let failed = |message: String, status: &str| {
        completed(json!({"id": "t", "status": status,
            "error": {"message": message, "codexErrorInfo": "other"}}))
    };
    match part {
        Words(text) => vec![item(
            "item/completed",
            json!({"id": format!("i{n}"), "type": "agentMessage", "text": text}),
        )],
        Tool => ["item/started", "item/completed"]
            .map(|stage| {
                item(
                    stage,
                    json!({"id": format!("i{n}"), "type": "commandExecution",
                    "command": "ls", "status": "completed", "exitCode": 0}),
                )
            })
            .to_vec(),
        Done => completed(json!({"id": "t", "status": "completed"})),
        Declined => failed(INCOMPLETE.to_owned(), "failed"),
        Flagged(code) => failed(body(code), "failed"),
        Contradiction => failed("it broke".to_owned(), "completed"),
    }
}

const INCOMPLETE: &str =
    "stream disconnected before completion: Incomplete response returned, reason: content_filter";

/// An error of OpenAI's, as it comes.
fn body(code: &str) -> String {
    json!({"error": {"message": "words", "type": "invalid_request_error", "code": code}})
        .to_string()
}

fn exec(part: Part, n: usize) -> Vec<Value> {
    let item = |kind: &str, item: Value| json!({"type": kind, "item": item});
    let failed =
        |message: String| vec![json!({"type": "turn.failed", "error": {"message": message}})];
    match part {
        Words(text) => vec![item(
            "item.completed",
            json!({"id": format!("i{n}"), "type": "agent_message", "text": text}),
        )],
        Tool => vec![item(
            "item.completed",
            json!({"id": format!("i{n}"), "type": "command_execution", "command": "ls",
                "status": "completed", "exit_code": 0}),
        )],
        Done => vec![json!({"type": "turn.completed", "usage": {}})],
        Declined => failed(INCOMPLETE.to_owned()),
        Flagged(code) => failed(body(code)),
        Contradiction => failed("it broke".to_owned()),
    }
}

fn parts(part: Part, n: usize) -> Option<Value> {
    let (id, message) = (format!("p{n}"), format!("m{n}"));
    match part {
        Words(text) => Some(json!({"id": id, "messageID": message, "type": "text", "text": text,
            "time": {"start": 1, "end": 2}})),
        Tool => Some(json!({"id": id, "messageID": message, "type": "tool", "tool": "bash",
            "callID": format!("c{n}"), "state": {"status": "completed", "input": {}, "output": "ok"}})),
        _ => None,
    }
}

fn finish(part: Part) -> &'static str {
    match part {
        Declined => "content-filter",
        _ => "stop",
    }
}

fn serve(part: Part, n: usize) -> Vec<Value> {
    if let Some(part) = parts(part, n) {
        return vec![sse("message.part.updated", json!({"part": part}))];
    }
    let mut info = json!({"id": format!("m{n}"), "role": "assistant", "parentID": "m0",
        "finish": finish(part)});
    match part {
        Flagged(code) => {
            let data = json!({"message": "words", "statusCode": 400, "responseBody": body(code)});
            info["error"] = json!({"name": "APIError", "data": data});
        }
        Contradiction => info["error"] = json!({"name": "UnknownError", "data": {"message": "x"}}),
        _ => {}
    }
    vec![sse("message.updated", json!({"info": info})), sse("session.idle", json!({}))]
}

fn opencode_run(part: Part, n: usize) -> Vec<Value> {
    let line = |kind: &str, part: Value| json!({"type": kind, "sessionID": "s", "part": part});
    let error = |error: Value| json!({"type": "error", "sessionID": "s", "error": error});
    let finished = line(
        "step_finish",
        json!({"id": format!("f{n}"), "type": "step-finish", "reason": finish(part)}),
    );
    match part {
        Words(_) => vec![line("text", parts(part, n).unwrap())],
        Tool => vec![line("tool_use", parts(part, n).unwrap())],
        Done | Declined => vec![finished],
        Flagged(code) => {
            let data = json!({"message": "words", "statusCode": 400, "responseBody": body(code)});
            vec![error(json!({"name": "APIError", "data": data}))]
        }
        Contradiction => {
            vec![finished, error(json!({"name": "UnknownError", "data": {"message": "x"}}))]
        }
    }
}

fn pi(part: Part, n: usize, last: &str) -> Vec<Value> {
    let ended = |message: Value| json!({"type": "message_end", "message": message});
    let said = |text: &str, stop: &str| {
        json!({"role": "assistant", "content": [{"type": "text", "text": text}],
            "stopReason": stop})
    };
    let settled = json!({"type": "agent_settled", "aborted": false});
    match part {
        Words(text) => vec![ended(said(text, "stop"))],
        Tool => vec![
            ended(said("", "toolUse")),
            json!({"type": "tool_execution_start", "toolCallId": format!("c{n}"), "toolName": "bash",
                "args": {}}),
            json!({"type": "tool_execution_end", "toolCallId": format!("c{n}"), "toolName": "bash",
                "result": {"content": []}}),
            ended(said("", "stop")),
        ],
        Done if last.is_empty() => vec![ended(said("", "stop")), settled],
        Done => vec![settled],
        Declined => {
            let mut message = said(last, "stop");
            message["rawStopReason"] = "content_filter".into();
            vec![ended(message), settled]
        }
        Flagged(code) => {
            let mut message = said(last, "error");
            message["errorMessage"] = format!("400: {}", body(code)).into();
            vec![ended(message), settled]
        }
        Contradiction => {
            let mut message = said(last, "error");
            message["errorMessage"] = "it broke".into();
            vec![ended(message), settled]
        }
    }
}

fn copilot(part: Part, n: usize) -> Vec<Value> {
    let line = |kind: &str, data: Value| json!({"type": kind, "data": data});
    let result = |code: i32| json!({"type": "result", "sessionId": "s", "exitCode": code});
    let (id, call) = (format!("m{n}"), format!("c{n}"));
    match part {
        Words(text) => vec![
            line("assistant.message_delta", json!({"messageId": id, "deltaContent": text})),
            line("assistant.message", json!({"messageId": id, "content": text})),
        ],
        Tool => vec![
            line(
                "tool.execution_start",
                json!({"toolCallId": call, "toolName": "bash", "arguments": {}}),
            ),
            line(
                "tool.execution_complete",
                json!({"toolCallId": call, "success": true,
                "result": {"content": "ok"}}),
            ),
        ],
        Done => vec![result(0)],
        // Its own words, of which nothing came in pieces.
        Declined => vec![
            line(
                "assistant.message",
                json!({"messageId": id, "content":
                "The model returned no content because the response was blocked by content filtering."}),
            ),
            result(0),
        ],
        Flagged(code) => vec![
            line(
                "model.call_failure",
                json!({"statusCode": 400, "errorCode": code,
                "errorMessage": "words"}),
            ),
            line(
                "session.error",
                json!({"errorType": "query", "message": "400 words",
                "statusCode": 400}),
            ),
            result(1),
        ],
        Contradiction => {
            vec![
                line("session.error", json!({"errorType": "query", "message": "it broke"})),
                result(0),
            ]
        }
    }
}

fn docker(part: Part, n: usize) -> Vec<Value> {
    let line = |kind: &str, mut more: Value| {
        (more["type"], more["session_id"]) = (kind.into(), "s".into());
        more
    };
    let id = format!("c{n}");
    match part {
        Words(text) => vec![line("agent_choice", json!({"content": text}))],
        Tool => vec![
            line(
                "tool_call",
                json!({"tool_call": {"id": id, "function": {"name": "shell",
                "arguments": "{}"}}}),
            ),
            line("tool_call_response", json!({"tool_call_id": id, "response": "ok"})),
            // The response is counted, and with that over.
            line("token_usage", json!({"usage": {"last_message": {"input_tokens": 1}}})),
        ],
        Done => vec![line("stream_stopped", json!({"reason": "normal"}))],
        Declined => vec![line("stream_stopped", json!({"reason": "refusal"}))],
        Flagged(code) => vec![
            line("error", json!({"error": "words", "code": code})),
            line("stream_stopped", json!({})),
        ],
        Contradiction => vec![
            line("error", json!({"error": "it broke"})),
            line("stream_stopped", json!({"reason": "normal"})),
        ],
    }
}

fn acp(part: Part, n: usize) -> Vec<Value> {
    let update = |update: Value| {
        json!({"jsonrpc": "2.0", "method": "session/update",
            "params": {"sessionId": "s", "update": update}})
    };
    // Gemini counts what it was told; others leave this out.
    let quota = json!({"quota": {"token_count": {"input_tokens": 10, "output_tokens": 1}}});
    let answer = |reason: &str| {
        vec![json!({"jsonrpc": "2.0", "id": 3, "result": {"stopReason": reason, "_meta": quota}})]
    };
    let refused = |code: i32, data: Value| {
        let error = json!({"code": code, "message": "Internal error", "data": data});
        vec![json!({"jsonrpc": "2.0", "id": 3, "error": error})]
    };
    match part {
        // Qwen tells with the last chunk of a response what it has used.
        Words(text) => vec![update(json!({"sessionUpdate": "agent_message_chunk",
            "content": {"type": "text", "text": text},
            "_meta": {"usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}}}))],
        Tool => {
            vec![update(json!({"sessionUpdate": "tool_call", "toolCallId": format!("bash__{n}"),
            "title": "ls", "kind": "execute", "status": "completed", "rawInput": {"command": "ls"}}))]
        }
        Done => answer("end_turn"),
        Declined => answer("refusal"),
        Flagged(code) => refused(-32603, json!({"details": format!("400 {}", body(code))})),
        Contradiction => refused(-32603, json!({"details": "it broke"})),
    }
}

/// The end of the turn, and the codes of its warnings and notes.
fn read(way: Way, prompt: &str, parts: &[Part]) -> (AttemptEnd, Vec<String>) {
    let agent = way.agent();
    let mut parser = StreamParser::new(&*agent, &RunRequest::new(prompt), way.transport());
    let mut last = "";
    let mut lines = way.opening();
    for (n, part) in parts.iter().enumerate() {
        last = match part {
            Words(text) => text,
            Tool => "",
            _ => last,
        };
        lines.extend(way.lines(*part, n + 1, last));
    }
    let mut events: Vec<_> =
        lines.iter().flat_map(|line| parser.parse_stream_line(&line.to_string())).collect();
    events.extend(parser.finish(Exit::Code(0)));
    let unknown: Vec<_> =
        events.iter().filter(|emitted| matches!(emitted.event, Event::Unknown(_))).collect();
    assert!(unknown.is_empty(), "{way:?}: {unknown:#?}");
    let codes = events.into_iter().filter_map(|emitted| match emitted.event {
        Event::Notice(notice) if notice.level >= Level::Info => notice.code,
        _ => None,
    });
    let codes = codes.filter(|code| ["empty_answer", "no_model"].contains(&&**code)).collect();
    let mut ends = parser.take_ended();
    assert_eq!(ends.len(), 1, "{way:?} {parts:?}: {ends:#?}");
    (ends.remove(0), codes)
}

fn kind(end: &AttemptEnd) -> Option<FailureKind> {
    end.failure.as_ref().map(|failure| failure.kind)
}

#[test]
fn words_are_an_answer_on_every_agent() {
    for way in WAYS {
        for parts in [&[Words("Yes."), Done][..], &[Words("I look."), Tool, Words("Yes."), Done]] {
            let (end, codes) = read(way, "p", parts);
            assert_eq!((kind(&end), &*end.answer), (None, "Yes."), "{way:?} {parts:?}");
            assert!(codes.is_empty(), "{way:?}: {codes:?}");
        }
    }
}

#[test]
fn a_turn_without_a_word_or_a_tool_is_a_failure_on_every_agent() {
    for way in WAYS {
        let (end, codes) = read(way, "p", &[Done]);
        assert_eq!(kind(&end), Some(FailureKind::Protocol), "{way:?}: {end:#?}");
        assert!(codes.is_empty(), "{way:?}: {codes:?}");
    }
}

#[test]
fn silence_behind_tools_is_an_empty_answer_with_a_warning() {
    for way in WAYS {
        for parts in [&[Tool, Done][..], &[Words("I look."), Tool, Done]] {
            let (end, codes) = read(way, "p", parts);
            if way == Way::Gemini {
                // What it tells of a response that broke off, too.
                assert_eq!(kind(&end), Some(FailureKind::Protocol));
                continue;
            }
            assert_eq!((kind(&end), &*end.answer), (None, ""), "{way:?} {parts:?}");
            assert_eq!(codes, ["empty_answer"], "{way:?} {parts:?}");
        }
    }
}

#[test]
fn what_was_declined_is_refused_and_its_half_is_kept() {
    for way in WAYS {
        let (end, _) = read(way, "p", &[Words("Half of it"), Declined]);
        assert_eq!(kind(&end), Some(FailureKind::Refused), "{way:?}: {end:#?}");
        assert_eq!(end.answer, "Half of it", "{way:?}");
        let (end, _) = read(way, "p", &[Tool, Declined]);
        assert_eq!(kind(&end), Some(FailureKind::Refused), "{way:?}: {end:#?}");
    }
}

#[test]
fn what_a_provider_flags_is_refused_on_every_agent() {
    for way in WAYS {
        for code in ["invalid_prompt", "content_policy_violation", "content_filter"] {
            let (end, _) = read(way, "p", &[Flagged(code)]);
            assert_eq!(kind(&end), Some(FailureKind::Refused), "{way:?} {code}: {end:#?}");
        }
    }
}

#[test]
fn fields_that_contradict_each_other_are_no_answer() {
    for way in WAYS {
        let (end, _) = read(way, "p", &[Words("partial words"), Contradiction]);
        assert!(end.failure.is_some(), "{way:?}: {end:#?}");
        assert_eq!(end.answer, "partial words", "{way:?}");
    }
}

/// Refusals are the words of the provider, never those of an answer.
#[test]
fn an_answer_about_refusals_is_an_answer() {
    let texts = [
        "The model returned no content because the response was blocked by content filtering.",
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
        "finish_reason: content_filter",
        "refusal",
    ];
    for way in WAYS {
        for text in texts {
            let (end, _) = read(way, "p", &[Words(text), Done]);
            assert_eq!((kind(&end), &*end.answer), (None, text), "{way:?}");
        }
    }
}

#[test]
fn a_command_of_claudes_own_is_answered_and_named() {
    let result = |text: &str, turns: u64| {
        json!({"type": "result", "subtype": "success", "is_error": false, "num_turns": turns,
            "stop_reason": null, "session_id": "s", "result": text})
    };
    let init = json!({"type": "system", "subtype": "init", "session_id": "s"});
    let synthetic = json!({"type": "assistant", "message": {"id": "m", "model": "<synthetic>",
        "content": [{"type": "text", "text": "Cost: $0"}]}});
    let play = |prompt: &str, lines: &[&Value]| {
        let mut parser =
            StreamParser::new(&Claude::new(), &RunRequest::new(prompt), Transport::Print);
        let events: Vec<_> =
            lines.iter().flat_map(|line| parser.parse_stream_line(&line.to_string())).collect();
        let told = events.iter().any(|emitted| match &emitted.event {
            Event::Notice(notice) => notice.code.as_deref() == Some("no_model"),
            _ => false,
        });
        let end = parser.take_ended().remove(0);
        (kind(&end), end.answer, told)
    };
    assert_eq!(play("/clear", &[&init, &result("", 0)]), (None, String::new(), true));
    let cost = play("/cost", &[&init, &synthetic, &result("Cost: $0", 0)]);
    assert_eq!(cost, (None, "Cost: $0".into(), true));
    // The same line behind a prompt that is no command is no answer, and neither is a model's silence.
    let nothing = Some(FailureKind::Protocol);
    assert_eq!(play("hi", &[&init, &result("", 0)]).0, nothing);
    assert_eq!(play("/clear", &[&init, &result("", 1)]).0, nothing);
    assert_eq!(play("/etc/hosts is wrong", &[&init, &result("", 0)]).0, nothing);
}

#[test]
fn a_command_over_acp_is_answered_where_no_token_was_used() {
    for way in [Way::Acp, Way::Qwen] {
        let (agent, mut lines) = (way.agent(), way.opening());
        lines.push(json!({"jsonrpc": "2.0", "id": 3, "result": {"stopReason": "end_turn"}}));
        let mut parser =
            StreamParser::new(&*agent, &RunRequest::new("/clear"), Transport::Dialogue);
        lines.iter().for_each(|line| drop(parser.parse_stream_line(&line.to_string())));
        assert_eq!(kind(&parser.take_ended()[0]), None, "{way:?}");
    }
}

#[test]
fn claudes_contradictions_have_their_kinds() {
    let end = |fields: Value| {
        let mut line = json!({"type": "result", "subtype": "success", "is_error": false,
            "num_turns": 3, "session_id": "s", "result": "words"});
        fields.as_object().unwrap().iter().for_each(|(name, value)| line[name] = value.clone());
        let mut parser = StreamParser::new(&Claude::new(), &RunRequest::new("p"), Transport::Print);
        parser.parse_stream_line(&line.to_string());
        kind(&parser.take_ended()[0])
    };
    let none = Value::Null;
    for (fields, want) in [
        (json!({}), None),
        (json!({"terminal_reason": "hook_stopped"}), None),
        (json!({"subtype": "error_max_turns", "result": none}), Some(FailureKind::LimitReached)),
        (
            json!({"subtype": "error_max_budget_usd", "result": none}),
            Some(FailureKind::LimitReached),
        ),
        (json!({"subtype": "error_during_execution", "result": none}), Some(FailureKind::Unknown)),
        (json!({"terminal_reason": "max_turns"}), Some(FailureKind::LimitReached)),
        (json!({"terminal_reason": "aborted_tools"}), Some(FailureKind::Interrupted)),
        (json!({"terminal_reason": "turn_setup_failed"}), Some(FailureKind::Unknown)),
        (json!({"api_error_status": 529}), Some(FailureKind::Overloaded)),
        (json!({"stop_reason": "refusal"}), Some(FailureKind::Refused)),
        (json!({"is_error": true}), Some(FailureKind::Unknown)),
    ] {
        assert_eq!(end(fields.clone()), want, "{fields}");
    }
}

/// A value that was asked for is an answer without a word.
#[test]
fn an_answer_that_is_only_structured_is_one() {
    let line = json!({"type": "result", "subtype": "success", "is_error": false, "num_turns": 1,
        "session_id": "s", "result": "", "structured_output": {"a": 1}});
    let mut parser = StreamParser::new(&Claude::new(), &RunRequest::new("p"), Transport::Print);
    parser.parse_stream_line(&line.to_string());
    let end = parser.take_ended().remove(0);
    assert_eq!((kind(&end), end.structured.is_some()), (None, true));
}
