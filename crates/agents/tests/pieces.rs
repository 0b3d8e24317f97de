//! Responses that arrive in pieces and do not arrive whole.

use belay_agents::{
    Agent, AttemptEnd, Claude, Codex, Emitted, Exit, RunRequest, StreamParser, Transport,
};
use belay_trace::Event;
use serde_json::{Value, json};

/// The events of a stream that breaks off, and the ends of its turns.
fn read(agent: &dyn Agent, lines: &[Value]) -> (Vec<Event>, Vec<AttemptEnd>) {
    let mut parser = StreamParser::new(agent, &RunRequest::new("p"), Transport::Dialogue);
    let lines = lines.iter().flat_map(|line| parser.parse_stream_line(&line.to_string()));
    let mut events: Vec<Emitted> = lines.collect();
    events.extend(parser.finish(Exit::Code(0)));
    (events.into_iter().map(|emitted| emitted.event).collect(), parser.take_ended())
}

fn retracted(events: &[Event]) -> Vec<(&str, &str)> {
    let retracted = events.iter().filter_map(|event| match event {
        Event::TextRetracted(void) => {
            Some((void.message_id.as_deref().unwrap(), void.text.as_str()))
        }
        _ => None,
    });
    retracted.collect()
}

fn claude_begins(message: &str) -> Value {
    json!({"type": "stream_event", "event": {"type": "message_start", "message": {"id": message}}})
}

fn claude_piece(delta: Value) -> Value {
    let event = json!({"type": "content_block_delta", "index": 0, "delta": delta});
    json!({"type": "stream_event", "event": event})
}

fn claude_text(text: &str) -> Value {
    claude_piece(json!({"type": "text_delta", "text": text}))
}

fn claude_thought(text: &str) -> Value {
    claude_piece(json!({"type": "thinking_delta", "thinking": text}))
}

fn claude_ends(is_error: bool) -> Value {
    let reason = if is_error { "aborted_streaming" } else { "completed" };
    json!({"type": "result", "is_error": is_error, "terminal_reason": reason, "result": "done"})
}

#[test]
fn the_next_turn_does_not_void_what_an_interrupt_cut_off() {
    let init = json!({"type": "system", "subtype": "init", "session_id": "s"});
    let (events, ends) = read(
        &Claude::new(),
        &[
            init.clone(),
            claude_begins("m1"),
            claude_text("half an "),
            claude_text("ans"),
            claude_ends(true),
            init,
            claude_begins("m2"),
            claude_text("whole"),
            claude_ends(false),
        ],
    );
    assert_eq!(retracted(&events), []);
    let answers: Vec<&str> = ends.iter().map(|end| end.answer.as_str()).collect();
    assert_eq!(answers, ["half an ans", "done"]);
}

#[test]
fn reasoning_of_a_dropped_response_is_void_too() {
    let (events, _) =
        read(&Claude::new(), &[claude_begins("m1"), claude_thought("hm"), claude_begins("m2")]);
    assert_eq!(retracted(&events), [("m1", "")]);
}

#[test]
fn an_unfinished_claude_answer_has_all_its_blocks() {
    let block = |text: &str| {
        let content = [json!({"type": "text", "text": text})];
        json!({"type": "assistant", "message": {"id": "m1", "content": content}})
    };
    let (_, ends) = read(&Claude::new(), &[block("one "), block("two")]);
    assert_eq!(ends[0].answer, "one two");
}

#[test]
fn words_that_claude_puts_into_the_conversation_are_noticed_and_our_own_are_not() {
    let user =
        |replay: bool| json!({"type": "user", "isReplay": replay, "message": {"content": "words"}});
    let (events, _) = read(&Claude::new(), &[user(true), user(false)]);
    assert_eq!(events.len(), 1);
    assert!(matches!(&events[0], Event::Notice(notice) if notice.text == "words"));
}

fn codex(method: &str, params: Value) -> Value {
    json!({"method": method, "params": params})
}

fn codex_turn() -> Value {
    codex("turn/started", json!({"threadId": "t", "turn": {"id": "u"}}))
}

#[test]
fn an_unfinished_codex_answer_is_what_was_said_and_not_what_was_thought() {
    let piece = |method: &str, item: &str, delta: &str| {
        codex(method, json!({"itemId": item, "delta": delta}))
    };
    let (_, ends) = read(
        &Codex::new(),
        &[
            codex_turn(),
            piece("item/reasoning/textDelta", "r1", "secret"),
            piece("item/agentMessage/delta", "m1", "half an "),
            piece("item/agentMessage/delta", "m1", "answer"),
            piece("item/reasoning/textDelta", "r2", "secret"),
        ],
    );
    assert_eq!(ends[0].answer, "half an answer");
}

#[test]
fn a_response_that_codex_tries_again_is_void_in_the_order_in_which_it_came() {
    let piece =
        |item: String| codex("item/agentMessage/delta", json!({"itemId": item, "delta": "x"}));
    let mut lines = vec![codex_turn()];
    lines.push(codex("item/reasoning/textDelta", json!({"itemId": "r", "delta": "x"})));
    lines.extend((0..5).map(|i| piece(format!("m{i}"))));
    let error = json!({"message": "Reconnecting... 1/5"});
    lines.push(codex("error", json!({"willRetry": true, "error": error})));
    lines.push(codex("item/started", json!({"item": {"type": "agentMessage", "id": "n"}})));
    let (events, ends) = read(&Codex::new(), &lines);
    assert_eq!(events.last().unwrap().type_name(), "turn_started");
    let want = [("r", ""), ("m0", "x"), ("m1", "x"), ("m2", "x"), ("m3", "x"), ("m4", "x")];
    assert_eq!(retracted(&events), want);
    assert_eq!(ends[0].answer, "");
}

#[test]
fn an_image_that_codex_made_is_a_tool_result_without_its_bytes() {
    let item =
        json!({"type": "imageGeneration", "id": "i", "status": "completed", "result": "aGk="});
    let (events, _) =
        read(&Codex::new(), &[codex_turn(), codex("item/completed", json!({"item": item}))]);
    let results = events.iter().filter_map(|event| match event {
        Event::ToolResult(result) => Some(result.output.as_str()),
        _ => None,
    });
    assert_eq!(results.collect::<Vec<_>>(), [""]);
}
