//! Tools of real agents: calls and their results, files, and who may do what.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, Stage, Way, on};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belaykit::trace::{DecisionSource, PermissionDecision, ToolKind};
use belaykit::{Decision, Event, FailureKind, PermissionRequest, Permissions, RunRequest};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn full() -> RunRequest {
    RunRequest::new("PROMPT").permissions(Permissions::Full)
}

fn one_call(reply: Reply) -> Script {
    Script::new().reply(reply).reply(Reply::text("Done."))
}

impl Played {
    fn asked(&self) -> Vec<&PermissionRequest> {
        self.events()
            .filter_map(|e| if let Event::PermissionRequest(r) = e { Some(r) } else { None })
            .collect()
    }

    fn decided(&self) -> Vec<(Decision, DecisionSource)> {
        let decisions = self.events().filter_map(|e| match e {
            Event::PermissionDecision(PermissionDecision { decision, by, .. }) => {
                Some((*decision, *by))
            }
            _ => None,
        });
        decisions.collect()
    }
}

fn a_shell_call_has_its_output(stage: &Stage) {
    let played = stage.play(one_call(Reply::new().shell("echo hi; echo oops >&2")), full());
    played.answered("Done.");
    let calls = played.calls();
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!((calls[0].name.as_str(), calls[0].kind), ("Bash", ToolKind::Execute));
    let command = calls[0].args.to_value()["command"].as_str().unwrap().to_owned();
    assert!(command.contains("echo hi; echo oops >&2"), "{command}");
    let result = played.result_of(calls[0].tool_id.as_ref());
    // Two pipes have no order between them.
    let mut lines: Vec<_> = result.output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["hi", "oops"]);
    assert!(!result.tool_error);
    assert!(result.exit_code.is_none_or(|code| code == 0));
}
on!(a_shell_call_has_its_output: claude, codex, opencode, pi, gemini, qwen, copilot; claude_print, codex_exec, opencode_run, pi_print);

fn parallel_calls_have_a_result_each_and_a_failing_one_its_code(stage: &Stage) {
    let calls =
        Reply::new().shell("echo fine one").shell("echo bad; exit 3").shell("echo fine two");
    let played = stage.play(one_call(calls), full());
    played.answered("Done.");
    // Codex begins parallel commands in an order of its own.
    let end_of = |command: &str| {
        let calls = played.calls();
        let call = calls.iter().find(|call| call.args.get().contains(command)).unwrap();
        let result = played.result_of(call.tool_id.as_ref());
        (result.tool_error, result.exit_code.unwrap_or(0), result.output.contains("fine"))
    };
    assert_eq!(played.calls().len(), 3);
    assert_eq!(end_of("echo fine one"), (false, 0, true), "{played:#?}");
    assert_eq!(end_of("exit 3"), (true, 3, false), "{played:#?}");
    assert_eq!(end_of("echo fine two"), (false, 0, true), "{played:#?}");
}
on!(parallel_calls_have_a_result_each_and_a_failing_one_its_code: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, qwen, copilot);

fn the_same_call_twice_is_two_calls(stage: &Stage) {
    let played = stage.play(one_call(Reply::new().shell("echo same").shell("echo same")), full());
    played.answered("Done.");
    let calls = played.calls();
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0].tool_id, calls[1].tool_id);
    for call in calls {
        assert_eq!(played.result_of(call.tool_id.as_ref()).output.trim_end(), "same");
    }
}
on!(the_same_call_twice_is_two_calls: claude; codex, codex_exec, opencode, opencode_run, pi, pi_print, copilot);

