//! Agents over ACP: what belay says to them, and what it makes of what they say.

use belay_agents::{
    Acp, Action, Agent, AttemptEnd, Exit, Input, McpServer, Out, Permissions, Protocol, RunRequest,
    TimerId, Transport,
};
use belay_trace::{Decision, Event, FailureKind};
use serde_json::{Value, json};
use std::time::Duration;

/// A conversation with a driver.
pub(crate) struct Talk {
    protocol: Box<dyn Protocol>,
    pub(crate) actions: Vec<Action>,
}

impl Talk {
    pub(crate) fn begin(agent: &Acp, request: &RunRequest) -> Self {
        let protocol = agent.protocol(request, Transport::Dialogue);
        let mut talk = Self { protocol, actions: Vec::new() };
        talk.feed(Input::Start);
        talk
    }

    pub(crate) fn feed(&mut self, input: Input<'_>) {
        let mut out = Out::default();
        self.protocol.step(input, &mut out);
        self.actions.extend(out.actions);
    }

    pub(crate) fn hears(&mut self, message: Value) {
        self.feed(Input::Stdout(message.to_string().as_bytes()));
    }

    /// The answer to belay's request with this number.
    pub(crate) fn answers(&mut self, id: u32, result: Value) {
        self.hears(json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    pub(crate) fn updates(&mut self, update: Value) {
        let params = json!({"sessionId": "s1", "update": update});
        self.hears(json!({"jsonrpc": "2.0", "method": "session/update", "params": params}));
    }

    pub(crate) fn says(&mut self, text: &str) {
        let content = json!({"type": "text", "text": text});
        self.updates(json!({"sessionUpdate": "agent_message_chunk", "content": content}));
    }

    /// What belay has said so far, as methods, answers and refusals.
    pub(crate) fn said(&self) -> Vec<Value> {
        let lines = self.actions.iter().filter_map(|action| match action {
            Action::Stdin(bytes) => Some(serde_json::from_slice(bytes).unwrap()),
            _ => None,
        });
        lines.collect()
    }

    pub(crate) fn methods(&self) -> Vec<String> {
        let said = self.said();
        said.iter().filter_map(|line| Some(line["method"].as_str()?.to_owned())).collect()
    }

    pub(crate) fn events(&self) -> Vec<&Event> {
        let events = self.actions.iter().filter_map(|action| match action {
            Action::Emit(emitted) => Some(&emitted.event),
            _ => None,
        });
        events.collect()
    }

    /// The last timer that was asked for runs out.
    pub(crate) fn rests(&mut self) {
        let timers = self.timers();
        let (id, _) = timers.last().unwrap();
        self.feed(Input::Timer(*id));
    }

    pub(crate) fn timers(&self) -> Vec<(TimerId, Duration)> {
        let timers = self.actions.iter().filter_map(|action| match action {
            Action::Timer(id, after) => Some((*id, *after)),
            _ => None,
        });
        timers.collect()
    }

    /// The answer to the prompt, after which nothing comes.
    pub(crate) fn ends_turn(&mut self) {
        self.answers(3, json!({"stopReason": "end_turn"}));
        self.rests();
    }

    pub(crate) fn end(&self) -> &AttemptEnd {
        let ends = self.actions.iter().filter_map(|action| match action {
            Action::TurnEnded(end) => Some(&**end),
            _ => None,
        });
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends.len(), 1, "a turn ends once: {:#?}", self.actions);
        ends[0]
    }

    #[track_caller]
    pub(crate) fn failed(&self, kind: FailureKind) -> &str {
        let failure = self.end().failure.as_ref().unwrap();
        assert_eq!(failure.kind, kind, "{failure:#?}");
        &failure.message
    }
}

pub(crate) fn request() -> RunRequest {
    RunRequest::new("PROMPT").cwd("/work")
}

/// A conversation whose session is open.
pub(crate) fn opened(agent: &Acp, request: &RunRequest, session: Value) -> Talk {
    let mut talk = Talk::begin(agent, request);
    talk.answers(1, json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}}));
    talk.answers(2, session);
    talk
}

