//! What fuzzing has found, each as the script that broke a driver (`support/script.rs` says how to read them).

use crate::script::play;
use crate::watch::Dialect::{self, ClaudeDialogue, ClaudePrint, CodexAppServer, CodexExec};

fn check(dialects: &[Dialect], lines: &[&str]) {
    dialects.iter().for_each(|dialect| play(*dialect, lines.join("\n").as_bytes()));
}

const CLAUDE: &[Dialect] = &[ClaudeDialogue, ClaudePrint];

#[test]
fn arguments_with_a_key_of_the_json_library_itself_are_read_back() {
    let args = r#"{"$serde_json::private::RawValue":"["}"#;
    let block = format!(r#"{{"type":"tool_use","id":"i","name":"Bash","input":{args}}}"#);
    let call = format!(r#"{{"type":"assistant","message":{{"id":"m","content":[{block}]}}}}"#);
    let done = format!(r#"{{"type":"result","result":"r","structured_output":{args}}}"#);
    check(CLAUDE, &[&call, &done]);
    let item = format!(
        r#"{{"type":"mcp_tool_call","id":"i","server":"s","tool":"t","arguments":{args}}}"#
    );
    check(&[CodexExec], &[&format!(r#"{{"type":"item.completed","item":{item}}}"#)]);
    check(
        &[CodexAppServer],
        &[&format!(r#"{{"method":"item/completed","params":{{"item":{item}}}}}"#)],
    );
}

#[test]
fn tokens_beyond_all_measure_stop_at_the_largest_number() {
    const MAX: &str = "18446744073709551615";
    let tokens = format!(
        r#"{{"input_tokens":{MAX},"output_tokens":{MAX},"cache_read_input_tokens":{MAX},"cached_input_tokens":{MAX},"cache_write_input_tokens":{MAX}}}"#
    );
    let begins = |id: &str| {
        format!(r#"{{"type":"assistant","message":{{"id":"{id}","content":[],"usage":{tokens}}}}}"#)
    };
    let ends =
        format!(r#"{{"type":"stream_event","event":{{"type":"message_delta","usage":{tokens}}}}}"#);
    let model = format!(r#"{{"inputTokens":{MAX},"outputTokens":{MAX},"thinkingTokens":{MAX}}}"#);
    let result =
        format!(r#"{{"type":"result","result":"r","modelUsage":{{"a":{model},"b":{model}}}}}"#);
    check(CLAUDE, &[&begins("a"), &begins("b"), &ends, &result]);
    check(&[CodexExec], &[&format!(r#"{{"type":"turn.completed","usage":{tokens}}}"#)]);
    let total = format!(
        r#"{{"inputTokens":{MAX},"cachedInputTokens":{MAX},"cacheWriteInputTokens":{MAX}}}"#
    );
    let report = format!(
        r#"{{"method":"thread/tokenUsage/updated","params":{{"tokenUsage":{{"total":{total},"last":{total}}}}}}}"#
    );
    let begin = r#"{"method":"turn/started","params":{"threadId":"t","turn":{"id":"u"}}}"#;
    check(&[CodexAppServer], &[begin, &report]);
    check(&[CodexAppServer], &["!resume t", begin, &report, &report]);
}

#[test]
fn money_beyond_all_measure_stays_a_number() {
    let result = |a: &str, b: &str| {
        format!(
            r#"{{"type":"result","result":"r","modelUsage":{{"a":{{"costUSD":{a}}},"b":{{"costUSD":{b}}}}}}}"#
        )
    };
    check(CLAUDE, &[&result("1e308", "1e308")]);
    check(CLAUDE, &[&result("-1e308", "0"), &result("1e308", "-0")]);
    let limit = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"allowed","utilization":1e308,"resetsAt":1e308}}"#;
    check(CLAUDE, &[limit]);
}

/// The oracle knew of held successes alone.
#[test]
fn a_failed_turn_that_is_held_while_another_runs_ends_with_an_interrupt() {
    let begins = |turn: &str| {
        format!(r#"{{"method":"turn/started","params":{{"turn":{{"id":"{turn}"}}}}}}"#)
    };
    let ends = r#"{"method":"turn/completed","params":{"turn":{"id":"u","status":"failed"}}}"#;
    check(&[CodexAppServer], &[&begins("u"), &begins("other"), ends, "!interrupt"]);
    check(
        &[CodexAppServer],
        &[&begins("u"), &begins("other"), &format!("{ends} words"), "!interrupt"],
    );
}

/// The driver's own list of what it says nothing about counts.
#[test]
fn kinds_that_say_nothing_are_known_to_the_watch() {
    check(&[Dialect::Copilot], &[r#"{"type":"system.notification","data":{}}"#]);
    check(&[Dialect::DockerAgent], &[r#"{"type":"connection_restored"}"#]);
    check(&[Dialect::PiJson, Dialect::PiRpc], &[r#"{"type":"queue_update"}"#]);
}

/// The oracle took the success for an invented one.
#[test]
fn a_completed_turn_that_shares_its_line_with_words_holds_while_another_runs() {
    let begins = |turn: &str| {
        format!(r#"{{"method":"turn/started","params":{{"turn":{{"id":"{turn}"}}}}}}"#)
    };
    let ends = r#"{"method":"turn/completed","params":{"turn":{"id":"u","status":"completed"}}}"#;
    check(&[CodexAppServer], &[&begins("u"), &begins("other"), ends]);
    check(&[CodexAppServer], &[&begins("u"), &begins("other"), &format!("{ends} words")]);
}