fn a_file_is_written_and_then_changed(stage: &Stage) {
    let path = stage.path_for_model("notes.txt");
    let edit = match stage.way {
        Way::Claude | Way::ClaudePrint => Reply::new()
            .tool("Edit", json!({"file_path": path, "old_string": "one", "new_string": "1"})),
        Way::Pi | Way::PiPrint => {
            let edits = json!([{"oldText": "one", "newText": "1"}]);
            Reply::new().tool("edit", json!({"path": path, "edits": edits}))
        }
        _ => Reply::new().tool(
            "apply_patch",
            "*** Begin Patch\n*** Update File: notes.txt\n@@\n-one\n+1\n two\n*** End Patch\n"
                .into(),
        ),
    };
    let write = Reply::new().write_file(path, "one\ntwo\n");
    let script = Script::new().reply(write).reply(edit).reply(Reply::text("Done."));
    let played = stage.play(script, full());
    played.answered("Done.");
    assert_eq!(fs::read_to_string(stage.file("notes.txt")).unwrap(), "1\ntwo\n");
    let calls = played.calls();
    assert_eq!(calls.len(), 2, "{calls:#?}");
    for call in calls {
        assert_eq!(call.kind, ToolKind::Edit);
        assert!(call.args.get().contains("notes.txt"), "{call:?}");
        assert!(!played.result_of(call.tool_id.as_ref()).tool_error);
    }
}
on!(a_file_is_written_and_then_changed: claude; claude_print, codex, codex_exec, pi, pi_print);

/// Arguments that were streamed in pieces are whole in the call, and the pieces add up to them.
fn the_pieces_of_a_call_are_the_call(stage: &Stage) {
    let played =
        stage.play(one_call(Reply::new().shell("echo 'a \"quoted\" line — ünïcode'")), full());
    played.answered("Done.");
    let pieces = played.events().filter_map(|e| match e {
        Event::ToolCallDelta(delta) => Some(delta.args.as_str()),
        _ => None,
    });
    let call = played.calls()[0];
    let whole: serde_json::Value = serde_json::from_str(&pieces.collect::<String>()).unwrap();
    assert_eq!(whole, call.args.to_value());
    assert_eq!(played.of_type("tool_call_start").len(), 1);
}
on!(the_pieces_of_a_call_are_the_call: claude; claude_print, pi, pi_print, copilot);

fn a_megabyte_of_tool_output_arrives(stage: &Stage) {
    let command = "python3 -c 'print(\"x\" * 99 + \"\\n\", end=\"\"); print(\"y\" * 2000000)'";
    let played = stage.play(one_call(Reply::new().shell(command)), full());
    played.answered("Done.");
    let result = played.result_of(played.calls()[0].tool_id.as_ref());
    assert!(result.output.contains("xxx") && !result.tool_error, "{:.200}", result.output);
    assert!(played.of_type("oversized_line").is_empty());
}
on!(a_megabyte_of_tool_output_arrives: claude; codex, codex_exec, pi, pi_print, copilot);

/// Words of all the world, colours and a NUL, which no terminal of ours ever sees.
fn what_a_tool_prints_arrives_character_by_character(stage: &Stage) {
    let command = r"printf '\033[31mröt\033[0m 日本語 🦀 \342\200\250 end\n'";
    let played = stage.play(one_call(Reply::new().shell(command)), full());
    played.answered("Done.");
    let result = played.result_of(played.calls()[0].tool_id.as_ref());
    assert_eq!(result.output.trim_end(), "\u{1b}[31mröt\u{1b}[0m 日本語 🦀 \u{2028} end");
}
on!(what_a_tool_prints_arrives_character_by_character: opencode; opencode_run, copilot);

/// OpenCode shows its model, and us, the last 50 kB of an output, and where the whole of it is.
fn of_two_megabytes_of_tool_output_the_end_arrives_and_where_the_rest_is(stage: &Stage) {
    let command =
        "python3 -c 'print(\"FIRST\"); print((\"y\" * 99 + \"\\n\") * 20000); print(\"LAST\")'";
    let played = stage.play(one_call(Reply::new().shell(command)), full());
    played.answered("Done.");
    let result = played.result_of(played.calls()[0].tool_id.as_ref());
    // `opencode run` 1.18.33 loses the end now and then (3 of 10 runs); where the whole is it says each time.
    let has_end = result.output.contains("LAST") || stage.way == Way::OpenCodeRun;
    assert!(!result.tool_error && has_end, "{:.300}", result.output);
    assert!(!result.output.contains("FIRST") && result.output.len() < 60_000);
    assert!(result.output.contains("truncated"), "{:.300}", result.output);
    assert!(played.of_type("oversized_line").is_empty());
}
on!(of_two_megabytes_of_tool_output_the_end_arrives_and_where_the_rest_is: opencode; opencode_run);