pub(crate) fn plain(request: &RunRequest) -> Talk {
    opened(&Acp::command("x"), request, json!({"sessionId": "s1"}))
}

pub(crate) fn ask(id: u32, options: Value) -> Value {
    let call = json!({"toolCallId": "c1", "title": "rm -r .", "kind": "execute",
        "rawInput": {"command": "rm -r ."}});
    json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission",
        "params": {"sessionId": "s1", "toolCall": call, "options": options}})
}

pub(crate) fn options(kinds: &[&str]) -> Value {
    kinds
        .iter()
        .map(|kind| json!({"optionId": format!("do-{kind}"), "name": "x", "kind": kind}))
        .collect()
}

#[test]
fn neither_files_nor_terminals_are_offered_to_who_may_not_run_commands() {
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
    talk.ends_turn();
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
    let timers = talk.timers();
    assert_eq!(timers.len(), 2);
    talk.feed(Input::Timer(timers[0].0));
    assert_eq!(talk.methods().len(), 2, "the first timer is void");
    talk.feed(Input::Timer(timers[1].0));
    talk.says("Now.");
    let tokens = json!({"quota": {"token_count": {"input_tokens": 5, "output_tokens": 1}}});
    talk.answers(3, json!({"stopReason": "end_turn", "_meta": tokens}));
    talk.rests();
    assert_eq!(talk.end().answer, "Now.");
}

#[test]
fn an_end_that_is_no_answer_is_a_failure() {
    let mut silent = plain(&request());
    silent.ends_turn();
    silent.failed(FailureKind::Protocol);

    // Gemini calls a turn that broke off an end like any other, and has counted nothing.
    let mut broken = opened(&Acp::gemini(), &request(), json!({"sessionId": "s1"}));
    broken.says("Half of");
    let nothing = json!({"quota": {"token_count": {"input_tokens": 0, "output_tokens": 0}}});
    broken.answers(3, json!({"stopReason": "end_turn", "_meta": nothing}));
    broken.rests();
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
    // What its modes are is known when it runs.
    for mode in Permissions::ALL {
        of("a", request().permissions(mode)).unwrap();
    }
    let pi = of("pi-acp", request().permissions(Permissions::Edit).lenient(true));
    assert_eq!(pi.unwrap_err().option, "permissions");
    let qwen = Acp::qwen().launch(&request().permissions(Permissions::Edit), Transport::Dialogue);
    assert!(qwen.unwrap_err().to_string().contains("use read-only or full"));
}

#[test]
fn gemini_is_trusted_with_a_folder_only_where_that_is_needed() {
    let args =
        |request: RunRequest| Acp::gemini().launch(&request, Transport::Dialogue).unwrap().args;
    assert_eq!(args(request().model("pro")), ["--acp", "--model=pro"]);
    let strict = args(request().permissions(Permissions::ReadOnly));
    assert_eq!(strict, ["--acp", "--admin-policy={belay-file:policy.toml}"]);
    assert_eq!(args(request().permissions(Permissions::Full)), ["--acp", "--skip-trust"]);
    let served = request().mcp_server("x", McpServer::command("x", [""; 0]));
    assert_eq!(args(served), ["--acp", "--skip-trust"]);
}

/// Its rules stand above what the user's own settings allow.
#[test]
fn gemini_gets_rules_for_what_a_mode_does_not_allow() {
    let rules = |mode| {
        let request = request().permissions(mode);
        let launch = Acp::gemini().launch(&request, Transport::Dialogue).unwrap();
        launch.files.first().map(|file| file.content.clone())
    };
    let strict = rules(Permissions::ReadOnly).unwrap();
    assert!(strict.contains("\"run_shell_command\"") && strict.contains("\"deny\""), "{strict}");
    assert!(rules(Permissions::Ask).unwrap().contains("\"ask_user\""));
    assert!(!rules(Permissions::Edit).unwrap().contains("write_file"));
    assert_eq!(rules(Permissions::Full), None);
}

