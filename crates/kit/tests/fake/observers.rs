//! Whoever watches a run sees all of it in order, and can do nothing to it.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{
    ANSWER, Stage, answer, finish, hanging, lines, patiently, read_to, run, wait_until,
};
use belay_testkit::fake_agent::{LogLine, Play, WaitForStdin};
use belaykit::{Client, Event, FailureKind, Observer, ObserverError, Record, limits};
use std::io::{self, Write};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Claude writes a message for each of these texts, and answers.
fn talkative(texts: impl IntoIterator<Item = String>) -> Play {
    let mut stream = lines("claude-code", "a-text");
    let (result, message) = (stream.pop().unwrap(), stream.pop().unwrap());
    for (n, text) in texts.into_iter().enumerate() {
        let message = message.replace("msg_010d7f42ffcfa04835b166c394", &format!("msg_{n}"));
        stream.push(message.replace(ANSWER, &text));
    }
    stream.push(result);
    Play { wait_for_stdin: WaitForStdin::Line, ..Play::lines(stream) }
}

/// A client whose handler keeps every record.
fn keeping(client: Client) -> (Client, Arc<Mutex<Vec<Record>>>) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&kept);
    let client =
        client.on_event(move |record: &Record| theirs.lock().unwrap().push(record.clone()));
    (client, kept)
}

#[tokio::test]
async fn the_handler_has_seen_every_record_in_order_when_the_outcome_comes() {
    let stage = Stage::new("claude", &answer());
    let (client, kept) = keeping(stage.claude());
    let seen = run(&client, "p").await;
    assert_eq!(*kept.lock().unwrap(), seen.records);

    let outcome = patiently(client.run("p")).await.unwrap();
    let kept = kept.lock().unwrap();
    let again: Vec<_> = kept.iter().filter(|record| record.run == outcome.run_id).collect();
    assert_eq!(again.len(), seen.records.len());
    assert_eq!(again.last().unwrap().event.type_name(), "result");
}

#[tokio::test]
async fn a_handler_that_waits_does_not_delay_a_stop() {
    let stage = Stage::new("claude", &hanging());
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let client = stage.claude().on_event(move |_| {
        // Until the test is over.
        let _ = gate.lock().unwrap().recv();
    });
    let mut run = client.start("p");
    read_to(&mut run, "session_started").await;
    (0..3).for_each(|_| run.interrupter().interrupt());
    let records = read_to(&mut run, "result").await;
    assert!(records.iter().any(|record| record.event.type_name() == "interrupted"));
    drop(open);
    let error = patiently(run.outcome()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Interrupted);
}

#[tokio::test]
async fn a_handler_that_panics_is_not_called_again_and_the_run_answers() {
    let stage = Stage::new("claude", &answer());
    let calls = Arc::new(Mutex::new(0));
    let theirs = Arc::clone(&calls);
    let client = stage.claude().on_event(move |record: &Record| {
        if let Ok(mut calls) = theirs.lock() {
            *calls += 1;
        }
        assert_ne!(record.event.type_name(), "session_started", "a caller's own mistake");
    });
    assert_eq!(run(&client, "p").await.answer(), ANSWER);
    let at_first = *calls.lock().unwrap();
    assert_eq!(at_first, 3);
    assert_eq!(run(&client, "p").await.answer(), ANSWER);
    assert_eq!(*calls.lock().unwrap(), at_first, "nor by the client's next run");
}

async fn check_slow_handler() {
    let texts = (0..60).map(|n| format!("{n}{}", "x".repeat(20_000)));
    let stage = Stage::new("claude", &talkative(texts));
    let (client, kept) = keeping(stage.claude());
    let theirs = Arc::clone(&kept);
    let client = client.on_event(move |record: &Record| {
        std::thread::sleep(Duration::from_millis(20));
        theirs.lock().unwrap().push(record.clone());
    });
    let seen = run(&client, "p").await;
    assert!(seen.took > limits::DRAIN, "slow enough to be still at it when the agent is long gone");
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(seen.count("text"), 60);
    assert_eq!(*kept.lock().unwrap(), seen.records);
    assert!(!seen.attempt_ended().forced);
    assert_eq!(seen.notices("lingers"), [""; 0]);
}

