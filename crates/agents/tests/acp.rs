//! Agents over ACP: what belay says to them, and what it makes of what they say.

use belay_agents::{
    Acp, Action, Agent, AttemptEnd, Input, McpServer, Out, Permissions, Protocol, RunRequest,
    Transport,
};
use belay_trace::{Decision, Event, FailureKind};
use serde_json::{Value, json};

/// A conversation with a driver.
struct Talk {
    protocol: Box<dyn Protocol>,
    actions: Vec<Action>,
}

impl Talk {
    fn begin(agent: &Acp, request: &RunRequest) -> Self {
        let protocol = agent.protocol(request, Transport::Dialogue);
        let mut talk = Self { protocol, actions: Vec::new() };
        talk.feed(Input::Start);
        talk
    }

    fn feed(&mut self, input: Input<'_>) {
        let mut out = Out::default();
        self.protocol.step(input, &mut out);
        self.actions.extend(out.actions);
    }

    fn hears(&mut self, message: Value) {
        self.feed(Input::Stdout(message.to_string().as_bytes()));
    }

    /// The answer to belay's request with this number.
    fn answers(&mut self, id: u32, result: Value) {
        self.hears(json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    fn updates(&mut self, update: Value) {
        let params = json!({"sessionId": "s1", "update": update});
        self.hears(json!({"jsonrpc": "2.0", "method": "session/update", "params": params}));
    }

    fn says(&mut self, text: &str) {
        let content = json!({"type": "text", "text": text});
        self.updates(json!({"sessionUpdate": "agent_message_chunk", "content": content}));
    }

    /// What belay has said so far, as methods, answers and refusals.
    fn said(&self) -> Vec<Value> {
        let lines = self.actions.iter().filter_map(|action| match action {
            Action::Stdin(bytes) => Some(serde_json::from_slice(bytes).unwrap()),
            _ => None,
        });
        lines.collect()
    }

    fn methods(&self) -> Vec<String> {
        let said = self.said();
        said.iter().filter_map(|line| Some(line["method"].as_str()?.to_owned())).collect()
    }

    fn events(&self) -> Vec<&Event> {
        let events = self.actions.iter().filter_map(|action| match action {
            Action::Emit(emitted) => Some(&emitted.event),
            _ => None,
        });
        events.collect()
    }

    fn end(&self) -> &AttemptEnd {
        let ends = self.actions.iter().filter_map(|action| match action {
            Action::TurnEnded(end) => Some(&**end),
            _ => None,
        });
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends.len(), 1, "a turn ends once: {:#?}", self.actions);
        ends[0]
    }

    #[track_caller]
    fn failed(&self, kind: FailureKind) -> &str {
        let failure = self.end().failure.as_ref().unwrap();
        assert_eq!(failure.kind, kind, "{failure:#?}");
        &failure.message
    }
}

fn request() -> RunRequest {
    RunRequest::new("PROMPT").cwd("/work")
}

/// A conversation whose session is open.
fn opened(agent: &Acp, request: &RunRequest, session: Value) -> Talk {
    let mut talk = Talk::begin(agent, request);
    talk.answers(1, json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}}));
    talk.answers(2, session);
    talk
}

fn plain(request: &RunRequest) -> Talk {
    opened(&Acp::command("x"), request, json!({"sessionId": "s1"}))
}

fn ask(id: u32, options: Value) -> Value {
    let call = json!({"toolCallId": "c1", "title": "rm -r .", "kind": "execute",
        "rawInput": {"command": "rm -r ."}});
    json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission",
        "params": {"sessionId": "s1", "toolCall": call, "options": options}})
}

fn options(kinds: &[&str]) -> Value {
    kinds
        .iter()
        .map(|kind| json!({"optionId": format!("do-{kind}"), "name": "x", "kind": kind}))
        .collect()
}

#[test]
fn neither_files_nor_terminals_are_offered() {
    let talk = Talk::begin(&Acp::command("x"), &request());
    let offers = &talk.said()[0]["params"]["clientCapabilities"];
    assert_eq!(
        *offers,
        json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false})
    );
}

