//! What a line states: read apart from the drivers, for those who watch them.

use super::Dialect;
use serde::Deserialize;
use serde_json::value::RawValue;

// What a driver says nothing about at any time is data, and stands once. What it says nothing about at some times
// stands here: pieces of a whole, second ends.
#[path = "../../src/codex/asides.rs"]
#[allow(dead_code, reason = "pieces of items are known by their prefix")]
mod codex;
#[path = "../../src/copilot/asides.rs"]
mod copilot;
#[path = "../../src/docker_agent/asides.rs"]
mod docker_agent;
#[path = "../../src/opencode/asides.rs"]
mod opencode;
#[path = "../../src/pi/asides.rs"]
mod pi;

/// What a line states, read apart from the drivers and by looking at as little as possible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stated {
    /// It begins a turn.
    pub(crate) begins: bool,
    /// The thread of that turn, if turns have one.
    pub(super) thread: Option<String>,
    /// It says that the turn has ended.
    pub(crate) ends: bool,
    /// It ends a turn if it refuses what belay has asked for.
    pub(crate) may_refuse: bool,
    /// It says that the turn has answered.
    pub(crate) success: bool,
    /// It says so only if the last response was whole.
    pub(crate) needs_whole: bool,
    /// It ends a response, and whether that is whole.
    pub(super) whole: Option<bool>,
    /// It is of a known kind that can have nothing to say.
    pub(crate) may_be_silent: bool,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    subtype: Option<&'a RawValue>,
    #[serde(borrow, default)]
    is_error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    aborted: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    session_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    part: Option<&'a RawValue>,
    #[serde(borrow, default)]
    properties: Option<&'a RawValue>,
}

/// Of Copilot; a field that comes twice makes a line unreadable, so none but its own are looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CopilotLine<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    exit_code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    agent_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(borrow, default)]
    info: Option<&'a RawValue>,
    #[serde(borrow, default)]
    part: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Info<'a> {
    #[serde(borrow, default)]
    finish: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "stopReason")]
    stop_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, default, rename = "threadId")]
    thread_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    turn: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TurnStatus<'a> {
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
}

impl Stated {
    /// What the objects of a line state that is more than one object: each that can be read, wherever it begins. Of
    /// those that cannot, only the first hundred are tried, for each is tried to the line's end.
    pub(crate) fn read_mixed(dialect: Dialect, line: &[u8]) -> Vec<Self> {
        let text = String::from_utf8_lossy(line);
        let (mut stated, mut at, mut broken) = (Vec::new(), 0, 0);
        while let Some(next) = text[at..].find('{').filter(|_| broken < 100) {
            at += next;
            let mut objects =
                serde_json::Deserializer::from_str(&text[at..]).into_iter::<&RawValue>();
            let object = objects.next().and_then(Result::ok);
            broken += usize::from(object.is_none());
            stated.extend(object.map(|object| Self::read(dialect, object.get().as_bytes())));
            at += object.map_or(1, |object| object.get().len());
        }
        stated
    }