#[tokio::test]
async fn a_slow_handler_loses_nothing_on_one_thread() {
    check_slow_handler().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handler_loses_nothing_on_many_threads() {
    check_slow_handler().await;
}

#[tokio::test]
async fn a_handler_that_waits_does_not_slow_the_agent_on_one_thread() {
    check_waiting_handler().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_waits_does_not_slow_the_agent_on_many_threads() {
    check_waiting_handler().await;
}

async fn check_waiting_handler() {
    let texts = (0..60).map(|n| format!("{n}{}", "x".repeat(20_000)));
    let stage = Stage::new("claude", &talkative(texts));
    let agent = stage.agent.clone();
    let client = stage.claude().on_event(move |record: &Record| {
        if record.event.type_name() == "session_started" {
            wait_until("the agent has printed all", || {
                agent.log().lines.contains(&LogLine::Played)
            });
        }
    });
    assert_eq!(run(&client, "p").await.answer(), ANSWER);
}

#[tokio::test]
async fn a_reader_that_does_not_read_does_not_slow_the_agent() {
    check_reader_that_does_not_read(|client, _| client).await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_gets_from_the_journal_what_he_missed() {
    check_reader_that_does_not_read(|client, stage| client.state_dir(stage.path("state"))).await;
}

async fn check_reader_that_does_not_read(with: fn(Client, &Stage) -> Client) {
    // More than a feed holds, by number and by size.
    let texts = (0..2000).map(|n| format!("{n}{}", "x".repeat(5000)));
    let stage = Stage::new("claude", &talkative(texts));
    let (client, kept) = keeping(with(stage.claude(), &stage));
    let run = client.start("p");
    patiently(async {
        while kept.lock().unwrap().last().is_none_or(|r| r.event.type_name() != "result") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let seen = finish(run).await;
    assert_eq!(seen.records, *kept.lock().unwrap());
}

/// Keeps what is written, and fails or panics when it is told to.
struct Paper {
    written: Arc<Mutex<Vec<u8>>>,
    write: fn() -> io::Result<()>,
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.lock().unwrap().extend(bytes);
        (self.write)().map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_output_gets_exactly_the_text_of_the_main_conversation() {
    for (agent, name) in [
        ("claude-code", "a-text"),
        ("claude-code", "f-partial"),
        ("claude-code", "q-subagent"),
        ("codex", "a-text"),
    ] {
        let recording = belay_testkit::recordings::one(agent, name);
        let program = if agent == "codex" { "codex" } else { "claude" };
        let stage = Stage::new(program, &crate::fake_run::play(&recording));
        let client = if agent == "codex" { stage.codex_exec() } else { stage.claude() };
        let written = Arc::default();
        let client = client.output(Paper { written: Arc::clone(&written), write: || Ok(()) });
        let seen = run(&client, "p").await;
        let texts = seen.records.iter().filter(|record| record.parent_tool_id.is_none());
        let texts = texts.filter_map(|record| match &record.event {
            Event::Text(text) => Some(&*text.text),
            _ => None,
        });
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(written, texts.collect::<String>(), "{name}");
        if name == "a-text" {
            assert_eq!(written, seen.answer());
        } else {
            assert!(written.ends_with(seen.answer()), "{name}: {written}");
        }
    }
}

#[tokio::test]
async fn an_output_that_fails_or_panics_is_not_written_to_again_and_the_run_answers() {
    let failing: [fn() -> io::Result<()>; 2] =
        [|| Err(io::ErrorKind::BrokenPipe.into()), || panic!("a caller's own mistake")];
    for write in failing {
        let stage = Stage::new("claude", &talkative(["one".to_owned(), "two".to_owned()]));
        let written = Arc::default();
        let client = stage.claude().output(Paper { written: Arc::clone(&written), write });
        assert_eq!(run(&client, "p").await.answer(), ANSWER);
        assert_eq!(*written.lock().unwrap(), b"one");
    }
}

#[tokio::test]
async fn a_permission_handler_that_panics_has_denied() {
    let path = belay_testkit::recordings::one("codex", "t-appserver").dialogue_path();
    let stage = Stage::new("codex", &Play::dialogue(path));
    let client = stage.codex().on_permission(|_| panic!("a caller's own mistake"));
    let seen = run(&client, "run it").await;
    assert_eq!(seen.answer(), "Approved and done.");
    assert_eq!(seen.result().denials.len(), 1);
    assert!(stage.agent.log().stdin().iter().any(|line| line.contains("decline")));
}

/// An observer that is a closure.
struct Watch<F>(&'static str, F);

impl<F: FnMut(&Record) -> Result<(), ObserverError> + Send + 'static> Observer for Watch<F> {
    fn name(&self) -> &str {
        self.0
    }

    fn on_record(&mut self, record: &Record) -> Result<(), ObserverError> {
        (self.1)(record)
    }
}

#[tokio::test]
async fn an_observer_sees_every_record_in_order() {
    let stage = Stage::new("claude", &answer());
    let (kept, records) = mpsc::channel();
    let client = stage.claude().observe(Watch("keeper", move |record: &Record| {
        kept.send(record.clone()).map_err(Into::into)
    }));
    let seen = run(&client, "p").await;
    assert_eq!(records.try_iter().collect::<Vec<_>>(), seen.records);
    assert_eq!(seen.outcome.unwrap().observer_errors, [""; 0]);
}

#[tokio::test]
async fn the_words_of_a_failing_observer_are_in_the_outcome_of_the_run_that_it_failed() {
    let stage = Stage::new("claude", &answer());
    let client = stage.claude().observe(Watch("post", |record: &Record| {
        if record.event.type_name() != "session_started" {
            return Ok(());
        }
        Err(io::Error::other(format!("no stamps for {}", record.run)).into())
    }));
    let runs: Vec<_> = (0..5).map(|_| tokio::spawn(finish(client.start("p")))).collect();
    for run in runs {
        let outcome = run.await.unwrap().outcome.unwrap();
        assert_eq!(outcome.observer_errors, [format!("post: no stamps for {}", outcome.run_id)]);
    }
}

#[tokio::test]
async fn an_observer_that_fails_at_every_record_says_so_a_few_times() {
    let stage = Stage::new("claude", &talkative((0..500).map(|n| n.to_string())));
    let client = stage.claude().observe(Watch("post", |record: &Record| {
        Err(format!("no stamps for {}", record.seq).into())
    }));
    let seen = run(&client, "p").await;
    let errors = &seen.outcome.as_ref().unwrap().observer_errors;
    assert!(errors.len() <= limits::OBSERVER_ERRORS_MAX + 1, "{}", errors.len());
    assert_eq!(errors[0], "post: no stamps for 0");
    let more = seen.records.len() - limits::OBSERVER_ERRORS_MAX;
    assert_eq!(*errors.last().unwrap(), format!("post: {more} more errors"));
}

#[tokio::test]
async fn a_panicking_observer_is_named_in_every_run_that_it_does_not_see() {
    let stage = Stage::new("claude", &answer());
    let client = stage.claude().observe(Watch("bad", |record: &Record| {
        assert_ne!(record.event.type_name(), "session_started", "an observer's own mistake");
        Ok(())
    }));
    for _ in 0..2 {
        let seen = run(&client, "p").await;
        assert_eq!(seen.answer(), ANSWER);
        assert_eq!(seen.outcome.unwrap().observer_errors, ["bad panicked and is switched off"]);
    }
}

#[tokio::test]
async fn a_busy_observer_costs_two_seconds_at_the_end_and_no_event_is_lost_silently() {
    let texts = (0..2000).map(|n| n.to_string());
    let stage = Stage::new("claude", &talkative(texts));
    let (open, gate) = mpsc::channel::<()>();
    let (kept, records) = mpsc::channel();
    let client = stage.claude().observe(Watch("slow", move |record: &Record| {
        // Until the test is over.
        let _ = gate.recv();
        kept.send(record.seq).map_err(Into::into)
    }));
    let began = Instant::now();
    let seen = run(&client, "p").await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(seen.count("text"), 2000);
    let dropped: u64 = seen
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::ObserverDropped(dropped) => Some((&*dropped.observer, dropped.dropped)),
            _ => None,
        })
        .map(|(observer, dropped)| {
            assert_eq!(observer, "slow");
            dropped
        })
        .sum();
    assert!(began.elapsed() >= limits::OBSERVER_FLUSH);
    assert!(began.elapsed() < limits::OBSERVER_FLUSH + Duration::from_secs(15));
    let errors = seen.outcome.unwrap().observer_errors;
    assert!(errors.contains(&"slow: still busy after 2 s".to_owned()), "{errors:?}");
    // What the last batch pushed out can no longer be an event.
    let late: u64 = errors
        .iter()
        .filter_map(|error| {
            error.strip_prefix("slow: ")?.strip_suffix(" records dropped at the end")
        })
        .map(|dropped| dropped.parse::<u64>().unwrap())
        .sum();
    drop((open, client));
    let saw: Vec<u64> = records.iter().collect();
    assert!(saw.is_sorted());
    assert_eq!(saw.len() as u64 + dropped + late, seen.records.len() as u64);
    assert_eq!(saw.last(), Some(&(seen.records.len() as u64 - 1)), "the result is not dropped");
}
