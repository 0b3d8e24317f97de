//! Stopping a real agent: soon, with the bill, and with nothing left running.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::real_run::{
    Played, SLEEP, Stage, TOKENS, Way, block_on, counted, on, processes_of, times,
};
use belay_testkit::model_server::{ModelServer, Reply, Script};
use belaykit::trace::{CostSource, StopReason};
use belaykit::{Event, FailureKind, Permissions, Prices, RunRequest};
use std::time::{Duration, Instant};

fn full() -> RunRequest {
    RunRequest::new("PROMPT").permissions(Permissions::Full)
}

/// A command that takes longer than a look at an agent's own account. Claude refuses a plain `sleep`.
const PAUSE: &str = "python3 -c 'import time; time.sleep(2)'";

/// Waits for a process of the agent's tool: the call is announced before the tool runs.
fn wait_for_sleep(stage: &Stage) {
    let since = Instant::now();
    let runs = |line: &str| line.starts_with("python3") && line.contains("time.sleep(300)");
    while !processes_of(stage.sandbox.home()).iter().any(|(_, line)| runs(line)) {
        assert!(since.elapsed() < Duration::from_secs(10), "the tool does not run");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The run was interrupted once, by its user, and ended soon after.
#[track_caller]
fn was_interrupted(played: &Played, since: Option<Instant>) {
    let failure = played.failed(FailureKind::Interrupted).failure();
    // An interrupt at once may come while the agent's start is still being prepared.
    let words = ["stopped at your request", "interrupted", "stopped before the agent was asked"];
    assert!(words.iter().any(|begin| failure.message.starts_with(begin)), "{failure}");
    let reasons = played.events().filter_map(|e| match e {
        Event::Interrupted(interrupted) => Some(interrupted.reason),
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), [StopReason::User], "{played:#?}");
    let took = since.expect("the run was interrupted").elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}: {played:#?}");
    // What has said nothing is killed: it has nothing to report, and may not hear a signal yet.
    let had_spoken = !played.of_type("session_started").is_empty();
    // An exec that has just opened its session swallows SIGINT, also a second and a third (measured).
    let may_be_deaf = played.of_type("turn_started").is_empty() && started_as_exec(played);
    assert!(!had_spoken || may_be_deaf || !played.attempt_ended().forced, "{played:#?}");
}

fn started_as_exec(played: &Played) -> bool {
    let started = played.events().find_map(|event| match event {
        Event::AttemptStarted(started) => Some(started),
        _ => None,
    });
    let Some(started) = started else { return false };
    started.command.iter().any(|arg| arg == "exec")
}

fn sleeping_script() -> Script {
    let sleep = Reply::text("I will sleep.").shell(SLEEP).usage(TOKENS);
    Script::new().reply(sleep).forever(Reply::text("Never said."))
}

fn interrupted_in_a_tool(stage: &Stage) -> Played {
    let (mut since, mut called) = (None, false);
    // Codex starts a tool before it has told what the response has used; exec, Gemini and Copilot do not tell at all, and
    // OpenCode not before the tool has returned.
    let mut told = matches!(stage.way, Way::CodexExec | Way::OpenCode | Way::Gemini | Way::Copilot);
    let played = stage.play_with(sleeping_script(), full(), |record, run| {
        called |= matches!(record.event, Event::ToolCall(_));
        told |= matches!(record.event, Event::Usage(_));
        if called && told && since.is_none() {
            wait_for_sleep(stage);
            // Exec tells its usage at the end of a turn, and this turn has none: it stands in a file.
            if matches!(stage.way, Way::CodexExec | Way::Copilot) {
                stage.wait_for_accounts(1);
            }
            since = Some(Instant::now());
            run.interrupter().interrupt();
        }
    });
    was_interrupted(&played, since);
    played
}

fn an_interrupt_in_a_tool_ends_the_run_with_its_bill(stage: &Stage) {
    let played = interrupted_in_a_tool(stage);
    match stage.way {
        Way::OpenCode => assert_eq!(counted(&played.outcome().usage), None),
        way => played.used(way, 1),
    }
    assert_eq!(played.outcome().text, "I will sleep.");
    // Once in some runs Codex 0.169.0 tells what the response has used only when its tool has yielded, after ten
    // seconds, and then it has asked again before we can interrupt it.
    let most = if stage.way == Way::Codex { 2 } else { 1 };
    assert!((1..=most).contains(&played.requests.len()), "{:#?}", played.records);
}
on!(an_interrupt_in_a_tool_ends_the_run_with_its_bill: claude, codex, opencode, pi, gemini, qwen, copilot; claude_print, codex_exec, pi_print);

fn an_interrupted_session_can_be_resumed(stage: &Stage) {
    let played = interrupted_in_a_tool(stage);
    let session = played.outcome().session_id.clone().unwrap();
    let script = Script::new().reply(Reply::text("Good morning.").usage(TOKENS));
    let resumed = stage.play(script, RunRequest::new("Wake up.").resume(&session));
    resumed.answered("Good morning.");
    assert!(resumed.requests[0].body.to_string().contains("time.sleep(300)"));
    resumed.used(stage.way, 1);
}
on!(an_interrupted_session_can_be_resumed: claude; claude_print, codex, codex_exec, opencode, pi, pi_print, qwen, copilot);

fn an_interrupt_while_the_model_writes_keeps_what_it_wrote(stage: &Stage) {
    let words = "These are the first words of an answer that never comes to its end.";
    // Two pieces of text are out, and then silence.
    let events = if stage.way.is_claude() { 4 } else { 6 };
    let reply = Reply::text(words).usage(TOKENS).stall_after(events);
    let mut since = None;
    let played = stage.play_with(Script::new().forever(reply), "PROMPT", |record, run| {
        if let (Event::Text(_), None) = (&record.event, since) {
            since = Some(Instant::now());
            run.interrupter().interrupt();
        }
    });
    was_interrupted(&played, since);
    let outcome = played.outcome();
    assert!(!outcome.text.is_empty() && words.starts_with(&outcome.text), "{played:#?}");
    assert_eq!(played.said(), outcome.text);
    assert!(played.of_type("text_retracted").is_empty(), "{played:#?}");
    if stage.way.is_claude() {
        let usage = &outcome.usage;
        assert_eq!(usage.cost_source, CostSource::Reported);
        assert!(usage.total_cost_usd.unwrap() > 0.0);
        // Its output is Claude's estimate; what went in is known from the beginning.
        assert_eq!(usage.input_tokens, Some(TOKENS.input));
    }
}
on!(an_interrupt_while_the_model_writes_keeps_what_it_wrote: claude; claude_print, codex, opencode, pi, pi_print, copilot);

fn an_interrupt_before_the_first_word_of_the_model(stage: &Stage) {
    let script = Script::new().forever(Reply::text("Never said.").stall());
    let server = ModelServer::start(script).unwrap();
    let client = stage.client(&server);
    let mut since = None;
    let (id, records, outcome) = block_on(async {
        let mut run = client.start(full().cwd(stage.project()));
        let mut records = Vec::new();
        loop {
            let asked = !server.requests().is_empty();
            if asked && since.is_none() {
                since = Some(Instant::now());
                run.interrupter().interrupt();
            }
            match tokio::time::timeout(Duration::from_millis(10), run.next()).await {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        (run.id().to_owned(), records, run.outcome().await)
    });
    let played = stage.over(&server, &full(), &id, records, outcome);
    was_interrupted(&played, since);
    assert_eq!(played.outcome().text, "");
    if stage.way.is_codex() {
        // What the request has cost is not known, which is not the same as nothing.
        assert_eq!(played.outcome().usage.input_tokens, None);
    }
}
on!(an_interrupt_before_the_first_word_of_the_model: claude; claude_print, codex, codex_exec, opencode, pi, pi_print, copilot);

fn an_interrupt_at_once_ends_the_run_before_anything_is_paid(stage: &Stage) {
    let script = Script::new().forever(Reply::text("Never said."));
    let mut since = None;
    let played = stage.play_with(script, "PROMPT", |record, run| {
        if let Event::RunStarted(_) = &record.event {
            since = Some(Instant::now());
            run.interrupter().interrupt();
        }
    });
    was_interrupted(&played, since);
    assert_eq!(played.outcome().text, "", "{played:#?}");
    assert!(played.requests.len() <= 1, "{played:#?}");
}
on!(an_interrupt_at_once_ends_the_run_before_anything_is_paid: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

fn an_interrupt_after_the_session_opened(stage: &Stage) {
    let script = Script::new().forever(Reply::text("Never said.").delay(Duration::from_secs(5)));
    let mut since = None;
    let played = stage.play_with(script, "PROMPT", |record, run| {
        if let Event::SessionStarted(_) = &record.event {
            since = Some(Instant::now());
            run.interrupter().interrupt();
        }
    });
    was_interrupted(&played, since);
    assert!(played.outcome().session_id.is_some());
}
on!(an_interrupt_after_the_session_opened: claude; claude_print, codex, codex_exec, opencode, pi, pi_print, copilot);

/// Impatience may cost the bill, never the result, and never leaves anything behind.
fn two_interrupts_at_once_end_the_run_too(stage: &Stage) {
    let mut asked = false;
    let played = stage.play_with(sleeping_script(), full(), |record, run| {
        if let (Event::ToolCall(_), false) = (&record.event, asked) {
            wait_for_sleep(stage);
            asked = true;
            run.interrupter().interrupt();
            run.interrupter().interrupt();
        }
    });
    played.failed(FailureKind::Interrupted);
    assert_eq!(played.of_type("interrupted").len(), 1);
}
on!(two_interrupts_at_once_end_the_run_too: claude; claude_print, codex, codex_exec, opencode, pi, pi_print, copilot);

fn an_interrupt_after_the_answer_changes_nothing(stage: &Stage) {
    let script = Script::new().reply(Reply::text("Done.").usage(TOKENS));
    let played = stage.play_with(script, "PROMPT", |record, run| {
        if let Event::AttemptEnded(_) = &record.event {
            run.interrupter().interrupt();
        }
    });
    played.answered("Done.");
    played.used(stage.way, 1);
}
on!(an_interrupt_after_the_answer_changes_nothing: claude; codex, opencode, pi);

fn a_dropped_run_stops_the_agent_and_its_tools(stage: &Stage) {
    let server = ModelServer::start(sleeping_script()).unwrap();
    let client = stage.client(&server);
    block_on(async {
        let mut run = client.start(full().cwd(stage.project()));
        while let Some(record) = run.next().await {
            if let Event::ToolCall(_) = &record.event {
                break;
            }
        }
        wait_for_sleep(stage);
        drop(run);
        let since = Instant::now();
        while !processes_of(stage.sandbox.home()).is_empty() {
            assert!(
                since.elapsed() < Duration::from_secs(6),
                "the agent lives on: {:#?}",
                stage.processes()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}
on!(a_dropped_run_stops_the_agent_and_its_tools: claude; claude_print, codex, codex_exec, opencode, pi, pi_print, gemini, qwen, copilot);

fn words_to_a_running_turn_reach_its_next_request(stage: &Stage) {
    let script = Script::new()
        .reply(Reply::new().shell("python3 -c 'import time; time.sleep(1)'").usage(TOKENS))
        .reply(Reply::text("As you wish.").usage(TOKENS));
    let mut said = false;
    let played = stage.play_with(script, full(), |record, run| {
        if let (Event::ToolCall(_), false) = (&record.event, said) {
            said = true;
            run.steer("STEER-MARK: be quick.");
        }
    });
    played.answered("As you wish.");
    assert_eq!(played.requests.len(), 2);
    assert!(!played.requests[0].body.to_string().contains("STEER-MARK"));
    assert!(played.requests[1].body.to_string().contains("STEER-MARK: be quick."));
    played.used_tokens(stage.way, &times(TOKENS, 2));
    assert_eq!(steered(&played), [("STEER-MARK: be quick.", true)]);
}
on!(words_to_a_running_turn_reach_its_next_request: claude; codex, opencode, pi);

fn a_one_shot_run_says_that_it_cannot_listen(stage: &Stage) {
    let script = Script::new().reply(Reply::text("Done."));
    let played = stage.play_with(script, "PROMPT", |record, run| {
        if let Event::SessionStarted(_) = &record.event {
            run.steer("STEER-MARK");
        }
    });
    played.answered("Done.");
    let notices = played.notices();
    assert_eq!(notices.iter().filter(|(code, _)| *code == "steer").count(), 1, "{notices:?}");
    assert_eq!(steered(&played), [("STEER-MARK", false)]);
}
on!(a_one_shot_run_says_that_it_cannot_listen: claude_print; codex_exec, opencode_run, pi_print, copilot);

/// A kill reaches only the agent and its group; its tools live in sessions of their own.
fn a_kill_leaves_nothing_behind(stage: &Stage) {
    let mut since = None;
    let played = stage.play_with(sleeping_script(), full(), |record, run| {
        if let (Event::ToolCall(_), None) = (&record.event, since) {
            wait_for_sleep(stage);
            since = Some(Instant::now());
            (0..3).for_each(|_| run.interrupter().interrupt());
        }
    });
    played.failed(FailureKind::Interrupted);
    assert!(since.unwrap().elapsed() < Duration::from_secs(5));
    assert!(played.attempt_ended().forced);
    assert_eq!(played.outcome().text, "I will sleep.");
}
on!(a_kill_leaves_nothing_behind: claude, codex, opencode, pi, copilot; claude_print, codex_exec, pi_print);

/// The model would go on for ever; the limit lets it make two requests.
fn a_turn_limit_is_kept(stage: &Stage) {
    // A scripted model answers faster than anybody can be stopped.
    let again = Reply::text("Once more.").shell(PAUSE).usage(TOKENS);
    let played = stage.play(Script::new().forever(again), full().max_turns(2));
    let error = played.failed(FailureKind::LimitReached);
    assert!(!error.failure().message.is_empty());
    let (limit, slack) = (2, usize::from(!stage.way.is_claude()));
    let made = played.requests.len();
    assert!((limit..=limit + slack).contains(&made), "{made} requests: {played:#?}");
    assert!(error.outcome().session_id.is_some());
    match stage.way {
        // Pi asks for the next response in the same breath, and a scripted one may be whole before the stop.
        Way::Pi | Way::PiPrint => {
            let told = played.of_type("context").len();
            assert!((limit..=made).contains(&told), "{told} responses: {played:#?}");
            let output = error.outcome().usage.output_tokens;
            assert_eq!(output, Some(TOKENS.output * told as u64), "{played:#?}");
        }
        // So do those of which a file tells what was used.
        // `opencode run` may have asked once more by the time it is ended, and says nothing of that.
        Way::Copilot | Way::CodexExec | Way::Gemini | Way::OpenCodeRun => {
            let output = error.outcome().usage.output_tokens.unwrap();
            assert!((limit..=made).any(|n| output == TOKENS.output * n as u64), "{played:#?}");
        }
        way => played.used(way, 2),
    }
    if !stage.way.is_claude() {
        let Event::Interrupted(interrupted) = &played.of_type("interrupted")[0].event else {
            unreachable!()
        };
        assert_eq!(interrupted.reason, StopReason::TurnLimit);
    }
}
on!(a_turn_limit_is_kept: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

fn an_answer_within_the_turn_limit_is_an_answer(stage: &Stage) {
    let script = Script::new().reply(Reply::new().shell("echo hi")).reply(Reply::text("Done."));
    let played = stage.play(script, full().max_turns(2));
    played.answered("Done.");
    assert!(played.of_type("interrupted").is_empty(), "{played:#?}");
}
on!(an_answer_within_the_turn_limit_is_an_answer: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

/// The model would go on for ever; the money is enough for one response and half of the next.
fn a_budget_is_kept_in_mid_turn(stage: &Stage) {
    let text = "[models.\"mock-model\"]\ninput_usd_per_million = 2\noutput_usd_per_million = 8\n";
    let play = |script, request: RunRequest| {
        let server = ModelServer::start(script).unwrap();
        let prices = Prices::bundled().with_toml(text, "prices.toml").unwrap();
        stage.play_on(&server, &stage.client(&server).prices(prices), request, |_, _| {})
    };
    let once = play(Script::new().reply(Reply::text("Hi.").usage(TOKENS)), full());
    let of_one = once.answered("Hi.").usage.total_cost_usd.expect("it has a price");
    let again = Reply::text("Once more.").shell(PAUSE).usage(TOKENS);
    let played = play(Script::new().forever(again), full().max_cost_usd(1.5 * of_one));
    let error = played.failed(FailureKind::LimitReached);
    assert!(error.failure().message.contains("(max_cost)"), "{played:#?}");
    let made = played.requests.len();
    assert!((2..=3).contains(&made), "{made} requests: {played:#?}");
    // What was reached is kept, and paid for.
    let outcome = error.outcome();
    assert!(outcome.text.contains("Once more."), "{played:#?}");
    let cost = outcome.usage.total_cost_usd.unwrap();
    assert!((1.9..3.1).contains(&(cost / of_one)), "{cost} for {made} of {of_one}: {played:#?}");
    let Event::Interrupted(interrupted) = &played.of_type("interrupted")[0].event else {
        unreachable!()
    };
    assert_eq!(interrupted.reason, StopReason::Budget);
}
on!(a_budget_is_kept_in_mid_turn: claude; claude_print, codex, codex_exec, opencode, opencode_run, pi, pi_print, gemini, qwen, copilot);

/// OpenCode unpacks a library at each start and removes none of them.
fn nothing_is_left_in_the_folder_for_temporary_files(stage: &Stage) {
    let temp = stage.sandbox.home().join("tmp");
    let left = || {
        let left = std::fs::read_dir(&temp).unwrap().map(|entry| entry.unwrap().file_name());
        left.map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
    };
    let unpacked = format!("ls -A \"$TMPDIR\"; echo kept > {}", stage.path_for_model("kept"));
    let script = Script::new().reply(Reply::new().shell(&unpacked)).reply(Reply::text("Done."));
    let played = stage.play(script, full());
    played.answered("Done.");
    let called = played.calls()[0].tool_id.clone();
    let seen = played.result_of(called.as_ref()).output.clone();
    assert!(seen.contains(".so"), "it does so no more: {seen}");
    assert_eq!(left(), [""; 0]);
    // Also when it is killed.
    let played = stage.play_with(sleeping_script(), full(), |record, run| {
        if let Event::TurnStarted(_) = &record.event {
            (0..3).for_each(|_| run.interrupter().interrupt());
        }
    });
    played.failed(FailureKind::Interrupted);
    assert_eq!(left(), [""; 0]);
}
on!(nothing_is_left_in_the_folder_for_temporary_files: opencode; opencode_run);

/// The first tool sleeps until it is stopped; what would run after it leaves a mark.
fn marking_script(stage: &Stage) -> Script {
    let mark = |name| format!("touch {}", stage.file(name).display());
    let mark = |name| Reply::text("More.").shell(mark(name)).usage(TOKENS);
    let sleep = Reply::text("I will sleep.").shell(SLEEP).usage(TOKENS);
    let script = Script::new().reply(sleep).reply(mark("mark-1")).reply(mark("mark-2"));
    script.forever(Reply::text("Never said.").usage(TOKENS))
}

/// Nothing was asked of the model and no command ran after the stop, and the cost is that of the one response.
#[track_caller]
fn stopped_for_good(stage: &Stage, played: &Played) {
    assert_eq!(played.requests.len(), 1, "{played:#?}");
    let marks = ["mark-1", "mark-2"].map(|name| stage.file(name).exists());
    assert_eq!(marks, [false, false], "a command ran after the stop");
    match stage.way {
        Way::OpenCode => assert_eq!(counted(&played.outcome().usage), None),
        way => played.used(way, 1),
    }
}

/// What became of each message.
fn steered(played: &Played) -> Vec<(&str, bool)> {
    let steered = played.events().filter_map(|event| match event {
        Event::Steered(steered) => Some((steered.text.as_str(), steered.delivered)),
        _ => None,
    });
    steered.collect()
}

/// Speaks to the run while its tool runs: `said` messages, and the stop `after` them.
fn steered_and_stopped(stage: &Stage, said: usize, after: Duration) -> Played {
    let (mut since, mut called) = (None, false);
    let mut told = matches!(stage.way, Way::OpenCode | Way::Codex);
    let played = stage.play_with(marking_script(stage), full(), |record, run| {
        called |= matches!(record.event, Event::ToolCall(_));
        told |= matches!(record.event, Event::Usage(_));
        if called && told && since.is_none() {
            wait_for_sleep(stage);
            since = Some(Instant::now());
            (0..said).for_each(|n| run.steer(format!("STEER-MARK {n}")));
            std::thread::sleep(after);
            run.interrupter().interrupt();
            run.steer("too late");
        }
    });
    was_interrupted(&played, since);
    stopped_for_good(stage, &played);
    let mut steered = steered(&played);
    steered.sort_unstable();
    let texts: Vec<_> = steered.iter().map(|(text, _)| *text).collect();
    let want: Vec<_> = (0..said).map(|n| format!("STEER-MARK {n}")).collect();
    assert_eq!(texts[..said], want, "{played:#?}");
    assert_eq!(steered[said..], [("too late", false)], "{played:#?}");
    if stage.way.is_claude() {
        assert!(steered.iter().all(|(_, delivered)| !delivered), "{steered:?}");
    }
    played
}

fn a_message_that_waits_begins_nothing_after_a_stop(stage: &Stage) {
    steered_and_stopped(stage, 1, Duration::from_millis(300));
}
on!(a_message_that_waits_begins_nothing_after_a_stop: claude; codex, opencode, pi);

fn a_message_in_the_moment_of_a_stop_begins_nothing(stage: &Stage) {
    steered_and_stopped(stage, 1, Duration::ZERO);
}
on!(a_message_in_the_moment_of_a_stop_begins_nothing: claude; codex, opencode, pi);

fn many_messages_that_wait_begin_nothing_after_a_stop(stage: &Stage) {
    steered_and_stopped(stage, 5, Duration::from_millis(100));
}
on!(many_messages_that_wait_begin_nothing_after_a_stop: claude; codex, opencode, pi);

#[test]
#[ignore = "twenty runs, for docs/reliability.md"]
fn claude_stops_for_good_each_of_twenty_times() {
    let test = "stops::claude_stops_for_good_each_of_twenty_times";
    for n in 0..20 {
        let Some(stage) = Stage::enter(Way::Claude, test) else { return };
        let after = [0, 1, 20, 300][n % 4];
        steered_and_stopped(&stage, 1 + n % 3, Duration::from_millis(after));
        eprintln!("{n}: {} messages, stopped {after} ms later: nothing began", 1 + n % 3);
    }
}

/// The agent asks whether it may; the caller answers with a message and a stop.
fn a_message_and_a_stop_while_a_permission_is_asked_for(stage: &Stage) {
    let stage = stage.with_policy("on-request", "read-only");
    let outside = stage.sandbox.home().join("outside.txt");
    let path = outside.to_string_lossy().into_owned();
    let call = match stage.way.is_codex() {
        true => {
            let command = format!("echo hi > {path}");
            let (permissions, why) = ("require_escalated", "the file is outside");
            let input = serde_json::json!({
                "cmd": command, "sandbox_permissions": permissions, "justification": why,
            });
            Reply::new().tool("exec_command", input)
        }
        false => Reply::new().write_file(path, "hi"),
    };
    let again = Reply::text("More.").shell("touch mark-1");
    let server = ModelServer::start(Script::new().reply(call).forever(again)).unwrap();
    let (speak, heard) = std::sync::mpsc::channel::<belaykit::Interrupter>();
    let client = stage.client(&server).on_permission(move |_| {
        let run = heard.recv().unwrap();
        run.steer("STEER-MARK");
        run.interrupt();
        belaykit::Decision::Deny
    });
    let mut handed = false;
    let played = stage.play_on(&server, &client, RunRequest::new("PROMPT"), |_, run| {
        if !std::mem::replace(&mut handed, true) {
            speak.send(run.interrupter()).unwrap();
        }
    });
    played.failed(FailureKind::Interrupted);
    // The denial and the stop are one moment: the response to the denial may have been asked for.
    assert!(played.requests.len() <= 2, "{played:#?}");
    assert!(!outside.exists() && !stage.file("mark-1").exists());
    assert_eq!(steered(&played).len(), 1, "{played:#?}");
}
on!(a_message_and_a_stop_while_a_permission_is_asked_for: claude; codex, opencode);

fn a_message_and_a_stop_while_the_context_is_shortened(stage: &Stage) {
    let script = Script::new().reply(Reply::text("Hello.").usage(TOKENS));
    let first = stage.play(script, "PROMPT");
    let session = first.outcome().session_id.clone().unwrap();
    let script = Script::new().forever(Reply::text("A summary.").delay(Duration::from_secs(20)));
    let mut since = None;
    let request = RunRequest::new("/compact").resume(&session);
    let played = stage.play_with(script, request, |record, run| {
        if let (Event::Compaction(_), None) = (&record.event, since) {
            since = Some(Instant::now());
            run.steer("STEER-MARK");
            run.interrupter().interrupt();
        }
    });
    played.failed(FailureKind::Interrupted);
    assert!(since.unwrap().elapsed() < Duration::from_secs(5), "{played:#?}");
    assert!(played.requests.len() <= 1, "{played:#?}");
    assert_eq!(steered(&played), [("STEER-MARK", false)], "{played:#?}");
}
on!(a_message_and_a_stop_while_the_context_is_shortened: claude);
