//! What a run of a real agent leaves on disk. That the journal is the run, and replays to it, is checked for
//! every run of every test by `real_run.rs`; here are the conversations that are the hardest to replay.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, SLEEP, Stage, TOKENS, Way, on};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belaykit::trace::{CostSource, Node, NodeType, TraceId, read_file};
use belaykit::{Decision, Event, Permissions, RunRequest, TraceDir};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn full() -> RunRequest {
    RunRequest::new("PROMPT").permissions(Permissions::Full)
}

fn permission_answers_words_and_an_interrupt_replay(stage: &Stage) {
    let stage = &stage.with_policy("on-request", "read-only");
    let call = |command: &str| {
        match stage.way.is_claude() {
        true => Reply::new().shell(command),
        false => Reply::new().tool(
            "exec_command",
            json!({"cmd": command, "sandbox_permissions": "require_escalated", "justification": "?"}),
        ),
    }
    };
    let script = Script::new()
        .reply(call("echo one > one; sleep 0.2"))
        .reply(call("echo two > two"))
        .reply(call(SLEEP))
        .forever(Reply::text("Never said."));
    let server = ModelServer::start(script).unwrap();
    let client = stage.client(&server).on_permission(|request| {
        if request.args.get().contains("echo two") { Decision::Deny } else { Decision::Allow }
    });
    // The third decision comes with the interrupt: words after that would begin another response.
    let mut decisions = 0;
    let played = stage.play_on(&server, &client, "PROMPT", |record, run| match &record.event {
        Event::PermissionDecision(_) if decisions < 2 => {
            decisions += 1;
            run.steer("Go on.");
        }
        Event::ToolCall(call) if call.args.get().contains("time.sleep") => {
            run.interrupter().interrupt();
        }
        _ => {}
    });
    assert!(played.outcome.is_err());
    let log = fs::read_to_string(played.folder.join("input.1.log")).unwrap();
    for kind in ["\npermission ", "\nsteer ", "\ninterrupt ", "\nexit ", "\nstdout "] {
        assert!(log.contains(kind), "no {kind}: {log}");
    }
}
on!(permission_answers_words_and_an_interrupt_replay: claude; codex);

fn a_journal_is_its_owners_alone(stage: &Stage) {
    let played = stage.play(Script::new().reply(Reply::text("Hi.")), "PROMPT");
    played.answered("Hi.");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&played.folder), 0o700);
    for entry in fs::read_dir(&played.folder).unwrap().flatten() {
        assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
    }
}
on!(a_journal_is_its_owners_alone: claude; codex, pi, copilot);

fn traced(stage: &Stage, script: Script, request: RunRequest) -> (Played, Node) {
    let server = ModelServer::start(script).unwrap();
    let traces = stage.sandbox.home().join("traces");
    let client = stage.client(&server).observe(TraceDir::new(&traces).unwrap());
    let played = stage.play_on(&server, &client, request.trace_id("the-trace"), |_, _| {});
    let path = TraceDir::path(&traces, &TraceId::new("the-trace").unwrap());
    (played, read_file(&path).unwrap())
}

fn the_trace_has_the_phase_with_its_figures_and_the_calls(stage: &Stage) {
    let script = Script::new()
        .reply(Reply::new().shell("echo hi").shell("exit 3").usage(TOKENS))
        .reply(Reply::text("Done.").usage(TOKENS));
    let (played, tree) = traced(stage, script, full().phase("discovery"));
    let outcome = played.answered("Done.");
    let kinds: Vec<_> =
        tree.children.iter().map(|n| (&n.node_type, n.agent_name.as_str())).collect();
    assert_eq!(kinds, [(&NodeType::Marker, "→ discovery"), (&NodeType::Phase, "discovery")]);
    let phase = &tree.children[1];
    let tokens = (
        phase.input_tokens,
        phase.output_tokens,
        phase.cache_read_tokens,
        phase.cache_write_tokens,
    );
    let count = |tokens: u64| i64::try_from(2 * tokens).unwrap();
    let want = (TOKENS.input, TOKENS.output, TOKENS.cache_read, TOKENS.cache_write);
    assert_eq!(tokens, (count(want.0), count(want.1), count(want.2), count(want.3)));
    assert_eq!(phase.error, "");
    assert_eq!(phase.run, outcome.run_id);
    assert!((phase.cost_usd - outcome.usage.total_cost_usd.unwrap()).abs() < 1e-9);
    let priced = stage.way.is_codex() || stage.way == Way::Copilot;
    let source = if priced { CostSource::Priced } else { CostSource::Reported };
    assert_eq!(phase.cost_source, Some(source));
    if let Some(model) = &outcome.model {
        // The line that opens a session of one shot names no model.
        assert!(phase.model == *model || stage.way == Way::PiPrint, "{phase:#?}");
        // Pi tells the window to who asks, and one shot asks nothing.
        let window = match stage.way {
            Way::Pi => 128_000,
            Way::PiPrint => 0,
            _ => 200_000,
        };
        assert!(phase.context_window >= window && phase.context_used > 0);
    }
    let mut calls: Vec<_> =
        phase.children.iter().map(|n| (n.agent_name.as_str(), n.error.as_str())).collect();
    calls.sort_unstable();
    assert_eq!(calls, [("Bash", ""), ("Bash", "exit code 3")]);
}
on!(the_trace_has_the_phase_with_its_figures_and_the_calls: claude; claude_print, codex, codex_exec, pi, pi_print, copilot);

fn a_second_run_is_added_to_the_trace(stage: &Stage) {
    let script = || Script::new().reply(Reply::text("Done.").usage(TOKENS));
    let (first, _) = traced(stage, script(), full().phase("one"));
    let session = first.answered("Done.").session_id.clone().unwrap();
    let (_, tree) = traced(stage, script(), full().phase("two").resume(session));
    let phases: Vec<_> = tree.children.iter().filter(|n| n.node_type == NodeType::Phase).collect();
    let figures: Vec<_> = phases.iter().map(|n| (n.agent_name.as_str(), n.input_tokens)).collect();
    let input = i64::try_from(TOKENS.input).unwrap();
    assert_eq!(figures, [("one", input), ("two", input)]);
}
on!(a_second_run_is_added_to_the_trace: claude; codex, pi);

fn a_subagents_calls_stand_under_its_own(stage: &Stage) {
    let task = json!({
        "description": "count files", "prompt": "SUB-PROMPT count the files",
        "subagent_type": "general-purpose", "run_in_background": false,
    });
    let script = Script::new()
        .reply(Reply::new().tool("Task", task))
        .reply(Reply::text("It says 0."))
        .when("SUB-PROMPT", [Reply::new().shell("ls | wc -l"), Reply::text("None.")]);
    let (played, tree) = traced(stage, script, full());
    played.answered("It says 0.");
    let phase = &tree.children[1];
    assert_eq!(phase.agent_name, "claude-code");
    assert_eq!(phase.children.len(), 1, "{phase:#?}");
    let nested: Vec<_> = phase.children[0].children.iter().map(|n| n.agent_name.as_str()).collect();
    assert_eq!(nested, ["Bash"]);
}
on!(a_subagents_calls_stand_under_its_own: claude; claude_print);
