//! OpenCode's drivers where no recording leads: subagents, words to a running turn, and servers that fall silent.

use belay_agents::{
    Action, Agent as _, AttemptEnd, Doubt, Exit, HttpId, Input, OpenCode, Out, Protocol,
    RunRequest, Standing, TimerId, Transport,
};
use belay_trace::{Decision, Event, EvidenceSource, FailureKind};
use serde_json::{Value, json};
use std::time::Duration;

const EVENTS: HttpId = HttpId(0);
const SESSION: HttpId = HttpId(1);
const STEER: HttpId = HttpId(7);
const DEAF: TimerId = TimerId(0);
const IDLE: TimerId = TimerId(1);

/// A protocol and all that came out of it.
struct Talk {
    protocol: Box<dyn Protocol>,
    out: Out,
}

impl Talk {
    fn new(transport: Transport) -> Self {
        let request = RunRequest::new("PROMPT").model("lab/mock-model");
        let protocol = OpenCode::new().protocol(&request, transport);
        Self { protocol, out: Out::default() }
    }

    /// A server that was prompted.
    fn prompted() -> Self {
        let mut talk = Self::connected();
        talk.opened();
        talk
    }

    fn connected() -> Self {
        let mut talk = Self::new(Transport::Dialogue);
        talk.step(Input::Start);
        talk.step(Input::Stdout(b"opencode server listening on http://127.0.0.1:1"));
        talk.hear("server.connected", &json!({}));
        talk
    }

