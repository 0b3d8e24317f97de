//! How many runs of one agent are at work at once.

use crate::fake_run::{ANSWER, Stage, answer, finish_after, hanging, pid, read_to, run};
use belaykit::{Event, FailureKind, RunRequest};
use rustix::process::{Pid, Signal, kill_process};

#[tokio::test]
async fn a_run_waits_for_its_place_and_can_be_stopped_meanwhile() {
    let (busy, free) = (Stage::new("claude", &hanging()), Stage::new("claude", &answer()));
    let state = busy.path("state");
    let client =
        |stage: &Stage| stage.claude().state_dir(&state).max_concurrent_of("claude-code", 1);
    // Each in a folder of its own: that they share one is another notice.
    let p = |stage: &Stage| RunRequest::new("p").cwd(stage.dir.path());

    let mut first = client(&busy).start(p(&busy));
    let records = read_to(&mut first, "attempt_started").await;

    let mut stopped = client(&free).start(p(&free));
    let waiting = read_to(&mut stopped, "notice").await;
    let Event::Notice(notice) = &waiting.last().unwrap().event else { unreachable!() };
    assert_eq!(notice.code.as_deref(), Some("concurrency"));
    stopped.interrupter().interrupt();
    let stopped = finish_after(waiting, stopped).await;
    assert_eq!(stopped.failure().kind, FailureKind::Interrupted);
    assert_eq!(stopped.count("attempt_started"), 0);

    let mut second = client(&free).start(p(&free));
    let waiting = read_to(&mut second, "notice").await;
    // An agent that dies gives its place back.
    let agent = Pid::from_raw(pid(&records).try_into().unwrap()).unwrap();
    kill_process(agent, Signal::KILL).unwrap();
    let first = finish_after(records, first).await;
    assert!(first.outcome.is_err());
    assert_eq!(finish_after(waiting, second).await.answer(), ANSWER);
}

#[tokio::test]
async fn who_is_counted_for_nobody_waits_for_nobody() {
    let stage = Stage::new("claude", &answer());
    let seen = run(&stage.claude().max_concurrent_of("claude-code", 1), "p").await;
    assert_eq!(seen.answer(), ANSWER);
    assert_eq!(seen.notices("concurrency").len(), 1, "that nobody counts is said");
    // A folder that cannot be made is no reason to do nothing.
    std::fs::create_dir_all(stage.path("state")).unwrap();
    std::fs::write(stage.path("state/slots"), "").unwrap();
    let client = stage.claude().state_dir(stage.path("state"));
    let seen = run(&client.max_concurrent_of("claude-code", 1), "p").await;
    assert_eq!((seen.answer(), seen.notices("concurrency").len()), (ANSWER, 1));
}
