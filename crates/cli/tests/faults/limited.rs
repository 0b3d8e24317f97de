//! T9: a hundred processes and one account that is used up.

use crate::faults::plays::lines;
use crate::faults::scene::{Ended, Scene, wait_until};
use belay_testkit::fake_agent::{Exit, Pace, Play, WaitForStdin};
use belay_testkit::figures::{figure, times};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// Claude has used up its window.
fn limited(reset: i64) -> Play {
    let mut lines = lines("claude-code", "g-429-forever");
    let event = json!({
        "type": "rate_limit_event",
        "rate_limit_info": {"status": "rejected", "resetsAt": reset, "rateLimitType": "five_hour"},
        "uuid": "u", "session_id": "s",
    });
    lines.insert(1, event.to_string());
    let play = Play::lines(lines).exit(Exit::Code(1));
    Play { wait_for_stdin: WaitForStdin::Line, pace: Pace::FixedMs(20), ..play }
}

/// The one breaker's file.
fn breaker(scene: &Scene) -> Option<PathBuf> {
    let folder = fs::read_dir(scene.bench.path("home/.local/state/belay/breaker")).ok()?;
    let files: Vec<_> = folder.flatten().map(|entry| entry.path()).collect();
    files.into_iter().find(|path| path.extension().is_some_and(|end| end == "json"))
}

/// As if it had been opened two hours ago, and were to be tried now.
fn make_due(scene: &Scene) {
    let path = breaker(scene).unwrap();
    let mut entry: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let ago = |hours: i64| {
        let time = Timestamp::now() - jiff::SignedDuration::from_hours(hours);
        Value::from(time.to_string())
    };
    let opened = &mut entry["opened"];
    (opened["since"], opened["until"], opened["resets_at"]) = (ago(2), ago(1), ago(1));
    entry["failures"] = json!([]);
    fs::write(&path, entry.to_string()).unwrap();
}

fn begun(ended: &Ended) -> Timestamp {
    let line = ended.lines.iter().find(|line| line.is("run_started")).unwrap();
    line.event["ts"].as_str().unwrap().parse().unwrap()
}

fn has_started(ended: &Ended) -> bool {
    ended.lines.iter().any(|line| line.is("attempt_started"))
}

#[test]
fn a_hundred_processes_spare_an_account_that_one_of_them_has_found_to_be_used_up() {
    let reset = Timestamp::now().as_second() + 7200;
    let (scene, agent) = Scene::claude(&limited(reset));
    let mut belays: Vec<_> = (0..10).map(|_| scene.start(&[])).collect();
    while breaker(&scene).is_none() {
        if belays.len() < 99 {
            belays.push(scene.start(&[]));
        } else {
            wait_until("one has found out", || breaker(&scene).is_some());
        }
    }
    let known = Timestamp::now();
    while belays.len() < 100 {
        belays.push(scene.start(&[]));
    }
    let ended: Vec<_> = belays.into_iter().map(|belay| belay.end()).collect();
    let (before, after): (Vec<_>, Vec<_>) = ended.iter().partition(|ended| begun(ended) <= known);
    let in_flight = before.iter().filter(|ended| has_started(ended)).count();
    let late = after.iter().filter(|ended| has_started(ended)).count();
    assert!(!after.is_empty() && in_flight >= 1);
    assert_eq!((late, agent.log().starts()), (0, in_flight), "of {} later ones", after.len());
    for ended in &ended {
        assert_eq!((ended.kind(), ended.status.code()), ("usage_limit", Some(75)));
        let result = &ended.lines.last().unwrap().event;
        let at: Timestamp = result["retry_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(at.as_second(), reset, "{result}");
    }

    make_due(&scene);
    let belays: Vec<_> = (0..20).map(|_| scene.start(&[])).collect();
    let again: Vec<_> = belays.into_iter().map(|belay| belay.end()).collect();
    let probes = agent.log().starts() - in_flight;
    assert_eq!(probes, 1, "one tries");
    assert!(again.iter().all(|ended| ended.status.code() == Some(75)));

    let name = "100 belay processes, one account: agents started in all / after the first rejection was known";
    figure("T9", name, format!("{in_flight} (of {} begun before) / {late}", before.len()));
    figure("T9", "20 processes after the reset, still limited: probes", probes);
}

/// Runs come back 10 to 60 seconds after a reset, which is too long for CI.
#[test]
fn of_those_who_wait_for_a_reset_one_finds_out_that_it_has_not_come() {
    if times(0, 1) == 0 {
        return;
    }
    let (scene, agent) = Scene::claude(&limited(Timestamp::now().as_second() + 5));
    let start = || scene.start(&["--max-attempts", "6", "--on-limit", "wait", "--wait-max", "10m"]);
    let mut belays = vec![start()];
    belays[0].wait_for("waiting");
    belays.extend((0..20).map(|_| start()));
    belays.iter().for_each(|belay| belay.wait_for("waiting"));
    assert_eq!(agent.log().starts(), 1, "nobody else has tried");
    let agent = scene.bench.agent("claude", &limited(Timestamp::now().as_second() + 7200));
    let before = agent.log().starts();
    wait_until("the first one comes back", || agent.log().starts() > before);
    let ended: Vec<_> = belays.into_iter().map(|belay| belay.end()).collect();
    assert_eq!(agent.log().starts() - before, 1, "one tries");
    for ended in &ended {
        assert_eq!((ended.kind(), ended.status.code()), ("usage_limit", Some(75)));
    }
    figure("T9", "21 processes that have waited for a reset which has not come: probes", 1);
}

#[test]
fn a_damaged_breaker_keeps_nobody_from_his_work() {
    let reset = Timestamp::now().as_second() + 7200;
    let (scene, agent) = Scene::claude(&limited(reset));
    scene.run(&[]);
    let path = breaker(&scene).unwrap();
    let good = fs::read(&path).unwrap();
    scene.run(&[]);
    assert_eq!(agent.log().starts(), 1, "the test must be able to fail");
    for damaged in [&b""[..], b"{", &good[..good.len() / 2], &[0; 64]] {
        let before = agent.log().starts();
        fs::write(&path, damaged).unwrap();
        scene.run(&[]);
        assert_eq!(agent.log().starts(), before + 1, "{damaged:?}");
    }
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    scene.run(&[]);
    assert_eq!(agent.log().starts(), 6);
    figure("T9", "a damaged or missing breaker file", "still runs");
}