#[test]
fn folders_are_added_by_the_agents_own_option() {
    let args = |agent: Acp, folder: &str| {
        let request = request().cwd("/work").add_dir(folder);
        agent.launch(&request, Transport::Dialogue)
    };
    for agent in [Acp::gemini(), Acp::qwen()] {
        let launch = args(agent.clone(), "../lib").unwrap();
        assert_eq!(launch.args, ["--acp", "--include-directories=/lib"]);
        assert_eq!(args(agent, "a,b").unwrap_err().option, "add_dirs");
    }
    assert_eq!(args(Acp::command("a"), "lib").unwrap_err().option, "add_dirs");
}

/// Words of a message that has an id.
pub(crate) fn words(kind: &str, id: &Value, text: &str) -> Value {
    let content = json!({"type": "text", "text": text});
    json!({"sessionUpdate": kind, "messageId": id, "content": content})
}

/// Kinds of events, and the ids of messages where they have one.
fn told(talk: &Talk) -> Vec<String> {
    let told = talk.events().into_iter().skip(1).map(|event| {
        let id = match event {
            Event::TurnStarted(turn) => turn.message_id.clone(),
            Event::Text(text) => text.message_id.clone(),
            Event::Reasoning(reasoning) => reasoning.message_id.clone(),
            _ => None,
        };
        id.map_or_else(|| event.type_name().to_owned(), |id| format!("{} {id}", event.type_name()))
    });
    told.collect()
}

#[test]
fn another_message_id_begins_another_message() {
    for ids in [[json!("m1"), json!("m2")], [json!(1), json!(2)]] {
        let mut talk = plain(&request());
        talk.updates(words("agent_thought_chunk", &ids[0], "Let me see."));
        talk.updates(words("agent_message_chunk", &ids[0], "I checked "));
        talk.updates(words("agent_message_chunk", &ids[0], "the files."));
        talk.updates(words("agent_thought_chunk", &ids[1], "So."));
        talk.updates(words("agent_message_chunk", &ids[1], "There are two."));
        talk.ends_turn();
        assert_eq!(talk.end().answer, "There are two.");
        let [one, two] = ids.map(|id| id.to_string().trim_matches('"').to_owned());
        let want = [
            format!("turn_started {one}"),
            format!("reasoning {one}"),
            format!("text {one}"),
            format!("text {one}"),
            format!("turn_started {two}"),
            format!("reasoning {two}"),
            format!("text {two}"),
        ];
        assert_eq!(told(&talk), want);
    }
}

#[test]
fn messages_of_one_response_are_told_apart_without_a_tool_between_them() {
    let mut talk = plain(&request());
    talk.updates(words("agent_message_chunk", &json!("m1"), "I checked the files."));
    talk.updates(words("agent_message_chunk", &json!("m2"), "There are two."));
    talk.ends_turn();
    assert_eq!(talk.end().answer, "There are two.");
    assert_eq!(told(&talk), ["turn_started m1", "text m1", "turn_started m2", "text m2"]);
}

/// Codex's adapter counts thoughts apart from words.
#[test]
fn thoughts_with_ids_of_their_own_are_of_the_response_that_speaks_next() {
    let mut talk = plain(&request());
    talk.updates(words("agent_thought_chunk", &json!("r1"), "Hm."));
    talk.updates(words("agent_message_chunk", &json!("m1"), "One."));
    talk.updates(words("agent_thought_chunk", &json!("r2"), "Hm, hm."));
    talk.updates(words("agent_message_chunk", &json!("m2"), "Two."));
    talk.ends_turn();
    assert_eq!(talk.end().answer, "Two.");
    let want = [
        "turn_started r1",
        "reasoning r1",
        "text m1",
        "turn_started r2",
        "reasoning r2",
        "text m2",
    ];
    assert_eq!(told(&talk), want);
}

