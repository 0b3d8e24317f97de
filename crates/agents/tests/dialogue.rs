//! What the drivers write to an agent, held against what a recorded client wrote.

use crate::recorded;
use belay_agents::{
    Action, Agent as _, AttemptEnd, Claude, Codex, Exit, Input, Out, Permissions, Protocol,
    RunRequest, Transport,
};
use belay_trace::{Decision, Event, FailureKind};
use serde_json::{Value, json};

/// A protocol and all that came out of it.
struct Talk {
    protocol: Box<dyn Protocol>,
    out: Out,
}

impl Talk {
    fn codex(prompt: &str) -> Self {
        let request = RunRequest::new(prompt)
            .cwd("/home/user/codex-t-appserver/proj")
            .permissions(Permissions::ReadOnly);
        Self::start(Codex::new().protocol(&request, Transport::Dialogue))
    }

    fn claude(prompt: &str) -> Self {
        Self::start(Claude::new().protocol(&prompt.into(), Transport::Dialogue))
    }

    fn start(protocol: Box<dyn Protocol>) -> Self {
        let mut talk = Self { protocol, out: Out::default() };
        talk.step(Input::Start);
        talk
    }

    fn step(&mut self, input: Input<'_>) {
        self.protocol.step(input, &mut self.out);
    }

    fn hear(&mut self, message: &Value) {
        self.step(Input::Stdout(message.to_string().as_bytes()));
    }

    /// What was written since this was asked last.
    fn written(&mut self) -> Vec<Value> {
        let mut written = Vec::new();
        self.out.actions.retain(|action| match action {
            Action::Stdin(line) => {
                assert!(line.ends_with(b"\n"));
                written.push(serde_json::from_slice(line).unwrap());
                false
            }
            _ => true,
        });
        written
    }

    fn ends(&self) -> Vec<&AttemptEnd> {
        let ends = self.out.actions.iter().filter_map(|action| match action {
            Action::TurnEnded(end) => Some(&**end),
            _ => None,
        });
        ends.collect()
    }

    fn closed_stdin(&self) -> bool {
        self.out.actions.contains(&Action::CloseStdin)
    }

    /// Answers the last permission request.
    fn answer(&mut self, answer: Decision) {
        let asked = self.out.actions.iter().rev().find_map(|action| match action {
            Action::Emit(emitted) => match &emitted.event {
                Event::PermissionRequest(request) => Some(request.permission_id.clone()),
                _ => None,
            },
            _ => None,
        });
        self.step(Input::Permission { id: &asked.unwrap(), answer });
    }
}

/// The recorded messages of the app-server session, up to the end of its first turn.
fn first_turn() -> Vec<(bool, Value)> {
    let mut dialogue = recorded::dialogue();
    let end = dialogue.iter().position(|(_, message)| message["method"] == "turn/completed");
    dialogue.truncate(end.unwrap() + 1);
    dialogue
}

#[test]
fn a_codex_turn_is_asked_for_as_the_recorded_client_did() {
    let mut talk = Talk::codex("run it");
    let mut written = talk.written();
    let mut recorded = Vec::new();
    for (by_client, message) in first_turn() {
        if by_client {
            recorded.push(message);
            continue;
        }
        talk.hear(&message);
        if message["method"] == "item/commandExecution/requestApproval" {
            talk.answer(Decision::Deny);
        }
        written.append(&mut talk.written());
    }
    // Who we are is the one thing that differs.
    assert_eq!(written[0]["params"]["clientInfo"]["name"], "belay");
    written[0]["params"]["clientInfo"] = recorded[0]["params"]["clientInfo"].clone();
    assert_eq!(written, recorded);
    assert_eq!(talk.ends().len(), 1);
    assert_eq!(
        (talk.ends()[0].answer.as_str(), &talk.ends()[0].failure),
        ("Approved and done.", &None)
    );
    assert!(talk.closed_stdin());
}

#[test]
fn an_allowed_command_is_accepted() {
    let mut talk = Talk::codex("run it");
    for (_, message) in first_turn().iter().filter(|(by_client, _)| !by_client) {
        talk.hear(message);
        if message["method"] == "item/commandExecution/requestApproval" {
            break;
        }
    }
    talk.written();
    talk.answer(Decision::Allow);
    assert_eq!(talk.written(), [json!({"id": 0, "result": {"decision": "accept"}})]);
    // The same request is not answered twice.
    talk.step(Input::Permission { id: "0", answer: Decision::Deny });
    assert_eq!(talk.written(), [] as [Value; 0]);
}

