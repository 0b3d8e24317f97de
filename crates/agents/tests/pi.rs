//! The conversation with Pi, line by line.

use belay_agents::{
    Action, Agent, AttemptEnd, Exit, Input, Out, Pi, Protocol, RunRequest, Transport,
};
use belay_trace::{Event, FailureKind, Level};
use serde_json::{Value, json};

/// A conversation, and what was done last.
struct Talk {
    protocol: Box<dyn Protocol>,
    actions: Vec<Action>,
}

impl Talk {
    fn begin(request: &RunRequest, transport: Transport) -> Self {
        let protocol = Pi::new().protocol(request, transport);
        let mut talk = Self { protocol, actions: Vec::new() };
        talk.step(Input::Start);
        talk
    }

    /// A conversation in which Pi has told its state.
    fn opened(request: &RunRequest) -> Self {
        let mut talk = Self::begin(request, Transport::Dialogue);
        assert_eq!(talk.said(), [json!({"type": "get_state", "id": "1"})]);
        talk.line(json!({"type": "response", "id": "1", "success": true, "command": "get_state",
            "data": {"sessionId": "s", "messageCount": 0, "model": {"provider": "lab", "id": "m"}}}));
        talk
    }

    /// A conversation in which Pi works on the prompt.
    fn working() -> Self {
        let mut talk = Self::opened(&"do it".into());
        assert_eq!(talk.said(), [json!({"type": "prompt", "message": "do it", "id": "2"})]);
        talk.line(json!({"type": "agent_start"}));
        talk
    }

    fn step(&mut self, input: Input<'_>) {
        let mut out = Out::default();
        self.protocol.step(input, &mut out);
        self.actions = out.actions;
    }

    fn line(&mut self, line: Value) {
        self.step(Input::Stdout(line.to_string().as_bytes()));
    }

    /// What was said to Pi.
    fn said(&self) -> Vec<Value> {
        let said = self.actions.iter().filter_map(|action| match action {
            Action::Stdin(bytes) => Some(serde_json::from_slice(bytes).unwrap()),
            _ => None,
        });
        said.collect()
    }

    fn end(&self) -> &AttemptEnd {
        let ends = self.actions.iter().filter_map(|action| match action {
            Action::TurnEnded(end) => Some(end),
            _ => None,
        });
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends.len(), 1, "{:?}", self.actions);
        ends[0]
    }

    fn failure(&self) -> FailureKind {
        self.end().failure.as_ref().unwrap().kind
    }

    fn closes_stdin(&self) -> bool {
        self.actions.contains(&Action::CloseStdin)
    }
}

fn response(text: &str, stop_reason: &str) -> Value {
    let content = json!([{"type": "text", "text": text}]);
    let message = json!({"role": "assistant", "stopReason": stop_reason, "content": content});
    json!({"type": "message_end", "message": message})
}

#[test]
fn pi_is_done_when_it_has_settled_and_not_when_a_run_of_it_ends() {
    let mut talk = Talk::working();
    talk.line(response("Done.", "stop"));
    talk.line(json!({"type": "agent_end", "messages": [], "willRetry": false}));
    assert_eq!(talk.actions, []);
    talk.line(json!({"type": "agent_settled", "aborted": false}));
    assert_eq!((talk.end().answer.as_str(), &talk.end().failure), ("Done.", &None));
    assert!(talk.closes_stdin());
    talk.step(Input::Exit(Exit::Code(0)));
    assert_eq!(talk.actions, []);
}

#[test]
fn an_abort_waits_until_pi_works_for_it_forgets_an_earlier_one() {
    let mut talk = Talk::opened(&"do it".into());
    talk.step(Input::Interrupt);
    assert_eq!(talk.actions, []);
    talk.line(json!({"type": "agent_start"}));
    // Words that wait would begin another run behind the abort.
    let want = [json!({"type": "clear_queue", "id": "3"}), json!({"type": "abort", "id": "4"})];
    assert_eq!(talk.said(), want);
    talk.step(Input::Interrupt);
    assert_eq!(talk.actions, []);
    talk.line(json!({"type": "agent_settled", "aborted": true}));
    assert_eq!(talk.failure(), FailureKind::Interrupted);
}

