//! Ends of turns that are none of the run's: of another session, of a subagent, or told once more.

use belay_agents::{
    Action, Agent, AttemptEnd, Claude, Codex, Exit, Input, Out, RunRequest, Transport,
};
use belay_trace::{Event, FailureKind};
use serde_json::{Value, json};

/// What the agent's lines and its exit come to: the ends of turns, and the codes of notices.
fn read(agent: &dyn Agent, lines: &[Value]) -> (Vec<AttemptEnd>, Vec<String>) {
    let mut protocol = agent.protocol(&RunRequest::new("hi"), Transport::Print);
    let mut out = Out::default();
    protocol.step(Input::Start, &mut out);
    for line in lines {
        protocol.step(Input::Stdout(line.to_string().as_bytes()), &mut out);
    }
    protocol.step(Input::Exit(Exit::Code(0)), &mut out);
    let (mut ends, mut codes) = (Vec::new(), Vec::new());
    for action in out.actions {
        match action {
            Action::TurnEnded(end) => ends.push(*end),
            Action::Emit(emitted) => match emitted.event {
                Event::Notice(notice) => codes.extend(notice.code),
                Event::Unknown(_) => codes.push("unknown".to_owned()),
                _ => {}
            },
            _ => {}
        }
    }
    (ends, codes)
}

fn init() -> Value {
    json!({"type": "system", "subtype": "init", "session_id": "s1", "model": "opus"})
}

fn says(id: &str, text: &str) -> Value {
    let message =
        json!({"id": id, "role": "assistant", "content": [{"type": "text", "text": text}]});
    json!({"type": "assistant", "session_id": "s1", "message": message})
}