#[test]
fn a_message_that_goes_on_after_a_tool_is_answered_by_its_last_words() {
    let mut talk = plain(&request());
    talk.updates(words("agent_message_chunk", &json!("m1"), "I will look."));
    talk.updates(tool("tool_call", "pending"));
    talk.updates(tool("tool_call_update", "completed"));
    talk.updates(words("agent_message_chunk", &json!("m1"), "There is an a."));
    talk.ends_turn();
    assert_eq!(talk.end().answer, "There is an a.");
}

#[test]
fn words_of_an_earlier_message_are_none_of_the_last_one() {
    let mut talk = plain(&request());
    talk.updates(words("agent_message_chunk", &json!("m1"), "I checked "));
    talk.updates(words("agent_message_chunk", &json!("m2"), "There are "));
    talk.updates(words("agent_message_chunk", &json!("m1"), "the files."));
    talk.updates(words("agent_message_chunk", &json!("m2"), "two."));
    talk.ends_turn();
    assert_eq!(talk.end().answer, "There are two.");
    let want = ["turn_started m1", "text m1", "turn_started m2", "text m2", "text m1", "text m2"];
    assert_eq!(told(&talk), want);
}

/// A message id, or a tool, and what is said.
#[test]
fn each_word_is_of_the_message_with_its_id_and_the_last_one_that_began_answers() {
    let said = |said: &[(&str, &str)]| {
        let mut talk = plain(&request());
        for (id, text) in said {
            match *id {
                "tool" => {
                    talk.updates(tool("tool_call", "pending"));
                    talk.updates(tool("tool_call_update", "completed"));
                }
                "thought" => talk.updates(words("agent_thought_chunk", &json!(text), "Hm.")),
                id => talk.updates(words("agent_message_chunk", &json!(id), text)),
            }
        }
        talk.ends_turn();
        assert_eq!(talk.end().failure, None);
        talk.end().answer.trim().to_owned()
    };
    for (stream, want) in [
        (&[("m1", "a"), ("m2", "b"), ("m1", "c")][..], "b"),
        (&[("m1", "a"), ("m2", "b"), ("m1", "c"), ("m2", "d")], "bd"),
        (&[("m1", "a"), ("m2", "b"), ("m3", "c"), ("m2", "d"), ("m1", "e"), ("m3", "f")], "cf"),
        // The last one has no words.
        (&[("m1", "a"), ("m2", "\n"), ("m1", "c")], "ac"),
        // Thoughts between the words of one message.
        (&[("m1", "a"), ("thought", "t1"), ("m1", "c")], "ac"),
        (&[("m1", "a"), ("thought", "t1"), ("m2", "b"), ("thought", "t2"), ("m1", "c")], "b"),
        // A tool that returns is a boundary, whatever the ids are.
        (&[("m1", "a"), ("m2", "b"), ("tool", ""), ("m1", "c")], "c"),
        (&[("m1", "a"), ("tool", ""), ("thought", "t1"), ("m1", "b"), ("m1", "c")], "bc"),
        (&[("m1", "a"), ("tool", ""), ("m1", "b"), ("m2", "c"), ("m1", "d")], "c"),
        (&[("m1", "a"), ("tool", "")], ""),
        (&[("m1", "a"), ("tool", ""), ("m2", "\n")], ""),
    ] {
        assert_eq!(said(stream), want, "{stream:?}");
    }
}

#[test]
fn a_chunk_without_an_id_goes_on_in_the_message_before_it() {
    let mut talk = plain(&request());
    talk.updates(words("agent_message_chunk", &json!("m1"), "There are "));
    talk.says("two.");
    talk.ends_turn();
    assert_eq!(talk.end().answer, "There are two.");
    let mut talk = plain(&request());
    talk.says("Welcome.");
    talk.updates(words("agent_message_chunk", &json!("m1"), "Two."));
    talk.ends_turn();
    assert_eq!(talk.end().answer, "Two.");
}

