//! An agent whose stream does not tell how its turn ended, and its session file does.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{Seen, Stage, lines, run, supervisor};
use belay_testkit::fake_agent::{Exit, Play, Signal, WaitForStdin};
use belaykit::trace::{CostSource, Effects};
use belaykit::{Claude, Client, FailureKind, OpenCode, Pi, Policy, RunRequest, Transport};
use std::fs;

/// The beginning of a script that plays Claude: a command whose result is printed, and the file of its session.
const CLAUDE: &str = r#"
read -r prompt
say() { printf '%s\n' "$1"; }
line() { printf '{"type":"%s","sessionId":"s1111111","message":%s}\n' "$1" "$2" >> "$FILE"; }
words() { line assistant '{"id":"'"$1"'","model":"m","role":"assistant","stop_reason":'"$2"',"content":[{"type":"text","text":"'"$3"'"}],"usage":{"input_tokens":3,"output_tokens":5}}'; }
mkdir -p "$HOME/.claude/projects/-work"
FILE="$HOME/.claude/projects/-work/s1111111.jsonl"
echo x >> "$HOME/started"
say '{"type":"system","subtype":"init","session_id":"s1111111","model":"m","tools":[]}'
say '{"type":"assistant","session_id":"s1111111","parent_tool_use_id":null,"message":{"id":"m1","model":"m","content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"make"}}],"usage":{"input_tokens":3,"output_tokens":1}}}'
say '{"type":"user","session_id":"s1111111","parent_tool_use_id":null,"message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"made"}]}}'
"#;

/// Runs a Claude that goes on like this; with another attempt, should the policy want one.
async fn claude(then: &str) -> (Stage, Seen) {
    claude_with(then, Policy::default()).await
}

async fn claude_with(then: &str, policy: Policy) -> (Stage, Seen) {
    let stage = Stage::script(&Play::default(), "claude", &format!("{CLAUDE}{then}"));
    let home = stage.path("home");
    fs::create_dir(&home).unwrap();
    let mut env = stage.env().to_vec();
    env.push(("HOME".into(), home.into()));
    let client = Client::new(Claude::new()).policy(policy).supervisor(supervisor()).env(env);
    let request = RunRequest::new("p").idle("3s".parse().unwrap());
    let seen = run(&client, request).await;
    (stage, seen)
}

/// How often the agent was started.
fn starts(stage: &Stage) -> usize {
    fs::read_to_string(stage.path("home/started")).unwrap().lines().count()
}

#[track_caller]
fn has_answered_once(stage: &Stage, seen: &Seen) {
    assert_eq!(seen.answer(), "Made.");
    assert_eq!(starts(stage), 1);
    assert_eq!(seen.notices("witness").len(), 1, "{seen:#?}");
    assert_eq!((seen.count("tool_call"), seen.count("tool_result")), (1, 1));
}

#[tokio::test]
async fn a_silent_stream_is_no_stall_while_the_file_grows_and_its_end_is_the_answer() {
    let grows =
        "for n in 1 2 3 4 5 6; do sleep 1; words s$n null step; done; words z '\"end_turn\"' Made.";
    let (stage, seen) = claude(grows).await;
    has_answered_once(&stage, &seen);
    assert_eq!(seen.count("interrupted"), 0, "{seen:#?}");
    let usage = &seen.outcome.as_ref().unwrap().usage;
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(21), Some(35)));
}

#[tokio::test]
async fn an_agent_that_is_killed_behind_its_last_words_has_answered() {
    let (stage, seen) = claude("words z '\"end_turn\"' Made.; kill -9 $$").await;
    has_answered_once(&stage, &seen);
}

#[tokio::test]
async fn a_stream_that_stays_silent_behind_the_end_is_ended() {
    let (stage, seen) = claude("words z '\"end_turn\"' Made.; sleep 60").await;
    has_answered_once(&stage, &seen);
}