#[test]
fn codex_is_steered_and_interrupted_as_the_recorded_client_did() {
    let mut talk = Talk::codex("run it");
    let mut asked = Vec::new();
    for (by_client, message) in recorded::dialogue() {
        match message["method"].as_str() {
            Some("turn/steer") if by_client => {
                talk.written();
                talk.step(Input::Steer("STEER"));
            }
            Some("turn/interrupt") if by_client => talk.step(Input::Interrupt),
            _ if !by_client => {
                talk.hear(&message);
                continue;
            }
            _ => continue,
        }
        let want = (message["method"].clone(), message["params"].clone());
        let mut written = talk.written();
        let written = written.pop().unwrap();
        assert_eq!((written["method"].clone(), written["params"].clone()), want);
        asked.push(written["id"].clone());
    }
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[0], asked[1]);
}

#[test]
fn each_request_to_codex_has_a_number_of_its_own() {
    let mut talk = Talk::codex("run it");
    let mut written = talk.written();
    for (_, message) in first_turn().iter().filter(|(by_client, _)| !by_client) {
        talk.hear(message);
        if message["method"] == "turn/started" {
            talk.step(Input::Steer("one"));
            talk.step(Input::Steer("two"));
        }
    }
    written.append(&mut talk.written());
    let mut ids: Vec<_> = written.iter().filter_map(|message| message["id"].as_u64()).collect();
    ids.dedup();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
}

#[test]
fn an_interrupt_that_comes_before_codex_has_a_turn_is_sent_when_it_has_one() {
    let mut talk = Talk::codex("run it");
    for (_, message) in first_turn().iter().filter(|(by_client, _)| !by_client) {
        if message["method"] == "turn/started" {
            talk.written();
            talk.step(Input::Interrupt);
            assert_eq!(talk.written(), [] as [Value; 0]);
            talk.hear(message);
            break;
        }
        talk.hear(message);
    }
    let written = talk.written();
    assert_eq!(written.len(), 1);
    assert_eq!(written[0]["method"], "turn/interrupt");
    assert_eq!(written[0]["params"]["turnId"], "01a1fd4d-45b2-7393-90de-9f214587f122");
}

#[test]
fn an_interrupt_that_comes_before_codex_has_a_thread_spares_the_turn() {
    let mut talk = Talk::codex("run it");
    talk.step(Input::Interrupt);
    for (_, message) in first_turn().iter().filter(|(by_client, _)| !by_client).take(4) {
        talk.hear(message);
    }
    assert!(talk.written().iter().all(|message| message["method"] != "turn/start"));
    assert_eq!(talk.ends()[0].failure.as_ref().unwrap().kind, FailureKind::Interrupted);
    assert!(talk.closed_stdin());
    talk.step(Input::Exit(Exit::Code(0)));
    assert_eq!(talk.ends().len(), 1);
}

#[test]
fn the_turn_of_a_subagent_does_not_end_ours() {
    let mut talk = Talk::codex("run it");
    for (_, message) in first_turn().iter().filter(|(by_client, _)| !by_client) {
        talk.hear(message);
        if message["method"] == "turn/started" {
            let mut other = message.clone();
            other["params"]["threadId"] = "another".into();
            talk.hear(&other);
            other["method"] = "turn/completed".into();
            other["params"]["turn"]["status"] = "completed".into();
            talk.hear(&other);
            assert_eq!(talk.ends().len(), 0);
        }
    }
    assert_eq!((talk.ends().len(), talk.ends()[0].answer.as_str()), (1, "Approved and done."));
}

#[test]
fn every_request_of_codex_gets_an_answer() {
    let mut talk = Talk::codex("run it");
    talk.written();
    for message in [
        json!({"method": "item/tool/requestUserInput", "id": "a", "params": {}}),
        json!({"method": "item/commandExecution/requestApproval", "id": 7}),
        json!({"method": "item/fileChange/requestApproval", "id": 8, "params": {"itemId": 1}}),
    ] {
        talk.hear(&message);
        let answer = talk.written().pop().unwrap();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&message["id"], &json!(-32601)));
    }
}

#[test]
fn a_session_that_codex_does_not_open_ends_the_attempt() {
    for answer in [
        json!({"id": 2, "error": {"code": -32600, "message": "no rollout found for thread id x"}}),
        json!({"id": 2, "result": null}),
        json!({"id": 2, "result": {"threads": "are gone"}}),
    ] {
        let mut talk = Talk::codex("run it");
        talk.hear(&json!({"id": 1, "result": {}}));
        talk.hear(&answer);
        assert_eq!(talk.ends().len(), 1, "{answer}");
        assert!(talk.ends()[0].failure.is_some() && talk.closed_stdin());
    }
}