    fn opened(&mut self) {
        self.step(Input::Http { id: SESSION, status: 200, body: br#"{"id":"ses_1"}"# });
    }

    fn step(&mut self, input: Input<'_>) {
        self.protocol.step(input, &mut self.out);
    }

    fn hear(&mut self, kind: &str, properties: &Value) {
        let event = json!({ "id": "evt_1", "type": kind, "properties": properties });
        self.step(Input::Sse(event.to_string().as_bytes()));
    }

    fn part(&mut self, session: &str, part: &Value) {
        self.hear("message.part.updated", &json!({ "sessionID": session, "part": part }));
    }

    fn idle(&mut self) {
        self.hear("session.idle", &json!({ "sessionID": "ses_1" }));
    }

    /// The session is idle, and stays so.
    fn rests(&mut self) {
        self.idle();
        self.quiet();
    }

    /// The last timer that was asked for runs out.
    fn quiet(&mut self) {
        let mut timers = self.out.actions.iter().rev().filter_map(|action| match action {
            Action::Timer(id, _) => Some(*id),
            _ => None,
        });
        let last = timers.next().unwrap();
        self.step(Input::Timer(last));
    }

    /// The session has taken in words of its user.
    fn user(&mut self, id: &str) {
        let info = json!({ "id": id, "role": "user" });
        self.hear("message.updated", &json!({ "sessionID": "ses_1", "info": info }));
    }

    /// The model says its last word.
    fn says_done(&mut self) {
        let words = json!({ "id": "p0", "messageID": "m", "type": "text", "text": "Done.", "time": { "start": 1, "end": 2 } });
        self.part("ses_1", &words);
    }

    fn step_ended(&mut self, session: &str, id: &str, reason: &str) {
        let tokens = json!({ "input": 100, "output": 10, "reasoning": 0, "cache": { "read": 0, "write": 0 } });
        let part = json!({ "id": id, "type": "step-finish", "reason": reason, "tokens": tokens, "cost": 0.25 });
        self.part(session, &part);
    }

    fn ends(&self) -> Vec<&AttemptEnd> {
        let ends = self.out.actions.iter().filter_map(|action| match action {
            Action::TurnEnded(end) => Some(&**end),
            _ => None,
        });
        ends.collect()
    }

    /// Each event's type, with the call of the subagent that it belongs to.
    fn told(&self) -> Vec<(&str, Option<&str>)> {
        let told = self.out.actions.iter().filter_map(|action| match action {
            Action::Emit(one) => {
                Some((one.event.type_name(), one.parent_tool_id.as_ref().map(|id| id.0.as_str())))
            }
            _ => None,
        });
        told.collect()
    }

    /// What was posted to this path, as far as it is text.
    fn said(&self) -> Vec<Vec<String>> {
        let posts = self.out.actions.iter().filter_map(|action| match action {
            Action::Http { path, body: Some(body), .. } if path.ends_with("/prompt_async") => {
                serde_json::from_slice::<Value>(body).ok()
            }
            _ => None,
        });
        let texts = |body: Value| {
            let parts = body["parts"].as_array().unwrap().iter();
            parts.map(|part| part["text"].as_str().unwrap().to_owned()).collect()
        };
        posts.map(texts).collect()
    }
}

#[test]
fn a_server_that_can_be_neither_heard_nor_asked_is_a_failure() {
    let mut talk = Talk::prompted();
    talk.part(
        "ses_1",
        &json!({ "id": "p1", "type": "text", "text": "So f", "time": { "end": 1 } }),
    );
    for tries in 1..=5 {
        talk.step(Input::Http { id: EVENTS, status: 0, body: b"connection reset" });
        assert!(talk.ends().is_empty(), "how it ends says more than that it fell silent");
        if tries > 1 {
            talk.step(Input::Timer(DEAF));
        }
        assert_eq!(talk.opened_events(), 1 + tries, "its events are opened again");
    }
    talk.step(Input::Http { id: EVENTS, status: 0, body: b"connection reset" });
    talk.answer("/session/status", 0, "connection refused");
    let end = talk.ends()[0];
    let failure = end.failure.as_ref().unwrap();
    assert_eq!((failure.kind, end.answer.as_str()), (FailureKind::Protocol, "So f"));
    let words: Vec<_> = failure.evidence.iter().map(|e| (e.source, e.value.as_str())).collect();
    assert!(words.contains(&(EvidenceSource::Text, "connection reset")), "{words:?}");
    assert_eq!(end.session_id.as_deref(), Some("ses_1"));
    assert_eq!(talk.out.actions.last(), Some(&Action::Finish));
}

/// A session in the middle of a command, of which words were heard before.
fn deploying() -> Talk {
    let mut talk = Talk::prompted();
    talk.status("ses_1", "busy");
    talk.part("ses_1", &json!({ "id": "p1", "messageID": "a1", "type": "step-start" }));
    talk.part("ses_1", &text("p2", "So ", None));
    talk.hear(
        "message.part.delta",
        &json!({ "sessionID": "ses_1", "messageID": "a1", "partID": "p2", "delta": "So " }),
    );
    talk.part("ses_1", &deploy("running"));
    talk
}

fn text(id: &str, text: &str, end: Option<u32>) -> Value {
    json!({ "id": id, "messageID": "a1", "type": "text", "text": text, "time": { "start": 1, "end": end } })
}

fn deploy(status: &str) -> Value {
    let state = json!({ "status": status, "input": { "command": "deploy" }, "output": "deployed", "metadata": { "exit": 0 } });
    json!({ "id": "p3", "messageID": "a1", "type": "tool", "tool": "bash", "callID": "c1", "state": state })
}

/// All that the session has said, as the server has it.
fn whole_session() -> String {
    let tokens =
        json!({ "input": 100, "output": 10, "reasoning": 0, "cache": { "read": 0, "write": 0 } });
    let step = |id: &str, reason: &str| json!({ "id": id, "messageID": "a1", "type": "step-finish", "reason": reason, "tokens": tokens, "cost": 0.25 });
    let start = |id: &str| json!({ "id": id, "messageID": "a2", "type": "step-start" });
    let first = [
        json!({ "id": "p1", "messageID": "a1", "type": "step-start" }),
        text("p2", "So I deploy.", Some(2)),
        deploy("completed"),
        step("p4", "tool-calls"),
    ];
    let second = [
        start("p5"),
        json!({ "id": "p6", "messageID": "a2", "type": "text", "text": "Deployed.", "time": { "start": 1, "end": 2 } }),
        step("p7", "stop"),
    ];
    let info = |id: &str, finish: &str| json!({ "id": id, "role": "assistant", "modelID": "m", "finish": finish, "time": { "created": 5, "completed": 6 } });
    json!([
        { "info": { "id": "u1", "role": "user" }, "parts": [{ "id": "p0", "messageID": "u1", "type": "text", "text": "PROMPT" }] },
        { "info": info("a1", "tool-calls"), "parts": first },
        { "info": info("a2", "stop"), "parts": second },
    ])
    .to_string()
}

const TOTALS: &str = r#"{"id":"ses_1","cost":0.5,"tokens":{"input":200,"output":20,"reasoning":0,"cache":{"read":0,"write":0}}}"#;

impl Talk {
    /// How often the events were opened.
    fn opened_events(&self) -> usize {
        self.out.actions.iter().filter(|action| matches!(action, Action::OpenSse(..))).count()
    }

    /// The server answers the last request to this path.
    fn answer(&mut self, asked: &str, status: u16, body: &str) {
        let mut requests = self.out.actions.iter().rev().filter_map(|action| match action {
            Action::Http { id, path, .. } if path == asked => Some(*id),
            _ => None,
        });
        let id = requests.next().unwrap_or_else(|| panic!("{asked} was not asked for"));
        self.step(Input::Http { id, status, body: body.as_bytes() });
    }

    fn events_cut(&mut self) {
        self.step(Input::Http { id: EVENTS, status: 200, body: b"" });
        self.hear("server.connected", &json!({}));
    }

    fn texts(&self) -> String {
        let texts = self.out.actions.iter().filter_map(|action| match action {
            Action::Emit(emitted) => match &emitted.event {
                Event::Text(text) => Some(text.text.as_str()),
                _ => None,
            },
            _ => None,
        });
        texts.collect()
    }

    fn count(&self, name: &str) -> usize {
        self.told().iter().filter(|(told, _)| *told == name).count()
    }

    /// It has deployed once, said so once, and used what the server says.
    fn has_deployed(&self) {
        let [end] = self.ends()[..] else { panic!("{} ends", self.ends().len()) };
        assert_eq!((end.answer.as_str(), &end.failure), ("Deployed.", &None));
        let usage = &end.usage;
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(200), Some(20)));
        assert_eq!(usage.total_cost_usd, Some(0.5));
        let counts = ["turn_started", "tool_call", "tool_result"].map(|name| self.count(name));
        assert_eq!(counts, [2, 1, 1]);
        assert_eq!(self.texts(), "So I deploy.Deployed.");
        assert_eq!(self.said().len(), 1, "it was prompted once");
    }
}

