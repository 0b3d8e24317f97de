//! Turns whose last words are said, and whose end never comes; and errors behind which a turn ends well.

use crate::recorded::{self, Recording};
use belay_agents::{
    Action, Agent, AttemptEnd, Claude, Codex, DockerAgent, Exit, Input, OpenCode, Out, Protocol,
    TimerId, Transport,
};
use belay_trace::{CostSource, Decision, Event, FailureKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A driver and all that came out of it.
struct Talk {
    protocol: Box<dyn Protocol>,
    out: Out,
}

impl Talk {
    fn new(agent: &dyn Agent, transport: Transport) -> Self {
        let protocol = agent.protocol(&"do it".into(), transport);
        let mut talk = Self { protocol, out: Out::default() };
        talk.step(Input::Start);
        talk
    }

    fn of(recording: &Recording) -> Self {
        let protocol = recording.agent.protocol(&recording.request, recording.transport);
        let mut talk = Self { protocol, out: Out::default() };
        talk.step_in(recording, Input::Start);
        talk
    }

    fn step(&mut self, input: Input<'_>) {
        self.protocol.step(input, &mut self.out);
    }

    /// With the answers that the recorded server gives to what is asked.
    fn step_in(&mut self, recording: &Recording, input: Input<'_>) {
        let before = self.out.actions.len();
        self.step(input);
        for (id, status, body) in recording.answers_to(&self.out.actions[before..]) {
            self.step(Input::Http { id, status, body: body.as_bytes() });
        }
        let asked = self.out.actions[before..].iter().filter_map(|action| match action {
            Action::Emit(emitted) => match &emitted.event {
                Event::PermissionRequest(request) => Some(request.permission_id.clone()),
                _ => None,
            },
            _ => None,
        });
        for id in asked.collect::<Vec<_>>() {
            self.step(Input::Permission { id: &id, answer: Decision::Deny });
        }
    }

    fn hear(&mut self, line: &Value) {
        self.step(Input::Stdout(line.to_string().as_bytes()));
    }

    /// Where the driver waits for an end, that wait is over.
    fn wait(&mut self) {
        let timers = self.out.actions.iter().rev().filter_map(|action| match action {
            Action::Timer(id, _) if id.awaits_end() => Some(*id),
            _ => None,
        });
        if let Some(last) = timers.collect::<Vec<TimerId>>().first() {
            self.step(Input::Timer(*last));
        }
    }

    fn ends(&self) -> Vec<&AttemptEnd> {
        let ends = self.out.actions.iter().filter_map(|action| match action {
            Action::TurnEnded(end) => Some(&**end),
            _ => None,
        });
        ends.collect()
    }

    fn only_end(&self) -> &AttemptEnd {
        let ends = self.ends();
        assert_eq!(ends.len(), 1, "{ends:?}");
        ends[0]
    }

    fn has_finished(&self) -> bool {
        self.out.actions.contains(&Action::Finish)
    }

    fn notices(&self) -> Vec<&str> {
        let codes = self.out.actions.iter().filter_map(|action| match action {
            Action::Emit(emitted) => match &emitted.event {
                Event::Notice(notice) => notice.code.as_deref(),
                _ => None,
            },
            _ => None,
        });
        codes.collect()
    }

    fn retries(&self) -> Vec<(&str, Option<FailureKind>)> {
        let retries = self.out.actions.iter().filter_map(|action| match action {
            Action::Emit(emitted) => match &emitted.event {
                Event::Retry(retry) => Some((retry.reason.as_str(), retry.kind)),
                _ => None,
            },
            _ => None,
        });
        retries.collect()
    }
}

/// How the turns end that are open after so many lines.
fn ends_behind(recording: &Recording, lines: usize) -> Vec<AttemptEnd> {
    let mut talk = Talk::of(recording);
    let all = recording.lines();
    let mut before = 0;
    for (at, line) in all.iter().enumerate() {
        if at == lines {
            before = talk.ends().len();
        }
        talk.step_in(recording, recording.input(line));
    }
    talk.step_in(recording, Input::Exit(recording.exit));
    talk.ends().into_iter().skip(before).cloned().collect()
}

/// Each recording is cut at each line, and then its agent is silent: a turn counts as over only where its answer is
/// whole, or its failure known.
#[test]
fn a_silent_agent_has_answered_only_behind_its_last_words() {
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    for recording in recorded::all() {
        let lines = recording.lines();
        for cut in 1..=lines.len() {
            let mut talk = Talk::of(&recording);
            lines[..cut].iter().for_each(|line| talk.step_in(&recording, recording.input(line)));
            let before = talk.ends().len();
            talk.wait();
            let Some(end) = talk.ends().get(before).copied() else { continue };
            let about = format!("{} cut behind line {cut}", recording.name);
            // Results that were held back come together.
            let wanted = ends_behind(&recording, cut);
            // Copilot names its session with its result, and was told it when it was started.
            let is_known =
                |want: &AttemptEnd| end.session_id.is_none() || want.session_id == end.session_id;
            // Behind a failure, the end that does not come is that failure's.
            let kind = |end: &AttemptEnd| end.failure.as_ref().map(|failure| failure.kind);
            let is_whole = |want: &AttemptEnd| {
                want.answer == end.answer && kind(want) == kind(end) && is_known(want)
            };
            assert!(wanted.iter().any(is_whole), "{about}: {end:?}");
            assert!(end.usage.partial && end.usage.cost_source != CostSource::Reported, "{about}");
            assert!(talk.notices().contains(&"no_end") && talk.has_finished(), "{about}");
            // What comes then is neither another answer nor another end.
            lines[cut..].iter().for_each(|line| talk.step_in(&recording, recording.input(line)));
            talk.step(Input::Exit(Exit::Code(0)));
            if recording.ends().len() == 1 {
                assert_eq!(talk.ends().len(), before + 1, "{about}");
            }
            let way = format!("{} {}", recording.agent.name(), recording.transport.name());
            *answered.entry(way).or_default() += 1;
        }
    }
    let ways: Vec<&str> = answered.keys().map(String::as_str).collect();
    let want = [
        "claude-code dialogue",
        "claude-code print",
        "codex dialogue",
        "copilot print",
        "opencode dialogue",
        "opencode print",
        "pi dialogue",
        "pi print",
    ];
    assert_eq!(ways, want, "{answered:?}");
}

fn claude() -> Talk {
    let mut talk = Talk::new(&Claude::new(), Transport::Print);
    talk.hear(&json!({"type": "system", "subtype": "init", "session_id": "s-1"}));
    talk
}

fn says(text: &str, stop_reason: Option<&str>) -> Value {
    let content = json!([{"type": "text", "text": text}]);
    let usage = json!({"input_tokens": 3, "output_tokens": 9});
    let message = json!({
        "id": text, "model": "opus", "stop_reason": stop_reason, "content": content, "usage": usage
    });
    json!({"type": "assistant", "session_id": "s-1", "message": message})
}

#[test]
fn claude_without_a_result_has_answered_once_nothing_is_open() {
    let mut talk = claude();
    talk.hear(&says("All done.", Some("end_turn")));
    talk.wait();
    assert_eq!((talk.only_end().answer.as_str(), &talk.only_end().failure), ("All done.", &None));
    let late = json!({"type": "result", "session_id": "s-1", "result": "All done."});
    talk.hear(&late);
    assert_eq!(talk.ends().len(), 1);
    assert_eq!(talk.notices(), ["no_end", "late"]);
}

#[test]
fn what_claude_goes_on_with_ends_the_wait_for_its_result() {
    let tool = json!({
        "type": "user", "session_id": "s-1",
        "message": {"content": [{"type": "text", "text": "Stop hook feedback"}]}
    });
    let task = json!({
        "type": "system", "subtype": "task_started", "session_id": "s-1", "task_id": "t",
        "task_type": "local_bash", "is_backgrounded": true
    });
    let ask = json!({
        "type": "control_request", "request_id": "r",
        "request": {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}}
    });
    let next = says("One more thing", None);
    for more in [tool, task, ask, next] {
        let mut talk = claude();
        talk.hear(&says("All done.", Some("end_turn")));
        talk.hear(&more);
        talk.wait();
        assert_eq!(talk.ends().len(), 0, "{more}");
    }
    let mut talk = claude();
    talk.hear(&says("All done.", Some("end_turn")));
    talk.step(Input::Interrupt);
    talk.wait();
    assert_eq!(talk.ends().len(), 0);
}

