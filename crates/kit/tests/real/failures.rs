//! How a real agent fails, and what a run makes of it: a kind with its evidence, and never an answer.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, Stage, TOKENS, Way, on};
use belay_testkit::model_server::{ModelServer, Reply, Script, StopReason};
use belaykit::trace::EvidenceSource::{self, Field, Status, Text};
use belaykit::trace::{Retry, TextRetracted};
use belaykit::{Client, Event, Failure, FailureKind, IdleLimits, Permissions, RunRequest};
use std::time::{Duration, SystemTime};

impl Played {
    fn retries(&self) -> Vec<&Retry> {
        self.events().filter_map(|e| if let Event::Retry(r) = e { Some(r) } else { None }).collect()
    }

    fn retractions(&self) -> Vec<&TextRetracted> {
        let retractions = self.events().filter_map(|e| match e {
            Event::TextRetracted(retracted) => Some(retracted),
            _ => None,
        });
        retractions.collect()
    }

    /// What a reader has in front of them who strikes out what is retracted.
    fn read(&self) -> String {
        let mut pieces: Vec<(Option<String>, String)> = Vec::new();
        for event in self.events() {
            match event {
                Event::Text(text) => pieces.push((text.message_id.clone(), text.text.clone())),
                Event::TextRetracted(retracted) => {
                    let (id, text) = (&retracted.message_id, &retracted.text);
                    let said: String = pieces
                        .iter()
                        .filter(|(i, _)| i == id)
                        .map(|(_, text)| text.as_str())
                        .collect();
                    assert_eq!(said, *text, "what is retracted is what was said: {self:#?}");
                    pieces.retain(|(i, _)| i != id);
                }
                _ => {}
            }
        }
        pieces.into_iter().map(|(_, text)| text).collect()
    }
}

fn evidence(failure: &Failure) -> Vec<(EvidenceSource, &str, &str)> {
    failure.evidence.iter().map(|e| (e.source, e.name.as_str(), e.value.as_str())).collect()
}

/// A run against a provider that does nothing but fail.
#[track_caller]
fn fails(
    stage: &Stage,
    reply: Reply,
    kind: FailureKind,
    shown_by: &[(EvidenceSource, &str, &str)],
) -> Played {
    let played = stage.play(Script::new().forever(reply), "PROMPT");
    let error = played.failed(kind);
    let failure = error.failure();
    assert!(!failure.message.is_empty());
    let evidence = evidence(failure);
    for (source, name, value) in shown_by {
        let shown =
            evidence.iter().any(|(s, n, v)| s == source && n == name && v.starts_with(value));
        assert!(shown, "no {source:?} {name} = {value} in {evidence:#?}");
    }
    assert_eq!(error.outcome().text, "", "{played:#?}");
    assert_eq!(played.attempt_ended().failure.as_ref(), Some(failure));
    assert!(error.outcome().session_id.is_some());
    played
}

fn a_rate_limit_that_passes_is_a_retry_and_then_the_answer(stage: &Stage) {
    let limited = Reply::rate_limited().header("retry-after", "1");
    let script = Script::new().reply(limited).reply(Reply::text("At last.").usage(TOKENS));
    let played = stage.play(script, "PROMPT");
    played.answered("At last.");
    played.used(stage.way, 1);
    let retries = played.retries();
    assert_eq!(retries.len(), 1, "{played:#?}");
    assert_eq!(retries[0].retry, Some(1));
    assert_eq!(
        retries[0].retries_max.is_some(),
        !stage.way.is_opencode() && stage.way != Way::Copilot
    );
    assert!(!retries[0].reason.is_empty());
    if stage.way.is_claude() || stage.way.is_pi() {
        assert_eq!(retries[0].status, Some(429));
        assert!(retries[0].delay_ms.is_some());
    }
    assert_eq!(retries[0].until.is_some(), stage.way.is_opencode());
}
on!(a_rate_limit_that_passes_is_a_retry_and_then_the_answer: claude, opencode, copilot; claude_print, codex, codex_exec, pi, pi_print);

