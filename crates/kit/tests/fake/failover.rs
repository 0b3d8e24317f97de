//! What comes after a failure, with agents that fail as they are told.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{
    ANSWER, finish_after, is_running, lines, patiently, pid, read_to, run, wait_until,
};
use crate::two::{Two, attempts, codex_answers, failovers, recorded};
use belay_testkit::fake_agent::{Exit, FakeAgent, Pause, Play, Until, WaitForStdin};
use belaykit::trace::{Effects, Start, StopReason};
use belaykit::{
    Claude, Client, Codex, Copilot, Event, FailureKind, OnEffects, OnLimit, OpenCode, Pi, Policy,
    Rule, Transport, limits,
};
use rustix::process::{Pid, Signal, kill_process};
use std::process::Command;
use std::time::Duration;

/// Claude calls a shell and dies while it runs.
fn dies_in_a_tool() -> Play {
    let mut lines = lines("claude-code", "b-shell");
    let call = lines.iter().rposition(|line| line.contains(r#""type":"tool_use""#)).unwrap();
    lines.truncate(call + 1);
    let play = Play::lines(lines).exit(Exit::Code(137));
    Play { wait_for_stdin: WaitForStdin::Line, ..play }
}

#[tokio::test]
async fn the_next_agent_answers_when_the_first_one_has_no_login() {
    let two = Two::new(&recorded("claude-code", "h-401"), &codex_answers());
    let seen = two.run().await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(
        attempts(&seen),
        [("claude-code", Some(FailureKind::Auth), Start::Fresh), ("codex", None, Start::Fresh)]
    );
    let [failover] = failovers(&seen)[..] else { panic!("one failover") };
    assert_eq!((&*failover.from, &*failover.to), ("claude-code", "codex"));
    assert_eq!((failover.failure.kind, failover.effects), (FailureKind::Auth, Effects::None));
    assert!(!failover.failure.evidence.is_empty(), "{failover:?}");
    let outcome = seen.outcome.as_ref().unwrap();
    assert_eq!(outcome.agent, "codex");
    // Nothing was done yet: the task goes on as it is.
    assert_eq!(two.codex.log().stdin().join("\n").trim(), "Do the task");
}

#[tokio::test]
async fn work_that_was_begun_is_handed_over_and_never_begun_again() {
    let two = Two::new(&Play { linger_ms: 60_000, ..dies_in_a_tool() }, &codex_answers());
    let project = two.stage.path("project");
    for args in [&["init", "-q"][..], &["add", "-A"]] {
        assert!(Command::new("git").current_dir(&project).args(args).status().unwrap().success());
    }
    std::fs::write(project.join("mine.txt"), "not committed\n").unwrap();
    let client = two.client().policy(Policy::default().max_retries(0));
    let mut run = client.start(two.request());
    let records = read_to(&mut run, "tool_call").await;
    // What the agent's tool did.
    std::fs::write(project.join("made by claude.txt"), "half\n").unwrap();
    std::fs::write(project.join("mine.txt"), "changed\n").unwrap();
    let agent = Pid::from_raw(pid(&records).try_into().unwrap()).unwrap();
    kill_process(agent, Signal::KILL).unwrap();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.answer(), ANSWER);
    let [failover] = failovers(&seen)[..] else { panic!("one failover") };
    assert_eq!((failover.effects, failover.start), (Effects::Observed, Start::Handover));
    // What the folder shows is more than what the tools say.
    assert_eq!(seen.result().attempts[0].effects, Effects::Observed);
    let brief = two.codex.log().stdin().join("\n");
    for words in [
        "Do the task\n",
        "A made by claude.txt",
        "M mine.txt",
        "-not committed\n+changed",
        "UNDER WAY when it stopped",
    ] {
        assert!(brief.contains(words), "{words}: {brief}");
    }
    let index = Command::new("git").current_dir(&project).args(["status", "-s"]).output().unwrap();
    assert_eq!(
        String::from_utf8(index.stdout).unwrap(),
        "?? \"made by claude.txt\"\n?? mine.txt\n",
        "the user's index is as it was"
    );
}

#[tokio::test]
async fn an_agent_that_died_goes_on_in_its_own_session_first() {
    let two = Two::new(&dies_in_a_tool(), &codex_answers());
    let seen = run(&two.client().policy(Policy::default().max_retries(1)), two.request()).await;
    let starts: Vec<_> =
        attempts(&seen).into_iter().map(|(agent, _, start)| (agent, start)).collect();
    assert_eq!(
        starts,
        [("claude-code", Start::Fresh), ("claude-code", Start::Resume), ("codex", Start::Handover)]
    );
    assert_eq!(seen.count("retry"), 1);
    let argv = two.stage.agent.log().argv().join(" ");
    assert!(argv.contains("--resume="), "{argv}");
    // Outside of git the account has no diff, and says so.
    let brief = two.codex.log().stdin().join("\n");
    assert!(brief.contains("There are no changes since the run began."), "{brief}");
}

#[tokio::test]
async fn nobody_else_goes_on_with_work_if_the_caller_says_so() {
    let two = Two::new(&dies_in_a_tool(), &codex_answers());
    let policy = Policy::default().max_retries(0).on_effects(OnEffects::Stop);
    let seen = run(&two.client().policy(policy), two.request()).await;
    assert_eq!(seen.count("attempt_started"), 1);
    assert_eq!(seen.count("failover"), 0);
    assert_eq!(seen.notices("failover").len(), 1);
    assert!(seen.outcome.is_err());
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_passed_over() {
    let two = Two::new(&codex_answers(), &codex_answers());
    std::fs::remove_file(two.stage.path("claude")).unwrap();
    let seen = two.run().await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(failovers(&seen)[0].failure.kind, FailureKind::NotInstalled);
    assert!(two.client().check(&two.request()).is_ok());
    std::fs::remove_file(two.stage.path("codex")).unwrap();
    assert_eq!(two.client().check(&two.request()).unwrap_err().kind(), FailureKind::NotInstalled);
}

/// Whoever declines, and in whatever words: it is an answer, and no other agent is asked for another one.
#[tokio::test]
async fn what_an_agent_refuses_is_asked_of_no_other() {
    let (claude, codex) = ("claude", "codex");
    let flagged = r#"{\"error\":{\"message\":\"words\",\"code\":\"invalid_prompt\"}}"#;
    let refusals: [(&str, &str, Client, Vec<String>); 5] = [
        (
            claude,
            codex,
            Client::new(Claude::new()).or(Codex::new()),
            vec![
                r#"{"type":"system","subtype":"init","session_id":"s"}"#.to_owned(),
                r#"{"type":"result","subtype":"success","is_error":true,"num_turns":1,"session_id":"s","result":"API Error","stop_reason":"refusal"}"#.to_owned(),
            ],
        ),
        (
            codex,
            claude,
            Client::new(Codex::new()).or(Claude::new()),
            vec![
                r#"{"type":"thread.started","thread_id":"s"}"#.to_owned(),
                r#"{"type":"turn.started"}"#.to_owned(),
                format!(r#"{{"type":"turn.failed","error":{{"message":"{flagged}"}}}}"#),
            ],
        ),
        (
            "opencode",
            claude,
            Client::new(OpenCode::new()).or(Claude::new()),
            vec![
                r#"{"type":"error","sessionID":"s","error":{"name":"ContentFilterError","data":{"message":"blocked"}}}"#.to_owned(),
            ],
        ),
        (
            "pi",
            claude,
            Client::new(Pi::new()).or(Claude::new()),
            vec![
                r#"{"type":"agent_start"}"#.to_owned(),
                r#"{"type":"message_end","message":{"role":"assistant","content":[],"stopReason":"error","rawStopReason":"content_filter","errorMessage":"Provider finish_reason: content_filter"}}"#.to_owned(),
                r#"{"type":"agent_settled","aborted":false}"#.to_owned(),
            ],
        ),
        (
            "copilot",
            claude,
            Client::new(Copilot::new()).or(Claude::new()),
            vec![
                r#"{"type":"model.call_failure","data":{"statusCode":400,"errorCode":"content_policy_violation","errorMessage":"words"}}"#.to_owned(),
                r#"{"type":"session.error","data":{"errorType":"query","message":"400 words","statusCode":400}}"#.to_owned(),
                r#"{"type":"result","sessionId":"s","exitCode":1}"#.to_owned(),
            ],
        ),
    ];
    for (first, next, chain, lines) in refusals {
        let two = Two::new(&codex_answers(), &codex_answers());
        for name in [first, next] {
            let refuses = Play::lines(lines.clone()).exit(Exit::Code(1));
            FakeAgent::new(two.stage.dir.path(), name, &refuses).unwrap();
        }
        let seen = run(&two.surround(chain), two.request()).await;
        assert_eq!(seen.failure().kind, FailureKind::Refused, "{first}: {seen:#?}");
        assert_eq!((seen.count("attempt_started"), seen.count("failover")), (1, 0), "{first}");
    }
}

#[tokio::test]
async fn a_chain_that_runs_dry_says_so_and_keeps_every_attempt() {
    let two = Two::new(&recorded("claude-code", "h-401"), &recorded("codex", "k-usage-limit"));
    let seen = two.run().await;
    assert_eq!(seen.failure().kind, FailureKind::UsageLimit);
    assert_eq!(seen.result().attempts.len(), 2);
    assert_eq!(seen.notices("failover"), ["no agent of the chain is left"]);
    let journal = two.stage.path("state/runs").join(&seen.records[0].run);
    assert!(!journal.join("request.2.json").exists() || journal.join("request.json").exists());
}

#[tokio::test]
async fn a_caller_can_ask_for_an_end_at_a_limit() {
    let two = Two::new(&recorded("claude-code", "h-401"), &codex_answers());
    let policy = Policy::default().on(FailureKind::Auth, Rule::STOP);
    let seen = run(&two.client().policy(policy), two.request()).await;
    assert_eq!((seen.failure().kind, seen.count("attempt_started")), (FailureKind::Auth, 1));
}

/// Claude has used up its window, which opens again at `reset`.
fn limited(reset: i64) -> Play {
    let mut lines = lines("claude-code", "g-429-forever");
    let info = format!(
        r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":{reset},"rateLimitType":"five_hour"}},"uuid":"u","session_id":"s"}}"#
    );
    lines.insert(1, info);
    let play = Play::lines(lines).exit(Exit::Code(1));
    Play { wait_for_stdin: WaitForStdin::Line, ..play }
}

#[tokio::test]
async fn a_wait_for_a_limit_can_be_ended() {
    let soon = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64 + 3600;
    let two = Two::new(&limited(soon), &codex_answers());
    let policy = Policy::default().on_limit(OnLimit::Wait).wait_max(Duration::from_secs(7200));
    let mut run = two.client().policy(policy).start(two.request());
    let records = read_to(&mut run, "waiting").await;
    let Event::Waiting(waiting) = &records.last().unwrap().event else { unreachable!() };
    let late = waiting.until.as_second() - soon;
    assert!((10..=61).contains(&late), "after the reset, and not at once: {late} s");
    assert_eq!(waiting.candidate.as_deref(), Some("claude-code"));
    run.interrupter().interrupt();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    assert!(seen.failure().message.contains("while it waited"), "{:?}", seen.failure());
    let stopped = seen.records.iter().any(|record| {
        matches!(&record.event, Event::Interrupted(event) if event.reason == StopReason::User)
    });
    assert!(stopped);
}

#[tokio::test]
async fn without_patience_a_limit_is_an_end_that_says_when_to_come_back() {
    let soon = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64 + 3600;
    let two = Two::new(&limited(soon), &recorded("codex", "h-401"));
    let seen =
        run(&two.client().policy(Policy::default().on_limit(OnLimit::Fail)), two.request()).await;
    assert_eq!(seen.count("attempt_started"), 1);
    assert_eq!(seen.result().retry_at.map(|at| at.as_second()), Some(soon));
    // The next one may not help, but the limit, which is known by now, is still what to wait for.
    let seen = two.run().await;
    assert_eq!(seen.count("attempt_started"), 1);
    assert_eq!(seen.failure().kind, FailureKind::Auth);
    assert_eq!(seen.result().retry_at.map(|at| at.as_second()), Some(soon));
}

#[tokio::test]
async fn the_runs_own_time_is_never_waited_away() {
    let soon = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64 + 3600;
    let two = Two::new(&limited(soon), &codex_answers());
    let policy = Policy::default().on_limit(OnLimit::Wait);
    let request = two.request().timeout(Duration::from_secs(600));
    let seen = run(&two.client().policy(policy), request).await;
    assert_eq!(seen.count("waiting"), 0);
    assert_eq!(seen.failure().kind, FailureKind::UsageLimit);
    assert!(seen.result().retry_at.is_some());
}

/// Claude has its first response behind it, and goes on until it is interrupted.
fn spends() -> Play {
    let spent = lines("claude-code", "f-partial");
    let paid = spent.iter().position(|line| line.contains(r#""message_delta""#)).unwrap();
    let mut ends = lines("claude-code", "s-multi-interrupt");
    let ends = ends.drain(13..17).collect();
    let until = Until::StdinLine(r#""subtype":"interrupt""#.into());
    let pause = Pause { after_line: paid + 1, until, then: ends, resume: false };
    let play = Play::lines(spent[..=paid].to_vec()).exit(Exit::Code(1));
    Play { wait_for_stdin: WaitForStdin::Line, pauses: vec![pause], ..play }
}

#[tokio::test]
async fn a_run_that_has_cost_what_it_may_is_stopped_in_mid_turn_and_nobody_takes_over() {
    let two = Two::new(&spends(), &codex_answers());
    let client = two.client().transport(Transport::Dialogue);
    let seen = run(&client, two.request().max_cost_usd(0.001)).await;
    assert_eq!(seen.failure().kind, FailureKind::LimitReached);
    assert!(seen.failure().message.contains("of $0.001 (max_cost)"), "{:?}", seen.failure());
    assert_eq!((seen.count("attempt_started"), seen.count("failover")), (1, 0));
    let cost = seen.result().usage.total_cost_usd.unwrap();
    assert!(cost > 0.001, "{cost}");
}

#[tokio::test]
async fn a_conversation_that_is_too_long_goes_to_a_larger_window_and_to_no_other() {
    let mut lines = lines("claude-code", "h-401");
    let last = lines.last_mut().unwrap();
    *last = last
        .replace(r#""terminal_reason":"api_error""#, r#""terminal_reason":"prompt_too_long""#)
        .replace(r#""api_error_status":401"#, r#""api_error_status":400"#);
    let claude = || Play {
        wait_for_stdin: WaitForStdin::Line,
        ..Play::lines(lines.clone()).exit(Exit::Code(1))
    };
    for (model, attempts) in [("gpt-5.1", 2), ("gpt-4", 1)] {
        let two = Two::new(&claude(), &codex_answers());
        let chain =
            Client::new(Claude::new().model("claude-haiku-4-5")).or(Codex::new().model(model));
        let seen = run(&two.surround(chain), two.request()).await;
        assert_eq!(seen.result().attempts[0].kind, Some(FailureKind::ContextOverflow));
        assert_eq!(seen.count("attempt_started"), attempts, "{model}");
    }
}

#[tokio::test]
async fn a_session_is_never_named_under_another_agent() {
    // Codex dies before it has a session; Claude had one.
    let dies = Play { wait_for_stdin: WaitForStdin::Eof, ..Play::default() }.exit(Exit::Code(1));
    let two = Two::new(&recorded("claude-code", "h-401"), &dies);
    let seen = run(&two.client().policy(Policy::default().max_retries(0)), two.request()).await;
    let result = seen.result();
    assert!(result.attempts[0].session_id.is_some());
    assert_eq!((result.attempts[1].agent.as_str(), &result.session_id), ("codex", &None));
}

/// A repository whose files are committed, and a run in it that has come to its first tool.
async fn in_a_tool(
    two: &Two,
    prepare: impl FnOnce(),
) -> (Vec<belaykit::trace::Record>, belaykit::Run) {
    let project = two.stage.path("project");
    std::fs::write(project.join("a.txt"), "committed\n").unwrap();
    let identity = ["-c", "user.name=t", "-c", "user.email=t@t"];
    for args in [&["init", "-q"][..], &["add", "-A"], &["commit", "-qm", "begin"]] {
        let mut git = Command::new("git");
        assert!(git.current_dir(&project).args(identity).args(args).status().unwrap().success());
    }
    prepare();
    let client = two.client().policy(Policy::default().max_retries(0));
    let mut run = client.start(two.request());
    let records = read_to(&mut run, "tool_call").await;
    (records, run)
}

#[tokio::test]
async fn pipes_in_the_place_of_rules_stop_no_chain() {
    let two = Two::new(&Play { linger_ms: 60_000, ..dies_in_a_tool() }, &codex_answers());
    let project = two.stage.path("project");
    let pipes = |names: &[&str]| {
        for name in names {
            assert!(Command::new("mkfifo").arg(project.join(name)).status().unwrap().success());
        }
    };
    let rules = || pipes(&[".gitignore", ".git/info/attributes"]);
    let (records, run) = in_a_tool(&two, rules).await;
    pipes(&[".gitattributes"]);
    std::fs::write(project.join("a.txt"), "half\n").unwrap();
    kill_process(Pid::from_raw(pid(&records).cast_signed()).unwrap(), Signal::KILL).unwrap();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.answer(), ANSWER);
    let brief = two.codex.log().stdin().join("\n");
    for words in ["A .gitattributes", "M a.txt", "-committed\n+half\n"] {
        assert!(brief.contains(words), "{words}: {brief}");
    }
}

#[tokio::test]
async fn a_run_that_looks_at_its_folder_hears_a_stop() {
    let two = Two::new(&Play { linger_ms: 60_000, ..dies_in_a_tool() }, &codex_answers());
    let (records, run) = in_a_tool(&two, || {}).await;
    let (git, pids) = (two.stage.path("git"), two.stage.path("pids"));
    let script = "#!/bin/sh\n/bin/sleep 600 &\necho $$ $! > PIDS.new\nmv PIDS.new PIDS\nwait\n";
    std::fs::write(&git, script.replace("PIDS", pids.to_str().unwrap())).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&git, executable).unwrap();
    std::fs::write(two.stage.path("project/a.txt"), "half\n").unwrap();
    kill_process(Pid::from_raw(pid(&records).cast_signed()).unwrap(), Signal::KILL).unwrap();
    patiently(async {
        while !pids.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    run.interrupter().interrupt();
    let seen = finish_after(records, run).await;
    assert_eq!(seen.outcome.as_ref().unwrap_err().kind(), FailureKind::Interrupted);
    assert_eq!(seen.count("failover"), 0);
    assert!(seen.took < limits::GIT, "{:?}", seen.took);
    for pid in std::fs::read_to_string(pids).unwrap().split_whitespace() {
        let pid = pid.parse().unwrap();
        wait_until("git has ended", || !is_running(pid));
    }
}