#[test]
fn a_subagent_that_no_task_tells_of_keeps_claudes_turn_open() {
    let mut talk = claude();
    let mut sub = says("Looking.", None);
    sub["parent_tool_use_id"] = "call-1".into();
    talk.hear(&sub);
    talk.hear(&says("I have started it.", Some("end_turn")));
    talk.wait();
    assert_eq!(talk.ends().len(), 0);
}

fn opencode(lines: &[Value], exit: Exit) -> Talk {
    let mut talk = Talk::new(&OpenCode::new(), Transport::Print);
    lines.iter().for_each(|line| talk.hear(line));
    talk.step(Input::Exit(exit));
    talk
}

fn part(kind: &str, message: &str, more: Value) -> Value {
    let mut part = json!({"id": format!("{message}{kind}"), "messageID": message, "type": kind});
    part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"type": kind.replace('-', "_"), "sessionID": "ses_1", "part": part})
}

fn error() -> Value {
    let data = json!({"message": "ECONNRESET", "statusCode": 200, "isRetryable": true});
    json!({"type": "error", "sessionID": "ses_1", "error": {"name": "APIError", "data": data}})
}

/// A step fails, and the next one ends for this reason.
fn recovered(reason: &str) -> Vec<Value> {
    let tokens =
        json!({"input": 800, "output": 50, "reasoning": 0, "cache": {"read": 0, "write": 0}});
    vec![
        part("step-start", "a", json!({})),
        error(),
        part("step-start", "b", json!({})),
        part("text", "b", json!({"text": "Green again.", "time": {"start": 1, "end": 2}})),
        part("step-finish", "b", json!({"reason": reason, "tokens": tokens, "cost": 0.0021})),
    ]
}

