//! What Gemini and Qwen print in their one-shot mode, as real runs of them have.

use belay_agents::{AttemptEnd, Candidate, Exit, RunRequest, StreamParser, Transport};
use belay_trace::{Event, FailureKind};
use std::path::PathBuf;

const GEMINI: &str = "gemini-0.61.0";
const QWEN: &str = "qwen-0.24.4";

fn lines(agent: &str, name: &str) -> Vec<String> {
    let root: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "..", "recordings", "printed"].iter().collect();
    let text = std::fs::read_to_string(root.join(agent).join(name).join("stdout.jsonl")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn read(agent: &str, lines: &[String]) -> (Vec<Event>, Vec<AttemptEnd>) {
    let name = agent.split_once('-').unwrap().0;
    let agent = name.parse::<Candidate>().unwrap().agent;
    let mut parser = StreamParser::new(agent.as_ref(), &RunRequest::new(""), Transport::Print);
    let mut events: Vec<_> = lines.iter().flat_map(|line| parser.parse_stream_line(line)).collect();
    events.extend(parser.finish(Exit::Code(0)));
    (events.into_iter().map(|emitted| emitted.event).collect(), parser.take_ended())
}

fn one(agent: &str, name: &str) -> (Vec<Event>, AttemptEnd) {
    let (events, mut ends) = read(agent, &lines(agent, name));
    assert_eq!(ends.len(), 1, "{agent}/{name}");
    assert!(events.iter().all(|event| !matches!(event, Event::Unknown(_))), "{agent}/{name}");
    (events, ends.remove(0))
}

fn said(events: &[Event]) -> String {
    let text = events.iter().filter_map(|event| match event {
        Event::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    text.collect()
}

#[test]
fn an_answer_is_read_with_its_session_and_its_figures() {
    // Qwen's figures hold a second request of its own.
    for (agent, used, turns) in [(GEMINI, [800, 50, 200], None), (QWEN, [1600, 100, 400], Some(1))]
    {
        let (events, end) = one(agent, "a-text");
        let answer = "Hello from the lab. This is a plain answer.";
        assert_eq!((said(&events).as_str(), end.answer.as_str()), (answer, answer));
        assert_eq!(end.failure, None);
        let usage = &end.usage;
        let counts = [usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens];
        assert_eq!(counts, used.map(Some), "{agent}");
        assert_eq!((usage.num_turns, end.reported_turns), (Some(1), turns), "{agent}");
        assert!(end.session_id.is_some() && end.model.is_some());
        let Some(Event::SessionStarted(session)) = events.first() else { panic!("{events:?}") };
        assert_eq!(Some(&session.session_id), end.session_id.as_ref());
    }
}

#[test]
fn a_command_is_bash_and_its_result_has_its_name() {
    for agent in [GEMINI, QWEN] {
        let (events, end) = one(agent, "b-shell");
        let call = events.iter().find_map(|event| match event {
            Event::ToolCall(call) => Some(call),
            _ => None,
        });
        let result = events.iter().find_map(|event| match event {
            Event::ToolResult(result) => Some(result),
            _ => None,
        });
        let (call, result) = (call.unwrap(), result.unwrap());
        assert_eq!(call.name, "Bash");
        assert!(call.args.get().contains("echo lab-out"), "{agent}");
        assert_eq!((&result.tool_id, result.name.as_deref()), (&call.tool_id, Some("Bash")));
        assert!(result.output.contains("lab-out") && !result.tool_error, "{agent}");
        assert_eq!(end.answer, "The command printed lab-out.", "{agent}");
        assert_eq!(end.usage.num_turns, Some(2), "{agent}");
    }
}

#[test]
fn thoughts_are_told_where_they_are_printed_and_always_counted() {
    let (_, gemini) = one(GEMINI, "d-reason");
    assert_eq!(
        (gemini.usage.output_tokens, gemini.usage.reasoning_output_tokens),
        (Some(140), Some(60))
    );
    let (events, qwen) = one(QWEN, "d-reason");
    assert!(events.iter().any(|event| matches!(event, Event::Reasoning(_))));
    assert_eq!(qwen.answer, "The answer is 42.");
}

#[test]
fn a_refused_key_is_a_failure_of_the_login() {
    for agent in [GEMINI, QWEN] {
        let (_, end) = one(agent, "h-401");
        assert_eq!(end.failure.unwrap().kind, FailureKind::Auth, "{agent}");
    }
}

/// Gemini cuts its output in the middle of a line when it is long, and exits with 0.
#[test]
fn a_stream_that_was_cut_is_a_failure_wherever_it_was_cut() {
    for agent in [GEMINI, QWEN] {
        let whole = lines(agent, "b-shell");
        for at in 0..whole.len() {
            let (_, ends) = read(agent, &whole[..at]);
            assert_eq!(ends.len(), 1, "{agent} {at}");
            assert!(ends[0].failure.is_some(), "{agent} {at}");
        }
    }
}