#[test]
fn thoughts_after_the_last_words_leave_them_the_answer() {
    let mut talk = plain(&request());
    talk.updates(words("agent_message_chunk", &json!("m1"), "Two."));
    talk.updates(words("agent_thought_chunk", &json!("m2"), "Done, I think."));
    talk.ends_turn();
    assert_eq!((talk.end().answer.as_str(), &talk.end().failure), ("Two.", &None));
}

/// Claude's adapter tells its subagents in the session of their parent.
#[test]
fn words_and_tools_of_a_subagent_are_told_under_its_call_and_are_no_answer() {
    let mut talk = plain(&request());
    let of = |mut update: Value| {
        update["_meta"] = json!({"claudeCode": {"parentToolUseId": "t1"}});
        update
    };
    talk.updates(words("agent_message_chunk", &json!("m1"), "There are "));
    talk.updates(of(words("agent_message_chunk", &json!("m9"), "I was asked to look.")));
    talk.updates(of(tool("tool_call", "pending")));
    talk.updates(of(tool("tool_call_update", "completed")));
    talk.updates(words("agent_message_chunk", &json!("m1"), "two."));
    talk.updates(of(words("agent_message_chunk", &json!("m10"), "Bye.")));
    talk.ends_turn();
    assert_eq!(talk.end().answer, "There are two.");
    let under = talk.actions.iter().filter_map(|action| match action {
        Action::Emit(emitted) => {
            Some((emitted.event.type_name(), emitted.parent_tool_id.as_ref()?.0.as_str()))
        }
        _ => None,
    });
    let want = [("text", "t1"), ("tool_call", "t1"), ("tool_result", "t1"), ("text", "t1")];
    assert_eq!(under.collect::<Vec<_>>(), want);
}

pub(crate) fn tool(kind: &str, status: &str) -> Value {
    json!({"sessionUpdate": kind, "toolCallId": "c1", "title": "ls", "kind": "execute",
        "status": status, "rawInput": {"command": "ls"}, "rawOutput": {"output": "a", "exitCode": 0}})
}

/// A prompt that was answered with `Half`, after which something may come.
fn answered() -> Talk {
    let mut talk = plain(&request());
    talk.says("Half ");
    talk.answers(3, json!({"stopReason": "end_turn"}));
    assert!(!talk.has_ended());
    talk
}

impl Talk {
    fn has_ended(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::TurnEnded(_)))
    }
}

#[test]
fn words_after_the_answer_to_the_prompt_are_of_the_answer() {
    let mut talk = answered();
    let [(first, quiet)] = talk.timers()[..] else { panic!("one timer") };
    assert!(quiet <= Duration::from_millis(100), "each run waits for it");
    talk.says("of it");
    talk.feed(Input::Timer(first));
    assert!(!talk.has_ended(), "what came late is waited for anew");
    talk.says(".");
    talk.rests();
    assert_eq!((talk.end().answer.as_str(), &talk.end().failure), ("Half of it.", &None));
    assert!(talk.actions.contains(&Action::CloseStdin));
    let closed = talk.actions.iter().position(|action| *action == Action::CloseStdin);
    let spoken = talk.actions.iter().rposition(|a| matches!(a, Action::Emit(_)));
    assert!(spoken < closed, "nothing is closed before");
}

#[test]
fn an_answer_whose_words_all_come_late_is_one() {
    let mut talk = plain(&request());
    talk.answers(3, json!({"stopReason": "end_turn"}));
    talk.says("Late.");
    talk.rests();
    assert_eq!((talk.end().answer.as_str(), &talk.end().failure), ("Late.", &None));
}

#[test]
fn a_message_after_the_answer_to_the_prompt_is_the_last_one() {
    let mut talk = plain(&request());
    talk.updates(words("agent_message_chunk", &json!("m1"), "One."));
    talk.answers(3, json!({"stopReason": "end_turn"}));
    talk.updates(words("agent_message_chunk", &json!("m2"), "Two."));
    talk.rests();
    assert_eq!(talk.end().answer, "Two.");
}