#[test]
fn claude_is_told_the_prompt_as_a_user_message() {
    let mut talk = Talk::claude("it's\nfine");
    let message = json!({"role": "user", "content": "it's\nfine"});
    assert_eq!(talk.written(), [json!({"type": "user", "message": message})]);
    assert!(!talk.closed_stdin());
    talk.step(Input::Steer("faster"));
    let message = json!({"role": "user", "content": "faster"});
    assert_eq!(talk.written(), [json!({"type": "user", "message": message})]);
}

#[test]
fn a_permission_that_claude_asks_for_is_answered_in_its_own_form() {
    for (decision, want) in [
        (
            Decision::Allow,
            json!({
                "behavior": "allow",
                "updatedInput": {
                    "command": "touch /tmp/should-not-exist-lab",
                    "description": "run a command",
                },
            }),
        ),
        (
            Decision::Deny,
            json!({
                "behavior": "deny",
                "message": "This tool call is not permitted in this run.",
            }),
        ),
    ] {
        let mut talk = Talk::claude("try");
        for line in recorded::named("claude-code/s-perm-allow").lines() {
            talk.step(Input::Stdout(line));
            if line.starts_with(br#"{"type":"control_request""#) {
                talk.written();
                talk.answer(decision);
                let response = json!({
                    "subtype": "success",
                    "request_id": "0f6c8362-ba9e-41f4-860a-71fdb666c144",
                    "response": want,
                });
                let want = json!({"type": "control_response", "response": response});
                assert_eq!(talk.written(), [want]);
            }
        }
        assert_eq!((talk.ends().len(), talk.closed_stdin()), (1, true));
    }
}

#[test]
fn every_request_of_claude_gets_an_answer() {
    let mut talk = Talk::claude("try");
    for request in [json!({"subtype": "hook_callback"}), json!({})] {
        talk.written();
        let message = json!({"type": "control_request", "request_id": "r", "request": request});
        talk.hear(&message);
        let answer = talk.written().pop().unwrap();
        assert_eq!(
            (&answer["response"]["subtype"], &answer["response"]["request_id"]),
            (&json!("error"), &json!("r"))
        );
    }
}

#[test]
fn claude_is_interrupted_by_a_control_request_and_not_before_it_has_a_turn() {
    let want = json!({
        "type": "control_request",
        "request_id": "belay-interrupt",
        // What waits would begin another turn.
        "request": {"subtype": "interrupt", "cancel_queued": true},
    });
    let recording = recorded::named("claude-code/s-multi-interrupt");
    let lines = recording.lines();

    let mut talk = Talk::claude("one");
    talk.step(Input::Stdout(lines[0]));
    talk.written();
    talk.step(Input::Interrupt);
    assert_eq!(talk.written(), [] as [Value; 0]);
    talk.step(Input::Stdout(lines[1]));
    assert_eq!(talk.written(), std::slice::from_ref(&want));

    // The third turn of the recording is the one that was interrupted.
    let mut talk = Talk::claude("three: sleep");
    let third = lines.iter().position(|line| recording.verdict(line) == Some(false)).unwrap();
    let init = lines[..third].iter().rposition(|line| recording.begins_turn(line)).unwrap();
    for line in &lines[init..third] {
        talk.step(Input::Stdout(line));
    }
    talk.written();
    talk.step(Input::Interrupt);
    assert_eq!(talk.written(), [want]);
    talk.step(Input::Stdout(lines[third]));
    let [end] = talk.ends()[..] else { panic!("one end") };
    assert_eq!(end.failure.as_ref().unwrap().kind, FailureKind::Interrupted);
}

const THREAD: &str = "01a1fd4d-45a0-77e3-974b-96488bf6b3e5";
const TURN: &str = "01a1fd4d-45b2-7393-90de-9f214587f122";

impl Talk {
    /// A Codex whose turn runs and has said nothing yet.
    fn codex_at_work() -> Self {
        let mut talk = Self::codex("run it");
        for (_, message) in first_turn().iter().filter(|(by_client, _)| !by_client) {
            talk.hear(message);
            if message["method"] == "turn/started" {
                break;
            }
        }
        talk
    }

