//! Docker Agent's stream, line by line, as its source has it.

use belay_agents::{
    Action, Agent, AttemptEnd, DockerAgent, Emitted, Exit, Input, Out, RunRequest, StreamParser,
    Transport,
};
use belay_trace::{Event, EvidenceSource, FailureKind, ToolKind};
use serde_json::{Value, json};

/// The events of a stream, and the ends of its turns.
fn read(lines: &[Value], exit: Exit) -> (Vec<Emitted>, Vec<AttemptEnd>) {
    let agent = DockerAgent::new("agent.yaml");
    let mut parser = StreamParser::new(&agent, &RunRequest::new("p"), Transport::Print);
    let lines = lines.iter().flat_map(|line| parser.parse_stream_line(&line.to_string()));
    let mut events: Vec<Emitted> = lines.collect();
    events.extend(parser.finish(exit));
    (events, parser.take_ended())
}

fn end(lines: &[Value], exit: Exit) -> AttemptEnd {
    let [end] = <[AttemptEnd; 1]>::try_from(read(lines, exit).1).unwrap();
    end
}

fn started(session: &str) -> Value {
    json!({"type": "stream_started", "session_id": session, "agent_name": "root"})
}

fn stopped(session: &str, reason: Option<&str>) -> Value {
    json!({"type": "stream_stopped", "session_id": session, "reason": reason})
}

fn text(session: &str, text: &str) -> Value {
    json!({"type": "agent_choice", "session_id": session, "content": text})
}

fn used(session: &str, input: u64, cost: f64) -> Value {
    let last = json!({"input_tokens": input, "output_tokens": 1, "Cost": cost, "Model": "m"});
    let usage = json!({"input_tokens": 9999, "cost": 9.0, "last_message": last});
    json!({"type": "token_usage", "session_id": session, "usage": usage})
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    let call = json!({"id": id, "function": {"name": name, "arguments": arguments}});
    json!({"type": "tool_call", "tool_call": call})
}