#[test]
fn a_prompt_is_answered_by_the_last_message() {
    let mut talk = plain(&request());
    talk.says("I will look.");
    talk.updates(
        json!({"sessionUpdate": "tool_call", "toolCallId": "c1", "title": "ls", "kind": "execute",
        "status": "pending", "rawInput": {"command": "ls"}}),
    );
    talk.updates(
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "completed",
        "rawOutput": {"output": "a", "exitCode": 0}}),
    );
    talk.says("There is ");
    talk.says("an a.");
    talk.answers(3, json!({"stopReason": "end_turn"}));
    assert_eq!(talk.methods(), ["initialize", "session/new", "session/prompt"]);
    let end = talk.end();
    assert_eq!((end.answer.as_str(), &end.failure), ("There is an a.", &None));
    assert!(talk.actions.contains(&Action::CloseStdin));
    let kinds: Vec<_> = talk.events().iter().map(|event| event.type_name()).collect();
    assert_eq!(
        kinds,
        [
            "session_started",
            "turn_started",
            "text",
            "tool_call",
            "tool_result",
            "turn_started",
            "text",
            "text"
        ]
    );
}

#[test]
fn a_permission_is_answered_once_and_never_for_ever() {
    let all = &["allow_always", "allow_once", "reject_once", "reject_always"];
    for (permissions, given, answer, want) in [
        (None, &all[..], Decision::Allow, Some("do-allow_once")),
        (None, all, Decision::Deny, Some("do-reject_once")),
        (None, &["allow_always", "reject_once"], Decision::Allow, None),
        (Some(Permissions::Full), &["allow_always"], Decision::Allow, Some("do-allow_always")),
        (None, &["allow_once", "reject_always"], Decision::Deny, Some("do-reject_always")),
        (None, &["allow_once"], Decision::Deny, None),
    ] {
        let mut request = request();
        request.permissions = permissions;
        let mut talk = plain(&request);
        talk.hears(ask(7, options(given)));
        let asked = talk.events().into_iter().find_map(|event| match event {
            Event::PermissionRequest(asked) => Some(asked.clone()),
            _ => None,
        });
        let asked = asked.unwrap();
        assert_eq!((asked.name.as_str(), asked.args.get()), ("Bash", r#"{"command":"rm -r ."}"#));
        talk.feed(Input::Permission { id: &asked.permission_id, answer });
        let outcome = talk.said().pop().unwrap()["result"]["outcome"].clone();
        let want = match want {
            Some(option) => json!({"outcome": "selected", "optionId": option}),
            None => json!({"outcome": "cancelled"}),
        };
        assert_eq!(outcome, want, "{given:?} {answer:?}");
    }
}

#[test]
fn an_interrupt_cancels_the_prompt_and_what_is_asked() {
    let mut talk = plain(&request());
    talk.hears(ask(7, options(&["allow_once"])));
    talk.feed(Input::Interrupt);
    talk.feed(Input::Interrupt);
    let said = talk.said();
    let cancels = said.iter().filter(|line| line["method"] == "session/cancel").count();
    assert_eq!(cancels, 1);
    assert_eq!(said.last().unwrap()["result"]["outcome"]["outcome"], "cancelled");
    talk.answers(3, json!({"stopReason": "cancelled"}));
    assert_eq!(talk.failed(FailureKind::Interrupted), "interrupted");
}

#[test]
fn an_interrupt_before_the_session_costs_nothing() {
    let mut talk = Talk::begin(&Acp::command("x"), &request());
    talk.feed(Input::Interrupt);
    talk.answers(1, json!({"protocolVersion": 1}));
    talk.failed(FailureKind::Interrupted);
    assert_eq!(talk.methods(), ["initialize"]);
}

#[test]
fn what_belay_does_not_offer_is_refused_and_what_it_does_not_know_is_kept() {
    let mut talk = plain(&request());
    talk.hears(json!({"jsonrpc": "2.0", "id": "a", "method": "fs/read_text_file", "params": {}}));
    assert_eq!(talk.said().pop().unwrap()["error"]["code"], -32601);
    talk.hears(json!({"jsonrpc": "2.0", "method": "new/thing", "params": {}}));
    talk.updates(json!({"sessionUpdate": "news"}));
    let unknown = talk.events().iter().filter(|event| matches!(event, Event::Unknown(_))).count();
    assert_eq!(unknown, 2);
}

#[test]
fn a_login_that_needs_a_person_is_a_failure_that_names_the_ways() {
    let mut talk = Talk::begin(&Acp::command("x"), &request());
    let ways = json!([{"id": "a", "name": "Log in with A"}, {"id": "b", "name": "B"}]);
    talk.answers(1, json!({"protocolVersion": 1, "authMethods": ways}));
    let error = json!({"code": -32000, "message": "Authentication required"});
    talk.hears(json!({"jsonrpc": "2.0", "id": 2, "error": error}));
    let words = talk.failed(FailureKind::Auth);
    assert!(words.contains("Log in with A, B"), "{words}");
}

#[test]
fn a_login_that_needs_nobody_is_tried_once() {
    let mut talk = Talk::begin(&Acp::command("x"), &request());
    let ways = json!([{"id": "key", "name": "Key", "type": "env_var"}]);
    talk.answers(1, json!({"protocolVersion": 1, "authMethods": ways}));
    let refused =
        |id| json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": "No."}});
    talk.hears(refused(2));
    talk.answers(3, json!({}));
    talk.hears(refused(4));
    assert_eq!(talk.methods(), ["initialize", "session/new", "authenticate", "session/new"]);
    talk.failed(FailureKind::Auth);
}

#[test]
fn a_model_is_set_where_the_agent_offers_that_and_refused_where_not() {
    let agent = Acp::command("x").model("big");
    let models = json!({"availableModels": [{"modelId": "big"}], "currentModelId": "small"});
    let talk = opened(&agent, &request(), json!({"sessionId": "s1", "models": models}));
    assert_eq!(talk.said().pop().unwrap()["params"]["modelId"], "big");
    let option = json!([{"id": "m", "category": "model", "currentValue": "small"}]);
    let talk = opened(&agent, &request(), json!({"sessionId": "s1", "configOptions": option}));
    assert_eq!(talk.said().pop().unwrap()["method"], "session/set_config_option");
    let talk = opened(&agent, &request(), json!({"sessionId": "s1"}));
    talk.failed(FailureKind::InvalidRequest);
}

#[test]
fn a_mode_that_the_agent_lost_is_not_done_without() {
    let request = request().permissions(Permissions::ReadOnly);
    let talk = opened(&Acp::gemini(), &request, json!({"sessionId": "s1"}));
    assert!(talk.failed(FailureKind::InvalidRequest).contains("`plan`"));
    let modes = json!({"availableModes": [{"id": "plan"}], "currentModeId": "default"});
    let talk = opened(&Acp::gemini(), &request, json!({"sessionId": "s1", "modes": modes}));
    assert_eq!(talk.methods().last().unwrap(), "session/set_mode");
}

#[test]
fn a_history_that_comes_late_is_waited_for_and_none_of_the_answer() {
    let request = request().resume("s1");
    let mut talk = opened(&Acp::gemini(), &request, json!({}));
    assert_eq!(talk.methods(), ["initialize", "session/load"]);
    talk.says("What was said before.");
    let timers: Vec<_> = talk
        .actions
        .iter()
        .filter_map(|action| if let Action::Timer(id, _) = action { Some(*id) } else { None })
        .collect();
    assert_eq!(timers.len(), 2);
    talk.feed(Input::Timer(timers[0]));
    assert_eq!(talk.methods().len(), 2, "the first timer is void");
    talk.feed(Input::Timer(timers[1]));
    talk.says("Now.");
    let tokens = json!({"quota": {"token_count": {"input_tokens": 5, "output_tokens": 1}}});
    talk.answers(3, json!({"stopReason": "end_turn", "_meta": tokens}));
    assert_eq!(talk.end().answer, "Now.");
}

#[test]
fn an_end_that_is_no_answer_is_a_failure() {
    let mut silent = plain(&request());
    silent.answers(3, json!({"stopReason": "end_turn"}));
    silent.failed(FailureKind::Protocol);

    // Gemini calls a turn that broke off an end like any other, and has counted nothing.
    let mut broken = opened(&Acp::gemini(), &request(), json!({"sessionId": "s1"}));
    broken.says("Half of");
    let nothing = json!({"quota": {"token_count": {"input_tokens": 0, "output_tokens": 0}}});
    broken.answers(3, json!({"stopReason": "end_turn", "_meta": nothing}));
    broken.failed(FailureKind::Network);
    assert_eq!(broken.end().answer, "Half of");

    let mut unreadable = plain(&request());
    unreadable.answers(3, json!({"stop": 1}));
    unreadable.failed(FailureKind::Protocol);
}

#[test]
fn servers_are_given_with_the_session_and_their_tools_need_no_permission() {
    let server = McpServer::command("srv", ["--x"]).env("TOKEN", "t");
    let request = request().mcp_server("docs", server);
    let mut talk = plain(&request);
    let said = talk.said();
    assert_eq!(
        said[1]["params"]["mcpServers"],
        json!([{"name": "docs", "command": "srv", "args": ["--x"], "env": [{"name": "TOKEN", "value": "t"}]}])
    );
    let call =
        json!({"toolCallId": "c1", "title": "Look up", "name": "docs__find", "kind": "other"});
    let params = json!({"sessionId": "s1", "toolCall": call, "options": options(&["allow_once"])});
    talk.hears(json!({"jsonrpc": "2.0", "id": 9, "method": "session/request_permission", "params": params}));
    assert_eq!(talk.said().pop().unwrap()["result"]["outcome"]["optionId"], "do-allow_once");
    let asked = talk.events().iter().any(|event| matches!(event, Event::PermissionRequest(_)));
    assert!(!asked);
}

#[test]
fn a_command_is_taken_apart_as_a_shell_does_and_what_nobody_keeps_is_refused() {
    let of = |command: &str, request: RunRequest| {
        Acp::command(command).launch(&request, Transport::Dialogue)
    };
    let launch = of("my-agent --name 'a b' --acp", request()).unwrap();
    assert_eq!(
        (launch.program.as_str(), launch.args.join("|")),
        ("my-agent", "--name|a b|--acp".to_owned())
    );
    assert_eq!(of("", request()).unwrap_err().option, "command");
    assert_eq!(of("a 'b", request()).unwrap_err().option, "command");
    for mode in [Permissions::ReadOnly, Permissions::Edit] {
        assert_eq!(
            of("a", request().permissions(mode).lenient(true)).unwrap_err().option,
            "permissions"
        );
    }
    of("a", request().permissions(Permissions::Full)).unwrap();
    let qwen = Acp::qwen().launch(&request().permissions(Permissions::Edit), Transport::Dialogue);
    assert!(qwen.unwrap_err().to_string().contains("use read-only or full"));
}

#[test]
fn gemini_is_trusted_with_a_folder_only_where_that_is_needed() {
    let args =
        |request: RunRequest| Acp::gemini().launch(&request, Transport::Dialogue).unwrap().args;
    assert_eq!(args(request().model("pro")), ["--acp", "--model=pro"]);
    assert_eq!(args(request().permissions(Permissions::ReadOnly)), ["--acp"]);
    assert_eq!(args(request().permissions(Permissions::Full)), ["--acp", "--skip-trust"]);
    let served = request().mcp_server("x", McpServer::command("x", [""; 0]));
    assert_eq!(args(served), ["--acp", "--skip-trust"]);
}