    fn notes(&mut self, method: &str, params: Value) {
        let mut params = params;
        params["threadId"] = THREAD.into();
        self.hear(&json!({ "method": method, "params": params }));
    }

    /// A whole message of a turn.
    fn codex_says(&mut self, turn: &str, id: &str, phase: Option<&str>, text: &str) {
        let item = json!({ "type": "agentMessage", "id": id, "text": text, "phase": phase });
        self.notes("item/completed", json!({ "turnId": turn, "item": item }));
    }

    fn turn_is(&mut self, turn: &str, method: &str, status: &str) {
        self.notes(method, json!({ "turn": { "id": turn, "status": status } }));
    }

    #[track_caller]
    fn has_answered(&self, answer: &str) {
        let [end] = self.ends()[..] else { panic!("one end: {:#?}", self.out.actions) };
        assert_eq!((end.answer.as_str(), &end.failure), (answer, &None));
    }

    fn told(&self) -> Vec<&Event> {
        let told = self.out.actions.iter().filter_map(|action| match action {
            Action::Emit(emitted) => Some(&emitted.event),
            _ => None,
        });
        told.collect()
    }
}

#[test]
fn the_end_of_another_turn_of_the_thread_is_not_the_end_of_ours() {
    for status in ["completed", "interrupted", "failed"] {
        let mut talk = Talk::codex_at_work();
        talk.turn_is("another", "turn/completed", status);
        assert!(talk.ends().is_empty() && !talk.closed_stdin(), "{status}");
        talk.codex_says(TURN, "i1", None, "Ours.");
        talk.turn_is(TURN, "turn/completed", "completed");
        talk.has_answered("Ours.");
    }
    // Without its thread, too.
    let mut talk = Talk::codex_at_work();
    let turn = json!({ "id": "another", "status": "completed" });
    talk.hear(&json!({ "method": "turn/completed", "params": { "turn": turn } }));
    assert!(talk.ends().is_empty());
}

#[test]
fn the_end_of_an_earlier_turn_before_ours_has_begun_is_not_the_end_of_ours() {
    let mut talk = Talk::codex("run it");
    for (_, message) in first_turn().iter().filter(|(by_client, _)| !by_client) {
        if message["id"] == 3 {
            talk.turn_is("earlier", "turn/completed", "completed");
            assert!(talk.ends().is_empty());
        }
        talk.hear(message);
    }
    talk.has_answered("Approved and done.");
}

