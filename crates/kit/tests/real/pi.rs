//! What no other agent does as Pi does: it shortens its context in mid-turn, waits before it tries again and can be
//! stopped while it does, takes words before its turn has begun, and has extensions that ask.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{Played, Stage, TOKENS, on};
use belay_testkit::model_server::{Reply, Script, StopReason, Tokens};
use belaykit::trace::{Compaction, CompactionStatus};
use belaykit::{Event, FailureKind, Permissions, RunRequest};
use std::fs;
use std::time::{Duration, Instant};

/// What a summary uses: not what a response does.
const SUMMARY: Tokens =
    Tokens { input: 700, output: 33, cache_read: 500, cache_write: 20, reasoning: 0 };

fn full() -> RunRequest {
    RunRequest::new("PROMPT").permissions(Permissions::Full)
}

impl Played {
    fn compactions(&self) -> Vec<CompactionStatus> {
        let compactions = self.events().filter_map(|e| match e {
            Event::Compaction(Compaction { status, .. }) => Some(*status),
            _ => None,
        });
        compactions.collect()
    }
}

fn plus(a: Tokens, b: Tokens) -> Tokens {
    Tokens {
        input: a.input + b.input,
        output: a.output + b.output,
        cache_read: a.cache_read + b.cache_read,
        cache_write: a.cache_write + b.cache_write,
        reasoning: a.reasoning + b.reasoning,
    }
}

/// A session with so much in it that there is something to shorten: Pi keeps the last 20,000 tokens as they are.
fn long_session(stage: &Stage) -> RunRequest {
    let answer = || Script::new().reply(Reply::text("Read.").usage(TOKENS));
    let played = stage.play(answer(), "What was there first");
    let session = played.outcome().session_id.clone().unwrap();
    let long = "many words that fill the context of the model ".repeat(3000);
    stage.play(answer(), RunRequest::new(long).resume(&session)).answered("Read.");
    RunRequest::new("And now?").resume(session)
}

fn a_context_that_overflows_is_shortened_and_the_turn_goes_on(stage: &Stage) {
    let request = long_session(stage);
    let script = Script::new()
        .reply(Reply::context_too_long())
        .reply(Reply::text("There were many words.").usage(SUMMARY))
        .reply(Reply::text("Now this.").usage(TOKENS));
    let played = stage.play(script, request);
    played.answered("Now this.");
    assert_eq!(played.said(), "Now this.");
    assert_eq!(played.compactions(), [CompactionStatus::Started, CompactionStatus::Completed]);
    // The summary is paid for as well, and the parts of the models add up to the whole.
    played.used_tokens(stage.way, &plus(TOKENS, SUMMARY));
    let models = &played.outcome().usage.models;
    let input = models.values().map(|model| model.input_tokens).sum::<u64>();
    assert_eq!(input, TOKENS.input + SUMMARY.input, "{models:#?}");
}
on!(a_context_that_overflows_is_shortened_and_the_turn_goes_on: pi; pi_print);

/// An answer that was cut short for want of room is written once more, in a shorter context.
fn words_that_were_cut_and_come_again_are_retracted(stage: &Stage) {
    let request = long_session(stage);
    let script = Script::new()
        .reply(Reply::text("Half of the").stop(StopReason::MaxTokens).usage(TOKENS))
        .reply(Reply::text("There were many words.").usage(SUMMARY))
        .reply(Reply::text("Whole.").usage(TOKENS));
    let played = stage.play(script, request);
    played.answered("Whole.");
    let retracted = played.events().filter_map(|e| match e {
        Event::TextRetracted(retracted) => Some(retracted.text.as_str()),
        _ => None,
    });
    assert_eq!(retracted.collect::<Vec<_>>(), ["Half of the"], "{played:#?}");
    played.used_tokens(stage.way, &plus(plus(TOKENS, TOKENS), SUMMARY));
}
on!(words_that_were_cut_and_come_again_are_retracted: pi; pi_print);

/// The answer is there when Pi begins to shorten the context for the next turn, and stays the answer.
fn a_context_that_is_nearly_full_after_the_answer_is_shortened(stage: &Stage) {
    let request = long_session(stage);
    let large = Tokens { input: 120_000, ..TOKENS };
    let script = Script::new()
        .reply(Reply::text("Now this.").usage(large))
        .reply(Reply::text("There were many words.").usage(SUMMARY));
    let played = stage.play(script, request);
    played.answered("Now this.");
    assert_eq!(played.compactions(), [CompactionStatus::Started, CompactionStatus::Completed]);
    played.used_tokens(stage.way, &plus(large, SUMMARY));
}
on!(a_context_that_is_nearly_full_after_the_answer_is_shortened: pi; pi_print);

fn a_summary_that_fails_is_a_failed_compaction_and_the_overflow_is_the_failure(stage: &Stage) {
    let request = long_session(stage);
    let script = Script::new().reply(Reply::context_too_long()).forever(Reply::unauthorized());
    let played = stage.play(script, request);
    played.failed(FailureKind::ContextOverflow);
    assert_eq!(played.compactions(), [CompactionStatus::Started, CompactionStatus::Failed]);
}
on!(a_summary_that_fails_is_a_failed_compaction_and_the_overflow_is_the_failure: pi; pi_print);

