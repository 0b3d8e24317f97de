//! What a real agent answers, and what it says that it used.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Stage, TOKENS, Way, on};
use belay_testkit::model_server::{ModelServer, Reply, Script, Tokens};
use belaykit::trace::CostSource;
use belaykit::{Decision, Event, Permissions, Record, RunRequest};
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex};

/// Three pieces of the stream at least.
const LONG: &str = "A text that is longer than one chunk of twenty characters — ganz gewiß.";

fn the_text_is_the_answer_and_the_usage_is_the_scripts(stage: &Stage) {
    let script = Script::new().reply(Reply::text(LONG).usage(TOKENS));
    let played = stage.play(script, "PROMPT");
    let outcome = played.answered(LONG);
    assert_eq!(played.said(), LONG);
    played.used(stage.way, 1);
    assert!(outcome.session_id.is_some() && outcome.denials.is_empty());
    assert_eq!(played.of_type("attempt_ended").len(), 1);
    assert_eq!(played.of_type("session_started").len(), 1);
    assert_eq!(played.of_type("turn_started").len(), 1);
    let Event::AttemptStarted(attempt) = &played.of_type("attempt_started")[0].event else {
        unreachable!()
    };
    assert_eq!(attempt.transport, stage.way.transport().name());
    // A server is told to end when its turn is over, and so is Qwen, which lingers.
    if !matches!(stage.way, Way::OpenCode | Way::Qwen) {
        assert_eq!(played.attempt_ended().exit_code, Some(0));
    }
    assert!(!played.attempt_ended().forced);
    assert_eq!(played.requests.len(), 1);
}
on!(the_text_is_the_answer_and_the_usage_is_the_scripts: claude, codex, opencode, pi, gemini, qwen, copilot; claude_print, codex_exec, opencode_run, pi_print);

fn the_model_is_known(stage: &Stage) {
    let played = stage.play(Script::new().reply(Reply::text("Hi.")), "PROMPT");
    let asked = played.requests[0].body["model"].as_str().unwrap();
    // Pi's models have their provider in the name; the provider is asked without it.
    let known = if stage.way.is_pi() { format!("lab/{asked}") } else { asked.to_owned() };
    assert_eq!(played.answered("Hi.").model, Some(known));
}
on!(the_model_is_known: claude; claude_print, codex, opencode, pi, pi_print, qwen, copilot);

fn a_message_streams_in_pieces_and_no_piece_comes_twice(stage: &Stage) {
    let script = Script::new().reply(Reply::text(LONG));
    let played = stage.play(script, "PROMPT");
    played.answered(LONG);
    let texts = played.texts();
    assert!(texts.len() >= 3, "{texts:#?}");
    assert!(texts.iter().all(|text| text.message_id == texts[0].message_id));
    assert!(texts[0].message_id.is_some());
    assert_eq!(played.said(), LONG);
}
on!(a_message_streams_in_pieces_and_no_piece_comes_twice: claude; claude_print, codex, opencode, pi, pi_print, copilot);

fn the_handler_and_the_output_get_what_the_stream_gets(stage: &Stage) {
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let server = ModelServer::start(Script::new().reply(Reply::text(LONG))).unwrap();
    let (output, seen) = (Shared::default(), Arc::new(Mutex::new(Vec::new())));
    let handler = Arc::clone(&seen);
    let client = stage
        .client(&server)
        .output(output.clone())
        .on_event(move |record| handler.lock().unwrap().push(record.clone()));
    let played = stage.play_on(&server, &client, "PROMPT", |_, _| {});
    played.answered(LONG);
    assert_eq!(*output.0.lock().unwrap(), LONG.as_bytes());
    assert_eq!(*seen.lock().unwrap(), played.records);
}
on!(the_handler_and_the_output_get_what_the_stream_gets: claude; codex, opencode, pi);