#[test]
fn a_tool_that_is_begun_after_the_answer_is_waited_for() {
    let mut talk = answered();
    talk.updates(tool("tool_call", "in_progress"));
    talk.rests();
    assert!(!talk.has_ended(), "it runs");
    talk.updates(tool("tool_call_update", "completed"));
    talk.says("Done.");
    talk.rests();
    assert_eq!(talk.end().answer, "Done.");
}

#[test]
fn a_tool_that_never_ended_before_the_answer_is_not_waited_for() {
    let mut talk = plain(&request());
    talk.updates(tool("tool_call", "in_progress"));
    talk.says("Done.");
    talk.ends_turn();
    assert_eq!(talk.end().answer, "Done.");
}

#[test]
fn a_result_after_the_answer_is_told_and_the_turn_ends() {
    let mut talk = plain(&request());
    talk.updates(tool("tool_call", "in_progress"));
    talk.says("Done.");
    talk.answers(3, json!({"stopReason": "end_turn"}));
    talk.updates(tool("tool_call_update", "completed"));
    talk.rests();
    let results = talk.events().iter().filter(|e| matches!(e, Event::ToolResult(_))).count();
    assert_eq!((results, &talk.end().failure), (1, &None));
}

#[test]
fn what_was_used_and_planned_is_heard_after_the_answer() {
    let mut talk = answered();
    let cost = json!({"amount": 0.25, "currency": "USD"});
    talk.updates(json!({"sessionUpdate": "usage_update", "used": 7, "size": 100, "cost": cost}));
    let entries = json!([{"content": "look", "priority": "high", "status": "completed"}]);
    talk.updates(json!({"sessionUpdate": "plan", "entries": entries}));
    assert_eq!(talk.timers().len(), 3, "each is waited for");
    let commands = json!([{"name": "x", "description": "x"}]);
    talk.updates(
        json!({"sessionUpdate": "available_commands_update", "availableCommands": commands}),
    );
    assert_eq!(talk.timers().len(), 3, "what says nothing of the turn is not");
    talk.rests();
    assert_eq!(talk.end().usage.total_cost_usd, Some(0.25));
    let kinds: Vec<_> = talk.events().iter().map(|event| event.type_name()).collect();
    assert!(kinds.contains(&"plan") && kinds.contains(&"context"), "{kinds:?}");
}

#[test]
fn a_stop_after_the_answer_ends_the_turn_at_once_and_the_answer_stands() {
    let mut talk = answered();
    talk.feed(Input::Interrupt);
    assert_eq!((talk.end().answer.as_str(), &talk.end().failure), ("Half ", &None));
    assert!(!talk.methods().contains(&"session/cancel".to_owned()));
}

#[test]
fn a_stop_of_an_agent_that_went_on_after_its_answer_cuts_it_off() {
    let mut talk = answered();
    talk.updates(tool("tool_call", "in_progress"));
    talk.feed(Input::Interrupt);
    talk.failed(FailureKind::Interrupted);
    assert_eq!(talk.methods().last().unwrap(), "session/cancel");
}

#[test]
fn an_agent_that_goes_right_after_its_answer_has_answered() {
    for exit in [Exit::Code(0), Exit::Code(1), Exit::Signal(9)] {
        let mut talk = answered();
        talk.feed(Input::Exit(exit));
        assert_eq!((talk.end().answer.as_str(), &talk.end().failure), ("Half ", &None));
    }
}

#[test]
fn a_tool_that_never_ends_behind_the_answer_leaves_it_and_is_told() {
    for exit in [Exit::Code(0), Exit::Code(1), Exit::Signal(9)] {
        let mut talk = answered();
        talk.updates(tool("tool_call", "in_progress"));
        talk.feed(Input::Exit(exit));
        assert_eq!((talk.end().answer.as_str(), &talk.end().failure), ("Half ", &None));
        let told = talk.events().into_iter().filter_map(|event| match event {
            Event::Notice(notice) => Some((notice.code.as_deref()?, notice.text.as_str())),
            _ => None,
        });
        let words = "Bash began behind the answer, and the agent exited before its end";
        assert_eq!(told.collect::<Vec<_>>(), [("unfinished_tool", words)]);
    }
}