fn a_rate_limit_for_ever(stage: &Stage) {
    let shown: &[_] = match stage.way {
        Way::Claude | Way::ClaudePrint => {
            &[(Field, "error", "rate_limit"), (Status, "api_error_status", "429")]
        }
        Way::Codex => {
            &[(Status, "httpStatusCode", "429"), (Text, "message", "exceeded retry limit")]
        }
        Way::CodexExec => &[(Text, "message", "exceeded retry limit, last status: 429")],
        Way::OpenCode | Way::OpenCodeRun => &[(Status, "statusCode", "429")],
        Way::Pi | Way::PiPrint => {
            &[(Field, "code", "rate_limit_exceeded"), (Status, "errorMessage", "429")]
        }
        Way::Gemini => &[(Field, "code", "429"), (Status, "code", "429")],
        Way::Qwen => &[(Field, "code", "-32603"), (Status, "code", "429")],
        Way::Copilot => &[(Field, "code", "rate_limit_exceeded"), (Status, "statusCode", "429")],
    };
    fails(stage, Reply::rate_limited(), FailureKind::RateLimited, shown);
}
on!(a_rate_limit_for_ever: claude, codex, pi; claude_print, codex_exec, pi_print);

fn a_wrong_key(stage: &Stage) {
    let shown: &[_] = match stage.way {
        Way::Claude | Way::ClaudePrint => {
            &[(Field, "error", "authentication_failed"), (Status, "api_error_status", "401")]
        }
        Way::Codex => &[(Field, "codexErrorInfo", "")],
        Way::CodexExec => &[(Text, "message", "unexpected status 401")],
        Way::OpenCode | Way::OpenCodeRun => {
            &[(Field, "error.name", "APIError"), (Status, "statusCode", "401")]
        }
        Way::Pi | Way::PiPrint => {
            &[(Field, "code", "invalid_api_key"), (Status, "errorMessage", "401")]
        }
        Way::Gemini => &[(Field, "code", "401"), (Status, "code", "401")],
        Way::Qwen => &[(Field, "code", "-32603"), (Status, "code", "401")],
        Way::Copilot => &[(Field, "errorType", "authentication"), (Status, "statusCode", "401")],
    };
    fails(stage, Reply::unauthorized(), FailureKind::Auth, shown);
}
on!(a_wrong_key: claude, codex, opencode, pi, gemini, qwen, copilot; claude_print, codex_exec, opencode_run, pi_print);

fn an_overloaded_provider(stage: &Stage) {
    let shown: &[_] = match stage.way {
        Way::Claude | Way::ClaudePrint => {
            &[(Field, "api_error_type", "overloaded_error"), (Status, "api_error_status", "529")]
        }
        Way::Codex => &[(Field, "codexErrorInfo", "serverOverloaded")],
        Way::CodexExec => &[(Text, "message", "Selected model is at capacity.")],
        Way::OpenCode | Way::OpenCodeRun => &[(Status, "statusCode", "503")],
        Way::Pi | Way::PiPrint => {
            &[(Field, "code", "server_is_overloaded"), (Status, "errorMessage", "503")]
        }
        Way::Gemini => &[(Field, "code", "503"), (Status, "code", "503")],
        Way::Qwen => &[(Field, "code", "-32603"), (Status, "code", "503")],
        Way::Copilot => &[(Field, "code", "server_is_overloaded"), (Status, "statusCode", "503")],
    };
    fails(stage, Reply::overloaded(), FailureKind::Overloaded, shown);
}
on!(an_overloaded_provider: claude; claude_print, codex, codex_exec, pi, pi_print);