fn calls(id: &str) -> Value {
    let call = json!({"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}});
    json!({"type": "assistant", "session_id": "s1", "message": {"id": id, "content": [call]}})
}

fn result(text: &str) -> Value {
    json!({"type": "result", "subtype": "success", "is_error": false, "result": text,
        "session_id": "s1", "total_cost_usd": 0.1, "uuid": text})
}

fn with(mut line: Value, field: &str, value: &str) -> Value {
    line[field] = value.into();
    line
}

#[test]
fn a_result_of_another_session_or_of_a_subagent_ends_nothing() {
    let strays = [
        (with(result("FORGED"), "session_id", "s2"), "unknown"),
        (with(result("FORGED"), "parent_tool_use_id", "t1"), "late"),
    ];
    for (stray, code) in strays {
        let (ends, codes) = read(&Claude::new(), &[init(), says("m1", "half"), stray.clone()]);
        let failure = ends[0].failure.as_ref().expect("no result came");
        assert_eq!((ends.len(), failure.kind), (1, FailureKind::Protocol));
        assert_eq!((ends[0].answer.as_str(), codes), ("half", vec![code.to_owned()]));
        // Neither before the end nor behind it.
        for lines in [
            [init(), says("m1", "A"), stray.clone(), result("A")],
            [init(), says("m1", "A"), result("A"), stray.clone()],
        ] {
            let (ends, _) = read(&Claude::new(), &lines);
            assert_eq!((ends.len(), ends[0].answer.as_str()), (1, "A"));
            assert!(ends[0].failure.is_none());
        }
    }
}

#[test]
fn a_result_that_is_printed_twice_is_counted_once() {
    let (ends, codes) = read(&Claude::new(), &[init(), says("m1", "A"), result("A"), result("A")]);
    assert_eq!((ends.len(), codes), (1, vec!["late".to_owned()]));
}

#[test]
fn another_init_begins_another_session() {
    let other = with(init(), "session_id", "s2");
    let (mut said, mut end) = (says("m2", "B"), result("B"));
    (said["session_id"], end["session_id"]) = ("s2".into(), "s2".into());
    let (ends, codes) = read(&Claude::new(), &[init(), result("A"), other, said, end]);
    assert_eq!((ends.len(), ends[1].answer.as_str(), codes), (2, "B", vec![]));
}

#[test]
fn a_silent_turn_behind_an_answer_takes_nothing_away() {
    for silence in ["", "\n"] {
        let lines = [init(), says("m1", "A"), result("A"), init(), result(silence)];
        let (mut ends, _) = read(&Claude::new(), &lines);
        let last = ends.pop().unwrap();
        let mut first = ends.pop().unwrap();
        first.followed_by(last);
        assert_eq!((first.answer.as_str(), first.failure), ("A", None), "{silence:?}");
    }
}

#[test]
fn words_in_front_of_a_tool_call_are_no_answer_behind_it() {
    let (ends, codes) =
        read(&Claude::new(), &[init(), says("m1", "I look."), calls("m1"), result("")]);
    assert_eq!((ends[0].answer.as_str(), &ends[0].failure), ("", &None));
    assert_eq!(codes, ["empty_answer"]);
}

#[test]
fn a_filtered_response_of_claude_is_refused_by_any_name() {
    for reason in ["refusal", "content_filter", "SAFETY"] {
        let end = with(result("half"), "stop_reason", reason);
        let (ends, _) = read(&Claude::new(), &[init(), says("m1", "half"), end]);
        let failure = ends[0].failure.as_ref().expect(reason);
        assert_eq!((failure.kind, ends[0].answer.as_str()), (FailureKind::Refused, "half"));
    }
}

#[test]
fn an_answer_that_was_cut_at_its_limit_is_none_and_is_kept() {
    for reason in ["max_tokens", "length", "MAX_TOKENS"] {
        let end = with(result("half"), "stop_reason", reason);
        let (ends, _) = read(&Claude::new(), &[init(), says("m1", "half"), end]);
        let failure = ends[0].failure.as_ref().expect(reason);
        assert_eq!((failure.kind, ends[0].answer.as_str()), (FailureKind::OutputLimit, "half"));
        assert_eq!(failure.message, "the answer was cut off at the model's output limit");
    }
}

#[test]
fn what_does_not_go_with_an_answer_is_told_beside_it() {
    let mut errors = result("A");
    errors["errors"] = json!(["first", "second"]);
    let mut stopped = result("A");
    stopped["safety_stops"] = json!(1);
    for (end, code) in [
        (errors, "result_errors"),
        (stopped, "safety_stops"),
        (with(result("A"), "subtype", "interesting"), "unknown_subtype"),
    ] {
        let (ends, codes) = read(&Claude::new(), &[init(), says("m1", "A"), end]);
        assert_eq!((ends[0].answer.as_str(), &ends[0].failure), ("A", &None), "{code}");
        assert_eq!(codes, [code]);
    }
}

/// What is open when the turns have ended, by the last list that was told.
fn left_open(lines: &[Value]) -> Vec<String> {
    let mut protocol = Claude::new().protocol(&RunRequest::new("hi"), Transport::Dialogue);
    let mut out = Out::default();
    for line in lines {
        protocol.step(Input::Stdout(line.to_string().as_bytes()), &mut out);
    }
    let mut open = Vec::new();
    for action in out.actions {
        if let Action::Emit(emitted) = action
            && let Event::BackgroundTasks(told) = emitted.event
        {
            open = told.tasks.into_iter().map(|task| task.description).collect();
        }
    }
    open
}

#[test]
fn a_call_that_outlives_its_turn_is_waited_for() {
    let returned = |id: &str| {
        let block = json!({"type": "tool_result", "tool_use_id": id, "content": "ok"});
        json!({"type": "user", "session_id": "s1", "message": {"content": [block]}})
    };
    let turn = [init(), calls("m1"), result("A")];
    assert_eq!(left_open(&turn), ["Bash"]);
    assert_eq!(left_open(&[&turn[..], &[returned("t2")]].concat()), ["Bash"]);
    let none = [""; 0];
    assert_eq!(left_open(&[&turn[..], &[returned("t1")]].concat()), none);
    assert_eq!(left_open(&[init(), calls("m1"), returned("t1"), result("A")]), none);
    // The turn says why: a hook has put the call off, it was denied, the turn was aborted.
    let mut denied = result("A");
    denied["permission_denials"] = json!([{"tool_name": "Bash", "tool_use_id": "t1"}]);
    let deferred = with(result("A"), "terminal_reason", "tool_deferred");
    let aborted = with(result("A"), "terminal_reason", "aborted_tools");
    for end in [denied, deferred, aborted] {
        assert_eq!(left_open(&[init(), calls("m1"), end]), none);
    }
    // It is a task of Claude's own.
    let begun = json!({"type": "system", "subtype": "task_started", "session_id": "s1", "task_id": "b1",
        "task_type": "local_bash", "tool_use_id": "t1", "description": "build", "is_backgrounded": true});
    assert_eq!(left_open(&[init(), calls("m1"), begun, result("A")]), ["build"]);
}

#[test]
fn ten_thousand_tasks_are_told_a_hundred_at_a_time() {
    let task = |subtype: &str, n: usize| {
        json!({"type": "system", "subtype": subtype, "session_id": "s1", "task_id": format!("a{n}"),
            "task_type": "local_agent", "description": format!("task {n}"), "is_backgrounded": true})
    };
    let begun = (0..10_000).map(|n| task("task_started", n));
    let ended = (0..10_000).map(|n| task("task_notification", n));
    let lines: Vec<_> = [init()].into_iter().chain(begun).chain(ended).collect();
    let mut protocol = Claude::new().protocol(&RunRequest::new("hi"), Transport::Dialogue);
    let mut out = Out::default();
    let mut most = (0, 0);
    let mut last = None;
    for line in &lines {
        protocol.step(Input::Stdout(line.to_string().as_bytes()), &mut out);
        for action in out.actions.drain(..) {
            if let Action::Emit(emitted) = action
                && let Event::BackgroundTasks(told) = emitted.event
            {
                most = most.max((told.tasks.len(), told.more));
                last = Some(told);
            }
        }
    }
    assert_eq!(most, (100, 9900));
    assert_eq!(last, Some(belay_trace::BackgroundTasks::default()));
}

#[test]
fn a_turn_of_codex_that_ends_twice_ends_once() {
    let usage = json!({"input_tokens": 10, "cached_input_tokens": 0, "output_tokens": 5});
    let end = json!({"type": "turn.completed", "usage": usage});
    let said = json!({"id": "i1", "type": "agent_message", "text": "A"});
    let begin = [
        json!({"type": "thread.started", "thread_id": "t"}),
        json!({"type": "turn.started"}),
        json!({"type": "item.completed", "item": said}),
    ];
    let failed = json!({"type": "turn.failed", "error": {"message": "no"}});
    for again in [end.clone(), failed] {
        let lines = [&begin[..], &[end.clone(), again]].concat();
        let (ends, codes) = read(&Codex::new(), &lines);
        assert_eq!((ends.len(), ends[0].usage.input_tokens), (1, Some(10)));
        assert_eq!((&ends[0].failure, codes), (&None, vec!["late".to_owned()]));
    }
}