/// Gemini hands on all of it. Qwen shows its model, and us, the last 32 kB, and where it keeps half a megabyte.
fn two_megabytes_of_tool_output_are_there_or_their_place_is_told(stage: &Stage) {
    let command =
        "python3 -c 'print(\"FIRST\"); print((\"y\" * 99 + \"\\n\") * 20000); print(\"LAST\")'";
    let played = stage.play(one_call(Reply::new().shell(command)), full());
    played.answered("Done.");
    let output = &played.result_of(played.calls()[0].tool_id.as_ref()).output;
    let whole = match output.rsplit_once("[Full output: ") {
        None => output.clone(),
        Some((_, path)) => fs::read_to_string(path.strip_suffix(']').unwrap()).unwrap(),
    };
    assert!(output.contains("LAST"), "{output:.300}");
    if stage.way == Way::Gemini {
        assert!(whole.contains("FIRST") && whole.matches('y').count() == 99 * 20_000);
    }
    assert!(whole.contains("LAST") && whole.len() > 500_000, "{} bytes", whole.len());
    assert!(played.of_type("oversized_line").is_empty());
}
on!(two_megabytes_of_tool_output_are_there_or_their_place_is_told: gemini; qwen, copilot);

// Who may do what.

/// The agent as its user has it configured: it asks before it touches anything.
fn asking(stage: &Stage) -> Stage {
    stage.with_policy("on-request", "read-only")
}

fn touch(stage: &Stage) -> Reply {
    beyond(Reply::new(), stage, "touched")
}

/// A command that the agent asks about. Codex runs what it likes in its sandbox; it asks when the model says
/// that the sandbox is too narrow for the command.
fn beyond(reply: Reply, stage: &Stage, file: &str) -> Reply {
    let command = format!("touch {}", stage.file(file).display());
    match stage.way.is_codex() {
        false => reply.shell(command),
        true => {
            let (permissions, why) = ("require_escalated", "the file is outside");
            let call =
                json!({"cmd": command, "sandbox_permissions": permissions, "justification": why});
            reply.tool("exec_command", call)
        }
    }
}

fn without_a_handler_what_is_asked_for_is_denied_at_once(stage: &Stage) {
    let stage = &asking(stage);
    let played = stage.play(one_call(touch(stage)), "PROMPT");
    let outcome = played.answered("Done.");
    assert!(!stage.file("touched").exists());
    let asked = played.asked();
    assert_eq!(asked.len(), 1, "{played:#?}");
    assert_eq!((asked[0].name.as_str(), asked[0].kind), ("Bash", ToolKind::Execute));
    let command = asked[0].args.to_value()["command"].to_string();
    assert!(command.contains("touch "), "{command}");
    assert_eq!(played.decided(), [(Decision::Deny, DecisionSource::Policy)]);
    let call = played.calls().first().map(|call| call.tool_id.clone());
    assert_eq!(call, Some(asked[0].tool_id.clone()));
    assert!(played.result_of(asked[0].tool_id.as_ref()).tool_error);
    let denials: Vec<_> = outcome.denials.iter().map(|d| (&d.tool_id, d.name.as_str())).collect();
    assert_eq!(denials, [(&asked[0].tool_id, "Bash")]);
}
on!(without_a_handler_what_is_asked_for_is_denied_at_once: claude; codex, opencode, gemini);

/// Qwen ends its turn when a tool is denied, and calls that an end like any other.
fn an_agent_that_gives_up_when_it_is_denied_has_not_answered(stage: &Stage) {
    let reply = touch(stage).and_text("I am on it.");
    let played = stage.play(one_call(reply), "PROMPT");
    let error = played.failed(FailureKind::PermissionDenied);
    assert!(!stage.file("touched").exists());
    assert_eq!(error.outcome().denials.len(), 1);
    assert_eq!(played.decided(), [(Decision::Deny, DecisionSource::Policy)]);
}
on!(an_agent_that_gives_up_when_it_is_denied_has_not_answered: qwen);