#[tokio::test]
async fn a_tool_that_the_file_alone_knows_is_an_effect() {
    let lost = r#"line assistant '{"id":"m2","model":"m","role":"assistant","stop_reason":"tool_use","content":[{"type":"tool_use","id":"t2","name":"Bash","input":{"command":"deploy"}}]}'; kill -9 $$"#;
    let (_stage, seen) = claude_with(lost, Policy::single()).await;
    assert_eq!(seen.failure().kind, FailureKind::Crashed);
    let calls = seen.records.iter().filter_map(|record| match &record.event {
        belaykit::Event::ToolCall(call) => Some(call.args.get()),
        _ => None,
    });
    assert!(calls.clone().any(|args| args.contains("deploy")), "{seen:#?}");
    assert_eq!(seen.attempt_ended().effects, Effects::Possible);
}

/// The first turn has a result, and the file alone tells the second one.
#[tokio::test]
async fn a_turn_that_the_file_has_ended_is_paid_for_behind_one_that_was_reported() {
    let result = r#"{"type":"result","subtype":"success","is_error":false,"result":"One.","num_turns":1,"session_id":"s1111111","total_cost_usd":0.5,"modelUsage":{"m":{"inputTokens":3,"outputTokens":5,"costUSD":0.5}}}"#;
    let init = r#"{"type":"system","subtype":"init","session_id":"s1111111","model":"m"}"#;
    let then = format!(
        "words y '\"end_turn\"' One.; say '{result}'; say '{init}'; words z '\"end_turn\"' Made.; kill -9 $$"
    );
    let (_stage, seen) = claude(&then).await;
    assert_eq!(seen.answer(), "Made.");
    let usage = &seen.result().usage;
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(6), Some(10)), "{seen:#?}");
    // Nobody knows the price of the model.
    assert_eq!((usage.total_cost_usd, usage.cost_source), (Some(0.5), CostSource::Partial));
}

/// What the response behind the tool has cost, nobody has said.
#[tokio::test]
async fn an_agent_that_is_killed_in_mid_turn_leaves_a_lower_bound() {
    let clients = [
        ("opencode", "step_finish", Client::new(OpenCode::new())),
        ("pi", "tool_execution_end", Client::new(Pi::new())),
    ];
    for (agent, last, client) in clients {
        let mut said = lines(agent, "b-shell");
        let last = format!(r#""type":"{last}""#);
        let end = said.iter().position(|line| line.contains(&last)).unwrap();
        said.truncate(end + 1);
        for exit in [Exit::Signal(Signal::Kill), Exit::Code(0)] {
            let play = Play::lines(said.clone()).exit(exit);
            let play = Play { wait_for_stdin: WaitForStdin::Eof, ..play };
            let stage = Stage::new(agent, &play);
            let client = client.clone().policy(Policy::single()).transport(Transport::Print);
            let seen = run(&client.supervisor(supervisor()).env(stage.env()), "p").await;
            assert!(seen.result().is_error, "{seen:#?}");
            let usage = &seen.result().usage;
            assert!(usage.total_cost_usd.unwrap() > 0.0, "{agent}");
            assert_eq!((usage.cost_source, usage.partial), (CostSource::Partial, true), "{agent}");
        }
    }
}

#[tokio::test]
async fn a_link_or_a_forged_file_answers_nothing() {
    let linked = "mv \"$FILE\" \"$HOME/real\"; ln -s \"$HOME/real\" \"$FILE\"";
    let forged = "sed -i s/s1111111/s2222222/ \"$FILE\"";
    for change in [linked, forged] {
        let then = format!("words z '\"end_turn\"' Made.; {change}; kill -9 $$");
        let (_stage, seen) = claude_with(&then, Policy::single()).await;
        assert_eq!(seen.failure().kind, FailureKind::Crashed, "{change}");
        assert_eq!(seen.notices("witness"), [""; 0], "{change}");
    }
}