#[test]
fn an_interrupt_before_the_session_is_known_asks_no_model() {
    let mut talk = Talk::begin(&"do it".into(), Transport::Dialogue);
    talk.step(Input::Interrupt);
    talk.line(json!({"type": "response", "id": "1", "success": true, "data": {"sessionId": "s"}}));
    assert_eq!((talk.failure(), talk.said()), (FailureKind::Interrupted, Vec::new()));
    assert!(talk.closes_stdin());
}

#[test]
fn words_of_the_caller_wait_until_pi_works() {
    let mut talk = Talk::opened(&"do it".into());
    talk.step(Input::Steer("and this"));
    assert_eq!(talk.actions, []);
    talk.line(json!({"type": "agent_start"}));
    assert_eq!(talk.said(), [json!({"type": "steer", "message": "and this", "id": "3"})]);
    talk.line(json!({"type": "response", "id": "3", "success": false, "error": "not now"}));
    let Action::Emit(emitted) = &talk.actions[0] else { panic!("{:?}", talk.actions) };
    assert!(matches!(&emitted.event, Event::Notice(notice) if notice.text == "not now"));
}

#[test]
fn a_prompt_that_pi_refuses_is_a_failure_of_its_kind() {
    for (error, kind) in [
        ("No API key found for anthropic.\n\nUse /login", FailureKind::Auth),
        ("Agent is already processing", FailureKind::InvalidRequest),
    ] {
        let mut talk = Talk::opened(&"do it".into());
        talk.line(json!({"type": "response", "id": "2", "success": false, "error": error}));
        assert_eq!(talk.failure(), kind, "{error}");
        assert!(talk.closes_stdin());
    }
}

#[test]
fn a_prompt_that_an_extension_has_taken_is_no_success() {
    let mut talk = Talk::opened(&"/mine".into());
    let data = json!({"disposition": "handled"});
    talk.line(json!({"type": "response", "id": "2", "success": true, "data": data}));
    assert_eq!(talk.failure(), FailureKind::InvalidRequest);
}

#[test]
fn a_continued_session_that_is_empty_is_none() {
    let talk = Talk::opened(&RunRequest::new("go on").continue_latest());
    assert_eq!((talk.failure(), talk.said()), (FailureKind::InvalidRequest, Vec::new()));
}

#[test]
fn a_dialog_of_an_extension_is_answered_at_once() {
    let mut talk = Talk::working();
    talk.line(
        json!({"type": "extension_ui_request", "id": "u1", "method": "confirm", "title": "Sure?"}),
    );
    let want = json!({"type": "extension_ui_response", "id": "u1", "cancelled": true});
    assert_eq!(talk.said(), [want]);
    let Action::Emit(emitted) = &talk.actions[1] else { panic!("{:?}", talk.actions) };
    let Event::Notice(notice) = &emitted.event else { panic!("{emitted:?}") };
    assert!(notice.level == Level::Warn && notice.text.ends_with("Sure?"));
}

#[test]
fn only_a_response_that_stopped_by_itself_is_an_answer() {
    for (reason, kind) in [
        ("length", FailureKind::OutputLimit),
        ("toolUse", FailureKind::Protocol),
        ("aborted", FailureKind::Interrupted),
        ("error", FailureKind::Unknown),
        ("new", FailureKind::Protocol),
    ] {
        let mut talk = Talk::working();
        talk.line(response("So far.", reason));
        talk.line(json!({"type": "agent_settled", "aborted": false}));
        assert_eq!((talk.failure(), talk.end().answer.as_str()), (kind, "So far."), "{reason}");
    }
    let mut talk = Talk::working();
    talk.line(json!({"type": "agent_settled", "aborted": false}));
    assert_eq!(talk.failure(), FailureKind::Protocol);
}