    pub(crate) fn read(dialect: Dialect, line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line);
        // Half a surrogate pair is no text for serde; whatever stands in its place is no word of a protocol.
        let text =
            text.trim_start_matches('\u{feff}').replace(r"\ud", r"\uf").replace(r"\uD", r"\uF");
        if !text.trim_start().starts_with('{') {
            return Self::default();
        }
        if dialect == Dialect::Copilot {
            return parse(&text).map_or_else(Self::default, |line| Self::of_copilot(&line));
        }
        let Ok(line) = serde_json::from_str::<Line<'_>>(&text) else { return Self::default() };
        match dialect {
            Dialect::ClaudeDialogue | Dialect::ClaudePrint => Self::of_claude(&line),
            Dialect::CodexExec => Self::of_exec(&line),
            Dialect::CodexAppServer => Self::of_app_server(&line),
            Dialect::PiRpc | Dialect::PiJson => Self::of_pi(dialect, &line),
            Dialect::Copilot => unreachable!("read above"),
            Dialect::DockerAgent => Self::of_docker_agent(&line),
            Dialect::OpenCodeRun => Self::of_opencode_run(&line),
            Dialect::OpenCodeServe => Self::of_opencode_serve(&line),
            Dialect::Gemini | Dialect::Qwen | Dialect::Acp => Self::of_acp(&line),
            Dialect::Printing => Self::default(),
        }
    }

    fn of_claude(line: &Line<'_>) -> Self {
        let (kind, subtype) = (text(line.kind), text(line.subtype));
        let is_error = line.is_error.map(RawValue::get).filter(|value| *value != "null");
        let answers = text(line.result).is_some()
            && !subtype.as_deref().is_some_and(|subtype| subtype.starts_with("error"));
        let is_result = kind.as_deref() == Some("result");
        Self {
            begins: kind.as_deref() == Some("system") && subtype.as_deref() == Some("init"),
            thread: None,
            ends: is_result,
            may_refuse: false,
            success: is_result && is_error.map_or(answers, |value| value == "false"),
            needs_whole: false,
            whole: None,
            may_be_silent: match kind.as_deref() {
                Some("system") => matches!(
                    subtype.as_deref(),
                    Some(
                        "init"
                            | "status"
                            | "thinking_tokens"
                            | "ui_invalidate"
                            | "background_tasks_changed"
                    )
                ),
                Some(kind) => [
                    "assistant",
                    "user",
                    "stream_event",
                    "control_response",
                    "control_cancel_request",
                    "keep_alive",
                ]
                .contains(&kind),
                None => false,
            },
        }
    }

    fn of_exec(line: &Line<'_>) -> Self {
        let kind = text(line.kind).unwrap_or_default();
        Self {
            begins: kind == "turn.started",
            thread: None,
            ends: ["turn.completed", "turn.failed"].contains(&kind.as_str()),
            may_refuse: false,
            success: kind == "turn.completed",
            needs_whole: false,
            whole: None,
            may_be_silent: kind == "turn.started" || kind.starts_with("item."),
        }
    }

    fn of_app_server(line: &Line<'_>) -> Self {
        let has_id = line.id.is_some_and(|id| id.get() != "null");
        let Some(method) = text(line.method) else {
            return Self { may_refuse: has_id, may_be_silent: has_id, ..Self::default() };
        };
        let params = line.params.and_then(|params| parse::<Params<'_>>(params.get()));
        let turn = params.as_ref().and_then(|params| params.turn);
        let status = turn.and_then(|turn| text(parse::<TurnStatus<'_>>(turn.get())?.status));
        let is_end = method == "turn/completed" && !has_id;
        // The household of the server, and what a subagent does in a thread of its own.
        let thread = params.and_then(|params| params.thread_id);
        let is_aside = thread.is_some()
            || codex::is_aside(&method)
            || CODEX_SILENT.iter().any(|prefix| method.starts_with(prefix));
        Self {
            begins: method == "turn/started" && !has_id,
            thread: text(thread),
            ends: is_end,
            may_refuse: false,
            success: is_end && status.as_deref() == Some("completed"),
            needs_whole: false,
            whole: None,
            may_be_silent: is_aside && !has_id,
        }
    }
}

impl Stated {
    fn of_pi(dialect: Dialect, line: &Line<'_>) -> Self {
        let kind = text(line.kind).unwrap_or_default();
        let is_end = kind == "agent_settled";
        let is_answer = kind == "response";
        let message = line.message.and_then(|message| parse::<Message<'_>>(message.get()));
        let is_response = kind == "message_end"
            && message
                .as_ref()
                .is_some_and(|message| text(message.role).as_deref() == Some("assistant"));
        let reason = message.and_then(|message| text(message.stop_reason));
        Self {
            begins: kind == "agent_start",
            thread: None,
            ends: is_end,
            may_refuse: is_answer && dialect == Dialect::PiRpc,
            success: is_end && line.aborted.is_none_or(|aborted| aborted.get() != "true"),
            needs_whole: true,
            whole: is_response.then(|| reason.as_deref() == Some("stop")),
            may_be_silent: is_answer || pi::is_aside(&kind) || PI_SILENT.contains(&kind.as_str()),
        }
    }
}

impl Stated {
    fn of_copilot(line: &CopilotLine<'_>) -> Self {
        let kind = text(line.kind).unwrap_or_default();
        let is_end = kind == "result";
        Self {
            ends: is_end,
            success: is_end && line.exit_code.is_some_and(|code| code.get() == "0"),
            needs_whole: true,
            whole: match kind.as_str() {
                "assistant.message" if text(line.agent_id).is_none() => Some(true),
                "session.error" | "abort" | "agent.interrupted" => Some(false),
                _ => None,
            },
            // A second result is one of nothing.
            may_be_silent: is_end
                || copilot::is_aside(&kind)
                || COPILOT_SILENT.contains(&kind.as_str()),
            ..Self::default()
        }
    }

    fn of_docker_agent(line: &Line<'_>) -> Self {
        let kind = text(line.kind).unwrap_or_default();
        let reason = text(line.reason);
        let goes_on = matches!(reason.as_deref(), Some("continue" | "steered"));
        let is_end = kind == "stream_stopped" && !goes_on;
        Self {
            begins: kind == "stream_started",
            thread: text(line.session_id),
            ends: is_end,
            may_refuse: false,
            success: is_end && reason.is_none_or(|reason| reason == "normal"),
            needs_whole: false,
            whole: None,
            may_be_silent: docker_agent::is_aside(&kind)
                || DOCKER_AGENT_SILENT.contains(&kind.as_str()),
        }
    }
}

impl Stated {
    fn of_opencode_run(line: &Line<'_>) -> Self {
        let kind = text(line.kind).unwrap_or_default();
        let whole = match kind.as_str() {
            "step_start" => Some(false),
            "step_finish" => Some(is_stop(line.part)),
            _ => None,
        };
        let is_known = ["step_start", "text", "reasoning", "tool_use", "step_finish"];
        Self { whole, may_be_silent: is_known.contains(&kind.as_str()), ..Self::default() }
    }

    fn of_opencode_serve(line: &Line<'_>) -> Self {
        let kind = text(line.kind).unwrap_or_default();
        let properties = line.properties.and_then(|raw| parse::<Properties<'_>>(raw.get()));
        let properties = properties.as_ref();
        let info = properties.and_then(|properties| properties.info);
        let finish = info.and_then(|info| text(parse::<Info<'_>>(info.get())?.finish));
        let part = properties.and_then(|properties| properties.part);
        let is_end = kind == "session.idle";
        Self {
            ends: is_end,
            success: is_end,
            needs_whole: true,
            whole: match finish {
                Some(finish) => Some(finish == "stop"),
                None => is_stop(part).then_some(true),
            },
            // What is told of another session says nothing about this one.
            may_be_silent: properties.is_some()
                || opencode::is_aside(&kind)
                || opencode::is_aside_of_session(&kind)
                || OPENCODE_SILENT.iter().any(|aside| kind.starts_with(aside)),
            ..Self::default()
        }
    }
}

impl Stated {
    fn of_acp(line: &Line<'_>) -> Self {
        let has_id = line.id.is_some_and(|id| id.get() != "null");
        // The numbers of requests are ours.
        let is_ours = line.id.is_some_and(|id| id.get().parse::<f64>().is_ok());
        let method = text(line.method);
        if let Some(method) = method {
            let is_aside = method == "session/update" || method.starts_with("qwen/notify/");
            return Self { may_be_silent: is_aside && !has_id, ..Self::default() };
        }
        let result = line.result.and_then(|result| parse::<Message<'_>>(result.get()));
        let reason = result.and_then(|result| result.stop_reason);
        let (ends, reason) = (reason.is_some(), text(reason));
        Self {
            ends: is_ours && ends,
            may_refuse: has_id,
            success: is_ours && reason.as_deref() == Some("end_turn"),
            may_be_silent: has_id,
            ..Self::default()
        }
    }
}

/// Whether a step of OpenCode has ended with the answer.
fn is_stop(part: Option<&RawValue>) -> bool {
    let reason = part.and_then(|part| text(parse::<Part<'_>>(part.get())?.reason));
    reason.as_deref() == Some("stop")
}

const OPENCODE_SILENT: &[&str] =
    &["server.", "session.", "message.", "plugin.", "catalog.", "reference.", "integration."];

const DOCKER_AGENT_SILENT: &[&str] = &[
    "agent_info",
    "stream_started",
    "stream_stopped",
    "partial_tool_call",
    "token_usage",
    "tool_call_output",
    "shell",
    "mcp_init_started",
    "mcp_init_finished",
    "rag_indexing_started",
    "rag_indexing_progress",
    "rag_indexing_completed",
];

const COPILOT_SILENT: &[&str] = &[
    "assistant.turn_start",
    "assistant.streaming_delta",
    "assistant.message_start",
    "assistant.message_delta",
    "assistant.message",
    "assistant.reasoning_delta",
    "assistant.reasoning",
    "assistant.tool_call_delta",
    "model.call_start",
    "model.call_failure",
    "model.call_finished",
    "tool.shell_output",
    "tool.execution_partial_result",
    "tool.execution_progress",
    "subagent.started",
    "agent.interrupted",
    "abort",
    "session.mcp_servers_loaded",
    "session.tools_updated",
];

const PI_SILENT: &[&str] = &[
    "agent_start",
    "message_start",
    "message_update",
    "message_end",
    "tool_execution_update",
    "auto_retry_end",
    "extension_ui_request",
];

const CODEX_SILENT: &[&str] = &[
    "turn/started",
    // It waits for the other turns of its thread.
    "turn/completed",
    "turn/diff/",
    "turn/moderation",
    "item/",
    "thread/",
    "account/",
    "serverRequest/",
    "skills/",
    "project/",
    "app/list/",
];

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn text(value: Option<&RawValue>) -> Option<String> {
    parse(value?.get())
}