/// An interrupt ends the run, soon, whatever Pi waits for.
fn stopped_at(stage: &Stage, script: Script, request: RunRequest, is_it: fn(&Event) -> bool) {
    let mut since = None;
    let played = stage.play_with(script, request, |record, run| {
        if since.is_none() && is_it(&record.event) {
            since = Some(Instant::now());
            run.interrupter().interrupt();
        }
    });
    played.failed(FailureKind::Interrupted);
    let took = since.expect("it came to it").elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}: {played:#?}");
    assert!(!played.attempt_ended().forced, "{played:#?}");
}

fn an_interrupt_while_pi_waits_to_try_again_ends_the_wait(stage: &Stage) {
    // The third wait is of eight seconds.
    let script = Script::new().forever(Reply::rate_limited());
    stopped_at(stage, script, full(), |e| matches!(e, Event::Retry(r) if r.retry == Some(3)));
}
on!(an_interrupt_while_pi_waits_to_try_again_ends_the_wait: pi; pi_print);

fn an_interrupt_while_pi_shortens_its_context_ends_that_too(stage: &Stage) {
    let request = long_session(stage);
    let script = Script::new().reply(Reply::context_too_long()).forever(Reply::text("No.").stall());
    stopped_at(stage, script, request, |e| matches!(e, Event::Compaction(_)));
}
on!(an_interrupt_while_pi_shortens_its_context_ends_that_too: pi; pi_print);

/// Words that come before Pi works wait until it does.
fn words_before_the_turn_are_kept_for_it(stage: &Stage) {
    let script = Script::new()
        .reply(Reply::text("First.").delay(Duration::from_millis(300)).usage(TOKENS))
        .reply(Reply::text("As you wish.").usage(TOKENS))
        .reply(Reply::text("And that too.").usage(TOKENS));
    let played = stage.play_with(script, "PROMPT", |record, run| {
        if let Event::SessionStarted(_) = &record.event {
            run.steer("STEER-MARK: one.");
            run.steer("STEER-MARK: two.");
        }
    });
    played.answered("And that too.");
    // Pi hands them over one at a time.
    let marks = |n: usize| played.requests[n].body.to_string().matches("STEER-MARK").count();
    assert_eq!([marks(0), marks(1), marks(2)], [0, 1, 2]);
    played.used(stage.way, 3);
}
on!(words_before_the_turn_are_kept_for_it: pi);

/// Pi asks whether to copy it, and there is nobody who could say yes.
fn a_session_of_another_folder_is_an_invalid_request(stage: &Stage) {
    let first = stage.play(Script::new().reply(Reply::text("Hi.")), "FIRST-PROMPT");
    let session = first.answered("Hi.").session_id.clone().unwrap();
    let elsewhere = stage.sandbox.home().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let script = Script::new().forever(Reply::text("Never said."));
    let request = RunRequest::new("And now?").resume(session).cwd(elsewhere);
    let played = stage.play(script, request);
    let error = played.failed(FailureKind::InvalidRequest);
    assert!(error.failure().message.contains("different project"), "{error}");
    assert_eq!(played.requests.len(), 0);
}
on!(a_session_of_another_folder_is_an_invalid_request: pi; pi_print);

/// A provider that Pi knows and has no key for.
fn a_provider_without_a_key_is_a_matter_of_the_login(stage: &Stage) {
    let script = Script::new().forever(Reply::text("Never said."));
    let request = RunRequest::new("PROMPT").model("anthropic/claude-sonnet-4-5");
    let played = stage.play(script, request);
    let error = played.failed(FailureKind::Auth);
    assert!(error.failure().message.starts_with("No API key found for"), "{error}");
    assert!(!error.failure().evidence.is_empty());
    assert_eq!(played.requests.len(), 0);
}
on!(a_provider_without_a_key_is_a_matter_of_the_login: pi; pi_print);

/// An extension that asks a person is answered no at once; over one shot it hears so from Pi itself.
fn an_extension_that_asks_is_told_no_and_the_run_goes_on(stage: &Stage) {
    let folder = stage.sandbox.home().join(".pi/agent/extensions");
    fs::create_dir_all(&folder).unwrap();
    let extension = r#"
        export default function (pi) {
            pi.on("tool_call", async (event, ctx) => {
                ctx.ui.notify("SOMEBODY-WORKS", "warning");
                const ok = await ctx.ui.confirm("Sure?", event.toolName);
                if (!ok) return { block: true, reason: "NOBODY-SAID-YES" };
            });
        }
    "#;
    fs::write(folder.join("gate.ts"), extension).unwrap();
    let touch = Reply::new().shell("touch touched");
    let played = stage.play(Script::new().reply(touch).reply(Reply::text("Done.")), full());
    played.answered("Done.");
    assert!(!stage.file("touched").exists());
    let result = played.result_of(played.calls()[0].tool_id.as_ref());
    assert!(result.tool_error && result.output.contains("NOBODY-SAID-YES"), "{result:?}");
    let told = |code: &str, words: &str| {
        played.notices().iter().any(|(c, text)| *c == code && text.contains(words))
    };
    let asks = stage.way == crate::real_run::Way::Pi;
    assert_eq!(told("refused_request", "Sure?"), asks, "{played:#?}");
    assert_eq!(told("extension", "SOMEBODY-WORKS"), asks, "{played:#?}");
}
on!(an_extension_that_asks_is_told_no_and_the_run_goes_on: pi; pi_print);