#[test]
fn what_pi_says_on_stderr_before_it_gives_up_is_the_reason() {
    for (words, code, kind) in [
        ("No API key found for anthropic.", 1, FailureKind::Auth),
        ("Error: Model \"no/such\" not found.", 1, FailureKind::ModelUnavailable),
        ("No session found matching '01a1'", 1, FailureKind::InvalidRequest),
        // It has asked whether to fork it here, and took the first line of its input for a no.
        ("Session found in different project: /elsewhere", 0, FailureKind::InvalidRequest),
    ] {
        for transport in [Transport::Dialogue, Transport::Print] {
            let mut talk = Talk::begin(&"do it".into(), transport);
            talk.step(Input::Stderr(words.as_bytes()));
            talk.step(Input::Stderr(b"  /docs/models.md"));
            talk.step(Input::Exit(Exit::Code(code)));
            assert_eq!(talk.failure(), kind, "{words}");
        }
    }
}

#[test]
fn a_summary_and_what_a_tool_asked_of_a_model_are_paid_for_too() {
    let mut talk = Talk::working();
    let usage = json!({"input": 10, "output": 2, "cost": {"total": 0.5}});
    talk.line(json!({"type": "compaction_end", "reason": "threshold", "result": {"usage": usage}}));
    talk.line(json!({"type": "message_end", "message": {"role": "toolResult", "usage": usage}}));
    talk.line(json!({"type": "agent_settled", "aborted": true}));
    let total = &talk.end().usage;
    assert_eq!((total.input_tokens, total.total_cost_usd), (Some(20), Some(1.0)));
}

#[test]
fn a_model_that_says_nothing_has_answered_only_if_it_has_worked() {
    let mut talk = Talk::working();
    talk.line(response("", "stop"));
    talk.line(json!({"type": "agent_settled", "aborted": false}));
    assert_eq!(talk.failure(), FailureKind::Protocol);

    let mut talk = Talk::working();
    let call = json!({"type": "tool_execution_start", "toolCallId": "c", "toolName": "write"});
    talk.line(call);
    talk.line(response("", "stop"));
    talk.line(json!({"type": "agent_settled", "aborted": false}));
    assert_eq!((talk.end().answer.as_str(), &talk.end().failure), ("", &None));
}