#[test]
fn an_error_behind_which_a_step_of_opencode_ends_well_was_a_retry() {
    for code in [0, 1] {
        let talk = opencode(&recovered("stop"), Exit::Code(code));
        assert_eq!(
            (talk.only_end().answer.as_str(), &talk.only_end().failure),
            ("Green again.", &None)
        );
        assert_eq!(talk.retries(), [("ECONNRESET", Some(FailureKind::Network))], "exit {code}");
        assert_eq!(talk.only_end().usage.total_cost_usd, Some(0.0021));
    }
}

#[test]
fn an_error_behind_which_no_step_ends_well_is_the_failure() {
    let whole = recovered("stop");
    let again = [whole.clone(), vec![error()]].concat();
    for lines in [&whole[..2], &whole[..4], &recovered("length")[..], &again[..]] {
        for code in [0, 1] {
            let talk = opencode(lines, Exit::Code(code));
            assert!(talk.only_end().failure.is_some(), "{} lines, exit {code}", lines.len());
        }
    }
    // Nothing has failed that the exit code could mean.
    let clean: Vec<_> = whole.iter().filter(|line| line["type"] != "error").cloned().collect();
    assert!(opencode(&clean, Exit::Code(1)).only_end().failure.is_some());
    assert!(opencode(&whole, Exit::Signal(9)).only_end().failure.is_some());
}

#[test]
fn an_error_behind_which_docker_agent_responds_was_a_retry() {
    let line = |kind: &str, more: Value| {
        let mut line = json!({"type": kind, "session_id": "s1", "agent_name": "root"});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    let used =
        json!({"usage": {"last_message": {"input_tokens": 8, "output_tokens": 4, "Model": "m"}}});
    let lines = [
        line("stream_started", json!({})),
        line("error", json!({"error": "connection reset by peer"})),
        line("agent_choice", json!({"content": "Done."})),
        line("token_usage", used),
        line("stream_stopped", json!({})),
    ];
    let mut talk = Talk::new(&DockerAgent::new("agent.yaml"), Transport::Print);
    lines.iter().for_each(|line| talk.hear(line));
    assert_eq!((talk.only_end().answer.as_str(), &talk.only_end().failure), ("Done.", &None));
    assert_eq!(talk.retries().len(), 1);
    let mut talk = Talk::new(&DockerAgent::new("agent.yaml"), Transport::Print);
    [&lines[0], &lines[1], &lines[4]].into_iter().for_each(|line| talk.hear(line));
    assert!(talk.only_end().failure.is_some());
}

#[test]
fn an_error_of_codex_behind_which_its_turn_completes_is_no_failure() {
    let mut talk = Talk::new(&Codex::new(), Transport::Print);
    for line in [
        json!({"type": "thread.started", "thread_id": "t-1"}),
        json!({"type": "turn.started"}),
        json!({"type": "error", "message": "stream disconnected"}),
        json!({"type": "item.completed", "item": {"id": "i", "type": "agent_message", "text": "Done."}}),
        json!({"type": "turn.completed", "usage": {"input_tokens": 1, "output_tokens": 1}}),
    ] {
        talk.hear(&line);
    }
    assert_eq!((talk.only_end().answer.as_str(), &talk.only_end().failure), ("Done.", &None));
}
