//! Going on in a session: the history is there, the bill is this run's alone.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, Stage, TOKENS, Way, on, times};
use belay_testkit::model_server::{Reply, Script, Tokens};
use belaykit::{FailureKind, Permissions, RunRequest};
use std::time::{Duration, SystemTime};

/// What the second run of a session uses: not what the first has used.
const MORE: Tokens =
    Tokens { input: 700, output: 33, cache_read: 500, cache_write: 20, reasoning: 0 };

fn first(stage: &Stage) -> (Played, String) {
    let reply = Reply::text("It is blue.").usage(TOKENS);
    let played = stage.play(Script::new().reply(reply), "What colour is the sky? FIRST-PROMPT");
    let session = played.answered("It is blue.").session_id.clone().unwrap();
    if stage.way == Way::Gemini {
        // Within the minute in which a session began, Gemini begins its file anew when it is loaded (0.61).
        let minute = || {
            let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            since_epoch.as_secs() / 60
        };
        let began = minute();
        while minute() == began {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    (played, session)
}

fn second(stage: &Stage, request: RunRequest) -> Played {
    let script = Script::new().reply(Reply::text("It was blue.").usage(MORE));
    let played = stage.play(script, request);
    played.answered("It was blue.");
    let body = played.requests[0].body.to_string();
    assert!(body.contains("FIRST-PROMPT") && body.contains("It is blue."), "no history: {body}");
    played
}

/// Exec tells the sum over the thread; the share of a run is in the file of the session.
fn used_only(stage: &Stage, played: &Played, tokens: &Tokens) {
    played.used_tokens(stage.way, tokens);
    assert!(!played.outcome().usage.partial, "{played:#?}");
}

fn a_resumed_run_pays_for_itself_only(stage: &Stage) {
    let (_, session) = first(stage);
    let played = second(stage, RunRequest::new("And yesterday?").resume(&session));
    assert_eq!(played.outcome().session_id.as_deref(), Some(session.as_str()));
    used_only(stage, &played, &MORE);
    if stage.way == Way::Gemini {
        // When a session that was resumed is loaded once more, Gemini deletes it (0.61).
        return;
    }
    let third = second(stage, RunRequest::new("And before?").resume(&session));
    assert_eq!(third.outcome().session_id.as_deref(), Some(session.as_str()));
    used_only(stage, &third, &MORE);
}
on!(a_resumed_run_pays_for_itself_only: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

/// The first response of a resumed run already needs a second: both are this run's.
fn a_resumed_run_of_several_responses_pays_for_all_of_them(stage: &Stage) {
    let (_, session) = first(stage);
    let script = Script::new()
        .reply(Reply::new().shell("echo hi").usage(MORE))
        .reply(Reply::text("Done.").usage(MORE));
    let request = RunRequest::new("Go on.").resume(&session).permissions(Permissions::Full);
    let played = stage.play(script, request);
    played.answered("Done.");
    used_only(stage, &played, &times(MORE, 2));
    assert_eq!(played.said(), "Done.");
}
on!(a_resumed_run_of_several_responses_pays_for_all_of_them: claude; codex, codex_exec, opencode, opencode_run, pi, pi_print, copilot);

fn a_fork_has_the_history_and_an_id_of_its_own(stage: &Stage) {
    let (_, session) = first(stage);
    let played = second(stage, RunRequest::new("And yesterday?").fork(&session));
    let fork = played.outcome().session_id.clone().unwrap();
    assert_ne!(fork, session);
    used_only(stage, &played, &MORE);
    // The session that was forked is as it was.
    let script = Script::new().reply(Reply::text("Still blue.").usage(MORE));
    let played = stage.play(script, RunRequest::new("And now?").resume(&session));
    played.answered("Still blue.");
    assert!(!played.requests[0].body.to_string().contains("It was blue."));
}
on!(a_fork_has_the_history_and_an_id_of_its_own: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print);

fn to_continue_is_to_resume_the_latest(stage: &Stage) {
    let script = Script::new().reply(Reply::text("An older one."));
    let older = stage.play(script, "OLDER-PROMPT").outcome().session_id.clone();
    let (_, session) = first(stage);
    assert_ne!(older.as_deref(), Some(session.as_str()));
    let played = second(stage, RunRequest::new("And yesterday?").continue_latest());
    assert_eq!(played.outcome().session_id.as_deref(), Some(session.as_str()));
    assert!(!played.requests[0].body.to_string().contains("OLDER-PROMPT"));
    used_only(stage, &played, &MORE);
}
on!(to_continue_is_to_resume_the_latest: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, qwen);

/// Sessions of other folders are other people's work.
fn to_continue_looks_in_the_working_directory_only(stage: &Stage) {
    let (_, session) = first(stage);
    let elsewhere = stage.sandbox.home().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let script = Script::new().reply(Reply::text("Hm."));
    let request = RunRequest::new("And yesterday?").continue_latest().cwd(elsewhere);
    let played = stage.play(script, request);
    assert_ne!(played.outcome().session_id.as_deref(), Some(session.as_str()));
    let told = played.requests.iter().any(|r| r.body.to_string().contains("FIRST-PROMPT"));
    assert!(!told, "{played:#?}");
}
on!(to_continue_looks_in_the_working_directory_only: claude; codex, codex_exec, pi, pi_print);

fn a_session_that_does_not_exist_is_an_invalid_request(stage: &Stage) {
    let script = Script::new().forever(Reply::text("Never said."));
    let request = RunRequest::new("PROMPT").resume("0198c0de-0000-7000-8000-000000000000");
    let played = stage.play(script, request);
    let error = played.failed(FailureKind::InvalidRequest);
    assert!(!error.failure().message.is_empty());
    assert!(!error.failure().evidence.is_empty(), "{error:#?}");
    assert_eq!(played.requests.len(), 0);
    assert_eq!(error.outcome().text, "");
}
on!(a_session_that_does_not_exist_is_an_invalid_request: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);