fn reasoning_is_apart_from_the_answer(stage: &Stage) {
    let thought = "First this, then that, and at last the other thing.";
    let tokens = Tokens { reasoning: 40, ..TOKENS };
    let reply = Reply::thinking(thought).and_text("So: yes.").usage(tokens);
    let played = stage.play(Script::new().reply(reply), "PROMPT");
    let outcome = played.answered("So: yes.");
    assert_eq!(played.said(), "So: yes.");
    assert_eq!(played.reasoning(), thought, "{played:#?}");
    assert_eq!(outcome.usage.reasoning_output_tokens, Some(40));
    played.used_tokens(stage.way, &tokens);
}
on!(reasoning_is_apart_from_the_answer: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, qwen, copilot);

fn the_answer_is_the_last_message_and_usage_sums_the_responses(stage: &Stage) {
    let script = Script::new()
        .reply(Reply::text("I will look.").shell("echo hi").usage(TOKENS))
        .reply(Reply::text("It says hi.").usage(TOKENS));
    let played = stage.play(script, RunRequest::new("PROMPT").permissions(Permissions::Full));
    let outcome = played.answered("It says hi.");
    assert_eq!(played.said(), "I will look.It says hi.");
    assert_eq!(played.of_type("turn_started").len(), 2);
    played.used(stage.way, 2);
    assert_eq!(outcome.usage.num_turns, Some(2));
}
on!(the_answer_is_the_last_message_and_usage_sums_the_responses: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

/// Text, then a tool, then text again within one response is no retraction and no doubling.
fn two_texts_of_one_response_are_both_said(stage: &Stage) {
    let reply = Reply::text("Before.").shell("echo hi").and_text("After.");
    let script = Script::new().reply(reply).reply(Reply::text("Done."));
    let played = stage.play(script, RunRequest::new("PROMPT").permissions(Permissions::Full));
    played.answered("Done.");
    assert_eq!(played.said(), "Before.After.Done.");
    assert!(played.of_type("text_retracted").is_empty());
}
on!(two_texts_of_one_response_are_both_said: claude; claude_print, codex, codex_exec, pi, pi_print);

fn the_context_is_what_the_last_response_filled(stage: &Stage) {
    let played = stage.play(Script::new().reply(Reply::text("Hi.").usage(TOKENS)), "PROMPT");
    played.answered("Hi.");
    let contexts = played.of_type("context");
    let Event::Context(context) = &contexts.last().expect("a context").event else {
        unreachable!()
    };
    let all = TOKENS.input + TOKENS.cache_read + TOKENS.cache_write + TOKENS.output;
    assert_eq!(context.used_tokens, all);
    let window = match stage.way {
        Way::Claude | Way::ClaudePrint => Some(200_000),
        Way::Pi => Some(128_000),
        // Its stream does not tell.
        Way::PiPrint => None,
        _ => Some(258_400),
    };
    assert_eq!(context.window_tokens, window);
}
on!(the_context_is_what_the_last_response_filled: claude; claude_print, codex, pi, pi_print);

fn a_subagent_is_paid_for_once_and_its_events_are_its_own(stage: &Stage) {
    let task = json!({
        "description": "count files", "prompt": "SUB-PROMPT count the files",
        "subagent_type": "general-purpose", "run_in_background": false,
    });
    let script = Script::new()
        .reply(Reply::text("Delegating.").tool("Task", task).usage(TOKENS))
        .reply(Reply::text("It says 0.").usage(TOKENS))
        .when(
            "SUB-PROMPT",
            [
                Reply::text("Counting.").shell("ls | wc -l").usage(TOKENS),
                Reply::text("There are 0 files.").usage(TOKENS),
            ],
        );
    let played = stage.play(script, RunRequest::new("PROMPT").permissions(Permissions::Full));
    let outcome = played.answered("It says 0.");
    played.used(stage.way, 4);
    assert_eq!(played.said(), "Delegating.It says 0.");
    let task = played.calls()[0].tool_id.clone();
    let nested: Vec<_> = played.records.iter().filter(|r| r.parent_tool_id.is_some()).collect();
    assert!(nested.iter().all(|record| record.parent_tool_id == task), "{nested:#?}");
    let types: Vec<_> = nested.iter().map(|record| record.event.type_name()).collect();
    assert!(types.contains(&"tool_call") && types.contains(&"tool_result"), "{types:?}");
    // The model's own parts add up to the whole.
    let cost: f64 = outcome.usage.models.values().filter_map(|model| model.cost_usd).sum();
    assert!((cost - outcome.usage.total_cost_usd.unwrap()).abs() < 1e-9);
    // Its responses are no turns of the main thread.
    let own = |record: &&Record| record.parent_tool_id.is_none();
    let turns = played.records.iter().filter(own);
    assert_eq!(turns.filter(|record| record.event.type_name() == "turn_started").count(), 2);
}
on!(a_subagent_is_paid_for_once_and_its_events_are_its_own: claude; claude_print);

/// OpenCode's subagents work in sessions of their own: what they ask for is asked of us, and what they use is used.
fn a_subagent_of_opencode_asks_and_is_paid_for(stage: &Stage) {
    let stage = &stage.with_policy("on-request", "read-only");
    let task = json!({
        "description": "count files", "prompt": "SUB-PROMPT count the files",
        "subagent_type": "general",
    });
    let script = Script::new()
        .reply(Reply::text("Delegating.").tool("task", task).usage(TOKENS))
        .reply(Reply::text("It says 0.").usage(TOKENS))
        .when(
            "SUB-PROMPT",
            [
                Reply::text("Counting.").shell("ls | wc -l").usage(TOKENS),
                Reply::text("There are 0 files.").usage(TOKENS),
            ],
        );
    let server = ModelServer::start(script).unwrap();
    let client = stage.client(&server).on_permission(|_| Decision::Allow);
    let played = stage.play_on(&server, &client, "PROMPT", |_, _| {});
    played.answered("It says 0.");
    played.used(stage.way, 4);
    assert_eq!(played.said(), "Delegating.It says 0.");
    let task = played.calls()[0].tool_id.clone();
    assert_eq!(played.calls()[0].name, "task");
    let nested: Vec<_> = played.records.iter().filter(|r| r.parent_tool_id.is_some()).collect();
    assert!(nested.iter().all(|record| record.parent_tool_id == task), "{nested:#?}");
    let types: Vec<_> = nested.iter().map(|record| record.event.type_name()).collect();
    for name in ["permission_request", "tool_call", "tool_result", "text", "usage"] {
        assert!(types.contains(&name), "{name}: {types:?}");
    }
    let bash = played.calls()[1];
    assert!(!played.result_of(bash.tool_id.as_ref()).tool_error, "{played:#?}");
    assert_eq!(played.outcome().usage.num_turns, Some(2));
}
on!(a_subagent_of_opencode_asks_and_is_paid_for: opencode);

/// `opencode run` tells the answer of a subagent, and not what it has used.
fn what_a_hidden_subagent_has_cost_is_said_to_be_unknown(stage: &Stage) {
    let task = json!({
        "description": "count files", "prompt": "SUB-PROMPT count", "subagent_type": "general",
    });
    let script = Script::new()
        .reply(Reply::text("Delegating.").tool("task", task).usage(TOKENS))
        .reply(Reply::text("It says 0.").usage(TOKENS))
        .when("SUB-PROMPT", Reply::text("There are 0 files.").usage(TOKENS));
    let played = stage.play(script, RunRequest::new("PROMPT").permissions(Permissions::Full));
    let outcome = played.answered("It says 0.");
    assert_eq!(outcome.usage.cost_source, CostSource::Partial);
    assert_eq!(outcome.usage.output_tokens, Some(2 * TOKENS.output));
    assert!(played.notices().iter().any(|(code, _)| *code == "usage_partial"), "{played:#?}");
}
on!(what_a_hidden_subagent_has_cost_is_said_to_be_unknown: opencode_run);

/// `opencode run` ends before its output is read, and what the pipe does not hold is lost (measured).
fn an_answer_of_a_megabyte_arrives(stage: &Stage) {
    let answer = "0123456789abcdé ".repeat(62_500);
    let played = stage.play(Script::new().reply(Reply::text(answer.as_str())), "PROMPT");
    played.answered(&answer);
    assert!(played.said() == answer);
}
on!(an_answer_of_a_megabyte_arrives: opencode; copilot);