#[test]
fn a_subagents_words_belong_to_its_call_and_its_tokens_to_the_bill() {
    let back = json!({"type": "tool_call_response", "tool_call_id": "c1", "response": "found"});
    let (events, ends) = read(
        &[
            started("s1"),
            text("s1", "Let me ask."),
            used("s1", 100, 0.5),
            call("c1", "transfer_task", "{}"),
            started("s2"),
            text("s2", "I look."),
            call("c2", "shell", r#"{"cmd":"ls"}"#),
            used("s2", 10, 0.25),
            stopped("s2", None),
            back,
            text("s1", "It is there."),
            used("s1", 1, 0.25),
            stopped("s1", None),
        ],
        Exit::Code(0),
    );
    let [end] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((end.answer.as_str(), &end.failure), ("It is there.", &None));
    let usage = &end.usage;
    assert_eq!(
        (usage.input_tokens, usage.total_cost_usd, usage.num_turns),
        (Some(111), Some(1.0), Some(2))
    );
    let under: Vec<(&str, bool)> = events
        .iter()
        .filter(|emitted| {
            matches!(&emitted.event, Event::Text(_) | Event::ToolCall(_) | Event::ToolResult(_))
        })
        .map(|emitted| (emitted.event.type_name(), emitted.parent_tool_id.is_some()))
        .collect();
    let want = [
        ("text", false),
        ("tool_call", false),
        ("text", true),
        ("tool_call", true),
        ("tool_result", false),
        ("text", false),
    ];
    assert_eq!(under, want);
}

#[test]
fn a_resumed_session_does_not_bill_what_was_before() {
    let before = json!({"input_tokens": 5000, "output_tokens": 100, "cost": 3.0});
    let before = json!({"type": "token_usage", "session_id": "s1", "usage": before});
    let lines = [before, started("s1"), text("s1", "Hi."), used("s1", 7, 0.5), stopped("s1", None)];
    let usage = end(&lines, Exit::Code(0)).usage;
    assert_eq!((usage.input_tokens, usage.total_cost_usd), (Some(7), Some(0.5)));
}

/// A third party has seen it: the process ends after `agent_info`, with 0 and without another line.
#[test]
fn an_exit_with_0_before_the_stream_has_stopped_is_no_answer() {
    let info = json!({"type": "agent_info", "agent_name": "root", "model": "openai/gpt-4o"});
    for lines in [vec![info.clone()], vec![info, started("s1"), text("s1", "Half of")]] {
        let end = end(&lines, Exit::Code(0));
        assert_eq!(end.failure.unwrap().kind, FailureKind::Protocol);
    }
}

#[test]
fn only_a_stream_that_stopped_as_usual_has_answered() {
    for (reason, want) in [
        (None, None),
        (Some("normal"), None),
        (Some("canceled"), Some(FailureKind::Interrupted)),
        (Some("hook_blocked"), Some(FailureKind::PermissionDenied)),
        (Some("error"), Some(FailureKind::Unknown)),
        // It goes on, and then it is gone.
        (Some("continue"), Some(FailureKind::Protocol)),
    ] {
        let end = end(&[started("s1"), text("s1", "Hi."), stopped("s1", reason)], Exit::Code(0));
        assert_eq!(end.failure.map(|failure| failure.kind), want, "{reason:?}");
        assert_eq!(end.answer, "Hi.");
    }
}

/// The end of a stream whose process printed this beside it.
fn end_of(lines: &[Value], stderr: &[&str], exit: Exit) -> AttemptEnd {
    let agent = DockerAgent::new("agent.yaml");
    let mut protocol = agent.protocol(&"p".into(), Transport::Print);
    let mut out = Out::default();
    protocol.step(Input::Start, &mut out);
    for line in lines {
        protocol.step(Input::Stdout(line.to_string().as_bytes()), &mut out);
    }
    stderr.iter().for_each(|line| protocol.step(Input::Stderr(line.as_bytes()), &mut out));
    protocol.step(Input::Exit(exit), &mut out);
    let ends = out.actions.into_iter().filter_map(|action| match action {
        Action::TurnEnded(end) => Some(*end),
        _ => None,
    });
    let [end] = <[AttemptEnd; 1]>::try_from(ends.collect::<Vec<_>>()).unwrap();
    end
}

#[test]
fn only_the_words_with_which_it_gives_up_say_why() {
    let lines = [started("s1")];
    let gives_up = "Error: all models failed: POST \"http://h/v1\": 402 Payment Required ";
    for (stderr, exit, want) in [
        (&["Error: 429 rate limit exceeded, says a server", gives_up][..], 1, FailureKind::Billing),
        (&["a server: 429 rate limit exceeded"], 1, FailureKind::Unknown),
        // It has not given up.
        (&["Error: 429 rate limit exceeded"], 0, FailureKind::Protocol),
    ] {
        let failure = end_of(&lines, stderr, Exit::Code(exit)).failure.unwrap();
        assert_eq!(failure.kind, want, "{stderr:?}");
        assert!(failure.evidence.iter().any(|found| found.source == EvidenceSource::Exit));
    }
    let killed = end_of(&lines, &[gives_up], Exit::Signal(9)).failure.unwrap();
    assert_eq!(killed.kind, FailureKind::Crashed);
}

fn iterations(max: u64) -> Value {
    json!({"type": "max_iterations_reached", "max_iterations": max})
}

fn returned(id: &str, name: &str, response: &str) -> Value {
    let call = json!({"id": id, "function": {"name": name, "arguments": "{}"}});
    json!({"type": "tool_call_response", "tool_call": call, "response": response})
}

#[test]
fn a_limit_of_iterations_behind_which_it_goes_on_is_a_notice() {
    let turn = |n: usize| {
        [call(&format!("c{n}"), "think", "{}"), returned(&format!("c{n}"), "think", "ok")]
    };
    let mut lines = vec![started("s1"), used("s1", 1, 0.1)];
    for n in 0..3 {
        lines.extend(turn(n));
        lines.push(iterations(2 + 10 * n as u64));
        lines.push(used("s1", 1, 0.1));
    }
    let whole = [&lines[..], &[text("s1", "All of it."), used("s1", 1, 0.1), stopped("s1", None)]];
    let (events, ends) = read(&whole.concat(), Exit::Code(0));
    assert_eq!((ends[0].answer.as_str(), &ends[0].failure), ("All of it.", &None));
    let notices = events.iter().filter(|emitted| match &emitted.event {
        Event::Notice(notice) => notice.code.as_deref() == Some("max_iterations"),
        _ => false,
    });
    assert_eq!(notices.count(), 3);

    // The last time it does not say so, and ends with 0.
    lines.extend(turn(3));
    let end = end(&lines, Exit::Code(0));
    assert_eq!(end.failure.unwrap().kind, FailureKind::LimitReached);
}

#[test]
fn a_response_without_a_word_makes_the_tokens_a_lower_bound() {
    let silent =
        json!({"type": "token_usage", "session_id": "s1", "usage": {"input_tokens": 9, "cost": 0}});
    let lines = [
        started("s1"),
        call("c1", "think", "{}"),
        returned("c1", "think", "ok"),
        used("s1", 5, 0.5),
        silent,
        stopped("s1", None),
    ];
    let end = end(&lines, Exit::Code(0));
    assert_eq!(end.failure, None);
    assert_eq!((end.usage.input_tokens, end.usage.partial), (Some(5), true));
}

#[test]
fn a_summary_behind_a_tool_is_no_response_to_it() {
    let summary =
        |status: &str| json!({"type": "session_compaction", "session_id": "s1", "status": status});
    let lines = [
        started("s1"),
        used("s1", 5, 0.5),
        call("c1", "shell", "{}"),
        returned("c1", "shell", "Command cancelled"),
        summary("started"),
        summary("completed"),
        json!({"type": "token_usage", "session_id": "s1", "usage": {"input_tokens": 9, "cost": 0}}),
        stopped("s1", None),
    ];
    let end = end(&lines, Exit::Code(0));
    assert_eq!(end.failure.unwrap().kind, FailureKind::Interrupted);
    assert!(end.usage.partial);
}

#[test]
fn a_cost_of_0_is_none_and_one_above_it_is_the_agents() {
    let lines = |cost| [started("s1"), text("s1", "Hi."), used("s1", 7, cost), stopped("s1", None)];
    for (cost, want) in [(0.0, None), (-0.0, None), (0.5, Some(0.5))] {
        let usage = end(&lines(cost), Exit::Code(0)).usage;
        assert_eq!((usage.total_cost_usd, usage.models["m"].cost_usd), (want, want), "{cost}");
    }
}

#[test]
fn a_command_that_failed_is_a_failed_tool_with_its_exit_code() {
    let results = |name: &str, response: &str| {
        let lines = [started("s1"), call("c1", name, "{}"), returned("c1", name, response)];
        let (events, _) = read(&lines, Exit::Code(0));
        events.into_iter().find_map(|emitted| match emitted.event {
            Event::ToolResult(result) => Some((result.tool_error, result.exit_code)),
            _ => None,
        })
    };
    let words = "Error executing command: exit status 3\nOutput:";
    assert_eq!(results("shell", words), Some((true, Some(3))));
    assert_eq!(results("fetch", words), Some((false, None)));
    assert_eq!(results("shell", "exit status 3"), Some((false, None)));
}

#[test]
fn a_prompt_is_read_by_the_model_to_the_last_word() {
    let agent = DockerAgent::new("agent.yaml");
    for (prompt, want) in [
        ("read /attach secret.txt please", Some("read /attach\tsecret.txt please")),
        ("/hello world", Some("/hello\tworld")),
        ("Please:\n/hello world", None),
    ] {
        let mut protocol = agent.protocol(&prompt.into(), Transport::Print);
        let mut out = Out::default();
        protocol.step(Input::Start, &mut out);
        let sent = out.actions.iter().find_map(|action| match action {
            Action::Stdin(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        });
        assert_eq!(sent.as_deref(), want.or(Some(prompt)));
        let is_told = out.actions.iter().any(|action| match action {
            Action::Emit(emitted) => matches!(&emitted.event, Event::Notice(notice)
                if notice.code.as_deref() == Some("prompt_escaped")),
            _ => false,
        });
        assert_eq!(is_told, want.is_some(), "{prompt}");
    }
}

#[test]
fn an_error_that_is_printed_after_all_has_its_class_and_the_iterations_are_a_limit() {
    let error = json!({"type": "error", "error": "slow down", "code": "rate_limited"});
    let limit = json!({"type": "max_iterations_reached", "max_iterations": 3});
    for (line, kind) in [(error, FailureKind::RateLimited), (limit, FailureKind::LimitReached)] {
        let end = end(&[started("s1"), line, stopped("s1", None)], Exit::Code(0));
        assert_eq!(end.failure.unwrap().kind, kind);
    }
}

#[test]
fn an_interrupted_stream_that_stops_without_a_reason_is_no_answer() {
    let agent = DockerAgent::new("agent.yaml");
    let mut protocol = agent.protocol(&"p".into(), Transport::Print);
    let mut out = Out::default();
    protocol.step(Input::Stdout(started("s1").to_string().as_bytes()), &mut out);
    protocol.step(Input::Interrupt, &mut out);
    protocol.step(Input::Stdout(stopped("s1", None).to_string().as_bytes()), &mut out);
    let Some(Action::TurnEnded(end)) = out.actions.last() else { panic!("{:?}", out.actions) };
    assert_eq!(end.failure.as_ref().unwrap().kind, FailureKind::Interrupted);
}

#[test]
fn a_call_that_would_need_a_confirmation_is_denied_and_listed() {
    let asked = json!({"id": "c1", "function": {"name": "shell", "arguments": "{}"}});
    let asked = json!({"type": "tool_call_confirmation", "tool_call": asked});
    let lines = [started("s1"), asked, stopped("s1", Some("normal"))];
    let (events, ends) = read(&lines, Exit::Code(0));
    assert!(events.iter().any(|emitted| matches!(emitted.event, Event::PermissionDenied(_))));
    assert_eq!(ends[0].denials[0].name, "Bash");
}

#[test]
fn a_tool_that_says_that_it_only_reads_is_one_that_reads() {
    let mut line = call("c1", "list_things", "{}");
    line["tool_definition"] = json!({"annotations": {"readOnlyHint": true}});
    let (events, _) = read(&[started("s1"), line], Exit::Code(0));
    let kinds = events.iter().filter_map(|emitted| match &emitted.event {
        Event::ToolCall(call) => Some(call.kind),
        _ => None,
    });
    assert_eq!(kinds.collect::<Vec<_>>(), [ToolKind::Read]);
}

#[test]
fn what_a_model_has_begun_is_void_when_another_one_takes_over() {
    let fallback = json!({"type": "model_fallback", "failed_model": "a", "fallback_model": "b", "reason": "503"});
    let lines =
        [started("s1"), text("s1", "Half of"), fallback, text("s1", "Whole."), stopped("s1", None)];
    let (events, ends) = read(&lines, Exit::Code(0));
    let void = events.iter().find_map(|emitted| match &emitted.event {
        Event::TextRetracted(void) => Some((void.message_id.as_deref(), void.text.as_str())),
        _ => None,
    });
    assert_eq!(void, Some((Some("1"), "Half of")));
    assert_eq!(ends[0].answer, "Whole.");
}

#[test]
fn a_subagent_that_fails_is_not_the_runs_failure_and_a_strangers_words_are_no_answer() {
    let error =
        json!({"type": "error", "session_id": "s2", "error": "slow down", "code": "rate_limited"});
    let limit = json!({"type": "max_iterations_reached", "session_id": "s2", "max_iterations": 5});
    let end = end(
        &[
            started("s1"),
            call("c1", "transfer_task", "{}"),
            started("s2"),
            error,
            limit,
            stopped("s2", Some("error")),
            text("s1", "It is done."),
            // Behind its own end, and of a session that nobody has spoken of.
            text("s2", "Late."),
            text("s9", "Who am I?"),
            stopped("s9", Some("normal")),
            stopped("s1", Some("normal")),
        ],
        Exit::Code(0),
    );
    assert_eq!((end.answer.as_str(), &end.failure), ("It is done.", &None));
}
