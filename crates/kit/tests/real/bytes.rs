//! Much, and strange: outputs and answers of real agents whose bytes must all arrive.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, Stage, TOKENS, on};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belaykit::{Event, Permissions, RunRequest};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// Escapes, two-, three- and four-byte characters, a joined one, separators that are line ends to some, a lone CR.
const STRANGE: &str = "\u{1b}[31mred\u{1b}[0m Grüße 日本語 🦀 👩‍👩‍👧 e\u{301} \u{2028}\u{2029}\u{85} a\rb \"q\" \\n \u{7f}\ttab";

fn full() -> RunRequest {
    RunRequest::new("PROMPT").permissions(Permissions::Full)
}

/// The agent prints what stands in this file of the project.
fn prints(stage: &Stage, content: &[u8]) -> Played {
    fs::write(stage.file("output"), content).unwrap();
    let script = Script::new().reply(Reply::new().shell("cat output")).reply(Reply::text("Done."));
    let played = stage.play(script, full());
    played.answered("Done.");
    assert!(played.of_type("oversized_line").is_empty());
    played
}

fn output(played: &Played) -> &str {
    &played.result_of(played.calls()[0].tool_id.as_ref()).output
}

fn longest_line(played: &Played) -> usize {
    played.agent_lines().iter().map(|line| line.to_string().len()).max().unwrap_or_default()
}

fn strange_characters_of_a_tool_arrive(stage: &Stage) {
    let played = prints(stage, format!("{STRANGE}\nlast\n").as_bytes());
    assert_eq!(output(&played), format!("{STRANGE}\nlast\n"));
}
on!(strange_characters_of_a_tool_arrive: pi; pi_print, copilot);

/// What is no UTF-8 is replaced by the agent, and what stands around it is there.
fn bytes_that_are_no_text_cost_only_themselves(stage: &Stage) {
    let played = prints(stage, b"before \xff\xfe\x80 after\n");
    assert_eq!(output(&played), "before \u{fffd}\u{fffd}\u{fffd} after\n");
}
on!(bytes_that_are_no_text_cost_only_themselves: pi; pi_print, copilot);

/// The model is given the end of it, 50 kB; a reader gets all of it.
fn what_the_model_is_given_only_the_end_of_is_whole(stage: &Stage) {
    let content: String = (0..9000).map(|n| format!("line {n} of many, with an ä\n")).collect();
    let played = prints(stage, content.as_bytes());
    assert_eq!(output(&played), content);
    let given = played.requests[1].body["messages"].as_array().unwrap().last().unwrap();
    assert!(given.to_string().len() < 60_000);
}
on!(what_the_model_is_given_only_the_end_of_is_whole: pi; pi_print);

/// Pi prints a megabyte of it, both ends, and says where the rest is.
fn two_megabytes_of_a_tool_have_both_ends_and_their_place(stage: &Stage) {
    let content =
        format!("BEGIN\n{}END\n", "0123456789abcdefghijklmnopqrstuvwxyz\n".repeat(57_000));
    assert!(content.len() > 2_100_000);
    let played = prints(stage, content.as_bytes());
    let output = output(&played);
    assert!(output.starts_with("BEGIN\n0123"), "{output:.200}");
    assert!(output.contains("bytes omitted"));
    assert!(output.len() > 1024 * 1024);
    let place = output.rsplit_once("[Full output: ").expect("the place of the whole").1;
    let place = place.strip_suffix(']').unwrap();
    assert_eq!(fs::read_to_string(place).unwrap(), content);
    assert!(longest_line(&played) > 1024 * 1024, "{}", longest_line(&played));
}
on!(two_megabytes_of_a_tool_have_both_ends_and_their_place: pi; pi_print);

/// One line without an end, which is a line of the agent's stream too.
fn one_line_of_a_megabyte_of_a_tool_arrives(stage: &Stage) {
    let content = "ä".repeat(500_000);
    let played = prints(stage, content.as_bytes());
    assert_eq!(output(&played), content);
}
on!(one_line_of_a_megabyte_of_a_tool_arrives: pi; pi_print, copilot);

fn strange_characters_of_an_answer_arrive(stage: &Stage) {
    let played = stage.play(Script::new().reply(Reply::text(STRANGE).usage(TOKENS)), "PROMPT");
    played.answered(STRANGE);
    assert_eq!(played.said(), STRANGE);
}
on!(strange_characters_of_an_answer_arrive: claude; claude_print, codex, codex_exec, pi, pi_print, gemini, qwen, copilot);

fn an_answer_of_a_megabyte_arrives(stage: &Stage) {
    let answer = format!("BEGIN {}\u{2028}END", "Grüße, 日本語 and 🦀. ".repeat(35_000));
    assert!(answer.len() > 1_000_000);
    let played = stage.play(Script::new().reply(Reply::text(&answer).usage(TOKENS)), "PROMPT");
    // No `answered`: a failure would print the megabyte.
    let outcome = played.outcome.as_ref().unwrap();
    assert!(outcome.text == answer, "{} of {} bytes", outcome.text.len(), answer.len());
    assert!(played.said() == answer);
    played.used(stage.way, 1);
    assert!(longest_line(&played) > 1_000_000);
}
on!(an_answer_of_a_megabyte_arrives: pi; pi_print, copilot);

/// A wrapper that sets a title and says something, without a line feed, before it becomes the agent.
fn what_a_wrapper_prints_before_the_first_line_costs_nothing(stage: &Stage) {
    let wrapper = stage.sandbox.home().join("wrapper");
    let program = stage.program.program.display();
    let words = r"\033]0;agent: ready\007\033[?2004hDebugger attached.";
    let text = format!("#!/bin/sh\nprintf '{words}'\nexec '{program}' \"$@\"\n");
    fs::write(&wrapper, text).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let server = ModelServer::start(Script::new().reply(Reply::text("Done."))).unwrap();
    let client = stage.client(&server).program(&wrapper);
    let played = stage.play_on(&server, &client, full(), |_, _| {});
    played.answered("Done.");
    assert_eq!(played.requests.len(), 1, "it is asked once");
    let told = played.records.iter().filter_map(|record| match &record.event {
        Event::Notice(notice) if notice.code.as_deref() == Some("stdout") => Some(&*notice.text),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), ["Debugger attached."]);
    assert!(played.of_type("unknown").is_empty());
}
on!(what_a_wrapper_prints_before_the_first_line_costs_nothing: claude, codex; claude_print, codex_exec, opencode_run, pi, pi_print, gemini, qwen, copilot);