fn a_handler_that_allows_lets_the_tool_run(stage: &Stage) {
    let stage = &asking(stage);
    let server = ModelServer::start(one_call(touch(stage))).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handler = Arc::clone(&seen);
    let client = stage.client(&server).on_permission(move |request| {
        handler.lock().unwrap().push(request.clone());
        Decision::Allow
    });
    let played = stage.play_on(&server, &client, "PROMPT", |_, _| {});
    let outcome = played.answered("Done.");
    assert!(stage.file("touched").exists(), "{played:#?}");
    assert_eq!(played.decided(), [(Decision::Allow, DecisionSource::Caller)]);
    assert_eq!(seen.lock().unwrap().iter().collect::<Vec<_>>(), played.asked());
    assert!(outcome.denials.is_empty());
    assert!(!played.result_of(played.calls()[0].tool_id.as_ref()).tool_error);
}
on!(a_handler_that_allows_lets_the_tool_run: claude; codex, opencode, gemini, qwen);

fn a_handler_that_denies_is_heard(stage: &Stage) {
    let stage = &asking(stage);
    let server = ModelServer::start(one_call(touch(stage))).unwrap();
    let client = stage.client(&server).on_permission(|_| Decision::Deny);
    let played = stage.play_on(&server, &client, "PROMPT", |_, _| {});
    assert_eq!(played.answered("Done.").denials.len(), 1);
    assert!(!stage.file("touched").exists());
    assert_eq!(played.decided(), [(Decision::Deny, DecisionSource::Caller)]);
}
on!(a_handler_that_denies_is_heard: claude; codex, opencode);

/// Two calls of one response are asked for one by one; each decision is about its own call.
fn each_of_two_calls_has_its_own_decision(stage: &Stage) {
    let stage = &asking(stage);
    let calls = beyond(beyond(Reply::new(), stage, "first"), stage, "second");
    let server = ModelServer::start(one_call(calls)).unwrap();
    let client = stage.client(&server).on_permission(|request| {
        let second = request.args.get().contains("second");
        if second { Decision::Allow } else { Decision::Deny }
    });
    let played = stage.play_on(&server, &client, "PROMPT", |_, _| {});
    let outcome = played.answered("Done.");
    assert!(!stage.file("first").exists() && stage.file("second").exists(), "{played:#?}");
    assert_eq!(outcome.denials.len(), 1);
    let calls = played.calls();
    let first = calls.iter().find(|call| call.args.get().contains("first")).unwrap();
    assert_eq!(outcome.denials[0].tool_id, first.tool_id);
}
on!(each_of_two_calls_has_its_own_decision: claude; codex);

fn one_shot_runs_deny_themselves_and_answer(stage: &Stage) {
    let stage = &stage.with_policy("never", "read-only");
    let played = stage.play(one_call(touch(stage)), "PROMPT");
    let outcome = played.answered("Done.");
    assert!(!stage.file("touched").exists());
    assert!(played.asked().is_empty());
    if stage.way.is_claude() {
        assert_eq!(outcome.denials.len(), 1, "{played:#?}");
        assert_eq!(played.of_type("permission_denied").len(), 1);
    }
}
on!(one_shot_runs_deny_themselves_and_answer: claude_print; codex_exec, copilot);

/// OpenCode denies what it would ask for, and then ends its turn.
fn a_one_shot_run_that_denies_itself_is_a_failure_that_says_so(stage: &Stage) {
    let stage = &asking(stage);
    let played = stage.play(one_call(touch(stage)), "PROMPT");
    played.failed(FailureKind::PermissionDenied);
    assert!(!stage.file("touched").exists());
    assert_eq!(played.of_type("permission_denied").len(), 1, "{played:#?}");
}
on!(a_one_shot_run_that_denies_itself_is_a_failure_that_says_so: opencode_run);

/// A request whose model writes files with a tool for it: to a GPT model Copilot offers only one for patches.
fn writing(stage: &Stage, permissions: Permissions) -> RunRequest {
    let request = RunRequest::new("PROMPT").permissions(permissions);
    if stage.way == Way::Copilot { request.model("mock-model") } else { request }
}