#[test]
fn what_happens_while_nobody_hears_is_told_once_by_the_server() {
    let mut talk = deploying();
    talk.events_cut();
    talk.answer("/session/status", 200, "{}");
    talk.answer("/session/ses_1/message", 200, &whole_session());
    talk.answer("/session/ses_1", 200, TOTALS);
    assert!(talk.ends().is_empty());
    talk.answer("/session/status", 200, "{}");
    talk.has_deployed();
    assert!(talk.count("notice") >= 2, "where the answer comes from is said");
}

#[test]
fn a_session_that_works_on_is_heard_on_and_nothing_is_told_twice() {
    let mut talk = deploying();
    talk.events_cut();
    talk.answer("/session/status", 200, r#"{"ses_1":{"type":"busy"}}"#);
    // What comes before the answer, and what is in both.
    talk.part("ses_1", &deploy("completed"));
    let so_far = json!([{ "info": { "id": "a1", "role": "assistant" }, "parts": [text("p2", "So I dep", None), deploy("running")] }]);
    talk.answer("/session/ses_1/message", 200, &so_far.to_string());
    assert!(talk.ends().is_empty());
    talk.hear(
        "message.part.delta",
        &json!({ "sessionID": "ses_1", "messageID": "a1", "partID": "p2", "delta": "loy." }),
    );
    talk.part("ses_1", &text("p2", "So I deploy.", Some(2)));
    talk.part("ses_1", &deploy("completed"));
    talk.step_ended("ses_1", "p4", "tool-calls");
    talk.part("ses_1", &json!({ "id": "p5", "messageID": "a2", "type": "step-start" }));
    talk.part("ses_1", &json!({ "id": "p6", "messageID": "a2", "type": "text", "text": "Deployed.", "time": { "end": 2 } }));
    talk.step_ended("ses_1", "p7", "stop");
    talk.idle();
    talk.answer("/session/status", 200, "{}");
    talk.has_deployed();
}

#[test]
fn a_session_that_ended_unheard_is_found_by_its_silence() {
    let mut talk = deploying();
    for _ in 0..2 {
        assert!(!talk.out.actions.iter().any(
            |action| matches!(action, Action::Http { path, .. } if path == "/session/status")
        ));
        talk.hear("server.heartbeat", &json!({}));
    }
    talk.answer("/session/status", 200, "{}");
    talk.answer("/session/status", 200, "{}");
    talk.answer("/session/ses_1/message", 200, &whole_session());
    talk.answer("/session/ses_1", 200, TOTALS);
    talk.answer("/session/status", 200, "{}");
    talk.has_deployed();
}

#[test]
fn a_silent_session_is_asked_before_its_silence_is_believed() {
    let mut talk = deploying();
    talk.step(Input::Doubt(Doubt::Silent));
    assert_eq!(talk.opened_events(), 2);
    talk.hear("server.connected", &json!({}));
    talk.answer("/session/status", 200, r#"{"ses_1":{"type":"busy"}}"#);
    talk.answer("/session/ses_1/message", 200, "[]");
    assert_eq!(talk.out.actions.last(), Some(&Action::Testified(Standing::Working)));
    talk.step(Input::Doubt(Doubt::Silent));
    talk.hear("server.connected", &json!({}));
    talk.answer("/session/status", 200, "{}");
    talk.answer("/session/ses_1/message", 200, &whole_session());
    talk.answer("/session/ses_1", 200, TOTALS);
    assert!(talk.out.actions.contains(&Action::Testified(Standing::Ended)));
    talk.answer("/session/status", 200, "{}");
    talk.has_deployed();
}

#[test]
fn an_idle_server_without_the_answer_is_no_end_of_the_turn() {
    let mut talk = deploying();
    talk.step(Input::Doubt(Doubt::Silent));
    talk.hear("server.connected", &json!({}));
    talk.answer("/session/status", 200, "{}");
    let open = json!([{ "info": { "id": "a1", "role": "assistant", "time": { "created": 5 } }, "parts": [] }]);
    talk.answer("/session/ses_1/message", 200, &open.to_string());
    assert_eq!(talk.out.actions.last(), Some(&Action::Testified(Standing::Unknown)));
    assert!(talk.ends().is_empty());
}

#[test]
fn a_permission_that_was_asked_for_unheard_is_asked_for_once() {
    let mut talk = deploying();
    let ask = json!({ "id": "per_1", "sessionID": "ses_1", "permission": "bash", "metadata": {} });
    let other =
        json!({ "id": "per_2", "sessionID": "ses_9", "permission": "bash", "metadata": {} });
    for _ in 0..2 {
        talk.events_cut();
        talk.answer("/session/status", 200, r#"{"ses_1":{"type":"busy"}}"#);
        talk.answer("/permission", 200, &json!([ask, other]).to_string());
    }
    talk.hear("permission.asked", &ask);
    assert_eq!(talk.count("permission_request"), 1);
}

#[test]
fn earlier_turns_of_a_session_are_not_told_as_missed() {
    let request = RunRequest::new("PROMPT").resume("ses_1");
    let mut talk = Talk::new(Transport::Dialogue);
    talk.protocol = OpenCode::new().protocol(&request, Transport::Dialogue);
    talk.step(Input::Start);
    talk.step(Input::Stdout(b"opencode server listening on http://127.0.0.1:1"));
    talk.hear("server.connected", &json!({}));
    let before =
        r#"{"id":"ses_1","time":{"updated":7},"cost":0.25,"tokens":{"input":150,"output":15}}"#;
    talk.answer("/session/ses_1", 200, before);
    talk.status("ses_1", "busy");
    talk.events_cut();
    talk.answer("/session/status", 200, "{}");
    talk.answer("/session/ses_1/message", 200, &whole_session());
    assert!(talk.ends().is_empty(), "what it has said is of another turn");
    assert_eq!(talk.texts(), "");
    let new = json!([{ "info": { "id": "a3", "role": "assistant", "finish": "stop", "time": { "created": 8 } },
        "parts": [{ "id": "p9", "messageID": "a3", "type": "text", "text": "New.", "time": { "end": 9 } }] }]);
    talk.events_cut();
    talk.answer("/session/status", 200, "{}");
    talk.answer("/session/ses_1/message", 200, &new.to_string());
    talk.answer("/session/ses_1", 200, TOTALS);
    talk.answer("/session/status", 200, "{}");
    let [end] = talk.ends()[..] else { panic!("one end") };
    assert_eq!((end.answer.as_str(), end.usage.input_tokens), ("New.", Some(50)));
    assert_eq!(end.usage.total_cost_usd, Some(0.25));
}

#[test]
fn an_idle_session_is_believed_when_the_server_says_so_and_watched_when_it_does_not() {
    let mut talk = Talk::answered();
    talk.answer("/session/status", 200, r#"{"ses_1":{"type":"busy"}}"#);
    assert!(talk.ends().is_empty(), "a plugin has set it to work");
    talk.idle();
    talk.answer("/session/status", 200, "{}");
    talk.has_answered("One.");
    let mut talk = Talk::answered();
    talk.answer("/session/status", 404, "");
    assert!(talk.ends().is_empty());
    talk.quiet();
    talk.has_answered("One.");
}

#[test]
fn a_server_that_is_gone_has_crashed_whatever_its_events_did() {
    let mut talk = Talk::prompted();
    talk.step(Input::Http { id: EVENTS, status: 200, body: b"" });
    talk.step(Input::Exit(Exit::Signal(9)));
    talk.step(Input::Timer(DEAF));
    let ends = talk.ends();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].failure.as_ref().unwrap().kind, FailureKind::Crashed);
}

#[test]
fn a_subagent_is_heard_under_its_call_and_paid_for() {
    let mut talk = Talk::prompted();
    let task = |status: &str| {
        let metadata = json!({ "sessionId": "ses_2", "parentSessionId": "ses_1" });
        let state = json!({ "status": status, "input": {}, "output": "0", "metadata": metadata });
        json!({ "id": "p1", "type": "tool", "tool": "task", "callID": "call_task", "state": state })
    };
    talk.hear(
        "session.created",
        &json!({ "sessionID": "ses_2", "info": { "id": "ses_2", "parentID": "ses_1" } }),
    );
    talk.part("ses_1", &task("running"));
    let ask = json!({
        "id": "per_1", "sessionID": "ses_2", "permission": "bash", "metadata": { "command": "ls" },
        "tool": { "messageID": "m2", "callID": "call_bash" },
    });
    let bash = |status: &str| {
        let state =
            json!({ "status": status, "input": {}, "output": "x", "metadata": { "exit": 0 } });
        json!({ "id": "p2", "type": "tool", "tool": "bash", "callID": "call_bash", "state": state })
    };
    talk.part("ses_2", &bash("running"));
    talk.hear("permission.asked", &ask);
    talk.step(Input::Permission { id: "per_1", answer: Decision::Deny });
    talk.part("ses_2", &bash("completed"));
    talk.step_ended("ses_2", "p3", "stop");
    let words =
        json!({ "id": "p4", "type": "text", "text": "There are none.", "time": { "end": 1 } });
    talk.part("ses_2", &words);
    talk.hear("session.idle", &json!({ "sessionID": "ses_2" }));
    assert!(talk.ends().is_empty(), "the run is not over when its subagent is");
    talk.part("ses_1", &task("completed"));
    let words = json!({ "id": "p5", "type": "text", "text": "None.", "time": { "end": 1 } });
    talk.part("ses_1", &words);
    talk.step_ended("ses_1", "p6", "stop");
    talk.rests();
    let sub = Some("call_task");
    let told: Vec<_> =
        talk.told().into_iter().filter(|(name, _)| *name != "session_started").collect();
    assert_eq!(
        told,
        [
            ("tool_call", None),
            ("tool_call", sub),
            ("permission_request", sub),
            ("tool_result", sub),
            ("usage", sub),
            ("context", sub),
            ("text", sub),
            ("tool_result", None),
            ("text", None),
            ("usage", None),
            ("context", None),
        ]
    );
    let end = talk.ends()[0];
    assert_eq!((end.answer.as_str(), &end.failure), ("None.", &None));
    assert_eq!(
        (end.usage.input_tokens, end.usage.total_cost_usd, end.usage.num_turns),
        (Some(200), Some(0.5), Some(1))
    );
    let replied = talk.out.actions.iter().any(
        |action| matches!(action, Action::Http { path, .. } if path == "/permission/per_1/reply"),
    );
    assert!(replied);
}

#[test]
fn a_subagent_that_fails_is_not_the_runs_failure_and_strangers_are_not_heard() {
    let mut talk = Talk::prompted();
    talk.hear(
        "session.created",
        &json!({ "sessionID": "ses_2", "info": { "id": "ses_2", "parentID": "ses_1" } }),
    );
    talk.hear(
        "session.created",
        &json!({ "sessionID": "ses_3", "info": { "id": "ses_3", "parentID": "ses_2" } }),
    );
    talk.hear(
        "session.created",
        &json!({ "sessionID": "ses_9", "info": { "id": "ses_9", "parentID": "ses_8" } }),
    );
    let error = json!({ "name": "APIError", "data": { "message": "bad key", "statusCode": 401 } });
    for session in ["ses_2", "ses_3", "ses_9"] {
        talk.hear("session.error", &json!({ "sessionID": session, "error": error }));
    }
    talk.says_done();
    talk.step_ended("ses_1", "p6", "stop");
    talk.rests();
    let notices: Vec<_> = talk.told().into_iter().filter(|(name, _)| *name == "notice").collect();
    assert_eq!(notices, [("notice", Some("ses_2")), ("notice", Some("ses_3"))]);
    assert_eq!(talk.ends()[0].failure, None);
}

#[test]
fn words_to_a_running_turn_are_posted_and_early_ones_go_with_the_prompt() {
    let mut talk = Talk::connected();
    talk.step(Input::Steer("EARLY"));
    talk.opened();
    talk.step(Input::Steer("LATE"));
    assert_eq!(talk.said(), [vec!["PROMPT", "EARLY"], vec!["LATE"]]);
}

#[test]
fn words_that_reach_an_idle_session_make_it_go_on() {
    let mut talk = Talk::prompted();
    talk.user("m1");
    talk.step_ended("ses_1", "p1", "stop");
    talk.step(Input::Steer("MORE"));
    talk.idle();
    assert!(talk.ends().is_empty(), "the words are on their way");
    talk.user("m2");
    talk.step_ended("ses_1", "p2", "stop");
    talk.idle();
    // It was for the other idle time.
    talk.step(Input::Timer(IDLE));
    assert_eq!(talk.ends().len(), 0);
    talk.quiet();
    assert_eq!(talk.ends().len(), 1);
    assert_eq!(talk.ends()[0].usage.num_turns, Some(2));
}

#[test]
fn words_that_are_refused_or_never_heard_do_not_keep_the_turn_open() {
    for lost in [Input::Http { id: STEER, status: 500, body: b"no" }, Input::Timer(IDLE)] {
        let mut talk = Talk::prompted();
        talk.user("m1");
        talk.says_done();
        talk.step_ended("ses_1", "p1", "stop");
        talk.step(Input::Steer("MORE"));
        talk.idle();
        talk.step(lost);
        talk.quiet();
        assert_eq!(talk.ends().len(), 1);
        assert_eq!(talk.ends()[0].failure, None);
        talk.step(Input::Steer("TOO LATE"));
        assert_eq!(talk.out.actions.last(), Some(&Action::Cannot("steer")));
    }
}

/// One denial takes along all that is asked for at the same time, and then there is nothing to go on with.
#[test]
fn a_turn_that_a_denial_has_ended_says_so() {
    let mut talk = Talk::prompted();
    talk.step(Input::Permission { id: "per_1", answer: Decision::Deny });
    let Some(Action::Http { body: Some(body), .. }) = talk.out.actions.last() else { panic!() };
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(body["reply"], "reject");
    assert!(body["message"].is_string(), "without a reason every denial ends the turn");
    talk.step_ended("ses_1", "p1", "tool-calls");
    talk.rests();
    assert_eq!(talk.ends()[0].failure.as_ref().unwrap().kind, FailureKind::PermissionDenied);
}

#[test]
fn a_hidden_sleep_of_three_days_has_its_end() {
    let mut talk = Talk::prompted();
    let status = json!({ "type": "retry", "attempt": 1, "message": "Rate limit", "next": 1_795_539_208_815_i64 });
    talk.hear("session.status", &json!({ "sessionID": "ses_1", "status": status }));
    let Some(Action::Emit(last)) = talk.out.actions.last() else { panic!("nothing was told") };
    let Event::Retry(retry) = &last.event else { panic!("{last:?}") };
    assert_eq!(retry.until.unwrap().to_string(), "2026-11-24T16:53:28.815Z");
    assert_eq!((retry.retry, retry.reason.as_str()), (Some(1), "Rate limit"));
}

#[test]
fn what_a_one_shot_run_hides_is_found_in_its_log() {
    let mut talk = Talk::new(Transport::Print);
    talk.step(Input::Start);
    let log = br#"timestamp=2026-11-21T17:00:28.509Z level=ERROR run=5ab01a0b message=failed ref=err_04ff1d60 error="ProviderModelNotFoundError: Model not found: lab/nope." cause="ProviderModelNotFoundError: x""#;
    talk.step(Input::Stderr(log));
    let error = json!({ "name": "UnknownError", "data": { "message": "Unexpected server error. Check server logs for details.", "ref": "err_04ff1d60" } });
    let line = json!({ "type": "error", "timestamp": 1, "sessionID": "ses_1", "error": error });
    talk.step(Input::Stdout(line.to_string().as_bytes()));
    talk.step(Input::Exit(Exit::Code(1)));
    let failure = talk.ends()[0].failure.as_ref().unwrap();
    assert_eq!(failure.kind, FailureKind::ModelUnavailable);
    assert_eq!(failure.message, "ProviderModelNotFoundError: Model not found: lab/nope.");
    assert!(failure.evidence.iter().any(|e| e.name == "log"), "{failure:?}");
}

/// Found by fuzzing: the text of an event with half a character was lost, and a list was taken for an event.
#[test]
fn an_event_with_half_a_character_keeps_its_words_and_a_list_is_no_event() {
    let mut talk = Talk::prompted();
    let delta = r#"{"id":"e","type":"message.part.delta","properties":{"sessionID":"ses_1","messageID":"m","partID":"p","field":"text","delta":"a\ud83d"}}"#;
    talk.step(Input::Sse(delta.as_bytes()));
    talk.step(Input::Sse(br#"["session.idle",{"sessionID":"ses_1"}]"#));
    let texts: Vec<_> = talk
        .out
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Emit(emitted) => Some(emitted.event.type_name()),
            Action::TurnEnded(_) => Some("ended"),
            _ => None,
        })
        .collect();
    assert!(texts.contains(&"text") && !texts.contains(&"ended"), "{texts:?}");
    assert!(!texts.contains(&"unknown"), "{texts:?}");
}

#[test]
fn a_run_that_is_cut_off_in_its_next_step_has_not_answered() {
    let mut talk = Talk::new(Transport::Print);
    talk.step(Input::Start);
    let tokens = r#"{"input":1,"output":1,"reasoning":0,"cache":{"read":0,"write":0}}"#;
    let finish = format!(
        r#"{{"type":"step_finish","sessionID":"s","part":{{"id":"p2","type":"step-finish","reason":"stop","tokens":{tokens},"cost":0}}}}"#
    );
    for line in [
        r#"{"type":"step_start","sessionID":"s","part":{"id":"p1","type":"step-start"}}"#,
        &finish,
        r#"{"type":"step_start","sessionID":"s","part":{"id":"p3","type":"step-start"}}"#,
    ] {
        talk.step(Input::Stdout(line.as_bytes()));
    }
    talk.step(Input::Exit(Exit::Code(0)));
    let ended = talk.out.actions.iter().find_map(|action| match action {
        Action::TurnEnded(end) => Some(end),
        _ => None,
    });
    let failure = ended.unwrap().failure.as_ref().expect("that is no answer");
    assert_eq!(failure.kind, FailureKind::Protocol);
}

impl Talk {
    /// The session says that it is busy, or something else.
    fn status(&mut self, session: &str, status: &str) {
        let status = json!({ "type": status });
        self.hear("session.status", &json!({ "sessionID": session, "status": status }));
    }

    /// A message of the model's: it has begun, or is whole.
    fn message(&mut self, id: &str, is_whole: bool) {
        let time = if is_whole { json!({ "completed": 1 }) } else { json!({}) };
        let info = json!({ "id": id, "role": "assistant", "time": time });
        self.hear("message.updated", &json!({ "sessionID": "ses_1", "info": info }));
    }

    fn says(&mut self, message: &str, part: &str, text: &str) {
        let part = json!({ "id": part, "messageID": message, "type": "text", "text": text, "time": { "end": 1 } });
        self.part("ses_1", &part);
    }

    /// A session that has said `One.` and is idle.
    fn answered() -> Self {
        let mut talk = Self::prompted();
        talk.user("m1");
        talk.status("ses_1", "busy");
        talk.message("a1", false);
        talk.says("a1", "p1", "One.");
        talk.step_ended("ses_1", "p2", "stop");
        talk.message("a1", true);
        talk.status("ses_1", "idle");
        talk.idle();
        assert!(talk.ends().is_empty(), "it may wake up");
        talk
    }

    fn timers(&self) -> Vec<Duration> {
        let timers = self.out.actions.iter().filter_map(|action| match action {
            Action::Timer(_, after) => Some(*after),
            _ => None,
        });
        timers.collect()
    }

    #[track_caller]
    fn has_answered(&self, answer: &str) {
        let ends = self.ends();
        assert_eq!(ends.len(), 1);
        assert_eq!((ends[0].answer.as_str(), &ends[0].failure), (answer, &None));
    }
}

#[test]
fn a_session_that_stays_idle_is_over_in_a_tenth_of_a_second() {
    let mut talk = Talk::answered();
    // What comes after the end of each healthy turn.
    talk.hear("session.updated", &json!({ "sessionID": "ses_1", "info": { "id": "ses_1" } }));
    talk.hear("session.diff", &json!({ "sessionID": "ses_1", "diff": [] }));
    talk.user("m1");
    talk.message("a1", true);
    assert_eq!(talk.timers(), [Duration::from_millis(100)]);
    talk.quiet();
    talk.has_answered("One.");
    assert_eq!(talk.out.actions.last(), Some(&Action::Finish));
}

#[test]
fn a_session_that_is_busy_again_is_not_over() {
    let mut talk = Talk::answered();
    talk.status("ses_1", "busy");
    talk.quiet();
    assert!(talk.ends().is_empty());
    talk.message("a2", false);
    talk.says("a2", "p3", "Two.");
    talk.step_ended("ses_1", "p4", "stop");
    talk.message("a2", true);
    talk.rests();
    talk.has_answered("Two.");
    assert_eq!(talk.ends()[0].usage.num_turns, Some(2));
}

#[test]
fn a_message_after_idle_is_waited_for_without_another_word_of_the_session() {
    let mut talk = Talk::answered();
    talk.user("m2");
    talk.message("a2", false);
    talk.quiet();
    assert!(talk.ends().is_empty(), "it is not whole");
    talk.says("a2", "p3", "Two.");
    talk.step_ended("ses_1", "p4", "stop");
    talk.message("a2", true);
    talk.quiet();
    talk.has_answered("Two.");
}

#[test]
fn words_after_idle_are_of_the_answer() {
    let mut talk = Talk::answered();
    talk.says("a2", "p3", "Two.");
    talk.quiet();
    talk.has_answered("Two.");
}

#[test]
fn a_subagent_that_is_busy_keeps_an_idle_session_open() {
    let mut talk = Talk::prompted();
    let info = json!({ "id": "ses_2", "parentID": "ses_1" });
    talk.hear("session.created", &json!({ "sessionID": "ses_2", "info": info }));
    talk.status("ses_2", "busy");
    talk.says("a1", "p1", "It works in the background.");
    talk.step_ended("ses_1", "p2", "stop");
    talk.rests();
    assert!(talk.ends().is_empty(), "its subagent works");
    talk.status("ses_2", "idle");
    talk.hear("session.idle", &json!({ "sessionID": "ses_2" }));
    talk.status("ses_1", "busy");
    talk.says("a2", "p3", "It is done.");
    talk.step_ended("ses_1", "p4", "stop");
    talk.rests();
    talk.has_answered("It is done.");
}

#[test]
fn a_stop_of_an_idle_session_ends_it_at_once() {
    let mut talk = Talk::answered();
    talk.step(Input::Interrupt);
    talk.has_answered("One.");
    let mut talk = Talk::answered();
    talk.says("a2", "p3", "Two");
    talk.step(Input::Interrupt);
    let [end] = talk.ends()[..] else { panic!("one end") };
    assert_eq!(end.failure.as_ref().unwrap().kind, FailureKind::Interrupted);
}

#[test]
fn a_server_that_goes_or_falls_silent_after_idle_has_answered() {
    for input in [
        Input::Exit(Exit::Code(0)),
        Input::Exit(Exit::Signal(9)),
        Input::Http { id: EVENTS, status: 200, body: b"" },
    ] {
        let mut talk = Talk::answered();
        talk.step(input);
        talk.has_answered("One.");
    }
}

#[test]
fn a_session_that_has_failed_is_not_watched() {
    let mut talk = Talk::prompted();
    let error = json!({ "name": "APIError", "data": { "message": "bad key", "statusCode": 401 } });
    talk.hear("session.error", &json!({ "sessionID": "ses_1", "error": error }));
    talk.idle();
    assert_eq!(talk.ends()[0].failure.as_ref().unwrap().kind, FailureKind::Auth);
}

/// What became of each message of the caller's.
fn steered(talk: &Talk) -> Vec<(&str, bool)> {
    let steered = talk.out.actions.iter().filter_map(|action| match action {
        Action::Emit(emitted) => match &emitted.event {
            Event::Steered(steered) => Some((steered.text.as_str(), steered.delivered)),
            _ => None,
        },
        _ => None,
    });
    steered.collect()
}

fn text_of_user(talk: &mut Talk, message: &str, id: &str, text: &str) {
    talk.user(message);
    let part = json!({ "id": id, "type": "text", "messageID": message, "text": text });
    talk.part("ses_1", &part);
    talk.part("ses_1", &part);
}

#[test]
fn a_message_is_opencodes_when_it_stands_in_the_conversation() {
    let mut talk = Talk::prompted();
    text_of_user(&mut talk, "m1", "p1", "PROMPT");
    talk.step(Input::Steer("one"));
    talk.step(Input::Steer("two"));
    talk.step(Input::Http { id: STEER, status: 204, body: b"" });
    assert_eq!(steered(&talk), []);
    text_of_user(&mut talk, "m2", "p2", "one");
    assert_eq!(steered(&talk), [("one", true)]);
    talk.step(Input::Interrupt);
    talk.step(Input::Steer("three"));
    assert_eq!(steered(&talk), [("one", true), ("three", false)]);
}

#[test]
fn a_message_that_arrives_behind_the_abort_is_aborted_too() {
    let aborts = |talk: &Talk| {
        let of = |action: &&Action| matches!(action, Action::Http { path, .. } if path.ends_with("/abort"));
        talk.out.actions.iter().filter(of).count()
    };
    let mut talk = Talk::prompted();
    text_of_user(&mut talk, "m1", "p1", "PROMPT");
    talk.step(Input::Steer("one"));
    talk.step(Input::Interrupt);
    assert_eq!(aborts(&talk), 1);
    talk.step(Input::Http { id: STEER, status: 204, body: b"" });
    assert_eq!(aborts(&talk), 2);
}