#[test]
fn an_output_is_what_the_shell_printed_and_not_what_the_model_was_given_of_it() {
    let output = |given: &str, structured: Value| {
        let mut talk = Talk::working();
        let content = json!([{"type": "text", "text": given}]);
        let result = json!({"content": content, "structuredContent": structured});
        talk.line(json!({"type": "tool_execution_end", "toolCallId": "c", "toolName": "bash",
            "isError": false, "result": result}));
        match talk.actions.remove(0) {
            Action::Emit(emitted) => match emitted.event {
                Event::ToolResult(result) => result.output,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    let end = "b\n\n[Showing lines 2-2 of 2. Full output: /tmp/x]";
    assert_eq!(output(end, json!({"output": "a\nb\n", "truncated": false})), "a\nb\n");
    let both_ends = json!({"output": "a[...]c", "truncated": true, "full_output_path": "/tmp/x"});
    assert_eq!(output(end, both_ends), "a[...]c\n\n[Full output: /tmp/x]");
    let failed = "no\n\n\nCommand exited with code 3";
    assert_eq!(output(failed, json!({"output": "no\n", "exit_code": 3})), failed);
    assert_eq!(
        output("what other tools say", json!({"output": {"odd": 1}})),
        "what other tools say"
    );
}

#[test]
fn words_that_hit_a_limit_are_void_only_if_pi_writes_them_once_more() {
    let retracted = |talk: &Talk| {
        let retracted = talk.actions.iter().filter_map(|action| match action {
            Action::Emit(emitted) => match &emitted.event {
                Event::TextRetracted(retracted) => Some(retracted.text.clone()),
                _ => None,
            },
            _ => None,
        });
        retracted.collect::<Vec<_>>()
    };
    let mut talk = Talk::working();
    talk.line(response("Half of the", "length"));
    talk.line(json!({"type": "compaction_end", "reason": "overflow", "willRetry": true,
        "result": {"summary": "words"}}));
    assert_eq!(retracted(&talk), ["Half of the"]);
    talk.line(response("Whole.", "stop"));
    assert_eq!(retracted(&talk), [] as [&str; 0]);
    talk.line(json!({"type": "agent_settled", "aborted": false}));
    assert_eq!(talk.end().answer, "Whole.");

    // Words of the caller go on behind it.
    let mut talk = Talk::working();
    talk.line(response("Half of the", "length"));
    talk.line(response("As you wish.", "stop"));
    assert_eq!(retracted(&talk), [] as [&str; 0]);
}

#[test]
fn words_that_come_too_late_are_said_to_be_unheard() {
    let unheard = |talk: &Talk| talk.actions.contains(&Action::Cannot("steer"));
    let mut talk = Talk::working();
    talk.line(response("Done.", "stop"));
    talk.step(Input::Steer("wait"));
    assert_eq!(talk.said(), [json!({"type": "steer", "message": "wait", "id": "3"})]);
    talk.line(json!({"type": "agent_settled", "aborted": false}));
    assert!(unheard(&talk), "{:?}", talk.actions);
    talk.step(Input::Steer("wait"));
    assert!(unheard(&talk) && talk.said().is_empty(), "{:?}", talk.actions);

    // A prompt that was refused never begins a turn.
    let mut talk = Talk::opened(&"do it".into());
    talk.step(Input::Steer("and this"));
    talk.line(json!({"type": "response", "id": "2", "success": false, "error": "no"}));
    assert!(unheard(&talk), "{:?}", talk.actions);

    let mut talk = Talk::working();
    talk.step(Input::Steer("and this"));
    talk.line(json!({"type": "response", "id": "3", "success": true}));
    talk.line(response("Done.", "stop"));
    talk.line(json!({"type": "agent_settled", "aborted": false}));
    assert!(!unheard(&talk), "{:?}", talk.actions);
}

/// What became of the messages of the caller's in the last step.
fn steered(talk: &Talk) -> Vec<(&str, bool)> {
    let steered = talk.actions.iter().filter_map(|action| match action {
        Action::Emit(emitted) => match &emitted.event {
            Event::Steered(steered) => Some((steered.text.as_str(), steered.delivered)),
            _ => None,
        },
        _ => None,
    });
    steered.collect()
}

fn of_user(text: &str) -> Value {
    let content = json!([{"type": "text", "text": text}]);
    json!({"type": "message_end", "message": {"role": "user", "content": content}})
}

#[test]
fn a_message_is_pis_when_it_stands_in_the_conversation() {
    let mut talk = Talk::working();
    talk.line(of_user("do it"));
    talk.step(Input::Steer("one"));
    talk.step(Input::Steer("two"));
    talk.line(json!({"type": "response", "id": "3", "success": true}));
    assert_eq!(steered(&talk), []);
    talk.line(json!({"type": "response", "id": "4", "success": false, "error": "full"}));
    assert_eq!(steered(&talk), [("two", false)]);
    talk.line(of_user("one"));
    assert_eq!(steered(&talk), [("one", true)]);
}

#[test]
fn a_message_that_pi_takes_up_behind_a_stop_is_dropped_once_more() {
    let mut talk = Talk::working();
    talk.line(of_user("do it"));
    talk.step(Input::Steer("one"));
    talk.step(Input::Interrupt);
    assert_eq!(talk.said().len(), 2);
    // Pi has queued it after it had cleared its queue (measured).
    talk.line(json!({"type": "response", "id": "4", "success": true}));
    assert_eq!(talk.actions, []);
    talk.line(json!({"type": "response", "id": "3", "success": true}));
    let want = [json!({"type": "clear_queue", "id": "6"}), json!({"type": "abort", "id": "7"})];
    assert_eq!(talk.said(), want);
    talk.step(Input::Steer("two"));
    assert_eq!((talk.said(), steered(&talk)), (Vec::new(), vec![("two", false)]));
    talk.line(json!({"type": "agent_settled", "aborted": true}));
    assert_eq!(talk.failure(), FailureKind::Interrupted);
    assert!(talk.actions.contains(&Action::Finish), "it may begin another run");
}