#[test]
fn a_tool_that_returns_behind_the_answer_takes_no_word_from_it() {
    let mut talk = answered();
    talk.updates(tool("tool_call", "in_progress"));
    talk.updates(tool("tool_call_update", "completed"));
    talk.rests();
    assert_eq!((talk.end().answer.as_str(), &talk.end().failure), ("Half ", &None));
}

#[test]
fn a_permission_that_is_asked_for_after_the_answer_is_answered() {
    let mut talk = answered();
    talk.hears(ask(7, options(&["allow_once", "reject_once"])));
    talk.feed(Input::Permission { id: "7", answer: Decision::Deny });
    assert_eq!(talk.said().pop().unwrap()["result"]["outcome"]["optionId"], "do-reject_once");
    talk.rests();
    assert!(talk.has_ended(), "what is denied is not waited for");
}

#[test]
fn words_after_the_end_of_the_turn_are_told_and_change_no_answer() {
    let mut talk = answered();
    talk.rests();
    talk.says("Too late.");
    talk.rests();
    assert_eq!(talk.end().answer, "Half ");
    let Some(Event::Notice(last)) = talk.events().pop() else { panic!("no notice") };
    assert_eq!((last.code.as_deref(), last.text.as_str()), (Some("late"), "Too late."));
}

#[test]
fn an_adapter_that_says_it_works_is_waited_for_until_it_says_it_does_not() {
    let codex = |on: bool| {
        let kind = if on { "active" } else { "idle" };
        json!({"codex": {"threadStatus": {"type": kind, "activeFlags": []}}})
    };
    let pi = |on: bool| json!({"piAcp": {"running": on, "queueDepth": 0}});
    for (command, state) in [("codex-acp", &codex as &dyn Fn(bool) -> Value), ("pi-acp", &pi)] {
        let info = |on| json!({"sessionUpdate": "session_info_update", "_meta": state(on)});
        let mut talk = opened(&Acp::command(command), &request(), json!({"sessionId": "s1"}));
        talk.updates(info(true));
        talk.says("One.");
        talk.updates(info(false));
        talk.answers(3, json!({"stopReason": "end_turn"}));
        talk.updates(info(true));
        talk.rests();
        assert!(!talk.has_ended(), "{command}");
        talk.updates(info(false));
        talk.rests();
        assert!(talk.has_ended(), "{command}");
    }
}

#[test]
fn what_another_session_asks_for_is_answered_and_is_no_call_of_the_turn() {
    let mut talk = plain(&request());
    let mut other = ask(7, options(&["allow_once"]));
    other["params"]["sessionId"] = "s2".into();
    talk.hears(other);
    talk.feed(Input::Permission { id: "7", answer: Decision::Allow });
    assert_eq!(talk.said().pop().unwrap()["result"]["outcome"]["optionId"], "do-allow_once");
    talk.ends_turn();
    talk.failed(FailureKind::Protocol);
    assert!(!talk.events().iter().any(|event| matches!(event, Event::ToolCall(_))));
}

/// It sends warnings among the model's words, which are what has an id.
#[test]
fn warnings_of_codexs_adapter_are_none_of_the_answer() {
    let mut talk = opened(&Acp::command("codex-acp"), &request(), json!({"sessionId": "s1"}));
    talk.updates(words("agent_message_chunk", &json!("m1"), "There are "));
    talk.says("Warning: the model was rerouted.\n\n");
    talk.updates(words("agent_message_chunk", &json!("m1"), "two."));
    talk.ends_turn();
    assert_eq!(talk.end().answer, "There are two.");
}