/// The user's own configuration allows everything; the request does not.
fn read_only_writes_nothing(stage: &Stage) {
    let write = Reply::new().write_file(stage.path_for_model("notes.txt"), "one\n");
    let script = Script::new().reply(write).reply(touch(stage)).reply(Reply::text("Done."));
    let played = stage.play(script, writing(stage, Permissions::ReadOnly));
    played.answered("Done.");
    assert!(!stage.file("notes.txt").exists(), "{played:#?}");
    assert!(!stage.file("touched").exists(), "{played:#?}");
}
on!(read_only_writes_nothing: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

/// Also where the agent's stream is silent: each call that was refused has an event, and a result that is an error.
fn a_tool_that_was_refused_is_shown(stage: &Stage) {
    let stage = &stage.with_policy("never", "read-only");
    let write = Reply::new().write_file(stage.path_for_model("notes.txt"), "one\n");
    let plain = Reply::new().shell(format!("touch {}", stage.file("plain").display()));
    let replies = [write, plain, touch(stage), Reply::text("Done.")];
    let script = replies.into_iter().fold(Script::new(), Script::reply);
    let played = stage.play(script, writing(stage, Permissions::ReadOnly));
    played.answered("Done.");
    for name in ["notes.txt", "plain", "touched"] {
        assert!(!stage.file(name).exists(), "{name}: {played:#?}");
    }
    let calls = played.calls();
    let kinds: Vec<_> = calls.iter().map(|call| call.kind).collect();
    // What a tool does that it was not offered, Qwen does not say.
    let first = if stage.way == Way::Qwen { ToolKind::Other } else { ToolKind::Edit };
    assert_eq!(kinds, [first, ToolKind::Execute, ToolKind::Execute], "{played:#?}");
    for call in calls {
        assert!(played.result_of(call.tool_id.as_ref()).tool_error, "{call:?}: {played:#?}");
    }
    if stage.way.is_codex() {
        let denied = played.outcome().denials.len();
        assert!(denied >= 2, "{played:#?}");
        assert_eq!(played.of_type("permission_denied").len(), denied - played.asked().len());
    }
}
on!(a_tool_that_was_refused_is_shown: claude, codex, codex_exec, opencode, pi, gemini, copilot; claude_print, opencode_run, pi_print, qwen);

/// The user lets Claude do as it likes in this project; the request asks for less, and less it is.
fn read_only_is_stricter_than_the_users_own_rules(stage: &Stage) {
    let settings = json!({"permissions": {"allow": ["Bash(touch *)", "Bash", "Write", "Edit"]}});
    for folder in [stage.sandbox.home(), stage.project()] {
        fs::create_dir_all(folder.join(".claude")).unwrap();
        fs::write(folder.join(".claude/settings.json"), settings.to_string()).unwrap();
    }
    read_only_writes_nothing(stage);
}
on!(read_only_is_stricter_than_the_users_own_rules: claude; claude_print);

fn read_only_reads(stage: &Stage) {
    fs::write(stage.file("notes.txt"), "the contents\n").unwrap();
    let path = stage.path_for_model("notes.txt");
    let read = match stage.way {
        Way::Claude | Way::ClaudePrint => Reply::new().tool("Read", json!({"file_path": path})),
        Way::OpenCode | Way::OpenCodeRun => Reply::new().tool("read", json!({"filePath": path})),
        Way::Pi | Way::PiPrint => Reply::new().tool("read", json!({"path": path})),
        Way::Gemini | Way::Qwen => Reply::new().tool("read_file", json!({"file_path": path})),
        Way::Copilot => Reply::new().tool("view", json!({"path": path})),
        Way::Codex | Way::CodexExec => Reply::new().shell("cat notes.txt"),
    };
    let played =
        stage.play(one_call(read), RunRequest::new("PROMPT").permissions(Permissions::ReadOnly));
    played.answered("Done.");
    let result = played.result_of(played.calls()[0].tool_id.as_ref());
    assert!(result.output.contains("the contents"), "{played:#?}");
}
on!(read_only_reads: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, qwen, copilot);

fn edit_writes_files_in_the_project(stage: &Stage) {
    let stage = &asking(stage);
    let write = Reply::new().write_file(stage.path_for_model("notes.txt"), "one\n");
    let played = stage.play(one_call(write), writing(stage, Permissions::Edit));
    let outcome = played.answered("Done.");
    assert!(stage.file("notes.txt").exists(), "{played:#?}");
    assert_eq!(fs::read_to_string(stage.file("notes.txt")).unwrap(), "one\n");
    assert!(outcome.denials.is_empty());
}
on!(edit_writes_files_in_the_project: claude; claude_print, codex, codex_exec, opencode, opencode_run, gemini, copilot);

/// A folder beside the project, which is below the common folder for temporary files.
fn beside(stage: &Stage, name: &str) -> PathBuf {
    let folder = stage.project().with_file_name(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn edit_writes_in_the_folders_that_were_added(stage: &Stage) {
    let [first, second] = ["first", "second one"].map(|name| beside(stage, name));
    let write = |folder: &Path| {
        Reply::new().write_file(folder.join("notes.txt").to_string_lossy(), "one\n")
    };
    let script = Script::new().reply(write(&first)).reply(write(&second));
    let request = writing(stage, Permissions::Edit).add_dir("../first").add_dir(&second);
    let played = stage.play(script.reply(Reply::text("Done.")), request);
    played.answered("Done.");
    for folder in [first, second] {
        assert!(folder.join("notes.txt").exists(), "{}: {played:#?}", folder.display());
    }
}
on!(edit_writes_in_the_folders_that_were_added: claude, codex, opencode, gemini, copilot; claude_print, codex_exec, opencode_run);

fn a_folder_that_was_added_is_written_to_in_no_mode_that_only_looks(stage: &Stage) {
    let folder = beside(stage, "added");
    let path = folder.join("notes.txt");
    let write = Reply::new().write_file(path.to_string_lossy(), "one\n");
    let request = writing(stage, Permissions::ReadOnly).add_dir(&folder);
    stage.play(one_call(write), request).answered("Done.");
    assert!(!path.exists());
}
on!(a_folder_that_was_added_is_written_to_in_no_mode_that_only_looks: codex; claude, claude_print, codex_exec, opencode, opencode_run, gemini, qwen, copilot);

fn a_folder_cannot_be_added_where_nothing_keeps_the_agent_in_one(stage: &Stage) {
    let request = RunRequest::new("PROMPT").add_dir(beside(stage, "added"));
    let played = stage.play(Script::new().forever(Reply::text("Never said.")), request);
    let error = played.failed(FailureKind::InvalidRequest);
    assert!(error.to_string().contains("add_dirs"), "{error}");
}
on!(a_folder_cannot_be_added_where_nothing_keeps_the_agent_in_one: pi);

/// All of `/tmp` is no part of the workspace, and temporary files have a folder of the attempt's own.
fn edit_has_a_folder_for_temporary_files_of_its_own(stage: &Stage) {
    let common = tempfile::Builder::new().prefix("belay-common-").tempdir_in("/tmp").unwrap();
    let common_file = common.path().join("file");
    let command = format!(
        "touch \"$TMPDIR/own\" && rm \"$TMPDIR/own\" && echo \"in $TMPDIR\"; touch {}",
        common_file.display()
    );
    let played = stage.play(
        one_call(Reply::new().shell(command)),
        RunRequest::new("PROMPT").permissions(Permissions::Edit),
    );
    played.answered("Done.");
    let output = &played.result_of(played.calls()[0].tool_id.as_ref()).output;
    let own = output.lines().find_map(|line| line.strip_prefix("in ")).expect("it may write there");
    assert!(!common_file.exists(), "{played:#?}");
    assert!(own.contains("belay-") && own.ends_with("-tmp") && !fs::exists(own).unwrap(), "{own}");
}
on!(edit_has_a_folder_for_temporary_files_of_its_own: codex; codex_exec);

/// Pi confines nothing, and Qwen's own mode for edits neither: they would write anywhere, so they do not start.
fn edit_is_refused_where_nothing_keeps_it_in_the_project(stage: &Stage) {
    let script = Script::new().forever(Reply::text("Never said."));
    let played = stage.play(script, RunRequest::new("PROMPT").permissions(Permissions::Edit));
    let error = played.failed(FailureKind::InvalidRequest);
    assert!(error.to_string().contains("use read-only or full"), "{error}");
    assert_eq!(played.requests.len(), 0);
}
on!(edit_is_refused_where_nothing_keeps_it_in_the_project: pi; pi_print, qwen);

fn edit_does_not_write_elsewhere(stage: &Stage) {
    let elsewhere = beside(stage, "elsewhere").join("elsewhere.txt");
    let write = Reply::new().write_file(elsewhere.to_string_lossy(), "one\n");
    let played = stage.play(one_call(write), writing(stage, Permissions::Edit));
    played.answered("Done.");
    assert!(!elsewhere.exists(), "{played:#?}");
}
on!(edit_does_not_write_elsewhere: claude; claude_print, codex, codex_exec, opencode, opencode_run, gemini, copilot);