fn a_broken_provider(stage: &Stage) {
    let shown: &[_] = match stage.way {
        Way::Claude | Way::ClaudePrint => {
            &[(Field, "error", "server_error"), (Status, "api_error_status", "500")]
        }
        Way::Codex => &[(Field, "codexErrorInfo", "")],
        Way::CodexExec => &[(Text, "message", "We\u{2019}re currently experiencing high demand")],
        Way::OpenCode | Way::OpenCodeRun => &[(Status, "statusCode", "500")],
        Way::Pi | Way::PiPrint => {
            &[(Field, "type", "server_error"), (Status, "errorMessage", "500")]
        }
        Way::Gemini => &[(Field, "code", "500"), (Status, "code", "500")],
        Way::Qwen => &[(Field, "code", "-32603"), (Status, "code", "500")],
        Way::Copilot => &[(Field, "type", "server_error"), (Status, "statusCode", "500")],
    };
    fails(stage, Reply::server_error(), FailureKind::ServerError, shown);
}
on!(a_broken_provider: claude; claude_print, codex, codex_exec, pi, pi_print);

fn a_context_that_is_too_long(stage: &Stage) {
    let shown: &[_] = match stage.way {
        Way::Claude | Way::ClaudePrint => &[(Field, "terminal_reason", "prompt_too_long")],
        Way::Codex => &[(Field, "codexErrorInfo", "contextWindowExceeded")],
        Way::CodexExec => &[(Text, "message", "Codex ran out of room")],
        Way::OpenCode | Way::OpenCodeRun => &[(Field, "error.name", "ContextOverflowError")],
        Way::Pi | Way::PiPrint => {
            &[(Field, "code", "context_length_exceeded"), (Status, "errorMessage", "400")]
        }
        Way::Gemini => &[(Field, "code", "400"), (Status, "code", "400")],
        Way::Qwen => &[(Field, "code", "-32603"), (Status, "code", "400")],
        Way::Copilot => {
            &[(Field, "code", "context_length_exceeded"), (Status, "statusCode", "400")]
        }
    };
    fails(stage, Reply::context_too_long(), FailureKind::ContextOverflow, shown);
}
on!(a_context_that_is_too_long: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

fn a_model_that_does_not_exist(stage: &Stage) {
    let shown: &[_] = match stage.way {
        Way::Claude | Way::ClaudePrint => {
            &[(Field, "error", "model_not_found"), (Status, "api_error_status", "404")]
        }
        Way::Codex => &[(Text, "message", "The model `gpt-5.5` does not exist")],
        Way::CodexExec => &[(Text, "message", "The model `gpt-5.5` does not exist")],
        Way::OpenCode | Way::OpenCodeRun => &[(Status, "statusCode", "404")],
        Way::Pi | Way::PiPrint => {
            &[(Field, "code", "model_not_found"), (Status, "errorMessage", "404")]
        }
        Way::Gemini => &[(Text, "message", "models/")],
        Way::Qwen => &[(Field, "code", "-32603"), (Status, "code", "404")],
        Way::Copilot => &[(Field, "code", "model_not_found"), (Status, "statusCode", "404")],
    };
    fails(stage, Reply::model_not_found(), FailureKind::ModelUnavailable, shown);
}
on!(a_model_that_does_not_exist: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

fn an_empty_account(stage: &Stage) {
    let shown: &[_] = match stage.way {
        Way::Claude | Way::ClaudePrint => &[(Field, "error", "billing_error")],
        Way::Codex | Way::CodexExec => &[(Text, "message", "Quota exceeded.")],
        Way::OpenCode | Way::OpenCodeRun => &[(Field, "error.code", "insufficient_quota")],
        Way::Pi | Way::PiPrint => {
            &[(Field, "code", "insufficient_quota"), (Status, "errorMessage", "429")]
        }
        Way::Gemini => &[(Field, "code", "429"), (Status, "code", "429")],
        Way::Qwen => &[(Field, "code", "-32603"), (Status, "code", "429")],
        Way::Copilot => &[(Field, "code", "insufficient_quota"), (Status, "statusCode", "429")],
    };
    fails(stage, Reply::no_credit(), FailureKind::Billing, shown);
}
on!(an_empty_account: claude; claude_print, codex, codex_exec, pi, pi_print);

/// Providers that sell credits in advance have a status of their own for it.
fn a_provider_that_wants_to_be_paid(stage: &Stage) {
    let name = if stage.way == Way::Copilot { "statusCode" } else { "errorMessage" };
    let shown = &[(Status, name, "402")];
    fails(stage, Reply::payment_required(), FailureKind::Billing, shown);
}
on!(a_provider_that_wants_to_be_paid: pi; pi_print, copilot);

/// It would try for a minute; whoever has another agent does not wait so long.
fn a_limit_on_its_own_retries_ends_them(stage: &Stage) {
    for (reply, kind) in [
        (Reply::rate_limited(), FailureKind::RateLimited),
        (Reply::no_credit(), FailureKind::Billing),
        (Reply::overloaded(), FailureKind::Overloaded),
    ] {
        let request = RunRequest::new("PROMPT").agent_retries(1);
        let played = stage.play(Script::new().forever(reply), request);
        let failure = played.failed(kind).failure();
        assert!(!failure.message.is_empty(), "{played:#?}");
        assert!(played.requests.len() <= 3, "{played:#?}");
    }
}
on!(a_limit_on_its_own_retries_ends_them: copilot);

/// These agents try again for more than a minute and say nothing of it: belay's own limit ends that.
fn a_rate_limit_that_is_kept_quiet_has_its_end(stage: &Stage) {
    let mut idle = IdleLimits::default();
    idle.model = Some(Duration::from_secs(3));
    let request = RunRequest::new("PROMPT").idle(idle);
    let played = stage.play(Script::new().forever(Reply::rate_limited()), request);
    played.failed(FailureKind::Stalled);
    assert!(!played.requests.is_empty());
    assert!(played.outcome().session_id.is_some());
}
on!(a_rate_limit_that_is_kept_quiet_has_its_end: gemini, qwen);

/// Gemini ends such a turn like any other, and counts no token of it.
fn an_answer_that_always_breaks_off_is_none(stage: &Stage) {
    let script = Script::new().forever(Reply::text("cut in the middle of it").drop_after(1));
    let played = stage.play(script, "PROMPT");
    played.failed(FailureKind::Network);
}
on!(an_answer_that_always_breaks_off_is_none: gemini);

/// Each of Pi's own retries is told when it begins to wait, with how long it waits.
fn retries_tell_how_long_they_wait(stage: &Stage) {
    let shown = &[(Status, "errorMessage", "429")];
    let limited = Reply::rate_limited().header("retry-after", "1");
    let played = fails(stage, limited, FailureKind::RateLimited, shown);
    let retries = played.retries().into_iter();
    let told: Vec<_> = retries.map(|r| (r.retry, r.retries_max, r.delay_ms, r.status)).collect();
    let retry = |n, delay| (Some(n), Some(3), Some(delay), Some(429));
    assert_eq!(told, [retry(1, 2000), retry(2, 4000), retry(3, 8000)], "{played:#?}");
    assert_eq!(played.requests.len(), 4);
}
on!(retries_tell_how_long_they_wait: pi; pi_print);

/// A quota does not come back within seconds, so nothing is tried again.
fn an_empty_account_is_asked_once(stage: &Stage) {
    let shown = &[(Field, "code", "insufficient_quota")];
    let played = fails(stage, Reply::no_credit(), FailureKind::Billing, shown);
    assert_eq!((played.retries().len(), played.requests.len()), (0, 1));
}
on!(an_empty_account_is_asked_once: pi; pi_print);

/// The agent itself has no such model, and asks nobody.
fn a_model_that_the_agent_does_not_know(stage: &Stage) {
    let script = Script::new().forever(Reply::text("Never said."));
    let played = stage.play(script, RunRequest::new("PROMPT").model("nobody/nothing"));
    let error = played.failed(FailureKind::ModelUnavailable);
    assert!(!error.failure().evidence.is_empty(), "{error:#?}");
    assert!(error.failure().message.contains("nobody/nothing"), "{error}");
    assert_eq!(played.requests.len(), 0);
    assert_eq!(error.outcome().text, "");
}
on!(a_model_that_the_agent_does_not_know: pi; pi_print);

/// A response without a word is no answer.
fn an_empty_answer_is_no_answer(stage: &Stage) {
    let played = stage.play(Script::new().forever(Reply::new().usage(TOKENS)), "PROMPT");
    let error = played.failed(FailureKind::Protocol);
    assert_eq!(evidence(error.failure()), [(Field, "stopReason", "stop")]);
    played.used(stage.way, 1);
}
on!(an_empty_answer_is_no_answer: pi; pi_print);

/// A model that has worked may end without a word: what it did is its answer. (Claude asks for a word itself.)
fn silence_after_a_tool_is_an_answer(stage: &Stage) {
    let script = Script::new().reply(Reply::new().shell("touch touched")).reply(Reply::new());
    let played = stage.play(script, RunRequest::new("PROMPT").permissions(Permissions::Full));
    played.answered("");
    assert!(stage.file("touched").exists());
}
on!(silence_after_a_tool_is_an_answer: codex; pi, pi_print);

fn a_used_up_window_says_until_when(stage: &Stage) {
    let resets_at = SystemTime::now() + Duration::from_secs(7200);
    let reply = Reply::usage_limit(resets_at);
    let server = ModelServer::start(Script::new().forever(reply)).unwrap();
    // Only with a subscription does Claude speak of windows.
    let vars = match stage.way.is_claude() {
        true => stage.sandbox.env_for_claude_subscription(&server),
        false => stage.sandbox.env_for_codex(&server, stage.policy).unwrap(),
    };
    let vars = vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let played = stage.play_on(&server, &stage.client_with(vars), "PROMPT", |_, _| {});
    let failure = played.failed(FailureKind::UsageLimit).failure();
    assert!(failure.reset_hint.is_some(), "{failure:#?}");
    let seconds = resets_at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let resets = failure.resets_at.map(|at| at.as_second().unsigned_abs());
    match stage.way {
        // Exec has no field for it, and its words leave the seconds out.
        Way::CodexExec => {
            let late = resets.and_then(|resets| resets.checked_sub(seconds));
            assert!(late.is_some_and(|late| late < 60), "{failure:#?}");
        }
        _ => {
            assert_eq!(resets, Some(seconds));
            let limits = played.of_type("rate_limit");
            let Event::RateLimit(limit) = &limits.last().expect("a rate limit").event else {
                unreachable!()
            };
            assert!(limit.rejected, "{limit:#?}");
        }
    }
}
on!(a_used_up_window_says_until_when: claude; claude_print, codex, codex_exec);

fn streams_that_always_break(stage: &Stage) {
    let script = Script::new().forever(Reply::text("cut").drop_after(3));
    let played = stage.play(script, "PROMPT");
    let error = played.failed(FailureKind::Network);
    assert!(!error.failure().evidence.is_empty());
    assert!(!played.retries().is_empty(), "{played:#?}");
    assert_eq!(played.read(), error.outcome().text);
}
on!(streams_that_always_break: claude; claude_print, codex, codex_exec, pi, pi_print);

/// The response broke when some of its words were out already.
fn words_of_a_broken_response_are_retracted(stage: &Stage) {
    let words = "These words are out already when the stream breaks in the middle of it all.";
    let events = if stage.way.is_claude() { 4 } else { 6 };
    // Claude shows nothing of a response that breaks within the same breath.
    let pause = Duration::from_millis(100);
    let cut = Reply::text(words).usage(TOKENS).chunk_delay(pause).drop_after(events);
    let script = Script::new().reply(cut).reply(Reply::text("Whole.").usage(TOKENS));
    let played = stage.play(script, "PROMPT");
    played.answered("Whole.");
    assert_eq!(played.read(), "Whole.", "{played:#?}");
    if stage.way != Way::CodexExec {
        let retracted = played.retractions();
        assert_eq!(retracted.len(), 1, "{played:#?}");
        assert!(words.starts_with(&retracted[0].text) && !retracted[0].text.is_empty());
    }
    assert_eq!(played.requests.len(), 2);
}
on!(words_of_a_broken_response_are_retracted: claude; claude_print, codex, codex_exec, pi, pi_print, copilot);

/// The tool has run and is paid for when the provider fails.
fn what_was_used_before_a_failure_is_kept(stage: &Stage) {
    let script = Script::new()
        .reply(Reply::text("I will look.").shell("echo hi").usage(TOKENS))
        .forever(Reply::context_too_long());
    let played = stage.play(script, RunRequest::new("PROMPT").permissions(Permissions::Full));
    let error = played.outcome.as_ref().unwrap_err();
    assert_eq!(played.calls().len(), 1);
    if stage.way != Way::CodexExec {
        assert_eq!(error.kind(), FailureKind::ContextOverflow, "{played:#?}");
    }
    played.used(stage.way, 1);
}
on!(what_was_used_before_a_failure_is_kept: claude; codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

fn an_answer_that_hits_its_limit_is_a_failure(stage: &Stage) {
    let reply = Reply::text("Half of the").stop(StopReason::MaxTokens);
    let played = stage.play(Script::new().forever(reply), "PROMPT");
    played.failed(FailureKind::OutputLimit);
}
on!(an_answer_that_hits_its_limit_is_a_failure: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print);

/// A client whose provider's port nobody listens on.
fn unreachable(stage: &Stage) -> (ModelServer, Client) {
    let server = ModelServer::start(Script::new()).unwrap();
    let client = stage.client(&server);
    drop(server);
    (ModelServer::start(Script::new()).unwrap(), client)
}

fn a_provider_that_is_not_there(stage: &Stage) {
    let (server, client) = unreachable(stage);
    let played = stage.play_on(&server, &client, "PROMPT", |_, _| {});
    let error = played.failed(FailureKind::Network);
    assert!(!error.failure().evidence.is_empty(), "{error:#?}");
    assert!(!played.retries().is_empty());
}
on!(a_provider_that_is_not_there: claude; claude_print, pi, pi_print);

/// Codex waits for a network, for ever as it seems (measured: 60 s); it says so, and it can be stopped.
fn a_wait_for_the_network_is_said_and_can_be_stopped(stage: &Stage) {
    let (server, client) = unreachable(stage);
    let played = stage.play_on(&server, &client, "PROMPT", |record, run| {
        if let Event::Retry(_) = &record.event {
            run.interrupter().interrupt();
        }
    });
    played.failed(FailureKind::Interrupted);
    let reason = &played.retries()[0].reason;
    assert!(reason.contains("waiting for network"), "{reason}");
}
on!(a_wait_for_the_network_is_said_and_can_be_stopped: codex; codex_exec);

fn a_time_limit_ends_a_wait_that_has_no_end(stage: &Stage) {
    let (server, client) = unreachable(stage);
    let request = RunRequest::new("PROMPT").timeout(Duration::from_secs(3));
    let played = stage.play_on(&server, &client, request, |_, _| {});
    played.failed(FailureKind::Deadline);
}
on!(a_time_limit_ends_a_wait_that_has_no_end: codex; codex_exec, opencode, opencode_run);

fn without_a_key_the_failure_is_the_login(stage: &Stage) {
    let server = ModelServer::start(Script::new().forever(Reply::unauthorized())).unwrap();
    let keyless = |(name, _): &(std::ffi::OsString, std::ffi::OsString)| {
        name != "ANTHROPIC_API_KEY" && name != "MOCK_KEY"
    };
    let vars = stage.vars(&server).into_iter().filter(keyless).collect();
    let played = stage.play_on(&server, &stage.client_with(vars), "PROMPT", |_, _| {});
    played.failed(FailureKind::Auth);
    assert_eq!(played.requests.len(), 0);
}
on!(without_a_key_the_failure_is_the_login: claude; claude_print, codex, codex_exec);

/// OpenCode tries for 73 s and says so at once; whoever knows better need not wait.
#[track_caller]
fn is_tried_again(stage: &Stage, reply: Reply, words: &str) {
    let played = stage.play_with(Script::new().forever(reply), "PROMPT", |record, run| {
        if let Event::Retry(_) = &record.event {
            run.interrupter().interrupt();
        }
    });
    played.failed(FailureKind::Interrupted);
    let retry = played.retries()[0];
    assert!(retry.until.is_some() && retry.reason.contains(words), "{retry:?}");
    assert_eq!(played.requests.len(), 1);
}

fn what_opencode_tries_again_is_said_at_once(stage: &Stage) {
    is_tried_again(stage, Reply::rate_limited(), "Rate limit reached");
    is_tried_again(stage, Reply::no_credit(), "exceeded your current quota");
    is_tried_again(stage, Reply::server_error(), "The server had an error");
    is_tried_again(stage, Reply::overloaded(), "overloaded");
}
on!(what_opencode_tries_again_is_said_at_once: opencode);

fn a_sleep_of_three_days_is_not_waited_for(stage: &Stage) {
    let limited = Reply::rate_limited().header("retry-after", "259200");
    let played = stage.play(Script::new().forever(limited), "PROMPT");
    let error = played.failed(FailureKind::UsageLimit);
    assert!(error.failure().message.contains("try again in"), "{error}");
    let until = played.retries()[0].until.unwrap();
    let sleep = until.as_second() - played.records[0].ts.as_second();
    assert!((259_190..259_400).contains(&sleep), "{sleep}");
}
on!(a_sleep_of_three_days_is_not_waited_for: opencode);

/// A one-shot run waits for a minute without an event; what it waits for stands in its log, and our limit ends it.
fn a_silent_wait_has_its_reason_and_its_end(stage: &Stage) {
    let mut idle = IdleLimits::default();
    idle.start = Some(Duration::from_secs(30));
    let request = RunRequest::new("PROMPT").idle(idle);
    let played = stage.play(Script::new().forever(Reply::rate_limited()), request);
    played.failed(FailureKind::Stalled);
    let said = played.notices().into_iter().any(|(_, words)| words.contains("Rate limit reached"));
    assert!(said, "{played:#?}");
}
on!(a_silent_wait_has_its_reason_and_its_end: opencode_run);

fn a_model_that_opencode_does_not_know(stage: &Stage) {
    let script = Script::new().forever(Reply::text("Never said."));
    let played = stage.play(script, RunRequest::new("PROMPT").model("lab/nope"));
    let failure = played.failed(FailureKind::ModelUnavailable).failure();
    assert!(failure.message.contains("Model not found: lab/nope"), "{failure}");
    let evidence = evidence(failure);
    assert!(evidence.contains(&(Field, "error.name", "UnknownError")), "{evidence:?}");
    assert!(evidence.iter().any(|(source, ..)| *source == Text), "{evidence:?}");
    assert_eq!(played.requests.len(), 0);
}
on!(a_model_that_opencode_does_not_know: opencode; opencode_run);

/// OpenCode asks again five times a second, without end; whether words came each time or none.
fn an_agent_that_asks_for_ever_is_stopped(stage: &Stage) {
    for events in [2, 1] {
        let played = stage.play(Script::new().forever(Reply::text("cut").end_after(events)), "P");
        let error = played.failed(FailureKind::Stalled);
        assert!(error.failure().message.contains("times in a row"), "{error}");
        let reasons = played.events().filter_map(|e| match e {
            Event::Interrupted(interrupted) => Some(interrupted.reason),
            _ => None,
        });
        assert_eq!(reasons.collect::<Vec<_>>(), [belaykit::trace::StopReason::Loop]);
        assert!(played.requests.len() < 100, "{}", played.requests.len());
        assert!(error.outcome().session_id.is_some());
    }
}
on!(an_agent_that_asks_for_ever_is_stopped: opencode; opencode_run);

fn a_stream_that_breaks_once_is_tried_again(stage: &Stage) {
    let cut = Reply::text("These words are out already.").usage(TOKENS).drop_after(3);
    let script = Script::new().reply(cut).reply(Reply::text("Whole.").usage(TOKENS));
    let played = stage.play(script, "PROMPT");
    played.answered("Whole.");
    assert_eq!(played.requests.len(), 2);
    if stage.way == Way::OpenCode {
        assert_eq!(played.read(), "Whole.", "{played:#?}");
        assert!(!played.retries().is_empty(), "{played:#?}");
    }
}
on!(a_stream_that_breaks_once_is_tried_again: opencode; opencode_run);