#[test]
fn words_and_tools_of_another_turn_are_shown_and_are_no_answer() {
    let mut talk = Talk::codex_at_work();
    talk.codex_says(TURN, "i1", None, "Ours.");
    talk.codex_says("another", "i2", None, "Theirs.");
    let command =
        json!({ "type": "commandExecution", "id": "i3", "command": "ls", "status": "completed" });
    talk.notes("item/completed", json!({ "turnId": "another", "item": command }));
    talk.notes(
        "item/agentMessage/delta",
        json!({ "turnId": "another", "itemId": "i4", "delta": "And" }),
    );
    let error = json!({ "message": "bad key", "codexErrorInfo": "unauthorized" });
    talk.notes("error", json!({ "turnId": "another", "error": error }));
    talk.turn_is("another", "turn/completed", "failed");
    talk.turn_is(TURN, "turn/completed", "completed");
    talk.has_answered("Ours.");
    let texts: Vec<_> = talk
        .told()
        .into_iter()
        .filter_map(|event| match event {
            Event::Text(text) => Some(text.text.as_str()),
            Event::ToolCall(call) => Some(call.name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(texts, ["Ours.", "Theirs.", "Bash", "And"]);
}

#[test]
fn a_turn_that_goes_on_after_ours_keeps_the_run_open() {
    let mut talk = Talk::codex_at_work();
    talk.codex_says(TURN, "i1", None, "Ours.");
    talk.turn_is("another", "turn/started", "inProgress");
    talk.turn_is(TURN, "turn/completed", "completed");
    assert!(talk.ends().is_empty() && !talk.closed_stdin());
    talk.codex_says("another", "i2", None, "Theirs.");
    talk.turn_is("another", "turn/completed", "completed");
    talk.has_answered("Ours.");
    assert!(talk.closed_stdin());
}

#[test]
fn a_stop_or_an_exit_after_our_turn_leaves_it_answered() {
    for input in [Input::Interrupt, Input::Exit(Exit::Code(0)), Input::Exit(Exit::Signal(9))] {
        let mut talk = Talk::codex_at_work();
        talk.codex_says(TURN, "i1", None, "Ours.");
        talk.turn_is("another", "turn/started", "inProgress");
        talk.turn_is(TURN, "turn/completed", "completed");
        talk.step(input);
        talk.has_answered("Ours.");
    }
}

#[test]
fn a_turn_that_began_before_ours_was_named_is_another_one() {
    let mut talk = Talk::codex("run it");
    for (_, message) in first_turn().iter().filter(|(by_client, _)| !by_client) {
        if message["id"] == 3 {
            talk.turn_is("earlier", "turn/started", "inProgress");
            talk.codex_says("earlier", "i0", None, "Theirs.");
        }
        talk.hear(message);
    }
    assert!(talk.ends().is_empty(), "the other one goes on");
    talk.turn_is("earlier", "turn/completed", "completed");
    talk.has_answered("Approved and done.");
}

#[test]
fn a_comment_after_the_final_answer_is_not_the_answer() {
    for (phases, want) in [
        ([Some("final_answer"), Some("commentary")], "1"),
        ([None, Some("commentary")], "1"),
        ([Some("partial_answer"), Some("commentary")], "1"),
        ([Some("commentary"), Some("final_answer")], "2"),
        ([Some("commentary"), None], "2"),
        ([Some("commentary"), Some("commentary")], "2"),
        ([Some("final_answer"), Some("final_answer")], "2"),
        ([Some("final_answer"), None], "2"),
    ] {
        let mut talk = Talk::codex_at_work();
        talk.codex_says(TURN, "i1", phases[0], "1");
        talk.codex_says(TURN, "i2", phases[1], "2");
        talk.turn_is(TURN, "turn/completed", "completed");
        talk.has_answered(want);
    }
}

#[test]
fn another_session_that_codex_exec_speaks_of_is_not_the_runs() {
    let mut talk = Talk::start(Codex::new().protocol(&"p".into(), Transport::Print));
    for line in [
        json!({ "type": "thread.started", "thread_id": "ours" }),
        json!({ "type": "thread.started", "thread_id": "theirs" }),
        json!({ "type": "item.completed", "item": { "id": "i1", "type": "agent_message", "text": "Ours." } }),
        json!({ "type": "turn.completed" }),
    ] {
        talk.hear(&line);
    }
    talk.has_answered("Ours.");
    assert_eq!(talk.ends()[0].session_id.as_deref(), Some("ours"));
}

/// What became of each message of the caller's.
fn steered(talk: &Talk) -> Vec<(&str, bool)> {
    let events = talk.out.actions.iter().filter_map(|action| match action {
        Action::Emit(emitted) => Some(&emitted.event),
        _ => None,
    });
    let steered = events.filter_map(|event| match event {
        Event::Steered(steered) => {
            assert_eq!(steered.delivered, steered.reason.is_none());
            Some((steered.text.as_str(), steered.delivered))
        }
        _ => None,
    });
    steered.collect()
}

/// Claude in a turn, and the interrupted end of that turn.
fn claude_in_a_turn() -> (Talk, String, String) {
    let recording = recorded::named("claude-code/s-multi-interrupt");
    let lines = recording.lines();
    let end = lines.iter().position(|line| recording.verdict(line) == Some(false)).unwrap();
    let init = lines[..end].iter().rposition(|line| recording.begins_turn(line)).unwrap();
    let mut talk = Talk::claude("sleep");
    lines[init..end].iter().for_each(|line| talk.step(Input::Stdout(line)));
    talk.written();
    let text = |line: &[u8]| String::from_utf8(line.to_vec()).unwrap();
    (talk, text(lines[init]), text(lines[end]))
}

fn lifecycle(id: &Value, state: &str) -> Value {
    json!({"type": "command_lifecycle", "command_uuid": id, "state": state, "session_id": "s"})
}

#[test]
fn claude_tells_of_each_message_what_becomes_of_it() {
    let (mut talk, ..) = claude_in_a_turn();
    ["one", "two"].iter().for_each(|text| talk.step(Input::Steer(text)));
    let ids: Vec<Value> = talk.written().iter().map(|line| line["uuid"].clone()).collect();
    assert_ne!(ids[0], ids[1]);
    for id in &ids {
        assert_eq!(
            id.as_str().unwrap().split('-').map(str::len).collect::<Vec<_>>(),
            [8, 4, 4, 4, 12]
        );
        talk.hear(&lifecycle(id, "queued"));
    }
    assert_eq!(steered(&talk), []);
    talk.hear(&lifecycle(&ids[0], "started"));
    assert_eq!(steered(&talk), [("one", true)]);
    talk.hear(&lifecycle(&ids[0], "completed"));
    talk.hear(&lifecycle(&json!("another's"), "started"));
    talk.hear(&lifecycle(&ids[1], "cancelled"));
    assert_eq!(steered(&talk), [("one", true), ("two", false)]);
}

#[test]
fn claude_is_ended_with_a_stopped_turn_while_messages_wait() {
    for dropped in [true, false] {
        let (mut talk, init, end) = claude_in_a_turn();
        talk.step(Input::Steer("and then"));
        let id = talk.written()[0]["uuid"].clone();
        talk.hear(&lifecycle(&id, "queued"));
        talk.step(Input::Interrupt);
        if dropped {
            talk.hear(&lifecycle(&id, "cancelled"));
        }
        talk.step(Input::Stdout(end.as_bytes()));
        assert_eq!(talk.out.actions.contains(&Action::Finish), !dropped);
        // A version that knows no `cancel_queued` begins the next turn at once.
        talk.written();
        talk.step(Input::Stdout(init.as_bytes()));
        assert_eq!(talk.written()[0]["request"]["subtype"], "interrupt");
        assert!(talk.out.actions.contains(&Action::Finish));
    }
}

#[test]
fn a_version_of_claude_that_tells_nothing_has_what_it_was_given() {
    let (mut talk, _, end) = claude_in_a_turn();
    talk.step(Input::Steer("faster"));
    talk.step(Input::Stdout(end.as_bytes()));
    talk.step(Input::Exit(Exit::Code(1)));
    assert_eq!(steered(&talk), [("faster", true)]);
}

#[test]
fn nothing_is_said_to_an_agent_that_is_stopping() {
    let mut codex = Talk::codex("run it");
    for (_, message) in first_turn().iter().filter(|(by_client, _)| !by_client) {
        codex.hear(message);
        if message["method"] == "turn/started" {
            break;
        }
    }
    for mut talk in [claude_in_a_turn().0, codex] {
        talk.step(Input::Interrupt);
        talk.written();
        talk.step(Input::Steer("too late"));
        assert_eq!(talk.written(), [] as [Value; 0]);
        assert_eq!(steered(&talk), [("too late", false)]);
    }
}

#[test]
fn a_message_is_codexs_when_it_stands_in_the_conversation() {
    let mut talk = Talk::codex("run it");
    let of_user = |id: &str, text: &str| {
        let content = json!([{"type": "text", "text": text}]);
        json!({"method": "item/completed", "params": {"item": {"type": "userMessage", "id": id, "content": content}}})
    };
    for (_, message) in first_turn().iter().filter(|(by_client, _)| !by_client) {
        talk.hear(message);
        if message["method"] == "turn/started" {
            talk.hear(&of_user("u0", "run it"));
            break;
        }
    }
    talk.written();
    ["one", "two", "three"].iter().for_each(|text| talk.step(Input::Steer(text)));
    let ids: Vec<Value> = talk.written().iter().map(|message| message["id"].clone()).collect();
    talk.hear(&json!({"id": ids[0], "result": {"turnId": "t"}}));
    talk.hear(&json!({"id": ids[1], "error": {"code": -32600, "message": "not steerable"}}));
    assert_eq!(steered(&talk), [("two", false)]);
    talk.hear(&of_user("u1", "three"));
    talk.hear(&of_user("u2", "one"));
    assert_eq!(steered(&talk), [("two", false), ("three", true), ("one", true)]);
}

/// `/compact` as a prompt: an interrupt that waited for the turn's init line would wait for the whole summary.
#[test]
fn claude_is_interrupted_while_it_shortens_its_context() {
    let compacting = json!({"type": "system", "subtype": "status", "status": "compacting"});
    for is_early in [true, false] {
        let mut talk = Talk::claude("/compact");
        talk.written();
        if is_early {
            talk.step(Input::Interrupt);
            assert_eq!(talk.written(), [] as [Value; 0]);
        }
        talk.hear(&compacting);
        if !is_early {
            talk.step(Input::Interrupt);
        }
        let written = talk.written();
        assert_eq!(written.len(), 1);
        assert_eq!(written[0]["request"]["subtype"], "interrupt");
        talk.hear(
            &json!({"type": "result", "subtype": "success", "is_error": false, "result": ""}),
        );
        assert_eq!(talk.ends()[0].failure.as_ref().unwrap().kind, FailureKind::Interrupted);
    }
}
