//! Commands that speak ACP and that belay knows: recorded streams of the real programs, read by what is known of each.

use belay_agents::{
    Acp, Action, Agent, AttemptEnd, Exit, HoldBack, Input, Out, Permissions, RunRequest, Transport,
};
use belay_trace::{Event, FailureKind as Kind, ToolResult};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What a driver makes of a recording.
struct Read {
    events: Vec<Event>,
    ends: Vec<AttemptEnd>,
}

/// Reads `recordings/acp/{program}-{version}/{scene}`.
fn read(command: &str, folder: &str) -> Read {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recordings/acp");
    let text = fs::read_to_string(root.join(folder).join("dialogue.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let said = lines.filter(|line| line["dir"] == "<-").map(|line| line["msg"].to_string());
    let mut protocol =
        Acp::command(command).reader(&RunRequest::new("PROMPT"), Transport::Dialogue);
    let mut read = Read { events: Vec::new(), ends: Vec::new() };
    let mut feed = |input: Input<'_>| {
        let mut out = Out::default();
        protocol.step(input, &mut out);
        for action in out.actions {
            match action {
                Action::Emit(emitted) => read.events.push(emitted.event),
                Action::TurnEnded(end) => read.ends.push(*end),
                _ => {}
            }
        }
    };
    said.for_each(|line| feed(Input::Stdout(line.as_bytes())));
    feed(Input::Exit(Exit::Code(0)));
    let unknown = read.events.iter().find(|event| matches!(event, Event::Unknown(_)));
    assert!(unknown.is_none(), "{folder}: {unknown:#?}");
    read
}

const CLAUDE: (&str, &str) = ("claude-agent-acp", "claude-agent-acp-0.100.0");
const CODEX: (&str, &str) = ("/opt/bin/codex-acp", "codex-acp-2.6.0");
const PI: (&str, &str) = ("npx -y pi-acp@0.0.34", "pi-acp-0.0.34");
const OPENCODE: (&str, &str) = ("opencode acp", "opencode-1.18.33");
const COPILOT: (&str, &str) = ("copilot --acp", "copilot-1.0.102");

fn scene((command, folder): (&str, &str), name: &str) -> Read {
    read(command, &format!("{folder}/{name}"))
}

/// Each response used 1200 tokens, 9000 from the cache, 300 into it, and 85 that came out, 7 of them thoughts.
/// The first prompt had two responses, the second one.
#[test]
fn each_of_two_prompts_has_its_own_tokens() {
    let used = |who| {
        let ends = scene(who, "b-shell").ends;
        let answers: Vec<_> = ends.iter().map(|end| end.answer.as_str()).collect();
        assert_eq!(answers, ["Done.", "Fine."]);
        let usages = ends.into_iter().map(|end| end.usage);
        let counts = usages.map(|usage| {
            let tokens = [usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens];
            (tokens.map(Option::unwrap_or_default), usage.partial)
        });
        counts.collect::<Vec<_>>()
    };
    // A title is asked for beside the prompt, and counted nowhere.
    assert_eq!(used(CLAUDE), [([2400, 170, 18_000], true), ([1200, 85, 9000], true)]);
    assert_eq!(used(CODEX), [([2400, 170, 18_000], true), ([1200, 85, 9000], true)]);
    // The last response alone.
    assert_eq!(used(OPENCODE), [([1500, 85, 9000], true), ([1500, 85, 9000], true)]);
    // Sums of the session.
    assert_eq!(used(COPILOT), [([2400, 170, 18_000], false), ([1200, 85, 9000], false)]);
    // Not in the stream; beside it, in the session's file.
    assert_eq!(used(PI), [([0; 3], false), ([0; 3], false)]);
}

#[test]
fn a_cost_is_the_sessions_so_far() {
    let cost = |who| scene(who, "b-shell").ends[0].usage.total_cost_usd;
    assert_eq!((cost(OPENCODE), cost(CLAUDE)), (Some(0.01636), Some(0.0196)));
    assert_eq!([CODEX, PI, COPILOT].map(cost), [None; 3]);
}

#[test]
fn a_command_has_its_output_and_the_code_that_the_agent_knows() {
    for (who, output, code) in [
        (CLAUDE, "Exit code 3\none\ntwo", None),
        // What was printed before the call was told is lost on the way (in the adapter).
        (CODEX, "two\n", Some(3)),
        (PI, "one\ntwo\n\n\nCommand exited with code 3", None),
        (OPENCODE, "one\ntwo\n", Some(3)),
        (COPILOT, "one\ntwo\n<shellId: 0 completed with exit code 3>", Some(3)),
    ] {
        let events = scene(who, "b-shell").events;
        let calls = events.iter().filter_map(|event| match event {
            Event::ToolCall(call) => Some((call.name.as_str(), call.args.get())),
            _ => None,
        });
        let calls: Vec<_> = calls.collect();
        assert_eq!(calls.len(), 1, "{who:?}: {calls:?}");
        assert!(calls[0].0 == "Bash" && calls[0].1.contains("echo one; echo two"), "{calls:?}");
        let results = events.iter().filter_map(|event| match event {
            Event::ToolResult(result) => Some(result),
            _ => None,
        });
        let results: Vec<&ToolResult> = results.collect();
        assert_eq!(results.len(), 1, "{who:?}");
        let found = (results[0].output.as_str(), results[0].exit_code, results[0].tool_error);
        assert_eq!(found, (output, code, true), "{who:?}");
    }
}

#[test]
fn a_failure_is_one_also_where_the_agent_tells_it_as_an_answer() {
    for (who, name, kind) in [
        (CLAUDE, "h-401", Kind::Auth),
        (CODEX, "h-401", Kind::Auth),
        (COPILOT, "h-401", Kind::Auth),
        // Neither a class nor a status, but the provider's words.
        (OPENCODE, "h-401", Kind::Auth),
        // Not a word.
        (PI, "h-401", Kind::Protocol),
        (PI, "g-429-forever", Kind::Protocol),
        (OPENCODE, "i-context", Kind::ContextOverflow),
        (COPILOT, "g-429-forever", Kind::RateLimited),
        (COPILOT, "h-404", Kind::ModelUnavailable),
        (COPILOT, "i-context", Kind::ContextOverflow),
        (CLAUDE, "g-429-forever", Kind::RateLimited),
        (CLAUDE, "i-context", Kind::ContextOverflow),
        (CODEX, "g-429-forever", Kind::RateLimited),
        (CODEX, "i-context", Kind::ContextOverflow),
        (CODEX, "h-404", Kind::ModelUnavailable),
    ] {
        let ends = scene(who, name).ends;
        let failure = ends[0].failure.as_ref();
        let failure = failure.unwrap_or_else(|| panic!("{who:?} {name}: {ends:#?}"));
        assert_eq!(failure.kind, kind, "{who:?} {name}: {failure:#?}");
        assert!(!failure.message.is_empty());
    }
}

#[test]
fn an_answer_that_begins_like_a_failure_is_an_answer() {
    let ends = scene(COPILOT, "a-text-error").ends;
    assert_eq!(ends[0].failure, None);
    assert_eq!(ends[0].answer, "Error: this is what the model itself says.");
}

/// Nothing but the words tells it from an answer, and words are no evidence.
#[test]
fn what_may_be_a_failure_behind_a_counted_response_is_said() {
    let read = scene(COPILOT, "h-401-tool");
    assert_eq!(read.ends[0].failure, None);
    let warned = read.events.iter().any(|event| match event {
        Event::Notice(notice) => notice.code.as_deref() == Some("maybe_failed"),
        _ => false,
    });
    assert!(warned, "{:#?}", read.events);
}

/// A thinking level is no permission mode.
#[test]
fn a_session_tells_its_mode_where_that_is_one() {
    let mode = |who| {
        let events = scene(who, "h-401").events;
        let started = events.into_iter().find_map(|event| match event {
            Event::SessionStarted(started) => Some(started),
            _ => None,
        });
        started.unwrap().permission_mode
    };
    assert_eq!((mode(PI), mode(CODEX).as_deref()), (None, Some("agent")));
}

#[test]
fn a_program_is_known_by_its_name_and_by_the_argument_that_makes_it_speak() {
    let passes = |command: &str, variable: &str| {
        let launch = Acp::command(command).launch(&RunRequest::new("p"), Transport::Dialogue);
        launch.unwrap().env.allow.contains(&variable)
    };
    assert!(passes("/opt/x/claude-agent-acp", "CLAUDE_CODE_OAUTH_TOKEN"));
    assert!(passes("codex-acp -c x=1", "CODEX_HOME"));
    assert!(passes("npx --yes @agentclientprotocol/codex-acp@2.6.0", "CODEX_HOME"));
    assert!(passes("pi-acp", "PI_CODING_AGENT_DIR"));
    assert!(passes("opencode acp --port 0", "OPENCODE_CONFIG"));
    assert!(passes("copilot --acp", "COPILOT_*"));
    assert!(passes("gemini --acp", "GOOGLE_CLOUD_PROJECT"));
    assert!(passes("qwen --acp", "DASHSCOPE_API_KEY"));
    assert!(passes("goose acp", "GOOSE_PROVIDER"));
    for unknown in ["opencode serve", "copilot", "my-codex-acp", "npx -y", "sh -c 'codex-acp'"] {
        assert!(!passes(unknown, "CODEX_HOME") && passes(unknown, "OPENAI_API_KEY"), "{unknown}");
        assert!(!passes(unknown, "COPILOT_*"), "{unknown}");
    }
}

/// So that a name in a journal means the same with the next version of belay.
#[test]
fn a_command_is_called_acp_and_has_limits_of_its_own() {
    for command in ["codex-acp", "gemini --acp", "my-agent"] {
        let agent = Acp::command(command);
        assert_eq!(agent.name(), "acp");
        assert_eq!(agent.account(None).part.as_deref(), Some(command));
    }
}

#[test]
fn what_a_command_would_not_keep_is_refused_with_the_driver_that_keeps_it() {
    let refused = |command: &str, permissions| {
        let request = RunRequest::new("p").permissions(permissions);
        let launch = Acp::command(command).launch(&request, Transport::Dialogue);
        launch.err().map(|error| error.hint.unwrap_or_default())
    };
    for (command, driver) in [
        ("claude-agent-acp", "use -a claude"),
        ("opencode acp", "use -a opencode"),
        ("pi-acp", "use -a pi"),
        ("copilot --acp", "use -a copilot"),
    ] {
        let hint = refused(command, Permissions::ReadOnly).unwrap();
        assert!(hint.contains(driver), "{command}: {hint}");
    }
    assert_eq!(refused("codex-acp", Permissions::ReadOnly), None);
    assert_eq!(refused("codex-acp", Permissions::Edit), None);
    assert_eq!(refused("claude-agent-acp", Permissions::Edit), None);
    assert!(refused("copilot --acp", Permissions::Edit).is_some());
}

#[test]
fn nothing_in_the_environment_allows_copilot_or_codex_more() {
    let denied = |command: &str, variable: &str| {
        let launch = Acp::command(command).launch(&RunRequest::new("p"), Transport::Dialogue);
        launch.unwrap().env.holds_back(variable, "1") == Some(HoldBack::Permissions)
    };
    assert!(denied("copilot --acp", "COPILOT_ALLOW_ALL"));
    assert!(denied("codex-acp", "INITIAL_AGENT_MODE"));
}

const VIBE: (&str, &str) = ("vibe-acp", "vibe-acp-3.0.2");
const HERMES: (&str, &str) = ("hermes acp", "hermes-0.19.0");
const KILO: (&str, &str) = ("kilo acp", "kilo-7.7.7");
const FAST: (&str, &str) = ("fast-agent-acp -x", "fast-agent-acp-0.10.48");

const CLINE: (&str, &str) = ("cline --acp", "cline-3.0.65");
const OPENHANDS: (&str, &str) = ("openhands acp", "openhands-1.16.0");
const NANOCODER: (&str, &str) = ("nanocoder --acp", "nanocoder-1.30.0");
const DROID: (&str, &str) = ("droid exec --output-format acp", "droid-0.215.0");

#[test]
fn a_command_and_its_output_are_told_as_far_as_the_agent_tells_them() {
    for who in [CLINE, OPENHANDS, NANOCODER, DROID] {
        let Read { events, ends } = scene(who, "b-shell");
        assert_eq!(ends[0].answer.trim(), "Done.", "{who:?}");
        let call = events.iter().find_map(|event| match event {
            Event::ToolCall(call) => Some(call.args.get()),
            _ => None,
        });
        assert!(call.is_some_and(|args| args.contains("(echo one; exit 3)")), "{who:?}");
        let output = events.iter().find_map(|event| match event {
            Event::ToolResult(result) => Some(result.output.as_str()),
            _ => None,
        });
        // Droid tells none.
        assert_eq!(output.unwrap().contains("one"), who != DROID, "{who:?}");
    }
}

#[test]
fn cline_writes_down_what_each_response_has_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recordings/acp");
    let text = fs::read(root.join("cline-3.0.65/b-shell/session.messages.json")).unwrap();
    let read = |since| {
        let mut lines = text.split(|byte| *byte == b'\n');
        let responses = Acp::command(CLINE.0).read_session(since, &mut lines);
        let tokens = responses.iter().map(|response| response.tokens);
        tokens.map(|it| [it.input, it.output, it.cache_read]).collect::<Vec<_>>()
    };
    let all = read(jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(all, [[1009, 101, 5003]; 2]);
    assert_eq!(read(jiff::Timestamp::MAX), Vec::<[u64; 3]>::new());
    let files = Acp::command(CLINE.0).session_files("1796130116445_q11jL_cli").unwrap();
    assert_eq!(files.suffix, "1796130116445_q11jL_cli/1796130116445_q11jL_cli.messages.json");
}

/// Each response used 1500 tokens, 9000 from the cache, and 85 that came out, 7 of them thoughts.
#[test]
fn what_the_newcomers_have_used_is_counted_once() {
    let used = |who| {
        let ends = scene(who, "b-shell").ends;
        let answers: Vec<_> = ends.iter().map(|end| end.answer.trim()).collect();
        assert_eq!(answers, ["Done.", "Fine."], "{who:?}");
        let counts = ends.iter().map(|end| {
            let usage = &end.usage;
            [usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens]
        });
        counts.collect::<Vec<_>>()
    };
    let sums = [[Some(3000), Some(170), Some(18_000)], [Some(1500), Some(85), Some(9000)]];
    assert_eq!(used(VIBE), sums);
    assert_eq!(used(HERMES), sums);
    assert_eq!(used(KILO), [[Some(1500), Some(85), Some(9000)]; 2], "the last response alone");
    assert_eq!(used(FAST), [[None; 3]; 2], "it tells none");
}

#[test]
fn failures_of_the_newcomers_have_their_kinds() {
    for (who, name, kind) in [
        (VIBE, "h-401", Kind::Auth),
        (HERMES, "h-401", Kind::Auth),
        (HERMES, "g-429-forever", Kind::RateLimited),
        (KILO, "h-401", Kind::Auth),
        (KILO, "g-429-forever", Kind::RateLimited),
        (FAST, "h-401", Kind::Auth),
        (CLINE, "h-401", Kind::Auth),
        (CLINE, "g-429-forever", Kind::RateLimited),
        (OPENHANDS, "h-401", Kind::Auth),
        (NANOCODER, "h-401", Kind::Auth),
        (NANOCODER, "g-429-forever", Kind::RateLimited),
        (DROID, "h-401", Kind::Auth),
        (DROID, "g-429-forever", Kind::RateLimited),
    ] {
        let ends = scene(who, name).ends;
        let failure = ends[0].failure.as_ref().unwrap();
        assert_eq!(failure.kind, kind, "{who:?} {name}: {failure:#?}");
    }
    let retries = scene(VIBE, "g-429-forever").events.into_iter().filter_map(|event| match event {
        Event::Retry(retry) => Some((retry.kind, retry.status)),
        _ => None,
    });
    assert_eq!(retries.collect::<Vec<_>>(), [(Some(Kind::RateLimited), Some(429)); 2]);
}

#[test]
fn a_command_of_the_newcomers_is_told_with_what_it_has_printed() {
    for who in [VIBE, HERMES, KILO] {
        let events = scene(who, "b-shell").events;
        let call = events.iter().find_map(|event| match event {
            Event::ToolCall(call) => Some(call),
            _ => None,
        });
        let args: Value = serde_json::from_str(call.unwrap().args.get()).unwrap();
        assert_eq!(args["command"], "echo lab-out; echo lab-err >&2; exit 3", "{who:?}");
        let result = events.iter().find_map(|event| match event {
            Event::ToolResult(result) => Some(result),
            _ => None,
        });
        assert!(result.unwrap().output.contains("lab-out"), "{who:?}");
    }
}
