//! Speaking to a run from outside: through the pipe in its folder, with any bytes.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{ANSWER, Stage, finish_after, hanging, lines, patiently, read_to, waiting};
use belay_testkit::fake_agent::{Play, Signal, Until};
use belaykit::control::{NotHeard, send};
use belaykit::trace::journal::CONTROL_FILE;
use belaykit::trace::{ControlLine, Store, StoredRun};
use belaykit::{FailureKind, Run};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::PathBuf;

/// A run that has begun, as somebody else finds it.
fn stored(stage: &Stage, run: &Run) -> StoredRun {
    Store::new(stage.path("state")).find(run.id()).unwrap()
}

fn pipe(run: &StoredRun) -> PathBuf {
    run.folder().join(CONTROL_FILE)
}

/// Speaks like another process does: not on the thread that the run needs.
async fn say(run: &StoredRun, said: Vec<ControlLine>) -> Result<(), NotHeard> {
    let run = run.clone();
    tokio::task::spawn_blocking(move || send(&run, &said)).await.unwrap()
}

async fn write(run: &StoredRun, bytes: Vec<u8>) {
    let path = pipe(run);
    let write = move || OpenOptions::new().write(true).open(path).unwrap().write_all(&bytes);
    patiently(tokio::task::spawn_blocking(write)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_run_is_stopped_from_outside_like_by_its_caller() {
    let ignore = vec![Signal::Int, Signal::Term];
    let stage = Stage::new("claude", &Play { ignore, ..hanging() });
    let mut run = stage.claude().state_dir(stage.path("state")).start("p");
    let seen = read_to(&mut run, "session_started").await;
    let stored = stored(&stage, &run);
    let pipe = pipe(&stored);
    let data = fs::metadata(&pipe).unwrap();
    assert!(data.file_type().is_fifo());
    assert_eq!(data.permissions().mode() & 0o777, 0o600);

    say(&stored, vec![ControlLine::Stop; 3]).await.unwrap();
    let seen = finish_after(seen, run).await;
    assert_eq!(seen.failure().kind, FailureKind::Interrupted);
    assert!(seen.attempt_ended().forced, "three stops kill");
    assert_eq!(seen.notices("control"), [""; 0]);
    assert!(!pipe.exists(), "a run that is over listens to nobody");
    assert!(matches!(say(&stored, vec![ControlLine::Stop]).await, Err(NotHeard::NoPipe)));
}

#[tokio::test]
async fn words_from_outside_reach_an_agent_that_listens() {
    let answer = lines("claude-code", "a-text").split_off(1);
    let stage = Stage::new("claude", &waiting(Until::StdinLine("two\\nlines".into()), answer));
    let mut run = stage.claude().state_dir(stage.path("state")).start("p");
    let seen = read_to(&mut run, "session_started").await;
    let long = format!("two\nlines {}", "and more ".repeat(30_000));
    say(&stored(&stage, &run), vec![ControlLine::Steer(long)]).await.unwrap();
    assert_eq!(finish_after(seen, run).await.answer(), ANSWER);
    let stdin = stage.agent.log();
    assert!(stdin.stdin().iter().any(|line| line.len() > 270_000), "it arrives whole");
}

#[tokio::test]
async fn garbage_in_the_pipe_costs_the_run_nothing_but_a_word() {
    let answer = lines("claude-code", "a-text").split_off(1);
    let stage = Stage::new("claude", &waiting(Until::StdinLine("done".into()), answer));
    let mut run = stage.claude().state_dir(stage.path("state")).start("p");
    let seen = read_to(&mut run, "session_started").await;
    let stored = stored(&stage, &run);
    write(&stored, b"\n\nstop it\nsteer no json\n\xff\xfe\0\nsteer 7\n".to_vec()).await;
    // Ten megabytes without an end; what follows on a line of its own is heard all the same.
    write(&stored, vec![b'x'; 10 << 20]).await;
    say(&stored, vec![ControlLine::Steer("done".into())]).await.unwrap();
    let seen = finish_after(seen, run).await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(seen.count("interrupted"), 0);
    let words = seen.notices("control");
    assert_eq!(words, ["5 lines in the run's control pipe said nothing that it knows"]);
}

#[tokio::test]
async fn a_flood_of_words_does_not_keep_the_run_from_its_agent() {
    let answer = lines("claude-code", "a-text").split_off(1);
    let stage = Stage::new("claude", &waiting(Until::StdinLine("4000".into()), answer));
    let mut run = stage.claude().state_dir(stage.path("state")).start("p");
    let seen = read_to(&mut run, "session_started").await;
    // The first of them is what the agent waits for; it answers while the others still stand in the pipe.
    let flood = (0..4000).rev().map(|n| ControlLine::Steer(format!("{}", n + 1)).to_string());
    let flood: String = flood.map(|line| line + "\n").collect();
    let path = pipe(&stored(&stage, &run));
    let writer = OpenOptions::new().write(true).open(path).unwrap();
    let writing = tokio::task::spawn_blocking(move || { &writer }.write_all(flood.as_bytes()));
    let seen = finish_after(seen, run).await;
    assert_eq!(seen.answer(), ANSWER);
    // A pipe without a reader refuses what is left.
    let _ = patiently(writing).await.unwrap();
    let journal =
        fs::read_to_string(stage.path("state/runs").join(&seen.records[0].run).join("input.1.log"));
    assert!(journal.unwrap().matches("\nsteer ").count() < 4000);
}

#[tokio::test]
async fn whoever_speaks_to_nobody_is_told_and_does_not_wait() {
    let stage = Stage::new("claude", &hanging());
    let mut run = stage.claude().state_dir(stage.path("state")).start("p");
    let seen = read_to(&mut run, "session_started").await;
    let stored = stored(&stage, &run);
    run.interrupter().interrupt();
    run.interrupter().interrupt();
    run.interrupter().interrupt();
    finish_after(seen, run).await;

    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, pipe(&stored), mode).unwrap();
    assert!(matches!(send(&stored, &[ControlLine::Stop]), Err(NotHeard::Gone)));
    fs::remove_file(pipe(&stored)).unwrap();
    // A file, and a link to one, are not written to.
    fs::write(stage.path("file"), "mine").unwrap();
    std::os::unix::fs::symlink(stage.path("file"), pipe(&stored)).unwrap();
    assert!(send(&stored, &[ControlLine::Stop]).is_err());
    fs::remove_file(pipe(&stored)).unwrap();
    fs::write(pipe(&stored), "mine").unwrap();
    assert!(matches!(send(&stored, &[ControlLine::Stop]), Err(NotHeard::NoPipe)));
    assert_eq!(fs::read_to_string(pipe(&stored)).unwrap(), "mine");
    let long = ControlLine::Steer("x".repeat(2 << 20));
    assert!(matches!(send(&stored, &[long]), Err(NotHeard::TooLong)));
}
