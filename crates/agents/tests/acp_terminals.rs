//! The terminals that belay offers to agents over ACP.

use crate::acp::{Talk, opened, options, plain, request};
use belay_agents::{
    Acp, Action, Exit, Input, Permissions, TerminalCommand, TerminalId, TerminalNews, TerminalOrder,
};
use belay_trace::{Decision, Event, FailureKind, PermissionRequest, ToolResult};
use serde_json::{Value, json};

const T1: TerminalId = TerminalId(1);

fn full() -> Talk {
    plain(&request().permissions(Permissions::Full))
}

fn edit() -> Talk {
    let modes = json!({"currentModeId": "default", "availableModes": [
        {"id": "default", "name": "Default"}, {"id": "acceptEdits", "name": "Accept edits"}]});
    let session = json!({"sessionId": "s1", "modes": modes});
    let mut talk = opened(&Acp::command("x"), &request().permissions(Permissions::Edit), session);
    talk.answers(3, json!({}));
    assert_eq!(talk.methods().last().unwrap(), "session/prompt");
    talk
}

impl Talk {
    fn asks(&mut self, id: &str, method: &str, mut params: Value) {
        params["sessionId"] = json!("s1");
        self.hears(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
    }

    fn asks_of_t1(&mut self, id: &str, method: &str) {
        self.asks(id, method, json!({"terminalId": "terminal-1"}));
    }

    fn news(&mut self, news: TerminalNews<'_>) {
        self.feed(Input::Terminal { id: T1, news });
    }

    fn prints(&mut self, text: &str) {
        self.news(TerminalNews::Output { text, has_gap: false });
    }

    /// What was ordered, without what is only got ready.
    fn orders(&self) -> Vec<(TerminalId, &TerminalOrder)> {
        let orders = self.actions.iter().filter_map(|action| match action {
            Action::Terminal { order: TerminalOrder::Prepare(_), .. } => None,
            Action::Terminal { id, order } => Some((*id, order)),
            _ => None,
        });
        orders.collect()
    }

    fn prepared(&self) -> TerminalCommand {
        let params = self.actions.iter().find_map(|action| match action {
            Action::Terminal { order: TerminalOrder::Prepare(params), .. } => Some(params),
            _ => None,
        });
        TerminalCommand::read(params.unwrap()).unwrap()
    }

    /// The answer to the agent's request with this id, if there is one.
    fn answer_to(&self, id: &str) -> Option<Value> {
        self.said().into_iter().find(|line| line["id"] == id && line.get("method").is_none())
    }

    fn result_of(&self, id: &str) -> Value {
        self.answer_to(id).unwrap()["result"].clone()
    }

    fn error_of(&self, id: &str) -> i64 {
        self.answer_to(id).unwrap()["error"]["code"].as_i64().unwrap()
    }

    fn asked(&self) -> Vec<&PermissionRequest> {
        let asked = self.events().into_iter().filter_map(|event| match event {
            Event::PermissionRequest(asked) => Some(asked),
            _ => None,
        });
        asked.collect()
    }

    fn tool_results(&self) -> Vec<&ToolResult> {
        let results = self.events().into_iter().filter_map(|event| match event {
            Event::ToolResult(result) => Some(result),
            _ => None,
        });
        results.collect()
    }

    fn calls(&mut self, content: Value) {
        self.updates(json!({"sessionUpdate": "tool_call", "toolCallId": "c1", "title": "test",
            "kind": "execute", "status": "in_progress", "rawInput": {"command": "npm test"},
            "content": content}));
    }
}

#[test]
fn a_terminal_is_offered_only_to_whom_may_run_commands() {
    let offers = |permissions: Option<Permissions>| {
        let mut request = request();
        request.permissions = permissions;
        let talk = Talk::begin(&Acp::command("x"), &request);
        talk.said()[0]["params"]["clientCapabilities"]["terminal"].clone()
    };
    for (permissions, want) in [
        (None, false),
        (Some(Permissions::ReadOnly), false),
        (Some(Permissions::Ask), false),
        (Some(Permissions::Edit), true),
        (Some(Permissions::Full), true),
    ] {
        assert_eq!(offers(permissions), want, "{permissions:?}");
    }
}

#[test]
fn a_command_is_started_read_waited_for_and_released() {
    let mut talk = full();
    talk.asks("a", "terminal/create", json!({"command": "npm", "args": ["test"], "cwd": "/work"}));
    assert_eq!(talk.orders(), [(T1, &TerminalOrder::Start)]);
    assert_eq!(talk.prepared().to_string(), "npm test");
    assert_eq!(talk.answer_to("a"), None);
    talk.news(TerminalNews::Started);
    assert_eq!(talk.result_of("a"), json!({"terminalId": "terminal-1"}));
    talk.asks_of_t1("b", "terminal/output");
    assert_eq!(talk.answer_to("b"), None);
    talk.prints("one\n");
    assert_eq!(talk.result_of("b"), json!({"output": "one\n", "truncated": false}));
    talk.asks_of_t1("c", "terminal/wait_for_exit");
    assert_eq!(talk.answer_to("c"), None);
    talk.prints("two");
    talk.news(TerminalNews::Ended(Exit::Code(3)));
    let status = json!({"exitCode": 3, "signal": null});
    assert_eq!(talk.result_of("c"), status);
    talk.asks_of_t1("d", "terminal/output");
    let want = json!({"output": "one\ntwo", "truncated": false, "exitStatus": status});
    assert_eq!(talk.result_of("d"), want);
    talk.asks_of_t1("e", "terminal/wait_for_exit");
    assert_eq!(talk.result_of("e"), status);
    talk.asks_of_t1("f", "terminal/release");
    assert_eq!(talk.result_of("f"), json!({}));
    talk.asks_of_t1("g", "terminal/output");
    assert_eq!(talk.error_of("g"), -32002);
    let orders = [TerminalOrder::Start, TerminalOrder::Read, TerminalOrder::Release];
    assert!(talk.orders().into_iter().map(|(_, order)| order).eq(&orders));
    talk.says("Done.");
    talk.ends_turn();
    assert_eq!(talk.end().answer, "Done.");
}

#[test]
fn a_killed_command_is_still_known() {
    let mut talk = full();
    talk.asks("a", "terminal/create", json!({"command": "sleep 60"}));
    talk.news(TerminalNews::Started);
    talk.asks_of_t1("b", "terminal/wait_for_exit");
    talk.asks_of_t1("c", "terminal/kill");
    assert_eq!(talk.result_of("c"), json!({}));
    assert_eq!(talk.orders().last().unwrap(), &(T1, &TerminalOrder::Kill));
    talk.news(TerminalNews::Ended(Exit::Signal(9)));
    assert_eq!(talk.result_of("b"), json!({"exitCode": null, "signal": "SIGKILL"}));
}

#[test]
fn only_the_last_bytes_are_kept_and_that_is_said() {
    let mut talk = full();
    talk.asks("a", "terminal/create", json!({"command": "x", "outputByteLimit": 5}));
    talk.news(TerminalNews::Started);
    talk.prints("aä");
    talk.prints("öü");
    talk.news(TerminalNews::Ended(Exit::Code(0)));
    talk.asks_of_t1("b", "terminal/output");
    assert_eq!(talk.result_of("b")["output"], "öü");
    assert_eq!(talk.result_of("b")["truncated"], true);
}

#[test]
fn what_was_printed_before_a_gap_is_dropped() {
    let mut talk = full();
    talk.asks("a", "terminal/create", json!({"command": "x"}));
    talk.news(TerminalNews::Started);
    talk.prints("old\n");
    talk.asks_of_t1("b", "terminal/output");
    talk.news(TerminalNews::Output { text: "new\n", has_gap: true });
    assert_eq!(talk.result_of("b"), json!({"output": "new\n", "truncated": true}));
}

#[test]
fn what_cannot_be_started_or_is_not_there_is_an_error() {
    let mut talk = full();
    talk.asks("a", "terminal/create", json!({"command": "x"}));
    talk.news(TerminalNews::NotStarted("`x` is not on the PATH"));
    let error = &talk.answer_to("a").unwrap()["error"];
    assert_eq!(*error, json!({"code": -32603, "message": "`x` is not on the PATH"}));
    for (id, method) in [("b", "output"), ("c", "wait_for_exit"), ("d", "kill"), ("e", "release")] {
        talk.asks(id, &format!("terminal/{method}"), json!({"terminalId": "terminal-1"}));
        assert_eq!(talk.error_of(id), -32002);
    }
    talk.asks("f", "terminal/create", json!({"command": ""}));
    talk.asks("g", "terminal/create", json!({"command": "x", "cwd": "relative"}));
    assert_eq!((talk.error_of("f"), talk.error_of("g")), (-32602, -32602));
}

#[test]
fn a_65th_open_terminal_is_refused() {
    let mut talk = full();
    for n in 0..65 {
        talk.asks(&format!("c{n}"), "terminal/create", json!({"command": "x"}));
        let id = TerminalId(n + 1);
        talk.feed(Input::Terminal { id, news: TerminalNews::Started });
    }
    assert_eq!(talk.result_of("c63"), json!({"terminalId": "terminal-64"}));
    assert_eq!(talk.error_of("c64"), -32603);
    talk.asks_of_t1("r", "terminal/release");
    talk.asks("again", "terminal/create", json!({"command": "x"}));
    talk.feed(Input::Terminal { id: TerminalId(65), news: TerminalNews::Started });
    assert_eq!(talk.result_of("again"), json!({"terminalId": "terminal-65"}));
}

#[test]
fn under_edit_each_command_is_asked_about() {
    let mut talk = edit();
    let params = json!({"command": "npm", "args": ["run", "a b"], "cwd": "/work/x",
        "env": [{"name": "CI", "value": "1"}]});
    talk.asks("a", "terminal/create", params);
    assert!(talk.orders().is_empty());
    let want = json!({"command": "npm run 'a b'", "cwd": "/work/x", "env": {"CI": "1"}});
    assert_eq!(talk.asked()[0].args.to_value(), want);
    let id = talk.asked()[0].permission_id.clone();
    talk.feed(Input::Permission { id: &id, answer: Decision::Deny });
    assert_eq!(talk.error_of("a"), -32603);
    assert_eq!(talk.orders(), [(T1, &TerminalOrder::Release)]);

    talk.asks("b", "terminal/create", json!({"command": "npm test"}));
    let id = talk.asked()[1].permission_id.clone();
    talk.feed(Input::Permission { id: &id, answer: Decision::Allow });
    assert_eq!(talk.orders().last().unwrap(), &(TerminalId(2), &TerminalOrder::Start));
}

#[test]
fn a_command_that_was_just_allowed_is_not_asked_about_again() {
    for (params, is_asked) in [
        (json!({"command": "npm test"}), false),
        (json!({"command": "npm", "args": ["test"], "cwd": "/work"}), false),
        (json!({"command": "/bin/bash", "args": ["-lc", "npm test"]}), false),
        (json!({"command": "npm", "args": ["publish"]}), true),
        (json!({"command": "npm test", "cwd": "/elsewhere"}), true),
        (json!({"command": "npm test", "env": [{"name": "PATH", "value": "/tmp"}]}), true),
    ] {
        let mut talk = edit();
        talk.calls(json!([]));
        let call = json!({"toolCallId": "c1", "title": "npm test", "kind": "execute",
            "rawInput": {"command": "npm test"}});
        let options = options(&["allow_once", "reject_once"]);
        talk.asks("p", "session/request_permission", json!({"toolCall": call, "options": options}));
        let id = talk.asked()[0].permission_id.clone();
        talk.feed(Input::Permission { id: &id, answer: Decision::Allow });
        talk.asks("a", "terminal/create", params.clone());
        assert_eq!(talk.asked().len(), if is_asked { 2 } else { 1 }, "{params}");
        if !is_asked {
            talk.asks("b", "terminal/create", params);
            assert_eq!(talk.asked().len(), 2, "once");
        }
    }
}

#[test]
fn a_call_has_the_output_and_the_exit_code_of_its_terminal() {
    let mut talk = full();
    talk.asks("a", "terminal/create", json!({"command": "npm test"}));
    talk.news(TerminalNews::Started);
    talk.calls(json!([{"type": "terminal", "terminalId": "terminal-1"}]));
    talk.prints("2 failed\n");
    talk.news(TerminalNews::Ended(Exit::Code(1)));
    talk.asks_of_t1("b", "terminal/release");
    talk.updates(json!({"sessionUpdate": "tool_call_update", "toolCallId": "c1",
        "status": "completed"}));
    let result = talk.tool_results()[0];
    assert_eq!((result.output.as_str(), result.exit_code), ("2 failed\n", Some(1)));
    assert!(result.tool_error);
}

#[test]
fn a_call_keeps_the_exit_code_of_its_terminal_when_its_agent_shows_words_instead() {
    let mut talk = full();
    talk.asks("a", "terminal/create", json!({"command": "npm test"}));
    talk.news(TerminalNews::Started);
    talk.calls(json!([{"type": "terminal", "terminalId": "terminal-1"}]));
    talk.news(TerminalNews::Ended(Exit::Code(3)));
    let words = json!([{"type": "content", "content": {"type": "text", "text": "It failed."}}]);
    talk.updates(json!({"sessionUpdate": "tool_call_update", "toolCallId": "c1",
        "status": "failed", "content": words}));
    let result = talk.tool_results()[0];
    assert_eq!((result.output.as_str(), result.exit_code), ("It failed.", Some(3)));
}

#[test]
fn an_interrupt_kills_what_runs_and_begins_nothing() {
    let mut talk = full();
    talk.asks("a", "terminal/create", json!({"command": "sleep 60"}));
    talk.news(TerminalNews::Started);
    talk.feed(Input::Interrupt);
    assert_eq!(talk.orders().last().unwrap(), &(T1, &TerminalOrder::Kill));
    talk.asks("b", "terminal/create", json!({"command": "sleep 61"}));
    assert_eq!(talk.error_of("b"), -32603);
    talk.answers(3, json!({"stopReason": "cancelled"}));
    talk.failed(FailureKind::Interrupted);
}

#[test]
fn an_interrupt_refuses_what_was_only_asked_for() {
    let mut talk = edit();
    talk.asks("a", "terminal/create", json!({"command": "npm test"}));
    talk.feed(Input::Interrupt);
    assert_eq!(talk.error_of("a"), -32603);
    let id = talk.asked()[0].permission_id.clone();
    talk.feed(Input::Permission { id: &id, answer: Decision::Allow });
    assert!(!talk.orders().iter().any(|(_, order)| **order == TerminalOrder::Start));
}

#[test]
fn where_none_is_offered_a_terminal_is_refused_with_a_warning() {
    let mut talk = plain(&request());
    talk.asks("a", "terminal/create", json!({"command": "x"}));
    assert_eq!(talk.error_of("a"), -32601);
    assert!(talk.orders().is_empty());
}
